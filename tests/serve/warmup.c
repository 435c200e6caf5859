/* warmup.c - what config.pbtxt wants run before a model is ready: its data, its shapes, and what it is told when it
 * does not work. The networks give what they were given. */
#include "serve/warmup.h"

#include "base/err.h"
#include "folder.h"
#include "graph/proto.h"
#include "serve/entry.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

Suite *serve_warmup_suite(void);

#define N_MOST 8

static struct settings settings;

static void begin(void)
{
    folder_begin("warmup");
    settings = (struct settings){.private_regions = true, .max_batch_size = 16};
}

static void end(void)
{
    folder_end();
}

static void put_model(struct proto graph)
{
    struct proto model = proto_model(graph, 13);
    folder_put("m/1/model.onnx", model.at, model.n);
    proto_free(&model);
}

/* y [batch, n] = x. */
static void put_echo(enum percept_dtype dtype)
{
    struct proto graph = {0};
    const int64_t dims[] = {-1, -1};
    proto_add(&graph, GRAPH_INPUT, proto_value_named("x", dtype, 2, dims, "batch,n"));
    proto_add(&graph, GRAPH_OUTPUT, proto_value_named("y", dtype, 2, dims, "batch,n"));
    proto_add(&graph, GRAPH_NODE, proto_node("Identity", "", "x", "y"));
    put_model(graph);
}

/* y = (7, 8, 9)[x], x int64 [batch, n]. */
static void put_gather(void)
{
    struct proto graph = {0};
    const int64_t dims[] = {-1, -1};
    const float table[] = {7, 8, 9};
    proto_add(&graph, GRAPH_INITIALIZER, proto_tensor("t", PERCEPT_FLOAT, 1, (int64_t[]){3}, table, sizeof table));
    proto_add(&graph, GRAPH_INPUT, proto_value_named("x", PERCEPT_INT64, 2, dims, "batch,n"));
    proto_add(&graph, GRAPH_OUTPUT, proto_value_named("y", PERCEPT_FLOAT, 2, dims, "batch,n"));
    proto_add(&graph, GRAPH_NODE, proto_node("Gather", "", "t,x", "y"));
    put_model(graph);
}

static struct entry *load(const char *config)
{
    const struct found found = {
        .name = "m", .version = 1, .path = folder_at("m/1/model.onnx"), .folder = folder_at("m")};
    folder_text("m/config.pbtxt", config);
    struct entry *entry = entry_new(&found, NULL, &settings, NULL);
    ck_assert_ptr_nonnull(entry);
    entry_load(entry);
    return entry;
}

/* What the last request gives. */
static void give(struct entry *entry, struct percept_session *session)
{
    struct percept_err err = {0};
    const struct warmup warmup = {.served = &entry->served, .session = session, .runs = true};
    ck_assert_msg(warmup_all(&warmup, &err), "%s", err.text);
}

static void expect_floats(const char *config, int n, const float *values)
{
    struct entry *entry = load(config);
    ck_assert_msg(entry->loaded, "%s: %s", config, entry->err.text);
    struct percept_session *session = percept_session_new(entry->served.model, NULL);
    give(entry, session);
    const struct percept_tensor y = percept_output(session, 0);
    int64_t n_given = 1;
    for (int i = 0; i < y.rank; i++)
        n_given *= y.dims[i];
    ck_assert_int_eq(n_given, n);
    ck_assert_mem_eq(y.data, values, (size_t)n * sizeof *values);
    percept_session_free(session);
    entry_free(entry);
}

#define X(text) "inputs { key: 'x' value { data_type: TYPE_FP32 " text " } }"

