/*
 * shortage.c - less memory than all that is asked for (--memory-total): what can wait does, what cannot is told, and
 * afterwards everything has come back. The models are x + C over items of a megabyte, so a run takes two and more.
 */
#include "serve/repository.h"

#include "base/budget.h"
#include "base/err.h"
#include "folder.h"
#include "graph/proto.h"
#include "serve/encoder.h"
#include "serve/lane.h"
#include "serve/lifecycle.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

Suite *serve_shortage_suite(void);

#define MB ((size_t)1 << 20)
#define WIDTH (MB / sizeof(float))
#define ASKED 24

struct asked {
    struct job job;
    struct arena arena;
    const struct percept_tensor *sources[1];
    struct percept_tensor x;
    int n_done;
};

static struct percept_err err;
static struct settings settings;
static struct percept_budget budget;
static struct loop *loop;
static struct catalog *catalog;
static struct repository *repository;
static struct asked asked[ASKED];
static int n_asked;
static bool drained;
static float ones[4 * WIDTH];

/* Models a and b. */
static void start(size_t limit_bytes)
{
    char path[32];
    folder_begin("shortage");
    budget = (struct percept_budget){.limit_bytes = limit_bytes};
    settings = (struct settings){
        .workers = 2, .private_regions = true, .max_batch_size = 4, .max_queue_size = 64, .budget = &budget};
    loop = loop_new(2, &err);
    catalog = catalog_new(loop, &settings, &err);
    repository = repository_new(loop, catalog, &settings, &err);
    ck_assert_ptr_nonnull(repository);
    for (int i = 0; i < 2; i++) {
        struct proto graph = {0};
        const float c = (float)i;
        proto_add(&graph, GRAPH_INPUT, proto_value("x", PERCEPT_FLOAT, 2, (int64_t[]){-1, -1}));
        proto_add(&graph, GRAPH_OUTPUT, proto_value("y", PERCEPT_FLOAT, 2, (int64_t[]){-1, -1}));
        proto_add(&graph, GRAPH_INITIALIZER, proto_tensor("c", PERCEPT_FLOAT, 0, NULL, &c, sizeof c));
        proto_add(&graph, GRAPH_NODE, proto_node("Add", "", "x,c", "y"));
        struct proto model = proto_model(graph, 13);
        snprintf(path, sizeof path, "repo/%c/model.onnx", 'a' + i);
        folder_put(path, model.at, model.n);
        proto_free(&model);
    }
    ck_assert_msg(repository_add(repository, folder_at("repo"), &err), "%s", err.text);
    loop_run(loop);
    for (size_t i = 0; i < sizeof ones / sizeof *ones; i++)
        ones[i] = 1;
    n_asked = 0;
    drained = false;
}

static void on_drained(void *user)
{
    (void)user;
    drained = true;
}

static void end(void)
{
    catalog_drain(catalog, on_drained, NULL);
    loop_run(loop);
    ck_assert(drained);
    for (int i = 0; i < n_asked; i++)
        arena_free(&asked[i].arena);
    catalog_free(catalog);
    repository_free(repository);
    loop_free(loop);
    folder_end();
    ck_assert_uint_eq(budget_used(&budget), 0);
}

static void on_done(struct job *job)
{
    struct asked *one = job->user;
    one->n_done++;
    if (job->err.code == 0)
        ck_assert_float_eq(*(const float *)job->results[0].data, 1 + (float)(*job->served->name - 'a'));
    arena_free(job->arena); /* as an exchange does that has its answer */
}

static struct asked *ask(const char *name, int64_t n_items)
{
    struct asked *one = &asked[n_asked++];
    *one = (struct asked){.arena = {.budget = &budget}};
    one->x = (struct percept_tensor){.dtype = PERCEPT_FLOAT, .rank = 2, .dims = {n_items, WIDTH}, .data = ones};
    one->sources[0] = &one->x;
    one->job = (struct job){.arena = &one->arena,
                            .served = catalog_find_ready(catalog, name, 0, &err),
                            .encoder = &encoder_keep,
                            .sources = one->sources,
                            .json_bytes = -1,
                            .arrived_ns = loop_now_ns(),
                            .done = on_done,
                            .user = one};
    ck_assert_ptr_nonnull(one->job.served);
    lifecycle_start(&one->job);
    return one;
}

static void expect_failure(const struct asked *one, int status, const char *says)
{
    ck_assert_int_eq(one->n_done, 1);
    ck_assert_int_eq(err_status(one->job.err.code), status);
    ck_assert_msg(strstr(one->job.err.text, says) != NULL, "%s", one->job.err.text);
}

