/*
 * life.c - from exec to exit: how soon it is ready, what it weighs with nothing to serve, and that
 * nobody who was accepted loses an answer when it ends.
 *
 * The clients of the last part are as busy as can be: each sends its next request as soon as it has
 * an answer, on one connection, and opens a new one only where it is told "Connection: close".
 * Every answer must be whole and 200, or 503. An end of the connection without a byte of answer is
 * counted apart: the server may hang up on a connection that is silent between two requests, and no
 * HTTP client can tell that from a lost request. With a drain delay, in which every client is told
 * to close, it must not happen either.
 */
#include "rig.h"
#include "samples.h"

#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define STARTS 5
#define CLIENTS 16
#define BUSY_ANSWERS 400 /* before the signal */
#define RSS_MAX_KB 8192
#define QUEUE_DELAY_US 10000000 /* the longest there is */

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

START_TEST(it_is_soon_ready)
{
    struct rig rig;
    int64_t us[STARTS];
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    for (int i = 0; i < STARTS; i++) {
        int port = rig_free_port();
        int64_t from_us = rig_now_us();
        rig_spawn(&rig, "models --listen 127.0.0.1:%d", port);
        rig.port = port;
        rig_ready(&rig);
        us[i] = rig_now_us() - from_us;
        if (i == 0)
            printf("measured: RSS with the shipped models: %ld kB\n", rig_kilobytes(rig.pid, "status", "VmRSS:"));
        ck_assert_int_eq(rig_stop(&rig), 0);
    }
    qsort(us, STARTS, sizeof us[0], compare);
    printf("measured: exec to ready with the shipped models: median %.1f ms (%.1f to %.1f) of %d\n",
           (double)us[STARTS / 2] / 1000, (double)us[0] / 1000, (double)us[STARTS - 1] / 1000, STARTS);
    rig_end(&rig);
}
END_TEST

START_TEST(it_is_small_when_it_has_nothing_to_serve)
{
    struct rig rig;
    char path[128];
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    snprintf(path, sizeof path, "%s/empty", rig.folder);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    rig_start(&rig, "%s --ready-when-empty", path);
    long kilobytes = rig_kilobytes(rig.pid, "status", "VmRSS:");
    printf("measured: RSS without a model: %ld kB, PSS %ld kB\n", kilobytes,
           rig_kilobytes(rig.pid, "smaps_rollup", "Pss:"));
    ck_assert_msg(kilobytes > 0 && (RIG_SANITIZED || kilobytes <= RSS_MAX_KB),
                  "RSS without a model is %ld kB, more than %d", kilobytes, RSS_MAX_KB);
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_end(&rig);
}
END_TEST

/* --- ending under load -------------------------------------------------------------------------------------------- */

struct busy {
    pthread_t thread;
    int port;
    struct blob body;
    char label[8];
    int answered, refused, silent, late, lost, cut, wrong;
    char seen[400];
};

static void note(struct busy *busy, int *counter, const struct reply *reply)
{
    ++*counter;
    snprintf(busy->seen, sizeof busy->seen, "status %d: %s%s", reply->status, reply->head ? reply->head : "",
             reply->body ? reply->body : "");
}

/* False when the client should not go on on this connection. */
static bool judge(struct busy *busy, const struct reply *reply)
{
    char label[64];
    if (reply->status == 200 && strcmp(reply_label(reply, 0, label, sizeof label), busy->label) == 0) {
        __atomic_add_fetch(&busy->answered, 1, __ATOMIC_RELAXED);
    } else if (reply->status == 503 && reply->close && strstr(reply->body, "\"error\"")) {
        busy->refused++;
    } else if (reply->status == 0) {
        busy->silent++;
    } else {
        note(busy, reply->status < 0 ? &busy->cut : &busy->wrong, reply);
    }
    return reply->status > 0 && !reply->close;
}

static void *be_busy(void *at)
{
    struct busy *busy = at;
    struct client client;
    while (client_open(&client, busy->port)) {
        bool goes_on = true, first = true;
        while (goes_on) {
            bool sent = client_request(&client, "POST", "/v2/models/digits/infer", "Content-Type: image/png\r\n",
                                       busy->body.at, busy->body.n);
            struct reply reply = client_reply(&client);
            /* Neither the whole request nor a byte of answer: the goodbye was on its way. */
            bool unheard = reply.status == 0 && !first && !sent;
            busy->late += unheard;
            busy->lost += reply.status == 0 && first;
            goes_on = !unheard && judge(busy, &reply);
            first = false;
            reply_free(&reply);
        }
        client_close(&client);
    }
    return NULL;
}

