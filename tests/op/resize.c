/* resize.c - tests of src/op/resize.c; the expected numbers are ONNX's own examples or done by
 * hand. */
#include "heavy.h"

#include <check.h>
#include <math.h>
#include <string.h>

static struct harness h;

static const float ramp[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

/* Resize of 1-D data by a scale or to a size. */
static void line(int64_t n, const char *mode, const char *coordinates)
{
    harness_begin(&h, "Resize", 19);
    harness_text(&h, "mode", mode);
    harness_text(&h, "coordinate_transformation_mode", coordinates);
    harness_floats(&h, 1, &n, ramp);
    harness_left_out(&h);
}

static void scaled(float scale)
{
    harness_floats(&h, 1, DIMS(1), &scale);
    harness_as_known(&h);
}

static void sized(int64_t size)
{
    harness_left_out(&h);
    harness_int64s(&h, 1, DIMS(1), &size);
    harness_as_known(&h);
}

static void expect(int64_t n, const float *want)
{
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 1, &n, want, 1e-5f);
    harness_end(&h);
}

START_TEST(linear_follows_each_coordinate_transformation)
{
    line(2, "linear", "half_pixel");
    scaled(2);
    expect(4, (float[]){1, 1.25f, 1.75f, 2});
    line(2, "linear", "align_corners");
    scaled(2);
    expect(4, (float[]){1, 4 / 3.0f, 5 / 3.0f, 2});
    line(2, "linear", "asymmetric");
    scaled(2);
    expect(4, (float[]){1, 1.5f, 2, 2});
    line(4, "linear", "asymmetric"); /* the same length, and yet another picture */
    scaled(1.2f);
    expect(4, (float[]){1, 1 + 1 / 1.2f, 1 + 2 / 1.2f, 1 + 3 / 1.2f});
    line(4, "linear", "pytorch_half_pixel");
    sized(1);
    expect(1, (float[]){1});
    line(3, "linear", "pytorch_half_pixel"); /* a nominal length of 1.5 is a length of 1 */
    scaled(0.5f);
    expect(1, (float[]){1});
    line(4, "linear", "half_pixel");
    sized(2);
    expect(2, (float[]){1.5f, 3.5f});
}
END_TEST

