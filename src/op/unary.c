/*
 * unary.c - operators that turn each element into one element of the same shape.
 *
 * Forty of them are one rule with another variant: floats go through the level's unary kernel, doubles and
 * integers through one loop each over a small function, because they are rare and mostly met in the
 * arithmetic of shapes. Not, BitwiseNot, IsNaN and IsInf have loops of their own; Clip has, because
 * its bounds may be tensors of the input's type. Affine, ScaledTanh and ParametricSoftplus, which early
 * exporters wrote, are kernels with a product before and behind.
 *
 * Floats in LAYOUT_BLOCKED stay blocked: padding lanes are computed like the others, which is harmless
 * and keeps the range in one piece. Half floats never come: the planner has widened them.
 * Integers: Abs and Neg of the least value wrap to itself. Round is to even, Sign of NaN is NaN.
 */
#include "op/unary.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "op/attr.h"
#include "op/batch_axis.h"
#include "op/cast.h"
#include "op/types.h"
#include "op/walk.h"

struct unary_priv {
    enum unary op;
    float alpha, beta;
};

/* Attributes that become alpha and beta; no pointers, which the loader would have to relocate. */
static const struct {
    enum unary op;
    char alpha[6];
    float alpha_absent;
    char beta[6]; /* or "" */
    float beta_absent;
} parameters[] = {
    {UNARY_LEAKY, "alpha", 0.01F, "", 0},
    {UNARY_ELU, "alpha", 1, "", 0},
    {UNARY_SELU, "alpha", 1.67326319217681884765625F, "gamma", 1.05070102214813232421875F},
    {UNARY_CELU, "alpha", 1, "", 0},
    {UNARY_HARDSIGMOID, "alpha", 0.2F, "beta", 0.5F},
    {UNARY_THRESHOLDED_RELU, "alpha", 1, "", 0},
    {UNARY_SHRINK, "lambd", 0.5F, "bias", 0},
    {UNARY_SILU, "alpha", 1, "", 0},
};

static bool unary_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct unary_priv *priv = op_priv(ctx, sizeof *priv, err);
    if (!priv)
        return false;
    priv->op = (enum unary)ctx->node->op->rule->variant;
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++) {
        if (parameters[i].op != priv->op)
            continue;
        if (!attr_float(ctx, parameters[i].alpha, parameters[i].alpha_absent, &priv->alpha, err))
            return false;
        if (*parameters[i].beta && !attr_float(ctx, parameters[i].beta, parameters[i].beta_absent, &priv->beta, err))
            return false;
    }
    return op_arity(ctx, 1, 1, 1, err);
}

static bool gelu_check(struct node_ctx *ctx, struct percept_err *err)
{
    static const char *const choices[] = {"none", "tanh", NULL};
    int choice;
    if (!unary_check(ctx, err) || !attr_choice(ctx, "approximate", 0, choices, &choice, err))
        return false;
    struct unary_priv *priv = ctx->node->priv;
    priv->op = choice ? UNARY_GELU_TANH : UNARY_GELU;
    return true;
}

static bool takes_integers(enum unary op)
{
    return op == UNARY_ABS || op == UNARY_NEG || op == UNARY_SIGN || op == UNARY_RELU || op == UNARY_SHRINK;
}

static bool refuse_dtype(const struct step *step, const char *wanted, struct percept_err *err)
{
    return err_set(err, ERR_UNSUPPORTED, OP_AT "its input is %s; %s would work", OP_NODE(step->node),
                   tensor_dtype_name(step->in[0]->dtype), wanted);
}

/* The output is shaped, typed and laid out as input 0. */
static void shape_like(struct step *step)
{
    const struct tensor *x = step->in[0];
    op_set_out(step, 0, x->dtype, x->rank, x->dims);
    step->want[0] = x->layout;
    step->out[0]->layout = x->layout;
    step->inplace = 1;
    step->flops = (double)tensor_elements(x);
}

static bool unary_shape(struct step *step, struct percept_err *err)
{
    const struct unary_priv *priv = step->priv;
    enum percept_dtype dtype = step->in[0]->dtype;
    bool fits = dtype == PERCEPT_FLOAT || dtype == PERCEPT_DOUBLE || (types_integer(dtype) && takes_integers(priv->op));
    if (!fits)
        return refuse_dtype(step, takes_integers(priv->op) ? "float, double or an integer type" : "float or double",
                            err);
    shape_like(step);
    if (priv->op == UNARY_SILU && priv->alpha != 1)
        step->inplace = 0;
    return true;
}

