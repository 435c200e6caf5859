/*
 * parts.c - long sums of every kind, on every level that this CPU runs: errors do not grow with the length.
 *
 * Numbers are those that hurt: all equal (each rounding goes the same way), signs by turns, 1700 +- 1 as in a flat
 * picture, and a spread of magnitudes. Bounds are 1e-6 of the sum of the absolute terms for sums and means (some
 * fifteen roundings of 2^-24; kernel.h promises four), 3e-6 for products (chains of 64, of which equal terms lose
 * up to 16 roundings each; kernel.h).
 */
#include "prepared.h"
#include "reference.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

#define SUMS 1e-6
#define PRODUCTS 3e-6

enum kind { EQUAL, SIGNS, FLAT, SPREAD, KINDS };

static float value(enum kind kind, int64_t i)
{
    const uint32_t draw = ((uint32_t)i * 2654435761u) >> 8;
    switch (kind) {
    case EQUAL:
        return 0.1f;
    case SIGNS:
        return i % 2 ? -0.7f : 0.7000001f;
    case FLAT:
        return 1700 + (float)draw / 8388608.0f - 1;
    default:
        return (float)draw / 16777216.0f * (i % 7 ? 1 : 1000);
    }
}

/* n numbers and what kernels may read behind them */
static float *numbers(enum kind kind, int64_t n)
{
    float *x = calloc((size_t)n + 64, sizeof *x);
    ck_assert_ptr_nonnull(x);
    for (int64_t i = 0; i < n; i++)
        x[i] = value(kind, i);
    return x;
}

#define EACH_LEVEL(level)                                                                                              \
    for (const char *const *name_ = pick_names(); *name_; name_++)                                                     \
        for (const struct kernels *level = pick_named(*name_); level; level = NULL)

static void near(const char *what, const struct kernels *level, enum kind kind, double got, double want, double most)
{
    ck_assert_msg(fabs(got - want) <= most, "%s, level %s, kind %d: %.9g, want %.9g, off by %g of %g", what,
                  level->name, (int)kind, got, want, fabs(got - want), most);
}

static void check_reduce(const struct kernels *level, enum kind kind, int64_t n, int64_t inner)
{
    static const enum reduce ops[] = {REDUCE_SUM, REDUCE_SUM_SQUARE, REDUCE_L1};
    float *x = numbers(kind, n * inner), y[64 + 16];
    for (int op = 0; op < 3; op++) {
        level->reduce->run(ops[op], y, x, n, inner, inner);
        for (int64_t j = 0; j < inner; j++) {
            double size;
            const double want = reference_reduce(ops[op], x + j, n, inner, &size);
            near("reduce", level, kind, (double)y[j], want, SUMS * size);
        }
    }
    free(x);
}

START_TEST(sums_along_any_axis)
{
    EACH_LEVEL(level)
    for (int kind = 0; kind < KINDS; kind++) {
        check_reduce(level, (enum kind)kind, 4000003, 1);
        check_reduce(level, (enum kind)kind, 100003, 3);
        check_reduce(level, (enum kind)kind, 100001, level->width);
    }
}
END_TEST

static void check_moments(const struct kernels *level, enum kind kind, int64_t n, int64_t lanes)
{
    float *x = numbers(kind, n * lanes), *y = numbers(EQUAL, n * lanes), scale[64], shift[64];
    double mean[64], squares[64];
    level->reduce->moments(x, n, lanes, mean, squares);
    for (int64_t j = 0; j < lanes; j++) {
        double sum = 0, around = 0, size = 0;
        for (int64_t i = 0; i < n; i++) {
            sum += (double)x[i * lanes + j];
            size += fabs((double)x[i * lanes + j]);
        }
        sum /= (double)n;
        for (int64_t i = 0; i < n; i++)
            around += ((double)x[i * lanes + j] - sum) * ((double)x[i * lanes + j] - sum);
        near("mean", level, kind, mean[j], sum, 1e-12 * size / (double)n); /* in double throughout */
        scale[j] = (float)(1 / sqrt(squares[j] / (double)n + 1e-5));
        shift[j] = 0.5f;
        /* what two roundings of x - mean lose is small beside the distances, but where these are nothing */
        near("squares", level, kind, squares[j], around, SUMS * around + 1e-9 * (double)n);
    }
    level->reduce->normalize(y, x, n, lanes, mean, scale, shift);
    for (int64_t i = 0; i < n * lanes; i += 97) {
        const int64_t j = i % lanes;
        const double want = ((double)x[i] - mean[j]) * (double)scale[j] + 0.5;
        near("normalized", level, kind, (double)y[i], want, 1e-5 * (1 + fabs(want)));
    }
    free(x);
    free(y);
}

