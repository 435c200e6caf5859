/*
 * detect.c - what detectors do with boxes: NonMaxSuppression, RoiAlign, MaxRoiPool, com.microsoft's
 * CropAndResize.
 *
 * NonMaxSuppression finds out how many boxes are left only when it runs (OP_DATA_DIMS): shape
 * gives the most there can be. Per item and class a heap gives candidates in order of their
 * score, of equals the lower index, and each is compared with those that are selected already;
 * popping ends as soon as enough are selected. Item and class pairs are independent and write to
 * places of their own in the output, which are moved together at the end. A score that is NaN is
 * never selected.
 *
 * RoiAlign averages (or takes the maximum of) samples within the cells of a region. With
 * `sampling_ratio` 0 their number grows with the region, which comes from data: samples outside
 * the picture are zero, so only those inside are visited and no region makes a run endless. As
 * in ONNX's reference, `max` is that of the weighted corners, not of the interpolated values.
 * Positions are computed in the type of the tensors as everybody does, float or double: the number
 * of samples depends on the rounding. A region with coordinates that are not finite is zero.
 *
 * MaxRoiPool rounds the corners of a region to pixels, both of them inside, and takes the maxima of
 * cells that may share a row: each begins at a floor and ends at a ceiling. ONNX says no more than
 * that; the arithmetic is Caffe's, as ONNX Runtime has it. Regions name the item in their own first
 * number.
 *
 * CropAndResize is TensorFlow's: one sample per cell, the first and the last on the region's edges. Its
 * positions too are rounded as everybody rounds them, since what lies past the picture is another number.
 *
 * Thread: loader, then the session's holder with its team.
 */
#include "op/attr.h"
#include "op/weights.h"

#include <math.h>
#include <string.h>

/* --- NonMaxSuppression: check and shape --------------------------------------------------------------------------- */

struct nms {
    bool center; /* boxes are x, y of the centre, width, height; else two corners y, x, y, x */
};

struct nms_plan {
    int64_t items, classes, boxes, pairs;
    int64_t most; /* selected per pair */
    size_t counts_bytes, member_bytes;
};

static bool nms_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct nms *nms = op_priv(ctx, sizeof *nms, err);
    if (!nms)
        return false;
    return op_arity(ctx, 2, 5, 1, err) && attr_bool(ctx, "center_point_box", false, &nms->center, err);
}

static bool nms_inputs(const struct step *step, struct percept_err *err)
{
    static const enum percept_dtype dtypes[] = {PERCEPT_FLOAT, PERCEPT_FLOAT, PERCEPT_INT64, PERCEPT_FLOAT,
                                                PERCEPT_FLOAT};
    const struct tensor *boxes = step->in[0], *scores = step->in[1];
    for (int i = 0; i < step->n_in; i++) {
        if (!step->in[i])
            continue;
        if (!op_want_dtype(step, i, dtypes[i], err))
            return false;
        if (i > 1 && tensor_elements(step->in[i]) != 1)
            return err_set(err, ERR_MODEL, OP_AT "input %d is not one number", OP_NODE(step->node), i);
    }
    if (boxes->rank == 3 && scores->rank == 3 && boxes->dims[2] == 4 && boxes->dims[0] == scores->dims[0] &&
        boxes->dims[1] == scores->dims[2])
        return true;
    return err_set(err, ERR_INVALID, OP_AT "boxes must be [items,boxes,4] and scores [items,classes,boxes]",
                   OP_NODE(step->node));
}

/* max_output_boxes_per_class, or as many as there are boxes while that is not known. */
static int64_t nms_most(const struct step *step, int64_t boxes)
{
    const struct tensor *most = op_in(step, 2);
    if (!most)
        return 0;
    const int64_t given = most->data ? *(const int64_t *)most->data : boxes;
    return given < 0 ? 0 : given < boxes ? given : boxes;
}

