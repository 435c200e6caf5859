/*
 * convolve.h - convolutions and transposed convolutions over one, two or three axes.
 *
 * The geometry is reduced to one form first. Along each axis a convolution is a set of phases; a phase
 * computes the outputs first, first + step, ... and each of its outputs j sees, through tap t, the
 * input at j * in_step + offset + t * offset_step:
 *
 *     convolution             one phase, all taps; in_step = stride, offset_step = dilation
 *     transposed convolution  `stride` phases; the taps k with k dilation = phase (mod stride);
 *                             in_step = 1, offset_step <= 0, so a phase is a plain stride-1 convolution
 *
 * A unit of work is (phase, piece of the output, group, panel of two vectors of output channels). Its
 * inputs are read where they lie if the piece sees no padding; else they are copied to scratch with
 * zeros around, once for all panels of the piece that a caller runs. So padding is multiplied, as ONNX
 * defines it (an infinite weight meets it as NaN), and every tile has all taps.
 *
 * The inner loop (tile) has rows x pixels x 1 or 2 vectors of accumulators. It is parametrised by
 * strides alone, so it reads blocks of WIDTH channels (LAYOUT_BLOCKED) as well as planes (LAYOUT_PLAIN,
 * or a group's planes in scratch). Order of summation, for every element and any tile: channel blocks,
 * within a block taps (depth, height, width), within a tap channels; in planes all channels are one
 * block. Packed weights lie in exactly the order in which the loop walks:
 *
 *     [phase][group][panel][block][tap d][tap h][tap w][channel][1 or 2 vectors]
 *
 * Algorithms, by conv_choose's table (further ones are further rows: Winograd, tiles of planes):
 *     depthwise  one channel per group: blocks in, blocks out, no scratch; border pixels skip taps
 *     direct     channels of a group fill whole blocks, or there is one group
 *     grouped    anything else: a group's channels are gathered into planes, its outputs scattered
 */
#ifndef KERNEL_CONVOLVE_H
#define KERNEL_CONVOLVE_H

#include "kernel/kernel.h"
#include "kernel/map.h"
#include "kernel/vec.h"

enum {
    CONV_PIECE_BYTES = 1 << 18, /* what a piece's copied inputs should not exceed: a part of the L2 */
    CONV_UNITS = 16,            /* units wanted, so that many threads can share one item */
    CONV_ROWS = 4               /* rows of a piece below which halos cost too much */
};

/* --- geometry -------------------------------------------------------------------------------------- */

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t vectors_of(int64_t channels)
{
    return ceil_div(channels, WIDTH);
}

/* Taps of one residue class along an axis: kernel positions first, first + step, ... */
struct taps {
    int64_t first, step, n;
};

