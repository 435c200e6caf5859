/*
 * coding.h - content codings of HTTP: bodies that come compressed, replies that leave so. The door to zlib.
 *
 * Sizes are judged while a body is inflated, before memory for them is taken. Any thread; what outlives a call lies in
 * the arena that it is given.
 */
#ifndef SERVE_CODING_H
#define SERVE_CODING_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/watch.h"

enum coding {
    CODING_IDENTITY,
    CODING_GZIP,    /* RFC 1952 */
    CODING_DEFLATE, /* RFC 1950: zlib's wrapper, as RFC 9110 means the word */
    CODING_UNKNOWN,
};

/* What we read and write, for headers. */
#define CODING_NAMES "gzip, deflate"

/* A reply below this is one packet whether it is compressed or not. */
#define CODING_LEAST_BYTES 1024

/* Of a Content-Encoding; none is identity. */
enum coding coding_find(struct bytes content_encoding);

/* The one that an Accept-Encoding prefers: the highest weight, the first of equals; wildcards prefer nothing. */
enum coding coding_prefer(struct bytes accept_encoding);

const char *coding_name(enum coding coding);

/* Inflates a whole body, gzip (also of several members) or zlib as its first bytes say. More than `most` bytes are
 * TOO_LARGE, and so are more than CODING_RATIO for each that came, beyond the first CODING_FREE_BYTES; a body that ends
 * early, is damaged or goes on behind its end is INVALID. */
#define CODING_RATIO 256
#define CODING_FREE_BYTES ((size_t)1 << 20)
bool coding_inflate(struct bytes body, size_t most, struct arena *arena, struct watch *watch, struct bytes *inflated,
                    struct percept_err *err);

/* Compresses a reply; false where it is not worth it, or memory is short, or nobody waits any more. */
bool coding_deflate(enum coding coding, struct bytes reply, struct arena *arena, struct watch *watch,
                    struct bytes *deflated);

#endif
