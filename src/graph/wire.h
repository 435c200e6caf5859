/*
 * wire.h - protobuf's wire format, read in place.
 *
 *     struct wire wire = wire_of(message);
 *     struct wire_field field;
 *     while (wire_next(&wire, &field))
 *         switch (field.tag) {
 *         case WIRE_LEN(2): name = field.bytes; break;
 *         case WIRE_VARINT(3): count = field.value; break;
 *         }
 *     if (wire.broken) ...
 *
 * A field's tag is its number and its wire type together, as on the wire: a field that has another type
 * than the schema says is an unknown field, and unknown fields are passed over, as protobuf demands.
 * Groups, which ONNX never had, varints of more than 10 bytes, and lengths beyond the end are refused.
 */
#ifndef GRAPH_WIRE_H
#define GRAPH_WIRE_H

#include "base/bytes.h"

#define WIRE_VARINT(number) ((uint32_t)(number) << 3 | 0u)
#define WIRE_FIXED64(number) ((uint32_t)(number) << 3 | 1u)
#define WIRE_LEN(number) ((uint32_t)(number) << 3 | 2u)
#define WIRE_FIXED32(number) ((uint32_t)(number) << 3 | 5u)

struct wire {
    struct bytes rest;
    const char *broken; /* why reading stopped before the end, or NULL */
};

struct wire_field {
    uint32_t tag;
    uint64_t value;     /* of VARINT, FIXED32, FIXED64: the bits */
    struct bytes bytes; /* of LEN: a view of the message */
};

static inline struct wire wire_of(struct bytes message)
{
    return (struct wire){.rest = message};
}

/* The next field, or false at the end and where the message is broken. */
bool wire_next(struct wire *wire, struct wire_field *field);

/* The next field with this tag of a LEN field; others are passed over. */
bool wire_find(struct wire *wire, uint32_t tag, struct bytes *bytes);

/* Takes one varint from the front of `rest`; false when it is cut short or longer than 10 bytes. */
bool wire_varint(struct bytes *rest, uint64_t *value);

/* How many varints a packed field holds; what is broken shows when they are read. */
size_t wire_count(struct bytes packed);

#endif
