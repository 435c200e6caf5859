/*
 * quantize.c - 8-bit numbers and integer products against naive loops, on every level that this CPU runs.
 *
 * Nothing here may differ by a bit: integers have no rounding, and between them and floats there is one division or
 * multiplication, rounded as float is, and one rounding to a whole number, half to even. NaN is the least number.
 */
#include "fixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Zero points at both ends and within. */
static const int32_t zeros_of[2][5] = {{0, 255, 128, 1, 77}, {-128, 127, 0, -1, 77}};

static int32_t as_number(const uint8_t *x, int64_t i, bool is_signed)
{
    return is_signed && x[i] > 127 ? x[i] - 256 : x[i];
}

/* A whole number and a half, far out, huge, infinite or none: what rounding and saturation have to get right. */
static float hostile(float scale)
{
    switch (between(0, 3)) {
    case 0:
        return ((float)between(-300, 300) + 0.5f) * scale;
    case 1:
        return any_float();
    case 2:
        return (float)between(-140, 270) * scale;
    default:
        return number() * 300 * scale;
    }
}

static int32_t hostile_int(void)
{
    static const int32_t special[] = {0,        1,         -1,      INT32_MAX, INT32_MIN, INT32_MAX - 1, INT32_MIN + 1,
                                      16777217, -16777217, 1 << 24, 33554435};
    if (chance(4))
        return special[between(0, (int64_t)(sizeof special / sizeof *special) - 1)];
    return chance(3) ? (int32_t)draw() : (int32_t)between(-40000, 40000);
}

static float hostile_scale(void)
{
    static const float special[] = {1, 0.5f, 0.25f, 1 / 255.0f, 1e-40f, 3e38f, -1, 1e-9f, INFINITY, NAN, 0, -0.0f};
    return chance(2) ? special[between(0, (int64_t)(sizeof special / sizeof *special) - 1)] : fabsf(number()) / 50;
}

static int32_t wrapped_sum(int32_t a, int32_t b)
{
    return (int32_t)(uint32_t)((int64_t)a + b);
}

/* The 8-bit number of a float that has been scaled. */
static int32_t saturated(float scaled, bool is_signed, int32_t zero)
{
    const double low = is_signed ? -128 : 0, high = is_signed ? 127 : 255;
    const double q = nearbyint((double)scaled) + zero;
    return (int32_t)(isnan(q) || q < low ? low : q > high ? high : q);
}

/* --- conversions -------------------------------------------------------------------------------------------------- */

static void check_widen(int64_t n, bool is_signed, int32_t zero)
{
    uint8_t *x = guarded_bytes(n);
    int16_t *y = guarded_bytes(n * 2);
    uint32_t sum = 0;
    for (int64_t i = 0; i < n; i++)
        x[i] = (uint8_t)(chance(4) ? between(0, 1) * 255 : n >= 256 ? i : between(0, 255));
    const int32_t got = level->quantize->widen(y, x, is_signed, zero, n);
    for (int64_t i = 0; i < n; i++) {
        const int32_t want = as_number(x, i, is_signed) - zero;
        sum += (uint32_t)want;
        FAIL_UNLESS(y[i] == want, "widen n %ld zero %d: %d at %ld, want %d", (long)n, zero, y[i], (long)i, want);
    }
    FAIL_UNLESS((uint32_t)got == sum, "widen n %ld zero %d: sum %d, want %d", (long)n, zero, got, (int32_t)sum);
    release();
}

START_TEST(widen_takes_the_zero_point_away_and_sums)
{
    begin(_i);
    for (int is_signed = 0; is_signed < 2; is_signed++)
        for (int z = 0; z < 5; z++) {
            for (int64_t n = 0; n < 150; n++)
                check_widen(n, is_signed, zeros_of[is_signed][z]);
            check_widen(256, is_signed, zeros_of[is_signed][z]);
            check_widen(100003, is_signed, zeros_of[is_signed][z]);
        }
}
END_TEST

