/*
 * dispatch.c - the one place that gives out cores.
 *
 * dispatch_turn is called at the end of a turn of the loop in which anything happened:
 *
 *     end what is over (refused, cancelled, expired)
 *     while a core is idle: the lane that has used the least core time may do its next thing
 *     cores still idle: lend them to running batches that are large enough
 *     none idle and work waiting: call lent cores back
 *
 * Fairness is by core time, not by turns: a lane is charged for what its tasks took, and the one
 * with the least goes first, so a large model's stream cannot crowd out a small one's trickle.
 * Between its own decodes, batches and replies the lane decides (lane_next).
 *
 * The session used last is used first: its plans are in the cache. Sessions are made when there is
 * more to run than sessions at home, up to one per core, and kept; what they hold and do not need any
 * more goes back when a core has nothing else to do (trim.h).
 *
 * Helpers are tasks that sit in percept_team_help. They never hold up anything: the leader does not
 * wait for them, the batch's end sends them home, and so does other work that wants a core. What a
 * run computes does not depend on them. A batch goes home when its leader and its helpers have.
 *
 * Ownership: the dispatcher owns its lanes and, through them, the sessions; jobs belong to their
 * exchanges.
 */
#include "serve/dispatch.h"

#include "base/budget.h"
#include "base/err.h"
#include "base/log.h"
#include "base/team.h"
#include "serve/encoder.h"
#include "serve/sequences.h"
#include "serve/trim.h"

#include <assert.h>
#include <stddef.h>

/* Below this a run is over before a helper is awake. */
#define HELP_MIN_FLOPS 2e6

struct helper {
    struct task task;
    struct dispatch *dispatch;
    struct batch *batch;
    struct percept_team *team;
    struct helper *next; /* among the free ones */
};

struct dispatch {
    struct dispatch_cores cores;
    const struct batch_engine *engine;
    struct lane *lanes;
    struct batch *running; /* their leaders are out */
    struct lifecycle jobs;
    int n_helpers;    /* out */
    int n_trims;      /* sessions that a worker has to give memory back */
    int64_t armed_ns; /* when we shall be called in any case */
    bool hurrying;    /* no batch waits for company */
    bool starving;    /* a lane is starved */
    bool returned;    /* memory, since then */
    void (*drained)(void *user);
    void *drained_user;
    struct helper *helpers, *free_helpers;
    struct sequences *sequences;

    struct loop *loop; /* NULL on other cores than a loop's */
    struct loop_timer *timer;
};

bool dispatch_draining(const struct dispatch *dispatch)
{
    return dispatch->jobs.draining;
}

int dispatch_in_flight(const struct dispatch *dispatch)
{
    return dispatch->jobs.n_in_flight;
}

static int64_t now_of(const struct dispatch *dispatch)
{
    return dispatch->cores.now_ns(dispatch->cores.user);
}

static void wake(struct dispatch *dispatch)
{
    dispatch->cores.wake(dispatch->cores.user);
}

static int64_t jobs_now_ns(void *user)
{
    return now_of(user);
}

static void jobs_wake(void *user)
{
    wake(user);
}

static int idle_cores(const struct dispatch *dispatch)
{
    return dispatch->cores.idle(dispatch->cores.user);
}

static void submit(struct dispatch *dispatch, struct task *task)
{
    dispatch->cores.submit(dispatch->cores.user, task);
}

/* A task is back: what it cost. */
static void charge(struct lane *lane, int64_t ns)
{
    lane->n_out--;
    lane->task_ns = ns > 0 ? ns : 0;
    lane->used_ns += lane->task_ns;
    lane->served->stats.core_ns += (uint64_t)lane->task_ns;
}

/* Decoding */

static struct job *job_of(struct task *task)
{
    return (struct job *)(void *)((char *)task - offsetof(struct job, task));
}

static void decode_work(struct task *task)
{
    lifecycle_decode(job_of(task));
}

static void decode_done(struct task *task)
{
    struct job *job = job_of(task);
    struct lane *lane = job->served->lane;
    charge(lane, job->decode_ns);
    lifecycle_decoded(job);
    wake(lane->dispatch);
}

