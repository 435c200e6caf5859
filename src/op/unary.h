/* unary.h - what fuse.c may know of a checked unary node: whether it is an activation. */
#ifndef OP_UNARY_H
#define OP_UNARY_H

#include "op/op.h"

/* True if the node, which check has accepted, computes one of enum activation on floats; fills act,
 * alpha and beta of the request (kind becomes FUSE_ACTIVATION). A Clip qualifies when its bounds are
 * constant. */
bool unary_activation(struct node_ctx *ctx, struct fusion *fusion);

#endif
