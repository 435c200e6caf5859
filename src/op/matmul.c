/*
 * matmul.c - Gemm and MatMul, and of com.microsoft FusedGemm and FusedMatMul (once called TransposeMatMul).
 *
 * A right side that is a constant is packed once ([bias][matrix 0][matrix 1]...; Gemm's alpha and a
 * fused scale are multiplied into it) and multiplied by the level's own gemm, whose rows do not
 * depend on how many there are. So the leading axes of the left side, of which the first may be a
 * batch of strangers, are folded into rows only there. A right side known at run time only:
 *
 *   one matrix for all rows    packed into scratch, then as above
 *   a stack of matrices        OpenBLAS, in squares of one matrix and never more rows than the item has,
 *                              because its last bits differ with m; so is a stack of one, which is what
 *                              a batch of one makes of it
 *
 * Gemm's C: a constant row becomes the bias, everything else is spread over the output first and
 * added there as a residual. Integers and doubles go through plain loops (wrapping, as C's unsigned
 * do).
 *
 * FusedMatMul is a MatMul whose sides may lie turned: a constant right side is packed as it lies, others
 * are turned into scratch first. FusedGemm's activation is fused at once where the right side is packed,
 * as if the engine had asked; else it goes over the output afterwards.
 *
 * Work is split into rectangles of the output (product.c), and so is laying down a right side; a
 * square of OpenBLAS's with a k of more than 2^16 may take longer than tens of milliseconds.
 *
 * Thread: loader, then the session's holder with its team.
 */
#include "op/activation.h"
#include "op/attr.h"
#include "op/batch_axis.h"
#include "op/product.h"
#include "op/stack.h"
#include "op/walk.h"
#include "op/weights.h"

#include <string.h>

/* A rule's variant. */
enum { MATMUL_PLAIN, MATMUL_FUSED };

/* How a side of FusedMatMul is turned: its first axis goes to the place before its last one, then the last
 * two are swapped. */
struct turn {
    bool first, matrix;
};

struct matmul {
    bool gemm; /* else MatMul */
    bool trans_a, trans_b;
    float alpha, beta;
    bool packed;              /* the right side lives in the packed bytes */
    enum precision precision; /* of these */
    bool bias;                /* Gemm's C does too, as a row */
    bool has_c;
    int64_t k, n, matrices; /* of the packed right side */
    int rank;               /* of the constant right side */
    const float *columns;   /* [n] alpha over and over, or NULL when it is 1 */
    struct fused fused;
    struct turn turns[2]; /* FusedMatMul: the sides */
    bool activate;        /* FusedGemm: `after` goes over the output */
    struct activation_of after;
};

enum matmul_way { WAY_PACKED, WAY_LAID, WAY_BLAS, WAY_LOOPS, WAY_COUNT };

struct matmul_plan {
    enum matmul_way way;
    int64_t m, n, k;
    int64_t batch; /* products, each m x k by k x n */
    /* [batch][2] index of the matrix on the left, on the right, or NULL */
    const int64_t *items;
    int64_t matrices;        /* on the right side */
    bool stacked;            /* the right side is a stack that is known at run time only */
    bool spread;             /* C is spread over the output */
    int64_t c_row, c_column; /* C: elements from row to row, column to column */
    const float *columns;    /* as in struct matmul */
    struct product cut;
    size_t a_at;    /* of the turned left side in scratch */
    bool turned[2]; /* FusedMatMul: this side is, at turned_at in scratch */
    size_t turned_at[2];
};

/* --- check -------------------------------------------------------------------------------------------------------- */

static bool row_like(const struct tensor *c, int64_t n)
{
    if (c->dtype != PERCEPT_FLOAT || c->rank > 2)
        return false;
    const int64_t columns = c->rank > 0 ? c->dims[c->rank - 1] : 1;
    const int64_t rows = c->rank > 1 ? c->dims[0] : 1;
    return rows == 1 && (columns == n || columns == 1);
}

/* alpha as gemm->pack wants it. */
static bool alpha_columns(struct arena *arena, float alpha, int64_t n, const float **columns, struct percept_err *err)
{
    *columns = NULL;
    if (alpha == 1)
        return true;
    float *filled = arena_array(arena, (size_t)n, sizeof *filled);
    if (!filled)
        return err_memory(err, "a Gemm's alpha", (size_t)n * sizeof *filled);
    for (int64_t i = 0; i < n; i++)
        filled[i] = alpha;
    *columns = filled;
    return true;
}