/* Elements to compute: in blocks, padding lanes count. */
static int64_t stored_elements(const struct step *step)
{
    size_t n_bytes = 0;
    tensor_bytes(step->out[0], step->kernels->width, &n_bytes);
    return (int64_t)(n_bytes / tensor_dtype_bytes(step->out[0]->dtype));
}

struct job {
    const struct step *step;
    enum unary op;
    float alpha, beta;
    double low, high; /* Clip of doubles */
};

/* x sigmoid(alpha x); y is not x */
static void run_swish(const struct kernels *kernels, float *y, const float *x, int64_t n, float alpha)
{
    kernels->binary_scalar(BINARY_MUL, y, x, alpha, n);
    kernels->unary(UNARY_SIGMOID, y, y, n, 0, 0);
    kernels->binary(BINARY_MUL, y, y, x, n);
}

static void run_floats(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct job *job = arg;
    const struct kernels *kernels = job->step->kernels;
    const float *x = (const float *)job->step->in[0]->data + from;
    float *y = (float *)job->step->out[0]->data + from;
    if (job->op == UNARY_SILU && job->alpha != 1)
        run_swish(kernels, y, x, to - from, job->alpha);
    else
        kernels->unary(job->op, y, x, to - from, job->alpha, job->beta);
}

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

static double rectify(enum unary op, double x, double alpha, double beta)
{
    switch (op) {
    case UNARY_RELU:
        return x < 0 ? 0 : x;
    case UNARY_LEAKY:
        return x < 0 ? alpha * x : x;
    case UNARY_ELU:
        return x < 0 ? alpha * expm1(x) : x;
    case UNARY_SELU:
        return x < 0 ? beta * (alpha * expm1(x)) : beta * x;
    case UNARY_CELU:
        return x < 0 ? alpha * expm1(x / alpha) : x;
    case UNARY_THRESHOLDED_RELU:
        return x > alpha || isnan(x) ? x : 0;
    case UNARY_SHRINK:
        return shrink(x, alpha, beta);
    case UNARY_HARDSIGMOID:
        return clip(alpha * x + beta, 0, 1);
    case UNARY_HARDSWISH:
        return x * clip(x / 6 + 0.5, 0, 1);
    default:
        return x;
    }
}

static double squash(enum unary op, double x, double alpha)
{
    switch (op) {
    case UNARY_SIGMOID:
        return sigmoid(x);
    case UNARY_SILU:
        return x * sigmoid(alpha * x);
    case UNARY_SOFTPLUS:
        return softplus(x);
    case UNARY_SOFTSIGN:
        return x / (1 + fabs(x));
    case UNARY_MISH:
        return x * tanh(softplus(x));
    case UNARY_ERF:
        return erf(x);
    case UNARY_GELU:
        return 0.5 * x * (1 + erf(x * M_SQRT1_2));
    case UNARY_GELU_TANH:
        return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case UNARY_SIGN:
        return isnan(x) ? x : (double)((x > 0) - (x < 0));
    case UNARY_RECIPROCAL:
        return 1 / x;
    case UNARY_NEG:
        return -x;
    default:
        return x;
    }
}

/* Those that are a function of the C library. */
static double (*const in_library[UNARY_COUNT])(double) = {
    [UNARY_ABS] = fabs,    [UNARY_EXP] = exp,     [UNARY_LOG] = log,         [UNARY_SQRT] = sqrt,   [UNARY_TANH] = tanh,
    [UNARY_FLOOR] = floor, [UNARY_CEIL] = ceil,   [UNARY_ROUND] = nearbyint, [UNARY_SIN] = sin,     [UNARY_COS] = cos,
    [UNARY_TAN] = tan,     [UNARY_ASIN] = asin,   [UNARY_ACOS] = acos,       [UNARY_ATAN] = atan,   [UNARY_SINH] = sinh,
    [UNARY_COSH] = cosh,   [UNARY_ASINH] = asinh, [UNARY_ACOSH] = acosh,     [UNARY_ATANH] = atanh,
};

static bool is_rectifier(enum unary op)
{
    return op == UNARY_RELU || op == UNARY_LEAKY || op == UNARY_ELU || op == UNARY_SELU || op == UNARY_CELU ||
           op == UNARY_THRESHOLDED_RELU || op == UNARY_SHRINK || op == UNARY_HARDSIGMOID || op == UNARY_HARDSWISH;
}

