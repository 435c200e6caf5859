/*
 * stream.c - tests of http/stream.c: what passes, what does not and why, and that it makes no
 * difference in which pieces bytes come.
 */
#include "http/stream.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#define LIVE "GET /v2/health/live HTTP/1.1"
#define HOST "\r\nHost: x"
#define POST "POST /a HTTP/1.1" HOST
#define CHUNKED POST "\r\nTransfer-Encoding: chunked\r\n\r\n"
#define GOOD LIVE HOST "\r\n\r\n"
#define S(bytes) bytes, sizeof(bytes) - 1

static const struct {
    const char *bytes;
    size_t n_bytes;
    uint64_t n_heads;
} good[] = {
    {S(GOOD), 1},
    {S(GOOD GOOD "\r\n\r\n" GOOD), 3},
    {S("GET / HTTP/1.0\r\n\r\n"), 1},
    {S("OPTIONS * HTTP/1.1" HOST "\r\n\r\n"), 1},
    {S("M-SEARCH http://x:80/a%20b?c=\"{}|\\^`\" HTTP/1.1" HOST "\r\n\r\n"), 1},
    {S("GET /\xc3\xa4 HTTP/1.1\r\nHost:x\r\nA:\r\nB: \r\nC:\t \xff\xfe!\t\r\nd!#$%&'*+-.^_`|~9: "
       ":\r\n\r\n"),
     1},
    {S(POST "\r\nContent-Length: 0\r\n\r\n" GOOD), 2},
    {S(POST "\r\nCONTENT-LENGTH:\t 7\r\n\r\n\n\r\0abcd" GOOD), 2},
    {S(POST "\r\ncontent-length: 000000000000000003\r\n\r\nabc" GOOD), 2},
    {S(CHUNKED "0\r\n\r\n" GOOD), 2},
    {S(CHUNKED "3\r\n\r\n\n\r\n0000A;x=\"y\";\tz\r\n0123456789\r\n00\r\nA: b\r\nContent-Length: "
               "x\r\n\r\n" GOOD),
     2},
    {S(POST "\r\nTRANSFER-ENCODING: \tChunked\r\n\r\nf;\r\n012345678901234\r\n0;a\r\n\r\n" GOOD), 2},
    {S(POST "\r\nContent-Length-Of-Thing: abc\r\nTransfer-Encoding-X: y\r\n\r\n" GOOD), 2},
};

/* In pieces of every size: all of it passes. */
START_TEST(whole_requests_pass)
{
    const char *bytes = good[_i].bytes;
    size_t n_bytes = good[_i].n_bytes;
    for (size_t piece = 1; piece <= n_bytes; piece++) {
        struct stream stream = {0};
        for (size_t at = 0; at < n_bytes; at += piece) {
            size_t n = n_bytes - at < piece ? n_bytes - at : piece;
            ck_assert_uint_eq(stream_judge(&stream, bytes + at, n), n);
            ck_assert_msg(!stream.fault, "%s at %zu: %s", bytes, at, stream.fault);
        }
        ck_assert_uint_eq(stream.n_heads, good[_i].n_heads);
    }
}
END_TEST

