/*
 * convolve.h - convolutions, by conv_choose's table of algorithms (further ones are further rows):
 *
 *     depthwise  one channel per group (depthwise.h)
 *     across     one group with few outputs (across.h)
 *     winograd4  3x3, stride 1, one group, not too few channels, where that is precise enough (winograd.h)
 *     winograd   the same, exact; of both, maps on which it does not pay are direct, whose weights are packed as well
 *     direct     channels of a group fill whole blocks, or there is one group
 *     grouped    anything else: a group's channels are gathered into planes, its outputs scattered
 *
 * Across, direct and grouped. A unit of work is (phase, piece of the output, group, panel of two vectors of output
 * channels); phases are geometry.h's. Its inputs are read where they lie if the piece sees no padding; else
 * they are copied to scratch with zeros around, once for all panels of the piece that a caller runs. So
 * padding is multiplied, as ONNX defines it (an infinite weight meets it as NaN), and every tile (tile.h)
 * has all taps. Where taps lie far apart (a wide dilation), what lies between them is not copied: each tap's
 * inputs stand by themselves, along any axis. Packed weights lie in exactly the order in which the loop walks:
 *
 *     [phase][group][panel][block][tap d][tap h][tap w][channel][1 or 2 vectors]
 *
 * A block is WIDTH channels; of planes, as many as one part of a sum may have.
 *
 *     unit: piece of the output, panel (which of both goes round outside: cut->panels_outside)      cut_run
 *       once a piece: its inputs are found, or copied with zeros around                             piece_copy
 *       rows of the piece, several where it is narrow                                               piece_tiles
 *         up to CONV_PIXELS pixels side by side x 2 vectors of sums in registers                    tile_any
 *           block, tap (depth, height, width), channel: a broadcast input times two vectors         tile_run
 *         bias, residual, activation, store                                                         tile_finish
 *
 * What follows from the shape alone (how an item is cut into pieces, the phases of each axis, where the taps
 * of a phase begin among the weights) is found once and kept in a struct cut; a run only reads it.
 */
#ifndef KERNEL_CONVOLVE_H
#define KERNEL_CONVOLVE_H

#include "kernel/across.h"
#include "kernel/depthwise.h"
#include "kernel/geometry.h"
#include "kernel/kernel.h"
#include "kernel/square.h"
#include "kernel/tile.h"
#include "kernel/vec.h"
#include "kernel/winograd.h"

enum {
    CONV_PIECE_BYTES = 1 << 18, /* what a piece's copied inputs should not exceed: a part of the L2 */
    CONV_ROWS = 4,              /* rows of a piece below which halos cost too much */
    AHEAD_TILES = 16 /* of a piece that weights are fetched ahead for: among more, the first is a small part */
};

/* --- packing ------------------------------------------------------------------------------------------------------ */

/* Channels that the inner loop takes as one block. */
static int64_t block_of(const struct conv_shape *shape, bool planes)
{
    return planes ? least(shape->in_channels / shape->group, PART) : WIDTH;
}

static size_t direct_pack_bytes(const struct conv_shape *shape)
{
    const int64_t in = shape->in_channels / shape->group, out = shape->out_channels / shape->group;
    return (size_t)(all_taps(shape) * in * shape->group) * (size_t)(vectors_of(out) * WIDTH) * sizeof(float);
}

/* One tap of one block, for one panel: [channel][lane]. */
static float *pack_tap(float *to, const struct weights *weights, int64_t group, int64_t first_out, int lanes,
                       int64_t first_in, int64_t last_in, int64_t tap)
{
    for (int64_t i = first_in; i < last_in; i++)
        for (int lane = 0; lane < lanes; lane++, to++)
            *to = first_out + lane < weights->out ? weight_at(weights, group, first_out + lane, i, tap) : 0;
    return to;
}

/* All blocks of one phase's taps, for one panel. */
static float *pack_panel(float *to, const struct weights *weights, const struct taps taps[3], int64_t group,
                         int64_t first_out, int lanes, int64_t block)
{
    const int64_t *kernel = weights->shape->kernel;
    for (int64_t i = 0; i < weights->in; i += block)
        for (int64_t d = 0; d < taps[0].n; d++)
            for (int64_t h = 0; h < taps[1].n; h++)
                for (int64_t w = 0; w < taps[2].n; w++) {
                    const int64_t at =
                        ((taps[0].first + d * taps[0].step) * kernel[1] + taps[1].first + h * taps[1].step) *
                            kernel[2] +
                        taps[2].first + w * taps[2].step;
                    to = pack_tap(to, weights, group, first_out, lanes, i, least(i + block, weights->in), at);
                }
    return to;
}

