/* needs.c - who waits for whom, who cannot go, and circles. Entries are made by hand. */
#include "serve/needs.h"

#include "base/err.h"

#include <check.h>
#include <string.h>

Suite *serve_needs_suite(void);

static struct entry entries[6];
static int n_entries;
static struct percept_err err;

static void begin(void)
{
    memset(entries, 0, sizeof entries);
    n_entries = 0;
    err = (struct percept_err){0};
}

static void end(void)
{
    for (int i = 0; i < n_entries; i++)
        arena_free(&entries[i].served.arena);
}

static struct entry *entry(const char *name, int64_t version, enum served_state state)
{
    struct entry *made = &entries[n_entries];
    made->served = (struct served){.name = name, .version = version, .state = state};
    if (n_entries++) {
        made[-1].next = made;
        made[-1].served.next = &made->served;
    }
    return made;
}

static void need(struct entry *from, const char *name, int64_t version)
{
    ck_assert_msg(needs_add(from, name, version, entries, &err), "%s", err.text);
}

static enum needs_state look(const struct entry *from)
{
    return needs_look(from, &entries[0].served, &err);
}

static const struct entry *holder(const struct entry *of)
{
    return needs_holder(entries, &entries[0].served, &of->served);
}

START_TEST(a_need_is_met_by_a_version_that_is_ready)
{
    static const struct {
        enum served_state one, two; /* of versions 1 and 2 of what is needed */
        int64_t version;
        enum needs_state state;
        const char *why;
    } rows[] = {
        {SERVED_READY, SERVED_FAILED, 0, NEEDS_MET, ""},
        {SERVED_FAILED, SERVED_READY, 0, NEEDS_MET, ""},
        {SERVED_LOADING, SERVED_READY, 0, NEEDS_MET, ""},
        {SERVED_LOADING, SERVED_FAILED, 0, NEEDS_WAITING, ""},
        {SERVED_FAILED, SERVED_FAILED, 0, NEEDS_FAILED, "it needs model 'b', which failed to load: why"},
        {SERVED_UNLOADING, SERVED_UNLOADING, 0, NEEDS_FAILED, "it needs model 'b', which is not served"},
        {SERVED_READY, SERVED_LOADING, 2, NEEDS_WAITING, ""},
        {SERVED_READY, SERVED_READY, 3, NEEDS_FAILED, "it needs model 'b' version 3, which is not served"},
        {SERVED_READY, SERVED_FAILED, 2, NEEDS_FAILED, "it needs model 'b', which failed to load: why"},
    };
    struct entry *a = entry("a", 1, SERVED_LOADING);
    strcpy(entry("b", 1, rows[_i].one)->served.reason, "why");
    strcpy(entry("b", 2, rows[_i].two)->served.reason, "why");
    ck_assert_int_eq(look(a), NEEDS_MET);
    need(a, "b", rows[_i].version);
    ck_assert_int_eq(look(a), rows[_i].state);
    ck_assert_str_eq(err.text, rows[_i].why);
}
END_TEST

START_TEST(of_several_needs_the_worst_counts)
{
    struct entry *a = entry("a", 1, SERVED_LOADING), *b = entry("b", 1, SERVED_READY),
                 *c = entry("c", 1, SERVED_LOADING);
    need(a, "b", 0);
    need(a, "c", 0);
    ck_assert_int_eq(look(a), NEEDS_WAITING);
    c->served.state = SERVED_READY;
    ck_assert_int_eq(look(a), NEEDS_MET);
    b->served.state = SERVED_FAILED;
    ck_assert_int_eq(look(a), NEEDS_FAILED);
    b->successor = c; /* somebody loads it again */
    ck_assert_int_eq(look(a), NEEDS_WAITING);
}
END_TEST

START_TEST(circles_are_refused)
{
    struct entry *a = entry("a", 1, SERVED_READY), *b = entry("b", 1, SERVED_READY), *c = entry("c", 1, SERVED_READY),
                 *d = entry("d", 1, SERVED_READY);
    need(a, "b", 0);
    need(b, "c", 0);
    need(a, "c", 0);
    need(d, "a", 0);
    need(d, "c", 2);
    ck_assert(!needs_add(c, "a", 0, entries, &err));
    ck_assert_str_eq(err.text, "model 'c' cannot need 'a', which needs 'c': a circle");
    ck_assert_int_eq(err.code, ERR_INVALID);
    ck_assert(!needs_add(a, "a", 7, entries, &err));
    ck_assert_str_eq(err.text, "model 'a' cannot need itself");
    ck_assert(!needs_add(b, "d", 0, entries, &err));
    need(c, "e", 0); /* nobody is called that yet */
    ck_assert(!needs_add(entry("e", 1, SERVED_LOADING), "d", 0, entries, &err));
}
END_TEST

START_TEST(what_is_needed_has_a_holder)
{
    struct entry *a = entry("a", 1, SERVED_READY), *one = entry("b", 1, SERVED_READY),
                 *two = entry("b", 2, SERVED_LOADING), *c = entry("c", 1, SERVED_READY);
    need(a, "b", 0);
    ck_assert_ptr_eq(holder(one), a); /* the other does not serve yet */
    ck_assert_ptr_null(holder(two));
    ck_assert_ptr_null(holder(c));
    ck_assert_ptr_null(holder(a));
    two->served.state = SERVED_READY;
    ck_assert_ptr_null(holder(one));
    need(a, "b", 2);
    ck_assert_ptr_eq(holder(two), a);
    a->served.state = SERVED_UNLOADING;
    a->served.n_holders = 1; /* its requests may still ask */
    ck_assert_ptr_eq(holder(two), a);
    a->served.n_holders = 0;
    ck_assert_ptr_null(holder(two));
    a->served.state = SERVED_FAILED;
    ck_assert_ptr_null(holder(two));
}
END_TEST

START_TEST(without_memory_nothing_is_needed)
{
    struct entry *a = entry("a", 1, SERVED_LOADING);
    arena_fail_at(1, true);
    ck_assert(!needs_add(a, "b", 0, entries, &err));
    arena_fail_at(0, false);
    ck_assert_int_eq(err.code, ERR_MEMORY);
    ck_assert_int_eq(look(a), NEEDS_MET);
}
END_TEST

Suite *serve_needs_suite(void)
{
    Suite *suite = suite_create("serve/needs");
    TCase *tests = tcase_create("needs");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_loop_test(tests, a_need_is_met_by_a_version_that_is_ready, 0, 9);
    tcase_add_test(tests, of_several_needs_the_worst_counts);
    tcase_add_test(tests, circles_are_refused);
    tcase_add_test(tests, what_is_needed_has_a_holder);
    tcase_add_test(tests, without_memory_nothing_is_needed);
    suite_add_tcase(suite, tests);
    return suite;
}