static int64_t greatest_divisor(int64_t a, int64_t b)
{
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static int64_t classes_of(const struct conv_shape *shape, int axis)
{
    return shape->transposed ? shape->stride[axis] : 1;
}

/* Which taps belong to a class; depends on kernel, stride and dilation alone. */
static struct taps taps_of(const struct conv_shape *shape, int axis, int64_t class)
{
    const int64_t kernel = shape->kernel[axis];
    if (!shape->transposed)
        return (struct taps){.first = 0, .step = 1, .n = kernel};
    const int64_t stride = shape->stride[axis], dilation = shape->dilation[axis];
    const int64_t step = stride / greatest_divisor(stride, dilation);
    for (int64_t k = 0; k < least(step, kernel); k++)
        if (k * dilation % stride == class)
            return (struct taps){.first = k, .step = step, .n = (kernel - k - 1) / step + 1};
    return (struct taps){.first = 0, .step = 1, .n = 0};
}

/* One phase along one axis. */
struct phase {
    struct taps taps;
    int64_t n;                 /* outputs */
    int64_t first, step;       /* output positions */
    int64_t in_step;           /* inputs per output */
    int64_t offset, tap_step;  /* input position of tap t of output 0: offset + t * tap_step */
};

static struct phase phase_of(const struct conv_shape *shape, int axis, int64_t class)
{
    struct phase phase = {.taps = taps_of(shape, axis, class)};
    const int64_t stride = shape->stride[axis], dilation = shape->dilation[axis];
    const int64_t out = shape->out[axis], pad = shape->pad[axis];
    if (!shape->transposed) {
        phase.n = out;
        phase.step = 1;
        phase.in_step = stride;
        phase.offset = -pad;
        phase.tap_step = dilation;
        return phase;
    }
    /* outputs p with p + pad = class (mod stride); tap k of p reads input (p + pad - k dilation) / stride */
    phase.first = ((class - pad) % stride + stride) % stride;
    phase.n = out > phase.first ? (out - phase.first - 1) / stride + 1 : 0;
    phase.step = stride;
    phase.in_step = 1;
    phase.offset = (phase.first + pad - phase.taps.first * dilation) / stride;
    phase.tap_step = -(phase.taps.step * dilation / stride);
    return phase;
}

/* The input positions that outputs [from, to) of a phase see: low and high, inclusive. */
struct extent {
    int64_t low, high;
};

static struct extent extent_of(const struct phase *phase, int64_t from, int64_t to)
{
    const int64_t reach = phase->taps.n ? (phase->taps.n - 1) * phase->tap_step : 0;
    return (struct extent){
        .low = from * phase->in_step + phase->offset + (reach < 0 ? reach : 0),
        .high = (to - 1) * phase->in_step + phase->offset + (reach > 0 ? reach : 0),
    };
}

/* --- packing --------------------------------------------------------------------------------------- */

static int64_t all_taps(const struct conv_shape *shape)
{
    return shape->kernel[0] * shape->kernel[1] * shape->kernel[2];
}

/* Channels that the inner loop takes as one block. */
static int64_t block_of(const struct conv_shape *shape, bool planes)
{
    return planes ? shape->in_channels / shape->group : WIDTH;
}

static size_t direct_pack_bytes(const struct conv_shape *shape)
{
    const int64_t in = shape->in_channels / shape->group, out = shape->out_channels / shape->group;
    return (size_t)(all_taps(shape) * in * shape->group) *
           (size_t)(vectors_of(out) * WIDTH) * sizeof(float);
}

/* Weight (o, i, tap) of a group, scaled. */
struct weights {
    const struct conv_shape *shape;
    const char *raw;
    const float *scale;
    int64_t in, out; /* channels of a group */
};

static float weight_at(const struct weights *weights, int64_t group, int64_t o, int64_t i, int64_t tap)
{
    const int64_t channel = group * weights->out + o;
    const int64_t row = weights->shape->transposed
                            ? (group * weights->in + i) * weights->out + o
                            : channel * weights->in + i;
    float x;
    memcpy(&x, weights->raw + (row * all_taps(weights->shape) + tap) * (int64_t)sizeof x, sizeof x);
    return weights->scale ? x * weights->scale[channel] : x;
}

/* One tap of one block, for one panel: [channel][lane]. */
static float *pack_tap(float *to, const struct weights *weights, int64_t group, int64_t first_out,
                       int lanes, int64_t first_in, int64_t last_in, int64_t tap)
{
    for (int64_t i = first_in; i < last_in; i++)
        for (int lane = 0; lane < lanes; lane++, to++)
            *to = first_out + lane < weights->out
                      ? weight_at(weights, group, first_out + lane, i, tap)
                      : 0;
    return to;
}

static float *pack_panel(float *to, const struct weights *weights, const struct taps taps[3],
                         int64_t group, int64_t first_out, int lanes, int64_t block)
{
    const int64_t *kernel = weights->shape->kernel;
    for (int64_t i = 0; i < weights->in; i += block)
        for (int64_t d = 0; d < taps[0].n; d++)
            for (int64_t h = 0; h < taps[1].n; h++)
                for (int64_t w = 0; w < taps[2].n; w++) {
                    const int64_t at = ((taps[0].first + d * taps[0].step) * kernel[1] +
                                        taps[1].first + h * taps[1].step) *
                                           kernel[2] +
                                       taps[2].first + w * taps[2].step;
                    to = pack_tap(to, weights, group, first_out, lanes, i,
                                  least(i + block, weights->in), at);
                }
    return to;
}

static void pack_all(const struct conv_shape *shape, bool planes, float *to, const void *raw,
                     const float *scale)
{
    const struct weights weights = {.shape = shape,
                                    .raw = raw,
                                    .scale = scale,
                                    .in = shape->in_channels / shape->group,
                                    .out = shape->out_channels / shape->group};
    const int64_t n_h = classes_of(shape, 1), n_w = classes_of(shape, 2);
    const int64_t classes = classes_of(shape, 0) * n_h * n_w;
    for (int64_t class = 0; class < classes; class++) {
        const struct taps taps[3] = {taps_of(shape, 0, class / n_w / n_h),
                                     taps_of(shape, 1, class / n_w % n_h),
                                     taps_of(shape, 2, class % n_w)};
        for (int64_t group = 0; group < shape->group; group++)
            for (int64_t o = 0; o < weights.out; o += 2 * WIDTH) {
                const int lanes = weights.out - o > WIDTH ? 2 * WIDTH : WIDTH;
                to = pack_panel(to, &weights, taps, group, o, lanes, block_of(shape, planes));
            }
    }
}

static void direct_pack(const struct conv_shape *shape, void *packed, const void *raw, const float *scale)
{
    pack_all(shape, shape->in_plain, packed, raw, scale);
}

static void grouped_pack(const struct conv_shape *shape, void *packed, const void *raw,
                         const float *scale)
{
    pack_all(shape, true, packed, raw, scale);
}

/* --- the tile -------------------------------------------------------------------------------------- */

/* Where a tile reads and writes; strides in floats. */
struct tile {
    const float *input;   /* of the first pixel's first tap, channel 0 */
    const float *weights;
    int64_t n_blocks, lanes, last_lanes; /* channels in a block, and in the last one */
    int64_t taps[3], tap_step[3];
    int64_t block_step, lane_step, pixel_step, row_step;
    float *output;
    const float *residual; /* or NULL, strides as the output */
    const float *bias;     /* or NULL */
    int64_t out_pixel, out_row, out_vector;
    int64_t wanted; /* output channels from the first lane on */
    const struct epilogue *epilogue;
    struct bounds bounds;
};

INLINED void tile_finish(const struct tile *tile, int rows, int pixels, int vectors, const vec *sums)
{
    const vec low = splat(tile->bounds.low), high = splat(tile->bounds.high);
    UNROLL
    for (int v = 0; v < vectors; v++) {
        const vec bias = tile->bias ? load_some(tile->bias + v * WIDTH, tile->wanted - v * WIDTH) : splat(0);
        UNROLL
        for (int p = 0; p < rows * pixels; p++) {
            const int64_t at = p / pixels * tile->out_row + p % pixels * tile->out_pixel +
                               v * tile->out_vector;
            vec y = tile->bias ? sums[p * vectors + v] + bias : sums[p * vectors + v];
            if (tile->residual)
                y += load(tile->residual + at);
            if (tile->bounds.used)
                y = clamp(y, low, high);
            store(tile->output + at, y);
        }
    }
    if (!tile->bounds.later)
        return;
    for (int v = 0; v < vectors; v++)
        for (int p = 0; p < rows * pixels; p++)
            activate(tile->epilogue,
                     tile->output + p / pixels * tile->out_row + p % pixels * tile->out_pixel +
                         v * tile->out_vector,
                     WIDTH);
}

/* rows, pixels, vectors are constants where this is inlined, and so may the steps be. */
INLINED void tile_run(const struct tile *tile, int rows, int pixels, int vectors, int64_t pixel_step,
                      int64_t lane_step)
{
    const int64_t row_step = tile->row_step;
    vec sums[2 * CONV_PIXELS];
    UNROLL
    for (int i = 0; i < rows * pixels * vectors; i++)
        sums[i] = splat(0);
    const float *w = tile->weights;
    for (int64_t block = 0; block < tile->n_blocks; block++) {
        const int64_t lanes = block + 1 < tile->n_blocks ? tile->lanes : tile->last_lanes;
        const float *x0 = tile->input + block * tile->block_step;
        for (int64_t d = 0; d < tile->taps[0]; d++, x0 += tile->tap_step[0]) {
            const float *x1 = x0;
            for (int64_t h = 0; h < tile->taps[1]; h++, x1 += tile->tap_step[1]) {
                const float *x2 = x1;
                for (int64_t t = 0; t < tile->taps[2]; t++, x2 += tile->tap_step[2]) {
                    const float *x = x2;
                    for (int64_t lane = 0; lane < lanes; lane++, x += lane_step, w += vectors * WIDTH) {
                        vec weights[2];
                        UNROLL
                        for (int v = 0; v < vectors; v++)
                            weights[v] = load(w + v * WIDTH);
                        UNROLL
                        for (int p = 0; p < rows * pixels; p++) {
                            const vec in = splat(x[p / pixels * row_step + p % pixels * pixel_step]);
                            UNROLL
                            for (int v = 0; v < vectors; v++)
                                sums[p * vectors + v] = in * weights[v] + sums[p * vectors + v];
                        }
                    }
                }
            }
        }
    }
    tile_finish(tile, rows, pixels, vectors, sums);
}

/* Blocks at stride 1 are worth a loop of their own: all addresses become constants. */
INLINED void tile_sized(const struct tile *tile, int rows, int pixels, int vectors)
{
    if (tile->lane_step == 1 && tile->pixel_step == WIDTH)
        tile_run(tile, rows, pixels, vectors, WIDTH, 1);
    else
        tile_run(tile, rows, pixels, vectors, tile->pixel_step, tile->lane_step);
}

#define TILE(ROWS, PIXELS)                                                                         \
    static __attribute__((noinline)) void tile_##ROWS##_##PIXELS(const struct tile *tile,          \
                                                                 int vectors)                      \
    {                                                                                              \
        if (vectors == 2)                                                                          \
            tile_sized(tile, ROWS, PIXELS, 2);                                                     \
        else                                                                                       \
            tile_sized(tile, ROWS, PIXELS, 1);                                                     \
    }

