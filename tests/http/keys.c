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

static bool matches(const char *key)
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
    ck_assert_ptr_null(keys.digests);
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

START_TEST(health_is_open_to_all)
{
    start();
    ck_assert_int_eq(daemon_get(&host, "/v2/health/live").status, 200);
    ck_assert_int_ne(daemon_get(&host, "/v2/health/ready").status, 401);
    ck_assert_int_eq(daemon_end(&host), 0);
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
    tcase_add_test(tcase, with_keys_the_door_opens_to_keys_only);
    tcase_add_test(tcase, health_is_open_to_all);
    tcase_add_test(tcase, who_has_no_key_is_refused_before_the_body);
    suite_add_tcase(suite, tcase);
    return suite;
}
