/*
 * rows.c - every function of every row that this CPU runs, against naive loops in double.
 *
 * Sizes lie around the edges of tiles (0, 1, a tile and one more or less, odd channels such as 58);
 * geometry is drawn at random from a seed that a failure prints (SEED=n repeats it). Buffers end 64
 * bytes before an unreadable page: a kernel that reads further faults, one that writes into the 64 bytes
 * is found when the buffer is released. Padding lanes of blocked inputs hold NaN.
 *
 * Tolerances. A sum of n terms may differ from the exact one by about n eps (eps = 2^-24) times the sum
 * of absolute terms, in any order; activations stretch an error by at most 1.5. Elementary functions
 * are allowed the units in the last place that vec.h claims, plus what their composition loses. Where
 * bits must not depend on something (m, ranges, units, position) they are compared as bits.
 */
#include "reference.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define EPS 5.9604644775390625e-8
#define SUM_EPS (5 * EPS) /* of a sum, whatever its length: three additions, a product before, a rounding at the end */

enum { SLACK = 64, MAX_ROWS = 8 };

/* What AddressSanitizer looks for, wrong addresses, depends on lengths and not on values: of all floats it
 * gets one in sixteen of those that a build without it takes. */
#ifdef __SANITIZE_ADDRESS__
enum { NEXT_FLOAT = 16 * 977 };
#else
enum { NEXT_FLOAT = 977 };
#endif

static const struct kernels *rows[MAX_ROWS];
static int n_rows;
static const struct kernels *row; /* under test */
static uint64_t seed, state;

/* --- draws ----------------------------------------------------------------------------------------- */

