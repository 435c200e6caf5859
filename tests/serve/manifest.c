/* manifest.c - what is read, what is refused and with which words, and that the schema says the
 * same. */
#include "serve/manifest.h"

#include "base/err.h"
#include "base/file.h"
#include "fake_model.h"
#include "folder.h"
#include "serve/settings.h"

#include <check.h>
#include <float.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Suite *serve_manifest_suite(void);

static struct arena arena;
static struct percept_err err;

static void begin(void)
{
    folder_begin("manifest");
    folder_text("vocab.txt", "<pad>\n<unk>\n \nb\na\nzebra\n");
    err = (struct percept_err){0};
}

static void end(void)
{
    folder_end();
    arena_free(&arena);
}

static const struct manifest *read_text(const char *text)
{
    folder_text("manifest.json", text);
    return manifest_read(folder_root, &arena, &err);
}

static const struct manifest *read_good(const char *text)
{
    return fake_model_manifest(text, &arena);
}

START_TEST(without_a_file_there_is_a_default)
{
    for (int i = 0; i < 2; i++) {
        const struct manifest *manifest = manifest_read(i ? folder_root : NULL, &arena, &err);
        ck_assert_ptr_nonnull(manifest);
        ck_assert_str_eq(manifest->path, "");
        ck_assert_str_eq(manifest->description, "");
        ck_assert_int_eq(manifest->n_inputs, 0);
        ck_assert_int_eq(manifest->task, TASK_NONE);
        ck_assert_int_eq(manifest->max_batch_size, -1);
        ck_assert_int_eq(manifest->max_queue_delay_us, -1);
        ck_assert_int_eq(manifest->max_queue_size, -1);
        ck_assert(!manifest->independent);
        ck_assert_int_eq(manifest->precision, -1);
    }
}
END_TEST

START_TEST(a_picture_is_read_whole)
{
    const struct manifest *manifest =
        read_good("{\"manifest\":1,\"description\":\"d\",\"license\":\"l\",\"inputs\":{\"x\":{\"kind\":"
                  "\"image\","
                  "\"size\":[20,30],\"channels\":\"bgr\",\"layout\":\"NHWC\",\"resize\":\"letterbox\","
                  "\"filter\":\"nearest\",\"fill\":114,\"scale\":0.5,\"mean\":[1,2,3],\"std\":[4],"
                  "\"ink\":\"as_is\"},\"g\":{\"kind\":\"image\",\"size\":[28,28],\"ink\":\"dark\","
                  "\"ink_box\":20}},\"labels\":[\"a\",\"b\"],\"task\":{\"kind\":\"classify\","
                  "\"output\":\"y\",\"activation\":\"sigmoid\",\"top_k\":2},\"precision\":\"exact\","
                  "\"batching\":{\"max_batch_size\":4,\"max_queue_delay_microseconds\":250,"
                  "\"max_queue_size\":10,\"independent\":true},\"warmup\":{\"batch_sizes\":[2,4]}}");
    const struct manifest_input *input = manifest_input(manifest, "x");
    ck_assert_ptr_nonnull(input);
    ck_assert_ptr_null(manifest_input(manifest, "y"));
    ck_assert_int_eq(input->kind, MANIFEST_IMAGE);
    const struct manifest_image *image = &input->image;
    ck_assert_int_eq(image->height, 20);
    ck_assert_int_eq(image->width, 30);
    ck_assert_int_eq(image->channels, CHANNELS_BGR);
    ck_assert_int_eq(image->layout, IMAGE_NHWC);
    ck_assert_int_eq(image->resize, RESIZE_LETTERBOX);
    ck_assert_int_eq(image->filter, FILTER_NEAREST);
    ck_assert(image->fill[0] == 114 && image->fill[2] == 114 && image->scale == 0.5f);
    for (int c = 0; c < 3; c++)
        ck_assert(image->mean[c] == (float)(c + 1) && image->std[c] == 4);
    ck_assert_int_eq(image->ink, INK_AS_IS);
    ck_assert_int_eq(image->ink_box, 0);
    ck_assert_int_eq(manifest_input(manifest, "g")->image.ink, INK_DARK);
    ck_assert_int_eq(manifest_input(manifest, "g")->image.ink_box, 20);
    ck_assert_str_eq(manifest->description, "d");
    ck_assert_str_eq(manifest->license, "l");
    ck_assert_int_eq(manifest->n_labels, 2);
    ck_assert_str_eq(manifest->labels[1], "b");
    ck_assert_int_eq(manifest->task, TASK_CLASSIFY);
    ck_assert_str_eq(manifest->task_output, "y");
    ck_assert_int_eq(manifest->task_activation, ACTIVATION_SIGMOID);
    ck_assert_int_eq(manifest->top_k, 2);
    ck_assert_int_eq(manifest->max_batch_size, 4);
    ck_assert_int_eq(manifest->max_queue_delay_us, 250);
    ck_assert_int_eq(manifest->max_queue_size, 10);
    ck_assert(manifest->independent);
    ck_assert_int_eq(manifest->n_warmup, 2);
    ck_assert_int_eq(manifest->warmup[1], 4);
    ck_assert_str_eq(settings_precision(manifest->precision), "exact");
}
END_TEST

/* The rows of api.md's table of pipelines are manifests as they stand. */
START_TEST(pipelines_of_the_documentation_are_read)
{
    FILE *document = fopen("api.md", "r");
    static char line[4096];
    int n = 0;
    ck_assert_ptr_nonnull(document);
    while (fgets(line, sizeof line, document)) {
        char *fields = strstr(line, "| `\"size\": "), *end = fields ? strchr(fields + 3, '`') : NULL;
        if (!end)
            continue;
        *end = '\0';
        const char *text =
            arena_printf(&arena, "{\"manifest\":1,\"inputs\":{\"x\":{\"kind\":\"image\",%s}}}", fields + 3);
        ck_assert_int_gt(read_good(text)->inputs[0].image.height + 1, 0);
        n++;
    }
    fclose(document);
    ck_assert_int_ge(n, 6);
}
END_TEST

START_TEST(a_precision_is_a_models_own)
{
    ck_assert_str_eq(settings_precision(read_good("{\"manifest\":1,\"precision\":\"fast\"}")->precision), "fast");
    ck_assert_str_eq(settings_precision(read_good("{\"manifest\":1,\"precision\":\"bf16\"}")->precision), "bf16");
    ck_assert_int_eq(read_good("{\"manifest\":1}")->precision, -1);
}
END_TEST

