/*
 * lifecycle.c - the steps of a job's life that happen on the loop.
 *
 *     lifecycle_start --refused----------------------------------------------> end -> done
 *         | small body: decoded at once         | else UNDECODED -> DECODING --failed-^
 *         +--> lifecycle_decoded --> WAITING (lane.c) --> RUNNING (batch.c) ----------^
 *                     |                                                               |
 *                     | a parent: PARENT, begin -> children ... lifecycle_finish --failed
 *                     |                                                |              |
 *                     |                                                +-> UNWRITTEN -> WRITING
 *
 * A job is refused when the server drains or when its model's queue is full: a bounded queue
 * answers at once what it could not answer in time. Deadlines count from arrival; a job whose
 * deadline has passed is never computed. Cancelling takes a job out of its queue; one that a worker
 * has gets a flag raised, which decoder, run and encoder look at every few milliseconds together
 * with the deadline (base/watch.h), and ends when the worker gives it back. done is never called
 * from lifecycle_start or lifecycle_cancel, so callers need not guard against being called back.
 *
 * A parent's work is done by its children. Each is a job in its own model's lane, so that it shares batches with
 * anybody's; it has its parent's deadline, and it does not count against limits of queues, because its parent did:
 * what was begun is not refused half-way. Its end is told to its parent by its `done`, a failure as well, and what
 * comes of it is the parent's to say: another child, or lifecycle_finish, which calls back whoever is still under way.
 * A parent that is cancelled finishes at once, one whose deadline passes when no child is under way: children that
 * are have the same deadline. It ends after its last child, so that memory which they read outlives them. Who leaves
 * can start nobody any more: such a child ends as cancelled. That is all there is to a chain of models, and to a loop.
 *
 * Nothing here knows of cores: what a queue holds is given one by dispatch.c, which also brings back what
 * workers had.
 */
#include "serve/lifecycle.h"

#include "base/budget.h"
#include "base/err.h"
#include "serve/batch.h"
#include "serve/codec.h"
#include "serve/constant.h"
#include "serve/sequences.h"

#include <assert.h>

#define HOPELESS_TRIED 10 /* of so many whose deadline leaves too little, one is computed */

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

/* Does decoding it belong on a worker? */
static bool is_long(const struct job *job)
{
    return job->codec->worker_always || job->coding != CODING_IDENTITY || bytes_size(job->body) >= CODEC_LOOP_BYTES ||
           client_shm_concerns(job->memory, job->body);
}

static bool refuse_full(struct job *job)
{
    return err_set(&job->err, ERR_UNAVAILABLE, "Exceeds maximum queue size");
}

/* Its body says how urgent it is, and is read at once: does it say anything? */
static bool may_be_urgent(const struct job *job)
{
    static const char word[] = "\"priority\"";
    return job->codec && !is_long(job) && bytes_size(job->body) &&
           memmem(job->body.at, bytes_size(job->body), word, sizeof word - 1);
}

/* The queue is full, and this one was read nevertheless: it takes the place of one that is less urgent, or none. */
static bool has_place(struct job *job)
{
    struct lane *lane = job->served->lane;
    if (job->parent || lane->n_pending - lane->n_children <= lane->max_queue_size)
        return true;
    struct job *other = lane_less_urgent(lane, job);
    if (!other)
        return refuse_full(job);
    lane_remove(lane, other);
    refuse_full(other);
    lifecycle_end_soon(other);
    return true;
}

int64_t lifecycle_estimate_ns(const struct lane *lane)
{
    const int workers = lane->lifecycle->workers > 0 ? lane->lifecycle->workers : 1;
    return lane->n_pending * lane->job_ns / workers + lane->batch_ns;
}

/* Would it take more than twice the time that is left? One in ten is tried, so that an estimate that is wrong heals. */
static bool is_hopeless(struct job *job)
{
    struct lane *lane = job->served->lane;
    const int64_t deadline_ns = job_deadline(job), left_ns = deadline_ns - now_ns(lane->lifecycle);
    const int64_t estimate_ns = lifecycle_estimate_ns(lane);
    if (!deadline_ns || job->parent || job->spared || left_ns <= 0 || estimate_ns / 2 <= left_ns)
        return false;
    job->spared = ++lane->n_hopeless % HOPELESS_TRIED == 0;
    if (!job->spared)
        err_set(&job->err, ERR_TIMEOUT, "Request timeout expired: an answer takes about %lld ms now, %lld ms are left",
                (long long)(estimate_ns / 1000000), (long long)(left_ns / 1000000));
    return !job->spared;
}

static bool admitted(struct job *job)
{
    const struct lane *lane = job->served->lane;
    if (lane->lifecycle->draining)
        return err_set(&job->err, ERR_UNAVAILABLE, "Server exiting");
    if (lane_is_full(lane) && !may_be_urgent(job))
        return refuse_full(job);
    if (!job->parent && lane_is_stuffed(lane, bytes_size(job->body)))
        return err_set(&job->err, ERR_UNAVAILABLE, "Exceeds maximum queue size: bodies of %zu bytes wait for the model",
                       lane->pending_bytes);
    return !is_hopeless(job);
}

