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

START_TEST(add_rounds_each_product_and_sum_once)
{
    begin(_i);
    for (int64_t n = 0; n < 200; n++) {
        const bool is_signed = n % 2;
        uint8_t *a = guarded_bytes(n), *b = guarded_bytes(n), *y = guarded_bytes(n);
        const bool tame = chance(2); /* results within 8 bits, halves among them */
        const float a_ratio = tame ? 0.5f : hostile_scale(), b_ratio = tame ? 0.25f : hostile_scale();
        const float fixed = tame ? (float)between(-20, 20) : number() * 100;
        for (int64_t i = 0; i < n; i++) {
            a[i] = (uint8_t)draw();
            b[i] = (uint8_t)draw();
        }
        level->quantize->add(y, is_signed, a, b, a_ratio, b_ratio, fixed, n);
        for (int64_t i = 0; i < n; i++) {
            const float inner = fmaf((float)as_number(b, i, is_signed), b_ratio, fixed);
            const float value = fmaf((float)as_number(a, i, is_signed), a_ratio, inner);
            const int32_t got = as_number(y, i, is_signed), want = saturated(value, is_signed, 0);
            FAIL_UNLESS(got == want, "add n %ld: %d %g + %d %g + %g is %d, want %d", (long)n, a[i], (double)a_ratio,
                        b[i], (double)b_ratio, (double)fixed, got, want);
        }
        release();
    }
}
END_TEST

/* --- products ----------------------------------------------------------------------------------------------------- */

/* How numbers are drawn: any, or all at one end, where sums grow fastest. */
enum numbers { ANY, LEAST, MOST };

static uint8_t draw_byte(enum numbers numbers, bool is_signed)
{
    const int32_t flip = is_signed ? 128 : 0;
    const int32_t number = numbers == LEAST  ? 0
                           : numbers == MOST ? 255
                           : chance(8)       ? (int32_t)between(0, 1) * 255
                                             : (int32_t)between(0, 255);
    return (uint8_t)(number ^ flip);
}

/* What is multiplied: unsigned on the left, signed on the right. */
static int32_t as_left(const uint8_t *x, int64_t i, bool is_signed)
{
    return as_number(x, i, is_signed) + (is_signed ? 128 : 0);
}

static int32_t as_right(const uint8_t *x, int64_t i, bool is_signed)
{
    return as_number(x, i, is_signed) - (is_signed ? 0 : 128);
}

struct dot_case {
    int64_t m, n, k, stride_k, stride_n;
    bool a_signed, is_signed;
    uint8_t *a; /* [m][k] */
    uint8_t *b;
    char *rows; /* a, laid */
    void *packed;
    int32_t *sums;
};

static void lay(const struct dot_case *c, int64_t row)
{
    const size_t each = level->quantize->dot_row_bytes(c->k);
    uint32_t want = 0;
    const int32_t got =
        level->quantize->dot_pack_row(c->rows + each * (size_t)row, c->a + row * c->k, c->a_signed, c->k);
    for (int64_t p = 0; p < c->k; p++)
        want += (uint32_t)as_left(c->a, row * c->k + p, c->a_signed);
    FAIL_UNLESS((uint32_t)got == want, "dot_pack_row k %ld signed %d: sum %d, want %d", (long)c->k, c->a_signed, got,
                (int32_t)want);
}

