/*
 * instances.c - models that come and go while they are asked: what was accepted is answered, by the instance that
 * accepted it, and what nobody has any more is gone. The models are x + C, so that an answer tells whose it is.
 */
#include "serve/repository.h"

#include "base/err.h"
#include "folder.h"
#include "graph/proto.h"
#include "serve/codec.h"
#include "serve/lane.h"
#include "serve/lifecycle.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

Suite *serve_instances_suite(void);

#define ASKED 8

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
static char seen[400]; /* "a1:LOADING a1:READY ", as catalog_on_change told it */
static void (*when_done)(void);

static void note_change(void *user, struct served *served)
{
    (void)user;
    size_t n = strlen(seen);
    snprintf(seen + n, sizeof seen - n, "%s%d:%s ", served->name, (int)served->version,
             catalog_state_name(served->state));
}

static void open_catalog(void)
{
    catalog = catalog_new(loop, &settings, &err);
    ck_assert_ptr_nonnull(catalog);
    repository = repository_new(loop, catalog, &settings, &err);
    ck_assert_ptr_nonnull(repository);
    catalog_on_change(catalog, note_change, NULL);
}

static void begin(void)
{
    folder_begin("instances");
    settings = (struct settings){.workers = 2, .private_regions = true, .max_batch_size = 16, .max_queue_size = 32};
    n_asked = n_drained = 0;
    when_done = NULL;
    seen[0] = '\0';
    loop = loop_new(2, &err);
    ck_assert_ptr_nonnull(loop);
    open_catalog();
}

static void count_drained(void *user)
{
    (void)user;
    n_drained++;
}

/* Whatever was asked has one answer. */
static void close_catalog(void)
{
    catalog_drain(catalog, count_drained, NULL);
    loop_run(loop);
    ck_assert_int_eq(n_drained, 1);
    n_drained = 0;
    for (int i = 0; i < n_asked; i++) {
        ck_assert_int_eq(asked[i].n_done, 1);
        arena_free(&asked[i].arena);
    }
    n_asked = 0;
    catalog_free(catalog);
    repository_free(repository);
    loop_run(loop);
}

static void end(void)
{
    close_catalog();
    loop_free(loop);
    folder_end();
}

/* A model of x + c. */
static void put(const char *path, float c)
{
    struct proto graph = {0};
    proto_add(&graph, GRAPH_INPUT, proto_value("x", PERCEPT_FLOAT, 2, (int64_t[]){-1, 1}));
    proto_add(&graph, GRAPH_OUTPUT, proto_value("y", PERCEPT_FLOAT, 2, (int64_t[]){-1, 1}));
    proto_add(&graph, GRAPH_INITIALIZER, proto_tensor("c", PERCEPT_FLOAT, 0, NULL, &c, sizeof c));
    proto_add(&graph, GRAPH_NODE, proto_node("Add", "", "x,c", "y"));
    struct proto model = proto_model(graph, 13);
    folder_put(path, model.at, model.n);
    proto_free(&model);
}

static void add(const char *path)
{
    ck_assert_msg(repository_add(repository, folder_at(path), &err), "%s", err.text);
}

static struct served *find(const char *name, int64_t version)
{
    struct served *served = catalog_find(catalog, name, version, &err);
    ck_assert_msg(served != NULL, "%s", err.text);
    return served;
}

static void unload(struct served *served)
{
    ck_assert_msg(catalog_remove(catalog, served, &err), "%s", err.text);
}

static void on_done(struct job *job)
{
    ((struct asked *)job->user)->n_done++;
    if (when_done)
        when_done();
}

/* Asks for 1 + c; the answer comes when the loop runs. */
static struct asked *ask(const char *name)
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
        .done = on_done,
        .user = one};
    one->job.codec = codec_find(served, bytes_of_text("application/json"), &err);
    ck_assert_ptr_nonnull(one->job.codec);
    lifecycle_start(&one->job);
    return one;
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