static bool check_constant(struct node_ctx *ctx, struct matmul *matmul, const struct tensor *b, struct percept_err *err)
{
    int64_t count;
    const bool fits = tensor_count(b->rank, b->dims, &count);
    if (b->dtype != PERCEPT_FLOAT || b->rank < 1 || !fits || count == 0)
        return true;
    const bool vector = b->rank == 1;
    const int64_t last = b->dims[b->rank - 1];
    matmul->rank = b->rank;
    matmul->k = vector ? last : b->dims[b->rank - (matmul->trans_b ? 1 : 2)];
    matmul->n = vector ? 1 : b->dims[b->rank - (matmul->trans_b ? 2 : 1)];
    matmul->matrices = vector ? 1 : tensor_span(b, 0, b->rank - 2);
    matmul->packed = true;
    matmul->precision = ctx->precision;
    ctx->packed_inputs |= 2u;
    const struct tensor *c = matmul->has_c ? weights_view(ctx, 2) : NULL;
    if (c && row_like(c, matmul->n)) {
        matmul->bias = true;
        ctx->packed_inputs |= 4u;
    }
    return alpha_columns(ctx->arena, matmul->alpha, matmul->n, &matmul->columns, err);
}

static bool check_gemm(struct node_ctx *ctx, struct percept_err *err)
{
    struct matmul *matmul = op_priv(ctx, sizeof *matmul, err);
    if (!matmul)
        return false;
    *matmul = (struct matmul){.gemm = true, .fused = {.residual = -1}};
    if (!op_arity(ctx, 2, 3, 1, err) || !attr_bool(ctx, "transA", false, &matmul->trans_a, err) ||
        !attr_bool(ctx, "transB", false, &matmul->trans_b, err) || !attr_float(ctx, "alpha", 1, &matmul->alpha, err) ||
        !attr_float(ctx, "beta", 1, &matmul->beta, err))
        return false;
    matmul->has_c = op_has_input(ctx->node, 2);
    const struct tensor *b = weights_view(ctx, 1);
    if (!b)
        return true;
    if (b->rank != 2)
        return err_set(err, ERR_MODEL, OP_AT "B has rank %d; 2 works", OP_NODE(ctx->node), b->rank);
    return check_constant(ctx, matmul, b, err);
}

static bool read_turns(const struct node_ctx *ctx, struct matmul *matmul, struct percept_err *err)
{
    return attr_float(ctx, "alpha", 1, &matmul->alpha, err) &&
           attr_bool(ctx, "transA", false, &matmul->turns[0].matrix, err) &&
           attr_bool(ctx, "transB", false, &matmul->turns[1].matrix, err) &&
           attr_bool(ctx, "transBatchA", false, &matmul->turns[0].first, err) &&
           attr_bool(ctx, "transBatchB", false, &matmul->turns[1].first, err);
}

static bool check_matmul(struct node_ctx *ctx, struct percept_err *err)
{
    struct matmul *matmul = op_priv(ctx, sizeof *matmul, err);
    if (!matmul)
        return false;
    *matmul = (struct matmul){.alpha = 1, .beta = 1, .fused = {.residual = -1}};
    if (!op_arity(ctx, 2, 2, 1, err) || (ctx->node->op->rule->variant == MATMUL_FUSED && !read_turns(ctx, matmul, err)))
        return false;
    const struct tensor *b = weights_view(ctx, 1);
    if (!b || (matmul->turns[1].first && b->rank > 2))
        return true;
    matmul->trans_b = matmul->turns[1].matrix && b->rank > 1;
    if (!check_constant(ctx, matmul, b, err))
        return false;
    matmul->trans_b = matmul->trans_b && matmul->packed;
    return true;
}

/* Columns are the channels of a Gemm. Of a MatMul they are not (its output may have any rank), but
 * a vector that is added may still be as long as a row: the engine has seen that it is meant so. */
