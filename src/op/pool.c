/*
 * pool.c - MaxPool, AveragePool, LpPool and their Global forms; com.microsoft's NhwcMaxPool.
 *
 * Maxima and averages of floats are the kernels' (kernels->reduce->pool), on maps of one channel or of a
 * block of channels: a blocked picture stays blocked. What is rare has plain loops over the plain
 * layout here: maxima with Indices, maxima of bytes, LpPool, whose sums are in double. The Global forms are
 * reductions over a whole map (sums.c).
 *
 * Indices count over the whole input as ONNX has it: n, c, then pixels row by row, or column by
 * column with storage_order 1 (the first spatial axis then runs fastest). Of equal maxima the first
 * wins.
 *
 * NhwcMaxPool takes bytes whose channels lie together: a loop of its own takes all channels of a pixel.
 *
 * Work is split over rows of the output, there over pixels. Thread: loader, then the session's holder with its team.
 */
#include "op/attr.h"
#include "op/batch_axis.h"
#include "op/spatial.h"
#include "op/sums.h"

#include <math.h>
#include <string.h>

#define POOL_GRAIN 4096 /* taps that are not worth sharing */

enum pool_kind { POOL_MAX, POOL_AVERAGE, POOL_LP, POOL_NHWC_MAX, POOL_GLOBAL_AVERAGE, POOL_GLOBAL_MAX, POOL_GLOBAL_LP };

struct pool {
    enum pool_kind kind;
    struct spatial spatial;
    bool ceil, include_pad, column_major;
    float p;
};

/* Output pixels [from, to) of all maps. */
typedef void pool_loop(const struct pool *pool, const struct pool_shape *shape, int64_t from, int64_t to, const void *x,
                       void *y, int64_t *indices);

struct pool_plan {
    struct pool_shape shape;
    int64_t maps, pixels;
    int lanes;
    pool_loop *loop; /* or NULL: the kernels' */
};

/* --- check -------------------------------------------------------------------------------------------------------- */

static bool read_p(const struct node_ctx *ctx, struct pool *pool, struct percept_err *err)
{
    int64_t p = 2;
    const struct attr *attr = graph_attr(ctx->node, "p");
    if (attr && attr->type == ATTR_FLOAT) { /* opset 1 */
        pool->p = attr->f;
    } else {
        if (!attr_int_in(ctx, "p", 2, 1, 1000, &p, err))
            return false;
        pool->p = (float)p;
    }
    if (!(pool->p > 0))
        return err_set(err, ERR_MODEL, OP_AT "attribute 'p' is %g; 1 and more work", OP_NODE(ctx->node),
                       (double)pool->p);
    return true;
}

static bool pool_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct pool *pool = op_priv(ctx, sizeof *pool, err);
    if (!pool)
        return false;
    *pool = (struct pool){.kind = (enum pool_kind)ctx->node->op->rule->variant};
    const bool global = pool->kind >= POOL_GLOBAL_AVERAGE;
    if (!op_arity(ctx, 1, 1, pool->kind == POOL_MAX ? 2 : 1, err) ||
        ((pool->kind == POOL_LP || pool->kind == POOL_GLOBAL_LP) && !read_p(ctx, pool, err)))
        return false;
    if (global)
        return true;
    if (!spatial_read(ctx, &pool->spatial, err) || !attr_bool(ctx, "ceil_mode", false, &pool->ceil, err) ||
        !attr_bool(ctx, "count_include_pad", false, &pool->include_pad, err) ||
        !attr_bool(ctx, "storage_order", false, &pool->column_major, err))
        return false;
    if (pool->spatial.n_kernel == 0)
        return err_set(err, ERR_MODEL, OP_AT "attribute 'kernel_shape' is missing", OP_NODE(ctx->node));
    return true;
}

/* --- loops over the plain layout ---------------------------------------------------------------------------------- */

/* Pixels [*from, *to) of a window, step `dilation`, that lie in the input; *from is its first
 * one. */
static void window(const struct pool_shape *s, int axis, int64_t out, int64_t *from, int64_t *to)
{
    const int64_t begin = out * s->stride[axis] - s->pad[axis];
    const int64_t end = begin + s->dilation[axis] * (s->kernel[axis] - 1) + 1;
    const int64_t d = s->dilation[axis];
    *from = begin < 0 ? begin + (-begin + d - 1) / d * d : begin;
    *to = end < s->in[axis] ? end : s->in[axis];
}

