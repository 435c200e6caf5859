/* page.c - tests of http/page.c: programs get JSON, browsers get the page's files, as they are and with their headers.
 * What the page does is tried in a browser by tests/page. */
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

static const struct {
    const char *path, *type;
} files[] = {
    {"index.html", "text/html; charset=utf-8"},     {"page.css", "text/css; charset=utf-8"},
    {"page.js", "text/javascript; charset=utf-8"},  {"ask.js", "text/javascript; charset=utf-8"},
    {"media.js", "text/javascript; charset=utf-8"}, {"answers.js", "text/javascript; charset=utf-8"},
};

#define N_FILES (sizeof files / sizeof *files)

static struct reply ask_file(const char *name, const char *method, const char *more)
{
    char path[100];
    snprintf(path, sizeof path, strcmp(name, "index.html") == 0 ? "/" : "/page/%s", name);
    return daemon_ask(&host, method, path, more, "");
}

static size_t source(const char *name, char *to, size_t room)
{
    char path[100];
    snprintf(path, sizeof path, "src/http/page/%s", name);
    FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "%s", path);
    size_t n = fread(to, 1, room, file);
    fclose(file);
    return n;
}

START_TEST(browsers_get_the_files_as_they_are)
{
    static char text[65536];
    size_t total = 0;
    start();
    for (size_t i = 0; i < N_FILES; i++) {
        char line[100];
        struct reply reply = ask_file(files[i].path, "GET", BROWSER);
        ck_assert_int_eq(reply.status, 200);
        snprintf(line, sizeof line, "Content-Type: %s", files[i].type);
        ck_assert_msg(reply_has_header(&reply, line), "%s", reply.head);
        ck_assert_uint_eq(reply.n_bytes, source(files[i].path, text, sizeof text));
        ck_assert_mem_eq(reply.body, text, reply.n_bytes);
        total += reply.n_bytes;
    }
    ck_assert_uint_lt(total, 60000);
    end();
}
END_TEST

static const char *const guards[] = {
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options: nosniff", "Referrer-Policy: no-referrer", "Cache-Control: no-cache"};

START_TEST(a_file_comes_with_what_guards_it)
{
    start();
    for (size_t i = 0; i < N_FILES; i++) {
        struct reply reply = ask_file(files[i].path, "GET", BROWSER);
        for (size_t k = 0; k < sizeof guards / sizeof *guards; k++)
            ck_assert_msg(reply_has_header(&reply, guards[k]), "%s: %s", files[i].path, reply.head);
    }
    end();
}
END_TEST

/* The policy refuses these; that they are not there is looked at all the same. */
START_TEST(nothing_is_written_into_the_page_that_runs)
{
    static const char *const words[] = {"<style", "style=",    "onclick", "onload",
                                        "eval(",  "innerHTML", "http://", "https://"};
    start();
    for (size_t i = 0; i < N_FILES; i++) {
        struct reply reply = ask_file(files[i].path, "GET", BROWSER);
        for (size_t k = 0; k < sizeof words / sizeof *words; k++)
            ck_assert_msg(!reply_has(&reply, words[k]), "%s has %s", files[i].path, words[k]);
    }
    end();
}
END_TEST

/* The value of a header, in a buffer of the caller's. */
static const char *header(const struct reply *reply, const char *name, char *to, size_t room)
{
    const char *at = strstr(reply->head, name);
    ck_assert_msg(at != NULL, "%s", reply->head);
    at += strlen(name);
    snprintf(to, room, "%.*s", (int)strcspn(at, "\r\n"), at);
    return to;
}

static const struct {
    const char *value; /* %s: the tag */
    int status;
} tags[] = {
    {"%s", 304},
    {"W/%s", 304},
    {"\"a\", %s", 304},
    {"*", 304},
    {"\"a\"", 200},
    {"a", 200},
    {"\"0123456789abcdef\"", 200},
    {"\"*\", \"a\"", 200},
};

START_TEST(what_a_browser_has_is_not_sent_again)
{
    start();
    for (size_t i = 0; i < N_FILES; i++) {
        char tag[100], more[300] = BROWSER "If-None-Match: ";
        struct reply reply = ask_file(files[i].path, "GET", BROWSER);
        header(&reply, "ETag: ", tag, sizeof tag);
        ck_assert_uint_eq(strlen(tag), 18);
        size_t n = strlen(more);
        for (size_t k = 0; k < sizeof tags / sizeof *tags; k++) {
            char value[120];
            snprintf(value, sizeof value, tags[k].value, tag);
            snprintf(more + n, sizeof more - n, "%s\r\n", value);
            reply = ask_file(files[i].path, "GET", more);
            ck_assert_msg(reply.status == tags[k].status, "%s: %d", value, reply.status);
            ck_assert(reply.status == 200 || reply.n_bytes == 0);
            ck_assert_str_eq(header(&reply, "ETag: ", value, sizeof value), tag);
        }
    }
    end();
}
END_TEST

START_TEST(head_has_the_same_headers)
{
    start();
    static struct client client;
    for (size_t i = 0; i < N_FILES; i++) {
        char request[200], whole[40], head[40];
        struct reply reply = ask_file(files[i].path, "GET", BROWSER);
        header(&reply, "Content-Length: ", whole, sizeof whole);
        client_open(&client, &host);
        snprintf(request, sizeof request, "HEAD /%s%s HTTP/1.1\r\nHost: x\r\n" BROWSER "\r\n", i ? "page/" : "",
                 i ? files[i].path : "");
        client_send(&client, request);
        reply = client_reply_to_head(&client);
        ck_assert_int_eq(reply.status, 200);
        ck_assert_str_eq(header(&reply, "Content-Length: ", head, sizeof head), whole);
        client_close(&client);
    }
    end();
}
END_TEST

static const struct {
    const char *method, *path;
    int status;
} strangers[] = {
    {"GET", "/page/none.js", 404},
    {"GET", "/page/index.html", 404},
    {"GET", "/page/", 404},
    {"GET", "/page", 404},
    {"GET", "/page/page.js/", 404},
    {"GET", "/page/PAGE.JS", 404},
    {"GET", "/page/../page/page.js", 404},
    {"GET", "/page/page.js%00", 400},
    {"POST", "/page/page.js", 405},
    {"DELETE", "/", 405},
    {"GET", "/page/page.js?x=1", 200},
};

START_TEST(other_files_are_not_there)
{
    start();
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
        struct reply reply = daemon_ask(&host, strangers[i].method, strangers[i].path, BROWSER, "");
        ck_assert_msg(reply.status == strangers[i].status, "%s: %d", strangers[i].path, reply.status);
    }
    struct reply reply = daemon_get(&host, "/page/none.js");
    ck_assert_str_eq(reply.body, "{\"error\":\"Not Found: the page has no such file\"}\n");
    end();
}
END_TEST

