/*
 * resident.c - models that are unloaded while nobody asks for them, by a clock of our own, and loaded again for who
 * does. The models are x + C, so that an answer tells whose it is.
 */
#include "serve/resident.h"

#include "base/err.h"
#include "folder.h"
#include "graph/proto.h"
#include "serve/codec.h"
#include "serve/lane.h"
#include "serve/lifecycle.h"
#include "serve/repository.h"

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

Suite *serve_resident_suite(void);

#define ASKED 240
#define SECOND_NS INT64_C(1000000000)

struct asked {
    struct job job;
    struct arena arena;
    int n_done;
};

static struct percept_err err;
static struct settings settings;
static struct loop *loop;
static struct catalog *catalog;
static struct repository *repository;
static struct asked asked[ASKED];
static int n_asked, n_drained;
static int64_t now_ns;
static char seen[400];

static int64_t clock_ns(void)
{
    return now_ns;
}

static void note_change(void *user, struct served *served)
{
    (void)user;
    size_t n = strlen(seen);
    snprintf(seen + n, sizeof seen - n, "%s:%s ", served->name, catalog_state_name(served->state));
}

static void begin(void)
{
    folder_begin("resident");
    settings = (struct settings){.workers = 2, .private_regions = true, .max_batch_size = 16, .max_queue_size = 256};
    n_asked = n_drained = 0;
    now_ns = SECOND_NS;
    seen[0] = '\0';
    loop = loop_new(2, &err);
    ck_assert_ptr_nonnull(loop);
    catalog = NULL;
}

static void open_catalog(void)
{
    catalog = catalog_new(loop, &settings, &err);
    ck_assert_ptr_nonnull(catalog);
    repository = repository_new(loop, catalog, &settings, &err);
    ck_assert_ptr_nonnull(repository);
}

static void count_drained(void *user)
{
    (void)user;
    n_drained++;
}

/* Whatever was asked has one answer. */
static void end(void)
{
    catalog_drain(catalog, count_drained, NULL);
    loop_run(loop);
    ck_assert_int_eq(n_drained, 1);
    for (int i = 0; i < n_asked; i++) {
        ck_assert_int_eq(asked[i].n_done, 1);
        arena_free(&asked[i].arena);
    }
    catalog_free(catalog);
    repository_free(repository);
    loop_free(loop);
    folder_end();
}

/* A model of x + c whose items are so wide. */
static void put_wide(const char *path, float c, int64_t width)
{
    struct proto graph = {0};
    proto_add(&graph, GRAPH_INPUT, proto_value("x", PERCEPT_FLOAT, 2, (int64_t[]){-1, width}));
    proto_add(&graph, GRAPH_OUTPUT, proto_value("y", PERCEPT_FLOAT, 2, (int64_t[]){-1, width}));
    proto_add(&graph, GRAPH_INITIALIZER, proto_tensor("c", PERCEPT_FLOAT, 0, NULL, &c, sizeof c));
    proto_add(&graph, GRAPH_NODE, proto_node("Add", "", "x,c", "y"));
    struct proto model = proto_model(graph, 13);
    folder_put(path, model.at, model.n);
    proto_free(&model);
}

static void put(const char *path, float c)
{
    put_wide(path, c, 1);
}

static void add(const char *path)
{
    ck_assert_msg(repository_add(repository, folder_at(path), &err), "%s", err.text);
}

static struct served *find(const char *name)
{
    struct served *served = catalog_find(catalog, name, 0, &err);
    ck_assert_msg(served != NULL, "%s", err.text);
    return served;
}

static void turn(void)
{
    loop_wake(loop);
    loop_run(loop);
}

/* One model "a" of x + 10, which goes after 60 s. */
static void serve_a(void)
{
    settings.max_idle_ms = 60000;
    open_catalog();
    catalog_set_clock(catalog, clock_ns);
    put("a/model.onnx", 10);
    add("a");
    loop_run(loop);
    ck_assert_int_eq(find("a")->state, SERVED_READY);
    ck_assert(!find("a")->away);
    catalog_on_change(catalog, note_change, NULL);
}

static void send_a_away(void)
{
    now_ns += 60 * SECOND_NS;
    turn();
    ck_assert(find("a")->away);
}