static bool nms_shape(struct step *step, struct percept_err *err)
{
    struct nms_plan *plan = arena_alloc(step->arena, sizeof *plan);
    if (!plan)
        return err_memory(err, "a node's plan", sizeof *plan);
    if (!nms_inputs(step, err))
        return false;
    const struct tensor *scores = step->in[1];
    const int64_t members = step->members > 0 ? step->members : 1;
    *plan = (struct nms_plan){.items = scores->dims[0], .classes = scores->dims[1], .boxes = scores->dims[2]};
    plan->most = nms_most(step, plan->boxes);
    int64_t dims[] = {0, 3}, count, bytes;
    if (__builtin_mul_overflow(plan->items, plan->classes, &plan->pairs) ||
        __builtin_mul_overflow(plan->pairs, plan->most, &dims[0]) || !tensor_count(2, dims, &count) ||
        plan->pairs > INT64_MAX / 64 || __builtin_mul_overflow(plan->boxes, 8 * members, &bytes) ||
        bytes > INT64_MAX / 64)
        return err_set(err, ERR_INVALID, OP_AT "too many boxes and classes", OP_NODE(step->node));
    plan->counts_bytes = weights_round((size_t)plan->pairs * sizeof(int64_t));
    plan->member_bytes = weights_round((size_t)plan->boxes * sizeof(int64_t));
    op_set_out(step, 0, PERCEPT_INT64, 2, dims);
    step->out[0]->dynamic = true;
    step->scratch_bytes = plan->counts_bytes + plan->member_bytes * (size_t)members;
    step->state = plan;
    return true;
}

/* --- NonMaxSuppression: run --------------------------------------------------------------------------------------- */

struct box {
    float top, left, bottom, right;
};

static struct box read_box(const float *at, bool center)
{
    if (center)
        return (struct box){.top = at[1] - at[3] / 2,
                            .left = at[0] - at[2] / 2,
                            .bottom = at[1] + at[3] / 2,
                            .right = at[0] + at[2] / 2};
    return (struct box){.top = fminf(at[0], at[2]),
                        .left = fminf(at[1], at[3]),
                        .bottom = fmaxf(at[0], at[2]),
                        .right = fmaxf(at[1], at[3])};
}

static bool overlap(const struct box *a, const struct box *b, float threshold)
{
    const float height = fminf(a->bottom, b->bottom) - fmaxf(a->top, b->top);
    const float width = fminf(a->right, b->right) - fmaxf(a->left, b->left);
    const float area_a = (a->bottom - a->top) * (a->right - a->left);
    const float area_b = (b->bottom - b->top) * (b->right - b->left);
    if (!(height > 0 && width > 0 && area_a > 0 && area_b > 0))
        return false;
    const float both = height * width;
    return both / (area_a + area_b - both) > threshold;
}

static bool better(const float *scores, int64_t a, int64_t b)
{
    return scores[a] > scores[b] || (scores[a] == scores[b] && a < b);
}

/* The best one stands first. */
static void sink(const float *scores, int64_t *heap, int64_t n, int64_t at)
{
    for (int64_t child = 2 * at + 1; child < n; child = 2 * at + 1) {
        if (child + 1 < n && better(scores, heap[child + 1], heap[child]))
            child++;
        if (!better(scores, heap[child], heap[at]))
            return;
        const int64_t moved = heap[at];
        heap[at] = heap[child];
        heap[child] = moved;
        at = child;
    }
}

#define SINK_UNITS 128 /* a sift in watch_spend's units, where the heap does not fit the caches */

static int64_t make_heap(struct op_share *share, const float *scores, int64_t *heap)
{
    const struct step *step = share->step;
    const struct nms_plan *plan = step->state;
    const struct tensor *threshold = op_in(step, 4);
    int64_t n = 0;
    for (int64_t i = 0; i < plan->boxes && op_share_spend(share, 1); i++) {
        if (threshold ? scores[i] > *(const float *)threshold->data : !isnan(scores[i]))
            heap[n++] = i;
    }
    for (int64_t i = n / 2; i-- > 0 && op_share_spend(share, SINK_UNITS);)
        sink(scores, heap, n, i);
    return n;
}

