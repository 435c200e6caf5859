/*
 * tiles.c - how products of matrices are cut into units of work: matmul.c's, einsum.c's and rnn.c's.
 *
 * A piece of rows is a multiple of every level's register tile. It takes all columns while that is less than
 * TILES_PRODUCTS multiply-adds, else as many as that allows, but no fewer than the gemm kernel keeps in the second
 * cache for the next rows anyway.
 *
 * Stateless.
 */
#include "op/tiles.h"

#include "op/walk.h"

#define TILES_MANY_ROWS 48                /* from which on weights are read often enough to split by rows */
#define TILES_ROWS 24                     /* of a piece */
#define TILES_PRODUCTS ((int64_t)1 << 25) /* of a piece, or so */
#define TILES_PANELS 4                    /* at least, of a piece of rows: gemm_step columns each */

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

struct tiles tiles_cut(const struct kernels *kernels, int64_t m, int64_t n, int64_t k)
{
    const int64_t step = kernels->gemm->step;
    struct tiles tiles = {.m = m, .n = n, .rows = m, .columns = step, .row_pieces = 1};
    if (m >= TILES_MANY_ROWS) {
        const int64_t fit = TILES_PRODUCTS / TILES_ROWS / (k > 0 ? k : 1) / step;
        tiles.rows = TILES_ROWS;
        tiles.columns = (fit > TILES_PANELS ? fit : TILES_PANELS) * step;
        tiles.row_pieces = (m + TILES_ROWS - 1) / TILES_ROWS;
    }
    tiles.pieces = tiles.row_pieces * ((n + tiles.columns - 1) / tiles.columns);
    return tiles;
}

struct tiles_part tiles_part(const struct tiles *tiles, int64_t from, int64_t to)
{
    const int64_t item = from / tiles->pieces, before = item * tiles->pieces;
    from -= before;
    to = least(to - before, tiles->pieces);
    const int64_t first = from % tiles->row_pieces, column = from / tiles->row_pieces;
    const int64_t next = tiles->row_pieces == 1 ? to : least(to, (column + 1) * tiles->row_pieces);
    const int64_t last = tiles->row_pieces == 1 ? 1 : first + next - from;
    const int64_t columns = tiles->row_pieces == 1 ? next - from : 1;
    return (struct tiles_part){
        .item = item,
        .row = first * tiles->rows,
        .rows = least(last * tiles->rows, tiles->m) - first * tiles->rows,
        .column = column * tiles->columns,
        .column_end = least((column + columns) * tiles->columns, tiles->n),
        .next = before + next,
    };
}

struct packing {
    const struct kernels *kernels;
    char *packed;
    const char *b;
    int64_t k, n, stride_k, stride_n;
    const float *scale;
};

/* Pieces: gemm_step columns. */
static void pack_pieces(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct packing *p = arg;
    const int64_t column = from * p->kernels->gemm->step, end = least(to * p->kernels->gemm->step, p->n);
    p->kernels->gemm->pack(p->packed + p->kernels->gemm->pack_bytes(p->k, column),
                           p->b + column * p->stride_n * (int64_t)sizeof(float), p->k, end - column, p->stride_k,
                           p->stride_n, p->scale ? p->scale + column : NULL);
}

void tiles_pack(const struct kernels *kernels, struct percept_team *team, void *packed, const void *b, int64_t k,
                int64_t n, int64_t stride_k, int64_t stride_n, const float *scale)
{
    struct packing packing = {kernels, packed, b, k, n, stride_k, stride_n, scale};
    const int64_t step = kernels->gemm->step, each = k * step;
    team_split(team, (n + step - 1) / step, 1 + WALK_GRAIN / (each ? each : 1), pack_pieces, &packing);
}
