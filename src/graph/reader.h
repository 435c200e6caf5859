/*
 * reader.h - the reading of one model: what all files that read ONNX's messages share. Its state,
 * its limits, the sentences of its errors, names, opset imports. Used by the files around onnx.c
 * alone.
 */
#ifndef GRAPH_READER_H
#define GRAPH_READER_H

#include "graph/fields.h"
#include "graph/graph.h"

struct function;      /* graph/inline.h */
struct onnx_external; /* graph/stored.h */

struct imports {
    struct import {
        struct bytes domain;
        int version;
    } * at;
    int n;
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

/* Says that memory is short while reading `what`; false. */
bool reader_short(struct reader *r, const char *what);

/* Adds the place to a sentence; false. op_type may be empty. */
bool reader_place(struct reader *r, const char *kind, struct bytes name, struct bytes op_type);

/* After the last field of a message: was it one? */
bool reader_whole(struct reader *r, const struct wire *wire, const char *what);

/* A copy of a name in the model's arena; one with a NUL byte is refused. */
bool reader_name(struct reader *r, struct bytes text, struct bytes *name);

size_t reader_count(struct bytes message, uint32_t tag);

/* One level deeper into what can be nested; the caller leaves it by r->depth--. */
bool reader_enter(struct reader *r, const char *what);

/* The opset imports of a message, which are its fields with this tag. */
bool reader_imports(struct reader *r, struct bytes message, uint32_t tag, struct imports *imports);

/* NULL when the domain is not imported. */
const struct import *reader_find_import(const struct imports *imports, struct bytes domain);

#endif
