/*
 * json.h - a strict JSON reader that never builds a tree: a cursor over bytes that somebody else
 * owns.
 *
 *     struct json json = json_of(body, arena, err);
 *     struct json_keys keys = {0};
 *     struct bytes key;
 *     if (!json_open(&json, '{'))
 *         return false;
 *     while (json_key(&json, &keys, &key))
 *         if (!(bytes_is(key, "id") ? json_text(&json, &id) : json_skip(&json)))
 *             return false;
 *     return json_finish(&json);
 *
 * The first error is kept in the caller's err, with the byte where it was seen; everything after it
 * fails quietly, so loops end by themselves. Refused: whatever RFC 8259 refuses, malformed UTF-8,
 * lone surrogates, keys that come twice (where keys are read), more than JSON_DEPTH_MAX levels.
 */
#ifndef SERVE_JSON_H
#define SERVE_JSON_H

#include "base/arena.h"
#include "base/bytes.h"
#include "percept.h"

#define JSON_DEPTH_MAX 16       /* of everything but tensors' data */
#define JSON_DATA_DEPTH_MAX 100 /* of those */

struct json {
    const uint8_t *begin, *at, *end;
    struct arena *arena; /* for texts with escapes */
    struct percept_err *err;
    int depth;
    bool failed;
};

/* The keys seen in one object. */
struct json_keys {
    int n, n_room;
    struct bytes *seen;
    bool begun;
};

struct json json_of(struct bytes text, struct arena *arena, struct percept_err *err);

/* What comes next, past white space: its first byte; 0 at the end or after an error. */
uint8_t json_peek(struct json *json);

/* Steps into an object '{' or array '['. */
bool json_open(struct json *json, char bracket);

/* The next key of the object, its value being next; false at its end (which is stepped over) or
 * when an error happened. The key may be in the arena. */
bool json_key(struct json *json, struct json_keys *keys, struct bytes *key);

/* The array has another element, which is next; false as json_key. `*n` counts; start it at 0. */
bool json_item(struct json *json, int64_t *n);

/* A value of one kind. `what` names it in the error. */
bool json_text(struct json *json, const char *what, struct bytes *text);
bool json_bool(struct json *json, const char *what, bool *value);
bool json_uint(struct json *json, const char *what, uint64_t *value);

/* Steps over any value and checks it. */
bool json_skip(struct json *json);

/* Steps over an array whose brackets and strings are found but whose elements are not checked: a
 * tensor's data, read later by whoever knows its type. */
bool json_skip_data(struct json *json, struct bytes *span);

/* Nothing but white space is left, and no error happened. */
bool json_finish(struct json *json);

/* Fails with "sentence at byte N". Returns false. */
bool json_fail(struct json *json, const char *format, ...)
    __attribute__((cold, format(printf, 2, 3)));

/* White space: inline, for readers of large arrays. */
static inline void json_space(struct json *json)
{
    while (json->at < json->end &&
           (*json->at == ' ' || *json->at == '\n' || *json->at == '\r' || *json->at == '\t'))
        json->at++;
}

#endif
