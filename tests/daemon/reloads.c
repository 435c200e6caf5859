/*
 * reloads.c - models that are replaced while clients ask without a pause: nobody fails, and every answer is of the
 * instance that it says. The weights of each instance carry a number, which is the answer.
 *
 * "one" is a file that is replaced by rename: what is answered lies between the number that was served when the
 * request was sent and the one that was on disk when the answer came. "many" is a folder of versions, of which one
 * comes and one goes each time: what is answered is the number of the version that the reply names.
 */
#include "rig.h"

#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "graph/proto.h"

#define CLIENTS 4
#define RELOADS (RIG_SANITIZED ? 12 : 48)

Suite *daemon_reloads_suite(void);

static const char body[] = "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,2],\"datatype\":\"FP32\",\"data\":[1,2]}]}";

struct asking {
    pthread_t thread;
    int port;
    int answered, failed, wrong;
    char seen[300];
};

static int served, written; /* the numbers of "one" that may be answered; atomic */
static int over;

/* y = x * 0 + number. */
static void write_model(const struct rig *rig, const char *path, float number)
{
    char name[96];
    const float zeros[2] = {0, 0};
    struct proto graph = {0};
    proto_add(&graph, GRAPH_INPUT, proto_value("x", PERCEPT_FLOAT, 2, (int64_t[]){-1, 2}));
    proto_add(&graph, GRAPH_OUTPUT, proto_value("y", PERCEPT_FLOAT, 2, (int64_t[]){-1, 1}));
    proto_add(&graph, GRAPH_INITIALIZER, proto_tensor("w", PERCEPT_FLOAT, 2, (int64_t[]){2, 1}, zeros, sizeof zeros));
    proto_add(&graph, GRAPH_INITIALIZER, proto_tensor("b", PERCEPT_FLOAT, 1, (int64_t[]){1}, &number, sizeof number));
    proto_add(&graph, GRAPH_NODE, proto_node("Gemm", "", "x,w,b", "y"));
    struct proto model = proto_model(graph, 13);
    snprintf(name, sizeof name, "%s", "new");
    rig_write(rig, name, model.at, model.n);
    free(rig_shell(NULL, "mkdir -p $(dirname %s/models/%s) && mv %s/new %s/models/%s", rig->folder, path, rig->folder,
                   rig->folder, path));
    proto_free(&model);
}

/* The first one is told. */
static void note(struct asking *asking, int *counter, const struct reply *reply, int64_t from_us)
{
    ++*counter;
    if (!*asking->seen)
        snprintf(asking->seen, sizeof asking->seen, "status %d after %d ms, number %d: %s", reply->status,
                 (int)((rig_now_us() - from_us) / 1000), __atomic_load_n(&written, __ATOMIC_SEQ_CST),
                 reply->body ? reply->body : "");
}

static int version_in(const struct reply *reply)
{
    static const char member[] = "\"model_version\":\"";
    const char *at = reply->body ? strstr(reply->body, member) : NULL;
    return at ? atoi(at + strlen(member)) : -1;
}

/* False when the connection is of no use any more. */
static bool ask(struct asking *asking, struct client *client, bool versions)
{
    float answer = -1;
    int64_t from_us = rig_now_us();
    int least = __atomic_load_n(&served, __ATOMIC_SEQ_CST);
    client_request(client, "POST", versions ? "/v2/models/many/infer" : "/v2/models/one/infer", "", body, strlen(body));
    struct reply reply = client_reply(client);
    int most = __atomic_load_n(&written, __ATOMIC_SEQ_CST);
    bool whole = reply.status == 200 && reply_floats(&reply, &answer, 1) == 1;
    bool right = versions ? version_in(&reply) == (int)answer : least <= (int)answer && (int)answer <= most;
    if (!whole)
        note(asking, &asking->failed, &reply, from_us);
    else if (!right)
        note(asking, &asking->wrong, &reply, from_us);
    else
        asking->answered++;
    reply_free(&reply);
    return reply.status > 0;
}

static void *ask_on(void *at)
{
    struct asking *asking = at;
    struct client client;
    if (!client_open(&client, asking->port)) {
        asking->failed++;
        return NULL;
    }
    for (int i = 0; !__atomic_load_n(&over, __ATOMIC_SEQ_CST) && ask(asking, &client, i % 2); i++)
        ;
    client_close(&client);
    return NULL;
}

static void load(const struct rig *rig, const char *name)
{
    char path[80];
    snprintf(path, sizeof path, "/v2/repository/models/%s/load", name);
    struct reply reply = rig_ask(rig, "POST", path, "", "", 0);
    ck_assert_msg(reply.status == 200, "%s: %d %s", path, reply.status, reply.body);
    reply_free(&reply);
}

static int answer_of(const struct rig *rig, const char *name)
{
    char path[80];
    float answer = -1;
    snprintf(path, sizeof path, "/v2/models/%s/infer", name);
    struct reply reply = rig_ask(rig, "POST", path, "", body, strlen(body));
    reply_floats(&reply, &answer, 1);
    reply_free(&reply);
    return (int)answer;
}

static void wait_for_answer(const struct rig *rig, const char *name, int number)
{
    int64_t until_us = rig_now_us() + (int64_t)RIG_PATIENCE_MS * 1000;
    while (answer_of(rig, name) != number) {
        ck_assert_msg(rig_now_us() < until_us, "'%s' does not become %d", name, number);
        rig_pause(3);
    }
}

