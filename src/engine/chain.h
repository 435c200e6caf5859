/*
 * chain.h - plans that go on during a run. Where a shape depends on data (a Reshape to a computed shape,
 * what NonZero found, an If), a plan ends early; the plan for the rest hangs behind it.
 */
#ifndef ENGINE_CHAIN_H
#define ENGINE_CHAIN_H

#include "engine/plan.h"

/* The plan for what is left, after `plan` has run: the one that is there, if data and dims are still what
 * it was built from, else a new one, which replaces it. Its pointers are set. */
struct plan *chain_next(struct plan *plan, const struct percept_model *model, struct percept_err *err);

#endif
