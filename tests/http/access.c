/*
 * access.c - the access log and the ids of requests, over sockets: what is in a line, and that replies and lines have
 * the same ids.
 */
#include "base/log.h"
#include "daemon.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

Suite *http_access_suite(void);

#define TRACE "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

static struct daemon host;
static FILE *lines;
static int saved, delay_us;

/* Its log goes into a file. */
static void start(bool json, const char *const *trusted, int n)
{
    struct settings settings = daemon_settings();
    settings.access_log = true;
    settings.max_queue_delay_us = delay_us;
    settings.trusted_proxies = trusted;
    settings.n_trusted_proxies = n;
    lines = tmpfile();
    saved = dup(STDERR_FILENO);
    dup2(fileno(lines), STDERR_FILENO);
    log_setup(LOG_INFO_LEVEL, json);
    daemon_start(&host, &settings, NULL);
}

/* All of it, once the daemon has ended. */
static const char *end(void)
{
    static char text[65536];
    int status = daemon_end(&host);
    dup2(saved, STDERR_FILENO);
    close(saved);
    log_setup(LOG_INFO_LEVEL, false);
    ck_assert_int_eq(status, 0);
    rewind(lines);
    text[fread(text, 1, sizeof text - 1, lines)] = '\0';
    fclose(lines);
    return text;
}

/* The first line that has this. */
static const char *line_with(const char *text, const char *what)
{
    static char line[4096];
    const char *at = strstr(text, what);
    ck_assert_msg(at != NULL, "no %s in %s", what, text);
    while (at > text && at[-1] != '\n')
        at--;
    snprintf(line, sizeof line, "%.*s", (int)strcspn(at, "\n"), at);
    return line;
}

static double number_of(const char *line, const char *key)
{
    const char *at = strstr(line, key);
    ck_assert_msg(at != NULL, "no %s in %s", key, line);
    return strtod(at + strlen(key), NULL);
}

static void has(const char *line, const char *what)
{
    ck_assert_msg(strstr(line, what) != NULL, "no %s in %s", what, line);
}

START_TEST(a_request_has_its_line)
{
    start(false, NULL, 0);
    ck_assert_int_eq(daemon_ask(&host, "GET", "/v2?x=1", "X-Request-Id: first\r\n", "").status, 200);
    ck_assert_int_eq(
        daemon_ask(&host, "POST", RELU_PATH, "X-Request-Id: second\r\ntraceparent: " TRACE "\r\n", RELU_BODY).status,
        200);
    ck_assert_int_eq(daemon_ask(&host, "GET", "/no where", "X-Request-Id: third\r\n", "").status, 400);
    ck_assert_int_eq(daemon_ask(&host, "GET", "/nowhere", "X-Request-Id: fourth\r\n", "").status, 404);
    const char *text = end(), *line = line_with(text, "id=first");
    has(line, "info  request  client=127.0.0.1 method=GET path=\"/v2?x=1\" status=200 bytes_in=0 bytes_out=");
    ck_assert_ptr_null(strstr(line, "infer_ms"));
    ck_assert_ptr_null(strstr(line, "trace"));
    line = line_with(text, "id=second");
    has(line, "method=POST path=/v2/models/relu/infer status=200 bytes_in=");
    has(line, " trace=" TRACE " model=relu version=1 batch=1 decode_ms=");
    const double whole = number_of(line, " ms="), queue = number_of(line, " queue_ms="),
                 parts =
                     number_of(line, " decode_ms=") + number_of(line, " infer_ms=") + number_of(line, " encode_ms=");
    ck_assert_msg(queue >= 0 && parts >= 0 && queue + parts <= whole + 0.01, "%s", line);
    ck_assert_double_eq(number_of(line, " bytes_in="), strlen(RELU_BODY));
    has(line_with(text, "status=400 bytes_in=0"), "method=\"\" path=\"\""); /* microhttpd never saw it */
    has(line_with(strstr(text, "request  client=127.0.0.1 method=GET path=/nowhere"), "id=fourth"), "status=404");
}
END_TEST

