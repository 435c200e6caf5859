/*
 * payload.h - which bytes of a ModelProto are numbers alone, so that the rest can be read without them.
 *
 *     struct payload payload = {.file = room, .read = read, .user = ...};
 *     if (!payload_skip(&payload, &arena, err)) ...
 *     ... onnx_read(payload.file, ...) ...
 *
 * raw_data of PAYLOAD_LEAST bytes or more, of floats, among the main graph's initializers. Nothing else is left out.
 */
#ifndef GRAPH_PAYLOAD_H
#define GRAPH_PAYLOAD_H

#include "base/arena.h"
#include "graph/wire.h"
#include "percept.h"

#define PAYLOAD_LEAST ((size_t)1 << 16)

struct payload {
    struct bytes file; /* room for all of it, filled here but for the holes */
    /* Fills `to`, which lies in file, with its bytes of the file on disk. */
    bool (*read)(void *user, struct bytes to, struct percept_err *err);
    void *user;
    struct bytes *holes; /* in the order of the file */
    size_t n_holes, room;
    const uint8_t *read_to; /* what lies before it is there, but for the holes */
};

/* Reads everything but the holes, and notes these in the arena. What is no ModelProto, or a damaged one, is read whole
 * from where that shows: whoever parses it says so. False: it could not be read. */
bool payload_skip(struct payload *payload, struct arena *arena, struct percept_err *err);

/* The hole that begins there, or NULL. */
const struct bytes *payload_find(const struct payload *payload, const void *at);

#endif
