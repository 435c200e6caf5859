/*
 * integers.h - float operators between DequantizeLinear and QuantizeLinear become those on 8-bit numbers.
 */
#ifndef ENGINE_INTEGERS_H
#define ENGINE_INTEGERS_H

#include "graph/graph.h"

/* Before operators are looked up. What is made lives in `arena`, copies of small constants in `load`. False when memory
 * is short or a constant could not be read. */
bool integers_join(struct graph *graph, struct arena *arena, struct arena *load);

#endif
