/* watch.c - what is over stays over; a look costs a call, spending does not. */
#include "base/watch.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"

static int looks;
static int64_t now;

static int64_t clock_of_test(void)
{
    looks++;
    return now;
}

START_TEST(a_deadline_is_over_once_it_has_passed_and_stays_so)
{
    struct percept_err err = {0};
    struct watch watch = {.deadline_ns = 100, .now_ns = clock_of_test};
    now = 100;
    ck_assert(watch_look(&watch) && !watch_over(&watch));
    now = 101;
    ck_assert(!watch_over(&watch)); /* looks at nothing */
    ck_assert(!watch_look(&watch) && watch_over(&watch));
    now = 0;
    ck_assert(!watch_look(&watch) && !watch_spend(&watch, 1));
    ck_assert(!watch_refuse(&watch, &err));
    ck_assert_int_eq(err.code, ERR_TIMEOUT);
    ck_assert_str_eq(err.text, "Request timeout expired");
}
END_TEST

START_TEST(a_raised_flag_is_over_without_a_deadline)
{
    struct percept_err err = {0};
    int cancel = 0;
    struct watch watch = {.cancel = &cancel, .now_ns = clock_of_test};
    looks = 0;
    ck_assert(watch_look(&watch));
    cancel = 1;
    ck_assert(!watch_look(&watch));
    cancel = 0;
    ck_assert(!watch_look(&watch));
    ck_assert_int_eq(looks, 0);
    ck_assert(!watch_refuse(&watch, &err));
    ck_assert_int_eq(err.code, ERR_CANCELLED);
}
END_TEST

START_TEST(spending_looks_once_per_stride)
{
    struct watch watch = {.deadline_ns = 100, .now_ns = clock_of_test};
    now = looks = 0;
    bool all = true;
    for (int64_t i = 0; i < 10 * WATCH_STRIDE; i++)
        all &= watch_spend(&watch, 1);
    ck_assert(all);
    ck_assert_int_eq(looks, 10);
    ck_assert(watch_spend(&watch, 100 * WATCH_STRIDE)); /* a large piece is looked at before it */
    ck_assert_int_eq(looks, 11);
    now = 101;
    int64_t spent = 0;
    while (watch_spend(&watch, 1))
        spent++;
    ck_assert_int_lt(spent, WATCH_STRIDE);
    for (int i = 0; i < 1000; i++)
        ck_assert(!watch_spend(&watch, 1));
}
END_TEST

START_TEST(each_thread_may_count_by_itself)
{
    struct watch watch = {.deadline_ns = 100, .now_ns = clock_of_test};
    int64_t mine = 0, yours = 0;
    now = looks = 0;
    ck_assert(watch_spend_own(&watch, &mine, 1) && watch_spend_own(&watch, &yours, 1));
    ck_assert_int_eq(looks, 2);
    now = 101;
    ck_assert(watch_spend_own(&watch, &mine, 1));
    ck_assert(!watch_spend_own(&watch, &mine, WATCH_STRIDE));
    ck_assert(!watch_spend_own(&watch, &yours, WATCH_STRIDE));
    ck_assert_int_eq(watch.left, 0);
}
END_TEST

START_TEST(a_copy_stops_between_its_parts)
{
    const size_t n = (size_t)5 << 20;
    char *from = malloc(n), *to = calloc(1, n);
    memset(from, 7, n);
    struct watch watch = {.deadline_ns = 100, .now_ns = clock_of_test};
    now = 0;
    ck_assert(watch_copy(&watch, to, from, n) && !memcmp(to, from, n));
    ck_assert(watch_copy(NULL, to, from, n) && watch_copy(&watch, to, from, 0));
    memset(to, 0, n);
    now = 101;
    watch.left = 0;
    ck_assert(!watch_copy(&watch, to, from, n));
    ck_assert_int_eq(to[n - 1], 0);
    free(from);
    free(to);
}
END_TEST

START_TEST(none_watches_nothing)
{
    int64_t left = 3;
    ck_assert(watch_look(NULL) && watch_spend(NULL, INT64_MAX) && !watch_over(NULL));
    ck_assert(watch_spend_own(NULL, &left, INT64_MAX));
    ck_assert_int_eq(left, 3);
}
END_TEST

