/*
 * gather.c - moving elements to and from places that other tensors name: Gather, GatherElements,
 * GatherND, ScatterElements (and Scatter, its old name), ScatterND.
 *
 * Indices are int32 or int64 and are the one thing judged when a step runs: one outside its axis ends
 * the run with ERR_DATA and a sentence. Negative ones count from the end. Blocks of elements are moved by
 * memcpy, whatever their type; Scatter's reductions go through binary_combine.
 *
 * Scattering runs on one thread: where indices repeat, the last one wins, and reductions are added in
 * order, so the bits are the same every time.
 */
#include <string.h>

#include "op/attr.h"
#include "op/batch_axis.h"
#include "op/binary.h"
#include "op/types.h"
#include "op/walk.h"

#define MISS_UNITS 4 /* an element from anywhere, in op_spend's units */

enum reduction { REDUCTION_NONE, REDUCTION_ADD, REDUCTION_MUL, REDUCTION_MIN, REDUCTION_MAX };

struct gather_priv {
    int64_t axis, batch_dims;
    int reduction;
};

static bool make_priv(struct node_ctx *ctx, struct gather_priv **priv, struct percept_err *err)
{
    *priv = op_priv(ctx, sizeof **priv, err);
    return *priv != NULL;
}

static bool gather_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct gather_priv *priv;
    return make_priv(ctx, &priv, err) && op_arity(ctx, 2, 2, 1, err) && attr_int(ctx, "axis", 0, &priv->axis, err) &&
           attr_int_in(ctx, "batch_dims", 0, 0, RANK_MAX, &priv->batch_dims, err);
}

static bool scatter_check(struct node_ctx *ctx, struct percept_err *err)
{
    static const char *const choices[] = {"none", "add", "mul", "min", "max", NULL};
    struct gather_priv *priv;
    return make_priv(ctx, &priv, err) && op_arity(ctx, 3, 3, 1, err) && attr_int(ctx, "axis", 0, &priv->axis, err) &&
           attr_choice(ctx, "reduction", REDUCTION_NONE, choices, &priv->reduction, err);
}

static bool want_indices(const struct step *step, struct percept_err *err)
{
    enum percept_dtype dtype = step->in[1]->dtype;
    if (dtype == PERCEPT_INT64 || dtype == PERCEPT_INT32)
        return true;
    return err_set(err, ERR_MODEL, OP_AT "the indices are %s; int32 or int64 would work", OP_NODE(step->node),
                   tensor_dtype_name(dtype));
}

/* Index i in [0, dim), or -1 with a sentence. */
static int64_t index_at(const struct step *step, int64_t i, int64_t dim, int axis, struct percept_err *err)
{
    const struct tensor *t = step->in[1];
    int64_t index = t->dtype == PERCEPT_INT64 ? ((const int64_t *)t->data)[i] : ((const int32_t *)t->data)[i];
    if (index >= -dim && index < dim)
        return index < 0 ? index + dim : index;
    err_set(err, ERR_DATA, OP_AT "index %lld is outside [%lld, %lld] of axis %d", OP_NODE(step->node), (long long)index,
            -(long long)dim, (long long)dim - 1, axis);
    return -1;
}

static size_t element_bytes(const struct step *step)
{
    return tensor_dtype_bytes(step->in[0]->dtype);
}

/* --- Gather ------------------------------------------------------------------------------------------------------- */

static bool gather_shape(struct step *step, struct percept_err *err)
{
    const struct gather_priv *priv = step->priv;
    const struct tensor *x = step->in[0], *indices = step->in[1];
    int axis, rank = 0;
    int64_t dims[RANK_MAX], n;
    if (!want_indices(step, err) || !op_axis(step, priv->axis, x->rank, &axis, err))
        return false;
    if (x->rank - 1 + indices->rank > RANK_MAX)
        return err_set(err, ERR_UNSUPPORTED, OP_AT "the result has %d axes; up to %d would work", OP_NODE(step->node),
                       x->rank - 1 + indices->rank, RANK_MAX);
    for (int i = 0; i < axis; i++)
        dims[rank++] = x->dims[i];
    for (int i = 0; i < indices->rank; i++)
        dims[rank++] = indices->dims[i];
    for (int i = axis + 1; i < x->rank; i++)
        dims[rank++] = x->dims[i];
    if (!tensor_count(rank, dims, &n))
        return err_set(err, ERR_INVALID, OP_AT "the result has too many elements", OP_NODE(step->node));
    op_set_out(step, 0, x->dtype, rank, dims);
    return true;
}

