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
    graph.nodes[0].removed = true;
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
    graph.nodes[1].removed = true;
    graph_count_uses(&graph);
    ck_assert_int_eq(graph.values[value("x")].n_uses, 1);
}
END_TEST

START_TEST(a_node_waits_for_what_its_subgraph_captures)
{
    struct graph body = {.parent = &graph};
    ck_assert_int_eq(value("c"), 0); /* nothing of the body means it */
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

/* The node i has so many inputs, all named; it makes `out`. */
static void wide_node(const char *name, int n_in, const char *const *in, const char *out)
{
    node(name, "", out);
    struct node *made = &graph.nodes[graph.n_nodes - 1];
    int *ends = arena_array(&arena, (size_t)n_in, sizeof *ends);
    for (int k = 0; k < n_in; k++)
        ends[k] = *in[k] ? value(in[k]) : -1;
    made->in = ends;
    made->n_in = n_in;
}

START_TEST(a_node_waits_for_all_its_inputs)
{
    const char *const needs[] = {"x", "", "late", "x", "later"};
    face("x", "y");
    wide_node("joins", 5, needs, "y");
    node("one", "x", "late");
    node("two", "late", "later");
    sorted_as("one", "two", "joins");
    ck_assert_int_eq(graph.values[value("x")].n_uses, 3);
    ck_assert_int_eq(graph.values[value("late")].n_uses, 2);
    ck_assert_int_eq(graph.values[value("y")].n_uses, 1);
    ck_assert_int_eq(graph.values[value("y")].producer, 2);
}
END_TEST

START_TEST(a_node_that_is_needed_twice_is_placed_once)
{
    const char *const needs[] = {"b", "c", "a"};
    face("x", "y");
    wide_node("last", 3, needs, "y");
    node("c", "a", "c");
    node("b", "a", "b");
    node("a", "x", "a");
    ck_assert(graph_sort(&graph, &arena, &err));
    static const char *const order[] = {"a", "b", "c", "last"};
    for (int i = 0; i < 4; i++)
        ck_assert_msg(bytes_is(graph.nodes[i].name, order[i]), "%d is not %s", i, order[i]);
}
END_TEST

START_TEST(sorting_again_changes_nothing)
{
    face("x", "b");
    node("second", "a", "b");
    node("first", "x", "a");
    for (int i = 0; i < 3; i++) {
        ck_assert(graph_sort(&graph, &arena, &err));
        ck_assert(bytes_is(graph.nodes[0].name, "first"));
        ck_assert_int_eq(graph.values[value("a")].producer, 0);
        ck_assert_int_eq(graph.values[value("a")].n_uses, 1);
        ck_assert_int_eq(graph.values[value("x")].n_uses, 1);
    }
}
END_TEST

START_TEST(dead_nodes_move_with_the_others_and_make_nothing)
{
    face("x", "b");
    node("second", "a", "b");
    node("dead", "x", "b");
    node("first", "x", "a");
    graph.nodes[1].removed = true;
    ck_assert(graph_sort(&graph, &arena, &err));
    ck_assert(bytes_is(graph.nodes[1].name, "second"));
    ck_assert_int_eq(graph.values[value("b")].producer, 1);
    ck_assert_int_eq(graph.values[value("x")].n_uses, 1);
    ck_assert(graph.nodes[2].removed);
}
END_TEST

START_TEST(values_are_defined_by_any_of_four_ways)
{
    struct tensor constant = {.dtype = PERCEPT_FLOAT};
    const char *const needs[] = {"x", "w", "o", "a"};
    face("x", "y");
    graph.values[value("w")].constant = &constant;
    graph.values[value("o")].outer = 0;
    node("maker", "x", "a");
    wide_node("uses", 4, needs, "y");
    ck_assert(graph_sort(&graph, &arena, &err));
    graph.values[value("o")].outer = -1;
    refused_with("node 'uses' (Op): input 'o' is undefined");
}
END_TEST

START_TEST(an_output_may_be_a_constant_or_an_input)
{
    struct tensor constant = {.dtype = PERCEPT_FLOAT};
    face("x", "w");
    graph.values[value("w")].constant = &constant;
    ck_assert(graph_sort(&graph, &arena, &err));
    ck_assert_int_eq(graph.values[value("w")].n_uses, 1);
    graph.outputs[0] = value("x");
    ck_assert(graph_sort(&graph, &arena, &err));
    ck_assert_int_eq(graph.values[value("w")].n_uses, 0);
}
END_TEST

START_TEST(outputs_that_are_not_wanted_are_passed_over)
{
    const char *const none[] = {""};
    face("x", "x");
    wide_node("one", 1, none, "");
    wide_node("two", 1, none, "");
    ck_assert(graph_sort(&graph, &arena, &err));
    ck_assert_int_eq(graph.n_values, 1);
    ck_assert_int_eq(graph.values[0].producer, -1);
}
END_TEST

START_TEST(uses_within_subgraphs_count_as_often_as_they_are)
{
    struct graph body = {.parent = &graph};
    face("x", "y");
    node("n", "x", "y");
    int inner = graph_intern(&body, &arena, bytes_of_text("x"));
    int own = graph_intern(&body, &arena, bytes_of_text("own"));
    body.values[inner].outer = value("x");
    struct node uses[2] = {{.n_in = 2, .in = (int[]){inner, own}}, {.n_in = 2, .in = (int[]){inner, -1}}};
    body.nodes = uses;
    body.n_nodes = 2;
    struct attr attrs[2] = {{.name = bytes_of_text("k"), .type = ATTR_INT},
                            {.name = bytes_of_text("body"), .type = ATTR_GRAPH, .graph = &body}};
    graph.nodes[0].attrs = attrs;
    graph.nodes[0].n_attr = 2;
    graph_count_uses(&graph);
    ck_assert_int_eq(graph.values[value("x")].n_uses, 3);
    ck_assert_int_eq(body.values[inner].n_uses, 2);
    ck_assert_int_eq(body.values[own].n_uses, 1);
    graph_count_uses(&graph); /* anew, not on top */
    ck_assert_int_eq(graph.values[value("x")].n_uses, 3);
}
END_TEST

START_TEST(room_doubles_and_is_reserved)
{
    for (int i = 0; i < 17; i++)
        ck_assert_int_eq(graph_add_node(&graph, &arena), i);
    ck_assert_int_eq(graph.cap_nodes, 32);
    ck_assert(graph_reserve(&graph, &arena, 100, 60));
    ck_assert_int_eq(graph.cap_values, 100);
    ck_assert_int_eq(graph.cap_nodes, 77);
    const struct value *values = graph.values;
    char name[8];
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "v%d", i);
        ck_assert_int_eq(i % 2 ? graph_add_value(&graph, &arena, bytes_of_text(name)) : value(name), i);
    }
    ck_assert_ptr_eq(graph.values, values);
    ck_assert_int_eq(value("v99"), 99); /* what is there needs no room, though the array is full */
    ck_assert_int_eq(graph.cap_values, 100);
    ck_assert_int_eq(value("v100"), 100);
    ck_assert_int_eq(graph.cap_values, 200);
    ck_assert_uint_eq(bytes_size(graph.values[3].name), 2);
    ck_assert(!graph_reserve(&graph, &arena, (size_t)INT32_MAX + 1, 0));
    ck_assert(!graph_reserve(&graph, &arena, 0, (size_t)INT32_MAX + 1));
    ck_assert(!graph_reserve(&graph, &arena, SIZE_MAX, 0) && !graph_reserve(&graph, &arena, 0, SIZE_MAX));
    ck_assert(!graph_reserve(&graph, &arena, INT32_MAX, 0)); /* beside those that are there */
    ck_assert(!graph_reserve(&graph, &arena, 0, INT32_MAX));
    ck_assert_int_eq(graph.cap_values, 200);
}
END_TEST

