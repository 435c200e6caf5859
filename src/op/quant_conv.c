/*
 * quant_conv.c - ConvInteger and QLinearConv, ONNX's and com.microsoft's: convolutions of 8-bit pictures.
 *
 * A convolution is a product here: weights [out channels][taps of all channels of a group] on the left,
 * on the right the pixels that each tap sees, [taps][pixels]. So sums come out as the picture lies (plain,
 * a channel after another), and everything that belongs to a channel belongs to a row. The right side
 * is gathered for a tile of pixels at a time into a member's scratch and packed there; a convolution
 * with one tap reads the picture where it lies.
 *
 * Where a group has one channel (depthwise) there is nothing to multiply: the channel is widened into a
 * padded plane of int16, and each row of output pixels is a sum over its taps.
 *
 * Padding is the picture's zero point, as ONNX has it. Zero points leave the inner loop:
 *
 *     sum (w - wz) (x - xz)  =  sum (w - wz) x  -  xz sum (w - wz)
 *
 * the weights' is subtracted when they are widened to int16, the picture's becomes a part of the bias.
 * Packed bytes, when weights and their zero point are constants (the usual case):
 *
 *     [sum of each output channel's weights: int32][to 64 bytes][int16 weights, rows of even length]
 *
 * Otherwise the same is laid down in scratch at every run. QLinearConv then rounds
 * (sum + bias) x_scale w_scale[channel] / y_scale in float32, as ONNX Runtime does.
 *
 * With com.microsoft's channels_last the picture is turned into planes in scratch first, and what comes
 * out is turned back: two walks over bytes, next to sums over all channels of a group for each.
 *
 * Work is split over (item, group, tile). Thread: loader, then the session's holder with its team.
 */
#include <string.h>

#include "op/attr.h"
#include "op/batch_axis.h"
#include "op/quant.h"
#include "op/spatial.h"
#include "op/walk.h"
#include "op/weights.h"

enum {
    TILE_BYTES = 1 << 16, /* what a tile's gathered taps should not exceed: a part of the L2 */
    TILE_PIXELS = 512,    /* at most */
    TILE_ROWS = 48        /* output channels at a time */
};

#define PLANE_MOST ((int64_t)1 << 47) /* pixels of a padded plane: their bytes can be counted */

/* Which input is what; -1: no such input. */
struct slots {
    int least, most; /* inputs */
    int x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias;
};

static const struct slots slots_of[2] = {
    {2, 4, -1, 2, 1, -1, 3, -1, -1, -1}, /* ConvInteger */
    {8, 9, 1, 2, 3, 4, 5, 6, 7, 8},      /* QLinearConv */
};

struct qconv {
    const struct slots *slots;
    int64_t group;
    struct spatial spatial;
    bool packed; /* weights live in the packed bytes */
    bool channels_last;
};

/* Output pixels [first, last) of a row for which a tap sees a pixel of the picture; at pixel 0 it sees `begin`. */
struct seen {
    int64_t begin, first, last;
};

struct qconv_plan {
    struct geometry g;
    int64_t items, in_channels, out_channels, group;
    int64_t pixels_in, pixels, taps; /* taps: of one channel */
    int64_t k, lda;                  /* taps of a group's channels; rounded up to even */
    int64_t tile, tiles;             /* pixels of a tile, tiles of an item */
    bool x_signed, direct, depthwise, lay;
    int64_t padded[3];                            /* depthwise: the plane */
    const int64_t *offsets;                       /* depthwise: of each tap in it */
    const struct seen *seen;                      /* gathered: by the taps of a row */
    size_t blob_at, factor_at, bias_at, areas_at; /* in scratch */
    size_t gather_bytes, pack_bytes, area_bytes;  /* of one member */
    size_t x_at, y_at;                            /* channels_last: the planes */
};

/* --- check and pack ----------------------------------------------------------------------------------------------- */

