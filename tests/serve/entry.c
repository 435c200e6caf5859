/* entry.c - one model's way from a file to READY, or to a reason why not. */
#include "serve/entry.h"

#include "base/err.h"
#include "base/file.h"
#include "folder.h"
#include "graph/proto.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

Suite *serve_entry_suite(void);

static const struct settings settings = {
    .private_regions = true, .max_batch_size = 16, .max_pixels = 7, .max_audio_seconds = 9};

static const struct root root = {.path = "models"};

static void begin(void)
{
    folder_begin("entry");
}

static void end(void)
{
    folder_end();
}

static struct entry *entry_at(const char *path, const char *folder)
{
    const struct found found = {.name = "m", .version = 3, .path = folder_at(path), .folder = folder_at(folder)};
    struct entry *entry = entry_new(&found, &root, &settings, NULL);
    ck_assert_ptr_nonnull(entry);
    return entry;
}

START_TEST(the_folder_of_models_ends_before_the_name)
{
    static const struct {
        const char *name, *path, *rest;
    } rows[] = {{"a", "/srv/models/a.onnx", "a.onnx"},
                {"a", "/srv/models/a/model.onnx", "a/model.onnx"},
                {"a", "/srv/models/a/2/model.onnx", "a/2/model.onnx"},
                {"a", "/srv/models/a/net.onnx", "a/net.onnx"},
                {"model", "/srv/model/model.onnx", "model/model.onnx"},
                {"b", "/a.onnx", "a.onnx"},
                {"a", "a.onnx", "a.onnx"},
                {"a", "a/model.onnx", "a/model.onnx"},
                {"a", "/a/model.onnx", "a/model.onnx"},
                {"a", "/a/b/a/c/1/model.onnx", "c/1/model.onnx"},
                {"a", "/b/ab/model.onnx", "b/ab/model.onnx"},
                {"a", "/x/y/ab/c/model.onnx", "ab/c/model.onnx"},
                {"a", "/srv/a.ONNX", "a.ONNX"},
                {"Model", "/srv/Model/Model.onnx", "Model/Model.onnx"}};
    const char *path = rows[_i].path;
    ck_assert_str_eq(path + entry_root_bytes(rows[_i].name, path), rows[_i].rest);
}
END_TEST

START_TEST(a_new_entry_is_loading_and_owns_its_texts)
{
    struct entry *entry = entry_at("m/model.onnx", "m");
    ck_assert_int_eq(entry->served.state, SERVED_LOADING);
    ck_assert_str_eq(entry->served.name, "m");
    ck_assert_int_eq(entry->served.version, 3);
    ck_assert_ptr_eq(entry->served.root, &root);
    ck_assert_int_eq(entry->served.max_pixels, 7);
    ck_assert_int_eq(entry->served.max_audio_seconds, 9);
    ck_assert_ptr_eq(entry_of(&entry->task), entry);
    entry_free(entry);
}
END_TEST

START_TEST(who_takes_a_place_knows_the_batch_sizes_that_were_run_most)
{
    struct entry *stands = entry_at("m/model.onnx", "m");
    const struct found found = entry_found(stands);
    ck_assert_str_eq(found.path, folder_at("m/model.onnx"));
    ck_assert_str_eq(found.folder, folder_at("m"));
    ck_assert(stats_sizes(&stands->served.stats, 32, &stands->served.arena));
    for (int size = 1; size <= 32; size++)
        for (int n = size % 2 ? 0 : size == 8 ? 100 : size; n > 0; n--)
            stats_execution(&stands->served.stats, size, 1, 1, 1);
    for (int n = 0; n < 40; n++)
        stats_execution(&stands->served.stats, 3, 1, 1, 1);
    struct entry *entry = entry_new_beside(stands, &found, &root, NULL);
    ck_assert_ptr_eq(entry->stands, stands);
    ck_assert_int_eq(entry->served.version, 3);
    ck_assert_int_eq(entry->n_recent, ENTRY_RECENT);
    ck_assert_int_eq(entry->recent[0], 8);
    ck_assert_int_eq(entry->recent[1], 3);
    ck_assert_int_eq(entry->recent[2], 32);
    ck_assert_int_eq(entry->recent[ENTRY_RECENT - 1], 4); /* 2 was run least */
    entry_free(entry);
    entry_free(stands);
}
END_TEST