static uint64_t draw(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static int64_t between(int64_t low, int64_t high)
{
    return low + (int64_t)(draw() % (uint64_t)(high - low + 1));
}

static float number(void)
{
    return (float)(draw() >> 40) / 8388608.0f - 1.0f;
}

static bool chance(int one_in)
{
    return between(1, one_in) == 1;
}

/* --- guarded buffers -------------------------------------------------------------------------------- */

struct guard {
    float *at;
    char *map, *end; /* end: the unreadable page; mappings are kept for the next buffer */
    size_t n;
    bool used;
};

#define MAX_GUARDS 512
static struct guard guards[MAX_GUARDS];
static int n_guards;

static struct guard *guard_of(size_t bytes)
{
    for (int i = 0; i < n_guards; i++) {
        const size_t room = (size_t)(guards[i].end - guards[i].map);
        if (!guards[i].used && room >= bytes && room / 8 < bytes + 4096)
            return &guards[i];
    }
    ck_assert_int_lt(n_guards, MAX_GUARDS);
    struct guard *guard = &guards[n_guards++];
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (2 * bytes + page - 1) / page * page;
    guard->map = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(guard->map, MAP_FAILED);
    guard->end = guard->map + room;
    ck_assert_int_eq(mprotect(guard->end, page, PROT_NONE), 0);
    return guard;
}

/* n floats, NaN, with SLACK bytes of 0xff before and after. */
static float *guarded(int64_t n)
{
    const size_t bytes = (size_t)n * sizeof(float);
    struct guard *guard = guard_of(bytes + 2 * SLACK);
    guard->n = (size_t)n;
    guard->used = true;
    memset(guard->end - bytes - 2 * SLACK, 0xff, bytes + 2 * SLACK);
    guard->at = (float *)(void *)(guard->end - SLACK - bytes);
    return guard->at;
}

static float *guarded_numbers(int64_t n)
{
    float *x = guarded(n);
    for (int64_t i = 0; i < n; i++)
        x[i] = number();
    return x;
}

static const float *guarded_copy(const float *x, int64_t n)
{
    return memcpy(guarded(n), x, (size_t)n * sizeof *x);
}

/* Of check only what fails: an assertion that holds writes a message to its runner, and there are millions. */
#define FAIL_UNLESS(CONDITION, FORMAT, ...)                                                        \
    do {                                                                                           \
        if (!(CONDITION))                                                                          \
            ck_abort_msg("row %s, seed %llu: " FORMAT, row->name, (unsigned long long)seed,        \
                         __VA_ARGS__);                                                             \
    } while (0)

/* Gives all buffers back; what lies before and after each must be as it was. */
static void release(void)
{
    for (int i = 0; i < n_guards; i++) {
        if (!guards[i].used)
            continue;
        guards[i].used = false;
        const unsigned char *before = (const unsigned char *)guards[i].at - SLACK;
        const unsigned char *after = (const unsigned char *)(guards[i].at + guards[i].n);
        for (int k = 0; k < SLACK; k++)
            FAIL_UNLESS(before[k] == 0xff && after[k] == 0xff,
                        "wrote outside of %zu floats, %d bytes after them or %d before", guards[i].n, k,
                        SLACK - k);
    }
}

static void begin(int index)
{
    row = rows[index];
    const char *text = getenv("SEED");
    seed = text ? strtoull(text, NULL, 10) : 20240229;
    state = seed * 2654435769u + 88172645463325252u;
}

/* --- comparisons ------------------------------------------------------------------------------------ */

static bool near(double got, double want, double tolerance)
{
    if (isnan(want) || isnan(got))
        return isnan(want) && isnan(got);
    if (isinf(want) || isinf(got))
        return got == want;
    return fabs(got - want) <= tolerance;
}

/* Distance between neighbouring floats at x; of NaN and infinity, that of the largest. */
static double ulp(double x)
{
    const float size = (float)fabs(x);
    if (!(size < 3.4028234e38f))
        return ldexp(1, 104);
    return size < 1.17549435e-38f ? ldexp(1, -149) : ldexp(1, ilogbf(size) - 23);
}

static bool same_bits(const float *a, const float *b, int64_t n)
{
    return memcmp(a, b, (size_t)n * sizeof *a) == 0;
}


static struct epilogue draw_epilogue(const float *bias, const float *residual)
{
    struct epilogue epilogue = {.bias = chance(2) ? bias : NULL,
                                .residual = chance(2) ? residual : NULL,
                                .act = (enum activation)between(0, ACT_COUNT - 1),
                                .alpha = 0.2f,
                                .beta = 0.5f};
    return epilogue;
}

static double activated(const struct epilogue *epilogue, double x)
{
    return reference_activate(epilogue->act, x, (double)epilogue->alpha, (double)epilogue->beta);
}

/* --- gemm ------------------------------------------------------------------------------------------- */

static void check_gemm(int64_t m, int64_t n, int64_t k, bool turned)
{
    const int64_t lda = k + between(0, 3), ldc = n + between(0, 3);
    const float *a = guarded_numbers(m ? (m - 1) * lda + k : 0);
    char *b = (char *)guarded_numbers(k * n + 1) + 1; /* at an odd address */
    float *copy = guarded_numbers(k * n);
    memcpy(b, copy, (size_t)(k * n) * sizeof *copy);
    const int64_t stride_k = turned ? 1 : n, stride_n = turned ? k : 1;
    const float *bias = guarded_numbers(n), *scale = chance(2) ? guarded_numbers(n) : NULL;
    const int64_t c_size = m ? (m - 1) * ldc + n : 0;
    float *c = guarded(c_size), *residual = guarded_numbers(c_size);
    const struct epilogue epilogue = draw_epilogue(bias, residual);
    float *packed = guarded((int64_t)(row->gemm_pack_bytes(k, n) / sizeof(float)));
    row->gemm_pack(packed, b, k, n, stride_k, stride_n, scale);
    row->gemm(m, n, k, a, lda, packed, c, ldc, &epilogue, 0, n);

    double *sum = calloc((size_t)(m * n + 1), sizeof *sum), *size = calloc((size_t)(m * n + 1), sizeof *size);
    reference_gemm(m, n, k, a, lda, b, stride_k, stride_n, scale, epilogue.bias, epilogue.residual, ldc,
                   sum, size);
    for (int64_t i = 0; i < m * n; i++) {
        const double want = activated(&epilogue, sum[i]), got = (double)c[i / n * ldc + i % n];
        const double tolerance = 1.5 * (double)(k + 4) * EPS * size[i] + 8 * ulp(want);
        FAIL_UNLESS(near(got, want, tolerance), "gemm m %ld n %ld k %ld act %d at %ld: %.9g, want %.9g",
                    (long)m, (long)n, (long)k, (int)epilogue.act, (long)i, got, want);
    }
    for (int64_t i = 0; i + 1 < m; i++) /* between the rows */
        for (int64_t j = n; j < ldc; j++)
            FAIL_UNLESS(isnan(c[i * ldc + j]), "gemm m %ld n %ld k %ld wrote beside row %ld", (long)m,
                        (long)n, (long)k, (long)i);
    free(sum);
    free(size);
    release();
}

START_TEST(gemm_multiplies_at_tile_edges)
{
    begin(_i);
    const int64_t step = row->gemm_step;
    const int64_t ms[] = {0, 1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 25};
    const int64_t ns[] = {1, row->width - 1, row->width, step - 1, step, step + 1, 4 * step, 5 * step + 3};
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
    const int64_t step = row->gemm_step;
    for (int round = 0; round < 20; round++) {
        const int64_t m = between(1, 30), n = between(1, 6 * step), k = between(1, 1200);
        const float *a = guarded_numbers(m * k), *b = guarded_numbers(k * n), *bias = guarded_numbers(n);
        const float *residual = guarded_numbers(m * n);
        float *packed = guarded((int64_t)(row->gemm_pack_bytes(k, n) / sizeof(float)));
        float *whole = guarded(m * n), *single = guarded(m * n), *parts = guarded(m * n);
        const struct epilogue epilogue = draw_epilogue(bias, residual);
        row->gemm_pack(packed, b, k, n, n, 1, NULL);
        row->gemm(m, n, k, a, k, packed, whole, n, &epilogue, 0, n);
        for (int64_t i = 0; i < m; i++) {
            struct epilogue one = epilogue;
            if (one.residual)
                one.residual += i * n;
            row->gemm(1, n, k, a + i * k, k, packed, single + i * n, n, &one, 0, n);
        }
        for (int64_t from = 0, to; from < n; from = to) {
            to = from + step * between(1, 3);
            to = to < n ? to : n;
            row->gemm(m, n, k, a, k, packed, parts, n, &epilogue, from, to);
        }
        FAIL_UNLESS(same_bits(whole, single, m * n), "gemm m %ld n %ld k %ld depends on m", (long)m,
                    (long)n, (long)k);
        FAIL_UNLESS(same_bits(whole, parts, m * n), "gemm m %ld n %ld k %ld depends on ranges", (long)m,
                    (long)n, (long)k);
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
    float *packed = guarded((int64_t)(row->gemm_pack_bytes(k, n) / sizeof(float)));
    row->gemm_pack(packed, b, k, n, n, 1, NULL);
    row->gemm(m, n, k, a, k, packed, want, n, &(struct epilogue){.residual = residual}, 0, n);
    row->gemm(m, n, k, a, k, packed, c, n, &(struct epilogue){.residual = c}, 0, n);
    FAIL_UNLESS(same_bits(c, want, m * n), "in place %d", 0);
    release();
}
END_TEST

/* Any part of narrow weights widens to what the same part of the floats packs to. */
static void check_narrow(int bits, int64_t block, int64_t k, int64_t n)
{
    const int64_t blocks = (k + block - 1) / block, padded = blocks * block, step = row->gemm_step;
    uint8_t *q = (uint8_t *)guarded(n * padded * bits / 32 + 1);
    float *scales = guarded_numbers(n * blocks), *zeros = guarded(n * blocks), *wide = guarded(n * k);
    float *narrow = guarded((int64_t)(row->narrow_pack_bytes(bits, block, k, n) / sizeof(float)));
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
    row->narrow_pack(narrow, bits, block, k, n, q, scales, zeros);
    for (int part = 0; part < 4; part++) {
        const int64_t k_from = between(0, blocks - 1) * block, n_from = between(0, (n - 1) / step) * step;
        const int64_t k_to = part ? k : k_from + block < k ? k_from + block : k;
        const int64_t n_to = part ? n : n_from + step < n ? n_from + step : n;
        const int64_t floats = (int64_t)(row->gemm_pack_bytes(k_to - k_from, n_to - n_from) / sizeof(float));
        float *got = guarded(floats), *want = guarded(floats);
        row->narrow_widen(got, narrow, bits, block, k, k_from, k_to, n_from, n_to);
        row->gemm_pack(want, wide + n_from * k + k_from, k_to - k_from, n_to - n_from, 1, k, NULL);
        FAIL_UNLESS(same_bits(got, want, floats), "narrow %d block %ld k %ld n %ld", bits, (long)block, (long)k, (long)n);
    }
    release();
}

START_TEST(narrow_weights_widen_to_what_gemm_packs)
{
    begin(_i);
    for (int i = 0; i < 20; i++)
        check_narrow(chance(2) ? 4 : 8, chance(2) ? 16 : 64, between(1, 200), between(1, 3 * row->gemm_step));
}
END_TEST

/* --- convolution ------------------------------------------------------------------------------------- */

static int64_t volume(const int64_t dims[3])
{
    return dims[0] * dims[1] * dims[2];
}

static int64_t blocked_floats(int64_t channels, int64_t pixels)
{
    return (channels + row->width - 1) / row->width * row->width * pixels;
}

/* Blocks without the kernel under test; padding lanes are left as they are (NaN). */
static float *to_blocks(const float *plain, int64_t channels, int64_t pixels)
{
    const int64_t w = row->width;
    float *blocked = guarded(blocked_floats(channels, pixels));
    for (int64_t c = 0; plain && c < channels; c++)
        for (int64_t p = 0; p < pixels; p++)
            blocked[(c / w * pixels + p) * w + c % w] = plain[c * pixels + p];
    return blocked;
}

static void describe(const struct conv_shape *s, char *text, size_t size)
{
    snprintf(text, size,
             "group %ld channels %ld -> %ld in %ldx%ldx%ld out %ldx%ldx%ld kernel %ldx%ldx%ld stride "
             "%ldx%ldx%ld dilation %ldx%ldx%ld pad %ldx%ldx%ld%s%s",
             (long)s->group, (long)s->in_channels, (long)s->out_channels, (long)s->in[0], (long)s->in[1],
             (long)s->in[2], (long)s->out[0], (long)s->out[1], (long)s->out[2], (long)s->kernel[0],
             (long)s->kernel[1], (long)s->kernel[2], (long)s->stride[0], (long)s->stride[1],
             (long)s->stride[2], (long)s->dilation[0], (long)s->dilation[1], (long)s->dilation[2],
             (long)s->pad[0], (long)s->pad[1], (long)s->pad[2], s->transposed ? " transposed" : "",
             s->in_plain ? " plain" : "");
}

/* Output size of an axis, with an end padding that differs from the beginning's; false: none. */
static bool draw_axis(struct conv_shape *s, int axis, int64_t most_in, int64_t most_kernel)
{
    s->in[axis] = between(1, most_in);
    s->kernel[axis] = between(1, most_kernel);
    s->stride[axis] = chance(2) ? 1 : between(1, 4);
    s->dilation[axis] = chance(2) ? 1 : between(1, 3);
    s->pad[axis] = chance(2) ? s->kernel[axis] / 2 : between(0, s->kernel[axis] + 1);
    const int64_t pad_end = chance(2) ? s->pad[axis] : between(0, s->kernel[axis]);
    const int64_t span = s->dilation[axis] * (s->kernel[axis] - 1) + 1;
    if (s->transposed) {
        const int64_t extra = between(0, s->stride[axis] - 1);
        s->out[axis] = (s->in[axis] - 1) * s->stride[axis] - s->pad[axis] - pad_end + span + extra;
        return s->out[axis] >= 1;
    }
    const int64_t room = s->in[axis] + s->pad[axis] + pad_end - span;
    s->out[axis] = room / s->stride[axis] + 1;
    return room >= 0;
}

static struct conv_shape draw_conv(void)
{
    static const int64_t channels[] = {1, 2, 3, 4, 7, 8, 15, 16, 17, 24, 31, 32, 33, 48, 58, 70};
    for (;;) {
        struct conv_shape s = {.group = 1, .transposed = chance(4), .in_plain = chance(3)};
        const int64_t in = channels[between(0, 15)], out = channels[between(0, 15)];
        s.in_channels = in;
        s.out_channels = out;
        if (chance(4)) { /* depthwise, perhaps with a multiplier */
            s.group = in;
            s.out_channels = in * (chance(3) ? between(2, 3) : 1);
        } else if (chance(4)) {
            s.group = between(2, 4);
            s.in_channels = s.group * (chance(2) ? row->width : between(1, 20));
            s.out_channels = s.group * (chance(2) ? row->width : between(1, 20));
        }
        const int axes = (int)between(1, 3);
        bool fits = true;
        for (int axis = 0; axis < 3; axis++) {
            s.in[axis] = s.out[axis] = s.kernel[axis] = s.stride[axis] = s.dilation[axis] = 1;
            if (axis >= 3 - axes)
                fits = draw_axis(&s, axis, axes == 1 ? 90 : axes == 2 ? 20 : 7, axes == 3 ? 3 : 5) && fits;
        }
        const double work = (double)volume(s.out) * (double)volume(s.kernel) * (double)s.out_channels *
                            (double)s.in_channels / (double)s.group;
        if (fits && work < 4e6)
            return s;
    }
}

struct conv_case {
    struct conv_shape shape;
    int algorithm;
    float *plain, *input, *bias, *scale, *residual_plain, *residual;
    char *weights;
    float *packed, *scratch;
    struct epilogue epilogue;
};

static struct conv_case conv_prepare(const struct conv_shape *shape)
{
    struct conv_case c = {.shape = *shape, .algorithm = row->conv_choose(shape)};
    const int64_t in = volume(shape->in), out = volume(shape->out);
    const int64_t n_weights = shape->out_channels * (shape->in_channels / shape->group) * volume(shape->kernel);
    c.plain = guarded_numbers(shape->in_channels * in);
    c.input = shape->in_plain ? c.plain : to_blocks(c.plain, shape->in_channels, in);
    const float *weights = guarded_numbers(n_weights);
    c.weights = (char *)guarded(n_weights + 1) + 3;
    memcpy(c.weights, weights, (size_t)n_weights * sizeof *weights);
    c.bias = guarded_numbers(shape->out_channels);
    c.scale = chance(2) ? guarded_numbers(shape->out_channels) : NULL;
    c.residual_plain = guarded_numbers(shape->out_channels * out);
    c.residual = to_blocks(c.residual_plain, shape->out_channels, out);
    c.epilogue = draw_epilogue(c.bias, c.residual);
    c.packed = guarded((int64_t)(row->conv_pack_bytes(c.algorithm, shape) / sizeof(float)));
    c.scratch = guarded((int64_t)(row->conv_scratch_bytes(c.algorithm, shape) / sizeof(float)));
    row->conv_pack(c.algorithm, shape, c.packed, c.weights, c.scale);
    return c;
}

static void conv_compute(const struct conv_case *c, float *output, int64_t from, int64_t to)
{
    row->conv_run(c->algorithm, &c->shape, c->input, c->packed, output, &c->epilogue, c->scratch, from, to);
}

static void check_conv(const struct conv_shape *shape)
{
    const struct conv_case c = conv_prepare(shape);
    const int64_t pixels = volume(shape->out), n = shape->out_channels * pixels, w = row->width;
    float *output = to_blocks(NULL, shape->out_channels, pixels);
    conv_compute(&c, output, 0, row->conv_units(c.algorithm, shape));
    double *sum = calloc((size_t)n, sizeof *sum), *size = calloc((size_t)n, sizeof *size);
    reference_conv(shape, c.plain, c.weights, c.scale, c.epilogue.bias,
                   c.epilogue.residual ? c.residual_plain : NULL, sum, size);
    char text[400];
    describe(shape, text, sizeof text);
    const double terms = (double)(shape->in_channels / shape->group * volume(shape->kernel));
    for (int64_t i = 0; i < n; i++) {
        const int64_t channel = i / pixels, p = i % pixels;
        const double got = (double)output[(channel / w * pixels + p) * w + channel % w];
        const double want = activated(&c.epilogue, sum[i]);
        const double tolerance = 1.5 * (terms + 4) * EPS * size[i] + 8 * ulp(want);
        FAIL_UNLESS(near(got, want, tolerance), "%s %s act %d: channel %ld pixel %ld is %.9g, want %.9g",
                    row->conv_name(c.algorithm), text, (int)c.epilogue.act, (long)channel, (long)p, got,
                    want);
    }
    /* units in pieces and backwards */
    float *parts = to_blocks(NULL, shape->out_channels, pixels);
    for (int64_t to = row->conv_units(c.algorithm, shape), from; to > 0; to = from) {
        from = to - between(1, 3);
        from = from > 0 ? from : 0;
        conv_compute(&c, parts, from, to);
    }
    for (int64_t channel = 0; channel < shape->out_channels; channel++)
        for (int64_t p = 0; p < pixels; p++) {
            const int64_t at = (channel / w * pixels + p) * w + channel % w;
            FAIL_UNLESS(same_bits(output + at, parts + at, 1), "%s depends on the cut into units", text);
        }
    free(sum);
    free(size);
    release();
}

START_TEST(conv_computes_random_geometry)
{
    begin(_i);
    const char *rounds = getenv("ROUNDS");
    for (long i = rounds ? strtol(rounds, NULL, 10) : 150; i > 0; i--) {
        const struct conv_shape shape = draw_conv();
        check_conv(&shape);
    }
}
END_TEST

static struct conv_shape square_conv(int64_t in, int64_t out, int64_t size, int64_t kernel, int64_t stride,
                                     int64_t pad)
{
    const int64_t out_size = (size + 2 * pad - kernel) / stride + 1;
    return (struct conv_shape){.group = 1,
                               .in_channels = in,
                               .out_channels = out,
                               .in = {1, size, size},
                               .out = {1, out_size, out_size},
                               .kernel = {1, kernel, kernel},
                               .stride = {1, stride, stride},
                               .dilation = {1, 1, 1},
                               .pad = {0, pad, pad}};
}

START_TEST(conv_computes_layers_of_known_models)
{
    begin(_i);
    for (int64_t size = 1; size <= 30; size++) { /* all tile widths */
        struct conv_shape same = square_conv(16, 33, size, 3, 1, 1), one = square_conv(17, 48, size, 1, 1, 0);
        check_conv(&same);
        check_conv(&one);
    }
    struct conv_shape stem = square_conv(3, 64, 61, 7, 2, 3);
    stem.in_plain = true;
    check_conv(&stem);
    struct conv_shape shuffle = square_conv(58, 58, 28, 3, 1, 1);
    shuffle.group = 58;
    check_conv(&shuffle);
    struct conv_shape shrink = square_conv(64, 70, 15, 1, 2, 0);
    check_conv(&shrink);
    struct conv_shape deep = square_conv(300, 40, 20, 3, 1, 1);
    check_conv(&deep);
}
END_TEST

/* A long signal is cut along its only axis. */
START_TEST(conv_cuts_long_rows)
{
    begin(_i);
    struct conv_shape audio = {.group = 1,
                               .in_channels = 20,
                               .out_channels = 5,
                               .in = {1, 1, 9000},
                               .out = {1, 1, 9000},
                               .kernel = {1, 1, 9},
                               .stride = {1, 1, 1},
                               .dilation = {1, 1, 1},
                               .pad = {0, 0, 4}};
    check_conv(&audio);
    audio.in_plain = true;
    check_conv(&audio);
    ck_assert_uint_le(row->conv_scratch_bytes(row->conv_choose(&audio), &audio), 1 << 20);
}
END_TEST

/* The largest error of a convolution of numbers in [0, 1), relative to the sum, in EPS. */
static double long_sum_error(const struct conv_shape *shape)
{
    const int64_t in = volume(shape->in), pixels = volume(shape->out), w = row->width;
    const int64_t n = shape->out_channels * pixels;
    const int64_t n_weights = shape->out_channels * (shape->in_channels / shape->group) * volume(shape->kernel);
    const int algorithm = row->conv_choose(shape);
    float *plain = guarded_numbers(shape->in_channels * in), *weights = guarded_numbers(n_weights);
    for (int64_t i = 0; i < shape->in_channels * in; i++)
        plain[i] = fabsf(plain[i]);
    for (int64_t i = 0; i < n_weights; i++)
        weights[i] = fabsf(weights[i]);
    const float *input = shape->in_plain ? plain : to_blocks(plain, shape->in_channels, in);
    float *packed = guarded((int64_t)(row->conv_pack_bytes(algorithm, shape) / sizeof(float)));
    float *scratch = guarded((int64_t)(row->conv_scratch_bytes(algorithm, shape) / sizeof(float)));
    float *output = to_blocks(NULL, shape->out_channels, pixels);
    const struct epilogue none = {.act = ACT_NONE};
    row->conv_pack(algorithm, shape, packed, weights, NULL);
    row->conv_run(algorithm, shape, input, packed, output, &none, scratch, 0, row->conv_units(algorithm, shape));
    double *sum = calloc((size_t)n, sizeof *sum), *size = calloc((size_t)n, sizeof *size), most = 0;
    reference_conv(shape, plain, (const char *)weights, NULL, NULL, NULL, sum, size);
    for (int64_t i = 0; i < n; i++) {
        const double got = (double)output[(i / pixels / w * pixels + i % pixels) * w + i / pixels % w];
        most = fmax(most, fabs(got - sum[i]) / (sum[i] * EPS));
    }
    free(sum);
    free(size);
    release();
    return most;
}

/* Thousands of products in a single chain are off by 20 EPS and more. */
START_TEST(conv_sums_long_runs_accurately)
{
    begin(_i);
    struct conv_shape shapes[4] = {
        square_conv(512, 16, 8, 3, 1, 0), square_conv(4096, 16, 6, 1, 1, 0),
        square_conv(600, 18, 8, 3, 1, 0), square_conv(3, 16, 50, 45, 1, 0)};
    shapes[2].group = 2; /* of planes: 300 and 9 channels fill no blocks */
    shapes[3].in_plain = true;
    for (int i = 0; i < 4; i++) {
        const double error = long_sum_error(shapes + i);
        FAIL_UNLESS(error < 10, "shape %d: %.3g EPS", i, error);
    }
}
END_TEST

/* An output's bits are those that its own surroundings give, wherever it lies in a tile. */
START_TEST(conv_bits_do_not_depend_on_position)
{
    begin(_i);
    const int64_t channels = 20, w = row->width;
    for (int64_t size = 5; size < 40; size += 3) {
        struct conv_shape shape = square_conv(channels, 40, size, 3, 1, 1);
        float *pattern = guarded_numbers(channels);
        float *plain = guarded(channels * size * size);
        for (int64_t i = 0; i < channels * size * size; i++)
            plain[i] = pattern[i / (size * size)];
        float *input = to_blocks(plain, channels, size * size);
        float *weights = guarded_numbers(40 * channels * 9);
        const int algorithm = row->conv_choose(&shape);
        float *packed = guarded((int64_t)(row->conv_pack_bytes(algorithm, &shape) / sizeof(float)));
        float *scratch = guarded((int64_t)(row->conv_scratch_bytes(algorithm, &shape) / sizeof(float)));
        float *output = to_blocks(NULL, 40, size * size);
        row->conv_pack(algorithm, &shape, packed, weights, NULL);
        row->conv_run(algorithm, &shape, input, packed, output, &(struct epilogue){.act = ACT_NONE},
                      scratch, 0, row->conv_units(algorithm, &shape));
        for (int64_t c = 0; c < 40; c++)
            for (int64_t y = 1; y + 1 < size; y++)
                for (int64_t x = 1; x + 1 < size; x++) {
                    const float *map = output + c / w * size * size * w + c % w;
                    FAIL_UNLESS(same_bits(map + (y * size + x) * w, map + (size + 1) * w, 1),
                                "size %ld channel %ld at %ld, %ld", (long)size, (long)c, (long)y, (long)x);
                }
        release();
    }
}
END_TEST

START_TEST(conv_packing_does_not_depend_on_height_and_width)
{
    begin(_i);
    for (int round = 0; round < 50; round++) {
        struct conv_shape small = draw_conv(), large = small;
        for (int axis = 0; axis < 3; axis++) {
            large.in[axis] += 5;
            large.out[axis] += 5 * small.stride[axis];
            large.pad[axis] = 0;
        }
        const int algorithm = row->conv_choose(&small);
        ck_assert_int_eq(algorithm, row->conv_choose(&large));
        const size_t bytes = row->conv_pack_bytes(algorithm, &small);
        ck_assert_uint_eq(bytes, row->conv_pack_bytes(algorithm, &large));
        const float *weights = guarded_numbers(small.out_channels * small.in_channels / small.group *
                                               volume(small.kernel));
        float *a = guarded((int64_t)(bytes / sizeof(float))), *b = guarded((int64_t)(bytes / sizeof(float)));
        row->conv_pack(algorithm, &small, a, weights, NULL);
        row->conv_pack(algorithm, &large, b, weights, NULL);
        FAIL_UNLESS(same_bits(a, b, (int64_t)(bytes / sizeof(float))), "round %d", round);
        release();
    }
}
END_TEST

START_TEST(conv_scratch_stays_below_a_megabyte)
{
    begin(_i);
    const struct conv_shape shapes[] = {square_conv(64, 64, 56, 3, 1, 1), square_conv(512, 512, 7, 3, 1, 1),
                                        square_conv(512, 512, 28, 3, 1, 1), square_conv(64, 64, 224, 3, 1, 1),
                                        square_conv(3, 32, 640, 3, 2, 1), square_conv(1280, 1280, 32, 3, 1, 1)};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        ck_assert_uint_le(row->conv_scratch_bytes(row->conv_choose(&shapes[i]), &shapes[i]), 1 << 20);
}
END_TEST

/* --- blocks and pools --------------------------------------------------------------------------------- */

START_TEST(block_and_unblock_are_inverse)
{
    begin(_i);
    const int64_t channels[] = {1, 3, row->width - 1, row->width, row->width + 1, 58};
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++)
        for (int64_t pixels = 0; pixels < 40; pixels += 1 + pixels / 4) {
            const int64_t n = channels[i] * pixels;
            const float *plain = guarded_numbers(n);
            float *blocked = guarded(blocked_floats(channels[i], pixels)), *again = guarded(n);
            const float *want = to_blocks(plain, channels[i], pixels);
            row->block(blocked, plain, channels[i], pixels);
            const int64_t w = row->width;
            for (int64_t k = 0; k < n; k++) {
                const int64_t c = k / pixels, at = (c / w * pixels + k % pixels) * w + c % w;
                FAIL_UNLESS(same_bits(blocked + at, want + at, 1), "block %ld x %ld", (long)channels[i],
                            (long)pixels);
            }
            row->unblock(again, want, channels[i], pixels);
            FAIL_UNLESS(same_bits(again, plain, n), "unblock %ld x %ld", (long)channels[i], (long)pixels);
            release();
        }
}
END_TEST

static void check_pool(const struct pool_shape *s)
{
    const int64_t in = volume(s->in), out = volume(s->out), channels = row->width + 3;
    float *plain = guarded_numbers(channels * in);
    if (chance(4))
        plain[between(0, channels * in - 1)] = NAN;
    float *output = guarded(channels * out), *blocked_out = guarded(blocked_floats(channels, out));
    const int64_t lines = s->out[0] * s->out[1];
    row->pool(s, 1, plain, output, 0, channels * lines);
    row->pool(s, row->width, to_blocks(plain, channels, in), blocked_out, 0, lines);
    row->pool(s, row->width, to_blocks(plain, channels, in), blocked_out, lines, 2 * lines);
    const int64_t w = row->width;
    for (int64_t i = 0; i < channels * out; i++) {
        const int64_t c = i / out, p = i % out;
        const double want = reference_pool(s, plain + c * in, p / s->out[2] / s->out[1],
                                           p / s->out[2] % s->out[1], p % s->out[2]);
        const double tolerance = s->average ? (double)(volume(s->kernel) + 2) * EPS : 0;
        FAIL_UNLESS(near((double)output[i], want, tolerance), "pool plain: %.9g, want %.9g",
                    (double)output[i], want);
        const float *lane = blocked_out + (c / w * out + p) * w + c % w;
        FAIL_UNLESS(same_bits(lane, output + i, 1) || isnan(*lane), "pool blocked: %.9g, want %.9g",
                    (double)*lane, want);
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
            const int64_t room = s.in[axis] + s.pad[axis] + s.pad_end[axis] -
                                 (s.dilation[axis] * (s.kernel[axis] - 1) + 1);
            fits = fits && room >= 0;
            /* ceil mode, and sometimes one output more than that */
            s.out[axis] = room / s.stride[axis] + 1 + (used && chance(2));
        }
        if (fits)
            check_pool(&s);
    }
}
END_TEST

