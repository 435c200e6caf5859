/*
 * fake.c - see fake.h. The engine's functions have no parameter for us, so there is one fake at a
 * time.
 */
#include "fake.h"

#include "base/err.h"
#include "engine/model.h"

#include <check.h>
#include <math.h>

static struct fake *now;

#define FAKE_FENCE 64
#define FAKE_UNTOUCHED (-12345.5F)

int fake_members = 16;

struct percept_session {
    int64_t dims[2];
    size_t held_bytes;
    float in[FAKE_MAX * FAKE_WIDTH + FAKE_FENCE]; /* what a run has no use for nobody may write */
    float out[FAKE_MAX * FAKE_WIDTH];
};

static struct percept_session *session_new(const struct percept_model *model, struct percept_err *err)
{
    (void)model;
    if (now->no_session)
        return err_null(err, ERR_MEMORY, "no session today");
    struct percept_session *session = arena_buffer(sizeof *session);
    if (!session)
        return err_null(err, ERR_MEMORY, "out of memory: a session");
    now->n_sessions++;
    return session;
}

static void session_free(struct percept_session *session)
{
    now->n_sessions--;
    arena_buffer_free(session);
}

static bool resize(struct percept_session *session, int input, int rank, const int64_t *dims, struct percept_err *err)
{
    if (input != 0 || rank != 2 || dims[0] * dims[1] > FAKE_MAX * FAKE_WIDTH ||
        (now->no_single && dims[now->io.batch_axis] == 1))
        return err_set(err, ERR_INVALID, "such a shape");
    session->dims[0] = dims[0];
    session->dims[1] = dims[1];
    return true;
}

static bool items_independent(struct percept_session *session)
{
    (void)session;
    return !now->no_single && !now->coupled;
}

static bool prepare(struct percept_session *session, struct percept_err *err)
{
    (void)session, (void)err;
    return true;
}

static void *input_of(struct percept_session *session, int input)
{
    now->now_ns += now->gather_ns;
    void (*gathering)(void) = now->gathering;
    now->gathering = NULL;
    if (gathering)
        gathering();
    for (int i = 0; input == 0 && i < FAKE_MAX * FAKE_WIDTH + FAKE_FENCE; i++)
        session->in[i] = FAKE_UNTOUCHED;
    return input == 0 ? session->in : NULL;
}

static bool run(struct percept_session *session, const struct percept_run_context *context, struct percept_err *err)
{
    const int64_t n_items = session->dims[now->io.batch_axis];
    now->runs[now->n_runs++ % FAKE_MAX] = n_items;
    const size_t needs = now->item_bytes * (size_t)n_items;
    session->held_bytes = needs > session->held_bytes ? needs : session->held_bytes;
    now->deadline_ns = context->deadline_ns;
    void (*meanwhile)(void) = now->meanwhile;
    now->meanwhile = NULL;
    if (meanwhile)
        meanwhile();
    now->cancel_seen = loop_flag_raised(context->cancel);
    now->now_ns += now->run_ns + n_items * now->item_ns;
    if (now->cancel_seen)
        return err_set(err, ERR_CANCELLED, "cancelled");
    if (context->deadline_ns && context->deadline_ns <= now->now_ns)
        return err_set(err, ERR_TIMEOUT, "too late");
    if (now->fail_joint && n_items > 1)
        return err_set(err, (enum err_code)now->fail_joint, "not together");
    int64_t behind = session->dims[0] * session->dims[1];
    while (behind < FAKE_MAX * FAKE_WIDTH + FAKE_FENCE && session->in[behind] == FAKE_UNTOUCHED)
        behind++;
    ck_assert_msg(behind == FAKE_MAX * FAKE_WIDTH + FAKE_FENCE, "element %d lies behind the input", (int)behind);
    for (int64_t i = 0; i < session->dims[0] * session->dims[1]; i++) {
        if (isnan(session->in[i]))
            return err_set(err, ERR_DATA, "element %d is NaN", (int)i);
        session->out[i] = 2 * session->in[i];
    }
    return true;
}

static struct percept_tensor output(const struct percept_session *session, int index)
{
    ck_assert_int_eq(index, 0);
    struct percept_tensor tensor = {
        .dtype = PERCEPT_FLOAT, .rank = 2, .dims = {session->dims[0], session->dims[1]}, .data = (void *)session->out};
    if (now->whole_output) {
        tensor.dims[0] = 1;
        tensor.dims[1] = session->dims[0] * session->dims[1];
    }
    return tensor;
}

static size_t session_needs(const struct percept_session *session)
{
    return now->item_bytes * (size_t)session->dims[now->io.batch_axis];
}

