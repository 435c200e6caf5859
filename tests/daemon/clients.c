/*
 * clients.c - who may ask, in which order answers come, and what happens to the request of a client
 * that goes away.
 */
#include "rig.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES "/v2/models/names/infer"
#define TEXT "Content-Type: text/plain\r\n"
#define N_PIPELINED 50

static void expect(const struct rig *rig, const char *method, const char *path, const char *more, const char *body,
                   int status)
{
    struct reply reply = rig_ask(rig, method, path, more, body, body ? strlen(body) : 0);
    ck_assert_msg(reply.status == status, "%s %s with '%s': %d, not %d: %s", method, path, more, reply.status, status,
                  reply.body);
    ck_assert_msg(status != 401 || strstr(reply.head, "WWW-Authenticate: Bearer"), "401 does not say how: %s",
                  reply.head);
    ck_assert_msg(!strstr(reply.body, "opensesame"), "a key is told: %s", reply.body);
    reply_free(&reply);
}

START_TEST(only_those_with_a_key_are_answered)
{
    struct rig rig;
    static const char keys[] = "# keys\nopensesame\nsecond-key\n";
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    rig_write(&rig, "keys", keys, sizeof keys - 1);
    rig_start(&rig, "models --api-key-file %s/keys", rig.folder);
    expect(&rig, "POST", NAMES, TEXT, "Nguyen", 401);
    expect(&rig, "POST", NAMES, TEXT "Authorization: Bearer wrong\r\n", "Nguyen", 401);
    expect(&rig, "POST", NAMES, TEXT "Authorization: Bearer opensesam\r\n", "Nguyen", 401);
    expect(&rig, "POST", NAMES, TEXT "X-API-Key: opensesame2\r\n", "Nguyen", 401);
    expect(&rig, "POST", NAMES, TEXT "Authorization: Bearer opensesame\r\n", "Nguyen", 200);
    expect(&rig, "POST", NAMES, TEXT "X-API-Key: second-key\r\n", "Nguyen", 200);
    expect(&rig, "GET", "/metrics", "", NULL, 401);
    expect(&rig, "GET", "/v2/nothing", "", NULL, 401);
    expect(&rig, "GET", "/v2/health/live", "", NULL, 200);
    expect(&rig, "GET", "/v2/health/ready", "", NULL, 200);
    ck_assert(!rig_log_has(&rig, "opensesame"));
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_end(&rig);
}
END_TEST

START_TEST(models_are_loaded_by_request_only_with_admin)
{
    struct rig rig;
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    rig_start(&rig, "models");
    expect(&rig, "POST", "/v2/repository/models/names/load", "", "", 403);
    expect(&rig, "POST", "/v2/repository/models/names/unload", "", "", 403);
    expect(&rig, "POST", NAMES, TEXT, "Nguyen", 200);
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_start(&rig, "models --admin");
    struct reply reply = rig_ask(&rig, "POST", "/v2/repository/models/names/load", "", "", 0);
    ck_assert_msg(reply.status != 403, "with --admin too: %s", reply.body);
    reply_free(&reply);
    expect(&rig, "POST", NAMES, TEXT, "Nguyen", 200);
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_end(&rig);
}
END_TEST

/* 50 requests of unequal length, so that they are not computed in one batch, in one write. */
START_TEST(pipelined_requests_are_answered_in_their_order)
{
    struct rig rig;
    struct client client;
    static char all[N_PIPELINED * 600];
    size_t n = 0;
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    rig_start(&rig, "models");
    for (int i = 0; i < N_PIPELINED; i++) {
        char body[400];
        int n_tokens = 1 + i * 7 % 20;
        int used = sprintf(body,
                           "{\"id\":\"request %d\",\"inputs\":[{\"name\":\"tokens\",\"shape\":"
                           "[1,%d],\"datatype\":\"INT64\",\"data\":[",
                           i, n_tokens);
        for (int k = 0; k < n_tokens; k++)
            used += sprintf(body + used, "%s%d", k ? "," : "", 2 + i + k);
        used += sprintf(body + used, "]}]}");
        n += (size_t)sprintf(all + n,
                             "POST /v2/models/spam/infer HTTP/1.1\r\nHost: x\r\nContent-Length: "
                             "%d\r\n\r\n%s",
                             used, body);
    }
    ck_assert(client_open(&client, rig.port));
    ck_assert(client_send(&client, all, n));
    for (int i = 0; i < N_PIPELINED; i++) {
        char id[40];
        struct reply reply = client_reply(&client);
        snprintf(id, sizeof id, "\"id\":\"request %d\"", i);
        ck_assert_msg(reply.status == 200, "request %d got %d: %s", i, reply.status,
                      reply.body ? reply.body : "nothing");
        ck_assert_msg(strstr(reply.body, id) != NULL, "answer %d is not that of %s: %s", i, id, reply.body);
        reply_free(&reply);
    }
    client_close(&client);
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_end(&rig);
}
END_TEST

