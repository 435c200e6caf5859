/*
 * sample.c - GridSample (pictures of one to three spatial axes) and AffineGrid.
 *
 * GridSample reads a picture at points that another tensor names, in [-1, 1] per axis. A point is
 * first turned into taps: per axis one (nearest), two (linear) or four (cubic) positions and their
 * weights, then their products as a list of offsets into a map. The list is made once and serves
 * all channels, so the cost per element is that of the interpolation alone.
 *
 * Coordinates follow ONNX's reference, in double. Padding happens twice there: the point itself is
 * clamped or reflected first, and then each tap of its own; `zeros` leaves the tap out. Cubic is the
 * exception: only the taps are padded, as PyTorch (which the specification refers to) and ONNX
 * Runtime have it. A clamped point would hit the border's pixel exactly; one that stays half a pixel
 * outside still sees the second pixel within. Mirrors show the same either way.
 *
 * A tap with no weight is left out, so an infinity beside a point that is hit exactly does no harm.
 * Coordinates that are huge or NaN count as far outside, NaN on the low side.
 *
 * AffineGrid makes such points from a matrix per item; `size` must be known when planned.
 *
 * Work is split over points. Thread: loader, then the session's holder with its team.
 */
#include "op/attr.h"
#include "op/batch_axis.h"

#include <math.h>

#define SAMPLE_AXES 3
#define SAMPLE_TAPS 4      /* per axis */
#define SAMPLE_LIST_MAX 64 /* 4 x 4 x 4 */
#define SAMPLE_FAR 1e15    /* beyond every picture, and exact as int64_t and double */

enum sample_mode { MODE_LINEAR, MODE_NEAREST, MODE_CUBIC };
enum sample_padding { PADDING_ZEROS, PADDING_BORDER, PADDING_REFLECTION };

struct sample {
    int mode, padding;
    bool align_corners;
};

struct sample_plan {
    int axes;
    int64_t channels, points, pixels; /* of an item: points of the output, pixels of the input */
    int64_t in[SAMPLE_AXES];          /* outermost first */
    int64_t strides[SAMPLE_AXES];
};

static double number_at(const void *numbers, bool wide, int64_t i)
{
    return wide ? ((const double *)numbers)[i] : (double)((const float *)numbers)[i];
}

/* --- GridSample: check and shape ---------------------------------------------------------------------------------- */

static bool sample_check(struct node_ctx *ctx, struct percept_err *err)
{
    static const char *const modes[] = {"linear", "nearest", "cubic", "bilinear", "bicubic", NULL};
    static const char *const paddings[] = {"zeros", "border", "reflection", NULL};
    struct sample *sample = op_priv(ctx, sizeof *sample, err);
    if (!sample)
        return false;
    if (!op_arity(ctx, 2, 2, 1, err) || !attr_choice(ctx, "mode", MODE_LINEAR, modes, &sample->mode, err) ||
        !attr_choice(ctx, "padding_mode", PADDING_ZEROS, paddings, &sample->padding, err) ||
        !attr_bool(ctx, "align_corners", false, &sample->align_corners, err))
        return false;
    if (sample->mode > MODE_CUBIC) /* the names before opset 20 */
        sample->mode = sample->mode == 3 ? MODE_LINEAR : MODE_CUBIC;
    return true;
}

static bool grid_fits(const struct step *step, const struct tensor *x, const struct tensor *grid,
                      struct percept_err *err)
{
    char a[128], b[128];
    if (x->rank < 3 || x->rank > 2 + SAMPLE_AXES)
        return err_set(err, ERR_UNSUPPORTED, OP_AT "pictures of rank %d; 3, 4 and 5 work", OP_NODE(step->node),
                       x->rank);
    if (grid->rank == x->rank && grid->dims[0] == x->dims[0] && grid->dims[grid->rank - 1] == x->rank - 2)
        return true;
    return err_set(err, ERR_INVALID,
                   OP_AT "the grid %s does not fit the picture %s: as many axes and items, and %d "
                         "coordinates in the last axis would work",
                   OP_NODE(step->node), tensor_shape_text(grid->rank, grid->dims, a, sizeof a),
                   tensor_shape_text(x->rank, x->dims, b, sizeof b), x->rank - 2);
}

