/*
 * stateful.c - steps that go on where the one before ended, over HTTP: sums that grow, many of them at once, limits,
 * reloads, and everything that may be wrong.
 *
 * The network of "sum" adds k * x to its state h and gives it as y: after n steps of 1 a sequence is at n * k. What is
 * answered therefore tells which steps have happened, and of which instance.
 */
#include "rig.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/proto.h"

Suite *daemon_stateful_suite(void);

#define SEQUENCE "\"sequence\":{\"state\":[{\"input\":\"h\",\"output\":\"hn\"}]"

/* y = hn = h + number * x */
static void write_sum(const struct rig *rig, const char *name, float number, const char *manifest)
{
    char path[96];
    const int64_t dims[] = {-1, 2};
    struct proto graph = {0};
    proto_add(&graph, GRAPH_NODE, proto_node("Mul", "", "x,k", "scaled"));
    proto_add(&graph, GRAPH_NODE, proto_node("Add", "", "h,scaled", "hn"));
    proto_add(&graph, GRAPH_NODE, proto_node("Identity", "", "hn", "y"));
    proto_add(&graph, GRAPH_INITIALIZER, proto_tensor("k", PERCEPT_FLOAT, 1, (int64_t[]){1}, &number, sizeof number));
    proto_add(&graph, GRAPH_INPUT, proto_value_named("x", PERCEPT_FLOAT, 2, dims, "batch,n"));
    proto_add(&graph, GRAPH_INPUT, proto_value_named("h", PERCEPT_FLOAT, 2, (int64_t[]){-1, 2}, "batch,"));
    proto_add(&graph, GRAPH_OUTPUT, proto_value_named("y", PERCEPT_FLOAT, 2, dims, "batch,n"));
    proto_add(&graph, GRAPH_OUTPUT, proto_value_named("hn", PERCEPT_FLOAT, 2, (int64_t[]){-1, 2}, "batch,"));
    struct proto model = proto_model(graph, 13);
    free(rig_shell(NULL, "mkdir -p %s/models/%s", rig->folder, name));
    rig_write(rig, "new", model.at, model.n);
    free(rig_shell(NULL, "mv %s/new %s/models/%s/model.onnx", rig->folder, rig->folder, name));
    snprintf(path, sizeof path, "models/%s/manifest.json", name);
    rig_write_text(rig, path, manifest);
    proto_free(&model);
}

static bool begin(struct rig *rig)
{
    if (!rig_is_there())
        return false;
    rig_begin(rig);
    write_sum(rig, "sum", 1, "{\"manifest\":1," SEQUENCE "}}");
    write_sum(rig, "two", 1, "{\"manifest\":1," SEQUENCE ",\"max_sequences\":2}}");
    write_sum(rig, "plain", 1, "{\"manifest\":1}");
    rig_start(rig, "%s/models --admin", rig->folder);
    return true;
}

#define X "{\"name\":\"x\",\"shape\":[1,2],\"datatype\":\"FP32\",\"data\":[1,2]}"
#define H "{\"name\":\"h\",\"shape\":[1,2],\"datatype\":\"FP32\",\"data\":[10,20]}"

static struct reply ask(const struct rig *rig, const char *model, const char *parameters, const char *inputs)
{
    char path[80], body[600];
    snprintf(path, sizeof path, "/v2/models/%s/infer", model);
    snprintf(body, sizeof body, "{\"parameters\":{%s},\"inputs\":[%s]}", parameters, inputs);
    return rig_ask(rig, "POST", path, "", body, strlen(body));
}

static void expect(const struct rig *rig, const char *model, const char *parameters, const char *inputs, int status,
                   const char *part)
{
    struct reply reply = ask(rig, model, parameters, inputs);
    ck_assert_msg(reply.status == status && strstr(reply.body, part), "%s {%s} %s gives %d: %s", model, parameters,
                  inputs, reply.status, reply.body);
    reply_free(&reply);
}

