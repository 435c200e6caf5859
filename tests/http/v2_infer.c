/* v2_infer.c - tests of http/v2_infer.c: what the headers ask for, and what the reply's headers
 * tell. What is in the bodies is the codecs' matter. */
#include "daemon.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct daemon host;
static struct client client;

static void start(void)
{
    daemon_start(&host, NULL, NULL);
}

static void end(void)
{
    ck_assert_int_eq(daemon_end(&host), 0);
}

static struct reply infer(const char *path, const char *more, const char *body)
{
    return daemon_ask(&host, "POST", path, more, body);
}

START_TEST(a_request_is_answered_with_its_outputs)
{
    start();
    struct reply reply = infer(RELU_PATH, "", RELU_BODY);
    ck_assert_msg(reply.status == 200, "%d %s", reply.status, reply.body);
    ck_assert(reply_has_header(&reply, "Content-Type: application/json"));
    ck_assert_ptr_null(strcasestr(reply.head, "\nInference-Header-Content-Length"));
    json_t *read = json_loads(reply.body, 0, NULL);
    ck_assert_ptr_nonnull(read);
    const json_t *output = json_array_get(json_object_get(read, "outputs"), 0);
    const json_t *data = json_object_get(output, "data");
    ck_assert_uint_eq(json_array_size(data), 2);
    ck_assert_double_eq(json_number_value(json_array_get(data, 0)), 0);
    ck_assert_double_eq(json_number_value(json_array_get(data, 1)), 2);
    json_decref(read);
    end();
}
END_TEST

/* A wish that nobody serves changes nothing: the body said what is wanted. */
START_TEST(accept_of_other_types_gives_the_same_reply)
{
    static const char *const accepts[] = {"Accept: */*\r\n", "Accept: image/png;q=1, text/html\r\n",
                                          "Accept: application/json\r\n", "Accept: application/octet-stream\r\n",
                                          "Accept: ,;q=\r\n"};
    start();
    struct reply plain = infer(RELU_PATH, "", RELU_BODY);
    for (size_t i = 0; i < sizeof accepts / sizeof *accepts; i++) {
        struct reply reply = infer(RELU_PATH, accepts[i], RELU_BODY);
        ck_assert_int_eq(reply.status, 200);
        ck_assert(reply_has_header(&reply, "Content-Type: application/json"));
        ck_assert_str_eq(reply.body, plain.body);
    }
    end();
}
END_TEST

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

START_TEST(server_timing_tells_where_the_time_went)
{
    struct settings settings = daemon_settings();
    settings.max_queue_delay_us = DAEMON_SLOW_US; /* it waits for company that never comes */
    daemon_start(&host, &settings, NULL);
    const double before = now_ms();
    struct reply reply = infer(RELU_PATH, "", RELU_BODY);
    const double whole = now_ms() - before;
    double decode, queue, run, encode;
    int batch;
    const char *at = strcasestr(reply.head, "\nServer-Timing: ");
    ck_assert_ptr_nonnull(at);
    ck_assert_int_eq(sscanf(at + 16,
                            "decode;dur=%lf, queue;dur=%lf, infer;dur=%lf, encode;dur=%lf, "
                            "batch;desc=\"%d\"",
                            &decode, &queue, &run, &encode, &batch),
                     5);
    ck_assert_int_eq(batch, 1);
    ck_assert(decode >= 0 && run >= 0 && encode >= 0);
    ck_assert_msg(queue >= DAEMON_SLOW_US / 1e3 - 1 && decode + queue + run + encode <= whole + 1,
                  "%g + %g + %g + %g of %g ms", decode, queue, run, encode, whole);
    end();
}
END_TEST

/* JSON of `text` bytes, then one row of two floats. */
START_TEST(binary_requests_have_binary_replies)
{
    static const char text[] = "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,2],\"datatype\":\"FP32\","
                               "\"parameters\":{\"binary_data_size\":8}}],"
                               "\"outputs\":[{\"name\":\"y\",\"parameters\":{\"binary_data\":true}}]}";
    static const float row[2] = {-3, 4};
    char head[400];
    start();
    client_open(&client, &host);
    snprintf(head, sizeof head,
             "POST " RELU_PATH " HTTP/1.1\r\nHost: x\r\nInference-Header-Content-Length: %zu\r\n"
             "Content-Length: %zu\r\n\r\n%s",
             sizeof text - 1, sizeof text - 1 + sizeof row, text);
    client_send(&client, head);
    client_send_bytes(&client, row, sizeof row);
    struct reply reply = client_reply(&client);
    ck_assert_msg(reply.status == 200, "%d %s", reply.status, reply.body);
    ck_assert(reply_has_header(&reply, "Content-Type: application/octet-stream"));
    const char *at = strcasestr(reply.head, "\nInference-Header-Content-Length: ");
    ck_assert_ptr_nonnull(at);
    ck_assert_uint_eq((size_t)strtoul(at + 34, NULL, 10) + sizeof row, reply.n_bytes);
    float got[2];
    memcpy(got, reply.body + reply.n_bytes - sizeof got, sizeof got);
    ck_assert_float_eq(got[0], 0);
    ck_assert_float_eq(got[1], 4);
    client_close(&client);
    end();
}
END_TEST

