/*
 * norm.c - normalizations with a scale: BatchNormalization (inference), Instance-, Layer-, Group- and
 * RMSNormalization; com.microsoft's Skip(Simplified)LayerNormalization; ImageScaler. Those without are in
 * unit.c.
 *
 * BatchNormalization is y = x scale' + shift' per channel; both vectors are computed once, in
 * double, when its parameters are constants, and at every run into scratch when not. Mostly it
 * never runs: its verb `affine` tells the vectors and the node before absorbs them.
 * ImageScaler, which early exporters put behind a picture, runs as one whose vectors are attributes.
 *
 * The others measure first. Mean and variance are doubles (kernels->reduce->moments), and the mean is subtracted before
 * anything is scaled, so a large mean costs no digits. InstanceNormalization takes a blocked picture as it
 * lies (a block of channels at a time); the rest asks for plain ones. What is measured together may be large:
 * it is measured in slabs, which are joined in turn.
 *
 * The Skip forms are Layer- and RMSNormalization of a sum, which is their fourth output.
 *
 * ONNX Runtime's optimiser writes LayerNormalization into models of any opset, with the meaning that ONNX gave
 * it in 17, and SimplifiedLayerNormalization, which is RMSNormalization with a second output.
 *
 * What is measured together is fixed by the operator (a channel, a group, a row), hence bits do not
 * depend on the batch. Tensors of doubles go through one plain loop for all of them.
 *
 * Thread: loader, then the session's holder with its team. Not here: the training form (training.c).
 */
#include "op/activation.h"
#include "op/attr.h"
#include "op/batch_axis.h"
#include "op/training.h"

#include <math.h>
#include <string.h>

enum norm_kind {
    NORM_BATCH,
    NORM_INSTANCE,
    NORM_LAYER,
    NORM_GROUP,
    NORM_RMS,
    NORM_SKIP_LAYER,
    NORM_SKIP_RMS,
    NORM_SCALER /* NORM_BATCH once it is checked */
};

#define NORM_WIDTH_MAX 64            /* floats in the widest vector a row may have */
#define DOUBLE_UNITS 2               /* a double, in watch_spend's units */
#define NORM_SLAB ((int64_t)1 << 18) /* numbers measured, or normalized, in one piece */

struct norm {
    enum norm_kind kind;
    float epsilon;
    int64_t axis, groups;
    bool per_channel; /* GroupNormalization's scale: since opset 21 */
    bool per_element; /* BatchNormalization up to opset 8: each element of an item is a channel */
    bool constant;    /* BatchNormalization: scale and shift below are filled */
    int64_t channels;
    const float *scale, *shift; /* padded to whole vectors */
    struct fused fused;
};

/* What run needs of the shapes; each operator uses its own part. */
struct norm_plan {
    int64_t items, channels, pixels; /* pictures */
    int64_t rows, n;                 /* rows of n; of `lanes` numbers each in a block of channels */
    int64_t lanes, slab, slabs;      /* 1 or the level's width; positions of a slab, slabs of a row */
    bool blocked;
    int64_t scale_n, shift_n; /* elements of these inputs */
    int64_t skip_n, bias_n;   /* and of those that the Skip forms add */
};

/* --- check -------------------------------------------------------------------------------------------------------- */

/* Since opset 14 an attribute says so; before, it is the form that has more outputs than one, unless is_test
 * (up to 6) says otherwise. */
static bool is_training(const struct node_ctx *ctx, bool *training, struct percept_err *err)
{
    const struct node *node = ctx->node;
    bool told, test, more = false, read = false;
    if (!attr_bool(ctx, "training_mode", false, &told, err) || !attr_bool(ctx, "is_test", false, &test, err))
        return false;
    for (int i = 1; i < node->n_out; i++) {
        more = more || node->out[i] >= 0;
        read = read || (node->out[i] >= 0 && ctx->graph->values[node->out[i]].n_uses > 0);
    }
    *training = node->opset >= 14 ? told : more && !test;
    return *training || !read ||
           err_set(err, ERR_MODEL, OP_AT "statistics are read from it, which only its training form gives",
                   OP_NODE(node));
}

static void affine_of(const float *const v[4], float epsilon, int64_t n, float *scale, float *shift)
{
    for (int64_t c = 0; c < n; c++) { /* v: scale, B, mean, variance */
        const double s = (double)v[0][c] / sqrt((double)v[3][c] + (double)epsilon);
        scale[c] = (float)s;
        shift[c] = (float)((double)v[1][c] - (double)v[2][c] * s);
    }
}

/* The node as y = x scale[c] + shift[c], two vectors of *channels floats in ctx->arena. False, and nothing touched,
 * where its parameters are not all constants (or memory is short). */
