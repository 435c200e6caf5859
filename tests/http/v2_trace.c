/* v2_trace.c - tests of http/v2_trace.c: tracing is off, can be turned off, and nothing else. */
#include "daemon.h"

#include <check.h>

static struct daemon host;

#define OFF                                                                                                            \
    "{\"trace_level\":[\"OFF\"],\"trace_rate\":\"1000\",\"trace_count\":\"-1\",\"log_frequency\":\"0\","               \
    "\"trace_file\":\"\",\"trace_mode\":\"triton\"}"

static const char *const paths[] = {"/v2/trace/setting", "/v2/models/relu/trace/setting"};

static const char *const taken[] = {
    "{}",
    "{\"trace_level\":[\"OFF\"]}",
    "{\"trace_level\":\"OFF\",\"trace_rate\":null}",
    "{\"trace_level\":null,\"trace_count\":\"-1\"}",
    "{\"trace_level\":[]}",
    OFF,
};

START_TEST(tracing_is_off_and_may_be_turned_off)
{
    daemon_start(&host, NULL, NULL);
    ck_assert_str_eq(daemon_get(&host, paths[_i]).body, OFF "\n");
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        struct reply reply = daemon_ask(&host, "POST", paths[_i], "", taken[i]);
        ck_assert_int_eq(reply.status, 200);
        ck_assert_str_eq(reply.body, OFF "\n");
    }
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

static const struct {
    const char *body;
    int status;
} refused[] = {
    {"", 400},
    {"[]", 400},
    {"{\"trace_level\":[\"TIMESTAMPS\"]}", 501},
    {"{\"trace_level\":[\"OFF\",\"TENSORS\"]}", 501},
    {"{\"trace_level\":\"TENSORS\"}", 501},
    {"{\"trace_level\":[1]}", 400},
    {"{\"trace_level\":1}", 400},
    {"{\"trace_rate\":\"1\"}", 501},
    {"{\"trace_rate\":1000}", 400},
    {"{\"trace_file\":\"/tmp/x\"}", 501},
    {"{\"trace_speed\":\"1\"}", 400},
    {"{\"trace_level\":[\"OFF\"", 400},
};

START_TEST(anything_else_is_refused)
{
    daemon_start(&host, NULL, NULL);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct reply reply = daemon_ask(&host, "POST", paths[_i], "", refused[i].body);
        ck_assert_msg(reply.status == refused[i].status, "%s: %d %s", refused[i].body, reply.status, reply.body);
    }
    ck_assert_int_eq(daemon_get(&host, "/v2/models/none/trace/setting").status, 404);
    ck_assert_int_eq(daemon_ask(&host, "POST", "/v2/models/none/trace/setting", "", "{}").status, 404);
    ck_assert_int_eq(daemon_get(&host, "/v2/models/relu/versions/1/trace/setting").status, 404);
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

Suite *http_v2_trace_suite(void);

Suite *http_v2_trace_suite(void)
{
    Suite *suite = suite_create("http/v2_trace");
    TCase *tcase = tcase_create("v2_trace");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, tracing_is_off_and_may_be_turned_off, 0, sizeof paths / sizeof *paths);
    tcase_add_loop_test(tcase, anything_else_is_refused, 0, sizeof paths / sizeof *paths);
    suite_add_tcase(suite, tcase);
    return suite;
}
