/*
 * move.c - operators that carry elements to other places and never look at them: Transpose, Concat,
 * Split, Slice, Expand, Tile, DepthToSpace, SpaceToDepth, Pad, Trilu, ReverseSequence.
 *
 * What can be said as "read the input at these strides" is a walk_view and one walk_copy. Concat, Split
 * and slices of whole rows are memcpy. Elements are 1, 2, 4, 8 or 16 bytes (strings: their views move,
 * their characters stay).
 *
 * Concat, Split and Slice along channels keep pictures blocked where every cut lies between two blocks:
 * seen as [N][blocks][spatial ...][width] the same code does both layouts. Gathering and scattering by
 * indices is gather.c's.
 */
#include <string.h>

#include "op/attr.h"
#include "op/types.h"
#include "op/walk.h"

static size_t element_bytes(const struct tensor *t)
{
    return tensor_dtype_bytes(t->dtype);
}

/* Integers of input i (int32 or int64) into to[]; it must be known and have at most `most` elements. */
static bool known_ints(const struct step *step, int i, int most, int64_t *to, int *n,
                       struct percept_err *err)
{
    const struct tensor *t = step->in[i];
    if (t->dtype != PERCEPT_INT64 && t->dtype != PERCEPT_INT32)
        return err_set(err, ERR_MODEL, OP_AT "input %d is %s; int64 would work", OP_NODE(step->node),
                       i, tensor_dtype_name(t->dtype));
    int64_t count = tensor_elements(t);
    if (t->rank > 1 || count > most)
        return err_set(err, ERR_UNSUPPORTED, OP_AT "input %d has rank %d and %lld elements; a list of "
                       "up to %d would work", OP_NODE(step->node), i, t->rank, (long long)count, most);
    if (count && !op_known(step, i, err))
        return false;
    for (int64_t k = 0; k < count; k++)
        to[k] = t->dtype == PERCEPT_INT64 ? ((const int64_t *)t->data)[k]
                                          : ((const int32_t *)t->data)[k];
    *n = (int)count;
    return true;
}

static bool has(const struct step *step, int i)
{
    return i < step->n_in && step->in[i];
}

/* Dims as they lie in memory: a blocked picture is [N][blocks][spatial ...][width]. */
static int stored_dims(const struct tensor *t, int width, int64_t *dims)
{
    for (int i = 0; i < t->rank; i++)
        dims[i] = t->dims[i];
    if (t->layout != LAYOUT_BLOCKED)
        return t->rank;
    dims[1] = (dims[1] + width - 1) / width;
    dims[t->rank] = width;
    return t->rank + 1;
}

static int64_t product(const int64_t *dims, int from, int to)
{
    int64_t n = 1;
    for (int i = from; i < to; i++)
        n *= dims[i];
    return n;
}

static void *new_priv(struct node_ctx *ctx, size_t n_bytes, struct percept_err *err)
{
    ctx->node->priv = arena_alloc(ctx->arena, n_bytes);
    if (!ctx->node->priv)
        err_memory(err, "a node", n_bytes);
    return ctx->node->priv;
}

/* --- Transpose -------------------------------------------------------------------------------------- */

struct transpose_priv {
    const int64_t *perm; /* NULL: reversed */
    int n;
};

static bool transpose_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct transpose_priv *priv = new_priv(ctx, sizeof *priv, err);
    if (!priv || !op_arity(ctx, 1, 1, 1, err) || !attr_ints(ctx, "perm", &priv->perm, &priv->n, err))
        return false;
    unsigned seen = 0;
    for (int i = 0; i < priv->n; i++) {
        if (priv->n > RANK_MAX || priv->perm[i] < 0 || priv->perm[i] >= priv->n ||
            (seen >> priv->perm[i] & 1))
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
        return err_set(err, ERR_MODEL, OP_AT "'perm' has %d axes, the input %d", OP_NODE(step->node),
                       priv->n, x->rank);
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
    walk_copy(env->team, step->out[0]->data, x->data, element_bytes(x), &view);
    return true;
}

const struct op_rule op_transpose = {
    .check = transpose_check, .shape = transpose_shape, .run = transpose_run};

/* --- Concat ----------------------------------------------------------------------------------------- */

struct axis_priv {
    int64_t axis;
};

