/*
 * mode.h - how this thread computes with numbers of floating point: rounding, and what becomes of denormal ones.
 *
 * The processor keeps that in a register of each thread, and whoever calls the library may have set it to anything.
 * Bits of results must not depend on that, so whoever computes enters one of two modes and leaves it again:
 *
 *     MODE_EXACT    rounding to nearest, half to even; denormal numbers are numbers
 *     MODE_FLUSHED  the same, but denormal numbers are read as zero and written as zero: some processors take a hundred
 *                   times as long for each of them
 *
 * Exceptions are masked in both. Leaving gives back all that was there before, flags that were raised included. On
 * processors of which we know nothing both modes are the caller's.
 */
#ifndef BASE_MODE_H
#define BASE_MODE_H

#include <stdint.h>

#if defined(__x86_64__)
/* MXCSR: exceptions masked; denormals-are-zero and flush-to-zero. */
enum { MODE_EXACT = 0x1f80, MODE_FLUSHED = 0x1f80 | 0x0040 | 0x8000 };

static inline uint64_t mode_get(void)
{
    return __builtin_ia32_stmxcsr();
}

static inline void mode_set(uint64_t mode)
{
    __builtin_ia32_ldmxcsr((uint32_t)mode);
}
#elif defined(__aarch64__)
/* FPCR: FZ flushes what is read and what is written. */
enum { MODE_EXACT = 0, MODE_FLUSHED = 1 << 24 };

static inline uint64_t mode_get(void)
{
#if defined(__clang__)
    return __builtin_arm_rsr64("fpcr");
#else
    return __builtin_aarch64_get_fpcr64();
#endif
}

static inline void mode_set(uint64_t mode)
{
#if defined(__clang__)
    __builtin_arm_wsr64("fpcr", mode);
#else
    __builtin_aarch64_set_fpcr64(mode);
#endif
}
#else
enum { MODE_EXACT = 0, MODE_FLUSHED = 0 };

static inline uint64_t mode_get(void)
{
    return 0;
}

static inline void mode_set(uint64_t mode)
{
    (void)mode;
}
#endif

/* Returns what mode_set takes to leave it. */
static inline uint64_t mode_enter(uint64_t mode)
{
    const uint64_t before = mode_get();
    mode_set(mode);
    return before;
}

#endif
