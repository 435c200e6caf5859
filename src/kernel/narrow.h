/*
 * narrow.h - weights of 4 or 8 bits that are widened to floats when they are needed.
 *
 * A column of k numbers is cut into blocks; a number q of a block with scale s and zero z stands for
 * (q - z) s. Packed, in panels as gemm's, a block of a panel is
 *
 *     zero[PANEL] scale[PANEL] q[0] q[1] ... q[block - 1]
 *
 * where q[i] are the PANEL numbers of row i: as bytes, or with the first WIDTH of them in the low halves of
 * WIDTH bytes and the others in the high ones. So widening a row is one load, a shift and two
 * multiplications, and what is written is what gemm reads.
 *
 *     panel
 *       block of k                               narrow_widen
 *         row: widened, (q - z) s, stored        narrow_rows
 */
#ifndef KERNEL_NARROW_H
#define KERNEL_NARROW_H

#include "kernel/gemm.h"

INLINED size_t narrow_row(int bits)
{
    return (size_t)(PANEL * bits / 8);
}

INLINED size_t narrow_block(int bits, int64_t block)
{
    return 2 * PANEL * sizeof(float) + (size_t)block * narrow_row(bits);
}

static size_t narrow_pack_bytes(int bits, int64_t block, int64_t k, int64_t n)
{
    return (size_t)((n + PANEL - 1) / PANEL) * (size_t)((k + block - 1) / block) * narrow_block(bits, block);
}

/* The numbers of one panel's block; the last columns of the last panel are zero times anything: 0. */
INLINED void narrow_pack_lane(uint8_t *to, int bits, int64_t block, int64_t columns, const uint8_t *q,
                              size_t column_bytes)
{
    for (int64_t i = 0; i < block; i++, to += narrow_row(bits))
        for (int64_t lane = 0; lane < columns; lane++) {
            const uint8_t *from = q + (size_t)lane * column_bytes;
            if (bits == 8) {
                to[lane] = from[i];
                continue;
            }
            const uint8_t half = from[i / 2] >> (i % 2 * 4) & 15;
            to[lane % WIDTH] = (uint8_t)(to[lane % WIDTH] | half << (lane < WIDTH ? 0 : 4));
        }
}

static void narrow_pack(void *packed, int bits, int64_t block, int64_t k, int64_t n, const void *q, const void *scales,
                        const float *zeros)
{
    const int64_t blocks = (k + block - 1) / block;
    const size_t block_bytes = (size_t)block * (size_t)bits / 8, column_bytes = (size_t)blocks * block_bytes;
    char *to = packed;
    for (int64_t j = 0; j < n; j += PANEL)
        for (int64_t b = 0; b < blocks; b++, to += narrow_block(bits, block)) {
            const int64_t columns = n - j < PANEL ? n - j : PANEL;
            float *zero = (float *)(void *)to, *scale = zero + PANEL;
            memset(to, 0, narrow_block(bits, block));
            for (int64_t lane = 0; lane < columns; lane++) {
                scale[lane] = float_at(scales, (j + lane) * blocks + b);
                zero[lane] = zeros[(j + lane) * blocks + b];
            }
            narrow_pack_lane((uint8_t *)(scale + PANEL), bits, block, columns,
                             (const uint8_t *)q + (size_t)j * column_bytes + (size_t)b * block_bytes, column_bytes);
        }
}

typedef uint8_t bvec __attribute__((vector_size(WIDTH)));

INLINED vec vec_of_bytes(bvec bytes)
{
    return __builtin_convertvector(__builtin_convertvector(bytes, ivec), vec);
}

INLINED bvec load_bytes(const uint8_t *from)
{
    bvec bytes;
    memcpy(&bytes, from, sizeof bytes);
    return bytes;
}

/* Rows of one panel's block. */
INLINED void narrow_rows(float *to, const char *from, int bits, int64_t rows)
{
    const float *const head = (const float *)(const void *)from;
    const vec zero_low = load(head), zero_high = load(head + WIDTH);
    const vec scale_low = load(head + PANEL), scale_high = load(head + PANEL + WIDTH);
    const uint8_t *q = (const uint8_t *)(head + 2 * PANEL);
    for (int64_t i = 0; i < rows; i++, to += PANEL, q += narrow_row(bits)) {
        const bvec first = load_bytes(q);
        const bvec low = bits == 8 ? first : first & 15, high = bits == 8 ? load_bytes(q + WIDTH) : first >> 4;
        store(to, (vec_of_bytes(low) - zero_low) * scale_low);
        store(to + WIDTH, (vec_of_bytes(high) - zero_high) * scale_high);
    }
}

static void narrow_widen(float *to, const void *packed, int bits, int64_t block, int64_t k, int64_t k_from,
                         int64_t k_to, int64_t n_from, int64_t n_to)
{
    const int64_t blocks = (k + block - 1) / block;
    for (int64_t j = n_from; j < n_to; j += PANEL) {
        const char *panel = (const char *)packed + (size_t)(j / PANEL * blocks) * narrow_block(bits, block);
        for (int64_t i = k_from; i < k_to; i += block) {
            const int64_t rows = k_to - i < block ? k_to - i : block;
            const char *from = panel + (size_t)(i / block) * narrow_block(bits, block);
            if (bits == 8)
                narrow_rows(to, from, 8, rows);
            else
                narrow_rows(to, from, 4, rows);
            to += rows * PANEL;
        }
    }
}

#endif