static bool concat_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct axis_priv *priv = new_priv(ctx, sizeof *priv, err);
    if (!priv || !op_arity(ctx, 1, INT32_MAX, 1, err))
        return false;
    for (int i = 0; i < ctx->node->n_in; i++)
        if (!op_has_input(ctx->node, i))
            return err_set(err, ERR_MODEL, OP_AT "input %d is left out", OP_NODE(ctx->node), i);
    return attr_int(ctx, "axis", 1, &priv->axis, err); /* opset 1 had this default */
}

/* All blocked, and on the channel axis every cut between two blocks. */
static bool concat_blocked(const struct step *step, int axis)
{
    for (int i = 0; i < step->n_in; i++) {
        if (step->in[i]->layout != LAYOUT_BLOCKED)
            return false;
        if (axis == 1 && i < step->n_in - 1 && step->in[i]->dims[1] % step->kernels->width)
            return false;
    }
    return true;
}

static bool concat_shape(struct step *step, struct percept_err *err)
{
    const struct axis_priv *priv = step->priv;
    const struct tensor *first = step->in[0];
    int64_t dims[RANK_MAX];
    int axis;
    if (!op_axis(step, priv->axis, first->rank, &axis, err))
        return false;
    for (int i = 0; i < first->rank; i++)
        dims[i] = first->dims[i];
    for (int k = 1; k < step->n_in; k++) {
        const struct tensor *t = step->in[k];
        if (!op_want_dtype(step, k, first->dtype, err))
            return false;
        bool fits = t->rank == first->rank;
        for (int i = 0; fits && i < t->rank; i++)
            fits = i == axis || t->dims[i] == dims[i];
        if (!fits || __builtin_add_overflow(dims[axis], t->dims[axis], &dims[axis])) {
            char a[128], b[128];
            return err_set(err, ERR_INVALID, OP_AT "shapes %s and %s do not join on axis %d",
                           OP_NODE(step->node), tensor_shape_text(first->rank, first->dims, a, sizeof a),
                           tensor_shape_text(t->rank, t->dims, b, sizeof b), axis);
        }
    }
    op_set_out(step, 0, first->dtype, first->rank, dims);
    if (concat_blocked(step, axis)) {
        for (int i = 0; i < step->n_in; i++)
            step->want[i] = LAYOUT_BLOCKED;
        step->out[0]->layout = LAYOUT_BLOCKED;
    }
    return true;
}

struct rows {
    char *y;
    const char *x;
    int64_t y_step, x_step; /* bytes from one row to the next */
    int64_t n_bytes;        /* of a row */
};

static void copy_rows(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct rows *rows = arg;
    for (int64_t i = from; i < to; i++)
        memcpy(rows->y + i * rows->y_step, rows->x + i * rows->x_step, (size_t)rows->n_bytes);
}

static void split_rows(struct percept_team *team, struct rows *rows, int64_t n)
{
    if (rows->n_bytes)
        team_split(team, n, 1 + 4 * WALK_GRAIN / rows->n_bytes, copy_rows, rows);
}

static bool concat_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct axis_priv *priv = step->priv;
    const struct tensor *out = step->out[0];
    int axis, width = step->kernels->width;
    if (!op_axis(step, priv->axis, out->rank, &axis, err))
        return false;
    int64_t dims[RANK_MAX + 1], size = (int64_t)element_bytes(out), at = 0;
    int rank = stored_dims(out, width, dims);
    int64_t row = product(dims, axis, rank) * size;
    for (int i = 0; i < step->n_in; i++) {
        stored_dims(step->in[i], width, dims);
        struct rows rows = {.y = (char *)out->data + at,
                            .x = step->in[i]->data,
                            .y_step = row,
                            .n_bytes = product(dims, axis, rank) * size};
        rows.x_step = rows.n_bytes;
        split_rows(env->team, &rows, product(dims, 0, axis));
        at += rows.n_bytes;
    }
    return true;
}

const struct op_rule op_concat = {.check = concat_check, .shape = concat_shape, .run = concat_run};

/* --- Split ------------------------------------------------------------------------------------------ */

struct split_priv {
    int64_t axis;
    const int64_t *lengths; /* attribute form */
    int n;
};