START_TEST(a_plain_picture_keeps_its_values_and_its_size)
{
    const struct manifest *manifest =
        read_good("{\"manifest\":1,\"inputs\":{\"x\":{\"kind\":\"image\",\"size\":\"picture\"}}}");
    const struct manifest_image *image = &manifest->inputs[0].image;
    ck_assert_int_eq(image->width, 0);
    ck_assert(image->scale == 1 && image->std[2] == 1 && image->mean[0] == 0);
    ck_assert_int_eq(image->channels, CHANNELS_GRAY);
    ck_assert_int_eq(image->layout, IMAGE_NCHW);
}
END_TEST

START_TEST(a_vocabularys_line_numbers_are_its_ids)
{
    const struct manifest *manifest =
        read_good("{\"manifest\":1,\"inputs\":{\"x\":{\"kind\":\"text\",\"tokenizer\":\"words\","
                  "\"vocabulary\":\"vocab.txt\",\"lowercase\":true,\"max_length\":9,\"pad\":0,"
                  "\"unknown\":1,\"end\":3}}}");
    const struct manifest_text *text = &manifest->inputs[0].text;
    ck_assert_int_eq(text->n_tokens, 6);
    ck_assert_str_eq(text->tokens[0], "<pad>");
    ck_assert_str_eq(text->tokens[2], " ");
    ck_assert_str_eq(text->tokens[5], "zebra");
    for (int i = 1; i < 6; i++)
        ck_assert_int_lt(strcmp(text->tokens[text->sorted[i - 1]], text->tokens[text->sorted[i]]), 0);
    ck_assert(text->lowercase);
    ck_assert_int_eq(text->max_length, 9);
    ck_assert_int_eq(text->pad, 0);
    ck_assert_int_eq(text->unknown, 1);
    ck_assert_int_eq(text->start, -1);
    ck_assert_int_eq(text->end, 3);
}
END_TEST

#define TOKENS_OF(file)                                                                                                \
    "{\"manifest\":1,\"inputs\":{\"x\":{\"kind\":\"text\",\"tokenizer\":\"characters\",\"vocabulary\":\"" file         \
    "\",\"max_length\":9}}}"

START_TEST(a_vocabulary_may_be_json)
{
    static const char *const wrong[] = {"{\"a\":0,\"b\":2}",
                                        "{\"a\":0,\"b\":0}",
                                        "{\"a\":-1}",
                                        "{\"a\":\"0\"}",
                                        "[\"a\",1]",
                                        "3",
                                        "[",
                                        "{\"a\":0,\"a\":1}",
                                        "[]",
                                        "{\"a\":4294967296}"};
    folder_text("list.json", "[\"a\",\"\\n\",\"c\"]");
    const struct manifest_text *text = &read_good(TOKENS_OF("list.json"))->inputs[0].text;
    ck_assert_int_eq(text->n_tokens, 3);
    ck_assert_str_eq(text->tokens[1], "\n");
    folder_text("ids.json", "{\"z\":0,\"\\n\":2,\"\":1}");
    text = &read_good(TOKENS_OF("ids.json"))->inputs[0].text;
    ck_assert_int_eq(text->n_tokens, 3);
    ck_assert_str_eq(text->tokens[0], "z");
    ck_assert_str_eq(text->tokens[1], "");
    ck_assert_int_eq(text->sorted[0], 1);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        folder_text("wrong.json", wrong[i]);
        ck_assert_msg(!read_text(TOKENS_OF("wrong.json")), "%s", wrong[i]);
        ck_assert_msg(strstr(err.text, "manifest.json: inputs.x.vocabulary: "), "%s", err.text);
    }
    ck_assert_ptr_null(read_text(TOKENS_OF("none.json")));
}
END_TEST

START_TEST(how_a_text_goes_on_is_read)
{
    const struct manifest_generate *generate =
        &read_good("{\"manifest\":1,\"generate\":{\"input\":\"i\",\"output\":\"o\",\"scores\":\"probabilities\"}}")
             ->generate;
    ck_assert(generate->given && generate->scores == 1 && generate->max_new_tokens == 1024);
    ck_assert_str_eq(generate->output, "o");
    ck_assert_ptr_null(read_text("{\"manifest\":1,\"generate\":{\"input\":\"i\",\"max_new_tokens\":0}}"));
    ck_assert_ptr_nonnull(strstr(err.text, "generate.max_new_tokens: expected a whole number of at least 1"));
}
END_TEST

#define ENCODER(members) "{\"manifest\":1,\"generate\":{\"encoder\":{" members "}}}"
#define TEXT_INPUT "\"inputs\":{\"i\":{\"kind\":\"text\",\"vocabulary\":[\"x\",\"y\"],\"max_length\":4}}"

START_TEST(an_encoder_is_read)
{
    static const struct {
        const char *text, *says;
    } wrong[] = {
        {ENCODER(""), "generate.encoder: 'inputs' is needed"},
        {ENCODER("\"inputs\":{\"i\":{\"kind\":\"text\"}}"),
         "generate.encoder.inputs.i: this tokenizer needs a vocabulary"},
        {ENCODER(TEXT_INPUT ",\"file\":\"../e.onnx\""), "generate.encoder.file: expected the name of a file"},
        {ENCODER(TEXT_INPUT ",\"file\":\"\""), "generate.encoder.file: expected the name of a file"},
        {ENCODER(TEXT_INPUT ",\"feeds\":[]"), "generate.encoder.feeds: expected an object"},
        {ENCODER(TEXT_INPUT ",\"feeds\":{\"a\":1}"), "generate.encoder.feeds.a: expected the name of an output"},
        {ENCODER(TEXT_INPUT ",\"lengths\":1"), "generate.encoder.lengths: expected a string"},
        {ENCODER(TEXT_INPUT ",\"length\":\"l\""), "generate.encoder.length: unknown key"},
        {"{\"manifest\":1,\"generate\":{\"encoder\":7}}", "generate.encoder: expected an object"},
        {"{\"manifest\":1,\"generate\":{\"temperature\":-1}}", "generate.temperature: expected"},
    };
    const struct manifest *manifest = read_good(ENCODER(TEXT_INPUT ",\"mask\":\"m\",\"feeds\":{\"a\":\"b\"}"));
    const struct manifest_encoder *encoder = manifest->generate.encoder;
    ck_assert_str_eq(encoder->file, "encoder.onnx");
    ck_assert_str_eq(encoder->mask, "m");
    ck_assert(!encoder->lengths && encoder->n_feeds == 1 && manifest->n_inputs == 0);
    ck_assert(manifest->generate.temperature < 0);
    ck_assert_str_eq(encoder->feeds[0].input, "a");
    ck_assert_str_eq(encoder->feeds[0].from, "b");
    ck_assert(encoder->manifest->n_inputs == 1 && encoder->manifest->inputs[0].text.whole);
    ck_assert_int_eq(encoder->manifest->inputs[0].text.n_tokens, 2);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert_ptr_null(read_text(wrong[i].text));
        ck_assert_msg(strstr(err.text, wrong[i].says), "%s", err.text);
    }
}
END_TEST