START_TEST(steps_go_on_where_the_one_before_ended)
{
    struct rig rig;
    if (!begin(&rig))
        return;
    expect(&rig, "sum", "\"sequence_id\":7,\"sequence_start\":true", X, 200, "\"data\":[1.0,2.0]");
    expect(&rig, "sum", "\"sequence_id\":\"7\",\"sequence_start\":true", X, 200,
           "\"data\":[1.0,2.0]"); /* another one */
    expect(&rig, "sum", "\"sequence_id\":7", X, 200, "\"data\":[2.0,4.0]");
    expect(&rig, "sum", "\"sequence_id\":\"7\",\"sequence_end\":true", X, 200, "\"data\":[2.0,4.0]");
    expect(&rig, "sum", "\"sequence_id\":7", X, 200, "\"data\":[3.0,6.0]");
    expect(&rig, "sum", "\"sequence_id\":\"7\"", X, 400, "must specify the START flag");
    expect(&rig, "sum", "\"sequence_id\":7,\"sequence_start\":true", X, 200, "\"data\":[1.0,2.0]"); /* afresh */
    expect(&rig, "sum", "\"sequence_id\":8,\"sequence_start\":true,\"sequence_end\":true", X, 200,
           "\"data\":[1.0,2.0]");
    expect(&rig, "sum", "\"sequence_id\":8", X, 400, "must specify the START flag");
    rig_finish(&rig);
}
END_TEST

START_TEST(a_sequence_may_begin_with_a_state_that_is_given)
{
    struct rig rig;
    if (!begin(&rig))
        return;
    expect(&rig, "sum", "\"sequence_id\":1,\"sequence_start\":true", X "," H, 200, "\"data\":[11.0,22.0]");
    expect(&rig, "sum", "\"sequence_id\":1", X, 200, "\"data\":[12.0,24.0]");
    expect(&rig, "sum", "\"sequence_id\":1", X "," H, 400, "may be given with sequence_start alone");
    expect(&rig, "sum", "\"sequence_id\":1", X, 200, "\"data\":[13.0,26.0]"); /* what was refused has not happened */
    expect(&rig, "sum", "", X "," H, 200, "\"data\":[11.0,22.0]");            /* a step of nothing */
    rig_finish(&rig);
}
END_TEST

START_TEST(what_does_not_fit_is_refused_and_has_not_happened)
{
    static const struct {
        const char *model, *parameters, *inputs;
        int status;
        const char *part;
    } cases[] = {
        {"sum", "", X, 400, "must specify a non-zero or non-empty correlation ID"},
        {"sum", "\"sequence_id\":0", X, 400, "correlation ID"},
        {"sum", "\"sequence_id\":\"\"", X, 400, "correlation ID"},
        {"sum", "\"sequence_id\":-1", X, 400, "sequence_id"},
        {"sum", "\"sequence_id\":1.5", X, 400, "sequence_id"},
        {"sum", "\"sequence_id\":[1]", X, 400, "sequence_id"},
        {"sum", "\"sequence_id\":5,\"sequence_start\":1", X, 400, "sequence_start"},
        {"sum", "\"sequence_id\":5,\"sequence_end\":\"true\"", X, 400, "sequence_end"},
        {"sum", "\"sequence_id\":99", X, 400, "sequence 99 to model 'sum' must specify the START flag"},
        {"sum", "\"sequence_id\":5,\"sequence_start\":true", H, 400, "missing required input(s) ['x']"},
        {"sum", "\"sequence_id\":5", "{\"name\":\"x\",\"shape\":[2,2],\"datatype\":\"FP32\",\"data\":[1,2,3,4]}", 400,
         "must specify batch-size 1 due to requirements of sequence batcher"},
        {"sum", "\"sequence_id\":5", "{\"name\":\"x\",\"shape\":[1,3],\"datatype\":\"FP32\",\"data\":[1,2,3]}", 400,
         ""},
        {"plain", "\"sequence_id\":5,\"sequence_start\":true", X "," H, 400, "keeps nothing between requests"},
    };
    struct rig rig;
    if (!begin(&rig))
        return;
    expect(&rig, "sum", "\"sequence_id\":5,\"sequence_start\":true", X, 200, "\"data\":[1.0,2.0]");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect(&rig, cases[i].model, cases[i].parameters, cases[i].inputs, cases[i].status, cases[i].part);
    expect(&rig, "sum", "\"sequence_id\":5", X, 200, "\"data\":[2.0,4.0]");
    rig_finish(&rig);
}
END_TEST