/* The same where an output's weights lie in one row, as all but transposed convolutions have them: squares of outputs
 * and of what lies beside each other in a row (channel by channel, all taps) are turned on their side. */
static float *pack_rows(float *to, const struct weights *weights, int64_t group, int64_t first_out, int lanes,
                        int64_t block)
{
    const int64_t taps = all_taps(weights->shape), row = weights->in * taps;
    const int64_t first = group * weights->out + first_out;
    const char *raw = weights->raw + first * row * (int64_t)sizeof(float);
    for (int64_t i = 0; i < weights->in; i += block) {
        const int64_t channels = least(block, weights->in - i), columns = channels * taps;
        for (int lane = 0; lane < lanes; lane += WIDTH) {
            int64_t channel = 0, tap = 0;
            for (int64_t c = 0; c < columns; c += WIDTH) {
                vec rows[WIDTH];
                turn_rows(rows, raw + (lane * row + i * taps + c) * (int64_t)sizeof(float), row,
                          weights->out - first_out - lane, columns - c,
                          weights->scale ? weights->scale + first + lane : NULL);
                for (int64_t k = 0; k < WIDTH && c + k < columns; k++) {
                    store(to + (tap * channels + channel) * lanes + lane, rows[k]);
                    tap = tap + 1 < taps ? tap + 1 : 0;
                    channel += tap == 0;
                }
            }
        }
        to += columns * lanes;
    }
    return to;
}

static void pack_all(const struct conv_shape *shape, bool planes, float *to, const void *raw, const float *scale)
{
    const struct weights weights = {.shape = shape,
                                    .raw = raw,
                                    .scale = scale,
                                    .in = shape->in_channels / shape->group,
                                    .out = shape->out_channels / shape->group};
    const int64_t n_h = classes_of(shape, 1), n_w = classes_of(shape, 2);
    const int64_t classes = classes_of(shape, 0) * n_h * n_w;
    for (int64_t residue = 0; residue < classes; residue++) {
        const struct taps taps[3] = {taps_of(shape, 0, residue / n_w / n_h), taps_of(shape, 1, residue / n_w % n_h),
                                     taps_of(shape, 2, residue % n_w)};
        for (int64_t group = 0; group < shape->group; group++)
            for (int64_t o = 0; o < weights.out; o += 2 * WIDTH) {
                const int lanes = weights.out - o > WIDTH ? 2 * WIDTH : WIDTH;
                to = shape->transposed ? pack_panel(to, &weights, taps, group, o, lanes, block_of(shape, planes))
                                       : pack_rows(to, &weights, group, o, lanes, block_of(shape, planes));
            }
    }
}

static void direct_pack(const struct conv_shape *shape, void *packed, const void *raw, const float *scale)
{
    pack_all(shape, shape->in_plain, packed, raw, scale);
}

static void grouped_pack(const struct conv_shape *shape, void *packed, const void *raw, const float *scale)
{
    pack_all(shape, true, packed, raw, scale);
}

/* --- direct: how an item is cut into units ------------------------------------------------------------------------ */

/* A prepared convolution of the algorithms across, direct and grouped. */
struct cut {
    struct conv_prepared head;
    struct conv_shape shape;
    bool planes;           /* the tile reads planes, not blocks of WIDTH channels */
    bool across;           /* few outputs: across.h's tiles */
    bool scatter;          /* outputs of a group do not fill blocks (and inputs are always copied) */
    bool flat;             /* one pixel's output sees that pixel alone: the map is one row */
    bool panels_outside;   /* units count panels slowest: weights are read once */
    bool fetched;          /* weights of the next panel, while one is used */
    int64_t in[3], out[3]; /* as the shape's, flattened if flat */
    int64_t group_in, group_out, in_blocks, block, panels;
    int64_t classes[3];
    int64_t most[3];           /* outputs of the largest phase */
    int64_t rows, columns;     /* of a piece */
    int64_t n_rows, n_columns; /* pieces along axes 1 and 2 of the largest phase */
    int64_t pieces;
    int64_t first[3]; /* where the phases of each axis begin */
    struct phase phases[];
};

static bool is_flat(const struct conv_shape *shape)
{
    bool flat = !shape->transposed;
    for (int axis = 0; axis < 3; axis++)
        flat = flat && shape->kernel[axis] == 1 && shape->stride[axis] == 1 && shape->pad[axis] == 0 &&
               shape->in[axis] == shape->out[axis];
    return flat;
}

