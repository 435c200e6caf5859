/* depends.c - which instances a served model runs, and for how long they stay. Served models are made by hand. */
#include "serve/depends.h"

#include "base/err.h"

#include <check.h>

Suite *serve_depends_suite(void);

static struct percept_io ios[2];
static struct manifest manifest;
static struct served listed[3], whole;
static struct depends parts;
static struct percept_err err;
static int n_fits;
static bool fits;

static bool fit(struct served *served, struct percept_err *why)
{
    ck_assert_ptr_eq(served, &whole);
    n_fits++;
    return fits || err_set(why, ERR_CONFIG, "it does not fit");
}

static void list(int i, const char *name, int64_t version, enum served_state state, int io)
{
    listed[i] = (struct served){.next = i < 2 ? &listed[i + 1] : NULL,
                                .name = name,
                                .version = version,
                                .state = state,
                                .manifest = &manifest,
                                .own_inputs = &ios[io],
                                .own_outputs = &ios[io],
                                .n_own_inputs = 1,
                                .n_own_outputs = 1};
}

static void setup(void)
{
    ios[0] = (struct percept_io){.name = "x", .dtype = PERCEPT_FLOAT, .rank = 1, .dims = {3}};
    ios[1] = (struct percept_io){.name = "x", .dtype = PERCEPT_FLOAT, .rank = 1, .dims = {4}};
    parts = (struct depends){.fit = fit};
    whole = (struct served){.name = "whole", .depends = &parts};
    err = (struct percept_err){0};
    fits = true;
    n_fits = 0;
    list(0, "a", 1, SERVED_READY, 0);
    list(1, "a", 2, SERVED_READY, 0);
    list(2, "b", 1, SERVED_READY, 0);
}

static void teardown(void)
{
    arena_free(&whole.arena);
}

static void add(const char *name, int64_t version, int expected)
{
    ck_assert_int_eq(depends_add(&parts, name, version, &whole.arena, &err), expected);
}

static void bind(bool good, const char *why)
{
    ck_assert_msg(depends_bind(&whole, listed, &err) == good, "%s", err.text);
    if (!good)
        ck_assert_str_eq(err.text, why);
}

START_TEST(a_part_is_one_name_and_version)
{
    add("a", 0, 0);
    add("b", 1, 1);
    add("a", 0, 0);
    add("a", 1, 2);
    while (parts.n < DEPENDS_MAX)
        depends_add(&parts, "c", parts.n + 1, &whole.arena, &err);
    add("d", 0, -1);
    ck_assert_str_eq(err.text, "there are more than 64 models in it");
}
END_TEST

START_TEST(the_highest_version_that_is_ready_is_run)
{
    add("a", 0, 0);
    add("a", 1, 1);
    bind(true, NULL);
    ck_assert_ptr_eq(parts.at[0].served, &listed[1]);
    ck_assert_ptr_eq(parts.at[1].served, &listed[0]);
    listed[1].state = SERVED_FAILED;
    bind(true, NULL);
    ck_assert_ptr_eq(parts.at[0].served, &listed[0]);
    ck_assert_int_eq(n_fits, 1);
    listed[0].state = SERVED_UNLOADING;
    bind(false, "it needs model 'a', which is not served");
    ck_assert_ptr_null(parts.at[0].served);
    ck_assert_ptr_null(parts.at[1].served);
}
END_TEST

START_TEST(what_takes_something_else_does_not_take_its_place)
{
    add("b", 0, 0);
    bind(true, NULL);
    listed[2].own_outputs = &ios[1];
    bind(false, "model 'b' takes or gives something else than before");
    listed[2].own_outputs = &ios[0];
    bind(true, NULL);
}
END_TEST

START_TEST(what_does_not_fit_is_bound_to_nobody)
{
    add("a", 0, 0);
    fits = false;
    bind(false, "it does not fit");
    ck_assert_ptr_null(parts.at[0].served);
    fits = true;
    listed[1].own_inputs = &ios[1]; /* nothing is remembered of what did not fit */
    bind(true, NULL);
    ck_assert_int_eq(n_fits, 2);
}
END_TEST

START_TEST(a_request_keeps_what_it_began_with)
{
    add("a", 0, 0);
    add("b", 0, 1);
    bind(true, NULL);
    struct served **held = depends_hold(&whole, &whole.arena, &err);
    ck_assert_ptr_nonnull(held);
    ck_assert_ptr_eq(held[0], &listed[1]);
    ck_assert_int_eq(listed[1].n_holders, 1);
    ck_assert_int_eq(listed[2].n_holders, 1);
    listed[1].state = SERVED_UNLOADING;
    bind(true, NULL);
    ck_assert_ptr_eq(held[0], &listed[1]);
    depends_let_go(held, 2);
    ck_assert_int_eq(listed[1].n_holders, 0);
    ck_assert_int_eq(listed[2].n_holders, 0);
    depends_loosen(&whole);
    ck_assert_ptr_null(depends_hold(&whole, &whole.arena, &err));
    ck_assert_int_eq(err.code, ERR_UNAVAILABLE);
    ck_assert_int_eq(listed[2].n_holders, 0);
}
END_TEST

START_TEST(short_memory_is_told)
{
    add("a", 0, 0);
    for (size_t nth = 1; nth <= 8; nth++) {
        arena_fail_at(nth, false);
        const bool bound = depends_bind(&whole, listed, &err);
        arena_fail_at(0, false);
        ck_assert(bound || (err.code == ERR_MEMORY && !parts.at[0].served));
    }
    bind(true, NULL);
    arena_fail_at(1, true);
    struct arena arena = {0};
    ck_assert_ptr_null(depends_hold(&whole, &arena, &err));
    arena_fail_at(0, false);
    ck_assert_int_eq(err.code, ERR_MEMORY);
}
END_TEST

Suite *serve_depends_suite(void)
{
    Suite *suite = suite_create("serve/depends");
    TCase *tests = tcase_create("depends");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_part_is_one_name_and_version);
    tcase_add_test(tests, the_highest_version_that_is_ready_is_run);
    tcase_add_test(tests, what_takes_something_else_does_not_take_its_place);
    tcase_add_test(tests, what_does_not_fit_is_bound_to_nobody);
    tcase_add_test(tests, a_request_keeps_what_it_began_with);
    tcase_add_test(tests, short_memory_is_told);
    suite_add_tcase(suite, tests);
    return suite;
}
