/*
 * map.h - one or two inputs, element by element.
 *
 * One expression per operation, on a vector; one loop per number of operands. The loops are inlined
 * into a switch, so that each operation's loop is compiled on its own and the constants (alpha, beta, a
 * scalar operand) stay in registers. A tail shorter than a vector goes through the same expression on a
 * padded copy: an element's bits do not depend on where it lies.
 *
 *     operation: a case of the switch
 *       vector of the elements: one or two loads, the expression, a store
 *       what is left: the same on a padded copy
 *
 * Outputs may be their inputs. Nothing is read past the end here, though the contract would allow it.
 */
#ifndef KERNEL_MAP_H
#define KERNEL_MAP_H

#include "kernel/kernel.h"
#include "kernel/vec.h"

/* --- one operand: f(x, alpha, beta) ------------------------------------------------------------------------------- */

#define UNARY(NAME, EXPRESSION)                                                                                        \
    INLINED vec map_##NAME(vec x, vec alpha, vec beta)                                                                 \
    {                                                                                                                  \
        (void)alpha;                                                                                                   \
        (void)beta;                                                                                                    \
        return EXPRESSION;                                                                                             \
    }

/* x where it is positive (or NaN), else `other` */
INLINED vec positive_or(vec x, vec other)
{
    return select((ivec)(x < 0), other, x);
}

INLINED vec exp_minus_one(vec x)
{
    /* near zero exp(x) - 1 cancels: its series to x^6 is exact enough up to 0.35 */
    vec p = splat(1.0f / 5040);
    p = p * x + 1.0f / 720;
    p = p * x + 1.0f / 120;
    p = p * x + 1.0f / 24;
    p = p * x + 1.0f / 6;
    p = p * x + 0.5f;
    vec near = p * x * x + x;
    return select((ivec)(absolute(x) < 0.35f), near, exponential(x) - 1.0f);
}

INLINED vec hard_sigmoid(vec x, vec alpha, vec beta)
{
    return clamp(x * alpha + beta, splat(0), splat(1));
}

/* log(1 + e^x) = max(x, 0) + log(1 + e^-|x|); log(1 + u) corrects for what 1 + u loses */
INLINED vec softplus(vec x)
{
    vec u = exponential(-absolute(x));
    vec sum = u + 1.0f;
    vec lost = (u - (sum - 1.0f)) / sum;
    return positive_or(x, splat(0)) + (logarithm(sum) + lost);
}

/* x / inf would be right, inf / inf not */
INLINED vec softsign(vec x)
{
    vec y = x / (absolute(x) + 1.0f);
    return select((ivec)(absolute(x) == INFINITY), with_sign(splat(1), x), y);
}

INLINED vec shrink(vec x, vec lambda, vec bias)
{
    vec y = select((ivec)(x < -lambda), x + bias, splat(0));
    y = select((ivec)(x > lambda), x - bias, y);
    return select(is_nan(x), x, y);
}

INLINED vec sign_of(vec x)
{
    vec y = select((ivec)(x > 0), splat(1), splat(0));
    y = select((ivec)(x < 0), splat(-1), y);
    return select(is_nan(x), x, y);
}

