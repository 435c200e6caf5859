/*
 * slice.c - cutting and joining along axes: Concat, Split, Slice; Crop of early exporters, a Slice of pictures.
 *
 * Concat and Split are memcpy of rows, a row being what lies together from the axis on; Slice is a walk_view
 * and one walk_copy. Elements are 1, 2, 4, 8 or 16 bytes (strings: their views move).
 *
 * Along channels all three keep pictures blocked where every cut lies between two blocks: seen as
 * [N][blocks][spatial ...][width] the same code does both layouts. A cut through a block would shift every
 * lane after it, which is no cheaper than going through plain order.
 */
#include <string.h>

#include "op/attr.h"
#include "op/batch_axis.h"
#include "op/walk.h"

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

/* --- Concat ------------------------------------------------------------------------------------------------------- */

struct axis_priv {
    int64_t axis;
};

static bool concat_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct axis_priv *priv = op_priv(ctx, sizeof *priv, err);
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
            return err_set(err, ERR_INVALID, OP_AT "shapes %s and %s do not join on axis %d", OP_NODE(step->node),
                           tensor_shape_text(first->rank, first->dims, a, sizeof a),
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

#define PART_BYTES 1048576 /* of a long row, copied at a time */

struct rows {
    char *y;
    const char *x;
    int64_t y_step, x_step; /* bytes from one row to the next */
    int64_t n_bytes;        /* of a row */
    int64_t parts;          /* that a row is copied in */
};

/* Rows of an element or two: each is one instruction, where a call would cost more than it copies. */
static bool copy_words(const struct rows *rows, int64_t from, int64_t to)
{
    switch (rows->n_bytes) {
#define CASE(BYTES)                                                                                                    \
    case BYTES:                                                                                                        \
        for (int64_t i = from; i < to; i++)                                                                            \
            memcpy(rows->y + i * rows->y_step, rows->x + i * rows->x_step, BYTES);                                     \
        return true;
        CASE(1)
        CASE(2)
        CASE(4)
        CASE(8)
        CASE(16)
#undef CASE
    default:
        return false;
    }
}

static void copy_rows(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct rows *rows = arg;
    if (copy_words(rows, from, to))
        return;
    int64_t row = from / rows->parts, at = from % rows->parts * PART_BYTES;
    for (int64_t i = from; i < to; i++) {
        int64_t n = rows->n_bytes - at < PART_BYTES ? rows->n_bytes - at : PART_BYTES;
        memcpy(rows->y + row * rows->y_step + at, rows->x + row * rows->x_step + at, (size_t)n);
        at += n;
        if (at == rows->n_bytes) {
            at = 0;
            row++;
        }
    }
}

static void split_rows(struct percept_team *team, struct rows *rows, int64_t n)
{
    rows->parts = (rows->n_bytes + PART_BYTES - 1) / PART_BYTES;
    if (rows->parts)
        team_split(team, n * rows->parts, 1 + 4 * WALK_GRAIN / rows->n_bytes, copy_rows, rows);
}

static bool concat_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct axis_priv *priv = step->priv;
    const struct tensor *out = step->out[0];
    int axis, width = step->kernels->width;
    if (!op_axis(step, priv->axis, out->rank, &axis, err))
        return false;
    int64_t dims[RANK_MAX + 1], size = (int64_t)tensor_dtype_bytes(out->dtype), at = 0;
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

static void concat_batch(struct batch_view *view)
{
    const struct axis_priv *priv = view->many->priv;
    batch_axis_joined(view, 0, 1, priv->axis);
}

const struct op_rule op_concat = {
    .check = concat_check, .shape = concat_shape, .run = concat_run, .batch = concat_batch};

/* --- Split -------------------------------------------------------------------------------------------------------- */

struct split_priv {
    int64_t axis;
    const int64_t *lengths; /* attribute form */
    int n;
};

static bool split_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct split_priv *priv = op_priv(ctx, sizeof *priv, err);
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
    if (!op_in(step, 1))
        return true;
    const struct tensor *t = step->in[1];
    if (!op_want_dtype(step, 1, PERCEPT_INT64, err))
        return false;
    if (tensor_elements(t) != step->n_out)
        return err_set(err, ERR_MODEL, OP_AT "input 1 has %lld lengths, the node %d outputs", OP_NODE(step->node),
                       (long long)tensor_elements(t), step->n_out);
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
    int64_t dims[RANK_MAX + 1], size = (int64_t)tensor_dtype_bytes(x->dtype), at = 0;
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

static void split_batch(struct batch_view *view)
{
    const struct split_priv *priv = view->many->priv;
    int axis;
    if (op_axis(view->many, priv->axis, view->many->in[0]->rank, &axis, NULL))
        batch_axis_but(view, axis);
}

const struct op_rule op_split = {.check = split_check, .shape = split_shape, .run = split_run, .batch = split_batch};

/* --- Slice -------------------------------------------------------------------------------------------------------- */

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
    struct slice_priv *priv = op_priv(ctx, sizeof *priv, err);
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
        return err_set(err, ERR_MODEL,
                       OP_AT "attributes 'starts', 'ends' and 'axes' have %d, %d and %d "
                             "values",
                       OP_NODE(ctx->node), priv->n, priv->n_ends, priv->n_axes);
    return true;
}