static bool weights_usable(const struct node *node, const struct qconv *conv, const struct tensor *w,
                           struct percept_err *err)
{
    int64_t count;
    if (!quant_is_8bit(w->dtype))
        return err_set(err, ERR_UNSUPPORTED, OP_AT "weights are %s; int8 and uint8 work", OP_NODE(node),
                       tensor_dtype_name(w->dtype));
    if (w->rank < 3 || w->rank > 2 + SPATIAL_MAX)
        return err_set(err, ERR_UNSUPPORTED, OP_AT "weights of rank %d; 3, 4 and 5 work", OP_NODE(node), w->rank);
    if (!tensor_count(w->rank, w->dims, &count) || count == 0)
        return err_set(err, ERR_MODEL, OP_AT "weights without elements", OP_NODE(node));
    if (w->dims[0] % conv->group != 0 || w->dims[1] > INT64_MAX / conv->group)
        return err_set(err, ERR_MODEL,
                       OP_AT "attribute 'group' is %lld and does not divide %lld channels; a "
                             "divisor works",
                       OP_NODE(node), (long long)conv->group, (long long)w->dims[0]);
    return true;
}

static bool zero_usable(const struct node *node, const struct tensor *w, const struct tensor *zero,
                        struct percept_err *err)
{
    const int64_t n = zero ? tensor_elements(zero) : 1;
    if (!zero || (zero->dtype == w->dtype && (n == 1 || n == w->dims[0])))
        return true;
    return err_set(err, ERR_MODEL, OP_AT "the weights' zero point must be %s and one or %lld numbers", OP_NODE(node),
                   tensor_dtype_name(w->dtype), (long long)w->dims[0]);
}

static bool qconv_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct qconv *conv = op_priv(ctx, sizeof *conv, err);
    if (!conv)
        return false;
    *conv = (struct qconv){.slots = &slots_of[ctx->node->op->rule->variant]};
    const struct slots *s = conv->slots;
    if (!op_arity(ctx, s->least, s->most, 1, err) || !spatial_read(ctx, &conv->spatial, err) ||
        !attr_int_in(ctx, "group", 1, 1, (int64_t)1 << 30, &conv->group, err) ||
        (s->y_zero >= 0 && !attr_bool(ctx, "channels_last", false, &conv->channels_last, err)))
        return false;
    const struct tensor *w = weights_view(ctx, s->w), *zero = weights_view(ctx, s->w_zero);
    struct geometry g;
    if (!w)
        return true;
    if (!weights_usable(ctx->node, conv, w, err) || !zero_usable(ctx->node, w, zero, err) ||
        !spatial_settle(&conv->spatial, ctx->node, w->rank - 2, w->dims + 2, &g, err))
        return false;
    conv->packed = zero || !op_has_input(ctx->node, s->w_zero);
    if (conv->packed)
        ctx->packed_inputs |= 1U << s->w; /* the zero point is small and read where it lies */
    return true;
}

static int64_t row_length(int64_t k)
{
    return (k + 1) / 2 * 2;
}

static size_t blob_bytes(const struct tensor *w)
{
    const int64_t rows = w->dims[0], k = tensor_span(w, 1, w->rank);
    return weights_round((size_t)rows * sizeof(int32_t)) + (size_t)(rows * row_length(k)) * sizeof(int16_t);
}

static size_t qconv_pack_bytes(const struct node_ctx *ctx)
{
    const struct qconv *conv = ctx->node->priv;
    return conv->packed ? blob_bytes(weights_view(ctx, conv->slots->w)) : 0;
}

static void qconv_pack_into(const struct kernels *kernels, const struct tensor *w, const struct tensor *zero, char *to)
{
    const int64_t rows = w->dims[0], k = tensor_span(w, 1, w->rank), lda = row_length(k);
    int32_t *sums = (int32_t *)(void *)to;
    int16_t *laid = (int16_t *)(void *)(to + weights_round((size_t)rows * sizeof(int32_t)));
    const bool each = zero && tensor_elements(zero) > 1;
    for (int64_t i = 0; i < rows; i++) {
        sums[i] = kernels->quantize->widen(laid + i * lda, (const uint8_t *)w->data + i * k, w->dtype == PERCEPT_INT8,
                                           quant_zero(zero, each ? i : 0), k);
        if (lda > k)
            laid[i * lda + k] = 0;
    }
}

static void qconv_pack(const struct node_ctx *ctx, void *packed)
{
    const struct qconv *conv = ctx->node->priv;
    if (conv->packed)
        qconv_pack_into(ctx->kernels, weights_view(ctx, conv->slots->w), weights_view(ctx, conv->slots->w_zero),
                        packed);
}

/* --- shape -------------------------------------------------------------------------------------------------------- */

