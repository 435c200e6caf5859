/*
 * contract.c - the endpoints of the protocols against models of several kinds: what is said of one and what it does
 * agree.
 *
 *     square    x [batch, 3] -> y = x * x
 *     timed     x [time, batch, 2] -> y: the batch is the second axis
 *     summed    x [rows, 2] -> y [2]: no row of y is one of x
 *     digits    of models/: takes pictures
 */
#include "rig.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/proto.h"

static struct rig rig;

static void write_model(const char *name, struct proto graph)
{
    char path[96];
    struct proto model = proto_model(graph, 13);
    free(rig_shell(NULL, "mkdir -p %s/models/%s", rig.folder, name));
    snprintf(path, sizeof path, "models/%s/model.onnx", name);
    rig_write(&rig, path, model.at, model.n);
    proto_free(&model);
}

static void write_square(void)
{
    static const char manifest[] = "{\"manifest\":1,\"batching\":{\"max_batch_size\":5,"
                                   "\"max_queue_delay_microseconds\":7},\"warmup\":{\"batch_sizes\":[2,4]}}";
    struct proto graph = {0};
    proto_add(&graph, GRAPH_INPUT, proto_value("x", PERCEPT_FLOAT, 2, (int64_t[]){-1, 3}));
    proto_add(&graph, GRAPH_OUTPUT, proto_value("y", PERCEPT_FLOAT, 2, (int64_t[]){-1, 3}));
    proto_add(&graph, GRAPH_NODE, proto_node("Mul", "", "x,x", "y"));
    write_model("square", graph);
    rig_write(&rig, "models/square/manifest.json", manifest, sizeof manifest - 1);
}

static void write_timed(void)
{
    const int64_t dims[] = {-1, -1, 2};
    struct proto graph = {0};
    proto_add(&graph, GRAPH_INPUT, proto_value_named("x", PERCEPT_FLOAT, 3, dims, "time,batch"));
    proto_add(&graph, GRAPH_OUTPUT, proto_value_named("y", PERCEPT_FLOAT, 3, dims, "time,batch"));
    proto_add(&graph, GRAPH_NODE, proto_node("Relu", "", "x", "y"));
    write_model("timed", graph);
}

static void write_summed(void)
{
    struct proto graph = {0}, sum = proto_node("ReduceSum", "", "x,first", "y");
    const int64_t first = 0;
    proto_attr_int(&sum, "keepdims", 0);
    proto_add(&graph, GRAPH_INITIALIZER, proto_tensor("first", PERCEPT_INT64, 1, (int64_t[]){1}, &first, sizeof first));
    proto_add(&graph, GRAPH_INPUT, proto_value("x", PERCEPT_FLOAT, 2, (int64_t[]){-1, 2}));
    proto_add(&graph, GRAPH_OUTPUT, proto_value("y", PERCEPT_FLOAT, 1, (int64_t[]){2}));
    proto_add(&graph, GRAPH_NODE, sum);
    write_model("summed", graph);
}

/* False without a program. */
static bool start(void)
{
    if (!rig_is_there())
        return false;
    rig_begin(&rig);
    write_square();
    write_timed();
    write_summed();
    free(rig_shell(NULL, "cp -r models/digits %s/models/", rig.folder));
    rig_start(&rig, "%s/models --workers 2", rig.folder);
    return true;
}

static void end(void)
{
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_end(&rig);
}

static json_t *get(const char *path)
{
    struct reply reply = rig_get(&rig, path);
    ck_assert_msg(reply.status == 200, "%s: %d %s", path, reply.status, reply.body);
    json_t *read = json_loads(reply.body, 0, NULL);
    ck_assert_msg(read != NULL, "%s: %s", path, reply.body);
    reply_free(&reply);
    return read;
}

/* What lies at "input.0.dims" of a body, as JSON. */
static void expect(const json_t *at, const char *path, const char *json)
{
    char key[64];
    for (const char *rest = path; *rest && at; rest += strspn(rest, ".")) {
        size_t n = strcspn(rest, ".");
        snprintf(key, sizeof key, "%.*s", (int)n, rest);
        at = json_is_array(at) ? json_array_get(at, strtoul(key, NULL, 10)) : json_object_get(at, key);
        rest += n;
    }
    json_t *want = json_loads(json, JSON_DECODE_ANY, NULL);
    ck_assert_msg(at && want && json_equal(at, want), "%s is not %s", path, json);
    json_decref(want);
}

