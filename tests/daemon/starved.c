/*
 * starved.c - memory that is short, threads and descriptors that are limited: every allocation of a
 * start, of a command and of a request fails in turn, whoever asks for it (tests/starve). Never a
 * signal, never a silent end: a start and a command end with 0, or with 1 and a sentence; a request
 * gets its answer or 507, and the next one its answer.
 *
 * A closed connection without a reply is right for the few allocations that libmicrohttpd makes
 * before it has read anything. Starts have some 900 sites: the first ones are our own and libuv's
 * and are all tried, of the rest, which load models, every seventh (STARVE_STEP=1 tries all).
 */
#include "rig.h"
#include "samples.h"

#include <check.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "starve/starve.h"

#define SITES_FIRST 70
#define SITES_MAX 5000
/* Four of libmicrohttpd's and one of the server's, before the request's first byte is read. Without the last one
 * a request is refused whose bytes have come by then; a connection that is still silent is closed. */
#define CONNECTION_SITES 5

static struct starve_order *order;
static char library[PATH_MAX], order_path[128];

static bool starve_is_there(void)
{
    const char *binary = getenv("PERCEPTD_BINARY");
    const char *slash = binary ? strrchr(binary, '/') : NULL;
    if (!rig_is_there())
        return false;
    char relative[400];
    snprintf(relative, sizeof relative, "%.*s/starve.so", slash ? (int)(slash - binary) : 1, slash ? binary : ".");
    if (!RIG_SANITIZED && realpath(relative, library))
        return true;
    puts(RIG_SANITIZED ? "not run: a sanitizer has its own allocator" : "skipped: no starve.so");
    return false;
}