/* seen: the picture, its channels in second place. */
static bool shape_inputs(struct step *step, const struct qconv *conv, struct tensor *seen, struct geometry *g,
                         struct percept_err *err)
{
    const struct slots *s = conv->slots;
    const struct tensor *x = step->in[0], *w = step->in[s->w], *bias = op_in(step, s->bias);
    if (!quant_want_8bit(step, 0, err) || !weights_usable(step->node, conv, w, err) ||
        !zero_usable(step->node, w, op_in(step, s->w_zero), err) ||
        !quant_want_parameters(step, s->x_scale, s->x_zero, x->dtype, 0, err) ||
        !quant_want_parameters(step, s->w_scale, -1, w->dtype, w->dims[0], err))
        return false;
    if (s->y_zero >= 0 && (!quant_want_8bit(step, s->y_zero, err) ||
                           !quant_want_parameters(step, s->y_scale, s->y_zero, step->in[s->y_zero]->dtype, 0, err)))
        return false;
    if (bias && (bias->dtype != PERCEPT_INT32 || bias->rank != 1 || bias->dims[0] != w->dims[0]))
        return err_set(err, ERR_MODEL, OP_AT "the bias must be int32 [%lld]", OP_NODE(step->node),
                       (long long)w->dims[0]);
    if (x->rank != w->rank)
        return err_set(err, ERR_INVALID, OP_AT "a picture of rank %d; the weights need rank %d", OP_NODE(step->node),
                       x->rank, w->rank);
    *seen = conv->channels_last ? spatial_channels_second(x) : *x;
    if (seen->dims[1] != w->dims[1] * conv->group)
        return err_set(err, ERR_INVALID, OP_AT "a picture with %lld channels; the weights need %lld",
                       OP_NODE(step->node), (long long)seen->dims[1], (long long)(w->dims[1] * conv->group));
    return spatial_settle(&conv->spatial, step->node, w->rank - 2, w->dims + 2, g, err);
}

/* One tap, one pixel per output: the picture is the right side already. */
static bool is_direct(const struct qconv_plan *plan)
{
    const struct geometry *g = &plan->g;
    bool direct = plan->taps == 1;
    for (int i = 0; i < SPATIAL_MAX; i++)
        direct = direct && g->stride[i] == 1 && g->pad[i] == 0 && g->in[i] == g->out[i];
    return direct;
}

static void shape_sizes(const struct step *step, const struct qconv *conv, const struct tensor *x,
                        const struct geometry *g, struct qconv_plan *plan)
{
    const struct tensor *w = step->in[conv->slots->w];
    const int64_t panel = step->kernels->quantize->dot_step;
    plan->g = *g;
    plan->items = x->dims[0];
    plan->in_channels = x->dims[1];
    plan->out_channels = w->dims[0];
    plan->group = conv->group;
    plan->pixels_in = spatial_volume(g->in);
    plan->pixels = spatial_volume(g->out);
    plan->taps = spatial_volume(g->kernel);
    plan->k = w->dims[1] * plan->taps;
    plan->lda = row_length(plan->k);
    plan->x_signed = x->dtype == PERCEPT_INT8;
    plan->direct = is_direct(plan);
    plan->depthwise = w->dims[1] == 1 && plan->taps > 1;
    int64_t tile = TILE_BYTES / plan->k / panel * panel;
    tile = tile < panel ? panel : tile > TILE_PIXELS ? TILE_PIXELS : tile;
    const int64_t wanted = (plan->pixels + panel - 1) / panel * panel;
    plan->tile = tile < wanted ? tile : wanted;
    plan->tiles = (plan->pixels + plan->tile - 1) / plan->tile;
}

static struct seen seen_by(int64_t begin, int64_t stride, int64_t in)
{
    return (struct seen){begin, begin < 0 ? (-begin + stride - 1) / stride : 0,
                         begin < in ? (in - begin - 1) / stride + 1 : 0};
}

static bool shape_gathered(struct step *step, struct qconv_plan *plan, struct percept_err *err)
{
    const struct geometry *g = &plan->g;
    struct seen *seen = arena_array(step->arena, (size_t)g->kernel[2], sizeof *seen);
    if (!seen)
        return err_memory(err, "a convolution's taps", (size_t)g->kernel[2] * sizeof *seen);
    for (int64_t t = 0; t < g->kernel[2]; t++)
        seen[t] = seen_by(t * g->dilation[2] - g->pad[2], g->stride[2], g->in[2]);
    plan->seen = seen;
    return true;
}