static bool matmul_fuse(struct node_ctx *ctx, const struct fusion *fusion)
{
    struct matmul *matmul = ctx->node->priv;
    if (matmul->activate || !matmul->packed || (!matmul->gemm && matmul->rank == 1))
        return false; /* what goes over the output behind the product would come too late for what follows it */
    if (fusion->kind == FUSE_AFFINE &&
        (fusion->channels != matmul->n || (fusion->scale && (!matmul->gemm || matmul->columns))))
        return false;
    if (matmul->has_c && !matmul->bias && fusion->kind != FUSE_ACTIVATION)
        return false; /* C is the residual already, and is not scaled by the weights' scale */
    return weights_fuse(ctx, &matmul->fused, fusion);
}

/* It does not say where its channels lie (OP_CHANNELS_LAST). */
static bool fused_matmul_fuse(struct node_ctx *ctx, const struct fusion *fusion)
{
    return fusion->kind != FUSE_AFFINE && matmul_fuse(ctx, fusion);
}

static bool check_fused_gemm(struct node_ctx *ctx, struct percept_err *err)
{
    static const char *const known[] = {"Relu", "Tanh", "Sigmoid",  "LeakyRelu", "HardSigmoid",     "Elu",
                                        "Selu", "Celu", "Softplus", "Softsign",  "ThresholdedRelu", NULL};
    int i;
    if (!check_gemm(ctx, err))
        return false;
    if (!attr_has(ctx, "activation"))
        return true;
    struct matmul *matmul = ctx->node->priv;
    if (!attr_choice(ctx, "activation", 0, known, &i, err))
        return false;
    const struct activation_row *row = activation_named(bytes_of_text(known[i]), false);
    const bool gamma = strcmp(row->second, "gamma") == 0;
    matmul->after.row = row;
    if (!attr_float(ctx, "activation_alpha", row->alpha, &matmul->after.alpha, err) ||
        !attr_float(ctx, gamma ? "activation_gamma" : "activation_beta", row->beta, &matmul->after.beta, err))
        return false;
    struct fusion fusion;
    matmul->activate = !activation_fusion(&matmul->after, &fusion) || !matmul_fuse(ctx, &fusion);
    return true;
}

/* --- pack --------------------------------------------------------------------------------------------------------- */

static size_t bias_bytes(const struct matmul *matmul, int64_t n)
{
    const bool any = matmul->bias || matmul->fused.shift;
    return any ? weights_round((size_t)n * sizeof(float)) : 0;
}

/* Constant weights may be narrower than what a run computes. */
static const struct gemm_kernels *gemm_of(const struct matmul *matmul, const struct kernels *kernels)
{
    return matmul->packed ? weights_gemm(kernels, matmul->precision) : kernels->gemm;
}

static size_t matrix_bytes(const struct gemm_kernels *gemm, int64_t k, int64_t n)
{
    return weights_round(gemm->pack_bytes(k, n));
}

static size_t matmul_pack_bytes(const struct node_ctx *ctx)
{
    const struct matmul *matmul = ctx->node->priv;
    return matmul->packed
               ? bias_bytes(matmul, matmul->n) +
                     matrix_bytes(gemm_of(matmul, ctx->kernels), matmul->k, matmul->n) * (size_t)matmul->matrices
               : 0;
}

/* The matrices one after another. */
static void pack_matrices(const struct matmul *matmul, const struct gemm_kernels *gemm, struct percept_team *team,
                          const void *b, const float *columns, int64_t matrices, int64_t k, int64_t n, char *to)
{
    const int64_t stride_k = matmul->trans_b ? 1 : n, stride_n = matmul->trans_b ? k : 1;
    const size_t each = matrix_bytes(gemm, k, n);
    for (int64_t i = 0; i < matrices; i++)
        product_pack(gemm, team, to + each * (size_t)i, (const char *)b + (size_t)(i * k * n) * sizeof(float), k, n,
                     stride_k, stride_n, columns ? columns : matmul->fused.scale);
}

/* C of one number is spread over the row. */
static void pack_bias(const struct matmul *matmul, const struct tensor *c, int64_t n, char *to)
{
    float *bias = (float *)(void *)to;
    if (!c || tensor_elements(c) == n) {
        weights_bias(bias, c ? c->data : NULL, &matmul->fused, matmul->beta, n);
        return;
    }
    float one;
    memcpy(&one, c->data, sizeof one);
    for (int64_t i = 0; i < n; i++)
        bias[i] = one;
    weights_bias(bias, bias, &matmul->fused, matmul->beta, n);
}