static void check_dequantize(int64_t n, bool is_signed, int32_t zero, float scale)
{
    uint8_t *x = guarded_bytes(n);
    float *y = guarded(n);
    for (int64_t i = 0; i < n; i++)
        x[i] = (uint8_t)(n >= 256 ? i : between(0, 255));
    level->quantize->dequantize(y, x, is_signed, scale, zero, n);
    for (int64_t i = 0; i < n; i++) {
        const float want = (float)(as_number(x, i, is_signed) - zero) * scale;
        FAIL_UNLESS(same_number(y[i], want), "dequantize n %ld scale %g zero %d: %d is %.9g, want %.9g", (long)n,
                    (double)scale, zero, x[i], (double)y[i], (double)want);
    }
    release();
}

START_TEST(dequantize_scales_every_number)
{
    begin(_i);
    for (int is_signed = 0; is_signed < 2; is_signed++)
        for (int z = 0; z < 5; z++) {
            for (int64_t n = 0; n < 70; n++)
                check_dequantize(n, is_signed, zeros_of[is_signed][z], hostile_scale());
            for (int round = 0; round < 20; round++)
                check_dequantize(256, is_signed, zeros_of[is_signed][z], hostile_scale());
        }
}
END_TEST

static void check_quantize(int64_t n, bool is_signed, int32_t zero, float scale)
{
    float *x = guarded(n);
    uint8_t *y = guarded_bytes(n);
    for (int64_t i = 0; i < n; i++)
        x[i] = hostile(scale);
    level->quantize->quantize(y, is_signed, x, scale, zero, n);
    for (int64_t i = 0; i < n; i++) {
        const float scaled = x[i] / scale;
        const int32_t got = as_number(y, i, is_signed), want = saturated(scaled, is_signed, zero);
        FAIL_UNLESS(got == want, "quantize n %ld scale %g zero %d: %.9g is %d, want %d", (long)n, (double)scale, zero,
                    (double)x[i], got, want);
    }
    release();
}

START_TEST(quantize_rounds_to_even_and_saturates)
{
    begin(_i);
    for (int is_signed = 0; is_signed < 2; is_signed++)
        for (int z = 0; z < 5; z++)
            for (int64_t n = 0; n < 150; n++)
                check_quantize(n, is_signed, zeros_of[is_signed][z], n % 3 ? hostile_scale() : 0.5f);
}
END_TEST

static void check_requantize(int64_t n, bool is_signed, int32_t zero, bool per_element)
{
    const int64_t n_scales = per_element ? n : 1;
    int32_t *x = guarded_bytes(n * 4), *bias = guarded_bytes(n_scales * 4);
    float *scale = guarded(n_scales);
    uint8_t *y = guarded_bytes(n);
    const bool tame = chance(2); /* results within 8 bits, halves among them */
    for (int64_t i = 0; i < n; i++)
        x[i] = tame ? (int32_t)between(-400, 400) : hostile_int();
    for (int64_t i = 0; i < n_scales; i++) {
        bias[i] = tame ? (int32_t)between(-50, 50) : hostile_int();
        scale[i] = tame ? chance(2) ? 0.5f : number() : hostile_scale();
    }
    level->quantize->requantize(y, is_signed, x, bias, scale, per_element, zero, n);
    for (int64_t i = 0; i < n; i++) {
        const int64_t s = per_element ? i : 0;
        const float scaled = (float)wrapped_sum(x[i], bias[s]) * scale[s];
        const int32_t got = as_number(y, i, is_signed), want = saturated(scaled, is_signed, zero);
        FAIL_UNLESS(got == want, "requantize n %ld zero %d: (%d + %d) %g is %d, want %d", (long)n, zero, x[i], bias[s],
                    (double)scale[s], got, want);
    }
    release();
}

START_TEST(requantize_wraps_scales_and_saturates)
{
    begin(_i);
    for (int is_signed = 0; is_signed < 2; is_signed++)
        for (int z = 0; z < 5; z++)
            for (int64_t n = 0; n < 150; n++)
                for (int per_element = 0; per_element < 2; per_element++)
                    check_requantize(n, is_signed, zeros_of[is_signed][z], per_element);
}
END_TEST

START_TEST(rescale_wraps_and_scales)
{
    begin(_i);
    for (int64_t n = 0; n < 200; n++) {
        int32_t *x = guarded_bytes(n * 4), *bias = guarded_bytes(n * 4);
        float *scale = guarded(n), *y = guarded(n);
        for (int64_t i = 0; i < n; i++) {
            x[i] = hostile_int();
            bias[i] = hostile_int();
            scale[i] = hostile_scale();
        }
        level->quantize->rescale(y, x, bias, scale, n);
        for (int64_t i = 0; i < n; i++) {
            const float want = (float)wrapped_sum(x[i], bias[i]) * scale[i];
            FAIL_UNLESS(same_number(y[i], want), "rescale n %ld: (%d + %d) %g is %.9g, want %.9g", (long)n, x[i],
                        bias[i], (double)scale[i], (double)y[i], (double)want);
        }
        release();
    }
}
END_TEST

