/* What we tell systemd, over real sockets, by name and in the abstract namespace. */
#include "sd.h"

#include <check.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A datagram socket bound to the name; '@' stands for the abstract namespace. */
static int listen_at(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t n = strlen(name);
    memcpy(address.sun_path, name, n);
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    ck_assert_int_ge(fd, 0);
    socklen_t n_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (name[0] == '/'));
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, n_bytes), 0);
    setenv("NOTIFY_SOCKET", name, 1);
    return fd;
}

static void expect(int fd, const char *message)
{
    char got[600] = "";
    ssize_t n = recv(fd, got, sizeof got - 1, MSG_DONTWAIT);
    ck_assert_int_eq(n, (ssize_t)strlen(message));
    ck_assert_str_eq(got, message);
}

START_TEST(messages_reach_a_named_socket)
{
    char name[64];
    snprintf(name, sizeof name, "/tmp/perceptd-sd-%d", (int)getpid());
    int fd = listen_at(name);
    ck_assert(sd_tell("READY=1\nSTATUS=fine"));
    expect(fd, "READY=1\nSTATUS=fine");
    ck_assert(sd_tellf("STATUS=loading %d/%d", 2, 5));
    expect(fd, "STATUS=loading 2/5");
    close(fd);
    unlink(name);
}
END_TEST

START_TEST(messages_reach_an_abstract_socket)
{
    char name[64];
    snprintf(name, sizeof name, "@perceptd-sd-%d", (int)getpid());
    int fd = listen_at(name);
    ck_assert(sd_tell("WATCHDOG=1"));
    expect(fd, "WATCHDOG=1");
    close(fd);
}
END_TEST

START_TEST(a_full_queue_does_not_wait)
{
    char name[64];
    snprintf(name, sizeof name, "@perceptd-sd-full-%d", (int)getpid());
    int fd = listen_at(name);
    int sent = 0;
    while (sent < 100000 && sd_tell("WATCHDOG=1"))
        sent++;
    ck_assert_int_lt(sent, 100000);
    close(fd);
}
END_TEST

START_TEST(nobody_listens_is_no_failure)
{
    unsetenv("NOTIFY_SOCKET");
    ck_assert(!sd_tell("READY=1"));
    setenv("NOTIFY_SOCKET", "relative", 1);
    ck_assert(!sd_tell("READY=1"));
    setenv("NOTIFY_SOCKET", "/tmp/perceptd-no-such-socket", 1);
    ck_assert(!sd_tell("READY=1"));
    char name[200];
    memset(name, 'x', sizeof name - 1);
    name[0] = '/';
    name[sizeof name - 1] = '\0';
    setenv("NOTIFY_SOCKET", name, 1);
    ck_assert(!sd_tell("READY=1"));
}
END_TEST

static void set_pid(const char *name, int pid)
{
    char text[16];
    snprintf(text, sizeof text, "%d", pid);
    setenv(name, text, 1);
}

START_TEST(sockets_are_ours_only_with_our_pid)
{
    unsetenv("LISTEN_PID");
    setenv("LISTEN_FDS", "1", 1);
    ck_assert_int_eq(sd_sockets(), 0);
    set_pid("LISTEN_PID", getpid() + 1);
    ck_assert_int_eq(sd_sockets(), 0);
    set_pid("LISTEN_PID", getpid());
    ck_assert_int_eq(sd_sockets(), 1);
    setenv("LISTEN_FDS", "1x", 1);
    ck_assert_int_eq(sd_sockets(), 0);
    setenv("LISTEN_FDS", "99999999999", 1);
    ck_assert_int_eq(sd_sockets(), 0);
}
END_TEST

START_TEST(a_socket_has_the_name_that_its_unit_says)
{
    static const char *const names[] = {"perceptd.socket", "", "ops+mode", "", ""};
    char name[16];
    setenv("LISTEN_FDNAMES", "perceptd.socket::ops+mode", 1);
    for (int i = 0; i < 5; i++) {
        ck_assert(sd_socket_name(i, name, sizeof name));
        ck_assert_str_eq(name, names[i]);
    }
    ck_assert(!sd_socket_name(0, name, 15));
    ck_assert_str_eq(name, "");
    unsetenv("LISTEN_FDNAMES");
    ck_assert(sd_socket_name(0, name, sizeof name));
    ck_assert_str_eq(name, "");
}
END_TEST

START_TEST(a_status_is_one_line)
{
    char name[64], longer[700], got[600] = "";
    snprintf(name, sizeof name, "@perceptd-sd-status-%d", (int)getpid());
    int fd = listen_at(name);
    ck_assert(sd_tell_status("READY=1", "no model is served: a\nMAINPID=1\x1b: b"));
    expect(fd, "READY=1\nSTATUS=no model is served: a MAINPID=1 : b");
    ck_assert(sd_tell_status("", "x"));
    expect(fd, "STATUS=x");
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    ck_assert(sd_tell_status("", longer));
    ck_assert_int_eq(recv(fd, got, sizeof got - 1, MSG_DONTWAIT), 511);
    close(fd);
}
END_TEST

START_TEST(a_manager_looks_on_or_holds_our_socket)
{
    unsetenv("NOTIFY_SOCKET");
    unsetenv("LISTEN_FDS");
    ck_assert(!sd_watched());
    setenv("NOTIFY_SOCKET", "@x", 1);
    ck_assert(sd_watched());
    unsetenv("NOTIFY_SOCKET");
    setenv("LISTEN_FDS", "1", 1);
    set_pid("LISTEN_PID", getpid() + 1); /* a parent's */
    ck_assert(!sd_watched());
    set_pid("LISTEN_PID", getpid());
    ck_assert(sd_watched());
}
END_TEST

START_TEST(the_watchdog_is_ours_only_with_our_pid_or_none)
{
    unsetenv("WATCHDOG_USEC");
    ck_assert_int_eq(sd_watchdog_us(), 0);
    setenv("WATCHDOG_USEC", "2000000", 1);
    unsetenv("WATCHDOG_PID");
    ck_assert_int_eq(sd_watchdog_us(), 2000000);
    set_pid("WATCHDOG_PID", getpid());
    ck_assert_int_eq(sd_watchdog_us(), 2000000);
    set_pid("WATCHDOG_PID", getpid() + 1);
    ck_assert_int_eq(sd_watchdog_us(), 0);
    unsetenv("WATCHDOG_PID");
    setenv("WATCHDOG_USEC", "-5", 1);
    ck_assert_int_eq(sd_watchdog_us(), 0);
}
END_TEST

Suite *command_sd_suite(void);

Suite *command_sd_suite(void)
{
    Suite *suite = suite_create("command_sd");
    TCase *tests = tcase_create("sd");
    tcase_add_test(tests, messages_reach_a_named_socket);
    tcase_add_test(tests, messages_reach_an_abstract_socket);
    tcase_add_test(tests, a_full_queue_does_not_wait);
    tcase_add_test(tests, nobody_listens_is_no_failure);
    tcase_add_test(tests, sockets_are_ours_only_with_our_pid);
    tcase_add_test(tests, a_socket_has_the_name_that_its_unit_says);
    tcase_add_test(tests, a_status_is_one_line);
    tcase_add_test(tests, a_manager_looks_on_or_holds_our_socket);
    tcase_add_test(tests, the_watchdog_is_ours_only_with_our_pid_or_none);
    suite_add_tcase(suite, tests);
    return suite;
}
