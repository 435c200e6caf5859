/* decoder_lists.c - detectors that list what they found. Inputs are 20 wide and 10 high. */
#include "serve/decoder.h"

#include "answering.h"

#include <check.h>
#include <math.h>
#include <string.h>

Suite *serve_decoder_lists_suite(void);

#define MANIFEST(task) "{\"manifest\":1,\"labels\":[\"a\",\"b\"],\"task\":{\"kind\":\"detect\"," task "}}"

static const char *answer(const char *manifest, const struct answering_output *outputs, int n)
{
    return answering(
        &(struct answering){.manifest = manifest, .width = 20, .height = 10, .outputs = outputs, .n_outputs = n});
}

/* Zero rows fill the list. */
static const float detections[] = {1, 2, 3, 4, 0.5f, 1, 1, 2, 3, 4, 0.75f, 0, 0, 0, 0, 0, 0, 0};

START_TEST(rows_are_taken_as_they_are)
{
    const struct answering_output outputs[] = {{"y", PERCEPT_FLOAT, 3, {1, 3, 6}, detections}};
    ck_assert_str_eq(answer(MANIFEST("\"decoder\":\"rows\""), outputs, 1),
                     "[[{\"label\":\"a\",\"index\":0,\"score\":0.75,\"box\":[1.0,2.0,3.0,4.0]},"
                     "{\"label\":\"b\",\"index\":1,\"score\":0.5,\"box\":[1.0,2.0,3.0,4.0]}]]");
    ck_assert_str_eq(answer(MANIFEST("\"decoder\":\"rows\",\"max_detections\":1"), outputs, 1),
                     "[[{\"label\":\"a\",\"index\":0,\"score\":0.75,\"box\":[1.0,2.0,3.0,4.0]}]]");
    ck_assert_str_eq(answer(MANIFEST("\"decoder\":\"rows\",\"threshold\":0.8"), outputs, 1), "[[]]");
}
END_TEST

START_TEST(paddles_rows_begin_with_the_class)
{
    static const float rows[] = {1, 0.75f, 1, 2, 3, 4, -1, 0.9f, 1, 2, 3, 4};
    const struct answering_output outputs[] = {{"y", PERCEPT_FLOAT, 2, {2, 6}, rows}};
    ck_assert_str_eq(answer(MANIFEST("\"decoder\":\"paddle\""), outputs, 1),
                     "[[{\"label\":\"b\",\"index\":1,\"score\":0.75,\"box\":[1.0,2.0,3.0,4.0]}]]");
}
END_TEST

START_TEST(rtdetr_has_box_and_scores_in_a_row)
{
    static const float rows[] = {0.5f, 0.5f, 0.5f, 0.2f, 0, 0.75f};
    const struct answering_output outputs[] = {{"output0", PERCEPT_FLOAT, 3, {1, 1, 6}, rows}};
    ck_assert_str_eq(answer(MANIFEST("\"decoder\":\"rtdetr\""), outputs, 1),
                     "[[{\"label\":\"b\",\"index\":1,\"score\":0.75,\"box\":[5.0,4.0,15.0,6.0]}]]");
}
END_TEST

/* Softmax over three, of which the last is none. */
START_TEST(detrs_last_class_is_none)
{
    static const float boxes[] = {0.5f, 0.5f, 0.5f, 0.2f, 0.5f, 0.5f, 0.5f, 0.2f};
    static const float logits[] = {0, 20, 0, 0, 0, 20};
    const struct answering_output outputs[] = {{"logits", PERCEPT_FLOAT, 3, {1, 2, 3}, logits},
                                               {"pred_boxes", PERCEPT_FLOAT, 3, {1, 2, 4}, boxes}};
    ck_assert_str_eq(answer(MANIFEST("\"decoder\":\"detr\""), outputs, 2),
                     "[[{\"label\":\"b\",\"index\":1,\"score\":1.0,\"box\":[5.0,4.0,15.0,6.0]}]]");
    ck_assert_ptr_nonnull(strstr(answer("{\"manifest\":1,\"labels\":[\"a\"],\"task\":{\"kind\":\"detect\",\"decoder\":"
                                        "\"detr\"}}",
                                        outputs, 2),
                                 "output 'logits' has 2 classes, but there are 1 labels"));
}
END_TEST