#if MANY_REGISTERS
#define TILE_LIST(X)                                                                               \
    X(1, 1) X(1, 2) X(1, 3) X(1, 4) X(1, 5) X(1, 6) X(1, 7) X(1, 8) X(1, 9) X(1, 10) X(1, 11)      \
    X(1, 12) X(1, 13) X(1, 14) X(2, 4) X(2, 5) X(2, 6) X(2, 7) X(4, 1) X(4, 2) X(4, 3)
#else
#define TILE_LIST(X)                                                                               \
    X(1, 1) X(1, 2) X(1, 3) X(1, 4) X(1, 5) X(1, 6) X(2, 2) X(2, 3) X(4, 1)
#endif

TILE_LIST(TILE)

static void tile_any(const struct tile *tile, int64_t rows, int64_t pixels, int vectors)
{
    switch (rows * 16 + pixels) {
#define CASE(ROWS, PIXELS)                                                                         \
    case ROWS * 16 + PIXELS:                                                                       \
        tile_##ROWS##_##PIXELS(tile, vectors);                                                     \
        break;
        TILE_LIST(CASE)
#undef CASE
    default:
        break;
    }
}

/* How many rows a tile of this many pixels takes: narrow maps would leave registers empty. */
static int64_t tile_rows(int64_t pixels)
{
    if (4 * pixels <= CONV_PIXELS)
        return 4;
    return pixels > 1 && 2 * pixels <= CONV_PIXELS ? 2 : 1;
}

/* --- direct: how an item is cut into units ---------------------------------------------------------- */

/* Everything that follows from the shape alone, for the algorithms direct and grouped. */
struct cut {
    const struct conv_shape *shape;
    bool planes;  /* the tile reads planes, not blocks of WIDTH channels */
    bool scatter; /* outputs of a group do not fill blocks (and inputs are always copied) */
    bool flat;    /* one pixel's output sees that pixel alone: the map is one row */
    bool panels_outside;      /* units count panels slowest: weights are read once */
    int64_t in[3], out[3];    /* as the shape's, flattened if flat */
    int64_t group_in, group_out, in_blocks, block, panels;
    int64_t classes[3];
    int64_t most[3];          /* outputs of the largest phase */
    int64_t rows, columns;    /* of a piece */
    int64_t n_rows, n_columns; /* pieces along axes 1 and 2 of the largest phase */
    int64_t copy_floats;      /* of a piece's padded input, 0 if no piece is ever copied */
};

static bool is_flat(const struct conv_shape *shape)
{
    bool flat = !shape->transposed;
    for (int axis = 0; axis < 3; axis++)
        flat = flat && shape->kernel[axis] == 1 && shape->stride[axis] == 1 && shape->pad[axis] == 0 &&
               shape->in[axis] == shape->out[axis];
    return flat;
}

