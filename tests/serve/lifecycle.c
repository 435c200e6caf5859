/* lifecycle.c - a job's life: done exactly once, never from within lifecycle_start, cancelled wherever it
 * is. */
#include "base/err.h"
#include "fake.h"

#include <check.h>

Suite *serve_lifecycle_suite(void);

static struct fake_job busy[4];
static struct fake_job jobs[40];

static void fill(struct fake *fake, int i, const struct codec *codec)
{
    fake_job_fill(fake, &jobs[i], 1, 4, (float)i);
    jobs[i].job.codec = codec;
}

static void start_all(struct fake *fake, int n, const struct codec *codec)
{
    for (int i = 0; i < n; i++) {
        fill(fake, i, codec);
        fake_start(fake, &jobs[i]);
    }
}

static void expect_cancelled(const struct fake_job *job)
{
    ck_assert_int_eq(job->n_done, 1);
    ck_assert_int_eq(job->job.err.code, ERR_CANCELLED);
    ck_assert(!job->encoded);
}

START_TEST(a_small_body_is_decoded_on_the_loop_and_a_large_one_on_a_worker)
{
    static const uint8_t body[CODEC_LOOP_BYTES];
    struct fake *fake = fake_new(2);
    fill(fake, 0, &fake_codec);
    jobs[0].job.body = bytes_of(body, sizeof body - 1);
    fake_start(fake, &jobs[0]);
    ck_assert_int_eq(jobs[0].job.state, JOB_WAITING);
    fill(fake, 1, &fake_codec);
    jobs[1].job.body = bytes_of(body, sizeof body);
    fake_start(fake, &jobs[1]);
    ck_assert_int_eq(jobs[1].job.state, JOB_UNDECODED);
    fill(fake, 2, &fake_worker_codec);
    fake_start(fake, &jobs[2]);
    ck_assert_int_eq(jobs[2].job.state, JOB_UNDECODED);
    fake_settle(fake);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(jobs[i].n_done, 1);
    fake_free(fake);
}
END_TEST

/* "x" as zlib packs it. */
static const uint8_t one_x[] = {0x78, 0x9c, 0xab, 0x00, 0x00, 0x00, 0x79, 0x00, 0x79};

static void fill_coded(struct fake *fake, int i, size_t most_body_bytes)
{
    fill(fake, i, &fake_codec);
    jobs[i].job.coding = CODING_DEFLATE;
    jobs[i].job.most_body_bytes = most_body_bytes;
    jobs[i].job.body = bytes_of(one_x, sizeof one_x);
}

START_TEST(a_compressed_body_is_inflated_on_a_worker_however_small)
{
    struct fake *fake = fake_new(2);
    fill_coded(fake, 0, 100);
    fake_start(fake, &jobs[0]);
    ck_assert_int_eq(jobs[0].job.state, JOB_UNDECODED);
    fake_turn(fake);
    ck_assert_int_eq(jobs[0].job.state, JOB_DECODING);
    fake_step(fake);
    ck_assert(bytes_is(jobs[0].job.body, "x"));
    ck_assert_uint_eq(fake->served[0].lane->lifecycle->held_bytes, 1);
    fake_settle(fake);
    ck_assert_int_eq(jobs[0].n_done, 1);
    ck_assert_int_eq(jobs[0].job.err.code, ERR_NONE);
    ck_assert_uint_eq(fake->served[0].lane->lifecycle->held_bytes, 0);
    fake_free(fake);
}
END_TEST

START_TEST(a_compressed_body_that_is_too_large_or_torn_is_not_run)
{
    struct fake *fake = fake_new(1);
    fill_coded(fake, 0, 0);
    fill_coded(fake, 1, 100);
    jobs[1].job.body.end--;
    for (int i = 0; i < 2; i++)
        fake_start(fake, &jobs[i]);
    fake_settle(fake);
    ck_assert_int_eq(jobs[0].job.err.code, ERR_TOO_LARGE);
    ck_assert_int_eq(jobs[1].job.err.code, ERR_INVALID);
    ck_assert_int_eq(fake->n_runs, 0);
    fake_free(fake);
}
END_TEST

