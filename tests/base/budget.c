/* budget.c - what is taken comes back to the byte, whichever way it was taken. */
#include "base/budget.h"

#include "base/arena.h"

#include <check.h>

Suite *base_budget_suite(void);

START_TEST(what_would_pass_the_limit_is_refused_and_remembered)
{
    struct percept_budget budget = {.limit_bytes = 100};
    const size_t before = budget_refusals();
    ck_assert(budget_take(&budget, 60));
    ck_assert(!budget_take(&budget, 41));
    ck_assert_uint_eq(budget_refusals(), before + 1);
    ck_assert_uint_eq(budget_refused_bytes(), 41);
    ck_assert(budget_take(&budget, 40));
    ck_assert(!budget_take(&budget, SIZE_MAX));
    ck_assert_uint_eq(budget_used(&budget), 100);
    budget_give(&budget, 100);
    ck_assert_uint_eq(budget_used(&budget), 0);
    ck_assert(budget_take(NULL, SIZE_MAX));
    budget_give(NULL, 1);
    ck_assert_uint_eq(budget_used(NULL), 0);
}
END_TEST

START_TEST(arenas_pay_for_blocks_and_get_it_back)
{
    struct percept_budget budget = {.limit_bytes = 10 << 20};
    struct arena arena = {.budget = &budget};
    ck_assert_ptr_nonnull(arena_alloc(&arena, 100));
    ck_assert_ptr_nonnull(arena_alloc(&arena, 5 << 20));
    ck_assert_uint_gt(budget_used(&budget), (5 << 20) + 100);
    ck_assert_ptr_null(arena_alloc(&arena, 6 << 20));
    ck_assert_ptr_nonnull(arena_alloc(&arena, 1 << 20));
    arena_reset(&arena); /* keeps the largest */
    ck_assert_uint_ge(budget_used(&budget), 5 << 20);
    ck_assert_uint_lt(budget_used(&budget), 6 << 20);
    while (!arena_free_part(&arena, 2 << 20))
        ck_assert_uint_lt(budget_used(&budget), 4 << 20);
    ck_assert_uint_eq(budget_used(&budget), 0);
    ck_assert_ptr_nonnull(arena_alloc(&arena, 1));
    arena.budget = NULL; /* what was paid for stays so, and what comes is free */
    const size_t paid = budget_used(&budget);
    ck_assert_uint_gt(paid, 0);
    ck_assert_ptr_nonnull(arena_alloc(&arena, 50 << 20));
    ck_assert_uint_eq(budget_used(&budget), paid);
    arena_free(&arena);
    ck_assert_uint_eq(budget_used(&budget), 0);
}
END_TEST

START_TEST(buffers_pay_too)
{
    struct percept_budget budget = {.limit_bytes = 1000};
    void *one = arena_buffer_from(&budget, 600), *free_of_charge = arena_buffer(600);
    ck_assert_ptr_nonnull(one);
    ck_assert_ptr_nonnull(free_of_charge);
    ck_assert_ptr_null(arena_buffer_from(&budget, 401));
    ck_assert_uint_eq(budget_used(&budget), 600);
    arena_buffer_free(one);
    arena_buffer_free(free_of_charge);
    ck_assert_uint_eq(budget_used(&budget), 0);
}
END_TEST

START_TEST(what_the_system_refuses_is_not_paid_for)
{
    struct percept_budget budget = {.limit_bytes = 1 << 20};
    struct arena arena = {.budget = &budget};
    const size_t before = budget_refusals();
    arena_fail_at(1, true);
    ck_assert_ptr_null(arena_buffer_from(&budget, 600));
    ck_assert_ptr_null(arena_alloc(&arena, 600));
    arena_fail_at(0, false);
    ck_assert_uint_eq(budget_used(&budget), 0);
    ck_assert_uint_eq(budget_refusals(), before);
}
END_TEST

Suite *base_budget_suite(void)
{
    Suite *suite = suite_create("base/budget");
    TCase *tests = tcase_create("budget");
    tcase_add_test(tests, what_would_pass_the_limit_is_refused_and_remembered);
    tcase_add_test(tests, arenas_pay_for_blocks_and_get_it_back);
    tcase_add_test(tests, buffers_pay_too);
    tcase_add_test(tests, what_the_system_refuses_is_not_paid_for);
    suite_add_tcase(suite, tests);
    return suite;
}
