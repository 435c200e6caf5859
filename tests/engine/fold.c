/* Folding: constants are computed at load, unused and empty nodes vanish, lacking operators are all named. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "engine/fold.h"
#include "engine/small.h"

START_TEST(nodes_over_constants_are_computed_at_load)
{
    struct small s = small_begin();
    small_input(&s, "x", 2, DIMS(-1, 3));
    small_output(&s, "y", 2, DIMS(-1, 3));
    small_floats(&s, "a", 1, DIMS(3), (float[]){1, 2, 3});
    small_floats(&s, "b", 1, DIMS(3), (float[]){10, 20, 30});
    small_node(&s, "Add", "a,b", "c");
    small_node(&s, "Neg", "c", "d");
    small_node(&s, "Mul", "x,d", "y");
    struct percept_model *model = small_open(&s);
    const struct percept_description d = small_describe(model);
    ck_assert_int_eq(d.n_folded, 2);
    ck_assert_int_eq(d.n_steps, 1);
    struct percept_session *session = small_session(model);
    const float *y = small_run(session, 2, DIMS(1, 3), (float[]){1, 1, 2});
    ck_assert_float_eq(y[0], -11);
    ck_assert_float_eq(y[1], -22);
    ck_assert_float_eq(y[2], -66);
    percept_session_free(session);
    percept_close(model);
}
END_TEST

START_TEST(identities_and_unread_nodes_leave_no_step)
{
    struct small s = small_begin();
    small_input(&s, "x", 2, DIMS(-1, 2));
    small_output(&s, "y", 2, DIMS(-1, 2));
    small_node(&s, "Identity", "x", "a");
    small_node(&s, "Dropout", "a", "b");
    small_node(&s, "Exp", "b", "nobody");
    small_node(&s, "Abs", "b", "y");
    struct percept_model *model = small_open(&s);
    const struct percept_description d = small_describe(model);
    ck_assert_int_eq(d.n_steps, 1);
    struct percept_session *session = small_session(model);
    const float *y = small_run(session, 2, DIMS(1, 2), (float[]){-4, 5});
    ck_assert_float_eq(y[0], 4);
    ck_assert_float_eq(y[1], 5);
    percept_session_free(session);
    percept_close(model);
}
END_TEST

START_TEST(identities_stay_where_memory_is_short)
{
    struct small s = small_xy(1, DIMS(-1));
    small_nodes(&s, "Identity x > a; Abs a > y");
    struct percept_model *model = small_open(&s);
    struct graph *graph = model->onnx.graph;
    const size_t list = (size_t)(graph->n_values + 1) * sizeof(int);
    for (size_t room = 1; room <= list; room += list - 1) { /* for neither of two lists, and for one */
        struct arena arena = {.limit_bytes = room};
        struct percept_err err = {0};
        ck_assert(!fold_identities(graph, &arena, &err));
        ck_assert_int_eq(err.code, ERR_MEMORY);
        arena_free(&arena);
    }
    percept_close(model);
}
END_TEST

/* More than there are bits in which inputs are packed. */
START_TEST(a_node_may_have_many_inputs)
{
    enum { PARTS = 70 };
    char inputs[PARTS * 4] = "x";
    float part[PARTS];
    struct small s = small_xy(1, DIMS(1));
    for (int i = 1; i < PARTS; i++) {
        char name[8];
        part[i] = (float)i;
        snprintf(name, sizeof name, "c%d", i);
        small_floats(&s, name, 1, DIMS(1), &part[i]);
        snprintf(inputs + strlen(inputs), sizeof inputs - strlen(inputs), ",c%d", i);
    }
    small_node_int(&s, "Concat", inputs, "y", "axis", 0);
    struct percept_model *model = small_open(&s);
    struct percept_session *session = small_session(model);
    const float *y = small_run(session, 1, DIMS(1), (float[]){0});
    for (int i = 0; i < PARTS; i++)
        ck_assert_float_eq(y[i], (float)i);
    percept_session_free(session);
    percept_close(model);
}
END_TEST