static void begin(struct rig *rig)
{
    rig_begin(rig);
    snprintf(order_path, sizeof order_path, "%s/order", rig->folder);
    const struct starve_order none = {0};
    rig_write(rig, "order", &none, sizeof none);
    int fd = open(order_path, O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    order = mmap(NULL, sizeof *order, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ck_assert_ptr_ne(order, MAP_FAILED);
    close(fd);
}

static void end(struct rig *rig)
{
    munmap(order, sizeof *order);
    rig_end(rig);
}

static void ask_for(long nth, bool from_then_on)
{
    __atomic_store_n(&order->nth, 0, __ATOMIC_RELEASE);
    order->seen = order->failed = 0;
    order->from_then_on = from_then_on;
    __atomic_store_n(&order->nth, nth, __ATOMIC_RELEASE);
}

/* How many failed since ask_for; from now on none does. */
static long n_failed(void)
{
    __atomic_store_n(&order->nth, 0, __ATOMIC_RELEASE);
    return __atomic_load_n(&order->failed, __ATOMIC_ACQUIRE);
}

static long next_site(long nth)
{
    const char *step = getenv("STARVE_STEP");
    return nth < SITES_FIRST ? nth + 1 : nth + (step ? strtol(step, NULL, 10) : 7);
}

static void spawn(struct rig *rig)
{
    setenv("LD_PRELOAD", library, 1);
    setenv("STARVE", order_path, 1);
    rig_spawn(rig, "models --workers 2");
    unsetenv("LD_PRELOAD");
    unsetenv("STARVE");
}

/* Until it serves or has ended; true when it serves. */
static bool settles(struct rig *rig, int *status)
{
    siginfo_t info;
    for (int64_t until_us = rig_now_us() + (int64_t)RIG_PATIENCE_MS * 1000;; rig_pause(2)) {
        info.si_pid = 0;
        bool ended = waitid(P_PID, (id_t)rig->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid;
        if (ended) {
            *status = rig_wait(rig);
            return false;
        }
        if (rig_log_has(rig, "serving  at="))
            return true;
        ck_assert_msg(rig_now_us() < until_us, "it neither serves nor ends");
    }
}

START_TEST(a_start_ends_with_a_sentence_or_serves)
{
    struct rig rig;
    long n_starts = 0;
    if (!starve_is_there())
        return;
    begin(&rig);
    for (long nth = 1, failed = 1; failed && nth < SITES_MAX; nth = next_site(nth), n_starts++) {
        int status = 0;
        ask_for(nth, _i);
        spawn(&rig);
        bool serves = settles(&rig, &status);
        failed = n_failed();
        if (serves)
            status = rig_stop(&rig);
        ck_assert_msg(status == (serves ? 0 : 1), "site %ld: status %d", nth, status);
        bool said = rig_log_has(&rig, "memory") || rig_log_has(&rig, "cannot");
        ck_assert_msg(serves || said, "site %ld: it ended without a word", nth);
        ck_assert_msg(!rig_log_has(&rig, "line -1"), "site %ld: line -1", nth);
    }
    printf("measured: %ld starts, %s\n", n_starts, _i ? "all from one on failed" : "one failed");
    end(&rig);
}
END_TEST

/* The status of a command, and its last line. */
static int run_command(const char *before, const char *arguments, char *line, size_t n)
{
    char command[PATH_MAX + 2048], text[512] = "";
    snprintf(command, sizeof command, "exec 2>&1 </dev/null; %s %s %s", before, getenv("PERCEPTD_BINARY"), arguments);
    FILE *out = popen(command, "r");
    ck_assert_ptr_nonnull(out);
    line[0] = '\0';
    while (fgets(text, sizeof text, out))
        snprintf(line, n, "%s", text);
    int status = pclose(out);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool is_sentence(const char *line)
{
    return strncmp(line, "perceptd: ", 10) == 0 && strlen(line) > 20;
}

static const char *const commands[] = {
    "inspect models/digits",
    "inspect models/names --json",
    "bench models/perceptron --seconds 1ms --batch 1,2 --cores 2",
    "bench models/spam --seconds 1ms --json --shape tokens=2x3",
    "run models/perceptron --input %s/x.npy --output-dir %s/out --profile",
    "regions",
    "regions --json",
    "--version",
    "--man",
    "models --check-config --workers 1",
};
#define N_COMMANDS ((int)(sizeof commands / sizeof *commands))

/* What serve --check-config says of a model is a line of the log. */
static bool is_told(const char *line)
{
    return is_sentence(line) || strstr(line, "memory");
}

START_TEST(a_command_ends_with_a_sentence_or_does_its_work)
{
    struct rig rig;
    if (!starve_is_there())
        return;
    begin(&rig);
    char arguments[512], before[PATH_MAX + 300], line[600];
    free(rig_shell(NULL,
                   "/usr/bin/printf '\\223NUMPY\\001\\000\\166\\000%%-117s\\n' \"{'descr': '<f4', "
                   "'fortran_order': False, 'shape': (1, 784), }\" > %s/x.npy && head -c 3136 "
                   "/dev/zero >> %s/x.npy",
                   rig.folder, rig.folder));
    snprintf(arguments, sizeof arguments, commands[_i % N_COMMANDS], rig.folder, rig.folder);
    snprintf(before, sizeof before, "PERCEPTD_REGION_PREFIX=perceptd-test LD_PRELOAD=%s STARVE=%s", library,
             order_path);
    for (long nth = 1, failed = 1; failed && nth < SITES_MAX; nth = next_site(nth)) {
        ask_for(nth, _i >= N_COMMANDS);
        int status = run_command(before, arguments, line, sizeof line);
        failed = n_failed();
        ck_assert_msg(status == 0 || (status == 1 && is_told(line)), "%s, site %ld: %d, %s", arguments, nth, status,
                      line);
    }
    end(&rig);
}
END_TEST

/* --- requests ----------------------------------------------------------------------------------------------------- */

struct medium {
    const char *path, *more;
    const void *body;
    size_t n_bytes;
};

#define JSON "{\"inputs\":[{\"name\":\"tokens\",\"shape\":[1,3],\"datatype\":\"INT64\",\"data\":[2,3,4]}]}"
#define HEAD                                                                                                           \
    "{\"inputs\":[{\"name\":\"tokens\",\"shape\":[1,1],\"datatype\":\"INT64\",\"parameters\":"                         \
    "{\"binary_data_size\":8}}]}"

static int media(struct medium *all)
{
    static uint8_t page[120 * 90];
    memset(page, 230, sizeof page);
    for (int y = 20; y < 70; y++)
        memset(page + y * 120 + 55, 20, 8);
    struct blob png = samples_png(page, 120, 90), jpeg = samples_jpeg(page, 120, 90);
    const struct medium made[] = {
        {"/v2/models/digits/infer", "Content-Type: image/png\r\n", png.at, png.n},
        {"/v2/models/cats-dogs/infer", "Content-Type: image/png\r\n", png.at, png.n},
        {"/v2/models/digits/infer", "Content-Type: image/jpeg\r\n", jpeg.at, jpeg.n},
        {"/v2/models/names/infer", "Content-Type: text/plain\r\n", "Nguyen", 6},
        {"/v2/models/spam/infer", "Content-Type: text/plain\r\n", "WINNER!! Call", 13},
        {"/v2/models/spam/infer", "Content-Type: application/json\r\n", JSON, sizeof JSON - 1},
        {"/v2/models/spam/infer", "Inference-Header-Content-Length: 99\r\n", HEAD "\2\0\0\0\0\0\0\0",
         sizeof HEAD - 1 + 8},
    };
    memcpy(all, made, sizeof made);
    return (int)(sizeof made / sizeof *made);
}

static int ask(const struct rig *rig, const struct medium *medium, char *text, size_t n)
{
    struct client client;
    struct reply reply = {0};
    text[0] = '\0';
    if (!client_open(&client, rig->port))
        return 0;
    if (client_request(&client, "POST", medium->path, medium->more, medium->body, medium->n_bytes))
        reply = client_reply(&client);
    int status = reply.status;
    if (reply.body)
        snprintf(text, n, "%s", reply.body);
    reply_free(&reply);
    client_close(&client);
    return status;
}

static void starve_medium(const struct rig *rig, const struct medium *medium, bool from_then_on)
{
    char text[400];
    int status = ask(rig, medium, text, sizeof text);
    ck_assert_msg(status == 200, "%s%s: %d %s", medium->more, medium->path, status, text);
    for (long nth = 1, failed = 1; failed && nth < SITES_MAX; nth++) {
        ask_for(nth, from_then_on);
        status = ask(rig, medium, text, sizeof text);
        failed = n_failed();
        bool closed = status <= 0 && nth <= CONNECTION_SITES;
        bool told = (status == 507 || status == 503) && strstr(text, "memory");
        ck_assert_msg(closed || told || status == 200, "%s%s, site %ld: %d %s", medium->more, medium->path, nth, status,
                      text);
        status = ask(rig, medium, text, sizeof text);
        ck_assert_msg(status == 200, "%s%s, after site %ld: %d %s", medium->more, medium->path, nth, status, text);
    }
}

START_TEST(a_request_gets_507_and_the_next_one_its_answer)
{
    struct rig rig;
    struct medium all[16];
    if (!starve_is_there())
        return;
    begin(&rig);
    spawn(&rig);
    rig_listening(&rig);
    rig_ready(&rig);
    int n = media(all);
    ck_assert_uint_eq(sizeof HEAD - 1, 99);
    for (int i = 0; i < n; i++)
        starve_medium(&rig, &all[i], _i);
    ck_assert_int_eq(rig_stop(&rig), 0);
    end(&rig);
}
END_TEST

/* --- limits ------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *limit, *arguments, *says;
} limits[] = {
    {"ulimit -v 20000;", "serve models --listen 127.0.0.1:0 --workers 2", "cannot start 3 threads"},
    {"ulimit -v 200000;", "serve models --listen 127.0.0.1:0 --workers 200", "cannot start 201 threads"},
    {"ulimit -v 60000;", "bench models/digits --cores 16", "cannot start a thread for core"},
    {"ulimit -n 8;", "serve models --listen 127.0.0.1:0", "file descriptors are needed"},
    {"ulimit -n 20;", "serve models --listen 127.0.0.1:0", "file descriptors are needed"},
    {"ulimit -s 200;", "serve models --listen 127.0.0.1:0", "the stack is limited to 204800 bytes"},
    {"ulimit -s 200;", "run models/digits", "the stack is limited to 204800 bytes"},
};

START_TEST(a_limit_is_one_sentence)
{
    char before[200], line[600];
    if (!rig_is_there() || RIG_SANITIZED)
        return;
    snprintf(before, sizeof before, "%s PERCEPTD_REGION_PREFIX=perceptd-test", limits[_i].limit);
    int status = run_command(before, limits[_i].arguments, line, sizeof line);
    ck_assert_msg(status == 1 && is_sentence(line) && strstr(line, limits[_i].says), "%s %s: %d %s", limits[_i].limit,
                  limits[_i].arguments, status, line);
}
END_TEST

Suite *daemon_starved_suite(void);

Suite *daemon_starved_suite(void)
{
    Suite *suite = suite_create("daemon_starved");
    TCase *tests = tcase_create("starved");
    tcase_add_loop_test(tests, a_start_ends_with_a_sentence_or_serves, 0, 2);
    tcase_add_loop_test(tests, a_command_ends_with_a_sentence_or_does_its_work, 0, 2 * N_COMMANDS);
    tcase_add_loop_test(tests, a_request_gets_507_and_the_next_one_its_answer, 0, 2);
    tcase_add_loop_test(tests, a_limit_is_one_sentence, 0, (int)(sizeof limits / sizeof *limits));
    tcase_set_timeout(tests, RIG_PATIENCE_MS / 1000 * 15);
    suite_add_tcase(suite, tests);
    return suite;
}
