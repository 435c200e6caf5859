/*
 * deform.c - DeformConv: a convolution whose every kernel element reads where an offset says.
 *
 * Pictures of two spatial axes. Output pixels are taken in tiles of a fixed number. For a tile, the
 * sampled and masked input becomes columns [channels of a group x kernel][tile] in a member's own
 * scratch, and a product with the weights [out channels][channels x kernel] makes the tile's
 * output. Tiles depend on the picture's size alone, so bits do not depend on batch or threads.
 *
 *     offset [N][offset group][kernel][y, x][out]      mask [N][offset group][kernel][out]
 *
 * A point is read by linear interpolation of its four neighbours; a neighbour outside is zero. The
 * neighbours of a point are found once per offset group and kernel element and serve all channels.
 *
 * Weights are not packed: they are read by BLAS as they lie. Tensors of doubles take plain loops,
 * with columns of doubles. Thread: loader, then the session's
 * holder with its team.
 */
#include "op/batch_axis.h"
#include "op/product.h"
#include "op/spatial.h"

#include "op/attr.h"
#include "op/types.h"
#include "op/walk.h"
#include "op/weights.h"

#include <math.h>

#define DEFORM_TILE 128 /* output pixels */

struct deform {
    struct spatial spatial;
    int64_t group, offset_group;
};

struct deform_plan {
    struct geometry g; /* axes 1 and 2 */
    int64_t items, channels, out_channels;
    int64_t pixels, points, kernel; /* of an input map, an output map, a kernel */
    int64_t depth;                  /* rows of columns: channels of a group x kernel */
    size_t member_bytes;
};

/* --- check and shape ---------------------------------------------------------------------------------------------- */

static bool deform_check(struct node_ctx *ctx, struct percept_err *err)
{
    const int64_t most = (int64_t)1 << 30;
    struct deform *deform = op_priv(ctx, sizeof *deform, err);
    if (!deform)
        return false;
    return op_arity(ctx, 3, 5, 1, err) && spatial_read(ctx, &deform->spatial, err) &&
           attr_int_in(ctx, "group", 1, 1, most, &deform->group, err) &&
           attr_int_in(ctx, "offset_group", 1, 1, most, &deform->offset_group, err);
}

static bool want_dims(const struct step *step, int i, int rank, const int64_t *dims, struct percept_err *err)
{
    char wanted[128], found[128];
    const struct tensor *t = step->in[i];
    struct tensor like = {.rank = rank};
    tensor_set_dims(&like, rank, dims);
    if (tensor_same_dims(t, &like))
        return true;
    return err_set(err, ERR_INVALID, OP_AT "input %d has the shape %s; %s would work", OP_NODE(step->node), i,
                   tensor_shape_text(t->rank, t->dims, found, sizeof found),
                   tensor_shape_text(rank, dims, wanted, sizeof wanted));
}

static bool deform_channels(const struct step *step, struct percept_err *err)
{
    const struct deform *deform = step->priv;
    const struct tensor *x = step->in[0], *w = step->in[1];
    for (int i = 0; i < step->n_in; i++) {
        if (step->in[i] && !(i == 0 ? op_want_real(step, i, err) : op_want_dtype(step, i, x->dtype, err)))
            return false;
    }
    if (x->rank != 4 || w->rank != 4)
        return err_set(err, ERR_UNSUPPORTED, OP_AT "a picture of rank %d and weights of rank %d; 4 and 4 work",
                       OP_NODE(step->node), x->rank, w->rank);
    if (x->dims[1] % deform->group || w->dims[0] % deform->group || x->dims[1] / deform->group != w->dims[1] ||
        x->dims[1] % deform->offset_group)
        return err_set(err, ERR_INVALID,
                       OP_AT "%lld channels, weights for %lld of %lld, %lld groups and %lld offset "
                             "groups do not fit together",
                       OP_NODE(step->node), (long long)x->dims[1], (long long)w->dims[1], (long long)w->dims[0],
                       (long long)deform->group, (long long)deform->offset_group);
    return true;
}

static bool deform_offsets(const struct step *step, const struct deform_plan *plan, struct percept_err *err)
{
    const struct deform *deform = step->priv;
    const int64_t h = plan->g.out[1], w = plan->g.out[2];
    int64_t masks, offsets;
    if (__builtin_mul_overflow(deform->offset_group, plan->kernel, &masks) ||
        __builtin_mul_overflow(masks, 2, &offsets))
        return err_set(err, ERR_INVALID, OP_AT "too many offsets", OP_NODE(step->node));
    const bool has_bias = op_in(step, 3), has_mask = op_in(step, 4);
    return want_dims(step, 2, 4, (const int64_t[]){plan->items, offsets, h, w}, err) &&
           (!has_bias || want_dims(step, 3, 1, &plan->out_channels, err)) &&
           (!has_mask || want_dims(step, 4, 4, (const int64_t[]){plan->items, masks, h, w}, err));
}

