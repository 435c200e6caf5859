/* encoder_v1.c - V1's replies byte by byte. */
#include "base/err.h"
#include "fake_model.h"
#include "looks.h"
#include "serve/encoder.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

Suite *serve_encoder_v1_suite(void);

#define DIMS(...) ((const int64_t[]){__VA_ARGS__})

static float y[] = {0.1f, -2, (float)NAN, (float)INFINITY, 1e-7f, 3};
static int8_t n8[] = {-128, 127};
static struct percept_string t[] = {{"a\"", 2}, {"\xff", 1}};
static struct percept_tensor results[] = {{.dtype = PERCEPT_FLOAT, .rank = 2, .dims = {2, 3}, .data = y},
                                          {.dtype = PERCEPT_INT8, .rank = 1, .dims = {2}, .data = n8},
                                          {.dtype = PERCEPT_STRING, .rank = 1, .dims = {2}, .data = t},
                                          {.dtype = PERCEPT_STRING, .rank = 1, .dims = {2}, .data = t}};

/* Outputs y [-1,3], n [-1], t [-1], t_bytes [-1]; those that `wanted` has by their number. */
static struct fake_model *model(const char *wanted, int64_t n_rows)
{
    struct fake_model *fake = fake_model_new("m");
    fake_model_input(fake, "x", PERCEPT_FLOAT, 2, DIMS(-1, 1));
    fake_model_output(fake, "y", PERCEPT_FLOAT, 2, DIMS(-1, 3));
    fake_model_output(fake, "n", PERCEPT_INT8, 1, DIMS(-1));
    fake_model_output(fake, "t", PERCEPT_STRING, 1, DIMS(-1));
    fake_model_output(fake, "t_bytes", PERCEPT_STRING, 1, DIMS(-1));
    struct job *job = fake_model_post(fake, "");
    ck_assert(codec_begin(job, false, &fake->err));
    job->n_outputs = 0;
    for (; *wanted; wanted++)
        job->outputs[job->n_outputs++] = (struct job_output){.index = *wanted - '0'};
    job->n_items = n_rows ? n_rows : 1;
    job->n_rows = n_rows;
    job->codec = codec_v1();
    return fake;
}

static const struct {
    const char *outputs;
    int64_t n_rows;
    const char *reply;
} rows[] = {
    {"0", 2, "{\"predictions\":[[0.1,-2.0,NaN],[Infinity,1e-7,3.0]]}\n"},
    {"0", 0, "{\"outputs\":[[0.1,-2.0,NaN],[Infinity,1e-7,3.0]]}\n"},
    {"1", 2, "{\"predictions\":[-128,127]}\n"},
    {"1", 0, "{\"outputs\":[-128,127]}\n"},
    {"10", 2, "{\"predictions\":[{\"n\":-128,\"y\":[0.1,-2.0,NaN]},{\"n\":127,\"y\":[Infinity,1e-7,3.0]}]}\n"},
    {"01", 0, "{\"outputs\":{\"y\":[[0.1,-2.0,NaN],[Infinity,1e-7,3.0]],\"n\":[-128,127]}}\n"},
    {"2", 2, "{\"predictions\":[\"a\\\"\",\"\xef\xbf\xbd\"]}\n"},
    {"3", 2, "{\"predictions\":[{\"b64\":\"YSI=\"},{\"b64\":\"/w==\"}]}\n"},
    {"3", 0, "{\"outputs\":[{\"b64\":\"YSI=\"},{\"b64\":\"/w==\"}]}\n"},
};

START_TEST(a_reply_is_in_rows_or_columns)
{
    struct fake_model *fake = model(rows[_i].outputs, rows[_i].n_rows);
    ck_assert_msg(encoder_v1_write(&fake->job, results, &fake->err), "%s", fake->err.text);
    ck_assert_msg(bytes_is(fake->job.reply, rows[_i].reply), "got %.*s", (int)bytes_size(fake->job.reply),
                  (const char *)fake->job.reply.at);
    ck_assert_int_eq(fake->job.reply_json_bytes, -1);
    fake_model_free(fake);
}
END_TEST

static float six[] = {1, 2, 3, 4, 5, 6};