static void start_decode(struct dispatch *dispatch, struct lane *lane)
{
    struct job *job = job_list_pop(&lane->undecoded);
    job->state = JOB_DECODING;
    job->task = (struct task){.work = decode_work, .done = decode_done};
    lane->n_out++;
    submit(dispatch, &job->task);
}

/* Writing */

static void write_work(struct task *task)
{
    struct job *job = job_of(task);
    const size_t refusals = budget_refusals();
    const struct dispatch *dispatch = job->served->lane->dispatch;
    encoder_write(job, job->results, dispatch->engine->now_ns);
    job_note_shortage(job, refusals);
}

static void write_done(struct task *task)
{
    struct job *job = job_of(task);
    int64_t spent_ns = job->encode_ns - job->kept_ns;
    charge(job->served->lane, spent_ns);
    stats_written(&job->served->stats, job->batch_size, spent_ns);
    lifecycle_end_soon(job);
}

static void start_write(struct dispatch *dispatch, struct lane *lane)
{
    struct job *job = job_list_pop(&lane->unwritten);
    job->state = JOB_WRITING;
    job->kept_ns = job->encode_ns;
    job->task = (struct task){.work = write_work, .done = write_done};
    lane->n_out++;
    submit(dispatch, &job->task);
}

/* Batches */

static void unlink_running(struct dispatch *dispatch, const struct batch *batch)
{
    struct batch **at = &dispatch->running;
    while (*at != batch)
        at = &(*at)->next;
    *at = batch->next;
}

static void count_memory(struct batch *batch)
{
    batch->lane->served->stats.session_bytes += batch->held_bytes - batch->counted_bytes;
    batch->counted_bytes = batch->held_bytes;
}

/* The batch is at home when nobody is left inside: then its session may be used again. */
static void return_session(struct batch *batch)
{
    struct lane *lane = batch->lane;
    if (!batch->leader_home || batch->n_helpers)
        return;
    if (batch->team)
        batch->engine->team_free(batch->team);
    batch->team = NULL;
    batch->next = lane->idle;
    lane->idle = batch;
    count_memory(batch);
}

static void stop_joining(struct lane *lane)
{
    lane->batching = false;
    log_warn("requests are no longer joined: results cannot be told apart along the batch axis", "model",
             lane->served->name, NULL);
}

static void batch_task_work(struct task *task)
{
    batch_work((struct batch *)(void *)task);
}

/* Counts every run by its size: the joint one, or the single ones. */
static void count(const struct batch *batch)
{
    struct stats *stats = &batch->lane->served->stats;
    int64_t output_ns = 0;
    for (const struct job *job = batch->jobs.first; job; job = job->next) {
        output_ns += job->encode_ns;
        if (batch->one_by_one && job->err.code == ERR_NONE)
            stats_execution(stats, job->n_items, job->gather_ns, job->finished_ns - job->started_ns - job->gather_ns,
                            job->encode_ns);
    }
    stats->begun_over += (uint64_t)batch->n_begun_over;
    if (!batch->one_by_one && batch->n_runs)
        stats_execution(stats, batch->n_items, batch->gathered_ns - batch->started_ns,
                        batch->finished_ns - batch->gathered_ns, output_ns);
}

/* What was written so far of a reply stays in the job's memory until it ends, so that is not tried for ever. */
#define UNWRITTEN_MOST 3

/* It was not run, or not written, for want of memory that others may give back: it takes its place again. Not a step
 * of a sequence, whose state may have gone on. */
static bool waits_again(struct lane *lane, struct job *job)
{
    const struct percept_budget *budget = lane->lifecycle->budget;
    if (job->err.code != ERR_MEMORY || !budget || !job->short_bytes || job->short_bytes > budget->limit_bytes ||
        job->n_unwritten == UNWRITTEN_MOST || job->sequence.of || loop_flag_raised(&job->cancelled))
        return false;
    job->err = (struct percept_err){0};
    job->short_bytes = 0;
    job->late = false;
    job->results = NULL;
    job->started_ns = job->finished_ns = job->gather_ns = 0;
    lane_enter(lane, job);
    lane_push(lane, job);
    lane->dispatch->returned &= lane->dispatch->starving;
    lane->starved = lane->dispatch->starving = true;
    return true;
}

