/* inverse.c - tests of src/op/inverse.c. */
#include <check.h>
#include <math.h>

#include "harness.h"

static struct harness h;

static void begin(int rank, const int64_t *dims, const float *x)
{
    harness_begin_in(&h, "com.microsoft", "Inverse", 1);
    harness_floats(&h, rank, dims, x);
}

static void expect_one(int64_t n, const float *x, const float *want)
{
    begin(2, DIMS(n, n), x);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 2, DIMS(n, n), want, 1e-7F);
    harness_end(&h);
}

START_TEST(matrices_are_turned_round)
{
    expect_one(1, (float[]){-4}, (float[]){-0.25F});
    expect_one(2, (float[]){1, 2, 3, 4}, (float[]){-2, 1, 1.5F, -0.5F});
    expect_one(2, (float[]){0, 2, 4, 0}, (float[]){0, 0.25F, 0.5F, 0}); /* a zero on the diagonal */
    expect_one(3, (float[]){0, 0, 1, 1, 0, 0, 0, 1, 0}, (float[]){0, 1, 0, 0, 0, 1, 1, 0, 0}); /* two swaps */
    expect_one(3, (float[]){2, -1, 0, -1, 2, -1, 0, -1, 2},
               (float[]){0.75F, 0.5F, 0.25F, 0.5F, 1, 0.5F, 0.25F, 0.5F, 0.75F});
    expect_one(2, (float[]){1e-30F, 1, 1, 1}, (float[]){-1, 1, 1, -1e-30F});
}
END_TEST

/* Times itself it is one: 24 x 24 of random numbers, as floats and as doubles, in a stack. */
START_TEST(a_stack_times_its_inverses_is_one)
{
    enum { N = 24 };
    static double x[2 * N * N];
    uint32_t seed = 3;
    for (int i = 0; i < 2 * N * N; i++) {
        seed = seed * 1664525U + 1013904223U;
        x[i] = (double)(seed >> 8) / 8388608 - 1 + (i % (N * N) % (N + 1) == 0 ? 4 : 0);
    }
    harness_begin_in(&h, "com.microsoft", "Inverse", 1);
    harness_input(&h, PERCEPT_DOUBLE, 4, DIMS(1, 2, N, N), x);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    const double *y = harness_out(&h, 0)->data;
    for (int m = 0; m < 2; m++)
        for (int i = 0; i < N * N; i++) {
            double sum = 0;
            for (int k = 0; k < N; k++)
                sum += x[m * N * N + i / N * N + k] * y[m * N * N + k * N + i % N];
            ck_assert_double_eq_tol(sum, i / N == i % N, 1e-12); /* a condition of some tens */
        }
    harness_end(&h);
}
END_TEST

START_TEST(what_has_no_inverse_is_no_number)
{
    begin(2, DIMS(2, 2), (float[]){1, 2, 2, 4});
    ck_assert(harness_run(&h));
    ck_assert(!isfinite(((const float *)harness_out(&h, 0)->data)[0]));
    harness_end(&h);
    begin(3, DIMS(2, 0, 0), NULL);
    ck_assert(harness_run(&h));
    harness_expect_floats(&h, 0, 3, DIMS(2, 0, 0), NULL, 0);
    harness_end(&h);
}
END_TEST

START_TEST(what_is_not_square_is_refused)
{
    begin(2, DIMS(1, 2), (float[]){1, 2});
    harness_expect_failure(&h, ERR_INVALID, "shape [1,2] is no list of square matrices");
    harness_end(&h);
    begin(1, DIMS(1), (float[]){1});
    harness_expect_failure(&h, ERR_INVALID, "shape [1] is no list");
    harness_end(&h);
    harness_begin_in(&h, "com.microsoft", "Inverse", 1);
    harness_int64s(&h, 2, DIMS(1, 1), DIMS(1));
    harness_expect_failure(&h, ERR_UNSUPPORTED, "float32 and float64 would work");
    harness_end(&h);
}
END_TEST

Suite *op_inverse_suite(void);
Suite *op_inverse_suite(void)
{
    Suite *suite = suite_create("op_inverse");
    TCase *tests = tcase_create("inverse");
    tcase_add_test(tests, matrices_are_turned_round);
    tcase_add_test(tests, a_stack_times_its_inverses_is_one);
    tcase_add_test(tests, what_has_no_inverse_is_no_number);
    tcase_add_test(tests, what_is_not_square_is_refused);
    suite_add_tcase(suite, tests);
    return suite;
}