static const struct {
    const char *config;
    int n;
    float values[N_MOST];
} given[] = {
    {"max_batch_size: 4 model_warmup { batch_size: 1 " X("dims: 2 zero_data: true") " }", 2, {0, 0}},
    {"max_batch_size: 4 model_warmup { batch_size: 1 " X("dims: 2 input_data_file: 'two'") " }", 2, {5, 6}},
    {"max_batch_size: 4 model_warmup { batch_size: 3 " X("dims: 2 input_data_file: 'two'") " }", 6, {5, 6, 5, 6, 5, 6}},
    {"max_batch_size: 2 model_warmup { batch_size: 9 " X("dims: 2 input_data_file: 'two'") " }", 4, {5, 6, 5, 6}},
    {"max_batch_size: 0 model_warmup { batch_size: 1 " X("dims: [ 2, 1 ] input_data_file: 'two'") " }", 2, {5, 6}},
    {"max_batch_size: 4 model_warmup { batch_size: 1 count: 3 " X("dims: 1 input_data_file: 'two'") " }", 1, {5}},
    {"max_batch_size: 4 model_warmup [ { batch_size: 1 " X(
         "dims: 2 input_data_file: 'two'") " },"
                                           " { batch_size: 2 " X("dims: 1 input_data_file: 'deep/one'") " } ]",
     2,
     {4, 4}},
};

static void put_data(void)
{
    static const float two[] = {5, 6}, one = 4;
    folder_put("m/warmup/two", two, sizeof two);
    folder_put("m/warmup/deep/one", &one, sizeof one);
    folder_put("m/outside", two, sizeof two);
}

START_TEST(what_is_run_has_the_data_that_are_said)
{
    put_echo(PERCEPT_FLOAT);
    put_data();
    expect_floats(given[_i].config, given[_i].n, given[_i].values);
}
END_TEST

START_TEST(random_data_are_between_0_and_1_and_the_same_each_time)
{
    float first[64];
    put_echo(PERCEPT_FLOAT);
    struct entry *entry =
        load("max_batch_size: 4 model_warmup { batch_size: 2 count: 2 " X("dims: 32 random_data: true") " }");
    struct percept_session *session = percept_session_new(entry->served.model, NULL);
    give(entry, session);
    memcpy(first, percept_output(session, 0).data, sizeof first);
    give(entry, session);
    ck_assert_mem_eq(percept_output(session, 0).data, first, sizeof first);
    double sum = 0;
    for (int i = 0; i < 64; i++) {
        ck_assert(first[i] >= 0 && first[i] < 1);
        sum += (double)first[i];
    }
    ck_assert(sum > 16 && sum < 48);
    percept_session_free(session);
    entry_free(entry);
}
END_TEST

START_TEST(random_data_of_every_type_can_be_run)
{
    static const struct {
        enum percept_dtype dtype;
        const char *name;
    } rows[] = {{PERCEPT_BOOL, "BOOL"},     {PERCEPT_INT8, "INT8"},    {PERCEPT_INT64, "INT64"},
                {PERCEPT_DOUBLE, "FP64"},   {PERCEPT_FLOAT16, "FP16"}, {PERCEPT_BFLOAT16, "BF16"},
                {PERCEPT_STRING, "STRING"}, {PERCEPT_UINT16, "UINT16"}};
    char config[256];
    put_echo(rows[_i].dtype);
    snprintf(config, sizeof config,
             "max_batch_size: 4 model_warmup { batch_size: 2 inputs { key: 'x' value { data_type: TYPE_%s dims: 3 "
             "random_data: true } } }",
             rows[_i].name);
    struct entry *entry = load(config);
    ck_assert_msg(entry->loaded, "%s: %s", config, entry->err.text);
    entry_free(entry);
}
END_TEST

START_TEST(texts_of_a_file_have_their_lengths_before_them)
{
    static const char texts[] = "\2\0\0\0ab\0\0\0\0";
    put_echo(PERCEPT_STRING);
    folder_put("m/warmup/t", texts, sizeof texts - 1);
    struct entry *entry = load("max_batch_size: 4 model_warmup { batch_size: 2 inputs { key: 'x' value { data_type: "
                               "TYPE_STRING dims: 2 input_data_file: 't' } } }");
    ck_assert_msg(entry->loaded, "%s", entry->err.text);
    struct percept_session *session = percept_session_new(entry->served.model, NULL);
    struct percept_string *x;
    give(entry, session);
    x = percept_output(session, 0).data;
    for (int i = 0; i < 4; i++)
        ck_assert_uint_eq(x[i].n_bytes, i % 2 ? 0 : 2);
    percept_session_free(session);
    entry_free(entry);
}
END_TEST

