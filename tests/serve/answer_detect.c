/* answer_detect.c - what a client is told of boxes: in the pixels of its picture. */
#include "serve/answer_detect.h"

#include "answering.h"
#include "serve/tracks.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

Suite *serve_answer_detect_suite(void);

#define MANIFEST(task) "{\"manifest\":1,\"labels\":[\"a\"],\"task\":{\"kind\":\"detect\",\"decoder\":\"rows\"" task "}}"
#define BOX(box) "[[{\"label\":\"a\",\"index\":0,\"score\":0.5,\"box\":" box "}]]"

/* A network of 40 x 20. */
static const struct {
    const char *manifest;
    struct picture_view view;
    float box[4];
    const char *told;
} places[] = {
    /* tensors were posted: the input's pixels */
    {MANIFEST(""), {0}, {1, 2, 3, 4}, BOX("[1.0,2.0,3.0,4.0]")},
    {MANIFEST(""), {0}, {-5, -5, 50, 50}, BOX("[0.0,0.0,40.0,20.0]")},
    {MANIFEST(",\"units\":\"relative\""), {0}, {0.25f, 0.25f, 0.5f, 0.5f}, BOX("[10.0,5.0,20.0,10.0]")},
    /* stretched: a picture of 80 x 20 */
    {MANIFEST(""), VIEW(80, 20, 40, 20, 0, 0, 80, 20), {1, 2, 3, 4}, BOX("[2.0,2.0,6.0,4.0]")},
    /* a letterbox: 20 x 20 in the middle */
    {MANIFEST(""), VIEW(20, 20, 40, 20, -10, 0, 30, 20), {15, 5, 35, 10}, BOX("[5.0,5.0,20.0,10.0]")},
    {MANIFEST(""), VIEW(20, 20, 40, 20, -10, 0, 30, 20), {1, 5, 8, 10}, "[[]]"}, /* in the filling */
    {MANIFEST(",\"units\":\"relative\""),
     VIEW(20, 20, 40, 20, -10, 0, 30, 20),
     {0.5f, 0, 0.75f, 1},
     BOX("[10.0,0.0,20.0,20.0]")},
    {MANIFEST(",\"units\":\"picture\""), VIEW(80, 20, 40, 20, 0, 0, 80, 20), {1, 2, 60, 4}, BOX("[1.0,2.0,60.0,4.0]")},
    {MANIFEST(",\"units\":\"picture\""), {0}, {1, 2, 600, 4}, BOX("[1.0,2.0,600.0,4.0]")},
    /* hundredths */
    {MANIFEST(""), {0}, {1.2345f, 2.0049f, 3.3333f, 4.9999f}, BOX("[1.23,2.0,3.33,5.0]")},
    /* what is no place */
    {MANIFEST(""), {0}, {NAN, 2, 3, 4}, "[[]]"},
    {MANIFEST(""), {0}, {3, 2, 1, 4}, "[[]]"},
    {MANIFEST(""), {0}, {41, 2, 45, 4}, "[[]]"},
    {MANIFEST(""), {0}, {1, 2, INFINITY, 4}, "[[]]"},
    {MANIFEST(""), {0}, {-3e38f, 2, 3e38f, 4}, BOX("[0.0,2.0,40.0,4.0]")},
};

START_TEST(boxes_are_told_in_the_pictures_pixels)
{
    const float row[] = {places[_i].box[0], places[_i].box[1], places[_i].box[2], places[_i].box[3], 0.5f, 0};
    const struct answering_output outputs[] = {{"y", PERCEPT_FLOAT, 3, {1, 1, 6}, row}};
    ck_assert_str_eq(answering(&(struct answering){.manifest = places[_i].manifest,
                                                   .width = 40,
                                                   .height = 20,
                                                   .view = places[_i].view,
                                                   .outputs = outputs,
                                                   .n_outputs = 1}),
                     places[_i].told);
}
END_TEST

/* A picture twice as wide as the network's input: a box that stood aslant lies flatter. */
START_TEST(turned_boxes_turn_with_the_picture)
{
    static const float row[] = {10, 5, 20, 11, 0.5f, 0, 0.78539816f};
    const struct answering_output outputs[] = {{"y", PERCEPT_FLOAT, 3, {1, 1, 7}, row}};
    struct answering asked = {
        .manifest = MANIFEST(",\"obb\":true"), .width = 40, .height = 20, .outputs = outputs, .n_outputs = 1};
    ck_assert_ptr_nonnull(strstr(answering(&asked), "\"box\":[10.0,5.0,20.0,11.0],\"angle\":0.7853982}"));
    asked.view = (struct picture_view)VIEW(80, 20, 40, 20, 0, 0, 80, 20);
    ck_assert_ptr_nonnull(strstr(answering(&asked), "\"box\":[22.09,3.26,37.91,12.74],\"angle\":0.46364"));
}
END_TEST