static bool shape_depthwise(struct step *step, struct qconv_plan *plan, struct percept_err *err)
{
    const struct geometry *g = &plan->g;
    int64_t *offsets = arena_array(step->arena, (size_t)plan->taps, sizeof *offsets);
    if (!offsets)
        return err_memory(err, "a convolution's taps", (size_t)plan->taps * sizeof *offsets);
    for (int i = 0; i < SPATIAL_MAX; i++)
        plan->padded[i] = (g->out[i] - 1) * g->stride[i] + spatial_reach(g, i);
    int64_t cells; /* steps may be far larger than what they step over */
    if (!tensor_count(SPATIAL_MAX, plan->padded, &cells) || cells > PLANE_MOST)
        return err_set(err, ERR_INVALID, OP_AT "a padded picture of %lld by %lld by %lld is too large",
                       OP_NODE(step->node), (long long)plan->padded[0], (long long)plan->padded[1],
                       (long long)plan->padded[2]);
    for (int64_t t = 0; t < plan->taps; t++) {
        const int64_t d = t / g->kernel[2] / g->kernel[1], h = t / g->kernel[2] % g->kernel[1];
        offsets[t] = (d * g->dilation[0] * plan->padded[1] + h * g->dilation[1]) * plan->padded[2] +
                     t % g->kernel[2] * g->dilation[2];
    }
    plan->offsets = offsets;
    plan->tile = plan->pixels;
    plan->tiles = 1;
    return true;
}

static void shape_scratch(struct step *step, const struct qconv *conv, struct qconv_plan *plan)
{
    const size_t members = step->members > 0 ? (size_t)step->members : 1;
    const size_t channels = weights_round((size_t)plan->out_channels * sizeof(float));
    plan->lay = !conv->packed || !step->packed;
    plan->gather_bytes = plan->direct ? 0 : weights_round((size_t)(plan->k * plan->tile));
    plan->pack_bytes = weights_round(step->kernels->quantize->dot_pack_bytes(plan->k, plan->tile));
    plan->area_bytes =
        plan->gather_bytes + plan->pack_bytes + weights_round((size_t)(TILE_ROWS * plan->tile) * sizeof(int32_t));
    if (plan->depthwise) {
        plan->gather_bytes = weights_round((size_t)spatial_volume(plan->padded) * sizeof(int16_t) + 64);
        plan->area_bytes = plan->gather_bytes + weights_round((size_t)plan->pixels * sizeof(int32_t));
    }
    plan->factor_at = plan->lay ? weights_round(blob_bytes(step->in[conv->slots->w])) : 0;
    plan->bias_at = plan->factor_at + channels;
    plan->areas_at = plan->bias_at + channels;
    plan->x_at = plan->areas_at + plan->area_bytes * members;
    plan->y_at = plan->x_at;
    if (conv->channels_last)
        plan->y_at += weights_round((size_t)tensor_elements(step->in[0]));
    step->scratch_bytes = plan->y_at;
    if (conv->channels_last)
        step->scratch_bytes += (size_t)tensor_elements(step->out[0]);
    step->algorithm = plan->depthwise ? "depthwise" : plan->direct ? "pixels" : "gathered";
    step->flops = 2.0 * (double)plan->items * (double)plan->pixels * (double)plan->k * (double)plan->out_channels;
}

static bool qconv_shape(struct step *step, struct percept_err *err)
{
    const struct qconv *conv = step->priv;
    struct qconv_plan *plan = arena_alloc(step->arena, sizeof *plan);
    if (!plan)
        return err_memory(err, "a convolution's plan", sizeof *plan);
    *plan = (struct qconv_plan){0};
    struct geometry g;
    struct tensor x;
    if (!shape_inputs(step, conv, &x, &g, err))
        return false;
    spatial_input(&g, &x);
    if (!spatial_slide(&g, &conv->spatial, false, step->node, err))
        return false;
    int64_t dims[RANK_MAX];
    size_t n_bytes;
    const int rank = spatial_dims(&g, x.dims[0], step->in[conv->slots->w]->dims[0], dims);
    const int zero = conv->slots->y_zero;
    if (conv->channels_last)
        spatial_channels_last(rank, dims);
    op_set_out(step, 0, zero < 0 ? PERCEPT_INT32 : step->in[zero]->dtype, rank, dims);
    if (!tensor_bytes(step->out[0], 1, &n_bytes)) /* no product of the plan's overflows then */
        return err_set(err, ERR_INVALID, OP_AT "the output would be too large", OP_NODE(step->node));
    shape_sizes(step, conv, &x, &g, plan);
    if (!plan->direct && !(plan->depthwise ? shape_depthwise(step, plan, err) : shape_gathered(step, plan, err)))
        return false;
    shape_scratch(step, conv, plan);
    step->state = plan;
    return true;
}

