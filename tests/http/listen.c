/* listen.c - tests of http/listen.c: addresses that work, addresses that do not, a socket passed.
 */
#include "http/listen.h"

#include "base/err.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct percept_err err;

static const char *const good[] = {"127.0.0.1:0", "localhost:0", ":0", "0", "*:0", "[::]:0"};

START_TEST(addresses_are_listened_on)
{
    int fd = listen_open(good[_i], &err);
    if (fd < 0 && strcmp(good[_i], "[::]:0") == 0) {
        printf("skipped: no IPv6 here\n");
        return;
    }
    ck_assert_msg(fd >= 0, "%s", err.text);
    ck_assert_int_gt(listen_port(fd), 0);
    ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)listen_port(fd)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int client = socket(AF_INET, SOCK_STREAM, 0);
    if (good[_i][0] != '[')
        ck_assert_int_eq(connect(client, (struct sockaddr *)&to, sizeof to), 0);
    close(client);
    close(fd);
}
END_TEST

static const char *const bad[] = {"",
                                  "127.0.0.1",
                                  "127.0.0.1:",
                                  "127.0.0.1:x",
                                  "127.0.0.1:65536",
                                  "127.0.0.1:-1",
                                  "1.2.3:80",
                                  "example.org:80",
                                  "[::1:80",
                                  "::::80:80",
                                  "fd:",
                                  "fd:x",
                                  "fd:0x3",
                                  "fd:999"};

START_TEST(what_is_no_address_is_refused_with_a_sentence)
{
    ck_assert_int_eq(listen_open(bad[_i], &err), -1);
    ck_assert_int_eq(err.code, ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.text, "expected ADDRESS:PORT"));
}
END_TEST

START_TEST(a_port_alone_is_on_loopback)
{
    int fd = listen_open("0", &err);
    struct sockaddr_in address = {.sin_family = AF_UNSPEC};
    socklen_t n_bytes = sizeof address;
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &n_bytes), 0);
    ck_assert_int_eq(address.sin_family, AF_INET);
    ck_assert_uint_eq(ntohl(address.sin_addr.s_addr), INADDR_LOOPBACK);
    close(fd);
}
END_TEST

START_TEST(a_port_in_use_is_told)
{
    char where[40];
    int fd = listen_open("127.0.0.1:0", &err);
    snprintf(where, sizeof where, "127.0.0.1:%d", listen_port(fd));
    ck_assert_int_eq(listen_open(where, &err), -1);
    ck_assert_int_eq(err.code, ERR_SYSTEM);
    ck_assert_ptr_nonnull(strstr(err.text, strerror(EADDRINUSE)));
    close(fd);
}
END_TEST

START_TEST(a_passed_socket_is_used_and_others_are_refused)
{
    char where[20];
    int fd = listen_open("127.0.0.1:0", &err);
    snprintf(where, sizeof where, "fd:%d", fd);
    ck_assert_int_eq(listen_open(where, &err), fd);
    int other = socket(AF_INET, SOCK_STREAM, 0);
    snprintf(where, sizeof where, "fd:%d", other);
    ck_assert_int_eq(listen_open(where, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "no listening socket"));
    close(other);
    close(fd);
}
END_TEST

Suite *http_listen_suite(void)
{
    Suite *suite = suite_create("http/listen");
    TCase *tcase = tcase_create("listen");
    tcase_add_loop_test(tcase, addresses_are_listened_on, 0, sizeof good / sizeof good[0]);
    tcase_add_loop_test(tcase, what_is_no_address_is_refused_with_a_sentence, 0, sizeof bad / sizeof bad[0]);
    tcase_add_test(tcase, a_port_alone_is_on_loopback);
    tcase_add_test(tcase, a_port_in_use_is_told);
    tcase_add_test(tcase, a_passed_socket_is_used_and_others_are_refused);
    suite_add_tcase(suite, tcase);
    return suite;
}
