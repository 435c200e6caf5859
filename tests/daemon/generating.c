/*
 * generating.c - texts that go on, over HTTP: what is made, when it ends, that it depends on nobody else, and what is
 * refused.
 *
 * The network of "chain" scores the next of five letters by the last one alone: "abcde" goes round, and from 'e' a
 * dot follows as often as an 'a'. Its state counts the tokens that it was given; when that is not their number all
 * scores are 0 and the text is another one.
 */
#include "rig.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "graph/proto.h"

Suite *daemon_generating_suite(void);

#define LETTERS 6 /* a b c d e . */

/* scores = table[ids] where there is a state, and hn = h + 1. ids is [batch,1]: prompts are fed token by token. */
static void write_chain(const struct rig *rig, const char *name, const char *manifest)
{
    char path[96];
    float table[LETTERS][LETTERS] = {{0}};
    const float one = 1;
    for (int i = 0; i < 5; i++)
        table[i][(i + 1) % 5] = 9;
    table[4][5] = 9;
    table[5][0] = 9;
    struct proto graph = {0};
    proto_add(&graph, GRAPH_NODE, proto_node("Gather", "", "table,ids", "scores"));
    proto_add(&graph, GRAPH_NODE, proto_node("Add", "", "h,one", "hn"));
    proto_add(&graph, GRAPH_INITIALIZER,
              proto_tensor("table", PERCEPT_FLOAT, 2, (int64_t[]){LETTERS, LETTERS}, table, sizeof table));
    proto_add(&graph, GRAPH_INITIALIZER, proto_tensor("one", PERCEPT_FLOAT, 1, (int64_t[]){1}, &one, sizeof one));
    proto_add(&graph, GRAPH_INPUT, proto_value_named("ids", PERCEPT_INT64, 2, (int64_t[]){-1, 1}, "batch,"));
    proto_add(&graph, GRAPH_INPUT, proto_value_named("h", PERCEPT_FLOAT, 2, (int64_t[]){-1, 1}, "batch,"));
    proto_add(&graph, GRAPH_OUTPUT,
              proto_value_named("scores", PERCEPT_FLOAT, 3, (int64_t[]){-1, 1, LETTERS}, "batch,,"));
    proto_add(&graph, GRAPH_OUTPUT, proto_value_named("hn", PERCEPT_FLOAT, 2, (int64_t[]){-1, 1}, "batch,"));
    struct proto model = proto_model(graph, 13);
    free(rig_shell(NULL, "mkdir -p %s/models/%s", rig->folder, name));
    snprintf(path, sizeof path, "models/%s/model.onnx", name);
    rig_write(rig, path, model.at, model.n);
    snprintf(path, sizeof path, "models/%s/letters.txt", name);
    rig_write_text(rig, path, "a\nb\nc\nd\ne\n.\n");
    snprintf(path, sizeof path, "models/%s/manifest.json", name);
    rig_write_text(rig, path, manifest);
    proto_free(&model);
}

#define INPUTS                                                                                                         \
    "\"inputs\":{\"ids\":{\"kind\":\"text\",\"tokenizer\":\"characters\",\"vocabulary\":\"letters.txt\","              \
    "\"max_length\":2%s}},\"sequence\":{\"state\":[{\"input\":\"h\",\"output\":\"hn\"}]}"

static bool begin(struct rig *rig)
{
    char manifest[500];
    if (!rig_is_there())
        return false;
    rig_begin(rig);
    snprintf(manifest, sizeof manifest,
             "{\"manifest\":1," INPUTS
             ",\"generate\":{\"input\":\"ids\",\"output\":\"scores\",\"max_new_tokens\":500}}",
             "");
    write_chain(rig, "chain", manifest);
    snprintf(manifest, sizeof manifest,
             "{\"manifest\":1," INPUTS ",\"generate\":{\"input\":\"ids\",\"output\":\"scores\"}}", ",\"end\":5");
    write_chain(rig, "ends", manifest);
    write_chain(rig, "plain", "{\"manifest\":1}");
    rig_start(rig, "%s/models", rig->folder);
    return true;
}

