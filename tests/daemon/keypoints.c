/* keypoints.c - a network whose maps are known: a JPEG is posted, its brightest place comes back. */
#include "rig.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "graph/proto.h"
#include "samples.h"

Suite *daemon_keypoints_suite(void);

#define WIDTH 128
#define HEIGHT 64
#define MANIFEST                                                                                                       \
    "{\"manifest\":1,\"inputs\":{\"x\":{\"kind\":\"image\",\"size\":[32,64],\"channels\":\"gray\",\"scale\":0."        \
    "00392156862}},"                                                                                                   \
    "\"labels\":[\"light\"],\"task\":{\"kind\":\"keypoints\"}}"

/* Means of 8 by 8 pixels. */
static void write_pooling(const struct rig *rig)
{
    struct proto graph = {0};
    proto_add(&graph, GRAPH_INPUT, proto_value("x", PERCEPT_FLOAT, 4, (int64_t[]){1, 1, 32, 64}));
    proto_add(&graph, GRAPH_OUTPUT, proto_value("y", PERCEPT_FLOAT, 4, (int64_t[]){1, 1, 4, 8}));
    struct proto node = proto_node("AveragePool", "", "x", "y");
    proto_attr_ints(&node, "kernel_shape", 2, (int64_t[]){8, 8});
    proto_attr_ints(&node, "strides", 2, (int64_t[]){8, 8});
    proto_add(&graph, GRAPH_NODE, node);
    struct proto model = proto_model(graph, 13);
    free(rig_shell(NULL, "mkdir -p %s/models/pose", rig->folder));
    rig_write(rig, "models/pose/model.onnx", model.at, model.n);
    rig_write(rig, "models/pose/manifest.json", MANIFEST, strlen(MANIFEST));
    proto_free(&model);
}

static void fill(uint8_t *picture, int left, int top, uint8_t level)
{
    for (int y = top; y < top + 16; y++)
        memset(picture + y * WIDTH + left, level, 16);
}

/* Cell 5, 1 of 8 by 4 is the brightest; what lies right of it and below is brighter than what lies left and above. */
START_TEST(the_brightest_place_of_a_jpeg_is_told)
{
    static struct rig rig;
    static uint8_t picture[WIDTH * HEIGHT];
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    write_pooling(&rig);
    fill(picture, 80, 16, 255);
    fill(picture, 96, 16, 128);
    fill(picture, 80, 32, 128);
    const struct blob jpeg = samples_jpeg(picture, WIDTH, HEIGHT);
    rig_start(&rig, "%s/models", rig.folder);
    struct reply reply =
        rig_ask(&rig, "POST", "/v2/models/pose/infer", "Content-Type: image/jpeg\r\n", jpeg.at, jpeg.n);
    ck_assert_msg(reply.status == 200 && strstr(reply.body, "\"points\":[[84.0,20.0,0.9"), "%d %s", reply.status,
                  reply.body);
    ck_assert(strstr(reply.body, "\"outputs\":[],"));
    reply_free(&reply);
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_end(&rig);
}
END_TEST

Suite *daemon_keypoints_suite(void)
{
    Suite *suite = suite_create("daemon/keypoints");
    TCase *tests = tcase_create("keypoints");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, the_brightest_place_of_a_jpeg_is_told);
    suite_add_tcase(suite, tests);
    return suite;
}
