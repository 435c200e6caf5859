/*
 * transpose.h - pictures between ONNX's order and blocks of WIDTH channels.
 *
 *     plain    [channels][pixels]                  blocked  [ceil(channels / WIDTH)][pixels][WIDTH]
 *
 *     block of channels                                                block, unblock
 *       WIDTH pixels: WIDTH loads, a turn (square.h), WIDTH stores     turn_square
 *       what is left of pixels or channels                             turn_part
 *
 * Each block is a WIDTH x pixels matrix turned on its side, in WIDTH x WIDTH squares that stay in the
 * first cache. Lanes past the last channel become zero: they may hold anything, but the same anything.
 */
#ifndef KERNEL_TRANSPOSE_H
#define KERNEL_TRANSPOSE_H

#include "kernel/kernel.h"
#include "kernel/square.h"
#include "kernel/vec.h"

/* to[j][i] = from[i][j] for a WIDTH x WIDTH square */
INLINED void turn_square(float *to, int64_t to_step, const float *from, int64_t from_step)
{
    vec rows[WIDTH];
    for (int i = 0; i < WIDTH; i++)
        rows[i] = load(from + i * from_step);
    turn(rows);
    for (int j = 0; j < WIDTH; j++)
        store(to + j * to_step, rows[j]);
}

/* The ragged rest: `rows` of `from` and `columns` of it. */
INLINED void turn_part(float *to, int64_t to_step, const float *from, int64_t from_step, int64_t rows, int64_t columns)
{
    for (int64_t j = 0; j < columns; j++)
        for (int64_t i = 0; i < rows; i++)
            to[j * to_step + i] = from[i * from_step + j];
}

static void block(float *blocked, const float *plain, int64_t channels, int64_t pixels)
{
    for (int64_t c = 0; c < channels; c += WIDTH) {
        const float *from = plain + c * pixels;
        float *to = blocked + c * pixels;
        const int64_t lanes = channels - c < WIDTH ? channels - c : WIDTH;
        int64_t i = 0;
        for (; lanes == WIDTH && i + WIDTH <= pixels; i += WIDTH)
            turn_square(to + i * WIDTH, WIDTH, from + i, pixels);
        turn_part(to + i * WIDTH, WIDTH, from + i, pixels, lanes, pixels - i);
        for (; lanes < WIDTH && i < pixels; i++)
            for (int64_t lane = lanes; lane < WIDTH; lane++)
                to[i * WIDTH + lane] = 0;
    }
}

static void unblock(float *plain, const float *blocked, int64_t channels, int64_t pixels)
{
    for (int64_t c = 0; c < channels; c += WIDTH) {
        const float *from = blocked + c * pixels;
        float *to = plain + c * pixels;
        const int64_t lanes = channels - c < WIDTH ? channels - c : WIDTH;
        int64_t i = 0;
        for (; lanes == WIDTH && i + WIDTH <= pixels; i += WIDTH)
            turn_square(to + i, pixels, from + i * WIDTH, WIDTH);
        turn_part(to + i, pixels, from + i * WIDTH, WIDTH, pixels - i, lanes);
    }
}

#endif
