/*
 * plan.h - shapes -> steps. A plan is what one set of input shapes makes of a graph: the steps to run,
 * every tensor's dims, and where in scratch memory each lies.
 *
 * A plan that ends before the graph does is completed during the run by a plan for the rest: plans form a
 * chain (chain.h). planner.h makes them.
 *
 * Owned by a frame, used by its holder. Building allocates from the plan's arena; running what is built
 * does not.
 */
#ifndef ENGINE_PLAN_H
#define ENGINE_PLAN_H

#include "engine/model.h"

/* A stretch of scratch that one tensor, or a step's own needs, take while they are alive. */
struct buffer {
    size_t n_bytes, offset;
    int first, last; /* steps, inclusive */
};

/* A tensor whose pointer is set when the plan is placed: into scratch, or (buffer -1) to where a tensor
 * of the plan before lies by then. */
struct placed {
    struct tensor *tensor;
    int buffer;
    const struct tensor *from;
};

/* A value that decided about the next plan. */
struct decided {
    int value;
    bool by_data;         /* else by its dims alone */
    struct tensor tensor; /* what it was; data in the next plan's arena */
};

struct plan {
    bool empty_input; /* of the model: it was given an axis without elements */
    struct arena arena;
    const struct part *part;
    struct tensor *values;    /* [n_values]: as each is known when the plan is done */
    bool *in_memory;          /* [n_values]: written by a run, known only then */
    struct tensor **feeds;    /* [n_feeds] where the caller writes; NULL for a plan that is not the first */
    struct tensor **outputs;  /* [n_outputs], always LAYOUT_PLAIN; NULL while nodes are left */
    int first_node, end_node; /* planned here: [first, end) */
    int n_steps, cap_steps;
    struct step *steps;
    int n_buffers, cap_buffers;
    struct buffer *buffers;
    int n_placed, cap_placed;
    struct placed *placed;
    int *step_buffer; /* [cap_steps]: the step's scratch, or -1 */
    size_t scratch_bytes;
    double flops;
    const char *base;        /* where the scratch lay when pointers were last set */
    uint32_t demands;        /* of node end_node, bit i: its input i's data decide about the rest */
    int n_decided;           /* what the next plan was built from */
    struct decided *decided; /* in the next plan's arena */
    struct plan *next;
    char *own_scratch;                   /* of a plan that is not the first; NULL for the first */
    bool depth_asked, depth_first;       /* was it judged whether items are run one after the other? (depth.h) */
    bool items_asked, items_independent; /* was a proof looked for at these shapes, and found? (items.h) */
};

/* Is there nothing left to plan? */
bool plan_complete(const struct plan *plan);

/* Frees the plan's memory and the chain behind it, the plan is empty again; the chain behind it alone. */
void plan_free(struct plan *plan);
void plan_free_next(struct plan *plan);

#endif
