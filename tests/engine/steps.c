/* What a node becomes: nothing when it is known, nothing when it is a view, else a step. */
#include "engine/steps.h"

#include <check.h>

#include "engine/small.h"

START_TEST(arithmetic_on_shapes_leaves_no_step)
{
    struct small s = small_xy(3, DIMS(-1, 2, 6));
    small_ints(&s, "first", 1, DIMS(0));
    small_ints(&s, "rest", 1, DIMS(-1));
    small_node(&s, "Shape", "x", "all");
    small_node(&s, "Gather", "all,first", "n");
    small_node_int(&s, "Concat", "n,rest", "to", "axis", 0);
    small_node(&s, "Reshape", "x,to", "flat");
    small_node(&s, "Sin", "flat", "y");
    struct percept_model *model = small_open(&s);
    struct plan plan;
    small_plan(&plan, model, 3, DIMS(5, 2, 6));
    ck_assert_int_eq(plan.n_steps, 1);
    ck_assert_str_eq(plan.steps[0].op->name, "Sin");
    ck_assert_int_eq(plan.outputs[0]->rank, 2);
    ck_assert_int_eq(plan.outputs[0]->dims[0], 5);
    ck_assert_int_eq(plan.outputs[0]->dims[1], 12);
    plan_free(&plan);
    percept_close(model);
}
END_TEST

/* x -> a -> view of a -> y, and a again: the view and a are one buffer, which nobody writes over. */
START_TEST(a_view_shares_its_source_and_keeps_it)
{
    struct small s = small_xy(2, DIMS(-1, 6));
    small_output(&s, "z", -1, NULL);
    small_ints(&s, "to", 2, DIMS(-1, 3));
    small_node(&s, "Sin", "x", "a");
    small_node(&s, "Reshape", "a,to", "v");
    small_node(&s, "Sin", "v", "y");
    small_node(&s, "Cos", "a", "z");
    struct percept_model *model = small_open(&s);
    struct plan plan;
    small_plan(&plan, model, 2, DIMS(2, 6));
    ck_assert_int_eq(plan.n_steps, 3);
    const struct graph *graph = model->parts->graph;
    int buffers[2] = {-1, -1}, n = 0;
    for (int i = 0; i < plan.n_placed; i++)
        for (int v = 0; v < graph->n_values; v++)
            if (plan.placed[i].tensor == &plan.values[v] &&
                (bytes_is(graph->values[v].name, "a") || bytes_is(graph->values[v].name, "v")))
                buffers[n++] = plan.placed[i].buffer;
    ck_assert_int_eq(n, 2);
    ck_assert_int_eq(buffers[0], buffers[1]);
    ck_assert_int_eq(plan.buffers[buffers[0]].last, 2); /* and no longer */
    plan_free(&plan);
    percept_close(model);
}
END_TEST

/* How many buffers three element-wise nodes in a row take, the last of which reads these. */
static int buffers_of_chain(const char *last_inputs)
{
    struct small s = small_xy(2, DIMS(-1, 6));
    small_node(&s, "Sin", "x", "a");
    small_node(&s, "Cos", "a", "b");
    small_node(&s, "Add", last_inputs, "y");
    struct percept_model *model = small_open(&s);
    struct plan plan;
    small_plan(&plan, model, 2, DIMS(2, 6));
    int n = plan.n_buffers;
    plan_free(&plan);
    percept_close(model);
    return n;
}

START_TEST(a_step_writes_over_an_input_that_dies_and_over_no_other)
{
    ck_assert_int_eq(buffers_of_chain("b,b"), 2); /* the input, which is never written over; one more */
    ck_assert_int_eq(buffers_of_chain("b,a"), 3); /* a is read after b is written */
}
END_TEST

START_TEST(a_shape_that_needs_data_stops_the_plan_before_it)
{
    struct percept_model *model = small_open_reshaped();
    struct plan plan;
    small_plan(&plan, model, 1, DIMS(2));
    ck_assert(!plan_complete(&plan));
    ck_assert_int_eq(plan.end_node, 0);
    ck_assert_uint_eq(plan.demands, 2);
    ck_assert_int_eq(plan.n_steps, 0);
    plan_free(&plan);
    percept_close(model);
}
END_TEST

START_TEST(dims_that_only_a_run_tells_stop_the_plan_behind_the_node)
{
    struct small s = small_xy(1, DIMS(6));
    small_node(&s, "NonZero", "x", "where");
    small_node(&s, "Abs", "where", "y");
    struct percept_model *model = small_open(&s);
    struct plan plan;
    small_plan(&plan, model, 1, DIMS(6));
    ck_assert(!plan_complete(&plan));
    ck_assert_int_eq(plan.end_node, 1);
    ck_assert_uint_eq(plan.demands, 0);
    ck_assert_int_eq(plan.n_steps, 1);
    plan_free(&plan);
    percept_close(model);
}
END_TEST

Suite *engine_steps_suite(void);
Suite *engine_steps_suite(void)
{
    Suite *suite = suite_create("engine_steps");
    TCase *tests = tcase_create("steps");
    tcase_add_test(tests, arithmetic_on_shapes_leaves_no_step);
    tcase_add_test(tests, a_view_shares_its_source_and_keeps_it);
    tcase_add_test(tests, a_step_writes_over_an_input_that_dies_and_over_no_other);
    tcase_add_test(tests, a_shape_that_needs_data_stops_the_plan_before_it);
    tcase_add_test(tests, dims_that_only_a_run_tells_stop_the_plan_behind_the_node);
    suite_add_tcase(suite, tests);
    return suite;
}
