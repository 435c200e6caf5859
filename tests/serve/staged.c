/*
 * staged.c - jobs of a chain: each stage is a job of its model, in the order in which its inputs come to be there, and
 * nothing is left behind, however it ends.
 *
 * The chain is "b"; its stages are of "a", which doubles. x -> p -> r and x -> q: r is 4 x, q is 2 x.
 */
#include "serve/staged_fit.h"

#include "base/err.h"
#include "fake.h"
#include "serve/staged.h"

#include <check.h>
#include <math.h>

Suite *serve_staged_suite(void);

#define WIDTH 4

static struct fake *fake;
static struct fake_job jobs[8], busy;
static struct manifest manifest;
static struct percept_err err;

static struct stage_link links[] = {{"x", "x"}, {"x", "p"}, {"x", "p"}, {"x", "r"}, {"x", "x"}, {"x", "q"}};
static struct stage stage_list[] = {
    {.name = "second", .model = "a", .n_inputs = 1, .n_outputs = 1, .inputs = &links[2], .outputs = &links[3]},
    {.name = "first", .model = "a", .n_inputs = 1, .n_outputs = 1, .inputs = &links[0], .outputs = &links[1]},
    {.name = "aside", .model = "a", .n_inputs = 1, .n_outputs = 1, .inputs = &links[4], .outputs = &links[5]},
};
static struct stages stages = {.n = 3, .at = stage_list};

static void setup(void)
{
    fake = fake_new(1);
    struct served *chain = &fake->served[1];
    manifest = *chain->manifest;
    manifest.path = chain->path = "b/manifest.json";
    manifest.stages = &stages;
    chain->manifest = &manifest;
    fake->served[0].next = NULL;
    fake->served[0].state = SERVED_READY;
    ck_assert_msg(staged_fit_open(chain, &err) && depends_bind(chain, &fake->served[0], &err), "%s", err.text);
}

static void teardown(void)
{
    ck_assert_int_eq(fake->served[0].n_holders, 0);
    fake_free(fake);
}

static struct fake_job *start(int i, float first)
{
    fake_job_fill(fake, &jobs[i], 1, WIDTH, first);
    jobs[i].job.served = &fake->served[1];
    fake_start(fake, &jobs[i]);
    return &jobs[i];
}

START_TEST(a_chain_takes_what_nobody_makes_and_gives_what_nobody_takes)
{
    int n;
    const struct percept_io *inputs = served_inputs(&fake->served[1], &n);
    ck_assert_int_eq(n, 1);
    ck_assert_str_eq(inputs[0].name, "x");
    const struct percept_io *outputs = served_outputs(&fake->served[1], &n);
    ck_assert_int_eq(n, 2);
    ck_assert_str_eq(outputs[0].name, "r");
    ck_assert_str_eq(outputs[1].name, "q");
}
END_TEST

START_TEST(stages_run_when_their_inputs_are_there)
{
    struct fake_job *job = start(0, 1);
    ck_assert_int_eq(fake->served[0].n_holders, 3); /* the request, and two stages */
    fake_settle(fake);
    ck_assert_msg(job->encoded, "%s", job->job.err.text);
    for (int i = 0; i < WIDTH; i++)
        ck_assert(job->y[i] == 4 * job->x[i]);
    ck_assert_int_eq(fake->n_runs, 2); /* two that wait for nobody share a batch */
    ck_assert_int_eq(fake->runs[0], 2);
    ck_assert_int_eq(job->job.batch_size, 2);
    ck_assert_uint_eq(fake->served[1].stats.success, 1);
}
END_TEST

START_TEST(stages_of_several_callers_share_a_batch)
{
    fake_job_fill(fake, &busy, 1, 1, 0);
    fake_start(fake, &busy); /* the only core is busy until all are there */
    fake_turn(fake);
    for (int i = 0; i < 8; i++)
        start(i, (float)(10 * i));
    fake_settle(fake);
    ck_assert_int_eq(fake->n_runs, 4); /* the other's, and 24 stages by eights */
    for (int i = 1; i < 4; i++)
        ck_assert_int_eq(fake->runs[i], 8);
    for (int i = 0; i < 8; i++)
        for (int k = 0; k < WIDTH; k++)
            ck_assert(jobs[i].y[k] == 4 * jobs[i].x[k]);
}
END_TEST