/* --- run ---------------------------------------------------------------------------------------------------------- */

struct qconv_work {
    const struct step *step;
    const struct qconv_plan *plan;
    const uint8_t *x; /* planes, as y */
    void *y;
    const int16_t *weights;
    const float *factor; /* [out_channels] or NULL: sums are the output */
    const int32_t *bias; /* [out_channels] */
    int32_t x_zero, y_zero;
};

/* One output row's part [from, end). */
static void gather_row(uint8_t *to, const uint8_t *row, struct seen seen, int64_t stride, int64_t from, int64_t end,
                       uint8_t zero)
{
    const int64_t first = op_clamp(seen.first, from, end), last = op_clamp(seen.last, first, end);
    memset(to, zero, (size_t)(first - from));
    if (stride == 1 && last > first)
        memcpy(to + (first - from), row + seen.begin + first, (size_t)(last - first));
    else
        for (int64_t i = first; i < last; i++)
            to[i - from] = row[seen.begin + i * stride];
    memset(to + (last - from), zero, (size_t)(end - last));
}

/* What the tap at `at` sees of one channel for n output pixels from `start` on. */
static void gather_tap(const struct qconv_work *work, const uint8_t *x, const int64_t *at, const int64_t *start,
                       int64_t n, uint8_t *gathered)
{
    const struct geometry *g = &work->plan->g;
    const uint8_t zero = (uint8_t)work->x_zero;
    const struct seen seen = work->plan->seen[at[2]];
    int64_t line = start[0], row = start[1], from = start[2];
    for (; n > 0; from = 0) {
        const int64_t left = g->out[2] - from, length = n < left ? n : left;
        const int64_t d = line * g->stride[0] - g->pad[0] + at[0] * g->dilation[0];
        const int64_t h = row * g->stride[1] - g->pad[1] + at[1] * g->dilation[1];
        if (d < 0 || d >= g->in[0] || h < 0 || h >= g->in[1])
            memset(gathered, zero, (size_t)length);
        else
            gather_row(gathered, x + (d * g->in[1] + h) * g->in[2], seen, g->stride[2], from, from + length, zero);
        gathered += length;
        n -= length;
        if (++row == g->out[1]) {
            row = 0;
            line++;
        }
    }
}

/* All taps of a group's channels, one below the other. */
static void gather_tile(const struct qconv_work *work, const uint8_t *x, int64_t from, int64_t n, uint8_t *gathered)
{
    const struct qconv_plan *plan = work->plan;
    const struct geometry *g = &plan->g;
    const int64_t start[3] = {from / g->out[2] / g->out[1], from / g->out[2] % g->out[1], from % g->out[2]};
    for (int64_t channel = 0; channel < plan->in_channels / plan->group; channel++, x += plan->pixels_in) {
        int64_t at[3];
        for (at[0] = 0; at[0] < g->kernel[0]; at[0]++)
            for (at[1] = 0; at[1] < g->kernel[1]; at[1]++)
                for (at[2] = 0; at[2] < g->kernel[2]; at[2]++, gathered += plan->tile)
                    gather_tap(work, x, at, start, n, gathered);
    }
}

/* Sums of channels [row, row + rows) to the output. */
static void finish_rows(const struct qconv_work *work, int64_t channel, int64_t rows, int64_t n, const int32_t *sums,
                        int64_t at)
{
    const struct qconv_plan *plan = work->plan;
    const bool is_signed = work->step->out[0]->dtype == PERCEPT_INT8;
    for (int64_t r = 0; r < rows; r++, at += plan->pixels, sums += plan->tile) {
        const uint32_t bias = (uint32_t)work->bias[channel + r];
        if (work->factor) {
            work->step->kernels->quantize->requantize((uint8_t *)work->y + at, is_signed, sums,
                                                      &work->bias[channel + r], &work->factor[channel + r], false,
                                                      work->y_zero, n);
            continue;
        }
        int32_t *to = (int32_t *)work->y + at;
        for (int64_t i = 0; i < n; i++)
            to[i] = (int32_t)((uint32_t)sums[i] + bias);
    }
}

