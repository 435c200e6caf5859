/* lane.c - when a batch leaves and with whom, without any core or engine. */
#include "serve/lane.h"

#include <check.h>

Suite *serve_lane_suite(void);

#define US 1000

static struct manifest manifest;
static struct served served;
static struct lane lane;
static struct job jobs[12];
static struct percept_tensor inputs[12];
static struct percept_io io;

static void open_lane(int max_batch_size, int64_t delay_us)
{
    manifest = (struct manifest){.max_batch_size = -1, .max_queue_delay_us = delay_us, .max_queue_size = -1};
    served = (struct served){.manifest = &manifest, .batching = max_batch_size > 1, .max_batch_size = max_batch_size};
    lane = (struct lane){.served = &served, .ios = {.inputs = &io, .n_inputs = 1}};
    io.batch_axis = 0;
    lane_limits(&lane, &served, &(struct settings){.max_queue_size = 9, .no_learn = true});
}

static struct job *join(int i, int64_t n_items, int64_t width, int64_t at_ns)
{
    inputs[i] = (struct percept_tensor){.dtype = PERCEPT_FLOAT, .rank = 2, .dims = {n_items, width}};
    jobs[i] = (struct job){
        .served = &served, .inputs = &inputs[i], .n_items = n_items, .arrived_ns = at_ns, .queued_ns = at_ns};
    lane_enter(&lane, &jobs[i]);
    lane_push(&lane, &jobs[i]);
    return &jobs[i];
}

static struct job *wait_undecoded_until(int i, int64_t at_ns, int64_t deadline_ns)
{
    jobs[i] = (struct job){.served = &served, .arrived_ns = at_ns, .watch.deadline_ns = deadline_ns};
    lane_enter(&lane, &jobs[i]);
    lane_push_undecoded(&lane, &jobs[i]);
    return &jobs[i];
}

static struct job *wait_undecoded(int i, int64_t at_ns)
{
    return wait_undecoded_until(i, at_ns, 0);
}

static int64_t look_ns; /* as next() found it */

static enum lane_action next_of(int64_t now_ns, bool may_run)
{
    look_ns = LANE_NEVER;
    return lane_next(&lane, now_ns, may_run, &look_ns);
}

static enum lane_action next(int64_t now_ns)
{
    return next_of(now_ns, true);
}

START_TEST(an_empty_lane_wants_nothing)
{
    open_lane(8, 100);
    ck_assert_int_eq(next(0), LANE_NOTHING);
    ck_assert(look_ns == LANE_NEVER);
    struct job_list list = {0};
    ck_assert_int_eq(lane_form(&lane, &list), 0);
    ck_assert_int_eq(list.n, 0);
}
END_TEST

START_TEST(the_oldest_that_waits_is_told)
{
    open_lane(8, 100);
    ck_assert(lane_oldest_ns(&lane) == LANE_NEVER);
    join(0, 1, 4, 50 * US);
    join(1, 1, 4, 60 * US);
    ck_assert_int_eq(lane_oldest_ns(&lane), 50 * US);
    wait_undecoded(2, 40 * US);
    ck_assert_int_eq(lane_oldest_ns(&lane), 40 * US);
    ck_assert(lane_remove(&lane, &jobs[2]) && lane_remove(&lane, &jobs[0]));
    ck_assert_int_eq(lane_oldest_ns(&lane), 60 * US);
}
END_TEST

START_TEST(without_a_delay_a_single_job_leaves_at_once)
{
    open_lane(8, 0);
    join(0, 1, 4, 5);
    ck_assert_int_eq(next(5), LANE_BATCH);
}
END_TEST

START_TEST(the_delay_counts_from_the_first_jobs_arrival)
{
    open_lane(8, 100);
    join(0, 1, 4, 1000 * US);
    join(1, 1, 4, 1090 * US);
    ck_assert_int_eq(next(1099 * US), LANE_NOTHING);
    ck_assert_int_eq(look_ns, 1100 * US);
    ck_assert_int_eq(next(1100 * US), LANE_BATCH);
}
END_TEST

