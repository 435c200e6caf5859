/*
 * choose.c - operators that choose elements: Where, TopK, NonZero, OneHot, Compress.
 *
 * NonZero and Compress find out how many elements they have only when they run (OP_DATA_DIMS): shape
 * gives the most there can be, run sets the real dimension and writes densely for it.
 *
 * TopK keeps the k best in a heap whose root is the worst of them, one pass over a line, and sorts at the
 * end; `sorted` = 0 gets the same order. Of equals the one with the lower index comes first; a NaN
 * counts as greater than any number. It runs on one thread: the heap is in the step's scratch.
 */
#include <string.h>

#include "op/attr.h"
#include "op/batch_axis.h"
#include "op/cast.h"
#include "op/types.h"
#include "op/walk.h"

/* --- Where -------------------------------------------------------------------------------------------------------- */

static bool where_check(struct node_ctx *ctx, struct percept_err *err)
{
    return op_arity(ctx, 3, 3, 1, err);
}

static bool where_shape(struct step *step, struct percept_err *err)
{
    if (!op_want_dtype(step, 0, PERCEPT_BOOL, err) || !op_want_dtype(step, 2, step->in[1]->dtype, err))
        return false;
    struct tensor all = *step->in[0];
    for (int i = 1; i < 3; i++) {
        int rank;
        int64_t dims[RANK_MAX];
        if (!tensor_broadcast(&all, step->in[i], &rank, dims, err))
            return err_prefix(err, OP_AT, OP_NODE(step->node));
        tensor_set_dims(&all, rank, dims);
    }
    op_set_out(step, 0, step->in[1]->dtype, all.rank, all.dims);
    for (int i = 1; i < 3; i++)
        if (!step->in[i]->data && tensor_same_dims(step->in[i], step->out[0]))
            step->inplace = i + 1;
    return true;
}

struct where_job {
    const struct step *step;
    struct walk walk;
    size_t size;
};

struct text16 {
    char bytes[16];
};

static void where_visit(void *arg, int64_t out, const int64_t *at, int64_t n)
{
    const struct where_job *job = arg;
    const uint8_t *condition = (const uint8_t *)job->step->in[0]->data + at[0];
    int64_t step_c = walk_inner(&job->walk, 0), step_a = walk_inner(&job->walk, 1);
    int64_t step_b = walk_inner(&job->walk, 2);
#define ROW(T)                                                                                                         \
    {                                                                                                                  \
        const T *a = (const T *)job->step->in[1]->data + at[1];                                                        \
        const T *b = (const T *)job->step->in[2]->data + at[2];                                                        \
        T *y = (T *)job->step->out[0]->data + out;                                                                     \
        for (int64_t i = 0; i < n; i++)                                                                                \
            y[i] = condition[i * step_c] ? a[i * step_a] : b[i * step_b];                                              \
        break;                                                                                                         \
    }
    switch (job->size) {
    case 1:
        ROW(uint8_t)
    case 2:
        ROW(uint16_t)
    case 4:
        ROW(uint32_t)
    case 8:
        ROW(uint64_t)
    default:
        ROW(struct text16)
    }
#undef ROW
}

static void where_range(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    struct where_job *job = arg;
    walk_range(&job->walk, from, to, where_visit, job);
}

static bool where_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct tensor *out = step->out[0];
    const struct tensor *operands[] = {step->in[0], step->in[1], step->in[2]};
    struct where_job job = {.step = step, .size = tensor_dtype_bytes(out->dtype)};
    walk_make(&job.walk, out->rank, out->dims, 3, operands);
    team_split(env->team, job.walk.elements, WALK_GRAIN, where_range, &job);
    return true;
}

const struct op_rule op_where = {
    .check = where_check, .shape = where_shape, .run = where_run, .batch = batch_axis_elements};

/* --- TopK --------------------------------------------------------------------------------------------------------- */

struct topk_priv {
    int64_t axis, k; /* k: attribute form */
    bool largest, attribute;
};

