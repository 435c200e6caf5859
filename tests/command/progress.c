/* progress.c - tests of command/progress.c: the bar's line. */
#include "command/progress.h"

#include <check.h>
#include <string.h>

static const char *line(int n, int n_ended, int n_failed, int n_left, int64_t seconds)
{
    static char text[160];
    const struct progress progress = {.n = n, .begun_ns = 5};
    return progress_line(&progress, n_ended, n_failed, n_left, 5 + seconds * 1000000000, text, sizeof text);
}

START_TEST(the_line_tells_how_far_it_is)
{
    ck_assert_str_eq(line(60, 0, 0, 0, 0), "[..............................] 0/60");
    ck_assert_str_eq(line(60, 30, 0, 0, 10), "[###############...............] 30/60  3.0/s  10 s left");
    ck_assert_str_eq(line(60, 40, 2, 30, 10), "[####################..........] 40/60  1.0/s  20 s left  2 failed");
    ck_assert_str_eq(line(60, 60, 0, 60, 1), "[##############################] 60/60");
    ck_assert_str_eq(line(0, 0, 0, 0, 1), "[##############################] 0/0");
    ck_assert(strlen(line(2147483647, 2147483647, 2147483647, 0, 1000000)) < 159);
}
END_TEST

Suite *command_progress_suite(void);

Suite *command_progress_suite(void)
{
    Suite *suite = suite_create("command_progress");
    TCase *tests = tcase_create("progress");
    tcase_add_test(tests, the_line_tells_how_far_it_is);
    suite_add_tcase(suite, tests);
    return suite;
}
