/*
 * mutate.c - a model is taken apart along the schema below into a tree of fields, changed in a few
 * places and put together again. Only what the reader knows has a place in the schema; all else
 * stays bytes.
 */
#include "mutate.h"

#include <stdio.h>

#include "build.h"
#include "draw.h"
#include "graph/wire.h"

#define MOST_DEPTH 24

size_t LLVMFuzzerMutate(uint8_t *data, size_t n, size_t most);

enum kind {
    LEAF,
    MODEL,
    OPSET,
    GRAPH,
    FUNCTION,
    NODE,
    ATTRIBUTE,
    TENSOR,
    SPARSE,
    VALUE,
    TYPE,
    TENSOR_TYPE,
    SHAPE,
    DIM,
    ENTRY,
};

static const struct {
    enum kind parent;
    uint32_t tag;
    enum kind child;
} schema[] = {
    {MODEL, MODEL_GRAPH, GRAPH},
    {MODEL, MODEL_OPSET_IMPORT, OPSET},
    {MODEL, MODEL_FUNCTIONS, FUNCTION},
    {GRAPH, GRAPH_NODE, NODE},
    {GRAPH, GRAPH_INITIALIZER, TENSOR},
    {GRAPH, GRAPH_SPARSE_INITIALIZER, SPARSE},
    {GRAPH, GRAPH_INPUT, VALUE},
    {GRAPH, GRAPH_OUTPUT, VALUE},
    {GRAPH, GRAPH_VALUE_INFO, VALUE},
    {FUNCTION, FUNCTION_NODE, NODE},
    {FUNCTION, FUNCTION_OPSET_IMPORT, OPSET},
    {FUNCTION, FUNCTION_ATTRIBUTE_PROTO, ATTRIBUTE},
    {NODE, NODE_ATTRIBUTE, ATTRIBUTE},
    {ATTRIBUTE, ATTRIBUTE_T, TENSOR},
    {ATTRIBUTE, ATTRIBUTE_G, GRAPH},
    {ATTRIBUTE, ATTRIBUTE_TENSORS, TENSOR},
    {ATTRIBUTE, ATTRIBUTE_GRAPHS, GRAPH},
    {ATTRIBUTE, ATTRIBUTE_SPARSE_TENSOR, SPARSE},
    {SPARSE, SPARSE_VALUES, TENSOR},
    {SPARSE, SPARSE_INDICES, TENSOR},
    {VALUE, VALUE_INFO_TYPE, TYPE},
    {TYPE, TYPE_TENSOR, TENSOR_TYPE},
    {TENSOR_TYPE, TENSOR_TYPE_SHAPE, SHAPE},
    {SHAPE, SHAPE_DIM, DIM},
    {TENSOR, TENSOR_EXTERNAL_DATA, ENTRY},
};

struct field {
    uint32_t tag;
    enum kind kind;
    uint64_t value;     /* of a number */
    struct proto bytes; /* of a leaf */
    struct message *message;
};

struct message {
    enum kind kind;
    int n, cap;
    struct field *fields;
};

/* A place in the tree. */
struct spot {
    struct message *in;
    int at;
};

struct spots {
    struct spot *at;
    size_t n, cap;
};

/* --- apart and together ------------------------------------------------------------------------------------------- */

static void *must(void *at)
{
    if (!at)
        abort();
    return at;
}

static enum kind child_kind(enum kind parent, uint32_t tag)
{
    for (size_t i = 0; i < sizeof schema / sizeof *schema; i++)
        if (schema[i].parent == parent && schema[i].tag == tag)
            return schema[i].child;
    return LEAF;
}

static struct field *insert(struct message *message, int at)
{
    if (message->n == message->cap) {
        message->cap = 2 * message->cap + 8;
        message->fields = must(realloc(message->fields, (size_t)message->cap * sizeof *message->fields));
    }
    memmove(message->fields + at + 1, message->fields + at, (size_t)(message->n - at) * sizeof *message->fields);
    message->n++;
    message->fields[at] = (struct field){0};
    return &message->fields[at];
}

static void message_free(struct message *message);

static void field_free(struct field *field)
{
    proto_free(&field->bytes);
    if (field->message)
        message_free(field->message);
}

static void message_free(struct message *message)
{
    for (int i = 0; i < message->n; i++)
        field_free(&message->fields[i]);
    free(message->fields);
    free(message);
}

static struct message *apart(struct bytes bytes, enum kind kind, int depth)
{
    struct message *message = must(calloc(1, sizeof *message));
    struct wire wire = wire_of(bytes);
    struct wire_field found;
    message->kind = kind;
    while (wire_next(&wire, &found)) {
        struct field *field = insert(message, message->n);
        field->tag = found.tag;
        field->value = found.value;
        if ((found.tag & 7) != 2)
            continue;
        field->kind = depth < MOST_DEPTH ? child_kind(kind, found.tag) : LEAF;
        if (field->kind == LEAF)
            proto_raw(&field->bytes, found.bytes.at, bytes_size(found.bytes));
        else
            field->message = apart(found.bytes, field->kind, depth + 1);
    }
    return message;
}