/* Of all; 0 while one of them has none. */
static int n_answers(const struct busy *clients)
{
    int sum = 0;
    for (int i = 0; i < CLIENTS; i++) {
        int n = __atomic_load_n(&clients[i].answered, __ATOMIC_RELAXED);
        if (!n)
            return 0;
        sum += n;
    }
    return sum;
}

static void await_answers(const struct busy *clients)
{
    int64_t until_us = rig_now_us() + (int64_t)RIG_PATIENCE_MS * 1000;
    while (n_answers(clients) < BUSY_ANSWERS) {
        ck_assert_msg(rig_now_us() < until_us, "only %d answers came before the signal", n_answers(clients));
        rig_pause(1);
    }
}

static void start_clients(const struct rig *rig, struct busy *clients, const struct digits *digits)
{
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = (struct busy){
            .port = rig->port, .body = samples_png(digits->pixels + i * SAMPLES_PIXELS, SAMPLES_SIDE, SAMPLES_SIDE)};
        /* what it is taken for when nobody else asks: how well digits are read is accuracy.c's */
        struct reply reply = rig_ask(rig, "POST", "/v2/models/digits/infer", "Content-Type: image/png\r\n",
                                     clients[i].body.at, clients[i].body.n);
        reply_label(&reply, 0, clients[i].label, sizeof clients[i].label);
        ck_assert_str_ne(clients[i].label, "");
        reply_free(&reply);
        ck_assert_int_eq(pthread_create(&clients[i].thread, NULL, be_busy, &clients[i]), 0);
    }
    await_answers(clients);
}

/* Adds up, and judges what may never happen. Returns how many connections ended in silence. */
static int end_clients(struct busy *clients, const char *how)
{
    struct busy all = {0};
    for (int i = 0; i < CLIENTS; i++) {
        struct busy *busy = &clients[i];
        pthread_join(busy->thread, NULL);
        all.answered += busy->answered;
        all.refused += busy->refused;
        all.silent += busy->silent;
        all.late += busy->late;
        all.cut += busy->cut;
        all.wrong += busy->wrong;
        ck_assert_msg(busy->answered > 0, "client %d never got an answer", i);
        ck_assert_msg(busy->late <= 1, "client %d: %d connections were opened for nothing", i, busy->late);
        ck_assert_msg(!busy->lost, "client %d: %d connections were let in and not answered", i, busy->lost);
        ck_assert_msg(!busy->cut, "client %d: an answer was cut: %s", i, busy->seen);
        ck_assert_msg(!busy->wrong, "client %d: %s", i, busy->seen);
    }
    printf("measured: SIGTERM %s, %d busy clients: %d x 200, %d x 503, 0 cut, "
           "%d hung up between requests, %d came too late\n",
           how, CLIENTS, all.answered, all.refused, all.silent, all.late);
    return all.silent;
}

/* Readiness on connections of its own until the door closes; all that was seen. */
static void watch_readiness(const struct rig *rig, int *n_ready, int *n_unready)
{
    struct client client;
    while (*n_unready < 3 && client_open(&client, rig->port)) {
        client_request(&client, "GET", "/v2/health/ready", "", NULL, 0);
        struct reply reply = client_reply(&client);
        *n_ready += reply.status == 200;
        *n_unready += reply.status == 503;
        reply_free(&reply);
        client_close(&client);
        rig_pause(1);
    }
}

START_TEST(sigterm_loses_no_request_and_tells_the_balancer)
{
    struct rig rig;
    struct digits digits;
    struct busy clients[CLIENTS];
    int n_ready = 0, n_unready = 0;
    if (!rig_is_there() || !samples_digits(&digits, CLIENTS))
        return;
    rig_begin(&rig);
    rig_start(&rig, "models --drain-delay %s", RIG_SANITIZED ? "3s" : "500ms");
    start_clients(&rig, clients, &digits);
    kill(rig.pid, SIGTERM);
    watch_readiness(&rig, &n_ready, &n_unready);
    int silent = end_clients(clients, "with a drain delay");
    ck_assert_int_eq(rig_wait(&rig), 0);
    ck_assert_msg(n_unready > 0, "readiness was 503 %d and 200 %d times while draining", n_unready, n_ready);
    ck_assert_msg(silent == 0, "%d requests on connections that stayed got no answer", silent);
    rig_end(&rig);
}
END_TEST

