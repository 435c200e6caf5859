/* catalog.c - what becomes of a model that is added, and what readiness says. */
#include "serve/repository.h"

#include "base/err.h"
#include "base/file.h"
#include "folder.h"
#include "serve/codec.h"
#include "serve/lane.h"
#include "serve/lifecycle.h"
#include "serve/scan.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

Suite *serve_catalog_suite(void);

static struct arena arena;
static struct percept_err err;
static struct settings settings;
static struct loop *loop;
static struct catalog *catalog;
static struct repository *repository;
static struct bytes model; /* a real one */
static int n_changes, n_drained;

static void put_model(const char *name)
{
    folder_put(name, model.at, bytes_size(model));
}

static void count_change(void *user, struct served *served)
{
    (void)user, (void)served;
    n_changes++;
}

static void begin(void)
{
    folder_begin("catalog");
    err = (struct percept_err){0};
    settings = (struct settings){.workers = 2, .private_regions = true, .max_batch_size = 16, .no_learn = true};
    n_changes = n_drained = 0;
    model = (struct bytes){0};
    file_read("models/perceptron/model.onnx", 0, &model, NULL, NULL);
    loop = loop_new(2, &err);
    ck_assert_ptr_nonnull(loop);
    catalog = catalog_new(loop, &settings, &err);
    ck_assert_ptr_nonnull(catalog);
    repository = repository_new(loop, catalog, &settings, &err);
    ck_assert_ptr_nonnull(repository);
    catalog_on_change(catalog, count_change, NULL);
}

static void count_drained(void *user)
{
    (void)user;
    n_drained++;
}

static void end(void)
{
    if (!n_drained) {
        catalog_drain(catalog, count_drained, NULL);
        loop_run(loop);
    }
    ck_assert_int_eq(n_drained, 1);
    catalog_free(catalog);
    repository_free(repository);
    loop_free(loop);
    arena_buffer_free((void *)model.at);
    folder_end();
    arena_free(&arena);
}

static void add(const char *name)
{
    ck_assert_msg(repository_add(repository, folder_at(name), &err), "%s", err.text);
}

static void expect_refused(const char *path, int code, const char *says)
{
    ck_assert(!repository_add(repository, path, &err));
    ck_assert_int_eq(err.code, code);
    ck_assert_msg(strstr(err.text, says) != NULL, "%s", err.text);
}

static void expect(const struct served *served, const char *name, int64_t version)
{
    ck_assert_ptr_nonnull(served);
    ck_assert_str_eq(served->name, name);
    ck_assert_int_eq(served->version, version);
}

START_TEST(models_are_sorted_by_name_and_version)
{
    folder_files("repo/b/model.onnx", "repo/a/2/model.onnx", "repo/a/10/model.onnx", "repo/c.onnx");
    add("repo");
    const struct served *served = catalog_first(catalog);
    expect(served, "a", 2);
    expect(served = served->next, "a", 10);
    expect(served = served->next, "b", 1);
    expect(served = served->next, "c", 1);
    ck_assert_ptr_null(served->next);
}
END_TEST

START_TEST(a_path_without_a_model_adds_nothing)
{
    expect_refused(folder_at("nowhere"), ERR_NOT_FOUND, "there is nothing at");
    ck_assert_ptr_null(catalog_first(catalog));
}
END_TEST

static const struct omitted *expect_omitted(const struct omitted *omitted, const char *name, const char *says)
{
    ck_assert_ptr_nonnull(omitted);
    ck_assert_str_eq(omitted->name, name);
    ck_assert_msg(strstr(omitted->why, says) != NULL, "%s: %s", name, omitted->why);
    ck_assert_msg(!strstr(omitted->why, folder_root), "a path of this host: %s", omitted->why);
    return omitted->next;
}

