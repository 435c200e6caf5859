/*
 * doors.c - several places to listen at: addresses, a socket file, sockets that were passed. All serve the same, and
 * the stop loses nobody at any of them.
 */
#include "rig.h"

#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define PLACES 3
#define KNOCKERS 2 /* at each place */
#define KNOCKS 200 /* answered before the signal */
#define QUEUED 20  /* at each place, while nobody looks */

struct place {
    int port; /* 0: the socket file */
    char path[108];
};

static struct rig rig;
static struct place places[PLACES];

/* A client of this place. */
static bool open_at(struct client *client, const struct place *place)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = RIG_PATIENCE_MS / 1000};
    if (place->port)
        return client_open(client, place->port);
    snprintf(to.sun_path, sizeof to.sun_path, "%s", place->path);
    *client = (struct client){.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(client->fd, (struct sockaddr *)&to, sizeof to) == 0)
        return true;
    client_close(client);
    return false;
}

static struct reply ask_at(const struct place *place, const char *method, const char *path, const char *body)
{
    struct client client;
    struct reply reply = {0};
    if (!open_at(&client, place))
        return reply;
    client_request(&client, method, path, "Connection: close\r\nContent-Type: text/plain\r\n", body, strlen(body));
    reply = client_reply(&client);
    client_close(&client);
    return reply;
}

static bool is_there(const char *path)
{
    struct stat file;
    return lstat(path, &file) == 0;
}

/* Two addresses and a socket file. */
static void begin_with(const char *models)
{
    rig_begin(&rig);
    memset(places, 0, sizeof places);
    places[1].port = rig_free_port();
    snprintf(places[2].path, sizeof places[2].path, "%s/socket", rig.folder);
    free(rig_shell(NULL, "mkdir %s/none", rig.folder));
    rig_start(&rig, "%s%s --ready-when-empty --listen 127.0.0.1:0,127.0.0.1:%d --listen unix:%s",
              models ? models : rig.folder, models ? "" : "/none", places[1].port, places[2].path);
    places[0].port = rig.port;
}

START_TEST(all_places_serve_the_same)
{
    static const struct {
        const char *method, *path, *body;
        int status;
    } asked[] = {{"GET", "/v2/health/ready", "", 200},
                 {"GET", "/v2/models/names", "", 200},
                 {"POST", "/v2/models/names/infer", "Nguyen", 200},
                 {"GET", "/v2/models/nobody", "", 404}};
    if (!rig_is_there())
        return;
    begin_with("models");
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        struct reply replies[PLACES];
        for (int p = 0; p < PLACES; p++) {
            replies[p] = ask_at(&places[p], asked[i].method, asked[i].path, asked[i].body);
            ck_assert_msg(replies[p].status == asked[i].status, "place %d, %s: %d", p, asked[i].path,
                          replies[p].status);
            ck_assert_str_eq(replies[p].body, replies[0].body);
        }
        for (int p = 0; p < PLACES; p++)
            reply_free(&replies[p]);
    }
    free(rig_shell(NULL, "%s --health --listen unix:%s", getenv("PERCEPTD_BINARY"), places[2].path));
    ck_assert_int_eq(rig_stop(&rig), 0);
    ck_assert(!is_there(places[2].path));
    rig_end(&rig);
}
END_TEST

/* A door for those who look after the server, and a socket file for everybody. */
START_TEST(a_place_may_have_a_mode_and_be_for_operators_alone)
{
    static const struct {
        const char *method, *path;
        int here, there;
    } asked[] = {{"GET", "/v2/health/ready", 200, 200},
                 {"GET", "/v2/health/live", 200, 200},
                 {"GET", "/metrics", 200, 200},

                 {"GET", "/v2", 404, 200},
                 {"GET", "/", 404, 200},
                 {"GET", "/v2/models", 404, 200},
                 {"POST", "/v2/models/a/infer", 404, 404},
                 {"POST", "/v2/logging", 404, 403},
                 {"POST", "/metrics", 404, 405}};
    struct stat file;
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    places[0] = (struct place){.port = 0};
    snprintf(places[0].path, sizeof places[0].path, "%s/ops", rig.folder);
    places[1] = (struct place){.port = 0};
    snprintf(places[1].path, sizeof places[1].path, "%s/socket", rig.folder);
    free(rig_shell(NULL, "mkdir %s/none", rig.folder));
    rig_start(&rig, "%s/none --ready-when-empty --listen 127.0.0.1:0 --listen unix:%s+ops,unix:%s+mode=0606",
              rig.folder, places[0].path, places[1].path);
    ck_assert(stat(places[0].path, &file) == 0 && (file.st_mode & 0777) == 0660);
    ck_assert(stat(places[1].path, &file) == 0 && (file.st_mode & 0777) == 0606);
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++)
        for (int p = 0; p < 2; p++) {
            struct reply reply = ask_at(&places[p], asked[i].method, asked[i].path, "");
            ck_assert_msg(reply.status == (p ? asked[i].there : asked[i].here), "place %d, %s %s: %d", p,
                          asked[i].method, asked[i].path, reply.status);
            reply_free(&reply);
        }
    free(rig_shell(NULL, "%s --health --listen unix:%s+ops", getenv("PERCEPTD_BINARY"), places[0].path));
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_end(&rig);
}
END_TEST

