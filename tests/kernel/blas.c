/*
 * blas.c - products through the door, against loops in double; also what OpenBLAS itself would refuse.
 */
#include "reference.h"

#include <check.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define EPS 5.9604644775390625e-8

static float *numbers(int64_t n, unsigned seed)
{
    float *x = calloc((size_t)n + 1, sizeof *x);
    ck_assert_ptr_nonnull(x);
    for (int64_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(seed >> 8) / 8388608.0f - 1.0f;
    }
    return x;
}

static void check_product(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, float alpha, float beta,
                          int64_t spare)
{
    const int64_t lda = (trans_a ? m : k) + spare, ldb = (trans_b ? k : n) + spare, ldc = n + spare;
    float *a = numbers((trans_a ? k : m) * lda, 1), *b = numbers((trans_b ? n : k) * ldb, 2);
    float *c = numbers(m * ldc, 3), *old = numbers(m * ldc, 3);
    for (int64_t i = 0; beta == 0 && i < m * ldc; i++)
        c[i] = NAN; /* is not read then */
    blas_gemm(trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double want = beta == 0 ? 0 : (double)beta * (double)old[i * ldc + j], size = fabs(want);
            for (int64_t p = 0; p < k; p++) {
                const double term = (double)alpha * (double)(trans_a ? a[p * lda + i] : a[i * lda + p]) *
                                    (double)(trans_b ? b[j * ldb + p] : b[p * ldb + j]);
                want += term;
                size += fabs(term);
            }
            const double off = fabs((double)c[i * ldc + j] - want);
            ck_assert_msg(off <= (double)(k + 4) * EPS * size, "%ld x %ld x %ld at %ld, %ld: off by %g", (long)m,
                          (long)n, (long)k, (long)i, (long)j, off);
        }
    free(a);
    free(b);
    free(c);
    free(old);
}

START_TEST(products_of_all_transpositions)
{
    const int64_t sizes[] = {1, 2, 7, 16, 33};
    for (int kind = 0; kind < 4; kind++)
        for (int i = 0; i < 125; i++)
            check_product(kind & 1, kind & 2, sizes[i % 5], sizes[i / 5 % 5], sizes[i / 25], 1, 0, i % 3);
}
END_TEST

START_TEST(alpha_and_beta_scale)
{
    check_product(false, false, 5, 6, 7, 0.5f, 0, 0);
    check_product(false, true, 5, 6, 7, 2, 1, 1);
    check_product(true, false, 5, 6, 7, -1, 0.25f, 2);
}
END_TEST

START_TEST(empty_products_are_beta_c)
{
    check_product(false, false, 3, 4, 0, 1, 0, 0);
    check_product(false, false, 3, 4, 0, 1, 0.5f, 0);
    check_product(false, false, 0, 4, 5, 1, 0, 0);
    check_product(false, false, 3, 0, 5, 1, 0, 0);
}
END_TEST

/* A row distance of 0 repeats a row, and a single row's distance means nothing. */
START_TEST(rows_may_repeat)
{
    const float a[] = {1, 2}, b[] = {3, 4, 5, 6};
    float c[4] = {0};
    blas_gemm(false, false, 2, 2, 2, 1, a, 0, b, 2, 0, c, 2);
    ck_assert(c[0] == 13 && c[1] == 16 && c[2] == 13 && c[3] == 16);
    blas_gemm(false, false, 1, 2, 2, 1, a, 0, b, 2, 0, c, 0);
    ck_assert(c[0] == 13 && c[1] == 16);
}
END_TEST

START_TEST(distances_beyond_int_are_right)
{
    const float a[] = {1, 2}, b[] = {3, 4, 5, 6};
    float c[2] = {0};
    blas_gemm(false, false, 1, 2, 2, 1, a, (int64_t)1 << 40, b, 2, 0, c, (int64_t)1 << 40);
    ck_assert(c[0] == 13 && c[1] == 16);
}
END_TEST

/* OpenBLAS waits for ever when it finds no room for its buffer. */
START_TEST(without_room_for_a_buffer_products_are_made_all_the_same)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    ck_assert(file && fscanf(file, "%ld", &pages) == 1);
    fclose(file);
    const rlim_t n_bytes = (rlim_t)(pages * sysconf(_SC_PAGESIZE)) + ((rlim_t)100 << 20);
    const struct rlimit limit = {n_bytes, n_bytes};
    if (setrlimit(RLIMIT_AS, &limit) != 0)
        return; /* a sanitizer's shadow is larger */
    check_product(false, false, 33, 47, 65, 1, 0, 0);
    check_product(true, false, 70, 3, 129, 1, 0, 0);
    check_product(false, true, 1, 256, 256, 1, 0, 0);
}
END_TEST

Suite *kernel_blas_suite(void);

Suite *kernel_blas_suite(void)
{
    Suite *suite = suite_create("kernel/blas");
    TCase *tcase = tcase_create("blas");
    tcase_add_test(tcase, products_of_all_transpositions);
    tcase_add_test(tcase, alpha_and_beta_scale);
    tcase_add_test(tcase, empty_products_are_beta_c);
    tcase_add_test(tcase, rows_may_repeat);
    tcase_add_test(tcase, distances_beyond_int_are_right);
    tcase_add_test(tcase, without_room_for_a_buffer_products_are_made_all_the_same);
    suite_add_tcase(suite, tcase);
    return suite;
}