/* What the batch took of its core, handing it over included. With helpers it is another matter, as it is when it failed
 * or the session was new. */
static void learn(struct batch *batch)
{
    struct lane *lane = batch->lane;
    if (!batch->n_runs || batch->first_run)
        return;
    lane_measure(lane, batch->n_wanted, batch->ended_ns - batch->started_ns);
    if (lane->learns && !batch->one_by_one && !batch->helped)
        learn_run(&lane->learn, batch->n_items, batch->flops > 0 ? batch->flops : (double)batch->n_items,
                  now_of(lane->dispatch) - batch->submitted_ns);
}

static void batch_task_done(struct task *task)
{
    struct batch *batch = (struct batch *)(void *)task;
    struct lane *lane = batch->lane;
    struct dispatch *dispatch = lane->dispatch;
    unlink_running(dispatch, batch);
    charge(lane, batch->ended_ns - batch->started_ns);
    count(batch);
    learn(batch);
    if (batch->flops > 0 && batch->n_items > 0 && !(batch->one_by_one && batch->over))
        lane->item_flops = batch->flops / (double)(batch->one_by_one ? batch->jobs.last->n_items : batch->n_items);
    if (batch->inseparable && lane->batching)
        stop_joining(lane);
    struct job_list ended = {0};
    for (struct job *job; (job = job_list_pop(&batch->jobs));) {
        job->batch = NULL;
        job->state = JOB_ENDED;
        if (job->short_bytes && waits_again(lane, job))
            continue;
        if (job->late && job->err.code == ERR_NONE)
            lane_push_unwritten(lane, job);
        else
            job_list_push(&ended, job);
    }
    batch->leader_home = true;
    return_session(batch);
    dispatch->returned |= ended.n > 0;
    lifecycle_end_all(&dispatch->jobs, &ended);
    wake(dispatch);
}

static bool may_run(const struct dispatch *dispatch, const struct lane *lane)
{
    return !lane->held && !lane->starved && (lane->idle || lane->n_batches < dispatch->cores.workers);
}

static struct batch *take_batch(struct dispatch *dispatch, struct lane *lane)
{
    struct batch *batch = lane->idle;
    if (batch) {
        lane->idle = batch->next;
        return batch;
    }
    batch = batch_new(lane, dispatch->engine);
    if (batch)
        lane->n_batches++;
    return batch;
}

static void start_batch(struct dispatch *dispatch, struct lane *lane)
{
    struct job_list jobs = {0};
    int64_t n_items = lane_form(lane, &jobs);
    struct batch *batch = take_batch(dispatch, lane);
    if (!batch) {
        for (struct job *job; (job = job_list_pop(&jobs));) {
            err_memory(&job->err, "a batch", sizeof *batch);
            lifecycle_end_soon(job);
        }
        return;
    }
    batch_fill(batch, &jobs, n_items);
    if (dispatch->cores.workers > 1 && lane->item_flops * (double)n_items >= HELP_MIN_FLOPS)
        batch->team = dispatch->engine->team_new(NULL);
    batch->task.work = batch_task_work;
    batch->task.done = batch_task_done;
    batch->next = dispatch->running;
    dispatch->running = batch;
    lane->n_out++;
    batch->submitted_ns = now_of(dispatch);
    submit(dispatch, &batch->task);
}

/* Helpers */

static void helper_work(struct task *task)
{
    struct helper *helper = (struct helper *)(void *)task;
    helper->dispatch->engine->team_help(helper->team);
}

static void helper_done(struct task *task)
{
    struct helper *helper = (struct helper *)(void *)task;
    struct dispatch *dispatch = helper->dispatch;
    helper->batch->n_helpers--;
    dispatch->n_helpers--;
    return_session(helper->batch);
    helper->next = dispatch->free_helpers;
    dispatch->free_helpers = helper;
    wake(dispatch);
}

