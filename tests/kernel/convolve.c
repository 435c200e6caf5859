/*
 * convolve.c - convolutions of every geometry against the definition, on every level that this CPU runs.
 */
#include "prepared.h"
#include "shapes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

START_TEST(conv_computes_random_geometry)
{
    begin(_i);
    const char *rounds = getenv("ROUNDS");
    for (long i = rounds ? strtol(rounds, NULL, 10) : 150; i > 0; i--) {
        const struct conv_shape shape = shapes_draw(false);
        shapes_check(&shape);
    }
}
END_TEST

START_TEST(conv_computes_layers_of_known_models)
{
    begin(_i);
    for (int64_t size = 1; size <= 30; size++) { /* all tile widths */
        struct conv_shape same = shapes_square(16, 33, size, 3, 1, 1), one = shapes_square(17, 48, size, 1, 1, 0);
        shapes_check(&same);
        shapes_check(&one);
    }
    struct conv_shape stem = shapes_square(3, 64, 61, 7, 2, 3);
    stem.in_plain = true;
    shapes_check(&stem);
    struct conv_shape shrink = shapes_square(64, 70, 15, 1, 2, 0);
    shapes_check(&shrink);
    struct conv_shape deep = shapes_square(300, 40, 20, 3, 1, 1);
    shapes_check(&deep);
}
END_TEST

/* Small maps and more weights than an L2 holds for long: the next panel is fetched, behind the last one from memory
 * that cannot be read. */
START_TEST(conv_fetches_ahead)
{
    begin(_i);
    for (int64_t size = 1; size <= 16; size += 3) {
        struct conv_shape same = shapes_square(128, 144, size, 3, 1, 1), one = shapes_square(512, 520, size, 1, 1, 0);
        shapes_check(&same);
        shapes_check(&one);
    }
}
END_TEST

static size_t scratch_bytes(const struct conv_shape *shape)
{
    struct conv_prepared *prepared = prepared_for(level, shape);
    const size_t n_bytes = level->convolve->scratch_bytes(prepared);
    free(prepared);
    return n_bytes;
}

/* A long signal is cut along its only axis. */
START_TEST(conv_cuts_long_rows)
{
    begin(_i);
    struct conv_shape audio = {.group = 1,
                               .in_channels = 20,
                               .out_channels = 5,
                               .in = {1, 1, 9000},
                               .out = {1, 1, 9000},
                               .kernel = {1, 1, 9},
                               .stride = {1, 1, 1},
                               .dilation = {1, 1, 1},
                               .pad = {0, 0, 4}};
    shapes_check(&audio);
    audio.in_plain = true;
    shapes_check(&audio);
    ck_assert_uint_le(scratch_bytes(&audio), 1 << 20);
}
END_TEST

/* The largest error of a convolution of numbers in [0, 1), relative to the sum, in EPS. */
static double long_sum_error(const struct conv_shape *shape)
{
    const int64_t in = volume(shape->in), pixels = volume(shape->out), w = level->width;
    const int64_t n = shape->out_channels * pixels;
    const int64_t n_weights = shape->out_channels * (shape->in_channels / shape->group) * volume(shape->kernel);
    const int algorithm = level->convolve->choose(shape, PRECISION_EXACT);
    float *plain = guarded_numbers(shape->in_channels * in), *weights = guarded_numbers(n_weights);
    for (int64_t i = 0; i < shape->in_channels * in; i++)
        plain[i] = fabsf(plain[i]);
    for (int64_t i = 0; i < n_weights; i++)
        weights[i] = fabsf(weights[i]);
    const float *input = shape->in_plain ? plain : to_blocks(plain, shape->in_channels, in);
    float *packed = guarded((int64_t)(level->convolve->pack_bytes(algorithm, shape) / sizeof(float)));
    struct conv_prepared *prepared = prepared_for(level, shape);
    float *scratch = guarded((int64_t)(level->convolve->scratch_bytes(prepared) / sizeof(float)));
    float *output = to_blocks(NULL, shape->out_channels, pixels);
    const struct epilogue none = {.act = ACT_NONE};
    level->convolve->pack(algorithm, shape, packed, weights, NULL);
    level->convolve->run(prepared, input, packed, output, &none, scratch, 0, level->convolve->units(prepared));
    free(prepared);
    double *sum = calloc((size_t)n, sizeof *sum), *size = calloc((size_t)n, sizeof *size), most = 0;
    reference_conv(shape, plain, (const char *)weights, NULL, NULL, NULL, sum, size);
    for (int64_t i = 0; i < n; i++) {
        const double got = (double)output[(i / pixels / w * pixels + i % pixels) * w + i / pixels % w];
        most = fmax(most, fabs(got - sum[i]) / (sum[i] * EPS));
    }
    free(sum);
    free(size);
    release();
    return most;
}

