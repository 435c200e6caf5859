/*
 * transform.h - what Winograd's algorithms (winograd.h) do before and after their products.
 *
 * F(2, 3) has the points 0, 1, -1: additions alone. F(4, 3) has 0, +-a, +-b with a^2 = 1/2 and b^2 = 2. Of symmetric
 * points whose product is 1 these have the smallest error, a quarter of that of the usual 0, +-1, +-2 (Barabasz,
 * Anderson, Soodhalter, Gregg, "Error analysis and improving the accuracy of Winograd convolution for deep neural
 * networks", 2018, has the reasons); even and odd terms are shared, so they cost no more. In one dimension, for taps
 * g and inputs d, y = A^T [(G g) * (B^T d)], here with rows in the order 0, +a, -a, +b, -b, infinity:
 *
 *     B^T d    d0 - 5/2 d2 + d4,  (d4 - 2 d2) +- a (d3 - 2 d1),  (d4 - d2/2) +- b (d3 - d1/2),  d1 - 5/2 d3 + d5
 *     G g      g0,  -2/3 (g0 +- a g1 + g2/2),  1/6 (g0 +- b g1 + 2 g2),  g2
 *     A^T m    1 for y0, p for y1, p^2 for y2, p^3 for y3; infinity for y3 alone
 *
 * In two dimensions columns first, then rows. Each function exists once, so that no second copy fuses other
 * multiply-adds.
 */
#ifndef KERNEL_TRANSFORM_H
#define KERNEL_TRANSFORM_H

#include "kernel/vec.h"

#define TRANSFORM_A 0.70710678118654752440
#define TRANSFORM_B 1.41421356237309504880

/* G, of a tile of 2 outputs, and of 4. */
static const double transform_g2[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
static const double transform_g4[6][3] = {{1, 0, 0},
                                          {-2.0 / 3, -2.0 / 3 * TRANSFORM_A, -1.0 / 3},
                                          {-2.0 / 3, 2.0 / 3 * TRANSFORM_A, -1.0 / 3},
                                          {1.0 / 6, TRANSFORM_B / 6, 1.0 / 3},
                                          {1.0 / 6, -TRANSFORM_B / 6, 1.0 / 3},
                                          {0, 0, 1}};

INLINED void transform_4_inputs(const vec d[4], vec t[4])
{
    t[0] = d[0] - d[2];
    t[1] = d[1] + d[2];
    t[2] = d[2] - d[1];
    t[3] = d[1] - d[3];
}

INLINED void transform_6_inputs(const vec d[6], vec t[6])
{
    const vec even_a = d[4] - d[2] * 2.0f, odd_a = d[3] - d[1] * 2.0f;
    const vec even_b = d[4] - d[2] * 0.5f, odd_b = d[3] - d[1] * 0.5f;
    t[0] = (d[0] + d[4]) - d[2] * 2.5f;
    t[1] = even_a + odd_a * (float)TRANSFORM_A;
    t[2] = even_a - odd_a * (float)TRANSFORM_A;
    t[3] = even_b + odd_b * (float)TRANSFORM_B;
    t[4] = even_b - odd_b * (float)TRANSFORM_B;
    t[5] = (d[1] + d[5]) - d[3] * 2.5f;
}

INLINED void transform_to_2(const vec m[4], vec y[2])
{
    y[0] = m[0] + (m[1] + m[2]);
    y[1] = (m[1] - m[2]) - m[3];
}

INLINED void transform_to_4(const vec m[6], vec y[4])
{
    const vec sum_a = m[1] + m[2], odd_a = (m[1] - m[2]) * (float)TRANSFORM_A;
    const vec sum_b = m[3] + m[4], odd_b = (m[3] - m[4]) * (float)TRANSFORM_B;
    y[0] = m[0] + (sum_a + sum_b);
    y[1] = odd_a + odd_b;
    y[2] = sum_a * 0.5f + sum_b * 2.0f;
    y[3] = (odd_a * 0.5f + odd_b * 2.0f) + m[5];
}

/* B^T d B of one block of channels: 4x4 or 6x6 vectors, rows row_step apart, to as many, `step` apart. */
static __attribute__((noinline)) void transform_inputs_2(const float *from, int64_t row_step, float *to, int64_t step)
{
    vec columns[4][4], t[4];
    UNROLL
    for (int c = 0; c < 4; c++) {
        vec d[4];
        UNROLL
        for (int r = 0; r < 4; r++)
            d[r] = load(from + r * row_step + c * WIDTH);
        transform_4_inputs(d, columns[c]);
    }
    UNROLL
    for (int r = 0; r < 4; r++) {
        const vec d[4] = {columns[0][r], columns[1][r], columns[2][r], columns[3][r]};
        transform_4_inputs(d, t);
        UNROLL
        for (int c = 0; c < 4; c++, to += step)
            store(to, t[c]);
    }
}

static __attribute__((noinline)) void transform_inputs_4(const float *from, int64_t row_step, float *to, int64_t step)
{
    vec columns[6][6], t[6];
    UNROLL
    for (int c = 0; c < 6; c++) {
        vec d[6];
        UNROLL
        for (int r = 0; r < 6; r++)
            d[r] = load(from + r * row_step + c * WIDTH);
        transform_6_inputs(d, columns[c]);
    }
    UNROLL
    for (int r = 0; r < 6; r++) {
        const vec d[6] = {columns[0][r], columns[1][r], columns[2][r], columns[3][r], columns[4][r], columns[5][r]};
        transform_6_inputs(d, t);
        UNROLL
        for (int c = 0; c < 6; c++, to += step)
            store(to, t[c]);
    }
}

/* A^T m A: 16 or 36 vectors, `step` apart, to 2x2 or 4x4 outputs. */
INLINED void transform_outputs_2(const float *m, int64_t step, vec *y)
{
    vec columns[4][2];
    UNROLL
    for (int c = 0; c < 4; c++) {
        const vec d[4] = {load(m + c * step), load(m + (4 + c) * step), load(m + (8 + c) * step),
                          load(m + (12 + c) * step)};
        transform_to_2(d, columns[c]);
    }
    UNROLL
    for (int r = 0; r < 2; r++) {
        const vec d[4] = {columns[0][r], columns[1][r], columns[2][r], columns[3][r]};
        transform_to_2(d, y + 2 * r);
    }
}

INLINED void transform_outputs_4(const float *m, int64_t step, vec *y)
{
    vec columns[6][4];
    UNROLL
    for (int c = 0; c < 6; c++) {
        vec d[6];
        UNROLL
        for (int r = 0; r < 6; r++)
            d[r] = load(m + (6 * r + c) * step);
        transform_to_4(d, columns[c]);
    }
    UNROLL
    for (int r = 0; r < 4; r++) {
        const vec d[6] = {columns[0][r], columns[1][r], columns[2][r], columns[3][r], columns[4][r], columns[5][r]};
        transform_to_4(d, y + 4 * r);
    }
}

#endif
