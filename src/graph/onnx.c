/*
 * onnx.c - ModelProto -> struct graph: fields get their meaning here.
 *
 * Reading is by name. A value is made the first time its name is met, as an input or an output of a node,
 * and whatever defines it may come later; graph_sort judges the whole. Per graph: initializers, then
 * inputs (those without an initializer), nodes, outputs, declared types.
 *
 * A frame is where a name is looked up:
 *
 *     graph         the graph's own names. What a subgraph does not define is captured: looked up in the
 *                   frame around it, which may capture it in turn, and `outer` tells where it was found.
 *     function      the names of one call of a model-local function. Formal inputs and outputs stand
 *                   for the caller's values; all others become values "<function>_<call>/<name>" of the
 *                   caller's graph. Such names are ours: a file that uses one itself is refused.
 *
 * Functions are inlined while nodes are read: a call is replaced by the body's nodes, read anew for each
 * call with the call's attributes bound to the body's ref_attr_names. Files can nest calls so that few
 * bytes mean very many nodes; depth, nodes and bytes of inlining are bounded.
 *
 * Strictness: what cannot be understood is refused with a sentence that says where; nothing is guessed.
 * Threads: the loader's. Ownership: all results are in the caller's arena or view the file.
 */
#include "graph/onnx.h"

#include <limits.h>

#include "graph/fields.h"
#include "graph/stored.h"

#define IR_OLDEST 3
#define IR_NEWEST 14
#define OPSET_NEWEST 28 /* of ONNX's own domain: what later versions change is not known here */
#define DEPTH_MAX 64
#define ATTRS_MAX 256
#define IMPORTS_MAX 64
#define INLINED_NODES_MAX 1000000
#define INLINED_BYTES_MAX ((size_t)256 << 20)
#define PLACES_MAX_BYTES 256 /* of a sentence that gets no more places in front */

struct imports {
    struct import {
        struct bytes domain;
        int version;
    } *at;
    int n;
};

/* A FunctionProto; lists are in the reader's scratch arena. */
struct function {
    struct bytes key; /* domain, name, overload; first: struct names wants it there */
    struct bytes message, name;
    struct bytes *inputs, *outputs, *attributes;
    int n_inputs, n_outputs, n_attributes;
    struct imports imports;
    bool active; /* being inlined: a call of it is a recursion */
};

/* What a call binds. */
struct call {
    struct function *function;
    struct bytes label; /* what inlined names begin with */
    const struct attr *attrs;
    int n_attr;
};

struct local {
    struct bytes name; /* first: struct names wants it there */
    int value;         /* or -1: an input that the call leaves out */
};

struct frame {
    struct frame *around;    /* of a subgraph */
    struct graph *graph;     /* where values and nodes go */
    const struct call *call; /* innermost, or NULL */
    bool is_function;        /* names are looked up in locals, not in the graph */
    struct local *locals;
    int n_locals, cap_locals;
    struct names names; /* of locals */
};

struct reader {
    struct onnx_model *model;
    const struct onnx_external *external;
    struct arena *arena;  /* the model's */
    struct arena scratch; /* freed when reading ends */
    struct percept_err *err;
    struct imports imports;
    struct function *functions;
    int n_functions;
    struct names function_names;
    int depth;
    int n_calls;
    int64_t inlined_nodes;
    size_t inlined_bytes;
};

static bool short_of_memory(struct reader *r, const char *what)
{
    return err_set(r->err, ERR_MEMORY, "out of memory while reading %s of the model", what);
}

static bool whole(struct reader *r, const struct wire *wire, const char *what)
{
    return !wire->broken || err_set(r->err, ERR_MODEL, "%s: %s", what, wire->broken);
}

/* A copy in the model's arena. Names are shown, looked up as C strings and put into URLs: no NUL. */
static bool read_name(struct reader *r, struct bytes text, struct bytes *name)
{
    size_t n = bytes_size(text);
    if (n && memchr(text.at, 0, n))
        return err_set(r->err, ERR_MODEL, "name '" BYTES_FMT "...' has a NUL byte", BYTES_ARG(text));
    const char *copy = arena_text(r->arena, text.at, n);
    if (!copy)
        return short_of_memory(r, "a name");
    *name = bytes_of(copy, n);
    return true;
}

/* Adds the place to a sentence, from the inside out, until there is enough of it: what is wrong must not
 * be pushed out by where it is. */
static bool in_place(struct reader *r, const char *kind, struct bytes name, struct bytes op_type)
{
    if (strlen(r->err->text) > PLACES_MAX_BYTES)
        return false;
    if (op_type.at == op_type.end)
        return err_prefix(r->err, "%s '" BYTES_FMT "': ", kind, BYTES_ARG(name));
    return err_prefix(r->err, "%s '" BYTES_FMT "' (" BYTES_FMT "): ", kind, BYTES_ARG(name),
                      BYTES_ARG(op_type));
}

static size_t count_fields(struct bytes message, uint32_t tag)
{
    struct wire wire = wire_of(message);
    struct bytes item;
    size_t n = 0;
    while (wire_find(&wire, tag, &item))
        n++;
    return n;
}

/* --- names ---------------------------------------------------------------------------------------- */

static bool add_value(struct reader *r, struct graph *graph, struct bytes name, int *value)
{
    *value = graph_add_value(graph, r->arena, name);
    return *value >= 0 || short_of_memory(r, "the values");
}

static bool graph_value(struct reader *r, struct graph *graph, struct bytes name, int *value)
{
    *value = graph_intern(graph, r->arena, name);
    if (*value < 0)
        return short_of_memory(r, "the values");
    if (graph->values[*value].inlined)
        return err_set(r->err, ERR_MODEL,
                       "the name '" BYTES_FMT "' is one that inlining a function makes; rename it",
                       BYTES_ARG(name));
    return true;
}

static bool bind_local(struct reader *r, struct frame *frame, struct bytes name, int value)
{
    if (frame->n_locals == frame->cap_locals) {
        int cap = frame->cap_locals ? frame->cap_locals * 2 : 16;
        struct local *grown =
            arena_grow(&r->scratch, frame->locals, (size_t)frame->cap_locals * sizeof *grown,
                       (size_t)cap * sizeof *grown);
        if (!grown)
            return short_of_memory(r, "a function");
        frame->locals = grown;
        frame->cap_locals = cap;
    }
    if (!names_add(&frame->names, &r->scratch, name, frame->n_locals))
        return short_of_memory(r, "a function");
    frame->locals[frame->n_locals++] = (struct local){name, value};
    return true;
}