static bool topk_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct topk_priv *priv = op_priv(ctx, sizeof *priv, err);
    bool sorted;
    if (!priv)
        return false;
    priv->attribute = ctx->node->opset < 10;
    int inputs = priv->attribute ? 1 : 2;
    return op_arity(ctx, inputs, inputs, 2, err) && attr_int(ctx, "axis", -1, &priv->axis, err) &&
           attr_bool(ctx, "largest", true, &priv->largest, err) && attr_bool(ctx, "sorted", true, &sorted, err) &&
           attr_int(ctx, "k", -1, &priv->k, err);
}

static bool topk_count(const struct step *step, int64_t *k, struct percept_err *err)
{
    const struct topk_priv *priv = step->priv;
    *k = priv->k;
    if (priv->attribute)
        return true;
    const struct tensor *t = step->in[1];
    if (!op_want_dtype(step, 1, PERCEPT_INT64, err))
        return false;
    if (tensor_elements(t) != 1)
        return err_set(err, ERR_MODEL, OP_AT "K is not one number", OP_NODE(step->node));
    if (!op_known(step, 1, err))
        return false;
    *k = *(const int64_t *)t->data;
    return true;
}

static bool topk_shape(struct step *step, struct percept_err *err)
{
    const struct topk_priv *priv = step->priv;
    const struct tensor *x = step->in[0];
    int axis;
    int64_t k, dims[RANK_MAX];
    if (!op_axis(step, priv->axis, x->rank, &axis, err) || !topk_count(step, &k, err))
        return false;
    if (!types_number(x->dtype))
        return err_set(err, ERR_UNSUPPORTED,
                       OP_AT "its input is %s; float, double or an integer type "
                             "would work",
                       OP_NODE(step->node), tensor_dtype_name(x->dtype));
    if (k < 0 || k > x->dims[axis])
        return err_set(err, ERR_INVALID, OP_AT "k is %lld, axis %d has %lld elements", OP_NODE(step->node),
                       (long long)k, axis, (long long)x->dims[axis]);
    for (int i = 0; i < x->rank; i++)
        dims[i] = i == axis ? k : x->dims[i];
    op_set_out(step, 0, x->dtype, x->rank, dims);
    if (step->n_out > 1)
        op_set_out(step, 1, PERCEPT_INT64, x->rank, dims);
    step->scratch_bytes = (size_t)k * sizeof(int64_t);
    return true;
}

#define SINK_UNITS 128 /* a sift in op_spend's units, where the heap does not fit the caches */

