/*
 * example.c - draws, tensors and the ONNX file of one random model. Memory is the case's arena, except
 * the proto buffers, which example_end frees. Nothing here knows an operator; the generators do.
 */
#include "differential/example.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

/* --- draws -------------------------------------------------------------------------------------------------------- */

uint64_t example_bits(struct example *e)
{
    uint64_t z = e->random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

int64_t example_int(struct example *e, int64_t least, int64_t most)
{
    if (most <= least)
        return least;
    return least + (int64_t)(example_bits(e) % ((uint64_t)(most - least) + 1));
}

double example_real(struct example *e, double least, double most)
{
    return least + (most - least) * (double)(example_bits(e) >> 11) / 9007199254740992.0;
}

bool example_chance(struct example *e, int percent)
{
    return example_int(e, 1, 100) <= percent;
}

int64_t example_one(struct example *e, int n, const int64_t *of)
{
    return of[example_int(e, 0, n - 1)];
}

const char *example_word(struct example *e, int n, const char *const *of)
{
    return of[example_int(e, 0, n - 1)];
}

int64_t example_dim(struct example *e, int zero)
{
    if (example_chance(e, zero))
        return 0;
    static const int64_t dims[] = {1, 1, 2, 3, 3, 4, 5, 5, 6, 7, 8, 9, 11, 16, 17};
    return dims[example_int(e, 0, (int64_t)(sizeof dims / sizeof *dims) - 1)];
}

void example_dims(struct example *e, int rank, int64_t *dims, int zero)
{
    int64_t n = 1;
    for (int i = 0; i < rank; i++) {
        dims[i] = example_dim(e, i == 0 || n == 0 ? 0 : zero);
        if (n * dims[i] > 4000)
            dims[i] = example_int(e, 1, 2);
        n *= dims[i];
    }
}

void example_shuffle(struct example *e, int n, int64_t *order)
{
    for (int i = 0; i < n; i++)
        order[i] = i;
    for (int i = n - 1; i > 0; i--) {
        int64_t j = example_int(e, 0, i), held = order[i];
        order[i] = order[j];
        order[j] = held;
    }
}

enum percept_dtype example_dtype(struct example *e, const char *letters)
{
    switch (letters[example_int(e, 0, (int64_t)strlen(letters) - 1)]) {
    case 'f':
        return PERCEPT_FLOAT;
    case 'h':
        return PERCEPT_FLOAT16;
    case 'b':
        return PERCEPT_BFLOAT16;
    case 'd':
        return PERCEPT_DOUBLE;
    case 'c':
        return PERCEPT_INT8;
    case 'C':
        return PERCEPT_UINT8;
    case 's':
        return PERCEPT_INT16;
    case 'S':
        return PERCEPT_UINT16;
    case 'i':
        return PERCEPT_INT32;
    case 'I':
        return PERCEPT_UINT32;
    case 'l':
        return PERCEPT_INT64;
    case 'L':
        return PERCEPT_UINT64;
    case '?':
        return PERCEPT_BOOL;
    case 't':
        return PERCEPT_STRING;
    default:
        return PERCEPT_UNDEFINED;
    }
}

enum percept_dtype example_type(struct example *e, const char *letters)
{
    return e->type = example_dtype(e, letters);
}

/* --- elements ----------------------------------------------------------------------------------------------------- */

bool example_is_floating(enum percept_dtype dtype)
{
    return dtype == PERCEPT_FLOAT || dtype == PERCEPT_DOUBLE || dtype == PERCEPT_FLOAT16 || dtype == PERCEPT_BFLOAT16;
}

int64_t example_get_int(const struct tensor *t, int64_t i)
{
    switch (t->dtype) {
    case PERCEPT_INT8:
        return ((const int8_t *)t->data)[i];
    case PERCEPT_BOOL:
    case PERCEPT_UINT8:
        return ((const uint8_t *)t->data)[i];
    case PERCEPT_INT16:
        return ((const int16_t *)t->data)[i];
    case PERCEPT_UINT16:
        return ((const uint16_t *)t->data)[i];
    case PERCEPT_INT32:
        return ((const int32_t *)t->data)[i];
    case PERCEPT_UINT32:
        return ((const uint32_t *)t->data)[i];
    case PERCEPT_INT64:
        return ((const int64_t *)t->data)[i];
    case PERCEPT_UINT64:
        return (int64_t)((const uint64_t *)t->data)[i];
    default:
        return (int64_t)example_get(t, i);
    }
}

double example_get(const struct tensor *t, int64_t i)
{
    switch (t->dtype) {
    case PERCEPT_FLOAT:
        return ((const float *)t->data)[i];
    case PERCEPT_DOUBLE:
        return ((const double *)t->data)[i];
    case PERCEPT_FLOAT16:
        return tensor_half_to_float(((const uint16_t *)t->data)[i]);
    case PERCEPT_BFLOAT16:
        return tensor_bfloat_to_float(((const uint16_t *)t->data)[i]);
    default:
        return (double)example_get_int(t, i);
    }
}

void example_set_int(struct tensor *t, int64_t i, int64_t value)
{
    switch (t->dtype) {
    case PERCEPT_BOOL:
        ((uint8_t *)t->data)[i] = value != 0;
        break;
    case PERCEPT_INT8:
    case PERCEPT_UINT8:
        ((uint8_t *)t->data)[i] = (uint8_t)value;
        break;
    case PERCEPT_INT16:
    case PERCEPT_UINT16:
        ((uint16_t *)t->data)[i] = (uint16_t)value;
        break;
    case PERCEPT_INT32:
    case PERCEPT_UINT32:
        ((uint32_t *)t->data)[i] = (uint32_t)value;
        break;
    case PERCEPT_INT64:
    case PERCEPT_UINT64:
        ((uint64_t *)t->data)[i] = (uint64_t)value;
        break;
    default:
        example_set(t, i, (double)value);
        break;
    }
}

void example_set(struct tensor *t, int64_t i, double value)
{
    switch (t->dtype) {
    case PERCEPT_FLOAT:
        ((float *)t->data)[i] = (float)value;
        break;
    case PERCEPT_DOUBLE:
        ((double *)t->data)[i] = value;
        break;
    case PERCEPT_FLOAT16:
        ((uint16_t *)t->data)[i] = tensor_float_to_half((float)value);
        break;
    case PERCEPT_BFLOAT16:
        ((uint16_t *)t->data)[i] = tensor_float_to_bfloat((float)value);
        break;
    default:
        example_set_int(t, i, (int64_t)value);
        break;
    }
}

struct tensor example_tensor(struct arena *arena, enum percept_dtype dtype, int rank, const int64_t *dims)
{
    struct tensor t = {.dtype = dtype};
    tensor_set_dims(&t, rank, dims);
    t.data = arena_alloc(arena, (size_t)tensor_elements(&t) * tensor_dtype_bytes(dtype) + 64);
    return t;
}

struct tensor example_widened(const struct example *e, int input, enum percept_dtype wide)
{
    const struct tensor *in = &e->in[input].tensor;
    if (in->dtype != e->type || wide == e->type)
        return *in;
    struct tensor t = example_tensor(e->arena, wide, in->rank, in->dims);
    for (int64_t i = 0; i < tensor_elements(in); i++)
        if (example_is_floating(in->dtype))
            example_set(&t, i, example_get(in, i));
        else
            example_set_int(&t, i, example_get_int(in, i));
    return t;
}

enum percept_dtype example_wide(const struct example *e)
{
    if (e->never_widen)
        return e->type;
    switch (e->type) {
    case PERCEPT_FLOAT16:
    case PERCEPT_BFLOAT16:
    case PERCEPT_DOUBLE:
        return PERCEPT_FLOAT;
    case PERCEPT_INT8:
    case PERCEPT_UINT8:
    case PERCEPT_INT16:
    case PERCEPT_UINT16:
    case PERCEPT_INT32:
    case PERCEPT_UINT32:
    case PERCEPT_UINT64:
        return PERCEPT_INT64;
    default:
        return e->type;
    }
}

/* --- inputs ------------------------------------------------------------------------------------------------------- */

static struct tensor *add_input(struct example *e, enum percept_dtype dtype, int rank, const int64_t *dims)
{
    struct example_input *in = &e->in[e->n_in++];
    *in = (struct example_input){.tensor = example_tensor(e->arena, dtype, rank, dims)};
    in->free_dims = example_chance(e, 30) && rank <= 4; /* opening tries a guess for each free axis */
    return &in->tensor;
}

static void clip_to_type(enum percept_dtype dtype, double *least, double *most)
{
    const double tops[] = {[PERCEPT_UINT8] = 255,   [PERCEPT_INT8] = 127,   [PERCEPT_UINT16] = 65535,
                           [PERCEPT_INT16] = 32767, [PERCEPT_BOOL] = 1,     [PERCEPT_UINT32] = 4e9,
                           [PERCEPT_INT32] = 2e9,   [PERCEPT_INT64] = 1e15, [PERCEPT_UINT64] = 1e15};
    if (example_is_floating(dtype))
        return;
    bool is_signed =
        dtype == PERCEPT_INT8 || dtype == PERCEPT_INT16 || dtype == PERCEPT_INT32 || dtype == PERCEPT_INT64;
    *most = fmin(*most, tops[dtype]);
    *least = fmax(*least, is_signed ? -tops[dtype] - 1 : 0);
}

static void random_string(struct example *e, struct percept_string *s)
{
    static const char *const words[] = {"", "a", "b", "ab", "Ab", "\xc3\xa9t\xc3\xa9", "longer than that"};
    s->at = words[example_int(e, 0, 6)];
    s->n_bytes = strlen(s->at);
}

struct tensor *example_input(struct example *e, enum percept_dtype dtype, int rank, const int64_t *dims, double least,
                             double most)
{
    struct tensor *t = add_input(e, dtype, rank, dims);
    clip_to_type(dtype, &least, &most);
    for (int64_t i = 0; i < tensor_elements(t); i++)
        if (dtype == PERCEPT_STRING)
            random_string(e, &((struct percept_string *)t->data)[i]);
        else if (example_is_floating(dtype))
            example_set(t, i, example_real(e, least, most));
        else
            example_set_int(t, i, example_int(e, (int64_t)least, (int64_t)most));
    return t;
}

struct tensor *example_distinct(struct example *e, enum percept_dtype dtype, int rank, const int64_t *dims)
{
    struct tensor *t = add_input(e, dtype, rank, dims);
    int64_t n = tensor_elements(t), *order = arena_array(e->arena, (size_t)n + 1, sizeof *order);
    example_shuffle(e, (int)n, order);
    for (int64_t i = 0; i < n; i++)
        if (example_is_floating(dtype))
            example_set(t, i, (double)(order[i] - n / 2) * 0.25);
        else
            example_set_int(t, i, order[i]);
    return t;
}

struct tensor *example_int64s(struct example *e, int64_t n, const int64_t *values)
{
    struct tensor *t = add_input(e, PERCEPT_INT64, 1, &n);
    for (int64_t i = 0; i < n; i++)
        ((int64_t *)t->data)[i] = values[i];
    return t;
}

struct tensor *example_scalar(struct example *e, enum percept_dtype dtype, double value)
{
    struct tensor *t = add_input(e, dtype, 0, NULL);
    example_set(t, 0, value);
    return t;
}

void example_left_out(struct example *e)
{
    e->in[e->n_in++] = (struct example_input){.left_out = true};
}

void example_constant(struct example *e, int percent)
{
    if (example_chance(e, percent))
        e->in[e->n_in - 1].constant = true;
}

void example_special(struct example *e, struct tensor *t, int percent)
{
    static const double odd[] = {NAN, INFINITY, -INFINITY, 0.0, -0.0};
    for (int64_t i = 0; i < tensor_elements(t); i++)
        if (example_is_floating(t->dtype) && example_chance(e, percent))
            example_set(t, i, odd[example_int(e, 0, 4)]);
}

void example_output(struct example *e, enum percept_dtype dtype)
{
    e->out[e->n_out++] = dtype;
}

/* --- attributes --------------------------------------------------------------------------------------------------- */

void example_note(struct example *e, const char *format, ...)
{
    size_t at = strlen(e->notes);
    va_list args;
    va_start(args, format);
    vsnprintf(e->notes + at, sizeof e->notes - at, format, args);
    va_end(args);
}

void example_attr(struct example *e, const char *name, int64_t value)
{
    proto_attr_int(&e->attributes, name, value);
    example_note(e, " %s=%lld", name, (long long)value);
}

void example_attr_real(struct example *e, const char *name, double value)
{
    proto_attr_float(&e->attributes, name, (float)value);
    example_note(e, " %s=%g", name, value);
}

void example_attr_text(struct example *e, const char *name, const char *value)
{
    proto_attr_text(&e->attributes, name, value);
    example_note(e, " %s=%s", name, value);
}

void example_attr_list(struct example *e, const char *name, int n, const int64_t *values)
{
    char list[120];
    proto_attr_ints(&e->attributes, name, (size_t)n, values);
    if (n <= RANK_MAX)
        example_note(e, " %s=%s", name, tensor_shape_text(n, values, list, sizeof list));
}

/* --- the whole ---------------------------------------------------------------------------------------------------- */

void example_begin(struct example *e, struct arena *arena, const char *op, const char *domain, int first, int variant,
                   uint64_t seed)
{
    *e = (struct example){.arena = arena,
                          .op = op,
                          .domain = domain,
                          .domain_opset = 1,
                          .variant = variant,
                          .random = seed,
                          .type = PERCEPT_FLOAT,
                          .absolute = 1e-5,
                          .relative = 1e-4};
    for (const char *c = op; *c; c++)
        e->random = e->random * 1099511628211u + (uint8_t)*c;
    example_bits(e);
    if (*domain)
        first = 13;
    int old = first < 7 && example_chance(e, 8);
    e->opset = (int)(old ? example_int(e, first, 6) : example_int(e, first > 7 ? first : 7, 24));
}

void example_end(struct example *e)
{
    proto_free(&e->attributes);
    proto_free(&e->after);
    proto_free(&e->constants);
    proto_free(&e->instead);
    proto_free(&e->network);
}

static enum percept_dtype replaced(const struct example *e, enum percept_dtype dtype, enum percept_dtype wide)
{
    return dtype == e->type ? wide : dtype;
}

static struct proto string_tensor(const char *name, const struct tensor *t)
{
    struct proto tensor = proto_tensor_head(name, t->dtype, t->rank, t->dims);
    for (int64_t i = 0; i < tensor_elements(t); i++) {
        const struct percept_string *s = &((const struct percept_string *)t->data)[i];
        proto_bytes(&tensor, TENSOR_STRING_DATA, s->at, s->n_bytes);
    }
    return tensor;
}

static void write_input(struct proto *graph, struct proto *node, const struct example *e, int i,
                        enum percept_dtype wide)
{
    char name[16];
    snprintf(name, sizeof name, "x%d", i);
    const struct example_input *in = &e->in[i];
    if (in->left_out) {
        proto_bytes(node, NODE_INPUT, "", 0);
        return;
    }
    proto_text(node, NODE_INPUT, name);
    struct tensor t = example_widened(e, i, wide);
    int64_t free_dims[RANK_MAX];
    for (int d = 0; d < RANK_MAX; d++)
        free_dims[d] = -1;
    if (in->constant && t.dtype == PERCEPT_STRING)
        proto_add(graph, GRAPH_INITIALIZER, string_tensor(name, &t));
    else if (in->constant)
        proto_add(graph, GRAPH_INITIALIZER,
                  proto_tensor(name, t.dtype, t.rank, t.dims, t.data,
                               (size_t)tensor_elements(&t) * tensor_dtype_bytes(t.dtype)));
    else
        proto_add(graph, GRAPH_INPUT, proto_value(name, t.dtype, t.rank, in->free_dims ? free_dims : t.dims));
}

static struct proto written(const struct example *e, enum percept_dtype wide, const struct proto *instead)
{
    struct proto graph = {0}, node = {0}, model = {0};
    char name[16];
    for (int i = 0; i < e->n_in; i++)
        write_input(&graph, &node, e, i, wide);
    for (int i = 0; i < e->n_out; i++) {
        snprintf(name, sizeof name, "y%d", i);
        proto_text(&node, NODE_OUTPUT, e->out[i] ? name : "");
        if (e->out[i])
            proto_add(&graph, GRAPH_OUTPUT,
                      proto_value(e->after.n && i == 0 ? "z" : name, replaced(e, e->out[i], wide), -1, NULL));
    }
    proto_text(&node, NODE_NAME, "n");
    proto_text(&node, NODE_OP_TYPE, e->op);
    if (*e->domain)
        proto_text(&node, NODE_DOMAIN, e->domain);
    proto_raw(&node, e->attributes.at, e->attributes.n);
    const struct proto *others = instead && instead->n ? instead : &e->network;
    if (others->n) {
        proto_raw(&graph, others->at, others->n);
        proto_free(&node);
    } else
        proto_add(&graph, GRAPH_NODE, node);
    proto_raw(&graph, e->after.at, e->after.n);
    proto_raw(&graph, e->constants.at, e->constants.n);
    proto_text(&graph, GRAPH_NAME, "g");
    proto_int(&model, MODEL_IR_VERSION, 8);
    proto_add(&model, MODEL_GRAPH, graph);
    proto_add(&model, MODEL_OPSET_IMPORT, proto_opset("", e->opset));
    if (*e->domain)
        proto_add(&model, MODEL_OPSET_IMPORT, proto_opset(e->domain, e->domain_opset));
    return model;
}

struct proto example_model(const struct example *e)
{
    return written(e, e->type, NULL);
}

struct proto example_question(const struct example *e, enum percept_dtype wide)
{
    return written(e, wide, &e->instead);
}

const char *example_text(const struct example *e, char *buffer, size_t n)
{
    size_t at = (size_t)snprintf(buffer, n, "opset %d", e->opset);
    for (int i = 0; i < e->n_in && at < n; i++) {
        char shape[100];
        const struct tensor *t = &e->in[i].tensor;
        if (e->in[i].left_out)
            at += (size_t)snprintf(buffer + at, n - at, " -");
        else
            at +=
                (size_t)snprintf(buffer + at, n - at, " %s%s%s%s", e->in[i].constant ? "constant " : "",
                                 e->in[i].free_dims && !e->in[i].constant ? "free " : "", percept_dtype_name(t->dtype),
                                 tensor_shape_text(t->rank, t->dims, shape, sizeof shape));
    }
    if (at < n)
        snprintf(buffer + at, n - at, "%s", e->notes);
    return buffer;
}
