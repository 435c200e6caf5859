/* dump.c - what a dump of a small model says, and that it speaks to no terminal. */
#include "graph/dump.h"

#include <check.h>

#include "graph/onnx.h"
#include "proto.h"

static char *dumped(struct proto graph, struct arena *arena)
{
    struct proto message = proto_model(graph, 13);
    struct onnx_model model;
    struct percept_err err;
    ck_assert_msg(onnx_read(proto_view(&message), NULL, arena, &model, &err), "%s", err.text);
    char *text = dump_graph(model.graph, arena);
    ck_assert_ptr_nonnull(text);
    proto_free(&message);
    return text;
}

START_TEST(a_small_graph_reads_well)
{
    struct arena arena = {0};
    struct proto graph = {0}, node = proto_node("Add", "sum", "x,w", "y");
    proto_text(&graph, GRAPH_NAME, "main");
    proto_attr_ints(&node, "axes", 2, (int64_t[]){0, -1});
    proto_add(&graph, GRAPH_NODE, node);
    proto_add(&graph, GRAPH_INPUT, proto_value("x", PERCEPT_FLOAT, 2, (int64_t[]){-1, 3}));
    proto_add(&graph, GRAPH_OUTPUT, proto_value("y", PERCEPT_FLOAT, -1, NULL));
    proto_add(&graph, GRAPH_INITIALIZER,
              proto_tensor("w", PERCEPT_INT8, 1, (int64_t[]){3}, (int8_t[]){1, -2, 3}, 3));
    ck_assert_str_eq(dumped(graph, &arena), "graph main\n"
                                            "  input x float32[?,3]\n"
                                            "  constant w int8[3] = 1, -2, 3\n"
                                            "  y = Add-13(x, w) {axes=[0,-1]}  # node 'sum'\n"
                                            "  output y float32\n");
    arena_free(&arena);
}
END_TEST

START_TEST(long_lists_are_cut_and_subgraphs_indented)
{
    struct arena arena = {0};
    struct proto graph = {0}, body = {0}, node = proto_node("Op", "n", "", "y");
    proto_add(&body, GRAPH_NODE, proto_node("Relu", "r", "x", "z"));
    proto_add(&body, GRAPH_OUTPUT, proto_value("z", PERCEPT_FLOAT, -1, NULL));
    proto_attr_floats(&node, "f", 10, (float[10]){0.5f});
    proto_attr_message(&node, "body", ATTR_GRAPH, ATTRIBUTE_G, body);
    proto_add(&graph, GRAPH_NODE, node);
    proto_add(&graph, GRAPH_INPUT, proto_value("x", PERCEPT_FLOAT, -1, NULL));
    proto_add(&graph, GRAPH_OUTPUT, proto_value("y", PERCEPT_FLOAT, -1, NULL));
    const char *text = dumped(graph, &arena);
    ck_assert_ptr_nonnull(strstr(text, "f=[0.5,0,0,0,0,0,0,0,...], body=graph}"));
    ck_assert_ptr_nonnull(strstr(text, "\n    graph \n      captured x\n"));
    ck_assert_ptr_nonnull(strstr(text, "\n      z = Relu-13(x)"));
    arena_free(&arena);
}
END_TEST

START_TEST(control_characters_are_shown_as_numbers)
{
    struct arena arena = {0};
    struct proto graph = {0};
    proto_text(&graph, GRAPH_NAME, "a\x1b[2J\n");
    proto_add(&graph, GRAPH_INPUT, proto_value("x", PERCEPT_FLOAT, 0, NULL));
    proto_add(&graph, GRAPH_OUTPUT, proto_value("x", PERCEPT_FLOAT, 0, NULL));
    const char *text = dumped(graph, &arena);
    ck_assert_ptr_nonnull(strstr(text, "graph a\\x1b[2J\\x0a\n"));
    ck_assert_ptr_null(strchr(text, 0x1b));
    arena_free(&arena);
}
END_TEST

START_TEST(without_memory_there_is_no_text)
{
    struct arena none = {.limit_bytes = 1};
    struct graph graph = {0};
    ck_assert_ptr_null(dump_graph(&graph, &none));
}
END_TEST

Suite *graph_dump_suite(void)
{
    Suite *suite = suite_create("graph_dump");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, a_small_graph_reads_well);
    tcase_add_test(tests, long_lists_are_cut_and_subgraphs_indented);
    tcase_add_test(tests, control_characters_are_shown_as_numbers);
    tcase_add_test(tests, without_memory_there_is_no_text);
    suite_add_tcase(suite, tests);
    return suite;
}
