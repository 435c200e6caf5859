/*
 * quant_matmul.c - products of 8-bit matrices: MatMulInteger, QLinearMatMul, and of com.microsoft QGemm,
 * DynamicQuantizeMatMul and MatMulIntegerToFloat.
 *
 * They differ in which input is what (struct slots) and in what becomes of a sum:
 *
 *     int32      the sum itself                                     MatMulInteger
 *     8 bits     saturate(round(sum factor[n]) + zero)              QLinearMatMul, QGemm
 *     float      sum factor[n] (+ bias[n])                          the others, QGemm without y_scale
 *
 * with factor[n] = alpha a_scale b_scale[n] / y_scale, in float32 and in this order, as ONNX Runtime has
 * it. Sums are exact modulo 2^32.
 *
 * The left side is laid as unsigned numbers in scratch, the right side packed as signed ones, and zero points are left
 * over:  sum (a - u) (b - z) = sum a b - u sum b - z sum (a - u).  The sums of b lie behind each packed matrix. A
 * constant right side is packed when the model is opened; otherwise it is packed into scratch at every run. Scales and
 * zero points are small and read
 * at every run, constant or not. One per tensor, per row (left side), per column (right side), or
 * both for each matrix of a stack.
 *
 * DynamicQuantizeMatMul fits one scale to the whole left side, a batch of strangers included: that is
 * its meaning. Work is split by columns when there are few rows (product.c). Thread: loader, then
 * the session's holder with its team.
 */
#include "op/attr.h"
#include "op/batch_axis.h"
#include "op/product.h"
#include "op/quant.h"
#include "op/stack.h"
#include "op/walk.h"
#include "op/weights.h"

enum { TILE_COLUMNS = 256 }; /* a multiple of every level's dot_step */

enum qproduct_kind {
    PRODUCT_INTEGER,
    PRODUCT_QLINEAR,
    PRODUCT_QGEMM,
    PRODUCT_DYNAMIC,
    PRODUCT_TO_FLOAT,
    PRODUCT_COUNT
};

/* Which input is what; -1: no such input. */
struct slots {
    int least, most; /* inputs */
    int a, a_scale, a_zero, b, b_scale, b_zero, c, bias, y_scale, y_zero;
};

static const struct slots slots_of[PRODUCT_COUNT] = {
    [PRODUCT_INTEGER] = {2, 4, 0, -1, 2, 1, -1, 3, -1, -1, -1, -1},
    [PRODUCT_QLINEAR] = {8, 8, 0, 1, 2, 3, 4, 5, -1, -1, 6, 7},
    [PRODUCT_QGEMM] = {6, 9, 0, 1, 2, 3, 4, 5, 6, -1, 7, 8},
    [PRODUCT_DYNAMIC] = {3, 5, 0, -1, -1, 1, 2, 3, -1, 4, -1, -1},
    [PRODUCT_TO_FLOAT] = {4, 7, 0, 2, 4, 1, 3, 5, -1, 6, -1, -1},
};

struct qproduct {
    enum qproduct_kind kind;
    const struct slots *slots;
    bool trans_a, trans_b;
    float alpha;
    bool packed; /* the right side lives in the packed bytes */
};

struct qproduct_plan {
    int64_t m, n, k;
    size_t row_bytes, matrix_bytes; /* of a laid row, of a packed matrix with its sums */
    int64_t m_each;                 /* rows of one matrix of the left side */
    int64_t batch, matrices;        /* products; matrices of the right side */
    const int64_t *items;           /* [batch][2] matrix on the left, on the right, or NULL */
    int64_t rows;                   /* of the whole left side */
    int64_t sets;                   /* of parameters of columns: 1 or matrices */
    int64_t c_row, c_column;        /* C: elements from row to row, column to column */
    bool a_signed, b_signed, lay;
    struct product cut;
    size_t a8_at, sums_at, factor_at, zero_at, c_at, blob_at, tiles_at; /* in scratch */
};