/* --- element by element ------------------------------------------------------------------------------- */

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

static float any_float(void)
{
    static const float special[] = {0.0f, -0.0f, 1.0f, -1.0f, 0.5f, -0.5f, 1.5f, 2.5f, -2.5f, INFINITY,
                                    -INFINITY, NAN, 1e-40f, -1e-40f, 1e-45f, 3.4e38f, -3.4e38f, 88.7f,
                                    89.0f, -87.3f, -88.0f, -103.0f, -104.0f, -150.0f, 8388608.0f,
                                    8388607.5f, -8388607.5f, 4194304.5f, 0.625f, 0.9999999f, 9000.0f};
    if (chance(8))
        return special[between(0, (int64_t)(sizeof special / sizeof *special) - 1)];
    return number() * ldexpf(1, (int)between(-30, 14));
}

/* Results that are both infinite and zero-signed right; x beyond what the absolute term covers. */
static void check_unary_value(const struct unary_case *c, float x, float got)
{
    const double want = reference_unary(c->op, (double)x, (double)c->alpha, (double)c->beta);
    const double rounded = (double)(float)want;
    const double size = isinf(x) || fabs((double)x) < 1 ? 1 : fabs((double)x);
    const double tolerance = c->ulps * ulp(want) + c->absolute * size;
    const bool right = isinf(rounded) || isnan(rounded) ? near((double)got, rounded, 0)
                                                         : near((double)got, want, tolerance);
    FAIL_UNLESS(right || (isinf(got) && fabs(want) > 3.4028e38), "unary %d of %.9g (%a) is %.9g, want %.9g",
                (int)c->op, (double)x, (double)x, (double)got, want);
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
            row->unary(c->op, y, x, n, c->alpha, c->beta);
            row->unary(c->op, in_place, in_place, n, c->alpha, c->beta);
            FAIL_UNLESS(same_bits(y, in_place, n), "unary %d in place differs, n %ld", (int)c->op, (long)n);
            for (int64_t k = 0; k < n; k++) {
                if ((c->op == UNARY_HARDSWISH || c->op == UNARY_SILU || c->op == UNARY_MISH ||
                     c->op == UNARY_GELU || c->op == UNARY_GELU_TANH) &&
                    (isinf(x[k]) || fabsf(x[k]) > 1e12f))
                    continue; /* -inf times 0, and what overflows on the way */
                check_unary_value(c, x[k], y[k]);
                float alone;
                row->unary(c->op, &alone, x + k, 1, c->alpha, c->beta);
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
    const enum unary ops[] = {UNARY_TANH, UNARY_ERF, UNARY_SIN, UNARY_FLOOR, UNARY_CEIL, UNARY_ROUND,
                              UNARY_SQRT, UNARY_SOFTSIGN, UNARY_COPY};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        float x = -0.0f, y;
        row->unary(ops[i], &y, &x, 1, 1, 1);
        FAIL_UNLESS(y == 0 && signbit(y), "unary %d of -0 is %g", (int)ops[i], (double)y);
    }
    float x = -0.25f, y;
    row->unary(UNARY_CEIL, &y, &x, 1, 0, 0);
    ck_assert(y == 0 && signbit(y));
}
END_TEST

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
            row->unary(ops[i], y, x, N, 0, 0);
            for (int k = 0; k < N; k++) {
                const double want = reference_unary(ops[i], (double)x[k], 0, 0);
                const double rounded = (double)(float)want;
                if (isnan(rounded) || isinf(rounded)) {
                    FAIL_UNLESS(near((double)y[k], rounded, 0), "unary %d of %a is %g, want %g",
                                (int)ops[i], (double)x[k], (double)y[k], want);
                    continue;
                }
                const double off = fabs((double)y[k] - want) / ulp(want);
                if (!(off <= worst)) {
                    worst = off;
                    worst_x = x[k];
                }
            }
        }
        FAIL_UNLESS(worst <= most[i], "unary %d is off by %.2f ulp at %a", (int)ops[i], worst,
                    (double)worst_x);
        if (getenv("BENCH"))
            printf("row %s unary %d: %.2f ulp at %a\n", row->name, (int)ops[i], worst, (double)worst_x);
    }
}
END_TEST

