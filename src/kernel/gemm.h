/*
 * gemm.h - c[m][n] = epilogue(a[m][k] b[k][n]) with b packed once, when a model is opened.
 *
 * Packed b is a row of panels, each two vectors wide and k high, the last filled up with zeros:
 *
 *     panel 0                          panel 1
 *     b[0][0 .. 2W) b[1][0 .. 2W) ...  b[0][2W .. 4W) b[1][2W .. 4W) ...
 *
 *     group of panels that the second cache holds                            gemm_blocks (panels.h)
 *       block of up to GEMM_ROWS rows of a                                   gemm_rows_1 .. gemm_rows_12
 *         one panel, or several where rows are few                           gemm_tile
 *           part of k (parts.h)
 *             k: two loads of b a panel, a broadcast of a for each row       gemm_products
 *           bias, residual, activation, store                                gemm_finish
 *
 * A tile is `rows` rows of a against `panels` panels: rows x panels x 2 accumulators that live in
 * registers for all of k. Full tiles are GEMM_ROWS x 1; where m leaves fewer rows (a vector times a
 * matrix is the common case of serving) a tile takes more panels instead, so that there are always
 * about as many independent chains as hide the latency of a multiply-add. Whatever the tile, an element
 * is summed over k ascending, in the parts of parts.h: bits depend neither on m nor on how columns were split.
 *
 * Everything is there twice: with weights as they are, and rounded to bfloat16: half as many bytes, widened as they
 * are loaded, for products that wait for their weights, as a vector times a large matrix does.
 */
#ifndef KERNEL_GEMM_H
#define KERNEL_GEMM_H

#include "kernel/epilogue.h"
#include "kernel/kernel.h"
#include "kernel/panels.h"
#include "kernel/parts.h"
#include "kernel/square.h"
#include "kernel/vec.h"

enum {
    GEMM_STRIDE = 4 /* steps of k in one turn of a part's loop: so few turns are foreseen to end */
};

static size_t gemm_pack_bytes(int64_t k, int64_t n)
{
    return (size_t)((n + PANEL - 1) / PANEL * PANEL) * (size_t)k * sizeof(float);
}

/* A float at any address. */
INLINED float float_at(const char *raw, int64_t index)
{
    float x;
    memcpy(&x, raw + index * (int64_t)sizeof x, sizeof x);
    return x;
}

/* Up to PANEL columns of any matrix, one number at a time. */
static void gemm_pack_any(float *to, const char *b, int64_t k, int64_t columns, int64_t stride_k, int64_t stride_n,
                          const float *scale)
{
    for (int64_t i = 0; i < k; i++, to += PANEL) {
        for (int64_t lane = 0; lane < columns; lane++) {
            float x = float_at(b, i * stride_k + lane * stride_n);
            to[lane] = scale ? x * scale[lane] : x;
        }
        for (int64_t lane = columns; lane < PANEL; lane++)
            to[lane] = 0;
    }
}

/* Whole panels whose rows lie there as they are packed. */
static void gemm_pack_rows(float *to, const char *b, int64_t k, int64_t stride_k, const float *scale)
{
    for (int64_t i = 0; i < k; i++, to += PANEL, b += stride_k * (int64_t)sizeof(float)) {
        vec row[2];
        memcpy(row, b, sizeof row);
        store(to, scale ? row[0] * load(scale) : row[0]);
        store(to + WIDTH, scale ? row[1] * load(scale + WIDTH) : row[1]);
    }
}

/* Up to PANEL columns that lie there as rows. */
static void gemm_pack_columns(float *to, const char *b, int64_t k, int64_t columns, int64_t stride_n,
                              const float *scale)
{
    for (int64_t i = 0; i < k; i += WIDTH)
        for (int64_t half = 0; half < PANEL; half += WIDTH) {
            vec rows[WIDTH];
            turn_rows(rows, b + (half * stride_n + i) * (int64_t)sizeof(float), stride_n, columns - half, k - i,
                      scale ? scale + half : NULL);
            for (int64_t at = 0; at < WIDTH && i + at < k; at++)
                store(to + (i + at) * PANEL + half, rows[at]);
        }
}

static void gemm_pack(void *packed, const void *b, int64_t k, int64_t n, int64_t stride_k, int64_t stride_n,
                      const float *scale)
{
    float *to = packed;
    for (int64_t j = 0; j < n; j += PANEL, to += k * PANEL) {
        const char *from = (const char *)b + j * stride_n * (int64_t)sizeof(float);
        const int64_t columns = n - j < PANEL ? n - j : PANEL;
        const float *factors = scale ? scale + j : NULL;
        if (stride_k == 1)
            gemm_pack_columns(to, from, k, columns, stride_n, factors);
        else if (stride_n == 1 && columns == PANEL)
            gemm_pack_rows(to, from, k, stride_k, factors);
        else
            gemm_pack_any(to, from, k, columns, stride_k, stride_n, factors);
    }
}

