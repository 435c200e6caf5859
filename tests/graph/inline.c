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

START_TEST(functions_are_told_apart_by_domain_name_and_overload)
{
    static const char *const names[] = {"n", "n", "n", "nd"}, *const domains[] = {"d", "dn", "d", ""},
                             *const overloads[] = {"", "", "v", ""}, *const ops[] = {"Neg", "Abs", "Exp", "Sin"};
    struct proto graph = face("x", "y3"), functions[4] = {{0}};
    for (int i = 0; i < 4; i++) {
        struct proto call = {0};
        char out[4];
        snprintf(out, sizeof out, "y%d", i);
        proto_text(&functions[i], FUNCTION_NAME, names[i]);
        proto_text(&functions[i], FUNCTION_DOMAIN, domains[i]);
        proto_text(&functions[i], FUNCTION_OVERLOAD, overloads[i]);
        proto_text(&functions[i], FUNCTION_INPUT, "a");
        proto_text(&functions[i], FUNCTION_OUTPUT, "b");
        proto_add(&functions[i], FUNCTION_NODE, proto_node(ops[i], "", "a", "b"));
        call = proto_node(names[i], "", "x", out);
        proto_text(&call, NODE_DOMAIN, i == 3 ? "ai.onnx" : domains[i]);
        proto_text(&call, NODE_OVERLOAD, overloads[i]);
        proto_add(&graph, GRAPH_NODE, call);
    }
    struct proto made = proto_model(graph, 13);
    for (int i = 0; i < 4; i++)
        proto_add(&made, MODEL_FUNCTIONS, functions[i]);
    accepted(made);
    ck_assert_int_eq(model.graph->n_nodes, 4);
    for (int i = 0; i < 4; i++)
        ck_assert(bytes_is(model.graph->nodes[i].op_type, ops[i]));
}
END_TEST

START_TEST(a_function_may_take_nothing)
{
    struct proto function = proto_function("fn", "", "b"), graph = {0};
    proto_add(&function, FUNCTION_NODE, proto_node("Constant", "k", "", "b"));
    proto_add(&graph, GRAPH_NODE, proto_call("fn", "c", "", "y"));
    proto_add(&graph, GRAPH_OUTPUT, proto_value("y", PERCEPT_FLOAT, 1, four));
    struct proto made = proto_model(graph, 13);
    proto_add(&made, MODEL_FUNCTIONS, function);
    accepted(made);
    ck_assert_int_eq(model.graph->n_nodes, 1); /* which makes y itself, the first value of all */
    ck_assert_int_eq(model.graph->nodes[0].out[0], 0);
}
END_TEST

START_TEST(an_operator_beside_functions_is_no_call)
{
    struct proto function = twice_function();
    accepted(with_functions(proto_node("twice", "own", "x", "y"), 1, &function)); /* of ONNX's domain */
    ck_assert_int_eq(model.graph->n_nodes, 1);
    ck_assert(bytes_is(model.graph->nodes[0].name, "own"));
}
END_TEST

START_TEST(a_function_has_opsets_of_its_own)
{
    struct proto function = {0}, other = proto_node("Op", "own", "a", "t");
    proto_text(&function, FUNCTION_NAME, "fn");
    proto_text(&function, FUNCTION_DOMAIN, "f");
    proto_text(&function, FUNCTION_INPUT, "a");
    proto_text(&function, FUNCTION_OUTPUT, "b");
    proto_add(&function, FUNCTION_OPSET_IMPORT, proto_opset("", 9));
    proto_text(&other, NODE_DOMAIN, "of.model");
    proto_add(&function, FUNCTION_NODE, other);
    proto_add(&function, FUNCTION_NODE, proto_node("Relu", "r", "t", "b"));
    struct proto graph = face("x", "y");
    proto_add(&graph, GRAPH_NODE, proto_call("fn", "c", "x", "m"));
    proto_add(&graph, GRAPH_NODE, proto_node("Relu", "r", "m", "y"));
    struct proto made = proto_model(graph, 13);
    proto_add(&made, MODEL_OPSET_IMPORT, proto_opset("of.model", 3));
    proto_add(&made, MODEL_FUNCTIONS, function);
    accepted(made);
    ck_assert_int_eq(model.graph->nodes[0].opset, 3); /* which the function does not import */
    ck_assert_int_eq(model.graph->nodes[1].opset, 9);
    ck_assert_int_eq(model.graph->nodes[2].opset, 13);
}
END_TEST

