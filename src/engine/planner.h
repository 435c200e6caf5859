/*
 * planner.h - makes plans: walks a graph once, with known shapes.
 *
 * Thread: the loader, or the session's holder.
 */
#ifndef ENGINE_PLANNER_H
#define ENGINE_PLANNER_H

#include "engine/plan.h"

/* Of the main graph. inputs: [part's feeds] dtype and dims, data NULL. On failure the plan is empty again. */
bool planner_build(struct plan *plan, const struct percept_model *model, const struct part *part,
                   const struct tensor *inputs, struct percept_err *err);

/* The same of a body, whose inputs may be empty because of data; the model's own are told by the plan around it. */
bool planner_build_body(struct plan *plan, const struct percept_model *model, const struct part *part,
                        const struct tensor *inputs, bool empty_input, struct percept_err *err);

/* Builds the plan for what is left behind `before`, which has run: `plan` has its part and first node, and
 * before->decided says what is known. On failure the caller frees it. */
bool planner_continue(struct plan *plan, const struct percept_model *model, const struct plan *before,
                      struct percept_err *err);

#endif
