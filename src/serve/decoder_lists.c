/*
 * decoder_lists.c - detectors that list what they found: a box for each query or detection, whether its class stands
 * beside it or is the best of its scores. The lists' lengths are the network's; what is beyond a count that it gives is
 * not read.
 */
#include "serve/decoder.h"

#include "base/err.h"

#include <inttypes.h>
#include <math.h>

static bool same_length(const struct decoding *d, int role, struct percept_err *err)
{
    const int64_t n = d->planes[role][0].n_rows, n_boxes = d->planes[ROLE_BOXES][0].n_rows;
    return n == n_boxes || err_set(err, ERR_CONFIG,
                                   "the network gives %" PRId64 " boxes and %" PRId64 " scores or "
                                   "classes; a detection has one of each",
                                   n_boxes, n);
}

static void place(const struct decoding *d, int64_t row, int64_t first, struct box *box)
{
    float numbers[4];
    for (int i = 0; i < 4; i++)
        numbers[i] = plane_get(&d->planes[ROLE_BOXES][0], row, first + i);
    *box = (struct box){.row = row};
    decoder_place(d, numbers, box);
}

/* A box, a score and a class each; perhaps how many there are. */
bool decoder_lists(struct decoding *d, struct percept_err *err)
{
    const struct plane *scores = &d->planes[ROLE_SCORES][0], *classes = &d->planes[ROLE_CLASSES][0];
    const struct plane *count = &d->planes[ROLE_COUNT][0];
    int64_t n = d->planes[ROLE_BOXES][0].n_rows;
    if (!same_length(d, ROLE_SCORES, err) || (classes->at && !same_length(d, ROLE_CLASSES, err)))
        return false;
    if (count->at && count->n_rows > 0 && !(count->at[0] > (float)n))
        n = count->at[0] >= 0 ? (int64_t)count->at[0] : 0;
    for (int64_t row = 0; row < n; row++) {
        if (!watch_spend(d->watch, 8))
            return watch_refuse(d->watch, err);
        struct box box;
        place(d, row, 0, &box);
        decoder_add(d, &box, classes->at ? plane_get(classes, row, 0) : (float)d->manifest->class_offset,
                    plane_get(scores, row, 0));
    }
    return true;
}

/* Boxes [N,4], scores [N,C]: the best class of each. */
bool decoder_lists_scored(struct decoding *d, struct percept_err *err)
{
    const struct plane *scores = &d->planes[ROLE_SCORES][0];
    if (!same_length(d, ROLE_SCORES, err))
        return false;
    for (int64_t row = 0; row < scores->n_rows; row++) {
        if (!watch_spend(d->watch, scores->n_columns + 4))
            return watch_refuse(d->watch, err);
        struct box box;
        place(d, row, 0, &box);
        decoder_add_best(d, &box, scores, 0, scores->n_columns, 1);
    }
    return true;
}

/* Every class of a query that is above the threshold: of Q * C the best ones are the detections. */
static bool each_class(struct decoding *d, struct percept_err *err)
{
    const struct plane *scores = &d->planes[ROLE_SCORES][0];
    for (int64_t row = 0; row < scores->n_rows; row++) {
        if (!watch_spend(d->watch, scores->n_columns + 4))
            return watch_refuse(d->watch, err);
        struct box box;
        place(d, row, 0, &box);
        for (int64_t c = 0; c < scores->n_columns; c++) {
            const float value = plane_get(scores, row, c);
            const bool as_is = d->manifest->task_activation == ACTIVATION_NONE;
            decoder_add(d, &box, (float)c, as_is ? value : 1 / (1 + expf(-value)));
        }
    }
    return true;
}

/* The most likely class but for the last one, which is none. */
static bool best_but_last(struct decoding *d, struct percept_err *err)
{
    const struct plane *scores = &d->planes[ROLE_SCORES][0];
    for (int64_t row = 0; row < scores->n_rows; row++) {
        if (!watch_spend(d->watch, 2 * scores->n_columns + 4))
            return watch_refuse(d->watch, err);
        struct box box;
        float largest = -INFINITY, sum = 0, best = -INFINITY;
        int64_t class = -1;
        place(d, row, 0, &box);
        for (int64_t c = 0; c < scores->n_columns; c++)
            largest = fmaxf(largest, plane_get(scores, row, c));
        for (int64_t c = 0; c < scores->n_columns; c++) {
            const float value = plane_get(scores, row, c);
            sum += expf(value - largest);
            if (c + 1 < scores->n_columns && c >= d->manifest->class_offset && value > best) {
                best = value;
                class = c;
            }
        }
        if (class >= 0)
            decoder_add(d, &box, (float)class, expf(best - largest) / sum);
    }
    return true;
}

bool decoder_lists_detr(struct decoding *d, struct percept_err *err)
{
    if (!same_length(d, ROLE_SCORES, err))
        return false;
    return d->manifest->task_activation == ACTIVATION_SOFTMAX ? best_but_last(d, err) : each_class(d, err);
}

/* [N, 4 + classes]: box and scores in one row. */
bool decoder_lists_rtdetr(struct decoding *d, struct percept_err *err)
{
    return decoder_grid_yolov8(d, err);
}

/* Six numbers in a row, of which four are the box. */
static bool rows_of(struct decoding *d, int64_t box_at, int64_t score_at, int64_t class_at, struct percept_err *err)
{
    const struct plane *plane = &d->planes[ROLE_BOXES][0];
    for (int64_t row = 0; row < plane->n_rows; row++) {
        if (!watch_spend(d->watch, plane->n_columns))
            return watch_refuse(d->watch, err);
        struct box box;
        place(d, row, box_at, &box);
        if (d->manifest->detect.obb)
            box.angle = plane_get(plane, row, d->first_extra);
        decoder_add(d, &box, plane_get(plane, row, class_at), plane_get(plane, row, score_at));
    }
    return true;
}

/* x1 y1 x2 y2 score class, and what follows. */
bool decoder_lists_rows(struct decoding *d, struct percept_err *err)
{
    return rows_of(d, 0, 4, 5, err);
}

/* class score x1 y1 x2 y2 */
bool decoder_lists_paddle(struct decoding *d, struct percept_err *err)
{
    return rows_of(d, 2, 1, 0, err);
}