START_TEST(what_fails_holds_its_reason_and_no_model)
{
    folder_text("m/model.onnx", "this is no model");
    struct entry *entry = entry_at("m/model.onnx", "m");
    entry_load(entry);
    ck_assert(!entry->loaded);
    entry_fail(entry);
    ck_assert_int_eq(entry->served.state, SERVED_FAILED);
    ck_assert_ptr_null(entry->served.model);
    ck_assert_msg(strncmp(entry->served.reason, "m/model.onnx: ", 14) == 0, "%s", entry->served.reason);
    entry_free(entry);
}
END_TEST

START_TEST(what_loads_is_opened_whole_or_not_at_all)
{
    struct bytes model = {0};
    if (!file_read("models/perceptron/model.onnx", 0, &model, NULL, NULL)) {
        printf("skipped: models/perceptron/model.onnx is absent\n");
        return;
    }
    folder_put("m/model.onnx", model.at, bytes_size(model));
    struct loop *loop = loop_new(1, NULL);
    struct dispatch *dispatch = dispatch_new_on(loop, &batch_percept, NULL);
    int n_failed = 0, n_opened = 0;
    for (size_t nth = 1; !n_opened; nth++) {
        struct entry *entry = entry_at("m/model.onnx", "m");
        entry_load(entry);
        ck_assert_msg(entry->loaded, "%s", entry->err.text);
        ck_assert_ptr_nonnull(entry->session);
        arena_fail_at(nth, false);
        bool opened = entry_open(entry, dispatch, &entry->err);
        arena_fail_at(0, false);
        ck_assert_int_eq(entry->served.state, opened ? SERVED_READY : SERVED_LOADING);
        ck_assert_int_eq(entry->served.lane != NULL, opened);
        ck_assert_int_eq(entry->session == NULL, opened);
        n_opened += opened;
        n_failed += !opened;
        entry_free(entry);
    }
    ck_assert_int_gt(n_failed, 0);
    dispatch_free(dispatch);
    loop_free(loop);
    arena_buffer_free((void *)model.at);
}
END_TEST

/* x [rows, batch] -> y = Relu(x). */
static bool joined_with(const char *manifest)
{
    struct proto graph = {0};
    const int64_t dims[] = {-1, -1};
    proto_add(&graph, GRAPH_INPUT, proto_value_named("x", PERCEPT_FLOAT, 2, dims, "rows,batch"));
    proto_add(&graph, GRAPH_OUTPUT, proto_value_named("y", PERCEPT_FLOAT, 2, dims, "rows,batch"));
    proto_add(&graph, GRAPH_NODE, proto_node("Relu", "", "x", "y"));
    struct proto model = proto_model(graph, 13);
    folder_put("m/model.onnx", model.at, model.n);
    folder_text("m/manifest.json", manifest);
    proto_free(&model);
    struct entry *entry = entry_at("m/model.onnx", "m");
    entry_load(entry);
    ck_assert_msg(entry->loaded, "%s", entry->err.text);
    const bool joined = entry->served.batching;
    ck_assert_int_eq(entry->served.max_batch_size, joined ? 16 : 1);
    entry_free(entry);
    return joined;
}

/* x, y float [batch, ?]: y = Relu(x). In a file of this name. */
static void put_relu(const char *name)
{
    struct proto graph = {0};
    const int64_t dims[] = {-1, -1};
    proto_add(&graph, GRAPH_INPUT, proto_value_named("x", PERCEPT_FLOAT, 2, dims, "batch,n"));
    proto_add(&graph, GRAPH_OUTPUT, proto_value_named("y", PERCEPT_FLOAT, 2, dims, "batch,n"));
    proto_add(&graph, GRAPH_NODE, proto_node("Relu", "", "x", "y"));
    struct proto model = proto_model(graph, 13);
    folder_put(name, model.at, model.n);
    proto_free(&model);
}