static int64_t flat_index(const struct pool *pool, const struct pool_shape *s, int64_t at)
{
    if (!pool->column_major)
        return at;
    const int64_t x = at % s->in[2], y = at / s->in[2] % s->in[1], z = at / s->in[2] / s->in[1];
    return z + s->in[0] * (y + s->in[1] * x);
}

/* Position of the first maximum of the window of output pixel `at`, or -1 when the window is
 * empty. */
#define POOL_MAX_LOOP(name, type, nothing)                                                                             \
    static int64_t name##_at(const struct pool_shape *s, const type *x, int64_t at)                                    \
    {                                                                                                                  \
        int64_t from[3], to[3], best = -1;                                                                             \
        window(s, 0, at / s->out[2] / s->out[1], &from[0], &to[0]);                                                    \
        window(s, 1, at / s->out[2] % s->out[1], &from[1], &to[1]);                                                    \
        window(s, 2, at % s->out[2], &from[2], &to[2]);                                                                \
        for (int64_t i = from[0]; i < to[0]; i += s->dilation[0]) {                                                    \
            for (int64_t j = from[1]; j < to[1]; j += s->dilation[1]) {                                                \
                const int64_t row = (i * s->in[1] + j) * s->in[2];                                                     \
                for (int64_t k = from[2]; k < to[2]; k += s->dilation[2])                                              \
                    best = best < 0 || x[row + k] > x[best] ? row + k : best;                                          \
            }                                                                                                          \
        }                                                                                                              \
        return best;                                                                                                   \
    }                                                                                                                  \
                                                                                                                       \
    static void name(const struct pool *pool, const struct pool_shape *s, int64_t first, int64_t end, const void *x,   \
                     void *y, int64_t *indices)                                                                        \
    {                                                                                                                  \
        const int64_t in = spatial_volume(s->in), out = spatial_volume(s->out);                                        \
        for (int64_t i = first; i < end; i++) {                                                                        \
            const type *map = (const type *)x + i / out * in;                                                          \
            const int64_t best = name##_at(s, map, i % out);                                                           \
            ((type *)y)[i] = best < 0 ? nothing : map[best];                                                           \
            if (indices)                                                                                               \
                indices[i] = best < 0 ? -1 : i / out * in + flat_index(pool, s, best);                                 \
        }                                                                                                              \
    }

POOL_MAX_LOOP(max_float, float, -INFINITY)
POOL_MAX_LOOP(max_double, double, (double)-INFINITY)
POOL_MAX_LOOP(max_int8, int8_t, INT8_MIN)
POOL_MAX_LOOP(max_uint8, uint8_t, 0)

static float lp_term(float x, float p)
{
    return p == 1 ? fabsf(x) : p == 2 ? x * x : powf(fabsf(x), p);
}

static float lp_root(double sum, float p)
{
    return (float)(p == 1 ? sum : p == 2 ? sqrt(sum) : pow(sum, 1 / (double)p));
}

static float lp_at(const struct pool_shape *s, const float *x, int64_t at, float p)
{
    int64_t from[3], to[3];
    double sum = 0;
    window(s, 0, at / s->out[2] / s->out[1], &from[0], &to[0]);
    window(s, 1, at / s->out[2] % s->out[1], &from[1], &to[1]);
    window(s, 2, at % s->out[2], &from[2], &to[2]);
    for (int64_t i = from[0]; i < to[0]; i += s->dilation[0]) {
        for (int64_t j = from[1]; j < to[1]; j += s->dilation[1]) {
            for (int64_t k = from[2]; k < to[2]; k += s->dilation[2])
                sum += (double)lp_term(x[(i * s->in[1] + j) * s->in[2] + k], p);
        }
    }
    return lp_root(sum, p);
}

static void lp(const struct pool *pool, const struct pool_shape *s, int64_t first, int64_t end, const void *x, void *y,
               int64_t *indices)
{
    (void)indices;
    const int64_t in = spatial_volume(s->in), out = spatial_volume(s->out);
    for (int64_t i = first; i < end; i++)
        ((float *)y)[i] = lp_at(s, (const float *)x + i / out * in, i % out, pool->p);
}

