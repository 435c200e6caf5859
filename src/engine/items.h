/*
 * items.h - a proof that a network keeps the items of a batch apart, without running it.
 */
#ifndef ENGINE_ITEMS_H
#define ENGINE_ITEMS_H

#include "engine/plan.h"

/* The values of trial plans at one item, at two and at n_many. */
struct items_trials {
    const struct tensor *one, *two, *many;
    int64_t n_many;
};

/* Do items along the first axis stay apart, from the inputs to all outputs? False: not proved, for an operator is
 * met that is not known here, or memory is short. Before fusing; the main graph alone. */
bool items_apart(struct percept_model *model, const struct items_trials *trials);

#endif