static void check_binary(enum binary op, const char *form, float a, float b, float got)
{
    const float want = reference_binary(op, a, b);
    const double slack = op == BINARY_POW ? ulp((double)want) : 0;
    FAIL_UNLESS(near((double)got, (double)want, slack), "binary %d (%s) of %.9g and %.9g is %.9g, want %.9g",
                (int)op, form, (double)a, (double)b, (double)got, (double)want);
}

START_TEST(binary_agrees_in_all_forms)
{
    begin(_i);
    const int64_t w = row->width;
    for (int op = 0; op < BINARY_COUNT; op++)
        for (int64_t n = 0; n < 70; n++) {
            float *a = guarded(n), *b = guarded(n), *y = guarded(n);
            for (int64_t k = 0; k < n; k++) {
                a[k] = any_float();
                b[k] = any_float();
            }
            const float scalar = n % 5 == 0 ? 2.0f : any_float();
            row->binary((enum binary)op, y, a, b, n);
            for (int64_t k = 0; k < n; k++)
                check_binary((enum binary)op, "both", a[k], b[k], y[k]);
            row->binary_scalar((enum binary)op, y, a, scalar, n);
            for (int64_t k = 0; k < n; k++)
                check_binary((enum binary)op, "scalar right", a[k], scalar, y[k]);
            row->scalar_binary((enum binary)op, y, scalar, b, n);
            for (int64_t k = 0; k < n; k++)
                check_binary((enum binary)op, "scalar left", scalar, b[k], y[k]);
            float *lanes = guarded_numbers(w), *block = guarded_numbers(n * w), *out = guarded(n * w);
            row->binary_lanes((enum binary)op, out, block, lanes, n);
            for (int64_t k = 0; k < n * w; k++)
                check_binary((enum binary)op, "lanes", block[k], lanes[k % w], out[k]);
            row->binary((enum binary)op, a, a, b, n); /* in place */
            release();
        }
}
END_TEST