START_TEST(a_stage_that_fails_is_named)
{
    fake_job_fill(fake, &jobs[0], 1, WIDTH, 1);
    jobs[0].job.served = &fake->served[1];
    jobs[0].x[2] = NAN;
    fake_start(fake, &jobs[0]);
    fake_settle(fake);
    ck_assert_int_eq(jobs[0].n_done, 1);
    ck_assert_int_eq(jobs[0].job.err.code, ERR_DATA);
    ck_assert_ptr_nonnull(strstr(jobs[0].job.err.text, "stage '"));
    ck_assert_ptr_nonnull(strstr(jobs[0].job.err.text, "': element 2 is NaN"));
}
END_TEST

START_TEST(who_leaves_between_stages_ends_them)
{
    struct fake_job *job = start(0, 1);
    fake_turn(fake);
    fake_step(fake); /* the first two */
    ck_assert_int_eq(fake->n_runs, 1);
    lifecycle_cancel(&job->job);
    fake_settle(fake);
    ck_assert_int_eq(job->n_done, 1);
    ck_assert_int_eq(job->job.err.code, ERR_CANCELLED);
    ck_assert_int_le(fake->n_runs, 2);
}
END_TEST

START_TEST(a_deadline_between_stages_ends_them)
{
    fake_job_fill(fake, &jobs[0], 1, WIDTH, 1);
    jobs[0].job.served = &fake->served[1];
    jobs[0].timeout_us = 1000;
    fake->run_ns = 2000000;
    fake_start(fake, &jobs[0]);
    fake_settle(fake);
    ck_assert_int_eq(jobs[0].n_done, 1);
    ck_assert_int_eq(jobs[0].job.err.code, ERR_TIMEOUT);
    ck_assert_int_eq(fake->n_runs, 1);
}
END_TEST

START_TEST(without_its_parts_it_is_refused)
{
    depends_loosen(&fake->served[1]);
    struct fake_job *job = start(0, 1);
    fake_settle(fake);
    ck_assert_int_eq(job->job.err.code, ERR_UNAVAILABLE);
    ck_assert_str_eq(job->job.err.text, "Request for unknown model: 'a', a part of 'b', is not at ready state");
}
END_TEST

START_TEST(whatever_memory_is_short_it_ends_once)
{
    bool answered = false;
    for (size_t nth = 1; nth < 60 && !answered; nth++) {
        fake_job_fill(fake, &jobs[0], 1, WIDTH, 1);
        jobs[0].job.served = &fake->served[1];
        arena_fail_at(nth, false);
        fake_start(fake, &jobs[0]);
        fake_settle(fake);
        arena_fail_at(0, false);
        answered = jobs[0].job.err.code == ERR_NONE;
        ck_assert_int_eq(jobs[0].n_done, 1);
        ck_assert_msg(answered || jobs[0].job.err.code == ERR_MEMORY, "%s", jobs[0].job.err.text);
        ck_assert_int_eq(fake->served[0].n_holders, 0);
    }
    ck_assert(answered);
}
END_TEST

Suite *serve_staged_suite(void)
{
    Suite *suite = suite_create("serve/staged");
    TCase *tests = tcase_create("chain");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_chain_takes_what_nobody_makes_and_gives_what_nobody_takes);
    tcase_add_test(tests, stages_run_when_their_inputs_are_there);
    tcase_add_test(tests, stages_of_several_callers_share_a_batch);
    tcase_add_test(tests, a_stage_that_fails_is_named);
    tcase_add_test(tests, who_leaves_between_stages_ends_them);
    tcase_add_test(tests, a_deadline_between_stages_ends_them);
    tcase_add_test(tests, without_its_parts_it_is_refused);
    tcase_add_test(tests, whatever_memory_is_short_it_ends_once);
    suite_add_tcase(suite, tests);
    return suite;
}
