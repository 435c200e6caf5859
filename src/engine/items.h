/*
 * items.h - a proof that a network keeps the items of a batch apart, without running it.
 */
#ifndef ENGINE_ITEMS_H
#define ENGINE_ITEMS_H

#include "engine/plan.h"

/* Do items along the first axis stay apart, from the inputs to all outputs? `two` and `many` are the values
 * of trial plans at two items and at n_many. False: not proved, for an operator is met that is not known here, or
 * memory is short. Before fusing; the main graph alone. */
bool items_apart(struct percept_model *model, const struct tensor *two, const struct tensor *many,
                 int64_t n_many);

#endif
