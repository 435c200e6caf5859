/*
 * depthwise.h - convolutions of one channel per group: blocks in, blocks out, no scratch.
 *
 * A vector is WIDTH channels that know nothing of each other: there is nothing to sum over but taps, too
 * little work to pay for a copy. So no zeros are put around an edge; pixels skip the taps that they do not
 * see, and where eight neighbours see the same taps (all of them, or in a wide dilation the same side of them),
 * they share each load of a weight. An element's order of summation is that of the taps it sees, in either
 * case; where the window has more than one part of parts.h, parts are counted along these.
 *
 * Which outputs see which taps is found once, when a shape is prepared: along each axis and phase the outputs
 * fall into spans that see the same ones, a few at either edge and all those between. A run walks spans.
 */
#ifndef KERNEL_DEPTHWISE_H
#define KERNEL_DEPTHWISE_H

#include "kernel/geometry.h"
#include "kernel/kernel.h"
#include "kernel/tile.h"

enum { DEPTHWISE_PIXELS = 8, DEPTHWISE_ROWS = 8, DEPTHWISE_PRODUCTS = 1 << 22 };

static bool depthwise_suits(const struct conv_shape *shape)
{
    return shape->group == shape->in_channels && shape->group == shape->out_channels && shape->group > 1 &&
           !shape->in_plain;
}

static size_t depthwise_pack_bytes(const struct conv_shape *shape)
{
    return (size_t)(all_taps(shape) * vectors_of(shape->group) * WIDTH) * sizeof(float);
}

/* [block][tap][lane]: all taps in their own order, phases pick theirs by steps. */
static void depthwise_pack(const struct conv_shape *shape, void *packed, const void *raw, const float *scale)
{
    const struct weights weights = {.shape = shape, .raw = raw, .scale = scale, .in = 1, .out = 1};
    float *to = packed;
    for (int64_t c = 0; c < shape->group; c += WIDTH)
        for (int64_t tap = 0; tap < all_taps(shape); tap++)
            for (int64_t lane = 0; lane < WIDTH; lane++, to++)
                *to = c + lane < shape->group ? weight_at(&weights, c + lane, 0, 0, tap) : 0;
}

/* Outputs [from, to) of a phase, all of which see its taps [first, end) and no others. */
struct span {
    int64_t from, to, first, end;
};

/* A phase and which of all spans are its own. */
struct spans {
    struct phase phase;
    int64_t first, n;
};

/* A prepared convolution of this algorithm. */
struct depthwise {
    struct conv_prepared head;
    struct conv_shape shape;
    int64_t rows, slices, taps;
    int64_t map, line[2]; /* floats of a block's map, and from position to position along axes 0 and 1 */
    int64_t tap_line[2];  /* the same among weights */
    int64_t first[3];     /* where the phases of each axis begin */
    int64_t n_phases;
    struct spans phases[]; /* behind them all spans */
};

static const struct span *depthwise_spans(const struct depthwise *depthwise)
{
    return (const struct span *)(depthwise->phases + depthwise->n_phases);
}

/* --- preparing ---------------------------------------------------------------------------------------------------- */

/* The span that begins with output j. Tap t of it sees position at + t step of `in`; while outputs go on, both ends of
 * what is seen move in one direction, or not at all. `next` is the first position at which one of them does. */
static struct span span_from(const struct phase *phase, int64_t j, int64_t in)
{
    const int64_t n = phase->taps.n, at = j * phase->in_step + phase->offset;
    const int64_t step = phase->tap_step < 0 ? -phase->tap_step : phase->tap_step;
    int64_t first = 0, end = 0, next = INT64_MAX;
    if (n == 0)
        return (struct span){.from = j, .to = phase->n};
    if (phase->tap_step > 0) {
        first = at < 0 ? least(ceil_div(-at, step), n) : 0;
        end = at < in ? least((in - 1 - at) / step + 1, n) : 0;
        next = first > 0 ? -(first - 1) * step : next;
        next = end > 0 ? least(next, in - (end - 1) * step) : next;
    } else {
        first = at >= in ? least(ceil_div(at - in + 1, step), n) : 0;
        end = at >= 0 ? least(at / step + 1, n) : 0;
        next = first < n ? in + first * step : next;
        next = end < n ? least(next, end * step) : next;
    }
    const int64_t last = (phase->n - 1) * phase->in_step + phase->offset;
    return (struct span){.from = j,
                         .to = next > last ? phase->n : ceil_div(next - phase->offset, phase->in_step),
                         .first = first,
                         .end = end > first ? end : first};
}

/* Most spans that a phase can have: of n taps, each end moves n times at most. */
static int64_t spans_most(const struct phase *phase)
{
    return least(phase->n, 2 * phase->taps.n + 1);
}

static int64_t spans_find(struct span *spans, const struct phase *phase, int64_t in)
{
    int64_t n = 0;
    for (int64_t j = 0; j < phase->n; j = spans[n++].to)
        spans[n] = span_from(phase, j, in);
    return n;
}