UNARY(ABS, absolute(x))
UNARY(NEG, -x)
UNARY(RELU, positive_or(x, splat(0)))
UNARY(LEAKY, positive_or(x, x *alpha))
UNARY(CLIP, clamp(x, alpha, beta))
UNARY(ELU, positive_or(x, exp_minus_one(x) * alpha))
UNARY(SELU, positive_or(x, exp_minus_one(x) * alpha) * beta)
UNARY(CELU, positive_or(x, exp_minus_one(x / alpha) * alpha))
UNARY(EXP, exponential(x))
UNARY(LOG, logarithm(x))
UNARY(SQRT, square_root(x))
UNARY(RECIPROCAL, 1.0f / x)
UNARY(SIGMOID, sigmoid(x))
UNARY(TANH, hyperbolic_tangent(x))
UNARY(HARDSIGMOID, hard_sigmoid(x, alpha, beta))
UNARY(HARDSWISH, x *hard_sigmoid(x, splat(1.0f / 6), splat(0.5f)))
UNARY(SILU, x *sigmoid(x))
UNARY(SOFTPLUS, softplus(x))
UNARY(SOFTSIGN, softsign(x))
UNARY(MISH, x *hyperbolic_tangent(softplus(x)))
UNARY(ERF, error_function(x))
UNARY(GELU, x * 0.5f * (error_function(x * 0.70710678118654752f) + 1.0f))
UNARY(GELU_TANH, x *sigmoid(x *(x *x * 0.0713548162726f + 1.59576912160573f)))
UNARY(THRESHOLDED_RELU, select((ivec)(x <= alpha), splat(0), x))
UNARY(SHRINK, shrink(x, alpha, beta))
UNARY(FLOOR, round_down(x))
UNARY(CEIL, round_up(x))
UNARY(ROUND, round_even(x))
UNARY(SIGN, sign_of(x))
UNARY(SIN, sine_or_cosine(x, 0, sinf))
UNARY(COS, sine_or_cosine(x, 1, cosf))
UNARY(TAN, each_lane(tanf, x))
UNARY(ASIN, each_lane(asinf, x))
UNARY(ACOS, each_lane(acosf, x))
UNARY(ATAN, each_lane(atanf, x))
UNARY(SINH, each_lane(sinhf, x))
UNARY(COSH, each_lane(coshf, x))
UNARY(ASINH, each_lane(asinhf, x))
UNARY(ACOSH, each_lane(acoshf, x))
UNARY(ATANH, each_lane(atanhf, x))
UNARY(COPY, x)

/* clang-format off */
#define UNARY_LIST(X)                                                                              \
    X(ABS) X(NEG) X(RELU) X(LEAKY) X(CLIP) X(ELU) X(SELU) X(CELU) X(EXP) X(LOG) X(SQRT)            \
    X(RECIPROCAL) X(SIGMOID) X(TANH) X(HARDSIGMOID) X(HARDSWISH) X(SILU) X(SOFTPLUS) X(SOFTSIGN)   \
    X(MISH) X(ERF) X(GELU) X(GELU_TANH) X(THRESHOLDED_RELU) X(SHRINK) X(FLOOR) X(CEIL) X(ROUND)    \
    X(SIGN) X(SIN) X(COS) X(TAN) X(ASIN) X(ACOS) X(ATAN) X(SINH) X(COSH) X(ASINH) X(ACOSH)         \
    X(ATANH) X(COPY)
/* clang-format on */

INLINED void map_one(vec (*f)(vec, vec, vec), float *y, const float *x, int64_t n, vec alpha, vec beta)
{
    for (int64_t i = 0; i < n; i += WIDTH)
        store(y + i, f(load(x + i), alpha, beta));
}

