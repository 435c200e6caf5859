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
    fixture_add(suite, "depthwise_sums_large_windows_in_parts", depthwise_sums_large_windows_in_parts);
    fixture_add(suite, "depthwise_sees_through_wide_dilations", depthwise_sees_through_wide_dilations);
    fixture_add(suite, "depthwise_prepares_any_length", depthwise_prepares_any_length);
    return suite;
}
