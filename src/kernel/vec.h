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

/* min(max(x, low), high); a NaN stays. */
INLINED vec clamp(vec x, vec low, vec high)
{
    x = select((ivec)(x < low), low, x);
    return select((ivec)(x > high), high, x);
}

/* Extremes that propagate NaN from either side. */
INLINED vec maximum(vec a, vec b)
{
    return select((ivec)(a > b) | is_nan(a), a, b);
}

INLINED vec minimum(vec a, vec b)
{
    return select((ivec)(a < b) | is_nan(a), a, b);
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
    return scaled_by_power(p * (r * r) + r + 1.0f, n, shifted, magic);
}

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
    vec top = select((ivec)(x < 0), e, splat(1));
    return top / (e + 1.0f);
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

#endif