START_TEST(inflated_bodies_together_have_a_limit)
{
    struct fake *fake = fake_new(1);
    struct lifecycle *lifecycle = fake->served[0].lane->lifecycle;
    lifecycle->held_bytes = 17 * 100 * 100;
    fill_coded(fake, 0, 100);
    fake_start(fake, &jobs[0]);
    fake_settle(fake);
    ck_assert_int_eq(jobs[0].job.err.code, ERR_UNAVAILABLE);
    lifecycle->held_bytes = 16 * 100;
    fill_coded(fake, 1, 100);
    fake_start(fake, &jobs[1]);
    fake_settle(fake);
    ck_assert_int_eq(jobs[1].job.err.code, ERR_NONE);
    ck_assert_uint_eq(lifecycle->held_bytes, 16 * 100);
    lifecycle->held_bytes = 0;
    fake_free(fake);
}
END_TEST

START_TEST(pictures_that_wait_together_run_together)
{
    struct fake *fake = fake_new(1);
    start_all(fake, 6, &fake_worker_codec);
    fake_settle(fake);
    ck_assert_int_eq(fake->n_runs, 1);
    ck_assert_int_eq(fake->runs[0], 6);
    fake_free(fake);
}
END_TEST

START_TEST(what_cannot_be_decoded_is_not_run)
{
    struct fake *fake = fake_new(1);
    for (int i = 0; i < 2; i++) {
        fill(fake, i, i ? &fake_worker_codec : &fake_codec);
        jobs[i].decode_fails = true;
        fake_start(fake, &jobs[i]);
    }
    fake_settle(fake);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(jobs[i].n_done, 1);
        ck_assert_str_eq(jobs[i].job.err.text, "no body like this");
    }
    ck_assert_int_eq(fake->n_runs, 0);
    ck_assert_uint_eq(fake->served[0].stats.failure[FAILURE_OTHER], 2);
    fake_free(fake);
}
END_TEST

START_TEST(a_full_queue_refuses_at_once)
{
    struct fake *fake = fake_new(1);
    fake_occupy(fake, busy);
    for (int i = 0; i < 33; i++) {
        fill(fake, i, i % 2 ? &fake_worker_codec : &fake_codec);
        fake_start(fake, &jobs[i]);
    }
    fake_turn(fake);
    ck_assert_int_eq(jobs[31].n_done, 0);
    ck_assert_int_eq(jobs[32].n_done, 1);
    ck_assert_int_eq(err_status(jobs[32].job.err.code), 503);
    ck_assert_str_eq(jobs[32].job.err.text, "Exceeds maximum queue size");
    ck_assert_uint_eq(fake->served[0].stats.failure[FAILURE_REJECTED], 1);
    fake_settle(fake);
    ck_assert_uint_eq(fake->served[0].stats.success, 32);
    fake_free(fake);
}
END_TEST

static const char says_priority[] = "{\"parameters\":{\"priority\":1}}";

static void fill_urgent(struct fake *fake, int i, int priority)
{
    fill(fake, i, &fake_codec);
    jobs[i].job.body = bytes_of_text(says_priority);
    jobs[i].job.priority = priority;
}

START_TEST(in_a_full_queue_an_urgent_job_takes_the_place_of_the_last_that_is_less_so)
{
    struct fake *fake = fake_new(1);
    fake_occupy(fake, busy);
    start_all(fake, 32, &fake_codec);
    fill_urgent(fake, 32, 1);
    fill_urgent(fake, 33, 5);
    fill_urgent(fake, 34, 1);
    for (int i = 32; i < 35; i++)
        fake_start(fake, &jobs[i]);
    fake_turn(fake);
    ck_assert_int_eq(jobs[32].n_done, 0);
    ck_assert_int_eq(jobs[34].n_done, 0);
    for (int i = 30; i < 34; i++) {
        if (i == 32)
            continue;
        ck_assert_int_eq(jobs[i].n_done, 1);
        ck_assert_str_eq(jobs[i].job.err.text, "Exceeds maximum queue size");
    }
    ck_assert_int_eq(fake->served[0].stats.pending, 32);
    fake_settle(fake);
    ck_assert_int_lt(jobs[34].order, jobs[0].order);
    ck_assert_uint_eq(fake->served[0].stats.success, 32);
    fake_free(fake);
}
END_TEST

/* One run took 100 ms; so many wait. */
static struct fake *measured(int n_waiting)
{
    struct fake *fake = fake_new(1);
    lane_measure(fake->served[0].lane, 1, 100000000);
    fake_occupy(fake, busy);
    start_all(fake, n_waiting, &fake_codec);
    return fake;
}