START_TEST(a_call_overrides_defaults_one_by_one)
{
    struct proto function = proto_function("fn", "a", "b"), node = proto_node("Op", "n", "a", "b");
    static const char *const names[] = {"p", "q", "r"};
    for (int i = 0; i < 3; i++) {
        struct proto fallback = proto_attr(names[i], ATTR_INT);
        proto_int(&fallback, ATTRIBUTE_I, 10 + i);
        proto_add(&function, FUNCTION_ATTRIBUTE_PROTO, fallback);
        proto_attr_ref(&node, names[i], ATTR_INT, names[i]);
    }
    proto_text(&function, FUNCTION_ATTRIBUTE, "s");
    proto_attr_ref(&node, "s", ATTR_INT, "s");
    proto_add(&function, FUNCTION_NODE, node);
    struct proto call = proto_call("fn", "c", "x", "y");
    proto_attr_int(&call, "q", 5);
    proto_attr_int(&call, "s", 6);
    accepted(with_functions(call, 1, &function));
    const struct node *inlined = &model.graph->nodes[0];
    ck_assert_int_eq(inlined->n_attr, 4);
    ck_assert_int_eq(graph_attr(inlined, "p")->i, 10);
    ck_assert_int_eq(graph_attr(inlined, "q")->i, 5);
    ck_assert_int_eq(graph_attr(inlined, "r")->i, 12);
    ck_assert_int_eq(graph_attr(inlined, "s")->i, 6);
}
END_TEST

/* fn of one node with an attribute "a" that stands for the call's "v". */
static struct proto referring(enum attr_type type)
{
    struct proto function = proto_function("fn", "a", "b"), node = proto_node("Op", "n", "a", "b"), attr = {0};
    proto_text(&attr, ATTRIBUTE_NAME, "a");
    if (type)
        proto_int(&attr, ATTRIBUTE_TYPE, (int64_t)type);
    proto_text(&attr, ATTRIBUTE_REF_ATTR_NAME, "v");
    proto_add(&node, NODE_ATTRIBUTE, attr);
    proto_add(&function, FUNCTION_NODE, node);
    proto_text(&function, FUNCTION_ATTRIBUTE, "v");
    return function;
}

START_TEST(an_attribute_of_a_call_keeps_its_type)
{
    struct proto function = referring((enum attr_type)0), call = proto_call("fn", "c", "x", "y");
    proto_attr_int(&call, "v", 8);
    accepted(with_functions(call, 1, &function));
    ck_assert_int_eq(graph_attr(&model.graph->nodes[0], "a")->i, 8);
    again();
    function = referring(ATTR_FLOAT);
    call = proto_call("fn", "c", "x", "y");
    proto_attr_int(&call, "v", 8);
    refused(with_functions(call, 1, &function), "it is of another type than attribute 'v' of the function's call");
    function = referring(ATTR_GRAPH);
    call = proto_call("fn", "c", "x", "y");
    proto_attr_message(&call, "v", ATTR_GRAPH, ATTRIBUTE_G, body(proto_node("Relu", "r", "x", "z"), "z"));
    refused(with_functions(call, 1, &function), "graphs as attributes of functions are not supported");
    ck_assert_int_eq(err.code, ERR_UNSUPPORTED);
}
END_TEST