START_TEST(of_two_models_of_one_name_the_first_is_served_and_so_are_the_others)
{
    folder_files("here/x/model.onnx", "there/x/model.onnx", "there/y/model.onnx", "both/z/model.onnx", "both/z.onnx",
                 "both/Z.onnx", "both/v/1/model.onnx", "both/v.onnx");
    add("here");
    add("there");
    add("both");
    add("here/x");
    add("here/x/model.onnx");
    const struct served *served = catalog_first(catalog);
    expect(served, "Z", 1);
    expect(served = served->next, "v", 1);
    ck_assert_ptr_nonnull(strstr(served->path, "both/v/1/model.onnx"));
    expect(served = served->next, "x", 1);
    ck_assert_ptr_nonnull(strstr(served->path, "here/x/model.onnx"));
    expect(served = served->next, "y", 1);
    expect(served = served->next, "z", 1);
    ck_assert_ptr_nonnull(strstr(served->path, "both/z/model.onnx"));
    ck_assert_ptr_null(served->next);
    const struct omitted *omitted = catalog_omitted(catalog);
    omitted = expect_omitted(omitted, "x/model.onnx", "two models are called 'x' version 1: 'x/model.onnx' is served");
    omitted = expect_omitted(omitted, "v.onnx", "'v/1/model.onnx' is served; rename one");
    omitted = expect_omitted(omitted, "z.onnx", "'z/model.onnx' is served; rename one");
    omitted = expect_omitted(omitted, "x/model.onnx", "named twice, and served once");
    omitted = expect_omitted(omitted, "x/model.onnx", "named twice");
    ck_assert_ptr_null(omitted);
}
END_TEST

START_TEST(what_is_left_out_is_kept_with_its_reason)
{
    folder_files("repo/good.onnx", "repo/best (1).onnx", "repo/net/a.pt", "empty/.keep");
    add("repo");
    expect_refused(folder_at("empty"), ERR_NOT_FOUND, "there is no model in");
    expect_refused(folder_at("gone"), ERR_NOT_FOUND, "there is nothing at");
    expect(catalog_first(catalog), "good", 1);
    const struct omitted *omitted = catalog_omitted(catalog);
    omitted = expect_omitted(omitted, "best (1).onnx", "cannot be a model's name");
    omitted = expect_omitted(omitted, "net/", "PyTorch");
    omitted = expect_omitted(omitted, "empty/", "there is no model in it");
    omitted = expect_omitted(omitted, "gone", "there is nothing");
    ck_assert_ptr_null(omitted);
    settings.strict_readiness = settings.ready_when_empty = true;
    loop_run(loop);
    ck_assert(!catalog_ready(catalog, &err));
}
END_TEST

/* Whoever serves a folder full of other files gets no endless answers. */
START_TEST(what_is_left_out_is_told_one_by_one_up_to_a_hundred)
{
    static const struct {
        int n;
        const char *more;
    } rows[] = {{99, NULL},
                {100, NULL},
                {101, "1 more is left out; the log names it"},
                {102, "2 more are left out; the log names them"},
                {250, "150 more are left out; the log names them"}};
    folder_files("repo/good.onnx");
    for (int i = 0; i < rows[_i].n; i++) {
        char name[40];
        snprintf(name, sizeof name, "repo/%03d.pt", i);
        folder_text(name, "");
    }
    add("repo");
    ck_assert_int_eq(catalog_n_omitted(catalog), rows[_i].n);
    const struct omitted *omitted = catalog_omitted(catalog), *last = omitted;
    int n = 0;
    for (; omitted; n++, omitted = omitted->next)
        last = omitted;
    ck_assert_int_eq(n, rows[_i].more ? 101 : rows[_i].n);
    ck_assert_str_eq(last->why, rows[_i].more ? rows[_i].more
                                              : "it is a PyTorch file, not ONNX: export the network with "
                                                "torch.onnx.export");
}
END_TEST

