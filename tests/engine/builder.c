/* Building a plan: lists that grow, steps that are written down. */
#include "engine/builder.h"

#include <check.h>

#include "engine/scratch.h"
#include "engine/small.h"

static struct graph graph;
static struct part part = {.graph = &graph};
static struct percept_model model = {.memory_limit_bytes = SIZE_MAX};

START_TEST(a_list_grows_and_keeps_what_is_in_it)
{
    struct plan plan = {.part = &part};
    struct builder b = {.plan = &plan, .model = &model, .graph = &graph};
    int *list = NULL, cap = 0;
    for (int n = 0; n < 1000; n++) {
        list = builder_grown(&b, list, n, &cap, sizeof *list);
        ck_assert_ptr_nonnull(list);
        ck_assert_int_gt(cap, n);
        list[n] = n;
    }
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(list[i], i);
    ck_assert_int_lt(cap, 2000);
    plan_free(&plan);
}
END_TEST

START_TEST(scratch_of_a_step_lives_for_that_step_alone)
{
    struct plan plan = {.part = &part};
    struct percept_err err = {0};
    struct builder b = {.plan = &plan, .model = &model, .graph = &graph, .err = &err};
    for (int i = 0; i < 50; i++)
        ck_assert(builder_step(&b, &(struct step){.scratch_bytes = i % 2 ? 100 : 0, .flops = 3}));
    ck_assert_int_eq(plan.n_steps, 50);
    ck_assert_int_eq(plan.n_buffers, 25);
    ck_assert_double_eq(plan.flops, 150);
    for (int i = 0; i < 50; i++) {
        int buffer = plan.step_buffer[i];
        ck_assert_int_eq(buffer >= 0, i % 2);
        if (buffer < 0)
            continue;
        ck_assert_int_eq(plan.buffers[buffer].first, i);
        ck_assert_int_eq(plan.buffers[buffer].last, i);
    }
    plan_free(&plan);
}
END_TEST

START_TEST(a_builder_begins_with_no_memory_given_and_all_reads_to_come)
{
    struct small s = small_begin();
    small_input(&s, "x", 2, DIMS(-1, 3));
    small_output(&s, "y", 2, DIMS(-1, 3));
    small_node(&s, "Relu", "x", "a");
    small_node(&s, "Add", "x,a", "y");
    struct percept_model *opened = small_open(&s);
    struct plan plan = {.part = opened->parts};
    struct builder b = {.plan = &plan, .model = opened, .graph = opened->parts->graph};
    ck_assert(builder_begin(&b));
    for (int v = 0; v < b.graph->n_values; v++) {
        ck_assert_int_eq(b.buffer_of[v], -1);
        ck_assert_int_eq(b.converted_buffer[v], -1);
        ck_assert_ptr_null(b.converted[v]);
        ck_assert_int_eq(b.feed[v], v == b.graph->inputs[0]);
    }
    ck_assert_int_eq(b.reads_left[b.graph->inputs[0]], 2);
    builder_end(&b);
    plan_free(&plan);
    percept_close(opened);
}
END_TEST

Suite *engine_builder_suite(void);
Suite *engine_builder_suite(void)
{
    Suite *suite = suite_create("engine_builder");
    TCase *tests = tcase_create("builder");
    tcase_add_test(tests, a_list_grows_and_keeps_what_is_in_it);
    tcase_add_test(tests, scratch_of_a_step_lives_for_that_step_alone);
    tcase_add_test(tests, a_builder_begins_with_no_memory_given_and_all_reads_to_come);
    suite_add_tcase(suite, tests);
    return suite;
}