static bool vectors_of(struct node_ctx *ctx, int64_t *channels, const float **scale, const float **shift)
{
    const struct norm *norm = ctx->node->priv;
    const float *v[4];
    int64_t n = 0;
    for (int i = 0; i < 4; i++) {
        if (norm->per_element)
            return false;
        const struct tensor *t = op_constant(ctx, i + 1);
        if (!t || t->dtype != PERCEPT_FLOAT || t->rank != 1 || (i && t->dims[0] != n))
            return false;
        n = t->dims[0];
        v[i] = t->data;
    }
    const size_t padded = (size_t)n + NORM_WIDTH_MAX;
    float *vectors = arena_array(ctx->arena, padded, 2 * sizeof *vectors);
    if (!vectors)
        return false;
    affine_of(v, norm->epsilon, n, vectors, vectors + padded);
    *channels = n;
    *scale = vectors;
    *shift = vectors + padded;
    return true;
}

static bool check_batch(struct node_ctx *ctx, struct norm *norm, struct percept_err *err)
{
    bool training, spatial;
    if (!op_arity(ctx, 5, 5, 5, err) || !is_training(ctx, &training, err))
        return false;
    if (training)
        return training_check(ctx, err);
    if (!attr_bool(ctx, "spatial", true, &spatial, err))
        return false;
    norm->per_element = !spatial;
    norm->constant = vectors_of(ctx, &norm->channels, &norm->scale, &norm->shift);
    if (norm->constant)
        ctx->packed_inputs |= 0x1eu;
    return true;
}

static bool check_scaler(struct node_ctx *ctx, struct norm *norm, struct percept_err *err)
{
    const float *bias;
    float scale;
    int n;
    if (!op_arity(ctx, 1, 1, 1, err) || !attr_float(ctx, "scale", 1, &scale, err) ||
        !attr_floats(ctx, "bias", &bias, &n, err))
        return false;
    if (n == 0)
        return err_set(err, ERR_MODEL, OP_AT "attribute 'bias' is missing; a number for each channel works",
                       OP_NODE(ctx->node));
    const size_t padded = (size_t)n + NORM_WIDTH_MAX;
    float *vectors = arena_array(ctx->arena, padded, 2 * sizeof *vectors);
    if (!vectors)
        return err_memory(err, "a scaler's vectors", padded * 2 * sizeof *vectors);
    for (int c = 0; c < n; c++) {
        vectors[c] = scale;
        vectors[padded + (size_t)c] = bias[c];
    }
    norm->kind = NORM_BATCH;
    norm->constant = true;
    norm->channels = n;
    norm->scale = vectors;
    norm->shift = vectors + padded;
    return true;
}

static bool check_group(struct node_ctx *ctx, struct norm *norm, struct percept_err *err)
{
    norm->per_channel = ctx->node->opset >= 21;
    if (!attr_has(ctx, "num_groups"))
        return err_set(err, ERR_MODEL, OP_AT "attribute 'num_groups' is missing", OP_NODE(ctx->node));
    return op_arity(ctx, 3, 3, 1, err) && attr_int_in(ctx, "num_groups", 1, 1, (int64_t)1 << 40, &norm->groups, err);
}

static bool check_skip(struct node_ctx *ctx, struct norm *norm, struct percept_err *err)
{
    return op_arity(ctx, 3, norm->kind == NORM_SKIP_LAYER ? 5 : 4, 4, err) &&
           attr_float(ctx, "epsilon", 1e-12F, &norm->epsilon, err);
}

static bool check_kind(struct node_ctx *ctx, struct norm *norm, struct percept_err *err)
{
    switch (norm->kind) {
    case NORM_BATCH:
        return check_batch(ctx, norm, err);
    case NORM_GROUP:
        return check_group(ctx, norm, err);
    case NORM_INSTANCE:
        return op_arity(ctx, 3, 3, 1, err);
    case NORM_LAYER:
        return op_arity(ctx, 2, 3, 3, err) && attr_int(ctx, "axis", -1, &norm->axis, err);
    case NORM_RMS: /* the name before 23 gives the inverse deviation too */
        return op_arity(ctx, 2, 2, ctx->node->op->since < 23 ? 2 : 1, err) &&
               attr_int(ctx, "axis", -1, &norm->axis, err);
    case NORM_SKIP_LAYER:
    case NORM_SKIP_RMS:
        return check_skip(ctx, norm, err);
    case NORM_SCALER:
        return check_scaler(ctx, norm, err);
    }
    return false;
}

static bool norm_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct norm *norm = op_priv(ctx, sizeof *norm, err);
    if (!norm)
        return false;
    *norm = (struct norm){.kind = (enum norm_kind)ctx->node->op->rule->variant, .fused = {.residual = -1}};
    return attr_float(ctx, "epsilon", 1e-5f, &norm->epsilon, err) && check_kind(ctx, norm, err);
}

static bool norm_fuse(struct node_ctx *ctx, const struct fusion *fusion)
{
    struct norm *norm = ctx->node->priv;
    return fusion->kind == FUSE_ACTIVATION && op_fuse(&norm->fused, fusion, ctx->arena);
}

