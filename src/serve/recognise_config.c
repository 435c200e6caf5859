/*
 * recognise_config.c - classifiers of pictures by the JSON files of Hugging Face: config.json and
 * preprocessor_config.json of transformers, config.json of timm.
 *
 * transformers' processors share their keys but not what these mean, nor what they are where a file leaves them out:
 * processors[] has a row for each that was read. What a file says counts; what would change pixels and is not known
 * refuses. timm (timm/data/config.py, transforms_factory.py) names its rule, crop_mode.
 *
 * Sides are rounded down by both; pictures are resized as Pillow does.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "serve/recognise.h"

#define CLASSES_MAX 100000

enum rule {
    EXACT,     /* to size, whatever the shape */
    SHORTER,   /* the shorter side to size */
    CONVNEXT,  /* to size from 384 on; below, the shorter side to size / crop_pct */
    LEVIT,     /* the shorter side to 256 / 224 of size */
    POOLFORMER /* the shorter side to size / crop_pct */
};

static const struct processor {
    const char *name; /* without Fast, ImageProcessor and FeatureExtractor */
    enum rule rule;
    int resample; /* -1: the file must say it */
    bool crops;
    double crop_pct;
    enum { HALVES, IMAGENET, CLIP, NO_MEAN } levels;
} processors[] = {
    {"ViT", EXACT, 2, false, 0, HALVES},
    {"DeiT", EXACT, 3, true, 0, HALVES},
    {"Beit", EXACT, 3, true, 0, HALVES},
    {"ConvNext", CONVNEXT, -1, true, 0.875, IMAGENET},
    {"EfficientNet", EXACT, 0, false, 0, IMAGENET},
    {"MobileNetV1", SHORTER, 2, true, 0, HALVES},
    {"MobileNetV2", SHORTER, 2, true, 0, HALVES},
    {"MobileViT", SHORTER, 2, true, 0, NO_MEAN},
    {"Levit", LEVIT, 3, true, 0, IMAGENET},
    {"PoolFormer", POOLFORMER, 3, true, 0.9, IMAGENET},
    {"Bit", SHORTER, 3, true, 0, CLIP},
    {"CLIP", SHORTER, 3, true, 0, CLIP},
    {"Segformer", EXACT, 2, false, 0, IMAGENET},
};

/* config.json's model_type of what classifies pictures with one of these. */
static const char *const model_types[] = {
    "beit",      "bit",         "convnext", "convnextv2",   "cvt",          "data2vec-vision",
    "deit",      "dinov2",      "focalnet", "efficientnet", "mobilenet_v1", "mobilenet_v2",
    "mobilevit", "mobilevitv2", "levit",    "poolformer",   "regnet",       "resnet",
    "segformer", "swin",        "swinv2",   "van",          "vit",          "vit_msn",
};

/* How a picture becomes an input. */
struct recipe {
    bool resizes, crops;
    int64_t resize_height, resize_width; /* no width: the shorter side */
    int64_t height, width;
    const char *filter, *channels;
    double scale, mean[3], std[3];
};

static const char *text_of(const struct literal *map, const char *key)
{
    const struct literal *value = literal_get(map, key);
    return value && value->kind == LITERAL_TEXT ? value->text : NULL;
}

/* Of a key that may be left out; false where it is something else. */
static bool flag_of(const struct literal *map, const char *key, bool fallback, bool *flag)
{
    const struct literal *value = literal_get(map, key);
    *flag = value && value->kind == LITERAL_BOOL ? value->truth : fallback;
    return !value || value->kind == LITERAL_BOOL || value->kind == LITERAL_NOTHING;
}

static bool number_of(const struct literal *map, const char *key, double fallback, double *number)
{
    const struct literal *value = literal_get(map, key);
    *number = value && value->kind == LITERAL_NUMBER ? value->number : fallback;
    return !value || value->kind == LITERAL_NUMBER || value->kind == LITERAL_NOTHING;
}

/* A number for all channels, or one for each of three. */
static bool three_of(const struct literal *value, const double fallback[3], double three[3])
{
    int n = 0;
    memcpy(three, fallback, 3 * sizeof *three);
    if (!value || value->kind == LITERAL_NOTHING)
        return true;
    if (value->kind == LITERAL_NUMBER) {
        three[0] = three[1] = three[2] = value->number;
        return true;
    }
    if (value->kind != LITERAL_LIST || value->n != 3)
        return false;
    for (const struct literal *one = value->first; one; one = one->next) {
        if (one->kind != LITERAL_NUMBER)
            return false;
        three[n++] = one->number;
    }
    return true;
}