static struct phase cut_phase(const struct cut *cut, int axis, int64_t class)
{
    struct phase phase = phase_of(cut->shape, axis, class);
    if (cut->flat)
        phase.n = cut->out[axis];
    return phase;
}

/* Does any output see padding? */
static bool sees_padding(const struct cut *cut)
{
    for (int axis = 0; axis < 3; axis++)
        for (int64_t class = 0; class < cut->classes[axis]; class++) {
            const struct phase phase = cut_phase(cut, axis, class);
            if (phase.n == 0 || phase.taps.n == 0)
                continue;
            const struct extent extent = extent_of(&phase, 0, phase.n);
            if (extent.low < 0 || extent.high >= cut->in[axis])
                return true;
        }
    return false;
}

/* Inputs that n neighbouring outputs of any phase span along an axis. */
static int64_t span_of(const struct cut *cut, int axis, int64_t n)
{
    int64_t span = 1;
    for (int64_t class = 0; class < cut->classes[axis]; class++) {
        const struct phase phase = cut_phase(cut, axis, class);
        const struct extent extent = extent_of(&phase, 0, n);
        if (phase.taps.n && extent.high - extent.low + 1 > span)
            span = extent.high - extent.low + 1;
    }
    return span;
}

static int64_t copy_of(const struct cut *cut, int64_t rows, int64_t columns)
{
    const int64_t channels = cut->planes ? cut->group_in : cut->in_blocks * WIDTH;
    return channels * span_of(cut, 0, 1) * span_of(cut, 1, rows) * span_of(cut, 2, columns);
}

/* Halves a piece until its inputs are few, then until there are units for many threads. */
static void cut_pieces(struct cut *cut, bool copied)
{
    const int64_t most_floats = CONV_PIECE_BYTES * (copied ? 1 : 2) / (int64_t)sizeof(float);
    const int64_t few_columns = 4 * CONV_PIXELS;
    cut->rows = cut->most[1];
    cut->columns = cut->most[2];
    while (cut->rows > 1 && copy_of(cut, cut->rows, cut->columns) > most_floats)
        cut->rows = ceil_div(cut->rows, 2);
    while (cut->columns > few_columns && copy_of(cut, cut->rows, cut->columns) > most_floats)
        cut->columns = ceil_div(ceil_div(cut->columns, 2), CONV_PIXELS) * CONV_PIXELS;
    const int64_t others = cut->classes[0] * cut->classes[1] * cut->classes[2] * cut->most[0] *
                           cut->shape->group * cut->panels;
    for (;;) {
        cut->n_rows = ceil_div(cut->most[1], cut->rows);
        cut->n_columns = ceil_div(cut->most[2], cut->columns);
        if (others * cut->n_rows * cut->n_columns >= CONV_UNITS)
            break;
        if (cut->rows >= 2 * CONV_ROWS)
            cut->rows = ceil_div(cut->rows, 2);
        else if (cut->columns >= 2 * few_columns)
            cut->columns = ceil_div(ceil_div(cut->columns, 2), CONV_PIXELS) * CONV_PIXELS;
        else
            break;
    }
    cut->copy_floats = copied ? copy_of(cut, cut->rows, cut->columns) : 0;
}

static struct cut cut_item(const struct conv_shape *shape, bool scatter)
{
    struct cut cut = {.shape = shape, .scatter = scatter, .planes = scatter || shape->in_plain};
    cut.flat = is_flat(shape) && !scatter;
    for (int axis = 0; axis < 3; axis++) {
        cut.in[axis] = cut.flat ? 1 : shape->in[axis];
        cut.out[axis] = cut.flat ? 1 : shape->out[axis];
        cut.classes[axis] = classes_of(shape, axis);
    }
    if (cut.flat)
        cut.in[2] = cut.out[2] = shape->out[0] * shape->out[1] * shape->out[2];
    for (int axis = 0; axis < 3; axis++)
        cut.most[axis] = ceil_div(cut.out[axis], cut.classes[axis]);
    cut.group_in = shape->in_channels / shape->group;
    cut.group_out = shape->out_channels / shape->group;
    cut.block = block_of(shape, cut.planes);
    cut.in_blocks = cut.planes ? 1 : vectors_of(cut.group_in);
    cut.panels = ceil_div(cut.group_out, 2 * WIDTH);
    const bool copied = scatter || sees_padding(&cut);
    cut_pieces(&cut, copied);
    /* read either the weights once per piece or the inputs once per panel, whichever is less */
    const double weights = (double)all_taps(shape) * (double)shape->out_channels * (double)cut.group_in;
    const double inputs = (double)(cut.in[0] * cut.in[1] * cut.in[2]) * (double)shape->in_channels;
    cut.panels_outside = !copied && weights * (double)(cut.n_rows * cut.n_columns) >
                                        inputs * (double)cut.panels;
    return cut;
}

static int64_t cut_pieces_of(const struct cut *cut)
{
    return cut->classes[0] * cut->classes[1] * cut->classes[2] * cut->most[0] * cut->n_rows *
           cut->n_columns * cut->shape->group;
}

/* --- direct: a piece ------------------------------------------------------------------------------- */

/* Part of one phase's outputs of one group, and where its inputs lie. */
struct piece {
    struct phase phase[3];
    int64_t class[3], group;
    int64_t from[3], to[3]; /* outputs of the phase; empty where from >= to */
    struct extent extent[3];
    bool taps;   /* there are any */
    bool padded; /* some taps lie outside the map */
    /* the input: position low of axis a at `at`, the next one a step further */
    const float *at;
    int64_t step[3], block_step, lane_step;
};

