/* ios.c - copies outlive what they were made of, and differences that matter are seen. */
#include "serve/ios.h"

#include <check.h>
#include <string.h>

Suite *serve_ios_suite(void);

static const char *const words[] = {"a", "b"};

static struct percept_io io(void)
{
    return (struct percept_io){.name = "x",
                               .dtype = PERCEPT_FLOAT,
                               .rank = 2,
                               .dims = {-1, 4},
                               .dim_names = {"N"},
                               .batch_axis = 0,
                               .n_labels = 2,
                               .labels = words};
}

START_TEST(a_copy_has_texts_of_its_own)
{
    struct arena arena = {0};
    char name[] = "x", dim[] = "N", label[] = "a";
    const char *const own[] = {label, "b"};
    struct percept_io from = io();
    from.name = name;
    from.dim_names[0] = dim;
    from.labels = own;
    const struct percept_io *copy = ios_keep(&from, 1, &arena);
    ck_assert_ptr_nonnull(copy);
    name[0] = dim[0] = label[0] = '?';
    ck_assert_str_eq(copy->name, "x");
    ck_assert_str_eq(copy->dim_names[0], "N");
    ck_assert_ptr_null(copy->dim_names[1]);
    ck_assert_str_eq(copy->labels[0], "a");
    ck_assert_str_eq(copy->labels[1], "b");
    ck_assert_ptr_nonnull(ios_keep(NULL, 0, &arena));
    arena_free(&arena);
}
END_TEST

START_TEST(a_copy_is_whole_or_none)
{
    int n_made = 0;
    for (size_t nth = 1; nth <= 8; nth++) {
        struct arena arena = {0};
        struct percept_io from = io();
        arena_fail_at(nth, false);
        const struct percept_io *copy = ios_keep(&from, 1, &arena);
        arena_fail_at(0, false);
        n_made += copy != NULL;
        ck_assert(!copy || ios_equal(copy, 1, &from, 1));
        arena_free(&arena);
    }
    ck_assert_int_gt(n_made, 0);
    ck_assert_int_lt(n_made, 8);
}
END_TEST

START_TEST(what_clients_could_notice_is_a_difference)
{
    static const char *const others[] = {"a", "c"};
    struct percept_io a = io(), rows[] = {io(), io(), io(), io(), io(), io(), io(), io()};
    rows[1].name = "y";
    rows[2].dtype = PERCEPT_INT8;
    rows[3].rank = 1;
    rows[4].dims[1] = 5;
    rows[5].batch_axis = -1;
    rows[6].n_labels = 1;
    rows[7].labels = others;
    ck_assert_int_eq(ios_equal(&a, 1, &rows[_i], 1), _i == 0);
    rows[0].dim_names[0] = "M";
    ck_assert(ios_equal(&a, 1, &rows[0], 1));
    ck_assert(!ios_equal(&a, 1, &a, 0));
}
END_TEST

Suite *serve_ios_suite(void)
{
    Suite *suite = suite_create("serve/ios");
    TCase *tests = tcase_create("ios");
    tcase_add_test(tests, a_copy_has_texts_of_its_own);
    tcase_add_test(tests, a_copy_is_whole_or_none);
    tcase_add_loop_test(tests, what_clients_could_notice_is_a_difference, 0, 8);
    suite_add_tcase(suite, tests);
    return suite;
}