/* --- check and pack ----------------------------------------------------------------------------------------------- */

static bool qproduct_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct qproduct *product = op_priv(ctx, sizeof *product, err);
    if (!product)
        return false;
    const enum qproduct_kind kind = (enum qproduct_kind)ctx->node->op->rule->variant;
    *product = (struct qproduct){.kind = kind, .slots = &slots_of[kind], .alpha = 1};
    if (!op_arity(ctx, product->slots->least, product->slots->most, 1, err))
        return false;
    if (kind == PRODUCT_QGEMM && (!attr_bool(ctx, "transA", false, &product->trans_a, err) ||
                                  !attr_bool(ctx, "transB", false, &product->trans_b, err) ||
                                  !attr_float(ctx, "alpha", 1, &product->alpha, err)))
        return false;
    int64_t count;
    const struct tensor *b = weights_view(ctx, product->slots->b);
    if (!b || !quant_is_8bit(b->dtype) || b->rank < (kind == PRODUCT_QGEMM ? 2 : 1) ||
        !tensor_count(b->rank, b->dims, &count) || count == 0)
        return true; /* shape says what is wrong */
    product->packed = true;
    ctx->packed_inputs |= 1U << product->slots->b;
    return true;
}

/* Rows, columns and number of the right side's matrices. */
static void right_side(const struct qproduct *product, const struct tensor *b, int64_t *k, int64_t *n,
                       int64_t *matrices)
{
    const bool vector = b->rank == 1;
    *k = vector ? b->dims[0] : b->dims[b->rank - (product->trans_b ? 1 : 2)];
    *n = vector ? 1 : b->dims[b->rank - (product->trans_b ? 2 : 1)];
    *matrices = vector ? 1 : tensor_span(b, 0, b->rank - 2);
}

/* Where the sums of the columns lie behind a packed matrix, and where it ends. */
static size_t sums_at(const struct kernels *kernels, int64_t k, int64_t n)
{
    return weights_round(kernels->quantize->dot_pack_bytes(k, n));
}

static size_t matrix_bytes(const struct kernels *kernels, int64_t k, int64_t n)
{
    return sums_at(kernels, k, n) + weights_round((size_t)n * sizeof(int32_t));
}

static size_t qproduct_pack_bytes(const struct node_ctx *ctx)
{
    const struct qproduct *product = ctx->node->priv;
    int64_t k, n, matrices;
    if (!product->packed)
        return 0;
    right_side(product, weights_view(ctx, product->slots->b), &k, &n, &matrices);
    return matrix_bytes(ctx->kernels, k, n) * (size_t)matrices;
}

static void qproduct_pack_into(const struct qproduct *product, const struct kernels *kernels, const struct tensor *b,
                               char *to)
{
    int64_t k, n, matrices;
    right_side(product, b, &k, &n, &matrices);
    for (int64_t i = 0; i < matrices; i++, to += matrix_bytes(kernels, k, n))
        kernels->quantize->dot_pack(to, (int32_t *)(void *)(to + sums_at(kernels, k, n)),
                                    (const uint8_t *)b->data + i * k * n, k, n, product->trans_b ? 1 : n,
                                    product->trans_b ? k : 1, b->dtype == PERCEPT_INT8);
}

static void qproduct_pack(const struct node_ctx *ctx, void *packed)
{
    const struct qproduct *product = ctx->node->priv;
    if (product->packed)
        qproduct_pack_into(product, ctx->kernels, weights_view(ctx, product->slots->b), packed);
}

/* --- shape -------------------------------------------------------------------------------------------------------- */