static void qconv_tile(const struct qconv_work *work, int64_t item, int64_t group, int64_t tile, char *area)
{
    const struct qconv_plan *plan = work->plan;
    const struct kernels *kernels = work->step->kernels;
    const int64_t from = tile * plan->tile;
    const int64_t left = plan->pixels - from, n = left < plan->tile ? left : plan->tile;
    const int64_t in = plan->in_channels / plan->group, out = plan->out_channels / plan->group;
    const uint8_t *x = work->x + (item * plan->in_channels + group * in) * plan->pixels_in;
    uint8_t *gathered = (uint8_t *)area;
    void *packed = area + plan->gather_bytes;
    int32_t *sums = (int32_t *)(void *)(area + plan->gather_bytes + plan->pack_bytes);
    if (plan->direct) {
        kernels->quantize->dot_pack(packed, x + from, plan->k, n, plan->pixels, 1, plan->x_signed);
    } else {
        gather_tile(work, x, from, n, gathered);
        kernels->quantize->dot_pack(packed, gathered, plan->k, n, plan->tile, 1, plan->x_signed);
    }
    for (int64_t row = 0; row < out; row += TILE_ROWS) {
        const int64_t rows = out - row < TILE_ROWS ? out - row : TILE_ROWS;
        const int64_t channel = group * out + row;
        kernels->quantize->dot(rows, n, plan->k, work->weights + channel * plan->lda, plan->lda, packed, sums,
                               plan->tile, 0, n);
        finish_rows(work, channel, rows, n, sums, (item * plan->out_channels + channel) * plan->pixels + from);
    }
}

static void fill(int16_t *to, int16_t value, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        to[i] = value;
}

/* One channel with its padding, as dot_pack would store its numbers. */
static void widen_plane(const struct qconv_work *work, const uint8_t *x, int16_t *plane)
{
    const struct qconv_plan *plan = work->plan;
    const struct geometry *g = &plan->g;
    const int32_t shift = plan->x_signed ? 0 : 128;
    const int16_t zero = (int16_t)(work->x_zero - shift);
    const int64_t width = plan->padded[2], pad = g->pad[2] < width ? g->pad[2] : width;
    const int64_t room = width - pad, n = g->in[2] < room ? g->in[2] : room;
    for (int64_t row = 0; row < plan->padded[0] * plan->padded[1]; row++, plane += width) {
        const int64_t d = row / plan->padded[1] - g->pad[0];
        const int64_t h = row % plan->padded[1] - g->pad[1];
        if (d < 0 || d >= g->in[0] || h < 0 || h >= g->in[1]) {
            fill(plane, zero, width);
            continue;
        }
        fill(plane, zero, pad);
        work->step->kernels->quantize->widen(plane + pad, x + (d * g->in[1] + h) * g->in[2], plan->x_signed, shift, n);
        fill(plane + pad + n, zero, room - n);
    }
}

/* A group of one input channel. */
static void qconv_plane(const struct qconv_work *work, int64_t item, int64_t group, char *area)
{
    const struct qconv_plan *plan = work->plan;
    const struct geometry *g = &plan->g;
    const int64_t out = plan->out_channels / plan->group;
    int16_t *plane = (int16_t *)(void *)area;
    int32_t *sums = (int32_t *)(void *)(area + plan->gather_bytes);
    widen_plane(work, work->x + (item * plan->in_channels + group) * plan->pixels_in, plane);
    for (int64_t channel = group * out; channel < (group + 1) * out; channel++) {
        for (int64_t row = 0; row < g->out[0] * g->out[1]; row++) {
            const int64_t d = row / g->out[1] * g->stride[0], h = row % g->out[1] * g->stride[1];
            work->step->kernels->quantize->dot_taps(
                sums + row * g->out[2], plane + (d * plan->padded[1] + h) * plan->padded[2], g->stride[2],
                plan->offsets, work->weights + channel * plan->lda, plan->taps, g->out[2]);
        }
        finish_rows(work, channel, 1, plan->pixels, sums, (item * plan->out_channels + channel) * plan->pixels);
    }
}

