/* codec.c - which codec reads what, by media type and model. */
#include "base/err.h"
#include "fake_model.h"

#include <check.h>
#include <string.h>
#include <stdio.h>

Suite *serve_codec_suite(void);

#define DIMS(...) ((const int64_t[]){__VA_ARGS__})

static struct fake_model *model(enum manifest_kind kind)
{
    struct fake_model *fake = fake_model_new("m");
    fake_model_input(fake, "x", PERCEPT_FLOAT, 2, DIMS(-1, 1));
    fake_model_describe(fake, kind);
    return fake;
}

static const char *found(struct fake_model *fake, const char *type)
{
    const struct codec *codec = codec_find(&fake->served, bytes_of_text(type), &fake->err);
    return codec ? codec->media_type : "none";
}

START_TEST(everything_that_is_not_media_is_json)
{
    static const char *const types[] = {"",
                                        "application/json",
                                        "application/octet-stream",
                                        "application/x-www-form-urlencoded",
                                        "x",
                                        ";",
                                        "APPLICATION/JSON; charset=utf-8"};
    struct fake_model *fake = model(MANIFEST_IMAGE);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        ck_assert_str_eq(found(fake, types[i]), "application/json");
    ck_assert_str_eq(codec_find(&fake->served, (struct bytes){0}, &fake->err)->media_type, "application/json");
    fake_model_free(fake);
}
END_TEST

START_TEST(media_go_to_models_that_take_them)
{
    struct fake_model *fake = model(MANIFEST_IMAGE);
    ck_assert_str_eq(found(fake, "image/png"), "image/png");
    ck_assert_str_eq(found(fake, " Image/JPEG ; q=1"), "image/jpeg");
    ck_assert_str_eq(found(fake, "image/gif"), "none");
    ck_assert_int_eq(fake->err.code, ERR_MEDIA_TYPE);
    ck_assert_str_eq(
        fake->err.text,
        "model 'm' does not take 'image/gif'; it takes application/json, "
        "application/octet-stream, image/png, image/jpeg, image/webp, multipart/form-data, and videos as "
        "video/x-motion-jpeg or multipart/x-mixed-replace (ffmpeg -i IN -f mjpeg OUT makes one of anything)");
    ck_assert_str_eq(found(fake, "multipart/form-data; boundary=x"), "multipart/form-data");
    ck_assert_str_eq(found(fake, "text/plain"), "none");
    ck_assert_str_eq(found(fake, "multipart/mixed"), "application/json");
    fake_model_input(fake, "second", PERCEPT_FLOAT, 1, DIMS(1));
    ck_assert_str_eq(found(fake, "image/png"), "none");
    fake_model_free(fake);
    fake = model(MANIFEST_TENSOR); /* some clients say so of JSON */
    ck_assert_str_eq(found(fake, "multipart/form-data"), "application/json");
    fake_model_free(fake);
    fake = model(MANIFEST_TEXT);
    ck_assert_str_eq(found(fake, "text/plain"), "text/plain");
    ck_assert_str_eq(found(fake, "text/plain;charset=UTF-8"), "text/plain");
    ck_assert_str_eq(found(fake, "text/plain; Charset=\"utf-8\""), "text/plain");
    ck_assert_str_eq(found(fake, "text/plain; charset=iso-8859-1"), "none");
    ck_assert_str_eq(found(fake, "audio/wav"), "none");
    fake_model_free(fake);
}
END_TEST

START_TEST(datatypes_go_both_ways)
{
    for (int dtype = 0; dtype <= PERCEPT_BFLOAT16; dtype++) {
        const char *name = codec_datatype((enum percept_dtype)dtype);
        if (name)
            ck_assert_int_eq((int)codec_dtype(bytes_of_text(name)), dtype);
    }
    ck_assert_int_eq(codec_dtype(bytes_of_text("fp32")), PERCEPT_UNDEFINED);
    ck_assert_ptr_null(codec_datatype(PERCEPT_UNDEFINED));
}
END_TEST

START_TEST(counts_do_not_overflow)
{
    int64_t n;
    ck_assert(codec_count(0, NULL, &n) && n == 1);
    ck_assert(codec_count(2, DIMS(3, 4), &n) && n == 12);
    ck_assert(codec_count(3, DIMS(INT64_MAX, INT64_MAX, 0), &n) && n == 0);
    ck_assert(!codec_count(2, DIMS(INT64_MAX, 2), &n));
    ck_assert(!codec_count(2, DIMS(0, -1), &n));
}
END_TEST