static size_t depthwise_bytes(const struct conv_shape *shape)
{
    size_t n_spans = 0;
    for (int axis = 0; axis < 3; axis++)
        for (int64_t residue = 0; residue < classes_of(shape, axis); residue++) {
            const struct phase phase = phase_of(shape, axis, residue);
            n_spans += (size_t)spans_most(&phase);
        }
    return sizeof(struct depthwise) + (size_t)phases_before(shape, 3) * sizeof(struct spans) +
           n_spans * sizeof(struct span);
}

/* Units are (block of channels, slice of output rows), enough for many threads and none of more than
 * DEPTHWISE_PRODUCTS multiply-adds of vectors or so; the phases are inside. */
static int64_t depthwise_slices(const struct conv_shape *shape)
{
    const int64_t rows = shape->out[0] * shape->out[1];
    const int64_t wanted = ceil_div(CONV_UNITS, vectors_of(shape->group));
    const int64_t long_ones = ceil_div(rows * shape->out[2] * all_taps(shape), DEPTHWISE_PRODUCTS);
    const int64_t slices = wanted > long_ones ? wanted : long_ones;
    const int64_t most = wanted > long_ones ? ceil_div(rows, DEPTHWISE_ROWS) : rows;
    return slices < most ? slices : most > 0 ? most : 1;
}

static void depthwise_prepare(struct conv_prepared *prepared, const struct conv_shape *shape)
{
    struct depthwise *depthwise = (struct depthwise *)prepared;
    const int64_t *in = shape->in, *kernel = shape->kernel;
    *depthwise = (struct depthwise){
        .shape = *shape,
        .rows = shape->out[0] * shape->out[1],
        .slices = depthwise_slices(shape),
        .taps = all_taps(shape),
        .map = in[0] * in[1] * in[2] * WIDTH,
        .line = {in[1] * in[2] * WIDTH, in[2] * WIDTH},
        .tap_line = {kernel[1] * kernel[2] * WIDTH, kernel[2] * WIDTH},
        .n_phases = phases_before(shape, 3),
    };
    depthwise->head.units = vectors_of(shape->group) * depthwise->slices;
    struct spans *phase = depthwise->phases;
    struct span *all = (struct span *)(phase + depthwise->n_phases);
    int64_t n = 0;
    for (int axis = 0; axis < 3; axis++) {
        depthwise->first[axis] = phases_before(shape, axis);
        for (int64_t residue = 0; residue < classes_of(shape, axis); residue++, phase++) {
            phase->phase = phase_of(shape, axis, residue);
            phase->first = n;
            phase->n = spans_find(all + n, &phase->phase, in[axis]);
            n += phase->n;
        }
    }
}

/* --- running ------------------------------------------------------------------------------------------------------ */

/* One output row: the taps of depth and height that it sees, and where things lie. */
struct depthwise_row {
    const float *input;                       /* the block's map, advanced to the first visible tap's row */
    const float *weights;                     /* of the same tap */
    int64_t n[2], in_step[2], weight_step[3]; /* visible taps of axes 0 and 1 and their steps */
    int64_t tap_step;                         /* floats between taps along the row */
    int64_t pixel_step;
    struct tile tile; /* what finishing needs */
};

/* Pixels that see the same n taps along the row; `parted`, a constant: the window has more taps than one part. */
INLINED void depthwise_pixels(struct depthwise_row *row, int pixels, bool parted, const float *x0, const float *w0,
                              int64_t n)
{
    vec sums[DEPTHWISE_PIXELS];
    UNROLL
    for (int p = 0; p < pixels; p++)
        sums[p] = splat(0);
    const int64_t pixel_step = row->pixel_step;
    struct parts parts;
    int left = PART;
    parts_begin(&parts);
    for (int64_t d = 0; d < row->n[0]; d++)
        for (int64_t h = 0; h < row->n[1]; h++) {
            const float *x = x0 + d * row->in_step[0] + h * row->in_step[1];
            const float *w = w0 + d * row->weight_step[0] + h * row->weight_step[1];
            for (int64_t t = 0; t < n; t++, x += row->tap_step, w += row->weight_step[2]) {
                if (parted && left-- == 0) {
                    parts_add(&parts, pixels, sums);
                    left = PART - 1;
                }
                const vec weight = load(w);
                UNROLL
                for (int p = 0; p < pixels; p++)
                    sums[p] = load(x + p * pixel_step) * weight + sums[p];
            }
        }
    if (parted)
        parts_end(&parts, pixels, sums);
    tile_finish(&row->tile, 1, pixels, 1, sums);
}

