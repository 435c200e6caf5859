/* An open model: its parts and what they are fed, and what the library says of itself. */
#include "engine/model.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "engine/small.h"

/* If whose branches read x from around them, and a constant. */
static struct percept_model *open_with_branches(void)
{
    struct small s = small_begin();
    small_input(&s, "x", 1, DIMS(-1));
    small_output(&s, "y", -1, NULL);
    small_floats(&s, "one", 1, DIMS(1), (float[]){1});
    small_floats(&s, "limit", 0, NULL, (float[]){0});
    small_node(&s, "ReduceSum", "x", "sum");
    small_node(&s, "Less", "sum,limit", "less");
    small_node(&s, "Squeeze", "less", "condition");
    struct proto node = proto_node("If", "", "condition", "y");
    for (int i = 0; i < 2; i++) {
        struct proto body = {0};
        const char *name = i == 0 ? "negative" : "shifted";
        proto_add(&body, GRAPH_NODE, i == 0 ? proto_node("Neg", "", "x", name) : proto_node("Add", "", "x,one", name));
        proto_add(&body, GRAPH_OUTPUT, proto_value(name, PERCEPT_FLOAT, -1, NULL));
        proto_attr_message(&node, i == 0 ? "then_branch" : "else_branch", ATTR_GRAPH, ATTRIBUTE_G, body);
    }
    proto_add(&s.graph, GRAPH_NODE, node);
    return small_open(&s);
}

START_TEST(every_graph_is_a_part_and_the_main_one_is_first)
{
    struct percept_model *model = open_with_branches();
    int n = 0;
    for (const struct part *part = model->parts; part; part = part->next, n++) {
        ck_assert_ptr_eq(model_part(model, part->graph), part);
        ck_assert_int_eq(part->graph->parent != NULL, n > 0);
        for (int i = 0; i < part->graph->n_nodes; i++)
            ck_assert_ptr_eq(part->ctx[i].node, &part->graph->nodes[i]);
    }
    ck_assert_int_eq(n, 3);
    ck_assert_ptr_eq(model->parts->graph, model->onnx.graph);
    const struct graph other = {0};
    ck_assert_ptr_null(model_part(model, &other));
    percept_close(model);
}
END_TEST

/* A captured constant is no feed: the body has it as the graph around it does. */
START_TEST(a_body_is_fed_what_it_captures_but_constants)
{
    struct percept_model *model = open_with_branches();
    for (const struct part *part = model->parts->next; part; part = part->next) {
        ck_assert_int_eq(part->n_feeds, 1);
        const struct value *feed = &part->graph->values[part->feeds[0]];
        ck_assert_int_eq(feed->outer, model->parts->feeds[0]);
        ck_assert_ptr_null(feed->constant);
    }
    ck_assert_int_eq(model->parts->n_feeds, 1);
    ck_assert_int_eq(model->parts->feeds[0], model->onnx.graph->inputs[0]);
    percept_close(model);
}
END_TEST

START_TEST(a_model_tells_its_inputs_and_outputs)
{
    struct percept_model *model = open_with_branches();
    int n;
    const struct percept_io *io = percept_inputs(model, &n);
    ck_assert_int_eq(n, 1);
    ck_assert_str_eq(io[0].name, "x");
    io = percept_outputs(model, &n);
    ck_assert_int_eq(n, 1);
    ck_assert_str_eq(io[0].name, "y");
    percept_close(model);
    percept_close(NULL);
}
END_TEST

static void note_line(void *user, const char *text)
{
    int *found = user;
    *found += strcmp(text, "| Relu | 1 |") == 0;
    *found += strcmp(text, "| com.microsoft.FusedConv | 1 |") == 0;
}

START_TEST(the_library_lists_its_operators_and_rows)
{
    int found = 0;
    percept_list_operators(note_line, &found);
    ck_assert_int_eq(found, 2);
    ck_assert_str_eq(percept_kernels()[0], pick_best()->name);
    ck_assert_uint_eq(percept_dtype_bytes(PERCEPT_DOUBLE), 8);
    ck_assert_str_eq(percept_dtype_name(PERCEPT_FLOAT), "float32");
    ck_assert_int_ge((int)strlen(percept_version()), 5);
}
END_TEST

struct lines {
    int n;
    char last[160];
};

static void note_last(void *user, const char *text)
{
    struct lines *lines = user;
    ck_assert_msg(strncmp(text, "| ", 2) == 0 && text[strlen(text) - 1] == '|' && !strstr(text, "null"), "%s", text);
    snprintf(lines->last, sizeof lines->last, "%s", text);
    lines->n++;
}

START_TEST(each_operator_has_a_line)
{
    struct lines lines = {0};
    char last[160];
    int n;
    const struct op *rows = op_table(&n);
    percept_list_operators(note_last, &lines);
    ck_assert_int_eq(lines.n, n);
    snprintf(last, sizeof last, "%s | %d |", rows[n - 1].name, rows[n - 1].since);
    ck_assert_ptr_nonnull(strstr(lines.last, last));
}
END_TEST

Suite *engine_model_suite(void);
Suite *engine_model_suite(void)
{
    Suite *suite = suite_create("engine_model");
    TCase *tests = tcase_create("model");
    tcase_add_test(tests, every_graph_is_a_part_and_the_main_one_is_first);
    tcase_add_test(tests, a_body_is_fed_what_it_captures_but_constants);
    tcase_add_test(tests, a_model_tells_its_inputs_and_outputs);
    tcase_add_test(tests, the_library_lists_its_operators_and_rows);
    tcase_add_test(tests, each_operator_has_a_line);
    suite_add_tcase(suite, tests);
    return suite;
}