START_TEST(states_are_not_shown_unless_they_are_asked_for)
{
    struct rig rig;
    if (!begin(&rig))
        return;
    struct reply meta = rig_get(&rig, "/v2/models/sum");
    ck_assert_ptr_null(strstr(meta.body, "\"h\""));
    ck_assert_ptr_null(strstr(meta.body, "\"hn\""));
    reply_free(&meta);
    meta = rig_get(&rig, "/v2/models/sum/config");
    ck_assert_ptr_nonnull(strstr(meta.body, "\"state\":[{\"input_name\":\"h\",\"output_name\":\"hn\""));
    reply_free(&meta);
    struct reply reply = ask(&rig, "sum", "\"sequence_id\":1,\"sequence_start\":true", X);
    ck_assert_ptr_null(strstr(reply.body, "\"hn\""));
    reply_free(&reply);
    static const char body[] =
        "{\"parameters\":{\"sequence_id\":1},\"inputs\":[" X "],\"outputs\":[{\"name\":\"hn\"}]}";
    reply = rig_ask(&rig, "POST", "/v2/models/sum/infer", "", body, strlen(body));
    ck_assert_ptr_nonnull(
        strstr(reply.body, "\"name\":\"hn\",\"datatype\":\"FP32\",\"shape\":[1,2],\"data\":[2.0,4.0]"));
    reply_free(&reply);
    rig_finish(&rig);
}
END_TEST

START_TEST(one_too_many_drops_the_one_that_rests_longest)
{
    struct rig rig;
    if (!begin(&rig))
        return;
    expect(&rig, "two", "\"sequence_id\":1,\"sequence_start\":true", X, 200, "[1.0,2.0]");
    expect(&rig, "two", "\"sequence_id\":2,\"sequence_start\":true", X, 200, "[1.0,2.0]");
    expect(&rig, "two", "\"sequence_id\":1", X, 200, "[2.0,4.0]");
    expect(&rig, "two", "\"sequence_id\":3,\"sequence_start\":true", X, 200, "[1.0,2.0]");
    expect(&rig, "two", "\"sequence_id\":2", X, 410, "sequence 2 of model 'two' was dropped: others took its place");
    expect(&rig, "two", "\"sequence_id\":1", X, 200, "[3.0,6.0]");
    ck_assert_int_eq((int)rig_metric(&rig, "perceptd_sequences{model=\"two\""), 2);
    ck_assert_int_eq((int)rig_metric(&rig, "perceptd_sequences_dropped_total{model=\"two\""), 1);
    expect(&rig, "two", "\"sequence_id\":2,\"sequence_start\":true,\"sequence_end\":true", X, 200, "[1.0,2.0]");
    expect(&rig, "two", "\"sequence_id\":2", X, 400, "must specify the START flag"); /* it ended well this time */
    rig_finish(&rig);
}
END_TEST

START_TEST(a_reload_leaves_sequences_where_they_began)
{
    struct rig rig;
    if (!begin(&rig))
        return;
    expect(&rig, "sum", "\"sequence_id\":1,\"sequence_start\":true", X, 200, "\"data\":[1.0,2.0]");
    write_sum(&rig, "sum", 100, "{\"manifest\":1," SEQUENCE "}}");
    struct reply reply = rig_post_text(&rig, "/v2/repository/models/sum/load", "");
    ck_assert_int_eq(reply.status, 200);
    reply_free(&reply);
    expect(&rig, "sum", "\"sequence_id\":2,\"sequence_start\":true", X, 200, "\"data\":[100.0,200.0]");
    expect(&rig, "sum", "\"sequence_id\":1", X, 200, "\"data\":[2.0,4.0]");
    expect(&rig, "sum", "\"sequence_id\":2", X, 200, "\"data\":[200.0,400.0]");
    expect(&rig, "sum", "\"sequence_id\":1,\"sequence_end\":true", X, 200, "\"data\":[3.0,6.0]");
    expect(&rig, "sum", "\"sequence_id\":1,\"sequence_start\":true", X, 200, "\"data\":[100.0,200.0]");
    reply = rig_post_text(&rig, "/v2/repository/models/sum/unload", "");
    ck_assert_int_eq(reply.status, 200);
    reply_free(&reply);
    reply = rig_post_text(&rig, "/v2/repository/models/sum/load", "");
    ck_assert_int_eq(reply.status, 200);
    reply_free(&reply);
    expect(&rig, "sum", "\"sequence_id\":2", X, 410, "its model was unloaded");
    rig_finish(&rig);
}
END_TEST

