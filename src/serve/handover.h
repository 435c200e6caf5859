/*
 * handover.h - a sequence as bytes, so that it can go on in another process.
 *
 *     perceptd sequence 1\n
 *     {"model":"m","version":3,"level":"v4","precision":"exact","steps":7,"bytes":64}\n
 *     the states, as they are kept        so many bytes, little-endian
 *     a digest of all that                16 bytes
 *
 * The digest finds what was damaged on the way; it is no signature.
 */
#ifndef SERVE_HANDOVER_H
#define SERVE_HANDOVER_H

#include "serve/sequences.h"

/* In the arena. */
bool handover_write(const struct sequence_view *view, struct arena *arena, struct bytes *blob, struct percept_err *err);

struct handover {
    uint64_t steps;
    struct bytes states;     /* of the blob */
    const char *other_level; /* that it was computed on, if not ours: the same bits are not promised; or NULL */
};

/* Judged against the model that is to go on with it: name, version, precision and size must be the same (INVALID). */
bool handover_read(struct bytes blob, const struct served *served, struct arena *arena, struct handover *handover,
                   struct percept_err *err);

#endif
