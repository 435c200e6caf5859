/*
 * patch.c - operators that lay pieces into a larger tensor: Col2Im, MaxUnpool, CenterCropPad.
 *
 * Col2Im adds up the columns that Unfold (im2col) would have cut out of a picture. Each map of the
 * output is one piece of work and takes the kernel's elements and the windows in order, so sums
 * have one order. MaxUnpool puts elements back where MaxPool's indices say, which count through the
 * whole tensor of the size that kernel, strides and pads give; a larger output_shape leaves zeros
 * at the ends of the axes. Where two elements name one place, the later one stays. CenterCropPad
 * cuts or extends axes on both sides; what is odd goes to the end.
 *
 * Shapes that come as tensors must be known when planned. Indices are judged when it runs. Thread:
 * loader, then the session's holder with its team.
 */
#include "op/attr.h"
#include "op/batch_axis.h"
#include "op/spatial.h"

#include <string.h>

#define PATCH_AXES (RANK_MAX - 2)
#define PATCH_LIMIT ((int64_t)1 << 30) /* of everything that is multiplied */

/* The list of input i, which must be known; n: its length. */
static bool known_list(const struct step *step, int i, const int64_t **list, int64_t *n, struct percept_err *err)
{
    if (!op_want_dtype(step, i, PERCEPT_INT64, err))
        return false;
    if (step->in[i]->rank != 1)
        return err_set(err, ERR_INVALID, OP_AT "input %d is no list of numbers", OP_NODE(step->node), i);
    *n = step->in[i]->dims[0];
    *list = step->in[i]->data;
    return *n == 0 || op_known(step, i, err);
}

/* --- Col2Im ------------------------------------------------------------------------------------------------------- */

struct columns {
    const int64_t *dilation, *pad, *stride; /* NULL: 1, 0, 1 */
    int n_dilation, n_pad, n_stride;
};

struct columns_plan {
    int axes;
    int64_t image[PATCH_AXES], block[PATCH_AXES], windows[PATCH_AXES];
    int64_t dilation[PATCH_AXES], pad[PATCH_AXES], stride[PATCH_AXES];
    int64_t maps, pixels, cells, n_windows; /* cells: elements of a block */
};

static bool values_within(const struct node_ctx *ctx, const char *name, const int64_t *values, int n, int64_t least,
                          struct percept_err *err)
{
    for (int i = 0; i < n; i++) {
        if (values[i] < least || values[i] >= PATCH_LIMIT)
            return err_set(err, ERR_MODEL, OP_AT "attribute '%s' has the value %lld; %lld to %lld work",
                           OP_NODE(ctx->node), name, (long long)values[i], (long long)least,
                           (long long)PATCH_LIMIT - 1);
    }
    return true;
}

static bool columns_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct columns *columns = op_priv(ctx, sizeof *columns, err);
    if (!columns)
        return false;
    return op_arity(ctx, 3, 3, 1, err) && attr_ints(ctx, "dilations", &columns->dilation, &columns->n_dilation, err) &&
           attr_ints(ctx, "pads", &columns->pad, &columns->n_pad, err) &&
           attr_ints(ctx, "strides", &columns->stride, &columns->n_stride, err) &&
           values_within(ctx, "dilations", columns->dilation, columns->n_dilation, 1, err) &&
           values_within(ctx, "pads", columns->pad, columns->n_pad, 0, err) &&
           values_within(ctx, "strides", columns->stride, columns->n_stride, 1, err);
}

static bool columns_counts(const struct step *step, int64_t axes, int64_t blocks, struct percept_err *err)
{
    const struct columns *columns = step->priv;
    if (axes < 1 || axes > PATCH_AXES || blocks != axes || (columns->n_dilation && columns->n_dilation != axes) ||
        (columns->n_stride && columns->n_stride != axes) || (columns->n_pad && columns->n_pad != 2 * axes))
        return err_set(err, ERR_INVALID,
                       OP_AT "image_shape, block_shape, dilations, strides and pads must agree "
                             "about 1 to %d axes",
                       OP_NODE(step->node), PATCH_AXES);
    return true;
}

static bool columns_axis(const struct step *step, struct columns_plan *plan, int i, struct percept_err *err)
{
    const struct columns *columns = step->priv;
    const int64_t image = plan->image[i], block = plan->block[i];
    if (image < 1 || block < 1 || image >= PATCH_LIMIT || block >= PATCH_LIMIT)
        return err_set(err, ERR_INVALID, OP_AT "axis %d: an image of %lld and blocks of %lld", OP_NODE(step->node), i,
                       (long long)image, (long long)block);
    plan->dilation[i] = columns->n_dilation ? columns->dilation[i] : 1;
    plan->stride[i] = columns->n_stride ? columns->stride[i] : 1;
    plan->pad[i] = columns->n_pad ? columns->pad[i] : 0;
    const int64_t after = columns->n_pad ? columns->pad[plan->axes + i] : 0;
    const int64_t room = image + plan->pad[i] + after - plan->dilation[i] * (block - 1) - 1;
    plan->windows[i] = room < 0 ? 0 : room / plan->stride[i] + 1;
    return true;
}