START_TEST(labels_may_be_in_a_file)
{
    folder_text("labels.txt", "one\n\nthree");
    const struct manifest *manifest = read_good("{\"manifest\":1,\"labels\":\"labels.txt\"}");
    ck_assert_int_eq(manifest->n_labels, 3);
    ck_assert_str_eq(manifest->labels[2], "three");
    ck_assert_ptr_null(read_text("{\"manifest\":1,\"labels\":\"none.txt\"}"));
    ck_assert_ptr_nonnull(strstr(err.text, "manifest.json: labels: "));
}
END_TEST

START_TEST(bytes_need_no_vocabulary)
{
    const struct manifest *manifest = read_good("{\"manifest\":1,\"inputs\":{\"x\":{\"kind\":\"text\","
                                                "\"tokenizer\":\"bytes\",\"max_length\":9,"
                                                "\"pad\":256}}}");
    ck_assert_int_eq(manifest->inputs[0].text.n_tokens, 0);
}
END_TEST

START_TEST(accuracy_is_free_information)
{
    const struct manifest_accuracy *accuracy =
        &read_good("{\"manifest\":1,\"accuracy\":{\"metric\":\"accuracy\",\"value\":0.5,\"n\":1000,"
                   "\"low\":0.469,\"high\":0.531,"
                   "\"data\":\"mnist\",\"macro\":0.25}}")
             ->accuracy;
    ck_assert_str_eq(accuracy->metric, "accuracy");
    ck_assert(accuracy->low == 0.469 && accuracy->high == 0.531);
    ck_assert(accuracy->value == 0.5 && accuracy->macro == 0.25 && accuracy->recall == -1);
    ck_assert_int_eq(accuracy->n, 1000);
    ck_assert_ptr_null(accuracy->split);
}
END_TEST

START_TEST(a_comment_may_stand_anywhere)
{
    read_good("{\"manifest\":1,\"$comment\":\"hello\",\"task\":{\"$comment\":\"x\",\"kind\":\"none\"}}");
    ck_assert_ptr_null(read_text("{\"manifest\":1,\"$comment\":7}"));
}
END_TEST

#define INPUT(fields) "{\"manifest\":1,\"inputs\":{\"x\":{" fields "}}}"
#define IMAGE(fields) INPUT("\"kind\":\"image\"," fields)
#define SOUND(fields) INPUT("\"kind\":\"audio\",\"rate\":16000," fields)
#define SIZED(fields) IMAGE("\"size\":[8,8]," fields)
#define WORDS(fields) INPUT("\"kind\":\"text\",\"tokenizer\":\"words\",\"vocabulary\":\"vocab.txt\"," fields)

START_TEST(a_sounds_features_have_their_definitions_defaults)
{
    const struct manifest_audio *audio =
        &read_good(SOUND("\"n_mels\":80,\"features\":\"fbank\",\"range\":32768"))->inputs[0].audio;
    ck_assert_int_eq(audio->rate, 16000);
    ck_assert_float_eq(audio->range, 32768);
    ck_assert_int_eq(audio->layout, AUDIO_NTF);
    ck_assert_int_eq(audio->features.n_mels, 80);
    ck_assert_int_eq(audio->features.win_length, 400);
    ck_assert_int_eq(audio->features.hop_length, 160);
    ck_assert_int_eq(audio->features.n_fft, 512);
    ck_assert_float_eq(audio->features.fmin, 20);
    audio = &read_good(SOUND("\"n_fft\":400,\"layout\":\"NFT\",\"features\":\"log_mel\",\"window\":480000"))
                 ->inputs[0]
                 .audio;
    ck_assert_int_eq(audio->features.win_length, 400);
    ck_assert_int_eq(audio->features.hop_length, 100);
    ck_assert_float_eq(audio->features.top_db, 80);
    ck_assert_int_eq(audio->hop, 480000);
    ck_assert_str_eq(manifest_audio_letters(audio->layout), "NFT");
    audio = &read_good(INPUT("\"kind\":\"audio\",\"rate\":8000"))->inputs[0].audio;
    ck_assert_int_eq(audio->features.kind, FEATURES_NONE);
    ck_assert_int_eq(audio->layout, AUDIO_NT);
    ck_assert_float_eq(audio->range, 1);
}
END_TEST