static bool shape_matmul(struct step *step, struct qproduct_plan *plan, int *rank, int64_t *dims,
                         struct percept_err *err)
{
    const struct qproduct *product = step->priv;
    const struct slots *slots = product->slots;
    struct stack stack;
    if (!stack_shape(step, slots->a, slots->b, &stack, err))
        return false;
    plan->m_each = stack.m;
    plan->k = stack.k;
    plan->n = stack.n;
    plan->matrices = stack.matrices;
    plan->rows = stack.rows;
    plan->m = stack.matrices == 1 ? stack.rows : stack.m;
    plan->batch = stack.batch;
    plan->items = stack.items;
    *rank = stack.rank;
    for (int i = 0; i < stack.rank; i++)
        dims[i] = stack.dims[i];
    return true;
}

static bool shape_c(const struct step *step, struct qproduct_plan *plan, struct percept_err *err)
{
    const struct qproduct *product = step->priv;
    const struct tensor *c = op_in(step, product->slots->c);
    if (!c)
        return true;
    if (c->dtype != PERCEPT_INT32)
        return err_set(err, ERR_UNSUPPORTED, OP_AT "C is %s; int32 works", OP_NODE(step->node),
                       tensor_dtype_name(c->dtype));
    return stack_addend(step, c, plan->m, plan->n, &plan->c_row, &plan->c_column, err);
}

static bool shape_gemm(struct step *step, struct qproduct_plan *plan, int *rank, int64_t *dims, struct percept_err *err)
{
    const struct qproduct *product = step->priv;
    const struct tensor *a = step->in[product->slots->a], *b = step->in[product->slots->b];
    int64_t right_k;
    if (a->rank != 2 || b->rank != 2)
        return err_set(err, ERR_INVALID, OP_AT "sides of rank %d and %d; 2 and 2 work", OP_NODE(step->node), a->rank,
                       b->rank);
    right_side(product, b, &right_k, &plan->n, &plan->matrices);
    plan->m = plan->m_each = plan->rows = a->dims[product->trans_a ? 1 : 0];
    plan->k = a->dims[product->trans_a ? 0 : 1];
    plan->batch = 1;
    *rank = 2;
    dims[0] = plan->m;
    dims[1] = plan->n;
    return stack_inner(step, product->slots->a, product->slots->b, plan->k, right_k, err) && shape_c(step, plan, err);
}

/* Elements of a parameter: one, one per row or column, or that for each matrix. */
static bool count_fits(const struct step *step, int slot, int64_t each, int64_t all, struct percept_err *err)
{
    const struct tensor *t = op_in(step, slot);
    const int64_t n = t ? tensor_elements(t) : 1;
    if (n == 1 || n == each || n == all)
        return true;
    return err_set(err, ERR_INVALID, OP_AT "input %d has %lld elements; 1, %lld or %lld work", OP_NODE(step->node),
                   slot, (long long)n, (long long)each, (long long)all);
}

static bool float_input(const struct step *step, int slot, struct percept_err *err)
{
    return !op_in(step, slot) || op_want_dtype(step, slot, PERCEPT_FLOAT, err);
}

static bool shape_parameters(const struct step *step, struct qproduct_plan *plan, struct percept_err *err)
{
    const struct qproduct *product = step->priv;
    const struct slots *s = product->slots;
    const int64_t all = plan->n * plan->matrices;
    const struct tensor *bias = op_in(step, s->bias);
    if (!float_input(step, s->a_scale, err) || !float_input(step, s->b_scale, err) ||
        !float_input(step, s->bias, err) ||
        (op_in(step, s->a_zero) && !op_want_dtype(step, s->a_zero, step->in[s->a]->dtype, err)) ||
        (op_in(step, s->b_zero) && !op_want_dtype(step, s->b_zero, step->in[s->b]->dtype, err)) ||
        !count_fits(step, s->a_scale, plan->m_each, plan->rows, err) ||
        !count_fits(step, s->a_zero, plan->m_each, plan->rows, err) ||
        !count_fits(step, s->b_scale, plan->n, all, err) || !count_fits(step, s->b_zero, plan->n, all, err))
        return false;
    if (bias && (bias->rank != 1 || bias->dims[0] != plan->n))
        return err_set(err, ERR_INVALID, OP_AT "the bias must be float32 [%lld]", OP_NODE(step->node),
                       (long long)plan->n);
    const struct tensor *scale = op_in(step, s->b_scale), *zero = op_in(step, s->b_zero);
    const bool stacked = (scale && tensor_elements(scale) > plan->n) || (zero && tensor_elements(zero) > plan->n);
    plan->sets = stacked ? plan->matrices : 1;
    return true;
}

