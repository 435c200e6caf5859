/*
 * depthwise.h - convolutions of one channel per group: blocks in, blocks out, no scratch.
 *
 * A vector is WIDTH channels that know nothing of each other: there is nothing to sum over but taps, too
 * little work to pay for a copy. So no zeros are put around an edge; pixels skip the taps that they do not
 * see, and where eight neighbours see the same taps (all of them, or in a wide dilation the same side of them),
 * they share each load of a weight. An element's order of summation is that of the taps it sees, in either
 * case; where the window has more than one part of parts.h, parts are counted along these.
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

static size_t depthwise_scratch_bytes(const struct conv_shape *shape)
{
    (void)shape;
    return 0;
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

static int64_t depthwise_units(const struct conv_shape *shape)
{
    return vectors_of(shape->group) * depthwise_slices(shape);
}

/* Taps [from, to) of output j that lie within `in` inputs. */
struct tap_range {
    int64_t from, to;
};

static struct tap_range taps_inside(const struct phase *phase, int64_t j, int64_t in)
{
    struct tap_range range = {.from = 0, .to = phase->taps.n};
    const int64_t at = j * phase->in_step + phase->offset;
    while (range.from < range.to && (at + range.from * phase->tap_step < 0 || at + range.from * phase->tap_step >= in))
        range.from++;
    while (range.to > range.from &&
           (at + (range.to - 1) * phase->tap_step < 0 || at + (range.to - 1) * phase->tap_step >= in))
        range.to--;
    return range;
}

/* One output row: the taps of depth and height that it sees, and where things lie. */
struct depthwise_row {
    const float *input;                       /* the block's map, advanced to the first visible tap's row */
    const float *weights;                     /* of the same tap */
    int64_t n[2], in_step[2], weight_step[3]; /* visible taps of axes 0 and 1 and their steps */
    int64_t tap_step;                         /* floats between taps along the row */
    int64_t pixel_step;
    struct tile tile; /* what finishing needs */
};

/* `parted`, a constant: the window has more taps than one part. */
INLINED void depthwise_pixels(const struct depthwise_row *row, int pixels, bool parted, const float *x0,
                              struct tap_range range, float *output, const float *residual)
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
            const float *x = x0 + d * row->in_step[0] + h * row->in_step[1] + range.from * row->tap_step;
            const float *w =
                row->weights + d * row->weight_step[0] + h * row->weight_step[1] + range.from * row->weight_step[2];
            for (int64_t t = range.from; t < range.to; t++, x += row->tap_step, w += row->weight_step[2]) {
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
    struct tile tile = row->tile;
    tile.output = output;
    tile.residual = residual;
    tile_finish(&tile, 1, pixels, 1, sums);
}

/* Do all outputs from j to last see the taps of this range, and no others? A tap that both see leaves no room
 * for one that only those between them see. */
static bool same_taps(const struct phase *phase, int64_t last, int64_t in, struct tap_range range)
{
    if (last >= phase->n || range.from == range.to)
        return false;
    const struct tap_range other = taps_inside(phase, last, in);
    return range.from == other.from && range.to == other.to;
}

/* Outputs of one phase along one row: full tiles where all pixels see the same taps, single ones elsewhere. */
INLINED void depthwise_along(const struct depthwise_row *row, const struct phase *phase, bool parted, int64_t in,
                             float *output, const float *residual)
{
    int64_t j = 0;
    while (j < phase->n) {
        const struct tap_range range = taps_inside(phase, j, in);
        const int64_t last = j + DEPTHWISE_PIXELS - 1;
        const float *x = row->input + j * row->pixel_step + phase->offset * WIDTH;
        const int64_t at = j * row->tile.out_pixel;
        const float *plus = residual ? residual + at : NULL;
        const struct extent extent = extent_of(phase, j, last + 1);
        const bool inside = last < phase->n && extent.low >= 0 && extent.high < in;
        if (inside || same_taps(phase, last, in, range)) {
            depthwise_pixels(row, DEPTHWISE_PIXELS, parted, x, range, output + at, plus);
            j += DEPTHWISE_PIXELS;
        } else {
            depthwise_pixels(row, 1, parted, x, range, output + at, plus);
            j++;
        }
    }
}