START_TEST(moments_of_flat_planes)
{
    EACH_LEVEL(level)
    for (int kind = 0; kind < KINDS; kind++) {
        check_moments(level, (enum kind)kind, 640001, 1);
        check_moments(level, (enum kind)kind, 40003, level->width);
    }
}
END_TEST

/* All equal: the answer is 1 / n. */
START_TEST(softmax_of_long_rows)
{
    EACH_LEVEL(level)
    for (int64_t lanes = 1; lanes <= 3; lanes += 2) {
        const int64_t n = 200003;
        float *x = numbers(EQUAL, n * lanes);
        level->reduce->softmax(x, x, n, lanes, lanes, false);
        near("softmax", level, EQUAL, (double)x[n - 1], 1 / (double)n, SUMS / (double)n);
        free(x);
    }
}
END_TEST

/* A row of a times a column of b, and the sum of the absolute terms. */
static double product(const float *a, const float *b, int64_t stride, int64_t k, double *size)
{
    double sum = 0;
    *size = 0;
    for (int64_t p = 0; p < k; p++) {
        const double term = (double)a[p] * (double)b[p * stride];
        sum += term;
        *size += fabs(term);
    }
    return sum;
}

static void check_gemm(const struct kernels *level, enum kind kind, int64_t m, int64_t k)
{
    const int64_t n = level->gemm->step + 1;
    float *a = numbers(kind, m * k), *b = numbers(kind == SIGNS ? EQUAL : kind, k * n), *c = numbers(EQUAL, m * n);
    void *packed = calloc(1, level->gemm->pack_bytes(k, n) + 64);
    const struct epilogue none = {.act = ACT_NONE};
    level->gemm->pack(packed, b, k, n, n, 1, NULL);
    level->gemm->run(m, n, k, a, k, packed, c, n, &none, 0, n);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j += 5) {
            double size;
            const double want = product(a + i * k, b + j, n, k, &size);
            near("gemm", level, kind, (double)c[i * n + j], want, PRODUCTS * size);
        }
    free(a);
    free(b);
    free(c);
    free(packed);
}

START_TEST(products_of_long_rows)
{
    EACH_LEVEL(level)
    for (int kind = 0; kind < KINDS; kind++) {
        check_gemm(level, (enum kind)kind, 1, 150528);
        check_gemm(level, (enum kind)kind, 2, 25088);
        check_gemm(level, (enum kind)kind, 3, 4097);
    }
}
END_TEST

START_TEST(products_of_two_computed_sides)
{
    enum { M = 3, N = 5 };
    const int64_t depths[] = {25088, 150528, 129};
    for (int kind = 0; kind < KINDS; kind++)
        for (int d = 0; d < 3; d++) {
            const int64_t k = depths[d];
            float *a = numbers((enum kind)kind, M * k), c[M * N];
            float *b = numbers(kind == SIGNS ? EQUAL : (enum kind)kind, k * N);
            blas_gemm(false, false, M, N, k, 1, a, k, b, N, 0, c, N);
            for (int at = 0; at < M * N; at++) {
                double size;
                const double want = product(a + at / N * k, b + at % N, N, k, &size);
                near("blas", pick_best(), (enum kind)kind, (double)c[at], want, PRODUCTS * size);
            }
            free(a);
            free(b);
        }
}
END_TEST

