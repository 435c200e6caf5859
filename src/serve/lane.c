/*
 * lane.c - when a batch leaves, and with whom.
 *
 * Work-conserving: with the default delay of zero a core that is free takes what is there, a batch
 * of one if it must. Batches come about by themselves when all cores are busy, because jobs then
 * wait together. A model whose user asked for a delay holds its batch until it is full or until the
 * delay has passed since the *arrival* of its oldest job, whichever is first.
 *
 * Without a delay a batch is as large as it pays, which is learned (learn.h): more company would make everybody wait
 * for nothing. Who asked for a delay asked for large batches, and gets them.
 *
 * Jobs wait in the order of their ranks, which are their arrival and their priority (job_rank). The first of them leads
 * every batch. Jobs behind it join if their inputs have its types and dimensions (the batch axis aside) and there is
 * room; others are passed over and lead a later batch, so nobody starves. For models over sequences this batches texts
 * of equal length only: padding could change the result.
 *
 * Decoding comes before a run in one case: bodies that already waited when the leader became ready
 * are decoded first, so that they can join it. Those that came later wait, so the leader's wait is
 * bounded by what was there before it. A reply that is to be written comes before both: it is all that is missing.
 *
 * Parents lie here for their deadline and their place in the queue, which they keep until they end: the children that
 * they have in other lanes have no other.
 */
#include "serve/lane.h"

#define DEFAULT_QUEUE_SIZE 256
#define DEFAULT_QUEUE_BODIES 8

void lane_limits(struct lane *lane, const struct served *served, const struct settings *settings)
{
    const struct manifest *manifest = served->manifest;
    lane->batching = served->batching;
    lane->max_batch_size = served->batching ? served->max_batch_size : 1;
    int queue = manifest->max_queue_size >= 0 ? manifest->max_queue_size : settings->max_queue_size;
    lane->max_queue_size = queue > 0 ? queue : DEFAULT_QUEUE_SIZE;
    lane->max_queue_bytes = settings->max_queue_bytes;
    if (!lane->max_queue_bytes &&
        !arena_multiply(settings->max_body_bytes, DEFAULT_QUEUE_BODIES, &lane->max_queue_bytes))
        lane->max_queue_bytes = SIZE_MAX;
    int64_t delay_us = manifest->max_queue_delay_us >= 0 ? manifest->max_queue_delay_us : settings->max_queue_delay_us;
    lane->max_queue_delay_ns = delay_us * 1000;
    lane->learns = !settings->no_learn && delay_us <= 0;
    int64_t timeout_us = manifest->default_timeout_us ? manifest->default_timeout_us : settings->default_timeout_us;
    lane->default_timeout_ns = timeout_us > 0 ? timeout_us * 1000 : 0;
    lane->expiry_ns = LANE_NEVER;
}

void lane_note(struct lane *lane, const struct job *job)
{
    if (job->watch.deadline_ns && job->watch.deadline_ns < lane->expiry_ns)
        lane->expiry_ns = job->watch.deadline_ns;
}

void lane_enter(struct lane *lane, struct job *job)
{
    job->pending = true;
    job->pending_bytes = bytes_size(job->body);
    lane->pending_bytes += job->pending_bytes;
    lane->n_pending++;
    lane->n_entered++;
    lane->n_children += job->parent != NULL;
    lane->served->stats.pending = lane->n_pending;
}

void lane_leave(struct lane *lane, struct job *job)
{
    if (!job->pending)
        return;
    job->pending = false;
    lane->pending_bytes -= job->pending_bytes;
    lane->n_pending--;
    lane->n_children -= job->parent != NULL;
    lane->served->stats.pending = lane->n_pending;
}

bool lane_is_full(const struct lane *lane)
{
    return lane->n_pending - lane->n_children >= lane->max_queue_size;
}

bool lane_is_stuffed(const struct lane *lane, size_t n_bytes)
{
    return lane->max_queue_bytes && lane->pending_bytes &&
           (lane->pending_bytes > lane->max_queue_bytes || n_bytes > lane->max_queue_bytes - lane->pending_bytes);
}

