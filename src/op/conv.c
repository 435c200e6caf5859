/*
 * conv.c - Conv, ConvTranspose and com.microsoft's ConvTransposeWithDynamicPads: what the attributes mean, which
 * layout the input has, how the work is split. The arithmetic is kernels->convolve.
 *
 * The packed bytes of a node, when its weights are constants (the usual case):
 *
 *     [bias: out_channels floats, if there is any][to 64 bytes][weights as conv_pack lays them]
 *
 * with a fused scale multiplied into the weights and the fused shift added to the bias. Weights
 * that are computed at run time are laid down in the same form in scratch, at every run: slow and
 * correct. The same path serves a node that is folded at load, before there are packed bytes.
 *
 * Which layout the input should have is decided here by a rule that looks at channels and groups
 * only (input_plain), so what was packed for one picture size serves all of them. With constant weights all
 * that is not the picture's is settled by check: layout, algorithm, window. A plan adds the picture to it and
 * has the kernels prepare that once (conv_prepare); its runs, and their threads, share what was prepared.
 *
 * Work is split over (item, unit) pairs; a unit is what the kernel says can be computed alone.
 * Outputs are LAYOUT_BLOCKED. Thread: check, fuse and pack on the loader, shape and run on the
 * session's holder with its team. Owns only its priv (the model's arena) and its state (the
 * plan's).
 */
#include "op/conv.h"

#include <string.h>

#include "op/attr.h"
#include "op/batch_axis.h"
#include "op/spatial.h"
#include "op/weights.h"

#define MOST_RESIDUES 4096

/* All but the picture. */
struct settled {
    struct geometry g;
    struct conv_shape shape;
    int algorithm;
};

struct conv {
    bool transposed;
    bool constant; /* weights are known at load, and with them `settled` */
    bool packed;   /* weights live in the packed bytes */
    bool has_bias; /* input 2 of the file; a residual may come to lie in its slot otherwise */
    int64_t group;
    struct spatial spatial;
    int n_extra, n_wanted; /* of ConvTranspose's output_padding and output_shape */
    const int64_t *extra, *wanted;
    int64_t pads[2 * SPATIAL_MAX]; /* of ConvTransposeWithDynamicPads: the constant may not outlive the load */
    enum precision precision;
    struct fused fused;
    struct settled settled;
};

struct conv_plan {
    struct settled settled; /* and the picture */
    struct conv_prepared *prepared;
    bool lay;                                /* weights are laid down at run time */
    int64_t items, units, in_item, out_item; /* items: floats of one */
    size_t area_bytes;                       /* scratch of one member */
    size_t blob_at;                          /* offset of weights in scratch */
};

/* --- geometry ----------------------------------------------------------------------------------------------------- */

#define STEM_CHANNELS 4

/* A stem reads a picture of up to four channels, which is plain already. Inside a network there are blocks, and a
 * block of which half the lanes are in use is read faster than it is made planes: only the channels that are there
 * are multiplied. A group in general begins in the middle of a block. Blocks are for one group, for groups that fill
 * them, and for depthwise, which is a group per lane. */
static bool input_plain(const struct conv_shape *shape, int width)
{
    const int64_t group = shape->group, in = shape->in_channels, out = shape->out_channels;
    if (group == 1)
        return in <= STEM_CHANNELS && in < width;
    const bool depthwise = group == in && group == out;
    const bool whole = in / group % width == 0 && out / group % width == 0;
    return !depthwise && !whole;
}

static bool conv_channels(const struct conv *conv, const struct node *node, const struct tensor *weights, int width,
                          struct conv_shape *shape, struct percept_err *err)
{
    const int64_t first = weights->dims[0], second = weights->dims[1], group = conv->group;
    if (first < 1 || second < 1)
        return err_set(err, ERR_MODEL, OP_AT "weights without channels", OP_NODE(node));
    if (first % group != 0 || second > INT64_MAX / group)
        return err_set(err, ERR_MODEL,
                       OP_AT "attribute 'group' is %lld and does not divide %lld channels; a divisor "
                             "works",
                       OP_NODE(node), (long long)group, (long long)first);
    shape->group = group;
    shape->in_channels = conv->transposed ? first : second * group;
    shape->out_channels = conv->transposed ? second * group : first;
    shape->transposed = conv->transposed;
    shape->in_plain = input_plain(shape, width);
    return true;
}

