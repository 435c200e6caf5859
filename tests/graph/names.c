/* names.c - what was added is found, through growth and among many. */
#include "graph/names.h"

#include <check.h>
#include <stdio.h>

#define MANY 5000

struct thing {
    struct bytes name;
    char text[24];
};

static struct thing things[MANY];

static void fill(struct names *names, struct arena *arena)
{
    for (int i = 0; i < MANY; i++) {
        snprintf(things[i].text, sizeof things[i].text, "name_%d", i * 7);
        things[i].name = bytes_of_text(things[i].text);
        ck_assert(names_add(names, arena, things[i].name, i));
    }
}

START_TEST(all_names_are_found_after_growing)
{
    struct arena arena = {0};
    struct names names = {0};
    fill(&names, &arena);
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(names_find(&names, things, sizeof *things, things[i].name), i);
    ck_assert_int_eq(names_find(&names, things, sizeof *things, bytes_of_text("name_1")), -1);
    arena_free(&arena);
}
END_TEST

START_TEST(an_empty_table_finds_nothing)
{
    struct names names = {0};
    ck_assert_int_eq(names_find(&names, things, sizeof *things, bytes_of_text("x")), -1);
}
END_TEST

START_TEST(names_that_differ_in_length_alone_are_different)
{
    struct arena arena = {0};
    struct names names = {0};
    struct thing few[2] = {{.name = bytes_of("a\0\0", 1)}, {.name = bytes_of("a\0\0", 3)}};
    ck_assert(names_add(&names, &arena, few[0].name, 0));
    ck_assert(names_add(&names, &arena, few[1].name, 1));
    ck_assert_int_eq(names_find(&names, few, sizeof *few, bytes_of("a\0\0", 1)), 0);
    ck_assert_int_eq(names_find(&names, few, sizeof *few, bytes_of("a\0\0", 3)), 1);
    ck_assert_int_eq(names_find(&names, few, sizeof *few, bytes_of("a\0\0", 2)), -1);
    arena_free(&arena);
}
END_TEST

START_TEST(claim_gives_the_index_that_is_there)
{
    struct arena arena = {0};
    struct names names = {0};
    struct thing few[2] = {{.name = bytes_of_text("a")}, {.name = bytes_of_text("a")}};
    ck_assert_int_eq(names_claim(&names, &arena, few, sizeof *few, few[0].name, 0), 0);
    ck_assert_int_eq(names_claim(&names, &arena, few, sizeof *few, few[1].name, 1), 0);
    arena_free(&arena);
}
END_TEST

START_TEST(without_memory_the_table_stays_as_it_was)
{
    struct arena arena = {0}, none = {.limit_bytes = 1};
    struct names names = {0};
    struct thing one = {.name = bytes_of_text("a")};
    ck_assert(!names_add(&names, &none, one.name, 0));
    ck_assert_int_eq(names_find(&names, &one, sizeof one, one.name), -1);
    ck_assert(names_add(&names, &arena, one.name, 0));
    ck_assert(!names_reserve(&names, &none, 1000));
    ck_assert_int_eq(names_find(&names, &one, sizeof one, one.name), 0);
    arena_free(&arena);
    arena_free(&none);
}
END_TEST

Suite *graph_names_suite(void)
{
    Suite *suite = suite_create("graph_names");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, all_names_are_found_after_growing);
    tcase_add_test(tests, an_empty_table_finds_nothing);
    tcase_add_test(tests, names_that_differ_in_length_alone_are_different);
    tcase_add_test(tests, claim_gives_the_index_that_is_there);
    tcase_add_test(tests, without_memory_the_table_stays_as_it_was);
    suite_add_tcase(suite, tests);
    return suite;
}
