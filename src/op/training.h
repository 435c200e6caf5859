/* training.h - BatchNormalization in its training form, which norm.c hands over. */
#ifndef OP_TRAINING_H
#define OP_TRAINING_H

#include "op/op.h"

/* check: from here on the node normalizes by the statistics of its own input. */
bool training_check(struct node_ctx *ctx, struct percept_err *err);

#endif
