/*
 * inline.h - model-local functions: a call is replaced by the nodes of the function's body.
 */
#ifndef GRAPH_INLINE_H
#define GRAPH_INLINE_H

#include "graph/scope.h"

struct draft; /* graph/nodes.h */

/* A FunctionProto; lists are in the reader's scratch arena. */
struct function {
    struct bytes key; /* domain, name, overload; first: struct names wants it there */
    struct bytes message, name;
    struct bytes *inputs, *outputs, *attributes;
    int n_inputs, n_outputs, n_attributes;
    struct imports imports;
    bool active; /* being inlined: a call of it is a recursion */
};

/* All functions of a model, as far as can be known before they are called. */
bool inline_read(struct reader *r, struct bytes file);

/* The function that a node calls, or NULL: it is an operator. */
bool inline_find(struct reader *r, const struct draft *draft, struct function **function);

bool inline_call(struct reader *r, struct scope *scope, struct function *function, const struct draft *draft);

#endif