START_TEST(a_full_batch_does_not_wait)
{
    open_lane(4, 100);
    join(0, 1, 4, 0);
    join(1, 2, 4, 0);
    ck_assert_int_eq(next(1), LANE_NOTHING);
    join(2, 2, 4, 0); /* does not fit any more: the batch cannot become fuller by waiting for it */
    ck_assert_int_eq(next(1), LANE_BATCH);
}
END_TEST

START_TEST(jobs_of_another_shape_do_not_fill_a_batch)
{
    open_lane(2, 100);
    join(0, 1, 4, 0);
    join(1, 1, 5, 0);
    ck_assert_int_eq(next(1), LANE_NOTHING);
    join(2, 1, 4, 0);
    ck_assert_int_eq(next(1), LANE_BATCH);
}
END_TEST

START_TEST(a_batch_is_at_most_max_batch_size_items)
{
    open_lane(4, 0);
    join(0, 2, 4, 0);
    join(1, 3, 4, 0);
    join(2, 1, 4, 0);
    join(3, 1, 4, 0);
    struct job_list list = {0};
    ck_assert_int_eq(lane_form(&lane, &list), 4);
    ck_assert_int_eq(list.n, 3);
    ck_assert_ptr_eq(list.first, &jobs[0]);
    ck_assert_ptr_eq(list.first->next, &jobs[2]);
    ck_assert_ptr_eq(list.last, &jobs[3]);
    ck_assert_ptr_eq(lane.waiting.first, &jobs[1]);
    ck_assert_int_eq(lane.n_pending, 1);
}
END_TEST

/* [width, n]: along the second axis jobs may differ, along the first they may not. */
START_TEST(jobs_may_differ_along_the_batch_axis_alone)
{
    open_lane(8, 0);
    io.batch_axis = 1;
    for (int i = 0; i < 3; i++) {
        join(i, 1, 1, 0);
        inputs[i].dims[0] = i == 1 ? 5 : 4;
        inputs[i].dims[1] = jobs[i].n_items = i + 1;
    }
    struct job_list leaving = {0};
    ck_assert_int_eq(lane_form(&lane, &leaving), 4);
    ck_assert(leaving.n == 2 && leaving.first == &jobs[0] && leaving.last == &jobs[2]);
    io.batch_axis = 0;
    ck_assert(!lane_fit_together(&lane, &jobs[0], &jobs[2]));
}
END_TEST

START_TEST(the_oldest_job_leads_and_those_passed_over_keep_their_order)
{
    open_lane(8, 0);
    const int64_t widths[] = {4, 5, 4, 6, 5, 4};
    for (int i = 0; i < 6; i++)
        join(i, 1, widths[i], i);
    struct job_list list = {0};
    ck_assert_int_eq(lane_form(&lane, &list), 3);
    join(6, 1, 5, 6);
    list = (struct job_list){0};
    ck_assert_int_eq(lane_form(&lane, &list), 3);
    ck_assert_ptr_eq(list.first, &jobs[1]);
    ck_assert_ptr_eq(list.first->next, &jobs[4]);
    ck_assert_ptr_eq(list.last, &jobs[6]);
    list = (struct job_list){0};
    ck_assert_int_eq(lane_form(&lane, &list), 1);
    ck_assert_ptr_eq(list.first, &jobs[3]);
    ck_assert_int_eq(lane.waiting.n, 0);
    ck_assert_int_eq(lane.n_pending, 0);
}
END_TEST

/* Some are passed over and others not looked at any more, since the batch is full: all of them
 * leave later. */
static void join_urgently(int i, int priority, int64_t at_ns)
{
    inputs[i] = (struct percept_tensor){.dtype = PERCEPT_FLOAT, .rank = 2, .dims = {1, 4}};
    jobs[i] = (struct job){.served = &served,
                           .inputs = &inputs[i],
                           .n_items = 1,
                           .arrived_ns = at_ns,
                           .queued_ns = at_ns,
                           .priority = priority};
    lane_enter(&lane, &jobs[i]);
    lane_push(&lane, &jobs[i]);
}

