/*
 * measure.c - percept_measure: how fast this core multiplies and moves memory, so that a profile can say how far a step
 * is from what is possible.
 *
 * The best of some rounds, each about a millisecond: who is interrupted looks slow, nobody looks too fast. Memory is
 * copied from one half of a buffer to the other, larger than the second cache and smaller than most third ones, which
 * is where a network's tensors and weights usually lie. Any thread.
 */
#include <string.h>

#include "base/arena.h"
#include "base/watch.h"
#include "engine/model.h"

#define ROUNDS 12
#define SPIN_ROUNDS 100000
#define COPY_BYTES ((size_t)8 << 20) /* of both halves */

static double best_flops(const struct kernels *kernels)
{
    double best = 0;
    for (int i = 0; i < ROUNDS; i++) {
        const int64_t from = watch_now_ns();
        const double flops = (double)kernels->gemm->spin(SPIN_ROUNDS);
        const int64_t ns = watch_now_ns() - from;
        if (ns > 0 && flops / (double)ns > best)
            best = flops / (double)ns;
    }
    return best * 1e9;
}

static double best_bytes(char *buffer)
{
    double best = 0;
    for (int i = 0; i < ROUNDS; i++) {
        const int64_t from = watch_now_ns();
        memcpy(buffer + (i & 1 ? 0 : COPY_BYTES / 2), buffer + (i & 1 ? COPY_BYTES / 2 : 0), COPY_BYTES / 2);
        const int64_t ns = watch_now_ns() - from;
        if (ns > 0 && (double)COPY_BYTES / (double)ns > best)
            best = (double)COPY_BYTES / (double)ns;
    }
    return best * 1e9;
}

bool percept_measure(const struct percept_model *model, struct percept_machine *machine, struct percept_err *err)
{
    char *buffer = arena_buffer(COPY_BYTES);
    if (!buffer)
        return err_memory(err, "measuring memory", COPY_BYTES);
    machine->flops_per_s = best_flops(model->kernels);
    machine->bytes_per_s = best_bytes(buffer);
    arena_buffer_free(buffer);
    return true;
}
