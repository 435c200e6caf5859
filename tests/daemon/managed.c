/*
 * managed.c - under a service manager, which a test plays: it holds the listening socket and reads
 * what the daemon tells. A daemon that has nothing to serve stays and says so, in its status, in
 * readiness and in the log, since whatever ends is started again by the next connection.
 */
#include "rig.h"

#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct manager {
    struct rig rig;
    int door, notify; /* the socket to pass, the one to read from */
    char name[48];
    char status[600]; /* the newest STATUS */
    bool ready, reloading;
};

static void begin(struct manager *manager)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un abstract = {.sun_family = AF_UNIX};
    socklen_t n = sizeof address;
    *manager = (struct manager){.ready = false};
    rig_begin(&manager->rig);
    manager->door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(manager->door, (struct sockaddr *)&address, n), 0);
    ck_assert_int_eq(listen(manager->door, 64), 0);
    ck_assert_int_eq(getsockname(manager->door, (struct sockaddr *)&address, &n), 0);
    manager->rig.port = ntohs(address.sin_port);
    snprintf(manager->name, sizeof manager->name, "@perceptd-managed-%d", (int)getpid());
    memcpy(abstract.sun_path + 1, manager->name + 1, strlen(manager->name + 1));
    manager->notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(manager->name));
    ck_assert_int_eq(bind(manager->notify, (struct sockaddr *)&abstract, n), 0);
}

static void end(struct manager *manager)
{
    close(manager->door);
    close(manager->notify);
    rig_end(&manager->rig);
}

/* As systemd starts a service: the socket is descriptor 3 if it is passed. */
static void start(struct manager *manager, bool pass_door, const char *arguments)
{
    char command[400];
    snprintf(command, sizeof command, "%s exec %s serve --region-prefix perceptd-test --listen 127.0.0.1:0 %s",
             pass_door ? "LISTEN_FDS=1 LISTEN_PID=$$" : "", getenv("PERCEPTD_BINARY"), arguments);
    manager->rig.pid = fork();
    if (manager->rig.pid == 0) {
        rig_default_signals();
        int log = open(manager->rig.log, O_WRONLY | O_CREAT | O_APPEND, 0600);
        if (dup2(log, 2) < 0 || (pass_door && dup2(manager->door, 3) < 0))
            _exit(126);
        if (pass_door && manager->door == 3)
            fcntl(3, F_SETFD, 0);
        setenv("NOTIFY_SOCKET", manager->name, 1);
        execl("/bin/sh", "sh", "-c", command, NULL);
        _exit(127);
    }
}

/* Reads what the daemon tells until it is ready. */
static void wait_for_ready(struct manager *manager)
{
    while (!manager->ready) {
        char text[700];
        struct pollfd ears = {.fd = manager->notify, .events = POLLIN};
        ck_assert_msg(poll(&ears, 1, RIG_PATIENCE_MS) == 1, "not ready; the last status is '%s'", manager->status);
        ssize_t n = recv(manager->notify, text, sizeof text - 1, 0);
        ck_assert_int_gt(n, 0);
        text[n] = '\0';
        const char *status = strstr(text, "STATUS=");
        if (status)
            snprintf(manager->status, sizeof manager->status, "%s", status + strlen("STATUS="));
        manager->ready = strstr(text, "READY=1") != NULL;
        manager->reloading |= strstr(text, "RELOADING=1\nMONOTONIC_USEC=") != NULL;
    }
}

static void expect_says_why(struct manager *manager, const char *why)
{
    wait_for_ready(manager);
    ck_assert_msg(strstr(manager->status, "no model is served") && strstr(manager->status, why), "%s", manager->status);
    struct reply reply = rig_get(&manager->rig, "/v2/health/ready");
    ck_assert_msg(reply.status == 503 && strstr(reply.body, "no model is served") && strstr(reply.body, why), "%d: %s",
                  reply.status, reply.body);
    reply_free(&reply);
    reply = rig_get(&manager->rig, "/v2/health/live");
    ck_assert_int_eq(reply.status, 200);
    reply_free(&reply);
    manager->rig.log_from = 0;
    ck_assert(rig_log_has(&manager->rig, "no model could be loaded; mend it and reload"));
    ck_assert(rig_log_has(&manager->rig, why));
}

