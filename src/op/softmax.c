/*
 * softmax.c - Softmax, LogSoftmax, Hardmax.
 *
 * Since opset 13 they work along one axis (the last by default). Before, the input was seen as a
 * matrix: the axes from `axis` (1 by default) on were one row, and a row was the whole domain of
 * the sum.
 *
 * Work is split over the outer rows and, within one, over columns; a long line of floats is done in slabs. Doubles
 * and Hardmax take plain loops over a row as a whole, which look at the watch. Thread: loader, then the session's
 * holder with its team.
 */
#include "op/softmax.h"

#include <math.h>
#include <string.h>

#include "op/attr.h"
#include "op/batch_axis.h"
#include "op/sums.h"

#define SOFTMAX_PIECE ((int64_t)1 << 18) /* numbers of one piece where columns are split */
#define ROW_UNITS 2                      /* an element of a plain loop, in watch_spend's units */
#define SOFTMAX_LONG ((int64_t)1 << 16)  /* a line of more is done in slabs */
#define SOFTMAX_SLAB 1024                /* positions of a line, and columns of a piece of them */

enum softmax_kind { SOFTMAX, SOFTMAX_LOG, SOFTMAX_HARD };

struct softmax {
    enum softmax_kind kind;
    int64_t axis;
    bool flat; /* opset < 13 */
};

static bool softmax_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct softmax *softmax = op_priv(ctx, sizeof *softmax, err);
    if (!softmax)
        return false;
    *softmax = (struct softmax){.kind = (enum softmax_kind)ctx->node->op->rule->variant, .flat = ctx->node->opset < 13};
    return op_arity(ctx, 1, 1, 1, err) && attr_int(ctx, "axis", softmax->flat ? 1 : -1, &softmax->axis, err);
}

bool softmax_lines(const struct step *step, int64_t axis, bool flat, struct softmax_lines *lines,
                   struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    int first = x->rank;
    if ((!flat || axis != x->rank) && !op_axis(step, axis, x->rank, &first, err)) /* else rows of one */
        return false;
    const int end = flat ? x->rank : first + 1;
    *lines = (struct softmax_lines){
        .outer = tensor_span(x, 0, first), .n = tensor_span(x, first, end), .inner = tensor_span(x, end, x->rank)};
    return true;
}

/* 1 at the first maximum, else 0. */
#define HARDMAX(name, T)                                                                                               \
    static void name(struct op_share *share, T *y, const T *x, int64_t n, int64_t inner)                               \
    {                                                                                                                  \
        for (int64_t j = 0; j < inner; j++) {                                                                          \
            int64_t best = 0;                                                                                          \
            for (op_share_blocks(share, n, ROW_UNITS, from, to))                                                       \
                for (int64_t i = from; i < to; i++)                                                                    \
                    best = x[i * inner + j] > x[best * inner + j] ? i : best;                                          \
            for (op_share_blocks(share, n, ROW_UNITS, from, to))                                                       \
                for (int64_t i = from; i < to; i++)                                                                    \
                    y[i * inner + j] = i == best ? 1 : 0;                                                              \
        }                                                                                                              \
    }

HARDMAX(hardmax, float)
HARDMAX(hardmax_double, double)

/* y may be x. */
static void softmax_double(struct op_share *share, double *y, const double *x, int64_t n, int64_t inner, bool logarithm)
{
    for (int64_t j = 0; j < inner; j++) {
        double most = x[j], sum = 0;
        for (op_share_blocks(share, n, ROW_UNITS, from, to)) {
            for (int64_t i = from; i < to; i++)
                most = x[i * inner + j] > most ? x[i * inner + j] : most;
        }
        for (op_share_blocks(share, n, ROW_UNITS, from, to)) {
            for (int64_t i = from; i < to; i++)
                sum += exp(x[i * inner + j] - most);
        }
        for (op_share_blocks(share, n, ROW_UNITS, from, to)) {
            for (int64_t i = from; i < to; i++) {
                const double at = x[i * inner + j] - most;
                y[i * inner + j] = logarithm ? at - log(sum) : exp(at) / sum;
            }
        }
    }
}

/* Rows as a whole: doubles, and Hardmax. */
static void plain_rows(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    struct op_share share = *(const struct op_share *)arg;
    const struct step *step = share.step;
    const struct softmax *softmax = step->priv;
    const enum softmax_kind kind = softmax->kind;
    const struct softmax_lines *plan = step->state;
    const int64_t each = plan->n * plan->inner;
    for (int64_t row = from; row < to; row++) {
        if (step->in[0]->dtype == PERCEPT_FLOAT) {
            hardmax(&share, (float *)step->out[0]->data + row * each, (const float *)step->in[0]->data + row * each,
                    plan->n, plan->inner);
            continue;
        }
        const double *x = (const double *)step->in[0]->data + row * each;
        double *y = (double *)step->out[0]->data + row * each;
        if (kind == SOFTMAX_HARD)
            hardmax_double(&share, y, x, plan->n, plan->inner);
        else
            softmax_double(&share, y, x, plan->n, plan->inner, kind == SOFTMAX_LOG);
    }
}

