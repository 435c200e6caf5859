/* v1.c - any bytes as the body of a V1 predict request; a request that is read is answered as well, with its inputs as
 * outputs. The first byte chooses the model. */
#include "engine/model.h"
#include "serve/codec.h"
#include "serve/encoder.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct percept_io ios[] = {
    {.name = "s_bytes", .dtype = PERCEPT_STRING, .rank = 2, .dims = {-1, 1}},
    {.name = "f", .dtype = PERCEPT_FLOAT, .rank = -1},
    {.name = "b", .dtype = PERCEPT_BOOL, .rank = 1, .dims = {-1}},
    {.name = "i", .dtype = PERCEPT_INT8, .rank = 2, .dims = {-1, -1}},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    int first = data[0] & 3, n_io = data[0] & 4 ? 4 - first : 1;
    struct percept_model model = {.n_inputs = n_io, .inputs = ios + first, .n_outputs = n_io, .outputs = ios + first};
    struct manifest_input described = {
        .name = "i",
        .kind = data[0] & 16 ? MANIFEST_TEXT : MANIFEST_TENSOR,
        .text = {.tokenizer = TOKENIZER_BYTES, .max_length = 8, .unknown = -1, .pad = -1, .start = -1, .end = -1}};
    struct manifest manifest = {.path = "", .n_inputs = 1, .inputs = &described};
    struct served served = {.name = "m",
                            .version = 1,
                            .model = &model,
                            .manifest = &manifest,
                            .batching = data[0] & 8,
                            .max_batch_size = 8};
    struct arena arena = {0};
    struct percept_err err = {0};
    struct job job = {.arena = &arena, .served = &served, .json_bytes = -1, .codec = codec_v1()};
    job.body = bytes_of(data + 1, n - 1);
    if (codec_v1_decode(&job, &err) && encoder_v1_write(&job, job.inputs, &err) && bytes_size(job.reply) == 0)
        abort();
    arena_free(&arena);
    return 0;
}