/* A query may be several classes. */
START_TEST(rf_detr_takes_each_class_by_itself)
{
    static const float boxes[] = {0.5f, 0.5f, 0.5f, 0.2f};
    static const float logits[] = {20, 20};
    const struct answering_output outputs[] = {{"dets", PERCEPT_FLOAT, 3, {1, 1, 4}, boxes},
                                               {"labels", PERCEPT_FLOAT, 3, {1, 1, 2}, logits}};
    ck_assert_str_eq(answer(MANIFEST("\"decoder\":\"rf_detr\""), outputs, 2),
                     "[[{\"label\":\"a\",\"index\":0,\"score\":1.0,\"box\":[5.0,4.0,15.0,6.0]},"
                     "{\"label\":\"b\",\"index\":1,\"score\":1.0,\"box\":[5.0,4.0,15.0,6.0]}]]");
}
END_TEST

static const int64_t classes[] = {1, 0};
static const float corners[] = {1, 2, 3, 4, 5, 6, 7, 8};
static const float scores[] = {0.75f, 0.5f};

START_TEST(lists_of_labels_boxes_and_scores)
{
    const struct answering_output outputs[] = {{"labels", PERCEPT_INT64, 2, {1, 2}, classes},
                                               {"boxes", PERCEPT_FLOAT, 3, {1, 2, 4}, corners},
                                               {"scores", PERCEPT_FLOAT, 2, {1, 2}, scores}};
    static const char told[] = "[[{\"label\":\"b\",\"index\":1,\"score\":0.75,\"box\":[1.0,2.0,3.0,4.0]},"
                               "{\"label\":\"a\",\"index\":0,\"score\":0.5,\"box\":[5.0,6.0,7.0,8.0]}]]";
    ck_assert_str_eq(answer(MANIFEST("\"decoder\":\"d_fine\""), outputs, 3), told);
    const struct answering_output no_batch[] = {{"boxes", PERCEPT_FLOAT, 2, {2, 4}, corners},
                                                {"labels", PERCEPT_INT64, 1, {2}, classes},
                                                {"scores", PERCEPT_FLOAT, 1, {2}, scores}};
    ck_assert_str_eq(answer(MANIFEST("\"decoder\":\"torchvision\",\"threshold\":0.4"), no_batch, 3), told);
    const struct answering_output fewer[] = {{"boxes", PERCEPT_FLOAT, 2, {2, 4}, corners},
                                             {"labels", PERCEPT_INT64, 1, {1}, classes},
                                             {"scores", PERCEPT_FLOAT, 1, {2}, scores}};
    ck_assert_ptr_nonnull(
        strstr(answer(MANIFEST("\"decoder\":\"torchvision\""), fewer, 3), "2 boxes and 1 scores or classes"));
}
END_TEST