START_TEST(a_function_has_a_bounded_number_of_attributes)
{
    for (int n = 256; n <= 257; n++)
        for (int with_default = 0; with_default < 2; with_default++) {
            struct proto function = proto_function("fn", "a", "b");
            proto_add(&function, FUNCTION_NODE, proto_node("Op", "n", "a", "b"));
            for (int i = 0; i < n; i++) {
                char name[16];
                snprintf(name, sizeof name, "a%d", i);
                if (with_default)
                    proto_add(&function, FUNCTION_ATTRIBUTE_PROTO, proto_attr(name, ATTR_INT));
                else
                    proto_text(&function, FUNCTION_ATTRIBUTE, name);
            }
            struct proto made = with_functions(proto_call("fn", "c", "x", "y"), 1, &function);
            again();
            if (n == 256)
                accepted(made);
            else
                refused(made, "node 'c' (fn): it has more than 256 attributes");
        }
}
END_TEST

START_TEST(outputs_may_be_shared_left_out_or_not_wanted)
{
    struct proto function = proto_function("fn", "a", "b,b,c,d"), call = proto_call("fn", "c", "x", "y,second,,");
    proto_add(&function, FUNCTION_NODE, proto_node("Op", "n", "a", "b,c,d"));
    accepted(with_functions(call, 1, &function));
    ck_assert_int_eq(model.graph->n_nodes, 2);
    ck_assert(bytes_is(model.graph->nodes[1].op_type, "Identity"));
    ck_assert(bytes_is(model.graph->nodes[1].name, "fn_1/Identity"));
    ck_assert_int_eq(model.graph->nodes[0].out[0], model.graph->outputs[0]);
    ck_assert_int_eq(model.graph->nodes[1].in[0], model.graph->outputs[0]);
    ck_assert_int_eq(model.graph->nodes[1].out[0], graph_find(model.graph, bytes_of_text("second")));
    ck_assert(value_of(model.graph, "fn_1/c")->inlined);
    again();
    function = twice_function(); /* a call may end before the function's last output or input */
    struct proto graph = face("x", "x");
    proto_add(&graph, GRAPH_NODE, proto_call("twice", "c", "", ""));
    struct proto made = proto_model(graph, 13);
    proto_add(&made, MODEL_FUNCTIONS, function);
    accepted(made);
    ck_assert_int_eq(model.graph->n_nodes, 2);
    ck_assert_int_eq(model.graph->nodes[0].in[0], -1);
    ck_assert(value_of(model.graph, "twice_1/b")->inlined);
}
END_TEST

START_TEST(calls_and_functions_agree_about_inputs_and_outputs)
{
    struct proto function = twice_function();
    refused(with_functions(proto_call("twice", "c", "x", "y,z"), 1, &function),
            "the call has 1 inputs and 2 outputs, the function 1 and 1");
    function = proto_function("fn", "a,b,a", "c");
    refused(with_functions(proto_call("fn", "c", "x", "y"), 1, &function), "input 'a' is there twice");
    function = proto_function("fn", "a", "b");
    struct proto bare = {0}, inner = proto_node("Relu", "r", "ghost", "z"); /* captured, and made by nobody */
    proto_add(&bare, GRAPH_NODE, inner);
    proto_add(&bare, GRAPH_OUTPUT, proto_value("z", PERCEPT_FLOAT, -1, NULL));
    proto_add(&function, FUNCTION_NODE, node_with_body("n", "b", bare));
    refused(with_functions(proto_call("fn", "c", "x", "y"), 1, &function), "input 'fn_1/ghost' is undefined");
    function = proto_function("fn", "a,b", "c");
    proto_add(&function, FUNCTION_NODE, node_with_body("n", "c", body(proto_node("Relu", "r", "b", "z"), "z")));
    refused(with_functions(proto_call("fn", "c", "x", "y"), 1, &function),
            "value 'b' is an input that the function's call leaves out");
}
END_TEST

START_TEST(a_function_may_have_many_names)
{
    struct proto function = proto_function("fn", "v0", "v100");
    char from[8], to[8];
    for (int i = 0; i < 100; i++) {
        snprintf(from, sizeof from, "v%d", i);
        snprintf(to, sizeof to, "v%d", i + 1);
        proto_add(&function, FUNCTION_NODE, proto_node("Relu", "", from, to));
    }
    accepted(with_functions(proto_call("fn", "c", "x", "y"), 1, &function));
    for (int i = 1; i < 100; i++)
        ck_assert_int_eq(model.graph->nodes[i].in[0], model.graph->nodes[i - 1].out[0]);
    ck_assert_int_eq(model.graph->nodes[99].out[0], model.graph->outputs[0]);
    ck_assert(bytes_is(model.graph->nodes[99].name, "fn_1/Relu_99"));
}
END_TEST

