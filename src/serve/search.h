/*
 * search.h - a beam search (beam.h) over a network: each text that lives is a step of its own (generate_step.h), so
 * they share batches with each other and with anybody's. States go with the text that they belong to.
 *
 * Threads: the loop's. Part of the generation's job, which is the parent of all steps.
 */
#ifndef SERVE_SEARCH_H
#define SERVE_SEARCH_H

#include "serve/beam.h"
#include "serve/generate_step.h"

struct search {
    /* given */
    struct beam beam; /* its first fields */
    struct job *parent;
    const struct intake *intake; /* NULL: there is no encoder */
    const int64_t *prompt;       /* tokens before the first that is made */
    int64_t n_prompt;
    double penalty;                                                  /* of repetition */
    bool probabilities;                                              /* the network scores by them */
    void (*over)(struct job *parent, const struct percept_err *err); /* once; err NULL: beam.texts are there */

    /* its own */
    int64_t n_fed;               /* of the prompt */
    struct generate_step *steps; /* [2][width] */
    int turn, n_under_way;
    bool ended;
};

/* In the parent's arena. */
bool search_reserve(struct search *search, struct percept_err *err);

void search_begin(struct search *search);

/* Gives back what its steps hold; once the job is done. */
void search_end(struct search *search);

#endif
