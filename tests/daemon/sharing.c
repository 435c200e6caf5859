/*
 * sharing.c - packed weights between daemons: one set for two, kept by the kernel when both are
 * killed, taken over by the next start, removed by a start on other models, gone after a clean end
 * unless they are kept; and what is said where there is no room for them.
 */
#include "rig.h"

#include <check.h>
#include <jansson.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "graph/proto.h"

struct regions {
    int n;
    int fewest, most; /* holders */
    long bytes;
};

static const char *prefix(void)
{
    static char text[24];
    snprintf(text, sizeof text, "perceptd-own-%d", getpid());
    return text;
}

static struct regions look(void)
{
    struct regions regions = {.fewest = 1000};
    char *text = rig_shell(NULL, "%s regions --region-prefix %s --json", getenv("PERCEPTD_BINARY"), prefix());
    json_t *list = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    ck_assert_msg(json_is_array(list), "not a list: %s", text);
    regions.n = (int)json_array_size(list);
    for (int i = 0; i < regions.n; i++) {
        json_t *region = json_array_get(list, (size_t)i);
        int holders = (int)json_integer_value(json_object_get(region, "n_holders"));
        regions.fewest = holders < regions.fewest ? holders : regions.fewest;
        regions.most = holders > regions.most ? holders : regions.most;
        regions.bytes += (long)json_integer_value(json_object_get(region, "bytes"));
    }
    json_decref(list);
    free(text);
    return regions;
}

static void expect_regions(int n, int holders, const char *when)
{
    struct regions seen = look();
    ck_assert_msg(seen.n == n, "%s: %d regions, not %d", when, seen.n, n);
    ck_assert_msg(n == 0 || (seen.fewest == holders && seen.most == holders), "%s: %d to %d holders, not %d", when,
                  seen.fewest, seen.most, holders);
}

static void die(struct rig *rig)
{
    kill(rig->pid, SIGKILL);
    ck_assert_int_eq(rig_wait(rig), 128 + SIGKILL);
}

/* y = x + w: a model with weights that is none of the shipped ones. */
static void write_other_model(const struct rig *rig, float first)
{
    const int64_t dims[] = {-1, 1000}, one[] = {1000};
    const float weights[1000] = {first, 2, 3};
    struct proto graph = {0};
    proto_add(&graph, GRAPH_NODE, proto_node("Add", "the_add", "x,w", "y"));
    proto_add(&graph, GRAPH_INITIALIZER, proto_tensor("w", PERCEPT_FLOAT, 1, one, weights, sizeof weights));
    proto_add(&graph, GRAPH_INPUT, proto_value("x", PERCEPT_FLOAT, 2, dims));
    proto_add(&graph, GRAPH_OUTPUT, proto_value("y", PERCEPT_FLOAT, 2, dims));
    struct proto model = proto_model(graph, 13);
    rig_write(rig, "other.onnx", model.at, model.n);
    proto_free(&model);
}

static void print_memory(const char *what, pid_t pid)
{
    printf("measured: %s: PSS %ld kB, RSS %ld kB, of its own %ld kB\n", what,
           rig_kilobytes(pid, "smaps_rollup", "Pss:"), rig_kilobytes(pid, "status", "VmRSS:"),
           rig_kilobytes(pid, "smaps_rollup", "Private_Dirty:"));
}

static void expect_answer(const struct rig *rig)
{
    struct reply reply = rig_post_text(rig, "/v2/models/names/infer", "Nguyen");
    char label[64];
    ck_assert_msg(strcmp(reply_label(&reply, 0, label, sizeof label), "Vietnamese") == 0, "status %d: %s", reply.status,
                  reply.body);
    reply_free(&reply);
}

static void start(struct rig *rig)
{
    rig_start(rig, "models --region-prefix %s", prefix());
}

