/*
 * boxes.c - see boxes.h. However many boxes a network gives, the BOXES_MOST best are held, in a heap whose top is the
 * one to go; so memory and time are bounded by what is asked for, not by what a network says. Greedy suppression
 * compares a box with those that are kept, not with all: with few kept it is nearly linear.
 *
 * Turned boxes are suppressed by any better one, kept or not, as the authors of the networks that give them do.
 */
#include "serve/boxes.h"

#include "base/err.h"

#include <math.h>
#include <stdlib.h>

#define FIRST_ROOM 256
#define OVERLAP_UNITS 1
#define TURNED_UNITS 8 /* of the watch: logarithms and roots */

bool boxes_begin(struct boxes *boxes, float threshold, bool turned, struct arena *arena, struct watch *watch,
                 struct percept_err *err)
{
    *boxes = (struct boxes){.threshold = threshold, .turned = turned, .arena = arena, .watch = watch};
    boxes->at = arena_array(arena, FIRST_ROOM, sizeof *boxes->at);
    boxes->room = FIRST_ROOM;
    return boxes->at || err_memory(err, "detections", FIRST_ROOM * sizeof *boxes->at);
}

/* Does a come before b? */
static bool is_better(const struct box *a, const struct box *b)
{
    if (a->score != b->score)
        return a->score > b->score;
    if (a->level != b->level)
        return a->level < b->level;
    return a->row != b->row ? a->row < b->row : a->index < b->index;
}

static void swap(struct box *a, struct box *b)
{
    struct box kept = *a;
    *a = *b;
    *b = kept;
}

static void sift_up(struct box *heap, int i)
{
    for (int parent; i > 0 && is_better(&heap[parent = (i - 1) / 2], &heap[i]); i = parent)
        swap(&heap[parent], &heap[i]);
}

static void sift_down(struct box *heap, int n)
{
    for (int i = 0, child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && is_better(&heap[child], &heap[child + 1]))
            child++;
        if (!is_better(&heap[i], &heap[child]))
            return;
        swap(&heap[i], &heap[child]);
    }
}

static bool grow(struct boxes *boxes)
{
    int room = boxes->room * 2 < BOXES_MOST ? boxes->room * 2 : BOXES_MOST;
    struct box *grown =
        arena_grow(boxes->arena, boxes->at, (size_t)boxes->room * sizeof *grown, (size_t)room * sizeof *grown);
    boxes->failed |= !grown;
    if (!grown)
        return false;
    boxes->at = grown;
    boxes->room = room;
    return true;
}

void boxes_add(struct boxes *boxes, const struct box *box)
{
    const float sum = box->left + box->top + box->right + box->bottom + box->angle;
    if (!(box->score > boxes->threshold) || !isfinite(box->score) || !isfinite(sum) || boxes->failed ||
        box->right < box->left || box->bottom < box->top)
        return;
    if (boxes->n == BOXES_MOST) {
        if (!is_better(box, &boxes->at[0]))
            return;
        boxes->at[0] = *box;
        sift_down(boxes->at, boxes->n);
        return;
    }
    if (boxes->n == boxes->room && !grow(boxes))
        return;
    boxes->at[boxes->n] = *box;
    sift_up(boxes->at, boxes->n++);
}

static float area(const struct box *box)
{
    return (box->right - box->left) * (box->bottom - box->top);
}

float boxes_overlap(const struct box *a, const struct box *b)
{
    float width = fminf(a->right, b->right) - fmaxf(a->left, b->left);
    float height = fminf(a->bottom, b->bottom) - fmaxf(a->top, b->top);
    if (!(width > 0 && height > 0))
        return 0;
    float both = width * height;
    return both / (area(a) + area(b) - both);
}

/* The covariance of a box's Gaussian. */
struct spread {
    double xx, yy, xy;
};

static struct spread spread_of(const struct box *box)
{
    double w = (double)(box->right - box->left), h = (double)(box->bottom - box->top);
    double a = w * w / 12, b = h * h / 12, c = cos((double)box->angle), s = sin((double)box->angle);
    return (struct spread){a * c * c + b * s * s, a * s * s + b * c * c, (a - b) * c * s};
}

float boxes_overlap_turned(const struct box *one, const struct box *other)
{
    const double least = 1e-7;
    struct spread p = spread_of(one), q = spread_of(other);
    double xx = p.xx + q.xx, yy = p.yy + q.yy, xy = p.xy + q.xy, det = xx * yy - xy * xy + least;
    double dx = (double)(one->left + one->right - other->left - other->right) / 2;
    double dy = (double)(one->top + one->bottom - other->top - other->bottom) / 2;
    double distant = (xx * dy * dy + yy * dx * dx - 2 * xy * dx * dy) / det / 4;
    double of_p = fmax(p.xx * p.yy - p.xy * p.xy, 0), of_q = fmax(q.xx * q.yy - q.xy * q.xy, 0);
    double unlike = 0.5 * log((xx * yy - xy * xy) / (4 * sqrt(of_p * of_q) + least) + least);
    double distance = fmin(fmax(distant + unlike, least), 100); /* Bhattacharyya's */
    return (float)(1 - sqrt(1 - exp(-distance) + least));
}

static int by_rank(const void *a, const void *b)
{
    const struct box *one = a, *other = b;
    return is_better(one, other) ? -1 : is_better(other, one) ? 1 : 0;
}

/* Is box i dropped by one of the first n? */
static bool is_dropped(struct boxes *boxes, const struct box *box, int n, enum manifest_nms nms, float overlap)
{
    for (int k = 0; k < n; k++) {
        const struct box *better = &boxes->at[k];
        if (nms == NMS_CLASS && better->index != box->index)
            continue;
        if (boxes->turned ? boxes_overlap_turned(box, better) >= overlap : boxes_overlap(box, better) > overlap)
            return true;
    }
    return false;
}

bool boxes_suppress(struct boxes *boxes, enum manifest_nms nms, float overlap, int most, struct percept_err *err)
{
    if (boxes->failed)
        return watch_over(boxes->watch) ? watch_refuse(boxes->watch, err)
                                        : err_memory(err, "detections", (size_t)boxes->n * sizeof *boxes->at);
    qsort(boxes->at, (size_t)boxes->n, sizeof *boxes->at, by_rank);
    struct box *kept = boxes->at;
    if (boxes->turned && nms != NMS_NONE) {
        kept = arena_array(boxes->arena, (size_t)boxes->n + 1, sizeof *kept);
        if (!kept)
            return err_memory(err, "detections", (size_t)boxes->n * sizeof *kept);
    }
    int n = 0;
    for (int i = 0; i < boxes->n && n < most; i++) {
        const struct box box = boxes->at[i];
        const int n_better = boxes->turned ? i : n;
        if (!watch_spend(boxes->watch, 1 + (int64_t)n_better * (boxes->turned ? TURNED_UNITS : OVERLAP_UNITS)))
            return watch_refuse(boxes->watch, err);
        if (nms == NMS_NONE || !is_dropped(boxes, &box, n_better, nms, overlap))
            kept[n++] = box;
    }
    boxes->at = kept;
    boxes->n = n;
    return true;
}
