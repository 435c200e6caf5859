/*
 * plan.h - shapes -> steps. A plan is what one set of input shapes makes of a graph: the steps to run,
 * every tensor's dims, and where in the session's scratch memory each lies.
 *
 * Owned by a session, used by its holder. Building allocates from the plan's arena; running does not.
 */
#ifndef ENGINE_PLAN_H
#define ENGINE_PLAN_H

#include "engine/model.h"

/* A stretch of scratch that one tensor, or a step's own needs, take while they are alive. */
struct buffer {
    size_t n_bytes, offset;
    int first, last; /* steps, inclusive */
};

struct placed {
    struct tensor *tensor;
    int buffer;
};

struct plan {
    struct arena arena;
    const struct part *part;
    struct tensor *values; /* [n_values]: as each is known when the plan is done */
    struct tensor **outputs; /* [n_outputs], always LAYOUT_PLAIN */
    int n_steps, cap_steps;
    struct step *steps;
    int n_buffers, cap_buffers;
    struct buffer *buffers;
    int n_placed, cap_placed;
    struct placed *placed;   /* tensors that lie in scratch */
    int *step_buffer;        /* [cap_steps]: the step's scratch, or -1 */
    size_t scratch_bytes;
    double flops;
    const char *base; /* where the scratch lay when pointers were last set */
};

/* inputs: [graph's inputs] dtype and dims, data NULL. On failure the plan is empty again. */
bool plan_build(struct plan *plan, const struct percept_model *model, const struct part *part,
                const struct tensor *inputs, struct percept_err *err);

/* Sets every pointer into the scratch memory at `base`, 64-byte aligned, of plan->scratch_bytes. */
void plan_place(struct plan *plan, char *base);

void plan_free(struct plan *plan);

#endif
