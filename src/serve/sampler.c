/*
 * sampler.c - see sampler.h.
 *
 * Everything is computed in double from the scores, in an order that does not depend on where candidates lie: the
 * same scores give the same token.
 */
#include "serve/sampler.h"

#include <math.h>
#include <stdlib.h>

struct candidate {
    double score; /* a logit over the temperature */
    int64_t token;
};

double sampler_draw(uint64_t seed, uint64_t step)
{
    uint64_t x = seed + (step + 1) * 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    x ^= x >> 31;
    return (double)(x >> 11) * 0x1p-53;
}

/* Best first; equal ones by index. */
static int by_score(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return (x->token > y->token) - (x->token < y->token);
}

static double logit(const struct sampler *sampler, float score)
{
    return sampler->probabilities ? log((double)score) : (double)score;
}

/* All that are numbers; returns how many. */
static int64_t collect(const struct sampler *sampler, const float *scores, int64_t n, const bool *was_there,
                       struct candidate *candidates)
{
    int64_t n_candidates = 0;
    for (int64_t i = 0; i < n; i++) {
        double score = logit(sampler, scores[i]);
        if (isnan(score))
            continue;
        if (was_there[i])
            score = score > 0 ? score / sampler->penalty : score * sampler->penalty;
        candidates[n_candidates++] = (struct candidate){score, i};
    }
    return n_candidates;
}

static int64_t best(const struct candidate *candidates, int64_t n)
{
    int64_t at = 0;
    for (int64_t i = 1; i < n; i++)
        if (candidates[i].score > candidates[at].score)
            at = i;
    return candidates[at].token;
}

/* Sorted candidates; an infinite score leaves only its like. */
static int64_t draw(const struct sampler *sampler, struct candidate *candidates, int64_t n, uint64_t step)
{
    const double largest = candidates[0].score;
    double sum = 0, most = 0, at;
    for (int64_t i = 0; i < n; i++) {
        const double below = candidates[i].score == largest ? 0 : candidates[i].score - largest;
        candidates[i].score = exp(below / sampler->temperature);
        sum += candidates[i].score;
    }
    int64_t n_left = 0;
    while (n_left < n && (n_left == 0 || most < sampler->top_p * sum))
        most += candidates[n_left++].score;
    at = sampler_draw(sampler->seed, step) * most;
    for (int64_t i = 0; i < n_left; i++) {
        at -= candidates[i].score;
        if (at < 0)
            return candidates[i].token;
    }
    return candidates[n_left - 1].token;
}

int64_t sampler_choose(const struct sampler *sampler, const float *scores, int64_t n, const int64_t *seen,
                       int64_t n_seen, uint64_t step, struct arena *arena, struct watch *watch)
{
    struct candidate *candidates = arena_array(arena, (size_t)n + 1, sizeof *candidates);
    bool *was_there = arena_array(arena, (size_t)n + 1, sizeof *was_there);
    if (!candidates || !was_there || !watch_spend(watch, 4 * n))
        return -1;
    for (int64_t i = 0; i < n_seen && sampler->penalty != 1; i++)
        if (seen[i] >= 0 && seen[i] < n)
            was_there[seen[i]] = true;
    int64_t n_left = collect(sampler, scores, n, was_there, candidates);
    if (!n_left)
        return -1;
    if (sampler->temperature == 0)
        return best(candidates, n_left);
    if (!watch_spend(watch, 16 * n_left))
        return -1;
    qsort(candidates, (size_t)n_left, sizeof *candidates, by_score);
    if (sampler->top_k > 0 && sampler->top_k < n_left)
        n_left = sampler->top_k;
    return draw(sampler, candidates, n_left, step);
}
