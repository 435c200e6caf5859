/* json.c - any bytes as the body of an infer request: the first byte chooses how they are framed. A
 * request that is read is answered as well, with its inputs as outputs. */
#include "engine/model.h"
#include "serve/codec.h"
#include "serve/encoder.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Inputs of several types; each output is one of them. */
static struct percept_io ios[] = {
    {.name = "f", .dtype = PERCEPT_FLOAT, .rank = 2, .dims = {-1, 2}},
    {.name = "s", .dtype = PERCEPT_STRING, .rank = 2, .dims = {-1, 1}},
    {.name = "b", .dtype = PERCEPT_BOOL, .rank = -1},
    {.name = "i", .dtype = PERCEPT_INT8, .rank = 2, .dims = {-1, -1}},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *const labels[] = {"no", "yes"};
    if (n == 0)
        return 0;
    int n_io = 1 + (data[0] & 3);
    struct percept_model model = {.n_inputs = n_io, .inputs = ios, .n_outputs = n_io, .outputs = ios};
    struct manifest manifest = {.path = "",
                                .n_labels = 2,
                                .labels = labels,
                                .task = TASK_CLASSIFY,
                                .task_output = "f",
                                .task_activation = ACTIVATION_SOFTMAX,
                                .top_k = 3};
    struct served served = {.name = "m",
                            .version = 1,
                            .model = &model,
                            .manifest = &manifest,
                            .batching = data[0] & 4,
                            .max_batch_size = 8};
    struct arena arena = {0};
    struct percept_err err;
    struct job job = {.arena = &arena, .served = &served, .json_bytes = -1};
    job.body = bytes_of(data + 1, n - 1);
    if (data[0] & 8)
        job.json_bytes = (int64_t)(n - 1) * (data[0] >> 4) / 16;
    if (codec_json_decode(&job, &err) && encoder_v2_write(&job, job.inputs, &err) && bytes_size(job.reply) == 0)
        abort();
    arena_free(&arena);
    return 0;
}
