/*
 * plan.c - what a plan is asked once it is built, and its end.
 *
 * Made by planner.c, which knows this file; nothing here knows how.
 */
#include "engine/plan.h"

bool plan_complete(const struct plan *plan)
{
    return plan->end_node >= plan->part->graph->n_nodes;
}

void plan_free_next(struct plan *plan)
{
    struct plan *next = plan->next;
    if (!next)
        return;
    plan->next = NULL;
    plan->n_decided = 0;
    plan_free(next);
    arena_buffer_free(next);
}

void plan_free(struct plan *plan)
{
    plan_free_next(plan);
    arena_buffer_free(plan->own_scratch);
    arena_free(&plan->arena);
    *plan = (struct plan){0};
}