static const struct phase *cut_phase(const struct cut *cut, int axis, int64_t residue)
{
    return cut->phases + cut->first[axis] + residue;
}

/* Does any output see padding? */
static bool sees_padding(const struct cut *cut)
{
    for (int axis = 0; axis < 3; axis++)
        for (int64_t residue = 0; residue < cut->classes[axis]; residue++) {
            const struct phase *phase = cut_phase(cut, axis, residue);
            if (phase->n == 0 || phase->taps.n == 0)
                continue;
            const struct extent extent = extent_of(phase, 0, phase->n);
            if (extent.low < 0 || extent.high >= cut->in[axis])
                return true;
        }
    return false;
}

/* How the inputs of n neighbouring outputs lie along an axis of a copy. */
struct lie {
    int64_t n;        /* positions */
    int64_t own;      /* of them those that one tap sees */
    bool independent; /* tap after tap; else as in the map, from the first that is seen to the last */
};

static struct lie lie_of(const struct phase *phase, int64_t n)
{
    const struct extent extent = extent_of(phase, 0, n);
    const int64_t span = extent.high - extent.low + 1;
    struct lie lie = {.own = (n - 1) * phase->in_step + 1};
    lie.independent = phase->taps.n * lie.own < span;
    lie.n = lie.independent ? phase->taps.n * lie.own : span;
    return lie;
}