static bool gather_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct gather_priv *priv = step->priv;
    const struct tensor *x = step->in[0];
    int axis;
    if (!op_axis(step, priv->axis, x->rank, &axis, err))
        return false;
    int64_t outer = tensor_span(x, 0, axis), n = tensor_elements(step->in[1]), dim = x->dims[axis];
    int64_t size = tensor_span(x, axis + 1, x->rank) * (int64_t)element_bytes(step);
    char *y = step->out[0]->data;
    if (outer == 0 || size == 0)
        return true;
    for (int64_t i = 0; i < n; i++) {
        int64_t index = index_at(step, i, dim, axis, err);
        if (index < 0)
            return false;
        for (op_blocks(env, outer, from, to))
            for (int64_t o = from; o < to; o++)
                op_copy(env, y + (o * n + i) * size, (const char *)x->data + (o * dim + index) * size, (size_t)size);
        if (watch_over(env->watch))
            return true;
    }
    return true;
}

/* The same places of each item, or places of a table that each item names. */
static void gather_batch(struct batch_view *view)
{
    const struct gather_priv *priv = view->many->priv;
    const struct batch_place x = view->in[0], indices = view->in[1];
    int axis;
    if (!op_axis(view->many, priv->axis, view->many->in[0]->rank, &axis, NULL))
        return;
    if (x.word == BATCH_SAME && indices.word == BATCH_INDEPENDENT)
        batch_axis_all(view, batch_axis_at(axis + indices.axis, indices.before));
    else if (x.word != BATCH_INDEPENDENT || indices.word != BATCH_SAME)
        batch_axis_mixes(view, "looks up places of the batch that depend on it");
    else if (x.axis == axis)
        batch_axis_mixes(view, "takes some of the batch");
    else
        batch_axis_all(view, batch_axis_at(x.axis < axis ? x.axis : x.axis - 1 + view->many->in[1]->rank, x.before));
}

const struct op_rule op_gather = {
    .check = gather_check, .shape = gather_shape, .run = gather_run, .batch = gather_batch};

/* --- GatherElements and ScatterElements --------------------------------------------------------------------------- */

static bool judge_elements(const struct step *step, struct percept_err *err)
{
    const struct gather_priv *priv = step->priv;
    const struct tensor *x = step->in[0], *indices = step->in[1];
    int axis;
    if (!want_indices(step, err) || !op_axis(step, priv->axis, x->rank, &axis, err))
        return false;
    bool fits = indices->rank == x->rank;
    for (int i = 0; fits && i < x->rank; i++)
        fits = i == axis || indices->dims[i] <= x->dims[i];
    if (fits)
        return true;
    char a[128], b[128];
    return err_set(err, ERR_INVALID, OP_AT "indices of shape %s do not lie within %s", OP_NODE(step->node),
                   tensor_shape_text(indices->rank, indices->dims, a, sizeof a),
                   tensor_shape_text(x->rank, x->dims, b, sizeof b));
}

static bool gather_elements_shape(struct step *step, struct percept_err *err)
{
    if (!judge_elements(step, err))
        return false;
    op_set_out(step, 0, step->in[0]->dtype, step->in[1]->rank, step->in[1]->dims);
    return true;
}

/* Walks over the indices; the element of a tensor shaped as `x` that index i means. */
struct places {
    const struct step *step;
    int axis, rank;
    int64_t dims[RANK_MAX], strides[RANK_MAX], index[RANK_MAX];
    int64_t at; /* without the axis' own part */
};

static bool places_begin(struct places *p, const struct step *step, struct percept_err *err)
{
    const struct gather_priv *priv = step->priv;
    const struct tensor *x = step->in[0], *indices = step->in[1];
    *p = (struct places){.step = step, .rank = x->rank};
    if (!op_axis(step, priv->axis, x->rank, &p->axis, err))
        return false;
    tensor_strides(x->rank, x->dims, p->strides);
    for (int i = 0; i < x->rank; i++)
        p->dims[i] = indices->dims[i];
    return true;
}

static void places_next(struct places *p)
{
    for (int i = p->rank - 1; i >= 0; i--) {
        int64_t stride = i == p->axis ? 0 : p->strides[i];
        p->at += stride;
        if (++p->index[i] < p->dims[i])
            return;
        p->at -= stride * p->dims[i];
        p->index[i] = 0;
    }
}

