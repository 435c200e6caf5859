/*
 * items.h - a proof that a network keeps the items of a batch apart, without running it.
 */
#ifndef ENGINE_ITEMS_H
#define ENGINE_ITEMS_H

#include "engine/plan.h"

struct items_proof {
    bool independent;
    const struct node *node; /* where it ends, or NULL: not at a node */
    const char *why;         /* a few words: "sums over the batch" */
};

/* Do items stay apart from the inputs to all outputs, along the batch_axis of each, at the shapes of `many`, which has
 * n of them? `one` is the plan of an item of it. Plans of the main graph. Not apart too when memory is short. An
 * output whose batch_axis is -1 may have them along any; `axes` [n_outputs] or NULL: where they are, if they are. */
struct items_proof items_prove(const struct percept_model *model, const struct plan *one, const struct plan *many,
                               int64_t n, int *axes);

/* The same at the shapes of a plan alone: what an item's are follows from them. Not apart where the model has no
 * batch. */
struct items_proof items_prove_plan(const struct percept_model *model, const struct plan *many);

#endif