static int find_local(const struct frame *frame, struct bytes name)
{
    return names_find(&frame->names, frame->locals, sizeof *frame->locals, name);
}

/* "<label>/<name>", in the model's arena. */
static bool inlined_name(struct reader *r, const struct call *call, struct bytes name,
                         struct bytes *made)
{
    size_t head = bytes_size(call->label), n = head + 1 + bytes_size(name);
    char *text = arena_alloc(r->arena, n + 1);
    if (!text)
        return short_of_memory(r, "a function");
    memcpy(text, call->label.at, head);
    text[head] = '/';
    if (bytes_size(name))
        memcpy(text + head + 1, name.at, bytes_size(name));
    *made = bytes_of(text, n);
    return true;
}

static bool local_value(struct reader *r, struct frame *frame, struct bytes name, int *value)
{
    int local = find_local(frame, name);
    if (local >= 0) {
        *value = frame->locals[local].value;
        return true;
    }
    struct bytes made;
    if (!inlined_name(r, frame->call, name, &made))
        return false;
    if (graph_find(frame->graph, made) >= 0)
        return err_set(r->err, ERR_MODEL,
                       "the name '" BYTES_FMT "' is one that inlining a function makes; rename it",
                       BYTES_ARG(made));
    if (!add_value(r, frame->graph, made, value))
        return false;
    frame->graph->values[*value].inlined = true;
    return bind_local(r, frame, name, *value);
}

/* The value of this name in the frame, made when it is new; -1 for an empty name: left out. */
static bool frame_value(struct reader *r, struct frame *frame, struct bytes name, int *value)
{
    *value = -1;
    if (name.at == name.end)
        return true;
    if (memchr(name.at, 0, bytes_size(name)))
        return err_set(r->err, ERR_MODEL, "value name '" BYTES_FMT "...' has a NUL byte",
                       BYTES_ARG(name));
    return frame->is_function ? local_value(r, frame, name, value)
                              : graph_value(r, frame->graph, name, value);
}

/* --- types ---------------------------------------------------------------------------------------- */

/* What a ValueInfoProto says. */
struct declared {
    struct bytes name;
    const char *other; /* "a sequence", ...: no tensor */
    bool typed;
    enum percept_dtype dtype;
    size_t rank;
    bool shaped;
    int64_t dims[RANK_MAX];
    struct bytes dim_names[RANK_MAX];
};

static void read_dim(struct bytes message, int64_t *dim, struct bytes *name)
{
    struct wire wire = wire_of(message);
    struct wire_field field;
    *dim = -1;
    while (wire_next(&wire, &field)) {
        if (field.tag == DIM_VALUE)
            *dim = (int64_t)field.value < 0 ? -1 : (int64_t)field.value;
        else if (field.tag == DIM_PARAM)
            *name = field.bytes;
    }
}

static void read_shape(struct bytes message, struct declared *declared)
{
    struct wire wire = wire_of(message);
    struct bytes dim;
    declared->shaped = true;
    while (wire_find(&wire, SHAPE_DIM, &dim)) {
        if (declared->rank < RANK_MAX)
            read_dim(dim, &declared->dims[declared->rank], &declared->dim_names[declared->rank]);
        declared->rank++;
    }
}

static void read_tensor_type(struct bytes message, struct declared *declared)
{
    struct wire wire = wire_of(message);
    struct wire_field field;
    declared->typed = true;
    while (wire_next(&wire, &field)) {
        if (field.tag == TENSOR_TYPE_ELEM)
            declared->dtype = field.value > INT_MAX ? PERCEPT_UNDEFINED : (enum percept_dtype)field.value;
        else if (field.tag == TENSOR_TYPE_SHAPE)
            read_shape(field.bytes, declared);
    }
}

static void read_type(struct bytes message, struct declared *declared)
{
    struct wire wire = wire_of(message);
    struct wire_field field;
    while (wire_next(&wire, &field))
        switch (field.tag) {
        case TYPE_TENSOR:
            read_tensor_type(field.bytes, declared);
            break;
        case TYPE_SEQUENCE:
            declared->other = "a sequence";
            break;
        case TYPE_MAP:
            declared->other = "a map";
            break;
        case TYPE_OPAQUE:
            declared->other = "an opaque type";
            break;
        case TYPE_SPARSE_TENSOR:
            declared->other = "a sparse tensor";
            break;
        case TYPE_OPTIONAL:
            declared->other = "an optional";
            break;
        }
}

/* Declarations are hints except for the graph's face; what is broken within one shows as a type that is
 * not there, and that is refused where a type is needed. */
static struct declared read_value_info(struct bytes message)
{
    struct declared declared = {0};
    struct wire wire = wire_of(message);
    struct wire_field field;
    while (wire_next(&wire, &field)) {
        if (field.tag == VALUE_INFO_NAME)
            declared.name = field.bytes;
        else if (field.tag == VALUE_INFO_TYPE)
            read_type(field.bytes, &declared);
    }
    return declared;
}

static bool keep_dim_names(struct reader *r, const struct declared *declared, struct value *v)
{
    struct bytes *names = arena_array(r->arena, RANK_MAX, sizeof *names);
    if (!names)
        return short_of_memory(r, "a shape");
    for (size_t i = 0; i < declared->rank; i++)
        if (!read_name(r, declared->dim_names[i], &names[i]))
            return false;
    v->dim_names = names;
    return true;
}

/* Onto a value that is no constant: a constant knows better. */
static bool declare(struct reader *r, const struct declared *declared, struct value *v)
{
    if (v->constant || !declared->typed || declared->other)
        return true;
    v->dtype = declared->dtype;
    if (!declared->shaped || declared->rank > RANK_MAX)
        return true;
    v->rank = (int)declared->rank;
    memcpy(v->dims, declared->dims, sizeof v->dims);
    for (size_t i = 0; i < declared->rank; i++)
        if (declared->dim_names[i].at != declared->dim_names[i].end)
            return keep_dim_names(r, declared, v);
    return true;
}

