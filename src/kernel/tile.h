/*
 * tile.h - the inner loop of convolutions: rows x pixels x 1 or 2 vectors of accumulators that live in
 * registers.
 *
 *     block of channels
 *       tap d, tap h, tap w
 *         channel of the block                  1 or 2 loads of weights
 *           row, pixel of the tile              a broadcast input, 1 or 2 multiply-adds
 *     bias, residual, activation, store
 *
 * It is parametrised by strides alone, so it reads blocks of WIDTH channels (LAYOUT_BLOCKED) as well as
 * planes (LAYOUT_PLAIN, or a group's planes in scratch). Order of summation, for every element and any
 * tile: channel blocks, within a block taps (depth, height, width), within a tap channels. All taps of a
 * tile are there: the caller has put zeros around what it copied.
 *
 * A long sum is made of parts (parts.h), of a number of taps that depends on the shape alone.
 *
 * While a tile works it may fetch what a later one will read: with each tap, some lines of memory into the second
 * cache. Nothing is read there, so no address is wrong, and results do not depend on it.
 *
 * Each size of a tile has its own code, as large as the level's registers allow (TILE_LIST). Of the largest most
 * end in registers; for all others the end is the same code: sums are stored with the totals and finished
 * from there. Depthwise convolutions have a loop of their own and
 * an end of their own size, since a call would cost what few products save.
 */
#ifndef KERNEL_TILE_H
#define KERNEL_TILE_H

#include "kernel/epilogue.h"
#include "kernel/parts.h"
#include "kernel/vec.h"

enum { LINE_BYTES = 64 };

/* Where a tile reads and writes; strides in floats. */
struct tile {
    const float *input; /* of the first pixel's first tap, channel 0 */
    const float *weights;
    int64_t n_blocks, lanes, last_lanes; /* channels in a block, and in the last one */
    int64_t taps[3], tap_step[3];
    int64_t part; /* taps that are summed on their own */
    int64_t block_step, lane_step, pixel_step, row_step;
    float *output;
    const float *residual; /* or NULL, strides as the output */
    const float *bias;     /* or NULL */
    int64_t out_pixel, out_row, out_vector;
    int64_t wanted; /* output channels from the first lane on */
    const struct epilogue *epilogue;
    struct bounds bounds;
    uintptr_t ahead;     /* an address, not a pointer: it may lie behind all weights */
    uintptr_t ahead_tap; /* bytes from there on to fetch with each tap; 0: none */
};

enum { FINISH_PIXELS = 16 }; /* most that a tile of any kind has in a row */

/* A row in one go, through memory of its own where pixels lie apart: a call costs more than a vector's exponential. */
static __attribute__((noinline)) void tile_activate(const struct tile *tile, int rows, int pixels, int vectors)
{
    float aside[FINISH_PIXELS * WIDTH];
    for (int v = 0; v < vectors; v++) {
        for (int r = 0; r < rows; r++) {
            float *y = tile->output + r * tile->out_row + v * tile->out_vector;
            if (tile->out_pixel == WIDTH) {
                activate(tile->epilogue, y, pixels * WIDTH);
                continue;
            }
            for (int p = 0; p < pixels; p++)
                store(aside + p * WIDTH, load(y + p * tile->out_pixel));
            activate(tile->epilogue, aside, pixels * WIDTH);
            for (int p = 0; p < pixels; p++)
                store(y + p * tile->out_pixel, load(aside + p * WIDTH));
        }
    }
}

/* The end of a tile: bias, residual, activation. sums: [rows * pixels][vectors]. What does not change is copied from
 * the tile first: for all the compiler knows, a store may change the tile. */