static void write_version(const struct rig *rig, const char *version, float number)
{
    char name[32];
    snprintf(name, sizeof name, "many/%s", version);
    write_sum(rig, name, number, "");
    free(rig_shell(NULL, "rm %s/models/%s/manifest.json", rig->folder, name));
    rig_write_text(rig, "models/many/manifest.json",
                   "{\"manifest\":1,\"version_policy\":{\"latest\":{\"num_versions\":1}}," SEQUENCE "}}");
}

/* The version before is not wanted any more, but by those who began with it. */
START_TEST(a_higher_version_leaves_sequences_where_they_began)
{
    struct rig rig;
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    write_version(&rig, "1", 1);
    rig_start(&rig, "%s/models --admin", rig.folder);
    expect(&rig, "many", "\"sequence_id\":1,\"sequence_start\":true", X, 200, "\"data\":[1.0,2.0]");
    expect(&rig, "many", "\"sequence_id\":2,\"sequence_start\":true", X, 200, "\"model_version\":\"1\"");
    write_version(&rig, "2", 100);
    struct reply reply = rig_post_text(&rig, "/v2/repository/models/many/load", "");
    ck_assert_int_eq(reply.status, 200);
    reply_free(&reply);
    reply = rig_get(&rig, "/v2/models/many");
    ck_assert_msg(strstr(reply.body, "\"versions\":[\"2\"]"), "%s", reply.body);
    reply_free(&reply);
    expect(&rig, "many", "\"sequence_id\":3,\"sequence_start\":true", X, 200, "\"data\":[100.0,200.0]");
    expect(&rig, "many", "\"sequence_id\":1", X, 200, "\"data\":[2.0,4.0]");
    expect(&rig, "many", "\"sequence_id\":1,\"sequence_end\":true", X, 200, "\"model_version\":\"1\"");
    reply = rig_post_text(&rig, "/v2/repository/models/many/unload", ""); /* that is meant */
    ck_assert_int_eq(reply.status, 200);
    reply_free(&reply);
    write_version(&rig, "2", 100);
    reply = rig_post_text(&rig, "/v2/repository/models/many/load", "");
    reply_free(&reply);
    expect(&rig, "many", "\"sequence_id\":3", X, 410, "its model was unloaded");
    expect(&rig, "many", "\"sequence_id\":2", X, 410, "its model was unloaded");
    rig_finish(&rig);
}
END_TEST

/* --- from one daemon to another ----------------------------------------------------------------------------------- */

static struct reply put_state(const struct rig *rig, const char *path, const struct reply *state)
{
    return rig_ask(rig, "PUT", path, "Content-Type: application/octet-stream\r\n", state->body, state->n_bytes);
}

static void expect_put(const struct rig *rig, const char *path, const struct reply *state, int status, const char *part)
{
    struct reply reply = put_state(rig, path, state);
    ck_assert_msg(reply.status == status && strstr(reply.body, part), "PUT %s gives %d: %s", path, reply.status,
                  reply.body);
    reply_free(&reply);
}

#define STATE "/v2/models/sum/sequences/7/state"

START_TEST(a_sequence_goes_on_in_another_daemon)
{
    struct rig one, two;
    if (!begin(&one))
        return;
    begin(&two);
    expect(&one, "sum", "\"sequence_id\":7,\"sequence_start\":true", X, 200, "\"data\":[1.0,2.0]");
    expect(&one, "sum", "\"sequence_id\":7", X, 200, "\"data\":[2.0,4.0]");
    struct reply state = rig_get(&one, STATE);
    ck_assert_int_eq(state.status, 200);
    expect(&two, "sum", "\"sequence_id\":7", X, 400, "must specify the START flag");
    expect_put(&two, STATE, &state, 200, "{\"steps\":2}");
    expect(&two, "sum", "\"sequence_id\":7", X, 200, "\"data\":[3.0,6.0]");
    expect(&one, "sum", "\"sequence_id\":7", X, 200, "\"data\":[3.0,6.0]"); /* it was not taken away there */
    expect_put(&two, "/v2/models/sum/sequences/abc/state", &state, 200, "{\"steps\":2}");
    expect(&two, "sum", "\"sequence_id\":\"abc\"", X, 200, "\"data\":[3.0,6.0]");
    expect_put(&two, STATE, &state, 200, "{\"steps\":2}"); /* instead of the one that is there */
    expect(&two, "sum", "\"sequence_id\":7", X, 200, "\"data\":[3.0,6.0]");
    expect_put(&two, "/v2/models/two/sequences/7/state", &state, 400, "it cannot go on in 'two'");
    expect_put(&two, "/v2/models/plain/sequences/7/state", &state, 400, "keeps nothing between requests");
    expect_put(&two, "/v2/models/none/sequences/7/state", &state, 404, "'none'");
    expect_put(&two, "/v2/models/sum/versions/9/sequences/7/state", &state, 404, "");
    expect_put(&two, "/v2/models/sum/sequences/0/state", &state, 400, "0 is no sequence");
    state.body[state.n_bytes / 2] ^= 1;
    expect_put(&two, STATE, &state, 400, "damaged");
    state.n_bytes = 0;
    expect_put(&two, STATE, &state, 400, "is no state of a sequence");
    reply_free(&state);
    rig_finish(&one);
    rig_finish(&two);
}
END_TEST

