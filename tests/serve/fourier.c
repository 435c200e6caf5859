/* fourier.c - transforms of every kind of length beside sums written out. */
#include "serve/fourier.h"

#include "base/err.h"

#include <check.h>
#include <math.h>

Suite *serve_fourier_suite(void);

static const int lengths[] = {1,  2,  3,  4,  5,  6,   7,   8,   9,   12,  13,  15,  16,  17,
                              25, 34, 64, 97, 98, 100, 121, 169, 240, 400, 509, 512, 1001};

START_TEST(a_transform_is_the_sum_that_defines_it)
{
    const int n = lengths[_i];
    struct arena arena = {0};
    struct percept_err err = {0};
    double x[1024], re[1024], im[1024];
    for (int t = 0; t < n; t++)
        x[t] = (t * 37 % 101) / 101.0 - 0.4;
    struct fourier *fourier = fourier_new(n, &arena, &err);
    ck_assert_ptr_nonnull(fourier);
    for (int twice = 0; twice < 2; twice++)
        fourier_real(fourier, x, re, im);
    for (int k = 0; k <= n / 2; k++) {
        double want_re = 0, want_im = 0;
        for (int t = 0; t < n; t++) {
            want_re += x[t] * cos(2 * M_PI * (k * t % n) / n);
            want_im -= x[t] * sin(2 * M_PI * (k * t % n) / n);
        }
        ck_assert_double_eq_tol(re[k], want_re, 1e-11);
        ck_assert_double_eq_tol(im[k], want_im, 1e-11);
    }
    arena_free(&arena);
}
END_TEST

START_TEST(a_pure_tone_lies_in_one_bin_of_the_longest)
{
    static double x[FOURIER_MOST], re[FOURIER_MOST / 2 + 1], im[FOURIER_MOST / 2 + 1];
    const int n = FOURIER_MOST - _i;
    struct arena arena = {0};
    struct percept_err err = {0};
    for (int t = 0; t < n; t++)
        x[t] = cos(2 * M_PI * (t * 5 % n) / n);
    struct fourier *fourier = fourier_new(n, &arena, &err);
    ck_assert_ptr_nonnull(fourier);
    fourier_real(fourier, x, re, im);
    for (int k = 0; k <= n / 2; k++)
        ck_assert_double_eq_tol(hypot(re[k], im[k]), k == 5 ? n / 2.0 : 0, 1e-7);
    arena_free(&arena);
}
END_TEST

START_TEST(without_memory_there_is_none)
{
    for (size_t nth = 1;; nth++) {
        struct arena arena = {0};
        struct percept_err err = {0};
        arena_fail_at(nth, true);
        struct fourier *fourier = fourier_new(4099, &arena, &err);
        arena_fail_at(0, false);
        arena_free(&arena);
        if (fourier)
            break;
        ck_assert_int_eq(err.code, ERR_MEMORY);
    }
}
END_TEST

Suite *serve_fourier_suite(void)
{
    Suite *suite = suite_create("serve/fourier");
    TCase *tests = tcase_create("fourier");
    tcase_add_loop_test(tests, a_transform_is_the_sum_that_defines_it, 0, (int)(sizeof lengths / sizeof *lengths));
    tcase_add_loop_test(tests, a_pure_tone_lies_in_one_bin_of_the_longest, 0, 4);
    tcase_add_test(tests, without_memory_there_is_none);
    suite_add_tcase(suite, tests);
    return suite;
}
