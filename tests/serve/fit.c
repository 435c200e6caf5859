/* fit.c - manifests beside the models we ship: those that fit, and those that do not. */
#include "serve/fit.h"

#include "base/err.h"
#include "base/file.h"
#include "fake_model.h"
#include "folder.h"
#include "serve/triton_config.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

Suite *serve_fit_suite(void);

static struct arena arena;
static struct percept_err err;

static void begin(void)
{
    folder_begin("fit");
    err = (struct percept_err){0};
}

static void end(void)
{
    folder_end();
    arena_free(&arena);
}

static const struct manifest *read_good(const char *text)
{
    return fake_model_manifest(text, &arena);
}

static struct percept_model *open_shipped(const char *name)
{
    char *path = arena_printf(&arena, "models/%s/model.onnx", name);
    if (!file_exists(path)) {
        printf("skipped: %s is absent\n", path);
        return NULL;
    }
    const struct percept_options options = {.size = sizeof options, .region = PERCEPT_REGION_PRIVATE};
    struct percept_model *model = percept_open(path, &options, &err);
    ck_assert_msg(model != NULL, "%s", err.text);
    return model;
}

START_TEST(the_shipped_manifests_fit_their_models)
{
    static const char *const names[] = {"digits",       "perceptron",   "cats-dogs", "names", "spam",        "denoise",
                                        "dream-encode", "dream-decode", "hear",      "say",   "shakespeare", "read"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct percept_model *model = open_shipped(names[i]);
        if (!model)
            continue;
        const struct manifest *manifest = manifest_read(file_join(&arena, "models", names[i]), &arena, &err);
        ck_assert_msg(manifest != NULL, "%s", err.text);
        ck_assert_msg(fit_model(manifest, model, &err), "%s", err.text);
        if (manifest->task == TASK_CLASSIFY)
            ck_assert_int_gt(manifest->n_labels, 1);
        percept_close(model);
    }
}
END_TEST