/* Thousands of products in a single chain are off by 20 EPS and more. */
START_TEST(conv_sums_long_runs_accurately)
{
    begin(_i);
    struct conv_shape shapes[4] = {shapes_square(512, 16, 8, 3, 1, 0), shapes_square(4096, 16, 6, 1, 1, 0),
                                   shapes_square(600, 18, 8, 3, 1, 0), shapes_square(3, 16, 50, 45, 1, 0)};
    shapes[2].group = 2; /* of planes: 300 and 9 channels fill no blocks */
    shapes[3].in_plain = true;
    for (int i = 0; i < 4; i++) {
        const double error = long_sum_error(shapes + i);
        FAIL_UNLESS(error < 10, "shape %d: %.3g EPS", i, error);
    }
}
END_TEST

/* An output's bits are those that its own surroundings give, wherever it lies in a tile. */
START_TEST(conv_bits_do_not_depend_on_position)
{
    begin(_i);
    const int64_t channels = 20, w = level->width;
    for (int64_t size = 5; size < 40; size += 3) {
        struct conv_shape shape = shapes_square(channels, 40, size, 3, 1, 1);
        float *pattern = guarded_numbers(channels);
        float *plain = guarded(channels * size * size);
        for (int64_t i = 0; i < channels * size * size; i++)
            plain[i] = pattern[i / (size * size)];
        float *input = to_blocks(plain, channels, size * size);
        float *output = shapes_run(&shape, input, guarded_numbers(40 * channels * 9));
        for (int64_t c = 0; c < 40; c++)
            for (int64_t y = 1; y + 1 < size; y++)
                for (int64_t x = 1; x + 1 < size; x++) {
                    const float *map = output + c / w * size * size * w + c % w;
                    FAIL_UNLESS(same_bits(map + (y * size + x) * w, map + (size + 1) * w, 1),
                                "size %ld channel %ld at %ld, %ld", (long)size, (long)c, (long)y, (long)x);
                }
        release();
    }
}
END_TEST

START_TEST(conv_packing_does_not_depend_on_height_and_width)
{
    begin(_i);
    for (int round = 0; round < 50; round++) {
        struct conv_shape small = shapes_draw(false), large = small;
        for (int axis = 0; axis < 3; axis++) {
            large.in[axis] += 5;
            large.out[axis] += 5 * small.stride[axis];
            large.pad[axis] = 0;
        }
        const int algorithm = level->convolve->choose(&small, PRECISION_EXACT);
        ck_assert_int_eq(algorithm, level->convolve->choose(&large, PRECISION_EXACT));
        const size_t bytes = level->convolve->pack_bytes(algorithm, &small);
        ck_assert_uint_eq(bytes, level->convolve->pack_bytes(algorithm, &large));
        const float *weights =
            guarded_numbers(small.out_channels * small.in_channels / small.group * volume(small.kernel));
        float *a = guarded((int64_t)(bytes / sizeof(float))), *b = guarded((int64_t)(bytes / sizeof(float)));
        level->convolve->pack(algorithm, &small, a, weights, NULL);
        level->convolve->pack(algorithm, &large, b, weights, NULL);
        FAIL_UNLESS(same_bits(a, b, (int64_t)(bytes / sizeof(float))), "round %d", round);
        release();
    }
}
END_TEST

/* What lies at `to`, one number at a time: [group][panel][block][tap][channel][lane]. */
static void lay(const struct conv_shape *shape, int64_t block, const float *weights, const float *scale, float *to)
{
    const int64_t in = shape->in_channels / shape->group, out = shape->out_channels / shape->group;
    const int64_t taps = volume(shape->kernel), w = level->width;
    for (int64_t group = 0; group < shape->group; group++)
        for (int64_t first = 0; first < out; first += 2 * w)
            for (int64_t from = 0; from < in; from += block)
                for (int64_t tap = 0; tap < taps; tap++)
                    for (int64_t i = from; i < from + block && i < in; i++)
                        for (int64_t o = first; o < first + (out - first > w ? 2 * w : w); o++, to++) {
                            const int64_t channel = group * out + o;
                            *to = o < out ? weights[(channel * in + i) * taps + tap] : 0;
                            *to *= o < out && scale ? scale[channel] : 1;
                        }
}

START_TEST(conv_packing_lays_panels)
{
    begin(_i);
    const int64_t w = level->width;
    for (int round = 0; round < 60; round++) {
        struct conv_shape shape = shapes_square(w * between(1, 3), between(1, 5 * w), 9, between(1, 4), 1, 0);
        shape.kernel[1] = between(1, 4);
        const bool planes = chance(2); /* channels that fill no blocks */
        if (planes) {
            shape.group = between(1, 3);
            shape.in_channels = shape.group * between(2, w - 1);
            shape.out_channels = shape.group * between(1, 3 * w);
            shape.in_plain = shape.group == 1;
        }
        const int64_t in = shape.in_channels / shape.group;
        const int64_t n_weights = shape.out_channels * in * volume(shape.kernel);
        const int algorithm = level->convolve->choose(&shape, PRECISION_EXACT);
        const char *name = level->convolve->name(algorithm);
        if (strcmp(name, "direct") != 0 && strcmp(name, "grouped") != 0)
            continue;
        const size_t n_bytes = level->convolve->pack_bytes(algorithm, &shape);
        const float *numbers = guarded_numbers(n_weights),
                    *scale = chance(2) ? guarded_numbers(shape.out_channels) : NULL;
        char *weights = guarded_bytes(n_weights * (int64_t)sizeof(float) + 1); /* at any address */
        memcpy(weights, numbers, (size_t)n_weights * sizeof(float));
        float *packed = guarded((int64_t)(n_bytes / sizeof(float)));
        float *want = guarded((int64_t)(n_bytes / sizeof(float)));
        level->convolve->pack(algorithm, &shape, packed, weights, scale);
        lay(&shape, planes ? in : w, numbers, scale, want);
        FAIL_UNLESS(same_bits(packed, want, (int64_t)(n_bytes / sizeof(float))), "round %d, %s", round, name);
        release();
    }
}
END_TEST

