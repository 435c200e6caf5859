/*
 * repository.c - models that are asked for, changed on disk and taken away while others serve. The models are x + C;
 * answers are instances.c's matter, here it is which instance stands, and who is told what.
 */
#include "serve/repository.h"

#include "base/err.h"
#include "folder.h"
#include "graph/proto.h"

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

Suite *serve_repository_suite(void);

static struct percept_err err;
static struct settings settings;
static struct loop *loop;
static struct catalog *catalog;
static struct repository *repository;

struct asked {
    int n_told;
    struct percept_err why;
};

static void begin_with(bool load_none)
{
    folder_begin("repository");
    err = (struct percept_err){0};
    settings = (struct settings){
        .workers = 1, .private_regions = true, .max_batch_size = 16, .max_queue_size = 32, .load_none = load_none};
    loop = loop_new(1, &err);
    ck_assert_ptr_nonnull(loop);
    catalog = catalog_new(loop, &settings, &err);
    ck_assert_ptr_nonnull(catalog);
    repository = repository_new(loop, catalog, &settings, &err);
    ck_assert_ptr_nonnull(repository);
}

static void begin(void)
{
    begin_with(false);
}

static void nothing(void *user)
{
    (void)user;
}

static void end(void)
{
    catalog_drain(catalog, nothing, NULL);
    loop_run(loop);
    catalog_free(catalog);
    repository_free(repository);
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
    folder_put("new.tmp", model.at, model.n);
    folder_text(path, ""); /* the folders on the way */
    ck_assert_int_eq(rename(folder_at("new.tmp"), folder_at(path)), 0);
    proto_free(&model);
}

static void serve(const char *path)
{
    ck_assert_msg(repository_add(repository, folder_at(path), &err), "%s", err.text);
    loop_run(loop);
}

static const struct served *find(const char *name, int64_t version)
{
    for (const struct served *at = catalog_first(catalog); at; at = at->next)
        if (at->version == version && strcmp(at->name, name) == 0)
            return at;
    return NULL;
}

static void expect_ready(const char *name, int64_t version)
{
    const struct served *served = find(name, version);
    ck_assert_msg(served != NULL, "%s %d is not listed", name, (int)version);
    ck_assert_msg(served->state == SERVED_READY, "%s %d: %s", name, (int)version, served->reason);
}

static void note_told(void *user, const struct percept_err *why)
{
    struct asked *asked = user;
    asked->n_told++;
    asked->why = why ? *why : (struct percept_err){0};
}

static void ask_to_load(const char *name, const char *text, struct asked *asked)
{
    struct arena arena = {0};
    char *body = arena_text(&arena, text, strlen(text));
    *asked = (struct asked){.n_told = 0};
    ck_assert_ptr_nonnull(
        repository_load(repository, name, &arena, bytes_of(body, strlen(text)), note_told, asked, &err));
}

static void ask_to_unload(const char *name, struct asked *asked)
{
    *asked = (struct asked){.n_told = 0};
    ck_assert_ptr_nonnull(repository_unload(repository, name, note_told, asked, &err));
}

/* Code 0: it is done. */
static struct asked load(const char *name, const char *body)
{
    struct asked asked;
    ask_to_load(name, body, &asked);
    ck_assert_int_eq(asked.n_told, 0);
    loop_run(loop);
    ck_assert_int_eq(asked.n_told, 1);
    return asked;
}

static struct asked unload(const char *name)
{
    struct asked asked;
    ask_to_unload(name, &asked);
    loop_run(loop);
    ck_assert_int_eq(asked.n_told, 1);
    return asked;
}

static void reload(void)
{
    ck_assert(repository_reload(repository, NULL, NULL, &err));
    loop_run(loop);
}

static void expect_says(const struct asked *asked, const char *text)
{
    ck_assert_int_ne(asked->why.code, 0);
    ck_assert_msg(strstr(asked->why.text, text) != NULL, "%s", asked->why.text);
}

/* --- load --------------------------------------------------------------------------------------------------------- */

