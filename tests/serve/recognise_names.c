/* Detectors that their names and dims tell: each claim, and for each test that a claim has one graph that fails it
 * alone. Then every network at hand: each claim is of the right family. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve/exported.h"
#include "serve/recognise.h"

#define TF_IN "input_tensor|uint8|?,?,?,3"
#define TF_BOXES "detection_boxes|float32|?,5,4"
#define TF_SCORES " detection_scores|float32|?,5"
#define TF_CLASSES " detection_classes|float32|?,5"
#define TF_COUNT " num_detections|float32|?"
#define TF TF_BOXES TF_SCORES TF_CLASSES TF_COUNT

#define RF_IN "input|float32|1,3,56,56"
#define RF "dets|float32|1,30,4 labels|float32|1,30,91"

#define ULTRA_IN "input|float32|1,3,240,320"
#define ULTRA "scores|float32|1,4420,2@Softmax boxes|float32|1,4420,4@Exp@Neg"

#define YUNET_IN "input|float32|1,3,64,32"
#define YUNET_CLS "cls_8|float32|1,32,1@Sigmoid cls_16|float32|1,8,1@Sigmoid cls_32|float32|1,2,1@Sigmoid "
#define YUNET_OBJ "obj_8|float32|1,32,1@Sigmoid obj_16|float32|1,8,1@Sigmoid obj_32|float32|1,2,1@Sigmoid "
#define YUNET_BBOX "bbox_8|float32|1,32,4 bbox_16|float32|1,8,4 bbox_32|float32|1,2,4 "
#define YUNET_KPS "kps_8|float32|1,32,10 kps_16|float32|1,8,10 kps_32|float32|1,2,10"
#define YUNET YUNET_CLS YUNET_OBJ YUNET_BBOX YUNET_KPS

#define NANO_IN "data|float32|1,3,32,64"
#define NANO_CLS                                                                                                       \
    "cls_pred_stride_8|float32|1,32,7@Sigmoid cls_pred_stride_16|float32|1,8,7@Sigmoid "                               \
    "cls_pred_stride_32|float32|1,2,7@Sigmoid "
#define NANO_DIS "dis_pred_stride_8|float32|1,32,32 dis_pred_stride_16|float32|1,8,32 dis_pred_stride_32|float32|1,2,32"
#define NANO NANO_CLS NANO_DIS

static const struct {
    const char *by, *inputs, *outputs, *part;
} claimed[] = {
    {"tf_detection", TF_IN, TF,
     "\"input_tensor\": {\"kind\": \"image\", \"size\": \"picture\", \"channels\": \"rgb\", \"layout\": \"NHWC\"}"},
    {"tf_detection", "image_tensor:0|uint8|?,?,?,3",
     "num_detections:0|float32|? detection_boxes:0|float32|?,?,4 detection_scores:0|float32|?,? "
     "detection_classes:0|float32|?,? raw_detection_boxes:0|float32|?,9,4",
     "\"decoder\": \"tf_detection\", \"outputs\": {\"boxes\": \"detection_boxes:0\", \"scores\": "
     "\"detection_scores:0\", "
     "\"classes\": \"detection_classes:0\", \"count\": \"num_detections:0\"}}"},
    {"rf_detr", RF_IN, RF,
     "\"size\": [56, 56], \"channels\": \"rgb\", \"scale\": 0.00392156862745098, \"mean\": [0.485"},
    {"rf_detr", RF_IN, RF, "\"decoder\": \"rf_detr\"}"},
    {"ultraface", ULTRA_IN, ULTRA,
     "\"size\": [240, 320], \"channels\": \"rgb\", \"scale\": 1, \"mean\": [127, 127, 127], \"std\": [128, 128, 128]}"},
    {"ultraface", "input|float32|1,3,480,640", "boxes|float32|1,17640,4@Exp@Neg scores|float32|1,17640,2@Softmax",
     "\"labels\": [\"face\"]"},
    {"yunet", YUNET_IN, YUNET, "\"size\": [64, 32], \"channels\": \"bgr\"}"},
    {"yunet", "input|float32|1,3,?,?", YUNET, "\"size\": [256, 320]"},
    {"nanodet", NANO_IN, NANO, "\"manifest\": 1,\n  \"task\": {\"kind\": \"detect\", \"decoder\": \"nanodet\"}"},
};

START_TEST(each_family_is_claimed)
{
    exported_claimed(claimed[_i].by, "", claimed[_i].inputs, claimed[_i].outputs, claimed[_i].part);
}
END_TEST

/* Each breaks one test of its recogniser alone. `part`: what is said of it; "": it is nobody's. */
static const struct {
    const char *inputs, *outputs, *part;
} refused[] = {
    {"picture|uint8|?,?,?,3", TF, ""},
    {TF_IN " other|uint8|1", TF, ""},
    {TF_IN, TF_BOXES TF_SCORES TF_CLASSES, ""},
    {TF_IN, "detection_scores|float32|?,5" TF_CLASSES TF_COUNT, ""},
    {"input_tensor|float32|?,?,?,3", TF, "tf_detection, but its input 'input_tensor' is not uint8"},
    {"input_tensor|uint8|?,?,3", TF, "is not uint8 [?,height,width,3]"},
    {"input_tensor|uint8|?,?,?,1", TF, "is not uint8 [?,height,width,3]"},
    {"input_tensor|uint8|?,300,?,3", TF, "has fixed sides"},
    {"input_tensor|uint8|?,?,300,3", TF, "has fixed sides"},
    {TF_IN, "detection_boxes|float32|?,5,5" TF_SCORES TF_CLASSES TF_COUNT, "its outputs are not"},
    {TF_IN, "detection_boxes|float16|?,5,4" TF_SCORES TF_CLASSES TF_COUNT, "its outputs are not"},
    {TF_IN, "detection_boxes|float32|5,4" TF_SCORES TF_CLASSES TF_COUNT, "its outputs are not"},
    {TF_IN, TF_BOXES " detection_scores|float32|?,6" TF_CLASSES TF_COUNT, "its outputs are not"},
    {TF_IN, TF_BOXES " detection_scores|float32|?,5,2" TF_CLASSES TF_COUNT, "its outputs are not"},
    {TF_IN, TF_BOXES TF_SCORES " detection_classes|int64|?,5" TF_COUNT, "its outputs are not"},
    {TF_IN, TF_BOXES TF_SCORES TF_CLASSES " num_detections|int64|?", "its outputs are not"},
    {TF_IN, TF_BOXES TF_SCORES TF_CLASSES " num_detections|float32|?,1", "its outputs are not"},
    {"images|float32|1,3,56,56", RF, ""},
    {RF_IN " sizes|int64|1,2", RF, ""},
    {RF_IN, "dets|float32|1,30,4", ""},
    {RF_IN, "dets|float32|1,30,5 labels|int64|1,30", ""}, /* MMDetection's */
    {"input|float32|1,3,56,64", RF, "rf_detr, but its input is not float32 [?,3,side,side]"},
    {"input|float32|1,1,56,56", RF, "its input is not float32"},
    {"input|float32|1,3,?,?", RF, "its input is not float32"},
    {"input|float16|1,3,56,56", RF, "its input is not float32"},
    {RF_IN, RF " masks|float32|1,30,14,14", "it has 3 outputs"},
    {RF_IN, "dets|float32|1,30,5 labels|float32|1,30,91", "dets is not"},
    {RF_IN, "dets|float16|1,30,4 labels|float32|1,30,91", "dets is not"},
    {RF_IN, "dets|float32|1,30,4 labels|float32|1,31,91", "labels is not"},
    {RF_IN, "dets|float32|1,30,4 labels|float32|30,91", "labels is not"},
    {RF_IN, "dets|float32|1,30,4 labels|float32|1,30,91@Sigmoid", "labels went through an activation"},
    {"image|float32|1,3,240,320", ULTRA, ""},
    {"input|float32|1,3,240,321", ULTRA, ""},
    {"input|float32|1,3,480,640", ULTRA, ""},
    {ULTRA_IN, ULTRA " more|float32|1", ""},
    {ULTRA_IN, "scores|float32|1,4421,2@Softmax boxes|float32|1,4420,4@Exp@Neg", ""},
    {"input|float32|1,1,240,320", ULTRA, "ultraface, but its input has 1 channels"},
    {ULTRA_IN, "scores|float32|1,4420,3@Softmax boxes|float32|1,4420,4@Exp@Neg", "scores has 3 columns"},
    {ULTRA_IN, "scores|float32|1,4420,2@Softmax boxes|float32|1,4419,4@Exp@Neg", "boxes is not [?,4420,4]"},
    {ULTRA_IN, "scores|float32|1,4420,2@Softmax boxes|float32|1,4420,5@Exp@Neg", "boxes is not [?,4420,4]"},
    {ULTRA_IN, "scores|float32|1,4420,2 boxes|float32|1,4420,4@Exp@Neg", "scores went through no Softmax"},
    {ULTRA_IN, "scores|float32|1,4420,2@Softmax boxes|float32|1,4420,4", "boxes are not decoded"},
    {"image|float32|1,3,64,32", YUNET, ""},
    {YUNET_IN, YUNET_CLS YUNET_OBJ YUNET_BBOX "kps_8|float32|1,32,10 kps_16|float32|1,8,10 kps_64|float32|1,2,10", ""},
    {YUNET_IN, YUNET " more|float32|1", ""},
    {"input|float32|1,1,64,32", YUNET, "yunet, but its input is not"},
    {"input|uint8|1,3,64,32", YUNET, "its input is not"},
    {"input|float32|1,3,60,32", YUNET, "no multiples of 32"},
    {"input|float32|1,3,64,40", YUNET, "no multiples of 32"},
    {YUNET_IN,
     "cls_8|float32|1,32,2@Sigmoid cls_16|float32|1,8,1@Sigmoid cls_32|float32|1,2,1@Sigmoid " YUNET_OBJ YUNET_BBOX
         YUNET_KPS,
     "cls_8 is not"},
    {YUNET_IN,
     "cls_8|float32|1,32,1@Sigmoid cls_16|float32|1,8,1 cls_32|float32|1,2,1@Sigmoid " YUNET_OBJ YUNET_BBOX YUNET_KPS,
     "cls_16 is not float32 [?,cells,1] behind a Sigmoid"},
    {YUNET_IN,
     YUNET_CLS "obj_8|float32|1,32,1@Sigmoid obj_16|float32|1,8,1@Sigmoid obj_32|float32|1,2,1 " YUNET_BBOX YUNET_KPS,
     "obj_32 is not"},
    {YUNET_IN, YUNET_CLS YUNET_OBJ "bbox_8|float32|1,32,4 bbox_16|float32|1,8,5 bbox_32|float32|1,2,4 " YUNET_KPS,
     "bbox_16 is not"},
    {YUNET_IN, YUNET_CLS YUNET_OBJ YUNET_BBOX "kps_8|float32|1,32,10 kps_16|float32|1,8,10 kps_32|float32|1,2,8",
     "kps_32 is not"},
    {YUNET_IN, YUNET_CLS YUNET_OBJ YUNET_BBOX "kps_8|float32|32,10 kps_16|float32|1,8,10 kps_32|float32|1,2,10",
     "kps_8 is not"},
    {NANO_IN, NANO_CLS "dis_pred_stride_8|float32|1,32,32 dis_pred_stride_16|float32|1,8,32", ""},
    {NANO_IN, NANO " more|float32|1", ""},
    {"data|float32|1,1,32,64", NANO, "nanodet, but its input is not"},
    {"data|float32|1,3,?,?", NANO, "its input is not"},
    {"data|float32|1,3,33,64", NANO, "its input is not"},
    {"data|float32|1,3,64,64", NANO, "its scores are not float32 [?,cells,classes]"},
    {NANO_IN,
     "cls_pred_stride_8|float32|1,32,7@Sigmoid cls_pred_stride_16|float32|1,8,6@Sigmoid "
     "cls_pred_stride_32|float32|1,2,7@Sigmoid " NANO_DIS,
     "its scores are not"},
    {NANO_IN,
     "cls_pred_stride_8|float32|1,32,7@Sigmoid cls_pred_stride_16|float32|1,8,7@Sigmoid "
     "cls_pred_stride_32|float32|1,2,7 " NANO_DIS,
     "went through no Sigmoid"},
    {NANO_IN,
     NANO_CLS "dis_pred_stride_8|float32|1,32,32 dis_pred_stride_16|float32|1,8,16 dis_pred_stride_32|float32|1,2,32",
     "its distances are not"},
    {NANO_IN,
     NANO_CLS "dis_pred_stride_8|float32|1,31,32 dis_pred_stride_16|float32|1,8,32 dis_pred_stride_32|float32|1,2,32",
     "its distances are not"},
};