static const struct {
    const char *text, *says;
    int code;
} wrong[] = {
    {"", "line 1", ERR_CONFIG},
    {"{\"manifest\":1", "line 1", ERR_CONFIG},
    {"{\"manifest\":1,\"manifest\":1}", "duplicate", ERR_CONFIG},
    {"[]", "expected an object", ERR_CONFIG},
    {"{}", "manifest: expected 1", ERR_CONFIG},
    {"{\"manifest\":2}", "manifest: expected 1", ERR_CONFIG},
    {"{\"manifest\":1,\"lables\":[]}", "lables: unknown key; known are manifest", ERR_CONFIG},
    {"{\"manifest\":1,\"description\":7}", "description: expected a string", ERR_CONFIG},
    {"{\"manifest\":1,\"precision\":\"fp8\"}", "precision: expected one of exact|fast|bf16", ERR_CONFIG},
    {"{\"manifest\":1,\"stages\":[]}", "stages: expected a list of 1 to 64 stages", ERR_CONFIG},
    {"{\"manifest\":1,\"stages\":{}}", "stages: expected a list of 1 to 64 stages", ERR_CONFIG},
    {"{\"manifest\":1,\"stages\":[1]}", "stages[0]: expected an object", ERR_CONFIG},
    {"{\"manifest\":1,\"stages\":[{\"model\":\"a\"}]}", "stages[0]: 'model', 'inputs' and 'outputs' are needed",
     ERR_CONFIG},
    {"{\"manifest\":1,\"stages\":[{\"model\":\"a\",\"inputs\":{}}]}", "stages[0].inputs: expected an object of 1 to",
     ERR_CONFIG},
    {"{\"manifest\":1,\"stages\":[{\"model\":\"a\",\"inputs\":{\"x\":1}}]}", "stages[0].inputs.x: expected a name",
     ERR_CONFIG},
    {"{\"manifest\":1,\"stages\":[{\"model\":\"a\",\"version\":0}]}", "stages[0].version: expected", ERR_CONFIG},
    {"{\"manifest\":1,\"stages\":[{\"mode\":\"a\"}]}", "stages[0].mode: unknown key", ERR_CONFIG},
    {"{\"manifest\":1,\"stages\":[{\"model\":\"a\",\"name\":\"b c\",\"inputs\":{\"x\":\"x\"},\"outputs\":{\"y\":"
     "\"y\"}}]}",
     "stages[0]: a stage's name has letters, digits, '.', '_' and '-'", ERR_CONFIG},
    {"{\"manifest\":1,\"sequence\":{}}", "sequence: a sequence needs a 'state' or a 'control'", ERR_CONFIG},
    {"{\"manifest\":1,\"sequence\":[]}", "sequence: expected an object", ERR_CONFIG},
    {"{\"manifest\":1,\"sequence\":{\"state\":{}}}", "sequence.state: expected an array", ERR_CONFIG},
    {"{\"manifest\":1,\"sequence\":{\"state\":[3]}}", "sequence.state[0]: expected an object", ERR_CONFIG},
    {"{\"manifest\":1,\"sequence\":{\"state\":[{\"input\":\"x\"}]}}", "[0]: 'input' and 'output' are needed",
     ERR_CONFIG},
    {"{\"manifest\":1,\"sequence\":{\"state\":[{\"output\":\"y\"}]}}", "[0]: 'input' and 'output' are needed",
     ERR_CONFIG},
    {"{\"manifest\":1,\"sequence\":{\"control\":[{\"input\":\"x\"}]}}", "'input' and 'kind' are needed", ERR_CONFIG},
    {"{\"manifest\":1,\"sequence\":{\"control\":[{\"kind\":\"end\"}]}}", "'input' and 'kind' are needed", ERR_CONFIG},
    {"{\"manifest\":1,\"inputs\":[]}", "inputs: expected an object", ERR_CONFIG},
    {INPUT("\"kind\":\"video\""), "inputs.x.kind: expected one of", ERR_CONFIG},
    {INPUT("\"size\":[1,1]"), "inputs.x.kind: expected one of", ERR_CONFIG},
    {INPUT("\"kind\":\"tensor\",\"size\":[1,1]"), "inputs.x.size: unknown key; known are kind", ERR_CONFIG},
    {INPUT("\"kind\":\"audio\""), "inputs.x: rate is missing", ERR_CONFIG},
    {INPUT("\"kind\":\"audio\",\"rate\":0"), "inputs.x.rate: expected a whole number of at least 1000", ERR_CONFIG},
    {SOUND("\"hop\":3"), "inputs.x: hop, context and pad need a window", ERR_CONFIG},
    {SOUND("\"pad\":true"), "hop, context and pad need a window", ERR_CONFIG},
    {SOUND("\"context\":3"), "hop, context and pad need a window", ERR_CONFIG},
    {SOUND("\"range\":0"), "inputs.x.range: expected a number", ERR_CONFIG},
    {SOUND("\"features\":\"plp\""), "inputs.x.features: expected one of none|log_mel", ERR_CONFIG},
    {SOUND("\"features\":7"), "inputs.x.features: expected one of none|log_mel", ERR_CONFIG},
    {SOUND("\"n_mels\":7"), "inputs.x.n_mels: means nothing for these 'features'", ERR_CONFIG},
    {SOUND("\"features\":\"fbank\",\"center\":true"), "inputs.x.center: means nothing", ERR_CONFIG},
    {SOUND("\"features\":\"log_mel\",\"snip_edges\":true"), "inputs.x.snip_edges: means nothing", ERR_CONFIG},
    {SOUND("\"features\":\"log_mel\",\"n_mfcc\":3"), "inputs.x.n_mfcc: means nothing", ERR_CONFIG},
    {SOUND("\"features\":\"mfcc\",\"n_mels\":3"), "inputs.x: n_mfcc is 20, but there are 3 filters", ERR_CONFIG},
    {SOUND("\"features\":\"fbank\",\"window\":300"), "too short for a frame", ERR_CONFIG},
    {SOUND("\"normalize\":\"features\""), "normalize is of features", ERR_CONFIG},
    {SOUND("\"layout\":\"NTF\""), "inputs.x.layout: F is for features", ERR_CONFIG},
    {SOUND("\"features\":\"fbank\",\"layout\":\"NT\""), "inputs.x.layout: it needs an F", ERR_CONFIG},
    {IMAGE("\"size\":[28,0]"), "inputs.x.size[1]: expected a whole number of at least 1", ERR_CONFIG},
    {IMAGE("\"size\":[28,1.5]"), "inputs.x.size[1]: expected a whole number", ERR_CONFIG},
    {IMAGE("\"size\":[99999,28]"), "inputs.x.size[0]: expected a whole number of at most 16384", ERR_CONFIG},
    {IMAGE("\"size\":[28]"), "inputs.x.size: expected [height, width]", ERR_CONFIG},
    {IMAGE("\"channels\":\"cmyk\""), "inputs.x.channels: expected one of gray|rgb|bgr", ERR_CONFIG},
    {IMAGE("\"channels\":\"gra\""), "inputs.x.channels: expected one of gray|rgb|bgr", ERR_CONFIG},
    {IMAGE("\"mean\":[1,2]"), "inputs.x.mean: expected an array of one number or three", ERR_CONFIG},
    {IMAGE("\"mean\":[\"a\"]"), "inputs.x.mean[0]: expected a number", ERR_CONFIG},
    {IMAGE("\"std\":[0]"), "inputs.x.std: it divides, so it must not be 0", ERR_CONFIG},
    {IMAGE("\"fill\":300"), "inputs.x.fill: expected a number from 0 to 255", ERR_CONFIG},
    {INPUT("\"kind\":\"constant\""), "a constant has either 'values', 'picture' or 'text'", ERR_CONFIG},
    {INPUT("\"kind\":\"constant\",\"values\":1,\"picture\":\"size_wh\""), "either 'values', 'picture' or 'text'",
     ERR_CONFIG},
    {INPUT("\"kind\":\"constant\",\"text\":\"mask\",\"picture\":\"size_wh\""), "either 'values', 'picture' or 'text'",
     ERR_CONFIG},
    {INPUT("\"kind\":\"constant\",\"values\":[]"), "inputs.x.values: expected a number or an array of 1 to",
     ERR_CONFIG},
    {INPUT("\"kind\":\"constant\",\"values\":[1,\"a\"]"), "inputs.x.values[1]: expected a number", ERR_CONFIG},
    {SIZED("\"multiple_of\":32"), "inputs.x.multiple_of: is for sides that the picture decides", ERR_CONFIG},
    {IMAGE("\"multiple_of\":0"), "expected a whole number of at least 1", ERR_CONFIG},
    {IMAGE("\"max_width\":32"), "inputs.x.max_width: is for a 'size' of [height, \"aspect\"]", ERR_CONFIG},
    {IMAGE("\"min_width\":32"), "inputs.x.min_width: is for a 'size' of [height, \"aspect\"]", ERR_CONFIG},
    {INPUT("\"kind\":\"image\",\"size\":[9,\"aspect\"],\"min_width\":8,\"max_width\":4"),
     "inputs.x.min_width: must be at most 'max_width'", ERR_CONFIG},
    {INPUT("\"kind\":\"image\",\"size\":[9,\"aspect\"],\"max_width\":9,\"multiple_of\":4"),
     "inputs.x.max_width: must be a multiple of 'multiple_of'", ERR_CONFIG},
    {INPUT("\"kind\":\"image\",\"size\":[\"aspect\",9]"), "inputs.x.size[0]: expected a whole number", ERR_CONFIG},
    {IMAGE("\"resize_size\":32"), "inputs.x.resize_size: is for 'resize' crop", ERR_CONFIG},
    {SIZED("\"resize\":\"crop\",\"resize_size\":1"), "inputs.x.resize_size: must be at least 'size'", ERR_CONFIG},
    {IMAGE("\"resize\":\"crop\",\"resize_size\":[99,0]"), "inputs.x.resize_size[1]: expected a whole number",
     ERR_CONFIG},
    {IMAGE("\"resize\":\"crop\",\"resize_size\":\"a\""), "expected the shorter side or [height, width]", ERR_CONFIG},
    {IMAGE("\"enlarge\":false"), "inputs.x.enlarge: is for 'resize' letterbox", ERR_CONFIG},
    {IMAGE("\"placement\":\"top_left\""), "inputs.x.placement: is for 'resize' letterbox", ERR_CONFIG},
    {IMAGE("\"placement\":\"left\""), "expected one of center|top_left", ERR_CONFIG},
    {IMAGE("\"filter\":\"lanczos\",\"antialias\":false"), "inputs.x.antialias: must be true", ERR_CONFIG},
    {IMAGE("\"fill\":[1,2]"), "inputs.x.fill: expected a number from 0 to 255 or an array of three", ERR_CONFIG},
    {IMAGE("\"fill\":[1,2,256]"), "inputs.x.fill[2]: expected a number from 0 to 255", ERR_CONFIG},
    {IMAGE("\"fill\":-1"), "inputs.x.fill: expected a number from 0 to 255", ERR_CONFIG},
    {IMAGE("\"ink\":\"dark\",\"ink_box\":20"), "inputs.x.ink_box: it must fit", ERR_CONFIG},
    {IMAGE("\"ink_box\":20,\"size\":[28,28],\"channels\":\"rgb\""),
     "inputs.x.ink_box: is for pictures whose 'channels' are gray", ERR_CONFIG},
    {IMAGE("\"ink\":\"light\",\"channels\":\"rgb\""), "inputs.x.ink: is for pictures whose 'channels' are gray",
     ERR_CONFIG},
    {IMAGE("\"ink_box\":20,\"size\":[28,28]"), "inputs.x.ink_box: needs 'ink'", ERR_CONFIG},
    {IMAGE("\"ink_box\":20,\"size\":[28,28],\"ink\":\"as_is\""), "inputs.x.ink_box: needs 'ink'", ERR_CONFIG},
    {INPUT("\"kind\":\"text\",\"tokenizer\":\"bpe\""), "inputs.x.merges: belongs to the tokenizer bpe", ERR_CONFIG},
    {INPUT("\"kind\":\"text\",\"tokenizer\":\"words\",\"max_length\":4"), "needs a vocabulary", ERR_CONFIG},
    {INPUT("\"kind\":\"text\",\"vocabulary\":\"none.txt\""), "inputs.x.vocabulary", 0},
    {INPUT("\"kind\":\"text\",\"vocabulary\":\"../vocab.txt\""), "inputs.x.vocabulary", 0},
    {INPUT("\"kind\":\"text\",\"vocabulary\":\"/etc/passwd\""), "inputs.x.vocabulary", 0},
    {INPUT("\"kind\":\"text\",\"vocabulary\":3"), "expected an array of tokens, or the name of a file", ERR_CONFIG},
    {INPUT("\"kind\":\"text\",\"vocabulary\":[]"), "'vocabulary' is empty", ERR_CONFIG},
    {INPUT("\"kind\":\"text\",\"vocabulary\":[\"a\",3]"), "token 1 is no string", ERR_CONFIG},
    {WORDS("\"pad\":0"), "max_length is missing", ERR_CONFIG},
    {WORDS("\"max_length\":0"), "inputs.x.max_length: expected a whole number of at least 1", ERR_CONFIG},
    {WORDS("\"max_length\":4,\"pad\":6"), "pad is 6, but the vocabulary has 6 tokens", ERR_CONFIG},
    {WORDS("\"max_length\":4,\"unknown\":-1"), "at least 0", ERR_CONFIG},
    {WORDS("\"max_length\":2,\"start\":1,\"end\":1"), "leaves no room", ERR_CONFIG},
    {WORDS("\"max_length\":4,\"lowercase\":1"), "expected true or false", ERR_CONFIG},
    {"{\"manifest\":1,\"labels\":[\"a\",1]}", "labels[1]: expected a string", ERR_CONFIG},
    {"{\"manifest\":1,\"labels\":7}", "labels: expected an array of names", ERR_CONFIG},
    {"{\"manifest\":1,\"task\":{\"kind\":\"detect\",\"threshold\":0.5}}", "task.decoder: it is missing", ERR_CONFIG},
    {"{\"manifest\":1,\"task\":{\"kind\":\"detect\",\"decoder\":\"yolo\"}}", "task.decoder: expected one of yolov8|",
     ERR_CONFIG},
    {"{\"manifest\":1,\"task\":{\"kind\":\"classify\",\"nms\":\"none\"}}", "task.nms: is for tasks of another kind",
     ERR_CONFIG},
    {"{\"manifest\":1,\"task\":{\"kind\":\"detect\",\"decoder\":\"rows\",\"kpt_shape\":[17]}}",
     "task.kpt_shape: expected [points, numbers of each]", ERR_CONFIG},
    {"{\"manifest\":1,\"task\":{\"kind\":\"detect\",\"decoder\":\"rows\",\"kpt_shape\":[17,4]}}",
     "task.kpt_shape[1]: expected a whole number of at most 3", ERR_CONFIG},
    {"{\"manifest\":1,\"task\":{\"kind\":\"detect\",\"decoder\":\"rows\",\"kpt_shape\":[1,2],\"obb\":true}}",
     "a network has one of kpt_shape, prototypes and obb", ERR_CONFIG},
    {"{\"manifest\":1,\"task\":{\"kind\":\"detect\",\"decoder\":\"rows\",\"max_detections\":30001}}",
     "task.max_detections: expected a whole number of at most 30000", ERR_CONFIG},
    {"{\"manifest\":1,\"task\":{\"kind\":\"detect\",\"decoder\":\"rows\",\"outputs\":[]}}",
     "task.outputs: expected an object", ERR_CONFIG},
    {"{\"manifest\":1,\"task\":{\"kind\":\"detect\",\"decoder\":\"rows\",\"outputs\":{\"box\":\"y\"}}}",
     "task.outputs.box: unknown key; known are boxes|", ERR_CONFIG},
    {"{\"manifest\":1,\"task\":{\"kind\":\"detect\",\"decoder\":\"rows\",\"outputs\":{\"boxes\":[]}}}",
     "task.outputs.boxes: expected a name, or an array of 1 to 5", ERR_CONFIG},
    {"{\"manifest\":1,\"task\":{\"kind\":\"detect\",\"decoder\":\"rows\",\"outputs\":{\"boxes\":[1]}}}",
     "task.outputs.boxes: expected the name of an output", ERR_CONFIG},
    {"{\"manifest\":1,\"task\":{\"kind\":\"image\"}}", "task.range: expected [black, white]: [0, 1]", ERR_CONFIG},
    {"{\"manifest\":1,\"task\":{\"kind\":\"image\",\"range\":[0]}}", "task.range: expected [black, white]", ERR_CONFIG},
    {"{\"manifest\":1,\"task\":{\"kind\":\"image\",\"range\":[1,1]}}", "black and white are the same number",
     ERR_CONFIG},
    {"{\"manifest\":1,\"task\":{\"kind\":\"image\",\"range\":[0,\"1\"]}}", "task.range[1]: expected a number",
     ERR_CONFIG},
    {"{\"manifest\":1,\"labels\":{\"01\":\"a\"}}", "labels.01: expected a class's number, 0 to 999999", ERR_CONFIG},
    {"{\"manifest\":1,\"labels\":{\"1000000\":\"a\"}}", "labels.1000000: expected a class's number", ERR_CONFIG},
    {"{\"manifest\":1,\"labels\":{\"-1\":\"a\"}}", "labels.-1: expected a class's number", ERR_CONFIG},
    {"{\"manifest\":1,\"labels\":{\"1\":2}}", "labels.1: expected a string", ERR_CONFIG},
    {"{\"manifest\":1,\"task\":{\"kind\":\"keypoints\",\"activation\":\"softmax\"}}",
     "task.activation: expected none or sigmoid for keypoints", ERR_CONFIG},
    {"{\"manifest\":1,\"task\":{\"kind\":\"keypoints\",\"obb\":true}}", "task.obb: is for tasks of another kind",
     ERR_CONFIG},
    {"{\"manifest\":1,\"task\":{\"kind\":\"regress\",\"threshold\":1}}", "task.threshold: is for tasks of another kind",
     ERR_CONFIG},
    {"{\"manifest\":1,\"task\":{\"kind\":\"generate\"}}", "task.kind: 'generate' is known but not served",
     ERR_UNSUPPORTED},
    {"{\"manifest\":1,\"task\":{\"kind\":\"ctc\",\"words\":\"vocab.txt\"}}", "words need a beam", ERR_CONFIG},
    {"{\"manifest\":1,\"task\":{\"kind\":\"ctc\",\"words\":7}}", "task.words: expected the name", ERR_CONFIG},
    {"{\"manifest\":1,\"task\":{\"kind\":\"ctc\",\"skip\":\"a\"}}", "task.skip: expected an array", ERR_CONFIG},
    {"{\"manifest\":1,\"task\":{\"kind\":\"ctc\",\"skip\":[1]}}", "task.skip[0]: expected a string", ERR_CONFIG},
    {"{\"manifest\":1,\"task\":{\"kind\":\"ctc\",\"beam\":129}}", "task.beam: expected a whole number", ERR_CONFIG},
    {WORDS("\"max_length\":4,\"margin\":1"), "margin and multiple_of need 'pad'", ERR_CONFIG},
    {WORDS("\"max_length\":4,\"margin\":2,\"pad\":0"), "max_length leaves no room", ERR_CONFIG},
    {"{\"manifest\":1,\"task\":{}}", "task.kind: expected one of", ERR_CONFIG},
    {"{\"manifest\":1,\"task\":[]}", "task: expected an object", ERR_CONFIG},
    {"{\"manifest\":1,\"task\":{\"kind\":\"classify\",\"top_k\":0}}", "task.top_k", ERR_CONFIG},
    {"{\"manifest\":1,\"batching\":{\"max_batch_size\":0}}", "batching.max_batch_size", ERR_CONFIG},
    {"{\"manifest\":1,\"batching\":{\"max_batch_size\":\"8\"}}", "batching.max_batch_size", ERR_CONFIG},
    {"{\"manifest\":1,\"warmup\":{\"batch_sizes\":[1,0]}}", "warmup.batch_sizes[1]", ERR_CONFIG},
    {"{\"manifest\":1,\"version_policy\":3}", "version_policy: expected an object", ERR_CONFIG},
    {"{\"manifest\":1,\"version_policy\":{}}", "version_policy: expected an object", ERR_CONFIG},
    {"{\"manifest\":1,\"version_policy\":{\"all\":{},\"latest\":{}}}", "version_policy: expected", ERR_CONFIG},
    {"{\"manifest\":1,\"version_policy\":{\"last\":{}}}", "version_policy.last: unknown key", ERR_CONFIG},
    {"{\"manifest\":1,\"version_policy\":{\"all\":{\"n\":1}}}", "version_policy.all: expected {}", ERR_CONFIG},
    {"{\"manifest\":1,\"version_policy\":{\"latest\":{\"n\":1}}}", "version_policy.latest: expected", ERR_CONFIG},
    {"{\"manifest\":1,\"version_policy\":{\"latest\":{\"num_versions\":0}}}", "version_policy.latest.num_versions",
     ERR_CONFIG},
    {"{\"manifest\":1,\"version_policy\":{\"specific\":{}}}", "version_policy.specific: expected", ERR_CONFIG},
    {"{\"manifest\":1,\"version_policy\":{\"specific\":{\"versions\":[]}}}", "version_policy.specific.versions",
     ERR_CONFIG},
    {"{\"manifest\":1,\"version_policy\":{\"specific\":{\"versions\":[1,\"2\"]}}}",
     "version_policy.specific.versions[1]", ERR_CONFIG},
    {"{\"manifest\":1,\"version_labels\":[]}", "version_labels: expected an object", ERR_CONFIG},
    {"{\"manifest\":1,\"version_labels\":{\"3\":3}}", "version_labels.3: expected a name", ERR_CONFIG},
    {"{\"manifest\":1,\"version_labels\":{\"stable\":0}}", "version_labels.stable", ERR_CONFIG},
    {"{\"manifest\":1,\"warmup\":{\"batch_sizes\":7}}", "warmup.batch_sizes", ERR_CONFIG},
};