static const struct {
    struct percept_tensor tensor;
    int64_t n_rows;
    const char *reply; /* NULL: refused */
} shapes[] = {
    {{.dtype = PERCEPT_FLOAT, .rank = 0, .data = six}, 0, "{\"outputs\":1.0}\n"},
    {{.dtype = PERCEPT_FLOAT, .rank = 3, .dims = {1, 3, 2}, .data = six},
     1,
     "{\"predictions\":[[[1.0,2.0],[3.0,4.0],[5.0,6.0]]]}\n"},
    {{.dtype = PERCEPT_FLOAT, .rank = 3, .dims = {3, 1, 2}, .data = six},
     3,
     "{\"predictions\":[[[1.0,2.0]],[[3.0,4.0]],[[5.0,6.0]]]}\n"},
    {{.dtype = PERCEPT_FLOAT, .rank = 1, .dims = {0}, .data = six}, 0, "{\"outputs\":[]}\n"},
    {{.dtype = PERCEPT_FLOAT, .rank = 2, .dims = {2, 0}, .data = six}, 2, "{\"predictions\":[[],[]]}\n"},
    {{.dtype = PERCEPT_FLOAT, .rank = 3, .dims = {0, 1000000000, 0}, .data = six}, 0, "{\"outputs\":[]}\n"},
    {{.dtype = PERCEPT_FLOAT, .rank = 2, .dims = {1000000000, 0}, .data = six}, 0, NULL},
    {{.dtype = PERCEPT_FLOAT, .rank = 3, .dims = {INT64_MAX, INT64_MAX, 0}, .data = six}, 0, NULL},
    {{.dtype = PERCEPT_FLOAT, .rank = 0, .data = six}, 1, NULL},
    {{.dtype = PERCEPT_FLOAT, .rank = 1, .dims = {6}, .data = six}, 2, NULL},
    {{.dtype = PERCEPT_FLOAT16, .rank = 1, .dims = {2}, .data = six}, 0, NULL},
};

START_TEST(lists_are_nested_as_axes_are)
{
    struct fake_model *fake = model("0", shapes[_i].n_rows);
    bool written = encoder_v1_write(&fake->job, &shapes[_i].tensor, &fake->err);
    ck_assert_msg(written == (shapes[_i].reply != NULL), "%s", fake->err.text);
    if (written)
        ck_assert_msg(bytes_is(fake->job.reply, shapes[_i].reply), "got %.*s", (int)bytes_size(fake->job.reply),
                      (const char *)fake->job.reply.at);
    else
        ck_assert_int_eq(fake->err.code, ERR_INVALID);
    fake_model_free(fake);
}
END_TEST

/* Written in pieces, which show no seams. */
START_TEST(long_texts_are_written_whole)
{
    enum { N = 100000 };
    static char text[N];
    for (size_t i = 0; i < N; i++)
        text[i] = "abcdef"[i % 6];
    struct percept_string one = {text, N};
    struct percept_tensor tensors[4] = {{0}};
    tensors[3] = (struct percept_tensor){.dtype = PERCEPT_STRING, .rank = 0, .data = &one};
    struct fake_model *fake = model("3", 0);
    ck_assert_msg(encoder_v1_write(&fake->job, tensors, &fake->err), "%s", fake->err.text);
    const char *at = (const char *)fake->job.reply.at + strlen("{\"outputs\":{\"b64\":\"");
    for (size_t i = 0; i < N / 6; i++)
        ck_assert_int_eq(memcmp(at + 8 * i, "YWJjZGVm", 8), 0);
    ck_assert_int_eq(memcmp(at + N / 6 * 8, "YWJjZA==\"}}\n", 12), 0);
    fake_model_free(fake);
}
END_TEST

static struct fake_model *watched;
static struct percept_tensor large;

static bool write_watched(void)
{
    watched->err = (struct percept_err){0};
    return encoder_v1_write(&watched->job, &large, &watched->err);
}

START_TEST(writing_ends_when_nobody_waits)
{
    static float many[300000];
    large = (struct percept_tensor){.dtype = PERCEPT_FLOAT, .rank = 2, .dims = {3, 100000}, .data = many};
    watched = model("0", 3);
    looks_end_it(&watched->job.watch, write_watched, &watched->err.code);
    fake_model_free(watched);
}
END_TEST

START_TEST(only_requests_of_v1_are_answered_so)
{
    struct fake_model *fake = model("0", 0);
    ck_assert(encoder_v1_fits(&fake->job));
    fake->job.codec = NULL;
    ck_assert(!encoder_v1_fits(&fake->job));
    ck_assert_str_eq(encoder_v1()->name, "v1_json");
    ck_assert_ptr_eq(encoder_find(NULL, bytes_of_text("application/json")), encoder_row(0));
    fake_model_free(fake);
}
END_TEST

Suite *serve_encoder_v1_suite(void)
{
    Suite *suite = suite_create("serve/encoder_v1");
    TCase *tests = tcase_create("encoder_v1");
    tcase_add_loop_test(tests, a_reply_is_in_rows_or_columns, 0, sizeof rows / sizeof *rows);
    tcase_add_loop_test(tests, lists_are_nested_as_axes_are, 0, sizeof shapes / sizeof *shapes);
    tcase_add_test(tests, long_texts_are_written_whole);
    tcase_add_test(tests, writing_ends_when_nobody_waits);
    tcase_add_test(tests, only_requests_of_v1_are_answered_so);
    suite_add_tcase(suite, tests);
    return suite;
}