/* The phase that computes output o along an axis, and its index there. */
static struct phase phase_at(const struct conv_shape *shape, int axis, int64_t o, int64_t *j)
{
    const int64_t residue = shape->transposed ? (o + shape->pad[axis]) % shape->stride[axis] : 0;
    const struct phase phase = phase_of(shape, axis, residue);
    *j = (o - phase.first) / phase.step;
    return phase;
}

static void depthwise_row(const struct conv_shape *shape, const float *map, const float *weights, float *output,
                          const struct epilogue *epilogue, const float *bias, const float *residual, int64_t depth,
                          int64_t height)
{
    const int64_t *in = shape->in, *kernel = shape->kernel;
    const int64_t line[2] = {in[1] * in[2] * WIDTH, in[2] * WIDTH};
    const int64_t tap_line[2] = {kernel[1] * kernel[2] * WIDTH, kernel[2] * WIDTH};
    const int64_t o[2] = {depth, height};
    struct depthwise_row row = {.input = map, .weights = weights};
    for (int axis = 0; axis < 2; axis++) {
        int64_t j;
        const struct phase phase = phase_at(shape, axis, o[axis], &j);
        const struct tap_range range = taps_inside(&phase, j, in[axis]);
        row.n[axis] = range.to - range.from;
        row.in_step[axis] = phase.tap_step * line[axis];
        row.weight_step[axis] = phase.taps.step * tap_line[axis];
        if (row.n[axis] <= 0)
            continue;
        row.input += (j * phase.in_step + phase.offset + range.from * phase.tap_step) * line[axis];
        row.weights += (phase.taps.first + range.from * phase.taps.step) * tap_line[axis];
    }
    for (int64_t residue = 0; residue < classes_of(shape, 2); residue++) {
        const struct phase phase = phase_of(shape, 2, residue);
        struct depthwise_row part = row;
        part.weights += phase.taps.first * WIDTH;
        part.weight_step[2] = phase.taps.step * WIDTH;
        part.tap_step = phase.tap_step * WIDTH;
        part.pixel_step = phase.in_step * WIDTH;
        part.tile = (struct tile){.bias = bias,
                                  .out_pixel = phase.step * WIDTH,
                                  .wanted = WIDTH,
                                  .epilogue = epilogue,
                                  .bounds = bounds_of(epilogue)};
        const float *plus = residual ? residual + phase.first * WIDTH : NULL;
        if (all_taps(shape) > PART)
            depthwise_along(&part, &phase, true, in[2], output + phase.first * WIDTH, plus);
        else
            depthwise_along(&part, &phase, false, in[2], output + phase.first * WIDTH, plus);
    }
}

static void depthwise_run(const struct conv_shape *shape, const float *input, const float *packed, float *output,
                          const struct epilogue *epilogue, float *scratch, int64_t from, int64_t to)
{
    (void)scratch;
    const int64_t slices = depthwise_slices(shape), rows = shape->out[0] * shape->out[1];
    const int64_t map = shape->in[0] * shape->in[1] * shape->in[2] * WIDTH;
    for (int64_t unit = from; unit < to; unit++) {
        const int64_t block = unit / slices, slice = unit % slices;
        float bias[WIDTH] = {0};
        if (epilogue->bias)
            memcpy(bias, epilogue->bias + block * WIDTH,
                   (size_t)least(WIDTH, shape->group - block * WIDTH) * sizeof *bias);
        for (int64_t r = rows * slice / slices; r < rows * (slice + 1) / slices; r++) {
            const int64_t at = (block * rows + r) * shape->out[2] * WIDTH;
            depthwise_row(shape, input + block * map, packed + block * all_taps(shape) * WIDTH, output + at, epilogue,
                          epilogue->bias ? bias : NULL, epilogue->residual ? epilogue->residual + at : NULL,
                          r / shape->out[1], r % shape->out[1]);
        }
    }
}

#endif