/* Whole vectors. Never inlined: a second copy might fuse other multiply-adds than the first. */
static __attribute__((noinline)) void unary_vectors(enum unary op, float *y, const float *x, int64_t n, float alpha,
                                                    float beta)
{
    switch (op) {
#define CASE(NAME)                                                                                                     \
    case UNARY_##NAME:                                                                                                 \
        map_one(map_##NAME, y, x, n, splat(alpha), splat(beta));                                                       \
        break;
        UNARY_LIST(CASE)
#undef CASE
    case UNARY_COUNT:
        break;
    }
}

static void unary(enum unary op, float *y, const float *x, int64_t n, float alpha, float beta)
{
    const int64_t rest = n % WIDTH, whole = n - rest;
    unary_vectors(op, y, x, whole, alpha, beta);
    if (rest == 0)
        return;
    float lanes[WIDTH];
    store(lanes, load_part(x + whole, rest));
    unary_vectors(op, lanes, lanes, WIDTH, alpha, beta);
    memcpy(y + whole, lanes, (size_t)rest * sizeof *y);
}

/* --- two operands ------------------------------------------------------------------------------------------------- */

INLINED vec each_pair(float (*f)(float, float), vec a, vec b)
{
    float x[WIDTH], y[WIDTH];
    memcpy(x, &a, sizeof a);
    memcpy(y, &b, sizeof b);
    for (int i = 0; i < WIDTH; i++)
        x[i] = f(x[i], y[i]);
    return load(x);
}

/* Python's remainder: it has the divisor's sign. */
static float modulo(float a, float b)
{
    float rest = fmodf(a, b);
    if (rest == 0)
        return copysignf(0, b);
    return (rest < 0) != (b < 0) ? rest + b : rest;
}

/* The squares that models are full of need no libm; x * x is what a right powf returns. */
static float power(float a, float b)
{
    return b == 2 ? a * a : powf(a, b);
}

INLINED vec map_ADD(vec a, vec b)
{
    return a + b;
}
INLINED vec map_SUB(vec a, vec b)
{
    return a - b;
}
INLINED vec map_MUL(vec a, vec b)
{
    return a * b;
}
INLINED vec map_DIV(vec a, vec b)
{
    return a / b;
}
INLINED vec map_MIN(vec a, vec b)
{
    return minimum(a, b);
}
INLINED vec map_MAX(vec a, vec b)
{
    return maximum(a, b);
}
INLINED vec map_POW(vec a, vec b)
{
    return each_pair(power, a, b);
}
INLINED vec map_PRELU(vec a, vec b)
{
    return positive_or(a, a * b);
}
INLINED vec map_FMOD(vec a, vec b)
{
    return each_pair(fmodf, a, b);
}
INLINED vec map_MOD(vec a, vec b)
{
    return each_pair(modulo, a, b);
}

#define BINARY_LIST(X) X(ADD) X(SUB) X(MUL) X(DIV) X(MIN) X(MAX) X(POW) X(PRELU) X(FMOD) X(MOD)

/* step_a and step_b are 1, or 0 for an operand that is one vector for all */
INLINED void map_two(vec (*f)(vec, vec), float *y, const float *a, int step_a, const float *b, int step_b, int64_t n)
{
    const vec first_a = step_a ? splat(0) : load(a);
    const vec first_b = step_b ? splat(0) : load(b);
    int64_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH)
        store(y + i, f(step_a ? load(a + i) : first_a, step_b ? load(b + i) : first_b));
    int64_t rest = n - i;
    if (rest > 0)
        store_part(y + i, f(step_a ? load_part(a + i, rest) : first_a, step_b ? load_part(b + i, rest) : first_b),
                   rest);
}

INLINED void map_pair(enum binary op, float *y, const float *a, int step_a, const float *b, int step_b, int64_t n)
{
    switch (op) {
#define CASE(NAME)                                                                                                     \
    case BINARY_##NAME:                                                                                                \
        map_two(map_##NAME, y, a, step_a, b, step_b, n);                                                               \
        break;
        BINARY_LIST(CASE)
#undef CASE
    case BINARY_COUNT:
        break;
    }
}

static void binary(enum binary op, float *y, const float *a, const float *b, int64_t n)
{
    map_pair(op, y, a, 1, b, 1, n);
}

static void binary_scalar(enum binary op, float *y, const float *a, float b, int64_t n)
{
    float lanes[WIDTH];
    store(lanes, splat(b));
    if (op == BINARY_POW && b == 2)
        map_two(map_MUL, y, a, 1, a, 1, n);
    else
        map_pair(op, y, a, 1, lanes, 0, n);
}

static void scalar_binary(enum binary op, float *y, float a, const float *b, int64_t n)
{
    float lanes[WIDTH];
    store(lanes, splat(a));
    map_pair(op, y, lanes, 0, b, 1, n);
}

static void binary_lanes(enum binary op, float *y, const float *a, const float *b, int64_t pixels)
{
    map_pair(op, y, a, 1, b, 0, pixels * WIDTH);
}

/* --- scale and shift ---------------------------------------------------------------------------------------------- */

static void affine(float *y, const float *x, float scale, float shift, int64_t n)
{
    int64_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH)
        store(y + i, load(x + i) * splat(scale) + splat(shift));
    if (i < n)
        store_part(y + i, load_part(x + i, n - i) * splat(scale) + splat(shift), n - i);
}

static void affine_lanes(float *y, const float *x, const float *scale, const float *shift, int64_t pixels)
{
    const vec a = load(scale), b = load(shift);
    for (int64_t i = 0; i < pixels; i++)
        store(y + i * WIDTH, load(x + i * WIDTH) * a + b);
}

static void fill(float *y, float value, int64_t n)
{
    int64_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH)
        store(y + i, splat(value));
    if (i < n)
        store_part(y + i, splat(value), n - i);
}

#endif
