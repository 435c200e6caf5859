/*
 * facts.h - what the graph of a file says about its inputs and outputs without being run: the activation that an output
 * went through, the order of a picture's axes. percept_io tells them.
 */
#ifndef ENGINE_FACTS_H
#define ENGINE_FACTS_H

#include "engine/model.h"

/* Fills activation, has_exp and layout of the model's described inputs and outputs, from the graph before it is fused.
 * False when memory is short. Thread: the loader's. */
bool facts_find(struct percept_model *model);

#endif