START_TEST(nearest_rounds_as_asked)
{
    static const char *const modes[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"};
    static const float want[4][4] = {{1, 1, 2, 2}, {1, 2, 2, 2}, {1, 1, 2, 2}, {1, 2, 2, 2}};
    for (int i = 0; i < 4; i++) {
        line(2, "nearest", "asymmetric");
        harness_text(&h, "nearest_mode", modes[i]);
        scaled(2);
        expect(4, want[i]);
    }
}
END_TEST

/* Resize 11: "tf_half_pixel_for_nn", x_original = (x_resized + 0.5) / scale */
START_TEST(nearest_of_tensorflow_looks_at_the_middle_of_a_pixel)
{
    line(4, "nearest", "tf_half_pixel_for_nn");
    harness_text(&h, "nearest_mode", "floor");
    scaled(0.6f);
    expect(2, (float[]){1, 3});
    line(4, "nearest", "asymmetric");
    harness_text(&h, "nearest_mode", "floor");
    scaled(0.6f);
    expect(2, (float[]){1, 2});
}
END_TEST

START_TEST(cubic_follows_its_coefficient_and_may_exclude_the_outside)
{
    line(4, "cubic", "half_pixel");
    scaled(0.5f);
    expect(2, (float[]){1.40625f, 3.59375f}); /* weights -3/32 19/32 19/32 -3/32 */
    line(4, "cubic", "half_pixel");
    harness_int(&h, "exclude_outside", 1);
    scaled(0.5f);
    expect(2, (float[]){(19 * 1 + 19 * 2 - 3 * 3) / 35.0f, (-3 * 2 + 19 * 3 + 19 * 4) / 35.0f});
    line(4, "cubic", "pytorch_half_pixel"); /* a length of 1 reads the first pixel, not half before it */
    sized(1);
    expect(1, (float[]){1});
}
END_TEST

START_TEST(antialiasing_widens_the_filter)
{
    line(4, "linear", "half_pixel");
    harness_int(&h, "antialias", 1);
    scaled(0.5f); /* at 0.5: triangle of reach 2 over 0..2, the edge repeated on the left */
    expect(2, (float[]){(1 + 3 * 1 + 3 * 2 + 3) / 8.0f, (2 + 3 * 3 + 3 * 4 + 4) / 8.0f});
}
END_TEST

/* A mean of equals is what they are, but for two roundings of each weight: 1e-6 of it. */
START_TEST(antialiased_means_of_many_are_as_good_as_those_of_few)
{
    static float x[3 << 20];
    const char *const modes[] = {"linear", "cubic"};
    for (int i = 0; i < 3 << 20; i++)
        x[i] = 0.1f;
    for (int i = 0; i < 4; i++) { /* columns of one number and of three */
        const int columns = i / 2 ? 3 : 1;
        harness_begin(&h, "Resize", 18);
        harness_text(&h, "mode", modes[i % 2]);
        harness_int(&h, "antialias", 1);
        harness_floats(&h, 2, DIMS(1 << 20, columns), x);
        harness_left_out(&h);
        harness_floats(&h, 1, DIMS(2), (float[]){1.0f / (1 << 20), 1});
        harness_as_constant(&h);
        ck_assert_msg(harness_run(&h), "%s", h.err.text);
        harness_expect_floats(&h, 0, 2, DIMS(1, columns), (float[]){0.1f, 0.1f, 0.1f}, 1e-7f);
        harness_end(&h);
    }
}
END_TEST

/* 1 and 4 at quarters: what follows the point goes, on both sides of zero. */
START_TEST(interpolated_integers_are_cut)
{
    const struct {
        enum percept_dtype dtype;
        const void *x, *want;
    } rows[] = {
        {PERCEPT_UINT8, (uint8_t[]){1, 4, 255, 254}, (uint8_t[]){1, 1, 3, 66, 192, 254, 254, 254}},
        {PERCEPT_INT8, (int8_t[]){-1, -4, 127, -128}, (int8_t[]){-1, -1, -3, 28, 94, 63, -64, -128}},
        {PERCEPT_INT32, (int32_t[]){-1000000001, 1000000000, 7, 0},
         (int32_t[]){-1000000001, -500000000, 499999999, 750000001, 250000005, 5, 1, 0}},
        {PERCEPT_DOUBLE, (double[]){0, 1, 1, 1e300}, (double[]){0, 0.25, 0.75, 1, 1, 0.25e300, 0.75e300, 1e300}}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        harness_begin(&h, "Resize", 13);
        harness_text(&h, "mode", "linear");
        harness_input(&h, rows[i].dtype, 1, DIMS(4), rows[i].x);
        harness_left_out(&h);
        scaled(2);
        ck_assert_msg(harness_run(&h), "%s", h.err.text);
        harness_expect(&h, 0, rows[i].dtype, 1, DIMS(8), rows[i].want);
        harness_end(&h);
    }
}
END_TEST

/* Thirds and sevenths have no exact weights. */
START_TEST(a_picture_of_one_colour_keeps_it)
{
    static const char *const modes[] = {"linear", "cubic"};
    for (int value = 1; value < 256; value += 23) {
        for (int i = 0; i < 2; i++) {
            uint8_t x[25], want[21];
            memset(x, value, sizeof x);
            memset(want, value, sizeof want);
            harness_begin(&h, "Resize", 13);
            harness_text(&h, "mode", modes[i]);
            harness_input(&h, PERCEPT_UINT8, 2, DIMS(5, 5), x);
            harness_left_out(&h);
            harness_left_out(&h);
            harness_int64s(&h, 1, DIMS(2), DIMS(3, 7));
            harness_as_known(&h);
            ck_assert_msg(harness_run(&h), "%s", h.err.text);
            harness_expect(&h, 0, PERCEPT_UINT8, 2, DIMS(3, 7), want);
            harness_end(&h);
        }
    }
}
END_TEST

/* Cubic goes beyond what it came from: -3/32 255 and 35/32 255. */
START_TEST(integers_stay_within_their_type)
{
    harness_begin(&h, "Resize", 13);
    harness_text(&h, "mode", "cubic");
    harness_input(&h, PERCEPT_UINT8, 1, DIMS(8), (uint8_t[]){0, 0, 255, 255, 255, 255, 0, 0});
    harness_left_out(&h);
    scaled(0.5f);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_UINT8, 1, DIMS(4), (uint8_t[]){0, 255, 255, 0});
    harness_end(&h);
}
END_TEST

