/* bytes.h - a view of memory that somebody else owns: [at, end). Passed by value. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const uint8_t *at;
    const uint8_t *end;
};

static inline size_t bytes_size(struct bytes b)
{
    return (size_t)(b.end - b.at);
}

static inline struct bytes bytes_of(const void *at, size_t n)
{
    const uint8_t *start = at;
    return (struct bytes){.at = start, .end = n ? start + n : start}; /* NULL + 0 is undefined */
}

static inline struct bytes bytes_of_text(const char *text)
{
    return bytes_of(text, strlen(text));
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return bytes_size(a) == bytes_size(b) && (bytes_size(a) == 0 || memcmp(a.at, b.at, bytes_size(a)) == 0);
}

static inline bool bytes_is(struct bytes b, const char *text)
{
    return bytes_equal(b, bytes_of_text(text));
}

/* Do the bytes begin with these n, or with this text? */
static inline bool bytes_begin(struct bytes b, const void *with, size_t n)
{
    return bytes_size(b) >= n && memcmp(b.at, with, n) == 0;
}

static inline bool bytes_begin_text(struct bytes b, const char *text)
{
    return bytes_begin(b, text, strlen(text));
}

/* For "%.*s": names in messages are cut at 200 bytes. */
#define BYTES_FMT "%.*s"
#define BYTES_ARG(b) (int)(bytes_size(b) > 200 ? 200 : bytes_size(b)), (const char *)(b).at

#endif
