/*
 * pick.c - which levels there are, what they are made of, and which one runs here.
 *
 * A level is the families that were compiled for it (KERNELS_HAVE, which the Makefile makes) and, where there is none,
 * the next lower level's. So a feature that speeds up one family is a level that has this family alone: its name begins
 * with '+' and is put behind the name of the level that it stands on. What would not fit together is refused: families
 * that lay things out by a vector must all do it by the same one.
 *
 * The levels stand best last, each with the CPU features that its compilation may use. Features are asked singly:
 * compilers disagree about names such as "x86-64-v3". The builtin looks at what the operating system saves as well as
 * at the CPU. Levels are composed before main begins (a constructor) and never change after it: any thread.
 */
#include "kernel/kernel.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifndef KERNELS_HAVE
#define KERNELS_HAVE(HAS)
#error "KERNELS_HAVE lists what was compiled: HAS(gemm, base) HAS(gemm, v3) ..."
#endif

enum {
    LEVEL_base,
#ifdef __x86_64__
    LEVEL_v3,
    LEVEL_v4,
    LEVEL_v4_vnni,
#endif
    N_LEVELS
};

#define DECLARE(FAMILY, LEVEL) extern const struct FAMILY##_kernels KERNELS_TABLE(FAMILY, LEVEL);
KERNELS_HAVE(DECLARE)

/* Of each level what was compiled for it. One that has nothing of its own is none. */
#define ENTER(FAMILY, LEVEL) [LEVEL_##LEVEL].FAMILY = &KERNELS_TABLE(FAMILY, LEVEL),
static const struct kernels own[N_LEVELS] = {KERNELS_HAVE(ENTER)};

static bool runs_base(void)
{
    return true;
}

#ifdef __x86_64__
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

static bool runs_v4_vnni(void)
{
    return runs_v4() && __builtin_cpu_supports("avx512vnni");
}
#endif

/* Worst first: each stands on those before it. */
static const struct {
    const char *name;
    bool (*runs)(void);
} known[N_LEVELS] = {
    [LEVEL_base] = {"base", runs_base},
#ifdef __x86_64__
    [LEVEL_v3] = {"v3", runs_v3},
    [LEVEL_v4] = {"v4", runs_v4},
    [LEVEL_v4_vnni] = {"+vnni", runs_v4_vnni},
#endif
};

/* Written once, before main. */
static struct kernels levels[N_LEVELS];
static const struct kernels *all[N_LEVELS + 1]; /* best first */
static const char *names[N_LEVELS + 1];         /* of those that run, best first */

static bool take_name(struct kernels *level, const struct kernels *below)
{
    char name[2 * sizeof level->name];
    const int n = snprintf(name, sizeof name, "%s%s", level->name[0] == '+' && below ? below->name : "", level->name);
    if (n >= (int)sizeof level->name)
        return false;
    memcpy(level->name, name, (size_t)n + 1);
    return true;
}

bool pick_compose(struct kernels *level, const struct kernels *below)
{
#define BORROW(FAMILY)                                                                                                 \
    if (!level->FAMILY && below)                                                                                       \
        level->FAMILY = below->FAMILY;                                                                                 \
    if (!level->FAMILY)                                                                                                \
        return false;
    KERNELS_FAMILIES(BORROW)
    level->width = level->layout->width;
#define REFUSE(FAMILY)                                                                                                 \
    if (level->FAMILY->width != 0 && level->FAMILY->width != level->width)                                             \
        return false;
    KERNELS_FAMILIES(REFUSE)
    return take_name(level, below);
}

static bool was_compiled(const struct kernels *level)
{
#define OR_THERE(FAMILY) || level->FAMILY
    return false KERNELS_FAMILIES(OR_THERE);
}

__attribute__((constructor)) static void compose_all(void)
{
    const struct kernels *below = NULL;
    int n = 0;
    for (int i = 0; i < N_LEVELS; i++) {
        levels[i] = own[i];
        snprintf(levels[i].name, sizeof levels[i].name, "%s", known[i].name);
        if (!was_compiled(&own[i]) || !pick_compose(&levels[i], below))
            continue;
        below = &levels[i];
        memmove(all + 1, all, (size_t)n++ * sizeof *all);
        all[0] = below;
    }
    int n_names = 0;
    for (int i = 0; i < n; i++)
        if (pick_runs(all[i]))
            names[n_names++] = all[i]->name;
}

const struct kernels *const *pick_all(void)
{
    return all;
}

bool pick_runs(const struct kernels *level)
{
    for (int i = 0; i < N_LEVELS; i++)
        if (&levels[i] == level)
            return known[i].runs();
    return false;
}

const struct kernels *pick_best(void)
{
    int i = 0;
    while (!pick_runs(all[i]))
        i++;
    return all[i];
}

const struct kernels *pick_named(const char *name)
{
    for (int i = 0; all[i]; i++)
        if (strcmp(all[i]->name, name) == 0)
            return pick_runs(all[i]) ? all[i] : NULL;
    return NULL;
}

const char *const *pick_names(void)
{
    return names;
}

int64_t pick_l2_bytes(void)
{
    enum { LEAST = 1 << 18, USUAL = 1 << 20 };
#ifdef _SC_LEVEL2_CACHE_SIZE
    const long n_bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
#else
    const long n_bytes = 0;
#endif
    return n_bytes >= LEAST ? n_bytes : USUAL;
}