static const struct {
    const char *text, *says;
} unfit[] = {
    {"{\"manifest\":1,\"inputs\":{\"x\":{\"kind\":\"tensor\"}}}", "the model has no input 'x'; it has image"},
    {"{\"manifest\":1,\"inputs\":{\"image\":{\"kind\":\"image\",\"size\":[28,30]}}}",
     "do not fit a picture of 28 x 30"},
    {"{\"manifest\":1,\"inputs\":{\"image\":{\"kind\":\"image\",\"size\":[28,28],\"channels\":"
     "\"rgb\"}}}",
     "with 3 channels"},
    {"{\"manifest\":1,\"inputs\":{\"image\":{\"kind\":\"image\",\"size\":[28,28],\"layout\":"
     "\"flat\"}}}",
     "do not fit"},
    {"{\"manifest\":1,\"inputs\":{\"image\":{\"kind\":\"text\",\"tokenizer\":\"bytes\",\"max_"
     "length\":4}}}",
     "described as a text but takes float32"},
    {"{\"manifest\":1,\"task\":{\"kind\":\"classify\",\"output\":\"logits\"}}",
     "the model has no output 'logits'; it has scores"},
    {"{\"manifest\":1,\"labels\":[\"a\"],\"task\":{\"kind\":\"classify\"}}",
     "output 'scores' has 10 classes, but there are 1 labels"},
    {"{\"manifest\":1,\"task\":{\"kind\":\"ctc\"}}", "labels are missing"},
    {"{\"manifest\":1,\"labels\":[\"a\"],\"task\":{\"kind\":\"ctc\"}}", "or for each but the blank"},
    {"{\"manifest\":1,\"labels\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\"],"
     "\"task\":{\"kind\":\"ctc\",\"blank\":10}}",
     "blank is 10, but output 'scores' has 10 classes"},
    {"{\"manifest\":1,\"task\":{\"kind\":\"text\"}}", "the task text needs one input, of kind text"},
    {"{\"manifest\":1,\"task\":{\"kind\":\"audio\"}}", "task.rate is missing"},
    {"{\"manifest\":1,\"labels\":{\"10\":\"a\"},\"task\":{\"kind\":\"classify\"}}",
     "output 'scores' has 10 classes, but there are 11 labels"},
    {"{\"manifest\":1,\"labels\":[\"0\",\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"],"
     "\"task\":{\"kind\":\"classify\",\"class_offset\":1}}",
     "output 'scores' has 9 classes, but there are 10 labels"},
    {"{\"manifest\":1,\"task\":{\"kind\":\"classify\",\"class_offset\":10}}", "none is left from class_offset 10 on"},
    {"{\"manifest\":1,\"task\":{\"kind\":\"detect\",\"decoder\":\"yunet\"}}", "the model has no output 'bbox_8'"},
    {"{\"manifest\":1,\"task\":{\"kind\":\"detect\",\"decoder\":\"rows\"}}", "has 10 columns"},
    {"{\"manifest\":1,\"task\":{\"kind\":\"segment\"}}",
     "output 'scores' has 2 dimensions; a map of classes has 3 or 4"},
    {"{\"manifest\":1,\"labels\":[\"a\"],\"task\":{\"kind\":\"regress\"}}", "has 10 numbers, but there are 1 labels"},
    {"{\"manifest\":1,\"task\":{\"kind\":\"embed\",\"output\":\"y\"}}", "the model has no output 'y'"},
    {"{\"manifest\":1,\"inputs\":{\"image\":{\"kind\":\"constant\",\"text\":\"mask\"}}}",
     "inputs.image.text: input 'image' has 4 dimensions; a row of tokens has 1 or 2"},
    {"{\"manifest\":1,\"task\":{\"kind\":\"keypoints\",\"output\":\"y\"}}", "the model has no output 'y'"},
    {"{\"manifest\":1,\"task\":{\"kind\":\"keypoints\"}}", "has rows of 10 numbers; kpt_shape must say what they are"},
    {"{\"manifest\":1,\"task\":{\"kind\":\"keypoints\",\"kpt_shape\":[3,3]}}", "has rows of 10 numbers; kpt_shape"},
    {"{\"manifest\":1,\"labels\":[\"a\"],\"task\":{\"kind\":\"keypoints\",\"kpt_shape\":[5,2]}}",
     "has 5 points, but there are 1 labels"},
    {"{\"manifest\":1,\"task\":{\"kind\":\"image\",\"range\":[0,1]}}",
     "output 'scores' has 2 dimensions; a picture has"},
    {"{\"manifest\":1,\"task\":{\"kind\":\"image\",\"range\":[0,1],\"output\":\"y\"}}", "the model has no output 'y'"},
};

START_TEST(what_does_not_fit_the_model_is_found_out)
{
    struct percept_model *model = open_shipped("digits");
    if (!model)
        return;
    const struct manifest *manifest = read_good(unfit[_i].text);
    ck_assert(!fit_model(manifest, model, &err));
    ck_assert_msg(strstr(err.text, unfit[_i].says) != NULL, "%s", err.text);
    ck_assert_int_eq(err.code, ERR_CONFIG);
    percept_close(model);
}
END_TEST

#define DIMS(...) ((const int64_t[]){__VA_ARGS__})
#define PICTURE(fields)                                                                                                \
    "{\"manifest\":1,\"inputs\":{\"x\":{\"kind\":\"image\",\"size\":[2,4],\"channels\":"                               \
    "\"rgb\"" fields "}}}"
#define SOUND(fields) "{\"manifest\":1,\"inputs\":{\"x\":{\"kind\":\"audio\",\"rate\":16000" fields "}}}"
#define FREE(size) "{\"manifest\":1,\"inputs\":{\"x\":{\"kind\":\"image\",\"size\":" size "}}}"
#define BYTES(fields)                                                                                                  \
    "{\"manifest\":1,\"inputs\":{\"x\":{\"kind\":\"text\",\"tokenizer\":\"bytes\",\"max_length\":"                     \
    "4" fields "}}}"

