/*
 * utf8.h - one code point at a time. Overlong forms, surrogates and values over U+10FFFF are
 * malformed.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/bytes.h"

#define UTF8_MAX 4 /* bytes of a code point */

/* Reads the code point at `at` < `end`. Returns where the next begins, or NULL when it is
 * malformed. */
static inline const uint8_t *utf8_read(const uint8_t *at, const uint8_t *end, uint32_t *code)
{
    static const uint32_t least[] = {0x80, 0x800, 0x10000}; /* of 2, 3, 4 bytes */
    uint8_t lead = *at;
    if (lead < 0x80) {
        *code = lead;
        return at + 1;
    }
    int n = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || end - at < n)
        return NULL;
    uint32_t value = lead & (0x7fu >> n);
    for (int i = 1; i < n; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return NULL;
        value = value << 6 | (at[i] & 0x3f);
    }
    if (value < least[n - 2] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
        return NULL;
    *code = value;
    return at + n;
}

/* A text behind UTF-8's byte order mark, if it has one: some editors write it. */
static inline struct bytes utf8_past_mark(struct bytes text)
{
    if (text.end - text.at >= 3 && text.at[0] == 0xef && text.at[1] == 0xbb && text.at[2] == 0xbf)
        text.at += 3;
    return text;
}

/* A text that begins with the byte order mark of UTF-16 (or of UTF-32, little-endian). */
static inline bool utf8_is_wide(struct bytes text)
{
    return text.end - text.at >= 2 &&
           ((text.at[0] == 0xfe && text.at[1] == 0xff) || (text.at[0] == 0xff && text.at[1] == 0xfe));
}

/* Writes a valid code point; returns its bytes, at most UTF8_MAX. */
static inline size_t utf8_write(void *to, uint32_t code)
{
    uint8_t *at = to;
    if (code < 0x80) {
        at[0] = (uint8_t)code;
        return 1;
    }
    size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, code >>= 6)
        at[i] = (uint8_t)(0x80 | (code & 0x3f));
    at[0] = (uint8_t)((0xf00u >> n) & 0xff) | (uint8_t)code;
    return n;
}

#endif
