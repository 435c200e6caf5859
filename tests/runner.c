/*
 * runner.c - the main of every test program: runs the folder's suites and writes "passed failed" to the
 * file that TEST_TALLY names. CK_RUN_SUITE picks one suite.
 */
#include "runner.h"

#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    SRunner *runner = srunner_create(NULL);
    for (int i = 0; runner_suites[i]; i++)
        srunner_add_suite(runner, runner_suites[i]());
    srunner_run_all(runner, CK_ENV);
    int run = srunner_ntests_run(runner), failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    const char *path = getenv("TEST_TALLY");
    FILE *tally = path ? fopen(path, "a") : NULL;
    if (tally) {
        fprintf(tally, "%d %d\n", run - failed, failed);
        fclose(tally);
    }
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
