/*
 * pick.c - the table of levels is consistent, whatever this machine runs.
 */
#include "kernel/kernel.h"

#include <check.h>
#include <string.h>

START_TEST(best_level_is_the_first_that_runs)
{
    const struct kernels *const *level = pick_all();
    while (*level && !pick_runs(*level))
        level++;
    ck_assert_ptr_nonnull(*level);
    ck_assert_ptr_eq(pick_best(), *level);
}
END_TEST

START_TEST(base_runs_everywhere_and_stands_last)
{
    const struct kernels *last = NULL;
    for (const struct kernels *const *level = pick_all(); *level; level++)
        last = *level;
    ck_assert_str_eq(last->name, "base");
    ck_assert(pick_runs(last));
    ck_assert_ptr_eq(pick_named("base"), last);
}
END_TEST

START_TEST(names_are_those_of_the_levels_that_run)
{
    const char *const *name = pick_names();
    for (const struct kernels *const *level = pick_all(); *level; level++) {
        if (!pick_runs(*level)) {
            ck_assert_ptr_null(pick_named((*level)->name));
            continue;
        }
        ck_assert_ptr_nonnull(*name);
        ck_assert_str_eq(*name++, (*level)->name);
        ck_assert_ptr_eq(pick_named((*level)->name), *level);
    }
    ck_assert_ptr_null(*name);
}
END_TEST

START_TEST(the_second_cache_has_a_size)
{
    ck_assert_int_ge(pick_l2_bytes(), 1 << 18);
    ck_assert_int_le(pick_l2_bytes(), 1 << 28);
    ck_assert_int_eq(pick_l2_bytes(), pick_l2_bytes());
}
END_TEST

START_TEST(unknown_names_give_nothing)
{
    ck_assert_ptr_null(pick_named("v5"));
    ck_assert_ptr_null(pick_named(""));
    ck_assert(!pick_runs(NULL));
}
END_TEST

/* A family's members are pointers and a number or two: none is zero, but for a width of nothing. */
static bool is_complete(const void *family, size_t bytes)
{
    uintptr_t members[32];
    ck_assert_uint_le(bytes, sizeof members);
    memcpy(members, family, bytes);
    for (size_t i = 1; i < bytes / sizeof *members; i++)
        if (!members[i])
            return false;
    return true;
}

START_TEST(levels_are_complete)
{
    for (const struct kernels *const *level = pick_all(); *level; level++) {
        const struct kernels *k = *level;
        ck_assert(k->width == 4 || k->width == 8 || k->width == 16);
        ck_assert_int_eq(k->gemm->step % k->width, 0);
#define COMPLETE(FAMILY) ck_assert(is_complete(k->FAMILY, sizeof *k->FAMILY));
        KERNELS_FAMILIES(COMPLETE)
#undef COMPLETE
    }
}
END_TEST

enum { MOST_LEVELS = 8, N_FAMILIES = 7 };

/* A family of every level that runs here, by its number; what it lays out by. */
static const void **member(struct kernels *level, int family)
{
    const void *at[] = {
#define AT(FAMILY) &level->FAMILY,
        KERNELS_FAMILIES(AT)
#undef AT
    };
    _Static_assert(sizeof at / sizeof *at == N_FAMILIES, "");
    return (const void **)(uintptr_t)at[family];
}

static int width_of(const void *family)
{
    int width;
    memcpy(&width, family, sizeof width);
    return width;
}

static int running(struct kernels *levels)
{
    int n = 0;
    for (const struct kernels *const *level = pick_all(); *level; level++)
        if (pick_runs(*level) && n < MOST_LEVELS)
            levels[n++] = **level;
    return n;
}

/* One step of an LSTM by this level, against that of the level whose family it has. */
static void check_step(const struct kernels *level, const struct kernels *from)
{
    enum { HIDDEN = 5, LOOSE = 32 };
    float gates[4 * HIDDEN + LOOSE], h[2][HIDDEN + LOOSE] = {{0}}, c[2][HIDDEN + LOOSE] = {{0}};
    for (int i = 0; i < 4 * HIDDEN + LOOSE; i++)
        gates[i] = (float)(i % 7 - 3);
    level->recur->lstm_step(1, HIDDEN, gates, 4 * HIDDEN, h[0], c[0], NULL, 0, false);
    from->recur->lstm_step(1, HIDDEN, gates, 4 * HIDDEN, h[1], c[1], NULL, 0, false);
    ck_assert_mem_eq(h[0], h[1], HIDDEN * sizeof(float));
    ck_assert_mem_eq(c[0], c[1], HIDDEN * sizeof(float));
}

/* Of each family the levels whose tables are their own; what is borrowed is another's. */
static void find_owners(struct kernels *levels, int n, bool owns[MOST_LEVELS][N_FAMILIES])
{
    for (int a = 0; a < n; a++)
        for (int i = 0; i < N_FAMILIES; i++) {
            owns[a][i] = true;
            for (int b = 0; b < a; b++)
                owns[a][i] = owns[a][i] && *member(&levels[a], i) != *member(&levels[b], i);
        }
}

/* Sets that lay everything out by one width; what does so by none comes from anywhere. */
static int count_legal(struct kernels *levels, int n, bool owns[MOST_LEVELS][N_FAMILIES])
{
    int legal = 0;
    for (int width = 4; width <= 16; width *= 2) {
        int sets = 1;
        for (int i = 0; i < N_FAMILIES; i++) {
            int fit = 0;
            for (int a = 0; a < n; a++) {
                const int its = width_of(*member(&levels[a], i));
                fit += owns[a][i] && (its == 0 || its == width);
            }
            sets *= fit;
        }
        legal += sets;
    }
    return legal;
}

