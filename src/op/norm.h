/* norm.h - what the engine asks of a BatchNormalization that it wants to fold into the node
 * before. */
#ifndef OP_NORM_H
#define OP_NORM_H

#include "op/op.h"

/* The node as y = x scale[c] + shift[c], two vectors of *channels floats in ctx->arena. False, and
 * nothing touched, when its parameters are not all constants (or memory is short). The node was
 * checked. */
bool norm_affine(struct node_ctx *ctx, int64_t *channels, const float **scale, const float **shift);

#endif
