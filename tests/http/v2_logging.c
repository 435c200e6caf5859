/* v2_logging.c - tests of http/v2_logging.c: levels are told, turned on and off, and nothing is changed by half. */
#include "daemon.h"

#include <check.h>
#include <stdio.h>

static struct daemon host;

static void start(bool admin)
{
    struct settings settings = daemon_settings();
    settings.admin = admin;
    daemon_start(&host, &settings, NULL);
}

static void expect(const struct reply *reply, const char *info, const char *warning, const char *error, int verbose)
{
    char text[300];
    snprintf(text, sizeof text,
             "{\"log_file\":\"\",\"log_info\":%s,\"log_warning\":%s,\"log_error\":%s,\"log_verbose_level\":%d,"
             "\"log_format\":\"ISO8601\"}\n",
             info, warning, error, verbose);
    ck_assert_int_eq(reply->status, 200);
    ck_assert_str_eq(reply->body, text);
}

static struct reply post(const char *body)
{
    return daemon_ask(&host, "POST", "/v2/logging", "", body);
}

START_TEST(settings_are_told_and_changed)
{
    start(true);
    struct reply reply = daemon_get(&host, "/v2/logging");
    expect(&reply, "true", "true", "true", 0);
    reply = post("{\"log_info\":false,\"log_verbose_level\":2}");
    expect(&reply, "false", "true", "true", 1);
    reply = post("{\"log_file\":\"\",\"log_format\":\"ISO8601\",\"log_warning\":null,\"log_error\":false}");
    expect(&reply, "false", "true", "false", 1);
    reply = post("{}");
    expect(&reply, "false", "true", "false", 1);
    reply = post("{\"log_info\":true,\"log_warning\":true,\"log_error\":true,\"log_verbose_level\":0}");
    expect(&reply, "true", "true", "true", 0);
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

START_TEST(without_admin_they_are_told_only)
{
    start(false);
    ck_assert_int_eq(post("{\"log_info\":false}").status, 403);
    struct reply reply = daemon_get(&host, "/v2/logging");
    expect(&reply, "true", "true", "true", 0);
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

static const struct {
    const char *body;
    int status;
    const char *says;
} refused[] = {
    {"", 400, "expected an object"},
    {"[]", 400, "expected an object"},
    {"{\"log_info\":false,\"log_file\":\"/tmp/x\"}", 501,
     "log file location can not be updated through network protocol"},
    {"{\"log_info\":false,\"log_format\":\"default\"}", 501, "'log_format' is ISO8601"},
    {"{\"log_info\":false,\"log_format\":\"xml\"}", 400, "'log_format' is ISO8601"},
    {"{\"log_info\":false,\"log_format\":1}", 400, "expected a string"},
    {"{\"log_info\":false,\"log_warning\":1}", 400, "expected true or false"},
    {"{\"log_info\":false,\"log_verbose_level\":-1}", 400, "'log_verbose_level'"},
    {"{\"log_info\":false,\"log_verbose_level\":true}", 400, "'log_verbose_level'"},
    {"{\"log_info\":false,\"log_level\":1}", 400, "unknown log setting 'log_level'"},
    {"{\"log_info\":false,\"log_info\":false}", 400, "comes twice"},
    {"{\"log_info\":false} x", 400, "nothing after the value"},
};

START_TEST(what_is_wrong_changes_nothing)
{
    start(true);
    struct reply reply = post(refused[_i].body);
    ck_assert_msg(reply.status == refused[_i].status && reply_has(&reply, refused[_i].says), "%d %s", reply.status,
                  reply.body);
    reply = daemon_get(&host, "/v2/logging");
    expect(&reply, "true", "true", "true", 0);
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

Suite *http_v2_logging_suite(void);

Suite *http_v2_logging_suite(void)
{
    Suite *suite = suite_create("http/v2_logging");
    TCase *tcase = tcase_create("v2_logging");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, settings_are_told_and_changed);
    tcase_add_test(tcase, without_admin_they_are_told_only);
    tcase_add_loop_test(tcase, what_is_wrong_changes_nothing, 0, sizeof refused / sizeof *refused);
    suite_add_tcase(suite, tcase);
    return suite;
}
