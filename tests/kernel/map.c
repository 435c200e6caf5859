/*
 * map.c - kernels that go element by element, on every level that this CPU runs.
 *
 * Elementary functions are allowed the units in the last place that vec.h claims, plus what their composition loses.
 */
#include "fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct unary_case {
    enum unary op;
    float alpha, beta;
    double ulps;     /* of the result */
    double absolute; /* times max(1, |x|): what cancellation or denormal factors may leave */
};

static const struct unary_case unary_cases[] = {
    {UNARY_ABS, 0, 0, 0, 0},
    {UNARY_NEG, 0, 0, 0, 0},
    {UNARY_RELU, 0, 0, 0, 0},
    {UNARY_LEAKY, 0.01f, 0, 1, 0},
    {UNARY_CLIP, -0.5f, 2, 0, 0},
    {UNARY_ELU, 1.5f, 0, 4, 0},
    {UNARY_SELU, 1.6732632f, 1.050701f, 5, 0},
    {UNARY_CELU, 0.7f, 0, 5, 1e-7},
    {UNARY_EXP, 0, 0, 2, 0},
    {UNARY_LOG, 0, 0, 2, 0},
    {UNARY_SQRT, 0, 0, 1, 0},
    {UNARY_RECIPROCAL, 0, 0, 1, 0},
    {UNARY_SIGMOID, 0, 0, 3, 0},
    {UNARY_TANH, 0, 0, 3, 0},
    {UNARY_HARDSIGMOID, 0.2f, 0.5f, 1, 1e-7},
    {UNARY_HARDSWISH, 0, 0, 2, 1e-7},
    {UNARY_SILU, 0, 0, 4, 1.5e-45},
    {UNARY_SOFTPLUS, 0, 0, 4, 0},
    {UNARY_SOFTSIGN, 0, 0, 2, 0},
    {UNARY_MISH, 0, 0, 8, 3e-45},
    {UNARY_ERF, 0, 0, 3, 0},
    {UNARY_GELU, 0, 0, 4, 1e-7},
    {UNARY_GELU_TANH, 0, 0, 4, 1e-6},
    {UNARY_THRESHOLDED_RELU, 1, 0, 0, 0},
    {UNARY_SHRINK, 0.5f, 0.25f, 1, 0},
    {UNARY_FLOOR, 0, 0, 0, 0},
    {UNARY_CEIL, 0, 0, 0, 0},
    {UNARY_ROUND, 0, 0, 0, 0},
    {UNARY_SIGN, 0, 0, 0, 0},
    {UNARY_SIN, 0, 0, 2, 1e-7},
    {UNARY_COS, 0, 0, 2, 1e-7},
    {UNARY_TAN, 0, 0, 4, 0},
    {UNARY_ASIN, 0, 0, 4, 0},
    {UNARY_ACOS, 0, 0, 4, 0},
    {UNARY_ATAN, 0, 0, 4, 0},
    {UNARY_SINH, 0, 0, 4, 0},
    {UNARY_COSH, 0, 0, 4, 0},
    {UNARY_ASINH, 0, 0, 4, 0},
    {UNARY_ACOSH, 0, 0, 4, 0},
    {UNARY_ATANH, 0, 0, 4, 0},
    {UNARY_COPY, 0, 0, 0, 0},
};

/* Results that are both infinite and zero-signed right; x beyond what the absolute term covers. */
static void check_unary_value(const struct unary_case *c, float x, float got)
{
    const double want = reference_unary(c->op, (double)x, (double)c->alpha, (double)c->beta);
    const double rounded = (double)(float)want;
    const double size = isinf(x) || fabs((double)x) < 1 ? 1 : fabs((double)x);
    const double tolerance = c->ulps * ulp(want) + c->absolute * size;
    const bool right =
        isinf(rounded) || isnan(rounded) ? near((double)got, rounded, 0) : near((double)got, want, tolerance);
    FAIL_UNLESS(right || (isinf(got) && fabs(want) > 3.4028e38), "unary %d of %.9g (%a) is %.9g, want %.9g", (int)c->op,
                (double)x, (double)x, (double)got, want);
}

