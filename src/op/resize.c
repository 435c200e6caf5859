/*
 * resize.c - Resize and Upsample, all modes, on tensors of any rank.
 *
 * Nearest, linear and cubic interpolation are separable, so everything comes down to one table per
 * axis, made when shapes are planned: for each output position some input positions (taps) and
 * their weights. A run walks over the axes that change, one pass each, through scratch:
 *
 *     [outer][in][inner]  ->  [outer][out][inner]      out[o] = sum of weight[o][t] in[index[o][t]]
 *
 * With a single tap a pass copies elements of any size without looking at them. A blocked picture
 * is taken as it lies while neither N nor C changes: its lanes are one more inner axis.
 *
 * Floats are weighed in float, but where one output has so many taps that their roundings would add
 * up (antialias, shrinking a lot): there its sum is a double, and a float again between passes.
 * Doubles and integers are weighed in double, through all passes; what follows the point of an
 * integer is cut off once, at the end, or rounded with antialias (ONNX says neither; its reference
 * cuts, and so does ONNX Runtime but with antialias, where picture libraries round). What is a whole
 * number but for the rounding of weights stays one: a picture of one colour keeps it.
 *
 * Tables are computed in double after ONNX's reference: where the nominal output size (in * scale)
 * has a fraction, coordinates use it as it is. Beyond the edge the edge is repeated, or left out
 * and the other weights scaled up with exclude_outside; tf_crop_and_resize gives
 * extrapolation_value there.
 *
 * scales, sizes and roi must be known when shapes are planned. Work is split over rows of a pass.
 * Thread: loader, then the session's holder with its team.
 */
#include "op/attr.h"
#include "op/batch_axis.h"
#include "op/cast.h"
#include "op/types.h"
#include "op/walk.h"
#include "op/weights.h"

#include <math.h>
#include <string.h>

#define ROUNDING 1e-6 /* what computing in double may have taken from a whole number */

enum resize_mode { MODE_NEAREST, MODE_LINEAR, MODE_CUBIC };
enum resize_coordinates {
    COORDINATES_HALF_PIXEL,
    COORDINATES_SYMMETRIC,
    COORDINATES_PYTORCH,
    COORDINATES_ALIGN,
    COORDINATES_ASYMMETRIC,
    COORDINATES_CROP,
    COORDINATES_TF_NEAREST /* Resize 11 and 12, and what later exporters of TensorFlow's models still write */
};
enum resize_nearest { NEAREST_PREFER_FLOOR, NEAREST_PREFER_CEIL, NEAREST_FLOOR, NEAREST_CEIL };
enum resize_policy { POLICY_STRETCH, POLICY_NOT_LARGER, POLICY_NOT_SMALLER };

struct resize {
    int mode, coordinates, nearest, policy;
    bool antialias, exclude_outside;
    float cubic_a, outside;
    const int64_t *axes; /* that scales, sizes and roi speak of; NULL: all */
    int n_axes;
    const float *scales; /* Upsample 7: an attribute */
    int n_scales;
    int scales_slot, sizes_slot, roi_slot; /* inputs, or -1 */
};

/* One axis of the output. */
struct resize_axis {
    int64_t in, out;
    double scale, width; /* width: the nominal output size */
    double roi_begin, roi_end;
};

struct resize_pass {
    int64_t outer, in, out, inner;
    int64_t taps;
    const int64_t *index; /* [out][taps] */
    const float *weight;  /* [out][taps]; NULL: one tap, copied, or */
    const double *exact;  /* [out][taps], for what is weighed in double */
    const bool *beyond;   /* [out] or NULL: extrapolation_value stands here */
};

struct resize_plan {
    int n_passes;
    struct resize_pass passes[RANK_MAX];
    bool wide;             /* weighed in double */
    enum percept_dtype to; /* what passes write */
    size_t buffer_bytes;   /* of each of the two intermediate tensors */
};

/* --- check -------------------------------------------------------------------------------------------------------- */