static bool levels_are_sane(const struct recipe *recipe)
{
    for (int c = 0; c < 3; c++)
        if (!(fabs(recipe->std[c]) > 1e-9) || fabs(recipe->std[c]) > 1e6 || fabs(recipe->mean[c]) > 1e6)
            return false;
    return recipe->scale > 0 && recipe->scale <= 1;
}

static void put_recipe(struct recognise *r, const struct percept_io *input, const struct recipe *recipe)
{
    char more[200];
    int used = snprintf(more, sizeof more, ", \"filter\": \"%s\"", recipe->filter);
    if (recipe->crops)
        used += snprintf(more + used, sizeof more - (size_t)used, ", \"resize\": \"crop\", \"rounding\": \"floor\"");
    if (recipe->crops && recipe->resize_width)
        snprintf(more + used, sizeof more - (size_t)used, ", \"resize_size\": [%" PRId64 ", %" PRId64 "]",
                 recipe->resize_height, recipe->resize_width);
    else if (recipe->crops)
        snprintf(more + used, sizeof more - (size_t)used, ", \"resize_size\": %" PRId64, recipe->resize_height);
    recognise_put_image(r, input->name, recipe->height, recipe->width, recipe->channels,
                        recognise_levels(r, recipe->scale, recipe->mean, recipe->std, more));
}

static bool input_is(const struct percept_io *input, const struct recipe *recipe)
{
    return input->rank == 4 && input->dtype == PERCEPT_FLOAT && input->layout != PERCEPT_LAYOUT_NHWC &&
           recognise_dim(input, 1, 3) && recognise_dim(input, 2, recipe->height) &&
           recognise_dim(input, 3, recipe->width);
}

/* --- transformers ------------------------------------------------------------------------------------------------- */

static bool serves_type(const char *model_type)
{
    for (size_t i = 0; i < sizeof model_types / sizeof *model_types; i++)
        if (strcmp(model_types[i], model_type) == 0)
            return true;
    return false;
}

/* "ViTImageProcessorFast" -> the row of ViT */
static const struct processor *processor_of(const struct literal *file)
{
    static const char *const endings[] = {"", "Fast"}, *const kinds[] = {"ImageProcessor", "FeatureExtractor"};
    const char *name = text_of(file, "image_processor_type");
    name = name ? name : text_of(file, "feature_extractor_type");
    for (size_t i = 0; name && i < sizeof processors / sizeof *processors; i++)
        for (int k = 0; k < 4; k++) {
            char own[80];
            snprintf(own, sizeof own, "%s%s%s", processors[i].name, kinds[k / 2], endings[k % 2]);
            if (strcmp(own, name) == 0)
                return &processors[i];
        }
    return NULL;
}

/* A number, {"height", "width"} or {"shortest_edge"}; no width: the shorter side. */
static bool read_size(const struct literal *size, bool square, int64_t *height, int64_t *width)
{
    *width = 0;
    if (size && size->kind == LITERAL_NUMBER) {
        if (!literal_whole(size, 1, 16384, height))
            return false;
        *width = square ? *height : 0;
        return true;
    }
    const struct literal *shortest = literal_get(size, "shortest_edge");
    if (shortest)
        return size->n == 1 && literal_whole(shortest, 1, 16384, height);
    return size && size->kind == LITERAL_MAP && size->n == 2 &&
           literal_whole(literal_get(size, "height"), 1, 16384, height) &&
           literal_whole(literal_get(size, "width"), 1, 16384, width);
}