START_TEST(what_waits_is_what_an_estimate_counts)
{
    struct fake *fake = fake_new(2);
    ck_assert_int_eq(lifecycle_estimate_ns(fake->served[0].lane), 0);
    lane_measure(fake->served[0].lane, 4, 400);
    ck_assert_int_eq(lifecycle_estimate_ns(fake->served[0].lane), 400);
    fake_occupy(fake, busy);
    start_all(fake, 6, &fake_codec);
    ck_assert_int_eq(lifecycle_estimate_ns(fake->served[0].lane), 6 * 100 / 2 + 400);
    fake_free(fake);
}
END_TEST

/* 300 ms are needed for the third, 400 ms once it waits as well. */
static const struct {
    int64_t timeout_us;
    bool body; /* says it, not a header */
    bool refused;
} hopes[] = {
    {0, false, false},    {140000, false, true}, {149000, false, true},   {201000, false, false},
    {149000, true, true}, {201000, true, false}, {10000000, true, false},
};

START_TEST(a_deadline_that_leaves_less_than_half_is_refused_at_once)
{
    struct fake *fake = measured(2);
    for (int worker = 0; worker < 2; worker++) {
        int i = 2 + worker;
        fill(fake, i, worker && !hopes[_i].body ? &fake_worker_codec : &fake_codec);
        if (hopes[_i].body)
            jobs[i].timeout_us = hopes[_i].timeout_us;
        else
            jobs[i].job.timeout_us = jobs[i].timeout_us = hopes[_i].timeout_us;
        if (worker && !hopes[_i].refused)
            continue; /* one more waits by now */
        fake_start(fake, &jobs[i]);
        fake_turn(fake);
        ck_assert_int_eq(jobs[i].n_done, hopes[_i].refused);
        if (!hopes[_i].refused)
            continue;
        ck_assert_int_eq(jobs[i].job.err.code, ERR_TIMEOUT);
        ck_assert_msg(strstr(jobs[i].job.err.text, "Request timeout expired: an answer takes about ") ==
                          jobs[i].job.err.text,
                      "%s", jobs[i].job.err.text);
    }
    fake_free(fake);
}
END_TEST

START_TEST(one_in_ten_is_tried_nevertheless)
{
    struct fake *fake = measured(2);
    int n_refused = 0;
    for (int i = 2; i < 22; i++) {
        fill(fake, i, &fake_codec);
        jobs[i].job.timeout_us = jobs[i].timeout_us = 100000;
        fake_start(fake, &jobs[i]);
        fake_turn(fake);
        n_refused += jobs[i].n_done;
    }
    ck_assert_int_eq(n_refused, 18);
    ck_assert_int_eq(jobs[11].n_done, 0);
    ck_assert_int_eq(jobs[21].n_done, 0);
    fake_settle(fake);
    ck_assert_int_eq(jobs[11].job.err.code, ERR_NONE);
    ck_assert_uint_eq(fake->served[0].stats.failure[FAILURE_REJECTED], 18);
    fake_free(fake);
}
END_TEST

START_TEST(a_queued_job_that_is_cancelled_is_not_computed)
{
    struct fake *fake = fake_new(1);
    fake_occupy(fake, busy);
    fill(fake, 0, &fake_codec);
    fill(fake, 1, &fake_worker_codec);
    fill(fake, 2, &fake_codec);
    for (int i = 0; i < 3; i++)
        fake_start(fake, &jobs[i]);
    fake_turn(fake);
    lifecycle_cancel(&jobs[0].job);
    lifecycle_cancel(&jobs[1].job);
    ck_assert_int_eq(jobs[0].n_done, 0); /* not from within lifecycle_cancel either */
    fake_turn(fake);
    expect_cancelled(&jobs[0]);
    expect_cancelled(&jobs[1]);
    fake_settle(fake);
    ck_assert_int_eq(fake->runs[1], 1);
    ck_assert_int_eq(jobs[2].job.err.code, ERR_NONE);
    ck_assert_uint_eq(fake->served[0].stats.failure[FAILURE_CANCELED], 2);
    fake_free(fake);
}
END_TEST

START_TEST(a_job_cancelled_while_it_is_decoded_ends_there)
{
    struct fake *fake = fake_new(1);
    fill(fake, 0, &fake_worker_codec);
    fake_start(fake, &jobs[0]);
    fake_turn(fake);
    ck_assert_int_eq(jobs[0].job.state, JOB_DECODING);
    lifecycle_cancel(&jobs[0].job);
    fake_settle(fake);
    expect_cancelled(&jobs[0]);
    ck_assert_int_eq(fake->n_runs, 0);
    fake_free(fake);
}
END_TEST

static void cancel_both(void)
{
    lifecycle_cancel(&jobs[0].job);
    lifecycle_cancel(&jobs[0].job); /* twice is once */
    lifecycle_cancel(&jobs[1].job);
}

