/* A batch of 1 in the file is freed where the graph allows it, and only there. */
#include <check.h>
#include <string.h>

#include "engine/rebatch.h"
#include "engine/small.h"

START_TEST(a_network_exported_with_a_batch_of_one_takes_any_batch)
{
    struct small s = small_begin();
    small_input(&s, "x", 4, DIMS(1, 2, 6, 6));
    small_output(&s, "y", 2, DIMS(1, 5));
    small_weights(&s, "w", 4, DIMS(3, 2, 3, 3), 1);
    small_weights(&s, "dense", 2, DIMS(48, 5), 2);
    small_ints(&s, "flat", 2, DIMS(1, -1));
    small_node(&s, "Conv", "x,w", "a");
    small_node(&s, "Reshape", "a,flat", "b");
    small_node(&s, "MatMul", "b,dense", "y");
    struct percept_model *model = small_open(&s);
    ck_assert(small_describe(model).batch_free);
    ck_assert(small_describe(model).batch_rewritten);
    int n;
    ck_assert_int_eq(percept_inputs(model, &n)->dims[0], -1);
    ck_assert_int_eq(percept_outputs(model, &n)->dims[0], -1);
    struct percept_session *session = small_session(model);
    static float x[3 * 72];
    for (int i = 0; i < 3 * 72; i++)
        x[i] = (float)(i % 13) - 6;
    float alone[5];
    memcpy(alone, small_run(session, 4, DIMS(1, 2, 6, 6), x + 2 * 72), sizeof alone);
    const float *y = small_run(session, 4, DIMS(3, 2, 6, 6), x);
    ck_assert_int_eq(memcmp(alone, y + 10, sizeof alone), 0);
    percept_session_free(session);
    percept_close(model);
}
END_TEST

/* A size in, its place and its long name out, said to come one by one. */
START_TEST(texts_exported_with_a_batch_of_one_take_any_batch)
{
    struct small s = small_begin();
    struct proto name = proto_ml("LabelEncoder", "size", "name"), place = proto_ml("LabelEncoder", "size", "place");
    proto_attr_texts(&name, "keys_strings", 2, (const char *const[]){"S", "L"});
    proto_attr_texts(&name, "values_strings", 2, (const char *const[]){"small", "large"});
    proto_attr_texts(&place, "keys_strings", 2, (const char *const[]){"S", "L"});
    proto_attr_ints(&place, "values_int64s", 2, DIMS(0, 1));
    proto_add(&s.graph, GRAPH_INPUT, proto_value("size", PERCEPT_STRING, 2, DIMS(1, 1)));
    proto_add(&s.graph, GRAPH_OUTPUT, proto_value("name", PERCEPT_STRING, 2, DIMS(1, 1)));
    proto_add(&s.graph, GRAPH_OUTPUT, proto_value("place", PERCEPT_INT64, 2, DIMS(1, 1)));
    proto_add(&s.graph, GRAPH_NODE, name);
    proto_add(&s.graph, GRAPH_NODE, place);
    struct proto file = small_end(&s);
    proto_add(&file, MODEL_OPSET_IMPORT, proto_opset("ai.onnx.ml", 2));
    struct percept_err err = {0};
    struct percept_model *model = percept_open_memory(file.at, file.n, NULL, &err);
    proto_free(&file);
    ck_assert_msg(model != NULL, "%s", err.text);
    ck_assert(small_describe(model).batch_free);
    ck_assert(small_describe(model).batch_rewritten);
    struct percept_session *session = small_session(model);
    ck_assert(percept_resize(session, 0, 2, DIMS(2, 1), &err));
    const struct percept_string sizes[] = {{"L", 1}, {"S", 1}};
    memcpy(percept_input(session, 0), sizes, sizeof sizes);
    ck_assert_msg(percept_run(session, NULL, &err), "%s", err.text);
    const struct percept_string *names = percept_output(session, 0).data;
    ck_assert(names[0].n_bytes == 5 && memcmp(names[0].at, "large", 5) == 0);
    ck_assert(names[1].n_bytes == 5 && memcmp(names[1].at, "small", 5) == 0);
    percept_session_free(session);
    percept_close(model);
}
END_TEST

