/*
 * triton.c - a repository as Triton has them, served as it lies there: what its clients ask first, and what they are
 * told of models that mean something that we do not have.
 *
 * The networks are written here: "sums" adds and subtracts, "words" gives texts back, "scores" has labels, "whole" has
 * no batch, "coupled" has one whose items may not be joined.
 */
#include "rig.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "graph/proto.h"

#define SUMS_CONFIG                                                                                                    \
    "# sums\nname: \"sums\"\nplatform: \"onnxruntime_onnx\"\nmax_batch_size: 8\n"                                      \
    "input [\n  {\n    name: \"A\"\n    data_type: TYPE_INT32\n    dims: [ 16 ]\n  },\n"                               \
    "  {\n    name: \"B\"\n    data_type: TYPE_INT32\n    dims: [ 16 ]\n  }\n]\n"                                      \
    "output [\n  {\n    name: \"SUM\"\n    data_type: TYPE_INT32\n    dims: [ 16 ]\n  },\n"                            \
    "  {\n    name: \"DIFFERENCE\"\n    data_type: TYPE_INT32\n    dims: [ 16 ]\n  }\n]\n"                             \
    "optimization { execution_accelerators { gpu_execution_accelerator : [ { name : \"tensorrt\" } ] } }\n"
#define WORDS_CONFIG                                                                                                   \
    "name: 'words' max_batch_size: 8 input { name: 'x' data_type: TYPE_STRING dims: [ -1 ] } "                         \
    "output { name: 'y' data_type: TYPE_STRING dims: [ -1 ] }"
#define SCORES_CONFIG                                                                                                  \
    "max_batch_size: 4 input [ { name: 'x' data_type: TYPE_FP32 dims: [ 3 ] } ] output [ { name: 'y' "                 \
    "data_type: TYPE_FP32 dims: [ 3 ] label_filename: 'labels.txt' } ]"
#define WHOLE_CONFIG                                                                                                   \
    "max_batch_size: 0 input { name: 'x' data_type: TYPE_FP32 dims: [ 2, 3 ] } output { name: 'y' data_type: "         \
    "TYPE_FP32 dims: [ 2, 3 ] label_filename: 'labels.txt' }"

static struct proto sums(void)
{
    struct proto graph = {0};
    const int64_t dims[] = {-1, 16};
    proto_add(&graph, GRAPH_NODE, proto_node("Add", "", "A,B", "SUM"));
    proto_add(&graph, GRAPH_NODE, proto_node("Sub", "", "A,B", "DIFFERENCE"));
    proto_add(&graph, GRAPH_INPUT, proto_value_named("A", PERCEPT_INT32, 2, dims, "batch,n"));
    proto_add(&graph, GRAPH_INPUT, proto_value_named("B", PERCEPT_INT32, 2, dims, "batch,n"));
    proto_add(&graph, GRAPH_OUTPUT, proto_value_named("SUM", PERCEPT_INT32, 2, dims, "batch,n"));
    proto_add(&graph, GRAPH_OUTPUT, proto_value_named("DIFFERENCE", PERCEPT_INT32, 2, dims, "batch,n"));
    return graph;
}

static struct proto same(enum percept_dtype dtype)
{
    struct proto graph = {0};
    const int64_t dims[] = {-1, -1};
    proto_add(&graph, GRAPH_NODE, proto_node("Identity", "", "x", "y"));
    proto_add(&graph, GRAPH_INPUT, proto_value_named("x", dtype, 2, dims, "batch,n"));
    proto_add(&graph, GRAPH_OUTPUT, proto_value_named("y", dtype, 2, dims, "batch,n"));
    return graph;
}

static struct proto coupled(void)
{
    struct proto graph = {0}, node = proto_node("Softmax", "", "x", "y");
    const int64_t dims[] = {-1, 3};
    proto_attr_int(&node, "axis", 0);
    proto_add(&graph, GRAPH_NODE, node);
    proto_add(&graph, GRAPH_INPUT, proto_value_named("x", PERCEPT_FLOAT, 2, dims, "batch,n"));
    proto_add(&graph, GRAPH_OUTPUT, proto_value_named("y", PERCEPT_FLOAT, 2, dims, "batch,n"));
    return graph;
}

