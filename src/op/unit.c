/*
 * unit.c - normalizations without parameters: LRN (by neighbouring channels), LpNormalization (to unit
 * length), MeanVarianceNormalization (to unit variance). Those with a scale are in norm.c.
 *
 * They have little in common but that, and none of them is on the way of a network of today, so each is
 * a plain loop: no blocks of channels, nothing is fused. LpNormalization takes doubles as well.
 *
 * What is measured together is fixed by the operator, hence bits do not depend on the batch; but
 * MeanVarianceNormalization's default axes do mix the items of a batch, as ONNX says.
 *
 * Thread: loader, then the session's holder with its team.
 */
#include "op/attr.h"
#include "op/batch_axis.h"
#include "op/op.h"
#include "op/sums.h"
#include "op/walk.h"

#include <math.h>

/* --- LRN ---------------------------------------------------------------------------------------------------------- */

struct lrn {
    float alpha, beta, bias;
    int64_t size;
};

#define LRN_PIXELS 512 /* of one piece */

struct lrn_plan {
    int64_t items, channels, pixels, pieces; /* pieces: of a channel */
};

static bool lrn_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct lrn *lrn = op_priv(ctx, sizeof *lrn, err);
    if (!lrn)
        return false;
    if (!attr_has(ctx, "size"))
        return err_set(err, ERR_MODEL, OP_AT "attribute 'size' is missing", OP_NODE(ctx->node));
    return op_arity(ctx, 1, 1, 1, err) && attr_float(ctx, "alpha", 1e-4f, &lrn->alpha, err) &&
           attr_float(ctx, "beta", 0.75f, &lrn->beta, err) && attr_float(ctx, "bias", 1, &lrn->bias, err) &&
           attr_int_in(ctx, "size", 1, 1, (int64_t)1 << 30, &lrn->size, err);
}

static void shape_like(struct step *step)
{
    const struct tensor *x = step->in[0];
    op_set_out(step, 0, x->dtype, x->rank, x->dims);
    step->flops = 2.0 * (double)tensor_elements(x);
}

static bool lrn_shape(struct step *step, struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    struct lrn_plan *plan = arena_alloc(step->arena, sizeof *plan);
    if (!plan)
        return err_memory(err, "a normalization's plan", sizeof *plan);
    if (!op_want_dtype(step, 0, PERCEPT_FLOAT, err))
        return false;
    if (x->rank < 2)
        return err_set(err, ERR_INVALID, OP_AT "an input of rank %d; 2 to %d work", OP_NODE(step->node), x->rank,
                       RANK_MAX);
    *plan = (struct lrn_plan){.items = x->dims[0], .channels = x->dims[1], .pixels = tensor_span(x, 2, x->rank)};
    plan->pieces = (plan->pixels + LRN_PIXELS - 1) / LRN_PIXELS;
    step->state = plan;
    shape_like(step);
    return true;
}

/* sums[i] = squares of channels [first, last] at `n` pixels: eight channels in float, and these in double. */
static void lrn_squares(const float *x, int64_t pixels, int64_t first, int64_t last, int64_t n, double *sums)
{
    for (int64_t i = 0; i < n; i++)
        sums[i] = 0;
    for (int64_t c = first; c <= last; c += 8) {
        const int64_t end = c + 7 < last ? c + 7 : last;
        float part[LRN_PIXELS] = {0};
        for (int64_t k = c; k <= end; k++) {
            for (int64_t i = 0; i < n; i++)
                part[i] += x[k * pixels + i] * x[k * pixels + i];
        }
        for (int64_t i = 0; i < n; i++)
            sums[i] += (double)part[i];
    }
}

/* The squares of `size` neighbouring channels, half of them (the smaller one) before. Pieces: some pixels of
 * a channel. */
static void lrn_pieces(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const struct lrn *lrn = step->priv;
    const struct lrn_plan *plan = step->state;
    const struct kernels *kernels = step->kernels;
    const int64_t before = (lrn->size - 1) / 2, after = lrn->size - 1 - before;
    for (int64_t piece = from; piece < to; piece++) {
        const int64_t map = piece / plan->pieces, at = piece % plan->pieces * LRN_PIXELS;
        const int64_t n = plan->pixels - at < LRN_PIXELS ? plan->pixels - at : LRN_PIXELS;
        const int64_t c = map % plan->channels;
        const int64_t first = c > before ? c - before : 0;
        const int64_t last = c + after < plan->channels - 1 ? c + after : plan->channels - 1;
        const float *x = (const float *)step->in[0]->data + (map - c) * plan->pixels + at;
        float *y = (float *)step->out[0]->data + map * plan->pixels + at;
        double sums[LRN_PIXELS];
        lrn_squares(x, plan->pixels, first, last, n, sums);
        for (int64_t i = 0; i < n; i++)
            y[i] = (float)sums[i];
        kernels->map->affine(y, y, lrn->alpha / (float)lrn->size, lrn->bias, n);
        kernels->map->binary_scalar(BINARY_POW, y, y, lrn->beta, n);
        kernels->map->binary(BINARY_DIV, y, x + c * plan->pixels, y, n);
    }
}