static bool split_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct split_priv *priv = new_priv(ctx, sizeof *priv, err);
    int64_t num_outputs;
    if (!priv || !op_arity(ctx, 1, 2, INT32_MAX, err) || !attr_int(ctx, "axis", 0, &priv->axis, err) ||
        !attr_int(ctx, "num_outputs", ctx->node->n_out, &num_outputs, err))
        return false;
    if (num_outputs != ctx->node->n_out)
        return err_set(err, ERR_MODEL, OP_AT "attribute 'num_outputs' is %lld, the node has %d outputs",
                       OP_NODE(ctx->node), (long long)num_outputs, ctx->node->n_out);
    if (ctx->node->opset < 13 && !attr_ints(ctx, "split", &priv->lengths, &priv->n, err))
        return false;
    if (priv->lengths && priv->n != ctx->node->n_out)
        return err_set(err, ERR_MODEL, OP_AT "attribute 'split' has %d lengths, the node %d outputs",
                       OP_NODE(ctx->node), priv->n, ctx->node->n_out);
    return true;
}

/* Length k when no lengths are given: equal parts, the last one smaller (opset 18). */
static int64_t even_length(int64_t total, int n, int k)
{
    int64_t part = total / n + (total % n != 0);
    int64_t before = part * k < total ? part * k : total;
    return total - before < part ? total - before : part;
}

static bool split_given(const struct step *step, const int64_t **lengths, struct percept_err *err)
{
    const struct split_priv *priv = step->priv;
    *lengths = priv->lengths;
    if (!has(step, 1))
        return true;
    const struct tensor *t = step->in[1];
    if (!op_want_dtype(step, 1, PERCEPT_INT64, err))
        return false;
    if (tensor_elements(t) != step->n_out)
        return err_set(err, ERR_MODEL, OP_AT "input 1 has %lld lengths, the node %d outputs",
                       OP_NODE(step->node), (long long)tensor_elements(t), step->n_out);
    if (!op_known(step, 1, err))
        return false;
    *lengths = t->data;
    return true;
}

static bool split_shape(struct step *step, struct percept_err *err)
{
    const struct split_priv *priv = step->priv;
    const struct tensor *x = step->in[0];
    const int64_t *lengths;
    int axis, width = step->kernels->width;
    if (!op_axis(step, priv->axis, x->rank, &axis, err) || !split_given(step, &lengths, err))
        return false;
    bool blocked = x->layout == LAYOUT_BLOCKED;
    int64_t left = x->dims[axis];
    for (int k = 0; k < step->n_out; k++) {
        int64_t length = lengths ? lengths[k] : even_length(x->dims[axis], step->n_out, k);
        if (length < 0 || length > left)
            return err_set(err, ERR_INVALID, OP_AT "part %d of %lld elements does not fit axis %d of %lld",
                           OP_NODE(step->node), k, (long long)length, axis, (long long)x->dims[axis]);
        if (axis == 1 && k < step->n_out - 1 && length % width)
            blocked = false;
        left -= length;
        op_set_out(step, k, x->dtype, x->rank, x->dims);
        step->out[k]->dims[axis] = length;
    }
    if (left)
        return err_set(err, ERR_INVALID, OP_AT "the parts leave %lld of axis %d's %lld elements over",
                       OP_NODE(step->node), (long long)left, axis, (long long)x->dims[axis]);
    step->want[0] = blocked ? LAYOUT_BLOCKED : LAYOUT_PLAIN;
    for (int k = 0; blocked && k < step->n_out; k++)
        step->out[k]->layout = LAYOUT_BLOCKED;
    return true;
}

static bool split_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct split_priv *priv = step->priv;
    const struct tensor *x = step->in[0];
    int axis, width = step->kernels->width;
    if (!op_axis(step, priv->axis, x->rank, &axis, err))
        return false;
    int64_t dims[RANK_MAX + 1], size = (int64_t)element_bytes(x), at = 0;
    int rank = stored_dims(x, width, dims);
    int64_t row = product(dims, axis, rank) * size;
    for (int k = 0; k < step->n_out; k++) {
        stored_dims(step->out[k], width, dims);
        struct rows rows = {.y = step->out[k]->data,
                            .x = (const char *)x->data + at,
                            .x_step = row,
                            .n_bytes = product(dims, axis, rank) * size};
        rows.y_step = rows.n_bytes;
        split_rows(env->team, &rows, product(dims, 0, axis));
        at += rows.n_bytes;
    }
    return true;
}

const struct op_rule op_split = {.check = split_check, .shape = split_shape, .run = split_run};

/* --- Slice ------------------------------------------------------------------------------------------ */

struct slice_priv {
    bool attributes;
    const int64_t *starts, *ends, *axes;
    int n, n_ends, n_axes;
};

/* What is taken of each axis. */
struct cut {
    int64_t start[RANK_MAX], step[RANK_MAX], count[RANK_MAX];
};

