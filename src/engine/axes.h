/*
 * axes.h - along which axis of each input and output the items of a batch lie.
 */
#ifndef ENGINE_AXES_H
#define ENGINE_AXES_H

#include "engine/plan.h"

/* Is the first axis of all inputs a batch of items that are proved apart, or said to be by the model's owner? `two` is
 * the trial of two. The model is described by then, and learns what was found. */
bool axes_first(struct percept_model *model, const struct plan *two);

/* The same of all axes that it may be, in turn. `trial` is the first one, of *batch items along first axes; where
 * others are found it is one of two items along these instead. `told`: why first axes are none was found before. */
bool axes_find(struct percept_model *model, struct plan *trial, int64_t *batch, bool told);

#endif
