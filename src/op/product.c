/*
 * product.c - the one place where products are cut: matmul.c's, quant_matmul.c's, einsum.c's, rnn.c's, nbits.c's,
 * attention.c's and deform.c's.
 *
 * What a piece should be depends on who multiplies. A packed right side is read again by every piece of rows, so few
 * rows go by columns; a piece of rows is a multiple of every level's register tile. It takes all columns while that is
 * less than PACKED_PRODUCTS multiply-adds, else as many as that allows, but no fewer than the gemm kernel keeps in the
 * second cache for the next rows anyway. Pieces that one member gets in a row are one call, unless they need scratch of
 * their own or the size of a call is in the bits: OpenBLAS's differ with it, so that its squares depend on the sizes of
 * one product alone.
 *
 * Pieces count rows first, so that those which follow each other read the same columns.
 *
 * Not here: how many of them a member claims at once (team_split), what is summed (the kernels). Stateless.
 */
#include "op/product.h"

#include "op/walk.h"

#define PACKED_ROWS 24                     /* of a piece */
#define PACKED_PRODUCTS ((int64_t)1 << 25) /* of a piece, or so */
#define PACKED_PANELS 4                    /* at least, of a piece of rows: gemm->step columns each */
#define SQUARE_PRODUCTS ((int64_t)1 << 28) /* of a call of OpenBLAS, or so */

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t pieces_of(int64_t n, int64_t each)
{
    return each > 0 ? (n + each - 1) / each : 0;
}

struct product product_bands(int64_t batch, int64_t m, int64_t n, int64_t rows, int64_t columns)
{
    return (struct product){.batch = batch,
                            .m = m,
                            .n = n,
                            .rows = rows,
                            .columns = columns,
                            .down = pieces_of(m, rows),
                            .across = pieces_of(n, columns)};
}

struct product product_packed(const struct kernels *kernels, int64_t batch, int64_t m, int64_t n, int64_t k)
{
    const int64_t step = kernels->gemm->step, fit = PACKED_PRODUCTS / PACKED_ROWS / (k > 0 ? k : 1) / step;
    const bool by_rows = m >= PRODUCT_BAND;
    const int64_t columns = by_rows ? (fit > PACKED_PANELS ? fit : PACKED_PANELS) * step : step;
    struct product product = product_bands(batch, m, n, by_rows ? PACKED_ROWS : m, columns);
    product.merges = true;
    return product;
}

struct product product_dots(const struct kernels *kernels, int64_t batch, int64_t m, int64_t n)
{
    const bool by_rows = m >= PRODUCT_BAND;
    struct product product =
        product_bands(batch, m, n, by_rows ? PACKED_ROWS : m, by_rows ? n : kernels->quantize->dot_step);
    product.merges = !by_rows;
    return product;
}

struct product product_squares(int64_t batch, int64_t m, int64_t n, int64_t k)
{
    int64_t side = 512;
    if ((double)m * (double)n * (double)k <= (double)SQUARE_PRODUCTS)
        side = m > n ? m : n;
    else
        while (side > 64 && side * side > SQUARE_PRODUCTS / k)
            side /= 2;
    return product_bands(batch, m, n, side, side);
}

int64_t product_pieces(const struct product *product)
{
    return product->batch * product->down * product->across;
}

int64_t product_part(const struct product *product, int64_t from, int64_t to, struct product_part *part)
{
    const int64_t each = product->down * product->across, item = from / each, before = item * each;
    const int64_t first = (from - before) % product->down, column = (from - before) / product->down;
    int64_t rows = 1, columns = 1;
    if (product->merges && product->down > 1)
        rows = least(to - from, product->down - first);
    else if (product->merges)
        columns = least(to - from, product->across - column);
    *part = (struct product_part){
        .item = item,
        .row = first * product->rows,
        .rows = least((first + rows) * product->rows, product->m) - first * product->rows,
        .column = column * product->columns,
        .column_end = least((column + columns) * product->columns, product->n),
    };
    return from + rows * columns;
}

/* --- a team ------------------------------------------------------------------------------------------------------- */

struct run {
    const struct product *product;
    product_work *work;
    void *arg;
};

static void run_pieces(void *arg, int64_t from, int64_t to, int member)
{
    const struct run *run = arg;
    while (from < to) {
        struct product_part part;
        from = product_part(run->product, from, to, &part);
        run->work(run->arg, &part, member);
    }
}

void product_run(const struct product *product, struct percept_team *team, product_work *work, void *arg)
{
    struct run run = {product, work, arg};
    team_split(team, product_pieces(product), 1, run_pieces, &run);
}

/* --- packing ------------------------------------------------------------------------------------------------------ */

struct packing {
    const struct gemm_kernels *gemm;
    char *packed;
    const char *b;
    int64_t k, n, stride_k, stride_n;
    const float *scale;
};

/* Pieces: gemm->step columns. */
static void pack_pieces(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct packing *p = arg;
    const int64_t column = from * p->gemm->step, end = least(to * p->gemm->step, p->n);
    p->gemm->pack(p->packed + p->gemm->pack_bytes(p->k, column), p->b + column * p->stride_n * (int64_t)sizeof(float),
                  p->k, end - column, p->stride_k, p->stride_n, p->scale ? p->scale + column : NULL);
}

void product_pack(const struct gemm_kernels *gemm, struct percept_team *team, void *packed, const void *b, int64_t k,
                  int64_t n, int64_t stride_k, int64_t stride_n, const float *scale)
{
    struct packing packing = {gemm, packed, b, k, n, stride_k, stride_n, scale};
    const int64_t step = gemm->step, each = k * step;
    team_split(team, (n + step - 1) / step, 1 + WALK_GRAIN / (each ? each : 1), pack_pieces, &packing);
}