/* What a processor does with the sides; false: not this one. */
static bool read_sides(const struct literal *file, const struct processor *processor, struct recipe *recipe)
{
    int64_t height, width;
    double crop_pct;
    if (!flag_of(file, "do_resize", true, &recipe->resizes) || !recipe->resizes ||
        !flag_of(file, "do_center_crop", processor->crops, &recipe->crops) ||
        !number_of(file, "crop_pct", processor->crop_pct, &crop_pct) ||
        !read_size(literal_get(file, "size"), processor->rule == EXACT, &height, &width) ||
        (processor->rule == EXACT) != (width > 0))
        return false;
    recipe->height = recipe->resize_height = height;
    recipe->width = recipe->resize_width = width;
    if (processor->rule == CONVNEXT || processor->rule == POOLFORMER) {
        if (!(crop_pct > 0.1 && crop_pct <= 1))
            return false;
        recipe->height = recipe->width = height;
        recipe->resize_width = 0;
        recipe->resize_height = (int64_t)((double)height / crop_pct);
        recipe->crops = processor->rule == POOLFORMER || height < 384;
        if (processor->rule == CONVNEXT)
            return true;
    } else if (processor->rule == LEVIT) {
        recipe->resize_height = (int64_t)(256.0 / 224.0 * (double)height);
    }
    if (!recipe->crops)
        return processor->rule == EXACT;
    int64_t crop_width;
    const struct literal *crop = literal_get(file, "crop_size");
    if (!read_size(crop, true, &recipe->height, &crop_width) || !crop_width)
        return false;
    recipe->width = crop_width;
    return true;
}

static bool read_resample(const struct literal *file, const struct processor *processor, struct recipe *recipe)
{
    static const char *const filters[] = {"nearest", "lanczos", "bilinear", "bicubic"};
    const struct literal *resample = literal_get(file, "resample");
    int64_t number = processor->resample;
    if (resample && !literal_whole(resample, 0, 3, &number))
        return false;
    recipe->filter = number < 0 ? NULL : filters[number];
    return number >= 0;
}

/* value = (v * scale - mean) / std */
static bool read_levels(const struct literal *file, const struct processor *processor, struct recipe *recipe)
{
    static const double halves[3] = {0.5, 0.5, 0.5}, ones[3] = {1, 1, 1}, zeros[3] = {0};
    static const double clip_mean[3] = {0.48145466, 0.4578275, 0.40821073},
                        clip_std[3] = {0.26862954, 0.26130258, 0.27577711};
    const double *means[] = {halves, recognise_imagenet_mean, clip_mean, zeros},
                 *stds[] = {halves, recognise_imagenet_std, clip_std, ones};
    bool rescales, normalizes, flips, offsets, top, efficient = strcmp(processor->name, "EfficientNet") == 0;
    if (!flag_of(file, "do_rescale", true, &rescales) ||
        !flag_of(file, "do_normalize", processor->levels != NO_MEAN, &normalizes) ||
        !flag_of(file, "do_flip_channel_order", processor->levels == NO_MEAN, &flips) ||
        !flag_of(file, "rescale_offset", false, &offsets) || !flag_of(file, "include_top", efficient, &top) ||
        !number_of(file, "rescale_factor", 1.0 / 255, &recipe->scale) ||
        !three_of(literal_get(file, "image_mean"), means[processor->levels], recipe->mean) ||
        !three_of(literal_get(file, "image_std"), stds[processor->levels], recipe->std))
        return false;
    recipe->channels = flips ? "bgr" : "rgb";
    recipe->scale = rescales ? recipe->scale : 1;
    if (!normalizes) {
        memcpy(recipe->mean, zeros, sizeof zeros);
        memcpy(recipe->std, ones, sizeof ones);
    }
    for (int c = 0; c < 3; c++) {
        recipe->mean[c] += offsets && rescales ? 127.5 * recipe->scale : 0;
        recipe->std[c] *= top && normalizes ? recipe->std[c] : 1;
    }
    return (processor->levels != NO_MEAN || !normalizes) && (efficient || (!offsets && !top)) &&
           levels_are_sane(recipe);
}

/* A key that changes pixels in a way that is not known, or NULL. */
static const char *foreign_key(const struct literal *file)
{
    static const char *const keys[] = {"do_pad",       "do_thumbnail",       "do_align_long_axis",
                                       "size_divisor", "ensure_multiple_of", "do_image_splitting"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const struct literal *value = literal_get(file, keys[i]);
        if (value && value->kind != LITERAL_NOTHING && (value->kind != LITERAL_BOOL || value->truth))
            return keys[i];
    }
    return NULL;
}

static bool classifies(const struct literal *config)
{
    const struct literal *architectures = literal_get(config, "architectures");
    const char *name = architectures && architectures->kind == LITERAL_LIST && architectures->n == 1
                           ? architectures->first->text
                           : NULL;
    static const char ending[] = "ForImageClassification";
    const size_t n = name ? strlen(name) : 0, n_ending = strlen(ending);
    return n > n_ending && (strcmp(name + n - n_ending, ending) == 0 || strstr(name, "ForImageClassificationWith"));
}

