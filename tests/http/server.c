/*
 * server.c - tests of http/server.c: connections that are kept, requests in a row, clients that
 * leave, limits, and the stop that answers everything. Rude clients are in rude.c.
 */
#include "daemon.h"

#include "http/server.h"

#include <check.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static struct daemon host;
static struct client client, other;

static void start(const struct settings *settings)
{
    daemon_start(&host, settings, NULL);
}

static void start_slow(int64_t delay_us)
{
    struct settings settings = daemon_settings();
    settings.max_queue_delay_us = delay_us;
    start(&settings);
}

static void start_plain(void)
{
    start_slow(0);
}

static void end(void)
{
    ck_assert_int_eq(daemon_end(&host), 0);
}

START_TEST(health_is_answered_and_the_connection_kept)
{
    start_plain();
    client_open(&client, &host);
    for (int i = 0; i < 3; i++) {
        client_send(&client, "GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n");
        struct reply reply = client_reply(&client);
        ck_assert_int_eq(reply.status, 200);
        ck_assert_str_eq(reply.body, "{\"live\":true}\n");
        ck_assert(reply_has_header(&reply, "Content-Type: application/json"));
    }
    client_close(&client);
    end();
}
END_TEST

START_TEST(head_has_the_length_of_get_and_no_body)
{
    start_plain();
    client_open(&client, &host);
    client_send(&client, "HEAD /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
                         "GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n");
    struct reply reply = client_reply_to_head(&client);
    ck_assert_int_eq(reply.status, 200);
    ck_assert(reply_has_header(&reply, "Content-Length: 14"));
    ck_assert_str_eq(client_reply(&client).body, "{\"live\":true}\n");
    client_close(&client);
    end();
}
END_TEST

START_TEST(http_1_0_is_answered_and_closed)
{
    start_plain();
    client_open(&client, &host);
    client_send(&client, "GET /v2/health/live HTTP/1.0\r\n\r\n");
    ck_assert_int_eq(client_reply(&client).status, 200);
    ck_assert(client_closed(&client));
    client_close(&client);
    end();
}
END_TEST