static bool sample_shape(struct step *step, struct percept_err *err)
{
    static const char *const names[] = {"linear", "nearest", "cubic"};
    const struct sample *sample = step->priv;
    const struct tensor *x = step->in[0], *grid = step->in[1];
    struct sample_plan *plan = arena_alloc(step->arena, sizeof *plan);
    if (!plan)
        return err_memory(err, "a sampler's plan", sizeof *plan);
    if (!op_want_real(step, 0, err) || !op_want_dtype(step, 1, x->dtype, err) || !grid_fits(step, x, grid, err))
        return false;
    int64_t dims[RANK_MAX] = {x->dims[0], x->dims[1]}, count;
    for (int i = 2; i < x->rank; i++)
        dims[i] = grid->dims[i - 1];
    if (!tensor_count(x->rank, dims, &count))
        return err_set(err, ERR_INVALID, OP_AT "the output would be too large", OP_NODE(step->node));
    *plan = (struct sample_plan){.axes = x->rank - 2,
                                 .channels = x->dims[1],
                                 .points = tensor_span(grid, 1, grid->rank - 1),
                                 .pixels = tensor_span(x, 2, x->rank)};
    if (plan->pixels == 0 && count > 0)
        return err_set(err, ERR_INVALID, OP_AT "an empty picture cannot be sampled", OP_NODE(step->node));
    for (int i = 0; i < plan->axes; i++) {
        plan->in[i] = x->dims[2 + i];
        plan->strides[i] = tensor_span(x, 3 + i, x->rank);
    }
    op_set_out(step, 0, x->dtype, x->rank, dims);
    step->state = plan;
    step->algorithm = names[sample->mode];
    step->flops = 8.0 * (double)count;
    return true;
}

/* --- GridSample: run ---------------------------------------------------------------------------------------------- */

/* Up to four positions along one axis; -1: outside, and zero there. */
struct axis_taps {
    int n;
    int64_t at[SAMPLE_TAPS];
    double weight[SAMPLE_TAPS];
};

struct tap_list {
    int n;
    int64_t offset[SAMPLE_LIST_MAX];
    double weight[SAMPLE_LIST_MAX];
};

/* Mirrored at both ends until it lies between them. */
static double reflect(double x, double low, double high)
{
    const double range = high - low;
    if (range <= 0)
        return low;
    if (x >= low && x <= high)
        return x;
    const double far = fmod(fabs(x - low), 2 * range);
    return far <= range ? low + far : high - (far - range);
}

static double clamp(double x, double low, double high)
{
    return fmin(fmax(x, low), high); /* NaN becomes low */
}

static double denormalized(const struct sample *sample, double x, double n)
{
    const double at = sample->align_corners ? (x + 1) / 2 * (n - 1) : ((x + 1) * n - 1) / 2;
    return clamp(at, -SAMPLE_FAR, SAMPLE_FAR);
}

static double padded(const struct sample *sample, double x, int64_t n)
{
    const double last = (double)(n - 1), edge = sample->align_corners ? 0 : 0.5;
    if (sample->padding == PADDING_BORDER)
        return x < -edge || x > last + edge ? clamp(x, 0, last) : x;
    return sample->padding == PADDING_REFLECTION ? reflect(x, -edge, last + edge) : x;
}

static int64_t tap_position(const struct sample *sample, int64_t at, int64_t n)
{
    if (at >= 0 && at < n)
        return at;
    switch (sample->padding) {
    case PADDING_BORDER:
        return at < 0 ? 0 : n - 1;
    case PADDING_REFLECTION:
        return (int64_t)clamp(padded(sample, (double)at, n), 0, (double)(n - 1));
    default:
        return -1;
    }
}

/* Keys' filter with a = -0.75, at t past the second of four positions. */
static void cubic_weights(double t, double *weight)
{
    const double a = -0.75, u = 1 - t, far = 1 + t, past = 2 - t;
    weight[0] = ((a * far - 5 * a) * far + 8 * a) * far - 4 * a;
    weight[1] = ((a + 2) * t - (a + 3)) * t * t + 1;
    weight[2] = ((a + 2) * u - (a + 3)) * u * u + 1;
    weight[3] = ((a * past - 5 * a) * past + 8 * a) * past - 4 * a;
}