static void expect_get(const struct rig *rig, const char *method, const char *path, int status, const char *part)
{
    struct reply reply = rig_ask(rig, method, path, "", "", 0);
    ck_assert_msg(reply.status == status && strstr(reply.body, part), "%s %s gives %d: %s", method, path, reply.status,
                  reply.body);
    reply_free(&reply);
}

START_TEST(sequences_are_listed_and_ended)
{
    struct rig rig;
    if (!begin(&rig))
        return;
    expect_get(&rig, "GET", "/v2/models/sum/sequences", 200, "[]");
    expect(&rig, "sum", "\"sequence_id\":7,\"sequence_start\":true", X, 200, "");
    expect_get(&rig, "GET", "/v2/models/sum/sequences", 200,
               "[{\"sequence_id\":7,\"version\":\"1\",\"steps\":1,\"bytes\":64,\"busy\":false,\"idle_microseconds\":");
    expect_get(&rig, "GET", "/v2/models/two/sequences", 200, "[]");
    expect(&rig, "sum", "\"sequence_id\":\"a b\",\"sequence_start\":true", X, 200, "");
    expect_get(&rig, "DELETE", "/v2/models/sum/sequences/a%20b/state", 200, "{}");
    expect_get(&rig, "DELETE", "/v2/models/sum/sequences/a%20b/state", 400, "sequence a b to model 'sum'");
    expect_get(&rig, "GET", "/v2/models/sum/sequences/8/state", 400, "sequence 8");
    expect_get(&rig, "POST", STATE, 405, "GET, HEAD, PUT, DELETE");
    expect_get(&rig, "DELETE", STATE, 200, "{}");
    expect(&rig, "sum", "\"sequence_id\":7", X, 400, "must specify the START flag");
    rig_finish(&rig);
}
END_TEST

static void expect_keyed(const struct rig *rig, const char *method, const char *path, const char *key, const char *body,
                         int status, const char *part)
{
    char more[60];
    snprintf(more, sizeof more, "X-API-Key: %s\r\n", key);
    struct reply reply = rig_ask(rig, method, path, more, body, strlen(body));
    ck_assert_msg(reply.status == status && strstr(reply.body, part), "%s by %s gives %d: %s", path, key, reply.status,
                  reply.body);
    reply_free(&reply);
}

START_TEST(an_id_belongs_to_the_key_that_began_it)
{
#define STEP(start) "{\"parameters\":{\"sequence_id\":7" start "},\"inputs\":[" X "]}"
#define INFER "/v2/models/sum/infer"
    struct rig rig;
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    write_sum(&rig, "sum", 1, "{\"manifest\":1," SEQUENCE "}}");
    rig_write_text(&rig, "keys", "first\nsecond\n");
    free(rig_shell(NULL, "chmod 600 %s/keys", rig.folder));
    rig_spawn(&rig, "%s/models --api-key-file %s/keys", rig.folder, rig.folder);
    rig_listening(&rig);
    rig_ready(&rig);
    expect_keyed(&rig, "POST", INFER, "first", STEP(",\"sequence_start\":true"), 200, "\"data\":[1.0,2.0]");
    expect_keyed(&rig, "POST", INFER, "second", STEP(""), 400, "must specify the START flag");
    expect_keyed(&rig, "GET", STATE, "second", "", 400, "sequence 7");
    expect_keyed(&rig, "DELETE", STATE, "second", "", 400, "sequence 7");
    expect_keyed(&rig, "GET", "/v2/models/sum/sequences", "second", "", 200, "[]");
    expect_keyed(&rig, "POST", INFER, "second", STEP(",\"sequence_start\":true"), 200, "\"data\":[1.0,2.0]");
    expect_keyed(&rig, "POST", INFER, "first", STEP(""), 200, "\"data\":[2.0,4.0]");
    expect_keyed(&rig, "GET", "/v2/models/sum/sequences", "first", "", 200, "\"steps\":2,");
    expect_keyed(&rig, "POST", INFER, "second", STEP(""), 200, "\"data\":[2.0,4.0]");
    rig_finish(&rig);
}
END_TEST

