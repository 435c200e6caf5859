/*
 * batch.c - gather, run, scatter; everything in batch_work happens on a worker, in one trip.
 *
 *     job a: 2 items  \                              / rows 0-1 -> a's reply
 *     job b: 1 item   -> input rows 0..3 -> run ->  -  row  2   -> b's reply
 *     job c: 1 item   /                              \ row  3   -> c's reply
 *
 * Rows lie along the batch axis of each input and output (percept_io.batch_axis). Where that is not the first of what
 * is longer than 1, a job's are strips: as many pieces as there is before the axis, and so far apart as all rows are
 * long.
 *
 * Nobody pays for a neighbour. If a joint run fails for any reason but a deadline or a cancel, each
 * job is run alone and gets its own answer or its own error. If the results cannot be told apart by
 * their batch axis, or if the failure was the model's and everybody succeeds alone, the batch says
 * "inseparable" and its lane stops joining jobs.
 *
 * Jobs are joined only at shapes at which the engine has a proof that items depend on nothing but themselves, or
 * the owner's word: a network that cuts 24 samples from whatever comes finds them in two items of 12 as well, and
 * would mix them. It looks for the proof once at each set of shapes.
 *
 * Between the loop that forms a batch and the worker that has it time passes: whoever is over when the worker begins is
 * not run, and lies behind the others from then on. The loop counts its cancels by n_jobs, which stays.
 *
 * The rows that a job gets, unless they are strips, are views of the session's outputs, which may be views of its
 * inputs; they hold until the session runs again. So what is written quickly is written at once, and where that would
 * take long the rows are copied (job->late): the session goes home, and the reply is written by a trip of its own,
 * several by several cores. A job that was cancelled on the way is not encoded.
 *
 * The engine computes an item's result with the same bits whatever the batch: that is its promise,
 * and the reason why joining and separating jobs is nobody's business but ours.
 */
#include "serve/batch.h"

#include "base/budget.h"
#include "base/err.h"
#include "serve/encoder.h"
#include "serve/sequences.h"
#include "serve/states.h"

#include <inttypes.h>

const struct batch_engine batch_percept = {
    .session_new = percept_session_new,
    .session_free = percept_session_free,
    .resize = percept_resize,
    .prepare = percept_prepare,
    .items_independent = percept_items_independent,
    .input = percept_input,
    .run = percept_run,
    .output = percept_output,
    .flops = percept_session_flops,
    .session_needs = percept_session_needs,
    .session_bytes = percept_session_bytes,
    .session_trim = percept_session_trim,
    .team_new = percept_team_new,
    .team_free = percept_team_free,
    .team_help = percept_team_help,
    .team_close = percept_team_close,
    .now_ns = loop_now_ns,
};

struct batch *batch_new(struct lane *lane, const struct batch_engine *engine)
{
    size_t n = (size_t)lane->ios.n_outputs;
    size_t n_bytes;
    if (!arena_multiply(n, 2 * sizeof(struct percept_tensor), &n_bytes))
        return NULL;
    struct batch *batch = arena_buffer(sizeof *batch + n_bytes);
    if (!batch)
        return NULL;
    batch->lane = lane;
    batch->engine = engine;
    batch->outputs = (struct percept_tensor *)(batch + 1);
    batch->views = batch->outputs + n;
    return batch;
}

void batch_free(struct batch *batch)
{
    if (!batch)
        return;
    if (batch->session)
        batch->engine->session_free(batch->session);
    arena_buffer_free(batch);
}

void batch_fill(struct batch *batch, const struct job_list *jobs, int64_t n_items)
{
    batch->jobs = *jobs;
    batch->n_jobs = batch->n_wanted = jobs->n;
    batch->over = NULL;
    batch->n_begun_over = 0;
    batch->n_items = n_items;
    batch->n_cancelled = 0;
    batch->cancel = 0;
    batch->one_by_one = batch->inseparable = false;
    batch->leader_home = batch->team_closed = batch->helped = false;
    batch->n_runs = 0;
    batch->flops = 0;
    int64_t offset = 0;
    for (struct job *job = jobs->first; job; job = job->next) {
        job->state = JOB_RUNNING;
        job->batch = batch;
        job->offset = offset;
        offset += job->n_items;
    }
}

