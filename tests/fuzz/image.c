/* image.c - any bytes as a picture: the first two bytes choose what the network wants of it. */
#include "engine/model.h"
#include "serve/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2)
        return 0;
    struct percept_io input = {.name = "x", .dtype = PERCEPT_FLOAT, .rank = 4, .dims = {-1, -1, -1, -1}};
    struct percept_model model = {.n_inputs = 1, .inputs = &input};
    const bool ink = data[0] & 1, fixed = data[0] & 2 || ink;
    const bool resized = fixed && (data[0] >> 3 & 3) % 3 == RESIZE_CROP && data[1] & 16;
    struct manifest_input described = {.name = "x",
                                       .kind = MANIFEST_IMAGE,
                                       .image = {.width = fixed ? 28 : 0,
                                                 .height = fixed || (data[1] & 128 && data[1] & 64) ? 28 : 0,
                                                 .channels = ink           ? CHANNELS_GRAY
                                                             : data[1] & 8 ? CHANNELS_Y
                                                                           : CHANNELS_BGR,
                                                 .layout = data[0] & 4 ? IMAGE_NCHW : IMAGE_NHWC,
                                                 .resize = (enum manifest_resize)((data[0] >> 3 & 3) % 3),
                                                 .filter = (enum manifest_filter)((data[0] >> 5) % 5),
                                                 .antialias = data[1] & 1,
                                                 .enlarge = data[1] & 2,
                                                 .draft = data[1] & 4,
                                                 .resize_height = resized ? 40 : 0,
                                                 .placement = data[1] & 32 ? PLACEMENT_TOP_LEFT : PLACEMENT_CENTER,
                                                 .rounding = (enum manifest_rounding)((data[1] >> 6) % 3),
                                                 .min_width = 1,
                                                 .max_width = 512,
                                                 .multiple_of = data[1] & 16 ? 32 : 1,
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
    job.body = bytes_of(data + 2, n - 2);
    codec_image_decode(&job, &err);
    arena_free(&arena);
    return 0;
}
