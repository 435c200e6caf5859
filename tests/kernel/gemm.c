/*
 * gemm.c - products with packed weights, of floats and of narrow ones, on every level that this CPU runs.
 */
#include "fixture.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void check_gemm(int64_t m, int64_t n, int64_t k, bool turned)
{
    const int64_t lda = k + between(0, 3), ldc = n + between(0, 3);
    const int hostile = chance(3) ? (int)(4 * k + 4) : INT_MAX; /* some sums, not all */
    const float *a = guarded_hostile(m ? (m - 1) * lda + k : 0, hostile);
    char *b = (char *)guarded_bytes(k * n * 4 + 1) + 1; /* at an odd address */
    const float *scale = chance(2) ? guarded_numbers(n) : NULL;
    /* a denormal that is scaled may be nothing */
    const float *copy = guarded_hostile(k * n, scale ? INT_MAX : hostile);
    memcpy(b, copy, (size_t)(k * n) * sizeof *copy);
    const int64_t stride_k = turned ? 1 : n, stride_n = turned ? k : 1;
    const float *bias = guarded_hostile(n, hostile);
    const int64_t c_size = m ? (m - 1) * ldc + n : 0;
    float *c = guarded(c_size), *residual = guarded_hostile(c_size, hostile);
    const struct epilogue epilogue = draw_epilogue(bias, residual);
    float *packed = guarded((int64_t)(level->gemm->pack_bytes(k, n) / sizeof(float)));
    level->gemm->pack(packed, b, k, n, stride_k, stride_n, scale);
    level->gemm->run(m, n, k, a, lda, packed, c, ldc, &epilogue, 0, n);

    double *sum = calloc((size_t)(m * n + 1), sizeof *sum), *size = calloc((size_t)(m * n + 1), sizeof *size);
    reference_gemm(m, n, k, a, lda, b, stride_k, stride_n, scale, epilogue.bias, epilogue.residual, ldc, sum, size);
    for (int64_t i = 0; i < m * n; i++) {
        const double want = activated(&epilogue, sum[i]), got = (double)c[i / n * ldc + i % n];
        FAIL_UNLESS(near(got, want, activated_slack(want, (double)k, size[i])),
                    "gemm m %ld n %ld k %ld act %d at %ld: %.9g, want %.9g", (long)m, (long)n, (long)k,
                    (int)epilogue.act, (long)i, got, want);
    }
    for (int64_t i = 0; i + 1 < m; i++) /* between the rows */
        for (int64_t j = n; j < ldc; j++)
            FAIL_UNLESS(isnan(c[i * ldc + j]), "gemm m %ld n %ld k %ld wrote beside row %ld", (long)m, (long)n, (long)k,
                        (long)i);
    free(sum);
    free(size);
    release();
}

START_TEST(gemm_multiplies_at_tile_edges)
{
    begin(_i);
    const int64_t step = level->gemm->step;
    const int64_t ms[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 25};
    const int64_t ns[] = {1, level->width - 1, level->width, step - 1, step, step + 1, 4 * step, 5 * step + 3};
    const int64_t ks[] = {0, 1, 2, 58};
    for (size_t i = 0; i < sizeof ms / sizeof *ms; i++)
        for (size_t j = 0; j < sizeof ns / sizeof *ns; j++)
            for (size_t p = 0; p < sizeof ks / sizeof *ks; p++)
                check_gemm(ms[i], ns[j], ks[p], chance(2));
}
END_TEST

START_TEST(gemm_multiplies_random_sizes)
{
    begin(_i);
    for (int i = 0; i < 60; i++)
        check_gemm(between(1, 40), between(1, 300), between(0, 200), chance(2));
    check_gemm(30, 70, 1024, true);
    check_gemm(1, 700, 1024, false);
}
END_TEST