START_TEST(the_clock_is_the_monotonic_one_in_nanoseconds)
{
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    const int64_t told = watch_now_ns();
    clock_gettime(CLOCK_MONOTONIC, &after);
    ck_assert_int_ge(told, (int64_t)before.tv_sec * 1000000000 + before.tv_nsec);
    ck_assert_int_le(told, (int64_t)after.tv_sec * 1000000000 + after.tv_nsec);
    struct watch watch = {.deadline_ns = told}; /* by the system's clock where no other is given */
    while (watch_now_ns() <= told)
        ;
    ck_assert(!watch_look(&watch));
    watch = (struct watch){.deadline_ns = INT64_MAX};
    ck_assert(watch_look(&watch));
}
END_TEST

START_TEST(a_flag_comes_before_a_deadline)
{
    struct percept_err err = {0};
    int cancel = 1;
    struct watch watch = {.deadline_ns = 100, .cancel = &cancel, .now_ns = clock_of_test};
    now = 101;
    ck_assert(!watch_look(&watch));
    ck_assert(!watch_refuse(&watch, &err));
    ck_assert_int_eq(err.code, ERR_CANCELLED);
    ck_assert_str_eq(err.text, "the request was cancelled");
    cancel = 0;
    watch = (struct watch){.deadline_ns = 100, .cancel = &cancel, .now_ns = clock_of_test};
    ck_assert(!watch_look(&watch));
    ck_assert(!watch_refuse(&watch, &err));
    ck_assert_int_eq(err.code, ERR_TIMEOUT);
    watch = (struct watch){.now_ns = clock_of_test}; /* neither */
    ck_assert(watch_look(&watch));
}
END_TEST

/* A unit is eight bytes, and the clock is read between parts of a megabyte. */
START_TEST(a_copy_looks_at_the_clock_now_and_then)
{
    const size_t n = (size_t)4 << 20;
    char *from = malloc(n + 7), *to = calloc(1, n + 8);
    for (size_t i = 0; i < n + 7; i++)
        from[i] = (char)(i * 31 >> 3);
    struct watch watch = {.deadline_ns = 100, .now_ns = clock_of_test};
    now = looks = 0;
    ck_assert(watch_copy(&watch, to, from, n));
    ck_assert_int_eq(looks, 4);
    ck_assert(watch_copy(&watch, to, from, n + 7));
    ck_assert_int_eq(memcmp(to, from, n + 7), 0);
    ck_assert_int_eq(to[n + 7], 0);
    ck_assert_int_eq(looks, 8);
    free(from);
    free(to);
}
END_TEST

START_TEST(a_copy_of_a_few_bytes_costs_no_look)
{
    char from[1000] = {0}, to[1000];
    struct watch watch = {.deadline_ns = 100, .now_ns = clock_of_test};
    now = looks = 0;
    for (int i = 0; i < WATCH_STRIDE / 125; i++) /* of 125 units each */
        ck_assert(watch_copy(&watch, to, from, sizeof from));
    ck_assert_int_eq(looks, 1);
    for (int i = 0; i < 2; i++)
        ck_assert(watch_copy(&watch, to, from, sizeof from));
    ck_assert_int_eq(looks, 2);
}
END_TEST

START_TEST(nothing_is_spent_beyond_a_stride)
{
    struct watch watch = {.deadline_ns = 100, .now_ns = clock_of_test};
    now = looks = 0;
    ck_assert(watch_spend(&watch, 1));
    ck_assert_int_eq(looks, 1);
    ck_assert(watch_spend(&watch, WATCH_STRIDE - 1));
    ck_assert_int_eq(looks, 1);
    ck_assert(watch_spend(&watch, 1));
    ck_assert_int_eq(looks, 2);
    ck_assert_int_eq(watch.left, WATCH_STRIDE);
}
END_TEST

Suite *base_watch_suite(void);
Suite *base_watch_suite(void)
{
    Suite *suite = suite_create("base/watch");
    TCase *tests = tcase_create("watch");
    tcase_add_test(tests, a_deadline_is_over_once_it_has_passed_and_stays_so);
    tcase_add_test(tests, a_raised_flag_is_over_without_a_deadline);
    tcase_add_test(tests, spending_looks_once_per_stride);
    tcase_add_test(tests, each_thread_may_count_by_itself);
    tcase_add_test(tests, a_copy_stops_between_its_parts);
    tcase_add_test(tests, none_watches_nothing);
    tcase_add_test(tests, the_clock_is_the_monotonic_one_in_nanoseconds);
    tcase_add_test(tests, a_flag_comes_before_a_deadline);
    tcase_add_test(tests, a_copy_looks_at_the_clock_now_and_then);
    tcase_add_test(tests, a_copy_of_a_few_bytes_costs_no_look);
    tcase_add_test(tests, nothing_is_spent_beyond_a_stride);
    suite_add_tcase(suite, tests);
    return suite;
}