/* "softmax", "sigmoid", or NULL: not served. */
static const char *wanted_activation(const struct literal *config, int n_classes)
{
    const struct literal *value = literal_get(config, "problem_type");
    if (!value || value->kind == LITERAL_NOTHING)
        return n_classes == 1 ? "sigmoid" : "softmax";
    if (value->kind != LITERAL_TEXT || strcmp(value->text, "regression") == 0)
        return NULL;
    return strcmp(value->text, "multi_label_classification") == 0    ? "sigmoid"
           : strcmp(value->text, "single_label_classification") == 0 ? "softmax"
                                                                     : NULL;
}

static enum recognise_verdict claim_scores(struct recognise *r, const struct percept_io *input,
                                           const struct percept_io *output, const struct recipe *recipe,
                                           const char *wanted)
{
    const char *activation = recognise_activation(output, wanted);
    if (!activation)
        return recognise_refuse(r, "the scores of '%.40s' went through something else than %s", output->name, wanted);
    put_recipe(r, input, recipe);
    recognise_put(r, ",\n  \"task\": {\"kind\": \"classify\", \"output\": ");
    writer_string(&r->body, output->name);
    recognise_put(r, ", \"activation\": \"%s\"}", activation);
    recognise_because(r, "'%.40s' are %s", output->name,
                      *activation == 'n' ? "activated in the graph" : "logits by the graph");
    return RECOGNISE_CLAIMED;
}

enum recognise_verdict recognise_config_transformers(struct recognise *r)
{
    struct recipe recipe = {.resizes = true};
    const struct literal *config = recognise_sidecar(r, "config.json"), *file = NULL;
    const char *model_type = text_of(config, "model_type");
    const struct percept_io *input = recognise_input(r, "pixel_values"), *output = recognise_output(r, "logits");
    if (!model_type || !serves_type(model_type) || !(file = recognise_sidecar(r, "preprocessor_config.json")))
        return RECOGNISE_OTHER;
    if (!classifies(config))
        return recognise_refuse(r, "the architecture of config.json is none that classifies pictures");
    const struct processor *processor = processor_of(file);
    if (!processor)
        return recognise_refuse(r, "the image processor of preprocessor_config.json is none that is known");
    if (foreign_key(file))
        return recognise_refuse(r, "preprocessor_config.json asks for %s", foreign_key(file));
    if (!read_sides(file, processor, &recipe) || !read_resample(file, processor, &recipe) ||
        !read_levels(file, processor, &recipe))
        return recognise_refuse(r, "preprocessor_config.json does not say how pictures are prepared");
    if (!input || r->n_inputs != 1 || !input_is(input, &recipe))
        return recognise_refuse(r, "its input is not pixel_values of [?,3,%" PRId64 ",%" PRId64 "]", recipe.height,
                                recipe.width);
    int n = 0;
    const struct literal *id2label = literal_get(config, "id2label");
    const char *const *labels =
        id2label && id2label->kind == LITERAL_MAP ? literal_texts(id2label, r->arena, &n) : NULL;
    if (!output || r->n_outputs != 1 || output->rank != 2 || output->dtype != PERCEPT_FLOAT || !labels || n < 1 ||
        n > CLASSES_MAX || output->dims[1] != n)
        return recognise_refuse(r, "its output is not logits of as many classes as id2label has");
    const char *wanted = wanted_activation(config, n);
    if (!wanted)
        return recognise_refuse(r, "the problem_type of config.json is not served");
    recognise_because(r, "config.json has model_type %.40s and %d labels, as many as there are logits", model_type, n);
    recognise_because(r, "preprocessor_config.json is that of %s", processor->name);
    recognise_put_labels(r, labels, n);
    return claim_scores(r, input, output, &recipe, wanted);
}

/* --- timm --------------------------------------------------------------------------------------------------------- */

static bool read_input_size(const struct literal *size, int64_t *height, int64_t *width)
{
    int64_t channels;
    return size && size->kind == LITERAL_LIST && size->n == 3 && literal_whole(size->first, 3, 3, &channels) &&
           literal_whole(size->first->next, 1, 16384, height) &&
           literal_whole(size->first->next->next, 1, 16384, width);
}