/* One class of one item: rows (item, class, box) from `rows` on; how many. */
static int64_t select_boxes(struct op_share *share, int64_t pair, int64_t most, int64_t *heap, int64_t *rows)
{
    const struct step *step = share->step;
    const struct nms *nms = step->priv;
    const struct nms_plan *plan = step->state;
    const struct tensor *iou = op_in(step, 3);
    const float threshold = iou ? *(const float *)iou->data : 0;
    const int64_t item = pair / plan->classes;
    const float *scores = (const float *)step->in[1]->data + pair * plan->boxes;
    const float *boxes = (const float *)step->in[0]->data + item * plan->boxes * 4;
    int64_t n = make_heap(share, scores, heap), found = 0;
    while (n > 0 && found < most && op_share_spend(share, SINK_UNITS + found)) {
        const int64_t candidate = heap[0];
        heap[0] = heap[--n];
        sink(scores, heap, n, 0);
        const struct box box = read_box(boxes + 4 * candidate, nms->center);
        bool fresh = true;
        for (int64_t i = 0; fresh && i < found; i++) {
            const struct box other = read_box(boxes + 4 * rows[3 * i + 2], nms->center);
            fresh = !overlap(&box, &other, threshold);
        }
        if (!fresh)
            continue;
        rows[3 * found] = item;
        rows[3 * found + 1] = pair % plan->classes;
        rows[3 * found++ + 2] = candidate;
    }
    return found;
}

static void nms_pairs(void *arg, int64_t from, int64_t to, int member)
{
    struct op_share share = *(const struct op_share *)arg;
    const struct step *step = share.step;
    const struct nms_plan *plan = step->state;
    const int64_t asked = nms_most(step, plan->boxes); /* known by now */
    const int64_t most = asked < plan->most ? asked : plan->most;
    char *heaps = (char *)step->scratch + plan->counts_bytes;
    int64_t *counts = step->scratch;
    int64_t *heap = (int64_t *)(void *)(heaps + plan->member_bytes * (size_t)member);
    for (int64_t pair = from; pair < to; pair++)
        counts[pair] = select_boxes(&share, pair, most, heap, (int64_t *)step->out[0]->data + pair * plan->most * 3);
}

static bool nms_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct nms_plan *plan = step->state;
    int64_t *y = step->out[0]->data, found = 0;
    const bool any = plan->pairs > 0 && plan->most > 0;
    struct op_share share = op_share(step, env);
    if (any)
        team_split(env->team, plan->pairs, 1, nms_pairs, &share);
    if (watch_over(env->watch)) /* not all counts are there */
        return true;
    for (int64_t pair = 0; any && pair < plan->pairs; pair++) {
        const int64_t n = ((const int64_t *)step->scratch)[pair];
        memmove(y + 3 * found, y + 3 * pair * plan->most, (size_t)n * 3 * sizeof *y);
        found += n;
    }
    step->out[0]->dims[0] = found;
    return true;
}

const struct op_rule op_non_max_suppression = {
    .check = nms_check, .shape = nms_shape, .run = nms_run, .flags = OP_DATA_DIMS | OP_EXACT};

/* --- RoiAlign: check and shape ------------------------------------------------------------------------------------ */

struct roi {
    bool maximum, half_pixel;
    int64_t out[2], ratio;
    float scale;
};

/* A position along one axis: two neighbours and their weights. */
struct roi_sample {
    int64_t low, high;
    double low_weight, high_weight;
};

struct roi_plan {
    int64_t most[2]; /* samples inside the picture, per cell, along y and x */
    size_t member_bytes;
};

static bool roi_check(struct node_ctx *ctx, struct percept_err *err)
{
    static const char *const modes[] = {"avg", "max", NULL};
    static const char *const coordinates[] = {"output_half_pixel", "half_pixel", NULL};
    const int64_t most = (int64_t)1 << 20;
    int mode, coordinate;
    struct roi *roi = op_priv(ctx, sizeof *roi, err);
    if (!roi)
        return false;
    if (!op_arity(ctx, 3, 3, 1, err) || !attr_choice(ctx, "mode", 0, modes, &mode, err) ||
        !attr_choice(ctx, "coordinate_transformation_mode", ctx->node->opset >= 16, coordinates, &coordinate, err) ||
        !attr_int_in(ctx, "output_height", 1, 1, most, &roi->out[0], err) ||
        !attr_int_in(ctx, "output_width", 1, 1, most, &roi->out[1], err) ||
        !attr_int_in(ctx, "sampling_ratio", 0, 0, 1024, &roi->ratio, err) ||
        !attr_float(ctx, "spatial_scale", 1, &roi->scale, err))
        return false;
    roi->maximum = mode == 1;
    roi->half_pixel = coordinate == 1;
    return true;
}

