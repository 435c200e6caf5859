/*
 * across.h - tiles of convolutions with few outputs: the input's channels lie in the lanes, and sums go across them.
 *
 * A tile of tile.h multiplies one channel's pixels by a vector of outputs, most of which are not there where there are
 * one to four: the last layer of most networks that draw or detect. Here a vector is a block of input channels of one
 * pixel, and there is a sum for each output:
 *
 *     four outputs at most
 *       pixels side by side (ACROSS_LIST)
 *         block of channels
 *           tap (depth, height, width)           weights of the outputs: registers
 *             pixel                              one load, a multiply-add for each output
 *         lanes of the sums are added up         across_lanes
 *
 * so there are as many multiply-adds per block and tap as outputs, not as lanes. Inputs are blocks of WIDTH channels;
 * lanes of the last one that are no channels are read as zeros. Weights: [block][tap d][tap h][tap w][output][WIDTH],
 * zeros where there is no channel.
 *
 * Order of summation, for every element and any tile: each lane by blocks and taps, in the parts of parts.h, then
 * lanes four apart, and what is left in pairs.
 */
#ifndef KERNEL_ACROSS_H
#define KERNEL_ACROSS_H

#include "kernel/geometry.h"
#include "kernel/tile.h"

enum { ACROSS_OUTPUTS = 4 };

/* Outputs and pixels of a tile: what the registers hold, and less for what is left of a row. */
/* clang-format off */
#if MANY_REGISTERS
#define ACROSS_LIST(X)                                                                             \
    X(1, 8) X(1, 4) X(1, 2) X(1, 1) X(2, 8) X(2, 4) X(2, 2) X(2, 1)                                \
    X(3, 4) X(3, 2) X(3, 1) X(4, 4) X(4, 2) X(4, 1)
#define ACROSS_PIXELS(OUTPUTS) ((OUTPUTS) <= 2 ? 8 : 4)
#else
#define ACROSS_LIST(X)                                                                             \
    X(1, 4) X(1, 2) X(1, 1) X(2, 4) X(2, 2) X(2, 1) X(3, 2) X(3, 1) X(4, 2) X(4, 1)
#define ACROSS_PIXELS(OUTPUTS) ((OUTPUTS) <= 2 ? 4 : 2)
#endif
/* clang-format on */

/* --- choice and packing ------------------------------------------------------------------------------------------- */

/* Taps of the phase that has most of them. */
static int64_t across_taps(const struct conv_shape *shape)
{
    int64_t taps = 1;
    for (int axis = 0; axis < 3; axis++)
        taps *= ceil_div(shape->kernel[axis], classes_of(shape, axis));
    return taps;
}

/* A pixel costs a multiply-add for each block, tap and output, and some operations to add up lanes; a tile of tile.h
 * one for each channel and tap. */
static bool across_suits(const struct conv_shape *shape)
{
    enum { LANES_COST = 12 };
    const int64_t out = shape->out_channels, taps = across_taps(shape);
    const int64_t lanes = ceil_div(out, ACROSS_OUTPUTS) * LANES_COST;
    return shape->group == 1 && !shape->in_plain && out < WIDTH &&
           3 * (taps * vectors_of(shape->in_channels) * out + lanes) < 2 * taps * shape->in_channels;
}

static size_t across_pack_bytes(const struct conv_shape *shape)
{
    return (size_t)(all_taps(shape) * vectors_of(shape->in_channels) * WIDTH * shape->out_channels) * sizeof(float);
}

/* One tap of one block. */
static float *across_pack_tap(float *to, const struct weights *weights, int64_t first_in, int64_t tap)
{
    for (int64_t o = 0; o < weights->out; o++)
        for (int64_t i = first_in; i < first_in + WIDTH; i++, to++)
            *to = i < weights->in ? weight_at(weights, 0, o, i, tap) : 0;
    return to;
}

/* All of a phase. */
static float *across_pack_phase(float *to, const struct weights *weights, const struct taps taps[3])
{
    const int64_t *kernel = weights->shape->kernel;
    for (int64_t i = 0; i < weights->in; i += WIDTH)
        for (int64_t d = 0; d < taps[0].n; d++)
            for (int64_t h = 0; h < taps[1].n; h++)
                for (int64_t w = 0; w < taps[2].n; w++)
                    to = across_pack_tap(
                        to, weights, i,
                        ((taps[0].first + d * taps[0].step) * kernel[1] + taps[1].first + h * taps[1].step) *
                                kernel[2] +
                            taps[2].first + w * taps[2].step);
    return to;
}

/* --- a tile ------------------------------------------------------------------------------------------------------- */

/* Adds the taps of one block to sums [pixel][output]; `left` is what is left of the part; x and w: of the first tap and
 * output. outputs and pixels are constants where this is inlined. `there`: the lanes that are channels, where not all
 * are. Gives the weights of the next block. */
INLINED const float *across_block(const struct tile *tile, const float *x0, const float *w, vec *sums,
                                  struct parts *parts, int64_t *left, int outputs, int pixels, const ivec *there)
{
    const int64_t pixel_step = tile->pixel_step, next = tile->wanted * WIDTH;
    for (int64_t d = 0; d < tile->taps[0]; d++, x0 += tile->tap_step[0]) {
        const float *x1 = x0;
        for (int64_t h = 0; h < tile->taps[1]; h++, x1 += tile->tap_step[1]) {
            const float *x = x1;
            for (int64_t t = 0; t < tile->taps[2]; t++, x += tile->tap_step[2], w += next) {
                if ((*left)-- == 0) {
                    parts_add(parts, pixels * outputs, sums);
                    *left = PART - 1;
                }
                UNROLL
                for (int p = 0; p < pixels; p++) {
                    vec in = load(x + p * pixel_step);
                    if (there)
                        in = (vec)((ivec)in & *there);
                    UNROLL
                    for (int o = 0; o < outputs; o++)
                        sums[p * outputs + o] = in * load(w + o * WIDTH) + sums[p * outputs + o];
                }
            }
        }
    }
    return w;
}