START_TEST(antialiased_integers_are_rounded)
{
    harness_begin(&h, "Resize", 18);
    harness_text(&h, "mode", "linear");
    harness_int(&h, "antialias", 1);
    harness_input(&h, PERCEPT_UINT8, 1, DIMS(4), (uint8_t[]){1, 2, 3, 5});
    harness_left_out(&h);
    scaled(0.5f); /* 13/8, 31/8 */
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_UINT8, 1, DIMS(2), (uint8_t[]){2, 4});
    harness_end(&h);
}
END_TEST

START_TEST(what_is_no_number_is_not_interpolated)
{
    harness_begin(&h, "Resize", 13);
    harness_text(&h, "mode", "linear");
    harness_input(&h, PERCEPT_BOOL, 1, DIMS(2), (uint8_t[]){0, 1});
    harness_left_out(&h);
    scaled(2);
    ck_assert(!harness_plan(&h));
    ck_assert_ptr_nonnull(strstr(h.err.text, "numbers can be interpolated"));
    harness_end(&h);
}
END_TEST

/* An infinity is seen where the filter reaches: one neighbour on either side, with cubic two; no further. */
START_TEST(what_is_infinite_stays_where_it_is)
{
    const float x[] = {1, 2, 3, 4, 5, INFINITY, 7, 8, 9, 10, 11};
    for (int cubic = 0; cubic < 2; cubic++) {
        harness_begin(&h, "Resize", 19);
        harness_text(&h, "mode", cubic ? "cubic" : "linear");
        harness_floats(&h, 1, DIMS(11), x);
        harness_left_out(&h);
        scaled(2);
        harness_ran(&h);
        const float *y = harness_out(&h, 0)->data;
        for (int o = 0; o < 22; o++) {
            const int left = (int)floorf(((float)o + 0.5F) / 2 - 0.5F); /* between it and the next */
            const bool near = left >= 4 - cubic && left <= 5 + cubic;
            ck_assert_msg(isfinite(y[o]) != near, "%s: %d is %g", cubic ? "cubic" : "linear", o, (double)y[o]);
        }
        harness_end(&h);
    }
}
END_TEST

START_TEST(cropping_extrapolates_elements_of_any_number)
{
    for (int nearest = 0; nearest < 2; nearest++) {
        harness_begin(&h, "Resize", 19);
        harness_text(&h, "mode", nearest ? "nearest" : "linear");
        harness_text(&h, "coordinate_transformation_mode", "tf_crop_and_resize");
        harness_float(&h, "extrapolation_value", 10.9f);
        harness_input(&h, PERCEPT_UINT8, 1, DIMS(3), (uint8_t[]){1, 2, 3});
        harness_floats(&h, 1, DIMS(2), (float[]){0, 2});
        harness_as_known(&h);
        scaled(1);
        ck_assert_msg(harness_run(&h), "%s", h.err.text);
        harness_expect(&h, 0, PERCEPT_UINT8, 1, DIMS(3), (uint8_t[]){1, 3, 10});
        harness_end(&h);
    }
}
END_TEST

START_TEST(cropping_extrapolates)
{
    const float roi[] = {0, 2};
    harness_begin(&h, "Resize", 19);
    harness_text(&h, "mode", "linear");
    harness_text(&h, "coordinate_transformation_mode", "tf_crop_and_resize");
    harness_float(&h, "extrapolation_value", 10);
    harness_floats(&h, 1, DIMS(3), ramp);
    harness_floats(&h, 1, DIMS(2), roi);
    harness_as_known(&h);
    scaled(1);
    expect(3, (float[]){1, 3, 10});
}
END_TEST