static void on_done(struct job *job)
{
    ((struct asked *)job->user)->n_done++;
}

static struct asked *ask_within(const char *name, int64_t timeout_us)
{
    struct served *served = catalog_find_ready(catalog, name, 0, &err);
    ck_assert_msg(served != NULL, "%s", err.text);
    ck_assert_int_lt(n_asked, ASKED);
    struct asked *one = &asked[n_asked++];
    *one = (struct asked){.n_done = 0};
    one->job = (struct job){
        .arena = &one->arena,
        .served = served,
        .body = bytes_of_text("{\"inputs\":[{\"name\":\"x\",\"shape\":[1,1],\"datatype\":\"FP32\",\"data\":[1]}]}"),
        .json_bytes = -1,
        .arrived_ns = loop_now_ns(),
        .timeout_us = timeout_us,
        .done = on_done,
        .user = one};
    one->job.codec = codec_find(served, bytes_of_text("application/json"), &err);
    ck_assert_ptr_nonnull(one->job.codec);
    lifecycle_start(&one->job);
    return one;
}

static struct asked *ask(const char *name)
{
    return ask_within(name, 0);
}

static void expect_answer(const struct asked *one, int y)
{
    char data[24];
    ck_assert_int_eq(one->n_done, 1);
    ck_assert_msg(one->job.err.code == 0, "%s", one->job.err.text);
    int n = snprintf(data, sizeof data, "\"data\":[%d.0]", y);
    ck_assert_msg(memmem(one->job.reply.at, bytes_size(one->job.reply), data, (size_t)n) != NULL, "not %d: %.*s", y,
                  (int)bytes_size(one->job.reply), (const char *)one->job.reply.at);
}

static void expect_failure(const struct asked *one, int code, const char *says)
{
    ck_assert_int_eq(one->n_done, 1);
    ck_assert_int_eq(one->job.err.code, code);
    ck_assert_msg(strstr(one->job.err.text, says) != NULL, "%s", one->job.err.text);
}

START_TEST(who_is_idle_goes_and_comes_back_when_asked)
{
    serve_a();
    now_ns += 59 * SECOND_NS;
    turn();
    ck_assert(!find("a")->away);
    now_ns += SECOND_NS;
    turn();
    const struct served *served = find("a");
    ck_assert(served->away);
    ck_assert_int_eq(served->state, SERVED_READY);
    ck_assert(catalog_ready(catalog, &err));
    ck_assert_ptr_null(served->model);
    ck_assert_uint_eq(catalog_resident_bytes(catalog), 0);
    ck_assert_uint_eq(served->stats.session_bytes, 0);
    int n;
    ck_assert_str_eq(served_inputs(served, &n)->name, "x");
    ck_assert_int_eq(n, 1);
    struct asked *one = ask("a"), *other = ask("a");
    loop_run(loop);
    expect_answer(one, 11);
    expect_answer(other, 11);
    ck_assert(!served->away);
    ck_assert_uint_gt(catalog_resident_bytes(catalog), 0);
    ck_assert_uint_eq(served->stats.departures, 1);
    ck_assert_uint_eq(served->stats.returns, 1);
    ck_assert_uint_eq(served->stats.loads, 2);
    ck_assert_uint_eq(served->stats.success, 2);
    ck_assert_str_eq(seen, ""); /* it was READY all the time */
}
END_TEST

START_TEST(who_is_asked_stays)
{
    serve_a();
    for (int i = 0; i < 4; i++) {
        now_ns += 40 * SECOND_NS;
        expect_answer((ask("a"), loop_run(loop), &asked[i]), 11);
    }
    ck_assert_uint_eq(find("a")->stats.departures, 0);
}
END_TEST