static bool shape_dtypes(const struct step *step, enum percept_dtype *out, struct percept_err *err)
{
    const struct qproduct *product = step->priv;
    const struct slots *s = product->slots;
    const struct tensor *zero = op_in(step, s->y_zero);
    if (product->kind == PRODUCT_DYNAMIC ? !op_want_dtype(step, s->a, PERCEPT_FLOAT, err)
                                         : !quant_want_8bit(step, s->a, err))
        return false;
    if (!quant_want_8bit(step, s->b, err))
        return false;
    *out = product->kind == PRODUCT_INTEGER ? PERCEPT_INT32 : PERCEPT_FLOAT;
    if (!op_in(step, s->y_scale))
        return true;
    if (zero && !quant_want_8bit(step, s->y_zero, err))
        return false;
    *out = zero ? zero->dtype : step->in[s->a]->dtype;
    return quant_want_parameters(step, s->y_scale, s->y_zero, *out, 0, err);
}

static size_t take(size_t *at, size_t n_bytes)
{
    const size_t here = *at;
    *at += weights_round(n_bytes);
    return here;
}

/* Floats, int32 sums and bias of a tile. */
static size_t tile_bytes(void)
{
    return (PRODUCT_BAND + 2) * TILE_COLUMNS * sizeof(int32_t);
}

static void shape_work(struct step *step, struct qproduct_plan *plan)
{
    const struct qproduct *product = step->priv;
    const size_t columns = (size_t)(plan->sets * plan->n) * sizeof(float);
    size_t at = 0;
    plan->row_bytes = step->kernels->quantize->dot_row_bytes(plan->k);
    plan->matrix_bytes = matrix_bytes(step->kernels, plan->k, plan->n);
    plan->a_signed = step->in[product->slots->a]->dtype == PERCEPT_INT8;
    plan->b_signed = step->in[product->slots->b]->dtype == PERCEPT_INT8;
    plan->lay = !product->packed || !step->packed;
    plan->cut = product_dots(step->kernels, plan->batch, plan->m, plan->n);
    take(&at, (size_t)plan->rows * plan->row_bytes);
    plan->a8_at = take(&at, product->kind == PRODUCT_DYNAMIC ? (size_t)(plan->rows * plan->k) : 0);
    plan->sums_at = take(&at, (size_t)plan->rows * sizeof(int32_t));
    plan->factor_at = take(&at, columns);
    plan->zero_at = take(&at, columns);
    plan->c_at = take(&at, (size_t)(plan->matrices * plan->n) * sizeof(int32_t));
    plan->blob_at = take(&at, plan->lay ? plan->matrix_bytes * (size_t)plan->matrices : 0);
    plan->tiles_at = take(&at, tile_bytes() * (size_t)(step->members > 0 ? step->members : 1));
    step->scratch_bytes = at;
    step->algorithm = plan->lay ? "laid" : "packed";
    step->flops = 2.0 * (double)plan->batch * (double)plan->m * (double)plan->n * (double)plan->k;
}