START_TEST(a_running_batch_stops_when_all_of_its_jobs_are_cancelled)
{
    struct fake *fake = fake_new(1);
    start_all(fake, 2, &fake_codec);
    fake_turn(fake);
    fake->meanwhile = cancel_both;
    fake_settle(fake);
    ck_assert(fake->cancel_seen);
    ck_assert_int_eq(fake->n_runs, 1);
    ck_assert_uint_eq(fake->served[0].stats.begun_over, 0);
    expect_cancelled(&jobs[0]);
    expect_cancelled(&jobs[1]);
    fake_free(fake);
}
END_TEST

static void cancel_the_first(void)
{
    lifecycle_cancel(&jobs[0].job);
    lifecycle_cancel(&jobs[0].job);
}

START_TEST(a_batch_goes_on_for_those_who_still_want_it)
{
    struct fake *fake = fake_new(1);
    start_all(fake, 2, &fake_codec);
    fake_turn(fake);
    fake->meanwhile = cancel_the_first;
    fake_settle(fake);
    ck_assert(!fake->cancel_seen);
    ck_assert_int_eq(fake->runs[0], 2);
    expect_cancelled(&jobs[0]);
    ck_assert_int_eq(jobs[1].job.err.code, ERR_NONE);
    ck_assert(jobs[1].encoded);
    fake_free(fake);
}
END_TEST

/* Between the loop that formed the batch and the worker that has it. */
START_TEST(who_has_left_before_the_worker_begins_is_not_run)
{
    struct fake *fake = fake_new(1);
    start_all(fake, 3, &fake_codec);
    fake_turn(fake);
    cancel_the_first();
    fake_settle(fake);
    ck_assert_int_eq(fake->n_runs, 1);
    ck_assert_int_eq(fake->runs[0], 2);
    expect_cancelled(&jobs[0]);
    for (int i = 1; i < 3; i++) {
        ck_assert_int_eq(jobs[i].job.err.code, ERR_NONE);
        ck_assert_int_eq(jobs[i].job.batch_size, 2);
        ck_assert_float_eq(jobs[i].y[0], 2 * jobs[i].x[0]);
    }
    fake_free(fake);
}
END_TEST

START_TEST(whose_time_is_up_before_the_worker_begins_is_not_run)
{
    struct fake *fake = fake_new(1);
    start_all(fake, 2, &fake_codec);
    jobs[1].job.timeout_us = 0;
    fake_turn(fake);
    jobs[1].job.watch.deadline_ns = fake->now_ns + 1000;
    fake_pass(fake, 1000);
    fake_settle(fake);
    ck_assert_int_eq(fake->runs[0], 1);
    ck_assert_int_eq(jobs[0].job.err.code, ERR_NONE);
    ck_assert_int_eq(jobs[1].job.err.code, ERR_TIMEOUT);
    ck_assert_int_eq(jobs[1].n_done, 1);
    ck_assert_uint_eq(fake->served[0].stats.begun_over, 0);
    fake_free(fake);
}
END_TEST

START_TEST(a_batch_that_nobody_waits_for_is_not_run)
{
    struct fake *fake = fake_new(1);
    start_all(fake, 2, &fake_codec);
    fake_turn(fake);
    cancel_both();
    fake_settle(fake);
    ck_assert_int_eq(fake->n_runs, 0);
    expect_cancelled(&jobs[0]);
    expect_cancelled(&jobs[1]);
    fake_free(fake);
}
END_TEST

START_TEST(what_is_over_while_rows_are_gathered_ends_in_its_run)
{
    struct fake *fake = fake_new(1);
    fake->gather_ns = 5000; /* it is over while rows are gathered: the run's own watch sees it */
    start_all(fake, 1, &fake_codec);
    fake_turn(fake);
    jobs[0].job.watch.deadline_ns = fake->now_ns + 1000;
    fake_settle(fake);
    ck_assert_int_eq(jobs[0].job.err.code, ERR_TIMEOUT);
    ck_assert_uint_eq(fake->served[0].stats.begun_over, 0);
    fake_free(fake);
}
END_TEST

/* The others' run goes on, and its rows with it: counted, for it is work that nobody wanted. */
START_TEST(who_leaves_while_rows_are_gathered_is_run_and_counted)
{
    struct fake *fake = fake_new(1);
    start_all(fake, 2, &fake_codec);
    fake_turn(fake);
    fake->gathering = cancel_the_first;
    fake_settle(fake);
    ck_assert_int_eq(fake->runs[0], 2);
    expect_cancelled(&jobs[0]);
    ck_assert(jobs[1].encoded);
    ck_assert_uint_eq(fake->served[0].stats.begun_over, 1);
    fake_free(fake);
}
END_TEST

