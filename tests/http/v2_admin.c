/* v2_admin.c - tests of http/v2_admin.c: the gate, models that come and go, and the index. */
#include "daemon.h"

#include <check.h>
#include <signal.h>
#include <string.h>

static struct daemon host;

static void start(bool admin)
{
    struct settings settings = daemon_settings();
    settings.admin = admin;
    daemon_start(&host, &settings, NULL);
}

static const char *const paths[] = {"/v2/repository/models/relu/load", "/v2/repository/models/relu/unload"};

static struct reply post(const char *path, const char *body)
{
    return daemon_ask(&host, "POST", path, "", body);
}

static void expect(const char *path, const char *body, int status, const char *says)
{
    struct reply reply = post(path, body);
    ck_assert_msg(reply.status == status, "%s: %d %s", path, reply.status, reply.body);
    ck_assert_msg(reply_has(&reply, says), "%s: %s", path, reply.body);
}

/* Done: 200 without a body, as Triton's clients expect. */
static void expect_done(const char *path, const char *body)
{
    struct reply reply = post(path, body);
    ck_assert_msg(reply.status == 200, "%s: %d %s", path, reply.status, reply.body);
    ck_assert_uint_eq(reply.n_bytes, 0);
    ck_assert(reply_has_header(&reply, "Content-Length: 0"));
}

static void expect_index(const char *body, const char *text)
{
    struct reply reply = post("/v2/repository/index", body);
    ck_assert_int_eq(reply.status, 200);
    ck_assert_str_eq(reply.body, text);
}