/* Rows one by one and columns in pieces give the bits of the whole. */
START_TEST(gemm_bits_do_not_depend_on_rows_or_ranges)
{
    begin(_i);
    const int64_t step = level->gemm->step;
    for (int round = 0; round < 20; round++) {
        const int64_t m = between(1, 30), n = between(1, 6 * step), k = between(1, 1200);
        const float *a = guarded_numbers(m * k), *b = guarded_numbers(k * n), *bias = guarded_numbers(n);
        const float *residual = guarded_numbers(m * n);
        float *packed = guarded((int64_t)(level->gemm->pack_bytes(k, n) / sizeof(float)));
        float *whole = guarded(m * n), *single = guarded(m * n), *parts = guarded(m * n);
        const struct epilogue epilogue = draw_epilogue(bias, residual);
        level->gemm->pack(packed, b, k, n, n, 1, NULL);
        level->gemm->run(m, n, k, a, k, packed, whole, n, &epilogue, 0, n);
        for (int64_t i = 0; i < m; i++) {
            struct epilogue one = epilogue;
            if (one.residual)
                one.residual += i * n;
            level->gemm->run(1, n, k, a + i * k, k, packed, single + i * n, n, &one, 0, n);
        }
        for (int64_t from = 0, to; from < n; from = to) {
            to = from + step * between(1, 3);
            to = to < n ? to : n;
            level->gemm->run(m, n, k, a, k, packed, parts, n, &epilogue, from, to);
        }
        FAIL_UNLESS(same_bits(whole, single, m * n), "gemm m %ld n %ld k %ld depends on m", (long)m, (long)n, (long)k);
        FAIL_UNLESS(same_bits(whole, parts, m * n), "gemm m %ld n %ld k %ld depends on ranges", (long)m, (long)n,
                    (long)k);
        release();
    }
}
END_TEST

START_TEST(gemm_residual_may_be_the_output)
{
    begin(_i);
    const int64_t m = 13, n = 70, k = 40;
    const float *a = guarded_numbers(m * k), *b = guarded_numbers(k * n);
    float *c = guarded_numbers(m * n), *residual = guarded(m * n), *want = guarded(m * n);
    memcpy(residual, c, (size_t)(m * n) * sizeof *c);
    float *packed = guarded((int64_t)(level->gemm->pack_bytes(k, n) / sizeof(float)));
    level->gemm->pack(packed, b, k, n, n, 1, NULL);
    level->gemm->run(m, n, k, a, k, packed, want, n, &(struct epilogue){.residual = residual}, 0, n);
    level->gemm->run(m, n, k, a, k, packed, c, n, &(struct epilogue){.residual = c}, 0, n);
    FAIL_UNLESS(same_bits(c, want, m * n), "in place %d", 0);
    release();
}
END_TEST

/* Columns from j on lie at byte gemm_pack_bytes(k, j). */
START_TEST(gemm_pack_of_ranges_is_that_of_the_whole)
{
    begin(_i);
    for (int round = 0; round < 40; round++) {
        const int64_t n = between(1, 4 * level->gemm->step), k = between(1, 40);
        const float *b = guarded_numbers(k * n), *scale = chance(2) ? guarded_numbers(n) : NULL;
        const size_t bytes = level->gemm->pack_bytes(k, n);
        char *whole = guarded_bytes((int64_t)bytes), *apart = guarded_bytes((int64_t)bytes);
        level->gemm->pack(whole, b, k, n, n, 1, scale);
        for (int64_t j = 0; j < n; j += level->gemm->step) {
            const int64_t some = n - j < level->gemm->step ? n - j : level->gemm->step;
            level->gemm->pack(apart + level->gemm->pack_bytes(k, j), b + j, k, some, n, 1, scale ? scale + j : NULL);
        }
        FAIL_UNLESS(memcmp(whole, apart, bytes) == 0, "n %ld k %ld", (long)n, (long)k);
        release();
    }
}
END_TEST