static struct piece piece_of(const struct cut *cut, int64_t index)
{
    struct piece piece = {.taps = true};
    piece.group = index % cut->shape->group;
    index /= cut->shape->group;
    const int64_t column = index % cut->n_columns;
    index /= cut->n_columns;
    const int64_t row = index % cut->n_rows;
    index /= cut->n_rows;
    const int64_t depth = index % cut->most[0];
    index /= cut->most[0];
    piece.class[2] = index % cut->classes[2];
    index /= cut->classes[2];
    piece.class[1] = index % cut->classes[1];
    piece.class[0] = index / cut->classes[1];
    const int64_t first[3] = {depth, row * cut->rows, column * cut->columns};
    const int64_t length[3] = {1, cut->rows, cut->columns};
    for (int axis = 0; axis < 3; axis++) {
        const struct phase phase = cut_phase(cut, axis, piece.class[axis]);
        piece.phase[axis] = phase;
        piece.from[axis] = first[axis];
        piece.to[axis] = least(first[axis] + length[axis], phase.n);
        piece.extent[axis] = extent_of(&phase, piece.from[axis], piece.to[axis]);
        piece.taps = piece.taps && phase.taps.n > 0;
        piece.padded = piece.padded || piece.extent[axis].low < 0 ||
                       piece.extent[axis].high >= cut->in[axis];
    }
    piece.padded = piece.padded && piece.taps;
    return piece;
}

static bool piece_empty(const struct piece *piece)
{
    for (int axis = 0; axis < 3; axis++)
        if (piece->from[axis] >= piece->to[axis])
            return true;
    return false;
}

/* The inputs are read where they lie. */
static void piece_in_place(const struct cut *cut, struct piece *piece, const float *input)
{
    const int64_t pixel = cut->planes ? 1 : WIDTH;
    const int64_t map = cut->in[0] * cut->in[1] * cut->in[2] * pixel;
    piece->step[2] = pixel;
    piece->step[1] = cut->in[2] * pixel;
    piece->step[0] = cut->in[1] * piece->step[1];
    piece->block_step = map;
    piece->lane_step = cut->planes ? map : 1;
    piece->at = input + piece->group * (cut->planes ? cut->group_in : cut->in_blocks) * map;
    for (int axis = 0; axis < 3 && piece->taps; axis++)
        piece->at += piece->extent[axis].low * piece->step[axis];
}

/* One row of a copy: positions [low, low + n) of an input row of `in` pixels, zeros outside. */
static void copy_row(float *to, const float *row, int64_t in, int64_t low, int64_t n, int64_t pixel,
                     int64_t from_step)
{
    const int64_t before = least(low < 0 ? -low : 0, n);
    const int64_t end = least(in - low, n) > before ? least(in - low, n) : before;
    memset(to, 0, (size_t)(before * pixel) * sizeof *to);
    memset(to + end * pixel, 0, (size_t)((n - end) * pixel) * sizeof *to);
    if (from_step == pixel)
        memcpy(to + before * pixel, row + (low + before) * pixel,
               (size_t)((end - before) * pixel) * sizeof *to);
    else
        for (int64_t i = before; i < end; i++)
            to[i] = row[(low + i) * from_step];
}

/* One map (a block or a channel) of a copy. */
static float *copy_map(const struct cut *cut, const struct piece *piece, float *to, const float *map,
                       int64_t pixel, int64_t from_step)
{
    const struct extent *extent = piece->extent;
    const int64_t width = extent[2].high - extent[2].low + 1;
    for (int64_t d = extent[0].low; d <= extent[0].high; d++)
        for (int64_t h = extent[1].low; h <= extent[1].high; h++, to += width * pixel) {
            const bool inside = d >= 0 && d < cut->in[0] && h >= 0 && h < cut->in[1];
            const float *row = map + (d * cut->in[1] + h) * cut->in[2] * from_step;
            if (inside)
                copy_row(to, row, cut->in[2], extent[2].low, width, pixel, from_step);
            else
                memset(to, 0, (size_t)(width * pixel) * sizeof *to);
        }
    return to;
}

/* The inputs are copied to scratch with padding around. */
static void piece_copy(const struct cut *cut, struct piece *piece, const float *input, float *scratch)
{
    const int64_t pixel = cut->planes ? 1 : WIDTH;
    const int64_t map = cut->in[0] * cut->in[1] * cut->in[2];
    const bool gather = cut->planes && !cut->shape->in_plain; /* channels out of blocks */
    const int64_t maps = cut->planes ? cut->group_in : cut->in_blocks;
    float *to = scratch;
    for (int64_t i = 0; i < maps; i++) {
        const int64_t channel = piece->group * maps + i;
        if (gather)
            to = copy_map(cut, piece, to, input + channel / WIDTH * map * WIDTH + channel % WIDTH, 1,
                          WIDTH);
        else
            to = copy_map(cut, piece, to, input + channel * map * pixel, pixel, pixel);
    }
    const struct extent *extent = piece->extent;
    piece->step[2] = pixel;
    piece->step[1] = (extent[2].high - extent[2].low + 1) * pixel;
    piece->step[0] = (extent[1].high - extent[1].low + 1) * piece->step[1];
    piece->block_step = (extent[0].high - extent[0].low + 1) * piece->step[0];
    piece->lane_step = cut->planes ? piece->block_step : 1;
    piece->at = scratch;
}

/* --- direct: tiles of a piece ----------------------------------------------------------------------- */