static void shape_geometry(struct conv_shape *shape, const struct geometry *g)
{
    for (int i = 0; i < SPATIAL_MAX; i++) {
        shape->in[i] = g->in[i];
        shape->out[i] = g->out[i];
        shape->kernel[i] = g->kernel[i];
        shape->stride[i] = g->stride[i];
        shape->dilation[i] = g->dilation[i];
        shape->pad[i] = g->pad[i];
    }
}

static bool settle(const struct conv *conv, const struct node *node, const struct tensor *weights,
                   const struct kernels *kernels, struct settled *settled, struct percept_err *err)
{
    if (!spatial_settle(&conv->spatial, node, weights->rank - 2, weights->dims + 2, &settled->g, err) ||
        !conv_channels(conv, node, weights, kernels->width, &settled->shape, err))
        return false;
    shape_geometry(&settled->shape, &settled->g);
    for (int i = SPATIAL_MAX - settled->g.axes; i < SPATIAL_MAX; i++)
        settled->shape.in[i] = settled->shape.out[i] = 0; /* not known yet */
    settled->shape.computed = !conv->constant;
    settled->algorithm = kernels->convolve->choose(&settled->shape, conv->precision);
    return true;
}

/* --- check -------------------------------------------------------------------------------------------------------- */

/* A transposed convolution is one convolution for each residue of its strides (kernel/geometry.h), empty
 * ones too: few bytes of a file must not mean billions of them. */
static bool strides_usable(const struct node_ctx *ctx, const struct conv *conv, struct percept_err *err)
{
    int64_t product = 1;
    for (int i = 0; i < conv->spatial.n_stride; i++) {
        product *= conv->spatial.stride[i];
        if (product > MOST_RESIDUES)
            return err_set(err, ERR_UNSUPPORTED,
                           OP_AT "attribute 'strides' multiplies to more than %d, which is the most "
                                 "that is served",
                           OP_NODE(ctx->node), MOST_RESIDUES);
    }
    return true;
}

static bool transposed_attributes(struct node_ctx *ctx, struct conv *conv, struct percept_err *err)
{
    if (!attr_ints(ctx, "output_padding", &conv->extra, &conv->n_extra, err) ||
        !attr_ints(ctx, "output_shape", &conv->wanted, &conv->n_wanted, err) || !strides_usable(ctx, conv, err))
        return false;
    for (int i = 0; i < conv->n_extra + conv->n_wanted; i++) {
        const bool extra = i < conv->n_extra;
        const int64_t value = extra ? conv->extra[i] : conv->wanted[i - conv->n_extra];
        if (value < 0 || value >= (int64_t)1 << 30)
            return err_set(err, ERR_MODEL, OP_AT "attribute '%s' has the value %lld; 0 to 2^30 work",
                           OP_NODE(ctx->node), extra ? "output_padding" : "output_shape", (long long)value);
    }
    return true;
}

static bool weights_usable(const struct node *node, const struct tensor *weights, struct percept_err *err)
{
    if (weights->dtype != PERCEPT_FLOAT)
        return err_set(err, ERR_UNSUPPORTED, OP_AT "weights are %s; float32 works", OP_NODE(node),
                       tensor_dtype_name(weights->dtype));
    if (weights->rank < 3 || weights->rank > 2 + SPATIAL_MAX)
        return err_set(err, ERR_UNSUPPORTED, OP_AT "weights of rank %d; 3, 4 and 5 work", OP_NODE(node), weights->rank);
    return true;
}

static bool bias_usable(const struct node *node, const struct tensor *bias, int64_t channels, struct percept_err *err)
{
    if (bias->dtype != PERCEPT_FLOAT || bias->rank != 1 || bias->dims[0] != channels)
        return err_set(err, ERR_MODEL, OP_AT "the bias must be float32 [%lld]", OP_NODE(node), (long long)channels);
    return true;
}