/* Classes from 1, y before x, and a count; two pictures. */
START_TEST(tf_counts_its_detections)
{
    static const float boxes[] = {0.1f, 0.2f, 0.5f, 0.6f, 0, 0, 1, 1, 0, 0, 1, 1, 0.1f, 0.2f, 0.5f, 0.6f};
    static const float ids[] = {2, 1, 1, 91}, points[] = {0.75f, 0.75f, 0.625f, 0.875f}, counts[] = {1, 2};
    const struct answering_output outputs[] = {{"detection_boxes:0", PERCEPT_FLOAT, 3, {2, 2, 4}, boxes},
                                               {"detection_classes:0", PERCEPT_FLOAT, 2, {2, 2}, ids},
                                               {"detection_scores:0", PERCEPT_FLOAT, 2, {2, 2}, points},
                                               {"num_detections:0", PERCEPT_FLOAT, 1, {2}, counts}};
    struct answering asked = {.manifest = MANIFEST("\"decoder\":\"tf_detection\""),
                              .width = 20,
                              .height = 10,
                              .n_items = 2,
                              .outputs = outputs,
                              .n_outputs = 4};
    ck_assert_str_eq(answering(&asked), "[[{\"label\":\"b\",\"index\":1,\"score\":0.75,\"box\":[4.0,1.0,12.0,5.0]}],"
                                        "[{\"index\":90,\"score\":0.875,\"box\":[4.0,1.0,12.0,5.0]},"
                                        "{\"label\":\"a\",\"index\":0,\"score\":0.625,\"box\":[0.0,0.0,20.0,10.0]}]]");
    asked.manifest = "{\"manifest\":1,\"labels\":{\"1\":\"one\",\"91\":\"last\"},\"task\":{\"kind\":\"detect\","
                     "\"decoder\":\"tf_detection\",\"class_offset\":0}}";
    ck_assert_str_eq(answering(&asked),
                     "[[{\"index\":2,\"score\":0.75,\"box\":[4.0,1.0,12.0,5.0]}],"
                     "[{\"label\":\"last\",\"index\":91,\"score\":0.875,\"box\":[4.0,1.0,12.0,5.0]},"
                     "{\"label\":\"one\",\"index\":1,\"score\":0.625,\"box\":[0.0,0.0,20.0,10.0]}]]");
}
END_TEST

static const struct {
    float count;
    int n;
} counts[] = {{NAN, 0}, {-1, 0}, {0, 0}, {1.9f, 1}, {1e30f, 2}, {INFINITY, 2}};

START_TEST(a_count_that_is_none_does_no_harm)
{
    static const float own[] = {0, 1, 0, 1};
    const struct answering_output outputs[] = {{"det_boxes", PERCEPT_FLOAT, 3, {1, 2, 4}, corners},
                                               {"det_scores", PERCEPT_FLOAT, 2, {1, 2}, scores},
                                               {"det_classes", PERCEPT_FLOAT, 2, {1, 2}, own},
                                               {"num_dets", PERCEPT_FLOAT, 2, {1, 1}, &counts[_i].count}};
    int n = 0;
    for (const char *at = answer(MANIFEST("\"decoder\":\"efficient_nms\""), outputs, 4); *at; at++)
        n += *at == '{';
    ck_assert_int_eq(n, counts[_i].n);
}
END_TEST

START_TEST(ultraface_has_a_background)
{
    static const float boxes[] = {0.1f, 0.1f, 0.5f, 0.5f, 0.1f, 0.1f, 0.5f, 0.6f};
    static const float own[] = {0.125f, 0.875f, 0.25f, 0.75f};
    const struct answering_output outputs[] = {{"scores", PERCEPT_FLOAT, 3, {1, 2, 2}, own},
                                               {"boxes", PERCEPT_FLOAT, 3, {1, 2, 4}, boxes}};
    ck_assert_str_eq(answer("{\"manifest\":1,\"labels\":[\"face\"],\"task\":{\"kind\":\"detect\",\"decoder\":"
                            "\"ultraface\"}}",
                            outputs, 2),
                     "[[{\"label\":\"face\",\"index\":0,\"score\":0.875,\"box\":[2.0,1.0,10.0,5.0]}]]");
}
END_TEST

Suite *serve_decoder_lists_suite(void)
{
    Suite *suite = suite_create("serve_decoder_lists");
    TCase *tests = tcase_create("decoder_lists");
    tcase_add_checked_fixture(tests, answering_begin, answering_end);
    tcase_add_test(tests, rows_are_taken_as_they_are);
    tcase_add_test(tests, paddles_rows_begin_with_the_class);
    tcase_add_test(tests, rtdetr_has_box_and_scores_in_a_row);
    tcase_add_test(tests, detrs_last_class_is_none);
    tcase_add_test(tests, rf_detr_takes_each_class_by_itself);
    tcase_add_test(tests, lists_of_labels_boxes_and_scores);
    tcase_add_test(tests, tf_counts_its_detections);
    tcase_add_loop_test(tests, a_count_that_is_none_does_no_harm, 0, sizeof counts / sizeof *counts);
    tcase_add_test(tests, ultraface_has_a_background);
    suite_add_tcase(suite, tests);
    return suite;
}
