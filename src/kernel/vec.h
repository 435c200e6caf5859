/*
 * vec.h - the one vector type, and the only file of a level that knows instruction sets.
 *
 * The compiler's flags choose the width: 16 floats with AVX-512, 8 with AVX, else 4. Everything is
 * GCC's vector extension, so gcc and clang make the instructions; a * b + c becomes one fused
 * multiply-add where the target has it (-ffp-contract=fast). No -ffast-math: NaN and infinities behave,
 * and comparisons with NaN are false, which the selections below are written for.
 *
 * The elementary functions are range reduction and a polynomial. Errors against the exact value, over all of float's
 * range, are held by the tests to exp 2 ulp, log 2, tanh 3, sigmoid 3, erf 3; sin and cos to 2 plus 1e-7 max(1, |x|)
 * (up to |x| = 8192; lanes beyond ask libm). All are right for infinities, NaN, denormals and -0. A lane's result
 * depends on that lane alone, so tails may run on a padded copy.
 *
 * Everything is static: vector types never cross a function with external linkage.
 */
#ifndef KERNEL_VEC_H
#define KERNEL_VEC_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifndef KERNELS_LEVEL
#define KERNELS_LEVEL base
#endif
/* The table of one of this level's families. */
#define TABLE_OF(FAMILY, LEVEL) KERNELS_TABLE(FAMILY, LEVEL)
#define TABLE(FAMILY) TABLE_OF(FAMILY, KERNELS_LEVEL)

#if defined(__AVX512F__)
enum { WIDTH = 16 };
#elif defined(__AVX__)
enum { WIDTH = 8 };
#else
enum { WIDTH = 4 };
#endif

/* Tiles are cut from the register file: GEMM_ROWS x 2 or CONV_PIXELS x 2 accumulators, two vectors of
 * weights and a broadcast. */
#if defined(__AVX512F__) || defined(__aarch64__)
enum { GEMM_ROWS = 12, CONV_PIXELS = 14 };
#define MANY_REGISTERS 1
#else
enum { GEMM_ROWS = 6, CONV_PIXELS = 6 };
#define MANY_REGISTERS 0
#endif

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#define ROLLED _Pragma("clang loop unroll(disable)")
#else
#define UNROLL _Pragma("GCC unroll 64")
#define ROLLED _Pragma("GCC unroll 1")
#endif

/* For bodies whose constant arguments must vanish: each use is compiled for its own constants. */
#define INLINED static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(sizeof(float) * WIDTH)));
typedef int32_t ivec __attribute__((vector_size(sizeof(float) * WIDTH)));
typedef uint32_t uvec __attribute__((vector_size(sizeof(float) * WIDTH)));

INLINED vec load(const float *from)
{
    vec v;
    memcpy(&v, from, sizeof v);
    return v;
}

INLINED void store(float *to, vec v)
{
    memcpy(to, &v, sizeof v);
}

INLINED vec splat(float x)
{
    return x - (vec){0};
}

/* The first n lanes; the others are zero. */
INLINED vec load_part(const float *from, int64_t n)
{
    vec v = {0};
    memcpy(&v, from, (size_t)n * sizeof *from);
    return v;
}

INLINED void store_part(float *to, vec v, int64_t n)
{
    memcpy(to, &v, (size_t)n * sizeof *to);
}

/* Loads a vector of which `n` lanes are wanted, which may be more than there are. */
INLINED vec load_some(const float *from, int64_t n)
{
    return n >= WIDTH ? load(from) : load_part(from, n);
}

/* Stores a vector of which `n` lanes are wanted, which may be more than there are. */
INLINED void store_some(float *to, vec v, int64_t n)
{
    if (n >= WIDTH)
        store(to, v);
    else
        store_part(to, v, n);
}

INLINED vec select(ivec mask, vec yes, vec no)
{
    return (vec)((mask & (ivec)yes) | (~mask & (ivec)no));
}

INLINED ivec is_nan(vec x)
{
    return (ivec)(x != x);
}

/* min(max(x, low), high); a NaN stays. x86 has just this: of a NaN or of two zeros it gives the second operand. */
INLINED vec clamp(vec x, vec low, vec high)
{
#if defined(__AVX512F__) && defined(__clang__)
    return __builtin_ia32_minps512(high, __builtin_ia32_maxps512(low, x, 4), 4);
#elif defined(__AVX512F__)
    return __builtin_ia32_minps512_mask(high, __builtin_ia32_maxps512_mask(low, x, x, -1, 4), x, -1, 4);
#elif defined(__AVX__)
    return __builtin_ia32_minps256(high, __builtin_ia32_maxps256(low, x));
#elif defined(__SSE__)
    return __builtin_ia32_minps(high, __builtin_ia32_maxps(low, x));
#else
    x = select((ivec)(x < low), low, x);
    return select((ivec)(x > high), high, x);
#endif
}