static void matmul_pack(const struct node_ctx *ctx, void *packed)
{
    const struct matmul *matmul = ctx->node->priv;
    if (!matmul->packed)
        return;
    const size_t n_bytes = bias_bytes(matmul, matmul->n);
    if (n_bytes)
        pack_bias(matmul, matmul->bias ? weights_view(ctx, 2) : NULL, matmul->n, packed);
    pack_matrices(matmul, gemm_of(matmul, ctx->kernels), NULL, weights_view(ctx, 1)->data, matmul->columns,
                  matmul->matrices, matmul->k, matmul->n, (char *)packed + n_bytes);
}

/* --- shape -------------------------------------------------------------------------------------------------------- */

static bool dtype_works(enum percept_dtype dtype)
{
    return dtype == PERCEPT_FLOAT || dtype == PERCEPT_DOUBLE || dtype == PERCEPT_INT32 || dtype == PERCEPT_INT64 ||
           dtype == PERCEPT_UINT32 || dtype == PERCEPT_UINT64;
}

static bool whole(float x)
{
    return x > -1e6f && x < 1e6f && (float)(int)x == x;
}

static bool shape_dtypes(const struct step *step, struct percept_err *err)
{
    const struct matmul *matmul = step->priv;
    const enum percept_dtype dtype = step->in[0]->dtype;
    const bool fraction = dtype == PERCEPT_FLOAT || dtype == PERCEPT_DOUBLE;
    if (!dtype_works(dtype))
        return err_set(err, ERR_UNSUPPORTED, OP_AT "matrices of %s; float32, double and (u)int32/64 work",
                       OP_NODE(step->node), tensor_dtype_name(dtype));
    if (!fraction && (!whole(matmul->alpha) || !whole(matmul->beta)))
        return err_set(err, ERR_UNSUPPORTED, OP_AT "alpha and beta of an integer product must be whole numbers",
                       OP_NODE(step->node));
    for (int i = 1; i < step->n_in; i++) {
        if (step->in[i] && !op_want_dtype(step, i, dtype, err))
            return false;
    }
    return true;
}

static bool shape_gemm(struct step *step, struct matmul_plan *plan, struct percept_err *err)
{
    const struct matmul *matmul = step->priv;
    const struct tensor *a = step->in[0], *b = step->in[1];
    if (a->rank != 2 || b->rank != 2)
        return err_set(err, ERR_INVALID, OP_AT "sides of rank %d and %d; 2 and 2 work", OP_NODE(step->node), a->rank,
                       b->rank);
    plan->m = a->dims[matmul->trans_a ? 1 : 0];
    plan->k = a->dims[matmul->trans_a ? 0 : 1];
    plan->n = b->dims[matmul->trans_b ? 0 : 1];
    plan->batch = plan->matrices = 1;
    op_set_out(step, 0, a->dtype, 2, (const int64_t[]){plan->m, plan->n});
    if (!stack_inner(step, 0, 1, plan->k, b->dims[matmul->trans_b ? 1 : 0], err))
        return false;
    plan->spread = matmul->has_c && !matmul->bias;
    return !plan->spread || stack_addend(step, step->in[2], plan->m, plan->n, &plan->c_row, &plan->c_column, err);
}

/* Axis i of the turned side is axis axes[i] of the side. */
static void turned_axes(const struct turn *turn, int rank, int *axes)
{
    for (int i = 0; i < rank; i++)
        axes[i] = turn->first && i < rank - 1 ? (i + 1) % (rank - 1) : i;
    if (turn->matrix && rank > 1) {
        const int last = axes[rank - 1];
        axes[rank - 1] = axes[rank - 2];
        axes[rank - 2] = last;
    }
}

static struct tensor turned_side(const struct turn *turn, const struct tensor *side)
{
    struct tensor turned = *side;
    int axes[RANK_MAX];
    turned_axes(turn, side->rank, axes);
    for (int i = 0; i < side->rank; i++)
        turned.dims[i] = side->dims[axes[i]];
    return turned;
}

