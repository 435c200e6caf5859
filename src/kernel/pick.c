/*
 * pick.c - which level runs here.
 *
 * The levels stand best first, each with the CPU features that its compilation may use; the first one all
 * of whose features are there is the best. Features are asked singly: compilers disagree about names
 * such as "x86-64-v3". The builtin looks at what the operating system saves as well as at the CPU.
 * Pure functions of the machine: any thread, no state.
 */
#include "kernel/kernel.h"

#include <string.h>

#if defined __x86_64__ && !defined KERNELS_BASE_ALONE /* as the fuzzers' builds say */
#define MANY_LEVELS
#endif

static bool runs_base(void)
{
    return true;
}

#ifdef MANY_LEVELS
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

static const struct kernels *const levels[] = {
#ifdef MANY_LEVELS
    &kernels_v4,
    &kernels_v3,
#endif
    &kernels_base,
    NULL,
};

static bool (*const predicates[])(void) = {
#ifdef MANY_LEVELS
    runs_v4,
    runs_v3,
#endif
    runs_base,
};

enum { N_LEVELS = sizeof predicates / sizeof *predicates };

const struct kernels *const *pick_all(void)
{
    return levels;
}

bool pick_runs(const struct kernels *level)
{
    for (int i = 0; i < N_LEVELS; i++)
        if (levels[i] == level)
            return predicates[i]();
    return false;
}

const struct kernels *pick_best(void)
{
    int i = 0;
    while (!predicates[i]())
        i++;
    return levels[i];
}

const struct kernels *pick_named(const char *name)
{
    for (int i = 0; i < N_LEVELS; i++)
        if (strcmp(levels[i]->name, name) == 0)
            return predicates[i]() ? levels[i] : NULL;
    return NULL;
}

/* What runs is a tail of the table: each level's features include those of the levels below it. */
const char *const *pick_names(void)
{
    static const char *const names[] = {
#ifdef MANY_LEVELS
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