static bool columns_shape(struct step *step, struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    const int64_t *image, *block;
    int64_t axes, blocks;
    struct columns_plan *plan = arena_alloc(step->arena, sizeof *plan);
    if (!plan)
        return err_memory(err, "a node's plan", sizeof *plan);
    if (!op_want_dtype(step, 0, PERCEPT_FLOAT, err) || !known_list(step, 1, &image, &axes, err) ||
        !known_list(step, 2, &block, &blocks, err) || !columns_counts(step, axes, blocks, err))
        return false;
    *plan = (struct columns_plan){.axes = (int)axes};
    int64_t dims[RANK_MAX] = {x->rank == 3 ? x->dims[0] : 0};
    for (int i = 0; i < plan->axes; i++) {
        plan->image[i] = dims[2 + i] = image[i];
        plan->block[i] = block[i];
        if (!columns_axis(step, plan, i, err))
            return false;
    }
    int64_t count;
    if (!tensor_count(plan->axes, plan->block, &plan->cells) ||
        !tensor_count(plan->axes, plan->windows, &plan->n_windows) || x->rank != 3 || x->dims[1] % plan->cells ||
        x->dims[2] != plan->n_windows)
        return err_set(err, ERR_INVALID, OP_AT "its input must be [items, channels x %lld, %lld] for these blocks",
                       OP_NODE(step->node), (long long)plan->cells, (long long)plan->n_windows);
    dims[1] = x->dims[1] / plan->cells;
    if (!tensor_count(plan->axes + 2, dims, &count) || __builtin_mul_overflow(dims[0], dims[1], &plan->maps))
        return err_set(err, ERR_INVALID, OP_AT "the image is too large", OP_NODE(step->node));
    plan->pixels = plan->maps ? count / plan->maps : 0;
    op_set_out(step, 0, PERCEPT_FLOAT, plan->axes + 2, dims);
    step->state = plan;
    return true;
}

/* Digits of `at` in a mixed base, the last axis fastest. */
static void digits_of(int64_t at, int axes, const int64_t *dims, int64_t *digits)
{
    for (int i = axes - 1; i >= 0; i--) {
        digits[i] = at % dims[i];
        at /= dims[i];
    }
}

/* Adds the windows of one block element to a map. */
static void add_cell(const struct columns_plan *plan, int64_t cell, const float *x, float *y)
{
    const int last = plan->axes - 1;
    const int64_t row = plan->windows[last];
    int64_t in_block[PATCH_AXES], window[PATCH_AXES];
    digits_of(cell, plan->axes, plan->block, in_block);
    for (int64_t from = 0; from < plan->n_windows; from += row) {
        int64_t offset = 0;
        bool inside = true;
        digits_of(from, plan->axes, plan->windows, window);
        for (int i = 0; i < last; i++) {
            const int64_t at = window[i] * plan->stride[i] - plan->pad[i] + in_block[i] * plan->dilation[i];
            inside = inside && at >= 0 && at < plan->image[i];
            offset = inside ? (offset + at) * plan->image[i + 1] : 0;
        }
        if (!inside)
            continue;
        int64_t at = in_block[last] * plan->dilation[last] - plan->pad[last];
        for (int64_t j = 0; j < row; j++, at += plan->stride[last]) {
            if (at >= 0 && at < plan->image[last])
                y[offset + at] += x[from + j];
        }
    }
}

static void columns_maps(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    struct op_share share = *(const struct op_share *)arg;
    const struct step *step = share.step;
    const struct columns_plan *plan = step->state;
    for (int64_t map = from; map < to; map++) {
        const float *x = (const float *)step->in[0]->data + map * plan->cells * plan->n_windows;
        float *y = (float *)step->out[0]->data + map * plan->pixels;
        step->kernels->map->fill(y, 0, plan->pixels);
        for (int64_t cell = 0; cell < plan->cells; cell++, x += plan->n_windows) {
            if (!op_share_spend(&share, plan->n_windows))
                return;
            add_cell(plan, cell, x, y);
        }
    }
}

static bool columns_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct columns_plan *plan = step->state;
    struct op_share share = op_share(step, env);
    team_split(env->team, plan->maps, 1, columns_maps, &share);
    return true;
}

const struct op_rule op_col2im = {
    .check = columns_check, .shape = columns_shape, .run = columns_run, .batch = batch_axis_items};

/* --- boxes in tensors: MaxUnpool and CenterCropPad ---------------------------------------------------------------- */

