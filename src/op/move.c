/*
 * move.c - operators that carry elements to other places and never look at them: Transpose, Expand, Tile,
 * DepthToSpace, SpaceToDepth, Trilu, ReverseSequence.
 *
 * What can be said as "read the input at these strides" is a walk_view and one walk_copy; the last two go
 * row by row. Elements are 1, 2, 4, 8 or 16 bytes (strings: their views move, their characters stay).
 *
 * All of them take plain layout. What is cut and joined along an axis, and may stay in blocks, is slice.c's;
 * what puts elements around others pad.c's; gathering and scattering by indices gather.c's.
 */
#include <string.h>

#include "op/attr.h"
#include "op/batch_axis.h"
#include "op/cast.h"
#include "op/types.h"
#include "op/walk.h"

/* --- Transpose ---------------------------------------------------------------------------------------------------- */

struct transpose_priv {
    const int64_t *perm; /* NULL: reversed */
    int n;
};

static bool transpose_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct transpose_priv *priv = op_priv(ctx, sizeof *priv, err);
    if (!priv || !op_arity(ctx, 1, 1, 1, err) || !attr_ints(ctx, "perm", &priv->perm, &priv->n, err))
        return false;
    unsigned seen = 0;
    for (int i = 0; i < priv->n; i++) {
        if (priv->n > RANK_MAX || priv->perm[i] < 0 || priv->perm[i] >= priv->n || (seen >> priv->perm[i] & 1))
            return err_set(err, ERR_MODEL, OP_AT "attribute 'perm' is no permutation of up to %d axes",
                           OP_NODE(ctx->node), RANK_MAX);
        seen |= 1U << priv->perm[i];
    }
    return true;
}

static int permuted(const struct transpose_priv *priv, int rank, int i)
{
    return priv->perm ? (int)priv->perm[i] : rank - 1 - i;
}

static bool transpose_shape(struct step *step, struct percept_err *err)
{
    const struct transpose_priv *priv = step->priv;
    const struct tensor *x = step->in[0];
    if (priv->perm && priv->n != x->rank)
        return err_set(err, ERR_MODEL, OP_AT "'perm' has %d axes, the input %d", OP_NODE(step->node), priv->n, x->rank);
    int64_t dims[RANK_MAX];
    int kept = -1; /* axes longer than 1 that stand in order: then nothing moves */
    bool in_order = true;
    for (int i = 0; i < x->rank; i++) {
        int from = permuted(priv, x->rank, i);
        dims[i] = x->dims[from];
        if (dims[i] != 1) {
            in_order = in_order && from > kept;
            kept = from;
        }
    }
    op_set_out(step, 0, x->dtype, x->rank, dims);
    step->alias = in_order ? 1 : 0;
    return true;
}

static bool transpose_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct transpose_priv *priv = step->priv;
    const struct tensor *x = step->in[0];
    if (step->out[0]->data == x->data)
        return true;
    int64_t strides[RANK_MAX];
    struct walk_view view = {0};
    tensor_strides(x->rank, x->dims, strides);
    for (int i = 0; i < x->rank; i++) {
        int from = permuted(priv, x->rank, i);
        walk_axis(&view, x->dims[from], strides[from]);
    }
    walk_copy(env->team, step->out[0]->data, x->data, tensor_dtype_bytes(x->dtype), &view);
    return true;
}

static void transpose_batch(struct batch_view *view)
{
    struct batch_place place;
    if (!batch_axis_first(view, &place))
        return;
    const int rank = view->many->in[0]->rank;
    for (int i = 0; i < rank; i++)
        if (permuted(view->many->priv, rank, i) == place.axis)
            batch_axis_all(view, batch_axis_at(i, place.before));
}

const struct op_rule op_transpose = {
    .check = transpose_check, .shape = transpose_shape, .run = transpose_run, .batch = transpose_batch};

/* --- Expand and Tile ---------------------------------------------------------------------------------------------- */

static bool two_check(struct node_ctx *ctx, struct percept_err *err)
{
    return op_arity(ctx, 2, 2, 1, err);
}

static bool expand_shape(struct step *step, struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    struct tensor wanted = {0};
    int rank;
    int64_t dims[RANK_MAX], n;
    if (!op_ints(step, 1, RANK_MAX, wanted.dims, &wanted.rank, err))
        return false;
    if (!tensor_count(wanted.rank, wanted.dims, &n))
        return err_set(err, ERR_INVALID, OP_AT "the shape has a negative dimension or is too large",
                       OP_NODE(step->node));
    if (!tensor_broadcast(x, &wanted, &rank, dims, err))
        return err_prefix(err, OP_AT, OP_NODE(step->node));
    op_set_out(step, 0, x->dtype, rank, dims);
    step->alias = tensor_same_dims(x, step->out[0]) ? 1 : 0;
    return true;
}

