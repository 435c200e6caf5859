/*
 * steps.h - one node of the graph, at known shapes -> the steps it takes.
 */
#ifndef ENGINE_STEPS_H
#define ENGINE_STEPS_H

#include "engine/builder.h"

enum steps_outcome {
    STEPS_FAILED, /* b->err says why */
    STEPS_WENT_ON,
    STEPS_STOPPED_BEFORE, /* the node must know data of a run: plan->demands says which */
    STEPS_STOPPED_AFTER,  /* only the node's run tells what comes out */
};

/* Plans node `index`. The nodes that it reads from were planned before. */
enum steps_outcome steps_of_node(struct builder *b, int index);

#endif
