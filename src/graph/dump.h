/* dump.h - a graph as readable text, one line a node, for tests and for people. */
#ifndef GRAPH_DUMP_H
#define GRAPH_DUMP_H

#include "graph/graph.h"

/* Text in the arena, or NULL when memory is short. */
char *dump_graph(const struct graph *graph, struct arena *arena);

#endif