START_TEST(who_cannot_come_back_fails_what_waits_and_says_why)
{
    serve_a();
    send_a_away();
    ck_assert_int_eq(unlink(folder_at("a/model.onnx")), 0);
    struct asked *one = ask("a"), *other = ask("a");
    loop_run(loop);
    expect_failure(one, ERR_UNAVAILABLE, "'a' version 1 is not at ready state: ");
    expect_failure(other, ERR_UNAVAILABLE, "a/model.onnx");
    ck_assert_ptr_null(strstr(one->job.err.text, folder_root));
    ck_assert_int_eq(find("a")->state, SERVED_FAILED);
    ck_assert_str_eq(seen, "a:UNAVAILABLE ");
    ck_assert_ptr_null(catalog_find_ready(catalog, "a", 0, &err));
    ck_assert(!catalog_ready(catalog, &err));
    put("a/model.onnx", 20);
    ck_assert(repository_reload(repository, NULL, NULL, &err));
    loop_run(loop);
    one = ask("a");
    loop_run(loop);
    expect_answer(one, 21);
}
END_TEST

START_TEST(a_file_that_takes_something_else_is_refused_and_one_with_other_weights_is_not)
{
    serve_a();
    send_a_away();
    put("a/model.onnx", 20);
    struct asked *one = ask("a");
    loop_run(loop);
    expect_answer(one, 21);
    send_a_away();
    put_wide("a/model.onnx", 30, 2);
    one = ask("a");
    loop_run(loop);
    expect_failure(one, ERR_UNAVAILABLE, "has changed in what it takes or gives while the model was away");
}
END_TEST

START_TEST(a_deadline_holds_while_the_model_comes)
{
    serve_a();
    send_a_away();
    struct asked *one = ask_within("a", 1);
    loop_run(loop);
    expect_failure(one, ERR_TIMEOUT, "Request timeout expired");
    ck_assert(!find("a")->away); /* whoever asks next need not wait */
}
END_TEST

START_TEST(a_queue_is_bounded_while_the_model_comes)
{
    settings.max_queue_size = 2;
    serve_a();
    send_a_away();
    for (int i = 0; i < 3; i++)
        ask("a");
    loop_run(loop);
    expect_answer(&asked[0], 11);
    expect_answer(&asked[1], 11);
    expect_failure(&asked[2], ERR_UNAVAILABLE, "Exceeds maximum queue size");
}
END_TEST

START_TEST(who_is_given_up_holds_nothing_back)
{
    serve_a();
    send_a_away();
    struct asked *one = ask("a"), *other = ask("a");
    lifecycle_cancel(&one->job);
    loop_run(loop);
    expect_failure(one, ERR_CANCELLED, "");
    expect_answer(other, 11);
}
END_TEST

START_TEST(who_is_away_may_be_replaced)
{
    serve_a();
    send_a_away();
    struct asked *one = ask("a");
    put("a/model.onnx", 20);
    ck_assert_ptr_nonnull(catalog_replace(catalog, find("a"), &err));
    loop_run(loop);
    ck_assert_int_eq(one->n_done, 1);
    ck_assert_int_eq(one->job.err.code, 0);
    one = ask("a");
    loop_run(loop);
    expect_answer(one, 21);
}
END_TEST

START_TEST(who_is_away_may_be_removed_and_answers_first)
{
    serve_a();
    send_a_away();
    struct asked *one = _i ? ask("a") : NULL;
    ck_assert(catalog_remove(catalog, find("a"), &err));
    loop_run(loop);
    if (one)
        expect_answer(one, 11);
    ck_assert_ptr_null(catalog_find(catalog, "a", 0, &err));
}
END_TEST

START_TEST(what_was_accepted_is_answered_when_the_server_ends)
{
    serve_a();
    send_a_away();
    struct asked *one = ask("a");
    catalog_drain(catalog, count_drained, NULL);
    loop_run(loop);
    expect_answer(one, 11);
    ck_assert_int_eq(n_drained, 1);
    n_drained = 0;
    catalog_free(catalog);
    repository_free(repository);
    loop_run(loop);
    open_catalog();
}
END_TEST

START_TEST(what_came_with_a_request_cannot_be_loaded_again_and_stays)
{
    struct residents residents = {0};
    struct settings limits = {.max_idle_ms = 1};
    struct entry entry = {.sent = true};
    open_catalog();
    ck_assert(resident_begin(&residents, loop, &limits, &err));
    resident_add(&residents, &entry);
    ck_assert(entry.idle.stays);
    resident_remove(&residents, &entry);
    ck_assert_ptr_null(residents.first);
    resident_end(&residents);
}
END_TEST