/* An input or output of the model itself must be something that can be sent. */
static bool judge_face(struct reader *r, const struct declared *declared, const char *what)
{
    if (declared->other)
        return err_set(r->err, ERR_UNSUPPORTED,
                       "%s '" BYTES_FMT "' is %s; only tensors can go in and out of a model", what,
                       BYTES_ARG(declared->name), declared->other);
    if (declared->rank > RANK_MAX)
        return err_set(r->err, ERR_UNSUPPORTED,
                       "%s '" BYTES_FMT "' has %zu dimensions; at most %d are supported", what,
                       BYTES_ARG(declared->name), declared->rank, RANK_MAX);
    if (declared->dtype != PERCEPT_UNDEFINED && tensor_dtype_bytes(declared->dtype) == 0)
        return err_set(r->err, ERR_UNSUPPORTED,
                       "%s '" BYTES_FMT "' is of type %s (%d), which is not supported", what,
                       BYTES_ARG(declared->name), tensor_dtype_name(declared->dtype),
                       (int)declared->dtype);
    return true;
}

/* --- attributes ----------------------------------------------------------------------------------- */

static bool read_graph(struct reader *r, struct frame *frame, struct bytes message);
static bool read_node(struct reader *r, struct frame *frame, struct bytes message);

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
    return whole(r, &wire, "attribute");
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
        return short_of_memory(r, "an attribute");
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
        return short_of_memory(r, "an attribute");
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
        return short_of_memory(r, "an attribute");
    *copy = bytes_of(at, bytes_size(text));
    return true;
}

static bool read_strings(struct reader *r, const struct found *found, struct attr *attr)
{
    struct bytes *to = arena_array(r->arena, found->n_strings, sizeof *to);
    if (!to)
        return short_of_memory(r, "an attribute");
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
    bool ok = found->type == ATTR_SPARSE
                  ? stored_read_sparse(found->sparse, r->external, r->arena, &stored, r->err)
                  : stored_read(found->t, r->external, r->arena, &stored, r->err);
    if (!ok)
        return false;
    if (stored.unsupported)
        return err_set(r->err, ERR_UNSUPPORTED, "tensors of type %s are not supported",
                       tensor_dtype_name(stored.tensor.dtype));
    attr->tensor = arena_alloc(r->arena, sizeof *attr->tensor);
    if (!attr->tensor)
        return short_of_memory(r, "an attribute");
    *attr->tensor = stored.tensor;
    return true;
}

static bool enter(struct reader *r, const char *what)
{
    if (r->depth == DEPTH_MAX)
        return err_set(r->err, ERR_MODEL, "%s are nested more than %d deep", what, DEPTH_MAX);
    r->depth++;
    return true;
}

static bool read_subgraph(struct reader *r, struct frame *around, struct bytes message,
                          struct graph **graph)
{
    struct graph *made = arena_alloc(r->arena, sizeof *made);
    if (!made)
        return short_of_memory(r, "a subgraph");
    *made = (struct graph){.parent = around->graph};
    struct frame frame = {.around = around, .graph = made, .call = around->call};
    if (!enter(r, "subgraphs") || !read_graph(r, &frame, message))
        return false;
    r->depth--;
    *graph = made;
    return true;
}

static bool read_attr_value(struct reader *r, struct frame *frame, const struct found *found,
                            struct attr *attr)
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
        return read_subgraph(r, frame, found->g, &attr->graph);
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

/* An attribute that stands for one of the call's: *there is false when the call has none. A graph is
 * refused: what it captures belongs to the caller. */
static bool bind_attr(struct reader *r, const struct frame *frame, const struct found *found,
                      struct attr *attr, bool *there)
{
    if (!frame->call)
        return err_set(r->err, ERR_MODEL, "it refers to attribute '" BYTES_FMT
                       "' of a function, and is in none", BYTES_ARG(found->ref));
    const struct call *call = frame->call;
    *there = false;
    for (int i = 0; i < call->n_attr && !*there; i++)
        if (bytes_equal(call->attrs[i].name, found->ref)) {
            struct bytes name = attr->name;
            if (found->type && found->type != (uint64_t)call->attrs[i].type)
                return err_set(r->err, ERR_MODEL, "it is of another type than attribute '" BYTES_FMT
                               "' of the function's call", BYTES_ARG(found->ref));
            if (call->attrs[i].graph)
                return err_set(r->err, ERR_UNSUPPORTED, "graphs as attributes of functions are not "
                               "supported");
            *attr = call->attrs[i];
            attr->name = name;
            *there = true;
        }
    return true;
}

static bool read_attr(struct reader *r, struct frame *frame, struct bytes message, struct attr *attr,
                      bool *there)
{
    struct found found;
    if (!find_attr(r, message, &found))
        return false;
    *attr = (struct attr){0};
    *there = true;
    bool ok = read_name(r, found.name, &attr->name);
    if (ok && found.ref.at != found.ref.end) {
        ok = bind_attr(r, frame, &found, attr, there);
    } else if (ok) {
        ok = judge_attr_type(r, &found);
        attr->type = (enum attr_type)found.type;
        ok = ok && read_attr_value(r, frame, &found, attr);
    }
    return ok || in_place(r, "attribute", found.name, (struct bytes){0});
}

/* --- functions ------------------------------------------------------------------------------------ */

/* "domain\0name\0overload": names have no NUL. */
static bool function_key(struct reader *r, struct bytes domain, struct bytes name,
                         struct bytes overload, struct bytes *key)
{
    const struct bytes parts[] = {domain, name, overload};
    size_t n = bytes_size(domain) + bytes_size(name) + bytes_size(overload) + 2;
    char *text = arena_alloc(&r->scratch, n), *to = text;
    if (!text)
        return short_of_memory(r, "a function");
    for (int i = 0; i < 3; i++) {
        if (bytes_size(parts[i]))
            memcpy(to, parts[i].at, bytes_size(parts[i]));
        to += bytes_size(parts[i]) + 1;
    }
    *key = bytes_of(text, n);
    return true;
}

