/* companion.c - what feeds what, found by name when both networks are there, and what does not fit. */
#include "serve/companion.h"

#include "base/err.h"
#include "fake_model.h"
#include "folder.h"
#include "graph/proto.h"

#include <check.h>
#include <string.h>

Suite *serve_companion_suite(void);

static struct fake_model *fake;
static struct percept_err err;

/* The encoder: notes = ids, h = lengths. */
static void write_encoder(void)
{
    struct proto graph = {0};
    const int64_t free[] = {-1, -1};
    proto_add(&graph, GRAPH_NODE, proto_node("Identity", "", "ids", "notes"));
    proto_add(&graph, GRAPH_NODE, proto_node("Identity", "", "lengths", "h"));
    proto_add(&graph, GRAPH_INPUT, proto_value_named("ids", PERCEPT_INT64, 2, free, "n,length"));
    proto_add(&graph, GRAPH_INPUT, proto_value_named("lengths", PERCEPT_INT32, 1, free, "n"));
    proto_add(&graph, GRAPH_OUTPUT, proto_value_named("notes", PERCEPT_INT64, 2, free, "n,length"));
    proto_add(&graph, GRAPH_OUTPUT, proto_value_named("h", PERCEPT_INT32, 1, free, "n"));
    struct proto model = proto_model(graph, 13);
    folder_put("m/encoder.onnx", model.at, model.n);
    proto_free(&model);
}

#define MANIFEST(lengths, more)                                                                                        \
    "{\"manifest\":1,\"generate\":{\"input\":\"token\",\"output\":\"scores\",\"encoder\":{\"inputs\":{\"ids\":{"       \
    "\"kind\":\"text\",\"tokenizer\":\"characters\",\"vocabulary\":[\"-\",\"a\",\"b\"],\"pad\":0,\"multiple_of\":4,"   \
    "\"max_length\":8}}" lengths more "}}}"
#define LENGTHS ",\"lengths\":\"lengths\""

static void read_manifest(const char *text)
{
    struct percept_err own = {0};
    struct manifest *manifest = manifest_new(&fake->served.arena, NULL);
    ck_assert_msg(manifest_read_text(manifest, text, "m/manifest.json", &fake->served.arena, &own), "%s", own.text);
    fake->served.manifest = manifest;
}

static void setup(void)
{
    folder_begin("companion");
    write_encoder();
    err = (struct percept_err){0};
    fake = fake_model_new("m");
    fake_model_input(fake, "token", PERCEPT_INT64, 2, (int64_t[]){-1, 1});
    fake_model_input(fake, "notes", PERCEPT_INT64, 2, (int64_t[]){-1, -1});
    fake_model_input(fake, "first", PERCEPT_INT32, 1, (int64_t[]){-1});
    fake_model_input(fake, "lengths", PERCEPT_INT32, 1, (int64_t[]){-1});
    fake_model_output(fake, "scores", PERCEPT_FLOAT, 2, (int64_t[]){-1, 3});
}

static void teardown(void)
{
    companion_close(&fake->served);
    arena_free(&fake->served.arena);
    fake_model_free(fake);
    folder_end();
}

static bool load(void)
{
    const struct percept_options options = {.size = sizeof options, .region = PERCEPT_REGION_PRIVATE};
    return companion_load(&fake->served, folder_at("m/decoder.onnx"), &options, 8, &err);
}

START_TEST(a_model_without_an_encoder_has_none)
{
    read_manifest("{\"manifest\":1}");
    ck_assert(load());
    ck_assert_ptr_null(fake->served.companion);
    ck_assert(companion_rests(&fake->served) && companion_bytes(&fake->served) == 0);
    ck_assert(companion_open(&fake->served, NULL, NULL, &err));
    companion_part(&fake->served);
    ck_assert(!companion_feeds(NULL, 0));
}
END_TEST

START_TEST(what_has_one_name_is_fed_and_the_rest_as_it_is_said)
{
    read_manifest(MANIFEST(LENGTHS, ",\"feeds\":{\"first\":\"h\"}"));
    ck_assert_msg(load(), "%s", err.text);
    const struct companion *companion = fake->served.companion;
    ck_assert(!companion_feeds(companion, 0));
    ck_assert(companion_feeds(companion, 1) && companion->feeds[1].output == 0);
    ck_assert(companion_feeds(companion, 2) && companion->feeds[2].output == 1);
    ck_assert(companion_feeds(companion, 3) && companion->feeds[3].output == -1 && companion->feeds[3].input == 1);
    ck_assert(companion->text == 0 && companion->lengths == 1 && companion->mask == -1);
    ck_assert(companion->served.batching && companion->served.max_batch_size == 8);
    ck_assert(companion_rests(&fake->served));
}
END_TEST

START_TEST(what_does_not_fit_is_said)
{
    static const struct {
        const char *manifest, *says;
    } cases[] = {
        {MANIFEST("", ""), "its input 'lengths' is neither the text nor named"},
        {MANIFEST(",\"lengths\":\"none\"", ""), "generate.encoder.lengths: the encoder has no input 'none'"},
        {MANIFEST(",\"lengths\":\"ids\"", ""), "generate.encoder.lengths: 'ids' takes int64, which can be none"},
        {MANIFEST(LENGTHS, ",\"mask\":\"none\""), "generate.encoder.mask: the encoder has no input 'none'"},
        {MANIFEST(LENGTHS, ",\"feeds\":{\"first\":\"none\"}"),
         "feeds.first: the encoder has no output or input 'none'"},
        {MANIFEST(LENGTHS, ",\"feeds\":{\"first\":\"notes\"}"), "'notes' has another type or shape than input 'first'"},
        {MANIFEST(LENGTHS, ",\"feeds\":{\"none\":\"h\"}"), "the model has no input 'none' that could be fed"},
        {MANIFEST(LENGTHS, ",\"feeds\":{\"token\":\"ids\"}"), "the model has no input 'token' that could be fed"},
        {MANIFEST(LENGTHS, ",\"file\":\"none.onnx\""), "none.onnx"},
        {"{\"manifest\":1,\"generate\":{\"input\":\"token\",\"output\":\"scores\",\"encoder\":{\"inputs\":{\"ids\":{"
         "\"kind\":\"tensor\"}},\"lengths\":\"lengths\"}}}",
         "one of them must be described as a text"},
        {"{\"manifest\":1,\"generate\":{\"input\":\"token\",\"output\":\"scores\",\"encoder\":{\"inputs\":{\"x\":{"
         "\"kind\":\"tensor\"}}}}}",
         "the model has no input 'x'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        read_manifest(cases[i].manifest);
        ck_assert_msg(!load() && strstr(err.text, cases[i].says), "%zu: %s", i, err.text);
        companion_close(&fake->served);
    }
}
END_TEST

Suite *serve_companion_suite(void)
{
    Suite *suite = suite_create("serve_companion");
    TCase *tcase = tcase_create("companion");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_model_without_an_encoder_has_none);
    tcase_add_test(tcase, what_has_one_name_is_fed_and_the_rest_as_it_is_said);
    tcase_add_test(tcase, what_does_not_fit_is_said);
    suite_add_tcase(suite, tcase);
    return suite;
}