START_TEST(affine_and_fill_cover_all_lengths)
{
    begin(_i);
    const int64_t w = row->width;
    for (int64_t n = 0; n < 70; n++) {
        float *x = guarded_numbers(n), *y = guarded(n);
        row->affine(y, x, 1.5f, -0.25f, n);
        for (int64_t k = 0; k < n; k++)
            FAIL_UNLESS(near((double)y[k], 1.5 * (double)x[k] - 0.25, 2 * EPS), "affine n %ld", (long)n);
        row->fill(y, 7, n);
        for (int64_t k = 0; k < n; k++)
            FAIL_UNLESS(y[k] == 7, "fill n %ld", (long)n);
        float *block = guarded_numbers(n * w), *out = guarded(n * w);
        float *scale = guarded_numbers(w), *shift = guarded_numbers(w);
        row->affine_lanes(out, block, scale, shift, n);
        for (int64_t k = 0; k < n * w; k++)
            FAIL_UNLESS(near((double)out[k], (double)block[k] * (double)scale[k % w] + (double)shift[k % w],
                             3 * EPS),
                        "affine_lanes n %ld", (long)n);
        release();
    }
}
END_TEST

/* --- along an axis ------------------------------------------------------------------------------------- */

static void check_reduce(enum reduce op, int64_t n, int64_t inner)
{
    float *x = guarded_numbers(n * inner), *y = guarded(inner);
    for (int64_t k = 0; op == REDUCE_PROD && k < n * inner; k++)
        x[k] = 1 + 0.1f * x[k];
    if (op != REDUCE_PROD && n * inner > 0 && chance(6))
        x[between(0, n * inner - 1)] = NAN;
    row->reduce(op, y, x, n, inner, inner);
    for (int64_t j = 0; j < inner; j++) {
        double size;
        const double want = reference_reduce(op, x + j, n, inner, &size);
        /* products: a factor is off by nothing, their product by doubles' roundings */
        const double tolerance = op == REDUCE_MAX || op == REDUCE_MIN ? 0 : SUM_EPS * size;
        FAIL_UNLESS(near((double)y[j], want, tolerance), "reduce %d n %ld inner %ld: %.9g, want %.9g",
                    (int)op, (long)n, (long)inner, (double)y[j], want);
    }
    release();
}