START_TEST(points_move_with_the_picture)
{
    static const float row[] = {10, 5, 20, 11, 0.5f, 0, 12, 6, 0.5f};
    const struct answering_output outputs[] = {{"y", PERCEPT_FLOAT, 3, {1, 1, 9}, row}};
    const struct answering asked = {.manifest = MANIFEST(",\"kpt_shape\":[1,3]"),
                                    .width = 40,
                                    .height = 20,
                                    .view = VIEW(20, 20, 40, 20, -10, 0, 30, 20),
                                    .outputs = outputs,
                                    .n_outputs = 1};
    ck_assert_ptr_nonnull(strstr(answering(&asked), "\"points\":[[2.0,6.0,0.5]]"));
}
END_TEST

#define MASKED MANIFEST(",\"output\":\"y\",\"prototypes\":\"p\"")

/* Prototypes 2 x 1, of which the left one is within: with 8 x 4 pixels, three columns and the half-way ones:
 * x of the prototypes is (x + 0.5) / 4 - 0.5, and 1 - x of sigmoid(100) is above 0.5 up to x = 3. */
static const struct {
    enum job_masks masks;
    struct picture_view view;
    const char *told;
} masked[] = {
    {JOB_MASKS_NONE, {0}, "\"box\":[0.0,0.0,8.0,4.0]}]]"},
    {JOB_MASKS_RLE, {0}, "\"box\":[0.0,0.0,8.0,4.0],\"mask\":{\"size\":[4,8],\"counts\":[0,16,16]}}]]"},
    {JOB_MASKS_POLYGON, {0}, "\"box\":[0.0,0.0,8.0,4.0],\"mask\":[[4,0,4,4,0,4,0,0]]}]]"},
    /* twice as wide */
    {JOB_MASKS_RLE, VIEW(16, 4, 8, 4, 0, 0, 16, 4),
     "\"box\":[0.0,0.0,16.0,4.0],\"mask\":{\"size\":[4,16],\"counts\":[0,32,32]}}]]"},
    /* a letterbox: 4 x 4 in the middle */
    {JOB_MASKS_RLE, VIEW(4, 4, 8, 4, -2, 0, 6, 4),
     "\"box\":[0.0,0.0,4.0,4.0],\"mask\":{\"size\":[4,4],\"counts\":[0,8,8]}}]]"},
};

START_TEST(masks_are_told_where_they_are_asked_for)
{
    static const float row[] = {0, 0, 8, 4, 0.5f, 0, 100}, map[] = {1, -1};
    const struct answering_output outputs[] = {{"y", PERCEPT_FLOAT, 3, {1, 1, 7}, row},
                                               {"p", PERCEPT_FLOAT, 4, {1, 1, 1, 2}, map}};
    const char *told = answering(&(struct answering){.manifest = MASKED,
                                                     .width = 8,
                                                     .height = 4,
                                                     .view = masked[_i].view,
                                                     .outputs = outputs,
                                                     .n_outputs = 2,
                                                     .masks = masked[_i].masks});
    ck_assert_msg(strstr(told, masked[_i].told), "%s", told);
}
END_TEST

START_TEST(who_asks_for_masks_that_are_not_there_is_told)
{
    static const float row[6];
    const struct answering_output outputs[] = {{"y", PERCEPT_FLOAT, 3, {1, 1, 6}, row}};
    ck_assert_str_eq(answering(&(struct answering){.manifest = MANIFEST(""),
                                                   .width = 40,
                                                   .height = 20,
                                                   .outputs = outputs,
                                                   .n_outputs = 1,
                                                   .masks = JOB_MASKS_RLE}),
                     "model 'm' gives no masks: its manifest names no prototypes; ask without");
}
END_TEST

START_TEST(nothing_is_made_of_outputs_that_are_not_replied)
{
    static const float boxes[4], scores[2];
    const struct answering_output outputs[] = {{"boxes", PERCEPT_FLOAT, 3, {1, 1, 4}, boxes},
                                               {"scores", PERCEPT_FLOAT, 3, {1, 1, 2}, scores}};
    struct answering asked = {.manifest = "{\"manifest\":1,\"task\":{\"kind\":\"detect\",\"decoder\":\"ultraface\"}}",
                              .width = 40,
                              .height = 20,
                              .outputs = outputs,
                              .n_outputs = 2};
    ck_assert_str_eq(answering(&asked), "[[]]");
    asked.n_replied = 1;
    ck_assert_str_eq(answering(&asked), "");
    static const float row[7];
    const struct answering_output masked_outputs[] = {{"y", PERCEPT_FLOAT, 3, {1, 1, 7}, row},
                                                      {"p", PERCEPT_FLOAT, 4, {1, 1, 1, 2}, row}};
    asked.manifest = MASKED;
    asked.outputs = masked_outputs;
    ck_assert_str_eq(answering(&asked), "");
    asked.n_replied = 2;
    ck_assert_str_eq(answering(&asked), "[[]]");
}
END_TEST

