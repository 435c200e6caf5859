/*
 * contract.c - the endpoints of the protocols against models of several kinds: what is said of one and what it does
 * agree.
 *
 *     square    x [batch, 3] -> y = x * x
 *     timed     x [time, batch, 2] -> y: the batch is the second axis
 *     summed    x [rows, 2] -> y [2]: no row of y is one of x
 *     two       a INT32 [batch, 2] -> y, b [batch, 2] -> z
 *     half      I FP16 [batch, 2] -> O
 *     texts     t BYTES [batch, 2] -> y
 *     free      x [batch, any, any] -> y
 *     any       x, declared a scalar -> y
 *     broken    no model
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

/* One Identity or more, by the names of their ends. */
static void write_identities(const char *name, int n, const char *const *inputs, const char *const *outputs,
                             const enum percept_dtype *dtypes, int rank, int64_t last)
{
    struct proto graph = {0};
    for (int i = 0; i < n; i++) {
        const int64_t dims[] = {-1, last, last};
        proto_add(&graph, GRAPH_INPUT, proto_value(inputs[i], dtypes[i], rank, dims));
        proto_add(&graph, GRAPH_OUTPUT, proto_value(outputs[i], dtypes[i], rank, dims));
        proto_add(&graph, GRAPH_NODE, proto_node("Identity", "", inputs[i], outputs[i]));
    }
    write_model(name, graph);
}