START_TEST(reduce_folds_runs_and_columns)
{
    begin(_i);
    const int64_t inners[] = {1, 2, row->width - 1, row->width, row->width + 1, 50};
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
    row->softmax(y, x, n, inner, inner, logarithm);
    for (int64_t k = 0; k < n * inner; k++) {
        /* x - max, rounded, is off by up to 40 eps, and so is its exponential */
        const double tolerance = logarithm ? 8 * EPS * (1 + fabs(want[k])) : 68 * EPS * fabs(want[k]) + 1e-45;
        FAIL_UNLESS(near((double)y[k], want[k], tolerance), "softmax n %ld inner %ld log %d: %.9g, want %.9g",
                    (long)n, (long)inner, logarithm, (double)y[k], want[k]);
    }
    free(want);
    release();
}

START_TEST(softmax_sums_to_one)
{
    begin(_i);
    const int64_t inners[] = {1, 3, row->width, row->width + 1};
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
    row->softmax(y, x, 3, 1, 1, false);
    ck_assert(y[0] == 0.5f && y[1] == 0.5f && y[2] == 0);
    release();
}
END_TEST

START_TEST(moments_of_runs_and_lanes)
{
    begin(_i);
    for (int64_t n = 1; n < 300; n += 1 + n / 8)
        for (int lanes = 1; lanes <= row->width; lanes += row->width - 1) {
            float *x = guarded_numbers(n * lanes);
            double mean[64], squares[64];
            for (int64_t k = 0; k < n * lanes; k++)
                x[k] += 100;
            row->moments(x, n, lanes, mean, squares);
            for (int j = 0; j < lanes; j++) {
                double sum = 0, want = 0;
                for (int64_t k = 0; k < n; k++)
                    sum += (double)x[k * lanes + j];
                for (int64_t k = 0; k < n; k++)
                    want += ((double)x[k * lanes + j] - sum / (double)n) * ((double)x[k * lanes + j] - sum / (double)n);
                /* doubles; distances from 0 to 1, of which each is off by half an ulp */
                FAIL_UNLESS(near(mean[j], sum / (double)n, 1e-11), "mean of %ld: %.9g", (long)n, mean[j]);
                FAIL_UNLESS(near(squares[j], want, 8 * EPS * want + (double)n * 1e-10), "squares of %ld: %.9g, want %.9g",
                            (long)n, squares[j], want);
            }
            release();
        }
}
END_TEST