/* Outputs whose channels do not fill blocks: computed aside, then scattered lane by lane. */
static void tile_scatter(const struct tile *tile, int64_t rows, int64_t pixels, int vectors,
                         int64_t channel, int64_t map)
{
    enum { LANES = 2 * WIDTH };
    float sums[CONV_PIXELS * LANES], residual[CONV_PIXELS * LANES] = {0};
    const int64_t lanes = least(tile->wanted, LANES);
    struct tile aside = *tile;
    aside.output = sums;
    aside.out_vector = WIDTH;
    aside.out_pixel = LANES;
    aside.out_row = pixels * LANES;
    for (int64_t p = 0; tile->residual && p < rows * pixels; p++)
        for (int64_t lane = 0; lane < lanes; lane++) {
            const int64_t c = channel + lane;
            residual[p * LANES + lane] = tile->residual[c / WIDTH * map + c % WIDTH +
                                                        p / pixels * tile->out_row +
                                                        p % pixels * tile->out_pixel];
        }
    aside.residual = tile->residual ? residual : NULL;
    tile_any(&aside, rows, pixels, vectors);
    for (int64_t p = 0; p < rows * pixels; p++)
        for (int64_t lane = 0; lane < lanes; lane++) {
            const int64_t c = channel + lane;
            tile->output[c / WIDTH * map + c % WIDTH + p / pixels * tile->out_row +
                         p % pixels * tile->out_pixel] = sums[p * LANES + lane];
        }
}

/* Position of a tile among the outputs of a phase: row, column and how many of each. */
struct spot {
    int64_t row, column, rows, pixels;
};

/* `tile` points at the piece's first output and is moved to the spot. */
static void piece_tile(const struct cut *cut, const struct piece *piece, const struct tile *base,
                       struct tile *tile, const struct spot *spot, int64_t channel)
{
    const int64_t row = spot->row - piece->from[1], column = spot->column - piece->from[2];
    const int64_t at = row * tile->out_row + column * tile->out_pixel;
    tile->input = base->input + row * tile->row_step + column * tile->pixel_step;
    tile->output = base->output + at;
    tile->residual = base->residual ? base->residual + at : NULL;
    const int vectors = tile->wanted > WIDTH ? 2 : 1;
    if (cut->scatter)
        tile_scatter(tile, spot->rows, spot->pixels, vectors, channel,
                     cut->out[0] * cut->out[1] * cut->out[2] * WIDTH);
    else
        tile_any(tile, spot->rows, spot->pixels, vectors);
}

/* Cuts a piece into tiles of nearly equal width, and into several rows where it is narrow. */
static void piece_tiles(const struct cut *cut, const struct piece *piece, const struct tile *base,
                        int64_t channel)
{
    const int64_t width = piece->to[2] - piece->from[2];
    const int64_t n = ceil_div(width, CONV_PIXELS);
    const int64_t rows = tile_rows(ceil_div(width, n));
    struct tile tile = *base;
    struct spot spot;
    for (spot.row = piece->from[1]; spot.row < piece->to[1]; spot.row += spot.rows) {
        spot.rows = piece->to[1] - spot.row >= rows ? rows : 1;
        for (int64_t i = 0; i < n; i++) {
            const int64_t from = width * i / n;
            spot.column = piece->from[2] + from;
            spot.pixels = width * (i + 1) / n - from;
            piece_tile(cut, piece, base, &tile, &spot, channel);
        }
    }
}

/* Where the packed weights of a piece's panel begin. */
static const float *piece_weights(const struct cut *cut, const struct piece *piece, const float *packed,
                                  int64_t panel)
{
    const struct conv_shape *shape = cut->shape;
    const int64_t lanes = vectors_of(cut->group_out) * WIDTH * cut->group_in;
    int64_t before = 0; /* taps of earlier phases: whole slabs, rows of one slab, one row */
    int64_t taps[3];
    for (int axis = 0; axis < 3; axis++)
        taps[axis] = piece->phase[axis].taps.n;
    for (int64_t class = 0; class < piece->class[0]; class++)
        before += taps_of(shape, 0, class).n * shape->kernel[1] * shape->kernel[2];
    for (int64_t class = 0; class < piece->class[1]; class++)
        before += taps[0] * taps_of(shape, 1, class).n * shape->kernel[2];
    for (int64_t class = 0; class < piece->class[2]; class++)
        before += taps[0] * taps[1] * taps_of(shape, 2, class).n;
    const int64_t here = taps[0] * taps[1] * taps[2];
    return packed + before * lanes * shape->group + here * lanes * piece->group +
           here * cut->group_in * panel * 2 * WIDTH;
}

static void piece_panel(const struct cut *cut, const struct piece *piece, const float *packed,
                        float *output, const struct epilogue *epilogue, int64_t panel)
{
    const int64_t local = panel * 2 * WIDTH, channel = piece->group * cut->group_out + local;
    const struct phase *phase = piece->phase;
    const int64_t map = cut->out[0] * cut->out[1] * cut->out[2] * WIDTH;
    int64_t at = 0; /* of the piece's first output */
    for (int axis = 0; axis < 3; axis++)
        at = at * cut->out[axis] + phase[axis].first + piece->from[axis] * phase[axis].step;
    at = at * WIDTH + (cut->scatter ? 0 : channel / WIDTH * map);
    struct tile tile = {
        .input = piece->at,
        .weights = piece_weights(cut, piece, packed, panel),
        .n_blocks = cut->in_blocks,
        .lanes = cut->block,
        .last_lanes = cut->group_in - (cut->in_blocks - 1) * cut->block,
        .block_step = piece->block_step,
        .lane_step = piece->lane_step,
        .pixel_step = phase[2].in_step * piece->step[2],
        .row_step = phase[1].in_step * piece->step[1],
        .output = output + at,
        .residual = epilogue->residual ? epilogue->residual + at : NULL,
        .bias = epilogue->bias ? epilogue->bias + channel : NULL,
        .out_pixel = phase[2].step * WIDTH,
        .out_row = phase[1].step * cut->out[2] * WIDTH,
        .out_vector = map,
        .wanted = cut->group_out - local,
        .epilogue = epilogue,
        .bounds = bounds_of(epilogue),
    };
    for (int axis = 0; axis < 3; axis++) {
        /* a negative tap step begins at the far end of what the piece spans */
        const int64_t reach = (phase[axis].taps.n - 1) * phase[axis].tap_step;
        tile.taps[axis] = piece->taps ? phase[axis].taps.n : 0;
        tile.tap_step[axis] = phase[axis].tap_step * piece->step[axis];
        if (piece->taps && reach < 0)
            tile.input -= reach * piece->step[axis];
    }
    piece_tiles(cut, piece, &tile, channel);
}