/* Those that wait lie by urgency, not by age. */
int64_t lane_oldest_ns(const struct lane *lane)
{
    const struct job_list *const lists[] = {&lane->undecoded, &lane->waiting, &lane->unwritten};
    int64_t oldest_ns = LANE_NEVER;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        for (const struct job *job = lists[i]->first; job; job = job->next)
            oldest_ns = job->arrived_ns < oldest_ns ? job->arrived_ns : oldest_ns;
    return oldest_ns;
}

/* A new one counts for an eighth, or for half where it is less: what was slow once, as with a new shape, is forgotten
 * soon. The first counts for all. */
static int64_t mean(int64_t old_ns, int64_t ns)
{
    return old_ns ? old_ns + (ns - old_ns) / (ns < old_ns ? 2 : 8) : ns;
}

void lane_measure(struct lane *lane, int n_jobs, int64_t ns)
{
    if (n_jobs <= 0 || ns <= 0)
        return;
    lane->job_ns = mean(lane->job_ns, ns / n_jobs);
    lane->batch_ns = mean(lane->batch_ns, ns);
}

static int level(const struct job *job)
{
    return job->priority ? job->priority : JOB_PRIORITY_DEFAULT;
}

struct job *lane_less_urgent(const struct lane *lane, const struct job *job)
{
    struct job *last = lane->waiting.last;
    return last && !last->parent && level(last) > level(job) ? last : NULL;
}

static void push(struct lane *lane, struct job *job, struct job_list *list, enum job_state state)
{
    job->state = state;
    job_list_push(list, job);
    lane_note(lane, job);
}

void lane_push(struct lane *lane, struct job *job)
{
    job->state = JOB_WAITING;
    job_list_insert(&lane->waiting, job);
    lane_note(lane, job);
}

void lane_push_undecoded(struct lane *lane, struct job *job)
{
    push(lane, job, &lane->undecoded, JOB_UNDECODED);
}

void lane_push_unwritten(struct lane *lane, struct job *job)
{
    push(lane, job, &lane->unwritten, JOB_UNWRITTEN);
}

void lane_push_parent(struct lane *lane, struct job *job)
{
    push(lane, job, &lane->parents, JOB_PARENT);
}

void lane_push_following(struct lane *lane, struct job *job)
{
    push(lane, job, &lane->following, JOB_FOLLOWING);
}

struct job *lane_pop_following(struct lane *lane, const struct sequence *sequence)
{
    struct job *job = lane->following.first;
    while (job && job->sequence.of != sequence)
        job = job->next;
    if (job)
        job_list_remove(&lane->following, job);
    return job;
}

static bool expired(const struct job *job, int64_t now_ns)
{
    return job->watch.deadline_ns && job->watch.deadline_ns <= now_ns;
}

static void sift(struct lane *lane, struct job_list *list, int64_t now_ns, struct job_list *out)
{
    struct job_list kept = {0};
    for (struct job *job; (job = job_list_pop(list));) {
        bool over = expired(job, now_ns);
        if (over && !job->n_children) {
            lane_leave(lane, job);
            job_list_push(out, job);
            continue;
        }
        job_list_push(&kept, job);
        if (!over)
            lane_note(lane, job);
    }
    *list = kept;
}

int64_t lane_expire(struct lane *lane, int64_t now_ns, struct job_list *out)
{
    if (lane->expiry_ns > now_ns)
        return lane->expiry_ns;
    lane->expiry_ns = LANE_NEVER;
    sift(lane, &lane->waiting, now_ns, out);
    sift(lane, &lane->undecoded, now_ns, out);
    sift(lane, &lane->unwritten, now_ns, out);
    sift(lane, &lane->parents, now_ns, out);
    sift(lane, &lane->following, now_ns, out);
    return lane->expiry_ns;
}

bool lane_fit_together(const struct lane *lane, const struct job *a, const struct job *b)
{
    for (int i = 0; i < lane->ios.n_inputs; i++) {
        const struct percept_tensor *s = &a->inputs[i], *t = &b->inputs[i];
        if (s->dtype != t->dtype || s->rank != t->rank)
            return false;
        for (int axis = 0; axis < s->rank; axis++)
            if (axis != lane->ios.inputs[i].batch_axis && s->dims[axis] != t->dims[axis])
                return false;
    }
    return true;
}

