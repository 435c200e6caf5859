/* Plans: what lives from the beginning to the end, what outputs are, and what a failure leaves. */
#include "engine/planner.h"

#include <check.h>

#include "engine/small.h"

static const struct buffer *buffer_of(const struct plan *plan, const struct tensor *tensor)
{
    for (int i = 0; i < plan->n_placed; i++)
        if (plan->placed[i].tensor == tensor)
            return &plan->buffers[plan->placed[i].buffer];
    return NULL;
}

/* So that a caller may run again without writing the input again. */
START_TEST(inputs_and_outputs_live_to_the_end)
{
    struct small s = small_begin();
    small_input(&s, "x", 2, DIMS(-1, 4));
    small_output(&s, "a", -1, NULL);
    small_output(&s, "y", -1, NULL);
    small_node(&s, "Sin", "x", "a");
    small_node(&s, "Cos", "a", "b");
    small_node(&s, "Sin", "b", "y");
    struct percept_model *model = small_open(&s);
    struct plan plan;
    small_plan(&plan, model, 2, DIMS(3, 4));
    const struct tensor *lasting[] = {plan.feeds[0], plan.outputs[0], plan.outputs[1]};
    for (int i = 0; i < 3; i++) {
        const struct buffer *buffer = buffer_of(&plan, lasting[i]);
        ck_assert_ptr_nonnull(buffer);
        ck_assert_int_ge(buffer->last, plan.n_steps);
    }
    ck_assert_int_eq(buffer_of(&plan, plan.feeds[0])->first, 0);
    plan_free(&plan);
    percept_close(model);
}
END_TEST

START_TEST(a_constant_output_keeps_its_own_memory)
{
    struct small s = small_begin();
    small_input(&s, "x", 2, DIMS(-1, 4));
    small_output(&s, "c", -1, NULL);
    small_output(&s, "y", -1, NULL);
    small_floats(&s, "c", 1, DIMS(2), (float[]){5, 6});
    small_node(&s, "Sin", "x", "y");
    struct percept_model *model = small_open(&s);
    struct plan plan;
    small_plan(&plan, model, 2, DIMS(3, 4));
    ck_assert_ptr_null(buffer_of(&plan, plan.outputs[0]));
    ck_assert_float_eq(((const float *)plan.outputs[0]->data)[1], 6);
    plan_free(&plan);
    percept_close(model);
}
END_TEST

START_TEST(a_plan_that_fails_is_empty_and_says_where)
{
    struct small s = small_xy(2, DIMS(-1, -1));
    small_weights(&s, "w", 2, DIMS(4, 3), 1);
    small_node(&s, "MatMul", "x,w", "y");
    struct percept_model *model = small_open(&s);
    struct plan plan;
    struct percept_err err = {0};
    struct tensor input = {.dtype = PERCEPT_FLOAT};
    tensor_set_dims(&input, 2, DIMS(2, 5));
    ck_assert(!planner_build(&plan, model, model->parts, &input, &err));
    ck_assert_msg(strstr(err.text, "MatMul") != NULL, "%s", err.text);
    ck_assert_ptr_null(plan.values);
    ck_assert_int_eq(plan.n_steps, 0);
    plan_free(&plan);
    percept_close(model);
}
END_TEST

START_TEST(every_allocation_may_fail)
{
    struct small s = small_xy(4, DIMS(-1, 16, 5, 5));
    small_weights(&s, "w", 4, DIMS(16, 16, 3, 3), 1);
    small_node(&s, "Conv", "x,w", "a");
    small_node(&s, "Sin", "a", "b");
    small_node(&s, "GlobalAveragePool", "b", "y");
    struct percept_model *model = small_open(&s);
    struct tensor input = {.dtype = PERCEPT_FLOAT};
    tensor_set_dims(&input, 4, DIMS(2, 16, 5, 5));
    bool good = false;
    for (size_t limit = 64; !good; limit += 64) {
        struct plan plan;
        struct percept_err err = {0};
        model->memory_limit_bytes = limit;
        good = planner_build(&plan, model, model->parts, &input, &err);
        ck_assert(good || err.code == ERR_MEMORY);
        ck_assert(good || err.text[0]);
        plan_free(&plan);
    }
    percept_close(model);
}
END_TEST

Suite *engine_planner_suite(void);
Suite *engine_planner_suite(void)
{
    Suite *suite = suite_create("engine_planner");
    TCase *tests = tcase_create("planner");
    tcase_add_test(tests, inputs_and_outputs_live_to_the_end);
    tcase_add_test(tests, a_constant_output_keeps_its_own_memory);
    tcase_add_test(tests, a_plan_that_fails_is_empty_and_says_where);
    tcase_add_test(tests, every_allocation_may_fail);
    suite_add_tcase(suite, tests);
    return suite;
}