static bool slice_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct slice_priv *priv = new_priv(ctx, sizeof *priv, err);
    if (!priv)
        return false;
    priv->attributes = ctx->node->opset < 10;
    if (!priv->attributes)
        return op_arity(ctx, 3, 5, 1, err);
    if (!op_arity(ctx, 1, 1, 1, err) || !attr_ints(ctx, "starts", &priv->starts, &priv->n, err) ||
        !attr_ints(ctx, "ends", &priv->ends, &priv->n_ends, err) ||
        !attr_ints(ctx, "axes", &priv->axes, &priv->n_axes, err))
        return false;
    if (priv->n != priv->n_ends || priv->n > RANK_MAX || (priv->axes && priv->n_axes != priv->n))
        return err_set(err, ERR_MODEL, OP_AT "attributes 'starts', 'ends' and 'axes' have %d, %d and %d "
                       "values", OP_NODE(ctx->node), priv->n, priv->n_ends, priv->n_axes);
    return true;
}

/* starts, ends, axes and steps, from wherever they come. */
static bool slice_lists(const struct step *step, int64_t lists[4][RANK_MAX], int *n,
                        struct percept_err *err)
{
    const struct slice_priv *priv = step->priv;
    int counts[4] = {0};
    for (int k = 0; k < RANK_MAX; k++) {
        lists[2][k] = k;
        lists[3][k] = 1;
    }
    if (priv->attributes) {
        for (int k = 0; k < priv->n; k++) {
            lists[0][k] = priv->starts[k];
            lists[1][k] = priv->ends[k];
            lists[2][k] = priv->axes ? priv->axes[k] : k;
        }
        *n = priv->n;
        return true;
    }
    for (int i = 1; i < step->n_in; i++)
        if (step->in[i] && !known_ints(step, i, RANK_MAX, lists[i - 1], &counts[i - 1], err))
            return false;
    bool fit = counts[0] == counts[1] && (!has(step, 3) || counts[2] == counts[0]) &&
               (!has(step, 4) || counts[3] == counts[0]);
    if (!fit)
        return err_set(err, ERR_MODEL, OP_AT "starts, ends, axes and steps differ in length",
                       OP_NODE(step->node));
    *n = counts[0];
    return true;
}

static int64_t clamp(int64_t x, int64_t low, int64_t high)
{
    return x < low ? low : x > high ? high : x;
}

/* The specification's rule for one axis of `dim` elements. It is numpy's but for a start before the first
 * element when going backwards: that is the first element, where numpy takes nothing. */
static void cut_axis(struct cut *cut, int axis, int64_t dim, int64_t start, int64_t end, int64_t by)
{
    start = start < 0 ? (start < -dim ? -1 : start + dim) : start;
    end = end < 0 ? (end < -dim ? -1 : end + dim) : end;
    start = by > 0 ? clamp(start, 0, dim) : dim ? clamp(start, 0, dim - 1) : -1;
    end = by > 0 ? clamp(end, 0, dim) : clamp(end, -1, dim - 1);
    int64_t distance = by > 0 ? end - start : start - end;
    uint64_t stride = by > 0 ? (uint64_t)by : 0 - (uint64_t)by;
    cut->start[axis] = start;
    cut->step[axis] = by;
    cut->count[axis] = distance > 0 ? (int64_t)(1 + (uint64_t)(distance - 1) / stride) : 0;
    if (cut->count[axis] <= 1) /* an immense step must not be multiplied by a stride */
        cut->step[axis] = 1;
}

static bool slice_cut(const struct step *step, struct cut *cut, struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    int64_t lists[4][RANK_MAX];
    int n = 0;
    if (!slice_lists(step, lists, &n, err))
        return false;
    for (int i = 0; i < x->rank; i++)
        cut_axis(cut, i, x->dims[i], 0, x->dims[i], 1);
    for (int k = 0; k < n; k++) {
        int axis;
        if (!op_axis(step, lists[2][k], x->rank, &axis, err))
            return false;
        if (lists[3][k] == 0)
            return err_set(err, ERR_MODEL, OP_AT "the step of axis %d is 0", OP_NODE(step->node), axis);
        cut_axis(cut, axis, x->dims[axis], lists[0][k], lists[1][k], lists[3][k]);
    }
    return true;
}