/* `channels` in blocks, one of the outputs; the weights are the picture's kind as well. */
static void check_conv(const struct kernels *level, enum kind kind, struct conv_shape shape)
{
    const int algorithm = level->convolve->choose(&shape, PRECISION_EXACT);
    const int64_t width = level->width, taps = shape.kernel[0] * shape.kernel[1] * shape.kernel[2];
    const int64_t in = shape.in[0] * shape.in[1] * shape.in[2], out = shape.out[0] * shape.out[1] * shape.out[2];
    const int64_t each = shape.in_channels / shape.group;
    float *x = numbers(kind, shape.in_channels * in),
          *w = numbers(kind == SIGNS ? EQUAL : kind, shape.out_channels * each * taps);
    float *blocks = numbers(EQUAL, (shape.in_channels + width) * in),
          *y = numbers(EQUAL, (shape.out_channels + width) * out);
    double *sum = calloc((size_t)(shape.out_channels * out), sizeof *sum),
           *size = calloc((size_t)(shape.out_channels * out), sizeof *size);
    void *packed = calloc(1, level->convolve->pack_bytes(algorithm, &shape) + 64);
    struct conv_prepared *prepared = prepared_for(level, &shape);
    void *scratch = calloc(1, level->convolve->scratch_bytes(prepared) + 64);
    const struct epilogue none = {.act = ACT_NONE};
    level->convolve->pack(algorithm, &shape, packed, w, NULL);
    if (!shape.in_plain)
        level->layout->block(blocks, x, shape.in_channels, in);
    level->convolve->run(prepared, shape.in_plain ? x : blocks, packed, y, &none, scratch, 0,
                         level->convolve->units(prepared));
    reference_conv(&shape, x, (const char *)w, NULL, NULL, NULL, sum, size);
    for (int64_t c = 0; c < shape.out_channels; c++)
        for (int64_t p = 0; p < out; p++)
            near(level->convolve->name(algorithm), level, kind, (double)y[(c / width * out + p) * width + c % width],
                 sum[c * out + p], PRODUCTS * size[c * out + p]);
    free(x);
    free(w);
    free(blocks);
    free(y);
    free(sum);
    free(size);
    free(packed);
    free(prepared);
    free(scratch);
}

START_TEST(convolutions_of_many_taps_and_channels)
{
    EACH_LEVEL(level)
    for (int kind = 0; kind < KINDS; kind++) {
        struct conv_shape s = {.group = 1,
                               .in_channels = 512,
                               .out_channels = 3,
                               .in = {1, 9, 9},
                               .out = {1, 1, 1},
                               .kernel = {1, 9, 9},
                               .stride = {1, 1, 1},
                               .dilation = {1, 1, 1}};
        check_conv(level, (enum kind)kind, s); /* blocks: 41,472 products */
        s = (struct conv_shape){.group = 1,
                                .in_channels = 1,
                                .out_channels = 2,
                                .in = {1, 200, 200},
                                .out = {1, 1, 2},
                                .kernel = {1, 200, 199},
                                .stride = {1, 1, 1},
                                .dilation = {1, 1, 1},
                                .in_plain = true};
        check_conv(level, (enum kind)kind, s); /* a plane */
        s = (struct conv_shape){.group = 4,
                                .in_channels = 4,
                                .out_channels = 4,
                                .in = {1, 1, 30000},
                                .out = {1, 1, 9},
                                .kernel = {1, 1, 29992},
                                .stride = {1, 1, 1},
                                .dilation = {1, 1, 1}};
        check_conv(level, (enum kind)kind, s); /* depthwise, a full tile and a single pixel */
        s.group = 2;
        s.in_plain = true;
        check_conv(level, (enum kind)kind, s); /* groups of two */
    }
}
END_TEST

START_TEST(averages_of_large_windows)
{
    EACH_LEVEL(level)
    for (int kind = 0; kind < KINDS; kind++)
        for (int blocked = 0; blocked < 2; blocked++) {
            const int64_t lanes = blocked ? level->width : 1, n = 300 * 301;
            const struct pool_shape shape = {.in = {1, 300, 301},
                                             .out = {1, 1, 1},
                                             .kernel = {1, 300, 301},
                                             .stride = {1, 1, 1},
                                             .dilation = {1, 1, 1},
                                             .average = true};
            float *x = numbers((enum kind)kind, n * lanes), y[64];
            level->reduce->pool(&shape, (int)lanes, x, y, 0, 1);
            for (int64_t j = 0; j < lanes; j++) {
                double size;
                const double want = reference_reduce(REDUCE_SUM, x + j, n, lanes, &size) / (double)n;
                near("average", level, (enum kind)kind, (double)y[j], want, SUMS * size / (double)n);
            }
            free(x);
        }
}
END_TEST

