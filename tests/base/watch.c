/* watch.c - what is over stays over; a look costs a call, spending does not. */
#include "base/watch.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

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
    ck_assert(watch_look(NULL) && watch_spend(NULL, INT64_MAX) && !watch_over(NULL));
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
    suite_add_tcase(suite, tests);
    return suite;
}