/* Columns of one piece: a pure function of the shape. */
static int64_t piece_columns(const struct softmax_lines *plan)
{
    const int64_t some = SOFTMAX_PIECE / plan->n / 64 * 64;
    return some >= plan->inner ? plan->inner : some > 64 ? some : 64;
}

static void softmax_pieces(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const struct softmax *softmax = step->priv;
    const struct softmax_lines *plan = step->state;
    const int64_t each = plan->n * plan->inner, most = piece_columns(plan);
    const int64_t pieces = (plan->inner + most - 1) / most;
    for (int64_t i = from; i < to; i++) {
        const int64_t column = i % pieces * most, left = plan->inner - column;
        const int64_t at = i / pieces * each + column;
        step->kernels->reduce->softmax((float *)step->out[0]->data + at, (const float *)step->in[0]->data + at, plan->n,
                                       plan->inner, left < most ? left : most, softmax->kind == SOFTMAX_LOG);
    }
}

/* --- long lines --------------------------------------------------------------------------------------------------- */

/*
 * Slabs of a long line have their maxima and sums in scratch, which are joined in turn. What a slab is depends on n
 * alone, as columns may be items of a batch.
 */
static bool in_slabs(const struct step *step)
{
    const struct softmax *softmax = step->priv;
    const struct softmax_lines *plan = step->state;
    return plan->n > SOFTMAX_LONG && step->in[0]->dtype == PERCEPT_FLOAT && softmax->kind != SOFTMAX_HARD;
}

static int64_t parts_of(int64_t n)
{
    return (n + SOFTMAX_SLAB - 1) / SOFTMAX_SLAB;
}

/* Some columns of a slab. */
struct slab {
    int64_t at, rows, columns; /* of the tensor: first element, positions, columns */
    float *part;               /* its place in [outer][slabs][inner] */
    const float *whole;        /* in [outer][inner]: what all slabs of its line gave */
};

static struct slab slab_of(const struct step *step, int64_t piece)
{
    const struct softmax_lines *plan = step->state;
    const int64_t slabs = parts_of(plan->n), column = piece % parts_of(plan->inner) * SOFTMAX_SLAB;
    const int64_t line = piece / parts_of(plan->inner), first = line % slabs * SOFTMAX_SLAB;
    const int64_t rows = plan->n - first, columns = plan->inner - column;
    float *parts = step->scratch, *whole = parts + plan->outer * slabs * plan->inner;
    return (struct slab){.at = (line / slabs * plan->n + first) * plan->inner + column,
                         .rows = rows < SOFTMAX_SLAB ? rows : SOFTMAX_SLAB,
                         .columns = columns < SOFTMAX_SLAB ? columns : SOFTMAX_SLAB,
                         .part = parts + line * plan->inner + column,
                         .whole = whole + line / slabs * plan->inner + column};
}

/* y = x op the line's number, each column having its own. */
static void slab_apply(const struct step *step, const struct slab *slab, enum binary op, float *y, const float *x)
{
    const int64_t inner = ((const struct softmax_lines *)step->state)->inner;
    if (inner == 1) {
        step->kernels->map->binary_scalar(op, y, x, slab->whole[0], slab->rows);
        return;
    }
    for (int64_t i = 0; i < slab->rows; i++)
        step->kernels->map->binary(op, y + i * inner, x + i * inner, slab->whole, slab->columns);
}

static void slab_maxima(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const int64_t inner = ((const struct softmax_lines *)step->state)->inner;
    for (int64_t i = from; i < to; i++) {
        const struct slab slab = slab_of(step, i);
        step->kernels->reduce->run(REDUCE_MAX, slab.part, (const float *)step->in[0]->data + slab.at, slab.rows, inner,
                                   slab.columns);
    }
}

/* y = x - maximum, and the sums of exp(y). */
static void slab_sums(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const int64_t inner = ((const struct softmax_lines *)step->state)->inner;
    float held[SOFTMAX_SLAB + 16]; /* a line of the slab, or one position of some */
    double sums[SOFTMAX_SLAB];
    for (int64_t i = from; i < to; i++) {
        const struct slab slab = slab_of(step, i);
        float *y = (float *)step->out[0]->data + slab.at;
        slab_apply(step, &slab, BINARY_SUB, y, (const float *)step->in[0]->data + slab.at);
        if (inner == 1) {
            step->kernels->map->unary(UNARY_EXP, held, y, slab.rows, 0, 0);
            step->kernels->reduce->run(REDUCE_SUM, slab.part, held, slab.rows, 1, 1);
            continue;
        }
        memset(sums, 0, sizeof sums);
        for (int64_t k = 0; k < slab.rows; k++) {
            step->kernels->map->unary(UNARY_EXP, held, y + k * inner, slab.columns, 0, 0);
            for (int64_t c = 0; c < slab.columns; c++)
                sums[c] += (double)held[c];
        }
        for (int64_t c = 0; c < slab.columns; c++)
            slab.part[c] = (float)sums[c];
    }
}

