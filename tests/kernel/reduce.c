/*
 * reduce.c - what runs along an axis or through a window, on every level that this CPU runs.
 *
 * Long sums have tests of their own: parts.c.
 */
#include "fixture.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>

static void check_reduce(enum reduce op, int64_t n, int64_t inner)
{
    const int hostile = chance(3) ? (int)(2 * n + 1) : INT_MAX;
    float *x = guarded_hostile(n * inner, hostile), *y = guarded(inner);
    for (int64_t k = 0; op == REDUCE_PROD && k < n * inner; k++)
        x[k] = 1 + 0.1f * x[k];
    level->reduce->run(op, y, x, n, inner, inner);
    for (int64_t j = 0; j < inner; j++) {
        double size;
        const double want = reference_reduce(op, x + j, n, inner, &size);
        /* products: a factor is off by nothing, their product by doubles' roundings */
        const double tolerance =
            op == REDUCE_MAX || op == REDUCE_MIN ? 0 : (isfinite(size) ? SUM_EPS * size : 0) + ulp(0);
        FAIL_UNLESS(near((double)y[j], want, tolerance), "reduce %d n %ld inner %ld: %.9g, want %.9g", (int)op, (long)n,
                    (long)inner, (double)y[j], want);
    }
    release();
}

START_TEST(reduce_folds_runs_and_columns)
{
    begin(_i);
    const int64_t inners[] = {1, 2, level->width - 1, level->width, level->width + 1, 50};
    for (int op = 0; op < REDUCE_COUNT; op++)
        for (int64_t n = 0; n < 150; n += 1 + n / 8)
            for (size_t i = 0; i < sizeof inners / sizeof *inners; i++)
                check_reduce((enum reduce)op, n, inners[i]);
}
END_TEST

static void check_softmax(int64_t n, int64_t inner, bool logarithm, bool in_place)
{
    float *x = guarded_numbers(n * inner);
    for (int64_t k = 0; k < n * inner; k++)
        x[k] *= 20;
    if (n > 1 && chance(4))
        x[0] = -INFINITY;
    if (chance(4)) { /* one column of no numbers, or of one number that takes all */
        const float bad[] = {NAN, INFINITY, -INFINITY};
        const int64_t j = between(0, inner - 1);
        const int which = (int)between(0, 2);
        for (int64_t i = which == 2 ? 0 : between(0, n - 1); i < n; i += which == 2 ? 1 : n)
            x[i * inner + j] = bad[which];
    }
    double *want = calloc((size_t)(n * inner + 1), sizeof *want);
    for (int64_t j = 0; j < inner; j++) {
        double most = -INFINITY, sum = 0;
        for (int64_t i = 0; i < n; i++)
            most = fmax(most, (double)x[i * inner + j]);
        for (int64_t i = 0; i < n; i++)
            sum += exp((double)x[i * inner + j] - most);
        for (int64_t i = 0; i < n; i++) {
            const double moved = (double)x[i * inner + j] - most;
            want[i * inner + j] = logarithm ? moved - log(sum) : exp(moved) / sum;
        }
    }
    float *y = in_place ? x : guarded(n * inner);
    level->reduce->softmax(y, x, n, inner, inner, logarithm);
    for (int64_t k = 0; k < n * inner; k++) {
        /* x - max, rounded, is off by up to 40 eps, and so is its exponential */
        const double tolerance = logarithm ? 8 * EPS * (1 + fabs(want[k])) : 68 * EPS * fabs(want[k]) + 1e-45;
        FAIL_UNLESS(near((double)y[k], want[k], tolerance), "softmax n %ld inner %ld log %d: %.9g, want %.9g", (long)n,
                    (long)inner, logarithm, (double)y[k], want[k]);
    }
    free(want);
    release();
}

START_TEST(softmax_sums_to_one)
{
    begin(_i);
    const int64_t inners[] = {1, 3, level->width, level->width + 1};
    for (int64_t n = 1; n < 120; n += 1 + n / 8)
        for (size_t i = 0; i < sizeof inners / sizeof *inners; i++)
            for (int kind = 0; kind < 4; kind++)
                check_softmax(n, inners[i], kind % 2, kind / 2);
}
END_TEST

START_TEST(softmax_of_huge_numbers_does_not_overflow)
{
    begin(_i);
    float *x = guarded(3), *y = guarded(3);
    x[0] = 3e38f;
    x[1] = 3e38f;
    x[2] = -3e38f;
    level->reduce->softmax(y, x, 3, 1, 1, false);
    ck_assert(y[0] == 0.5f && y[1] == 0.5f && y[2] == 0);
    release();
}
END_TEST

static void check_moments(int64_t n, int64_t lanes)
{
    float *x = guarded_numbers(n * lanes);
    double mean[64], squares[64];
    for (int64_t k = 0; k < n * lanes; k++)
        x[k] += 100;
    if (chance(3))
        x[between(0, n * lanes - 1)] = chance(3) ? NAN : chance(2) ? INFINITY : -INFINITY;
    level->reduce->moments(x, n, lanes, mean, squares);
    for (int64_t j = 0; j < lanes; j++) {
        double sum = 0, want = 0;
        for (int64_t k = 0; k < n; k++)
            sum += (double)x[k * lanes + j];
        for (int64_t k = 0; k < n; k++) {
            const double distance = (double)x[k * lanes + j] - sum / (double)n;
            want += distance * distance;
        }
        /* doubles; distances from 0 to 1, of which each is off by half an ulp */
        FAIL_UNLESS(near(mean[j], sum / (double)n, 1e-11), "mean of %ld: %.9g, want %.9g", (long)n, mean[j],
                    sum / (double)n);
        FAIL_UNLESS(near(squares[j], want, 8 * EPS * want + (double)n * 1e-10), "squares of %ld: %.9g, want %.9g",
                    (long)n, squares[j], want);
    }
    release();
}