void batch_cancel(struct batch *batch, struct job *job)
{
    if (loop_flag_raised(&job->cancelled))
        return;
    loop_flag_raise(&job->cancelled);
    if (++batch->n_cancelled == batch->n_jobs)
        loop_flag_raise(&batch->cancel);
}

/* Bytes of a tensor from `axis` on: one row of it for axis 1. Its data is in memory, so this
 * fits. */
static size_t bytes_from(const struct percept_tensor *tensor, int axis)
{
    size_t n_bytes = percept_dtype_bytes(tensor->dtype);
    for (; axis < tensor->rank; axis++)
        n_bytes *= (size_t)tensor->dims[axis];
    return n_bytes;
}

/* Jobs that run together: `n` from `first`. */
struct group {
    struct job *first;
    int n;
    int64_t n_items;
    const int *cancel;
};

/* The shapes of a job, with so many items; 0: as they are. */
static bool resize(struct batch *batch, const struct job *job, int64_t n_items, struct percept_err *err)
{
    for (int i = 0; i < batch->lane->ios.n_inputs; i++) {
        struct percept_tensor shape = job->inputs[i];
        if (n_items)
            shape.dims[batch->lane->ios.inputs[i].batch_axis] = n_items;
        if (!batch->engine->resize(batch->session, i, shape.rank, shape.dims, err))
            return false;
    }
    return batch->engine->prepare(batch->session, err);
}

static size_t pieces_before(const struct percept_tensor *tensor, int axis)
{
    size_t n = 1;
    for (int d = 0; d < axis; d++)
        n *= (size_t)tensor->dims[d];
    return n;
}

/* n pieces, each so far from the next on either side. */
static bool copy_pieces(struct watch *watch, char *to, size_t to_step, const char *from, size_t from_step, size_t n,
                        size_t n_bytes)
{
    for (size_t i = 0; i < n && n_bytes; i++, to += to_step, from += from_step)
        if (!watch_copy(watch, to, from, n_bytes))
            return false;
    return true;
}

/* All rows of an input, side by side. */
static bool gather_input(const struct batch *batch, const struct group *group, int i, char *to, struct watch *watch)
{
    const struct job *job = group->first;
    const int axis = group->n > 1 ? batch->lane->ios.inputs[i].batch_axis : 0;
    const size_t n = pieces_before(&job->inputs[i], axis);
    const size_t step = group->n > 1 ? bytes_from(&job->inputs[i], axis + 1) * (size_t)group->n_items : 0;
    for (int j = 0; j < group->n; j++, job = job->next) {
        const size_t n_bytes = bytes_from(&job->inputs[i], axis);
        if (!copy_pieces(watch, to, step, job->inputs[i].data, n_bytes, n, n_bytes))
            return false;
        to += n_bytes;
    }
    return true;
}

static bool gather(struct batch *batch, const struct group *group, struct watch *watch, struct percept_err *err)
{
    if (!resize(batch, group->first, group->n > 1 ? group->n_items : 0, err))
        return false;
    for (int i = 0; i < batch->lane->ios.n_inputs; i++) {
        char *to = batch->engine->input(batch->session, i);
        if (!to)
            return err_set(err, ERR_MEMORY, "out of memory: input %d of %" PRId64 " items", i, group->n_items);
        if (!gather_input(batch, group, i, to, watch))
            return watch_refuse(watch, err);
    }
    return true;
}

/* A run may be given up when the last of its jobs has lost interest. */
static int64_t deadline_of(const struct group *group)
{
    int64_t latest_ns = 0;
    const struct job *job = group->first;
    for (int j = 0; j < group->n; j++, job = job->next) {
        if (!job->watch.deadline_ns)
            return 0;
        if (job->watch.deadline_ns > latest_ns)
            latest_ns = job->watch.deadline_ns;
    }
    return latest_ns;
}