START_TEST(who_comes_by_a_socket_file_is_known)
{
    char expected[64];
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    places[0] = (struct place){.port = 0};
    snprintf(places[0].path, sizeof places[0].path, "%s/socket", rig.folder);
    free(rig_shell(NULL, "mkdir %s/none", rig.folder));
    rig_start(&rig, "%s/none --ready-when-empty --access-log --listen 127.0.0.1:0,unix:%s", rig.folder, places[0].path);
    struct reply reply = ask_at(&places[0], "GET", "/v2", "");
    ck_assert_int_eq(reply.status, 200);
    reply_free(&reply);
    ck_assert_int_eq(rig_stop(&rig), 0);
    snprintf(expected, sizeof expected, "client=unix uid=%d method=GET path=/v2 ", (int)getuid());
    ck_assert(rig_log_has(&rig, expected));
    ck_assert(!rig_log_has(&rig, "client=127.0.0.1 uid="));
    rig_end(&rig);
}
END_TEST

/* What curl and the program say to each other. */
START_TEST(tls_is_spoken_where_there_is_a_certificate)
{
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    if (system("command -v openssl >/dev/null && command -v curl >/dev/null") != 0) {
        printf("skipped: no openssl or curl here\n");
        rig_end(&rig);
        return;
    }
    const char *make =
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout %s/key -out %s/cert "
        "-days 2 -subj /CN=%s -addext subjectAltName=DNS:localhost 2>/dev/null";
    const int port = rig_free_port();
    free(rig_shell(NULL, make, rig.folder, rig.folder, "first"));
    free(rig_shell(NULL, "mkdir %s/none && cp %s/cert %s/old", rig.folder, rig.folder, rig.folder));
    rig_start(&rig,
              "%s/none --ready-when-empty --listen 127.0.0.1:0+plain,127.0.0.1:%d --tls-cert %s/cert --tls-key %s/key",
              rig.folder, port, rig.folder, rig.folder);
    ck_assert(rig_log_has(&rig, "https://127.0.0.1:"));
    free(rig_shell(NULL, "curl -fsS --cacert %s/cert https://localhost:%d/v2/health/ready", rig.folder, port));
    free(rig_shell(NULL, make, rig.folder, rig.folder, "second"));
    kill(rig.pid, SIGHUP);
    for (int tries = 0; !rig_log_has(&rig, "the TLS certificate was read again") && tries < 2000; tries++)
        rig_pause(5);
    free(rig_shell(NULL, "curl -fsS --cacert %s/cert https://localhost:%d/v2/health/ready", rig.folder, port));
    free(rig_shell(NULL, "! curl -fsS --cacert %s/old https://localhost:%d/v2/health/ready 2>/dev/null", rig.folder,
                   port));
    free(rig_shell(NULL, "curl -sS http://localhost:%d/v2 | grep -q 'this port speaks TLS'", port));
    free(rig_shell(NULL, "%s --health --tls-cert x --listen :%d,:%d+plain", getenv("PERCEPTD_BINARY"), port, rig.port));
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_end(&rig);
}
END_TEST

