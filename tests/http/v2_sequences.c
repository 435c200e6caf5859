/* v2_sequences.c - the routes of sequences, where none are kept: tests/daemon/stateful.c has those that are. */
#include "daemon.h"

#include <check.h>
#include <string.h>

Suite *http_v2_sequences_suite(void);

static const struct {
    const char *method, *path, *body;
    int status;
    const char *part;
} cases[] = {
    {"GET", "/v2/models/relu/sequences", "", 400, "keeps nothing between requests"},
    {"GET", "/v2/models/none/sequences", "", 404, "'none'"},
    {"GET", "/v2/models/broken/sequences", "", 503, "broken"},
    {"GET", "/v2/models/relu/sequences/1/state", "", 400, "keeps nothing between requests"},
    {"PUT", "/v2/models/relu/sequences/1/state", "perceptd sequence 1\n{}\n", 400, "keeps nothing between requests"},
    {"PUT", "/v2/models/relu/versions/7/sequences/1/state", "x", 404, ""},
    {"DELETE", "/v2/models/relu/sequences/1/state", "", 400, "keeps nothing between requests"},
    {"POST", "/v2/models/relu/sequences/1/state", "", 405, "GET, HEAD, PUT, DELETE"},
    {"DELETE", "/v2/models/relu/sequences", "", 405, "GET, HEAD"},
    {"GET", "/v2/models/relu/sequences/", "", 404, ""},
    {"GET", "/v2/models/relu/sequences//state", "", 404, ""},
    {"GET", "/v2/models/relu/sequences/1/2/state", "", 404, ""},
    {"PUT", "/v2/health/live", "", 405, "GET, HEAD"},
};

START_TEST(where_nothing_is_kept_there_is_a_sentence)
{
    static struct daemon daemon;
    daemon_start(&daemon, NULL, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct reply reply = daemon_ask(&daemon, cases[i].method, cases[i].path, "", cases[i].body);
        ck_assert_msg(reply.status == cases[i].status && reply_has(&reply, cases[i].part), "%s %s: %d %s",
                      cases[i].method, cases[i].path, reply.status, reply.body);
    }
    ck_assert_int_eq(daemon_end(&daemon), 0);
}
END_TEST

Suite *http_v2_sequences_suite(void)
{
    Suite *suite = suite_create("http_v2_sequences");
    TCase *tcase = tcase_create("sequences");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, where_nothing_is_kept_there_is_a_sentence);
    suite_add_tcase(suite, tcase);
    return suite;
}