static bool gather_elements_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    struct places p;
    if (!places_begin(&p, step, err))
        return false;
    size_t size = element_bytes(step);
    char *y = step->out[0]->data;
    for (int64_t i = 0, n = tensor_elements(step->in[1]); i < n; i++, places_next(&p)) {
        if (i % OP_BLOCK == 0 && !op_spend(env, MISS_UNITS * OP_BLOCK))
            return true;
        int64_t index = index_at(step, i, x->dims[p.axis], p.axis, err);
        if (index < 0)
            return false;
        const char *from = (const char *)x->data + (p.at + index * p.strides[p.axis]) * (int64_t)size;
        memcpy(y + i * (int64_t)size, from, size);
    }
    return true;
}

/* Items lie alike in input 0 and in the indices, as many rows of each, and not along the axis that is indexed. */
static bool rows_meet(struct batch_view *view)
{
    const struct gather_priv *priv = view->many->priv;
    const struct tensor *x = view->many->in[0], *indices = view->many->in[1];
    const struct batch_place place = view->in[0];
    int axis;
    return op_axis(view->many, priv->axis, x->rank, &axis, NULL) && place.word == BATCH_INDEPENDENT &&
           batch_axis_same_place(place, view->in[1]) && place.axis != axis &&
           x->dims[place.axis] == indices->dims[place.axis];
}

static void gather_elements_batch(struct batch_view *view)
{
    const struct gather_priv *priv = view->many->priv;
    int axis;
    if (!op_axis(view->many, priv->axis, view->many->in[0]->rank, &axis, NULL))
        return;
    const bool table =
        view->in[0].word == BATCH_SAME && view->in[1].word == BATCH_INDEPENDENT && view->in[1].axis == axis;
    if (table || rows_meet(view))
        batch_axis_all(view, view->in[1]);
    else
        batch_axis_mixes(view, "looks up places along the batch");
}

const struct op_rule op_gather_elements = {
    .check = gather_check, .shape = gather_elements_shape, .run = gather_elements_run, .batch = gather_elements_batch};

static bool judge_reduction(const struct step *step, struct percept_err *err)
{
    const struct gather_priv *priv = step->priv;
    enum percept_dtype dtype = step->in[0]->dtype;
    if (!op_want_dtype(step, 2, dtype, err))
        return false;
    if (priv->reduction == REDUCTION_NONE || types_number(dtype))
        return true;
    return err_set(err, ERR_UNSUPPORTED,
                   OP_AT "a reduction of %s; float, double or an integer type "
                         "would work",
                   OP_NODE(step->node), tensor_dtype_name(dtype));
}

static bool scatter_elements_shape(struct step *step, struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    if (!judge_elements(step, err) || !judge_reduction(step, err))
        return false;
    if (!tensor_same_dims(step->in[1], step->in[2]))
        return err_set(err, ERR_INVALID, OP_AT "indices and updates differ in shape", OP_NODE(step->node));
    op_set_out(step, 0, x->dtype, x->rank, x->dims);
    step->inplace = x->data ? 0 : 1;
    return true;
}

/* n elements at y become, or are combined with, those at x. */
static void put(const struct step *step, char *y, const char *x, int64_t n)
{
    static const enum binary ops[] = {
        [REDUCTION_ADD] = BINARY_ADD,
        [REDUCTION_MUL] = BINARY_MUL,
        [REDUCTION_MIN] = BINARY_MIN,
        [REDUCTION_MAX] = BINARY_MAX,
    };
    const struct gather_priv *priv = step->priv;
    if (priv->reduction == REDUCTION_NONE)
        memcpy(y, x, (size_t)n * element_bytes(step));
    else
        binary_combine(step->kernels, ops[priv->reduction], step->in[0]->dtype, y, y, x, n);
}

static void start_from_data(const struct step *step, struct run_env *env)
{
    const struct tensor *x = step->in[0];
    size_t n_bytes = (size_t)tensor_elements(x) * element_bytes(step);
    if (step->out[0]->data != x->data && n_bytes)
        op_copy(env, step->out[0]->data, x->data, n_bytes);
}

