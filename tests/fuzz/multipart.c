/* multipart.c - any bytes as a form: what is before the first NUL is the Content-Type, the rest the body. */
#include "engine/model.h"
#include "serve/codec.h"
#include "serve/constant.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct percept_io ios[] = {
    {.name = "image", .dtype = PERCEPT_FLOAT, .rank = 4, .dims = {-1, 1, -1, -1}},
    {.name = "text", .dtype = PERCEPT_INT64, .rank = 2, .dims = {-1, -1}},
    {.name = "size", .dtype = PERCEPT_INT64, .rank = 2, .dims = {-1, 2}},
};

static struct manifest_input described[] = {
    {.name = "image",
     .kind = MANIFEST_IMAGE,
     .image = {.multiple_of = 1, .max_width = 512, .scale = 1, .std = {1, 1, 1}}},
    {.name = "text",
     .kind = MANIFEST_TEXT,
     .text = {.tokenizer = TOKENIZER_BYTES, .max_length = 8, .unknown = -1, .pad = -1, .start = -1, .end = -1}},
    {.name = "size", .kind = MANIFEST_CONSTANT, .constant = {.fact = FACT_SIZE_WH}},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const uint8_t *type_end = n ? memchr(data, 0, n) : NULL;
    if (!type_end)
        return 0;
    struct percept_model model = {.n_inputs = 3, .inputs = ios};
    struct manifest manifest = {.path = "", .n_inputs = 3, .inputs = described};
    struct served served = {.name = "m",
                            .model = &model,
                            .manifest = &manifest,
                            .batching = true,
                            .max_batch_size = 8,
                            .max_pixels = 1 << 16};
    struct arena arena = {0};
    struct percept_err err = {0};
    struct job job = {.arena = &arena, .served = &served, .json_bytes = -1};
    job.content_type = (struct bytes){data, type_end};
    job.body = (struct bytes){type_end + 1, data + n};
    if (codec_multipart_decode(&job, &err))
        constant_fill(&job, &err);
    arena_free(&arena);
    return 0;
}
