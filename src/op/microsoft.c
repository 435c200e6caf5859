/*
 * microsoft.c - com.microsoft's float operators that optimisers leave in exported models: FusedConv,
 * BiasGelu, FastGelu, QuickGelu.
 *
 * FusedConv is a Conv that has accepted two fusions already, so it is handed to Conv: first without its
 * fourth input, which then comes back as a residual, then with its activation as if the engine had
 * asked. The node's priv is Conv's from then on, and so are the other verbs.
 *
 * The gelus are the level's kernels behind an addition along the last axis. FastGelu is the form with
 * tanh; QuickGelu is x sigmoid(alpha x). They take plain float32 and go row by row.
 *
 * Thread: loader, then the session's holder with its team.
 */
#include "op/activation.h"
#include "op/attr.h"
#include "op/batch_axis.h"
#include "op/conv.h"
#include "op/walk.h"

/* --- FusedConv ---------------------------------------------------------------------------------------------------- */

static bool read_activation(struct node_ctx *ctx, struct fusion *fusion, struct percept_err *err)
{
    static const char *const known[] = {"Relu", "Tanh", "Sigmoid", "LeakyRelu", "Clip", "HardSigmoid", NULL};
    const float *values;
    int choice, n;
    if (!attr_choice(ctx, "activation", 0, known, &choice, err) ||
        !attr_floats(ctx, "activation_params", &values, &n, err))
        return false;
    struct activation_of of = {.row = activation_named(bytes_of_text(known[choice]), false)};
    const int wanted = activation_numbers(of.row);
    if (n < wanted)
        return err_set(err, ERR_MODEL, OP_AT "attribute 'activation_params' has %d values; %d would work for %s",
                       OP_NODE(ctx->node), n, wanted, known[choice]);
    of.alpha = wanted > 0 ? values[0] : 0;
    of.beta = wanted > 1 ? values[1] : 0;
    return activation_fusion(&of, fusion);
}

static bool fused_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct node *node = ctx->node;
    struct fusion activation = {.kind = FUSE_ACTIVATION};
    if (!op_arity(ctx, 2, 4, 1, err))
        return false;
    const struct fusion residual = {.kind = FUSE_RESIDUAL, .value = op_has_input(node, 3) ? node->in[3] : -1};
    node->n_in = node->n_in > 3 ? 3 : node->n_in;
    if (!conv_check(ctx, err))
        return false;
    if (residual.value >= 0 && !conv_fuse(ctx, &residual))
        return err_memory(err, "a convolution's inputs", 0);
    if (!attr_has(ctx, "activation"))
        return true;
    if (!read_activation(ctx, &activation, err))
        return false;
    return conv_fuse(ctx, &activation) || err_memory(err, "a convolution's activation", 0);
}

CONV_RULE(fused_conv, fused_check, );

/* --- BiasGelu, FastGelu, QuickGelu -------------------------------------------------------------------------------- */

/* A rule's variant. */
enum gelu_kind { GELU_BIAS, GELU_FAST, GELU_QUICK };

static bool gelu_check(struct node_ctx *ctx, struct percept_err *err)
{
    static const enum unary functions[] = {[GELU_BIAS] = UNARY_GELU, [GELU_FAST] = UNARY_GELU_TANH, UNARY_SILU};
    const enum gelu_kind kind = (enum gelu_kind)ctx->node->op->rule->variant;
    struct activation_of *of = op_priv(ctx, sizeof *of, err);
    if (!of)
        return false;
    of->row = activation_row(functions[kind]);
    return op_arity(ctx, kind == GELU_BIAS ? 2 : 1, kind == GELU_QUICK ? 1 : 2, 1, err) &&
           (kind != GELU_QUICK || attr_float(ctx, "alpha", 1.702F, &of->alpha, err));
}

static bool gelu_shape(struct step *step, struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    const struct tensor *bias = op_in(step, 1);
    if (!op_want_dtype(step, 0, PERCEPT_FLOAT, err) || (bias && !op_want_dtype(step, 1, PERCEPT_FLOAT, err)))
        return false;
    if (bias && (x->rank < 1 || bias->rank != 1 || bias->dims[0] != x->dims[x->rank - 1])) {
        char one[128], other[128];
        return err_set(err, ERR_INVALID, OP_AT "a bias of shape %s does not fit rows of %s", OP_NODE(step->node),
                       tensor_shape_text(bias->rank, bias->dims, one, sizeof one),
                       tensor_shape_text(x->rank, x->dims, other, sizeof other));
    }
    op_set_out(step, 0, PERCEPT_FLOAT, x->rank, x->dims);
    step->flops = 8.0 * (double)tensor_elements(x);
    return true;
}

/* Rows of the last axis; y is not x. */
static void gelu_rows(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const struct activation_of *of = step->priv;
    const struct kernels *kernels = step->kernels;
    const struct tensor *x = step->in[0];
    const struct tensor *bias = op_in(step, 1);
    const int64_t n = x->rank ? x->dims[x->rank - 1] : 1;
    for (int64_t row = from; row < to; row++) {
        const float *in = (const float *)x->data + row * n;
        float *y = (float *)step->out[0]->data + row * n;
        if (bias)
            kernels->map->binary(BINARY_ADD, y, in, bias->data, n);
        activation_floats(of, kernels, y, bias ? y : in, n);
    }
}

static bool gelu_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct tensor *x = step->in[0];
    const int64_t n = x->rank ? x->dims[x->rank - 1] : 1;
    if (n > 0)
        team_split(env->team, tensor_elements(x) / n, WALK_GRAIN / n + 1, gelu_rows, step);
    return true;
}

#define GELU_RULE(name, kind_)                                                                                         \
    const struct op_rule op_##name = {                                                                                 \
        .check = gelu_check, .shape = gelu_shape, .run = gelu_run, .batch = batch_axis_elements, .variant = kind_}

GELU_RULE(bias_gelu, GELU_BIAS);
GELU_RULE(fast_gelu, GELU_FAST);
GELU_RULE(quick_gelu, GELU_QUICK);
