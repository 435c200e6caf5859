/*
 * activation.c - the table of functions of one number, and what is asked of it.
 *
 * Three kinds of callers name the same functions: operators by their type, attributes by a text, epilogues by the
 * kernels' enum. So a row has the name, the meaning of alpha and beta with what they are when nobody says, the kernel
 * for floats and a function for doubles. Recurrences whose activations are not the defaults compute one float at a
 * time: `gate`, as exact as the C library's.
 *
 * Floats are the kernels' business; which of them an epilogue can do as well is unary_of's word (kernel.h), read
 * backwards. Integers, which few of them take, are unary.c's; quantised numbers go through tables of 256 floats.
 *
 * Stateless.
 */
#include "op/activation.h"

#include <float.h>
#include <string.h>
#include <strings.h>

#include "op/attr.h"

/* --- doubles ------------------------------------------------------------------------------------------------------ */

static double sigmoid(double x)
{
    return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x));
}

static double softplus(double x)
{
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static double shrink(double x, double lambda, double bias)
{
    if (x < -lambda)
        return x + bias;
    return x > lambda ? x - bias : 0;
}

static double clip(double x, double low, double high)
{
    double y = x < low ? low : x;
    return y > high ? high : y;
}

#define EXACT(name, expression)                                                                                        \
    static double exact_##name(double x, double alpha, double beta)                                                    \
    {                                                                                                                  \
        (void)alpha;                                                                                                   \
        (void)beta;                                                                                                    \
        return expression;                                                                                             \
    }

EXACT(relu, x < 0 ? 0 : x)
EXACT(tanh, tanh(x))
EXACT(sigmoid, sigmoid(x))
EXACT(affine, alpha *x + beta)
EXACT(leaky, x < 0 ? alpha * x : x)
EXACT(thresholded, x > alpha || isnan(x) ? x : 0)
EXACT(scaled_tanh, alpha *tanh(beta *x))
EXACT(hard_sigmoid, clip(alpha *x + beta, 0, 1))
EXACT(elu, x < 0 ? alpha * expm1(x) : x)
EXACT(softsign, x / (1 + fabs(x)))
EXACT(softplus, softplus(x))
EXACT(scaled_softplus, alpha *softplus(beta *x))
EXACT(clip, clip(x, alpha, beta))
EXACT(selu, x < 0 ? beta * (alpha * expm1(x)) : beta * x)
EXACT(celu, x < 0 ? alpha * expm1(x / alpha) : x)
EXACT(shrink, shrink(x, alpha, beta))
EXACT(hard_swish, x *clip(x / 6 + 0.5, 0, 1))
EXACT(swish, x *sigmoid(alpha *x))
EXACT(mish, x *tanh(softplus(x)))
EXACT(erf, erf(x))
EXACT(gelu, 0.5 * x * (1 + erf(x * M_SQRT1_2)))
EXACT(gelu_tanh, 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))))
EXACT(sign, isnan(x) ? x : (double)((x > 0) - (x < 0)))
EXACT(reciprocal, 1 / x)
EXACT(neg, -x)
EXACT(abs, fabs(x))
EXACT(exp, exp(x))
EXACT(log, log(x))
EXACT(sqrt, sqrt(x))
EXACT(floor, floor(x))
EXACT(ceil, ceil(x))
EXACT(round, nearbyint(x))
EXACT(sin, sin(x))
EXACT(cos, cos(x))
EXACT(tan, tan(x))
EXACT(asin, asin(x))
EXACT(acos, acos(x))
EXACT(atan, atan(x))
EXACT(sinh, sinh(x))
EXACT(cosh, cosh(x))
EXACT(asinh, asinh(x))
EXACT(acosh, acosh(x))
EXACT(atanh, atanh(x))

/* --- one float, in a recurrence ----------------------------------------------------------------------------------- */

#define GATE(name, expression)                                                                                         \
    static float gate_##name(float x, float alpha, float beta)                                                         \
    {                                                                                                                  \
        (void)alpha;                                                                                                   \
        (void)beta;                                                                                                    \
        return expression;                                                                                             \
    }

GATE(relu, x < 0 ? 0 : x)
GATE(tanh, tanhf(x))
GATE(sigmoid, 1 / (1 + expf(-x)))
GATE(affine, alpha *x + beta)
GATE(leaky, x < 0 ? alpha * x : x)
GATE(thresholded, x <= alpha ? 0 : x)
GATE(scaled_tanh, alpha *tanhf(beta *x))
GATE(hard_sigmoid, alpha *x + beta < 0 ? 0 : alpha * x + beta > 1 ? 1 : alpha * x + beta)
GATE(elu, x < 0 ? alpha * expm1f(x) : x)
GATE(softsign, x / (1 + fabsf(x)))
GATE(softplus, x > 20 ? x : log1pf(expf(x)))

