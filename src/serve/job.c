/*
 * job.c - the steps of a job's life that happen on the loop.
 *
 *     job_start --refused--------------------------------------------> job_end -> done
 *         | small body: decoded at once   | else UNDECODED -> DECODING --failed-^
 *         +--> job_decoded --> WAITING (lane.c) --> RUNNING (batch.c) ----------^
 *
 * A job is refused when the server drains or when its model's queue is full: a bounded queue
 * answers at once what it could not answer in time. Deadlines count from arrival; a job whose
 * deadline has passed is never computed. Cancelling takes a job out of its queue; one that a worker
 * has gets a flag raised, which decoder, run and encoder look at every few milliseconds together
 * with the deadline (base/watch.h), and ends when the worker gives it back. done is never called
 * from job_start or job_cancel, so callers need not guard against being called back.
 */
#include "serve/job.h"

#include "base/err.h"
#include "serve/codec.h"
#include "serve/dispatch.h"

#include <assert.h>

void job_list_push(struct job_list *list, struct job *job)
{
    job->next = NULL;
    if (list->n)
        list->last->next = job;
    else
        list->first = job;
    list->last = job;
    list->n++;
}

struct job *job_list_pop(struct job_list *list)
{
    struct job *job = list->first;
    if (!job)
        return NULL;
    list->first = job->next;
    list->n--;
    if (!list->n)
        list->last = NULL;
    job->next = NULL;
    return job;
}

bool job_list_remove(struct job_list *list, struct job *job)
{
    struct job *before = NULL;
    for (struct job *j = list->first; j; before = j, j = j->next) {
        if (j != job)
            continue;
        if (before)
            before->next = job->next;
        else
            list->first = job->next;
        if (list->last == job)
            list->last = before;
        list->n--;
        job->next = NULL;
        return true;
    }
    return false;
}

void job_expire(struct job *job)
{
    err_set(&job->err, ERR_TIMEOUT, "Request timeout expired");
}

void job_give_up(struct job *job)
{
    err_set(&job->err, ERR_CANCELLED, "the request was cancelled");
}

static bool admitted(struct job *job)
{
    const struct lane *lane = job->served->lane;
    if (dispatch_draining(lane->dispatch))
        return err_set(&job->err, ERR_UNAVAILABLE, "Server exiting");
    if (lane->n_pending >= lane->max_queue_size)
        return err_set(&job->err, ERR_UNAVAILABLE, "Exceeds maximum queue size");
    return true;
}

void job_set_deadline(struct job *job)
{
    int64_t timeout_ns = job->served->lane->default_timeout_ns;
    if (job->timeout_us > 0)
        timeout_ns = job->timeout_us < INT64_MAX / 1000 ? job->timeout_us * 1000 : INT64_MAX;
    job->watch.deadline_ns =
        timeout_ns > 0 && timeout_ns < INT64_MAX - job->arrived_ns ? job->arrived_ns + timeout_ns : 0;
    job->watch.cancel = &job->cancelled;
}

void job_start(struct job *job)
{
    struct lane *lane = job->served->lane;
    dispatch_accept(job);
    if (!admitted(job)) {
        dispatch_end_soon(job);
        return;
    }
    lane->n_pending++;
    if (job->codec->worker_always || bytes_size(job->body) >= CODEC_LOOP_BYTES) {
        job_set_deadline(job);
        lane_push_undecoded(lane, job);
    } else {
        job_decode(job);
        job_decoded(job);
    }
    job->served->stats.pending = lane->n_pending;
    dispatch_wake(lane->dispatch);
}

bool job_decode(struct job *job)
{
    struct lane *lane = job->served->lane;
    int64_t from_ns = dispatch_now_ns(lane->dispatch);
    bool decoded = job->codec->decode(job, &job->err);
    if (!decoded && watch_over(&job->watch))
        watch_refuse(&job->watch, &job->err); /* whatever the decoder called it */
    job->decode_ns = dispatch_now_ns(lane->dispatch) - from_ns;
    return decoded;
}

void job_decoded(struct job *job)
{
    struct lane *lane = job->served->lane;
    if (loop_flag_raised(&job->cancelled))
        job_give_up(job);
    if (job->err.code != ERR_NONE) {
        lane->n_pending--;
        dispatch_end_soon(job);
        return;
    }
    job_set_deadline(job); /* the body may say more than the headers did */
    job->queued_ns = dispatch_now_ns(lane->dispatch);
    lane_push(lane, job);
}

void job_cancel(struct job *job)
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
        dispatch_end_soon(job);
        dispatch_wake(lane->dispatch);
        return;
    case JOB_DECODING:
        loop_flag_raise(&job->cancelled);
        return;
    case JOB_RUNNING:
        if (loop_flag_raised(&job->cancelled))
            return;
        loop_flag_raise(&job->cancelled);
        if (++job->batch->n_cancelled == job->batch->jobs.n)
            loop_flag_raise(&job->batch->cancel);
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

void job_end(struct job *job, int64_t now_ns)
{
    struct served *served = job->served;
    int64_t total_ns = now_ns - job->arrived_ns;
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
