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
 * What people write who take JSON for JavaScript or Python (trailing commas, comments, single
 * quotes, nan, True) is called by its name.
 *
 * UTF-8's byte order mark is stepped over. A watch, where there is one, is looked at on the way.
 */
#ifndef SERVE_JSON_H
#define SERVE_JSON_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/watch.h"

#define JSON_DEPTH_MAX 16       /* of everything but tensors' data */
#define JSON_DATA_DEPTH_MAX 100 /* of those */

struct json {
    const uint8_t *begin, *at, *end;
    struct arena *arena; /* for texts with escapes */
    struct percept_err *err;
    struct watch *watch; /* NULL: nobody hurries */
    const char *what;    /* is read, for errors; NULL: the request */
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

/* json_key, past members that are null: they are as if left out. */
bool json_member(struct json *json, struct json_keys *keys, struct bytes *key);

/* The array has another element, which is next; false as json_key. `*n` counts; start it at 0. */
bool json_item(struct json *json, int64_t *n);

/* A value of one kind. `what` names it in the error. */
bool json_text(struct json *json, const char *what, struct bytes *text);
bool json_bool(struct json *json, const char *what, bool *value);
bool json_uint(struct json *json, const char *what, uint64_t *value);
bool json_real(struct json *json, const char *what, double *value); /* not NaN, which JSON has no word for */

/* Steps over any value and checks it. */
bool json_skip(struct json *json);

/* Steps over an array whose brackets and strings are found but whose elements are not checked: a
 * tensor's data, read later by whoever knows its type. */
bool json_skip_data(struct json *json, struct bytes *span);

/* Nothing but white space is left, and no error happened. */
bool json_finish(struct json *json);

/* Fails with "sentence at byte N". Returns false. */
bool json_fail(struct json *json, const char *format, ...) __attribute__((cold, format(printf, 2, 3)));

/* "'x'", "the end", "a trailing comma": what lies at the cursor, for messages. The array is for the
 * first kind. */
const char *json_found(const struct json *json, char text[static 24]);

/* Passes `n` bytes or elements on; fails when the watch is over. */
static inline bool json_spend(struct json *json, int64_t n)
{
    if (watch_spend(json->watch, n))
        return true;
    if (!json->failed)
        watch_refuse(json->watch, json->err);
    json->failed = true;
    return false;
}

#define JSON_SPACE_MAX 64 /* of white space at once; the rest is json_space_more's */

/* More white space than a formatted text has. */
void json_space_more(struct json *json);

/* White space: inline, for readers of large arrays. */
static inline void json_space(struct json *json)
{
    const uint8_t *stop = json->end - json->at > JSON_SPACE_MAX ? json->at + JSON_SPACE_MAX : json->end;
    while (json->at < stop && (*json->at == ' ' || *json->at == '\n' || *json->at == '\r' || *json->at == '\t'))
        json->at++;
    if (json->at == stop && stop < json->end)
        json_space_more(json);
}

#endif