/* Each number where the file's head says, whether b lies by rows, by columns or neither; whatever the address. */
START_TEST(gemm_pack_lays_panels)
{
    begin(_i);
    const int64_t step = 2 * level->width;
    for (int round = 0; round < 120; round++) {
        const int64_t n = between(1, 3 * step + 1), k = between(1, 3 * level->width + 1), gap = between(0, 3);
        const int kind = (int)between(0, 2);
        const int64_t stride_k = kind == 0 ? n + gap : kind == 1 ? 1 : 2, stride_n = kind == 0 ? 1 : 2 * k + gap;
        const int64_t n_b = (k - 1) * stride_k + (n - 1) * stride_n + 1;
        const float *scale = chance(2) ? guarded_numbers(n) : NULL, *numbers = guarded_numbers(n_b);
        char *b = guarded_bytes(n_b * (int64_t)sizeof(float) + 1);
        memcpy(b, numbers, (size_t)n_b * sizeof(float));
        float *packed = guarded((int64_t)(level->gemm->pack_bytes(k, n) / sizeof(float)));
        level->gemm->pack(packed, b, k, n, stride_k, stride_n, scale);
        for (int64_t j = 0; j < (n + step - 1) / step * step; j++)
            for (int64_t i = 0; i < k; i++) {
                float want = j < n ? numbers[i * stride_k + j * stride_n] : 0;
                want *= j < n && scale ? scale[j] : 1;
                FAIL_UNLESS(same_bits(packed + (j / step * k + i) * step + j % step, &want, 1),
                            "kind %d n %ld k %ld at %ld, %ld", kind, (long)n, (long)k, (long)i, (long)j);
            }
        release();
    }
}
END_TEST

/* Any part of narrow weights widens to what the same part of the floats packs to. */
static void check_narrow(int bits, int64_t block, int64_t k, int64_t n)
{
    const int64_t blocks = (k + block - 1) / block, padded = blocks * block, step = level->gemm->step;
    uint8_t *q = (uint8_t *)guarded(n * padded * bits / 32 + 1);
    float *scales = guarded_numbers(n * blocks), *zeros = guarded(n * blocks), *wide = guarded(n * k);
    float *narrow = guarded((int64_t)(level->gemm->narrow_pack_bytes(bits, block, k, n) / sizeof(float)));
    memset(q, 0, (size_t)(n * padded * bits / 8));
    for (int64_t i = 0; i < n * blocks; i++)
        zeros[i] = (float)between(0, (1 << bits) - 1);
    for (int64_t j = 0; j < n; j++)
        for (int64_t i = 0; i < padded; i++) {
            const int64_t at = j * padded + i, value = between(0, (1 << bits) - 1), b = j * blocks + i / block;
            q[at * bits / 8] = (uint8_t)(q[at * bits / 8] | value << (bits == 4 && at % 2 ? 4 : 0));
            if (i < k)
                wide[j * k + i] = ((float)value - zeros[b]) * scales[b];
        }
    level->gemm->narrow_pack(narrow, bits, block, k, n, q, scales, zeros);
    for (int part = 0; part < 4; part++) {
        const int64_t k_from = between(0, blocks - 1) * block, n_from = between(0, (n - 1) / step) * step;
        const int64_t k_to = part ? k : k_from + block < k ? k_from + block : k;
        const int64_t n_to = part ? n : n_from + step < n ? n_from + step : n;
        const int64_t floats = (int64_t)(level->gemm->pack_bytes(k_to - k_from, n_to - n_from) / sizeof(float));
        float *got = guarded(floats), *want = guarded(floats);
        level->gemm->narrow_widen(got, narrow, bits, block, k, k_from, k_to, n_from, n_to);
        level->gemm->pack(want, wide + n_from * k + k_from, k_to - k_from, n_to - n_from, 1, k, NULL);
        FAIL_UNLESS(same_bits(got, want, floats), "narrow %d block %ld k %ld n %ld", bits, (long)block, (long)k,
                    (long)n);
    }
    release();
}

START_TEST(narrow_weights_widen_to_what_gemm_packs)
{
    begin(_i);
    for (int i = 0; i < 20; i++)
        check_narrow(chance(2) ? 4 : 8, chance(2) ? 16 : 64, between(1, 200), between(1, 3 * level->gemm->step));
}
END_TEST