/* --- products ----------------------------------------------------------------------------------------------------- */

/* How numbers are drawn: any, or all at one end, where sums grow fastest. */
enum numbers { ANY, LEAST, MOST };

struct dot_case {
    int64_t m, n, k, lda, stride_k, stride_n;
    bool is_signed;
    int16_t *a; /* rows of lda; behind an odd k a zero, between rows anything */
    uint8_t *b;
    void *packed;
};

static int16_t draw_a(enum numbers numbers)
{
    return (int16_t)(numbers == LEAST  ? -512
                     : numbers == MOST ? 511
                     : chance(8)       ? -512 + between(0, 1) * 1023
                                       : between(-512, 511));
}

/* b apart from its neighbours where there is a gap: by rows of n and more, or by columns of k and more. */
static struct dot_case prepare(int64_t m, int64_t n, int64_t k, bool turned, bool is_signed, enum numbers numbers)
{
    const int64_t gap = between(0, 2), even = (k + 1) / 2 * 2;
    struct dot_case c = {.m = m, .n = n, .k = k, .is_signed = is_signed, .lda = even + between(0, 3)};
    c.stride_k = turned ? 1 : n + gap;
    c.stride_n = turned ? k + gap : 1;
    c.a = guarded_bytes(m ? ((m - 1) * c.lda + even) * 2 : 0);
    for (int64_t i = 0; i < m; i++)
        for (int64_t p = 0; p < (i + 1 < m ? c.lda : even); p++)
            c.a[i * c.lda + p] = p == k && k % 2 ? 0 : draw_a(numbers);
    const int64_t b_bytes = k && n ? (k - 1) * c.stride_k + (n - 1) * c.stride_n + 1 : 0;
    c.b = guarded_bytes(b_bytes);
    for (int64_t i = 0; i < b_bytes; i++)
        c.b[i] = (uint8_t)(numbers == LEAST  ? (is_signed ? 128 : 0)
                           : numbers == MOST ? (is_signed ? 127 : 255)
                                             : between(0, 255));
    c.packed = guarded_bytes((int64_t)level->quantize->dot_pack_bytes(k, n));
    level->quantize->dot_pack(c.packed, c.b, k, n, c.stride_k, c.stride_n, is_signed);
    return c;
}

static int32_t dot_wanted(const struct dot_case *c, int64_t i, int64_t j)
{
    uint32_t sum = 0;
    for (int64_t p = 0; p < c->k; p++) {
        const int32_t b = as_number(c->b, p * c->stride_k + j * c->stride_n, c->is_signed) - (c->is_signed ? 0 : 128);
        sum += (uint32_t)(c->a[i * c->lda + p] * b);
    }
    return (int32_t)sum;
}

static void check_dot(int64_t m, int64_t n, int64_t k, bool turned, bool is_signed, enum numbers numbers)
{
    const struct dot_case d = prepare(m, n, k, turned, is_signed, numbers);
    const int64_t ldc = n + between(0, 3), c_bytes = m ? ((m - 1) * ldc + n) * 4 : 0;
    int32_t *c = guarded_bytes(c_bytes), *parts = guarded_bytes(c_bytes);
    level->quantize->dot(m, n, k, d.a, d.lda, d.packed, c, ldc, 0, n);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            const int32_t got = c[i * ldc + j], want = dot_wanted(&d, i, j);
            FAIL_UNLESS(got == want, "dot m %ld n %ld k %ld signed %d at %ld, %ld: %d, want %d", (long)m, (long)n,
                        (long)k, is_signed, (long)i, (long)j, got, want);
        }
    for (int64_t i = 0; i + 1 < m; i++) /* between the rows */
        for (int64_t j = n; j < ldc; j++)
            FAIL_UNLESS(c[i * ldc + j] == -1, "dot m %ld n %ld k %ld wrote beside row %ld", (long)m, (long)n, (long)k,
                        (long)i);
    for (int64_t from = 0, to; from < n; from = to) {
        to = from + level->quantize->dot_step * between(1, 3);
        to = to < n ? to : n;
        level->quantize->dot(m, n, k, d.a, d.lda, d.packed, parts, ldc, from, to);
    }
    FAIL_UNLESS(memcmp(c, parts, (size_t)c_bytes) == 0, "dot m %ld n %ld k %ld depends on ranges", (long)m, (long)n,
                (long)k);
    release();
}

