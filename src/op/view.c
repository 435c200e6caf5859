/*
 * view.c - operators that move no data: the same elements under other dims, or dims alone.
 *
 * Reshape, Flatten, Squeeze, Unsqueeze, Identity and Dropout are aliases (step->alias): the planner lets
 * output 0 be input 0's memory, and run has nothing to do. When a step is run on its own, because all it
 * needs is known, run copies unless the memory is the same already. Shape and Size read dims only
 * (OP_SHAPE_ONLY), so their results are known as soon as shapes are.
 *
 * A blocked picture whose maps are one pixel and whose channels fill their blocks lies like a plain one;
 * flattening such a picture, the usual end of a convolutional network, then costs nothing either.
 * Dropout here is what it is at inference: nothing, and a mask of trues; its training form is refused unless
 * its ratio is 0.
 */
#include <string.h>

#include "op/attr.h"
#include "op/batch_axis.h"
#include "op/cast.h"
#include "op/types.h"
#include "op/walk.h"

enum member { RESHAPE, FLATTEN, SQUEEZE, UNSQUEEZE, IDENTITY, DROPOUT };

struct view_priv {
    enum member member;
    bool allowzero;
    int64_t axis;        /* Flatten */
    bool listed;         /* the attribute is there */
    const int64_t *list; /* attribute form: shape or axes */
    int n;
};

static bool is_zero(const struct tensor *ratio)
{
    float value = 1;
    if (ratio && types_real(ratio->dtype) && tensor_elements(ratio) == 1)
        cast_numbers(PERCEPT_FLOAT, &value, ratio->dtype, ratio->data, 1);
    return value == 0;
}

static bool refuse_random(const struct node *node, struct percept_err *err)
{
    return err_set(err, ERR_UNSUPPORTED,
                   OP_AT "is in training form and drops elements at random; a ratio of 0, or an "
                         "export in inference mode (training_mode false), would work",
                   OP_NODE(node));
}

/* Dropout's training form, where it is told when the model is opened: in constants since opset 12; by is_test,
 * which many leave out, up to 6: these mean what they say at inference. */
static bool dropout_check(struct node_ctx *ctx, struct percept_err *err)
{
    bool test;
    float ratio;
    const struct tensor *given = op_constant(ctx, 1), *mode = op_constant(ctx, 2);
    if (ctx->node->opset < 7) {
        if (!attr_bool(ctx, "is_test", false, &test, err) || !attr_float(ctx, "ratio", 0.5F, &ratio, err))
            return false;
        if (!test && ratio != 0)
            ctx->node->note = "does not say is_test; it passes its input on, as at inference";
        return true;
    }
    if (!mode || mode->dtype != PERCEPT_BOOL || tensor_elements(mode) != 1 || !*(const uint8_t *)mode->data)
        return true;
    if (given ? !is_zero(given) : !op_has_input(ctx->node, 1))
        return refuse_random(ctx->node, err);
    ctx->node->note = "is in training form; with a ratio of 0 it passes its input on";
    return true;
}

static bool view_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct view_priv *priv = op_priv(ctx, sizeof *priv, err);
    if (!priv)
        return false;
    priv->member = (enum member)ctx->node->op->rule->variant;
    bool inputs = priv->member == RESHAPE   ? ctx->node->opset >= 5
                  : priv->member == DROPOUT ? ctx->node->opset >= 12
                                            : ctx->node->opset >= 13;
    bool listing = priv->member == RESHAPE || priv->member == SQUEEZE || priv->member == UNSQUEEZE;
    int needed = inputs && (priv->member == RESHAPE || priv->member == UNSQUEEZE) ? 2 : 1;
    int most = priv->member == DROPOUT ? 3 : listing && inputs ? 2 : 1;
    if (!op_arity(ctx, needed, most, priv->member == DROPOUT ? 2 : 1, err))
        return false;
    const char *name = priv->member == RESHAPE ? "shape" : "axes";
    priv->listed = listing && !inputs && attr_has(ctx, name);
    if (priv->listed && !attr_ints(ctx, name, &priv->list, &priv->n, err))
        return false;
    if (listing && !inputs && priv->member != SQUEEZE && !priv->listed)
        return err_set(err, ERR_MODEL, OP_AT "attribute '%s' is missing", OP_NODE(ctx->node), name);
    if (priv->member == DROPOUT && !dropout_check(ctx, err))
        return false;
    return attr_bool(ctx, "allowzero", false, &priv->allowzero, err) && attr_int(ctx, "axis", 1, &priv->axis, err);
}

