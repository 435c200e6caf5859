/*
 * pick.c - which row runs here.
 *
 * The rows stand best first, each with the CPU features that its compilation may use; the first one all
 * of whose features are there is the best. Features are asked singly: compilers disagree about names
 * such as "x86-64-v3". The builtin looks at what the operating system saves as well as at the CPU.
 * Pure functions of the machine: any thread, no state.
 */
#include "kernel/kernel.h"

#include <string.h>

#if defined __x86_64__ && !defined KERNELS_BASE_ALONE /* as the fuzzers' builds say */
#define MANY_ROWS
#endif

static bool runs_base(void)
{
    return true;
}

#ifdef MANY_ROWS
/* x86-64-v3 also has f16c, lzcnt and movbe, which clang 14 cannot ask for; no processor with AVX2 and
 * BMI2 lacks them. */
static bool runs_v3(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2");
}

static bool runs_v4(void)
{
    return runs_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}
#endif

static const struct kernels *const rows[] = {
#ifdef MANY_ROWS
    &kernels_v4,
    &kernels_v3,
#endif
    &kernels_base,
    NULL,
};

static bool (*const predicates[])(void) = {
#ifdef MANY_ROWS
    runs_v4,
    runs_v3,
#endif
    runs_base,
};

enum { N_ROWS = sizeof predicates / sizeof *predicates };

const struct kernels *const *pick_all(void)
{
    return rows;
}

bool pick_runs(const struct kernels *row)
{
    for (int i = 0; i < N_ROWS; i++)
        if (rows[i] == row)
            return predicates[i]();
    return false;
}

const struct kernels *pick_best(void)
{
    int i = 0;
    while (!predicates[i]())
        i++;
    return rows[i];
}

const struct kernels *pick_named(const char *name)
{
    for (int i = 0; i < N_ROWS; i++)
        if (strcmp(rows[i]->name, name) == 0)
            return predicates[i]() ? rows[i] : NULL;
    return NULL;
}

/* What runs is a tail of the table: each row's features include those of the rows below it. */
const char *const *pick_names(void)
{
    static const char *const names[] = {
#ifdef MANY_ROWS
        "v4",
        "v3",
#endif
        "base",
        NULL,
    };
    int i = 0;
    while (!predicates[i]())
        i++;
    return names + i;
}