START_TEST(a_load_looks_at_the_disk_again)
{
    put("repo/a/1/model.onnx", 1);
    serve("repo");
    const struct served *first = find("a", 1);
    put("repo/a/2/model.onnx", 2);
    put("repo/b/model.onnx", 3);
    ck_assert_int_eq(load("a", "").why.code, 0);
    expect_ready("a", 1);
    expect_ready("a", 2);
    ck_assert_ptr_ne(find("a", 1), first);
    ck_assert_ptr_null(find("b", 1)); /* nobody has asked for it */
    ck_assert_int_eq(load("b", "{}").why.code, 0);
    expect_ready("b", 1);
}
END_TEST

START_TEST(a_version_that_is_gone_goes_when_the_others_are_there)
{
    put("repo/a/1/model.onnx", 1);
    serve("repo");
    ck_assert_int_eq(unlink(folder_at("repo/a/1/model.onnx")), 0);
    folder_text("repo/a/2/model.onnx", "no model");
    struct asked asked = load("a", "");
    expect_says(&asked, "failed to load 'a', version 2: a/2/model.onnx");
    expect_ready("a", 1);
    put("repo/a/2/model.onnx", 2);
    ck_assert_int_eq(load("a", "").why.code, 0);
    expect_ready("a", 2);
    ck_assert_ptr_null(find("a", 1));
}
END_TEST

START_TEST(a_load_that_fails_leaves_what_was_there)
{
    put("repo/a/model.onnx", 1);
    serve("repo");
    const struct served *first = find("a", 1);
    folder_text("repo/a/model.onnx", "no model");
    struct asked asked = load("a", "");
    expect_says(&asked, "failed to load 'a', version 1: ");
    ck_assert_ptr_eq(find("a", 1), first);
    expect_ready("a", 1);
}
END_TEST

START_TEST(what_is_not_there_fails_in_the_contracts_words)
{
    folder_text("repo/torch.pt", "");
    folder_text("repo/empty/readme", "");
    put("repo/a/model.onnx", 1);
    serve("repo");
    struct asked asked = load("wrong_name", "");
    ck_assert_str_eq(asked.why.text, "failed to load 'wrong_name', failed to poll from model repository");
    ck_assert_int_eq(err_status(asked.why.code), 500);
    asked = load("empty", "");
    expect_says(&asked, "failed to load 'empty', failed to poll from model repository: there is no model in it");
    asked = load("torch", "");
    expect_says(&asked, "failed to load 'torch', failed to poll from model repository: it is a PyTorch file");
}
END_TEST

START_TEST(loads_of_several_names_run_side_by_side)
{
    struct asked asked[3];
    put("repo/a/model.onnx", 1);
    put("repo/b/model.onnx", 2);
    serve("repo");
    ask_to_load("a", "", &asked[0]);
    ask_to_load("b", "", &asked[1]);
    ask_to_load("a", "", &asked[2]);
    loop_run(loop);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(asked[i].n_told, 1);
        ck_assert_int_eq(asked[i].why.code, 0);
    }
}
END_TEST

START_TEST(whoever_leaves_is_told_once_and_it_is_done_all_the_same)
{
    struct asked asked = {0};
    put("repo/a/model.onnx", 1);
    serve("repo");
    put("repo/b/model.onnx", 1);
    struct control *control = repository_load(repository, "b", NULL, (struct bytes){0}, note_told, &asked, &err);
    repository_cancel(repository, control);
    repository_cancel(repository, control);
    ck_assert_int_eq(asked.n_told, 0);
    loop_run(loop);
    ck_assert_int_eq(asked.n_told, 1);
    ck_assert_int_eq(asked.why.code, ERR_CANCELLED);
    expect_ready("b", 1);
}
END_TEST

/* --- overrides ---------------------------------------------------------------------------------------------------- */

#define CONFIG_5 "{\"parameters\":{\"config\":\"{\\\"max_batch_size\\\":\\\"5\\\"}\"}}"

START_TEST(a_configuration_holds_until_the_next_load)
{
    put("repo/a/model.onnx", 1);
    serve("repo");
    ck_assert_int_eq(find("a", 1)->max_batch_size, 16);
    ck_assert_int_eq(load("a", CONFIG_5).why.code, 0);
    ck_assert_int_eq(find("a", 1)->max_batch_size, 5);
    put("repo/a/model.onnx", 2);
    reload(); /* it is not what its files say */
    ck_assert_int_eq(find("a", 1)->max_batch_size, 5);
    ck_assert_int_eq(load("a", "").why.code, 0);
    ck_assert_int_eq(find("a", 1)->max_batch_size, 16);
}
END_TEST

