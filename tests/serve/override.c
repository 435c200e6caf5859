/* override.c - what a request to load a model may say, and what it may not. */
#include "serve/override.h"

#include "base/err.h"
#include "serve/triton_config.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

Suite *serve_override_suite(void);

static struct override override;
static struct percept_err err;

static bool read_text(const char *text)
{
    err = (struct percept_err){0};
    return override_read(&override, "net", bytes_of_text(text), &err);
}

static const struct {
    const char *text;
    bool has_config;
    int max_batch_size, max_queue_delay_us;
} good[] = {
    {"", false, -1, -1},
    {"{}", false, -1, -1},
    {"{\"parameters\":{}}", false, -1, -1},
    {"{\"parameters\":{\"config\":\"{}\"}}", true, -1, -1},
    {"{\"parameters\":{\"config\":\"{\\\"max_batch_size\\\":\\\"16\\\"}\"}}", true, 16, -1},
    {"{\"parameters\":{\"config\":\"{\\\"max_batch_size\\\":16}\"}}", true, 16, -1},
    {"{\"parameters\":{\"config\":\"{\\\"max_batch_size\\\":0,\\\"name\\\":\\\"net\\\"}\"}}", true, 0, -1},
    {"{\"parameters\":{\"config\":\"{\\\"dynamic_batching\\\":{\\\"max_queue_delay_microseconds\\\":\\\"100\\\","
     "\\\"preferred_batch_size\\\":[4]},\\\"backend\\\":\\\"onnxruntime\\\"}\"}}",
     true, -1, 100},
    {"{\"parameters\":{\"config\":\"{\\\"batch_input\\\":[],\\\"sequence_batching\\\":{}}\"}}", true, -1, -1},
    {"{\"parameters\":{\"config\":\"{\\\"model_warmup\\\":[{}],\\\"model_transaction_policy\\\":{}}\"}}", true, -1, -1},
    {"{\"id\":\"x\",\"parameters\":{\"config\":null}}", false, -1, -1},
};

START_TEST(what_can_be_meant_is_read)
{
    ck_assert_msg(read_text(good[_i].text), "%s", err.text);
    ck_assert_int_eq(override.has_config, good[_i].has_config);
    ck_assert_int_eq(override.max_batch_size, good[_i].max_batch_size);
    ck_assert_int_eq(override.max_queue_delay_us, good[_i].max_queue_delay_us);
    override_free(&override);
}
END_TEST

#define CONFIG(text) "{\"parameters\":{\"config\":\"" text "\"}}"
#define FILES(text) "{\"parameters\":{\"config\":\"{}\",\"file:" text "}}"

static const struct {
    const char *text, *says;
} bad[] = {
    {"[]", "expected an object"},
    {"{\"parameters\":[]}", "expected an object"},
    {"{\"parameters\":{\"config\":{}}}", "config"},
    {"{\"parameters\":{\"confg\":\"{}\"}}", "unknown parameter 'confg'"},
    {"{\"parameters\":{\"config\":\"{}\",\"config\":\"{}\"}}", "config"},
    {"{\"parameters\":{\"config\":\"{}\"}} x", "found 'x'"},
    {CONFIG("max_batch_size: 4"), "config: "},
    {CONFIG(""), "config: "},
    {CONFIG("{\\\"max_batch_size\\\":\\\"4x\\\"}"), "max_batch_size: expected a whole number"},
    {CONFIG("{\\\"max_batch_size\\\":\\\"\\\"}"), "max_batch_size: expected a whole number"},
    {CONFIG("{\\\"max_batch_size\\\":\\\"9999999999999999999999\\\"}"), "max_batch_size: expected a whole number"},
    {CONFIG("{\\\"max_batch_size\\\":5000}"), "at most 4096"},
    {CONFIG("{\\\"max_batch_size\\\":-1}"), "max_batch_size"},
    {CONFIG("{\\\"dynamic_batching\\\":[]}"), "expected an object"},
    {CONFIG("{\\\"max_bach_size\\\":1}"), "'max_bach_size' is no field"},
    {CONFIG("{\\\"name \\\":1}"), "'name ' is no field of a ModelConfig"},
    {CONFIG("{\\\"num_versions\\\":1}"), "'num_versions' is no field of a ModelConfig"},
    {CONFIG("{\\\"dynamic_batching\\\":{\\\"max_delay\\\":1}}"), "'max_delay' is no field of a ModelDynamicBatching"},
    {CONFIG("{\\\"batch_input\\\":[{}]}"), "batch_input is not served"},
    {CONFIG("{\\\"sequence_batching\\\":{\\\"direct\\\":{}}}"), "sequence_batching is not served"},
    {CONFIG("{\\\"ensemble_scheduling\\\":{\\\"step\\\":[]}}"), "ensemble_scheduling is not served"},
    {CONFIG("{\\\"batch_output\\\":[{}]}"), "batch_output is not served"},
    {CONFIG("{\\\"name\\\":\\\"other\\\"}"), "its name is 'other'"},
    {"{\"parameters\":{\"file:1/model.onnx\":\"AAAA\"}}", "without 'config'"},
    {FILES("model.onnx\":\"AAAA\""), "file:VERSION/model.onnx"},
    {FILES("0/model.onnx\":\"AAAA\""), "file:VERSION/model.onnx"},
    {FILES("01/model.onnx\":\"AAAA\""), "file:VERSION/model.onnx"},
    {FILES("1:/model.onnx\":\"AAAA\""), "file:VERSION/model.onnx"},
    {FILES("1/../../model.onnx\":\"AAAA\""), "file:VERSION/model.onnx"},
    {FILES("9999999999999999999/model.onnx\":\"AAAA\""), "file:VERSION/model.onnx"},
    {FILES("1/labels.txt\":\"AAAA\""), "file:VERSION/model.onnx"},
    {FILES("1/model.onnx\":3"), "a file"},
    {FILES("1/model.onnx\":\"AAA\""), "not base64"},
    {FILES("1/model.onnx\":\"A===\""), "not base64"},
    {FILES("1/model.onnx\":\"AA=A\""), "not base64"},
    {FILES("1/model.onnx\":\"AA-_\""), "not base64"},
};