static void read_body(struct job *job)
{
    if (job->codec && is_long(job)) {
        job_set_deadline(job);
        lane_push_undecoded(job->served->lane, job);
    } else {
        lifecycle_decode(job);
        lifecycle_decoded(job);
    }
}

/* The lane takes it, or its sequence keeps it for later. */
static void step(struct lane *lane, struct job *job, enum sequence_turn turn)
{
    if (turn == SEQUENCE_GOES && job->sequence.at_turn) {
        read_body(job);
    } else if (turn == SEQUENCE_GOES) {
        lane_push(lane, job);
    } else if (turn == SEQUENCE_WAITS) {
        lane_push_following(lane, job);
    } else {
        lane_leave(lane, job);
        lifecycle_end_soon(job);
    }
}

static void enter(struct job *job);

/* It goes on with a sequence of the instance before a reload: there it is decoded, or decoded again. */
static void move(struct job *job, struct served *to)
{
    lane_leave(job->served->lane, job);
    job->served->n_holders--;
    to->n_holders++;
    job->served = to;
    enter(job);
}

static void enter_at_turn(struct job *job)
{
    struct served *home = sequences_home(job);
    if (home) {
        move(job, home);
        return;
    }
    job_set_deadline(job);
    step(job->served->lane, job, sequences_enter(job));
}

static void enter(struct job *job)
{
    struct lane *lane = job->served->lane;
    lane_enter(lane, job);
    if (job->sequence.at_turn)
        enter_at_turn(job);
    else
        read_body(job);
    lane->lifecycle->wake(lane->lifecycle->user);
}

void lifecycle_start(struct job *job)
{
    job->default_timeout_ns = job->served->lane->default_timeout_ns;
    job->begin = job->begin ? job->begin : job->served->begin;
    accept(job);
    if (admitted(job))
        enter(job);
    else
        lifecycle_end_soon(job);
}

/* What is inflated or read from shared memory, of all jobs, takes at most so many times what one body may have. */
#define HELD_BODIES 16

static bool inflate_body(struct job *job)
{
    if (job->coding == CODING_IDENTITY)
        return true;
    if (!coding_inflate(job->body, job->most_body_bytes, job->arena, &job->watch, &job->body, &job->err))
        return false;
    job->held_bytes = bytes_size(job->body);
    job->coding = CODING_IDENTITY;
    return true;
}

/* What the body has, by its codec; and what is there already, judged as if it had come with it. */
static bool decode(struct job *job)
{
    return inflate_body(job) &&
           (job->codec ? job->codec->decode(job, &job->err) : codec_begin(job, false, &job->err)) &&
           codec_take_sources(job, &job->err) &&
           (job->begin || (constant_fill(job, &job->err) && sequences_decoded(job, &job->err)));
}

bool lifecycle_decode(struct job *job)
{
    struct lane *lane = job->served->lane;
    int64_t from_ns = now_ns(lane->lifecycle);
    const size_t refusals = budget_refusals();
    bool decoded = decode(job);
    job_note_shortage(job, refusals);
    if (!decoded && watch_over(&job->watch))
        watch_refuse(&job->watch, &job->err); /* whatever the decoder called it */
    job->decode_ns = now_ns(lane->lifecycle) - from_ns;
    return decoded;
}

/* While it is taken there are as many as workers; what is kept is counted here. */
static void count_held(struct job *job)
{
    struct lifecycle *lifecycle = job->served->lane->lifecycle;
    if (job->err.code == ERR_NONE && lifecycle->held_bytes / HELD_BODIES > job->most_body_bytes)
        err_set(&job->err, ERR_UNAVAILABLE, "the requests under way hold %zu bytes of bodies; try again",
                lifecycle->held_bytes);
    lifecycle->held_bytes += job->held_bytes;
}

void lifecycle_decoded(struct job *job)
{
    struct lane *lane = job->served->lane;
    const bool enters = job->sequence.asked && !job->sequence.of;
    struct served *home = enters && job->err.code == ERR_NONE ? sequences_home(job) : NULL;
    if (home) {
        move(job, home);
        return;
    }
    if (job->held_bytes)
        count_held(job);
    if (loop_flag_raised(&job->cancelled))
        job_give_up(job);
    if (job->err.code != ERR_NONE || !has_place(job) || is_hopeless(job)) {
        lane_leave(lane, job);
        lifecycle_end_soon(job);
        return;
    }
    job_set_deadline(job); /* the body may say more than the headers did */
    job->queued_ns = now_ns(lane->lifecycle);
    if (!job->begin) {
        step(lane, job, job->sequence.asked ? sequences_enter(job) : SEQUENCE_GOES);
        return;
    }
    job->started_ns = job->queued_ns;
    lane_push_parent(lane, job);
    job->begin(job);
}