static size_t session_bytes(const struct percept_session *session)
{
    return session->held_bytes;
}

static void session_trim(struct percept_session *session, bool all)
{
    now->n_trims++;
    now->n_trims_all += all;
    session->held_bytes = all ? 0 : session_needs(session);
}

static double flops(const struct percept_session *session)
{
    return now->item_flops * (double)session->dims[now->io.batch_axis];
}

struct percept_team {
    bool closed;
};

static struct percept_team *fakes_team_new(struct percept_err *err)
{
    (void)err;
    now->n_teams++;
    return arena_buffer(sizeof(struct percept_team));
}

static void fakes_team_free(struct percept_team *team)
{
    now->n_teams--;
    arena_buffer_free(team);
}

static void fakes_team_help(struct percept_team *team)
{
    now->n_helped += !team->closed;
}

static void fakes_team_close(struct percept_team *team)
{
    team->closed = true;
    now->n_closed++;
}

static bool write(struct job *job, const struct percept_tensor *results, struct percept_err *err)
{
    (void)err;
    struct fake_job *fake_job = job->user;
    fake_job->encoded = true;
    now->now_ns += now->encode_ns;
    fake_job->n_y = (int)(results->dims[0] * results->dims[1]);
    ck_assert_int_le(fake_job->n_y, FAKE_WIDTH);
    if (fake_job->n_y)
        memcpy(fake_job->y, results->data, (size_t)fake_job->n_y * sizeof(float));
    return true;
}

static int64_t clock_ns(void)
{
    return now->now_ns;
}

static const struct batch_engine engine = {
    .session_new = session_new,
    .session_free = session_free,
    .resize = resize,
    .prepare = prepare,
    .items_independent = items_independent,
    .input = input_of,
    .run = run,
    .output = output,
    .flops = flops,
    .session_needs = session_needs,
    .session_bytes = session_bytes,
    .session_trim = session_trim,
    .team_new = fakes_team_new,
    .team_free = fakes_team_free,
    .team_help = fakes_team_help,
    .team_close = fakes_team_close,
    .now_ns = clock_ns,
};

static int64_t cores_now_ns(void *user)
{
    return ((struct fake *)user)->now_ns;
}

static int cores_idle(void *user)
{
    const struct fake *fake = user;
    return fake->workers - fake->n_tasks;
}

static void cores_submit(void *user, struct task *task)
{
    struct fake *fake = user;
    ck_assert_int_lt(fake->n_tasks, fake->workers);
    fake->tasks[fake->n_tasks++] = task;
}

static void cores_wake(void *user)
{
    ((struct fake *)user)->woken = true;
}

static void cores_look(void *user, int64_t after_ns)
{
    struct fake *fake = user;
    ck_assert_int_gt(after_ns, 0);
    fake->alarm_ns = fake->now_ns + after_ns;
}

static struct job_output whole; /* the model's first */

static bool decode(struct job *job, struct percept_err *err)
{
    struct fake_job *fake_job = job->user;
    if (fake_job->decode_fails)
        return err_set(err, ERR_INVALID, "no body like this");
    job->inputs = &fake_job->input;
    job->n_items = fake_job->input.dims[now->io.batch_axis];
    job->outputs = &whole;
    job->n_outputs = 1;
    job->timeout_us = fake_job->timeout_us;
    return true;
}

static bool fits(const struct job *job)
{
    (void)job;
    return true;
}

static bool is_long(const struct job *job, const struct percept_tensor *results)
{
    (void)job, (void)results;
    return now->long_replies;
}

static const struct encoder encoder = {
    .name = "fake", .media_type = "test/reply", .fits = fits, .is_long = is_long, .write = write};

const struct codec fake_codec = {.media_type = "test/loop", .decode = decode};
const struct codec fake_worker_codec = {.media_type = "test/worker", .worker_always = true, .decode = decode};

static void done(struct job *job)
{
    struct fake_job *fake_job = job->user;
    fake_job->n_done++;
    fake_job->order = ++now->n_ended;
    arena_free(&fake_job->arena);
}

/* One input and one output of rows of any width. */
static struct percept_io rows = {.name = "x", .dtype = PERCEPT_FLOAT, .rank = 2, .dims = {-1, -1}};
static struct percept_model network = {.n_inputs = 1, .inputs = &rows, .n_outputs = 1, .outputs = &rows};