static struct proto together(const struct message *message)
{
    struct proto made = {0};
    for (int i = 0; i < message->n; i++) {
        const struct field *field = &message->fields[i];
        unsigned type = field->tag & 7;
        if (type == 0) {
            proto_int(&made, field->tag, (int64_t)field->value);
        } else if (type == 1 || type == 5) {
            proto_varint(&made, field->tag);
            proto_raw(&made, &field->value, type == 1 ? 8 : 4);
        } else if (field->message) {
            proto_add(&made, field->tag, together(field->message));
        } else {
            proto_bytes(&made, field->tag, field->bytes.at, field->bytes.n);
        }
    }
    return made;
}

/* --- places ------------------------------------------------------------------------------------------------------- */

static void collect(struct message *message, enum kind kind, uint32_t tag, struct spots *spots)
{
    for (int i = 0; i < message->n; i++) {
        struct field *field = &message->fields[i];
        if ((kind == LEAF || message->kind == kind) && (tag == 0 || field->tag == tag)) {
            if (spots->n == spots->cap) {
                spots->cap = 2 * spots->cap + 64;
                spots->at = must(realloc(spots->at, spots->cap * sizeof *spots->at));
            }
            spots->at[spots->n++] = (struct spot){message, i};
        }
        if (field->message)
            collect(field->message, kind, tag, spots);
    }
}

/* One of the fields with this tag in messages of this kind (LEAF: any; 0: any); in is NULL when
 * there is none. */
static struct spot pick(struct message *model, enum kind kind, uint32_t tag, struct draw *draw)
{
    struct spots spots = {0};
    struct spot spot = {0};
    collect(model, kind, tag, &spots);
    if (spots.n)
        spot = spots.at[draw_below(draw, spots.n)];
    free(spots.at);
    return spot;
}

static struct field *field_of(struct spot spot)
{
    return &spot.in->fields[spot.at];
}

static void set_text(struct field *field, const void *at, size_t n)
{
    struct proto text = {0};
    proto_raw(&text, at, n);
    proto_free(&field->bytes);
    field->bytes = text;
}

/* --- changes ------------------------------------------------------------------------------------------------------ */

static void change_number(struct field *field, struct draw *draw)
{
    switch (draw_below(draw, 5)) {
    case 0:
        field->value = (uint64_t)draw_edge(draw);
        break;
    case 1:
        field->value += 1;
        break;
    case 2:
        field->value -= 1;
        break;
    case 3:
        field->value = 0 - field->value;
        break;
    default:
        field->value = draw_below(draw, 24);
    }
}

static void change_float(struct field *field, struct draw *draw)
{
    float value = draw_float(draw);
    if ((field->tag & 7) == 5)
        memcpy(&field->value, &value, sizeof value);
    else
        field->value ^= 1ull << draw_below(draw, 64);
}

static void change_bytes(struct field *field)
{
    size_t n = field->bytes.n, most = n < 4096 ? n + 16 : n;
    uint8_t *copy = must(calloc(1, most + 1));
    if (n)
        memcpy(copy, field->bytes.at, n);
    set_text(field, copy, LLVMFuzzerMutate(copy, n, most));
    free(copy);
}

static void change_any(struct message *model, struct draw *draw)
{
    struct spot spot = pick(model, LEAF, 0, draw);
    if (!spot.in)
        return;
    struct field *field = field_of(spot);
    if ((field->tag & 7) == 0)
        change_number(field, draw);
    else if ((field->tag & 7) != 2)
        change_float(field, draw);
    else if (!field->message)
        change_bytes(field);
}

static void change_op_type(struct message *model, struct draw *draw)
{
    struct spot spot = pick(model, NODE, NODE_OP_TYPE, draw);
    const char *name = build_op_type(draw);
    if (spot.in)
        set_text(field_of(spot), name, strlen(name));
}

/* An input becomes another value's name, or is left out. */
static void rewire(struct message *model, struct draw *draw)
{
    static const struct {
        enum kind kind;
        uint32_t tag;
    } names[] = {{NODE, NODE_OUTPUT}, {NODE, NODE_INPUT}, {VALUE, VALUE_INFO_NAME}, {TENSOR, TENSOR_NAME}};
    size_t to = draw_chance(draw, 80) ? 1 : draw_below(draw, 4), from = draw_below(draw, 4);
    struct spot target = pick(model, names[to].kind, names[to].tag, draw);
    struct spot source = pick(model, names[from].kind, names[from].tag, draw);
    if (!target.in || !source.in)
        return;
    if (draw_chance(draw, 15)) {
        set_text(field_of(target), "", 0);
        return;
    }
    struct proto copy = {0};
    proto_raw(&copy, field_of(source)->bytes.at, field_of(source)->bytes.n);
    set_text(field_of(target), copy.at, copy.n);
    proto_free(&copy);
}

static void copy_field(struct field *to, const struct field *from)
{
    *to = *from;
    to->bytes = (struct proto){0};
    to->message = NULL;
    if (from->message) {
        struct proto whole = together(from->message);
        to->message = apart(proto_view(&whole), from->kind, 0);
        proto_free(&whole);
    } else if ((from->tag & 7) == 2) {
        proto_raw(&to->bytes, from->bytes.at, from->bytes.n);
    }
}