static bool qproduct_shape(struct step *step, struct percept_err *err)
{
    const struct qproduct *product = step->priv;
    struct qproduct_plan *plan = arena_alloc(step->arena, sizeof *plan);
    if (!plan)
        return err_memory(err, "a matrix product's plan", sizeof *plan);
    *plan = (struct qproduct_plan){0};
    enum percept_dtype out;
    int rank = 0;
    int64_t dims[RANK_MAX], count;
    if (!shape_dtypes(step, &out, err) ||
        !(product->kind == PRODUCT_QGEMM ? shape_gemm(step, plan, &rank, dims, err)
                                         : shape_matmul(step, plan, &rank, dims, err)) ||
        !shape_parameters(step, plan, err))
        return false;
    if (!tensor_count(rank, dims, &count))
        return err_set(err, ERR_INVALID, OP_AT "the product has more elements than can be counted",
                       OP_NODE(step->node));
    op_set_out(step, 0, out, rank, dims);
    shape_work(step, plan);
    step->state = plan;
    return true;
}

/* --- run ---------------------------------------------------------------------------------------------------------- */

struct qproduct_work {
    const struct step *step;
    const struct qproduct *product;
    const struct qproduct_plan *plan;
    const uint8_t *a8;
    bool a_signed;
    float a_scale;  /* of DynamicQuantizeMatMul */
    int32_t a_zero; /* the same */
    char *a;        /* [rows], laid */
    int32_t *sums;  /* [rows] of a, less its zero points */
    float *factor;  /* [sets][n] */
    int32_t *zero;  /* [sets][n] of the right side as it is packed */
    int32_t *c;     /* [matrices][n] what all rows add: C, the zero point of the left side */
    const char *packed;
    bool zeros, scaled_rows, zero_rows, c_rows; /* any zero is not 0; a_scale, a_zero, C differ by row */
};

/* A parameter of the left side for row `row` of all. */
static int64_t row_index(const struct qproduct_plan *plan, const struct tensor *t, int64_t row)
{
    const int64_t n = tensor_elements(t);
    return n == 1 ? 0 : n == plan->m_each ? row % plan->m_each : row;
}

static int64_t column_index(const struct qproduct_plan *plan, const struct tensor *t, int64_t column)
{
    const int64_t n = tensor_elements(t);
    return n == 1 ? 0 : n == plan->n ? column % plan->n : column;
}

/* Of the row as it is laid. */
static uint32_t row_zero(const struct qproduct_work *work, int64_t row)
{
    const struct tensor *zero = op_in(work->step, work->product->slots->a_zero);
    const uint32_t flip = work->a_signed ? 128 : 0;
    if (work->product->kind == PRODUCT_DYNAMIC)
        return (uint32_t)work->a_zero;
    return zero ? flip + (uint32_t)quant_zero(zero, row_index(work->plan, zero, row)) : flip;
}

static const int32_t *column_sums(const struct qproduct_work *work, int64_t matrix)
{
    const struct qproduct_plan *plan = work->plan;
    return (const int32_t *)(const void *)(work->packed + plan->matrix_bytes * (size_t)matrix +
                                           sums_at(work->step->kernels, plan->k, plan->n));
}

/* A column of the transposed left side. */
static int32_t left_column(const struct qproduct_work *work, char *a, int64_t row)
{
    enum { PIECE = 256 };
    const struct qproduct_plan *plan = work->plan;
    const struct quantize_kernels *kernels = work->step->kernels->quantize;
    uint8_t piece[PIECE];
    uint32_t sum = 0;
    for (int64_t at = 0; at < plan->k; at += PIECE) {
        const int64_t n = plan->k - at < PIECE ? plan->k - at : PIECE;
        for (int64_t i = 0; i < n; i++)
            piece[i] = work->a8[(at + i) * plan->m + row];
        sum += (uint32_t)kernels->dot_pack_row(a + kernels->dot_row_bytes(at), piece, work->a_signed, n);
    }
    return (int32_t)sum;
}

