/*
 * intake.h - the text that is read before one is made: through the model's encoder (companion.h), once.
 *
 *     intake_cut(job)           a worker's, or the loop's: the text becomes the encoder's inputs
 *     intake_begin(job, told)   the loop's: a child in the encoder's lane
 *     intake_give(...)          the loop's, for each step: its outputs, to inputs of the model
 *     intake_end(job)
 *
 * What the encoder is given depends on the text alone, so what comes of it does not depend on who shares its batches.
 */
#ifndef SERVE_INTAKE_H
#define SERVE_INTAKE_H

#include "serve/companion.h"

/* In the parent's arena; the child has one of its own. */
struct intake {
    struct job job;
    struct arena arena;
    struct companion *companion;
    const struct percept_tensor **sources; /* [inputs of the encoder] */
    int64_t n_tokens;                      /* of the text, without pads */
};

/* NULL: a sentence says why not. `text` stays as long as the job. */
struct intake *intake_cut(struct job *parent, struct bytes text, struct percept_err *err);

/* `told` comes once, when it has ended; job->user is the parent. */
void intake_begin(struct job *parent, struct intake *intake, void (*told)(struct job *job));

/* What an input of the model's is given by it; NULL: nothing. */
const struct percept_tensor *intake_give(const struct intake *intake, int input);

void intake_end(struct intake *intake);

#endif
