/*
 * batch.h - one session and the jobs it runs together: gather their rows, run, give each its own.
 *
 * A batch is also the session's home: it lives as long as the session and is used again and again.
 * On the loop it is filled (batch_fill); a worker has it for the time of batch_work; then it is the
 * loop's again. What it asks of the engine goes through a struct of functions, so that tests can be
 * the engine.
 */
#ifndef SERVE_BATCH_H
#define SERVE_BATCH_H

#include "serve/lane.h"

/* percept.h's functions of these names; or a test's. */
struct batch_engine {
    struct percept_session *(*session_new)(const struct percept_model *model, struct percept_err *err);
    void (*session_free)(struct percept_session *session);
    bool (*resize)(struct percept_session *session, int input, int rank, const int64_t *dims, struct percept_err *err);
    bool (*prepare)(struct percept_session *session, struct percept_err *err);
    bool (*items_independent)(struct percept_session *session);
    void *(*input)(struct percept_session *session, int input);
    bool (*run)(struct percept_session *session, const struct percept_run_context *context, struct percept_err *err);
    struct percept_tensor (*output)(const struct percept_session *session, int output);
    double (*flops)(const struct percept_session *session);
    size_t (*session_needs)(const struct percept_session *session);
    size_t (*session_bytes)(const struct percept_session *session);
    void (*session_trim)(struct percept_session *session, bool all);
    struct percept_team *(*team_new)(struct percept_err *err);
    void (*team_free)(struct percept_team *team);
    void (*team_help)(struct percept_team *team);
    void (*team_close)(struct percept_team *team);
    int64_t (*now_ns)(void);
};

extern const struct batch_engine batch_percept;

struct batch {
    struct task task;
    struct batch *next; /* in its lane's list of idle ones, or the dispatcher's of running ones */
    struct lane *lane;
    const struct batch_engine *engine;
    struct percept_session *session; /* made by the first worker that gets the batch */
    struct percept_team *team;       /* of this run, or NULL */
    bool leader_home, team_closed;
    bool helped;                    /* its team had more than the leader */
    int64_t submitted_ns;           /* when a worker was asked for */
    int n_helpers;                  /* out */
    struct percept_tensor *outputs; /* [model's outputs] of the last run */
    struct percept_tensor *views;   /* [model's outputs] one job's rows of them */

    struct job_list jobs;
    int n_jobs;
    int64_t n_items;
    int n_wanted;     /* of the jobs, when the worker began: the others are over, and lie at the end */
    struct job *over; /* the first of these, or NULL */
    int n_cancelled;
    int cancel; /* a flag: every one of its jobs was cancelled */

    /* what the worker found out */
    bool first_run;     /* its session was made for it */
    size_t short_bytes; /* that the budget refused its last run; 0: it did not */
    bool one_by_one;    /* the jobs were run one by one */
    bool inseparable;   /* because results, or the model itself, cannot be joined along the batch axis
                       */
    int n_begun_over;   /* jobs that were over when their run began, which went to its end */
    int n_runs;         /* that succeeded */
    double flops;       /* of the last run */
    int64_t started_ns, gathered_ns, finished_ns, ended_ns;

    /* memory of the session: dispatch.c's rule for giving it back */
    size_t held_bytes;
    size_t needed_bytes;  /* the most that a run needed since window_ns */
    size_t needed_before; /* and in the time before that */
    int64_t window_ns;    /* 0: not begun */
    size_t counted_bytes; /* of held_bytes, in the lane's sum */
    bool trim_all;        /* what the worker shall do */
};

struct batch *batch_new(struct lane *lane, const struct batch_engine *engine);
void batch_free(struct batch *batch);

/* Takes over the jobs; on the loop. */
void batch_fill(struct batch *batch, const struct job_list *jobs, int64_t n_items);

/* One of its jobs was cancelled: when all were, its run stops; on the loop. */
void batch_cancel(struct batch *batch, struct job *job);

/* Runs and encodes; on a worker. Each job then has a reply or an error. Closes the team. */
void batch_work(struct batch *batch);

/* Gives back what the session holds and does not need, or all (trim_all); on a worker: large memory takes its time. */
void batch_trim(struct batch *batch);

/* Makes a session ready for `n_items` (along the batch axes, where the model batches) if the other
 * dimensions are known. Any thread. For warming at load. */
bool batch_warm(const struct batch_engine *engine, struct percept_session *session, const struct percept_io *inputs,
                int n_inputs, int64_t n_items, struct percept_err *err);

#endif