START_TEST(json_has_numbers)
{
    start(true, NULL, 0);
    ck_assert_int_eq(daemon_ask(&host, "GET", "/v2/health/live", "X-Request-Id: first\r\n", "").status, 200);
    const char *line = line_with(end(), "\"id\":\"first\"");
    has(line,
        "\"event\":\"request\",\"client\":\"127.0.0.1\",\"method\":\"GET\",\"path\":\"/v2/health/live\",\"status\":200,"
        "\"bytes_in\":0,\"bytes_out\":14,\"ms\":");
}
END_TEST

START_TEST(behind_a_proxy_the_client_is_whom_it_names)
{
    static const char *const trusted[] = {"127.0.0.0/8"};
    start(false, trusted, _i);
    ck_assert_int_eq(
        daemon_ask(&host, "GET", "/v2", "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 203.0.113.9\r\n", "").status,
        200);
    has(line_with(end(), "path=/v2 "), _i ? "client=203.0.113.9" : "client=127.0.0.1");
}
END_TEST

/* What stands before the request; the rest as ever. */
static const struct {
    const char *door, *header;
    size_t n_bytes;
    const char *trusted, *more, *client;
    int status; /* 0: closed */
} proxied[] = {
#define TEXT(text) text, sizeof text - 1
#define V2 "\r\n\r\n\0\r\nQUIT\n"
    {"127.0.0.1:0+proxy", TEXT("PROXY TCP4 203.0.113.9 10.0.0.1 4711 80\r\n"), "127.0.0.1", "", "203.0.113.9", 200},
    {"127.0.0.1:0+proxy", TEXT("PROXY TCP6 2001:db8::9 ::1 4711 80\r\n"), "127.0.0.1", "", "2001:db8::9", 200},
    {"127.0.0.1:0+proxy", TEXT("PROXY UNKNOWN\r\n"), "127.0.0.1", "", "127.0.0.1", 200},
    {"127.0.0.1:0+proxy", TEXT(V2 "\x21\x11\0\xf\xcb\0\x71\x09\x0a\0\0\1\x12\x67\0\x50\4\0\0"), "127.0.0.1", "",
     "203.0.113.9", 200},
    {"127.0.0.1:0+proxy", TEXT(V2 "\x20\0\0\0"), "127.0.0.1", "", "127.0.0.1", 200},
    /* a proxy before the proxy, and one that nobody trusts */
    {"127.0.0.1:0+proxy", TEXT("PROXY TCP4 127.0.0.2 10.0.0.1 4711 80\r\n"), "127.0.0.0/8",
     "X-Forwarded-For: 198.51.100.7\r\n", "198.51.100.7", 200},
    {"127.0.0.1:0+proxy", TEXT("PROXY TCP4 203.0.113.9 10.0.0.1 4711 80\r\n"), "127.0.0.0/8",
     "X-Forwarded-For: 198.51.100.7\r\n", "203.0.113.9", 200},
    /* who is no proxy of ours speaks for himself, and his header is no request */
    {"127.0.0.1:0+proxy", TEXT(""), "10.0.0.1", "", "127.0.0.1", 200},
    {"127.0.0.1:0+proxy", TEXT("PROXY TCP4 203.0.113.9 10.0.0.1 4711 80\r\n"), "10.0.0.1", "", "127.0.0.1", 400},
    {"127.0.0.1:0", TEXT("PROXY TCP4 203.0.113.9 10.0.0.1 4711 80\r\n"), "127.0.0.1", "", "127.0.0.1", 400},
    /* a proxy of ours without a header, or with another */
    {"127.0.0.1:0+proxy", TEXT(""), "127.0.0.1", "", NULL, 0},
    {"127.0.0.1:0+proxy", TEXT("PROXY TCP4 203.0.113.9\r\n"), "127.0.0.1", "", NULL, 0},
    {"127.0.0.1:0+proxy", TEXT(V2 "\x31\x11\0\0"), "127.0.0.1", "", NULL, 0},
};