/* Positions of a copy along an axis for n outputs of any phase. */
static int64_t span_of(const struct cut *cut, int axis, int64_t n)
{
    int64_t span = 1;
    for (int64_t residue = 0; residue < cut->classes[axis]; residue++) {
        const struct phase *phase = cut_phase(cut, axis, residue);
        if (phase->taps.n && lie_of(phase, n).n > span)
            span = lie_of(phase, n).n;
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
    const int64_t others =
        cut->classes[0] * cut->classes[1] * cut->classes[2] * cut->most[0] * cut->shape.group * cut->panels;
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
    cut->pieces = cut->classes[0] * cut->classes[1] * cut->classes[2] * cut->most[0] * cut->n_rows * cut->n_columns *
                  cut->shape.group;
    cut->head.units = cut->pieces * cut->panels;
    cut->head.scratch_bytes = copied ? (size_t)copy_of(cut, cut->rows, cut->columns) * sizeof(float) : 0;
}

/* Maps and phases; one row of pixels where the map is flat. */
static void cut_axes(struct cut *cut, const struct conv_shape *shape)
{
    phases_find(shape, cut->phases);
    for (int axis = 0; axis < 3; axis++) {
        cut->in[axis] = cut->flat ? 1 : shape->in[axis];
        cut->out[axis] = cut->flat ? 1 : shape->out[axis];
        cut->classes[axis] = classes_of(shape, axis);
        cut->first[axis] = phases_before(shape, axis);
    }
    if (cut->flat)
        cut->in[2] = cut->out[2] = shape->out[0] * shape->out[1] * shape->out[2];
    for (int axis = 0; axis < 3; axis++) {
        cut->most[axis] = ceil_div(cut->out[axis], cut->classes[axis]);
        if (cut->flat)
            cut->phases[cut->first[axis]].n = cut->out[axis];
    }
}

static size_t cut_bytes(const struct conv_shape *shape)
{
    return sizeof(struct cut) + (size_t)phases_before(shape, 3) * sizeof(struct phase);
}

/* Are all weights more than a part of the L2, so that they come from beyond it, and two panels less than most of it, so
 * that the next one does not displace the one in use? */
static bool worth_fetching(const struct cut *cut)
{
    const int64_t l2_floats = pick_l2_bytes() / (int64_t)sizeof(float);
    const int64_t lane = all_taps(&cut->shape) * cut->group_in, lanes = 2 * WIDTH;
    return lane * cut->shape.out_channels > l2_floats / 4 && 2 * lane * lanes < l2_floats / 4 * 3;
}

static void cut_prepare(struct cut *cut, const struct conv_shape *shape, bool scatter, bool across)
{
    *cut = (struct cut){.shape = *shape, .scatter = scatter, .across = across, .planes = scatter || shape->in_plain};
    cut->flat = is_flat(shape) && !scatter;
    cut_axes(cut, shape);
    cut->group_in = shape->in_channels / shape->group;
    cut->group_out = shape->out_channels / shape->group;
    cut->block = block_of(shape, cut->planes);
    cut->in_blocks = ceil_div(cut->group_in, cut->block);
    cut->panels = ceil_div(cut->group_out, 2 * WIDTH);
    const bool copied = scatter || sees_padding(cut);
    cut_pieces(cut, copied);
    /* read either the weights once per piece or the inputs once per panel, whichever is less */
    const double weights = (double)all_taps(shape) * (double)shape->out_channels * (double)cut->group_in;
    const double inputs = (double)(cut->in[0] * cut->in[1] * cut->in[2]) * (double)shape->in_channels;
    cut->fetched = worth_fetching(cut);
    cut->panels_outside = !copied && weights * (double)(cut->n_rows * cut->n_columns) > inputs * (double)cut->panels;
}

/* --- direct: a piece ---------------------------------------------------------------------------------------------- */

/* Part of one phase's outputs of one group, and where its inputs lie. */
struct piece {
    const struct phase *phase[3];
    int64_t group;
    int64_t from[3], to[3]; /* outputs of the phase; empty where from >= to */
    struct extent extent[3];
    bool taps;   /* there are any */
    bool padded; /* some taps lie outside the map */
    /* the input: what tap 0 of the first output sees at `at`, the next position a step further */
    const float *at;
    int64_t step[3], tap_step[3], block_step, lane_step;
};

/* Takes the last digit, of `base` values, off an index. */
INLINED int64_t digit_of(int64_t *index, int64_t base)
{
    if (base == 1) /* the most frequent one; a division is slow */
        return 0;
    const int64_t digit = *index % base;
    *index /= base;
    return digit;
}

static struct piece piece_of(const struct cut *cut, int64_t index)
{
    struct piece piece = {.taps = true};
    int64_t residue[3];
    piece.group = digit_of(&index, cut->shape.group);
    const int64_t column = digit_of(&index, cut->n_columns), row = digit_of(&index, cut->n_rows);
    const int64_t first[3] = {digit_of(&index, cut->most[0]), row * cut->rows, column * cut->columns};
    const int64_t length[3] = {1, cut->rows, cut->columns};
    for (int axis = 2; axis >= 0; axis--)
        residue[axis] = digit_of(&index, cut->classes[axis]);
    for (int axis = 0; axis < 3; axis++) {
        const struct phase *phase = cut_phase(cut, axis, residue[axis]);
        piece.phase[axis] = phase;
        piece.from[axis] = first[axis];
        piece.to[axis] = least(first[axis] + length[axis], phase->n);
        piece.extent[axis] = extent_of(phase, piece.from[axis], piece.to[axis]);
        piece.taps = piece.taps && phase->taps.n > 0;
        piece.padded = piece.padded || piece.extent[axis].low < 0 || piece.extent[axis].high >= cut->in[axis];
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
    piece->block_step = cut->planes ? cut->block * map : map;
    piece->lane_step = cut->planes ? map : 1;
    piece->at = input + piece->group * (cut->planes ? cut->group_in : cut->in_blocks) * map;
    for (int axis = 0; axis < 3 && piece->taps; axis++) {
        const struct phase *phase = piece->phase[axis];
        piece->tap_step[axis] = phase->tap_step * piece->step[axis];
        piece->at += (piece->from[axis] * phase->in_step + phase->offset) * piece->step[axis];
    }
}

/* One row of a copy: positions [low, low + n) of an input row of `in` pixels, zeros outside. */
INLINED void copy_row(float *to, const float *row, int64_t in, int64_t low, int64_t n, int64_t pixel, int64_t from_step)
{
    const int64_t before = least(low < 0 ? -low : 0, n);
    const int64_t end = least(in - low, n) > before ? least(in - low, n) : before;
    memset(to, 0, (size_t)(before * pixel) * sizeof *to);
    memset(to + end * pixel, 0, (size_t)((n - end) * pixel) * sizeof *to);
    if (from_step == pixel)
        memcpy(to + before * pixel, row + (low + before) * pixel, (size_t)((end - before) * pixel) * sizeof *to);
    else
        for (int64_t i = before; i < end; i++)
            to[i] = row[(low + i) * from_step];
}

/* The position of the map at position i of a copy. */
INLINED int64_t position_of(const struct piece *piece, int axis, const struct lie *lie, int64_t i)
{
    const struct phase *phase = piece->phase[axis];
    if (!lie->independent)
        return piece->extent[axis].low + i;
    return piece->from[axis] * phase->in_step + phase->offset + i / lie->own * phase->tap_step + i % lie->own;
}

/* One map (a block or a channel) of a copy. */
static float *copy_map(const struct cut *cut, const struct piece *piece, const struct lie lies[3], float *to,
                       const float *map, int64_t pixel, int64_t from_step)
{
    const int64_t stretch = lies[2].independent ? lies[2].own : lies[2].n;
    for (int64_t i = 0; i < lies[0].n; i++) {
        const int64_t d = position_of(piece, 0, &lies[0], i);
        const float *slice = map + d * cut->in[1] * cut->in[2] * from_step;
        for (int64_t j = 0; j < lies[1].n; j++) {
            const int64_t h = position_of(piece, 1, &lies[1], j);
            const bool inside = d >= 0 && d < cut->in[0] && h >= 0 && h < cut->in[1];
            const float *row = slice + h * cut->in[2] * from_step;
            for (int64_t k = 0; k < lies[2].n; k += stretch, to += stretch * pixel)
                if (inside)
                    copy_row(to, row, cut->in[2], position_of(piece, 2, &lies[2], k), stretch, pixel, from_step);
                else
                    memset(to, 0, (size_t)(stretch * pixel) * sizeof *to);
        }
    }
    return to;
}

/* The inputs are copied to scratch with padding around. */
static void piece_copy(const struct cut *cut, struct piece *piece, const float *input, float *scratch)
{
    const int64_t pixel = cut->planes ? 1 : WIDTH;
    const int64_t map = cut->in[0] * cut->in[1] * cut->in[2];
    const bool gather = cut->planes && !cut->shape.in_plain; /* channels out of blocks */
    const int64_t maps = cut->planes ? cut->group_in : cut->in_blocks;
    struct lie lies[3];
    float *to = scratch;
    for (int axis = 0; axis < 3; axis++)
        lies[axis] = lie_of(piece->phase[axis], piece->to[axis] - piece->from[axis]);
    for (int64_t i = 0; i < maps; i++) {
        const int64_t channel = piece->group * maps + i;
        if (gather)
            to = copy_map(cut, piece, lies, to, input + channel / WIDTH * map * WIDTH + channel % WIDTH, 1, WIDTH);
        else
            to = copy_map(cut, piece, lies, to, input + channel * map * pixel, pixel, pixel);
    }
    piece->step[2] = pixel;
    piece->step[1] = lies[2].n * pixel;
    piece->step[0] = lies[1].n * piece->step[1];
    const int64_t copied = lies[0].n * piece->step[0];
    piece->block_step = cut->planes ? cut->block * copied : copied;
    piece->lane_step = cut->planes ? copied : 1;
    piece->at = scratch;
    for (int axis = 0; axis < 3; axis++) {
        const struct phase *phase = piece->phase[axis];
        const int64_t reach = (phase->taps.n - 1) * phase->tap_step; /* negative: tap 0 is the last */
        piece->tap_step[axis] = (lies[axis].independent ? lies[axis].own : phase->tap_step) * piece->step[axis];
        if (!lies[axis].independent && reach < 0)
            piece->at -= reach * piece->step[axis];
    }
}

/* --- direct: tiles of a piece ------------------------------------------------------------------------------------- */

/* Outputs whose channels do not fill blocks: computed aside, then scattered lane by lane. */
static void tile_scatter(const struct tile *tile, int64_t rows, int64_t pixels, int vectors, int64_t channel,
                         int64_t map)
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
            residual[p * LANES + lane] =
                tile->residual[c / WIDTH * map + c % WIDTH + p / pixels * tile->out_row + p % pixels * tile->out_pixel];
        }
    aside.residual = tile->residual ? residual : NULL;
    tile_any(&aside, rows, pixels, vectors);
    for (int64_t p = 0; p < rows * pixels; p++)
        for (int64_t lane = 0; lane < lanes; lane++) {
            const int64_t c = channel + lane;
            tile->output[c / WIDTH * map + c % WIDTH + p / pixels * tile->out_row + p % pixels * tile->out_pixel] =
                sums[p * LANES + lane];
        }
}