START_TEST(what_is_wrong_is_refused_with_its_place)
{
    ck_assert_ptr_null(read_text(wrong[_i].text));
    ck_assert_msg(strstr(err.text, wrong[_i].says) != NULL, "%s\n  says: %s\n  not:  %s", wrong[_i].text, err.text,
                  wrong[_i].says);
    if (wrong[_i].code)
        ck_assert_int_eq(err.code, wrong[_i].code);
}
END_TEST

START_TEST(a_manifest_over_a_mebibyte_is_refused)
{
    size_t n = ((size_t)1 << 20) + 1;
    char *text = arena_alloc(&arena, n + 1);
    memset(text, ' ', n);
    memcpy(text, "{\"manifest\":1}", 14);
    text[n] = '\0';
    ck_assert_ptr_null(read_text(text));
    text[n - 1] = '\0';
    read_good(text);
}
END_TEST

START_TEST(ten_thousand_brackets_are_no_danger)
{
    char *text = arena_alloc(&arena, 10001);
    memset(text, '[', 10000);
    ck_assert_ptr_null(read_text(text));
}
END_TEST

START_TEST(every_allocation_may_fail)
{
    folder_text("manifest.json", WORDS("\"max_length\":4")); /* the longest way: lines, sorting, sections */
    for (size_t nth = 1; nth <= 8; nth++) {
        struct arena own = {0};
        err = (struct percept_err){0};
        arena_fail_at(nth, true);
        const struct manifest *manifest = manifest_read(folder_root, &own, &err);
        arena_fail_at(0, false);
        ck_assert(manifest ? nth > 1 : err.code == ERR_MEMORY);
        arena_free(&own);
    }
}
END_TEST