static bool read_import(struct reader *r, struct bytes message, struct imports *imports)
{
    struct wire wire = wire_of(message);
    struct wire_field field;
    struct bytes domain = {0};
    int64_t version = 0;
    while (wire_next(&wire, &field)) {
        if (field.tag == OPSET_DOMAIN)
            domain = field.bytes;
        else if (field.tag == OPSET_VERSION)
            version = (int64_t)field.value;
    }
    if (bytes_is(domain, "ai.onnx"))
        domain = (struct bytes){0};
    if (!whole(r, &wire, "opset_import"))
        return false;
    bool own = domain.at == domain.end;
    if (version < 1 || version > (own ? OPSET_NEWEST : INT_MAX))
        return err_set(r->err, ERR_UNSUPPORTED,
                       "opset_import: version %lld of domain '" BYTES_FMT "'; 1 to %d are known",
                       (long long)version, BYTES_ARG(domain), own ? OPSET_NEWEST : INT_MAX);
    for (int i = 0; i < imports->n; i++)
        if (bytes_equal(imports->at[i].domain, domain) && imports->at[i].version != version)
            return err_set(r->err, ERR_MODEL, "opset_import: domain '" BYTES_FMT
                           "' is imported in two versions", BYTES_ARG(domain));
    imports->at[imports->n++] = (struct import){domain, (int)version};
    return true;
}

static bool read_imports(struct reader *r, struct bytes message, uint32_t tag, struct imports *imports)
{
    size_t n = count_fields(message, tag);
    if (n > IMPORTS_MAX)
        return err_set(r->err, ERR_MODEL, "it imports %zu operator sets; at most %d make sense", n,
                       IMPORTS_MAX);
    imports->at = arena_array(&r->scratch, n, sizeof *imports->at);
    if (!imports->at)
        return short_of_memory(r, "the imports");
    struct wire wire = wire_of(message);
    struct bytes item;
    while (wire_find(&wire, tag, &item))
        if (!read_import(r, item, imports))
            return false;
    return true;
}

static const struct import *find_import(const struct imports *imports, struct bytes domain)
{
    for (int i = 0; i < imports->n; i++)
        if (bytes_equal(imports->at[i].domain, domain))
            return &imports->at[i];
    return NULL;
}

/* All LEN fields of this tag, as views. */
static bool list_texts(struct reader *r, struct bytes message, uint32_t tag, struct bytes **texts,
                       int *n)
{
    *n = (int)count_fields(message, tag);
    *texts = arena_array(&r->scratch, (size_t)*n, sizeof **texts);
    if (!*texts)
        return short_of_memory(r, "a function");
    struct wire wire = wire_of(message);
    for (int i = 0; i < *n; i++)
        wire_find(&wire, tag, *texts + i);
    return true;
}

static bool read_function(struct reader *r, struct bytes message, struct function *function)
{
    struct wire wire = wire_of(message);
    struct wire_field field;
    struct bytes domain = {0}, overload = {0};
    function->message = message;
    while (wire_next(&wire, &field))
        switch (field.tag) {
        case FUNCTION_NAME:
            function->name = field.bytes;
            break;
        case FUNCTION_DOMAIN:
            domain = field.bytes;
            break;
        case FUNCTION_OVERLOAD:
            overload = field.bytes;
            break;
        }
    if (bytes_is(domain, "ai.onnx"))
        domain = (struct bytes){0};
    bool ok = whole(r, &wire, "function") && read_name(r, function->name, &function->name) &&
              function_key(r, domain, function->name, overload, &function->key) &&
              list_texts(r, message, FUNCTION_INPUT, &function->inputs, &function->n_inputs) &&
              list_texts(r, message, FUNCTION_OUTPUT, &function->outputs, &function->n_outputs) &&
              list_texts(r, message, FUNCTION_ATTRIBUTE, &function->attributes,
                         &function->n_attributes) &&
              read_imports(r, message, FUNCTION_OPSET_IMPORT, &function->imports);
    return ok || in_place(r, "function", function->name, (struct bytes){0});
}

static bool read_functions(struct reader *r, struct bytes file)
{
    size_t n = count_fields(file, MODEL_FUNCTIONS);
    r->functions = arena_array(&r->scratch, n, sizeof *r->functions);
    if (!r->functions || n > INT_MAX)
        return short_of_memory(r, "the functions");
    struct wire wire = wire_of(file);
    struct bytes message;
    while (wire_find(&wire, MODEL_FUNCTIONS, &message)) {
        struct function *function = &r->functions[r->n_functions];
        if (!read_function(r, message, function))
            return false;
        if (names_find(&r->function_names, r->functions, sizeof *function, function->key) >= 0)
            return err_set(r->err, ERR_MODEL, "function '" BYTES_FMT "' is there twice",
                           BYTES_ARG(function->name));
        if (!names_add(&r->function_names, &r->scratch, function->key, r->n_functions++))
            return short_of_memory(r, "the functions");
    }
    return true;
}

/* A NodeProto, read, before it is known whether it becomes a node or a call. */
struct draft {
    struct bytes name, op_type, domain, overload;
    int n_in, n_out, n_attr;
    int *in, *out;
    struct attr *attrs;
};

static bool find_function(struct reader *r, const struct draft *draft, struct function **function)
{
    *function = NULL;
    if (!r->n_functions)
        return true;
    struct bytes key;
    if (!function_key(r, draft->domain, draft->op_type, draft->overload, &key))
        return false;
    int i = names_find(&r->function_names, r->functions, sizeof *r->functions, key);
    if (i >= 0)
        *function = &r->functions[i];
    return true;
}

static int node_opset(const struct reader *r, const struct frame *frame, struct bytes domain)
{
    const struct import *import = NULL;
    if (frame->call)
        import = find_import(&frame->call->function->imports, domain);
    if (!import)
        import = find_import(&r->imports, domain);
    return import ? import->version : 0;
}

static bool append_node(struct reader *r, struct frame *frame, const struct draft *draft)
{
    struct graph *graph = frame->graph;
    int index = graph_add_node(graph, r->arena);
    if (index < 0)
        return short_of_memory(r, "the nodes");
    struct node *node = &graph->nodes[index];
    *node = (struct node){
        .name = draft->name, .op_type = draft->op_type, .domain = draft->domain,
        .opset = node_opset(r, frame, draft->domain),
        .n_in = draft->n_in, .n_out = draft->n_out, .n_attr = draft->n_attr,
        .in = draft->in, .out = draft->out, .attrs = draft->attrs,
    };
    if (node->opset == 0)
        return err_set(r->err, ERR_MODEL, "the model imports no version of its domain '" BYTES_FMT "'",
                       BYTES_ARG(node->domain));
    for (int k = 0; k < node->n_out; k++)
        if (node->out[k] >= 0)
            graph->values[node->out[k]].producer = index;
    return true;
}

