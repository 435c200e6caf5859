/*
 * habits.c - what clients of all kinds do: OPTIONS and CORS from browsers, base paths of proxies, HEAD, forms' media
 * types, an empty Expect, HTTP/2 from gRPC.
 */
#include "daemon.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

Suite *http_habits_suite(void);

static struct daemon host;
static struct client client;

static void end(void)
{
    ck_assert_int_eq(daemon_end(&host), 0);
}

static struct reply ask_head(const char *method, const char *path, const char *more)
{
    char head[2000];
    client_open(&client, &host);
    snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: x\r\n%s\r\n", method, path, more);
    client_send(&client, head);
    struct reply reply = client_reply_to_head(&client);
    client_send(&client, "GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"); /* nothing was in between */
    ck_assert_int_eq(client_reply(&client).status, 200);
    client_close(&client);
    return reply;
}

#define ORIGIN "https://app.example"

static const struct {
    const char *path, *allow;
} options[] = {
    {"/v2/health/ready", "Allow: GET, HEAD, OPTIONS"},
    {RELU_PATH, "Allow: POST, OPTIONS"},
    {"/v2/models/none/infer", "Allow: POST, OPTIONS"},
    {"/metrics", "Allow: GET, HEAD, OPTIONS"},
    {"*", "Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS"},
    {"/v2/models/relu/sequences/7/state", "Allow: GET, HEAD, PUT, DELETE, OPTIONS"},
};

START_TEST(options_tells_what_a_path_takes_without_a_key)
{
    daemon_start(&host, NULL, "secret\n");
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        struct reply reply = ask_head("OPTIONS", options[i].path, "Origin: " ORIGIN "\r\n");
        ck_assert_msg(reply.status == 204, "%s: %d", options[i].path, reply.status);
        ck_assert_msg(reply_has_header(&reply, options[i].allow), "%s", reply.head);
        ck_assert_ptr_null(strcasestr(reply.head, "Access-Control"));
        ck_assert_ptr_null(strcasestr(reply.head, "Content-Type"));
    }
    ck_assert_int_eq(daemon_ask(&host, "OPTIONS", "/nowhere", "", "").status, 401);
    ck_assert_int_eq(daemon_ask(&host, "GET", "*", "", "").status, 400);
    end();
}
END_TEST

static void start_cors(const char *const *origins, int n)
{
    struct settings settings = daemon_settings();
    settings.cors_origins = origins;
    settings.n_cors_origins = n;
    daemon_start(&host, &settings, "secret\n");
}

START_TEST(a_preflight_from_a_known_origin_is_allowed)
{
    static const char *const origins[] = {"http://localhost:3000", ORIGIN};
    start_cors(origins, 2);
    struct reply reply = ask_head("OPTIONS", RELU_PATH,
                                  "Origin: " ORIGIN "\r\nAccess-Control-Request-Method: POST\r\n"
                                  "Access-Control-Request-Headers: content-type,authorization\r\n");
    ck_assert_int_eq(reply.status, 204);
    ck_assert(reply_has_header(&reply, "Access-Control-Allow-Origin: " ORIGIN));
    ck_assert(reply_has_header(&reply, "Access-Control-Allow-Methods: POST, OPTIONS"));
    ck_assert(reply_has_header(&reply, "Access-Control-Max-Age: 7200"));
    ck_assert(reply_has_header(&reply, "Vary: Origin"));
    ck_assert_ptr_nonnull(
        strcasestr(reply.head, "\nAccess-Control-Allow-Headers: Content-Type, Content-Encoding, Auth"));
    reply = ask_head("OPTIONS", RELU_PATH, "Origin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n");
    ck_assert_int_eq(reply.status, 204);
    ck_assert_ptr_null(strcasestr(reply.head, "Access-Control"));
    end();
}
END_TEST

START_TEST(replies_and_errors_may_be_read_by_known_origins)
{
    static const char *const origins[] = {ORIGIN};
    static const char *const key = "Origin: " ORIGIN "\r\nX-API-Key: secret\r\n";
    start_cors(origins, 1);
    struct reply replies[] = {
        daemon_ask(&host, "POST", RELU_PATH, key, RELU_BODY),
        daemon_ask(&host, "POST", RELU_PATH, key, "{"),
        daemon_ask(&host, "POST", RELU_PATH, "Origin: " ORIGIN "\r\n", RELU_BODY),
        daemon_ask(&host, "GET", "/nowhere", key, ""),
    };
    static const int statuses[] = {200, 400, 401, 404};
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(replies[i].status, statuses[i]);
        ck_assert(reply_has_header(&replies[i], "Access-Control-Allow-Origin: " ORIGIN));
        ck_assert_ptr_nonnull(strcasestr(replies[i].head, "\nAccess-Control-Expose-Headers: Inference-Header"));
        ck_assert_ptr_null(strcasestr(replies[i].head, "Access-Control-Allow-Methods"));
    }
    struct reply other = daemon_ask(&host, "GET", "/v2/health/live", "Origin: null\r\n", "");
    ck_assert_int_eq(other.status, 200);
    ck_assert_ptr_null(strcasestr(other.head, "Access-Control"));
    end();
}
END_TEST

