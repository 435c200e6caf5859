/* omissions.c - what is left out is kept in order, with copies of its texts, and not without end. */
#include "serve/omissions.h"

#include "base/err.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

Suite *serve_omissions_suite(void);

START_TEST(texts_are_copied_and_the_order_is_kept)
{
    struct omissions omissions = {0};
    char name[] = "a.pt", path[] = "/m/a.pt", why[] = "it is no model";
    ck_assert(omissions_add(&omissions, name, path, why, NULL));
    memset(name, 'x', 4);
    memset(path, 'x', 4);
    memset(why, 'x', 4);
    ck_assert(omissions_add(&omissions, "b", "/m/b", "nor this", NULL));
    ck_assert_int_eq(omissions.n, 2);
    ck_assert_str_eq(omissions.first->name, "a.pt");
    ck_assert_str_eq(omissions.first->path, "/m/a.pt");
    ck_assert_str_eq(omissions.first->why, "it is no model");
    ck_assert_str_eq(omissions.first->next->name, "b");
    ck_assert_ptr_null(omissions.first->next->next);
    omissions_free(&omissions);
    ck_assert_int_eq(omissions.n, 0);
}
END_TEST

START_TEST(beyond_a_hundred_they_are_counted)
{
    struct omissions omissions = {0};
    for (int i = 0; i < 100; i++)
        ck_assert(omissions_add(&omissions, "a", "/a", "no", NULL));
    ck_assert_str_eq(omissions.last->name, "a");
    ck_assert(omissions_add(&omissions, "a", "/a", "no", NULL));
    ck_assert_str_eq(omissions.last->why, "1 more is left out; the log names it");
    ck_assert(omissions_add(&omissions, "a", "/a", "no", NULL));
    ck_assert_str_eq(omissions.last->why, "2 more are left out; the log names them");
    ck_assert_ptr_null(omissions.last->next);
    ck_assert_int_eq(omissions.n, 102);
    omissions_free(&omissions);
}
END_TEST

START_TEST(a_text_that_was_lost_is_memory_that_is_short)
{
    struct omissions omissions = {0};
    struct percept_err err = {0};
    ck_assert(!omissions_add(&omissions, "a", "/a", NULL, &err));
    ck_assert_int_eq(err.code, ERR_MEMORY);
    ck_assert(!omissions_add(&omissions, NULL, "/a", "no", &err));
    ck_assert_int_eq(omissions.n, 0);
    arena_fail_at(1, true);
    bool added = omissions_add(&omissions, "a", "/a", arena_printf(&omissions.arena, "%s", "no"), &err);
    arena_fail_at(0, false);
    ck_assert_int_eq(added, omissions.n);
    omissions_free(&omissions);
}
END_TEST

START_TEST(a_new_list_takes_the_place_of_the_old_one)
{
    struct omissions omissions = {0};
    struct omitted rows[120];
    for (int i = 0; i < 120; i++)
        rows[i] = (struct omitted){.next = i < 119 ? &rows[i + 1] : NULL, .name = "a", .path = "/a", .why = "no"};
    ck_assert(omissions_add(&omissions, "old", "/old", "no", NULL));
    ck_assert(omissions_replace(&omissions, &rows[119], NULL));
    ck_assert_int_eq(omissions.n, 1);
    ck_assert_str_eq(omissions.first->name, "a");
    ck_assert(omissions_replace(&omissions, rows, NULL));
    ck_assert_int_eq(omissions.n, 120);
    ck_assert_str_eq(omissions.last->why, "20 more are left out; the log names them");
    arena_fail_at(1, false);
    ck_assert(!omissions_replace(&omissions, rows, NULL));
    arena_fail_at(0, false);
    ck_assert_int_eq(omissions.n, 120);
    ck_assert(omissions_replace(&omissions, NULL, NULL));
    ck_assert_ptr_null(omissions.first);
    omissions_free(&omissions);
}
END_TEST

Suite *serve_omissions_suite(void)
{
    Suite *suite = suite_create("serve/omissions");
    TCase *tests = tcase_create("omissions");
    tcase_add_test(tests, texts_are_copied_and_the_order_is_kept);
    tcase_add_test(tests, beyond_a_hundred_they_are_counted);
    tcase_add_test(tests, a_new_list_takes_the_place_of_the_old_one);
    tcase_add_test(tests, a_text_that_was_lost_is_memory_that_is_short);
    suite_add_tcase(suite, tests);
    return suite;
}