/* Inputs that may be fed with one picture or text, and why others may not. */
static const struct {
    const char *text;
    enum percept_dtype dtype;
    int rank;
    int64_t dims[4];
    bool batching;
    const char *says; /* NULL: it fits */
} shapes[] = {
    {PICTURE(""), PERCEPT_FLOAT, 4, {-1, 3, 2, 4}, true, NULL},
    {PICTURE(""), PERCEPT_FLOAT, 4, {1, 3, 2, 4}, false, NULL},
    {PICTURE(""), PERCEPT_FLOAT, 3, {3, 2, 4}, false, NULL},
    {PICTURE(",\"layout\":\"NHWC\""), PERCEPT_UINT8, 4, {-1, 2, 4, 3}, true, NULL},
    {PICTURE(",\"layout\":\"NHWC\""), PERCEPT_UINT8, 3, {2, 4, 3}, false, NULL},
    {PICTURE(",\"layout\":\"flat\""), PERCEPT_FLOAT, 1, {24}, false, NULL},
    {PICTURE(",\"layout\":\"flat\""), PERCEPT_FLOAT, 2, {-1, 24}, true, NULL},
    {PICTURE(""), PERCEPT_FLOAT, -1, {0}, false, NULL},
    {PICTURE(""), PERCEPT_FLOAT, 3, {-1, 2, 4}, true, "has the dimensions [?,2,4]; they do not fit"},
    {PICTURE(""), PERCEPT_FLOAT, 4, {2, 3, 2, 4}, false, "do not fit a picture"},
    {PICTURE(""), PERCEPT_FLOAT, 3, {3, 4, 2}, false, "do not fit a picture of 2 x 4"},
    {PICTURE(",\"layout\":\"flat\""), PERCEPT_FLOAT, 1, {8}, false, "do not fit"},
    {PICTURE(",\"scale\":0.5"), PERCEPT_UINT8, 4, {-1, 3, 2, 4}, true, "inputs.x.scale: the input takes uint8"},
    {PICTURE(",\"mean\":[0,0,1]"), PERCEPT_UINT8, 4, {-1, 3, 2, 4}, true, "inputs.x.mean: "},
    {PICTURE(",\"std\":[2]"), PERCEPT_UINT8, 4, {-1, 3, 2, 4}, true, "inputs.x.std: "},
    {FREE("\"picture\",\"multiple_of\":32"), PERCEPT_FLOAT, 4, {-1, 1, -1, 64}, true, NULL},
    {FREE("\"picture\",\"multiple_of\":32"),
     PERCEPT_FLOAT,
     4,
     {-1, 1, -1, 65},
     true,
     "a picture of any multiples of 32"},
    {FREE("\"picture\",\"channels\":\"y\""), PERCEPT_FLOAT, 4, {-1, 1, -1, -1}, true, NULL},
    {FREE("\"picture\",\"channels\":\"y\""), PERCEPT_FLOAT, 4, {-1, 3, -1, -1}, true, "with 1 channel in"},
    {FREE("[32,\"aspect\"]"), PERCEPT_FLOAT, 4, {-1, 1, 32, -1}, true, NULL},
    {FREE("[32,\"aspect\"],\"layout\":\"NHWC\""), PERCEPT_FLOAT, 4, {-1, 32, -1, 1}, true, NULL},
    {FREE("[32,\"aspect\"]"), PERCEPT_FLOAT, 4, {-1, 1, 32, 320}, true, "a picture of 32 x what its shape asks for"},
    {FREE("[32,\"aspect\"]"), PERCEPT_FLOAT, 4, {-1, 1, 48, -1}, true, "do not fit"},
    {FREE("[32,\"aspect\"],\"min_width\":320,\"max_width\":320"), PERCEPT_FLOAT, 4, {-1, 1, 32, 320}, true, NULL},
    {PICTURE(""), PERCEPT_INT32, 4, {-1, 3, 2, 4}, true, "takes int32; float32 or uint8"},
    {BYTES(""), PERCEPT_INT64, 2, {-1, -1}, true, NULL},
    {BYTES(""), PERCEPT_UINT8, 2, {-1, -1}, true, NULL},
    {BYTES(""), PERCEPT_INT8, 2, {-1, -1}, true, "takes int8; token ids are"},
    {BYTES(""), PERCEPT_INT64, 1, {-1}, false, NULL},
    {BYTES(",\"pad\":0"), PERCEPT_INT32, 1, {4}, false, NULL},
    {BYTES(""), PERCEPT_INT32, 1, {4}, false, "takes exactly 4 tokens"},
    {BYTES(""), PERCEPT_INT64, 1, {5}, false, "takes 5 tokens; max_length is 4"},
    {BYTES(""), PERCEPT_INT64, 1, {-1}, true, "it needs the dimensions [batch, length]"},
    {BYTES(""), PERCEPT_INT64, 3, {-1, -1, 1}, false, "it needs the dimensions [batch, length]"},
    {SOUND(""), PERCEPT_FLOAT, 2, {-1, -1}, true, NULL},
    {SOUND(""), PERCEPT_FLOAT, 2, {1, -1}, false, NULL},
    {SOUND(""), PERCEPT_FLOAT, 1, {-1}, false, NULL},
    {SOUND(""), PERCEPT_FLOAT, -1, {0}, false, NULL},
    {SOUND(",\"layout\":\"NCT\""), PERCEPT_FLOAT, 3, {-1, 1, -1}, true, NULL},
    {SOUND(",\"window\":512,\"context\":64"), PERCEPT_FLOAT, 2, {-1, 576}, true, NULL},
    {SOUND(",\"features\":\"fbank\",\"n_mels\":80"), PERCEPT_FLOAT, 3, {-1, -1, 80}, true, NULL},
    {SOUND(",\"features\":\"fbank\",\"window\":16000"), PERCEPT_FLOAT, 3, {-1, 98, 23}, true, NULL},
    {SOUND(",\"features\":\"fbank\",\"layout\":\"NTFC\""), PERCEPT_FLOAT, 4, {-1, -1, 23, 1}, true, NULL},
    {SOUND(""), PERCEPT_INT32, 2, {-1, -1}, true, "takes int32; float32 can hold one"},
    {SOUND(""),
     PERCEPT_FLOAT,
     2,
     {-1, 576},
     true,
     "do not fit any number of samples in the layout NT: a network of fixed"},
    {SOUND(",\"window\":512"), PERCEPT_FLOAT, 2, {-1, 576}, true, "do not fit 512 samples in the layout NT"},
    {SOUND(""), PERCEPT_FLOAT, 3, {-1, 1, -1}, true, "do not fit"},
    {SOUND(",\"layout\":\"NCT\""), PERCEPT_FLOAT, 3, {-1, 2, -1}, true, "in the layout NCT"},
    {SOUND(",\"features\":\"fbank\""), PERCEPT_FLOAT, 3, {-1, -1, 80}, true, "frames of 23 features in the layout NTF"},
    {SOUND(",\"features\":\"fbank\",\"window\":16000"), PERCEPT_FLOAT, 3, {-1, 100, 23}, true, "do not fit 98 frames"},
};

