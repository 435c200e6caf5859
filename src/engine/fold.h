/*
 * fold.h - what is known when a model is opened is computed then.
 */
#ifndef ENGINE_FOLD_H
#define ENGINE_FOLD_H

#include "engine/model.h"

/* Finds the operator of every node of the graph and its subgraphs, lets each check itself, and runs those
 * whose inputs are all constant; their outputs become constants and the nodes removed. Adds the parts.
 * Operators that are missing are all named in one sentence. */
bool fold_graph(struct percept_model *model, struct graph *graph, struct percept_err *err);

/* Lets readers of an Identity, or of a Dropout that drops nothing, read what it reads. */
bool fold_identities(struct graph *graph, struct arena *arena, struct percept_err *err);

/* Marks nodes as removed whose outputs nobody reads. */
void fold_unused(struct graph *graph);

#endif
