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

Suite *graph_reader_suite(void)
{
    TCase *tests;
    Suite *suite = reading_suite("graph_reader", &tests);
    tcase_add_test(tests, the_domain_ai_onnx_is_onnx_own);
    tcase_add_test(tests, a_domain_that_is_not_imported_is_refused);
    tcase_add_test(tests, names_with_a_nul_are_refused);
    tcase_add_test(tests, a_domain_is_imported_in_one_version);
    return suite;
}