START_TEST(a_model_that_does_not_batch_judges_shapes_whole)
{
    struct fake_model *fake = model(MANIFEST_TENSOR);
    struct job *job = fake_model_post(fake, "");
    ck_assert(codec_begin(job, true, &fake->err) && job->n_outputs == 0);
    struct percept_tensor tensor = {.dtype = PERCEPT_FLOAT, .rank = 2, .dims = {500, 1}};
    ck_assert(codec_accept(job, 0, &tensor, &fake->err));
    ck_assert_int_eq(job->n_items, 1);
    tensor.dims[1] = 2;
    ck_assert(!codec_accept(job, 0, &tensor, &fake->err));
    ck_assert_str_eq(fake->err.text, "unexpected shape for input 'x' for model 'm'. Expected [-1,1], got [500,2].");
    for (fake->inputs[0].rank = -1; fake->inputs[0].rank < 1; fake->inputs[0].rank++)
        ck_assert(codec_accept(job, 0, &tensor, &fake->err)); /* not said; a scalar that is declared */
    fake_model_free(fake);
}
END_TEST

/* [length, batch] and [batch, 4]: items are counted where each input has them. */
START_TEST(items_are_counted_along_each_inputs_own_axis)
{
    struct fake_model *fake = fake_model_new("m");
    fake_model_input(fake, "x", PERCEPT_FLOAT, 2, DIMS(-1, -1));
    fake_model_input(fake, "y", PERCEPT_FLOAT, 2, DIMS(-1, 4));
    fake_model_batching(fake, 8);
    fake->inputs[0].batch_axis = 1;
    struct job *job = fake_model_post(fake, "");
    struct percept_tensor x = {.dtype = PERCEPT_FLOAT, .rank = 2, .dims = {500, 3}};
    struct percept_tensor y = {.dtype = PERCEPT_FLOAT, .rank = 2, .dims = {3, 4}};
    ck_assert(codec_begin(job, true, &fake->err));
    ck_assert_msg(codec_accept(job, 0, &x, &fake->err) && codec_accept(job, 1, &y, &fake->err), "%s", fake->err.text);
    ck_assert_int_eq(job->n_items, 3);
    y.dims[0] = 2;
    ck_assert(!codec_accept(job, 1, &y, &fake->err));
    ck_assert_str_eq(fake->err.text, "input 'y' batch size does not match other inputs for 'm'");
    x.dims[1] = 9;
    ck_assert(!codec_accept(job, 0, &x, &fake->err));
    ck_assert_str_eq(fake->err.text, "inference request batch-size must be <= 8 for 'm'");
    x.rank = 1;
    ck_assert(!codec_accept(job, 0, &x, &fake->err));
    ck_assert_ptr_nonnull(strstr(fake->err.text, "got [500]. NOTE: axis 1 of this input is the batch"));
    fake_model_free(fake);
}
END_TEST

START_TEST(other_names_of_a_media_type_are_the_type)
{
    static const struct {
        const char *sent, *row;
    } cases[] = {{"image/jpg", "image/jpeg"},
                 {"IMAGE/PJPEG", "image/jpeg"},
                 {"image/x-png", "image/png"},
                 {" image/JPG ; q=0.9", "image/jpeg"},
                 {"image/Png;name=\"a.png\"", "image/png"},
                 {"image/jpeg; charset=binary", "image/jpeg"},
                 {"text/json; charset=utf-8", "application/json"},
                 {"image/gif", "none"},
                 {"image/jpgx", "none"}};
    struct fake_model *fake = model(MANIFEST_IMAGE);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_str_eq(found(fake, cases[i].sent), cases[i].row);
    fake_model_free(fake);
}
END_TEST

static float state_data[4] = {1, 2, 3, 4};

/* A state of [n,2], which the body does not feed, and x. */
static const struct percept_tensor *const *state_of(int64_t n)
{
    static struct percept_tensor state;
    static const struct percept_tensor *sources[2];
    state = (struct percept_tensor){.dtype = PERCEPT_FLOAT, .rank = 2, .dims = {n, 2}, .data = state_data};
    sources[0] = &state;
    return sources;
}

static struct fake_model *stateful(enum percept_dtype dtype)
{
    struct fake_model *fake = fake_model_new("m");
    fake_model_input(fake, "h", PERCEPT_FLOAT, 2, DIMS(-1, 2));
    fake_model_input(fake, "x", dtype, 2, DIMS(-1, 3));
    fake_model_output(fake, "y", PERCEPT_FLOAT, 2, DIMS(-1, 2));
    fake_model_batching(fake, 8);
    return fake;
}