/* An output of a function that is one of its inputs, or is there twice. */
static bool append_identity(struct reader *r, struct frame *frame, int from, int to)
{
    struct draft draft = {.op_type = bytes_of_text("Identity"), .n_in = 1, .n_out = 1};
    draft.in = arena_array(r->arena, 1, sizeof *draft.in);
    draft.out = arena_array(r->arena, 1, sizeof *draft.out);
    if (!draft.in || !draft.out)
        return short_of_memory(r, "a function");
    draft.in[0] = from;
    draft.out[0] = to;
    return inlined_name(r, frame->call, draft.op_type, &draft.name) && append_node(r, frame, &draft);
}

static bool has_attr(const struct attr *attrs, int n, struct bytes name)
{
    for (int i = 0; i < n; i++)
        if (bytes_equal(attrs[i].name, name))
            return true;
    return false;
}

static bool is_declared(const struct function *function, struct bytes name)
{
    for (int i = 0; i < function->n_attributes; i++)
        if (bytes_equal(function->attributes[i], name))
            return true;
    return false;
}

/* The call's attributes and, for those it leaves out, the function's defaults. */
static bool bind_attrs(struct reader *r, struct frame *frame, const struct draft *draft,
                       struct call *call)
{
    const struct function *function = call->function;
    size_t n_defaults = count_fields(function->message, FUNCTION_ATTRIBUTE_PROTO);
    struct attr *attrs =
        n_defaults > ATTRS_MAX || function->n_attributes > ATTRS_MAX
            ? NULL
            : arena_array(&r->scratch, (size_t)draft->n_attr + n_defaults, sizeof *attrs);
    if (!attrs)
        return err_set(r->err, ERR_MODEL, "it has more than %d attributes", ATTRS_MAX);
    int n = draft->n_attr;
    memcpy(attrs, draft->attrs, (size_t)n * sizeof *attrs);
    struct frame outside = {.graph = frame->graph};
    struct wire wire = wire_of(function->message);
    struct bytes message;
    int n_known = 0;
    while (wire_find(&wire, FUNCTION_ATTRIBUTE_PROTO, &message)) {
        bool there;
        if (!read_attr(r, &outside, message, &attrs[n], &there))
            return false;
        if (has_attr(attrs, draft->n_attr, attrs[n].name))
            n_known++;
        else
            n++;
    }
    for (int i = 0; i < draft->n_attr; i++)
        n_known += is_declared(function, draft->attrs[i].name);
    if (n_known < draft->n_attr)
        return err_set(r->err, ERR_MODEL, "the call has an attribute that the function does not declare");
    call->attrs = attrs;
    call->n_attr = n;
    return true;
}

static bool bind_face(struct reader *r, struct frame *body, const struct draft *draft)
{
    const struct function *function = body->call->function;
    for (int i = 0; i < function->n_inputs; i++) {
        if (find_local(body, function->inputs[i]) >= 0)
            return err_set(r->err, ERR_MODEL, "input '" BYTES_FMT "' is there twice",
                           BYTES_ARG(function->inputs[i]));
        if (!bind_local(r, body, function->inputs[i], i < draft->n_in ? draft->in[i] : -1))
            return false;
    }
    for (int i = 0; i < draft->n_out; i++)
        if (draft->out[i] >= 0 && find_local(body, function->outputs[i]) < 0 &&
            !bind_local(r, body, function->outputs[i], draft->out[i]))
            return false;
    return true;
}

/* After the body: every output that the call wants must have been made. */
static bool bind_outputs(struct reader *r, struct frame *body, const struct draft *draft)
{
    const struct function *function = body->call->function;
    for (int i = 0; i < draft->n_out; i++) {
        if (draft->out[i] < 0)
            continue;
        int local = find_local(body, function->outputs[i]);
        int value = local < 0 ? -1 : body->locals[local].value;
        if (value >= 0 && value != draft->out[i] &&
            !append_identity(r, body, value, draft->out[i]))
            return false;
        if (body->graph->values[draft->out[i]].producer < 0)
            return err_set(r->err, ERR_MODEL, "output '" BYTES_FMT "' is never computed",
                           BYTES_ARG(function->outputs[i]));
    }
    return true;
}

static bool judge_call(struct reader *r, const struct function *function, const struct draft *draft)
{
    if (function->active)
        return err_set(r->err, ERR_MODEL, "the function calls itself");
    if (draft->n_in > function->n_inputs || draft->n_out > function->n_outputs)
        return err_set(r->err, ERR_MODEL,
                       "the call has %d inputs and %d outputs, the function %d and %d", draft->n_in,
                       draft->n_out, function->n_inputs, function->n_outputs);
    r->inlined_bytes += bytes_size(function->message);
    if (r->inlined_bytes > INLINED_BYTES_MAX)
        return err_set(r->err, ERR_MODEL, "inlined functions have more than %zu MiB",
                       INLINED_BYTES_MAX >> 20);
    return true;
}

static bool read_body(struct reader *r, struct frame *body, struct bytes message)
{
    struct wire wire = wire_of(message);
    struct bytes node;
    while (wire_find(&wire, FUNCTION_NODE, &node)) {
        if (++r->inlined_nodes > INLINED_NODES_MAX)
            return err_set(r->err, ERR_MODEL, "inlined functions have more than %d nodes",
                           INLINED_NODES_MAX);
        if (!read_node(r, body, node))
            return false;
    }
    return true;
}

static bool inline_call(struct reader *r, struct frame *frame, struct function *function,
                        const struct draft *draft)
{
    struct call call = {.function = function};
    struct frame body = {.graph = frame->graph, .call = &call, .is_function = true};
    const char *label = arena_printf(&r->scratch, BYTES_FMT "_%d", BYTES_ARG(function->name), ++r->n_calls);
    if (!label)
        return short_of_memory(r, "a function");
    call.label = bytes_of_text(label);
    if (!judge_call(r, function, draft) || !enter(r, "function calls"))
        return false;
    function->active = true;
    bool ok = bind_attrs(r, frame, draft, &call) && bind_face(r, &body, draft) &&
              read_body(r, &body, function->message) && bind_outputs(r, &body, draft);
    function->active = false;
    r->depth--;
    return ok;
}

/* --- nodes ---------------------------------------------------------------------------------------- */