/* --- direct and grouped: the algorithms' functions --------------------------------------------------- */

static int64_t cut_units(const struct cut *cut)
{
    return cut_pieces_of(cut) * cut->panels;
}

static void cut_run(const struct cut *cut, const float *input, const float *packed, float *output,
                    const struct epilogue *epilogue, float *scratch, int64_t from, int64_t to)
{
    const int64_t pieces = cut_pieces_of(cut);
    int64_t ready = -1;
    struct piece piece = {.group = 0};
    for (int64_t unit = from; unit < to; unit++) {
        const int64_t index = cut->panels_outside ? unit % pieces : unit / cut->panels;
        const int64_t panel = cut->panels_outside ? unit / pieces : unit % cut->panels;
        if (index != ready) {
            piece = piece_of(cut, index);
            ready = index;
            if (piece_empty(&piece))
                continue;
            if (piece.padded || (cut->scatter && piece.taps))
                piece_copy(cut, &piece, input, scratch);
            else
                piece_in_place(cut, &piece, input);
        }
        if (!piece_empty(&piece))
            piece_panel(cut, &piece, packed, output, epilogue, panel);
    }
}

static bool direct_suits(const struct conv_shape *shape)
{
    const int64_t in = shape->in_channels / shape->group, out = shape->out_channels / shape->group;
    return shape->group == 1 || (!shape->in_plain && in % WIDTH == 0 && out % WIDTH == 0) ||
           (shape->in_plain && out % WIDTH == 0);
}

static size_t direct_scratch_bytes(const struct conv_shape *shape)
{
    const struct cut cut = cut_item(shape, false);
    return (size_t)cut.copy_floats * sizeof(float);
}

static int64_t direct_units(const struct conv_shape *shape)
{
    const struct cut cut = cut_item(shape, false);
    return cut_units(&cut);
}

static void direct_run(const struct conv_shape *shape, const float *input, const float *packed,
                       float *output, const struct epilogue *epilogue, float *scratch, int64_t from,
                       int64_t to)
{
    const struct cut cut = cut_item(shape, false);
    cut_run(&cut, input, packed, output, epilogue, scratch, from, to);
}

static bool grouped_suits(const struct conv_shape *shape)
{
    (void)shape;
    return true;
}

static size_t grouped_scratch_bytes(const struct conv_shape *shape)
{
    const struct cut cut = cut_item(shape, true);
    return (size_t)cut.copy_floats * sizeof(float);
}

static int64_t grouped_units(const struct conv_shape *shape)
{
    const struct cut cut = cut_item(shape, true);
    return cut_units(&cut);
}

static void grouped_run(const struct conv_shape *shape, const float *input, const float *packed,
                        float *output, const struct epilogue *epilogue, float *scratch, int64_t from,
                        int64_t to)
{
    const struct cut cut = cut_item(shape, true);
    cut_run(&cut, input, packed, output, epilogue, scratch, from, to);
}

/* --- depthwise -------------------------------------------------------------------------------------- */

enum { DEPTHWISE_PIXELS = 8, DEPTHWISE_ROWS = 8 };

static bool depthwise_suits(const struct conv_shape *shape)
{
    return shape->group == shape->in_channels && shape->group == shape->out_channels &&
           shape->group > 1 && !shape->in_plain;
}

static size_t depthwise_pack_bytes(const struct conv_shape *shape)
{
    return (size_t)(all_taps(shape) * vectors_of(shape->group) * WIDTH) * sizeof(float);
}

/* [block][tap][lane]: all taps in their own order, phases pick theirs by steps. */
static void depthwise_pack(const struct conv_shape *shape, void *packed, const void *raw,
                           const float *scale)
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

/* Units are (block of channels, slice of output rows); the phases are inside. */
static int64_t depthwise_slices(const struct conv_shape *shape)
{
    const int64_t rows = shape->out[0] * shape->out[1];
    const int64_t slices = ceil_div(CONV_UNITS, vectors_of(shape->group));
    const int64_t most = ceil_div(rows, DEPTHWISE_ROWS);
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
    while (range.from < range.to && (at + range.from * phase->tap_step < 0 ||
                                     at + range.from * phase->tap_step >= in))
        range.from++;
    while (range.to > range.from && (at + (range.to - 1) * phase->tap_step < 0 ||
                                     at + (range.to - 1) * phase->tap_step >= in))
        range.to--;
    return range;
}

/* One output row: the taps of depth and height that it sees, and where things lie. */
struct depthwise_row {
    const float *input;   /* the block's map, advanced to the first visible tap's row */
    const float *weights; /* of the same tap */
    int64_t n[2], in_step[2], weight_step[3]; /* visible taps of axes 0 and 1 and their steps */
    int64_t tap_step;     /* floats between taps along the row */
    int64_t pixel_step;
    struct tile tile;     /* what finishing needs */
};