/* One line of n elements at distance `inner`. heap[0] is the last in order of those kept. */
#define TOP(dtype, T)                                                                                                  \
    static bool before_##T(const T *x, int64_t inner, int64_t i, int64_t j, bool largest)                              \
    {                                                                                                                  \
        T a = x[i * inner], b = x[j * inner];                                                                          \
        if (a == b || (a != a && b != b))                                                                              \
            return i < j;                                                                                              \
        bool greater = a > b || a != a;                                                                                \
        return b != b ? !largest : greater == largest;                                                                 \
    }                                                                                                                  \
    static void sink_##T(const T *x, int64_t inner, bool largest, int64_t *heap, int64_t n, int64_t at)                \
    {                                                                                                                  \
        for (int64_t child = 2 * at + 1; child < n; child = 2 * at + 1) {                                              \
            if (child + 1 < n && before_##T(x, inner, heap[child], heap[child + 1], largest))                          \
                child++;                                                                                               \
            if (!before_##T(x, inner, heap[at], heap[child], largest))                                                 \
                return;                                                                                                \
            int64_t moved = heap[at];                                                                                  \
            heap[at] = heap[child];                                                                                    \
            heap[child] = moved;                                                                                       \
            at = child;                                                                                                \
        }                                                                                                              \
    }                                                                                                                  \
    static void top_##T(const T *x, int64_t n, int64_t inner, bool largest, int64_t k, int64_t *heap, T *y,            \
                        int64_t *indices, struct run_env *env)                                                         \
    {                                                                                                                  \
        for (int64_t i = 0; i < k; i++)                                                                                \
            heap[i] = i;                                                                                               \
        for (int64_t i = k / 2; i-- > 0 && op_spend(env, SINK_UNITS);)                                                 \
            sink_##T(x, inner, largest, heap, k, i);                                                                   \
        for (int64_t i = k; i < n && op_spend(env, 1); i++) {                                                          \
            if (!before_##T(x, inner, i, heap[0], largest))                                                            \
                continue;                                                                                              \
            heap[0] = i;                                                                                               \
            sink_##T(x, inner, largest, heap, k, 0);                                                                   \
            if (!op_spend(env, SINK_UNITS))                                                                            \
                return;                                                                                                \
        }                                                                                                              \
        for (int64_t left = k; left-- > 0 && op_spend(env, SINK_UNITS);) {                                             \
            int64_t last = heap[0];                                                                                    \
            heap[0] = heap[left];                                                                                      \
            sink_##T(x, inner, largest, heap, left, 0);                                                                \
            y[left * inner] = x[last * inner];                                                                         \
            if (indices)                                                                                               \
                indices[left * inner] = last;                                                                          \
        }                                                                                                              \
    }
TYPES_NUMBER(TOP)

static bool topk_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct topk_priv *priv = step->priv;
    const struct tensor *x = step->in[0], *out = step->out[0];
    int axis;
    if (!op_axis(step, priv->axis, x->rank, &axis, err))
        return false;
    int64_t n = x->dims[axis], k = out->dims[axis], inner = tensor_span(x, axis + 1, x->rank);
    if (tensor_elements(out) == 0)
        return true;
    int64_t *indices = step->n_out > 1 ? step->out[1]->data : NULL;
    for (int64_t line = 0, lines = tensor_span(x, 0, axis) * inner; line < lines; line++) {
        if (watch_over(env->watch))
            return true;
        int64_t from = line / inner * n * inner + line % inner;
        int64_t to = line / inner * k * inner + line % inner;
        switch (x->dtype) {
#define CASE(dtype, T)                                                                                                 \
    case dtype:                                                                                                        \
        top_##T((const T *)x->data + from, n, inner, priv->largest, k, step->scratch, (T *)out->data + to,             \
                indices ? indices + to : NULL, env);                                                                   \
        break;
            TYPES_NUMBER(CASE)
#undef CASE
        default:
            break;
        }
    }
    return true;
}

/* How many there are is seen in the output's dims. */
static void topk_batch(struct batch_view *view)
{
    const struct topk_priv *priv = view->many->priv;
    int axis;
    if (view->in[0].word != BATCH_INDEPENDENT || !batch_axis_others_known(view, 1, 1) ||
        !op_axis(view->many, priv->axis, view->many->in[0]->rank, &axis, NULL))
        return;
    if (view->in[0].axis == axis)
        batch_axis_mixes(view, "sorts the batch");
    else
        batch_axis_all(view, view->in[0]);
}

const struct op_rule op_top_k = {
    .check = topk_check, .shape = topk_shape, .run = topk_run, .batch = topk_batch, .flags = OP_EXACT};

/* --- NonZero ------------------------------------------------------------------------------------------------------ */

static bool nonzero_check(struct node_ctx *ctx, struct percept_err *err)
{
    return op_arity(ctx, 1, 1, 1, err);
}

static bool nonzero_shape(struct step *step, struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    if (x->dtype == PERCEPT_STRING)
        return err_set(err, ERR_UNSUPPORTED, OP_AT "its input is string; numbers or bool would work",
                       OP_NODE(step->node));
    const int64_t dims[] = {x->rank, tensor_elements(x)};
    int64_t n;
    if (!tensor_count(2, dims, &n))
        return err_set(err, ERR_INVALID, OP_AT "the input is too large", OP_NODE(step->node));
    op_set_out(step, 0, PERCEPT_INT64, 2, dims);
    step->out[0]->dynamic = true;
    return true;
}

static bool is_zero(const struct tensor *x, int64_t i)
{
    switch (x->dtype) {
    case PERCEPT_FLOAT:
        return ((const float *)x->data)[i] == 0;
    case PERCEPT_DOUBLE:
        return ((const double *)x->data)[i] == 0;
    case PERCEPT_FLOAT16:
    case PERCEPT_BFLOAT16: /* without the sign */
        return (((const uint16_t *)x->data)[i] & 0x7fff) == 0;
    default: {
        static const uint64_t zero;
        size_t size = tensor_dtype_bytes(x->dtype);
        return !memcmp((const char *)x->data + (size_t)i * size, &zero, size);
    }
    }
}