/* With constant weights nearly everything is known now. */
static bool check_constant(struct node_ctx *ctx, struct conv *conv, const struct tensor *weights,
                           const struct tensor *bias, struct percept_err *err)
{
    struct settled *settled = &conv->settled;
    conv->constant = true;
    if (!weights_usable(ctx->node, weights, err) || !settle(conv, ctx->node, weights, ctx->kernels, settled, err) ||
        (bias && !bias_usable(ctx->node, bias, settled->shape.out_channels, err)))
        return false;
    ctx->node->algorithm = ctx->kernels->convolve->name(settled->algorithm);
    conv->packed = !conv->has_bias || bias;
    if (conv->packed)
        ctx->packed_inputs |= conv->has_bias ? 6u : 2u;
    return true;
}

/* ConvTransposeWithDynamicPads brings its pads as an input before the bias, which takes that place. */
static bool take_pads(struct node_ctx *ctx, struct conv *conv, struct percept_err *err)
{
    struct node *node = ctx->node;
    const struct tensor *pads = op_constant(ctx, 2);
    const bool bias = op_has_input(node, 3);
    bool good = pads && pads->dtype == PERCEPT_INT64 && pads->rank == 1 && pads->dims[0] <= 2 * SPATIAL_MAX;
    for (int64_t i = 0; good && i < pads->dims[0]; i++) {
        conv->pads[i] = ((const int64_t *)pads->data)[i];
        good = conv->pads[i] >= 0 && conv->pads[i] < (int64_t)1 << 30;
    }
    if (op_has_input(node, 2) && !good)
        return err_set(err, ERR_UNSUPPORTED,
                       OP_AT "input 2 is no list of pads; a constant of int64, all from 0 to 2^30, works",
                       OP_NODE(node));
    if (good) {
        conv->spatial.pad = conv->pads;
        conv->spatial.n_pad = (int)pads->dims[0];
    }
    if (bias)
        node->in[2] = node->in[3];
    node->n_in = bias ? 3 : 2;
    return true;
}

static bool conv_check_any(struct node_ctx *ctx, bool transposed, struct percept_err *err)
{
    struct conv *conv = op_priv(ctx, sizeof *conv, err);
    if (!conv)
        return false;
    *conv = (struct conv){.transposed = transposed, .precision = ctx->precision, .fused = {.residual = -1}};
    const bool padded = transposed && ctx->node->op->rule->variant;
    if (!op_arity(ctx, 2, padded ? 4 : 3, 1, err) || !spatial_read(ctx, &conv->spatial, err) ||
        (padded && !take_pads(ctx, conv, err)) ||
        !attr_int_in(ctx, "group", 1, 1, (int64_t)1 << 30, &conv->group, err) ||
        (transposed && !transposed_attributes(ctx, conv, err)))
        return false;
    conv->has_bias = op_has_input(ctx->node, 2);
    const struct tensor *weights = weights_view(ctx, 1);
    return !weights || check_constant(ctx, conv, weights, weights_view(ctx, 2), err);
}

bool conv_check(struct node_ctx *ctx, struct percept_err *err)
{
    return conv_check_any(ctx, false, err);
}

static bool conv_check_transposed(struct node_ctx *ctx, struct percept_err *err)
{
    return conv_check_any(ctx, true, err);
}

bool conv_fuse(struct node_ctx *ctx, const struct fusion *fusion)
{
    struct conv *conv = ctx->node->priv;
    if (fusion->kind == FUSE_AFFINE && (!conv->packed || fusion->channels != conv->settled.shape.out_channels))
        return false;
    return weights_fuse(ctx, &conv->fused, fusion);
}

/* --- pack --------------------------------------------------------------------------------------------------------- */

static size_t bias_bytes(const struct conv *conv, const struct conv_shape *shape)
{
    const bool any = conv->has_bias || conv->fused.shift;
    return any ? weights_round((size_t)shape->out_channels * sizeof(float)) : 0;
}

