/* keys.c - tests of http/keys.c: the file, the comparison, and the door it guards. */
#include "http/keys.h"

#include "base/err.h"
#include "base/file.h"
#include "daemon.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct keys keys;
static struct percept_err err;

static bool read_keys(const char *text)
{
    char path[] = "/tmp/perceptd-keys-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    bool read = keys_read(path, &keys, &err);
    unlink(path);
    return read;
}

static unsigned matches(const char *key)
{
    return keys_match(&keys, bytes_of_text(key));
}

START_TEST(each_line_is_a_key)
{
    ck_assert_msg(read_keys("# for tests\n\nfirst\r\n  second-key \t\n#third\nlast"), "%s", err.text);
    ck_assert_int_eq(keys.n, 3);
    ck_assert(matches("first"));
    ck_assert(matches("second-key"));
    ck_assert(matches("last"));
    ck_assert(!matches("firs"));
    ck_assert(!matches("first "));
    ck_assert(!matches("firstt"));
    ck_assert(!matches(""));
    ck_assert(!matches("#third"));
    ck_assert(!matches("third"));
    keys_free(&keys);
}
END_TEST

START_TEST(no_file_means_no_keys)
{
    ck_assert(keys_read(NULL, &keys, &err));
    ck_assert_int_eq(keys.n, 0);
}
END_TEST

START_TEST(a_file_without_a_usable_key_is_refused)
{
    ck_assert(!read_keys("# nothing\n\n"));
    ck_assert_int_eq(err.code, ERR_CONFIG);
    ck_assert(!read_keys(""));
    ck_assert(!read_keys("good\ntwo words\n"));
    ck_assert_ptr_nonnull(strstr(err.text, "line 2"));
    ck_assert_ptr_null(strstr(err.text, "words")); /* a key never is in a message */
    ck_assert(!keys_read("/nonexistent/keys", &keys, &err));
    ck_assert_ptr_null(keys.at);
}
END_TEST

/* What `printf %s test | sha256sum` prints. */
#define TEST_DIGEST "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

START_TEST(a_key_is_for_its_scopes)
{
    ck_assert_msg(read_keys("old\nasks infer\nlooks\tread \nboth infer,read\nfull admin, infer ,read\n"
                            "twice infer\ntwice admin\nsha256:" TEST_DIGEST " read\nsha256:not-first infer\n") == false,
                  "not a digest");
    ck_assert_ptr_nonnull(strstr(err.text, "line 9"));
    ck_assert_msg(read_keys("old\nasks infer\nlooks\tread \nboth infer,read\nfull admin, infer ,read\n"
                            "twice infer\ntwice admin\nsha256:" TEST_DIGEST " read\n"),
                  "%s", err.text);
    ck_assert_uint_eq(matches("old"), KEYS_ALL);
    ck_assert_uint_eq(matches("asks"), KEYS_INFER);
    ck_assert_uint_eq(matches("looks"), KEYS_READ);
    ck_assert_uint_eq(matches("both"), KEYS_INFER | KEYS_READ);
    ck_assert_uint_eq(matches("full"), KEYS_ALL);
    ck_assert_uint_eq(matches("twice"), KEYS_INFER | KEYS_ADMIN);
    ck_assert_uint_eq(matches("test"), KEYS_READ);
    ck_assert_uint_eq(matches("sha256:" TEST_DIGEST), 0); /* who reads the file has no key */
    ck_assert_uint_eq(matches(TEST_DIGEST), 0);
    ck_assert_uint_eq(matches("asks infer"), 0);
    keys_free(&keys);
}
END_TEST

static const char *const bad_lines[] = {
    "key infer read",
    "key infer,",
    "key ,infer",
    "key infer,,read",
    "key write",
    "key INFER",
    "key infer,read x",
    "key inferx",
    "sha256:q",
    "sha256:00",
    "sha256:zz",
    "key ,",
    "k\1y",
    "sha256:" TEST_DIGEST "0",
    "sha256:" TEST_DIGEST "zz read",
};

START_TEST(a_wrong_line_is_named_and_not_shown)
{
    char text[200];
    snprintf(text, sizeof text, "good\n%s\n", bad_lines[_i]);
    ck_assert_msg(!read_keys(text), "%s", bad_lines[_i]);
    ck_assert_int_eq(err.code, ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.text, "line 2"));
    ck_assert_ptr_null(strstr(err.text, bad_lines[_i]));
    ck_assert_ptr_null(keys.at);
}
END_TEST

static struct daemon host;
static struct client client;

static void start(void)
{
    struct settings settings = daemon_settings();
    daemon_start(&host, &settings, "alpha\nbeta\n");
}

static int ask(const char *more)
{
    return daemon_ask(&host, "GET", "/v2", more, "").status;
}

