/* nodes.c - nodes are read with what they have and what they leave out. */
#include "reading.h"

START_TEST(left_out_inputs_are_minus_one)
{
    accepted(with_node(proto_node("Clip", "clip", "x,,x", "y")));
    ck_assert_int_eq(model.graph->nodes[0].n_in, 3);
    ck_assert_int_eq(model.graph->nodes[0].in[1], -1);
}
END_TEST

START_TEST(nodes_without_a_name_get_one)
{
    struct proto graph = face("x", "y");
    proto_add(&graph, GRAPH_NODE, proto_node("Relu", "", "x", "m"));
    proto_add(&graph, GRAPH_NODE, proto_node("Neg", "", "m", "y"));
    accepted(proto_model(graph, 13));
    ck_assert(bytes_is(model.graph->nodes[0].name, "Relu_0"));
    ck_assert(bytes_is(model.graph->nodes[1].name, "Neg_1"));
}
END_TEST

START_TEST(a_node_has_a_bounded_number_of_attributes)
{
    struct proto node = proto_node("Op", "n", "x", "y");
    char name[8];
    for (int i = 0; i < 257; i++) {
        snprintf(name, sizeof name, "a%d", i);
        proto_attr_int(&node, name, i);
        if (i == 255) {
            struct proto most = {0};
            proto_raw(&most, node.at, node.n);
            accepted(with_node(most));
            ck_assert_int_eq(model.graph->nodes[0].n_attr, 256);
            again();
        }
    }
    refused(with_node(node), "node 'n' (Op): it has more than 256 attributes");
}
END_TEST

START_TEST(a_node_is_read_with_all_that_it_has)
{
    struct proto node = proto_node("Op", "n", "x,,x", "y,,z");
    proto_text(&node, NODE_DOMAIN, "d");
    proto_attr_int(&node, "a", 1);
    proto_attr_int(&node, "b", 2);
    struct proto made = with_node(node);
    proto_add(&made, MODEL_OPSET_IMPORT, proto_opset("d", 4));
    accepted(made);
    const struct node *n = &model.graph->nodes[0];
    ck_assert(bytes_is(n->name, "n") && bytes_is(n->op_type, "Op") && bytes_is(n->domain, "d"));
    ck_assert_int_eq(n->opset, 4);
    ck_assert_int_eq(n->n_out, 3);
    ck_assert_int_eq(n->out[1], -1);
    ck_assert_int_eq(value_of(model.graph, "z")->producer, 0);
    ck_assert_int_eq(n->n_attr, 2);
    ck_assert_int_eq(n->attrs[1].i, 2);
}
END_TEST

START_TEST(nodes_are_refused_where_a_name_has_a_nul)
{
    static const uint32_t tags[] = {NODE_NAME, NODE_OP_TYPE, NODE_DOMAIN, NODE_INPUT, NODE_OUTPUT};
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        struct proto node = proto_node("Op", "n", "x", "y");
        proto_bytes(&node, tags[i], "a\0b", 3);
        again();
        refused(with_node(node), "name 'a...' has a NUL byte");
        ck_assert_int_eq(err.code, ERR_MODEL);
    }
    struct proto node = proto_node("Op", "n", "x", "y"), attr = {0};
    proto_bytes(&attr, ATTRIBUTE_NAME, "a\0b", 3);
    proto_add(&node, NODE_ATTRIBUTE, attr);
    refused(with_node(node), "node 'n' (Op): attribute 'a");
}
END_TEST

START_TEST(a_broken_node_is_named_as_far_as_it_is_known)
{
    struct proto node = proto_node("Op", "n", "x", "y");
    proto_raw(&node, "\x0b", 1);
    refused(with_node(node), "node 'n' (Op): node: there is a protobuf group");
    struct proto graph = face("x", "y");
    proto_add(&graph, GRAPH_NODE, proto_node("Relu", "", "x", "m"));
    proto_add(&graph, GRAPH_NODE, proto_node("", "second", "m", "y"));
    refused(proto_model(graph, 13), "node 'second' (number 1) has no op_type");
}
END_TEST

Suite *graph_nodes_suite(void)
{
    TCase *tests;
    Suite *suite = reading_suite("graph_nodes", &tests);
    tcase_add_test(tests, left_out_inputs_are_minus_one);
    tcase_add_test(tests, nodes_without_a_name_get_one);
    tcase_add_test(tests, a_node_has_a_bounded_number_of_attributes);
    tcase_add_test(tests, a_node_is_read_with_all_that_it_has);
    tcase_add_test(tests, nodes_are_refused_where_a_name_has_a_nul);
    tcase_add_test(tests, a_broken_node_is_named_as_far_as_it_is_known);
    return suite;
}
