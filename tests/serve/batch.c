/* batch.c - gather, run, scatter: everybody gets his own rows, his own errors, and nobody
 * else's. */
#include "base/err.h"
#include "fake.h"

#include <check.h>
#include <math.h>

Suite *serve_batch_suite(void);

static struct fake_job jobs[12];

static void all_wait(struct fake *fake, const int64_t *items, int n, int64_t width)
{
    for (int i = 0; i < n; i++) {
        fake_job_fill(fake, &jobs[i], items[i], width, (float)(100 * i));
        fake_start(fake, &jobs[i]);
    }
}

static void expect_own_rows(int i)
{
    ck_assert_int_eq(jobs[i].job.err.code, ERR_NONE);
    ck_assert(jobs[i].encoded);
    int n = (int)(jobs[i].input.dims[0] * jobs[i].input.dims[1]);
    ck_assert_int_eq(jobs[i].n_y, n);
    for (int j = 0; j < n; j++)
        ck_assert(jobs[i].y[j] == 2 * jobs[i].x[j]);
}

START_TEST(each_job_gets_its_own_rows)
{
    struct fake *fake = fake_new(1);
    all_wait(fake, (const int64_t[]){1, 3, 2, 2}, 4, 4);
    fake_settle(fake);
    ck_assert_int_eq(fake->n_runs, 1);
    ck_assert_int_eq(fake->runs[0], 8);
    for (int i = 0; i < 4; i++) {
        expect_own_rows(i);
        ck_assert_int_eq(jobs[i].job.batch_size, 8);
    }
    fake_free(fake);
}
END_TEST

/* [width, n]: a job's numbers lie in strips among the others'. */
START_TEST(items_may_lie_along_another_axis)
{
    struct fake *fake = fake_new(1);
    fake_lie_along(fake, 1);
    all_wait(fake, (const int64_t[]){1, 3, 2, 2}, 4, 4);
    fake_settle(fake);
    ck_assert_int_eq(fake->n_runs, 1);
    ck_assert_int_eq(fake->runs[0], 8);
    for (int i = 0; i < 4; i++) {
        expect_own_rows(i);
        ck_assert_int_eq(jobs[i].job.batch_size, 8);
    }
    all_wait(fake, (const int64_t[]){1, 2}, 2, 1); /* with nothing before it they are in one piece */
    fake_settle(fake);
    expect_own_rows(0);
    expect_own_rows(1);
    fake_free(fake);
}
END_TEST

/* Three jobs of n items together, the second of which has a NaN: it alone fails. */
static void run_with_bad_data(struct fake *fake, int64_t n, int64_t width)
{
    for (int i = 0; i < 3; i++) {
        fake_job_fill(fake, &jobs[i], n, width, (float)i);
        if (i == 1)
            jobs[i].x[2] = NAN;
        fake_start(fake, &jobs[i]);
    }
    fake_settle(fake);
    expect_own_rows(0);
    expect_own_rows(2);
    ck_assert_int_eq(jobs[1].job.err.code, ERR_DATA);
}

START_TEST(bad_data_in_a_strip_are_their_senders)
{
    struct fake *fake = fake_new(1);
    fake_lie_along(fake, 1);
    run_with_bad_data(fake, 2, 3);
    fake_free(fake);
}
END_TEST

START_TEST(a_job_with_bad_data_fails_alone)
{
    struct fake *fake = fake_new(1);
    run_with_bad_data(fake, 1, 4);
    ck_assert_str_eq(jobs[1].job.err.text, "element 2 is NaN");
    ck_assert(!jobs[1].encoded);
    ck_assert_int_eq(fake->n_runs, 4);
    ck_assert(fake->served[0].lane->batching);
    ck_assert_uint_eq(fake->served[0].stats.failure[FAILURE_BACKEND], 1);
    ck_assert_uint_eq(fake->served[0].stats.success, 2);
    ck_assert_uint_eq(fake->served[0].stats.executions, 2);
    ck_assert_uint_eq(fake->served[0].stats.items, 2);
    fake_free(fake);
}
END_TEST

START_TEST(a_run_that_fails_is_no_inference)
{
    struct fake *fake = fake_new(1);
    fake_job_fill(fake, &jobs[0], 1, 4, 1);
    jobs[0].x[2] = NAN;
    fake_start(fake, &jobs[0]);
    fake_settle(fake);
    ck_assert_int_eq(jobs[0].job.err.code, ERR_DATA);
    ck_assert_int_eq(fake->n_runs, 1);
    ck_assert_uint_eq(fake->served[0].stats.failure[FAILURE_BACKEND], 1);
    ck_assert_uint_eq(fake->served[0].stats.executions, 0);
    ck_assert_uint_eq(fake->served[0].stats.items, 0);
    fake_free(fake);
}
END_TEST