static void left_rows(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct qproduct_work *work = arg;
    const struct qproduct_plan *plan = work->plan;
    for (int64_t row = from; row < to; row++) {
        char *a = work->a + plan->row_bytes * (size_t)row;
        const int32_t sum =
            work->product->trans_a
                ? left_column(work, a, row)
                : work->step->kernels->quantize->dot_pack_row(a, work->a8 + row * plan->k, work->a_signed, plan->k);
        work->sums[row] = (int32_t)((uint32_t)sum - (uint32_t)plan->k * row_zero(work, row));
    }
}

static float left_scale(const struct qproduct_work *work, int64_t row)
{
    const struct tensor *scale = op_in(work->step, work->product->slots->a_scale);
    if (work->product->kind == PRODUCT_DYNAMIC)
        return work->a_scale;
    return scale ? quant_scale(scale, row_index(work->plan, scale, row)) : 1;
}

/* Factors of columns [from, from + n) of all sets, for one row. */
static void make_factors(const struct qproduct_work *work, int64_t row, int64_t from, int64_t n, float *factor)
{
    const struct slots *slots = work->product->slots;
    const struct tensor *b_scale = op_in(work->step, slots->b_scale);
    const struct tensor *y_scale = op_in(work->step, slots->y_scale);
    const float left = work->product->alpha * left_scale(work, row);
    for (int64_t i = 0; i < n; i++) {
        float value = left;
        if (b_scale)
            value *= quant_scale(b_scale, column_index(work->plan, b_scale, from + i));
        factor[i] = y_scale ? value / quant_scale(y_scale, 0) : value;
    }
}

static void make_columns(struct qproduct_work *work)
{
    const struct qproduct_plan *plan = work->plan;
    const struct slots *slots = work->product->slots;
    const struct tensor *a_scale = op_in(work->step, slots->a_scale);
    const struct tensor *zero = op_in(work->step, slots->b_zero);
    const struct tensor *c = op_in(work->step, slots->c);
    for (int64_t i = 0; i < plan->sets * plan->n; i++) {
        const int32_t own = zero ? quant_zero(zero, column_index(plan, zero, i)) : 0;
        work->zero[i] = own - (plan->b_signed ? 0 : 128);
        work->zeros = work->zeros || work->zero[i] != 0;
    }
    work->scaled_rows = a_scale && tensor_elements(a_scale) > 1;
    work->c_rows = c && plan->c_row > 0;
    if (!work->scaled_rows)
        make_factors(work, 0, 0, plan->sets * plan->n, work->factor);
    const struct tensor *a_zero = op_in(work->step, slots->a_zero);
    work->zero_rows = a_zero && tensor_elements(a_zero) > 1;
    const uint32_t shift = work->zero_rows ? 0 : row_zero(work, 0);
    for (int64_t matrix = 0; matrix < plan->matrices; matrix++) {
        const int32_t *sums = column_sums(work, matrix);
        for (int64_t i = 0; i < plan->n; i++) {
            const uint32_t own = c && !work->c_rows ? (uint32_t)((const int32_t *)c->data)[i * plan->c_column] : 0;
            work->c[matrix * plan->n + i] = (int32_t)(own - shift * (uint32_t)sums[i]);
        }
    }
}

/* A tile's place: row of all rows of the left side, matrix of the right side, row of the output, columns. */
struct place {
    int64_t a_row, b, y_row, set, from, n;
};

/* What is added to a row's sums: C, and the zero points. */
static const int32_t *row_addend(const struct qproduct_work *work, const struct place *at, int32_t *buffer)
{
    const struct qproduct_plan *plan = work->plan;
    const int32_t *all = work->c + at->b * plan->n + at->from;
    if (!work->zeros && !work->c_rows && !work->zero_rows)
        return all;
    const uint32_t sum = (uint32_t)work->sums[at->a_row];
    const int32_t *zero = work->zero + at->set * plan->n + at->from;
    for (int64_t i = 0; i < at->n; i++)
        buffer[i] = (int32_t)((uint32_t)all[i] - sum * (uint32_t)zero[i]);
    if (work->zero_rows) {
        const int32_t *sums = column_sums(work, at->b) + at->from;
        const uint32_t own = row_zero(work, at->a_row);
        for (int64_t i = 0; i < at->n; i++)
            buffer[i] = (int32_t)((uint32_t)buffer[i] - own * (uint32_t)sums[i]);
    }
    if (work->c_rows) {
        const int32_t *c = op_in(work->step, work->product->slots->c)->data;
        for (int64_t i = 0; i < at->n; i++)
            buffer[i] =
                (int32_t)((uint32_t)buffer[i] + (uint32_t)c[at->a_row * plan->c_row + (at->from + i) * plan->c_column]);
    }
    return buffer;
}