static void expect_unknown(const char *name)
{
    ck_assert_ptr_null(catalog_find(catalog, name, 0, &err));
    ck_assert_int_eq(err_status(err.code), 404);
}

static void serve_a(float c)
{
    put("a/model.onnx", c);
    add("a");
    loop_run(loop);
    ck_assert_str_eq(seen, "a1:LOADING a1:READY ");
    seen[0] = '\0';
}

/* --- removal ------------------------------------------------------------------------------------------------------ */

START_TEST(an_idle_model_is_gone_in_the_next_turn)
{
    serve_a(10);
    unload(find("a", 1));
    unload(find("a", 1));
    ck_assert_int_eq(find("a", 1)->state, SERVED_UNLOADING);
    ck_assert_ptr_null(catalog_find_ready(catalog, "a", 0, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "is not at ready state: it is unloading"));
    ck_assert_int_eq(err_status(err.code), 503);
    loop_run(loop);
    expect_unknown("a");
    ck_assert_ptr_null(catalog_first(catalog));
    ck_assert_str_eq(seen, "a1:UNLOADING a1:UNLOADING ");
    ck_assert(!catalog_ready(catalog, &err));
    ck_assert_str_eq(err.text, "no model is served");
}
END_TEST

START_TEST(requests_that_wait_are_answered_first)
{
    serve_a(10);
    for (int i = 0; i < 5; i++)
        ask("a");
    unload(find("a", 1));
    ck_assert_int_eq(catalog_in_flight(catalog), 5);
    loop_run(loop);
    for (int i = 0; i < 5; i++)
        expect_answer(&asked[i], 11);
    expect_unknown("a");
}
END_TEST

static void remove_a(void)
{
    if (seen[0] == '\0')
        unload(find("a", 1));
    ck_assert_int_eq(find("a", 1)->state, SERVED_UNLOADING); /* it is there while anybody is answered */
}

START_TEST(requests_that_run_are_answered_first)
{
    folder_text("a/manifest.json", "{\"manifest\":1,\"batching\":{\"max_batch_size\":1}}");
    serve_a(10);
    for (int i = 0; i < 6; i++)
        ask("a");
    when_done = remove_a; /* with the first answer: the next is running, and others wait */
    loop_run(loop);
    for (int i = 0; i < 6; i++)
        expect_answer(&asked[i], 11);
    expect_unknown("a");
}
END_TEST

START_TEST(requests_that_are_given_up_hold_nothing_back)
{
    serve_a(10);
    struct asked *one = ask("a"), *other = ask("a");
    unload(find("a", 1));
    lifecycle_cancel(&one->job);
    loop_run(loop);
    ck_assert_int_eq(one->job.err.code, ERR_CANCELLED);
    expect_answer(other, 11);
    expect_unknown("a");
}
END_TEST

START_TEST(what_is_removed_while_it_loads_never_serves)
{
    put("a/1/model.onnx", 10);
    put("a/2/model.onnx", 20);
    put("b/model.onnx", 30);
    add("a");
    add("b");
    unload(find("a", 2)); /* its load may have begun, or not */
    unload(find("b", 1));
    loop_run(loop);
    ck_assert_ptr_null(strstr(seen, "a2:READY"));
    ck_assert_ptr_null(strstr(seen, "b1:READY"));
    ck_assert_ptr_null(catalog_find(catalog, "a", 2, &err));
    expect_unknown("b");
    ask("a");
    loop_run(loop);
    expect_answer(&asked[0], 11);
    ck_assert(catalog_ready(catalog, &err));
}
END_TEST

START_TEST(a_failed_model_can_be_removed)
{
    folder_text("a/model.onnx", "broken");
    settings.strict_readiness = settings.ready_when_empty = true;
    add("a");
    loop_run(loop);
    ck_assert(!catalog_ready(catalog, &err));
    unload(find("a", 1));
    loop_run(loop);
    expect_unknown("a");
    ck_assert(catalog_ready(catalog, &err));
}
END_TEST

