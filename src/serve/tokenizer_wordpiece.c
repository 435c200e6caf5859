/*
 * tokenizer_wordpiece.c - WordPiece: from the left, always the longest piece that the vocabulary has; those that go on
 * within a word have a prefix ("##"). A word that cannot be cut so, or is too long, is the unknown token. Word level is
 * the same with whole words alone. (Schuster and Nakajima, "Japanese and Korean voice search", 2012; as BERT has it.)
 */
#include "base/err.h"
#include "serve/tokenizer_parts.h"

static bool put_unknown(struct tokenizer_run *run, struct bytes piece)
{
    if (run->tokenizer->unknown < 0)
        return err_set(run->err, ERR_INVALID, "the vocabulary does not have '" BYTES_FMT "', and no unknown token",
                       BYTES_ARG(piece));
    return tokenizer_put(run, run->tokenizer->unknown);
}

static int characters(struct bytes piece)
{
    int n = 0;
    for (const uint8_t *at = piece.at; at < piece.end; at++)
        n += (*at & 0xc0) != 0x80;
    return n;
}

/* The longest token that begins at `at`; its end in `end`. `word` has room for the longest token. */
static int longest(const struct tokenizer_vocab *vocab, struct bytes prefix, struct bytes rest, uint8_t *word,
                   const uint8_t **end)
{
    uint64_t hash = TOKENIZER_HASH;
    int found = -1;
    size_t n = 0;
    for (const uint8_t *at = prefix.at; at < prefix.end && n < vocab->longest; at++)
        hash = tokenizer_hash(hash, word[n++] = *at);
    for (const uint8_t *at = rest.at; at < rest.end && n < vocab->longest;) {
        hash = tokenizer_hash(hash, word[n++] = *at++);
        const bool whole = at == rest.end || (*at & 0xc0) != 0x80;
        const int id = whole ? tokenizer_vocab_at(vocab, hash, bytes_of(word, n)) : -1;
        if (id >= 0) {
            found = id;
            *end = at;
        }
    }
    return found;
}

bool tokenizer_wordpiece_cut(struct tokenizer_run *run, struct bytes piece)
{
    const struct tokenizer *tokenizer = run->tokenizer;
    if (tokenizer->kind == MODEL_WORD_LEVEL) {
        const int id = tokenizer_vocab_find(&tokenizer->vocab, piece);
        return id >= 0 ? tokenizer_put(run, id) : put_unknown(run, piece);
    }
    const int most = tokenizer->word_max;
    int ids[TOKENIZER_WORD_MAX], n = 0;
    if (characters(piece) > most)
        return put_unknown(run, piece);
    uint8_t *word = tokenizer_scratch(run, tokenizer->vocab.longest + 1);
    if (!word)
        return false;
    for (const uint8_t *at = piece.at, *end = at; at < piece.end; at = end) {
        const struct bytes prefix = at > piece.at ? tokenizer->prefix : (struct bytes){0};
        if (!watch_spend(run->row->watch, (int64_t)tokenizer->vocab.longest))
            return watch_refuse(run->row->watch, run->err);
        ids[n] = longest(&tokenizer->vocab, prefix, (struct bytes){at, piece.end}, word, &end);
        if (ids[n++] < 0)
            return put_unknown(run, piece);
    }
    for (int i = 0; i < n; i++)
        if (!tokenizer_put(run, ids[i]))
            return false;
    return true;
}
