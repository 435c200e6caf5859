/*
 * totals.c - a daemon that may take six megabytes for all requests (--memory-total): large bodies by many clients at a
 * time are answered or told to come back, what can never fit is refused by its head, health is answered all the while,
 * and what was taken comes back.
 */
#include "rig.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/proto.h"

#define WIDTH 131072 /* half a megabyte of floats */
#define POSTS 48

Suite *daemon_totals_suite(void);

/* y = x + 1 */
static void write_model(const struct rig *rig)
{
    const float one = 1;
    struct proto graph = {0};
    proto_add(&graph, GRAPH_INPUT, proto_value("x", PERCEPT_FLOAT, 2, (int64_t[]){-1, WIDTH}));
    proto_add(&graph, GRAPH_OUTPUT, proto_value("y", PERCEPT_FLOAT, 2, (int64_t[]){-1, WIDTH}));
    proto_add(&graph, GRAPH_INITIALIZER, proto_tensor("c", PERCEPT_FLOAT, 0, NULL, &one, sizeof one));
    proto_add(&graph, GRAPH_NODE, proto_node("Add", "", "x,c", "y"));
    struct proto model = proto_model(graph, 13);
    rig_write(rig, "m.onnx", model.at, model.n);
    proto_free(&model);
}

struct asking {
    pthread_t thread;
    int port, n_posts, n_answered, n_told;
    char wrong[200]; /* the first reply that is neither */
};

static float x[WIDTH];

static void note(struct asking *asking, const struct reply *reply)
{
    const char *body = reply->body ? reply->body : "";
    if (reply->status == 200)
        asking->n_answered++;
    else if (reply->status == 503 && strstr(body, "--memory-total") && strstr(reply->head, "Retry-After: "))
        asking->n_told++;
    else
        snprintf(asking->wrong, sizeof asking->wrong, "%d: %.150s", reply->status, body);
}

static void *ask_on(void *at)
{
    struct asking *asking = at;
    struct client client;
    bool open = client_open(&client, asking->port);
    for (int i = 0; i < asking->n_posts && open && !*asking->wrong; i++) {
        client_request(&client, "POST", "/v2/models/m/infer", "Inference-Header-Content-Length: 0\r\n", x, sizeof x);
        struct reply reply = client_reply(&client);
        note(asking, &reply);
        open = reply.status > 0;
        reply_free(&reply);
    }
    if (open)
        client_close(&client);
    return NULL;
}

static void expect_answers(const struct rig *rig, int n_clients)
{
    struct asking clients[16] = {{0}};
    int n_answered = 0, n_told = 0;
    for (int i = 0; i < n_clients; i++) {
        clients[i].port = rig->port;
        clients[i].n_posts = POSTS / n_clients;
        ck_assert_int_eq(pthread_create(&clients[i].thread, NULL, ask_on, &clients[i]), 0);
    }
    for (int i = 0; i < n_clients; i++) {
        pthread_join(clients[i].thread, NULL);
        ck_assert_str_eq(clients[i].wrong, "");
        n_answered += clients[i].n_answered;
        n_told += clients[i].n_told;
    }
    printf("measured: of %d bodies by %d clients %d were answered, %d told to come back\n", POSTS, n_clients,
           n_answered, n_told);
    ck_assert_int_eq(n_answered + n_told, POSTS);
    ck_assert_int_gt(n_answered, 0);
    ck_assert(n_clients > 1 || n_told == 0);
    ck_assert_double_le(rig_metric(rig, "perceptd_memory_total_bytes"), 6 << 20);
    ck_assert_double_eq(rig_metric(rig, "perceptd_memory_total_limit_bytes"), 6 << 20);
}

START_TEST(large_bodies_share_what_there_is)
{
    struct rig rig;
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    write_model(&rig);
    rig_start(&rig, "%s/m.onnx --memory-total 6M --max-body 64M", rig.folder);
    expect_answers(&rig, 1);
    expect_answers(&rig, 16);
    expect_answers(&rig, 1);
    char *large = rig_keep(calloc(7, 1 << 20));
    struct reply reply = rig_ask(&rig, "POST", "/v2/models/m/infer", "", large, 7 << 20);
    ck_assert_int_eq(reply.status, 413);
    ck_assert_ptr_nonnull(
        strstr(reply.body, "a body of 7340032 bytes is more than all requests may take, which is 6291456"));
    reply_free(&reply);
    reply = rig_get(&rig, "/v2/health/ready");
    ck_assert_int_eq(reply.status, 200);
    reply_free(&reply);
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_end(&rig);
}
END_TEST

Suite *daemon_totals_suite(void)
{
    Suite *suite = suite_create("daemon/totals");
    TCase *tests = tcase_create("totals");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, large_bodies_share_what_there_is);
    suite_add_tcase(suite, tests);
    return suite;
}