static bool expand_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct tensor *x = step->in[0], *out = step->out[0];
    if (out->data == x->data)
        return true;
    int64_t strides[RANK_MAX];
    struct walk_view view = {0};
    tensor_strides(x->rank, x->dims, strides);
    for (int i = 0; i < out->rank; i++) {
        int own = i - (out->rank - x->rank);
        walk_axis(&view, out->dims[i], own >= 0 && x->dims[own] != 1 ? strides[own] : 0);
    }
    walk_copy(env->team, out->data, x->data, tensor_dtype_bytes(x->dtype), &view);
    return true;
}

/* Along an axis that grows there stands the same all along, for any item. */
static void expand_batch(struct batch_view *view)
{
    const struct tensor *x = view->many->in[0], *y = view->many->out[0];
    if (!batch_axis_others_known(view, 1, 1))
        return;
    if (view->in[0].word == BATCH_INDEPENDENT) {
        const int axis = view->in[0].axis + y->rank - x->rank;
        if (y->dims[axis] == x->dims[view->in[0].axis])
            batch_axis_all(view, batch_axis_at(axis, view->in[0].before));
        else
            batch_axis_mixes(view, "repeats along the batch");
        return;
    }
    batch_axis_filled(view);
    const int own = view->out[0].axis - (y->rank - x->rank);
    if (view->in[0].word != BATCH_SAME || (view->out[0].word == BATCH_INDEPENDENT && own >= 0 && x->dims[own] != 1))
        batch_axis_mixes(view, "its input depends on the batch's size");
}

const struct op_rule op_expand = {.check = two_check, .shape = expand_shape, .run = expand_run, .batch = expand_batch};

/* Opset 1: inputs `tiles` and `axis`, one number each; since 6 a list of repeats. */
static bool tile_check(struct node_ctx *ctx, struct percept_err *err)
{
    return ctx->node->opset < 6 ? op_arity(ctx, 3, 3, 1, err) : op_arity(ctx, 2, 2, 1, err);
}

/* The form of opset 1: numbers of the input's type, or of any other. */
static bool tile_one_axis(const struct step *step, int64_t *repeats, struct percept_err *err)
{
    int64_t numbers[2];
    int axis;
    for (int i = 0; i < 2; i++) {
        const struct tensor *t = step->in[1 + i];
        if (!types_number(t->dtype) || tensor_elements(t) != 1)
            return err_set(err, ERR_MODEL, OP_AT "input %d is not one number", OP_NODE(step->node), 1 + i);
        if (!op_known(step, 1 + i, err))
            return false;
        cast_numbers(PERCEPT_INT64, &numbers[i], t->dtype, t->data, 1);
    }
    if (!op_axis(step, numbers[1], step->in[0]->rank, &axis, err))
        return false;
    for (int i = 0; i < step->in[0]->rank; i++)
        repeats[i] = i == axis ? numbers[0] : 1;
    return true;
}

static bool tile_shape(struct step *step, struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    int64_t repeats[RANK_MAX], dims[RANK_MAX];
    int n = x->rank;
    if (!(step->node->opset < 6 ? tile_one_axis(step, repeats, err) : op_ints(step, 1, RANK_MAX, repeats, &n, err)))
        return false;
    if (n != x->rank)
        return err_set(err, ERR_MODEL, OP_AT "%d repeats for %d axes", OP_NODE(step->node), n, x->rank);
    for (int i = 0; i < n; i++)
        if (repeats[i] < 0 || __builtin_mul_overflow(repeats[i], x->dims[i], &dims[i]))
            return err_set(err, ERR_INVALID, OP_AT "axis %d cannot be repeated %lld times", OP_NODE(step->node), i,
                           (long long)repeats[i]);
    op_set_out(step, 0, x->dtype, n, dims);
    return true;
}

static bool tile_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct tensor *x = step->in[0], *out = step->out[0];
    if (tensor_elements(out) == 0)
        return true;
    int64_t strides[RANK_MAX];
    struct walk_view view = {0};
    tensor_strides(x->rank, x->dims, strides);
    for (int i = 0; i < x->rank; i++) {
        walk_axis(&view, out->dims[i] / x->dims[i], 0);
        walk_axis(&view, x->dims[i], strides[i]);
    }
    walk_copy(env->team, out->data, x->data, tensor_dtype_bytes(x->dtype), &view);
    return true;
}

/* Items that are repeated come in order as many times. */
static void tile_batch(struct batch_view *view)
{
    const struct tensor *x = view->many->in[0], *y = view->many->out[0];
    struct batch_place place = view->in[0];
    if (!batch_axis_others_known(view, 1, 1))
        return;
    if (place.word == BATCH_SAME) {
        batch_axis_filled(view);
    } else if (place.word == BATCH_INDEPENDENT && x->dims[place.axis] > 0) {
        place.before *= y->dims[place.axis] / x->dims[place.axis];
        batch_axis_all(view, place);
    }
}

