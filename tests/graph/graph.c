/* graph.c - order, and what a graph must not be. */
#include "graph/graph.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/err.h"

static struct arena arena;
static struct graph graph;
static struct percept_err err;

static void fresh(void)
{
    arena = (struct arena){0};
    graph = (struct graph){0};
    err = (struct percept_err){0};
}

static void done(void)
{
    arena_free(&arena);
}

static int value(const char *name)
{
    return graph_intern(&graph, &arena, bytes_of_text(name));
}

/* in and out: at most one name each; "" for none */
static void node(const char *name, const char *in, const char *out)
{
    int i = graph_add_node(&graph, &arena);
    int *ends = arena_array(&arena, 2, sizeof *ends);
    ends[0] = *in ? value(in) : -1;
    ends[1] = *out ? value(out) : -1;
    graph.nodes[i] = (struct node){.name = bytes_of_text(name),
                                   .op_type = bytes_of_text("Op"),
                                   .n_in = 1,
                                   .n_out = 1,
                                   .in = ends,
                                   .out = ends + 1};
}

static void face(const char *input, const char *output)
{
    graph.inputs = arena_array(&arena, 2, sizeof *graph.inputs);
    graph.outputs = graph.inputs + 1;
    graph.inputs[0] = value(input);
    graph.outputs[0] = value(output);
    graph.n_inputs = graph.n_outputs = 1;
}

static void refused_with(const char *part)
{
    ck_assert(!graph_sort(&graph, &arena, &err));
    ck_assert_int_eq(err.code, ERR_MODEL);
    ck_assert_msg(strstr(err.text, part) != NULL, "'%s' is not in: %s", part, err.text);
}

static void sorted_as(const char *first, const char *second, const char *third)
{
    ck_assert(graph_sort(&graph, &arena, &err));
    ck_assert(bytes_is(graph.nodes[0].name, first));
    ck_assert(bytes_is(graph.nodes[1].name, second));
    ck_assert(bytes_is(graph.nodes[2].name, third));
}

START_TEST(a_sorted_graph_keeps_its_order)
{
    face("x", "c");
    node("n0", "x", "a");
    node("n1", "x", "b");
    node("n2", "a", "c");
    sorted_as("n0", "n1", "n2");
}
END_TEST

START_TEST(nodes_come_after_what_they_need)
{
    face("x", "c");
    node("last", "b", "c");
    node("middle", "a", "b");
    node("first", "x", "a");
    sorted_as("first", "middle", "last");
    ck_assert_int_eq(graph.values[value("a")].producer, 0);
    ck_assert_int_eq(graph.values[value("c")].producer, 2);
    ck_assert_int_eq(graph.values[value("x")].producer, -1);
}
END_TEST

START_TEST(a_long_chain_in_reverse_needs_no_deep_stack)
{
    char a[16], b[16];
    face("v0", "v50000");
    for (int i = 50000; i-- > 0;) {
        snprintf(a, sizeof a, "v%d", i);
        snprintf(b, sizeof b, "v%d", i + 1);
        node("n", a, b);
    }
    ck_assert(graph_sort(&graph, &arena, &err));
    ck_assert_int_eq(graph.values[value("v1")].producer, 0);
    ck_assert_int_eq(graph.values[value("v50000")].producer, 49999);
}
END_TEST

START_TEST(a_cycle_is_named)
{
    face("x", "a");
    node("one", "b", "a");
    node("two", "a", "b");
    refused_with("node 'one' (Op): the graph has a cycle");
}
END_TEST

START_TEST(a_node_that_feeds_itself_is_a_cycle)
{
    face("x", "a");
    node("loop", "a", "a");
    refused_with("node 'loop' (Op): the graph has a cycle");
}
END_TEST

START_TEST(an_undefined_input_is_named_with_its_node)
{
    face("x", "a");
    node("n", "ghost", "a");
    refused_with("node 'n' (Op): input 'ghost' is undefined");
}
END_TEST