size_t conv_pack_bytes(const struct node_ctx *ctx)
{
    const struct conv *conv = ctx->node->priv;
    const struct settled *settled = &conv->settled;
    if (!conv->packed)
        return 0;
    return bias_bytes(conv, &settled->shape) + ctx->kernels->convolve->pack_bytes(settled->algorithm, &settled->shape);
}

static void conv_pack_into(const struct conv *conv, const struct settled *settled, const struct kernels *kernels,
                           const void *weights, const void *bias, char *to)
{
    const struct conv_shape *shape = &settled->shape;
    const size_t n_bytes = bias_bytes(conv, shape);
    if (n_bytes)
        weights_bias((float *)(void *)to, bias, &conv->fused, 1, shape->out_channels);
    kernels->convolve->pack(settled->algorithm, shape, to + n_bytes, weights, conv->fused.scale);
}

void conv_pack(const struct node_ctx *ctx, void *packed)
{
    const struct conv *conv = ctx->node->priv;
    if (!conv->packed)
        return;
    const struct tensor *weights = weights_view(ctx, 1);
    const struct tensor *bias = conv->has_bias ? weights_view(ctx, 2) : NULL;
    conv_pack_into(conv, &conv->settled, ctx->kernels, weights->data, bias ? bias->data : NULL, packed);
}

/* --- shape -------------------------------------------------------------------------------------------------------- */

static bool list_fits(const struct node *node, const char *name, int n, int axes, struct percept_err *err)
{
    if (n == 0 || n == axes || n == axes + 2)
        return true;
    return err_set(err, ERR_MODEL, OP_AT "attribute '%s' has %d values; this picture needs %d", OP_NODE(node), name, n,
                   axes);
}

/* ONNX: total padding = stride (in - 1) + output_padding + reach - out. What is odd of it goes to
 * the end with SAME_UPPER, else to the beginning. */
static int64_t transposed_pad(const struct conv *conv, int64_t full, int64_t out)
{
    const int64_t total = full > out ? full - out : 0;
    return conv->spatial.auto_pad == AUTO_PAD_SAME_UPPER ? total / 2 : total - total / 2;
}

static bool transposed_axis(const struct conv *conv, const struct node *node, struct geometry *g, int i,
                            struct percept_err *err)
{
    const int from = i - (SPATIAL_MAX - g->axes);
    const int64_t extra = conv->n_extra ? conv->extra[conv->n_extra - g->axes + from] : 0;
    const int auto_pad = conv->spatial.auto_pad;
    int64_t full;
    if (g->in[i] < 1 || __builtin_mul_overflow(g->in[i] - 1, g->stride[i], &full) || full > INT64_MAX / 4)
        return err_set(err, ERR_INVALID, OP_AT "a picture with an axis of %lld pixels; 1 to 2^30 work", OP_NODE(node),
                       (long long)g->in[i]);
    full += extra + spatial_reach(g, i);
    if (conv->n_wanted) {
        g->out[i] = conv->wanted[conv->n_wanted - g->axes + from];
        g->pad[i] = transposed_pad(conv, full, g->out[i]);
    } else if (auto_pad == AUTO_PAD_SAME_UPPER || auto_pad == AUTO_PAD_SAME_LOWER) {
        g->out[i] = g->in[i] * g->stride[i];
        g->pad[i] = transposed_pad(conv, full, g->out[i]);
    } else {
        g->out[i] = full - g->pad[i] - g->pad_end[i];
    }
    if (g->out[i] < 1)
        return err_set(err, ERR_INVALID, OP_AT "the output would have %lld pixels; less padding works", OP_NODE(node),
                       (long long)g->out[i]);
    return true;
}

static bool transposed_size(const struct conv *conv, const struct node *node, struct geometry *g,
                            struct percept_err *err)
{
    if (!list_fits(node, "output_padding", conv->n_extra, g->axes, err) ||
        !list_fits(node, "output_shape", conv->n_wanted, g->axes, err))
        return false;
    for (int i = SPATIAL_MAX - g->axes; i < SPATIAL_MAX; i++) {
        if (!transposed_axis(conv, node, g, i, err))
            return false;
    }
    return true;
}