static bool find_node(struct reader *r, struct bytes message, struct draft *draft)
{
    struct wire wire = wire_of(message);
    struct wire_field field;
    size_t counts[3] = {0}; /* inputs, outputs, attributes */
    while (wire_next(&wire, &field))
        switch (field.tag) {
        case NODE_INPUT:
            counts[0]++;
            break;
        case NODE_OUTPUT:
            counts[1]++;
            break;
        case NODE_ATTRIBUTE:
            counts[2]++;
            break;
        case NODE_NAME:
            draft->name = field.bytes;
            break;
        case NODE_OP_TYPE:
            draft->op_type = field.bytes;
            break;
        case NODE_DOMAIN:
            draft->domain = field.bytes;
            break;
        case NODE_OVERLOAD:
            draft->overload = field.bytes;
            break;
        }
    if (!whole(r, &wire, "node"))
        return false;
    if (counts[0] > INT_MAX || counts[1] > INT_MAX || counts[2] > ATTRS_MAX)
        return err_set(r->err, ERR_MODEL, "it has more than %d attributes", ATTRS_MAX);
    if (bytes_is(draft->domain, "ai.onnx"))
        draft->domain = (struct bytes){0};
    draft->in = arena_array(r->arena, counts[0], sizeof *draft->in);
    draft->out = arena_array(r->arena, counts[1], sizeof *draft->out);
    draft->attrs = arena_array(r->arena, counts[2], sizeof *draft->attrs);
    if (!draft->in || !draft->out || !draft->attrs)
        return short_of_memory(r, "a node");
    return true;
}

static bool node_attr(struct reader *r, struct frame *frame, struct bytes message,
                      struct draft *draft)
{
    bool there;
    struct attr *attr = &draft->attrs[draft->n_attr];
    if (!read_attr(r, frame, message, attr, &there))
        return false;
    if (has_attr(draft->attrs, draft->n_attr, attr->name))
        return err_set(r->err, ERR_MODEL, "attribute '" BYTES_FMT "' is there twice",
                       BYTES_ARG(attr->name));
    draft->n_attr += there;
    return true;
}

static bool node_parts(struct reader *r, struct frame *frame, struct bytes message,
                       struct draft *draft)
{
    struct wire wire = wire_of(message);
    struct wire_field field;
    bool ok = true;
    while (ok && wire_next(&wire, &field))
        switch (field.tag) {
        case NODE_INPUT:
            ok = frame_value(r, frame, field.bytes, &draft->in[draft->n_in++]);
            break;
        case NODE_OUTPUT:
            ok = frame_value(r, frame, field.bytes, &draft->out[draft->n_out++]);
            break;
        case NODE_ATTRIBUTE:
            ok = node_attr(r, frame, field.bytes, draft);
            break;
        }
    return ok;
}

static bool name_node(struct reader *r, const struct frame *frame, struct draft *draft)
{
    const struct graph *graph = frame->graph;
    struct bytes own = draft->name;
    if (own.at == own.end) {
        char *text = arena_printf(r->arena, BYTES_FMT "_%d", BYTES_ARG(draft->op_type), graph->n_nodes);
        if (!text)
            return short_of_memory(r, "a name");
        own = bytes_of_text(text);
    } else if (!read_name(r, own, &own)) {
        return false;
    }
    draft->name = own;
    return !frame->call || !frame->is_function || inlined_name(r, frame->call, own, &draft->name);
}

static bool place_node(struct reader *r, struct frame *frame, struct bytes message,
                       struct draft *draft)
{
    struct function *function;
    if (!node_parts(r, frame, message, draft) || !find_function(r, draft, &function))
        return false;
    return function ? inline_call(r, frame, function, draft) : append_node(r, frame, draft);
}

static bool read_node(struct reader *r, struct frame *frame, struct bytes message)
{
    struct draft draft = {0};
    if (!find_node(r, message, &draft))
        return in_place(r, "node", draft.name, draft.op_type);
    if (draft.op_type.at == draft.op_type.end)
        return err_set(r->err, ERR_MODEL, "node '" BYTES_FMT "' (number %d) has no op_type",
                       BYTES_ARG(draft.name), frame->graph->n_nodes);
    if (!read_name(r, draft.op_type, &draft.op_type) ||
        (draft.domain.at && !read_name(r, draft.domain, &draft.domain)) ||
        !name_node(r, frame, &draft))
        return false;
    return place_node(r, frame, message, &draft) ||
           in_place(r, "node", draft.name, draft.op_type);
}

/* --- graphs --------------------------------------------------------------------------------------- */

static bool keep_constant(struct reader *r, struct value *v, const struct stored *stored)
{
    v->dtype = stored->tensor.dtype;
    v->rank = stored->tensor.rank;
    memcpy(v->dims, stored->tensor.dims, sizeof v->dims);
    v->constant = arena_alloc(r->arena, sizeof *v->constant);
    if (!v->constant)
        return short_of_memory(r, "an initializer");
    *v->constant = stored->tensor;
    v->aligned = stored->aligned;
    if (!stored->unsupported)
        r->model->n_parameters += tensor_elements(&stored->tensor);
    return true;
}

static bool read_initializer(struct reader *r, struct graph *graph, struct bytes message, bool sparse)
{
    struct stored stored;
    int value;
    bool ok = sparse ? stored_read_sparse(message, r->external, r->arena, &stored, r->err)
                     : stored_read(message, r->external, r->arena, &stored, r->err);
    if (!ok)
        return err_prefix(r->err, "initializer: ");
    if (stored.name.at == stored.name.end || memchr(stored.name.at, 0, bytes_size(stored.name)))
        return err_set(r->err, ERR_MODEL, "an initializer has no name, or one with a NUL byte");
    if (graph_find(graph, stored.name) >= 0)
        return err_set(r->err, ERR_MODEL, "initializer '" BYTES_FMT "' is there twice",
                       BYTES_ARG(stored.name));
    return add_value(r, graph, stored.name, &value) &&
           keep_constant(r, &graph->values[value], &stored);
}

static bool read_initializers(struct reader *r, struct graph *graph, struct bytes message)
{
    struct wire wire = wire_of(message);
    struct wire_field field;
    while (wire_next(&wire, &field)) {
        bool sparse = field.tag == GRAPH_SPARSE_INITIALIZER;
        if ((sparse || field.tag == GRAPH_INITIALIZER) &&
            !read_initializer(r, graph, field.bytes, sparse))
            return false;
    }
    return true;
}

