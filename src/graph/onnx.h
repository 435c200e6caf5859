/*
 * onnx.h - ONNX fields -> graph. Reads in place: tensors of the result view the file's bytes, which
 * must outlive the graph's constants; names and small arrays are copied into the arena.
 */
#ifndef GRAPH_ONNX_H
#define GRAPH_ONNX_H

#include "graph/graph.h"

/* Where external data come from: reads `n` bytes at `offset` of the file `name` beneath the model's
 * folder into `arena` (n = SIZE_MAX: to the end). The engine supplies it (base/file.h); NULL refuses
 * external data. */
struct onnx_external {
    bool (*read)(void *user, const char *name, size_t offset, size_t n, struct arena *arena, struct bytes *bytes,
                 struct percept_err *err);
    void *user;
};

/* Parses a ModelProto. Model-local functions are inlined, the graph is sorted. */
bool onnx_read(struct bytes file, const struct onnx_external *external, struct arena *arena, struct onnx_model *model,
               struct percept_err *err);

#endif
