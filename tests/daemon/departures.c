/*
 * departures.c - 20 models in the room of 5, asked by clients that do not wait for each other, while some are loaded
 * anew by request and by --watch: everybody is answered, and by the model that was asked. A model's answer is a number:
 * its own times 1000, and how often it was written.
 */
#include "rig.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/proto.h"

#define CLIENTS 4
#define MODELS 20
#define ROOM 5
#define SIDE 256 /* of a matrix: 256 KiB */
#define RELOADS (RIG_SANITIZED ? 10 : 30)
#define SHARE 40 /* requests of each client for each reload */

Suite *daemon_departures_suite(void);

static const char body[] = "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,1],\"datatype\":\"FP32\",\"data\":[1]}]}";
static int served[MODELS], written[MODELS]; /* numbers that may be answered; atomic */
static int over;

struct asking {
    pthread_t thread;
    int port;
    unsigned seed;
    int answered, wrong;
    char seen[300];
};

/* y = mean(w * 0) * x + number, with a large w. */
static void write_model(const struct rig *rig, int model, float number)
{
    static float w[SIDE][SIDE], column[SIDE];
    struct proto graph = {0};
    w[model][0] = number; /* no two files have equal weights */
    proto_add(&graph, GRAPH_INPUT, proto_value("x", PERCEPT_FLOAT, 2, (int64_t[]){-1, 1}));
    proto_add(&graph, GRAPH_OUTPUT, proto_value("y", PERCEPT_FLOAT, 2, (int64_t[]){-1, 1}));
    proto_add(&graph, GRAPH_INITIALIZER,
              proto_tensor("r", PERCEPT_FLOAT, 2, (int64_t[]){1, SIDE}, column, sizeof column));
    proto_add(&graph, GRAPH_INITIALIZER, proto_tensor("w", PERCEPT_FLOAT, 2, (int64_t[]){SIDE, SIDE}, w, sizeof w));
    proto_add(&graph, GRAPH_INITIALIZER,
              proto_tensor("c", PERCEPT_FLOAT, 2, (int64_t[]){SIDE, 1}, column, sizeof column));
    proto_add(&graph, GRAPH_INITIALIZER, proto_tensor("b", PERCEPT_FLOAT, 1, (int64_t[]){1}, &number, sizeof number));
    proto_add(&graph, GRAPH_NODE, proto_node("MatMul", "", "x,r", "p"));
    proto_add(&graph, GRAPH_NODE, proto_node("MatMul", "", "p,w", "q"));
    proto_add(&graph, GRAPH_NODE, proto_node("Gemm", "", "q,c,b", "y"));
    struct proto file = proto_model(graph, 13);
    w[model][0] = 0;
    rig_write(rig, "new", file.at, file.n);
    free(rig_shell(NULL, "mkdir -p %s/models/m%02d && mv %s/new %s/models/m%02d/model.onnx", rig->folder, model,
                   rig->folder, rig->folder, model));
    proto_free(&file);
}

static void note(struct asking *asking, int model, const struct reply *reply, int least, int most)
{
    if (asking->wrong++ == 0)
        snprintf(asking->seen, sizeof asking->seen, "model %d, %d to %d expected: status %d: %s", model, least, most,
                 reply->status, reply->body ? reply->body : "");
}

/* False when the connection is of no use any more. */
static bool ask(struct asking *asking, struct client *client, int model)
{
    char path[64];
    float answer = -1;
    snprintf(path, sizeof path, "/v2/models/m%02d/infer", model);
    const int least = __atomic_load_n(&served[model], __ATOMIC_SEQ_CST);
    client_request(client, "POST", path, "", body, strlen(body));
    struct reply reply = client_reply(client);
    const int most = __atomic_load_n(&written[model], __ATOMIC_SEQ_CST);
    const bool whole = reply.status == 200 && reply_floats(&reply, &answer, 1) == 1;
    if (whole && least <= (int)answer && (int)answer <= most)
        asking->answered++;
    else
        note(asking, model, &reply, least, most);
    reply_free(&reply);
    return reply.status > 0;
}

static void *ask_on(void *at)
{
    struct asking *asking = at;
    struct client client;
    if (!client_open(&client, asking->port)) {
        asking->wrong++;
        return NULL;
    }
    do
        asking->seed = asking->seed * 1664525u + 1013904223u;
    while (ask(asking, &client, (int)(asking->seed >> 16) % MODELS) && !__atomic_load_n(&over, __ATOMIC_SEQ_CST));
    client_close(&client);
    return NULL;
}

static void write_anew(const struct rig *rig, int model)
{
    const int number = __atomic_load_n(&written[model], __ATOMIC_SEQ_CST) + 1;
    __atomic_store_n(&written[model], number, __ATOMIC_SEQ_CST);
    write_model(rig, model, (float)number);
}

