/*
 * beam.h - beam search: which of many beginnings of a text live on. Pure; one thread at a time.
 *
 *     beam_rank(...)      for each that lives: its best continuations, any thread
 *     beam_choose(...)    from those of all: who lives on, who has ended
 *     beam_tokens(...)    once it is over: a text's tokens
 *
 * The rule is that of Hugging Face's transformers 4 (generate with num_beams, early_stopping false). Of the 2 * width
 * best continuations of all that live those that are no end live on, at most `width`; an end that is among the first
 * `width` is a text. Texts are compared by the sum of the logarithms of their tokens' probabilities over their length
 * to the power of length_penalty (Wu et al. 2016, "Google's Neural Machine Translation System", section 7, with the
 * simpler norm), the end token counted. The `width` best are kept. It is over when so many are there and none that
 * lives could become better, or at the most tokens, where those that live are texts as well. Equal sums are ordered by
 * whom they continue, then by token; equal texts by who came first.
 */
#ifndef SERVE_BEAM_H
#define SERVE_BEAM_H

#include "base/arena.h"
#include "base/watch.h"

#define BEAM_MOST 32         /* width */
#define BEAM_NODES (1 << 20) /* width times most tokens, at most */

/* A text that goes on: by which token, and what the sum is then. */
struct beam_candidate {
    int from; /* of those that live */
    int64_t token;
    double sum;
};

struct beam_node {
    int64_t token;
    int before; /* -1: it is the first */
};

struct beam_live {
    int node; /* its last token; -1: none was made */
    int from; /* which it was in the round before */
    double sum;
};

struct beam_text {
    int node;
    int64_t n_tokens; /* without the end token */
    double score;
    bool stopped; /* by the end token */
};

struct beam {
    int width;
    double length_penalty;
    int64_t end, most; /* the end token, -1: none; tokens of a text */
    int64_t n_made;    /* rounds so far, which is how many tokens those that live have */
    int n_live, n_texts, n_nodes;
    struct beam_live live[BEAM_MOST];
    struct beam_text texts[BEAM_MOST]; /* best first */
    struct beam_node *nodes;
};

/* The fields of the first two lines are set. One lives, which has no token. */
bool beam_begin(struct beam *beam, struct arena *arena, struct percept_err *err);

/* Of one that lives, what its scores for the `n` tokens say. */
struct beam_row {
    const float *scores;
    int64_t n;
    bool probabilities; /* they are that, instead of logits */
    double penalty;     /* of tokens that its text has: their logarithms times this; 1: none */
};

/* Its best continuations, best first, at most 2 * width, into an array of so many. -1: no score is a number, or memory
 * is short, or the watch is over. */
int beam_rank(const struct beam *beam, int live, const struct beam_row *row, struct beam_candidate *best,
              struct arena *arena, struct watch *watch);

/* The continuations of all, in the order of those that live. True: it is over. */
bool beam_choose(struct beam *beam, const struct beam_candidate *candidates, int n);

/* text->n_tokens of them. */
void beam_tokens(const struct beam *beam, const struct beam_text *text, int64_t *tokens);

#endif