START_TEST(without_the_page_browsers_get_what_programs_get)
{
    struct settings settings = daemon_settings();
    settings.no_page = true;
    daemon_start(&host, &settings, NULL);
    struct reply reply = daemon_ask(&host, "GET", "/", BROWSER, "");
    ck_assert_str_eq(reply.body, "{\"status\":\"alive\"}\n");
    for (size_t i = 1; i < N_FILES; i++)
        ck_assert_int_eq(ask_file(files[i].path, "GET", BROWSER).status, 404);
    end();
}
END_TEST

/* It has nothing of the models; what it asks for needs the key. */
START_TEST(the_page_needs_no_key)
{
    daemon_start(&host, NULL, "open-sesame\n");
    for (size_t i = 0; i < N_FILES; i++)
        ck_assert_int_eq(ask_file(files[i].path, "GET", BROWSER).status, 200);
    ck_assert_int_eq(daemon_get(&host, "/v2/models").status, 401);
    ck_assert_int_eq(daemon_get(&host, "/page").status, 401);
    end();
}
END_TEST

START_TEST(under_a_base_path_its_address_ends_with_a_slash)
{
    char location[100];
    struct settings settings = daemon_settings();
    settings.base_path = "/models/eu";
    daemon_start(&host, &settings, NULL);
    static const char *const bare[] = {"/models/eu", "/models/eu?x=/"};
    for (size_t i = 0; i < sizeof bare / sizeof *bare; i++) {
        struct reply reply = daemon_ask(&host, "GET", bare[i], BROWSER, "");
        ck_assert_int_eq(reply.status, 308);
        ck_assert_str_eq(header(&reply, "Location: ", location, sizeof location), "/models/eu/");
        ck_assert_int_eq(daemon_get(&host, bare[i]).status, 200);
    }
    static const char *const whole[] = {"/models/eu/", "/models/eu/?x", "/", "/models/eu/page/page.js",
                                        "/page/page.js"};
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        ck_assert_int_eq(daemon_ask(&host, "GET", whole[i], BROWSER, "").status, 200);
    end();
}
END_TEST

START_TEST(what_the_page_asks_for_has_names_as_they_are)
{
    daemon_input = '\'';
    start();
    struct reply reply = daemon_get(&host, "/v2/models/relu");
    ck_assert(reply_has(&reply, "\"name\":\"'\""));
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
    ck_assert(!reply_has(&reply, "<script>"));
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
    tcase_add_test(tcase, browsers_get_the_files_as_they_are);
    tcase_add_test(tcase, a_file_comes_with_what_guards_it);
    tcase_add_test(tcase, nothing_is_written_into_the_page_that_runs);
    tcase_add_test(tcase, what_a_browser_has_is_not_sent_again);
    tcase_add_test(tcase, head_has_the_same_headers);
    tcase_add_test(tcase, other_files_are_not_there);
    tcase_add_test(tcase, without_the_page_browsers_get_what_programs_get);
    tcase_add_test(tcase, the_page_needs_no_key);
    tcase_add_test(tcase, under_a_base_path_its_address_ends_with_a_slash);
    tcase_add_test(tcase, what_the_page_asks_for_has_names_as_they_are);
    tcase_add_test(tcase, a_host_that_is_none_is_not_repeated);
    suite_add_tcase(suite, tcase);
    return suite;
}