START_TEST(a_version_that_leaves_is_not_the_default)
{
    put("a/1/model.onnx", 10);
    put("a/2/model.onnx", 20);
    add("a");
    loop_run(loop);
    struct asked *one = ask("a");
    unload(find("a", 2));
    ck_assert_int_eq(find("a", 0)->version, 1);
    struct asked *other = ask("a");
    loop_run(loop);
    expect_answer(one, 21);
    expect_answer(other, 11);
}
END_TEST

/* Beside whatever is leaving. */
static void place(const char *name, const char *path)
{
    const struct found found = {.name = name, .version = 1, .path = folder_at(path)};
    const struct catalog_order order = {.found = &found, .root = repository_roots(repository)};
    ck_assert_msg(catalog_place(catalog, &order, &err) != NULL, "%s", err.text);
}

START_TEST(a_name_may_be_added_again_while_its_last_holder_is_still_there)
{
    serve_a(10);
    struct asked *one = ask("a");
    unload(find("a", 1));
    put("a/model.onnx", 20);
    place("a", "a/model.onnx");
    ck_assert_int_eq(find("a", 1)->state, SERVED_LOADING);
    ck_assert_ptr_null(find("a", 1)->next); /* one name and version is listed once */
    ck_assert_ptr_null(catalog_omitted(catalog));
    loop_run(loop);
    struct asked *other = ask("a");
    loop_run(loop);
    expect_answer(one, 11);
    expect_answer(other, 21);
}
END_TEST

START_TEST(draining_takes_along_what_is_leaving)
{
    serve_a(10);
    ask("a");
    unload(find("a", 1));
    catalog_drain(catalog, count_drained, NULL);
    loop_run(loop);
    ck_assert_int_eq(n_drained, 1);
    n_drained = 0;
    expect_answer(&asked[0], 11);
}
END_TEST

/* Every answer comes once, right or with a reason, and everything is given back (a sanitizer looks). */
START_TEST(whatever_memory_is_short_nobody_is_left_without_an_answer)
{
    int n_right = 0, n_wrong = 0;
    put("a/model.onnx", 10);
    const char *path = folder_at("a");
    for (size_t nth = 1; nth <= 40; nth++) {
        close_catalog();
        open_catalog();
        ck_assert(repository_add(repository, path, &err));
        loop_run(loop);
        arena_fail_at(nth, false);
        for (int i = 0; i < 3; i++)
            ask("a");
        unload(find("a", 1));
        loop_run(loop);
        arena_fail_at(0, false);
        for (int i = 0; i < 3; i++) {
            ck_assert_int_eq(asked[i].n_done, 1);
            n_right += asked[i].job.err.code == 0;
            n_wrong += asked[i].job.err.code != 0;
        }
        expect_unknown("a");
    }
    ck_assert_int_gt(n_right, 0);
    ck_assert_int_gt(n_wrong, 0);
}
END_TEST

/* --- several loads at a time -------------------------------------------------------------------------------------- */

/* Manifests, a broken file and one file under several names among them: loaders share a process. */
START_TEST(loads_at_a_time_do_not_meet)
{
    char path[40];
    ck_assert(loop_loaders(loop, 4, &err));
    for (int i = 0; i < 40; i++) {
        snprintf(path, sizeof path, "repo/m%02d/model.onnx", i);
        if (i % 10 == 9)
            folder_text(path, "broken");
        else
            put(path, (float)(i / 3));
        snprintf(path, sizeof path, "repo/m%02d/manifest.json", i);
        folder_text(path, "{\"manifest\":1,\"description\":\"x + c\",\"license\":\"MIT\","
                          "\"batching\":{\"max_batch_size\":4}}");
    }
    add("repo");
    loop_run(loop);
    int n = 0;
    for (const struct served *served = catalog_first(catalog); served; served = served->next, n++) {
        snprintf(path, sizeof path, "m%02d", n); /* however they came in, they are listed by name */
        ck_assert_str_eq(served->name, path);
        ck_assert_int_eq(served->state, n % 10 == 9 ? SERVED_FAILED : SERVED_READY);
        ck_assert_str_eq(served->manifest->description, "x + c");
    }
    ck_assert_int_eq(n, 40);
}
END_TEST