static bool check_resize_11(struct node_ctx *ctx, struct resize *resize, struct percept_err *err)
{
    static const char *const coordinates[] = {
        "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel",   "align_corners",
        "asymmetric", "tf_crop_and_resize",   "tf_half_pixel_for_nn", NULL};
    static const char *const nearest[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil", NULL};
    static const char *const policies[] = {"stretch", "not_larger", "not_smaller", NULL};
    resize->roi_slot = 1;
    resize->scales_slot = 2;
    resize->sizes_slot = 3;
    return op_arity(ctx, 1, 4, 1, err) &&
           attr_choice(ctx, "coordinate_transformation_mode", COORDINATES_HALF_PIXEL, coordinates, &resize->coordinates,
                       err) &&
           attr_choice(ctx, "nearest_mode", NEAREST_PREFER_FLOOR, nearest, &resize->nearest, err) &&
           attr_choice(ctx, "keep_aspect_ratio_policy", POLICY_STRETCH, policies, &resize->policy, err) &&
           attr_bool(ctx, "antialias", false, &resize->antialias, err) &&
           attr_bool(ctx, "exclude_outside", false, &resize->exclude_outside, err) &&
           attr_float(ctx, "cubic_coeff_a", -0.75f, &resize->cubic_a, err) &&
           attr_float(ctx, "extrapolation_value", 0, &resize->outside, err) &&
           attr_ints(ctx, "axes", &resize->axes, &resize->n_axes, err);
}

/* Upsample, and Resize as it was first. */
static bool check_simple(struct node_ctx *ctx, struct resize *resize, struct percept_err *err)
{
    resize->coordinates = COORDINATES_ASYMMETRIC;
    resize->nearest = NEAREST_FLOOR;
    if (graph_attr(ctx->node, "scales"))
        return op_arity(ctx, 1, 1, 1, err) && attr_floats(ctx, "scales", &resize->scales, &resize->n_scales, err);
    resize->scales_slot = 1;
    return op_arity(ctx, 2, 2, 1, err);
}

static bool resize_check(struct node_ctx *ctx, struct percept_err *err)
{
    static const char *const modes[] = {"nearest", "linear", "cubic", "bilinear", NULL};
    struct resize *resize = op_priv(ctx, sizeof *resize, err);
    if (!resize)
        return false;
    *resize = (struct resize){.scales_slot = -1, .sizes_slot = -1, .roi_slot = -1};
    if (!attr_choice(ctx, "mode", MODE_NEAREST, modes, &resize->mode, err))
        return false;
    if (resize->mode > MODE_CUBIC) /* an old name of linear */
        resize->mode = MODE_LINEAR;
    return ctx->node->op->rule->variant || ctx->node->opset < 11 ? check_simple(ctx, resize, err)
                                                                 : check_resize_11(ctx, resize, err);
}

/* --- shape: sizes ------------------------------------------------------------------------------------------------- */

/* The elements of an optional input that must be known; NULL and n = 0 when it is left out or
 * empty. */
static bool known_list(const struct step *step, int slot, const struct tensor **list, int64_t *n,
                       struct percept_err *err)
{
    *list = op_in(step, slot);
    *n = *list ? tensor_elements(*list) : 0;
    if (*n == 0)
        *list = NULL;
    return !*list || op_known(step, slot, err);
}

static bool list_fits(const struct step *step, int slot, const struct tensor *list, enum percept_dtype dtype, int64_t n,
                      struct percept_err *err)
{
    if (!list || (list->dtype == dtype && tensor_elements(list) == n))
        return true;
    return err_set(err, ERR_INVALID, OP_AT "input %d must be %s [%lld]", OP_NODE(step->node), slot,
                   tensor_dtype_name(dtype), (long long)n);
}

static bool scaled_axis(const struct step *step, double scale, struct resize_axis *axis, struct percept_err *err)
{
    if (!(scale > 0) || scale > 1e6)
        return err_set(err, ERR_INVALID, OP_AT "a scale of %g; numbers above 0 up to 1e6 work", OP_NODE(step->node),
                       scale);
    axis->scale = scale;
    axis->width = (double)axis->in * scale;
    if (axis->width > 1e15)
        return err_set(err, ERR_INVALID, OP_AT "an axis of %g elements", OP_NODE(step->node), axis->width);
    axis->out = (int64_t)floor(axis->width);
    return true;
}

static bool sized_axis(const struct step *step, int64_t size, struct resize_axis *axis, struct percept_err *err)
{
    if (size < 1 || size > (int64_t)1 << 40 || axis->in < 1)
        return err_set(err, ERR_INVALID, OP_AT "a size of %lld from %lld; 1 and more work", OP_NODE(step->node),
                       (long long)size, (long long)axis->in);
    axis->out = size;
    axis->width = (double)size;
    axis->scale = (double)size / (double)axis->in;
    return true;
}

/* keep_aspect_ratio_policy: the smallest or largest scale is everybody's. */
static void keep_aspect(const struct resize *resize, struct resize_axis *axes, const int *which, int n)
{
    double scale = axes[which[0]].scale;
    for (int i = 1; i < n; i++) {
        const double s = axes[which[i]].scale;
        scale = resize->policy == POLICY_NOT_LARGER ? fmin(scale, s) : fmax(scale, s);
    }
    for (int i = 0; i < n; i++) {
        struct resize_axis *axis = &axes[which[i]];
        axis->scale = scale;
        axis->width = scale * (double)axis->in;
        axis->out = (int64_t)floor(axis->width + 0.5);
    }
}

static bool which_axes(const struct step *step, const struct resize *resize, int *which, int *n,
                       struct percept_err *err)
{
    const int rank = step->in[0]->rank;
    *n = resize->n_axes ? resize->n_axes : rank;
    if (*n > rank)
        return err_set(err, ERR_MODEL, OP_AT "attribute 'axes' has %d values; at most %d work", OP_NODE(step->node), *n,
                       rank);
    for (int i = 0; i < *n; i++) {
        which[i] = i;
        if (resize->n_axes && !op_axis(step, resize->axes[i], rank, &which[i], err))
            return false;
    }
    return true;
}

static bool read_roi(const struct step *step, const struct resize *resize, const int *which, int n,
                     struct resize_axis *axes, struct percept_err *err)
{
    const struct tensor *roi;
    int64_t count;
    if (resize->coordinates != COORDINATES_CROP)
        return true;
    if (!known_list(step, resize->roi_slot, &roi, &count, err) ||
        !list_fits(step, resize->roi_slot, roi, PERCEPT_FLOAT, 2 * (int64_t)n, err))
        return false;
    if (!roi)
        return err_set(err, ERR_INVALID, OP_AT "tf_crop_and_resize needs the input 'roi'", OP_NODE(step->node));
    for (int i = 0; i < n; i++) {
        axes[which[i]].roi_begin = (double)((const float *)roi->data)[i];
        axes[which[i]].roi_end = (double)((const float *)roi->data)[n + i];
    }
    return true;
}

static bool read_sizes(const struct step *step, const struct resize *resize, struct resize_axis *axes,
                       struct percept_err *err)
{
    const struct tensor *scales, *sizes;
    int64_t n_scales, n_sizes;
    int which[RANK_MAX], n;
    if (!known_list(step, resize->scales_slot, &scales, &n_scales, err) ||
        !known_list(step, resize->sizes_slot, &sizes, &n_sizes, err) || !which_axes(step, resize, which, &n, err) ||
        !list_fits(step, resize->scales_slot, scales, PERCEPT_FLOAT, n, err) ||
        !list_fits(step, resize->sizes_slot, sizes, PERCEPT_INT64, n, err))
        return false;
    const float *factors = scales ? scales->data : resize->scales;
    if ((!factors && !sizes) || (!scales && factors && resize->n_scales != n))
        return err_set(err, ERR_INVALID, OP_AT "needs one of 'scales' and 'sizes', with %d numbers",
                       OP_NODE(step->node), n);
    for (int i = 0; i < n; i++) {
        struct resize_axis *axis = &axes[which[i]];
        if (!(sizes ? sized_axis(step, ((const int64_t *)sizes->data)[i], axis, err)
                    : scaled_axis(step, (double)factors[i], axis, err)))
            return false;
    }
    if (sizes && resize->policy != POLICY_STRETCH)
        keep_aspect(resize, axes, which, n);
    return read_roi(step, resize, which, n, axes, err);
}

/* --- shape: tables ------------------------------------------------------------------------------------------------ */

/* Where output position x lies in the input. */
static double unbounded_origin(const struct resize *resize, const struct resize_axis *axis, double x)
{
    const double in = (double)axis->in, last = in - 1;
    switch (resize->coordinates) {
    case COORDINATES_ALIGN:
        return axis->width == 1 ? 0 : x * last / (axis->width - 1);
    case COORDINATES_ASYMMETRIC:
        return x / axis->scale;
    case COORDINATES_PYTORCH:
        return axis->out == 1 ? 0 : (x + 0.5) / axis->scale - 0.5;
    case COORDINATES_SYMMETRIC:
        return in / 2 * (1 - (double)axis->out / axis->width) + (x + 0.5) / axis->scale - 0.5;
    case COORDINATES_CROP:
        if (axis->width == 1)
            return (axis->roi_begin + axis->roi_end) * last / 2;
        return axis->roi_begin * last + x * (axis->roi_end - axis->roi_begin) * last / (axis->width - 1);
    case COORDINATES_TF_NEAREST:
        return (x + 0.5) / axis->scale;
    default:
        return (x + 0.5) / axis->scale - 0.5;
    }
}

static double origin(const struct resize *resize, const struct resize_axis *axis, double x)
{
    return fmin(fmax(unbounded_origin(resize, axis, x), -1e15), 1e15);
}

static int64_t nearest_position(const struct resize *resize, double x)
{
    switch (resize->nearest) {
    case NEAREST_PREFER_FLOOR:
        return (int64_t)ceil(x - 0.5);
    case NEAREST_PREFER_CEIL:
        return (int64_t)floor(x + 0.5);
    case NEAREST_FLOOR:
        return (int64_t)floor(x);
    default:
        return (int64_t)ceil(x);
    }
}

/* The filter at distance x (in input pixels, or in output pixels when antialiased). */
static double filter(const struct resize *resize, double x)
{
    const double a = (double)resize->cubic_a;
    x = fabs(x);
    if (resize->mode == MODE_LINEAR)
        return x < 1 ? 1 - x : 0;
    if (x <= 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

/* How far the filter is stretched: antialiasing widens it when shrinking. */
static double narrowing(const struct resize *resize, const struct resize_axis *axis)
{
    return resize->antialias && axis->scale < 1 ? axis->scale : 1;
}

static int64_t first_tap(const struct resize *resize, const struct resize_axis *axis)
{
    const double reach = resize->mode == MODE_LINEAR ? 1 : 2;
    return (int64_t)floor(-reach / narrowing(resize, axis)) + 1;
}

static int64_t clamped(int64_t i, int64_t n)
{
    return i < 0 ? 0 : i >= n ? n - 1 : i;
}

/* Taps of one output position; whole numbers land on one input exactly. */
static void tap_position(const struct resize *resize, const struct resize_axis *axis, double x, int64_t taps,
                         int64_t *index, double *weight)
{
    const int64_t base = (int64_t)floor(x), first = first_tap(resize, axis);
    const double narrow = narrowing(resize, axis);
    double sum = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t t = 0; t < taps; t++) {
            const int64_t at = base + first + t;
            const bool out = resize->exclude_outside && (at < 0 || at >= axis->in);
            const double w = out ? 0 : filter(resize, ((double)at - x) * narrow);
            if (pass == 0)
                sum += w;
            index[t] = clamped(at, axis->in);
            weight[t] = sum == 0 ? w : w / sum;
        }
    }
}

/* The weights of all output positions, in double or, by way of one row of them, in float. */
static bool make_weights(struct step *step, const struct resize *resize, const struct resize_axis *axis, bool wide,
                         int64_t *index, struct resize_pass *pass, struct percept_err *err)
{
    const size_t all = (size_t)axis->out * (size_t)pass->taps;
    double *exact = arena_array(step->arena, wide ? all : (size_t)pass->taps, sizeof *exact);
    float *weight = wide ? NULL : arena_array(step->arena, all, sizeof *weight);
    if (!exact || (!wide && !weight))
        return err_memory(err, "a resize's weights", all * sizeof *exact);
    for (int64_t o = 0; o < axis->out; o++) {
        const double x = origin(resize, axis, (double)o);
        double *row = wide ? exact + o * pass->taps : exact;
        tap_position(resize, axis, x, pass->taps, index + o * pass->taps, row);
        for (int64_t t = 0; !wide && t < pass->taps; t++)
            weight[o * pass->taps + t] = (float)row[t];
    }
    pass->exact = wide ? exact : NULL;
    pass->weight = weight;
    return true;
}

static bool make_table(struct step *step, const struct resize *resize, const struct resize_axis *axis, bool wide,
                       struct resize_pass *pass, struct percept_err *err)
{
    const size_t out = (size_t)axis->out;
    const bool copy = resize->mode == MODE_NEAREST, crop = resize->coordinates == COORDINATES_CROP;
    pass->taps = copy ? 1 : 2 - 2 * first_tap(resize, axis);
    int64_t *index = arena_array(step->arena, out * (size_t)pass->taps, sizeof *index);
    bool *beyond = crop ? arena_array(step->arena, out, sizeof *beyond) : NULL;
    if (!index || (crop && !beyond))
        return err_memory(err, "a resize's tables", out * (size_t)pass->taps * sizeof *index);
    for (int64_t o = 0; crop && o < axis->out; o++) {
        const double x = origin(resize, axis, (double)o);
        beyond[o] = x < 0 || x > (double)(axis->in - 1);
    }
    for (int64_t o = 0; copy && o < axis->out; o++)
        index[o] = clamped(nearest_position(resize, origin(resize, axis, (double)o)), axis->in);
    pass->index = index;
    pass->beyond = beyond;
    return copy || make_weights(step, resize, axis, wide, index, pass, err);
}

static bool axis_moves(const struct resize *resize, const struct resize_axis *axis)
{
    return axis->out != axis->in || axis->scale != 1 ||
           (resize->coordinates == COORDINATES_CROP && (axis->roi_begin != 0 || axis->roi_end != 1));
}

/* --- shape -------------------------------------------------------------------------------------------------------- */

static bool add_pass(struct step *step, const struct resize *resize, const struct resize_axis *axes, int i,
                     int64_t lanes, struct resize_plan *plan, struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    struct resize_pass *pass = &plan->passes[plan->n_passes++];
    *pass = (struct resize_pass){.in = axes[i].in, .out = axes[i].out, .outer = 1, .inner = lanes};
    for (int k = 0; k < i; k++) { /* blocked: N and blocks of C stay as they are */
        const bool blocks = k == 1 && lanes > 1;
        pass->outer *= blocks ? (x->dims[1] + lanes - 1) / lanes : axes[k].out;
    }
    for (int k = i + 1; k < x->rank; k++)
        pass->inner *= x->dims[k];
    const size_t n_bytes = (size_t)(pass->outer * pass->out * pass->inner) * tensor_dtype_bytes(plan->to);
    if (n_bytes > plan->buffer_bytes)
        plan->buffer_bytes = weights_round(n_bytes);
    return make_table(step, resize, &axes[i], plan->wide, pass, err);
}

static bool shape_dims(struct step *step, struct resize_axis *axes, struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    int64_t dims[RANK_MAX], count, middle = 1;
    for (int i = 0; i < x->rank; i++) {
        dims[i] = axes[i].out;
        if (axes[i].out < 1 && axes[i].in > 0)
            return err_set(err, ERR_INVALID, OP_AT "axis %d would shrink to nothing", OP_NODE(step->node), i);
        const int64_t most = axes[i].in > axes[i].out ? axes[i].in : axes[i].out;
        if (__builtin_mul_overflow(middle, most, &middle) || middle > INT64_MAX / 64)
            return err_set(err, ERR_INVALID, OP_AT "the output would be too large", OP_NODE(step->node));
    }
    op_set_out(step, 0, x->dtype, x->rank, dims);
    return tensor_count(x->rank, dims, &count) ||
           err_set(err, ERR_INVALID, OP_AT "the output would be too large", OP_NODE(step->node));
}

/* Which elements can be resized so, and what they are weighed in. */
static bool shape_types(const struct step *step, const struct resize *resize, struct resize_plan *plan,
                        struct percept_err *err)
{
    const enum percept_dtype dtype = step->in[0]->dtype;
    const bool weighs = resize->mode != MODE_NEAREST;
    plan->wide = weighs && dtype != PERCEPT_FLOAT;
    plan->to = plan->wide ? PERCEPT_DOUBLE : dtype;
    if ((weighs || resize->coordinates == COORDINATES_CROP) && !types_number(dtype))
        return err_set(err, ERR_UNSUPPORTED, OP_AT "input 0 is %s; numbers can be interpolated or extrapolated",
                       OP_NODE(step->node), tensor_dtype_name(dtype));
    return true;
}

/* Buffers between passes; integers leave the last one too, as doubles. */
static int n_buffers(const struct resize_plan *plan, enum percept_dtype dtype)
{
    const int n = plan->n_passes - (plan->to == dtype ? 1 : 0);
    return n < 0 ? 0 : n > 2 ? 2 : n;
}

/* As long as they are. */
static void begin_axes(const struct tensor *x, struct resize_axis *axes)
{
    for (int i = 0; i < x->rank; i++)
        axes[i] = (struct resize_axis){
            .in = x->dims[i], .out = x->dims[i], .scale = 1, .width = (double)x->dims[i], .roi_end = 1};
}

static bool resize_shape(struct step *step, struct percept_err *err)
{
    static const char *const names[] = {"nearest", "linear", "cubic"};
    const struct resize *resize = step->priv;
    const struct tensor *x = step->in[0];
    struct resize_axis axes[RANK_MAX];
    struct resize_plan *plan = arena_alloc(step->arena, sizeof *plan);
    if (!plan)
        return err_memory(err, "a resize's plan", sizeof *plan);
    *plan = (struct resize_plan){0};
    if (!shape_types(step, resize, plan, err))
        return false;
    begin_axes(x, axes);
    if (!read_sizes(step, resize, axes, err) || !shape_dims(step, axes, err))
        return false;
    const bool blocked = x->layout == LAYOUT_BLOCKED && !axis_moves(resize, &axes[0]) && !axis_moves(resize, &axes[1]);
    step->want[0] = blocked ? LAYOUT_BLOCKED : LAYOUT_PLAIN;
    step->out[0]->layout = step->want[0];
    const bool empty = tensor_elements(step->out[0]) == 0;
    for (int i = 0; i < x->rank && !empty; i++) {
        if (axis_moves(resize, &axes[i]) &&
            !add_pass(step, resize, axes, i, blocked ? step->kernels->width : 1, plan, err))
            return false;
    }
    if (plan->n_passes == 0)
        step->alias = 1;
    step->scratch_bytes = (size_t)n_buffers(plan, x->dtype) * plan->buffer_bytes;
    step->state = plan;
    step->algorithm = names[resize->mode];
    step->flops = (double)tensor_elements(step->out[0]);
    return true;
}

/* --- run ---------------------------------------------------------------------------------------------------------- */

struct resize_work {
    const struct resize_pass *pass;
    enum percept_dtype from; /* x; a pass that copies writes the same */
    size_t element;          /* of y */
    const void *x;
    void *y;
    int64_t part, parts;          /* of a pass's outputs: so many are made at a time, in so many parts */
    char outside[sizeof(double)]; /* extrapolation_value, as an element of y */
};

static void copy_row(const struct resize_work *work, const char *x, char *y, int64_t from, int64_t to)
{
    const struct resize_pass *pass = work->pass;
    if (work->element == 4) {
        for (int64_t o = from; o < to; o++)
            memcpy(y + 4 * o, x + 4 * pass->index[o], 4);
        return;
    }
    for (int64_t o = from; o < to; o++)
        memcpy(y + work->element * (size_t)o, x + work->element * (size_t)pass->index[o], work->element);
}

static void copy_rows(const struct resize_work *work, int64_t outer, int64_t from, int64_t to)
{
    const struct resize_pass *pass = work->pass;
    const size_t row = (size_t)pass->inner * work->element;
    const char *x = (const char *)work->x + (size_t)(outer * pass->in) * row;
    char *y = (char *)work->y + (size_t)(outer * pass->out) * row;
    if (pass->inner == 1) {
        copy_row(work, x, y, from, to);
        return;
    }
    for (int64_t o = from; o < to; o++)
        memcpy(y + (size_t)o * row, x + (size_t)pass->index[o] * row, row);
}

enum { FEW_TAPS = 64, LONG_COLUMNS = 64 };

/* One output row of so many taps (antialias) that a sum in floats would carry their roundings on. */
static void weigh_long(const struct resize_pass *pass, int64_t o, const float *x, float *y)
{
    const int64_t inner = pass->inner, taps = pass->taps;
    for (int64_t from = 0; from < inner; from += LONG_COLUMNS) {
        const int64_t n = inner - from < LONG_COLUMNS ? inner - from : LONG_COLUMNS;
        double sums[LONG_COLUMNS] = {0};
        for (int64_t t = o * taps; t < (o + 1) * taps; t++) {
            const float *row = x + pass->index[t] * inner + from;
            for (int64_t j = 0; j < n; j++)
                sums[j] += (double)pass->weight[t] * (double)row[j];
        }
        for (int64_t j = 0; j < n; j++)
            y[from + j] = (float)sums[j];
    }
}

static void weigh_rows(const struct resize_work *work, int64_t outer, int64_t from, int64_t to)
{
    const struct resize_pass *pass = work->pass;
    const int64_t inner = pass->inner, taps = pass->taps;
    const float *x = (const float *)work->x + outer * pass->in * inner;
    float *y = (float *)work->y + (outer * pass->out + from) * inner;
    for (int64_t o = from; o < to; o++, y += inner) {
        const int64_t *index = pass->index + o * taps;
        const float *weight = pass->weight + o * taps;
        if (taps > FEW_TAPS) {
            weigh_long(pass, o, x, y);
            continue;
        }
        for (int64_t j = 0; j < inner; j++)
            y[j] = weight[0] * x[index[0] * inner + j];
        for (int64_t t = 1; t < taps; t++) {
            const float *row = x + index[t] * inner;
            for (int64_t j = 0; j < inner; j++)
                y[j] += weight[t] * row[j];
        }
    }
}

static void weigh_wide(const struct resize_work *work, int64_t outer, int64_t from, int64_t to)
{
    const struct resize_pass *pass = work->pass;
    const int64_t inner = pass->inner, taps = pass->taps;
    double *y = (double *)work->y + (outer * pass->out + from) * inner;
    switch (work->from) {
#define WEIGH(dtype, T)                                                                                                \
    case dtype:                                                                                                        \
        for (int64_t o = from; o < to; o++, y += inner) {                                                              \
            const T *x = (const T *)work->x + outer * pass->in * inner;                                                \
            for (int64_t j = 0; j < inner; j++)                                                                        \
                y[j] = 0;                                                                                              \
            for (int64_t t = o * taps; t < (o + 1) * taps; t++)                                                        \
                for (int64_t j = 0; j < inner; j++)                                                                    \
                    y[j] += pass->exact[t] * (double)x[pass->index[t] * inner + j];                                    \
        }                                                                                                              \
        break;
        TYPES_INTEGER(WEIGH)
        WEIGH(PERCEPT_DOUBLE, double)
#undef WEIGH
    default:
        break;
    }
}

static void mark_beyond(const struct resize_work *work, int64_t outer, int64_t from, int64_t to)
{
    const struct resize_pass *pass = work->pass;
    const size_t row = (size_t)pass->inner * work->element;
    char *y = (char *)work->y + (size_t)(outer * pass->out + from) * row;
    for (int64_t o = from; o < to; o++, y += row) {
        for (size_t at = 0; pass->beyond[o] && at < row; at += work->element)
            memcpy(y + at, work->outside, work->element);
    }
}

/* A piece is a part of the outputs of one line. */
static void resize_rows(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct resize_work *work = arg;
    for (int64_t i = from; i < to; i++) {
        const int64_t outer = i / work->parts, first = i % work->parts * work->part;
        const int64_t end = first + work->part < work->pass->out ? first + work->part : work->pass->out;
        if (work->pass->weight)
            weigh_rows(work, outer, first, end);
        else if (work->pass->exact)
            weigh_wide(work, outer, first, end);
        else
            copy_rows(work, outer, first, end);
        if (work->pass->beyond)
            mark_beyond(work, outer, first, end);
    }
}

#define PART 131072 /* multiplications of a part, or copies */

static void split_pass(struct resize_work *work, struct percept_team *team)
{
    const struct resize_pass *pass = work->pass;
    const int64_t each = pass->inner * (pass->taps > 0 ? pass->taps : 1);
    work->part = each < PART ? PART / each : 1;
    work->parts = (pass->out + work->part - 1) / work->part;
    team_split(team, pass->outer * work->parts, 1, resize_rows, work);
}

struct resize_cut {
    const double *x;
    const struct tensor *y;
    bool nearest;
};

/* Doubles become integers. */
static void cut_range(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    enum { CHUNK = 128 };
    const struct resize_cut *cut = arg;
    const enum percept_dtype dtype = cut->y->dtype;
    const size_t size = tensor_dtype_bytes(dtype);
    double numbers[CHUNK];
    for (int64_t at = from; at < to; at += CHUNK) {
        const int64_t n = to - at < CHUNK ? to - at : CHUNK;
        for (int64_t i = 0; i < n; i++) {
            const double x = cut->x[at + i], whole = round(x);
            numbers[i] = cut->nearest || fabs(x - whole) <= ROUNDING ? whole : x;
        }
        cast_numbers(dtype, (char *)cut->y->data + (size_t)at * size, PERCEPT_DOUBLE, numbers, n);
    }
}

static bool resize_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct resize *resize = step->priv;
    const struct resize_plan *plan = step->state;
    const struct tensor *x = step->in[0], *y = step->out[0];
    struct resize_work work = {.from = x->dtype, .element = tensor_dtype_bytes(plan->to), .x = x->data};
    if (tensor_elements(y) == 0)
        return true;
    if (resize->coordinates == COORDINATES_CROP)
        cast_numbers(plan->to, work.outside, PERCEPT_FLOAT, &resize->outside, 1);
    for (int i = 0; i < plan->n_passes; i++) {
        const bool last = i == plan->n_passes - 1 && plan->to == y->dtype;
        work.y = last ? y->data : (char *)step->scratch + (size_t)(i & 1) * plan->buffer_bytes;
        work.pass = &plan->passes[i];
        split_pass(&work, env->team);
        work.from = plan->to;
        work.x = work.y;
    }
    struct resize_cut cut = {.x = work.x, .y = y, .nearest = resize->antialias};
    if (plan->n_passes && plan->to != y->dtype)
        team_split(env->team, tensor_elements(y), WALK_GRAIN, cut_range, &cut);
    return true;
}