START_TEST(unary_agrees_with_libm)
{
    begin(_i);
    for (size_t i = 0; i < sizeof unary_cases / sizeof *unary_cases; i++) {
        const struct unary_case *c = &unary_cases[i];
        for (int64_t n = 0; n <= 2100; n += n < 70 ? 1 : 2030) {
            float *x = guarded(n), *y = guarded(n), *in_place = guarded(n);
            for (int64_t k = 0; k < n; k++)
                in_place[k] = x[k] = any_float();
            level->map->unary(c->op, y, x, n, c->alpha, c->beta);
            level->map->unary(c->op, in_place, in_place, n, c->alpha, c->beta);
            FAIL_UNLESS(same_bits(y, in_place, n), "unary %d in place differs, n %ld", (int)c->op, (long)n);
            for (int64_t k = 0; k < n; k++) {
                if ((c->op == UNARY_HARDSWISH || c->op == UNARY_SILU || c->op == UNARY_MISH || c->op == UNARY_GELU ||
                     c->op == UNARY_GELU_TANH) &&
                    (isinf(x[k]) || fabsf(x[k]) > 1e12f))
                    continue; /* -inf times 0, and what overflows on the way */
                check_unary_value(c, x[k], y[k]);
                float alone;
                level->map->unary(c->op, &alone, x + k, 1, c->alpha, c->beta);
                FAIL_UNLESS(same_bits(&alone, y + k, 1), "unary %d depends on position", (int)c->op);
            }
            release();
        }
    }
}
END_TEST

START_TEST(unary_keeps_the_sign_of_zero)
{
    begin(_i);
    const enum unary ops[] = {UNARY_TANH,  UNARY_ERF,  UNARY_SIN,      UNARY_FLOOR, UNARY_CEIL,
                              UNARY_ROUND, UNARY_SQRT, UNARY_SOFTSIGN, UNARY_COPY};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        float x = -0.0f, y;
        level->map->unary(ops[i], &y, &x, 1, 1, 1);
        FAIL_UNLESS(y == 0 && signbit(y), "unary %d of -0 is %g", (int)ops[i], (double)y);
    }
    float x = -0.25f, y;
    level->map->unary(UNARY_CEIL, &y, &x, 1, 0, 0);
    ck_assert(y == 0 && signbit(y));
}
END_TEST

/* What AddressSanitizer looks for, wrong addresses, depends on lengths and not on values: of all floats it
 * gets one in sixteen of those that a build without it takes. */
#ifdef __SANITIZE_ADDRESS__
enum { NEXT_FLOAT = 16 * 977 };
#else
enum { NEXT_FLOAT = 977 };
#endif

/* Exhaustive enough: every 977th float. */
START_TEST(elementary_functions_are_within_their_ulps)
{
    begin(_i);
    enum { N = 4096 };
    static float x[N + SLACK], y[N + SLACK];
    const enum unary ops[] = {UNARY_EXP, UNARY_LOG, UNARY_TANH, UNARY_SIGMOID, UNARY_ERF};
    const double most[] = {2, 2, 3, 3, 3};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        double worst = 0;
        float worst_x = 0;
        for (uint64_t bits = 0; bits < (1ull << 32);) {
            for (int k = 0; k < N; k++, bits += NEXT_FLOAT) {
                const uint32_t low = (uint32_t)bits;
                memcpy(&x[k], &low, sizeof low);
            }
            level->map->unary(ops[i], y, x, N, 0, 0);
            for (int k = 0; k < N; k++) {
                const double want = reference_unary(ops[i], (double)x[k], 0, 0);
                const double rounded = (double)(float)want;
                if (isnan(rounded) || isinf(rounded)) {
                    FAIL_UNLESS(near((double)y[k], rounded, 0), "unary %d of %a is %g, want %g", (int)ops[i],
                                (double)x[k], (double)y[k], want);
                    continue;
                }
                const double off = fabs((double)y[k] - want) / ulp(want);
                if (!(off <= worst)) {
                    worst = off;
                    worst_x = x[k];
                }
            }
        }
        FAIL_UNLESS(worst <= most[i], "unary %d is off by %.2f ulp at %a", (int)ops[i], worst, (double)worst_x);
        if (getenv("BENCH"))
            printf("level %s unary %d: %.2f ulp at %a\n", level->name, (int)ops[i], worst, (double)worst_x);
    }
}
END_TEST

