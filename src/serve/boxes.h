/*
 * boxes.h - detections: the best ones of many, those that overlap dropped.
 *
 *     struct boxes boxes;
 *     boxes_begin(&boxes, threshold, arena, watch, &err)
 *     boxes_add(&boxes, &box)  ...                      any number; BOXES_MOST best are kept
 *     boxes_suppress(&boxes, NMS_CLASS, 0.45f, 300)     best first, without overlaps
 *
 * Overlap is intersection over union; of turned boxes the similarity of their Gaussians (probabilistic IoU: Llerena et
 * al., "Gaussian Bounding Boxes and Probabilistic Intersection-over-Union", 2021).
 *
 * Threads: any, one at a time. Boxes lie in the arena that was given.
 */
#ifndef SERVE_BOXES_H
#define SERVE_BOXES_H

#include "base/arena.h"
#include "base/watch.h"
#include "serve/manifest.h"

#define BOXES_MOST 30000 /* that take part in the suppression */

struct box {
    float left, top, right, bottom; /* before it is turned */
    float angle;                    /* radians about its centre, from x to y; of turned boxes */
    float score;
    int32_t index; /* its class */
    int32_t level; /* where the network has the rest of what it says of it */
    int64_t row;
};

struct boxes {
    struct box *at; /* a heap with the least on top, until they are sorted */
    int n, room;
    float threshold;
    bool turned;
    struct arena *arena;
    struct watch *watch;
    bool failed; /* memory was short, or the watch is over */
};

bool boxes_begin(struct boxes *boxes, float threshold, bool turned, struct arena *arena, struct watch *watch,
                 struct percept_err *err);

/* Those whose score is not above the threshold, or that have no place, since they have an edge that is no number, are
 * let go. */
void boxes_add(struct boxes *boxes, const struct box *box);

/* Best first, equal ones as the network has them; of those that overlap by more than `overlap` the best, and `most` in
 * all. False when memory was short or the watch is over. */
bool boxes_suppress(struct boxes *boxes, enum manifest_nms nms, float overlap, int most, struct percept_err *err);

/* Intersection over union; 0 where one has no area. */
float boxes_overlap(const struct box *a, const struct box *b);

/* The same of turned boxes, as Gaussians. */
float boxes_overlap_turned(const struct box *a, const struct box *b);

#endif
