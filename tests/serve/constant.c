/* constant.c - inputs that nobody sends: values and sizes in their place, and what does not fit. */
#include "serve/constant.h"

#include "base/err.h"
#include "coded.h"
#include "fake_model.h"
#include "folder.h"

#include <check.h>

Suite *serve_constant_suite(void);

#define DIMS(...) ((const int64_t[]){__VA_ARGS__})

static struct manifest_constant *constant;

/* A picture of 4x2, and an input beside it. */
static struct fake_model *model(enum percept_dtype dtype, int rank, const int64_t *dims)
{
    struct fake_model *fake = fake_model_new("m");
    fake_model_input(fake, "image", PERCEPT_FLOAT, 4, DIMS(-1, 1, 2, 4));
    struct manifest_image *image = &fake_model_describe(fake, MANIFEST_IMAGE)->image;
    image->width = 4;
    image->height = 2;
    fake_model_input(fake, "more", dtype, rank, dims);
    constant = &fake_model_describe(fake, MANIFEST_CONSTANT)->constant;
    fake_model_output(fake, "y", PERCEPT_FLOAT, 2, DIMS(-1, 2));
    fake_model_batching(fake, 4);
    return fake;
}

static struct coded png;

/* Pictures of 8x2, then of 2x2, as they come behind one another in a job. */
static struct percept_string drawn(uint32_t width)
{
    static const uint8_t pixels[16];
    struct spng_ihdr header = {.width = width, .height = 2, .bit_depth = 8, .color_type = SPNG_COLOR_TYPE_GRAYSCALE};
    coded_png(&png, pixels, 2 * width, &header, NULL, NULL, 6);
    return (struct percept_string){.at = (const char *)png.at, .n_bytes = png.n};
}

static const struct {
    enum manifest_fact fact;
    double first, second;
} facts[] = {{FACT_SIZE_WH, 8, 2},  {FACT_SIZE_HW, 2, 8},    {FACT_INPUT_WH, 4, 2},
             {FACT_INPUT_HW, 2, 4}, {FACT_SCALE_WH, 0.5, 1}, {FACT_SCALE_HW, 1, 0.5}};

START_TEST(a_pictures_size_is_told_to_the_network)
{
    struct fake_model *fake = model(PERCEPT_FLOAT, 2, DIMS(-1, 2));
    struct percept_string picture = drawn(8);
    constant->fact = facts[_i].fact;
    struct job *job = fake_model_post_bytes(fake, picture.at, picture.n_bytes);
    ck_assert_msg(codec_image_decode(job, &fake->err) && constant_fill(job, &fake->err), "%s", fake->err.text);
    ck_assert_int_eq(job->inputs[1].dims[0], 1);
    ck_assert_int_eq(job->inputs[1].dims[1], 2);
    const float *data = job->inputs[1].data;
    ck_assert_double_eq((double)data[0], facts[_i].first);
    ck_assert_double_eq((double)data[1], facts[_i].second);
    fake_model_free(fake);
}
END_TEST

START_TEST(each_picture_of_a_form_has_its_own_size)
{
    struct fake_model *fake = model(PERCEPT_INT64, 2, DIMS(-1, 2));
    static struct coded form;
    form.n = 0;
    constant->fact = FACT_SIZE_WH;
    for (int i = 0; i < 2; i++) {
        struct percept_string picture = drawn(i ? 2 : 8);
        static const char head[] = "--x\r\nContent-Disposition: form-data; name=image\r\n\r\n";
        coded_append(&form, head, sizeof head - 1);
        coded_append(&form, picture.at, picture.n_bytes);
        coded_append(&form, "\r\n", 2);
    }
    coded_append(&form, "--x--", 5);
    struct job *job = fake_model_post_bytes(fake, form.at, form.n);
    job->content_type = bytes_of_text("multipart/form-data; boundary=x");
    ck_assert_msg(codec_multipart_decode(job, &fake->err) && constant_fill(job, &fake->err), "%s", fake->err.text);
    ck_assert_int_eq(job->n_items, 2);
    ck_assert_mem_eq(job->inputs[1].data, DIMS(8, 2, 2, 2), 4 * sizeof(int64_t));
    fake_model_free(fake);
}
END_TEST

