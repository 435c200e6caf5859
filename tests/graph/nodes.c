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
    }
    refused(with_node(node), "node 'n' (Op): it has more than 256 attributes");
}
END_TEST

Suite *graph_nodes_suite(void)
{
    TCase *tests;
    Suite *suite = reading_suite("graph_nodes", &tests);
    tcase_add_test(tests, left_out_inputs_are_minus_one);
    tcase_add_test(tests, nodes_without_a_name_get_one);
    tcase_add_test(tests, a_node_has_a_bounded_number_of_attributes);
    return suite;
}
