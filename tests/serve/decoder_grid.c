/* decoder_grid.c - boxes of the YOLO family, NanoDet, YuNet and SCRFD, of numbers that a test writes down. Inputs are
 * 16 x 16: the grids have 4, 1 and 1 cells. */
#include "serve/decoder.h"

#include "answering.h"

#include <check.h>
#include <math.h>
#include <string.h>

Suite *serve_decoder_grid_suite(void);

#define MANIFEST(task) "{\"manifest\":1,\"labels\":[\"a\",\"b\"],\"task\":{\"kind\":\"detect\"," task "}}"
#define N_CELLS 6

static const char *answer(const char *manifest, const struct answering_output *outputs, int n)
{
    return answering(
        &(struct answering){.manifest = manifest, .width = 16, .height = 16, .outputs = outputs, .n_outputs = n});
}

/* [4 + 2 classes, 3 boxes] */
static const float v8[] = {5,    5,     5,   /* centre x */
                           6,    6,     NAN, /* y */
                           4,    4,     4,   /* width */
                           8,    8,     8,   /* height */
                           0.5f, 0.25f, 0.9f, 0, 0.75f, 0.9f};

START_TEST(yolov8_has_a_column_for_each_box)
{
    const struct answering_output outputs[] = {{"y", PERCEPT_FLOAT, 3, {1, 6, 3}, v8}};
    ck_assert_str_eq(answer(MANIFEST("\"decoder\":\"yolov8\""), outputs, 1),
                     "[[{\"label\":\"b\",\"index\":1,\"score\":0.75,\"box\":[3.0,2.0,7.0,10.0]},"
                     "{\"label\":\"a\",\"index\":0,\"score\":0.5,\"box\":[3.0,2.0,7.0,10.0]}]]");
    ck_assert_str_eq(
        answer(MANIFEST("\"decoder\":\"yolov8\",\"nms\":\"agnostic\",\"units\":\"relative\",\"boxes\":\"xywh\""),
               outputs, 1),
        "[[]]");
    ck_assert_str_eq(answer(MANIFEST("\"decoder\":\"yolov8\",\"nms\":\"agnostic\""), outputs, 1),
                     "[[{\"label\":\"b\",\"index\":1,\"score\":0.75,\"box\":[3.0,2.0,7.0,10.0]}]]");
}
END_TEST

START_TEST(yolov8_scores_may_still_be_activated)
{
    static const float raw[] = {5, 6, 4, 8, 0, -20};
    const struct answering_output outputs[] = {{"y", PERCEPT_FLOAT, 3, {1, 6, 1}, raw}};
    ck_assert_str_eq(answer(MANIFEST("\"decoder\":\"yolov8\",\"activation\":\"sigmoid\""), outputs, 1),
                     "[[{\"label\":\"a\",\"index\":0,\"score\":0.5,\"box\":[3.0,2.0,7.0,10.0]}]]");
    ck_assert_ptr_nonnull(
        strstr(answer(MANIFEST("\"decoder\":\"yolov8\",\"activation\":\"softmax\""), outputs, 1), "\"score\":1.0"));
}
END_TEST

/* Two points each: x, y, score. */
START_TEST(points_lie_behind_the_classes)
{
    static const float rows[] = {5, 6, 4, 8, 0.5f, 0, 1, 2, 0.25f, 30, 4, 0.75f};
    const struct answering_output outputs[] = {{"y", PERCEPT_FLOAT, 3, {1, 12, 1}, rows}};
    ck_assert_str_eq(answer(MANIFEST("\"decoder\":\"yolov8\",\"kpt_shape\":[2,3]"), outputs, 1),
                     "[[{\"label\":\"a\",\"index\":0,\"score\":0.5,\"box\":[3.0,2.0,7.0,10.0],"
                     "\"points\":[[1.0,2.0,0.25],[30.0,4.0,0.75]]}]]");
    ck_assert_ptr_nonnull(strstr(answer(MANIFEST("\"decoder\":\"yolov8\",\"kpt_shape\":[3,2]"), outputs, 1),
                                 "\"points\":[[1.0,2.0],[0.25,30.0],[4.0,0.75]]"));
}
END_TEST

/* Taller than wide: told as wider than tall, turned by a right angle more. */
START_TEST(an_angle_lies_behind_the_classes)
{
    static const float rows[] = {5, 6, 4, 8, 0.5f, 0, 0.25f};
    const struct answering_output outputs[] = {{"y", PERCEPT_FLOAT, 3, {1, 7, 1}, rows}};
    ck_assert_str_eq(answer(MANIFEST("\"decoder\":\"yolov8\",\"obb\":true"), outputs, 1),
                     "[[{\"label\":\"a\",\"index\":0,\"score\":0.5,\"box\":[1.0,4.0,9.0,8.0],\"angle\":1.8207964}]]");
}
END_TEST

