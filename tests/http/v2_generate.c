/* v2_generate.c - the routes of texts that go on, where there is no text: tests/daemon/generating.c has those. */
#include "daemon.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Suite *http_v2_generate_suite(void);

static struct daemon daemon_;

static void setup(void)
{
    struct settings settings = daemon_settings();
    settings.max_body_bytes = 1 << 20;
    daemon_start(&daemon_, &settings, NULL);
}

static void teardown(void)
{
    ck_assert_int_eq(daemon_end(&daemon_), 0);
}

static void expect(const char *method, const char *path, const char *more, const char *body, int status,
                   const char *part)
{
    struct reply reply = daemon_ask(&daemon_, method, path, more, body);
    ck_assert_msg(reply.status == status && reply_has(&reply, part), "%s %s %s: %d %s", method, path, body,
                  reply.status, reply.body);
}

START_TEST(a_model_that_does_not_generate_says_so)
{
    expect("POST", "/v2/models/relu/generate", "", "{\"text_input\":\"a\"}", 400, "its manifest has no 'generate'");
    expect("POST", "/v2/models/relu/versions/1/generate", "", "{}", 400, "its manifest has no 'generate'");
    expect("POST", "/v1/completions", "", "{\"model\":\"relu\",\"prompt\":\"a\"}", 400,
           "its manifest has no 'generate'");
    expect("POST", "/v2/models/broken/generate", "", "{}", 503, "broken");
    expect("POST", "/v2/models/relu/versions/9/generate", "", "{}", 404, "");
    expect("GET", "/v2/models/relu/generate", "", "", 405, "");
    expect("GET", "/v1/completions", "", "", 405, "");
}
END_TEST

START_TEST(a_completion_that_names_no_model_is_refused)
{
    static const char *const bodies[] = {"", "{}", "[]", "{\"model\":\"\"}", "{\"model\":null}", "{\"model\":[]}", "{"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        expect("POST", "/v1/completions", "", bodies[i], 400, "error");
    expect("POST", "/v1/completions", "Content-Encoding: gzip\r\n", "{\"model\":\"relu\"}", 415, "it plain");
    char *large = malloc(20001);
    memset(large, ' ', 20000);
    large[20000] = '\0';
    expect("POST", "/v1/completions", "", large, 413, "at most 16384 bytes");
    free(large);
}
END_TEST

Suite *http_v2_generate_suite(void)
{
    Suite *suite = suite_create("http_v2_generate");
    TCase *tcase = tcase_create("generate");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, a_model_that_does_not_generate_says_so);
    tcase_add_test(tcase, a_completion_that_names_no_model_is_refused);
    suite_add_tcase(suite, tcase);
    return suite;
}
