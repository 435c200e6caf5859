/*
 * nbits.c - com.microsoft's MatMulNBits: rows times a matrix whose weights are numbers of 4 or 8 bits in blocks,
 * each with a scale and a zero point.
 *
 * The weights stay as narrow in the region as they are in the file and are widened when they are used, a chunk
 * of k and some panels of columns at a time, into scratch that a core's second cache holds; gemm reads it from
 * there. Widened once at load they would take 8 times the memory (6 with blocks of 32, whose scales and zeros
 * count), which is what such files are made to save; a single row then costs about as much, since memory sets
 * its pace, and with many rows the widening vanishes beside the products.
 *
 * An element is a chain of sums per chunk, and the chunks are added up in their order: bits depend on neither
 * rows nor team. accuracy_level is a permission to compute in 8 bits, which is not taken.
 *
 * Thread: loader, then the session's holder with its team. Source: com.microsoft's operator documentation,
 * MatMulNBits (1).
 */
#include "op/attr.h"
#include "op/batch_axis.h"
#include "op/product.h"
#include "op/weights.h"

#include <string.h>

#define CHUNK ((int64_t)512) /* of k; rounded to whole blocks */
#define PANELS 4             /* of columns: with so many one row alone keeps the multipliers busy */

enum { A, B, SCALES, ZEROS, GROUPS, BIAS };

struct nbits {
    int64_t k, n, bits, block, blocks, chunk;
    float *zeros; /* [n][blocks], in memory for the load */
};

static int64_t elements_of(const struct node_ctx *ctx, int i)
{
    const struct tensor *t = weights_view(ctx, i);
    return t ? tensor_elements(t) : -1;
}

/* Input i is constant and has this type and so many elements. */
static bool want_constant(const struct node_ctx *ctx, int i, enum percept_dtype dtype, int64_t n,
                          struct percept_err *err)
{
    const struct tensor *t = weights_view(ctx, i);
    if (!t)
        return err_set(err, ERR_UNSUPPORTED, OP_AT "input %d is computed; a constant would work", OP_NODE(ctx->node),
                       i);
    if (t->dtype != dtype)
        return err_set(err, ERR_UNSUPPORTED, OP_AT "input %d is %s; %s would work", OP_NODE(ctx->node), i,
                       tensor_dtype_name(t->dtype), tensor_dtype_name(dtype));
    return elements_of(ctx, i) == n ||
           err_set(err, ERR_MODEL, OP_AT "input %d has %lld elements; %lld would fit K, N, bits and block_size",
                   OP_NODE(ctx->node), i, (long long)elements_of(ctx, i), (long long)n);
}

static bool read_sizes(struct node_ctx *ctx, struct nbits *p, struct percept_err *err)
{
    int64_t prepacked;
    for (const char *const *name = (const char *const[]){"K", "N", "block_size", NULL}; *name; name++)
        if (!attr_has(ctx, *name))
            return err_set(err, ERR_MODEL, OP_AT "attribute '%s' is missing", OP_NODE(ctx->node), *name);
    if (!attr_int_in(ctx, "K", 1, 1, INT32_MAX, &p->k, err) || !attr_int_in(ctx, "N", 1, 1, INT32_MAX, &p->n, err) ||
        !attr_int_in(ctx, "bits", 4, 2, 8, &p->bits, err) ||
        !attr_int_in(ctx, "block_size", 16, 16, 4096, &p->block, err) ||
        !attr_int(ctx, "weight_prepacked", 0, &prepacked, err))
        return false;
    if (p->bits != 4 && p->bits != 8)
        return err_set(err, ERR_UNSUPPORTED, OP_AT "attribute 'bits' is %lld; 4 and 8 work", OP_NODE(ctx->node),
                       (long long)p->bits);
    if (p->block & (p->block - 1))
        return err_set(err, ERR_MODEL, OP_AT "attribute 'block_size' is %lld; a power of 2 would work",
                       OP_NODE(ctx->node), (long long)p->block);
    if (prepacked)
        return err_set(err, ERR_UNSUPPORTED,
                       OP_AT "its weights were laid out for another machine; "
                             "'weight_prepacked' 0 works",
                       OP_NODE(ctx->node));
    p->blocks = (p->k + p->block - 1) / p->block;
    p->chunk = p->block > CHUNK ? p->block : CHUNK;
    return true;
}

/* Zero points are numbers of as many bits, packed per column, or floats; half of the range where there are none. */
static bool read_zeros(struct node_ctx *ctx, struct nbits *p, struct percept_err *err)
{
    const struct tensor *t = weights_view(ctx, ZEROS);
    const int64_t n = p->n * p->blocks, column_bytes = (p->blocks * p->bits + 7) / 8;
    if (op_has_input(ctx->node, ZEROS)) {
        const bool narrow = t && t->dtype == PERCEPT_UINT8;
        if (!want_constant(ctx, ZEROS, narrow ? PERCEPT_UINT8 : PERCEPT_FLOAT, narrow ? p->n * column_bytes : n, err))
            return false;
    }
    p->zeros = arena_array(ctx->load, (size_t)n + 1, sizeof *p->zeros);
    if (!p->zeros)
        return err_memory(err, "zero points", (size_t)n * sizeof *p->zeros);
    if (t && t->dtype == PERCEPT_FLOAT) {
        memcpy(p->zeros, t->data, (size_t)n * sizeof *p->zeros);
        return true;
    }
    for (int64_t i = 0; i < n; i++) {
        const int64_t column = i / p->blocks, b = i % p->blocks;
        const uint8_t *at = t ? (const uint8_t *)t->data + column * column_bytes : NULL;
        p->zeros[i] = !at            ? (float)(1 << (p->bits - 1))
                      : p->bits == 8 ? (float)at[b]
                                     : (float)(at[b / 2] >> (b % 2 * 4) & 15);
    }
    return true;
}

