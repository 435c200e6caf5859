/*
 * sequences.h - sequences: requests of one id, each of which goes on where the one before it ended. What is kept
 * between them is states.h's.
 *
 *     decoded -> sequences_enter -> its turn? -> the lane -> a batch -> sequences_keep, on the worker
 *                     |  no: it waits                                        |
 *                     +--> sequences_follow <--- sequences_leave <--- it ends -+
 *
 * A step that fails, or whose client left before its answer was there, has not happened: the state is the one before
 * it, and it may be sent again. What a sequence keeps is touched by the one job that has the turn.
 *
 * Threads: the loop's, but for sequences_decoded (whoever decodes) and sequences_keep (the batch's worker).
 */
#ifndef SERVE_SEQUENCES_H
#define SERVE_SEQUENCES_H

#include "serve/lane.h"

struct sequences; /* all of a server */

struct sequences *sequences_new(struct percept_err *err);
void sequences_free(struct sequences *sequences);

/* That all may keep together; 0: no limit. */
void sequences_limit(struct sequences *sequences, size_t most_bytes);

/* What the request says of sequences fits the model: then the inputs that it did not bring are there, states of a
 * sequence without their data. Behind the codec. */
bool sequences_decoded(struct job *job, struct percept_err *err);

/* Who has the sequence that this step goes on with: another instance of the same model, the one before a reload. NULL:
 * nobody else. */
struct served *sequences_home(const struct job *job);

enum sequence_turn {
    SEQUENCE_REFUSED, /* job->err says why */
    SEQUENCE_WAITS,   /* for the step before it */
    SEQUENCE_GOES,    /* its states are there */
};

/* It joins its sequence, or begins one. */
enum sequence_turn sequences_enter(struct job *job);

/* It is the next: SEQUENCE_GOES or SEQUENCE_REFUSED. */
enum sequence_turn sequences_follow(struct job *job);

/* The states behind a step, from the results of its run: all outputs, one item. */
bool sequences_keep(struct job *job, const struct percept_tensor *results, struct percept_err *err);

/* The job has ended, at this time. The sequence whose next step may go now, or NULL. */
struct sequence *sequences_leave(struct job *job, int64_t now_ns);

/* --- what others may see and move --------------------------------------------------------------------------------- */

struct sequence_view {
    struct served *served; /* that it is kept by */
    uint64_t number;       /* its id, */
    struct bytes text;     /* or as a text; the sequence's */
    uint64_t steps;        /* that have happened */
    bool busy;             /* a step is under way: its states are about to change */
    int64_t idle_ns;       /* for so long nothing was asked of it; 0 while it is busy */
    struct bytes states;   /* states->n_bytes of them; the sequence's */
};

/* The sequence of this model and id. False with what a step of it would be told. */
bool sequences_look(const struct served *served, const struct job_sequence *id, int64_t now_ns,
                    struct sequence_view *view, struct percept_err *err);

/* Those of a model (all its instances) and an owner, at most `most`; returns how many were put into `views`. */
int sequences_list(const struct served *served, uint64_t owner, int64_t now_ns, struct sequence_view *views, int most);

/* One that was begun elsewhere: it rests here with these states, states->n_bytes of them. One of this id that is here
 * ends, unless a step of it is under way (UNAVAILABLE). */
bool sequences_put(struct served *served, const struct job_sequence *id, uint64_t steps, struct bytes kept,
                   int64_t now_ns, struct percept_err *err);

/* Ends it, unless a step of it is under way. */
bool sequences_end(const struct served *served, const struct job_sequence *id, struct percept_err *err);

/* Drops what has rested for too long; returns when to look again, LANE_NEVER: never. */
int64_t sequences_expire(struct lane *lane, int64_t now_ns);

/* Its model is not served any more: all that rest are dropped now, the others once their steps have ended. */
void sequences_drop_all(struct lane *lane);

#endif