/* With the picture known as well, the algorithm may be another. */
void conv_settle(struct node_ctx *ctx, const struct tensor *x)
{
    struct conv *conv = ctx->node->priv;
    struct settled known = conv->settled;
    struct percept_err err;
    if (!conv->constant || conv->transposed || x->rank != known.g.axes + 2)
        return;
    spatial_input(&known.g, x);
    if (!spatial_slide(&known.g, &conv->spatial, false, ctx->node, &err))
        return;
    shape_geometry(&known.shape, &known.g);
    conv->settled.algorithm = ctx->kernels->convolve->choose(&known.shape, conv->precision);
    ctx->node->algorithm = ctx->kernels->convolve->name(conv->settled.algorithm);
}

/* Inputs fit; all but the picture is known. */
static bool shape_inputs(struct step *step, const struct conv *conv, struct settled *settled, struct percept_err *err)
{
    const struct tensor *x = step->in[0], *w = step->in[1];
    if (!op_want_dtype(step, 0, PERCEPT_FLOAT, err) || !op_want_dtype(step, 1, PERCEPT_FLOAT, err) ||
        !weights_usable(step->node, w, err))
        return false;
    if (x->rank != w->rank)
        return err_set(err, ERR_INVALID, OP_AT "a picture of rank %d; the weights need rank %d", OP_NODE(step->node),
                       x->rank, w->rank);
    if (conv->constant)
        *settled = conv->settled;
    else if (!settle(conv, step->node, w, step->kernels, settled, err))
        return false;
    if (x->dims[1] != settled->shape.in_channels)
        return err_set(err, ERR_INVALID, OP_AT "a picture with %lld channels; the weights need %lld",
                       OP_NODE(step->node), (long long)x->dims[1], (long long)settled->shape.in_channels);
    return !conv->has_bias || bias_usable(step->node, step->in[2], settled->shape.out_channels, err);
}

static bool shape_prepare(struct step *step, struct conv_plan *plan, struct percept_err *err)
{
    const struct settled *settled = &plan->settled;
    const size_t n_bytes = step->kernels->convolve->prepared_bytes(settled->algorithm, &settled->shape);
    plan->prepared = arena_alloc(step->arena, n_bytes);
    if (!plan->prepared)
        return err_memory(err, "a prepared convolution", n_bytes);
    step->kernels->convolve->prepare(plan->prepared, settled->algorithm, &settled->shape);
    return true;
}

static void shape_work(struct step *step, const struct conv *conv, struct conv_plan *plan)
{
    const struct conv_shape *shape = &plan->settled.shape;
    const struct kernels *kernels = step->kernels;
    const int64_t members = step->members > 0 ? step->members : 1;
    plan->units = kernels->convolve->units(plan->prepared);
    plan->items = step->in[0]->dims[0];
    plan->in_item = spatial_volume(shape->in) *
                    (shape->in_plain ? shape->in_channels : weights_blocked(shape->in_channels, kernels->width));
    plan->out_item = spatial_volume(shape->out) * weights_blocked(shape->out_channels, kernels->width);
    plan->area_bytes = weights_round(kernels->convolve->scratch_bytes(plan->prepared));
    plan->lay = !conv->packed || !step->packed;
    plan->blob_at = plan->area_bytes * (size_t)members;
    step->scratch_bytes = plan->blob_at;
    if (plan->lay)
        step->scratch_bytes += bias_bytes(conv, shape) + kernels->convolve->pack_bytes(plan->settled.algorithm, shape);
    step->algorithm = kernels->convolve->name(plan->settled.algorithm);
    step->done_flops = (double)plan->items * kernels->convolve->done_flops(plan->prepared);
    const int64_t pixels = spatial_volume(shape->transposed ? shape->in : shape->out);
    step->flops = 2.0 * (double)plan->items * (double)pixels * (double)spatial_volume(shape->kernel) *
                  (double)shape->in_channels * (double)(shape->out_channels / shape->group);
}

