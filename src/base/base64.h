/* base64.h - bytes as text (RFC 4648, section 4), padding included. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/bytes.h"

/* Room for what n characters stand for, and for n bytes as text. */
#define BASE64_READ_MAX(n) ((n) / 4 * 3 + 3)
#define BASE64_WRITE_MAX(n) (((n) + 2) / 3 * 4)

/* What the text stands for; how many bytes, in *n. False where it is none. */
bool base64_read(struct bytes text, uint8_t *to, size_t *n);

/* The text, without an end mark; its length. */
size_t base64_write(char *to, struct bytes bytes);

#endif
