/*
 * watch.h - is anybody still waiting for this? One deadline and one flag, looked at by every loop that
 * somebody's bytes can make long: decoders, operators, the writing of replies.
 *
 *     for (int y = 0; y < height; y++) {
 *         if (!watch_spend(watch, width))
 *             return watch_refuse(watch, err);
 *         ...
 *     }
 *
 * A loop says what it is about to spend, in units of at most some ten nanoseconds: a byte, a pixel, an
 * element. The clock is read once for so many of them, so that saying it costs a subtraction. What is
 * over stays over.
 *
 * Threads: watch_spend by one thread at a time, the rest by any. NULL watches nothing.
 */
#ifndef BASE_WATCH_H
#define BASE_WATCH_H

#include "percept.h"

#define WATCH_STRIDE ((int64_t)1 << 17) /* units between two looks: some milliseconds at most */

struct watch {
    int64_t deadline_ns;     /* CLOCK_MONOTONIC; 0: none */
    const int *cancel;       /* another thread may set it to 1; NULL: none */
    int64_t (*now_ns)(void); /* NULL: the system's clock */
    int64_t left;            /* units until the next look */
    int over;                /* watch.c's: why it is over, an enum err_code */
};

/* CLOCK_MONOTONIC in ns: the clock of deadlines. */
int64_t watch_now_ns(void);

/* Looks at flag and clock now. False once it is over. */
bool watch_look(struct watch *watch);

/* What watch_look said last; looks at nothing. */
bool watch_over(const struct watch *watch);

/* Sets the sentence of a watch that is over: TIMEOUT or CANCELLED. Returns false. */
bool watch_refuse(const struct watch *watch, struct percept_err *err) __attribute__((cold));

/* True while the work shall go on: `units` of it are next. `left`, the units until the next look, is the
 * caller's own, so that several threads may spend: 0 at the start. */
static inline bool watch_spend_own(struct watch *watch, int64_t *left, int64_t units)
{
    if (!watch)
        return true;
    *left -= units;
    if (*left > 0)
        return true;
    *left = watch_look(watch) ? WATCH_STRIDE : 0;
    return *left > 0;
}

/* The same with a count that the watch keeps: for one thread. */
static inline bool watch_spend(struct watch *watch, int64_t units)
{
    return !watch || watch_spend_own(watch, &watch->left, units);
}

/* memcpy that stops when it is over: false then. */
bool watch_copy(struct watch *watch, void *to, const void *from, size_t n_bytes);

#endif
