/* listen.c - tests of http/listen.c: addresses that work, addresses that do not, a socket passed.
 */
#include "http/listen.h"

#include "base/err.h"
#include "folder.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct percept_err err;

/* 108 bytes have no room for the NUL that ends them. */
#define TEN "/123456789"
#define TOO_LONG "unix:" TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "/1234567"

static const char *const good[] = {"127.0.0.1:0", "localhost:0", ":0", "0", "*:0", "[::]:0"};

START_TEST(addresses_are_listened_on)
{
    struct listener listener;
    bool opened = listen_open(good[_i], &listener, &err);
    if (!opened && strcmp(good[_i], "[::]:0") == 0) {
        printf("skipped: no IPv6 here\n");
        return;
    }
    ck_assert_msg(opened, "%s", err.text);
    ck_assert(!listener.passed);
    ck_assert_int_gt(listener.port, 0);
    ck_assert(fcntl(listener.fd, F_GETFD) & FD_CLOEXEC);
    ck_assert(fcntl(listener.fd, F_GETFL) & O_NONBLOCK);
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)listener.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int client = socket(AF_INET, SOCK_STREAM, 0);
    if (good[_i][0] != '[')
        ck_assert_int_eq(connect(client, (struct sockaddr *)&to, sizeof to), 0);
    close(client);
    listen_close(&listener);
    ck_assert_int_eq(listener.fd, -1);
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
                                  "fd:999",
                                  "unix:",
                                  "unix:relative.sock",
                                  TOO_LONG};

START_TEST(what_is_no_address_is_refused_with_a_sentence)
{
    struct listener listener;
    ck_assert(!listen_open(bad[_i], &listener, &err));
    ck_assert_int_eq(listener.fd, -1);
    ck_assert_int_eq(err.code, ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.text, "expected ADDRESS:PORT"));
}
END_TEST

START_TEST(a_port_alone_is_on_loopback)
{
    struct listener listener;
    ck_assert(listen_open("0", &listener, &err));
    struct sockaddr_in address = {.sin_family = AF_UNSPEC};
    socklen_t n_bytes = sizeof address;
    ck_assert_int_eq(getsockname(listener.fd, (struct sockaddr *)&address, &n_bytes), 0);
    ck_assert_int_eq(address.sin_family, AF_INET);
    ck_assert_uint_eq(ntohl(address.sin_addr.s_addr), INADDR_LOOPBACK);
    listen_close(&listener);
}
END_TEST

START_TEST(a_port_in_use_is_told)
{
    char where[40];
    struct listener listener, other;
    ck_assert(listen_open("127.0.0.1:0", &listener, &err));
    snprintf(where, sizeof where, "127.0.0.1:%d", listener.port);
    ck_assert(!listen_open(where, &other, &err));
    ck_assert_int_eq(err.code, ERR_SYSTEM);
    ck_assert_ptr_nonnull(strstr(err.text, where));
    ck_assert_ptr_nonnull(strstr(err.text, strerror(EADDRINUSE)));
    listen_close(&listener);
}
END_TEST

START_TEST(a_passed_socket_is_used_and_others_are_refused)
{
    char where[20];
    struct listener listener, passed;
    ck_assert(listen_open("127.0.0.1:0", &listener, &err));
    snprintf(where, sizeof where, "fd:%d", listener.fd);
    ck_assert(listen_open(where, &passed, &err));
    ck_assert(passed.passed);
    ck_assert_int_eq(passed.fd, listener.fd);
    ck_assert_int_eq(passed.port, listener.port);
    int other = socket(AF_INET, SOCK_STREAM, 0);
    snprintf(where, sizeof where, "fd:%d", other);
    ck_assert(!listen_open(where, &passed, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "no listening socket"));
    close(other);
    listen_close(&listener);
}
END_TEST

/* --- socket files ------------------------------------------------------------------------------------------------- */

static const char *socket_at(const char *name)
{
    static char where[120];
    snprintf(where, sizeof where, "unix:%s", folder_at(name));
    return where;
}

static bool can_connect(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
    int client = socket(AF_UNIX, SOCK_STREAM, 0);
    bool connected = connect(client, (struct sockaddr *)&to, sizeof to) == 0;
    close(client);
    return connected;
}