/* As exporters write it when height and width alone were said to be free. */
START_TEST(a_batch_of_one_is_freed_beside_axes_that_are_free)
{
    struct small s = small_begin();
    small_input(&s, "x", 4, DIMS(1, 2, -1, -1));
    small_output(&s, "y", 3, DIMS(1, 3, -1));
    small_weights(&s, "w", 4, DIMS(3, 2, 30, 1), 1); /* higher than the usual guess */
    small_ints(&s, "flat", 3, DIMS(1, 3, -1));
    small_node(&s, "Conv", "x,w", "a");
    small_node(&s, "Reshape", "a,flat", "y");
    struct percept_model *model = small_open(&s);
    ck_assert(small_describe(model).batch_free);
    ck_assert(small_describe(model).batch_rewritten);
    struct percept_session *session = small_session(model);
    static float x[2 * 2 * 31 * 3];
    for (int i = 0; i < 372; i++)
        x[i] = (float)(i % 13) - 6;
    float alone[18];
    memcpy(alone, small_run(session, 4, DIMS(1, 2, 31, 3), x + 186), sizeof alone);
    const float *y = small_run(session, 4, DIMS(2, 2, 31, 3), x);
    ck_assert_int_eq(memcmp(alone, y + 18, sizeof alone), 0);
    percept_session_free(session);
    percept_close(model);
}
END_TEST

/* Windows of 24: one of them, as long as the trial's guess is 24. */
START_TEST(what_is_one_by_chance_is_no_batch)
{
    struct small s = small_begin();
    small_input(&s, "x", 2, DIMS(1, -1));
    small_output(&s, "y", 2, DIMS(1, -1));
    small_ints(&s, "windows", 2, DIMS(-1, 24));
    small_ints(&s, "back", 2, DIMS(1, -1));
    small_node(&s, "Reshape", "x,windows", "a");
    small_node(&s, "Relu", "a", "b");
    small_node(&s, "Reshape", "b,back", "y");
    struct percept_model *model = small_open(&s);
    ck_assert(!small_describe(model).batch_free);
    struct percept_session *session = small_session(model);
    static float x[48];
    ck_assert_ptr_nonnull(small_run(session, 2, DIMS(1, 48), x));
    ck_assert_int_eq(percept_output(session, 0).dims[1], 48);
    percept_session_free(session);
    percept_close(model);
}
END_TEST

/* Softmax over the first axis: items depend on each other. */
START_TEST(a_network_that_mixes_items_keeps_its_batch_of_one)
{
    struct small s = small_begin();
    small_input(&s, "x", 2, DIMS(1, 4));
    small_output(&s, "y", 2, DIMS(1, 4));
    small_node_int(&s, "Softmax", "x", "y", "axis", 0);
    struct percept_model *model = small_open(&s);
    ck_assert(!small_describe(model).batch_free);
    ck_assert(!small_describe(model).batch_rewritten);
    int n;
    ck_assert_int_eq(percept_inputs(model, &n)->dims[0], 1);
    percept_close(model);
}
END_TEST

START_TEST(a_free_batch_whose_items_are_mixed_is_no_batch)
{
    struct small s = small_begin();
    small_input(&s, "x", 2, DIMS(-1, 4));
    small_output(&s, "y", 2, DIMS(-1, 4));
    small_node_int(&s, "Softmax", "x", "y", "axis", 0);
    struct percept_model *model = small_open(&s);
    ck_assert(!small_describe(model).batch_free);
    percept_close(model);
}
END_TEST