static void finish_row(const struct qproduct_work *work, const struct place *at, const int32_t *sums, int32_t *buffer)
{
    const struct kernels *kernels = work->step->kernels;
    const struct slots *slots = work->product->slots;
    const struct tensor *y = work->step->out[0], *bias = op_in(work->step, slots->bias);
    const int64_t n = at->n, first = at->y_row * work->plan->n + at->from;
    const int32_t *addend = row_addend(work, at, buffer);
    const float *factor = work->factor + at->set * work->plan->n + at->from;
    if (work->scaled_rows) {
        float *own = (float *)(void *)(buffer + TILE_COLUMNS);
        make_factors(work, at->a_row, at->set * work->plan->n + at->from, n, own);
        factor = own;
    }
    if (y->dtype == PERCEPT_INT32) {
        int32_t *to = (int32_t *)y->data + first;
        for (int64_t i = 0; i < n; i++)
            to[i] = (int32_t)((uint32_t)sums[i] + (uint32_t)addend[i]);
    } else if (y->dtype == PERCEPT_FLOAT) {
        float *to = (float *)y->data + first;
        kernels->quantize->rescale(to, sums, addend, factor, n);
        if (bias)
            kernels->map->binary(BINARY_ADD, to, to, (const float *)bias->data + at->from, n);
    } else {
        const int32_t zero = quant_zero(op_in(work->step, slots->y_zero), 0);
        kernels->quantize->requantize((uint8_t *)y->data + first, y->dtype == PERCEPT_INT8, sums, addend, factor, true,
                                      zero, n);
    }
}

/* Tile by tile; at most PRODUCT_BAND rows. */
static void multiply_part(void *arg, const struct product_part *part, int member)
{
    const struct qproduct_work *work = arg;
    const struct qproduct_plan *plan = work->plan;
    const struct kernels *kernels = work->step->kernels;
    char *scratch = (char *)work->step->scratch + plan->tiles_at + tile_bytes() * (size_t)member;
    int32_t *tile = (int32_t *)(void *)scratch;
    const int64_t a_row = (plan->items ? plan->items[2 * part->item] : 0) * plan->m_each + part->row;
    const int64_t b = plan->items ? plan->items[2 * part->item + 1] : 0;
    const char *packed = work->packed + plan->matrix_bytes * (size_t)b;
    for (int64_t column = part->column; column < part->column_end; column += TILE_COLUMNS) {
        const int64_t left = part->column_end - column, n = left < TILE_COLUMNS ? left : TILE_COLUMNS;
        /* the kernel writes column j at c[j]; the tile begins with `column` */
        kernels->quantize->dot(part->rows, n, plan->k, work->a + plan->row_bytes * (size_t)a_row,
                               packed + kernels->quantize->dot_pack_bytes(plan->k, column), tile, TILE_COLUMNS, 0, n);
        for (int64_t r = 0; r < part->rows; r++) {
            const struct place place = {.a_row = a_row + r,
                                        .b = b,
                                        .y_row = part->item * plan->m + part->row + r,
                                        .set = plan->sets > 1 ? b : 0,
                                        .from = column,
                                        .n = n};
            finish_row(work, &place, tile + r * TILE_COLUMNS, tile + PRODUCT_BAND * TILE_COLUMNS);
        }
    }
}

