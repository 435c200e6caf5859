/* v2_config.c - tests of http/v2_config.c: what its readers look for is there, and is what holds. The batch on another
 * axis, pictures and warm-up are in tests/daemon/contract.c, whose models have them. */
#include "daemon.h"

#include <check.h>
#include <jansson.h>
#include <string.h>

static struct daemon host;

static json_t *get(const char *path, int status)
{
    struct reply reply = daemon_get(&host, path);
    ck_assert_msg(reply.status == status, "%s: %d %s", path, reply.status, reply.body);
    json_t *read = json_loads(reply.body, 0, NULL);
    ck_assert_msg(read != NULL, "%s: %s", path, reply.body);
    return read;
}

static const char *text_of(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));
    return text ? text : "(none)";
}

static void check_io(const json_t *io, const char *name)
{
    const json_t *dims = json_object_get(io, "dims");
    ck_assert_str_eq(text_of(io, "name"), name);
    ck_assert_str_eq(text_of(io, "data_type"), "TYPE_FP32");
    ck_assert_uint_eq(json_array_size(dims), 1);
    ck_assert_int_eq(json_integer_value(json_array_get(dims, 0)), 2);
    ck_assert(json_is_false(json_object_get(io, "is_shape_tensor")));
}

static void check_batching(const json_t *config, const struct settings *settings)
{
    const json_t *batching = json_object_get(config, "dynamic_batching");
    const json_t *policy = json_object_get(batching, "default_queue_policy");
    ck_assert_int_eq(json_integer_value(json_object_get(batching, "max_queue_delay_microseconds")),
                     settings->max_queue_delay_us);
    ck_assert_int_eq(json_integer_value(json_object_get(policy, "default_timeout_microseconds")),
                     settings->default_timeout_us);
    ck_assert_int_eq(json_integer_value(json_object_get(policy, "max_queue_size")), settings->max_queue_size);
}

static const char *const paths[] = {"/v2/models/relu/config", "/v2/models/relu/versions/1/config"};

START_TEST(a_configuration_says_what_holds)
{
    struct settings settings = daemon_settings();
    settings.max_queue_delay_us = 70;
    settings.default_timeout_us = 9000000;
    daemon_start(&host, &settings, NULL);
    json_t *config = get(paths[_i], 200);
    ck_assert_str_eq(text_of(config, "name"), "relu");
    ck_assert_int_eq(json_integer_value(json_object_get(config, "max_batch_size")), 8);
    check_io(json_array_get(json_object_get(config, "input"), 0), "x");
    check_io(json_array_get(json_object_get(config, "output"), 0), "y");
    ck_assert_str_eq(text_of(json_array_get(json_object_get(config, "input"), 0), "format"), "FORMAT_NONE");
    check_batching(config, &settings);
    const json_t *group = json_array_get(json_object_get(config, "instance_group"), 0);
    ck_assert_str_eq(text_of(group, "kind"), "KIND_CPU");
    ck_assert_int_eq(json_integer_value(json_object_get(group, "count")), settings.workers);
    ck_assert_str_eq(text_of(config, "default_model_filename"), "model.onnx");
    ck_assert(json_is_false(json_object_get(json_object_get(config, "model_transaction_policy"), "decoupled")));
    /* their presence alone would say that the model is one of these */
    ck_assert_ptr_null(json_object_get(config, "sequence_batching"));
    ck_assert_ptr_null(json_object_get(config, "ensemble_scheduling"));
    ck_assert_ptr_null(json_object_get(config, "response_cache"));
    json_decref(config);
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

START_TEST(what_is_said_of_inputs_and_kept_between_steps_is_told)
{
    daemon_chain = true;
    daemon_start(&host, NULL, NULL);
    json_t *config = get("/v2/models/maps/config", 200);
    const json_t *inputs = json_object_get(config, "input");
    ck_assert_str_eq(text_of(json_array_get(inputs, 0), "format"), "FORMAT_NHWC");
    json_decref(config);
    config = get("/v2/models/chain/config", 200);
    inputs = json_object_get(config, "input");
    ck_assert_uint_eq(json_array_size(inputs), 1); /* states are nobody's to send */
    ck_assert_str_eq(text_of(json_array_get(inputs, 0), "name"), "ids");
    ck_assert_str_eq(text_of(json_array_get(inputs, 0), "format"), "FORMAT_NONE");
    const json_t *outputs = json_object_get(config, "output");
    ck_assert_uint_eq(json_array_size(outputs), 1);
    ck_assert_str_eq(text_of(json_array_get(outputs, 0), "name"), "scores");
    json_decref(config);
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

START_TEST(what_is_not_ready_has_none)
{
    daemon_start(&host, NULL, NULL);
    json_decref(get("/v2/models/none/config", 404));
    json_decref(get("/v2/models/relu/versions/2/config", 404));
    json_decref(get("/v2/models/broken/config", 503));
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

Suite *http_v2_config_suite(void);

Suite *http_v2_config_suite(void)
{
    Suite *suite = suite_create("http/v2_config");
    TCase *tcase = tcase_create("v2_config");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, a_configuration_says_what_holds, 0, sizeof paths / sizeof *paths);
    tcase_add_test(tcase, what_is_not_ready_has_none);
    tcase_add_test(tcase, what_is_said_of_inputs_and_kept_between_steps_is_told);
    suite_add_tcase(suite, tcase);
    return suite;
}