/* Position of a tile among the outputs of a phase: row, column and how many of each. */
struct spot {
    int64_t row, column, rows, pixels;
};

/* `tile` points at the piece's first output and is moved to the spot. */
static void piece_tile(const struct cut *cut, const struct piece *piece, const struct tile *base, struct tile *tile,
                       const struct spot *spot, int64_t channel)
{
    const int64_t row = spot->row - piece->from[1], column = spot->column - piece->from[2];
    const int64_t at = row * tile->out_row + column * tile->out_pixel;
    tile->input = base->input + row * tile->row_step + column * tile->pixel_step;
    tile->output = base->output + at;
    tile->residual = base->residual ? base->residual + at : NULL;
    const int vectors = tile->wanted > WIDTH ? 2 : 1;
    if (cut->scatter)
        tile_scatter(tile, spot->rows, spot->pixels, vectors, channel, cut->out[0] * cut->out[1] * cut->out[2] * WIDTH);
    else
        tile_any(tile, spot->rows, spot->pixels, vectors);
}

/* Fetching the panel that is packed behind a piece's own, a share with each of the piece's tiles. Where weights are
 * large and pictures small (the last layers of most networks), each panel is used for a few tiles only and comes
 * from beyond the L2: the first tile would wait for every line. Behind the last panel lies another phase's, another
 * node's, or nothing: fetched in vain. */
