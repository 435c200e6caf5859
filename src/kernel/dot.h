/*
 * dot.h - c[m][n] = sum over k of a[m][k] b[k][n] in integers: a is uint8, b is int8, c is int32.
 *
 * Four neighbours along k are multiplied and added at once (vec.h: quad_add), so packed b keeps them together:
 *
 *     panel 0                                                                        panel 1
 *     b[0][0] b[1][0] b[2][0] b[3][0]  b[0][1] .. b[3][PANEL-1]  b[4][0] b[5][0] ...
 *
 * What is missing at the end of k is zero. The rows of a are laid likewise, in the form that is broadcast: bytes, or
 * where these are widened pairs of int16. Signed a is laid as a + 128, unsigned b packed as b - 128; whoever asked
 * takes that into account by the sums of rows and columns, which laying and packing tell. Sums wrap at 32 bits, as
 * everybody's do. Integers have no rounding, so tiles may be cut as one likes; they are cut as in panels.h.
 */
#ifndef KERNEL_DOT_H
#define KERNEL_DOT_H

#include "kernel/kernel.h"
#include "kernel/panels.h"
#include "kernel/vec.h"

typedef uint8_t lane_bytes __attribute__((vector_size(WIDTH)));

static int64_t dot_quads(int64_t k)
{
    return (k + 3) / 4;
}

/* --- four rows as one --------------------------------------------------------------------------------------------- */

/* WIDTH bytes, `step` apart, of which `some` are wanted. */
INLINED uvec quad_row(const uint8_t *from, int64_t step, int64_t some)
{
    typedef uint16_t lane_shorts __attribute__((vector_size(2 * WIDTH)));
    lane_bytes bytes = {0};
    if (step == 2) {
        lane_shorts both;
        memcpy(&both, from, sizeof both);
        return __builtin_convertvector(both, uvec) & 0xff;
    }
    if (step == 1)
        memcpy(&bytes, from, sizeof bytes);
    else
        for (int64_t lane = 0; lane < some; lane++)
            bytes[lane] = from[lane * step];
    return __builtin_convertvector(bytes, uvec);
}

/* Of n bytes those of whole vectors are read, and at step 2 one more. */
INLINED void quad_interleave_by(uint8_t *to, const void *const rows[4], int64_t step, uint8_t flip, int64_t n)
{
    for (int64_t i = 0; i < n; i += WIDTH) {
        const int64_t some = n - i < WIDTH ? n - i : WIDTH;
        uvec all = (uvec){0} + flip * 0x01010101u;
        UNROLL
        for (int r = 0; r < 4; r++)
            all ^= quad_row((const uint8_t *)rows[r] + i * step, step, some) << (8 * r);
        if (some == WIDTH)
            memcpy(to + 4 * i, &all, sizeof all);
        else
            memcpy(to + 4 * i, &all, (size_t)some * 4);
    }
}

/* to[4 i + r] = rows[r][i step] ^ flip */
static void quad_interleave(void *to, const void *const rows[4], int64_t step, uint8_t flip, int64_t n)
{
    if (step == 1)
        quad_interleave_by(to, rows, 1, flip, n);
    else if (step == 2)
        quad_interleave_by(to, rows, 2, flip, n);
    else
        quad_interleave_by(to, rows, step, flip, n);
}

/* --- packing ------------------------------------------------------------------------------------------------------ */

static size_t dot_pack_bytes(int64_t k, int64_t n)
{
    return (size_t)((n + PANEL - 1) / PANEL * PANEL) * (size_t)(4 * dot_quads(k));
}

/* One quad of `columns` columns, of which some rows may be missing. */
static void dot_pack_rest(uint8_t *to, const uint8_t *from, int64_t rows, int64_t columns, int64_t stride_k,
                          int64_t stride_n, uint8_t flip)
{
    memset(to, 0, 4 * PANEL);
    for (int64_t lane = 0; lane < columns; lane++)
        for (int64_t r = 0; r < rows; r++)
            to[4 * lane + r] = from[r * stride_k + lane * stride_n] ^ flip;
}

/* The sums of a panel's columns. */
static void dot_pack_sums(int32_t *sums, const uint8_t *panel, int64_t quads, int64_t columns)
{
    uvec totals[2] = {{0}, {0}};
    for (int64_t i = 0; i < quads; i++)
        for (int v = 0; v < 2; v++, panel += 4 * WIDTH) {
            ivec raw;
            memcpy(&raw, panel, sizeof raw);
            for (int p = 0; p < QUAD_PARTS; p++)
                totals[v] = quad_add(totals[v], quad_unsigned((ivec){0} + 0x01010101, p), quad_signed(raw, p));
        }
    memcpy(sums, totals, (size_t)columns * sizeof *sums);
}

static void dot_pack(void *packed, int32_t *sums, const void *b, int64_t k, int64_t n, int64_t stride_k,
                     int64_t stride_n, bool is_signed)
{
    const uint8_t flip = is_signed ? 0 : 0x80;
    const uint8_t *from = b;
    uint8_t *to = packed;
    for (int64_t j = 0; j < n; j += PANEL) {
        const int64_t columns = n - j < PANEL ? n - j : PANEL;
        const uint8_t *panel = to;
        for (int64_t i = 0; i < k; i += 4, to += 4 * PANEL) {
            const uint8_t *first = from + i * stride_k + j * stride_n;
            const int64_t rows = k - i < 4 ? k - i : 4;
            const void *const four[4] = {first, first + stride_k, first + 2 * stride_k, first + 3 * stride_k};
            if (columns == PANEL && rows == 4 && stride_n == 1)
                quad_interleave(to, four, 1, flip, PANEL);
            else
                dot_pack_rest(to, first, rows, columns, stride_k, stride_n, flip);
        }
        dot_pack_sums(sums + j, panel, dot_quads(k), columns);
    }
}

