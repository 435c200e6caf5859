/*
 * writer.h - the bytes of a reply while they are being written. See writer.c.
 *
 * Threads: one at a time, whoever has the job.
 */
#ifndef SERVE_WRITER_H
#define SERVE_WRITER_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/watch.h"

struct writer {
    struct arena *arena;
    char *at; /* the buffer's start */
    size_t used, room;
    struct watch *watch; /* the job's */
    bool failed;
};

/* Makes room for n more bytes; where they go, or NULL. `used` is the caller's to move. */
char *writer_reserve(struct writer *w, size_t n);

/* So much is written next; false when nobody waits for it any more. */
bool writer_spend(struct writer *w, int64_t units);

/* As it is. */
void writer_put(struct writer *w, const char *text);

/* Bytes as they are. */
void writer_bytes(struct writer *w, const void *at, size_t n);

void writer_int(struct writer *w, int64_t value);
void writer_float(struct writer *w, float value);                 /* the fewest digits that read back the same */
void writer_floats(struct writer *w, const float *values, int n); /* at least one, as an array */

/* In quotes. What is not UTF-8 becomes U+FFFD: a reply is always valid JSON. */
void writer_text(struct writer *w, struct bytes text);
void writer_string(struct writer *w, const char *text);

#endif
