/*
 * v2_shm.c - the system shared memory extension over sockets: registering, status, unregistering, requests whose
 * tensors lie in memory, clients that take it away; and the sentence of a server without the option.
 */
#include "daemon.h"
#include "shm_object.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

Suite *http_v2_shm_suite(void);

#define REGION "/v2/systemsharedmemory/region/"

static struct daemon host;
static struct shm_object object;
static const float rows[4] = {-1, 2, -3, 4};

static void start(const char *prefix)
{
    struct settings settings = daemon_settings();
    settings.client_shm = prefix;
    object = shm_object_new('h', rows, sizeof rows);
    daemon_start(&host, &settings, NULL);
}

static void end(void)
{
    ck_assert_int_eq(daemon_end(&host), 0);
    shm_object_free(&object);
}

static struct reply post(const char *path, const char *body)
{
    return daemon_ask(&host, "POST", path, "", body);
}

static struct reply add(const char *name, size_t offset, size_t n_bytes)
{
    char path[400], body[200];
    snprintf(path, sizeof path, REGION "%s/register", name);
    snprintf(body, sizeof body, "{\"key\":\"%s\",\"offset\":%zu,\"byte_size\":%zu}", object.key, offset, n_bytes);
    return post(path, body);
}

START_TEST(regions_come_and_go)
{
    char text[300];
    start(SHM_OBJECT_PREFIX);
    ck_assert(reply_has(&(struct reply[]){daemon_get(&host, "/v2")}[0], "\"system_shared_memory\""));
    ck_assert_str_eq(daemon_get(&host, "/v2/systemsharedmemory/status").body, "[]\n");
    struct reply reply = add("in%20put", 4, 12);
    ck_assert_msg(reply.status == 200, "%d %s", reply.status, reply.body);
    ck_assert_uint_eq(reply.n_bytes, 0);
    ck_assert_int_eq(add("b", 0, 16).status, 200);
    ck_assert_int_eq(add("b", 0, 16).status, 400);
    snprintf(text, sizeof text,
             "[{\"name\":\"b\",\"key\":\"%s\",\"offset\":0,\"byte_size\":16},"
             "{\"name\":\"in put\",\"key\":\"%s\",\"offset\":4,\"byte_size\":12}]\n",
             object.key, object.key);
    ck_assert_str_eq(daemon_get(&host, "/v2/systemsharedmemory/status").body, text);
    ck_assert(strstr(text, daemon_get(&host, REGION "b/status").body + 1) == NULL); /* one of them */
    reply = daemon_get(&host, REGION "none/status");
    ck_assert_int_eq(reply.status, 404);
    ck_assert(reply_has(&reply, "Unable to find system shared memory region: 'none'"));
    ck_assert_int_eq(post(REGION "none/unregister", "").status, 200);
    ck_assert_int_eq(post(REGION "in%20put/unregister", "").status, 200);
    ck_assert_int_eq(daemon_get(&host, REGION "in%20put/status").status, 404);
    ck_assert_int_eq(post("/v2/systemsharedmemory/unregister", "").status, 200);
    ck_assert_str_eq(daemon_get(&host, "/v2/systemsharedmemory/status").body, "[]\n");
    end();
}
END_TEST

#define MEMORY(region, offset, size)                                                                                   \
    "\"parameters\":{\"shared_memory_region\":\"" region "\",\"shared_memory_offset\":" offset                         \
    ",\"shared_memory_byte_size\":" size "}"
#define IN_MEMORY                                                                                                      \
    "{\"inputs\":[{\"name\":\"x\",\"shape\":[2,2],\"datatype\":\"FP32\"," MEMORY(                                      \
        "r", "0", "16") "}],"                                                                                          \
                        "\"outputs\":[{\"name\":\"y\"," MEMORY("r", "0", "16") "}]}"

START_TEST(tensors_lie_in_memory)
{
    float got[4];
    start(SHM_OBJECT_PREFIX);
    ck_assert_int_eq(add("r", 0, 16).status, 200);
    struct reply reply = post(RELU_PATH, IN_MEMORY);
    ck_assert_msg(reply.status == 200, "%d %s", reply.status, reply.body);
    ck_assert_str_eq(reply.body, "{\"model_name\":\"relu\",\"model_version\":\"1\",\"outputs\":[{\"name\":\"y\","
                                 "\"datatype\":\"FP32\",\"shape\":[2,2]}]}\n");
    shm_object_read(&object, 0, got, sizeof got);
    ck_assert_float_eq(got[0], 0);
    ck_assert_float_eq(got[3], 4);
    ck_assert_int_eq(post("/v2/systemsharedmemory/unregister", "").status, 200);
    ck_assert_int_eq(post(RELU_PATH, IN_MEMORY).status, 404);
    end();
}
END_TEST

