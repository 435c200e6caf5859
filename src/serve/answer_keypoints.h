/*
 * answer_keypoints.h - the task keypoints: where the joints or landmarks of the one that a picture shows are, in the
 * pixels of the picture that was posted; in those of the input where tensors were.
 *
 * Threads: any, for the job it has. All lies in the job's arena.
 */
#ifndef SERVE_ANSWER_KEYPOINTS_H
#define SERVE_ANSWER_KEYPOINTS_H

#include "serve/answer_detect.h"

/* Verbs of the task (tasks.def): `made` is a struct detected, `bare`, with one detection for each item. */
bool answer_keypoints_make(struct job *job, const struct percept_tensor *results, const void **made,
                           struct percept_err *err);
void answer_keypoints_write(struct writer *w, const void *made);

#endif