START_TEST(each_test_of_a_recogniser_refuses)
{
    exported_refused("", refused[_i].inputs, refused[_i].outputs, refused[_i].part);
}
END_TEST

/* --- every network at hand ---------------------------------------------------------------------------------------- */

/* Who may claim which of the shared models: the beginning of the folder's name. */
static const struct {
    const char *folder, *by;
} right[] = {{"ultraface", "ultraface"}, {"yunet", "yunet"}, {"nanodet_m", "nanodet"}};

static void expect_right(const char *path, const char *by)
{
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        const char *at = strstr(path, right[i].folder);
        const bool there = at && at > path && at[-1] == '/';
        ck_assert_msg(there == (strcmp(by, right[i].by) == 0), "%s is taken for '%s'", path, by);
    }
    for (size_t i = 0; *by && i < sizeof right / sizeof *right; i++)
        if (strcmp(by, right[i].by) == 0)
            return;
    ck_assert_msg(!*by, "%s is taken for '%s'", path, by);
}

static void recognise_file(const char *path)
{
    const struct percept_options options = {.size = sizeof options, .region = PERCEPT_REGION_PRIVATE};
    struct percept_err err = {0};
    struct arena arena = {0};
    struct percept_model *model = percept_open(path, &options, &err);
    if (!model)
        return; /* it is of operators that are not served */
    struct recognise recognise = {.model = model, .path = path, .arena = &arena};
    const struct manifest *own = manifest_new(&arena, &err);
    ck_assert_msg(recognise_model(&recognise, &err), "%s", err.text);
    own = recognise_over(&recognise, own, &err);
    ck_assert_msg(own != NULL, "%s: %s", path, err.text);
    expect_right(path, own->recognised_by ? own->recognised_by : "");
    arena_free(&arena);
    percept_close(model);
}