const struct op_rule op_tile = {.check = tile_check, .shape = tile_shape, .run = tile_run, .batch = tile_batch};

/* --- DepthToSpace and SpaceToDepth -------------------------------------------------------------------------------- */

struct depth_priv {
    int64_t block;
    int crd;    /* DepthToSpace: column-row-depth order */
    bool space; /* SpaceToDepth */
};

static bool depth_check(struct node_ctx *ctx, struct percept_err *err)
{
    static const char *const modes[] = {"DCR", "CRD", NULL};
    struct depth_priv *priv = op_priv(ctx, sizeof *priv, err);
    if (!priv || !op_arity(ctx, 1, 1, 1, err))
        return false;
    priv->space = ctx->node->op->rule->variant;
    if (!attr_has(ctx, "blocksize"))
        return err_set(err, ERR_MODEL, OP_AT "attribute 'blocksize' is missing", OP_NODE(ctx->node));
    return attr_int_in(ctx, "blocksize", 1, 1, INT16_MAX, &priv->block, err) &&
           attr_choice(ctx, "mode", 0, modes, &priv->crd, err);
}

static bool depth_shape(struct step *step, struct percept_err *err)
{
    const struct depth_priv *priv = step->priv;
    const struct tensor *x = step->in[0];
    int64_t b = priv->block;
    bool fits = x->rank == 4;
    if (fits)
        fits = priv->space ? x->dims[2] % b == 0 && x->dims[3] % b == 0 : x->dims[1] % (b * b) == 0;
    int64_t dims[4] = {0};
    if (fits && priv->space) {
        dims[2] = x->dims[2] / b;
        dims[3] = x->dims[3] / b;
        fits = !__builtin_mul_overflow(x->dims[1], b * b, &dims[1]);
    } else if (fits) {
        dims[1] = x->dims[1] / (b * b);
        fits = !__builtin_mul_overflow(x->dims[2], b, &dims[2]) && !__builtin_mul_overflow(x->dims[3], b, &dims[3]);
    }
    if (!fits) {
        char text[128];
        return err_set(err, ERR_INVALID, OP_AT "shape %s does not divide by blocks of %lld", OP_NODE(step->node),
                       tensor_shape_text(x->rank, x->dims, text, sizeof text), (long long)b);
    }
    dims[0] = x->dims[0];
    op_set_out(step, 0, x->dtype, 4, dims);
    return true;
}

static bool depth_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct depth_priv *priv = step->priv;
    const struct tensor *x = step->in[0], *out = step->out[0];
    int64_t b = priv->block, height = x->dims[2], width = x->dims[3], map = height * width;
    struct walk_view view = {0};
    walk_axis(&view, x->dims[0], x->dims[1] * map);
    if (priv->space) { /* [by][bx][c][y][x] of the output */
        walk_axis(&view, b, width);
        walk_axis(&view, b, 1);
        walk_axis(&view, x->dims[1], map);
        walk_axis(&view, out->dims[2], b * width);
        walk_axis(&view, out->dims[3], b);
    } else { /* [c][y][by][x][bx] of the output */
        int64_t c = out->dims[1];
        walk_axis(&view, c, priv->crd ? b * b * map : map);
        walk_axis(&view, height, width);
        walk_axis(&view, b, (priv->crd ? b : b * c) * map);
        walk_axis(&view, width, 1);
        walk_axis(&view, b, (priv->crd ? 1 : c) * map);
    }
    walk_copy(env->team, out->data, x->data, tensor_dtype_bytes(x->dtype), &view);
    return true;
}

const struct op_rule op_depth_to_space = {
    .check = depth_check, .shape = depth_shape, .run = depth_run, .batch = batch_axis_items};
const struct op_rule op_space_to_depth = {
    .check = depth_check, .shape = depth_shape, .run = depth_run, .batch = batch_axis_items, .variant = 1};

/* --- Trilu -------------------------------------------------------------------------------------------------------- */

struct trilu_priv {
    bool upper;
};

static bool trilu_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct trilu_priv *priv = op_priv(ctx, sizeof *priv, err);
    return priv && op_arity(ctx, 1, 2, 1, err) && attr_bool(ctx, "upper", true, &priv->upper, err);
}

static bool trilu_shape(struct step *step, struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    if (x->rank < 2)
        return err_set(err, ERR_INVALID, OP_AT "the input has rank %d; at least 2 would work", OP_NODE(step->node),
                       x->rank);
    if (op_in(step, 1) && (!op_want_dtype(step, 1, PERCEPT_INT64, err) || tensor_elements(step->in[1]) != 1))
        return err_set(err, ERR_MODEL, OP_AT "k is not one int64", OP_NODE(step->node));
    op_set_out(step, 0, x->dtype, x->rank, x->dims);
    return true;
}

