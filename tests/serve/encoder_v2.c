/* encoder_v2.c - replies byte by byte. */
#include "base/err.h"
#include "fake_model.h"
#include "looks.h"
#include "serve/encoder.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

Suite *serve_encoder_v2_suite(void);

#define DIMS(...) ((const int64_t[]){__VA_ARGS__})

static struct fake_model *model(enum percept_dtype dtype)
{
    struct fake_model *fake = fake_model_new("m");
    fake_model_input(fake, "x", PERCEPT_FLOAT, 2, DIMS(-1, 1));
    fake_model_output(fake, "y", dtype, 2, DIMS(-1, 3));
    fake_model_output(fake, "n", PERCEPT_INT8, 1, DIMS(-1));
    fake_model_batching(fake, 8);
    return fake;
}

static struct job *begin(struct fake_model *fake, int n_outputs, int64_t n_items)
{
    struct job *job = fake_model_post(fake, "");
    ck_assert(codec_begin(job, false, &fake->err));
    job->n_outputs = n_outputs;
    job->n_items = n_items;
    return job;
}

/* The text, and a newline behind it. */
static void expect_reply(struct fake_model *fake, const struct percept_tensor *results, const char *text)
{
    ck_assert_msg(encoder_v2_write(&fake->job, results, &fake->err), "%s", fake->err.text);
    struct bytes reply = fake->job.reply;
    ck_assert_uint_gt(bytes_size(reply), 0);
    ck_assert_int_eq(*--reply.end, '\n');
    ck_assert_msg(bytes_is(reply, text), "got  %.*s\nnot  %s", (int)bytes_size(reply), (const char *)reply.at, text);
    ck_assert_int_eq(fake->job.reply_json_bytes, -1);
}

START_TEST(a_reply_is_compact_json)
{
    struct fake_model *fake = model(PERCEPT_FLOAT);
    float y[] = {0.1f, -2, (float)NAN, (float)INFINITY, 1e-7f, 3};
    int8_t n[] = {-128, 127};
    struct percept_tensor results[] = {{.dtype = PERCEPT_FLOAT, .rank = 2, .dims = {2, 3}, .data = y},
                                       {.dtype = PERCEPT_INT8, .rank = 1, .dims = {2}, .data = n}};
    struct job *job = begin(fake, 2, 2);
    job->has_id = true;
    job->id = bytes_of_text("a\"b\n\x01");
    expect_reply(fake, results,
                 "{\"id\":\"a\\\"b\\n\\u0001\",\"model_name\":\"m\",\"model_version\":\"1\",\"outputs\":["
                 "{\"name\":\"y\",\"datatype\":\"FP32\",\"shape\":[2,3],\"data\":"
                 "[0.1,-2.0,NaN,Infinity,1e-7,3.0]},"
                 "{\"name\":\"n\",\"datatype\":\"INT8\",\"shape\":[2],\"data\":[-128,127]}]}");
    fake_model_free(fake);
}
END_TEST

START_TEST(strings_are_escaped_and_always_utf8)
{
    struct fake_model *fake = model(PERCEPT_STRING);
    struct percept_string y[] = {{"\xc3\xa9/\\", 4},
                                 {"\xff"
                                  "a\xc3",
                                  3},
                                 {"\0", 1}};
    struct percept_tensor results[] = {{.dtype = PERCEPT_STRING, .rank = 2, .dims = {1, 3}, .data = y}};
    begin(fake, 1, 1);
    expect_reply(fake, results,
                 "{\"model_name\":\"m\",\"model_version\":\"1\",\"outputs\":[{\"name\":\"y\",\"datatype\":"
                 "\"BYTES\",\"shape\":[1,3],\"data\":[\"\xc3\xa9/\\\\\",\"\xef\xbf\xbd"
                 "a\xef\xbf\xbd\","
                 "\"\\u0000\"]}]}");
    fake_model_free(fake);
}
END_TEST

