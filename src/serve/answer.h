/*
 * answer.h - what a manifest's task makes of an output: scores -> labels.
 */
#ifndef SERVE_ANSWER_H
#define SERVE_ANSWER_H

#include "serve/job.h"

struct answer_prediction {
    const char *label; /* NULL when the manifest has none for it */
    int64_t index;
    float score;
};

/* The best `k` of n scores after the activation, best first, equal ones by index; returns how many.
 * NaN ranks last. When the watch (or NULL) is over, anything. */
int answer_classify(const float *scores, int64_t n, enum manifest_activation activation, int k,
                    const char *const *labels, int n_labels, struct answer_prediction *best, struct watch *watch);

#endif