START_TEST(inputs_that_cannot_take_one_item_are_refused)
{
    struct fake_model *fake = fake_model_new("m");
    fake_model_input(fake, "x", shapes[_i].dtype, shapes[_i].rank, shapes[_i].dims);
    fake->model.description.batch_free = shapes[_i].batching;
    bool fits = fit_model(read_good(shapes[_i].text), &fake->model, &err);
    ck_assert_msg(fits == !shapes[_i].says, "%d: %s", _i, err.text);
    ck_assert_msg(fits || strstr(err.text, shapes[_i].says), "%s", err.text);
    fake_model_free(fake);
}
END_TEST

START_TEST(the_owners_word_is_for_a_model_with_a_batch)
{
    static const char text[] = "{\"manifest\":1,\"batching\":{\"independent\":true}}";
    struct fake_model *fake = fake_model_new("m");
    fake_model_input(fake, "x", PERCEPT_FLOAT, 2, DIMS(-1, 3));
    fake_model_output(fake, "y", PERCEPT_FLOAT, 2, DIMS(-1, 3));
    fake->model.description.batch_free = true;
    ck_assert(fit_model(read_good(text), &fake->model, &err));
    fake->model.description.batch_free = false;
    fake->model.description.batch_reason = "outputs do not follow";
    ck_assert(!fit_model(read_good(text), &fake->model, &err));
    ck_assert_msg(strstr(err.text, "batching.independent is true, but this model has no batch to join: outputs"), "%s",
                  err.text);
    fake_model_free(fake);
}
END_TEST