static void write_others(void)
{
    write_identities("two", 2, (const char *const[]){"a", "b"}, (const char *const[]){"y", "z"},
                     (const enum percept_dtype[]){PERCEPT_INT32, PERCEPT_FLOAT}, 2, 2);
    write_identities("half", 1, (const char *const[]){"I"}, (const char *const[]){"O"},
                     (const enum percept_dtype[]){PERCEPT_FLOAT16}, 2, 2);
    write_identities("texts", 1, (const char *const[]){"t"}, (const char *const[]){"y"},
                     (const enum percept_dtype[]){PERCEPT_STRING}, 2, 2);
    write_identities("any", 1, (const char *const[]){"x"}, (const char *const[]){"y"},
                     (const enum percept_dtype[]){PERCEPT_FLOAT}, 0, 0);
    write_identities("free", 1, (const char *const[]){"x"}, (const char *const[]){"y"},
                     (const enum percept_dtype[]){PERCEPT_FLOAT}, 3, -1);
    free(rig_shell(NULL, "mkdir %s/models/broken", rig.folder));
    rig_write(&rig, "models/broken/model.onnx", "no model", 8);
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
    write_others();
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

/* --- the sentences that clients look for -------------------------------------------------------------------------- */

#define PAIR(a, b) "{\"inputs\":[" a "," b "]}"
#define A_OF(shape, type, data) "{\"name\":\"a\",\"shape\":" shape ",\"datatype\":\"" type "\"" data "}"
#define A A_OF("[1,2]", "INT32", ",\"data\":[1,2]")
#define B "{\"name\":\"b\",\"shape\":[1,2],\"datatype\":\"FP32\",\"data\":[1,2]}"
#define UNKNOWN "[request id: <id_unknown>] "
#define TWO "/v2/models/two/infer"
#define HALF "/v2/models/half/infer"
#define SQUARE "/v2/models/square/infer"
#define SET_ONE                                                                                                        \
    "Input must set only one of the following fields: 'data', 'binary_data_size' in 'parameters', "                    \
    "'shared_memory_region' in 'parameters'. But "
#define X_OF(shape, data) "{\"inputs\":[{\"name\":\"x\",\"shape\":" shape ",\"datatype\":\"FP32\"," data "}]}"
#define NO_JSON "Inference-Header-Content-Length: 0\r\n"

/* Where a body has a line end, bytes follow its JSON. */
static const struct {
    const char *path, *more, *body;
    int status;
    const char *says;
} texts[] = {
    {"/v2/models/X/infer", "", "{}", 404, "Request for unknown model: 'X' is not found"},
    {"/v2/models/two/versions/99/infer", "", "{}", 404, "Request for unknown model: 'two' version 99 is not found"},
    {"/v2/models/broken/infer", "", "{}", 503, "Request for unknown model: 'broken' version 1 is not at ready state"},
    {"/v2/models/two", "", "{}", 405, "Method Not Allowed"},
    {"/v2/nowhere", "", "{}", 404, "Not Found"},
    {TWO, "", "{\"inputs\":[" A "]}", 400,
     UNKNOWN "expected 2 inputs but got 1 inputs for model 'two'. Got input(s) ['a'], but missing required input(s) "
             "['b']. Please provide all required input(s)."},
    {TWO, "", "{\"id\":\"my id\",\"inputs\":[" A "]}", 400, "[request id: my id] expected 2 inputs but got 1 inputs"},
    {TWO, "", "{\"inputs\":[" A "," B ",{\"name\":\"c\",\"shape\":[1],\"datatype\":\"FP32\",\"data\":[1]}]}", 400,
     UNKNOWN "unexpected inference input 'c' for model 'two'"},
    {TWO, "", PAIR(A_OF("[1,2]", "FP32", ",\"data\":[1,2]"), B), 400,
     UNKNOWN "inference input 'a' data-type is 'FP32', but model 'two' expects 'INT32'"},
    {TWO, "", PAIR(A_OF("[1,3]", "INT32", ",\"data\":[1,2,3]"), B), 400,
     UNKNOWN "unexpected shape for input 'a' for model 'two'. Expected [-1,2], got [1,3]. NOTE: Setting a non-zero "
             "max_batch_size"},
    {TWO, "", PAIR(A_OF("[1,2]", "INT32", ",\"parameters\":{\"binary_data_size\":7}"), B) "\n1234567", 400,
     UNKNOWN "input byte size mismatch for input 'a' for model 'two'. Expected 8, got 7"},
    {SQUARE, "", X_OF("[6,3]", "\"data\":[1,2,3,1,2,3,1,2,3,1,2,3,1,2,3,1,2,3]"), 400,
     UNKNOWN "inference request batch-size must be <= 5 for 'square'"},
    {TWO, "", PAIR(A_OF("[2,2]", "INT32", ",\"data\":[1,2,3,4]"), B), 400,
     UNKNOWN "input 'b' batch size does not match other inputs for 'two'"},
    {TWO, "", "{\"inputs\":[" A "," B "],\"outputs\":[{\"name\":\"O\"}]}", 400,
     UNKNOWN "unexpected inference output 'O' for model 'two'"},
    {SQUARE, "", X_OF("[1,3]", "\"parameters\":{}"), 400, UNKNOWN SET_ONE "no field is set"},
    {SQUARE, "", X_OF("[1,3]", "\"parameters\":{\"binary_data_size\":12},\"data\":[1,2,3]"), 400,
     UNKNOWN SET_ONE "set 'data' 'binary_data_size'"},
    {SQUARE, "", X_OF("[-1,3]", "\"data\":[1,2,3]"), 400,
     "Unable to parse 'shape': attempt to access JSON non-unsigned-integer as unsigned-integer"},
    {"/v2/models/any/infer", "", X_OF("[9223372036854775807,3]", "\"data\":[1,2,3]"), 400,
     "causes total element count to exceed maximum size of 9223372036854775807"},
    {"/v2/models/any/infer", "", X_OF("[4611686018427387904]", "\"parameters\":{\"binary_data_size\":1}") "\n1", 400,
     "byte size overflow for input 'x'"},
    {SQUARE, "", X_OF("[1,3]", "\"data\":[1,2]"), 400,
     "Failed to parse 'data' field: shape does not match true shape of 'data' field"},
    {SQUARE, "", X_OF("[1,3]", "\"data\":[1,2,3,4]"), 400,
     "Unable to parse 'data': Shape does not match true shape of 'data' field"},
    {HALF, "", "{\"inputs\":[{\"name\":\"I\",\"shape\":[1,2],\"datatype\":\"FP16\",\"data\":[1,2]}]}", 400,
     UNKNOWN "receiving FP16 data via JSON is not supported. Please use the binary data format for input I"},
    {HALF, "",
     "{\"inputs\":[{\"name\":\"I\",\"shape\":[1,2],\"datatype\":\"FP16\",\"parameters\":{\"binary_data_size\":4}}]}"
     "\n1234",
     400, "sending FP16 data via JSON is not supported. Please use the binary data format for output O"},
    {SQUARE, "Inference-Header-Content-Length: 999\r\n", "{}", 400,
     "inference header size should be in range (0, 2), got: 999"},
    {SQUARE, "", X_OF("[1,3]", "\"parameters\":{\"binary_data_size\":12}") "\n123", 400,
     UNKNOWN "unexpected size for input 'x', expecting 9 additional bytes for model 'square'"},
    {SQUARE, "", X_OF("[1,3]", "\"data\":[1,2,3]") "\n123", 400,
     UNKNOWN "unexpected additional input data for model 'square'"},
    {TWO, NO_JSON, "12345678", 400,
     "Raw request must only have 1 input (found 1) to be deduced but got 2 inputs in 'two' model configuration"},
    {"/v2/models/texts/infer", NO_JSON, "12345678", 400,
     "For BYTE datatype raw input 't', the model must have input shape [1]"},
    {"/v2/models/free/infer", NO_JSON, "12345678", 400,
     "The shape of the raw input 'x' can not be deduced because there are more than one variable-sized dimension"},
    {SQUARE, "", "{\"parameters\":{\"triton_x\":1},\"inputs\":[]}", 400, "'triton_'"},
};

START_TEST(errors_have_the_sentences_that_clients_look_for)
{
    if (!start())
        return;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char more[64];
        const char *bytes = strchr(texts[i].body, '\n');
        if (bytes)
            snprintf(more, sizeof more, "Inference-Header-Content-Length: %td\r\n", bytes + 1 - texts[i].body);
        struct reply reply =
            rig_ask(&rig, "POST", texts[i].path, bytes ? more : texts[i].more, texts[i].body, strlen(texts[i].body));
        json_t *read = json_loads(reply.body, 0, NULL);
        const char *error = json_string_value(json_object_get(read, "error"));
        ck_assert_msg(reply.status == texts[i].status && error && strstr(error, texts[i].says) != NULL,
                      "%s %s: %d %s\nnot %s", texts[i].path, texts[i].body, reply.status, reply.body, texts[i].says);
        json_decref(read);
        reply_free(&reply);
    }
    end();
}
END_TEST