static const char *const bad_headers[] = {
    "Inference-Header-Content-Length: 9999\r\n",
    "Inference-Header-Content-Length: -1\r\n",
    "Inference-Header-Content-Length: 1x\r\n",
    "Inference-Header-Content-Length: \r\n",
    "X-Request-Timeout-Ms: 0\r\n",
    "X-Request-Timeout-Ms: soon\r\n",
    "X-Request-Timeout-Ms: 86400001\r\n",
};

START_TEST(headers_that_make_no_sense_are_400)
{
    start();
    struct reply reply = infer(RELU_PATH, bad_headers[_i], RELU_BODY);
    ck_assert_int_eq(reply.status, 400);
    size_t n = strcspn(bad_headers[_i], ":");
    char name[100] = "";
    memcpy(name, bad_headers[_i], n);
    ck_assert_msg(reply_has(&reply, name), "%s", reply.body);
    end();
}
END_TEST

/* relu's manifest names no prototypes. */
static const struct {
    const char *query;
    int status;
    const char *part;
} queries[] = {
    {"?outputs=1", 400, "'outputs' is true or false"}, {"?masks=all", 400, "'masks' is rle or polygon"},
    {"?masks=", 400, "'masks' is rle or polygon"},     {"?masks=rle", 400, "model 'relu' gives no masks"},
    {"?masks=polygon", 400, "gives no masks"},         {"?mask=rle", 200, "outputs"},
};

START_TEST(queries_that_make_no_sense_are_400)
{
    start();
    char path[100];
    snprintf(path, sizeof path, "%s%s", RELU_PATH, queries[_i].query);
    struct reply reply = infer(path, "", RELU_BODY);
    ck_assert_msg(reply.status == queries[_i].status && reply_has(&reply, queries[_i].part), "%s", reply.body);
    end();
}
END_TEST

START_TEST(a_timeout_of_the_client_is_taken)
{
    start();
    ck_assert_int_eq(infer(RELU_PATH, "X-Request-Timeout-Ms: 20000\r\n", RELU_BODY).status, 200);
    end();
}
END_TEST

START_TEST(models_that_are_not_there_are_not_inferred)
{
    start();
    struct reply reply = infer("/v2/models/none/infer", "", RELU_BODY);
    ck_assert_int_eq(reply.status, 404);
    ck_assert_str_eq(reply.body, "{\"error\":\"Request for unknown model: 'none' is not found\"}\n");
    ck_assert_int_eq(infer("/v2/models/relu/versions/2/infer", "", RELU_BODY).status, 404);
    ck_assert_int_eq(infer("/v2/models/relu/versions/1/infer", "", RELU_BODY).status, 200);
    reply = infer("/v2/models/broken/infer", "", RELU_BODY);
    ck_assert_int_eq(reply.status, 503);
    ck_assert(reply_has_header(&reply, "Retry-After: 1"));
    ck_assert_int_eq(infer("/v2/models/a%20b/infer", "", RELU_BODY).status, 400);
    end();
}
END_TEST

/* An answer takes microseconds, however long somebody waits for company. */
START_TEST(who_is_refused_is_told_when_to_come_again)
{
    struct settings settings = daemon_settings();
    settings.max_queue_delay_us = DAEMON_SLOW_US;
    settings.max_queue_size = 1;
    daemon_start(&host, &settings, NULL);
    ck_assert_int_eq(infer(RELU_PATH, "", RELU_BODY).status, 200);
    client_open(&client, &host);
    client_send_infer(&client, "");
    daemon_wait_for(&host, "perceptd_requests_in_flight", 1);
    struct reply reply = infer(RELU_PATH, "", RELU_BODY);
    ck_assert_int_eq(reply.status, 503);
    ck_assert(reply_has_header(&reply, "Retry-After: 1"));
    ck_assert_int_eq(client_reply(&client).status, 200);
    client_close(&client);
    end();
}
END_TEST

START_TEST(form_types_are_json_and_pictures_are_415)
{
    start();
    ck_assert_int_eq(infer(RELU_PATH, "Content-Type: application/x-www-form-urlencoded\r\n", RELU_BODY).status, 200);
    ck_assert_int_eq(infer(RELU_PATH, "Content-Type: image/png\r\n", RELU_BODY).status, 415);
    end();
}
END_TEST

START_TEST(an_empty_body_is_400)
{
    start();
    ck_assert_int_eq(infer(RELU_PATH, "", "").status, 400);
    end();
}
END_TEST

Suite *http_v2_infer_suite(void)
{
    Suite *suite = suite_create("http/v2_infer");
    TCase *tcase = tcase_create("v2_infer");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, a_request_is_answered_with_its_outputs);
    tcase_add_test(tcase, accept_of_other_types_gives_the_same_reply);
    tcase_add_test(tcase, server_timing_tells_where_the_time_went);
    tcase_add_test(tcase, binary_requests_have_binary_replies);
    tcase_add_loop_test(tcase, headers_that_make_no_sense_are_400, 0, sizeof bad_headers / sizeof bad_headers[0]);
    tcase_add_loop_test(tcase, queries_that_make_no_sense_are_400, 0, sizeof queries / sizeof *queries);
    tcase_add_test(tcase, a_timeout_of_the_client_is_taken);
    tcase_add_test(tcase, models_that_are_not_there_are_not_inferred);
    tcase_add_test(tcase, who_is_refused_is_told_when_to_come_again);
    tcase_add_test(tcase, form_types_are_json_and_pictures_are_415);
    tcase_add_test(tcase, an_empty_body_is_400);
    suite_add_tcase(suite, tcase);
    return suite;
}
