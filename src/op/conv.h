/*
 * conv.h - Conv's verbs, for operators that are a Conv once they are checked: their node's priv is Conv's.
 */
#ifndef OP_CONV_H
#define OP_CONV_H

#include "op/batch_axis.h"

bool conv_check(struct node_ctx *ctx, struct percept_err *err);
bool conv_fuse(struct node_ctx *ctx, const struct fusion *fusion);
void conv_settle(struct node_ctx *ctx, const struct tensor *x);
size_t conv_pack_bytes(const struct node_ctx *ctx);
void conv_pack(const struct node_ctx *ctx, void *packed);
bool conv_shape(struct step *step, struct percept_err *err);
bool conv_run(struct step *step, struct run_env *env, struct percept_err *err);
void conv_batch(struct batch_view *view);

/* The rule of such an operator; behind its check, what else differs. */
#define CONV_RULE(name, check_, ...)                                                                                   \
    const struct op_rule op_##name = {.check = check_,                                                                 \
                                      .fuse = conv_fuse,                                                               \
                                      .settle = conv_settle,                                                           \
                                      .pack_bytes = conv_pack_bytes,                                                   \
                                      .pack = conv_pack,                                                               \
                                      .shape = conv_shape,                                                             \
                                      .run = conv_run,                                                                 \
                                      .batch = conv_batch,                                                             \
                                      __VA_ARGS__}

#endif