/* To the nearest of its neighbours with 16 bits, half to even; nothing finite becomes infinite. */
static float as_bf16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (isfinite(x)) {
        const uint32_t low = bits & 0xffff, cut = bits - low, next = cut + 0x10000;
        const bool up = low > 0x8000 || (low == 0x8000 && (cut >> 16 & 1));
        bits = up && (next & 0x7f800000) != 0x7f800000 ? next : cut;
    } else {
        bits &= 0xffff0000;
        bits |= isnan(x) ? 0x400000 : 0;
    }
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Weights of 16 bits are multiplied as the floats that they are: the same bits. */
static void check_bf16(int64_t m, int64_t n, int64_t k, bool turned)
{
    const struct gemm_kernels *bf16 = level->gemm->bf16;
    const float *a = guarded_numbers(m * k), *b = guarded_hostile(k * n, 40);
    const float *bias = guarded_numbers(n), *scale = chance(2) ? guarded_numbers(n) : NULL;
    const int64_t stride_k = turned ? 1 : n, stride_n = turned ? k : 1, n_bytes = (int64_t)bf16->pack_bytes(k, n);
    float *rounded = guarded(k * n), *want = guarded(m * n), *got = guarded(m * n);
    for (int64_t i = 0; i < k * n; i++) {
        const float factor = scale ? scale[turned ? i / k : i % n] : 1;
        rounded[i] = as_bf16(b[i] * factor);
    }
    char *packed = guarded_bytes(n_bytes);
    float *plain = guarded((int64_t)(level->gemm->pack_bytes(k, n) / sizeof(float)));
    ck_assert_int_eq(2 * n_bytes, (int64_t)level->gemm->pack_bytes(k, n));
    for (int64_t j = 0, some; j < n; j += some) { /* ranges are packed apart */
        some = bf16->step * between(1, 3) < n - j ? bf16->step : n - j;
        bf16->pack(packed + bf16->pack_bytes(k, j), b + j * stride_n, k, some, stride_k, stride_n,
                   scale ? scale + j : NULL);
    }
    level->gemm->pack(plain, rounded, k, n, stride_k, stride_n, NULL);
    const struct epilogue epilogue = {.bias = bias};
    level->gemm->run(m, n, k, a, k, plain, want, n, &epilogue, 0, n);
    bf16->run(m, n, k, a, k, packed, got, n, &epilogue, 0, n);
    for (int64_t i = 0; i < m * n; i++)
        FAIL_UNLESS(same_number(got[i], want[i]), "bf16 m %ld n %ld k %ld at %ld: %.9g, want %.9g", (long)m, (long)n,
                    (long)k, (long)i, (double)got[i], (double)want[i]);
    release();
}

START_TEST(weights_of_16_bits_are_multiplied_as_what_they_are)
{
    begin(_i);
    ck_assert_ptr_eq(level->gemm->bf16->bf16, level->gemm->bf16);
    for (int64_t m = 1; m < 15; m++)
        check_bf16(m, between(1, 5 * level->gemm->step), between(1, 200), m % 2);
    check_bf16(1, level->gemm->step, 0, false);
    check_bf16(2, 3, 4097, false);
}
END_TEST

START_TEST(spin_counts_what_it_does)
{
    begin(_i);
    const int64_t once = level->gemm->spin(1);
    ck_assert_int_gt(once, 0);
    ck_assert_int_eq(once % (2 * level->width), 0);
    ck_assert_int_eq(level->gemm->spin(1000), 1000 * once);
    ck_assert_int_eq(level->gemm->spin(0), 0);
}
END_TEST

Suite *kernel_gemm_suite(void);

Suite *kernel_gemm_suite(void)
{
    Suite *suite = suite_create("kernel/gemm");
    fixture_add(suite, "gemm_multiplies_at_tile_edges", gemm_multiplies_at_tile_edges);
    fixture_add(suite, "gemm_multiplies_random_sizes", gemm_multiplies_random_sizes);
    fixture_add(suite, "gemm_bits_do_not_depend_on_rows_or_ranges", gemm_bits_do_not_depend_on_rows_or_ranges);
    fixture_add(suite, "gemm_residual_may_be_the_output", gemm_residual_may_be_the_output);
    fixture_add(suite, "gemm_pack_lays_panels", gemm_pack_lays_panels);
    fixture_add(suite, "gemm_pack_of_ranges_is_that_of_the_whole", gemm_pack_of_ranges_is_that_of_the_whole);
    fixture_add(suite, "narrow_weights_widen_to_what_gemm_packs", narrow_weights_widen_to_what_gemm_packs);
    fixture_add(suite, "weights_of_16_bits_are_multiplied_as_what_they_are",
                weights_of_16_bits_are_multiplied_as_what_they_are);
    fixture_add(suite, "spin_counts_what_it_does", spin_counts_what_it_does);
    return suite;
}
