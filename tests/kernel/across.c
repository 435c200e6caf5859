/*
 * across.c - convolutions with few outputs against the definition, on every level that this CPU runs.
 */
#include "prepared.h"
#include "shapes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_across(const struct conv_shape *shape)
{
    const int algorithm = level->convolve->choose(shape, PRECISION_EXACT);
    return strcmp(level->convolve->name(algorithm), "across") == 0;
}

/* A transposed convolution with stride 2 that doubles a map. */
static struct conv_shape doubling(int64_t in, int64_t out, int64_t size, int64_t kernel)
{
    struct conv_shape shape = shapes_square(in, out, size, kernel, 2, (kernel - 1) / 2);
    shape.transposed = true;
    for (int axis = 1; axis < 3; axis++)
        shape.out[axis] = 2 * size;
    return shape;
}

START_TEST(across_computes_few_outputs)
{
    begin(_i);
    const int64_t width = level->width;
    int n = 0;
    for (int64_t out = 1; out < width; out++)
        for (int64_t in = width - 1; in <= 3 * width + 1; in++) {
            const struct conv_shape shape = shapes_square(in, out, 7, 3, 1, 1);
            n += is_across(&shape);
            shapes_check(&shape);
        }
    if (width >= 8)
        ck_assert_int_gt(n, 0);
}
END_TEST

/* Rows of every length: all tiles, and what is left of a row. */
START_TEST(across_computes_rows_of_any_length)
{
    begin(_i);
    const int64_t width = level->width;
    for (int64_t out = 1; out <= 5; out++)
        for (int64_t size = 1; size <= 40; size += size < 20 ? 1 : 3) {
            const struct conv_shape one = shapes_square(2 * width + 3, out, size, 1, 1, 0);
            const struct conv_shape same = shapes_square(2 * width, out, size, 3, 1, 1);
            const struct conv_shape shrink = shapes_square(width + 1, out, size, 3, 2, 1);
            shapes_check(&one);
            shapes_check(&same);
            shapes_check(&shrink);
        }
}
END_TEST

START_TEST(across_computes_transposed)
{
    begin(_i);
    const int64_t width = level->width;
    for (int64_t out = 1; out <= 4; out++)
        for (int64_t size = 1; size <= 20; size += 3)
            for (int64_t kernel = 2; kernel <= 4; kernel++) {
                const struct conv_shape shape = doubling(2 * width + out - 1, out, size, kernel);
                shapes_check(&shape);
            }
}
END_TEST

/* More taps and blocks than a part of a sum has. */
START_TEST(across_sums_in_parts)
{
    begin(_i);
    const int64_t width = level->width;
    const struct conv_shape draws = shapes_square(2 * width, 3, 12, 9, 1, 4);
    const struct conv_shape deep = shapes_square(70 * width - 1, 1, 3, 1, 1, 0);
    const struct conv_shape deeper = shapes_square(70 * width, 2, 9, 8, 1, 0);
    shapes_check(&draws);
    shapes_check(&deep);
    shapes_check(&deeper);
}
END_TEST

/* Over a picture of one number per channel all outputs that see no edge have the same bits. */
START_TEST(across_bits_do_not_depend_on_position)
{
    begin(_i);
    const int64_t channels = 2 * level->width + 3, w = level->width;
    for (int64_t size = 5; size < 40; size += 3)
        for (int64_t out = 1; out <= 4; out++) {
            const struct conv_shape shape = shapes_square(channels, out, size, 3, 1, 1);
            const float *pattern = guarded_numbers(channels);
            float *plain = guarded(channels * size * size);
            for (int64_t i = 0; i < channels * size * size; i++)
                plain[i] = pattern[i / (size * size)];
            const float *map =
                shapes_run(&shape, to_blocks(plain, channels, size * size), guarded_numbers(out * channels * 9));
            for (int64_t at = 0; at < size * size; at++) {
                const int64_t y = at / size, x = at % size;
                const bool inside = y > 0 && x > 0 && y + 1 < size && x + 1 < size;
                FAIL_UNLESS(!inside || same_bits(map + at * w, map + (size + 1) * w, out),
                            "size %ld out %ld at %ld, %ld", (long)size, (long)out, (long)y, (long)x);
            }
            release();
        }
}
END_TEST

Suite *kernel_across_suite(void);

Suite *kernel_across_suite(void)
{
    Suite *suite = suite_create("kernel/across");
    fixture_add(suite, "across_computes_few_outputs", across_computes_few_outputs);
    fixture_add(suite, "across_computes_rows_of_any_length", across_computes_rows_of_any_length);
    fixture_add(suite, "across_computes_transposed", across_computes_transposed);
    fixture_add(suite, "across_sums_in_parts", across_sums_in_parts);
    fixture_add(suite, "across_bits_do_not_depend_on_position", across_bits_do_not_depend_on_position);
    return suite;
}
