/*
 * answer_values.h - the tasks regress and embed: an output's numbers as what they are, for each item.
 *
 * Threads: any, for the job it has. All lies in the job's arena.
 */
#ifndef SERVE_ANSWER_VALUES_H
#define SERVE_ANSWER_VALUES_H

#include "serve/job.h"
#include "serve/writer.h"

/* Verbs of both tasks (tasks.def). */
bool answer_values_make(struct job *job, const struct percept_tensor *results, const void **made,
                        struct percept_err *err);
void answer_values_write_regress(struct writer *w, const void *made);

/* Of two items also their similarity: the cosine of the angle between them. */
void answer_values_write_embed(struct writer *w, const void *made);

#endif
