/*
 * tokenizer_vocab.c - from a token to its id: a table of ids by hash, with open addresses.
 *
 * The hash grows byte by byte, so that models which try all beginnings of a text hash it once. Files may be made so
 * that tokens collide; a table in which one would need many steps is refused, so no look-up is long.
 */
#include "base/err.h"
#include "serve/tokenizer_parts.h"

#define STEPS_MOST 1024 /* of one look-up; at half full a handful is usual */

/* FNV's low bits alone are not well mixed. */
static size_t slot_of(const struct tokenizer_vocab *vocab, uint64_t hash)
{
    hash ^= hash >> 32;
    hash *= 0x9e3779b97f4a7c15u;
    return (size_t)(hash >> 32) & (vocab->n_slots - 1);
}

static uint64_t hash_of(struct bytes token)
{
    uint64_t hash = TOKENIZER_HASH;
    for (const uint8_t *at = token.at; at < token.end; at++)
        hash = tokenizer_hash(hash, *at);
    return hash;
}

static bool insert(struct tokenizer_vocab *vocab, int id, struct percept_err *err)
{
    const struct bytes token = vocab->tokens[id];
    size_t slot = slot_of(vocab, hash_of(token));
    for (int i = 0; vocab->slots[slot]; i++) {
        const int other = vocab->slots[slot] - 1;
        if (bytes_equal(vocab->tokens[other], token))
            return err_set(err, ERR_CONFIG, "the token '" BYTES_FMT "' has two ids, %d and %d", BYTES_ARG(token), other,
                           id);
        if (i == STEPS_MOST)
            return err_set(err, ERR_CONFIG, "its tokens are chosen so that a table of them is slow");
        slot = (slot + 1) & (vocab->n_slots - 1);
    }
    vocab->slots[slot] = 1 + id;
    return true;
}

bool tokenizer_vocab_index(struct tokenizer_vocab *vocab, struct arena *arena, struct percept_err *err)
{
    vocab->n_slots = 16;
    while (vocab->n_slots < 2 * (size_t)vocab->n)
        vocab->n_slots *= 2;
    vocab->slots = arena_array(arena, vocab->n_slots, sizeof *vocab->slots);
    if (!vocab->slots)
        return err_memory(err, "a vocabulary", vocab->n_slots * sizeof *vocab->slots);
    for (int id = 0; id < vocab->n; id++) {
        if (!vocab->tokens[id].at)
            continue;
        const size_t n = bytes_size(vocab->tokens[id]);
        vocab->longest = n > vocab->longest ? n : vocab->longest;
        if (!insert(vocab, id, err))
            return false;
    }
    return true;
}

int tokenizer_vocab_at(const struct tokenizer_vocab *vocab, uint64_t hash, struct bytes token)
{
    for (size_t slot = slot_of(vocab, hash); vocab->slots[slot]; slot = (slot + 1) & (vocab->n_slots - 1))
        if (bytes_equal(vocab->tokens[vocab->slots[slot] - 1], token))
            return vocab->slots[slot] - 1;
    return -1;
}

int tokenizer_vocab_find(const struct tokenizer_vocab *vocab, struct bytes token)
{
    return bytes_size(token) > vocab->longest ? -1 : tokenizer_vocab_at(vocab, hash_of(token), token);
}
