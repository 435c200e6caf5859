/* runner.h - the table that tests/main.awk generates and tests/runner.c walks. */
#ifndef TESTS_RUNNER_H
#define TESTS_RUNNER_H

#include <check.h>

extern Suite *(*const runner_suites[])(void);

#endif
