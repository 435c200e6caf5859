/*
 * known.h - a step by itself, run on the spot when all that it needs is known.
 *
 * Thread: the loader, or the session's holder.
 */
#ifndef ENGINE_KNOWN_H
#define ENGINE_KNOWN_H

#include "op/op.h"

/* A step of the node whose arrays, and what its shape allocates, are the arena's. The caller points in[] and out[] to
 * tensors and may set more. False when memory is short. */
bool known_step(struct step *step, const struct node *node, const struct kernels *kernels, struct arena *arena);

/* Does the operator let itself be run early at all? */
bool known_lets(const struct op *op);

/* After shape: does it, with all inputs known and all layouts plain? */
bool known_ready(const struct step *step);

/* Of all inputs and of all outputs together; false if that is more than memory can be. */
bool known_bytes(const struct step *step, size_t *in_bytes, size_t *out_bytes);

/* Gives outputs their memory from the step's arena and runs it. */
bool known_run(struct step *step, struct percept_err *err);

#endif
