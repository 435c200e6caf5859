/* outline.c - lines around what a map shows. */
#include "serve/outline.h"

#include <check.h>
#include <string.h>

Suite *serve_outline_suite(void);

static struct arena arena;

static void end(void)
{
    arena_free(&arena);
}

/* Maps of 3 x 3 at (10, 20), and their lines by hand. */
static const struct {
    uint8_t map[9];
    int first;
    int lines[60];
} outlines[] = {
    {{0}, 1, {-1}},
    {{0}, 0, {0, 4, 13, 20, 13, 23, 10, 23, 10, 20, -1}},
    /* ##.   one line with six corners */
    /* #..                             */
    {{5, 5, 0, 5}, 1, {5, 6, 12, 20, 12, 21, 11, 21, 11, 22, 10, 22, 10, 20, -1}},
    /* #..   apart, though they touch */
    /* .#.                            */
    {{1, 0, 0, 0, 1}, 1, {1, 4, 11, 20, 11, 21, 10, 21, 10, 20, 1, 4, 12, 21, 12, 22, 11, 22, 11, 21, -1}},
    /* ###   a ring: the hole is the other way round */
    /* #.#                                           */
    /* ###                                           */
    {{1, 1, 1, 1, 0, 1, 1, 1, 1}, 1, {1, 4, 13, 20, 13, 23, 10, 23, 10, 20, 1, 4, 12, 22, 12, 21, 11, 21, 11, 22, -1}},
    /* 12.   neighbours of other values, of which those below `first` are left out */
    {{1, 2}, 2, {2, 4, 12, 20, 12, 21, 11, 21, 11, 20, -1}},
};

START_TEST(lines_run_clockwise_around_what_is_inside)
{
    uint8_t been[9];
    struct outline_numbers numbers = {.arena = &arena};
    const struct outline_map map = {outlines[_i].map, 3, 3, 10, 20};
    memset(been, 1, sizeof been);
    ck_assert(outline_trace(&map, outlines[_i].first, been, &numbers, NULL) && !numbers.failed);
    size_t n = 0;
    for (; outlines[_i].lines[n] >= 0; n++)
        if (n < numbers.n)
            ck_assert_uint_eq(numbers.at[n], (unsigned)outlines[_i].lines[n]);
    ck_assert_uint_eq(numbers.n, n);
    size_t at = 0;
    while (at < numbers.n)
        at = outline_next(numbers.at, at);
    ck_assert_uint_eq(at, numbers.n);
}
END_TEST

START_TEST(short_memory_and_a_watch_that_is_over_end_it)
{
    static const int raised = 1;
    uint8_t been[9];
    struct watch watch = {.cancel = &raised};
    struct outline_numbers numbers = {.arena = &arena};
    const struct outline_map map = {outlines[4].map, 3, 3, 0, 0};
    ck_assert(!outline_trace(&map, 1, been, &numbers, &watch));
    arena.limit_bytes = 1;
    ck_assert(outline_trace(&map, 1, been, &numbers, NULL) && numbers.failed);
    arena.limit_bytes = 0;
}
END_TEST

Suite *serve_outline_suite(void)
{
    Suite *suite = suite_create("serve_outline");
    TCase *tests = tcase_create("outline");
    tcase_add_checked_fixture(tests, NULL, end);
    tcase_add_loop_test(tests, lines_run_clockwise_around_what_is_inside, 0, sizeof outlines / sizeof *outlines);
    tcase_add_test(tests, short_memory_and_a_watch_that_is_over_end_it);
    suite_add_tcase(suite, tests);
    return suite;
}
