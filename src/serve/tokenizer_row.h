/*
 * tokenizer_row.h - the ids that a tokenizer makes of a text.
 */
#ifndef SERVE_TOKENIZER_ROW_H
#define SERVE_TOKENIZER_ROW_H

#include "base/arena.h"
#include "base/watch.h"

/* Ids as they are made: at most `most`, what comes after is left out. */
struct tokenizer_row {
    int64_t *ids;
    int64_t n, most;
    struct arena *arena; /* for what is needed on the way */
    struct watch *watch;
};

#endif