/* Two items of 12 samples where a network wants 24. */
START_TEST(jobs_whose_items_fit_only_together_are_not_joined)
{
    struct fake *fake = fake_new(1);
    fake->no_single = true;
    all_wait(fake, (const int64_t[]){1, 2, 1}, 3, 4);
    fake_settle(fake);
    ck_assert_int_eq(fake->n_runs, 1); /* of the second, as it came */
    ck_assert_int_eq(fake->runs[0], 2);
    ck_assert_int_eq(jobs[0].job.err.code, ERR_INVALID);
    expect_own_rows(1);
    ck_assert_int_eq(jobs[2].job.err.code, ERR_INVALID);
    ck_assert(fake->served[0].lane->batching); /* other lengths may fit */
    fake_free(fake);
}
END_TEST

START_TEST(jobs_are_not_joined_without_a_proof)
{
    struct fake *fake = fake_new(1);
    fake->coupled = true;
    all_wait(fake, (const int64_t[]){1, 2, 1}, 3, 4);
    fake_settle(fake);
    ck_assert_int_eq(fake->n_runs, 3);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(fake->runs[i], i == 1 ? 2 : 1);
        expect_own_rows(i);
    }
    ck_assert(fake->served[0].lane->batching); /* other lengths may have one */
    fake_free(fake);
}
END_TEST

/* What a client and the metrics are told of time: gathering is input, also for jobs that were run one by one. */
START_TEST(gathering_and_running_are_counted_apart)
{
    for (int coupled = 0; coupled < 2; coupled++) {
        struct fake *fake = fake_new(1);
        fake->coupled = coupled;
        fake->gather_ns = 300;
        fake->run_ns = 5000;
        all_wait(fake, (const int64_t[]){1, 2, 1}, 3, 4);
        fake_settle(fake);
        const struct stats *stats = &fake->served[0].stats;
        const int n_runs = coupled ? 3 : 1;
        uint64_t input_ns = 0, infer_ns = 0;
        for (int i = 0; i < stats->n_sizes; i++) {
            input_ns += stats->sizes[i].input_ns;
            infer_ns += stats->sizes[i].infer_ns;
        }
        ck_assert_int_eq(fake->n_runs, n_runs);
        ck_assert_uint_eq(infer_ns, 5000u * (unsigned)n_runs);
        ck_assert_uint_eq(input_ns % 300, 0);
        ck_assert_uint_ge(input_ns, 300u * (unsigned)n_runs);
        fake_free(fake);
    }
}
END_TEST

START_TEST(a_single_job_with_bad_data_is_run_once)
{
    struct fake *fake = fake_new(1);
    fake_job_fill(fake, &jobs[0], 2, 2, 0);
    jobs[0].x[3] = NAN;
    fake_start(fake, &jobs[0]);
    fake_settle(fake);
    ck_assert_int_eq(jobs[0].job.err.code, ERR_DATA);
    ck_assert_int_eq(fake->n_runs, 1);
    fake_free(fake);
}
END_TEST

START_TEST(memory_short_for_all_may_suffice_for_each)
{
    struct fake *fake = fake_new(1);
    fake->fail_joint = ERR_MEMORY;
    all_wait(fake, (const int64_t[]){1, 1}, 2, 4);
    fake_settle(fake);
    expect_own_rows(0);
    expect_own_rows(1);
    ck_assert(fake->served[0].lane->batching);
    fake_free(fake);
}
END_TEST

START_TEST(a_model_that_fails_only_in_company_is_run_job_by_job_from_then_on)
{
    struct fake *fake = fake_new(1);
    fake->fail_joint = ERR_MODEL;
    all_wait(fake, (const int64_t[]){1, 1}, 2, 4);
    fake_settle(fake);
    expect_own_rows(0);
    expect_own_rows(1);
    ck_assert(!fake->served[0].lane->batching);
    fake->n_runs = 0;
    all_wait(fake, (const int64_t[]){1, 1}, 2, 4);
    fake_settle(fake);
    ck_assert_int_eq(fake->n_runs, 2);
    fake_free(fake);
}
END_TEST

START_TEST(results_that_cannot_be_told_apart_are_computed_apart)
{
    struct fake *fake = fake_new(1);
    fake->whole_output = true;
    all_wait(fake, (const int64_t[]){1, 2, 1}, 3, 4);
    fake_settle(fake);
    for (int i = 0; i < 3; i++)
        expect_own_rows(i);
    ck_assert(!fake->served[0].lane->batching);
    fake_free(fake);
}
END_TEST

