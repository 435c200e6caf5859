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
    ck_assert_int_eq(names_claim(&names, &none, &one, sizeof one, one.name, 0), -1);
    ck_assert_uint_eq(names.n, 0);
    ck_assert_int_eq(names_find(&names, &one, sizeof one, one.name), -1);
    ck_assert(names_add(&names, &arena, one.name, 0));
    ck_assert(!names_reserve(&names, &none, 1000));
    ck_assert_int_eq(names_find(&names, &one, sizeof one, one.name), 0);
    arena_free(&arena);
    arena_free(&none);
}
END_TEST

/* names.c keeps 8 bytes a slot: the hash, and the index + 1 (0: free). */
static const uint32_t *slot_at(const struct names *names, size_t i)
{
    return (const uint32_t *)(const void *)names->slots + 2 * i;
}

/* How far the names of the table lie from where their hashes want them, together. */
static size_t strayed(const struct names *names)
{
    size_t sum = 0;
    for (size_t i = 0; i < names->n_slots; i++)
        if (slot_at(names, i)[1])
            sum += (i - slot_at(names, i)[0]) & (names->n_slots - 1);
    return sum;
}

/* At most half full and with a hash that spreads a name lies half a slot from its place; names that resemble each
 * other, of every length, must not do worse. Three allows for chance: the seed is another at every run. */
START_TEST(names_that_resemble_each_other_are_spread)
{
    static const char *const forms[] = {
        "%d", "%04d", "/l/%d", "%dweight", "/model/layers.%d/attention/weight", "/model/layers/attention/weights/%d"};
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        struct arena arena = {0};
        struct names names = {0};
        char text[64];
        for (int i = 0; i < MANY; i++) {
            snprintf(text, sizeof text, forms[f], i);
            ck_assert(names_add(&names, &arena, bytes_of_text(text), i));
        }
        ck_assert_uint_eq(names.n, MANY);
        ck_assert_msg(strayed(&names) < 3 * MANY, "%zu slots for names like %s", strayed(&names), forms[f]);
        arena_free(&arena);
    }
}
END_TEST

/* With few slots many hashes share their low bits, and the last slots' names go on at the front. */
START_TEST(tables_of_every_size_find_all_and_nothing_else)
{
    for (int n = 1; n < 200; n++) {
        struct arena arena = {0};
        struct names names = {0};
        char text[24];
        for (int i = 0; i < n; i++) {
            snprintf(things[i].text, sizeof things[i].text, "%d", i);
            things[i].name = bytes_of_text(things[i].text);
            ck_assert_int_eq(names_claim(&names, &arena, things, sizeof *things, things[i].name, i), i);
        }
        ck_assert_uint_eq(names.n, (size_t)n);
        for (int i = 0; i < n; i++) {
            ck_assert_int_eq(names_find(&names, things, sizeof *things, things[i].name), i);
            ck_assert_int_eq(names_claim(&names, &arena, things, sizeof *things, things[i].name, 7777), i);
        }
        ck_assert_uint_eq(names.n, (size_t)n);
        for (int i = n; i < n + 50; i++) {
            snprintf(text, sizeof text, "%d", i);
            ck_assert_int_eq(names_find(&names, things, sizeof *things, bytes_of_text(text)), -1);
        }
        arena_free(&arena);
    }
}
END_TEST

START_TEST(a_table_is_at_most_half_full_and_grows_once_when_told)
{
    struct arena arena = {0};
    struct names names = {0};
    ck_assert(names_reserve(&names, &arena, 8));
    ck_assert_uint_eq(names.n_slots, 16);
    ck_assert(names_reserve(&names, &arena, 9));
    ck_assert_uint_eq(names.n_slots, 32);
    ck_assert(names_reserve(&names, &arena, 0));
    ck_assert_uint_eq(names.n_slots, 32);
    for (int i = 0; i < 40; i++) {
        snprintf(things[i].text, sizeof things[i].text, "%d", i);
        ck_assert(names_add(&names, &arena, bytes_of_text(things[i].text), i));
        ck_assert_uint_eq(names.n_slots, i < 16 ? 32 : i < 32 ? 64 : 128);
    }
    const struct names_slot *slots = names.slots;
    ck_assert(names_reserve(&names, &arena, 24)); /* 64 in 128 */
    ck_assert_ptr_eq(names.slots, slots);
    ck_assert(!names_reserve(&names, &arena, (size_t)INT32_MAX - 39));
    ck_assert(!names_reserve(&names, &arena, SIZE_MAX));
    ck_assert_uint_eq(names.n_slots, 128);
    arena_free(&arena);
}
END_TEST

START_TEST(of_equal_names_the_first_is_found)
{
    struct arena arena = {0};
    struct names names = {0};
    struct thing few[3] = {{.name = bytes_of_text("a")}, {.name = bytes_of_text("b")}, {.name = bytes_of_text("a")}};
    for (int i = 0; i < 3; i++)
        ck_assert(names_add(&names, &arena, few[i].name, i));
    ck_assert_int_eq(names_find(&names, few, sizeof *few, bytes_of_text("a")), 0);
    ck_assert(names_reserve(&names, &arena, 100));
    ck_assert_int_eq(names_find(&names, few, sizeof *few, bytes_of_text("b")), 1);
    arena_free(&arena);
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
    tcase_add_test(tests, names_that_resemble_each_other_are_spread);
    tcase_add_test(tests, tables_of_every_size_find_all_and_nothing_else);
    tcase_add_test(tests, a_table_is_at_most_half_full_and_grows_once_when_told);
    tcase_add_test(tests, of_equal_names_the_first_is_found);
    suite_add_tcase(suite, tests);
    return suite;
}