/* --- shape -------------------------------------------------------------------------------------------------------- */

static struct norm_plan *norm_plan(struct step *step, struct percept_err *err)
{
    struct norm_plan *plan = arena_alloc(step->arena, sizeof *plan);
    if (!plan) {
        err_memory(err, "a normalization's plan", sizeof *plan);
        return NULL;
    }
    *plan = (struct norm_plan){0};
    const struct tensor *x = step->in[0];
    const enum percept_dtype real = x->dtype == PERCEPT_DOUBLE ? PERCEPT_DOUBLE : PERCEPT_FLOAT;
    for (int i = 0; i < step->n_in; i++) {
        if (step->in[i] && !op_want_dtype(step, i, real, err))
            return NULL;
    }
    op_set_out(step, 0, x->dtype, x->rank, x->dims);
    step->flops = 2.0 * (double)tensor_elements(x);
    step->state = plan;
    return plan;
}

/* Inputs [1, last] are vectors of `n`. */
static bool want_vectors(const struct step *step, int last, int64_t n, struct percept_err *err)
{
    for (int i = 1; i <= last; i++) {
        if (step->in[i] && (step->in[i]->rank != 1 || step->in[i]->dims[0] != n))
            return err_set(err, ERR_INVALID, OP_AT "input %d must have the shape [%lld]", OP_NODE(step->node), i,
                           (long long)n);
    }
    return true;
}

static bool norm_picture(struct step *step, struct norm_plan *plan, int least, bool blocks, struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    if (x->rank < least)
        return err_set(err, ERR_INVALID, OP_AT "an input of rank %d; %d to %d work", OP_NODE(step->node), x->rank,
                       least, RANK_MAX);
    plan->items = x->rank > 1 ? x->dims[0] : 1;
    plan->channels = x->rank > 1 ? x->dims[1] : 1;
    plan->pixels = tensor_span(x, x->rank > 1 ? 2 : 0, x->rank);
    plan->rows = plan->items * plan->channels;
    plan->blocked = blocks && x->layout == LAYOUT_BLOCKED;
    step->want[0] = plan->blocked ? LAYOUT_BLOCKED : LAYOUT_PLAIN;
    step->out[0]->layout = step->want[0];
    return true;
}

/* Every element of an item is a channel of its own. */
static bool want_elements(const struct step *step, struct norm_plan *plan, struct percept_err *err)
{
    plan->channels *= plan->pixels;
    plan->pixels = 1;
    plan->rows = plan->items * plan->channels;
    for (int i = 1; i <= 4; i++)
        if (tensor_elements(step->in[i]) != plan->channels)
            return err_set(err, ERR_INVALID, OP_AT "input %d has %lld elements; %lld, as an item has, work",
                           OP_NODE(step->node), i, (long long)tensor_elements(step->in[i]), (long long)plan->channels);
    return true;
}

static void cut_slabs(const struct step *step, struct norm_plan *plan, int64_t n)
{
    plan->n = n;
    plan->lanes = plan->blocked ? step->kernels->width : 1;
    plan->slab = NORM_SLAB / plan->lanes;
    plan->slabs = n > plan->slab ? (n + plan->slab - 1) / plan->slab : 1;
}

static int64_t slab_end(const struct norm_plan *plan, int64_t slab)
{
    const int64_t end = (slab + 1) * plan->slab;
    return end < plan->n ? end : plan->n;
}

static bool shape_batch(struct step *step, struct percept_err *err)
{
    const struct norm *norm = step->priv;
    struct norm_plan *plan = norm_plan(step, err);
    if (!plan || !norm_picture(step, plan, 1, !norm->per_element, err) ||
        !(norm->per_element ? want_elements(step, plan, err) : want_vectors(step, 4, plan->channels, err)))
        return false;
    for (int i = 1; i < step->n_out; i++)
        op_set_out(step, i, PERCEPT_FLOAT, 1, (const int64_t[]){0});
    if (!norm->constant)
        step->scratch_bytes = ((size_t)plan->channels + NORM_WIDTH_MAX) * 2 * sizeof(float);
    cut_slabs(step, plan, plan->pixels);
    step->inplace = 1;
    return true;
}

static bool shape_scaler(struct step *step, struct percept_err *err)
{
    const struct norm *norm = step->priv;
    struct norm_plan *plan = norm_plan(step, err);
    if (!plan || !op_want_dtype(step, 0, PERCEPT_FLOAT, err) || !norm_picture(step, plan, 3, true, err))
        return false;
    if (plan->channels != norm->channels)
        return err_set(err, ERR_INVALID, OP_AT "a bias of %lld numbers for %lld channels", OP_NODE(step->node),
                       (long long)norm->channels, (long long)plan->channels);
    cut_slabs(step, plan, plan->pixels);
    step->inplace = 1;
    return true;
}

