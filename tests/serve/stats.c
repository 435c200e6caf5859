/* stats.c - every number only grows, in the right bucket. */
#include "serve/stats.h"

#include "base/arena.h"

#include <check.h>

Suite *serve_stats_suite(void);

START_TEST(a_request_adds_its_parts)
{
    struct stats stats = {0};
    stats_request(&stats, 100, 10, 20, 30, 40);
    stats_request(&stats, 100, 10, 20, 30, 40);
    ck_assert_uint_eq(stats.success, 2);
    ck_assert_uint_eq(stats.success_ns, 200);
    ck_assert_uint_eq(stats.queue_ns, 20);
    ck_assert_uint_eq(stats.input_ns, 40);
    ck_assert_uint_eq(stats.infer_ns, 60);
    ck_assert_uint_eq(stats.output_ns, 80);
    ck_assert(stats.last_ms > 1600000000000);
}
END_TEST

START_TEST(a_negative_time_counts_as_none)
{
    struct stats stats = {0};
    stats_request(&stats, -5, -1, 0, 0, 0);
    ck_assert_uint_eq(stats.success_ns, 0);
    ck_assert_uint_eq(stats.queue_ns, 0);
    ck_assert_uint_eq(stats.latency[0], 1);
}
END_TEST

START_TEST(a_latency_on_a_bound_belongs_below_it)
{
    for (int i = 0; i < STATS_BUCKETS - 1; i++) {
        struct stats stats = {0};
        int64_t bound_ns = (int64_t)(stats_latency_bounds[i] * 1e9 + 0.5);
        stats_request(&stats, bound_ns, 0, 0, 0, 0);
        stats_request(&stats, bound_ns + 1, 0, 0, 0, 0);
        ck_assert_uint_eq(stats.latency[i], 1);
        ck_assert_uint_eq(stats.latency[i + 1], 1);
    }
}
END_TEST

START_TEST(each_part_has_its_bucket)
{
    struct stats stats = {0};
    stats_request(&stats, 4000000, 10000, 10001, 2600000, -1);
    ck_assert_uint_eq(stats.stages[STAGE_QUEUE][0], 1); /* 10 us is a bound */
    ck_assert_uint_eq(stats.stages[STAGE_INPUT][1], 1);
    ck_assert_uint_eq(stats.stages[STAGE_INFER][7], 1);
    ck_assert_uint_eq(stats.stages[STAGE_OUTPUT][0], 1);
    for (int stage = 0; stage < STAGE_COUNT; stage++) {
        uint64_t n = 0;
        for (int i = 0; i < STATS_BUCKETS; i++)
            n += stats.stages[stage][i];
        ck_assert_uint_eq(n, 1);
    }
}
END_TEST

START_TEST(bounds_ascend)
{
    for (int i = 1; i < STATS_BUCKETS - 1; i++)
        ck_assert(stats_stage_bounds[i] > stats_stage_bounds[i - 1]);
    for (int i = 1; i < STATS_BUCKETS - 1; i++)
        ck_assert(stats_latency_bounds[i] > stats_latency_bounds[i - 1]);
    for (int i = 1; i < STATS_BATCH_BUCKETS - 1; i++)
        ck_assert_int_gt(stats_batch_bounds[i], stats_batch_bounds[i - 1]);
}
END_TEST

START_TEST(runs_are_counted_by_size)
{
    struct stats stats = {0};
    struct arena arena = {0};
    ck_assert(stats_sizes(&stats, 4, &arena));
    stats_execution(&stats, 1, 1, 2, 3);
    stats_execution(&stats, 3, 1, 2, 3);
    stats_execution(&stats, 3, 1, 2, 3);
    stats_execution(&stats, 500, 1, 2, 3); /* beyond the table: in the histogram only */
    ck_assert_uint_eq(stats.executions, 4);
    ck_assert_uint_eq(stats.items, 507);
    ck_assert_uint_eq(stats.batch[0], 1);
    ck_assert_uint_eq(stats.batch[2], 2);
    ck_assert_uint_eq(stats.batch[STATS_BATCH_BUCKETS - 1], 1);
    ck_assert_uint_eq(stats.sizes[0].count, 1);
    ck_assert_uint_eq(stats.sizes[2].count, 2);
    ck_assert_uint_eq(stats.sizes[2].input_ns, 2);
    ck_assert_uint_eq(stats.sizes[2].infer_ns, 4);
    ck_assert_uint_eq(stats.sizes[2].output_ns, 6);
    stats_written(&stats, 3, 4); /* a reply of one of them */
    stats_written(&stats, 500, 4);
    stats_written(&stats, 0, 4); /* a parent's, which is not run */
    ck_assert_uint_eq(stats.sizes[2].output_ns, 10);
    ck_assert_uint_eq(stats.sizes[2].count, 2);
    arena_free(&arena);
}
END_TEST

START_TEST(failures_have_reasons_and_no_latency)
{
    struct stats stats = {0};
    stats_failed(&stats, FAILURE_REJECTED, 5);
    stats_failed(&stats, FAILURE_BACKEND, 7);
    ck_assert_uint_eq(stats.failure[FAILURE_REJECTED], 1);
    ck_assert_uint_eq(stats.failure[FAILURE_BACKEND], 1);
    ck_assert_uint_eq(stats.fail_ns, 12);
    ck_assert_uint_eq(stats.success, 0);
    for (int i = 0; i < STATS_BUCKETS; i++)
        ck_assert_uint_eq(stats.latency[i], 0);
}
END_TEST

Suite *serve_stats_suite(void)
{
    Suite *suite = suite_create("serve/stats");
    TCase *tests = tcase_create("stats");
    tcase_add_test(tests, a_request_adds_its_parts);
    tcase_add_test(tests, a_negative_time_counts_as_none);
    tcase_add_test(tests, a_latency_on_a_bound_belongs_below_it);
    tcase_add_test(tests, each_part_has_its_bucket);
    tcase_add_test(tests, bounds_ascend);
    tcase_add_test(tests, runs_are_counted_by_size);
    tcase_add_test(tests, failures_have_reasons_and_no_latency);
    suite_add_tcase(suite, tests);
    return suite;
}
