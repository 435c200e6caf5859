/*
 * joining.c - two clients at once: their requests share a run where items are proved apart, or said to be, and never
 * else; what one gets does not depend on the other.
 */
#include "rig.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/proto.h"

struct ask {
    const struct rig *rig;
    const char *path, *body;
    struct reply reply;
};

static void *ask(void *at)
{
    struct ask *one = at;
    struct client client;
    if (client_open(&client, one->rig->port)) {
        client_request(&client, "POST", one->path, "Content-Type: application/json\r\n", one->body, strlen(one->body));
        one->reply = client_reply(&client);
        client_close(&client);
    }
    return NULL;
}

/* y = x / max(|x| over all, 4), each row by itself where `apart`. */
static void write_model(const struct rig *rig, const char *name, struct proto graph)
{
    char path[96];
    struct proto model = proto_model(graph, 13);
    free(rig_shell(NULL, "mkdir -p %s/models/%s", rig->folder, name));
    snprintf(path, sizeof path, "models/%s/model.onnx", name);
    rig_write(rig, path, model.at, model.n);
    proto_free(&model);
}

static void write_limiter(const struct rig *rig, const char *name, bool apart, const char *manifest)
{
    char path[96];
    const float four = 4;
    struct proto graph = {0}, peak = proto_node("ReduceMax", "peak", "a", "m");
    if (apart)
        proto_attr_ints(&peak, "axes", 1, (int64_t[]){1});
    proto_add(&graph, GRAPH_INPUT, proto_value("x", PERCEPT_FLOAT, 2, (int64_t[]){1, 3}));
    proto_add(&graph, GRAPH_OUTPUT, proto_value("y", PERCEPT_FLOAT, 2, (int64_t[]){1, 3}));
    proto_add(&graph, GRAPH_INITIALIZER, proto_tensor("four", PERCEPT_FLOAT, 0, NULL, &four, sizeof four));
    proto_add(&graph, GRAPH_NODE, proto_node("Abs", "", "x", "a"));
    proto_add(&graph, GRAPH_NODE, peak);
    proto_add(&graph, GRAPH_NODE, proto_node("Max", "", "m,four", "d"));
    proto_add(&graph, GRAPH_NODE, proto_node("Div", "", "x,d", "y"));
    write_model(rig, name, graph);
    snprintf(path, sizeof path, "models/%s/manifest.json", name);
    if (manifest)
        rig_write(rig, path, manifest, strlen(manifest));
}

/* Rows of a table by their numbers. */
static void write_table(const struct rig *rig, const char *name)
{
    const float rows[] = {0.5F, 1, 1.5F, 2};
    struct proto graph = {0};
    proto_add(&graph, GRAPH_INPUT, proto_value("x", PERCEPT_INT64, 2, (int64_t[]){-1, 3}));
    proto_add(&graph, GRAPH_OUTPUT, proto_value("y", PERCEPT_FLOAT, 2, (int64_t[]){-1, 3}));
    proto_add(&graph, GRAPH_INITIALIZER, proto_tensor("rows", PERCEPT_FLOAT, 1, (int64_t[]){4}, rows, sizeof rows));
    proto_add(&graph, GRAPH_NODE, proto_node("Gather", "look", "rows,x", "y"));
    write_model(rig, name, graph);
}

#define BODY_OF(type, data)                                                                                            \
    "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"" type "\",\"shape\":[1,3],\"data\":" data "}]}"
#define BODY(data) BODY_OF("FP32", data)