/* The running batch that may be helped and has the fewest helpers. */
static struct batch *batch_to_help(const struct dispatch *dispatch)
{
    const int members = dispatch->cores.members, most = members < TEAM_MAX ? members : TEAM_MAX;
    struct batch *best = NULL;
    for (struct batch *batch = dispatch->running; batch; batch = batch->next)
        if (batch->team && !batch->team_closed && batch->n_helpers < most - 1 &&
            (!best || batch->n_helpers < best->n_helpers))
            best = batch;
    return best;
}

static void assign_helpers(struct dispatch *dispatch)
{
    while (idle_cores(dispatch) > 0 && dispatch->free_helpers) {
        struct batch *batch = batch_to_help(dispatch);
        if (!batch)
            return;
        struct helper *helper = dispatch->free_helpers;
        dispatch->free_helpers = helper->next;
        helper->batch = batch;
        helper->team = batch->team;
        helper->task.work = helper_work;
        helper->task.done = helper_done;
        batch->n_helpers++;
        batch->helped = true;
        dispatch->n_helpers++;
        submit(dispatch, &helper->task);
    }
}

/* Calls helpers back until as many are on their way as there is work for. */
static void recall(struct dispatch *dispatch, int wanted)
{
    for (const struct batch *batch = dispatch->running; batch; batch = batch->next)
        if (batch->team_closed)
            wanted -= batch->n_helpers;
    for (struct batch *batch = dispatch->running; batch && wanted > 0; batch = batch->next) {
        if (!batch->n_helpers || batch->team_closed)
            continue;
        batch->team_closed = true;
        dispatch->engine->team_close(batch->team);
        wanted -= batch->n_helpers;
    }
}

/* Memory that goes back */

static void trim_work(struct task *task)
{
    batch_trim((struct batch *)(void *)task);
}

/* Behind the others at home: it is the last that should be used. */
static void trim_done(struct task *task)
{
    struct batch *batch = (struct batch *)(void *)task, **end = &batch->lane->idle;
    struct dispatch *dispatch = batch->lane->dispatch;
    while (*end)
        end = &(*end)->next;
    batch->next = NULL;
    *end = batch;
    count_memory(batch);
    dispatch->n_trims--;
    dispatch->returned = true;
    wake(dispatch);
}

static void trim_lane(struct dispatch *dispatch, struct lane *lane, int64_t now_ns, int64_t *look_ns)
{
    for (struct batch **at = &lane->idle, *batch; (batch = *at) && idle_cores(dispatch) > 0;) {
        const bool all = dispatch->starving && batch->held_bytes > 0;
        const enum trim what = all ? TRIM_ALL : trim_judge(batch, batch == lane->idle, now_ns, look_ns);
        if (what == TRIM_NOTHING) {
            at = &batch->next;
            continue;
        }
        *at = batch->next;
        batch->trim_all = what == TRIM_ALL;
        batch->task = (struct task){.work = trim_work, .done = trim_done};
        dispatch->n_trims++;
        submit(dispatch, &batch->task);
    }
}

/* Where cores have nothing else to do; returns when to look again. */
static int64_t trim(struct dispatch *dispatch, int64_t now_ns)
{
    int64_t look_ns = LANE_NEVER;
    const bool wanted = !dispatch->jobs.draining || dispatch->starving;
    for (struct lane *lane = dispatch->lanes; lane && wanted; lane = lane->next)
        trim_lane(dispatch, lane, now_ns, &look_ns);
    return look_ns;
}

/* Starving */

static bool is_busy(const struct dispatch *dispatch)
{
    bool busy = dispatch->running || dispatch->n_trims || dispatch->n_helpers;
    for (const struct lane *lane = dispatch->lanes; lane && !busy; lane = lane->next)
        busy = lane->n_out > 0;
    return busy;
}

static void refuse_leader(struct lane *lane)
{
    struct job *job = job_list_pop(&lane->waiting);
    if (!job)
        return;
    lane_leave(lane, job);
    job_fall_short(job, lane->lifecycle->budget->limit_bytes);
    lifecycle_end_soon(job);
}

