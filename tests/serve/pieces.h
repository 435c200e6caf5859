/* pieces.h - tokenizers of the tests, and what they make of texts. */
#ifndef TESTS_SERVE_PIECES_H
#define TESTS_SERVE_PIECES_H

#include "base/err.h"
#include "serve/tokenizer.h"
#include "serve/tokenizer_json.h"

extern struct percept_err pieces_err;

/* What is read from then on lives until this. */
void pieces_free(void);

const struct tokenizer *pieces_read(const char *json);

/* The ids of a text, "1 2 3"; what was refused: its sentence. */
const char *pieces_cut(const struct tokenizer *tokenizer, const char *text);
const char *pieces_cut_most(const struct tokenizer *tokenizer, struct bytes text, int64_t most, struct watch *watch);

/* The text of ids that a row of pieces_cut has. */
const char *pieces_say(const struct tokenizer *tokenizer, const char *ids);

/* ids of `text` with a tokenizer.json of this text must be these. */
void pieces_expect(const char *json, const char *text, const char *ids);

/* The file is refused, in a sentence with this part. */
void pieces_expect_refused(const char *json, const char *part);

#endif