static bool deform_shape(struct step *step, struct percept_err *err)
{
    const struct deform *deform = step->priv;
    const struct tensor *x = step->in[0], *w = step->in[1];
    struct deform_plan *plan = arena_alloc(step->arena, sizeof *plan);
    if (!plan)
        return err_memory(err, "a deformable convolution's plan", sizeof *plan);
    *plan = (struct deform_plan){.items = x->dims[0]};
    if (!deform_channels(step, err) || !spatial_settle(&deform->spatial, step->node, 2, w->dims + 2, &plan->g, err))
        return false;
    spatial_input(&plan->g, x);
    if (!spatial_slide(&plan->g, &deform->spatial, false, step->node, err))
        return false;
    const size_t size = tensor_dtype_bytes(x->dtype);
    int64_t dims[RANK_MAX], count, cells;
    spatial_dims(&plan->g, plan->items, w->dims[0], dims);
    plan->channels = x->dims[1];
    plan->out_channels = w->dims[0];
    plan->kernel = plan->g.kernel[1] * plan->g.kernel[2];
    if (!tensor_count(4, dims, &count) || __builtin_mul_overflow(w->dims[1], plan->kernel, &plan->depth) ||
        __builtin_mul_overflow(plan->depth, DEFORM_TILE * (int64_t)size, &cells) || cells > INT64_MAX / (2 * TEAM_MAX))
        return err_set(err, ERR_INVALID, OP_AT "the output would be too large", OP_NODE(step->node));
    if (!deform_offsets(step, plan, err))
        return false;
    plan->pixels = x->dims[2] * x->dims[3];
    plan->points = dims[2] * dims[3];
    plan->member_bytes = weights_round((size_t)cells);
    op_set_out(step, 0, x->dtype, 4, dims);
    step->scratch_bytes = plan->member_bytes * (size_t)(step->members > 0 ? step->members : 1);
    step->flops = 2.0 * (double)count * (double)plan->depth;
    step->state = plan;
    return true;
}

/* --- run ---------------------------------------------------------------------------------------------------------- */

/* The four neighbours of a point in a map, those outside with no weight at offset 0. */
struct neighbours {
    int64_t offset[4];
    double weight[4];
};

static void find_neighbours(const struct geometry *g, double y, double x, double factor, struct neighbours *near)
{
    const double height = (double)g->in[1], width = (double)g->in[2];
    *near = (struct neighbours){0};
    if (!(y > -1 && y < height && x > -1 && x < width))
        return;
    const int64_t top = (int64_t)floor(y), left = (int64_t)floor(x);
    const double dy = y - (double)top, dx = x - (double)left;
    for (int i = 0; i < 4; i++) {
        const int64_t row = top + i / 2, column = left + i % 2;
        if (row < 0 || row >= g->in[1] || column < 0 || column >= g->in[2])
            continue;
        near->offset[i] = row * g->in[2] + column;
        near->weight[i] = factor * (i / 2 ? dy : 1 - dy) * (i % 2 ? dx : 1 - dx);
    }
}

static double number_at(const struct tensor *t, int64_t i)
{
    return t->dtype == PERCEPT_DOUBLE ? ((const double *)t->data)[i] : (double)((const float *)t->data)[i];
}

/* Where kernel element k of offset group `group` reads for output pixel `point`. */
static void locate(const struct step *step, int64_t item, int64_t group, int64_t k, int64_t point,
                   struct neighbours *near)
{
    const struct deform *deform = step->priv;
    const struct deform_plan *plan = step->state;
    const struct geometry *g = &plan->g;
    const int64_t at = (item * deform->offset_group + group) * plan->kernel + k;
    const int64_t offset = 2 * at * plan->points + point;
    const bool masked = op_in(step, 4);
    const double factor = masked ? number_at(step->in[4], at * plan->points + point) : 1;
    const int64_t row = point / g->out[2] * g->stride[1] - g->pad[1] + k / g->kernel[2] * g->dilation[1];
    const int64_t column = point % g->out[2] * g->stride[2] - g->pad[2] + k % g->kernel[2] * g->dilation[2];
    find_neighbours(g, (double)row + number_at(step->in[2], offset),
                    (double)column + number_at(step->in[2], offset + plan->points), factor, near);
}

/* One row of a column's channels [c, end) of an item. */
#define GATHER(dtype, T)                                                                                               \
    case dtype: {                                                                                                      \
        const T *map = (const T *)step->in[0]->data + (item * plan->channels + c) * plan->pixels;                      \
        T *column = (T *)columns + at;                                                                                 \
        for (; c < end; c++, map += plan->pixels, column += plan->kernel * n) {                                        \
            T sum = 0;                                                                                                 \
            for (int t = 0; t < 4; t++)                                                                                \
                sum += (T)near->weight[t] == 0 ? 0 : (T)near->weight[t] * map[near->offset[t]];                        \
            *column = sum;                                                                                             \
        }                                                                                                              \
        break;                                                                                                         \
    }

static void gather(const struct step *step, const struct neighbours *near, int64_t item, int64_t c, int64_t end,
                   int64_t n, int64_t at, void *columns)
{
    const struct deform_plan *plan = step->state;
    switch (step->in[0]->dtype) {
        TYPES_REAL(GATHER)
    default:
        break;
    }
}