/* The schema's properties of a section. */
static json_t *properties(json_t *schema, const char *section)
{
    json_t *holder = *section ? json_object_get(json_object_get(schema, "$defs"), section) : schema;
    json_t *found = json_object_get(holder, "properties");
    ck_assert_msg(json_is_object(found), "no section %s", section);
    return found;
}

START_TEST(the_schema_and_the_reader_know_the_same_keys)
{
    json_error_t where;
    json_t *schema = json_loads(manifest_schema(), JSON_REJECT_DUPLICATES, &where);
    ck_assert_msg(schema != NULL, "line %d: %s", where.line, where.text);
    size_t n_sections = 0;
    for (const char *section; (section = manifest_section((int)n_sections)); n_sections++) {
        json_t *keys = properties(schema, section);
        size_t n = 0;
        for (const char *key; (key = manifest_key((int)n_sections, (int)n)); n++)
            ck_assert_msg(json_object_get(keys, key) != NULL, "%s.%s", section, key);
        ck_assert_uint_eq(n + 1, json_object_size(keys)); /* and $comment */
    }
    ck_assert_uint_eq(n_sections, json_object_size(json_object_get(schema, "$defs")) + 1);
    ck_assert_ptr_null(manifest_section(-1));
    ck_assert_ptr_null(manifest_key(0, -1));
    ck_assert_ptr_null(manifest_key(0, 1000));
    json_decref(schema);
}
END_TEST

