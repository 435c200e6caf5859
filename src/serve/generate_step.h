/*
 * generate_step.h - one run of a network over tokens: which tokens and states it is given, and what of it is kept.
 *
 * A step is a child of the generation's job (job.h), so it shares batches with the steps of others. It has an arena of
 * its own, whose states are read by the step behind it; so whoever makes steps lets two take turns.
 *
 * Threads: the loop's; generate_step_scores and generate_step_keep are for its encoder, on a worker.
 */
#ifndef SERVE_GENERATE_STEP_H
#define SERVE_GENERATE_STEP_H

#include "serve/intake.h"

struct generate_step {
    struct job job;
    struct arena arena;
    const struct percept_tensor **sources;
    struct percept_tensor tokens;
    struct job *parent;
    void *user;     /* its maker's */
    int64_t n_fed;  /* tokens that this step gives the network */
    int64_t chosen; /* the next one */
    int n_best;     /* of search.c: the best that may be next */
    struct beam_candidate *best;
};

/* What a step is made of. */
struct generate_step_order {
    struct job *parent;
    const struct intake *intake;        /* NULL: there is no encoder */
    const struct generate_step *before; /* NULL: it is the first */
    const int64_t *tokens;              /* that the network has not been given yet: */
    int64_t n_tokens;                   /* all go where it takes any length, else one */
    const struct encoder *encoder;      /* what is made of its outputs */
    void (*told)(struct job *job);      /* job->user is the step */
    void *user;
};

/* Starts it. What it held before is given back. False, with a sentence, where memory is short: it is not started. */
bool generate_step_begin(struct generate_step *step, const struct generate_step_order *order, struct percept_err *err);

/* The scores behind the last token it was given: the last row, of so many tokens. */
bool generate_step_scores(const struct job *job, const struct percept_tensor *results, const float **scores, int64_t *n,
                          struct percept_err *err);

/* Keeps the states of its outputs, and no others. */
bool generate_step_keep(struct job *job, const struct percept_tensor *results, struct percept_err *err);

/* The description of what takes tokens; NULL: the manifest has none. */
const struct manifest_text *generate_step_text(const struct served *served);

/* An input, an output by its name, and which it is; NULL. */
const struct percept_io *generate_step_input(const struct served *served, const char *name, int *at);
const struct percept_io *generate_step_output(const struct served *served, const char *name, int *at);

#endif
