/* unit.c - tests of src/op/unit.c. */
#include "heavy.h"

#include <check.h>
#include <math.h>
#include <string.h>

static struct harness h;

START_TEST(lrn_sums_squares_of_neighbouring_channels)
{
    harness_begin(&h, "LRN", 13);
    harness_int(&h, "size", 3);
    harness_float(&h, "alpha", 3);
    harness_float(&h, "beta", 0.5f);
    harness_floats(&h, 3, DIMS(1, 4, 1), (float[]){1, 2, 3, 4});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 3, DIMS(1, 4, 1), (float[]){1 / sqrtf(6), 2 / sqrtf(15), 3 / sqrtf(30), 4 / sqrtf(26)},
                          1e-6f);
    harness_end(&h);
}
END_TEST

START_TEST(a_line_without_channels_is_refused)
{
    harness_begin(&h, "LRN", 13);
    harness_int(&h, "size", 3);
    harness_floats(&h, 1, DIMS(2), (float[]){1, 2});
    harness_expect_failure(&h, ERR_INVALID, "rank 1; 2 to");
    harness_end(&h);
}
END_TEST

START_TEST(missing_attributes_are_refused)
{
    harness_begin(&h, "LRN", 13);
    harness_floats(&h, 3, DIMS(1, 1, 1), (float[]){1});
    ck_assert(!harness_check(&h));
    ck_assert_ptr_nonnull(strstr(h.err.text, "size"));
    harness_end(&h);
}
END_TEST

START_TEST(mean_variance_normalization_takes_its_axes_together)
{
    harness_begin(&h, "MeanVarianceNormalization", 13);
    harness_floats(&h, 4, DIMS(2, 2, 1, 1), (float[]){1, 10, 3, 30});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 4, DIMS(2, 2, 1, 1), (float[]){-1, -1, 1, 1}, 1e-6f);
    harness_end(&h);
}
END_TEST

START_TEST(axes_may_be_named)
{
    harness_begin(&h, "MeanVarianceNormalization", 13);
    harness_int_list(&h, "axes", 1, DIMS(-1));
    harness_floats(&h, 2, DIMS(2, 2), (float[]){1, 3, 10, 30});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 2, DIMS(2, 2), (float[]){-1, 1, -1, 1}, 1e-6f);
    harness_end(&h);
}
END_TEST

START_TEST(lp_normalization_leaves_zeros_alone)
{
    harness_begin(&h, "LpNormalization", 1);
    harness_int(&h, "axis", 0);
    harness_floats(&h, 2, DIMS(2, 2), (float[]){3, 0, 4, 0});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 2, DIMS(2, 2), (float[]){0.6f, 0, 0.8f, 0}, 1e-6f);
    harness_end(&h);
    harness_begin(&h, "LpNormalization", 1);
    harness_int(&h, "p", 1);
    harness_floats(&h, 1, DIMS(2), (float[]){-1, 3});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 1, DIMS(2), (float[]){-0.25f, 0.75f}, 1e-6f);
    harness_end(&h);
}
END_TEST

START_TEST(lp_normalization_takes_doubles_and_the_others_do_not)
{
    harness_begin(&h, "LpNormalization", 1);
    harness_int(&h, "axis", 1);
    harness_input(&h, PERCEPT_DOUBLE, 3, DIMS(1, 2, 2), (double[]){3, 0, 4, 0});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_DOUBLE, 3, DIMS(1, 2, 2), (double[]){0.6, 0, 0.8, 0});
    harness_end(&h);
    harness_begin(&h, "LpNormalization", 1);
    harness_int(&h, "p", 1);
    harness_input(&h, PERCEPT_DOUBLE, 2, DIMS(2, 2), (double[]){-1, 4, 0x1p-60, 0});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_DOUBLE, 2, DIMS(2, 2), (double[]){-0.2, 0.8, 1, 0});
    harness_end(&h);
    harness_begin(&h, "LRN", 13);
    harness_int(&h, "size", 1);
    harness_input(&h, PERCEPT_DOUBLE, 3, DIMS(1, 1, 1), (double[]){1});
    harness_expect_failure(&h, ERR_UNSUPPORTED, "float64; float32 would work");
    harness_end(&h);
}
END_TEST

static void sized(struct harness *harness)
{
    harness_int(harness, "size", 3);
}

static void last_axis(struct harness *harness)
{
    harness_int(harness, "axis", -1);
}

START_TEST(an_items_bits_depend_on_nobody)
{
    heavy_expect_same_bits("LRN", 13, 1, 4, DIMS(0, 5, 3, 7), false, sized);
    heavy_expect_same_bits("LpNormalization", 1, 1, 3, DIMS(0, 5, 19), false, last_axis);
}
END_TEST

Suite *op_unit_suite(void);
Suite *op_unit_suite(void)
{
    Suite *suite = suite_create("op/unit");
    TCase *tests = tcase_create("unit");
    tcase_add_test(tests, lrn_sums_squares_of_neighbouring_channels);
    tcase_add_test(tests, a_line_without_channels_is_refused);
    tcase_add_test(tests, missing_attributes_are_refused);
    tcase_add_test(tests, mean_variance_normalization_takes_its_axes_together);
    tcase_add_test(tests, axes_may_be_named);
    tcase_add_test(tests, lp_normalization_leaves_zeros_alone);
    tcase_add_test(tests, lp_normalization_takes_doubles_and_the_others_do_not);
    tcase_add_test(tests, an_items_bits_depend_on_nobody);
    suite_add_tcase(suite, tests);
    return suite;
}