/* Was it for want of what others hold? */
static void note_shortage(struct batch *batch, size_t refusals, const struct percept_err *err)
{
    batch->short_bytes = err->code == ERR_MEMORY && budget_refusals() != refusals ? budget_refused_bytes() : 0;
}

static bool is_over(const struct job *job, int64_t now_ns)
{
    return (job->watch.deadline_ns && job->watch.deadline_ns <= now_ns) || loop_flag_raised(&job->cancelled);
}

static int count_over(const struct group *group, int64_t now_ns)
{
    int n = 0;
    const struct job *job = group->first;
    for (int j = 0; j < group->n; j++, job = job->next)
        n += is_over(job, now_ns);
    return n;
}

static bool run(struct batch *batch, const struct group *group, struct percept_err *err)
{
    const struct batch_engine *engine = batch->engine;
    const size_t refusals = budget_refusals();
    int64_t started_ns = engine->now_ns();
    const struct percept_run_context context = {
        .deadline_ns = deadline_of(group), .cancel = group->cancel, .team = batch->team};
    struct watch watch = {
        .deadline_ns = context.deadline_ns, .cancel = context.cancel, .now_ns = engine->now_ns, .left = WATCH_STRIDE};
    bool ok = gather(batch, group, &watch, err);
    int64_t gathered_ns = engine->now_ns();
    const int n_over = count_over(group, started_ns);
    if (ok) {
        ok = engine->run(batch->session, &context, err);
        batch->n_runs += ok;
        batch->n_begun_over += ok ? n_over : 0;
        const size_t needs = engine->session_needs(batch->session);
        batch->needed_bytes = needs > batch->needed_bytes ? needs : batch->needed_bytes;
    }
    int64_t finished_ns = engine->now_ns();
    struct job *job = group->first;
    for (int j = 0; j < group->n; j++, job = job->next) {
        job->started_ns = started_ns;
        job->gather_ns = gathered_ns - started_ns;
        job->finished_ns = finished_ns;
        job->batch_size = (int)group->n_items;
    }
    batch->gathered_ns = gathered_ns;
    batch->finished_ns = finished_ns;
    batch->short_bytes = 0;
    if (!ok) {
        note_shortage(batch, refusals, err);
        return false;
    }
    batch->flops = engine->flops(batch->session);
    for (int o = 0; o < batch->lane->ios.n_outputs; o++)
        batch->outputs[o] = engine->output(batch->session, o);
    return true;
}

static bool separable(const struct batch *batch)
{
    for (int o = 0; o < batch->lane->ios.n_outputs; o++) {
        const int axis = batch->lane->ios.outputs[o].batch_axis;
        if (batch->outputs[o].rank <= axis || batch->outputs[o].dims[axis] != batch->n_items)
            return false;
    }
    return true;
}

/* The job's rows of an output: a view where they lie together, else a copy. */
static bool rows_of_output(const struct batch *batch, struct job *job, int o, struct percept_tensor *view,
                           struct percept_err *err)
{
    *view = batch->outputs[o];
    const int axis = batch->lane->ios.outputs[o].batch_axis;
    const size_t row = bytes_from(view, axis + 1), n = pieces_before(view, axis);
    const size_t step = row * (size_t)batch->n_items, n_bytes = row * (size_t)job->n_items;
    const char *from = (const char *)view->data + (row && n ? row * (size_t)job->offset : 0);
    view->dims[axis] = job->n_items;
    view->data = n == 1 ? (void *)(uintptr_t)from : arena_alloc(job->arena, n * n_bytes + 1);
    if (n != 1 && !view->data)
        return err_memory(err, "a request's results", n * n_bytes);
    return n == 1 || copy_pieces(&job->watch, view->data, n_bytes, from, step, n, n_bytes) ||
           watch_refuse(&job->watch, err);
}