/* Every request is answered or refused with a reason, and the next one finds the model again. */
START_TEST(whatever_memory_is_short_the_model_comes_back)
{
    int n_right = 0, n_wrong = 0;
    serve_a();
    for (size_t nth = 1; nth <= 60; nth++) {
        send_a_away();
        arena_fail_at(nth, false);
        struct asked *one = ask("a");
        loop_run(loop);
        arena_fail_at(0, false);
        ck_assert_int_eq(one->n_done, 1);
        n_right += one->job.err.code == 0;
        n_wrong += one->job.err.code != 0;
        ck_assert_msg(find("a")->state == SERVED_READY, "%zu: %s", nth, find("a")->reason);
        one = ask("a");
        loop_run(loop);
        expect_answer(one, 11);
    }
    ck_assert_int_gt(n_right, 0);
    ck_assert_int_gt(n_wrong, 0);
}
END_TEST

#define MODELS 20
#define ROOM 5

static int count_residents(void)
{
    int n = 0;
    for (const struct served *at = catalog_first(catalog); at; at = at->next)
        n += !at->away;
    return n;
}

/* What one of them holds is told by one alone. */
static size_t measure_one(void)
{
    put("one/model.onnx", 0);
    open_catalog();
    add("one");
    loop_run(loop);
    const size_t n_bytes = catalog_resident_bytes(catalog);
    catalog_free(catalog);
    repository_free(repository);
    loop_run(loop);
    return n_bytes;
}

static void serve_many(void)
{
    char path[40];
    settings.max_resident_bytes = ROOM * measure_one();
    ck_assert_uint_gt(settings.max_resident_bytes, 0);
    open_catalog();
    for (int i = 0; i < MODELS; i++) {
        snprintf(path, sizeof path, "repo/m%02d/model.onnx", i);
        put(path, (float)i);
    }
    add("repo");
    loop_run(loop);
    turn();
}

START_TEST(twenty_models_in_the_room_of_five)
{
    char name[8];
    serve_many();
    ck_assert_int_eq(count_residents(), ROOM);
    ck_assert_uint_le(catalog_resident_bytes(catalog), settings.max_resident_bytes);
    for (int i = 0; i < ASKED; i++) {
        snprintf(name, sizeof name, "m%02d", i * 7 % MODELS);
        ask(name);
        if (i % 60 == 59)
            for (int k = 0; catalog_in_flight(catalog) > 0; k++) { /* timers of idleness keep no loop running */
                turn();
                ck_assert_uint_le(catalog_resident_bytes(catalog), settings.max_resident_bytes);
            }
    }
    for (int i = 0; i < ASKED; i++)
        expect_answer(&asked[i], i * 7 % MODELS + 1);
    ck_assert_int_le(count_residents(), ROOM);
    ck_assert_uint_gt(find("m00")->stats.returns, 0);
    ck_assert(catalog_ready(catalog, &err));
}
END_TEST

Suite *serve_resident_suite(void)
{
    Suite *suite = suite_create("serve/resident");
    TCase *tests = tcase_create("resident");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, who_is_idle_goes_and_comes_back_when_asked);
    tcase_add_test(tests, who_is_asked_stays);
    tcase_add_test(tests, who_cannot_come_back_fails_what_waits_and_says_why);
    tcase_add_test(tests, a_file_that_takes_something_else_is_refused_and_one_with_other_weights_is_not);
    tcase_add_test(tests, a_deadline_holds_while_the_model_comes);
    tcase_add_test(tests, a_queue_is_bounded_while_the_model_comes);
    tcase_add_test(tests, who_is_given_up_holds_nothing_back);
    tcase_add_test(tests, who_is_away_may_be_replaced);
    tcase_add_loop_test(tests, who_is_away_may_be_removed_and_answers_first, 0, 2);
    tcase_add_test(tests, what_was_accepted_is_answered_when_the_server_ends);
    tcase_add_test(tests, what_came_with_a_request_cannot_be_loaded_again_and_stays);
    tcase_add_test(tests, whatever_memory_is_short_the_model_comes_back);
    tcase_add_test(tests, twenty_models_in_the_room_of_five);
    suite_add_tcase(suite, tests);
    return suite;
}
