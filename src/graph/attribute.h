/*
 * attribute.h - AttributeProto -> struct attr.
 */
#ifndef GRAPH_ATTRIBUTE_H
#define GRAPH_ATTRIBUTE_H

#include "graph/scope.h"

/* *there is false when the attribute stands for one of a function's call that the call leaves out.
 */
bool attribute_read(struct reader *r, struct scope *scope, struct bytes message, struct attr *attr, bool *there);

/* Is one of this name among them? */
bool attribute_among(const struct attr *attrs, int n, struct bytes name);

#endif