#define CHAIN "/v2/models/chain/generate"

START_TEST(a_text_goes_on)
{
    struct rig rig;
    if (!begin(&rig))
        return;
    rig_expect(&rig, CHAIN, "{\"text_input\":\"a\",\"max_tokens\":4,\"temperature\":0}", 200,
               "\"text_output\":\"bcde\",\"finish_reason\":\"length\",\"prompt_tokens\":1,\"completion_tokens\":4}");
    rig_expect(&rig, CHAIN, "{\"text_input\":\"c\",\"parameters\":{\"max_tokens\":4,\"temperature\":0}}", 200,
               "\"text_output\":\"deab\"");
    rig_expect(&rig, CHAIN, "{\"text_input\":\"c\",\"max_tokens\":9,\"temperature\":0,\"stop\":\"ea\"}", 200,
               "\"text_output\":\"d\",\"finish_reason\":\"stop\"");
    rig_expect(&rig, CHAIN, "{\"text_input\":\"c\",\"max_tokens\":9,\"temperature\":0,\"stop\":[\"x\",\"d\"]}", 200,
               "\"text_output\":\"\",\"finish_reason\":\"stop\"");
    rig_expect(&rig, CHAIN, "{\"text_input\":\"c\",\"max_tokens\":9,\"temperature\":0,\"stop\":[\"b\",\"eab\"]}", 200,
               "\"text_output\":\"d\",\"finish_reason\":\"stop\""); /* the one that begins first */
    rig_expect(&rig, CHAIN, "{\"text_input\":\"c\",\"max_tokens\":0}", 200,
               "\"text_output\":\"\",\"finish_reason\":\"length\"");
    rig_expect(&rig, CHAIN, "{\"text_input\":\"c\",\"max_tokens\":2,\"temperature\":0,\"echo\":true}", 200,
               "\"text_output\":\"cde\"");
    struct reply told = rig_get(&rig, "/v2/models/chain");
    ck_assert_msg(strstr(told.body, "\"generate\":true"), "%s", told.body);
    reply_free(&told);
    rig_expect(&rig, "/v2/models/chain/versions/1/generate",
               "{\"text_input\":\"a\",\"max_tokens\":1,\"temperature\":0}", 200,
               "\"model_version\":\"1\",\"text_output\":\"b\"");
    rig_finish(&rig);
}
END_TEST

START_TEST(an_end_token_ends_it_and_is_not_part_of_it)
{
    struct rig rig;
    if (!begin(&rig))
        return;
    struct reply reply = rig_post_text(&rig, "/v2/models/ends/generate", "{\"text_input\":\"a\",\"seed\":5}");
    ck_assert_int_eq(reply.status, 200);
    ck_assert_msg(strstr(reply.body, "\"finish_reason\":\"stop\"") && !strstr(reply.body, "."), "%s", reply.body);
    reply_free(&reply);
    rig_finish(&rig);
}
END_TEST

START_TEST(completions_are_answered_as_their_clients_expect)
{
    struct rig rig;
    if (!begin(&rig))
        return;
    rig_expect(&rig, "/v1/completions",
               "{\"model\":\"chain\",\"prompt\":\"a\",\"max_tokens\":3,\"temperature\":0,\"n\":1}", 200,
               "\"model\":\"chain\",\"choices\":[{\"text\":\"bcd\",\"index\":0,\"logprobs\":null,\"finish_reason\":"
               "\"length\"}],"
               "\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":3,\"total_tokens\":4}}");
    rig_expect(&rig, "/v1/completions", "{\"model\":\"chain\",\"prompt\":\"a\",\"max_tokens\":3,\"temperature\":0}",
               200, "\"object\":\"text_completion\",\"created\":");
    rig_finish(&rig);
}
END_TEST

#define STREAM "/v2/models/chain/generate_stream"

static struct reply stream(const struct rig *rig, const char *path, const char *body)
{
    struct reply reply = rig_ask(rig, "POST", path, "", body, strlen(body));
    ck_assert_msg(reply.status == 200 && strcasestr(reply.head, "Content-Type: text/event-stream"), "%d: %s",
                  reply.status, reply.body ? reply.body : "nothing");
    return reply;
}

