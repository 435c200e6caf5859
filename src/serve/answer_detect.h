/*
 * answer_detect.h - the task detect: what was found in each item, best first, in the pixels of the picture that was
 * posted; in those of the input where tensors were.
 *
 * Threads: any, for the job it has. All lies in the job's arena.
 */
#ifndef SERVE_ANSWER_DETECT_H
#define SERVE_ANSWER_DETECT_H

#include "serve/mask.h"
#include "serve/writer.h"

struct detection {
    const char *label; /* NULL: the manifest has none for it */
    int32_t index;
    float score;
    float left, top, right, bottom; /* clipped to the picture, unless it is turned */
    float angle;                    /* radians about the centre, from x to y */
    const float *points;            /* [n_points, point_size]: x, y and perhaps a score */
    struct mask mask;               /* where masks were asked for */
};

/* Of one item. */
struct detections {
    int n;
    const struct detection *at;
    int width, height; /* of the picture; 0: unknown */
};

struct detected {
    int64_t n_items;
    const struct detections *items;
    bool turned;
    bool bare;         /* points alone: there are no boxes, classes and names */
    float least_point; /* score from which on a point is drawn */
    int n_points, point_size;
    enum job_masks masks;
    int64_t n_mask_pixels;      /* that were looked at for them */
    struct tracks_marks *marks; /* the job's, filled when it is written */
};

/* Pixels of the network's input, whose size it also tells, to those of the posted picture, rounded to hundredths. */
void answer_detect_input_size(const struct job *job, int64_t item, int *width, int *height);
void answer_detect_map_points(const struct job *job, int64_t item, float *points, int n, int size);

/* Verbs of the task (tasks.def): `made` is a struct detected. */
bool answer_detect_make(struct job *job, const struct percept_tensor *results, const void **made,
                        struct percept_err *err);
void answer_detect_write(struct writer *w, const void *made);

#endif