/* Nodes may stand in any order, and what the first of them reads is the first of all values. */
START_TEST(identities_vanish_wherever_they_stand)
{
    struct small s = small_begin();
    small_output(&s, "y", 1, DIMS(3));
    small_nodes(&s, "Abs b > y; Identity c > b");
    struct proto random = proto_node("RandomUniform", "", "", "c");
    proto_attr_ints(&random, "shape", 1, DIMS(3));
    proto_add(&s.graph, GRAPH_NODE, random);
    struct percept_model *model = small_open(&s);
    ck_assert_int_eq(small_describe(model).n_steps, 2);
    struct percept_session *session = small_session(model);
    struct percept_err err = {0};
    ck_assert_msg(percept_run(session, NULL, &err), "%s", err.text);
    percept_session_free(session);
    percept_close(model);
}
END_TEST

/* What passes its input on does not stand between nodes that are one. */
START_TEST(identities_do_not_part_what_is_fused)
{
    static const char *const between[] = {"Identity a > b;", "Identity a > c; Identity c > b;", "Dropout a > b;"};
    for (size_t i = 0; i < sizeof between / sizeof *between; i++) {
        struct small s = small_xy(2, DIMS(-1, 3));
        char nodes[200];
        small_weights(&s, "w", 2, DIMS(3, 4), 1);
        snprintf(nodes, sizeof nodes, "Gemm x,w > a; %s Relu b > y", between[i]);
        small_nodes(&s, nodes);
        struct percept_model *model = small_open(&s);
        const int n = small_describe(model).n_steps;
        ck_assert_msg(n == 1, "%s: %d steps", between[i], n);
        percept_close(model);
    }
}
END_TEST

START_TEST(an_output_may_be_an_input_or_a_constant)
{
    struct small s = small_begin();
    small_input(&s, "x", 1, DIMS(2));
    small_output(&s, "same", 1, DIMS(2));
    small_output(&s, "fixed", 1, DIMS(2));
    small_floats(&s, "c", 1, DIMS(2), (float[]){7, 8});
    small_node(&s, "Identity", "x", "same");
    small_node(&s, "Neg", "c", "fixed");
    struct percept_model *model = small_open(&s);
    struct percept_session *session = small_session(model);
    const float *y = small_run(session, 1, DIMS(2), (float[]){3, 4});
    ck_assert_float_eq(y[1], 4);
    const float *fixed = percept_output(session, 1).data;
    ck_assert_float_eq(fixed[0], -7);
    percept_session_free(session);
    percept_close(model);
}
END_TEST

START_TEST(all_operators_that_are_lacking_are_named)
{
    struct small s = small_begin();
    small_input(&s, "x", 1, DIMS(2));
    small_output(&s, "y", 1, DIMS(2));
    small_node(&s, "Frobnicate", "x", "a");
    small_node(&s, "Frobnicate", "a", "b");
    small_node(&s, "Relu", "b", "c");
    small_node(&s, "Quux", "c", "y");
    const struct percept_err err = small_refused(&s, NULL, "'Frobnicate', 'Quux'");
    ck_assert_ptr_null(strstr(err.text, "'Frobnicate', 'Frobnicate'"));
}
END_TEST

START_TEST(what_was_laid_out_for_one_processor_is_to_be_saved_again)
{
    struct small s = small_xy(1, DIMS(2));
    struct proto node = proto_node("ReorderInput", "", "x", "y");
    proto_text(&node, NODE_DOMAIN, "com.microsoft.nchwc");
    proto_add(&s.graph, GRAPH_NODE, node);
    struct proto file = small_end(&s);
    proto_add(&file, MODEL_OPSET_IMPORT, proto_opset("com.microsoft.nchwc", 1));
    small_refused_bytes(file.at, file.n, NULL,
                        "'com.microsoft.nchwc.ReorderInput' (ONNX Runtime laid it out for one kind of "
                        "processor: save it with the optimization level 'extended')");
    proto_free(&file);
}
END_TEST