static bool scatter_elements_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    struct places p;
    if (!places_begin(&p, step, err))
        return false;
    int64_t size = (int64_t)element_bytes(step);
    start_from_data(step, env);
    for (int64_t i = 0, n = tensor_elements(step->in[1]); i < n; i++, places_next(&p)) {
        if (i % OP_BLOCK == 0 && !op_spend(env, MISS_UNITS * OP_BLOCK))
            return true;
        int64_t index = index_at(step, i, x->dims[p.axis], p.axis, err);
        if (index < 0)
            return false;
        put(step, (char *)step->out[0]->data + (p.at + index * p.strides[p.axis]) * size,
            (const char *)step->in[2]->data + i * size, 1);
    }
    return true;
}

static void scatter_elements_batch(struct batch_view *view)
{
    if (rows_meet(view) && batch_axis_same_place(view->in[0], view->in[2]))
        batch_axis_all(view, view->in[0]);
    else
        batch_axis_mixes(view, "writes to places along the batch");
}

const struct op_rule op_scatter_elements = {.check = scatter_check,
                                            .shape = scatter_elements_shape,
                                            .run = scatter_elements_run,
                                            .batch = scatter_elements_batch};

/* --- GatherND and ScatterND --------------------------------------------------------------------------------------- */

/* Axes that one index tuple names: the indices' last dimension. */
static bool tuple_axes(const struct step *step, int skip, int *n, struct percept_err *err)
{
    const struct tensor *x = step->in[0], *indices = step->in[1];
    if (!want_indices(step, err))
        return false;
    int64_t last = indices->rank ? indices->dims[indices->rank - 1] : 0;
    if (indices->rank < 1 || last > x->rank - skip || skip >= indices->rank + (skip == 0) || skip > x->rank)
        return err_set(err, ERR_INVALID, OP_AT "index tuples of %lld do not fit an input of rank %d",
                       OP_NODE(step->node), (long long)last, x->rank);
    *n = (int)last;
    return true;
}

/* Offset in elements that tuple t names, of a tensor whose first `skip` axes are left out; -1: error. */
static int64_t tuple_offset(const struct step *step, int64_t t, int skip, int n, const int64_t *strides,
                            struct percept_err *err)
{
    int64_t at = 0;
    for (int k = 0; k < n; k++) {
        int64_t index = index_at(step, t * n + k, step->in[0]->dims[skip + k], skip + k, err);
        if (index < 0)
            return -1;
        at += index * strides[skip + k];
    }
    return at;
}

static bool gather_nd_shape(struct step *step, struct percept_err *err)
{
    const struct gather_priv *priv = step->priv;
    const struct tensor *x = step->in[0], *indices = step->in[1];
    int skip = (int)priv->batch_dims, n, rank = 0;
    int64_t dims[RANK_MAX], count;
    if (!tuple_axes(step, skip, &n, err))
        return false;
    for (int i = 0; i < skip; i++)
        if (indices->dims[i] != x->dims[i])
            return err_set(err, ERR_INVALID, OP_AT "batch axis %d differs between input and indices",
                           OP_NODE(step->node), i);
    if (indices->rank - 1 + x->rank - skip - n > RANK_MAX)
        return err_set(err, ERR_UNSUPPORTED, OP_AT "the result has %d axes; up to %d would work", OP_NODE(step->node),
                       indices->rank - 1 + x->rank - skip - n, RANK_MAX);
    for (int i = 0; i < indices->rank - 1; i++)
        dims[rank++] = indices->dims[i];
    for (int i = skip + n; i < x->rank; i++)
        dims[rank++] = x->dims[i];
    if (!tensor_count(rank, dims, &count))
        return err_set(err, ERR_INVALID, OP_AT "the result has too many elements", OP_NODE(step->node));
    op_set_out(step, 0, x->dtype, rank, dims);
    return true;
}

static bool gather_nd_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct gather_priv *priv = step->priv;
    const struct tensor *x = step->in[0], *indices = step->in[1];
    int skip = (int)priv->batch_dims, n;
    if (!tuple_axes(step, skip, &n, err))
        return false;
    int64_t strides[RANK_MAX];
    tensor_strides(x->rank, x->dims, strides);
    int64_t size = (int64_t)element_bytes(step);
    int64_t slice = tensor_span(x, skip + n, x->rank) * size;
    int64_t batch = tensor_span(x, skip, x->rank) * size;
    int64_t tuples = tensor_span(indices, 0, indices->rank - 1);
    int64_t of_batch = tensor_span(indices, skip, indices->rank - 1);
    if (tensor_elements(step->out[0]) == 0)
        return true;
    for (int64_t t = 0; t < tuples; t++) {
        int64_t at = tuple_offset(step, t, skip, n, strides, err);
        if (at < 0)
            return false;
        if (!op_spend(env, MISS_UNITS + slice / 64))
            return true;
        op_copy(env, (char *)step->out[0]->data + t * slice, (const char *)x->data + t / of_batch * batch + at * size,
                (size_t)slice);
    }
    return true;
}

