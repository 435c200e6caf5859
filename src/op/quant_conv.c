/*
 * quant_conv.c - ConvInteger and QLinearConv, ONNX's and com.microsoft's: convolutions of 8-bit pictures.
 *
 * An item is laid down once: four channels of a pixel as one word, each phase of a stride by itself, padding around it.
 * What a tap of the window sees of neighbouring output pixels then lies in one stretch, and kernels->quantize->slide
 * multiplies it where it lies:
 *
 *     [four channels][phases of a stride][rows and padding][columns and padding][4]
 *
 * Sums of whole rows of output pixels follow each other with the padding between them, which falls away when they are
 * stored, plain, a channel after another. Where a group has one channel (depthwise) there is nothing to add up over
 * channels: it is copied into a padded plane, and slide_one does the same for four neighbours of a row.
 *
 * Padding is the picture's zero point, as ONNX has it. Zero points leave the inner loop:
 *
 *     sum (w - wz) (x - xz)  =  sum (w - wz) x  -  xz sum (w - wz)
 *
 * the picture's becomes a part of the bias; pixels are unsigned, so signed ones are laid as x + 128. The weights' is
 * subtracted when they are packed. w - wz may have nine bits: then it is a sum of up to three numbers of eight, and all
 * quads come that often. Packed bytes, when weights and their zero point are constants (the usual case):
 *
 *     [sum of each output channel's weights: int32][to 64 bytes][each group's quads, to 64 bytes]
 *
 * Otherwise the same is laid down in scratch at every run. QLinearConv then rounds
 * (sum + bias) x_scale w_scale[channel] / y_scale in float32, as ONNX Runtime does.
 *
 * With com.microsoft's channels_last the picture is turned into planes in scratch first, and what comes
 * out is turned back: two walks over bytes, next to sums over all channels of a group for each.
 *
 * Items come one after the other; of each, work is split over words of channels, then over groups, stretches of rows
 * and output channels. Thread: loader, then the session's holder with its team.
 */
#include <string.h>

#include "op/attr.h"
#include "op/batch_axis.h"
#include "op/quant.h"
#include "op/spatial.h"
#include "op/walk.h"
#include "op/weights.h"

enum {
    TILE_PIXELS = 512, /* of the output, at a time: rows of sums stay in the first cache */
    ROUND_PIXELS = 64, /* whole vectors of every level's bytes */
    UNIT_ROWS = 64,    /* output channels of a unit of work */
    PACK_QUADS = 64    /* at a time */
};

#define PLANE_MOST ((int64_t)1 << 40) /* pixels of a laid picture: their bytes can be counted */

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
    int parts;   /* numbers of 8 bits that a packed weight is the sum of */
    bool channels_last;
};

/* How a group's weights lie in quads, in this order: parts, words of channels, taps. Depthwise: parts, rows of taps,
 * and of each row its neighbours by fours, or one by one where they are dilated. */
struct form {
    int64_t rows, channels, taps, words; /* of a group; taps of one channel */
    int64_t lines, line, line_quads;     /* depthwise: rows of taps, taps of each, quads of each */
    int64_t quads;
    int parts;
    bool depthwise, dilated;
};

/* One axis of a laid picture: its phases, one for each rest of a tap's place by the stride that there is. */
struct phases {
    int64_t n, pitch;
    const int64_t *first; /* [n]: where each begins in the picture */
    const int64_t *phase; /* [taps] */
    const int64_t *shift; /* [taps]: pixels of its phase */
};