/* Rows of n positions are measured, slab by slab. */
static void shape_slabs(struct step *step, struct norm_plan *plan, int64_t rows, int64_t n)
{
    plan->rows = rows;
    cut_slabs(step, plan, n);
    if (plan->slabs > 1)
        step->scratch_bytes = (size_t)(rows * plan->slabs * plan->lanes) * 2 * sizeof(double);
    step->inplace = 1;
}

static int64_t maps_per_item(const struct step *step, const struct norm_plan *plan)
{
    const int width = step->kernels->width;
    return plan->blocked ? (plan->channels + width - 1) / width : plan->channels;
}

static bool shape_instance(struct step *step, struct percept_err *err)
{
    struct norm_plan *plan = norm_plan(step, err);
    if (!plan || !norm_picture(step, plan, 3, true, err))
        return false;
    shape_slabs(step, plan, plan->items * maps_per_item(step, plan), plan->pixels);
    return want_vectors(step, 2, plan->channels, err);
}

static bool shape_group(struct step *step, struct percept_err *err)
{
    const struct norm *norm = step->priv;
    struct norm_plan *plan = norm_plan(step, err);
    if (!plan || !norm_picture(step, plan, 2, false, err))
        return false;
    if (plan->channels % norm->groups != 0)
        return err_set(err, ERR_INVALID, OP_AT "num_groups is %lld and does not divide %lld channels",
                       OP_NODE(step->node), (long long)norm->groups, (long long)plan->channels);
    shape_slabs(step, plan, plan->items * norm->groups, plan->channels / norm->groups * plan->pixels);
    return want_vectors(step, 2, norm->per_channel ? plan->channels : norm->groups, err);
}

/* Scale or bias of a row of n: as many elements, or one. */
static bool want_row(const struct step *step, int i, int64_t n, int64_t *elements, struct percept_err *err)
{
    *elements = op_in(step, i) ? tensor_elements(step->in[i]) : 0;
    if (*elements == n || *elements == 1 || i >= step->n_in || !step->in[i])
        return true;
    return err_set(err, ERR_UNSUPPORTED, OP_AT "input %d has %lld elements; %lld (a row) and 1 work",
                   OP_NODE(step->node), i, (long long)*elements, (long long)n);
}

static bool shape_rows(struct step *step, struct percept_err *err)
{
    const struct norm *norm = step->priv;
    const struct tensor *x = step->in[0];
    struct norm_plan *plan = norm_plan(step, err);
    int axis;
    if (!plan || !op_axis(step, norm->axis, x->rank, &axis, err))
        return false;
    plan->rows = tensor_span(x, 0, axis);
    plan->n = tensor_span(x, axis, x->rank);
    int64_t dims[RANK_MAX];
    for (int i = 0; i < x->rank; i++)
        dims[i] = i < axis ? x->dims[i] : 1;
    for (int i = 1; i < step->n_out; i++)
        op_set_out(step, i, PERCEPT_FLOAT, x->rank, dims);
    if (step->n_out > 1 && plan->n == 0 && plan->rows > 0)
        for (int i = axis; i < x->rank; i++)
            if (x->dims[i] == 0)
                return op_refuse_empty(step, "mean", i, err);
    shape_slabs(step, plan, plan->rows, plan->n);
    return want_row(step, 1, plan->n, &plan->scale_n, err) && want_row(step, 2, plan->n, &plan->shift_n, err);
}

/* The Skip forms' bias stands behind the shift that only one of them has. */
static int bias_slot(const struct norm *norm)
{
    return norm->kind == NORM_SKIP_LAYER ? 4 : 3;
}

/* What is added has the input's dims, or its last ones alone. */
static bool shape_skip(struct step *step, struct percept_err *err)
{
    const struct norm *norm = step->priv;
    const struct tensor *x = step->in[0], *skip = step->in[1];
    struct norm_plan *plan = norm_plan(step, err);
    int first = 0;
    if (!plan || !op_want_dtype(step, 0, PERCEPT_FLOAT, err))
        return false;
    while (first < skip->rank - 1 && skip->dims[first] == 1)
        first++;
    bool fits = x->rank > 0 && skip->rank > 0 && skip->rank - first <= x->rank;
    for (int i = first; fits && i < skip->rank; i++)
        fits = skip->dims[i] == x->dims[x->rank - skip->rank + i];
    if (!fits) {
        char one[128], other[128];
        return err_set(err, ERR_INVALID, OP_AT "what is added has shape %s; its input has %s", OP_NODE(step->node),
                       tensor_shape_text(skip->rank, skip->dims, one, sizeof one),
                       tensor_shape_text(x->rank, x->dims, other, sizeof other));
    }
    plan->rows = tensor_span(x, 0, x->rank - 1);
    plan->n = x->dims[x->rank - 1];
    plan->skip_n = tensor_elements(skip);
    shape_slabs(step, plan, plan->rows, plan->n);
    step->inplace = 0;
    int64_t dims[RANK_MAX];
    memcpy(dims, x->dims, sizeof dims);
    if (step->n_out > 3)
        op_set_out(step, 3, PERCEPT_FLOAT, x->rank, dims);
    dims[x->rank - 1] = 1;
    for (int i = 1; i < step->n_out && i < 3; i++) {
        op_set_out(step, i, PERCEPT_FLOAT, x->rank, dims);
        if (norm->kind == NORM_SKIP_RMS && step->node->out[i] >= 0)
            return err_set(err, ERR_UNSUPPORTED, OP_AT "output %d is asked for; 0 and 3 work", OP_NODE(step->node), i);
    }
    return want_row(step, 2, plan->n, &plan->scale_n, err) &&
           (norm->kind == NORM_SKIP_RMS || want_row(step, 3, plan->n, &plan->shift_n, err)) &&
           want_row(step, bias_slot(norm), plan->n, &plan->bias_n, err);
}