/* --- shape -------------------------------------------------------------------------------------------------------- */

static bool choose_loop(const struct step *step, const struct pool *pool, pool_loop **loop, struct percept_err *err)
{
    const enum percept_dtype dtype = step->in[0]->dtype;
    const bool max = pool->kind == POOL_MAX;
    if (dtype == PERCEPT_FLOAT) {
        *loop = pool->kind == POOL_LP ? lp : max && step->n_out > 1 ? max_float : NULL;
        return true;
    }
    *loop = dtype == PERCEPT_INT8 ? max_int8 : dtype == PERCEPT_UINT8 ? max_uint8 : max_double;
    if (max && (dtype == PERCEPT_INT8 || dtype == PERCEPT_UINT8 || dtype == PERCEPT_DOUBLE))
        return true;
    return err_set(err, ERR_UNSUPPORTED, OP_AT "a picture of %s; %s", OP_NODE(step->node), tensor_dtype_name(dtype),
                   max ? "float32, double, int8 and uint8 work" : "float32 works");
}

/* A map is a block of channels or a channel. */
static void shape_maps(struct step *step, struct pool_plan *plan, bool blocked)
{
    const struct tensor *x = step->in[0];
    const int width = step->kernels->width;
    plan->lanes = blocked ? width : 1;
    plan->maps = x->dims[0] * (blocked ? (x->dims[1] + width - 1) / width : x->dims[1]);
    plan->pixels = tensor_span(x, 2, x->rank);
    step->want[0] = blocked ? LAYOUT_BLOCKED : LAYOUT_PLAIN;
    step->out[0]->layout = step->want[0];
}

/* The windows over a picture whose channels are its axis 1, and the dims of what comes out. */
static bool settle_windows(const struct step *step, const struct pool *pool, const struct tensor *x,
                           struct pool_plan *plan, int64_t *dims, struct percept_err *err)
{
    struct geometry g;
    if (!spatial_settle(&pool->spatial, step->node, x->rank - 2, NULL, &g, err))
        return false;
    spatial_input(&g, x);
    if (!spatial_pool(&g, &pool->spatial, pool->ceil, step->node, err))
        return false;
    plan->shape = (struct pool_shape){
        .channels = x->dims[1],
        .average = pool->kind == POOL_AVERAGE,
        .count_include_pad = pool->include_pad,
    };
    for (int i = 0; i < SPATIAL_MAX; i++) {
        plan->shape.in[i] = g.in[i];
        plan->shape.out[i] = g.out[i];
        plan->shape.kernel[i] = g.kernel[i];
        plan->shape.stride[i] = g.stride[i];
        plan->shape.dilation[i] = g.dilation[i];
        plan->shape.pad[i] = g.pad[i];
        plan->shape.pad_end[i] = g.pad_end[i];
    }
    spatial_dims(&g, x->dims[0], x->dims[1], dims);
    return true;
}

static bool shape_windows(struct step *step, const struct pool *pool, struct pool_plan *plan, struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    int64_t dims[RANK_MAX];
    if (!settle_windows(step, pool, x, plan, dims, err) || !choose_loop(step, pool, &plan->loop, err))
        return false;
    op_set_out(step, 0, x->dtype, x->rank, dims);
    if (step->n_out > 1)
        op_set_out(step, 1, PERCEPT_INT64, x->rank, dims);
    shape_maps(step, plan, !plan->loop && (x->layout == LAYOUT_BLOCKED || x->dims[1] >= step->kernels->width));
    return true;
}

static bool shape_nhwc(struct step *step, const struct pool *pool, struct pool_plan *plan, struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    int64_t dims[RANK_MAX];
    if (x->dtype != PERCEPT_INT8 && x->dtype != PERCEPT_UINT8)
        return err_set(err, ERR_UNSUPPORTED, OP_AT "a picture of %s; int8 and uint8 work", OP_NODE(step->node),
                       tensor_dtype_name(x->dtype));
    const struct tensor seen = spatial_channels_second(x);
    if (!settle_windows(step, pool, &seen, plan, dims, err))
        return false;
    spatial_channels_last(x->rank, dims);
    op_set_out(step, 0, x->dtype, x->rank, dims);
    plan->maps = x->dims[0] * spatial_volume(plan->shape.out);
    return true;
}

