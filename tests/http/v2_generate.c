/* v2_generate.c - the routes of texts that go on: what their replies look like, at once and token by token, and what is
 * refused before there is a text. What is written, and for how long, is tests/daemon/generating.c's. */
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
    daemon_chain = true;
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

#define TEXT "{\"text_input\":\"a\",\"max_tokens\":3,\"temperature\":0}"
#define COMPLETION "{\"model\":\"chain\",\"prompt\":\"a\",\"max_tokens\":3,\"temperature\":0"

START_TEST(a_text_is_answered_at_once)
{
    struct reply reply = daemon_ask(&daemon_, "POST", "/v2/models/chain/generate", "", TEXT);
    ck_assert_int_eq(reply.status, 200);
    ck_assert(reply_has_header(&reply, "Content-Type: application/json"));
    ck_assert_str_eq(reply.body, "{\"model_name\":\"chain\",\"model_version\":\"1\",\"text_output\":\"bcd\","
                                 "\"finish_reason\":\"length\",\"prompt_tokens\":1,\"completion_tokens\":3}\n");
    expect("POST", "/v2/models/chain/generate", "", "{\"text_input\":\"ab\",\"temperature\":0,\"stop\":\"ea\"}", 200,
           "\"text_output\":\"cd\",\"finish_reason\":\"stop\",\"prompt_tokens\":2,\"completion_tokens\":4}");
    expect("POST", "/v2/models/chain/generate", "", "{\"text_input\":\"z\"}", 400, "does not have 'z'");
    reply = daemon_ask(&daemon_, "POST", "/v1/completions", "X-Request-Id: mine\r\n", COMPLETION "}");
    ck_assert_int_eq(reply.status, 200);
    ck_assert(reply_has(&reply, "{\"id\":\"mine\",\"object\":\"text_completion\",\"created\":"));
    ck_assert(reply_has(&reply, "\"model\":\"chain\",\"choices\":[{\"text\":\"bcd\",\"index\":0,\"logprobs\":null,"
                                "\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":1,"
                                "\"completion_tokens\":3,\"total_tokens\":4}}\n"));
    expect("POST", "/v1/completions", "", COMPLETION ",\"echo\":true}", 200, "\"text\":\"abcd\"");
}
END_TEST

/* The reply to HTTP/1.0, which ends with its connection and has no chunks. */
static const char *streamed(const char *path, const char *body)
{
    static struct client client;
    char head[300];
    client_open(&client, &daemon_);
    snprintf(head, sizeof head, "POST %s HTTP/1.0\r\nHost: x\r\nX-Request-Id: mine\r\nContent-Length: %zu\r\n\r\n",
             path, strlen(body));
    client_send(&client, head);
    client_send(&client, body);
    struct reply reply = client_reply_to_head(&client);
    ck_assert_int_eq(reply.status, 200);
    ck_assert(reply_has_header(&reply, "Content-Type: text/event-stream"));
    ck_assert(reply_has_header(&reply, "Cache-Control: no-store"));
    client_rest(&client);
    client_close(&client);
    return client.bytes;
}

#define EVENT(text, rest)                                                                                              \
    "data: {\"model_name\":\"chain\",\"model_version\":\"1\",\"text_output\":\"" text "\"" rest "}\n\n"

START_TEST(a_text_comes_token_by_token)
{
    const char *events = streamed("/v2/models/chain/generate_stream", TEXT);
    ck_assert_str_eq(events, EVENT("b", "") EVENT("c", "") EVENT(
                                 "d", ",\"finish_reason\":\"length\",\"prompt_tokens\":1,\"completion_tokens\":3"));
    /* "de" may be the beginning of the stop text, and is not told before it cannot be */
    events = streamed("/v2/models/chain/generate_stream",
                      "{\"text_input\":\"a\",\"max_tokens\":9,\"temperature\":0,\"stop\":\"dea\"}");
    ck_assert_str_eq(events, EVENT("b", "") EVENT("c", "")
                                 EVENT("", ",\"finish_reason\":\"stop\",\"prompt_tokens\":1,\"completion_tokens\":5"));
    events = streamed("/v2/models/chain/generate_stream", "{\"text_input\":\"a\",\"max_tokens\":0}");
    ck_assert_str_eq(events, EVENT("", ",\"finish_reason\":\"length\",\"prompt_tokens\":1,\"completion_tokens\":0"));
    expect("POST", "/v2/models/chain/generate_stream", "", "{\"text_input\":\"z\"}", 400, "does not have 'z'");
}
END_TEST

START_TEST(completions_come_as_events_with_an_end)
{
    static const char begin[] = "data: {\"id\":\"mine\",\"object\":\"text_completion\",\"created\":";
    const char *events = streamed("/v1/completions", COMPLETION ",\"stream\":true}");
    const char *at = events;
    for (int i = 0; i < 3; i++) {
        char choice[120];
        snprintf(
            choice, sizeof choice,
            "\"model\":\"chain\",\"choices\":[{\"text\":\"%c\",\"index\":0,\"logprobs\":null,\"finish_reason\":%s}]",
            'b' + i, i < 2 ? "null" : "\"length\"");
        ck_assert_msg(strncmp(at, begin, sizeof begin - 1) == 0, "%s", events);
        ck_assert_msg((at = strstr(at, choice)) != NULL, "no %s in %s", choice, events);
        at = strstr(at, "}\n\n") + 3;
    }
    ck_assert_str_eq(at, "data: [DONE]\n\n");
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
    tcase_add_test(tcase, a_text_is_answered_at_once);
    tcase_add_test(tcase, a_text_comes_token_by_token);
    tcase_add_test(tcase, completions_come_as_events_with_an_end);
    suite_add_tcase(suite, tcase);
    return suite;
}