static bool begin(struct rig *rig)
{
    if (!rig_is_there())
        return false;
    rig_begin(rig);
    rig_write_repository(rig, "sums", sums(), SUMS_CONFIG);
    rig_write_repository(rig, "words", same(PERCEPT_STRING), WORDS_CONFIG);
    rig_write_repository(rig, "scores", same(PERCEPT_FLOAT), SCORES_CONFIG);
    rig_write_repository(rig, "whole", same(PERCEPT_FLOAT), WHOLE_CONFIG);
    rig_write_repository(rig, "coupled", coupled(), "max_batch_size: 2");
    rig_write_text(rig, "repo/scores/labels.txt", "cat\ndog\ncow\n");
    rig_write_text(rig, "repo/whole/labels.txt", "1\n2\n3\n4\n5\n6\n");
    rig_write_repository(rig, "states", same(PERCEPT_FLOAT), "model_transaction_policy { decoupled: true }");
    rig_write_repository(rig, "odd", same(PERCEPT_FLOAT), "max_batch_size: 4 input { name: 'x' dims: [ 3, 3 ] }");
    rig_write_repository(rig, "misnamed", same(PERCEPT_FLOAT), "name: 'other'");
    free(rig_shell(NULL,
                   "cd %s/repo && mkdir -p plan/1 chain/1 && touch plan/config.pbtxt plan/1/model.plan && "
                   "echo 'ensemble_scheduling { }' > chain/config.pbtxt",
                   rig->folder));
    rig_start(rig, "%s/repo", rig->folder);
    return true;
}

static void expect_get(const struct rig *rig, const char *path, int status, const char *part)
{
    struct reply reply = rig_get(rig, path);
    ck_assert_msg(reply.status == status && strstr(reply.body, part), "%s gives %d: %s", path, reply.status,
                  reply.body);
    reply_free(&reply);
}

static void expect_post(const struct rig *rig, const char *model, const char *body, int status, const char *part)
{
    char path[80];
    snprintf(path, sizeof path, "/v2/models/%s/infer", model);
    struct reply reply = rig_ask(rig, "POST", path, "", body, strlen(body));
    ck_assert_msg(reply.status == status && strstr(reply.body, part), "%s gives %d: %s", body, reply.status,
                  reply.body);
    reply_free(&reply);
}

/* One input as JSON and one as bytes behind it, as Triton's Python client sends them. */
static void expect_mixed(const struct rig *rig)
{
    static const char json[] =
        "{\"inputs\":[{\"name\":\"A\",\"shape\":[1,16],\"datatype\":\"INT32\",\"data\":[0,1,2,3,4,5,6,7,8,9,10,11,12,"
        "13,"
        "14,15]},{\"name\":\"B\",\"shape\":[1,16],\"datatype\":\"INT32\",\"parameters\":{\"binary_data_size\":64}}],"
        "\"outputs\":[{\"name\":\"SUM\"},{\"name\":\"DIFFERENCE\",\"parameters\":{\"binary_data\":false}}]}";
    char body[sizeof json - 1 + 64], head[64];
    int32_t ones[16];
    for (int i = 0; i < 16; i++)
        ones[i] = 1;
    memcpy(body, json, sizeof json - 1);
    memcpy(body + sizeof json - 1, ones, sizeof ones);
    snprintf(head, sizeof head, "inference-header-content-length: %zu\r\n", sizeof json - 1);
    struct reply reply = rig_ask(rig, "POST", "/v2/models/sums/infer?test_1=1", head, body, sizeof body);
    ck_assert_msg(reply.status == 200, "%d: %s", reply.status, reply.body);
    ck_assert_ptr_nonnull(strstr(reply.body, "\"data\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]"));
    ck_assert_ptr_nonnull(strstr(reply.body, "\"data\":[-1,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14]"));
    reply_free(&reply);
}

#define ONE(dtype, shape, data)                                                                                        \
    "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"" dtype "\",\"shape\":" shape ",\"data\":" data "}]"
#define CLASSES ",\"outputs\":[{\"name\":\"y\",\"parameters\":{\"classification\":2}}]}"

