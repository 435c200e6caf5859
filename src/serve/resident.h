/*
 * resident.h - models that are READY without being in memory: --max-idle, --max-resident.
 *
 *     resident_add(&residents, entry)                  it is READY
 *     resident_turn(&residents, first)                 in each turn of the loop: some go, some come
 *     resident_remove(&residents, entry)               it is about to be freed
 *
 * Who is away has given back its network, weights and sessions. Name, manifest, inputs and outputs, counts and queue
 * stay: requests of it are accepted, bounded and timed as those of any other, read, and wait in its lane until it is
 * loaded again, which the first of them brings about. When that fails they fail with the reason, and the model is
 * FAILED, unless memory was short: then the next request tries again. It comes back from its file as its configuration
 * was read; a file that meanwhile takes or gives something else is refused, and one with other weights is served.
 *
 * The catalog alone uses it. Which ones go and come is idle.h's. Threads: the loop's; a loader closes and opens.
 */
#ifndef SERVE_RESIDENT_H
#define SERVE_RESIDENT_H

#include "serve/entry.h"
#include "serve/loop.h"

struct residents {
    struct loop *loop;
    struct idle_limits limits;
    int64_t (*now_ns)(void);
    struct loop_timer *timer;
    struct idle *first;
    int n_moving;                                      /* a loader has something of them */
    void (*failed)(void *user, struct served *served); /* could not be loaded again, and is FAILED */
    void *user;
};

bool resident_begin(struct residents *residents, struct loop *loop, const struct settings *settings,
                    struct percept_err *err);
void resident_end(struct residents *residents); /* nothing may be moving */

void resident_add(struct residents *residents, struct entry *entry);
void resident_remove(struct residents *residents, struct entry *entry);
void resident_turn(struct residents *residents);

/* What the models that are in memory hold: packed weights that several share once, and what sessions have. */
size_t resident_bytes(const struct residents *residents);

#endif
