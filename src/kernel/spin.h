/*
 * spin.h - multiply-adds that never leave the registers: the most that the processor can do on this level.
 *
 * As many chains as a tile of products has, each a multiply-add that waits for the one before, so that neither latency
 * nor memory counts:
 *
 *     for each round
 *       for each chain                    register
 *         sum = sum * factor + term
 */
#ifndef KERNEL_SPIN_H
#define KERNEL_SPIN_H

#include "kernel/vec.h"

static int64_t spin(int64_t rounds)
{
    enum { CHAINS = GEMM_ROWS * 2 };
    vec sums[CHAINS], factor = splat(0.5f), term = splat(1);
    UNROLL
    for (int i = 0; i < CHAINS; i++)
        sums[i] = splat((float)i);
    for (int64_t round = 0; round < rounds; round++) {
        __asm__("" : "+r"(round)); /* for all a compiler knows something else: no round can be foreseen */
        UNROLL
        for (int i = 0; i < CHAINS; i++)
            sums[i] = sums[i] * factor + term;
    }
    vec all = splat(0);
    UNROLL
    for (int i = 0; i < CHAINS; i++)
        all += sums[i];
    return all[0] > 0 ? 2 * WIDTH * CHAINS * rounds : 0; /* the sums are positive: they converge to 2 */
}

#endif
