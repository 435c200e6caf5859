/*
 * reference.c - see reference.h. Speed is no aim: every output looks at every input it needs by the
 * definition in ONNX's text, so that this file can be checked by reading it.
 */
#include "reference.h"

#include <math.h>

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double bounded(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

double reference_activate(enum activation act, double x, double alpha, double beta)
{
    switch (act) {
    case ACT_RELU:
        return x < 0 ? 0 : x;
    case ACT_CLIP:
        return bounded(x, alpha, beta);
    case ACT_LEAKY:
        return x < 0 ? alpha * x : x;
    case ACT_SIGMOID:
        return sigmoid(x);
    case ACT_TANH:
        return tanh(x);
    case ACT_HARDSIGMOID:
        return bounded(alpha * x + beta, 0, 1);
    case ACT_HARDSWISH:
        return x * bounded(x / 6 + 0.5, 0, 1);
    case ACT_SILU:
        return x * sigmoid(x);
    default:
        return x;
    }
}

static double softplus(double x)
{
    return (x > 0 ? x : 0) + log1p(exp(-fabs(x)));
}

static double shrink(double x, double lambda, double bias)
{
    return x < -lambda ? x + bias : x > lambda ? x - bias : isnan(x) ? x : 0;
}

static double unary_smooth(enum unary op, double x)
{
    switch (op) {
    case UNARY_SIN:
        return sin(x);
    case UNARY_COS:
        return cos(x);
    case UNARY_TAN:
        return tan(x);
    case UNARY_ASIN:
        return asin(x);
    case UNARY_ACOS:
        return acos(x);
    case UNARY_ATAN:
        return atan(x);
    case UNARY_SINH:
        return sinh(x);
    case UNARY_COSH:
        return cosh(x);
    case UNARY_ASINH:
        return asinh(x);
    case UNARY_ACOSH:
        return acosh(x);
    case UNARY_ATANH:
        return atanh(x);
    case UNARY_EXP:
        return exp(x);
    case UNARY_LOG:
        return log(x);
    case UNARY_SQRT:
        return sqrt(x);
    case UNARY_TANH:
        return tanh(x);
    case UNARY_ERF:
        return erf(x);
    default:
        return x;
    }
}

static double unary_shaped(enum unary op, double x, double alpha, double beta)
{
    switch (op) {
    case UNARY_LEAKY:
        return x < 0 ? alpha * x : x;
    case UNARY_CLIP:
        return bounded(x, alpha, beta);
    case UNARY_ELU:
        return x < 0 ? alpha * expm1(x) : x;
    case UNARY_SELU:
        return beta * (x < 0 ? alpha * expm1(x) : x);
    case UNARY_CELU:
        return x < 0 ? alpha * expm1(x / alpha) : x;
    case UNARY_HARDSIGMOID:
        return bounded(alpha * x + beta, 0, 1);
    case UNARY_THRESHOLDED_RELU:
        return x <= alpha ? 0 : x;
    case UNARY_SHRINK:
        return shrink(x, alpha, beta);
    case UNARY_HARDSWISH:
        return x * bounded(x / 6 + 0.5, 0, 1);
    case UNARY_SILU:
        return x * sigmoid(x);
    case UNARY_MISH:
        return x * tanh(softplus(x));
    case UNARY_GELU:
        return 0.5 * x * (1 + erf(x * M_SQRT1_2));
    case UNARY_GELU_TANH:
        return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    default:
        return unary_smooth(op, x);
    }
}

double reference_unary(enum unary op, double x, double alpha, double beta)
{
    switch (op) {
    case UNARY_ABS:
        return fabs(x);
    case UNARY_NEG:
        return -x;
    case UNARY_RELU:
        return x < 0 ? 0 : x;
    case UNARY_RECIPROCAL:
        return 1 / x;
    case UNARY_SIGMOID:
        return sigmoid(x);
    case UNARY_SOFTPLUS:
        return softplus(x);
    case UNARY_SOFTSIGN:
        return isinf(x) ? copysign(1, x) : x / (1 + fabs(x));
    case UNARY_FLOOR:
        return floor(x);
    case UNARY_CEIL:
        return ceil(x);
    case UNARY_ROUND:
        return nearbyint(x);
    case UNARY_SIGN:
        return isnan(x) ? x : (x > 0) - (x < 0);
    default:
        return unary_shaped(op, x, alpha, beta);
    }
}

static float modulo(float a, float b)
{
    float rest = fmodf(a, b);
    if (rest == 0)
        return copysignf(0, b);
    return (rest < 0) != (b < 0) ? rest + b : rest;
}

float reference_binary(enum binary op, float a, float b)
{
    switch (op) {
    case BINARY_ADD:
        return a + b;
    case BINARY_SUB:
        return a - b;
    case BINARY_MUL:
        return a * b;
    case BINARY_DIV:
        return a / b;
    case BINARY_MIN:
        return isnan(a) || isnan(b) ? NAN : a < b ? a : b;
    case BINARY_MAX:
        return isnan(a) || isnan(b) ? NAN : a > b ? a : b;
    case BINARY_POW:
        return powf(a, b);
    case BINARY_PRELU:
        return a < 0 ? a * b : a;
    case BINARY_FMOD:
        return fmodf(a, b);
    case BINARY_MOD:
        return modulo(a, b);
    default:
        return NAN;
    }
}

static float raw_float(const char *raw, int64_t index)
{
    union {
        float value;
        char bytes[sizeof(float)];
    } u;
    for (size_t i = 0; i < sizeof u; i++)
        u.bytes[i] = raw[index * (int64_t)sizeof u + (int64_t)i];
    return u.value;
}

void reference_gemm(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const char *b, int64_t stride_k,
                    int64_t stride_n, const float *scale, const float *bias, const float *residual, int64_t ldc,
                    double *sum, double *magnitude)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double s = bias ? bias[j] : 0;
            double size = fabs(s);
            for (int64_t p = 0; p < k; p++) {
                double term =
                    (double)a[i * lda + p] * raw_float(b, p * stride_k + j * stride_n) * (scale ? scale[j] : 1);
                s += term;
                size += fabs(term);
            }
            if (residual) {
                s += residual[i * ldc + j];
                size += fabs(residual[i * ldc + j]);
            }
            sum[i * n + j] = s;
            magnitude[i * n + j] = size;
        }
}