static void find_taps(const struct sample *sample, double coordinate, int64_t n, struct axis_taps *taps)
{
    double x = denormalized(sample, coordinate, (double)n);
    if (sample->mode == MODE_NEAREST)
        x = rint(x);
    if (sample->mode != MODE_CUBIC)
        x = padded(sample, x, n);
    const double base = floor(x);
    int64_t first = (int64_t)base;
    taps->n = 1;
    taps->weight[0] = 1;
    if (sample->mode == MODE_LINEAR) {
        taps->n = 2;
        taps->weight[0] = 1 - (x - base);
        taps->weight[1] = x - base;
    } else if (sample->mode == MODE_CUBIC) {
        taps->n = SAMPLE_TAPS;
        cubic_weights(x - base, taps->weight);
        first--;
    }
    for (int i = 0; i < taps->n; i++)
        taps->at[i] = tap_position(sample, first + i, n);
}

/* The products of the axes' taps. */
static void multiply_taps(const struct axis_taps *taps, const struct sample_plan *plan, struct tap_list *list)
{
    int total = 1;
    for (int i = 0; i < plan->axes; i++)
        total *= taps[i].n;
    list->n = 0;
    for (int t = 0; t < total; t++) {
        int rest = t;
        int64_t offset = 0;
        double weight = 1;
        for (int i = plan->axes - 1; i >= 0; i--) {
            const int k = rest % taps[i].n;
            rest /= taps[i].n;
            weight *= taps[i].at[k] < 0 ? 0 : taps[i].weight[k];
            offset += taps[i].at[k] * plan->strides[i];
        }
        if (weight == 0)
            continue;
        list->offset[list->n] = offset;
        list->weight[list->n++] = weight;
    }
}

static void sum_floats(const struct tap_list *list, const struct sample_plan *plan, const float *x, float *y)
{
    float weight[SAMPLE_LIST_MAX];
    for (int t = 0; t < list->n; t++)
        weight[t] = (float)list->weight[t];
    for (int64_t c = 0; c < plan->channels; c++, x += plan->pixels, y += plan->points) {
        float sum = 0;
        for (int t = 0; t < list->n; t++)
            sum += weight[t] * x[list->offset[t]];
        *y = sum;
    }
}

static void sum_doubles(const struct tap_list *list, const struct sample_plan *plan, const double *x, double *y)
{
    for (int64_t c = 0; c < plan->channels; c++, x += plan->pixels, y += plan->points) {
        double sum = 0;
        for (int t = 0; t < list->n; t++)
            sum += list->weight[t] * x[list->offset[t]];
        *y = sum;
    }
}

static void sample_points(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const struct sample *sample = step->priv;
    const struct sample_plan *plan = step->state;
    const bool wide = step->in[0]->dtype == PERCEPT_DOUBLE;
    const void *grid = step->in[1]->data, *x = step->in[0]->data;
    void *y = step->out[0]->data;
    for (int64_t at = from; at < to; at++) {
        const int64_t first = at / plan->points * plan->channels; /* of the item */
        const int64_t in = first * plan->pixels, out = first * plan->points + at % plan->points;
        struct axis_taps taps[SAMPLE_AXES];
        struct tap_list list;
        for (int i = 0; i < plan->axes; i++) { /* the grid names the innermost axis first */
            const int64_t k = at * plan->axes + plan->axes - 1 - i;
            find_taps(sample, number_at(grid, wide, k), plan->in[i], &taps[i]);
        }
        multiply_taps(taps, plan, &list);
        if (wide)
            sum_doubles(&list, plan, (const double *)x + in, (double *)y + out);
        else
            sum_floats(&list, plan, (const float *)x + in, (float *)y + out);
    }
}

static bool sample_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct sample_plan *plan = step->state;
    if (tensor_elements(step->out[0]) > 0)
        team_split(env->team, step->in[0]->dims[0] * plan->points, 64, sample_points, step);
    return true;
}

