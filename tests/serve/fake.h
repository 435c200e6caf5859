/*
 * fake.h - cores, a clock and an engine for tests of the serve layer: nothing happens until the
 * test says so.
 *
 * A submitted task waits until fake_step runs it. Time stands still until the test moves
 * fake.now_ns (or a run takes fake.run_ns). The model doubles its input: y = 2 * x, one row per
 * item; a row with a NaN in it makes the run fail with DATA. Jobs have one input of rows of `width`
 * floats.
 */
#ifndef TESTS_SERVE_FAKE_H
#define TESTS_SERVE_FAKE_H

#include "serve/codec.h"
#include "serve/dispatch.h"
#include "serve/encoder.h"

#define FAKE_MAX 64   /* tasks, runs, jobs */
#define FAKE_WIDTH 16 /* floats in a job's input */

struct fake {
    int64_t now_ns;
    int64_t alarm_ns; /* LANE_NEVER: none */
    int workers;
    struct task *tasks[FAKE_MAX]; /* submitted, not yet run; the oldest first */
    int n_tasks;
    bool woken;

    /* the engine's behaviour */
    int64_t run_ns, gather_ns; /* time that a run takes, and each gathering before it */
    int64_t item_ns;           /* and each of its items */
    void (*meanwhile)(void);   /* what happens on the loop while the next run is under way */
    void (*gathering)(void);   /* and while rows are gathered for it */
    int fail_joint;            /* code that a run of several items fails with; 0: none */
    bool whole_output;         /* the output's first dimension is not the batch */
    bool no_session;           /* sessions cannot be made */
    bool no_single;            /* one item alone does not fit the network */
    bool long_replies;         /* are written by a trip of their own */
    int64_t encode_ns;         /* time that writing one takes */
    bool coupled;              /* there is no proof that items are apart */
    struct percept_io io;      /* of the input and the output */
    double item_flops;
    size_t item_bytes; /* that a run needs for each item */

    /* what it saw */
    int n_runs;
    int64_t runs[FAKE_MAX]; /* items of each */
    int64_t deadline_ns;    /* of the last run */
    bool cancel_seen;       /* during the last run the flag was up */
    int n_sessions, n_teams, n_helped, n_closed;
    int n_trims, n_trims_all;
    int n_ended;

    struct settings settings;
    struct manifest manifest;
    struct served served[2];
    struct dispatch *dispatch;
};

struct fake_job {
    struct job job;
    struct arena arena; /* until done */
    struct percept_tensor input;
    float x[FAKE_WIDTH];
    float y[FAKE_WIDTH];
    int n_y;
    bool encoded;
    bool decode_fails;
    int n_done;
    int order; /* of its end, from 1 */
    int64_t timeout_us;
};

extern const struct codec fake_codec;        /* decoded on the loop */
extern const struct codec fake_worker_codec; /* decoded on a worker */

extern int fake_members; /* most that may work on one batch; set before fake_new */

/* The one fake of the running test; two served models, "a" and "b". */
struct fake *fake_new(int workers);
void fake_free(struct fake *fake);

/* A job of n rows of `width` floats that count up from `first`. */
void fake_job_fill(struct fake *fake, struct fake_job *job, int64_t n, int64_t width, float first);
void fake_start(struct fake *fake, struct fake_job *job);

/* From here on items lie along this axis of inputs and outputs, 0 or 1, also in jobs that are filled. */
void fake_lie_along(struct fake *fake, int axis);

void fake_turn(struct fake *fake); /* turns until nobody wakes us */
bool fake_step(struct fake *fake); /* runs the oldest task and then turns */
bool fake_step_at(struct fake *fake, int i);
void fake_settle(struct fake *fake);           /* steps until nothing is left */
void fake_pass(struct fake *fake, int64_t ns); /* time passes; the alarm rings if it is due */

/* Keeps every core busy with a job of its own; fake_settle ends them. */
void fake_occupy(struct fake *fake, struct fake_job *jobs);

#endif