/* starts, ends, axes and steps, from wherever they come. */
static bool slice_lists(const struct step *step, int64_t lists[4][RANK_MAX], int *n, struct percept_err *err)
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
        if (step->in[i] && !op_ints(step, i, RANK_MAX, lists[i - 1], &counts[i - 1], err))
            return false;
    bool fit = counts[0] == counts[1] && (!op_in(step, 3) || counts[2] == counts[0]) &&
               (!op_in(step, 4) || counts[3] == counts[0]);
    if (!fit)
        return err_set(err, ERR_MODEL, OP_AT "starts, ends, axes and steps differ in length", OP_NODE(step->node));
    *n = counts[0];
    return true;
}

/* The specification's rule for one axis of `dim` elements. It is numpy's but for a start before the first
 * element when going backwards: that is the first element, where numpy takes nothing. */
static void cut_axis(struct cut *cut, int axis, int64_t dim, int64_t start, int64_t end, int64_t by)
{
    start = start < 0 ? (start < -dim ? -1 : start + dim) : start;
    end = end < 0 ? (end < -dim ? -1 : end + dim) : end;
    start = by > 0 ? op_clamp(start, 0, dim) : dim ? op_clamp(start, 0, dim - 1) : -1;
    end = by > 0 ? op_clamp(end, 0, dim) : op_clamp(end, -1, dim - 1);
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
    size_t size = tensor_dtype_bytes(x->dtype);
    walk_copy(env->team, step->out[0]->data, (const char *)x->data + at * (int64_t)size, size, &view);
    return true;
}

static bool takes_all(const struct cut *cut, int axis, const struct tensor *x)
{
    return cut->start[axis] == 0 && cut->step[axis] == 1 && cut->count[axis] == x->dims[axis];
}

/* The same is taken of all axes but the one that holds the batch, of which all is. */
static void slice_batch(struct batch_view *view)
{
    const struct batch_place place = view->in[0];
    const struct tensor *x = view->many->in[0];
    struct cut one, many;
    for (int i = 1; i < view->many->n_in; i++)
        if (view->in[i].word == BATCH_INDEPENDENT)
            return;
    if (place.word == BATCH_SHAPED || !slice_cut(view->one, &one, NULL) || !slice_cut(view->many, &many, NULL))
        return;
    for (int d = 0; d < x->rank; d++) {
        const bool batch = place.word == BATCH_INDEPENDENT && d == place.axis;
        const bool whole = takes_all(&one, d, view->one->in[0]) && takes_all(&many, d, x);
        const bool equal =
            many.start[d] == one.start[d] && many.step[d] == one.step[d] && many.count[d] == one.count[d];
        if (batch ? !whole : !equal) {
            batch_axis_mixes(view, batch ? "takes some of the batch" : "takes what depends on the batch's size");
            return;
        }
    }
    batch_axis_all(view, place);
}

const struct op_rule op_slice = {.check = slice_check, .shape = slice_shape, .run = slice_run, .batch = slice_batch};

/* --- Crop --------------------------------------------------------------------------------------------------------- */

struct crop_priv {
    struct slice_priv slice;              /* first: slice_shape and slice_run see nothing else */
    int64_t starts[2], ends[2], least[2]; /* of height and width; what a picture must have at least */
};

static bool crop_check(struct node_ctx *ctx, struct percept_err *err)
{
    static const int64_t axes[] = {2, 3};
    struct crop_priv *priv = op_priv(ctx, sizeof *priv, err);
    const int64_t *border, *scale;
    int n, n_scale;
    if (!priv || !op_arity(ctx, 1, 1, 1, err) || !attr_ints(ctx, "border", &border, &n, err) ||
        !attr_ints(ctx, "scale", &scale, &n_scale, err))
        return false;
    bool good = n == 4 && (n_scale == 0 || n_scale == 2);
    for (int i = 0; good && i < n + n_scale; i++) {
        const int64_t number = i < n ? border[i] : scale[i - n];
        good = number >= 0 && number < (int64_t)1 << 30;
    }
    if (!good)
        return err_set(err, ERR_MODEL,
                       OP_AT "attribute 'border' must be left, top, right, bottom and 'scale', "
                             "if any, height, width, all from 0 to 2^30",
                       OP_NODE(ctx->node));
    for (int i = 0; i < 2; i++) {
        int64_t behind = border[3 - i];
        priv->starts[i] = border[1 - i];
        priv->least[i] = border[1 - i] + (n_scale ? scale[i] : behind);
        priv->ends[i] = n_scale ? priv->least[i] : behind ? -behind : INT64_MAX;
    }
    priv->slice = (struct slice_priv){
        .attributes = true, .starts = priv->starts, .ends = priv->ends, .axes = axes, .n = 2, .n_ends = 2, .n_axes = 2};
    return true;
}

static bool crop_shape(struct step *step, struct percept_err *err)
{
    const struct crop_priv *priv = step->priv;
    const struct tensor *x = step->in[0];
    char text[128];
    if (x->rank == 4 && x->dims[2] >= priv->least[0] && x->dims[3] >= priv->least[1])
        return slice_shape(step, err);
    return err_set(err, ERR_INVALID,
                   OP_AT "a picture of shape %s; rank 4, %lld high and %lld wide at least "
                         "would work",
                   OP_NODE(step->node), tensor_shape_text(x->rank, x->dims, text, sizeof text),
                   (long long)priv->least[0], (long long)priv->least[1]);
}

const struct op_rule op_crop = {.check = crop_check, .shape = crop_shape, .run = slice_run, .batch = slice_batch};