static void ask_both(struct ask *a, struct ask *b)
{
    pthread_t threads[2];
    ck_assert_int_eq(pthread_create(&threads[0], NULL, ask, a), 0);
    ck_assert_int_eq(pthread_create(&threads[1], NULL, ask, b), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
}

/* Does the quiet one get what it would get alone, beside a loud one? *joined: they shared a run. */
static bool same_beside(const struct rig *rig, const char *name, bool *joined)
{
    char path[64];
    snprintf(path, sizeof path, "/v2/models/%s/infer", name);
    struct ask quiet = {rig, path, BODY("[1,-2,0.5]"), {0}}, loud = {rig, path, BODY("[5000,NaN,1]"), {0}};
    ask_both(&loud, &quiet);
    ck_assert_int_eq(quiet.reply.status, 200);
    *joined = strstr(quiet.reply.head, "batch;desc=\"2\"") != NULL;
    const bool same = strstr(quiet.reply.body, "[0.25,-0.5,0.125]") != NULL;
    reply_free(&quiet.reply);
    reply_free(&loud.reply);
    return same;
}

START_TEST(requests_share_a_run_by_a_proof_or_by_the_owners_word)
{
    if (!rig_is_there())
        return;
    struct rig rig;
    bool joined;
    rig_begin(&rig);
    write_limiter(&rig, "coupled", false, NULL);
    write_limiter(&rig, "apart", true, NULL);
    write_limiter(&rig, "vouched", false, "{\"manifest\":1,\"batching\":{\"independent\":true}}");
    rig_start(&rig, "%s/models --workers 1 --max-queue-delay-us 10000000 --max-batch-size 2", rig.folder);
    ck_assert(same_beside(&rig, "apart", &joined) && joined);
    ck_assert(same_beside(&rig, "coupled", &joined) && !joined);
    ck_assert(!same_beside(&rig, "vouched", &joined) && joined); /* the owner is wrong here, and it is his word */
    ck_assert(rig_log_has(&rig, "on the owner's word"));
    ck_assert(rig_log_has(&rig, "(ReduceMax): reduces over the batch"));
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_end(&rig);
}
END_TEST

/* The joint run fails; each gets his own answer or his own error. */
START_TEST(an_index_that_is_none_is_its_senders_alone)
{
    if (!rig_is_there())
        return;
    struct rig rig;
    rig_begin(&rig);
    write_table(&rig, "table");
    rig_start(&rig, "%s/models --workers 1 --max-queue-delay-us 10000000 --max-batch-size 2", rig.folder);
    struct ask good = {&rig, "/v2/models/table/infer", BODY_OF("INT64", "[3,0,-1]"), {0}};
    struct ask bad = {&rig, "/v2/models/table/infer", BODY_OF("INT64", "[1,99,1]"), {0}};
    ask_both(&good, &bad);
    ck_assert_int_eq(good.reply.status, 200);
    ck_assert_msg(strstr(good.reply.body, "[2.0,0.5,2.0]") != NULL, "%s", good.reply.body);
    ck_assert_int_eq(bad.reply.status, 400);
    ck_assert_msg(strstr(bad.reply.body, "index 99 is outside") != NULL, "%s", bad.reply.body);
    reply_free(&good.reply);
    reply_free(&bad.reply);
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_end(&rig);
}
END_TEST

/* Alone a row is its own mean. The log names the node, and the owner's word against it is refused. */
START_TEST(a_normalization_in_training_form_is_never_joined)
{
    if (!rig_is_there())
        return;
    struct rig rig;
    static const char manifest[] = "{\"manifest\":1,\"batching\":{\"independent\":true}}";
    const float ones[] = {1, 1, 1};
    struct proto graph = {0}, norm = proto_node("BatchNormalization", "bn", "x,one,one,one,one", "y,m,v,sm,sv");
    rig_begin(&rig);
    proto_add(&graph, GRAPH_INPUT, proto_value("x", PERCEPT_FLOAT, 2, (int64_t[]){-1, 3}));
    proto_add(&graph, GRAPH_OUTPUT, proto_value("y", PERCEPT_FLOAT, 2, (int64_t[]){-1, 3}));
    proto_add(&graph, GRAPH_INITIALIZER, proto_tensor("one", PERCEPT_FLOAT, 1, (int64_t[]){3}, ones, sizeof ones));
    proto_add(&graph, GRAPH_NODE, norm);
    write_model(&rig, "training", graph);
    rig_start(&rig, "%s/models --workers 1 --max-queue-delay-us 10000000 --max-batch-size 2", rig.folder);
    struct ask a = {&rig, "/v2/models/training/infer", BODY("[1,-2,0.5]"), {0}};
    struct ask b = {&rig, "/v2/models/training/infer", BODY("[5000,7,1]"), {0}};
    ask_both(&a, &b);
    ck_assert_int_eq(a.reply.status, 200);
    ck_assert_msg(strstr(a.reply.body, "[1.0,1.0,1.0]") != NULL, "%s", a.reply.body);
    ck_assert_msg(strstr(b.reply.body, "[1.0,1.0,1.0]") != NULL, "%s", b.reply.body);
    ck_assert(rig_log_has(&rig, "model note"));
    ck_assert(rig_log_has(&rig, "(BatchNormalization) is in training form"));
    reply_free(&a.reply);
    reply_free(&b.reply);
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_write(&rig, "models/training/manifest.json", manifest, sizeof manifest - 1);
    rig_spawn(&rig, "%s/models --workers 1", rig.folder);
    ck_assert_int_eq(rig_wait(&rig), 1);
    ck_assert(rig_log_has(&rig, "takes mean and variance from the whole batch"));
    rig_end(&rig);
}
END_TEST

Suite *daemon_joining_suite(void);
Suite *daemon_joining_suite(void)
{
    Suite *suite = suite_create("daemon_joining");
    TCase *tests = tcase_create("joining");
    tcase_set_timeout(tests, 300);
    tcase_add_test(tests, requests_share_a_run_by_a_proof_or_by_the_owners_word);
    tcase_add_test(tests, an_index_that_is_none_is_its_senders_alone);
    tcase_add_test(tests, a_normalization_in_training_form_is_never_joined);
    suite_add_tcase(suite, tests);
    return suite;
}