START_TEST(a_server_that_has_nothing_to_serve_says_why)
{
    ck_assert(!catalog_ready(catalog, &err));
    ck_assert_str_eq(err.text, "no model is served");
    folder_files("repo/best (1).onnx");
    ck_assert(!repository_add(repository, folder_at("repo"), &err));
    ck_assert(!catalog_ready(catalog, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "no model is served: best (1).onnx: "));
    folder_text("broken.onnx", "");
    add("broken.onnx");
    loop_run(loop);
    ck_assert(!catalog_ready(catalog, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "no model is served: 'broken' version 1 failed to load: "));
    ck_assert_int_eq(err_status(err.code), 503);
    settings.ready_when_empty = true;
    ck_assert(catalog_ready(catalog, &err));
}
END_TEST

/* The lowest priority of this process's threads, as a nice value. */
static int nicest_thread(void)
{
    char **names;
    int nicest = -20, n = file_list(&arena, "/proc/self/task", &names, NULL);
    for (int i = 0; i < n; i++) {
        int nice = getpriority(PRIO_PROCESS, (id_t)atoi(names[i]));
        nicest = nice > nicest ? nice : nicest;
    }
    return nicest;
}

START_TEST(loads_step_back_only_when_a_model_is_ready)
{
    if (!model.at)
        return;
    int before = nicest_thread();
    folder_text("broken.onnx", "broken");
    put_model("a/model.onnx");
    put_model("b/model.onnx");
    add("broken.onnx");
    loop_run(loop);
    add("a"); /* the one before it failed: nobody is served yet */
    loop_run(loop);
    ck_assert_int_eq(nicest_thread(), before);
    add("b");
    loop_run(loop);
    ck_assert_int_eq(nicest_thread(), before + 10 > 19 ? 19 : before + 10);
}
END_TEST

START_TEST(a_broken_model_fails_and_says_why)
{
    folder_text("broken.onnx", "this is no model");
    add("broken.onnx");
    ck_assert(catalog_loading(catalog));
    ck_assert(!catalog_ready(catalog, &err));
    ck_assert_str_eq(err.text, "loading: broken");
    ck_assert_ptr_null(catalog_find_ready(catalog, "broken", 0, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "is not at ready state: it is loading"));
    loop_run(loop);
    ck_assert(!catalog_loading(catalog));
    const struct served *served = catalog_first(catalog);
    ck_assert_int_eq(served->state, SERVED_FAILED);
    ck_assert_str_ne(served->reason, "");
    ck_assert_int_eq(n_changes, 2);
    ck_assert_ptr_null(catalog_find_ready(catalog, "broken", 0, &err));
    ck_assert_int_eq(err_status(err.code), 503);
    ck_assert_ptr_nonnull(strstr(err.text, served->reason));
    settings.ready_when_empty = true;
    ck_assert(catalog_ready(catalog, &err));
    settings.strict_readiness = true;
    ck_assert(!catalog_ready(catalog, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "model 'broken' version 1 failed to load: "));
}
END_TEST

static void expect_reason(const struct served *served, const char *begin)
{
    ck_assert_int_eq(served->state, SERVED_FAILED);
    ck_assert_msg(strncmp(served->reason, begin, strlen(begin)) == 0, "%s", served->reason);
    ck_assert_msg(!strstr(served->reason, folder_root), "%s", served->reason);
}

START_TEST(reasons_name_files_as_they_lie_in_the_folder_of_models)
{
    static const char wrong[] = "{\"manifest\":1,\"lables\":[]}";
    folder_files("repo/lone.onnx", "repo/flat/model.onnx");
    folder_text("repo/flat/manifest.json", wrong);
    folder_text("repo/many/2/model.onnx", "");
    add("repo");
    loop_run(loop);
    expect_reason(catalog_find(catalog, "lone", 0, &err), "lone.onnx: ");
    expect_reason(catalog_find(catalog, "flat", 0, &err), "flat/manifest.json: lables: ");
    expect_reason(catalog_find(catalog, "many", 0, &err), "many/2/model.onnx: the file is empty");
}
END_TEST