static void run_doubles(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct job *job = arg;
    const double *x = job->step->in[0]->data;
    double *y = job->step->out[0]->data;
    for (int64_t i = from; i < to; i++) {
        if (in_library[job->op])
            y[i] = in_library[job->op](x[i]);
        else if (is_rectifier(job->op))
            y[i] = rectify(job->op, x[i], (double)job->alpha, (double)job->beta);
        else
            y[i] = squash(job->op, x[i], (double)job->alpha);
    }
}

/* Wrapping is done in unsigned arithmetic of 64 bits and cut to the type. */
static uint64_t of_integer(enum unary op, uint64_t x, bool negative)
{
    switch (op) {
    case UNARY_ABS:
        return negative ? 0 - x : x;
    case UNARY_NEG:
        return 0 - x;
    case UNARY_SIGN:
        return negative ? UINT64_MAX : x != 0;
    case UNARY_RELU:
        return negative ? 0 : x;
    default:
        return x;
    }
}

/* Shrink computes in double; what follows the point is cut off, and what the type does not hold becomes
 * the nearest end of it. */
static void shrink_integers(const struct job *job, int64_t from, int64_t to)
{
    enum { CHUNK = 128 };
    const enum percept_dtype dtype = job->step->in[0]->dtype;
    const size_t size = tensor_dtype_bytes(dtype);
    const char *x = job->step->in[0]->data;
    char *y = job->step->out[0]->data;
    double numbers[CHUNK];
    for (int64_t at = from; at < to; at += CHUNK) {
        const int64_t n = to - at < CHUNK ? to - at : CHUNK;
        cast_numbers(PERCEPT_DOUBLE, numbers, dtype, x + (size_t)at * size, n);
        for (int64_t i = 0; i < n; i++)
            numbers[i] = shrink(numbers[i], (double)job->alpha, (double)job->beta);
        cast_numbers(dtype, y + (size_t)at * size, PERCEPT_DOUBLE, numbers, n);
    }
}

static void run_integers(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct job *job = arg;
    const void *x = job->step->in[0]->data;
    void *y = job->step->out[0]->data;
    if (job->op == UNARY_SHRINK) {
        shrink_integers(job, from, to);
        return;
    }
    switch (job->step->in[0]->dtype) {
#define SIGNED(dtype, T)                                                                                               \
    case dtype:                                                                                                        \
        for (int64_t i = from; i < to; i++)                                                                            \
            ((T *)y)[i] = (T)of_integer(job->op, (uint64_t)((const T *)x)[i], ((const T *)x)[i] < 0);                  \
        break;
#define UNSIGNED(dtype, T)                                                                                             \
    case dtype:                                                                                                        \
        for (int64_t i = from; i < to; i++)                                                                            \
            ((T *)y)[i] = (T)of_integer(job->op, ((const T *)x)[i], false);                                            \
        break;
        TYPES_SIGNED(SIGNED)
        TYPES_UNSIGNED(UNSIGNED)
#undef SIGNED
#undef UNSIGNED
    default:
        break;
    }
}

static bool unary_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct unary_priv *priv = step->priv;
    struct job job = {.step = step, .op = priv->op, .alpha = priv->alpha, .beta = priv->beta};
    enum percept_dtype dtype = step->in[0]->dtype;
    team_work *work = dtype == PERCEPT_FLOAT ? run_floats : dtype == PERCEPT_DOUBLE ? run_doubles : run_integers;
    team_split(env->team, stored_elements(step), WALK_GRAIN, work, &job);
    return true;
}

/* --- Affine, ScaledTanh, ParametricSoftplus ----------------------------------------------------------------------- */

/* alpha x + beta, or alpha f(beta x) with the variant for f */
static bool scaled_check(struct node_ctx *ctx, struct percept_err *err)
{
    if (!unary_check(ctx, err))
        return false;
    struct unary_priv *priv = ctx->node->priv;
    if (priv->op != UNARY_COPY && !(attr_has(ctx, "alpha") && attr_has(ctx, "beta")))
        return err_set(err, ERR_MODEL, OP_AT "attribute 'alpha' or 'beta' is missing", OP_NODE(ctx->node));
    return attr_float(ctx, "alpha", 1, &priv->alpha, err) && attr_float(ctx, "beta", 0, &priv->beta, err);
}

