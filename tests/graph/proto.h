/*
 * proto.h - writes ONNX messages for tests, field by field, right or wrong as the test wants.
 *
 *     struct proto graph = {0};
 *     proto_add(&graph, GRAPH_NODE, proto_node("Relu", "r", "x", "y"));
 *     proto_add(&graph, GRAPH_INPUT, proto_value("x", PERCEPT_FLOAT, 1, (int64_t[]){4}));
 *     proto_add(&graph, GRAPH_OUTPUT, proto_value("y", PERCEPT_FLOAT, 1, (int64_t[]){4}));
 *     struct proto model = proto_model(graph, 13);
 *     ... proto_view(&model) ...
 *     proto_free(&model);
 *
 * Tags are those of graph/fields.h. proto_add and proto_model swallow what they are given. Lists of
 * names are written "a,b,,c"; an empty name is an input left out, "" no names at all.
 */
#ifndef TESTS_GRAPH_PROTO_H
#define TESTS_GRAPH_PROTO_H

#include <stdlib.h>
#include <string.h>

#include "graph/fields.h"
#include "graph/graph.h"

struct proto {
    uint8_t *at;
    size_t n, cap;
};

static inline void proto_free(struct proto *p)
{
    free(p->at);
    *p = (struct proto){0};
}

static inline struct bytes proto_view(const struct proto *p)
{
    return bytes_of(p->at, p->n);
}

static inline void proto_raw(struct proto *p, const void *at, size_t n)
{
    if (p->n + n > p->cap || !p->at) {
        p->cap = 2 * (p->n + n) + 64;
        p->at = realloc(p->at, p->cap);
        if (!p->at)
            abort();
    }
    if (n)
        memcpy(p->at + p->n, at, n);
    p->n += n;
}

static inline void proto_varint(struct proto *p, uint64_t value)
{
    do {
        uint8_t byte = (uint8_t)(value & 0x7fu) | (value > 0x7fu ? 0x80u : 0u);
        proto_raw(p, &byte, 1);
        value >>= 7;
    } while (value);
}

static inline void proto_int(struct proto *p, uint32_t tag, int64_t value)
{
    proto_varint(p, tag);
    proto_varint(p, (uint64_t)value);
}

static inline void proto_bytes(struct proto *p, uint32_t tag, const void *at, size_t n)
{
    proto_varint(p, tag);
    proto_varint(p, n);
    proto_raw(p, at, n);
}

static inline void proto_text(struct proto *p, uint32_t tag, const char *text)
{
    proto_bytes(p, tag, text, strlen(text));
}

static inline void proto_fixed32(struct proto *p, uint32_t tag, float value)
{
    proto_varint(p, tag);
    proto_raw(p, &value, sizeof value);
}

/* Appends a message and frees it. */
static inline void proto_add(struct proto *p, uint32_t tag, struct proto message)
{
    proto_bytes(p, tag, message.at, message.n);
    proto_free(&message);
}

static inline void proto_texts(struct proto *p, uint32_t tag, const char *list)
{
    while (*list) {
        size_t n = strcspn(list, ",");
        proto_bytes(p, tag, list, n);
        list += n + (list[n] == ',');
    }
}

static inline struct proto proto_node(const char *op_type, const char *name, const char *inputs, const char *outputs)
{
    struct proto node = {0};
    proto_texts(&node, NODE_INPUT, inputs);
    proto_texts(&node, NODE_OUTPUT, outputs);
    if (*name)
        proto_text(&node, NODE_NAME, name);
    proto_text(&node, NODE_OP_TYPE, op_type);
    return node;
}

static inline struct proto proto_attr(const char *name, enum attr_type type)
{
    struct proto attr = {0};
    proto_text(&attr, ATTRIBUTE_NAME, name);
    proto_int(&attr, ATTRIBUTE_TYPE, (int64_t)type);
    return attr;
}