START_TEST(a_single_job_gets_the_output_whole)
{
    struct fake *fake = fake_new(1);
    fake->whole_output = true;
    all_wait(fake, (const int64_t[]){3}, 1, 4);
    fake_settle(fake);
    expect_own_rows(0);
    ck_assert(fake->served[0].lane->batching);
    fake_free(fake);
}
END_TEST

START_TEST(a_job_without_items_has_an_answer_too)
{
    struct fake *fake = fake_new(1);
    all_wait(fake, (const int64_t[]){0, 2, 0}, 3, 4);
    fake_settle(fake);
    for (int i = 0; i < 3; i++)
        expect_own_rows(i);
    fake_free(fake);
}
END_TEST

START_TEST(without_a_session_every_job_is_told_why)
{
    struct fake *fake = fake_new(1);
    fake->no_session = true;
    all_wait(fake, (const int64_t[]){1, 1}, 2, 4);
    fake_settle(fake);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(jobs[i].job.err.code, ERR_MEMORY);
        ck_assert_str_eq(jobs[i].job.err.text, "no session today");
    }
    fake->no_session = false; /* and the next one may have more luck */
    all_wait(fake, (const int64_t[]){1, 1}, 2, 4);
    fake_settle(fake);
    expect_own_rows(0);
    fake_free(fake);
}
END_TEST

START_TEST(a_run_may_last_until_the_last_deadline_of_its_jobs)
{
    struct fake *fake = fake_new(1);
    for (int i = 0; i < 3; i++) {
        fake_job_fill(fake, &jobs[i], 1, 4, 0);
        jobs[i].timeout_us = 100 + 50 * (i == 1);
        fake_start(fake, &jobs[i]);
    }
    fake_settle(fake);
    ck_assert_int_eq(fake->deadline_ns, jobs[1].job.arrived_ns + 150000);
    jobs[0].n_done = 0;
    fake_job_fill(fake, &jobs[0], 1, 4, 0);
    fake_job_fill(fake, &jobs[1], 1, 4, 0);
    jobs[0].timeout_us = 100;
    fake_start(fake, &jobs[0]);
    fake_start(fake, &jobs[1]);
    fake_settle(fake);
    ck_assert_int_eq(fake->deadline_ns, 0);
    fake_free(fake);
}
END_TEST

START_TEST(a_run_past_its_deadline_says_so_in_the_protocols_words)
{
    struct fake *fake = fake_new(1);
    fake->run_ns = 1000000;
    fake_job_fill(fake, &jobs[0], 1, 4, 0);
    jobs[0].timeout_us = 500;
    fake_start(fake, &jobs[0]);
    fake_settle(fake);
    ck_assert_int_eq(jobs[0].job.err.code, ERR_TIMEOUT);
    ck_assert_str_eq(jobs[0].job.err.text, "Request timeout expired");
    fake_free(fake);
}
END_TEST

START_TEST(runs_are_counted_by_their_size_and_their_parts)
{
    struct fake *fake = fake_new(1);
    fake->run_ns = 5000;
    all_wait(fake, (const int64_t[]){1, 2}, 2, 4);
    fake_settle(fake);
    const struct stats *stats = &fake->served[0].stats;
    ck_assert_uint_eq(stats->executions, 1);
    ck_assert_uint_eq(stats->items, 3);
    ck_assert_uint_eq(stats->success, 2);
    ck_assert_uint_eq(stats->infer_ns, 10000);
    ck_assert_uint_eq(stats->sizes[2].count, 1);
    ck_assert_uint_eq(stats->sizes[2].infer_ns, 5000);
    fake_free(fake);
}
END_TEST

/* The session computes another job's rows while the first ones' replies are written from what was copied. */
START_TEST(a_session_is_at_home_while_long_replies_are_written)
{
    struct fake *fake = fake_new(2);
    fake->long_replies = true;
    fake->run_ns = 7;
    fake->encode_ns = 1000;
    struct lane *lane = fake->served[0].lane;
    all_wait(fake, (const int64_t[]){1, 2}, 2, 4);
    fake_turn(fake);
    ck_assert_int_eq(fake->n_tasks, 1);
    fake_step(fake);
    ck_assert_ptr_nonnull(lane->idle);
    ck_assert_int_eq(jobs[0].n_done, 0);
    ck_assert_int_eq(fake->n_tasks, 2); /* each reply on a core of its own */
    ck_assert_int_eq(jobs[0].job.state, JOB_WRITING);
    ck_assert_int_eq(jobs[1].job.state, JOB_WRITING);
    fake_job_fill(fake, &jobs[2], 1, 4, 77);
    fake_start(fake, &jobs[2]);
    fake_step(fake); /* the first reply */
    ck_assert_int_eq(jobs[0].n_done, 1);
    fake_step_at(fake, 1); /* the third job's run, in the same session */
    ck_assert_int_eq(fake->n_runs, 2);
    ck_assert_int_eq(fake->n_sessions, 1);
    ck_assert_int_eq(jobs[1].n_done, 0);
    fake_settle(fake);
    for (int i = 0; i < 3; i++)
        expect_own_rows(i);
    ck_assert_int_eq(jobs[0].job.encode_ns, 1000);
    ck_assert_int_eq(jobs[0].job.finished_ns - jobs[0].job.started_ns, 7);
    ck_assert_uint_eq(fake->served[0].stats.sizes[2].output_ns, 2000);
    ck_assert_uint_eq(fake->served[0].stats.sizes[0].output_ns, 1000);
    ck_assert_uint_eq(fake->served[0].stats.output_ns, 3000);
    ck_assert_int_eq(lane->used_ns, 7 + 1000 + 1000 + 7 + 1000);
    fake_free(fake);
}
END_TEST