static void scaled_doubles(const struct unary_priv *priv, double *y, const double *x, int64_t n)
{
    const double alpha = (double)priv->alpha, beta = (double)priv->beta;
    for (int64_t i = 0; i < n; i++)
        y[i] = priv->op == UNARY_COPY   ? alpha * x[i] + beta
               : priv->op == UNARY_TANH ? alpha * tanh(beta * x[i])
                                        : alpha * softplus(beta * x[i]);
}

static void scaled_range(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const struct unary_priv *priv = step->priv;
    const struct kernels *kernels = step->kernels;
    if (step->in[0]->dtype == PERCEPT_DOUBLE) {
        scaled_doubles(priv, (double *)step->out[0]->data + from, (const double *)step->in[0]->data + from, to - from);
        return;
    }
    const float *x = (const float *)step->in[0]->data + from;
    float *y = (float *)step->out[0]->data + from;
    if (priv->op == UNARY_COPY) {
        kernels->affine(y, x, priv->alpha, priv->beta, to - from);
        return;
    }
    kernels->binary_scalar(BINARY_MUL, y, x, priv->beta, to - from);
    kernels->unary(priv->op, y, y, to - from, 0, 0);
    kernels->binary_scalar(BINARY_MUL, y, y, priv->alpha, to - from);
}

static bool scaled_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    team_split(env->team, stored_elements(step), WALK_GRAIN, scaled_range, step);
    return true;
}

/* --- Clip --------------------------------------------------------------------------------------------------------- */

/* A bound that is left out is the least or the largest number of the type, as the specification has it:
 * infinities do not stay. */
struct clip_priv {
    float low, high; /* of the attribute form */
};

static bool clip_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct clip_priv *priv = op_priv(ctx, sizeof *priv, err);
    if (!priv)
        return false;
    bool attributes = ctx->node->opset < 11;
    return op_arity(ctx, 1, attributes ? 1 : 3, 1, err) && attr_float(ctx, "min", -FLT_MAX, &priv->low, err) &&
           attr_float(ctx, "max", FLT_MAX, &priv->high, err);
}

static bool clip_shape(struct step *step, struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    if (x->dtype != PERCEPT_FLOAT && x->dtype != PERCEPT_DOUBLE && !types_integer(x->dtype))
        return refuse_dtype(step, "float, double or an integer type", err);
    for (int i = 1; i < step->n_in; i++) {
        if (!step->in[i])
            continue;
        if (!op_want_dtype(step, i, x->dtype, err))
            return false;
        if (tensor_elements(step->in[i]) != 1)
            return err_set(err, ERR_MODEL, OP_AT "bound %d has %lld elements; one would work", OP_NODE(step->node), i,
                           (long long)tensor_elements(step->in[i]));
    }
    shape_like(step);
    return true;
}

static const void *bound(const struct step *step, int i)
{
    return step->n_in > i && step->in[i] ? step->in[i]->data : NULL;
}

static void clip_numbers(const struct step *step, const struct clip_priv *priv, int64_t from, int64_t to)
{
    bool attributes = step->node->opset < 11;
    const void *low = bound(step, 1), *high = bound(step, 2);
    const void *x = step->in[0]->data;
    void *y = step->out[0]->data;
    switch (step->in[0]->dtype) {
#define CLIP(dtype, T)                                                                                                 \
    case dtype:                                                                                                        \
        for (int64_t i = from; i < to; i++) {                                                                          \
            T v = ((const T *)x)[i];                                                                                   \
            v = low && v < *(const T *)low ? *(const T *)low : v;                                                      \
            ((T *)y)[i] = high && v > *(const T *)high ? *(const T *)high : v;                                         \
        }                                                                                                              \
        break;
        TYPES_SIGNED(CLIP)
        TYPES_UNSIGNED(CLIP)
#undef CLIP
    case PERCEPT_DOUBLE:
        for (int64_t i = from; i < to; i++) {
            double least = attributes ? (double)priv->low : low ? *(const double *)low : -DBL_MAX;
            double most = attributes ? (double)priv->high : high ? *(const double *)high : DBL_MAX;
            ((double *)y)[i] = clip(((const double *)x)[i], least, most);
        }
        break;
    default:
        break;
    }
}

static void clip_range(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    clip_numbers(step, step->priv, from, to);
}