static void expect_state_and_x(const struct job *job)
{
    ck_assert_ptr_eq(job->inputs[0].data, state_data); /* not copied */
    ck_assert_int_eq(job->inputs[0].dims[0], 1);
    ck_assert(((const float *)job->inputs[1].data)[2] == 7);
    ck_assert_int_eq(job->n_items, 1);
}

START_TEST(a_body_feeds_the_inputs_that_are_not_there_already)
{
    static const float x[3] = {5, 6, 7};
    struct fake_model *fake = stateful(PERCEPT_FLOAT);
    struct job *job =
        fake_model_post(fake, "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[5,6,7]}]}");
    job->sources = state_of(1);
    ck_assert_int_eq(codec_body_input(job), 1);
    ck_assert_msg(codec_json_decode(job, &fake->err) && codec_take_sources(job, &fake->err), "%s", fake->err.text);
    expect_state_and_x(job);
    job = fake_model_post_bytes(fake, x, sizeof x);
    job->json_bytes = 0;
    job->sources = state_of(1);
    ck_assert_msg(codec_json_decode(job, &fake->err) && codec_take_sources(job, &fake->err), "%s", fake->err.text);
    expect_state_and_x(job);
    fake_model_free(fake);
}
END_TEST

START_TEST(inputs_that_are_there_are_judged_and_not_the_clients)
{
    struct fake_model *fake = stateful(PERCEPT_FLOAT);
    static const char *const two = "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,3],"
                                   "\"data\":[5,6,7]},{\"name\":\"h\",\"datatype\":\"FP32\",\"shape\":[1,2],"
                                   "\"data\":[0,0]}]}";
    struct job *job = fake_model_post(fake, two);
    ck_assert_int_eq(codec_body_input(job), -1);
    job->sources = state_of(1);
    ck_assert(!codec_json_decode(job, &fake->err));
    ck_assert_ptr_nonnull(strstr(fake->err.text, "unexpected inference input 'h'"));
    job = fake_model_post(fake, "{\"inputs\":[]}");
    job->sources = state_of(1);
    ck_assert(!codec_json_decode(job, &fake->err));
    ck_assert_ptr_nonnull(strstr(fake->err.text, "expected 1 inputs but got 0 inputs"));
    ck_assert_ptr_nonnull(strstr(fake->err.text, "missing required input(s) ['x']"));
    job =
        fake_model_post(fake, "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[5,6,7]}]}");
    job->sources = state_of(2);
    ck_assert(codec_json_decode(job, &fake->err) && !codec_take_sources(job, &fake->err));
    ck_assert_str_eq(fake->err.text, "input 'h' batch size does not match other inputs for 'm'");
    fake_model_free(fake);
}
END_TEST

START_TEST(a_text_feeds_the_only_input_that_is_left)
{
    struct fake_model *fake = stateful(PERCEPT_INT64);
    struct manifest_input *input = fake_model_describe(fake, MANIFEST_TEXT);
    input->text.tokenizer = TOKENIZER_BYTES;
    input->text.max_length = 3;
    struct job *job = fake_model_post(fake, "abc");
    job->sources = state_of(1);
    ck_assert_msg(codec_text_decode(job, &fake->err) && codec_take_sources(job, &fake->err), "%s", fake->err.text);
    ck_assert_int_eq(((const int64_t *)job->inputs[1].data)[2], 'c');
    ck_assert_ptr_eq(job->inputs[0].data, state_data);
    fake_model_free(fake);
}
END_TEST

Suite *serve_codec_suite(void)
{
    Suite *suite = suite_create("serve_codec");
    TCase *tests = tcase_create("codec");
    tcase_add_test(tests, everything_that_is_not_media_is_json);
    tcase_add_test(tests, media_go_to_models_that_take_them);
    tcase_add_test(tests, datatypes_go_both_ways);
    tcase_add_test(tests, counts_do_not_overflow);
    tcase_add_test(tests, a_model_that_does_not_batch_judges_shapes_whole);
    tcase_add_test(tests, items_are_counted_along_each_inputs_own_axis);
    tcase_add_test(tests, other_names_of_a_media_type_are_the_type);
    tcase_add_test(tests, a_body_feeds_the_inputs_that_are_not_there_already);
    tcase_add_test(tests, inputs_that_are_there_are_judged_and_not_the_clients);
    tcase_add_test(tests, a_text_feeds_the_only_input_that_is_left);
    suite_add_tcase(suite, tests);
    return suite;
}