static bool shape_matmul(struct step *step, struct matmul_plan *plan, struct percept_err *err)
{
    const struct matmul *matmul = step->priv;
    struct tensor sides[2];
    struct step seen = *step;
    struct stack stack;
    seen.in = (struct tensor *[]){&sides[0], &sides[1]};
    for (int i = 0; i < 2; i++)
        sides[i] = turned_side(&matmul->turns[i], step->in[i]);
    if (!stack_shape(&seen, 0, 1, &stack, err))
        return false;
    plan->stacked = !matmul->packed && step->in[1]->rank > 2;
    const bool alone = plan->stacked && stack.matrices == 1;
    plan->m = alone || stack.matrices > 1 ? stack.m : stack.rows;
    plan->k = stack.k;
    plan->n = stack.n;
    plan->matrices = stack.matrices;
    plan->batch = alone && stack.m ? stack.rows / stack.m : stack.batch;
    plan->items = stack.items;
    op_set_out(step, 0, step->in[0]->dtype, stack.rank, stack.dims);
    return true;
}

static void choose_way(struct step *step, struct matmul_plan *plan)
{
    static const char *const names[WAY_COUNT] = {"packed", "laid", "blas", "loops"};
    const struct matmul *matmul = step->priv;
    if (step->in[0]->dtype != PERCEPT_FLOAT || !plan->m || !plan->n || !plan->k || !plan->batch)
        plan->way = WAY_LOOPS;
    else if (matmul->packed && step->packed)
        plan->way = WAY_PACKED;
    else
        plan->way = plan->stacked ? WAY_BLAS : WAY_LAID;
    plan->cut = plan->way == WAY_BLAS ? product_squares(plan->batch, plan->m, plan->n, plan->k)
                                      : product_packed(step->kernels, plan->batch, plan->m, plan->n, plan->k);
    step->algorithm = plan->way == WAY_PACKED && matmul->precision == PRECISION_BF16 ? "bf16" : names[plan->way];
}

/* Room for the sides of FusedMatMul that a run turns. A packed one was turned when it was packed. */
static void shape_turned(struct step *step, const struct matmul *matmul, struct matmul_plan *plan)
{
    for (int i = 0; i < 2; i++) {
        plan->turned[i] =
            (matmul->turns[i].matrix || matmul->turns[i].first) && step->in[i]->rank > 1 && !(i == 1 && matmul->packed);
        plan->turned_at[i] = step->scratch_bytes;
        if (plan->turned[i])
            step->scratch_bytes +=
                weights_round((size_t)tensor_elements(step->in[i]) * tensor_dtype_bytes(step->in[i]->dtype));
    }
}

static bool matmul_shape(struct step *step, struct percept_err *err)
{
    const struct matmul *matmul = step->priv;
    struct matmul_plan *plan = arena_alloc(step->arena, sizeof *plan);
    if (!plan)
        return err_memory(err, "a matrix product's plan", sizeof *plan);
    *plan = (struct matmul_plan){0};
    if (!shape_dtypes(step, err) || !(matmul->gemm ? shape_gemm(step, plan, err) : shape_matmul(step, plan, err)) ||
        !weights_residual(step, &matmul->fused, err))
        return false;
    choose_way(step, plan);
    if (plan->way == WAY_LAID) {
        plan->a_at = bias_bytes(matmul, plan->n) +
                     matrix_bytes(gemm_of(matmul, step->kernels), plan->k, plan->n) * (size_t)plan->matrices;
        if (!alpha_columns(step->arena, matmul->alpha, plan->n, &plan->columns, err))
            return false;
    }
    step->scratch_bytes = plan->a_at;
    shape_turned(step, matmul, plan);
    if (matmul->trans_a && plan->way != WAY_LOOPS)
        step->scratch_bytes += (size_t)(plan->m * plan->k) * sizeof(float);
    if (matmul->fused.residual >= 0)
        step->inplace = matmul->fused.residual + 1;
    step->flops = 2.0 * (double)plan->batch * (double)plan->m * (double)plan->n * (double)plan->k;
    step->state = plan;
    return true;
}

/* --- run: float --------------------------------------------------------------------------------------------------- */

struct matmul_work {
    const struct kernels *kernels;
    const struct matmul_plan *plan;
    float alpha; /* OpenBLAS's; elsewhere it is in the right side */
    const struct gemm_kernels *gemm;
    const float *a, *b;
    const char *packed;
    float *c;
    struct epilogue epilogue;
    size_t matrix_bytes;
};

static int64_t a_index(const struct matmul_plan *plan, int64_t item)
{
    return plan->items ? plan->items[2 * item] : item;
}

static int64_t b_index(const struct matmul_plan *plan, int64_t item)
{
    return plan->items ? plan->items[2 * item + 1] : 0;
}