static bool roi_inputs(const struct step *step, enum percept_dtype indices, struct percept_err *err)
{
    const struct tensor *x = step->in[0], *regions = step->in[1], *items = step->in[2];
    if (!op_want_real(step, 0, err) || !op_want_dtype(step, 1, x->dtype, err) || !op_want_dtype(step, 2, indices, err))
        return false;
    if (x->rank != 4 || regions->rank != 2 || regions->dims[1] != 4 || items->rank != 1 ||
        items->dims[0] != regions->dims[0])
        return err_set(err, ERR_INVALID,
                       OP_AT "a picture [items,channels,height,width], regions [n,4] and batch "
                             "indices [n] would work",
                       OP_NODE(step->node));
    return true;
}

static bool roi_shape(struct step *step, struct percept_err *err)
{
    const struct roi *roi = step->priv;
    const struct tensor *x = step->in[0];
    struct roi_plan *plan = arena_alloc(step->arena, sizeof *plan);
    if (!plan)
        return err_memory(err, "a node's plan", sizeof *plan);
    if (!roi_inputs(step, PERCEPT_INT64, err))
        return false;
    const int64_t dims[] = {step->in[1]->dims[0], x->dims[1], roi->out[0], roi->out[1]};
    int64_t count;
    if (!tensor_count(4, dims, &count) || x->dims[2] > INT32_MAX || x->dims[3] > INT32_MAX)
        return err_set(err, ERR_INVALID, OP_AT "the output or the picture is too large", OP_NODE(step->node));
    if (count > 0 && x->dims[2] * x->dims[3] == 0)
        return err_set(err, ERR_INVALID, OP_AT "the picture is empty", OP_NODE(step->node));
    for (int i = 0; i < 2; i++) /* free ratio: samples lie more than half a pixel apart */
        plan->most[i] = roi->ratio ? roi->ratio : 2 * x->dims[2 + i] + 8;
    plan->member_bytes = weights_round((size_t)(plan->most[0] + plan->most[1]) * sizeof(struct roi_sample));
    op_set_out(step, 0, x->dtype, 4, dims);
    step->scratch_bytes = plan->member_bytes * (size_t)(step->members > 0 ? step->members : 1);
    step->state = plan;
    return true;
}

/* --- RoiAlign: run ------------------------------------------------------------------------------------------------ */

/* One axis of a region, in pixels of the picture. */
struct roi_axis {
    bool wide; /* doubles */
    double start, cell;
    double samples; /* per cell; not above 0: none */
};

/* What a number is in the tensors' type. Of two floats, a sum, a product or a quotient that is
 * computed in double and rounded once more is what float arithmetic would have made. */
static double kept(bool wide, double x)
{
    return wide ? x : (double)(float)x;
}

static struct roi_axis region_axis(const struct roi *roi, bool wide, double from, double to, int64_t cells)
{
    const double offset = roi->half_pixel ? 0.5 : 0, scale = (double)roi->scale;
    const double start = kept(wide, kept(wide, from * scale) - offset);
    double size = kept(wide, kept(wide, kept(wide, to * scale) - offset) - start);
    if (!roi->half_pixel && size < 1)
        size = 1;
    const double cell = kept(wide, size / (double)cells);
    double samples = roi->ratio ? (double)roi->ratio : ceil(cell);
    if (!isfinite(start) || !isfinite(size))
        samples = 0;
    return (struct roi_axis){.wide = wide, .start = start, .cell = cell, .samples = samples};
}

static bool sample_at(bool wide, double at, int64_t n, struct roi_sample *sample)
{
    if (!(at >= -1 && at <= kept(wide, (double)n)))
        return false;
    at = fmax(at, 0);
    int64_t low = (int64_t)at;
    if (low >= n - 1) {
        low = n - 1;
        at = kept(wide, (double)low);
    }
    sample->low = low;
    sample->high = low < n - 1 ? low + 1 : low;
    sample->high_weight = kept(wide, at - kept(wide, (double)low));
    sample->low_weight = kept(wide, 1 - sample->high_weight);
    return true;
}