/* The cut in units of what is stored; false when channels are not cut between blocks. */
static bool cut_blocks(struct cut *cut, const struct tensor *x, int width)
{
    if (cut->start[1] % width || cut->step[1] != 1)
        return false;
    if (x->rank == RANK_MAX)
        return false;
    cut->start[1] /= width;
    cut->count[1] = (cut->count[1] + width - 1) / width;
    cut->start[x->rank] = 0;
    cut->step[x->rank] = 1;
    cut->count[x->rank] = width;
    return true;
}

static bool slice_shape(struct step *step, struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    struct cut cut;
    if (!slice_cut(step, &cut, err))
        return false;
    op_set_out(step, 0, x->dtype, x->rank, cut.count);
    if (x->layout == LAYOUT_BLOCKED && cut_blocks(&cut, x, step->kernels->width))
        step->want[0] = step->out[0]->layout = LAYOUT_BLOCKED;
    return true;
}

static bool slice_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    struct cut cut;
    if (!slice_cut(step, &cut, err))
        return false;
    if (x->layout == LAYOUT_BLOCKED && !cut_blocks(&cut, x, step->kernels->width))
        return err_set(err, ERR_INTERNAL, OP_AT "a cut through a block", OP_NODE(step->node));
    int64_t dims[RANK_MAX + 1], strides[RANK_MAX + 1], at = 0;
    int rank = stored_dims(x, step->kernels->width, dims);
    tensor_strides(rank, dims, strides);
    struct walk_view view = {0};
    for (int i = 0; i < rank; i++) {
        if (cut.count[i] == 0)
            return true;
        at += cut.start[i] * strides[i];
        walk_axis(&view, cut.count[i], cut.step[i] * strides[i]);
    }
    size_t size = element_bytes(x);
    walk_copy(env->team, step->out[0]->data, (const char *)x->data + at * (int64_t)size, size, &view);
    return true;
}

const struct op_rule op_slice = {.check = slice_check, .shape = slice_shape, .run = slice_run};

/* --- Expand and Tile -------------------------------------------------------------------------------- */

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
    if (!known_ints(step, 1, RANK_MAX, wanted.dims, &wanted.rank, err))
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
    walk_copy(env->team, out->data, x->data, element_bytes(x), &view);
    return true;
}

const struct op_rule op_expand = {.check = two_check, .shape = expand_shape, .run = expand_run};

/* Opset 1: inputs `tiles` and `axis`, one number each; since 6 a list of repeats. */
static bool tile_check(struct node_ctx *ctx, struct percept_err *err)
{
    return ctx->node->opset < 6 ? op_arity(ctx, 3, 3, 1, err) : op_arity(ctx, 2, 2, 1, err);
}

static bool tile_shape(struct step *step, struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    int64_t repeats[RANK_MAX], dims[RANK_MAX];
    int n;
    if (step->node->opset < 6)
        return err_set(err, ERR_UNSUPPORTED, OP_AT "the form of opset 1; opset 6 or later would work",
                       OP_NODE(step->node));
    if (!known_ints(step, 1, RANK_MAX, repeats, &n, err))
        return false;
    if (n != x->rank)
        return err_set(err, ERR_MODEL, OP_AT "%d repeats for %d axes", OP_NODE(step->node), n, x->rank);
    for (int i = 0; i < n; i++)
        if (repeats[i] < 0 || __builtin_mul_overflow(repeats[i], x->dims[i], &dims[i]))
            return err_set(err, ERR_INVALID, OP_AT "axis %d cannot be repeated %lld times",
                           OP_NODE(step->node), i, (long long)repeats[i]);
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
    walk_copy(env->team, out->data, x->data, element_bytes(x), &view);
    return true;
}

const struct op_rule op_tile = {.check = tile_check, .shape = tile_shape, .run = tile_run};

/* --- DepthToSpace and SpaceToDepth ------------------------------------------------------------------- */

struct depth_priv {
    int64_t block;
    int crd;    /* DepthToSpace: column-row-depth order */
    bool space; /* SpaceToDepth */
};

static bool depth_check(struct node_ctx *ctx, struct percept_err *err)
{
    static const char *const modes[] = {"DCR", "CRD", NULL};
    struct depth_priv *priv = new_priv(ctx, sizeof *priv, err);
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
        fits = !__builtin_mul_overflow(x->dims[2], b, &dims[2]) &&
               !__builtin_mul_overflow(x->dims[3], b, &dims[3]);
    }
    if (!fits) {
        char text[128];
        return err_set(err, ERR_INVALID, OP_AT "shape %s does not divide by blocks of %lld",
                       OP_NODE(step->node), tensor_shape_text(x->rank, x->dims, text, sizeof text),
                       (long long)b);
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
    walk_copy(env->team, out->data, x->data, element_bytes(x), &view);
    return true;
}