/* --- parents and children ----------------------------------------------------------------------------------------- */

void lifecycle_child(struct job *parent, struct job *child)
{
    child->parent = parent;
    child->begin = child->begin ? child->begin : child->served->begin;
    child->priority = child->priority ? child->priority : parent->priority;
    child->sibling = parent->children;
    parent->children = child;
    parent->n_children++;
    child->arrived_ns = now_ns(child->served->lane->lifecycle);
    accept(child);
    if (!parent->leaving) {
        enter(child);
        return;
    }
    job_give_up(child);
    lifecycle_end_soon(child);
}

/* Nobody works for a parent that leaves any more: it is answered, or ends. */
static void leave(struct job *parent)
{
    struct lane *lane = parent->served->lane;
    lane_remove(lane, parent);
    if (loop_flag_raised(&parent->cancelled))
        job_give_up(parent);
    if (parent->err.code != ERR_NONE || !parent->results) {
        lifecycle_end_soon(parent);
        return;
    }
    lane_push_unwritten(lane, parent);
    lane->lifecycle->wake(lane->lifecycle->user);
}

void lifecycle_finish(struct job *parent)
{
    if (parent->leaving || parent->state != JOB_PARENT)
        return;
    parent->leaving = true;
    parent->finished_ns = now_ns(parent->served->lane->lifecycle);
    for (struct job *child = parent->children; child; child = child->sibling)
        lifecycle_cancel(child);
    if (!parent->n_children)
        leave(parent);
}

static void unlink_child(struct job *parent, const struct job *child)
{
    struct job **at = &parent->children;
    while (*at != child)
        at = &(*at)->sibling;
    *at = child->sibling;
    parent->n_children--;
}

/* One of its children has ended, and it was told. */
static void go_on(struct job *parent)
{
    if (parent->n_children || parent->state != JOB_PARENT)
        return;
    if (parent->leaving)
        leave(parent);
    else
        lane_note(parent->served->lane, parent);
}

/* --- ends --------------------------------------------------------------------------------------------------------- */

void lifecycle_cancel(struct job *job)
{
    struct lane *lane = job->served->lane;
    switch (job->state) {
    case JOB_NEW:
    case JOB_ENDED:
        return;
    case JOB_UNDECODED:
    case JOB_FOLLOWING:
    case JOB_WAITING:
    case JOB_UNWRITTEN:
        if (!lane_remove(lane, job))
            return;
        job_give_up(job);
        lifecycle_end_soon(job);
        return;
    case JOB_DECODING:
    case JOB_WRITING:
        loop_flag_raise(&job->cancelled);
        return;
    case JOB_PARENT:
        loop_flag_raise(&job->cancelled);
        lifecycle_finish(job);
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

/* A step of a sequence has ended: the next one goes, or those behind it that cannot are refused. */
static void go_on_with(struct sequence *sequence, struct lane *lane)
{
    struct job *job;
    enum sequence_turn turn = SEQUENCE_REFUSED;
    while (turn == SEQUENCE_REFUSED && (job = lane_pop_following(lane, sequence))) {
        turn = sequences_follow(job);
        step(lane, job, turn);
    }
    lane->lifecycle->wake(lane->lifecycle->user);
}

static void end(struct job *job, int64_t at_ns)
{
    struct served *served = job->served;
    struct job *parent = job->parent;
    int64_t total_ns = at_ns - job->arrived_ns;
    assert(served->n_holders > 0);
    served->n_holders--;
    lane_leave(served->lane, job);
    struct sequence *sequence = sequences_leave(job, at_ns);
    if (sequence)
        go_on_with(sequence, served->lane);
    if (parent)
        unlink_child(parent, job);
    if (served->end)
        served->end(job);
    served->stats.shed += job->err.code == ERR_UNAVAILABLE;
    served->stats.expired += job->err.code == ERR_TIMEOUT;
    if (job->err.code != ERR_NONE)
        stats_failed(&served->stats, failure_of(job), total_ns);
    else
        stats_request(&served->stats, total_ns, job->started_ns - job->arrived_ns - job->decode_ns,
                      job->decode_ns + job->gather_ns, job->finished_ns - job->started_ns - job->gather_ns,
                      job->encode_ns);
    job->done(job);
    if (parent)
        go_on(parent);
}

void lifecycle_end_all(struct lifecycle *lifecycle, struct job_list *jobs)
{
    int64_t at_ns = now_ns(lifecycle);
    for (struct job *job; (job = job_list_pop(jobs));) {
        if (job->err.code == ERR_MEMORY && job->short_bytes && lifecycle->budget)
            job_fall_short(job, lifecycle->budget->limit_bytes);
        lifecycle->n_in_flight--;
        lifecycle->held_bytes -= job->held_bytes;
        end(job, at_ns);
    }
}