bool conv_shape(struct step *step, struct percept_err *err)
{
    const struct conv *conv = step->priv;
    struct conv_plan *plan = arena_alloc(step->arena, sizeof *plan);
    if (!plan)
        return err_memory(err, "a convolution's plan", sizeof *plan);
    *plan = (struct conv_plan){0};
    struct geometry *g = &plan->settled.g;
    struct conv_shape *shape = &plan->settled.shape;
    if (!shape_inputs(step, conv, &plan->settled, err))
        return false;
    spatial_input(g, step->in[0]);
    if (conv->transposed ? !transposed_size(conv, step->node, g, err)
                         : !spatial_slide(g, &conv->spatial, false, step->node, err))
        return false;
    shape_geometry(shape, g);
    plan->settled.algorithm = step->kernels->convolve->settle(plan->settled.algorithm, shape);
    int64_t dims[RANK_MAX];
    const int rank = spatial_dims(g, step->in[0]->dims[0], shape->out_channels, dims);
    op_set_out(step, 0, PERCEPT_FLOAT, rank, dims);
    if (!weights_residual(step, &conv->fused, err))
        return false;
    step->out[0]->layout = LAYOUT_BLOCKED;
    step->want[0] = shape->in_plain ? LAYOUT_PLAIN : LAYOUT_BLOCKED;
    if (conv->fused.residual >= 0) {
        step->want[conv->fused.residual] = LAYOUT_BLOCKED;
        step->inplace = conv->fused.residual + 1;
    }
    step->state = plan;
    if (!shape_prepare(step, plan, err))
        return false;
    shape_work(step, conv, plan);
    return true;
}

/* --- run ---------------------------------------------------------------------------------------------------------- */

struct conv_work {
    const struct kernels *kernels;
    const struct conv_plan *plan;
    const float *x, *residual;
    const void *weights;
    float *y;
    struct epilogue epilogue;
    char *scratch;
};

static void conv_pieces(void *arg, int64_t from, int64_t to, int member)
{
    const struct conv_work *work = arg;
    const struct conv_plan *plan = work->plan;
    char *area = work->scratch ? work->scratch + plan->area_bytes * (size_t)member : NULL;
    while (from < to) {
        const int64_t item = from / plan->units, unit = from % plan->units;
        const int64_t left = to - from, n = left < plan->units - unit ? left : plan->units - unit;
        struct epilogue epilogue = work->epilogue;
        if (work->residual)
            epilogue.residual = work->residual + item * plan->out_item;
        work->kernels->convolve->run(plan->prepared, work->x + item * plan->in_item, work->weights,
                                     work->y + item * plan->out_item, &epilogue, area, unit, unit + n);
        from += n;
    }
}

bool conv_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct conv *conv = step->priv;
    const struct conv_plan *plan = step->state;
    const char *blob = step->packed;
    if (plan->lay) {
        char *laid = (char *)step->scratch + plan->blob_at;
        conv_pack_into(conv, &plan->settled, step->kernels, step->in[1]->data,
                       conv->has_bias ? step->in[2]->data : NULL, laid);
        blob = laid;
    }
    const size_t n_bias = bias_bytes(conv, &plan->settled.shape);
    struct conv_work work = {
        .kernels = step->kernels,
        .plan = plan,
        .x = step->in[0]->data,
        .y = step->out[0]->data,
        .weights = blob + n_bias,
        .residual = conv->fused.residual >= 0 ? step->in[conv->fused.residual]->data : NULL,
        .epilogue = {.bias = n_bias ? (const float *)(const void *)blob : NULL,
                     .act = conv->fused.act,
                     .alpha = conv->fused.alpha,
                     .beta = conv->fused.beta},
        .scratch = step->scratch,
    };
    team_split(env->team, plan->items * plan->units, 1, conv_pieces, &work);
    return true;
}

/* A picture at a time; what is added lies like the result. */
void conv_batch(struct batch_view *view)
{
    const struct conv *conv = view->many->priv;
    batch_axis_added(view, conv->fused.residual);
    batch_axis_items(view);
}

CONV_RULE(conv, conv_check, );
CONV_RULE(conv_transpose, conv_check_transposed, );
CONV_RULE(conv_transpose_padded, conv_check_transposed, .variant = 1);