START_TEST(a_bad_configuration_changes_nothing)
{
    put("repo/a/model.onnx", 1);
    serve("repo");
    const struct served *first = find("a", 1);
    struct asked asked = load("a", "{\"parameters\":{\"config\":\"max_batch_size: 4\"}}");
    expect_says(&asked, "failed to load 'a', config: ");
    ck_assert_int_eq(err_status(asked.why.code), 400);
    ck_assert_ptr_eq(find("a", 1), first);
}
END_TEST

/* The file as base64 in a request. */
static char *file_request(const char *path, int version)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static char text[4096];
    uint8_t bytes[1024] = {0};
    FILE *file = fopen(folder_at(path), "rb");
    size_t n = fread(bytes, 1, sizeof bytes - 3, file);
    fclose(file);
    int used = snprintf(text, sizeof text, "{\"parameters\":{\"config\":\"{}\",\"file:%d/model.onnx\":\"", version);
    for (size_t i = 0; i < n; i += 3) {
        unsigned word = (unsigned)bytes[i] << 16 | (unsigned)bytes[i + 1] << 8 | bytes[i + 2];
        for (int k = 0; k < 4; k++)
            text[used++] = (size_t)k > n - i ? '=' : digits[word >> (18 - 6 * k) & 63];
    }
    strcpy(text + used, "\"}}");
    return text;
}

START_TEST(files_that_come_with_the_request_are_the_model)
{
    put("repo/a/1/model.onnx", 1);
    put("other.onnx", 2);
    serve("repo");
    ck_assert_int_eq(load("a", file_request("other.onnx", 7)).why.code, 0);
    expect_ready("a", 7);
    ck_assert_ptr_null(find("a", 1));
    ck_assert_int_eq(load("fresh", file_request("other.onnx", 1)).why.code, 0);
    expect_ready("fresh", 1);
    reload();
    expect_ready("a", 7);
    expect_ready("fresh", 1);
    ck_assert_int_eq(load("a", "").why.code, 0);
    expect_ready("a", 1);
    ck_assert_ptr_null(find("a", 7));
}
END_TEST

START_TEST(a_file_that_is_no_model_fails_alone)
{
    put("repo/a/model.onnx", 1);
    serve("repo");
    struct asked asked = load("a", "{\"parameters\":{\"config\":\"{}\",\"file:1/model.onnx\":\"Zm9v\"}}");
    expect_says(&asked, "failed to load 'a', version 1: ");
    expect_ready("a", 1);
}
END_TEST

/* --- unload ------------------------------------------------------------------------------------------------------- */

START_TEST(what_is_unloaded_is_gone_and_wanted_so)
{
    put("repo/a/1/model.onnx", 1);
    put("repo/a/2/model.onnx", 2);
    serve("repo");
    ck_assert_int_eq(unload("a").why.code, 0);
    ck_assert_ptr_null(catalog_first(catalog));
    ck_assert(!repository_wants(repository, "a"));
    ck_assert(repository_had(repository, "a"));
    ck_assert_msg(catalog_ready(catalog, &err), "%s", err.text);
    reload();
    ck_assert_ptr_null(catalog_first(catalog));
    ck_assert_int_eq(load("a", "").why.code, 0);
    expect_ready("a", 2);
    ck_assert_int_eq(unload("nobody").why.code, 0);
}
END_TEST

START_TEST(an_unload_comes_behind_the_load_before_it)
{
    struct asked loaded, unloaded, again;
    put("repo/a/model.onnx", 1);
    serve("repo");
    ask_to_load("a", "", &loaded);
    ask_to_unload("a", &unloaded);
    ask_to_load("a", "", &again);
    loop_run(loop);
    ck_assert_int_eq(loaded.n_told, 1);
    ck_assert_int_eq(loaded.why.code, 0);
    ck_assert_int_eq(unloaded.n_told, 1);
    ck_assert_int_eq(again.why.code, 0);
    expect_ready("a", 1);
}
END_TEST