static bool nonzero_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct tensor *x = step->in[0];
    int64_t *y = step->out[0]->data, n = tensor_elements(x), found = 0;
    for (op_blocks(env, n, from, to))
        for (int64_t i = from; i < to; i++)
            found += !is_zero(x, i);
    step->out[0]->dims[0] = x->rank;
    step->out[0]->dims[1] = found;
    for (int64_t i = 0, at = 0; i < n; i++) {
        if (i % OP_BLOCK == 0 && !op_spend(env, OP_BLOCK))
            return true;
        if (is_zero(x, i))
            continue;
        int64_t rest = i;
        for (int axis = x->rank - 1; axis >= 0; axis--) {
            y[axis * found + at] = rest % x->dims[axis];
            rest /= x->dims[axis];
        }
        at++;
    }
    return true;
}

const struct op_rule op_non_zero = {
    .check = nonzero_check, .shape = nonzero_shape, .run = nonzero_run, .flags = OP_DATA_DIMS | OP_EXACT};

/* --- Compress ----------------------------------------------------------------------------------------------------- */

struct compress_priv {
    bool flat; /* no axis: the input as one line */
    int64_t axis;
};

static bool compress_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct compress_priv *priv = op_priv(ctx, sizeof *priv, err);
    if (!priv)
        return false;
    priv->flat = !attr_has(ctx, "axis");
    return op_arity(ctx, 2, 2, 1, err) && attr_int(ctx, "axis", 0, &priv->axis, err);
}

static bool compress_lines(const struct step *step, int *axis, int64_t *outer, int64_t *n, int64_t *inner,
                           struct percept_err *err)
{
    const struct compress_priv *priv = step->priv;
    const struct tensor *x = step->in[0];
    *axis = 0;
    *outer = *inner = 1;
    *n = tensor_elements(x);
    if (priv->flat)
        return true;
    if (!op_axis(step, priv->axis, x->rank, axis, err))
        return false;
    *n = x->dims[*axis];
    *outer = tensor_span(x, 0, *axis);
    *inner = tensor_span(x, *axis + 1, x->rank);
    return true;
}

static bool compress_shape(struct step *step, struct percept_err *err)
{
    const struct compress_priv *priv = step->priv;
    const struct tensor *x = step->in[0], *condition = step->in[1];
    int axis;
    int64_t outer, n, inner;
    if (!op_want_dtype(step, 1, PERCEPT_BOOL, err) || !compress_lines(step, &axis, &outer, &n, &inner, err))
        return false;
    if (condition->rank != 1 || condition->dims[0] > n)
        return err_set(err, ERR_INVALID, OP_AT "the condition is no list of up to %lld elements", OP_NODE(step->node),
                       (long long)n);
    if (priv->flat)
        op_set_out(step, 0, x->dtype, 1, condition->dims);
    else
        op_set_out(step, 0, x->dtype, x->rank, x->dims);
    step->out[0]->dims[axis] = condition->dims[0];
    step->out[0]->dynamic = true;
    return true;
}

static bool compress_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct tensor *x = step->in[0], *condition = step->in[1];
    const uint8_t *take = condition->data;
    int axis;
    int64_t outer, n, inner, taken = 0;
    if (!compress_lines(step, &axis, &outer, &n, &inner, err))
        return false;
    int64_t size = inner * (int64_t)tensor_dtype_bytes(x->dtype), most = condition->dims[0];
    char *y = step->out[0]->data;
    for (op_blocks(env, most, from, to))
        for (int64_t i = from; i < to; i++)
            taken += take[i] != 0;
    step->out[0]->dims[axis] = taken;
    for (int64_t o = 0; size && taken && o < outer; o++) {
        for (int64_t i = 0; i < most; i++) {
            if (i % OP_BLOCK == 0 && !op_spend(env, OP_BLOCK))
                return true;
            if (!take[i])
                continue;
            if (!op_spend(env, size / 64))
                return true;
            op_copy(env, y, (const char *)x->data + (o * n + i) * size, (size_t)size);
            y += size;
        }
    }
    return true;
}

