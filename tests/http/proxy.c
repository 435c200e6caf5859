/* proxy.c - tests of http/proxy.c: headers that are right, whole and in pieces, and headers that are not. The tests of
 * the access log and of TLS send some to a server. */
#include "http/proxy.h"

#include "base/err.h"
#include "daemon.h"
#include "http/server.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdio.h>
#include <string.h>

Suite *http_proxy_suite(void);

#define TEXT(text) text, sizeof text - 1
#define V2 "\r\n\r\n\0\r\nQUIT\n"
#define V4 "\xc0\0\2\1\xc6\x33\x64\2\x12\x67\0\x50" /* 192.0.2.1:4711 to 198.51.100.2:80 */
#define V6 "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\2\x12\x67\0\x50"
#define TEN "0123456789"
#define FILES TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "012345"

static const struct {
    const char *bytes;
    size_t n_bytes;
    const char *from; /* "": the proxy itself */
} good[] = {
    {TEXT("PROXY TCP4 192.0.2.1 198.51.100.2 4711 80\r\n"), "192.0.2.1"},
    {TEXT("PROXY TCP6 2001:db8::1 2001:db8::2 4711 80\r\n"), "2001:db8::1"},
    {TEXT("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
     "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
    {TEXT("PROXY UNKNOWN\r\n"), ""},
    {TEXT("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 "
          "65535\r\n"),
     ""},
    {TEXT(V2 "\x21\x11\0\xc" V4), "192.0.2.1"},
    {TEXT(V2 "\x21\x21\0\x24" V6), "2001:db8::1"},
    {TEXT(V2 "\x21\x11\0\x10" V4 "\4\0\1x"), "192.0.2.1"}, /* TLVs */
    {TEXT(V2 "\x21\x31\0\xd8" FILES), ""},
    {TEXT(V2 "\x21\0\0\0"), ""},
    {TEXT(V2 "\x21\0\0\2xy"), ""},
    {TEXT(V2 "\x20\0\0\0"), ""},
    {TEXT(V2 "\x20\x11\0\xc" V4), ""}, /* LOCAL: whatever the addresses are */
    {TEXT(V2 "\x20\xff\0\3xyz"), ""},
};

static const char *text_of(const struct proxy *proxy)
{
    static char text[64];
    text[0] = '\0';
    if (proxy->from.family == AF_INET)
        inet_ntop(AF_INET, &proxy->from.v4.sin_addr, text, sizeof text);
    else if (proxy->from.family == AF_INET6)
        inet_ntop(AF_INET6, &proxy->from.v6.sin6_addr, text, sizeof text);
    return text;
}

/* Wherever it is cut, and not a byte of what follows. */
START_TEST(a_header_is_read)
{
    char bytes[600];
    const size_t n = good[_i].n_bytes;
    ck_assert_uint_lt(n + 5, sizeof bytes);
    memcpy(bytes, good[_i].bytes, n);
    memcpy(bytes + n, "GET /", 5);
    for (size_t cut = 0; cut <= n; cut++) {
        struct proxy proxy = {0};
        ck_assert_uint_eq(proxy_take(&proxy, bytes, cut), cut);
        ck_assert_int_eq(proxy.state, cut < n ? PROXY_COMING : PROXY_DONE);
        ck_assert_uint_eq(proxy_take(&proxy, bytes + cut, n + 5 - cut), n - cut);
        ck_assert_int_eq(proxy.state, PROXY_DONE);
        ck_assert_str_eq(text_of(&proxy), good[_i].from);
        ck_assert(proxy.from.family != AF_INET || ntohs(proxy.from.v4.sin_port) == 4711);
        ck_assert(proxy.from.family != AF_INET6 || ntohs(proxy.from.v6.sin6_port) >= 4711);
    }
}
END_TEST

START_TEST(a_long_header_is_skipped)
{
    static char bytes[16 + 65535];
    struct proxy proxy = {0};
    memcpy(bytes, V2 "\x21\x11\xff\xff" V4, 28);
    ck_assert_uint_eq(proxy_take(&proxy, bytes, sizeof bytes), sizeof bytes);
    ck_assert_int_eq(proxy.state, PROXY_DONE);
    ck_assert_str_eq(text_of(&proxy), "192.0.2.1");
}
END_TEST

static const struct {
    const char *bytes;
    size_t n_bytes;
} bad[] = {
    {TEXT("GET / HTTP/1.1\r\n")},
    {TEXT("\r\n\r\n\r\n")},
    {TEXT("\x16\3\1")},
    {TEXT("proxy TCP4 192.0.2.1 198.51.100.2 4711 80\r\n")},
    {TEXT("PROXY  TCP4 192.0.2.1 198.51.100.2 4711 80\r\n")},
    {TEXT("PROXY TCP4 192.0.2.1 198.51.100.2 4711 80\n")},
    {TEXT("PROXY TCP4 192.0.2.1 198.51.100.2 4711 80 \r\n")},
    {TEXT("PROXY TCP4 192.0.2.1 198.51.100.2 4711 80 x\r\n")},
    {TEXT("PROXY TCP4 192.0.2.1 198.51.100.2 4711\r\n")},
    {TEXT("PROXY TCP4 192.0.2.1 198.51.100.2 4711 \r\n")},
    {TEXT("PROXY TCP4 192.0.2.1  198.51.100.2 4711 80\r\n")},
    {TEXT("PROXY TCP4 192.0.2.1 198.51.100.2 65536 80\r\n")},
    {TEXT("PROXY TCP4 192.0.2.1 198.51.100.2 -1 80\r\n")},
    {TEXT("PROXY TCP4 192.0.2.1 198.51.100.2 4711 x\r\n")},
    {TEXT("PROXY TCP4 192.0.2 198.51.100.2 4711 80\r\n")},
    {TEXT("PROXY TCP4 192.0.2.1 198.51.100.256 4711 80\r\n")},
    {TEXT("PROXY TCP4 2001:db8::1 2001:db8::2 4711 80\r\n")},
    {TEXT("PROXY TCP6 192.0.2.1 198.51.100.2 4711 80\r\n")},
    {TEXT("PROXY TCP6 2001:db8::1 nowhere 4711 80\r\n")},
    {TEXT("PROXY TCP4 nowhere 198.51.100.2 4711 80\r\n")},
    {TEXT("PROXY UDP4 192.0.2.1 198.51.100.2 4711 80\r\n")},
    {TEXT("PROXY TCP4 192.0.2.1 198.51.100.2 4711 80\0\r\n")},
    {TEXT("PROXY \r\n")},
    {TEXT("PROXY UNKNOWN\n")},
    {TEXT("PROXY UNKNOWN " TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN)},
    {TEXT("\r\n\r\n\0\r\nQUIZ\n")},
    {TEXT(V2 "\x11\x11\0\xc" V4)}, /* version 1 */
    {TEXT(V2 "\x22\x11\0\xc" V4)}, /* no such command */
    {TEXT(V2 "\x21\x12\0\xc" V4)}, /* UDP */
    {TEXT(V2 "\x21\x10\0\xc" V4)},
    {TEXT(V2 "\x21\x41\0\xc" V4)},
    {TEXT(V2 "\x21\x11\0\xb" V4)}, /* too short for its family */
    {TEXT(V2 "\x21\x21\0\x23" V6)},
    {TEXT(V2 "\x21\x31\0\xd7" FILES)},
};

START_TEST(what_is_no_header_is_wrong_for_ever)
{
    const size_t n = bad[_i].n_bytes;
    for (size_t cut = 0; cut < n; cut++) {
        struct proxy proxy = {0};
        proxy_take(&proxy, bad[_i].bytes, cut);
        proxy_take(&proxy, bad[_i].bytes + cut, n - cut);
        ck_assert_int_eq(proxy.state, PROXY_WRONG);
        ck_assert_int_eq(proxy.from.family, AF_UNSPEC);
        ck_assert_uint_eq(proxy_take(&proxy, good[0].bytes, good[0].n_bytes), 0);
    }
}
END_TEST

/* It has the time of a head; who only looks whether the door opens may do so. */
START_TEST(a_header_that_does_not_come_is_waited_for_as_a_head_is)
{
    static struct client client, other;
    static struct daemon host;
    static const char *const trusted = "127.0.0.1";
    struct settings settings = daemon_settings();
    settings.trusted_proxies = &trusted;
    settings.n_trusted_proxies = 1;
    daemon_door = "127.0.0.1:0+proxy";
    daemon_start(&host, &settings, NULL);
    client_open_door(&client, &host);
    client_send(&client, "PROXY TCP4 192.0.2.1");
    client_open_door(&other, &host);
    ck_assert(client_closed(&client));
    ck_assert(client_closed(&other));
    client_close(&client);
    client_close(&other);
    ck_assert_int_eq(daemon_get(&host, "/v2/health/live").status, 200);
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

START_TEST(a_header_longer_than_a_read_is_taken_off)
{
    static char bytes[16 + 65535];
    static struct client client;
    static struct daemon host;
    static const char *const trusted = "127.0.0.1";
    struct settings settings = daemon_settings();
    settings.trusted_proxies = &trusted;
    settings.n_trusted_proxies = 1;
    daemon_door = "127.0.0.1:0+proxy";
    daemon_start(&host, &settings, NULL);
    memcpy(bytes, V2 "\x21\x11\xff\xff" V4, 28);
    client_open_door(&client, &host);
    ck_assert(client_send_bytes(&client, bytes, sizeof bytes));
    client_send(&client, "GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n");
    ck_assert_int_eq(client_reply(&client).status, 200);
    client_close(&client);
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

Suite *http_proxy_suite(void)
{
    Suite *suite = suite_create("http/proxy");
    TCase *tcase = tcase_create("proxy");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, a_header_is_read, 0, sizeof good / sizeof *good);
    tcase_add_test(tcase, a_long_header_is_skipped);
    tcase_add_loop_test(tcase, what_is_no_header_is_wrong_for_ever, 0, sizeof bad / sizeof *bad);
    tcase_add_test(tcase, a_header_that_does_not_come_is_waited_for_as_a_head_is);
    tcase_add_test(tcase, a_header_longer_than_a_read_is_taken_off);
    suite_add_tcase(suite, tcase);
    return suite;
}