/* Memory has come back: whoever was refused some tries again. Nobody can give any: the first of each is refused. */
static void feed(struct dispatch *dispatch)
{
    if (!dispatch->starving || (!dispatch->returned && is_busy(dispatch)))
        return;
    for (struct lane *lane = dispatch->lanes; lane; lane = lane->next) {
        if (lane->starved && !dispatch->returned)
            refuse_leader(lane);
        lane->starved = false;
    }
    dispatch->starving = dispatch->returned = false;
    wake(dispatch);
}

/* Decoding takes memory as well: not the last eighth while something may give some back. */
static bool may_decode(const struct dispatch *dispatch)
{
    const struct percept_budget *budget = dispatch->jobs.budget;
    return !budget || budget_used(budget) < budget->limit_bytes / 8 * 7 || !is_busy(dispatch);
}

/* The turn */

static int64_t expire(struct dispatch *dispatch, int64_t now_ns)
{
    int64_t look_ns = LANE_NEVER;
    for (struct lane *lane = dispatch->lanes; lane; lane = lane->next) {
        struct job_list expired = {0};
        int64_t next_ns = lane_expire(lane, now_ns, &expired);
        for (struct job *job; (job = job_list_pop(&expired));) {
            job_expire(job);
            lifecycle_end_soon(job);
        }
        if (next_ns < look_ns)
            look_ns = next_ns;
        next_ns = sequences_expire(lane, now_ns);
        look_ns = next_ns < look_ns ? next_ns : look_ns;
    }
    return look_ns;
}

/* A lane asked for a batch while the server drains shall not wait for company that will not
 * come. */
static enum lane_action next_of(const struct dispatch *dispatch, const struct lane *lane, int64_t now_ns,
                                int64_t *look_ns)
{
    return lane_next(lane, dispatch->hurrying ? LANE_NEVER : now_ns, may_run(dispatch, lane), look_ns);
}

static int64_t used(const struct lane *lane)
{
    return lane->used_ns + lane->n_out * lane->task_ns;
}

static struct lane *choose(const struct dispatch *dispatch, int64_t now_ns, int64_t *look_ns, enum lane_action *action,
                           int *n_willing)
{
    struct lane *best = NULL;
    *n_willing = 0;
    for (struct lane *lane = dispatch->lanes; lane; lane = lane->next) {
        enum lane_action next = next_of(dispatch, lane, now_ns, look_ns);
        if (next == LANE_NOTHING || (next == LANE_DECODE && !may_decode(dispatch)))
            continue;
        ++*n_willing;
        if (best && used(lane) >= used(best))
            continue;
        best = lane;
        *action = next;
    }
    return best;
}

/* Gives cores to lanes while there are both; returns when a lane wants to be asked again. */
static int64_t assign_workers(struct dispatch *dispatch, int64_t now_ns)
{
    int64_t look_ns = LANE_NEVER;
    for (;;) {
        enum lane_action action = LANE_NOTHING;
        int n_willing;
        struct lane *lane = choose(dispatch, now_ns, &look_ns, &action, &n_willing);
        if (!lane) {
            assign_helpers(dispatch);
            return look_ns;
        }
        if (idle_cores(dispatch) <= 0) {
            recall(dispatch, n_willing);
            return look_ns;
        }
        if (lane->used_ns > dispatch->jobs.level_ns)
            dispatch->jobs.level_ns = lane->used_ns;
        if (action == LANE_WRITE)
            start_write(dispatch, lane);
        else if (action == LANE_DECODE)
            start_decode(dispatch, lane);
        else
            start_batch(dispatch, lane);
    }
}

static void arm(struct dispatch *dispatch, int64_t now_ns, int64_t look_ns)
{
    if (dispatch->armed_ns <= now_ns)
        dispatch->armed_ns = LANE_NEVER;
    if (look_ns >= dispatch->armed_ns)
        return; /* the alarm that is set comes first; then we look again */
    dispatch->armed_ns = look_ns;
    dispatch->cores.look(dispatch->cores.user, look_ns - now_ns);
}

