/*
 * runner.c - the main of every test program: runs the folder's suites and writes "passed failed" to
 * the file that TEST_TALLY names. CK_RUN_SUITE picks one suite: as its file is called (graph/wire),
 * as its function is (graph_wire), or as it calls itself. A choice that picks nothing is a failure
 * that lists what there is, since a run of no tests looks like a good one.
 */
#include "runner.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* '/' and '_' are one. */
static bool same(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if ((*a == '/' ? '_' : *a) != (*b == '/' ? '_' : *b))
            return false;
    return *a == *b;
}

static const struct runner_suite *chosen(void)
{
    const char *wanted = getenv("CK_RUN_SUITE");
    for (const struct runner_suite *at = runner_suites; wanted && at->name; at++)
        if (same(at->name, wanted))
            return at;
    return NULL;
}

static bool is_filtered(void)
{
    return getenv("CK_RUN_SUITE") || getenv("CK_RUN_CASE") || getenv("CK_INCLUDE_TAGS");
}

static void say_nothing_ran(const char *wanted)
{
    fprintf(stderr, "no test is called '%s'; the suites are:\n", wanted ? wanted : "");
    for (const struct runner_suite *at = runner_suites; at->name; at++)
        fprintf(stderr, "  %s\n", at->name);
}

int main(void)
{
    SRunner *runner = srunner_create(NULL);
    const char *wanted = getenv("CK_RUN_SUITE");
    const struct runner_suite *one = chosen();
    bool filtered = is_filtered();
    if (one) {
        srunner_add_suite(runner, one->make());
        wanted = one->name;
        unsetenv("CK_RUN_SUITE"); /* the suite may call itself otherwise */
    }
    for (const struct runner_suite *at = runner_suites; !one && at->name; at++)
        srunner_add_suite(runner, at->make());
    srunner_run_all(runner, CK_ENV);
    int run = srunner_ntests_run(runner), failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    if (!run && filtered) {
        say_nothing_ran(wanted);
        failed = 1;
    }
    const char *path = getenv("TEST_TALLY");
    FILE *tally = path ? fopen(path, "a") : NULL;
    if (tally) {
        fprintf(tally, "%d %d\n", run > failed ? run - failed : 0, failed);
        fclose(tally);
    }
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
