/*
 * weights.h - what the operators with packed weights have in common: looking at a constant where it
 * lies, rounding sizes, and accepting fusions.
 */
#ifndef OP_WEIGHTS_H
#define OP_WEIGHTS_H

#include "op/op.h"

/* The constant behind input i as it lies, its data perhaps unaligned, or NULL. Packing reads this
 * one: an aligned copy of every weight would double the memory of a load. */
const struct tensor *weights_view(const struct node_ctx *ctx, int i);

/* Size rounded up to whole cache lines, so that what follows it is aligned. */
static inline size_t weights_round(size_t n_bytes)
{
    return (n_bytes + 63) & ~(size_t)63;
}

/* Floats of a map of `channels` in blocks of `width`. */
static inline int64_t weights_blocked(int64_t channels, int width)
{
    return (channels + width - 1) / width * width;
}

/* op_fuse, and a residual appended to the node's inputs. All or nothing. */
bool weights_fuse(struct node_ctx *ctx, struct fused *fused, const struct fusion *fusion);

/* shape, after the output's: what is added must have its type and its dims. The engine fused it at trial
 * shapes, and a file may bring one itself; others need not agree. */
bool weights_residual(const struct step *step, const struct fused *fused, struct percept_err *err);

/* bias' = bias scale + shift; `bias` may be unaligned or NULL. Writes n floats. */
void weights_bias(float *merged, const void *bias, const struct fused *fused, float factor, int64_t n);

/* Which form constant weights of products are packed in, and multiplied by. */
static inline const struct gemm_kernels *weights_gemm(const struct kernels *kernels, enum precision precision)
{
    return precision == PRECISION_BF16 ? kernels->gemm->bf16 : kernels->gemm;
}

#endif