static const struct {
    const char *bytes;
    size_t n_bytes;
    const char *why;
} bad[] = {
    {S(LIVE "\nHost: x\r\n\r\n"), "without a carriage return"},
    {S(LIVE HOST "\nA: b\r\n\r\n"), "without a carriage return"},
    {S(LIVE HOST "\r\n\n"), "without a carriage return"},
    {S("\n" GOOD), "without a carriage return"},
    {S(LIVE HOST "\r\nA\n\r\n"), "without a carriage return"},
    {S(LIVE HOST "\ry\r\n\r\n"), "without its line feed"},
    {S(LIVE HOST "\r\r\n\r\n"), "without its line feed"},
    {S(LIVE HOST "\r\n\rX"), "without its line feed"},
    {S(LIVE HOST "\0\n\r\n"), "NUL"},
    {S(LIVE HOST "\0\r\n\r\n"), "NUL"},
    {S(LIVE HOST "\r\n\0\n"), "NUL"},
    {S("\0" GOOD), "NUL"},
    {S("GET /\0 HTTP/1.1" HOST "\r\n\r\n"), "NUL"},
    {S(LIVE HOST "\r\nA: \x01\r\n\r\n"), "a control character"},
    {S(LIVE HOST "\r\nA: \x7f\r\n\r\n"), "a control character"},
    {S(LIVE HOST "\r\n b\r\n\r\n"), "folded"},
    {S(LIVE HOST "\r\n\tb\r\n\r\n"), "folded"},
    {S(LIVE HOST "\r\nA : b\r\n\r\n"), "names may not have"},
    {S(LIVE HOST "\r\n: b\r\n\r\n"), "names may not have"},
    {S(LIVE HOST "\r\nA(): b\r\n\r\n"), "names may not have"},
    {S(LIVE HOST "\r\nAb\r\n\r\n"), "no colon"},
    {S("GET  / HTTP/1.1" HOST "\r\n\r\n"), "target"},
    {S("GET / A HTTP/1.1" HOST "\r\n\r\n"), "three parts"},
    {S("GET / HTTP/1.1 " HOST "\r\n\r\n"), "three parts"},
    {S("GET /\tHTTP/1.1" HOST "\r\n\r\n"), "target"},
    {S("GET\r\n\r\n"), "no target"},
    {S("GET /\r\n\r\n"), "no version"},
    {S(" GET / HTTP/1.1" HOST "\r\n\r\n"), "begins with its method"},
    {S("G/T / HTTP/1.1" HOST "\r\n\r\n"), "method"},
    {S("GET / http/1.1" HOST "\r\n\r\n"), "version"},
    {S("GET / HTTP/11" HOST "\r\n\r\n"), "version"},
    {S("GET / HTTP/1.10" HOST "\r\n\r\n"), "version"},
    {S("GET / a"), "version"},
    {S("GET / z"), "version"},
    {S("GET / HTTP/1.1HTTP/1.1HTTP/1.1" HOST "\r\n\r\n"), "version"},
    {S(POST "\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc"), "Content-Length is given twice"},
    {S(POST "\r\nContent-Length:\r\n\r\n"), "decimal"},
    {S(POST "\r\nContent-Length: +3\r\n\r\nabc"), "decimal"},
    {S(POST "\r\nContent-Length: 3,3\r\n\r\nabc"), "decimal"},
    {S(POST "\r\nContent-Length: 3 3\r\n\r\nabc"), "a blank"},
    {S(POST "\r\nContent-Length: 0x3\r\n\r\nabc"), "decimal"},
    {S(POST "\r\nContent-Length: 0000000000000000003\r\n\r\nabc"), "decimal"},
    {S(POST "\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"), "both given"},
    {S(POST "\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"), "both given"},
    {S(POST "\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), "given twice"},
    {S(POST "\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"), "must be chunked"},
    {S(POST "\r\nTransfer-Encoding: chunkedchunkedchunked\r\n\r\n"), "must be chunked"},
    {S(POST "\r\nTransfer-Encoding: \r\n\r\n"), "must be chunked"},
    {S(POST "\r\nTransfer-Encoding: chunked            x\r\n\r\n"), "a blank"},
    {S(POST "\r\nTransfer-Encoding: chunked \r\n\r\n"), "a blank"},
    {S(POST "\r\nTransfer-Encoding:chunked\t \t\r\n\r\n"), "a blank"},
    {S(POST "\r\nContent-Length: 3 \r\n\r\nabc"), "a blank"},
    {S(POST "\r\nContent-Length: 3\t\t\r\n\r\nabc"), "a blank"},
    {S("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), "not part of HTTP/1.0"},
    {S(CHUNKED "\r\n"), "hexadecimal"},
    {S(CHUNKED "-1\r\n"), "hexadecimal"},
    {S(CHUNKED "0x1\r\n"), "hexadecimal"},
    {S(CHUNKED "1 \r\n"), "hexadecimal"},
    {S(CHUNKED "1000000000000000\r\n"), "hexadecimal"},
    {S(CHUNKED "1\na\r\n"), "without a carriage return"},
    {S(CHUNKED "1\r\nab\r\n"), "longer than its size"},
    {S(CHUNKED "1\r\na\n"), "longer than its size"},
    {S(CHUNKED "1;\x01\r\na\r\n"), "control character"},
    {S(CHUNKED "1;a\na\r\n"), "without a carriage return"},
    {S(CHUNKED "0\r\nA: b\n\r\n"), "without a carriage return"},
    {S(CHUNKED "0\r\n A: b\r\n\r\n"), "folded"},
    {S(CHUNKED "0\r\n\n"), "without a carriage return"},
};

START_TEST(what_is_wrong_is_told_and_does_not_pass)
{
    for (size_t piece = 1; piece <= bad[_i].n_bytes; piece++) {
        struct stream stream = {0};
        for (size_t at = 0; at < bad[_i].n_bytes && !stream.fault; at += piece) {
            size_t n = bad[_i].n_bytes - at < piece ? bad[_i].n_bytes - at : piece;
            size_t passed = stream_judge(&stream, bad[_i].bytes + at, n);
            ck_assert_uint_eq(passed, stream.fault ? 0 : n);
        }
        ck_assert_msg(stream.fault && strstr(stream.fault, bad[_i].why), "%s: %s", bad[_i].bytes,
                      stream.fault ? stream.fault : "passed");
    }
}
END_TEST

/* Of several requests in one piece those before the bad one pass. */
START_TEST(what_came_before_passes)
{
    static const char *const before[] = {GOOD, "\r\n" GOOD GOOD, CHUNKED "1\r\na\r\n0\r\n\r\n",
                                         POST "\r\nContent-Length: 2\r\n\r\n\n\n"};
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        char both[1000];
        size_t n = strlen(before[i]);
        memcpy(both, before[i], n);
        memcpy(both + n, bad[_i].bytes, bad[_i].n_bytes);
        struct stream stream = {0};
        ck_assert_uint_eq(stream_judge(&stream, both, n + bad[_i].n_bytes), n);
        ck_assert_ptr_nonnull(stream.fault);
        ck_assert_uint_eq(stream_judge(&stream, GOOD, strlen(GOOD)), 0); /* and nothing after it */
    }
}
END_TEST

/* A head of a first line with `parts` '&' and as many letters, headers, and cookies of 4 bytes. */
static const char *judged_head(int parts, int letters, int headers, int cookies)
{
    static char bytes[100000];
    char *at = bytes + sprintf(bytes, "GET /?");
    for (int i = 0; i < letters + parts; i++)
        *at++ = i < parts ? '&' : 'a';
    at += sprintf(at, cookies ? " HTTP/1.1\r\nCookie: " : " HTTP/1.1\r\nA: b");
    for (int i = 0; i < cookies; i++)
        at += sprintf(at, "a=b;");
    at += sprintf(at, HOST);
    for (int i = 0; i < headers; i++)
        at += sprintf(at, "\r\nA: b");
    at += sprintf(at, "\r\n\r\n");
    struct stream stream = {0};
    stream_judge(&stream, bytes, (size_t)(at - bytes));
    return stream.fault ? stream.fault : "";
}

/* Parts of a query and cookies take memory of microhttpd's as headers do. */
START_TEST(a_head_has_room_for_its_parts)
{
    static const char room[] = "the head is too long";
    ck_assert_str_eq(judged_head(400, 0, 0, 0), "");
    ck_assert_str_eq(judged_head(0, 0, 0, 350), "");
    ck_assert_str_eq(judged_head(100, 1000, 100, 100), "");
    ck_assert_str_eq(judged_head(0, 31000, 0, 0), "");
    ck_assert_ptr_nonnull(strstr(judged_head(450, 0, 0, 0), room));
    ck_assert_ptr_nonnull(strstr(judged_head(3000, 0, 0, 0), room));
    ck_assert_ptr_nonnull(strstr(judged_head(200, 20000, 0, 0), room));
    ck_assert_ptr_nonnull(strstr(judged_head(0, 0, 0, 450), room));
    ck_assert_ptr_nonnull(strstr(judged_head(0, 0, 300, 200), room));
    ck_assert_ptr_nonnull(strstr(judged_head(250, 0, 0, 200), room));
    ck_assert_ptr_nonnull(strstr(judged_head(0, 32600, 0, 0), "the target is too long"));
}
END_TEST

static uint32_t drawn(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* A byte of a good request is replaced by each other: the verdict does not depend on pieces. */
START_TEST(pieces_make_no_difference)
{
    uint32_t seed = 4711 + (uint32_t)_i;
    char bytes[400];
    size_t n_bytes = good[_i].n_bytes;
    for (int round = 0; round < 4000; round++) {
        memcpy(bytes, good[_i].bytes, n_bytes);
        bytes[drawn(&seed) % n_bytes] = (char)drawn(&seed);
        struct stream whole = {0}, split = {0};
        size_t passed = stream_judge(&whole, bytes, n_bytes);
        size_t cut = drawn(&seed) % n_bytes;
        size_t n = stream_judge(&split, bytes, cut);
        if (!split.fault)
            stream_judge(&split, bytes + cut, n_bytes - cut);
        ck_assert_uint_le(n, cut);
        ck_assert_uint_le(passed, n_bytes);
        ck_assert_ptr_eq(whole.fault, split.fault);
        ck_assert(whole.fault || whole.n_heads == split.n_heads);
    }
}
END_TEST

#define N(table) (int)(sizeof table / sizeof table[0])

Suite *http_stream_suite(void)
{
    Suite *suite = suite_create("http/stream");
    TCase *tcase = tcase_create("stream");
    tcase_add_loop_test(tcase, whole_requests_pass, 0, N(good));
    tcase_add_loop_test(tcase, what_is_wrong_is_told_and_does_not_pass, 0, N(bad));
    tcase_add_loop_test(tcase, what_came_before_passes, 0, N(bad));
    tcase_add_test(tcase, a_head_has_room_for_its_parts);
    tcase_add_loop_test(tcase, pieces_make_no_difference, 0, N(good));
    suite_add_tcase(suite, tcase);
    return suite;
}
