/*
 * trial.h - plans at made-up shapes, while a model is opened.
 */
#ifndef ENGINE_TRIAL_H
#define ENGINE_TRIAL_H

#include "engine/plan.h"

/* The length that made-up inputs give to free axes other than the batch's. */
int64_t trial_length(const struct percept_model *model);

/* Plans the main graph with `batch` for free batch axes (those that are tried). False when the model cannot work;
 * true without a plan (values and outputs NULL) when guesses did not. */
bool trial_plan(struct percept_model *model, int64_t batch, struct plan *plan, struct percept_err *err);

/* The first trial, at two or what else works: later ones take the lengths of free axes from it. As trial_plan;
 * without a plan too where it works at 1 alone. */
bool trial_first(struct percept_model *model, struct plan *plan, int64_t *batch, struct percept_err *err);

/* The first trial again, of one item, with other free axes twice as long: what is 1 in both is no coincidence.
 * False where that fails; true without a plan where no other axis is free. */
bool trial_longer(struct percept_model *model, struct plan *plan);

#define TRIAL_ONES 8

/* The first trial again, at its batch, with one free axis of length 1, and others of its name: what is equal in all of
 * them is not spread there. Of models with several inputs, whose axes have the same length in a trial by chance; what
 * the batch is must be known. plans: [TRIAL_ONES]; how many could be made, none where there is one axis alone. */
int trial_ones(struct percept_model *model, int64_t batch, struct plan *plans);

#endif
