/*
 * slide.h - convolutions of 8-bit pictures: weights slide over pixels that lie in quads.
 *
 * Four channels of a pixel are one word, so a vector is WIDTH pixels that follow each other, and what a tap sees of
 * them is the same vector somewhere else: nothing is gathered. Pixels are unsigned; weights are signed, lie as they
 * are broadcast, and those of SLIDE_ROWS output channels lie together:
 *
 *     for blocks of SLIDE_ROWS output channels
 *         for tiles of up to SLIDE_VECTORS vectors of pixels              sums live in registers
 *             for quads: a tap's offset, four channels of it
 *                 SLIDE_VECTORS loads, SLIDE_ROWS broadcasts, their products
 *
 * Depthwise (slide_one) there are no channels to add up: a quad is four neighbours in a row of one channel, and with
 * VNNI two shuffles make the windows of a vector of pixels. Strides are the caller's, who lays down each phase of a
 * stride by itself; depthwise, steps of 1 and 2 are quick. Sums wrap at 32 bits and have no rounding.
 */
#ifndef KERNEL_SLIDE_H
#define KERNEL_SLIDE_H

#include "kernel/dot.h"

#if MANY_REGISTERS && QUAD_INSTRUCTION
enum { SLIDE_ROWS = 8, SLIDE_VECTORS = 3 };
#elif MANY_REGISTERS
enum { SLIDE_ROWS = 8, SLIDE_VECTORS = 2 };
#else
enum { SLIDE_ROWS = 4, SLIDE_VECTORS = 2 };
#endif

static size_t slide_pack_bytes(int64_t rows, int64_t quads)
{
    return (size_t)((rows + SLIDE_ROWS - 1) / SLIDE_ROWS * SLIDE_ROWS) * (size_t)(4 * QUAD_PARTS * quads);
}

static void slide_pack(void *packed, int64_t quads, int64_t row, int64_t from, int64_t n, const int8_t *w)
{
    int32_t *to = packed;
    to += (row / SLIDE_ROWS * quads + from) * QUAD_PARTS * SLIDE_ROWS + row % SLIDE_ROWS;
    for (int64_t i = 0; i < n; i++, to += QUAD_PARTS * SLIDE_ROWS, w += 4) {
#if QUAD_INSTRUCTION
        memcpy(to, w, sizeof *to);
#else
        to[0] = (int32_t)((uint32_t)(uint16_t)w[0] | (uint32_t)(uint16_t)w[2] << 16);
        to[SLIDE_ROWS] = (int32_t)((uint32_t)(uint16_t)w[1] | (uint32_t)(uint16_t)w[3] << 16);
#endif
    }
}

struct slide_call {
    const uint8_t *x;
    const int64_t *offsets;
    const int32_t *packed; /* of the block */
    int32_t *c;
    int64_t ldc, quads;
};

/* vectors is a constant wherever this is inlined. */
INLINED void slide_tile(const struct slide_call *call, int vectors, int64_t pixel)
{
    uvec sums[SLIDE_ROWS * SLIDE_VECTORS];
    const int32_t *w = call->packed;
    const uint8_t *x = call->x + 4 * pixel;
    UNROLL
    for (int i = 0; i < SLIDE_ROWS * vectors; i++)
        sums[i] = (uvec){0};
    for (int64_t q = 0; q < call->quads; q++) {
        const uint8_t *from = x + 4 * call->offsets[q];
        UNROLL
        for (int p = 0; p < QUAD_PARTS; p++, w += SLIDE_ROWS) {
            quad_part seen[SLIDE_VECTORS];
            UNROLL
            for (int v = 0; v < vectors; v++) {
                ivec raw;
                memcpy(&raw, from + 4 * WIDTH * v, sizeof raw);
                seen[v] = quad_unsigned(raw, p);
            }
            UNROLL
            for (int r = 0; r < SLIDE_ROWS; r++) {
                const quad_part weight = quad_broadcast(w[r]);
                UNROLL
                for (int v = 0; v < vectors; v++)
                    sums[r * vectors + v] = quad_add(sums[r * vectors + v], seen[v], weight);
            }
        }
    }
    UNROLL
    for (int r = 0; r < SLIDE_ROWS; r++)
        UNROLL
    for (int v = 0; v < vectors; v++)
        memcpy(call->c + r * call->ldc + pixel + v * WIDTH, &sums[r * vectors + v], sizeof *sums);
}