static bool lrn_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct lrn_plan *plan = step->state;
    team_split(env->team, plan->items * plan->channels * plan->pieces, 8, lrn_pieces, step);
    return true;
}

const struct op_rule op_lrn = {.check = lrn_check, .shape = lrn_shape, .run = lrn_run, .batch = batch_axis_items};

/* --- LpNormalization ---------------------------------------------------------------------------------------------- */

struct lp {
    int64_t axis, p;
};

struct lp_plan {
    int64_t rows, n, inner; /* [rows][n][inner], measured along n */
};

static bool lp_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct lp *lp = op_priv(ctx, sizeof *lp, err);
    if (!lp)
        return false;
    return op_arity(ctx, 1, 1, 1, err) && attr_int(ctx, "axis", -1, &lp->axis, err) &&
           attr_int_in(ctx, "p", 2, 1, 2, &lp->p, err);
}

/* How the lengths of floats are summed. */
static struct sums lp_sums(const struct step *step)
{
    const struct lp_plan *plan = step->state;
    const struct lp *lp = step->priv;
    const bool absolute = lp->p == 1;
    return (struct sums){.op = absolute ? REDUCE_L1 : REDUCE_SUM_SQUARE,
                         .finish = absolute ? SUMS_AS_IT_IS : SUMS_ROOT,
                         .outer = plan->rows,
                         .n = plan->n,
                         .inner = plan->inner};
}

static bool lp_shape(struct step *step, struct percept_err *err)
{
    const struct lp *lp = step->priv;
    const struct tensor *x = step->in[0];
    struct lp_plan *plan = arena_alloc(step->arena, sizeof *plan);
    int axis;
    if (!plan)
        return err_memory(err, "a normalization's plan", sizeof *plan);
    if ((x->dtype != PERCEPT_DOUBLE && !op_want_dtype(step, 0, PERCEPT_FLOAT, err)) ||
        !op_axis(step, lp->axis, x->rank, &axis, err))
        return false;
    *plan = (struct lp_plan){
        .rows = tensor_span(x, 0, axis), .n = x->dims[axis], .inner = tensor_span(x, axis + 1, x->rank)};
    step->state = plan;
    step->scratch_bytes = (size_t)plan->inner * sizeof(double);
    if (x->dtype == PERCEPT_FLOAT) {
        const struct sums sums = lp_sums(step);
        step->scratch_bytes = (size_t)(plan->rows * plan->inner) * sizeof(float) + sums_scratch_bytes(&sums);
    }
    step->inplace = 1;
    shape_like(step);
    return true;
}

/* Pieces: positions of rows, each of them `inner` numbers with lengths of their own. */
static void lp_divide_rows(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const struct lp_plan *plan = step->state;
    for (int64_t i = from; i < to; i++)
        step->kernels->map->binary(BINARY_DIV, (float *)step->out[0]->data + i * plan->inner,
                                   (const float *)step->in[0]->data + i * plan->inner,
                                   (const float *)step->scratch + i / plan->n * plan->inner, plan->inner);
}

/* Pieces: elements of rows of one length each. */
static void lp_divide_runs(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const struct lp_plan *plan = step->state;
    while (from < to) {
        const int64_t row = from / plan->n, end = (row + 1) * plan->n < to ? (row + 1) * plan->n : to;
        step->kernels->map->binary_scalar(BINARY_DIV, (float *)step->out[0]->data + from,
                                          (const float *)step->in[0]->data + from, ((const float *)step->scratch)[row],
                                          end - from);
        from = end;
    }
}

/* Lengths of nothing but zeros are 1, so that these stay what they are. */
static void lp_floats(struct step *step, struct run_env *env)
{
    const struct lp_plan *plan = step->state;
    const struct sums sums = lp_sums(step);
    float *length = step->scratch;
    const int64_t lengths = plan->rows * plan->inner;
    if (tensor_elements(step->in[0]) == 0)
        return;
    sums_run(&sums, step->kernels, env->team, step->in[0]->data, length, length + lengths);
    for (op_blocks(env, lengths, from, to)) {
        for (int64_t i = from; i < to; i++)
            length[i] = length[i] == 0 ? 1 : length[i];
    }
    if (plan->inner == 1)
        team_split(env->team, plan->rows * plan->n, WALK_GRAIN, lp_divide_runs, step);
    else
        team_split(env->team, plan->rows * plan->n, 1 + WALK_GRAIN / plan->inner, lp_divide_rows, step);
}

static void lp_doubles(const struct step *step, struct run_env *env)
{
    const struct lp *lp = step->priv;
    const struct lp_plan *plan = step->state;
    const int64_t inner = plan->inner, n = plan->n * inner; /* of a row */
    double *length = step->scratch;
    for (int64_t row = 0; row < plan->rows && op_spend(env, 1 + inner); row++) {
        const double *x = (const double *)step->in[0]->data + row * n;
        double *y = (double *)step->out[0]->data + row * n;
        for (int64_t i = 0; i < inner; i++)
            length[i] = 0;
        for (op_blocks(env, n, from, to)) {
            for (int64_t i = from; i < to; i++)
                length[i % inner] += lp->p == 1 ? fabs(x[i]) : x[i] * x[i];
        }
        for (int64_t i = 0; i < inner; i++) {
            const double l = lp->p == 1 ? length[i] : sqrt(length[i]);
            length[i] = l == 0 ? 1 : l;
        }
        for (op_blocks(env, n, from, to)) {
            for (int64_t i = from; i < to; i++)
                y[i] = x[i] / length[i % inner];
        }
    }
}

