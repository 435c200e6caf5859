/* dispatch.c - who gets the next core, under a fake clock and on fake cores. */
#include "base/err.h"
#include "base/team.h"
#include "fake.h"
#include "serve/batch.h"
#include "serve/trim.h"

#include <check.h>

Suite *serve_dispatch_suite(void);

static struct fake_job busy[4];
static struct fake_job jobs[40];

static void start(struct fake *fake, int i, int model)
{
    fake_job_fill(fake, &jobs[i], 1, 4, (float)i);
    jobs[i].job.served = &fake->served[model];
    fake_start(fake, &jobs[i]);
}

START_TEST(an_idle_core_takes_a_single_job_at_once)
{
    struct fake *fake = fake_new(2);
    start(fake, 0, 0);
    ck_assert_int_eq(fake->n_tasks, 0); /* not within lifecycle_start, but in the same turn */
    fake_turn(fake);
    ck_assert_int_eq(fake->n_tasks, 1);
    fake_step(fake);
    ck_assert_int_eq(jobs[0].n_done, 1);
    ck_assert_int_eq(fake->runs[0], 1);
    fake_free(fake);
}
END_TEST

START_TEST(jobs_that_queue_while_cores_are_busy_form_batches)
{
    struct fake *fake = fake_new(1);
    fake_occupy(fake, busy);
    for (int i = 0; i < 10; i++) {
        start(fake, i, 0);
        fake_turn(fake);
    }
    ck_assert_int_eq(fake->served[0].stats.pending, 10);
    fake_settle(fake);
    ck_assert_int_eq(fake->n_runs, 3);
    ck_assert_int_eq(fake->runs[1], 8);
    ck_assert_int_eq(fake->runs[2], 2);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(jobs[i].n_done, 1);
    fake_free(fake);
}
END_TEST

/* Eight wait at a time, until it is known what pays; returns the items of the last run. */
static int64_t learned(struct fake *fake, int n_rounds)
{
    fake->served[0].lane->learns = true;
    for (int round = 0; round < n_rounds; round++) {
        fake_occupy(fake, busy);
        for (int i = 0; i < 8; i++)
            start(fake, i, 0);
        fake_settle(fake);
        for (int i = 0; i < 8; i++)
            ck_assert_int_eq(jobs[i].job.err.code, ERR_NONE);
    }
    return fake->runs[(fake->n_runs - 1) % FAKE_MAX];
}

START_TEST(batches_grow_where_they_pay)
{
    struct fake *fake = fake_new(1);
    fake->run_ns = 1000000;
    ck_assert_int_eq(learned(fake, 10), 8);
    ck_assert_int_eq(lane_best_size(fake->served[0].lane), 8);
    fake_free(fake);
}
END_TEST

START_TEST(batches_stay_small_where_they_do_not_pay)
{
    struct fake *fake = fake_new(1);
    fake->item_ns = 1000000;
    ck_assert_int_eq(learned(fake, 10), 1);
    ck_assert_int_eq(lane_best_size(fake->served[0].lane), 1);
    fake_free(fake);
}
END_TEST

START_TEST(who_asked_for_a_delay_gets_large_batches)
{
    struct fake *fake = fake_new(1);
    struct settings settings = {.max_queue_delay_us = 5};
    lane_limits(fake->served[0].lane, &fake->served[0], &settings);
    ck_assert(!fake->served[0].lane->learns);
    settings.max_queue_delay_us = 0;
    lane_limits(fake->served[0].lane, &fake->served[0], &settings);
    ck_assert(fake->served[0].lane->learns);
    settings.no_learn = true;
    lane_limits(fake->served[0].lane, &fake->served[0], &settings);
    ck_assert(!fake->served[0].lane->learns);
    fake_free(fake);
}
END_TEST

/* With helpers a run says nothing of what it costs without. */
START_TEST(runs_that_were_helped_teach_nothing)
{
    struct fake *fake = fake_new(2);
    fake->item_flops = 1e7;
    fake->run_ns = 1000000;
    fake->served[0].lane->learns = true;
    for (int i = 0; i < 8; i++) {
        start(fake, i, 0);
        fake_turn(fake);
        ck_assert_int_eq(fake->n_tasks, i ? 2 : 1); /* its size is not known at first */
        fake_settle(fake);
    }
    ck_assert_uint_eq(fake->served[0].lane->learn.classes[0].n_runs, 0); /* the first made the session */
    fake_free(fake);
}
END_TEST

