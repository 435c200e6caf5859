/*
 * nodes.h - NodeProto -> struct node, or a call of a function.
 */
#ifndef GRAPH_NODES_H
#define GRAPH_NODES_H

#include "graph/scope.h"

#define ATTRS_MAX 256 /* of a node or a function */

/* A NodeProto, read, before it is known whether it becomes a node or a call. */
struct draft {
    struct bytes name, op_type, domain, overload;
    int n_in, n_out, n_attr;
    int *in, *out;
    struct attr *attrs;
};

bool nodes_read(struct reader *r, struct scope *scope, struct bytes message);

/* As a node of the scope's graph. */
bool nodes_append(struct reader *r, struct scope *scope, const struct draft *draft);

#endif