static void multiply_packed(void *arg, const struct product_part *part, int member)
{
    (void)member;
    const struct matmul_work *work = arg;
    const struct matmul_plan *plan = work->plan;
    const int64_t item = part->item, at = (item * plan->m + part->row) * plan->n;
    struct epilogue epilogue = work->epilogue;
    if (epilogue.residual)
        epilogue.residual += at;
    work->gemm->run(part->rows, plan->n, plan->k, work->a + (a_index(plan, item) * plan->m + part->row) * plan->k,
                    plan->k, work->packed + work->matrix_bytes * (size_t)b_index(plan, item), work->c + at, plan->n,
                    &epilogue, part->column, part->column_end);
}

static void multiply_blas(void *arg, const struct product_part *part, int member)
{
    (void)member;
    const struct matmul_work *work = arg;
    const struct matmul_plan *plan = work->plan;
    const int64_t m = plan->m, n = plan->n, k = plan->k, item = part->item;
    blas_gemm(false, false, part->rows, part->column_end - part->column, k, work->alpha,
              work->a + (a_index(plan, item) * m + part->row) * k, k,
              work->b + b_index(plan, item) * k * n + part->column, n, 0,
              work->c + (item * m + part->row) * n + part->column, n);
}

/* Pieces: rows of C. */
static void spread_rows(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const struct matmul_plan *plan = step->state;
    const struct matmul *matmul = step->priv;
    const float beta = matmul->beta, *c = step->in[2]->data;
    float *y = step->out[0]->data;
    for (int64_t i = from; i < to; i++) {
        for (int64_t j = 0; j < plan->n; j++)
            y[i * plan->n + j] = beta * c[i * plan->c_row + j * plan->c_column];
    }
}

static float *turned_a(const struct step *step)
{
    return (float *)(void *)((char *)step->scratch + ((const struct matmul_plan *)step->state)->a_at);
}

/* Pieces: rows of the turned left side. */
static void turn_rows(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const struct matmul_plan *plan = step->state;
    const float *a = step->in[0]->data;
    float *turned = turned_a(step);
    for (int64_t j = 0; j < plan->k; j++) {
        for (int64_t i = from; i < to; i++)
            turned[i * plan->k + j] = a[j * plan->m + i];
    }
}

static int64_t grain_of(int64_t each)
{
    return 1 + WALK_GRAIN / (each ? each : 1);
}

static void run_gemm(struct step *step, const struct run_env *env)
{
    const struct matmul *matmul = step->priv;
    const struct matmul_plan *plan = step->state;
    const size_t n_bias = bias_bytes(matmul, plan->n);
    const char *blob = step->packed;
    if (plan->way == WAY_LAID) {
        blob = step->scratch;
        if (n_bias)
            pack_bias(matmul, matmul->bias ? step->in[2] : NULL, plan->n, step->scratch);
        pack_matrices(matmul, gemm_of(matmul, step->kernels), env->team, step->in[1]->data, plan->columns,
                      plan->matrices, plan->k, plan->n, (char *)step->scratch + n_bias);
    }
    float *y = step->out[0]->data;
    const int residual = matmul->fused.residual;
    if (plan->spread)
        team_split(env->team, plan->m, grain_of(plan->n), spread_rows, step);
    if (matmul->trans_a)
        team_split(env->team, plan->m, grain_of(plan->k), turn_rows, step);
    struct matmul_work work = {
        .kernels = step->kernels,
        .plan = plan,
        .a = matmul->trans_a ? turned_a(step) : step->in[0]->data,
        .packed = blob + n_bias,
        .c = y,
        .gemm = gemm_of(matmul, step->kernels),
        .epilogue = {.bias = n_bias ? (const float *)(const void *)blob : NULL,
                     .residual = residual >= 0  ? step->in[residual]->data
                                 : plan->spread ? y
                                                : NULL,
                     .act = matmul->fused.act,
                     .alpha = matmul->fused.alpha,
                     .beta = matmul->fused.beta},
        .matrix_bytes = matrix_bytes(gemm_of(matmul, step->kernels), plan->k, plan->n),
    };
    product_run(&plan->cut, env->team, multiply_packed, &work);
}