/* Up to what is taken in one part, and several parts: an infinite one may come first, between or last. */
START_TEST(moments_of_runs_and_lanes)
{
    begin(_i);
    for (int64_t n = 1; n < 300; n += 1 + n / 8)
        for (int lanes = 1; lanes <= level->width; lanes += level->width - 1)
            check_moments(n, lanes);
    for (int round = 0; round < 10; round++) {
        check_moments(between(4095, 9000), 1);
        check_moments(between(250, 3000), level->width);
    }
}
END_TEST

START_TEST(normalize_shifts_and_scales_columns)
{
    begin(_i);
    for (int64_t n = 1; n < 100; n += 1 + n / 4)
        for (int lanes = 1; lanes <= level->width; lanes += level->width - 1) {
            float *x = guarded_numbers(n * lanes), *scale = guarded_numbers(lanes), *shift = guarded_numbers(lanes);
            double mean[64];
            for (int64_t k = 0; k < n * lanes; k++)
                x[k] += 1700;
            for (int j = 0; j < lanes; j++)
                mean[j] = 1700 + (double)number() / 3;
            float *y = chance(2) ? x : guarded(n * lanes);
            const float *from = guarded_copy(x, n * lanes);
            level->reduce->normalize(y, x, n, lanes, mean, scale, shift);
            for (int64_t k = 0; k < n * lanes; k++) {
                const int64_t j = k % lanes;
                const double want = ((double)from[k] - mean[j]) * (double)scale[j] + (double)shift[j];
                FAIL_UNLESS(near((double)y[k], want, 8 * EPS), "normalize %ld: %.9g, want %.9g", (long)k, (double)y[k],
                            want);
            }
            release();
        }
}
END_TEST

static void check_pool(const struct pool_shape *s)
{
    const int64_t in = volume(s->in), out = volume(s->out), channels = level->width + 3;
    float *plain = guarded_hostile(channels * in, chance(3) ? 20 : INT_MAX);
    float *output = guarded(channels * out), *blocked_out = guarded(blocked_floats(channels, out));
    const int64_t lines = s->out[0] * s->out[1];
    level->reduce->pool(s, 1, plain, output, 0, channels * lines);
    level->reduce->pool(s, level->width, to_blocks(plain, channels, in), blocked_out, 0, lines);
    level->reduce->pool(s, level->width, to_blocks(plain, channels, in), blocked_out, lines, 2 * lines);
    const int64_t w = level->width;
    for (int64_t i = 0; i < channels * out; i++) {
        const int64_t c = i / out, p = i % out;
        const double want =
            reference_pool(s, plain + c * in, p / s->out[2] / s->out[1], p / s->out[2] % s->out[1], p % s->out[2]);
        const double tolerance = s->average ? (double)(volume(s->kernel) + 2) * EPS : 0; /* of numbers below 1 */
        FAIL_UNLESS(near((double)output[i], want, tolerance), "pool plain: %.9g, want %.9g", (double)output[i], want);
        const float *lane = blocked_out + (c / w * out + p) * w + c % w;
        FAIL_UNLESS(same_bits(lane, output + i, 1) || isnan(*lane), "pool blocked: %.9g, want %.9g", (double)*lane,
                    want);
        FAIL_UNLESS(isnan(*lane) == isnan(want), "pool blocked: %.9g, want %.9g", (double)*lane, want);
    }
    release();
}

START_TEST(pool_sees_windows_like_the_definition)
{
    begin(_i);
    for (int round = 0; round < 300; round++) {
        struct pool_shape s = {.average = chance(2), .count_include_pad = chance(2)};
        bool fits = true;
        for (int axis = 0; axis < 3; axis++) {
            const bool used = axis > 0 || chance(3);
            s.in[axis] = used ? between(1, 12) : 1;
            s.kernel[axis] = used ? between(1, 4) : 1;
            s.stride[axis] = used ? between(1, 3) : 1;
            s.dilation[axis] = used && chance(3) ? between(1, 3) : 1;
            s.pad[axis] = used ? between(0, s.kernel[axis] - 1) : 0;
            s.pad_end[axis] = used ? between(0, s.kernel[axis] - 1) : 0;
            const int64_t room =
                s.in[axis] + s.pad[axis] + s.pad_end[axis] - (s.dilation[axis] * (s.kernel[axis] - 1) + 1);
            fits = fits && room >= 0;
            /* ceil mode, and sometimes one output more than that */
            s.out[axis] = room / s.stride[axis] + 1 + (used && chance(2));
        }
        if (fits)
            check_pool(&s);
    }
}
END_TEST

Suite *kernel_reduce_suite(void);

Suite *kernel_reduce_suite(void)
{
    Suite *suite = suite_create("kernel/reduce");
    fixture_add(suite, "reduce_folds_runs_and_columns", reduce_folds_runs_and_columns);
    fixture_add(suite, "softmax_sums_to_one", softmax_sums_to_one);
    fixture_add(suite, "softmax_of_huge_numbers_does_not_overflow", softmax_of_huge_numbers_does_not_overflow);
    fixture_add(suite, "moments_of_runs_and_lanes", moments_of_runs_and_lanes);
    fixture_add(suite, "normalize_shifts_and_scales_columns", normalize_shifts_and_scales_columns);
    fixture_add(suite, "pool_sees_windows_like_the_definition", pool_sees_windows_like_the_definition);
    return suite;
}
