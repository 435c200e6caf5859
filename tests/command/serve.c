/* The daemon's whole life: it starts, answers, is asked about its health, and ends in good order.
 */
#include "program.h"

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t daemon_pid;
static FILE *daemon_log;
static char line[1024];
static void (*prepare)(void); /* in the process that becomes the daemon */
static int terminal = -1;     /* its master side */

static void teardown(void)
{
    if (daemon_pid > 0)
        kill(daemon_pid, SIGKILL);
    prepare = NULL;
    program_end();
}

/* Starts `perceptd serve PATH` on a free port; its log is read line by line. */
static void start(const char *path, const char *option)
{
    int ends[2];
    char prefix[40];
    ck_assert_int_eq(pipe(ends), 0);
    snprintf(prefix, sizeof prefix, "percept-test-%d", (int)getpid());
    daemon_pid = fork();
    if (daemon_pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        if (prepare)
            prepare();
        setenv("PERCEPTD_REGION_PREFIX", prefix, 1);
        execl(getenv("PERCEPTD_BINARY"), "perceptd", "serve", path, "--listen", "127.0.0.1:0", option, NULL);
        _exit(99);
    }
    close(ends[1]);
    daemon_log = fdopen(ends[0], "r");
}

static bool log_has(const char *part)
{
    while (fgets(line, sizeof line, daemon_log))
        if (strstr(line, part))
            return true;
    return false;
}