/* The samples of one cell that lie in the picture. */
static int64_t cell_samples(const struct roi_axis *axis, int64_t cell, int64_t n, int64_t most,
                            struct roi_sample *samples)
{
    if (!(axis->samples > 0))
        return 0;
    const bool wide = axis->wide;
    const double start = kept(wide, axis->start + kept(wide, (double)cell * axis->cell));
    const double step = axis->cell / axis->samples;
    double first = 0, last = axis->samples - 1;
    if (axis->samples > 1024 && step > 0) { /* skip what is surely outside */
        first = fmax(first, ceil((-1 - start) / step - 0.5) - 1);
        last = fmin(last, floor(((double)n - start) / step - 0.5) + 1);
    }
    const double visits = fmin(last - first + 1, 2 * (double)n + 1024);
    int64_t found = 0;
    for (int64_t i = 0; (double)i < visits && found < most; i++) {
        const double k = kept(wide, kept(wide, first + (double)i) + 0.5);
        const double within = kept(wide, kept(wide, k * axis->cell) / kept(wide, axis->samples));
        found += sample_at(wide, kept(wide, start + within), n, &samples[found]);
    }
    return found;
}

/* The four weighted corners of sample (i, j), in the order low low, low high, high low, high high:
 * `max` compares them, `avg` adds them up. In `max`, samples outside count as zero. */
#define ROI_CELL(T, name, infinity, larger)                                                                            \
    static T average_##name(const T *map, int64_t width, const struct roi_sample *y, int64_t n_y,                      \
                            const struct roi_sample *x, int64_t n_x, double samples)                                   \
    {                                                                                                                  \
        T sum = 0;                                                                                                     \
        for (int64_t i = 0; i < n_y; i++) {                                                                            \
            const T *low = map + y[i].low * width, *high = map + y[i].high * width;                                    \
            const T above = (T)y[i].low_weight, below = (T)y[i].high_weight;                                           \
            for (int64_t j = 0; j < n_x; j++) {                                                                        \
                const T left = (T)x[j].low_weight, right = (T)x[j].high_weight;                                        \
                sum += above * (left * low[x[j].low] + right * low[x[j].high]) +                                       \
                       below * (left * high[x[j].low] + right * high[x[j].high]);                                      \
            }                                                                                                          \
        }                                                                                                              \
        return sum / (T)fmax(samples, 1);                                                                              \
    }                                                                                                                  \
    static T maximum_##name(const T *map, int64_t width, const struct roi_sample *y, int64_t n_y,                      \
                            const struct roi_sample *x, int64_t n_x, double samples)                                   \
    {                                                                                                                  \
        T best = (double)n_y * (double)n_x < samples || samples <= 0 ? 0 : -infinity;                                  \
        for (int64_t i = 0; i < n_y; i++) {                                                                            \
            const T *low = map + y[i].low * width, *high = map + y[i].high * width;                                    \
            const T above = (T)y[i].low_weight, below = (T)y[i].high_weight;                                           \
            for (int64_t j = 0; j < n_x; j++) {                                                                        \
                const T left = (T)x[j].low_weight, right = (T)x[j].high_weight;                                        \
                best = larger(best, above * left * low[x[j].low]);                                                     \
                best = larger(best, above * right * low[x[j].high]);                                                   \
                best = larger(best, below * left * high[x[j].low]);                                                    \
                best = larger(best, below * right * high[x[j].high]);                                                  \
            }                                                                                                          \
        }                                                                                                              \
        return best;                                                                                                   \
    }

ROI_CELL(float, floats, HUGE_VALF, fmaxf)
ROI_CELL(double, doubles, HUGE_VAL, fmax)

/* One cell of a region in all channels. */
#define ROI_MAPS(T, name)                                                                                              \
    {                                                                                                                  \
        const T *map = (const T *)x->data + item * channels * height * width;                                          \
        T *y = (T *)out->data + region * channels * cells + cell;                                                      \
        for (int64_t c = 0; c < channels; c++, map += height * width, y += cells)                                      \
            *y = maximum ? maximum_##name(map, width, ys, n_y, xs, n_x, samples)                                       \
                         : average_##name(map, width, ys, n_y, xs, n_x, samples);                                      \
    }

static int64_t item_at(const struct tensor *items, int64_t i)
{
    return items->dtype == PERCEPT_INT64 ? ((const int64_t *)items->data)[i] : ((const int32_t *)items->data)[i];
}

