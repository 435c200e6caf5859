/*
 * attribute.c - the attributes of nodes, and the defaults of functions.
 *
 * A message is gone through twice: once to find what is there and to count lists, once more to copy
 * them. Its `type` says which field counts; very old files leave it out and then have one field. A
 * field of another type than the one it says is refused. Graphs are read on the spot, as subgraphs
 * of the graph around them. Within a function's body an attribute may refer to one of the call's.
 *
 * Lists of tensors, graphs and types keep their count alone: no operator asks for them.
 *
 * Threads: the loader's. Ownership: copies in the model's arena; tensors may view the file.
 */
#include "graph/attribute.h"

#include "graph/graphs.h"
#include "graph/stored.h"

/* An AttributeProto as found; lists are counted and read later. */
struct found {
    struct bytes message, name, ref;
    uint64_t type;
    uint32_t given; /* bit per attr_type: a field of this type is there */
    float f;
    int64_t i;
    struct bytes s, t, g, sparse;
    size_t n_floats, n_ints, n_strings, n_others;
};

static void found_mark(struct found *found, enum attr_type type)
{
    found->given |= 1u << type;
}

static void note_scalar(struct found *found, const struct wire_field *field)
{
    switch (field->tag) {
    case ATTRIBUTE_F:
        memcpy(&found->f, &field->value, sizeof found->f);
        found_mark(found, ATTR_FLOAT);
        break;
    case ATTRIBUTE_I:
        found->i = (int64_t)field->value;
        found_mark(found, ATTR_INT);
        break;
    case ATTRIBUTE_S:
        found->s = field->bytes;
        found_mark(found, ATTR_STRING);
        break;
    case ATTRIBUTE_T:
        found->t = field->bytes;
        found_mark(found, ATTR_TENSOR);
        break;
    case ATTRIBUTE_G:
        found->g = field->bytes;
        found_mark(found, ATTR_GRAPH);
        break;
    case ATTRIBUTE_SPARSE_TENSOR:
        found->sparse = field->bytes;
        found_mark(found, ATTR_SPARSE);
        break;
    case ATTRIBUTE_TP:
        found_mark(found, ATTR_TYPE);
        break;
    }
}

static void note_list(struct found *found, const struct wire_field *field)
{
    switch (field->tag) {
    case ATTRIBUTE_FLOATS:
    case ATTRIBUTE_FLOATS_ONE:
        found->n_floats += field->tag == ATTRIBUTE_FLOATS ? bytes_size(field->bytes) / 4 : 1;
        found_mark(found, ATTR_FLOATS);
        break;
    case ATTRIBUTE_INTS:
    case ATTRIBUTE_INTS_ONE:
        found->n_ints += field->tag == ATTRIBUTE_INTS ? wire_count(field->bytes) : 1;
        found_mark(found, ATTR_INTS);
        break;
    case ATTRIBUTE_STRINGS:
        found->n_strings++;
        found_mark(found, ATTR_STRINGS);
        break;
    case ATTRIBUTE_TENSORS:
        found->n_others++;
        found_mark(found, ATTR_TENSORS);
        break;
    case ATTRIBUTE_GRAPHS:
        found->n_others++;
        found_mark(found, ATTR_GRAPHS);
        break;
    case ATTRIBUTE_SPARSE_TENSORS:
        found->n_others++;
        found_mark(found, ATTR_SPARSES);
        break;
    case ATTRIBUTE_TYPE_PROTOS:
        found->n_others++;
        found_mark(found, ATTR_TYPES);
        break;
    }
}

static bool find_attr(struct reader *r, struct bytes message, struct found *found)
{
    *found = (struct found){.message = message};
    struct wire wire = wire_of(message);
    struct wire_field field;
    while (wire_next(&wire, &field))
        switch (field.tag) {
        case ATTRIBUTE_NAME:
            found->name = field.bytes;
            break;
        case ATTRIBUTE_REF_ATTR_NAME:
            found->ref = field.bytes;
            break;
        case ATTRIBUTE_TYPE:
            found->type = field.value;
            break;
        default:
            note_scalar(found, &field);
            note_list(found, &field);
        }
    return reader_whole(r, &wire, "attribute");
}