const struct op_rule op_compress = {
    .check = compress_check, .shape = compress_shape, .run = compress_run, .flags = OP_DATA_DIMS};

/* --- OneHot ------------------------------------------------------------------------------------------------------- */

struct onehot_priv {
    int64_t axis;
};

static bool onehot_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct onehot_priv *priv = op_priv(ctx, sizeof *priv, err);
    if (!priv)
        return false;
    return op_arity(ctx, 3, 3, 1, err) && attr_int(ctx, "axis", -1, &priv->axis, err);
}

static bool onehot_shape(struct step *step, struct percept_err *err)
{
    const struct onehot_priv *priv = step->priv;
    const struct tensor *indices = step->in[0], *depth = step->in[1], *values = step->in[2];
    int axis;
    int64_t n, dims[RANK_MAX];
    if (!types_number(indices->dtype) || !types_number(depth->dtype) || tensor_elements(depth) != 1 ||
        values->rank != 1 || values->dims[0] != 2)
        return err_set(err, ERR_MODEL, OP_AT "indices and depth must be numbers, values two elements",
                       OP_NODE(step->node));
    if (!op_known(step, 1, err))
        return false;
    if (indices->rank + 1 > RANK_MAX)
        return err_set(err, ERR_UNSUPPORTED, OP_AT "the result has %d axes; up to %d would work", OP_NODE(step->node),
                       indices->rank + 1, RANK_MAX);
    if (!op_axis(step, priv->axis, indices->rank + 1, &axis, err))
        return false;
    cast_numbers(PERCEPT_INT64, &dims[axis], depth->dtype, depth->data, 1);
    for (int i = 0; i < indices->rank; i++)
        dims[i < axis ? i : i + 1] = indices->dims[i];
    if (!tensor_count(indices->rank + 1, dims, &n))
        return err_set(err, ERR_INVALID, OP_AT "a depth of %lld is negative or too large", OP_NODE(step->node),
                       (long long)dims[axis]);
    op_set_out(step, 0, values->dtype, indices->rank + 1, dims);
    return true;
}

static bool onehot_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct onehot_priv *priv = step->priv;
    const struct tensor *indices = step->in[0], *out = step->out[0];
    int axis;
    if (!op_axis(step, priv->axis, out->rank, &axis, err))
        return false;
    size_t size = tensor_dtype_bytes(out->dtype), index_bytes = tensor_dtype_bytes(indices->dtype);
    const char *values = step->in[2]->data; /* off, on */
    char *y = out->data;
    int64_t depth = out->dims[axis], inner = tensor_span(out, axis + 1, out->rank);
    walk_fill_all(env->team, y, values, size, tensor_elements(out));
    for (int64_t i = 0, n = tensor_elements(indices); i < n; i++) {
        if (i % OP_BLOCK == 0 && !op_spend(env, OP_BLOCK))
            return true;
        int64_t index;
        cast_numbers(PERCEPT_INT64, &index, indices->dtype, (const char *)indices->data + (size_t)i * index_bytes, 1);
        if (index < -depth || index >= depth)
            continue; /* all off, says ONNX */
        index += index < 0 ? depth : 0;
        int64_t at = (i / inner * depth + index) * inner + i % inner;
        memcpy(y + at * (int64_t)size, values + size, size);
    }
    return true;
}

static void onehot_batch(struct batch_view *view)
{
    const struct onehot_priv *priv = view->many->priv;
    const struct batch_place place = view->in[0];
    int axis;
    if (place.word == BATCH_INDEPENDENT && batch_axis_others_known(view, 1, 1) &&
        op_axis(view->many, priv->axis, view->many->in[0]->rank + 1, &axis, NULL))
        batch_axis_all(view, batch_axis_at(place.axis < axis ? place.axis : place.axis + 1, place.before));
}

const struct op_rule op_one_hot = {
    .check = onehot_check, .shape = onehot_shape, .run = onehot_run, .batch = onehot_batch};
