/* metrics.c - tests of http/metrics.c: the text is Prometheus', the numbers are right. */
#include "http/metrics.h"

#include "daemon.h"
#include "folder.h"

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static struct daemon host;

static void start(void)
{
    daemon_start(&host, NULL, NULL);
}

static double sample(const struct reply *reply, const char *name)
{
    char line[200];
    snprintf(line, sizeof line, "\n%s ", name);
    const char *at = strstr(reply->body, line);
    ck_assert_msg(at != NULL, "no %s in\n%s", name, reply->body);
    return strtod(at + strlen(line), NULL);
}

/* A folder that daemons started from now on take for /proc, as far as they open files there. */
static const char *proc;

/* In place of the library's; a sanitizer opens files before there is anything to ask. */
#if !defined __SANITIZE_THREAD__ && !defined __SANITIZE_ADDRESS__
#define OPENS_DIFFERENTLY 1
int open(const char *path, int flags, ...)
{
    char other[200];
    va_list args;
    va_start(args, flags);
    const unsigned mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, unsigned) : 0;
    va_end(args);
    if (proc && strncmp(path, "/proc/", 6) == 0) {
        snprintf(other, sizeof other, "%s%s", proc, path + 5);
        path = other;
    }
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}
/* Whether daemons started from now on run on a kernel that does not say how many descriptors there are (before 6.2). */
static bool says_none;

int stat(const char *path, struct stat *to)
{
    const int status = fstatat(AT_FDCWD, path, to, 0);
    if (says_none && strcmp(path, "/proc/self/fd") == 0)
        to->st_size = 0;
    return status;
}
#else
#define OPENS_DIFFERENTLY 0
static bool says_none;
#endif

#define RELU "{model=\"relu\",version=\"1\"}"

