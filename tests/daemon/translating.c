/*
 * translating.c - texts that are made of texts, over HTTP: an encoder that reads once, a decoder that is asked step by
 * step, who shares their batches, and what is refused.
 *
 * The pair writes each letter of what it read as the next of "abcde", and ends where the text did. The encoder gives
 * the ids as notes, 0 where the mask has 0, and how many tokens there are; the decoder's state is the place in the
 * notes, so a wrong state, a feed of another caller's or a missing mask makes another text.
 */
#include "rig.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "graph/proto.h"

Suite *daemon_translating_suite(void);

#define LETTERS 7 /* a b c d e . and the pad */

static void node(struct proto *graph, const char *op, const char *inputs, const char *outputs)
{
    proto_add(graph, GRAPH_NODE, proto_node(op, "", inputs, outputs));
}

static void node_with_int(struct proto *graph, const char *op, const char *inputs, const char *outputs,
                          const char *attribute, int64_t value)
{
    struct proto made = proto_node(op, "", inputs, outputs);
    proto_attr_int(&made, attribute, value);
    proto_add(graph, GRAPH_NODE, made);
}

static void whole_number(struct proto *graph, const char *name, int64_t value)
{
    proto_add(graph, GRAPH_INITIALIZER, proto_tensor(name, PERCEPT_INT64, 1, (int64_t[]){1}, &value, sizeof value));
}

/* [batch, length], [batch, 1] or [batch, 1, LETTERS] */
static void value(struct proto *graph, uint32_t what, const char *name, enum percept_dtype dtype, const char *axes)
{
    const int rank = strcmp(axes, "batch,,") == 0 ? 3 : 2;
    const int64_t dims[] = {-1, strcmp(axes, "batch,length") == 0 ? -1 : 1, LETTERS};
    proto_add(graph, what, proto_value_named(name, dtype, rank, dims, axes));
}

static void write_model(const struct rig *rig, const char *name, const char *file, struct proto graph)
{
    char path[96];
    struct proto model = proto_model(graph, 13);
    free(rig_shell(NULL, "mkdir -p %s/models/%s", rig->folder, name));
    snprintf(path, sizeof path, "models/%s/%s", name, file);
    rig_write(rig, path, model.at, model.n);
    proto_free(&model);
}

/* notes = ids * mask; place = 0. */
static void write_encoder(const struct rig *rig, const char *name)
{
    struct proto graph = {0};
    node(&graph, "Mul", "ids,mask", "notes");
    node(&graph, "Sub", "lengths,lengths", "place");
    value(&graph, GRAPH_INPUT, "ids", PERCEPT_INT64, "batch,length");
    value(&graph, GRAPH_INPUT, "mask", PERCEPT_INT64, "batch,length");
    value(&graph, GRAPH_INPUT, "lengths", PERCEPT_INT64, "batch,");
    value(&graph, GRAPH_OUTPUT, "notes", PERCEPT_INT64, "batch,length");
    value(&graph, GRAPH_OUTPUT, "place", PERCEPT_INT64, "batch,");
    write_model(rig, name, "encoder.onnx", graph);
}

/* scores = next[notes[place]] + nothing[token]; after = min(place + 1, length - 1) */
static void write_decoder(const struct rig *rig, const char *name, const char *file)
{
    float next[LETTERS][LETTERS] = {{0}}, nothing[LETTERS][LETTERS] = {{0}};
    for (int i = 0; i < 5; i++)
        next[i][(i + 1) % 5] = 2;
    next[5][5] = 2;
    struct proto graph = {0};
    const int64_t dims[] = {LETTERS, LETTERS};
    proto_add(&graph, GRAPH_INITIALIZER, proto_tensor("next", PERCEPT_FLOAT, 2, dims, next, sizeof next));
    proto_add(&graph, GRAPH_INITIALIZER, proto_tensor("nothing", PERCEPT_FLOAT, 2, dims, nothing, sizeof nothing));
    whole_number(&graph, "one", 1);
    node_with_int(&graph, "GatherElements", "notes,place", "note", "axis", 1);
    node(&graph, "Gather", "next,note", "wanted");
    node(&graph, "Gather", "nothing,token", "none");
    node(&graph, "Add", "wanted,none", "scores");
    node(&graph, "Shape", "notes", "shape");
    node_with_int(&graph, "Gather", "shape,one", "length", "axis", 0);
    node(&graph, "Sub", "length,one", "last");
    node(&graph, "Add", "place,one", "after_this");
    node(&graph, "Min", "after_this,last", "after");
    value(&graph, GRAPH_INPUT, "token", PERCEPT_INT64, "batch,");
    value(&graph, GRAPH_INPUT, "notes", PERCEPT_INT64, "batch,length");
    value(&graph, GRAPH_INPUT, "place", PERCEPT_INT64, "batch,");
    value(&graph, GRAPH_OUTPUT, "scores", PERCEPT_FLOAT, "batch,,");
    value(&graph, GRAPH_OUTPUT, "after", PERCEPT_INT64, "batch,");
    write_model(rig, name, file, graph);
}

