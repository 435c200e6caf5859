/* scope.c - names find their values, across the levels of a graph. */
#include "reading.h"

START_TEST(captures_reach_through_levels)
{
    struct proto inner = body(proto_node("Relu", "r", "x", "z"), "z");
    struct proto middle = body(node_with_body("in", "z", inner), "z");
    accepted(with_node(node_with_body("out", "y", middle)));
    const struct graph *first = body_of(model.graph, 0), *second = body_of(first, 0);
    ck_assert_ptr_eq(first->parent, model.graph);
    ck_assert_ptr_eq(second->parent, first);
    const struct value *x = value_of(second, "x");
    ck_assert_int_ge(x->outer, 0);
    const struct value *through = &first->values[x->outer];
    ck_assert(bytes_is(through->name, "x"));
    ck_assert_int_eq(through->outer, model.graph->inputs[0]);
    ck_assert_int_eq(value_of(model.graph, "x")->n_uses, 1);
}
END_TEST

START_TEST(a_subgraph_may_capture_what_comes_later)
{
    struct proto graph = face("x", "y");
    proto_add(&graph, GRAPH_NODE, node_with_body("user", "y", body(proto_node("Relu", "r", "late", "z"), "z")));
    proto_add(&graph, GRAPH_NODE, proto_node("Relu", "maker", "x", "late"));
    accepted(proto_model(graph, 13));
    ck_assert(bytes_is(model.graph->nodes[0].name, "maker"));
}
END_TEST

START_TEST(names_of_subgraphs_are_their_own)
{
    struct proto graph = face("x", "y");
    proto_add(&graph, GRAPH_NODE, node_with_body("user", "a", body(proto_node("Relu", "r", "x", "y"), "y")));
    proto_add(&graph, GRAPH_NODE, proto_node("Relu", "s", "a", "y"));
    accepted(proto_model(graph, 13));
    ck_assert_int_eq(value_of(body_of(model.graph, 0), "y")->outer, -1);
}
END_TEST

START_TEST(a_name_may_hold_anything_but_a_nul_byte)
{
    struct proto graph, node;
    for (int output = 0; output < 2; output++) {
        graph = face("x", "y");
        node = proto_node("Relu", "r", output ? "x" : "", "y");
        proto_bytes(&node, output ? NODE_OUTPUT : NODE_INPUT, "a\0b", 3);
        proto_add(&graph, GRAPH_NODE, node);
        refused(proto_model(graph, 13), "has a NUL byte");
    }
    graph = face("x", "y");
    proto_add(&graph, GRAPH_NODE, proto_node("Relu", "r", "x", "a\1b"));
    proto_add(&graph, GRAPH_NODE, proto_node("Relu", "s", "a\1b", "y"));
    accepted(proto_model(graph, 13));
}
END_TEST

START_TEST(what_no_level_defines_is_refused)
{
    refused(with_node(node_with_body("user", "y", body(proto_node("Relu", "r", "ghost", "z"), "z"))),
            "node 'user' (Op): input 'ghost' is undefined");
    refused(with_node(node_with_body("user", "y", body(proto_node("Relu", "r", "y", "z"), "z"))),
            "node 'user' (Op): the graph has a cycle");
}
END_TEST

Suite *graph_scope_suite(void)
{
    TCase *tests;
    Suite *suite = reading_suite("graph_scope", &tests);
    tcase_add_test(tests, captures_reach_through_levels);
    tcase_add_test(tests, a_subgraph_may_capture_what_comes_later);
    tcase_add_test(tests, names_of_subgraphs_are_their_own);
    tcase_add_test(tests, a_name_may_hold_anything_but_a_nul_byte);
    tcase_add_test(tests, what_no_level_defines_is_refused);
    return suite;
}