static inline void proto_attr_int(struct proto *node, const char *name, int64_t value)
{
    struct proto attr = proto_attr(name, ATTR_INT);
    proto_int(&attr, ATTRIBUTE_I, value);
    proto_add(node, NODE_ATTRIBUTE, attr);
}

static inline void proto_attr_float(struct proto *node, const char *name, float value)
{
    struct proto attr = proto_attr(name, ATTR_FLOAT);
    proto_fixed32(&attr, ATTRIBUTE_F, value);
    proto_add(node, NODE_ATTRIBUTE, attr);
}

static inline void proto_attr_text(struct proto *node, const char *name, const char *value)
{
    struct proto attr = proto_attr(name, ATTR_STRING);
    proto_text(&attr, ATTRIBUTE_S, value);
    proto_add(node, NODE_ATTRIBUTE, attr);
}

static inline void proto_attr_ints(struct proto *node, const char *name, size_t n, const int64_t *values)
{
    struct proto attr = proto_attr(name, ATTR_INTS);
    for (size_t i = 0; i < n; i++)
        proto_int(&attr, ATTRIBUTE_INTS_ONE, values[i]);
    proto_add(node, NODE_ATTRIBUTE, attr);
}

static inline void proto_attr_texts(struct proto *node, const char *name, size_t n, const char *const *values)
{
    struct proto attr = proto_attr(name, ATTR_STRINGS);
    for (size_t i = 0; i < n; i++)
        proto_text(&attr, ATTRIBUTE_STRINGS, values[i]);
    proto_add(node, NODE_ATTRIBUTE, attr);
}

static inline void proto_attr_floats(struct proto *node, const char *name, size_t n, const float *values)
{
    struct proto attr = proto_attr(name, ATTR_FLOATS);
    proto_bytes(&attr, ATTRIBUTE_FLOATS, values, n * sizeof *values);
    proto_add(node, NODE_ATTRIBUTE, attr);
}

/* tag: ATTRIBUTE_T with ATTR_TENSOR, ATTRIBUTE_G with ATTR_GRAPH, ... */
static inline void proto_attr_message(struct proto *node, const char *name, enum attr_type type, uint32_t tag,
                                      struct proto message)
{
    struct proto attr = proto_attr(name, type);
    proto_add(&attr, tag, message);
    proto_add(node, NODE_ATTRIBUTE, attr);
}

/* An attribute of a function's body that stands for the function's own. */
static inline void proto_attr_ref(struct proto *node, const char *name, enum attr_type type, const char *ref)
{
    struct proto attr = proto_attr(name, type);
    proto_text(&attr, ATTRIBUTE_REF_ATTR_NAME, ref);
    proto_add(node, NODE_ATTRIBUTE, attr);
}

/* Type and dims alone: data are for the caller. */
static inline struct proto proto_tensor_head(const char *name, int64_t dtype, int rank, const int64_t *dims)
{
    struct proto tensor = {0};
    for (int i = 0; i < rank; i++)
        proto_int(&tensor, TENSOR_DIMS_ONE, dims[i]);
    proto_int(&tensor, TENSOR_DATA_TYPE, dtype);
    proto_text(&tensor, TENSOR_NAME, name);
    return tensor;
}

static inline struct proto proto_tensor(const char *name, int64_t dtype, int rank, const int64_t *dims, const void *raw,
                                        size_t n_bytes)
{
    struct proto tensor = proto_tensor_head(name, dtype, rank, dims);
    proto_bytes(&tensor, TENSOR_RAW_DATA, raw, n_bytes);
    return tensor;
}

static inline void proto_entry(struct proto *tensor, const char *key, const char *value)
{
    struct proto entry = {0};
    proto_text(&entry, ENTRY_KEY, key);
    proto_text(&entry, ENTRY_VALUE, value);
    proto_add(tensor, TENSOR_EXTERNAL_DATA, entry);
}