START_TEST(without_memory_a_graph_stays_as_it_was)
{
    struct arena none = {.limit_bytes = 1};
    ck_assert_int_eq(graph_add_node(&graph, &none), -1);
    ck_assert_int_eq(graph_add_value(&graph, &none, bytes_of_text("a")), -1);
    ck_assert_int_eq(graph_intern(&graph, &none, bytes_of_text("a")), -1);
    ck_assert(!graph_reserve(&graph, &none, 1, 0) && !graph_reserve(&graph, &none, 0, 1));
    ck_assert(graph.n_nodes == 0 && graph.n_values == 0 && graph.cap_nodes == 0 && graph.cap_values == 0);
    face("x", "b");
    node("second", "a", "b");
    node("first", "x", "a");
    bool ok = false;
    size_t nth = 1;
    for (; !ok; nth++) {
        ck_assert_uint_lt(nth, 100);
        arena_fail_at(nth, true);
        ok = graph_sort(&graph, &arena, &err);
        arena_fail_at(0, false);
        ck_assert(ok || err.code == ERR_MEMORY);
        ck_assert(bytes_is(graph.nodes[0].name, ok ? "first" : "second"));
    }
    ck_assert_uint_gt(nth, 2);
}
END_TEST

/* Of sizes at which one list or another begins a block of memory, which alone is refused. */
START_TEST(any_list_of_sorting_may_be_the_one_that_is_short)
{
    const int n = 900 + 400 * _i;
    char from[16], to[16];
    face("x", "v0");
    for (int i = n; i > 0; i--) {
        snprintf(from, sizeof from, "v%d", i);
        snprintf(to, sizeof to, "v%d", i - 1);
        node("n", i == n ? "x" : from, to);
    }
    bool ok = false;
    size_t nth = 1;
    for (; !ok; nth++) {
        ck_assert_uint_lt(nth, 100);
        err = (struct percept_err){0};
        arena_fail_at(nth, false);
        ok = graph_sort(&graph, &arena, &err);
        arena_fail_at(0, false);
        ck_assert(ok || err.code == ERR_MEMORY);
    }
    ck_assert_int_eq(graph.values[value("v0")].producer, n - 1);
}
END_TEST