struct ahead {
    uintptr_t panel;
    int64_t panel_bytes, tap_bytes, tiles; /* tiles: 0 where nothing is fetched */
};

static struct ahead ahead_of(const struct cut *cut, const struct tile *tile, int64_t tiles)
{
    const int64_t taps = tile->taps[0] * tile->taps[1] * tile->taps[2];
    const int64_t lane_bytes = (tile->wanted > WIDTH ? 2 : 1) * WIDTH * (int64_t)sizeof(float);
    if (!cut->fetched || tiles > AHEAD_TILES)
        return (struct ahead){.tiles = 0};
    return (struct ahead){.panel = (uintptr_t)tile->weights,
                          .panel_bytes = taps * cut->group_in * lane_bytes,
                          .tap_bytes = ceil_div(cut->block * lane_bytes, tiles * LINE_BYTES) * LINE_BYTES,
                          .tiles = tiles};
}

static void ahead_tile(const struct ahead *ahead, struct tile *tile, int64_t i)
{
    if (ahead->tiles == 0)
        return;
    const int64_t share = ahead->panel_bytes * i / ahead->tiles;
    tile->ahead = ahead->panel + (uintptr_t)(ahead->panel_bytes + share);
    tile->ahead_tap = (uintptr_t)ahead->tap_bytes;
}

/* Cuts a piece into tiles of nearly equal width, and into several rows where it is narrow. */
static void piece_tiles(const struct cut *cut, const struct piece *piece, const struct tile *base, int64_t channel)
{
    const int64_t width = piece->to[2] - piece->from[2], height = piece->to[1] - piece->from[1];
    const int64_t n = ceil_div(width, CONV_PIXELS);
    const int64_t rows = tile_rows(ceil_div(width, n));
    const struct ahead ahead = ahead_of(cut, base, n * (height / rows + height % rows));
    struct tile tile = *base;
    struct spot spot;
    int64_t n_done = 0;
    for (spot.row = piece->from[1]; spot.row < piece->to[1]; spot.row += spot.rows) {
        spot.rows = piece->to[1] - spot.row >= rows ? rows : 1;
        for (int64_t i = 0; i < n; i++) {
            const int64_t from = width * i / n;
            spot.column = piece->from[2] + from;
            spot.pixels = width * (i + 1) / n - from;
            ahead_tile(&ahead, &tile, n_done++);
            piece_tile(cut, piece, base, &tile, &spot, channel);
        }
    }
}

/* Rows of a piece with few outputs. */
static void piece_rows(const struct piece *piece, const struct tile *base)
{
    struct tile row = *base;
    for (int64_t i = piece->from[1]; i < piece->to[1]; i++) {
        across_row(&row, piece->to[2] - piece->from[2]);
        row.input += row.row_step;
        row.output += row.out_row;
        row.residual = row.residual ? row.residual + row.out_row : NULL;
    }
}

/* Where the packed weights of a piece's panel begin. */
static const float *piece_weights(const struct cut *cut, const struct piece *piece, const float *packed, int64_t panel)
{
    const struct phase *const *phase = piece->phase;
    const int64_t *kernel = cut->shape.kernel;
    const int64_t lanes = vectors_of(cut->group_out) * WIDTH * cut->group_in;
    /* taps of earlier phases: whole slabs, rows of one slab, one row */
    const int64_t before =
        phase[0]->taps_before * kernel[1] * kernel[2] +
        phase[0]->taps.n * (phase[1]->taps_before * kernel[2] + phase[1]->taps.n * phase[2]->taps_before);
    const int64_t here = phase[0]->taps.n * phase[1]->taps.n * phase[2]->taps.n;
    if (cut->across)
        return packed + before * cut->in_blocks * WIDTH * cut->group_out;
    return packed + before * lanes * cut->shape.group + here * lanes * piece->group +
           here * cut->group_in * panel * 2 * WIDTH;
}