#define EVENT(text, rest)                                                                                              \
    "data: {\"model_name\":\"chain\",\"model_version\":\"1\",\"text_output\":\"" text "\"" rest "}\n\n"

START_TEST(a_text_comes_token_by_token)
{
    struct rig rig;
    if (!begin(&rig))
        return;
    struct reply reply = stream(&rig, STREAM, "{\"text_input\":\"a\",\"max_tokens\":3,\"temperature\":0}");
    ck_assert_str_eq(reply.body, EVENT("b", "") EVENT("c", "") EVENT(
                                     "d", ",\"finish_reason\":\"length\",\"prompt_tokens\":1,\"completion_tokens\":3"));
    reply_free(&reply);
    /* "de" may be the beginning of the stop text, and is not told before it cannot be */
    reply = stream(&rig, STREAM, "{\"text_input\":\"a\",\"max_tokens\":9,\"temperature\":0,\"stop\":\"dea\"}");
    ck_assert_str_eq(reply.body, EVENT("b", "") EVENT("c", "") EVENT(
                                     "", ",\"finish_reason\":\"stop\",\"prompt_tokens\":1,\"completion_tokens\":5"));
    reply_free(&reply);
    reply = stream(&rig, STREAM, "{\"text_input\":\"a\",\"max_tokens\":0}");
    ck_assert_str_eq(reply.body,
                     EVENT("", ",\"finish_reason\":\"length\",\"prompt_tokens\":1,\"completion_tokens\":0"));
    reply_free(&reply);
    reply = stream(&rig, "/v1/completions",
                   "{\"model\":\"chain\",\"prompt\":\"a\",\"max_tokens\":2,\"temperature\":0,\"stream\":true}");
    ck_assert_ptr_nonnull(
        strstr(reply.body, "\"choices\":[{\"text\":\"b\",\"index\":0,\"logprobs\":null,\"finish_reason\":null}]}\n\n"));
    ck_assert_ptr_nonnull(
        strstr(reply.body, "{\"text\":\"c\",\"index\":0,\"logprobs\":null,\"finish_reason\":\"length\"}]"));
    ck_assert_str_eq(reply.body + reply.n_bytes - 14, "data: [DONE]\n\n");
    reply_free(&reply);
    rig_expect(&rig, STREAM, "{\"text_input\":\"z\"}", 400, "the vocabulary does not have 'z'");
    rig_expect(&rig, "/v2/models/plain/generate_stream", "{\"text_input\":\"a\"}", 400, "has no 'generate'");
    rig_finish(&rig);
}
END_TEST

START_TEST(two_streams_follow_on_one_connection)
{
    static const char body[] = "{\"text_input\":\"a\",\"max_tokens\":40,\"temperature\":0}";
    struct rig rig;
    if (!begin(&rig))
        return;
    struct client client;
    ck_assert(client_open(&client, rig.port));
    for (int i = 0; i < 3; i++) {
        ck_assert(client_request(&client, "POST", STREAM, "", body, strlen(body)));
        struct reply reply = client_reply(&client);
        ck_assert_int_eq(reply.status, 200);
        ck_assert_ptr_nonnull(strstr(reply.body, "\"completion_tokens\":40}"));
        reply_free(&reply);
    }
    client_close(&client);
    rig_finish(&rig);
}
END_TEST

static void wait_for_none(const struct rig *rig)
{
    for (int waited_ms = 0; rig_metric(rig, "perceptd_requests_in_flight") > 0; waited_ms += 5) {
        ck_assert_int_lt(waited_ms, RIG_PATIENCE_MS);
        rig_pause(5);
    }
}