START_TEST(without_admin_they_are_403)
{
    start(false);
    expect(paths[_i], "{}", 403, "--admin");
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

#define BROKEN "{\"name\":\"broken\",\"version\":\"1\",\"state\":\"UNAVAILABLE\",\"reason\":\"broken/model.onnx: "
#define RELU "{\"name\":\"relu\",\"version\":\"1\",\"state\":"

START_TEST(the_index_needs_no_admin_and_tells_each_version)
{
    start(false);
    expect("/v2/repository/index", "", 200, "[" BROKEN);
    expect("/v2/repository/index", "{\"ready\":false}", 200, "," RELU "\"READY\"}]");
    expect_index("{\"ready\":true}", "[" RELU "\"READY\"}]\n");
    expect_index(" {\"ready\":true,\"more\":[1]}", "[" RELU "\"READY\"}]\n");
    expect("/v2/repository/index", "[]", 400, "expected an object");
    expect("/v2/repository/index", "{\"ready\":1}", 400, "ready");
    expect("/v2/repository/index", "{\"ready\":true", 400, "");
    ck_assert_int_eq(daemon_get(&host, "/v2/repository/index").status, 405);
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

START_TEST(another_repository_is_501_in_tritons_words)
{
    static const char *const elsewhere[] = {"/v2/repository/r/index", "/v2/repository/r/models/relu/load",
                                            "/v2/repository/r/models/relu/unload"};
    start(true);
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
        expect(elsewhere[i], "", 501, "\"'repository_name' specification is not supported\"");
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

START_TEST(a_model_goes_and_comes)
{
    start(true);
    expect_done(paths[1], "{\"parameters\":{\"unload_dependents\":false}}");
    ck_assert_int_ne(daemon_get(&host, "/v2/models/relu/ready").status, 200);
    expect(RELU_PATH, RELU_BODY, 404, "Request for unknown model: 'relu' is not found");
    expect("/v2/repository/index", "", 200, RELU "\"UNAVAILABLE\",\"reason\":\"unloaded\"}]");
    expect_index("{\"ready\":true}", "[]\n");
    expect_done(paths[1], "");
    expect_done("/v2/repository/models/nobody/unload", "");
    expect_done(paths[0], "");
    ck_assert_int_eq(daemon_get(&host, "/v2/models/relu/ready").status, 200);
    expect(RELU_PATH, RELU_BODY, 200, "[0.0,2.0]");
    expect_done(paths[0], "{}");
    expect(RELU_PATH, RELU_BODY, 200, "[0.0,2.0]");
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

static const struct {
    const char *path, *body;
    int status;
    const char *says;
} bad[] = {
    {"/v2/repository/models/wrong_model_name/load", "", 500,
     "\"failed to load 'wrong_model_name', failed to poll from model repository\""},
    {"/v2/repository/models/broken/load", "", 500, "\"failed to load 'broken', version 1: broken/model.onnx: "},
    {"/v2/repository/models/relu/load", "{\"parameters\":{\"config\":\"malformed\"}}", 400, "failed to load 'relu', "},
    {"/v2/repository/models/relu/load", "{\"parameters\":", 400, "failed to load 'relu', "},
    {"/v2/repository/models/relu/load", "\xff", 400, "failed to load 'relu', "},
    {"/v2/repository/models/relu/load", "{\"parameters\":{\"file:1/model.onnx\":\"AA==\"}}", 400, "without 'config'"},
    {"/v2/repository/models/relu/load", "{\"parameters\":{\"config\":\"{}\",\"file:1/model.onnx\":\"AA==\"}}", 500,
     "failed to load 'relu', version 1: "},
    {"/v2/repository/models/relu/unload", "[", 400, ""},
    {"/v2/repository/models/relu/unload", "{} {}", 400, ""},
    {"/v2/repository/models/..%2f/load", "", 400, ""},
    {"/v2/repository/models/a%20b/load", "", 400, "a model's name has"},
};

START_TEST(a_bad_request_has_its_sentence_and_changes_nothing)
{
    start(true);
    expect(bad[_i].path, bad[_i].body, bad[_i].status, bad[_i].says);
    expect(RELU_PATH, RELU_BODY, 200, "[0.0,2.0]");
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

START_TEST(a_long_body_is_read_for_a_load_alone)
{
    static char body[20000];
    memset(body, ' ', sizeof body - 3);
    strcpy(body + sizeof body - 3, "{}");
    start(true);
    expect_done(paths[0], body);
    expect(paths[1], body, 413, "at most 16384 bytes");
    expect("/v2/repository/index", body, 413, "at most 16384 bytes");
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

START_TEST(a_client_that_leaves_does_not_stop_it)
{
    static struct client client;
    start(true);
    expect_done(paths[1], "");
    client_open(&client, &host);
    client_send(&client, "POST /v2/repository/models/relu/load HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    client_close(&client);
    for (int tries = 0; tries < 20000 && daemon_get(&host, "/v2/models/relu/ready").status != 200; tries++)
        ;
    expect(RELU_PATH, RELU_BODY, 200, "[0.0,2.0]");
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

/* Whichever allocation fails of those that the first request for a load makes. */
START_TEST(a_load_that_finds_no_memory_is_answered)
{
    static struct client client;
    daemon_fail_at = (size_t)_i + 1;
    start(true);
    daemon_fail_at = 0;
    client_open(&client, &host);
    client_send(&client, "POST /v2/repository/models/relu/load HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    const int status = client_status_or_close(&client);
    ck_assert_msg(status == 200 || status == 507 || status == 0, "%d", status);
    client_close(&client);
    expect_done(paths[0], "");
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

START_TEST(a_stop_answers_whoever_waits)
{
    static struct client client;
    start(true);
    client_open(&client, &host);
    for (int i = 0; i < 20; i++)
        client_send(&client, "POST /v2/repository/models/relu/load HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    ck_assert_int_eq(client_reply(&client).status, 200);
    daemon_signal(&host, SIGTERM);
    for (int status; (status = client_status_or_close(&client));)
        ck_assert(status == 200 || status == 503);
    ck_assert_int_eq(daemon_wait(&host), 0);
    client_close(&client);
}
END_TEST

Suite *http_v2_admin_suite(void)
{
    Suite *suite = suite_create("http/v2_admin");
    TCase *tcase = tcase_create("v2_admin");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, without_admin_they_are_403, 0, 2);
    tcase_add_test(tcase, the_index_needs_no_admin_and_tells_each_version);
    tcase_add_test(tcase, another_repository_is_501_in_tritons_words);
    tcase_add_test(tcase, a_model_goes_and_comes);
    tcase_add_loop_test(tcase, a_bad_request_has_its_sentence_and_changes_nothing, 0, sizeof bad / sizeof *bad);
    tcase_add_test(tcase, a_long_body_is_read_for_a_load_alone);
    tcase_add_test(tcase, a_client_that_leaves_does_not_stop_it);
    tcase_add_loop_test(tcase, a_load_that_finds_no_memory_is_answered, 0, 8);
    tcase_add_test(tcase, a_stop_answers_whoever_waits);
    suite_add_tcase(suite, tcase);
    return suite;
}
