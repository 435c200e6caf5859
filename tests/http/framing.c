/* framing.c - tests of http/framing.c: what headers and paths are taken, and what is refused. */
#include "http/framing.h"

#include "base/err.h"

#include <check.h>
#include <stdio.h>
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

/* What lies before it is another's, blanks or not. */
START_TEST(an_empty_value_begins_where_it_ends)
{
    static const char line[] = "a: \t ";
    for (size_t n = 0; n < sizeof line - 3; n++) {
        start("HTTP/1.1");
        framing_header(&framing, bytes_of_text("Content-Type"), bytes_of(line + 3 + n, sizeof line - 4 - n));
        ck_assert_uint_eq(bytes_size(framing.content_type), 0);
    }
}
END_TEST

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

/* Every byte, as it is and escaped in letters of either size. */
START_TEST(each_byte_of_a_path_is_judged)
{
    for (int byte = 1; byte < 256; byte++) {
        char plain[] = "/a?b", small[8], large[8], want[] = "/a?b";
        const bool good = byte >= 0x20 && byte != 0x7f, ends = byte == '?' || byte == '#';
        plain[2] = want[2] = (char)byte;
        snprintf(small, sizeof small, "/a%%%02xb", (unsigned)byte);
        snprintf(large, sizeof large, "/a%%%02Xb", (unsigned)byte);
        const char *targets[] = {plain, small, large};
        for (int i = 0; i < 3; i++) {
            if (i == 0 && byte == '%')
                continue; /* the beginning of an escape */
            const char *path = framing_path(targets[i], &arena, &err);
            ck_assert_msg((path != NULL) == (good && (i == 0 || byte != '/')), "%s: byte %d", targets[i], byte);
            if (path)
                ck_assert_str_eq(path, i == 0 && ends ? "/a" : want);
        }
    }
    arena_free(&arena);
}
END_TEST

/* Names are tokens, of RFC 9110's characters. */
START_TEST(each_byte_of_a_header_is_judged)
{
    for (int byte = 0; byte < 256; byte++) {
        const char c = (char)byte;
        const bool letter = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        const bool names = letter || (byte && strchr("!#$%&'*+-.^_`|~", byte)),
                   values = byte == '\t' || (byte >= 0x20 && byte != 0x7f);
        const char text[] = {'a', c, 'b'};
        for (int value = 0; value < 2; value++) {
            start("HTTP/1.1");
            framing_header(&framing, value ? bytes_of_text("a") : bytes_of(text, 3),
                           value ? bytes_of(text, 3) : bytes_of_text("b"));
            ck_assert_msg(framing_end(&framing, &err) == (value ? values : names), "byte %d of a %s: %s", byte,
                          value ? "value" : "name", err.text);
        }
    }
    start("HTTP/1.1");
    framing_header(&framing, bytes_of("", 0), bytes_of_text("b"));
    ck_assert(!framing_end(&framing, &err));
}
END_TEST

/* Of many the last, which the nearest proxies added, in their order. */
START_TEST(of_many_that_forwarded_the_last_are_kept)
{
    static const char *const hops[] = {"1.1.1.1", "2.2.2.2", "3.3.3.3", "4.4.4.4", "5.5.5.5", "6.6.6.6", "7.7.7.7"};
    const int n = sizeof hops / sizeof *hops;
    start("HTTP/1.1");
    for (int i = 0; i < n; i++) {
        header("X-Forwarded-For", hops[i]);
        const int kept = i + 1 < FRAMING_FORWARDED ? i + 1 : FRAMING_FORWARDED;
        ck_assert_int_eq(framing.n_forwarded, kept);
        for (int k = 0; k < kept; k++)
            ck_assert(bytes_is(framing.forwarded[k], hops[i + 1 - kept + k]));
    }
    ck_assert(framing_end(&framing, &err));
}
END_TEST

START_TEST(numbers_have_digits_alone_and_not_too_many)
{
    int64_t value = -1;
    ck_assert(framing_number(bytes_of_text("0"), &value) && value == 0);
    ck_assert(framing_number(bytes_of_text("0123456789"), &value) && value == 123456789);
    ck_assert(framing_number(bytes_of_text("999999999999999999"), &value) && value == 999999999999999999);
    value = 7;
    ck_assert(!framing_number(bytes_of_text("1000000000000000000"), &value));
    ck_assert(!framing_number(bytes_of_text(""), &value));
    for (int byte = 0; byte < 256; byte++) {
        const char text[] = {'1', (char)byte};
        const bool digit = byte >= '0' && byte <= '9';
        ck_assert_int_eq(framing_number(bytes_of(text, 2), &value), digit);
        ck_assert_int_eq(value, digit ? 10 + byte - '0' : byte > '9' ? 19 : 7);
    }
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
    tcase_add_test(tcase, each_byte_of_a_path_is_judged);
    tcase_add_test(tcase, each_byte_of_a_header_is_judged);
    tcase_add_test(tcase, of_many_that_forwarded_the_last_are_kept);
    tcase_add_test(tcase, numbers_have_digits_alone_and_not_too_many);
    tcase_add_test(tcase, a_path_without_memory_is_an_error);
    tcase_add_test(tcase, an_empty_value_begins_where_it_ends);
    suite_add_tcase(suite, tcase);
    return suite;
}
