/*
 * square.h - WIDTH vectors turned on their side: what packs weights and lays out pictures shares.
 *
 * By interleaving: one round puts vector i beside vector i + WIDTH / 2, element by element. An element's place is then
 * its old one with the bits rotated by one, and after log2(WIDTH) rounds row and column have changed places. Each
 * vector of a round is one shuffle of two of the last.
 */
#ifndef KERNEL_SQUARE_H
#define KERNEL_SQUARE_H

#include "kernel/vec.h"

/* Elements from, from + 1, ... of both, one of each in turn. */
#if defined(__clang__)
INLINED vec interleaved(vec a, vec b, int from)
{
    vec both = a;
    UNROLL
    for (int i = 0; i < WIDTH; i++)
        both[i] = i % 2 ? b[from + i / 2] : a[from + i / 2];
    return both;
}
#else
INLINED vec interleaved(vec a, vec b, int from)
{
    ivec places = {0};
    UNROLL
    for (int i = 0; i < WIDTH; i++)
        places[i] = from + i / 2 + i % 2 * WIDTH;
    return __builtin_shuffle(a, b, places);
}
#endif

/* rows[j][i] = rows[i][j] */
INLINED void turn(vec rows[WIDTH])
{
    UNROLL
    for (int round = 1; round < WIDTH; round *= 2) {
        vec next[WIDTH];
        UNROLL
        for (int i = 0; i < WIDTH / 2; i++) {
            next[2 * i] = interleaved(rows[i], rows[i + WIDTH / 2], 0);
            next[2 * i + 1] = interleaved(rows[i], rows[i + WIDTH / 2], WIDTH / 2);
        }
        UNROLL
        for (int i = 0; i < WIDTH; i++)
            rows[i] = next[i];
    }
}

/* The same of n rows that begin `step` floats apart, at any address; of each so many columns are there, and what is not
 * there is 0. scale: one number a row, or NULL. */
INLINED void turn_rows(vec rows[WIDTH], const char *from, int64_t step, int64_t n, int64_t columns, const float *scale)
{
    const size_t n_bytes = columns < WIDTH ? (size_t)columns * sizeof(float) : sizeof *rows;
    if (n >= WIDTH && columns >= WIDTH) {
        UNROLL
        for (int i = 0; i < WIDTH; i++)
            memcpy(&rows[i], from + i * step * (int64_t)sizeof(float), sizeof rows[i]);
    } else {
        for (int i = 0; i < WIDTH; i++) {
            rows[i] = splat(0);
            if (i < n)
                memcpy(&rows[i], from + i * step * (int64_t)sizeof(float), n_bytes);
        }
    }
    for (int i = 0; scale && i < WIDTH && i < n; i++)
        rows[i] *= splat(scale[i]);
    turn(rows);
}

#endif