/* By the sign bits, so that -0 is negative. */
INLINED vec where_negative(vec sign, vec yes, vec no)
{
#if defined(__AVX512DQ__) && !defined(__clang__)
    return __builtin_ia32_blendmps_512_mask(no, yes, (uint16_t)__builtin_ia32_cvtd2mask512((ivec)sign));
#elif defined(__AVX__) && !defined(__AVX512F__)
    return __builtin_ia32_blendvps256(no, yes, sign);
#else
    return select((ivec)sign < 0, yes, no);
#endif
}

/* Extremes that propagate NaN from either side; of two zeros the second. */
INLINED vec maximum(vec a, vec b)
{
#if defined(__AVX512F__) && !defined(__clang__)
    return select(is_nan(a), a, __builtin_ia32_maxps512_mask(a, b, b, -1, 4));
#elif defined(__AVX__) && !defined(__AVX512F__)
    return select(is_nan(a), a, __builtin_ia32_maxps256(a, b));
#else
    return select((ivec)(a > b) | is_nan(a), a, b);
#endif
}

INLINED vec minimum(vec a, vec b)
{
#if defined(__AVX512F__) && !defined(__clang__)
    return select(is_nan(a), a, __builtin_ia32_minps512_mask(a, b, b, -1, 4));
#elif defined(__AVX__) && !defined(__AVX512F__)
    return select(is_nan(a), a, __builtin_ia32_minps256(a, b));
#else
    return select((ivec)(a < b) | is_nan(a), a, b);
#endif
}

INLINED vec absolute(vec x)
{
    return (vec)((ivec)x & 0x7fffffff);
}

/* magnitude's bits with sign's sign; magnitude is not negative */
INLINED vec with_sign(vec magnitude, vec sign)
{
    return (vec)((uvec)magnitude | ((uvec)sign & 0x80000000u));
}

/* Lane by lane through a scalar function: for the rare ones, which libm knows better. */
INLINED vec each_lane(float (*f)(float), vec x)
{
    float lanes[WIDTH];
    memcpy(lanes, &x, sizeof x);
    for (int i = 0; i < WIDTH; i++)
        lanes[i] = f(lanes[i]);
    return load(lanes);
}

INLINED vec square_root(vec x)
{
    vec y = x;
    UNROLL
    for (int i = 0; i < WIDTH; i++)
        y[i] = __builtin_sqrtf(x[i]);
    return y;
}

/* To a whole number, half to even. Above 2^23 all floats are whole; adding 1.5 2^23 rounds the rest. */
INLINED vec round_even(vec x)
{
    const vec magic = splat(8388608.0f);
    vec size = absolute(x);
    vec rounded = with_sign((size + magic) - magic, x);
    return select((ivec)(size < magic), rounded, x);
}

INLINED vec round_down(vec x)
{
    vec near = round_even(x);
    vec less = near - select((ivec)(near > x), splat(1), splat(0));
    return with_sign(absolute(less), select((ivec)(less == 0), x, less));
}

INLINED vec round_up(vec x)
{
    return -round_down(-x);
}

/* 2^n for -126 <= n <= 127 */
INLINED vec power_of_two(ivec n)
{
    return (vec)((n + 127) << 23);
}

/* y 2^n, for n a whole number from -150 to 128: in two halves, so that results may be denormal or infinite. */
INLINED vec scaled_by_power(vec y, vec n, vec shifted_n, vec magic)
{
#if defined(__AVX512F__)
    (void)shifted_n;
    (void)magic;
    return __builtin_ia32_scalefps512_mask(y, n, y, -1, 4); /* 4: rounded as everything is */
#else
    ivec whole = (ivec)shifted_n - (ivec)magic;
    whole &= ~is_nan(n);
    ivec half = whole >> 1;
    return y * power_of_two(half) * power_of_two(whole - half);
#endif
}

#if defined(__AVX512F__)

/* A register of sixteen numbers is a table that one instruction reads, by the low four bits of each lane of i. */
INLINED vec table_at(vec table, ivec i)
{
#if defined(__clang__)
    return __builtin_ia32_permvarsf512(table, i);
#else
    return __builtin_ia32_permvarsf512_mask(table, i, table, (uint16_t)-1);
#endif
}

