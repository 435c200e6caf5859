/*
 * depthwise.c - convolutions of one channel per group against the definition, on every level that this CPU runs.
 */
#include "prepared.h"
#include "shapes.h"

#include <math.h>
#include <stdlib.h>

static struct conv_shape square(int64_t channels, int64_t size, int64_t kernel, int64_t stride, int64_t pad)
{
    struct conv_shape shape = shapes_square(channels, channels, size, kernel, stride, pad);
    shape.group = channels;
    return shape;
}

START_TEST(depthwise_computes_random_geometry)
{
    begin(_i);
    for (int i = 0; i < 150; i++) {
        const struct conv_shape shape = shapes_draw(true);
        shapes_check(&shape);
    }
}
END_TEST

START_TEST(depthwise_computes_layers_of_known_models)
{
    begin(_i);
    struct conv_shape shuffle = square(58, 28, 3, 1, 1);
    shapes_check(&shuffle);
    struct conv_shape shrink = square(level->width + 1, 29, 3, 2, 1);
    shapes_check(&shrink);
    for (int64_t size = 1; size <= 20; size++) { /* all tile widths */
        struct conv_shape five = square(level->width, size, 5, 1, 2);
        shapes_check(&five);
    }
}
END_TEST

/* Rows of every length, in every kind of tile. */
START_TEST(depthwise_computes_rows_of_any_length)
{
    begin(_i);
    for (int64_t kernel = 2; kernel <= 7; kernel++)
        for (int64_t stride = 1; stride <= 3; stride++)
            for (int64_t size = kernel; size <= 34; size += size < 9 ? 1 : 3) {
                const struct conv_shape same = square(level->width, size, kernel, stride, kernel / 2);
                const struct conv_shape valid = square(3, size, kernel, stride, 0);
                shapes_check(&same);
                shapes_check(&valid);
            }
}
END_TEST

/* Of the outputs along an axis the first that sees the same taps as this one, by a kernel of 2 reach + 1. */
static int64_t alike(int64_t at, int64_t size, int64_t reach)
{
    return at < reach || at >= size - reach ? at : reach;
}

/* Over a picture of one number per channel outputs that see the same taps have the same bits, along rows and down. */
START_TEST(depthwise_bits_do_not_depend_on_position)
{
    begin(_i);
    const int64_t channels = level->width + 2, w = level->width;
    for (int64_t size = 7; size < 40; size += 3)
        for (int64_t reach = 1; reach <= 3; reach++) {
            const struct conv_shape shape = square(channels, size, 2 * reach + 1, 1, reach);
            const float *pattern = guarded_numbers(channels);
            float *plain = guarded(channels * size * size);
            for (int64_t i = 0; i < channels * size * size; i++)
                plain[i] = pattern[i / (size * size)];
            float *output = shapes_run(&shape, to_blocks(plain, channels, size * size),
                                       guarded_numbers(channels * shape.kernel[1] * shape.kernel[2]));
            for (int64_t c = 0; c < channels; c++)
                for (int64_t y = 0; y < size; y++)
                    for (int64_t x = 0; x < size; x++) {
                        const float *map = output + c / w * size * size * w + c % w;
                        const int64_t twin = alike(y, size, reach) * size + alike(x, size, reach);
                        FAIL_UNLESS(same_bits(map + (y * size + x) * w, map + twin * w, 1),
                                    "size %ld reach %ld channel %ld at %ld, %ld", (long)size, (long)reach, (long)c,
                                    (long)y, (long)x);
                    }
            release();
        }
}
END_TEST

/* More taps than one part of a sum has: 9 x 9 = 81, of which some lie outside. */
START_TEST(depthwise_sums_large_windows_in_parts)
{
    begin(_i);
    for (int64_t stride = 1; stride <= 3; stride++) {
        struct conv_shape large = square(level->width + 3, 20, 9, stride, 4);
        shapes_check(&large);
        large = square(5, 23, 13, stride, 0);
        shapes_check(&large);
    }
}
END_TEST

/* Taps that lie wider apart than the map is: between two that see it there are pixels that none sees. */
START_TEST(depthwise_sees_through_wide_dilations)
{
    begin(_i);
    for (int64_t dilation = 1; dilation <= 20; dilation += 1 + dilation / 3) {
        struct conv_shape wide = square(level->width + 1, 12, 3, 1, 0);
        for (int axis = 1; axis < 3; axis++) {
            wide.dilation[axis] = dilation;
            wide.pad[axis] = dilation;
            wide.out[axis] = 12;
        }
        shapes_check(&wide);
    }
}
END_TEST

/* A plan is made before anybody asks for its memory: what is prepared must not be counted pixel by pixel. */
START_TEST(depthwise_prepares_any_length)
{
    begin(_i);
    struct conv_shape endless = square(level->width, 12, 3, 1, 1);
    endless.in[2] = endless.out[2] = (int64_t)1 << 40;
    for (int transposed = 0; transposed < 2; transposed++) {
        endless.transposed = transposed;
        struct conv_prepared *prepared = prepared_for(level, &endless);
        ck_assert_int_gt(level->convolve->units(prepared), 0);
        free(prepared);
    }
}
END_TEST

Suite *kernel_depthwise_suite(void);

Suite *kernel_depthwise_suite(void)
{
    Suite *suite = suite_create("kernel/depthwise");
    fixture_add(suite, "depthwise_computes_random_geometry", depthwise_computes_random_geometry);
    fixture_add(suite, "depthwise_computes_layers_of_known_models", depthwise_computes_layers_of_known_models);
    fixture_add(suite, "depthwise_computes_rows_of_any_length", depthwise_computes_rows_of_any_length);
    fixture_add(suite, "depthwise_bits_do_not_depend_on_position", depthwise_bits_do_not_depend_on_position);
    fixture_add(suite, "depthwise_sums_large_windows_in_parts", depthwise_sums_large_windows_in_parts);
    fixture_add(suite, "depthwise_sees_through_wide_dilations", depthwise_sees_through_wide_dilations);
    fixture_add(suite, "depthwise_prepares_any_length", depthwise_prepares_any_length);
    return suite;
}