START_TEST(reasons_name_the_same_files_when_models_are_given_one_by_one)
{
    folder_files("repo/lone.onnx", "repo/flat/model.onnx", "repo/many/2/model.onnx");
    add("repo/lone.onnx");
    add("repo/flat");
    add("repo/many/2/model.onnx");
    loop_run(loop);
    expect_reason(catalog_find(catalog, "lone", 0, &err), "lone.onnx: ");
    expect_reason(catalog_find(catalog, "flat", 0, &err), "flat/model.onnx: ");
    expect_reason(catalog_find(catalog, "many", 0, &err), "many/2/model.onnx: ");
}
END_TEST

START_TEST(unknown_names_and_versions_have_the_contracts_words)
{
    folder_files("a/1/model.onnx");
    add("a");
    ck_assert_ptr_null(catalog_find(catalog, "b", 0, &err));
    ck_assert_str_eq(err.text, "Request for unknown model: 'b' is not found");
    ck_assert_int_eq(err_status(err.code), 404);
    ck_assert_ptr_null(catalog_find(catalog, "a", 99, &err));
    ck_assert_str_eq(err.text, "Request for unknown model: 'a' version 99 is not found");
    ck_assert_int_eq(err_status(err.code), 404);
    ck_assert_ptr_nonnull(catalog_find(catalog, "a", 1, &err));
}
END_TEST

START_TEST(an_empty_server_is_not_ready_unless_it_may_be)
{
    ck_assert(!catalog_ready(catalog, &err));
    settings.ready_when_empty = true;
    ck_assert(catalog_ready(catalog, &err));
}
END_TEST

START_TEST(leaving_is_not_ready_and_draining_refuses)
{
    settings.ready_when_empty = true;
    folder_files("a.onnx");
    add("a.onnx");
    loop_run(loop);
    catalog_leave(catalog);
    ck_assert(!catalog_ready(catalog, &err));
    ck_assert_str_eq(err.text, "Server exiting");
    ck_assert(!catalog_draining(catalog));
    catalog_drain(catalog, count_drained, NULL);
    ck_assert_int_eq(n_drained, 0);
    ck_assert(catalog_draining(catalog));
    ck_assert_ptr_null(catalog_find_ready(catalog, "a", 0, &err));
    ck_assert_str_eq(err.text, "Server exiting");
    loop_run(loop);
    ck_assert_int_eq(n_drained, 1);
}
END_TEST

START_TEST(draining_waits_for_the_load_under_way_and_skips_the_rest)
{
    for (int i = 0; i < 10; i++)
        folder_files(arena_printf(&arena, "repo/m%d/model.onnx", i));
    add("repo");
    catalog_drain(catalog, count_drained, NULL);
    loop_run(loop);
    ck_assert_int_eq(n_drained, 1);
    ck_assert(!catalog_loading(catalog));
    const struct served *last = catalog_first(catalog);
    while (last->next)
        last = last->next;
    ck_assert_str_eq(last->reason, "Server exiting");
}
END_TEST

START_TEST(states_have_the_repository_extensions_names)
{
    ck_assert_str_eq(catalog_state_name(SERVED_LOADING), "LOADING");
    ck_assert_str_eq(catalog_state_name(SERVED_READY), "READY");
    ck_assert_str_eq(catalog_state_name(SERVED_FAILED), "UNAVAILABLE");
    ck_assert_str_eq(catalog_state_name(SERVED_UNLOADING), "UNLOADING");
}
END_TEST

/* With a real model. */

static bool have_model(void)
{
    if (!model.at)
        printf("skipped: models/perceptron/model.onnx is absent\n");
    return model.at != NULL;
}