START_TEST(a_length_has_four_bytes_the_lowest_first)
{
    enum { ONE = 0x0102, TWO = 0x010203 };
    static char texts[4 + ONE + 4 + TWO] = {2, 1};
    memcpy(texts + 4 + ONE, "\3\2\1", 4);
    put_echo(PERCEPT_STRING);
    folder_put("m/warmup/t", texts, sizeof texts);
    struct entry *entry = load("max_batch_size: 4 model_warmup { batch_size: 1 inputs { key: 'x' value { data_type: "
                               "TYPE_STRING dims: 2 input_data_file: 't' } } }");
    ck_assert_msg(entry->loaded, "%s", entry->err.text);
    struct percept_session *session = percept_session_new(entry->served.model, NULL);
    give(entry, session);
    const struct percept_string *x = percept_output(session, 0).data;
    ck_assert(x[0].n_bytes == ONE && x[1].n_bytes == TWO);
    percept_session_free(session);
    entry_free(entry);
    texts[4 + ONE + 3] = 1; /* 16 MiB more */
    folder_put("m/warmup/t", texts, sizeof texts);
    entry = load("max_batch_size: 4 model_warmup { batch_size: 1 inputs { key: 'x' value { data_type: TYPE_STRING "
                 "dims: 2 input_data_file: 't' } } }");
    ck_assert(!entry->loaded);
    ck_assert_msg(strstr(entry->err.text, "text 1 has 16843267 bytes"), "%s", entry->err.text);
    entry_free(entry);
}
END_TEST

/* What makes a model UNAVAILABLE, and the end of the reason. */
static const struct {
    enum { ECHO, TEXTS, GATHER } network;
    const char *request, *says;
} refused[] = {
    {ECHO, "inputs { key: 'x' value { dims: 2 input_data_file: 'none' } }", "input 'x': warmup/none: "},
    {ECHO, "inputs { key: 'x' value { dims: 3 input_data_file: 'two' } }", "input 'x': warmup/two: "},
    {ECHO, "inputs { key: 'x' value { dims: 2 input_data_file: '../outside' } }", "input 'x': warmup/../outside: "},
    {ECHO, "inputs { key: 'x' value { dims: 2 input_data_file: '/etc/passwd' } }", "input 'x': warmup//etc/passwd: "},
    {ECHO, "inputs { key: 'x' value { dims: 2 input_data_file: '' } }", "input 'x': warmup/: "},
    {ECHO, "inputs { key: 'x' value { dims: 2 input_data_file: 'deep' } }", "input 'x': warmup/deep: "},
    {ECHO, "", "input 'x' is free in axis 1: its dims have to be given"},
    {ECHO, "inputs { key: 'x' value { dims: 1099511627776 zero_data: true } }", ""},
    {ECHO, "inputs { key: 'x' value { dims: [ 1, 1, 1, 1, 1, 1, 1, 1 ] } }", "input 'x' has more than 8 dims"},
    {ECHO, "inputs { key: 'x' value { dims: [ 2, 2 ] } }", ""},
    {TEXTS, "inputs { key: 'x' value { dims: 3 input_data_file: 'two' } }", "input 'x': warmup/two: text 0 has "},
    {TEXTS, "inputs { key: 'x' value { dims: 3 input_data_file: 'texts' } }",
     "input 'x': warmup/texts: there are 1 texts in the file; 3 are needed"},
    {GATHER, "inputs { key: 'x' value { dims: 1 input_data_file: 'three' } }", ""},
    {GATHER, "count: 2000000000 inputs { key: 'x' value { dims: 1 input_data_file: 'three' } }", ""},
};

START_TEST(one_that_fails_is_the_reason_why_not)
{
    char config[512], says[256];
    const int64_t three = 3;
    put_data();
    folder_put("m/warmup/three", &three, sizeof three);
    folder_put("m/warmup/texts", "\1\0\0\0a\0\0", 7);
    if (refused[_i].network == GATHER)
        put_gather();
    else
        put_echo(refused[_i].network == TEXTS ? PERCEPT_STRING : PERCEPT_FLOAT);
    snprintf(config, sizeof config, "max_batch_size: 4 model_warmup { name: 'w' batch_size: 1 %s }",
             refused[_i].request);
    snprintf(says, sizeof says, "m/config.pbtxt: model_warmup 'w': %s", refused[_i].says);
    struct entry *entry = load(config);
    ck_assert_msg(!entry->loaded, "%s", config);
    entry_fail(entry);
    ck_assert_msg(strncmp(entry->served.reason, says, strlen(says)) == 0, "%s", entry->served.reason);
    entry_free(entry);
}
END_TEST

