/* graphs.c - graphs are whole, or refused by name. */
#include "reading.h"

START_TEST(an_input_with_an_initializer_is_no_input)
{
    struct proto graph = face("x", "y");
    proto_add(&graph, GRAPH_INPUT, proto_value("w", PERCEPT_FLOAT, 1, four));
    proto_add(&graph, GRAPH_INITIALIZER, proto_tensor("w", PERCEPT_FLOAT, 1, four, (float[4]){0}, 16));
    proto_add(&graph, GRAPH_NODE, proto_node("Add", "add", "x,w", "y"));
    accepted(proto_model(graph, 13));
    ck_assert_int_eq(model.graph->n_inputs, 1);
}
END_TEST

START_TEST(a_graph_without_nodes_passes_its_input_on)
{
    accepted(proto_model(face("x", "x"), 13));
    ck_assert_int_eq(model.graph->outputs[0], model.graph->inputs[0]);
}
END_TEST

START_TEST(broken_graphs_are_refused_by_name)
{
    refused(with_node(proto_node("Relu", "r", "ghost", "y")), "node 'r' (Relu): input 'ghost'");
    refused(with_node(proto_node("Relu", "r", "y", "y")), "cycle");
    refused(with_node(proto_node("Relu", "r", "x", "x")), "also an input of the graph");
    refused(with_node(proto_node("Relu", "r", "x", "z")), "output 'y' is undefined");
    refused(with_node(proto_node("", "r", "x", "y")), "node 'r' (number 0) has no op_type");
    struct proto graph = {0};
    proto_add(&graph, GRAPH_NODE, proto_node("Relu", "r", "x", "y"));
    refused(proto_model(graph, 13), "node 'r' (Relu): input 'x'");
    refused(proto_model((struct proto){0}, 13), "no outputs");
}
END_TEST

START_TEST(duplicates_are_refused)
{
    struct proto graph = face("x", "y");
    proto_add(&graph, GRAPH_INPUT, proto_value("x", PERCEPT_FLOAT, 1, four));
    refused(proto_model(graph, 13), "input 'x' is there twice");
    graph = face("x", "x");
    proto_add(&graph, GRAPH_OUTPUT, proto_value("x", PERCEPT_FLOAT, 1, four));
    refused(proto_model(graph, 13), "output 'x' is there twice");
    graph = face("x", "x");
    for (int i = 0; i < 2; i++)
        proto_add(&graph, GRAPH_INITIALIZER, proto_tensor("w", PERCEPT_FLOAT, 1, four, (float[4]){0}, 16));
    refused(proto_model(graph, 13), "initializer 'w' is there twice");
    struct proto node = proto_node("Op", "n", "x", "y");
    proto_attr_int(&node, "axis", 1);
    proto_attr_int(&node, "axis", 2);
    refused(with_node(node), "attribute 'axis' is there twice");
}
END_TEST

/* x -> y by a node of ai.onnx.ml, y declared as a sequence. */
static struct proto maps_of(const char *op_type)
{
    struct proto graph = {0};
    proto_add(&graph, GRAPH_INPUT, proto_value("x", PERCEPT_FLOAT, 1, four));
    proto_add(&graph, GRAPH_NODE, proto_ml(op_type, "x", "y"));
    proto_add(&graph, GRAPH_OUTPUT, proto_maps("y"));
    struct proto made = proto_model(graph, 13);
    proto_add(&made, MODEL_OPSET_IMPORT, proto_opset("ai.onnx.ml", 1));
    return made;
}

START_TEST(the_maps_of_a_zip_map_are_a_table)
{
    accepted(maps_of("ZipMap"));
    ck_assert_int_eq(value_of(model.graph, "y")->dtype, PERCEPT_FLOAT);
    ck_assert_int_eq(value_of(model.graph, "y")->rank, -1);
    again();
    refused(maps_of("CastMap"), "output 'y' is a sequence; only tensors can go in and out");
    again();
    struct proto graph = {0};
    proto_add(&graph, GRAPH_INPUT, proto_value("x", PERCEPT_FLOAT, 1, four));
    proto_add(&graph, GRAPH_NODE, proto_node("ZipMap", "", "x", "y")); /* of another domain */
    proto_add(&graph, GRAPH_OUTPUT, proto_maps("y"));
    refused(proto_model(graph, 13), "output 'y' is a sequence");
}
END_TEST