START_TEST(never_more_tasks_than_cores)
{
    struct fake *fake = fake_new(2);
    for (int i = 0; i < 30; i++)
        start(fake, i, i % 2);
    fake_turn(fake);
    ck_assert_int_eq(fake->n_tasks, 2);
    fake_settle(fake); /* cores_submit checks each */
    fake_free(fake);
}
END_TEST

START_TEST(a_delay_is_kept_by_the_clock)
{
    struct fake *fake = fake_new(2);
    fake->served[0].lane->max_queue_delay_ns = 200000;
    start(fake, 0, 0);
    fake_turn(fake);
    ck_assert_int_eq(fake->n_tasks, 0);
    ck_assert_int_eq(fake->alarm_ns, jobs[0].job.arrived_ns + 200000);
    fake_pass(fake, 150000);
    start(fake, 1, 0);
    fake_turn(fake);
    ck_assert_int_eq(fake->n_tasks, 0);
    fake_pass(fake, 50000);
    ck_assert_int_eq(fake->n_tasks, 1);
    fake_step(fake);
    ck_assert_int_eq(fake->runs[0], 2);
    fake_free(fake);
}
END_TEST

START_TEST(a_delay_is_cut_short_by_a_full_batch)
{
    struct fake *fake = fake_new(2);
    fake->served[0].lane->max_queue_delay_ns = 200000;
    for (int i = 0; i < 8; i++) {
        ck_assert_int_eq(fake->n_tasks, 0);
        start(fake, i, 0);
        fake_turn(fake);
    }
    ck_assert_int_eq(fake->n_tasks, 1);
    fake_free(fake);
}
END_TEST

START_TEST(an_expired_job_is_answered_in_time_and_never_computed)
{
    struct fake *fake = fake_new(1);
    fake_occupy(fake, busy);
    fake_job_fill(fake, &jobs[0], 1, 4, 0);
    jobs[0].timeout_us = 300;
    fake_start(fake, &jobs[0]);
    fake_turn(fake);
    fake_pass(fake, 299999);
    ck_assert_int_eq(jobs[0].n_done, 0);
    fake_pass(fake, 1); /* the core is still busy */
    ck_assert_int_eq(jobs[0].n_done, 1);
    ck_assert_int_eq(jobs[0].job.err.code, ERR_TIMEOUT);
    ck_assert_int_eq(err_status(jobs[0].job.err.code), 503);
    ck_assert_str_eq(jobs[0].job.err.text, "Request timeout expired");
    fake_settle(fake);
    ck_assert_int_eq(fake->n_runs, 1);
    ck_assert_uint_eq(fake->served[0].stats.failure[FAILURE_REJECTED], 1);
    fake_free(fake);
}
END_TEST

START_TEST(the_default_timeout_holds_for_bodies_that_wait_to_be_decoded)
{
    struct fake *fake = fake_new(1);
    fake->served[0].lane->default_timeout_ns = 1000;
    fake_occupy(fake, busy);
    fake_job_fill(fake, &jobs[0], 1, 4, 0);
    jobs[0].job.codec = &fake_worker_codec;
    fake_start(fake, &jobs[0]);
    fake_turn(fake);
    fake_pass(fake, 1000);
    ck_assert_int_eq(jobs[0].n_done, 1);
    ck_assert_int_eq(jobs[0].job.err.code, ERR_TIMEOUT);
    fake_free(fake);
}
END_TEST