START_TEST(with_keys_the_door_opens_to_keys_only)
{
    start();
    ck_assert_int_eq(ask(""), 401);
    ck_assert_int_eq(ask("Authorization: Bearer alpha\r\n"), 200);
    ck_assert_int_eq(ask("authorization: bearer beta\r\n"), 200);
    ck_assert_int_eq(ask("X-API-Key: beta\r\n"), 200);
    ck_assert_int_eq(ask("X-API-Key: gamma\r\n"), 401);
    ck_assert_int_eq(ask("X-API-Key: \r\n"), 401);
    ck_assert_int_eq(ask("Authorization: Bearer \r\n"), 401);
    ck_assert_int_eq(ask("Authorization: Basic alpha\r\n"), 401);
    ck_assert_int_eq(ask("Authorization: alpha\r\n"), 401);
    ck_assert_int_eq(daemon_get(&host, "/unknown").status, 401);
    ck_assert_int_eq(daemon_get(&host, "/metrics").status, 401);
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

static int ask_with(const char *key, const char *method, const char *path, const char *body)
{
    char header[100];
    snprintf(header, sizeof header, "X-API-Key: %s\r\n", key);
    return daemon_ask(&host, method, path, header, body).status;
}

START_TEST(each_scope_opens_its_routes_only)
{
    struct settings settings = daemon_settings();
    settings.admin = true;
    daemon_start(&host, &settings, "i infer\nr read\na admin\nall\n");
    static const struct {
        const char *method, *path, *body;
        int infer, read, admin;
    } rows[] = {
        {"GET", "/v2", "", 403, 200, 403},
        {"GET", "/metrics", "", 403, 200, 403},
        {"GET", "/v2/models/relu", "", 403, 200, 403},
        {"POST", RELU_PATH, RELU_BODY, 200, 403, 403},
        {"POST", "/v1/models/relu:predict", "{\"instances\":[[-1,2]]}", 200, 403, 403},
        {"POST", "/v2/repository/index", "", 403, 200, 403},
        {"POST", "/v2/logging", "{}", 403, 403, 200},
        {"POST", "/v2/repository/models/relu/load", "", 403, 403, 200},
        {"GET", "/nowhere", "", 404, 404, 404},
        {"PUT", "/v2", "", 405, 405, 405},
        {"OPTIONS", "/v2", "", 204, 204, 204},
        {"GET", "/v2/health/live", "", 200, 200, 200},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const int got[] = {ask_with("i", rows[i].method, rows[i].path, rows[i].body),
                           ask_with("r", rows[i].method, rows[i].path, rows[i].body),
                           ask_with("a", rows[i].method, rows[i].path, rows[i].body)};
        ck_assert_msg(got[0] == rows[i].infer && got[1] == rows[i].read && got[2] == rows[i].admin, "%s %s: %d %d %d",
                      rows[i].method, rows[i].path, got[0], got[1], got[2]);
        ck_assert_int_lt(ask_with("all", rows[i].method, rows[i].path, rows[i].body), 500);
        ck_assert_int_ne(ask_with("all", rows[i].method, rows[i].path, rows[i].body), 403);
    }
    struct reply reply = daemon_ask(&host, "GET", "/v2", "Authorization: Bearer i\r\n", "");
    ck_assert_msg(reply_has(&reply, "the scope 'read' is needed"), "%s", reply.body);
    ck_assert(!reply_has_header(&reply, "WWW-Authenticate: Bearer realm=\"perceptd\""));
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

START_TEST(without_admin_no_scope_opens_what_changes_the_server)
{
    daemon_start(&host, NULL, "a admin\n");
    ck_assert_int_eq(ask_with("a", "POST", "/v2/logging", "{}"), 403);
    ck_assert_int_eq(ask_with("b", "POST", "/v2/logging", "{}"), 401);
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

START_TEST(health_is_open_to_all)
{
    start();
    ck_assert_int_eq(daemon_get(&host, "/v2/health/live").status, 200);
    ck_assert_int_ne(daemon_get(&host, "/v2/health/ready").status, 401);
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

START_TEST(an_owner_is_a_number_of_the_key)
{
    ck_assert_uint_eq(keys_owner(bytes_of_text("first")), keys_owner(bytes_of_text("first")));
    ck_assert_uint_ne(keys_owner(bytes_of_text("first")), keys_owner(bytes_of_text("second")));
    ck_assert_uint_ne(keys_owner(bytes_of_text("")), 0);
}
END_TEST

START_TEST(who_has_no_key_is_refused_before_the_body)
{
    start();
    client_open(&client, &host);
    client_send(&client, "POST " RELU_PATH " HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n");
    struct reply reply = client_reply(&client);
    ck_assert_int_eq(reply.status, 401);
    ck_assert(reply_has_header(&reply, "WWW-Authenticate: Bearer realm=\"perceptd\""));
    ck_assert(client_closed(&client));
    client_close(&client);
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

Suite *http_keys_suite(void)
{
    Suite *suite = suite_create("http/keys");
    TCase *tcase = tcase_create("keys");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, each_line_is_a_key);
    tcase_add_test(tcase, no_file_means_no_keys);
    tcase_add_test(tcase, a_file_without_a_usable_key_is_refused);
    tcase_add_test(tcase, a_key_is_for_its_scopes);
    tcase_add_loop_test(tcase, a_wrong_line_is_named_and_not_shown, 0, sizeof bad_lines / sizeof *bad_lines);
    tcase_add_test(tcase, each_scope_opens_its_routes_only);
    tcase_add_test(tcase, without_admin_no_scope_opens_what_changes_the_server);
    tcase_add_test(tcase, with_keys_the_door_opens_to_keys_only);
    tcase_add_test(tcase, health_is_open_to_all);
    tcase_add_test(tcase, an_owner_is_a_number_of_the_key);
    tcase_add_test(tcase, who_has_no_key_is_refused_before_the_body);
    suite_add_tcase(suite, tcase);
    return suite;
}
