/*
 * builder.h - a plan while it is being built: what the files that build it (planner.c, steps.c, convert.c,
 * scratch.c) hand around, and what nobody needs once it is done.
 *
 * Lives on the stack of planner.c for one build; its arrays run along the graph's values.
 */
#ifndef ENGINE_BUILDER_H
#define ENGINE_BUILDER_H

#include "engine/plan.h"

struct builder {
    struct plan *plan;
    const struct percept_model *model;
    const struct graph *graph;
    struct percept_err *err;
    struct arena temporary;
    int *buffer_of;            /* [n_values]: buffer index, or -1 */
    int *reads_left;           /* [n_values]: by nodes not yet planned */
    bool *kept;                /* [n_values]: never written over: an input, or seen through a view */
    bool *feed;                /* [n_values]: given to the graph from outside */
    struct tensor **converted; /* [n_values]: the value in the other layout, or NULL */
    int *converted_buffer;     /* [n_values] */
};

/* Makes the arrays, for plan->part's graph; builder_end is due whatever comes of it. */
bool builder_begin(struct builder *b);
void builder_end(struct builder *b);

/* False, with the sentence that memory is short. */
bool builder_short(struct builder *b);

/* `old`, an array of `*cap` elements of which n are in use, with room for one more; NULL when memory is
 * short. */
void *builder_grown(struct builder *b, void *old, int n, int *cap, size_t size);

/* A new buffer that is first, and so far last, used by the step that is appended next; -1, with a sentence, when memory
 * is short. */
int builder_buffer(struct builder *b, size_t n_bytes);

/* Appends a finished step. Its scratch gets a buffer that lives for this step alone. */
bool builder_step(struct builder *b, const struct step *step);

#endif