static void cell_maps(const struct step *step, int64_t at, const struct roi_sample *ys, int64_t n_y,
                      const struct roi_sample *xs, int64_t n_x, double samples, bool maximum)
{
    const struct tensor *x = step->in[0], *out = step->out[0];
    const int64_t channels = x->dims[1], height = x->dims[2], width = x->dims[3];
    const int64_t cells = out->dims[2] * out->dims[3], region = at / cells, cell = at % cells;
    const int64_t item = item_at(step->in[2], region);
    if (x->dtype == PERCEPT_DOUBLE)
        ROI_MAPS(double, doubles)
    else
        ROI_MAPS(float, floats)
}

static double edge_at(const struct tensor *regions, int64_t i)
{
    return regions->dtype == PERCEPT_DOUBLE ? ((const double *)regions->data)[i]
                                            : (double)((const float *)regions->data)[i];
}

static void roi_cells(void *arg, int64_t from, int64_t to, int member)
{
    const struct step *step = arg;
    const struct roi *roi = step->priv;
    const struct roi_plan *plan = step->state;
    const struct tensor *x = step->in[0];
    const int64_t height = x->dims[2], width = x->dims[3], cells = roi->out[0] * roi->out[1];
    const bool wide = x->dtype == PERCEPT_DOUBLE;
    struct roi_sample *ys = (struct roi_sample *)(void *)((char *)step->scratch + plan->member_bytes * (size_t)member);
    struct roi_sample *xs = ys + plan->most[0];
    for (int64_t at = from; at < to; at++) {
        const int64_t region = at / cells, cell = at % cells;
        double edges[4];
        for (int i = 0; i < 4; i++)
            edges[i] = edge_at(step->in[1], 4 * region + i);
        const struct roi_axis down = region_axis(roi, wide, edges[1], edges[3], roi->out[0]);
        const struct roi_axis across = region_axis(roi, wide, edges[0], edges[2], roi->out[1]);
        const int64_t n_y = cell_samples(&down, cell / roi->out[1], height, plan->most[0], ys);
        const int64_t n_x = cell_samples(&across, cell % roi->out[1], width, plan->most[1], xs);
        const double samples = fmax(down.samples, 0) * fmax(across.samples, 0);
        cell_maps(step, at, ys, n_y, xs, n_x, samples, roi->maximum);
    }
}

/* The regions' items are judged, then their cells are given to the team. */
static bool run_cells(struct step *step, struct run_env *env, team_work *work, struct percept_err *err)
{
    const struct tensor *out = step->out[0];
    const int64_t items = step->in[0]->dims[0];
    for (int64_t i = 0; i < out->dims[0]; i++) {
        const int64_t item = item_at(step->in[2], i);
        if (item < 0 || item >= items)
            return err_set(err, ERR_DATA, OP_AT "batch index %lld of region %lld is outside [0, %lld)",
                           OP_NODE(step->node), (long long)item, (long long)i, (long long)items);
    }
    if (tensor_elements(out) > 0)
        team_split(env->team, out->dims[0] * out->dims[2] * out->dims[3], 1, work, step);
    return true;
}

static bool roi_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    return run_cells(step, env, roi_cells, err);
}

const struct op_rule op_roi_align = {.check = roi_check, .shape = roi_shape, .run = roi_run};

/* --- CropAndResize ------------------------------------------------------------------------------------------------ */

struct crop {
    int nearest;
    float beyond; /* what is seen outside the picture */
};

static bool crop_check(struct node_ctx *ctx, struct percept_err *err)
{
    static const char *const modes[] = {"bilinear", "nearest", NULL};
    struct crop *crop = op_priv(ctx, sizeof *crop, err);
    return crop && op_arity(ctx, 4, 4, 1, err) && attr_choice(ctx, "mode", 0, modes, &crop->nearest, err) &&
           attr_float(ctx, "extrapolation_value", 0, &crop->beyond, err);
}

static bool crop_shape(struct step *step, struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    int64_t size[2], count;
    int n;
    if (!roi_inputs(step, PERCEPT_INT32, err) || !op_ints(step, 3, 2, size, &n, err))
        return false;
    if (n != 2)
        return err_set(err, ERR_MODEL, OP_AT "the size has %d numbers; a height and a width would work",
                       OP_NODE(step->node), n);
    const int64_t dims[] = {step->in[1]->dims[0], x->dims[1], size[0], size[1]};
    if (!tensor_count(4, dims, &count))
        return err_set(err, ERR_INVALID, OP_AT "the size is negative or too large", OP_NODE(step->node));
    op_set_out(step, 0, x->dtype, 4, dims);
    return true;
}