#define VOCABULARY "\"vocabulary\":[\"a\",\"b\",\"c\",\"d\",\"e\",\".\",\"<pad>\"]"
#define ENCODER(ends, more)                                                                                            \
    "\"encoder\":{\"inputs\":{\"ids\":{\"kind\":\"text\",\"tokenizer\":\"characters\"," VOCABULARY ",\"pad\":6,"       \
    "\"max_length\":12" ends "}},\"lengths\":\"lengths\",\"mask\":\"mask\"" more "}"
#define MANIFEST(generate, encoder)                                                                                    \
    "{\"manifest\":1,\"inputs\":{\"token\":{\"kind\":\"text\",\"tokenizer\":\"characters\"," VOCABULARY                \
    ",\"start\":5,\"end\":5,\"max_length\":12}},\"sequence\":{\"state\":[{\"input\":\"place\",\"output\":\"after\"}]}" \
    ","                                                                                                                \
    "\"generate\":{\"input\":\"token\",\"output\":\"scores\"," generate encoder "}}"

static void write_pair(const struct rig *rig, const char *name, const char *file, const char *manifest)
{
    char path[96];
    write_encoder(rig, name);
    write_decoder(rig, name, file);
    snprintf(path, sizeof path, "models/%s/manifest.json", name);
    rig_write(rig, path, manifest, strlen(manifest));
}

static bool begin(struct rig *rig)
{
    if (!rig_is_there())
        return false;
    rig_begin(rig);
    write_pair(rig, "shift", "decoder.onnx", MANIFEST("\"max_new_tokens\":500,", ENCODER(",\"end\":5", "")));
    write_pair(rig, "padded", "model.onnx", MANIFEST("", ENCODER(",\"end\":5,\"multiple_of\":4", "")));
    write_pair(rig, "endless", "decoder.onnx", MANIFEST("\"max_new_tokens\":400,", ENCODER("", "")));
    rig_start(rig, "%s/models", rig->folder);
    return true;
}

#define SHIFT "/v2/models/shift/generate"
#define BEST ",\"temperature\":0}"

START_TEST(a_text_is_read_once_and_another_is_made)
{
    struct rig rig;
    if (!begin(&rig))
        return;
    rig_expect(&rig, SHIFT, "{\"text_input\":\"abce\"" BEST, 200,
               "\"text_output\":\"bcda\",\"finish_reason\":\"stop\",\"prompt_tokens\":5,\"completion_tokens\":4}");
    rig_expect(&rig, SHIFT, "{\"text_input\":\"abce\",\"max_tokens\":2" BEST, 200,
               "\"text_output\":\"bc\",\"finish_reason\":\"length\"");
    rig_expect(&rig, SHIFT, "{\"text_input\":\"abce\",\"stop\":\"da\"" BEST, 200,
               "\"text_output\":\"bc\",\"finish_reason\":\"stop\"");
    rig_expect(&rig, SHIFT, "{\"text_input\":\"abce\",\"echo\":true" BEST, 200, "\"text_output\":\"abcebcda\"");
    rig_expect(&rig, SHIFT, "{\"text_input\":\"a\",\"max_tokens\":0" BEST, 200, "\"text_output\":\"\"");
    rig_expect(&rig, "/v2/models/padded/generate", "{\"text_input\":\"abcedab\"" BEST, 200,
               "\"text_output\":\"bcdaebc\",\"finish_reason\":\"stop\",\"prompt_tokens\":8");
    rig_expect(&rig, "/v2/models/padded/generate", "{\"text_input\":\"ab\"" BEST, 200,
               "\"text_output\":\"bc\",\"finish_reason\":\"stop\",\"prompt_tokens\":3");
    rig_expect(&rig, "/v1/completions", "{\"model\":\"shift\",\"prompt\":\"cd\"" BEST, 200,
               "\"choices\":[{\"text\":\"de\",\"index\":0,\"logprobs\":null,\"finish_reason\":\"stop\"}],"
               "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}");
    struct reply told = rig_get(&rig, "/v2/models/shift");
    ck_assert_msg(strstr(told.body, "\"generate\":true,\"encoder\":true"), "%s", told.body);
    reply_free(&told);
    rig_finish(&rig);
}
END_TEST

