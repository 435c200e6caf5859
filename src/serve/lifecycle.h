/*
 * lifecycle.h - from a job's start to its end. See lifecycle.c for the ways that it may go. Threads: the loop's, but
 * for lifecycle_decode.
 */
#ifndef SERVE_LIFECYCLE_H
#define SERVE_LIFECYCLE_H

#include "serve/lane.h"

/* What all jobs of a server share; dispatch.c's, which has the cores. */
struct lifecycle {
    void *user;
    int64_t (*now_ns)(void *user);
    void (*wake)(void *user); /* a turn is wanted soon */
    struct job_list ended;    /* done is still to be called */
    int workers;
    int n_in_flight;               /* jobs */
    size_t held_bytes;             /* by them, beside their bodies: inflated, read from shared memory */
    int64_t level_ns;              /* core time used by the lane that was served last */
    bool draining;                 /* jobs are refused */
    struct percept_budget *budget; /* of bodies, of what is made of them and of sessions; NULL: none */
};

/* Takes the job. The catalog must have said READY in this turn. */
void lifecycle_start(struct job *job);

/* The client is gone or the server gives up: not computed if still queued, abandoned within
 * milliseconds if it is being decoded, run or written. */
void lifecycle_cancel(struct job *job);

/* How long a new job of this model would wait for its answer, by what the last ones took; 0: not known. */
int64_t lifecycle_estimate_ns(const struct lane *lane);

/* Starts a child of a parent that has begun: admitted with it. Its `done` tells how it ended, in a later turn or later
 * in this one, never from within. See job.h for whose memory is whose. */
void lifecycle_child(struct job *parent, struct job *child);

/* The parent ends: with its err; or else its results are written by its encoder, on a worker; or with neither, the
 * reply is there. Children that are under way are cancelled, and end first. Twice is once. */
void lifecycle_finish(struct job *parent);

/* For dispatch.c. */

/* Runs the codec; any thread. False leaves the reason in job->err. */
bool lifecycle_decode(struct job *job);

/* What becomes of it after decoding: it joins its lane, or fails. */
void lifecycle_decoded(struct job *job);

/* It ends in this turn or the next, with its err. */
void lifecycle_end_soon(struct job *job);

/* Counts it and calls done, for each. Jobs may be gone afterwards. */
void lifecycle_end_all(struct lifecycle *lifecycle, struct job_list *jobs);

#endif
