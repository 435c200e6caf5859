/* runner.c - the test programs' own main: one suite can be picked, and a choice of nothing fails.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char text[65536];

/* Runs this very program again; its exit status. */
static int run_suite(const char *suite)
{
    char self[4096], line[5000];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    ck_assert_int_gt(n, 0);
    self[n] = '\0';
    snprintf(line, sizeof line, "env -u TEST_TALLY CK_RUN_SUITE='%s' '%s' 2>&1", suite, self);
    FILE *pipe = popen(line, "r");
    ck_assert_ptr_nonnull(pipe);
    text[fread(text, 1, sizeof text - 1, pipe)] = '\0';
    int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

START_TEST(a_suite_goes_by_its_files_name_and_by_its_functions)
{
    static const char *const names[] = {"command/address", "command_address"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        ck_assert_msg(run_suite(names[i]) == 0, "%s: %s", names[i], text);
        ck_assert_ptr_nonnull(strstr(text, "command_address"));
        ck_assert_ptr_null(strstr(text, "Checks: 0,"));
    }
}
END_TEST

START_TEST(a_suite_that_is_not_there_is_a_failure_that_lists_what_is)
{
    ck_assert_int_ne(run_suite("command/adress"), 0);
    ck_assert_ptr_nonnull(strstr(text, "no test is called 'command/adress'; the suites are:"));
    ck_assert_ptr_nonnull(strstr(text, "\n  command_address\n"));
}
END_TEST

Suite *command_runner_suite(void);

Suite *command_runner_suite(void)
{
    Suite *suite = suite_create("command_runner");
    TCase *tests = tcase_create("runner");
    tcase_add_test(tests, a_suite_goes_by_its_files_name_and_by_its_functions);
    tcase_add_test(tests, a_suite_that_is_not_there_is_a_failure_that_lists_what_is);
    suite_add_tcase(suite, tests);
    return suite;
}