/* Columns of channels [first, end) of an item for a tile of n pixels. */
static void fill_columns(const struct step *step, int64_t item, int64_t first, int64_t end, int64_t point, int64_t n,
                         void *columns)
{
    const struct deform *deform = step->priv;
    const struct deform_plan *plan = step->state;
    const int64_t each = plan->channels / deform->offset_group; /* channels of an offset group */
    for (int64_t c = first; c < end;) {
        const int64_t group = c / each, next = (group + 1) * each < end ? (group + 1) * each : end;
        for (int64_t k = 0; k < plan->kernel; k++) {
            for (int64_t i = 0; i < n; i++) {
                struct neighbours near;
                locate(step, item, group, k, point + i, &near);
                gather(step, &near, item, c, next, n, ((c - first) * plan->kernel + k) * n + i, columns);
            }
        }
        c = next;
    }
}

#define ADD_BIAS(dtype, T)                                                                                             \
    case dtype:                                                                                                        \
        for (int64_t c = 0; c < plan->out_channels; c++) {                                                             \
            T *y = (T *)step->out[0]->data + (item * plan->out_channels + c) * plan->points + point;                   \
            for (int64_t i = 0; i < n; i++)                                                                            \
                y[i] += ((const T *)bias->data)[c];                                                                    \
        }                                                                                                              \
        break;

static void add_bias(const struct step *step, int64_t item, int64_t point, int64_t n)
{
    const struct deform_plan *plan = step->state;
    const struct tensor *bias = op_in(step, 3);
    if (!bias)
        return;
    switch (bias->dtype) {
        TYPES_REAL(ADD_BIAS)
    default:
        break;
    }
}

/* y [rows][n] = w [rows][depth] columns [depth][n]; rows of y lie `points` apart. */
static void multiply_doubles(int64_t rows, int64_t n, int64_t depth, const double *w, const double *columns, double *y,
                             int64_t points)
{
    for (int64_t row = 0; row < rows; row++, w += depth, y += points) {
        for (int64_t i = 0; i < n; i++)
            y[i] = 0;
        for (int64_t k = 0; k < depth; k++) {
            for (int64_t i = 0; i < n; i++)
                y[i] += w[k] * columns[k * n + i];
        }
    }
}

static void deform_tile(void *arg, const struct product_part *part, int member)
{
    const struct step *step = arg;
    const struct deform *deform = step->priv;
    const struct deform_plan *plan = step->state;
    const int64_t in_each = plan->channels / deform->group;
    const int64_t out_each = plan->out_channels / deform->group;
    const int64_t item = part->item, point = part->column, n = part->column_end - point;
    void *columns = (char *)step->scratch + plan->member_bytes * (size_t)member;
    for (int64_t g = 0; g < deform->group; g++) {
        const int64_t w = g * out_each * plan->depth;
        const int64_t y = (item * plan->out_channels + g * out_each) * plan->points + point;
        fill_columns(step, item, g * in_each, (g + 1) * in_each, point, n, columns);
        if (step->in[0]->dtype == PERCEPT_DOUBLE)
            multiply_doubles(out_each, n, plan->depth, (const double *)step->in[1]->data + w, columns,
                             (double *)step->out[0]->data + y, plan->points);
        else
            blas_gemm(false, false, out_each, n, plan->depth, 1, (const float *)step->in[1]->data + w, plan->depth,
                      columns, n, 0, (float *)step->out[0]->data + y, plan->points);
    }
    add_bias(step, item, point, n);
}

/* A picture without channels: the bias alone. */
static void run_empty(const struct step *step, struct run_env *env)
{
    const struct deform_plan *plan = step->state;
    const struct tensor *out = step->out[0];
    op_clear(env, out->data, (size_t)tensor_elements(out) * tensor_dtype_bytes(out->dtype));
    for (int64_t item = 0; item < plan->items && op_spend(env, plan->points); item++)
        add_bias(step, item, 0, plan->points);
}

static bool deform_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct deform_plan *plan = step->state;
    if (tensor_elements(step->out[0]) == 0)
        return true;
    if (plan->depth == 0) {
        run_empty(step, env);
        return true;
    }
    const int64_t rows = plan->out_channels;
    const struct product cut = product_bands(plan->items, rows, plan->points, rows, DEFORM_TILE);
    product_run(&cut, env->team, deform_tile, step);
    return true;
}

/* A picture at a time, with offsets and a mask of its own. */
static void deform_batch(struct batch_view *view)
{
    for (int i = 0; i < view->many->n_in; i++) {
        const bool own = i == 0 || i == 2 || (i == 4 && op_in(view->many, i));
        if (own ? !batch_axis_same_place(view->in[i], batch_axis_at(0, 1)) : view->in[i].word != BATCH_SAME)
            return;
    }
    batch_axis_all(view, batch_axis_at(0, 1));
}

const struct op_rule op_deform_conv = {
    .check = deform_check, .shape = deform_shape, .run = deform_run, .batch = deform_batch};