START_TEST(a_proxy_says_who_its_client_is)
{
    static struct client client;
    char request[300];
    daemon_door = proxied[_i].door;
    start(false, &proxied[_i].trusted, 1);
    client_open_door(&client, &host);
    /* Byte by byte; but what is no request for this door at once, since it is refused at its first wrong byte, and a
     * client that goes on sending may lose the answer. */
    const size_t n = proxied[_i].n_bytes, piece = proxied[_i].status == 400 ? n : 1;
    for (size_t i = 0; i < n; i += piece)
        ck_assert(client_send_bytes(&client, proxied[_i].header + i, piece) || !proxied[_i].status);
    snprintf(request, sizeof request, "GET /v2 HTTP/1.1\r\nHost: x\r\n%s\r\n", proxied[_i].more);
    if (proxied[_i].status != 400)
        client_send_bytes(&client, request, strlen(request));
    ck_assert_int_eq(client_status_or_close(&client), proxied[_i].status);
    if (proxied[_i].status == 200) {
        client_send(&client, "GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n");
        ck_assert_int_eq(client_reply(&client).status, 200);
    }
    client_close(&client);
    char expected[100];
    snprintf(expected, sizeof expected, "client=%s ", proxied[_i].client);
    const char *text = end();
    if (proxied[_i].client)
        has(line_with(text, proxied[_i].status == 200 ? "path=/v2 " : " request  client"), expected);
    if (proxied[_i].status == 200 && !*proxied[_i].more)
        has(line_with(text, "path=/v2/health/live "), expected);
    if (!proxied[_i].status)
        has(text, "begins with no PROXY header");
}
END_TEST

START_TEST(a_client_that_leaves_has_its_line)
{
    static struct client client;
    start(false, NULL, 0);
    client_open(&client, &host);
    client_send(&client,
                "POST " RELU_PATH " HTTP/1.1\r\nHost: x\r\nX-Request-Id: left\r\nContent-Length: 100\r\n\r\n{");
    daemon_wait_for(&host, "perceptd_body_bytes", 1);
    client_close(&client);
    daemon_wait_for(&host, "perceptd_body_bytes", 0);
    has(line_with(end(), "id=left"), "status=499 bytes_in=1 bytes_out=0");
}
END_TEST

/* Nobody hears a refusal. */
START_TEST(who_leaves_while_he_waits_is_not_refused)
{
    static struct client client;
    delay_us = DAEMON_SLOW_US;
    start(false, NULL, 0);
    client_open(&client, &host);
    client_send_infer(&client, "X-Request-Id: left\r\n");
    daemon_wait_for(&host, "perceptd_requests_in_flight", 1);
    client_close(&client);
    daemon_wait_for(&host, "perceptd_requests_in_flight", 0);
    const char *text = end();
    has(line_with(text, "id=left"),
        "info  request  client=127.0.0.1 method=POST path=/v2/models/relu/infer status=499");
    ck_assert_msg(strstr(text, "request refused") == NULL, "%s", text);
}
END_TEST

START_TEST(a_stream_is_as_long_as_what_was_sent)
{
    static struct client client;
    static const char body[] = "{\"text_input\":\"a\",\"max_tokens\":40,\"temperature\":0}";
    daemon_chain = true;
    start(false, NULL, 0);
    client_open(&client, &host);
    char head[200];
    snprintf(head, sizeof head,
             "POST /v2/models/chain/generate_stream HTTP/1.0\r\nX-Request-Id: text\r\nHost: x\r\n"
             "Content-Length: %zu\r\n\r\n%s",
             sizeof body - 1, body);
    client_send(&client, head);
    ck_assert_int_eq(client_reply_to_head(&client).status, 200);
    client_rest(&client);
    client_close(&client);
    ck_assert_uint_gt(client.n_bytes, 40 * 50);
    ck_assert_double_eq(number_of(line_with(end(), "id=text"), " bytes_out="), (double)client.n_bytes);
}
END_TEST

