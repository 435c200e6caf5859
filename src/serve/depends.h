/*
 * depends.h - the served models that another served model runs: the steps of a chain, the decoder of an encoder.
 *
 *     on a loader, while what says it is read, where served->depends is made:
 *         int part = depends_add(parts, name, version, arena, err)
 *         served->depends = parts; parts->fit = ...
 *     the catalog, on the loop: waits until all are READY, then depends_bind, which calls fit once; again when one of
 *         them has changed (needs.h has who waits for whom)
 *     a request that begins: held = depends_hold(served, arena, err); held[part] is the instance to run until
 *         depends_let_go(held, n), whatever is reloaded meanwhile
 *
 * A served model with parts is READY exactly while all of them are. What it was fitted to is remembered: an instance
 * that takes or gives something else does not take a part's place.
 *
 * Threads: depends_add a loader's, the rest the loop's.
 */
#ifndef SERVE_DEPENDS_H
#define SERVE_DEPENDS_H

#include "serve/served.h"

struct depend {
    const char *name;
    int64_t version;       /* 0: any, the highest that is READY */
    struct served *served; /* that is run for requests which begin now; NULL: not all are READY */
    /* what it took and gave when it was fitted; NULL: it was not yet */
    const struct percept_io *inputs, *outputs;
    int n_inputs, n_outputs;
};

#define DEPENDS_MAX 64

struct depends {
    int n;
    struct depend at[DEPENDS_MAX];
    /* Do they fit whoever runs them? Called on the loop when all are READY for the first time: parts->at[i].served. */
    bool (*fit)(struct served *served, struct percept_err *err);
};

/* Which part that is: one that is there already where name and version are the same. The name is copied. -1: there are
 * more than DEPENDS_MAX, or memory is short. */
int depends_add(struct depends *parts, const char *name, int64_t version, struct arena *arena, struct percept_err *err);

/* All are READY: finds them among what is listed. False when one is missing (UNAVAILABLE), has changed (CONFIG), or
 * does not fit; then none is bound. */
bool depends_bind(struct served *served, const struct served *listed, struct percept_err *err);

/* Not all are READY any more. */
void depends_loosen(struct served *served);

/* The instances that a request runs, by part; they stay until let go. NULL: one is not READY (UNAVAILABLE). */
struct served **depends_hold(const struct served *served, struct arena *arena, struct percept_err *err);
void depends_let_go(struct served **held, int n);

#endif