static bool trilu_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct trilu_priv *priv = step->priv;
    const struct tensor *x = step->in[0];
    int64_t rows = x->dims[x->rank - 2], columns = x->dims[x->rank - 1];
    int64_t k = op_in(step, 1) ? *(const int64_t *)step->in[1]->data : 0;
    k = op_clamp(k, -rows, columns);
    int64_t size = (int64_t)tensor_dtype_bytes(x->dtype), row_bytes = columns * size;
    for (int64_t i = 0, n = tensor_span(x, 0, x->rank - 1); row_bytes && i < n; i++) {
        if (!op_spend(env, 1 + row_bytes / 16))
            return true;
        char *y = (char *)step->out[0]->data + i * row_bytes;
        int64_t row = i % rows;
        /* upper keeps columns from row + k on, lower those up to it */
        int64_t cut = op_clamp(row + k + (priv->upper ? 0 : 1), 0, columns) * size;
        memcpy(y, (const char *)x->data + i * row_bytes, (size_t)row_bytes);
        if (priv->upper)
            memset(y, 0, (size_t)cut);
        else
            memset(y + cut, 0, (size_t)(row_bytes - cut));
    }
    return true;
}

const struct op_rule op_trilu = {
    .check = trilu_check, .shape = trilu_shape, .run = trilu_run, .batch = batch_axis_matrices};

/* --- ReverseSequence ---------------------------------------------------------------------------------------------- */

struct reverse_priv {
    int64_t batch_axis, time_axis;
};

static bool reverse_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct reverse_priv *priv = op_priv(ctx, sizeof *priv, err);
    if (!priv || !op_arity(ctx, 2, 2, 1, err) || !attr_int_in(ctx, "batch_axis", 1, 0, 1, &priv->batch_axis, err) ||
        !attr_int_in(ctx, "time_axis", 0, 0, 1, &priv->time_axis, err))
        return false;
    if (priv->batch_axis == priv->time_axis)
        return err_set(err, ERR_MODEL, OP_AT "batch_axis and time_axis are both %lld", OP_NODE(ctx->node),
                       (long long)priv->time_axis);
    return true;
}

static bool reverse_shape(struct step *step, struct percept_err *err)
{
    const struct reverse_priv *priv = step->priv;
    const struct tensor *x = step->in[0], *lengths = step->in[1];
    if (!op_want_dtype(step, 1, PERCEPT_INT64, err))
        return false;
    if (x->rank < 2 || lengths->rank != 1 || lengths->dims[0] != x->dims[priv->batch_axis])
        return err_set(err, ERR_INVALID, OP_AT "the lengths are not one for each item of axis %lld",
                       OP_NODE(step->node), (long long)priv->batch_axis);
    op_set_out(step, 0, x->dtype, x->rank, x->dims);
    return true;
}

static bool reverse_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct reverse_priv *priv = step->priv;
    const struct tensor *x = step->in[0];
    const int64_t *lengths = step->in[1]->data;
    int64_t times = x->dims[priv->time_axis], items = x->dims[priv->batch_axis];
    int64_t n_bytes = tensor_span(x, 2, x->rank) * (int64_t)tensor_dtype_bytes(x->dtype);
    int64_t time_step = priv->time_axis == 0 ? items * n_bytes : n_bytes;
    int64_t item_step = priv->time_axis == 0 ? n_bytes : times * n_bytes;
    for (int64_t b = 0; b < items; b++) {
        if (lengths[b] < 0 || lengths[b] > times)
            return err_set(err, ERR_DATA, OP_AT "length %lld of item %lld is outside [0, %lld]", OP_NODE(step->node),
                           (long long)lengths[b], (long long)b, (long long)times);
        for (int64_t t = 0; n_bytes && t < times; t++) {
            if (!op_spend(env, 1 + n_bytes / 64))
                return true;
            int64_t from = t < lengths[b] ? lengths[b] - 1 - t : t;
            op_copy(env, (char *)step->out[0]->data + b * item_step + t * time_step,
                    (const char *)x->data + b * item_step + from * time_step, (size_t)n_bytes);
        }
    }
    return true;
}

/* Each item has a length of its own. */
static void reverse_batch(struct batch_view *view)
{
    const struct reverse_priv *priv = view->many->priv;
    const struct batch_place place = view->in[0];
    if (place.word == BATCH_INDEPENDENT && place.axis == priv->batch_axis) {
        if (view->in[1].word == BATCH_INDEPENDENT && view->in[1].before == place.before)
            batch_axis_all(view, place);
        return;
    }
    batch_axis_but(view, (int)priv->time_axis);
}

const struct op_rule op_reverse_sequence = {
    .check = reverse_check, .shape = reverse_shape, .run = reverse_run, .batch = reverse_batch};
