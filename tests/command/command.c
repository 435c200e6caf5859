/* What the subcommands share: the text of a shape, counts, and the threads they lend. */
#include "command/command.h"

#include <check.h>
#include <string.h>

static const char *shape(int rank, const int64_t *dims, const char *const *names)
{
    static char text[64];
    return command_shape_text(rank, dims, names, text, sizeof text);
}

START_TEST(shapes_are_written_with_names)
{
    const int64_t dims[] = {-1, 3, -1};
    const char *const names[PERCEPT_RANK_MAX] = {"N"};
    ck_assert_str_eq(shape(3, dims, names), "[N,3,?]");
    ck_assert_str_eq(shape(3, dims, NULL), "[?,3,?]");
    ck_assert_str_eq(shape(0, dims, NULL), "[]");
    ck_assert_str_eq(shape(-1, dims, NULL), "[...]");
    char small[4];
    ck_assert_str_eq(command_shape_text(3, dims, names, small, sizeof small), "[N,");
}
END_TEST

START_TEST(counts_that_do_not_fit_are_refused)
{
    ck_assert_int_eq(command_count(3, (int64_t[]){2, 3, 4}), 24);
    ck_assert_int_eq(command_count(0, NULL), 1);
    ck_assert_int_eq(command_count(2, (int64_t[]){2, -1}), -1);
    ck_assert_int_eq(command_count(2, (int64_t[]){INT64_MAX, 2}), -1);
}
END_TEST

START_TEST(helpers_come_and_go)
{
    struct command_team team;
    struct percept_err err;
    ck_assert(command_team_start(&team, 1, &err));
    ck_assert_ptr_null(team.team);
    command_team_end(&team);
    ck_assert(command_team_start(&team, 3, &err));
    ck_assert_ptr_nonnull(team.team);
    ck_assert_int_eq(team.n, 2);
    command_team_end(&team);
    ck_assert_ptr_null(team.team);
}
END_TEST

Suite *command_command_suite(void);

Suite *command_command_suite(void)
{
    Suite *suite = suite_create("command_command");
    TCase *tests = tcase_create("command");
    tcase_add_test(tests, shapes_are_written_with_names);
    tcase_add_test(tests, counts_that_do_not_fit_are_refused);
    tcase_add_test(tests, helpers_come_and_go);
    suite_add_tcase(suite, tests);
    return suite;
}