#define EVENT(text, rest)                                                                                              \
    "data: {\"model_name\":\"shift\",\"model_version\":\"1\",\"text_output\":\"" text "\"" rest "}\n\n"

START_TEST(it_comes_token_by_token)
{
    static const char body[] = "{\"text_input\":\"ab\"" BEST;
    struct rig rig;
    if (!begin(&rig))
        return;
    struct reply reply = rig_ask(&rig, "POST", "/v2/models/shift/generate_stream", "", body, strlen(body));
    ck_assert_int_eq(reply.status, 200);
    ck_assert_str_eq(reply.body, EVENT("b", "") EVENT("c", "") EVENT(
                                     "", ",\"finish_reason\":\"stop\",\"prompt_tokens\":3,\"completion_tokens\":2"));
    reply_free(&reply);
    rig_finish(&rig);
}
END_TEST

/* --- several texts ------------------------------------------------------------------------------------------------ */

START_TEST(a_search_finds_the_best_and_others)
{
    struct rig rig;
    if (!begin(&rig))
        return;
    rig_expect(&rig, SHIFT, "{\"text_input\":\"abce\",\"num_beams\":4}", 200,
               "\"text_output\":\"bcda\",\"finish_reason\":\"stop\",\"prompt_tokens\":5,\"completion_tokens\":4}");
    /* the others have a letter more, which is as likely as any: by the lower index */
    rig_expect(
        &rig, SHIFT, "{\"text_input\":\"ab\",\"num_beams\":3,\"num_return_sequences\":3}", 200,
        "\"text_output\":[\"bc\",\"bca\",\"bcb\"],\"finish_reason\":[\"stop\",\"stop\",\"stop\"],\"scores\":[-0.");
    rig_expect(&rig, SHIFT, "{\"text_input\":\"abce\",\"beam_width\":2,\"max_tokens\":2}", 200,
               "\"text_output\":\"bc\",\"finish_reason\":\"length\"");
    rig_expect(&rig, SHIFT, "{\"text_input\":\"abce\",\"num_beams\":2,\"stop\":\"d\"}", 200,
               "\"text_output\":\"bc\",\"finish_reason\":\"stop\"");
    rig_expect(&rig, SHIFT, "{\"text_input\":\"ab\",\"num_beams\":2,\"n\":2,\"max_tokens\":0}", 200,
               "\"text_output\":\"\"");
    rig_expect(&rig, "/v2/models/endless/generate", "{\"text_input\":\"ab\",\"num_beams\":32,\"max_tokens\":60}", 200,
               "\"completion_tokens\"");
    rig_expect(&rig, "/v1/completions", "{\"model\":\"shift\",\"prompt\":\"ab\",\"num_beams\":3,\"n\":2}", 200,
               "\"choices\":[{\"text\":\"bc\",\"index\":0,\"logprobs\":null,\"finish_reason\":\"stop\"},"
               "{\"text\":\"bca\",\"index\":1,\"logprobs\":null,\"finish_reason\":\"stop\"}],"
               "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":5,\"total_tokens\":8}}");
    struct reply reply =
        rig_post_text(&rig, "/v2/models/shift/generate_stream", "{\"text_input\":\"ab\",\"num_beams\":3}");
    ck_assert_str_eq(reply.body,
                     EVENT("bc", ",\"finish_reason\":\"stop\",\"prompt_tokens\":3,\"completion_tokens\":2"));
    reply_free(&reply);
    rig_finish(&rig);
}
END_TEST

/* --- what is refused ---------------------------------------------------------------------------------------------- */