/* The sizes of training, or those of testing where the graph is as large as these. */
static bool read_timm_size(const struct literal *pretrained, const struct percept_io *input, struct recipe *recipe,
                           double *crop_pct)
{
    int64_t height, width;
    const struct literal *test = literal_get(pretrained, "test_input_size");
    if (!read_input_size(literal_get(pretrained, "input_size"), &recipe->height, &recipe->width) ||
        !number_of(pretrained, "crop_pct", 0.875, crop_pct))
        return false;
    if (!test || test->kind == LITERAL_NOTHING || input_is(input, recipe))
        return true;
    if (!read_input_size(test, &height, &width) || !number_of(pretrained, "test_crop_pct", *crop_pct, crop_pct))
        return false;
    recipe->height = height;
    recipe->width = width;
    return true;
}

static bool read_timm(const struct literal *pretrained, const struct percept_io *input, struct recipe *recipe)
{
    static const char *const filters[] = {"bicubic", "bilinear", "nearest", "lanczos"};
    double crop_pct;
    const struct literal *filter = literal_get(pretrained, "interpolation"),
                         *mode = literal_get(pretrained, "crop_mode");
    const char *name = filter && filter->kind == LITERAL_TEXT ? filter->text : filters[0];
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
        recipe->filter = strcmp(filters[i], name) == 0 ? filters[i] : recipe->filter;
    if (!recipe->filter || !read_timm_size(pretrained, input, recipe, &crop_pct) ||
        !(crop_pct > 0.1 && crop_pct <= 1) ||
        !three_of(literal_get(pretrained, "mean"), recognise_imagenet_mean, recipe->mean) ||
        !three_of(literal_get(pretrained, "std"), recognise_imagenet_std, recipe->std))
        return false;
    const bool squash = mode && mode->kind == LITERAL_TEXT && strcmp(mode->text, "squash") == 0;
    const bool center =
        !mode || mode->kind == LITERAL_NOTHING || (mode->kind == LITERAL_TEXT && strcmp(mode->text, "center") == 0);
    recipe->crops = true;
    recipe->resize_height = (int64_t)((double)recipe->height / crop_pct);
    recipe->resize_width = squash ? (int64_t)((double)recipe->width / crop_pct) : 0;
    recipe->scale = 1.0 / 255;
    recipe->channels = "rgb";
    return (squash || (center && recipe->height == recipe->width)) && levels_are_sane(recipe);
}

/* Labels of a list or a map; false: they are not for so many classes. */
static bool put_timm_labels(struct recognise *r, const struct literal *config, int64_t n_classes)
{
    int n = 0;
    const struct literal *names = literal_get(config, "label_names");
    if (!names || names->kind == LITERAL_NOTHING)
        return true;
    const char *const *labels = literal_texts(names, r->arena, &n);
    if (labels && n == n_classes)
        recognise_put_labels(r, labels, n);
    return labels && n == n_classes;
}

enum recognise_verdict recognise_config_timm(struct recognise *r)
{
    struct recipe recipe = {.resizes = true};
    int64_t n = 0;
    const struct literal *config = recognise_sidecar(r, "config.json");
    const struct literal *pretrained = literal_get(config, "pretrained_cfg");
    const char *architecture = text_of(config, "architecture");
    const struct percept_io *input = r->inputs, *output = r->outputs;
    if (!architecture || !literal_get(pretrained, "input_size"))
        return RECOGNISE_OTHER;
    const struct literal *classes = literal_get(config, "num_classes");
    if (!literal_whole(classes ? classes : literal_get(pretrained, "num_classes"), 1, CLASSES_MAX, &n))
        return recognise_refuse(r, "config.json has no num_classes above 0");
    if (r->n_inputs != 1 || !read_timm(pretrained, input, &recipe))
        return recognise_refuse(r, "pretrained_cfg of config.json does not say how pictures are prepared");
    if (!input_is(input, &recipe))
        return recognise_refuse(r, "its input is not [?,3,%" PRId64 ",%" PRId64 "] as pretrained_cfg says",
                                recipe.height, recipe.width);
    if (r->n_outputs != 1 || output->rank != 2 || output->dtype != PERCEPT_FLOAT || output->dims[1] != n)
        return recognise_refuse(r, "its output is not [?,%" PRId64 "] as num_classes says", n);
    if (!put_timm_labels(r, config, n))
        return recognise_refuse(r, "label_names are not for %" PRId64 " classes", n);
    recognise_because(r, "config.json has architecture %.60s, whose input_size and num_classes are the graph's",
                      architecture);
    return claim_scores(r, input, output, &recipe, "softmax");
}