/* Items that could run in a batch of at most so many, the leader's first. */
static int64_t joinable(const struct lane *lane, int64_t most)
{
    const struct job *leader = lane->waiting.first;
    int64_t n_items = leader->n_items;
    for (const struct job *job = leader->next; job && n_items < most; job = job->next)
        if (lane_fit_together(lane, leader, job))
            n_items += job->n_items;
    return n_items < most ? n_items : most;
}

int64_t lane_best_size(const struct lane *lane)
{
    return lane->batching && lane->learns ? learn_best(&lane->learn, lane->max_batch_size) : lane->max_batch_size;
}

/* Could waiting bring a larger batch? Not once one that would have joined found no room. */
static bool full(const struct lane *lane)
{
    const int64_t most = lane_best_size(lane);
    return joinable(lane, most) >= most;
}

/* How large the next batch may be. */
static int64_t room(struct lane *lane)
{
    if (!lane->batching)
        return 1;
    if (!lane->learns)
        return lane->max_batch_size;
    const int64_t least = lane->waiting.first->n_items, n_items = joinable(lane, lane->max_batch_size);
    return learn_choose(&lane->learn, least, n_items > least ? n_items : least);
}

/* The arrival of the oldest that waits, which need not be the first. */
static int64_t oldest_ns(const struct lane *lane)
{
    int64_t oldest = LANE_NEVER;
    for (const struct job *job = lane->waiting.first; job; job = job->next)
        oldest = job->arrived_ns < oldest ? job->arrived_ns : oldest;
    return oldest;
}

enum lane_action lane_next(const struct lane *lane, int64_t now_ns, bool may_run, int64_t *look_ns)
{
    const struct job *leader = lane->waiting.first, *body = lane->undecoded.first;
    if (lane->unwritten.first)
        return LANE_WRITE;
    if (!leader || !may_run)
        return body ? LANE_DECODE : LANE_NOTHING;
    if (body && lane->batching && body->arrived_ns <= leader->queued_ns && !full(lane))
        return LANE_DECODE;
    if (!lane->batching || lane->max_queue_delay_ns <= 0)
        return LANE_BATCH;
    int64_t leave_ns = oldest_ns(lane) + lane->max_queue_delay_ns;
    if (now_ns >= leave_ns || full(lane))
        return LANE_BATCH;
    if (body)
        return LANE_DECODE;
    if (leave_ns < *look_ns)
        *look_ns = leave_ns;
    return LANE_NOTHING;
}

int64_t lane_form(struct lane *lane, struct job_list *jobs)
{
    if (!lane->waiting.first)
        return 0;
    const int64_t most = room(lane);
    struct job *leader = job_list_pop(&lane->waiting);
    job_list_push(jobs, leader);
    int64_t n_items = leader->n_items;
    struct job_list left = {0};
    while (n_items < most && lane->waiting.n) {
        struct job *job = job_list_pop(&lane->waiting);
        if (job->n_items <= most - n_items && lane_fit_together(lane, leader, job)) {
            n_items += job->n_items;
            job_list_push(jobs, job);
        } else
            job_list_push(&left, job);
    }
    if (left.n) {
        left.last->next = lane->waiting.first;
        left.last = lane->waiting.n ? lane->waiting.last : left.last;
        left.n += lane->waiting.n;
        lane->waiting = left;
    }
    for (struct job *job = jobs->first; job; job = job->next)
        lane_leave(lane, job);
    return n_items;
}

bool lane_remove(struct lane *lane, struct job *job)
{
    struct job_list *list = job->state == JOB_WAITING     ? &lane->waiting
                            : job->state == JOB_UNDECODED ? &lane->undecoded
                            : job->state == JOB_FOLLOWING ? &lane->following
                            : job->state == JOB_UNWRITTEN ? &lane->unwritten
                                                          : &lane->parents;
    if (!job_list_remove(list, job))
        return false;
    lane_leave(lane, job);
    return true;
}
