/*
 * tls.c - tests of http/tls.c over sockets: versions, clients that are rude or slow, ends of all kinds, the stop, and a
 * certificate that changes. The first door is plain, and tells what goes on.
 */
#include "http/tls.h"

#include "folder.h"
#include "secure.h"

#include <check.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

Suite *http_tls_suite(void);

#define GET_LIVE "GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
#define SILENT 80

static struct identity authority, server, stranger;
static struct settings settings;
static struct daemon host;
static struct secure secure, other;
static struct client client;

static void make(void)
{
    folder_begin("perceptd-tls");
    identity_make(&authority, "authority", NULL);
    identity_make(&server, "server", &authority);
    identity_make(&stranger, "stranger", NULL);
    settings = daemon_settings();
    settings.tls_cert = server.cert_path;
    settings.tls_key = server.key_path;
    daemon_door = "127.0.0.1:0";
}

static void start(void)
{
    make();
    daemon_start(&host, &settings, NULL);
}

static void end(void)
{
    ck_assert_int_eq(daemon_end(&host), 0);
    identity_free(&authority);
    identity_free(&server);
    identity_free(&stranger);
    folder_end();
}

static int ask(const char *text)
{
    secure_send(&secure, text);
    return secure_reply(&secure);
}

static const struct {
    const char *priorities;
    int status;
} versions[] = {
    {SECURE_ONLY("1.3"), 200},
    {SECURE_ONLY("1.2"), 200},
    {SECURE_ONLY("1.1"), GNUTLS_A_PROTOCOL_VERSION},
    {SECURE_ONLY("1.0"), GNUTLS_A_PROTOCOL_VERSION},
    {SECURE_ONLY("1.2") ":-CIPHER-ALL:+AES-128-CBC", GNUTLS_A_HANDSHAKE_FAILURE},
    {SECURE_ONLY("1.2") ":-KX-ALL:+RSA", GNUTLS_A_HANDSHAKE_FAILURE},
};