START_TEST(a_timeout_of_the_headers_holds_before_the_body_is_decoded)
{
    struct fake *fake = fake_new(1);
    fake->served[0].lane->default_timeout_ns = 2000;
    fake_occupy(fake, busy);
    const int64_t timeouts_us[] = {5, 0, 1};
    for (int i = 0; i < 3; i++) {
        fake_job_fill(fake, &jobs[i], 1, 4, 0);
        jobs[i].job.codec = &fake_worker_codec;
        jobs[i].job.timeout_us = jobs[i].timeout_us = timeouts_us[i];
        fake_start(fake, &jobs[i]);
    }
    fake_turn(fake);
    fake_pass(fake, 1000);
    ck_assert_int_eq(jobs[2].n_done, 1);
    ck_assert_int_eq(jobs[2].job.err.code, ERR_TIMEOUT);
    ck_assert_int_eq(jobs[1].n_done, 0);
    fake_pass(fake, 1000);
    ck_assert_int_eq(jobs[1].n_done, 1);
    ck_assert_int_eq(jobs[0].n_done, 0); /* its own timeout is the longer one */
    fake_settle(fake);
    ck_assert_int_eq(jobs[0].job.err.code, ERR_NONE);
    fake_free(fake);
}
END_TEST

START_TEST(the_lane_that_used_less_time_goes_first)
{
    struct fake *fake = fake_new(1);
    fake->run_ns = 1000;
    fake->served[0].lane->max_batch_size = 1;
    for (int i = 0; i < 20; i++)
        start(fake, i, 0);
    fake_turn(fake);
    fake_step(fake);
    fake_step(fake); /* a's stream is under way: now b has one job */
    start(fake, 20, 1);
    fake_turn(fake);
    fake_step(fake);
    fake_step(fake);
    ck_assert_int_eq(jobs[20].n_done, 1);
    ck_assert_int_le(jobs[20].order, 4);
    fake_free(fake);
}
END_TEST

START_TEST(an_idle_lane_saves_up_no_credit)
{
    struct fake *fake = fake_new(1);
    fake->run_ns = 1000;
    fake->served[0].lane->max_batch_size = fake->served[1].lane->max_batch_size = 1;
    for (int i = 0; i < 10; i++)
        start(fake, i, 0);
    fake_settle(fake);
    for (int i = 10; i < 20; i++)
        start(fake, i, 0);
    for (int i = 20; i < 30; i++)
        start(fake, i, 1);
    fake_settle(fake);
    int a_before_last_b = 0;
    for (int i = 10; i < 20; i++)
        a_before_last_b += jobs[i].order < jobs[29].order;
    ck_assert_int_ge(a_before_last_b, 8); /* they took turns */
    fake_free(fake);
}
END_TEST

/* Batches of one, many of both lanes; a task of a is taken to cost `a_ns`, one of b `b_ns`. */
static void start_streams(struct fake *fake, int64_t a_ns, int64_t b_ns)
{
    for (int k = 0; k < 2; k++) {
        fake->served[k].lane->max_batch_size = 1;
        fake->served[k].lane->task_ns = k ? b_ns : a_ns;
    }
    for (int i = 0; i < 20; i++)
        start(fake, i, i % 2);
    fake_turn(fake);
}