START_TEST(a_constant_is_copied_once_and_whole)
{
    char bytes[17];
    for (int i = 0; i < 16; i++)
        bytes[1 + i] = (char)i;
    struct tensor constant = {.dtype = PERCEPT_INT64, .rank = 1, .dims = {2}, .data = bytes + 1};
    struct tensor nothing = {.dtype = PERCEPT_INT64, .rank = 1, .dims = {0}, .data = bytes};
    int w = value("w"), n = value("n");
    graph.values[w].constant = &constant;
    graph.values[n].constant = &nothing;
    bool ok;
    ck_assert_ptr_eq(graph_constant(&graph, w, &arena, &ok), &constant);
    ck_assert(ok && graph.values[w].aligned);
    ck_assert_int_eq(memcmp(constant.data, bytes + 1, 16), 0);
    const void *copy = constant.data;
    ck_assert_ptr_eq(graph_constant(&graph, w, &arena, &ok)->data, copy);
    ck_assert_ptr_eq(graph_constant(&graph, n, &arena, &ok), &nothing);
    ck_assert(ok);
    struct tensor given = {.dtype = PERCEPT_INT64, .rank = 1, .dims = {2}, .data = bytes + 1};
    graph.values[w].constant = &given; /* what is aligned already is given as it is */
    ck_assert_ptr_eq(graph_constant(&graph, w, &arena, &ok)->data, bytes + 1);
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
    tcase_add_test(tests, a_node_waits_for_all_its_inputs);
    tcase_add_test(tests, a_node_that_is_needed_twice_is_placed_once);
    tcase_add_test(tests, sorting_again_changes_nothing);
    tcase_add_test(tests, dead_nodes_move_with_the_others_and_make_nothing);
    tcase_add_test(tests, values_are_defined_by_any_of_four_ways);
    tcase_add_test(tests, an_output_may_be_a_constant_or_an_input);
    tcase_add_test(tests, outputs_that_are_not_wanted_are_passed_over);
    tcase_add_test(tests, uses_within_subgraphs_count_as_often_as_they_are);
    tcase_add_test(tests, room_doubles_and_is_reserved);
    tcase_add_test(tests, without_memory_a_graph_stays_as_it_was);
    tcase_add_loop_test(tests, any_list_of_sorting_may_be_the_one_that_is_short, 0, 8);
    tcase_add_test(tests, a_constant_is_copied_once_and_whole);
    suite_add_tcase(suite, tests);
    return suite;
}