/* `type` says which field counts; very old files leave it out and have one field. */
static bool judge_attr_type(struct reader *r, struct found *found)
{
    if (found->type > ATTR_TYPES)
        return err_set(r->err, ERR_MODEL, "its type is %llu, which is no type of an attribute",
                       (unsigned long long)found->type);
    if (found->type == 0) {
        if (found->given == 0 || (found->given & (found->given - 1)) != 0)
            return err_set(r->err, ERR_MODEL, "it has no type, and %s",
                           found->given ? "values of several" : "no value");
        found->type = (uint64_t)__builtin_ctz(found->given);
    }
    if (found->given & ~(1u << found->type))
        return err_set(r->err, ERR_MODEL, "it has a value of another type than it says");
    return true;
}

static bool read_floats(struct reader *r, const struct found *found, struct attr *attr)
{
    float *to = arena_array(r->arena, found->n_floats, sizeof *to);
    if (!to)
        return reader_short(r, "an attribute");
    attr->floats = to;
    attr->n = found->n_floats;
    struct wire wire = wire_of(found->message);
    struct wire_field field;
    while (wire_next(&wire, &field)) {
        if (field.tag == ATTRIBUTE_FLOATS_ONE) {
            memcpy(to++, &field.value, sizeof *to);
        } else if (field.tag == ATTRIBUTE_FLOATS) {
            size_t n = bytes_size(field.bytes) / sizeof *to;
            if (bytes_size(field.bytes) % sizeof *to)
                return err_set(r->err, ERR_MODEL, "its floats end within a number");
            memcpy(to, field.bytes.at, n * sizeof *to);
            to += n;
        }
    }
    return true;
}

static bool read_ints(struct reader *r, const struct found *found, struct attr *attr)
{
    int64_t *to = arena_array(r->arena, found->n_ints, sizeof *to);
    if (!to)
        return reader_short(r, "an attribute");
    attr->ints = to;
    attr->n = found->n_ints;
    struct wire wire = wire_of(found->message);
    struct wire_field field;
    while (wire_next(&wire, &field)) {
        if (field.tag == ATTRIBUTE_INTS_ONE)
            *to++ = (int64_t)field.value;
        while (field.tag == ATTRIBUTE_INTS && field.bytes.at < field.bytes.end) {
            uint64_t bits;
            if (!wire_varint(&field.bytes, &bits))
                return err_set(r->err, ERR_MODEL, "one of its ints is cut short");
            *to++ = (int64_t)bits;
        }
    }
    return true;
}

static bool read_text(struct reader *r, struct bytes text, struct bytes *copy)
{
    const char *at = arena_text(r->arena, text.at, bytes_size(text));
    if (!at)
        return reader_short(r, "an attribute");
    *copy = bytes_of(at, bytes_size(text));
    return true;
}

static bool read_strings(struct reader *r, const struct found *found, struct attr *attr)
{
    struct bytes *to = arena_array(r->arena, found->n_strings, sizeof *to);
    if (!to)
        return reader_short(r, "an attribute");
    attr->strings = to;
    attr->n = found->n_strings;
    struct wire wire = wire_of(found->message);
    struct bytes text;
    while (wire_find(&wire, ATTRIBUTE_STRINGS, &text))
        if (!read_text(r, text, to++))
            return false;
    return true;
}