/* After so many bytes of the answer, more each time. */
START_TEST(who_leaves_a_stream_ends_it_wherever_he_does)
{
    static const char body[] = "{\"text_input\":\"a\",\"max_tokens\":500}";
    struct rig rig;
    if (!begin(&rig))
        return;
    for (size_t n = 0; n < 3000; n += RIG_SANITIZED ? 701 : 97) {
        struct client client;
        char some[3000];
        ck_assert(client_open(&client, rig.port));
        ck_assert(client_request(&client, "POST", STREAM, "", body, strlen(body)));
        for (size_t got = 0; got < n;) {
            const ssize_t more = read(client.fd, some, n - got);
            ck_assert_int_gt(more, 0);
            got += (size_t)more;
        }
        if (n % 2) { /* a reset instead of an end */
            const struct linger at_once = {.l_onoff = 1};
            setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        }
        client_close(&client);
    }
    wait_for_none(&rig);
    rig_expect(&rig, CHAIN, "{\"text_input\":\"a\",\"max_tokens\":1,\"temperature\":0}", 200, "\"b\"");
    rig_finish(&rig);
}
END_TEST

START_TEST(a_stop_lets_streams_end)
{
    static const char body[] = "{\"text_input\":\"a\",\"max_tokens\":300,\"temperature\":0}";
    struct rig rig;
    if (!begin(&rig))
        return;
    struct client clients[8];
    for (int i = 0; i < 8; i++) {
        ck_assert(client_open(&clients[i], rig.port));
        ck_assert(client_request(&clients[i], "POST", STREAM, "", body, strlen(body)));
    }
    while (rig_metric(&rig, "nv_inference_request_success{model=\"chain\"") < 8)
        rig_pause(1);
    kill(rig.pid, SIGTERM);
    for (int i = 0; i < 8; i++) {
        struct reply reply = client_reply(&clients[i]);
        ck_assert_int_eq(reply.status, 200);
        ck_assert_ptr_nonnull(strstr(reply.body, "\"completion_tokens\":300}"));
        reply_free(&reply);
        client_close(&clients[i]);
    }
    ck_assert_int_eq(rig_wait(&rig), 0);
    rig_end(&rig);
}
END_TEST

START_TEST(what_makes_no_sense_is_refused_with_a_sentence)
{
    static const struct {
        const char *path, *body;
        int status;
        const char *part;
    } cases[] = {
        {CHAIN, "", 400, ""},
        {CHAIN, "[]", 400, ""},
        {CHAIN, "{}", 400, "the prompt is empty"},
        {CHAIN, "{\"text_input\":\"\"}", 400, "the prompt is empty"},
        {CHAIN, "{\"text_input\":7}", 400, "a string as the prompt"},
        {CHAIN, "{\"text_input\":\"z\"}", 400, "the vocabulary does not have 'z'"},
        {CHAIN, "{\"text_input\":\"abc\"}", 413, "the prompt has 3 tokens; at most 2"},
        {CHAIN, "{\"text_input\":\"a\",\"max_tokens\":501}", 400, "of at most 500"},
        {CHAIN, "{\"text_input\":\"a\",\"max_tokens\":-1}", 400, "max_tokens"},
        {CHAIN, "{\"text_input\":\"a\",\"temperature\":-1}", 400, "temperature"},
        {CHAIN, "{\"text_input\":\"a\",\"temperature\":1e99}", 400, "temperature"},
        {CHAIN, "{\"text_input\":\"a\",\"temperature\":NaN}", 400, ""},
        {CHAIN, "{\"text_input\":\"a\",\"temperature\":\"hot\"}", 400, "temperature"},
        {CHAIN, "{\"text_input\":\"a\",\"top_p\":1.5}", 400, "top_p"},
        {CHAIN, "{\"text_input\":\"a\",\"repetition_penalty\":0}", 400, "repetition_penalty"},
        {CHAIN, "{\"text_input\":\"a\",\"stop\":5}", 400, ""},
        {CHAIN, "{\"text_input\":\"a\",\"stop\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]}", 400,
         "at most 8"},
        {CHAIN, "{\"text_input\":\"a\",\"n\":2}", 400, "one text is made"},
        {CHAIN, "{\"text_input\":\"a\"", 400, ""},
        {"/v2/models/plain/generate", "{\"text_input\":\"a\"}", 400, "its manifest has no 'generate'"},
        {"/v2/models/none/generate", "{\"text_input\":\"a\"}", 404, "'none'"},
        {"/v1/completions", "{\"prompt\":\"a\"}", 400, "no 'model'"},
        {"/v1/completions", "{\"model\":\"none\",\"prompt\":\"a\"}", 404, "'none'"},
        {"/v1/completions", "{\"model\":3,\"prompt\":\"a\"}", 400, "'model'"},
        {"/v1/completions", "{\"model\":\"../../etc\",\"prompt\":\"a\"}", 404, ""},
    };
    struct rig rig;
    if (!begin(&rig))
        return;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        rig_expect(&rig, cases[i].path, cases[i].body, cases[i].status, cases[i].part);
    rig_finish(&rig);
}
END_TEST