/* Of the outputs that it wants, and of its sequence's states. NULL where they had to be copied and were not. */
static const struct percept_tensor *rows_of(struct batch *batch, struct job *job, struct percept_err *err)
{
    job->watch.left = WATCH_STRIDE; /* few that are there are given, if late */
    for (int i = 0; i < job->n_outputs; i++) {
        const int o = job->outputs[i].index;
        if (!rows_of_output(batch, job, o, &batch->views[o], err))
            return NULL;
    }
    const struct states *states = job->sequence.of ? job->served->states : NULL;
    for (int i = 0; states && i < states->n_states; i++) {
        const int o = states->states[i].output;
        if (!rows_of_output(batch, job, o, &batch->views[o], err))
            return NULL;
    }
    return batch->views;
}

static void encode(struct batch *batch, struct job *job, const struct percept_tensor *results)
{
    const size_t refusals = budget_refusals();
    if (job->sequence.of && !sequences_keep(job, results, &job->err))
        return;
    job->late = encoder_is_long(job, results);
    if (job->late)
        encoder_put_off(job, results, batch->engine->now_ns);
    else
        encoder_write(job, results, batch->engine->now_ns);
    job_note_shortage(job, refusals);
    job->n_unwritten += job->short_bytes > 0;
}

static void fail(const struct batch *batch, struct job *job, const struct percept_err *err)
{
    if (err->code == ERR_TIMEOUT)
        job_expire(job);
    else if (err->code == ERR_CANCELLED || loop_flag_raised(&job->cancelled))
        job_give_up(job);
    else
        job->err = *err;
    if (job->err.code == ERR_MEMORY)
        job->short_bytes = batch->short_bytes;
}

static void fail_all(struct batch *batch, const struct percept_err *err)
{
    for (struct job *job = batch->jobs.first; job != batch->over; job = job->next)
        fail(batch, job, err);
}

/* What one could not have is not there for those behind it either: they are not tried. */
static void fail_rest(const struct batch *batch, const struct job *job)
{
    for (struct job *rest = job->next; rest != batch->over; rest = rest->next) {
        fail(batch, rest, &job->err);
        rest->short_bytes = rest->err.code == ERR_MEMORY ? job->short_bytes : 0;
    }
}

/* Those that nobody waits for any more, by now: they end here, behind the others. */
static void part_over(struct batch *batch, int64_t now_ns)
{
    struct job_list wanted = {0}, over = {0};
    batch->n_items = 0;
    for (struct job *job; (job = job_list_pop(&batch->jobs));) {
        if (is_over(job, now_ns)) {
            loop_flag_raised(&job->cancelled) ? job_give_up(job) : job_expire(job);
            job_list_push(&over, job);
            continue;
        }
        job->offset = batch->n_items;
        batch->n_items += job->n_items;
        job_list_push(&wanted, job);
    }
    batch->n_wanted = wanted.n;
    batch->over = over.first;
    for (struct job *job; (job = job_list_pop(&over));)
        job_list_push(&wanted, job);
    batch->jobs = wanted;
}

/* Returns whether every job succeeded alone. */
static bool run_one_by_one(struct batch *batch)
{
    bool all = true;
    batch->one_by_one = true;
    for (struct job *job = batch->jobs.first; job != batch->over; job = job->next) {
        const struct group alone = {.first = job, .n = 1, .n_items = job->n_items, .cancel = &job->cancelled};
        struct percept_err err = {0};
        const bool ran = run(batch, &alone, &err);
        if (ran)
            encode(batch, job, batch->outputs);
        else
            fail(batch, job, &err);
        all = all && ran;
        if (job->short_bytes) {
            fail_rest(batch, job);
            return false;
        }
    }
    return all;
}

/* Would jobs fare better alone? Their elements and their memory are their own affair; anything
 * else but being stopped speaks against joining them at all. */