/* --- run: pictures ------------------------------------------------------------------------------------------------ */

static void activate(const struct step *step, const struct fused *fused, float *y, int64_t n)
{
    if (fused->act != ACT_NONE)
        step->kernels->map->unary(unary_of(fused->act), y, y, n, fused->alpha, fused->beta);
}

/* Pieces: slabs of maps. */
static void batch_slabs(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const struct norm *norm = step->priv;
    const struct norm_plan *plan = step->state;
    const float *scale = norm->constant ? norm->scale : step->scratch;
    const float *shift = norm->constant ? norm->shift : scale + plan->channels + NORM_WIDTH_MAX;
    const int64_t maps = maps_per_item(step, plan);
    for (int64_t i = from; i < to; i++) {
        const int64_t map = i / plan->slabs, first = i % plan->slabs * plan->slab;
        const int64_t pixels = slab_end(plan, i % plan->slabs) - first;
        const int64_t at = (map * plan->n + first) * plan->lanes, c = map % maps * plan->lanes;
        const float *x = (const float *)step->in[0]->data + at;
        float *y = (float *)step->out[0]->data + at;
        if (plan->blocked)
            step->kernels->map->affine_lanes(y, x, scale + c, shift + c, pixels);
        else
            step->kernels->map->affine(y, x, scale[c], shift[c], pixels);
        activate(step, &norm->fused, y, pixels * plan->lanes);
    }
}

/* [N][C]: a row at a time. */
static void batch_rows(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const struct norm *norm = step->priv;
    const struct norm_plan *plan = step->state;
    const int64_t n = plan->channels;
    const float *scale = norm->constant ? norm->scale : step->scratch;
    const float *shift = norm->constant ? norm->shift : scale + n + NORM_WIDTH_MAX;
    for (int64_t row = from; row < to; row++) {
        float *y = (float *)step->out[0]->data + row * n;
        step->kernels->map->binary(BINARY_MUL, y, (const float *)step->in[0]->data + row * n, scale, n);
        step->kernels->map->binary(BINARY_ADD, y, y, shift, n);
        activate(step, &norm->fused, y, n);
    }
}

static bool run_batch(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct norm *norm = step->priv;
    const struct norm_plan *plan = step->state;
    if (!norm->constant) {
        const float *const v[4] = {step->in[1]->data, step->in[2]->data, step->in[3]->data, step->in[4]->data};
        float *vectors = step->scratch;
        affine_of(v, norm->epsilon, plan->channels, vectors, vectors + plan->channels + NORM_WIDTH_MAX);
    }
    if (plan->pixels == 1 && !plan->blocked)
        team_split(env->team, plan->items, 16, batch_rows, step);
    else
        team_split(env->team, plan->items * maps_per_item(step, plan) * plan->slabs, 1, batch_slabs, step);
    return true;
}

/* --- run: pictures whose maps or groups are measured -------------------------------------------------------------- */

/* y of positions [from, to) of a row, all of which have the same scale and shift. m: [means][squares] */
static void rescale(const struct step *step, int64_t row, int64_t from, int64_t to, const double *m, const float *scale,
                    const float *shift, int64_t channels)
{
    const struct norm *norm = step->priv;
    const struct norm_plan *plan = step->state;
    const int64_t at = (row * plan->n + from) * plan->lanes, n = (to - from) * plan->lanes;
    float *y = (float *)step->out[0]->data + at;
    float a[NORM_WIDTH_MAX] = {0}, b[NORM_WIDTH_MAX] = {0}; /* lanes past the last channel: anything */
    for (int64_t lane = 0; lane < plan->lanes && lane < channels; lane++) {
        const double variance = m[plan->lanes + lane] / (double)plan->n;
        a[lane] = (float)((double)scale[lane] / sqrt(variance + (double)norm->epsilon));
        b[lane] = shift[lane];
    }
    step->kernels->reduce->normalize(y, (const float *)step->in[0]->data + at, to - from, plan->lanes, m, a, b);
    activate(step, &norm->fused, y, n);
}

