/*
 * budget.c - one atomic sum.
 */
#include "base/budget.h"

static _Thread_local size_t n_refusals, refused_bytes;

bool budget_take(struct percept_budget *budget, size_t n_bytes)
{
    if (!budget)
        return true;
    const size_t before = __atomic_fetch_add(&budget->used_bytes, n_bytes, __ATOMIC_RELAXED);
    if (before <= budget->limit_bytes && n_bytes <= budget->limit_bytes - before)
        return true;
    budget_give(budget, n_bytes);
    n_refusals++;
    refused_bytes = n_bytes;
    return false;
}

void budget_give(struct percept_budget *budget, size_t n_bytes)
{
    if (budget)
        __atomic_fetch_sub(&budget->used_bytes, n_bytes, __ATOMIC_RELAXED);
}

size_t budget_used(const struct percept_budget *budget)
{
    return budget ? __atomic_load_n(&budget->used_bytes, __ATOMIC_RELAXED) : 0;
}

size_t budget_refusals(void)
{
    return n_refusals;
}

size_t budget_refused_bytes(void)
{
    return refused_bytes;
}
