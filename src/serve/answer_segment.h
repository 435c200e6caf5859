/*
 * answer_segment.h - the task segment: which class each pixel of the posted picture is, or how much of it belongs to
 * what the network cuts out.
 *
 * Threads: any, for the job it has. All lies in the job's arena.
 */
#ifndef SERVE_ANSWER_SEGMENT_H
#define SERVE_ANSWER_SEGMENT_H

#include "serve/job.h"
#include "serve/writer.h"

struct segment {
    const char *label; /* NULL: the manifest has none for it */
    int index;
    int64_t pixels;
    float share; /* of the picture's pixels, 0..1 */
};

/* Of one item. */
struct segments {
    struct picture map; /* one channel: the network's class, or 0..255 of what is cut out */
    bool is_alpha;
    float least; /* of what is cut out: levels above count */
    int n;       /* classes that are there but for the background, by their numbers */
    const struct segment *at;
};

struct segmented {
    int64_t n_items;
    const struct segments *items;
};

/* Verbs of the task (tasks.def): `made` is a struct segmented. */
bool answer_segment_make(struct job *job, const struct percept_tensor *results, const void **made,
                         struct percept_err *err);
void answer_segment_write(struct writer *w, const void *made);

#endif
