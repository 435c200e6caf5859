/*
 * unicode.h - what code points are, and Unicode's normal forms: the door to utf8proc. Its library is opened by
 * unicode_open, which comes first; the rest may then be called by any thread.
 */
#ifndef SERVE_UNICODE_H
#define SERVE_UNICODE_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/watch.h"

/* False where the library is not installed: UNSUPPORTED. */
bool unicode_open(struct percept_err *err);

/* General categories: L*, N*, Nd, M*, Mn, P*, C* but for what is not assigned. */
bool unicode_is_letter(uint32_t code);
bool unicode_is_number(uint32_t code);
bool unicode_is_digit(uint32_t code);
bool unicode_is_mark(uint32_t code);
bool unicode_is_nonspacing(uint32_t code);
bool unicode_is_punctuation(uint32_t code);
bool unicode_is_other(uint32_t code);

/* White_Space; needs no library. */
bool unicode_is_space(uint32_t code);

/* What regular expressions call \w (UTS 18, Annex C): Alphabetic, M, Nd, Pc, Join_Control. */
bool unicode_is_word(uint32_t code);

/* Bytes that grow in an arena. */
struct unicode_text {
    struct arena *arena;
    uint8_t *at;
    size_t n, room;
};

bool unicode_put(struct unicode_text *text, const void *at, size_t n, struct percept_err *err);
bool unicode_put_code(struct unicode_text *text, uint32_t code, struct percept_err *err);

static inline struct bytes unicode_bytes(const struct unicode_text *text)
{
    return bytes_of(text->at, text->n);
}

enum unicode_form { UNICODE_AS_IS, UNICODE_NFC, UNICODE_NFD, UNICODE_NFKC, UNICODE_NFKD, UNICODE_NFKC_CASEFOLD };

/* Adds valid UTF-8 in a normal form (UAX 15) to `to`. Linear in its length. */
bool unicode_normalize(enum unicode_form form, struct bytes from, struct unicode_text *to, struct watch *watch,
                       struct percept_err *err);

#endif
