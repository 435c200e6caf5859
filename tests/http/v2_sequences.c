/* v2_sequences.c - the routes of sequences: what they answer, and where none are kept. What is kept, and for whom, is
 * tests/daemon/stateful.c's. */
#include "daemon.h"

#include <check.h>
#include <stdio.h>
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

#define SEQUENCES "/v2/models/chain/sequences"

static struct daemon host;

static struct reply expect(const char *method, const char *path, const char *body, int status, const char *part)
{
    struct reply reply = daemon_ask(&host, method, path, "", body);
    ck_assert_msg(reply.status == status && reply_has(&reply, part), "%s %s: %d %s", method, path, reply.status,
                  reply.body);
    return reply;
}

/* One step of the sequence of this id, as JSON has it. */
static void step(const char *id, bool start)
{
    char body[300];
    snprintf(body, sizeof body,
             "{\"parameters\":{\"sequence_id\":%s,\"sequence_start\":%s},"
             "\"inputs\":[{\"name\":\"ids\",\"shape\":[1,1],\"datatype\":\"INT64\",\"data\":[0]}]}",
             id, start ? "true" : "false");
    expect("POST", "/v2/models/chain/infer", body, 200, "scores");
}

static void start(void)
{
    daemon_chain = true;
    daemon_start(&host, NULL, NULL);
    expect("GET", SEQUENCES, "", 200, "[]\n");
    step("7", true);
    step("7", false);
    step("\"7\"", true);
}

static void end(void)
{
    ck_assert_int_eq(daemon_end(&host), 0);
}

/* 7 and "7" are two. */
START_TEST(each_has_its_row)
{
    start();
    struct reply reply =
        expect("GET", SEQUENCES, "", 200, "{\"sequence_id\":7,\"version\":\"1\",\"steps\":2,\"bytes\":");
    ck_assert(reply_has(&reply, "{\"sequence_id\":\"7\",\"version\":\"1\",\"steps\":1,\"bytes\":"));
    ck_assert(reply_has(&reply, ",\"busy\":false,\"idle_microseconds\":"));
    ck_assert(reply_has(&reply, "},{") && reply.body[0] == '[' && strcmp(reply.body + reply.n_bytes - 3, "}]\n") == 0);
    end();
}
END_TEST

START_TEST(one_is_ended_by_its_id)
{
    start();
    expect("DELETE", SEQUENCES "/%227%22/state", "", 200, "{}\n");
    expect("DELETE", SEQUENCES "/%227%22/state", "", 400, "sequence 7 to model 'chain'");
    expect("GET", SEQUENCES "/%227%22/state", "", 400, "sequence 7");
    expect("GET", SEQUENCES, "", 200, "[{\"sequence_id\":7,");
    expect("DELETE", SEQUENCES "/7/state", "", 200, "{}\n");
    expect("GET", SEQUENCES, "", 200, "[]\n");
    end();
}
END_TEST

/* Ids of letters need no quotes, of which a pair alone is taken off; no quote is part of an id by mistake. */
START_TEST(ids_are_numbers_or_texts)
{
    static const struct {
        const char *path, *listed;
    } ids[] = {
        {SEQUENCES "/8/state", ":8,"},
        {SEQUENCES "/%228%22/state", ":\"8\","},
        {SEQUENCES "/abc/state", ":\"abc\","},
        {SEQUENCES "/%22abc/state", ":\"\\\"abc\","},
        {SEQUENCES "/abc%22/state", ":\"abc\\\"\","},
        {SEQUENCES "/%22%22/state", ":\"\\\"\\\"\","},
        {SEQUENCES "/%22a%22/state", ":\"a\","},
    };
    static struct client client;
    char head[200];
    start();
    struct reply kept = expect("GET", SEQUENCES "/7/state", "", 200, "perceptd sequence 1\n");
    ck_assert(reply_has_header(&kept, "Content-Type: application/octet-stream"));
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        client_open(&client, &host);
        snprintf(head, sizeof head, "PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", ids[i].path,
                 kept.n_bytes);
        client_send(&client, head);
        ck_assert(client_send_bytes(&client, kept.body, kept.n_bytes));
        struct reply reply = client_reply(&client);
        ck_assert_msg(reply.status == 200 && strcmp(reply.body, "{\"steps\":2}\n") == 0, "%s: %d %s", ids[i].path,
                      reply.status, reply.body);
        client_close(&client);
        expect("GET", SEQUENCES, "", 200, ids[i].listed);
    }
    expect("PUT", SEQUENCES "/9/state", "perceptd sequence 1\n{}\n", 400, "");
    expect("GET", SEQUENCES "/0/state", "", 400, "0 is no sequence's id");
    expect("GET", SEQUENCES "/%220%22/state", "", 400, "0 is no sequence's id");
    end();
}
END_TEST

Suite *http_v2_sequences_suite(void)
{
    Suite *suite = suite_create("http_v2_sequences");
    TCase *tcase = tcase_create("sequences");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, where_nothing_is_kept_there_is_a_sentence);
    tcase_add_test(tcase, each_has_its_row);
    tcase_add_test(tcase, one_is_ended_by_its_id);
    tcase_add_test(tcase, ids_are_numbers_or_texts);
    suite_add_tcase(suite, tcase);
    return suite;
}