/* x = (n + i / 16) log 2 + r, and what is left for a polynomial is a sixteenth of what it is elsewhere. The powers have
 * a second half, for what their roundings lose. */
INLINED vec exponential(vec x)
{
    const vec powers = {0x1p+0f,        0x1.0b5586p+0f, 0x1.172b84p+0f, 0x1.2387a6p+0f, 0x1.306fep+0f,  0x1.3dea64p+0f,
                        0x1.4bfdaep+0f, 0x1.5ab07ep+0f, 0x1.6a09e6p+0f, 0x1.7a1148p+0f, 0x1.8ace54p+0f, 0x1.9c4918p+0f,
                        0x1.ae89fap+0f, 0x1.c199bep+0f, 0x1.d5818ep+0f, 0x1.ea4afap+0f};
    const vec lost = {0x0p+0f,          0x1.9f3122p-25f,  -0x1.c15742p-27f, 0x1.ceac48p-25f,
                      0x1.4636e2p-25f,  0x1.824684p-25f,  -0x1.593abcp-25f, -0x1.5bd5ecp-27f,
                      0x1.9fcef4p-26f,  -0x1.829fdp-25f,  0x1.15506ep-27f,  0x1.51f848p-27f,
                      -0x1.a94b14p-26f, -0x1.3d56b2p-27f, -0x1.822dbcp-27f, 0x1.52486cp-27f};
    const vec magic = splat(786432.0f); /* 1.5 * 2^19: its low bits count sixteenths */
    x = clamp(x, splat(-104.0f), splat(89.0f));
    vec shifted = x * 1.44269504088896341f + magic;
    vec n = shifted - magic; /* of which scaling takes the whole part */
    vec r = x - n * 0.693359375f;
    r = r - n * -2.12194440054690583e-4f;
    vec power = table_at(powers, (ivec)shifted);
    vec p = r * (1.0f / 6) + 0.5f;
    p = p * r + 1.0f;
    p = (p * r) * power + table_at(lost, (ivec)shifted);
    return scaled_by_power(p + power, n, shifted, magic);
}

#else

