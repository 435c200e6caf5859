/* taps.c - what pixels along an axis count: sums, edges, and what lies behind the last weight. */
#include "serve/taps.h"

#include "base/err.h"
#include "looks.h"

#include <check.h>
#include <stdlib.h>

Suite *serve_taps_suite(void);

static struct arena arena;
static struct percept_err err;

static const struct {
    int from_size;
    double from, to;
    int size;
} axes[] = {{10, 0, 10, 4}, {10, 0, 10, 23}, {7, 1.5, 6.25, 3}, {1, 0, 1, 9}, {1000, 0, 1000, 1}, {1000, 400, 410, 30}};

START_TEST(weights_add_up_to_one)
{
    for (int filter = TAPS_BILINEAR; filter <= TAPS_AREA; filter++) {
        struct taps taps;
        if (filter == TAPS_NEAREST)
            continue;
        ck_assert(taps_make(&taps, axes[_i].from_size, axes[_i].from, axes[_i].to, axes[_i].size,
                            (enum taps_filter)filter, NULL, &arena, &err));
        ck_assert_int_eq(taps.size, axes[_i].size);
        ck_assert_int_eq(taps.room % TAPS_GROUP, 0);
        for (int i = 0; i < taps.size; i++) {
            int64_t sum = 0;
            ck_assert_int_ge(taps.first[i], 0);
            ck_assert_int_gt(taps.n[i], 0);
            ck_assert_int_le(taps.n[i], taps.room);
            ck_assert_int_le(taps.first[i] + taps.n[i], axes[_i].from_size);
            for (int k = 0; k < taps.room; k++) {
                sum += taps.weights[i * taps.room + k];
                ck_assert(k < taps.n[i] || taps.weights[i * taps.room + k] == 0);
            }
            ck_assert_int_le(llabs(sum - (1 << TAPS_BITS)), taps.n[i]);
        }
    }
    arena_free(&arena);
}
END_TEST

START_TEST(a_pixel_that_is_covered_in_part_counts_so)
{
    struct taps taps;
    ck_assert(taps_make(&taps, 3, 0, 3, 2, TAPS_AREA, NULL, &arena, &err));
    ck_assert_int_eq(taps.n[0], 2);
    ck_assert_int_eq(taps.first[1], 1);
    ck_assert_int_eq(taps.weights[0], (2 << TAPS_BITS) / 3 + 1); /* 1 of 1.5, rounded */
    ck_assert_int_eq(taps.weights[1], (1 << TAPS_BITS) / 3);
    arena_free(&arena);
}
END_TEST

START_TEST(beyond_an_edge_is_the_edge)
{
    struct taps_near *near = taps_near(4, 0, 4, 8, TAPS_LINEAR, &arena, &err);
    ck_assert_ptr_nonnull(near);
    ck_assert(near[0].at[0] == 0 && near[0].at[1] == 0);
    ck_assert(near[1].at[0] == 0 && near[1].at[1] == 1 && near[1].weight[0] == 1536 && near[1].weight[1] == 512);
    ck_assert(near[7].at[0] == 3 && near[7].at[1] == 3);
    near = taps_near(4, 0, 4, 8, TAPS_CUBIC, &arena, &err);
    ck_assert(near[0].at[0] == 0 && near[0].at[2] == 0 && near[0].at[3] == 1);
    ck_assert(near[4].at[0] == 0 && near[4].at[3] == 3 && near[7].at[3] == 3);
    ck_assert_int_lt(near[4].weight[0], 0);
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(near[i].weight[0] + near[i].weight[1] + near[i].weight[2] + near[i].weight[3], 2048);
    near = taps_near(2, 0, 2, 4, TAPS_GROW, &arena, &err);
    ck_assert(near[1].at[0] == 0 && near[1].weight[1] == 0 && near[2].at[0] == 1);
    arena_free(&arena);
}
END_TEST

START_TEST(short_memory_and_a_deadline_are_told)
{
    struct taps taps;
    for (size_t i = 1; i < 5; i++) {
        struct arena small = {.limit_bytes = 500 * i};
        ck_assert(!taps_make(&taps, 1000, 0, 1000, 100, TAPS_LANCZOS, NULL, &small, &err));
        ck_assert_str_eq(err_name(err.code), "MEMORY");
        arena_free(&small);
    }
    struct arena none = {.limit_bytes = 1};
    ck_assert_ptr_null(taps_near(1000, 0, 1000, 1000, TAPS_LINEAR, &none, &err));
    arena_free(&none);
    struct watch watch = looks_until(0);
    ck_assert(!taps_make(&taps, 1000000, 0, 1000000, 1000, TAPS_BILINEAR, &watch, &arena, &err));
    ck_assert_str_eq(err_name(err.code), "TIMEOUT");
    arena_free(&arena);
}
END_TEST

Suite *serve_taps_suite(void)
{
    Suite *suite = suite_create("serve_taps");
    TCase *tests = tcase_create("taps");
    tcase_add_loop_test(tests, weights_add_up_to_one, 0, (int)(sizeof axes / sizeof *axes));
    tcase_add_test(tests, a_pixel_that_is_covered_in_part_counts_so);
    tcase_add_test(tests, beyond_an_edge_is_the_edge);
    tcase_add_test(tests, short_memory_and_a_deadline_are_told);
    suite_add_tcase(suite, tests);
    return suite;
}