/* b apart from its neighbours where there is a gap: by rows of n and more, or by columns of k and more. */
static struct dot_case prepare(int64_t m, int64_t n, int64_t k, bool turned, enum numbers a, enum numbers b)
{
    const int64_t gap = between(0, 2);
    struct dot_case c = {.m = m, .n = n, .k = k, .a_signed = chance(2), .is_signed = chance(2)};
    c.stride_k = turned ? 1 : n + gap;
    c.stride_n = turned ? k + gap : 1;
    c.a = guarded_bytes(m * k);
    for (int64_t i = 0; i < m * k; i++)
        c.a[i] = draw_byte(a, c.a_signed);
    const int64_t b_bytes = k && n ? (k - 1) * c.stride_k + (n - 1) * c.stride_n + 1 : 0;
    c.b = guarded_bytes(b_bytes);
    for (int64_t i = 0; i < b_bytes; i++)
        c.b[i] = draw_byte(b, c.is_signed);
    c.rows = guarded_bytes(m * (int64_t)level->quantize->dot_row_bytes(k));
    for (int64_t i = 0; i < m; i++)
        lay(&c, i);
    c.packed = guarded_bytes((int64_t)level->quantize->dot_pack_bytes(k, n));
    c.sums = guarded_bytes(n * 4);
    level->quantize->dot_pack(c.packed, c.sums, c.b, k, n, c.stride_k, c.stride_n, c.is_signed);
    return c;
}

static int32_t dot_wanted(const struct dot_case *c, int64_t i, int64_t j)
{
    uint32_t sum = 0;
    for (int64_t p = 0; p < c->k; p++)
        sum += (uint32_t)(as_left(c->a, i * c->k + p, c->a_signed) *
                          as_right(c->b, p * c->stride_k + j * c->stride_n, c->is_signed));
    return (int32_t)sum;
}

static void check_sums(const struct dot_case *c)
{
    for (int64_t j = 0; j < c->n; j++) {
        uint32_t want = 0;
        for (int64_t p = 0; p < c->k; p++)
            want += (uint32_t)as_right(c->b, p * c->stride_k + j * c->stride_n, c->is_signed);
        FAIL_UNLESS((uint32_t)c->sums[j] == want, "dot_pack n %ld k %ld: the sum of %ld is %d, want %d", (long)c->n,
                    (long)c->k, (long)j, c->sums[j], (int32_t)want);
    }
}

static void check_dot(int64_t m, int64_t n, int64_t k, bool turned, enum numbers a, enum numbers b)
{
    const struct dot_case d = prepare(m, n, k, turned, a, b);
    const int64_t ldc = n + between(0, 3), c_bytes = m ? ((m - 1) * ldc + n) * 4 : 0;
    int32_t *c = guarded_bytes(c_bytes), *parts = guarded_bytes(c_bytes);
    check_sums(&d);
    level->quantize->dot(m, n, k, d.rows, d.packed, c, ldc, 0, n);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            const int32_t got = c[i * ldc + j], want = dot_wanted(&d, i, j);
            FAIL_UNLESS(got == want, "dot m %ld n %ld k %ld signed %d at %ld, %ld: %d, want %d", (long)m, (long)n,
                        (long)k, d.is_signed, (long)i, (long)j, got, want);
        }
    for (int64_t i = 0; i + 1 < m; i++) /* between the rows */
        for (int64_t j = n; j < ldc; j++)
            FAIL_UNLESS(c[i * ldc + j] == -1, "dot m %ld n %ld k %ld wrote beside row %ld", (long)m, (long)n, (long)k,
                        (long)i);
    for (int64_t from = 0, to; from < n; from = to) {
        to = from + level->quantize->dot_step * between(1, 3);
        to = to < n ? to : n;
        level->quantize->dot(m, n, k, d.rows, d.packed, parts, ldc, from, to);
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
    const int64_t ks[] = {0, 1, 2, 3, 4, 5, 57, 58};
    for (size_t i = 0; i < sizeof ms / sizeof *ms; i++)
        for (size_t j = 0; j < sizeof ns / sizeof *ns; j++)
            for (size_t p = 0; p < sizeof ks / sizeof *ks; p++)
                check_dot(ms[i], ns[j], ks[p], chance(2), ANY, ANY);
}
END_TEST

START_TEST(dot_multiplies_random_sizes)
{
    begin(_i);
    for (int i = 0; i < 60; i++)
        check_dot(between(1, 40), between(1, 300), between(0, 200), chance(2), ANY, ANY);
    check_dot(30, 4 * level->quantize->dot_step + 3, 9000, false, ANY, ANY); /* columns in more than one group */
}
END_TEST