/* The input position that output o sees through tap k, or -1. */
static int64_t seen(const struct conv_shape *shape, int axis, int64_t o, int64_t k)
{
    int64_t i;
    if (shape->transposed) {
        int64_t at = o + shape->pad[axis] - k * shape->dilation[axis];
        if (at < 0 || at % shape->stride[axis] != 0)
            return -1;
        i = at / shape->stride[axis];
    } else {
        i = o * shape->stride[axis] + k * shape->dilation[axis] - shape->pad[axis];
    }
    return i >= 0 && i < shape->in[axis] ? i : -1;
}

static void conv_one(const struct conv_shape *shape, const float *input, const char *weights, int64_t oc,
                     const int64_t o[3], double scale, double *sum, double *magnitude)
{
    const int64_t in = shape->in_channels / shape->group, out = shape->out_channels / shape->group;
    const int64_t group = oc / out;
    const int64_t *kernel = shape->kernel;
    for (int64_t c = 0; c < in; c++)
        for (int64_t tap = 0; tap < kernel[0] * kernel[1] * kernel[2]; tap++) {
            int64_t d = seen(shape, 0, o[0], tap / kernel[2] / kernel[1]);
            int64_t h = seen(shape, 1, o[1], tap / kernel[2] % kernel[1]);
            int64_t w = seen(shape, 2, o[2], tap % kernel[2]);
            if (d < 0 || h < 0 || w < 0)
                continue;
            int64_t channel = group * in + c;
            int64_t row = shape->transposed ? channel * out + oc % out : oc * in + c;
            double x = input[((channel * shape->in[0] + d) * shape->in[1] + h) * shape->in[2] + w];
            double term = x * scale * raw_float(weights, row * kernel[0] * kernel[1] * kernel[2] + tap);
            *sum += term;
            *magnitude += fabs(term);
        }
}