/* --- many at once ------------------------------------------------------------------------------------------------- */

#define SEQUENCES (RIG_SANITIZED ? 24 : 128)
#define STEPS (RIG_SANITIZED ? 12 : 50)
#define CLIENTS 16

struct crowd {
    pthread_t thread;
    int port, first;
    char wrong[300];
};

static bool step(struct client *client, int id, int n, char *wrong, size_t room)
{
    char body[300], want[40];
    const int length = snprintf(body, sizeof body,
                                "{\"parameters\":{\"sequence_id\":%d,\"sequence_start\":%s,\"sequence_end\":%s},"
                                "\"inputs\":[{\"name\":\"x\",\"shape\":[1,2],\"datatype\":\"FP32\",\"data\":[%d,1]}]}",
                                id, n == 1 ? "true" : "false", n == STEPS ? "true" : "false", id);
    snprintf(want, sizeof want, "\"data\":[%d.0,%d.0]", n * id, n);
    if (!client_request(client, "POST", "/v2/models/sum/infer", "", body, (size_t)length)) {
        snprintf(wrong, room, "sequence %d, step %d: the server has hung up", id, n);
        return false;
    }
    struct reply reply = client_reply(client);
    const bool ok = reply.status == 200 && strstr(reply.body, want);
    if (!ok)
        snprintf(wrong, room, "sequence %d, step %d: status %d, %s", id, n, reply.status, reply.body);
    reply_free(&reply);
    return ok;
}

/* Each steps its sequences in turn. */
static void *crowd_work(void *user)
{
    struct crowd *crowd = user;
    struct client client;
    if (!client_open(&client, crowd->port)) {
        snprintf(crowd->wrong, sizeof crowd->wrong, "no connection");
        return NULL;
    }
    for (int n = 1; n <= STEPS && !*crowd->wrong; n++)
        for (int id = crowd->first; id <= SEQUENCES && !*crowd->wrong; id += CLIENTS)
            step(&client, id, n, crowd->wrong, sizeof crowd->wrong);
    client_close(&client);
    return NULL;
}

START_TEST(many_sequences_at_once_share_batches_and_nothing_else)
{
    static struct crowd crowds[CLIENTS];
    struct rig rig;
    if (!begin(&rig))
        return;
    for (int i = 0; i < CLIENTS; i++) {
        crowds[i] = (struct crowd){.port = rig.port, .first = i + 1};
        ck_assert_int_eq(pthread_create(&crowds[i].thread, NULL, crowd_work, &crowds[i]), 0);
    }
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(crowds[i].thread, NULL);
    for (int i = 0; i < CLIENTS; i++)
        ck_assert_msg(!*crowds[i].wrong, "%s", crowds[i].wrong);
    ck_assert_int_eq((int)rig_metric(&rig, "perceptd_sequences{model=\"sum\""), 0);
    ck_assert_int_eq((int)rig_metric(&rig, "nv_inference_count{model=\"sum\""), SEQUENCES * STEPS);
    printf("measured: %d sequences of %d steps, %d clients: mean batch %.2f\n", SEQUENCES, STEPS, CLIENTS,
           rig_metric(&rig, "nv_inference_count{model=\"sum\"") /
               rig_metric(&rig, "nv_inference_exec_count{model=\"sum\""));
    rig_finish(&rig);
}
END_TEST

/* --- folders that do not fit -------------------------------------------------------------------------------------- */

