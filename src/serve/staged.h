/*
 * staged.h - a served name without a network of its own that runs others, stage by stage (stages.h).
 *
 * A job of it is a parent (job.h). staged_begin starts the stages whose inputs are there, as children, each a job in
 * its model's own lane; when one has ended those that waited for it are started; when all have, the job is answered
 * with the values that are the chain's outputs. One that fails ends the job, with the stage's name before the reason. A
 * job keeps the instances of models that it began with.
 *
 * Threads: the loop's. What stages make lies in arenas of their own, which go when nobody needs them any more, the last
 * ones with staged_end.
 */
#ifndef SERVE_STAGED_H
#define SERVE_STAGED_H

#include "serve/job.h"
#include "serve/depends.h"
#include "serve/stages.h"

#define STAGED_DEPTH_MAX 4 /* chains whose stages are chains */

struct staged_step {
    const struct stage *stage;
    int part;
    /* of the model's inputs, its outputs: values; -1: the input needs none, the output is not used */
    int n_inputs, n_outputs;
    int *inputs, *outputs;
};

/* How it runs; immutable once it is fitted (staged_fit.h). */
struct staged {
    const struct stages *stages;
    struct stages_plan plan;
    struct staged_step *at; /* [stages->n] */
    int *inputs, *outputs;  /* values, by served_own_inputs and served_own_outputs */
    int depth;              /* 1: no stage is a chain */
};

/* served->begin and served->end of a chain. */
void staged_begin(struct job *job);
void staged_end(struct job *job);

#endif