/* Lanes of a and b in a constant order; those of b are counted from WIDTH on. */
#if defined(__clang__)
INLINED vec across_picked(vec a, vec b, ivec places)
{
    vec both = a;
    UNROLL
    for (int i = 0; i < WIDTH; i++)
        both[i] = places[i] < WIDTH ? a[places[i]] : b[places[i] - WIDTH];
    return both;
}
#else
INLINED vec across_picked(vec a, vec b, ivec places)
{
    return __builtin_shuffle(a, b, places);
}
#endif

/* Of each four lanes: the even ones of a and of b, or the odd ones, side by side. */
INLINED vec across_pairs(vec a, vec b, int odd)
{
    ivec places = {0};
    UNROLL
    for (int i = 0; i < WIDTH; i++)
        places[i] = i / 4 * 4 + i % 2 * 2 + odd + (i % 4 < 2 ? 0 : WIDTH);
    return across_picked(a, b, places);
}

/* a's lanes, `by` further round. */
INLINED vec across_turned(vec a, int by)
{
    ivec places = {0};
    UNROLL
    for (int i = 0; i < WIDTH; i++)
        places[i] = (i + by) % WIDTH;
    return across_picked(a, a, places);
}

/* Lane j of each four: all lanes of sums[j]. */
INLINED vec across_lanes(const vec *sums, int outputs)
{
    const vec zero = splat(0);
    const vec a = sums[0], b = outputs > 1 ? sums[1] : zero, c = outputs > 2 ? sums[2] : zero,
              d = outputs > 3 ? sums[3] : zero;
    const vec ab = across_pairs(a, b, 0) + across_pairs(a, b, 1), cd = across_pairs(c, d, 0) + across_pairs(c, d, 1);
    vec all = across_pairs(ab, cd, 0) + across_pairs(ab, cd, 1);
    UNROLL
    for (int by = WIDTH / 2; by >= 4; by /= 2)
        all += across_turned(all, by);
    return all;
}

/* Which lanes of a block come before `n`. */
INLINED ivec across_before(int64_t n)
{
    ivec places = {0};
    UNROLL
    for (int i = 0; i < WIDTH; i++)
        places[i] = i;
    return (ivec)(places < (int32_t)n);
}

/* Outputs from `first` on of some pixels, their numbers constants: written to their lanes of [pixel]. */
INLINED void across_sum(const struct tile *tile, int64_t first, int outputs, int pixels, vec *lanes)
{
    const ivec there = across_before(tile->last_lanes);
    const ivec mine = across_before(first + outputs) & ~across_before(first);
    const float *w = tile->weights + first * WIDTH, *x = tile->input;
    vec sums[2 * CONV_PIXELS];
    struct parts parts;
    int64_t left = PART;
    parts_begin(&parts);
    UNROLL
    for (int i = 0; i < pixels * outputs; i++)
        sums[i] = splat(0);
    for (int64_t block = 1; block < tile->n_blocks; block++, x += tile->block_step)
        w = across_block(tile, x, w, sums, &parts, &left, outputs, pixels, NULL);
    across_block(tile, x, w, sums, &parts, &left, outputs, pixels, &there);
    parts_end(&parts, pixels * outputs, sums);
    UNROLL
    for (int p = 0; p < pixels; p++)
        lanes[p] = select(mine, across_lanes(sums + p * outputs, outputs), lanes[p]);
}

#define ACROSS(OUTPUTS, PIXELS)                                                                                        \
    static                                                                                                             \
        __attribute__((noinline)) void across_##OUTPUTS##_##PIXELS(const struct tile *tile, int64_t first, vec *lanes) \
    {                                                                                                                  \
        across_sum(tile, first, OUTPUTS, PIXELS, lanes);                                                               \
    }

ACROSS_LIST(ACROSS)

static void across_any(const struct tile *tile, int64_t first, int64_t outputs, int64_t pixels, vec *lanes)
{
    switch (outputs * 16 + pixels) {
#define CASE(OUTPUTS, PIXELS)                                                                                          \
    case OUTPUTS * 16 + PIXELS:                                                                                        \
        across_##OUTPUTS##_##PIXELS(tile, first, lanes);                                                               \
        break;
        ACROSS_LIST(CASE)
#undef CASE
    default:
        break;
    }
}

/* A row of pixels: all outputs of the tile. */
static void across_row(const struct tile *row, int64_t pixels)
{
    struct tile tile = *row;
    const float *input = row->input;
    for (int64_t n; pixels > 0; pixels -= n, input += n * tile.pixel_step) {
        vec lanes[FINISH_PIXELS];
        n = least(pixels, FINISH_PIXELS);
        for (int64_t p = 0; p < n; p++)
            lanes[p] = splat(0);
        for (int64_t first = 0; first < tile.wanted; first += ACROSS_OUTPUTS) {
            const int64_t outputs = least(tile.wanted - first, ACROSS_OUTPUTS);
            for (int64_t p = 0, fit = ACROSS_PIXELS(outputs); p < n; p += fit) {
                while (fit > n - p)
                    fit /= 2;
                tile.input = input + p * tile.pixel_step;
                across_any(&tile, first, outputs, fit, lanes + p);
            }
        }
        tile_finish_1(&tile, 1, (int)n, lanes);
        tile.output += n * tile.out_pixel;
        tile.residual = tile.residual ? tile.residual + n * tile.out_pixel : NULL;
    }
}

#endif