START_TEST(a_manifest_that_does_not_fit_says_why)
{
    static const struct {
        const char *sequence, *why;
    } cases[] = {
        {"{}", "a sequence needs a 'state' or a 'control'"},
        {"{\"state\":[{\"input\":\"h\"}]}", "'input' and 'output' are needed"},
        {"{\"state\":[{\"input\":\"q\",\"output\":\"hn\"}]}", "the model has no input 'q'"},
        {"{\"state\":[{\"input\":\"h\",\"output\":\"q\"}]}", "the model has no output 'q'"},
        {"{\"state\":[{\"input\":\"h\",\"output\":\"hn\"},{\"input\":\"h\",\"output\":\"y\"}]}", "is there twice"},
        {"{\"state\":[{\"input\":\"h\",\"output\":\"hn\"}],\"control\":[{\"input\":\"h\",\"kind\":\"start\"}]}",
         "is there twice"},
        {"{\"control\":[{\"input\":\"h\",\"kind\":\"start\"}]}", "takes more than one number"},
        {"{\"control\":[{\"input\":\"h\",\"kind\":\"begin\"}]}", "start"},
        {"{\"state\":[{\"input\":\"h\",\"output\":\"hn\",\"initial\":\"h.bin\"}]}", "has 4 bytes; it takes 8"},
        {"{\"state\":[{\"input\":\"h\",\"output\":\"hn\",\"initial\":\"none.bin\"}]}", "none.bin"},
        {"{\"state\":[{\"input\":\"h\",\"output\":\"hn\"}],\"max_sequences\":0}", "max_sequences"},
        {"{\"state\":[{\"input\":\"h\",\"output\":\"hn\"}],\"idle\":1}", "idle"},
    };
    struct rig rig;
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[24], manifest[300];
        snprintf(name, sizeof name, "m%zu", i);
        snprintf(manifest, sizeof manifest, "{\"manifest\":1,\"sequence\":%s}", cases[i].sequence);
        write_sum(&rig, name, 1, manifest);
        snprintf(manifest, sizeof manifest, "models/%s/h.bin", name);
        rig_write_text(&rig, manifest, "1234");
    }
    write_sum(&rig, "good", 1, "{\"manifest\":1}");
    rig_start(&rig, "%s/models", rig.folder);
    struct reply reply = rig_get(&rig, "/v2/health/ready");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(strstr(reply.body, cases[i].why) != NULL, "%s: %s", cases[i].sequence, reply.body);
    reply_free(&reply);
    rig_finish(&rig);
}
END_TEST

START_TEST(an_initial_state_is_read_from_a_file)
{
    static const float initial[] = {5, 6};
    struct rig rig;
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    write_sum(&rig, "sum", 1,
              "{\"manifest\":1,\"sequence\":{\"state\":[{\"input\":\"h\",\"output\":\"hn\",\"initial\":\"h.bin\"}]}}");
    rig_write(&rig, "models/sum/h.bin", initial, sizeof initial);
    rig_start(&rig, "%s/models", rig.folder);
    expect(&rig, "sum", "\"sequence_id\":1,\"sequence_start\":true", X, 200, "\"data\":[6.0,8.0]");
    expect(&rig, "sum", "\"sequence_id\":1", X, 200, "\"data\":[7.0,10.0]");
    expect(&rig, "sum", "\"sequence_id\":1,\"sequence_start\":true", X, 200, "\"data\":[6.0,8.0]");
    rig_finish(&rig);
}
END_TEST

Suite *daemon_stateful_suite(void)
{
    Suite *suite = suite_create("daemon_stateful");
    TCase *tcase = tcase_create("sequences");
    tcase_set_timeout(tcase, RIG_PATIENCE_MS / 1000 * 4);
    tcase_add_test(tcase, steps_go_on_where_the_one_before_ended);
    tcase_add_test(tcase, a_sequence_may_begin_with_a_state_that_is_given);
    tcase_add_test(tcase, what_does_not_fit_is_refused_and_has_not_happened);
    tcase_add_test(tcase, states_are_not_shown_unless_they_are_asked_for);
    tcase_add_test(tcase, one_too_many_drops_the_one_that_rests_longest);
    tcase_add_test(tcase, a_reload_leaves_sequences_where_they_began);
    tcase_add_test(tcase, a_higher_version_leaves_sequences_where_they_began);
    tcase_add_test(tcase, a_sequence_goes_on_in_another_daemon);
    tcase_add_test(tcase, sequences_are_listed_and_ended);
    tcase_add_test(tcase, an_id_belongs_to_the_key_that_began_it);
    tcase_add_test(tcase, many_sequences_at_once_share_batches_and_nothing_else);
    tcase_add_test(tcase, a_manifest_that_does_not_fit_says_why);
    tcase_add_test(tcase, an_initial_state_is_read_from_a_file);
    suite_add_tcase(suite, tcase);
    return suite;
}
