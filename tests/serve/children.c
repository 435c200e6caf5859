/*
 * children.c - a made-up parent whose steps are jobs of another model: what it is told, and that it ends once, after
 * the last of them, with nothing left behind.
 *
 * The parent is of model "b", which is never run; its children are of "a", which doubles. A chain runs `wanted`
 * children, each on what the one before kept; a crowd starts them all at once.
 */
#include "base/err.h"
#include "fake.h"

#include <check.h>
#include <math.h>

Suite *serve_children_suite(void);

#define MOST 4
#define WIDTH 4

struct parent;

struct child {
    struct job job;
    struct arena arena;
    struct percept_tensor input; /* where it is no other child's output */
    float x[WIDTH];
    const struct percept_tensor *sources[1];
    struct parent *parent;
    bool told;
    int code, order;
};

struct parent {
    struct fake_job job;
    struct child children[MOST];
    int n_started, wanted;
    bool crowd;
    bool pauses;   /* waits for the test before it goes on */
    bool hasty;    /* ends with the first that it hears of */
    bool forgives; /* goes on after a failure */
};

static struct fake *fake;
static struct fake_job busy[4];
static struct fake_job jobs[40];
static struct parent parents[2];

static void told(struct job *job);

static struct child *start_child(struct parent *parent, const struct percept_tensor *input)
{
    struct child *child = &parent->children[parent->n_started++];
    *child = (struct child){.parent = parent, .sources = {input}};
    child->job = (struct job){.arena = &child->arena,
                              .served = &fake->served[0],
                              .encoder = &encoder_keep,
                              .sources = child->sources,
                              .done = told,
                              .user = child};
    lifecycle_child(&parent->job.job, &child->job);
    ck_assert(!child->told); /* never from within */
    return child;
}

/* The last child that kept something answers. */
static void finish(struct parent *parent)
{
    for (int i = 0; i < parent->n_started; i++)
        if (parent->children[i].job.results)
            parent->job.job.results = parent->children[i].job.results;
    lifecycle_finish(&parent->job.job);
}

static void go_on(struct parent *parent)
{
    const struct child *last = &parent->children[parent->n_started - 1];
    if (parent->n_started == parent->wanted)
        finish(parent);
    else
        start_child(parent, last->job.results ? last->job.results : &parent->job.input);
}

static void told(struct job *job)
{
    struct child *child = job->user;
    struct parent *parent = child->parent;
    ck_assert(!child->told);
    ck_assert_int_eq(parent->job.n_done, 0); /* it outlives its children */
    child->told = true;
    child->code = job->err.code;
    child->order = ++fake->n_ended;
    if (job->err.code != ERR_NONE && !parent->forgives) {
        if (parent->job.job.err.code == ERR_NONE)
            parent->job.job.err = job->err;
        lifecycle_finish(&parent->job.job);
    } else if (!parent->crowd && !parent->pauses) {
        go_on(parent);
    } else if (parent->hasty || (parent->crowd && parent->job.job.n_children == 0)) {
        finish(parent);
    }
}

static void begin(struct job *job)
{
    struct parent *parent = job->user;
    do
        start_child(parent, &parent->job.input);
    while (parent->crowd && parent->n_started < parent->wanted);
}

static struct parent *make(int i, int wanted)
{
    struct parent *parent = &parents[i];
    *parent = (struct parent){.wanted = wanted};
    fake_job_fill(fake, &parent->job, 1, WIDTH, (float)(1 + i));
    parent->job.job.served = &fake->served[1];
    parent->job.job.begin = begin;
    return parent;
}

static struct parent *start(int i, int wanted)
{
    struct parent *parent = make(i, wanted);
    fake_start(fake, &parent->job);
    return parent;
}

static struct parent *start_crowd(int i, int wanted)
{
    struct parent *parent = make(i, wanted);
    parent->crowd = true;
    fake_start(fake, &parent->job);
    return parent;
}

/* Everybody was told, the parent at last; then its memory and theirs may go. */
static void expect_end(struct parent *parent, int code)
{
    ck_assert_int_eq(parent->job.n_done, 1);
    ck_assert_int_eq(parent->job.job.err.code, code);
    ck_assert_int_eq(parent->job.job.n_children, 0);
    ck_assert_ptr_null(parent->job.job.children);
    for (int i = 0; i < parent->n_started; i++) {
        ck_assert(parent->children[i].told);
        ck_assert_int_lt(parent->children[i].order, parent->job.order);
        arena_free(&parent->children[i].arena);
    }
}