static bool read_attr_tensor(struct reader *r, const struct found *found, struct attr *attr)
{
    struct stored stored;
    bool ok = found->type == ATTR_SPARSE ? stored_read_sparse(found->sparse, r->external, r->arena, &stored, r->err)
                                         : stored_read(found->t, r->external, r->arena, &stored, r->err);
    if (!ok)
        return false;
    if (stored.unsupported)
        return err_set(r->err, ERR_UNSUPPORTED, "tensors of type %s are not supported",
                       tensor_dtype_name(stored.tensor.dtype));
    attr->tensor = arena_alloc(r->arena, sizeof *attr->tensor);
    if (!attr->tensor)
        return reader_short(r, "an attribute");
    *attr->tensor = stored.tensor;
    return true;
}

static bool read_subgraph(struct reader *r, struct scope *around, struct bytes message, struct graph **graph)
{
    struct graph *made = arena_alloc(r->arena, sizeof *made);
    if (!made)
        return reader_short(r, "a subgraph");
    *made = (struct graph){.parent = around->graph};
    struct scope scope = {.around = around, .graph = made, .call = around->call};
    if (!reader_enter(r, "subgraphs") || !graphs_read(r, &scope, message))
        return false;
    r->depth--;
    *graph = made;
    return true;
}

static bool read_attr_value(struct reader *r, struct scope *scope, const struct found *found, struct attr *attr)
{
    switch (attr->type) {
    case ATTR_FLOAT:
        attr->f = found->f;
        return true;
    case ATTR_INT:
        attr->i = found->i;
        return true;
    case ATTR_STRING:
        return read_text(r, found->s, &attr->s);
    case ATTR_TENSOR:
    case ATTR_SPARSE:
        return read_attr_tensor(r, found, attr);
    case ATTR_GRAPH:
        return read_subgraph(r, scope, found->g, &attr->graph);
    case ATTR_FLOATS:
        return read_floats(r, found, attr);
    case ATTR_INTS:
        return read_ints(r, found, attr);
    case ATTR_STRINGS:
        return read_strings(r, found, attr);
    default:
        attr->n = found->n_others;
        return true;
    }
}

/* An attribute that stands for one of the call's: *there is false when the call has none. A graph
 * is refused: what it captures belongs to the caller. */
static bool bind_attr(struct reader *r, const struct scope *scope, const struct found *found, struct attr *attr,
                      bool *there)
{
    if (!scope->call)
        return err_set(r->err, ERR_MODEL, "it refers to attribute '" BYTES_FMT "' of a function, and is in none",
                       BYTES_ARG(found->ref));
    const struct call *call = scope->call;
    *there = false;
    for (int i = 0; i < call->n_attr && !*there; i++)
        if (bytes_equal(call->attrs[i].name, found->ref)) {
            struct bytes name = attr->name;
            if (found->type && found->type != (uint64_t)call->attrs[i].type)
                return err_set(r->err, ERR_MODEL,
                               "it is of another type than attribute '" BYTES_FMT "' of the function's call",
                               BYTES_ARG(found->ref));
            if (call->attrs[i].graph)
                return err_set(r->err, ERR_UNSUPPORTED,
                               "graphs as attributes of functions are not "
                               "supported");
            *attr = call->attrs[i];
            attr->name = name;
            *there = true;
        }
    return true;
}

bool attribute_read(struct reader *r, struct scope *scope, struct bytes message, struct attr *attr, bool *there)
{
    struct found found;
    if (!find_attr(r, message, &found))
        return false;
    *attr = (struct attr){0};
    *there = true;
    bool ok = reader_name(r, found.name, &attr->name);
    if (ok && found.ref.at != found.ref.end) {
        ok = bind_attr(r, scope, &found, attr, there);
    } else if (ok) {
        ok = judge_attr_type(r, &found);
        attr->type = (enum attr_type)found.type;
        ok = ok && read_attr_value(r, scope, &found, attr);
    }
    return ok || reader_place(r, "attribute", found.name, (struct bytes){0});
}

bool attribute_among(const struct attr *attrs, int n, struct bytes name)
{
    for (int i = 0; i < n; i++)
        if (bytes_equal(attrs[i].name, name))
            return true;
    return false;
}