START_TEST(what_is_declared_is_served)
{
    struct rig rig;
    if (!begin(&rig))
        return;
    expect_get(&rig, "/v2/models/sums", 200, "{\"name\":\"A\",\"datatype\":\"INT32\",\"shape\":[-1,16]}");
    expect_get(&rig, "/v2/models/words", 200, "{\"name\":\"x\",\"datatype\":\"BYTES\",\"shape\":[-1,-1]}");
    expect_get(&rig, "/v2/models/scores", 200, "{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[-1,3]}");
    expect_get(&rig, "/v2/models/whole", 200, "{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[2,3]}");
    expect_get(&rig, "/v1/models/whole/metadata", 200, "{\"size\":\"2\",\"name\":\"batch\"},{\"size\":\"3\",");
    expect_get(&rig, "/v1/models/sums/metadata", 200, "{\"size\":\"-1\",\"name\":\"batch\"},{\"size\":\"16\",");
    expect_mixed(&rig);
    expect_post(&rig, "words", ONE("BYTES", "[1,2]", "[\"a\\u0000\",\"\"]") "}", 200, "\"data\":[\"a\\u0000\",\"\"]");
    expect_post(&rig, "scores", ONE("FP32", "[1,3]", "[1,3,2]") CLASSES, 200,
                "\"shape\":[1,2],\"data\":[\"3.000000:1:dog\",\"2.000000:2:cow\"]");
    expect_post(&rig, "coupled", ONE("FP32", "[2,3]", "[0,0,0,0,0,0]") CLASSES, 200,
                "\"shape\":[2,2],\"data\":[\"0.500000:0\",\"0.500000:1\",\"0.500000:0\",\"0.500000:1\"]");
    expect_post(&rig, "whole", ONE("FP32", "[2,3]", "[1,3,2,0,0,9]") CLASSES, 200,
                "\"shape\":[2],\"data\":[\"9.000000:5:6\",\"3.000000:1:2\"]");
    rig_finish(&rig);
}
END_TEST

START_TEST(what_is_declared_otherwise_is_refused)
{
    struct rig rig;
    if (!begin(&rig))
        return;
    expect_post(&rig, "scores", ONE("FP32", "[1,4]", "[1,2,3,4]") "}", 400,
                "unexpected shape for input 'x' for model 'scores'. Expected [-1,3], got [1,4]. NOTE: Setting a "
                "non-zero max_batch_size");
    expect_post(&rig, "scores", ONE("FP32", "[5,3]", "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]") "}", 400,
                "inference request batch-size must be <= 4 for 'scores'");
    expect_post(&rig, "coupled", ONE("FP32", "[3,3]", "[1,2,3,4,5,6,7,8,9]") "}", 400,
                "inference request batch-size must be <= 2 for 'coupled'");
    expect_post(&rig, "whole", ONE("FP32", "[1,3]", "[1,2,3]") "}", 400,
                "unexpected shape for input 'x' for model 'whole'. Expected [2,3], got [1,3].");
    expect_post(&rig, "states", ONE("FP32", "[1,3]", "[1,2,3]") "}", 503, "is not at ready state");
    rig_finish(&rig);
}
END_TEST

START_TEST(what_is_not_served_is_named_with_its_field)
{
    struct rig rig;
    if (!begin(&rig))
        return;
    expect_get(&rig, "/v2/models/states/ready", 503,
               "states/config.pbtxt: line 1, column 28: model_transaction_policy.decoupled: ");
    static const char *const parts[] = {
        "\"states\":\"version 1: states/config.pbtxt: line 1, column 28: model_transaction_policy.decoupled: ",
        "\"odd\":\"version 1: odd/config.pbtxt: input 'x': the model expects 2 dimensions (shape [-1,-1]), declared "
        "are 3 ",
        "\"misnamed\":\"version 1: misnamed/config.pbtxt: unexpected directory name 'misnamed' for model 'other'",
        "\"plan/\":\"there is no .onnx file in it; '1/model.plan' is a TensorRT engine",
        "\"chain\":\"version 1: chain/config.pbtxt: line 1, column 1: ensemble_scheduling: it must have a 'step'",
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        expect_get(&rig, "/v2/health/ready", 200, parts[i]);
    ck_assert(
        rig_log_has(&rig, "fields of config.pbtxt without effect here  model=sums version=1 fields=optimization"));
    ck_assert(rig_log_has(&rig, "found=\"numbered versions with a config.pbtxt\""));
    rig_finish(&rig);
}
END_TEST

Suite *daemon_triton_suite(void);

Suite *daemon_triton_suite(void)
{
    Suite *suite = suite_create("daemon/triton");
    TCase *tests = tcase_create("triton");
    tcase_set_timeout(tests, RIG_PATIENCE_MS / 1000 * 4);
    tcase_add_test(tests, what_is_declared_is_served);
    tcase_add_test(tests, what_is_declared_otherwise_is_refused);
    tcase_add_test(tests, what_is_not_served_is_named_with_its_field);
    suite_add_tcase(suite, tests);
    return suite;
}