/* Taps that lie far apart cost what near ones cost: all pieces together copy no more of a picture than each tap sees,
 * and their number does not explode. (Copied whole, what lies between the taps would be a thousand pictures.) */
static void check_dilated(const struct kernels *level, int64_t channels, int64_t group, int axes, int64_t size,
                          int64_t dilation)
{
    struct conv_shape shape = {.group = group,
                               .in_channels = channels,
                               .out_channels = channels,
                               .in = {1, 1, 1},
                               .out = {1, 1, 1},
                               .kernel = {1, 1, 1},
                               .stride = {1, 1, 1},
                               .dilation = {1, 1, 1},
                               .in_plain = channels < level->width || group > 1};
    double picture = 4.0 * (double)channels, taps = 1;
    for (int axis = 3 - axes; axis < 3; axis++) {
        shape.in[axis] = shape.out[axis] = size;
        shape.kernel[axis] = 3;
        shape.dilation[axis] = shape.pad[axis] = dilation;
        picture *= (double)size;
        taps *= 3;
    }
    struct conv_prepared *prepared = prepared_for(level, &shape);
    const double copied = (double)level->convolve->scratch_bytes(prepared) * (double)level->convolve->units(prepared);
    free(prepared);
    ck_assert_msg(copied <= 2 * taps * picture + (1 << 22),
                  "level %s, %d axes, dilation %ld: %.0f MB of a picture of %.0f", level->name, axes, (long)dilation,
                  copied / 1e6, picture / 1e6);
}

START_TEST(dilated_convolutions_copy_what_taps_see)
{
    EACH_LEVEL(level)
    {
        check_dilated(level, 3, 1, 2, 512, 128);
        check_dilated(level, 3, 1, 2, 512, 250);
        check_dilated(level, 3, 1, 1, 1 << 20, 1 << 18);
        check_dilated(level, 3, 1, 3, 96, 32);
        check_dilated(level, 6, 3, 2, 512, 128);
    }
}
END_TEST

START_TEST(dilated_convolutions_are_right)
{
    EACH_LEVEL(level)
    for (int64_t dilation = 1; dilation < 70; dilation += 17)
        for (int kind = 0; kind < 6; kind++) {
            const int64_t channels = kind == 2 ? level->width : 4, d = dilation;
            struct conv_shape s = {.group = kind == 1   ? channels
                                            : kind == 3 ? 2
                                                        : 1,
                                   .in_channels = channels,
                                   .out_channels = kind == 1 ? channels : 4,
                                   .in = {1, 40, 37},
                                   .out = {1, 40, 37},
                                   .kernel = {1, 3, 3},
                                   .stride = {1, 1, 1},
                                   .dilation = {1, d, d},
                                   .pad = {0, d, d},
                                   .in_plain = kind != 1 && kind != 2};
            if (kind == 4) /* three axes, uneven steps */
                s = (struct conv_shape){.group = 1,
                                        .in_channels = 2,
                                        .out_channels = 3,
                                        .in = {7, 8, 19},
                                        .out = {7, 4, 10},
                                        .kernel = {3, 2, 3},
                                        .stride = {1, 2, 2},
                                        .dilation = {d, 3, d},
                                        .pad = {d, 1, d},
                                        .in_plain = true};
            if (kind == 5) { /* transposed: out = in - 1 - 2 pad + 2 d + 1 */
                s.transposed = true;
                s.out[1] = 40;
                s.out[2] = 37;
            }
            check_conv(level, SPREAD, s);
        }
}
END_TEST

Suite *kernel_parts_suite(void);

Suite *kernel_parts_suite(void)
{
    Suite *suite = suite_create("kernel/parts");
    TCase *tcase = tcase_create("parts");
    tcase_add_test(tcase, sums_along_any_axis);
    tcase_add_test(tcase, moments_of_flat_planes);
    tcase_add_test(tcase, softmax_of_long_rows);
    tcase_add_test(tcase, products_of_long_rows);
    tcase_add_test(tcase, products_of_two_computed_sides);
    tcase_add_test(tcase, convolutions_of_many_taps_and_channels);
    tcase_add_test(tcase, averages_of_large_windows);
    tcase_add_test(tcase, dilated_convolutions_copy_what_taps_see);
    tcase_add_test(tcase, dilated_convolutions_are_right);
    suite_add_tcase(suite, tcase);
    return suite;
}