START_TEST(what_cannot_be_read_is_refused_with_a_sentence)
{
    static const struct {
        const char *body;
        int status;
        const char *part;
    } cases[] = {
        {"{}", 400, "the text is empty"},
        {"{\"text_input\":\"\"}", 400, "the text is empty"},
        {"{\"text_input\":\"z\"}", 400, "the vocabulary does not have 'z'"},
        {"{\"text_input\":\"\\ud800\"}", 400, ""},
        {"{\"text_input\":\"aaaaaaaaaaa\"" BEST, 200, "\"bbbbbbbbbbb\""}, /* eleven letters and the end */
        {"{\"text_input\":\"aaaaaaaaaaaa\"}", 413, "the text has more than 11 tokens"},
        {"{\"text_input\":\"a\",\"max_tokens\":501}", 400, "of at most 500"},
        {"{\"text_input\":\"a\",\"num_beams\":33}", 400, "of at most 32"},
        {"{\"text_input\":\"a\",\"num_beams\":0}", 400, "at least 1"},
        {"{\"text_input\":\"a\",\"n\":2}", 400, "2 texts are asked for, and one text is made"},
        {"{\"text_input\":\"a\",\"n\":5,\"num_beams\":4}", 400, "fewer are searched for"},
        {"{\"text_input\":\"a\",\"num_beams\":4,\"length_penalty\":\"x\"}", 400, "length_penalty"},
    };
    struct rig rig;
    if (!begin(&rig))
        return;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        rig_expect(&rig, SHIFT, cases[i].body, cases[i].status, cases[i].part);
    char *body = malloc(300000);
    memset(body, 'a', 300000);
    memcpy(body, "{\"text_input\":\"", 15);
    memcpy(body + 299998, "\"}", 2);
    struct reply reply = rig_ask(&rig, "POST", SHIFT, "", body, 300000);
    ck_assert_msg(reply.status == 413 && strstr(reply.body, "more than 11 tokens"), "%d: %s", reply.status, reply.body);
    reply_free(&reply);
    free(body);
    rig_finish(&rig);
}
END_TEST

START_TEST(a_loop_whose_end_never_comes_ends_by_its_length)
{
    struct rig rig;
    if (!begin(&rig))
        return;
    rig_expect(&rig, "/v2/models/endless/generate", "{\"text_input\":\"ab\"" BEST, 200,
               "\"finish_reason\":\"length\",\"prompt_tokens\":2,\"completion_tokens\":256}");
    rig_expect(&rig, "/v2/models/endless/generate", "{\"text_input\":\"ab\",\"max_tokens\":400" BEST, 200,
               "\"completion_tokens\":400}");
    rig_finish(&rig);
}
END_TEST

/* Each has its own folder, and what the log says of it. */
START_TEST(what_does_not_fit_is_refused_at_the_start)
{
    static const struct {
        const char *name, *manifest, *says;
    } cases[] = {
        {"nofile", MANIFEST("", ENCODER("", ",\"file\":\"none.onnx\"")), "none.onnx"},
        {"nolengths",
         MANIFEST("", "\"encoder\":{\"inputs\":{\"ids\":{\"kind\":\"text\",\"tokenizer\":\"characters\"," VOCABULARY
                      ",\"max_length\":9}},\"mask\":\"mask\"}"),
         "its input 'lengths' is neither the text nor named as"},
        {"notthere", MANIFEST("", ENCODER("", ",\"feeds\":{\"notes\":\"noted\"}")),
         "generate.encoder.feeds.notes: the encoder has no output or input 'noted'"},
        {"nobody", MANIFEST("", ENCODER("", ",\"feeds\":{\"nobody\":\"notes\"}")), "the model has no input 'nobody'"},
        {"token", MANIFEST("", ENCODER("", ",\"feeds\":{\"token\":\"ids\"}")), "the model has no input 'token'"},
    };
    struct rig rig;
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        write_pair(&rig, cases[i].name, "decoder.onnx", cases[i].manifest);
    write_pair(&rig, "shift", "decoder.onnx", MANIFEST("", ENCODER("", "")));
    rig_start(&rig, "%s/models", rig.folder);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[96];
        snprintf(path, sizeof path, "/v2/models/%s/generate", cases[i].name);
        rig_expect(&rig, path, "{\"text_input\":\"a\"}", 503, cases[i].says);
    }
    rig_finish(&rig);
}
END_TEST

/* --- company ------------------------------------------------------------------------------------------------------ */

#define CROWD 64

static void seeded(char *body, size_t room, int seed)
{
    static const char letters[] = "abcdeabcdeab";
    const int n = 2 + seed % 9;
    if (seed % 4 == 3)
        snprintf(body, room, "{\"text_input\":\"%.*s\",\"num_beams\":%d,\"n\":2}", n, letters + seed % 2, 2 + seed % 5);
    else
        snprintf(body, room,
                 "{\"text_input\":\"%.*s\",\"temperature\":1.5,\"top_k\":5,\"repetition_penalty\":1.1,\"seed\":%d}", n,
                 letters + seed % 2, seed);
}