START_TEST(the_aspect_ratio_is_kept_when_asked)
{
    static const int64_t sizes[] = {4, 3};
    for (int larger = 0; larger < 2; larger++) {
        harness_begin(&h, "Resize", 18);
        harness_text(&h, "keep_aspect_ratio_policy", larger ? "not_smaller" : "not_larger");
        harness_int_list(&h, "axes", 2, DIMS(2, -1));
        harness_floats(&h, 4, DIMS(1, 1, 2, 2), ramp);
        harness_left_out(&h);
        harness_left_out(&h);
        harness_int64s(&h, 1, DIMS(2), sizes);
        harness_as_known(&h);
        ck_assert_msg(harness_run(&h), "%s", h.err.text);
        ck_assert_int_eq(harness_out(&h, 0)->dims[2], larger ? 4 : 3);
        ck_assert_int_eq(harness_out(&h, 0)->dims[3], larger ? 4 : 3);
        harness_end(&h);
    }
}
END_TEST

START_TEST(upsample_repeats_elements_of_any_type)
{
    harness_begin(&h, "Upsample", 9);
    harness_input(&h, PERCEPT_UINT8, 4, DIMS(1, 1, 1, 2), (uint8_t[]){7, 9});
    harness_floats(&h, 1, DIMS(4), (float[]){1, 1, 2, 2});
    harness_as_constant(&h);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_UINT8, 4, DIMS(1, 1, 2, 4), (uint8_t[]){7, 7, 9, 9, 7, 7, 9, 9});
    harness_end(&h);
}
END_TEST

START_TEST(the_first_upsample_has_its_scales_in_an_attribute)
{
    harness_begin(&h, "Upsample", 7);
    harness_text(&h, "mode", "linear");
    harness_float_list(&h, "scales", 1, (float[]){2});
    harness_floats(&h, 1, DIMS(2), ramp);
    expect(4, (float[]){1, 1.5f, 2, 2});
}
END_TEST

START_TEST(blocked_pictures_stay_blocked_and_agree_with_plain_ones)
{
    enum { C = 19, OUT = 2 * C * 6 * 5 };
    static const char *const modes[] = {"nearest", "linear", "cubic"};
    float *x = heavy_numbers(1, 2 * C * 3 * 4), plain[OUT];
    for (int i = 0; i < 6; i++) {
        harness_begin(&h, "Resize", 13);
        harness_text(&h, "mode", modes[i / 2]);
        harness_floats(&h, 4, DIMS(2, C, 3, 4), x);
        if (i % 2)
            harness_as_blocked(&h);
        harness_left_out(&h);
        harness_left_out(&h);
        harness_int64s(&h, 1, DIMS(4), DIMS(2, C, 6, 5));
        harness_as_known(&h);
        ck_assert_msg(harness_run(&h), "%s", h.err.text);
        ck_assert_int_eq(h.out_layout[0], i % 2 ? LAYOUT_BLOCKED : LAYOUT_PLAIN);
        if (i % 2)
            harness_expect_floats(&h, 0, 4, DIMS(2, C, 6, 5), plain, 1e-6f);
        else
            memcpy(plain, harness_out(&h, 0)->data, sizeof plain);
        harness_end(&h);
    }
}
END_TEST

START_TEST(scales_that_follow_from_data_are_refused)
{
    const float scale = 2;
    line(2, "linear", "half_pixel");
    harness_floats(&h, 1, DIMS(1), &scale);
    ck_assert(!harness_plan(&h));
    ck_assert_ptr_nonnull(strstr(h.err.text, "depends on data"));
    harness_end(&h);
}
END_TEST

START_TEST(nothing_to_do_moves_no_data)
{
    line(2, "linear", "half_pixel");
    scaled(1);
    ck_assert(harness_plan(&h));
    ck_assert_int_eq(h.step.alias, 1);
    harness_end(&h);
    for (int part = 0; part < 2; part++) { /* the whole is no part */
        harness_begin(&h, "Resize", 19);
        harness_text(&h, "coordinate_transformation_mode", "tf_crop_and_resize");
        harness_floats(&h, 1, DIMS(2), ramp);
        harness_floats(&h, 1, DIMS(2), (float[]){0, part ? 0.5F : 1});
        harness_as_known(&h);
        scaled(1);
        ck_assert(harness_plan(&h));
        ck_assert_int_eq(h.step.alias, !part);
        harness_end(&h);
    }
}
END_TEST