/* A box of `dims` inside two tensors: element strides, and where it begins in either. */
struct box_copy {
    int rank;
    size_t element;
    int64_t dims[RANK_MAX], from[RANK_MAX], to[RANK_MAX];
};

static void copy_box(const struct box_copy *box, int axis, const char *x, char *y, struct run_env *env)
{
    if (axis >= box->rank - 1) {
        const int64_t n = box->rank ? box->dims[axis] : 1;
        if (n > 0)
            op_copy(env, y, x, (size_t)n * box->element);
        return;
    }
    for (int64_t i = 0; i < box->dims[axis] && op_spend(env, 1 + box->dims[axis + 1] / 64); i++)
        copy_box(box, axis + 1, x + (size_t)(i * box->from[axis]) * box->element,
                 y + (size_t)(i * box->to[axis]) * box->element, env);
}

static void fill_zero(const struct tensor *t, struct run_env *env)
{
    const size_t n_bytes = (size_t)tensor_elements(t) * tensor_dtype_bytes(t->dtype);
    op_clear(env, t->data, n_bytes);
}

static bool want_no_strings(const struct step *step, struct percept_err *err)
{
    return step->in[0]->dtype != PERCEPT_STRING ||
           err_set(err, ERR_UNSUPPORTED, OP_AT "its input is string; numbers or bool would work", OP_NODE(step->node));
}

/* --- MaxUnpool ---------------------------------------------------------------------------------------------------- */

struct unpool_plan {
    int rank;
    int64_t dims[RANK_MAX]; /* that the indices count through */
    int64_t count;
};

static bool unpool_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct spatial *spatial = op_priv(ctx, sizeof *spatial, err);
    if (!spatial)
        return false;
    return op_arity(ctx, 2, 3, 1, err) && spatial_read(ctx, spatial, err);
}

static bool unpool_sizes(const struct step *step, struct unpool_plan *plan, struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    struct geometry g;
    if (!spatial_settle(step->priv, step->node, x->rank - 2, NULL, &g, err))
        return false;
    plan->rank = x->rank;
    for (int i = 0; i < x->rank; i++) {
        const int at = SPATIAL_MAX - g.axes + i - 2;
        plan->dims[i] = x->dims[i];
        if (i < 2)
            continue;
        int64_t size;
        if (__builtin_mul_overflow(x->dims[i] - 1, g.stride[at], &size) || size > INT64_MAX / 4)
            size = -1;
        else
            size += g.kernel[at] - g.pad[at] - g.pad_end[at];
        if (size < 0)
            return err_set(err, ERR_INVALID, OP_AT "axis %d of %lld elements cannot be unpooled", OP_NODE(step->node),
                           i, (long long)x->dims[i]);
        plan->dims[i] = size;
    }
    return tensor_count(plan->rank, plan->dims, &plan->count) ||
           err_set(err, ERR_INVALID, OP_AT "the output would be too large", OP_NODE(step->node));
}

static bool unpool_asked(const struct step *step, const struct unpool_plan *plan, int64_t *dims,
                         struct percept_err *err)
{
    const int64_t *asked;
    int64_t n;
    memcpy(dims, plan->dims, sizeof plan->dims);
    if (!op_in(step, 2))
        return true;
    if (!known_list(step, 2, &asked, &n, err))
        return false;
    bool fits = n == plan->rank;
    for (int i = 0; fits && i < plan->rank; i++) {
        fits = asked[i] >= plan->dims[i];
        dims[i] = asked[i];
    }
    return fits || err_set(err, ERR_INVALID,
                           OP_AT "output_shape must have %d dimensions, none smaller than what "
                                 "kernel, strides and pads give",
                           OP_NODE(step->node), plan->rank);
}

static bool unpool_shape(struct step *step, struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    struct unpool_plan *plan = arena_alloc(step->arena, sizeof *plan);
    int64_t dims[RANK_MAX];
    if (!plan)
        return err_memory(err, "a node's plan", sizeof *plan);
    if (!want_no_strings(step, err) || !op_want_dtype(step, 1, PERCEPT_INT64, err))
        return false;
    if (!tensor_same_dims(x, step->in[1]))
        return err_set(err, ERR_INVALID, OP_AT "the indices must have the shape of the input", OP_NODE(step->node));
    if (!unpool_sizes(step, plan, err) || !unpool_asked(step, plan, dims, err))
        return false;
    op_set_out(step, 0, x->dtype, x->rank, dims);
    step->state = plan;
    return true;
}

/* Where element `index` of the pooled size lies in the output. */
static int64_t unpool_place(const struct unpool_plan *plan, const struct tensor *out, int64_t index)
{
    int64_t place = 0, stride = 1;
    for (int i = plan->rank - 1; i >= 0; i--) {
        place += index % plan->dims[i] * stride;
        index /= plan->dims[i];
        stride *= out->dims[i];
    }
    return place;
}