/* A queue of one, which a request is in that waits for company. */
START_TEST(so_have_those_of_load_and_size)
{
    static const char body[] = X_OF("[1,3]", "\"data\":[1,2,3]");
    if (!rig_is_there())
        return;
    struct client first;
    rig_begin(&rig);
    write_square();
    free(rig_shell(NULL, "rm %s/models/square/manifest.json", rig.folder));
    rig_start(&rig, "%s/models --workers 1 --max-queue-size 1 --max-queue-delay-us 10000000 --max-body 2000",
              rig.folder);
    ck_assert(client_open(&first, rig.port));
    ck_assert(client_request(&first, "POST", SQUARE, "X-Request-Timeout-Ms: 1000\r\n", body, sizeof body - 1));
    while (rig_metric(&rig, "nv_inference_pending_request_count") < 1)
        rig_pause(2);
    struct reply reply = rig_ask(&rig, "POST", SQUARE, "", body, sizeof body - 1);
    ck_assert_int_eq(reply.status, 503);
    ck_assert_str_eq(reply.body, "{\"error\":\"Exceeds maximum queue size\"}\n");
    reply_free(&reply);
    reply = client_reply(&first);
    ck_assert_int_eq(reply.status, 503);
    ck_assert_str_eq(reply.body, "{\"error\":\"Request timeout expired\"}\n");
    reply_free(&reply);
    client_close(&first);
    static char large[3000];
    reply = rig_ask(&rig, "POST", SQUARE, "", large, sizeof large);
    ck_assert_int_eq(reply.status, 413);
    ck_assert(strstr(reply.body,
                     "request JSON size of 3000 bytes exceeds the maximum allowed input size of 2000 bytes. Use") !=
              NULL);
    reply_free(&reply);
    end();
}
END_TEST

Suite *daemon_contract_suite(void);

Suite *daemon_contract_suite(void)
{
    Suite *suite = suite_create("daemon/contract");
    TCase *tcase = tcase_create("contract");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, errors_have_the_sentences_that_clients_look_for);
    tcase_add_test(tcase, so_have_those_of_load_and_size);
    tcase_add_test(tcase, v1_has_the_answers_of_the_model);
    tcase_add_test(tcase, a_configuration_says_where_the_batch_is_and_what_pictures_are);
    suite_add_tcase(suite, tcase);
    return suite;
}