START_TEST(what_is_no_network_is_told_so)
{
    static const char *const kinds[] = {"TreeEnsembleClassifier", "TreeEnsembleRegressor", "TreeEnsemble",
                                        "SVMClassifier", "SVMRegressor"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char want[200];
        struct small s = small_xy(2, DIMS(-1, 2));
        proto_add(&s.graph, GRAPH_NODE, proto_ml(kinds[i], "x", "y"));
        struct proto file = small_end(&s);
        proto_add(&file, MODEL_OPSET_IMPORT, proto_opset("ai.onnx.ml", 3));
        snprintf(want, sizeof want,
                 "'ai.onnx.ml.%s' (trees and support vector machines are no neural networks; linear "
                 "models and perceptrons would work)",
                 kinds[i]);
        small_refused_bytes(file.at, file.n, NULL, want);
        proto_free(&file);
    }
}
END_TEST

/* Seen by UndefinedBehaviorSanitizer when the trial plan reads them where the file has them. */
START_TEST(constants_may_lie_at_any_address)
{
    for (int gap = 0; gap < 8; gap++) {
        struct small s = small_begin();
        proto_text(&s.graph, GRAPH_NAME, &"sevenxx"[gap % 8]);
        small_input(&s, "x", 2, DIMS(-1, 6));
        small_output(&s, "y", 3, DIMS(-1, 2, 3));
        small_ints(&s, "shape", 3, (int64_t[]){-1, 2, 3});
        small_floats(&s, "one", 1, DIMS(1), (float[]){1});
        small_node(&s, "Reshape", "x,shape", "r");
        small_node(&s, "Add", "r,one", "y");
        struct percept_model *model = small_open(&s);
        struct percept_session *session = small_session(model);
        const float *y = small_run(session, 2, DIMS(1, 6), (float[]){1, 2, 3, 4, 5, 6});
        ck_assert_float_eq(y[5], 7);
        percept_session_free(session);
        percept_close(model);
    }
}
END_TEST

/* Seen by the fuzzer: tables are made before anybody judged how large the output is. */
START_TEST(tables_of_constants_end_where_a_sessions_memory_ends)
{
    struct small s = small_begin();
    small_input(&s, "x", 1, DIMS(1));
    small_output(&s, "y", 1, DIMS(-1));
    small_floats(&s, "one", 1, DIMS(1), (float[]){1});
    small_floats(&s, "scale", 1, DIMS(1), (float[]){1e6f});
    small_node(&s, "Resize", "one,,scale", "large");
    small_node(&s, "Add", "x,large", "y");
    const struct percept_options options = {.memory_limit_bytes = 1 << 20};
    small_refused(&s, &options, "a resize's tables");
}
END_TEST

Suite *engine_fold_suite(void);
Suite *engine_fold_suite(void)
{
    Suite *suite = suite_create("engine_fold");
    TCase *tests = tcase_create("fold");
    tcase_add_test(tests, nodes_over_constants_are_computed_at_load);
    tcase_add_test(tests, identities_and_unread_nodes_leave_no_step);
    tcase_add_test(tests, identities_vanish_wherever_they_stand);
    tcase_add_test(tests, identities_stay_where_memory_is_short);
    tcase_add_test(tests, a_node_may_have_many_inputs);
    tcase_add_test(tests, identities_do_not_part_what_is_fused);
    tcase_add_test(tests, an_output_may_be_an_input_or_a_constant);
    tcase_add_test(tests, all_operators_that_are_lacking_are_named);
    tcase_add_test(tests, what_is_no_network_is_told_so);
    tcase_add_test(tests, what_was_laid_out_for_one_processor_is_to_be_saved_again);
    tcase_add_test(tests, constants_may_lie_at_any_address);
    tcase_add_test(tests, tables_of_constants_end_where_a_sessions_memory_ends);
    suite_add_tcase(suite, tests);
    return suite;
}