INLINED void depthwise_pixels(const struct depthwise_row *row, int pixels, const float *x0,
                              struct tap_range range, float *output, const float *residual)
{
    vec sums[DEPTHWISE_PIXELS];
    UNROLL
    for (int p = 0; p < pixels; p++)
        sums[p] = splat(0);
    const int64_t pixel_step = row->pixel_step;
    for (int64_t d = 0; d < row->n[0]; d++)
        for (int64_t h = 0; h < row->n[1]; h++) {
            const float *x = x0 + d * row->in_step[0] + h * row->in_step[1] + range.from * row->tap_step;
            const float *w = row->weights + d * row->weight_step[0] + h * row->weight_step[1] +
                             range.from * row->weight_step[2];
            for (int64_t t = range.from; t < range.to; t++, x += row->tap_step, w += row->weight_step[2]) {
                const vec weight = load(w);
                UNROLL
                for (int p = 0; p < pixels; p++)
                    sums[p] = load(x + p * pixel_step) * weight + sums[p];
            }
        }
    struct tile tile = row->tile;
    tile.output = output;
    tile.residual = residual;
    tile_finish(&tile, 1, pixels, 1, sums);
}

/* Outputs of one phase along one row: full tiles where all taps are inside, single pixels elsewhere. */
static void depthwise_along(const struct depthwise_row *row, const struct phase *phase, int64_t in,
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
        if (last < phase->n && extent.low >= 0 && extent.high < in) {
            depthwise_pixels(row, DEPTHWISE_PIXELS, x, range, output + at, plus);
            j += DEPTHWISE_PIXELS;
        } else {
            depthwise_pixels(row, 1, x, range, output + at, plus);
            j++;
        }
    }
}

/* The phase that computes output o along an axis, and its index there. */
static struct phase phase_at(const struct conv_shape *shape, int axis, int64_t o, int64_t *j)
{
    const int64_t class = shape->transposed ? (o + shape->pad[axis]) % shape->stride[axis] : 0;
    const struct phase phase = phase_of(shape, axis, class);
    *j = (o - phase.first) / phase.step;
    return phase;
}

static void depthwise_row(const struct conv_shape *shape, const float *map, const float *weights,
                          float *output, const struct epilogue *epilogue, const float *bias,
                          const float *residual, int64_t depth, int64_t height)
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
    if (row.n[0] <= 0 || row.n[1] <= 0)
        row.n[0] = row.n[1] = 0;
    for (int64_t class = 0; class < classes_of(shape, 2); class++) {
        const struct phase phase = phase_of(shape, 2, class);
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
        depthwise_along(&part, &phase, in[2], output + phase.first * WIDTH,
                        residual ? residual + phase.first * WIDTH : NULL);
    }
}

static void depthwise_run(const struct conv_shape *shape, const float *input, const float *packed,
                          float *output, const struct epilogue *epilogue, float *scratch, int64_t from,
                          int64_t to)
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
            depthwise_row(shape, input + block * map, packed + block * all_taps(shape) * WIDTH,
                          output + at, epilogue, epilogue->bias ? bias : NULL,
                          epilogue->residual ? epilogue->residual + at : NULL, r / shape->out[1],
                          r % shape->out[1]);
        }
    }
}

/* --- the table --------------------------------------------------------------------------------------- */

struct algorithm {
    const char *name;
    bool (*suits)(const struct conv_shape *shape); /* first that does is chosen */
    size_t (*pack_bytes)(const struct conv_shape *shape);
    void (*pack)(const struct conv_shape *shape, void *packed, const void *raw, const float *scale);
    size_t (*scratch_bytes)(const struct conv_shape *shape);
    int64_t (*units)(const struct conv_shape *shape);
    void (*run)(const struct conv_shape *shape, const float *input, const float *packed, float *output,
                const struct epilogue *epilogue, float *scratch, int64_t from, int64_t to);
};

#define ALGORITHM(NAME, PACK_BYTES)                                                                \
    {                                                                                              \
        .name = #NAME, .suits = NAME##_suits, .pack_bytes = PACK_BYTES, .pack = NAME##_pack,       \
        .scratch_bytes = NAME##_scratch_bytes, .units = NAME##_units, .run = NAME##_run            \
    }

static const struct algorithm algorithms[] = {
    ALGORITHM(depthwise, depthwise_pack_bytes),
    ALGORITHM(direct, direct_pack_bytes),
    ALGORITHM(grouped, direct_pack_bytes),
};

static int conv_choose(const struct conv_shape *shape)
{
    int chosen = 0;
    while (!algorithms[chosen].suits(shape))
        chosen++;
    return chosen;
}

static const char *conv_name(int algorithm)
{
    return algorithms[algorithm].name;
}

static size_t conv_pack_bytes(int algorithm, const struct conv_shape *shape)
{
    return algorithms[algorithm].pack_bytes(shape);
}

static void conv_pack(int algorithm, const struct conv_shape *shape, void *packed, const void *weights,
                      const float *scale)
{
    algorithms[algorithm].pack(shape, packed, weights, scale);
}

static size_t conv_scratch_bytes(int algorithm, const struct conv_shape *shape)
{
    return algorithms[algorithm].scratch_bytes(shape);
}

static int64_t conv_units(int algorithm, const struct conv_shape *shape)
{
    return algorithms[algorithm].units(shape);
}

static void conv_run(int algorithm, const struct conv_shape *shape, const float *input,
                     const void *packed, float *output, const struct epilogue *epilogue, void *scratch,
                     int64_t from, int64_t to)
{
    algorithms[algorithm].run(shape, input, packed, output, epilogue, scratch, from, to);
}

#endif
