/*
 * stored.c - reads TensorProto in two walks: the first notes what is there (type, dims, where the data
 * are, how many numbers each typed field has), the second converts. Between them everything is judged:
 *
 *     elements = product of dims          refused when negative or beyond int64
 *     raw_data                            exactly elements x size bytes; viewed, not copied
 *     float_data, int32_data, ...         exactly `elements` numbers, each within the type; copied
 *     data_location = EXTERNAL            exactly elements x size bytes of another file
 *     more than one of these, or segments: refused
 *
 * ONNX keeps the small types (int8 to uint16, bool, float16 and bfloat16 as bits) in int32_data and
 * uint32 in uint64_data. A sparse tensor is made dense at once; how large that may be is bounded, since
 * a few bytes can promise any size.
 */
#include "graph/stored.h"

#include "graph/fields.h"

#include <limits.h>
#include <stdio.h>

#define AT "tensor '" BYTES_FMT "': "
#define DENSE_MAX_BYTES ((size_t)1 << 30)
#define EXTERNAL 1 /* TensorProto.DataLocation */

enum numbers { FLOATS, INT32S, INT64S, DOUBLES, UINT64S, STRINGS, NUMBERS_COUNT };

static const struct {
    const char *name;
    uint32_t number; /* of the field */
    size_t fixed;    /* bytes of a number, or 0: varints */
} kinds[NUMBERS_COUNT] = {
    [FLOATS] = {"float_data", TENSOR_FLOAT_DATA >> 3, 4},    [INT32S] = {"int32_data", TENSOR_INT32_DATA >> 3, 0},
    [INT64S] = {"int64_data", TENSOR_INT64_DATA >> 3, 0},    [DOUBLES] = {"double_data", TENSOR_DOUBLE_DATA >> 3, 8},
    [UINT64S] = {"uint64_data", TENSOR_UINT64_DATA >> 3, 0}, [STRINGS] = {"string_data", TENSOR_STRING_DATA >> 3, 0},
};

/* A TensorProto as the first walk finds it. */
struct found {
    struct bytes message, name;
    uint64_t data_type;
    int64_t dims[RANK_MAX];
    size_t rank;
    bool segmented;
    uint64_t location;
    struct bytes raw;
    size_t counts[NUMBERS_COUNT];
    struct bytes file, offset, length; /* of external data, as text */
    const char *twice;                 /* an external key that is there twice */
};

/* Appends dims, packed or one by one; counts in *rank also those beyond RANK_MAX. */
static bool add_dims(const struct wire_field *field, int64_t *dims, size_t *rank)
{
    struct bytes packed = field->bytes;
    bool one = (field->tag & 7u) == 0;
    while (one || packed.at < packed.end) {
        uint64_t bits = field->value;
        if (!one && !wire_varint(&packed, &bits))
            return false;
        if (*rank < RANK_MAX)
            dims[*rank] = (int64_t)bits;
        ++*rank;
        if (one)
            break;
    }
    return true;
}

/* --- first walk --------------------------------------------------------------------------------------------------- */

static enum numbers kind_of_field(uint32_t tag)
{
    int kind = 0;
    while (kind < NUMBERS_COUNT && kinds[kind].number != tag >> 3)
        kind++;
    return (enum numbers)kind;
}

static void count_numbers(struct found *found, const struct wire_field *field)
{
    enum numbers kind = kind_of_field(field->tag);
    size_t n = 1;
    if ((field->tag & 7u) == 2 && kind != STRINGS)
        n = kinds[kind].fixed ? bytes_size(field->bytes) / kinds[kind].fixed : wire_count(field->bytes);
    found->counts[kind] += n;
}