START_TEST(yolov5_multiplies_by_the_objectness)
{
    static const float rows[] = {5, 6, 4, 8, 0.5f, 0.25f, 1, 5, 6, 4, 8, 0.125f, 1, 1};
    const struct answering_output outputs[] = {{"y", PERCEPT_FLOAT, 3, {1, 2, 7}, rows}};
    ck_assert_str_eq(answer(MANIFEST("\"decoder\":\"yolov5\""), outputs, 1),
                     "[[{\"label\":\"b\",\"index\":1,\"score\":0.5,\"box\":[3.0,2.0,7.0,10.0]}]]");
    ck_assert_ptr_nonnull(
        strstr(answer(MANIFEST("\"decoder\":\"yolov5\",\"score\":\"class\",\"nms\":\"none\""), outputs, 1), "},{"));
}
END_TEST

/* The fourth cell of stride 8, and that of stride 32. */
START_TEST(yolox_counts_from_its_cells)
{
    float rows[N_CELLS][7] = {{0}};
    memcpy(rows[3], (const float[]){0.5f, -0.25f, 0, logf(0.5f), 0.5f, 0, 1}, sizeof rows[3]);
    memcpy(rows[5], (const float[]){0.25f, 0.25f, logf(0.25f), logf(0.125f), 1, 1, 0}, sizeof rows[5]);
    const struct answering_output outputs[] = {{"y", PERCEPT_FLOAT, 3, {1, N_CELLS, 7}, rows}};
    ck_assert_str_eq(answer(MANIFEST("\"decoder\":\"yolox\""), outputs, 1),
                     "[[{\"label\":\"a\",\"index\":0,\"score\":1.0,\"box\":[4.0,6.0,12.0,10.0]},"
                     "{\"label\":\"b\",\"index\":1,\"score\":0.5,\"box\":[8.0,4.0,16.0,8.0]}]]");
}
END_TEST

START_TEST(grids_that_do_not_suit_the_input_are_refused)
{
    static const float rows[9 * 7];
    const struct answering_output outputs[] = {{"y", PERCEPT_FLOAT, 3, {1, 9, 7}, rows}};
    ck_assert_ptr_nonnull(strstr(answer(MANIFEST("\"decoder\":\"yolox\""), outputs, 1),
                                 "finds no grids with 9 boxes over an input of 16 x 16 pixels"));
}
END_TEST

/* 8 bins: all of the second, which is a distance of one stride. */
START_TEST(nanodet_takes_the_mean_of_distances)
{
    static float dis8[4][32], dis16[1][32], dis32[1][32], cls8[4][2], cls16[1][2], cls32[1][2];
    const struct answering_output outputs[] = {{"dis_pred_stride_8", PERCEPT_FLOAT, 3, {1, 4, 32}, dis8},
                                               {"cls_pred_stride_8", PERCEPT_FLOAT, 3, {1, 4, 2}, cls8},
                                               {"dis_pred_stride_16", PERCEPT_FLOAT, 3, {1, 1, 32}, dis16},
                                               {"cls_pred_stride_16", PERCEPT_FLOAT, 3, {1, 1, 2}, cls16},
                                               {"dis_pred_stride_32", PERCEPT_FLOAT, 3, {1, 1, 32}, dis32},
                                               {"cls_pred_stride_32", PERCEPT_FLOAT, 3, {1, 1, 2}, cls32}};
    cls8[3][1] = 0.5f;
    for (int side = 0; side < 4; side++)
        dis8[3][side * 8 + (side == 2 ? 0 : 1)] = 100;
    ck_assert_str_eq(answer(MANIFEST("\"decoder\":\"nanodet\""), outputs, 6),
                     "[[{\"label\":\"b\",\"index\":1,\"score\":0.5,\"box\":[3.5,3.5,11.5,16.0]}]]");
    ck_assert_ptr_nonnull(
        strstr(answer(MANIFEST("\"decoder\":\"nanodet\""), outputs, 5), "no output 'cls_pred_stride_32'"));
}
END_TEST

/* 16 x 16 has 4, 1, 1 and 1 cells for the strides 8 to 64. */
START_TEST(nanodet_plus_has_one_output)
{
    static float rows[7][34];
    rows[1][0] = 0.5f;
    for (int side = 0; side < 4; side++)
        rows[1][2 + side * 8] = rows[1][2 + side * 8 + 1] = 50; /* half a stride */
    const struct answering_output outputs[] = {{"output", PERCEPT_FLOAT, 3, {1, 7, 34}, rows}};
    ck_assert_str_eq(answer(MANIFEST("\"decoder\":\"nanodet_plus\""), outputs, 1),
                     "[[{\"label\":\"a\",\"index\":0,\"score\":0.5,\"box\":[4.0,0.0,12.0,4.0]}]]");
}
END_TEST

#define FACE "{\"manifest\":1,\"labels\":[\"face\"],\"task\":{\"kind\":\"detect\","