static bool clip_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct clip_priv *priv = step->priv;
    if (step->in[0]->dtype != PERCEPT_FLOAT) {
        team_split(env->team, stored_elements(step), WALK_GRAIN, clip_range, step);
        return true;
    }
    bool attributes = step->node->opset < 11;
    const float *low = bound(step, 1), *high = bound(step, 2);
    struct job job = {
        .step = step,
        .op = UNARY_CLIP,
        .alpha = attributes ? priv->low
                 : low      ? *low
                            : -FLT_MAX,
        .beta = attributes ? priv->high
                : high     ? *high
                           : FLT_MAX,
    };
    team_split(env->team, stored_elements(step), WALK_GRAIN, run_floats, &job);
    return true;
}

/* --- Not, BitwiseNot, IsNaN, IsInf -------------------------------------------------------------------------------- */

static bool not_shape(struct step *step, struct percept_err *err)
{
    if (!op_want_dtype(step, 0, PERCEPT_BOOL, err))
        return false;
    shape_like(step);
    return true;
}

static bool not_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const uint8_t *x = step->in[0]->data;
    uint8_t *y = step->out[0]->data;
    for (op_blocks(env, tensor_elements(step->out[0]), from, to))
        for (int64_t i = from; i < to; i++)
            y[i] = !x[i];
    return true;
}

static bool bitwise_shape(struct step *step, struct percept_err *err)
{
    if (!types_integer(step->in[0]->dtype))
        return refuse_dtype(step, "an integer type", err);
    shape_like(step);
    return true;
}

static bool bitwise_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const uint8_t *x = step->in[0]->data;
    uint8_t *y = step->out[0]->data;
    int64_t n = tensor_elements(step->out[0]) * (int64_t)tensor_dtype_bytes(step->out[0]->dtype);
    for (op_blocks(env, n, from, to))
        for (int64_t i = from; i < to; i++)
            y[i] = (uint8_t)~x[i];
    return true;
}

struct is_priv {
    bool nan, positive, negative; /* what counts */
};

static bool is_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct is_priv *priv = op_priv(ctx, sizeof *priv, err);
    if (!priv)
        return false;
    priv->nan = ctx->node->op->rule->variant;
    if (priv->nan)
        return op_arity(ctx, 1, 1, 1, err);
    return op_arity(ctx, 1, 1, 1, err) && attr_bool(ctx, "detect_positive", true, &priv->positive, err) &&
           attr_bool(ctx, "detect_negative", true, &priv->negative, err);
}

static bool is_shape(struct step *step, struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    if (!types_real(x->dtype))
        return refuse_dtype(step, "float or double", err);
    op_set_out(step, 0, PERCEPT_BOOL, x->rank, x->dims);
    return true;
}

static bool is_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct is_priv *priv = step->priv;
    const struct tensor *t = step->in[0];
    uint8_t *y = step->out[0]->data;
    for (int64_t i = 0, n = tensor_elements(t); i < n; i++) {
        if (i % OP_BLOCK == 0 && !op_spend(env, OP_BLOCK))
            return true;
        double x = t->dtype == PERCEPT_FLOAT ? (double)((const float *)t->data)[i] : ((const double *)t->data)[i];
        y[i] = (priv->nan && isnan(x)) || (isinf(x) && (x > 0 ? priv->positive : priv->negative));
    }
    return true;
}

/* --- fusing ------------------------------------------------------------------------------------------------------- */

static const struct {
    enum unary op;
    enum activation act;
} as_activation[] = {
    {UNARY_RELU, ACT_RELU},
    {UNARY_LEAKY, ACT_LEAKY},
    {UNARY_SIGMOID, ACT_SIGMOID},
    {UNARY_TANH, ACT_TANH},
    {UNARY_HARDSIGMOID, ACT_HARDSIGMOID},
    {UNARY_HARDSWISH, ACT_HARDSWISH},
};

static bool clip_bound(struct node_ctx *ctx, int i, float *value)
{
    if (!op_has_input(ctx->node, i))
        return true;
    const struct tensor *t = op_constant(ctx, i);
    if (!t || t->dtype != PERCEPT_FLOAT || tensor_elements(t) != 1)
        return false;
    *value = *(const float *)t->data;
    return true;
}

static bool clip_activation(struct node_ctx *ctx, struct fusion *fusion)
{
    const struct clip_priv *priv = ctx->node->priv;
    bool attributes = ctx->node->opset < 11;
    float low = attributes ? priv->low : -FLT_MAX, high = attributes ? priv->high : FLT_MAX;
    if (!clip_bound(ctx, 1, &low) || !clip_bound(ctx, 2, &high))
        return false;
    fusion->kind = FUSE_ACTIVATION;
    fusion->act = ACT_CLIP;
    fusion->alpha = low;
    fusion->beta = high;
    return true;
}