void reference_conv(const struct conv_shape *shape, const float *input, const char *weights, const float *scale,
                    const float *bias, const float *residual, double *sum, double *magnitude)
{
    int64_t o[3], at = 0;
    for (int64_t oc = 0; oc < shape->out_channels; oc++)
        for (o[0] = 0; o[0] < shape->out[0]; o[0]++)
            for (o[1] = 0; o[1] < shape->out[1]; o[1]++)
                for (o[2] = 0; o[2] < shape->out[2]; o[2]++, at++) {
                    double extra[2] = {bias ? bias[oc] : 0, residual ? residual[at] : 0};
                    sum[at] = extra[0] + extra[1];
                    magnitude[at] = fabs(extra[0]) + fabs(extra[1]);
                    conv_one(shape, input, weights, oc, o, scale ? scale[oc] : 1, &sum[at], &magnitude[at]);
                }
}

double reference_pool(const struct pool_shape *shape, const float *map, int64_t d, int64_t h, int64_t w)
{
    const int64_t o[3] = {d, h, w};
    const int64_t *kernel = shape->kernel;
    double sum = 0, most = -INFINITY, counted = 0;
    for (int64_t tap = 0; tap < kernel[0] * kernel[1] * kernel[2]; tap++) {
        const int64_t k[3] = {tap / kernel[2] / kernel[1], tap / kernel[2] % kernel[1], tap % kernel[2]};
        int64_t at[3];
        bool inside = true, in_padding = true;
        for (int axis = 0; axis < 3; axis++) {
            at[axis] = o[axis] * shape->stride[axis] + k[axis] * shape->dilation[axis] - shape->pad[axis];
            inside = inside && at[axis] >= 0 && at[axis] < shape->in[axis];
            in_padding = in_padding && at[axis] < shape->in[axis] + shape->pad_end[axis];
        }
        if (in_padding && (inside || shape->count_include_pad))
            counted++;
        if (!inside)
            continue;
        double x = map[(at[0] * shape->in[1] + at[1]) * shape->in[2] + at[2]];
        sum += x;
        if (isnan(x) || x > most)
            most = x;
    }
    return shape->average ? sum / counted : most;
}

double reference_reduce(enum reduce op, const float *x, int64_t n, int64_t step, double *magnitude)
{
    double result = op == REDUCE_MAX ? -INFINITY : op == REDUCE_MIN ? INFINITY : op == REDUCE_PROD;
    *magnitude = 0;
    for (int64_t i = 0; i < n; i++) {
        double v = x[i * step];
        double term = op == REDUCE_SUM_SQUARE ? v * v : op == REDUCE_L1 ? fabs(v) : v;
        if (op == REDUCE_MAX)
            result = isnan(v) || v > result ? v : result;
        else if (op == REDUCE_MIN)
            result = isnan(v) || v < result ? v : result;
        else if (op == REDUCE_PROD)
            result *= v;
        else
            result += term;
        *magnitude += fabs(term);
    }
    if (op == REDUCE_PROD)
        *magnitude = fabs(result);
    return result;
}

void reference_lstm(int64_t hidden, const float *gates, const float *c_old, double *h, double *c, const float *peephole,
                    double clip, bool input_forget)
{
    const double limit = clip > 0 ? clip : INFINITY;
    for (int64_t j = 0; j < hidden; j++) {
        double in = gates[j], out = gates[hidden + j], forget = gates[2 * hidden + j];
        if (peephole) {
            in += (double)peephole[j] * c_old[j];
            forget += (double)peephole[2 * hidden + j] * c_old[j];
        }
        in = sigmoid(bounded(in, -limit, limit));
        forget = input_forget ? 1 - in : sigmoid(bounded(forget, -limit, limit));
        c[j] = forget * c_old[j] + in * tanh(bounded(gates[3 * hidden + j], -limit, limit));
        if (peephole)
            out += peephole[hidden + j] * c[j];
        out = sigmoid(bounded(out, -limit, limit));
        h[j] = out * tanh(bounded(c[j], -limit, limit));
    }
}