/* An input that has an initializer has a default that nobody overrides here: it is no input. */
static bool read_input(struct reader *r, struct graph *graph, struct bytes message)
{
    struct declared declared = read_value_info(message);
    int value = graph_find(graph, declared.name);
    if (value >= 0 && graph->values[value].constant)
        return true;
    if (declared.name.at == declared.name.end ||
        memchr(declared.name.at, 0, bytes_size(declared.name)))
        return err_set(r->err, ERR_MODEL, "an input of the graph has no name, or one with a NUL byte");
    if (value >= 0)
        return err_set(r->err, ERR_MODEL, "input '" BYTES_FMT "' is there twice",
                       BYTES_ARG(declared.name));
    if (!graph->parent && !judge_face(r, &declared, "input"))
        return false;
    if (!graph->parent && declared.dtype == PERCEPT_UNDEFINED)
        return err_set(r->err, ERR_MODEL, "input '" BYTES_FMT "' has no type", BYTES_ARG(declared.name));
    if (!add_value(r, graph, declared.name, &value))
        return false;
    graph->inputs[graph->n_inputs++] = value;
    return declare(r, &declared, &graph->values[value]);
}

static bool read_output(struct reader *r, struct frame *frame, struct bytes message)
{
    struct graph *graph = frame->graph;
    struct declared declared = read_value_info(message);
    int value;
    if (!graph->parent && !judge_face(r, &declared, "output"))
        return false;
    if (!frame_value(r, frame, declared.name, &value))
        return false;
    if (value < 0)
        return err_set(r->err, ERR_MODEL, "an output of the graph has no name");
    graph->outputs[graph->n_outputs++] = value;
    bool given = graph->values[value].dtype != PERCEPT_UNDEFINED;
    return given || declare(r, &declared, &graph->values[value]);
}

static bool read_declaration(struct reader *r, struct graph *graph, struct bytes message)
{
    struct declared declared = read_value_info(message);
    int value = graph_find(graph, declared.name);
    if (value < 0 || graph->values[value].dtype != PERCEPT_UNDEFINED)
        return true; /* exporters leave declarations of values behind that are gone */
    return declare(r, &declared, &graph->values[value]);
}

static bool read_fields(struct reader *r, struct frame *frame, struct bytes message, uint32_t tag)
{
    struct wire wire = wire_of(message);
    struct bytes item;
    bool ok = true;
    while (ok && wire_find(&wire, tag, &item))
        switch (tag) {
        case GRAPH_INPUT:
            ok = read_input(r, frame->graph, item);
            break;
        case GRAPH_NODE:
            ok = read_node(r, frame, item);
            break;
        case GRAPH_OUTPUT:
            ok = read_output(r, frame, item);
            break;
        case GRAPH_VALUE_INFO:
            ok = read_declaration(r, frame->graph, item);
            break;
        case GRAPH_NAME:
            ok = read_name(r, item, &frame->graph->name);
            break;
        }
    return ok;
}

/* Counts first, so that a million nodes are not moved twenty times. */
static bool make_graph_room(struct reader *r, struct graph *graph, struct bytes message)
{
    struct wire wire = wire_of(message);
    struct wire_field field;
    size_t n_nodes = 0, n_inputs = 0, n_outputs = 0, n_initializers = 0;
    while (wire_next(&wire, &field)) {
        n_nodes += field.tag == GRAPH_NODE;
        n_inputs += field.tag == GRAPH_INPUT;
        n_outputs += field.tag == GRAPH_OUTPUT;
        n_initializers += field.tag == GRAPH_INITIALIZER || field.tag == GRAPH_SPARSE_INITIALIZER;
    }
    if (!whole(r, &wire, "graph"))
        return false;
    graph->inputs = arena_array(r->arena, n_inputs, sizeof *graph->inputs);
    graph->outputs = arena_array(r->arena, n_outputs, sizeof *graph->outputs);
    size_t n_values = n_nodes + n_inputs + n_initializers;
    if (!graph->inputs || !graph->outputs || !graph_reserve(graph, r->arena, n_values, n_nodes))
        return short_of_memory(r, "the graph");
    return true;
}

/* Neither made here nor given. Inputs were added one after the other: their indices are a range. */
static bool is_loose(const struct graph *graph, int value)
{
    const struct value *v = &graph->values[value];
    bool input = graph->n_inputs && value >= graph->inputs[0] &&
                 value <= graph->inputs[graph->n_inputs - 1];
    return v->producer < 0 && !v->constant && v->outer < 0 && !input;
}

/* What a subgraph uses and does not define comes from around it. */
static bool capture(struct reader *r, struct frame *frame)
{
    struct graph *graph = frame->graph;
    for (int i = 0; i < graph->n_values; i++) {
        int outer;
        if (!is_loose(graph, i))
            continue;
        struct bytes name = graph->values[i].name;
        if (graph->values[i].inlined)
            return err_set(r->err, ERR_MODEL, "value '" BYTES_FMT "' is undefined: nothing makes it",
                           BYTES_ARG(name));
        if (!frame_value(r, frame->around, name, &outer))
            return false;
        if (outer < 0)
            return err_set(r->err, ERR_MODEL,
                           "value '" BYTES_FMT "' is an input that the function's call leaves out",
                           BYTES_ARG(name));
        graph->values[i].outer = outer;
    }
    return true;
}

static bool read_graph(struct reader *r, struct frame *frame, struct bytes message)
{
    struct graph *graph = frame->graph;
    return make_graph_room(r, graph, message) && read_fields(r, frame, message, GRAPH_NAME) &&
           read_initializers(r, graph, message) && read_fields(r, frame, message, GRAPH_INPUT) &&
           read_fields(r, frame, message, GRAPH_NODE) &&
           read_fields(r, frame, message, GRAPH_OUTPUT) &&
           read_fields(r, frame, message, GRAPH_VALUE_INFO) &&
           (!frame->around || capture(r, frame)) && graph_sort(graph, r->arena, r->err);
}

/* Initializers of types that we know by name alone may be there as long as nobody asks for them; they
 * are then forgotten. */
