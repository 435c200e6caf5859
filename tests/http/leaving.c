/*
 * leaving.c - clients that leave: after every byte of a request, by a reset or by an end, and what
 * becomes of their places, their memory and the stop. All timeouts of the daemon are an hour long,
 * so that nothing but the leaving itself can end a connection.
 */
#include "daemon.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define HOUR_MS 3600000
#define HEALTH "GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
#define HEAD "POST " RELU_PATH " HTTP/1.1\r\nHost: x\r\n"
#define CANCELED "nv_inference_request_failure{model=\"relu\",version=\"1\",reason=\"CANCELED\"}"

static struct daemon host;
static struct client client, many[80];

static struct settings patient(void)
{
    struct settings settings = daemon_settings();
    settings.header_timeout_ms = settings.body_timeout_ms = settings.idle_timeout_ms = HOUR_MS;
    settings.drain_timeout_ms = HOUR_MS;
    return settings;
}

/* Requests of "relu" wait for company for an hour. */
static struct settings slow(void)
{
    struct settings settings = patient();
    settings.max_queue_delay_us = (int64_t)HOUR_MS * 1000;
    return settings;
}

static void start(struct settings settings)
{
    daemon_start(&host, &settings, NULL);
}

static void end(void)
{
    ck_assert_int_eq(daemon_end(&host), 0);
}