START_TEST(two_daemons_share_one_set_that_survives_them)
{
    struct rig first, second;
    if (!rig_is_there())
        return;
    rig_begin(&first);
    rig_begin(&second);
    start(&first);
    ck_assert_msg(rig_log_has(&first, "weights=packed"), "the first start packs");
    int n = look().n;
    expect_regions(n, 1, "one daemon");
    ck_assert_msg(n >= 5, "%d regions for the models of models/", n);
    print_memory("one daemon alone", first.pid);
    start(&second);
    ck_assert_msg(rig_log_has(&second, "weights=adopted") && !rig_log_has(&second, "weights=packed"),
                  "the second start packs again");
    expect_regions(n, 2, "two daemons");
    expect_answer(&first);
    expect_answer(&second);
    printf("measured: %d regions of %ld kB in all, 2 holders each\n", n, look().bytes / 1024);
    print_memory("the second of two", second.pid);

    die(&first);
    die(&second);
    expect_regions(n, 0, "both killed");

    start(&first);
    ck_assert_msg(rig_log_has(&first, "weights=adopted") && !rig_log_has(&first, "weights=packed"),
                  "a start after a crash packs again");
    expect_regions(n, 1, "started again");
    expect_answer(&first);
    die(&first);

    write_other_model(&first, 1);
    rig_start(&first, "%s/other.onnx --region-prefix %s", first.folder, prefix());
    struct regions left = look();
    ck_assert_msg(left.n <= 1 && (left.n == 0 || left.fewest == 1),
                  "a start on other models leaves %d regions, the least held by %d", left.n, left.fewest);
    ck_assert_int_eq(rig_stop(&first), 0);
    expect_regions(0, 0, "clean end");
    rig_end(&first);
    rig_end(&second);
}
END_TEST

START_TEST(the_last_to_end_removes_the_weights)
{
    struct rig first, second;
    if (!rig_is_there())
        return;
    rig_begin(&first);
    rig_begin(&second);
    start(&first);
    start(&second);
    int n = look().n;
    ck_assert_int_eq(rig_stop(&first), 0);
    expect_regions(n, 1, "one of two ended");
    expect_answer(&second);
    ck_assert_int_eq(rig_stop(&second), 0);
    expect_regions(0, 0, "both ended");
    rig_end(&first);
    rig_end(&second);
}
END_TEST

static void clean_up(void)
{
    free(rig_shell(NULL, "%s regions --clean --region-prefix %s", getenv("PERCEPTD_BINARY"), prefix()));
}

START_TEST(kept_weights_are_found_by_the_next_start)
{
    struct rig rig;
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    rig_start(&rig, "models --keep-regions --region-prefix %s", prefix());
    int n = look().n;
    ck_assert_int_eq(rig_stop(&rig), 0);
    expect_regions(n, 0, "a clean end");
    rig_start(&rig, "models --keep-regions --region-prefix %s", prefix());
    ck_assert_msg(rig_log_has(&rig, "weights=adopted") && !rig_log_has(&rig, "weights=packed"),
                  "a restart packs again");
    expect_answer(&rig);
    die(&rig);
    expect_regions(n, 0, "killed");
    write_other_model(&rig, 1); /* others of the user come and go */
    rig_start(&rig, "%s/other.onnx --region-prefix %s", rig.folder, prefix());
    ck_assert_int_eq(rig_stop(&rig), 0);
    expect_regions(n, 0, "another daemon came and went");
    start(&rig); /* one that does not keep them */
    ck_assert_msg(!rig_log_has(&rig, "weights=packed"), "what is kept is not adopted");
    ck_assert_int_eq(rig_stop(&rig), 0);
    expect_regions(n, 0, "a daemon without --keep-regions came and went");
    rig_start(&rig, "%s/other.onnx --keep-age 0 --region-prefix %s", rig.folder, prefix());
    ck_assert_int_eq(rig_stop(&rig), 0);
    expect_regions(0, 0, "too old");
    rig_end(&rig);
}
END_TEST

START_TEST(kept_weights_go_when_they_are_cleaned)
{
    struct rig rig;
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    rig_start(&rig, "models --keep-regions --region-prefix %s", prefix());
    int n = look().n;
    clean_up();
    expect_regions(n, 1, "cleaned while they are held");
    ck_assert_int_eq(rig_stop(&rig), 0);
    clean_up();
    expect_regions(0, 0, "cleaned");
    rig_end(&rig);
}
END_TEST