/* As much of JSON Schema as an array of numbers needs. */
static bool length_fits(json_t *schema, size_t n)
{
    json_t *least = json_object_get(schema, "minItems"), *most = json_object_get(schema, "maxItems");
    if ((least && n < (size_t)json_integer_value(least)) || (most && n > (size_t)json_integer_value(most)))
        return false;
    json_t *choices = json_object_get(schema, "oneOf"), *choice;
    size_t i, n_fit = 0;
    json_array_foreach(choices, i, choice) n_fit += length_fits(choice, n);
    return !choices || n_fit == 1;
}

START_TEST(the_schema_and_the_reader_take_one_number_or_three)
{
    static const char *const keys[] = {"mean", "std"};
    static const char numbers[] = "1,1,1,1,1";
    json_t *schema = json_loads(manifest_schema(), 0, NULL);
    for (int n = 0; n <= 5; n++) {
        const char *key = keys[_i];
        char text[200];
        snprintf(text, sizeof text, IMAGE("\"%s\":[%.*s]"), key, n ? 2 * n - 1 : 0, numbers);
        bool read = read_text(text) != NULL;
        ck_assert_msg(read == (n == 1 || n == 3), "%s: %s", text, err.text);
        json_t *rule = json_object_get(properties(schema, "image"), key);
        ck_assert_msg(length_fits(rule, (size_t)n) == read, "%s: the schema disagrees", text);
    }
    json_decref(schema);
}
END_TEST

/* Every key of the schema is one that the reader judges: an object is wrong for all of them, or
 * right. */
START_TEST(no_key_of_the_schema_is_unknown_to_the_reader)
{
    json_t *schema = json_loads(manifest_schema(), 0, NULL);
    const char *key;
    json_t *value;
    json_object_foreach(properties(schema, ""), key, value)
    {
        char text[200];
        snprintf(text, sizeof text, "{\"manifest\":1,\"%s\":[true]}", key);
        if (strcmp(key, "manifest") == 0)
            continue;
        err.text[0] = '\0';
        ck_assert_ptr_null(read_text(text));
        bool is_comment = strcmp(key, "$comment") == 0;
        ck_assert_msg(!strstr(err.text, "unknown key") != is_comment, "%s: %s", key, err.text);
    }
    json_decref(schema);
}
END_TEST

