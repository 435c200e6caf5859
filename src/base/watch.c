/*
 * watch.c - looking at a deadline and a flag.
 *
 * `over` is written by whoever sees first that it is over and read by everybody who works for the same
 * run, hence atomic; nothing else hangs on the order of these writes.
 */
#include "base/watch.h"

#include <string.h>
#include <time.h>

#include "base/err.h"

#define PIECE_BYTES ((size_t)1 << 20)

int64_t watch_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t now_ns(const struct watch *watch)
{
    return watch->now_ns ? watch->now_ns() : watch_now_ns();
}

bool watch_look(struct watch *watch)
{
    if (!watch)
        return true;
    if (watch_over(watch))
        return false;
    int over = ERR_NONE;
    if (watch->cancel && __atomic_load_n(watch->cancel, __ATOMIC_RELAXED))
        over = ERR_CANCELLED;
    else if (watch->deadline_ns && now_ns(watch) > watch->deadline_ns)
        over = ERR_TIMEOUT;
    if (over == ERR_NONE)
        return true;
    __atomic_store_n(&watch->over, over, __ATOMIC_RELAXED);
    return false;
}

bool watch_over(const struct watch *watch)
{
    return watch && __atomic_load_n(&watch->over, __ATOMIC_RELAXED) != ERR_NONE;
}

bool watch_refuse(const struct watch *watch, struct percept_err *err)
{
    if (__atomic_load_n(&watch->over, __ATOMIC_RELAXED) == ERR_TIMEOUT)
        return err_set(err, ERR_TIMEOUT, "Request timeout expired");
    return err_set(err, ERR_CANCELLED, "the request was cancelled");
}

bool watch_copy(struct watch *watch, void *to, const void *from, size_t n_bytes)
{
    for (size_t at = 0; at < n_bytes; at += PIECE_BYTES) {
        size_t n = n_bytes - at < PIECE_BYTES ? n_bytes - at : PIECE_BYTES;
        /* a page that is new costs more than its bytes; eight bytes are a unit */
        if (!watch_spend(watch, (int64_t)(n / 8)))
            return false;
        memcpy((char *)to + at, (const char *)from + at, n);
    }
    return true;
}