START_TEST(a_good_model_becomes_ready)
{
    if (!have_model())
        return;
    put_model("good/model.onnx");
    add("good");
    loop_run(loop);
    const struct served *served = catalog_find_ready(catalog, "good", 0, &err);
    ck_assert_msg(served != NULL, "%s", err.text);
    ck_assert_ptr_nonnull(served->model);
    ck_assert_ptr_nonnull(served->lane);
    ck_assert_ptr_nonnull(served->lane->idle); /* warm */
    ck_assert(served->batching);
    ck_assert_int_eq(served->max_batch_size, 16);
    ck_assert_int_eq(served->stats.n_sizes, 16);
    ck_assert(served->load_ms > 0);
    ck_assert(catalog_ready(catalog, &err));
}
END_TEST

START_TEST(a_versions_manifest_comes_before_the_models)
{
    if (!have_model())
        return;
    static const char outer[] = "{\"manifest\":1,\"batching\":{\"max_batch_size\":2}}";
    static const char inner[] = "{\"manifest\":1,\"batching\":{\"max_batch_size\":1}}";
    put_model("m/1/model.onnx");
    put_model("m/2/model.onnx");
    folder_text("m/manifest.json", outer);
    folder_text("m/2/manifest.json", inner);
    add("m");
    loop_run(loop);
    ck_assert_int_eq(catalog_find(catalog, "m", 1, &err)->max_batch_size, 2);
    ck_assert_int_eq(catalog_find(catalog, "m", 2, &err)->max_batch_size, 1);
}
END_TEST

START_TEST(a_wrong_manifest_fails_its_model)
{
    if (!have_model())
        return;
    static const char text[] = "{\"manifest\":1,\"inputs\":{\"nope\":{\"kind\":\"tensor\"}}}";
    put_model("m/model.onnx");
    folder_text("m/manifest.json", text);
    add("m");
    loop_run(loop);
    const struct served *served = catalog_first(catalog);
    ck_assert_int_eq(served->state, SERVED_FAILED);
    ck_assert_ptr_nonnull(strstr(served->reason, "the model has no input 'nope'"));
    ck_assert_ptr_null(served->model);
}
END_TEST

START_TEST(the_highest_version_that_is_ready_is_the_default)
{
    if (!have_model())
        return;
    put_model("m/1/model.onnx");
    put_model("m/2/model.onnx");
    folder_text("m/3/model.onnx", "broken");
    add("m");
    expect(catalog_find(catalog, "m", 0, &err), "m", 3); /* all are loading */
    loop_run(loop);
    expect(catalog_find(catalog, "m", 0, &err), "m", 2);
    expect(catalog_find_ready(catalog, "m", 0, &err), "m", 2);
    expect(catalog_find_ready(catalog, "m", 1, &err), "m", 1);
    ck_assert_ptr_null(catalog_find_ready(catalog, "m", 3, &err));
}
END_TEST

START_TEST(whatever_memory_is_short_the_model_is_ready_or_failed)
{
    if (!have_model())
        return;
    put_model("m/model.onnx");
    const char *path = folder_at("m");
    int n_ready = 0;
    for (size_t nth = 1; nth <= 40; nth++) {
        struct catalog *own = catalog_new(loop, &settings, &err);
        struct repository *own_repository = repository_new(loop, own, &settings, &err);
        arena_fail_at(nth, false);
        bool added = repository_add(own_repository, path, &err);
        loop_run(loop);
        arena_fail_at(0, false);
        const struct served *served = catalog_first(own);
        ck_assert_int_eq(added, served != NULL);
        if (served)
            ck_assert(served->state == SERVED_READY || (served->state == SERVED_FAILED && *served->reason));
        n_ready += served && served->state == SERVED_READY;
        catalog_free(own);
        repository_free(own_repository);
        loop_run(loop);
    }
    ck_assert_int_lt(n_ready, 40);
}
END_TEST

struct asked {
    struct job job;
    struct arena arena;
    int n_done;
};

static void on_done(struct job *job)
{
    ((struct asked *)job->user)->n_done++;
}