static void note_entry(struct found *found, struct bytes entry)
{
    struct wire wire = wire_of(entry);
    struct wire_field field;
    struct bytes key = {0}, value = {0};
    while (wire_next(&wire, &field)) {
        if (field.tag == ENTRY_KEY)
            key = field.bytes;
        else if (field.tag == ENTRY_VALUE)
            value = field.bytes;
    }
    const struct {
        const char *key;
        struct bytes *to;
    } keys[] = {{"location", &found->file}, {"offset", &found->offset}, {"length", &found->length}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (bytes_is(key, keys[i].key)) {
            if (keys[i].to->at)
                found->twice = keys[i].key;
            *keys[i].to = value;
        }
}

static bool note(struct found *found, const struct wire_field *field)
{
    switch (field->tag) {
    case TENSOR_DIMS:
    case TENSOR_DIMS_ONE:
        return add_dims(field, found->dims, &found->rank);
    case TENSOR_DATA_TYPE:
        found->data_type = field->value;
        break;
    case TENSOR_SEGMENT:
        found->segmented = true;
        break;
    case TENSOR_NAME:
        found->name = field->bytes;
        break;
    case TENSOR_RAW_DATA:
        found->raw = field->bytes;
        break;
    case TENSOR_EXTERNAL_DATA:
        note_entry(found, field->bytes);
        break;
    case TENSOR_DATA_LOCATION:
        found->location = field->value;
        break;
    case TENSOR_FLOAT_DATA:
    case TENSOR_FLOAT_DATA_ONE:
    case TENSOR_INT32_DATA:
    case TENSOR_INT32_DATA_ONE:
    case TENSOR_STRING_DATA:
    case TENSOR_INT64_DATA:
    case TENSOR_INT64_DATA_ONE:
    case TENSOR_DOUBLE_DATA:
    case TENSOR_DOUBLE_DATA_ONE:
    case TENSOR_UINT64_DATA:
    case TENSOR_UINT64_DATA_ONE:
        count_numbers(found, field);
        break;
    }
    return true;
}

static bool find(struct bytes message, struct found *found, struct percept_err *err)
{
    *found = (struct found){.message = message};
    struct wire wire = wire_of(message);
    struct wire_field field;
    while (wire_next(&wire, &field))
        if (!note(found, &field))
            return err_set(err, ERR_MODEL, AT "a dimension is cut short", BYTES_ARG(found->name));
    if (wire.broken)
        return err_set(err, ERR_MODEL, AT "%s", BYTES_ARG(found->name), wire.broken);
    return true;
}

/* --- judging ------------------------------------------------------------------------------------------------------ */

static enum numbers kind_of_type(enum percept_dtype dtype)
{
    switch (dtype) {
    case PERCEPT_FLOAT:
        return FLOATS;
    case PERCEPT_DOUBLE:
        return DOUBLES;
    case PERCEPT_INT64:
        return INT64S;
    case PERCEPT_UINT32:
    case PERCEPT_UINT64:
        return UINT64S;
    case PERCEPT_STRING:
        return STRINGS;
    default:
        return INT32S;
    }
}

/* Type and shape into stored->tensor; the size of its data. */
static bool judge_shape(const struct found *found, struct stored *stored, size_t *n_bytes, struct percept_err *err)
{
    struct tensor *t = &stored->tensor;
    int64_t n;
    char text[192];
    if (found->rank > RANK_MAX)
        return err_set(err, ERR_UNSUPPORTED, AT "it has %zu dimensions; at most %d are supported",
                       BYTES_ARG(found->name), found->rank, RANK_MAX);
    tensor_set_dims(t, (int)found->rank, found->dims);
    if (!tensor_count(t->rank, t->dims, &n))
        return err_set(err, ERR_MODEL, AT "shape %s has a negative dimension or more elements than 2^63",
                       BYTES_ARG(found->name), tensor_shape_text(t->rank, t->dims, text, sizeof text));
    t->dtype = found->data_type > INT_MAX ? PERCEPT_UNDEFINED : (enum percept_dtype)found->data_type;
    if (strcmp(tensor_dtype_name(t->dtype), tensor_dtype_name(PERCEPT_UNDEFINED)) == 0)
        return err_set(err, ERR_MODEL, AT "its data_type is %llu, which is no type of ONNX", BYTES_ARG(found->name),
                       (unsigned long long)found->data_type);
    stored->unsupported = tensor_dtype_bytes(t->dtype) == 0;
    if (!stored->unsupported && !tensor_bytes(t, 1, n_bytes))
        return err_set(err, ERR_MODEL, AT "shape %s has more bytes than 2^64", BYTES_ARG(found->name),
                       tensor_shape_text(t->rank, t->dims, text, sizeof text));
    return true;
}

/* Data in one place only, and typed data in the field that belongs to the type. */
static bool judge_place(const struct found *found, enum percept_dtype dtype, struct percept_err *err)
{
    enum numbers expected = kind_of_type(dtype);
    bool typed = false;
    for (int kind = 0; kind < NUMBERS_COUNT; kind++) {
        if (!found->counts[kind])
            continue;
        typed = true;
        if (kind != (int)expected)
            return err_set(err, ERR_MODEL, AT "it is %s and has %s; %s is the field for this type",
                           BYTES_ARG(found->name), tensor_dtype_name(dtype), kinds[kind].name, kinds[expected].name);
    }
    if (found->segmented)
        return err_set(err, ERR_UNSUPPORTED, AT "it is one segment of a tensor; whole ones are supported",
                       BYTES_ARG(found->name));
    if (found->location > EXTERNAL)
        return err_set(err, ERR_MODEL, AT "data_location is %llu; 0 (here) and 1 (external) exist",
                       BYTES_ARG(found->name), (unsigned long long)found->location);
    bool raw = found->raw.at != found->raw.end, external = found->location == EXTERNAL;
    if (raw + typed + external > 1)
        return err_set(err, ERR_MODEL, AT "its data are in more than one place: %s", BYTES_ARG(found->name),
                       external ? "an external file and the model" : "raw_data and a typed field");
    return true;
}

/* --- typed data --------------------------------------------------------------------------------------------------- */

struct filler {
    enum percept_dtype dtype;
    char *to;
    const char *end;
};

/* Least and most of what int32_data may hold for a type; the types of 64 bits need no judging. */
static bool in_range(enum percept_dtype dtype, int64_t value)
{
    switch (dtype) {
    case PERCEPT_BOOL:
        return value == 0 || value == 1;
    case PERCEPT_INT8:
        return value >= INT8_MIN && value <= INT8_MAX;
    case PERCEPT_UINT8:
        return value >= 0 && value <= UINT8_MAX;
    case PERCEPT_INT16:
        return value >= INT16_MIN && value <= INT16_MAX;
    case PERCEPT_UINT16:
    case PERCEPT_FLOAT16:
    case PERCEPT_BFLOAT16:
        return value >= 0 && value <= UINT16_MAX;
    case PERCEPT_INT32:
        return value >= INT32_MIN && value <= INT32_MAX;
    case PERCEPT_UINT32:
        return value >= 0 && value <= UINT32_MAX;
    default:
        return true;
    }
}

/* Little-endian: the low bytes of the bits are the element. */
static const char *fill_one(struct filler *filler, uint64_t bits)
{
    size_t size = tensor_dtype_bytes(filler->dtype);
    if (kind_of_type(filler->dtype) == INT32S && (uint64_t)(int64_t)(int32_t)bits != bits && bits > UINT32_MAX)
        return "a number in int32_data has more than 32 bits";
    int64_t value = kind_of_type(filler->dtype) == INT32S ? (int32_t)bits : (int64_t)bits;
    if (!in_range(filler->dtype, value))
        return "a number is outside of what its type holds";
    if ((size_t)(filler->end - filler->to) < size)
        return "it has more numbers than its shape";
    memcpy(filler->to, &bits, size);
    filler->to += size;
    return NULL;
}

static const char *fill_packed(struct filler *filler, struct bytes packed, size_t fixed)
{
    if (fixed) {
        size_t n_bytes = bytes_size(packed);
        if (n_bytes % fixed)
            return "its typed data end within a number";
        if ((size_t)(filler->end - filler->to) < n_bytes)
            return "it has more numbers than its shape";
        if (n_bytes)
            memcpy(filler->to, packed.at, n_bytes);
        filler->to += n_bytes;
        return NULL;
    }
    while (packed.at < packed.end) {
        uint64_t bits;
        if (!wire_varint(&packed, &bits))
            return "a number of its typed data is cut short";
        const char *why = fill_one(filler, bits);
        if (why)
            return why;
    }
    return NULL;
}

static const char *fill_text(struct filler *filler, struct bytes text)
{
    struct percept_string element = {(const char *)text.at, bytes_size(text)};
    if ((size_t)(filler->end - filler->to) < sizeof element)
        return "it has more strings than its shape";
    memcpy(filler->to, &element, sizeof element);
    filler->to += sizeof element;
    return NULL;
}

static const char *fill(struct filler *filler, struct bytes message)
{
    enum numbers kind = kind_of_type(filler->dtype);
    struct wire wire = wire_of(message);
    struct wire_field field;
    const char *why = NULL;
    while (!why && wire_next(&wire, &field)) {
        if (kind_of_field(field.tag) != kind)
            continue;
        uint32_t type = field.tag & 7u;
        if (kind == STRINGS)
            why = type == 2 ? fill_text(filler, field.bytes) : NULL;
        else if (type == 2)
            why = fill_packed(filler, field.bytes, kinds[kind].fixed);
        else if (type == (kinds[kind].fixed == 4 ? 5u : kinds[kind].fixed == 8 ? 1u : 0u))
            why = fill_one(filler, field.value);
    }
    return why;
}

static bool read_typed(const struct found *found, size_t n_bytes, struct arena *arena, struct stored *stored,
                       struct percept_err *err)
{
    enum percept_dtype dtype = stored->tensor.dtype;
    enum numbers kind = kind_of_type(dtype);
    size_t n = n_bytes / tensor_dtype_bytes(dtype);
    if (found->counts[kind] != n)
        return err_set(err, ERR_MODEL, AT "its shape has %zu elements and %s has %zu", BYTES_ARG(found->name), n,
                       kinds[kind].name, found->counts[kind]);
    char *data = arena_alloc(arena, n_bytes);
    if (!data)
        return err_memory(err, "a tensor", n_bytes);
    struct filler filler = {dtype, data, data + n_bytes};
    const char *why = fill(&filler, found->message);
    if (!why && filler.to != filler.end)
        why = "it has fewer numbers than its shape";
    if (why)
        return err_set(err, ERR_MODEL, AT "%s", BYTES_ARG(found->name), why);
    stored->tensor.data = data;
    stored->aligned = true;
    return true;
}

/* --- external data ------------------------------------------------------------------------------------------------ */

static bool read_decimal(struct bytes text, size_t *value)
{
    size_t sum = 0;
    if (text.at == text.end)
        return false;
    for (const uint8_t *at = text.at; at < text.end; at++)
        if (*at < '0' || *at > '9' || __builtin_mul_overflow(sum, (size_t)10, &sum) ||
            __builtin_add_overflow(sum, (size_t)(*at - '0'), &sum))
            return false;
    *value = sum;
    return true;
}

static bool judge_external(const struct found *found, size_t n_bytes, size_t *offset, struct percept_err *err)
{
    size_t length = n_bytes;
    *offset = 0;
    if (found->twice)
        return err_set(err, ERR_MODEL, AT "its external data have two entries '%s'", BYTES_ARG(found->name),
                       found->twice);
    if (found->offset.at && !read_decimal(found->offset, offset))
        return err_set(err, ERR_MODEL, AT "the offset of its external data is no number of bytes",
                       BYTES_ARG(found->name));
    if (found->length.at && !read_decimal(found->length, &length))
        return err_set(err, ERR_MODEL, AT "the length of its external data is no number of bytes",
                       BYTES_ARG(found->name));
    if (length != n_bytes)
        return err_set(err, ERR_MODEL, AT "its shape has %zu bytes and its external data have %zu",
                       BYTES_ARG(found->name), n_bytes, length);
    if (found->file.at == found->file.end || memchr(found->file.at, 0, bytes_size(found->file)))
        return err_set(err, ERR_MODEL, AT "its external data name no file; 'location' is missing",
                       BYTES_ARG(found->name));
    return true;
}

static bool read_external(const struct found *found, size_t n_bytes, const struct onnx_external *external,
                          struct arena *arena, struct stored *stored, struct percept_err *err)
{
    size_t offset;
    if (!external)
        return err_set(err, ERR_UNSUPPORTED,
                       AT "its data are in another file, and this model was not opened from one; "
                          "save the model with its data inside",
                       BYTES_ARG(found->name));
    if (stored->tensor.dtype == PERCEPT_STRING)
        return err_set(err, ERR_MODEL, AT "strings cannot be external data", BYTES_ARG(found->name));
    if (!judge_external(found, n_bytes, &offset, err))
        return false;
    const char *file = arena_text(arena, found->file.at, bytes_size(found->file));
    if (!file)
        return err_memory(err, "a file's name", bytes_size(found->file));
    struct bytes data = {0};
    if (!external->read(external->user, file, offset, n_bytes, arena, &data, err))
        return err_prefix(err, AT, BYTES_ARG(found->name));
    if (bytes_size(data) != n_bytes)
        return err_set(err, ERR_MODEL, AT "its shape has %zu bytes and '%s' gave %zu", BYTES_ARG(found->name), n_bytes,
                       file, bytes_size(data));
    stored->tensor.data = (void *)(uintptr_t)data.at;
    stored->aligned = (uintptr_t)data.at % tensor_dtype_bytes(stored->tensor.dtype) == 0;
    return true;
}

/* --- one tensor --------------------------------------------------------------------------------------------------- */

static bool read_raw(const struct found *found, size_t n_bytes, struct stored *stored, struct percept_err *err)
{
    if (stored->tensor.dtype == PERCEPT_STRING)
        return err_set(err, ERR_MODEL, AT "strings cannot be raw_data; string_data holds them", BYTES_ARG(found->name));
    if (bytes_size(found->raw) != n_bytes) {
        char text[192];
        return err_set(err, ERR_MODEL, AT "its shape %s (%s) has %zu bytes and raw_data has %zu",
                       BYTES_ARG(found->name),
                       tensor_shape_text(stored->tensor.rank, stored->tensor.dims, text, sizeof text),
                       tensor_dtype_name(stored->tensor.dtype), n_bytes, bytes_size(found->raw));
    }
    stored->tensor.data = (void *)(uintptr_t)found->raw.at;
    return true;
}

static bool read_data(const struct found *found, size_t n_bytes, const struct onnx_external *external,
                      struct arena *arena, struct stored *stored, struct percept_err *err)
{
    if (n_bytes && found->location == EXTERNAL)
        return read_external(found, n_bytes, external, arena, stored, err);
    if (found->raw.at != found->raw.end)
        return read_raw(found, n_bytes, stored, err);
    if (found->counts[kind_of_type(stored->tensor.dtype)])
        return read_typed(found, n_bytes, arena, stored, err);
    if (n_bytes)
        return err_set(err, ERR_MODEL, AT "its shape has %zu bytes and it has no data", BYTES_ARG(found->name),
                       n_bytes);
    stored->tensor.data = arena_alloc(arena, 1); /* nothing, and yet not NULL, which is "unknown" */
    stored->aligned = true;
    return stored->tensor.data || err_memory(err, "a tensor", 1);
}

/* A bool of 2 would be true to one operator and false to another. */
static bool judge_bools(const struct found *found, const struct stored *stored, size_t n_bytes, struct percept_err *err)
{
    const uint8_t *at = stored->tensor.data;
    for (size_t i = 0; stored->tensor.dtype == PERCEPT_BOOL && i < n_bytes; i++)
        if (at[i] > 1)
            return err_set(err, ERR_MODEL, AT "element %zu is %d; a bool is 0 or 1", BYTES_ARG(found->name), i, at[i]);
    return true;
}

bool stored_read(struct bytes message, const struct onnx_external *external, struct arena *arena, struct stored *stored,
                 struct percept_err *err)
{
    struct found found;
    struct stored made = {0};
    size_t n_bytes;
    if (!find(message, &found, err) || !judge_shape(&found, &made, &n_bytes, err))
        return false;
    made.name = found.name;
    if (!made.unsupported &&
        (!judge_place(&found, made.tensor.dtype, err) || !read_data(&found, n_bytes, external, arena, &made, err) ||
         !judge_bools(&found, &made, n_bytes, err)))
        return false;
    *stored = made;
    return true;
}

/* --- sparse ------------------------------------------------------------------------------------------------------- */

struct sparse {
    struct stored values, indices;
    struct bytes values_message, indices_message;
    int64_t dims[RANK_MAX];
    size_t rank;
};

static bool find_sparse(struct bytes message, struct sparse *sparse, struct percept_err *err)
{
    struct wire wire = wire_of(message);
    struct wire_field field;
    bool ok = true;
    while (ok && wire_next(&wire, &field))
        switch (field.tag) {
        case SPARSE_VALUES:
            sparse->values_message = field.bytes;
            break;
        case SPARSE_INDICES:
            sparse->indices_message = field.bytes;
            break;
        case SPARSE_DIMS:
        case SPARSE_DIMS_ONE:
            ok = add_dims(&field, sparse->dims, &sparse->rank);
            break;
        }
    if (!ok || wire.broken)
        return err_set(err, ERR_MODEL, "sparse tensor: %s", ok ? wire.broken : "a dimension is cut short");
    return true;
}

/* values [n], indices [n] (counted through the whole) or [n][rank]. */
static bool judge_sparse(const struct sparse *sparse, size_t *n_bytes, struct percept_err *err)
{
    const struct tensor *values = &sparse->values.tensor, *indices = &sparse->indices.tensor;
    struct bytes name = sparse->values.name;
    if (sparse->values.unsupported || values->dtype == PERCEPT_STRING)
        return err_set(err, ERR_UNSUPPORTED, AT "sparse tensors of type %s are not supported", BYTES_ARG(name),
                       tensor_dtype_name(values->dtype));
    if (sparse->rank < 1 || sparse->rank > RANK_MAX)
        return err_set(err, ERR_UNSUPPORTED, AT "it is sparse with %zu dimensions; 1 to %d are supported",
                       BYTES_ARG(name), sparse->rank, RANK_MAX);
    bool flat = indices->rank == 1;
    if (values->rank != 1 || indices->dtype != PERCEPT_INT64 || indices->rank < 1 || indices->rank > 2 ||
        indices->dims[0] != values->dims[0] || (!flat && indices->dims[1] != (int64_t)sparse->rank))
        return err_set(err, ERR_MODEL,
                       AT "its values must have shape [n], its indices be int64 of shape [n] or "
                          "[n,%zu]",
                       BYTES_ARG(name), sparse->rank);
    struct tensor dense = {.dtype = values->dtype};
    tensor_set_dims(&dense, (int)sparse->rank, sparse->dims);
    if (!tensor_bytes(&dense, 1, n_bytes) || *n_bytes > DENSE_MAX_BYTES)
        return err_set(err, ERR_UNSUPPORTED, AT "it is sparse and made dense it would be larger than %zu MiB",
                       BYTES_ARG(name), DENSE_MAX_BYTES >> 20);
    return true;
}

static int64_t index_at(const struct tensor *indices, int64_t i)
{
    int64_t value;
    memcpy(&value, (const char *)indices->data + (size_t)i * sizeof value, sizeof value);
    return value;
}

/* Position of value i in the dense tensor, or -1. */
static int64_t position(const struct sparse *sparse, const struct tensor *dense, int64_t i)
{
    const struct tensor *indices = &sparse->indices.tensor;
    if (indices->rank == 1) {
        int64_t at = index_at(indices, i);
        return at < tensor_elements(dense) ? at : -1;
    }
    int64_t at = 0;
    for (int axis = 0; axis < dense->rank; axis++) {
        int64_t part = index_at(indices, i * dense->rank + axis);
        if (part < 0 || part >= dense->dims[axis])
            return -1;
        at = at * dense->dims[axis] + part;
    }
    return at;
}

static bool scatter(const struct sparse *sparse, const struct tensor *dense, struct percept_err *err)
{
    size_t size = tensor_dtype_bytes(dense->dtype);
    int64_t last = -1;
    for (int64_t i = 0; i < sparse->values.tensor.dims[0]; i++) {
        int64_t at = position(sparse, dense, i);
        if (at <= last)
            return err_set(err, ERR_MODEL, AT "sparse index %lld is outside of the tensor or not above the one before",
                           BYTES_ARG(sparse->values.name), (long long)i);
        last = at;
        memcpy((char *)dense->data + (size_t)at * size, (const char *)sparse->values.tensor.data + (size_t)i * size,
               size);
    }
    return true;
}

bool stored_read_sparse(struct bytes message, const struct onnx_external *external, struct arena *arena,
                        struct stored *stored, struct percept_err *err)
{
    struct sparse sparse = {0};
    size_t n_bytes;
    if (!find_sparse(message, &sparse, err) ||
        !stored_read(sparse.values_message, external, arena, &sparse.values, err) ||
        !stored_read(sparse.indices_message, external, arena, &sparse.indices, err) ||
        !judge_sparse(&sparse, &n_bytes, err))
        return false;
    struct tensor dense = {.dtype = sparse.values.tensor.dtype};
    tensor_set_dims(&dense, (int)sparse.rank, sparse.dims);
    dense.data = arena_alloc(arena, n_bytes ? n_bytes : 1);
    if (!dense.data)
        return err_memory(err, "a sparse tensor made dense", n_bytes);
    if (!scatter(&sparse, &dense, err))
        return false;
    *stored = (struct stored){.name = sparse.values.name, .tensor = dense, .aligned = true};
    return true;
}
