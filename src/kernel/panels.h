/*
 * panels.h - how products of matrices are cut: what gemm.h and dot.h share.
 *
 * The right side lies in panels of PANEL columns. A block of rows against one or more panels is a tile, whose sums live
 * in registers; every height of a block has its own code.
 *
 *                      panels: a group           the next group
 *                     |--------------------|----------------------|
 *     rows: a block   | tile tile tile ... |  later               |
 *     the next block  | tile tile tile ... |                      |
 *
 *     group of panels that the second cache holds
 *       block of rows
 *         panel, or several of them
 */
#ifndef KERNEL_PANELS_H
#define KERNEL_PANELS_H

#include "kernel/vec.h"

enum {
    PANEL = 2 * WIDTH,         /* columns */
    GEMM_PANELS = 4,           /* at most, in a tile of few rows */
    GEMM_GROUP_BYTES = 1 << 19 /* of packed b, to be met again by the next rows */
};

/* Panels that a tile of few rows takes at once: what fits beside the weights and a broadcast. */
INLINED int gemm_panels(int rows)
{
    const int registers = MANY_REGISTERS ? 32 : 16;
    const int fit = rows == 1 ? GEMM_PANELS : (registers - 1) / (2 * (rows + 1));
    return fit > GEMM_PANELS ? GEMM_PANELS : fit > 1 ? fit : 1;
}

/* Every height of a block has its own code, unrolled. */
#if MANY_REGISTERS
#define GEMM_HEIGHTS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)
#else
#define GEMM_HEIGHTS(X) X(1) X(2) X(3) X(4) X(5) X(6)
#endif

/* One block of rows over columns [from, to). */
typedef void gemm_visit(const void *call, int64_t rows, int64_t row, int64_t from, int64_t to);

/* Panels in groups that stay in the second cache, within a group all rows. */
INLINED void gemm_blocks(int64_t m, int64_t n_from, int64_t n_to, int64_t panel_bytes, gemm_visit *block,
                         const void *call)
{
    const int64_t panels = GEMM_GROUP_BYTES / panel_bytes;
    const int64_t group = m <= GEMM_ROWS ? n_to - n_from : PANEL * (panels > 4 ? panels : 4);
    const int64_t blocks = (m + GEMM_ROWS - 1) / GEMM_ROWS;
    for (int64_t from = n_from; from < n_to; from += group) {
        const int64_t to = n_to - from < group ? n_to : from + group;
        /* blocks of nearly equal height: 13 rows are 7 and 6, not 12 and a lonely one */
        for (int64_t i = 0; i < blocks; i++) {
            const int64_t row = m * i / blocks;
            block(call, m * (i + 1) / blocks - row, row, from, to);
        }
    }
}

#endif