/* Outputs of one phase along one row: full tiles of what sees the same taps, single ones of what is left. */
INLINED void depthwise_along(struct depthwise_row *row, const struct spans *spans, const struct span *span, bool parted,
                             float *output, const float *residual)
{
    const struct phase *phase = &spans->phase;
    for (int64_t i = 0; i < spans->n; i++, span++) {
        const int64_t n = span->end - span->first;
        const float *w = row->weights + span->first * row->weight_step[2];
        const float *x = row->input + phase->offset * WIDTH + span->first * row->tap_step;
        for (int64_t j = span->from, pixels; j < span->to; j += pixels) {
            row->tile.output = output + j * row->tile.out_pixel;
            row->tile.residual = residual ? residual + j * row->tile.out_pixel : NULL;
            pixels = span->to - j >= DEPTHWISE_PIXELS ? DEPTHWISE_PIXELS : 1;
            if (pixels > 1)
                depthwise_pixels(row, DEPTHWISE_PIXELS, parted, x + j * row->pixel_step, w, n);
            else
                depthwise_pixels(row, 1, parted, x + j * row->pixel_step, w, n);
        }
    }
}

/* The phase that computes output o along an axis, and its index there. */
static const struct spans *spans_of(const struct depthwise *depthwise, int axis, int64_t o, int64_t *j)
{
    const struct spans *phases = depthwise->phases + depthwise->first[axis];
    *j = o;
    if (depthwise->shape.transposed) {
        phases += (o + depthwise->shape.pad[axis]) % depthwise->shape.stride[axis];
        *j = (o - phases->phase.first) / phases->phase.step;
    }
    return phases;
}

/* Along axes 0 and 1: what the row sees. */
static void depthwise_see(const struct depthwise *depthwise, struct depthwise_row *row, int axis, int64_t o)
{
    int64_t j;
    const struct spans *spans = spans_of(depthwise, axis, o, &j);
    const struct phase *phase = &spans->phase;
    const struct span *span = depthwise_spans(depthwise) + spans->first;
    while (j >= span->to)
        span++;
    row->n[axis] = span->end - span->first;
    row->in_step[axis] = phase->tap_step * depthwise->line[axis];
    row->weight_step[axis] = phase->taps.step * depthwise->tap_line[axis];
    if (row->n[axis] <= 0)
        return;
    row->input += (j * phase->in_step + phase->offset + span->first * phase->tap_step) * depthwise->line[axis];
    row->weights += (phase->taps.first + span->first * phase->taps.step) * depthwise->tap_line[axis];
}

/* `row` knows its map, weights and what finishing needs. */
static void depthwise_row(const struct depthwise *depthwise, struct depthwise_row row, float *output,
                          const float *residual, int64_t depth, int64_t height)
{
    depthwise_see(depthwise, &row, 0, depth);
    depthwise_see(depthwise, &row, 1, height);
    const float *weights = row.weights;
    for (int64_t i = depthwise->first[2]; i < depthwise->n_phases; i++) {
        const struct spans *spans = depthwise->phases + i;
        const struct span *span = depthwise_spans(depthwise) + spans->first;
        const struct phase *phase = &spans->phase;
        const float *plus = residual ? residual + phase->first * WIDTH : NULL;
        row.weights = weights + phase->taps.first * WIDTH;
        row.weight_step[2] = phase->taps.step * WIDTH;
        row.tap_step = phase->tap_step * WIDTH;
        row.pixel_step = phase->in_step * WIDTH;
        row.tile.out_pixel = phase->step * WIDTH;
        if (depthwise->taps > PART)
            depthwise_along(&row, spans, span, true, output + phase->first * WIDTH, plus);
        else
            depthwise_along(&row, spans, span, false, output + phase->first * WIDTH, plus);
    }
}

static void depthwise_run(const struct conv_prepared *prepared, const float *input, const float *packed, float *output,
                          const struct epilogue *epilogue, float *scratch, int64_t from, int64_t to)
{
    (void)scratch;
    const struct depthwise *depthwise = (const struct depthwise *)prepared;
    const int64_t slices = depthwise->slices, rows = depthwise->rows;
    const int64_t height = depthwise->shape.out[1], width = depthwise->shape.out[2] * WIDTH;
    for (int64_t unit = from; unit < to; unit++) {
        const int64_t block = unit / slices, slice = unit % slices;
        float bias[WIDTH] = {0};
        if (epilogue->bias)
            memcpy(bias, epilogue->bias + block * WIDTH,
                   (size_t)least(WIDTH, depthwise->shape.group - block * WIDTH) * sizeof *bias);
        const struct depthwise_row row = {.input = input + block * depthwise->map,
                                          .weights = packed + block * depthwise->taps * WIDTH,
                                          .tile = {.bias = epilogue->bias ? bias : NULL,
                                                   .wanted = WIDTH,
                                                   .epilogue = epilogue,
                                                   .bounds = bounds_of(epilogue)}};
        for (int64_t r = rows * slice / slices; r < rows * (slice + 1) / slices; r++) {
            const int64_t at = (block * rows + r) * width;
            depthwise_row(depthwise, row, output + at, epilogue->residual ? epilogue->residual + at : NULL, r / height,
                          r % height);
        }
    }
}

#endif
