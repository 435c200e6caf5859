/* labels.c - a label names one version of one model, and may be moved and taken away. */
#include "serve/labels.h"

#include "base/err.h"

#include <check.h>
#include <string.h>

Suite *serve_labels_suite(void);

static struct labels labels;
static struct percept_err err;

static void begin(void)
{
    labels = (struct labels){0};
    err = (struct percept_err){0};
}

static void end(void)
{
    labels_free(&labels);
}

START_TEST(a_label_is_of_one_model_and_moves)
{
    char model[] = "a", name[] = "stable";
    ck_assert(labels_set(&labels, model, name, 3, &err));
    ck_assert(labels_set(&labels, "b", "stable", 7, &err));
    ck_assert(labels_set(&labels, "a", "next", 4, &err));
    model[0] = name[0] = 'x'; /* copies are kept */
    ck_assert_int_eq(labels_find(&labels, "a", "stable"), 3);
    ck_assert_int_eq(labels_find(&labels, "b", "stable"), 7);
    ck_assert_int_eq(labels_find(&labels, "b", "next"), 0);
    ck_assert(labels_set(&labels, "a", "stable", 4, &err));
    ck_assert_int_eq(labels_find(&labels, "a", "stable"), 4);
    ck_assert_int_eq(labels_find(&labels, "a", "next"), 4);
}
END_TEST

START_TEST(a_label_that_was_taken_away_may_come_again)
{
    ck_assert(labels_set(&labels, "a", "stable", 0, &err)); /* there was none */
    ck_assert(labels_set(&labels, "a", "stable", 1, &err));
    ck_assert(labels_set(&labels, "a", "stable", 0, &err));
    ck_assert_int_eq(labels_find(&labels, "a", "stable"), 0);
    size_t used = labels.arena.used_bytes;
    ck_assert(labels_set(&labels, "a", "stable", 2, &err));
    ck_assert_int_eq(labels_find(&labels, "a", "stable"), 2);
    ck_assert_uint_eq(labels.arena.used_bytes, used); /* in the same place */
}
END_TEST

START_TEST(what_is_no_name_is_refused)
{
    static const char *const wrong[] = {"", "3", "3a", "a b", ".a", "a/b", "caf\xc3\xa9"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert_msg(!labels_set(&labels, "a", wrong[i], 1, &err), "'%s'", wrong[i]);
        ck_assert_int_eq(err.code, ERR_INVALID);
        ck_assert_int_eq(labels_find(&labels, "a", wrong[i]), 0);
    }
}
END_TEST

START_TEST(without_memory_nothing_is_changed)
{
    arena_fail_at(1, true);
    ck_assert(!labels_set(&labels, "a", "stable", 1, &err));
    arena_fail_at(0, false);
    ck_assert_int_eq(err.code, ERR_MEMORY);
    ck_assert_int_eq(labels_find(&labels, "a", "stable"), 0);
}
END_TEST

Suite *serve_labels_suite(void)
{
    Suite *suite = suite_create("serve/labels");
    TCase *tests = tcase_create("labels");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, a_label_is_of_one_model_and_moves);
    tcase_add_test(tests, a_label_that_was_taken_away_may_come_again);
    tcase_add_test(tests, what_is_no_name_is_refused);
    tcase_add_test(tests, without_memory_nothing_is_changed);
    suite_add_tcase(suite, tests);
    return suite;
}
