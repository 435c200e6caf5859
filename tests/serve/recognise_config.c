/* Classifiers by config.json: each claim, and for each test of one a file that fails it alone. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "folder.h"
#include "serve/exported.h"
#include "serve/recognise.h"

#define PIXELS "pixel_values|float32|1,3,32,32"
#define LOGITS "logits|float32|1,3"
#define CONFIG                                                                                                         \
    "{\"model_type\": \"vit\", \"architectures\": [\"ViTForImageClassification\"], \"id2label\": {\"0\": \"a\", "      \
    "\"1\": \"b\", "                                                                                                   \
    "\"2\": \"c\"}}"
#define VIT "{\"image_processor_type\": \"ViTImageProcessor\", \"size\": {\"height\": 32, \"width\": 32}}"

static void begin(const char *config, const char *processor)
{
    folder_begin("recognise");
    exported_folder = folder_root;
    folder_text("config.json", config);
    if (processor)
        folder_text("preprocessor_config.json", processor);
}

static void end(void)
{
    exported_folder = NULL;
    folder_end();
}

START_TEST(processors_prepare_pictures_as_their_authors_do)
{
    static const struct {
        const char *processor, *part;
    } rows[] = {
        {VIT, "\"size\": [32, 32], \"channels\": \"rgb\", \"scale\": 0.00392156862745098, \"mean\": [0.5, 0.5, 0.5], "
              "\"std\": [0.5, 0.5, 0.5], \"filter\": \"bilinear\"}"},
        {"{\"feature_extractor_type\": \"ViTFeatureExtractor\", \"size\": 32, \"resample\": 3}", "bicubic"},
        {"{\"image_processor_type\": \"ViTImageProcessorFast\", \"size\": 32, \"image_mean\": [0.1, 0.2, 0.3], "
         "\"image_std\": 0.25}",
         "\"mean\": [0.1, 0.2, 0.3], \"std\": [0.25, 0.25, 0.25]"},
        {"{\"image_processor_type\": \"ViTImageProcessor\", \"size\": 32, \"do_normalize\": false, \"do_rescale\": "
         "false}",
         "\"scale\": 1, \"mean\": [0, 0, 0], \"std\": [1, 1, 1]"},
        {"{\"image_processor_type\": \"DeiTImageProcessor\", \"size\": 36, \"crop_size\": 32}",
         "\"filter\": \"bicubic\", \"resize\": \"crop\", \"rounding\": \"floor\", \"resize_size\": [36, 36]"},
        {"{\"image_processor_type\": \"ConvNextImageProcessor\", \"size\": {\"shortest_edge\": 32}, \"resample\": 2}",
         "\"resize_size\": 36}"},
        {"{\"image_processor_type\": \"ConvNextImageProcessor\", \"size\": {\"shortest_edge\": 32}, \"resample\": 2, "
         "\"crop_pct\": 0.5}",
         "\"resize_size\": 64}"},
        {"{\"image_processor_type\": \"EfficientNetImageProcessor\", \"size\": 32, \"image_std\": 0.5}",
         "\"std\": [0.25, 0.25, 0.25], \"filter\": \"nearest\"}"},
        {"{\"image_processor_type\": \"EfficientNetImageProcessor\", \"size\": 32, \"include_top\": false, "
         "\"image_mean\": 0, \"image_std\": 0.5, \"rescale_offset\": true, \"rescale_factor\": 0.01}",
         "\"scale\": 0.01, \"mean\": [1.275, 1.275, 1.275], \"std\": [0.5, 0.5, 0.5]"},
        {"{\"image_processor_type\": \"MobileNetV2ImageProcessor\", \"size\": {\"shortest_edge\": 36}, \"crop_size\": "
         "32}",
         "\"resize_size\": 36}"},
        {"{\"image_processor_type\": \"MobileViTImageProcessor\", \"size\": {\"shortest_edge\": 36}, \"crop_size\": "
         "32}",
         "\"channels\": \"bgr\""},
        {"{\"image_processor_type\": \"LevitImageProcessor\", \"size\": {\"shortest_edge\": 32}, \"crop_size\": 32}",
         "\"resize_size\": 36}"},
        {"{\"image_processor_type\": \"PoolFormerImageProcessor\", \"size\": {\"shortest_edge\": 32}, \"crop_size\": "
         "32}",
         "\"resize_size\": 35}"},
        {"{\"image_processor_type\": \"BitImageProcessor\", \"size\": {\"shortest_edge\": 36}, \"crop_size\": "
         "{\"height\": "
         "32, \"width\": 32}}",
         "0.48145466"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin(CONFIG, rows[i].processor);
        exported_claimed("transformers", "", PIXELS, LOGITS, rows[i].part);
        end();
    }
}
END_TEST

START_TEST(scores_are_activated_once)
{
    begin(CONFIG, VIT);
    exported_claimed("transformers", "", PIXELS, LOGITS, "\"activation\": \"softmax\"}");
    exported_claimed("transformers", "", PIXELS, LOGITS "@Softmax", "\"activation\": \"none\"}");
    exported_refused("", PIXELS, LOGITS "@Sigmoid", "something else than softmax");
    end();
    begin("{\"model_type\": \"vit\", \"architectures\": [\"ViTForImageClassification\"], \"id2label\": {\"0\": \"a\", "
          "\"1\": "
          "\"b\", \"2\": \"c\"}, \"problem_type\": \"multi_label_classification\"}",
          VIT);
    exported_claimed("transformers", "", PIXELS, LOGITS, "\"activation\": \"sigmoid\"}");
    exported_claimed("transformers", "", PIXELS, LOGITS "@Sigmoid", "\"activation\": \"none\"}");
    end();
}
END_TEST

#define REFUSED_BY(processor)                                                                                          \
    {                                                                                                                  \
        CONFIG, processor, PIXELS, LOGITS, "transformers, but"                                                         \
    }

START_TEST(each_test_of_transformers_refuses_alone)
{
    static const struct {
        const char *config, *processor, *input, *output, *why;
    } rows[] = {
        {"{\"model_type\": \"bert\", \"architectures\": [\"BertForImageClassification\"]}", VIT, PIXELS, LOGITS, ""},
        {CONFIG, NULL, PIXELS, LOGITS, ""},
        {"[1, 2", VIT, PIXELS, LOGITS, ""},
        {"{\"model_type\": \"vit\", \"architectures\": [\"ViTModel\"], \"id2label\": {\"0\": \"a\", \"1\": \"b\", "
         "\"2\": \"c\"}}",
         VIT, PIXELS, LOGITS, "architecture"},
        {"{\"model_type\": \"vit\", \"architectures\": [\"ViTForImageClassification\"], \"id2label\": {\"0\": \"a\", "
         "\"1\": "
         "\"b\"}}",
         VIT, PIXELS, LOGITS, "id2label"},
        {"{\"model_type\": \"vit\", \"architectures\": [\"ViTForImageClassification\"], \"id2label\": {\"0\": \"a\", "
         "\"1\": "
         "\"b\", \"3\": \"c\"}}",
         VIT, PIXELS, LOGITS, "id2label"},
        {"{\"model_type\": \"vit\", \"architectures\": [\"ViTForImageClassification\"], \"id2label\": {\"0\": \"a\", "
         "\"1\": "
         "\"b\", \"2\": \"c\"}, \"problem_type\": \"regression\"}",
         VIT, PIXELS, LOGITS, "problem_type"},
        {CONFIG, VIT, "pixels|float32|1,3,32,32", LOGITS, "pixel_values"},
        {CONFIG, VIT, "pixel_values|float32|1,3,64,32", LOGITS, "pixel_values"},
        {CONFIG, VIT, "pixel_values|float16|1,3,32,32", LOGITS, "pixel_values"},
        {CONFIG, VIT, "pixel_values|float32|1,1,32,32", LOGITS, "pixel_values"},
        {CONFIG, VIT, PIXELS " more|float32|1", LOGITS, "pixel_values"},
        {CONFIG, VIT, PIXELS, "scores|float32|1,3", "logits"},
        {CONFIG, VIT, PIXELS, LOGITS " more|float32|1", "logits"},
        {CONFIG, VIT, PIXELS, "logits|float32|1,3,1", "logits"},
        REFUSED_BY("{\"image_processor_type\": \"DPTImageProcessor\", \"size\": 32}"),
        REFUSED_BY("{\"image_processor_type\": \"ViTImageProcessor\"}"),
        REFUSED_BY("{\"image_processor_type\": \"ViTImageProcessor\", \"size\": {\"shortest_edge\": 32}}"),
        REFUSED_BY("{\"image_processor_type\": \"ViTImageProcessor\", \"size\": 1000000000}"),
        REFUSED_BY("{\"image_processor_type\": \"ViTImageProcessor\", \"size\": 32, \"do_resize\": false}"),
        REFUSED_BY("{\"image_processor_type\": \"ViTImageProcessor\", \"size\": 32, \"do_resize\": 1}"),
        REFUSED_BY("{\"image_processor_type\": \"ViTImageProcessor\", \"size\": 32, \"do_pad\": true}"),
        REFUSED_BY("{\"image_processor_type\": \"ViTImageProcessor\", \"size\": 32, \"size_divisor\": 32}"),
        REFUSED_BY("{\"image_processor_type\": \"ViTImageProcessor\", \"size\": 32, \"resample\": 4}"),
        REFUSED_BY("{\"image_processor_type\": \"ViTImageProcessor\", \"size\": 32, \"image_std\": 0}"),
        REFUSED_BY("{\"image_processor_type\": \"ViTImageProcessor\", \"size\": 32, \"image_std\": [1, 1]}"),
        REFUSED_BY("{\"image_processor_type\": \"ViTImageProcessor\", \"size\": 32, \"rescale_factor\": -1}"),
        REFUSED_BY("{\"image_processor_type\": \"ConvNextImageProcessor\", \"size\": {\"shortest_edge\": 32}}"),
        REFUSED_BY("{\"image_processor_type\": \"BitImageProcessor\", \"size\": {\"shortest_edge\": 36}}"),
        REFUSED_BY(
            "{\"image_processor_type\": \"ConvNextImageProcessor\", \"size\": 32, \"resample\": 2, \"crop_pct\": 0}"),
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin(rows[i].config, rows[i].processor);
        exported_refused("", rows[i].input, rows[i].output, rows[i].why);
        end();
    }
}
END_TEST

#define TIMM(size, more)                                                                                               \
    "{\"architecture\": \"resnet\", \"num_classes\": 3, \"pretrained_cfg\": {\"input_size\": " size "}" more "}"
#define SCORES "y|float32|1,3"

START_TEST(timm_names_its_rule)
{
    static const struct {
        const char *config, *part;
    } rows[] = {
        {TIMM("[3, 32, 32]", ""),
         "\"filter\": \"bicubic\", \"resize\": \"crop\", \"rounding\": \"floor\", \"resize_size\": 36}"},
        {TIMM("[3, 32, 32], \"crop_pct\": 1.0, \"interpolation\": \"bilinear\"", ""),
         "\"filter\": \"bilinear\", \"resize\": \"crop\", \"rounding\": \"floor\", \"resize_size\": 32}"},
        {TIMM("[3, 32, 32], \"crop_mode\": \"squash\"", ""), "\"resize_size\": [36, 36]}"},
        {TIMM("[3, 16, 16], \"test_input_size\": [3, 32, 32], \"test_crop_pct\": 0.5", ""), "\"resize_size\": 64}"},
        {TIMM("[3, 32, 32], \"mean\": [0.5, 0.5, 0.5], \"std\": [1, 1, 1]", ""), "\"mean\": [0.5, 0.5, 0.5]"},
        {TIMM("[3, 32, 32]", ", \"label_names\": [\"a\", \"b\", \"c\"]"), "[\"a\", \"b\", \"c\"]"},
        {TIMM("[3, 32, 32]", ", \"label_names\": {\"1\": \"b\", \"0\": \"a\", \"2\": \"c\"}"), "[\"a\", \"b\", \"c\"]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin(rows[i].config, NULL);
        exported_claimed("timm", "", "x|float32|1,3,32,32", SCORES, rows[i].part);
        end();
    }
    begin(TIMM("[3, 32, 32]", ""), NULL);
    exported_claimed("timm", "", "x|float32|1,3,?,?", SCORES "@Softmax", "\"activation\": \"none\"");
    end();
}
END_TEST

START_TEST(each_test_of_timm_refuses_alone)
{
    static const struct {
        const char *config, *input, *output, *why;
    } rows[] = {
        {"{\"architecture\": \"x\"}", "x|float32|1,3,32,32", SCORES, ""},
        {TIMM("[3, 32, 32]", ""), "x|float32|1,3,16,32", SCORES, "its input"},
        {TIMM("[3, 32, 32]", ""), "x|float32|1,1,32,32", SCORES, "its input"},
        {TIMM("[3, 32, 32]", ""), "x|float32|1,3,32,32", "y|float32|1,4", "num_classes"},
        {TIMM("[3, 32, 32]", ""), "x|float32|1,3,32,32", SCORES " z|float32|1", "num_classes"},
        {TIMM("[3, 32, 32]", ""), "x|float32|1,3,32,32", SCORES "@Sigmoid", "something else"},
        {TIMM("[1, 32, 32]", ""), "x|float32|1,3,32,32", SCORES, "prepared"},
        {TIMM("[3, 32, 16]", ""), "x|float32|1,3,32,16", SCORES, "prepared"},
        {TIMM("[3, 32, 32], \"crop_mode\": \"border\"", ""), "x|float32|1,3,32,32", SCORES, "prepared"},
        {TIMM("[3, 32, 32], \"interpolation\": \"random\"", ""), "x|float32|1,3,32,32", SCORES, "prepared"},
        {TIMM("[3, 32, 32], \"std\": [0, 1, 1]", ""), "x|float32|1,3,32,32", SCORES, "prepared"},
        {TIMM("[3, 32, 32], \"crop_pct\": 0", ""), "x|float32|1,3,32,32", SCORES, "prepared"},
        {TIMM("[3, 32, 32]", ", \"label_names\": [\"a\"]"), "x|float32|1,3,32,32", SCORES, "label_names"},
        {"{\"architecture\": \"x\", \"num_classes\": 0, \"pretrained_cfg\": {\"input_size\": [3, 32, 32]}}",
         "x|float32|1,3,32,32", SCORES, "num_classes"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin(rows[i].config, NULL);
        exported_refused("", rows[i].input, rows[i].output, rows[i].why);
        end();
    }
}
END_TEST

START_TEST(every_cut_of_a_file_is_survived)
{
    char *text = strdup(VIT);
    ck_assert_ptr_nonnull(text);
    for (size_t n = strlen(text); n-- > 0;) {
        text[n] = '\0';
        begin(CONFIG, text);
        exported_refused("", PIXELS, LOGITS, "");
        end();
    }
    free(text);
}
END_TEST

Suite *serve_recognise_config_suite(void);
Suite *serve_recognise_config_suite(void)
{
    Suite *suite = suite_create("serve_recognise_config");
    TCase *tests = tcase_create("recognise_config");
    tcase_add_test(tests, processors_prepare_pictures_as_their_authors_do);
    tcase_add_test(tests, scores_are_activated_once);
    tcase_add_test(tests, each_test_of_transformers_refuses_alone);
    tcase_add_test(tests, timm_names_its_rule);
    tcase_add_test(tests, each_test_of_timm_refuses_alone);
    tcase_add_test(tests, every_cut_of_a_file_is_survived);
    suite_add_tcase(suite, tests);
    return suite;
}