START_TEST(a_task_names_its_output_where_there_are_several)
{
    static const char text[] = "{\"manifest\":1,\"task\":{\"kind\":\"classify\"}}";
    struct fake_model *fake = fake_model_new("m");
    fake_model_input(fake, "x", PERCEPT_FLOAT, 2, DIMS(-1, 1));
    fake_model_output(fake, "scores", PERCEPT_FLOAT, 2, DIMS(-1, 3));
    ck_assert(fit_model(read_good(text), &fake->model, &err));
    fake_model_output(fake, "features", PERCEPT_FLOAT, 2, DIMS(-1, 9));
    ck_assert(!fit_model(read_good(text), &fake->model, &err));
    ck_assert_msg(strstr(err.text, "task.output is missing: which of scores, features holds") != NULL, "%s", err.text);
    fake_model_free(fake);
}
END_TEST

/* Predictions count all elements of an item: labels must be as many. */
static const struct {
    int rank;
    int64_t dims[4];
    bool batching, fits;
} outputs[] = {
    {2, {-1, 3}, true, true},  {4, {-1, 3, 1, 1}, true, true}, {3, {-1, 2, 3}, true, false},
    {2, {-1, 4}, true, false}, {1, {3}, false, true},          {2, {1, 3}, false, true},
    {2, {2, 3}, false, false}, {3, {-1, -1, 3}, true, true},   {1, {-1}, true, false},
    {-1, {0}, false, true},
};

START_TEST(an_item_has_as_many_classes_as_there_are_labels)
{
    static const char text[] = "{\"manifest\":1,\"labels\":[\"a\",\"b\",\"c\"],\"task\":{\"kind\":\"classify\"}}";
    struct fake_model *fake = fake_model_new("m");
    fake_model_input(fake, "x", PERCEPT_FLOAT, 2, DIMS(-1, 1));
    fake_model_output(fake, "scores", PERCEPT_FLOAT, outputs[_i].rank, outputs[_i].dims);
    fake->model.description.batch_free = outputs[_i].batching;
    bool fits = fit_model(read_good(text), &fake->model, &err);
    ck_assert_msg(fits == outputs[_i].fits, "%d: %s", _i, err.text);
    ck_assert(fits || strstr(err.text, " classes, but there are 3 labels"));
    fake_model_free(fake);
}
END_TEST

/* --- what is declared --------------------------------------------------------------------------------------------- */

#define X(type, dims) "input { name: 'x' data_type: TYPE_" type " dims: [ " dims " ] } "
#define Y(type, dims) "output { name: 'y' data_type: TYPE_" type " dims: [ " dims " ] } "

