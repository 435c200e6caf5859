/* dump.h - a graph as readable text, one line a node. */
#ifndef TESTS_FUZZ_DUMP_H
#define TESTS_FUZZ_DUMP_H

#include "graph/graph.h"

/* Text in the arena, or NULL when memory is short. */
char *dump_graph(const struct graph *graph, struct arena *arena);

#endif