static int end_of_daemon(void)
{
    int status;
    ck_assert_int_eq(waitpid(daemon_pid, &status, 0), daemon_pid);
    daemon_pid = 0;
    fclose(daemon_log);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* "serving  at=http://127.0.0.1:4711 ..." -> "127.0.0.1:4711" */
static const char *address(void)
{
    char *at = strstr(line, "http://");
    ck_assert_ptr_nonnull(at);
    at += strlen("http://");
    at[strcspn(at, " \n")] = '\0';
    return at;
}

START_TEST(a_daemon_serves_and_ends_with_0)
{
    if (!program_there)
        return;
    start(folder_at("relu.onnx"), NULL);
    ck_assert(log_has("serving"));
    struct program_result result = program_run("--health --listen %s", address());
    ck_assert_msg(result.status == 0, "%s", result.text);
    kill(daemon_pid, SIGTERM);
    ck_assert(log_has("stopping"));
    ck_assert_int_eq(end_of_daemon(), 0);
}
END_TEST

static const struct {
    int first, second;
    const char *option; /* NULL: the first signal alone would do */
} signals[] = {
    {SIGTERM, SIGTERM, NULL},
    {SIGINT, SIGTERM, NULL},
    {SIGTERM, SIGINT, NULL},
    {SIGINT, SIGINT, "--drain-delay=1h"},
    {SIGTERM, SIGTERM, "--drain-delay=1h"},
};

/* Nobody is connected, so that nothing was cut short: the end is a good one. */
START_TEST(a_second_signal_ends_the_wait)
{
    if (!program_there)
        return;
    start(folder_at("relu.onnx"), signals[_i].option);
    ck_assert(log_has("serving"));
    kill(daemon_pid, signals[_i].first);
    ck_assert(log_has("stopping"));
    kill(daemon_pid, signals[_i].second);
    while (fgets(line, sizeof line, daemon_log))
        ck_assert_msg(!strstr(line, "still running"), "%s", line);
    ck_assert_int_eq(end_of_daemon(), 0);
}
END_TEST

/* Its last steps are as deaf as the process that is gone: none of many signals ends it otherwise. */
START_TEST(signals_on_its_last_steps_change_nothing)
{
    if (!program_there)
        return;
    siginfo_t info;
    start(folder_at("relu.onnx"), NULL);
    ck_assert(log_has("serving"));
    kill(daemon_pid, SIGTERM);
    ck_assert(log_has("stopping"));
    for (info.si_pid = 0; !info.si_pid;) {
        ck_assert_int_eq(kill(daemon_pid, _i ? SIGINT : SIGTERM), 0);
        ck_assert_int_eq(waitid(P_PID, (id_t)daemon_pid, &info, WEXITED | WNOHANG | WNOWAIT), 0);
    }
    ck_assert_int_eq(end_of_daemon(), 0);
}
END_TEST

/* As from a login, whoever runs the tests: under nohup they have inherited that it is ignored. */
static void hear_hangup(void)
{
    setsid();
    signal(SIGHUP, SIG_DFL);
}

static void take_terminal(void)
{
    hear_hangup();
    if (open(ptsname(terminal), O_RDWR) < 0)
        _exit(98);
    close(terminal);
}

static void open_terminal(void)
{
    terminal = posix_openpt(O_RDWR | O_NOCTTY);
    ck_assert_int_ge(terminal, 0);
    ck_assert_int_eq(grantpt(terminal), 0);
    ck_assert_int_eq(unlockpt(terminal), 0);
}

static void ignore_hangup(void)
{
    setsid();
    signal(SIGHUP, SIG_IGN);
}

START_TEST(a_hangup_that_somebody_sends_has_models_read_again)
{
    if (!program_there)
        return;
    prepare = _i ? take_terminal : hear_hangup;
    if (_i)
        open_terminal();
    start(folder_at("relu.onnx"), NULL);
    ck_assert(log_has("serving"));
    for (int i = 0; i < 2; i++) {
        kill(daemon_pid, SIGHUP);
        ck_assert(log_has("looked at all models again"));
    }
    kill(daemon_pid, SIGTERM);
    ck_assert(log_has("stopping"));
    ck_assert_int_eq(end_of_daemon(), 0);
    if (_i)
        close(terminal);
}
END_TEST

START_TEST(the_end_of_its_terminal_is_an_orderly_end)
{
    if (!program_there)
        return;
    prepare = take_terminal;
    open_terminal();
    start(folder_at("relu.onnx"), NULL);
    ck_assert(log_has("serving"));
    close(terminal);
    ck_assert(log_has("stopping"));
    ck_assert_int_eq(end_of_daemon(), 0);
}
END_TEST

START_TEST(under_nohup_a_hangup_is_not_even_heard)
{
    if (!program_there)
        return;
    prepare = ignore_hangup;
    start(folder_at("relu.onnx"), NULL);
    ck_assert(log_has("serving"));
    kill(daemon_pid, SIGHUP);
    kill(daemon_pid, SIGTERM);
    while (fgets(line, sizeof line, daemon_log))
        ck_assert_msg(!strstr(line, "SIGHUP"), "%s", line);
    ck_assert_int_eq(end_of_daemon(), 0);
}
END_TEST

START_TEST(a_failed_model_leaves_the_others)
{
    if (!program_there)
        return;
    start(folder_root, NULL);
    ck_assert(log_has("model failed to load"));
    ck_assert(log_has("serving"));
    ck_assert_ptr_nonnull(strstr(line, "models=3 failed=1"));
    kill(daemon_pid, SIGTERM);
    ck_assert_int_eq(end_of_daemon(), 0);
}
END_TEST

START_TEST(when_every_model_failed_it_ends_with_1)
{
    if (!program_there)
        return;
    start(folder_at("broken.onnx"), NULL);
    ck_assert(log_has("no model could be loaded"));
    ck_assert_int_eq(end_of_daemon(), 1);
}
END_TEST

static void administer(void)
{
    setenv("PERCEPTD_ADMIN", "yes", 1);
}

START_TEST(an_empty_start_must_be_wanted)
{
    if (!program_there)
        return;
    struct program_result result = program_run("serve");
    ck_assert_int_eq(result.status, 2);
    ck_assert_ptr_nonnull(strstr(result.text, "nothing to serve"));
    char command[128];
    snprintf(command, sizeof command, "mkdir %s/empty", folder_root);
    ck_assert_int_eq(system(command), 0);
    start(folder_at("empty"), "--ready-when-empty");
    ck_assert(log_has("serving"));
    kill(daemon_pid, SIGTERM);
    ck_assert_int_eq(end_of_daemon(), 0);
}
END_TEST

START_TEST(what_is_not_asked_for_is_not_loaded)
{
    if (!program_there)
        return;
    char named[160];
    snprintf(named, sizeof named, "other=%s", folder_at("relu.onnx"));
    start(named, NULL);
    ck_assert(log_has("model ready  model=other"));
    kill(daemon_pid, SIGTERM);
    ck_assert_int_eq(end_of_daemon(), 0);
    start(folder_root, "--load=relu");
    ck_assert(log_has("model ready  model=relu"));
    ck_assert(log_has("models=1 failed=0"));
    kill(daemon_pid, SIGTERM);
    ck_assert_int_eq(end_of_daemon(), 0);
    prepare = administer;
    start(folder_root, "--load=none");
    ck_assert(log_has("models=0 failed=0"));
    kill(daemon_pid, SIGTERM);
    ck_assert_int_eq(end_of_daemon(), 0);
}
END_TEST

START_TEST(a_port_that_is_taken_is_told)
{
    if (!program_there)
        return;
    start(folder_at("relu.onnx"), NULL);
    ck_assert(log_has("serving"));
    const char *where = address();
    struct program_result result = program_run("serve %s/relu.onnx --listen %s", folder_root, where);
    ck_assert_int_eq(result.status, 1);
    ck_assert_msg(strstr(result.text, "another program does; stop it, or choose another port") != NULL, "%s",
                  result.text);
    kill(daemon_pid, SIGTERM);
    ck_assert_int_eq(end_of_daemon(), 0);
}
END_TEST

START_TEST(what_cannot_be_served_is_told_before_anything_starts)
{
    if (!program_there)
        return;
    struct program_result result = program_run("serve %s/none.onnx", folder_root);
    ck_assert_int_eq(result.status, 1);
    ck_assert_ptr_nonnull(strstr(result.text, "there is nothing at"));
    result = program_run("serve %s/relu.onnx --kernels v99", folder_root);
    ck_assert_int_eq(result.status, 2);
    ck_assert_ptr_nonnull(strstr(result.text, "no such level; it has "));
    result = program_run("serve %s/relu.onnx --load none", folder_root);
    ck_assert_int_eq(result.status, 2);
    ck_assert_ptr_nonnull(strstr(result.text, "--load none without --admin"));
    result = program_run("serve %s/relu.onnx --load ../relu", folder_root);
    ck_assert_int_eq(result.status, 2);
    ck_assert_ptr_nonnull(strstr(result.text, "--load '../relu': that is no model's name"));
    result = program_run("serve %s/relu.onnx --listen nowhere:1", folder_root);
    ck_assert_int_eq(result.status, 2);
    ck_assert_ptr_nonnull(strstr(result.text, "nowhere:1"));
    result = program_run("serve %s/relu.onnx --listen :0 --api-key-file %s/relu.onnx", folder_root, folder_root);
    ck_assert_int_eq(result.status, 2);
    ck_assert_ptr_nonnull(strstr(result.text, "an API key is one word"));
}
END_TEST

START_TEST(a_configuration_is_judged_without_listening)
{
    if (!program_there)
        return;
    struct program_result result = program_run("%s/relu.onnx --check-config", folder_root);
    ck_assert_msg(result.status == 0, "%s", result.text);
    ck_assert_str_eq(result.text, "configuration is good\n");
    result = program_run("%s --check-config", folder_root);
    ck_assert_int_eq(result.status, 1);
    ck_assert_ptr_nonnull(strstr(result.text, "broken"));
    result = program_run("%s/relu.onnx --check-config --api-key-file %s/none", folder_root, folder_root);
    ck_assert_int_eq(result.status, 2);
    ck_assert_ptr_nonnull(strstr(result.text, "/none"));
    result = program_run("%s/relu.onnx --check-config --listen here", folder_root);
    ck_assert_int_eq(result.status, 2);
    ck_assert_ptr_nonnull(strstr(result.text, "'here' is no address"));
}
END_TEST

START_TEST(tables_are_printed)
{
    if (!program_there)
        return;
    static const char *const actions[] = {"--help",         "--version",         "--man",
                                          "--kernels-list", "--routes",          "--errors",
                                          "--operators",    "--manifest-schema", "bench --help"};
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        struct program_result result = program_run("%s", actions[i]);
        ck_assert_msg(result.status == 0 && result.text[0], "%s: %s", actions[i], result.text);
    }
    struct program_result result = program_run("%s", "");
    ck_assert_int_eq(result.status, 2);
    ck_assert_ptr_nonnull(strstr(result.text, "Nothing to serve"));
}
END_TEST