static void replace(const struct rig *rig, int number)
{
    char path[64];
    __atomic_store_n(&written, number, __ATOMIC_SEQ_CST);
    write_model(rig, "one/model.onnx", (float)number);
    snprintf(path, sizeof path, "many/%d/model.onnx", number);
    write_model(rig, path, (float)number);
    free(rig_shell(NULL, "rm -r %s/models/many/%d", rig->folder, number - 1));
    if (number % 2) {
        load(rig, "many");
        load(rig, "one");
    } else {
        ck_assert_int_eq(kill(rig->pid, SIGHUP), 0);
        wait_for_answer(rig, "one", number);
        wait_for_answer(rig, "many", number);
    }
    __atomic_store_n(&served, number, __ATOMIC_SEQ_CST);
}

static void expect_all_well(const struct asking *clients)
{
    int n = 0;
    for (int i = 0; i < CLIENTS; i++) {
        ck_assert_msg(!clients[i].failed, "%d requests failed: %s", clients[i].failed, clients[i].seen);
        ck_assert_msg(!clients[i].wrong, "%d answers are of another instance: %s", clients[i].wrong, clients[i].seen);
        n += clients[i].answered;
    }
    ck_assert_int_gt(n, RELOADS);
    printf("measured: %d answers during %d reloads of two models\n", n, RELOADS);
}

START_TEST(no_request_fails_while_models_are_replaced)
{
    struct rig rig;
    struct asking clients[CLIENTS] = {{0}};
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    served = written = 1;
    over = 0;
    write_model(&rig, "one/model.onnx", 1);
    write_model(&rig, "many/1/model.onnx", 1);
    rig_start(&rig, "%s/models --admin", rig.folder);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i].port = rig.port;
        ck_assert_int_eq(pthread_create(&clients[i].thread, NULL, ask_on, &clients[i]), 0);
    }
    for (int number = 2; number < RELOADS + 2; number++)
        replace(&rig, number);
    __atomic_store_n(&over, 1, __ATOMIC_SEQ_CST);
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(clients[i].thread, NULL);
    expect_all_well(clients);
    ck_assert_int_eq(rig_stop(&rig), 0);
    ck_assert(!rig_log_has(&rig, "failed to load"));
    rig_end(&rig);
}
END_TEST

START_TEST(a_watched_folder_is_served_as_it_changes)
{
    struct rig rig;
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    write_model(&rig, "one/model.onnx", 1);
    rig_start(&rig, "%s/models --watch", rig.folder);
    ck_assert_int_eq(answer_of(&rig, "one"), 1);
    write_model(&rig, "one/model.onnx", 2);
    write_model(&rig, "many/1/model.onnx", 3);
    wait_for_answer(&rig, "one", 2);
    wait_for_answer(&rig, "many", 3);
    rig_write(&rig, "models/one/model.onnx", "half", 4);
    write_model(&rig, "many/2/model.onnx", 4);
    wait_for_answer(&rig, "many", 4);
    ck_assert_int_eq(answer_of(&rig, "one"), 2);
    free(rig_shell(NULL, "rm -r %s/models/many/2", rig.folder));
    wait_for_answer(&rig, "many", 3);
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_end(&rig);
}
END_TEST

START_TEST(a_label_is_asked_like_a_version)
{
    static const char manifest[] = "{\"manifest\":1,\"version_labels\":{\"stable\":1}}";
    struct rig rig;
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    write_model(&rig, "many/1/model.onnx", 1);
    write_model(&rig, "many/2/model.onnx", 2);
    rig_write(&rig, "models/many/manifest.json", manifest, strlen(manifest));
    rig_start(&rig, "%s/models", rig.folder);
    ck_assert_int_eq(answer_of(&rig, "many"), 2);
    ck_assert_int_eq(answer_of(&rig, "many/versions/stable"), 1);
    struct reply reply = rig_get(&rig, "/v2/models/many/versions/canary/ready");
    ck_assert_int_eq(reply.status, 404);
    ck_assert_ptr_nonnull(strstr(reply.body, "Request for unknown model: 'many' label 'canary' is not found"));
    reply_free(&reply);
    reply = rig_get(&rig, "/v2/models/none/versions/stable");
    ck_assert_int_eq(reply.status, 404);
    reply_free(&reply);
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_end(&rig);
}
END_TEST

static int n_regions(void)
{
    char *list = rig_shell(NULL, "ls /dev/shm | grep -c perceptd-left-%d-", (int)getpid());
    int n = atoi(list);
    free(list);
    return n;
}

/* What is left is given back behind the answers. */
static void wait_for_regions(int n)
{
    int64_t until_us = rig_now_us() + (int64_t)RIG_PATIENCE_MS * 1000;
    while (n_regions() != n) {
        ck_assert_msg(rig_now_us() < until_us, "there are %d regions and not %d", n_regions(), n);
        rig_pause(3);
    }
}

/* At the end there is one copy of each, whatever has come and gone. */
START_TEST(no_weights_are_left_behind)
{
    struct rig rig;
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    write_model(&rig, "one/model.onnx", 1);
    rig_start(&rig, "%s/models --admin --region-prefix perceptd-left-%d", rig.folder, (int)getpid());
    for (int number = 2; number < 10; number++) {
        write_model(&rig, "one/model.onnx", (float)number);
        load(&rig, "one");
    }
    wait_for_answer(&rig, "one", 9);
    wait_for_regions(1);
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_end(&rig);
}
END_TEST

Suite *daemon_reloads_suite(void)
{
    Suite *suite = suite_create("daemon_reloads");
    TCase *tests = tcase_create("reloads");
    tcase_add_test(tests, no_request_fails_while_models_are_replaced);
    tcase_add_test(tests, a_watched_folder_is_served_as_it_changes);
    tcase_add_test(tests, a_label_is_asked_like_a_version);
    tcase_add_test(tests, no_weights_are_left_behind);
    tcase_set_timeout(tests, RIG_PATIENCE_MS / 1000 * 10);
    suite_add_tcase(suite, tests);
    return suite;
}
