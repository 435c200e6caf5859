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

static void floats(struct proto *graph, const char *name, int rank, const int64_t *dims)
{
    float data[64];
    int64_t n = 1;
    for (int d = 0; d < rank; d++)
        n *= dims[d];
    for (int64_t i = 0; i < n; i++)
        data[i] = (float)((i * 7 + 3) % 11) / 8 - 0.625F;
    proto_add(graph, GRAPH_INITIALIZER, proto_tensor(name, PERCEPT_FLOAT, rank, dims, data, (size_t)n * sizeof *data));
}

static void named(struct proto *graph, uint32_t tag, const char *name, int rank, const int64_t *dims, const char *names)
{
    proto_add(graph, tag, proto_value_named(name, PERCEPT_FLOAT, rank, dims, names));
}

/* x [time, batch, 2] -> y [time, batch, 2]; with states in and out [1, batch, 2] where `states`. */
static void write_recurrent(const struct rig *rig, const char *name, bool states)
{
    const int64_t second = 1;
    struct proto graph = {0}, lstm = proto_node("LSTM", "", states ? "x,w,r,,,h0,c0" : "x,w,r", "a,h,c");
    proto_attr_int(&lstm, "hidden_size", 2);
    floats(&graph, "w", 3, (int64_t[]){1, 8, 2});
    floats(&graph, "r", 3, (int64_t[]){1, 8, 2});
    proto_add(&graph, GRAPH_INITIALIZER,
              proto_tensor("second", PERCEPT_INT64, 1, (int64_t[]){1}, &second, sizeof second));
    named(&graph, GRAPH_INPUT, "x", 3, (int64_t[]){-1, -1, 2}, "time,batch");
    named(&graph, GRAPH_OUTPUT, "y", 3, (int64_t[]){-1, -1, 2}, "time,batch");
    for (int i = 0; states && i < 2; i++) {
        named(&graph, GRAPH_INPUT, i ? "c0" : "h0", 3, (int64_t[]){1, -1, 2}, ",batch");
        named(&graph, GRAPH_OUTPUT, i ? "c" : "h", 3, (int64_t[]){1, -1, 2}, ",batch");
    }
    proto_add(&graph, GRAPH_NODE, lstm);
    proto_add(&graph, GRAPH_NODE, proto_node("Squeeze", "", "a,second", "y"));
    write_model(rig, name, graph);
}

/* y = x + z turned: [batch, 3] and [3, batch]. */
static void write_two_places(const struct rig *rig, const char *name)
{
    struct proto graph = {0};
    named(&graph, GRAPH_INPUT, "x", 2, (int64_t[]){-1, 3}, "batch");
    named(&graph, GRAPH_INPUT, "z", 2, (int64_t[]){3, -1}, ",batch");
    named(&graph, GRAPH_OUTPUT, "y", 2, (int64_t[]){-1, 3}, "batch");
    proto_add(&graph, GRAPH_NODE, proto_node("Transpose", "", "z", "t"));
    proto_add(&graph, GRAPH_NODE, proto_node("Add", "", "x,t", "y"));
    write_model(rig, name, graph);
}

#define INPUT(name, shape, data) "{\"name\":\"" name "\",\"datatype\":\"FP32\",\"shape\":" shape ",\"data\":" data "}"
#define INPUTS(list) "{\"inputs\":[" list "]}"

/* Two clients' requests; b has two items where it says so. */
static const struct {
    const char *model, *a, *b;
    int n_items;
} elsewhere[] = {
    {"time", INPUTS(INPUT("x", "[3,1,2]", "[1,-2,0.5,3,-1,0.25]")),
     INPUTS(INPUT("x", "[3,2,2]", "[50,NaN,1,2,3,4,5,6,7,8,9,1]")), 3},
    {"states",
     INPUTS(INPUT("x", "[2,1,2]", "[1,-2,0.5,3]") "," INPUT("h0", "[1,1,2]", "[0.5,-0.5]") "," INPUT("c0", "[1,1,2]",
                                                                                                     "[0.125,1]")),
     INPUTS(INPUT("x", "[2,1,2]", "[9,8,7,6]") "," INPUT("h0", "[1,1,2]", "[4,3]") "," INPUT("c0", "[1,1,2]", "[2,1]")),
     2},
    {"places", INPUTS(INPUT("x", "[1,3]", "[1,2,3]") "," INPUT("z", "[3,1]", "[10,20,30]")),
     INPUTS(INPUT("x", "[2,3]", "[4,5,6,7,8,9]") "," INPUT("z", "[3,2]", "[1,2,3,4,5,6]")), 3},
};

enum { N_ELSEWHERE = sizeof elsewhere / sizeof *elsewhere };