static bool pool_shape(struct step *step, struct percept_err *err)
{
    const struct pool *pool = step->priv;
    struct pool_plan *plan = arena_alloc(step->arena, sizeof *plan);
    if (!plan)
        return err_memory(err, "a pool's plan", sizeof *plan);
    *plan = (struct pool_plan){0};
    const bool nhwc = pool->kind == POOL_NHWC_MAX;
    if (!(nhwc ? shape_nhwc(step, pool, plan, err) : shape_windows(step, pool, plan, err)))
        return false;
    step->state = plan;
    step->algorithm = plan->loop || nhwc ? "loop" : plan->lanes > 1 ? "blocked" : "plain";
    step->flops = (double)tensor_elements(step->out[0]) * (double)spatial_volume(plan->shape.kernel);
    return true;
}

/* --- run ---------------------------------------------------------------------------------------------------------- */

/* Pieces: rows of the output. */
static void pool_rows(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const struct pool_plan *plan = step->state;
    const int64_t width = plan->shape.out[2];
    if (!plan->loop)
        step->kernels->reduce->pool(&plan->shape, plan->lanes, step->in[0]->data, step->out[0]->data, from, to);
    else
        plan->loop(step->priv, &plan->shape, from * width, to * width, step->in[0]->data, step->out[0]->data,
                   step->n_out > 1 ? step->out[1]->data : NULL);
}

/* All channels of output pixel `at`; signed bytes are compared with their sign turned. */
static void nhwc_pixel(const struct pool_shape *s, bool is_signed, const uint8_t *x, int64_t at, uint8_t *y)
{
    const uint8_t flip = is_signed ? 0x80 : 0;
    int64_t from[3], to[3];
    window(s, 0, at / s->out[2] / s->out[1], &from[0], &to[0]);
    window(s, 1, at / s->out[2] % s->out[1], &from[1], &to[1]);
    window(s, 2, at % s->out[2], &from[2], &to[2]);
    memset(y, 0, (size_t)s->channels);
    for (int64_t i = from[0]; i < to[0]; i += s->dilation[0]) {
        for (int64_t j = from[1]; j < to[1]; j += s->dilation[1]) {
            for (int64_t k = from[2]; k < to[2]; k += s->dilation[2]) {
                const uint8_t *tap = x + ((i * s->in[1] + j) * s->in[2] + k) * s->channels;
                for (int64_t c = 0; c < s->channels; c++)
                    y[c] = (tap[c] ^ flip) > y[c] ? (uint8_t)(tap[c] ^ flip) : y[c];
            }
        }
    }
    for (int64_t c = 0; c < s->channels && flip; c++)
        y[c] ^= flip;
}

static void nhwc_pixels(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const struct pool_shape *s = &((const struct pool_plan *)step->state)->shape;
    const int64_t in = spatial_volume(s->in) * s->channels, out = spatial_volume(s->out);
    for (int64_t at = from; at < to; at++)
        nhwc_pixel(s, step->in[0]->dtype == PERCEPT_INT8, (const uint8_t *)step->in[0]->data + at / out * in, at % out,
                   (uint8_t *)step->out[0]->data + at * s->channels);
}

static bool pool_run_nhwc(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    team_split(env->team, ((const struct pool_plan *)step->state)->maps, 64, nhwc_pixels, step);
    return true;
}

static bool pool_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct pool_plan *plan = step->state;
    const int64_t row = plan->shape.out[2] * spatial_volume(plan->shape.kernel); /* taps */
    team_split(env->team, plan->maps * plan->shape.out[0] * plan->shape.out[1], 1 + POOL_GRAIN / row, pool_rows, step);
    return true;
}