static void wait_for(const struct rig *rig, const char *metric, double value)
{
    int64_t until_us = rig_now_us() + (int64_t)RIG_PATIENCE_MS * 1000;
    double seen;
    while ((seen = rig_metric(rig, metric)) < value) {
        ck_assert_msg(rig_now_us() < until_us, "%s stays %g, not %g", metric, seen, value);
        rig_pause(3);
    }
}

/* A body of n surnames of six letters, as tensors. */
static size_t write_many(char *body, int n)
{
    int used = sprintf(body,
                       "{\"inputs\":[{\"name\":\"characters\",\"shape\":[%d,6],"
                       "\"datatype\":\"INT64\",\"data\":[",
                       n);
    for (int i = 0; i < n * 6; i++)
        used += sprintf(body + used, "%s%d", i ? "," : "", 2 + i % 20);
    return (size_t)used + (size_t)sprintf(body + used, "]}]}");
}

/* Requests wait for company, so that there is time to leave; the wait of the one who stays ends
 * when others have filled its batch. */
START_TEST(a_request_whose_client_left_is_not_computed)
{
    enum { LEAVERS = 5, BATCH = 32 };
    static char many[BATCH * 6 * 4 + 200];
    struct rig rig;
    struct client leavers[LEAVERS], stays;
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    rig_start(&rig, "models --max-queue-delay-us 10000000");
    for (int i = 0; i < LEAVERS; i++) {
        ck_assert(client_open(&leavers[i], rig.port));
        ck_assert(client_request(&leavers[i], "POST", NAMES, TEXT, "Ivanov", 6));
    }
    ck_assert(client_open(&stays, rig.port));
    ck_assert(client_request(&stays, "POST", NAMES, TEXT, "Nguyen", 6));
    wait_for(&rig, "perceptd_requests_in_flight", LEAVERS + 1);
    for (int i = 0; i < LEAVERS; i++)
        client_close(&leavers[i]);
    wait_for(&rig, "nv_inference_request_failure{model=\"names\",version=\"1\",reason=\"CANCELED\"", LEAVERS);
    double items = rig_metric(&rig, "nv_inference_count{model=\"names\"");
    ck_assert_msg(items == 0, "%g items were computed before anybody had to be", items);
    struct reply reply = rig_ask(&rig, "POST", NAMES, "", many, write_many(many, BATCH - 1));
    ck_assert_msg(reply.status == 200, "the others got %d: %s", reply.status, reply.body);
    reply_free(&reply);
    reply = client_reply(&stays);
    char label[64];
    ck_assert_msg(strcmp(reply_label(&reply, 0, label, sizeof label), "Vietnamese") == 0, "who stayed got %d: %s",
                  reply.status, reply.body ? reply.body : "nothing");
    items = rig_metric(&rig, "nv_inference_count{model=\"names\"");
    double runs = rig_metric(&rig, "nv_inference_exec_count{model=\"names\"");
    printf("measured: %d clients left; %g items in %g run for the %d who stayed\n", LEAVERS, items, runs, BATCH);
    ck_assert_msg(items == BATCH && runs == 1, "%g items in %g runs, not %d in 1", items, runs, BATCH);
    reply_free(&reply);
    client_close(&stays);
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_end(&rig);
}
END_TEST

Suite *daemon_clients_suite(void);

Suite *daemon_clients_suite(void)
{
    Suite *suite = suite_create("daemon_clients");
    TCase *tests = tcase_create("clients");
    tcase_add_test(tests, only_those_with_a_key_are_answered);
    tcase_add_test(tests, models_are_loaded_by_request_only_with_admin);
    tcase_add_test(tests, pipelined_requests_are_answered_in_their_order);
    tcase_add_test(tests, a_request_whose_client_left_is_not_computed);
    tcase_set_timeout(tests, RIG_PATIENCE_MS / 1000 * 4);
    suite_add_tcase(suite, tests);
    return suite;
}