static void write_elsewhere(const struct rig *rig)
{
    write_recurrent(rig, "time", false);
    write_recurrent(rig, "states", true);
    write_two_places(rig, "places");
}

static char *answer(const struct rig *rig, const char *path, const char *body)
{
    struct ask alone = {rig, path, body, {0}};
    ask(&alone);
    ck_assert_msg(alone.reply.status == 200, "%s", alone.reply.body);
    char *text = strdup(alone.reply.body);
    reply_free(&alone.reply);
    return text;
}

/* Where the batch is not the first axis, clients share runs too, and each gets what he gets alone. */
START_TEST(requests_are_joined_along_the_axis_of_each_tensor)
{
    if (!rig_is_there())
        return;
    struct rig rig;
    char path[64], metric[96], *alone[N_ELSEWHERE][2];
    rig_begin(&rig);
    write_elsewhere(&rig);
    rig_start(&rig, "%s/models --workers 1", rig.folder);
    for (int i = 0; i < N_ELSEWHERE; i++) {
        snprintf(path, sizeof path, "/v2/models/%s/infer", elsewhere[i].model);
        alone[i][0] = answer(&rig, path, elsewhere[i].a);
        alone[i][1] = answer(&rig, path, elsewhere[i].b);
    }
    ck_assert_ptr_nonnull(strstr(alone[2][0], "\"shape\":[1,3],\"data\":[11.0,22.0,33.0]"));
    ck_assert_ptr_nonnull(strstr(alone[2][1], "\"shape\":[2,3],\"data\":[5.0,8.0,11.0,9.0,12.0,15.0]"));
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_start(&rig, "%s/models --workers 1 --max-queue-delay-us 10000000 --max-batch-size 3", rig.folder);
    for (int i = 0; i < N_ELSEWHERE; i++) {
        snprintf(path, sizeof path, "/v2/models/%s/infer", elsewhere[i].model);
        struct ask a = {&rig, path, elsewhere[i].a, {0}}, b = {&rig, path, elsewhere[i].b, {0}};
        struct ask c = {&rig, path, elsewhere[i].a, {0}};
        pthread_t third;
        if (elsewhere[i].n_items == 2) /* fills the batch */
            ck_assert_int_eq(pthread_create(&third, NULL, ask, &c), 0);
        ask_both(&a, &b);
        if (elsewhere[i].n_items == 2)
            pthread_join(third, NULL);
        ck_assert_msg(strstr(a.reply.head, "batch;desc=\"3\"") != NULL, "%s: %s", path, a.reply.head);
        ck_assert_str_eq(a.reply.body, alone[i][0]);
        ck_assert_str_eq(b.reply.body, alone[i][1]);
        snprintf(metric, sizeof metric, "nv_inference_exec_count{model=\"%s\"", elsewhere[i].model);
        ck_assert(rig_metric(&rig, metric) == 1);
        snprintf(metric, sizeof metric, "nv_inference_count{model=\"%s\"", elsewhere[i].model);
        ck_assert(rig_metric(&rig, metric) == 3);
        reply_free(&a.reply);
        reply_free(&b.reply);
        reply_free(&c.reply);
        free(alone[i][0]);
        free(alone[i][1]);
    }
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_end(&rig);
}
END_TEST

START_TEST(metadata_tell_where_the_batch_lies)
{
    if (!rig_is_there())
        return;
    struct rig rig;
    rig_begin(&rig);
    write_elsewhere(&rig);
    rig_start(&rig, "%s/models", rig.folder);
    struct reply reply = rig_get(&rig, "/v2/models/states");
    const char *along = "[1,-1,2],\"parameters\":{\"batch_axis\":1}}", *at = reply.body;
    for (int i = 0; i < 4; i++) {
        ck_assert_msg((at = strstr(at, along)) != NULL, "%d of %s", i, reply.body);
        at++;
    }
    ck_assert_ptr_nonnull(strstr(reply.body, "\"x\",\"datatype\":\"FP32\",\"shape\":[-1,-1,2],"
                                             "\"parameters\":{\"batch_axis\":1}}"));
    reply_free(&reply);
    reply = rig_get(&rig, "/v2/models/places");
    ck_assert_ptr_nonnull(strstr(reply.body, "\"shape\":[-1,3]},{\"name\":\"z\",\"datatype\":\"FP32\",\"shape\":"
                                             "[3,-1],\"parameters\":{\"batch_axis\":1}}]"));
    reply_free(&reply);
    ck_assert_int_eq(rig_stop(&rig), 0);
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
    tcase_add_test(tests, requests_are_joined_along_the_axis_of_each_tensor);
    tcase_add_test(tests, metadata_tell_where_the_batch_lies);
    suite_add_tcase(suite, tests);
    return suite;
}