static void check_binary(enum binary op, const char *form, float a, float b, float got)
{
    const float want = reference_binary(op, a, b);
    const double slack = op == BINARY_POW ? ulp((double)want) : 0;
    FAIL_UNLESS(near((double)got, (double)want, slack), "binary %d (%s) of %.9g and %.9g is %.9g, want %.9g", (int)op,
                form, (double)a, (double)b, (double)got, (double)want);
}

START_TEST(binary_agrees_in_all_forms)
{
    begin(_i);
    const int64_t w = level->width;
    for (int op = 0; op < BINARY_COUNT; op++)
        for (int64_t n = 0; n < 70; n++) {
            float *a = guarded(n), *b = guarded(n), *y = guarded(n);
            for (int64_t k = 0; k < n; k++) {
                a[k] = any_float();
                b[k] = any_float();
            }
            const float scalar = n % 5 == 0 ? 2.0f : any_float();
            level->map->binary((enum binary)op, y, a, b, n);
            for (int64_t k = 0; k < n; k++)
                check_binary((enum binary)op, "both", a[k], b[k], y[k]);
            level->map->binary_scalar((enum binary)op, y, a, scalar, n);
            for (int64_t k = 0; k < n; k++)
                check_binary((enum binary)op, "scalar right", a[k], scalar, y[k]);
            level->map->scalar_binary((enum binary)op, y, scalar, b, n);
            for (int64_t k = 0; k < n; k++)
                check_binary((enum binary)op, "scalar left", scalar, b[k], y[k]);
            float *lanes = guarded_numbers(w), *block = guarded_numbers(n * w), *out = guarded(n * w);
            level->map->binary_lanes((enum binary)op, out, block, lanes, n);
            for (int64_t k = 0; k < n * w; k++)
                check_binary((enum binary)op, "lanes", block[k], lanes[k % w], out[k]);
            level->map->binary((enum binary)op, y, a, b, n);
            float *left = guarded(n), *right = guarded(n); /* in place of either */
            for (int64_t k = 0; k < n; k++) {
                left[k] = a[k];
                right[k] = b[k];
            }
            level->map->binary((enum binary)op, left, left, b, n);
            level->map->binary((enum binary)op, right, a, right, n);
            for (int64_t k = 0; k < n; k++)
                FAIL_UNLESS(same_number(left[k], y[k]) && same_number(right[k], y[k]), "binary %d in place", op);
            release();
        }
}
END_TEST

START_TEST(affine_and_fill_cover_all_lengths)
{
    begin(_i);
    const int64_t w = level->width;
    for (int64_t n = 0; n < 70; n++) {
        float *x = guarded_hostile(n, 9), *y = guarded(n);
        level->map->affine(y, x, 1.5f, -0.25f, n);
        for (int64_t k = 0; k < n; k++)
            FAIL_UNLESS(near((double)y[k], 1.5 * (double)x[k] - 0.25, 2 * EPS), "affine n %ld", (long)n);
        level->map->fill(y, 7, n);
        for (int64_t k = 0; k < n; k++)
            FAIL_UNLESS(y[k] == 7, "fill n %ld", (long)n);
        float *block = guarded_hostile(n * w, 9), *out = guarded(n * w);
        float *scale = guarded_numbers(w), *shift = guarded_numbers(w);
        level->map->affine_lanes(out, block, scale, shift, n);
        for (int64_t k = 0; k < n * w; k++)
            FAIL_UNLESS(near((double)out[k], (double)block[k] * (double)scale[k % w] + (double)shift[k % w], 3 * EPS),
                        "affine_lanes n %ld", (long)n);
        release();
    }
}
END_TEST

Suite *kernel_map_suite(void);

Suite *kernel_map_suite(void)
{
    Suite *suite = suite_create("kernel/map");
    fixture_add(suite, "unary_agrees_with_libm", unary_agrees_with_libm);
    fixture_add(suite, "unary_keeps_the_sign_of_zero", unary_keeps_the_sign_of_zero);
    fixture_add(suite, "elementary_functions_are_within_their_ulps", elementary_functions_are_within_their_ulps);
    fixture_add(suite, "binary_agrees_in_all_forms", binary_agrees_in_all_forms);
    fixture_add(suite, "affine_and_fill_cover_all_lengths", affine_and_fill_cover_all_lengths);
    return suite;
}
