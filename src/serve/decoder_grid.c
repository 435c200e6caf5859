/*
 * decoder_grid.c - detectors whose boxes belong to the cells of grids laid over the input: the YOLO family, NanoDet,
 * YuNet, SCRFD.
 *
 * A grid has the cells of a stride: cell (x, y) is x * stride pixels from the left. Which strides a network has is
 * found from how many boxes it gives for the input's size; an input that gives another number is refused. Rows run over
 * x, then y, then the strides. Rows look at the watch.
 */
#include "serve/decoder.h"

#include "base/err.h"

#include <inttypes.h>
#include <math.h>

/* Along one axis; an edge that is no whole stride has a cell of its own. */
static int64_t cells(int pixels, int stride)
{
    return ((int64_t)pixels + stride - 1) / stride;
}

static bool no_grid(const struct decoding *d, int64_t n_rows, struct percept_err *err)
{
    return err_set(err, ERR_CONFIG,
                   "the decoder finds no grids with %" PRId64
                   " boxes over an input of %d x %d pixels: is it the one of "
                   "this network?",
                   n_rows, d->height, d->width);
}

static void add_grid(struct decoding *d, int stride, int64_t anchors, int64_t first)
{
    const int64_t width = cells(d->width, stride);
    d->grids[d->n_grids++] = (struct decoder_grid){.stride = stride,
                                                   .width = width,
                                                   .first = first,
                                                   .n_cells = width * cells(d->height, stride),
                                                   .anchors = anchors};
}

/* Grids behind each other in one plane. */
static bool find_grids(struct decoding *d, int64_t n_rows, struct percept_err *err)
{
    static const int sets[][MANIFEST_LEVELS] = {
        {8, 16, 32}, {8, 16, 32, 64}, {4, 8, 16, 32}, {8, 16, 32, 64, 128}, {16, 32}};
    for (size_t s = 0; s < sizeof sets / sizeof *sets; s++) {
        int64_t n = 0;
        d->n_grids = 0;
        for (int i = 0; i < MANIFEST_LEVELS && sets[s][i]; i++) {
            add_grid(d, sets[s][i], 1, n);
            n += d->grids[i].n_cells;
        }
        if (n == n_rows)
            return true;
    }
    return no_grid(d, n_rows, err);
}

/* A plane for each grid, of `anchors` boxes a cell. */
static bool find_levels(struct decoding *d, int64_t most_anchors, struct percept_err *err)
{
    for (int level = 0; level < d->n_levels; level++) {
        const int64_t n_rows = d->planes[ROLE_BOXES][level].n_rows;
        int stride = level ? d->grids[level - 1].stride * 2 : 4;
        int64_t anchors = 0;
        for (; stride <= 128 && !anchors; stride *= 2)
            for (int64_t a = 1; a <= most_anchors && !anchors; a++)
                if (cells(d->width, stride) * cells(d->height, stride) * a == n_rows &&
                    (!level || a == d->grids[0].anchors))
                    anchors = a;
        if (!anchors)
            return no_grid(d, n_rows, err);
        add_grid(d, stride / 2, anchors, 0);
        for (int role = 0; role < MANIFEST_ROLES; role++)
            if (d->planes[role][level].at && d->planes[role][level].n_rows != n_rows)
                return no_grid(d, d->planes[role][level].n_rows, err);
    }
    return true;
}

/* --- one plane ---------------------------------------------------------------------------------------------------- */

/* Boxes as they are; `first` is the column of the first class. */
static bool plain(struct decoding *d, int64_t first, struct percept_err *err)
{
    const struct plane *plane = &d->planes[ROLE_BOXES][0];
    const int64_t end = d->first_extra ? d->first_extra : plane->n_columns;
    for (int64_t row = 0; row < plane->n_rows; row++) {
        if (!watch_spend(d->watch, end))
            return watch_refuse(d->watch, err);
        struct box box = {.row = row};
        float numbers[4];
        for (int i = 0; i < 4; i++)
            numbers[i] = plane_get(plane, row, i);
        decoder_place(d, numbers, &box);
        if (d->manifest->detect.obb)
            box.angle = plane_get(plane, row, d->first_extra);
        decoder_add_best(d, &box, plane, first, end - first, first == 5 ? plane_get(plane, row, 4) : 1);
    }
    return true;
}

