/* inline.c - calls of functions become the nodes of their bodies. */
#include "reading.h"

static struct proto with_functions(struct proto call, int n, struct proto *functions)
{
    struct proto made = with_node(call);
    proto_add(&made, MODEL_OPSET_IMPORT, proto_opset("f", 1));
    for (int i = 0; i < n; i++)
        proto_add(&made, MODEL_FUNCTIONS, functions[i]);
    return made;
}

/* f(a) = Relu(Neg(a)) */
static struct proto twice_function(void)
{
    struct proto function = proto_function("twice", "a", "b");
    proto_add(&function, FUNCTION_NODE, proto_node("Neg", "neg", "a", "t"));
    proto_add(&function, FUNCTION_NODE, proto_node("Relu", "relu", "t", "b"));
    return function;
}

START_TEST(functions_are_inlined)
{
    struct proto function = twice_function();
    struct proto graph = face("x", "y");
    proto_add(&graph, GRAPH_NODE, proto_call("twice", "one", "x", "m"));
    proto_add(&graph, GRAPH_NODE, proto_call("twice", "two", "m", "y"));
    struct proto made = proto_model(graph, 13);
    proto_add(&made, MODEL_FUNCTIONS, function);
    accepted(made);
    ck_assert_int_eq(model.graph->n_nodes, 4);
    ck_assert(bytes_is(model.graph->nodes[0].op_type, "Neg"));
    ck_assert(bytes_is(model.graph->nodes[0].name, "twice_1/neg"));
    ck_assert_int_eq(model.graph->nodes[0].in[0], model.graph->inputs[0]);
    ck_assert_int_eq(model.graph->nodes[3].out[0], model.graph->outputs[0]);
    ck_assert_int_ne(model.graph->nodes[0].out[0], model.graph->nodes[2].out[0]);
    ck_assert(value_of(model.graph, "twice_2/t")->inlined);
    ck_assert(!value_of(model.graph, "m")->inlined);
}
END_TEST

START_TEST(functions_get_attributes_and_defaults)
{
    struct proto function = proto_function("fn", "a", "b"), node = proto_node("Op", "n", "a", "b");
    struct proto fallback = proto_attr("beta", ATTR_INT);
    proto_int(&fallback, ATTRIBUTE_I, 7);
    proto_text(&function, FUNCTION_ATTRIBUTE, "alpha");
    proto_text(&function, FUNCTION_ATTRIBUTE, "gamma");
    proto_add(&function, FUNCTION_ATTRIBUTE_PROTO, fallback);
    proto_attr_ref(&node, "inner_alpha", ATTR_FLOAT, "alpha");
    proto_attr_ref(&node, "inner_beta", ATTR_INT, "beta");
    proto_attr_ref(&node, "inner_gamma", ATTR_INT, "gamma");
    proto_add(&function, FUNCTION_NODE, node);
    struct proto call = proto_call("fn", "c", "x", "y");
    proto_attr_float(&call, "alpha", 0.25f);
    accepted(with_functions(call, 1, &function));
    const struct node *inlined = &model.graph->nodes[0];
    ck_assert_float_eq(graph_attr(inlined, "inner_alpha")->f, 0.25f);
    ck_assert_int_eq(graph_attr(inlined, "inner_beta")->i, 7);
    ck_assert_ptr_null(graph_attr(inlined, "inner_gamma"));
}
END_TEST

START_TEST(functions_call_functions)
{
    struct proto outer = proto_function("outer", "p", "q");
    proto_add(&outer, FUNCTION_NODE, proto_call("twice", "inner", "p", "q"));
    struct proto functions[] = {outer, twice_function()};
    accepted(with_functions(proto_call("outer", "c", "x", "y"), 2, functions));
    ck_assert_int_eq(model.graph->n_nodes, 2);
}
END_TEST

START_TEST(subgraphs_of_functions_capture_the_functions_names)
{
    struct proto function = proto_function("fn", "a", "b");
    proto_add(&function, FUNCTION_NODE, proto_node("Neg", "neg", "a", "t"));
    proto_add(&function, FUNCTION_NODE, node_with_body("n", "b", body(proto_node("Add", "r", "t,a", "z"), "z")));
    accepted(with_functions(proto_call("fn", "c", "x", "y"), 1, &function));
    const struct graph *inner = body_of(model.graph, 1);
    ck_assert_int_eq(value_of(inner, "a")->outer, model.graph->inputs[0]);
    ck_assert_int_eq(value_of(inner, "t")->outer, graph_find(model.graph, bytes_of_text("fn_1/t")));
}
END_TEST