static void run_blas(struct step *step, const struct run_env *env)
{
    const struct matmul *matmul = step->priv;
    const struct matmul_plan *plan = step->state;
    struct matmul_work work = {
        .plan = plan,
        .alpha = matmul->alpha,
        .a = step->in[0]->data,
        .b = step->in[1]->data,
        .c = step->out[0]->data,
    };
    product_run(&plan->cut, env->team, multiply_blas, &work);
}

/* --- run: every other type, and products of nothing --------------------------------------------------------------- */

/* Pieces: elements of the output. Terms are summed one after another, a block of them between two looks at the
 * watch. SUM: the type that sums (unsigned, so that it wraps); FACTOR: of alpha and beta (they have a sign). */
#define MATMUL_LOOPS(name, type, SUM, FACTOR)                                                                          \
    static void name(void *arg, int64_t from, int64_t to, int member)                                                  \
    {                                                                                                                  \
        (void)member;                                                                                                  \
        struct op_share share = *(const struct op_share *)arg;                                                         \
        const struct step *step = share.step;                                                                          \
        const struct matmul *matmul = step->priv;                                                                      \
        const struct matmul_plan *plan = step->state;                                                                  \
        const int64_t m = plan->m, n = plan->n, k = plan->k;                                                           \
        const int64_t a_row = matmul->trans_a ? 1 : k, a_k = matmul->trans_a ? m : 1;                                  \
        const int64_t b_k = matmul->trans_b ? 1 : n, b_column = matmul->trans_b ? k : 1;                               \
        const type *c = matmul->has_c ? step->in[2]->data : NULL;                                                      \
        type *y = step->out[0]->data;                                                                                  \
        for (int64_t at = from; at < to; at++) {                                                                       \
            const int64_t item = at / (m * n), i = at / n % m, j = at % n;                                             \
            const type *a = (const type *)step->in[0]->data + a_index(plan, item) * m * k + i * a_row;                 \
            const type *b = (const type *)step->in[1]->data + b_index(plan, item) * k * n + j * b_column;              \
            SUM sum = 0;                                                                                               \
            for (op_share_blocks(&share, k, 1, first, end)) {                                                          \
                for (int64_t l = first; l < end; l++)                                                                  \
                    sum += (SUM)a[l * a_k] * (SUM)b[l * b_k];                                                          \
            }                                                                                                          \
            sum *= (SUM)(FACTOR)matmul->alpha;                                                                         \
            if (c)                                                                                                     \
                sum += (SUM)(FACTOR)matmul->beta * (SUM)c[i * plan->c_row + j * plan->c_column];                       \
            y[at] = (type)sum;                                                                                         \
        }                                                                                                              \
    }

MATMUL_LOOPS(loops_float, float, float, float)
MATMUL_LOOPS(loops_double, double, double, double)
MATMUL_LOOPS(loops_32, uint32_t, uint32_t, int64_t)
MATMUL_LOOPS(loops_64, uint64_t, uint64_t, int64_t)

static void run_loops(const struct step *step, const struct run_env *env)
{
    const struct matmul_plan *plan = step->state;
    const enum percept_dtype dtype = step->in[0]->dtype;
    struct op_share share = op_share(step, env);
    team_work *const loops = dtype == PERCEPT_FLOAT                              ? loops_float
                             : dtype == PERCEPT_DOUBLE                           ? loops_double
                             : dtype == PERCEPT_INT32 || dtype == PERCEPT_UINT32 ? loops_32
                                                                                 : loops_64;
    team_split(env->team, plan->batch * plan->m * plan->n, grain_of(plan->k), loops, &share);
}

static bool matmul_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct matmul_plan *plan = step->state;
    if (plan->way == WAY_LOOPS)
        run_loops(step, env);
    else if (plan->way == WAY_BLAS)
        run_blas(step, env);
    else
        run_gemm(step, env);
    return true;
}

/* --- run: the fused forms ----------------------------------------------------------------------------------------- */

static void turn_side(const struct turn *turn, const struct tensor *side, void *to, struct percept_team *team)
{
    struct walk_view view = {0};
    int axes[RANK_MAX];
    turned_axes(turn, side->rank, axes);
    for (int i = 0; i < side->rank; i++)
        walk_axis(&view, side->dims[axes[i]], tensor_span(side, axes[i] + 1, side->rank));
    walk_copy(team, to, side->data, tensor_dtype_bytes(side->dtype), &view);
}