START_TEST(requests_are_counted)
{
    start();
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(daemon_ask(&host, "POST", RELU_PATH, "", RELU_BODY).status, 200);
    ck_assert_int_eq(daemon_get(&host, "/nowhere").status, 404);
    struct reply reply = daemon_get(&host, "/metrics");
    ck_assert(reply_has_header(&reply, "Content-Type: text/plain; version=0.0.4; charset=utf-8"));
    ck_assert_double_eq(sample(&reply, "nv_inference_request_success" RELU), 3);
    ck_assert_double_eq(sample(&reply, "nv_inference_count" RELU), 3);
    ck_assert_double_eq(sample(&reply, "perceptd_http_requests_total{code=\"200\"}"), 3);
    ck_assert_double_eq(sample(&reply, "perceptd_http_requests_total{code=\"404\"}"), 1);
    ck_assert_double_eq(sample(&reply, "perceptd_model_ready" RELU), 1);
    ck_assert_double_eq(sample(&reply, "perceptd_model_ready{model=\"broken\",version=\"1\"}"), 0);
    ck_assert_double_eq(sample(&reply, "perceptd_connections"), 1);
    ck_assert_double_eq(sample(&reply, "perceptd_connections_total"), 5);
    ck_assert_double_eq(sample(&reply, "perceptd_body_bytes"), 0);
    ck_assert_double_gt(sample(&reply, "process_resident_memory_bytes"), 1e6);
    ck_assert_double_gt(sample(&reply, "process_open_fds"), 5);
    ck_assert_double_gt(sample(&reply, "nv_cpu_memory_total_bytes"), 1e8);
    ck_assert_double_gt(sample(&reply, "process_start_time_seconds"), 1.5e9);
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

/* What a reader of version 0.0.4 insists on; returns the family's name of a TYPE line. */
static void check_line(const char *line, char *family, size_t n)
{
    char type[20];
    if (strncmp(line, "# HELP ", 7) == 0)
        return;
    if (sscanf(line, "# TYPE %100s %19s", family, type) == 2) {
        ck_assert(!strcmp(type, "counter") || !strcmp(type, "gauge") || !strcmp(type, "histogram"));
        return;
    }
    ck_assert_msg(strncmp(line, family, strlen(family)) == 0, "%s is not of family %s", line, family);
    const char *value = strrchr(line, ' ');
    char *end;
    ck_assert_ptr_nonnull(value);
    strtod(value + 1, &end);
    ck_assert_msg(*end == '\0' && end > value + 1, "%s has no number", line);
    ck_assert_uint_gt(n, strlen(family));
}

START_TEST(every_line_is_of_the_family_announced_before_it)
{
    start();
    static struct reply reply;
    reply = daemon_get(&host, "/metrics");
    char family[101] = "";
    ck_assert_int_eq(reply.body[reply.n_bytes - 1], '\n');
    for (char *line = strtok(reply.body, "\n"); line; line = strtok(NULL, "\n"))
        check_line(line, family, sizeof family);
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

#define STAGE(name) "perceptd_stage_duration_seconds_count{model=\"relu\",version=\"1\",stage=\"" name "\"}"

START_TEST(stages_loads_and_cores_are_told)
{
    start();
    struct reply reply = daemon_get(&host, "/metrics");
    ck_assert_ptr_null(strstr(reply.body, "\nperceptd_stage_duration_seconds_count"));
    ck_assert_double_eq(sample(&reply, "perceptd_core_seconds_total" RELU), 0);
    ck_assert_double_eq(sample(&reply, "perceptd_queue_age_seconds" RELU), 0);
    ck_assert_double_eq(sample(&reply, "perceptd_model_loads_total" RELU), 1);
    ck_assert_double_eq(sample(&reply, "perceptd_model_load_failures_total" RELU), 0);
    ck_assert_double_eq(sample(&reply, "perceptd_model_load_failures_total{model=\"broken\",version=\"1\"}"), 1);
    ck_assert_double_eq(sample(&reply, "perceptd_sessions" RELU), 1);
    ck_assert_double_ge(sample(&reply, "nv_cpu_utilization"), 0);
    ck_assert_double_le(sample(&reply, "nv_cpu_utilization"), 1);
    ck_assert_int_eq(daemon_ask(&host, "POST", RELU_PATH, "", RELU_BODY).status, 200);
    reply = daemon_get(&host, "/metrics");
    ck_assert_double_eq(sample(&reply, STAGE("queue")), 1);
    ck_assert_double_eq(sample(&reply, STAGE("input")), 1);
    ck_assert_double_eq(sample(&reply, STAGE("infer")), 1);
    ck_assert_double_eq(sample(&reply, STAGE("output")), 1);
    ck_assert_double_gt(sample(&reply, "perceptd_core_seconds_total" RELU), 0);
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

/* A scrape is counted in the next one. */
START_TEST(what_the_loop_does_has_durations)
{
    const time_t before = time(NULL);
    start();
    ck_assert_int_eq(daemon_get(&host, "/v2/health/live").status, 200);
    ck_assert_int_eq(daemon_ask(&host, "POST", RELU_PATH, "", RELU_BODY).status, 200);
    ck_assert_int_eq(daemon_get(&host, "/nowhere").status, 404);
    struct reply reply = daemon_get(&host, "/metrics");
    ck_assert_double_eq(sample(&reply, "perceptd_lookup_duration_seconds_count"), 1);
    ck_assert_double_eq(sample(&reply, "perceptd_lookup_duration_seconds_bucket{le=\"+Inf\"}"), 1);
    ck_assert_double_gt(sample(&reply, "perceptd_lookup_duration_seconds_sum"), 0);
    ck_assert_double_le(sample(&reply, "perceptd_lookup_duration_seconds_sum"), difftime(time(NULL), before) + 1);
    ck_assert_double_ge(sample(&reply, "perceptd_loop_piece_seconds_count"), 4);
    reply = daemon_get(&host, "/metrics");
    ck_assert_double_eq(sample(&reply, "perceptd_lookup_duration_seconds_count"), 2);
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

/* One waits for company; its time runs out. */
START_TEST(a_queue_has_an_age_and_ends_by_their_kind)
{
    static struct client client;
    struct settings settings = daemon_settings();
    settings.max_queue_delay_us = 10000000;
    settings.max_queue_size = 1;
    daemon_start(&host, &settings, NULL);
    client_open(&client, &host);
    client_send_infer(&client, "X-Request-Timeout-Ms: 500\r\n");
    daemon_wait_for(&host, "nv_inference_pending_request_count" RELU, 1);
    ck_assert_int_eq(daemon_ask(&host, "POST", RELU_PATH, "", RELU_BODY).status, 503);
    struct reply reply = daemon_get(&host, "/metrics");
    ck_assert_double_gt(sample(&reply, "perceptd_queue_age_seconds" RELU), 0);
    ck_assert_int_eq(client_reply(&client).status, 503);
    client_close(&client);
    reply = daemon_get(&host, "/metrics");
    ck_assert_double_eq(sample(&reply, "perceptd_queue_age_seconds" RELU), 0);
    ck_assert_double_eq(sample(&reply, "perceptd_requests_shed_total" RELU), 1);
    ck_assert_double_eq(sample(&reply, "perceptd_requests_expired_total" RELU), 1);
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

START_TEST(histograms_are_cumulative_and_end_with_the_count)
{
    start();
    ck_assert_int_eq(daemon_ask(&host, "POST", RELU_PATH, "", RELU_BODY).status, 200);
    struct reply reply = daemon_get(&host, "/metrics");
    double before = 0;
    int n = 0;
    for (const char *at = reply.body; (at = strstr(at, "\nperceptd_request_duration_seconds_bucket{model=\"relu\""));
         n++) {
        at = strchr(at + 1, ' ');
        ck_assert_double_ge(strtod(at, NULL), before);
        before = strtod(at, NULL);
    }
    ck_assert_int_gt(n, 5);
    ck_assert_double_eq(sample(&reply, "perceptd_request_duration_seconds_count" RELU), before);
    ck_assert_double_eq(sample(&reply, "perceptd_batch_size_bucket{model=\"relu\",version=\"1\",le=\"+Inf\"}"),
                        sample(&reply, "perceptd_batch_size_count" RELU));
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

/* Ticks as user, nice, system, idle, waiting, interrupts twice, stolen; guests' are in the first two. */
static const struct load {
    const char *stat;
    double busy; /* since the row before */
} loads[] = {
    {"cpu  100 20 30 400 50 6 4 10 7 5\ncpu0 9 9 9 9\n", 170.0 / 620},
    {"cpu  130 20 30 460 60 6 4 10 7 5\n", 0.3},
    {"cpu  130 20 30 460 60 6 4 10 7 5\n", 0},
    {"cpu  130 20 30 460 60 6 4 10 70 50\n", 0},
    {"cpu  130 21 32 463 64 11 10 17 70 50\n", 21.0 / 28},
    {"cpu  230 21 32 463 64 11 10 17 70 50\n", 1},
    {"cpu  130 21 32 463 64 11 10 17 70 50\n", 0}, /* backwards */
};

START_TEST(what_the_kernel_tells_is_told_on)
{
    if (!OPENS_DIFFERENTLY) {
        printf("not run: metrics of another /proc (a sanitizer opens files itself)\n");
        return;
    }
    folder_begin("proc");
    folder_text("meminfo", "MemTotal:       1000 kB\nMemFree:           5 kB\nMemAvailable:    400 kB\n");
    folder_text("self/statm", "300 200 50 1 0 60 0\n");
    proc = folder_root;
    start();
    const double page = (double)sysconf(_SC_PAGESIZE);
    struct reply reply;
    for (size_t i = 0; i < sizeof loads / sizeof *loads; i++) {
        folder_text("stat", loads[i].stat);
        reply = daemon_get(&host, "/metrics");
        ck_assert_double_eq_tol(sample(&reply, "nv_cpu_utilization"), loads[i].busy, 1e-9);
    }
    ck_assert_double_eq(sample(&reply, "nv_cpu_memory_total_bytes"), 1000 * 1024);
    ck_assert_double_eq(sample(&reply, "nv_cpu_memory_used_bytes"), 600 * 1024);
    ck_assert_double_eq(sample(&reply, "process_virtual_memory_bytes"), 300 * page);
    ck_assert_double_eq(sample(&reply, "process_resident_memory_bytes"), 200 * page);
    folder_end(); /* and now it tells nothing */
    reply = daemon_get(&host, "/metrics");
    ck_assert_double_eq(sample(&reply, "nv_cpu_utilization"), 0);
    ck_assert_double_eq(sample(&reply, "nv_cpu_memory_total_bytes"), 0);
    ck_assert_double_eq(sample(&reply, "nv_cpu_memory_used_bytes"), 0);
    ck_assert_double_eq(sample(&reply, "process_virtual_memory_bytes"), 0);
    ck_assert_int_eq(daemon_end(&host), 0);
    proc = NULL;
}
END_TEST

static int descriptors_of(pid_t pid)
{
    char path[64];
    int n = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *folder = opendir(path);
    ck_assert_ptr_nonnull(folder);
    for (const struct dirent *entry; (entry = readdir(folder));)
        n += entry->d_name[0] != '.';
    closedir(folder);
    return n;
}

/* Scrapes one after the other leave nothing open. */
START_TEST(descriptors_are_counted_and_closed)
{
    static struct client client;
    says_none = _i == 1;
    start();
    client_open(&client, &host);
    double before = 0;
    for (int i = 0; i < 3; i++) {
        client_send(&client, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        struct reply reply = client_reply(&client);
        const double open_fds = sample(&reply, "process_open_fds");
        ck_assert_double_eq(open_fds, descriptors_of(host.pid));
        ck_assert(i == 0 || open_fds == before);
        before = open_fds;
    }
    client_close(&client);
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

START_TEST(times_are_the_same_in_either_unit)
{
    start();
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(daemon_ask(&host, "POST", RELU_PATH, "", RELU_BODY).status, 200);
    struct reply reply = daemon_get(&host, "/metrics");
    const double whole = sample(&reply, "perceptd_request_duration_seconds_sum" RELU) * 1e6;
    ck_assert_double_eq_tol(sample(&reply, "nv_inference_request_duration_us" RELU), whole, 1);
    static const char *const stages[][2] = {
        {"queue", "queue"}, {"input", "compute_input"}, {"infer", "compute_infer"}, {"output", "compute_output"}};
    for (int i = 0; i < 4; i++) {
        char seconds[120], us[120];
        snprintf(seconds, sizeof seconds,
                 "perceptd_stage_duration_seconds_sum{model=\"relu\",version=\"1\",stage=\"%s\"}", stages[i][0]);
        snprintf(us, sizeof us, "nv_inference_%s_duration_us" RELU, stages[i][1]);
        ck_assert_double_eq_tol(sample(&reply, us), sample(&reply, seconds) * 1e6, 1);
        ck_assert_double_le(sample(&reply, us), whole);
    }
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

static void count_line(void *user, const char *text)
{
    int *n = user;
    char name[100], type[20];
    ck_assert_int_eq(sscanf(text, "%99s %19s", name, type), 2);
    ++*n;
}

START_TEST(the_list_has_a_line_per_family)
{
    int n = 0;
    metrics_print(count_line, &n);
    ck_assert_int_gt(n, 25);
}
END_TEST

Suite *http_metrics_suite(void)
{
    Suite *suite = suite_create("http/metrics");
    TCase *tcase = tcase_create("metrics");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, requests_are_counted);
    tcase_add_test(tcase, every_line_is_of_the_family_announced_before_it);
    tcase_add_test(tcase, stages_loads_and_cores_are_told);
    tcase_add_test(tcase, what_the_loop_does_has_durations);
    tcase_add_test(tcase, a_queue_has_an_age_and_ends_by_their_kind);
    tcase_add_test(tcase, histograms_are_cumulative_and_end_with_the_count);
    tcase_add_test(tcase, what_the_kernel_tells_is_told_on);
    tcase_add_loop_test(tcase, descriptors_are_counted_and_closed, 0, 2);
    tcase_add_test(tcase, times_are_the_same_in_either_unit);
    tcase_add_test(tcase, the_list_has_a_line_per_family);
    suite_add_tcase(suite, tcase);
    return suite;
}