START_TEST(a_socket_file_is_for_its_group_and_goes_with_its_listener)
{
    struct listener listener;
    struct stat file;
    mode_t before = umask(_i ? 0 : 077);
    bool opened = listen_open(socket_at("s"), &listener, &err);
    umask(before);
    ck_assert_msg(opened, "%s", err.text);
    ck_assert_int_eq(listener.port, 0);
    ck_assert_int_eq(lstat(folder_at("s"), &file), 0);
    ck_assert_uint_eq(file.st_mode, S_IFSOCK | 0660);
    ck_assert(can_connect(folder_at("s")));
    listen_close(&listener);
    ck_assert_int_ne(lstat(folder_at("s"), &file), 0);
}
END_TEST

START_TEST(a_socket_file_that_is_left_over_is_replaced)
{
    struct listener listener;
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof at.sun_path, "%s", folder_at("s"));
    int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(dead, (struct sockaddr *)&at, sizeof at), 0);
    close(dead);
    ck_assert_msg(listen_open(socket_at("s"), &listener, &err), "%s", err.text);
    ck_assert(can_connect(folder_at("s")));
    listen_close(&listener);
}
END_TEST

START_TEST(a_socket_file_that_is_in_use_stays)
{
    struct listener listener, other;
    ck_assert(listen_open(socket_at("s"), &listener, &err));
    ck_assert(!listen_open(socket_at("s"), &other, &err));
    ck_assert_int_eq(err.code, ERR_SYSTEM);
    ck_assert_ptr_nonnull(strstr(err.text, "/s': another program does"));
    ck_assert(can_connect(folder_at("s")));
    listen_close(&listener);
}
END_TEST

START_TEST(a_file_that_is_no_socket_stays)
{
    struct listener listener;
    struct stat file;
    folder_text("s", "precious");
    ck_assert(!listen_open(socket_at("s"), &listener, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "or it is no socket"));
    ck_assert_int_eq(lstat(folder_at("s"), &file), 0);
    ck_assert_int_eq(file.st_size, 8);
    ck_assert(!listen_open(socket_at("none/s"), &listener, &err));
    ck_assert_ptr_nonnull(strstr(err.text, strerror(ENOENT)));
}
END_TEST

START_TEST(a_socket_file_of_somebody_elses_is_not_removed)
{
    struct listener listener, other;
    ck_assert(listen_open(socket_at("s"), &listener, &err));
    ck_assert_int_eq(rename(folder_at("s"), folder_at("t")), 0);
    ck_assert(listen_open(socket_at("s"), &other, &err));
    listen_close(&listener);
    ck_assert(can_connect(folder_at("s")));
    listen_close(&other);
}
END_TEST

START_TEST(behind_the_bolt_the_queue_is_left_and_nobody_joins)
{
    struct listener listener;
    struct stat file;
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    ck_assert(listen_open(socket_at("s"), &listener, &err));
    snprintf(to.sun_path, sizeof to.sun_path, "%s", folder_at("s"));
    int client = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(client, (struct sockaddr *)&to, sizeof to), 0);
    listen_bolt(&listener);
    ck_assert_int_ne(lstat(folder_at("s"), &file), 0);
    ck_assert(!can_connect(folder_at("s")));
    int accepted = accept(listener.fd, NULL, NULL);
    ck_assert_int_ge(accepted, 0);
    close(accepted);
    close(client);
    listen_close(&listener);
}
END_TEST

START_TEST(a_bolt_is_not_for_a_socket_that_was_passed)
{
    char where[20];
    struct listener listener, passed;
    ck_assert(listen_open(socket_at("s"), &listener, &err));
    snprintf(where, sizeof where, "fd:%d", listener.fd);
    ck_assert(listen_open(where, &passed, &err));
    listen_bolt(&passed);
    ck_assert(can_connect(folder_at("s")));
    listen_close(&passed);
    listener.fd = -1; /* the same */
    listen_close(&listener);
}
END_TEST

static void begin(void)
{
    folder_begin("listen");
}

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
    TCase *files = tcase_create("files");
    tcase_add_checked_fixture(files, begin, folder_end);
    tcase_add_loop_test(files, a_socket_file_is_for_its_group_and_goes_with_its_listener, 0, 2);
    tcase_add_test(files, a_socket_file_that_is_left_over_is_replaced);
    tcase_add_test(files, a_socket_file_that_is_in_use_stays);
    tcase_add_test(files, a_file_that_is_no_socket_stays);
    tcase_add_test(files, a_socket_file_of_somebody_elses_is_not_removed);
    tcase_add_test(files, behind_the_bolt_the_queue_is_left_and_nobody_joins);
    tcase_add_test(files, a_bolt_is_not_for_a_socket_that_was_passed);
    suite_add_tcase(suite, files);
    return suite;
}