START_TEST(the_most_urgent_job_leads_and_the_others_follow_in_their_order)
{
    static const int order[] = {3, 1, 0, 4, 2};
    open_lane(2, 0);
    join_urgently(0, 0, 1);
    join_urgently(1, 4, 2);
    join_urgently(2, 9, 3);
    join_urgently(3, 1, 4);
    join_urgently(4, 5, 5);
    for (int i = 0; i < 5; i += 2) {
        struct job_list list = {0};
        lane_form(&lane, &list);
        ck_assert_ptr_eq(list.first, &jobs[order[i]]);
        if (i < 4)
            ck_assert_ptr_eq(list.first->next, &jobs[order[i + 1]]);
    }
    ck_assert_int_eq(lane.n_pending, 0);
}
END_TEST

/* Or urgent ones that keep coming would hold it up. */
START_TEST(the_delay_counts_from_the_oldest_wherever_it_stands)
{
    open_lane(8, 100);
    join_urgently(0, 9, 0);
    join_urgently(1, 1, 90 * US);
    ck_assert_int_eq(next(99 * US), LANE_NOTHING);
    ck_assert_int_eq(look_ns, 100 * US);
    ck_assert_int_eq(next(100 * US), LANE_BATCH);
}
END_TEST

START_TEST(one_that_is_less_urgent_is_found_at_the_end)
{
    struct job one = {.priority = 4}, two = {.priority = 5}, three = {.priority = 0}, four = {.priority = 9};
    open_lane(8, 0);
    ck_assert_ptr_null(lane_less_urgent(&lane, &one));
    join_urgently(0, 0, 1);
    join_urgently(1, 3, 2);
    ck_assert_ptr_eq(lane_less_urgent(&lane, &one), &jobs[0]);
    ck_assert_ptr_null(lane_less_urgent(&lane, &two));
    ck_assert_ptr_null(lane_less_urgent(&lane, &three));
    ck_assert_ptr_null(lane_less_urgent(&lane, &four));
    join_urgently(2, 8, 3);
    ck_assert_ptr_eq(lane_less_urgent(&lane, &two), &jobs[2]);
}
END_TEST

START_TEST(times_of_batches_are_remembered)
{
    open_lane(8, 0);
    lane_measure(&lane, 0, 100);
    lane_measure(&lane, 4, 0);
    ck_assert_int_eq(lane.batch_ns, 0);
    lane_measure(&lane, 4, 8000);
    ck_assert_int_eq(lane.batch_ns, 8000);
    ck_assert_int_eq(lane.job_ns, 2000);
    lane_measure(&lane, 4, 16000); /* slower: an eighth of it counts */
    ck_assert_int_eq(lane.batch_ns, 9000);
    lane_measure(&lane, 1, 1000); /* faster: half of it */
    ck_assert_int_eq(lane.batch_ns, 5000);
    ck_assert_int_eq(lane.job_ns, 1625);
}
END_TEST

START_TEST(what_a_full_batch_leaves_behind_is_not_lost)
{
    open_lane(2, 0);
    const int64_t widths[] = {4, 5, 4, 6, 6, 5, 4};
    for (int i = 0; i < 7; i++)
        join(i, 1, widths[i], i);
    const int first[] = {0, 1, 3, 6}, second[] = {2, 5, 4, -1};
    for (int i = 0; i < 4; i++) {
        struct job_list list = {0};
        ck_assert_int_eq(lane_form(&lane, &list), second[i] < 0 ? 1 : 2);
        ck_assert_ptr_eq(list.first, &jobs[first[i]]);
        ck_assert_ptr_eq(list.last, &jobs[second[i] < 0 ? first[i] : second[i]]);
        ck_assert_int_eq(lane.waiting.n, lane.n_pending);
    }
    ck_assert_int_eq(lane.n_pending, 0);
    ck_assert_ptr_null(lane.waiting.first);
}
END_TEST

