/*
 * kept.h - a tensor of a stored case: a JSON object with name, dtype, shape and the data from `file` (raw, row-major,
 * little-endian), else from `value`, else zeros.
 */
#ifndef TESTS_REAL_KEPT_H
#define TESTS_REAL_KEPT_H

#include <jansson.h>

#include "base/arena.h"
#include "percept.h"

struct kept {
    const char *name;
    struct percept_tensor tensor;
    size_t n_bytes;
};

/* A text member; "" when there is none. */
const char *kept_text(json_t *object, const char *key);

/* Data lie in the arena, `name` in the JSON. False with a sentence in `why` (200 bytes). */
bool kept_read(struct arena *arena, const char *folder, json_t *json, struct kept *stored, char *why);

#endif