START_TEST(inputs_of_a_subgraph_are_its_own_and_need_no_type)
{
    struct proto graph = body(proto_node("Add", "r", "i,j", "z"), "z"), input = {0};
    proto_text(&input, VALUE_INFO_NAME, "i");
    proto_add(&graph, GRAPH_INPUT, input);
    proto_add(&graph, GRAPH_INPUT, proto_value("j", PERCEPT_FLOAT, 1, four));
    accepted(with_node(node_with_body("n", "y", graph)));
    const struct graph *inner = body_of(model.graph, 0);
    ck_assert_int_eq(inner->n_inputs, 2);
    ck_assert_int_eq(value_of(inner, "i")->outer, -1);
    ck_assert_int_eq(value_of(inner, "j")->outer, -1);
    ck_assert_int_eq(graph_find(model.graph, bytes_of_text("i")), -1);
}
END_TEST

START_TEST(a_subgraph_captures_neither_what_it_makes_nor_its_constants)
{
    struct proto graph = body(proto_node("Add", "r", "w,x", "z"), "z");
    proto_add(&graph, GRAPH_INITIALIZER, proto_tensor("w", PERCEPT_FLOAT, 1, four, (float[4]){0}, 16));
    accepted(with_node(node_with_body("n", "y", graph)));
    const struct graph *inner = body_of(model.graph, 0);
    ck_assert_int_eq(value_of(inner, "w")->outer, -1);
    ck_assert_int_eq(value_of(inner, "z")->outer, -1);
    ck_assert_int_eq(value_of(inner, "x")->outer, model.graph->inputs[0]);
    ck_assert_int_eq(graph_find(model.graph, bytes_of_text("w")), -1);
}
END_TEST

/* Each attribute's numbers lie behind the list of attributes: none of them is one. */
START_TEST(numbers_of_attributes_are_no_attributes)
{
    int64_t ones[100];
    for (int i = 0; i < 100; i++)
        ones[i] = 1;
    for (int n = 1; n < 3; n++) {
        struct proto graph = face("x", "y"), node = proto_node("Op", "n", "x", "y");
        proto_attr_ints(&node, "a", 100, ones);
        if (n == 2)
            proto_attr_ints(&node, "b", 100, ones);
        proto_add(&graph, GRAPH_NODE, node);
        accepted(proto_model(graph, 13));
        ck_assert_int_eq(model.graph->nodes[0].n_attr, n);
        again();
    }
}
END_TEST

START_TEST(parameters_are_counted_in_all_graphs)
{
    struct proto inner = body(proto_node("Add", "r", "x,v", "z"), "z"), graph = face("x", "y");
    proto_add(&inner, GRAPH_INITIALIZER, proto_tensor("v", PERCEPT_FLOAT, 1, four, (float[4]){0}, 16));
    proto_add(&graph, GRAPH_INITIALIZER, proto_tensor("w", PERCEPT_FLOAT, 1, four, (float[4]){0}, 16));
    proto_add(&graph, GRAPH_INITIALIZER, proto_tensor("s", PERCEPT_FLOAT, 0, NULL, (float[1]){0}, 4));
    proto_add(&graph, GRAPH_INITIALIZER, proto_tensor("u", 17, 1, four, "abcd", 4)); /* of no size that we know */
    proto_add(&graph, GRAPH_NODE, node_with_body("n", "y", inner));
    accepted(proto_model(graph, 13));
    ck_assert_int_eq(model.n_parameters, 9);
    const struct value *w = value_of(model.graph, "w");
    ck_assert_int_eq((int)w->dtype, PERCEPT_FLOAT);
    ck_assert_int_eq(w->rank, 1);
    ck_assert_int_eq(w->dims[0], 4);
}
END_TEST

START_TEST(types_without_support_are_refused_in_subgraphs_too)
{
    struct proto inner = body(proto_node("Add", "r", "x,v", "z"), "z");
    proto_add(&inner, GRAPH_INITIALIZER, proto_tensor("v", 17, 1, four, "abcd", 4));
    refused(with_node(node_with_body("n", "y", inner)), "initializer 'v' is of type float8e4m3fn");
    ck_assert_int_eq(err.code, ERR_UNSUPPORTED);
}
END_TEST

