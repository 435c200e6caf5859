/* image.c - any bytes as a picture: the first byte chooses what the network wants of it. */
#include "engine/model.h"
#include "serve/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    struct percept_io input = {.name = "x", .dtype = PERCEPT_FLOAT, .rank = 4, .dims = {-1, -1, -1, -1}};
    struct percept_model model = {.n_inputs = 1, .inputs = &input};
    bool ink = data[0] & 1;
    struct manifest_input described = {.name = "x",
                                       .kind = MANIFEST_IMAGE,
                                       .image = {.width = data[0] & 2 ? 28 : 0,
                                                 .height = data[0] & 2 ? 28 : 0,
                                                 .channels = ink ? CHANNELS_GRAY : CHANNELS_BGR,
                                                 .layout = data[0] & 4 ? IMAGE_NCHW : IMAGE_NHWC,
                                                 .resize = (enum manifest_resize)((data[0] >> 3 & 3) % 3),
                                                 .filter = (enum manifest_filter)((data[0] >> 5 & 3) % 3),
                                                 .scale = 1,
                                                 .std = {1, 1, 1},
                                                 .ink = ink ? INK_LIGHT : INK_AS_IS,
                                                 .ink_box = ink ? 20 : 0}};
    struct manifest manifest = {.path = "", .n_inputs = 1, .inputs = &described};
    struct served served = {.name = "m",
                            .model = &model,
                            .manifest = &manifest,
                            .batching = true,
                            .max_batch_size = 8,
                            .max_pixels = 1 << 20};
    struct arena arena = {0};
    struct percept_err err;
    struct job job = {.arena = &arena, .served = &served, .json_bytes = -1};
    job.body = bytes_of(data + 1, n - 1);
    codec_image_decode(&job, &err);
    arena_free(&arena);
    return 0;
}