/* --- weights of 16 bits ------------------------------------------------------------------------------------------- */

/* A row of a panel is one vector of words: the first WIDTH columns in the low halves, the others in the high ones. So
 * widening is a shift, or a mask. */
static size_t bf16_pack_bytes(int64_t k, int64_t n)
{
    return gemm_pack_bytes(k, n) / 2;
}

/* To the nearest, half to even; what is finite stays finite, a NaN one. */
INLINED uvec bf16_rounded(vec x)
{
    const uvec bits = (uvec)x, up = bits + 0x7fff + (bits >> 16 & 1);
    const uvec finite = (uvec)((bits & 0x7f800000) != 0x7f800000), over = (uvec)((up & 0x7f800000) == 0x7f800000);
    const uvec special = (bits >> 16) | ((uvec)is_nan(x) & 0x40), cut = bits >> 16;
    return (finite & ((over & cut) | (~over & (up >> 16)))) | (~finite & special);
}

/* Floats are packed some rows of a panel at a time. */
static void bf16_pack(void *packed, const void *b, int64_t k, int64_t n, int64_t stride_k, int64_t stride_n,
                      const float *scale)
{
    enum { ROWS = 4 * WIDTH };
    float piece[ROWS * PANEL];
    char *to = packed;
    for (int64_t j = 0; j < n; j += PANEL)
        for (int64_t i = 0; i < k; i += ROWS) {
            const char *from = (const char *)b + (j * stride_n + i * stride_k) * (int64_t)sizeof(float);
            const int64_t rows = k - i < ROWS ? k - i : ROWS, columns = n - j < PANEL ? n - j : PANEL;
            gemm_pack(piece, from, rows, columns, stride_k, stride_n, scale ? scale + j : NULL);
            for (int64_t at = 0; at < rows * PANEL; at += PANEL, to += sizeof(uvec)) {
                const uvec both = bf16_rounded(load(piece + at)) | bf16_rounded(load(piece + at + WIDTH)) << 16;
                memcpy(to, &both, sizeof both);
            }
        }
}

/* Half `half` of the row of a panel that begins `index` weights from b on. */
INLINED vec gemm_weights(const char *b, int64_t index, int half, bool bf16)
{
    uvec both;
    if (!bf16)
        return load((const float *)(const void *)b + index + half * WIDTH);
    memcpy(&both, b + 2 * index, sizeof both);
    return (vec)(half ? both & 0xffff0000 : both << 16);
}

/* --- multiplying -------------------------------------------------------------------------------------------------- */

/* One call's arguments, as the tiles need them. */
struct gemm_call {
    const float *a;
    int64_t lda;
    const char *packed;
    float *c;
    int64_t ldc, n, k;
    const struct epilogue *epilogue;
    struct bounds bounds;
};

/* Accumulators to memory: bias, residual, activation. */
INLINED void gemm_finish(const struct gemm_call *call, int rows, int vectors, const vec *sums, int64_t row,
                         int64_t column)
{
    const struct epilogue *epilogue = call->epilogue;
    const vec low = splat(call->bounds.low), high = splat(call->bounds.high);
    const int64_t wanted = call->n - column;
    UNROLL
    for (int v = 0; v < vectors; v++) {
        const int64_t rest = wanted - v * WIDTH;
        if (rest <= 0)
            break;
        const vec bias = epilogue->bias ? load_some(epilogue->bias + column + v * WIDTH, rest) : splat(0);
        UNROLL
        for (int r = 0; r < rows; r++) {
            const int64_t at = (row + r) * call->ldc + column + v * WIDTH;
            vec y = epilogue->bias ? sums[r * vectors + v] + bias : sums[r * vectors + v];
            if (epilogue->residual)
                y += load_some(epilogue->residual + at, rest);
            if (call->bounds.used)
                y = clamp(y, low, high);
            store_some(call->c + at, y, rest);
        }
    }
    if (!call->bounds.later)
        return;
    const int64_t length = wanted < vectors * WIDTH ? wanted : vectors * WIDTH;
    for (int r = 0; r < rows; r++)
        activate(epilogue, call->c + (row + r) * call->ldc + column, length);
}

/* One of k: a column of the block times a row of the panels. */
INLINED void gemm_products(int rows, int vectors, bool bf16, const float *a, int64_t lda, const char *b, int64_t from,
                           int64_t panel_step, vec *sums)
{
    vec w[2 * GEMM_PANELS];
    UNROLL
    for (int v = 0; v < vectors; v++)
        w[v] = gemm_weights(b, from + v / 2 * panel_step, v % 2, bf16);
    UNROLL
    for (int r = 0; r < rows; r++) {
        const vec x = splat(a[r * lda]);
        UNROLL
        for (int v = 0; v < vectors; v++)
            sums[r * vectors + v] = x * w[v] + sums[r * vectors + v];
    }
}

