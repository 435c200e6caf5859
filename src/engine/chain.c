/*
 * chain.c - remembers what decided about the rest of a plan.
 *
 * A plan that ended early has named what the rest depends on: the data of some inputs of the node it stopped
 * before (plan->demands), or the dims of what its last node put out. When the plan for the rest is built,
 * these are noted as they are now; at the next run they are compared, and while they are equal the same
 * plan serves again. So the steady state, a model that computes the same shapes run after run, plans and
 * allocates nothing; one that does not plans its rest at every change, and keeps one plan for it, not many:
 * many shapes are what frame.c's plans by shape are for.
 *
 * A plan in a chain has scratch of its own: what the plans before it computed is read by pointer and must
 * stay where it is. Each link is owned by the one before it (plan_free frees them all). The notes are copies
 * and lie in the next plan's arena, since they die with it.
 *
 * Not here: how the rest is planned (planner.c), when to go on (frame.c).
 */
#include "engine/chain.h"

#include <string.h>

#include "engine/planner.h"
#include "engine/scratch.h"

static bool same_decision(const struct plan *plan, const struct decided *decided, int width)
{
    const struct tensor *now = &plan->values[decided->value];
    size_t n_bytes;
    if (now->dtype != decided->tensor.dtype || !tensor_same_dims(now, &decided->tensor))
        return false;
    return !decided->by_data || !tensor_bytes(now, width, &n_bytes) ||
           memcmp(now->data, decided->tensor.data, n_bytes) == 0;
}

static bool serves_again(const struct plan *plan, int width)
{
    bool same = plan->next != NULL;
    for (int i = 0; same && i < plan->n_decided; i++)
        same = same_decision(plan, &plan->decided[i], width);
    return same;
}

static bool note_decision(struct plan *plan, struct plan *next, int value, bool by_data, int width)
{
    struct decided *decided = &plan->decided[plan->n_decided];
    decided->value = value;
    decided->by_data = by_data;
    decided->tensor = plan->values[value];
    size_t n_bytes;
    if (by_data) {
        if (!tensor_bytes(&decided->tensor, width, &n_bytes))
            return false;
        void *copy = arena_alloc(&next->arena, n_bytes + 1);
        if (!copy)
            return false;
        memcpy(copy, decided->tensor.data, n_bytes);
        decided->tensor.data = copy;
    }
    plan->n_decided++;
    return true;
}

/* Data that the node where the plan stopped demands; dims of what the last step put out. */
static bool note_decisions(struct plan *plan, struct plan *next, int width)
{
    const struct graph *graph = plan->part->graph;
    const struct node *node = &graph->nodes[plan->demands ? plan->end_node : plan->end_node - 1];
    plan->n_decided = 0;
    plan->decided = arena_array(&next->arena, (size_t)(node->n_in + node->n_out) + 1, sizeof *plan->decided);
    if (!plan->decided)
        return false;
    for (int i = 0; plan->demands && i < node->n_in && i < 32; i++)
        if ((plan->demands >> i & 1) && !note_decision(plan, next, node->in[i], true, width))
            return false;
    for (int i = 0; !plan->demands && i < node->n_out; i++)
        if (node->out[i] >= 0 && !note_decision(plan, next, node->out[i], false, width))
            return false;
    return true;
}

/* Notes, plan and memory of the link that is there but empty. */
static bool build_next(struct plan *plan, const struct percept_model *model, struct percept_err *err)
{
    struct plan *next = plan->next;
    *next = (struct plan){.empty_input = plan->empty_input, .part = plan->part, .first_node = plan->end_node};
    if (!note_decisions(plan, next, model->kernels->width))
        return err_set(err, ERR_MEMORY, "out of memory while planning the network");
    if (!planner_continue(next, model, plan, err))
        return false;
    next->own_scratch = arena_buffer_from(model->budget, next->scratch_bytes);
    return next->own_scratch || err_memory(err, "the network's tensors", next->scratch_bytes);
}

struct plan *chain_next(struct plan *plan, const struct percept_model *model, struct percept_err *err)
{
    if (!serves_again(plan, model->kernels->width)) {
        plan_free_next(plan);
        plan->next = arena_buffer(sizeof *plan->next);
        if (!plan->next)
            return err_null(err, ERR_MEMORY, "out of memory while planning the rest of the network");
        if (!build_next(plan, model, err)) {
            plan_free_next(plan);
            return NULL;
        }
    }
    scratch_place(plan->next, plan->next->own_scratch);
    return plan->next;
}