START_TEST(a_star_allows_all)
{
    static const char *const origins[] = {"*"};
    start_cors(origins, 1);
    struct reply reply = daemon_ask(&host, "GET", "/v2/health/live", "Origin: https://any.example\r\n", "");
    ck_assert(reply_has_header(&reply, "Access-Control-Allow-Origin: *"));
    ck_assert_ptr_null(strcasestr(reply.head, "Vary"));
    reply = daemon_get(&host, "/v2/health/live");
    ck_assert_ptr_null(strcasestr(reply.head, "Access-Control"));
    end();
}
END_TEST

static const struct {
    const char *path;
    int status;
} based[] = {
    {"/models/eu/v2", 200},
    {"/models/eu/v2/health/ready", 200},
    {"/models/eu", 200},
    {"/models/eu/", 200},
    {"/v2/health/ready", 200},
    {"/models/eu%2Fv2", 400},
    {"/models/euv2", 404},
    {"/models/eu/models/eu/v2", 404},
    {"/models/e%75/v2", 200},
    {"/models/eu/v2/models/relu", 200},
    {"/models", 404},
    {"/models/eu//v2", 404},
    {"/models/eu/nowhere", 404},
};

START_TEST(a_base_path_may_stand_in_front)
{
    struct settings settings = daemon_settings();
    settings.base_path = "/models/eu";
    daemon_start(&host, &settings, NULL);
    for (size_t i = 0; i < sizeof based / sizeof *based; i++) {
        int status = daemon_get(&host, based[i].path).status;
        ck_assert_msg(status == based[i].status, "%s: %d", based[i].path, status);
    }
    ck_assert_int_eq(daemon_ask(&host, "POST", "/models/eu" RELU_PATH, "", RELU_BODY).status, 200);
    struct reply page = daemon_ask(&host, "GET", "/models/eu/", "Accept: text/html\r\n", "");
    ck_assert_msg(reply_has(&page, "href=\"metrics\"") && reply_has(&page, "src=\"page/page.js\""), "%s", page.body);
    page = daemon_ask(&host, "GET", "/", "Accept: text/html\r\n", "");
    ck_assert(reply_has(&page, "href=\"metrics\""));
    end();
}
END_TEST

START_TEST(head_is_answered_wherever_get_is)
{
    static const char *const paths[] = {"/",
                                        "/metrics",
                                        "/v2",
                                        "/v2/",
                                        "/v2/health/live",
                                        "/v2/health/ready",
                                        "/v2/models",
                                        "/v2/models/relu",
                                        "/v2/models/relu/",
                                        "/v2/models/relu/ready"};
    daemon_start(&host, NULL, NULL);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct reply reply = ask_head("HEAD", paths[i], "");
        ck_assert_int_eq(reply.status, daemon_get(&host, paths[i]).status);
        ck_assert_ptr_nonnull(strcasestr(reply.head, "\nContent-Type: "));
    }
    end();
}
END_TEST

static const char *const heads[] = {
    "Content-Type: application/x-www-form-urlencoded\r\n",
    "Content-Type: multipart/form-data; boundary=x\r\n",
    "Content-Type: application/json; charset=utf-8\r\n",
    "Content-Type: \r\n",
    "Expect: \r\n",
    "Expect: 100-continue\r\n",
    "Expect: 100-Continue\r\n",
    "Expect: tea\r\n",
    "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nConnection: Upgrade, HTTP2-Settings\r\n",
};

START_TEST(headers_of_many_clients_change_nothing)
{
    daemon_start(&host, NULL, NULL);
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        struct reply reply = daemon_ask(&host, "POST", RELU_PATH, heads[i], RELU_BODY);
        ck_assert_msg(reply.status == 200, "%s%d %s", heads[i], reply.status, reply.body);
    }
    end();
}
END_TEST

/* The preface of HTTP/2, and an empty SETTINGS frame. */
static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";

START_TEST(a_grpc_client_is_told_and_hung_up_upon)
{
    daemon_start(&host, NULL, NULL);
    for (size_t cut = 0; cut < 3; cut++) { /* at once, within the first line, within the preface */
        size_t first = cut ? 7 * cut : sizeof preface - 1;
        client_open(&client, &host);
        ck_assert(client_send_bytes(&client, preface, first));
        client_send_bytes(&client, preface + first, sizeof preface - 1 - first);
        ck_assert_int_eq(client_status_or_close(&client), 0);
        ck_assert_uint_eq(client.n_bytes, 9 + 9 + 0x36);
        ck_assert(memcmp(client.bytes,
                         "\0\0\0\4\0\0\0\0\0\0\0\x36\7\0\0\0\0\0\0\0\0\0\0\0\0\xd"
                         "this server speaks HTTP/1.1",
                         53) == 0);
        client_close(&client);
    }
    struct reply reply = daemon_ask(&host, "PRI", "/v2", "", "");
    ck_assert_int_eq(reply.status, 405);
    end();
}
END_TEST

Suite *http_habits_suite(void)
{
    Suite *suite = suite_create("http/habits");
    TCase *tcase = tcase_create("habits");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, options_tells_what_a_path_takes_without_a_key);
    tcase_add_test(tcase, a_preflight_from_a_known_origin_is_allowed);
    tcase_add_test(tcase, replies_and_errors_may_be_read_by_known_origins);
    tcase_add_test(tcase, a_star_allows_all);
    tcase_add_test(tcase, a_base_path_may_stand_in_front);
    tcase_add_test(tcase, head_is_answered_wherever_get_is);
    tcase_add_test(tcase, headers_of_many_clients_change_nothing);
    tcase_add_test(tcase, a_grpc_client_is_told_and_hung_up_upon);
    suite_add_tcase(suite, tcase);
    return suite;
}