/* All of k for `rows` rows and `panels` panels: these and bf16 are constants wherever this is inlined. */
INLINED void gemm_tile(const struct gemm_call *call, int rows, int panels, bool bf16, int64_t row, int64_t column,
                       struct parts *parts)
{
    const int vectors = 2 * panels;
    const int64_t k = call->k, lda = call->lda, panel_step = k * PANEL;
    const float *a = call->a + row * lda;
    const int64_t size = bf16 ? 2 : 4;
    const char *b = call->packed + column * k * size;
    vec sums[2 * GEMM_ROWS];
    UNROLL
    for (int i = 0; i < rows * vectors; i++)
        sums[i] = splat(0);
    parts_begin(parts);
    int64_t left = k;
    for (; left > PART; left -= PART, a += PART) {
        for (int i = 0; i < PART; i += GEMM_STRIDE, b += GEMM_STRIDE * PANEL * size) {
            UNROLL
            for (int j = 0; j < GEMM_STRIDE; j++)
                gemm_products(rows, vectors, bf16, a + i + j, lda, b, j * PANEL, panel_step, sums);
        }
        parts_add(parts, rows * vectors, sums);
    }
    for (int64_t i = 0; i < left; i++, b += PANEL * size)
        gemm_products(rows, vectors, bf16, a + i, lda, b, 0, panel_step, sums);
    parts_end(parts, rows * vectors, sums);
    gemm_finish(call, rows, vectors, sums, row, column);
}

INLINED void gemm_rows(const struct gemm_call *call, int rows, bool bf16, int64_t row, int64_t from, int64_t to)
{
    const int panels = gemm_panels(rows);
    struct parts parts;
    int64_t column = from;
    for (; panels > 1 && to - column > (panels - 1) * PANEL; column += panels * PANEL)
        gemm_tile(call, rows, panels, bf16, row, column, &parts);
    for (; column < to; column += PANEL)
        gemm_tile(call, rows, 1, bf16, row, column, &parts);
}

#define GEMM_HEIGHT(ROWS)                                                                                              \
    static __attribute__((noinline)) void gemm_rows_##ROWS(const struct gemm_call *call, int64_t row, int64_t from,    \
                                                           int64_t to)                                                 \
    {                                                                                                                  \
        gemm_rows(call, ROWS, false, row, from, to);                                                                   \
    }                                                                                                                  \
    static __attribute__((noinline)) void bf16_rows_##ROWS(const struct gemm_call *call, int64_t row, int64_t from,    \
                                                           int64_t to)                                                 \
    {                                                                                                                  \
        gemm_rows(call, ROWS, true, row, from, to);                                                                    \
    }

GEMM_HEIGHTS(GEMM_HEIGHT)

#define CASE(OF, ROWS)                                                                                                 \
    case ROWS:                                                                                                         \
        OF##_rows_##ROWS(call, row, from, to);                                                                         \
        break;
#define GEMM_CASE(ROWS) CASE(gemm, ROWS)
#define BF16_CASE(ROWS) CASE(bf16, ROWS)

static void gemm_block(const void *call, int64_t rows, int64_t row, int64_t from, int64_t to)
{
    switch (rows) {
        GEMM_HEIGHTS(GEMM_CASE)
    default:
        break;
    }
}

static void bf16_block(const void *call, int64_t rows, int64_t row, int64_t from, int64_t to)
{
    switch (rows) {
        GEMM_HEIGHTS(BF16_CASE)
    default:
        break;
    }
}

#undef CASE
#undef GEMM_CASE
#undef BF16_CASE

INLINED void gemm_run(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const void *packed, float *c,
                      int64_t ldc, const struct epilogue *epilogue, int64_t n_from, int64_t n_to, int64_t size,
                      gemm_visit *block)
{
    const struct gemm_call call = {.a = a,
                                   .lda = lda,
                                   .packed = packed,
                                   .c = c,
                                   .ldc = ldc,
                                   .n = n,
                                   .k = k,
                                   .epilogue = epilogue,
                                   .bounds = bounds_of(epilogue)};
    gemm_blocks(m, n_from, n_to, (k > 0 ? k : 1) * PANEL * size, block, &call);
}

static void gemm(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const void *packed, float *c,
                 int64_t ldc, const struct epilogue *epilogue, int64_t n_from, int64_t n_to)
{
    gemm_run(m, n, k, a, lda, packed, c, ldc, epilogue, n_from, n_to, 4, gemm_block);
}

static void bf16(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const void *packed, float *c,
                 int64_t ldc, const struct epilogue *epilogue, int64_t n_from, int64_t n_to)
{
    gemm_run(m, n, k, a, lda, packed, c, ldc, epilogue, n_from, n_to, 2, bf16_block);
}

#endif