INLINED void tile_finish(const struct tile *tile, int rows, int pixels, int vectors, const vec *sums)
{
    const int64_t out_row = tile->out_row, out_pixel = tile->out_pixel;
    const bool clamped = tile->bounds.used;
    const vec low = splat(tile->bounds.low), high = splat(tile->bounds.high);
    for (int v = 0; v < vectors; v++) {
        /* x + -0 is x, for every x; what is read behind a bias reaches no channel */
        const vec bias = tile->bias ? load(tile->bias + v * WIDTH) : splat(-0.0f);
        float *to = tile->output + v * tile->out_vector;
        const float *residual = tile->residual ? tile->residual + v * tile->out_vector : NULL;
        const vec *sum = sums + v;
        for (int r = 0; r < rows; r++) {
            int64_t at = r * out_row;
            for (int p = 0; p < pixels; p++, sum += vectors, at += out_pixel) {
                vec y = *sum + bias;
                if (residual)
                    y += load(residual + at);
                if (clamped)
                    y = clamp(y, low, high);
                store(to + at, y);
            }
        }
    }
    if (tile->bounds.later)
        tile_activate(tile, rows, pixels, vectors);
}

/* Once per number of vectors, not once per size of a tile. */
static __attribute__((noinline)) void tile_finish_1(const struct tile *tile, int rows, int pixels, const vec *sums)
{
    tile_finish(tile, rows, pixels, 1, sums);
}

static __attribute__((noinline)) void tile_finish_2(const struct tile *tile, int rows, int pixels, const vec *sums)
{
    tile_finish(tile, rows, pixels, 2, sums);
}

/* The same while sums [rows * pixels * vectors] are registers, for sizes that most work is done in: storing them first
 * costs as much as storing the end. */
INLINED void tile_finish_sums(const struct tile *tile, int rows, int pixels, int vectors, vec *sums)
{
    const int64_t out_row = tile->out_row, out_pixel = tile->out_pixel, out_vector = tile->out_vector;
    const bool clamped = tile->bounds.used;
    const vec low = splat(tile->bounds.low), high = splat(tile->bounds.high);
    const float *residual = tile->residual;
    float *to = tile->output;
    vec bias[2];
    UNROLL
    for (int v = 0; v < vectors; v++)
        bias[v] = tile->bias ? load(tile->bias + v * WIDTH) : splat(-0.0f); /* x + -0 is x, for every x */
    UNROLL
    for (int i = 0; i < rows * pixels * vectors; i++)
        sums[i] += bias[i % vectors];
    if (residual) {
        UNROLL
        for (int i = 0, p = 0; i < rows * pixels * vectors; i++, p = i / vectors)
            sums[i] += load(residual + p / pixels * out_row + p % pixels * out_pixel + i % vectors * out_vector);
    }
    if (clamped) {
        UNROLL
        for (int i = 0; i < rows * pixels * vectors; i++)
            sums[i] = clamp(sums[i], low, high);
    }
    UNROLL
    for (int i = 0, p = 0; i < rows * pixels * vectors; i++, p = i / vectors)
        store(to + p / pixels * out_row + p % pixels * out_pixel + i % vectors * out_vector, sums[i]);
    if (tile->bounds.later)
        tile_activate(tile, rows, pixels, vectors);
}

/* Asks for the lines of [at, at + n_bytes), for the second cache. A prefetch never faults, wherever it points. */
INLINED void fetch_ahead(uintptr_t at, uintptr_t n_bytes)
{
    for (uintptr_t done = 0; done < n_bytes; done += LINE_BYTES)
        __builtin_prefetch((const void *)(at + done), 0, 2);
}

/* rows, pixels, vectors are constants where this is inlined, and so may the steps be. `here`, a constant: ends in
 * registers. */
