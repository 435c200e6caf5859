/*
 * strings.c - tensors of texts through the whole program: BYTES as JSON and as bytes, in both
 * directions, joined with those of others, and what hostile or mistaken clients send instead.
 *
 * Two networks: "ranks" finds the rank of a size and its long name, "echo" gives words back and
 * says which are "yes".
 */
#include "rig.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/proto.h"

#define RANKS "/v2/models/ranks/infer"
#define ECHO "/v2/models/echo/infer"
#define OMEGA "\xce\xa9"

static const int64_t any[1] = {-1};

static void write_model(const struct rig *rig, const char *name, struct proto graph)
{
    struct proto model = proto_model(graph, 13);
    proto_add(&model, MODEL_OPSET_IMPORT, proto_opset("ai.onnx.ml", 2));
    rig_write(rig, name, model.at, model.n);
    proto_free(&model);
}

static struct proto ranks(void)
{
    static const char *const sizes[] = {"S", "M", "L", "", OMEGA};
    static const char *const names[] = {"small", "medium", "large", "none", "\"" OMEGA "\"\n"};
    struct proto graph = {0}, rank = proto_ml("LabelEncoder", "size", "rank");
    struct proto name = proto_ml("LabelEncoder", "size", "name");
    proto_attr_texts(&rank, "keys_strings", 5, sizes);
    proto_attr_ints(&rank, "values_int64s", 5, (const int64_t[]){0, 1, 2, 3, 4});
    proto_attr_texts(&name, "keys_strings", 5, sizes);
    proto_attr_texts(&name, "values_strings", 5, names);
    proto_attr_text(&name, "default_string", "?");
    proto_add(&graph, GRAPH_NODE, rank);
    proto_add(&graph, GRAPH_NODE, name);
    proto_add(&graph, GRAPH_INPUT, proto_value("size", PERCEPT_STRING, 1, any));
    proto_add(&graph, GRAPH_OUTPUT, proto_value("rank", PERCEPT_INT64, 1, any));
    proto_add(&graph, GRAPH_OUTPUT, proto_value("name", PERCEPT_STRING, 1, any));
    return graph;
}

static struct proto echo(void)
{
    struct proto graph = {0}, answers = proto_ml("LabelEncoder", "x", "is");
    proto_attr_texts(&answers, "keys_strings", 1, (const char *const[]){"yes"});
    proto_attr_ints(&answers, "values_int64s", 1, (const int64_t[]){1});
    proto_add(&graph, GRAPH_NODE, proto_node("Identity", "", "x", "y"));
    proto_add(&graph, GRAPH_NODE, answers);
    proto_add(&graph, GRAPH_INPUT, proto_value("x", PERCEPT_STRING, 2, (const int64_t[]){-1, 2}));
    proto_add(&graph, GRAPH_OUTPUT, proto_value("y", PERCEPT_STRING, 2, (const int64_t[]){-1, 2}));
    proto_add(&graph, GRAPH_OUTPUT, proto_value("is", PERCEPT_INT64, 2, (const int64_t[]){-1, 2}));
    return graph;
}

static bool begin(struct rig *rig, const char *more)
{
    if (!rig_is_there())
        return false;
    rig_begin(rig);
    write_model(rig, "ranks.onnx", ranks());
    write_model(rig, "echo.onnx", echo());
    rig_start(rig, "%s/ranks.onnx %s/echo.onnx --no-learn %s", rig->folder, rig->folder, more);
    return true;
}

static void expect(const struct rig *rig, const char *path, const char *body, const char *part)
{
    struct reply reply = rig_ask(rig, "POST", path, "", body, strlen(body));
    ck_assert_msg(reply.status == 200 && strstr(reply.body, part), "%s gives %d: %s", body, reply.status, reply.body);
    reply_free(&reply);
}

#define ASKED(shape, data)                                                                                             \
    "{\"inputs\":[{\"name\":\"size\",\"shape\":[" shape "],\"datatype\":\"BYTES\",\"data\":" data "}]}"