/* A text of bytes of up to four tokens, and an input beside it. */
static struct fake_model *reader(int64_t width, bool turned, enum percept_dtype dtype, int rank)
{
    struct fake_model *fake = fake_model_new("m");
    const int64_t dims[] = {turned ? width : -1, turned ? -1 : width};
    fake_model_input(fake, "input_ids", PERCEPT_INT64, rank, rank == 1 ? &width : dims);
    fake_model_describe(fake, MANIFEST_TEXT)->text = (struct manifest_text){
        .tokenizer = TOKENIZER_BYTES, .max_length = 4, .unknown = -1, .pad = 7, .start = -1, .end = -1};
    fake_model_input(fake, "attention_mask", dtype, rank, rank == 1 ? &width : dims);
    constant = &fake_model_describe(fake, MANIFEST_CONSTANT)->constant;
    fake_model_output(fake, "y", PERCEPT_FLOAT, 2, DIMS(-1, 2));
    if (rank == 2)
        fake_model_batching(fake, 4);
    if (turned)
        fake->inputs[0].batch_axis = fake->inputs[1].batch_axis = 1;
    return fake;
}

static const struct {
    enum manifest_tokens tokens;
    int64_t width;
    int64_t multiple_of;
    int64_t expected[6];
    int n;
} rows[] = {
    {TOKENS_MASK, 4, 0, {1, 1, 1, 0}, 4},      {TOKENS_TYPES, 4, 0, {0, 0, 0, 0}, 4},
    {TOKENS_POSITIONS, 4, 0, {0, 1, 2, 3}, 4}, {TOKENS_MASK, -1, 0, {1, 1, 1}, 3},
    {TOKENS_MASK, -1, 5, {1, 1, 1, 0, 0}, 5},  {TOKENS_MASK, 2, 0, {1, 1}, 2},
};

START_TEST(what_goes_with_tokens_is_as_long_as_they_are)
{
    for (int rank = 1; rank <= 2; rank++) {
        struct fake_model *fake = reader(rows[_i].width, false, PERCEPT_INT64, rank);
        fake->described[0].text.multiple_of = rows[_i].multiple_of;
        constant->tokens = rows[_i].tokens;
        struct job *job = fake_model_post_bytes(fake, "abc", 3);
        ck_assert_msg(codec_text_decode(job, &fake->err) && constant_fill(job, &fake->err), "%s", fake->err.text);
        ck_assert_int_eq(job->inputs[1].rank, rank);
        ck_assert_int_eq(job->inputs[1].dims[rank - 1], rows[_i].n);
        ck_assert_mem_eq(job->inputs[1].data, rows[_i].expected, (size_t)rows[_i].n * sizeof(int64_t));
        fake_model_free(fake);
    }
}
END_TEST

/* Two texts of other lengths, in rows and in columns; ids without a text; nothing at all. */
START_TEST(tokens_of_several_texts_are_told_apart)
{
    static const char texts[] =
        "{\"inputs\":[{\"name\":\"input_ids\",\"shape\":[2],\"datatype\":\"BYTES\",\"data\":[\"ab\",\"c\"]}]}";
    static const char ids[] =
        "{\"inputs\":[{\"name\":\"input_ids\",\"shape\":[2,3],\"datatype\":\"INT64\",\"data\":[1,2,7,4,7,7]}]}";
    static const float in_rows[] = {1, 1, 0, 1, 0, 0}, in_columns[] = {1, 1, 1, 0, 0, 0}, all[] = {1, 1, 1, 1, 1, 1};
    for (int i = 0; i < 3; i++) {
        struct fake_model *fake = reader(3, i == 1, PERCEPT_FLOAT, 2);
        constant->tokens = TOKENS_MASK;
        struct job *job = fake_model_post(fake, i == 2 ? ids : texts);
        ck_assert_msg(codec_json_decode(job, &fake->err) && constant_fill(job, &fake->err), "%s", fake->err.text);
        ck_assert_mem_eq(job->inputs[1].data, i == 0 ? in_rows : i == 1 ? in_columns : all, sizeof all);
        ck_assert_int_eq(job->n_items, 2);
        fake_model_free(fake);
    }
}
END_TEST

#define PIXELS                                                                                                         \
    "{\"name\":\"image\",\"shape\":[2,1,2,4],\"datatype\":\"FP32\",\"data\":[1,2,3,4,5,6,7,8,1,2,3,4,5,6,7,8]}"

