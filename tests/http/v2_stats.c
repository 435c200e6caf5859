/* v2_stats.c - tests of http/v2_stats.c: what perf_analyzer works out of two snapshots is what its clients did. */
#include "daemon.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define N_CLIENTS 8
#define N_ROUNDS 25 /* twice, of eight clients: 10,000 requests */
#define N_ROUNDS_FEW 2
#define N_AT_ONCE 25 /* by one client, before it reads replies */

static struct daemon host;
static struct client clients[N_CLIENTS];

static void start(void)
{
    daemon_start(&host, NULL, NULL);
}

static void end(void)
{
    ck_assert_int_eq(daemon_end(&host), 0);
}

static json_t *get(const char *path, int status)
{
    struct reply reply = daemon_get(&host, path);
    ck_assert_msg(reply.status == status, "%s: %d %s", path, reply.status, reply.body);
    json_t *read = json_loads(reply.body, 0, NULL);
    ck_assert_msg(read != NULL, "%s: %s", path, reply.body);
    return read;
}

static long long number(const json_t *object, const char *member)
{
    const json_t *value = json_object_get(object, member);
    ck_assert_msg(json_is_integer(value), "no number '%s'", member);
    return json_integer_value(value);
}

/* A snapshot of the only entry. */
struct snapshot {
    long long items, executions, last_ms;
    long long count[8], ns[8];
    long long batch_count, batch_items, batch_infer_ns;
};

static const char *const members[8] = {"success",       "fail",           "queue",     "compute_input",
                                       "compute_infer", "compute_output", "cache_hit", "cache_miss"};
enum { SUCCESS, FAIL, QUEUE, INPUT, INFER, OUTPUT, HIT, MISS };

static void take_batches(const json_t *sizes, struct snapshot *to)
{
    for (size_t i = 0; i < json_array_size(sizes); i++) {
        const json_t *size = json_array_get(sizes, i), *infer = json_object_get(size, "compute_infer");
        long long count = number(infer, "count");
        ck_assert_int_gt(count, 0);
        ck_assert_int_eq(number(json_object_get(size, "compute_input"), "count"), count);
        ck_assert_int_eq(number(json_object_get(size, "compute_output"), "count"), count);
        to->batch_count += count;
        to->batch_items += count * number(size, "batch_size");
        to->batch_infer_ns += number(infer, "ns");
    }
}

static struct snapshot take(const char *path)
{
    struct snapshot snapshot = {0};
    json_t *read = get(path, 200);
    const json_t *list = json_object_get(read, "model_stats");
    ck_assert_uint_eq(json_array_size(list), 1);
    const json_t *entry = json_array_get(list, 0), *stats = json_object_get(entry, "inference_stats");
    ck_assert_str_eq(json_string_value(json_object_get(entry, "name")), "relu");
    ck_assert_str_eq(json_string_value(json_object_get(entry, "version")), "1");
    ck_assert(json_is_object(json_object_get(entry, "response_stats")));
    ck_assert_uint_eq(json_array_size(json_object_get(entry, "memory_usage")), 1);
    ck_assert_uint_eq(json_object_size(stats), 8);
    snapshot.items = number(entry, "inference_count");
    snapshot.executions = number(entry, "execution_count");
    snapshot.last_ms = number(entry, "last_inference");
    for (int i = 0; i < 8; i++) {
        snapshot.count[i] = number(json_object_get(stats, members[i]), "count");
        snapshot.ns[i] = number(json_object_get(stats, members[i]), "ns");
    }
    take_batches(json_object_get(entry, "batch_stats"), &snapshot);
    json_decref(read);
    return snapshot;
}

/* What the clients know of themselves. */
struct asked {
    long long requests, items, bad;
};

static void send_one(struct client *client, int n, struct asked *asked)
{
    char body[300], head[200];
    size_t used = (size_t)snprintf(body, sizeof body,
                                   "{\"inputs\":[{\"name\":\"x\",\"shape\":[%d,2],"
                                   "\"datatype\":\"%s\",\"data\":[",
                                   n, n == 4 ? "INT32" : "FP32");
    for (int i = 0; i < 2 * n; i++)
        used += (size_t)snprintf(body + used, sizeof body - used, "%s%d", i ? "," : "", i);
    used += (size_t)snprintf(body + used, sizeof body - used, "]}]}");
    snprintf(head, sizeof head, "POST " RELU_PATH " HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", used);
    client_send(client, head);
    client_send(client, body);
    asked->bad += n == 4;
    asked->requests += n != 4;
    asked->items += n != 4 ? n : 0;
}

