/*
 * unary.c - operators that turn each element into one element of the same shape.
 *
 * Forty of them are one rule: the table of activation.c says which function a name is. Floats go through the kernels,
 * doubles and integers through one loop each, because they are rare and mostly met in the arithmetic of shapes. Not,
 * BitwiseNot, IsNaN and IsInf have loops of their own; Clip has, because its bounds may be tensors of the input's type.
 *
 * Floats in LAYOUT_BLOCKED stay blocked: padding lanes are computed like the others, which is harmless
 * and keeps the range in one piece. Half floats never come: the planner has widened them.
 * Integers: Abs and Neg of the least value wrap to itself. Round is to even, Sign of NaN is NaN.
 */
#include "op/unary.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "op/activation.h"
#include "op/attr.h"
#include "op/batch_axis.h"
#include "op/cast.h"
#include "op/types.h"
#include "op/walk.h"

static bool unary_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct activation_of *of = op_priv(ctx, sizeof *of, err);
    const struct activation_row *row = activation_named(bytes_of_text(ctx->node->op->name), false);
    return of && activation_read(ctx, row, of, err) && op_arity(ctx, 1, 1, 1, err);
}

static bool gelu_check(struct node_ctx *ctx, struct percept_err *err)
{
    static const char *const choices[] = {"none", "tanh", NULL};
    int choice;
    if (!unary_check(ctx, err) || !attr_choice(ctx, "approximate", 0, choices, &choice, err))
        return false;
    struct activation_of *of = ctx->node->priv;
    of->row = activation_row(choice ? UNARY_GELU_TANH : UNARY_GELU);
    return true;
}

/* Two numbers of early exporters have no defaults. */
static bool scaled_check(struct node_ctx *ctx, struct percept_err *err)
{
    if (!attr_has(ctx, "alpha") || !attr_has(ctx, "beta"))
        return err_set(err, ERR_MODEL, OP_AT "attribute 'alpha' or 'beta' is missing", OP_NODE(ctx->node));
    return unary_check(ctx, err);
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
    const struct activation_of *of = step->priv;
    const enum percept_dtype dtype = step->in[0]->dtype;
    const bool integers = takes_integers(of->row->unary);
    if (!types_real(dtype) && !(types_integer(dtype) && integers))
        return refuse_dtype(step, integers ? "float, double or an integer type" : "float or double", err);
    shape_like(step);
    if (!activation_in_place(of))
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
    struct activation_of of;
};

static void run_floats(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct job *job = arg;
    activation_floats(&job->of, job->step->kernels, (float *)job->step->out[0]->data + from,
                      (const float *)job->step->in[0]->data + from, to - from);
}

static void run_doubles(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct job *job = arg;
    activation_doubles(&job->of, (double *)job->step->out[0]->data + from,
                       (const double *)job->step->in[0]->data + from, to - from);
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
        activation_doubles(&job->of, numbers, numbers, n);
        cast_numbers(dtype, y + (size_t)at * size, PERCEPT_DOUBLE, numbers, n);
    }
}

static void run_integers(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct job *job = arg;
    const void *x = job->step->in[0]->data;
    void *y = job->step->out[0]->data;
    const enum unary op = job->of.row->unary;
    if (op == UNARY_SHRINK) {
        shrink_integers(job, from, to);
        return;
    }
    switch (job->step->in[0]->dtype) {
#define SIGNED(dtype, T)                                                                                               \
    case dtype:                                                                                                        \
        for (int64_t i = from; i < to; i++)                                                                            \
            ((T *)y)[i] = (T)of_integer(op, (uint64_t)((const T *)x)[i], ((const T *)x)[i] < 0);                       \
        break;
#define UNSIGNED(dtype, T)                                                                                             \
    case dtype:                                                                                                        \
        for (int64_t i = from; i < to; i++)                                                                            \
            ((T *)y)[i] = (T)of_integer(op, ((const T *)x)[i], false);                                                 \
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
    struct job job = {.step = step, .of = *(const struct activation_of *)step->priv};
    enum percept_dtype dtype = step->in[0]->dtype;
    team_work *work = dtype == PERCEPT_FLOAT ? run_floats : dtype == PERCEPT_DOUBLE ? run_doubles : run_integers;
    team_split(env->team, stored_elements(step), WALK_GRAIN, work, &job);
    return true;
}

/* --- Clip --------------------------------------------------------------------------------------------------------- */

/* A bound that is left out is the least or the largest number of the type, as the specification has it:
 * infinities do not stay. What is kept are those of the attribute form. */
static bool clip_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct activation_of *of = op_priv(ctx, sizeof *of, err);
    const bool attributes = ctx->node->opset < 11;
    return of && op_arity(ctx, 1, attributes ? 1 : 3, 1, err) &&
           activation_read(ctx, activation_row(UNARY_CLIP), of, err);
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
    return op_in(step, i) ? step->in[i]->data : NULL;
}

static void clip_numbers(const struct step *step, const struct activation_of *of, int64_t from, int64_t to)
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
            double least = attributes ? (double)of->alpha : low ? *(const double *)low : -DBL_MAX;
            double most = attributes ? (double)of->beta : high ? *(const double *)high : DBL_MAX;
            double v = ((const double *)x)[i];
            v = v < least ? least : v;
            ((double *)y)[i] = v > most ? most : v;
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
    const struct activation_of *of = step->priv;
    if (step->in[0]->dtype != PERCEPT_FLOAT) {
        team_split(env->team, stored_elements(step), WALK_GRAIN, clip_range, step);
        return true;
    }
    bool attributes = step->node->opset < 11;
    const float *low = bound(step, 1), *high = bound(step, 2);
    struct job job = {.step = step, .of = *of};
    if (!attributes && low)
        job.of.alpha = *low;
    if (!attributes && high)
        job.of.beta = *high;
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
    struct activation_of of = *(const struct activation_of *)ctx->node->priv;
    return clip_bound(ctx, 1, &of.alpha) && clip_bound(ctx, 2, &of.beta) && activation_fusion(&of, fusion);
}

bool unary_activation(struct node_ctx *ctx, struct fusion *fusion)
{
    const struct op_rule *rule = ctx->node->op->rule;
    if (rule->run == clip_run)
        return clip_activation(ctx, fusion);
    return rule->run == unary_run && activation_fusion(ctx->node->priv, fusion);
}

/* --- rules -------------------------------------------------------------------------------------------------------- */

const struct op_rule op_unary = {
    .check = unary_check, .shape = unary_shape, .run = unary_run, .batch = batch_axis_elements};
const struct op_rule op_unary_exact = {
    .check = unary_check, .shape = unary_shape, .run = unary_run, .batch = batch_axis_elements, .flags = OP_EXACT};
const struct op_rule op_unary_scaled = {
    .check = scaled_check, .shape = unary_shape, .run = unary_run, .batch = batch_axis_elements};
const struct op_rule op_gelu = {
    .check = gelu_check, .shape = unary_shape, .run = unary_run, .batch = batch_axis_elements};
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
