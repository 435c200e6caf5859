/*
 * onnx.h - ONNX fields -> graph. Reads in place: tensors of the result view the file's bytes, which
 * must outlive the graph's constants; names and small arrays are copied into the arena.
 */
#ifndef GRAPH_ONNX_H
#define GRAPH_ONNX_H

#include "graph/graph.h"
#include "graph/stored.h"

/* Parses a ModelProto. Model-local functions are inlined, the graph is sorted. */
bool onnx_read(struct bytes file, const struct onnx_external *external, struct arena *arena, struct onnx_model *model,
               struct percept_err *err);

#endif
