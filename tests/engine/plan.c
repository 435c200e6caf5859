/* Plans: whether one is whole, and what is left of it when it is freed. */
#include "engine/plan.h"

#include <check.h>

#include "engine/chain.h"
#include "engine/scratch.h"
#include "engine/small.h"

START_TEST(a_plan_is_whole_when_its_nodes_end_with_the_graph)
{
    struct graph graph = {.n_nodes = 3};
    struct part part = {.graph = &graph};
    struct plan plan = {.part = &part, .end_node = 2};
    ck_assert(!plan_complete(&plan));
    plan.end_node = 3;
    ck_assert(plan_complete(&plan));
}
END_TEST

/* With its links: a leak is the sanitizer's word. */
START_TEST(a_chain_is_freed_from_its_first_plan)
{
    struct percept_model *model = small_open_reshaped();
    struct percept_err err = {0};
    struct plan plan;
    small_plan(&plan, model, 1, DIMS(2));
    ck_assert(!plan_complete(&plan));
    char *memory = arena_buffer(plan.scratch_bytes);
    scratch_place(&plan, memory);
    memcpy(plan.feeds[0]->data, DIMS(3, 2), 2 * sizeof(int64_t));
    ck_assert_msg(chain_next(&plan, model, &err) != NULL, "%s", err.text);
    ck_assert(plan_complete(plan.next));
    ck_assert_int_gt(plan.n_decided, 0);
    plan_free_next(&plan);
    ck_assert_ptr_null(plan.next);
    ck_assert_int_eq(plan.n_decided, 0);
    ck_assert_ptr_nonnull(plan.values);
    ck_assert_msg(chain_next(&plan, model, &err) != NULL, "%s", err.text);
    plan_free(&plan);
    ck_assert_ptr_null(plan.next);
    ck_assert_ptr_null(plan.values);
    arena_buffer_free(memory);
    percept_close(model);
}
END_TEST

Suite *engine_plan_suite(void);
Suite *engine_plan_suite(void)
{
    Suite *suite = suite_create("engine_plan");
    TCase *tests = tcase_create("plan");
    tcase_add_test(tests, a_plan_is_whole_when_its_nodes_end_with_the_graph);
    tcase_add_test(tests, a_chain_is_freed_from_its_first_plan);
    suite_add_tcase(suite, tests);
    return suite;
}
