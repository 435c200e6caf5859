/*
 * sequences.c - sequences on made-up cores and a clock of the test's: the network doubles its state, which begins as
 * ones, so that what a step answers tells how many have happened.
 */
#include "serve/sequences.h"

#include "base/err.h"
#include "fake.h"
#include "serve/states.h"

#include <check.h>
#include <math.h>

Suite *serve_sequences_suite(void);

#define WIDTH 2
#define IDLE_NS ((int64_t)60 * 1000000000)

static struct fake *fake;
static struct fake_job jobs[16];
static struct fake_job busy[4];
static struct states states;

static const float ones[WIDTH] = {1, 1};
static struct state state = {
    .shape = {.dtype = PERCEPT_FLOAT, .rank = 2, .dims = {1, WIDTH}}, .n_bytes = sizeof ones, .initial = ones};
static enum states_role roles[1] = {ROLE_STATE};
static bool kept[1] = {true};

/* The body brings nothing, unless it has a state to begin with. */
static bool decode(struct job *job, struct percept_err *err)
{
    struct fake_job *fake_job = job->user;
    const bool given = fake_job->x[0] != 0;
    const bool ok = fake_codec.decode(job, err);
    if (!given)
        fake_job->input = (struct percept_tensor){0};
    job->n_items = 1;
    return ok;
}

static const struct codec codec = {.media_type = "test/step", .decode = decode};

static void setup(void)
{
    fake = fake_new(2);
    states = (struct states){.n_states = 1,
                             .states = &state,
                             .roles = roles,
                             .kept = kept,
                             .n_bytes = 64,
                             .max_idle_ns = IDLE_NS,
                             .max_sequences = 4};
    fake->served[0].states = &states;
}

static void teardown(void)
{
    fake_settle(fake);
    sequences_drop_all(fake->served[0].lane);
    ck_assert_int_eq(fake->served[0].stats.sequences, 0);
    fake_free(fake);
}

/* Job i is a step of a sequence; its state's first number is `given`, or what is kept where that is 0. */
static struct fake_job *ask(int i, uint64_t id, bool start, bool end, float given)
{
    struct fake_job *job = &jobs[i];
    fake_job_fill(fake, job, 1, WIDTH, given);
    job->job.codec = &codec;
    job->job.sequence = (struct job_sequence){.asked = true, .number = id, .start = start, .end = end};
    fake_start(fake, job);
    return job;
}

static void expect(const struct fake_job *job, int code, float first)
{
    ck_assert_int_eq(job->n_done, 1);
    ck_assert_msg(job->job.err.code == code, "%d: %s", job->job.err.code, job->job.err.text);
    if (code == ERR_NONE)
        ck_assert_float_eq(job->y[0], first);
}

static void step(uint64_t id, bool start, int code, float first)
{
    struct fake_job *job = ask(15, id, start, false, 0);
    fake_settle(fake);
    expect(job, code, first);
}

START_TEST(a_step_goes_on_where_the_one_before_ended)
{
    step(1, true, ERR_NONE, 2);
    step(1, false, ERR_NONE, 4);
    step(2, true, ERR_NONE, 2);
    step(1, false, ERR_NONE, 8);
    step(2, false, ERR_NONE, 4);
    ck_assert_int_eq(fake->served[0].stats.sequences, 2);
}
END_TEST

START_TEST(steps_of_one_wait_for_each_other_and_those_of_many_share_a_run)
{
    step(1, true, ERR_NONE, 2);
    step(2, true, ERR_NONE, 2);
    fake_occupy(fake, busy);
    struct fake_job *a = ask(0, 1, false, false, 0), *b = ask(1, 1, false, false, 0), *c = ask(2, 2, false, false, 0);
    const int n_runs = fake->n_runs;
    ck_assert_int_eq(b->job.state, JOB_FOLLOWING);
    fake_settle(fake);
    expect(a, ERR_NONE, 4);
    expect(b, ERR_NONE, 8);
    expect(c, ERR_NONE, 4);
    ck_assert_int_lt(a->order, b->order);
    ck_assert_int_eq(fake->n_runs - n_runs, 2 + 2); /* the busy ones; a with c, then b */
}
END_TEST