/* Pairs of products never saturate, and 255 times -128, 70,000 times, is more than an int32 holds. */
START_TEST(dot_wraps_at_32_bits_and_nowhere_else)
{
    begin(_i);
    for (int a = LEAST; a <= MOST; a++)
        for (int b = LEAST; b <= MOST; b++) {
            check_dot(2, 3, 70000, false, (enum numbers)a, (enum numbers)b);
            check_dot(1, 1, 32769, true, (enum numbers)a, (enum numbers)b);
            check_dot(7, level->quantize->dot_step + 1, 33, false, (enum numbers)a, (enum numbers)b);
        }
}
END_TEST

/* Packed weights are those of b alone: not of what lies behind it. */
START_TEST(dot_pack_fills_up_with_zeros)
{
    begin(_i);
    for (int round = 0; round < 100; round++) {
        const int64_t n = between(1, 3 * level->quantize->dot_step), k = between(1, 42), m = between(1, 3);
        const struct dot_case d = prepare(m, n, k, round % 2, ANY, ANY);
        const int64_t last = (k - 1) * d.stride_k + (n - 1) * d.stride_n + 1;
        const int64_t more = last + 3 * d.stride_k + d.stride_n * level->quantize->dot_step;
        uint8_t *b = guarded_bytes(more);
        for (int64_t i = 0; i < more; i++)
            b[i] = i < last ? d.b[i] : (uint8_t)between(0, 254);
        const size_t bytes = level->quantize->dot_pack_bytes(k, n);
        void *again = guarded_bytes((int64_t)bytes);
        int32_t *sums = guarded_bytes(n * 4);
        level->quantize->dot_pack(again, sums, b, k, n, d.stride_k, d.stride_n, d.is_signed);
        FAIL_UNLESS(memcmp(d.packed, again, bytes) == 0, "n %ld k %ld: what follows b is packed", (long)n, (long)k);
        FAIL_UNLESS(memcmp(d.sums, sums, (size_t)n * 4) == 0, "n %ld k %ld: what follows b is summed", (long)n,
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
        const struct dot_case d = prepare(0, n, k, chance(2), ANY, ANY);
        const size_t bytes = level->quantize->dot_pack_bytes(k, n);
        char *apart = guarded_bytes((int64_t)bytes);
        int32_t *sums = guarded_bytes(n * 4);
        for (int64_t j = 0; j < n; j += level->quantize->dot_step) {
            const int64_t some = n - j < level->quantize->dot_step ? n - j : level->quantize->dot_step;
            level->quantize->dot_pack(apart + level->quantize->dot_pack_bytes(k, j), sums + j, d.b + j * d.stride_n, k,
                                      some, d.stride_k, d.stride_n, d.is_signed);
        }
        FAIL_UNLESS(memcmp(d.packed, apart, bytes) == 0, "n %ld k %ld", (long)n, (long)k);
        FAIL_UNLESS(memcmp(d.sums, sums, (size_t)n * 4) == 0, "sums, n %ld k %ld", (long)n, (long)k);
        release();
    }
}
END_TEST

/* --- convolutions ------------------------------------------------------------------------------------------------- */

static void check_slide_pixels(int64_t n, int64_t step, uint8_t flip)
{
    const int64_t reach = n ? (n - 1) * step + 1 : 0;
    const void *rows[4];
    uint8_t *to = guarded_bytes(4 * n);
    for (int r = 0; r < 4; r++) {
        uint8_t *row = guarded_bytes(reach);
        for (int64_t i = 0; i < reach; i++)
            row[i] = (uint8_t)draw();
        rows[r] = row;
    }
    level->quantize->slide_pixels(to, rows, step, flip, n);
    for (int64_t i = 0; i < 4 * n; i++) {
        const uint8_t want = ((const uint8_t *)rows[i % 4])[i / 4 * step] ^ flip;
        FAIL_UNLESS(to[i] == want, "slide_pixels n %ld step %ld: %d at %ld, want %d", (long)n, (long)step, to[i],
                    (long)i, want);
    }
    release();
}

START_TEST(slide_pixels_interleaves_four_rows)
{
    begin(_i);
    for (int64_t step = 1; step <= 4; step++)
        for (int64_t n = 0; n < 70; n++)
            check_slide_pixels(n, step, (uint8_t)(n % 2 ? 0x80 : 0));
}
END_TEST

/* Weights are zero or any; some fours of them are missing at the end of a row's memory. */
static int8_t *draw_weights(int64_t rows, int64_t quads, enum numbers numbers)
{
    int8_t *w = guarded_bytes(4 * rows * quads);
    for (int64_t i = 0; i < 4 * rows * quads; i++)
        w[i] = chance(6) ? 0 : (int8_t)draw_byte(numbers, true);
    return w;
}

static void *pack_slide(int64_t rows, int64_t quads, const int8_t *w)
{
    const int64_t n_bytes = (int64_t)level->quantize->slide_pack_bytes(rows, quads);
    char *packed = guarded_bytes(n_bytes);
    memset(packed, 0, (size_t)n_bytes);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t from = 0, n; from < quads; from += n) {
            n = between(1, quads - from);
            level->quantize->slide_pack(packed, quads, r, from, n, w + 4 * (r * quads + from));
        }
    return packed;
}