static void setup(void)
{
    fake = fake_new(1);
}

/* No holder, no job in flight, no session is left: fake_free looks. */
static void teardown(void)
{
    fake_free(fake);
}

/* --- steps -------------------------------------------------------------------------------------------------------- */

START_TEST(a_chain_runs_each_step_on_what_the_one_before_kept)
{
    struct parent *parent = start(0, 3);
    fake_settle(fake);
    ck_assert(parent->job.encoded);
    for (int i = 0; i < WIDTH; i++)
        ck_assert(parent->job.y[i] == 8 * parent->job.x[i]);
    ck_assert_uint_eq(fake->served[0].stats.success, 3);
    ck_assert_uint_eq(fake->served[1].stats.success, 1);
    expect_end(parent, ERR_NONE);
}
END_TEST

START_TEST(steps_of_several_callers_and_plain_requests_share_a_batch)
{
    fake_occupy(fake, busy);
    start(0, 2);
    start(1, 1);
    fake_job_fill(fake, &jobs[0], 1, WIDTH, 9);
    fake_start(fake, &jobs[0]);
    fake_settle(fake);
    ck_assert_int_eq(fake->n_runs, 3); /* the busy one's, all three, the second step */
    ck_assert_int_eq(fake->runs[1], 3);
    ck_assert_int_eq(fake->runs[2], 1);
    for (int i = 0; i < WIDTH; i++)
        ck_assert(parents[1].job.y[i] == 2 * parents[1].job.x[i]);
    expect_end(&parents[0], ERR_NONE);
    expect_end(&parents[1], ERR_NONE);
}
END_TEST

START_TEST(a_crowd_of_children_runs_together)
{
    struct parent *parent = start_crowd(0, 4);
    fake_settle(fake);
    ck_assert_int_eq(fake->n_runs, 1);
    ck_assert_int_eq(fake->runs[0], 4);
    expect_end(parent, ERR_NONE);
}
END_TEST

START_TEST(a_parents_body_is_decoded_on_a_worker_as_anybodys)
{
    struct parent *parent = make(0, 1);
    parent->job.job.codec = &fake_worker_codec;
    fake_start(fake, &parent->job);
    ck_assert_int_eq(parent->n_started, 0);
    fake_settle(fake);
    expect_end(parent, ERR_NONE);
}
END_TEST

/* --- failures ----------------------------------------------------------------------------------------------------- */

START_TEST(a_childs_failure_is_told_to_its_parent)
{
    struct parent *parent = make(0, 3);
    parent->job.x[2] = NAN;
    fake_start(fake, &parent->job);
    fake_settle(fake);
    ck_assert_int_eq(parent->n_started, 1);
    ck_assert_int_eq(parent->children[0].code, ERR_DATA);
    ck_assert_str_eq(parent->job.job.err.text, "element 2 is NaN");
    ck_assert(!parent->job.encoded);
    ck_assert_uint_eq(fake->served[0].stats.failure[FAILURE_BACKEND], 1);
    ck_assert_uint_eq(fake->served[1].stats.failure[FAILURE_BACKEND], 1);
    expect_end(parent, ERR_DATA);
}
END_TEST

START_TEST(what_comes_of_a_failure_is_the_parents_to_say)
{
    struct parent *parent = make(0, 2);
    parent->forgives = true;
    parent->job.x[2] = NAN;
    fake_start(fake, &parent->job);
    fake_turn(fake);
    fake_step(fake);
    ck_assert_int_eq(parent->children[0].code, ERR_DATA);
    parent->job.x[2] = 5; /* the second has not been run yet */
    fake_settle(fake);
    ck_assert_int_eq(parent->n_started, 2);
    ck_assert(parent->job.encoded);
    expect_end(parent, ERR_NONE);
}
END_TEST

START_TEST(an_input_that_does_not_fit_is_told_too)
{
    struct parent *parent = make(0, 1);
    parent->job.input.dtype = PERCEPT_INT64;
    fake_start(fake, &parent->job);
    fake_settle(fake);
    ck_assert_int_eq(fake->n_runs, 0);
    expect_end(parent, ERR_INVALID);
}
END_TEST