START_TEST(what_has_no_name_is_refused)
{
    struct proto graph = face("x", "x"), nul = {0};
    proto_add(&graph, GRAPH_INITIALIZER, proto_tensor("", PERCEPT_FLOAT, 1, four, (float[4]){0}, 16));
    refused(proto_model(graph, 13), "an initializer has no name");
    graph = face("x", "x");
    nul = proto_tensor("", PERCEPT_FLOAT, 1, four, (float[4]){0}, 16);
    proto_bytes(&nul, TENSOR_NAME, "a\0b", 3);
    proto_add(&graph, GRAPH_INITIALIZER, nul);
    refused(proto_model(graph, 13), "an initializer has no name, or one with a NUL byte");
    refused(proto_model(face("", "x"), 13), "an input of the graph has no name");
    graph = face("x", "x");
    nul = proto_value("", PERCEPT_FLOAT, 1, four);
    proto_bytes(&nul, VALUE_INFO_NAME, "a\0b", 3);
    proto_add(&graph, GRAPH_INPUT, nul);
    refused(proto_model(graph, 13), "an input of the graph has no name, or one with a NUL byte");
    refused(proto_model(face("x", ""), 13), "an output of the graph has no name");
}
END_TEST

/* Readers count before they read: what is there has its room at once, and no more. */
START_TEST(a_graph_is_given_the_room_that_it_needs)
{
    struct proto graph = face("i0", "o0");
    char from[8], to[8];
    for (int i = 1; i < 20; i++) {
        snprintf(from, sizeof from, "i%d", i);
        proto_add(&graph, GRAPH_INPUT, proto_value(from, PERCEPT_FLOAT, 1, four));
        snprintf(from, sizeof from, "w%d", i);
        proto_add(&graph, GRAPH_INITIALIZER, proto_tensor(from, PERCEPT_FLOAT, 1, four, (float[4]){0}, 16));
    }
    for (int i = 0; i < 30; i++) {
        snprintf(from, sizeof from, "i%d", i % 20);
        snprintf(to, sizeof to, "o%d", i);
        proto_add(&graph, GRAPH_NODE, proto_node("Relu", "", from, to));
        if (i > 0 && i < 5)
            proto_add(&graph, GRAPH_OUTPUT, proto_value(to, PERCEPT_FLOAT, 1, four));
    }
    accepted(proto_model(graph, 13));
    ck_assert_int_eq(model.graph->n_inputs, 20);
    ck_assert_int_eq(model.graph->n_outputs, 5);
    ck_assert_int_eq(model.graph->cap_nodes, 30);
    ck_assert_int_eq(model.graph->n_values, 20 + 19 + 30);
    ck_assert_int_eq(model.graph->cap_values, 20 + 19 + 30);
    for (int i = 1; i < 20; i++)
        ck_assert_int_eq(model.graph->inputs[i], model.graph->inputs[0] + i);
}
END_TEST

/* Without nodes the table of names lies behind the last value. */
START_TEST(what_lies_behind_the_last_value_is_none)
{
    char name[16];
    for (int n = 17; n < 64; n++) {
        struct proto graph = face("x", "x");
        for (int i = 1; i < n; i++) {
            snprintf(name, sizeof name, "i%d", i);
            proto_add(&graph, GRAPH_INPUT, proto_value(name, PERCEPT_FLOAT, 1, four));
        }
        accepted(proto_model(graph, 13));
        ck_assert_int_eq(model.graph->cap_values, n);
        again();
    }
}
END_TEST

START_TEST(a_broken_graph_is_told)
{
    struct proto graph = face("x", "x");
    proto_raw(&graph, "\x0b", 1);
    refused(proto_model(graph, 13), "graph: there is a protobuf group");
}
END_TEST

Suite *graph_graphs_suite(void)
{
    TCase *tests;
    Suite *suite = reading_suite("graph_graphs", &tests);
    tcase_add_test(tests, an_input_with_an_initializer_is_no_input);
    tcase_add_test(tests, a_graph_without_nodes_passes_its_input_on);
    tcase_add_test(tests, broken_graphs_are_refused_by_name);
    tcase_add_test(tests, duplicates_are_refused);
    tcase_add_test(tests, the_maps_of_a_zip_map_are_a_table);
    tcase_add_test(tests, inputs_of_a_subgraph_are_its_own_and_need_no_type);
    tcase_add_test(tests, a_subgraph_captures_neither_what_it_makes_nor_its_constants);
    tcase_add_test(tests, numbers_of_attributes_are_no_attributes);
    tcase_add_test(tests, parameters_are_counted_in_all_graphs);
    tcase_add_test(tests, types_without_support_are_refused_in_subgraphs_too);
    tcase_add_test(tests, what_has_no_name_is_refused);
    tcase_add_test(tests, a_graph_is_given_the_room_that_it_needs);
    tcase_add_test(tests, what_lies_behind_the_last_value_is_none);
    tcase_add_test(tests, a_broken_graph_is_told);
    return suite;
}
