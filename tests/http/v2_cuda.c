/* v2_cuda.c - tests of http/v2_cuda.c: the words that clients look for. */
#include "daemon.h"

#include <check.h>

static struct daemon host;

static const struct {
    const char *method, *path;
    int status;
    const char *body;
} rows[] = {
    {"GET", "/v2/cudasharedmemory/status", 200, "[]\n"},
    {"GET", "/v2/cudasharedmemory/region/r/status", 404,
     "{\"error\":\"Unable to find cuda shared memory region: 'r'\"}\n"},
    {"POST", "/v2/cudasharedmemory/region/a%20%22b/register", 400,
     "{\"error\":\"failed to register CUDA shared memory region: 'a \\\"b', GPUs not supported\"}\n"},
    {"POST", "/v2/cudasharedmemory/region/r/unregister", 200, ""},
    {"POST", "/v2/cudasharedmemory/unregister", 200, ""},
};

START_TEST(there_are_no_regions_of_gpus)
{
    daemon_start(&host, NULL, NULL);
    struct reply reply = daemon_ask(&host, rows[_i].method, rows[_i].path, "", "{\"raw_handle\":{\"b64\":\"\"}}");
    ck_assert_int_eq(reply.status, rows[_i].status);
    ck_assert_str_eq(reply.body, rows[_i].body);
    ck_assert_int_eq(daemon_end(&host), 0);
}
END_TEST

Suite *http_v2_cuda_suite(void);

Suite *http_v2_cuda_suite(void)
{
    Suite *suite = suite_create("http/v2_cuda");
    TCase *tcase = tcase_create("v2_cuda");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, there_are_no_regions_of_gpus, 0, sizeof rows / sizeof *rows);
    suite_add_tcase(suite, tcase);
    return suite;
}