static void duplicate(struct message *model, struct draw *draw)
{
    struct spot spot = pick(model, LEAF, 0, draw);
    if (!spot.in || spot.in->kind == MODEL)
        return;
    struct field copy;
    copy_field(&copy, field_of(spot));
    int at = (int)draw_below(draw, (uint64_t)spot.in->n + 1);
    *insert(spot.in, at) = copy;
}

static void delete (struct message *model, struct draw *draw)
{
    struct spot spot = pick(model, LEAF, 0, draw);
    if (!spot.in || spot.in->kind == MODEL)
        return;
    field_free(field_of(spot));
    spot.in->n--;
    memmove(spot.in->fields + spot.at, spot.in->fields + spot.at + 1,
            (size_t)(spot.in->n - spot.at) * sizeof *spot.in->fields);
}

static void swap(struct message *model, struct draw *draw)
{
    struct spot spot = pick(model, LEAF, 0, draw);
    if (!spot.in)
        return;
    int other = (int)draw_below(draw, (uint64_t)spot.in->n);
    struct field kept = spot.in->fields[other];
    spot.in->fields[other] = spot.in->fields[spot.at];
    spot.in->fields[spot.at] = kept;
}

static void add_attribute(struct message *model, struct draw *draw)
{
    struct spot spot = pick(model, GRAPH, GRAPH_NODE, draw);
    if (!spot.in)
        return;
    struct message *node = field_of(spot)->message;
    struct proto attribute = build_attribute(draw);
    struct field *field = node ? insert(node, node->n) : NULL;
    if (field) {
        field->tag = NODE_ATTRIBUTE;
        field->kind = ATTRIBUTE;
        field->message = apart(proto_view(&attribute), ATTRIBUTE, 0);
    }
    proto_free(&attribute);
}

/* Another type with as many bytes as it needs, or other dims with as many elements as those. */
static void change_tensor(struct message *model, struct draw *draw)
{
    struct spot spot = pick(model, LEAF, TENSOR_RAW_DATA, draw);
    if (!spot.in || spot.in->kind != TENSOR)
        return;
    struct field *raw = field_of(spot);
    size_t n = 1, size = 4;
    for (int i = 0; i < spot.in->n; i++) {
        struct field *field = &spot.in->fields[i];
        if (field->tag == TENSOR_DIMS_ONE) {
            if (draw_chance(draw, 30))
                field->value = draw_below(draw, 9);
            n = field->value < 4096 ? n * (size_t)field->value : 0;
            n = n < 65536 ? n : 0;
        }
        if (field->tag == TENSOR_DATA_TYPE) {
            if (draw_chance(draw, 30))
                field->value = 1 + draw_below(draw, 16);
            size = field->value < 20 ? tensor_dtype_bytes((enum percept_dtype)field->value) : 0;
        }
    }
    struct proto data = {0};
    for (size_t i = 0; i < n * size; i++) {
        uint8_t byte = raw->bytes.n ? raw->bytes.at[i % raw->bytes.n] : draw_byte(draw);
        proto_raw(&data, &byte, 1);
    }
    set_text(raw, data.at, data.n);
    proto_free(&data);
}

/* Another drawn graph's fields beside those that are there. */
static void add_graph(struct message *model, struct draw *draw)
{
    struct spot spot = pick(model, MODEL, MODEL_GRAPH, draw);
    if (!spot.in)
        return;
    char prefix[8];
    snprintf(prefix, sizeof prefix, "g%u", draw_byte(draw));
    struct proto more = build_graph(draw, prefix), all = together(field_of(spot)->message);
    proto_raw(&all, more.at, more.n);
    message_free(field_of(spot)->message);
    field_of(spot)->message = apart(proto_view(&all), GRAPH, 0);
    proto_free(&more);
    proto_free(&all);
}

static void change(struct message *model, struct draw *draw)
{
    static void (*const changes[])(struct message * model, struct draw * draw) = {
        change_any, change_any,    rewire,        rewire, change_op_type, duplicate,
        delete,     add_attribute, change_tensor, swap,   add_graph,
    };
    changes[draw_below(draw, sizeof changes / sizeof *changes)](model, draw);
}

size_t mutate_model(uint8_t *data, size_t n, size_t most, unsigned seed)
{
    struct draw draw = draw_seeded(seed);
    struct wire wire = wire_of(bytes_of(data, n));
    struct bytes graph;
    struct proto made;
    if (n < 16 || !wire_find(&wire, MODEL_GRAPH, &graph) || draw_chance(&draw, 2)) {
        made = build_model(&draw);
    } else {
        struct message *model = apart(bytes_of(data, n), MODEL, 0);
        for (uint64_t left = 1 + draw_below(&draw, 4); left; left--)
            change(model, &draw);
        made = together(model);
        message_free(model);
    }
    if (made.n <= most) {
        if (made.n)
            memcpy(data, made.at, made.n);
        n = made.n;
    }
    proto_free(&made);
    return n;
}