/* Where a cell looks along axis i of a picture, which is 1 long in the regions' eyes; a cell alone looks at
 * the region's middle. False: past the picture. */
static bool crop_axis(const struct step *step, int64_t region, int i, int64_t cell, struct roi_sample *sample)
{
    const struct crop *crop = step->priv;
    const bool wide = step->in[0]->dtype == PERCEPT_DOUBLE;
    const int64_t cells = step->out[0]->dims[2 + i], pixels = step->in[0]->dims[2 + i];
    const double first = edge_at(step->in[1], 4 * region + i);
    const double last = edge_at(step->in[1], 4 * region + 2 + i), reach = (double)(pixels - 1);
    double at = kept(wide, last * reach);
    if (cells == 1) {
        at = kept(wide, 0.5 * kept(wide, first + last) * reach);
    } else if (cell < cells - 1) {
        const double all = kept(wide, kept(wide, last - first) * reach);
        const double before = kept(wide, (double)cell * kept(wide, all / (double)(cells - 1)));
        at = kept(wide, kept(wide, first * reach) + before);
    }
    if (!(at >= 0 && at <= reach))
        return false;
    if (crop->nearest) { /* halves of one pixel are that pixel, infinite or not */
        sample->low = sample->high = (int64_t)round(at);
        sample->low_weight = sample->high_weight = 0.5;
        return true;
    }
    return sample_at(wide, at, pixels, sample);
}

static void crop_cells(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const struct crop *crop = step->priv;
    const struct tensor *out = step->out[0];
    const int64_t cells = out->dims[2] * out->dims[3];
    for (int64_t at = from; at < to; at++) {
        const int64_t region = at / cells, cell = at % cells;
        struct roi_sample y, x;
        if (crop_axis(step, region, 0, cell / out->dims[3], &y) &&
            crop_axis(step, region, 1, cell % out->dims[3], &x)) {
            cell_maps(step, at, &y, 1, &x, 1, 1, false);
            continue;
        }
        for (int64_t c = 0, i = region * out->dims[1] * cells + cell; c < out->dims[1]; c++, i += cells) {
            if (out->dtype == PERCEPT_DOUBLE)
                ((double *)out->data)[i] = (double)crop->beyond;
            else
                ((float *)out->data)[i] = crop->beyond;
        }
    }
}

static bool crop_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    return run_cells(step, env, crop_cells, err);
}

const struct op_rule op_crop_and_resize = {.check = crop_check, .shape = crop_shape, .run = crop_run};

/* --- MaxRoiPool --------------------------------------------------------------------------------------------------- */

struct roi_pool {
    int64_t out[2];
    float scale;
};

static bool roi_pool_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct roi_pool *pool = op_priv(ctx, sizeof *pool, err);
    const int64_t *out;
    int n;
    if (!pool || !op_arity(ctx, 2, 2, 1, err) || !attr_ints(ctx, "pooled_shape", &out, &n, err) ||
        !attr_float(ctx, "spatial_scale", 1, &pool->scale, err))
        return false;
    if (n != 2 || out[0] < 1 || out[1] < 1)
        return err_set(err, ERR_MODEL, OP_AT "attribute 'pooled_shape' must be a height and a width of 1 or more",
                       OP_NODE(ctx->node));
    if (!(pool->scale > 0) || !isfinite(pool->scale))
        return err_set(err, ERR_MODEL, OP_AT "attribute 'spatial_scale' is %g; a number above 0 works",
                       OP_NODE(ctx->node), (double)pool->scale);
    memcpy(pool->out, out, sizeof pool->out);
    return true;
}

static bool roi_pool_shape(struct step *step, struct percept_err *err)
{
    const struct roi_pool *pool = step->priv;
    const struct tensor *x = step->in[0], *regions = step->in[1];
    int64_t count;
    if (!op_want_real(step, 0, err) || !op_want_dtype(step, 1, x->dtype, err))
        return false;
    if (x->rank != 4 || regions->rank != 2 || regions->dims[1] != 5)
        return err_set(err, ERR_INVALID, OP_AT "a picture [items,channels,height,width] and regions [n,5] would work",
                       OP_NODE(step->node));
    const int64_t dims[] = {regions->dims[0], x->dims[1], pool->out[0], pool->out[1]};
    if (!tensor_count(4, dims, &count))
        return err_set(err, ERR_INVALID, OP_AT "the output would be too large", OP_NODE(step->node));
    op_set_out(step, 0, x->dtype, 4, dims);
    return true;
}