/* A channel, or a block of channels. */
static void normalize_map(const struct step *step, int64_t row, int64_t from, int64_t to, const double *m)
{
    const struct norm_plan *plan = step->state;
    const int64_t c = row % maps_per_item(step, plan) * plan->lanes;
    rescale(step, row, from, to, m, (const float *)step->in[1]->data + c, (const float *)step->in[2]->data + c,
            plan->channels - c);
}

/* A group of channels, one by one. */
static void normalize_group(const struct step *step, int64_t row, int64_t from, int64_t to, const double *m)
{
    const struct norm *norm = step->priv;
    const struct norm_plan *plan = step->state;
    const float *scale = step->in[1]->data, *shift = step->in[2]->data;
    const int64_t group = row % norm->groups, channels = plan->channels / norm->groups;
    while (from < to) {
        const int64_t c = from / plan->pixels, end = (c + 1) * plan->pixels < to ? (c + 1) * plan->pixels : to;
        const int64_t at = norm->per_channel ? group * channels + c : group;
        rescale(step, row, from, end, m, scale + at, shift + at, 1);
        from = end;
    }
}

/* --- run: rows ---------------------------------------------------------------------------------------------------- */

/* y = y op input i, which has `elements`: as many as a row, or one. y: positions from `at` on of a row. */
static void by_row(const struct step *step, enum binary op, float *y, int i, int64_t elements, int64_t at, int64_t n)
{
    if (elements == 0)
        return;
    const float *v = step->in[i]->data;
    if (elements == 1)
        step->kernels->map->binary_scalar(op, y, y, *v, n);
    else
        step->kernels->map->binary(op, y, y, v + at, n);
}

static bool takes_mean(const struct norm *norm)
{
    return norm->kind != NORM_RMS && norm->kind != NORM_SKIP_RMS;
}

/* y := positions [at, at + n) of a row of the sum that the Skip forms normalize */
static void skip_part(const struct step *step, int64_t row, int64_t at, int64_t n)
{
    const struct norm *norm = step->priv;
    const struct norm_plan *plan = step->state;
    const int64_t first = row * plan->n;
    float *y = (float *)step->out[0]->data + first + at;
    step->kernels->map->binary(BINARY_ADD, y, (const float *)step->in[0]->data + first + at,
                               (const float *)step->in[1]->data + first % plan->skip_n + at, n);
    by_row(step, BINARY_ADD, y, bias_slot(norm), plan->bias_n, at, n);
    if (step->n_out > 3)
        memcpy((float *)step->out[3]->data + first + at, y, (size_t)n * sizeof *y);
}

/* What is normalized: the input, or the sum, which lies in the output already. */
static const float *row_values(const struct step *step)
{
    const struct norm_plan *plan = step->state;
    return plan->skip_n > 0 ? step->out[0]->data : step->in[0]->data;
}

static void normalize_row(const struct step *step, int64_t row, int64_t at, int64_t n, const double *m)
{
    const struct norm *norm = step->priv;
    const struct norm_plan *plan = step->state;
    const int scale = plan->skip_n > 0 ? 2 : 1;
    const int64_t first = row * plan->n + at;
    const float *x = row_values(step) + first;
    float *y = (float *)step->out[0]->data + first;
    const float inverse = (float)(1 / sqrt(m[1] / (double)plan->n + (double)norm->epsilon));
    if (takes_mean(norm))
        step->kernels->reduce->normalize(y, x, n, 1, m, &inverse, &(float){0});
    else
        step->kernels->map->binary_scalar(BINARY_MUL, y, x, inverse, n);
    by_row(step, BINARY_MUL, y, scale, plan->scale_n, at, n);
    by_row(step, BINARY_ADD, y, scale + 1, plan->shift_n, at, n);
    activate(step, &norm->fused, y, n);
    if (at > 0)
        return;
    const int told = takes_mean(norm) ? 2 : 1; /* as this output */
    if (takes_mean(norm) && step->n_out > 1)
        ((float *)step->out[1]->data)[row] = (float)m[0];
    if (step->n_out > told)
        ((float *)step->out[told]->data)[row] = inverse;
}

/* --- run: what all that measure have in common -------------------------------------------------------------------- */

/* Positions [from, to) of a row: the mean (0 of RMS) and the sum of squared distances from it, [means][squares] of
 * all lanes. */
static void measure(const struct step *step, int64_t row, int64_t from, int64_t to, double *m)
{
    const struct norm_plan *plan = step->state;
    float sum;
    if (plan->skip_n > 0)
        skip_part(step, row, from, to - from);
    const float *x = row_values(step) + (row * plan->n + from) * plan->lanes;
    if (takes_mean(step->priv)) {
        step->kernels->reduce->moments(x, to - from, plan->lanes, m, m + plan->lanes);
        return;
    }
    step->kernels->reduce->run(REDUCE_SUM_SQUARE, &sum, x, to - from, 1, 1);
    m[0] = 0;
    m[1] = (double)sum;
}

