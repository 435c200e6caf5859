/*
 * lifecycle.c - the steps of a job's life that happen on the loop.
 *
 *     lifecycle_start --refused----------------------------------------------> end -> done
 *         | small body: decoded at once         | else UNDECODED -> DECODING --failed-^
 *         +--> lifecycle_decoded --> WAITING (lane.c) --> RUNNING (batch.c) ----------^
 *
 * A job is refused when the server drains or when its model's queue is full: a bounded queue
 * answers at once what it could not answer in time. Deadlines count from arrival; a job whose
 * deadline has passed is never computed. Cancelling takes a job out of its queue; one that a worker
 * has gets a flag raised, which decoder, run and encoder look at every few milliseconds together
 * with the deadline (base/watch.h), and ends when the worker gives it back. done is never called
 * from lifecycle_start or lifecycle_cancel, so callers need not guard against being called back.
 *
 * Nothing here knows of cores: what a queue holds is given one by dispatch.c, which also brings back what
 * workers had.
 */
#include "serve/lifecycle.h"

#include "base/err.h"
#include "serve/batch.h"
#include "serve/codec.h"

#include <assert.h>

static int64_t now_ns(const struct lifecycle *lifecycle)
{
    return lifecycle->now_ns(lifecycle->user);
}

/* It is among the jobs in flight now. A lane that was idle starts level with the others instead of with a credit. */
static void accept(struct job *job)
{
    struct lane *lane = job->served->lane;
    lane->lifecycle->n_in_flight++;
    job->served->n_holders++;
    if (!lane->n_pending && !lane->n_out && lane->used_ns < lane->lifecycle->level_ns)
        lane->used_ns = lane->lifecycle->level_ns;
}

void lifecycle_end_soon(struct job *job)
{
    struct lifecycle *lifecycle = job->served->lane->lifecycle;
    job->state = JOB_ENDED;
    job_list_push(&lifecycle->ended, job);
    lifecycle->wake(lifecycle->user);
}

static bool admitted(struct job *job)
{
    const struct lane *lane = job->served->lane;
    if (lane->lifecycle->draining)
        return err_set(&job->err, ERR_UNAVAILABLE, "Server exiting");
    if (lane->n_pending >= lane->max_queue_size)
        return err_set(&job->err, ERR_UNAVAILABLE, "Exceeds maximum queue size");
    return true;
}

void lifecycle_start(struct job *job)
{
    struct lane *lane = job->served->lane;
    job->default_timeout_ns = lane->default_timeout_ns;
    accept(job);
    if (!admitted(job)) {
        lifecycle_end_soon(job);
        return;
    }
    lane->n_pending++;
    if (job->codec->worker_always || bytes_size(job->body) >= CODEC_LOOP_BYTES) {
        job_set_deadline(job);
        lane_push_undecoded(lane, job);
    } else {
        lifecycle_decode(job);
        lifecycle_decoded(job);
    }
    job->served->stats.pending = lane->n_pending;
    lane->lifecycle->wake(lane->lifecycle->user);
}

bool lifecycle_decode(struct job *job)
{
    struct lane *lane = job->served->lane;
    int64_t from_ns = now_ns(lane->lifecycle);
    bool decoded = job->codec->decode(job, &job->err);
    if (!decoded && watch_over(&job->watch))
        watch_refuse(&job->watch, &job->err); /* whatever the decoder called it */
    job->decode_ns = now_ns(lane->lifecycle) - from_ns;
    return decoded;
}

void lifecycle_decoded(struct job *job)
{
    struct lane *lane = job->served->lane;
    if (loop_flag_raised(&job->cancelled))
        job_give_up(job);
    if (job->err.code != ERR_NONE) {
        lane->n_pending--;
        lifecycle_end_soon(job);
        return;
    }
    job_set_deadline(job); /* the body may say more than the headers did */
    job->queued_ns = now_ns(lane->lifecycle);
    lane_push(lane, job);
}

void lifecycle_cancel(struct job *job)
{
    struct lane *lane = job->served->lane;
    switch (job->state) {
    case JOB_NEW:
    case JOB_ENDED:
        return;
    case JOB_UNDECODED:
    case JOB_WAITING:
        if (!lane_remove(lane, job))
            return;
        job_give_up(job);
        lifecycle_end_soon(job);
        return;
    case JOB_DECODING:
        loop_flag_raise(&job->cancelled);
        return;
    case JOB_RUNNING:
        batch_cancel(job->batch, job);
        return;
    }
}

static enum stats_failure failure_of(const struct job *job)
{
    switch (job->err.code) {
    case ERR_CANCELLED:
        return FAILURE_CANCELED;
    case ERR_UNAVAILABLE:
    case ERR_TIMEOUT:
        return FAILURE_REJECTED;
    default:
        return job->started_ns ? FAILURE_BACKEND : FAILURE_OTHER;
    }
}

static void end(struct job *job, int64_t at_ns)
{
    struct served *served = job->served;
    int64_t total_ns = at_ns - job->arrived_ns;
    assert(served->n_holders > 0);
    served->n_holders--;
    served->stats.pending = served->lane->n_pending;
    if (job->err.code != ERR_NONE)
        stats_failed(&served->stats, failure_of(job), total_ns);
    else
        stats_request(&served->stats, total_ns, job->started_ns - job->arrived_ns - job->decode_ns,
                      job->decode_ns + job->gather_ns, job->finished_ns - job->started_ns - job->gather_ns,
                      job->encode_ns);
    job->done(job);
}

void lifecycle_end_all(struct lifecycle *lifecycle, struct job_list *jobs)
{
    int64_t at_ns = now_ns(lifecycle);
    for (struct job *job; (job = job_list_pop(jobs));) {
        lifecycle->n_in_flight--;
        end(job, at_ns);
    }
}