START_TEST(without_a_model_it_stays_and_says_why)
{
    static const struct {
        const char *make, *why;
    } folders[] = {
        {"mkdir -p %s/models", "there is no model in it"},
        {"mkdir -p %s/models && echo x > %s/models/broken.onnx", "broken.onnx: this is no ONNX model"},
        {"mkdir -p %s/models && cp models/names/model.onnx '%s/models/best (1).onnx'", "cannot be a model's name"},
        {"true", "there is nothing at this path"},
    };
    if (!rig_is_there())
        return;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        struct manager manager;
        char path[96];
        begin(&manager);
        free(rig_shell(NULL, folders[i].make, manager.rig.folder, manager.rig.folder));
        snprintf(path, sizeof path, "%s/models", manager.rig.folder);
        start(&manager, true, path);
        expect_says_why(&manager, folders[i].why);
        ck_assert_int_eq(rig_stop(&manager.rig), 0);
        end(&manager);
    }
}
END_TEST

START_TEST(a_reload_is_told_and_takes_what_has_come)
{
    struct manager manager;
    char path[96];
    if (!rig_is_there())
        return;
    begin(&manager);
    snprintf(path, sizeof path, "%s/models", manager.rig.folder);
    free(rig_shell(NULL, "mkdir %s", path));
    start(&manager, true, path);
    wait_for_ready(&manager);
    free(rig_shell(NULL, "mkdir %s/names && cp models/names/* %s/names/", path, path));
    ck_assert_int_eq(kill(manager.rig.pid, SIGHUP), 0);
    manager.ready = manager.reloading = false;
    wait_for_ready(&manager);
    ck_assert(manager.reloading);
    struct reply reply = rig_post_text(&manager.rig, "/v2/models/names/infer", "Nguyen");
    ck_assert_int_eq(reply.status, 200);
    reply_free(&reply);
    ck_assert_msg(strstr(manager.status, "serving 1 of 1 models") != NULL, "%s", manager.status);
    ck_assert_int_eq(rig_stop(&manager.rig), 0);
    end(&manager);
}
END_TEST

START_TEST(the_status_tells_what_is_served)
{
    struct manager manager;
    char path[96];
    if (!rig_is_there())
        return;
    begin(&manager);
    free(rig_shell(NULL, "mkdir -p %s/models/empty && cp -r models/names models/spam %s/models", manager.rig.folder,
                   manager.rig.folder));
    snprintf(path, sizeof path, "%s/models", manager.rig.folder);
    start(&manager, true, path);
    wait_for_ready(&manager);
    ck_assert_msg(strncmp(manager.status, "serving 2 of 3 models at ", 25) == 0, "%s", manager.status);
    struct reply reply = rig_get(&manager.rig, "/v2/health/ready");
    ck_assert_int_eq(reply.status, 200);
    reply_free(&reply);
    ck_assert_int_eq(rig_stop(&manager.rig), 0);
    end(&manager);
}
END_TEST

START_TEST(a_manager_without_a_socket_is_told_the_same)
{
    struct manager manager;
    if (!rig_is_there())
        return;
    begin(&manager);
    start(&manager, false, "/nowhere");
    wait_for_ready(&manager);
    ck_assert_msg(strstr(manager.status, "no model is served: nowhere: there is nothing"), "%s", manager.status);
    ck_assert_int_eq(rig_stop(&manager.rig), 0);
    end(&manager);
}
END_TEST

/* RestartPreventExitStatus=2 of the unit: what nobody could have meant is not tried again. */
START_TEST(a_wrong_option_ends_it_all_the_same)
{
    struct manager manager;
    if (!rig_is_there())
        return;
    begin(&manager);
    start(&manager, true, "models --kernels v99");
    ck_assert_int_eq(rig_wait(&manager.rig), 2);
    end(&manager);
}
END_TEST

Suite *daemon_managed_suite(void);

Suite *daemon_managed_suite(void)
{
    Suite *suite = suite_create("daemon_managed");
    TCase *tests = tcase_create("managed");
    tcase_add_test(tests, without_a_model_it_stays_and_says_why);
    tcase_add_test(tests, a_reload_is_told_and_takes_what_has_come);
    tcase_add_test(tests, the_status_tells_what_is_served);
    tcase_add_test(tests, a_manager_without_a_socket_is_told_the_same);
    tcase_add_test(tests, a_wrong_option_ends_it_all_the_same);
    tcase_set_timeout(tests, RIG_PATIENCE_MS / 1000 * 4);
    suite_add_tcase(suite, tests);
    return suite;
}