static void qconv_pieces(void *arg, int64_t from, int64_t to, int member)
{
    const struct qconv_work *work = arg;
    const struct qconv_plan *plan = work->plan;
    char *area = (char *)work->step->scratch + plan->areas_at + plan->area_bytes * (size_t)member;
    for (int64_t i = from; i < to; i++) {
        const int64_t item = i / plan->tiles / plan->group, group = i / plan->tiles % plan->group;
        if (plan->depthwise)
            qconv_plane(work, item, group, area);
        else
            qconv_tile(work, item, group, i % plan->tiles, area);
    }
}

/* Factor and bias of each channel; the bias takes in the picture's zero point. */
static void make_channels(const struct step *step, const struct qconv_plan *plan, const int32_t *sums, int32_t x_zero,
                          float *factor, int32_t *bias)
{
    const struct qconv *conv = step->priv;
    const struct slots *s = conv->slots;
    const struct tensor *given = op_in(step, s->bias), *w_scale = op_in(step, s->w_scale);
    const uint32_t zero = (uint32_t)(x_zero - (plan->x_signed ? 0 : 128));
    const bool each = w_scale && tensor_elements(w_scale) > 1;
    for (int64_t i = 0; i < plan->out_channels; i++) {
        const uint32_t own = given ? (uint32_t)((const int32_t *)given->data)[i] : 0;
        bias[i] = (int32_t)(own - zero * (uint32_t)sums[i]);
        if (w_scale)
            factor[i] = quant_scale(step->in[s->x_scale], 0) * quant_scale(w_scale, each ? i : 0) /
                        quant_scale(step->in[s->y_scale], 0);
    }
}

/* Items of [columns][rows] bytes to items of [rows][columns]. */
static void turn(struct percept_team *team, void *to, const void *from, int64_t items, int64_t rows, int64_t columns)
{
    struct walk_view view = {0};
    walk_axis(&view, items, rows * columns);
    walk_axis(&view, rows, 1);
    walk_axis(&view, columns, rows);
    walk_copy(team, to, from, 1, &view);
}

static bool qconv_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct qconv *conv = step->priv;
    const struct slots *s = conv->slots;
    const struct qconv_plan *plan = step->state;
    char *scratch = step->scratch;
    const char *blob = step->packed;
    if (plan->lay) {
        qconv_pack_into(step->kernels, step->in[s->w], op_in(step, s->w_zero), scratch);
        blob = scratch;
    }
    float *factor = (float *)(void *)(scratch + plan->factor_at);
    int32_t *bias = (int32_t *)(void *)(scratch + plan->bias_at);
    const int32_t *sums = (const int32_t *)(const void *)blob;
    struct qconv_work work = {
        .step = step,
        .plan = plan,
        .x = conv->channels_last ? scratch + plan->x_at : step->in[0]->data,
        .y = conv->channels_last ? scratch + plan->y_at : step->out[0]->data,
        .weights = (const int16_t *)(const void *)(blob + weights_round((size_t)plan->out_channels * sizeof(int32_t))),
        .factor = s->w_scale < 0 ? NULL : factor,
        .bias = bias,
        .x_zero = quant_zero(op_in(step, s->x_zero), 0),
        .y_zero = quant_zero(op_in(step, s->y_zero), 0),
    };
    make_channels(step, plan, sums, work.x_zero, factor, bias);
    if (conv->channels_last)
        turn(env->team, scratch + plan->x_at, step->in[0]->data, plan->items, plan->in_channels, plan->pixels_in);
    team_split(env->team, plan->items * plan->group * plan->tiles, 1, qconv_pieces, &work);
    if (conv->channels_last)
        turn(env->team, step->out[0]->data, scratch + plan->y_at, plan->items, plan->pixels, plan->out_channels);
    return true;
}

#define QCONV_RULE(name, variant_)                                                                                     \
    const struct op_rule op_##name = {.check = qconv_check,                                                            \
                                      .pack_bytes = qconv_pack_bytes,                                                  \
                                      .pack = qconv_pack,                                                              \
                                      .shape = qconv_shape,                                                            \
                                      .run = qconv_run,                                                                \
                                      .batch = batch_axis_items,                                                       \
                                      .variant = variant_}

QCONV_RULE(conv_integer, 0);
QCONV_RULE(qlinear_conv, 1);