/* The shared models, the conformance set, and whatever PERCEPTD_NETS names. */
START_TEST(no_network_at_hand_is_claimed_falsely)
{
    char line[4096];
    int n = 0;
    FILE *list = popen("find -L \"${PERCEPTD_SHARED:-../shared}/models\" \"${PERCEPTD_SHARED:-../shared}/onnx\" "
                       "$PERCEPTD_NETS -name '*.onnx' -size -20000k 2>/dev/null | sort",
                       "r");
    ck_assert_ptr_nonnull(list);
    for (; fgets(line, sizeof line, list); n++) {
        line[strcspn(line, "\n")] = '\0';
        recognise_file(line);
    }
    pclose(list);
    if (!n)
        printf("skipped: no shared models, see PERCEPTD_SHARED\n");
}
END_TEST

#define N(table) (int)(sizeof table / sizeof *table)

Suite *serve_recognise_names_suite(void);
Suite *serve_recognise_names_suite(void)
{
    Suite *suite = suite_create("serve_recognise_names");
    TCase *tests = tcase_create("recognise_names");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, each_family_is_claimed, 0, N(claimed));
    tcase_add_loop_test(tests, each_test_of_a_recogniser_refuses, 0, N(refused));
    tcase_add_test(tests, no_network_at_hand_is_claimed_falsely);
    suite_add_tcase(suite, tests);
    return suite;
}