static bool unpool_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct unpool_plan *plan = step->state;
    const struct tensor *x = step->in[0], *out = step->out[0];
    const int64_t *indices = step->in[1]->data;
    const size_t size = tensor_dtype_bytes(x->dtype);
    fill_zero(out, env);
    for (int64_t i = 0, n = tensor_elements(x); i < n && op_spend(env, 2); i++) {
        if (indices[i] < 0 || indices[i] >= plan->count)
            return err_set(err, ERR_DATA, OP_AT "index %lld is outside [0, %lld)", OP_NODE(step->node),
                           (long long)indices[i], (long long)plan->count);
        memcpy((char *)out->data + (size_t)unpool_place(plan, out, indices[i]) * size,
               (const char *)x->data + (size_t)i * size, size);
    }
    return true;
}

const struct op_rule op_max_unpool = {.check = unpool_check, .shape = unpool_shape, .run = unpool_run};

/* --- CenterCropPad ------------------------------------------------------------------------------------------------ */

struct crop {
    const int64_t *axes; /* NULL: all */
    int n_axes;
};

struct crop_plan {
    struct box_copy box;
    int64_t x_at, y_at; /* elements before the box */
    bool padded;
};

static bool crop_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct crop *crop = op_priv(ctx, sizeof *crop, err);
    if (!crop)
        return false;
    return op_arity(ctx, 2, 2, 1, err) && attr_ints(ctx, "axes", &crop->axes, &crop->n_axes, err);
}

static bool crop_dims(const struct step *step, int64_t *dims, struct percept_err *err)
{
    const struct crop *crop = step->priv;
    const struct tensor *x = step->in[0];
    const int64_t *sizes;
    int64_t n, count;
    if (!known_list(step, 1, &sizes, &n, err))
        return false;
    if (n != (crop->axes ? crop->n_axes : x->rank))
        return err_set(err, ERR_INVALID, OP_AT "%lld sizes for %d axes", OP_NODE(step->node), (long long)n,
                       crop->axes ? crop->n_axes : x->rank);
    memcpy(dims, x->dims, sizeof x->dims);
    for (int i = 0; i < (int)n; i++) {
        int axis = i;
        if (crop->axes && !op_axis(step, crop->axes[i], x->rank, &axis, err))
            return false;
        dims[axis] = sizes[i];
    }
    return tensor_count(x->rank, dims, &count) ||
           err_set(err, ERR_INVALID, OP_AT "a size is negative or too large", OP_NODE(step->node));
}

static bool crop_shape(struct step *step, struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    int64_t dims[RANK_MAX];
    struct crop_plan *plan = arena_alloc(step->arena, sizeof *plan);
    if (!plan)
        return err_memory(err, "a node's plan", sizeof *plan);
    if (!want_no_strings(step, err) || !crop_dims(step, dims, err))
        return false;
    *plan = (struct crop_plan){.box = {.rank = x->rank, .element = tensor_dtype_bytes(x->dtype)}};
    op_set_out(step, 0, x->dtype, x->rank, dims);
    tensor_strides(x->rank, x->dims, plan->box.from);
    tensor_strides(x->rank, dims, plan->box.to);
    bool empty = false;
    for (int i = 0; i < x->rank; i++) {
        const int64_t in = x->dims[i], out = dims[i];
        plan->box.dims[i] = in < out ? in : out;
        empty = empty || plan->box.dims[i] == 0;
        plan->padded = plan->padded || out > in;
        if (empty)
            continue;
        plan->x_at += in > out ? (in - out) / 2 * plan->box.from[i] : 0;
        plan->y_at += out > in ? (out - in) / 2 * plan->box.to[i] : 0;
    }
    if (empty)
        plan->box.element = 0;
    step->state = plan;
    return true;
}

static bool crop_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct crop_plan *plan = step->state;
    const size_t element = plan->box.element;
    if (plan->padded)
        fill_zero(step->out[0], env);
    if (element)
        copy_box(&plan->box, 0, (const char *)step->in[0]->data + (size_t)plan->x_at * element,
                 (char *)step->out[0]->data + (size_t)plan->y_at * element, env);
    return true;
}

/* How much goes away follows from dims alone, at either side half of it. */
static void crop_batch(struct batch_view *view)
{
    if (view->in[0].word != BATCH_INDEPENDENT || !batch_axis_others_known(view, 1, 1))
        return;
    if (batch_axis_untouched(view, view->in[0]))
        batch_axis_all(view, view->in[0]);
    else
        batch_axis_mixes(view, "takes some of the batch");
}

const struct op_rule op_center_crop_pad = {
    .check = crop_check, .shape = crop_shape, .run = crop_run, .batch = crop_batch};
