/*
 * rebatch.h - models exported with a batch of 1: the batch axis is made free where the graph allows it.
 */
#ifndef ENGINE_REBATCH_H
#define ENGINE_REBATCH_H

#include "engine/model.h"

/* Are all inputs of batch 1, and outputs as far as the graph says? */
bool rebatch_fits(const struct graph *graph);

/* Frees the first axis of inputs and of the shapes that Reshape nodes have as constants, as
 * far as that changes nothing for a batch of 1; `dims` are the tensors of a plan for that, `longer` those of
 * one with free axes of another length, or NULL where none is free. False when memory is short. */
bool rebatch_graph(struct percept_model *model, const struct tensor *dims, const struct tensor *longer);

/* Puts back what rebatch_graph changed. */
void rebatch_undo(struct percept_model *model);

#endif
