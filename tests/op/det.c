/* det.c - tests of src/op/det.c. */
#include "heavy.h"

#include <check.h>
#include <math.h>

static struct harness h;

static void expect_one(int64_t n, const float *x, float want)
{
    harness_begin(&h, "Det", 11);
    harness_floats(&h, 2, DIMS(n, n), x);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 0, NULL, &want, 1e-6f);
    harness_end(&h);
}

START_TEST(pivots_and_their_signs_multiply)
{
    expect_one(0, NULL, 1);
    expect_one(1, (float[]){-3}, -3);
    expect_one(2, (float[]){1, 2, 3, 4}, -2);
    expect_one(2, (float[]){0, 2, 3, 0}, -6);               /* a zero on the diagonal */
    expect_one(3, (float[]){0, 0, 1, 1, 0, 0, 0, 1, 0}, 1); /* two swaps */
    expect_one(3, (float[]){2, -1, 0, -1, 2, -1, 0, -1, 2}, 4);
    expect_one(3, (float[]){1, 2, 3, 2, 4, 6, 0, 0, 5}, 0); /* rows that depend on each other */
    expect_one(2, (float[]){1e-30f, 1, 1, 1}, -1);
    expect_one(3, (float[]){0, 0, 0, 0, NAN, 0, 0, 0, 1}, NAN);
}
END_TEST

START_TEST(stacks_give_one_number_a_matrix)
{
    harness_begin(&h, "Det", 22);
    harness_input(&h, PERCEPT_DOUBLE, 4, DIMS(2, 1, 2, 2), (double[]){1, 2, 3, 4, 1 + 0x1p-40, 0, 0, 1});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_DOUBLE, 2, DIMS(2, 1), (double[]){-2, 1 + 0x1p-40});
    harness_end(&h);
    harness_begin(&h, "Det", 11); /* no matrix, however large */
    harness_floats(&h, 3, DIMS(0, 1 << 30, 1 << 30), NULL);
    ck_assert_msg(harness_plan(&h), "%s", h.err.text);
    ck_assert_uint_eq(h.step.scratch_bytes, 0);
    harness_end(&h);
    harness_begin(&h, "Det", 11); /* matrices of nothing */
    harness_floats(&h, 3, DIMS(2, 0, 0), NULL);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 1, DIMS(2), (float[]){1, 1}, 0);
    harness_end(&h);
}
END_TEST

START_TEST(what_is_not_square_is_refused)
{
    harness_begin(&h, "Det", 11);
    harness_floats(&h, 2, DIMS(1, 2), (float[]){1, 2});
    harness_expect_failure(&h, ERR_INVALID, "shape [1,2] is no list of square matrices");
    harness_end(&h);
    harness_begin(&h, "Det", 11);
    harness_floats(&h, 1, DIMS(1), (float[]){1});
    harness_expect_failure(&h, ERR_INVALID, "shape [1] is no list");
    harness_end(&h);
    harness_begin(&h, "Det", 11);
    harness_input(&h, PERCEPT_INT32, 2, DIMS(1, 1), (int32_t[]){1});
    harness_expect_failure(&h, ERR_UNSUPPORTED, "input 0 is int32; float32 and float64 would work");
    harness_end(&h);
}
END_TEST

static void alone(struct harness *with)
{
    (void)with;
}

START_TEST(an_items_bits_depend_on_nobody)
{
    heavy_expect_same_bits("Det", 11, 1, 4, DIMS(0, 3, 7, 7), false, alone);
}
END_TEST

Suite *op_det_suite(void);
Suite *op_det_suite(void)
{
    Suite *suite = suite_create("op/det");
    TCase *tests = tcase_create("det");
    tcase_add_test(tests, pivots_and_their_signs_multiply);
    tcase_add_test(tests, stacks_give_one_number_a_matrix);
    tcase_add_test(tests, what_is_not_square_is_refused);
    tcase_add_test(tests, an_items_bits_depend_on_nobody);
    suite_add_tcase(suite, tests);
    return suite;
}