/* --- replacement -------------------------------------------------------------------------------------------------- */

static struct served *replace(const char *name)
{
    struct served *fresh = catalog_replace(catalog, find(name, 0), &err);
    ck_assert_msg(fresh != NULL, "%s", err.text);
    return fresh;
}

START_TEST(a_replacement_loads_beside_what_serves_and_takes_its_place)
{
    serve_a(10);
    put("a/model.onnx", 20);
    struct asked *before = ask("a");
    struct served *old = find("a", 1), *fresh = replace("a");
    ck_assert_ptr_eq(find("a", 1), old);
    ck_assert(catalog_loading(catalog));
    ck_assert(catalog_ready(catalog, &err)); /* nobody has to wait for it */
    struct asked *meanwhile = ask("a");
    loop_run(loop);
    ck_assert_ptr_eq(find("a", 1), fresh);
    ck_assert_ptr_null(catalog_first(catalog)->next);
    struct asked *after = ask("a");
    loop_run(loop);
    expect_answer(before, 11);
    expect_answer(meanwhile, 11);
    expect_answer(after, 21);
    ck_assert_str_eq(seen, "a1:READY ");
    ck_assert_uint_eq(fresh->stats.success, 1);
    ck_assert_uint_eq(fresh->stats.loads, 2);
}
END_TEST

static void ask_on(void)
{
    if (n_asked < ASKED)
        ask("a");
}

/* Each answer brings the next request, the whole time long. */
START_TEST(a_stream_of_requests_has_no_gap)
{
    serve_a(10);
    put("a/model.onnx", 20);
    struct served *old = find("a", 1);
    replace("a");
    when_done = ask_on;
    ask("a");
    loop_run(loop);
    ck_assert_int_eq(n_asked, ASKED);
    for (int i = 0; i < ASKED; i++)
        expect_answer(&asked[i], asked[i].job.served == old ? 11 : 21);
    when_done = NULL;
}
END_TEST

START_TEST(a_failed_replacement_leaves_what_stands)
{
    serve_a(10);
    settings.strict_readiness = true;
    folder_text("a/model.onnx", "broken");
    replace("a");
    ask("a");
    loop_run(loop);
    ask("a");
    loop_run(loop);
    expect_answer(&asked[0], 11);
    expect_answer(&asked[1], 11);
    ck_assert_int_eq(find("a", 1)->state, SERVED_READY);
    ck_assert_ptr_nonnull(strstr(find("a", 1)->reason, "a/model.onnx: "));
    ck_assert_uint_eq(find("a", 1)->stats.loads, 1);
    ck_assert_uint_eq(find("a", 1)->stats.load_failures, 1);
    ck_assert(catalog_ready(catalog, &err));
    ck_assert_str_eq(seen, "a1:READY ");
    put("a/model.onnx", 20);
    replace("a");
    loop_run(loop);
    ck_assert_str_eq(find("a", 1)->reason, "");
}
END_TEST

START_TEST(of_two_replacements_the_later_one_counts)
{
    serve_a(10);
    put("a/model.onnx", 20);
    replace("a");
    put("a/model.onnx", 30);
    struct served *last = replace("a");
    loop_run(loop);
    ck_assert_ptr_eq(find("a", 1), last);
    ck_assert_str_eq(seen, "a1:READY ");
    ask("a");
    loop_run(loop);
    expect_answer(&asked[0], 31);
}
END_TEST

