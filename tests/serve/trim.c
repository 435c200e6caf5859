/* trim.c - the rule alone: what a batch at home shall give back, and when to look again. */
#include "serve/trim.h"

#include <check.h>

#define MB ((size_t)1 << 20)

static struct batch batch;
static int64_t look_ns;

static void begin(void)
{
    batch = (struct batch){.session = (struct percept_session *)&batch, .held_bytes = 64 * MB};
    look_ns = LANE_NEVER;
    ck_assert_int_eq(trim_judge(&batch, false, 1000, &look_ns), TRIM_NOTHING);
    ck_assert_int_eq(batch.window_ns, 1000);
    ck_assert_int_eq(look_ns, 1000 + TRIM_WINDOW_NS);
}

/* At the end of a stretch in which the largest run needed so much. */
static enum trim end_of_stretch(size_t needed_bytes, bool next)
{
    batch.needed_bytes = needed_bytes;
    const enum trim what = trim_judge(&batch, next, batch.window_ns + TRIM_WINDOW_NS, &look_ns);
    ck_assert_uint_eq(batch.needed_bytes, 0);
    return what;
}

START_TEST(nothing_goes_before_a_stretch_is_over)
{
    begin();
    batch.needed_bytes = 1;
    ck_assert_int_eq(trim_judge(&batch, false, 1000 + TRIM_WINDOW_NS - 1, &look_ns), TRIM_NOTHING);
    ck_assert_uint_eq(batch.needed_bytes, 1);
    ck_assert_int_eq(look_ns, 1000 + TRIM_WINDOW_NS);
}
END_TEST

START_TEST(half_is_the_limit_over_two_stretches)
{
    begin();
    ck_assert_int_eq(end_of_stretch(32 * MB, false), TRIM_NOTHING);
    ck_assert_int_eq(end_of_stretch(1, false), TRIM_NOTHING); /* the stretch before counts */
    ck_assert_int_eq(end_of_stretch(32 * MB - 1, false), TRIM_REST);
    ck_assert_int_eq(end_of_stretch(1, false), TRIM_REST);
}
END_TEST

START_TEST(what_rests_gives_all_back_unless_it_is_next)
{
    begin();
    ck_assert_int_eq(end_of_stretch(0, true), TRIM_NOTHING);
    ck_assert_int_eq(end_of_stretch(0, false), TRIM_ALL);
}
END_TEST

START_TEST(the_next_one_is_looked_at_while_it_is_used)
{
    begin();
    look_ns = LANE_NEVER;
    end_of_stretch(40 * MB, true);
    ck_assert_int_eq(look_ns, batch.window_ns + TRIM_WINDOW_NS);
    look_ns = LANE_NEVER;
    end_of_stretch(0, true);
    ck_assert_int_eq(look_ns, LANE_NEVER);
    look_ns = 5;
    end_of_stretch(1, false);
    ck_assert_int_eq(look_ns, 5); /* somebody else is earlier */
}
END_TEST

START_TEST(little_memory_or_no_session_is_left_alone)
{
    begin();
    batch.held_bytes = TRIM_LEAST_BYTES - 1;
    batch.window_ns = 1;
    look_ns = LANE_NEVER;
    ck_assert_int_eq(trim_judge(&batch, false, 1 + 9 * TRIM_WINDOW_NS, &look_ns), TRIM_NOTHING);
    batch.held_bytes = 64 * MB;
    batch.session = NULL;
    ck_assert_int_eq(trim_judge(&batch, false, 1 + 9 * TRIM_WINDOW_NS, &look_ns), TRIM_NOTHING);
    ck_assert_int_eq(look_ns, LANE_NEVER);
}
END_TEST

Suite *serve_trim_suite(void);
Suite *serve_trim_suite(void)
{
    Suite *suite = suite_create("serve/trim");
    TCase *tests = tcase_create("trim");
    tcase_add_test(tests, nothing_goes_before_a_stretch_is_over);
    tcase_add_test(tests, half_is_the_limit_over_two_stretches);
    tcase_add_test(tests, what_rests_gives_all_back_unless_it_is_next);
    tcase_add_test(tests, the_next_one_is_looked_at_while_it_is_used);
    tcase_add_test(tests, little_memory_or_no_session_is_left_alone);
    suite_add_tcase(suite, tests);
    return suite;
}