START_TEST(types_and_ranks_must_agree_as_well)
{
    open_lane(8, 0);
    join(0, 1, 4, 0);
    join(1, 1, 4, 0);
    ck_assert(lane_fit_together(&lane, &jobs[0], &jobs[1]));
    inputs[1].dtype = PERCEPT_INT32;
    ck_assert(!lane_fit_together(&lane, &jobs[0], &jobs[1]));
    inputs[1].dtype = PERCEPT_FLOAT;
    inputs[1].rank = 3;
    ck_assert(!lane_fit_together(&lane, &jobs[0], &jobs[1]));
}
END_TEST

START_TEST(a_model_without_a_batch_axis_runs_one_job_at_a_time)
{
    open_lane(1, 100);
    join(0, 1, 4, 0);
    join(1, 1, 4, 0);
    ck_assert_int_eq(next(0), LANE_BATCH);
    struct job_list list = {0};
    ck_assert_int_eq(lane_form(&lane, &list), 1);
    ck_assert_int_eq(list.n, 1);
}
END_TEST

START_TEST(bodies_that_were_there_before_the_leader_are_decoded_first)
{
    open_lane(8, 0);
    join(0, 1, 4, 50);
    wait_undecoded(1, 40);
    ck_assert_int_eq(next(60), LANE_DECODE);
    jobs[1].arrived_ns = 51;
    ck_assert_int_eq(next(60), LANE_BATCH);
}
END_TEST

START_TEST(a_full_batch_goes_before_any_decoding)
{
    open_lane(2, 0);
    join(0, 2, 4, 50);
    wait_undecoded(1, 40);
    ck_assert_int_eq(next(60), LANE_BATCH);
}
END_TEST

START_TEST(a_lane_with_every_session_away_still_decodes)
{
    open_lane(2, 0);
    join(0, 2, 4, 50);
    ck_assert_int_eq(next_of(60, false), LANE_NOTHING);
    wait_undecoded(1, 70);
    ck_assert_int_eq(next_of(80, false), LANE_DECODE);
}
END_TEST

START_TEST(jobs_past_their_deadline_are_taken_out)
{
    open_lane(8, 0);
    for (int i = 0; i < 4; i++) {
        jobs[i].watch.deadline_ns = 0;
        join(i, 1, 4, 0);
    }
    struct job_list all = lane.waiting;
    lane.waiting = (struct job_list){0};
    const int64_t deadlines[] = {300, 0, 100, 200};
    for (int i = 0; i < 4; i++) {
        struct job *job = job_list_pop(&all);
        job->watch.deadline_ns = deadlines[i];
        lane_push(&lane, job);
    }
    struct job_list expired = {0};
    ck_assert_int_eq(lane_expire(&lane, 99, &expired), 100);
    ck_assert_int_eq(expired.n, 0);
    ck_assert_int_eq(lane_expire(&lane, 200, &expired), 300);
    ck_assert_int_eq(expired.n, 2);
    ck_assert_ptr_eq(expired.first, &jobs[2]);
    ck_assert_int_eq(lane.waiting.n, 2);
    ck_assert_int_eq(lane.n_pending, 2);
    ck_assert(lane_expire(&lane, 1000, &expired) == LANE_NEVER);
    ck_assert_int_eq(lane.waiting.n, 1);
}
END_TEST

START_TEST(jobs_expire_before_they_are_decoded_too)
{
    open_lane(8, 0);
    wait_undecoded_until(0, 0, 20); /* each may have a timeout of its own */
    wait_undecoded_until(1, 5, 10);
    wait_undecoded_until(2, 5, 15);
    struct job_list expired = {0};
    ck_assert_int_eq(lane_expire(&lane, 9, &expired), 10);
    ck_assert_int_eq(lane_expire(&lane, 10, &expired), 15);
    ck_assert_int_eq(expired.n, 1);
    ck_assert_ptr_eq(expired.first, &jobs[1]);
    ck_assert_int_eq(lane.undecoded.n, 2);
    ck_assert_ptr_eq(lane.undecoded.first, &jobs[0]);
    ck_assert_int_eq(lane.n_pending, 2);
}
END_TEST

