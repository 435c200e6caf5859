/*
 * answer.h - what a manifest's task makes of a job's outputs. One row per task in tasks.def.
 *
 * Threads: any, for the job it has. What is made lies in the job's arena.
 */
#ifndef SERVE_ANSWER_H
#define SERVE_ANSWER_H

#include "serve/job.h"
#include "serve/writer.h"

/* What was made of one job's outputs; `made` is the task's own. */
struct answer {
    enum manifest_task task; /* TASK_NONE: nothing was made, or nothing was wanted */
    const void *made;
};

/* Does the task make something of pictures that stands for the outputs, so that who posts one has no use for those? */
bool answer_is_whole(const struct served *served);

/* By the manifest's task, where job->predictions says that it is wanted and the outputs that are replied allow it.
 * False when memory is short, nobody waits any more, or masks are asked of a model that has none. */
bool answer_make(struct job *job, const struct percept_tensor *results, struct answer *answer, struct percept_err *err);

/* As members of the reply's object, behind others: ',"predictions":[...]'; or nothing. */
void answer_write(struct writer *w, const struct answer *answer);

/* The manifest's labels of an output, or else those that the model itself has for it. */
struct answer_labels {
    int n;
    const char *const *texts;
};
struct answer_labels answer_labels(const struct job *job, int output);

struct answer_prediction {
    const char *label; /* NULL when the manifest has none for it */
    int64_t index;
    float score;
};

/* What the task classify made: `made` of its answer. */
struct answer_classes {
    int64_t n_items;
    int k;                                /* of each, at most */
    const int *n;                         /* [n_items] that the threshold lets through */
    const struct answer_prediction *best; /* [n_items][k] */
};

/* The best `k` of n scores after the activation, best first, equal ones by index; returns how many.
 * NaN ranks last. When the watch (or NULL) is over, anything. Labels may have gaps (NULL). */
int answer_classify(const float *scores, int64_t n, enum manifest_activation activation, int k,
                    const char *const *labels, int n_labels, struct answer_prediction *best, struct watch *watch);

/* The output that the task reads, if it is among those replied and its type has scores; -1. */
int answer_scores(const struct job *job, const struct percept_tensor *results);

/* Makers and writers of single tasks. answer_ctc.c: the texts that steps of classes spell. */
bool answer_ctc_make(struct job *job, const struct percept_tensor *results, const void **made, struct percept_err *err);
void answer_ctc_write(struct writer *w, const void *made);

/* answer_speech.c: segments of a sound. */
bool answer_speech_make(struct job *job, const struct percept_tensor *results, const void **made,
                        struct percept_err *err);
void answer_speech_write(struct writer *w, const void *made);

/* answer_text.c: the posted text in pieces. */
bool answer_text_make(struct job *job, const struct percept_tensor *results, const void **made,
                      struct percept_err *err);
void answer_text_write(struct writer *w, const void *made);

#endif