START_TEST(cancelling_what_has_ended_changes_nothing)
{
    struct fake *fake = fake_new(1);
    fill(fake, 0, &fake_codec);
    lifecycle_cancel(&jobs[0].job); /* nor what has not begun */
    fake_start(fake, &jobs[0]);
    fake_settle(fake);
    lifecycle_cancel(&jobs[0].job);
    fake_settle(fake);
    ck_assert_int_eq(jobs[0].n_done, 1);
    ck_assert_int_eq(jobs[0].job.err.code, ERR_NONE);
    fake_free(fake);
}
END_TEST

START_TEST(holders_are_counted_while_jobs_live)
{
    struct fake *fake = fake_new(1);
    start_all(fake, 3, &fake_codec);
    ck_assert_int_eq(fake->served[0].n_holders, 3);
    ck_assert_int_eq(dispatch_in_flight(fake->dispatch), 3);
    fake_settle(fake);
    ck_assert_int_eq(fake->served[0].n_holders, 0);
    ck_assert_int_eq(dispatch_in_flight(fake->dispatch), 0);
    fake_free(fake);
}
END_TEST

START_TEST(times_of_a_request_add_up)
{
    struct fake *fake = fake_new(1);
    fake->run_ns = 7000;
    fake_occupy(fake, busy);
    fill(fake, 0, &fake_codec);
    fake_start(fake, &jobs[0]);
    fake_turn(fake);
    fake_pass(fake, 3000);
    fake_settle(fake); /* the busy one's run comes first */
    const struct stats *stats = &fake->served[0].stats;
    ck_assert_uint_eq(stats->queue_ns, 10000);
    ck_assert_uint_eq(stats->infer_ns, 7000);
    ck_assert_uint_eq(stats->success_ns, stats->queue_ns + stats->input_ns + stats->infer_ns + stats->output_ns);
    fake_free(fake);
}
END_TEST

Suite *serve_lifecycle_suite(void)
{
    Suite *suite = suite_create("serve/lifecycle");
    TCase *tests = tcase_create("lifecycle");
    tcase_add_test(tests, a_small_body_is_decoded_on_the_loop_and_a_large_one_on_a_worker);
    tcase_add_test(tests, a_compressed_body_is_inflated_on_a_worker_however_small);
    tcase_add_test(tests, a_compressed_body_that_is_too_large_or_torn_is_not_run);
    tcase_add_test(tests, inflated_bodies_together_have_a_limit);
    tcase_add_test(tests, pictures_that_wait_together_run_together);
    tcase_add_test(tests, what_cannot_be_decoded_is_not_run);
    tcase_add_test(tests, a_full_queue_refuses_at_once);
    tcase_add_test(tests, in_a_full_queue_an_urgent_job_takes_the_place_of_the_last_that_is_less_so);
    tcase_add_test(tests, what_waits_is_what_an_estimate_counts);
    tcase_add_loop_test(tests, a_deadline_that_leaves_less_than_half_is_refused_at_once, 0,
                        sizeof hopes / sizeof *hopes);
    tcase_add_test(tests, one_in_ten_is_tried_nevertheless);
    tcase_add_test(tests, a_queued_job_that_is_cancelled_is_not_computed);
    tcase_add_test(tests, a_job_cancelled_while_it_is_decoded_ends_there);
    tcase_add_test(tests, a_running_batch_stops_when_all_of_its_jobs_are_cancelled);
    tcase_add_test(tests, a_batch_goes_on_for_those_who_still_want_it);
    tcase_add_test(tests, who_has_left_before_the_worker_begins_is_not_run);
    tcase_add_test(tests, whose_time_is_up_before_the_worker_begins_is_not_run);
    tcase_add_test(tests, a_batch_that_nobody_waits_for_is_not_run);
    tcase_add_test(tests, what_is_over_while_rows_are_gathered_ends_in_its_run);
    tcase_add_test(tests, who_leaves_while_rows_are_gathered_is_run_and_counted);
    tcase_add_test(tests, cancelling_what_has_ended_changes_nothing);
    tcase_add_test(tests, holders_are_counted_while_jobs_live);
    tcase_add_test(tests, times_of_a_request_add_up);
    suite_add_tcase(suite, tests);
    return suite;
}
