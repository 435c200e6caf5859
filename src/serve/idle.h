/*
 * idle.h - which models are in memory, when there may be fewer than are served.
 *
 * A model that nobody has asked for max_idle_ns goes. Where what all hold is more than max_bytes, the one goes that was
 * used longest ago; what somebody asks for comes when there is room, in the order of asking. If all that are in memory
 * have work, the one that is longest there makes way for who waits, but not before it was there as long as its load
 * took: at least half of the time is work, however many take turns. One that needs more than all room is loaded when no
 * other is there.
 *
 * It decides; resident.c acts. Threads: the loop's.
 */
#ifndef SERVE_IDLE_H
#define SERVE_IDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IDLE_NEVER INT64_MAX
#define IDLE_STAY_NS INT64_C(10000000) /* at least, for who makes way for others */

enum idle_state {
    IDLE_IN,    /* in memory */
    IDLE_GOING, /* its runs end; then its memory is given back */
    IDLE_OUT,
    IDLE_COMING, /* a loader has it */
};

/* One model's. */
struct idle {
    struct idle *next; /* in the order of coming */
    enum idle_state state;
    bool stays;         /* it cannot be loaded again, has nothing to give back, or a companion */
    bool rests;         /* nobody waits for it, and nothing of it runs */
    int64_t used_ns;    /* when it did not rest, last */
    int64_t wanted_ns;  /* OUT: asked for since then; 0: it is not */
    int64_t since_ns;   /* IN since then */
    int64_t load_ns;    /* what its load took */
    size_t held_bytes;  /* IN or GOING: what it has, but for weights that another one has as well */
    size_t taken_bytes; /* OUT or COMING: what it will have, as it was last */
};

struct idle_limits {
    int64_t max_idle_ns; /* 0: none */
    size_t max_bytes;    /* 0: none */
};

/* One that shall go (it is IN) or come (OUT); NULL: none. To be asked again until then. *look_ns becomes earlier if
 * there is something to be decided then. */
struct idle *idle_next(struct idle *first, const struct idle_limits *limits, int64_t now_ns, int64_t *look_ns);

#endif
