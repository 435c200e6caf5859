/*
 * scratch.h - where a plan's tensors lie: buffers with lives while the plan is built, offsets when it is
 * whole, pointers when the memory is there.
 *
 * The time of a life is the index of a step; "now" is the step that is appended next.
 */
#ifndef ENGINE_SCRATCH_H
#define ENGINE_SCRATCH_H

#include "engine/builder.h"

/* The tensor's data lie in this buffer. */
bool scratch_lies(struct builder *b, struct tensor *tensor, int buffer);

/* The tensor's data lie where another's, of the plan before, lie by then. */
bool scratch_follows(struct builder *b, struct tensor *tensor, const struct tensor *from);

/* A new buffer for the tensor. */
bool scratch_reserve(struct builder *b, struct tensor *tensor, int *buffer);

/* The buffer lives until now at least; to the end of the run. Both take -1: no buffer of ours. */
void scratch_used(struct builder *b, int buffer);
void scratch_keep(struct builder *b, int buffer);

/* Gives every buffer its offset; false when the whole is over the model's limit. */
bool scratch_place_all(struct builder *b);

/* Sets every pointer of the plan into the memory at `base`, 64-byte aligned, of plan->scratch_bytes. */
void scratch_place(struct plan *plan, char *base);

#endif