START_TEST(replies_that_are_quickly_written_take_no_trip)
{
    struct fake *fake = fake_new(1);
    all_wait(fake, (const int64_t[]){1, 2}, 2, 4);
    fake_turn(fake);
    fake_step(fake);
    ck_assert_int_eq(fake->n_tasks, 0);
    ck_assert_int_eq(jobs[0].n_done, 1);
    ck_assert_ptr_null(jobs[0].job.results);
    fake_free(fake);
}
END_TEST

START_TEST(a_long_reply_is_not_written_for_who_has_gone_or_whose_time_is_up)
{
    struct fake *fake = fake_new(1);
    fake->long_replies = true;
    for (int i = 0; i < 3; i++) {
        fake_job_fill(fake, &jobs[i], 1, 4, (float)i);
        jobs[i].timeout_us = i == 2 ? 300 : 0;
        fake_start(fake, &jobs[i]);
    }
    fake_turn(fake);
    fake_step(fake);
    ck_assert_int_eq(jobs[0].job.state, JOB_WRITING);
    ck_assert_int_eq(jobs[1].job.state, JOB_UNWRITTEN);
    lifecycle_cancel(&jobs[0].job);
    lifecycle_cancel(&jobs[1].job);
    fake_pass(fake, 300000);
    ck_assert_int_eq(jobs[1].n_done, 1); /* no core had it */
    ck_assert_int_eq(jobs[2].n_done, 1);
    ck_assert_int_eq(jobs[0].n_done, 0);
    fake_settle(fake);
    ck_assert_int_eq(jobs[0].job.err.code, ERR_CANCELLED);
    ck_assert_int_eq(jobs[1].job.err.code, ERR_CANCELLED);
    ck_assert_int_eq(jobs[2].job.err.code, ERR_TIMEOUT);
    for (int i = 0; i < 3; i++)
        ck_assert(!jobs[i].encoded);
    fake_free(fake);
}
END_TEST

Suite *serve_batch_suite(void)
{
    Suite *suite = suite_create("serve/batch");
    TCase *tests = tcase_create("batch");
    tcase_add_test(tests, each_job_gets_its_own_rows);
    tcase_add_test(tests, items_may_lie_along_another_axis);
    tcase_add_test(tests, bad_data_in_a_strip_are_their_senders);
    tcase_add_test(tests, a_job_with_bad_data_fails_alone);
    tcase_add_test(tests, a_run_that_fails_is_no_inference);
    tcase_add_test(tests, jobs_whose_items_fit_only_together_are_not_joined);
    tcase_add_test(tests, jobs_are_not_joined_without_a_proof);
    tcase_add_test(tests, gathering_and_running_are_counted_apart);
    tcase_add_test(tests, a_single_job_with_bad_data_is_run_once);
    tcase_add_test(tests, memory_short_for_all_may_suffice_for_each);
    tcase_add_test(tests, a_model_that_fails_only_in_company_is_run_job_by_job_from_then_on);
    tcase_add_test(tests, results_that_cannot_be_told_apart_are_computed_apart);
    tcase_add_test(tests, a_single_job_gets_the_output_whole);
    tcase_add_test(tests, a_job_without_items_has_an_answer_too);
    tcase_add_test(tests, without_a_session_every_job_is_told_why);
    tcase_add_test(tests, a_run_may_last_until_the_last_deadline_of_its_jobs);
    tcase_add_test(tests, a_run_past_its_deadline_says_so_in_the_protocols_words);
    tcase_add_test(tests, runs_are_counted_by_their_size_and_their_parts);
    tcase_add_test(tests, a_session_is_at_home_while_long_replies_are_written);
    tcase_add_test(tests, replies_that_are_quickly_written_take_no_trip);
    tcase_add_test(tests, a_long_reply_is_not_written_for_who_has_gone_or_whose_time_is_up);
    suite_add_tcase(suite, tests);
    return suite;
}