static void open_lane(struct fake *fake, struct served *served, const char *name)
{
    *served = (struct served){.name = name,
                              .version = 1,
                              .state = SERVED_READY,
                              .manifest = &fake->manifest,
                              .model = &network,
                              .batching = true,
                              .max_batch_size = 8};
    ck_assert(stats_sizes(&served->stats, 8, &served->arena));
    const struct lane_ios ios = {.inputs = &fake->io, .outputs = &fake->io, .n_inputs = 1, .n_outputs = 1};
    served->lane = dispatch_lane_new(fake->dispatch, served, &ios, &fake->settings, NULL, NULL);
    ck_assert_ptr_nonnull(served->lane);
}

struct fake *fake_new(int workers)
{
    struct fake *fake = arena_buffer(sizeof *fake);
    now = fake;
    fake->now_ns = 1000000000;
    fake->alarm_ns = LANE_NEVER;
    fake->workers = workers;
    fake->settings = (struct settings){.max_queue_size = 32, .no_learn = true};
    fake->manifest = (struct manifest){.max_batch_size = -1, .max_queue_delay_us = -1, .max_queue_size = -1};
    const struct dispatch_cores cores = {.user = fake,
                                         .workers = workers,
                                         .members = fake_members,
                                         .now_ns = cores_now_ns,
                                         .idle = cores_idle,
                                         .submit = cores_submit,
                                         .wake = cores_wake,
                                         .look = cores_look};
    fake->dispatch = dispatch_new(&cores, &engine, NULL);
    ck_assert_ptr_nonnull(fake->dispatch);
    open_lane(fake, &fake->served[0], "a");
    open_lane(fake, &fake->served[1], "b");
    return fake;
}

void fake_free(struct fake *fake)
{
    fake_settle(fake);
    ck_assert_int_eq(dispatch_in_flight(fake->dispatch), 0);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(fake->served[i].n_holders, 0);
        ck_assert_int_eq(fake->served[i].stats.pending, 0);
        dispatch_lane_free(fake->served[i].lane);
        arena_free(&fake->served[i].arena);
    }
    dispatch_free(fake->dispatch);
    ck_assert_int_eq(fake->n_sessions, 0);
    ck_assert_int_eq(fake->n_teams, 0);
    arena_buffer_free(fake);
    now = NULL;
}

void fake_lie_along(struct fake *fake, int axis)
{
    fake->io.batch_axis = axis;
}

void fake_job_fill(struct fake *fake, struct fake_job *job, int64_t n, int64_t width, float first)
{
    ck_assert_int_le(n * width, FAKE_WIDTH);
    *job = (struct fake_job){.job = {.arena = &job->arena,
                                     .served = &fake->served[0],
                                     .codec = &fake_codec,
                                     .encoder = &encoder,
                                     .done = done,
                                     .user = job},
                             .input = {.dtype = PERCEPT_FLOAT, .rank = 2, .dims = {n, width}, .data = job->x}};
    if (fake->io.batch_axis == 1) {
        job->input.dims[0] = width;
        job->input.dims[1] = n;
    }
    for (int64_t i = 0; i < n * width; i++)
        job->x[i] = first + (float)i;
}

void fake_start(struct fake *fake, struct fake_job *job)
{
    job->job.arrived_ns = fake->now_ns;
    lifecycle_start(&job->job);
    ck_assert_msg(job->n_done == 0, "done was called from lifecycle_start");
}

void fake_turn(struct fake *fake)
{
    while (fake->woken) {
        fake->woken = false;
        dispatch_turn(fake->dispatch);
    }
}

bool fake_step_at(struct fake *fake, int i)
{
    if (i >= fake->n_tasks)
        return false;
    struct task *task = fake->tasks[i];
    task->work(task);
    fake->n_tasks--;
    for (; i < fake->n_tasks; i++)
        fake->tasks[i] = fake->tasks[i + 1];
    task->done(task);
    fake_turn(fake);
    return true;
}

bool fake_step(struct fake *fake)
{
    return fake_step_at(fake, 0);
}

void fake_settle(struct fake *fake)
{
    fake_turn(fake);
    while (fake_step(fake))
        ;
}

void fake_pass(struct fake *fake, int64_t ns)
{
    fake->now_ns += ns;
    if (fake->alarm_ns > fake->now_ns)
        return;
    fake->alarm_ns = LANE_NEVER;
    dispatch_turn(fake->dispatch);
    fake_turn(fake);
}

void fake_occupy(struct fake *fake, struct fake_job *jobs)
{
    for (int i = 0; i < fake->workers; i++) {
        fake_job_fill(fake, &jobs[i], 1, 1, 0);
        jobs[i].job.served = &fake->served[1];
        fake_start(fake, &jobs[i]);
        fake_turn(fake);
    }
    ck_assert_int_eq(fake->n_tasks, fake->workers);
}