START_TEST(a_step_that_fails_has_not_happened)
{
    step(1, true, ERR_NONE, 2);
    struct fake_job *gone = ask(0, 1, false, false, 0);
    fake_turn(fake);
    lifecycle_cancel(&gone->job); /* it is in a run */
    fake_settle(fake);
    expect(gone, ERR_CANCELLED, 0);
    step(1, false, ERR_NONE, 4);
    struct fake_job *bad = ask(0, 2, true, false, NAN);
    fake_settle(fake);
    expect(bad, ERR_DATA, 0);
    step(2, false, ERR_INVALID, 0); /* it never began */
}
END_TEST

START_TEST(a_step_that_nobody_waits_for_any_more_holds_nobody_up)
{
    step(1, true, ERR_NONE, 2);
    fake_occupy(fake, busy);
    struct fake_job *a = ask(0, 1, false, false, 0), *b = ask(1, 1, false, false, 0), *c = ask(2, 1, false, false, 0);
    lifecycle_cancel(&b->job);
    fake_settle(fake);
    expect(a, ERR_NONE, 4);
    expect(b, ERR_CANCELLED, 0);
    expect(c, ERR_NONE, 8);
    fake_occupy(fake, busy);
    a = ask(0, 1, false, false, 0);
    b = &jobs[1];
    fake_job_fill(fake, b, 1, WIDTH, 0);
    b->job.codec = &codec;
    b->timeout_us = 1000;
    b->job.sequence = (struct job_sequence){.asked = true, .number = 1};
    fake_start(fake, b);
    ck_assert_int_eq(b->job.state, JOB_FOLLOWING);
    fake_pass(fake, 2000000);
    fake_settle(fake);
    expect(a, ERR_NONE, 16);
    expect(b, ERR_TIMEOUT, 0);
    step(1, false, ERR_NONE, 32);
}
END_TEST

START_TEST(what_follows_the_last_step_is_told_so)
{
    step(1, true, ERR_NONE, 2);
    fake_occupy(fake, busy);
    struct fake_job *last = ask(0, 1, false, true, 0), *late = ask(1, 1, false, false, 0);
    struct fake_job *again = ask(2, 1, true, false, 0), *next = ask(3, 1, false, false, 0);
    fake_settle(fake);
    expect(last, ERR_NONE, 4);
    expect(late, ERR_INVALID, 0);
    expect(again, ERR_NONE, 2); /* afresh */
    expect(next, ERR_NONE, 4);
}
END_TEST

START_TEST(a_start_may_bring_its_state)
{
    struct fake_job *job = ask(0, 1, true, false, 5);
    fake_settle(fake);
    expect(job, ERR_NONE, 10);
    step(1, false, ERR_NONE, 20);
    job = ask(0, 1, false, false, 5);
    fake_settle(fake);
    expect(job, ERR_INVALID, 0);
    step(1, false, ERR_NONE, 40);
}
END_TEST

START_TEST(what_rests_too_long_is_dropped_and_told)
{
    step(1, true, ERR_NONE, 2);
    fake_pass(fake, IDLE_NS / 2);
    step(2, true, ERR_NONE, 2);
    fake_pass(fake, IDLE_NS / 2);
    ck_assert_int_eq(fake->served[0].stats.sequences, 1);
    step(1, false, ERR_GONE, 0);
    step(2, false, ERR_NONE, 4);
    fake_pass(fake, IDLE_NS - 1);
    step(2, false, ERR_NONE, 8); /* it was asked in time, and rests anew */
    fake_pass(fake, IDLE_NS);
    step(2, false, ERR_GONE, 0);
    step(1, true, ERR_NONE, 2);
    ck_assert_int_eq((int)fake->served[0].stats.sequences_dropped, 2);
}
END_TEST

