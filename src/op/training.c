/*
 * training.c - BatchNormalization in training form: mean and variance come from the batch itself.
 *
 *     y = (x - mean(x)) / sqrt(var(x) + epsilon) scale + B,   running = running momentum + own (1 - momentum)
 *
 * Both are taken per channel over all items and pixels, in two passes of doubles; the variance is that of the
 * whole (divided by n). Up to opset 13 there are four more outputs (running mean and variance, then the batch's
 * own), from 14 on two; up to 8 `spatial` 0 takes every element of an item for a channel.
 *
 * Models should not be served like this: an answer depends on who else is in the batch. What a file says is done
 * all the same, requests for it are never joined, and the node carries a note that says so.
 *
 * norm.c checks the node, sees that it is of this form and hands it over: node->op becomes the row below, which
 * no file can name. Thread: the session's holder with its team. Source: ONNX operator specification,
 * BatchNormalization (1, 6, 7, 9, 14, 15).
 */
#include "op/training.h"

#include "op/attr.h"
#include "op/batch_axis.h"
#include "op/types.h"

#include <math.h>

struct training {
    float epsilon, momentum;
    bool spatial;
};

struct training_plan {
    int64_t items, channels, pixels;
};

/* Statistics of nothing are asked for: along which axis there is nothing, or -1. */
static int missing_axis(const struct step *step, const struct training_plan *plan)
{
    const struct tensor *x = step->in[0];
    int axis = -1;
    for (int d = 0; d < x->rank && plan->items * plan->pixels == 0; d++)
        axis = x->dims[d] == 0 ? d : axis;
    for (int i = 1; i < step->n_out; i++)
        if (step->node->out[i] >= 0 && plan->channels > 0 && !step->from_data)
            return axis;
    return -1;
}

static bool training_shape(struct step *step, struct percept_err *err)
{
    const struct training *training = step->priv;
    const struct tensor *x = step->in[0];
    struct training_plan *plan = arena_alloc(step->arena, sizeof *plan);
    if (!plan)
        return err_memory(err, "a normalization's plan", sizeof *plan);
    step->state = plan;
    if (!op_want_real(step, 0, err))
        return false;
    if (x->rank < 1)
        return err_set(err, ERR_INVALID, OP_AT "an input of rank 0; 1 to %d work", OP_NODE(step->node), RANK_MAX);
    plan->items = x->rank > 1 ? x->dims[0] : 1;
    plan->channels = x->rank > 1 ? tensor_span(x, 1, training->spatial ? 2 : x->rank) : 1;
    plan->pixels = !training->spatial ? 1 : tensor_span(x, x->rank > 1 ? 2 : 0, x->rank);
    op_set_out(step, 0, x->dtype, x->rank, x->dims);
    for (int i = 1; i < 5; i++) {
        if (!op_want_dtype(step, i, x->dtype, err))
            return false;
        if (tensor_elements(step->in[i]) != plan->channels)
            return err_set(err, ERR_INVALID, OP_AT "input %d has %lld elements; %lld, as there are channels, work",
                           OP_NODE(step->node), i, (long long)tensor_elements(step->in[i]), (long long)plan->channels);
    }
    for (int i = 1; i < step->n_out; i++)
        op_set_out(step, i, x->dtype, step->in[3]->rank, step->in[3]->dims);
    step->flops = 6.0 * (double)tensor_elements(x);
    const int axis = missing_axis(step, plan);
    return axis < 0 || op_refuse_empty(step, "mean", axis, err);
}

/* for (CHANNEL_BLOCKS(...)): offsets [at, end) of all elements of channel c, a block of a plane at a time, in order. */
#define CHANNEL_BLOCKS(share, p, c, at, end)                                                                           \
    int64_t item_ = 0, pixel_ = 0, at = 0, end = 0;                                                                    \
    channel_block(share, p, c, &item_, &pixel_, &at, &end);