static void expect_alike(const char *path)
{
    static struct rig_post posts[CROWD];
    static char bodies[CROWD][140];
    struct reply alone[CROWD];
    struct rig rig;
    if (!begin(&rig))
        return;
    for (int i = 0; i < CROWD; i++) {
        seeded(bodies[i], sizeof bodies[i], i);
        posts[i] = (struct rig_post){
            .path = path, .type = "application/json", .body = bodies[i], .n_bytes = strlen(bodies[i])};
        alone[i] = rig_post_text(&rig, path, bodies[i]);
        ck_assert_msg(alone[i].status == 200, "%s", alone[i].body);
    }
    rig_crowd(&rig, CROWD, posts, CROWD);
    for (int i = 0; i < CROWD; i++) {
        ck_assert_str_eq(posts[i].reply.body, alone[i].body);
        reply_free(&alone[i]);
    }
    rig_finish(&rig);
}

START_TEST(a_seed_makes_the_same_text_whoever_shares_the_batches)
{
    expect_alike(SHIFT);
}
END_TEST

START_TEST(pads_change_nothing_of_that)
{
    expect_alike("/v2/models/padded/generate");
}
END_TEST

static void wait_for_none(const struct rig *rig)
{
    for (int waited_ms = 0; rig_metric(rig, "perceptd_requests_in_flight") > 0; waited_ms += 5) {
        ck_assert_int_lt(waited_ms, RIG_PATIENCE_MS);
        rig_pause(5);
    }
}

START_TEST(callers_join_and_leave_while_others_stream)
{
    static const char body[] = "{\"text_input\":\"ab\",\"max_tokens\":400" BEST;
    struct client clients[16];
    struct rig rig;
    if (!begin(&rig))
        return;
    for (int i = 0; i < 16; i++) {
        ck_assert(client_open(&clients[i], rig.port));
        ck_assert(client_request(&clients[i], "POST", "/v2/models/endless/generate_stream", "", body, strlen(body)));
        if (i % 2)
            client_close(&clients[i]);
    }
    for (int i = 0; i < 16; i += 2) {
        struct reply reply = client_reply(&clients[i]);
        ck_assert_int_eq(reply.status, 200);
        ck_assert_ptr_nonnull(strstr(reply.body, "\"completion_tokens\":400}"));
        reply_free(&reply);
        client_close(&clients[i]);
    }
    wait_for_none(&rig);
    rig_finish(&rig);
}
END_TEST

/* Both networks are replaced together, and what was begun goes on with those that it had. */
START_TEST(a_reload_replaces_both)
{
    struct rig rig;
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    write_pair(&rig, "shift", "decoder.onnx", MANIFEST("", ENCODER(",\"end\":5", "")));
    rig_start(&rig, "%s/models --admin", rig.folder);
    for (int i = 0; i < 3; i++) {
        rig_expect(&rig, SHIFT, "{\"text_input\":\"abce\"" BEST, 200, "\"bcda\"");
        rig_expect(&rig, "/v2/repository/models/shift/load", "{}", 200, "");
    }
    rig_expect(&rig, SHIFT, "{\"text_input\":\"abce\"" BEST, 200, "\"bcda\"");
    rig_expect(&rig, "/v2/repository/models/shift/unload", "{}", 200, "");
    rig_finish(&rig);
}
END_TEST

Suite *daemon_translating_suite(void)
{
    Suite *suite = suite_create("daemon_translating");
    TCase *tcase = tcase_create("translating");
    tcase_set_timeout(tcase, RIG_PATIENCE_MS / 1000 * 4);
    tcase_add_test(tcase, a_text_is_read_once_and_another_is_made);
    tcase_add_test(tcase, it_comes_token_by_token);
    tcase_add_test(tcase, a_search_finds_the_best_and_others);
    tcase_add_test(tcase, what_cannot_be_read_is_refused_with_a_sentence);
    tcase_add_test(tcase, a_loop_whose_end_never_comes_ends_by_its_length);
    tcase_add_test(tcase, what_does_not_fit_is_refused_at_the_start);
    tcase_add_test(tcase, a_seed_makes_the_same_text_whoever_shares_the_batches);
    tcase_add_test(tcase, pads_change_nothing_of_that);
    tcase_add_test(tcase, callers_join_and_leave_while_others_stream);
    tcase_add_test(tcase, a_reload_replaces_both);
    suite_add_tcase(suite, tcase);
    return suite;
}