START_TEST(an_input_passed_through_a_function_is_an_identity)
{
    struct proto function = proto_function("fn", "a", "a");
    accepted(with_functions(proto_call("fn", "c", "x", "y"), 1, &function));
    ck_assert_int_eq(model.graph->n_nodes, 1);
    ck_assert(bytes_is(model.graph->nodes[0].op_type, "Identity"));
}
END_TEST

START_TEST(inputs_left_out_of_a_call_are_left_out_inside)
{
    struct proto function = proto_function("fn", "a,b", "c");
    proto_add(&function, FUNCTION_NODE, proto_node("Clip", "clip", "a,b", "c"));
    accepted(with_functions(proto_call("fn", "c", "x", "y"), 1, &function));
    ck_assert_int_eq(model.graph->nodes[0].in[1], -1);
}
END_TEST

START_TEST(recursion_is_refused)
{
    struct proto function = proto_function("fn", "a", "b");
    proto_add(&function, FUNCTION_NODE, proto_call("fn", "again", "a", "b"));
    refused(with_functions(proto_call("fn", "c", "x", "y"), 1, &function), "the function calls itself");
}
END_TEST

START_TEST(calls_that_multiply_are_bounded)
{
    struct proto functions[40];
    char name[8], next[8];
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "f%d", i);
        snprintf(next, sizeof next, "f%d", i + 1);
        functions[i] = proto_function(name, "a", "b");
        proto_add(&functions[i], FUNCTION_NODE, proto_call(i < 39 ? next : "Relu", "l", "a", "t"));
        proto_add(&functions[i], FUNCTION_NODE, proto_call(i < 39 ? next : "Relu", "r", "t", "b"));
    }
    refused(with_functions(proto_call("f0", "c", "x", "y"), 40, functions), "inlined functions have more");
}
END_TEST

START_TEST(broken_functions_are_refused)
{
    struct proto function = proto_function("fn", "a", "b");
    refused(with_functions(proto_call("fn", "c", "x", "y"), 1, &function), "output 'b' is never computed");
    function = twice_function();
    refused(with_functions(proto_call("twice", "c", "x,x", "y"), 1, &function), "2 inputs");
    function = twice_function();
    struct proto call = proto_call("twice", "c", "x", "y");
    proto_attr_int(&call, "axis", 1);
    refused(with_functions(call, 1, &function), "does not declare");
    struct proto functions[] = {twice_function(), twice_function()};
    refused(with_functions(proto_call("twice", "c", "x", "y"), 2, functions), "function 'twice' is there twice");
    struct proto node = proto_node("Op", "n", "x", "y");
    proto_attr_ref(&node, "axis", ATTR_INT, "axis");
    refused(with_node(node), "refers to attribute 'axis' of a function, and is in none");
}
END_TEST

START_TEST(inlined_names_cannot_be_taken)
{
    struct proto graph = face("x", "y"), function = twice_function();
    proto_add(&graph, GRAPH_NODE, proto_call("twice", "c", "x", "m"));
    proto_add(&graph, GRAPH_NODE, proto_node("Relu", "r", "twice_1/t", "y"));
    struct proto made = proto_model(graph, 13);
    proto_add(&made, MODEL_FUNCTIONS, function);
    refused(made, "inlining a function makes");
}
END_TEST

Suite *graph_inline_suite(void)
{
    TCase *tests;
    Suite *suite = reading_suite("graph_inline", &tests);
    tcase_add_test(tests, functions_are_inlined);
    tcase_add_test(tests, functions_get_attributes_and_defaults);
    tcase_add_test(tests, functions_call_functions);
    tcase_add_test(tests, subgraphs_of_functions_capture_the_functions_names);
    tcase_add_test(tests, an_input_passed_through_a_function_is_an_identity);
    tcase_add_test(tests, inputs_left_out_of_a_call_are_left_out_inside);
    tcase_add_test(tests, recursion_is_refused);
    tcase_add_test(tests, calls_that_multiply_are_bounded);
    tcase_add_test(tests, broken_functions_are_refused);
    tcase_add_test(tests, inlined_names_cannot_be_taken);
    return suite;
}