/* The next block; false after the last or once the watch is over. */
static bool channel_block(struct op_share *share, const struct training_plan *p, int64_t c, int64_t *item,
                          int64_t *pixel, int64_t *at, int64_t *end)
{
    if (*pixel >= p->pixels) {
        *pixel = 0;
        ++*item;
    }
    if (*item >= p->items || p->pixels == 0)
        return false;
    const int64_t n = p->pixels - *pixel < OP_BLOCK ? p->pixels - *pixel : OP_BLOCK;
    *at = (*item * p->channels + c) * p->pixels + *pixel;
    *end = *at + n;
    *pixel += n;
    return op_share_spend(share, n);
}

/* The channels [from, to) of a float or double tensor. */
#define CHANNELS(dtype, T)                                                                                             \
    static void channels_##T(void *arg, int64_t from, int64_t to, int member)                                          \
    {                                                                                                                  \
        (void)member;                                                                                                  \
        struct op_share share = *(const struct op_share *)arg;                                                         \
        const struct step *step = share.step;                                                                          \
        const struct training *t = step->priv;                                                                         \
        const struct training_plan *p = step->state;                                                                   \
        const double n = (double)(p->items * p->pixels), keep = (double)t->momentum;                                   \
        const T *x = step->in[0]->data;                                                                                \
        T *y = step->out[0]->data;                                                                                     \
        for (int64_t c = from; c < to; c++) {                                                                          \
            double mean = 0, variance = 0;                                                                             \
            for (CHANNEL_BLOCKS(&share, p, c, k, end)) {                                                               \
                for (; k < end; k++)                                                                                   \
                    mean += (double)x[k];                                                                              \
            }                                                                                                          \
            mean /= n;                                                                                                 \
            for (CHANNEL_BLOCKS(&share, p, c, k, end)) {                                                               \
                for (; k < end; k++)                                                                                   \
                    variance += ((double)x[k] - mean) * ((double)x[k] - mean);                                         \
            }                                                                                                          \
            variance /= n;                                                                                             \
            const double factor = (double)((const T *)step->in[1]->data)[c] / sqrt(variance + (double)t->epsilon);     \
            const double shift = (double)((const T *)step->in[2]->data)[c];                                            \
            for (CHANNEL_BLOCKS(&share, p, c, k, end)) {                                                               \
                for (; k < end; k++)                                                                                   \
                    y[k] = (T)(((double)x[k] - mean) * factor + shift);                                                \
            }                                                                                                          \
            const double told[] = {(double)((const T *)step->in[3]->data)[c] * keep + mean * (1 - keep),               \
                                   (double)((const T *)step->in[4]->data)[c] * keep + variance * (1 - keep), mean,     \
                                   variance};                                                                          \
            for (int o = 1; o < step->n_out; o++)                                                                      \
                ((T *)step->out[o]->data)[c] = (T)told[o - 1];                                                         \
        }                                                                                                              \
    }

TYPES_REAL(CHANNELS)

static bool training_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct training_plan *plan = step->state;
    struct op_share share = op_share(step, env);
    team_split(env->team, plan->channels, 1, step->in[0]->dtype == PERCEPT_FLOAT ? channels_float : channels_double,
               &share);
    return true;
}

static void training_batch(struct batch_view *view)
{
    batch_axis_mixes(view, "takes mean and variance from the whole batch");
}

static const struct op_rule rule = {
    .shape = training_shape, .run = training_run, .batch = training_batch, .flags = OP_MIXES};
static const struct op row = {.domain = "", .name = "BatchNormalization", .since = 1, .rule = &rule};

bool training_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct training *training = op_priv(ctx, sizeof *training, err);
    if (!training || !op_arity(ctx, 5, 5, ctx->node->opset >= 14 ? 3 : 5, err) ||
        !attr_float(ctx, "epsilon", 1e-5F, &training->epsilon, err) ||
        !attr_float(ctx, "momentum", 0.9F, &training->momentum, err) ||
        !attr_bool(ctx, "spatial", true, &training->spatial, err))
        return false;
    ctx->node->op = &row;
    ctx->node->note = "is in training form: it takes mean and variance from the batch itself, so requests are never "
                      "joined; an export in inference mode would not depend on who else is in a batch";
    return true;
}