START_TEST(memory_is_bounded_by_what_a_run_may_have)
{
    static char texts[40000];
    put_echo(PERCEPT_STRING);
    folder_put("m/warmup/t", texts, sizeof texts);
    const char *config = "max_batch_size: 4 model_warmup { batch_size: 1 inputs { key: 'x' value { dims: 1 "
                         "input_data_file: 't' } } }";
    struct entry *entry = load(config);
    ck_assert_msg(entry->loaded, "%s", entry->err.text);
    entry_free(entry);
    settings.memory_limit_bytes = 20000;
    entry = load(config);
    ck_assert(!entry->loaded);
    ck_assert_int_eq(entry->err.code, ERR_MEMORY);
    entry_free(entry);
}
END_TEST

START_TEST(nobody_waits_for_what_was_given_up)
{
    put_echo(PERCEPT_FLOAT);
    struct entry *entry = load("max_batch_size: 4 model_warmup { name: 'w' count: 3 " X("dims: 2") " }");
    struct percept_session *session = percept_session_new(entry->served.model, NULL);
    struct percept_err err = {0};
    const int cancel = 1;
    struct warmup warmup = {.served = &entry->served, .session = session, .cancel = &cancel, .runs = true};
    ck_assert(!warmup_all(&warmup, &err));
    ck_assert_int_eq(err.code, ERR_CANCELLED);
    warmup.runs = false;
    ck_assert(warmup_all(&warmup, &err));
    percept_session_free(session);
    entry_free(entry);
}
END_TEST

/* y = h + (x - ready), which is the next h. */
static void put_sequence(void)
{
    struct proto graph = {0};
    const int64_t dims[] = {-1, 2}, flag[] = {-1, 1};
    proto_add(&graph, GRAPH_INPUT, proto_value_named("x", PERCEPT_FLOAT, 2, dims, "batch,n"));
    proto_add(&graph, GRAPH_INPUT, proto_value_named("h", PERCEPT_FLOAT, 2, dims, "batch,n"));
    proto_add(&graph, GRAPH_INPUT, proto_value_named("ready", PERCEPT_FLOAT, 2, flag, "batch,n"));
    proto_add(&graph, GRAPH_OUTPUT, proto_value_named("y", PERCEPT_FLOAT, 2, dims, "batch,n"));
    proto_add(&graph, GRAPH_NODE, proto_node("Sub", "", "x,ready", "d"));
    proto_add(&graph, GRAPH_NODE, proto_node("Add", "", "d,h", "y"));
    put_model(graph);
}

START_TEST(states_are_zeros_and_controls_not_ready)
{
    put_sequence();
    put_data();
    expect_floats(
        "max_batch_size: 4 sequence_batching { control_input { name: 'ready' control { kind: "
        "CONTROL_SEQUENCE_READY fp32_false_true: [ 100, 1 ] } } state { input_name: 'h' output_name: 'y' "
        "data_type: TYPE_FP32 dims: 2 } } model_warmup { batch_size: 2 " X("dims: 2 input_data_file: 'two'") " }",
        4, (float[]){-95, -94, -95, -94});
}
END_TEST

Suite *serve_warmup_suite(void)
{
    Suite *suite = suite_create("serve/warmup");
    TCase *tests = tcase_create("warmup");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_loop_test(tests, what_is_run_has_the_data_that_are_said, 0, sizeof given / sizeof *given);
    tcase_add_test(tests, random_data_are_between_0_and_1_and_the_same_each_time);
    tcase_add_loop_test(tests, random_data_of_every_type_can_be_run, 0, 8);
    tcase_add_test(tests, a_length_has_four_bytes_the_lowest_first);
    tcase_add_test(tests, texts_of_a_file_have_their_lengths_before_them);
    tcase_add_loop_test(tests, one_that_fails_is_the_reason_why_not, 0, sizeof refused / sizeof *refused);
    tcase_add_test(tests, memory_is_bounded_by_what_a_run_may_have);
    tcase_add_test(tests, nobody_waits_for_what_was_given_up);
    tcase_add_test(tests, states_are_zeros_and_controls_not_ready);
    suite_add_tcase(suite, tests);
    return suite;
}
