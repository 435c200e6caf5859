/*
 * stored.h - tensors as ONNX stores them (TensorProto, SparseTensorProto) -> struct tensor. All sizes
 * are judged here, exactly; used by graphs.c and attribute.c.
 */
#ifndef GRAPH_STORED_H
#define GRAPH_STORED_H

#include "base/arena.h"
#include "graph/graph.h"

/* Where external data come from: reads `n` bytes at `offset` of the file `name` beneath the model's
 * folder into `arena` (n = SIZE_MAX: to the end). The engine supplies it (base/file.h); NULL refuses
 * external data. */
struct onnx_external {
    bool (*read)(void *user, const char *name, size_t offset, size_t n, struct arena *arena, struct bytes *bytes,
                 struct percept_err *err);
    void *user;
};

struct stored {
    struct bytes name; /* a view of the message */
    struct tensor tensor;
    bool aligned;     /* data are aligned, in the arena; else a view of the message */
    bool unsupported; /* of a type that we know by name only: data is NULL */
};

/* `external` may be NULL: data in other files are then refused. */
bool stored_read(struct bytes message, const struct onnx_external *external, struct arena *arena, struct stored *stored,
                 struct percept_err *err);

/* The same, made dense. */
bool stored_read_sparse(struct bytes message, const struct onnx_external *external, struct arena *arena,
                        struct stored *stored, struct percept_err *err);

#endif