/* The list from attribute or input 1; *there is false when neither exists. */
static bool take_list(const struct step *step, const int64_t **list, int64_t *n, bool *there, struct percept_err *err)
{
    const struct view_priv *priv = step->priv;
    *list = priv->list;
    *n = priv->n;
    *there = priv->listed;
    if (!op_in(step, 1))
        return true;
    const struct tensor *t = step->in[1];
    if (!op_want_dtype(step, 1, PERCEPT_INT64, err))
        return false;
    if (t->rank > 1)
        return err_set(err, ERR_MODEL, OP_AT "input 1 has rank %d; 1 would work", OP_NODE(step->node), t->rank);
    *n = tensor_elements(t);
    if (*n && !op_known(step, 1, err))
        return false;
    *list = t->data;
    *there = true;
    return true;
}

static bool reshape_dims(const struct step *step, const int64_t *list, int64_t n, int64_t *dims,
                         struct percept_err *err)
{
    const struct view_priv *priv = step->priv;
    const struct tensor *x = step->in[0];
    int64_t elements = tensor_elements(x), product;
    int free_axis = -1;
    if (n > RANK_MAX)
        return err_set(err, ERR_UNSUPPORTED, OP_AT "shape has %lld dimensions; up to %d would work",
                       OP_NODE(step->node), (long long)n, RANK_MAX);
    for (int i = 0; i < n; i++) {
        dims[i] = list[i];
        if (list[i] == 0 && !priv->allowzero) {
            if (i >= x->rank)
                return err_set(err, ERR_MODEL,
                               OP_AT "dimension %d is to be copied from an input of "
                                     "rank %d",
                               OP_NODE(step->node), i, x->rank);
            dims[i] = x->dims[i];
        } else if (list[i] == -1 && free_axis < 0) {
            free_axis = i;
            dims[i] = 1;
        } else if (list[i] < 0) {
            return err_set(err, ERR_MODEL,
                           OP_AT "dimension %d of the shape is %lld; one -1 at most "
                                 "would work",
                           OP_NODE(step->node), i, (long long)list[i]);
        }
    }
    bool fits = tensor_count((int)n, dims, &product);
    if (fits && free_axis >= 0) {
        fits = product ? elements % product == 0 : elements == 0;
        dims[free_axis] = product ? elements / product : 0;
    } else if (fits) {
        fits = product == elements;
    }
    if (fits)
        return true;
    char from[128], to[128];
    return err_set(err, ERR_INVALID, OP_AT "shape %s cannot become %s", OP_NODE(step->node),
                   tensor_shape_text(x->rank, x->dims, from, sizeof from),
                   tensor_shape_text((int)n, list, to, sizeof to));
}

static bool flatten_dims(const struct step *step, int *rank, int64_t *dims, struct percept_err *err)
{
    const struct view_priv *priv = step->priv;
    const struct tensor *x = step->in[0];
    int64_t axis = priv->axis < 0 ? priv->axis + x->rank : priv->axis;
    if (axis < 0 || axis > x->rank)
        return err_set(err, ERR_MODEL, OP_AT "axis %lld is outside [%d, %d]", OP_NODE(step->node),
                       (long long)priv->axis, -x->rank, x->rank);
    *rank = 2;
    dims[0] = tensor_span(x, 0, (int)axis);
    dims[1] = tensor_span(x, (int)axis, x->rank);
    return true;
}

/* Marks the axes of a list; each may occur once. */
static bool mark_axes(const struct step *step, const int64_t *list, int64_t n, int rank, bool *marked,
                      struct percept_err *err)
{
    for (int64_t i = 0; i < n; i++) {
        int axis;
        if (!op_axis(step, list[i], rank, &axis, err))
            return false;
        if (marked[axis])
            return err_set(err, ERR_MODEL, OP_AT "axis %d occurs twice", OP_NODE(step->node), axis);
        marked[axis] = true;
    }
    return true;
}