static bool same_axis(const struct resize_axis *a, const struct resize_axis *b)
{
    return a->in == b->in && a->out == b->out && a->scale == b->scale && a->width == b->width &&
           a->roi_begin == b->roi_begin && a->roi_end == b->roi_end;
}

/* Along the axis of the batch nothing changes; along the others the same does. */
static void resize_batch(struct batch_view *view)
{
    const struct resize *resize = view->many->priv;
    const struct batch_place place = view->in[0];
    struct resize_axis one[RANK_MAX], many[RANK_MAX];
    for (int i = 1; i < view->many->n_in; i++)
        if (view->in[i].word == BATCH_INDEPENDENT)
            return;
    begin_axes(view->one->in[0], one);
    begin_axes(view->many->in[0], many);
    if (place.word != BATCH_INDEPENDENT || !read_sizes(view->one, resize, one, NULL) ||
        !read_sizes(view->many, resize, many, NULL))
        return;
    for (int d = 0; d < view->many->in[0]->rank; d++) {
        const bool batch = d == place.axis;
        if (batch ? axis_moves(resize, &one[d]) || axis_moves(resize, &many[d]) : !same_axis(&one[d], &many[d])) {
            batch_axis_mixes(view, batch ? "resizes the batch" : "resizes by the batch's size");
            return;
        }
    }
    batch_axis_all(view, place);
}

const struct op_rule op_resize = {
    .check = resize_check, .shape = resize_shape, .run = resize_run, .batch = resize_batch};
const struct op_rule op_upsample = {
    .check = resize_check, .shape = resize_shape, .run = resize_run, .batch = resize_batch, .variant = 1};