/* Positions [from, to) of a row of which all is measured. */
static void normalize(const struct step *step, int64_t row, int64_t from, int64_t to, const double *m)
{
    const struct norm *norm = step->priv;
    if (norm->kind == NORM_INSTANCE)
        normalize_map(step, row, from, to, m);
    else if (norm->kind == NORM_GROUP)
        normalize_group(step, row, from, to, m);
    else
        normalize_row(step, row, from, to - from, m);
}

/* Pieces: rows of one slab. */
static void whole_rows(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const struct norm_plan *plan = step->state;
    double m[2 * NORM_WIDTH_MAX];
    for (int64_t row = from; row < to; row++) {
        measure(step, row, 0, plan->n, m);
        normalize(step, row, 0, plan->n, m);
    }
}

/* Pieces: slabs. Scratch: [rows][slabs][means, squares][lanes] */
static double *slab_moments(const struct step *step, int64_t slab)
{
    const struct norm_plan *plan = step->state;
    return (double *)step->scratch + slab * 2 * plan->lanes;
}

static void measure_slabs(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const struct norm_plan *plan = step->state;
    for (int64_t i = from; i < to; i++) {
        const int64_t slab = i % plan->slabs;
        measure(step, i / plan->slabs, slab * plan->slab, slab_end(plan, slab), slab_moments(step, i));
    }
}

/* The moments of all slabs of a row, in its first one's place: Chan, Golub, LeVeque, "Algorithms for Computing
 * the Sample Variance" (1983). */
static void join_slabs(const struct step *step, int64_t row)
{
    const struct norm_plan *plan = step->state;
    double *all = slab_moments(step, row * plan->slabs);
    for (int64_t slab = 1; slab < plan->slabs; slab++) {
        const double *m = slab_moments(step, row * plan->slabs + slab);
        const double before = (double)(slab * plan->slab), n = (double)slab_end(plan, slab) - before;
        for (int64_t lane = 0; lane < plan->lanes; lane++) {
            const double distance = m[lane] - all[lane], share = n / (before + n);
            all[lane] += isfinite(all[lane]) ? distance * share : m[lane]; /* what is infinite stays */
            all[plan->lanes + lane] += m[plan->lanes + lane] + distance * distance * before * share;
        }
    }
}

static void normalize_slabs(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const struct norm_plan *plan = step->state;
    for (int64_t i = from; i < to; i++) {
        const int64_t row = i / plan->slabs, slab = i % plan->slabs;
        normalize(step, row, slab * plan->slab, slab_end(plan, slab), slab_moments(step, row * plan->slabs));
    }
}

static bool run_measured(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct norm *norm = step->priv;
    const struct norm_plan *plan = step->state;
    if (plan->slabs == 1) {
        team_split(env->team, plan->rows, norm->kind == NORM_INSTANCE || norm->kind == NORM_GROUP ? 1 : 4, whole_rows,
                   step);
        return true;
    }
    team_split(env->team, plan->rows * plan->slabs, 1, measure_slabs, step);
    for (int64_t row = 0; row < plan->rows; row++)
        join_slabs(step, row);
    team_split(env->team, plan->rows * plan->slabs, 1, normalize_slabs, step);
    return true;
}

/* --- run: doubles ------------------------------------------------------------------------------------------------- */

/* Which element of an input with so many scales element i of a row. */
static int64_t double_at(const struct norm *norm, const struct norm_plan *plan, int64_t row, int64_t i,
                         int64_t elements)
{
    if (norm->kind == NORM_LAYER || norm->kind == NORM_RMS)
        return elements == 1 ? 0 : i;
    if (norm->kind != NORM_GROUP)
        return row % plan->channels;
    const int64_t group = row % norm->groups;
    return norm->per_channel ? group * (plan->channels / norm->groups) + i / plan->pixels : group;
}

static void measure_double(struct op_share *share, int64_t row, const double *x, int64_t n, double *mean,
                           double *inverse)
{
    const struct step *step = share->step;
    const struct norm *norm = step->priv;
    const struct norm_plan *plan = step->state;
    double variance = 0;
    *mean = 0;
    if (norm->kind == NORM_BATCH) {
        *mean = ((const double *)step->in[3]->data)[row % plan->channels];
        variance = ((const double *)step->in[4]->data)[row % plan->channels];
    } else {
        for (op_share_blocks(share, norm->kind == NORM_RMS ? 0 : n, DOUBLE_UNITS, from, to)) {
            for (int64_t i = from; i < to; i++)
                *mean += x[i] / (double)n;
        }
        for (op_share_blocks(share, n, DOUBLE_UNITS, from, to)) {
            for (int64_t i = from; i < to; i++)
                variance += (x[i] - *mean) * (x[i] - *mean) / (double)n;
        }
    }
    *inverse = 1 / sqrt(variance + (double)norm->epsilon);
}