/* y = exp(y) / sum, or y - log(sum): `whole` is the sum or its logarithm. */
static void slab_ends(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const struct softmax *softmax = step->priv;
    const bool logarithm = softmax->kind == SOFTMAX_LOG;
    const int64_t inner = ((const struct softmax_lines *)step->state)->inner;
    for (int64_t i = from; i < to; i++) {
        const struct slab slab = slab_of(step, i);
        float *y = (float *)step->out[0]->data + slab.at;
        for (int64_t k = 0; !logarithm && k < slab.rows; k += inner == 1 ? slab.rows : 1)
            step->kernels->map->unary(UNARY_EXP, y + k * inner, y + k * inner, inner == 1 ? slab.rows : slab.columns, 0,
                                      0);
        slab_apply(step, &slab, logarithm ? BINARY_SUB : BINARY_DIV, y, y);
    }
}

static void run_slabs(struct step *step, struct run_env *env)
{
    const struct softmax *softmax = step->priv;
    const struct softmax_lines *plan = step->state;
    const int64_t slabs = parts_of(plan->n), pieces = plan->outer * slabs * parts_of(plan->inner);
    const struct sums most = {.op = REDUCE_MAX, .outer = plan->outer, .n = slabs, .inner = plan->inner};
    struct sums sum = most;
    float *parts = step->scratch, *whole = parts + plan->outer * slabs * plan->inner;
    float *rest = whole + plan->outer * plan->inner;
    sum.op = REDUCE_SUM;
    sum.finish = softmax->kind == SOFTMAX_LOG ? SUMS_LOGARITHM : SUMS_AS_IT_IS;
    team_split(env->team, pieces, 1, slab_maxima, step);
    sums_run(&most, step->kernels, env->team, parts, whole, rest);
    team_split(env->team, pieces, 1, slab_sums, step);
    sums_run(&sum, step->kernels, env->team, parts, whole, rest);
    team_split(env->team, pieces, 1, slab_ends, step);
}

static size_t slabs_scratch_bytes(const struct softmax_lines *plan)
{
    const int64_t slabs = parts_of(plan->n);
    const struct sums join = {.op = REDUCE_SUM, .outer = plan->outer, .n = slabs, .inner = plan->inner};
    return (size_t)(plan->outer * (slabs + 1) * plan->inner) * sizeof(float) + sums_scratch_bytes(&join);
}

static bool softmax_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct softmax *softmax = step->priv;
    const struct softmax_lines *plan = step->state;
    if (plan->n == 0 || plan->inner == 0)
        return true;
    if (in_slabs(step)) {
        run_slabs(step, env);
        return true;
    }
    if (step->in[0]->dtype == PERCEPT_DOUBLE || softmax->kind == SOFTMAX_HARD) {
        struct op_share share = op_share(step, env);
        team_split(env->team, plan->outer, 4, plain_rows, &share);
        return true;
    }
    const int64_t most = piece_columns(plan), pieces = (plan->inner + most - 1) / most;
    team_split(env->team, plan->outer * pieces, pieces > 1 ? 1 : 4, softmax_pieces, step);
    return true;
}

static bool softmax_shape(struct step *step, struct percept_err *err)
{
    const struct softmax *softmax = step->priv;
    const struct tensor *x = step->in[0];
    struct softmax_lines *plan = arena_alloc(step->arena, sizeof *plan);
    if (!plan)
        return err_memory(err, "a softmax's plan", sizeof *plan);
    if (x->dtype != PERCEPT_DOUBLE && !op_want_dtype(step, 0, PERCEPT_FLOAT, err))
        return false;
    if (!softmax_lines(step, softmax->axis, softmax->flat, plan, err))
        return false;
    op_set_out(step, 0, x->dtype, x->rank, x->dims);
    step->inplace = 1;
    step->state = plan;
    if (in_slabs(step))
        step->scratch_bytes = slabs_scratch_bytes(plan);
    step->flops = 4.0 * (double)tensor_elements(x);
    return true;
}

void softmax_apart(struct batch_view *view, int64_t axis, bool flat)
{
    const int rank = view->many->in[0]->rank;
    if (flat)
        batch_axis_lead(view, (int)(axis < 0 ? axis + rank : axis));
    else
        batch_axis_along(view, axis);
}

static void softmax_batch(struct batch_view *view)
{
    const struct softmax *softmax = view->many->priv;
    softmax_apart(view, softmax->axis, softmax->flat);
}

#define SOFTMAX_RULE(name, kind_, flags_)                                                                              \
    const struct op_rule op_##name = {.check = softmax_check,                                                          \
                                      .shape = softmax_shape,                                                          \
                                      .run = softmax_run,                                                              \
                                      .batch = softmax_batch,                                                          \
                                      .variant = kind_,                                                                \
                                      .flags = flags_}

SOFTMAX_RULE(softmax, SOFTMAX, 0);
SOFTMAX_RULE(log_softmax, SOFTMAX_LOG, 0);
SOFTMAX_RULE(hardmax, SOFTMAX_HARD, OP_EXACT);