START_TEST(values_are_repeated_for_each_item)
{
    struct fake_model *fake = model(PERCEPT_INT32, 3, DIMS(-1, 2, -1));
    constant->values = (const double[]){1, -2, 3, 4};
    constant->n_values = 4;
    struct job *job = fake_model_post(fake, "{\"inputs\":[" PIXELS "]}");
    ck_assert_msg(codec_json_decode(job, &fake->err) && constant_fill(job, &fake->err), "%s", fake->err.text);
    ck_assert_int_eq(job->n_items, 2);
    ck_assert_int_eq(job->inputs[1].dims[2], 2);
    ck_assert_mem_eq(job->inputs[1].data, ((int32_t[]){1, -2, 3, 4, 1, -2, 3, 4}), 8 * sizeof(int32_t));
    /* V1, where a row has one input less */
    job = fake_model_post(fake, "{\"instances\":[[[[1,2,3,4],[5,6,7,8]]]]}");
    ck_assert_msg(codec_v1_decode(job, &fake->err) && constant_fill(job, &fake->err), "%s", fake->err.text);
    ck_assert_int_eq(job->inputs[1].dims[0], 1);
    /* and a client that knows better */
    job = fake_model_post(fake, "{\"inputs\":[" PIXELS ",{\"name\":\"more\",\"shape\":[2,2,1],\"datatype\":\"INT32\","
                                "\"data\":[9,8,7,6]}]}");
    ck_assert_msg(codec_json_decode(job, &fake->err) && constant_fill(job, &fake->err), "%s", fake->err.text);
    ck_assert_mem_eq(job->inputs[1].data, ((int32_t[]){9, 8, 7, 6}), 4 * sizeof(int32_t));
    /* but not without the picture */
    job = fake_model_post(
        fake, "{\"inputs\":[{\"name\":\"more\",\"shape\":[2,2,1],\"datatype\":\"INT32\",\"data\":[9,8,7,6]}]}");
    ck_assert(!codec_json_decode(job, &fake->err));
    ck_assert_msg(strstr(fake->err.text, "expected 1 inputs but got 1 inputs for model 'm'. Got input(s) ['more'], but "
                                         "missing required input(s) ['image']"),
                  "%s", fake->err.text);
    fake_model_free(fake);
}
END_TEST

START_TEST(without_a_picture_there_is_no_size)
{
    struct fake_model *fake = model(PERCEPT_FLOAT, 2, DIMS(-1, 2));
    constant->fact = FACT_SIZE_WH;
    struct job *job = fake_model_post(fake, "{\"inputs\":[" PIXELS "]}");
    ck_assert(codec_json_decode(job, &fake->err) && !constant_fill(job, &fake->err));
    ck_assert_str_eq(fake->err.text,
                     "input 'more' is what the posted picture's size is, and none was posted; send it as a "
                     "tensor");
    fake_model_free(fake);
}
END_TEST

START_TEST(a_scalar_is_filled_too)
{
    struct fake_model *fake = model(PERCEPT_INT64, 0, NULL);
    fake->served.batching = false;
    constant->values = (const double[]){16000};
    constant->n_values = 1;
    struct percept_string picture = drawn(8);
    struct job *job = fake_model_post_bytes(fake, picture.at, picture.n_bytes);
    ck_assert_msg(codec_image_decode(job, &fake->err) && constant_fill(job, &fake->err), "%s", fake->err.text);
    ck_assert_int_eq(*(const int64_t *)job->inputs[1].data, 16000);
    fake_model_free(fake);
}
END_TEST

