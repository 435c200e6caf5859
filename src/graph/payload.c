/*
 * payload.c - see payload.h. The file is walked field by field; before each step the few bytes that it looks at are
 * read, and some more with them, so that small messages come many at a time. A walk only goes forward.
 */
#include "graph/payload.h"

#include "base/err.h"
#include "graph/fields.h"

#define HEAD_BYTES 20 /* of a field at most: a tag and a length of 10 bytes each, or a tag and a number */
#define AHEAD_BYTES ((size_t)1 << 15)
#define FLOAT 1 /* TensorProto.DataType */

struct walk {
    struct payload *payload;
    struct arena *arena;
    struct percept_err *err;
    bool failed;
};

static bool fail(struct walk *walk)
{
    walk->failed = true;
    return false;
}

/* Has the bytes up to `end` read. */
static bool need(struct walk *walk, const uint8_t *at, const uint8_t *end)
{
    struct payload *payload = walk->payload;
    if (walk->failed || end <= payload->read_to)
        return !walk->failed;
    if (at < payload->read_to)
        at = payload->read_to;
    if ((size_t)(payload->file.end - end) < AHEAD_BYTES)
        end = payload->file.end;
    else if ((size_t)(end - at) < AHEAD_BYTES)
        end = at + AHEAD_BYTES;
    if (!payload->read(payload->user, (struct bytes){at, end}, walk->err))
        return fail(walk);
    payload->read_to = end;
    return true;
}

static bool need_head(struct walk *walk, const struct wire *wire)
{
    const size_t rest = bytes_size(wire->rest);
    return need(walk, wire->rest.at, wire->rest.at + (rest < HEAD_BYTES ? rest : HEAD_BYTES));
}

static bool next(struct walk *walk, struct wire *wire, struct wire_field *field)
{
    return need_head(walk, wire) && wire_next(wire, field);
}

static bool note(struct walk *walk, struct bytes hole)
{
    struct payload *payload = walk->payload;
    if (payload->n_holes == payload->room) {
        const size_t room = payload->room ? 2 * payload->room : 64, size = sizeof *payload->holes;
        struct bytes *grown = arena_grow(walk->arena, payload->holes, payload->room * size, room * size);
        if (!grown) {
            err_memory(walk->err, "the places of weights", room * size);
            return fail(walk);
        }
        payload->holes = grown;
        payload->room = room;
    }
    payload->holes[payload->n_holes++] = hole;
    return true;
}

/* The first large raw_data may be a hole. What follows it in the same message, and counts instead, is read. */
static void walk_tensor(struct walk *walk, struct bytes message)
{
    struct wire wire = wire_of(message);
    struct wire_field field;
    struct bytes raw = {0};
    uint64_t type = 0;
    while (next(walk, &wire, &field)) {
        const bool large = field.tag == TENSOR_RAW_DATA && !raw.at && bytes_size(field.bytes) >= PAYLOAD_LEAST;
        if (large)
            raw = field.bytes;
        else if ((field.tag & 7u) == 2)
            need(walk, field.bytes.at, field.bytes.end);
        if (field.tag == TENSOR_DATA_TYPE)
            type = field.value;
    }
    if (wire.broken)
        need(walk, wire.rest.at, wire.rest.end);
    if (walk->failed || !raw.at)
        return;
    if (type == FLOAT)
        note(walk, raw);
    else if (!walk->payload->read(walk->payload->user, raw, walk->err))
        fail(walk);
}

/* A message's fields: those with this tag are walked, the others are read. */
static void walk_fields(struct walk *walk, struct bytes message, uint32_t tag,
                        void (*inside)(struct walk *walk, struct bytes message))
{
    struct wire wire = wire_of(message);
    struct wire_field field;
    while (next(walk, &wire, &field)) {
        if (field.tag == tag)
            inside(walk, field.bytes);
        else if ((field.tag & 7u) == 2)
            need(walk, field.bytes.at, field.bytes.end);
    }
    if (wire.broken)
        need(walk, wire.rest.at, wire.rest.end);
}

static void walk_graph(struct walk *walk, struct bytes message)
{
    walk_fields(walk, message, GRAPH_INITIALIZER, walk_tensor);
}

bool payload_skip(struct payload *payload, struct arena *arena, struct percept_err *err)
{
    struct walk walk = {.payload = payload, .arena = arena, .err = err};
    payload->read_to = payload->file.at;
    walk_fields(&walk, payload->file, MODEL_GRAPH, walk_graph);
    return !walk.failed;
}

const struct bytes *payload_find(const struct payload *payload, const void *at)
{
    size_t low = 0, high = payload->n_holes;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (payload->holes[middle].at == at)
            return &payload->holes[middle];
        if (payload->holes[middle].at < (const uint8_t *)at)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
