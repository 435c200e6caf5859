/*
 * tokenizer_json.h - tokenizers from files, for manifests.
 */
#ifndef SERVE_TOKENIZER_JSON_H
#define SERVE_TOKENIZER_JSON_H

#include "base/arena.h"
#include "base/bytes.h"

struct percept_err;
struct tokenizer;

/* The text of a tokenizer.json, as Hugging Face's tokenizers write it, which the tokenizer points into. NULL: it is
 * malformed, or has a part that is not served; the error names its place. Its `padding` and `truncation` say nothing:
 * the manifest does. */
const struct tokenizer *tokenizer_json_read(struct bytes text, struct arena *arena, struct percept_err *err);

#endif