/* --- the table ---------------------------------------------------------------------------------------------------- */

/* clang-format off */
static const struct activation_row table[] = {
    /* name, attributes, kernel, scaled, their defaults, functions */
    {"Relu", "", "", UNARY_RELU, false, 0, 0, exact_relu, gate_relu},
    {"Tanh", "", "", UNARY_TANH, false, 0, 0, exact_tanh, gate_tanh},
    {"Sigmoid", "", "", UNARY_SIGMOID, false, 0, 0, exact_sigmoid, gate_sigmoid},
    {"Affine", "alpha", "beta", UNARY_COPY, true, 1, 0, exact_affine, gate_affine},
    {"LeakyRelu", "alpha", "", UNARY_LEAKY, false, 0.01F, 0, exact_leaky, gate_leaky},
    {"ThresholdedRelu", "alpha", "", UNARY_THRESHOLDED_RELU, false, 1, 0, exact_thresholded, gate_thresholded},
    {"ScaledTanh", "alpha", "beta", UNARY_TANH, true, 1, 1, exact_scaled_tanh, gate_scaled_tanh},
    {"HardSigmoid", "alpha", "beta", UNARY_HARDSIGMOID, false, 0.2F, 0.5F, exact_hard_sigmoid, gate_hard_sigmoid},
    {"Elu", "alpha", "", UNARY_ELU, false, 1, 0, exact_elu, gate_elu},
    {"Softsign", "", "", UNARY_SOFTSIGN, false, 0, 0, exact_softsign, gate_softsign},
    {"Softplus", "", "", UNARY_SOFTPLUS, false, 0, 0, exact_softplus, gate_softplus},
    {"ParametricSoftplus", "alpha", "beta", UNARY_SOFTPLUS, true, 1, 1, exact_scaled_softplus, NULL},
    {"Clip", "min", "max", UNARY_CLIP, false, -FLT_MAX, FLT_MAX, exact_clip, NULL},
    {"Selu", "alpha", "gamma", UNARY_SELU, false, 1.67326319217681884765625F, 1.05070102214813232421875F, exact_selu,
     NULL},
    {"Celu", "alpha", "", UNARY_CELU, false, 1, 0, exact_celu, NULL},
    {"Shrink", "lambd", "bias", UNARY_SHRINK, false, 0.5F, 0, exact_shrink, NULL},
    {"HardSwish", "", "", UNARY_HARDSWISH, false, 0, 0, exact_hard_swish, NULL},
    {"Swish", "alpha", "", UNARY_SILU, false, 1, 0, exact_swish, NULL},
    {"Mish", "", "", UNARY_MISH, false, 0, 0, exact_mish, NULL},
    {"Gelu", "", "", UNARY_GELU, false, 0, 0, exact_gelu, NULL},
    {"Gelu", "", "", UNARY_GELU_TANH, false, 0, 0, exact_gelu_tanh, NULL}, /* which one says `approximate` */
    {"Erf", "", "", UNARY_ERF, false, 0, 0, exact_erf, NULL},
    {"Sign", "", "", UNARY_SIGN, false, 0, 0, exact_sign, NULL},
    {"Reciprocal", "", "", UNARY_RECIPROCAL, false, 0, 0, exact_reciprocal, NULL},
    {"Neg", "", "", UNARY_NEG, false, 0, 0, exact_neg, NULL},
    {"Abs", "", "", UNARY_ABS, false, 0, 0, exact_abs, NULL},
    {"Exp", "", "", UNARY_EXP, false, 0, 0, exact_exp, NULL},
    {"Log", "", "", UNARY_LOG, false, 0, 0, exact_log, NULL},
    {"Sqrt", "", "", UNARY_SQRT, false, 0, 0, exact_sqrt, NULL},
    {"Floor", "", "", UNARY_FLOOR, false, 0, 0, exact_floor, NULL},
    {"Ceil", "", "", UNARY_CEIL, false, 0, 0, exact_ceil, NULL},
    {"Round", "", "", UNARY_ROUND, false, 0, 0, exact_round, NULL},
    {"Sin", "", "", UNARY_SIN, false, 0, 0, exact_sin, NULL},
    {"Cos", "", "", UNARY_COS, false, 0, 0, exact_cos, NULL},
    {"Tan", "", "", UNARY_TAN, false, 0, 0, exact_tan, NULL},
    {"Asin", "", "", UNARY_ASIN, false, 0, 0, exact_asin, NULL},
    {"Acos", "", "", UNARY_ACOS, false, 0, 0, exact_acos, NULL},
    {"Atan", "", "", UNARY_ATAN, false, 0, 0, exact_atan, NULL},
    {"Sinh", "", "", UNARY_SINH, false, 0, 0, exact_sinh, NULL},
    {"Cosh", "", "", UNARY_COSH, false, 0, 0, exact_cosh, NULL},
    {"Asinh", "", "", UNARY_ASINH, false, 0, 0, exact_asinh, NULL},
    {"Acosh", "", "", UNARY_ACOSH, false, 0, 0, exact_acosh, NULL},
    {"Atanh", "", "", UNARY_ATANH, false, 0, 0, exact_atanh, NULL},
};
/* clang-format on */