/* With two loaders either may be the first: what is not listed has no place that one could take. */
START_TEST(a_replacement_that_loads_can_be_replaced)
{
    ck_assert(loop_loaders(loop, 2, &err));
    serve_a(10);
    put("a/model.onnx", 20);
    struct served *first = replace("a");
    put("a/model.onnx", 30);
    struct served *last = catalog_replace(catalog, first, &err);
    ck_assert_ptr_nonnull(last);
    loop_run(loop);
    ck_assert_ptr_eq(find("a", 1), last);
    ck_assert_ptr_null(catalog_first(catalog)->next);
    ask("a");
    loop_run(loop);
    expect_answer(&asked[0], 31);
}
END_TEST

START_TEST(what_is_still_loading_can_be_replaced)
{
    ck_assert(loop_loaders(loop, 2, &err)); /* either may be the first */
    put("a/model.onnx", 10);
    add("a");
    struct served *fresh = replace("a");
    loop_run(loop);
    ck_assert_ptr_eq(find("a", 1), fresh);
    ck_assert_int_eq(fresh->state, SERVED_READY);
    ck_assert_ptr_null(catalog_first(catalog)->next);
}
END_TEST

START_TEST(a_failed_model_can_be_replaced)
{
    folder_text("a/model.onnx", "broken");
    add("a");
    loop_run(loop);
    ck_assert_int_eq(find("a", 1)->state, SERVED_FAILED);
    replace("a");
    loop_run(loop);
    ck_assert_int_eq(find("a", 1)->state, SERVED_FAILED);
    put("a/model.onnx", 10);
    replace("a");
    loop_run(loop);
    ask("a");
    loop_run(loop);
    expect_answer(&asked[0], 11);
}
END_TEST

START_TEST(removal_takes_along_what_loads_beside)
{
    serve_a(10);
    put("a/model.onnx", 20);
    replace("a");
    ask("a");
    unload(find("a", 1));
    ck_assert_ptr_null(catalog_replace(catalog, find("a", 1), &err));
    ck_assert_str_eq(err.text, "model 'a' version 1 is unloading");
    loop_run(loop);
    expect_answer(&asked[0], 11);
    expect_unknown("a");
    ck_assert_ptr_null(strstr(seen, "READY"));
}
END_TEST

START_TEST(draining_waits_for_what_loads_beside)
{
    serve_a(10);
    replace("a");
    ask("a");
    catalog_drain(catalog, count_drained, NULL);
    ck_assert_ptr_null(catalog_replace(catalog, find("a", 1), &err));
    ck_assert_str_eq(err.text, "Server exiting");
    loop_run(loop);
    ck_assert_int_eq(n_drained, 1);
    n_drained = 0;
    ck_assert_int_eq(find("a", 1)->state, SERVED_READY);
    expect_answer(&asked[0], 11);
}
END_TEST

START_TEST(whatever_memory_is_short_one_of_the_two_serves)
{
    int n_old = 0, n_new = 0;
    const char *path = folder_at("a");
    for (size_t nth = 1; nth <= 60; nth++) {
        close_catalog();
        open_catalog();
        put("a/model.onnx", 10);
        ck_assert(repository_add(repository, path, &err));
        loop_run(loop);
        put("a/model.onnx", 20);
        struct served *old = find("a", 1);
        arena_fail_at(nth, false);
        struct served *fresh = catalog_replace(catalog, old, &err);
        loop_run(loop);
        arena_fail_at(0, false);
        struct served *served = find("a", 1);
        ck_assert_int_eq(served->state, SERVED_READY);
        ck_assert(served == old || served == fresh);
        n_old += served == old;
        n_new += served == fresh;
        struct asked *one = ask("a");
        loop_run(loop);
        expect_answer(one, served == old ? 11 : 21);
    }
    ck_assert_int_gt(n_old, 0);
    ck_assert_int_gt(n_new, 0);
}
END_TEST

/* --- roots, labels, needs ----------------------------------------------------------------------------------------- */