START_TEST(a_child_that_is_cancelled_leaves_its_siblings_alone)
{
    fake_occupy(fake, busy);
    struct parent *parent = make(0, 3);
    parent->crowd = parent->forgives = true;
    fake_start(fake, &parent->job);
    lifecycle_cancel(&parent->children[1].job);
    fake_settle(fake);
    ck_assert_int_eq(parent->children[0].code, ERR_NONE);
    ck_assert_int_eq(parent->children[1].code, ERR_CANCELLED);
    ck_assert_int_eq(parent->children[2].code, ERR_NONE);
    ck_assert_int_eq(fake->runs[1], 2);
    expect_end(parent, ERR_NONE);
}
END_TEST

START_TEST(a_parent_that_has_enough_calls_the_others_back)
{
    fake->served[0].lane->batching = false;
    struct parent *parent = make(0, 3);
    parent->crowd = parent->hasty = parent->forgives = true;
    fake_start(fake, &parent->job);
    fake_settle(fake);
    ck_assert_int_eq(parent->children[0].code, ERR_NONE);
    ck_assert_int_eq(parent->children[1].code, ERR_CANCELLED);
    ck_assert_int_eq(parent->children[2].code, ERR_CANCELLED);
    ck_assert_int_eq(fake->n_runs, 1);
    ck_assert(parent->job.encoded);
    expect_end(parent, ERR_NONE);
}
END_TEST

/* --- clients that go ---------------------------------------------------------------------------------------------- */

START_TEST(when_the_client_goes_queued_children_are_not_computed)
{
    fake_occupy(fake, busy);
    struct parent *parent = start_crowd(0, 3);
    lifecycle_cancel(&parent->job.job);
    ck_assert_int_eq(parent->job.n_done, 0); /* not from within */
    fake_turn(fake);
    expect_end(parent, ERR_CANCELLED);
    fake_settle(fake);
    ck_assert_int_eq(fake->n_runs, 1);
    ck_assert_uint_eq(fake->served[0].stats.failure[FAILURE_CANCELED], 3);
    ck_assert_uint_eq(fake->served[1].stats.failure[FAILURE_CANCELED], 1);
}
END_TEST

static struct parent *leaving;

static void leave(void)
{
    lifecycle_cancel(&leaving->job.job);
    lifecycle_cancel(&leaving->job.job);      /* twice is once */
    ck_assert_int_eq(leaving->job.n_done, 0); /* a worker has its child */
}

START_TEST(when_the_client_goes_a_running_child_is_stopped)
{
    struct parent *parent = leaving = start(0, 3);
    fake_turn(fake);
    ck_assert_int_eq(parent->children[0].job.state, JOB_RUNNING);
    fake->meanwhile = leave;
    fake_settle(fake);
    ck_assert(fake->cancel_seen);
    expect_end(parent, ERR_CANCELLED);
}
END_TEST

START_TEST(when_the_client_goes_between_children_the_parent_ends)
{
    struct parent *parent = make(0, 2);
    parent->pauses = true;
    fake_start(fake, &parent->job);
    fake_settle(fake);
    ck_assert_int_eq(parent->job.job.state, JOB_PARENT);
    ck_assert_int_eq(parent->job.job.n_children, 0);
    lifecycle_cancel(&parent->job.job);
    fake_settle(fake);
    expect_end(parent, ERR_CANCELLED);
}
END_TEST

/* It hears of a success after its client went, and starts the next one: which is told that nobody waits. */
START_TEST(who_leaves_can_start_nobody)
{
    struct parent *parent = make(0, 3);
    parent->forgives = true;
    fake_occupy(fake, busy);
    fake_start(fake, &parent->job);
    lifecycle_cancel(&parent->job.job);
    fake_settle(fake);
    ck_assert_int_eq(parent->n_started, 3);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(parent->children[i].code, ERR_CANCELLED);
    ck_assert_int_eq(fake->n_runs, 1);
    expect_end(parent, ERR_CANCELLED);
}
END_TEST