START_TEST(binary_outputs_follow_the_json)
{
    struct fake_model *fake = model(PERCEPT_FLOAT16);
    uint16_t y[] = {1, 2, 3};
    int8_t n[] = {5};
    struct percept_tensor results[] = {{.dtype = PERCEPT_FLOAT16, .rank = 2, .dims = {1, 3}, .data = y},
                                       {.dtype = PERCEPT_INT8, .rank = 1, .dims = {1}, .data = n}};
    struct job *job = begin(fake, 2, 1);
    ck_assert(!encoder_v2_write(job, results, &fake->err));
    ck_assert_str_eq(fake->err.text, "sending FP16 data via JSON is not supported. Please use the "
                                     "binary data format for output y");
    job->outputs[0].binary = true;
    ck_assert(encoder_v2_write(job, results, &fake->err));
    struct bytes json = {job->reply.at, job->reply.at + job->reply_json_bytes};
    ck_assert(bytes_is(json, "{\"model_name\":\"m\",\"model_version\":\"1\",\"outputs\":[{\"name\":\"y\","
                             "\"datatype\":\"FP16\",\"shape\":[1,3],\"parameters\":{"
                             "\"binary_data_size\":6}},{\"name\":\"n\",\"datatype\":\"INT8\",\"shape\":"
                             "[1],\"data\":[5]}]}"));
    ck_assert_int_eq(job->reply.end - json.end, 6);
    ck_assert(memcmp(json.end, y, 6) == 0);
    fake_model_free(fake);
}
END_TEST

static const char *const labels[] = {"cat", "dog"};

START_TEST(classification_replaces_an_output_by_its_best_classes)
{
    struct fake_model *fake = model(PERCEPT_FLOAT);
    fake->manifest.n_labels = 2;
    fake->manifest.labels = labels;
    float y[] = {0.25f, 0.5f, 0.75f, (float)NAN, 1, 1};
    int8_t n[] = {3, 4};
    struct percept_tensor results[] = {{.dtype = PERCEPT_FLOAT, .rank = 2, .dims = {2, 3}, .data = y},
                                       {.dtype = PERCEPT_INT8, .rank = 1, .dims = {2}, .data = n}};
    struct job *job = begin(fake, 2, 2);
    job->outputs[0].classification = 2;
    job->outputs[1].classification = 9;
    expect_reply(fake, results,
                 "{\"model_name\":\"m\",\"model_version\":\"1\",\"outputs\":[{\"name\":\"y\",\"datatype\":"
                 "\"BYTES\",\"shape\":[2,2],\"data\":[\"0.750000:2\",\"0.500000:1:dog\","
                 "\"1.000000:1:dog\",\"1.000000:2\"]},{\"name\":\"n\",\"datatype\":\"BYTES\",\"shape\":"
                 "[2,1],\"data\":[\"3:0:cat\",\"4:0:cat\"]}]}");
    fake_model_free(fake);
}
END_TEST

/* [3, 2]: three classes of each of two items. */
START_TEST(classes_are_each_items_wherever_the_batch_lies)
{
    struct fake_model *fake = model(PERCEPT_FLOAT);
    fake->outputs[0].batch_axis = 1;
    float y[] = {0.25f, 1, 0.5f, 2, 0.75f, 0.125f};
    struct percept_tensor results[] = {{.dtype = PERCEPT_FLOAT, .rank = 2, .dims = {3, 2}, .data = y}};
    begin(fake, 1, 2)->outputs[0].classification = 2;
    expect_reply(fake, results,
                 "{\"model_name\":\"m\",\"model_version\":\"1\",\"outputs\":[{\"name\":\"y\",\"datatype\":"
                 "\"BYTES\",\"shape\":[2,2],\"data\":[\"0.750000:2\",\"0.500000:1\",\"2.000000:1\",\"1.000000:0\"]}]}");
    fake_model_free(fake);
}
END_TEST