START_TEST(a_manifests_limits_come_before_the_settings)
{
    open_lane(8, 250);
    ck_assert_int_eq(lane.max_queue_delay_ns, 250 * US);
    ck_assert_int_eq(lane.max_queue_size, 9);
    manifest.max_queue_size = 3;
    manifest.max_queue_delay_us = -1;
    lane_limits(&lane, &served, &(struct settings){.max_queue_delay_us = 7, .default_timeout_us = 50});
    ck_assert_int_eq(lane.max_queue_size, 3);
    ck_assert_int_eq(lane.max_queue_delay_ns, 7 * US);
    ck_assert_int_eq(lane.default_timeout_ns, 50 * US);
    manifest.default_timeout_us = 3;
    lane_limits(&lane, &served, &(struct settings){.default_timeout_us = 50});
    ck_assert_int_eq(lane.default_timeout_ns, 3 * US);
    manifest.default_timeout_us = -1;
    lane_limits(&lane, &served, &(struct settings){.default_timeout_us = 50});
    ck_assert_int_eq(lane.default_timeout_ns, 0);
}
END_TEST

START_TEST(a_job_can_be_taken_out_from_anywhere)
{
    open_lane(8, 0);
    for (int i = 0; i < 3; i++)
        join(i, 1, 4, 0);
    ck_assert(lane_remove(&lane, &jobs[2]));
    ck_assert_ptr_eq(lane.waiting.last, &jobs[1]);
    ck_assert(lane_remove(&lane, &jobs[0]));
    ck_assert(!lane_remove(&lane, &jobs[0]));
    ck_assert_ptr_eq(lane.waiting.first, &jobs[1]);
    ck_assert(lane_remove(&lane, &jobs[1]));
    ck_assert_ptr_null(lane.waiting.first);
    ck_assert_ptr_null(lane.waiting.last);
    ck_assert_int_eq(lane.n_pending, 0);
}
END_TEST

START_TEST(a_reply_is_written_before_anything_else)
{
    open_lane(8, 100);
    join(0, 1, 4, 0);
    wait_undecoded(1, 0);
    jobs[2] = (struct job){.served = &served};
    lane_push_unwritten(&lane, &jobs[2]);
    ck_assert_int_eq(jobs[2].state, JOB_UNWRITTEN);
    ck_assert_int_eq(next_of(1, false), LANE_WRITE);
    ck_assert(lane_remove(&lane, &jobs[2]));
    ck_assert_int_eq(next_of(1, false), LANE_DECODE);
    ck_assert_int_eq(lane.n_pending, 2); /* of which it was not one */
}
END_TEST

START_TEST(replies_and_parents_expire_too)
{
    open_lane(8, 0);
    for (int i = 0; i < 3; i++)
        jobs[i] = (struct job){.served = &served, .watch.deadline_ns = 100 + i};
    lane_push_unwritten(&lane, &jobs[0]);
    lane_push_parent(&lane, &jobs[1]);
    lane_push_parent(&lane, &jobs[2]);
    jobs[2].n_children = 1;
    struct job_list out = {0};
    ck_assert_int_eq(lane_expire(&lane, 100, &out), 101);
    ck_assert_ptr_eq(job_list_pop(&out), &jobs[0]);
    ck_assert_int_eq(lane_expire(&lane, 102, &out), LANE_NEVER); /* the last one's child has its deadline */
    ck_assert_ptr_eq(job_list_pop(&out), &jobs[1]);
    ck_assert_int_eq(out.n, 0);
    jobs[2].n_children = 0;
    lane_note(&lane, &jobs[2]);
    lane_expire(&lane, 103, &out);
    ck_assert_ptr_eq(job_list_pop(&out), &jobs[2]);
}
END_TEST

START_TEST(children_take_no_place_in_the_queue)
{
    struct job parent = {.served = &served};
    open_lane(8, 0);
    lane.max_queue_size = 2;
    join(0, 1, 4, 0);
    jobs[1] = (struct job){.served = &served, .parent = &parent};
    lane_enter(&lane, &jobs[1]);
    ck_assert_int_eq(lane.n_pending, 2);
    ck_assert(!lane_is_full(&lane));
    join(2, 1, 4, 0);
    ck_assert(lane_is_full(&lane));
    lane_leave(&lane, &jobs[1]);
    lane_leave(&lane, &jobs[1]); /* twice is once */
    ck_assert_int_eq(lane.n_pending, 2);
    ck_assert_int_eq(lane.n_children, 0);
    ck_assert(lane_is_full(&lane));
    ck_assert_int_eq(served.stats.pending, 2);
}
END_TEST