START_TEST(a_model_knows_the_path_that_it_came_from)
{
    put("repo/a/model.onnx", 10);
    put("other/b.onnx", 20);
    add("repo");
    ck_assert(!repository_add(repository, folder_at("nowhere"), &err));
    add("other/b.onnx");
    add("repo"); /* what is there is served already */
    const struct root *root = repository_roots(repository);
    ck_assert_str_eq(root->path, folder_at("repo"));
    ck_assert_ptr_eq(find("a", 1)->root, root);
    root = root->next;
    ck_assert_str_eq(root->path, folder_at("nowhere")); /* something may come there */
    ck_assert_str_eq(root->next->path, folder_at("other/b.onnx"));
    ck_assert_ptr_eq(find("b", 1)->root, root->next);
    ck_assert_ptr_null(root->next->next);
    loop_run(loop);
    ck_assert_ptr_eq(replace("a")->root, repository_roots(repository));
}
END_TEST

START_TEST(a_label_finds_its_version)
{
    put("a/1/model.onnx", 10);
    put("a/2/model.onnx", 20);
    add("a");
    ck_assert(catalog_label(catalog, "a", "stable", 1, &err)); /* before it is loaded */
    ck_assert_int_eq(catalog_find_label(catalog, "a", "stable", &err)->version, 1);
    ck_assert(catalog_label(catalog, "a", "stable", 2, &err));
    ck_assert_int_eq(catalog_find_label(catalog, "a", "stable", &err)->version, 2);
    ck_assert(!catalog_label(catalog, "a", "stable", 3, &err));
    ck_assert_str_eq(err.text, "Request for unknown model: 'a' version 3 is not found");
    ck_assert_ptr_null(catalog_find_label(catalog, "a", "next", &err));
    ck_assert_str_eq(err.text, "Request for unknown model: 'a' label 'next' is not found");
    ck_assert_ptr_null(catalog_find_label(catalog, "b", "next", &err));
    ck_assert_str_eq(err.text, "Request for unknown model: 'b' is not found");
    unload(find("a", 2));
    loop_run(loop);
    ck_assert_ptr_null(catalog_find_label(catalog, "a", "stable", &err));
    ck_assert_str_eq(err.text, "Request for unknown model: 'a' version 2 is not found");
    ck_assert(catalog_label(catalog, "a", "stable", 0, &err));
    ck_assert_ptr_null(catalog_find_label(catalog, "a", "stable", &err));
    ck_assert_ptr_nonnull(strstr(err.text, "label 'stable' is not found"));
}
END_TEST

static void need(const char *name, const char *other)
{
    ck_assert_msg(catalog_need(catalog, find(name, 0), other, 0, &err), "%s", err.text);
}

START_TEST(what_is_needed_is_loaded_first)
{
    put("repo/a/model.onnx", 10);
    put("repo/b/model.onnx", 20);
    put("repo/c/model.onnx", 30);
    add("repo");
    need("a", "b");
    need("b", "c");
    ck_assert(!catalog_need(catalog, find("c", 0), "a", 0, &err));
    ck_assert_str_eq(err.text, "model 'c' cannot need 'a', which needs 'c': a circle");
    loop_run(loop);
    ck_assert_str_eq(seen, "a1:LOADING b1:LOADING c1:LOADING c1:READY b1:READY a1:READY ");
    ck_assert(!catalog_remove(catalog, find("c", 0), &err));
    ck_assert_str_eq(err.text, "model 'c' version 1 is needed by 'b' version 1: remove that before");
    ck_assert_int_eq(find("c", 0)->state, SERVED_READY);
    unload(find("a", 0));
    unload(find("b", 0)); /* nobody asks 'a' any more */
    unload(find("c", 0));
    loop_run(loop);
    ck_assert_ptr_null(catalog_first(catalog));
}
END_TEST

START_TEST(what_is_needed_stays_while_requests_may_ask_for_it)
{
    put("repo/a/model.onnx", 10);
    put("repo/b/model.onnx", 20);
    add("repo");
    need("a", "b");
    loop_run(loop);
    ask("a");
    unload(find("a", 0));
    ck_assert(!catalog_remove(catalog, find("b", 0), &err));
    loop_run(loop);
    expect_answer(&asked[0], 11);
    unload(find("b", 0));
}
END_TEST