START_TEST(texts_come_and_go_as_json)
{
    struct rig rig;
    if (!begin(&rig, ""))
        return;
    struct reply meta = rig_get(&rig, "/v2/models/ranks");
    ck_assert_ptr_nonnull(strstr(meta.body, "\"inputs\":[{\"name\":\"size\",\"datatype\":\"BYTES\",\"shape\":[-1]}]"));
    ck_assert_ptr_nonnull(strstr(meta.body, "{\"name\":\"name\",\"datatype\":\"BYTES\",\"shape\":[-1]}"));
    reply_free(&meta);
    expect(&rig, RANKS, ASKED("3", "[\"M\",\"\",\"XXL\"]"),
           "\"outputs\":[{\"name\":\"rank\",\"datatype\":\"INT64\",\"shape\":[3],\"data\":[1,3,-1]},"
           "{\"name\":\"name\",\"datatype\":\"BYTES\",\"shape\":[3],\"data\":[\"medium\",\"none\",\"?"
           "\"]}]");
    expect(&rig, RANKS, ASKED("2", "[\"" OMEGA "\",\"\\u03a9\"]"),
           "[4,4]},{\"name\":\"name\",\"datatype\":\"BYTES\",\"shape\":[2],\"data\":"
           "[\"\\\"" OMEGA "\\\"\\n\",\"\\\"" OMEGA "\\\"\\n\"]}");
    expect(&rig, RANKS, ASKED("1", "[\"S\\u0000\"]"), "[-1]}"); /* a NUL is a character, not an end */
    expect(&rig, ECHO,
           "{\"inputs\":[{\"name\":\"x\",\"shape\":[2,2],\"datatype\":\"BYTES\","
           "\"data\":[[\"a\\u0000b\",\"\\ud83d\\ude00\"],[\"yes\",\"\"]]}]}",
           "\"data\":[\"a\\u0000b\",\"\xf0\x9f\x98\x80\",\"yes\",\"\"]},"
           "{\"name\":\"is\",\"datatype\":\"INT64\",\"shape\":[2,2],\"data\":[-1,-1,1,-1]}");
    rig_finish(&rig);
}
END_TEST

/* The JSON of a request whose only input has so many bytes behind it. */
static int binary_head(char *to, size_t room, const char *input, const char *shape, size_t n_bytes)
{
    return snprintf(to, room,
                    "{\"inputs\":[{\"name\":\"%s\",\"shape\":[%s],\"datatype\":\"BYTES\",\"parameters\":"
                    "{\"binary_data_size\":%zu}}],\"parameters\":{\"binary_data_output\":true}}",
                    input, shape, n_bytes);
}

static struct reply ask_binary(const struct rig *rig, const char *path, const char *input, const char *shape,
                               const void *raw, size_t n_bytes)
{
    char body[1024], more[64];
    int n = binary_head(body, sizeof body - n_bytes, input, shape, n_bytes);
    memcpy(body + n, raw, n_bytes);
    snprintf(more, sizeof more, "Inference-Header-Content-Length: %d\r\n", n);
    return rig_ask(rig, "POST", path, more, body, (size_t)n + n_bytes);
}

START_TEST(texts_come_and_go_as_bytes)
{
    static const char raw[] = "\3\0\0\0\xff\0z" /* no UTF-8, a NUL within */
                              "\0\0\0\0"
                              "\3\0\0\0yes"
                              "\2\0\0\0" OMEGA;
    struct rig rig;
    if (!begin(&rig, ""))
        return;
    struct reply reply = ask_binary(&rig, ECHO, "x", "2,2", raw, sizeof raw - 1);
    ck_assert_msg(reply.status == 200, "%s", reply.body);
    ck_assert_msg(strstr(reply.body, "\"parameters\":{\"binary_data_size\":24}}") != NULL, "%s", reply.body);
    const char *tail = reply.body + reply.n_bytes - (sizeof raw - 1) - 4 * 8;
    ck_assert_mem_eq(tail, raw, sizeof raw - 1);
    const int64_t is[] = {-1, -1, 1, -1};
    ck_assert_mem_eq(tail + sizeof raw - 1, is, sizeof is);
    reply_free(&reply);
    rig_finish(&rig);
}
END_TEST

/* Sizes that lie about what follows, and JSON that is no text. Each is told, and nobody else
 * notices. */
