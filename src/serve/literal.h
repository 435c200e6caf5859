/*
 * literal.h - what exporters write beside or into a model, as a small tree: JSON, or Python's str() of numbers, texts,
 * lists, tuples and dicts.
 *
 *     const struct literal *names = literal_python(bytes_of_text("{0: 'person', 1: 'bicycle'}"), &arena, &err);
 *     for (const struct literal *name = names ? names->first : NULL; name; name = name->next) ... name->key, name->text
 *
 * Nothing is evaluated. Everything lies in the arena. Threads: any.
 */
#ifndef SERVE_LITERAL_H
#define SERVE_LITERAL_H

#include "base/arena.h"
#include "base/bytes.h"
#include "percept.h"

#define LITERAL_DEPTH_MAX 16
#define LITERAL_MAX_BYTES ((size_t)4 << 20)
#define LITERAL_MAX_ELEMENTS 200000

enum literal_kind { LITERAL_NOTHING, LITERAL_BOOL, LITERAL_NUMBER, LITERAL_TEXT, LITERAL_LIST, LITERAL_MAP };

struct literal {
    enum literal_kind kind;
    bool truth;
    double number; /* finite */
    const char *text;
    int n; /* elements of a list or a map */
    const struct literal *first, *next;
    const char *key;    /* of an element of a map: its text, or its number in digits */
    bool key_is_number; /* of Python's */
};

/* NULL with a sentence: it is not that, or longer, deeper or larger than the bounds. Keys that come twice are refused.
 * Python: int, float, bool, None, str in single or double quotes with the escapes of repr(), list, tuple, dict with
 * keys of int or str. */
const struct literal *literal_json(struct bytes text, struct arena *arena, struct percept_err *err);
const struct literal *literal_python(struct bytes text, struct arena *arena, struct percept_err *err);

/* An element of a map, or NULL, also where `map` is NULL or no map. */
const struct literal *literal_get(const struct literal *map, const char *key);

/* Is it a whole number from least to most (at most 2^53)? */
bool literal_whole(const struct literal *literal, int64_t least, int64_t most, int64_t *value);

/* A map's or list's texts by number: a list of texts, or a map whose keys are "0" to "n-1" in any order. NULL: it is no
 * such thing, or memory is short. */
const char *const *literal_texts(const struct literal *literal, struct arena *arena, int *n);

#endif
