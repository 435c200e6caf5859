/*
 * idle.c - the rule of idle.h.
 */
#include "serve/idle.h"

static void look_at(int64_t at_ns, int64_t *look_ns)
{
    if (at_ns < *look_ns)
        *look_ns = at_ns;
}

/* What was not used for long. */
static struct idle *find_unused(struct idle *first, int64_t max_idle_ns, int64_t now_ns, int64_t *look_ns)
{
    for (struct idle *at = first; at; at = at->next) {
        if (at->state != IDLE_IN || !at->rests || at->stays)
            continue;
        if (now_ns - at->used_ns >= max_idle_ns)
            return at;
        look_at(at->used_ns + max_idle_ns, look_ns);
    }
    return NULL;
}

static struct idle *find_wanted(struct idle *first)
{
    struct idle *best = NULL;
    for (struct idle *at = first; at; at = at->next)
        if (at->state == IDLE_OUT && at->wanted_ns && (!best || at->wanted_ns < best->wanted_ns))
            best = at;
    return best;
}

/* Of those that rest the one that was used longest ago. */
static struct idle *find_resting(struct idle *first)
{
    struct idle *best = NULL;
    for (struct idle *at = first; at; at = at->next)
        if (at->state == IDLE_IN && at->rests && !at->stays && (!best || at->used_ns < best->used_ns))
            best = at;
    return best;
}

/* Of those that work the one that is there longest. */
static struct idle *find_working(struct idle *first, int64_t now_ns, int64_t *look_ns)
{
    struct idle *best = NULL;
    for (struct idle *at = first; at; at = at->next)
        if (at->state == IDLE_IN && !at->rests && !at->stays && (!best || at->since_ns < best->since_ns))
            best = at;
    if (!best)
        return NULL;
    const int64_t stay_ns = best->load_ns > IDLE_STAY_NS ? best->load_ns : IDLE_STAY_NS;
    if (now_ns - best->since_ns >= stay_ns)
        return best;
    look_at(best->since_ns + stay_ns, look_ns);
    return NULL;
}

/* What is held by those that may be asked to go, that are going, and by those that come. */
struct held {
    size_t bytes, going_bytes;
    int n; /* in memory, or about to be */
};

static struct held sum(const struct idle *first)
{
    struct held held = {0};
    for (const struct idle *at = first; at; at = at->next) {
        const size_t bytes = at->state == IDLE_COMING ? at->taken_bytes : at->held_bytes;
        if (at->state == IDLE_OUT)
            continue;
        held.bytes += bytes;
        held.going_bytes += at->state == IDLE_GOING ? bytes : 0;
        held.n++;
    }
    return held;
}

static bool fits(size_t bytes, size_t more_bytes, size_t max_bytes)
{
    return bytes <= max_bytes && more_bytes <= max_bytes - bytes;
}

struct idle *idle_next(struct idle *first, const struct idle_limits *limits, int64_t now_ns, int64_t *look_ns)
{
    struct idle *wanted = find_wanted(first);
    struct idle *unused = limits->max_idle_ns ? find_unused(first, limits->max_idle_ns, now_ns, look_ns) : NULL;
    if (unused)
        return unused;
    if (!limits->max_bytes)
        return wanted;
    const struct held held = sum(first);
    const size_t stay_bytes = held.bytes - held.going_bytes, more_bytes = wanted ? wanted->taken_bytes : 0;
    if (wanted && (!held.n || fits(held.bytes, more_bytes, limits->max_bytes)))
        return wanted;
    if (fits(stay_bytes, more_bytes, limits->max_bytes) || (!wanted && held.n <= 1))
        return NULL; /* there will be room when those that are going have gone */
    struct idle *resting = find_resting(first);
    return resting || !wanted ? resting : find_working(first, now_ns, look_ns);
}
