/* framing.c - tests of http/framing.c: what headers and paths are taken, and what is refused. */
#include "http/framing.h"

#include "base/err.h"

#include <check.h>
#include <string.h>

static struct framing framing;
static struct percept_err err;
static struct arena arena;

static void header(const char *name, const char *value)
{
    framing_header(&framing, bytes_of_text(name), bytes_of_text(value));
}

static void start(const char *version)
{
    err = (struct percept_err){0};
    framing_start(&framing, version);
    header("Host", "x");
}

START_TEST(a_plain_request_passes_and_is_kept)
{
    start("HTTP/1.1");
    header("content-LENGTH", "12");
    header("Content-Type", "application/json ");
    header("Accept", "text/html");
    header("Accept", "image/png");
    header("Inference-Header-Content-Length", "7");
    header("X-API-Key", "k");
    header("Expect", "100-Continue");
    ck_assert_msg(framing_end(&framing, &err), "%s", err.text);
    ck_assert_int_eq(framing.content_length, 12);
    ck_assert(bytes_is(framing.content_type, "application/json"));
    ck_assert(bytes_is(framing.accept, "text/html"));
    ck_assert_ptr_null(framing.accept_encoding.at);
    ck_assert(bytes_is(framing.json_bytes, "7"));
    ck_assert(bytes_is(framing.api_key, "k"));
    ck_assert(framing.expects_continue);
    ck_assert(!framing.chunked);
}
END_TEST

START_TEST(http_1_0_needs_no_host)
{
    framing_start(&framing, "HTTP/1.0");
    ck_assert(framing_end(&framing, &err));
}
END_TEST

static const struct {
    const char *version, *name, *value, *name2, *value2;
} refused[] = {
    {"HTTP/1.1", "Content-Length", "", "A", "b"},
    {"HTTP/1.1", "Content-Length", "-1", "A", "b"},
    {"HTTP/1.1", "Content-Length", "+1", "A", "b"},
    {"HTTP/1.1", "Content-Length", "1,1", "A", "b"},
    {"HTTP/1.1", "Content-Length", "0x1", "A", "b"},
    {"HTTP/1.1", "Content-Length", "1 1", "A", "b"},
    {"HTTP/1.1", "Content-Length", "1000000000000000000", "A", "b"},
    {"HTTP/1.1", "Content-Length", "1", "Content-Length", "1"},
    {"HTTP/1.1", "Content-Length", "1", "Transfer-Encoding", "chunked"},
    {"HTTP/1.1", "Transfer-Encoding", "chunked", "Transfer-Encoding", "chunked"},
    {"HTTP/1.1", "Transfer-Encoding", "chunked, chunked", "A", "b"},
    {"HTTP/1.1", "Transfer-Encoding", "identity", "A", "b"},
    {"HTTP/1.1", "Transfer-Encoding", "", "A", "b"},
    {"HTTP/1.0", "Transfer-Encoding", "chunked", "A", "b"},
    {"HTTP/1.1", "Host", "y", "A", "b"},
    {"HTTP/1.1", "A B", "c", "A", "b"},
    {"HTTP/1.1", "", "c", "A", "b"},
    {"HTTP/1.1", "A\x80", "c", "A", "b"},
    {"HTTP/1.1", "A", "b\rc", "A", "b"},
    {"HTTP/1.1", "A", "b\x7f", "A", "b"},
    {"HTTP/1.1", "Authorization", "a", "authorization", "a"},
    {"HTTP/1.1", "Inference-Header-Content-Length", "1", "inference-header-content-length", "1"},
    {"HTTP/1.1", "Content-Encoding", "identity", "Content-Encoding", "gzip"},
    {"HTTP/2.0", "A", "b", "C", "d"},
};

START_TEST(ambiguous_requests_are_refused)
{
    start(refused[_i].version);
    header(refused[_i].name, refused[_i].value);
    header(refused[_i].name2, refused[_i].value2);
    ck_assert(!framing_end(&framing, &err));
    ck_assert_int_eq(err.code, ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.text, "malformed request: "));
}
END_TEST

static const struct {
    const char *target, *path;
} paths[] = {
    {"/", "/"},
    {"/v2/models/a", "/v2/models/a"},
    {"/v2?x=%00", "/v2"},
    {"/a%20b%c3%a9", "/a b\xc3\xa9"},
    {"/%61%2E%7e", "/a.~"},
    {"/a+b", "/a+b"},
    {"http://host:80/v2?x", "/v2"},
    {"HTTP://host", "/"},
    {"http://host?x=/v2", "/"},
    {"/v2#part", "/v2"},
    {"/a%252f", "/a%2f"},
    {"/%00", NULL},
    {"/a%2fb", NULL},
    {"/a%2Fb", NULL},
    {"/a%", NULL},
    {"/a%4", NULL},
    {"/a%4?1", NULL},
    {"/a%?41", NULL},
    {"/a%zz", NULL},
    {"/a%7f", NULL},
    {"/a%1f", NULL},
    {"/a\tb", NULL},
    {"", NULL},
    {"*", NULL},
    {"v2", NULL},
    {"https://host/v2", NULL},
};

START_TEST(paths_are_decoded_or_refused)
{
    const char *path = framing_path(paths[_i].target, &arena, &err);
    if (paths[_i].path) {
        ck_assert_msg(path != NULL, "%s: %s", paths[_i].target, err.text);
        ck_assert_str_eq(path, paths[_i].path);
    } else {
        ck_assert_msg(path == NULL, "%s became %s", paths[_i].target, path);
        ck_assert_int_eq(err.code, ERR_INVALID);
    }
    arena_free(&arena);
}
END_TEST

START_TEST(a_path_without_memory_is_an_error)
{
    arena_fail_at(1, false);
    ck_assert_ptr_null(framing_path("/v2", &arena, &err));
    ck_assert_int_eq(err.code, ERR_MEMORY);
    arena_free(&arena);
}
END_TEST

Suite *http_framing_suite(void)
{
    Suite *suite = suite_create("http/framing");
    TCase *tcase = tcase_create("framing");
    tcase_add_test(tcase, a_plain_request_passes_and_is_kept);
    tcase_add_test(tcase, http_1_0_needs_no_host);
    tcase_add_loop_test(tcase, ambiguous_requests_are_refused, 0, sizeof refused / sizeof refused[0]);
    tcase_add_loop_test(tcase, paths_are_decoded_or_refused, 0, sizeof paths / sizeof paths[0]);
    tcase_add_test(tcase, a_path_without_memory_is_an_error);
    suite_add_tcase(suite, tcase);
    return suite;
}