/* What a config.pbtxt makes of that network: is it joined, up to how many, which dims do clients see? */
static const struct {
    const char *config, *manifest; /* NULL: none */
    bool joined;
    int max_batch_size;
    int64_t dims[2];
    const char *says; /* NULL: it loads */
} configs[] = {
    {"", NULL, true, 16, {-1, -1}, NULL},
    {"max_batch_size: 0", NULL, false, 1, {-1, -1}, NULL},
    {"max_batch_size: 4", NULL, true, 4, {-1, -1}, NULL},
    {"max_batch_size: 4 input { name: 'x' dims: 3 }", NULL, true, 4, {-1, 3}, NULL},
    {"input { name: 'x' dims: [ 2, 3 ] }", NULL, false, 1, {2, 3}, NULL},
    {"input { name: 'x' dims: [ -1, 3 ] }", NULL, false, 1, {-1, 3}, NULL},
    {"input { name: 'x' dims: [ -1, 3 ] }",
     "{\"manifest\":1,\"batching\":{\"max_batch_size\":9}}",
     true,
     9,
     {-1, 3},
     NULL},
    {"input { name: 'x' dims: [ 2, 3 ] }",
     "{\"manifest\":1,\"batching\":{\"max_batch_size\":9}}",
     false,
     1,
     {2, 3},
     NULL},
    {"name: 'm' platform: 'onnxruntime_onnx'", NULL, true, 16, {-1, -1}, NULL},
    {"name: ''", NULL, true, 16, {-1, -1}, NULL},
    {"default_model_filename: 'other.onnx'", NULL, true, 16, {-1, -1}, NULL},
    {"default_model_filename: 'none.onnx'", NULL, false, 0, {0}, "cannot open 'm/3/none.onnx'"},
    {"#several", NULL, false, 0, {0}, "m/config.pbtxt: there are several .onnx files and none is called model.onnx"},
    {"#several\n default_model_filename: 'other.onnx'", NULL, true, 16, {-1, -1}, NULL},
    {"name: 'n'",
     NULL,
     false,
     0,
     {0},
     "m/config.pbtxt: unexpected directory name 'm' for model 'n', directory name must equal model name"},
    {"input { name: 'x' dims: [ 3 ] }",
     NULL,
     false,
     0,
     {0},
     "m/config.pbtxt: input 'x': the model expects 2 dimensions"},
    {"max_batch_size: 4 model_warmup { batch_size: 2 inputs { key: 'x' value { dims: 5 } } }",
     NULL,
     true,
     4,
     {-1, -1},
     NULL},
    {"max_batch_size: 4 model_warmup { batch_size: 9 inputs { key: 'x' value { dims: 5 } } }",
     NULL,
     true,
     4,
     {-1, -1},
     NULL},
    {"max_batch_size: 0 model_warmup { inputs { key: 'x' value { dims: [ 2, 5 ] } } }", NULL, false, 1, {-1, -1}, NULL},
    {"max_batch_size: 4 model_warmup { name: 'w' inputs { key: 'x' value { dims: [ 2, 5 ] } } }",
     NULL,
     false,
     0,
     {0},
     "m/config.pbtxt: model_warmup 'w': "},
    {"model_transaction_policy { decoupled: true }",
     NULL,
     false,
     0,
     {0},
     "m/config.pbtxt: line 1, column 28: model_transaction_policy.decoupled: "},
};

START_TEST(a_config_says_how_it_is_served)
{
    const char *file = *configs[_i].config == '#' ? "m/3/several.onnx" : "m/3/model.onnx";
    put_relu(file);
    put_relu("m/3/other.onnx");
    folder_text("m/config.pbtxt", configs[_i].config);
    if (configs[_i].manifest)
        folder_text("m/manifest.json", configs[_i].manifest);
    struct entry *entry = entry_at(file, "m");
    entry_load(entry);
    ck_assert_msg(entry->loaded == !configs[_i].says, "%s: %s", configs[_i].config, entry->err.text);
    if (configs[_i].says) {
        entry_fail(entry);
        ck_assert_msg(strncmp(entry->served.reason, configs[_i].says, strlen(configs[_i].says)) == 0, "%s",
                      entry->served.reason);
    } else {
        int n;
        const struct percept_io *io = served_inputs(&entry->served, &n);
        ck_assert_int_eq(entry->served.batching, configs[_i].joined);
        ck_assert_int_eq(entry->served.max_batch_size, configs[_i].max_batch_size);
        ck_assert_int_eq(io->rank, 2);
        ck_assert_mem_eq(io->dims, configs[_i].dims, sizeof configs[_i].dims);
    }
    entry_free(entry);
}
END_TEST

/* x float [batch, n] -> its softmax over the batch: nobody's items may be joined with another's. */
static void put_coupled(const char *name)
{
    struct proto graph = {0}, node = proto_node("Softmax", "", "x", "y");
    const int64_t dims[] = {-1, -1};
    proto_attr_int(&node, "axis", 0);
    proto_add(&graph, GRAPH_INPUT, proto_value_named("x", PERCEPT_FLOAT, 2, dims, "batch,n"));
    proto_add(&graph, GRAPH_OUTPUT, proto_value_named("y", PERCEPT_FLOAT, 2, dims, "batch,n"));
    proto_add(&graph, GRAPH_NODE, node);
    struct proto model = proto_model(graph, 13);
    folder_put(name, model.at, model.n);
    proto_free(&model);
}