/* Ten thousand that do not touch each other, and as many again upon them. */
START_TEST(ten_thousand_are_told)
{
    static float rows[20000][6];
    for (int i = 0; i < 20000; i++) {
        const float x = (float)(i % 100) * 4, y = (float)(i / 100 % 100) * 4;
        const float row[6] = {x, y, x + 3, y + 3, i < 10000 ? 0.75f : 0.5f, 0};
        memcpy(rows[i], row, sizeof row);
    }
    const struct answering_output outputs[] = {{"y", PERCEPT_FLOAT, 3, {1, 20000, 6}, rows}};
    const struct answering asked = {.manifest = MANIFEST(",\"nms\":\"class\",\"max_detections\":30000"),
                                    .width = 400,
                                    .height = 400,
                                    .outputs = outputs,
                                    .n_outputs = 1};
    const char *told = answering(&asked);
    int n = 0;
    for (const char *at = told; *at; at++)
        n += *at == '{';
    ck_assert_int_eq(n, 10000);
    ck_assert_ptr_null(strstr(told, "\"score\":0.5,"));
}
END_TEST

/* The best ones of the first item, each before the brace that ends it. */
START_TEST(places_for_the_numbers_of_tracks_are_told)
{
    static float rows[2][TRACKS_BOXES + 9][6];
    struct tracks_marks marks = {0};
    for (int i = 0; i < 2 * (TRACKS_BOXES + 9); i++) {
        const float row[6] = {(float)i, 0, (float)i + 1, 9, 1 - (float)i / 1000, 0};
        memcpy(rows[i / (TRACKS_BOXES + 9)][i % (TRACKS_BOXES + 9)], row, sizeof row);
    }
    const struct answering_output outputs[] = {{"y", PERCEPT_FLOAT, 3, {2, TRACKS_BOXES + 9, 6}, rows}};
    const struct answering asked = {.manifest = MANIFEST(""),
                                    .width = 400,
                                    .height = 400,
                                    .n_items = 2,
                                    .outputs = outputs,
                                    .n_outputs = 1,
                                    .marks = &marks};
    const char *type, *reply = answering_as(&asked, "application/json", &type);
    ck_assert_int_eq(marks.n, TRACKS_BOXES);
    for (int i = 0; i < marks.n; i++) {
        ck_assert(memcmp(reply + marks.at[i] - 1, "]}", 2) == 0);
        ck_assert(marks.boxes[i].left == (float)i && marks.boxes[i].bottom == 9);
    }
}
END_TEST

START_TEST(whoever_went_is_not_waited_for)
{
    static const float rows[200][6];
    const struct answering_output outputs[] = {{"y", PERCEPT_FLOAT, 3, {1, 200, 6}, rows}};
    const struct answering asked = {
        .manifest = MANIFEST(""), .width = 40, .height = 20, .outputs = outputs, .n_outputs = 1, .cancelled = true};
    ck_assert_ptr_nonnull(strstr(answering(&asked), "cancel"));
}
END_TEST

Suite *serve_answer_detect_suite(void)
{
    Suite *suite = suite_create("serve_answer_detect");
    TCase *tests = tcase_create("answer_detect");
    tcase_add_checked_fixture(tests, answering_begin, answering_end);
    tcase_add_loop_test(tests, boxes_are_told_in_the_pictures_pixels, 0, sizeof places / sizeof *places);
    tcase_add_test(tests, turned_boxes_turn_with_the_picture);
    tcase_add_test(tests, points_move_with_the_picture);
    tcase_add_loop_test(tests, masks_are_told_where_they_are_asked_for, 0, sizeof masked / sizeof *masked);
    tcase_add_test(tests, who_asks_for_masks_that_are_not_there_is_told);
    tcase_add_test(tests, nothing_is_made_of_outputs_that_are_not_replied);
    tcase_add_test(tests, ten_thousand_are_told);
    tcase_add_test(tests, places_for_the_numbers_of_tracks_are_told);
    tcase_add_test(tests, whoever_went_is_not_waited_for);
    suite_add_tcase(suite, tests);
    return suite;
}