/* The one that cannot be had is named, and what was opened before it is gone. */
START_TEST(a_place_that_is_taken_is_named)
{
    char says[200];
    struct rig other;
    if (!rig_is_there())
        return;
    begin_with(NULL);
    rig_begin(&other);
    rig_spawn(&other, "%s/none --ready-when-empty --listen 0,unix:%s/s,127.0.0.1:%d", rig.folder, other.folder,
              places[1].port);
    ck_assert_int_eq(rig_wait(&other), 1);
    snprintf(says, sizeof says, "cannot listen on '127.0.0.1:%d': another program does; stop it", places[1].port);
    ck_assert(rig_log_has(&other, says));
    snprintf(says, sizeof says, "%s/s", other.folder);
    ck_assert(!is_there(says));
    rig_spawn(&other, "%s/none --ready-when-empty --listen 0 --listen unix:%s", rig.folder, places[2].path);
    ck_assert_int_eq(rig_wait(&other), 1);
    snprintf(says, sizeof says, "cannot listen on 'unix:%s': another program does", places[2].path);
    ck_assert(rig_log_has(&other, says));
    rig_end(&other);
    for (int p = 0; p < PLACES; p++) { /* the first one has noticed nothing */
        struct reply reply = ask_at(&places[p], "GET", "/v2/health/live", "");
        ck_assert_int_eq(reply.status, 200);
        reply_free(&reply);
    }
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_end(&rig);
}
END_TEST

START_TEST(what_a_crash_left_is_replaced)
{
    if (!rig_is_there())
        return;
    begin_with(NULL);
    kill(rig.pid, SIGKILL);
    ck_assert_int_eq(rig_wait(&rig), 128 + SIGKILL);
    ck_assert(is_there(places[2].path));
    rig_start(&rig, "%s/none --ready-when-empty --listen 127.0.0.1:0,unix:%s", rig.folder, places[2].path);
    struct reply reply = ask_at(&places[2], "GET", "/v2/health/live", "");
    ck_assert_int_eq(reply.status, 200);
    reply_free(&reply);
    ck_assert_int_eq(rig_stop(&rig), 0);
    ck_assert(!is_there(places[2].path));
    rig_end(&rig);
}
END_TEST

/* --- the stop ----------------------------------------------------------------------------------------------------- */

struct knocker {
    pthread_t thread;
    const struct place *place;
    int answered, lost;
    int status; /* of the lost one */
};

/* A connection for each request, until nobody is let in. */
static void *knock(void *at)
{
    struct knocker *knocker = at;
    struct client client;
    while (open_at(&client, knocker->place)) {
        client_request(&client, "GET", "/v2/health/live", "Connection: close\r\n", NULL, 0);
        struct reply reply = client_reply(&client);
        if (reply.status == 200) {
            __atomic_add_fetch(&knocker->answered, 1, __ATOMIC_RELAXED);
        } else {
            knocker->lost++;
            knocker->status = reply.status;
        }
        reply_free(&reply);
        client_close(&client);
    }
    return NULL;
}

START_TEST(nobody_is_lost_while_the_doors_close)
{
    struct knocker knockers[PLACES * KNOCKERS];
    if (!rig_is_there())
        return;
    begin_with(NULL);
    for (int i = 0; i < PLACES * KNOCKERS; i++) {
        knockers[i] = (struct knocker){.place = &places[i % PLACES]};
        ck_assert_int_eq(pthread_create(&knockers[i].thread, NULL, knock, &knockers[i]), 0);
    }
    for (int i = 0; i < PLACES * KNOCKERS; i++)
        while (__atomic_load_n(&knockers[i].answered, __ATOMIC_RELAXED) < KNOCKS)
            rig_pause(1);
    ck_assert_int_eq(rig_stop(&rig), 0);
    for (int i = 0; i < PLACES * KNOCKERS; i++) {
        pthread_join(knockers[i].thread, NULL);
        ck_assert_msg(!knockers[i].lost, "place %d: after %d answers %d connections got none: %d", i % PLACES,
                      knockers[i].answered, knockers[i].lost, knockers[i].status);
    }
    ck_assert(!is_there(places[2].path));
    rig_end(&rig);
}
END_TEST

START_TEST(whoever_is_in_a_queue_is_answered_by_the_stop)
{
    static const char request[] = "GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n";
    static struct client queued[PLACES][QUEUED];
    if (!rig_is_there())
        return;
    begin_with(NULL);
    kill(rig.pid, SIGSTOP);
    kill(rig.pid, SIGTERM);
    for (int p = 0; p < PLACES; p++)
        for (int i = 0; i < QUEUED; i++) {
            ck_assert(open_at(&queued[p][i], &places[p]));
            ck_assert(client_send(&queued[p][i], request, sizeof request - 1));
        }
    kill(rig.pid, SIGCONT);
    for (int p = 0; p < PLACES; p++)
        for (int i = 0; i < QUEUED; i++) {
            struct reply reply = client_reply(&queued[p][i]);
            ck_assert_msg(reply.status == 200, "place %d, client %d: %d", p, i, reply.status);
            reply_free(&reply);
            client_close(&queued[p][i]);
        }
    ck_assert_int_eq(rig_wait(&rig), 0);
    rig_end(&rig);
}
END_TEST