/* --- company ------------------------------------------------------------------------------------------------------ */

#define CROWD 64

static void seeded(char *body, size_t room, int seed)
{
    snprintf(body, room, "{\"text_input\":\"a\",\"max_tokens\":%d,\"temperature\":2.5,\"seed\":%d}",
             RIG_SANITIZED ? 30 : 200, seed);
}

START_TEST(a_seed_makes_the_same_text_whoever_shares_the_batches)
{
    static struct rig_post posts[CROWD];
    static char bodies[CROWD][120];
    struct reply alone[CROWD];
    struct rig rig;
    if (!begin(&rig))
        return;
    for (int i = 0; i < CROWD; i++) {
        seeded(bodies[i], sizeof bodies[i], i);
        posts[i] = (struct rig_post){
            .path = CHAIN, .type = "application/json", .body = bodies[i], .n_bytes = strlen(bodies[i])};
        alone[i] = rig_post_text(&rig, CHAIN, bodies[i]);
        ck_assert_int_eq(alone[i].status, 200);
    }
    ck_assert_str_ne(alone[0].body, alone[1].body);
    rig_crowd(&rig, CROWD, posts, CROWD);
    for (int i = 0; i < CROWD; i++) {
        ck_assert_str_eq(posts[i].reply.body, alone[i].body);
        reply_free(&alone[i]);
    }
    rig_finish(&rig);
}
END_TEST

START_TEST(who_hangs_up_stops_the_loop)
{
    static const char body[] = "{\"text_input\":\"a\",\"max_tokens\":500}";
    struct rig rig;
    if (!begin(&rig))
        return;
    for (int i = 0; i < 20; i++) {
        struct client client;
        ck_assert(client_open(&client, rig.port));
        ck_assert(client_request(&client, "POST", CHAIN, "", body, strlen(body)));
        client_close(&client);
    }
    wait_for_none(&rig);
    rig_expect(&rig, CHAIN, "{\"text_input\":\"a\",\"max_tokens\":1,\"temperature\":0}", 200, "\"b\"");
    rig_finish(&rig);
}
END_TEST

Suite *daemon_generating_suite(void)
{
    Suite *suite = suite_create("daemon_generating");
    TCase *tcase = tcase_create("generating");
    tcase_set_timeout(tcase, RIG_PATIENCE_MS / 1000 * 4);
    tcase_add_test(tcase, a_text_goes_on);
    tcase_add_test(tcase, an_end_token_ends_it_and_is_not_part_of_it);
    tcase_add_test(tcase, completions_are_answered_as_their_clients_expect);
    tcase_add_test(tcase, a_text_comes_token_by_token);
    tcase_add_test(tcase, two_streams_follow_on_one_connection);
    tcase_add_test(tcase, who_leaves_a_stream_ends_it_wherever_he_does);
    tcase_add_test(tcase, a_stop_lets_streams_end);
    tcase_add_test(tcase, what_makes_no_sense_is_refused_with_a_sentence);
    tcase_add_test(tcase, a_seed_makes_the_same_text_whoever_shares_the_batches);
    tcase_add_test(tcase, who_hangs_up_stops_the_loop);
    suite_add_tcase(suite, tcase);
    return suite;
}