static void gather_nd_batch(struct batch_view *view)
{
    const struct gather_priv *priv = view->many->priv;
    const struct batch_place x = view->in[0], indices = view->in[1];
    const int tuples = view->many->in[1]->rank - 1, skip = (int)priv->batch_dims;
    int n;
    if (!tuple_axes(view->many, skip, &n, NULL))
        return;
    if (x.word == BATCH_SAME && indices.word == BATCH_INDEPENDENT && indices.axis < tuples && indices.axis >= skip)
        batch_axis_all(view, indices);
    else if (x.word == BATCH_INDEPENDENT && batch_axis_same_place(x, indices) && x.axis < skip)
        batch_axis_all(view, x);
    else if (x.word == BATCH_INDEPENDENT && indices.word == BATCH_SAME && x.axis >= skip + n)
        batch_axis_all(view, batch_axis_at(tuples + x.axis - skip - n, x.before));
    else
        batch_axis_mixes(view, "looks up places along the batch");
}

const struct op_rule op_gather_nd = {
    .check = gather_check, .shape = gather_nd_shape, .run = gather_nd_run, .batch = gather_nd_batch};

static bool scatter_nd_shape(struct step *step, struct percept_err *err)
{
    const struct tensor *x = step->in[0], *indices = step->in[1], *updates = step->in[2];
    int n;
    if (!tuple_axes(step, 0, &n, err) || !judge_reduction(step, err))
        return false;
    bool fits = updates->rank == indices->rank - 1 + x->rank - n;
    for (int i = 0; fits && i < indices->rank - 1; i++)
        fits = updates->dims[i] == indices->dims[i];
    for (int i = n; fits && i < x->rank; i++)
        fits = updates->dims[indices->rank - 1 + i - n] == x->dims[i];
    if (!fits)
        return err_set(err, ERR_INVALID, OP_AT "the updates' shape is not that of what the indices name",
                       OP_NODE(step->node));
    op_set_out(step, 0, x->dtype, x->rank, x->dims);
    step->inplace = x->data ? 0 : 1;
    return true;
}

static bool scatter_nd_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct tensor *x = step->in[0], *indices = step->in[1];
    int n;
    if (!tuple_axes(step, 0, &n, err))
        return false;
    int64_t strides[RANK_MAX];
    tensor_strides(x->rank, x->dims, strides);
    int64_t size = (int64_t)element_bytes(step), slice = tensor_span(x, n, x->rank);
    start_from_data(step, env);
    for (int64_t t = 0, tuples = tensor_span(indices, 0, indices->rank - 1); t < tuples; t++) {
        int64_t at = tuple_offset(step, t, 0, n, strides, err);
        if (at < 0)
            return false;
        if (!op_spend(env, MISS_UNITS))
            return true;
        for (op_blocks(env, slice, from, to))
            put(step, (char *)step->out[0]->data + (at + from) * size,
                (const char *)step->in[2]->data + (t * slice + from) * size, to - from);
    }
    return true;
}

/* The indices name axes before the one that holds the batch. */
static void scatter_nd_batch(struct batch_view *view)
{
    const struct batch_place x = view->in[0];
    int n;
    if (!tuple_axes(view->many, 0, &n, NULL))
        return;
    const struct batch_place updates = batch_axis_at(x.axis - n + view->many->in[1]->rank - 1, x.before);
    if (x.word == BATCH_INDEPENDENT && x.axis >= n && view->in[1].word == BATCH_SAME &&
        batch_axis_same_place(view->in[2], updates))
        batch_axis_all(view, x);
    else
        batch_axis_mixes(view, "writes to places along the batch");
}

const struct op_rule op_scatter_nd = {
    .check = scatter_check, .shape = scatter_nd_shape, .run = scatter_nd_run, .batch = scatter_nd_batch};
