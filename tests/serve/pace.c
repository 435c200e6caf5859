/* pace.c - pieces of the loop's work and what is found readable, by a clock of the test's own. */
#include "serve/pace.h"

#include <check.h>

Suite *serve_pace_suite(void);

static uint64_t n_of(const struct pace_histogram *histogram)
{
    uint64_t n = 0;
    for (int i = 0; i < PACE_BUCKETS; i++)
        n += histogram->buckets[i];
    return n;
}

START_TEST(a_turn_is_the_sum_of_its_pieces)
{
    struct pace pace = {0};
    pace_ask(&pace, 1000);
    pace_piece(&pace, 500000);
    pace_piece(&pace, 505000); /* 5 us */
    pace_piece(&pace, 705000); /* 200 us: the bound is in */
    pace_ask(&pace, 905001);   /* a little more */
    ck_assert_uint_eq(n_of(&pace.pieces), 3);
    ck_assert_uint_eq(pace.pieces.buckets[0], 1);
    ck_assert_uint_eq(pace.pieces.buckets[4], 1);
    ck_assert_uint_eq(pace.pieces.buckets[5], 1);
    ck_assert_uint_eq(pace.pieces.sum_ns, 405001);
}
END_TEST

START_TEST(waiting_for_the_kernel_is_no_work)
{
    struct pace pace = {0};
    pace_ask(&pace, 1000);
    pace_ask(&pace, 2000000000);
    pace_piece(&pace, 3000000000);
    pace_ask(&pace, 3000001000);
    pace_ask(&pace, 9000000000);
    ck_assert_uint_eq(n_of(&pace.pieces), 1);
    ck_assert_uint_eq(pace.pieces.sum_ns, 1000);
}
END_TEST

START_TEST(who_wakes_the_loop_was_readable_just_then)
{
    struct pace pace = {0};
    pace_piece(&pace, 1000000);
    pace_ask(&pace, 1100000);
    pace_piece(&pace, 5000000);
    ck_assert_int_eq(pace.since_ns, 5000000);
    pace_piece(&pace, 6000000); /* the same turn */
    ck_assert_int_eq(pace.since_ns, 5000000);
}
END_TEST

START_TEST(who_came_while_the_loop_worked_may_have_waited_all_that_time)
{
    struct pace pace = {0};
    pace_piece(&pace, 1000000);
    pace_ask(&pace, 9000000); /* 8 ms of work, and the kernel has more at once */
    pace_piece(&pace, 9005000);
    ck_assert_int_eq(pace.since_ns, 1000000);
    pace_ask(&pace, 9500000);
    pace_piece(&pace, 9505000);
    ck_assert_int_eq(pace.since_ns, 9005000);
}
END_TEST

START_TEST(durations_have_their_buckets)
{
    struct pace_histogram histogram = {0};
    pace_count(&histogram, -5); /* a clock that was set back */
    pace_count(&histogram, 100000000);
    pace_count(&histogram, 100000001);
    ck_assert_uint_eq(histogram.buckets[0], 1);
    ck_assert_uint_eq(histogram.buckets[PACE_BUCKETS - 2], 1);
    ck_assert_uint_eq(histogram.buckets[PACE_BUCKETS - 1], 1);
    ck_assert_uint_eq(histogram.sum_ns, 200000001);
}
END_TEST

Suite *serve_pace_suite(void)
{
    Suite *suite = suite_create("serve/pace");
    TCase *tests = tcase_create("pace");
    tcase_add_test(tests, a_turn_is_the_sum_of_its_pieces);
    tcase_add_test(tests, waiting_for_the_kernel_is_no_work);
    tcase_add_test(tests, who_wakes_the_loop_was_readable_just_then);
    tcase_add_test(tests, who_came_while_the_loop_worked_may_have_waited_all_that_time);
    tcase_add_test(tests, durations_have_their_buckets);
    suite_add_tcase(suite, tests);
    return suite;
}