static bool judge_constants(struct reader *r, struct graph *graph)
{
    for (int i = 0; i < graph->n_values; i++) {
        struct value *v = &graph->values[i];
        if (!v->constant || v->constant->data)
            continue;
        if (v->n_uses)
            return err_set(r->err, ERR_UNSUPPORTED,
                           "initializer '" BYTES_FMT "' is of type %s, which is not supported",
                           BYTES_ARG(v->name), tensor_dtype_name(v->dtype));
        v->constant = NULL;
    }
    for (int i = 0; i < graph->n_nodes; i++)
        for (int k = 0; k < graph->nodes[i].n_attr; k++)
            if (graph->nodes[i].attrs[k].graph && !judge_constants(r, graph->nodes[i].attrs[k].graph))
                return false;
    return true;
}

static bool judge_outputs(struct reader *r, const struct graph *graph)
{
    if (graph->n_outputs == 0)
        return err_set(r->err, ERR_MODEL, "the graph has no outputs");
    struct names names = {0};
    for (int i = 0; i < graph->n_outputs; i++) {
        struct bytes name = graph->values[graph->outputs[i]].name;
        if (names_find(&names, graph->values, sizeof *graph->values, name) >= 0)
            return err_set(r->err, ERR_MODEL, "output '" BYTES_FMT "' is there twice", BYTES_ARG(name));
        if (!names_add(&names, &r->scratch, name, graph->outputs[i]))
            return short_of_memory(r, "the outputs");
    }
    return true;
}

/* --- the model ------------------------------------------------------------------------------------ */

/* A ModelProto's own fields. */
struct model_fields {
    uint64_t ir_version;
    struct bytes producer, version, graph;
    int n_graphs;
};

static bool find_model(struct reader *r, struct bytes file, struct model_fields *fields)
{
    struct wire wire = wire_of(file);
    struct wire_field field;
    while (wire_next(&wire, &field))
        switch (field.tag) {
        case MODEL_IR_VERSION:
            fields->ir_version = field.value;
            break;
        case MODEL_PRODUCER_NAME:
            fields->producer = field.bytes;
            break;
        case MODEL_PRODUCER_VERSION:
            fields->version = field.bytes;
            break;
        case MODEL_GRAPH:
            fields->graph = field.bytes;
            fields->n_graphs++;
            break;
        }
    return whole(r, &wire, "this is no ONNX model, or a damaged one");
}

static bool judge_model(struct reader *r, const struct model_fields *fields)
{
    if (fields->n_graphs != 1)
        return err_set(r->err, ERR_MODEL, "this is no ONNX model, or a damaged one: it has %s graph",
                       fields->n_graphs ? "more than one" : "no");
    if (fields->ir_version < IR_OLDEST || fields->ir_version > IR_NEWEST)
        return err_set(r->err, ERR_UNSUPPORTED,
                       "its ir_version is %llu; %d to %d are supported: save it with another release "
                       "of ONNX",
                       (unsigned long long)fields->ir_version, IR_OLDEST, IR_NEWEST);
    return true;
}

static bool describe(struct reader *r, const struct model_fields *fields)
{
    const char *gap = fields->version.at != fields->version.end ? " " : "";
    char *producer = arena_printf(r->arena, BYTES_FMT "%s" BYTES_FMT, BYTES_ARG(fields->producer), gap,
                                  BYTES_ARG(fields->version));
    if (!producer)
        return short_of_memory(r, "the producer's name");
    const struct import *own = find_import(&r->imports, (struct bytes){0});
    r->model->producer = bytes_of_text(producer);
    r->model->ir_version = (int64_t)fields->ir_version;
    r->model->opset = own ? own->version : 0;
    return true;
}

static bool read_model(struct reader *r, struct bytes file)
{
    struct model_fields fields = {0};
    if (!find_model(r, file, &fields) || !judge_model(r, &fields) ||
        !read_imports(r, file, MODEL_OPSET_IMPORT, &r->imports) || !describe(r, &fields) ||
        !read_functions(r, file))
        return false;
    struct graph *graph = arena_alloc(r->arena, sizeof *graph);
    if (!graph)
        return short_of_memory(r, "the graph");
    *graph = (struct graph){0};
    struct frame frame = {.graph = graph};
    r->model->graph = graph;
    return read_graph(r, &frame, fields.graph) && judge_outputs(r, graph) && judge_constants(r, graph);
}

bool onnx_read(struct bytes file, const struct onnx_external *external, struct arena *arena,
               struct onnx_model *model, struct percept_err *err)
{
    struct onnx_model made = {0};
    struct percept_err unheard;
    struct reader reader = {
        .model = &made, .external = external, .arena = arena, .err = err ? err : &unheard};
    bool ok = read_model(&reader, file);
    arena_free(&reader.scratch);
    if (ok)
        *model = made;
    return ok;
}

/* --- a lone tensor -------------------------------------------------------------------------------- */

static bool copy_texts(struct arena *arena, struct percept_string *texts, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        texts[i].at = arena_text(arena, texts[i].at, texts[i].n_bytes);
        if (!texts[i].at)
            return false;
    }
    return true;
}

static bool copy_data(struct arena *arena, struct stored *stored)
{
    struct tensor *t = &stored->tensor;
    size_t n_bytes;
    if (!tensor_bytes(t, 1, &n_bytes))
        return false;
    if (!stored->aligned) {
        void *copy = arena_alloc(arena, n_bytes);
        if (!copy)
            return false;
        t->data = memcpy(copy, t->data, n_bytes);
    }
    return t->dtype != PERCEPT_STRING || copy_texts(arena, t->data, tensor_elements(t));
}

bool onnx_read_tensor(struct bytes file, struct arena *arena, struct tensor *tensor,
                      struct bytes *name, struct percept_err *err)
{
    struct stored stored;
    if (!stored_read(file, NULL, arena, &stored, err))
        return false;
    if (stored.unsupported)
        return err_set(err, ERR_UNSUPPORTED, "tensor '" BYTES_FMT "': type %s is not supported",
                       BYTES_ARG(stored.name), tensor_dtype_name(stored.tensor.dtype));
    const char *copy = arena_text(arena, stored.name.at, bytes_size(stored.name));
    if (!copy || !copy_data(arena, &stored))
        return err_memory(err, "a tensor", bytes_size(file));
    *tensor = stored.tensor;
    *name = bytes_of(copy, bytes_size(stored.name));
    return true;
}