START_TEST(normalize_shifts_and_scales_columns)
{
    begin(_i);
    for (int64_t n = 1; n < 100; n += 1 + n / 4)
        for (int lanes = 1; lanes <= row->width; lanes += row->width - 1) {
            float *x = guarded_numbers(n * lanes), *scale = guarded_numbers(lanes), *shift = guarded_numbers(lanes);
            double mean[64];
            for (int64_t k = 0; k < n * lanes; k++)
                x[k] += 1700;
            for (int j = 0; j < lanes; j++)
                mean[j] = 1700 + (double)number() / 3;
            float *y = chance(2) ? x : guarded(n * lanes);
            const float *from = guarded_copy(x, n * lanes);
            row->normalize(y, x, n, lanes, mean, scale, shift);
            for (int64_t k = 0; k < n * lanes; k++) {
                const int64_t j = k % lanes;
                const double want = ((double)from[k] - mean[j]) * (double)scale[j] + (double)shift[j];
                FAIL_UNLESS(near((double)y[k], want, 8 * EPS), "normalize %ld: %.9g, want %.9g", (long)k,
                            (double)y[k], want);
            }
            release();
        }
}
END_TEST

/* --- recurrent steps ------------------------------------------------------------------------------------ */

START_TEST(lstm_step_follows_onnx)
{
    begin(_i);
    for (int64_t hidden = 1; hidden < 40; hidden++)
        for (int kind = 0; kind < 8; kind++) {
            const int64_t items = 3, ld = 4 * hidden + between(0, 2);
            const float *gates = guarded_numbers((items - 1) * ld + 4 * hidden);
            const float *peephole = kind & 1 ? guarded_numbers(3 * hidden) : NULL;
            float *h = guarded(items * hidden), *c = guarded_numbers(items * hidden);
            const float *old = guarded_copy(c, items * hidden);
            const float clip = kind & 2 ? 0.4f : 0;
            row->lstm_step(items, hidden, gates, ld, h, c, peephole, clip, kind & 4);
            double want_h[40], want_c[40];
            for (int64_t item = 0; item < items; item++) {
                reference_lstm(hidden, gates + item * ld, old + item * hidden, want_h, want_c, peephole,
                               (double)clip, kind & 4);
                for (int64_t j = 0; j < hidden; j++) {
                    FAIL_UNLESS(near((double)c[item * hidden + j], want_c[j], 16 * EPS), "c, hidden %ld kind %d",
                                (long)hidden, kind);
                    FAIL_UNLESS(near((double)h[item * hidden + j], want_h[j], 16 * EPS), "h, hidden %ld kind %d",
                                (long)hidden, kind);
                }
            }
            release();
        }
}
END_TEST