START_TEST(limits_of_number_and_of_bytes_drop_the_oldest)
{
    for (uint64_t id = 1; id <= 4; id++)
        step(id, true, ERR_NONE, 2);
    step(1, false, ERR_NONE, 4);
    step(5, true, ERR_NONE, 2);
    step(2, false, ERR_GONE, 0);
    step(1, false, ERR_NONE, 8);
    fake_occupy(fake, busy);
    for (int i = 0; i < 4; i++)
        ask(i, (uint64_t)(i == 0 ? 1 : i + 2), false, false, 0);
    struct fake_job *more = ask(4, 9, true, false, 0); /* steps of all are under way */
    fake_settle(fake);
    expect(more, ERR_UNAVAILABLE, 0);
    sequences_limit(fake->served[0].lane->sequences, 1);
    step(9, true, ERR_UNAVAILABLE, 0); /* there is no room for a single one */
    ck_assert_int_eq(fake->served[0].stats.sequences, 0);
    step(1, false, ERR_GONE, 0);
}
END_TEST

START_TEST(a_model_that_leaves_drops_its_sequences_once_they_rest)
{
    step(1, true, ERR_NONE, 2);
    step(2, true, ERR_NONE, 2);
    fake_occupy(fake, busy);
    struct fake_job *under_way = ask(0, 1, false, false, 0);
    sequences_drop_all(fake->served[0].lane);
    ck_assert_int_eq(fake->served[0].stats.sequences, 1);
    fake_settle(fake);
    expect(under_way, ERR_NONE, 4);
    ck_assert_int_eq(fake->served[0].stats.sequences, 0);
    ck_assert_int_eq(fake->served[0].n_holders, 0);
}
END_TEST

START_TEST(the_same_id_of_somebody_else_is_another_sequence)
{
    step(1, true, ERR_NONE, 2);
    struct fake_job *job = &jobs[0];
    fake_job_fill(fake, job, 1, WIDTH, 0);
    job->job.codec = &codec;
    job->job.sequence = (struct job_sequence){.asked = true, .number = 1, .owner = 7};
    fake_start(fake, job);
    fake_settle(fake);
    expect(job, ERR_INVALID, 0);
    step(1, false, ERR_NONE, 4);
}
END_TEST

/* More than are remembered: the first are forgotten, the last known, and nothing is kept. */
START_TEST(many_that_are_dropped_cost_no_memory)
{
    states.max_sequences = 1;
    for (uint64_t id = 1; id <= 140000; id++) {
        struct fake_job *job = ask(0, id, true, false, 0);
        fake_settle(fake);
        ck_assert_int_eq(job->job.err.code, ERR_NONE);
    }
    step(1, false, ERR_INVALID, 0);
    step(139999, false, ERR_GONE, 0);
    step(140000 - 65536, false, ERR_GONE, 0);
    step(140000 - 65537, false, ERR_INVALID, 0);
    step(140000, false, ERR_NONE, 4);
}
END_TEST

Suite *serve_sequences_suite(void)
{
    Suite *suite = suite_create("serve_sequences");
    TCase *tcase = tcase_create("sequences");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, a_step_goes_on_where_the_one_before_ended);
    tcase_add_test(tcase, steps_of_one_wait_for_each_other_and_those_of_many_share_a_run);
    tcase_add_test(tcase, a_step_that_fails_has_not_happened);
    tcase_add_test(tcase, a_step_that_nobody_waits_for_any_more_holds_nobody_up);
    tcase_add_test(tcase, what_follows_the_last_step_is_told_so);
    tcase_add_test(tcase, a_start_may_bring_its_state);
    tcase_add_test(tcase, what_rests_too_long_is_dropped_and_told);
    tcase_add_test(tcase, limits_of_number_and_of_bytes_drop_the_oldest);
    tcase_add_test(tcase, a_model_that_leaves_drops_its_sequences_once_they_rest);
    tcase_add_test(tcase, the_same_id_of_somebody_else_is_another_sequence);
    tcase_add_test(tcase, many_that_are_dropped_cost_no_memory);
    suite_add_tcase(suite, tcase);
    return suite;
}
