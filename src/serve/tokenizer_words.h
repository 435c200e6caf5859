/*
 * tokenizer_words.h - the tokenizers of plain vocabularies: words, characters, bytes. tokenizer.h has those that cut
 * words into pieces, with the same verbs.
 */
#ifndef SERVE_TOKENIZER_WORDS_H
#define SERVE_TOKENIZER_WORDS_H

#include "serve/manifest.h"
#include "serve/tokenizer_row.h"

/* Adds the ids of valid UTF-8; no ids around it. */
bool tokenizer_words_cut(const struct manifest_text *text, struct bytes raw, struct tokenizer_row *row,
                         struct percept_err *err);

/* Adds what an id says, as the bytes of a text that goes on; `first`: nothing is before it. */
bool tokenizer_words_say(const struct manifest_text *text, int64_t id, bool first, struct unicode_text *to,
                         struct percept_err *err);

#endif