const struct op_rule op_depth_to_space = {
    .check = depth_check, .shape = depth_shape, .run = depth_run};
const struct op_rule op_space_to_depth = {
    .check = depth_check, .shape = depth_shape, .run = depth_run, .variant = 1};

/* --- Pad -------------------------------------------------------------------------------------------- */

enum pad_mode { PAD_CONSTANT, PAD_REFLECT, PAD_EDGE, PAD_WRAP };

struct pad_priv {
    int mode;
    bool attributes;
    const int64_t *pads;
    int n;
    float value;
};

struct pads {
    int64_t begin[RANK_MAX], end[RANK_MAX];
};

static bool pad_check(struct node_ctx *ctx, struct percept_err *err)
{
    static const char *const modes[] = {"constant", "reflect", "edge", "wrap", NULL};
    struct pad_priv *priv = new_priv(ctx, sizeof *priv, err);
    if (!priv || !attr_choice(ctx, "mode", PAD_CONSTANT, modes, &priv->mode, err))
        return false;
    priv->attributes = ctx->node->opset < 11;
    if (!priv->attributes)
        return op_arity(ctx, 2, 4, 1, err);
    const char *name = attr_has(ctx, "paddings") ? "paddings" : "pads"; /* opset 1's name */
    return op_arity(ctx, 1, 1, 1, err) && attr_ints(ctx, name, &priv->pads, &priv->n, err) &&
           attr_float(ctx, "value", 0, &priv->value, err);
}

static bool pad_axes(const struct step *step, int64_t *axes, int *n, struct percept_err *err)
{
    *n = step->in[0]->rank;
    for (int i = 0; i < *n; i++)
        axes[i] = i;
    return !has(step, 3) || known_ints(step, 3, RANK_MAX, axes, n, err);
}

static bool take_pads(const struct step *step, struct pads *pads, struct percept_err *err)
{
    const struct pad_priv *priv = step->priv;
    const struct tensor *x = step->in[0];
    int64_t list[2 * RANK_MAX], axes[RANK_MAX];
    const int64_t *from = priv->attributes ? priv->pads : list;
    int n = priv->n, n_axes;
    *pads = (struct pads){{0}, {0}};
    if (!pad_axes(step, axes, &n_axes, err) ||
        (!priv->attributes && !known_ints(step, 1, 2 * RANK_MAX, list, &n, err)))
        return false;
    if (n != 2 * n_axes)
        return err_set(err, ERR_MODEL, OP_AT "%d pads for %d axes; two for each would work",
                       OP_NODE(step->node), n, n_axes);
    for (int i = 0; i < n_axes; i++) {
        int axis;
        if (!op_axis(step, axes[i], x->rank, &axis, err))
            return false;
        pads->begin[axis] = from[i];
        pads->end[axis] = from[i + n_axes];
    }
    return true;
}

static bool pad_shape(struct step *step, struct percept_err *err)
{
    const struct pad_priv *priv = step->priv;
    const struct tensor *x = step->in[0];
    struct pads pads;
    int64_t dims[RANK_MAX], maps = 0;
    if (!take_pads(step, &pads, err))
        return false;
    if (has(step, 2) && (!op_want_dtype(step, 2, x->dtype, err) || tensor_elements(step->in[2]) != 1))
        return err_set(err, ERR_MODEL, OP_AT "the value is not one element of the input's type",
                       OP_NODE(step->node));
    for (int i = 0; i < x->rank; i++) {
        int64_t dim = x->dims[i];
        bool fits = !__builtin_add_overflow(dim, pads.begin[i], &dim) &&
                    !__builtin_add_overflow(dim, pads.end[i], &dim) && dim >= 0 && dim < INT32_MAX;
        if (fits && priv->mode != PAD_CONSTANT && dim > 0)
            fits = x->dims[i] > 0;
        if (!fits)
            return err_set(err, ERR_INVALID, OP_AT "axis %d of %lld elements cannot be padded by %lld "
                           "and %lld", OP_NODE(step->node), i, (long long)x->dims[i],
                           (long long)pads.begin[i], (long long)pads.end[i]);
        dims[i] = dim;
        maps += dim;
    }
    op_set_out(step, 0, x->dtype, x->rank, dims);
    step->scratch_bytes = (size_t)maps * sizeof(int64_t);
    return true;
}