static void load_anew(const struct rig *rig, int model)
{
    char path[80];
    write_anew(rig, model);
    snprintf(path, sizeof path, "/v2/repository/models/m%02d/load", model);
    struct reply reply = rig_ask(rig, "POST", path, "", "", 0);
    ck_assert_msg(reply.status == 200, "%s: %d %s", path, reply.status, reply.body);
    reply_free(&reply);
    __atomic_store_n(&served[model], written[model], __ATOMIC_SEQ_CST);
}

static void expect_metadata(const struct rig *rig)
{
    int n_away = 0;
    for (int model = 0; model < MODELS; model++) {
        char path[64];
        snprintf(path, sizeof path, "/v2/models/m%02d", model);
        struct reply reply = rig_get(rig, path);
        ck_assert_int_eq(reply.status, 200);
        ck_assert_ptr_nonnull(strstr(reply.body, "\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[-1,1]"));
        n_away += strstr(reply.body, "\"parameters\":{\"resident\":false}") != NULL;
        reply_free(&reply);
    }
    ck_assert_int_ge(n_away, MODELS - ROOM);
    ck_assert_int_lt(n_away, MODELS);
    struct reply reply = rig_ask(rig, "POST", "/v2/repository/index", "", "", 0);
    ck_assert_ptr_nonnull(strstr(reply.body, "\"state\":\"READY\",\"parameters\":{\"resident\":false}"));
    ck_assert_ptr_null(strstr(reply.body, "UNAVAILABLE"));
    reply_free(&reply);
    reply = rig_get(rig, "/v2/health/ready");
    ck_assert_int_eq(reply.status, 200);
    reply_free(&reply);
}

static double most_bytes(const struct rig *rig, double most)
{
    const double now = rig_metric(rig, "perceptd_resident_bytes");
    return now > most ? now : most;
}

START_TEST(twenty_models_in_the_room_of_five_answer_everybody)
{
    struct rig rig;
    struct asking clients[CLIENTS] = {{0}};
    double most = 0;
    int n_answered = 0;
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    over = 0;
    for (int model = 0; model < MODELS; model++) {
        served[model] = written[model] = model * 1000 + 1;
        write_model(&rig, model, (float)written[model]);
    }
    rig_start(&rig, "%s/models --admin --watch --max-resident 1500K", rig.folder);
    expect_metadata(&rig);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i].port = rig.port;
        clients[i].seed = (unsigned)i;
        ck_assert_int_eq(pthread_create(&clients[i].thread, NULL, ask_on, &clients[i]), 0);
    }
    for (int i = 0; i < RELOADS; i++) {
        const double before = rig_metric(&rig, "nv_inference_request_success");
        if (i % 3)
            load_anew(&rig, i * 7 % MODELS);
        else
            write_anew(&rig, i * 7 % MODELS); /* --watch sees it, or whoever comes back reads it */
        for (double now = before; now < before + SHARE; now = rig_metric(&rig, "nv_inference_request_success")) {
            most = most_bytes(&rig, most);
            rig_pause(2);
        }
    }
    __atomic_store_n(&over, 1, __ATOMIC_SEQ_CST);
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(clients[i].thread, NULL);
        ck_assert_msg(!clients[i].wrong, "%d answers are wrong: %s", clients[i].wrong, clients[i].seen);
        n_answered += clients[i].answered;
    }
    const double returns = rig_metric(&rig, "perceptd_model_returns_total");
    ck_assert_double_gt(returns, RELOADS);
    printf("measured: %d answers of %d models, of which %d were there at a time: %.0f loads on demand, %.0f bytes at "
           "most\n",
           n_answered, MODELS, ROOM, returns, most);
    ck_assert_int_eq(rig_stop(&rig), 0);
    ck_assert(!rig_log_has(&rig, "failed to load"));
    rig_end(&rig);
}
END_TEST

START_TEST(kept_regions_leave_no_room)
{
    struct rig rig;
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    write_model(&rig, 0, 1);
    rig_spawn(&rig, "%s/models --max-resident 1M --keep-regions", rig.folder);
    ck_assert_int_ne(rig_wait(&rig), 0);
    ck_assert(rig_log_has(&rig, "--max-resident with --keep-regions"));
    rig_end(&rig);
}
END_TEST

Suite *daemon_departures_suite(void)
{
    Suite *suite = suite_create("daemon/departures");
    TCase *tests = tcase_create("departures");
    tcase_set_timeout(tests, 300);
    tcase_add_test(tests, twenty_models_in_the_room_of_five_answer_everybody);
    tcase_add_test(tests, kept_regions_leave_no_room);
    suite_add_tcase(suite, tests);
    return suite;
}