Suite *command_serve_suite(void);

Suite *command_serve_suite(void)
{
    Suite *suite = suite_create("command_serve");
    TCase *tests = tcase_create("serve");
    tcase_add_checked_fixture(tests, program_begin, teardown);
    tcase_add_test(tests, a_daemon_serves_and_ends_with_0);
    tcase_add_loop_test(tests, a_second_signal_ends_the_wait, 0, sizeof signals / sizeof *signals);
    tcase_add_loop_test(tests, signals_on_its_last_steps_change_nothing, 0, 2);
    tcase_add_loop_test(tests, a_hangup_that_somebody_sends_has_models_read_again, 0, 2);
    tcase_add_test(tests, the_end_of_its_terminal_is_an_orderly_end);
    tcase_add_test(tests, under_nohup_a_hangup_is_not_even_heard);
    tcase_add_test(tests, a_failed_model_leaves_the_others);
    tcase_add_test(tests, when_every_model_failed_it_ends_with_1);
    tcase_add_test(tests, an_empty_start_must_be_wanted);
    tcase_add_test(tests, what_is_not_asked_for_is_not_loaded);
    tcase_add_test(tests, a_port_that_is_taken_is_told);
    tcase_add_test(tests, what_cannot_be_served_is_told_before_anything_starts);
    tcase_add_test(tests, a_configuration_is_judged_without_listening);
    tcase_add_test(tests, tables_are_printed);
    suite_add_tcase(suite, tests);
    return suite;
}
