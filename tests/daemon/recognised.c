/*
 * recognised.c - a detector as its exporter left it, without a manifest: a JPEG is posted, boxes with labels come back.
 */
#include "rig.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/proto.h"
#include "samples.h"

Suite *daemon_recognised_suite(void);

static void add_property(struct proto *model, const char *key, const char *value)
{
    struct proto entry = {0};
    proto_text(&entry, ENTRY_KEY, key);
    proto_text(&entry, ENTRY_VALUE, value);
    proto_add(model, MODEL_METADATA_PROPS, entry);
}

/* [1,6,42] of cells in 32 x 64 pixels: x, y, width, height, two scores. Cell 7 has a box of 16 x 8 around (40, 12) and
 * the second class; its score is the brightest of the picture. */
static void write_detector(const struct rig *rig)
{
    static float cells[6][42];
    cells[0][7] = 40;
    cells[1][7] = 12;
    cells[2][7] = 16;
    cells[3][7] = 8;
    static float shares[6][42];
    shares[5][7] = 0.75f;
    struct proto graph = {0};
    proto_add(&graph, GRAPH_INPUT, proto_value("images", PERCEPT_FLOAT, 4, (int64_t[]){1, 3, 32, 64}));
    proto_add(&graph, GRAPH_OUTPUT, proto_value("output0", PERCEPT_FLOAT, 3, (int64_t[]){1, 6, 42}));
    const int64_t dims[] = {1, 6, 42};
    proto_add(&graph, GRAPH_INITIALIZER, proto_tensor("cells", PERCEPT_FLOAT, 3, dims, cells, sizeof cells));
    proto_add(&graph, GRAPH_INITIALIZER, proto_tensor("shares", PERCEPT_FLOAT, 3, dims, shares, sizeof shares));
    struct proto node = proto_node("ReduceMax", "", "images", "most");
    proto_attr_int(&node, "keepdims", 0);
    proto_add(&graph, GRAPH_NODE, node);
    proto_add(&graph, GRAPH_NODE, proto_node("Mul", "", "shares,most", "scores"));
    proto_add(&graph, GRAPH_NODE, proto_node("Add", "", "cells,scores", "output0"));
    struct proto model = proto_model(graph, 13);
    add_property(&model, "author", "Ultralytics");
    add_property(&model, "task", "detect");
    add_property(&model, "stride", "32");
    add_property(&model, "batch", "1");
    add_property(&model, "imgsz", "[32, 64]");
    add_property(&model, "names", "{0: 'cat', 1: \"dog's\"}");
    free(rig_shell(NULL, "mkdir -p %s/models/best", rig->folder));
    rig_write(rig, "models/best/model.onnx", model.at, model.n);
    proto_free(&model);
}

#define BEST "/v2/models/best"

START_TEST(a_jpeg_becomes_boxes_without_a_manifest)
{
    static struct rig rig;
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    write_detector(&rig);
    static uint8_t white[128 * 64]; /* twice as large as the network's picture */
    memset(white, 255, sizeof white);
    const struct blob jpeg = samples_jpeg(white, 128, 64);
    rig_start(&rig, "%s/models", rig.folder);
    ck_assert(rig_log_has(&rig, "model recognised"));
    struct reply reply = rig_ask(&rig, "POST", BEST "/infer", "Content-Type: image/jpeg\r\n", jpeg.at, jpeg.n);
    ck_assert_msg(reply.status == 200, "%d %s", reply.status, reply.body);
    ck_assert_msg(
        strstr(reply.body, "[{\"label\":\"dog's\",\"index\":1,\"score\":0.75,\"box\":[64.0,16.0,96.0,32.0]}]") != NULL,
        "%s", reply.body);
    reply_free(&reply);
    reply = rig_get(&rig, BEST);
    ck_assert_msg(strstr(reply.body, "\"recognised\":{\"by\":\"ultralytics\",\"because\":\"metadata_props say") != NULL,
                  "%s", reply.body);
    reply_free(&reply);
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_start(&rig, "%s/models --no-recognise", rig.folder);
    ck_assert(!rig_log_has(&rig, "model recognised"));
    reply = rig_ask(&rig, "POST", BEST "/infer", "Content-Type: image/jpeg\r\n", jpeg.at, jpeg.n);
    ck_assert_int_ne(reply.status, 200);
    reply_free(&reply);
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_end(&rig);
}
END_TEST

Suite *daemon_recognised_suite(void)
{
    Suite *suite = suite_create("daemon/recognised");
    TCase *tests = tcase_create("recognised");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, a_jpeg_becomes_boxes_without_a_manifest);
    suite_add_tcase(suite, tests);
    return suite;
}