START_TEST(what_others_need_stays)
{
    put("repo/a/model.onnx", 1);
    put("repo/b/model.onnx", 2);
    ck_assert(repository_add(repository, folder_at("repo"), &err));
    ck_assert(catalog_need(catalog, catalog_find(catalog, "a", 0, &err), "b", 0, &err));
    loop_run(loop);
    struct asked asked = unload("b");
    expect_says(&asked, "failed to unload 'b', versions that are still available: 1: ");
    expect_ready("b", 1);
}
END_TEST

/* --- reload ------------------------------------------------------------------------------------------------------- */

START_TEST(a_reload_takes_what_is_new_changed_and_gone)
{
    put("repo/same/model.onnx", 1);
    put("repo/changes/model.onnx", 2);
    put("repo/goes/model.onnx", 3);
    folder_text("repo/mended/model.onnx", "no model");
    serve("repo");
    const struct served *same = find("same", 1), *changes = find("changes", 1);
    put("repo/changes/model.onnx", 4);
    put("repo/comes/model.onnx", 5);
    put("repo/mended/model.onnx", 6);
    ck_assert_int_eq(unlink(folder_at("repo/goes/model.onnx")), 0);
    reload();
    ck_assert_ptr_eq(find("same", 1), same);
    ck_assert_ptr_ne(find("changes", 1), changes);
    expect_ready("changes", 1);
    expect_ready("comes", 1);
    expect_ready("mended", 1);
    ck_assert_ptr_null(find("goes", 1));
    ck_assert_str_eq(catalog_omitted(catalog)->name, "goes/");
    ck_assert_int_eq(catalog_n_omitted(catalog), 1);
}
END_TEST

START_TEST(a_path_that_is_not_there_takes_nothing_away)
{
    put("repo/a/model.onnx", 1);
    put("second/b/model.onnx", 2);
    serve("repo");
    serve("second");
    ck_assert_int_eq(rename(folder_at("repo"), folder_at("away")), 0);
    reload();
    expect_ready("a", 1);
    expect_ready("b", 1);
    ck_assert_int_eq(unlink(folder_at("second/b/model.onnx")), 0);
    reload();
    expect_ready("a", 1);
    ck_assert_ptr_null(find("b", 1));
}
END_TEST

START_TEST(who_was_second_takes_the_place_of_the_first)
{
    put("repo/a/model.onnx", 1);
    put("second/a/model.onnx", 2);
    put("repo/b/model.onnx", 3);
    serve("repo");
    serve("second");
    ck_assert_ptr_eq(find("a", 1)->root, repository_roots(repository));
    ck_assert_int_eq(catalog_n_omitted(catalog), 1);
    ck_assert_int_eq(unlink(folder_at("repo/a/model.onnx")), 0);
    ck_assert_int_eq(rmdir(folder_at("repo/a")), 0);
    reload();
    ck_assert_ptr_eq(find("a", 1)->root, repository_roots(repository)->next);
    ck_assert_int_eq(catalog_n_omitted(catalog), 0);
}
END_TEST

START_TEST(reloads_that_have_not_begun_are_one)
{
    struct asked asked;
    put("repo/a/model.onnx", 1);
    serve("repo");
    put("repo/a/model.onnx", 2);
    ask_to_load("a", "", &asked);
    for (int i = 0; i < 10; i++)
        ck_assert(repository_reload(repository, NULL, NULL, &err));
    loop_run(loop);
    ck_assert_int_eq(asked.why.code, 0);
    expect_ready("a", 1);
}
END_TEST

/* --- side by side ------------------------------------------------------------------------------------------------- */

/* Its load goes on until somebody gives it up. */
static void put_endless(const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "repo/%s/1/model.onnx", name);
    put(path, 1);
    snprintf(path, sizeof path, "repo/%s/config.pbtxt", name);
    folder_text(path, "max_batch_size: 0 model_warmup { name: 'endless' batch_size: 1 count: 2147483647 inputs { key: "
                      "'x' value { dims: [ 1, 1 ] } } }");
}

static struct {
    int n_until;             /* that are told before the endless one is given up */
    void (*meanwhile)(void); /* once it loads */
    struct asked loaded, unloaded, looked, reloaded, slow;
} side;