START_TEST(an_undefined_output_is_named)
{
    face("x", "ghost");
    refused_with("output 'ghost' is undefined");
}
END_TEST

START_TEST(two_producers_are_named)
{
    face("x", "a");
    node("one", "x", "a");
    node("two", "x", "a");
    refused_with("node 'two' (Op): output 'a' is already made by node 'one'");
}
END_TEST

START_TEST(an_input_cannot_be_made_as_well)
{
    face("x", "x");
    node("n", "", "x");
    refused_with("also an input of the graph");
}
END_TEST

START_TEST(an_initializer_cannot_be_made_as_well)
{
    face("x", "w");
    struct tensor constant = {.dtype = PERCEPT_FLOAT};
    graph.values[value("w")].constant = &constant;
    node("n", "x", "w");
    refused_with("also an initializer");
}
END_TEST

START_TEST(dead_nodes_neither_make_nor_need)
{
    face("x", "a");
    node("dead", "ghost", "a");
    node("alive", "x", "a");
    graph.nodes[0].dead = true;
    ck_assert(graph_sort(&graph, &arena, &err));
    ck_assert_int_eq(graph.values[value("a")].producer, 1);
    ck_assert_int_eq(graph.values[value("ghost")].n_uses, 0);
}
END_TEST

START_TEST(uses_count_inputs_outputs_and_captures)
{
    struct graph body = {.parent = &graph};
    face("x", "a");
    node("n", "x", "a");
    node("has_body", "x", "b");
    int inner = graph_intern(&body, &arena, bytes_of_text("x"));
    body.values[inner].outer = value("x");
    body.outputs = &inner;
    body.n_outputs = 1;
    struct attr attr = {.name = bytes_of_text("body"), .type = ATTR_GRAPH, .graph = &body};
    graph.nodes[1].attrs = &attr;
    graph.nodes[1].n_attr = 1;
    ck_assert(graph_sort(&graph, &arena, &err));
    ck_assert_int_eq(graph.values[value("x")].n_uses, 3);
    ck_assert_int_eq(graph.values[value("a")].n_uses, 1);
    ck_assert_int_eq(graph.values[value("b")].n_uses, 0);
    graph.nodes[1].dead = true;
    graph_count_uses(&graph);
    ck_assert_int_eq(graph.values[value("x")].n_uses, 1);
}
END_TEST

START_TEST(a_node_waits_for_what_its_subgraph_captures)
{
    struct graph body = {.parent = &graph};
    face("x", "c");
    node("has_body", "x", "c");
    node("maker", "x", "b");
    int inner = graph_intern(&body, &arena, bytes_of_text("b"));
    body.values[inner].outer = value("b");
    struct attr attr = {.name = bytes_of_text("body"), .type = ATTR_GRAPH, .graph = &body};
    graph.nodes[0].attrs = &attr;
    graph.nodes[0].n_attr = 1;
    ck_assert(graph_sort(&graph, &arena, &err));
    ck_assert(bytes_is(graph.nodes[0].name, "maker"));
}
END_TEST

START_TEST(names_are_copied_and_found)
{
    char name[] = "abc";
    int first = graph_add_value(&graph, &arena, bytes_of_text(name));
    name[0] = 'X';
    ck_assert_int_eq(graph_find(&graph, bytes_of_text("abc")), first);
    ck_assert_int_eq(graph_find(&graph, bytes_of_text("Xbc")), -1);
    ck_assert_int_ne(graph_add_value(&graph, &arena, bytes_of_text("abc")), first);
    ck_assert_int_eq(graph_find(&graph, bytes_of_text("abc")), first);
    ck_assert_int_eq(graph.values[first].rank, -1);
    ck_assert_int_eq(graph.values[first].producer, -1);
    ck_assert_uint_eq(bytes_size(graph.values[first].dim_names[RANK_MAX - 1]), 0);
}
END_TEST