START_TEST(new_versions_are_spoken_and_old_ones_refused_with_an_alert)
{
    start();
    secure_open(&secure, &host, versions[_i].priorities, NULL);
    if (versions[_i].status == 200) {
        ck_assert_msg(secure.status == 0, "%s", gnutls_strerror(secure.status));
        ck_assert_str_eq(secure.peer, "server");
        for (int i = 0; i < 3; i++)
            ck_assert_int_eq(ask(GET_LIVE), 200);
        ck_assert_int_eq(ask("GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), 404);
        ck_assert_int_eq(secure_reply(&secure), 0);
    } else
        ck_assert_int_eq(secure.alert, versions[_i].status);
    secure_close(&secure);
    daemon_wait_for(&host, "perceptd_connections", 1);
    daemon_wait_for(&host, "perceptd_tls_handshakes_failed_total", versions[_i].status != 200);
    end();
}
END_TEST

/* Records, pieces and pipes are of other sizes than requests. */
START_TEST(long_bodies_and_many_requests_pass)
{
    static char text[70000], head[200];
    start();
    secure_open(&secure, &host, SECURE_ANY, NULL);
    char *at = text + sprintf(text, "{\"inputs\":[{\"name\":\"x\",\"shape\":[4000,2],\"datatype\":\"FP32\",\"data\":[");
    for (int i = 0; i < 8000; i++)
        at += sprintf(at, "%s%d", i ? "," : "", i % 3 - 1);
    strcpy(at, "]}]}");
    ck_assert_uint_lt(strlen(text), settings.max_body_bytes);
    snprintf(head, sizeof head, "POST " RELU_PATH " HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", strlen(text));
    for (int i = 0; i < 3; i++) {
        secure_send(&secure, head);
        const int status = ask(text);
        ck_assert_msg(status == 200 || status == 400, "%d: %s", status,
                      secure.body); /* more items than one run takes */
        ck_assert_uint_gt(strlen(secure.body), 20);
    }
    for (int i = 0; i < 300; i++)
        secure_send(&secure, GET_LIVE);
    for (int i = 0; i < 300; i++)
        ck_assert_int_eq(secure_reply(&secure), 200);
    secure_close(&secure);
    end();
}
END_TEST

/* While a request waits for company nobody reads what is behind it: more than the pair holds. */
START_TEST(what_the_server_does_not_read_yet_is_kept)
{
    enum { BEHIND = 500 };
    static char get[1000];
    make();
    settings.max_queue_delay_us = DAEMON_SLOW_US;
    settings.body_timeout_ms = settings.header_timeout_ms = 3600000;
    daemon_start(&host, &settings, NULL);
    secure_open(&secure, &host, SECURE_ANY, NULL);
    snprintf(get, sizeof get, "GET /v2/health/live HTTP/1.1\r\nHost: x\r\nX-Long: %0900d\r\n\r\n", 0);
    secure_send(&secure, "POST " RELU_PATH " HTTP/1.1\r\nHost: x\r\nContent-Length: 71\r\n\r\n" RELU_BODY);
    for (int i = 0; i < BEHIND; i++)
        secure_send(&secure, get);
    for (int i = 0; i < 1 + BEHIND; i++)
        ck_assert_int_eq(secure_reply(&secure), 200);
    secure_close(&secure);
    end();
}
END_TEST

/* More than all buffers between hold: the server goes on when there is room again. */
START_TEST(who_reads_late_is_sent_everything)
{
    enum { ASKED = 900 };
    make();
    settings.body_timeout_ms = 3600000; /* however slow he is */
    daemon_start(&host, &settings, NULL);
    secure_open(&secure, &host, SECURE_ANY, NULL);
    setsockopt(secure.fd, SOL_SOCKET, SO_RCVBUF, &(int){4096}, sizeof(int));
    for (int i = 0; i < ASKED; i++)
        secure_send(&secure, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    for (long before = -1, n = 0; n > before + 1;) { /* each look is one */
        before = n;
        n = daemon_metric(&host, "perceptd_http_requests_total{code=\"200\"}");
    }
    setsockopt(secure.fd, SOL_SOCKET, SO_RCVBUF, &(int){1 << 20}, sizeof(int)); /* now he reads, and not by drops */
    for (int i = 0; i < ASKED; i++)
        ck_assert_int_eq(secure_reply(&secure), 200);
    secure_close(&secure);
    end();
}
END_TEST

/* A message between records ends no reading. */
START_TEST(keys_may_be_changed_under_way)
{
    start();
    secure_open(&secure, &host, SECURE_ONLY("1.3"), NULL);
    for (int i = 0; i < 4; i++) { /* GnuTLS takes eight a second */
        ck_assert_int_eq(gnutls_session_key_update(secure.session, i % 2 ? GNUTLS_KU_PEER : 0), 0);
        ck_assert_int_eq(ask(GET_LIVE), 200);
    }
    secure_close(&secure);
    end();
}
END_TEST

START_TEST(what_is_inside_is_judged_as_ever)
{
    start();
    secure_open(&secure, &host, SECURE_ANY, NULL);
    ck_assert_int_eq(ask(GET_LIVE "GET / HTTP/1.1\r\nHost: x\r\nContent-Length : 3\r\n\r\n"), 200);
    ck_assert_int_eq(secure_reply(&secure), 400);
    ck_assert_int_eq(secure_reply(&secure), 0);
    secure_close(&secure);
    end();
}
END_TEST

static const struct {
    const char *bytes;
    size_t n_bytes;
    const char *reply; /* what it begins with; NULL: nothing but an alert, or nothing */
} rude[] = {
#define BYTES(text) text, sizeof text - 1
    {BYTES("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 400 Bad Request\r\n"},
    {BYTES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "HTTP/1.1 400 Bad Request\r\n"},
    {BYTES("\r\n"), NULL},
    {BYTES("\0\0\0\0\0\0"), NULL},
    {BYTES("\x80\x2e\1\3\1"), NULL}, /* SSL 2 */
    {BYTES("\x16\3\1\0\5hello"), NULL},
    {BYTES("\x16\3\1\xff\xff"), NULL},
    {BYTES("\x16\3\1\0\0"), NULL},
    {BYTES("\x16\3\3\0\4\1\xff\xff\xff"), NULL},
    {BYTES("\x16\3\1\0\6\2\0\0\2\3\3"), NULL}, /* a server's hello */
    {BYTES("\x17\3\3\0\1x"), NULL},
    {BYTES("\x15\3\3\0\2\2\x28"), NULL},
};

START_TEST(who_speaks_no_tls_is_told_or_closed)
{
    start();
    client_open_door(&client, &host);
    ck_assert(client_send_bytes(&client, rude[_i].bytes, rude[_i].n_bytes));
    if (rude[_i].reply) {
        struct reply reply = client_reply(&client);
        ck_assert_int_eq(reply.status, 400);
        ck_assert(reply_has(&reply, "https://"));
    }
    char byte;
    while (recv(client.fd, &byte, 1, 0) > 0) /* an alert */
        ck_assert(!rude[_i].reply);
    client_close(&client);
    daemon_wait_for(&host, "perceptd_connections", 1);
    secure_open(&secure, &host, SECURE_ANY, NULL);
    ck_assert_int_eq(ask(GET_LIVE), 200);
    secure_close(&secure);
    end();
}
END_TEST

/* Their handshakes begin and do not go on: nobody else waits, and their time is that of a head. */
START_TEST(slow_handshakes_hold_up_nobody_and_end)
{
    static struct client slow[SILENT];
    make();
    settings.header_timeout_ms = 5000;
    daemon_start(&host, &settings, NULL);
    for (int i = 0; i < SILENT; i++) {
        client_open_door(&slow[i], &host);
        if (i % 2)
            ck_assert(client_send_bytes(&slow[i], "\x16\3\1\2\0\1\0\1\xfc\3\3", 11));
    }
    for (int i = 0; i < 5; i++) {
        secure_open(&secure, &host, SECURE_ANY, NULL);
        ck_assert_int_eq(ask(GET_LIVE), 200);
        secure_close(&secure);
    }
    ck_assert_int_gt(daemon_metric(&host, "perceptd_connections"), SILENT / 2);
    for (int i = 0; i < SILENT; i++) {
        ck_assert(client_closed(&slow[i]));
        client_close(&slow[i]);
    }
    daemon_wait_for(&host, "perceptd_connections", 1);
    end();
}
END_TEST

START_TEST(a_client_that_says_goodbye_behind_its_request_is_answered)
{
    start();
    for (int i = 0; i < 20; i++) {
        secure_open(&secure, &host, SECURE_ANY, NULL);
        secure_send(&secure, GET_LIVE);
        ck_assert_int_eq(gnutls_bye(secure.session, GNUTLS_SHUT_WR), 0);
        ck_assert_int_eq(secure_reply(&secure), 200);
        ck_assert_int_eq(secure_reply(&secure), 0);
        secure_close(&secure);
    }
    end();
}
END_TEST

START_TEST(a_request_whose_client_left_is_cancelled)
{
    static const char post[] = "POST " RELU_PATH " HTTP/1.1\r\nHost: x\r\nContent-Length: 71\r\n\r\n" RELU_BODY;
    const struct linger reset = {.l_onoff = 1};
    ck_assert_uint_eq(strlen(RELU_BODY), 71);
    make();
    settings.max_queue_delay_us = 60 * 1000 * 1000;
    daemon_start(&host, &settings, NULL);
    secure_open(&secure, &host, SECURE_ANY, NULL);
    secure_send(&secure, post);
    daemon_wait_for(&host, "perceptd_requests_in_flight", 1);
    if (_i == 0)
        gnutls_bye(secure.session, GNUTLS_SHUT_WR);
    else if (_i == 1)
        shutdown(secure.fd, SHUT_WR); /* without a goodbye */
    else
        setsockopt(secure.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (_i < 2)
        ck_assert_int_le(secure_reply(&secure), 0);
    secure_close(&secure);
    daemon_wait_for(&host, "nv_inference_request_failure{model=\"relu\",version=\"1\",reason=\"CANCELED\"}", 1);
    daemon_wait_for(&host, "perceptd_connections", 1);
    end();
}
END_TEST

START_TEST(nothing_is_negotiated_again)
{
    start();
    secure_open(&secure, &host, SECURE_ONLY("1.2"), NULL);
    ck_assert_int_eq(ask(GET_LIVE), 200);
    int status = gnutls_handshake(secure.session);
    ck_assert_int_eq(status, GNUTLS_E_WARNING_ALERT_RECEIVED);
    ck_assert_int_eq((int)gnutls_alert_get(secure.session), GNUTLS_A_NO_RENEGOTIATION);
    secure_close(&secure);
    daemon_wait_for(&host, "perceptd_connections", 1);
    end();
}
END_TEST

START_TEST(descriptors_return_to_where_they_were)
{
    start();
    secure_open(&secure, &host, SECURE_ANY, NULL); /* what is opened once */
    secure_close(&secure);
    daemon_wait_for(&host, "perceptd_connections", 1);
    const long before = daemon_metric(&host, "process_open_fds");
    for (int i = 0; i < 20; i++) {
        secure_open(&secure, &host, i % 2 ? SECURE_ANY : SECURE_ONLY("1.1"), NULL);
        secure_send(&secure, GET_LIVE);
        secure_close(&secure);
    }
    daemon_wait_for(&host, "perceptd_connections", 1);
    daemon_wait_for(&host, "process_open_fds", before);
    end();
}
END_TEST

/* A ticket saves the next handshake its certificate. */
START_TEST(a_session_goes_on_with_its_ticket)
{
    static const char *const version[] = {SECURE_ONLY("1.2"), SECURE_ONLY("1.3")};
    start();
    for (int i = 0; i < 2; i++) {
        gnutls_datum_t ticket;
        secure_open(&secure, &host, version[i], NULL);
        ck_assert_int_eq(ask(GET_LIVE), 200);
        ck_assert(!gnutls_session_is_resumed(secure.session));
        ck_assert_int_eq(gnutls_session_get_data2(secure.session, &ticket), 0);
        secure_close(&secure);
        secure_ticket = ticket;
        secure_open(&secure, &host, version[i], NULL);
        ck_assert_int_eq(ask(GET_LIVE), 200);
        ck_assert(gnutls_session_is_resumed(secure.session));
        secure_close(&secure);
        gnutls_free(ticket.data);
        secure_ticket = (gnutls_datum_t){0};
    }
    end();
}
END_TEST

START_TEST(only_clients_of_the_authority_are_let_in)
{
    struct identity friend;
    make();
    identity_make(&friend, "friend", &authority);
    settings.tls_client_ca = authority.cert_path;
    daemon_start(&host, &settings, NULL);
    const struct identity *who[] = {&friend, NULL, &stranger};
    static const char *const version[] = {SECURE_ONLY("1.2"), SECURE_ONLY("1.3")};
    for (int i = 0; i < 6; i++) {
        secure_open(&secure, &host, version[i / 3], who[i % 3]);
        const int status = secure.status < 0 ? -1 : ask(GET_LIVE); /* in 1.3 the alert comes after the client's end */
        ck_assert_int_eq(status, i % 3 ? -1 : 200);
        ck_assert(i % 3 == 0 || secure.alert >= 0);
        secure_close(&secure);
    }
    identity_free(&friend);
    end();
}
END_TEST

/* It stands before the handshake. */
START_TEST(a_proxy_says_who_its_client_is)
{
    static const char *const trusted = "127.0.0.1";
    make();
    daemon_door = "127.0.0.1:0+proxy";
    settings.trusted_proxies = &trusted;
    settings.n_trusted_proxies = 1;
    daemon_start(&host, &settings, NULL);
    for (int i = 0; i < 3; i++) {
        secure_header = (const char *const[]){"PROXY TCP4 203.0.113.9 10.0.0.1 4711 80\r\n", "PROXY UNKNOWN\r\n",
                                              "PROXY TCP5\r\n"}[i];
        secure_open(&secure, &host, SECURE_ANY, NULL);
        ck_assert_int_eq(secure.status == 0, i < 2);
        if (i < 2)
            ck_assert_int_eq(ask(GET_LIVE), 200);
        secure_close(&secure);
    }
    secure_header = "";
    secure_open(&secure, &host, SECURE_ANY, NULL); /* the hello is no header */
    ck_assert_int_lt(secure.status, 0);
    secure_close(&secure);
    daemon_wait_for(&host, "perceptd_connections", 1);
    end();
}
END_TEST

static void name_shown(const char *expected)
{
    for (int tries = 0; tries < 2000; tries++) {
        secure_open(&other, &host, SECURE_ANY, NULL);
        ck_assert_int_eq(other.status, 0);
        secure_close(&other);
        if (strcmp(other.peer, expected) == 0)
            return;
        poll(NULL, 0, 2);
    }
    ck_abort_msg("%s is shown, not %s", other.peer, expected);
}

START_TEST(a_certificate_is_read_again_and_a_bad_one_is_not_taken)
{
    struct identity newer;
    start();
    identity_make(&newer, "newer", &authority);
    secure_open(&secure, &host, SECURE_ANY, NULL);
    ck_assert_int_eq(ask(GET_LIVE), 200);
    ck_assert_int_eq(rename(newer.cert_path, server.cert_path), 0);
    daemon_signal(&host, SIGHUP); /* the key is not its own yet */
    name_shown("server");
    ck_assert_int_eq(rename(newer.key_path, server.key_path), 0);
    name_shown("server");
    daemon_signal(&host, SIGHUP);
    name_shown("newer");
    ck_assert_int_eq(ask(GET_LIVE), 200); /* who was in goes on */
    secure_close(&secure);
    identity_free(&newer);
    end();
}
END_TEST

START_TEST(the_stop_answers_what_was_accepted)
{
    static const char post[] = "POST " RELU_PATH " HTTP/1.1\r\nHost: x\r\nContent-Length: 71\r\n\r\n" RELU_BODY;
    make();
    settings.max_queue_delay_us = 60 * 1000 * 1000;
    daemon_start(&host, &settings, NULL);
    secure_open(&other, &host, SECURE_ANY, NULL); /* idle */
    secure_open(&secure, &host, SECURE_ANY, NULL);
    secure_send(&secure, post);
    daemon_wait_for(&host, "perceptd_requests_in_flight", 1);
    client_open_door(&client, &host); /* says nothing */
    daemon_signal(&host, SIGTERM);
    ck_assert_int_eq(secure_reply(&secure), 200);
    ck_assert_int_eq(secure_reply(&secure), 0);
    ck_assert_int_eq(secure_reply(&other), 0);
    ck_assert(client_closed(&client));
    client_close(&client);
    secure_close(&secure);
    secure_close(&other);
    ck_assert_int_eq(daemon_wait(&host), 0);
    folder_end();
}
END_TEST

START_TEST(a_stop_waits_for_nobody_that_does_not_read)
{
    make();
    daemon_start(&host, &settings, NULL);
    secure_open(&secure, &host, SECURE_ANY, NULL);
    for (int i = 0; i < 2000; i++)
        secure_send(&secure, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    daemon_signal(&host, SIGINT);
    ck_assert_int_eq(daemon_wait(&host), 0);
    secure_close(&secure);
    folder_end();
}
END_TEST

Suite *http_tls_suite(void)
{
    Suite *suite = suite_create("http/tls");
    TCase *tcase = tcase_create("tls");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, new_versions_are_spoken_and_old_ones_refused_with_an_alert, 0,
                        sizeof versions / sizeof *versions);
    tcase_add_test(tcase, long_bodies_and_many_requests_pass);
    tcase_add_test(tcase, what_the_server_does_not_read_yet_is_kept);
    tcase_add_test(tcase, who_reads_late_is_sent_everything);
    tcase_add_test(tcase, keys_may_be_changed_under_way);
    tcase_add_test(tcase, what_is_inside_is_judged_as_ever);
    tcase_add_loop_test(tcase, who_speaks_no_tls_is_told_or_closed, 0, sizeof rude / sizeof *rude);
    tcase_add_test(tcase, slow_handshakes_hold_up_nobody_and_end);
    tcase_add_test(tcase, a_client_that_says_goodbye_behind_its_request_is_answered);
    tcase_add_loop_test(tcase, a_request_whose_client_left_is_cancelled, 0, 3);
    tcase_add_test(tcase, nothing_is_negotiated_again);
    tcase_add_test(tcase, descriptors_return_to_where_they_were);
    tcase_add_test(tcase, a_session_goes_on_with_its_ticket);
    tcase_add_test(tcase, only_clients_of_the_authority_are_let_in);
    tcase_add_test(tcase, a_certificate_is_read_again_and_a_bad_one_is_not_taken);
    tcase_add_test(tcase, a_proxy_says_who_its_client_is);
    tcase_add_test(tcase, the_stop_answers_what_was_accepted);
    tcase_add_test(tcase, a_stop_waits_for_nobody_that_does_not_read);
    suite_add_tcase(suite, tcase);
    return suite;
}