static bool qproduct_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct qproduct *product = step->priv;
    const struct qproduct_plan *plan = step->state;
    const struct tensor *a = step->in[product->slots->a];
    char *scratch = step->scratch;
    if (plan->rows == 0 || plan->n == 0 || plan->batch == 0)
        return true;
    struct qproduct_work work = {
        .step = step,
        .product = product,
        .plan = plan,
        .a8 = a->data,
        .a_signed = plan->a_signed,
        .a = scratch,
        .sums = (int32_t *)(void *)(scratch + plan->sums_at),
        .factor = (float *)(void *)(scratch + plan->factor_at),
        .zero = (int32_t *)(void *)(scratch + plan->zero_at),
        .c = (int32_t *)(void *)(scratch + plan->c_at),
        .packed = plan->lay ? scratch + plan->blob_at : step->packed,
    };
    if (plan->lay)
        qproduct_pack_into(product, step->kernels, step->in[product->slots->b], scratch + plan->blob_at);
    if (product->kind == PRODUCT_DYNAMIC) {
        uint8_t *a8 = (uint8_t *)scratch + plan->a8_at;
        quant_fit(step->kernels, env->watch, a->data, plan->rows * plan->k, &work.a_scale, &work.a_zero);
        step->kernels->quantize->quantize(a8, false, a->data, work.a_scale, work.a_zero, plan->rows * plan->k);
        work.a8 = a8;
    }
    make_columns(&work);
    team_split(env->team, plan->rows, 1 + WALK_GRAIN / (plan->k + 1), left_rows, &work);
    product_run(&plan->cut, env->team, multiply_part, &work);
    return true;
}

/* Sums are exact, in whatever order. Scales and zero points belong to columns, or to everything. */
static void qproduct_batch(struct batch_view *view)
{
    const struct qproduct *product = view->many->priv;
    const struct slots *slots = product->slots;
    const bool gemm = product->kind == PRODUCT_QGEMM;
    struct batch_side a = {view->in[slots->a], *view->many->in[slots->a]};
    const struct batch_side b = {view->in[slots->b], *view->many->in[slots->b]};
    if (product->kind == PRODUCT_DYNAMIC) {
        batch_axis_mixes(view, "fits one scale to the whole batch");
        return;
    }
    for (int i = 0; i < view->many->n_in; i++) {
        const struct tensor *t = view->many->in[i];
        const bool rows = t && (i == slots->a_scale || i == slots->a_zero) && tensor_elements(t) != 1;
        if (i != slots->a && (view->in[i].word != BATCH_SAME || rows)) {
            batch_axis_mixes(view, "its right side or its parameters belong to rows of the batch");
            return;
        }
    }
    if (gemm &&
        (product->trans_a || (slots->c >= 0 && op_in(view->many, slots->c) && op_in(view->many, slots->c)->rank > 1 &&
                              op_in(view->many, slots->c)->dims[0] != 1)))
        return;
    batch_axis_product(view, &a, &b, true);
}

#define PRODUCT_RULE(name, kind_)                                                                                      \
    const struct op_rule op_##name = {.check = qproduct_check,                                                         \
                                      .pack_bytes = qproduct_pack_bytes,                                               \
                                      .pack = qproduct_pack,                                                           \
                                      .shape = qproduct_shape,                                                         \
                                      .run = qproduct_run,                                                             \
                                      .batch = qproduct_batch,                                                         \
                                      .variant = kind_}

PRODUCT_RULE(matmul_integer, PRODUCT_INTEGER);
PRODUCT_RULE(qlinear_matmul, PRODUCT_QLINEAR);
PRODUCT_RULE(qgemm, PRODUCT_QGEMM);
PRODUCT_RULE(dynamic_quantize_matmul, PRODUCT_DYNAMIC);
PRODUCT_RULE(matmul_integer_to_float, PRODUCT_TO_FLOAT);