static struct asked ask_all(int n_rounds)
{
    struct asked asked = {0};
    for (int i = 0; i < N_CLIENTS; i++)
        client_open(&clients[i], &host);
    for (int round = 0; round < n_rounds; round++) {
        for (int i = 0; i < N_CLIENTS * N_AT_ONCE; i++)
            send_one(&clients[i % N_CLIENTS], 1 + (round * 3 + i / 3) % 4, &asked);
        for (int i = 0; i < N_CLIENTS * N_AT_ONCE; i++)
            ck_assert_int_eq(client_reply(&clients[i % N_CLIENTS]).status,
                             1 + (round * 3 + i / 3) % 4 == 4 ? 400 : 200);
    }
    for (int i = 0; i < N_CLIENTS; i++)
        client_close(&clients[i]);
    return asked;
}

static void check_difference(const struct snapshot *a, const struct snapshot *b, const struct asked *asked)
{
    ck_assert_int_eq(b->count[SUCCESS] - a->count[SUCCESS], asked->requests);
    ck_assert_int_eq(b->count[FAIL] - a->count[FAIL], asked->bad);
    for (int i = QUEUE; i <= OUTPUT; i++)
        ck_assert_int_eq(b->count[i], b->count[SUCCESS] - b->count[HIT]);
    ck_assert_int_eq(b->count[HIT] + b->count[MISS] + b->ns[HIT] + b->ns[MISS], 0);
    ck_assert_int_eq(b->items - a->items, asked->items);
    ck_assert_int_le(b->executions - a->executions, asked->requests);
    ck_assert_int_ge((b->executions - a->executions) * 8, asked->items);
    ck_assert_int_eq(b->batch_count, b->executions);
    ck_assert_int_eq(b->batch_items, b->items);
    for (int i = 0; i < 8; i++)
        ck_assert_int_ge(b->ns[i], a->ns[i]);
    /* its "overhead" is what is left of a request's time, and never below 0 */
    ck_assert_int_ge(b->ns[SUCCESS], b->ns[QUEUE] + b->ns[INPUT] + b->ns[INFER] + b->ns[OUTPUT]);
    /* requests of one batch have each the whole run */
    ck_assert_int_ge(b->ns[INFER], b->batch_infer_ns);
    ck_assert_int_gt(b->last_ms, 1600000000000);
    ck_assert_int_ge(b->last_ms, a->last_ms);
}

static const char *const paths[] = {"/v2/models/relu/stats", "/v2/models/relu/versions/1/stats", "/v2/models/stats"};

START_TEST(the_difference_of_two_snapshots_is_what_clients_did)
{
    const int n_rounds = _i ? N_ROUNDS_FEW : N_ROUNDS;
    start();
    struct snapshot first = take(paths[_i]);
    ck_assert_int_eq(first.count[SUCCESS] + first.items + first.executions + first.batch_count + first.last_ms, 0);
    struct asked asked = ask_all(n_rounds);
    struct snapshot second = take(paths[_i]);
    check_difference(&first, &second, &asked);
    asked = ask_all(n_rounds);
    struct snapshot third = take(paths[_i]);
    check_difference(&second, &third, &asked);
    end();
}
END_TEST

static const struct {
    const char *path, *says;
} refused[] = {
    {"/v2/models/none/stats", "requested model 'none' is not available"},
    {"/v2/models/none/versions/2/stats", "requested model 'none' is not available"},
    {"/v2/models/broken/stats", "requested model 'broken' is not available"},
    {"/v2/models/relu/versions/2/stats", "requested model version is not available for model 'relu'"},
};

START_TEST(what_is_not_ready_has_none)
{
    start();
    json_t *error = get(refused[_i].path, 400);
    ck_assert_str_eq(json_string_value(json_object_get(error, "error")), refused[_i].says);
    json_decref(error);
    end();
}
END_TEST

Suite *http_v2_stats_suite(void);

Suite *http_v2_stats_suite(void)
{
    Suite *suite = suite_create("http/v2_stats");
    TCase *tcase = tcase_create("v2_stats");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, the_difference_of_two_snapshots_is_what_clients_did, 0, sizeof paths / sizeof *paths);
    tcase_add_loop_test(tcase, what_is_not_ready_has_none, 0, sizeof refused / sizeof *refused);
    suite_add_tcase(suite, tcase);
    return suite;
}
