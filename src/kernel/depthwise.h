/*
 * depthwise.h - convolutions of one channel per group: blocks in, blocks out.
 *
 * A vector is WIDTH channels that know nothing of each other: there is nothing to sum over but taps, too
 * little work to pay for a copy of a large map. So no zeros are put around an edge; pixels skip the taps that
 * they do not see, and neighbours that see the same taps (all of them, or in a wide dilation the same side of
 * them) are computed together, as lines: along a row, or where few lie side by side down a column. They share
 * each load of a weight, and where taps are three or five in a row, at stride one or two, each load of an input
 * too:
 *
 *     for each row of taps                    weights of the row: registers
 *       for each input of the row             one load
 *         for each tap that sees it           sum of its pixel += input * weight
 *
 * An element's order of summation is that of the taps it sees, in any of these ways; where the window has more than one
 * part of parts.h, parts are counted along these.
 *
 * A small map at whose edges windows reach over it is copied with zeros around, which the first cache holds: then all
 * pixels of a row see the same taps, where otherwise a row of seven would be five lines.
 *
 * Which outputs see which taps is found once, when a shape is prepared: along each axis and phase the outputs
 * fall into spans that see the same ones, a few at either edge and all those between. A run walks spans.
 */
#ifndef KERNEL_DEPTHWISE_H
#define KERNEL_DEPTHWISE_H

#include "kernel/geometry.h"
#include "kernel/kernel.h"
#include "kernel/tile.h"

enum {
    DEPTHWISE_PIXELS = 8,
    DEPTHWISE_ROWS = 8,
    DEPTHWISE_PRODUCTS = 1 << 22,
    DEPTHWISE_COPY_BYTES = 3 << 13, /* of a map with zeros around: most of the first cache */
    SLIDE_TAPS = 5
};

/* Lengths of tiles whose taps are constants: sums, the taps of a row and one input live in registers. */
#if MANY_REGISTERS
enum { SLIDE_PIXELS = 14 };
#define SLIDE_LIST(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#else
enum { SLIDE_PIXELS = 8 };
#define SLIDE_LIST(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8)
#endif

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
    int64_t copy[2];      /* inputs along axes 1 and 2 that all outputs see; 0: maps are read where they lie */
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

/* Inputs along an axis that its outputs see, those beyond the map too. */
static int64_t depthwise_seen(const struct conv_shape *shape, int axis)
{
    return (shape->out[axis] - 1) * shape->stride[axis] + shape->kernel[axis];
}