START_TEST(a_configuration_says_where_the_batch_is_and_what_pictures_are)
{
    if (!start())
        return;
    json_t *config = get("/v2/models/square/config");
    expect(config, "max_batch_size", "5");
    expect(config, "input.0.dims", "[3]");
    expect(config, "input.0.format", "\"FORMAT_NONE\"");
    expect(config, "dynamic_batching.max_queue_delay_microseconds", "7");
    expect(config, "model_warmup.1.batch_size", "4");
    json_decref(config);
    config = get("/v2/models/timed/config");
    expect(config, "max_batch_size", "0");
    expect(config, "input.0.dims", "[-1,-1,2]");
    expect(config, "output.0.dims", "[-1,-1,2]");
    ck_assert_ptr_null(json_object_get(config, "dynamic_batching"));
    json_decref(config);
    config = get("/v2/models/digits/config");
    expect(config, "input.0.format", "\"FORMAT_NCHW\"");
    expect(config, "input.0.dims", "[1,28,28]");
    expect(config, "output.0.data_type", "\"TYPE_FP32\"");
    json_decref(config);
    end();
}
END_TEST

static const struct {
    const char *path, *body;
    int status;
    const char *reply; /* what it begins with */
} predicted[] = {
    {"/v1/models/square:predict", "{\"instances\":[[1,2,3],[-4,0.5,NaN]]}", 200,
     "{\"predictions\":[[1.0,4.0,9.0],[16.0,0.25,NaN]]}\n"},
    {"/v1/models/square:predict", "{\"inputs\":{\"x\":[[1,2,3]]}}", 200, "{\"outputs\":[[1.0,4.0,9.0]]}\n"},
    {"/v1/models/square:predict", "{\"instances\":[[1,2,3],[1,2,3],[1,2,3],[1,2,3],[1,2,3],[1,2,3]]}", 400,
     "{\"error\":\"inference request batch-size must be <= 5 for 'square'\"}\n"},
    {"/v1/models/timed:predict", "{\"inputs\":[[[1,-2]],[[-3,4]],[[5,6]]]}", 200,
     "{\"outputs\":[[[1.0,0.0]],[[0.0,4.0]],[[5.0,6.0]]]}\n"},
    {"/v1/models/timed:predict", "{\"instances\":[[[1,-2]]]}", 400, "{\"error\":\"the batch of model 'timed' is not"},
    {"/v1/models/summed:predict", "{\"instances\":[[1,2],[3,4],[5,6]]}", 400,
     "{\"error\":\"output 'y' of model 'summed' has no row for each of 3 instances"},
    {"/v1/models/summed:predict", "{\"inputs\":[[1,2],[3,4]]}", 200, "{\"outputs\":[4.0,6.0]}\n"},
    {"/v1/models/summed:predict", "{\"instances\":[{\"x\":[1,2]}]}", 400, "{\"error\":\"output 'y'"},
};

START_TEST(v1_has_the_answers_of_the_model)
{
    if (!start())
        return;
    for (size_t i = 0; i < sizeof predicted / sizeof *predicted; i++) {
        struct reply reply = rig_ask(&rig, "POST", predicted[i].path, "", predicted[i].body, strlen(predicted[i].body));
        ck_assert_msg(reply.status == predicted[i].status &&
                          strncmp(reply.body, predicted[i].reply, strlen(predicted[i].reply)) == 0,
                      "%s %s: %d %s", predicted[i].path, predicted[i].body, reply.status, reply.body);
        reply_free(&reply);
    }
    end();
}
END_TEST

Suite *daemon_contract_suite(void);

Suite *daemon_contract_suite(void)
{
    Suite *suite = suite_create("daemon/contract");
    TCase *tcase = tcase_create("contract");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, v1_has_the_answers_of_the_model);
    tcase_add_test(tcase, a_configuration_says_where_the_batch_is_and_what_pictures_are);
    suite_add_tcase(suite, tcase);
    return suite;
}