static void leave(struct client *from, bool reset)
{
    struct linger linger = {.l_onoff = 1};
    if (reset)
        setsockopt(from->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    client_close(from);
}

/* Nothing is left of whoever was there: the one connection asks. */
static void expect_nobody(long descriptors)
{
    daemon_wait_for(&host, "perceptd_connections", 1);
    daemon_wait_for(&host, "perceptd_body_bytes", 0);
    daemon_wait_for(&host, "perceptd_requests_in_flight", 0);
    daemon_wait_for(&host, "process_open_fds", descriptors);
}

static const char *const requests[] = {
    HEALTH,
    "\r\n" HEAD "Content-Length: 5\r\n\r\nabcde",
    HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nA: b\r\n\r\n",
    HEAD "Expect: 100-continue\r\nContent-Length: 4\r\n\r\nabcd",
    HEALTH HEALTH HEAD "Content-Length: 3\r\n\r\nabc" HEALTH,
};

/* One client per byte that is sent, none of them is followed. */
START_TEST(a_client_may_leave_after_every_byte)
{
    const char *request = requests[_i / 2];
    start(patient());
    long descriptors = daemon_metric(&host, "process_open_fds");
    for (size_t n = 0; n <= strlen(request); n++) {
        client_open(&client, &host);
        ck_assert(client_send_bytes(&client, request, n));
        leave(&client, _i % 2);
    }
    expect_nobody(descriptors);
    end();
}
END_TEST

/* The same, when the daemon has taken in every byte before. */
START_TEST(a_client_may_leave_after_every_byte_that_was_read)
{
    const char *request = HEAD "Content-Length: 40\r\n\r\nabcdefghijklmnopqrstuvwxyz";
    start(patient());
    long descriptors = daemon_metric(&host, "process_open_fds");
    for (size_t from = 0; from <= strlen(request); from += 80) {
        size_t n = 0;
        for (; n < 80 && from + n <= strlen(request); n++) {
            client_open(&many[n], &host);
            ck_assert(client_send_bytes(&many[n], request, from + n));
        }
        ck_assert_int_eq(daemon_get(&host, "/v2/health/live").status, 200);
        for (size_t i = 0; i < n; i++)
            leave(&many[i], _i);
    }
    expect_nobody(descriptors);
    end();
}
END_TEST

START_TEST(who_leaves_while_he_waits_is_cancelled)
{
    start(slow());
    long descriptors = daemon_metric(&host, "process_open_fds");
    for (int i = 0; i < 4; i++) {
        client_open(&many[i], &host);
        client_send_infer(&many[i], "");
    }
    daemon_wait_for(&host, "perceptd_requests_in_flight", 4);
    for (int i = 0; i < 4; i++)
        leave(&many[i], i % 2);
    daemon_wait_for(&host, CANCELED, 4);
    expect_nobody(descriptors);
    end();
}
END_TEST

START_TEST(who_leaves_within_a_reply_ends_it)
{
    static char flood[400 * (sizeof HEALTH + 10)];
    for (int i = 0; i < 400; i++)
        strcat(flood, "GET / HTTP/1.1\r\nAccept: text/html\r\n"
                      "Host: x\r\n\r\n");
    start(patient());
    long descriptors = daemon_metric(&host, "process_open_fds");
    for (int i = 0; i < 4; i++) {
        int small = 1;
        client_open(&many[i], &host);
        setsockopt(many[i].fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        ck_assert(client_send_bytes(&many[i], flood, strlen(flood)));
    }
    ck_assert_int_eq(daemon_get(&host, "/v2/health/live").status, 200);
    for (int i = 0; i < 4; i++)
        leave(&many[i], i % 2);
    expect_nobody(descriptors);
    end();
}
END_TEST

/* The rule of a half-close: what can be said at once is said, an answer that takes work is not
 * waited for. */
START_TEST(an_end_behind_a_request_that_is_answered_at_once_is_waited_for)
{
    start(patient());
    client_open(&client, &host);
    client_send(&client, HEALTH HEALTH HEAD "Content-Length: 2\r\n\r\n{}");
    ck_assert_int_eq(shutdown(client.fd, SHUT_WR), 0);
    ck_assert_int_eq(client_reply(&client).status, 200);
    ck_assert_int_eq(client_reply(&client).status, 200);
    client_close(&client);
    daemon_wait_for(&host, "perceptd_connections", 1);
    client_open(&client, &host);
    client_send(&client, HEALTH "GET /v2/nowhere HTTP/1.1\r\nHost: x\r\n\r\n");
    ck_assert_int_eq(shutdown(client.fd, SHUT_WR), 0);
    ck_assert_int_eq(client_reply(&client).status, 200);
    ck_assert_int_eq(client_reply(&client).status, 404);
    ck_assert(client_closed(&client));
    client_close(&client);
    end();
}
END_TEST

START_TEST(an_end_behind_a_request_that_takes_work_gives_it_up)
{
    start(slow());
    for (int i = 0; i < 2; i++) { /* together with the request, and later */
        client_open(&client, &host);
        client_send_infer(&client, "");
        if (i)
            daemon_wait_for(&host, "perceptd_requests_in_flight", 1);
        ck_assert_int_eq(shutdown(client.fd, SHUT_WR), 0);
        ck_assert(client_closed(&client));
        client_close(&client);
        daemon_wait_for(&host, CANCELED, i + 1);
    }
    end();
}
END_TEST

#define N_BEFORE 60

static const char *const behind[] = {
    HEAD "Content-Length: 71\r\n\r\n" RELU_BODY,
    HEAD "Transfer-Encoding: chunked\r\n\r\n47\r\n" RELU_BODY "\r\n0\r\n\r\n",
    "\r\n" HEAD "Content-Length: 71\r\n\r\n" RELU_BODY HEALTH,
};

/* Behind requests that take many turns to answer: the end is noticed before the last one is read, and nothing
 * tells of it again while the job works. */
START_TEST(an_end_that_was_noticed_before_the_work_gives_it_up)
{
    ck_assert_uint_eq(strlen(RELU_BODY), 71);
    start(slow());
    client_open(&client, &host);
    client_send(&client, HEALTH); /* it is known and idle */
    ck_assert_int_eq(client_reply(&client).status, 200);
    ck_assert_int_eq(kill(host.pid, SIGSTOP), 0);
    for (int i = 0; i < N_BEFORE; i++)
        client_send(&client, HEALTH);
    client_send(&client, behind[_i]);
    ck_assert_int_eq(shutdown(client.fd, SHUT_WR), 0);
    ck_assert_int_eq(kill(host.pid, SIGCONT), 0);
    for (int i = 0; i < N_BEFORE; i++)
        ck_assert_int_eq(client_reply(&client).status, 200);
    ck_assert(client_closed(&client));
    client_close(&client);
    daemon_wait_for(&host, CANCELED, 1);
    daemon_wait_for(&host, "perceptd_requests_in_flight", 0);
    end();
}
END_TEST

/* Places. */

static void fill(int n)
{
    for (int i = 0; i < n; i++) {
        client_open(&many[i], &host);
        client_send_infer(&many[i], "");
    }
}

START_TEST(where_all_places_work_only_health_and_metrics_are_answered)
{
    static const struct {
        const char *request;
        int status;
    } rows[] = {
        {HEALTH, 200},
        {"GET /v2/health/ready HTTP/1.1\r\nHost: x\r\n\r\n", 200},
        {"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 200},
        {"GET /v2/models HTTP/1.1\r\nHost: x\r\n\r\n", 503},
        {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 503},
        {HEAD "Content-Length: 5\r\n\r\nabcde", 503},
        {HEAD "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n", 503},
        {"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", 404},
    };
    struct settings settings = slow();
    settings.max_connections = 4;
    start(settings);
    fill(4);
    daemon_wait_for(&host, "perceptd_requests_in_flight", 4);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        client_open(&client, &host);
        client_send(&client, rows[i].request);
        struct reply reply = client_reply(&client);
        ck_assert_msg(reply.status == rows[i].status, "%s: %d", rows[i].request, reply.status);
        ck_assert(reply.status != 503 || reply_has_header(&reply, "Retry-After: 1"));
        ck_assert(reply_has_header(&reply, "Connection: close"));
        ck_assert(client_closed(&client));
        client_close(&client);
    }
    leave(&many[0], false); /* and its place is free again */
    daemon_wait_for(&host, "perceptd_requests_in_flight", 3);
    client_open(&client, &host);
    for (int i = 0; i < 2; i++) {
        client_send(&client, "GET /v2/models HTTP/1.1\r\nHost: x\r\n\r\n");
        ck_assert_int_eq(client_reply(&client).status, 200);
    }
    client_close(&client);
    for (int i = 1; i < 4; i++)
        leave(&many[i], true);
    end();
}
END_TEST

/* More than microhttpd would take in: those who say nothing go, those who ask are answered. */
START_TEST(silent_clients_do_not_shut_the_door)
{
    struct settings settings = slow();
    settings.max_connections = 2;
    start(settings);
    fill(2);
    daemon_wait_for(&host, "perceptd_requests_in_flight", 2);
    for (int i = 2; i < 80; i++)
        client_open(&many[i], &host);
    ck_assert_int_eq(daemon_get(&host, "/v2/health/live").status, 200);
    ck_assert(client_closed(&many[2]));
    for (int i = 0; i < 80; i++)
        leave(&many[i], i % 2);
    daemon_wait_for(&host, "perceptd_connections", 1);
    end();
}
END_TEST

START_TEST(the_longest_silent_makes_way)
{
    struct settings settings = slow();
    settings.max_connections = 4;
    start(settings);
    struct client *idle = &many[0], *head = &many[1], *body = &many[2], *works = &many[3];
    client_open(idle, &host);
    client_send(idle, HEALTH);
    ck_assert_int_eq(client_reply(idle).status, 200);
    client_open(head, &host);
    client_send(head, "GET /v2/health/live HTTP/1.1\r\nHo");
    ck_assert_int_eq(daemon_metric(&host, "perceptd_connections"), 3); /* that of the question too */
    daemon_wait_for(&host, "perceptd_connections", 3);
    client_open(body, &host);
    client_send(body, HEAD "Content-Length: 1000\r\n\r\nabc");
    daemon_wait_for(&host, "perceptd_body_bytes", 3);
    client_open(works, &host);
    client_send_infer(works, "");
    struct client *const order[] = {idle, head, body};
    for (int i = 0; i < 3; i++) {
        client_open(&many[4 + i], &host);
        client_send_infer(&many[4 + i], "");
        ck_assert(client_closed(order[i]));
    }
    daemon_wait_for(&host, "perceptd_requests_in_flight", 4);
    for (int i = 0; i < 7; i++)
        leave(&many[i], true);
    end();
}
END_TEST

/* The stop. */

static const char *const stalls[] = {
    HEAD "Content-Length: 1000\r\n\r\nabc",
    HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nab",
    HEAD "Content-Le",
    HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\nX",
    "GET",
};

START_TEST(a_stalled_request_does_not_hold_up_a_drain)
{
    start(patient());
    client_open(&client, &host);
    client_send(&client, stalls[_i]);
    ck_assert_int_eq(daemon_get(&host, "/v2/health/live").status, 200);
    daemon_signal(&host, SIGTERM);
    ck_assert(client_closed(&client));
    ck_assert_int_eq(daemon_wait(&host), 0);
    client_close(&client);
}
END_TEST

START_TEST(who_is_gone_does_not_hold_up_a_drain)
{
    start(slow());
    for (int i = 0; i < 60; i++) {
        client_open(&many[i], &host);
        if (i % 10 == 9)
            client_send_infer(&many[i], "");
        else
            client_send(&many[i], stalls[i % 5]);
    }
    daemon_wait_for(&host, "perceptd_requests_in_flight", 6); /* fewer than a batch */
    ck_assert_int_eq(kill(host.pid, SIGSTOP), 0);
    daemon_signal(&host, SIGTERM);
    for (int i = 0; i < 60; i++)
        leave(&many[i], i % 2);
    ck_assert_int_eq(kill(host.pid, SIGCONT), 0);
    ck_assert_int_eq(daemon_wait(&host), 0);
}
END_TEST

#define N(table) (int)(sizeof table / sizeof table[0])

Suite *http_leaving_suite(void)
{
    Suite *suite = suite_create("http/leaving");
    TCase *bytes = tcase_create("bytes");
    TCase *places = tcase_create("places");
    TCase *stop = tcase_create("stop");
    tcase_set_timeout(bytes, 120);
    tcase_set_timeout(places, 120);
    tcase_set_timeout(stop, 120);
    tcase_add_loop_test(bytes, a_client_may_leave_after_every_byte, 0, 2 * N(requests));
    tcase_add_loop_test(bytes, a_client_may_leave_after_every_byte_that_was_read, 0, 2);
    tcase_add_test(bytes, who_leaves_while_he_waits_is_cancelled);
    tcase_add_test(bytes, who_leaves_within_a_reply_ends_it);
    tcase_add_test(bytes, an_end_behind_a_request_that_is_answered_at_once_is_waited_for);
    tcase_add_test(bytes, an_end_behind_a_request_that_takes_work_gives_it_up);
    tcase_add_loop_test(bytes, an_end_that_was_noticed_before_the_work_gives_it_up, 0, N(behind));
    tcase_add_test(places, where_all_places_work_only_health_and_metrics_are_answered);
    tcase_add_test(places, silent_clients_do_not_shut_the_door);
    tcase_add_test(places, the_longest_silent_makes_way);
    tcase_add_loop_test(stop, a_stalled_request_does_not_hold_up_a_drain, 0, N(stalls));
    tcase_add_test(stop, who_is_gone_does_not_hold_up_a_drain);
    suite_add_tcase(suite, bytes);
    suite_add_tcase(suite, places);
    suite_add_tcase(suite, stop);
    return suite;
}