START_TEST(without_want_all_are_answered)
{
    start(1000 * MB);
    for (int i = 0; i < 8; i++)
        ask(i % 2 ? "b" : "a", 1);
    loop_run(loop);
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(asked[i].job.err.code, 0);
    ck_assert_uint_gt(budget_used(&budget), 4 * MB); /* sessions keep what they had */
    end();
}
END_TEST

/* One item in and out, and what is kept of it, is three megabytes; two sessions would be four. */
START_TEST(what_others_hold_comes_back_for_who_waits)
{
    start(MB * 7 / 2);
    for (int i = 0; i < ASKED; i++)
        ask(i % 3 ? "a" : "b", 1);
    loop_run(loop);
    for (int i = 0; i < ASKED; i++) {
        ck_assert_int_eq(asked[i].n_done, 1);
        ck_assert_msg(asked[i].job.err.code == 0, "%d: %s", i, asked[i].job.err.text);
    }
    ck_assert_uint_le(budget_used(&budget), budget.limit_bytes);
    end();
}
END_TEST

START_TEST(what_can_never_fit_is_too_large)
{
    start(MB * 7 / 2);
    struct asked *one = ask("a", 4), *other = ask("a", 1);
    loop_run(loop);
    expect_failure(one, 413, "this request takes 8");
    expect_failure(one, 413, "all requests may take 3670016 (--memory-total)");
    ck_assert_msg(other->job.err.code == 0, "%s", other->job.err.text);
    end();
}
END_TEST

/* Held by nobody whom waiting could help, as by bodies of requests that are still coming. */
START_TEST(what_nobody_will_give_back_is_not_waited_for)
{
    start(MB * 7 / 2);
    ck_assert(budget_take(&budget, 2 * MB));
    struct asked *one = ask("a", 1), *other = ask("b", 1);
    loop_run(loop);
    expect_failure(one, 503, "the requests under way take the 3670016 bytes of memory that there are for them");
    expect_failure(other, 503, "try again");
    budget_give(&budget, 2 * MB);
    one = ask("a", 1);
    loop_run(loop);
    ck_assert_msg(one->job.err.code == 0, "%s", one->job.err.text);
    ck_assert_uint_eq(catalog_find(catalog, "a", 0, &err)->stats.shed, 1);
    end();
}
END_TEST

/* A run had its memory, and its results have none. */
START_TEST(results_that_do_not_fit_are_told)
{
    start(MB * 5 / 2);
    struct asked *one = ask("a", 1);
    loop_run(loop);
    expect_failure(one, 503, "--memory-total");
    end();
}
END_TEST

START_TEST(who_waits_may_leave)
{
    start(MB * 7 / 2);
    for (int i = 0; i < 6; i++)
        ask(i % 2 ? "a" : "b", 1);
    lifecycle_cancel(&asked[3].job);
    lifecycle_cancel(&asked[4].job);
    loop_run(loop);
    for (int i = 0; i < 6; i++) {
        ck_assert_int_eq(asked[i].n_done, 1);
        ck_assert_int_eq(asked[i].job.err.code, i == 3 || i == 4 ? ERR_CANCELLED : ERR_NONE);
    }
    end();
}
END_TEST

START_TEST(what_waits_is_answered_when_the_server_ends)
{
    start(MB * 7 / 2);
    for (int i = 0; i < 8; i++)
        ask(i % 2 ? "a" : "b", 1);
    end();
    for (int i = 0; i < 8; i++) {
        ck_assert_int_eq(asked[i].n_done, 1);
        ck_assert_msg(asked[i].job.err.code == 0, "%s", asked[i].job.err.text);
    }
}
END_TEST

Suite *serve_shortage_suite(void)
{
    Suite *suite = suite_create("serve/shortage");
    TCase *tests = tcase_create("shortage");
    tcase_add_test(tests, without_want_all_are_answered);
    tcase_add_test(tests, what_others_hold_comes_back_for_who_waits);
    tcase_add_test(tests, what_can_never_fit_is_too_large);
    tcase_add_test(tests, what_nobody_will_give_back_is_not_waited_for);
    tcase_add_test(tests, results_that_do_not_fit_are_told);
    tcase_add_test(tests, who_waits_may_leave);
    tcase_add_test(tests, what_waits_is_answered_when_the_server_ends);
    suite_add_tcase(suite, tests);
    return suite;
}