static bool squeeze_dims(const struct step *step, const int64_t *list, int64_t n, bool there, int *rank, int64_t *dims,
                         struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    bool marked[RANK_MAX] = {false};
    if (!mark_axes(step, list, n, x->rank, marked, err))
        return false;
    *rank = 0;
    for (int i = 0; i < x->rank; i++) {
        if (marked[i] && x->dims[i] != 1)
            return err_set(err, ERR_INVALID, OP_AT "axis %d has %lld elements and cannot be squeezed",
                           OP_NODE(step->node), i, (long long)x->dims[i]);
        if (!(marked[i] || (!there && x->dims[i] == 1)))
            dims[(*rank)++] = x->dims[i];
    }
    return true;
}

static bool unsqueeze_dims(const struct step *step, const int64_t *list, int64_t n, int *rank, int64_t *dims,
                           struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    if (x->rank + n > RANK_MAX)
        return err_set(err, ERR_UNSUPPORTED, OP_AT "the result has %lld axes; up to %d would work", OP_NODE(step->node),
                       (long long)(x->rank + n), RANK_MAX);
    bool marked[RANK_MAX] = {false};
    *rank = x->rank + (int)n;
    if (!mark_axes(step, list, n, *rank, marked, err))
        return false;
    for (int i = 0, own = 0; i < *rank; i++)
        dims[i] = marked[i] ? 1 : x->dims[own++];
    return true;
}

static bool take_dims(const struct step *step, int *rank, int64_t *dims, struct percept_err *err)
{
    const struct view_priv *priv = step->priv;
    const struct tensor *x = step->in[0];
    const int64_t *list = NULL;
    int64_t n = 0;
    bool there = false;
    if (priv->member == FLATTEN)
        return flatten_dims(step, rank, dims, err);
    if (priv->member == IDENTITY || priv->member == DROPOUT) {
        *rank = x->rank;
        for (int i = 0; i < x->rank; i++)
            dims[i] = x->dims[i];
        return true;
    }
    if (!take_list(step, &list, &n, &there, err))
        return false;
    if (priv->member == SQUEEZE)
        return squeeze_dims(step, list, n, there, rank, dims, err);
    if (priv->member == UNSQUEEZE)
        return unsqueeze_dims(step, list, n, rank, dims, err);
    *rank = (int)n;
    return reshape_dims(step, list, n, dims, err);
}

/* A blocked picture whose bytes are those of the plain one. */
static bool lies_plain(const struct step *step, const struct tensor *x)
{
    return x->layout == LAYOUT_BLOCKED && tensor_span(x, 2, x->rank) == 1 && x->dims[1] % step->kernels->width == 0;
}

/* The training mode would need a random mask; a ratio of 0 does not. */
static bool inference_only(const struct step *step, struct percept_err *err)
{
    const enum percept_dtype dtype = step->in[0]->dtype;
    const struct tensor *mode = op_in(step, 2);
    if (!types_real(dtype) && !tensor_is_half(dtype))
        return err_set(err, ERR_UNSUPPORTED, OP_AT "its input is %s; a type of floats would work", OP_NODE(step->node),
                       tensor_dtype_name(dtype));
    if (!mode)
        return true;
    if (mode->dtype != PERCEPT_BOOL)
        return err_set(err, ERR_INVALID, OP_AT "its training mode is %s; bool would work", OP_NODE(step->node),
                       tensor_dtype_name(mode->dtype));
    if (!op_known(step, 1, err) || !op_known(step, 2, err))
        return false;
    const struct tensor *ratio = step->in[1];
    bool off = tensor_elements(mode) == 1 && !*(const uint8_t *)mode->data;
    return off || is_zero(ratio) || refuse_random(step->node, err);
}

static bool view_shape(struct step *step, struct percept_err *err)
{
    const struct view_priv *priv = step->priv;
    const struct tensor *x = step->in[0];
    int rank = 0;
    int64_t dims[RANK_MAX];
    if ((priv->member == DROPOUT && !inference_only(step, err)) || !take_dims(step, &rank, dims, err))
        return false;
    op_set_out(step, 0, x->dtype, rank, dims);
    step->alias = step->n_out > 1 && step->node->out[1] >= 0 ? 0 : 1; /* a mask has to be written */
    if (priv->member == IDENTITY || priv->member == DROPOUT)
        step->want[0] = step->out[0]->layout = x->layout;
    else if (lies_plain(step, x))
        step->want[0] = LAYOUT_BLOCKED;
    if (step->n_out > 1)
        op_set_out(step, 1, step->node->opset < 10 ? x->dtype : PERCEPT_BOOL, rank, dims);
    return true;
}