static struct served *slow(void)
{
    struct served *at = catalog_first(catalog);
    while (at && strcmp(at->name, "slow") != 0)
        at = at->next;
    return at;
}

static void note_passed(void *user, const struct percept_err *why)
{
    note_told(user, why);
    if (--side.n_until == 0)
        ck_assert(catalog_remove(catalog, slow(), &err));
}

static void look_for_slow(void *user)
{
    void (*meanwhile)(void) = side.meanwhile;
    (void)user;
    if (!meanwhile || !slow())
        return;
    side.meanwhile = NULL;
    meanwhile();
    loop_wake(loop);
}

/* Runs with an endless load, which `meanwhile` sees begin. */
static void begin_side(int n_until, void (*meanwhile)(void))
{
    ck_assert(loop_loaders(loop, 3, &err));
    put("repo/a/model.onnx", 1);
    put("repo/b/model.onnx", 1);
    put("repo/c/model.onnx", 1);
    serve("repo");
    put_endless("slow");
    memset(&side, 0, sizeof side);
    side.n_until = n_until;
    side.meanwhile = meanwhile;
    loop_on_turn(loop, look_for_slow, &side);
}

static void end_side(void)
{
    loop_run(loop);
    ck_assert_ptr_null(side.meanwhile);
    loop_off_turn(loop, &side);
}

static void ask_for_what_passes(void)
{
    put("repo/b/model.onnx", 2);
    ck_assert_ptr_nonnull(repository_load(repository, "b", NULL, (struct bytes){0}, note_passed, &side.loaded, &err));
    ck_assert_ptr_nonnull(repository_unload(repository, "c", note_passed, &side.unloaded, &err));
}

static void ask_for_more(void)
{
    ask_for_what_passes();
    ck_assert(repository_look(repository, -1, note_told, &side.looked, &err));
    ck_assert_ptr_nonnull(repository_load(repository, "a", NULL, (struct bytes){0}, note_passed, &side.loaded, &err));
    ask_to_unload("slow", &side.slow);
}

START_TEST(a_reload_holds_back_what_it_loads_and_nothing_else)
{
    begin_side(3, ask_for_more);
    const struct served *b = find("b", 1);
    ck_assert(repository_reload(repository, note_told, &side.reloaded, &err));
    end_side();
    ck_assert_int_eq(side.loaded.n_told, 2);
    ck_assert_int_eq(side.loaded.why.code, 0);
    ck_assert_int_eq(side.unloaded.why.code, 0);
    ck_assert_int_eq(side.looked.n_told, 1);
    expect_says(&side.reloaded, "failed to load 'slow', version 1: ");
    ck_assert_int_eq(side.slow.n_told, 1);
    ck_assert_int_eq(side.slow.why.code, 0);
    expect_ready("a", 1);
    ck_assert_ptr_ne(find("b", 1), b);
    expect_ready("b", 1);
    ck_assert_ptr_null(find("c", 1));
    ck_assert_ptr_null(find("slow", 1));
}
END_TEST

static void ask_behind_a_reload(void)
{
    ck_assert(repository_reload(repository, note_told, &side.reloaded, &err));
    ask_for_what_passes();
    put("repo/a/model.onnx", 2); /* for the reload */
    folder_text("repo/slow/config.pbtxt", "");
}

START_TEST(a_reload_that_waits_is_passed_and_comes_to_its_turn)
{
    begin_side(2, ask_behind_a_reload);
    const struct served *a = find("a", 1);
    ask_to_load("slow", "", &side.slow);
    end_side();
    ck_assert_int_eq(side.loaded.why.code, 0);
    ck_assert_int_eq(side.unloaded.n_told, 1);
    expect_says(&side.slow, "failed to load 'slow', version 1: ");
    ck_assert_int_eq(side.reloaded.n_told, 1);
    ck_assert_int_eq(side.reloaded.why.code, 0);
    ck_assert_ptr_ne(find("a", 1), a);
    expect_ready("b", 1);
    expect_ready("slow", 1);
    ck_assert_ptr_null(find("c", 1));
}
END_TEST

static void drain(void)
{
    catalog_drain(catalog, nothing, NULL);
}

