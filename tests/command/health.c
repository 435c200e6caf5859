/* perceptd --health against servers that answer well, badly, or not at all. */
#include "command/command.h"

#include <check.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* A server that answers one request with this text; where it listens is written to `where`. */
static pid_t serve_once(const char *reply, char *where, size_t n)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n_bytes = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, n_bytes), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    getsockname(fd, (struct sockaddr *)&address, &n_bytes);
    snprintf(where, n, "127.0.0.1:%d", ntohs(address.sin_port));
    pid_t pid = fork();
    if (pid == 0) {
        char request[1000];
        int client = accept(fd, NULL, NULL);
        ssize_t got = recv(client, request, sizeof request - 1, 0);
        bool good = got > 0 && memcmp(request, "GET /v2/health/ready HTTP/1.1\r\n", 31) == 0;
        if (good)
            send(client, reply, strlen(reply), MSG_NOSIGNAL);
        close(client);
        _exit(good ? 0 : 1);
    }
    close(fd);
    return pid;
}

static int ask(const char *reply)
{
    char where[64];
    int status;
    pid_t pid = serve_once(reply, where, sizeof where);
    const struct options options = {.listen = {.n = 2, .at = (const char *[]){where, "127.0.0.1:1"}}};
    int health = health_command(&options);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    return health;
}

START_TEST(ready_is_0)
{
    ck_assert_int_eq(ask("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), 0);
}
END_TEST

static int ask_beside_tls(const char *more)
{
    char where[64], plain[80];
    const pid_t pid = serve_once("HTTP/1.1 200 OK\r\n\r\n", where, sizeof where);
    int status;
    snprintf(plain, sizeof plain, "%s%s", where, more);
    const struct options options = {.settings = {.tls_cert = "c"},
                                    .listen = {.n = 3, .at = (const char *[]){":1", "127.0.0.1:1+ops+tls", plain}}};
    const int health = health_command(&options);
    if (health)
        kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return health;
}

START_TEST(a_place_without_tls_is_asked)
{
    ck_assert_int_eq(ask_beside_tls("+ops+plain"), 0);
    ck_assert_int_eq(ask_beside_tls(""), 1); /* there is none */
}
END_TEST

START_TEST(anything_else_is_1)
{
    ck_assert_int_eq(ask("HTTP/1.1 503 Service Unavailable\r\n\r\n{\"error\":\"loading\"}"), 1);
    ck_assert_int_eq(ask("HTTP/1.1"), 1);
    ck_assert_int_eq(ask("SSH-2.0-x\r\n"), 1);
    ck_assert_int_eq(ask(""), 1);
}
END_TEST

START_TEST(nobody_there_is_1_and_no_address_is_2)
{
    static const struct {
        const char *listen;
        int status;
    } rows[] = {{"127.0.0.1:1", 1}, {"unix:/nowhere/s", 1}, {"fd:3x", 2}}; /* 1 to the caller: main.c */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct options options = {.listen = {.n = 1, .at = (const char *[]){rows[i].listen}}};
        ck_assert_int_eq(health_command(&options), rows[i].status);
    }
}
END_TEST

Suite *command_health_suite(void);

Suite *command_health_suite(void)
{
    Suite *suite = suite_create("command_health");
    TCase *tests = tcase_create("health");
    tcase_add_test(tests, ready_is_0);
    tcase_add_test(tests, a_place_without_tls_is_asked);
    tcase_add_test(tests, anything_else_is_1);
    tcase_add_test(tests, nobody_there_is_1_and_no_address_is_2);
    suite_add_tcase(suite, tests);
    return suite;
}