/* f0 calls f1, which calls f2, ... */
static struct proto chain_of_functions(int n)
{
    struct proto functions[70];
    char name[8], next[8];
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "f%d", i);
        snprintf(next, sizeof next, "f%d", i + 1);
        functions[i] = proto_function(name, "a", "b");
        proto_add(&functions[i], FUNCTION_NODE,
                  i < n - 1 ? proto_call(next, "n", "a", "b") : proto_node("Relu", "n", "a", "b"));
    }
    return with_functions(proto_call("f0", "c", "x", "y"), n, functions);
}

START_TEST(calls_within_calls_are_bounded)
{
    accepted(chain_of_functions(64));
    again();
    refused(chain_of_functions(65), "function calls are nested more than 64 deep");
    again();
    struct proto graph = face("x", "y69"), function = twice_function(); /* beside each other they may be many */
    for (int i = 0; i < 70; i++) {
        char out[8];
        snprintf(out, sizeof out, "y%d", i);
        proto_add(&graph, GRAPH_NODE, proto_call("twice", "", "x", out));
    }
    struct proto made = proto_model(graph, 13);
    proto_add(&made, MODEL_FUNCTIONS, function);
    accepted(made);
    ck_assert_int_eq(model.graph->n_nodes, 140);
}
END_TEST

START_TEST(bytes_of_inlining_are_bounded)
{
    for (int n = 255; n <= 256; n++) { /* of a function of a little more than a MiB */
        struct proto function = twice_function(), graph = face("x", "y");
        char *doc = calloc(1, (1 << 20) + 1);
        proto_bytes(&function, WIRE_LEN(8), doc, 1 << 20);
        free(doc);
        for (int i = 0; i < n; i++)
            proto_add(&graph, GRAPH_NODE, proto_call("twice", "", "x", i ? "" : "y"));
        struct proto made = proto_model(graph, 13);
        proto_add(&made, MODEL_FUNCTIONS, function);
        again();
        if (n == 255)
            accepted(made);
        else
            refused(made, "inlined functions have more than 256 MiB");
    }
}
END_TEST

START_TEST(broken_messages_of_functions_are_named)
{
    struct proto function = twice_function();
    proto_raw(&function, "\x0b", 1);
    refused(with_functions(proto_call("twice", "c", "x", "y"), 1, &function), "function 'twice': function: there is");
    function = (struct proto){0};
    proto_bytes(&function, FUNCTION_NAME, "a\0b", 3);
    refused(with_functions(proto_call("twice", "c", "x", "y"), 1, &function), "name 'a...' has a NUL byte");
    function = twice_function();
    proto_add(&function, FUNCTION_OPSET_IMPORT, proto_opset("", 29));
    refused(with_functions(proto_call("twice", "c", "x", "y"), 1, &function), "function 'twice': opset_import:");
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
    tcase_add_test(tests, functions_are_told_apart_by_domain_name_and_overload);
    tcase_add_test(tests, a_function_may_take_nothing);
    tcase_add_test(tests, an_operator_beside_functions_is_no_call);
    tcase_add_test(tests, a_function_has_opsets_of_its_own);
    tcase_add_test(tests, a_call_overrides_defaults_one_by_one);
    tcase_add_test(tests, an_attribute_of_a_call_keeps_its_type);
    tcase_add_test(tests, a_function_has_a_bounded_number_of_attributes);
    tcase_add_test(tests, outputs_may_be_shared_left_out_or_not_wanted);
    tcase_add_test(tests, calls_and_functions_agree_about_inputs_and_outputs);
    tcase_add_test(tests, a_function_may_have_many_names);
    tcase_add_test(tests, calls_within_calls_are_bounded);
    tcase_add_test(tests, bytes_of_inlining_are_bounded);
    tcase_add_test(tests, broken_messages_of_functions_are_named);
    return suite;
}