struct qconv_plan {
    struct geometry g;
    struct form form;
    int64_t items, in_channels, out_channels, group;
    int64_t pixels_in, pixels;
    struct phases axes[3];     /* not depthwise */
    int64_t padded[3];         /* depthwise: the plane */
    int64_t cells;             /* of a laid word of channels, or of a plane */
    const int64_t *offsets;    /* [quads] */
    int64_t pitch;             /* sums from one row of output pixels to the next */
    int64_t rows, columns;     /* of a tile */
    int64_t down, across;      /* tiles of an output plane, down and across */
    int64_t ldc;               /* sums of a tile, one channel's */
    int64_t units_of_channels; /* of a group */
    bool x_signed, flat, lay;
    size_t factor_at, bias_at, laid_at, areas_at; /* in scratch */
    size_t group_bytes;                           /* packed */
    size_t plane_bytes, sums_bytes, area_bytes;   /* of one member */
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

/* Of how many numbers of 8 bits is each difference of a weight and its zero point the sum? */
static int parts_of(const struct tensor *w, const struct tensor *zero)
{
    const int64_t rows = w->dims[0], k = tensor_span(w, 1, w->rank);
    const bool each = zero && tensor_elements(zero) > 1;
    int32_t least = 0, most = 0;
    for (int64_t i = 0; i < rows; i++) {
        const int32_t shift = quant_zero(zero, each ? i : 0);
        for (int64_t j = 0; j < k; j++) {
            const int32_t value = quant_value(((const uint8_t *)w->data)[i * k + j], w->dtype == PERCEPT_INT8) - shift;
            least = value < least ? value : least;
            most = value > most ? value : most;
        }
    }
    return least >= INT8_MIN && most <= INT8_MAX ? 1 : most <= 2 * INT8_MAX ? 2 : 3;
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
    if (conv->packed) {
        conv->parts = parts_of(w, zero);
        ctx->packed_inputs |= 1U << s->w; /* the zero point is small and read where it lies */
    }
    return true;
}

static struct form form_of(const struct qconv *conv, const struct tensor *w, const struct geometry *g, int parts)
{
    struct form f = {.rows = w->dims[0] / conv->group,
                     .channels = w->dims[1],
                     .taps = spatial_volume(g->kernel),
                     .words = (w->dims[1] + 3) / 4,
                     .lines = g->kernel[0] * g->kernel[1],
                     .line = g->kernel[2],
                     .parts = parts,
                     .dilated = g->dilation[2] != 1};
    f.depthwise = f.channels == 1 && f.taps > 1;
    f.line_quads = f.dilated ? f.line : (f.line + 3) / 4;
    f.quads = parts * (f.depthwise ? f.lines * f.line_quads : f.words * f.taps);
    return f;
}

static size_t group_bytes(const struct kernels *kernels, const struct form *f)
{
    return weights_round(f->depthwise ? (size_t)(4 * f->rows * f->quads)
                                      : kernels->quantize->slide_pack_bytes(f->rows, f->quads));
}

static size_t sums_bytes(const struct qconv *conv, const struct form *f)
{
    return weights_round((size_t)(conv->group * f->rows) * sizeof(int32_t));
}

static size_t blob_bytes(const struct qconv *conv, const struct kernels *kernels, const struct form *f)
{
    return sums_bytes(conv, f) + group_bytes(kernels, f) * (size_t)conv->group;
}

/* Of what check has seen already. */
static struct form constant_form(const struct node_ctx *ctx)
{
    const struct qconv *conv = ctx->node->priv;
    const struct tensor *w = weights_view(ctx, conv->slots->w);
    struct percept_err err = {0};
    struct geometry g = {0};
    spatial_settle(&conv->spatial, ctx->node, w->rank - 2, w->dims + 2, &g, &err);
    return form_of(conv, w, &g, conv->parts);
}

static size_t qconv_pack_bytes(const struct node_ctx *ctx)
{
    const struct qconv *conv = ctx->node->priv;
    if (!conv->packed)
        return 0;
    const struct form f = constant_form(ctx);
    return blob_bytes(conv, ctx->kernels, &f);
}

/* One output channel's weights on their way to quads. */
struct pack_row {
    const struct kernels *kernels;
    const struct form *form;
    const uint8_t *from; /* [channels][taps] */
    bool is_signed;
    int32_t zero;
    void *packed; /* the group's */
    int64_t row, at, n;
    int8_t quads[PACK_QUADS][4];
};

static void pack_flush(struct pack_row *p)
{
    if (p->form->depthwise)
        memcpy((char *)p->packed + 4 * (p->row * p->form->quads + p->at), p->quads, (size_t)(4 * p->n));
    else
        p->kernels->quantize->slide_pack(p->packed, p->form->quads, p->row, p->at, p->n, p->quads[0]);
    p->at += p->n;
    p->n = 0;
}

/* A quad of up to four weights, `stride` bytes dilated. */
static void pack_quad(struct pack_row *p, const uint8_t *from, int64_t stride, int64_t n, int part)
{
    int8_t *to = p->quads[p->n];
    for (int64_t i = 0; i < 4; i++) {
        int32_t rest = i < n ? quant_value(from[i * stride], p->is_signed) - p->zero : 0;
        for (int before = 0; before < part; before++)
            rest -= (int32_t)op_clamp(rest, INT8_MIN, INT8_MAX);
        to[i] = (int8_t)op_clamp(rest, INT8_MIN, INT8_MAX);
    }
    if (++p->n == PACK_QUADS)
        pack_flush(p);
}

static void pack_row(struct pack_row *p)
{
    const struct form *f = p->form;
    const int64_t step = f->dilated ? 1 : 4;
    for (int part = 0; part < f->parts; part++) {
        for (int64_t line = 0; f->depthwise && line < f->lines; line++)
            for (int64_t t = 0; t < f->line; t += step)
                pack_quad(p, p->from + line * f->line + t, 1, f->line - t < step ? f->line - t : step, part);
        for (int64_t word = 0; !f->depthwise && word < f->words; word++)
            for (int64_t t = 0; t < f->taps; t++)
                pack_quad(p, p->from + 4 * word * f->taps + t, f->taps,
                          f->channels - 4 * word < 4 ? f->channels - 4 * word : 4, part);
    }
    pack_flush(p);
}

static void qconv_pack_into(const struct qconv *conv, const struct kernels *kernels, const struct form *f,
                            const struct tensor *w, const struct tensor *zero, char *to)
{
    const int64_t k = f->channels * f->taps;
    int32_t *sums = (int32_t *)(void *)to;
    const bool each = zero && tensor_elements(zero) > 1;
    memset(to, 0, blob_bytes(conv, kernels, f));
    for (int64_t i = 0; i < conv->group * f->rows; i++) {
        struct pack_row p = {.kernels = kernels,
                             .form = f,
                             .from = (const uint8_t *)w->data + i * k,
                             .is_signed = w->dtype == PERCEPT_INT8,
                             .zero = quant_zero(zero, each ? i : 0),
                             .packed = to + sums_bytes(conv, f) + group_bytes(kernels, f) * (size_t)(i / f->rows),
                             .row = i % f->rows};
        pack_row(&p);
        uint32_t sum = 0;
        for (int64_t j = 0; j < k; j++)
            sum += (uint32_t)(quant_value(p.from[j], p.is_signed) - p.zero);
        sums[i] = (int32_t)sum;
    }
}

static void qconv_pack(const struct node_ctx *ctx, void *packed)
{
    const struct qconv *conv = ctx->node->priv;
    if (!conv->packed)
        return;
    const struct form f = constant_form(ctx);
    qconv_pack_into(conv, ctx->kernels, &f, weights_view(ctx, conv->slots->w), weights_view(ctx, conv->slots->w_zero),
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

/* Weights that are known at run time only may be anything. */
static int parts_then(const struct step *step, const struct qconv *conv)
{
    const bool plain = step->in[conv->slots->w]->dtype == PERCEPT_INT8 && !op_in(step, conv->slots->w_zero);
    return conv->packed && step->packed ? conv->parts : plain ? 1 : 3;
}

static bool no_room(const struct step *step, const struct qconv_plan *plan, struct percept_err *err)
{
    int64_t padded[3];
    for (int i = 0; i < SPATIAL_MAX; i++)
        padded[i] = (plan->g.out[i] - 1) * plan->g.stride[i] + spatial_reach(&plan->g, i);
    return err_set(err, ERR_INVALID, OP_AT "a padded picture of %lld by %lld by %lld is too large", OP_NODE(step->node),
                   (long long)padded[0], (long long)padded[1], (long long)padded[2]);
}

/* One axis of the laid picture. */
static bool shape_phases(struct step *step, struct qconv_plan *plan, int axis, struct percept_err *err)
{
    const struct geometry *g = &plan->g;
    const int64_t taps = g->kernel[axis], stride = g->stride[axis];
    int64_t *all = arena_array(step->arena, 3 * (size_t)taps, sizeof *all);
    if (!all)
        return err_memory(err, "a convolution's taps", 3 * (size_t)taps * sizeof *all);
    int64_t *first = all, *phase = all + taps, *shift = all + 2 * taps, n = 0, most = 0;
    for (int64_t t = 0; t < taps; t++) {
        const int64_t rest = t * g->dilation[axis] % stride, begin = rest - g->pad[axis];
        shift[t] = t * g->dilation[axis] / stride;
        most = shift[t] > most ? shift[t] : most;
        for (phase[t] = 0; phase[t] < n && first[phase[t]] != begin;)
            phase[t]++;
        if (phase[t] == n)
            first[n++] = begin;
    }
    plan->axes[axis] =
        (struct phases){.n = n, .pitch = g->out[axis] + most, .first = first, .phase = phase, .shift = shift};
    return true;
}

static int64_t cell_of(const struct qconv_plan *plan, const int64_t tap[3])
{
    const struct phases *a = plan->axes;
    const int64_t phase = (a[0].phase[tap[0]] * a[1].n + a[1].phase[tap[1]]) * a[2].n + a[2].phase[tap[2]];
    const int64_t row = a[0].shift[tap[0]] * a[1].pitch + a[1].shift[tap[1]];
    return (phase * a[0].pitch * a[1].pitch + row) * a[2].pitch + a[2].shift[tap[2]];
}

static bool shape_laid(struct step *step, struct qconv_plan *plan, int64_t *offsets, struct percept_err *err)
{
    const struct form *f = &plan->form;
    const int64_t *kernel = plan->g.kernel;
    int64_t sizes[7] = {f->words};
    for (int axis = 0; axis < SPATIAL_MAX; axis++) {
        if (!shape_phases(step, plan, axis, err))
            return false;
        sizes[1 + 2 * axis] = plan->axes[axis].n;
        sizes[2 + 2 * axis] = plan->axes[axis].pitch;
    }
    if (!tensor_count(7, sizes, &plan->cells) || plan->cells > PLANE_MOST)
        return no_room(step, plan, err);
    plan->cells /= f->words;
    plan->pitch = plan->axes[2].pitch;
    plan->flat = true;
    for (int64_t q = 0; q < f->quads; q++) {
        const int64_t t = q % f->taps;
        const int64_t tap[3] = {t / kernel[2] / kernel[1], t / kernel[2] % kernel[1], t % kernel[2]};
        offsets[q] = q / f->taps % f->words * plan->cells + cell_of(plan, tap);
    }
    return true;
}

static bool shape_depthwise(struct step *step, struct qconv_plan *plan, int64_t *offsets, struct percept_err *err)
{
    const struct geometry *g = &plan->g;
    const struct form *f = &plan->form;
    for (int i = 0; i < SPATIAL_MAX; i++)
        plan->padded[i] = (g->out[i] - 1) * g->stride[i] + spatial_reach(g, i);
    /* steps may be far larger than what they step over */
    if (!tensor_count(SPATIAL_MAX, plan->padded, &plan->cells) || plan->cells > PLANE_MOST)
        return no_room(step, plan, err);
    plan->flat = g->stride[1] == 1 && g->stride[2] == 1;
    plan->pitch = plan->flat ? plan->padded[2] : g->out[2];
    for (int64_t q = 0; q < f->quads; q++) {
        const int64_t line = q / f->line_quads % f->lines, d = line / g->kernel[1], h = line % g->kernel[1];
        offsets[q] = (d * g->dilation[0] * plan->padded[1] + h * g->dilation[1]) * plan->padded[2] +
                     q % f->line_quads * (f->dilated ? g->dilation[2] : 4);
    }
    return true;
}

static int64_t round_up(int64_t pixels)
{
    return (pixels + ROUND_PIXELS - 1) / ROUND_PIXELS * ROUND_PIXELS;
}

/* Whole rows of output pixels, or pieces of long ones. */
static void shape_tiles(struct qconv_plan *plan)
{
    const struct geometry *g = &plan->g;
    plan->columns = g->out[2] < TILE_PIXELS ? g->out[2] : TILE_PIXELS;
    plan->across = (g->out[2] + plan->columns - 1) / plan->columns;
    plan->rows = plan->across > 1 || plan->pitch > TILE_PIXELS ? 1 : TILE_PIXELS / plan->pitch;
    plan->rows = plan->rows < g->out[1] ? plan->rows : g->out[1];
    plan->down = g->out[0] * ((g->out[1] + plan->rows - 1) / plan->rows);
    plan->ldc = round_up((plan->rows - 1) * plan->pitch + plan->columns);
    plan->units_of_channels = plan->form.depthwise ? 1 : (plan->form.rows + UNIT_ROWS - 1) / UNIT_ROWS;
}

static void shape_sizes(const struct step *step, const struct qconv *conv, const struct tensor *x,
                        const struct geometry *g, struct qconv_plan *plan)
{
    const struct tensor *w = step->in[conv->slots->w];
    plan->g = *g;
    plan->items = x->dims[0];
    plan->in_channels = x->dims[1];
    plan->out_channels = w->dims[0];
    plan->group = conv->group;
    plan->pixels_in = spatial_volume(g->in);
    plan->pixels = spatial_volume(g->out);
    plan->form = form_of(conv, w, g, parts_then(step, conv));
    plan->x_signed = x->dtype == PERCEPT_INT8;
}

static void shape_scratch(struct step *step, const struct qconv *conv, struct qconv_plan *plan)
{
    const struct form *f = &plan->form;
    const size_t members = step->members > 0 ? (size_t)step->members : 1;
    const size_t channels = weights_round((size_t)plan->out_channels * sizeof(float));
    const int64_t rows = f->depthwise ? 1 : step->kernels->quantize->slide_step;
    plan->lay = !conv->packed || !step->packed;
    plan->group_bytes = group_bytes(step->kernels, f);
    plan->plane_bytes = f->depthwise ? weights_round((size_t)plan->cells + 64) : 0;
    plan->sums_bytes = weights_round((size_t)(rows * plan->ldc) * sizeof(int32_t));
    plan->area_bytes = plan->plane_bytes + plan->sums_bytes + weights_round((size_t)plan->ldc + 64);
    plan->factor_at = plan->lay ? weights_round(blob_bytes(conv, step->kernels, f)) : 0;
    plan->bias_at = plan->factor_at + channels;
    plan->laid_at = plan->bias_at + channels;
    plan->areas_at = plan->laid_at;
    if (!f->depthwise)
        plan->areas_at += weights_round((size_t)(plan->group * f->words * plan->cells) * 4 + 64);
    plan->x_at = plan->areas_at + plan->area_bytes * members;
    plan->y_at = plan->x_at;
    if (conv->channels_last)
        plan->y_at += weights_round((size_t)tensor_elements(step->in[0]));
    step->scratch_bytes = plan->y_at;
    if (conv->channels_last)
        step->scratch_bytes += (size_t)tensor_elements(step->out[0]);
    step->algorithm = f->depthwise ? "depthwise" : "slide";
    step->flops =
        2.0 * (double)plan->items * (double)plan->pixels * (double)(f->channels * f->taps) * (double)plan->out_channels;
}

static bool shape_offsets(struct step *step, struct qconv_plan *plan, struct percept_err *err)
{
    const size_t n = (size_t)plan->form.quads;
    int64_t *offsets = arena_array(step->arena, n, sizeof *offsets);
    if (!offsets)
        return err_memory(err, "a convolution's taps", n * sizeof *offsets);
    plan->offsets = offsets;
    return plan->form.depthwise ? shape_depthwise(step, plan, offsets, err) : shape_laid(step, plan, offsets, err);
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
    if (plan->pixels > 0 && !shape_offsets(step, plan, err))
        return false;
    if (plan->pixels > 0)
        shape_tiles(plan);
    shape_scratch(step, conv, plan);
    step->state = plan;
    return true;
}

/* --- run ---------------------------------------------------------------------------------------------------------- */

struct qconv_work {
    const struct step *step;
    const struct qconv_plan *plan;
    const uint8_t *x; /* of this item, planes, as y */
    char *y;
    uint8_t *laid;
    const char *weights;
    const float *factor; /* [out_channels] or NULL: sums are the output */
    const int32_t *bias; /* [out_channels] */
    int32_t x_zero, y_zero;
};

/* A part of an output plane. */
struct tile {
    int64_t line, row, rows, column, columns;
};

static struct tile tile_of(const struct qconv_plan *plan, int64_t i)
{
    const int64_t down = plan->down / plan->g.out[0], at = i / plan->across;
    struct tile tile = {.line = at / down, .row = at % down * plan->rows, .column = i % plan->across * plan->columns};
    const int64_t rows = plan->g.out[1] - tile.row, columns = plan->g.out[2] - tile.column;
    tile.rows = rows < plan->rows ? rows : plan->rows;
    tile.columns = columns < plan->columns ? columns : plan->columns;
    return tile;
}

/* For rows of a few bytes; the two do not overlap. */
static inline void copy_bytes(uint8_t *to, const uint8_t *from, int64_t n)
{
    enum { MANY = 16, SOME = 8, FEW = 4 };
    if (n > 8 * MANY) {
        memcpy(to, from, (size_t)n);
        return;
    }
#define IN_PIECES(SIZE)                                                                                                \
    if (n >= (SIZE)) {                                                                                                 \
        for (int64_t i = 0; i + (SIZE) < n; i += (SIZE))                                                               \
            memcpy(to + i, from + i, SIZE);                                                                            \
        memcpy(to + n - (SIZE), from + n - (SIZE), SIZE);                                                              \
        return;                                                                                                        \
    }
    IN_PIECES(MANY)
    IN_PIECES(SOME)
    IN_PIECES(FEW)
#undef IN_PIECES
    for (int64_t i = 0; i < n; i++)
        to[i] = from[i];
}

/* Sums of one channel's tile to the output. */
static void finish_tile(const struct qconv_work *work, int64_t channel, const struct tile *tile, int64_t pitch,
                        const int32_t *sums, uint8_t *bytes)
{
    const struct qconv_plan *plan = work->plan;
    const struct geometry *g = &plan->g;
    const int64_t at = ((channel * g->out[0] + tile->line) * g->out[1] + tile->row) * g->out[2] + tile->column;
    const int64_t n = (tile->rows - 1) * pitch + tile->columns;
    if (!work->factor) {
        const uint32_t bias = (uint32_t)work->bias[channel];
        int32_t *to = (int32_t *)(void *)work->y + at;
        for (int64_t r = 0; r < tile->rows; r++, to += g->out[2], sums += pitch)
            for (int64_t i = 0; i < tile->columns; i++)
                to[i] = (int32_t)((uint32_t)sums[i] + bias);
        return;
    }
    uint8_t *to = (uint8_t *)work->y + at;
    const bool whole = pitch == g->out[2] || tile->rows == 1, direct = whole && n >= 2 * ROUND_PIXELS;
    const int64_t rows = whole ? 1 : tile->rows;
    work->step->kernels->quantize->requantize(direct ? to : bytes, work->step->out[0]->dtype == PERCEPT_INT8, sums,
                                              &work->bias[channel], &work->factor[channel], false, work->y_zero,
                                              direct ? n : round_up(n));
    for (int64_t r = 0; !direct && r < rows; r++, to += g->out[2], bytes += pitch)
        copy_bytes(to, bytes, whole ? n : tile->columns);
}

/* Pixels of a row that a phase has: [first, last). */
static void row_seen(const struct qconv_plan *plan, int axis, int64_t begin, int64_t *first, int64_t *last)
{
    const int64_t stride = plan->g.stride[axis], in = plan->g.in[axis], pitch = plan->axes[axis].pitch;
    *first = op_clamp(begin < 0 ? (stride - 1 - begin) / stride : 0, 0, pitch);
    *last = op_clamp(begin < in ? (in - 1 - begin) / stride + 1 : 0, *first, pitch);
}

/* One row of one phase for four channels. */
static void picture_row(const struct qconv_work *work, const uint8_t *const rows[4], int64_t begin, uint8_t *to)
{
    const struct qconv_plan *plan = work->plan;
    const int64_t stride = plan->g.stride[2];
    int64_t first, last;
    const void *at[4];
    row_seen(plan, 2, begin, &first, &last);
    if (first == last)
        return;
    for (int i = 0; i < 4; i++)
        at[i] = rows[i] + begin + first * stride;
    work->step->kernels->quantize->slide_pixels(to + 4 * first, at, stride, plan->x_signed ? 0x80 : 0, last - first);
}

/* One phase of four channels. */
static void picture_phase(const struct qconv_work *work, const uint8_t *const planes[4], const int64_t begin[3],
                          uint8_t *to)
{
    const struct qconv_plan *plan = work->plan;
    const struct geometry *g = &plan->g;
    int64_t d_from, d_to, h_from, h_to;
    row_seen(plan, 0, begin[0], &d_from, &d_to);
    row_seen(plan, 1, begin[1], &h_from, &h_to);
    for (int64_t d = d_from; d < d_to; d++)
        for (int64_t h = h_from; h < h_to; h++) {
            const int64_t at = ((begin[0] + d * g->stride[0]) * g->in[1] + begin[1] + h * g->stride[1]) * g->in[2];
            const uint8_t *const rows[4] = {planes[0] + at, planes[1] + at, planes[2] + at, planes[3] + at};
            picture_row(work, rows, begin[2], to + 4 * (d * plan->axes[1].pitch + h) * plan->axes[2].pitch);
        }
}

/* Is a word of channels nothing but their pixels, as they lie? */
static bool lies_whole(const struct qconv_plan *plan)
{
    bool whole = plan->cells == plan->pixels_in;
    for (int i = 0; i < SPATIAL_MAX; i++)
        whole = whole && plan->axes[i].n == 1 && plan->axes[i].first[0] == 0 && plan->g.stride[i] == 1 &&
                plan->axes[i].pitch == plan->g.in[i];
    return whole;
}

static void picture_word(const struct qconv_work *work, int64_t group, int64_t word)
{
    const struct qconv_plan *plan = work->plan;
    const struct form *f = &plan->form;
    const uint8_t flip = plan->x_signed ? 0x80 : 0;
    uint8_t *to = work->laid + 4 * (group * f->words + word) * plan->cells;
    const uint8_t *planes[4];
    for (int64_t i = 0; i < 4; i++) { /* those past the last have weights of zero */
        const int64_t channel = 4 * word + i < f->channels ? 4 * word + i : f->channels - 1;
        planes[i] = work->x + (group * f->channels + channel) * plan->pixels_in;
    }
    if (lies_whole(plan)) {
        const void *const all[4] = {planes[0], planes[1], planes[2], planes[3]};
        work->step->kernels->quantize->slide_pixels(to, all, 1, flip, plan->cells);
        return;
    }
    const struct phases *a = plan->axes;
    const int64_t cells = a[0].pitch * a[1].pitch * a[2].pitch;
    memset(to, (uint8_t)work->x_zero ^ flip, (size_t)(4 * plan->cells));
    for (int64_t i = 0; i < a[0].n * a[1].n * a[2].n; i++, to += 4 * cells) {
        const int64_t begin[3] = {a[0].first[i / a[2].n / a[1].n], a[1].first[i / a[2].n % a[1].n],
                                  a[2].first[i % a[2].n]};
        picture_phase(work, planes, begin, to);
    }
}

static void picture_words(void *arg, int64_t from, int64_t to, int member)
{
    const struct qconv_work *work = arg;
    (void)member;
    for (int64_t i = from; i < to; i++)
        picture_word(work, i / work->plan->form.words, i % work->plan->form.words);
}

/* Some channels of a group, a tile of their pixels. */
static void slide_unit(const struct qconv_work *work, int64_t group, int64_t unit, const struct tile *tile, char *area)
{
    const struct qconv_plan *plan = work->plan;
    const struct form *f = &plan->form;
    const struct quantize_kernels *kernels = work->step->kernels->quantize;
    int32_t *sums = (int32_t *)(void *)area;
    uint8_t *bytes = (uint8_t *)area + plan->sums_bytes;
    const int64_t n = (tile->rows - 1) * plan->pitch + tile->columns;
    const int64_t at = (tile->line * plan->axes[1].pitch + tile->row) * plan->pitch + tile->column;
    const uint8_t *x = work->laid + 4 * (group * f->words * plan->cells + at);
    const char *weights = work->weights + plan->group_bytes * (size_t)group;
    const int64_t end = (unit + 1) * UNIT_ROWS < f->rows ? (unit + 1) * UNIT_ROWS : f->rows;
    for (int64_t row = unit * UNIT_ROWS; row < end; row += kernels->slide_step) {
        const int64_t rows = end - row < kernels->slide_step ? end - row : kernels->slide_step;
        kernels->slide(rows, n, f->quads, x, plan->offsets, weights + kernels->slide_pack_bytes(row, f->quads), sums,
                       plan->ldc);
        for (int64_t r = 0; r < rows; r++)
            finish_tile(work, group * f->rows + row + r, tile, plan->pitch, sums + r * plan->ldc, bytes);
    }
}

/* One channel with its padding. */
static void picture_plane(const struct qconv_work *work, const uint8_t *x, uint8_t *plane)
{
    const struct qconv_plan *plan = work->plan;
    const struct geometry *g = &plan->g;
    const uint8_t flip = plan->x_signed ? 0x80 : 0;
    const int64_t width = plan->padded[2], pad = g->pad[2] < width ? g->pad[2] : width;
    const int64_t room = width - pad, n = g->in[2] < room ? g->in[2] : room;
    memset(plane, (uint8_t)work->x_zero, (size_t)plan->cells);
    for (int64_t d = 0; d < g->in[0] && d + g->pad[0] < plan->padded[0]; d++)
        for (int64_t h = 0; h < g->in[1] && h + g->pad[1] < plan->padded[1]; h++)
            copy_bytes(plane + ((d + g->pad[0]) * plan->padded[1] + h + g->pad[1]) * width + pad,
                       x + (d * g->in[1] + h) * g->in[2], n);
    for (int64_t i = 0; flip && i < plan->cells; i += 8) { /* there is room behind it */
        uint64_t eight;
        memcpy(&eight, plane + i, sizeof eight);
        eight ^= 0x8080808080808080u;
        memcpy(plane + i, &eight, sizeof eight);
    }
}

/* Sums of a tile of one output channel of a group of one. */
static void slide_plane(const struct qconv_work *work, const struct tile *tile, const uint8_t *plane, const int8_t *w,
                        int32_t *sums)
{
    const struct qconv_plan *plan = work->plan;
    const struct geometry *g = &plan->g;
    const int64_t width = plan->padded[2];
    const uint8_t *x = plane + (tile->line * g->stride[0] * plan->padded[1] + tile->row * g->stride[1]) * width +
                       tile->column * g->stride[2];
    const int64_t calls = plan->flat ? 1 : tile->rows;
    const int64_t n = plan->flat ? (tile->rows - 1) * plan->pitch + tile->columns : tile->columns;
    for (int64_t r = 0; r < calls; r++, x += g->stride[1] * width, sums += plan->pitch)
        work->step->kernels->quantize->slide_one(sums, x, g->stride[2], plan->offsets, w, plan->form.quads, n);
}

static void depthwise_group(const struct qconv_work *work, int64_t group, char *area)
{
    const struct qconv_plan *plan = work->plan;
    const struct form *f = &plan->form;
    uint8_t *plane = (uint8_t *)area;
    int32_t *sums = (int32_t *)(void *)(area + plan->plane_bytes);
    uint8_t *bytes = plane + plan->plane_bytes + plan->sums_bytes;
    const char *weights = work->weights + plan->group_bytes * (size_t)group;
    picture_plane(work, work->x + group * plan->pixels_in, plane);
    for (int64_t row = 0; row < f->rows; row++)
        for (int64_t i = 0; i < plan->down * plan->across; i++) {
            const struct tile tile = tile_of(plan, i);
            slide_plane(work, &tile, plane, (const int8_t *)weights + 4 * row * f->quads, sums);
            finish_tile(work, group * f->rows + row, &tile, plan->pitch, sums, bytes);
        }
}

static void qconv_units(void *arg, int64_t from, int64_t to, int member)
{
    const struct qconv_work *work = arg;
    const struct qconv_plan *plan = work->plan;
    char *area = (char *)work->step->scratch + plan->areas_at + plan->area_bytes * (size_t)member;
    const int64_t tiles = plan->down * plan->across;
    for (int64_t i = from; i < to; i++) {
        if (plan->form.depthwise) {
            depthwise_group(work, i, area);
            continue;
        }
        const int64_t unit = i % plan->units_of_channels, rest = i / plan->units_of_channels;
        const struct tile tile = tile_of(plan, rest % tiles);
        slide_unit(work, rest / tiles, unit, &tile, area);
    }
}

static void qconv_item(struct qconv_work *work, struct percept_team *team)
{
    const struct qconv_plan *plan = work->plan;
    const struct form *f = &plan->form;
    int64_t units = plan->group;
    if (!f->depthwise) {
        team_split(team, plan->group * f->words, 1 + WALK_GRAIN / (4 * plan->cells + 1), picture_words, work);
        units *= plan->down * plan->across * plan->units_of_channels;
    }
    team_split(team, units, 1, qconv_units, work);
}

/* Factor and bias of each channel; the bias takes in the picture's zero point. */
static void make_channels(const struct step *step, const struct qconv_plan *plan, const int32_t *sums, int32_t x_zero,
                          float *factor, int32_t *bias)
{
    const struct qconv *conv = step->priv;
    const struct slots *s = conv->slots;
    const struct tensor *given = op_in(step, s->bias), *w_scale = op_in(step, s->w_scale);
    const uint32_t zero = (uint32_t)(x_zero + (plan->x_signed ? 128 : 0));
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
    if (plan->pixels == 0)
        return true;
    if (plan->lay) {
        qconv_pack_into(conv, step->kernels, &plan->form, step->in[s->w], op_in(step, s->w_zero), scratch);
        blob = scratch;
    }
    float *factor = (float *)(void *)(scratch + plan->factor_at);
    int32_t *bias = (int32_t *)(void *)(scratch + plan->bias_at);
    struct qconv_work work = {
        .step = step,
        .plan = plan,
        .laid = (uint8_t *)scratch + plan->laid_at,
        .weights = blob + sums_bytes(conv, &plan->form),
        .factor = s->w_scale < 0 ? NULL : factor,
        .bias = bias,
        .x_zero = quant_zero(op_in(step, s->x_zero), 0),
        .y_zero = quant_zero(op_in(step, s->y_zero), 0),
    };
    char *y = conv->channels_last ? scratch + plan->y_at : step->out[0]->data;
    const char *x = conv->channels_last ? scratch + plan->x_at : step->in[0]->data;
    const int64_t y_bytes = plan->out_channels * plan->pixels * (work.factor ? 1 : (int64_t)sizeof(int32_t));
    make_channels(step, plan, (const int32_t *)(const void *)blob, work.x_zero, factor, bias);
    if (conv->channels_last)
        turn(env->team, scratch + plan->x_at, step->in[0]->data, plan->items, plan->in_channels, plan->pixels_in);
    for (int64_t i = 0; i < plan->items && op_spend(env, plan->pixels); i++) {
        work.x = (const uint8_t *)x + i * plan->in_channels * plan->pixels_in;
        work.y = y + i * y_bytes;
        qconv_item(&work, env->team);
    }
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