/* --- passed sockets ----------------------------------------------------------------------------------------------- */

static int bound(int family, struct sockaddr *address, socklen_t n_bytes)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, address, n_bytes), 0);
    ck_assert_int_eq(listen(fd, QUEUED), 0);
    return fcntl(fd, F_DUPFD_CLOEXEC, 10); /* out of the way of those that are passed */
}

/* As systemd starts a service with these sockets, from descriptor 3 on. */
static void start_with(const int *fds, int n)
{
    char command[400];
    snprintf(command, sizeof command,
             "LISTEN_FDS=%d LISTEN_FDNAMES=perceptd.socket:ops LISTEN_PID=$$ exec %s serve %s/none --ready-when-empty "
             "--listen 127.0.0.1:1",
             n, getenv("PERCEPTD_BINARY"), rig.folder);
    rig.pid = fork();
    if (rig.pid)
        return;
    rig_default_signals();
    int log = open(rig.log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    for (int i = 0; i < n; i++)
        if (dup2(fds[i], 3 + i) < 0)
            _exit(126);
    if (dup2(log, 2) < 0)
        _exit(126);
    execl("/bin/sh", "sh", "-c", command, NULL);
    _exit(127);
}

/* They stay whoever's they are: who comes later waits for whoever serves next. */
START_TEST(all_sockets_that_systemd_passes_are_served)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un file = {.sun_family = AF_UNIX};
    struct client waiting;
    socklen_t n_bytes = sizeof address;
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    free(rig_shell(NULL, "mkdir %s/none", rig.folder));
    snprintf(file.sun_path, sizeof file.sun_path, "%s/passed", rig.folder);
    int fds[] = {bound(AF_INET, (struct sockaddr *)&address, sizeof address),
                 bound(AF_UNIX, (struct sockaddr *)&file, sizeof file)};
    getsockname(fds[0], (struct sockaddr *)&address, &n_bytes);
    struct place passed[2] = {{.port = ntohs(address.sin_port)}, {.port = 0}};
    snprintf(passed[1].path, sizeof passed[1].path, "%s", file.sun_path);
    for (int round = 0; round < 2; round++) {
        start_with(fds, 2);
        for (int p = 0; p < 2; p++) {
            struct reply reply = ask_at(&passed[p], "GET", "/v2/health/live", "");
            ck_assert_msg(reply.status == 200, "round %d, socket %d: %d", round, p, reply.status);
            reply_free(&reply);
            reply = ask_at(&passed[p], "GET", "/v2", "");
            ck_assert_msg(reply.status == (p ? 404 : 200), "round %d, socket %d: %d", round, p, reply.status);
            reply_free(&reply);
        }
        rig.port = passed[0].port;
        rig_ready(&rig);
        ck_assert_int_eq(rig_stop(&rig), 0);
        ck_assert(open_at(&waiting, &passed[1])); /* it is there yet, and nobody is refused */
        client_close(&waiting);
    }
    close(fds[0]);
    close(fds[1]);
    rig_end(&rig);
}
END_TEST

Suite *daemon_doors_suite(void);

Suite *daemon_doors_suite(void)
{
    Suite *suite = suite_create("daemon_doors");
    TCase *tests = tcase_create("doors");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, all_places_serve_the_same);
    tcase_add_test(tests, a_place_may_have_a_mode_and_be_for_operators_alone);
    tcase_add_test(tests, who_comes_by_a_socket_file_is_known);
    tcase_add_test(tests, tls_is_spoken_where_there_is_a_certificate);
    tcase_add_test(tests, a_place_that_is_taken_is_named);
    tcase_add_test(tests, what_a_crash_left_is_replaced);
    tcase_add_test(tests, nobody_is_lost_while_the_doors_close);
    tcase_add_test(tests, whoever_is_in_a_queue_is_answered_by_the_stop);
    tcase_add_test(tests, all_sockets_that_systemd_passes_are_served);
    suite_add_tcase(suite, tests);
    return suite;
}