START_TEST(a_file_that_changed_leaves_nothing_kept_behind)
{
    struct rig rig;
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    write_other_model(&rig, 1);
    rig_start(&rig, "%s/other.onnx --keep-regions --region-prefix %s", rig.folder, prefix());
    ck_assert_int_eq(rig_stop(&rig), 0);
    int n = look().n;
    free(rig_shell(NULL, "printf '\\202\\001\\001x' >> %s/other.onnx", rig.folder)); /* an unknown field */
    rig_start(&rig, "%s/other.onnx --keep-regions --region-prefix %s", rig.folder, prefix());
    ck_assert_msg(!rig_log_has(&rig, "weights=adopted"), "another file's weights are adopted");
    expect_regions(n, 1, "the file changed");
    ck_assert_int_eq(rig_stop(&rig), 0);
    clean_up();
    rig_end(&rig);
}
END_TEST

/* /dev/shm of this process and its children, of this size. */
static bool make_room(const char *size)
{
    bool forked = !getenv("CK_FORK") || strcmp(getenv("CK_FORK"), "no") != 0;
    if (forked && unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
        mount("none", "/dev/shm", "tmpfs", 0, size) == 0)
        return true;
    printf("skipped: no file system of its own is allowed here\n");
    return false;
}

static int count_in_log(const struct rig *rig, const char *words)
{
    char *text = rig_shell(NULL, "grep -c '%s' %s || true", words, rig->log);
    int n = atoi(text);
    free(text);
    return n;
}

START_TEST(weights_without_room_are_private_and_said_to_be)
{
    struct rig rig;
    if (!rig_is_there() || !make_room("size=4k"))
        return;
    rig_begin(&rig);
    rig_start(&rig, "models --keep-regions --region-prefix %s", prefix());
    ck_assert_int_eq(count_in_log(&rig, " warn .*weights=private"), 1);
    ck_assert_int_gt(count_in_log(&rig, "model ready"), 5);
    ck_assert_int_eq(count_in_log(&rig, "model ready .*weights=private"), count_in_log(&rig, "model ready"));
    expect_answer(&rig);
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_end(&rig);
    rig_begin(&rig);
    rig_start(&rig, "models --private-regions"); /* as it was wanted */
    ck_assert_int_eq(count_in_log(&rig, " warn "), 0);
    ck_assert_int_eq(count_in_log(&rig, "model ready .*weights=private"), count_in_log(&rig, "model ready"));
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_end(&rig);
}
END_TEST

static void load_again(const struct rig *rig, float first)
{
    write_other_model(rig, first);
    struct reply reply = rig_ask(rig, "POST", "/v2/repository/models/other/load", "", "", 0);
    ck_assert_msg(reply.status == 200, "%d: %s", reply.status, reply.body);
    reply_free(&reply);
}

/* There is room for one set of weights: the other is private while both are there. */
START_TEST(a_new_instance_without_room_is_private)
{
    struct rig rig;
    if (!rig_is_there() || !make_room("size=12k"))
        return;
    rig_begin(&rig);
    write_other_model(&rig, 1);
    rig_start(&rig, "%s/other.onnx --admin --region-prefix %s", rig.folder, prefix());
    ck_assert_int_eq(count_in_log(&rig, "model ready .*weights=packed"), 1);
    load_again(&rig, 2);
    ck_assert_int_eq(count_in_log(&rig, "model ready .*weights=private"), 1);
    while (look().n) /* the first one's go behind the answer */
        rig_pause(3);
    load_again(&rig, 3);
    ck_assert_int_eq(count_in_log(&rig, "model ready .*weights=packed"), 2);
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_end(&rig);
}
END_TEST

Suite *daemon_sharing_suite(void);

Suite *daemon_sharing_suite(void)
{
    Suite *suite = suite_create("daemon_sharing");
    TCase *tests = tcase_create("sharing");
    tcase_add_test(tests, two_daemons_share_one_set_that_survives_them);
    tcase_add_test(tests, the_last_to_end_removes_the_weights);
    tcase_add_test(tests, kept_weights_are_found_by_the_next_start);
    tcase_add_test(tests, kept_weights_go_when_they_are_cleaned);
    tcase_add_test(tests, a_file_that_changed_leaves_nothing_kept_behind);
    tcase_add_test(tests, weights_without_room_are_private_and_said_to_be);
    tcase_add_test(tests, a_new_instance_without_room_is_private);
    tcase_set_timeout(tests, RIG_PATIENCE_MS / 1000 * 4);
    suite_add_tcase(suite, tests);
    return suite;
}