/* Pixels [*from, *to) of one axis that a cell sees; none where a corner is not finite. */
static void cell_pixels(const struct step *step, double first, double last, int axis, int64_t cell, int64_t *from,
                        int64_t *to)
{
    const struct roi_pool *pool = step->priv;
    const bool wide = step->in[0]->dtype == PERCEPT_DOUBLE;
    const double scale = (double)pool->scale, most = 0x1p31;
    const double n = (double)step->in[0]->dims[2 + axis];
    const double start = fmax(fmin(round(kept(wide, first * scale)), most), -most);
    const double end = fmax(fmin(round(kept(wide, last * scale)), most), -most);
    const double size = kept(wide, fmax(end - start + 1, 1));
    const double each = kept(wide, size / kept(wide, (double)pool->out[axis]));
    const double low = floor(kept(wide, kept(wide, (double)cell) * each));
    const double high = ceil(kept(wide, kept(wide, (double)(cell + 1)) * each));
    *from = (int64_t)fmin(fmax(low + start, 0), n);
    *to = isfinite(first) && isfinite(last) ? (int64_t)fmin(fmax(high + start, 0), n) : 0;
}

/* One cell of a region in all channels: 0 where it sees nothing, NaN where it sees one. */
#define ROI_POOL(T, infinity)                                                                                          \
    {                                                                                                                  \
        const T *map = (const T *)x->data + (int64_t)edge[0] * x->dims[1] * pixels;                                    \
        T *y = (T *)step->out[0]->data + region * x->dims[1] * cells + cell;                                           \
        for (int64_t c = 0; c < x->dims[1]; c++, map += pixels, y += cells) {                                          \
            T best = top < bottom && left < right ? -infinity : 0;                                                     \
            for (int64_t i = top; i < bottom; i++) {                                                                   \
                for (int64_t j = left; j < right; j++) {                                                               \
                    const T seen = map[i * x->dims[3] + j];                                                            \
                    best = seen <= best || isnan(best) ? best : seen;                                                  \
                }                                                                                                      \
            }                                                                                                          \
            *y = best;                                                                                                 \
        }                                                                                                              \
    }

static void roi_pool_cells(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const struct roi_pool *pool = step->priv;
    const struct tensor *x = step->in[0];
    const int64_t pixels = x->dims[2] * x->dims[3], cells = pool->out[0] * pool->out[1];
    for (int64_t at = from; at < to; at++) {
        const int64_t region = at / cells, cell = at % cells;
        int64_t top, bottom, left, right;
        double edge[5]; /* the item; x, y of two corners */
        for (int i = 0; i < 5; i++)
            edge[i] = edge_at(step->in[1], 5 * region + i);
        cell_pixels(step, edge[2], edge[4], 0, cell / pool->out[1], &top, &bottom);
        cell_pixels(step, edge[1], edge[3], 1, cell % pool->out[1], &left, &right);
        if (x->dtype == PERCEPT_DOUBLE)
            ROI_POOL(double, HUGE_VAL)
        else
            ROI_POOL(float, HUGE_VALF)
    }
}

static bool roi_pool_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct roi_pool *pool = step->priv;
    const int64_t n = step->in[1]->dims[0], items = step->in[0]->dims[0];
    for (int64_t i = 0; i < n; i++) {
        const double item = trunc(edge_at(step->in[1], 5 * i));
        if (!(item >= 0 && item < (double)items)) /* NaN is no item */
            return err_set(err, ERR_DATA, OP_AT "batch index %g of region %lld is outside [0, %lld)",
                           OP_NODE(step->node), item, (long long)i, (long long)items);
    }
    if (tensor_elements(step->out[0]) > 0)
        team_split(env->team, n * pool->out[0] * pool->out[1], 1, roi_pool_cells, step);
    return true;
}

const struct op_rule op_max_roi_pool = {.check = roi_pool_check, .shape = roi_pool_shape, .run = roi_pool_run};