/* What is under way counts as if it had been paid: the lane that was served first does not get every core. */
START_TEST(tasks_that_are_out_count_as_used_time)
{
    static const struct {
        int workers;
        int64_t a_ns, b_ns;
        int n_a, n_b;
    } rows[] = {{2, 1000, 1000, 1, 1}, {6, 1000, 1000, 3, 3}, {4, 3000, 1000, 1, 3}, {4, 1000, 3000, 3, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fake *fake = fake_new(rows[i].workers);
        start_streams(fake, rows[i].a_ns, rows[i].b_ns);
        ck_assert_int_eq(fake->served[0].lane->n_out, rows[i].n_a);
        ck_assert_int_eq(fake->served[1].lane->n_out, rows[i].n_b);
        fake_free(fake);
    }
}
END_TEST

START_TEST(sessions_are_made_when_needed_and_the_last_used_is_used_first)
{
    struct fake *fake = fake_new(4);
    start(fake, 0, 0);
    fake_settle(fake);
    start(fake, 1, 0);
    fake_settle(fake);
    ck_assert_int_eq(fake->n_sessions, 1);
    fake->served[0].lane->max_batch_size = 1;
    for (int i = 0; i < 3; i++)
        start(fake, i, 0);
    fake_settle(fake);
    ck_assert_int_eq(fake->n_sessions, 3);
    const struct batch *used_last = fake->served[0].lane->idle;
    start(fake, 0, 0);
    fake_settle(fake);
    ck_assert_ptr_eq(fake->served[0].lane->idle, used_last);
    fake_free(fake);
}
END_TEST

START_TEST(idle_cores_are_lent_to_a_large_batch)
{
    struct fake *fake = fake_new(3);
    fake->item_flops = 1e7;
    start(fake, 0, 0);
    fake_turn(fake);
    ck_assert_int_eq(fake->n_tasks, 1); /* its size is not known yet */
    fake_settle(fake);
    start(fake, 1, 0);
    fake_turn(fake);
    ck_assert_int_eq(fake->n_tasks, 3);
    ck_assert_int_eq(fake->n_teams, 1);
    fake_step_at(fake, 1); /* a helper that comes while the leader is out */
    ck_assert_int_eq(fake->n_helped, 1);
    fake_step(fake);
    ck_assert_int_eq(jobs[1].n_done, 1);
    ck_assert_int_eq(fake->n_closed, 1);
    fake_settle(fake);
    ck_assert_int_eq(fake->n_teams, 0);
    fake_free(fake);
}
END_TEST

/* Job 1 of model a, which is known to be large: cores that are idle are lent to it. */
static void start_helped(struct fake *fake)
{
    fake->item_flops = 1e7;
    start(fake, 0, 0);
    fake_settle(fake);
    start(fake, 1, 0);
    fake_turn(fake);
}

START_TEST(more_workers_than_cores_do_not_make_larger_teams)
{
    fake_members = 2;
    struct fake *fake = fake_new(4);
    start_helped(fake);
    ck_assert_int_eq(fake->n_tasks, 2);
    fake_free(fake);
    fake_members = 16;
}
END_TEST

START_TEST(a_team_has_no_more_members_than_fit)
{
    static const struct {
        int workers, members, n_tasks;
    } rows[] = {{2 * TEAM_MAX, 100, TEAM_MAX},
                {TEAM_MAX + 1, TEAM_MAX + 1, TEAM_MAX},
                {2 * TEAM_MAX, TEAM_MAX - 1, TEAM_MAX - 1},
                {TEAM_MAX - 1, 100, TEAM_MAX - 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fake_members = rows[i].members;
        struct fake *fake = fake_new(rows[i].workers);
        start_helped(fake);
        ck_assert_int_eq(fake->n_tasks, rows[i].n_tasks);
        fake_free(fake);
    }
    fake_members = 16;
}
END_TEST

/* A large batch of each model, both known to be large, with helpers. */
static void start_two_helped(struct fake *fake, struct batch *batches[2])
{
    fake->item_flops = 1e7;
    fake->run_ns = 1000;
    for (int k = 0; k < 2; k++) {
        fake->served[k].lane->max_batch_size = 1;
        start(fake, k, k);
        fake_settle(fake);
    }
    for (int k = 0; k < 2; k++)
        start(fake, 2 + k, k);
    fake_turn(fake);
    for (int i = 0; i < 2; i++)
        batches[i] = (struct batch *)(void *)fake->tasks[i];
    ck_assert_int_eq(batches[0]->n_helpers + batches[1]->n_helpers, fake->n_tasks - 2);
}

/* Helpers go where the fewest are, each is counted once wherever it is. */
START_TEST(helpers_are_shared_evenly)
{
    static const struct {
        int workers, more, less;
    } rows[] = {{3, 1, 0}, {4, 1, 1}, {5, 2, 1}, {6, 2, 2}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fake *fake = fake_new(rows[i].workers);
        struct batch *batches[2];
        start_two_helped(fake, batches);
        const int a = batches[0]->n_helpers, b = batches[1]->n_helpers;
        ck_assert_int_eq(a > b ? a : b, rows[i].more);
        ck_assert_int_eq(a > b ? b : a, rows[i].less);
        while (fake->n_tasks > 2) /* they return, and as many are lent again: the team is done */
            ck_assert(fake_step_at(fake, 0));
        fake_free(fake);
    }
}
END_TEST

/* One core is wanted, and the next turn wants the same one: a helper on its way is not called for twice. */
START_TEST(as_many_helpers_are_called_back_as_there_is_work_for)
{
    struct batch *batches[2];
    struct fake *fake = fake_new(4);
    start_two_helped(fake, batches);
    start(fake, 4, 0);
    fake_turn(fake);
    ck_assert_int_eq(fake->n_closed, 1);
    for (int i = 5; i < 8; i++) { /* more of the same lane: it can do one thing next */
        start(fake, i, 0);
        fake_turn(fake);
        ck_assert_int_eq(fake->n_closed, 1);
    }
    start(fake, 8, 1);
    fake_turn(fake);
    ck_assert_int_eq(fake->n_closed, 2);
    ck_assert(batches[0]->team_closed && batches[1]->team_closed); /* not one of them twice */
    fake_free(fake);

    fake = fake_new(6); /* two helpers each: one team's are enough for both lanes */
    start_two_helped(fake, batches);
    start(fake, 4, 0);
    start(fake, 5, 1);
    fake_turn(fake);
    ck_assert_int_eq(fake->n_closed, 1);
    start(fake, 6, 0);
    fake_turn(fake);
    ck_assert_int_eq(fake->n_closed, 1);
    fake_free(fake);
}
END_TEST

START_TEST(a_small_model_is_not_helped)
{
    struct fake *fake = fake_new(3);
    fake->item_flops = 1e5;
    for (int i = 0; i < 2; i++) {
        start(fake, i, 0);
        fake_turn(fake);
        ck_assert_int_eq(fake->n_tasks, 1);
        fake_settle(fake);
    }
    fake_free(fake);
}
END_TEST

START_TEST(lent_cores_are_called_back_for_other_work)
{
    struct fake *fake = fake_new(2);
    start_helped(fake);
    ck_assert_int_eq(fake->n_tasks, 2); /* leader and helper */
    start(fake, 2, 1);
    fake_turn(fake);
    ck_assert_int_eq(fake->n_closed, 1);
    fake_step_at(fake, 1); /* the helper returns at once */
    ck_assert_int_eq(fake->n_helped, 0);
    ck_assert_int_eq(fake->n_tasks, 2);
    fake_step_at(fake, 1);
    ck_assert_int_eq(jobs[2].n_done, 1);
    ck_assert_int_eq(jobs[1].n_done, 0);
    ck_assert_int_eq(fake->n_tasks, 1); /* a team that was closed gets no more helpers */
    fake_free(fake);
}
END_TEST

START_TEST(a_batch_comes_home_after_its_last_helper)
{
    struct fake *fake = fake_new(2);
    start_helped(fake);
    fake_step(fake);
    ck_assert_int_eq(jobs[1].n_done, 1); /* its jobs do not wait for the helper */
    ck_assert_ptr_null(fake->served[0].lane->idle);
    fake_step(fake);
    ck_assert_ptr_nonnull(fake->served[0].lane->idle);
    fake_free(fake);
}
END_TEST

START_TEST(without_memory_for_a_batch_its_jobs_are_told)
{
    struct fake *fake = fake_new(1);
    start(fake, 0, 0);
    start(fake, 1, 0);
    arena_fail_at(1, false);
    fake_turn(fake);
    arena_fail_at(0, false);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(jobs[i].n_done, 1);
        ck_assert_int_eq(jobs[i].job.err.code, ERR_MEMORY);
    }
    start(fake, 2, 0);
    fake_settle(fake);
    ck_assert_int_eq(jobs[2].job.err.code, ERR_NONE);
    fake_free(fake);
}
END_TEST

static void count_drained(void *user)
{
    ++*(int *)user;
}

START_TEST(draining_ends_what_is_there_and_refuses_the_rest)
{
    struct fake *fake = fake_new(1);
    int n_drained = 0;
    fake->served[0].lane->max_queue_delay_ns = 1000000000;
    start(fake, 0, 0);
    fake_turn(fake);
    ck_assert_int_eq(fake->n_tasks, 0);
    dispatch_drain(fake->dispatch, count_drained, &n_drained);
    fake_turn(fake);
    ck_assert_int_eq(fake->n_tasks, 1); /* no company will come */
    start(fake, 1, 0);
    fake_turn(fake);
    ck_assert_int_eq(jobs[1].n_done, 1);
    ck_assert_str_eq(jobs[1].job.err.text, "Server exiting");
    ck_assert_int_eq(n_drained, 0);
    fake_step(fake);
    ck_assert_int_eq(jobs[0].job.err.code, ERR_NONE);
    ck_assert_int_eq(n_drained, 1);
    fake_free(fake);
    ck_assert_int_eq(n_drained, 1);
}
END_TEST

START_TEST(draining_waits_for_helpers_on_their_way_home)
{
    struct fake *fake = fake_new(2);
    int n_drained = 0;
    start_helped(fake);
    dispatch_drain(fake->dispatch, count_drained, &n_drained);
    fake_step(fake);
    ck_assert_int_eq(jobs[1].n_done, 1);
    ck_assert_int_eq(n_drained, 0); /* its session is not at home yet */
    fake_step(fake);
    ck_assert_int_eq(n_drained, 1);
    fake_free(fake);
}
END_TEST

START_TEST(draining_an_idle_server_ends_in_the_next_turn)
{
    struct fake *fake = fake_new(1);
    int n_drained = 0;
    dispatch_drain(fake->dispatch, count_drained, &n_drained);
    ck_assert_int_eq(n_drained, 0);
    fake_turn(fake);
    ck_assert_int_eq(n_drained, 1);
    fake_free(fake);
}
END_TEST

/* --- memory ------------------------------------------------------------------------------------------------------- */

#define MB ((size_t)1 << 20)

static void run_items(struct fake *fake, int i, int64_t n)
{
    fake_job_fill(fake, &jobs[i], n, 4, 0);
    fake_start(fake, &jobs[i]);
    fake_settle(fake);
}

/* Small runs for three stretches. */
static void pass_with_small_runs(struct fake *fake)
{
    for (int i = 1; i <= 10; i++) {
        fake_pass(fake, TRIM_WINDOW_NS / 3);
        run_items(fake, i, 1);
    }
}

START_TEST(what_a_rare_large_run_took_goes_back)
{
    struct fake *fake = fake_new(1);
    fake->item_bytes = 8 * MB;
    run_items(fake, 0, 4);
    ck_assert_uint_eq(fake->served[0].stats.session_bytes, 32 * MB);
    fake_pass(fake, TRIM_WINDOW_NS / 2);
    run_items(fake, 1, 1);
    ck_assert_int_eq(fake->n_trims, 0);
    pass_with_small_runs(fake);
    ck_assert_int_eq(fake->n_trims, 1);
    ck_assert_int_eq(fake->n_trims_all, 0);
    ck_assert_uint_eq(fake->served[0].stats.session_bytes, 8 * MB);
    fake_free(fake);
}
END_TEST

START_TEST(a_large_run_now_and_then_keeps_its_memory)
{
    struct fake *fake = fake_new(1);
    fake->item_bytes = 8 * MB;
    for (int i = 0; i < 20; i++) {
        fake_pass(fake, TRIM_WINDOW_NS * 2 / 3);
        run_items(fake, 0, i % 2 ? 1 : 4);
    }
    ck_assert_int_eq(fake->n_trims, 0);
    fake_free(fake);
}
END_TEST

START_TEST(little_memory_is_not_worth_a_look)
{
    struct fake *fake = fake_new(1);
    fake->item_bytes = TRIM_LEAST_BYTES / 4 - 1;
    run_items(fake, 0, 4);
    ck_assert_int_eq(fake->alarm_ns, LANE_NEVER);
    pass_with_small_runs(fake);
    ck_assert_int_eq(fake->n_trims, 0);
    fake_free(fake);
}
END_TEST

START_TEST(of_sessions_that_rest_the_first_keeps_its_memory)
{
    struct fake *fake = fake_new(2);
    fake->item_bytes = 32 * MB;
    start(fake, 0, 0);
    fake_turn(fake);
    start(fake, 1, 0);
    fake_turn(fake);
    fake_settle(fake);
    ck_assert_int_eq(fake->n_sessions, 2);
    ck_assert_uint_eq(fake->served[0].stats.session_bytes, 64 * MB);
    for (int i = 0; i < 12; i++) {
        fake_pass(fake, TRIM_WINDOW_NS);
        fake_settle(fake);
    }
    ck_assert_int_eq(fake->n_trims, 1);
    ck_assert_int_eq(fake->n_trims_all, 1);
    ck_assert_uint_eq(fake->served[0].stats.session_bytes, 32 * MB);
    ck_assert_int_eq(fake->alarm_ns, LANE_NEVER); /* and then there is rest */
    run_items(fake, 2, 1);
    ck_assert_int_eq(jobs[2].n_done, 1);
    fake_free(fake);
}
END_TEST

START_TEST(memory_goes_back_when_a_core_is_idle_and_a_drain_waits_for_it)
{
    struct fake *fake = fake_new(1);
    int n_drained = 0;
    fake->item_bytes = 8 * MB;
    run_items(fake, 0, 4);
    fake_pass(fake, TRIM_WINDOW_NS);
    run_items(fake, 1, 1);
    fake_pass(fake, TRIM_WINDOW_NS); /* the large run is in the stretch before */
    fake_occupy(fake, busy);
    fake_pass(fake, TRIM_WINDOW_NS);
    ck_assert_int_eq(fake->n_tasks, 1); /* the busy core's */
    fake_step(fake);
    ck_assert_int_eq(fake->n_tasks, 1);
    dispatch_drain(fake->dispatch, count_drained, &n_drained);
    fake_turn(fake);
    ck_assert_int_eq(n_drained, 0);
    fake_settle(fake);
    ck_assert_int_eq(n_drained, 1);
    ck_assert_int_eq(fake->n_trims, 1);
    fake_free(fake);
}
END_TEST

Suite *serve_dispatch_suite(void)
{
    Suite *suite = suite_create("serve/dispatch");
    TCase *tests = tcase_create("dispatch");
    tcase_add_test(tests, an_idle_core_takes_a_single_job_at_once);
    tcase_add_test(tests, jobs_that_queue_while_cores_are_busy_form_batches);
    tcase_add_test(tests, batches_grow_where_they_pay);
    tcase_add_test(tests, batches_stay_small_where_they_do_not_pay);
    tcase_add_test(tests, who_asked_for_a_delay_gets_large_batches);
    tcase_add_test(tests, runs_that_were_helped_teach_nothing);
    tcase_add_test(tests, never_more_tasks_than_cores);
    tcase_add_test(tests, a_delay_is_kept_by_the_clock);
    tcase_add_test(tests, a_delay_is_cut_short_by_a_full_batch);
    tcase_add_test(tests, an_expired_job_is_answered_in_time_and_never_computed);
    tcase_add_test(tests, the_default_timeout_holds_for_bodies_that_wait_to_be_decoded);
    tcase_add_test(tests, a_timeout_of_the_headers_holds_before_the_body_is_decoded);
    tcase_add_test(tests, the_lane_that_used_less_time_goes_first);
    tcase_add_test(tests, an_idle_lane_saves_up_no_credit);
    tcase_add_test(tests, tasks_that_are_out_count_as_used_time);
    tcase_add_test(tests, sessions_are_made_when_needed_and_the_last_used_is_used_first);
    tcase_add_test(tests, idle_cores_are_lent_to_a_large_batch);
    tcase_add_test(tests, more_workers_than_cores_do_not_make_larger_teams);
    tcase_add_test(tests, a_team_has_no_more_members_than_fit);
    tcase_add_test(tests, helpers_are_shared_evenly);
    tcase_add_test(tests, as_many_helpers_are_called_back_as_there_is_work_for);
    tcase_add_test(tests, a_small_model_is_not_helped);
    tcase_add_test(tests, lent_cores_are_called_back_for_other_work);
    tcase_add_test(tests, a_batch_comes_home_after_its_last_helper);
    tcase_add_test(tests, without_memory_for_a_batch_its_jobs_are_told);
    tcase_add_test(tests, draining_ends_what_is_there_and_refuses_the_rest);
    tcase_add_test(tests, draining_waits_for_helpers_on_their_way_home);
    tcase_add_test(tests, draining_an_idle_server_ends_in_the_next_turn);
    tcase_add_test(tests, what_a_rare_large_run_took_goes_back);
    tcase_add_test(tests, a_large_run_now_and_then_keeps_its_memory);
    tcase_add_test(tests, little_memory_is_not_worth_a_look);
    tcase_add_test(tests, of_sessions_that_rest_the_first_keeps_its_memory);
    tcase_add_test(tests, memory_goes_back_when_a_core_is_idle_and_a_drain_waits_for_it);
    suite_add_tcase(suite, tests);
    return suite;
}