START_TEST(a_ready_model_answers_a_request)
{
    if (!have_model())
        return;
    put_model("m/model.onnx");
    add("m");
    loop_run(loop);
    struct served *served = catalog_find_ready(catalog, "m", 0, &err);
    int n;
    const struct percept_io *input = percept_inputs(served->model, &n);
    char *body = arena_alloc(&arena, 4096);
    int used = snprintf(body, 4096,
                        "{\"inputs\":[{\"name\":\"%s\",\"shape\":[1,784],\"datatype\":\"FP32\","
                        "\"data\":[0",
                        input->name);
    for (int i = 1; i < 784; i++)
        used += snprintf(body + used, 4096 - (size_t)used, ",1");
    snprintf(body + used, 4096 - (size_t)used, "]}]}");
    struct asked asked[5] = {0};
    for (int i = 0; i < 5; i++) {
        struct job *job = &asked[i].job;
        *job = (struct job){.arena = &asked[i].arena,
                            .served = served,
                            .body = bytes_of_text(body),
                            .json_bytes = -1,
                            .arrived_ns = loop_now_ns(),
                            .done = on_done,
                            .user = &asked[i]};
        job->codec = codec_find(served, bytes_of_text("application/json"), &err);
        ck_assert_ptr_nonnull(job->codec);
        lifecycle_start(job);
    }
    ck_assert_int_eq(catalog_in_flight(catalog), 5);
    loop_run(loop);
    ck_assert_int_eq(catalog_in_flight(catalog), 0);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(asked[i].n_done, 1);
        ck_assert_msg(asked[i].job.err.code == 0, "%s", asked[i].job.err.text);
        ck_assert_int_eq(asked[i].job.batch_size, 5);
        ck_assert(bytes_equal(asked[i].job.reply, asked[0].job.reply));
        ck_assert_uint_gt(bytes_size(asked[i].job.reply), 0);
    }
    for (int i = 0; i < 5; i++)
        arena_free(&asked[i].arena);
    ck_assert_uint_eq(served->stats.success, 5);
    ck_assert_uint_eq(served->stats.executions, 1);
}
END_TEST

Suite *serve_catalog_suite(void)
{
    Suite *suite = suite_create("serve/catalog");
    TCase *tests = tcase_create("catalog");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, models_are_sorted_by_name_and_version);
    tcase_add_test(tests, a_path_without_a_model_adds_nothing);
    tcase_add_test(tests, of_two_models_of_one_name_the_first_is_served_and_so_are_the_others);
    tcase_add_test(tests, what_is_left_out_is_kept_with_its_reason);
    tcase_add_loop_test(tests, what_is_left_out_is_told_one_by_one_up_to_a_hundred, 0, 5);
    tcase_add_test(tests, a_server_that_has_nothing_to_serve_says_why);
    tcase_add_test(tests, loads_step_back_only_when_a_model_is_ready);
    tcase_add_test(tests, a_broken_model_fails_and_says_why);
    tcase_add_test(tests, reasons_name_files_as_they_lie_in_the_folder_of_models);
    tcase_add_test(tests, reasons_name_the_same_files_when_models_are_given_one_by_one);
    tcase_add_test(tests, unknown_names_and_versions_have_the_contracts_words);
    tcase_add_test(tests, an_empty_server_is_not_ready_unless_it_may_be);
    tcase_add_test(tests, leaving_is_not_ready_and_draining_refuses);
    tcase_add_test(tests, draining_waits_for_the_load_under_way_and_skips_the_rest);
    tcase_add_test(tests, states_have_the_repository_extensions_names);
    tcase_add_test(tests, a_good_model_becomes_ready);
    tcase_add_test(tests, a_versions_manifest_comes_before_the_models);
    tcase_add_test(tests, a_wrong_manifest_fails_its_model);
    tcase_add_test(tests, the_highest_version_that_is_ready_is_the_default);
    tcase_add_test(tests, whatever_memory_is_short_the_model_is_ready_or_failed);
    tcase_add_test(tests, a_ready_model_answers_a_request);
    suite_add_tcase(suite, tests);
    return suite;
}
