/*
 * answer.c - the best of an output's scores, after the activation that the manifest asks for.
 *
 * Ranking looks at the scores as they are: every activation keeps their order, and rounding cannot
 * make two of them equal that were not. The softmax's sum is taken in double, from the largest
 * score down, so that nothing overflows. Scores that are NaN count for nothing and come last, as
 * NaN.
 */
#include "serve/answer.h"

#include <math.h>

/* What the activation needs to know of all the scores. */
struct total {
    double largest;
    double sum; /* of exp(score - largest) */
};

static double above(double score, double largest)
{
    return score == largest ? 1 : exp(score - largest); /* inf - inf is no number */
}

static struct total total_of(const float *scores, int64_t n, struct watch *watch)
{
    struct total total = {.largest = -(double)INFINITY};
    for (int64_t i = 0; i < n && watch_spend(watch, 1); i++)
        if ((double)scores[i] > total.largest)
            total.largest = (double)scores[i];
    for (int64_t i = 0; i < n && watch_spend(watch, 1); i++)
        if (!isnan(scores[i]))
            total.sum += above((double)scores[i], total.largest);
    return total;
}

static float activated(float score, enum manifest_activation activation, const struct total *total)
{
    double x = (double)score;
    switch (activation) {
    case ACTIVATION_SOFTMAX:
        return isnan(score) ? score : (float)(above(x, total->largest) / total->sum);
    case ACTIVATION_SIGMOID:
        return (float)(1 / (1 + exp(-x)));
    case ACTIVATION_EXP:
        return (float)exp(x);
    default:
        return score;
    }
}

static bool is_better(float a, float b)
{
    return a > b || (isnan(b) && !isnan(a));
}

int answer_classify(const float *scores, int64_t n, enum manifest_activation activation, int k,
                    const char *const *labels, int n_labels, struct answer_prediction *best, struct watch *watch)
{
    int n_best = 0;
    for (int64_t i = 0; i < n && k > 0 && watch_spend(watch, 1); i++) {
        if (n_best == k && !is_better(scores[i], best[k - 1].score))
            continue;
        int at = n_best < k ? n_best++ : k - 1;
        if (!watch_spend(watch, n_best))
            break;
        for (; at > 0 && is_better(scores[i], best[at - 1].score); at--)
            best[at] = best[at - 1];
        best[at] = (struct answer_prediction){.label = i < n_labels ? labels[i] : NULL, .index = i, .score = scores[i]};
    }
    struct total total = {0};
    if (activation == ACTIVATION_SOFTMAX)
        total = total_of(scores, n, watch);
    for (int i = 0; i < n_best; i++)
        best[i].score = activated(best[i].score, activation, &total);
    return n_best;
}
