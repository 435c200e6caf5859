/*
 * softmax.c - Softmax, LogSoftmax, Hardmax.
 *
 * Since opset 13 they work along one axis (the last by default). Before, the input was seen as a
 * matrix: the axes from `axis` (1 by default) on were one row, and a row was the whole domain of
 * the sum.
 *
 * Doubles take a plain loop. Work is split over the outer rows and, within one, over columns. Thread: loader,
 * then the session's holder with its team.
 */
#include "op/softmax.h"

#include <math.h>

#include "op/attr.h"
#include "op/batch_axis.h"

#define SOFTMAX_PIECE ((int64_t)1 << 18) /* numbers of one piece where columns are split */

enum softmax_kind { SOFTMAX, SOFTMAX_LOG, SOFTMAX_HARD };

struct softmax {
    enum softmax_kind kind;
    int64_t axis;
    bool flat; /* opset < 13 */
};

static bool softmax_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct softmax *softmax = arena_alloc(ctx->arena, sizeof *softmax);
    if (!softmax)
        return err_memory(err, "a softmax", sizeof *softmax);
    *softmax = (struct softmax){.kind = (enum softmax_kind)ctx->node->op->rule->variant,
                                .flat = ctx->node->opset < 13};
    ctx->node->priv = softmax;
    return op_arity(ctx, 1, 1, 1, err) &&
           attr_int(ctx, "axis", softmax->flat ? 1 : -1, &softmax->axis, err);
}

bool softmax_lines(const struct step *step, int64_t axis, bool flat, struct softmax_lines *lines,
                   struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    int first = x->rank;
    if ((!flat || axis != x->rank) && !op_axis(step, axis, x->rank, &first, err)) /* else rows of one */
        return false;
    const int end = flat ? x->rank : first + 1;
    *lines = (struct softmax_lines){.outer = tensor_span(x, 0, first),
                                    .n = tensor_span(x, first, end),
                                    .inner = tensor_span(x, end, x->rank)};
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
    step->flops = 4.0 * (double)tensor_elements(x);
    return true;
}

/* 1 at the first maximum, else 0. */
#define HARDMAX(name, T)                                                                           \
    static void name(T *y, const T *x, int64_t n, int64_t inner)                                   \
    {                                                                                              \
        for (int64_t j = 0; j < inner; j++) {                                                      \
            int64_t best = 0;                                                                      \
            for (int64_t i = 1; i < n; i++)                                                        \
                best = x[i * inner + j] > x[best * inner + j] ? i : best;                          \
            for (int64_t i = 0; i < n; i++)                                                        \
                y[i * inner + j] = i == best ? 1 : 0;                                              \
        }                                                                                          \
    }

HARDMAX(hardmax, float)
HARDMAX(hardmax_double, double)

/* y may be x. */
static void softmax_double(double *y, const double *x, int64_t n, int64_t inner, bool logarithm)
{
    for (int64_t j = 0; j < inner; j++) {
        double most = x[j], sum = 0;
        for (int64_t i = 1; i < n; i++)
            most = x[i * inner + j] > most ? x[i * inner + j] : most;
        for (int64_t i = 0; i < n; i++)
            sum += exp(x[i * inner + j] - most);
        for (int64_t i = 0; i < n; i++) {
            const double at = x[i * inner + j] - most;
            y[i * inner + j] = logarithm ? at - log(sum) : exp(at) / sum;
        }
    }
}

static void double_rows(const struct step *step, int64_t from, int64_t to)
{
    const struct softmax *softmax = step->priv;
    const struct softmax_lines *plan = step->state;
    const int64_t each = plan->n * plan->inner;
    for (int64_t row = from; row < to; row++) {
        const double *x = (const double *)step->in[0]->data + row * each;
        double *y = (double *)step->out[0]->data + row * each;
        if (softmax->kind == SOFTMAX_HARD)
            hardmax_double(y, x, plan->n, plan->inner);
        else
            softmax_double(y, x, plan->n, plan->inner, softmax->kind == SOFTMAX_LOG);
    }
}

/* Columns of one piece: a pure function of the shape. Hardmax and doubles take rows as a whole. */
static int64_t piece_columns(const struct step *step)
{
    const struct softmax *softmax = step->priv;
    const struct softmax_lines *plan = step->state;
    const int64_t some = SOFTMAX_PIECE / plan->n / 64 * 64;
    if (step->in[0]->dtype == PERCEPT_DOUBLE || softmax->kind == SOFTMAX_HARD || some >= plan->inner)
        return plan->inner;
    return some > 64 ? some : 64;
}

static void softmax_pieces(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const struct softmax *softmax = step->priv;
    const struct softmax_lines *plan = step->state;
    const int64_t each = plan->n * plan->inner, most = piece_columns(step);
    const int64_t pieces = (plan->inner + most - 1) / most;
    if (step->in[0]->dtype == PERCEPT_DOUBLE) {
        double_rows(step, from, to);
        return;
    }
    for (int64_t i = from; i < to; i++) {
        const int64_t column = i % pieces * most, left = plan->inner - column;
        const int64_t at = i / pieces * each + column;
        const float *x = (const float *)step->in[0]->data + at;
        float *y = (float *)step->out[0]->data + at;
        if (softmax->kind == SOFTMAX_HARD)
            hardmax(y, x, plan->n, plan->inner);
        else
            step->kernels->softmax(y, x, plan->n, plan->inner, left < most ? left : most,
                                   softmax->kind == SOFTMAX_LOG);
    }
}

static bool softmax_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct softmax_lines *plan = step->state;
    if (plan->n == 0 || plan->inner == 0)
        return true;
    const int64_t most = piece_columns(step), pieces = (plan->inner + most - 1) / most;
    team_split(env->team, plan->outer * pieces, pieces > 1 ? 1 : 4, softmax_pieces, step);
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

#define SOFTMAX_RULE(name, kind_)                                                                  \
    const struct op_rule op_##name = {                                                             \
        .check = softmax_check, .shape = softmax_shape, .run = softmax_run, .batch = softmax_batch, \
        .variant = kind_}

SOFTMAX_RULE(softmax, SOFTMAX);
SOFTMAX_RULE(log_softmax, SOFTMAX_LOG);
SOFTMAX_RULE(hardmax, SOFTMAX_HARD);