static bool fused_matmul_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct matmul *matmul = step->priv;
    const struct matmul_plan *plan = step->state;
    struct tensor sides[2], *in[3] = {NULL}; /* the third: what is added */
    struct step seen = *step;
    seen.in = in;
    for (int i = 0; i < step->n_in && i < 3; i++)
        in[i] = step->in[i];
    for (int i = 0; i < 2; i++) {
        if (!plan->turned[i])
            continue;
        sides[i] = turned_side(&matmul->turns[i], step->in[i]);
        in[i] = &sides[i];
        if (tensor_elements(&sides[i]) == 0)
            continue;
        sides[i].data = (char *)step->scratch + plan->turned_at[i];
        turn_side(&matmul->turns[i], step->in[i], sides[i].data, env->team);
    }
    return matmul_run(&seen, env, err);
}

static void activate_range(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const struct matmul *matmul = step->priv;
    float *y = (float *)step->out[0]->data + from;
    activation_floats(&matmul->after, step->kernels, y, y, to - from);
}

static bool fused_gemm_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct matmul *matmul = step->priv;
    if (!matmul_run(step, env, err))
        return false;
    if (matmul->activate)
        team_split(env->team, tensor_elements(step->out[0]), WALK_GRAIN, activate_range, step);
    return true;
}

static bool fused_gemm_shape(struct step *step, struct percept_err *err)
{
    return op_want_dtype(step, 0, PERCEPT_FLOAT, err) && matmul_shape(step, err);
}

/* Rows and columns may be any number, but for OpenBLAS, whose bits change with it. */
static void matmul_batch(struct batch_view *view)
{
    const struct matmul *matmul = view->many->priv;
    struct batch_side sides[2];
    for (int i = 0; i < 2; i++) {
        int axes[RANK_MAX];
        sides[i] = (struct batch_side){view->in[i], turned_side(&matmul->turns[i], view->many->in[i])};
        turned_axes(&matmul->turns[i], sides[i].seen.rank, axes);
        for (int d = 0; d < sides[i].seen.rank; d++)
            if (axes[d] == view->in[i].axis)
                sides[i].place.axis = d;
    }
    batch_axis_added(view, matmul->fused.residual);
    batch_axis_product(view, &sides[0], &sides[1], matmul->packed || view->many->in[1]->rank <= 2);
}

static void gemm_batch(struct batch_view *view)
{
    const struct matmul *matmul = view->many->priv;
    const struct turn turns[2] = {{.matrix = matmul->trans_a}, {.matrix = matmul->trans_b}};
    struct batch_side sides[2];
    for (int i = 0; i < 2; i++) {
        sides[i] = (struct batch_side){view->in[i], turned_side(&turns[i], view->many->in[i])};
        sides[i].place.axis = turns[i].matrix ? 1 - view->in[i].axis : view->in[i].axis;
    }
    batch_axis_added(view, matmul->fused.residual);
    batch_axis_product(view, &sides[0], &sides[1], true);
    if (matmul->has_c)
        batch_axis_meets(view, 2);
}

const struct op_rule op_gemm = {
    .check = check_gemm,
    .fuse = matmul_fuse,
    .pack_bytes = matmul_pack_bytes,
    .pack = matmul_pack,
    .shape = matmul_shape,
    .run = matmul_run,
    .batch = gemm_batch,
};

const struct op_rule op_matmul = {
    .check = check_matmul,
    .fuse = matmul_fuse,
    .pack_bytes = matmul_pack_bytes,
    .pack = matmul_pack,
    .shape = matmul_shape,
    .run = matmul_run,
    .batch = matmul_batch,
    .flags = OP_CHANNELS_LAST,
};

const struct op_rule op_fused_gemm = {
    .check = check_fused_gemm,
    .fuse = matmul_fuse,
    .pack_bytes = matmul_pack_bytes,
    .pack = matmul_pack,
    .shape = fused_gemm_shape,
    .run = fused_gemm_run,
    .batch = gemm_batch,
};

const struct op_rule op_fused_matmul = {
    .check = check_matmul,
    .fuse = fused_matmul_fuse,
    .pack_bytes = matmul_pack_bytes,
    .pack = matmul_pack,
    .shape = matmul_shape,
    .run = fused_matmul_run,
    .batch = matmul_batch,
    .variant = MATMUL_FUSED,
};