START_TEST(who_drains_does_not_wait_for_warm_up)
{
    begin_side(0, drain);
    ask_to_load("slow", "", &side.slow);
    end_side();
    ck_assert_int_eq(side.slow.n_told, 1);
    ck_assert_int_ne(side.slow.why.code, 0);
}
END_TEST

#define MANIFEST(label, n)                                                                                             \
    "{\"manifest\":1,\"version_policy\":{\"latest\":{\"num_versions\":2}},\"version_labels\":{\"" label "\":" #n "}}"

START_TEST(labels_move_when_their_version_answers)
{
    put("repo/a/1/model.onnx", 1);
    put("repo/a/2/model.onnx", 2);
    folder_text("repo/a/manifest.json", MANIFEST("stable", 1));
    serve("repo");
    ck_assert_ptr_eq(catalog_find_label(catalog, "a", "stable", &err), find("a", 1));
    folder_text("repo/a/manifest.json", MANIFEST("stable", 3));
    folder_text("repo/a/3/model.onnx", "no model");
    reload();
    ck_assert_ptr_eq(catalog_find_label(catalog, "a", "stable", &err), find("a", 1)); /* 3 does not answer */
    expect_ready("a", 1); /* it would go, but what takes its place has failed */
    put("repo/a/3/model.onnx", 3);
    reload();
    ck_assert_ptr_eq(catalog_find_label(catalog, "a", "stable", &err), find("a", 3));
    ck_assert_ptr_null(find("a", 1));
    folder_text("repo/a/manifest.json", MANIFEST("canary", 3));
    reload();
    ck_assert_ptr_null(catalog_find_label(catalog, "a", "stable", &err));
    ck_assert_ptr_eq(catalog_find_label(catalog, "a", "canary", &err), find("a", 3));
}
END_TEST

START_TEST(a_name_that_was_given_holds_for_what_comes_later)
{
    char named[200];
    put("repo/a/1/model.onnx", 1);
    snprintf(named, sizeof named, "net=%s", folder_at("repo/a"));
    ck_assert_msg(repository_add(repository, named, &err), "%s", err.text);
    loop_run(loop);
    expect_ready("net", 1);
    put("repo/a/2/model.onnx", 2);
    ck_assert_int_eq(unlink(folder_at("repo/a/1/model.onnx")), 0);
    reload();
    expect_ready("net", 2);
    ck_assert_ptr_null(find("net", 1));
    ck_assert_int_eq(load("net", "").why.code, 0);
}
END_TEST

/* --- watching ----------------------------------------------------------------------------------------------------- */

static int64_t clock_ns;

static int64_t now_ns(void)
{
    return clock_ns;
}

/* After so many ms. */
static void look_after(int ms)
{
    clock_ns += ms * INT64_C(1000000);
    ck_assert(repository_look(repository, -1, NULL, NULL, &err));
    loop_run(loop);
}

static void watch(const char *path)
{
    clock_ns = INT64_C(1000000000000);
    repository_set_clock(repository, now_ns);
    serve(path);
    look_after(0);
}

START_TEST(what_is_not_calm_yet_is_left_alone)
{
    put("repo/a/model.onnx", 1);
    watch("repo");
    const struct served *first = find("a", 1);
    look_after(10000);
    ck_assert(!repository_is_restless(repository));
    ck_assert_ptr_eq(find("a", 1), first);
    put("repo/a/model.onnx", 2);
    put("repo/b/model.onnx", 3);
    look_after(100);
    ck_assert(repository_is_restless(repository));
    ck_assert_ptr_eq(find("a", 1), first);
    ck_assert_ptr_null(find("b", 1));
    put("repo/a/model.onnx", 4); /* once more */
    look_after(1999);
    ck_assert_ptr_eq(find("a", 1), first);
    look_after(1);
    ck_assert_ptr_eq(find("a", 1), first);
    expect_ready("b", 1);
    look_after(1999);
    ck_assert_ptr_ne(find("a", 1), first);
    expect_ready("a", 1);
    ck_assert(!repository_is_restless(repository));
}
END_TEST

