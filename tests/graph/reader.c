/* reader.c - names, imports and where a sentence says that something is. */
#include "reading.h"

START_TEST(the_domain_ai_onnx_is_onnx_own)
{
    struct proto node = proto_node("Relu", "n", "x", "y");
    proto_text(&node, NODE_DOMAIN, "ai.onnx");
    accepted(with_node(node));
    ck_assert_uint_eq(bytes_size(model.graph->nodes[0].domain), 0);
}
END_TEST

START_TEST(a_domain_that_is_not_imported_is_refused)
{
    struct proto node = proto_node("Gelu", "g", "x", "y");
    proto_text(&node, NODE_DOMAIN, "com.example");
    refused(with_node(node), "node 'g' (Gelu): the model imports no version of its domain 'com.example'");
}
END_TEST

START_TEST(names_with_a_nul_are_refused)
{
    struct proto node = {0};
    proto_bytes(&node, NODE_INPUT, "x\0y", 3);
    proto_text(&node, NODE_OP_TYPE, "Relu");
    refused(with_node(node), "NUL");
}
END_TEST

START_TEST(a_domain_is_imported_in_one_version)
{
    struct proto made = with_node(proto_node("Relu", "r", "x", "y"));
    proto_add(&made, MODEL_OPSET_IMPORT, proto_opset("ai.onnx", 13));
    proto_add(&made, MODEL_OPSET_IMPORT, proto_opset("other", 1));
    proto_add(&made, MODEL_OPSET_IMPORT, proto_opset("other", 2));
    refused(made, "domain 'other' is imported in two versions");
}
END_TEST

START_TEST(imports_are_bounded)
{
    for (int n = 64; n <= 65; n++) {
        struct proto made = with_node(proto_node("Relu", "r", "x", "y")); /* which imports one */
        for (int i = 1; i < n; i++) {
            char domain[16];
            snprintf(domain, sizeof domain, "d%d", i);
            proto_add(&made, MODEL_OPSET_IMPORT, proto_opset(domain, 1));
        }
        again();
        if (n == 64)
            accepted(made);
        else
            refused(made, "it imports 65 operator sets; at most 64 make sense");
    }
}
END_TEST

START_TEST(each_domain_has_the_version_that_it_is_imported_in)
{
    struct proto made = {0}, graph = face("x", "y"), node = proto_node("A", "", "x", "m");
    proto_text(&node, NODE_DOMAIN, "first");
    proto_add(&graph, GRAPH_NODE, node);
    node = proto_node("B", "", "m", "y");
    proto_text(&node, NODE_DOMAIN, "second");
    proto_add(&graph, GRAPH_NODE, node);
    proto_int(&made, MODEL_IR_VERSION, 8);
    proto_add(&made, MODEL_GRAPH, graph);
    proto_add(&made, MODEL_OPSET_IMPORT, proto_opset("first", 7));
    proto_add(&made, MODEL_OPSET_IMPORT, proto_opset("second", 5));
    proto_add(&made, MODEL_OPSET_IMPORT, proto_opset("first", 7)); /* the same again does no harm */
    proto_add(&made, MODEL_OPSET_IMPORT, proto_opset("ai.onnx", 12));
    accepted(made);
    ck_assert_int_eq(model.graph->nodes[0].opset, 7);
    ck_assert_int_eq(model.graph->nodes[1].opset, 5);
    ck_assert_int_eq(model.opset, 12);
}
END_TEST

START_TEST(a_broken_import_is_told)
{
    struct proto made = with_node(proto_node("Relu", "r", "x", "y")), import = proto_opset("d", 1);
    proto_raw(&import, "\x0b", 1);
    proto_add(&made, MODEL_OPSET_IMPORT, import);
    refused(made, "opset_import: there is a protobuf group");
}
END_TEST

/* Names may be as long as they like: what is wrong is still to be read, and where it begins. */
START_TEST(places_do_not_push_out_what_is_wrong)
{
    char deep[9][240];
    struct proto graph = body(proto_node("Relu", "innermost", "", "z"), "z"), broken = {0};
    proto_raw(&broken, "\x0b", 1);
    proto_add(&graph, GRAPH_NODE, broken);
    for (int i = 0; i < 9; i++) {
        memset(deep[i], 'a' + i, sizeof deep[i] - 1);
        deep[i][sizeof deep[i] - 1] = '\0';
        graph = body(node_with_body(deep[i], "z", graph), "z");
    }
    refused(with_node(node_with_body("outermost", "y", graph)), "there is a protobuf group");
    ck_assert_ptr_nonnull(strstr(err.text, "node 'aaaa"));
    ck_assert_ptr_null(strstr(err.text, "outermost"));
    again();
    graph = body(proto_node("Relu", "r", "ghost", "z"), "z");
    struct proto made = with_node(node_with_body("outer", "y", body(node_with_body("inner", "z", graph), "z")));
    refused(made, "node 'outer' (Op): input 'ghost' is undefined");
}
END_TEST

START_TEST(places_are_added_from_the_inside_out)
{
    struct proto node = proto_node("Op", "n", "x", "y");
    proto_attr_message(&node, "value", ATTR_TENSOR, ATTRIBUTE_T, proto_tensor("t", PERCEPT_FLOAT, 1, four, "abc", 3));
    struct proto outer = node_with_body("outer", "y", body(node, "y"));
    refused(with_node(outer), "node 'outer' (Op): attribute 'body': node 'n' (Op): attribute 'value': tensor 't': its");
}
END_TEST

Suite *graph_reader_suite(void)
{
    TCase *tests;
    Suite *suite = reading_suite("graph_reader", &tests);
    tcase_add_test(tests, the_domain_ai_onnx_is_onnx_own);
    tcase_add_test(tests, a_domain_that_is_not_imported_is_refused);
    tcase_add_test(tests, names_with_a_nul_are_refused);
    tcase_add_test(tests, a_domain_is_imported_in_one_version);
    tcase_add_test(tests, imports_are_bounded);
    tcase_add_test(tests, each_domain_has_the_version_that_it_is_imported_in);
    tcase_add_test(tests, a_broken_import_is_told);
    tcase_add_test(tests, places_do_not_push_out_what_is_wrong);
    tcase_add_test(tests, places_are_added_from_the_inside_out);
    return suite;
}