enum { N_ROWS = sizeof table / sizeof *table };

const struct activation_row *activation_table(int *n)
{
    *n = N_ROWS;
    return table;
}

const struct activation_row *activation_named(struct bytes name, bool any_case)
{
    const size_t n = bytes_size(name);
    for (int i = 0; i < N_ROWS; i++)
        if (strlen(table[i].name) == n &&
            (any_case ? strncasecmp(table[i].name, (const char *)name.at, n) == 0 : bytes_is(name, table[i].name)))
            return &table[i];
    return NULL;
}

const struct activation_row *activation_row(enum unary unary)
{
    for (int i = 0; i < N_ROWS; i++)
        if (table[i].unary == unary && !table[i].scaled)
            return &table[i];
    return NULL;
}

int activation_numbers(const struct activation_row *row)
{
    return (*row->first ? 1 : 0) + (*row->second ? 1 : 0);
}

bool activation_read(const struct node_ctx *ctx, const struct activation_row *row, struct activation_of *of,
                     struct percept_err *err)
{
    *of = (struct activation_of){.row = row, .alpha = row->alpha, .beta = row->beta};
    return (!*row->first || attr_float(ctx, row->first, row->alpha, &of->alpha, err)) &&
           (!*row->second || attr_float(ctx, row->second, row->beta, &of->beta, err));
}

/* --- numbers ------------------------------------------------------------------------------------------------------ */

/* x sigmoid(alpha x) is a kernel where alpha is 1. */
static bool is_swish(const struct activation_of *of)
{
    return of->row->unary == UNARY_SILU && of->alpha != 1;
}

bool activation_in_place(const struct activation_of *of)
{
    return !is_swish(of);
}

void activation_floats(const struct activation_of *of, const struct kernels *kernels, float *y, const float *x,
                       int64_t n)
{
    const enum unary unary = of->row->unary;
    if (is_swish(of)) {
        kernels->map->binary_scalar(BINARY_MUL, y, x, of->alpha, n);
        kernels->map->unary(UNARY_SIGMOID, y, y, n, 0, 0);
        kernels->map->binary(BINARY_MUL, y, y, x, n);
    } else if (!of->row->scaled) {
        kernels->map->unary(unary, y, x, n, of->alpha, of->beta);
    } else if (unary == UNARY_COPY) {
        kernels->map->affine(y, x, of->alpha, of->beta, n);
    } else {
        kernels->map->binary_scalar(BINARY_MUL, y, x, of->beta, n);
        kernels->map->unary(unary, y, y, n, 0, 0);
        kernels->map->binary_scalar(BINARY_MUL, y, y, of->alpha, n);
    }
}

void activation_doubles(const struct activation_of *of, double *y, const double *x, int64_t n)
{
    const double alpha = (double)of->alpha, beta = (double)of->beta;
    for (int64_t i = 0; i < n; i++)
        y[i] = of->row->exact(x[i], alpha, beta);
}

/* --- epilogues ---------------------------------------------------------------------------------------------------- */

bool activation_fusion(const struct activation_of *of, struct fusion *fusion)
{
    if (of->row->scaled || is_swish(of))
        return false;
    for (int act = ACT_NONE + 1; act < ACT_COUNT; act++) {
        if (unary_of((enum activation)act) != of->row->unary)
            continue;
        fusion->kind = FUSE_ACTIVATION;
        fusion->act = (enum activation)act;
        fusion->alpha = of->alpha;
        fusion->beta = of->beta;
        return true;
    }
    return false;
}

bool activation_gated(struct fusion *fusion)
{
    const float sixth = fusion->alpha * 6.0f;
    const bool hard = fusion->act == ACT_HARDSIGMOID && sixth > 0.999999f && sixth < 1.000001f && fusion->beta == 0.5f;
    if (fusion->act != ACT_SIGMOID && !hard)
        return false;
    fusion->act = hard ? ACT_HARDSWISH : ACT_SILU;
    return true;
}

struct activation_of activation_fused(const struct fused *fused)
{
    if (fused->act == ACT_NONE)
        return (struct activation_of){0};
    const struct activation_row *row = activation_row(unary_of(fused->act));
    /* a swish that was fused is the one whose alpha is 1 */
    return (struct activation_of){.row = row, .alpha = fused->act == ACT_SILU ? 1 : fused->alpha, .beta = fused->beta};
}
