/*
 * keys.h - the API keys that open the server. Only their SHA-256 digests are kept; a key that is
 * shown is digested and compared with all of them without an early end, so that time tells nothing.
 * The file has one key per line; blank lines and lines that begin with '#' are ignored.
 */
#ifndef HTTP_KEYS_H
#define HTTP_KEYS_H

#include "base/bytes.h"
#include "base/sha256.h"
#include "percept.h"

struct keys {
    int n; /* 0: no key is needed */
    uint8_t (*digests)[SHA256_BYTES];
};

/* Reads the file; path NULL: no keys. A file without a key is an error, not an open door. */
bool keys_read(const char *path, struct keys *keys, struct percept_err *err);
bool keys_match(const struct keys *keys, struct bytes shown);
void keys_free(struct keys *keys);

#endif
