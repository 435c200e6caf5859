/* apart.c - see apart.h. */
#include "apart.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drive.h"
#include "engine/model.h"

enum { ITEMS = 3, MOST_ELEMENTS = 1 << 14 };

/* Elements of an item. Free axes get `guess`; 0 where that makes too many. */
static int64_t item_dims(const struct percept_io *io, int64_t guess, int64_t *dims)
{
    int64_t n = 1;
    dims[0] = 1;
    for (int d = 1; d < io->rank; d++) {
        dims[d] = io->dims[d] < 0 ? guess : io->dims[d];
        if (dims[d] < 1 || dims[d] > MOST_ELEMENTS || (n *= dims[d]) > MOST_ELEMENTS)
            return 0;
    }
    return n;
}

static bool resize(struct percept_session *session, const struct percept_model *model, int64_t guess,
                   int64_t items)
{
    int n;
    const struct percept_io *inputs = percept_inputs(model, &n);
    for (int i = 0; i < n; i++) {
        int64_t dims[PERCEPT_RANK_MAX];
        if (!item_dims(&inputs[i], guess, dims))
            return false;
        dims[0] = items;
        if (!percept_resize(session, i, inputs[i].rank, dims, NULL))
            return false;
    }
    return percept_prepare(session, NULL);
}

static void give_item(struct percept_session *alone, struct percept_session *together,
                      const struct percept_model *model, int64_t guess, int k)
{
    int n;
    const struct percept_io *inputs = percept_inputs(model, &n);
    for (int i = 0; i < n; i++) {
        int64_t dims[PERCEPT_RANK_MAX];
        size_t size = (size_t)item_dims(&inputs[i], guess, dims) * percept_dtype_bytes(inputs[i].dtype);
        memcpy(percept_input(alone, i), (const char *)percept_input(together, i) + (size_t)k * size, size);
    }
}

static bool both_nan(enum percept_dtype dtype, const void *a, const void *b)
{
    if (dtype == PERCEPT_FLOAT)
        return isnan(*(const float *)a) && isnan(*(const float *)b);
    if (dtype == PERCEPT_DOUBLE)
        return isnan(*(const double *)a) && isnan(*(const double *)b);
    const uint16_t most = dtype == PERCEPT_FLOAT16 ? 0x7c00 : 0x7f80;
    return (dtype == PERCEPT_FLOAT16 || dtype == PERCEPT_BFLOAT16) &&
           (*(const uint16_t *)a & 0x7fff) > most && (*(const uint16_t *)b & 0x7fff) > most;
}

static size_t elements(const struct percept_tensor *t)
{
    size_t n = 1;
    for (int d = 0; d < t->rank; d++)
        n *= (size_t)t->dims[d];
    return n;
}

/* Where free axes have other lengths than in the loader's trials, results may be none that a server can part. */
static bool separable(const struct percept_session *together, int n_outputs)
{
    for (int i = 0; i < n_outputs; i++) {
        const struct percept_tensor all = percept_output(together, i);
        if (all.rank < 1 || all.dims[0] != ITEMS)
            return false;
    }
    return true;
}

static void compare(const struct percept_tensor *alone, const struct percept_tensor *together, int output, int k)
{
    const size_t n = elements(alone), size = percept_dtype_bytes(alone->dtype);
    if (together->rank != alone->rank || alone->dims[0] != 1 || elements(together) != ITEMS * n) {
        fprintf(stderr, "output %d does not follow the batch\n", output);
        abort();
    }
    if (alone->dtype == PERCEPT_STRING)
        return;
    for (size_t i = 0; i < n; i++) {
        const char *a = (const char *)alone->data + i * size;
        const char *b = (const char *)together->data + ((size_t)k * n + i) * size;
        if (memcmp(a, b, size) != 0 && !both_nan(alone->dtype, a, b)) {
            fprintf(stderr, "item %d, output %d, element %zu has other bits alone\n", k, output, i);
            abort();
        }
    }
}

static void compare_items(struct percept_session *together, struct percept_session *alone,
                          const struct percept_model *model, struct draw *draw)
{
    static const int64_t guesses[] = {5, 8, 3, 24, 2, 1};
    const int64_t guess = guesses[draw_below(draw, sizeof guesses / sizeof *guesses)];
    int n, n_outputs;
    const struct percept_io *inputs = percept_inputs(model, &n);
    percept_outputs(model, &n_outputs);
    if (!resize(together, model, guess, ITEMS) || !resize(alone, model, guess, 1))
        return;
    for (int i = 0; i < n; i++) {
        int64_t dims[PERCEPT_RANK_MAX];
        drive_fill(together, i, &inputs[i], ITEMS * (size_t)item_dims(&inputs[i], guess, dims), draw);
    }
    if (!percept_run(together, NULL, NULL) || !separable(together, n_outputs))
        return;
    for (int k = 0; k < ITEMS; k++) {
        give_item(alone, together, model, guess, k);
        if (!percept_run(alone, NULL, NULL))
            continue; /* what a batch refuses, the server asks of each item again */
        for (int i = 0; i < n_outputs; i++) {
            const struct percept_tensor one = percept_output(alone, i), all = percept_output(together, i);
            compare(&one, &all, i, k);
        }
    }
}

void apart_check(const uint8_t *file, size_t n, struct draw *draw)
{
    struct percept_options options = {
        .size = sizeof options, .memory_limit_bytes = DRIVE_LITTLE_BYTES, .region = PERCEPT_REGION_PRIVATE};
    struct percept_model *model = percept_open_memory(file, n, &options, NULL);
    if (model && model->items_apart) {
        struct percept_session *together = percept_session_new(model, NULL);
        struct percept_session *alone = percept_session_new(model, NULL);
        if (together && alone)
            compare_items(together, alone, model, draw);
        percept_session_free(together);
        percept_session_free(alone);
    }
    percept_close(model);
}