/* The file's own names of columns, where the manifest has none, or none for this output. */
START_TEST(a_models_own_labels_name_classes)
{
    static const char *const own[] = {"no", "yes", "maybe"};
    static const struct {
        int n_labels;
        const char *task_output, *want;
    } rows[] = {{0, NULL, "[\"0.750000:2:maybe\",\"0.500000:1:yes\"]"},
                {2, NULL, "[\"0.750000:2\",\"0.500000:1:dog\"]"},
                {2, "n", "[\"0.750000:2:maybe\",\"0.500000:1:yes\"]"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fake_model *fake = model(PERCEPT_FLOAT);
        fake->outputs[0].n_labels = 3;
        fake->outputs[0].labels = own;
        fake->manifest.n_labels = rows[i].n_labels;
        fake->manifest.labels = labels;
        fake->manifest.task_output = rows[i].task_output;
        float y[] = {0.25f, 0.5f, 0.75f};
        struct percept_tensor results[] = {{.dtype = PERCEPT_FLOAT, .rank = 2, .dims = {1, 3}, .data = y}};
        begin(fake, 1, 1)->outputs[0].classification = 2;
        char want[256];
        snprintf(want, sizeof want,
                 "{\"model_name\":\"m\",\"model_version\":\"1\",\"outputs\":[{\"name\":\"y\","
                 "\"datatype\":\"BYTES\",\"shape\":[1,2],\"data\":%s}]}",
                 rows[i].want);
        expect_reply(fake, results, want);
        fake_model_free(fake);
    }
}
END_TEST

START_TEST(a_classifying_task_adds_predictions)
{
    struct fake_model *fake = model(PERCEPT_FLOAT);
    fake->manifest.n_labels = 2;
    fake->manifest.labels = labels;
    fake->manifest.task = TASK_CLASSIFY;
    fake->manifest.task_output = "y";
    fake->manifest.top_k = 2;
    float y[] = {0.5f, 3, 1, 7, 6, 5};
    struct percept_tensor results[] = {{.dtype = PERCEPT_FLOAT, .rank = 2, .dims = {2, 3}, .data = y},
                                       {.dtype = PERCEPT_INT8}};
#define OUTPUTS                                                                                                        \
    "{\"model_name\":\"m\",\"model_version\":\"1\",\"outputs\":[{\"name\":\"y\",\"datatype\":"                         \
    "\"FP32\",\"shape\":[2,3],\"data\":[0.5,3.0,1.0,7.0,6.0,5.0]}]"
    begin(fake, 1, 2)->predictions = true;
    expect_reply(fake, results,
                 OUTPUTS ",\"predictions\":[[{\"label\":\"dog\",\"index\":1,\"score\":3.0},"
                         "{\"index\":2,\"score\":1.0}],[{\"label\":\"cat\",\"index\":0,\"score\":7.0},"
                         "{\"label\":\"dog\",\"index\":1,\"score\":6.0}]]}");
    begin(fake, 1, 2)->predictions = false;
    expect_reply(fake, results, OUTPUTS "}");
    begin(fake, 1, 2)->predictions = true;
    fake->manifest.task_output = "n";
    expect_reply(fake, results, OUTPUTS "}");
    fake_model_free(fake);
}
END_TEST

START_TEST(a_task_without_an_output_reads_the_only_one)
{
    struct fake_model *fake = fake_model_new("m");
    fake_model_input(fake, "x", PERCEPT_FLOAT, 2, DIMS(-1, 1));
    fake_model_output(fake, "y", PERCEPT_FLOAT, 2, DIMS(-1, 2));
    fake_model_batching(fake, 8);
    fake->manifest.task = TASK_CLASSIFY;
    fake->manifest.top_k = 1;
    float y[] = {1, 2};
    struct percept_tensor results[] = {{.dtype = PERCEPT_FLOAT, .rank = 2, .dims = {1, 2}, .data = y}};
    begin(fake, 1, 1)->predictions = true;
    expect_reply(fake, results,
                 "{\"model_name\":\"m\",\"model_version\":\"1\",\"outputs\":[{\"name\":\"y\","
                 "\"datatype\":\"FP32\",\"shape\":[1,2],\"data\":[1.0,2.0]}],"
                 "\"predictions\":[[{\"index\":1,\"score\":2.0}]]}");
    fake_model_free(fake);
}
END_TEST

START_TEST(large_replies_are_whole)
{
    struct fake_model *fake = model(PERCEPT_DOUBLE);
    enum { N = 20000 };
    static double y[N];
    for (int i = 0; i < N; i++)
        y[i] = i / 7.0e9;
    struct percept_tensor results[] = {{.dtype = PERCEPT_DOUBLE, .rank = 2, .dims = {1, N}, .data = y}};
    struct job *job = begin(fake, 1, 1);
    ck_assert(encoder_v2_write(job, results, &fake->err));
    int commas = 0;
    for (const uint8_t *at = job->reply.at; at < job->reply.end; at++)
        commas += *at == ',';
    ck_assert_int_eq(commas, N - 1 + 6);
    for (size_t i = 1; i < 3; i++) {
        job = begin(fake, 1, 1);
        fake->arena.limit_bytes = fake->arena.used_bytes + 1000 * i;
        ck_assert(!encoder_v2_write(job, results, &fake->err));
        ck_assert_int_eq(fake->err.code, ERR_MEMORY);
        fake->arena.limit_bytes = 0;
    }
    fake_model_free(fake);
}
END_TEST

/* Against sorting: equal values, NaN and both infinities among them. */
START_TEST(the_best_classes_are_the_sorted_ones)
{
    enum { N = 301 };
    static float y[N];
    for (int i = 0; i < N; i++)
        y[i] = i % 41 == 0 ? (float)NAN : (float)(i * 7919 % 97) / 8;
    y[17] = (float)INFINITY;
    y[18] = -(float)INFINITY;
    int order[N];
    for (int i = 0; i < N; i++) { /* by insertion */
        int at = i;
        for (; at > 0; at--) {
            float a = y[order[at - 1]], b = y[i];
            if (!(isnan(a) && !isnan(b)) && !(b > a))
                break;
            order[at] = order[at - 1];
        }
        order[at] = i;
    }
    for (int k = 1; k <= N; k += 43) {
        struct fake_model *fake = fake_model_new("m");
        fake_model_input(fake, "x", PERCEPT_FLOAT, 2, DIMS(-1, 1));
        fake_model_output(fake, "y", PERCEPT_FLOAT, 1, DIMS(N));
        struct percept_tensor results[] = {{.dtype = PERCEPT_FLOAT, .rank = 1, .dims = {N}, .data = y}};
        struct job *job = begin(fake, 1, 1);
        job->outputs[0].classification = k;
        ck_assert_msg(encoder_v2_write(job, results, &fake->err), "%s", fake->err.text);
        const char *at = strstr((const char *)job->reply.at, "\"data\":[");
        for (int i = 0; i < k; i++) {
            at = strchr(at, ':') + 1;
            at = i ? at : strchr(at, ':') + 1;
            ck_assert_int_eq(atoi(at), order[i]);
            at = strchr(at, '"') + 1;
        }
        fake_model_free(fake);
    }
}
END_TEST

/* As JSON, as bytes, as classes, with predictions. */
START_TEST(nobody_writes_for_nobody)
{
    enum { N = 900000 };
    float *y = calloc(N, sizeof *y);
    for (int kind = 0; kind < 4; kind++)
        for (int over = 0; over < 4; over++) {
            struct fake_model *fake = fake_model_new("m");
            fake_model_input(fake, "x", PERCEPT_FLOAT, 2, DIMS(-1, 1));
            fake_model_output(fake, "y", PERCEPT_FLOAT, 1, DIMS(N));
            struct percept_tensor results[] = {{.dtype = PERCEPT_FLOAT, .rank = 1, .dims = {N}, .data = y}};
            struct job *job = begin(fake, 1, 1);
            job->outputs[0].binary = kind == 1 || kind == 3;
            job->outputs[0].classification = kind == 2 ? 100000 : 0;
            if (kind == 3) {
                job->predictions = true;
                fake->manifest.task = TASK_CLASSIFY;
                fake->manifest.top_k = 3;
            }
            job->watch = looks_until(over);
            ck_assert(!encoder_v2_write(job, results, &fake->err));
            ck_assert_str_eq(err_name(fake->err.code), "TIMEOUT");
            ck_assert_int_eq(looks_seen(), over + 1);
            ck_assert(!bytes_size(job->reply));
            fake_model_free(fake);
        }
    free(y);
}
END_TEST

Suite *serve_encoder_v2_suite(void)
{
    Suite *suite = suite_create("serve_encoder_v2");
    TCase *tests = tcase_create("encoder_v2");
    tcase_set_timeout(tests, 60); /* megabytes, also under sanitizers */
    tcase_add_test(tests, a_reply_is_compact_json);
    tcase_add_test(tests, strings_are_escaped_and_always_utf8);
    tcase_add_test(tests, binary_outputs_follow_the_json);
    tcase_add_test(tests, classes_are_each_items_wherever_the_batch_lies);
    tcase_add_test(tests, a_models_own_labels_name_classes);
    tcase_add_test(tests, classification_replaces_an_output_by_its_best_classes);
    tcase_add_test(tests, a_classifying_task_adds_predictions);
    tcase_add_test(tests, a_task_without_an_output_reads_the_only_one);
    tcase_add_test(tests, large_replies_are_whole);
    tcase_add_test(tests, the_best_classes_are_the_sorted_ones);
    tcase_add_test(tests, nobody_writes_for_nobody);
    suite_add_tcase(suite, tests);
    return suite;
}
