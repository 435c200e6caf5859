/*
 * builder.c - what every part of building a plan needs: arrays along the graph's values, lists that grow,
 * and the one place where a step is written down.
 *
 * Two memories. What the plan keeps (steps, tensors, the lists themselves) comes from the plan's arena and
 * dies with the plan; what only the building looks at comes from `temporary` and is gone when it ends, good
 * or bad. Lists double: an arena never takes memory back, so all that was outgrown adds up to no more than
 * the list itself.
 *
 * A step that is appended is final: the index it gets is the time by which lives of buffers are told
 * (scratch.c), so steps are appended in the order in which they will run.
 *
 * Not here: what steps a node becomes (steps.c), where memory lies (scratch.c).
 */
#include "engine/builder.h"

#define ALIGN 64

bool builder_begin(struct builder *b)
{
    const struct graph *graph = b->graph;
    size_t n = (size_t)graph->n_values + 1;
    b->buffer_of = arena_array(&b->temporary, n, sizeof *b->buffer_of);
    b->reads_left = arena_array(&b->temporary, n, sizeof *b->reads_left);
    b->kept = arena_array(&b->temporary, n, sizeof *b->kept);
    b->feed = arena_array(&b->temporary, n, sizeof *b->feed);
    b->converted = arena_array(&b->temporary, n, sizeof *b->converted);
    b->converted_buffer = arena_array(&b->temporary, n, sizeof *b->converted_buffer);
    if (!b->buffer_of || !b->reads_left || !b->kept || !b->feed || !b->converted || !b->converted_buffer)
        return builder_short(b);
    for (int v = 0; v < graph->n_values; v++) {
        b->buffer_of[v] = -1;
        b->converted_buffer[v] = -1;
        b->reads_left[v] = graph->values[v].n_uses;
    }
    for (int i = 0; i < b->plan->part->n_feeds; i++)
        b->feed[b->plan->part->feeds[i]] = true;
    return true;
}

void builder_end(struct builder *b)
{
    arena_free(&b->temporary);
}

bool builder_short(struct builder *b)
{
    return err_set(b->err, ERR_MEMORY, "out of memory while planning the network");
}

void *builder_grown(struct builder *b, void *old, int n, int *cap, size_t size)
{
    if (n < *cap)
        return old;
    int cap_new = *cap ? *cap * 2 : 16;
    void *fresh = arena_grow(&b->plan->arena, old, (size_t)*cap * size, (size_t)cap_new * size);
    if (fresh)
        *cap = cap_new;
    return fresh;
}

int builder_buffer(struct builder *b, size_t n_bytes)
{
    struct plan *plan = b->plan;
    struct buffer *buffers = builder_grown(b, plan->buffers, plan->n_buffers, &plan->cap_buffers, sizeof *buffers);
    if (!buffers) {
        builder_short(b);
        return -1;
    }
    plan->buffers = buffers;
    /* 64 bytes of slack after each buffer: kernels may read them */
    size_t padded = (n_bytes + ALIGN + ALIGN - 1) / ALIGN * ALIGN;
    plan->buffers[plan->n_buffers] = (struct buffer){.n_bytes = padded, .first = plan->n_steps, .last = plan->n_steps};
    return plan->n_buffers++;
}

bool builder_step(struct builder *b, const struct step *step)
{
    struct plan *plan = b->plan;
    int cap = plan->cap_steps, cap_again = plan->cap_steps;
    struct step *steps = builder_grown(b, plan->steps, plan->n_steps, &cap, sizeof *steps);
    int *scratch = builder_grown(b, plan->step_buffer, plan->n_steps, &cap_again, sizeof *scratch);
    if (!steps || !scratch)
        return builder_short(b);
    plan->steps = steps;
    plan->step_buffer = scratch;
    plan->cap_steps = cap;
    int buffer = -1;
    if (step->scratch_bytes && (buffer = builder_buffer(b, step->scratch_bytes)) < 0)
        return false;
    plan->step_buffer[plan->n_steps] = buffer;
    plan->steps[plan->n_steps++] = *step;
    plan->flops += step->flops;
    return true;
}