static void check_slide(int64_t rows, int64_t n, int64_t quads, enum numbers a, enum numbers b)
{
    const int64_t step = level->quantize->slide_step, width = level->width;
    const int64_t ldc = (n + width - 1) / width * width + between(0, 3), room = (rows + step - 1) / step * step;
    const int64_t most = between(0, 40);
    uint8_t *x = guarded_bytes(4 * (most + n));
    int8_t *w = draw_weights(rows, quads, b);
    int64_t *offsets = guarded_bytes(quads * 8);
    int32_t *c = guarded_bytes(room * ldc * 4);
    for (int64_t i = 0; i < 4 * (most + n); i++)
        x[i] = draw_byte(a, false);
    for (int64_t q = 0; q < quads; q++)
        offsets[q] = q == 0 ? most : between(0, most);
    const char *packed = pack_slide(rows, quads, w);
    for (int64_t row = 0, some; row < rows; row += some) {
        some = step * between(1, 3) < rows - row ? step * between(1, 3) : rows - row;
        some = some < rows - row ? some / step * step : rows - row;
        level->quantize->slide(some, n, quads, x, offsets, packed + level->quantize->slide_pack_bytes(row, quads),
                               c + row * ldc, ldc);
    }
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < n; i++) {
            uint32_t want = 0;
            for (int64_t q = 0; q < quads; q++)
                for (int64_t j = 0; j < 4; j++)
                    want += (uint32_t)(x[4 * (offsets[q] + i) + j] * w[4 * (r * quads + q) + j]);
            FAIL_UNLESS((uint32_t)c[r * ldc + i] == want, "slide rows %ld n %ld quads %ld at %ld, %ld: %d, want %d",
                        (long)rows, (long)n, (long)quads, (long)r, (long)i, c[r * ldc + i], (int32_t)want);
        }
    release();
}

START_TEST(slide_sums_what_its_taps_see)
{
    begin(_i);
    const int64_t step = level->quantize->slide_step, width = level->width;
    const int64_t rows[] = {1, step - 1, step, step + 1, 3 * step + 2}, quads[] = {0, 1, 2, 9, 65};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t q = 0; q < sizeof quads / sizeof *quads; q++)
            for (int64_t n = 1; n < 8 * width; n += n < 3 ? 1 : between(1, width))
                check_slide(rows[i], n, quads[q], ANY, ANY);
    for (int a = LEAST; a <= MOST; a++)
        for (int b = LEAST; b <= MOST; b++) {
            check_slide(step, 3 * width, 40, (enum numbers)a, (enum numbers)b);
            check_slide(1, 1, 20000, (enum numbers)a, (enum numbers)b);
        }
}
END_TEST

