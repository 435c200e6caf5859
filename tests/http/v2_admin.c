/* v2_admin.c - tests of http/v2_admin.c: the gate, and what is said behind it. */
#include "daemon.h"

#include <check.h>

static struct daemon host;

static void start(bool admin)
{
    struct settings settings = daemon_settings();
    settings.admin = admin;
    daemon_start(&host, &settings, NULL);
}

static const char *const paths[] = {"/v2/repository/models/relu/load", "/v2/repository/models/relu/unload"};

START_TEST(without_admin_they_are_403)
{
    start(false);
    struct reply reply = daemon_ask(&host, "POST", paths[_i], "", "{}");
    ck_assert_int_eq(reply.status, 403);
    ck_assert(reply_has(&reply, "--admin"));
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

START_TEST(with_admin_they_say_what_works_instead)
{
    start(true);
    struct reply reply = daemon_ask(&host, "POST", paths[_i], "", "");
    ck_assert_int_eq(reply.status, 501);
    ck_assert(reply_has(&reply, "load 'relu'"));
    ck_assert(reply_has(&reply, "restart perceptd"));
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

Suite *http_v2_admin_suite(void)
{
    Suite *suite = suite_create("http/v2_admin");
    TCase *tcase = tcase_create("v2_admin");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, without_admin_they_are_403, 0, 2);
    tcase_add_loop_test(tcase, with_admin_they_say_what_works_instead, 0, 2);
    suite_add_tcase(suite, tcase);
    return suite;
}