START_TEST(when_the_client_goes_its_answer_is_not_written)
{
    struct parent *parent = start(0, 1);
    fake_turn(fake);
    fake_step(fake); /* the child's run */
    ck_assert_int_eq(parent->job.job.state, JOB_WRITING);
    lifecycle_cancel(&parent->job.job);
    fake_settle(fake);
    ck_assert(!parent->job.encoded);
    expect_end(parent, ERR_CANCELLED);
}
END_TEST

START_TEST(when_the_client_goes_an_answer_that_waits_for_a_core_is_not_written)
{
    struct parent *parent = start_crowd(0, 1);
    fake_turn(fake);
    fake->tasks[0]->work(fake->tasks[0]);
    struct task *task = fake->tasks[0];
    fake->n_tasks = 0;
    task->done(task); /* and no turn yet */
    ck_assert_int_eq(parent->job.job.state, JOB_UNWRITTEN);
    lifecycle_cancel(&parent->job.job);
    fake_settle(fake);
    ck_assert(!parent->job.encoded);
    expect_end(parent, ERR_CANCELLED);
}
END_TEST

/* --- deadlines ---------------------------------------------------------------------------------------------------- */

static struct parent *start_until(int64_t timeout_us, bool pauses)
{
    struct parent *parent = make(0, 2);
    parent->job.timeout_us = timeout_us;
    parent->pauses = pauses;
    fake_start(fake, &parent->job);
    return parent;
}

START_TEST(a_queued_child_has_its_parents_deadline)
{
    fake->served[0].lane->default_timeout_ns = 1; /* of its model's clients, not of theirs */
    fake_occupy(fake, busy);
    struct parent *parent = start_until(300, false);
    fake_turn(fake);
    fake_pass(fake, 299999);
    ck_assert_int_eq(parent->job.n_done, 0);
    fake_pass(fake, 1); /* the core is still busy */
    ck_assert_int_eq(parent->children[0].code, ERR_TIMEOUT);
    expect_end(parent, ERR_TIMEOUT);
    fake_settle(fake);
    ck_assert_int_eq(fake->n_runs, 1);
}
END_TEST

START_TEST(a_running_child_is_given_its_parents_deadline)
{
    fake->run_ns = 400000;
    struct parent *parent = start_until(300, false);
    const int64_t deadline_ns = fake->now_ns + 300000;
    fake_settle(fake);
    ck_assert_int_eq(fake->deadline_ns, deadline_ns);
    ck_assert_int_eq(parent->n_started, 1);
    expect_end(parent, ERR_TIMEOUT);
}
END_TEST

START_TEST(a_deadline_that_passes_between_children_ends_the_parent)
{
    struct parent *parent = start_until(300, true);
    fake_settle(fake);
    ck_assert_int_eq(parent->job.job.n_children, 0);
    fake_pass(fake, 299999);
    ck_assert_int_eq(parent->job.n_done, 0);
    fake_pass(fake, 1);
    expect_end(parent, ERR_TIMEOUT);
    ck_assert_str_eq(parent->job.job.err.text, "Request timeout expired");
}
END_TEST

START_TEST(a_child_that_is_started_too_late_is_not_computed)
{
    struct parent *parent = start_until(300, true);
    fake_settle(fake);
    parent->pauses = false;
    fake->now_ns += 300000; /* and no alarm yet */
    go_on(parent);
    fake_settle(fake);
    ck_assert_int_eq(fake->n_runs, 1);
    ck_assert_int_eq(parent->children[1].code, ERR_TIMEOUT);
    expect_end(parent, ERR_TIMEOUT);
}
END_TEST

/* It forgives its child the deadline and says nothing: its own has passed as well. */
START_TEST(a_parent_that_does_not_say_that_it_ends_is_ended_by_its_deadline)
{
    fake_occupy(fake, busy);
    struct parent *parent = make(0, 1);
    parent->job.timeout_us = 300;
    parent->forgives = parent->pauses = true;
    fake_start(fake, &parent->job);
    fake_turn(fake);
    fake_pass(fake, 300000);
    ck_assert_int_eq(parent->children[0].code, ERR_TIMEOUT);
    expect_end(parent, ERR_TIMEOUT);
}
END_TEST

/* --- queues ------------------------------------------------------------------------------------------------------- */