START_TEST(a_file_that_is_no_model_is_tried_once)
{
    put("repo/a/model.onnx", 1);
    watch("repo");
    const struct served *first = find("a", 1);
    folder_text("repo/a/model.onnx", "half a mod");
    folder_text("repo/b/model.onnx", "half a mod");
    look_after(0);
    look_after(2000);
    ck_assert_ptr_eq(find("a", 1), first);
    expect_ready("a", 1);
    ck_assert_ptr_nonnull(strstr(first->reason, "a/model.onnx: "));
    const struct served *failed = find("b", 1);
    ck_assert_int_eq(failed->state, SERVED_FAILED);
    look_after(60000);
    ck_assert_ptr_eq(find("b", 1), failed);
    ck_assert_ptr_eq(find("a", 1), first);
    put("repo/a/model.onnx", 2);
    put("repo/b/model.onnx", 2);
    look_after(0);
    look_after(2000);
    ck_assert_ptr_ne(find("a", 1), first);
    expect_ready("a", 1);
    expect_ready("b", 1);
}
END_TEST

START_TEST(what_is_away_for_a_moment_stays)
{
    put("repo/a/model.onnx", 1);
    put("repo/b/model.onnx", 2);
    watch("repo");
    ck_assert_int_eq(rename(folder_at("repo/a"), folder_at("away")), 0);
    ck_assert_int_eq(rename(folder_at("repo/b"), folder_at("gone")), 0);
    look_after(100);
    ck_assert(repository_is_restless(repository));
    expect_ready("a", 1);
    ck_assert_int_eq(rename(folder_at("away"), folder_at("repo/a")), 0);
    look_after(1900);
    look_after(100);
    expect_ready("a", 1);
    ck_assert_ptr_null(find("b", 1));
    ck_assert_int_eq(rename(folder_at("repo/a"), folder_at("away")), 0);
    look_after(1000);
    expect_ready("a", 1);
    look_after(2000);
    ck_assert_ptr_null(find("a", 1));
}
END_TEST

/* As Kubernetes brings volumes up to date, and whoever links a release: all at once. */
START_TEST(a_swapped_link_is_a_change)
{
    put("repo/..1/a/model.onnx", 1);
    put("repo/..2/a/model.onnx", 2);
    ck_assert_int_eq(symlink("..1", folder_at("repo/..data")), 0);
    ck_assert_int_eq(symlink("..data/a", folder_at("repo/a")), 0);
    watch("repo");
    const struct served *first = find("a", 1);
    ck_assert_int_eq(symlink("..2", folder_at("repo/..data_tmp")), 0);
    ck_assert_int_eq(rename(folder_at("repo/..data_tmp"), folder_at("repo/..data")), 0);
    look_after(0);
    look_after(2000);
    ck_assert_ptr_ne(find("a", 1), first);
    expect_ready("a", 1);
}
END_TEST

START_TEST(what_was_asked_for_otherwise_is_not_watched)
{
    put("repo/a/model.onnx", 1);
    put("repo/b/model.onnx", 1);
    watch("repo");
    ck_assert_int_eq(load("a", CONFIG_5).why.code, 0);
    ck_assert_int_eq(unload("b").why.code, 0);
    put("repo/a/model.onnx", 2);
    put("repo/b/model.onnx", 2);
    look_after(0);
    look_after(5000);
    ck_assert_int_eq(find("a", 1)->max_batch_size, 5);
    ck_assert_ptr_null(find("b", 1));
    ck_assert(!repository_is_restless(repository));
}
END_TEST

/* --- what is wanted at the start ---------------------------------------------------------------------------------- */

START_TEST(only_what_is_wanted_is_loaded)
{
    end();
    begin_with(true);
    ck_assert(repository_want(repository, "b", &err));
    put("repo/a/model.onnx", 1);
    put("repo/b/model.onnx", 2);
    serve("repo");
    ck_assert_ptr_null(find("a", 1));
    expect_ready("b", 1);
    ck_assert_ptr_nonnull(survey_find(repository_seen(repository), "a", 1));
    ck_assert(!repository_had(repository, "a"));
    reload();
    ck_assert_ptr_null(find("a", 1));
    ck_assert_int_eq(unload("b").why.code, 0);
    ck_assert_msg(catalog_ready(catalog, &err), "%s", err.text);
    ck_assert(repository_had(repository, "b"));
    ck_assert_int_eq(load("a", "").why.code, 0);
    expect_ready("a", 1);
}
END_TEST