START_TEST(dot_multiplies_at_tile_edges)
{
    begin(_i);
    const int64_t step = level->quantize->dot_step;
    const int64_t ms[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 25};
    const int64_t ns[] = {1,    level->width - 1, level->width, level->width + 1, step - 1,
                          step, step + 1,         4 * step,     5 * step + 3};
    const int64_t ks[] = {0, 1, 2, 3, 57, 58};
    for (size_t i = 0; i < sizeof ms / sizeof *ms; i++)
        for (size_t j = 0; j < sizeof ns / sizeof *ns; j++)
            for (size_t p = 0; p < sizeof ks / sizeof *ks; p++)
                check_dot(ms[i], ns[j], ks[p], chance(2), chance(2), ANY);
}
END_TEST

START_TEST(dot_multiplies_random_sizes)
{
    begin(_i);
    for (int i = 0; i < 60; i++)
        check_dot(between(1, 40), between(1, 300), between(0, 200), chance(2), chance(2), ANY);
    check_dot(30, 4 * level->quantize->dot_step + 3, 9000, false, true, ANY); /* columns in more than one group */
}
END_TEST

/* -512 times -128, 70,000 times, is more than an int32 holds. */
START_TEST(dot_wraps_at_32_bits)
{
    begin(_i);
    for (int is_signed = 0; is_signed < 2; is_signed++)
        for (int numbers = LEAST; numbers <= MOST; numbers++) {
            check_dot(2, 3, 70000, false, is_signed, (enum numbers)numbers);
            check_dot(1, 1, 32769, true, is_signed, (enum numbers)numbers);
            check_dot(7, level->quantize->dot_step + 1, 33, false, is_signed, (enum numbers)numbers);
        }
}
END_TEST

/* Packed weights are those of b alone: not of what lies behind it, and past an odd k they are zero, so that not even
 * another number there in a counts. */
START_TEST(dot_pack_fills_up_with_zeros)
{
    begin(_i);
    for (int round = 0; round < 100; round++) {
        const int64_t n = between(1, 3 * level->quantize->dot_step), k = 2 * between(0, 20) + 1, m = between(1, 3);
        const bool turned = round % 2, is_signed = chance(2);
        const struct dot_case d = prepare(m, n, k, turned, is_signed, ANY);
        const int64_t last = (k - 1) * d.stride_k + (n - 1) * d.stride_n + 1;
        const int64_t more = last + d.stride_k + d.stride_n * level->quantize->dot_step;
        uint8_t *b = guarded_bytes(more);
        for (int64_t i = 0; i < more; i++)
            b[i] = i < last ? d.b[i] : (uint8_t)between(0, 254);
        const size_t bytes = level->quantize->dot_pack_bytes(k, n);
        void *again = guarded_bytes((int64_t)bytes);
        level->quantize->dot_pack(again, b, k, n, d.stride_k, d.stride_n, is_signed);
        FAIL_UNLESS(memcmp(d.packed, again, bytes) == 0, "n %ld k %ld: what follows b is packed", (long)n, (long)k);
        int32_t *want = guarded_bytes(m * n * 4), *got = guarded_bytes(m * n * 4);
        level->quantize->dot(m, n, k, d.a, d.lda, d.packed, want, n, 0, n);
        for (int64_t i = 0; i < m; i++)
            d.a[i * d.lda + k] = 511;
        level->quantize->dot(m, n, k, d.a, d.lda, d.packed, got, n, 0, n);
        FAIL_UNLESS(memcmp(want, got, (size_t)(m * n) * 4) == 0, "n %ld k %ld: b has a number past k", (long)n,
                    (long)k);
        release();
    }
}
END_TEST