START_TEST(a_child_is_not_refused_by_a_full_queue_and_takes_nobodys_place)
{
    fake_occupy(fake, busy);
    start(0, 1); /* in the queue before them */
    for (int i = 0; i < 33; i++) {
        fake_job_fill(fake, &jobs[i], 1, WIDTH, (float)i);
        fake_start(fake, &jobs[i]);
    }
    start(1, 1);
    fake_turn(fake);
    ck_assert_int_eq(fake->served[0].lane->n_pending, 34);
    ck_assert_int_eq(fake->served[0].stats.pending, 34);
    ck_assert_int_eq(jobs[31].n_done, 0);
    ck_assert_int_eq(jobs[32].n_done, 1);
    ck_assert_str_eq(jobs[32].job.err.text, "Exceeds maximum queue size");
    fake_settle(fake);
    expect_end(&parents[0], ERR_NONE);
    expect_end(&parents[1], ERR_NONE);
}
END_TEST

START_TEST(a_parent_keeps_its_place_until_it_ends)
{
    fake->served[1].lane->max_queue_size = 1;
    struct parent *parent = start(0, 2);
    fake_turn(fake);
    fake_step(fake);
    ck_assert_int_eq(parent->n_started, 2);
    start(1, 1);
    fake_turn(fake);
    ck_assert_int_eq(parents[1].job.n_done, 1);
    ck_assert_str_eq(parents[1].job.job.err.text, "Exceeds maximum queue size");
    fake_settle(fake);
    expect_end(parent, ERR_NONE);
    start(1, 1);
    fake_settle(fake);
    expect_end(&parents[1], ERR_NONE);
}
END_TEST

static bool drained;

static void on_drained(void *user)
{
    (void)user;
    drained = true;
}

START_TEST(what_was_begun_is_finished_while_the_server_drains)
{
    drained = false;
    struct parent *parent = start(0, 3);
    fake_turn(fake);
    dispatch_drain(fake->dispatch, on_drained, NULL);
    ck_assert(!drained);
    fake_settle(fake);
    ck_assert(drained);
    ck_assert_int_eq(parent->n_started, 3);
    expect_end(parent, ERR_NONE);
}
END_TEST

Suite *serve_children_suite(void)
{
    Suite *suite = suite_create("serve/children");
    TCase *tests = tcase_create("children");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_chain_runs_each_step_on_what_the_one_before_kept);
    tcase_add_test(tests, steps_of_several_callers_and_plain_requests_share_a_batch);
    tcase_add_test(tests, a_crowd_of_children_runs_together);
    tcase_add_test(tests, a_parents_body_is_decoded_on_a_worker_as_anybodys);
    tcase_add_test(tests, a_childs_failure_is_told_to_its_parent);
    tcase_add_test(tests, what_comes_of_a_failure_is_the_parents_to_say);
    tcase_add_test(tests, an_input_that_does_not_fit_is_told_too);
    tcase_add_test(tests, a_child_that_is_cancelled_leaves_its_siblings_alone);
    tcase_add_test(tests, a_parent_that_has_enough_calls_the_others_back);
    tcase_add_test(tests, when_the_client_goes_queued_children_are_not_computed);
    tcase_add_test(tests, when_the_client_goes_a_running_child_is_stopped);
    tcase_add_test(tests, when_the_client_goes_between_children_the_parent_ends);
    tcase_add_test(tests, who_leaves_can_start_nobody);
    tcase_add_test(tests, when_the_client_goes_its_answer_is_not_written);
    tcase_add_test(tests, when_the_client_goes_an_answer_that_waits_for_a_core_is_not_written);
    tcase_add_test(tests, a_queued_child_has_its_parents_deadline);
    tcase_add_test(tests, a_running_child_is_given_its_parents_deadline);
    tcase_add_test(tests, a_deadline_that_passes_between_children_ends_the_parent);
    tcase_add_test(tests, a_child_that_is_started_too_late_is_not_computed);
    tcase_add_test(tests, a_parent_that_does_not_say_that_it_ends_is_ended_by_its_deadline);
    tcase_add_test(tests, a_child_is_not_refused_by_a_full_queue_and_takes_nobodys_place);
    tcase_add_test(tests, a_parent_keeps_its_place_until_it_ends);
    tcase_add_test(tests, what_was_begun_is_finished_while_the_server_drains);
    suite_add_tcase(suite, tests);
    return suite;
}