/* --- ends --------------------------------------------------------------------------------------------------------- */

START_TEST(draining_answers_whoever_waits)
{
    struct asked asked[3];
    put("repo/a/model.onnx", 1);
    serve("repo");
    ask_to_load("a", "", &asked[0]);
    ask_to_load("a", "", &asked[1]);
    ask_to_unload("a", &asked[2]);
    catalog_drain(catalog, nothing, NULL);
    loop_run(loop);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(asked[i].n_told, 1);
        expect_says(&asked[i], "Server exiting");
    }
    ck_assert_ptr_null(repository_load(repository, "a", NULL, (struct bytes){0}, note_told, asked, &err));
    ck_assert_str_eq(err.text, "Server exiting");
    ck_assert(!repository_reload(repository, NULL, NULL, &err));
}
END_TEST

START_TEST(whatever_memory_is_short_something_serves)
{
    int n_good = 0, n_bad = 0;
    put("repo/a/model.onnx", 1);
    serve("repo");
    for (size_t nth = 1; nth <= 60; nth++) {
        struct asked asked = {0};
        arena_fail_at(nth, false);
        struct control *control = repository_load(repository, "a", NULL, (struct bytes){0}, note_told, &asked, &err);
        loop_run(loop);
        arena_fail_at(0, false);
        ck_assert_int_eq(asked.n_told, control != NULL);
        expect_ready("a", 1);
        n_good += control && !asked.why.code;
        n_bad += !control || asked.why.code;
    }
    ck_assert_int_gt(n_good, 0);
    ck_assert_int_gt(n_bad, 0);
}
END_TEST

Suite *serve_repository_suite(void)
{
    Suite *suite = suite_create("serve/repository");
    TCase *tests = tcase_create("repository");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, a_load_looks_at_the_disk_again);
    tcase_add_test(tests, a_version_that_is_gone_goes_when_the_others_are_there);
    tcase_add_test(tests, a_load_that_fails_leaves_what_was_there);
    tcase_add_test(tests, what_is_not_there_fails_in_the_contracts_words);
    tcase_add_test(tests, loads_of_several_names_run_side_by_side);
    tcase_add_test(tests, whoever_leaves_is_told_once_and_it_is_done_all_the_same);
    tcase_add_test(tests, a_configuration_holds_until_the_next_load);
    tcase_add_test(tests, a_bad_configuration_changes_nothing);
    tcase_add_test(tests, files_that_come_with_the_request_are_the_model);
    tcase_add_test(tests, a_file_that_is_no_model_fails_alone);
    tcase_add_test(tests, what_is_unloaded_is_gone_and_wanted_so);
    tcase_add_test(tests, an_unload_comes_behind_the_load_before_it);
    tcase_add_test(tests, what_others_need_stays);
    tcase_add_test(tests, a_reload_takes_what_is_new_changed_and_gone);
    tcase_add_test(tests, a_path_that_is_not_there_takes_nothing_away);
    tcase_add_test(tests, who_was_second_takes_the_place_of_the_first);
    tcase_add_test(tests, reloads_that_have_not_begun_are_one);
    tcase_add_test(tests, a_name_that_was_given_holds_for_what_comes_later);
    tcase_add_test(tests, a_reload_holds_back_what_it_loads_and_nothing_else);
    tcase_add_test(tests, a_reload_that_waits_is_passed_and_comes_to_its_turn);
    tcase_add_test(tests, who_drains_does_not_wait_for_warm_up);
    tcase_add_test(tests, labels_move_when_their_version_answers);
    tcase_add_test(tests, what_is_not_calm_yet_is_left_alone);
    tcase_add_test(tests, a_file_that_is_no_model_is_tried_once);
    tcase_add_test(tests, what_is_away_for_a_moment_stays);
    tcase_add_test(tests, a_swapped_link_is_a_change);
    tcase_add_test(tests, what_was_asked_for_otherwise_is_not_watched);
    tcase_add_test(tests, only_what_is_wanted_is_loaded);
    tcase_add_test(tests, draining_answers_whoever_waits);
    tcase_add_test(tests, whatever_memory_is_short_something_serves);
    suite_add_tcase(suite, tests);
    return suite;
}
