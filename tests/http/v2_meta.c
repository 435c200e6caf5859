/* v2_meta.c - tests of http/v2_meta.c: every body is read back as JSON and looked into. */
#include "daemon.h"

#include "http/v2_meta.h"

#include <check.h>
#include <jansson.h>
#include <string.h>

static struct daemon host;

static void start(void)
{
    struct settings settings = daemon_settings();
    settings.server_id = "a \"name\"";
    daemon_start(&host, &settings, NULL);
}

static void end(void)
{
    ck_assert_int_eq(daemon_end(&host), 0);
}

static json_t *get(const char *path, int status)
{
    struct reply reply = daemon_get(&host, path);
    ck_assert_msg(reply.status == status, "%s: %d %s", path, reply.status, reply.body);
    ck_assert(reply_has_header(&reply, "Content-Type: application/json"));
    json_error_t error;
    json_t *read = json_loads(reply.body, 0, &error);
    ck_assert_msg(read != NULL, "%s: %s", path, error.text);
    return read;
}

static const char *text_of(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));
    return text ? text : "(none)";
}

START_TEST(the_server_tells_its_name_and_extensions)
{
    start();
    json_t *v2 = get("/v2", 200);
    ck_assert_str_eq(text_of(v2, "name"), "a \"name\"");
    ck_assert_str_eq(text_of(v2, "version"), percept_version());
    ck_assert(json_array_size(json_object_get(v2, "extensions")) > 0);
    json_decref(v2);
    end();
}
END_TEST

START_TEST(readiness_names_failed_models_with_their_reason)
{
    start();
    json_t *ready = get("/v2/health/ready", 200);
    ck_assert(json_is_true(json_object_get(ready, "live")));
    ck_assert(json_is_true(json_object_get(ready, "ready")));
    json_t *models = json_object_get(ready, "models");
    ck_assert_uint_eq(json_object_size(models), 1);
    ck_assert_str_eq(text_of(models, "broken"), "UNAVAILABLE");
    ck_assert(strncmp(text_of(json_object_get(ready, "reasons"), "broken"), "version 1: ", 11) == 0);
    json_decref(ready);
    end();
}
END_TEST

START_TEST(models_are_listed_by_name)
{
    start();
    json_t *list = get("/v2/models", 200);
    json_t *names = json_object_get(list, "models");
    ck_assert_uint_eq(json_array_size(names), 2);
    ck_assert_str_eq(json_string_value(json_array_get(names, 0)), "broken");
    ck_assert_str_eq(json_string_value(json_array_get(names, 1)), "relu");
    json_decref(list);
    end();
}
END_TEST

static void check_io(const json_t *model, const char *member, const char *name)
{
    const json_t *ios = json_object_get(model, member);
    ck_assert_uint_eq(json_array_size(ios), 1);
    const json_t *io = json_array_get(ios, 0);
    ck_assert_str_eq(text_of(io, "name"), name);
    ck_assert_str_eq(text_of(io, "datatype"), "FP32");
    const json_t *shape = json_object_get(io, "shape");
    ck_assert_uint_eq(json_array_size(shape), 2);
    ck_assert_int_eq(json_integer_value(json_array_get(shape, 0)), -1);
    ck_assert_int_eq(json_integer_value(json_array_get(shape, 1)), 2);
}

static const char *const model_paths[] = {"/v2/models/relu", "/v2/models/relu/", "/v2/models/relu/versions/1",
                                          "/v2/models/relu?x=1"};

START_TEST(a_model_tells_its_inputs_and_outputs)
{
    start();
    json_t *model = get(model_paths[_i], 200);
    ck_assert_str_eq(text_of(model, "name"), "relu");
    ck_assert_str_eq(text_of(model, "platform"), "onnx_onnxv1");
    const json_t *versions = json_object_get(model, "versions");
    ck_assert_uint_eq(json_array_size(versions), 1);
    ck_assert_str_eq(json_string_value(json_array_get(versions, 0)), "1");
    check_io(model, "inputs", "x");
    check_io(model, "outputs", "y");
    json_decref(model);
    end();
}
END_TEST

START_TEST(unknown_models_and_versions_are_404)
{
    start();
    json_t *error = get("/v2/models/none", 404);
    ck_assert_str_eq(text_of(error, "error"), "Request for unknown model: 'none' is not found");
    json_decref(error);
    error = get("/v2/models/relu/versions/99", 404);
    ck_assert_str_eq(text_of(error, "error"), "Request for unknown model: 'relu' version 99 is not found");
    json_decref(error);
    json_decref(get("/v2/models/none/ready", 404));
    json_decref(get("/v2/models/none/versions/2/ready", 404));
    json_decref(get("/nowhere", 404));
    end();
}
END_TEST

START_TEST(models_say_whether_they_are_ready)
{
    start();
    json_t *model = get("/v2/models/relu/ready", 200);
    ck_assert_str_eq(text_of(model, "name"), "relu");
    ck_assert(json_is_true(json_object_get(model, "ready")));
    json_decref(model);
    model = get("/v2/models/broken/ready", 503);
    ck_assert(json_is_false(json_object_get(model, "ready")));
    ck_assert_str_ne(text_of(model, "error"), "(none)");
    json_decref(model);
    json_decref(get("/v2/models/broken", 503));
    end();
}
END_TEST

START_TEST(every_datatype_has_its_name)
{
    ck_assert_str_eq(v2_meta_datatype(PERCEPT_FLOAT), "FP32");
    ck_assert_str_eq(v2_meta_datatype(PERCEPT_STRING), "BYTES");
    ck_assert_str_eq(v2_meta_datatype(PERCEPT_BOOL), "BOOL");
    ck_assert_str_eq(v2_meta_datatype(PERCEPT_UINT64), "UINT64");
    ck_assert_str_eq(v2_meta_datatype(PERCEPT_BFLOAT16), "BF16");
    for (int dtype = PERCEPT_FLOAT; dtype <= PERCEPT_UINT64; dtype++)
        ck_assert_str_ne(v2_meta_datatype((enum percept_dtype)dtype), "UNKNOWN");
}
END_TEST

Suite *http_v2_meta_suite(void)
{
    Suite *suite = suite_create("http/v2_meta");
    TCase *tcase = tcase_create("v2_meta");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, the_server_tells_its_name_and_extensions);
    tcase_add_test(tcase, readiness_names_failed_models_with_their_reason);
    tcase_add_test(tcase, models_are_listed_by_name);
    tcase_add_loop_test(tcase, a_model_tells_its_inputs_and_outputs, 0, sizeof model_paths / sizeof model_paths[0]);
    tcase_add_test(tcase, unknown_models_and_versions_are_404);
    tcase_add_test(tcase, models_say_whether_they_are_ready);
    tcase_add_test(tcase, every_datatype_has_its_name);
    suite_add_tcase(suite, tcase);
    return suite;
}
