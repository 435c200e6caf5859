/* Claims put together, and labels alone. */
#include "serve/recognise.h"

#include <check.h>
#include <stdio.h>

#include "folder.h"
#include "serve/exported.h"

#define IN "x|float32|1,3,8,8"
#define OUT "y|float32|1,3"

static void begin(void)
{
    folder_begin("recognise");
    exported_folder = folder_root;
}

static void end(void)
{
    exported_folder = NULL;
    folder_end();
}

START_TEST(a_single_file_of_labels_gives_labels)
{
    static const struct {
        const char *name, *text, *labels;
    } rows[] = {
        {"labels.txt", "a\nb\nc\n", "\"labels\": [\"a\", \"b\", \"c\"]"},
        {"classes.txt",
         "\xef\xbb\xbf"
         "a\r\nb\r\nc",
         "[\"a\", \"b\", \"c\"]"},
        {"coco.names", "0 a\n1 b\n2 c c\n\n", "[\"a\", \"b\", \"c c\"]"},
        {"synset.txt", "n01 a, x\nn02 b\nn03 c\n", "[\"n01 a, x\", \"n02 b\", \"n03 c\"]"},
        {"classes.names", "0 a\nb\n2 c", "[\"0 a\", \"b\", \"2 c\"]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin();
        folder_text(rows[i].name, rows[i].text);
        exported_claimed("labels", "", IN, OUT, rows[i].labels);
        exported_refused("", IN, "y|float32|1,4", "");
        exported_refused("", IN, "y|float32|1,?", "");
        exported_refused("", IN, "y|float32|3", "");
        exported_refused("", IN, OUT " z|float32|1,3", "");
        exported_folder = NULL; /* others' model lies there, too */
        exported_refused("", IN, OUT, "");
        end();
    }
}
END_TEST

START_TEST(what_is_no_list_of_labels_gives_none)
{
    static const char *const rows[] = {"a\nb",
                                       "a\nb\nc\nd",
                                       "a\n\nc",
                                       "a\nb\n\xff",
                                       "",
                                       "\n\n\n",
                                       "\xff\xfe"
                                       "a",
                                       "abc"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin();
        folder_text("labels.txt", rows[i]);
        exported_refused("", IN, OUT, "");
        end();
    }
    begin();
    folder_text("labels.txt", "a\nb\nc\n");
    folder_text("classes.txt", "d\ne\nf\n");
    exported_refused("", IN, OUT, "");
    end();
}
END_TEST

START_TEST(what_resembles_several_is_named)
{
    exported_refused("", IN, "y|float32|1,1000", "a classifier of ImageNet");
    exported_refused("", "images|float32|1,3,64,64", "output|float32|1,84,85", "YOLOX");
    exported_refused("", IN, "y|float32|1,3,8,8", "pictures of pictures");
}
END_TEST

/* Two that claim it, and one that refuses while another claims. */
START_TEST(two_claims_are_none)
{
    static const char two[] = "stride=32\nnames=['a', 'b', 'c']";
    static const char images[] = "images|float32|1,3,32,32", scores[] = "output0|float32|1,3";
    begin();
    folder_text("config.json",
                "{\"architecture\": \"x\", \"num_classes\": 3, \"pretrained_cfg\": {\"input_size\": [3, 32, 32]}}");
    exported_claimed("timm", "", images, scores, "bicubic");
    exported_refused(two, images, scores, "yolo or timm, but both claim it");
    folder_text("config.json",
                "{\"architecture\": \"x\", \"num_classes\": 4, \"pretrained_cfg\": {\"input_size\": [3, 32, 32]}}");
    exported_refused(two, images, scores, "timm, but");
    end();
}
END_TEST

Suite *serve_recognise_suite(void);
Suite *serve_recognise_suite(void)
{
    Suite *suite = suite_create("serve_recognise");
    TCase *tests = tcase_create("recognise");
    tcase_add_test(tests, a_single_file_of_labels_gives_labels);
    tcase_add_test(tests, what_is_no_list_of_labels_gives_none);
    tcase_add_test(tests, what_resembles_several_is_named);
    tcase_add_test(tests, two_claims_are_none);
    suite_add_tcase(suite, tests);
    return suite;
}
