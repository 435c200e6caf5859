/*
 * product.h - how products of matrices are cut into rectangles of their outputs, and who computes which.
 *
 * A cut never changes how an element is summed: it goes along rows and columns alone, and where the size of a call is
 * in the bits (OpenBLAS) the same pieces come whatever the team is.
 */
#ifndef OP_PRODUCT_H
#define OP_PRODUCT_H

#include "base/team.h"
#include "kernel/kernel.h"

/* `batch` products of m x n outputs each, in pieces of `rows` x `columns`. */
struct product {
    int64_t batch, m, n, rows, columns;
    int64_t down, across; /* pieces of a product */
    bool merges;          /* pieces that follow each other may be computed at once */
};

/* A right side packed for kernels->gemm, k terms an element: by rows where there are many, else by columns (each core
 * then reads its share of the weights); by both where a piece would take longer than some milliseconds. */
struct product product_packed(const struct kernels *kernels, int64_t batch, int64_t m, int64_t n, int64_t k);

/* The same for kernels->dot: at most PRODUCT_BAND rows come at once, with all columns where there are as many. */
#define PRODUCT_BAND 48
struct product product_dots(const struct kernels *kernels, int64_t batch, int64_t m, int64_t n);

/* Two sides that OpenBLAS reads as they lie: a product is one piece where that does not take long, else squares. */
struct product product_squares(int64_t batch, int64_t m, int64_t n, int64_t k);

/* Pieces of just this size, but for those at the edges, one by one: for what needs scratch or work of its own. */
struct product product_bands(int64_t batch, int64_t m, int64_t n, int64_t rows, int64_t columns);

/* A rectangle of product `item`: rows [row, row + rows), columns [column, column_end). */
struct product_part {
    int64_t item, row, rows, column, column_end;
};

/* Pieces of all products together; the first rectangle of pieces [from, to), as large as it can be, and the piece that
 * follows it. */
int64_t product_pieces(const struct product *product);
int64_t product_part(const struct product *product, int64_t from, int64_t to, struct product_part *part);

/* Calls `work` for rectangles that cover all products once. member: as team_split's. */
typedef void product_work(void *arg, const struct product_part *part, int member);
void product_run(const struct product *product, struct percept_team *team, product_work *work, void *arg);

/* gemm->pack, shared among the team. Thread: the session's holder. */
void product_pack(const struct gemm_kernels *gemm, struct percept_team *team, void *packed, const void *b, int64_t k,
                  int64_t n, int64_t stride_k, int64_t stride_n, const float *scale);

#endif
