/*
 * lane.h - the queue of one served model, and when a batch leaves it.
 *
 * A lane decides; it never acts. Time is a parameter, so its tests use a clock of their own. Jobs
 * arrive (lane_push), are looked over (lane_expire, lane_next) and leave together (lane_form).
 * Threads: the loop's.
 */
#ifndef SERVE_LANE_H
#define SERVE_LANE_H

#include "serve/job.h"
#include "serve/learn.h"
#include "serve/settings.h"

struct dispatch;
struct lifecycle;
struct sequence;
struct sequences;

#define LANE_NEVER INT64_MAX

enum lane_action { LANE_NOTHING, LANE_DECODE, LANE_BATCH, LANE_WRITE };

/* What the model takes and gives; its own, as long as it is open. */
struct lane_ios {
    const struct percept_io *inputs, *outputs;
    int n_inputs, n_outputs;
};

/* Sequences that rest, in the order of their last steps. */
struct sequence_list {
    struct sequence *first, *last;
};

struct lane {
    struct lane *next; /* in the dispatcher */
    struct dispatch *dispatch;
    bool parted; /* from the dispatcher: it is about to be freed */
    bool held;   /* no batch begins: its model is away, or about to go */
    struct lifecycle *lifecycle;
    struct served *served;
    bool batching; /* jobs may be joined along the batch axis of each input and output */
    struct lane_ios ios;
    int max_batch_size;     /* items */
    int max_queue_size;     /* jobs */
    size_t max_queue_bytes; /* of bodies as they came; one that is alone may have more */
    int64_t max_queue_delay_ns;
    bool learns; /* batches are as large as it pays: where no delay says that they shall be large */
    struct learn learn;
    int64_t default_timeout_ns; /* 0: none */

    struct job_list undecoded, waiting, unwritten; /* oldest first */
    struct job_list following;                     /* waiting for the steps before them */
    struct job_list parents;                       /* whose children are elsewhere */
    int n_pending;                                 /* accepted, not yet in a batch; one may be DECODING */
    bool starved;                                  /* its last run was refused memory of the budget: none begins */
    int n_children;                                /* of these: not counted again against max_queue_size */
    unsigned n_entered;                            /* so far */
    size_t pending_bytes;                          /* of the bodies of those that are pending */
    int64_t expiry_ns;                             /* no deadline of its jobs is earlier */

    struct sequences *sequences;  /* the server's */
    struct sequence_list resting; /* of its model */
    bool forgetful;               /* its model is not served any more: what ends to rest is dropped */

    struct batch *idle; /* sessions at home, the one used last first */
    int n_batches;      /* at home or away */
    double item_flops;  /* of the last run; 0: not known */
    int n_out;          /* tasks that workers have */
    int64_t used_ns;    /* core time, for fairness between lanes */
    int64_t job_ns;     /* core time that a job takes of a batch, and a batch: means of the last ones; 0: not known */
    int64_t batch_ns;
    unsigned n_hopeless; /* whose deadlines leave too little */
    int64_t task_ns;     /* of the last task: what one that is out is taken to cost */
};

/* Limits come from the manifest where it says something, else from the settings. */
void lane_limits(struct lane *lane, const struct served *served, const struct settings *settings);

/* It counts as pending from now on; and no more, if it did. */
void lane_enter(struct lane *lane, struct job *job);
void lane_leave(struct lane *lane, struct job *job);

/* A batch of so many jobs took that long. */
void lane_measure(struct lane *lane, int n_jobs, int64_t ns);

/* The one that waits and is least urgent, if the job is more urgent by its level; or NULL. */
struct job *lane_less_urgent(const struct lane *lane, const struct job *job);

/* Is there no room for one more of a client's? And none for so large a body? */
bool lane_is_full(const struct lane *lane);
bool lane_is_stuffed(const struct lane *lane, size_t n_bytes);

/* When the job that waits longest for a core arrived; LANE_NEVER: none waits. */
int64_t lane_oldest_ns(const struct lane *lane);

/* A job joins: decoded, in front of those that are less urgent; or still to be, or with results to be written; or to
 * wait for its children, or for the step before it. */
void lane_push(struct lane *lane, struct job *job);
void lane_push_undecoded(struct lane *lane, struct job *job);
void lane_push_unwritten(struct lane *lane, struct job *job);
void lane_push_parent(struct lane *lane, struct job *job);
void lane_push_following(struct lane *lane, struct job *job);

/* Takes out the next step of a sequence; NULL: none waits. */
struct job *lane_pop_following(struct lane *lane, const struct sequence *sequence);

/* Looks at the deadline of a parent again: its last child has ended. */
void lane_note(struct lane *lane, const struct job *job);

/* Moves the jobs whose deadline has passed into `expired`; returns when to look again. A parent is not moved before
 * its children have ended: they have the same deadline. */
int64_t lane_expire(struct lane *lane, int64_t now_ns, struct job_list *expired);

/* What this lane would do with a core now; *look_ns becomes earlier if there is something to do
 * then. A lane whose every session is away (`may_run` false) can only decode and write. */
enum lane_action lane_next(const struct lane *lane, int64_t now_ns, bool may_run, int64_t *look_ns);

/* Takes out the jobs of the next batch: the oldest, and those behind it that fit in shape and
 * number, as far as it pays. Returns its items. */
int64_t lane_form(struct lane *lane, struct job_list *jobs);

/* The items of a batch from which on more would bring nothing; max_batch_size where that is not known. */
int64_t lane_best_size(const struct lane *lane);

/* May these two run in one batch: same types and same dimensions but for the batch axis? */
bool lane_fit_together(const struct lane *lane, const struct job *a, const struct job *b);

/* Takes a job out, wherever in the lane it is. */
bool lane_remove(struct lane *lane, struct job *job);

#endif
