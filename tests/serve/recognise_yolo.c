/* Exports of the YOLO family: each claim, and for each test that a claim has one export that fails it alone. */
#include <check.h>
#include <stdio.h>

#include "serve/exported.h"
#include "serve/recognise.h"

/* Grids of strides 8, 16 and 32 of 32x64: 32 + 8 + 2 cells; of stride 64 and 4 besides. */
#define KEYS                                                                                                           \
    "author=Ultralytics\ndescription=Ultralytics best model\nversion=8.3.0\nstride=32\nbatch=1\nimgsz=[32, 64]\n"      \
    "names={0: 'cat', 1: \"dog's\", 2: 'caf\\xe9'}\nchannels=3\n"
#define DETECT KEYS "task=detect\n"
#define IMAGES "images|float32|1,3,32,64"

START_TEST(each_layout_of_ultralytics_is_claimed)
{
    static const struct {
        const char *more, *outputs, *task;
    } rows[] = {
        {"task=detect", "output0|float32|1,7,42", "\"decoder\": \"yolov8\", \"output\": \"output0\"}"},
        {"task=detect\nend2end=False\nargs={'nms': False, 'opset': None}", "output0|float32|1,7,42", "yolov8"},
        {"task=detect", "output0|float32|1,7,170", "yolov8"},
        {"task=detect", "output0|float32|1,300,6", "\"decoder\": \"rows\", \"output\": \"output0\"}"},
        {"task=detect\nend2end=True", "output0|float32|1,100,6", "\"rows\""},
        {"task=detect\nargs={'nms': True, 'dynamic': False}", "output0|float32|1,300,6", "\"rows\""},
        {"task=detect", "output0|float32|1,300,7", "\"rtdetr\""},
        {"task=segment", "output0|float32|1,11,42 output1|float32|1,4,8,16",
         "\"yolov8\", \"output\": \"output0\", \"prototypes\": \"output1\"}"},
        {"task=segment", "output0|float32|1,300,10 output1|float32|1,4,8,16",
         "\"rows\", \"output\": \"output0\", \"prototypes\": \"output1\"}"},
        {"task=pose\nkpt_shape=(5, 3)", "output0|float32|1,22,42", "\"kpt_shape\": [5, 3]}"},
        {"task=pose\nkpt_shape=[5, 2]", "output0|float32|1,300,16", "\"rows\""},
        {"task=obb", "output0|float32|1,8,42", "\"yolov8\", \"output\": \"output0\", \"obb\": true}"},
        {"task=obb", "output0|float32|1,300,7",
         "\"rows\", \"output\": \"output0\", \"boxes\": \"cxcywh\", \"obb\": true}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char properties[1000];
        snprintf(properties, sizeof properties, KEYS "%s", rows[i].more);
        exported_claimed("ultralytics", properties, IMAGES, rows[i].outputs, rows[i].task);
    }
    exported_claimed("ultralytics", DETECT, IMAGES, "output0|float32|1,7,42", "[\"cat\", \"dog's\", \"caf\xc3\xa9\"]");
    exported_claimed(
        "ultralytics", DETECT, IMAGES, "output0|float32|1,7,42",
        "\"size\": [32, 64], \"channels\": \"rgb\", \"resize\": \"letterbox\", \"fill\": 114, \"antialias\": false, "
        "\"scale\": 0.00392156862745098}");
    exported_claimed("ultralytics", exported_but(DETECT, "author", "Somebody"), IMAGES, "output0|float32|1,7,42",
                     "yolov8");
}
END_TEST

START_TEST(axes_that_are_free_are_told_by_a_run)
{
    exported_claimed("ultralytics", DETECT, "images|float32|?,3,?,?", "output0|float32|?,7,42", "yolov8");
    exported_claimed("ultralytics", DETECT, IMAGES, "output0|float32|1,7,42", "yolov8");
    exported_refused(DETECT, "images|float32|?,3,?,?", "output0|float32|?,7,?", "output0 is ");
}
END_TEST

START_TEST(two_classes_need_to_be_told_apart)
{
    const char *two = exported_but(DETECT, "names", "{0: 'a', 1: 'b'}");
    char properties[1000];
    snprintf(properties, sizeof properties, "%s", two);
    exported_refused(properties, IMAGES, "output0|float32|1,42,6", "several");
    exported_claimed("ultralytics", exported_but(properties, "end2end", "True"), IMAGES, "output0|float32|1,42,6",
                     "\"rows\"");
    exported_claimed("ultralytics", exported_but(properties, "head", "RTDETRDecoder"), IMAGES, "output0|float32|1,42,6",
                     "\"rtdetr\"");
    exported_claimed("ultralytics", properties, IMAGES, "output0|float32|1,6,42", "\"yolov8\"");
}
END_TEST

START_TEST(a_classifier_is_activated_once)
{
    const char *square = exported_but(KEYS "task=classify\n", "imgsz", "[32, 32]");
    char keys[1000];
    snprintf(keys, sizeof keys, "%s", square);
    static const char images[] = "images|float32|1,3,32,32";
    exported_claimed("ultralytics", keys, images, "output0|float32|1,3@Softmax", "\"activation\": \"none\"}");
    exported_claimed("ultralytics", keys, images, "output0|float32|1,3@Softmax@Identity", "\"activation\": \"none\"}");
    exported_claimed("ultralytics", keys, images, "output0|float32|1,3@Relu", "\"activation\": \"softmax\"}");
    exported_claimed("ultralytics", keys, images, "output0|float32|1,3",
                     "\"resize\": \"crop\", \"resize_size\": 32, \"rounding\": \"floor\"");
    exported_refused(keys, images, "output0|float32|1,3@Sigmoid", "something else than Softmax");
    exported_refused(keys, images, "output0|float32|1,4", "not [?,3]");
    exported_refused(KEYS "task=classify\n", IMAGES, "output0|float32|1,3", "square");
}
END_TEST

START_TEST(each_test_of_ultralytics_refuses_alone)
{
    static const struct {
        const char *key, *value, *why;
    } keys[] = {
        {"task", "depth", "'task'"},
        {"task", NULL, "'task'"},
        {"names", NULL, "'names'"},
        {"names", "{0: 'a', 1: 'b'}", "fits none"},
        {"names", "{0: 'a', 1: 'b', 3: 'c'}", "'names'"},
        {"names", "{0: 'a', 1: 'b', 1: 'c'}", "'names'"},
        {"names", "{0: 'a', 1: 'b', 2: 7}", "'names'"},
        {"names", "{\"0\": \"a\", \"1\": \"b\", \"2\": \"c\"}", "'names'"},
        {"names", "['a', 'b', 'c']", "'names'"},
        {"names", "{0: 'a', 1: 'b', 2: 'c'", "'names'"},
        {"names", "dict(a=1)", "'names'"},
        {"names", "{}", "'names'"},
        {"imgsz", NULL, "'imgsz'"},
        {"imgsz", "64", "'imgsz'"},
        {"imgsz", "[32, 32]", "as imgsz says"},
        {"imgsz", "[64, 32]", "as imgsz says"},
        {"imgsz", "[1000000000, 1000000000]", "'imgsz'"},
        {"imgsz", "[32, 64, 3]", "'imgsz'"},
        {"imgsz", "[32, nan]", "'imgsz'"},
        {"stride", NULL, "'stride'"},
        {"stride", "'32'", "'stride'"},
        {"batch", NULL, "'batch'"},
        {"channels", "4", "its input"},
        {"channels", "1", "its input"},
        {"channels", "many", "'channels'"},
        {"model_family", "yolox", "more than"},
        {"end2end", "True", "end2end"},
        {"args", "{'nms': True}", "nms"},
        {"head", "RTDETRDecoder", "head"},
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        exported_refused(exported_but(DETECT, keys[i].key, keys[i].value), IMAGES, "output0|float32|1,7,42",
                         keys[i].why);
    static const struct {
        const char *inputs, *outputs, *why;
    } ios[] = {
        {"image|float32|1,3,32,64", "output0|float32|1,7,42", "its input"},
        {"images|float16|1,3,32,64", "output0|float32|1,7,42", "its input"},
        {"images|float32|1,3,64,32", "output0|float32|1,7,42", "its input"},
        {"images|float32|1,32,64,3", "output0|float32|1,7,42", "its input"},
        {"images|float32|3,32,64", "output0|float32|1,7,42", "its input"},
        {"images|float32|1,3,32,64 more|float32|1", "output0|float32|1,7,42", "its input"},
        {IMAGES, "output|float32|1,7,42", "its outputs"},
        {IMAGES, "output0|float32|1,7,42 output1|float32|1", "its outputs"},
        {IMAGES, "output0|float16|1,7,42", "its outputs"},
        {IMAGES, "output0|float32|1,7,43", "fits none"},
        {IMAGES, "output0|float32|1,8,42", "fits none"},
        {IMAGES, "output0|float32|1,42,8", "fits none"},
        {IMAGES, "output0|float32|7,42", "fits none"},
    };
    for (size_t i = 0; i < sizeof ios / sizeof *ios; i++)
        exported_refused(DETECT, ios[i].inputs, ios[i].outputs, ios[i].why);
    exported_refused(DETECT "task=segment\n", IMAGES, "output0|float32|1,7,42", "not alike");
    exported_refused(exported_but(DETECT, "end2end", "False\nargs={'nms': False}"), IMAGES, "output0|float32|1,300,6",
                     "end2end");
    exported_refused(KEYS "task=segment\n", IMAGES, "output0|float32|1,11,42", "its outputs");
    exported_refused(KEYS "task=segment\n", IMAGES, "output0|float32|1,11,42 output1|float32|1,4,8,8", "output1");
    exported_refused(KEYS "task=segment\n", IMAGES, "output0|float32|1,12,42 output1|float32|1,4,8,16", "fits none");
    exported_refused(KEYS "task=pose\n", IMAGES, "output0|float32|1,22,42", "'kpt_shape'");
    exported_refused(KEYS "task=pose\nkpt_shape=[5, 4]", IMAGES, "output0|float32|1,27,42", "'kpt_shape'");
    exported_refused(KEYS "task=obb\n", IMAGES, "output0|float32|1,7,42", "fits none");
}
END_TEST

START_TEST(what_is_not_ultralytics_is_nobody_s)
{
    const char *other = exported_but(DETECT, "author", "Somebody");
    char properties[1000];
    snprintf(properties, sizeof properties, "%s", other);
    exported_refused(exported_but(properties, "description", "A model"), IMAGES, "output0|float32|1,7,42", "");
}
END_TEST

#define TWO "stride=32\nnames=['a', 'b', 'c']"

START_TEST(two_keys_are_told_apart_by_dims)
{
    exported_claimed("yolo", TWO, IMAGES, "output0|float32|1,126,8",
                     "\"decoder\": \"yolov5\", \"output\": \"output0\"}");
    exported_claimed("yolo", "stride=32\nnames={0: 'a', 1: 'b', 2: 'c'}", IMAGES, "output0|float32|1,126,8", "yolov5");
    exported_claimed("yolo", TWO, "images|float32|1,3,64,64", "output0|float32|1,255,8", "yolov5");
    exported_claimed("yolo", TWO, IMAGES, "output0|float32|1,126,40 output1|float32|1,32,8,16",
                     "\"prototypes\": \"output1\"}");
    exported_claimed("yolo", TWO, IMAGES, "output0|float32|1,7,42", "\"yolov8\", \"output\": \"output0\"");
    exported_claimed("yolo", TWO, IMAGES, "output0|float32|1,7,42 output1|float32|1,7,42",
                     "\"yolov8\", \"output\": \"output1\"");
    exported_claimed("yolo", TWO, "images|float32|1,3,32,32", "output0|float32|1,3", "\"activation\": \"softmax\"}");
    exported_claimed("yolo", TWO, "images|float32|1,3,32,32", "output0|float32|1,3@Softmax",
                     "\"activation\": \"none\"}");
    exported_refused(TWO "\nversion=7", IMAGES, "output0|float32|1,126,8", "");
    exported_refused("stride=32", IMAGES, "output0|float32|1,126,8", "");
    exported_refused("stride=32\nnames=cat", IMAGES, "output0|float32|1,126,8", "");
    exported_refused("stride=a\nnames=['a', 'b', 'c']", IMAGES, "output0|float32|1,126,8", "");
    exported_refused(TWO, IMAGES, "output0|float32|1,126,9", "neither");
    exported_refused(TWO, IMAGES, "output0|float32|1,42,8", "neither");
    exported_refused(TWO, IMAGES, "output0|float32|1,7,126", "neither");
    exported_refused(TWO, IMAGES, "output0|float32|1,7,43 output1|float32|1,7,42", "neither");
    exported_refused(TWO, IMAGES, "output0|float32|1,126,40 output1|float32|1,32,8,8", "neither");
    exported_refused(TWO, IMAGES, "output0|float32|1,126,8 output1|float32|1 output2|float32|1", "neither");
    exported_refused(TWO, "images|float32|1,3,?,?", "output0|float32|1,126,8", "fixed sides");
    exported_refused(TWO, "data|float32|1,3,32,64", "output0|float32|1,126,8", "fixed sides");
    exported_refused(TWO, "images|float32|1,3,32,32", "output0|float32|1,3@Sigmoid", "Softmax");
    exported_refused(TWO, IMAGES, "output0|float32|1,3", "square");
}
END_TEST

Suite *serve_recognise_yolo_suite(void);
Suite *serve_recognise_yolo_suite(void)
{
    Suite *suite = suite_create("serve_recognise_yolo");
    TCase *tests = tcase_create("recognise_yolo");
    tcase_add_test(tests, each_layout_of_ultralytics_is_claimed);
    tcase_add_test(tests, axes_that_are_free_are_told_by_a_run);
    tcase_add_test(tests, two_classes_need_to_be_told_apart);
    tcase_add_test(tests, a_classifier_is_activated_once);
    tcase_add_test(tests, each_test_of_ultralytics_refuses_alone);
    tcase_add_test(tests, what_is_not_ultralytics_is_nobody_s);
    tcase_add_test(tests, two_keys_are_told_apart_by_dims);
    suite_add_tcase(suite, tests);
    return suite;
}