/* It shrinks behind our back: an answer, and the next one as if nothing had been. */
START_TEST(a_client_that_takes_its_memory_away_gets_an_error)
{
    start(SHM_OBJECT_PREFIX);
    ck_assert_int_eq(add("r", 0, 16).status, 200);
    shm_object_resize(&object, 3);
    struct reply reply = post(RELU_PATH, IN_MEMORY);
    ck_assert_int_eq(reply.status, 400);
    ck_assert_msg(reply_has(&reply, "it was made smaller"), "%s", reply.body);
    shm_object_resize(&object, 16);
    ck_assert_int_eq(post(RELU_PATH, IN_MEMORY).status, 200);
    end();
}
END_TEST

START_TEST(a_region_is_used_to_the_end_of_a_request_that_has_it)
{
    static struct client client;
    struct settings settings = daemon_settings();
    settings.client_shm = SHM_OBJECT_PREFIX;
    settings.max_queue_delay_us = DAEMON_SLOW_US;
    object = shm_object_new('h', rows, sizeof rows);
    daemon_start(&host, &settings, NULL);
    ck_assert_int_eq(add("r", 0, 16).status, 200);
    client_open(&client, &host);
    char head[400];
    snprintf(head, sizeof head, "POST " RELU_PATH " HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n",
             strlen(IN_MEMORY));
    client_send(&client, head);
    client_send(&client, IN_MEMORY);
    daemon_wait_for(&host, "perceptd_requests_in_flight", 1);
    ck_assert_int_eq(post("/v2/systemsharedmemory/unregister", "").status, 200);
    ck_assert_int_eq(client_reply(&client).status, 200);
    client_close(&client);
    float got[4];
    shm_object_read(&object, 0, got, sizeof got);
    ck_assert_float_eq(got[0], 0);
    end();
}
END_TEST

static const struct {
    const char *path, *body;
    int status;
} bad[] = {
    {REGION "r/register", "", 400},
    {REGION "r/register", "[]", 400},
    {REGION "r/register", "{}", 400},
    {REGION "r/register", "{\"key\":\"/test-shm-x\"}", 400},
    {REGION "r/register", "{\"byte_size\":1}", 400},
    {REGION "r/register", "{\"key\":7,\"byte_size\":1}", 400},
    {REGION "r/register", "{\"key\":\"/test-shm-x\",\"byte_size\":-1}", 400},
    {REGION "r/register", "{\"key\":\"/test-shm-x\",\"byte_size\":1e3}", 400},
    {REGION "r/register", "{\"key\":\"/test-shm-x\",\"offset\":\"0\",\"byte_size\":1}", 400},
    {REGION "r/register", "{\"key\":\"/test-shm-\\u0000\",\"byte_size\":1}", 400},
    {REGION "r/register", "{\"key\":\"/etc/passwd\",\"byte_size\":1}", 400},
    {REGION "r/register", "{\"key\":\"/test-shm-x\",\"byte_size\":1}x", 400},
    {REGION "r%2Fs/register", "{}", 400},
    {REGION "/register", "{}", 404},
    {"/v2/systemsharedmemory/register", "{}", 404},
    {REGION "r/status", "", 405},
};

START_TEST(bad_requests_are_refused)
{
    start(SHM_OBJECT_PREFIX);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct reply reply = post(bad[i].path, bad[i].body);
        ck_assert_msg(reply.status == bad[i].status, "%zu: %d %s", i, reply.status, reply.body);
    }
    char name[300] = "";
    memset(name, 'n', 256);
    ck_assert_int_eq(add(name, 0, 16).status, 400);
    name[255] = '\0';
    ck_assert_int_eq(add(name, 0, 16).status, 200);
    end();
}
END_TEST

START_TEST(without_the_option_everything_is_501)
{
    static const char sentence[] =
        "Client shared memory is disabled. Start the server with '--client-shm PREFIX' to enable.";
    start(NULL);
    struct reply replies[] = {add("r", 0, 16), post(REGION "r/unregister", ""),
                              post("/v2/systemsharedmemory/unregister", ""),
                              daemon_get(&host, "/v2/systemsharedmemory/status"), post(RELU_PATH, IN_MEMORY)};
    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
        ck_assert_int_eq(replies[i].status, 501);
        ck_assert_msg(reply_has(&replies[i], sentence), "%s", replies[i].body);
    }
    end();
}
END_TEST

Suite *http_v2_shm_suite(void)
{
    Suite *suite = suite_create("http/v2_shm");
    TCase *tcase = tcase_create("v2_shm");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, regions_come_and_go);
    tcase_add_test(tcase, tensors_lie_in_memory);
    tcase_add_test(tcase, a_client_that_takes_its_memory_away_gets_an_error);
    tcase_add_test(tcase, a_region_is_used_to_the_end_of_a_request_that_has_it);
    tcase_add_test(tcase, bad_requests_are_refused);
    tcase_add_test(tcase, without_the_option_everything_is_501);
    suite_add_tcase(suite, tcase);
    return suite;
}
