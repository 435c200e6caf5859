/* reading.c - see reading.h. */
#include "reading.h"

struct arena arena;
struct percept_err err;
struct onnx_model model;
const int64_t four[1] = {4};

static struct proto kept[64]; /* messages, which a graph's constants view */
static int n_kept;

void fresh(void)
{
    n_kept = 0;
    arena = (struct arena){0};
    err = (struct percept_err){0};
    model = (struct onnx_model){0};
}

void done(void)
{
    arena_free(&arena);
    while (n_kept)
        proto_free(&kept[--n_kept]);
}

void again(void)
{
    done();
    fresh();
}

bool reads_with(struct proto message, const struct onnx_external *external)
{
    kept[n_kept++] = message;
    return onnx_read(proto_view(&message), external, &arena, &model, &err);
}

void accepted(struct proto message)
{
    ck_assert_msg(reads_with(message, NULL), "%s", err.text);
}

void refused(struct proto message, const char *part)
{
    ck_assert(!reads_with(message, NULL));
    ck_assert_int_ne(err.code, ERR_NONE);
    ck_assert_msg(strstr(err.text, part) != NULL, "'%s' is not in: %s", part, err.text);
    ck_assert_ptr_null(model.graph);
}

struct proto face(const char *input, const char *output)
{
    struct proto graph = {0};
    proto_text(&graph, GRAPH_NAME, "main");
    proto_add(&graph, GRAPH_INPUT, proto_value(input, PERCEPT_FLOAT, 1, four));
    proto_add(&graph, GRAPH_OUTPUT, proto_value(output, PERCEPT_FLOAT, 1, four));
    return graph;
}

struct proto with_initializer(struct proto tensor)
{
    struct proto graph = face("x", "y");
    proto_add(&graph, GRAPH_INITIALIZER, tensor);
    proto_add(&graph, GRAPH_NODE, proto_node("Add", "add", "x,w", "y"));
    return proto_model(graph, 13);
}

struct proto with_node(struct proto node)
{
    struct proto graph = face("x", "y");
    proto_add(&graph, GRAPH_NODE, node);
    return proto_model(graph, 13);
}

struct proto body(struct proto node, const char *output)
{
    struct proto graph = {0};
    proto_add(&graph, GRAPH_NODE, node);
    proto_add(&graph, GRAPH_OUTPUT, proto_value(output, PERCEPT_FLOAT, -1, NULL));
    return graph;
}

struct proto node_with_body(const char *name, const char *output, struct proto graph)
{
    struct proto node = proto_node("Op", name, "", output);
    proto_attr_message(&node, "body", ATTR_GRAPH, ATTRIBUTE_G, graph);
    return node;
}

const struct graph *body_of(const struct graph *graph, int node)
{
    return graph_attr(&graph->nodes[node], "body")->graph;
}

const struct value *value_of(const struct graph *graph, const char *name)
{
    int i = graph_find(graph, bytes_of_text(name));
    ck_assert_msg(i >= 0, "no value '%s'", name);
    return &graph->values[i];
}

Suite *reading_suite(const char *name, TCase **tests)
{
    Suite *suite = suite_create(name);
    *tests = tcase_create("all");
    tcase_add_checked_fixture(*tests, fresh, done);
    tcase_set_timeout(*tests, 60); /* sanitizers are slow */
    suite_add_tcase(suite, *tests);
    return suite;
}