/* Rows in another order than the blocks': only where it is the same order after all. */
static bool check_groups(struct node_ctx *ctx, const struct nbits *p, struct percept_err *err)
{
    if (!op_has_input(ctx->node, GROUPS))
        return true;
    if (!want_constant(ctx, GROUPS, PERCEPT_INT32, p->k, err))
        return false;
    const struct tensor *t = op_constant(ctx, GROUPS);
    for (int64_t i = 0; t && i < p->k; i++)
        if (((const int32_t *)t->data)[i] != i / p->block)
            return err_set(err, ERR_UNSUPPORTED,
                           OP_AT "input %d puts rows in another order than that of the blocks; "
                                 "without it, or in their order, it works",
                           OP_NODE(ctx->node), GROUPS);
    return t || err_memory(err, "a node", 0);
}

static bool nbits_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct nbits *p = op_priv(ctx, sizeof *p, err);
    if (!p || !op_arity(ctx, 3, 6, 1, err) || !read_sizes(ctx, p, err) ||
        !want_constant(ctx, B, PERCEPT_UINT8, p->n * p->blocks * (p->block * p->bits / 8), err) ||
        !want_constant(ctx, SCALES, PERCEPT_FLOAT, p->n * p->blocks, err) || !read_zeros(ctx, p, err) ||
        !check_groups(ctx, p, err))
        return false;
    ctx->packed_inputs |= 1U << B | 1U << SCALES | 1U << ZEROS | 1U << GROUPS;
    return true;
}

static size_t nbits_bytes(const struct node_ctx *ctx)
{
    const struct nbits *p = ctx->node->priv;
    return ctx->kernels->gemm->narrow_pack_bytes((int)p->bits, p->block, p->k, p->n);
}

static void nbits_pack_weights(const struct node_ctx *ctx, void *packed)
{
    const struct nbits *p = ctx->node->priv;
    ctx->kernels->gemm->narrow_pack(packed, (int)p->bits, p->block, p->k, p->n, weights_view(ctx, B)->data,
                                    weights_view(ctx, SCALES)->data, p->zeros);
}

static bool nbits_shape(struct step *step, struct percept_err *err)
{
    const struct nbits *p = step->priv;
    const struct tensor *a = step->in[A], *bias = op_in(step, BIAS);
    if (!op_want_dtype(step, A, PERCEPT_FLOAT, err))
        return false;
    if (a->rank < 1 || a->dims[a->rank - 1] != p->k) {
        char text[128];
        return err_set(err, ERR_INVALID, OP_AT "rows of shape %s; %lld elements would fit K", OP_NODE(step->node),
                       tensor_shape_text(a->rank, a->dims, text, sizeof text), (long long)p->k);
    }
    if (bias && (!op_want_dtype(step, BIAS, PERCEPT_FLOAT, err) || bias->rank != 1 || bias->dims[0] != p->n))
        return err_set(err, ERR_INVALID, OP_AT "input %d must be %lld floats", OP_NODE(step->node), BIAS,
                       (long long)p->n);
    int64_t dims[RANK_MAX];
    memcpy(dims, a->dims, sizeof dims);
    dims[a->rank - 1] = p->n;
    op_set_out(step, 0, PERCEPT_FLOAT, a->rank, dims);
    step->scratch_bytes = (size_t)(step->members * PANELS * step->kernels->gemm->step * p->chunk) * sizeof(float);
    step->flops = 2.0 * (double)tensor_span(a, 0, a->rank - 1) * (double)p->k * (double)p->n;
    step->algorithm = p->bits == 4 ? "4 bits" : "8 bits";
    return true;
}

static void multiply_columns(void *arg, const struct product_part *part, int member)
{
    const struct step *step = arg;
    const struct nbits *p = step->priv;
    const struct kernels *kernels = step->kernels;
    const struct tensor *a = step->in[A], *bias = op_in(step, BIAS);
    const int64_t column = part->column, n = part->column_end - column;
    float *wide = (float *)step->scratch + member * PANELS * kernels->gemm->step * p->chunk;
    float *y = (float *)step->out[0]->data + column;
    for (int64_t k = 0; k < p->k; k += p->chunk) {
        const int64_t end = p->k - k < p->chunk ? p->k : k + p->chunk;
        const struct epilogue epilogue = {.bias = k == 0 && bias ? (const float *)bias->data + column : NULL,
                                          .residual = k ? y : NULL};
        kernels->gemm->narrow_widen(wide, step->packed, (int)p->bits, p->block, p->k, k, end, column, column + n);
        kernels->gemm->run(part->rows, n, end - k, (const float *)a->data + k, p->k, wide, y, p->n, &epilogue, 0, n);
    }
}

/* All rows at once: a widened panel is read by each. */
static bool nbits_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct nbits *p = step->priv;
    const int64_t m = tensor_span(step->in[A], 0, step->in[A]->rank - 1);
    const struct product cut = product_bands(1, m, p->n, m, PANELS * step->kernels->gemm->step);
    product_run(&cut, env->team, multiply_columns, step);
    return true;
}

/* Rows apart from each other. */
static void nbits_batch(struct batch_view *view)
{
    batch_axis_lead(view, view->many->in[A]->rank - 1);
}

const struct op_rule op_matmul_nbits = {.check = nbits_check,
                                        .pack_bytes = nbits_bytes,
                                        .pack = nbits_pack_weights,
                                        .shape = nbits_shape,
                                        .run = nbits_run,
                                        .batch = nbits_batch};