START_TEST(without_what_it_needs_a_model_fails)
{
    put("repo/a/model.onnx", 10);
    put("repo/d/model.onnx", 10);
    folder_text("repo/b/model.onnx", "broken");
    add("repo");
    need("a", "b");
    need("d", "nobody");
    loop_run(loop);
    ck_assert_int_eq(find("a", 0)->state, SERVED_FAILED);
    ck_assert_ptr_nonnull(strstr(find("a", 0)->reason, "it needs model 'b', which failed to load: b/model.onnx: "));
    ck_assert_str_eq(find("d", 0)->reason, "it needs model 'nobody', which is not served");
    put("repo/b/model.onnx", 20);
    catalog_replace(catalog, find("b", 0), &err);
    struct served *fresh = replace("a"); /* it waits for the one that loads again */
    ck_assert(catalog_need(catalog, fresh, "b", 0, &err));
    loop_run(loop);
    ck_assert_ptr_eq(find("a", 0), fresh);
    ck_assert_int_eq(fresh->state, SERVED_READY);
}
END_TEST

START_TEST(what_waits_for_another_does_not_hold_up_the_end)
{
    put("repo/a/model.onnx", 10);
    put("repo/b/model.onnx", 20);
    add("repo");
    need("a", "b");
    catalog_drain(catalog, count_drained, NULL);
    loop_run(loop);
    ck_assert_int_eq(n_drained, 1);
    n_drained = 0;
    ck_assert_str_eq(find("a", 0)->reason, "Server exiting");
}
END_TEST

Suite *serve_instances_suite(void)
{
    Suite *suite = suite_create("serve/instances");
    TCase *tests = tcase_create("instances");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, an_idle_model_is_gone_in_the_next_turn);
    tcase_add_test(tests, requests_that_wait_are_answered_first);
    tcase_add_test(tests, requests_that_run_are_answered_first);
    tcase_add_test(tests, requests_that_are_given_up_hold_nothing_back);
    tcase_add_test(tests, what_is_removed_while_it_loads_never_serves);
    tcase_add_test(tests, a_failed_model_can_be_removed);
    tcase_add_test(tests, a_version_that_leaves_is_not_the_default);
    tcase_add_test(tests, a_name_may_be_added_again_while_its_last_holder_is_still_there);
    tcase_add_test(tests, draining_takes_along_what_is_leaving);
    tcase_add_test(tests, whatever_memory_is_short_nobody_is_left_without_an_answer);
    tcase_add_test(tests, loads_at_a_time_do_not_meet);
    tcase_add_test(tests, a_replacement_loads_beside_what_serves_and_takes_its_place);
    tcase_add_test(tests, a_stream_of_requests_has_no_gap);
    tcase_add_test(tests, a_failed_replacement_leaves_what_stands);
    tcase_add_test(tests, of_two_replacements_the_later_one_counts);
    tcase_add_test(tests, a_replacement_that_loads_can_be_replaced);
    tcase_add_test(tests, what_is_still_loading_can_be_replaced);
    tcase_add_test(tests, a_failed_model_can_be_replaced);
    tcase_add_test(tests, removal_takes_along_what_loads_beside);
    tcase_add_test(tests, draining_waits_for_what_loads_beside);
    tcase_add_test(tests, whatever_memory_is_short_one_of_the_two_serves);
    tcase_add_test(tests, a_model_knows_the_path_that_it_came_from);
    tcase_add_test(tests, a_label_finds_its_version);
    tcase_add_test(tests, what_is_needed_is_loaded_first);
    tcase_add_test(tests, what_is_needed_stays_while_requests_may_ask_for_it);
    tcase_add_test(tests, without_what_it_needs_a_model_fails);
    tcase_add_test(tests, what_waits_for_another_does_not_hold_up_the_end);
    suite_add_tcase(suite, tests);
    return suite;
}
