/*
 * grow.h - graphs of several nodes that the loader accepts: each node is drawn, tried, and kept where the model
 * opens and runs with it, so that shapes and types fit without being computed here.
 */
#ifndef TESTS_FUZZ_GROW_H
#define TESTS_FUZZ_GROW_H

#include "draw.h"
#include "graph/proto.h"

/* A model whose first axes are free, or 1 in the file; most of its results begin with that axis. Empty where nothing
 * came of it. The caller frees it. */
struct proto grow_model(struct draw *draw);

#endif