START_TEST(conv_scratch_stays_below_a_megabyte)
{
    begin(_i);
    const struct conv_shape shapes[] = {shapes_square(64, 64, 56, 3, 1, 1),   shapes_square(512, 512, 7, 3, 1, 1),
                                        shapes_square(512, 512, 28, 3, 1, 1), shapes_square(64, 64, 224, 3, 1, 1),
                                        shapes_square(3, 32, 640, 3, 2, 1),   shapes_square(1280, 1280, 32, 3, 1, 1)};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        ck_assert_uint_le(scratch_bytes(&shapes[i]), 1 << 20);
}
END_TEST

START_TEST(conv_prepared_may_be_moved)
{
    begin(_i);
    for (int i = 0; i < 60; i++) {
        const struct conv_shape shape = shapes_draw(i % 3 == 0);
        shapes_check_moved(&shape);
    }
}
END_TEST

START_TEST(conv_prepared_serves_two_threads_at_once)
{
    begin(_i);
    for (int i = 0; i < 40; i++) {
        const struct conv_shape shape = shapes_draw(i % 3 == 0);
        shapes_check_shared(&shape);
    }
}
END_TEST

static size_t prepared_bytes(const struct conv_shape *shape)
{
    return level->convolve->prepared_bytes(level->convolve->choose(shape, PRECISION_EXACT), shape);
}

/* Neither heights and widths nor channels count, but taps and strides do. */
START_TEST(conv_prepared_stays_small)
{
    begin(_i);
    struct conv_shape shapes[] = {shapes_square(64, 64, 56, 3, 1, 1), shapes_square(1280, 1280, 4096, 3, 1, 1),
                                  shapes_square(96, 96, 112, 7, 2, 3), shapes_square(32, 32, 28, 4, 1, 0)};
    shapes[2].group = 96;
    shapes[3].transposed = true;
    shapes[3].stride[1] = shapes[3].stride[2] = 4;
    shapes[3].out[1] = shapes[3].out[2] = 112;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        ck_assert_uint_le(prepared_bytes(&shapes[i]), 4096);
    struct conv_shape audio = shapes_square(8, 8, 1, 1, 1, 0);
    audio.group = 8;
    audio.kernel[2] = 2000;
    audio.in[2] = 1000000;
    audio.out[2] = 1000000 - 1999;
    ck_assert_uint_le(prepared_bytes(&audio), 2000 * 96);
    struct conv_shape wide = shapes_square(4, 4, 1, 1, 1, 0);
    wide.transposed = true;
    wide.stride[2] = 4096;
    wide.in[2] = 1000;
    wide.out[2] = 4096 * 999 + 1;
    ck_assert_uint_le(prepared_bytes(&wide), 4096 * 128);
}
END_TEST

Suite *kernel_convolve_suite(void);

Suite *kernel_convolve_suite(void)
{
    Suite *suite = suite_create("kernel/convolve");
    fixture_add(suite, "conv_computes_random_geometry", conv_computes_random_geometry);
    fixture_add(suite, "conv_computes_layers_of_known_models", conv_computes_layers_of_known_models);
    fixture_add(suite, "conv_fetches_ahead", conv_fetches_ahead);
    fixture_add(suite, "conv_cuts_long_rows", conv_cuts_long_rows);
    fixture_add(suite, "conv_sums_long_runs_accurately", conv_sums_long_runs_accurately);
    fixture_add(suite, "conv_bits_do_not_depend_on_position", conv_bits_do_not_depend_on_position);
    fixture_add(suite, "conv_packing_does_not_depend_on_height_and_width",
                conv_packing_does_not_depend_on_height_and_width);
    fixture_add(suite, "conv_packing_lays_panels", conv_packing_lays_panels);
    fixture_add(suite, "conv_scratch_stays_below_a_megabyte", conv_scratch_stays_below_a_megabyte);
    fixture_add(suite, "conv_prepared_may_be_moved", conv_prepared_may_be_moved);
    fixture_add(suite, "conv_prepared_serves_two_threads_at_once", conv_prepared_serves_two_threads_at_once);
    fixture_add(suite, "conv_prepared_stays_small", conv_prepared_stays_small);
    return suite;
}