/* A network of x float [?,3,?] and y int64 [?,4], with a batch. */
static const struct {
    const char *config, *manifest; /* NULL: none */
    const char *says;              /* NULL: it fits */
    int64_t dims[3];               /* of x, as clients see it */
} declared[] = {
    {"", NULL, NULL, {-1, 3, -1}},
    {"max_batch_size: 8 " X("FP32", "3, -1"), NULL, NULL, {-1, 3, -1}},
    {"max_batch_size: 8 " X("FP32", "3, 5") Y("INT64", "4"), NULL, NULL, {-1, 3, 5}},
    {X("FP32", "2, 3, 5") Y("INT64", "-1, 4"), NULL, NULL, {2, 3, 5}},
    {"input { name: 'x' }", NULL, NULL, {-1, 3, -1}},
    {Y("INT64", "-1, 4"), NULL, NULL, {-1, 3, -1}},
    {X("INT32", "-1, 3, -1"), NULL, "input 'x': data_type is int32, but the model's is float32", {0}},
    {"max_batch_size: 1 " Y("FP32", "4"), NULL, "output 'y': data_type is float32, but the model's is int64", {0}},
    {"max_batch_size: 8 " X("FP32", "2, 5"),
     NULL,
     "input 'x': the model expects 3 dimensions (shape [-1,3,-1]), declared are 3 (shape [-1,2,5], the first for the "
     "batch "
     "because max_batch_size is above 0)",
     {0}},
    {"max_batch_size: 8 " X("FP32", "2, 3, 5"), NULL, "declared are 4 (shape [-1,2,3,5]", {0}},
    {X("FP32", "3, 5"), NULL, "declared are 2 (shape [3,5])", {0}},
    {X("FP32", "-1, -1, 5"), NULL, "declared are 3 (shape [-1,-1,5])", {0}},
    {"model_warmup { inputs { key: 'x' value { data_type: TYPE_FP32 dims: [ 3, 2 ] } } }", NULL, NULL, {-1, 3, -1}},
    {"model_warmup { inputs { key: 'z' value { dims: 1 } } }", NULL, "model_warmup: the model has no input 'z'", {0}},
    {"model_warmup { inputs { key: 'x' value { data_type: TYPE_INT8 } } }",
     NULL,
     "model_warmup: input 'x': data_type is int8, but the model's is float32",
     {0}},
    {"output { name: 'z' }", NULL, "the model has no output 'z'; it has y", {0}},
    {"input { name: 'z' }", NULL, "the model has no input 'z'; it has x", {0}},
    {"max_batch_size: 8 " X("FP32", "3, 5"),
     "{\"manifest\":1,\"inputs\":{\"x\":{\"kind\":\"tensor\"}}}",
     NULL,
     {-1, 3, 5}},
    {"max_batch_size: 8 " X("FP32", "3, 5"),
     "{\"manifest\":1,\"inputs\":{\"z\":{\"kind\":\"tensor\"}}}",
     "manifest.json: the model has no input 'z'",
     {0}},
    {"max_batch_size: 8 " X("FP32", "3, 12"),
     "{\"manifest\":1,\"inputs\":{\"x\":{\"kind\":\"image\",\"size\":[4,3],\"layout\":\"flat\"}}}",
     "manifest.json: input 'x' has the dimensions [?,3,12]; they do not fit a picture",
     {0}},
};

static struct fake_model *declared_model(void)
{
    struct fake_model *fake = fake_model_new("m");
    fake_model_input(fake, "x", PERCEPT_FLOAT, 3, DIMS(-1, 3, -1));
    fake_model_output(fake, "y", PERCEPT_INT64, 2, DIMS(-1, 4));
    fake->model.description.batch_free = true;
    return fake;
}

static const struct manifest *read_config(const char *config, const char *manifest)
{
    folder_text("config.pbtxt", config);
    if (manifest)
        folder_text("manifest.json", manifest);
    const struct manifest *read = triton_config_read(folder_at("config.pbtxt"), folder_root, &arena, &err);
    ck_assert_msg(read != NULL, "%s", err.text);
    return read;
}

START_TEST(what_is_declared_is_so)
{
    struct fake_model *fake = declared_model();
    const struct percept_io *in = NULL, *out = NULL;
    const struct manifest *manifest = read_config(declared[_i].config, declared[_i].manifest);
    const bool fits = fit_model(manifest, &fake->model, &err);
    ck_assert_msg(fits == !declared[_i].says, "%s: %s", declared[_i].config, err.text);
    ck_assert_msg(fits || strstr(err.text, declared[_i].says), "%s", err.text);
    if (fits) {
        ck_assert(fit_declare(manifest, &fake->model, &arena, &in, &out, &err));
        ck_assert_mem_eq(in[0].dims, declared[_i].dims, sizeof declared[_i].dims);
        ck_assert_str_eq(in[0].name, "x");
        ck_assert_int_eq(in[0].batch_axis, manifest->max_batch_size == 0 ? -1 : 0);
        ck_assert_int_eq(out[0].dims[1], 4);
    }
    fake_model_free(fake);
}
END_TEST

