/*
 * declared.c - ValueInfoProto, TypeProto, TensorShapeProto.
 *
 * Declarations are hints except for the graph's face, its inputs and outputs: those are promises to
 * a client and must be tensors of a type and rank that can be sent. Exporters leave wrong hints
 * behind, so what is broken within one is a type that is not there, and shapes are computed anew
 * when they are planned. A dimension that is negative, named or missing is free (-1); names are
 * kept for people.
 *
 * Threads: the loader's. Ownership: what is read views the file; what is kept is in the model's
 * arena.
 */
#include "graph/declared.h"

#include <limits.h>

/* A number or a name: of both the last counts, as protobuf has it. */
static void read_dim(struct bytes message, int64_t *dim, struct bytes *name)
{
    struct wire wire = wire_of(message);
    struct wire_field field;
    *dim = -1;
    while (wire_next(&wire, &field))
        if (field.tag == DIM_VALUE || field.tag == DIM_PARAM) {
            const bool named = field.tag == DIM_PARAM;
            *dim = named || (int64_t)field.value < 0 ? -1 : (int64_t)field.value;
            *name = named ? field.bytes : bytes_of("", 0);
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
            declared->list = DTYPE_SEQUENCE;
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
            declared->list = DTYPE_OPTIONAL;
            break;
        }
}

/* Declarations are hints except for the graph's face; what is broken within one shows as a type
 * that is not there, and that is refused where a type is needed. */
struct declared declared_read(struct bytes message)
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
        return reader_short(r, "a shape");
    for (size_t i = 0; i < declared->rank; i++)
        if (!reader_name(r, declared->dim_names[i], &names[i]))
            return false;
    v->dim_names = names;
    return true;
}

/* Onto a value that is no constant: a constant knows better. */
bool declared_apply(struct reader *r, const struct declared *declared, struct value *v)
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
bool declared_judge(struct reader *r, const struct declared *declared, const char *what)
{
    if (declared->list)
        return err_set(r->err, ERR_UNSUPPORTED, "%s '" BYTES_FMT "' is %s", what, BYTES_ARG(declared->name),
                       tensor_list_advice(declared->list, strcmp(what, "output") == 0));
    if (declared->other)
        return err_set(r->err, ERR_UNSUPPORTED, "%s '" BYTES_FMT "' is %s; only tensors can go in and out of a model",
                       what, BYTES_ARG(declared->name), declared->other);
    if (declared->rank > RANK_MAX)
        return err_set(r->err, ERR_UNSUPPORTED, "%s '" BYTES_FMT "' has %zu dimensions; at most %d are supported", what,
                       BYTES_ARG(declared->name), declared->rank, RANK_MAX);
    if (declared->dtype != PERCEPT_UNDEFINED && tensor_dtype_bytes(declared->dtype) == 0)
        return err_set(r->err, ERR_UNSUPPORTED, "%s '" BYTES_FMT "' is of type %s (%d), which is not supported", what,
                       BYTES_ARG(declared->name), tensor_dtype_name(declared->dtype), (int)declared->dtype);
    return true;
}
