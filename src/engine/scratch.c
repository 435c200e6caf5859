/*
 * scratch.c - lets tensors that never live together share memory.
 *
 * Every tensor that is not known, not a constant and not a view of another needs memory from the step that
 * writes it to the last step that reads it. Buffers are placed largest first at the lowest offset that is
 * free for their whole life:
 *
 *     offset
 *       |  [ input .................................
 *       |          [ conv2 out    ]
 *       |          [              ][ dense out .....
 *       |  [ conv1 out    ][ pool out     ]
 *       +--- 0 ----- 1 ----- 2 ----- 3 ----- end: steps
 *
 * Inputs live from the beginning to the end, so that a caller may run again without writing them again;
 * outputs live to the end. A view prolongs the life of what it looks at, because both name one buffer.
 *
 * Offsets depend on sizes and lives alone, so a plan can be moved: frame.c owns the memory, and when it had
 * to grow, pointers are set anew without planning.
 *
 * The search for a place is quadratic in the number of buffers, which are some hundreds; it happens once
 * per set of shapes.
 *
 * Not here: who reads what when (steps.c says it step by step), the memory itself (frame.c, chain.c).
 */
#include "engine/scratch.h"

#include <limits.h>

static bool add_placed(struct builder *b, const struct placed *row)
{
    struct plan *plan = b->plan;
    struct placed *placed = builder_grown(b, plan->placed, plan->n_placed, &plan->cap_placed, sizeof *placed);
    if (!placed)
        return builder_short(b);
    plan->placed = placed;
    plan->placed[plan->n_placed++] = *row;
    return true;
}

bool scratch_lies(struct builder *b, struct tensor *tensor, int buffer)
{
    return add_placed(b, &(struct placed){.tensor = tensor, .buffer = buffer});
}

bool scratch_follows(struct builder *b, struct tensor *tensor, const struct tensor *from)
{
    return add_placed(b, &(struct placed){.tensor = tensor, .buffer = -1, .from = from});
}

bool scratch_reserve(struct builder *b, struct tensor *tensor, int *buffer)
{
    size_t n_bytes;
    if (!tensor_bytes(tensor, b->model->kernels->width, &n_bytes))
        return err_set(b->err, ERR_MEMORY, "a tensor of the network is larger than memory can be");
    *buffer = builder_buffer(b, n_bytes);
    return *buffer >= 0 && scratch_lies(b, tensor, *buffer);
}

void scratch_used(struct builder *b, int buffer)
{
    if (buffer >= 0 && b->plan->buffers[buffer].last < b->plan->n_steps)
        b->plan->buffers[buffer].last = b->plan->n_steps;
}

void scratch_keep(struct builder *b, int buffer)
{
    if (buffer >= 0)
        b->plan->buffers[buffer].last = INT_MAX;
}

static bool overlap(const struct buffer *a, const struct buffer *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* Moves buffer `at` up past those already placed that live at the same time, until it fits. */
static size_t lowest_offset(const struct plan *plan, const int *order, int n, int at)
{
    const struct buffer *buffer = &plan->buffers[at];
    size_t offset = 0;
    for (int i = 0; i < n; i++) { /* `order[0 .. n)` is sorted by offset */
        const struct buffer *other = &plan->buffers[order[i]];
        if (!overlap(buffer, other) || other->offset + other->n_bytes <= offset)
            continue;
        if (offset + buffer->n_bytes <= other->offset)
            break;
        offset = other->offset + other->n_bytes;
    }
    return offset;
}

static void sort_by_size(const struct plan *plan, int *order, int n)
{
    for (int gap = n / 2; gap > 0; gap /= 2) /* shell sort; stable order for equal sizes by index */
        for (int i = gap; i < n; i++) {
            int moving = order[i], j = i;
            const struct buffer *m = &plan->buffers[moving];
            for (; j >= gap; j -= gap) {
                const struct buffer *o = &plan->buffers[order[j - gap]];
                if (o->n_bytes > m->n_bytes || (o->n_bytes == m->n_bytes && order[j - gap] < moving))
                    break;
                order[j] = order[j - gap];
            }
            order[j] = moving;
        }
}

bool scratch_place_all(struct builder *b)
{
    struct plan *plan = b->plan;
    size_t n = (size_t)plan->n_buffers;
    int *by_size = arena_array(&b->temporary, n + 1, sizeof *by_size);
    int *by_offset = arena_array(&b->temporary, n + 1, sizeof *by_offset);
    if (!by_size || !by_offset)
        return builder_short(b);
    for (int i = 0; i < plan->n_buffers; i++)
        by_size[i] = i;
    sort_by_size(plan, by_size, plan->n_buffers);
    for (int i = 0; i < plan->n_buffers; i++) {
        struct buffer *buffer = &plan->buffers[by_size[i]];
        buffer->offset = lowest_offset(plan, by_offset, i, by_size[i]);
        if (buffer->offset + buffer->n_bytes > plan->scratch_bytes)
            plan->scratch_bytes = buffer->offset + buffer->n_bytes;
        int j = i;
        for (; j > 0 && plan->buffers[by_offset[j - 1]].offset > buffer->offset; j--)
            by_offset[j] = by_offset[j - 1];
        by_offset[j] = by_size[i];
    }
    if (plan->scratch_bytes > b->model->memory_limit_bytes)
        return err_set(b->err, ERR_MEMORY,
                       "these shapes need %zu MB of memory, over the limit of %zu MB; send smaller or "
                       "fewer items, or raise the limit",
                       plan->scratch_bytes >> 20, b->model->memory_limit_bytes >> 20);
    return true;
}

void scratch_place(struct plan *plan, char *base)
{
    for (int i = 0; i < plan->n_placed; i++) {
        const struct placed *placed = &plan->placed[i];
        placed->tensor->data = placed->buffer >= 0 ? base + plan->buffers[placed->buffer].offset : placed->from->data;
    }
    for (int i = 0; i < plan->n_steps; i++)
        if (plan->step_buffer[i] >= 0)
            plan->steps[i].scratch = base + plan->buffers[plan->step_buffer[i]].offset;
    plan->base = base;
}
