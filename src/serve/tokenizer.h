/*
 * tokenizer.h - tokenizers that cut texts into pieces of words: WordPiece, byte-level BPE, unigram; from vocab.txt,
 * vocab.json and merges.txt, or from tokenizer.json. (Words, characters and bytes: tokenizer_words.h.)
 *
 *     const struct tokenizer *tokenizer = tokenizer_json_read(text, "tokenizer.json", arena, err);         (a loader)
 *     struct tokenizer_row row = {.ids = ids, .most = 128, .arena = job->arena, .watch = &job->watch};
 *     if (!tokenizer_cut(tokenizer, text, &row, err)) ...                                                (any thread)
 *
 * A tokenizer is immutable once read and lives in the arena that it was read into.
 */
#ifndef SERVE_TOKENIZER_H
#define SERVE_TOKENIZER_H

#include "serve/tokenizer_row.h"
#include "serve/unicode.h"

struct tokenizer;

/* Adds the ids of valid UTF-8; no ids around it. */
bool tokenizer_cut(const struct tokenizer *tokenizer, struct bytes text, struct tokenizer_row *row,
                   struct percept_err *err);

/* Adds what an id says, as the bytes of a text that goes on; `first`: nothing is before it. Ids that are no token's and
 * special tokens say nothing. */
bool tokenizer_say(const struct tokenizer *tokenizer, int64_t id, bool first, struct unicode_text *text,
                   struct percept_err *err);

/* How many ids there are, and those that belong around a text (-1: none). */
int64_t tokenizer_size(const struct tokenizer *tokenizer);
int64_t tokenizer_start(const struct tokenizer *tokenizer);
int64_t tokenizer_end(const struct tokenizer *tokenizer);

#endif