/* Is a map to be copied with zeros around? */
static bool depthwise_copies(const struct conv_shape *shape)
{
    const int64_t high = depthwise_seen(shape, 1), wide = depthwise_seen(shape, 2);
    const bool slides = (shape->kernel[2] == 3 || shape->kernel[2] == 5) && shape->stride[2] <= 2;
    const bool padded = shape->pad[1] > 0 || shape->pad[2] > 0 || high > shape->in[1] || wide > shape->in[2];
    return slides && padded && !shape->transposed && shape->in[0] == 1 && shape->out[0] == 1 && shape->kernel[0] == 1 &&
           shape->pad[0] == 0 && shape->dilation[1] == 1 && shape->dilation[2] == 1 && all_taps(shape) <= PART &&
           high < DEPTHWISE_COPY_BYTES && wide < DEPTHWISE_COPY_BYTES &&
           high * wide * WIDTH * (int64_t)sizeof(float) <= DEPTHWISE_COPY_BYTES;
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
    for (int i = 0; i < 2 && depthwise_copies(shape); i++)
        depthwise->copy[i] = depthwise_seen(shape, i + 1);
    depthwise->head.scratch_bytes = (size_t)(depthwise->copy[0] * depthwise->copy[1] * WIDTH) * sizeof(float);
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

/* Outputs of one block that see the same taps of depth and height: one row of them, or several below each other. */
struct depthwise_row {
    const float *input;                       /* the block's map, advanced to the first visible tap's row */
    const float *weights;                     /* of the same tap */
    int64_t n[2], in_step[2], weight_step[3]; /* visible taps of axes 0 and 1 and their steps */
    int64_t tap_step;                         /* floats between taps along the row */
    int64_t pixel_step, row_step;             /* of the input, from output to output along the row, and down */
    int64_t out_row;
    int64_t rows;     /* that see the same */
    struct tile tile; /* what finishing needs */
};

/* Where a line of outputs begins: its first tap that is there, that tap's weight, and the output. */
struct line {
    const float *x, *w;
    float *output;
    const float *residual; /* or NULL */
    int64_t taps;          /* along the row */
    int64_t pixels, pixel_step, out_pixel;
};

/* Pixels that see the same taps along the row; `parted`, a constant: the window has more taps than one part. */
INLINED void depthwise_pixels(const struct depthwise_row *row, const struct line *line, const struct tile *tile,
                              const float *x0, int pixels, bool parted)
{
    vec sums[DEPTHWISE_PIXELS];
    UNROLL
    for (int p = 0; p < pixels; p++)
        sums[p] = splat(0);
    const int64_t pixel_step = line->pixel_step;
    struct parts parts;
    int left = PART;
    parts_begin(&parts);
    for (int64_t d = 0; d < row->n[0]; d++)
        for (int64_t h = 0; h < row->n[1]; h++) {
            const float *x = x0 + d * row->in_step[0] + h * row->in_step[1];
            const float *w = line->w + d * row->weight_step[0] + h * row->weight_step[1];
            for (int64_t t = 0; t < line->taps; t++, x += row->tap_step, w += row->weight_step[2]) {
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
    tile_finish(tile, 1, pixels, 1, sums);
}

/* The same for pixels side by side and taps side by side, their numbers constants: each input is loaded once for all
 * taps that see it, in the order in which a pixel sees them. */
INLINED void depthwise_slide(const struct depthwise_row *row, const struct line *line, const struct tile *tile,
                             const float *x0, int pixels, int taps, int stride)
{
    vec sums[SLIDE_PIXELS], weights[SLIDE_TAPS];
    UNROLL
    for (int p = 0; p < pixels; p++)
        sums[p] = splat(0);
    for (int64_t d = 0; d < row->n[0]; d++)
        for (int64_t h = 0; h < row->n[1]; h++) {
            const float *x = x0 + d * row->in_step[0] + h * row->in_step[1];
            const float *w = line->w + d * row->weight_step[0] + h * row->weight_step[1];
            UNROLL
            for (int t = 0; t < taps; t++)
                weights[t] = load(w + t * WIDTH);
            UNROLL
            for (int i = 0; i < (pixels - 1) * stride + taps; i++) {
                const vec in = load(x + i * WIDTH);
                UNROLL
                for (int t = i % stride; t < taps; t += stride) {
                    const int p = (i - t) / stride;
                    if (t <= i && p < pixels)
                        sums[p] = in * weights[t] + sums[p];
                }
            }
        }
    tile_finish(tile, 1, pixels, 1, sums);
}

/* A line in tiles of nearly equal length. taps and stride are constants; no taps: any number, at any distance. */
INLINED void depthwise_line(const struct depthwise_row *row, const struct line *line, bool parted, int taps, int stride)
{
    const int64_t tiles = ceil_div(line->pixels, taps ? SLIDE_PIXELS : DEPTHWISE_PIXELS);
    const int64_t pixels = line->pixels / tiles, longer = line->pixels % tiles;
    const int64_t out_pixel = line->out_pixel, in_step = line->pixel_step;
    struct tile tile = row->tile;
    const float *x = line->x;
    tile.output = line->output;
    tile.residual = line->residual;
    tile.out_pixel = out_pixel;
    for (int64_t i = 0; i < tiles; i++) {
        const int64_t n = pixels + (i < longer);
        switch (n) {
#define CASE(N)                                                                                                        \
    case N:                                                                                                            \
        if (taps)                                                                                                      \
            depthwise_slide(row, line, &tile, x, N, taps, stride);                                                     \
        else if (N <= DEPTHWISE_PIXELS)                                                                                \
            depthwise_pixels(row, line, &tile, x, N <= DEPTHWISE_PIXELS ? N : 1, parted);                              \
        break;
            SLIDE_LIST(CASE)
#undef CASE
        default:
            break;
        }
        x += n * in_step;
        tile.output += n * out_pixel;
        tile.residual = tile.residual ? tile.residual + n * out_pixel : NULL;
    }
}

typedef void depthwise_lines(const struct depthwise_row *row, const struct line *line);

#define LINE(NAME, PARTED, TAPS, STRIDE)                                                                               \
    static __attribute__((noinline)) void depthwise_##NAME(const struct depthwise_row *row, const struct line *line)   \
    {                                                                                                                  \
        depthwise_line(row, line, PARTED, TAPS, STRIDE);                                                               \
    }

LINE(parted, true, 0, 1)
LINE(any, false, 0, 1)
LINE(3_1, false, 3, 1)
LINE(3_2, false, 3, 2)
LINE(5_1, false, 5, 1)
LINE(5_2, false, 5, 2)

/* What computes the outputs that see all these taps of a row. */
static depthwise_lines *lines_of(const struct depthwise_row *row, int64_t taps, bool parted)
{
    const int64_t stride = row->pixel_step / WIDTH;
    if (parted)
        return depthwise_parted;
    if (row->tap_step != WIDTH || row->weight_step[2] != WIDTH)
        return depthwise_any;
    if (taps == 3)
        return stride == 1 ? depthwise_3_1 : stride == 2 ? depthwise_3_2 : depthwise_any;
    if (taps == 5)
        return stride == 1 ? depthwise_5_1 : stride == 2 ? depthwise_5_2 : depthwise_any;
    return depthwise_any;
}

/* Outputs of one phase of the row, and of those below it. Where few lie side by side, as at an edge, but more below
 * each other, lines run down: a single pixel is a chain of multiply-adds that wait for each other. */
static void depthwise_along(const struct depthwise_row *row, const struct spans *spans, const struct span *span,
                            bool parted, float *output, const float *residual)
{
    const struct phase *phase = &spans->phase;
    for (int64_t i = 0; i < spans->n; i++, span++) {
        const int64_t pixels = span->to - span->from, at = span->from * row->tile.out_pixel;
        struct line line = {.x = row->input + phase->offset * WIDTH + span->first * row->tap_step +
                                 span->from * row->pixel_step,
                            .w = row->weights + span->first * row->weight_step[2],
                            .output = output + at,
                            .residual = residual ? residual + at : NULL,
                            .taps = span->end - span->first};
        const bool down = pixels < DEPTHWISE_PIXELS / 2 && pixels < row->rows;
        const int64_t lines = down ? pixels : row->rows;
        const int64_t in_line = down ? row->pixel_step : row->row_step;
        const int64_t out_line = down ? row->tile.out_pixel : row->out_row;
        depthwise_lines *run = down ? (parted ? depthwise_parted : depthwise_any) : lines_of(row, line.taps, parted);
        line.pixels = down ? row->rows : pixels;
        line.pixel_step = down ? row->row_step : row->pixel_step;
        line.out_pixel = down ? row->out_row : row->tile.out_pixel;
        for (int64_t k = 0; k < lines; k++) {
            run(row, &line);
            line.x += in_line;
            line.output += out_line;
            line.residual = line.residual ? line.residual + out_line : NULL;
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
    if (axis == 1) {
        row->rows = depthwise->shape.transposed ? 1 : span->to - j;
        row->row_step = phase->in_step * depthwise->line[1];
    }
    row->n[axis] = span->end - span->first;
    row->in_step[axis] = phase->tap_step * depthwise->line[axis];
    row->weight_step[axis] = phase->taps.step * depthwise->tap_line[axis];
    if (row->n[axis] <= 0)
        return;
    row->input += (j * phase->in_step + phase->offset + span->first * phase->tap_step) * depthwise->line[axis];
    row->weights += (phase->taps.first + span->first * phase->taps.step) * depthwise->tap_line[axis];
}

/* Rows of a map from (depth, height) on that see the same taps, at most `most`; how many they are. `row` knows its map,
 * weights and what finishing needs. */
static int64_t depthwise_rows(const struct depthwise *depthwise, struct depthwise_row row, float *output,
                              const float *residual, int64_t depth, int64_t height, int64_t most)
{
    depthwise_see(depthwise, &row, 0, depth);
    depthwise_see(depthwise, &row, 1, height);
    row.rows = least(row.rows, most);
    row.out_row = depthwise->shape.out[2] * WIDTH;
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
        depthwise_along(&row, spans, span, depthwise->taps > PART, output + phase->first * WIDTH, plus);
    }
    return row.rows;
}

/* Copies what rows [from, to) of outputs see, with zeros where that is not in the map. */
static void depthwise_copy(const struct depthwise *depthwise, const float *map, float *copy, int64_t from, int64_t to)
{
    const struct conv_shape *shape = &depthwise->shape;
    const int64_t wide = depthwise->copy[1], left = least(shape->pad[2], wide), step = shape->stride[1];
    const int64_t there = least(shape->in[2], wide - left), right = wide - left - there;
    const size_t pixel = WIDTH * sizeof(float);
    for (int64_t h = from * step; h < (to - 1) * step + shape->kernel[1]; h++, copy += wide * WIDTH) {
        const int64_t at = h - shape->pad[1];
        if (at < 0 || at >= shape->in[1]) {
            memset(copy, 0, (size_t)wide * pixel);
            continue;
        }
        memset(copy, 0, (size_t)left * pixel);
        memcpy(copy + left * WIDTH, map + at * depthwise->line[1], (size_t)there * pixel);
        memset(copy + (left + there) * WIDTH, 0, (size_t)right * pixel);
    }
}

/* Rows [from, to) of a map that is copied: every pixel sees all taps. `row` knows weights and what finishing needs. */
static void depthwise_copied(const struct depthwise *depthwise, struct depthwise_row row, float *output,
                             const float *residual, float *copy, int64_t from, int64_t to)
{
    const struct conv_shape *shape = &depthwise->shape;
    const int64_t wide = depthwise->copy[1] * WIDTH, out = shape->out[2] * WIDTH;
    depthwise_copy(depthwise, row.input, copy, from, to);
    row.n[0] = 1;
    row.n[1] = shape->kernel[1];
    row.in_step[1] = wide;
    row.weight_step[1] = depthwise->tap_line[1];
    row.weight_step[2] = WIDTH;
    row.tap_step = WIDTH;
    row.pixel_step = shape->stride[2] * WIDTH;
    depthwise_lines *run = lines_of(&row, shape->kernel[2], false);
    struct line line = {.x = copy,
                        .w = row.weights,
                        .output = output,
                        .residual = residual,
                        .taps = shape->kernel[2],
                        .pixels = shape->out[2],
                        .pixel_step = row.pixel_step,
                        .out_pixel = WIDTH};
    for (int64_t r = from; r < to; r++) {
        run(&row, &line);
        line.x += shape->stride[1] * wide;
        line.output += out;
        line.residual = line.residual ? line.residual + out : NULL;
    }
}

static void depthwise_run(const struct conv_prepared *prepared, const float *input, const float *packed, float *output,
                          const struct epilogue *epilogue, float *scratch, int64_t from, int64_t to)
{
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
        const int64_t end = rows * (slice + 1) / slices;
        for (int64_t r = rows * slice / slices; r < end;) {
            const int64_t at = (block * rows + r) * width;
            const float *residual = epilogue->residual ? epilogue->residual + at : NULL;
            if (depthwise->copy[0]) {
                depthwise_copied(depthwise, row, output + at, residual, scratch, r, end);
                break;
            }
            r += depthwise_rows(depthwise, row, output + at, residual, r / height, r % height, end - r);
        }
    }
}

#endif
