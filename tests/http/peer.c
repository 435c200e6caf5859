/* peer.c - tests of http/peer.c: ranges, and who a client is behind proxies. */
#include "http/peer.h"

#include "base/err.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

Suite *http_peer_suite(void);

static struct sockaddr_storage address_of(const char *text)
{
    struct sockaddr_storage address = {.ss_family = AF_UNIX};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address;
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1)
        address.ss_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1)
        address.ss_family = AF_INET6;
    return address;
}

#define LISTS 3

static const struct {
    const char *from, *forwarded[LISTS], *client;
} rows[] = {
    {"192.0.2.1", {NULL}, "192.0.2.1"},
    {"192.0.2.1", {"203.0.113.9"}, "192.0.2.1"}, /* anybody can say that */
    {"10.1.2.3", {NULL}, "10.1.2.3"},
    {"10.1.2.3", {"203.0.113.9"}, "203.0.113.9"},
    {"10.1.2.3", {"198.51.100.1, 203.0.113.9"}, "203.0.113.9"},
    {"10.1.2.3", {"198.51.100.1, 203.0.113.9 ,\t10.9.9.9"}, "203.0.113.9"},
    {"10.1.2.3", {"198.51.100.1", "203.0.113.9", "10.0.0.1, 10.0.0.2"}, "203.0.113.9"},
    {"10.1.2.3", {"10.0.0.7, 10.0.0.8"}, "10.0.0.7"}, /* all of them ours */
    {"10.1.2.3", {"203.0.113.9, unknown"}, "10.1.2.3"},
    {"10.1.2.3", {"203.0.113.9, unknown, 10.0.0.8"}, "10.0.0.8"},
    {"10.1.2.3", {""}, "10.1.2.3"},
    {"10.1.2.3", {","}, "10.1.2.3"},
    {"10.1.2.3", {"203.0.113.9:4711"}, "203.0.113.9"},
    {"10.1.2.3", {"[2001:db8::1]:4711"}, "2001:db8::1"},
    {"10.1.2.3", {"2001:db8::1"}, "2001:db8::1"},
    {"10.1.2.3", {"<script>"}, "10.1.2.3"},
    {"10.1.2.3", {"203.0.113.9203.0.113.9203.0.113.9203.0.113.9203.0.113.9203.0.113.9203.0.113.9"}, "10.1.2.3"},
    {"::ffff:10.1.2.3", {"203.0.113.9"}, "203.0.113.9"},
    {"::ffff:192.0.2.1", {"203.0.113.9"}, "192.0.2.1"},
    {"2001:db8:1::5", {"203.0.113.9"}, "203.0.113.9"},
    {"2001:db8:2::5", {"203.0.113.9"}, "2001:db8:2::5"},
    {"172.31.255.255", {"203.0.113.9"}, "203.0.113.9"},
    {"172.32.0.0", {"203.0.113.9"}, "172.32.0.0"},
    {"local", {NULL}, "unix"},
    {"local", {"203.0.113.9"}, "203.0.113.9"},
    {"local", {"nonsense"}, "unix"},
};

START_TEST(a_client_is_found_behind_trusted_proxies)
{
    static const char *const trusted[] = {"10.0.0.0/8", "172.16.0.0/12", "2001:db8:1::/48", "unix"};
    struct peers peers;
    struct percept_err err;
    struct bytes forwarded[LISTS];
    char text[PEER_TEXT];
    int n = 0;
    ck_assert(peer_read(trusted, 4, &peers, &err));
    for (; n < LISTS && rows[_i].forwarded[n]; n++)
        forwarded[n] = bytes_of_text(rows[_i].forwarded[n]);
    struct sockaddr_storage from = address_of(rows[_i].from);
    peer_client(&peers, (struct sockaddr *)&from, forwarded, n, text);
    ck_assert_str_eq(text, rows[_i].client);
    peer_free(&peers);
}
END_TEST

START_TEST(a_proxy_is_known_by_its_address)
{
    static const char *const trusted[] = {"10.0.0.0/8", "2001:db8:1::/48"}, *const local = "unix";
    static const struct {
        const char *from;
        bool first, second;
    } asked[] = {{"10.1.2.3", true, false},      {"11.1.2.3", false, false},      {"::ffff:10.9.9.9", true, false},
                 {"2001:db8:1::5", true, false}, {"2001:db8:2::5", false, false}, {"local", false, true}};
    struct peers first, second;
    struct percept_err err;
    ck_assert(peer_read(trusted, 2, &first, &err) && peer_read(&local, 1, &second, &err));
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        struct sockaddr_storage from = address_of(asked[i].from);
        ck_assert_int_eq(peer_is_trusted(&first, (struct sockaddr *)&from), asked[i].first);
        ck_assert_int_eq(peer_is_trusted(&second, (struct sockaddr *)&from), asked[i].second);
    }
    peer_free(&first);
    peer_free(&second);
}
END_TEST

START_TEST(nobody_is_trusted_by_default)
{
    struct peers peers;
    struct percept_err err;
    struct bytes forwarded = bytes_of_text("203.0.113.9");
    struct sockaddr_storage v4 = address_of("127.0.0.1"), local = address_of("local");
    char text[PEER_TEXT];
    ck_assert(peer_read(NULL, 0, &peers, &err));
    peer_client(&peers, (struct sockaddr *)&v4, &forwarded, 1, text);
    ck_assert_str_eq(text, "127.0.0.1");
    peer_client(&peers, (struct sockaddr *)&local, &forwarded, 1, text);
    ck_assert_str_eq(text, "unix");
    peer_client(&peers, NULL, &forwarded, 1, text);
    ck_assert_str_eq(text, "?");
    peer_free(&peers);
}
END_TEST

START_TEST(everybody_may_be_trusted)
{
    static const char *const all[] = {"0.0.0.0/0", "::/0"};
    struct peers peers;
    struct percept_err err;
    struct bytes forwarded = bytes_of_text("198.51.100.1, 203.0.113.9");
    struct sockaddr_storage v4 = address_of("192.0.2.1");
    char text[PEER_TEXT];
    for (int i = 0; i < 2; i++) {
        ck_assert(peer_read(&all[i], 1, &peers, &err));
        peer_client(&peers, (struct sockaddr *)&v4, &forwarded, 1, text);
        ck_assert_str_eq(text, "198.51.100.1");
        peer_free(&peers);
    }
}
END_TEST

START_TEST(what_is_no_range_is_named)
{
    static const char *const bad[] = {"",       "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "10.0.0/8",
                                      "::/129", "localhost",   "10.0.0.1:80", "unix:",     "10.0.0.0/8/8"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct peers peers;
        struct percept_err err;
        ck_assert(!peer_read(&bad[i], 1, &peers, &err));
        ck_assert_int_eq(err.code, ERR_CONFIG);
        ck_assert_ptr_nonnull(strstr(err.text, bad[i]));
    }
}
END_TEST

Suite *http_peer_suite(void)
{
    Suite *suite = suite_create("http/peer");
    TCase *tcase = tcase_create("peer");
    tcase_add_loop_test(tcase, a_client_is_found_behind_trusted_proxies, 0, sizeof rows / sizeof *rows);
    tcase_add_test(tcase, a_proxy_is_known_by_its_address);
    tcase_add_test(tcase, nobody_is_trusted_by_default);
    tcase_add_test(tcase, everybody_may_be_trusted);
    tcase_add_test(tcase, what_is_no_range_is_named);
    suite_add_tcase(suite, tcase);
    return suite;
}