/* [4 + classes + x, N], box first. */
bool decoder_grid_yolov8(struct decoding *d, struct percept_err *err)
{
    return plain(d, 4, err);
}

/* [N, 5 + classes + x], the fifth is the objectness. */
bool decoder_grid_yolov5(struct decoding *d, struct percept_err *err)
{
    return plain(d, 5, err);
}

/* The same, the centre in strides from the cell's corner, the size's logarithm. */
bool decoder_grid_yolox(struct decoding *d, struct percept_err *err)
{
    const struct plane *plane = &d->planes[ROLE_BOXES][0];
    if (!find_grids(d, plane->n_rows, err))
        return false;
    for (int g = 0; g < d->n_grids; g++) {
        const struct decoder_grid *grid = &d->grids[g];
        const float stride = (float)grid->stride;
        for (int64_t i = 0; i < grid->n_cells; i++) {
            if (!watch_spend(d->watch, plane->n_columns))
                return watch_refuse(d->watch, err);
            const int64_t row = grid->first + i;
            const float x = (plane_get(plane, row, 0) + (float)(i % grid->width)) * stride;
            const float y = (plane_get(plane, row, 1) + (float)(i / grid->width)) * stride;
            const float w = expf(plane_get(plane, row, 2)) * stride, h = expf(plane_get(plane, row, 3)) * stride;
            struct box box = {.left = x - w / 2, .top = y - h / 2, .right = x + w / 2, .bottom = y + h / 2, .row = row};
            decoder_add_best(d, &box, plane, 5, plane->n_columns - 5, plane_get(plane, row, 4));
        }
    }
    return true;
}

/* --- distances from a point --------------------------------------------------------------------------------------- */

/* The mean of a distribution over n bins, of which the logits are given: generalized focal loss (Li et al., 2020). */
static float mean_of(const struct plane *plane, int64_t row, int64_t first, int64_t n)
{
    float largest = -INFINITY, sum = 0, mean = 0;
    for (int64_t i = 0; i < n; i++)
        largest = fmaxf(largest, plane_get(plane, row, first + i));
    for (int64_t i = 0; i < n; i++) {
        const float part = expf(plane_get(plane, row, first + i) - largest);
        sum += part;
        mean += (float)i * part;
    }
    return mean / sum;
}

/* A class's score: as it is, or its sigmoid. */
static float score_of(const struct decoding *d, float value)
{
    return d->manifest->task_activation == ACTIVATION_SIGMOID ? 1 / (1 + expf(-value)) : value;
}

/* The cells of one grid: scores in columns 0.., four distributions behind column `first` of `boxes`. Each class above
 * the threshold is a detection of its own, as it is to the network's authors. */
static bool nanodet(struct decoding *d, const struct decoder_grid *grid, int level, const struct plane *scores,
                    int64_t n_classes, const struct plane *boxes, int64_t first, float shift, struct percept_err *err)
{
    const float stride = (float)grid->stride;
    const int64_t n_bins = (boxes->n_columns - first) / 4;
    for (int64_t i = 0; i < grid->n_cells; i++) {
        if (!watch_spend(d->watch, n_classes))
            return watch_refuse(d->watch, err);
        const float x = (float)(i % grid->width) * stride + shift, y = (float)(i / grid->width) * stride + shift;
        struct box box = {.row = grid->first + i, .level = level};
        bool placed = false;
        for (int64_t c = 0; c < n_classes; c++) {
            const float score = score_of(d, plane_get(scores, box.row, c));
            if (!(score > d->manifest->threshold))
                continue;
            if (!placed) {
                box.left = x - mean_of(boxes, box.row, first, n_bins) * stride;
                box.top = y - mean_of(boxes, box.row, first + n_bins, n_bins) * stride;
                box.right = x + mean_of(boxes, box.row, first + 2 * n_bins, n_bins) * stride;
                box.bottom = y + mean_of(boxes, box.row, first + 3 * n_bins, n_bins) * stride;
                placed = true;
            }
            decoder_add(d, &box, (float)c, score);
        }
    }
    return true;
}

