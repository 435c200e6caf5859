/* Conversions: at most one per value, halves at the ends alone. */
#include "engine/convert.h"

#include <check.h>

#include "engine/small.h"

static int count_steps(const struct plan *plan, const char *name)
{
    int n = 0;
    for (int i = 0; i < plan->n_steps; i++)
        n += strcmp(plan->steps[i].op->name, name) == 0;
    return n;
}

/* A convolution leaves blocks; both a Transpose and the output want planes. */
START_TEST(a_value_is_converted_once_however_many_ask)
{
    struct small s = small_begin();
    small_input(&s, "x", 4, DIMS(-1, 16, 5, 5));
    small_output(&s, "c", -1, NULL);
    small_output(&s, "t", -1, NULL);
    small_output(&s, "u", -1, NULL);
    small_weights(&s, "w", 4, DIMS(32, 16, 3, 3), 1);
    small_node(&s, "Conv", "x,w", "c");
    small_node(&s, "Transpose", "c", "t");
    small_node(&s, "Transpose", "c", "u");
    struct percept_model *model = small_open(&s);
    struct plan plan;
    small_plan(&plan, model, 4, DIMS(2, 16, 5, 5));
    ck_assert_int_eq(small_step(&plan, "Conv")->out[0]->layout, LAYOUT_BLOCKED);
    int of_c = 0;
    for (int i = 0; i < plan.n_steps; i++)
        of_c += strcmp(plan.steps[i].op->name, "(layout)") == 0 && plan.steps[i].in[0]->layout == LAYOUT_BLOCKED;
    ck_assert_int_eq(of_c, 1);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(plan.outputs[i]->layout, LAYOUT_PLAIN);
    plan_free(&plan);
    percept_close(model);
}
END_TEST

/* The one copy is kept until the last has read it, whatever is computed in between. */
START_TEST(a_converted_value_is_kept_for_all_who_ask)
{
    struct small s = small_xy(4, DIMS(-1, 16, 5, 5));
    small_weights(&s, "w", 4, DIMS(32, 16, 3, 3), 1);
    small_nodes(&s, "Conv x,w > c; Transpose c > t perm=0,2,3,1; Sin t > d; Cos d > e; Exp e > f; Neg f > g;"
                    "Transpose c > u perm=0,2,3,1; Add u,g > y");
    struct percept_model *model = small_open(&s);
    struct plan plan;
    small_plan(&plan, model, 4, DIMS(2, 16, 5, 5));
    ck_assert_int_eq(count_steps(&plan, "Transpose"), 2);
    plan_free(&plan);
    percept_close(model);
}
END_TEST

START_TEST(a_chain_in_blocks_is_converted_at_its_ends_alone)
{
    struct small s = small_xy(4, DIMS(-1, 16, 5, 5));
    small_weights(&s, "w", 4, DIMS(16, 16, 3, 3), 1);
    small_weights(&s, "v", 4, DIMS(16, 16, 1, 1), 2);
    small_node(&s, "Conv", "x,w", "a");
    small_node(&s, "Sin", "a", "b");
    small_node(&s, "Conv", "b,v", "y");
    struct percept_model *model = small_open(&s);
    struct plan plan;
    small_plan(&plan, model, 4, DIMS(1, 16, 5, 5));
    ck_assert_int_eq(count_steps(&plan, "(layout)"), 2);
    ck_assert_str_eq(plan.steps[0].op->name, "(layout)");
    ck_assert_str_eq(plan.steps[plan.n_steps - 1].op->name, "(layout)");
    plan_free(&plan);
    percept_close(model);
}
END_TEST

START_TEST(between_steps_there_are_no_halves)
{
    struct small s = small_begin();
    proto_add(&s.graph, GRAPH_INPUT, proto_value("x", PERCEPT_FLOAT16, 2, DIMS(-1, 4)));
    proto_add(&s.graph, GRAPH_OUTPUT, proto_value("y", PERCEPT_FLOAT16, 2, DIMS(-1, 4)));
    small_node(&s, "Sin", "x", "a");
    small_node_int(&s, "Cast", "a", "b", "to", PERCEPT_BFLOAT16);
    small_node(&s, "Sin", "b", "c");
    small_node_int(&s, "Cast", "c", "y", "to", PERCEPT_FLOAT16);
    struct percept_model *model = small_open(&s);
    struct plan plan;
    small_plan(&plan, model, 2, DIMS(3, 4));
    ck_assert_int_eq(plan.feeds[0]->dtype, PERCEPT_FLOAT16);
    ck_assert_int_eq(plan.outputs[0]->dtype, PERCEPT_FLOAT16);
    ck_assert_int_eq(count_steps(&plan, "(widen)"), 3); /* the input, and behind each Cast */
    ck_assert_int_eq(count_steps(&plan, "(narrow)"), 1);
    for (int i = 0; i < plan.n_steps; i++) {
        const struct step *step = &plan.steps[i];
        if (strcmp(step->op->name, "Sin") != 0)
            continue;
        ck_assert_int_eq(step->in[0]->dtype, PERCEPT_FLOAT);
        ck_assert_int_eq(step->out[0]->dtype, PERCEPT_FLOAT);
    }
    plan_free(&plan);
    percept_close(model);
}
END_TEST

/* What is known while planning needs no step to be widened. */
START_TEST(known_halves_are_widened_on_the_spot)
{
    struct small s = small_xy(1, DIMS(-1));
    small_node(&s, "Shape", "x", "n");
    small_node_int(&s, "Cast", "n", "h", "to", PERCEPT_FLOAT16);
    small_node_int(&s, "Cast", "h", "f", "to", PERCEPT_FLOAT);
    small_node(&s, "Mul", "x,f", "y");
    struct percept_model *model = small_open(&s);
    struct plan plan;
    small_plan(&plan, model, 1, DIMS(3));
    ck_assert_int_eq(plan.n_steps, 1);
    const struct tensor *factor = plan.steps[0].in[1];
    ck_assert_int_eq(factor->dtype, PERCEPT_FLOAT);
    ck_assert_float_eq(*(const float *)factor->data, 3);
    plan_free(&plan);
    percept_close(model);
}
END_TEST

Suite *engine_convert_suite(void);
Suite *engine_convert_suite(void)
{
    Suite *suite = suite_create("engine_convert");
    TCase *tests = tcase_create("convert");
    tcase_add_test(tests, a_value_is_converted_once_however_many_ask);
    tcase_add_test(tests, a_converted_value_is_kept_for_all_who_ask);
    tcase_add_test(tests, a_chain_in_blocks_is_converted_at_its_ends_alone);
    tcase_add_test(tests, between_steps_there_are_no_halves);
    tcase_add_test(tests, known_halves_are_widened_on_the_spot);
    suite_add_tcase(suite, tests);
    return suite;
}