START_TEST(sigterm_without_delay_loses_no_request)
{
    struct rig rig;
    struct digits digits;
    struct busy clients[CLIENTS];
    if (!rig_is_there() || !samples_digits(&digits, CLIENTS))
        return;
    rig_begin(&rig);
    rig_start(&rig, "models");
    start_clients(&rig, clients, &digits);
    ck_assert_int_eq(rig_stop(&rig), 0);
    int silent = end_clients(clients, "without delay");
    ck_assert_msg(silent == 0, "%d requests on connections that stayed got no answer", silent);
    rig_end(&rig);
}
END_TEST

/* A connection for each request, until the door is closed. */
static void *knock(void *at)
{
    struct busy *busy = at;
    struct client client;
    while (client_open(&client, busy->port)) {
        client_request(&client, "GET", "/v2/health/live", "Connection: close\r\n", NULL, 0);
        struct reply reply = client_reply(&client);
        if (reply.status == 200)
            __atomic_add_fetch(&busy->answered, 1, __ATOMIC_RELAXED);
        else
            note(busy, &busy->lost, &reply);
        reply_free(&reply);
        client_close(&client);
    }
    return NULL;
}

/* Whoever is connected gets an answer, also in the instant in which the door closes. */
START_TEST(no_connection_is_lost_while_the_door_closes)
{
    struct rig rig;
    struct busy clients[CLIENTS];
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    free(rig_shell(NULL, "mkdir %s/none", rig.folder));
    rig_start(&rig, "%s/none --ready-when-empty", rig.folder);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = (struct busy){.port = rig.port};
        ck_assert_int_eq(pthread_create(&clients[i].thread, NULL, knock, &clients[i]), 0);
    }
    await_answers(clients);
    ck_assert_int_eq(rig_stop(&rig), 0);
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(clients[i].thread, NULL);
        ck_assert_msg(!clients[i].lost, "client %d: after %d answers a connection got %s", i, clients[i].answered,
                      clients[i].seen);
    }
    rig_end(&rig);
}
END_TEST

START_TEST(a_request_that_waits_in_the_queue_is_answered_at_the_end)
{
    struct rig rig;
    struct client client;
    static const char text[] = "Nguyen";
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    rig_start(&rig, "models --max-queue-delay-us %d", QUEUE_DELAY_US);
    ck_assert(client_open(&client, rig.port));
    ck_assert(client_request(&client, "POST", "/v2/models/names/infer", "Content-Type: text/plain\r\n", text,
                             sizeof text - 1));
    while (rig_metric(&rig, "perceptd_requests_in_flight") < 1)
        rig_pause(2);
    int64_t from_us = rig_now_us();
    ck_assert_int_eq(rig_stop(&rig), 0);
    int64_t us = rig_now_us() - from_us;
    ck_assert_msg(us < QUEUE_DELAY_US, "it waited for company while it ended: %lld ms", (long long)us / 1000);
    struct reply reply = client_reply(&client);
    ck_assert_msg(reply.status == 200 && reply.close, "status %d, %s", reply.status,
                  reply.head ? reply.head : "no answer");
    reply_free(&reply);
    client_close(&client);
    rig_end(&rig);
}
END_TEST

Suite *daemon_life_suite(void);

Suite *daemon_life_suite(void)
{
    Suite *suite = suite_create("daemon_life");
    TCase *tests = tcase_create("life");
    tcase_add_test(tests, it_is_soon_ready);
    tcase_add_test(tests, it_is_small_when_it_has_nothing_to_serve);
    tcase_add_test(tests, sigterm_loses_no_request_and_tells_the_balancer);
    tcase_add_test(tests, sigterm_without_delay_loses_no_request);
    tcase_add_loop_test(tests, no_connection_is_lost_while_the_door_closes, 0, 5);
    tcase_add_test(tests, a_request_that_waits_in_the_queue_is_answered_at_the_end);
    tcase_set_timeout(tests, RIG_PATIENCE_MS / 1000 * 4);
    suite_add_tcase(suite, tests);
    return suite;
}
