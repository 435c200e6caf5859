/* runner.h - the table that tests/main.awk generates and tests/runner.c walks. */
#ifndef TESTS_RUNNER_H
#define TESTS_RUNNER_H

#include <check.h>

/* "graph_wire" for tests/graph/wire.c; a NULL name ends the table. */
struct runner_suite {
    const char *name;
    Suite *(*make)(void);
};

extern const struct runner_suite runner_suites[];

#endif
