/* softmax.c - tests of src/op/softmax.c. */
#include "heavy.h"

#include <check.h>
#include <math.h>

static struct harness h;

START_TEST(softmax_sums_to_one_along_the_last_axis)
{
    harness_begin(&h, "Softmax", 13);
    harness_floats(&h, 2, DIMS(2, 3), (float[]){0, 0, 0, 1, 2, 3});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    const float third = 1.0f / 3;
    harness_expect_floats(&h, 0, 2, DIMS(2, 3), (float[]){third, third, third, 0.09003057f, 0.24472847f, 0.66524096f},
                          1e-6f);
    harness_end(&h);
}
END_TEST

START_TEST(softmax_works_along_an_inner_axis)
{
    harness_begin(&h, "Softmax", 13);
    harness_int(&h, "axis", -2);
    harness_floats(&h, 3, DIMS(1, 2, 2), (float[]){0, 1, 0, 0});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    const float s = 1 / (1 + expf(-1));
    harness_expect_floats(&h, 0, 3, DIMS(1, 2, 2), (float[]){0.5f, s, 0.5f, 1 - s}, 1e-6f);
    harness_end(&h);
}
END_TEST

START_TEST(before_opset_13_all_axes_from_axis_on_are_one_row)
{
    harness_begin(&h, "Softmax", 11);
    harness_floats(&h, 3, DIMS(1, 2, 2), (float[]){0, 0, 0, 0});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 3, DIMS(1, 2, 2), (float[]){0.25f, 0.25f, 0.25f, 0.25f}, 1e-6f);
    harness_end(&h);
}
END_TEST

START_TEST(log_softmax_is_the_logarithm)
{
    harness_begin(&h, "LogSoftmax", 13);
    harness_floats(&h, 1, DIMS(2), (float[]){1000, 1000});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 1, DIMS(2), (float[]){-logf(2), -logf(2)}, 1e-6f);
    harness_end(&h);
}
END_TEST

START_TEST(hardmax_marks_the_first_maximum)
{
    harness_begin(&h, "Hardmax", 13);
    harness_int(&h, "axis", 0);
    harness_floats(&h, 2, DIMS(3, 2), (float[]){1, 5, 3, 5, 3, 2});
    h.overwrite = true;
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 2, DIMS(3, 2), (float[]){0, 1, 1, 0, 0, 0}, 0);
    harness_end(&h);
}
END_TEST

START_TEST(an_axis_outside_the_rank_is_refused)
{
    harness_begin(&h, "Softmax", 13);
    harness_int(&h, "axis", 2);
    harness_floats(&h, 2, DIMS(1, 1), (float[]){0});
    ck_assert(!harness_plan(&h));
    ck_assert_str_ne(h.err.text, "");
    harness_end(&h);
}
END_TEST

static void no_rest(struct harness *harness)
{
    (void)harness;
}

START_TEST(an_items_bits_depend_on_nobody)
{
    heavy_expect_same_bits("Softmax", 13, 1, 3, DIMS(0, 5, 37), false, no_rest);
}
END_TEST

START_TEST(doubles_keep_their_digits)
{
    static const double want[] = {0.25, 0.75};
    harness_begin(&h, "Softmax", 13);
    harness_input(&h, PERCEPT_DOUBLE, 1, DIMS(2), (double[]){1000, 1000 + 1.0986122886681098});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    for (int i = 0; i < 2; i++)
        ck_assert_double_eq_tol(((const double *)harness_out(&h, 0)->data)[i], want[i], 1e-12);
    harness_end(&h);
    harness_begin(&h, "LogSoftmax", 13);
    harness_int(&h, "axis", 0);
    h.overwrite = true;
    harness_input(&h, PERCEPT_DOUBLE, 2, DIMS(2, 2), (double[]){0, 5, 0, 5});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    for (int i = 0; i < 4; i++)
        ck_assert_double_eq_tol(((const double *)harness_out(&h, 0)->data)[i], -log(2), 1e-12);
    harness_end(&h);
    harness_begin(&h, "Hardmax", 13);
    harness_input(&h, PERCEPT_DOUBLE, 1, DIMS(3), (double[]){1, 3, 3});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_DOUBLE, 1, DIMS(3), (double[]){0, 1, 0});
    harness_end(&h);
}
END_TEST

/* Longer than SOFTMAX_LONG: in slabs, of which the last is short; against sums in double. */
START_TEST(a_long_line_is_done_in_slabs)
{
    const int64_t n = 70001;
    for (int64_t inner = 1; inner < 4; inner += 2)
        for (int log_too = 0; log_too < 2; log_too++) {
            struct harness one;
            float *x = heavy_numbers(3, 2 * n * inner);
            harness_begin(&one, log_too ? "LogSoftmax" : "Softmax", 13);
            harness_int(&one, "axis", 1);
            harness_floats(&one, 3, DIMS(2, n, inner), x);
            ck_assert_msg(harness_run(&one), "%s", one.err.text);
            const float *y = harness_out(&one, 0)->data;
            for (int64_t line = 0; line < 2 * inner; line++) {
                const int64_t at = line / inner * n * inner + line % inner;
                double sum = 0;
                for (int64_t i = 0; i < n; i++)
                    sum += exp((double)x[at + i * inner]);
                for (int64_t i = 0; i < n; i++) {
                    const double want = exp((double)x[at + i * inner]) / sum, got = (double)y[at + i * inner];
                    /* exp of a difference rounded to float, and a sum of floats' exps */
                    ck_assert_double_le(fabs(log_too ? got - log(want) : got / want - 1), 3e-6);
                }
            }
            harness_end(&one);
        }
}
END_TEST

Suite *op_softmax_suite(void);
Suite *op_softmax_suite(void)
{
    Suite *suite = suite_create("op/softmax");
    TCase *tests = tcase_create("softmax");
    tcase_add_test(tests, softmax_sums_to_one_along_the_last_axis);
    tcase_add_test(tests, softmax_works_along_an_inner_axis);
    tcase_add_test(tests, before_opset_13_all_axes_from_axis_on_are_one_row);
    tcase_add_test(tests, log_softmax_is_the_logarithm);
    tcase_add_test(tests, hardmax_marks_the_first_maximum);
    tcase_add_test(tests, an_axis_outside_the_rank_is_refused);
    tcase_add_test(tests, an_items_bits_depend_on_nobody);
    tcase_add_test(tests, doubles_keep_their_digits);
    tcase_add_test(tests, a_long_line_is_done_in_slabs);
    suite_add_tcase(suite, tests);
    return suite;
}
