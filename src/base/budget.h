/*
 * budget.h - a sum of memory that many take from (percept.h has the struct): arenas and buffers that have one
 * (arena.h) take what they take from the system, and give back what they give back. Any thread.
 *
 * A refusal is remembered for the thread, so that whoever hears "out of memory" at the end of many calls can tell what
 * it was for want of, and whether waiting helps: not for what is larger than the whole budget.
 */
#ifndef BASE_BUDGET_H
#define BASE_BUDGET_H

#include "percept.h"

/* NULL: there is no limit. */
bool budget_take(struct percept_budget *budget, size_t n_bytes);
void budget_give(struct percept_budget *budget, size_t n_bytes);
size_t budget_used(const struct percept_budget *budget);

/* So many times was this thread refused so far; and how much it had asked for when it was last. */
size_t budget_refusals(void);
size_t budget_refused_bytes(void);

#endif
