/*
 * beam.c - see beam.h. What was made is a tree: each node knows the one before it, so that a text that parts in two is
 * not copied.
 */
#include "serve/beam.h"

#include "base/err.h"

#include <math.h>
#include <string.h>

bool beam_begin(struct beam *beam, struct arena *arena, struct percept_err *err)
{
    const size_t n = (size_t)beam->width * (size_t)beam->most + 1;
    beam->n_made = beam->n_nodes = beam->n_texts = 0;
    beam->n_live = 1;
    beam->live[0] = (struct beam_live){.node = -1};
    beam->nodes = arena_array(arena, n, sizeof *beam->nodes);
    return beam->nodes || err_memory(err, "a search", n * sizeof *beam->nodes);
}

/* --- one of them -------------------------------------------------------------------------------------------------- */

/* Is a before b? */
static bool is_better(const struct beam_candidate *a, const struct beam_candidate *b)
{
    if (a->sum != b->sum)
        return a->sum > b->sum;
    return a->from != b->from ? a->from < b->from : a->token < b->token;
}

/* Into its place among the best `most`. */
static int insert(struct beam_candidate *best, int n, int most, const struct beam_candidate *one)
{
    if (n == most && !is_better(one, &best[n - 1]))
        return n;
    int at = n < most ? n++ : n - 1;
    for (; at > 0 && is_better(one, &best[at - 1]); at--)
        best[at] = best[at - 1];
    best[at] = *one;
    return n;
}

/* What is taken from each score to make it the logarithm of a probability; NaN where there is none. */
static double log_sum(const struct beam_row *row)
{
    double largest = -INFINITY, sum = 0;
    for (int64_t i = 0; i < row->n; i++)
        largest = row->scores[i] > largest ? (double)row->scores[i] : largest;
    for (int64_t i = 0; i < row->n; i++)
        if (!isnan(row->scores[i]))
            sum += row->scores[i] == (float)largest ? 1 : exp((double)row->scores[i] - largest);
    return isinf(largest) && largest < 0 ? NAN : largest + log(sum);
}

/* Of infinite scores all are alike, and nothing else counts. */
static double log_of(const struct beam_row *row, int64_t token, double less)
{
    const double score = (double)row->scores[token];
    if (row->probabilities)
        return log(score);
    if (isinf(less))
        return isnan(score) ? NAN : isinf(score) && score > 0 ? 0 : -INFINITY;
    return score - less;
}

static void mark(const struct beam *beam, int node, bool *was_there, int64_t n)
{
    for (; node >= 0; node = beam->nodes[node].before)
        if (beam->nodes[node].token < n)
            was_there[beam->nodes[node].token] = true;
}

int beam_rank(const struct beam *beam, int live, const struct beam_row *row, struct beam_candidate *best,
              struct arena *arena, struct watch *watch)
{
    bool *was_there = row->penalty != 1 ? arena_array(arena, (size_t)row->n + 1, sizeof *was_there) : NULL;
    const double less = row->probabilities ? 0 : log_sum(row);
    int n = 0;
    if ((row->penalty != 1 && !was_there) || isnan(less) || !watch_spend(watch, 8 * row->n + beam->n_made))
        return -1;
    if (was_there)
        mark(beam, beam->live[live].node, was_there, row->n);
    for (int64_t i = 0; i < row->n; i++) {
        double part = log_of(row, i, less);
        if (was_there && was_there[i])
            part = part < 0 ? part * row->penalty : part / row->penalty;
        const struct beam_candidate one = {.from = live, .token = i, .sum = beam->live[live].sum + part};
        if (!isnan(one.sum))
            n = insert(best, n, 2 * beam->width, &one);
    }
    return n ? n : -1;
}

/* --- all of them -------------------------------------------------------------------------------------------------- */

static double score_of(const struct beam *beam, double sum, int64_t n_tokens)
{
    return n_tokens ? sum / pow((double)n_tokens, beam->length_penalty) : sum;
}

static void keep(struct beam *beam, const struct beam_text *text)
{
    if (beam->n_texts == beam->width && text->score <= beam->texts[beam->n_texts - 1].score)
        return;
    int at = beam->n_texts < beam->width ? beam->n_texts++ : beam->n_texts - 1;
    for (; at > 0 && text->score > beam->texts[at - 1].score; at--)
        beam->texts[at] = beam->texts[at - 1];
    beam->texts[at] = *text;
}

/* Who lives has no better end before it. */
static bool is_over(const struct beam *beam)
{
    if (!beam->n_live)
        return true;
    return beam->n_texts == beam->width &&
           beam->texts[beam->n_texts - 1].score >= score_of(beam, beam->live[0].sum, beam->n_made);
}

static void live_on(struct beam *beam, const struct beam_live *before, const struct beam_candidate *one)
{
    struct beam_live *live = &beam->live[beam->n_live++];
    *live = (struct beam_live){.node = beam->n_nodes, .from = one->from, .sum = one->sum};
    beam->nodes[beam->n_nodes++] = (struct beam_node){.token = one->token, .before = before[one->from].node};
}

static void end_all(struct beam *beam)
{
    for (int i = 0; i < beam->n_live; i++)
        keep(beam, &(struct beam_text){.node = beam->live[i].node,
                                       .n_tokens = beam->n_made,
                                       .score = score_of(beam, beam->live[i].sum, beam->n_made)});
}

bool beam_choose(struct beam *beam, const struct beam_candidate *candidates, int n)
{
    struct beam_candidate best[2 * BEAM_MOST];
    struct beam_live before[BEAM_MOST];
    int n_best = 0;
    for (int i = 0; i < n; i++)
        n_best = insert(best, n_best, 2 * beam->width, &candidates[i]);
    memcpy(before, beam->live, sizeof before);
    beam->n_live = 0;
    beam->n_made++;
    for (int i = 0; i < n_best && beam->n_live < beam->width; i++) {
        if (best[i].token != beam->end)
            live_on(beam, before, &best[i]);
        else if (i < beam->width)
            keep(beam, &(struct beam_text){.node = before[best[i].from].node,
                                           .n_tokens = beam->n_made - 1,
                                           .score = score_of(beam, best[i].sum, beam->n_made),
                                           .stopped = true});
    }
    const bool over = is_over(beam);
    if (!over && beam->n_made < beam->most)
        return false;
    if (!over)
        end_all(beam);
    return true;
}

void beam_tokens(const struct beam *beam, const struct beam_text *text, int64_t *tokens)
{
    int node = text->node;
    for (int64_t i = text->n_tokens; i-- > 0; node = beam->nodes[node].before)
        tokens[i] = beam->nodes[node].token;
}