static void double_rows(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    struct op_share share = *(const struct op_share *)arg;
    const struct step *step = share.step;
    const struct norm *norm = step->priv;
    const struct activation_of act = activation_fused(&norm->fused);
    const struct norm_plan *plan = step->state;
    const int64_t n = tensor_elements(step->in[0]) / plan->rows;
    const double *scale = step->in[1]->data;
    const double *shift = op_in(step, 2) ? step->in[2]->data : NULL;
    for (int64_t row = from; row < to; row++) {
        const double *x = (const double *)step->in[0]->data + row * n;
        double *y = (double *)step->out[0]->data + row * n, mean, inverse;
        measure_double(&share, row, x, n, &mean, &inverse);
        if (norm->kind == NORM_LAYER && step->n_out > 1)
            ((float *)step->out[1]->data)[row] = (float)mean;
        const int told = norm->kind == NORM_LAYER ? 2 : 1; /* as this output */
        if (norm->kind != NORM_BATCH && step->n_out > told)
            ((float *)step->out[told]->data)[row] = (float)inverse;
        for (op_share_blocks(&share, n, DOUBLE_UNITS, at, end)) {
            for (int64_t i = at; i < end; i++) {
                double value = (x[i] - mean) * inverse;
                value *= scale[double_at(norm, plan, row, i, plan->scale_n)];
                if (shift)
                    value += shift[double_at(norm, plan, row, i, plan->shift_n)];
                y[i] = act.row ? act.row->exact(value, (double)act.alpha, (double)act.beta) : value;
            }
        }
    }
}

static bool norm_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct norm *norm = step->priv;
    const struct norm_plan *plan = step->state;
    if (step->in[0]->dtype == PERCEPT_FLOAT)
        return norm->kind == NORM_BATCH ? run_batch(step, env, err) : run_measured(step, env, err);
    struct op_share share = op_share(step, env);
    if (tensor_elements(step->in[0]) > 0)
        team_split(env->team, plan->rows, 1, double_rows, &share);
    return true;
}

/* Element by element, with numbers of its own for each channel. Maps of one pixel are scaled and shifted in two
 * steps, others in one: where the batch lies among the pixels, one item must not be the only one of them. */
static void norm_batch(struct batch_view *view)
{
    const struct norm *norm = view->many->priv;
    const struct tensor *one = view->one->in[0];
    const bool picture = one->rank > 1 && view->in[0].axis == 0;
    if (norm->per_element)
        batch_axis_items(view);
    else if (!picture && tensor_span(one, one->rank > 1 ? 2 : 0, one->rank) == 1)
        batch_axis_mixes(view, "computes in another way where items lie side by side");
    else
        batch_axis_keep(view, (bool[RANK_MAX]){[1] = true});
}

static void rows_batch(struct batch_view *view)
{
    const struct norm *norm = view->many->priv;
    int axis;
    if (op_axis(view->many, norm->axis, view->many->in[0]->rank, &axis, NULL))
        batch_axis_lead(view, axis);
}

/* A row at a time; input 1 is added before, element by element. */
static void skip_batch(struct batch_view *view)
{
    const struct batch_place place = view->in[0];
    if (place.word != BATCH_INDEPENDENT || place.axis == view->many->in[0]->rank - 1 ||
        !batch_axis_others_same(view, 2))
        return;
    batch_axis_all(view, place);
    batch_axis_meets(view, 1);
}

static bool norm_affine(struct node_ctx *ctx, const struct affine_view *view, struct fusion *fusion)
{
    const struct norm *norm = ctx->node->priv;
    if (!norm->constant || view->input != 0 || view->axis != 1)
        return false;
    fusion->channels = norm->channels;
    fusion->scale = norm->scale;
    fusion->shift = norm->shift;
    return true;
}

#define NORM_RULE(name, kind_, shape_, batch_, ...)                                                                    \
    const struct op_rule op_##name = {.check = norm_check,                                                             \
                                      .fuse = norm_fuse,                                                               \
                                      .shape = shape_,                                                                 \
                                      .run = norm_run,                                                                 \
                                      .batch = batch_,                                                                 \
                                      .variant = kind_,                                                                \
                                      __VA_ARGS__}

NORM_RULE(batch_normalization, NORM_BATCH, shape_batch, norm_batch, .affine = norm_affine);
NORM_RULE(image_scaler, NORM_SCALER, shape_scaler, norm_batch, .affine = norm_affine);
NORM_RULE(instance_normalization, NORM_INSTANCE, shape_instance, batch_axis_items);
NORM_RULE(group_normalization, NORM_GROUP, shape_group, batch_axis_items);
NORM_RULE(layer_normalization, NORM_LAYER, shape_rows, rows_batch);
NORM_RULE(rms_normalization, NORM_RMS, shape_rows, rows_batch);
NORM_RULE(skip_layer_normalization, NORM_SKIP_LAYER, shape_skip, skip_batch);
NORM_RULE(skip_rms_normalization, NORM_SKIP_RMS, shape_skip, skip_batch);