static void piece_panel(const struct cut *cut, const struct piece *piece, const float *packed, float *output,
                        const struct epilogue *epilogue, int64_t panel)
{
    const int64_t local = panel * 2 * WIDTH, channel = piece->group * cut->group_out + local;
    const struct phase *const *phase = piece->phase;
    const int64_t map = cut->out[0] * cut->out[1] * cut->out[2] * WIDTH;
    int64_t at = 0; /* of the piece's first output */
    for (int axis = 0; axis < 3; axis++)
        at = at * cut->out[axis] + phase[axis]->first + piece->from[axis] * phase[axis]->step;
    at = at * WIDTH + (cut->scatter ? 0 : channel / WIDTH * map);
    struct tile tile = {
        .input = piece->at,
        .weights = piece_weights(cut, piece, packed, panel),
        .n_blocks = cut->in_blocks,
        .lanes = cut->block,
        .last_lanes = cut->group_in - (cut->in_blocks - 1) * cut->block,
        .part = PART / cut->block,
        .block_step = piece->block_step,
        .lane_step = piece->lane_step,
        .pixel_step = phase[2]->in_step * piece->step[2],
        .row_step = phase[1]->in_step * piece->step[1],
        .output = output + at,
        .residual = epilogue->residual ? epilogue->residual + at : NULL,
        .bias = epilogue->bias ? epilogue->bias + channel : NULL,
        .out_pixel = phase[2]->step * WIDTH,
        .out_row = phase[1]->step * cut->out[2] * WIDTH,
        .out_vector = map,
        .wanted = cut->group_out - local,
        .epilogue = epilogue,
        .bounds = bounds_of(epilogue),
    };
    for (int axis = 0; axis < 3; axis++) {
        tile.taps[axis] = piece->taps ? phase[axis]->taps.n : 0;
        tile.tap_step[axis] = piece->tap_step[axis];
    }
    if (cut->across)
        piece_rows(piece, &tile);
    else
        piece_tiles(cut, piece, &tile, channel);
}

/* --- across, direct and grouped: the algorithms' functions -------------------------------------------------------- */