/* A Reshape [1, -1] of something whose first axis is not 1 must not be touched. */
START_TEST(a_reshape_that_adds_an_axis_stays_as_it_is)
{
    struct small s = small_begin();
    small_input(&s, "x", 2, DIMS(1, 4));
    small_output(&s, "y", 2, DIMS(1, 4));
    small_weights(&s, "v", 1, DIMS(4), 5);
    small_ints(&s, "row", 2, DIMS(1, -1));
    small_node(&s, "Reshape", "v,row", "r");
    small_node(&s, "Mul", "x,r", "y");
    struct percept_model *model = small_open(&s);
    struct percept_session *session = small_session(model);
    const float *y = small_run(session, 2, DIMS(1, 4), (float[]){1, 1, 1, 1});
    ck_assert(y[0] != y[1]);
    ck_assert_int_eq(percept_output(session, 0).dims[1], 4);
    percept_session_free(session);
    percept_close(model);
}
END_TEST

/* Of what the Reshape reads the batch is the second axis: its first stays 1, and the batch is what is left over. */
START_TEST(a_reshape_takes_the_batch_from_behind)
{
    struct small s = small_xy(2, DIMS(1, 3));
    small_ints(&s, "to", 2, DIMS(1, 1));
    small_nodes(&s, "Abs x > a; ReduceMin a > m axes=1; Transpose m > t; Reshape t,to > r; Relu r > y");
    struct percept_model *model = small_open(&s);
    const struct percept_description d = small_describe(model);
    ck_assert_msg(d.batch_free && d.batch_rewritten, "%s", d.batch_reason);
    struct percept_session *session = small_session(model);
    const float *y = small_run(session, 2, DIMS(2, 3), (float[]){1, -2, 3, 6, 5, 4});
    ck_assert_float_eq(y[0], 1);
    ck_assert_float_eq(y[1], 4);
    percept_session_free(session);
    percept_close(model);
}
END_TEST

/* 24^5 elements of each item would be 32 MB. */
START_TEST(many_free_axes_are_made_up_small)
{
    struct small s = small_xy(6, DIMS(-1, -1, -1, -1, -1, -1));
    small_ints(&s, "along", 1, DIMS(5));
    small_node(&s, "CumSum", "x,along", "y");
    struct proto file = small_end(&s);
    struct percept_options options = {
        .size = sizeof options, .region = PERCEPT_REGION_PRIVATE, .memory_limit_bytes = (size_t)4 << 20};
    struct percept_err err = {0};
    struct percept_model *model = percept_open_memory(file.at, file.n, &options, &err);
    proto_free(&file);
    ck_assert_msg(model != NULL, "%s", err.text);
    ck_assert(small_describe(model).batch_free);
    percept_close(model);
}
END_TEST

START_TEST(few_made_up_elements_still_tell_mixed_items)
{
    struct small s = small_xy(6, DIMS(-1, -1, -1, -1, -1, -1));
    small_ints(&s, "along", 1, DIMS(0));
    small_node(&s, "CumSum", "x,along", "y");
    struct percept_model *model = small_open(&s);
    ck_assert(!small_describe(model).batch_free);
    percept_close(model);
}
END_TEST

Suite *engine_rebatch_suite(void);
Suite *engine_rebatch_suite(void)
{
    Suite *suite = suite_create("engine_rebatch");
    TCase *tests = tcase_create("rebatch");
    tcase_add_test(tests, a_network_exported_with_a_batch_of_one_takes_any_batch);
    tcase_add_test(tests, texts_exported_with_a_batch_of_one_take_any_batch);
    tcase_add_test(tests, a_batch_of_one_is_freed_beside_axes_that_are_free);
    tcase_add_test(tests, what_is_one_by_chance_is_no_batch);
    tcase_add_test(tests, a_network_that_mixes_items_keeps_its_batch_of_one);
    tcase_add_test(tests, a_free_batch_whose_items_are_mixed_is_no_batch);
    tcase_add_test(tests, a_reshape_that_adds_an_axis_stays_as_it_is);
    tcase_add_test(tests, a_reshape_takes_the_batch_from_behind);
    tcase_add_test(tests, many_free_axes_are_made_up_small);
    tcase_add_test(tests, few_made_up_elements_still_tell_mixed_items);
    suite_add_tcase(suite, tests);
    return suite;
}