START_TEST(there_is_no_line_where_nobody_asked)
{
    start(false, NULL, 0);
    ck_assert_int_eq(daemon_end(&host), 0);
    struct settings settings = daemon_settings();
    daemon_start(&host, &settings, NULL);
    ck_assert_int_eq(daemon_get(&host, "/v2").status, 200);
    ck_assert_ptr_null(strstr(end(), "info  request  "));
}
END_TEST

/* The value of a header. */
static const char *header(const struct reply *reply, const char *name)
{
    static char value[200];
    char line[100];
    snprintf(line, sizeof line, "\n%s: ", name);
    const char *at = strcasestr(reply->head, line);
    *value = '\0';
    if (at)
        snprintf(value, sizeof value, "%.*s", (int)strcspn(at + strlen(line), "\r"), at + strlen(line));
    return value;
}

static const struct {
    const char *asked;
    bool taken;
} ids[] = {
    {"abc-123", true}, {"a b", false}, {"<x>", false}, {"", false}, {"caf\xc3\xa9", false},
};

START_TEST(each_reply_has_an_id)
{
    char more[200], one[200];
    daemon_start(&host, NULL, NULL);
    struct reply reply = daemon_get(&host, "/nowhere");
    ck_assert_uint_eq(strlen(header(&reply, "X-Request-Id")), 24);
    snprintf(one, sizeof one, "%s", header(&reply, "X-Request-Id"));
    reply = daemon_get(&host, "/v2");
    ck_assert_str_ne(header(&reply, "X-Request-Id"), one);
    ck_assert_str_eq(header(&reply, "traceparent"), "");
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        snprintf(more, sizeof more, "X-Request-Id: %s\r\n", ids[i].asked);
        reply = daemon_ask(&host, "GET", "/v2", more, "");
        ck_assert_int_eq(strcmp(header(&reply, "X-Request-Id"), ids[i].asked) == 0, ids[i].taken);
        ck_assert_uint_gt(strlen(header(&reply, "X-Request-Id")), 0);
    }
    reply = daemon_ask(&host, "POST", RELU_PATH, "traceparent: " TRACE "\r\n", RELU_BODY);
    ck_assert_str_eq(header(&reply, "traceparent"), TRACE);
    reply = daemon_ask(&host, "POST", RELU_PATH, "traceparent: 00-x\r\n", RELU_BODY);
    ck_assert_int_eq(reply.status, 200);
    ck_assert_str_eq(header(&reply, "traceparent"), "");
    reply = daemon_ask(&host, "GET", "/a b", "", "");
    ck_assert_int_eq(reply.status, 400);
    ck_assert_uint_eq(strlen(header(&reply, "X-Request-Id")), 24);
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

START_TEST(refusals_in_the_log_have_the_ids)
{
    start(false, NULL, 0);
    ck_assert_int_eq(daemon_ask(&host, "GET", "/nowhere", "X-Request-Id: one\r\ntraceparent: " TRACE "\r\n", "").status,
                     404);
    has(line_with(end(), "request refused"), "id=one trace=" TRACE);
}
END_TEST

Suite *http_access_suite(void)
{
    Suite *suite = suite_create("http/access");
    TCase *tcase = tcase_create("access");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, a_request_has_its_line);
    tcase_add_test(tcase, json_has_numbers);
    tcase_add_loop_test(tcase, behind_a_proxy_the_client_is_whom_it_names, 0, 2);
    tcase_add_loop_test(tcase, a_proxy_says_who_its_client_is, 0, sizeof proxied / sizeof *proxied);
    tcase_add_test(tcase, a_client_that_leaves_has_its_line);
    tcase_add_test(tcase, who_leaves_while_he_waits_is_not_refused);
    tcase_add_test(tcase, a_stream_is_as_long_as_what_was_sent);
    tcase_add_test(tcase, there_is_no_line_where_nobody_asked);
    tcase_add_test(tcase, each_reply_has_an_id);
    tcase_add_test(tcase, refusals_in_the_log_have_the_ids);
    suite_add_tcase(suite, tcase);
    return suite;
}