static void cut_run(const struct conv_prepared *prepared, const float *input, const float *packed, float *output,
                    const struct epilogue *epilogue, float *scratch, int64_t from, int64_t to)
{
    const struct cut *cut = (const struct cut *)prepared;
    const int64_t pieces = cut->pieces;
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

static void across_pack(const struct conv_shape *shape, void *packed, const void *raw, const float *scale)
{
    const struct weights weights = {
        .shape = shape, .raw = raw, .scale = scale, .in = shape->in_channels, .out = shape->out_channels};
    const int64_t n_h = classes_of(shape, 1), n_w = classes_of(shape, 2);
    float *to = packed;
    for (int64_t residue = 0; residue < classes_of(shape, 0) * n_h * n_w; residue++) {
        const struct taps taps[3] = {taps_of(shape, 0, residue / n_w / n_h), taps_of(shape, 1, residue / n_w % n_h),
                                     taps_of(shape, 2, residue % n_w)};
        to = across_pack_phase(to, &weights, taps);
    }
}

static void across_prepare(struct conv_prepared *prepared, const struct conv_shape *shape)
{
    cut_prepare((struct cut *)prepared, shape, false, true);
}

static bool direct_suits(const struct conv_shape *shape)
{
    const int64_t in = shape->in_channels / shape->group, out = shape->out_channels / shape->group;
    return shape->group == 1 || (!shape->in_plain && in % WIDTH == 0 && out % WIDTH == 0) ||
           (shape->in_plain && out % WIDTH == 0);
}

static void direct_prepare(struct conv_prepared *prepared, const struct conv_shape *shape)
{
    cut_prepare((struct cut *)prepared, shape, false, false);
}

static bool grouped_suits(const struct conv_shape *shape)
{
    (void)shape;
    return true;
}

static void grouped_prepare(struct conv_prepared *prepared, const struct conv_shape *shape)
{
    cut_prepare((struct cut *)prepared, shape, true, false);
}

/* --- winograd: the direct weights, and what it has of its own behind them ----------------------------------------- */

/* The rows of a tile of 2x2 outputs, and of 4x4. */
#define WINOGRAD(NAME, OUT)                                                                                            \
    static bool NAME##_suits(const struct conv_shape *shape)                                                           \
    {                                                                                                                  \
        return winograd_may(shape, OUT);                                                                               \
    }                                                                                                                  \
    static size_t NAME##_pack_bytes(const struct conv_shape *shape)                                                    \
    {                                                                                                                  \
        return direct_pack_bytes(shape) + winograd_u_bytes(shape, OUT);                                                \
    }                                                                                                                  \
    static void NAME##_pack(const struct conv_shape *shape, void *packed, const void *raw, const float *scale)         \
    {                                                                                                                  \
        direct_pack(shape, packed, raw, scale);                                                                        \
        winograd_u_pack(shape, OUT, (float *)packed + direct_pack_bytes(shape) / sizeof(float), raw, scale);           \
    }                                                                                                                  \
    static void NAME##_prepare(struct conv_prepared *prepared, const struct conv_shape *shape)                         \
    {                                                                                                                  \
        winograd_cut((struct winograd *)prepared, shape, OUT, direct_pack_bytes(shape));                               \
    }

WINOGRAD(winograd, 2)
WINOGRAD(winograd4, 4)

static size_t winograd_bytes(const struct conv_shape *shape)
{
    (void)shape;
    return sizeof(struct winograd);
}

/* --- the table ---------------------------------------------------------------------------------------------------- */

struct algorithm {
    const char *name;
    bool (*suits)(const struct conv_shape *shape); /* first that does is chosen */
    size_t (*pack_bytes)(const struct conv_shape *shape);
    void (*pack)(const struct conv_shape *shape, void *packed, const void *raw, const float *scale);
    size_t (*prepared_bytes)(const struct conv_shape *shape);
    void (*prepare)(struct conv_prepared *prepared, const struct conv_shape *shape); /* all but the algorithm */
    void (*run)(const struct conv_prepared *prepared, const float *input, const float *packed, float *output,
                const struct epilogue *epilogue, float *scratch, int64_t from, int64_t to);
};

#define ALGORITHM(NAME, PACK_BYTES, PREPARED_BYTES, RUN)                                                               \
    {                                                                                                                  \
        .name = #NAME, .suits = NAME##_suits, .pack_bytes = PACK_BYTES, .pack = NAME##_pack,                           \
        .prepared_bytes = PREPARED_BYTES, .prepare = NAME##_prepare, .run = RUN                                        \
    }

enum { CONV_DEPTHWISE, CONV_ACROSS, CONV_WINOGRAD_4, CONV_WINOGRAD, CONV_DIRECT, CONV_GROUPED };

static const struct algorithm algorithms[] = {
    [CONV_DEPTHWISE] = ALGORITHM(depthwise, depthwise_pack_bytes, depthwise_bytes, depthwise_run),
    [CONV_ACROSS] = ALGORITHM(across, across_pack_bytes, cut_bytes, cut_run),
    [CONV_WINOGRAD_4] = ALGORITHM(winograd4, winograd4_pack_bytes, winograd_bytes, winograd_run),
    [CONV_WINOGRAD] = ALGORITHM(winograd, winograd_pack_bytes, winograd_bytes, winograd_run),
    [CONV_DIRECT] = ALGORITHM(direct, direct_pack_bytes, cut_bytes, cut_run),
    [CONV_GROUPED] = ALGORITHM(grouped, direct_pack_bytes, cut_bytes, cut_run),
};

/* All but one are exact. */
static int conv_choose(const struct conv_shape *shape, enum precision precision)
{
    int chosen = 0;
    while (!algorithms[chosen].suits(shape) || (chosen == CONV_WINOGRAD_4 && precision == PRECISION_EXACT))
        chosen++;
    return chosen;
}

static int conv_settle(int algorithm, const struct conv_shape *shape)
{
    const int out = algorithm == CONV_WINOGRAD ? 2 : 4;
    if (algorithm != CONV_WINOGRAD && algorithm != CONV_WINOGRAD_4)
        return algorithm;
    return winograd_pays(shape, out) ? algorithm : CONV_DIRECT;
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

static size_t conv_prepared_bytes(int algorithm, const struct conv_shape *shape)
{
    return algorithms[algorithm].prepared_bytes(shape);
}

static void conv_prepare(struct conv_prepared *prepared, int algorithm, const struct conv_shape *shape)
{
    algorithms[algorithm].prepare(prepared, shape);
    prepared->algorithm = algorithm;
}

static size_t conv_scratch_bytes(const struct conv_prepared *prepared)
{
    return prepared->scratch_bytes;
}

static int64_t conv_units(const struct conv_prepared *prepared)
{
    return prepared->units;
}

static double conv_done_flops(const struct conv_prepared *prepared)
{
    return prepared->done_flops;
}

static void conv_run(const struct conv_prepared *prepared, const float *input, const void *packed, float *output,
                     const struct epilogue *epilogue, void *scratch, int64_t from, int64_t to)
{
    algorithms[prepared->algorithm].run(prepared, input, packed, output, epilogue, scratch, from, to);
}

#endif
