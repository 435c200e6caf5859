/*
 * describe.h - a model's description, filled while it is opened.
 */
#ifndef ENGINE_DESCRIBE_H
#define ENGINE_DESCRIBE_H

#include "engine/items.h"

/* From the graph as it was read. False when memory is short. */
bool describe_model(struct percept_model *model, size_t file_bytes);

/* Types of outputs, and ranks that the file leaves open, from a trial plan; one without outputs tells
 * nothing. Their batch axes are free, whatever the file says. */
void describe_outputs(struct percept_model *model, const struct plan *trial);

/* Whether there is a batch that may be joined, by proof or else by the owner's word, and why not. Gives what it
 * finds. */
bool describe_batch(struct percept_model *model, const struct items_proof *proof, bool word);

/* What the file calls the columns of outputs. False when memory is short. */
bool describe_labels(struct percept_model *model);

/* Once the weights are packed. False when memory is short. */
bool describe_packed(struct percept_model *model);

#endif