/* The sums of a global pool but of one that takes other roots. */
static struct sums global_sums(const struct pool *pool, const struct pool_plan *plan)
{
    const bool lp = pool->kind == POOL_GLOBAL_LP;
    return (struct sums){.op = pool->kind == POOL_GLOBAL_MAX ? REDUCE_MAX
                               : !lp                         ? REDUCE_SUM
                               : pool->p == 1                ? REDUCE_L1
                                                             : REDUCE_SUM_SQUARE,
                         .finish = pool->kind == POOL_GLOBAL_AVERAGE ? SUMS_MEAN
                                   : lp && pool->p == 2              ? SUMS_ROOT
                                                                     : SUMS_AS_IT_IS,
                         .outer = plan->maps,
                         .n = plan->pixels,
                         .inner = plan->lanes};
}

static void global_roots(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const struct pool *pool = step->priv;
    const struct pool_plan *plan = step->state;
    for (int64_t map = from; map < to; map++) {
        const float *x = (const float *)step->in[0]->data + map * plan->pixels;
        double sum = 0;
        for (int64_t i = 0; i < plan->pixels; i++)
            sum += (double)lp_term(x[i], pool->p);
        ((float *)step->out[0]->data)[map] = lp_root(sum, pool->p);
    }
}

static bool other_root(const struct pool *pool)
{
    return pool->kind == POOL_GLOBAL_LP && pool->p != 1 && pool->p != 2;
}

static bool pool_run_global(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct pool *pool = step->priv;
    const struct pool_plan *plan = step->state;
    const struct sums sums = global_sums(pool, plan);
    if (other_root(pool))
        team_split(env->team, plan->maps, 4, global_roots, step);
    else
        sums_run(&sums, step->kernels, env->team, step->in[0]->data, step->out[0]->data, step->scratch);
    return true;
}

static bool pool_shape_global(struct step *step, struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    const struct pool *pool = step->priv;
    struct pool_plan *plan = arena_alloc(step->arena, sizeof *plan);
    if (!plan)
        return err_memory(err, "a pool's plan", sizeof *plan);
    if (!op_want_dtype(step, 0, PERCEPT_FLOAT, err))
        return false;
    if (x->rank < 3)
        return err_set(err, ERR_INVALID, OP_AT "a picture of rank %d; 3 to %d work", OP_NODE(step->node), x->rank,
                       RANK_MAX);
    int64_t dims[RANK_MAX] = {x->dims[0], x->dims[1], 1, 1, 1, 1, 1, 1};
    *plan = (struct pool_plan){0};
    op_set_out(step, 0, PERCEPT_FLOAT, x->rank, dims);
    for (int i = 2; i < x->rank; i++) /* but sums of powers of nothing are 0 */
        if (x->dims[i] == 0 && tensor_elements(step->out[0]) > 0 && pool->kind != POOL_GLOBAL_LP)
            return op_refuse_empty(step, pool->kind == POOL_GLOBAL_MAX ? "maximum" : "mean", i, err);
    shape_maps(step, plan, x->layout == LAYOUT_BLOCKED && !other_root(pool));
    const struct sums sums = global_sums(pool, plan);
    if (!other_root(pool))
        step->scratch_bytes = sums_scratch_bytes(&sums);
    step->state = plan;
    step->flops = (double)tensor_elements(x);
    return true;
}

/* Indices are counted through the whole batch. */
static void pool_batch(struct batch_view *view)
{
    batch_axis_items(view);
    if (view->many->n_out > 1)
        view->out[1].word = BATCH_MIXED;
}

#define POOL_RULE(name, kind_, shape_, run_)                                                                           \
    const struct op_rule op_##name = {                                                                                 \
        .check = pool_check, .shape = shape_, .run = run_, .batch = pool_batch, .variant = kind_}

POOL_RULE(max_pool, POOL_MAX, pool_shape, pool_run);
POOL_RULE(average_pool, POOL_AVERAGE, pool_shape, pool_run);
POOL_RULE(nhwc_max_pool, POOL_NHWC_MAX, pool_shape, pool_run_nhwc);
POOL_RULE(lp_pool, POOL_LP, pool_shape, pool_run);
POOL_RULE(global_average_pool, POOL_GLOBAL_AVERAGE, pool_shape_global, pool_run_global);
POOL_RULE(global_max_pool, POOL_GLOBAL_MAX, pool_shape_global, pool_run_global);
POOL_RULE(global_lp_pool, POOL_GLOBAL_LP, pool_shape_global, pool_run_global);