static int64_t wrapped(int64_t at, int64_t period)
{
    int64_t rest = at % period;
    return rest < 0 ? rest + period : rest;
}

/* Which input element stands at `at` of an axis (which may lie outside); -1: the constant. */
static int64_t pad_source(int mode, int64_t at, int64_t dim)
{
    if (at >= 0 && at < dim)
        return at;
    if (mode == PAD_CONSTANT)
        return -1;
    if (mode == PAD_EDGE)
        return at < 0 ? 0 : dim - 1;
    if (mode == PAD_WRAP)
        return wrapped(at, dim);
    if (dim == 1)
        return 0;
    int64_t bounced = wrapped(at, 2 * (dim - 1));
    return bounced < dim ? bounced : 2 * (dim - 1) - bounced;
}

struct padding {
    const struct tensor *x, *out;
    const int64_t *maps[RANK_MAX]; /* input index of each output index, per axis */
    int64_t strides[RANK_MAX];
    char value[16];
    size_t size;
    int64_t inside_from, inside_to; /* of the last axis: copied as they stand */
    int64_t begin;
};

static void pad_row(const struct padding *p, char *y, const char *x)
{
    int last = p->out->rank - 1;
    const int64_t *map = p->maps[last];
    int64_t n = p->out->dims[last], size = (int64_t)p->size;
    for (int64_t j = 0; j < n; j++) {
        if (j == p->inside_from && p->inside_to > j) {
            memcpy(y + j * size, x + map[j] * size, (size_t)((p->inside_to - j) * size));
            j = p->inside_to - 1;
        } else {
            memcpy(y + j * size, map[j] < 0 ? p->value : x + map[j] * size, p->size);
        }
    }
}

static void pad_rows(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct padding *p = arg;
    int last = p->out->rank - 1;
    int64_t row_bytes = p->out->dims[last] * (int64_t)p->size;
    for (int64_t row = from; row < to; row++) {
        int64_t rest = row, at = 0;
        bool outside = false;
        for (int axis = last - 1; axis >= 0; axis--) {
            int64_t index = p->maps[axis][rest % p->out->dims[axis]];
            rest /= p->out->dims[axis];
            outside = outside || index < 0;
            at += index * p->strides[axis];
        }
        char *y = (char *)p->out->data + row * row_bytes;
        if (outside)
            walk_fill(y, p->value, p->size, p->out->dims[last]);
        else
            pad_row(p, y, (const char *)p->x->data + at * (int64_t)p->size);
    }
}

static void pad_value(const struct step *step, struct padding *p)
{
    const struct pad_priv *priv = step->priv;
    double wide = (double)priv->value;
    if (has(step, 2))
        memcpy(p->value, step->in[2]->data, p->size);
    else if (p->x->dtype == PERCEPT_DOUBLE)
        memcpy(p->value, &wide, sizeof wide);
    else if (p->x->dtype == PERCEPT_FLOAT)
        memcpy(p->value, &priv->value, sizeof priv->value);
    else if (p->x->dtype == PERCEPT_FLOAT16)
        memcpy(p->value, &(uint16_t){tensor_float_to_half(priv->value)}, 2);
}

static bool pad_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct pad_priv *priv = step->priv;
    struct padding p = {.x = step->in[0], .out = step->out[0], .size = element_bytes(step->in[0])};
    struct pads pads;
    if (!take_pads(step, &pads, err))
        return false;
    if (p.out->rank == 0) {
        memcpy(p.out->data, p.x->data, p.size);
        return true;
    }
    int64_t n = tensor_elements(p.out);
    if (n == 0)
        return true;
    int64_t *map = step->scratch;
    for (int i = 0; i < p.out->rank; i++) {
        p.maps[i] = map;
        for (int64_t k = 0; k < p.out->dims[i]; k++)
            *map++ = pad_source(priv->mode, k - pads.begin[i], p.x->dims[i]);
    }
    int last = p.out->rank - 1;
    tensor_strides(p.x->rank, p.x->dims, p.strides);
    p.inside_from = clamp(pads.begin[last], 0, p.out->dims[last]);
    p.inside_to = clamp(pads.begin[last] + p.x->dims[last], p.inside_from, p.out->dims[last]);
    pad_value(step, &p);
    int64_t row = p.out->dims[last];
    team_split(env->team, n / row, 1 + WALK_GRAIN / row, pad_rows, &p);
    return true;
}