static inline struct proto proto_external(const char *name, int64_t dtype, int rank, const int64_t *dims,
                                          const char *file, const char *offset, const char *length)
{
    struct proto tensor = proto_tensor_head(name, dtype, rank, dims);
    proto_entry(&tensor, "location", file);
    if (offset)
        proto_entry(&tensor, "offset", offset);
    if (length)
        proto_entry(&tensor, "length", length);
    proto_int(&tensor, TENSOR_DATA_LOCATION, 1);
    return tensor;
}

/* rank -1: no shape; a dimension of -1 is free, under its name in the list "time,batch" if that is not NULL. */
static inline struct proto proto_value_named(const char *name, int64_t dtype, int rank, const int64_t *dims,
                                             const char *names)
{
    struct proto shape = {0}, tensor = {0}, type = {0}, value = {0};
    for (int i = 0; i < rank; i++) {
        struct proto dim = {0};
        const size_t n = names ? strcspn(names, ",") : 0;
        if (dims[i] >= 0)
            proto_int(&dim, DIM_VALUE, dims[i]);
        else if (n)
            proto_bytes(&dim, DIM_PARAM, names, n);
        names = names ? names + n + (names[n] == ',') : NULL;
        proto_add(&shape, SHAPE_DIM, dim);
    }
    proto_int(&tensor, TENSOR_TYPE_ELEM, dtype);
    if (rank >= 0)
        proto_add(&tensor, TENSOR_TYPE_SHAPE, shape);
    else
        proto_free(&shape);
    proto_add(&type, TYPE_TENSOR, tensor);
    proto_text(&value, VALUE_INFO_NAME, name);
    proto_add(&value, VALUE_INFO_TYPE, type);
    return value;
}

static inline struct proto proto_value(const char *name, int64_t dtype, int rank, const int64_t *dims)
{
    return proto_value_named(name, dtype, rank, dims, NULL);
}

static inline struct proto proto_opset(const char *domain, int64_t version)
{
    struct proto opset = {0};
    proto_text(&opset, OPSET_DOMAIN, domain);
    proto_int(&opset, OPSET_VERSION, version);
    return opset;
}

static inline struct proto proto_model(struct proto graph, int64_t opset)
{
    struct proto model = {0};
    proto_int(&model, MODEL_IR_VERSION, 8);
    proto_text(&model, MODEL_PRODUCER_NAME, "proto.h");
    proto_add(&model, MODEL_GRAPH, graph);
    proto_add(&model, MODEL_OPSET_IMPORT, proto_opset("", opset));
    return model;
}

/* A node of scikit-learn's domain. */
static inline struct proto proto_ml(const char *op_type, const char *inputs, const char *outputs)
{
    struct proto node = proto_node(op_type, "", inputs, outputs);
    proto_text(&node, NODE_DOMAIN, "ai.onnx.ml");
    return node;
}

/* An output as ZipMap's is declared. */
static inline struct proto proto_maps(const char *name)
{
    struct proto type = {0}, value = {0};
    proto_add(&type, TYPE_SEQUENCE, (struct proto){0});
    proto_text(&value, VALUE_INFO_NAME, name);
    proto_add(&value, VALUE_INFO_TYPE, type);
    return value;
}

/* A function of domain "f"; nodes, attributes and defaults are for the caller. */
static inline struct proto proto_function(const char *name, const char *inputs, const char *outputs)
{
    struct proto function = {0};
    proto_text(&function, FUNCTION_NAME, name);
    proto_text(&function, FUNCTION_DOMAIN, "f");
    proto_texts(&function, FUNCTION_INPUT, inputs);
    proto_texts(&function, FUNCTION_OUTPUT, outputs);
    proto_add(&function, FUNCTION_OPSET_IMPORT, proto_opset("", 13));
    return function;
}

/* A node that calls such a function. */
static inline struct proto proto_call(const char *function, const char *name, const char *inputs, const char *outputs)
{
    struct proto node = proto_node(function, name, inputs, outputs);
    proto_text(&node, NODE_DOMAIN, "f");
    return node;
}

#endif