static void check_slide_one(int64_t n, int64_t quads, int64_t step, enum numbers a, enum numbers b)
{
    const int64_t most = between(0, 40), reach = most + (n - 1) * step + 1;
    uint8_t *x = guarded_bytes(reach);
    int8_t *w = draw_weights(1, quads, b);
    int64_t *offsets = guarded_bytes(quads * 8);
    int32_t *c = guarded_bytes(n * 4);
    for (int64_t i = 0; i < reach; i++)
        x[i] = draw_byte(a, false);
    for (int64_t q = 0; q < quads; q++) {
        offsets[q] = q == 0 ? most : between(0, most);
        for (int64_t j = 0; j < 4; j++) /* what is not there has no weight */
            w[4 * q + j] = offsets[q] + j > most ? 0 : w[4 * q + j];
    }
    level->quantize->slide_one(c, x, step, offsets, w, quads, n);
    for (int64_t i = 0; i < n; i++) {
        uint32_t want = 0;
        for (int64_t q = 0; q < quads; q++)
            for (int64_t j = 0; j < 4; j++)
                if (w[4 * q + j])
                    want += (uint32_t)(x[offsets[q] + i * step + j] * w[4 * q + j]);
        FAIL_UNLESS((uint32_t)c[i] == want, "slide_one n %ld quads %ld step %ld: %d at %ld, want %d", (long)n,
                    (long)quads, (long)step, c[i], (long)i, (int32_t)want);
    }
    release();
}

START_TEST(slide_one_sums_fours_of_a_row)
{
    begin(_i);
    for (int64_t step = 1; step <= 5; step++)
        for (int64_t n = 1; n < 5 * level->width; n += n < 3 ? 1 : between(1, 5))
            for (int64_t quads = 0; quads < 8; quads++)
                check_slide_one(n, quads, step, ANY, ANY);
    for (int a = LEAST; a <= MOST; a++)
        for (int b = LEAST; b <= MOST; b++)
            check_slide_one(3 * level->width, 25, 1, (enum numbers)a, (enum numbers)b);
}
END_TEST

Suite *kernel_quantize_suite(void);

Suite *kernel_quantize_suite(void)
{
    Suite *suite = suite_create("kernel/quantize");
    fixture_add(suite, "dequantize_scales_every_number", dequantize_scales_every_number);
    fixture_add(suite, "quantize_rounds_to_even_and_saturates", quantize_rounds_to_even_and_saturates);
    fixture_add(suite, "requantize_wraps_scales_and_saturates", requantize_wraps_scales_and_saturates);
    fixture_add(suite, "rescale_wraps_and_scales", rescale_wraps_and_scales);
    fixture_add(suite, "add_rounds_each_product_and_sum_once", add_rounds_each_product_and_sum_once);
    fixture_add(suite, "dot_multiplies_at_tile_edges", dot_multiplies_at_tile_edges);
    fixture_add(suite, "dot_multiplies_random_sizes", dot_multiplies_random_sizes);
    fixture_add(suite, "dot_wraps_at_32_bits_and_nowhere_else", dot_wraps_at_32_bits_and_nowhere_else);
    fixture_add(suite, "dot_pack_fills_up_with_zeros", dot_pack_fills_up_with_zeros);
    fixture_add(suite, "dot_pack_of_ranges_is_that_of_the_whole", dot_pack_of_ranges_is_that_of_the_whole);
    fixture_add(suite, "slide_pixels_interleaves_four_rows", slide_pixels_interleaves_four_rows);
    fixture_add(suite, "slide_sums_what_its_taps_see", slide_sums_what_its_taps_see);
    fixture_add(suite, "slide_one_sums_fours_of_a_row", slide_one_sums_fours_of_a_row);
    return suite;
}