const struct op_rule op_pad = {.check = pad_check, .shape = pad_shape, .run = pad_run};

/* --- Trilu ------------------------------------------------------------------------------------------ */

struct trilu_priv {
    bool upper;
};

static bool trilu_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct trilu_priv *priv = new_priv(ctx, sizeof *priv, err);
    return priv && op_arity(ctx, 1, 2, 1, err) && attr_bool(ctx, "upper", true, &priv->upper, err);
}

static bool trilu_shape(struct step *step, struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    if (x->rank < 2)
        return err_set(err, ERR_INVALID, OP_AT "the input has rank %d; at least 2 would work",
                       OP_NODE(step->node), x->rank);
    if (has(step, 1) && (!op_want_dtype(step, 1, PERCEPT_INT64, err) || tensor_elements(step->in[1]) != 1))
        return err_set(err, ERR_MODEL, OP_AT "k is not one int64", OP_NODE(step->node));
    op_set_out(step, 0, x->dtype, x->rank, x->dims);
    return true;
}

static bool trilu_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)env;
    (void)err;
    const struct trilu_priv *priv = step->priv;
    const struct tensor *x = step->in[0];
    int64_t rows = x->dims[x->rank - 2], columns = x->dims[x->rank - 1];
    int64_t k = has(step, 1) ? *(const int64_t *)step->in[1]->data : 0;
    k = clamp(k, -rows, columns);
    int64_t size = (int64_t)element_bytes(x), row_bytes = columns * size;
    for (int64_t i = 0, n = tensor_span(x, 0, x->rank - 1); row_bytes && i < n; i++) {
        char *y = (char *)step->out[0]->data + i * row_bytes;
        int64_t row = i % rows;
        /* upper keeps columns from row + k on, lower those up to it */
        int64_t cut = clamp(row + k + (priv->upper ? 0 : 1), 0, columns) * size;
        memcpy(y, (const char *)x->data + i * row_bytes, (size_t)row_bytes);
        if (priv->upper)
            memset(y, 0, (size_t)cut);
        else
            memset(y + cut, 0, (size_t)(row_bytes - cut));
    }
    return true;
}

const struct op_rule op_trilu = {.check = trilu_check, .shape = trilu_shape, .run = trilu_run};

/* --- ReverseSequence -------------------------------------------------------------------------------- */

struct reverse_priv {
    int64_t batch_axis, time_axis;
};

static bool reverse_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct reverse_priv *priv = new_priv(ctx, sizeof *priv, err);
    if (!priv || !op_arity(ctx, 2, 2, 1, err) ||
        !attr_int_in(ctx, "batch_axis", 1, 0, 1, &priv->batch_axis, err) ||
        !attr_int_in(ctx, "time_axis", 0, 0, 1, &priv->time_axis, err))
        return false;
    if (priv->batch_axis == priv->time_axis)
        return err_set(err, ERR_MODEL, OP_AT "batch_axis and time_axis are both %lld",
                       OP_NODE(ctx->node), (long long)priv->time_axis);
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
    (void)env;
    const struct reverse_priv *priv = step->priv;
    const struct tensor *x = step->in[0];
    const int64_t *lengths = step->in[1]->data;
    int64_t times = x->dims[priv->time_axis], items = x->dims[priv->batch_axis];
    int64_t n_bytes = tensor_span(x, 2, x->rank) * (int64_t)element_bytes(x);
    int64_t time_step = priv->time_axis == 0 ? items * n_bytes : n_bytes;
    int64_t item_step = priv->time_axis == 0 ? n_bytes : times * n_bytes;
    for (int64_t b = 0; b < items; b++) {
        if (lengths[b] < 0 || lengths[b] > times)
            return err_set(err, ERR_DATA, OP_AT "length %lld of item %lld is outside [0, %lld]",
                           OP_NODE(step->node), (long long)lengths[b], (long long)b, (long long)times);
        for (int64_t t = 0; n_bytes && t < times; t++) {
            int64_t from = t < lengths[b] ? lengths[b] - 1 - t : t;
            memcpy((char *)step->out[0]->data + b * item_step + t * time_step,
                   (const char *)x->data + b * item_step + from * time_step, (size_t)n_bytes);
        }
    }
    return true;
}

const struct op_rule op_reverse_sequence = {
    .check = reverse_check, .shape = reverse_shape, .run = reverse_run};
