/*
 * inputs.c - networks whose inputs are not the usual ones, from the manifest to the prediction:
 * pictures for inputs of bytes, pictures and texts for models without a batch.
 */
#include "rig.h"
#include "samples.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/proto.h"

#define TASK "\"labels\":[\"left\",\"right\"],\"task\":{\"kind\":\"classify\"}}"
#define PICTURE                                                                                                        \
    "{\"manifest\":1,\"inputs\":{\"x\":{\"kind\":\"image\",\"size\":[1,2],\"layout\":\"flat\"}}"                       \
    "," TASK

static void write_folder(const struct rig *rig, const char *name, const char *manifest, struct proto graph)
{
    char path[96];
    struct proto model = proto_model(graph, 13);
    free(rig_shell(NULL, "mkdir -p %s/models/%s", rig->folder, name));
    snprintf(path, sizeof path, "models/%s/model.onnx", name);
    rig_write(rig, path, model.at, model.n);
    snprintf(path, sizeof path, "models/%s/manifest.json", name);
    rig_write(rig, path, manifest, strlen(manifest));
    proto_free(&model);
}

/* y = float(x), so that the brighter pixel is the class. */
static struct proto levels(enum percept_dtype dtype, int rank, const int64_t *dims)
{
    struct proto graph = {0}, cast = proto_node("Cast", "cast", "x", "y");
    proto_attr_int(&cast, "to", PERCEPT_FLOAT);
    proto_add(&graph, GRAPH_NODE, cast);
    proto_add(&graph, GRAPH_INPUT, proto_value("x", dtype, rank, dims));
    proto_add(&graph, GRAPH_OUTPUT, proto_value("y", PERCEPT_FLOAT, rank, dims));
    return graph;
}

/* y = the largest id of a text, as a batch of nothing: [length] -> [1]. */
static struct proto largest_id(void)
{
    const int64_t any = -1, one = 1, axis = 0;
    struct proto graph = {0}, cast = proto_node("Cast", "cast", "x", "f");
    struct proto largest = proto_node("ReduceMax", "largest", "f", "y");
    proto_attr_int(&cast, "to", PERCEPT_FLOAT);
    proto_attr_ints(&largest, "axes", 1, &axis);
    proto_add(&graph, GRAPH_NODE, cast);
    proto_add(&graph, GRAPH_NODE, largest);
    proto_add(&graph, GRAPH_INPUT, proto_value("x", PERCEPT_INT64, 1, &any));
    proto_add(&graph, GRAPH_OUTPUT, proto_value("y", PERCEPT_FLOAT, 1, &one));
    return graph;
}

static void expect_side(const struct rig *rig, const char *model, const uint8_t pixels[2], const char *side,
                        const char *data)
{
    char path[64], label[16];
    struct blob png = samples_png(pixels, 2, 1);
    snprintf(path, sizeof path, "/v2/models/%s/infer", model);
    struct reply reply = rig_ask(rig, "POST", path, "Content-Type: image/png\r\n", png.at, png.n);
    ck_assert_msg(reply.status == 200, "%s answers %d: %s", model, reply.status, reply.body);
    ck_assert_str_eq(reply_label(&reply, 0, label, sizeof label), side);
    ck_assert_msg(strstr(reply.body, data) != NULL, "%s", reply.body);
    reply_free(&reply);
}

START_TEST(pictures_feed_inputs_of_bytes_and_models_without_a_batch)
{
    const struct {
        const char *name;
        enum percept_dtype dtype;
        int rank;
        int64_t dims[2];
    } rows[] = {{"bytes", PERCEPT_UINT8, 2, {-1, 2}},
                {"bytes-alone", PERCEPT_UINT8, 1, {2}},
                {"floats-alone", PERCEPT_FLOAT, 1, {2}}};
    enum { N = sizeof rows / sizeof rows[0] };
    struct rig rig;
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    for (int i = 0; i < N; i++)
        write_folder(&rig, rows[i].name, PICTURE, levels(rows[i].dtype, rows[i].rank, rows[i].dims));
    rig_start(&rig, "%s/models --strict-readiness", rig.folder);
    for (int i = 0; i < N; i++) {
        expect_side(&rig, rows[i].name, (const uint8_t[]){200, 7}, "left", "[200.0,7.0]");
        expect_side(&rig, rows[i].name, (const uint8_t[]){0, 255}, "right", "[0.0,255.0]");
    }
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_end(&rig);
}
END_TEST

START_TEST(a_text_feeds_a_model_without_a_batch)
{
    struct rig rig;
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    write_folder(&rig, "text",
                 "{\"manifest\":1,\"inputs\":{\"x\":{\"kind\":\"text\",\"tokenizer\":\"bytes\","
                 "\"max_length\":100}}}",
                 largest_id());
    rig_start(&rig, "%s/models --strict-readiness", rig.folder);
    struct reply reply = rig_post_text(&rig, "/v2/models/text/infer", "hello world");
    ck_assert_msg(reply.status == 200, "%d: %s", reply.status, reply.body);
    ck_assert_msg(strstr(reply.body, "\"shape\":[1],\"data\":[119.0]") != NULL, "%s", reply.body);
    reply_free(&reply);
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_end(&rig);
}
END_TEST

Suite *daemon_inputs_suite(void);

Suite *daemon_inputs_suite(void)
{
    Suite *suite = suite_create("daemon_inputs");
    TCase *tests = tcase_create("inputs");
    tcase_add_test(tests, pictures_feed_inputs_of_bytes_and_models_without_a_batch);
    tcase_add_test(tests, a_text_feeds_a_model_without_a_batch);
    tcase_set_timeout(tests, RIG_PATIENCE_MS / 1000 * 4);
    suite_add_tcase(suite, tests);
    return suite;
}