START_TEST(what_cannot_be_meant_has_a_sentence)
{
    ck_assert(!read_text(bad[_i].text));
    ck_assert_int_lt(err_status(err.code), 500);
    ck_assert_msg(strstr(err.text, bad[_i].says) != NULL, "%s: %s", bad[_i].text, err.text);
    override_free(&override);
}
END_TEST

static const struct {
    const char *base64, *bytes;
} pairs[] = {{"", ""},        {"Zg==", "f"},          {"Zm8=", "fo"},
             {"Zm9v", "foo"}, {"Zm9vYmFy", "foobar"}, {"+/+/", "\xfb\xff\xbf"}};

/* Every field of a configuration can be sent, as what says nothing at least. */
START_TEST(what_config_pbtxt_may_have_can_be_sent)
{
    const char *message, *field;
    bool served;
    int n_fields = 0;
    for (int i = 0; triton_config_row(i, &message, &field, &served); i++) {
        char text[200];
        if (strcmp(message, "ModelConfig") != 0)
            continue;
        n_fields++;
        snprintf(text, sizeof text, CONFIG("{\\\"%s\\\":%s}"), field,
                 strcmp(field, "name") == 0             ? "\\\"net\\\""
                 : strcmp(field, "max_batch_size") == 0 ? "1"
                                                        : "{}");
        ck_assert_msg(read_text(text), "%s: %s", text, err.text);
        override_free(&override);
    }
    ck_assert_int_ge(n_fields, 25);
}
END_TEST

START_TEST(files_are_decoded)
{
    char text[200];
    snprintf(text, sizeof text, FILES("1290/model.onnx\":\"%s\""), pairs[_i].base64);
    ck_assert_msg(read_text(text), "%s", err.text);
    ck_assert_ptr_nonnull(override.files);
    ck_assert_int_eq(override.files->version, 1290);
    ck_assert(bytes_is(override.files->bytes, pairs[_i].bytes));
    ck_assert_ptr_null(override.files->next);
    override_free(&override);
}
END_TEST

START_TEST(memory_that_is_short_is_told)
{
    bool read = false;
    for (size_t nth = 1; !read; nth++) {
        ck_assert_uint_lt(nth, 50);
        arena_fail_at(nth, false);
        read = read_text(FILES("1/model.onnx\":\"Zm9v\""));
        arena_fail_at(0, false);
        ck_assert(read || err.code);
        override_free(&override);
    }
}
END_TEST

Suite *serve_override_suite(void)
{
    Suite *suite = suite_create("serve/override");
    TCase *tests = tcase_create("override");
    tcase_add_loop_test(tests, what_can_be_meant_is_read, 0, sizeof good / sizeof *good);
    tcase_add_loop_test(tests, what_cannot_be_meant_has_a_sentence, 0, sizeof bad / sizeof *bad);
    tcase_add_test(tests, what_config_pbtxt_may_have_can_be_sent);
    tcase_add_loop_test(tests, files_are_decoded, 0, sizeof pairs / sizeof *pairs);
    tcase_add_test(tests, memory_that_is_short_is_told);
    suite_add_tcase(suite, tests);
    return suite;
}