bool unary_activation(struct node_ctx *ctx, struct fusion *fusion)
{
    const struct op_rule *rule = ctx->node->op->rule;
    if (rule->run == clip_run)
        return clip_activation(ctx, fusion);
    if (rule->run != unary_run)
        return false;
    const struct unary_priv *priv = ctx->node->priv;
    enum activation act = ACT_NONE;
    for (size_t i = 0; i < sizeof as_activation / sizeof *as_activation; i++)
        if (as_activation[i].op == priv->op)
            act = as_activation[i].act;
    if (priv->op == UNARY_SILU && priv->alpha == 1)
        act = ACT_SILU;
    if (act == ACT_NONE)
        return false;
    fusion->kind = FUSE_ACTIVATION;
    fusion->act = act;
    fusion->alpha = priv->alpha;
    fusion->beta = priv->beta;
    return true;
}

/* --- rules -------------------------------------------------------------------------------------------------------- */

#define RULE(name, op)                                                                                                 \
    const struct op_rule op_##name = {                                                                                 \
        .check = unary_check, .shape = unary_shape, .run = unary_run, .batch = batch_axis_elements, .variant = op};

RULE(abs, UNARY_ABS)
RULE(neg, UNARY_NEG)
RULE(relu, UNARY_RELU)
RULE(leaky_relu, UNARY_LEAKY)
RULE(elu, UNARY_ELU)
RULE(selu, UNARY_SELU)
RULE(celu, UNARY_CELU)
RULE(exp, UNARY_EXP)
RULE(log, UNARY_LOG)
RULE(sqrt, UNARY_SQRT)
RULE(reciprocal, UNARY_RECIPROCAL)
RULE(sigmoid, UNARY_SIGMOID)
RULE(tanh, UNARY_TANH)
RULE(hard_sigmoid, UNARY_HARDSIGMOID)
RULE(hard_swish, UNARY_HARDSWISH)
RULE(swish, UNARY_SILU)
RULE(softplus, UNARY_SOFTPLUS)
RULE(softsign, UNARY_SOFTSIGN)
RULE(mish, UNARY_MISH)
RULE(erf, UNARY_ERF)
RULE(thresholded_relu, UNARY_THRESHOLDED_RELU)
RULE(shrink, UNARY_SHRINK)
RULE(floor, UNARY_FLOOR)
RULE(ceil, UNARY_CEIL)
RULE(round, UNARY_ROUND)
RULE(sign, UNARY_SIGN)
RULE(sin, UNARY_SIN)
RULE(cos, UNARY_COS)
RULE(tan, UNARY_TAN)
RULE(asin, UNARY_ASIN)
RULE(acos, UNARY_ACOS)
RULE(atan, UNARY_ATAN)
RULE(sinh, UNARY_SINH)
RULE(cosh, UNARY_COSH)
RULE(asinh, UNARY_ASINH)
RULE(acosh, UNARY_ACOSH)
RULE(atanh, UNARY_ATANH)

#define SCALED_RULE(name, op)                                                                                          \
    const struct op_rule op_##name = {                                                                                 \
        .check = scaled_check, .shape = unary_shape, .run = scaled_run, .batch = batch_axis_elements, .variant = op};

SCALED_RULE(affine, UNARY_COPY)
SCALED_RULE(scaled_tanh, UNARY_TANH)
SCALED_RULE(parametric_softplus, UNARY_SOFTPLUS)

const struct op_rule op_gelu = {
    .check = gelu_check, .shape = unary_shape, .run = unary_run, .batch = batch_axis_elements, .variant = UNARY_GELU};
const struct op_rule op_clip = {.check = clip_check,
                                .shape = clip_shape,
                                .run = clip_run,
                                .batch = batch_axis_each}; /* bounds are one number each */
const struct op_rule op_is_nan = {
    .check = is_check, .shape = is_shape, .run = is_run, .batch = batch_axis_elements, .variant = 1};
const struct op_rule op_is_inf = {.check = is_check, .shape = is_shape, .run = is_run, .batch = batch_axis_elements};

static bool plain_check(struct node_ctx *ctx, struct percept_err *err)
{
    return op_arity(ctx, 1, 1, 1, err);
}

const struct op_rule op_not = {.check = plain_check, .shape = not_shape, .run = not_run, .batch = batch_axis_elements};
const struct op_rule op_bitwise_not = {
    .check = plain_check, .shape = bitwise_shape, .run = bitwise_run, .batch = batch_axis_elements};