START_TEST(what_is_no_tensor_of_texts_is_told)
{
    static const struct {
        const char *shape, *data, *part;
    } json[] = {
        {"2", "[\"S\"]", "has at most 1 elements of 2"},
        {"1", "[\"S\",\"M\"]", "has more than 1 elements"},
        {"1", "[7]", "element 0 is not a string of BYTES"},
        {"1", "[null]", "element 0 is not a string of BYTES"},
        {"1", "[\"\xff\"]", "at byte"},
        {"1", "[\"\xed\xa0\x80\"]", "at byte"},
        {"1", "[\"\\ud800\"]", "half a surrogate pair"},
        {"1", "[\"S\"", "at byte"},
        {"4611686018427387904", "[\"S\"]", "batch-size must be <="},
    };
    static const struct {
        const char *shape;
        const char *raw;
        size_t n;
        const char *part;
    } binary[] = {
        {"1", "\0\0\0\x80zz", 6, "element 0 of 1 ends past"}, /* 2^31 */
        {"1", "\xff\xff\xff\xffzz", 6, "element 0 of 1 ends past"},
        {"1", "\3\0\0\0zz", 6, "element 0 of 1 ends past"},
        {"2", "\2\0\0\0zz\1\0", 8, "element 1 of 2 ends past"},
        {"1", "\1\0\0\0zz", 6, "1 bytes follow its 1"},
        {"2", "\2\0\0\0zz", 6, "Expected at least 8, got 6"},
        {"4611686018427387904", "\0\0\0\0", 4, "batch-size must be <="},
    };
    struct rig rig;
    if (!begin(&rig, ""))
        return;
    for (size_t i = 0; i < sizeof json / sizeof *json; i++) {
        char body[256];
        snprintf(body, sizeof body,
                 "{\"inputs\":[{\"name\":\"size\",\"shape\":[%s],\"datatype\":\"BYTES\",\"data\":%s}]}", json[i].shape,
                 json[i].data);
        struct reply reply = rig_ask(&rig, "POST", RANKS, "", body, strlen(body));
        ck_assert_msg(reply.status == 400 && strstr(reply.body, json[i].part), "%s gives %d: %s", body, reply.status,
                      reply.body);
        reply_free(&reply);
    }
    for (size_t i = 0; i < sizeof binary / sizeof *binary; i++) {
        struct reply reply = ask_binary(&rig, RANKS, "size", binary[i].shape, binary[i].raw, binary[i].n);
        ck_assert_msg(reply.status == 400 && strstr(reply.body, binary[i].part), "row %zu gives %d: %s", i,
                      reply.status, reply.body);
        reply_free(&reply);
    }
    expect(&rig, RANKS, ASKED("1", "[\"L\"]"), "\"data\":[2]");
    rig_finish(&rig);
}
END_TEST

/* Everybody's texts are of other lengths, and everybody gets their own back, whoever else is in the
 * batch. */
START_TEST(texts_of_many_clients_share_batches)
{
    enum { POSTS = 240, CLIENTS = 12 };
    struct rig rig;
    if (!begin(&rig, "--max-queue-delay-us 20000"))
        return;
    struct rig_post *posts = rig_keep(calloc(POSTS, sizeof *posts));
    for (int i = 0; i < POSTS; i++) {
        char *body = rig_keep(malloc(512));
        snprintf(body, 512,
                 "{\"inputs\":[{\"name\":\"x\",\"shape\":[2,2],\"datatype\":\"BYTES\",\"data\":[\"%"
                 "d\",\"%.*s\",\"%s\","
                 "\"end of %d\"]}],\"outputs\":[{\"name\":\"y\"}]}",
                 i, i % 60, "------------------------------------------------------------", i % 3 ? "yes" : "", i);
        posts[i] = (struct rig_post){.path = ECHO, .type = "application/json", .body = body, .n_bytes = strlen(body)};
    }
    rig_crowd(&rig, CLIENTS, posts, POSTS);
    for (int i = 0; i < POSTS; i++) {
        char want[256];
        snprintf(want, sizeof want, "\"shape\":[2,2],\"data\":[\"%d\",\"%.*s\",\"%s\",\"end of %d\"]", i, i % 60,
                 "------------------------------------------------------------", i % 3 ? "yes" : "", i);
        ck_assert_msg(posts[i].reply.status == 200 && strstr(posts[i].reply.body, want), "%d gives %d: %s", i,
                      posts[i].reply.status, posts[i].reply.body);
    }
    ck_assert_msg(rig_metric(&rig, "nv_inference_exec_count{model=\"echo\"") < POSTS, "no two were in one batch");
    rig_finish(&rig);
}
END_TEST

Suite *daemon_strings_suite(void);

Suite *daemon_strings_suite(void)
{
    Suite *suite = suite_create("daemon_strings");
    TCase *tests = tcase_create("strings");
    tcase_add_test(tests, texts_come_and_go_as_json);
    tcase_add_test(tests, texts_come_and_go_as_bytes);
    tcase_add_test(tests, what_is_no_tensor_of_texts_is_told);
    tcase_add_test(tests, texts_of_many_clients_share_batches);
    tcase_set_timeout(tests, RIG_PATIENCE_MS / 1000 * 4);
    suite_add_tcase(suite, tests);
    return suite;
}
