/* idle.c - who goes and who comes, by a clock of our own. */
#include "serve/idle.h"

#include <check.h>
#include <string.h>

Suite *serve_idle_suite(void);

#define MS INT64_C(1000000)

static struct idle models[6];
static struct idle_limits limits;
static int64_t look_ns;

/* Each takes 10 bytes and was used as many ms ago as its number says. */
static void begin(void)
{
    memset(models, 0, sizeof models);
    limits = (struct idle_limits){0};
    for (int i = 0; i < 6; i++) {
        models[i] = (struct idle){.next = i < 5 ? &models[i + 1] : NULL,
                                  .rests = true,
                                  .used_ns = (100 - i) * MS,
                                  .since_ns = (10 + i) * MS,
                                  .held_bytes = 10,
                                  .taken_bytes = 10};
    }
}

static void end(void)
{
}

static int next(int64_t now_ns)
{
    look_ns = IDLE_NEVER;
    const struct idle *found = idle_next(models, &limits, now_ns, &look_ns);
    return found ? (int)(found - models) : -1;
}

/* Models from this one on are out. */
static void out_from(int first)
{
    for (int i = first; i < 6; i++)
        models[i].state = IDLE_OUT;
}

START_TEST(without_limits_nobody_goes_and_all_that_are_wanted_come)
{
    ck_assert_int_eq(next(INT64_C(1) << 60), -1);
    out_from(3);
    ck_assert_int_eq(next(100 * MS), -1);
    models[4].wanted_ns = 2;
    models[3].wanted_ns = 5;
    ck_assert_int_eq(next(100 * MS), 4);
    models[4].state = IDLE_COMING;
    ck_assert_int_eq(next(100 * MS), 3);
}
END_TEST

START_TEST(who_was_not_asked_for_so_long_goes_when_it_rests)
{
    limits.max_idle_ns = 50 * MS;
    ck_assert_int_eq(next(144 * MS), -1);
    ck_assert_int_eq(look_ns, 145 * MS);
    ck_assert_int_eq(next(145 * MS), 5);
    models[5].rests = false;
    ck_assert_int_eq(next(145 * MS), -1);
    ck_assert_int_eq(look_ns, 146 * MS);
    models[4].stays = true;
    ck_assert_int_eq(next(146 * MS), -1);
    ck_assert_int_eq(next(147 * MS), 3);
}
END_TEST

START_TEST(where_all_take_too_much_the_one_that_was_used_longest_ago_goes)
{
    limits.max_bytes = 60;
    ck_assert_int_eq(next(100 * MS), -1);
    limits.max_bytes = 59;
    ck_assert_int_eq(next(100 * MS), 5);
    models[5].state = IDLE_GOING;
    ck_assert_int_eq(next(100 * MS), -1); /* what it has will be enough */
    models[5].state = IDLE_OUT;
    limits.max_bytes = 5;
    for (int i = 4; i > 0; i--) {
        ck_assert_int_eq(next(100 * MS), i);
        models[i].state = IDLE_OUT;
    }
    ck_assert_int_eq(next(100 * MS), -1); /* one may be there, however large */
}
END_TEST

START_TEST(who_works_stays_while_nobody_waits)
{
    limits.max_bytes = 30;
    for (int i = 0; i < 6; i++)
        models[i].rests = false;
    ck_assert_int_eq(next(INT64_C(1) << 40), -1);
}
END_TEST

START_TEST(who_is_wanted_comes_when_there_is_room)
{
    limits.max_bytes = 40;
    out_from(3);
    models[3].wanted_ns = 1;
    models[4].wanted_ns = 2;
    ck_assert_int_eq(next(100 * MS), 3);
    models[3].state = IDLE_COMING; /* 40 bytes are spoken for */
    ck_assert_int_eq(next(100 * MS), 2);
    models[2].state = IDLE_GOING;
    ck_assert_int_eq(next(100 * MS), -1);
    models[2].state = IDLE_OUT;
    ck_assert_int_eq(next(100 * MS), 4);
}
END_TEST

START_TEST(who_needs_more_than_all_comes_alone)
{
    limits.max_bytes = 40;
    out_from(1);
    models[3].wanted_ns = 1;
    models[3].taken_bytes = 1000;
    ck_assert_int_eq(next(100 * MS), 0);
    models[0].state = IDLE_GOING;
    ck_assert_int_eq(next(100 * MS), -1);
    models[0].state = IDLE_OUT;
    ck_assert_int_eq(next(100 * MS), 3);
}
END_TEST

START_TEST(who_works_makes_way_after_as_long_as_its_load_took)
{
    limits.max_bytes = 30;
    out_from(3);
    models[4].wanted_ns = 1;
    for (int i = 0; i < 3; i++)
        models[i].rests = false;
    models[0].load_ns = 70 * MS;
    ck_assert_int_eq(next(79 * MS), -1);
    ck_assert_int_eq(look_ns, 80 * MS);
    ck_assert_int_eq(next(80 * MS), 0);
    models[0].load_ns = 1;
    ck_assert_int_eq(next(10 * MS + IDLE_STAY_NS - 1), -1);
    ck_assert_int_eq(next(10 * MS + IDLE_STAY_NS), 0);
    models[2].rests = true;
    ck_assert_int_eq(next(30 * MS), 2); /* at once */
    models[2].stays = models[0].stays = true;
    ck_assert_int_eq(next(30 * MS), 1);
    models[1].stays = true;
    ck_assert_int_eq(next(30 * MS), -1);
}
END_TEST

START_TEST(sums_that_would_wrap_do_not_fit)
{
    limits.max_bytes = 40;
    out_from(1);
    models[3].wanted_ns = 1;
    models[3].taken_bytes = SIZE_MAX;
    ck_assert_int_eq(next(100 * MS), 0);
}
END_TEST

Suite *serve_idle_suite(void)
{
    Suite *suite = suite_create("serve/idle");
    TCase *tests = tcase_create("idle");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, without_limits_nobody_goes_and_all_that_are_wanted_come);
    tcase_add_test(tests, who_was_not_asked_for_so_long_goes_when_it_rests);
    tcase_add_test(tests, where_all_take_too_much_the_one_that_was_used_longest_ago_goes);
    tcase_add_test(tests, who_works_stays_while_nobody_waits);
    tcase_add_test(tests, who_is_wanted_comes_when_there_is_room);
    tcase_add_test(tests, who_needs_more_than_all_comes_alone);
    tcase_add_test(tests, who_works_makes_way_after_as_long_as_its_load_took);
    tcase_add_test(tests, sums_that_would_wrap_do_not_fit);
    suite_add_tcase(suite, tests);
    return suite;
}