INLINED vec exponential(vec x)
{
    const vec magic = splat(12582912.0f); /* 1.5 * 2^23: its low bits count units */
    x = clamp(x, splat(-104.0f), splat(89.0f));
    vec shifted = x * 1.44269504088896341f + magic;
    vec n = shifted - magic;
    vec r = x - n * 0.693359375f;
    r = r - n * -2.12194440054690583e-4f;
    vec p = splat(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r + 1.0f;
    return scaled_by_power(p * r + 1.0f, n, shifted, magic);
}

#endif

INLINED vec logarithm(vec x)
{
    const vec smallest = splat(1.17549435e-38f);
    ivec tiny = (ivec)(x < smallest);
    vec scaled = select(tiny, x * 8388608.0f, x);
    /* m in [sqrt(1/2), sqrt(2)), x = m 2^e */
    ivec bits = (ivec)((uvec)scaled - 0x3f3504f3u); /* wraps where x < 0, which becomes NaN below */
    ivec e = (bits >> 23) - (tiny & 23);
    vec m = (vec)((bits & 0x007fffff) + 0x3f3504f3) - 1.0f;
    vec n = __builtin_convertvector(e, vec);
    vec z = m * m;
    vec p = splat(7.0376836292e-2f);
    p = p * m - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    vec y = p * m * z + n * -2.12194440e-4f;
    y = y - 0.5f * z;
    vec result = m + y + n * 0.693359375f;
    result = select((ivec)(x == INFINITY) | is_nan(x), x, result);
    result = select((ivec)(x == 0), splat(-INFINITY), result);
    return select((ivec)(x < 0), splat(NAN), result);
}

INLINED vec sigmoid(vec x)
{
    vec e = exponential(-absolute(x)); /* at most 1: nothing overflows */
    return where_negative(x, e, splat(1)) / (e + 1.0f);
}

INLINED vec hyperbolic_tangent(vec x)
{
    vec size = absolute(x);
    vec z = x * x;
    vec p = splat(-5.70498872745e-3f);
    p = p * z + 2.06390887954e-2f;
    p = p * z - 5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z - 3.33332819422e-1f;
    vec small = p * z * size + size;
    vec large = 1.0f - 2.0f / (exponential(size + size) + 1.0f);
    return with_sign(select((ivec)(size < 0.625f), small, large), x);
}

/* Near zero x P(x^2); from 1 on 1 - exp(Q(x)), Q approximating log(erfc) as far as float sees it. */
INLINED vec error_function(vec x)
{
    vec size = absolute(x);
    vec z = x * x;
    vec p = splat(7.87587506e-5f);
    p = p * z - 8.01686429e-4f;
    p = p * z + 5.18908742e-3f;
    p = p * z - 2.68542120e-2f;
    p = p * z + 1.12835947e-1f;
    p = p * z - 3.76126267e-1f;
    p = p * z + 1.12837917f;
    vec t = clamp(size, splat(1), splat(4));
    vec q = splat(1.63715141e-6f);
    q = q * t - 4.60580427e-5f;
    q = q * t + 5.96805626e-4f;
    q = q * t - 4.75959629e-3f;
    q = q * t + 2.64211360e-2f;
    q = q * t - 1.10080083e-1f;
    q = q * t - 6.31826052e-1f;
    q = q * t - 1.13023343f;
    q = q * t + 3.20138050e-4f;
    vec large = with_sign(1.0f - exponential(q), x);
    return select((ivec)(size < 1.0f), p * x, large);
}

/* Sine of x (quarter 0) or cosine (quarter 1): x = n pi/2 + r with |r| <= pi/4. */
INLINED vec sine_from(vec x, int quarter)
{
    const vec magic = splat(12582912.0f);
    vec shifted = x * 0.636619772367581343f + magic;
    vec n = shifted - magic;
    vec r = x - n * 1.5703125f;
    r = r - n * 4.837512969970703125e-4f;
    r = r - n * 7.54978995489188216e-8f;
    ivec turn = (ivec)((uvec)shifted - (uvec)magic + (unsigned)quarter); /* of large x anything */
    vec z = r * r;
    vec s = splat(-1.9515295891e-4f);
    s = s * z + 8.3321608736e-3f;
    s = s * z - 1.6666654611e-1f;
    s = s * z * r + r;
    vec c = splat(2.443315711809948e-5f);
    c = c * z - 1.388731625493765e-3f;
    c = c * z + 4.166664568298827e-2f;
    c = c * z * z - 0.5f * z + 1.0f;
    vec y = select((ivec)((turn & 1) == 0), s, c);
    return (vec)((ivec)y ^ ((turn & 2) << 30));
}

INLINED vec sine_or_cosine(vec x, int quarter, float (*exact)(float))
{
    vec y = sine_from(x, quarter);
    if (quarter == 0)
        y = select((ivec)(x == 0), x, y); /* -0 */
    ivec near = (ivec)(absolute(x) <= 8192.0f);
    int64_t n_near = 0;
    for (int i = 0; i < WIDTH; i++)
        n_near += near[i] != 0;
    return n_near == WIDTH ? y : select(near, y, each_lane(exact, x));
}

/* Long sums go on in double: a vector of floats is two of doubles. */
typedef float half_vec __attribute__((vector_size(sizeof(float) * WIDTH / 2)));
typedef double double_vec __attribute__((vector_size(sizeof(double) * WIDTH / 2)));

struct wide {
    double_vec low, high;
};

INLINED struct wide wide_of(vec x)
{
    half_vec halves[2];
    memcpy(halves, &x, sizeof x);
    return (struct wide){__builtin_convertvector(halves[0], double_vec),
                         __builtin_convertvector(halves[1], double_vec)};
}

INLINED vec narrowed(struct wide x)
{
    const half_vec halves[2] = {__builtin_convertvector(x.low, half_vec), __builtin_convertvector(x.high, half_vec)};
    vec y;
    memcpy(&y, halves, sizeof y);
    return y;
}

INLINED struct wide wide_sum(struct wide a, struct wide b)
{
    return (struct wide){a.low + b.low, a.high + b.high};
}

INLINED struct wide wide_product(struct wide a, struct wide b)
{
    return (struct wide){a.low * b.low, a.high * b.high};
}

INLINED void wide_add(struct wide *total, vec x)
{
    *total = wide_sum(*total, wide_of(x));
}

/* All lanes, in a fixed order. */
INLINED double wide_lanes(struct wide x)
{
    const double_vec pairs_of = x.low + x.high;
    double sum = 0;
    for (int i = 0; i < WIDTH / 2; i++)
        sum += pairs_of[i];
    return sum;
}

typedef int16_t pairs __attribute__((vector_size(sizeof(float) * WIDTH)));

/* Lane i of both is two int16: the sum of the two products. One instruction on x86, which no
 * expression of vectors is sure to become. */
INLINED ivec dot_pairs(pairs a, pairs b)
{
#if defined(__AVX512BW__) && defined(__clang__)
    return (ivec)__builtin_ia32_pmaddwd512(a, b);
#elif defined(__AVX512BW__)
    return (ivec)__builtin_ia32_pmaddwd512_mask(a, b, (ivec){0}, (uint16_t)-1);
#elif defined(__AVX2__) && !defined(__AVX512F__)
    return (ivec)__builtin_ia32_pmaddwd256(a, b);
#elif defined(__SSE2__) && !defined(__AVX__)
    return (ivec)__builtin_ia32_pmaddwd128(a, b);
#else
    const ivec x = (ivec)a, y = (ivec)b;
    return ((x << 16) >> 16) * ((y << 16) >> 16) + (x >> 16) * (y >> 16);
#endif
}

/* Four neighbours along a sum lie in one lane, as bytes: unsigned numbers on one side, signed ones on the other. One
 * instruction multiplies and adds them all (VNNI), and nothing saturates. Without it they are widened: QUAD_PARTS pairs
 * of int16 in a lane, the first and third byte, the second and fourth. Whoever is broadcast lies widened already. */
#if defined(__AVX512VNNI__)
#define QUAD_INSTRUCTION 1
enum { QUAD_PARTS = 1 };
typedef ivec quad_part;
#else
#define QUAD_INSTRUCTION 0
enum { QUAD_PARTS = 2 };
typedef pairs quad_part;
#endif

INLINED quad_part quad_unsigned(ivec bytes, int part)
{
#if defined(__AVX512VNNI__)
    (void)part;
    return bytes;
#else
    return (pairs)(part ? ((uvec)bytes >> 8) & 0x00ff00ff : (uvec)bytes & 0x00ff00ff);
#endif
}

INLINED quad_part quad_signed(ivec bytes, int part)
{
#if defined(__AVX512VNNI__)
    (void)part;
    return bytes;
#else
    return (part ? (pairs)bytes : (pairs)bytes << 8) >> 8;
#endif
}

INLINED quad_part quad_broadcast(int32_t word)
{
    return (quad_part)(word - (ivec){0});
}

/* Sums wrap, as unsigned ones do. */
INLINED uvec quad_add(uvec sum, quad_part u, quad_part s)
{
#if defined(__AVX512VNNI__) && defined(__clang__)
    return (uvec)__builtin_ia32_vpdpbusd512((ivec)sum, u, s);
#elif defined(__AVX512VNNI__)
    return (uvec)__builtin_ia32_vpdpbusd_v16si((ivec)sum, u, s);
#else
    return sum + (uvec)dot_pairs(u, s);
#endif
}

#if defined(__AVX512VNNI__)
typedef char bytes64 __attribute__((vector_size(64)));

/* Lane i: the four bytes of x from i step on, step 1 or 2. */
INLINED ivec quad_windows(ivec x, int step)
{
    const ivec words[2] = {{0, 1, 2, 3, 1, 2, 3, 4, 2, 3, 4, 5, 3, 4, 5, 6},
                           {0, 1, 2, 3, 2, 3, 4, 5, 4, 5, 6, 7, 6, 7, 8, 9}};
    const ivec bytes[2] = {
        {0x03020100, 0x04030201, 0x05040302, 0x06050403, 0x03020100, 0x04030201, 0x05040302, 0x06050403, 0x03020100,
         0x04030201, 0x05040302, 0x06050403, 0x03020100, 0x04030201, 0x05040302, 0x06050403},
        {0x03020100, 0x05040302, 0x07060504, 0x09080706, 0x03020100, 0x05040302, 0x07060504, 0x09080706, 0x03020100,
         0x05040302, 0x07060504, 0x09080706, 0x03020100, 0x05040302, 0x07060504, 0x09080706}};
#if defined(__clang__)
    const ivec spread = __builtin_ia32_permvarsi512(x, words[step - 1]);
    return (ivec)__builtin_ia32_pshufb512((bytes64)spread, (bytes64)bytes[step - 1]);
#else
    const ivec spread = __builtin_ia32_permvarsi512_mask(x, words[step - 1], x, (uint16_t)-1);
    return (ivec)__builtin_ia32_pshufb512_mask((bytes64)spread, (bytes64)bytes[step - 1], (bytes64)x, (uint64_t)-1);
#endif
}
#endif

#endif