START_TEST(a_declared_batch_is_one_though_nothing_is_joined)
{
    static const struct {
        const char *config;
        int max_batch_size, axis;
        bool has_batch;
    } rows[] = {{"", 1, -1, false}, {"max_batch_size: 4", 4, 0, true}, {"max_batch_size: 0", 1, -1, false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        put_coupled("m/3/model.onnx");
        folder_text("m/config.pbtxt", rows[i].config);
        struct entry *entry = entry_at("m/3/model.onnx", "m");
        entry_load(entry);
        ck_assert_msg(entry->loaded, "%s", entry->err.text);
        int n;
        ck_assert(!entry->served.batching);
        ck_assert_int_eq(served_has_batch(&entry->served), rows[i].has_batch);
        ck_assert_int_eq(entry->served.max_batch_size, rows[i].max_batch_size);
        ck_assert_int_eq(served_inputs(&entry->served, &n)->batch_axis, rows[i].axis);
        ck_assert_int_eq(served_outputs(&entry->served, &n)->batch_axis, rows[i].axis);
        entry_free(entry);
    }
}
END_TEST

static size_t warmed_bytes(const char *config)
{
    put_relu("m/3/model.onnx");
    folder_text("m/config.pbtxt", config);
    struct entry *entry = entry_at("m/3/model.onnx", "m");
    entry_load(entry);
    ck_assert_msg(entry->loaded, "%s", entry->err.text);
    const size_t n_bytes = percept_session_bytes(entry->session);
    entry_free(entry);
    return n_bytes;
}

START_TEST(a_request_to_warm_up_makes_a_plan_of_its_shape)
{
    const size_t without = warmed_bytes("max_batch_size: 4");
    ck_assert_uint_ge(
        warmed_bytes("max_batch_size: 4 model_warmup { batch_size: 2 inputs { key: 'x' value { dims: 500 } } }"),
        without + 2 * 500 * sizeof(float));
    ck_assert_uint_ge(warmed_bytes("max_batch_size: 0 model_warmup { inputs { key: 'x' value { dims: [ 3, 500 ] } } }"),
                      without + 3 * 500 * sizeof(float));
}
END_TEST

START_TEST(what_is_described_has_the_batch_in_front)
{
    ck_assert(joined_with("{\"manifest\":1}"));
    ck_assert(joined_with("{\"manifest\":1,\"inputs\":{\"x\":{\"kind\":\"tensor\"}}}"));
    ck_assert(!joined_with("{\"manifest\":1,\"inputs\":{\"x\":{\"kind\":\"image\",\"size\":[2,2],"
                           "\"channels\":\"gray\",\"layout\":\"flat\"}}}"));
    ck_assert(!joined_with("{\"manifest\":1,\"task\":{\"kind\":\"classify\"}}"));
    ck_assert(!joined_with("{\"manifest\":1,\"task\":{\"kind\":\"classify\",\"output\":\"y\"}}"));
}
END_TEST

START_TEST(without_memory_there_is_no_entry)
{
    const struct found found = {.name = "m", .version = 1, .path = folder_at("m.onnx"), .folder = folder_root};
    struct percept_err err = {0};
    arena_fail_at(1, false);
    ck_assert_ptr_null(entry_new(&found, &root, &settings, &err));
    ck_assert_int_eq(err.code, ERR_MEMORY);
    arena_fail_at(2, true);
    ck_assert_ptr_null(entry_new(&found, &root, &settings, &err));
    arena_fail_at(0, false);
}
END_TEST

Suite *serve_entry_suite(void)
{
    Suite *suite = suite_create("serve/entry");
    TCase *tests = tcase_create("entry");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_loop_test(tests, the_folder_of_models_ends_before_the_name, 0, 14);
    tcase_add_test(tests, a_new_entry_is_loading_and_owns_its_texts);
    tcase_add_test(tests, who_takes_a_place_knows_the_batch_sizes_that_were_run_most);
    tcase_add_test(tests, what_fails_holds_its_reason_and_no_model);
    tcase_add_test(tests, what_loads_is_opened_whole_or_not_at_all);
    tcase_add_test(tests, what_is_described_has_the_batch_in_front);
    tcase_add_test(tests, without_memory_there_is_no_entry);
    tcase_add_test(tests, a_declared_batch_is_one_though_nothing_is_joined);
    tcase_add_test(tests, a_request_to_warm_up_makes_a_plan_of_its_shape);
    tcase_add_loop_test(tests, a_config_says_how_it_is_served, 0, sizeof configs / sizeof *configs);
    suite_add_tcase(suite, tests);
    return suite;
}