static bool lp_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    if (step->in[0]->dtype == PERCEPT_DOUBLE)
        lp_doubles(step, env);
    else
        lp_floats(step, env);
    return true;
}

static void lp_batch(struct batch_view *view)
{
    const struct lp *lp = view->many->priv;
    batch_axis_along(view, lp->axis);
}

const struct op_rule op_lp_normalization = {.check = lp_check, .shape = lp_shape, .run = lp_run, .batch = lp_batch};

/* --- MeanVarianceNormalization ------------------------------------------------------------------------------------ */

struct mvn {
    const int64_t *axes; /* measured together */
    int n_axes;
};

struct mvn_plan {
    int64_t kept;              /* groups */
    int64_t strides[RANK_MAX]; /* of the groups, 0 along what is measured together */
};

static bool mvn_check(struct node_ctx *ctx, struct percept_err *err)
{
    static const int64_t usual[] = {0, 2, 3};
    struct mvn *mvn = op_priv(ctx, sizeof *mvn, err);
    if (!mvn)
        return false;
    if (!op_arity(ctx, 1, 1, 1, err) || !attr_ints(ctx, "axes", &mvn->axes, &mvn->n_axes, err))
        return false;
    if (!attr_has(ctx, "axes"))
        *mvn = (struct mvn){.axes = usual, .n_axes = 3};
    return true;
}

static bool mvn_shape(struct step *step, struct percept_err *err)
{
    const struct mvn *mvn = step->priv;
    const struct tensor *x = step->in[0];
    struct mvn_plan *plan = arena_alloc(step->arena, sizeof *plan);
    bool together[RANK_MAX] = {false};
    if (!plan)
        return err_memory(err, "a normalization's plan", sizeof *plan);
    if (!op_want_dtype(step, 0, PERCEPT_FLOAT, err))
        return false;
    for (int i = 0; i < mvn->n_axes; i++) {
        int axis;
        if (!op_axis(step, mvn->axes[i], x->rank, &axis, err))
            return false;
        together[axis] = true;
    }
    plan->kept = 1;
    for (int i = x->rank - 1; i >= 0; i--) {
        plan->strides[i] = together[i] ? 0 : plan->kept;
        plan->kept *= together[i] ? 1 : x->dims[i];
    }
    step->scratch_bytes = (size_t)plan->kept * 2 * sizeof(double);
    step->state = plan;
    shape_like(step);
    return true;
}

/* Index of the group that element `at` is measured with. */
static int64_t mvn_group(const struct mvn_plan *plan, const struct tensor *x, int64_t at)
{
    int64_t group = 0;
    for (int i = x->rank - 1; i >= 0; i--) {
        group += at % x->dims[i] * plan->strides[i];
        at /= x->dims[i];
    }
    return group;
}

static bool mvn_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct mvn_plan *plan = step->state;
    const struct tensor *t = step->in[0];
    const int64_t n = tensor_elements(t);
    if (n == 0)
        return true;
    const float *x = t->data;
    float *y = step->out[0]->data;
    double *mean = step->scratch, *variance = mean + plan->kept;
    const double each = (double)(n / plan->kept);
    for (op_blocks(env, plan->kept, from, to)) {
        for (int64_t i = from; i < to; i++)
            mean[i] = variance[i] = 0;
    }
    for (op_blocks(env, n, from, to)) {
        for (int64_t i = from; i < to; i++)
            mean[mvn_group(plan, t, i)] += (double)x[i] / each;
    }
    for (op_blocks(env, n, from, to)) {
        for (int64_t i = from; i < to; i++) {
            const int64_t group = mvn_group(plan, t, i);
            const double d = (double)x[i] - mean[group];
            variance[group] += d * d / each;
        }
    }
    for (op_blocks(env, n, from, to)) {
        for (int64_t i = from; i < to; i++) {
            const int64_t group = mvn_group(plan, t, i);
            y[i] = (float)(((double)x[i] - mean[group]) / (sqrt(variance[group]) + 1e-9));
        }
    }
    return true;
}

/* Sums go over the elements in order, whatever lies between them. */
static void mvn_batch(struct batch_view *view)
{
    const struct mvn *mvn = view->many->priv;
    bool together[RANK_MAX] = {false};
    for (int i = 0; i < mvn->n_axes; i++) {
        int axis;
        if (!op_axis(view->many, mvn->axes[i], view->many->in[0]->rank, &axis, NULL))
            return;
        together[axis] = true;
    }
    batch_axis_keep(view, together);
}

const struct op_rule op_mean_variance_normalization = {
    .check = mvn_check, .shape = mvn_shape, .run = mvn_run, .batch = mvn_batch};
