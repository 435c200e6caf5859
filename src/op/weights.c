/*
 * weights.c - what the operators with packed weights have in common (Conv, Gemm, MatMul, the
 * recurrent ones, the quantised ones).
 *
 * A weight's way is: view into the file -> packed bytes of the region, once. So nothing here copies
 * a weight; the only thing computed is the bias that goes with it, because an affine step that was
 * fused turns  act((x w + b) s + t)  into  act(x (w s) + (b s + t)).
 *
 * Thread: the loader. Owns nothing; writes only where the caller says.
 */
#include "op/weights.h"

#include <string.h>

const struct tensor *weights_view(const struct node_ctx *ctx, int i)
{
    if (!op_has_input(ctx->node, i))
        return NULL;
    const struct graph *graph = ctx->graph;
    const struct value *value = &graph->values[ctx->node->in[i]];
    while (!value->constant && value->outer >= 0 && graph->parent) {
        graph = graph->parent;
        value = &graph->values[value->outer];
    }
    return value->constant;
}

bool weights_fuse(struct node_ctx *ctx, struct fused *fused, const struct fusion *fusion)
{
    const struct fused before = *fused;
    if (!op_fuse(fused, fusion, ctx->arena))
        return false;
    if (fusion->kind != FUSE_RESIDUAL)
        return true;
    const int slot = op_add_input(ctx, fusion->value);
    if (slot < 0) {
        *fused = before;
        return false;
    }
    fused->residual = slot;
    return true;
}

bool weights_residual(const struct step *step, const struct fused *fused, struct percept_err *err)
{
    if (fused->residual < 0)
        return true;
    const struct tensor *given = step->in[fused->residual], *y = step->out[0];
    if (!op_want_dtype(step, fused->residual, y->dtype, err))
        return false;
    if (tensor_same_dims(given, y))
        return true;
    char one[128], other[128];
    return err_set(err, ERR_INVALID, OP_AT "what is added has shape %s; its output has %s", OP_NODE(step->node),
                   tensor_shape_text(given->rank, given->dims, one, sizeof one),
                   tensor_shape_text(y->rank, y->dims, other, sizeof other));
}

void weights_bias(float *merged, const void *bias, const struct fused *fused, float factor, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        float b = 0;
        if (bias)
            memcpy(&b, (const char *)bias + (size_t)i * sizeof b, sizeof b);
        b *= factor;
        if (fused->scale)
            b *= fused->scale[i];
        if (fused->shift)
            b += fused->shift[i];
        merged[i] = b;
    }
}