static void rest_twice(struct harness *harness)
{
    harness_text(harness, "mode", "linear");
    harness_left_out(harness);
    harness_floats(harness, 1, DIMS(4), (float[]){1, 1, 2, 1.5f});
    harness_as_constant(harness);
}

START_TEST(an_items_bits_depend_on_nobody)
{
    heavy_expect_same_bits("Resize", 13, 1, 4, DIMS(0, 19, 3, 4), true, rest_twice);
    heavy_expect_same_bits("Resize", 13, 1, 4, DIMS(0, 3, 3, 4), false, rest_twice);
}
END_TEST

START_TEST(a_picture_of_nothing_needs_no_scratch)
{
    harness_begin(&h, "Resize", 13);
    harness_text(&h, "mode", "linear");
    harness_floats(&h, 4, DIMS(0, 1, 2, 2), NULL);
    harness_left_out(&h);
    harness_floats(&h, 1, DIMS(4), (float[]){1, 1, 2, 1.5f});
    harness_as_constant(&h);
    ck_assert_msg(harness_plan(&h), "%s", h.err.text);
    h.step.scratch = NULL;
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 4, DIMS(0, 1, 4, 3), NULL, 0);
    harness_end(&h);
}
END_TEST

/* Seen by the fuzzer: the tables of an axis are as long as the axis, however little is to be done. */
START_TEST(a_picture_of_nothing_needs_no_tables)
{
    harness_begin(&h, "Resize", 13);
    harness_text(&h, "mode", "nearest");
    harness_floats(&h, 4, DIMS(0, 1, 2, 2), NULL);
    harness_left_out(&h);
    harness_floats(&h, 1, DIMS(4), (float[]){1, 1, 1e6f, 1});
    harness_as_constant(&h);
    ck_assert_msg(harness_plan(&h), "%s", h.err.text);
    ck_assert_uint_lt(h.step.arena->used_bytes, 1 << 20);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_end(&h);
}
END_TEST

Suite *op_resize_suite(void);
Suite *op_resize_suite(void)
{
    Suite *suite = suite_create("op/resize");
    TCase *tests = tcase_create("resize");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, linear_follows_each_coordinate_transformation);
    tcase_add_test(tests, nearest_rounds_as_asked);
    tcase_add_test(tests, nearest_of_tensorflow_looks_at_the_middle_of_a_pixel);
    tcase_add_test(tests, cubic_follows_its_coefficient_and_may_exclude_the_outside);
    tcase_add_test(tests, antialiasing_widens_the_filter);
    tcase_add_test(tests, antialiased_means_of_many_are_as_good_as_those_of_few);
    tcase_add_test(tests, interpolated_integers_are_cut);
    tcase_add_test(tests, a_picture_of_one_colour_keeps_it);
    tcase_add_test(tests, integers_stay_within_their_type);
    tcase_add_test(tests, antialiased_integers_are_rounded);
    tcase_add_test(tests, what_is_no_number_is_not_interpolated);
    tcase_add_test(tests, what_is_infinite_stays_where_it_is);
    tcase_add_test(tests, cropping_extrapolates_elements_of_any_number);
    tcase_add_test(tests, cropping_extrapolates);
    tcase_add_test(tests, the_aspect_ratio_is_kept_when_asked);
    tcase_add_test(tests, upsample_repeats_elements_of_any_type);
    tcase_add_test(tests, the_first_upsample_has_its_scales_in_an_attribute);
    tcase_add_test(tests, blocked_pictures_stay_blocked_and_agree_with_plain_ones);
    tcase_add_test(tests, scales_that_follow_from_data_are_refused);
    tcase_add_test(tests, nothing_to_do_moves_no_data);
    tcase_add_test(tests, an_items_bits_depend_on_nobody);
    tcase_add_test(tests, a_picture_of_nothing_needs_no_scratch);
    tcase_add_test(tests, a_picture_of_nothing_needs_no_tables);
    suite_add_tcase(suite, tests);
    return suite;
}
