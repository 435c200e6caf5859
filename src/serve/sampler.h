/*
 * sampler.h - which token comes next: from the scores of all tokens to one of them. Pure; any thread.
 *
 * In this order, as the field has it: a penalty on tokens that were there already, the temperature, the `top_k` best,
 * the smallest set whose probabilities sum to `top_p` (Holtzman et al. 2019, "The Curious Case of Neural Text
 * Degeneration"), a draw. Equal scores are ordered by index. The draw is a function of seed and step alone (SplitMix64;
 * Steele, Lea, Flood 2014), so that a text does not depend on who shares its batches.
 */
#ifndef SERVE_SAMPLER_H
#define SERVE_SAMPLER_H

#include "base/arena.h"
#include "base/watch.h"

struct sampler {
    double temperature; /* 0: the best one always */
    int64_t top_k;      /* 0: all */
    double top_p;       /* 1: all */
    double penalty; /* of what was there: 1: none. Scores above 0 are divided by it, others multiplied (Keskar et al.
                         * 2019, CTRL) */
    uint64_t seed;
    bool probabilities; /* the scores are that already, instead of logits */
};

/* The token at this step. `seen`: those so far. NaN is never chosen; -1 where no score is a number, or where memory is
 * short. Scratch comes from the arena. */
int64_t sampler_choose(const struct sampler *sampler, const float *scores, int64_t n, const int64_t *seen,
                       int64_t n_seen, uint64_t step, struct arena *arena, struct watch *watch);

/* In [0, 1): what the draw at a step is. */
double sampler_draw(uint64_t seed, uint64_t step);

#endif
