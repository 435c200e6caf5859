/*
 * loop.h - the door to libuv for the serve layer: the loop's clock, timers, work for the pool and
 * back.
 *
 * The loop is the arbiter of cores: there are as many pool threads as workers, of which as many work
 * as cores are ours (loop_allow), and loop_submit may be called only while loop_idle() > 0, so that
 * nothing ever waits in libuv's queue where nobody could reorder it. Loading has threads of its own,
 * which let requests pass once there may be some (loop_load_gently). Done-callbacks run on the
 * loop's thread. Threads: everything here belongs to the loop's thread, except that `work` runs on
 * a pool thread.
 */
#ifndef SERVE_LOOP_H
#define SERVE_LOOP_H

#include "percept.h"
#include "serve/pace.h"

struct loop;

/* A piece of work, owned by the caller; it belongs to the pool between submit and done. */
struct task {
    void (*work)(struct task *task); /* on a pool thread */
    void (*done)(struct task *task); /* back on the loop */
    void *slot;                      /* loop.c's own */
};

struct loop *loop_new(int workers, struct percept_err *err);
void loop_free(struct loop *loop); /* nothing may be in flight */
void *loop_uv(struct loop *loop);  /* its uv_loop_t, for http/server.c */
void loop_run(struct loop *loop);  /* until loop_stop, or nothing is left to wait for */
void loop_stop(struct loop *loop);

int loop_cores(void); /* that this process may use, whatever the number of workers */
int loop_workers(const struct loop *loop);
int loop_idle(const struct loop *loop); /* cores with nothing to do; 0 or less: none */

/* So many cores are ours from now on: all of the workers at first, never more. What works on others ends its work. */
void loop_allow(struct loop *loop, int cores);

/* How many cores are ours, how many work, and how many of the others are left to loads. */
struct loop_use {
    int allowed, busy, loading;
};
struct loop_use loop_used(const struct loop *loop);
void loop_submit(struct loop *loop, struct task *task);

/* Queues for the loading threads, which take the oldest first; any number may wait there. */
void loop_load(struct loop *loop, struct task *task);

/* As many loading threads as that, at most LOOP_LOADERS_MAX; there is one from the start. */
#define LOOP_LOADERS_MAX 16
bool loop_loaders(struct loop *loop, int n, struct percept_err *err);

/* From the next load on, loads leave the cores to others: low priority, as soon as there are
 * requests to answer. Once said it holds. */
void loop_load_gently(struct loop *loop);

/* CLOCK_MONOTONIC in ns. */
int64_t loop_now_ns(void);

/* A piece of the loop's work begins, and the one before it ends: for callbacks that libuv makes elsewhere, and where
 * one goes through what many want. What the loop itself calls (tasks' done, turns, timers, ears) is told apart as it
 * is. */
void loop_piece(struct loop *loop);
const struct pace *loop_pace(const struct loop *loop);

struct loop_timer;
struct loop_timer *loop_timer_new(struct loop *loop, void (*fire)(void *user), void *user);
void loop_timer_start(struct loop_timer *timer, int64_t after_ns); /* once; restarts if running */
void loop_timer_let_end(struct loop_timer *timer);                 /* from now on it does not keep the loop running */
void loop_timer_free(struct loop_timer *timer);

/* `heard` is called while the descriptor, which is the caller's, can be read. NULL when memory or descriptors are
 * short. Does not keep the loop running. */
struct loop_ear;
struct loop_ear *loop_ear_new(struct loop *loop, int fd, void (*heard)(void *user), void *user);
void loop_ear_free(struct loop_ear *ear); /* before the descriptor is closed */

/* Called once at the end of a turn in which loop_wake was called: where queues are looked at. A
 * wake from within a turn brings another turn before the loop sleeps. Up to eight may be set;
 * loop_off_turn removes those with this user. */
void loop_on_turn(struct loop *loop, void (*turn)(void *user), void *user);
void loop_off_turn(struct loop *loop, const void *user);
void loop_wake(struct loop *loop);

/* A flag that one thread raises and another looks at: cancellation. Plain ints elsewhere. */
void loop_flag_raise(int *flag);
bool loop_flag_raised(const int *flag);

#endif