static size_t dot_row_bytes(int64_t k)
{
    return (size_t)(4 * QUAD_PARTS * dot_quads(k));
}

/* One quad in the form that is broadcast. */
INLINED void quad_word(int32_t *to, uint32_t quad)
{
#if QUAD_INSTRUCTION
    *to = (int32_t)quad;
#else
    to[0] = (int32_t)(quad & 0x00ff00ff);
    to[1] = (int32_t)(quad >> 8 & 0x00ff00ff);
#endif
}

static int32_t dot_pack_row(void *row, const void *a, bool is_signed, int64_t k)
{
    const uint32_t flips = is_signed ? 0x80808080u : 0;
    const uint8_t *from = a;
    int32_t *to = row;
    uint32_t sum = 0, quad;
    int64_t i = 0;
    for (; i + 4 <= k; i += 4, to += QUAD_PARTS) {
        memcpy(&quad, from + i, sizeof quad);
        quad ^= flips;
        quad_word(to, quad);
        const uint32_t halves = (quad & 0x00ff00ff) + (quad >> 8 & 0x00ff00ff);
        sum += (halves & 0xffff) + (halves >> 16);
    }
    if (i == k)
        return (int32_t)sum;
    quad = 0;
    for (int64_t r = 0; i + r < k; r++)
        quad |= (uint32_t)(from[i + r] ^ (uint8_t)flips) << (8 * r);
    quad_word(to, quad);
    for (; quad; quad >>= 8)
        sum += quad & 0xff;
    return (int32_t)sum;
}

/* --- multiplying -------------------------------------------------------------------------------------------------- */

struct dot_call {
    const int32_t *a;
    int64_t lda; /* words */
    const int8_t *packed;
    int32_t *c;
    int64_t ldc, n, quads;
};

INLINED void dot_finish(const struct dot_call *call, int rows, int vectors, const uvec *sums, int64_t row,
                        int64_t column)
{
    UNROLL
    for (int v = 0; v < vectors; v++) {
        const int64_t rest = call->n - column - v * WIDTH;
        if (rest <= 0)
            break;
        UNROLL
        for (int r = 0; r < rows; r++) {
            int32_t *to = call->c + (row + r) * call->ldc + column + v * WIDTH;
            if (rest >= WIDTH) /* a size that the compiler knows */
                memcpy(to, &sums[r * vectors + v], sizeof(uvec));
            else
                memcpy(to, &sums[r * vectors + v], (size_t)rest * sizeof *to);
        }
    }
}

/* rows and panels are constants wherever this is inlined. */
INLINED void dot_tile(const struct dot_call *call, int rows, int panels, int64_t row, int64_t column)
{
    const int vectors = 2 * panels;
    const int64_t quads = call->quads, lda = call->lda, panel_step = 4 * quads * PANEL;
    const int32_t *a = call->a + row * lda;
    const int8_t *b = call->packed + column * 4 * quads;
    uvec sums[2 * GEMM_ROWS];
    UNROLL
    for (int i = 0; i < rows * vectors; i++)
        sums[i] = (uvec){0};
    for (int64_t i = 0; i < quads; i++, b += 4 * PANEL) {
        UNROLL
        for (int p = 0; p < QUAD_PARTS; p++) {
            quad_part w[2 * GEMM_PANELS];
            UNROLL
            for (int v = 0; v < vectors; v++) {
                ivec raw;
                memcpy(&raw, b + v / 2 * panel_step + v % 2 * 4 * WIDTH, sizeof raw);
                w[v] = quad_signed(raw, p);
            }
            UNROLL
            for (int r = 0; r < rows; r++) {
                const quad_part x = quad_broadcast(a[r * lda + QUAD_PARTS * i + p]);
                UNROLL
                for (int v = 0; v < vectors; v++)
                    sums[r * vectors + v] = quad_add(sums[r * vectors + v], x, w[v]);
            }
        }
    }
    dot_finish(call, rows, vectors, sums, row, column);
}

INLINED void dot_rows(const struct dot_call *call, int rows, int64_t row, int64_t from, int64_t to)
{
    const int panels = gemm_panels(rows) > 1 ? 2 : 1;
    int64_t column = from;
    for (; panels > 1 && to - column > PANEL; column += 2 * PANEL)
        dot_tile(call, rows, 2, row, column);
    for (; column < to; column += PANEL)
        dot_tile(call, rows, 1, row, column);
}

static void dot_block(const void *call, int64_t rows, int64_t row, int64_t from, int64_t to)
{
    switch (rows) {
#define CASE(ROWS)                                                                                                     \
    case ROWS:                                                                                                         \
        dot_rows(call, ROWS, row, from, to);                                                                           \
        break;
        GEMM_HEIGHTS(CASE)
#undef CASE
    default:
        break;
    }
}

static void dot(int64_t m, int64_t n, int64_t k, const void *a, const void *packed, int32_t *c, int64_t ldc,
                int64_t n_from, int64_t n_to)
{
    const int64_t quads = dot_quads(k);
    const struct dot_call call = {
        .a = a, .lda = QUAD_PARTS * quads, .packed = packed, .c = c, .ldc = ldc, .n = n, .quads = quads};
    gemm_blocks(m, n_from, n_to, 4 * (quads > 0 ? quads : 1) * PANEL, dot_block, &call);
}

#endif
