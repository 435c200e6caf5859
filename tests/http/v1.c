/* v1.c - tests of http/v1.c: TensorFlow Serving's and KServe's clients find what they look for. Bodies are the codec's
 * matter, several versions and labels tests/serve's. */
#include "daemon.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static struct daemon host;

static void start(void)
{
    daemon_start(&host, NULL, NULL);
}

static void end(void)
{
    ck_assert_int_eq(daemon_end(&host), 0);
}

static const struct {
    const char *body, *reply;
} predicted[] = {
    {"{\"instances\":[[-1,2],[3,NaN]]}", "{\"predictions\":[[0.0,2.0],[3.0,NaN]]}\n"},
    {"{\"signature_name\":\"serving_default\",\"instances\":[{\"x\":[-1,2]}]}", "{\"predictions\":[[0.0,2.0]]}\n"},
    {"{\"inputs\":[[-1,2]]}", "{\"outputs\":[[0.0,2.0]]}\n"},
    {"{\"inputs\":{\"x\":[[-1,Infinity]]}}", "{\"outputs\":[[0.0,Infinity]]}\n"},
};

static const char *const predict_paths[] = {"/v1/models/relu:predict", "/v1/models/relu/versions/1:predict"};

START_TEST(predictions_come_in_the_form_of_the_request)
{
    start();
    for (size_t i = 0; i < sizeof predicted / sizeof *predicted; i++) {
        struct reply reply =
            daemon_ask(&host, "POST", predict_paths[_i], "Content-Type: image/png\r\n", predicted[i].body);
        ck_assert_msg(reply.status == 200, "%d %s", reply.status, reply.body);
        ck_assert_str_eq(reply.body, predicted[i].reply);
        ck_assert(reply_has_header(&reply, "Content-Type: application/json"));
    }
    end();
}
END_TEST

static const struct {
    const char *method, *path, *body;
    int status;
    const char *says;
} refused[] = {
    {"POST", "/v1/models/none:predict", "{\"instances\":[1]}", 404, "Request for unknown model: 'none' is not found"},
    {"POST", "/v1/models/relu/versions/9:predict", "{}", 404, "'relu' version 9 is not found"},
    {"POST", "/v1/models/relu/labels/stable:predict", "{}", 404, "'relu' label 'stable' is not found"},
    {"POST", "/v1/models/broken:predict", "{}", 503, "is not at ready state"},
    {"POST", "/v1/models/relu:predict", "{\"instances\":[[1]]}", 400, "unexpected shape for input 'x'"},
    {"POST", "/v1/models/relu:predict", "", 400, "failed to parse the request JSON"},
    {"POST", "/v1/models/relu:classify", "{}", 501, ":classify is not served"},
    {"POST", "/v1/models/relu/versions/1:regress", "{}", 501, ":regress is not served"},
    {"POST", "/v1/models/relu:explain", "{}", 501, ":explain is not served"},
    {"GET", "/v1/models/relu:predict", "", 405, "this path takes POST"},
    {"GET", "/v1/models/none", "", 404, "Request for unknown model: 'none' is not found"},
    {"GET", "/v1/models/relu/labels/stable", "", 404, "'relu' label 'stable' is not found"},
    {"GET", "/v1/models/none/metadata", "", 404, "'none' is not found"},
    {"GET", "/v1/models/broken/metadata", "", 503, "is not at ready state"},
};

START_TEST(errors_are_json_with_a_sentence)
{
    start();
    struct reply reply = daemon_ask(&host, refused[_i].method, refused[_i].path, "", refused[_i].body);
    ck_assert_msg(reply.status == refused[_i].status, "%d %s", reply.status, reply.body);
    ck_assert_msg(strncmp(reply.body, "{\"error\":\"", 10) == 0 && reply_has(&reply, refused[_i].says), "%s",
                  reply.body);
    end();
}
END_TEST

