/* job.c - lists of jobs, and when a job's time is up. */
#include "serve/job.h"

#include "base/err.h"

#include <check.h>

Suite *serve_job_suite(void);

START_TEST(a_list_gives_its_jobs_in_their_order)
{
    struct job jobs[3] = {{0}};
    struct job_list list = {0};
    for (int i = 0; i < 3; i++)
        job_list_push(&list, &jobs[i]);
    ck_assert_int_eq(list.n, 3);
    for (int i = 0; i < 3; i++)
        ck_assert_ptr_eq(job_list_pop(&list), &jobs[i]);
    ck_assert_ptr_null(job_list_pop(&list));
    ck_assert_ptr_null(list.last);
}
END_TEST

/* Each of three: what is left is as if it had never been there, and takes another at its end. */
START_TEST(a_job_leaves_a_list_from_anywhere)
{
    struct job jobs[4] = {{0}};
    struct job_list list = {0};
    for (int i = 0; i < 3; i++)
        job_list_push(&list, &jobs[i]);
    ck_assert(job_list_remove(&list, &jobs[_i]));
    ck_assert(!job_list_remove(&list, &jobs[_i]));
    job_list_push(&list, &jobs[3]);
    ck_assert_int_eq(list.n, 3);
    for (int i = 0; i < 4; i++)
        if (i != _i)
            ck_assert_ptr_eq(job_list_pop(&list), &jobs[i]);
    ck_assert_int_eq(list.n, 0);
}
END_TEST

#define SECOND ((int64_t)1000000000)

/* The more urgent first, of equals the one that came first; 0 and what is not there are the default. A level is worth
 * ten seconds: nobody waits for ever. */
START_TEST(jobs_are_inserted_by_their_rank)
{
    static const struct {
        int priority;
        int64_t queued_ns;
    } rows[] = {{5, 0}, {0, 1}, {9, 2}, {1, 3}, {5, 4}, {1, 5}, {4, 6}, {9, -60 * SECOND}, {6, -10 * SECOND + 5}};
    static const int order[] = {3, 5, 7, 6, 0, 1, 4, 8, 2};
    struct job jobs[9];
    struct job_list list = {0};
    for (int i = 0; i < 9; i++) {
        jobs[i] = (struct job){.priority = rows[i].priority, .queued_ns = rows[i].queued_ns};
        job_list_insert(&list, &jobs[i]);
    }
    ck_assert_int_eq(list.n, 9);
    ck_assert_ptr_eq(list.last, &jobs[2]);
    for (int i = 0; i < 9; i++)
        ck_assert_ptr_eq(job_list_pop(&list), &jobs[order[i]]);
    ck_assert_ptr_null(list.first);
    ck_assert_int_eq(list.n, 0);
}
END_TEST

START_TEST(a_deadline_counts_from_arrival_by_the_jobs_own_timeout_or_its_models)
{
    struct job job = {.arrived_ns = 5000, .default_timeout_ns = 700};
    job_set_deadline(&job);
    ck_assert_int_eq(job.watch.deadline_ns, 5700);
    job.timeout_us = 2;
    job_set_deadline(&job);
    ck_assert_int_eq(job.watch.deadline_ns, 7000);
    ck_assert_ptr_eq(job.watch.cancel, &job.cancelled);
    job.timeout_us = job.default_timeout_ns = 0;
    job_set_deadline(&job);
    ck_assert_int_eq(job.watch.deadline_ns, 0);
}
END_TEST

START_TEST(a_childs_deadline_is_its_parents)
{
    struct job parent = {.watch.deadline_ns = 77};
    struct job job = {.arrived_ns = 5000, .default_timeout_ns = 700, .timeout_us = 3, .parent = &parent};
    job_set_deadline(&job);
    ck_assert_int_eq(job.watch.deadline_ns, 77);
    ck_assert_ptr_eq(job.watch.cancel, &job.cancelled);
}
END_TEST

START_TEST(a_timeout_too_large_to_add_is_none)
{
    struct job job = {.arrived_ns = 5000, .timeout_us = INT64_MAX};
    job_set_deadline(&job);
    ck_assert_int_eq(job.watch.deadline_ns, 0);
    job.arrived_ns = 0;
    for (int64_t most = INT64_MAX / 1000, us = most - 1; us <= most + 1; us++) { /* what still is one */
        job.timeout_us = us;
        job_set_deadline(&job);
        ck_assert_int_eq(job.watch.deadline_ns, us < most ? us * 1000 : 0);
    }
}
END_TEST

START_TEST(masks_are_asked_for_by_their_forms)
{
    enum job_masks masks = JOB_MASKS_NONE;
    ck_assert(!job_read_masks(bytes_of_text(""), &masks) && !job_read_masks(bytes_of_text("RLE"), &masks));
    ck_assert(!job_read_masks(bytes_of_text("rle "), &masks));
    ck_assert_int_eq(masks, JOB_MASKS_NONE);
    ck_assert(job_read_masks(bytes_of_text("rle"), &masks) && masks == JOB_MASKS_RLE);
    ck_assert(job_read_masks(bytes_of_text("polygon"), &masks) && masks == JOB_MASKS_POLYGON);
}
END_TEST

Suite *serve_job_suite(void)
{
    Suite *suite = suite_create("serve/job");
    TCase *tests = tcase_create("job");
    tcase_add_test(tests, a_list_gives_its_jobs_in_their_order);
    tcase_add_test(tests, jobs_are_inserted_by_their_rank);
    tcase_add_loop_test(tests, a_job_leaves_a_list_from_anywhere, 0, 3);
    tcase_add_test(tests, a_deadline_counts_from_arrival_by_the_jobs_own_timeout_or_its_models);
    tcase_add_test(tests, a_childs_deadline_is_its_parents);
    tcase_add_test(tests, masks_are_asked_for_by_their_forms);
    tcase_add_test(tests, a_timeout_too_large_to_add_is_none);
    suite_add_tcase(suite, tests);
    return suite;
}