void dispatch_turn(struct dispatch *dispatch)
{
    int64_t now_ns = now_of(dispatch);
    int64_t expiry_ns = expire(dispatch, now_ns);
    int64_t look_ns = assign_workers(dispatch, now_ns);
    int64_t trim_ns = trim(dispatch, now_ns);
    feed(dispatch);
    look_ns = trim_ns < look_ns ? trim_ns : look_ns;
    arm(dispatch, now_ns, expiry_ns < look_ns ? expiry_ns : look_ns);
    if (dispatch->jobs.ended.n) {
        lifecycle_end_all(&dispatch->jobs, &dispatch->jobs.ended);
        wake(dispatch);
    }
    if (dispatch->drained && !dispatch->jobs.n_in_flight && !dispatch->n_helpers && !dispatch->n_trims) {
        void (*drained)(void *user) = dispatch->drained;
        dispatch->drained = NULL;
        drained(dispatch->drained_user);
    }
}

void dispatch_end_queue_delay(struct dispatch *dispatch)
{
    dispatch->hurrying = true;
    wake(dispatch);
}

void dispatch_drain(struct dispatch *dispatch, void (*drained)(void *user), void *user)
{
    dispatch->jobs.draining = dispatch->hurrying = true;
    dispatch->drained = drained;
    dispatch->drained_user = user;
    wake(dispatch);
}

/* Birth and death */

bool dispatch_lane_go_on(struct lane *lane, struct percept_session *session, struct percept_err *err)
{
    struct batch *batch = session ? take_batch(lane->dispatch, lane) : NULL;
    if (session && !batch)
        return err_set(err, ERR_MEMORY, "out of memory: a batch");
    if (batch) {
        batch->session = session;
        batch->held_bytes = batch->engine->session_bytes(session);
        count_memory(batch);
        batch->next = lane->idle;
        lane->idle = batch;
    }
    lane->held = false;
    return true;
}

struct lane *dispatch_lane_new(struct dispatch *dispatch, struct served *served, const struct lane_ios *ios,
                               const struct settings *settings, struct percept_session *session,
                               struct percept_err *err)
{
    struct lane *lane = arena_buffer(sizeof *lane);
    if (!lane)
        return err_null(err, ERR_MEMORY, "out of memory: a queue needs %zu bytes", sizeof *lane);
    lane->dispatch = dispatch;
    lane->lifecycle = &dispatch->jobs;
    lane->sequences = dispatch->sequences;
    sequences_limit(dispatch->sequences, settings->sequence_memory_bytes);
    lane->served = served;
    lane->ios = *ios;
    lane_limits(lane, served, settings);
    if (!dispatch_lane_go_on(lane, session, err)) {
        arena_buffer_free(lane);
        return NULL;
    }
    lane->next = dispatch->lanes;
    dispatch->lanes = lane;
    return lane;
}

void dispatch_lane_hold(struct lane *lane)
{
    lane->held = true;
}

bool dispatch_lane_is_home(const struct lane *lane)
{
    int n_home = 0;
    for (const struct batch *batch = lane->idle; batch; batch = batch->next)
        n_home++;
    return n_home == lane->n_batches;
}

struct batch *dispatch_lane_take_sessions(struct lane *lane)
{
    struct batch *first = lane->idle;
    assert(lane->held && dispatch_lane_is_home(lane));
    for (struct batch *batch = first; batch; batch = batch->next)
        lane->served->stats.session_bytes -= batch->counted_bytes;
    lane->idle = NULL;
    lane->n_batches = 0;
    return first;
}

void dispatch_free_sessions(struct batch *first)
{
    for (struct batch *batch = first, *next; batch; batch = next) {
        next = batch->next;
        batch_free(batch);
    }
}

void dispatch_lane_fail(struct lane *lane, const struct percept_err *why)
{
    struct job_list *const lists[] = {&lane->undecoded, &lane->waiting};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        for (struct job *job; (job = job_list_pop(lists[i]));) {
            lane_leave(lane, job);
            job->err = *why;
            lifecycle_end_soon(job);
        }
}

bool dispatch_lane_rests(const struct lane *lane)
{
    return !lane->n_pending && !lane->unwritten.n && !lane->n_out && dispatch_lane_is_home(lane);
}

void dispatch_lane_forget(struct lane *lane)
{
    sequences_drop_all(lane);
}

