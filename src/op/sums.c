/*
 * sums.c - reductions of [outer][n][inner] floats for reduce.c and pool.c.
 *
 * A unit of work is some columns of some of the n rows, SUMS_PIECE numbers or so: few enough to look at a clock
 * between them, and enough for the cores of a team where there is one line only. Where rows are cut, each slab's
 * result goes to scratch, and these are reduced in turn. How rows are cut depends on n, and on whether inner
 * is 1, alone, hence so do the bits: among the columns may be the items of a batch.
 *
 * Stateless; nothing is allocated.
 */
#include "op/sums.h"

#include "op/walk.h"

#define SUMS_PIECE ((int64_t)1 << 20)   /* numbers */
#define SUMS_COLUMNS ((int64_t)1 << 10) /* of which a piece of many rows has so many at least */

struct cuts {
    int64_t columns, pieces; /* columns of a piece, pieces of a row */
    int64_t rows, slabs;     /* rows of a slab, slabs of a column */
};

static struct cuts cut(const struct sums *sums)
{
    const int64_t least = sums->inner < SUMS_COLUMNS ? sums->inner : SUMS_COLUMNS;
    struct cuts cuts = {.rows = sums->inner == 1 ? SUMS_PIECE : SUMS_PIECE / SUMS_COLUMNS};
    cuts.slabs = sums->n > cuts.rows ? (sums->n + cuts.rows - 1) / cuts.rows : 1;
    if (cuts.slabs == 1)
        cuts.rows = sums->n;
    const int64_t fit = SUMS_PIECE / (cuts.rows ? cuts.rows : 1) / 64 * 64;
    cuts.columns = fit > least ? fit : least;
    if (cuts.columns > sums->inner)
        cuts.columns = sums->inner;
    cuts.pieces = cuts.columns ? (sums->inner + cuts.columns - 1) / cuts.columns : 0;
    return cuts;
}

size_t sums_scratch_bytes(const struct sums *sums)
{
    const struct cuts cuts = cut(sums);
    return cuts.slabs > 1 ? (size_t)(sums->outer * cuts.slabs * sums->inner) * sizeof(float) : 0;
}

struct work {
    const struct sums *sums;
    const struct kernels *kernels;
    struct cuts cuts;
    const float *x;
    float *y, *parts; /* parts: [outer][slabs][inner], where there is more than one slab */
};

static void finish(const struct work *work, float *y, int64_t count)
{
    const struct sums *sums = work->sums;
    if (sums->finish == SUMS_MEAN)
        work->kernels->map->binary_scalar(BINARY_DIV, y, y, (float)sums->n, count);
    else if (sums->finish == SUMS_ROOT)
        work->kernels->map->unary(UNARY_SQRT, y, y, count, 0, 0);
    else if (sums->finish == SUMS_LOGARITHM)
        work->kernels->map->unary(UNARY_LOG, y, y, count, 0, 0);
}

/* Pieces: (outer, slab, some columns). */
static void reduce_pieces(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct work *work = arg;
    const struct sums *sums = work->sums;
    const struct cuts *cuts = &work->cuts;
    const int64_t inner = sums->inner;
    for (int64_t i = from; i < to; i++) {
        const int64_t column = i % cuts->pieces * cuts->columns, left = inner - column;
        const int64_t columns = left < cuts->columns ? left : cuts->columns;
        const int64_t line = i / cuts->pieces, row = line % cuts->slabs * cuts->rows;
        const int64_t rows = sums->n - row < cuts->rows ? sums->n - row : cuts->rows;
        const float *x = work->x + (line / cuts->slabs * sums->n + row) * inner + column;
        float *y = (cuts->slabs > 1 ? work->parts : work->y) + line * inner + column;
        if (sums->n)
            work->kernels->reduce->run(sums->op, y, x, rows, inner, columns);
        else
            work->kernels->map->fill(y, neutral_of(sums->op), columns);
        if (cuts->slabs == 1)
            finish(work, y, columns);
    }
}

/* Slabs are of terms already: their sums are added, whatever of their elements was. */
static void join_slabs(const struct work *work)
{
    const struct sums *sums = work->sums;
    const enum reduce op = sums->op == REDUCE_SUM_SQUARE || sums->op == REDUCE_L1 ? REDUCE_SUM : sums->op;
    for (int64_t i = 0; i < sums->outer; i++) {
        float *y = work->y + i * sums->inner;
        work->kernels->reduce->run(op, y, work->parts + i * work->cuts.slabs * sums->inner, work->cuts.slabs,
                                   sums->inner, sums->inner);
        finish(work, y, sums->inner);
    }
}

void sums_run(const struct sums *sums, const struct kernels *kernels, struct percept_team *team, const float *x,
              float *y, float *scratch)
{
    struct work work = {.sums = sums, .kernels = kernels, .cuts = cut(sums), .x = x, .y = y, .parts = scratch};
    const int64_t each = work.cuts.rows * work.cuts.columns;
    team_split(team, sums->outer * work.cuts.slabs * work.cuts.pieces, 1 + WALK_GRAIN / (each ? each : 1),
               reduce_pieces, &work);
    if (work.cuts.slabs > 1)
        join_slabs(&work);
}
