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

Suite *graph_graphs_suite(void)
{
    TCase *tests;
    Suite *suite = reading_suite("graph_graphs", &tests);
    tcase_add_test(tests, an_input_with_an_initializer_is_no_input);
    tcase_add_test(tests, a_graph_without_nodes_passes_its_input_on);
    tcase_add_test(tests, broken_graphs_are_refused_by_name);
    tcase_add_test(tests, duplicates_are_refused);
    tcase_add_test(tests, the_maps_of_a_zip_map_are_a_table);
    return suite;
}