/* What the manifest says of an input, and why it does not fit; NULL: it does. */
static const struct {
    const char *fields;
    enum percept_dtype dtype;
    int rank;
    int64_t dims[4];
    bool batching;
    const char *says;
} fits[] = {
    {"\"values\":[1,2]", PERCEPT_FLOAT, 2, {-1, 2}, true, NULL},
    {"\"values\":1", PERCEPT_FLOAT, 2, {-1, 300}, true, NULL},
    {"\"values\":[1,2,3]", PERCEPT_FLOAT, 1, {-1}, false, NULL},
    {"\"values\":[1,2,3,4]", PERCEPT_INT64, 3, {-1, 2, -1}, true, NULL},
    {"\"values\":7", PERCEPT_INT32, 0, {0}, false, NULL},
    {"\"values\":[1,0]", PERCEPT_BOOL, -1, {0}, true, NULL},
    {"\"picture\":\"size_wh\"", PERCEPT_INT64, 2, {-1, 2}, true, NULL},
    {"\"picture\":\"scale_hw\"", PERCEPT_FLOAT, 2, {1, 2}, false, NULL},
    {"\"values\":[1,2,3]", PERCEPT_FLOAT, 2, {-1, 2}, true, "a constant of 3 values"},
    {"\"values\":[1,2,3]", PERCEPT_FLOAT, 3, {-1, 2, -1}, true, "a constant of 3 values"},
    {"\"values\":[1,2]", PERCEPT_FLOAT, 3, {-1, -1, -1}, true, "a constant of 2 values"},
    {"\"values\":1", PERCEPT_FLOAT, 2, {-1, 65537}, true, "a constant of 1 values"},
    {"\"values\":1", PERCEPT_FLOAT, 4, {INT64_MAX, INT64_MAX, 2, 2}, false, "a constant of 1 values"},
    {"\"values\":1", PERCEPT_FLOAT, 0, {0}, true, "a constant of 1 values"},
    {"\"values\":[1.5]", PERCEPT_INT64, 1, {1}, false, "inputs.x.values[0]: 1.5 is no int64"},
    {"\"values\":[1,256]", PERCEPT_UINT8, 1, {2}, false, "inputs.x.values[1]: 256 is no uint8"},
    {"\"values\":2", PERCEPT_BOOL, 1, {1}, false, "2 is no bool"},
    {"\"values\":1e30", PERCEPT_INT32, 1, {1}, false, "is no int32"},
    {"\"values\":1", PERCEPT_STRING, 1, {1}, false, "described as a constant but takes string"},
    {"\"values\":1", PERCEPT_FLOAT16, 1, {1}, false, "described as a constant but takes float16"},
    {"\"picture\":\"size_wh\"", PERCEPT_FLOAT, 2, {-1, 3}, true, "a constant of 2 values"},
    {"\"picture\":\"scale_wh\"", PERCEPT_INT64, 2, {-1, 2}, true, "inputs.x.picture: input 'x' takes int64"},
    {"\"picture\":\"size_wh\"", PERCEPT_UINT8, 2, {-1, 2}, true, "inputs.x.picture: input 'x' takes uint8"},
};

START_TEST(what_an_input_cannot_hold_is_refused_at_load)
{
    struct arena arena = {0};
    struct percept_err err;
    folder_begin("constant");
    const char *text =
        arena_printf(&arena, "{\"manifest\":1,\"inputs\":{\"x\":{\"kind\":\"constant\",%s}}}", fits[_i].fields);
    const struct manifest *manifest = fake_model_manifest(text, &arena);
    struct percept_io io = {.name = "x", .dtype = fits[_i].dtype, .rank = fits[_i].rank};
    for (int i = 0; i < 4; i++)
        io.dims[i] = fits[_i].dims[i];
    const bool fit = constant_fits(&manifest->inputs[0], &io, fits[_i].batching, &err);
    ck_assert_msg(fit == !fits[_i].says, "%s", fit ? "it fits" : err.text);
    ck_assert_msg(fit || strstr(err.text, fits[_i].says), "%s", err.text);
    folder_end();
    arena_free(&arena);
}
END_TEST

Suite *serve_constant_suite(void)
{
    Suite *suite = suite_create("serve_constant");
    TCase *tests = tcase_create("constant");
    tcase_add_loop_test(tests, what_goes_with_tokens_is_as_long_as_they_are, 0, (int)(sizeof rows / sizeof *rows));
    tcase_add_test(tests, tokens_of_several_texts_are_told_apart);
    tcase_add_loop_test(tests, a_pictures_size_is_told_to_the_network, 0, (int)(sizeof facts / sizeof *facts));
    tcase_add_test(tests, each_picture_of_a_form_has_its_own_size);
    tcase_add_test(tests, values_are_repeated_for_each_item);
    tcase_add_test(tests, without_a_picture_there_is_no_size);
    tcase_add_test(tests, a_scalar_is_filled_too);
    tcase_add_loop_test(tests, what_an_input_cannot_hold_is_refused_at_load, 0, (int)(sizeof fits / sizeof *fits));
    suite_add_tcase(suite, tests);
    return suite;
}
