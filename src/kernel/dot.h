/*
 * dot.h - c[m][n] = sum over k of a[m][k] b[k][n] in integers: a is int16, b is int8, c is int32.
 *
 * b is what there is more of and is read over and over, so it stays in 8 bits; a is widened once per
 * row, which leaves room for subtracting its zero point (-255 .. 255). Two neighbours along k are
 * multiplied and added by one instruction (dot_pairs), so packed b keeps them together:
 *
 *     panel 0                                              panel 1
 *     b[0][0] b[1][0] b[0][1] b[1][1] .. b[1][PANEL-1] b[2][0] b[3][0] ...
 *
 * An odd k is filled up with a zero. Unsigned b is stored as b - 128 ("flip"); whoever packs takes that
 * into account in b's zero point. Sums wrap at 32 bits, as everybody's do. Integers have no rounding,
 * so tiles may be cut as one likes; they are cut as in panels.h.
 */
#ifndef KERNEL_DOT_H
#define KERNEL_DOT_H

#include "kernel/kernel.h"
#include "kernel/panels.h"
#include "kernel/vec.h"

typedef int8_t quarter __attribute__((vector_size(2 * WIDTH))); /* 2 WIDTH numbers */

static size_t dot_pack_bytes(int64_t k, int64_t n)
{
    return (size_t)((n + PANEL - 1) / PANEL * PANEL) * (size_t)((k + 1) / 2 * 2);
}

/* Two rows of a panel, one lane after another: as 16-bit numbers, of which the low byte comes first. */
INLINED void dot_interleave(uint8_t *to, const uint8_t *even, const uint8_t *odd, uint8_t flip)
{
    quarter first, second;
    memcpy(&first, even, sizeof first);
    memcpy(&second, odd, sizeof second);
    first ^= (int8_t)flip;
    second ^= (int8_t)flip;
    const pairs low = __builtin_convertvector(first, pairs) & 0xff;
    const pairs both = low | (__builtin_convertvector(second, pairs) << 8);
    memcpy(to, &both, sizeof both);
}

static void dot_pack(void *packed, const void *b, int64_t k, int64_t n, int64_t stride_k, int64_t stride_n,
                     bool is_signed)
{
    const uint8_t flip = is_signed ? 0 : 0x80;
    const uint8_t *from = b;
    uint8_t *to = packed;
    for (int64_t j = 0; j < n; j += PANEL) {
        const int64_t columns = n - j < PANEL ? n - j : PANEL;
        for (int64_t i = 0; i < k; i += 2, to += 2 * PANEL) {
            const uint8_t *even = from + i * stride_k + j * stride_n;
            if (columns == PANEL && stride_n == 1 && i + 1 < k) {
                dot_interleave(to, even, even + stride_k, flip);
                continue;
            }
            for (int64_t lane = 0; lane < PANEL; lane++) {
                const bool there = lane < columns;
                to[2 * lane] = there ? even[lane * stride_n] ^ flip : 0;
                to[2 * lane + 1] = there && i + 1 < k ? even[stride_k + lane * stride_n] ^ flip : 0;
            }
        }
    }
}

struct dot_call {
    const int16_t *a;
    int64_t lda;
    const int8_t *packed;
    int32_t *c;
    int64_t ldc, n, k2; /* k2: pairs */
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
    const int64_t k2 = call->k2, lda = call->lda, panel_step = 2 * k2 * PANEL;
    const int16_t *a = call->a + row * lda;
    const int8_t *b = call->packed + column * 2 * k2;
    uvec sums[2 * GEMM_ROWS];
    UNROLL
    for (int i = 0; i < rows * vectors; i++)
        sums[i] = (uvec){0};
    for (int64_t i = 0; i < k2; i++, b += 2 * PANEL) {
        pairs w[2 * GEMM_PANELS];
        UNROLL
        for (int v = 0; v < vectors; v++) {
            quarter narrow;
            memcpy(&narrow, b + v / 2 * panel_step + v % 2 * 2 * WIDTH, sizeof narrow);
            w[v] = __builtin_convertvector(narrow, pairs);
        }
        UNROLL
        for (int r = 0; r < rows; r++) {
            int32_t both;
            memcpy(&both, a + r * lda + 2 * i, sizeof both);
            const pairs x = (pairs)(both - (ivec){0});
            UNROLL
            for (int v = 0; v < vectors; v++)
                sums[r * vectors + v] += (uvec)dot_pairs(x, w[v]);
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

static void dot(int64_t m, int64_t n, int64_t k, const int16_t *a, int64_t lda, const void *packed, int32_t *c,
                int64_t ldc, int64_t n_from, int64_t n_to)
{
    const struct dot_call call = {.a = a, .lda = lda, .packed = packed, .c = c, .ldc = ldc, .n = n, .k2 = (k + 1) / 2};
    const int64_t panel_bytes = 2 * (call.k2 > 0 ? call.k2 : 1) * PANEL;
    gemm_blocks(m, n_from, n_to, panel_bytes, dot_block, &call);
}

typedef int16_t shorts __attribute__((vector_size(2 * WIDTH)));

/* Lanes past n are computed at stride 1 (there are 64 readable bytes) and not stored. */
static void dot_taps(int32_t *c, const int16_t *x, int64_t stride, const int64_t *offsets, const int16_t *w,
                     int64_t taps, int64_t n)
{
    for (int64_t i = 0; i < n; i += WIDTH) {
        const int64_t some = n - i < WIDTH ? n - i : WIDTH;
        ivec sums = {0};
        for (int64_t t = 0; t < taps; t++) {
            const int16_t *from = x + offsets[t] + i * stride;
            shorts lanes = {0};
            if (stride == 1)
                memcpy(&lanes, from, sizeof lanes);
            else
                for (int64_t lane = 0; lane < some; lane++)
                    lanes[lane] = from[lane * stride];
            sums += __builtin_convertvector(lanes, ivec) * (int32_t)w[t];
        }
        if (some == WIDTH)
            memcpy(c + i, &sums, sizeof sums);
        else
            memcpy(c + i, &sums, (size_t)some * sizeof *c);
    }
}

#endif