/* V2 says 503 to both of what V1 has 504 for. */
START_TEST(what_took_too_long_is_504)
{
    struct settings settings = daemon_settings();
    settings.max_queue_delay_us = 10000000;
    settings.default_timeout_us = 20000;
    daemon_start(&host, &settings, NULL);
    struct reply reply = daemon_ask(&host, "POST", "/v1/models/relu:predict", "", "{\"instances\":[[1,2]]}");
    ck_assert_int_eq(reply.status, 504);
    ck_assert_str_eq(reply.body, "{\"error\":\"Request timeout expired\"}\n");
    ck_assert_int_eq(daemon_ask(&host, "POST", RELU_PATH, "", RELU_BODY).status, 503);
    end();
}
END_TEST

START_TEST(the_status_has_the_members_of_both_protocols)
{
    start();
    struct reply reply = daemon_get(&host, "/v1/models/relu");
    ck_assert_int_eq(reply.status, 200);
    ck_assert_str_eq(reply.body,
                     "{\"model_version_status\":[{\"version\":\"1\",\"state\":\"AVAILABLE\",\"status\":"
                     "{\"error_code\":\"OK\",\"error_message\":\"\"}}],\"name\":\"relu\",\"ready\":true}\n");
    ck_assert_int_eq(daemon_get(&host, "/v1/models/relu/versions/1").status, 200);
    ck_assert_int_eq(daemon_get(&host, "/v1/models/relu/versions/2").status, 404);
    reply = daemon_get(&host, "/v1/models/broken");
    ck_assert_int_eq(reply.status, 503);
    json_t *read = json_loads(reply.body, 0, NULL);
    const json_t *status = json_array_get(json_object_get(read, "model_version_status"), 0);
    ck_assert_str_eq(json_string_value(json_object_get(status, "state")), "END");
    status = json_object_get(status, "status");
    ck_assert_str_eq(json_string_value(json_object_get(status, "error_code")), "INTERNAL");
    ck_assert(strstr(json_string_value(json_object_get(status, "error_message")), "broken/model.onnx") != NULL);
    ck_assert(json_is_false(json_object_get(read, "ready")));
    json_decref(read);
    reply = daemon_get(&host, "/v1/models");
    ck_assert_str_eq(reply.body, "{\"models\":[\"broken\",\"relu\"]}\n");
    end();
}
END_TEST

START_TEST(the_metadata_are_a_signature)
{
    start();
    struct reply reply = daemon_get(&host, "/v1/models/relu/metadata");
    ck_assert_int_eq(reply.status, 200);
#define IO(name)                                                                                                       \
    "{\"" name "\":{\"dtype\":\"DT_FLOAT\",\"tensor_shape\":{\"dim\":[{\"size\":\"-1\",\"name\":\"N\"},"               \
    "{\"size\":\"2\",\"name\":\"\"}],\"unknown_rank\":false},\"name\":\"" name "\"}}"
    ck_assert_str_eq(reply.body,
                     "{\"model_spec\":{\"name\":\"relu\",\"signature_name\":\"\",\"version\":\"1\"},"
                     "\"metadata\":{\"signature_def\":{\"signature_def\":{\"serving_default\":{\"inputs\":" IO(
                         "x") ",\"outputs\":" IO("y") ",\"method_name\":\"tensorflow/serving/predict\"}}}}}\n");
    end();
}
END_TEST

Suite *http_v1_suite(void);

Suite *http_v1_suite(void)
{
    Suite *suite = suite_create("http/v1");
    TCase *tcase = tcase_create("v1");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, predictions_come_in_the_form_of_the_request, 0,
                        sizeof predict_paths / sizeof *predict_paths);
    tcase_add_loop_test(tcase, errors_are_json_with_a_sentence, 0, sizeof refused / sizeof *refused);
    tcase_add_test(tcase, what_took_too_long_is_504);
    tcase_add_test(tcase, the_status_has_the_members_of_both_protocols);
    tcase_add_test(tcase, the_metadata_are_a_signature);
    suite_add_tcase(suite, tcase);
    return suite;
}
