/*
 * tokenizer_unigram.c - the unigram model: of all ways to cut a piece into tokens, that with the largest sum of scores
 * (logarithms of probabilities), found from the left. A character that is no token costs ten less than the worst one;
 * those that follow each other become one. (Kudo, "Subword regularization", 2018; as SentencePiece has it.)
 */
#include "base/err.h"
#include "serve/tokenizer_parts.h"

#define UNKNOWN_COST 10.0

/* The best way to a byte. */
struct node {
    double score;
    int from; /* where its last token begins; -1: no way yet */
    int id;   /* -1: of no token */
};

static void offer(struct node *node, double score, int from, int id)
{
    if (node->from < 0 || score > node->score)
        *node = (struct node){score, from, id};
}

static size_t character(struct bytes rest)
{
    size_t n = 1;
    while (n < bytes_size(rest) && (rest.at[n] & 0xc0) == 0x80)
        n++;
    return n;
}

/* Offers all tokens that begin at `from`. */
static void step(const struct tokenizer *tokenizer, struct node *nodes, struct bytes piece, size_t from)
{
    const struct tokenizer_vocab *vocab = &tokenizer->vocab;
    const struct bytes rest = {piece.at + from, piece.end};
    const size_t least = character(rest), left = bytes_size(rest);
    const double base = nodes[from].score;
    bool known = false;
    uint64_t hash = TOKENIZER_HASH;
    for (size_t n = 0; n < left && n < vocab->longest;) {
        hash = tokenizer_hash(hash, rest.at[n++]);
        if (n < left && (rest.at[n] & 0xc0) == 0x80)
            continue;
        const int id = tokenizer_vocab_at(vocab, hash, bytes_of(rest.at, n));
        if (id < 0)
            continue;
        offer(&nodes[from + n], base + tokenizer->scores[id], (int)from, id);
        known = known || n == least;
    }
    if (!known)
        offer(&nodes[from + least], base + (tokenizer->lowest - UNKNOWN_COST), (int)from, -1);
}

/* What is no token by itself may be one with its neighbours; else its bytes, or the unknown token. */
static bool put_unknown(struct tokenizer_run *run, struct bytes piece)
{
    const int id = tokenizer_vocab_find(&run->tokenizer->vocab, piece);
    bool done = false;
    if (id >= 0)
        return tokenizer_put(run, id);
    if (run->tokenizer->byte_fallback && !tokenizer_put_bytes(run, piece, &done))
        return false;
    if (!done && run->tokenizer->unknown < 0)
        return err_set(run->err, ERR_INVALID, "the vocabulary does not have '" BYTES_FMT "', and no unknown token",
                       BYTES_ARG(piece));
    return done || tokenizer_put(run, run->tokenizer->unknown);
}

/* The way to the end, from its beginning: afterwards `from` of a node says where the next one is. */
static void turn(struct node *nodes, size_t n)
{
    int at = (int)n, next = -1;
    while (at >= 0) {
        const int before = at ? nodes[at].from : -1;
        nodes[at].from = next;
        next = at;
        at = before;
    }
}

static bool put_way(struct tokenizer_run *run, const struct node *nodes, struct bytes piece)
{
    const struct tokenizer *tokenizer = run->tokenizer;
    const uint8_t *unknown = NULL;
    for (int at = 0, next; (next = nodes[at].from) >= 0; at = next) {
        const int id = nodes[next].id;
        const bool lacks = id < 0 || id == tokenizer->unknown;
        const uint8_t *here = piece.at + at;
        if (unknown && (!lacks || !tokenizer->fuse_unknown)) {
            if (!put_unknown(run, (struct bytes){unknown, here}))
                return false;
            unknown = NULL;
        }
        if (lacks)
            unknown = unknown ? unknown : here;
        else if (!tokenizer_put(run, id))
            return false;
    }
    return !unknown || put_unknown(run, (struct bytes){unknown, piece.end});
}

bool tokenizer_unigram_cut(struct tokenizer_run *run, struct bytes piece)
{
    const size_t n = bytes_size(piece), longest = run->tokenizer->vocab.longest;
    struct node *nodes = tokenizer_scratch(run, (n + 1) * sizeof *nodes);
    if (!nodes)
        return false;
    nodes[0] = (struct node){0, 0, -1};
    for (size_t i = 1; i <= n; i++)
        nodes[i].from = -1;
    for (size_t from = 0; from < n; from++) {
        if (nodes[from].from < 0)
            continue;
        if (!watch_spend(run->row->watch, (int64_t)(n - from < longest ? n - from : longest)))
            return watch_refuse(run->row->watch, run->err);
        step(run->tokenizer, nodes, piece, from);
    }
    turn(nodes, n);
    return put_way(run, nodes, piece);
}