/* tasks.def and the words of manifest.def are in one order, and each task has its word. */
START_TEST(labels_may_have_gaps)
{
    const struct manifest *manifest = read_good("{\"manifest\":1,\"labels\":{\"3\":\"d\",\"1\":\"b\"}}");
    ck_assert_int_eq(manifest->n_labels, 4);
    ck_assert(manifest->labels_have_gaps);
    ck_assert_ptr_null(manifest->labels[0]);
    ck_assert_str_eq(manifest->labels[1], "b");
    ck_assert_ptr_null(manifest->labels[2]);
    ck_assert_str_eq(manifest->labels[3], "d");
}
END_TEST

/* What is left out is the decoder's; what is said is the manifest's. */
START_TEST(a_decoder_brings_its_defaults)
{
    const struct manifest *manifest =
        read_good("{\"manifest\":1,\"task\":{\"kind\":\"detect\",\"decoder\":\"yolox\",\"overlap\":0.5,\"outputs\":"
                  "{\"scores\":[\"p\",\"q\"]}}}");
    ck_assert_int_eq(manifest->detect.decoder, DECODER_YOLOX);
    ck_assert(manifest->threshold == 0.3f && manifest->detect.overlap == 0.5f);
    ck_assert_int_eq(manifest->detect.nms, NMS_AGNOSTIC);
    ck_assert_int_eq(manifest->detect.score, SCORE_PRODUCT);
    ck_assert_int_eq(manifest->detect.units, UNITS_PIXELS);
    ck_assert_int_eq(manifest->detect.max_detections, 1000);
    ck_assert_int_eq(manifest->task_activation, ACTIVATION_NONE);
    ck_assert_int_eq(manifest->class_offset, 0);
    ck_assert_int_eq(manifest->detect.outputs[ROLE_SCORES].n, 2);
    ck_assert_str_eq(manifest->detect.outputs[ROLE_SCORES].at[1], "q");
    manifest =
        read_good("{\"manifest\":1,\"task\":{\"kind\":\"detect\",\"decoder\":\"tf_detection\",\"nms\":\"class\"}}");
    ck_assert_int_eq(manifest->class_offset, 1);
    ck_assert_int_eq(manifest->detect.boxes, BOXES_YXYX);
    ck_assert_int_eq(manifest->detect.units, UNITS_RELATIVE);
    ck_assert_int_eq(manifest->detect.nms, NMS_CLASS);
    manifest = read_good("{\"manifest\":1,\"task\":{\"kind\":\"classify\"}}");
    ck_assert(manifest->threshold == -FLT_MAX);
}
END_TEST

static const struct {
    const char *word;
    enum manifest_decoder decoder;
} decoders[] = {{"yolov8", DECODER_YOLOV8},      {"yolov5", DECODER_YOLOV5},
                {"yolox", DECODER_YOLOX},        {"nanodet", DECODER_NANODET},
                {"rows", DECODER_ROWS},          {"nanodet_plus", DECODER_NANODET_PLUS},
                {"paddle", DECODER_PADDLE},      {"rtdetr", DECODER_RTDETR},
                {"detr", DECODER_DETR},          {"rf_detr", DECODER_RF_DETR},
                {"d_fine", DECODER_D_FINE},      {"torchvision", DECODER_TORCHVISION},
                {"yunet", DECODER_YUNET},        {"tf_detection", DECODER_TF_DETECTION},
                {"scrfd", DECODER_SCRFD},        {"efficient_nms", DECODER_EFFICIENT_NMS},
                {"ultraface", DECODER_ULTRAFACE}};

START_TEST(each_decoder_is_read_by_its_word)
{
    char text[100];
    ck_assert_int_eq(sizeof decoders / sizeof *decoders, MANIFEST_DECODERS);
    snprintf(text, sizeof text, "{\"manifest\":1,\"task\":{\"kind\":\"detect\",\"decoder\":\"%s\"}}",
             decoders[_i].word);
    ck_assert_int_eq(fake_model_manifest(text, &arena)->detect.decoder, decoders[_i].decoder);
}
END_TEST

START_TEST(each_task_is_read_by_its_word)
{
    static const char *const words[] = {
#define T(id, word, fit, make, write) [TASK_##id] = (word),
#include "serve/tasks.def"
#undef T
    };
    char text[100];
    snprintf(text, sizeof text, "{\"manifest\":1,\"task\":{\"kind\":\"%s\"%s}}", words[_i],
             _i == TASK_DETECT  ? ",\"decoder\":\"rows\""
             : _i == TASK_IMAGE ? ",\"range\":[0,1]"
                                : "");
    ck_assert_int_eq(fake_model_manifest(text, &arena)->task, (enum manifest_task)_i);
    arena_free(&arena);
}
END_TEST

Suite *serve_manifest_suite(void)
{
    Suite *suite = suite_create("serve/manifest");
    TCase *tests = tcase_create("manifest");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, without_a_file_there_is_a_default);
    tcase_add_test(tests, a_picture_is_read_whole);
    tcase_add_test(tests, pipelines_of_the_documentation_are_read);
    tcase_add_test(tests, a_precision_is_a_models_own);
    tcase_add_test(tests, a_plain_picture_keeps_its_values_and_its_size);
    tcase_add_test(tests, a_vocabularys_line_numbers_are_its_ids);
    tcase_add_test(tests, a_vocabulary_may_be_json);
    tcase_add_test(tests, how_a_text_goes_on_is_read);
    tcase_add_test(tests, an_encoder_is_read);
    tcase_add_test(tests, labels_may_be_in_a_file);
    tcase_add_test(tests, bytes_need_no_vocabulary);
    tcase_add_test(tests, accuracy_is_free_information);
    tcase_add_test(tests, a_comment_may_stand_anywhere);
    tcase_add_test(tests, a_sounds_features_have_their_definitions_defaults);
    tcase_add_loop_test(tests, what_is_wrong_is_refused_with_its_place, 0, (int)(sizeof wrong / sizeof *wrong));
    tcase_add_test(tests, a_manifest_over_a_mebibyte_is_refused);
    tcase_add_test(tests, ten_thousand_brackets_are_no_danger);
    tcase_add_test(tests, every_allocation_may_fail);
    tcase_add_test(tests, the_schema_and_the_reader_know_the_same_keys);
    tcase_add_loop_test(tests, the_schema_and_the_reader_take_one_number_or_three, 0, 2);
    tcase_add_test(tests, no_key_of_the_schema_is_unknown_to_the_reader);
    tcase_add_test(tests, labels_may_have_gaps);
    tcase_add_test(tests, a_decoder_brings_its_defaults);
    tcase_add_loop_test(tests, each_decoder_is_read_by_its_word, 0, sizeof decoders / sizeof *decoders);
    tcase_add_loop_test(tests, each_task_is_read_by_its_word, 0, MANIFEST_TASKS);
    suite_add_tcase(suite, tests);
    return suite;
}