void dispatch_lane_part(struct lane *lane)
{
    if (!lane || lane->parted)
        return;
    sequences_drop_all(lane);
    assert(dispatch_lane_rests(lane));
    struct lane **at = &lane->dispatch->lanes;
    while (*at != lane)
        at = &(*at)->next;
    *at = lane->next;
    lane->parted = true;
}

void dispatch_lane_free(struct lane *lane)
{
    if (!lane)
        return;
    dispatch_lane_part(lane);
    dispatch_free_sessions(lane->idle);
    arena_buffer_free(lane);
}

struct dispatch *dispatch_new(const struct dispatch_cores *cores, const struct batch_engine *engine,
                              struct percept_err *err)
{
    size_t n = (size_t)cores->workers;
    struct dispatch *dispatch = arena_buffer(sizeof *dispatch + n * sizeof *dispatch->helpers);
    if (!dispatch)
        return err_null(err, ERR_MEMORY, "out of memory: the dispatcher");
    dispatch->sequences = sequences_new(err);
    if (!dispatch->sequences) {
        arena_buffer_free(dispatch);
        return NULL;
    }
    dispatch->cores = *cores;
    dispatch->jobs =
        (struct lifecycle){.user = dispatch, .workers = cores->workers, .now_ns = jobs_now_ns, .wake = jobs_wake};
    dispatch->engine = engine;
    dispatch->armed_ns = LANE_NEVER;
    dispatch->helpers = (struct helper *)(dispatch + 1);
    for (size_t i = 0; i < n; i++) {
        struct helper *helper = &dispatch->helpers[i];
        helper->dispatch = dispatch;
        helper->next = dispatch->free_helpers;
        dispatch->free_helpers = helper;
    }
    return dispatch;
}

void dispatch_set_budget(struct dispatch *dispatch, struct percept_budget *budget)
{
    dispatch->jobs.budget = budget;
}

void dispatch_free(struct dispatch *dispatch)
{
    if (!dispatch)
        return;
    assert(!dispatch->lanes && !dispatch->jobs.n_in_flight && !dispatch->n_helpers && !dispatch->n_trims);
    if (dispatch->loop)
        loop_off_turn(dispatch->loop, dispatch);
    loop_timer_free(dispatch->timer);
    sequences_free(dispatch->sequences);
    arena_buffer_free(dispatch);
}

/* On a loop: the dispatcher is its own cores' user. */

static int64_t loops_now_ns(void *user)
{
    (void)user;
    return loop_now_ns();
}

static int loops_idle(void *user)
{
    struct dispatch *dispatch = user;
    dispatch->jobs.workers = loop_used(dispatch->loop).allowed; /* what estimates count with */
    return loop_idle(dispatch->loop);
}

static void loops_submit(void *user, struct task *task)
{
    loop_submit(((struct dispatch *)user)->loop, task);
}

static void loops_wake(void *user)
{
    loop_wake(((struct dispatch *)user)->loop);
}

static void loops_look(void *user, int64_t after_ns)
{
    loop_timer_start(((struct dispatch *)user)->timer, after_ns);
}

static void on_turn(void *user)
{
    dispatch_turn(user);
}

struct dispatch *dispatch_new_on(struct loop *loop, const struct batch_engine *engine, struct percept_err *err)
{
    struct dispatch_cores cores = {.workers = loop_workers(loop),
                                   .members = loop_cores(),
                                   .now_ns = loops_now_ns,
                                   .idle = loops_idle,
                                   .submit = loops_submit,
                                   .wake = loops_wake,
                                   .look = loops_look};
    struct dispatch *dispatch = dispatch_new(&cores, engine, err);
    if (!dispatch)
        return NULL;
    dispatch->cores.user = dispatch;
    dispatch->timer = loop_timer_new(loop, on_turn, dispatch);
    if (!dispatch->timer) {
        sequences_free(dispatch->sequences);
        arena_buffer_free(dispatch);
        return err_null(err, ERR_SYSTEM, "cannot make a timer: memory or file descriptors are short");
    }
    dispatch->loop = loop;
    loop_on_turn(loop, on_turn, dispatch);
    return dispatch;
}
