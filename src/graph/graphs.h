/*
 * graphs.h - GraphProto -> struct graph, for the model's graph and for the subgraphs of its nodes.
 */
#ifndef GRAPH_GRAPHS_H
#define GRAPH_GRAPHS_H

#include "graph/scope.h"

/* Fills and sorts the scope's graph, which is empty. */
bool graphs_read(struct reader *r, struct scope *scope, struct bytes message);

/* When the model's graph is whole: its outputs, and constants of types that are not supported. */
bool graphs_judge(struct reader *r, struct graph *graph);

#endif