static void recover(struct batch *batch, const struct percept_err *err)
{
    if (batch->n_wanted == 1 || err->code == ERR_TIMEOUT || err->code == ERR_CANCELLED) {
        fail_all(batch, err);
        return;
    }
    bool theirs = err->code == ERR_DATA || err->code == ERR_MEMORY;
    bool all = run_one_by_one(batch);
    batch->inseparable = all && !theirs;
}

/* Does everybody get what he would get alone? Together the items have to be apart, and so have those of a job
 * that brought several. */
static bool may_join(struct batch *batch, const struct group *group)
{
    const struct batch_engine *engine = batch->engine;
    int64_t asked = group->n_items;
    if (!resize(batch, group->first, asked, NULL) || !engine->items_independent(batch->session))
        return false;
    for (const struct job *job = group->first; job != batch->over; job = job->next) {
        if (job->n_items == 1 || job->n_items == asked)
            continue;
        asked = job->n_items;
        if (!resize(batch, job, 0, NULL) || !engine->items_independent(batch->session))
            return false;
    }
    return true;
}

static void run_together(struct batch *batch)
{
    struct percept_err err = {0};
    const struct group group = {
        .first = batch->jobs.first, .n = batch->n_wanted, .n_items = batch->n_items, .cancel = &batch->cancel};
    if (group.n > 1 && !may_join(batch, &group)) {
        run_one_by_one(batch);
        return;
    }
    if (!run(batch, &group, &err)) {
        recover(batch, &err);
        return;
    }
    if (group.n == 1) {
        encode(batch, batch->jobs.first, batch->outputs);
        return;
    }
    if (!separable(batch)) {
        run_one_by_one(batch);
        batch->inseparable = true;
        return;
    }
    for (struct job *job = batch->jobs.first; job != batch->over; job = job->next) {
        struct percept_err why = {0};
        const size_t refusals = budget_refusals();
        const struct percept_tensor *rows = rows_of(batch, job, &why);
        if (rows)
            encode(batch, job, rows);
        else
            fail(batch, job, &why);
        job_note_shortage(job, refusals);
        job->n_unwritten += !rows && job->short_bytes > 0;
    }
}

void batch_trim(struct batch *batch)
{
    batch->engine->session_trim(batch->session, batch->trim_all);
    batch->held_bytes = batch->engine->session_bytes(batch->session);
    arena_give_back();
}

void batch_work(struct batch *batch)
{
    struct percept_err err = {0};
    batch->started_ns = batch->gathered_ns = batch->finished_ns = batch->engine->now_ns();
    batch->first_run = !batch->session;
    const size_t refusals = budget_refusals();
    if (!batch->session)
        batch->session = batch->engine->session_new(batch->lane->served->model, &err);
    part_over(batch, batch->started_ns);
    if (batch->session && batch->n_wanted) {
        run_together(batch);
    } else {
        note_shortage(batch, refusals, &err);
        fail_all(batch, &err);
    }
    if (batch->team)
        batch->engine->team_close(batch->team);
    if (batch->session)
        batch->held_bytes = batch->engine->session_bytes(batch->session);
    batch->ended_ns = batch->engine->now_ns();
}

bool batch_warm(const struct batch_engine *engine, struct percept_session *session, const struct percept_io *inputs,
                int n_inputs, int64_t n_items, struct percept_err *err)
{
    for (int i = 0; i < n_inputs; i++) {
        int64_t dims[PERCEPT_RANK_MAX] = {0};
        if (inputs[i].rank <= 0) /* a scalar that is declared may be anything (engine/session.c) */
            return true;
        for (int axis = 0; axis < inputs[i].rank; axis++) {
            dims[axis] = axis == inputs[i].batch_axis ? n_items : inputs[i].dims[axis];
            if (dims[axis] < 0)
                return true;
        }
        if (!engine->resize(session, i, inputs[i].rank, dims, err))
            return false;
    }
    return engine->prepare(session, err);
}
