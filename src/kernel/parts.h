/*
 * parts.h - sums of products in parts, for tiles whose accumulators live in registers.
 *
 * One chain over all products would carry each rounding of a large sum on: n equal products may be off by n / 4
 * roundings. So PART products are added up from nothing in the registers, then go to totals in memory, and after
 * PART of these the totals go on in double. A sum of any length is off by no more than some PART roundings (2^-24)
 * of the sum of its absolute terms, and usually by some eight. What has one part only never touches the totals.
 *
 * Where parts begin depends on the number of products alone, so every element of every tile has the same order.
 */
#ifndef KERNEL_PARTS_H
#define KERNEL_PARTS_H

#include "kernel/vec.h"

enum {
    PART = 64, /* products of a part, and parts of a total in floats */
    PARTS_VECTORS = 2 * (GEMM_ROWS > CONV_PIXELS ? GEMM_ROWS : CONV_PIXELS)
};

struct parts {
    vec sums[PARTS_VECTORS];         /* of n complete parts; nothing yet where n is 0 */
    struct wide wide[PARTS_VECTORS]; /* of what was before them, where there was anything */
    int n;
    bool any_wide;
};

/* The arrays are not worth zeroing; no code, but a compiler takes them for written. */
INLINED void parts_begin(struct parts *parts)
{
    __asm__("" : "=m"(*parts));
    parts->n = 0;
    parts->any_wide = false;
}

/* Rolled up and in place: a call, however rare, would cost the loops around it the registers that it clobbers. */
INLINED void parts_widen(struct parts *parts, int n)
{
    ROLLED
    for (int i = 0; i < n; i++) {
        const struct wide sum = wide_of(parts->sums[i]);
        parts->wide[i] = parts->any_wide ? wide_sum(parts->wide[i], sum) : sum;
    }
    parts->any_wide = true;
    parts->n = 0;
}

INLINED void parts_narrow(struct parts *parts, int n)
{
    ROLLED
    for (int i = 0; i < n; i++) {
        if (parts->n)
            wide_add(&parts->wide[i], parts->sums[i]);
        parts->sums[i] = narrowed(parts->wide[i]);
    }
}

/* A part is complete: its n sums go to the totals, and the next one begins with nothing. */
INLINED void parts_add(struct parts *parts, int n, vec *sums)
{
    if (parts->n) {
        UNROLL
        for (int i = 0; i < n; i++)
            parts->sums[i] += sums[i];
    } else {
        UNROLL
        for (int i = 0; i < n; i++)
            parts->sums[i] = sums[i];
    }
    if (++parts->n == PART)
        parts_widen(parts, n);
    UNROLL
    for (int i = 0; i < n; i++)
        sums[i] = splat(0);
}

/* The last part and all before it. */
INLINED void parts_end(struct parts *parts, int n, vec *sums)
{
    if (parts->any_wide)
        parts_narrow(parts, n);
    else if (!parts->n)
        return;
    UNROLL
    for (int i = 0; i < n; i++)
        sums[i] += parts->sums[i];
}

#endif
