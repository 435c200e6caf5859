/*
 * tiles.h - products with a packed right side, cut into rectangles of the output, and packing in pieces.
 *
 * Neither changes a bit: elements of kernels->gemm->run are independent.
 */
#ifndef OP_TILES_H
#define OP_TILES_H

#include "base/team.h"
#include "kernel/kernel.h"

/* m x n outputs, each of k products, in pieces of `rows` x `columns`; pieces count rows first, so that those which
 * follow each other read the same weights. */
struct tiles {
    int64_t m, n, rows, columns, row_pieces, pieces;
};

/* By rows where there are many, else by columns (each core then reads its share of the weights); by both where a
 * piece would take longer than some milliseconds. */
struct tiles tiles_cut(const struct kernels *kernels, int64_t m, int64_t n, int64_t k);

/* The outputs of pieces [from, next): a rectangle of product `item`, where pieces of several such products follow each
 * other. */
struct tiles_part {
    int64_t item, row, rows, column, column_end, next;
};

/* The first rectangle of pieces [from, to), as large as it can be. */
struct tiles_part tiles_part(const struct tiles *tiles, int64_t from, int64_t to);

/* kernels->gemm->pack, shared among the team. Thread: the session's holder. */
void tiles_pack(const struct kernels *kernels, struct percept_team *team, void *packed, const void *b, int64_t k,
                int64_t n, int64_t stride_k, int64_t stride_n, const float *scale);

#endif