START_TEST(a_queue_is_bounded_in_bytes_and_one_body_has_always_room)
{
    static const uint8_t bytes[100];
    open_lane(8, -1);
    ck_assert_uint_eq(lane.max_queue_bytes, 0); /* of bodies without a limit */
    lane_limits(&lane, &served, &(struct settings){.max_body_bytes = 10});
    ck_assert_uint_eq(lane.max_queue_bytes, 80);
    lane_limits(&lane, &served, &(struct settings){.max_body_bytes = 10, .max_queue_bytes = 150});
    ck_assert(!lane_is_stuffed(&lane, 1000));
    jobs[0] = (struct job){.served = &served, .body = bytes_of(bytes, 100)};
    lane_enter(&lane, &jobs[0]);
    jobs[0].body = bytes_of(bytes, 3); /* inflated or not: it was counted as it came */
    ck_assert(!lane_is_stuffed(&lane, 50));
    ck_assert(lane_is_stuffed(&lane, 51));
    ck_assert(lane_is_stuffed(&lane, SIZE_MAX));
    lane_leave(&lane, &jobs[0]);
    ck_assert_uint_eq(lane.pending_bytes, 0);
    ck_assert(!lane_is_stuffed(&lane, SIZE_MAX));
}
END_TEST

Suite *serve_lane_suite(void)
{
    Suite *suite = suite_create("serve/lane");
    TCase *tests = tcase_create("lane");
    tcase_add_test(tests, the_oldest_that_waits_is_told);
    tcase_add_test(tests, an_empty_lane_wants_nothing);
    tcase_add_test(tests, the_most_urgent_job_leads_and_the_others_follow_in_their_order);
    tcase_add_test(tests, the_delay_counts_from_the_oldest_wherever_it_stands);
    tcase_add_test(tests, one_that_is_less_urgent_is_found_at_the_end);
    tcase_add_test(tests, times_of_batches_are_remembered);
    tcase_add_test(tests, without_a_delay_a_single_job_leaves_at_once);
    tcase_add_test(tests, the_delay_counts_from_the_first_jobs_arrival);
    tcase_add_test(tests, a_full_batch_does_not_wait);
    tcase_add_test(tests, jobs_of_another_shape_do_not_fill_a_batch);
    tcase_add_test(tests, a_batch_is_at_most_max_batch_size_items);
    tcase_add_test(tests, jobs_may_differ_along_the_batch_axis_alone);
    tcase_add_test(tests, the_oldest_job_leads_and_those_passed_over_keep_their_order);
    tcase_add_test(tests, what_a_full_batch_leaves_behind_is_not_lost);
    tcase_add_test(tests, types_and_ranks_must_agree_as_well);
    tcase_add_test(tests, a_model_without_a_batch_axis_runs_one_job_at_a_time);
    tcase_add_test(tests, bodies_that_were_there_before_the_leader_are_decoded_first);
    tcase_add_test(tests, a_full_batch_goes_before_any_decoding);
    tcase_add_test(tests, a_lane_with_every_session_away_still_decodes);
    tcase_add_test(tests, jobs_past_their_deadline_are_taken_out);
    tcase_add_test(tests, jobs_expire_before_they_are_decoded_too);
    tcase_add_test(tests, a_manifests_limits_come_before_the_settings);
    tcase_add_test(tests, a_job_can_be_taken_out_from_anywhere);
    tcase_add_test(tests, a_reply_is_written_before_anything_else);
    tcase_add_test(tests, replies_and_parents_expire_too);
    tcase_add_test(tests, children_take_no_place_in_the_queue);
    tcase_add_test(tests, a_queue_is_bounded_in_bytes_and_one_body_has_always_room);
    suite_add_tcase(suite, tests);
    return suite;
}