/* Columns from j on lie at byte dot_pack_bytes(k, j). */
START_TEST(dot_pack_of_ranges_is_that_of_the_whole)
{
    begin(_i);
    for (int round = 0; round < 40; round++) {
        const int64_t n = between(1, 4 * level->quantize->dot_step), k = between(1, 40);
        const struct dot_case d = prepare(0, n, k, chance(2), chance(2), ANY);
        const size_t bytes = level->quantize->dot_pack_bytes(k, n);
        char *apart = guarded_bytes((int64_t)bytes);
        for (int64_t j = 0; j < n; j += level->quantize->dot_step) {
            const int64_t some = n - j < level->quantize->dot_step ? n - j : level->quantize->dot_step;
            level->quantize->dot_pack(apart + level->quantize->dot_pack_bytes(k, j), d.b + j * d.stride_n, k, some,
                                      d.stride_k, d.stride_n, d.is_signed);
        }
        FAIL_UNLESS(memcmp(d.packed, apart, bytes) == 0, "n %ld k %ld", (long)n, (long)k);
        release();
    }
}
END_TEST

static void check_taps(int64_t n, int64_t stride, int64_t taps, bool extreme)
{
    enum { REACH = 20 };
    int64_t *offsets = guarded_bytes(taps * 8), low = 0, high = 0;
    int16_t *w = guarded_bytes(taps * 2);
    for (int64_t t = 0; t < taps; t++) {
        offsets[t] = between(-REACH, REACH);
        low = offsets[t] < low ? offsets[t] : low;
        high = offsets[t] > high ? offsets[t] : high;
        w[t] = (int16_t)(extreme ? -255 : between(-255, 255));
    }
    const int64_t length = n && taps ? high - low + (n - 1) * stride + 1 : 0;
    int16_t *x = (int16_t *)guarded_bytes(length * 2) - (length ? low : 0);
    for (int64_t i = 0; i < length; i++)
        x[low + i] = (int16_t)(extreme ? -255 : between(-255, 255));
    int32_t *c = guarded_bytes(n * 4);
    level->quantize->dot_taps(c, x, stride, offsets, w, taps, n);
    for (int64_t i = 0; i < n; i++) {
        int32_t want = 0;
        for (int64_t t = 0; t < taps; t++)
            want += x[offsets[t] + i * stride] * w[t];
        FAIL_UNLESS(c[i] == want, "taps %ld stride %ld n %ld at %ld: %d, want %d", (long)taps, (long)stride, (long)n,
                    (long)i, c[i], want);
    }
    release();
}

START_TEST(dot_taps_see_one_window_per_pixel)
{
    begin(_i);
    const int64_t taps[] = {0, 1, 2, 3, 9, 25, 49};
    for (size_t t = 0; t < sizeof taps / sizeof *taps; t++)
        for (int64_t stride = 1; stride <= 4; stride++)
            for (int64_t n = 0; n < 50; n++)
                check_taps(n, stride, taps[t], n % 7 == 6);
}
END_TEST

Suite *kernel_quantize_suite(void);

Suite *kernel_quantize_suite(void)
{
    Suite *suite = suite_create("kernel/quantize");
    fixture_add(suite, "widen_takes_the_zero_point_away_and_sums", widen_takes_the_zero_point_away_and_sums);
    fixture_add(suite, "dequantize_scales_every_number", dequantize_scales_every_number);
    fixture_add(suite, "quantize_rounds_to_even_and_saturates", quantize_rounds_to_even_and_saturates);
    fixture_add(suite, "requantize_wraps_scales_and_saturates", requantize_wraps_scales_and_saturates);
    fixture_add(suite, "rescale_wraps_and_scales", rescale_wraps_and_scales);
    fixture_add(suite, "dot_multiplies_at_tile_edges", dot_multiplies_at_tile_edges);
    fixture_add(suite, "dot_multiplies_random_sizes", dot_multiplies_random_sizes);
    fixture_add(suite, "dot_wraps_at_32_bits", dot_wraps_at_32_bits);
    fixture_add(suite, "dot_pack_fills_up_with_zeros", dot_pack_fills_up_with_zeros);
    fixture_add(suite, "dot_pack_of_ranges_is_that_of_the_whole", dot_pack_of_ranges_is_that_of_the_whole);
    fixture_add(suite, "dot_taps_see_one_window_per_pixel", dot_taps_see_one_window_per_pixel);
    return suite;
}
