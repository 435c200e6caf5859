/* learn.c - which batch size pays, on machines that are made up. */
#include "serve/learn.h"

#include <check.h>

Suite *serve_learn_suite(void);

/* What a run of n items takes: so much for the batch and so much for each; from `cliff` items on, twice that. */
struct machine {
    int64_t batch_ns, item_ns, cliff;
};

static int64_t took(const struct machine *machine, int64_t n)
{
    const int64_t ns = machine->batch_ns + n * machine->item_ns;
    return machine->cliff && n >= machine->cliff ? 2 * ns : ns;
}

/* n_items wait, again and again; returns the largest batch that was run. */
static int64_t serve(struct learn *learn, const struct machine *machine, int64_t n_items, int n_batches)
{
    int64_t most = 0;
    for (int i = 0; i < n_batches; i++) {
        const int64_t n = learn_choose(learn, 1, n_items);
        ck_assert_int_ge(n, 1);
        ck_assert_int_le(n, n_items);
        most = n > most ? n : most;
        learn_run(learn, n, (double)n, took(machine, n));
    }
    return most;
}

START_TEST(where_items_cost_the_same_in_any_batch_nobody_waits_for_others)
{
    struct learn learn = {0};
    const struct machine linear = {.item_ns = 25000000};
    ck_assert_int_le(serve(&learn, &linear, 32, 1000), 2); /* and no large one was tried */
    ck_assert_int_eq(learn_best(&learn, 32), 1);
}
END_TEST

START_TEST(where_a_batch_costs_as_much_as_an_item_all_go_together)
{
    struct learn learn = {0};
    const struct machine flat = {.batch_ns = 1000000, .item_ns = 1000};
    serve(&learn, &flat, 32, 20);
    ck_assert_int_eq(learn_best(&learn, 32), 32);
    ck_assert_int_eq(learn_choose(&learn, 1, 32), 32);
    ck_assert_int_eq(learn_choose(&learn, 1, 5), 5);
    ck_assert_int_eq(learn_choose(&learn, 1, 1), 1);
}
END_TEST

START_TEST(in_between_it_is_the_smallest_that_brings_nearly_all)
{
    struct learn learn = {0};
    const struct machine small = {.batch_ns = 20000, .item_ns = 50000};
    serve(&learn, &small, 64, 200);
    const int64_t best = learn_best(&learn, 64);
    const double best_ns = (double)took(&small, best) / (double)best, most_ns = (double)took(&small, 64) / 64;
    ck_assert_double_le(best_ns, most_ns * 1.07); /* 0.03 of what was explored, which stops where a step brings 0.03 */
    ck_assert_int_ge(best, 4);
    ck_assert_int_le(best, 16);
}
END_TEST

START_TEST(sizes_past_a_cliff_are_not_taken)
{
    struct learn learn = {0};
    const struct machine cache = {.batch_ns = 1000000, .item_ns = 100000, .cliff = 17};
    serve(&learn, &cache, 64, 100);
    ck_assert_int_eq(learn_best(&learn, 64), 16);
}
END_TEST

START_TEST(nothing_is_cut_before_something_is_known)
{
    struct learn learn = {0};
    ck_assert_int_eq(learn_best(&learn, 32), 32);
    learn_run(&learn, 1, 1, 1000);
    ck_assert_int_eq(learn_best(&learn, 32), 32); /* one run may have made a plan */
    learn_run(&learn, 1, 1, 1000);
    ck_assert_int_eq(learn_best(&learn, 32), 1);
}
END_TEST

START_TEST(the_first_run_of_a_size_may_be_slow)
{
    struct learn learn = {0};
    learn_run(&learn, 1, 1, 1000);
    learn_run(&learn, 1, 1, 1000);
    learn_run(&learn, 8, 8, 1000000);
    learn_run(&learn, 8, 8, 1600);
    ck_assert_int_eq(learn_best(&learn, 8), 8);
}
END_TEST

START_TEST(a_machine_that_changes_is_noticed)
{
    struct learn learn = {0};
    const struct machine linear = {.item_ns = 1000000}, flat = {.batch_ns = 1000000, .item_ns = 10};
    serve(&learn, &linear, 32, 50);
    ck_assert_int_eq(learn_best(&learn, 32), 1);
    serve(&learn, &flat, 32, 2000);
    ck_assert_int_eq(learn_best(&learn, 32), 32);
    serve(&learn, &linear, 32, 4000);
    ck_assert_int_eq(learn_best(&learn, 32), 1);
}
END_TEST

/* A sequence twice as long is twice the work: its batch is no slower for that. */
START_TEST(runs_of_other_shapes_are_compared_by_their_work)
{
    struct learn learn = {0};
    for (int i = 0; i < 4; i++) {
        learn_run(&learn, 1, 1e6, 1000);
        learn_run(&learn, 2, 20e6, 10000);
    }
    ck_assert_int_eq(learn_best(&learn, 2), 2);
}
END_TEST

START_TEST(requests_of_several_items_are_joined_though_single_ones_are_not_known)
{
    struct learn learn = {0};
    for (int i = 0; i < 20; i++) {
        const int64_t n = learn_choose(&learn, 3, 12) / 3 * 3; /* what three items at a time make of it */
        learn_run(&learn, n, (double)n, 1000000 + n);
    }
    ck_assert_int_eq(learn_choose(&learn, 3, 12), 12);
}
END_TEST

START_TEST(a_size_that_nothing_fills_is_passed_over)
{
    struct learn learn = {0};
    for (int i = 0; i < 40; i++) {
        const int64_t n = learn_choose(&learn, 1, 16) >= 9 ? 9 : 1; /* one item waits before one of eight */
        learn_run(&learn, n, (double)n, 1000000);
    }
    ck_assert_int_ge(learn_choose(&learn, 1, 16), 9);
}
END_TEST

START_TEST(what_says_nothing_is_not_counted)
{
    struct learn learn = {0};
    learn_run(&learn, 0, 1, 1);
    learn_run(&learn, 1, 0, 1);
    learn_run(&learn, 1, 1, 0);
    learn_run(&learn, 1, -1, -1);
    ck_assert_uint_eq(learn.classes[0].n_runs, 0);
    learn_run(&learn, INT64_MAX, 1, 1);
    ck_assert_uint_eq(learn.classes[LEARN_CLASSES - 1].n_runs, 1);
    ck_assert_int_eq(learn_choose(&learn, INT64_MAX, INT64_MAX), INT64_MAX);
}
END_TEST

Suite *serve_learn_suite(void)
{
    Suite *suite = suite_create("serve/learn");
    TCase *tests = tcase_create("learn");
    tcase_add_test(tests, where_items_cost_the_same_in_any_batch_nobody_waits_for_others);
    tcase_add_test(tests, where_a_batch_costs_as_much_as_an_item_all_go_together);
    tcase_add_test(tests, in_between_it_is_the_smallest_that_brings_nearly_all);
    tcase_add_test(tests, sizes_past_a_cliff_are_not_taken);
    tcase_add_test(tests, nothing_is_cut_before_something_is_known);
    tcase_add_test(tests, the_first_run_of_a_size_may_be_slow);
    tcase_add_test(tests, a_machine_that_changes_is_noticed);
    tcase_add_test(tests, runs_of_other_shapes_are_compared_by_their_work);
    tcase_add_test(tests, requests_of_several_items_are_joined_though_single_ones_are_not_known);
    tcase_add_test(tests, a_size_that_nothing_fills_is_passed_over);
    tcase_add_test(tests, what_says_nothing_is_not_counted);
    suite_add_tcase(suite, tests);
    return suite;
}