bool decoder_grid_nanodet(struct decoding *d, struct percept_err *err)
{
    if (!find_levels(d, 1, err))
        return false;
    for (int level = 0; level < d->n_levels; level++) {
        const struct plane *scores = &d->planes[ROLE_SCORES][level];
        const float shift = (float)(d->grids[level].stride - 1) / 2;
        if (!nanodet(d, &d->grids[level], level, scores, scores->n_columns, &d->planes[ROLE_BOXES][level], 0, shift,
                     err))
            return false;
    }
    return true;
}

/* [N, classes + 4 * 8], points at the cells' corners. */
bool decoder_grid_nanodet_plus(struct decoding *d, struct percept_err *err)
{
    const struct plane *plane = &d->planes[ROLE_BOXES][0];
    const int64_t n_classes = plane->n_columns - 32;
    if (!find_grids(d, plane->n_rows, err))
        return false;
    for (int g = 0; g < d->n_grids; g++)
        if (!nanodet(d, &d->grids[g], 0, plane, n_classes, plane, n_classes, 0, err))
            return false;
    return true;
}

/* --- faces -------------------------------------------------------------------------------------------------------- */

/* The centre in strides from the cell's corner, the size's logarithm. */
bool decoder_grid_yunet(struct decoding *d, struct percept_err *err)
{
    if (!find_levels(d, 1, err))
        return false;
    for (int level = 0; level < d->n_levels; level++) {
        const struct decoder_grid *grid = &d->grids[level];
        const struct plane *boxes = &d->planes[ROLE_BOXES][level], *scores = &d->planes[ROLE_SCORES][level];
        const struct plane *objects = &d->planes[ROLE_OBJECTS][level];
        const float s = (float)grid->stride;
        for (int64_t i = 0; i < grid->n_cells; i++) {
            if (!watch_spend(d->watch, 8))
                return watch_refuse(d->watch, err);
            const float x = (plane_get(boxes, i, 0) + (float)(i % grid->width)) * s;
            const float y = (plane_get(boxes, i, 1) + (float)(i / grid->width)) * s;
            const float w = expf(plane_get(boxes, i, 2)) * s, h = expf(plane_get(boxes, i, 3)) * s;
            struct box box = {.left = x - w / 2, .top = y - h / 2, .right = x + w / 2, .bottom = y + h / 2};
            box.row = i;
            box.level = level;
            decoder_add_best(d, &box, scores, 0, scores->n_columns, objects->at ? plane_get(objects, i, 0) : 1);
        }
    }
    return true;
}

/* Distances in strides from the cell's corner; boxes of a cell lie behind each other. */
bool decoder_grid_scrfd(struct decoding *d, struct percept_err *err)
{
    if (!find_levels(d, 2, err))
        return false;
    for (int level = 0; level < d->n_levels; level++) {
        const struct decoder_grid *grid = &d->grids[level];
        const struct plane *boxes = &d->planes[ROLE_BOXES][level], *scores = &d->planes[ROLE_SCORES][level];
        const float s = (float)grid->stride;
        for (int64_t row = 0; row < boxes->n_rows; row++) {
            if (!watch_spend(d->watch, 8))
                return watch_refuse(d->watch, err);
            const int64_t cell = row / grid->anchors;
            const float x = (float)(cell % grid->width) * s, y = (float)(cell / grid->width) * s;
            struct box box = {.left = x - plane_get(boxes, row, 0) * s, .top = y - plane_get(boxes, row, 1) * s};
            box.right = x + plane_get(boxes, row, 2) * s;
            box.bottom = y + plane_get(boxes, row, 3) * s;
            box.row = row;
            box.level = level;
            decoder_add_best(d, &box, scores, 0, scores->n_columns, 1);
        }
    }
    return true;
}
