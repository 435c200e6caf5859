/* page.c - tests of http/page.c: programs get JSON, browsers get a page whose tags are closed. */
#include "daemon.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static struct daemon host;

#define BROWSER "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n"

static void start(void)
{
    daemon_start(&host, NULL, NULL);
}

static void end(void)
{
    ck_assert_int_eq(daemon_end(&host), 0);
}

START_TEST(programs_get_a_sign_of_life)
{
    start();
    struct reply reply = daemon_get(&host, "/");
    ck_assert_int_eq(reply.status, 200);
    ck_assert_str_eq(reply.body, "{\"status\":\"alive\"}\n");
    ck_assert(reply_has_header(&reply, "Vary: Accept"));
    end();
}
END_TEST

static size_t count(const char *text, const char *piece)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, piece)); at += strlen(piece))
        n++;
    return n;
}

START_TEST(browsers_get_the_models)
{
    start();
    struct reply reply = daemon_ask(&host, "GET", "/", BROWSER, "");
    ck_assert_int_eq(reply.status, 200);
    ck_assert(reply_has_header(&reply, "Content-Type: text/html; charset=utf-8"));
    ck_assert(reply_has(&reply, "<h2>relu</h2>"));
    ck_assert(reply_has(&reply, "<h2>broken</h2>"));
    ck_assert(reply_has(&reply, "UNAVAILABLE"));
    ck_assert(reply_has(&reply, "<b>x</b> FP32 [?,2]"));
    ck_assert(reply_has(&reply, "&quot;shape&quot;:[1,2]"));
    ck_assert(reply_has(&reply, "http://test/v2/models/relu/versions/1/infer"));
    static const char *const tags[] = {"h1", "h2", "ul", "li", "pre", "p", "b", "html", "body"};
    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++) {
        char open[20], attributes[20], close[20];
        snprintf(open, sizeof open, "<%s>", tags[i]);
        snprintf(attributes, sizeof attributes, "<%s ", tags[i]);
        snprintf(close, sizeof close, "</%s>", tags[i]);
        ck_assert_uint_eq(count(reply.body, open) + count(reply.body, attributes), count(reply.body, close));
    }
    end();
}
END_TEST

START_TEST(an_apostrophe_does_not_end_the_quotes_of_a_command)
{
    daemon_input = '\'';
    start();
    struct reply reply = daemon_ask(&host, "GET", "/", BROWSER, "");
    ck_assert(reply_has(&reply, "<b>&#39;</b> FP32"));
    ck_assert(reply_has(&reply, "&quot;name&quot;:&quot;\\u0027&quot;"));
    end();
    daemon_input = 'x';
}
END_TEST

START_TEST(a_host_that_is_none_is_not_repeated)
{
    start();
    static struct client client;
    client_open(&client, &host);
    client_send(&client, "GET / HTTP/1.1\r\nHost: <script>x</script>\r\n" BROWSER "\r\n");
    struct reply reply = client_reply(&client);
    ck_assert_int_eq(reply.status, 200);
    ck_assert(!reply_has(&reply, "script"));
    ck_assert(reply_has(&reply, "http://127.0.0.1:"));
    client_close(&client);
    end();
}
END_TEST

Suite *http_page_suite(void)
{
    Suite *suite = suite_create("http/page");
    TCase *tcase = tcase_create("page");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, programs_get_a_sign_of_life);
    tcase_add_test(tcase, browsers_get_the_models);
    tcase_add_test(tcase, an_apostrophe_does_not_end_the_quotes_of_a_command);
    tcase_add_test(tcase, a_host_that_is_none_is_not_repeated);
    suite_add_tcase(suite, tcase);
    return suite;
}
