/*
 * dispatch.h - who gets the next free core. There is one dispatcher; every task of the pool goes
 * through it: decoding, batches, helpers, writing. See dispatch.c for the rules. Threads: the loop's.
 */
#ifndef SERVE_DISPATCH_H
#define SERVE_DISPATCH_H

#include "serve/batch.h"
#include "serve/lifecycle.h"

/* The cores and the clock: loop.h's functions, or a test's. */
struct dispatch_cores {
    void *user;
    int workers;
    int members; /* most that may work on one batch: the engine counts on no more than there are
                    cores */
    int64_t (*now_ns)(void *user);
    int (*idle)(void *user);
    void (*submit)(void *user, struct task *task);
    void (*wake)(void *user);                   /* dispatch_turn is wanted soon */
    void (*look)(void *user, int64_t after_ns); /* and once more after that time */
};

struct dispatch;

struct dispatch *dispatch_new(const struct dispatch_cores *cores, const struct batch_engine *engine,
                              struct percept_err *err);

/* The same on a loop, whose turns it then sees to. */
struct dispatch *dispatch_new_on(struct loop *loop, const struct batch_engine *engine, struct percept_err *err);

/* Before its first lane: what jobs and sessions take is of this budget. What would pass it waits as long as others may
 * give some back; sessions at home then give back all. */
void dispatch_set_budget(struct dispatch *dispatch, struct percept_budget *budget);

/* Nothing may be in flight. Its lanes must have been removed. */
void dispatch_free(struct dispatch *dispatch);

/* Opens the queue of a served model whose fields are set; `session` (warm, or NULL) becomes its
 * first. */
struct lane *dispatch_lane_new(struct dispatch *dispatch, struct served *served, const struct lane_ios *ios,
                               const struct settings *settings, struct percept_session *session,
                               struct percept_err *err);

/* It must rest. From then on it is nobody's but the caller's, who may free it on any thread. */
void dispatch_lane_part(struct lane *lane);
/* Its model is not served any more: sequences are dropped as soon as they rest. */
void dispatch_lane_forget(struct lane *lane);

void dispatch_lane_free(struct lane *lane); /* parts first, on the loop, where that was not done */

/* No job of its is left that is not over, and all its sessions are at home. */
bool dispatch_lane_rests(const struct lane *lane);

/* From now on no batch begins; jobs are read and wait. */
void dispatch_lane_hold(struct lane *lane);

/* No run of its is under way, so that its sessions may be taken; they are the caller's, to be freed on any thread. */
bool dispatch_lane_is_home(const struct lane *lane);
struct batch *dispatch_lane_take_sessions(struct lane *lane);
void dispatch_free_sessions(struct batch *first);

/* The opposite of hold. A session (warm, or NULL) becomes its first; the caller's still when memory is short. */
bool dispatch_lane_go_on(struct lane *lane, struct percept_session *session, struct percept_err *err);

/* All that wait in it end with this. */
void dispatch_lane_fail(struct lane *lane, const struct percept_err *why);

/* Looks at everything once: ends what is over, gives cores to what waits. */
void dispatch_turn(struct dispatch *dispatch);

/* From now on no job waits for others to share its batch: hardly any will come. */
void dispatch_end_queue_delay(struct dispatch *dispatch);

/* From now on jobs are refused ("Server exiting"); `drained` comes, from a turn, when the last
 * has ended. */
void dispatch_drain(struct dispatch *dispatch, void (*drained)(void *user), void *user);
bool dispatch_draining(const struct dispatch *dispatch);
int dispatch_in_flight(const struct dispatch *dispatch);

#endif
