/*
 * items.h - a proof that a network keeps the items of a batch apart, without running it.
 */
#ifndef ENGINE_ITEMS_H
#define ENGINE_ITEMS_H

#include "engine/plan.h"

struct items_proof {
    bool apart;
    const struct node *node; /* where it ends, or NULL: not at a node */
    const char *why;         /* a few words: "sums over the batch" */
};

/* Do items along the first axes stay apart, from the inputs to all outputs, at the shapes of `many`, whose batch is
 * n? `one` is the plan of an item of it. Plans of the main graph. Not apart too when memory is short. */
struct items_proof items_prove(const struct percept_model *model, const struct plan *one, const struct plan *many,
                               int64_t n);

/* The same at the shapes of a plan alone: what an item's are follows from them. */
struct items_proof items_prove_plan(const struct percept_model *model, const struct plan *many);

#endif