static void slide(int64_t rows, int64_t n, int64_t quads, const void *x, const int64_t *offsets, const void *packed,
                  int32_t *c, int64_t ldc)
{
    const int64_t vectors = (n + WIDTH - 1) / WIDTH, tiles = (vectors + SLIDE_VECTORS - 1) / SLIDE_VECTORS;
    struct slide_call call = {.x = x, .offsets = offsets, .packed = packed, .c = c, .ldc = ldc, .quads = quads};
    for (int64_t row = 0; row < rows; row += SLIDE_ROWS) {
        /* tiles of nearly equal width: four vectors are two and two */
        for (int64_t i = 0; i < tiles; i++) {
            const int64_t first = vectors * i / tiles;
            switch (vectors * (i + 1) / tiles - first) {
            case 1:
                slide_tile(&call, 1, first * WIDTH);
                break;
            case 2:
                slide_tile(&call, 2, first * WIDTH);
                break;
            default:
                slide_tile(&call, SLIDE_VECTORS, first * WIDTH);
                break;
            }
        }
        call.packed += SLIDE_ROWS * QUAD_PARTS * quads;
        call.c += SLIDE_ROWS * ldc;
    }
}

/* --- one channel -------------------------------------------------------------------------------------------------- */

/* Sums of WIDTH pixels from x on, where a loop over lanes finds each. */
INLINED uvec slide_lanes(const uint8_t *x, int64_t step, const int64_t *offsets, const int8_t *w, int64_t quads,
                         int64_t some)
{
    uvec sums = {0};
    for (int64_t t = 0; t < 4 * quads; t++) {
        const uint8_t *from = x + offsets[t / 4] + t % 4;
        lane_bytes lanes = {0};
        if (w[t] == 0)
            continue;
        if (step == 1)
            memcpy(&lanes, from, sizeof lanes);
        else
            for (int64_t lane = 0; lane < some; lane++)
                lanes[lane] = from[lane * step];
        sums += __builtin_convertvector(lanes, uvec) * (uint32_t)(int32_t)w[t];
    }
    return sums;
}

#if QUAD_INSTRUCTION
/* step is a constant wherever this is inlined. */
INLINED uvec slide_windows(const uint8_t *x, int step, const int64_t *offsets, const int8_t *w, int64_t quads)
{
    uvec sums = {0};
    for (int64_t q = 0; q < quads; q++) {
        ivec raw;
        int32_t weights;
        memcpy(&raw, x + offsets[q], sizeof raw);
        memcpy(&weights, w + 4 * q, sizeof weights);
        sums = quad_add(sums, quad_windows(raw, step), quad_broadcast(weights));
    }
    return sums;
}
#endif

/* Lanes past n are computed (there are 64 readable bytes) and not stored. */
static void slide_one(int32_t *c, const void *x, int64_t step, const int64_t *offsets, const int8_t *w, int64_t quads,
                      int64_t n)
{
    const uint8_t *from = x;
    for (int64_t i = 0; i < n; i += WIDTH, from += step * WIDTH) {
        const int64_t some = n - i < WIDTH ? n - i : WIDTH;
        uvec sums;
#if QUAD_INSTRUCTION
        if (step == 1)
            sums = slide_windows(from, 1, offsets, w, quads);
        else if (step == 2)
            sums = slide_windows(from, 2, offsets, w, quads);
        else
#endif
            sums = slide_lanes(from, step, offsets, w, quads, some);
        if (some == WIDTH)
            memcpy(c + i, &sums, sizeof sums);
        else
            memcpy(c + i, &sums, (size_t)some * sizeof *c);
    }
}

#endif
