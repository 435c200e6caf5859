/*
 * sums.h - reductions of floats by the kernels, cut into units of work: see sums.c.
 */
#ifndef OP_SUMS_H
#define OP_SUMS_H

#include "base/team.h"
#include "kernel/kernel.h"

/* What follows the reduction of n elements. */
enum sums_finish { SUMS_AS_IT_IS, SUMS_MEAN /* divided by n */, SUMS_ROOT, SUMS_LOGARITHM };

/* x is [outer][n][inner], y is [outer][inner]. */
struct sums {
    enum reduce op;
    enum sums_finish finish;
    int64_t outer, n, inner;
};

/* Scratch that sums_run needs, a function of n, inner and outer alone. */
size_t sums_scratch_bytes(const struct sums *sums);

/* y = the reduction of x, over as many threads as the team has. The order of summation depends on n and inner
 * alone. n may be 0: the neutral element. Thread: the session's holder. */
void sums_run(const struct sums *sums, const struct kernels *kernels, struct percept_team *team, const float *x,
              float *y, float *scratch);

#endif
