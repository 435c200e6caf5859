/*
 * wire.c - see wire.h. Each length is compared with what remains before it is used; nothing is copied,
 * nothing is allocated, and no call costs more than the field it takes (a LEN field: its head).
 *
 *     tag (varint) = number << 3 | type     then     0 VARINT    7 bits a byte, low first
 *                                                    1 FIXED64   8 bytes, little-endian
 *                                                    2 LEN       length (varint), that many bytes
 *                                                    5 FIXED32   4 bytes, little-endian
 */
#include "graph/wire.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "ONNX stores little-endian numbers, which are used where they lie");

#define TAG_MAX UINT32_MAX /* field numbers have at most 29 bits */

bool wire_varint(struct bytes *rest, uint64_t *value)
{
    uint64_t bits = 0;
    const uint8_t *at = rest->at;
    for (unsigned shift = 0; shift < 70 && at < rest->end; shift += 7) {
        uint8_t byte = *at++;
        if (shift == 63 && byte > 1)
            return false;
        bits |= (uint64_t)(byte & 0x7fu) << shift;
        if (byte < 0x80) {
            *value = bits;
            rest->at = at;
            return true;
        }
    }
    return false;
}

size_t wire_count(struct bytes packed)
{
    size_t n = 0;
    for (const uint8_t *at = packed.at; at < packed.end; at++)
        n += *at < 0x80;
    return n;
}

static bool stop(struct wire *wire, const char *why)
{
    wire->broken = why;
    return false;
}

static bool take_fixed(struct wire *wire, size_t n, uint64_t *value)
{
    if (bytes_size(wire->rest) < n)
        return stop(wire, "a number is cut short");
    *value = 0;
    memcpy(value, wire->rest.at, n);
    wire->rest.at += n;
    return true;
}

static bool take_length(struct wire *wire, struct bytes *bytes)
{
    uint64_t length;
    if (!wire_varint(&wire->rest, &length))
        return stop(wire, "a length is cut short or has more than 10 bytes");
    if (length > bytes_size(wire->rest))
        return stop(wire, "a field is longer than what remains: the file is cut short or damaged");
    *bytes = bytes_of(wire->rest.at, (size_t)length);
    wire->rest.at += length;
    return true;
}

bool wire_next(struct wire *wire, struct wire_field *field)
{
    if (wire->broken || wire->rest.at == wire->rest.end)
        return false;
    uint64_t tag;
    if (!wire_varint(&wire->rest, &tag))
        return stop(wire, "a tag is cut short or has more than 10 bytes");
    if (tag > TAG_MAX || tag >> 3 == 0)
        return stop(wire, "a field number is outside of 1 to 536870911");
    field->tag = (uint32_t)tag;
    switch (tag & 7u) {
    case 0:
        return wire_varint(&wire->rest, &field->value) || stop(wire, "a varint is cut short or has more than 10 bytes");
    case 1:
        return take_fixed(wire, 8, &field->value);
    case 2:
        return take_length(wire, &field->bytes);
    case 5:
        return take_fixed(wire, 4, &field->value);
    case 3:
    case 4:
        return stop(wire, "there is a protobuf group, which ONNX has none of");
    default:
        return stop(wire, "a field has a wire type that does not exist");
    }
}

bool wire_find(struct wire *wire, uint32_t tag, struct bytes *bytes)
{
    struct wire_field field;
    while (wire_next(wire, &field))
        if (field.tag == tag) {
            *bytes = field.bytes;
            return true;
        }
    return false;
}