START_TEST(an_absolute_uri_and_a_query_are_paths)
{
    start_plain();
    client_open(&client, &host);
    client_send(&client, "GET http://x/v2/health/live?test_1=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    ck_assert_int_eq(client_reply(&client).status, 200);
    client_close(&client);
    end();
}
END_TEST

START_TEST(pipelined_requests_are_answered_in_order)
{
    start_slow(20000);
    client_open(&client, &host);
    for (int i = 0; i < 20; i++) {
        client_send_infer(&client, "");
        client_send(&client, "GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    for (int i = 0; i < 20; i++) {
        struct reply reply = client_reply(&client);
        ck_assert_int_eq(reply.status, 200);
        ck_assert(reply_has(&reply, "model_name"));
        ck_assert_str_eq(client_reply(&client).body, "{\"live\":true}\n");
    }
    client_close(&client);
    end();
}
END_TEST

START_TEST(a_waiting_request_does_not_hold_up_others)
{
    start_slow(DAEMON_SLOW_US);
    client_open(&client, &host);
    client_send_infer(&client, "");
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(daemon_get(&host, "/v2/health/live").status, 200);
    ck_assert_int_eq(client_reply(&client).status, 200);
    client_close(&client);
    end();
}
END_TEST

#define CANCELED "nv_inference_request_failure{model=\"relu\",version=\"1\",reason=\"CANCELED\"}"

START_TEST(a_request_whose_client_went_away_is_cancelled)
{
    start_slow(10 * 1000 * 1000);
    client_open(&client, &host);
    client_send_infer(&client, "");
    daemon_wait_for(&host, "perceptd_requests_in_flight", 1);
    client_close(&client);
    daemon_wait_for(&host, CANCELED, 1);
    daemon_wait_for(&host, "perceptd_connections", 1);
    end();
}
END_TEST

START_TEST(a_request_whose_client_reset_is_cancelled)
{
    start_slow(10 * 1000 * 1000);
    client_open(&client, &host);
    client_send_infer(&client, "");
    daemon_wait_for(&host, "perceptd_requests_in_flight", 1);
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    client_close(&client);
    daemon_wait_for(&host, CANCELED, 1);
    daemon_wait_for(&host, "perceptd_connections", 1);
    end();
}
END_TEST

START_TEST(descriptors_return_to_where_they_were)
{
    start_plain();
    long before = daemon_metric(&host, "process_open_fds");
    static struct client many[20];
    for (int i = 0; i < 20; i++) {
        client_open(&many[i], &host);
        client_send_infer(&many[i], "");
    }
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(client_reply(&many[i]).status, 200);
        client_close(&many[i]);
    }
    daemon_wait_for(&host, "perceptd_connections", 1);
    daemon_wait_for(&host, "process_open_fds", before);
    end();
}
END_TEST

START_TEST(past_the_connection_limit_who_asks_is_answered)
{
    struct settings settings = daemon_settings();
    settings.max_connections = 4;
    start(&settings);
    static struct client many[80];
    for (int i = 0; i < 80; i++) {
        client_open(&many[i], &host);
        client_send(&many[i], "GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    for (int i = 0; i < 80; i++) {
        ck_assert_int_eq(client_reply(&many[i]).status, 200);
        client_close(&many[i]);
    }
    end();
}
END_TEST

START_TEST(out_of_descriptors_clients_wait_and_are_served)
{
    struct settings settings = daemon_settings();
    settings.header_timeout_ms = settings.idle_timeout_ms = 300;
    daemon_fd_limit = 40;
    start(&settings);
    daemon_fd_limit = 0;
    static struct client many[60];
    for (int i = 0; i < 60; i++)
        client_open(&many[i], &host);
    for (int i = 0; i < 60; i++)
        client_send_bytes(&many[i], "GET /v2/health/live HTTP/1.0\r\n\r\n", 32);
    for (int i = 0; i < 60; i++) {
        ck_assert_int_eq(client_reply(&many[i]).status, 200);
        client_close(&many[i]);
    }
    end();
}
END_TEST

START_TEST(an_idle_connection_ends_at_its_deadline)
{
    struct settings settings = daemon_settings();
    settings.idle_timeout_ms = 100;
    start(&settings);
    client_open(&client, &host);
    client_send(&client, "GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n");
    ck_assert_int_eq(client_reply(&client).status, 200);
    ck_assert(client_closed(&client));
    client_close(&client);
    end();
}
END_TEST

START_TEST(a_kept_connection_ends_soon_after_its_client_half_closed)
{
    struct settings settings = daemon_settings();
    settings.idle_timeout_ms = 3600000;
    start(&settings);
    client_open(&client, &host);
    client_send(&client, "GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
                         "GET /v2/health/ready HTTP/1.1\r\nHost: x\r\n\r\n");
    ck_assert_int_eq(shutdown(client.fd, SHUT_WR), 0);
    ck_assert_int_eq(client_reply(&client).status, 200);
    ck_assert_int_eq(client_reply(&client).status, 200);
    ck_assert(client_closed(&client)); /* which waits for less than the idle timeout */
    client_close(&client);
    end();
}
END_TEST

/* The stop. */

START_TEST(a_drain_answers_what_was_accepted)
{
    start_slow(10 * DAEMON_SLOW_US);
    client_open(&client, &host);
    client_open(&other, &host);
    client_send_infer(&client, "");
    client_send_infer(&other, "");
    daemon_wait_for(&host, "perceptd_requests_in_flight", 2);
    daemon_signal(&host, SIGTERM);
    struct reply reply = client_reply(&client);
    ck_assert_int_eq(reply.status, 200);
    ck_assert(reply_has_header(&reply, "Connection: close"));
    ck_assert_int_eq(client_reply(&other).status, 200);
    ck_assert(client_closed(&client));
    ck_assert_int_eq(daemon_wait(&host), 0);
    client_close(&client);
    client_close(&other);
}
END_TEST

START_TEST(a_drain_ends_idle_connections)
{
    start_plain();
    client_open(&client, &host);
    client_send(&client, "GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n");
    ck_assert_int_eq(client_reply(&client).status, 200);
    client_open(&other, &host); /* and those that never said a word */
    daemon_signal(&host, SIGTERM);
    ck_assert(client_closed(&client));
    ck_assert(client_closed(&other));
    ck_assert_int_eq(daemon_wait(&host), 0);
    client_close(&client);
    client_close(&other);
}
END_TEST

START_TEST(within_the_drain_delay_requests_are_served_and_readiness_says_no)
{
    struct settings settings = daemon_settings();
    settings.drain_delay_ms = 600;
    start(&settings);
    daemon_signal(&host, SIGTERM);
    struct reply reply = {.status = 200};
    for (int tries = 0; reply.status == 200 && tries < 20000; tries++)
        reply = daemon_get(&host, "/v2/health/ready");
    ck_assert_int_eq(reply.status, 503);
    ck_assert(reply_has(&reply, "Server exiting"));
    ck_assert(reply_has_header(&reply, "Retry-After: 1"));
    reply = daemon_ask(&host, "POST", RELU_PATH, "", RELU_BODY);
    ck_assert_int_eq(reply.status, 200);
    ck_assert(reply_has_header(&reply, "Connection: close"));
    ck_assert_int_eq(daemon_wait(&host), 0);
}
END_TEST

START_TEST(a_request_that_outlasts_the_drain_is_answered_503)
{
    struct settings settings = daemon_settings();
    settings.max_queue_delay_us = 60 * 1000 * 1000;
    settings.drain_timeout_ms = 0; /* over before the lane, which need not wait any more, is looked at */
    start(&settings);
    client_open(&client, &host);
    client_send_infer(&client, "");
    daemon_wait_for(&host, "perceptd_requests_in_flight", 1);
    daemon_signal(&host, SIGTERM);
    struct reply reply = client_reply(&client);
    ck_assert_int_eq(reply.status, 503);
    ck_assert(reply_has(&reply, "Server exiting"));
    ck_assert(client_closed(&client));
    ck_assert_int_eq(daemon_wait(&host), 0);
    client_close(&client);
}
END_TEST

START_TEST(a_stop_does_not_wait)
{
    struct settings settings = daemon_settings();
    settings.max_queue_delay_us = 60 * 1000 * 1000;
    settings.drain_delay_ms = 60 * 1000;
    settings.drain_timeout_ms = 60 * 1000;
    start(&settings);
    client_open(&client, &host);
    client_send_infer(&client, "");
    daemon_wait_for(&host, "perceptd_requests_in_flight", 1);
    client_open(&other, &host);
    daemon_signal(&host, SIGINT);
    struct reply reply = client_reply(&client);
    ck_assert_int_eq(reply.status, 503);
    ck_assert(reply_has(&reply, "Server exiting"));
    ck_assert_int_eq(daemon_wait(&host), 0);
    client_close(&client);
    client_close(&other);
}
END_TEST

START_TEST(connections_in_the_backlog_are_answered_by_a_drain)
{
    start_plain();
    static struct client many[40];
    ck_assert_int_eq(kill(host.pid, SIGSTOP), 0);
    daemon_signal(&host, SIGTERM);
    for (int i = 0; i < 40; i++) {
        client_open(&many[i], &host);
        client_send(&many[i], "GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    ck_assert_int_eq(kill(host.pid, SIGCONT), 0);
    for (int i = 0; i < 40; i++) {
        ck_assert_int_eq(client_reply(&many[i]).status, 200);
        client_close(&many[i]);
    }
    ck_assert_int_eq(daemon_wait(&host), 0);
}
END_TEST

START_TEST(connections_past_the_limit_are_answered_by_a_drain)
{
    struct settings settings = daemon_settings();
    settings.max_connections = 2;
    start(&settings);
    static struct client many[6];
    ck_assert_int_eq(kill(host.pid, SIGSTOP), 0);
    daemon_signal(&host, SIGTERM);
    for (int i = 0; i < 6; i++) {
        client_open(&many[i], &host);
        client_send(&many[i], "GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    ck_assert_int_eq(kill(host.pid, SIGCONT), 0);
    for (int i = 0; i < 6; i++) {
        ck_assert_int_eq(client_reply(&many[i]).status, 200);
        client_close(&many[i]);
    }
    ck_assert_int_eq(daemon_wait(&host), 0);
}
END_TEST

START_TEST(an_upload_under_way_is_served_by_a_drain)
{
    struct settings settings = daemon_settings();
    settings.body_timeout_ms = 10000;
    start(&settings);
    client_open(&client, &host);
    char head[200];
    snprintf(head, sizeof head, "POST " RELU_PATH " HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n",
             strlen(RELU_BODY));
    client_send(&client, head);
    client_send_bytes(&client, RELU_BODY, 10);
    daemon_wait_for(&host, "perceptd_body_bytes", 10);
    daemon_signal(&host, SIGTERM);
    client_send(&client, &RELU_BODY[10]);
    ck_assert_int_eq(client_reply(&client).status, 200);
    ck_assert_int_eq(daemon_wait(&host), 0);
    client_close(&client);
}
END_TEST

/* Birth and death without a client. */

struct bare {
    struct loop *loop;
    struct catalog *catalog;
    struct repository *repository;
    struct settings settings;
};

static void bare_start(struct bare *bare)
{
    struct percept_err err = {0};
    bare->settings = daemon_settings();
    bare->loop = loop_new(1, &err);
    ck_assert_msg(bare->loop != NULL, "%s", err.text);
    bare->catalog = catalog_new(bare->loop, &bare->settings, &err);
    ck_assert_msg(bare->catalog != NULL, "%s", err.text);
    bare->repository = repository_new(bare->loop, bare->catalog, &bare->settings, &err);
    ck_assert_msg(bare->repository != NULL, "%s", err.text);
}

static void bare_end(struct bare *bare)
{
    loop_run(bare->loop); /* returns when no handle is left */
    catalog_free(bare->catalog);
    repository_free(bare->repository);
    loop_free(bare->loop);
}

START_TEST(a_server_that_cannot_be_is_refused)
{
    struct bare bare;
    struct percept_err err = {0};
    bare_start(&bare);
    ck_assert_ptr_null(
        server_new(bare.loop, bare.catalog, bare.repository, &bare.settings, &(const char *){"nowhere"}, 1, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "cannot listen on 'nowhere'"));
    bare.settings.api_key_file = "/nonexistent/keys";
    ck_assert_ptr_null(
        server_new(bare.loop, bare.catalog, bare.repository, &bare.settings, &(const char *){"127.0.0.1:0"}, 1, &err));
    bare_end(&bare);
}
END_TEST

static int descriptors(void)
{
    int n = 0;
    DIR *folder = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(folder);
    while (readdir(folder))
        n++;
    closedir(folder);
    return n;
}

/* And no descriptor is left of it, however often. */
START_TEST(a_server_that_nobody_used_can_be_freed)
{
    enum { TIMES = 4 };
    int open_fds[TIMES];
    for (int i = 0; i < TIMES; i++) {
        struct bare bare;
        struct percept_err err = {0};
        bare_start(&bare);
        struct server *server = server_new(bare.loop, bare.catalog, bare.repository, &bare.settings,
                                           &(const char *){"127.0.0.1:0"}, 1, &err);
        ck_assert_msg(server != NULL, "%s", err.text);
        ck_assert_int_gt(server_port(server, 0), 0);
        server_free(server);
        server_free(NULL);
        bare_end(&bare);
        open_fds[i] = descriptors();
    }
    ck_assert_int_eq(open_fds[TIMES - 1], open_fds[TIMES / 2]);
}
END_TEST

static void on_done(void *user)
{
    bool *done = user;
    *done = true;
}

START_TEST(a_drained_server_can_be_freed_later)
{
    struct bare bare;
    struct percept_err err = {0};
    bool done = false;
    bare_start(&bare);
    struct server *server =
        server_new(bare.loop, bare.catalog, bare.repository, &bare.settings, &(const char *){"127.0.0.1:0"}, 1, &err);
    server_drain(server, on_done, &done);
    server_drain(server, on_done, &done);
    ck_assert(!done);
    loop_run(bare.loop);
    ck_assert(done);
    server_free(server);
    bare_end(&bare);
}
END_TEST

#define ALLOCATIONS 24

START_TEST(every_allocation_may_fail_once)
{
    daemon_fail_at = (size_t)_i + 1;
    start_plain();
    daemon_fail_at = 0;
    for (int i = 0; i < ALLOCATIONS / 2; i++) { /* two connections, an allocation each at least */
        client_open(&client, &host);
        client_send_bytes(&client, "GET /v2/health/ready HTTP/1.1\r\nHost: x\r\n\r\n", 43);
        int status = client_status_or_close(&client);
        ck_assert_msg(status == 200 || status == 507 || status == 0, "%d", status);
        client_close(&client);
        client_open(&client, &host);
        client_send_infer(&client, "");
        status = client_status_or_close(&client);
        ck_assert_msg(status == 200 || status >= 500 || status == 0, "%d", status);
        client_close(&client);
    }
    ck_assert_int_eq(daemon_ask(&host, "POST", RELU_PATH, "", RELU_BODY).status, 200);
    end();
}
END_TEST

/* Nothing is waited for from a client for whom there was no memory. */
START_TEST(who_comes_when_memory_is_short_and_says_nothing_is_hung_up_upon)
{
    struct settings settings = daemon_settings();
    settings.header_timeout_ms = settings.idle_timeout_ms = 3600000;
    daemon_fail_at = (size_t)_i + 1;
    daemon_start(&host, &settings, NULL);
    daemon_fail_at = 0;
    client_open(&client, &host);
    ck_assert(client_closed(&client));
    client_close(&client);
    ck_assert_int_eq(daemon_get(&host, "/v2/health/live").status, 200);
    end();
}
END_TEST

START_TEST(every_allocation_may_fail_from_one_on)
{
    daemon_fail_at = (size_t)_i + 1;
    daemon_fail_on = true;
    start_plain();
    daemon_fail_at = 0;
    daemon_fail_on = false;
    for (int i = 0; i < 3; i++) {
        client_open(&client, &host);
        client_send_infer(&client, "");
        client_status_or_close(&client);
        client_close(&client);
    }
    end();
}
END_TEST

Suite *http_server_suite(void)
{
    Suite *suite = suite_create("http/server");
    TCase *serving = tcase_create("serving");
    TCase *stopping = tcase_create("stopping");
    tcase_set_timeout(serving, 120);
    tcase_set_timeout(stopping, 120);
    tcase_add_test(serving, health_is_answered_and_the_connection_kept);
    tcase_add_test(serving, head_has_the_length_of_get_and_no_body);
    tcase_add_test(serving, http_1_0_is_answered_and_closed);
    tcase_add_test(serving, an_absolute_uri_and_a_query_are_paths);
    tcase_add_test(serving, pipelined_requests_are_answered_in_order);
    tcase_add_test(serving, a_waiting_request_does_not_hold_up_others);
    tcase_add_test(serving, a_request_whose_client_went_away_is_cancelled);
    tcase_add_test(serving, a_request_whose_client_reset_is_cancelled);
    tcase_add_test(serving, descriptors_return_to_where_they_were);
    tcase_add_test(serving, past_the_connection_limit_who_asks_is_answered);
    tcase_add_test(serving, out_of_descriptors_clients_wait_and_are_served);
    tcase_add_test(serving, an_idle_connection_ends_at_its_deadline);
    tcase_add_test(serving, a_kept_connection_ends_soon_after_its_client_half_closed);
    tcase_add_test(stopping, a_drain_answers_what_was_accepted);
    tcase_add_test(stopping, a_drain_ends_idle_connections);
    tcase_add_test(stopping, within_the_drain_delay_requests_are_served_and_readiness_says_no);
    tcase_add_test(stopping, a_request_that_outlasts_the_drain_is_answered_503);
    tcase_add_test(stopping, a_stop_does_not_wait);
    tcase_add_test(stopping, connections_in_the_backlog_are_answered_by_a_drain);
    tcase_add_test(stopping, connections_past_the_limit_are_answered_by_a_drain);
    tcase_add_test(stopping, an_upload_under_way_is_served_by_a_drain);
    TCase *bare = tcase_create("bare");
    TCase *memory = tcase_create("memory");
    tcase_set_timeout(bare, 120);
    tcase_set_timeout(memory, 120);
    tcase_add_test(bare, a_server_that_cannot_be_is_refused);
    tcase_add_test(bare, a_server_that_nobody_used_can_be_freed);
    tcase_add_test(bare, a_drained_server_can_be_freed_later);
    tcase_add_loop_test(memory, every_allocation_may_fail_once, 0, ALLOCATIONS);
    tcase_add_loop_test(memory, who_comes_when_memory_is_short_and_says_nothing_is_hung_up_upon, 0, 2);
    tcase_add_loop_test(memory, every_allocation_may_fail_from_one_on, 0, ALLOCATIONS);
    suite_add_tcase(suite, bare);
    suite_add_tcase(suite, memory);
    suite_add_tcase(suite, serving);
    suite_add_tcase(suite, stopping);
    return suite;
}