START_TEST(every_input_is_declared_or_none)
{
    struct fake_model *fake = declared_model();
    fake_model_input(fake, "w", PERCEPT_FLOAT, 1, DIMS(2));
    ck_assert(!fit_model(read_config(X("FP32", "-1, 3, 4"), NULL), &fake->model, &err));
    ck_assert_msg(strstr(err.text, "config.pbtxt: the model has 2 inputs, 1 are declared: 'w' is missing"), "%s",
                  err.text);
    fake_model_free(fake);
}
END_TEST

START_TEST(a_scalar_or_an_unknown_rank_is_what_is_declared)
{
    for (int rank = -1; rank <= 0; rank++) {
        struct fake_model *fake = fake_model_new("m");
        const struct percept_io *in = NULL, *out = NULL;
        fake_model_input(fake, "x", PERCEPT_FLOAT, rank, DIMS(0));
        const struct manifest *manifest = read_config("max_batch_size: 2 " X("FP32", "7"), NULL);
        ck_assert_msg(fit_model(manifest, &fake->model, &err), "%s", err.text);
        ck_assert(fit_declare(manifest, &fake->model, &arena, &in, &out, &err));
        ck_assert_int_eq(in[0].rank, 2);
        ck_assert_int_eq(in[0].dims[1], 7);
        fake_model_free(fake);
    }
}
END_TEST

START_TEST(labels_of_an_output_are_clients_to_see)
{
    struct fake_model *fake = declared_model();
    const struct percept_io *in = NULL, *out = NULL;
    folder_text("labels.txt", "a\nb\n");
    const struct manifest *manifest = read_config("output { name: 'y' label_filename: 'labels.txt' }", NULL);
    ck_assert(fit_model(manifest, &fake->model, &err));
    ck_assert(fit_declare(manifest, &fake->model, &arena, &in, &out, &err));
    ck_assert_int_eq(out[0].n_labels, 2);
    ck_assert_str_eq(out[0].labels[1], "b");
    fake_model_free(fake);
}
END_TEST

START_TEST(without_a_declaration_there_is_no_list)
{
    struct fake_model *fake = declared_model();
    const struct percept_io *in = NULL, *out = NULL;
    ck_assert(fit_declare(read_good("{\"manifest\":1}"), &fake->model, &arena, &in, &out, &err));
    ck_assert_ptr_null(in);
    ck_assert_ptr_null(out);
    fake_model_free(fake);
}
END_TEST

Suite *serve_fit_suite(void)
{
    Suite *suite = suite_create("serve/fit");
    TCase *tests = tcase_create("fit");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, the_shipped_manifests_fit_their_models);
    tcase_add_loop_test(tests, what_does_not_fit_the_model_is_found_out, 0, (int)(sizeof unfit / sizeof *unfit));
    tcase_add_loop_test(tests, inputs_that_cannot_take_one_item_are_refused, 0, sizeof shapes / sizeof *shapes);
    tcase_add_test(tests, the_owners_word_is_for_a_model_with_a_batch);
    tcase_add_test(tests, a_task_names_its_output_where_there_are_several);
    tcase_add_loop_test(tests, an_item_has_as_many_classes_as_there_are_labels, 0, sizeof outputs / sizeof *outputs);
    tcase_add_loop_test(tests, what_is_declared_is_so, 0, sizeof declared / sizeof *declared);
    tcase_add_test(tests, every_input_is_declared_or_none);
    tcase_add_test(tests, a_scalar_or_an_unknown_rank_is_what_is_declared);
    tcase_add_test(tests, labels_of_an_output_are_clients_to_see);
    tcase_add_test(tests, without_a_declaration_there_is_no_list);
    suite_add_tcase(suite, tests);
    return suite;
}