/* A set's number, a digit for each family, as levels; false where it takes what a level has borrowed. */
static bool set_of(int set, int n, bool owns[MOST_LEVELS][N_FAMILIES], int choice[N_FAMILIES])
{
    for (int i = 0; i < N_FAMILIES; i++, set /= n) {
        choice[i] = set % n;
        if (!owns[choice[i]][i])
            return false;
    }
    return true;
}

/* Every choice of a level for each family. Legal is what lays everything out by one width. */
START_TEST(sets_of_one_width_are_levels_and_no_others)
{
    struct kernels levels[MOST_LEVELS];
    bool owns[MOST_LEVELS][N_FAMILIES];
    const int n = running(levels);
    int sets = 1, legal = 0, choice[N_FAMILIES];
    find_owners(levels, n, owns);
    for (int i = 0; i < N_FAMILIES; i++)
        sets *= n;
    for (int set = 0; set < sets; set++) {
        struct kernels own = {.name = "set"};
        bool fit = true;
        int width = 0, from = 0;
        if (!set_of(set, n, owns, choice))
            continue;
        for (int i = 0; i < N_FAMILIES; i++) {
            const void *family = *member(&levels[choice[i]], i);
            const int its = width_of(family);
            *member(&own, i) = family;
            fit = fit && (width == 0 || its == 0 || its == width);
            width = its ? its : width;
            from = family == (const void *)levels[choice[i]].recur ? choice[i] : from;
        }
        struct kernels made = own;
        ck_assert_int_eq(pick_compose(&made, NULL), fit);
        if (!fit)
            continue;
        legal++;
        ck_assert_int_eq(made.width, width);
        for (int i = 0; i < N_FAMILIES; i++)
            ck_assert_ptr_eq(*member(&made, i), *member(&own, i));
        check_step(&made, &levels[from]);
    }
    ck_assert_int_eq(legal, count_legal(levels, n, owns));
}
END_TEST

START_TEST(a_feature_has_what_it_is_better_in_alone)
{
    const struct kernels *below = NULL, *level = NULL;
    for (const struct kernels *const *any = pick_all(); *any; any++) {
        below = strcmp((*any)->name, "v4") == 0 ? *any : below;
        level = strcmp((*any)->name, "v4+vnni") == 0 ? *any : level;
    }
    if (!level)
        return; /* another processor's */
    ck_assert_ptr_nonnull(below);
    ck_assert_ptr_ne(level->quantize, below->quantize);
    ck_assert_ptr_eq(level->gemm, below->gemm);
    ck_assert_ptr_eq(level->convolve, below->convolve);
    ck_assert_ptr_eq(level->map, below->map);
    ck_assert_ptr_eq(level->recur, below->recur);
    ck_assert_int_eq(level->width, below->width);
}
END_TEST

/* Of each pair of levels: any families of the one, the others from the one below. */
START_TEST(what_a_level_lacks_is_borrowed_where_it_fits)
{
    struct kernels levels[MOST_LEVELS];
    const int n = running(levels);
    for (int pair = 0; pair < n * n; pair++)
        for (int set = 0; set < 1 << N_FAMILIES; set++) {
            struct kernels *above = &levels[pair / n], *below = &levels[pair % n], made = {.name = "set"};
            bool mixed[2] = {false, false};
            for (int i = 0; i < N_FAMILIES; i++) {
                const bool has = set >> i & 1;
                *member(&made, i) = has ? *member(above, i) : NULL;
                if (width_of(*member(has ? above : below, i)))
                    mixed[has] = true;
            }
            struct kernels alone = made;
            ck_assert_int_eq(pick_compose(&alone, NULL), set == (1 << N_FAMILIES) - 1);
            ck_assert_int_eq(pick_compose(&made, below), above->width == below->width || !mixed[0] || !mixed[1]);
            for (int i = 0; i < N_FAMILIES && made.width; i++)
                ck_assert_ptr_eq(*member(&made, i), *member(set >> i & 1 ? above : below, i));
        }
}
END_TEST

START_TEST(a_feature_is_named_behind_its_level)
{
    const struct kernels *best = pick_best();
    struct kernels made = {.name = "+more", .quantize = best->quantize}, longer = {.name = "+and_even_more"};
    ck_assert(pick_compose(&made, best));
    ck_assert_str_eq(made.name + strlen(best->name), "+more");
    ck_assert(strncmp(made.name, best->name, strlen(best->name)) == 0);
    ck_assert(!pick_compose(&longer, &made));
    ck_assert(!pick_runs(&made)); /* not of the table */
}
END_TEST

Suite *kernel_pick_suite(void);

Suite *kernel_pick_suite(void)
{
    Suite *suite = suite_create("kernel/pick");
    TCase *tcase = tcase_create("pick");
    tcase_add_test(tcase, best_level_is_the_first_that_runs);
    tcase_add_test(tcase, base_runs_everywhere_and_stands_last);
    tcase_add_test(tcase, names_are_those_of_the_levels_that_run);
    tcase_add_test(tcase, the_second_cache_has_a_size);
    tcase_add_test(tcase, unknown_names_give_nothing);
    tcase_add_test(tcase, levels_are_complete);
    tcase_add_test(tcase, sets_of_one_width_are_levels_and_no_others);
    tcase_add_test(tcase, a_feature_has_what_it_is_better_in_alone);
    tcase_add_test(tcase, what_a_level_lacks_is_borrowed_where_it_fits);
    tcase_add_test(tcase, a_feature_is_named_behind_its_level);
    suite_add_tcase(suite, tcase);
    return suite;
}