START_TEST(a_nameless_value_is_found_by_nobody)
{
    ck_assert_int_eq(graph_add_value(&graph, &arena, (struct bytes){0}), 0);
    ck_assert_int_eq(graph_add_value(&graph, &arena, (struct bytes){0}), 1);
    ck_assert_int_eq(graph_find(&graph, (struct bytes){0}), -1);
}
END_TEST

START_TEST(constants_become_aligned_once_and_through_captures)
{
    struct graph body = {.parent = &graph};
    char bytes[9] = {0};
    const float stored = 2.5f;
    memcpy(bytes + 1, &stored, sizeof stored);
    struct tensor constant = {.dtype = PERCEPT_FLOAT, .rank = 1, .dims = {1}, .data = bytes + 1};
    int w = value("w");
    graph.values[w].constant = &constant;
    int inner = graph_intern(&body, &arena, bytes_of_text("w"));
    body.values[inner].outer = w;
    bool ok;
    struct tensor *found = graph_constant(&body, inner, &arena, &ok);
    ck_assert(ok);
    ck_assert_ptr_eq(found, &constant);
    ck_assert_uint_eq((uintptr_t)found->data % sizeof(float), 0);
    ck_assert_float_eq(*(float *)found->data, 2.5f);
    ck_assert_ptr_eq(graph_constant(&graph, w, &arena, &ok)->data, found->data);
    ck_assert_ptr_null(graph_constant(&graph, value("other"), &arena, &ok));
    ck_assert(ok);
}
END_TEST

START_TEST(a_constant_without_memory_is_told_apart_from_none)
{
    struct arena none = {.limit_bytes = 1};
    char bytes[8] = {0};
    struct tensor constant = {.dtype = PERCEPT_FLOAT, .rank = 1, .dims = {1}, .data = bytes};
    int w = value("w");
    graph.values[w].constant = &constant;
    bool ok = true;
    ck_assert_ptr_null(graph_constant(&graph, w, &none, &ok));
    ck_assert(!ok);
}
END_TEST

START_TEST(attributes_are_found_by_name)
{
    struct attr attrs[2] = {{.name = bytes_of_text("axis"), .i = 1}, {.name = bytes_of_text("k"), .i = 2}};
    struct node n = {.attrs = attrs, .n_attr = 2};
    ck_assert_int_eq(graph_attr(&n, "k")->i, 2);
    ck_assert_ptr_null(graph_attr(&n, "ax"));
}
END_TEST

Suite *graph_graph_suite(void)
{
    Suite *suite = suite_create("graph_graph");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, fresh, done);
    tcase_add_test(tests, a_sorted_graph_keeps_its_order);
    tcase_add_test(tests, nodes_come_after_what_they_need);
    tcase_add_test(tests, a_long_chain_in_reverse_needs_no_deep_stack);
    tcase_add_test(tests, a_cycle_is_named);
    tcase_add_test(tests, a_node_that_feeds_itself_is_a_cycle);
    tcase_add_test(tests, an_undefined_input_is_named_with_its_node);
    tcase_add_test(tests, an_undefined_output_is_named);
    tcase_add_test(tests, two_producers_are_named);
    tcase_add_test(tests, an_input_cannot_be_made_as_well);
    tcase_add_test(tests, an_initializer_cannot_be_made_as_well);
    tcase_add_test(tests, dead_nodes_neither_make_nor_need);
    tcase_add_test(tests, uses_count_inputs_outputs_and_captures);
    tcase_add_test(tests, a_node_waits_for_what_its_subgraph_captures);
    tcase_add_test(tests, names_are_copied_and_found);
    tcase_add_test(tests, a_nameless_value_is_found_by_nobody);
    tcase_add_test(tests, constants_become_aligned_once_and_through_captures);
    tcase_add_test(tests, a_constant_without_memory_is_told_apart_from_none);
    tcase_add_test(tests, attributes_are_found_by_name);
    suite_add_tcase(suite, tests);
    return suite;
}