START_TEST(gru_halves_follow_onnx)
{
    begin(_i);
    for (int64_t hidden = 1; hidden < 40; hidden++)
        for (int kind = 0; kind < 2; kind++) {
            const int64_t items = 3, ld = 3 * hidden + between(0, 2);
            float *gates = guarded_numbers((items - 1) * ld + 3 * hidden);
            const float *before = guarded_copy(gates, (items - 1) * ld + 3 * hidden);
            float *h = guarded_numbers(items * hidden), *reset_h = guarded(items * hidden);
            const float *old = guarded_copy(h, items * hidden);
            const float clip = kind ? 0.3f : 0;
            row->gru_gates(items, hidden, gates, ld, h, reset_h, clip);
            row->gru_step(items, hidden, gates, ld, h, clip);
            for (int64_t k = 0; k < items * hidden; k++) {
                const float *gate = before + k / hidden * ld + k % hidden;
                double v[3];
                for (int g = 0; g < 3; g++) {
                    const double limit = kind ? (double)clip : INFINITY;
                    v[g] = fmin(fmax((double)gate[g * hidden], -limit), limit);
                }
                const double z = 1 / (1 + exp(-v[0])), r = 1 / (1 + exp(-v[1]));
                const double want = (1 - z) * tanh(v[2]) + z * (double)old[k];
                FAIL_UNLESS(near((double)reset_h[k], r * (double)old[k], 8 * EPS), "reset, hidden %ld", (long)hidden);
                FAIL_UNLESS(near((double)h[k], want, 8 * EPS), "h, hidden %ld", (long)hidden);
            }
            release();
        }
}
END_TEST

/* Each test runs once per row. */
static void add(Suite *suite, const char *name, const TTest *test)
{
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, 300);
    tcase_add_loop_test(tcase, test, 0, n_rows);
    suite_add_tcase(suite, tcase);
}

Suite *kernel_rows_suite(void);

Suite *kernel_rows_suite(void)
{
    n_rows = 0;
    for (const struct kernels *const *any = pick_all(); *any && n_rows < MAX_ROWS; any++)
        if (pick_runs(*any))
            rows[n_rows++] = *any;
        else
            printf("not run: row %s\n", (*any)->name);
    Suite *suite = suite_create("kernel/rows");
    add(suite, "gemm_multiplies_at_tile_edges", gemm_multiplies_at_tile_edges);
    add(suite, "gemm_multiplies_random_sizes", gemm_multiplies_random_sizes);
    add(suite, "gemm_bits_do_not_depend_on_rows_or_ranges", gemm_bits_do_not_depend_on_rows_or_ranges);
    add(suite, "gemm_residual_may_be_the_output", gemm_residual_may_be_the_output);
    add(suite, "narrow_weights_widen_to_what_gemm_packs", narrow_weights_widen_to_what_gemm_packs);
    add(suite, "conv_computes_random_geometry", conv_computes_random_geometry);
    add(suite, "conv_computes_layers_of_known_models", conv_computes_layers_of_known_models);
    add(suite, "conv_cuts_long_rows", conv_cuts_long_rows);
    add(suite, "conv_sums_long_runs_accurately", conv_sums_long_runs_accurately);
    add(suite, "conv_bits_do_not_depend_on_position", conv_bits_do_not_depend_on_position);
    add(suite, "conv_packing_does_not_depend_on_height_and_width", conv_packing_does_not_depend_on_height_and_width);
    add(suite, "conv_scratch_stays_below_a_megabyte", conv_scratch_stays_below_a_megabyte);
    add(suite, "block_and_unblock_are_inverse", block_and_unblock_are_inverse);
    add(suite, "pool_sees_windows_like_the_definition", pool_sees_windows_like_the_definition);
    add(suite, "unary_agrees_with_libm", unary_agrees_with_libm);
    add(suite, "unary_keeps_the_sign_of_zero", unary_keeps_the_sign_of_zero);
    add(suite, "elementary_functions_are_within_their_ulps", elementary_functions_are_within_their_ulps);
    add(suite, "binary_agrees_in_all_forms", binary_agrees_in_all_forms);
    add(suite, "affine_and_fill_cover_all_lengths", affine_and_fill_cover_all_lengths);
    add(suite, "reduce_folds_runs_and_columns", reduce_folds_runs_and_columns);
    add(suite, "softmax_sums_to_one", softmax_sums_to_one);
    add(suite, "softmax_of_huge_numbers_does_not_overflow", softmax_of_huge_numbers_does_not_overflow);
    add(suite, "moments_of_runs_and_lanes", moments_of_runs_and_lanes);
    add(suite, "normalize_shifts_and_scales_columns", normalize_shifts_and_scales_columns);
    add(suite, "lstm_step_follows_onnx", lstm_step_follows_onnx);
    add(suite, "gru_halves_follow_onnx", gru_halves_follow_onnx);
    return suite;
}
