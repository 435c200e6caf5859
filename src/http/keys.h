/*
 * keys.h - the API keys that open the server, and what each may be used for. Only their SHA-256 digests are kept; a
 * key that is shown is digested and compared with all of them without an early end, so that time tells nothing.
 *
 * The file has one key per line, and behind it, after a blank, its scopes with commas between; a key without scopes
 * has all. Instead of a key may stand its digest, which opens nothing. Blank lines and lines that begin with '#' are
 * ignored:
 *
 *     9f86d081884c7d65
 *     f1tyVqzWqNPLlW infer,read
 *     sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b read
 */
#ifndef HTTP_KEYS_H
#define HTTP_KEYS_H

#include "base/bytes.h"
#include "base/sha256.h"
#include "percept.h"

/* What a route asks for, and what a key is good for: bits. */
enum keys_scope {
    KEYS_NONE = 0,
    KEYS_INFER = 1, /* runs models */
    KEYS_READ = 2,  /* what is served, and how it goes */
    KEYS_ADMIN = 4, /* changes the server; --admin must allow that as well */
    KEYS_ALL = 7,
};

struct key {
    uint8_t digest[SHA256_BYTES];
    unsigned scopes;
};

struct keys {
    int n; /* 0: no key is needed */
    struct key *at;
};

/* Reads the file; path NULL: no keys. A file without a key is an error, not an open door. */
bool keys_read(const char *path, struct keys *keys, struct percept_err *err);

/* Scopes of the key that was shown, of all its lines together; 0: there is none like it. */
unsigned keys_match(const struct keys *keys, struct bytes shown);
/* Whose requests these are, as a number that tells nothing of the key; never 0. */
uint64_t keys_owner(struct bytes shown);
void keys_free(struct keys *keys);

/* "infer", "read" or "admin", of one scope. */
const char *keys_scope_name(unsigned scope);

#endif
