/*
 * answer_image.h - the task image: a network's output as pictures.
 *
 * Threads: any, for the job it has. All lies in the job's arena.
 */
#ifndef SERVE_ANSWER_IMAGE_H
#define SERVE_ANSWER_IMAGE_H

#include "serve/job.h"
#include "serve/writer.h"

struct imaged {
    int64_t n_items;
    const struct picture *items;
};

/* Verbs of the task (tasks.def): `made` is a struct imaged. */
bool answer_image_make(struct job *job, const struct percept_tensor *results, const void **made,
                       struct percept_err *err);
void answer_image_write(struct writer *w, const void *made);

#endif