/* All elements kept: true, or 1 in the input's type. */
static void fill_mask(const struct step *step, struct run_env *env)
{
    const struct tensor *mask = step->out[1];
    const size_t size = tensor_dtype_bytes(mask->dtype);
    char one[sizeof(double)];
    cast_numbers(mask->dtype, one, PERCEPT_FLOAT, &(float){1}, 1);
    walk_fill_all(env->team, mask->data, one, size, tensor_elements(mask));
}

static bool view_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct tensor *x = step->in[0];
    size_t n_bytes = 0;
    tensor_bytes(x, step->kernels->width, &n_bytes);
    if (step->out[0]->data != x->data && n_bytes)
        op_copy(env, step->out[0]->data, x->data, n_bytes);
    if (step->n_out > 1)
        fill_mask(step, env);
    return true;
}

#define RULE(name, member, verb, flags_)                                                                               \
    const struct op_rule op_##name = {                                                                                 \
        .check = view_check, .shape = view_shape, .run = view_run, .batch = verb, .flags = flags_, .variant = member};

RULE(reshape, RESHAPE, batch_axis_in_order, OP_RESHAPES)
RULE(flatten, FLATTEN, batch_axis_in_order, 0)
RULE(squeeze, SQUEEZE, batch_axis_in_order, 0)
RULE(unsqueeze, UNSQUEEZE, batch_axis_in_order, 0)
RULE(identity, IDENTITY, batch_axis_elements, OP_LISTS | OP_PASSES)
RULE(dropout, DROPOUT, batch_axis_elements, OP_PASSES)

/* --- Shape and Size ----------------------------------------------------------------------------------------------- */

struct extent_priv {
    bool size;
    bool to_the_end;
    int64_t start, end;
};

static bool extent_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct extent_priv *priv = op_priv(ctx, sizeof *priv, err);
    if (!priv)
        return false;
    priv->size = ctx->node->op->rule->variant;
    priv->to_the_end = !attr_has(ctx, "end");
    return op_arity(ctx, 1, 1, 1, err) && attr_int(ctx, "start", 0, &priv->start, err) &&
           attr_int(ctx, "end", 0, &priv->end, err);
}

static int clamp_axis(int64_t axis, int rank)
{
    int64_t at = axis < 0 ? axis + rank : axis;
    return (int)(at < 0 ? 0 : at > rank ? rank : at);
}

static void extent_range(const struct step *step, int *from, int *to)
{
    const struct extent_priv *priv = step->priv;
    int rank = step->in[0]->rank;
    *from = clamp_axis(priv->start, rank);
    *to = priv->to_the_end ? rank : clamp_axis(priv->end, rank);
    if (*to < *from)
        *to = *from;
}

static bool extent_shape(struct step *step, struct percept_err *err)
{
    (void)err;
    const struct extent_priv *priv = step->priv;
    step->want[0] = step->in[0]->layout;
    int from, to;
    extent_range(step, &from, &to);
    const int64_t dims[] = {to - from};
    op_set_out(step, 0, PERCEPT_INT64, priv->size ? 0 : 1, dims);
    return true;
}

static bool extent_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)env;
    (void)err;
    const struct extent_priv *priv = step->priv;
    int64_t *y = step->out[0]->data;
    if (priv->size) {
        y[0] = tensor_elements(step->in[0]);
        return true;
    }
    int from, to;
    extent_range(step, &from, &to);
    for (int i = from; i < to; i++)
        y[i - from] = step->in[0]->dims[i];
    return true;
}

const struct op_rule op_shape = {
    .check = extent_check, .shape = extent_shape, .run = extent_run, .flags = OP_SHAPE_ONLY};
const struct op_rule op_size = {
    .check = extent_check, .shape = extent_shape, .run = extent_run, .flags = OP_SHAPE_ONLY, .variant = 1};