/* A picture at a time, by a grid of its own. */
static void sample_batch(struct batch_view *view)
{
    const struct batch_place items = batch_axis_at(0, 1);
    if (batch_axis_same_place(view->in[0], items) && batch_axis_same_place(view->in[1], items))
        batch_axis_all(view, items);
}

const struct op_rule op_grid_sample = {
    .check = sample_check, .shape = sample_shape, .run = sample_run, .batch = sample_batch};

/* --- AffineGrid --------------------------------------------------------------------------------------------------- */

struct affine {
    bool align_corners;
};

static bool affine_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct affine *affine = op_priv(ctx, sizeof *affine, err);
    if (!affine)
        return false;
    return op_arity(ctx, 2, 2, 1, err) && attr_bool(ctx, "align_corners", false, &affine->align_corners, err);
}

static bool affine_shape(struct step *step, struct percept_err *err)
{
    const struct tensor *theta = step->in[0], *size = step->in[1];
    if (!op_want_real(step, 0, err) || !op_want_dtype(step, 1, PERCEPT_INT64, err))
        return false;
    const int axes = size->rank == 1 && size->dims[0] == 5 ? 3 : 2;
    if (size->rank != 1 || size->dims[0] != axes + 2)
        return err_set(err, ERR_INVALID, OP_AT "the size must be a list of 4 or 5 numbers", OP_NODE(step->node));
    if (!op_known(step, 1, err))
        return false;
    const int64_t *sizes = size->data;
    if (theta->rank != 3 || theta->dims[0] != sizes[0] || theta->dims[1] != axes || theta->dims[2] != axes + 1)
        return err_set(err, ERR_INVALID, OP_AT "theta must have the shape [%lld,%d,%d]", OP_NODE(step->node),
                       (long long)sizes[0], axes, axes + 1);
    int64_t dims[RANK_MAX] = {sizes[0]}, count;
    for (int i = 0; i < axes; i++)
        dims[1 + i] = sizes[2 + i];
    dims[1 + axes] = axes;
    if (!tensor_count(axes + 2, dims, &count))
        return err_set(err, ERR_INVALID, OP_AT "the size is negative or too large", OP_NODE(step->node));
    op_set_out(step, 0, theta->dtype, axes + 2, dims);
    return true;
}

/* Where position i of n lies in [-1, 1]. */
static double normalized(int64_t i, int64_t n, bool align_corners)
{
    if (align_corners)
        return n == 1 ? 0 : 2 * (double)i / (double)(n - 1) - 1;
    return (2 * (double)i + 1) / (double)n - 1;
}

static void affine_points(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const struct affine *affine = step->priv;
    const struct tensor *out = step->out[0];
    const int axes = out->rank - 2;
    const int64_t points = tensor_span(out, 1, 1 + axes);
    const bool wide = out->dtype == PERCEPT_DOUBLE;
    const void *theta = step->in[0]->data;
    for (int64_t at = from; at < to; at++) {
        const int64_t matrix = at / points * (int64_t)(axes * (axes + 1));
        double position[SAMPLE_AXES]; /* the innermost axis first */
        int64_t rest = at % points;
        for (int i = 0; i < axes; i++) {
            const int64_t n = out->dims[axes - i];
            position[i] = normalized(rest % n, n, affine->align_corners);
            rest /= n;
        }
        for (int row = 0; row < axes; row++) {
            const int64_t first = matrix + row * (axes + 1);
            double sum = number_at(theta, wide, first + axes);
            for (int i = 0; i < axes; i++)
                sum += number_at(theta, wide, first + i) * position[i];
            if (wide)
                ((double *)out->data)[at * axes + row] = sum;
            else
                ((float *)out->data)[at * axes + row] = (float)sum;
        }
    }
}

static bool affine_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct tensor *out = step->out[0];
    team_split(env->team, tensor_elements(out) / (out->rank - 2), 1024, affine_points, step);
    return true;
}

static void affine_batch(struct batch_view *view)
{
    if (batch_axis_same_place(view->in[0], batch_axis_at(0, 1)) && batch_axis_others_known(view, 1, 1))
        batch_axis_all(view, view->in[0]);
}

const struct op_rule op_affine_grid = {
    .check = affine_check, .shape = affine_shape, .run = affine_run, .batch = affine_batch};
