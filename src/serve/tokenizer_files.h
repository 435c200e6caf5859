/*
 * tokenizer_files.h - tokenizers from a vocabulary alone, with the rules that belong to its kind.
 */
#ifndef SERVE_TOKENIZER_FILES_H
#define SERVE_TOKENIZER_FILES_H

#include "base/file.h"
#include "serve/unicode.h"

struct tokenizer;

/* What a manifest says. */
struct tokenizer_files {
    const char *const *tokens; /* by id */
    int n_tokens;
    int64_t unknown; /* -1: the vocabulary's own, where it has one */
    bool lowercase;
    enum unicode_form normalize;
    const char *merges; /* a file beneath the place: merges.txt */
};

/* vocab.txt as BERT has it: BERT's normalizer, which with lowercase takes accents off as well, and its splitter; pieces
 * within a word begin with ##, [UNK] is unknown. NULL: err is set. */
const struct tokenizer *tokenizer_files_wordpiece(const struct tokenizer_files *files, struct arena *arena,
                                                  struct percept_err *err);

/* vocab.json and merges.txt as GPT-2 has them: byte level, split by its expression. NULL: err is set. */
const struct tokenizer *tokenizer_files_bpe(const struct tokenizer_files *files, const struct file_place *place,
                                            struct arena *arena, struct percept_err *err);

#endif