START_TEST(yunet_has_twelve_outputs)
{
    static float box8[4][4], box16[1][4], box32[1][4], kps8[4][10], kps16[1][10], kps32[1][10];
    static float cls8[4], cls16[1], cls32[1], obj8[4], obj16[1], obj32[1];
    const struct answering_output outputs[] = {
        {"cls_8", PERCEPT_FLOAT, 3, {1, 4, 1}, cls8},    {"cls_16", PERCEPT_FLOAT, 3, {1, 1, 1}, cls16},
        {"cls_32", PERCEPT_FLOAT, 3, {1, 1, 1}, cls32},  {"obj_8", PERCEPT_FLOAT, 3, {1, 4, 1}, obj8},
        {"obj_16", PERCEPT_FLOAT, 3, {1, 1, 1}, obj16},  {"obj_32", PERCEPT_FLOAT, 3, {1, 1, 1}, obj32},
        {"bbox_8", PERCEPT_FLOAT, 3, {1, 4, 4}, box8},   {"bbox_16", PERCEPT_FLOAT, 3, {1, 1, 4}, box16},
        {"bbox_32", PERCEPT_FLOAT, 3, {1, 1, 4}, box32}, {"kps_8", PERCEPT_FLOAT, 3, {1, 4, 10}, kps8},
        {"kps_16", PERCEPT_FLOAT, 3, {1, 1, 10}, kps16}, {"kps_32", PERCEPT_FLOAT, 3, {1, 1, 10}, kps32}};
    cls8[1] = 1;
    obj8[1] = 0.5625f; /* root: 0.75 */
    box8[1][0] = 0.5f;
    box8[1][1] = 0.25f;
    for (int i = 0; i < 10; i++)
        kps8[1][i] = (float)i / 8;
    ck_assert_str_eq(answer(FACE "\"decoder\":\"yunet\"}}", outputs, 12),
                     "[[{\"label\":\"face\",\"index\":0,\"score\":0.75,\"box\":[8.0,0.0,16.0,6.0],"
                     "\"points\":[[8.0,1.0],[10.0,3.0],[12.0,5.0],[14.0,7.0],[16.0,9.0]]}]]");
}
END_TEST

/* Two boxes a cell; the outputs are numbered. */
START_TEST(scrfd_has_the_outputs_that_are_named)
{
    static float score8[8], score16[2], score32[2], box8[8][4], box16[2][4], box32[2][4], kps8[8][10];
    const struct answering_output outputs[] = {
        {"1", PERCEPT_FLOAT, 2, {8, 1}, score8},  {"2", PERCEPT_FLOAT, 2, {2, 1}, score16},
        {"3", PERCEPT_FLOAT, 2, {2, 1}, score32}, {"4", PERCEPT_FLOAT, 2, {8, 4}, box8},
        {"5", PERCEPT_FLOAT, 2, {2, 4}, box16},   {"6", PERCEPT_FLOAT, 2, {2, 4}, box32},
        {"7", PERCEPT_FLOAT, 2, {8, 10}, kps8},   {"8", PERCEPT_FLOAT, 2, {2, 10}, kps8},
        {"9", PERCEPT_FLOAT, 2, {2, 10}, kps8}};
    score8[3] = 0.75f; /* of the second cell the second */
    for (int i = 0; i < 4; i++)
        box8[3][i] = 0.5f;
    ck_assert_str_eq(answer(FACE "\"decoder\":\"scrfd\",\"outputs\":{\"points\":[\"7\",\"8\",\"9\"],\"scores\":[\"1\","
                                 "\"2\",\"3\"],\"boxes\":[\"4\",\"5\",\"6\"]}}}",
                            outputs, 9),
                     "[[{\"label\":\"face\",\"index\":0,\"score\":0.75,\"box\":[4.0,0.0,12.0,4.0],"
                     "\"points\":[[8.0,0.0],[8.0,0.0],[8.0,0.0],[8.0,0.0],[8.0,0.0]]}]]");
}
END_TEST

Suite *serve_decoder_grid_suite(void)
{
    Suite *suite = suite_create("serve_decoder_grid");
    TCase *tests = tcase_create("decoder_grid");
    tcase_add_checked_fixture(tests, answering_begin, answering_end);
    tcase_add_test(tests, yolov8_has_a_column_for_each_box);
    tcase_add_test(tests, yolov8_scores_may_still_be_activated);
    tcase_add_test(tests, points_lie_behind_the_classes);
    tcase_add_test(tests, an_angle_lies_behind_the_classes);
    tcase_add_test(tests, yolov5_multiplies_by_the_objectness);
    tcase_add_test(tests, yolox_counts_from_its_cells);
    tcase_add_test(tests, grids_that_do_not_suit_the_input_are_refused);
    tcase_add_test(tests, nanodet_takes_the_mean_of_distances);
    tcase_add_test(tests, nanodet_plus_has_one_output);
    tcase_add_test(tests, yunet_has_twelve_outputs);
    tcase_add_test(tests, scrfd_has_the_outputs_that_are_named);
    suite_add_tcase(suite, tests);
    return suite;
}