INLINED void tile_run(const struct tile *tile, int rows, int pixels, int vectors, int64_t pixel_step, int64_t lane_step,
                      bool here, struct parts *parts)
{
    const int64_t row_step = tile->row_step, part = tile->part;
    const int n_sums = rows * pixels * vectors;
    vec sums[2 * CONV_PIXELS];
    UNROLL
    for (int i = 0; i < n_sums; i++)
        sums[i] = splat(0);
    const float *w = tile->weights;
    const uintptr_t ahead_tap = tile->ahead_tap;
    uintptr_t ahead = tile->ahead;
    int64_t left = part;
    for (int64_t block = 0; block < tile->n_blocks; block++) {
        const int64_t lanes = block + 1 < tile->n_blocks ? tile->lanes : tile->last_lanes;
        const float *x0 = tile->input + block * tile->block_step;
        for (int64_t d = 0; d < tile->taps[0]; d++, x0 += tile->tap_step[0]) {
            const float *x1 = x0;
            for (int64_t h = 0; h < tile->taps[1]; h++, x1 += tile->tap_step[1]) {
                const float *x2 = x1;
                for (int64_t t = 0; t < tile->taps[2]; t++, x2 += tile->tap_step[2]) {
                    if (left == 0) {
                        parts_add(parts, n_sums, sums);
                        left = part;
                    }
                    left--;
                    fetch_ahead(ahead, ahead_tap);
                    ahead += ahead_tap;
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
    parts_end(parts, n_sums, sums);
    if (here) {
        tile_finish_sums(tile, rows, pixels, vectors, sums);
        return;
    }
    UNROLL
    for (int i = 0; i < n_sums; i++)
        parts->sums[i] = sums[i];
    if (vectors == 1)
        tile_finish_1(tile, rows, pixels, parts->sums);
    else
        tile_finish_2(tile, rows, pixels, parts->sums);
}

/* Stride 1 is worth loops of its own, in blocks and in planes: the pixels' distances become constants. */
INLINED void tile_sized(const struct tile *tile, int rows, int pixels, int vectors, struct parts *parts)
{
    if (tile->lane_step == 1 && tile->pixel_step == WIDTH)
        tile_run(tile, rows, pixels, vectors, WIDTH, 1, rows * pixels >= CONV_PIXELS - 1, parts);
    else if (tile->pixel_step == 1)
        tile_run(tile, rows, pixels, vectors, 1, tile->lane_step, false, parts);
    else
        tile_run(tile, rows, pixels, vectors, tile->pixel_step, tile->lane_step, rows * pixels == CONV_PIXELS, parts);
}

#define TILE(ROWS, PIXELS)                                                                                             \
    static __attribute__((noinline)) void tile_##ROWS##_##PIXELS(const struct tile *tile, int vectors,                 \
                                                                 struct parts *parts)                                  \
    {                                                                                                                  \
        if (vectors == 2)                                                                                              \
            tile_sized(tile, ROWS, PIXELS, 2, parts);                                                                  \
        else                                                                                                           \
            tile_sized(tile, ROWS, PIXELS, 1, parts);                                                                  \
    }

/* clang-format off */
#if MANY_REGISTERS
#define TILE_LIST(X)                                                                               \
    X(1, 1) X(1, 2) X(1, 3) X(1, 4) X(1, 5) X(1, 6) X(1, 7) X(1, 8) X(1, 9) X(1, 10) X(1, 11)      \
    X(1, 12) X(1, 13) X(1, 14) X(2, 4) X(2, 5) X(2, 6) X(2, 7) X(4, 1) X(4, 2) X(4, 3)
#else
#define TILE_LIST(X)                                                                               \
    X(1, 1) X(1, 2) X(1, 3) X(1, 4) X(1, 5) X(1, 6) X(2, 2) X(2, 3) X(4, 1)
#endif
/* clang-format on */

TILE_LIST(TILE)

static void tile_any(const struct tile *tile, int64_t rows, int64_t pixels, int vectors)
{
    struct parts parts;
    parts_begin(&parts);
    switch (rows * 16 + pixels) {
#define CASE(ROWS, PIXELS)                                                                                             \
    case ROWS * 16 + PIXELS:                                                                                           \
        tile_##ROWS##_##PIXELS(tile, vectors, &parts);                                                                 \
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

#endif
