/* codec_v1.c - V1's bodies: rows and columns come to be the tensors that they mean, or are refused by a sentence. */
#include "base/err.h"
#include "fake_model.h"
#include "looks.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

Suite *serve_codec_v1_suite(void);

#define DIMS(...) ((const int64_t[]){__VA_ARGS__})

/* Model "m": x FP32 [-1,3], batches of up to 4. */
static struct fake_model *plain(void)
{
    struct fake_model *fake = fake_model_new("m");
    fake_model_input(fake, "x", PERCEPT_FLOAT, 2, DIMS(-1, 3));
    fake_model_output(fake, "y", PERCEPT_FLOAT, 2, DIMS(-1, 2));
    fake_model_batching(fake, 4);
    return fake;
}

/* Model "two": a INT32 [-1,2], b FP32 [-1]. */
static struct fake_model *two(void)
{
    struct fake_model *fake = fake_model_new("two");
    fake_model_input(fake, "a", PERCEPT_INT32, 2, DIMS(-1, 2));
    fake_model_input(fake, "b", PERCEPT_FLOAT, 1, DIMS(-1));
    fake_model_output(fake, "y", PERCEPT_FLOAT, 2, DIMS(-1, 2));
    fake_model_batching(fake, 4);
    return fake;
}

/* Model "s": t BYTES [-1,2]. */
static struct fake_model *texts(void)
{
    struct fake_model *fake = fake_model_new("s");
    fake_model_input(fake, "t", PERCEPT_STRING, 2, DIMS(-1, 2));
    fake_model_output(fake, "y", PERCEPT_STRING, 2, DIMS(-1, 2));
    fake_model_batching(fake, 4);
    return fake;
}

/* Without a batch: v FP64 of any shape. */
static struct fake_model *anything(void)
{
    struct fake_model *fake = fake_model_new("any");
    fake_model_input(fake, "v", PERCEPT_DOUBLE, -1, NULL);
    fake_model_output(fake, "y", PERCEPT_DOUBLE, -1, NULL);
    fake->served.max_batch_size = 1;
    return fake;
}

static void expect_read(struct fake_model *fake, const char *body)
{
    ck_assert_msg(codec_v1_decode(fake_model_post(fake, body), &fake->err), "%s: %s", body, fake->err.text);
}

static void expect_floats(const struct fake_model *fake, int input, int n, const float *values)
{
    const float *data = fake->job.inputs[input].data;
    for (int i = 0; i < n; i++)
        ck_assert_msg(data[i] == values[i] || (isnan(data[i]) && isnan(values[i])), "element %d is %g", i,
                      (double)data[i]);
}

static void expect_shape(const struct fake_model *fake, int input, int rank, const int64_t *dims)
{
    ck_assert_int_eq(fake->job.inputs[input].rank, rank);
    for (int i = 0; i < rank; i++)
        ck_assert_int_eq(fake->job.inputs[input].dims[i], dims[i]);
}

static const char *const same[] = {
    "{\"instances\":[[1,2.5,-3e2],[4,5,6]]}",
    " { \"signature_name\" : \"serving_default\" , \"instances\" : [ [ 1 , 2.5 , -300 ] , [4,5,6] ] } \n",
    "{\"instances\":[{\"x\":[1,2.5,-300]},{\"x\":[4,5,6]}],\"id\":[{\"y\":NaN}],\"signature_name\":\"\"}",
    "{\"inputs\":[[1,2.5,-300],[4,5,6]],\"instances\":null}",
    "{\"inputs\":{\"x\":[[1,2.5,-300],[4,5,6]]}}",
};

START_TEST(rows_and_columns_are_the_same_tensor)
{
    struct fake_model *fake = plain();
    expect_read(fake, same[_i]);
    expect_shape(fake, 0, 2, DIMS(2, 3));
    expect_floats(fake, 0, 6, (float[]){1, 2.5f, -300, 4, 5, 6});
    ck_assert_int_eq(fake->job.n_items, 2);
    ck_assert_int_eq(fake->job.n_rows, strstr(same[_i], "inputs") ? 0 : 2);
    ck_assert_int_eq(fake->job.n_outputs, 1);
    fake_model_free(fake);
}
END_TEST

START_TEST(several_inputs_come_by_name_and_in_any_order)
{
    struct fake_model *fake = two();
    expect_read(fake, "{\"instances\":[{\"b\":7.5,\"a\":[1,2]},{\"a\":[3,4],\"b\":-Infinity}]}");
    expect_shape(fake, 0, 2, DIMS(2, 2));
    expect_shape(fake, 1, 1, DIMS(2));
    const int32_t *a = fake->job.inputs[0].data;
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(a[i], i + 1);
    expect_floats(fake, 1, 2, (float[]){7.5f, (float)-INFINITY});
    ck_assert_int_eq(fake->job.n_rows, 2);
    expect_read(fake, "{\"inputs\":{\"b\":[NaN],\"a\":[[1,2]]}}");
    expect_shape(fake, 0, 2, DIMS(1, 2));
    expect_floats(fake, 1, 1, (float[]){(float)NAN});
    expect_read(fake, "{\"instances\":[{\"a\":[1,2],\"b\":8}]}"); /* one alone */
    expect_shape(fake, 1, 1, DIMS(1));
    expect_floats(fake, 1, 1, (float[]){8});
    fake_model_free(fake);
}
END_TEST

static void expect_texts(const struct fake_model *fake, int n, const char *const *wanted)
{
    const struct percept_string *strings = fake->job.inputs[0].data;
    for (int i = 0; i < n; i++)
        ck_assert(bytes_is(bytes_of(strings[i].at, strings[i].n_bytes), wanted[i]));
}

START_TEST(texts_are_strings_or_base64)
{
    struct fake_model *fake = texts();
    expect_read(fake, "{\"instances\":[[\"a]b\",{\"b64\":\"Zm9v\"}],[{ \"b64\" : \"\" },\"\\u00e9\"]]}");
    expect_shape(fake, 0, 2, DIMS(2, 2));
    expect_texts(fake, 4, (const char *const[]){"a]b", "foo", "", "\xc3\xa9"});
    expect_read(fake, "{\"instances\":[{\"t\":[{\"b64\":\"Zm9v\"},\"x\"]},{\"t\":[\"y\",\"z\"]}]}");
    expect_texts(fake, 4, (const char *const[]){"foo", "x", "y", "z"});
    fake_model_free(fake);
    fake = fake_model_new("one");
    fake_model_input(fake, "t", PERCEPT_STRING, 1, DIMS(-1));
    fake_model_output(fake, "y", PERCEPT_STRING, 1, DIMS(-1));
    fake_model_batching(fake, 4);
    expect_read(fake, "{\"instances\":[{\"b64\":\"Zm9v\"},\"bar\"]}"); /* no object of inputs */
    expect_shape(fake, 0, 1, DIMS(2));
    expect_texts(fake, 2, (const char *const[]){"foo", "bar"});
    fake_model_free(fake);
}
END_TEST

/* Read in pieces; padding in the middle is none. */
START_TEST(long_texts_in_base64_are_read_whole)
{
    enum { N = 200000 };
    static char body[N + 100];
    struct fake_model *fake = fake_model_new("one");
    fake_model_input(fake, "t", PERCEPT_STRING, 1, DIMS(-1));
    fake_model_output(fake, "y", PERCEPT_STRING, 1, DIMS(-1));
    size_t n = (size_t)sprintf(body, "{\"inputs\":[{\"b64\":\""), from = n;
    for (; n < from + N; n += 4)
        sprintf(body + n, "%s", n % 3 ? "YWJj" : "ZGVm");
    sprintf(body + n, "Zg==\"}]}");
    expect_read(fake, body);
    const struct percept_string *text = fake->job.inputs[0].data;
    ck_assert_uint_eq(text->n_bytes, N / 4 * 3 + 1);
    for (size_t i = 0; i < N / 4; i++)
        ck_assert_int_eq(memcmp(text->at + 3 * i, (from + 4 * i) % 3 ? "abc" : "def", 3), 0);
    ck_assert_int_eq(text->at[text->n_bytes - 1], 'f');
    memcpy(body + from + 65532, "Zg==", 4);
    ck_assert(!codec_v1_decode(fake_model_post(fake, body), &fake->err));
    ck_assert(strstr(fake->err.text, "is not base64") != NULL);
    fake_model_free(fake);
}
END_TEST

START_TEST(an_input_called_b64_is_one)
{
    struct fake_model *fake = fake_model_new("m");
    fake_model_input(fake, "b64", PERCEPT_FLOAT, 1, DIMS(-1));
    fake_model_output(fake, "y", PERCEPT_FLOAT, 1, DIMS(-1));
    fake_model_batching(fake, 4);
    expect_read(fake, "{\"instances\":[{\"b64\":1},{\"b64\":2}]}");
    expect_floats(fake, 0, 2, (float[]){1, 2});
    fake_model_free(fake);
}
END_TEST

static const struct {
    const char *body;
    int rank;
    int64_t dims[8];
} nested[] = {
    {"{\"inputs\":5}", 0, {0}},
    {"{\"inputs\":{\"v\":-5.25}}", 0, {0}},
    {"{\"inputs\":[]}", 1, {0}},
    {"{\"inputs\":[[],[]]}", 2, {2, 0}},
    {"{\"inputs\":[[[1],[2]],[[3],[4]],[[5],[6]]]}", 3, {3, 2, 1}},
    {"{\"inputs\":[[[[[[[[1,2]]]]]]]]}", 8, {1, 1, 1, 1, 1, 1, 1, 2}},
    {"{\"instances\":[1,2,3]}", 1, {3}},
    {"{\"instances\":[{\"v\":1},{\"v\":2}]}", 1, {2}},
    {"{\"instances\":[{\"v\":[[1],[2],[3]]}]}", 3, {1, 3, 1}},
};

START_TEST(the_shape_is_how_lists_are_nested)
{
    struct fake_model *fake = anything();
    expect_read(fake, nested[_i].body);
    expect_shape(fake, 0, nested[_i].rank, nested[_i].dims);
    fake_model_free(fake);
}
END_TEST

START_TEST(texts_for_an_input_of_ids_are_cut_into_tokens)
{
    struct fake_model *fake = fake_model_new("ids");
    fake_model_input(fake, "ids", PERCEPT_INT64, 2, DIMS(-1, -1));
    fake_model_describe(fake, MANIFEST_TEXT)->text = (struct manifest_text){
        .tokenizer = TOKENIZER_BYTES, .max_length = 8, .unknown = -1, .pad = -1, .start = -1, .end = -1};
    fake_model_output(fake, "y", PERCEPT_FLOAT, 2, DIMS(-1, 2));
    fake_model_batching(fake, 4);
    expect_read(fake, "{\"instances\":[\"ab\",\"cd\"]}");
    expect_shape(fake, 0, 2, DIMS(2, 2));
    ck_assert_int_eq(((const int64_t *)fake->job.inputs[0].data)[3], 'd');
    ck_assert_int_eq(fake->job.n_rows, 2);
    expect_read(fake, "{\"instances\":[[7,8,9]]}");
    expect_shape(fake, 0, 2, DIMS(1, 3));
    fake_model_free(fake);
}
END_TEST

/* A gray PNG of 2x1: 10, 200. */
#define TINY "iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAAAAADRSSBWAAAAC0lEQVR4nGPgOgEAAN8A00shpUkAAAAASUVORK5CYII="

START_TEST(pictures_come_in_base64)
{
    struct fake_model *fake = fake_model_new("p");
    fake_model_input(fake, "image", PERCEPT_FLOAT, 4, DIMS(-1, 1, 1, 2));
    struct manifest_image *image = &fake_model_describe(fake, MANIFEST_IMAGE)->image;
    image->width = 2;
    image->height = 1;
    fake_model_output(fake, "y", PERCEPT_FLOAT, 2, DIMS(-1, 2));
    fake_model_batching(fake, 4);
    static const char *const bodies[] = {"{\"instances\":[{\"b64\":\"" TINY "\"},{\"b64\":\"" TINY "\"}]}",
                                         "{\"instances\":[{\"image\":{\"b64\":\"" TINY
                                         "\"}},{\"image\":{\"b64\":\"" TINY "\"}}]}",
                                         "{\"inputs\":[{\"b64\":\"" TINY "\"},{\"b64\":\"" TINY "\"}]}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        expect_read(fake, bodies[i]);
        expect_shape(fake, 0, 4, DIMS(2, 1, 1, 2));
        ck_assert(((const float *)fake->job.inputs[0].data)[3] == 200);
        ck_assert_int_eq(fake->job.n_rows, i < 2 ? 2 : 0);
    }
    expect_read(fake, "{\"instances\":[[[[1,2]]]]}");
    ck_assert(!codec_v1_decode(fake_model_post(fake, "{\"instances\":[\"abc\"]}"), &fake->err));
    ck_assert_msg(strstr(fake->err.text, "input 'image': it is no picture"), "%s", fake->err.text);
    fake_model_free(fake);
}
END_TEST

static const struct {
    struct fake_model *(*model)(void);
    const char *body, *says;
} refused[] = {
    {plain, "", "expected an object"},
    {plain, "[]", "expected an object"},
    {plain, "{}", "Missing 'inputs' or 'instances' key"},
    {plain, "{\"instances\":null}", "Missing 'inputs' or 'instances' key"},
    {plain, "{\"instances\":[[1,2,3]],\"inputs\":[[1,2,3]]}", "only one of 'instances' and 'inputs'"},
    {plain, "{\"instances\":5}", "expected a list as 'instances'"},
    {plain, "{\"instances\":{\"x\":[1,2,3]}}", "expected a list as 'instances'"},
    {plain, "{\"instances\":[]}", "no value in 'instances'"},
    {plain, "{\"instances\":[[1,2,3]],\"signature_name\":\"other\"}",
     "Serving signature name: \"other\" not found in signature def"},
    {plain, "{\"instances\":[[1,2,3]],\"signature_name\":7}", "expected a string as 'signature_name'"},
    {plain, "{\"instances\":[[1,2,3],[4,5]]}",
     "input 'x': failed to parse the request JSON: lists of one level differ"},
    {plain, "{\"instances\":[[1,2,3],4]}", "lists of one level differ"},
    {plain, "{\"instances\":[[1,2,[3]]]}", "lists of one level differ"},
    {plain, "{\"instances\":[[],[1,2,3]]}", "lists of one level differ"},
    {plain, "{\"instances\":[{\"x\":[1,2,3]},{\"x\":[1,2]}]}", "lists of one level differ"},
    {plain, "{\"instances\":[[1,2]]}", "unexpected shape for input 'x' for model 'm'. Expected [-1,3], got [1,2]."},
    {plain, "{\"instances\":[1,2,3]}", "Expected [-1,3], got [3]."},
    {plain, "{\"instances\":[[1,2,3],[1,2,3],[1,2,3],[1,2,3],[1,2,3]]}", "batch-size must be <= 4 for 'm'"},
    {plain, "{\"instances\":[{\"x\":1},{\"x\":1},{\"x\":1},{\"x\":1},{\"x\":1}]}", "batch-size must be <= 4 for 'm'"},
    {plain, "{\"instances\":[{\"z\":[1,2,3]}]}", "unexpected inference input 'z' for model 'm'"},
    {plain, "{\"instances\":[{}]}", "input 'x' of model 'm' is missing in an instance"},
    {plain, "{\"instances\":[{\"x\":[1,2,3]},{}]}", "input 'x' of model 'm' is missing in an instance"},
    {plain, "{\"instances\":[{\"x\":[1,2,3]},[1,2,3]]}", "expected an object"},
    {plain, "{\"instances\":[[1,2,3],{\"x\":[1,2,3]}]}", "lists of one level differ"},
    {plain, "{\"instances\":[{\"x\":[1,2,3],\"x\":[1,2,3]}]}", "comes twice"},
    {plain, "{\"inputs\":{}}", "input 'x' of model 'm' is missing"},
    {plain, "{\"instances\":[[1,2,\"3\"]]}", "element 2 is not a value of FP32"},
    {plain, "{\"instances\":[[1,2,null]]}", "element 2 is not a value of FP32"},
    {plain, "{\"instances\":[[1,2,1e999]]}", "element 2 is not a value of FP32"},
    {plain, "{\"instances\":[[1,2,{\"b64\":\"Zm9v\"}]]}", "element 2 is not a value of FP32"},
    {plain, "{\"instances\":[[1,2,3],]}", "expected a value"},
    {plain, "{\"instances\":[[1,2,3]", "without its closing bracket"},
    {plain, "{\"instances\":[[1 2,3]]}", "expected ',' or ']'"},
    {plain, "{\"instances\":[[1,2,3]]} x", "nothing after the value"},
    {plain, "{\"instances\":[[[[[[[[[[1]]]]]]]]]]}", "lists nested deeper than 8"},
    {two, "{\"instances\":[[1,2]]}", "model 'two' has 2 inputs"},
    {two, "{\"inputs\":[[1,2]]}", "model 'two' has 2 inputs"},
    {two, "{\"instances\":[{\"a\":[1,2]}]}", "input 'b' of model 'two' is missing in an instance"},
    {two, "{\"inputs\":{\"a\":[[1,2]],\"b\":[1,2]}}", "input 'b' batch size does not match other inputs for 'two'"},
    {two, "{\"inputs\":{\"a\":[[1,2.5]],\"b\":[1]}}", "element 1 is not a value of INT32"},
    {two, "{\"inputs\":{\"a\":[[1,2]],\"b\":[1]", "',' or '}'"},
    {texts, "{\"instances\":[[\"a\",5]]}", "expected a string or {\"b64\": ...}"},
    {texts, "{\"instances\":[[\"a\",{\"b64\":\"*\"}]]}", "is not base64"},
    {texts, "{\"instances\":[[\"a\",{\"b64\":5}]]}", "expected a string as 'b64'"},
    {texts, "{\"instances\":[[\"a\",{\"b64\":\"\",\"c\":1}]]}", "an object that is not {\"b64\": ...}"},
    {texts, "{\"instances\":[[\"a\",{}]]}", "an object that is not {\"b64\": ...}"},
    {texts, "{\"instances\":[[\"a\",\"\xff\"]]}", "malformed UTF-8"},
    {anything, "{\"inputs\":-}", "is not a value of FP64"},
    {anything, "{\"inputs\":nan}", "is not a value of FP64"},
    {anything, "{\"inputs\":}", "expected a value"},
};

START_TEST(what_makes_no_tensor_is_refused)
{
    struct fake_model *fake = refused[_i].model();
    ck_assert_msg(!codec_v1_decode(fake_model_post(fake, refused[_i].body), &fake->err), "accepted: %s",
                  refused[_i].body);
    ck_assert_msg(strstr(fake->err.text, refused[_i].says) != NULL, "%s\nsays: %s\nnot: %s", refused[_i].body,
                  fake->err.text, refused[_i].says);
    ck_assert_int_eq(fake->err.code, ERR_INVALID);
    fake_model_free(fake);
}
END_TEST

START_TEST(half_floats_are_not_in_json)
{
    struct fake_model *fake = fake_model_new("h");
    fake_model_input(fake, "x", PERCEPT_FLOAT16, 1, DIMS(-1));
    fake_model_output(fake, "y", PERCEPT_FLOAT, 1, DIMS(-1));
    ck_assert(!codec_v1_decode(fake_model_post(fake, "{\"inputs\":[1]}"), &fake->err));
    ck_assert(strstr(fake->err.text, "receiving FP16 data via JSON is not supported") != NULL);
    fake_model_free(fake);
}
END_TEST

START_TEST(rows_are_refused_where_the_batch_is_not_in_front)
{
    struct fake_model *fake = plain();
    fake->outputs[0].batch_axis = 1;
    ck_assert(!codec_v1_decode(fake_model_post(fake, "{\"instances\":[[1,2,3]]}"), &fake->err));
    ck_assert(strstr(fake->err.text, "is not its first axis") != NULL);
    expect_read(fake, "{\"inputs\":[[1,2,3]]}");
    fake_model_free(fake);
}
END_TEST

START_TEST(utf16_is_called_so)
{
    struct fake_model *fake = plain();
    ck_assert(!codec_v1_decode(fake_model_post_bytes(fake, "\xff\xfe{\0}\0", 6), &fake->err));
    ck_assert(strstr(fake->err.text, "UTF-16") != NULL);
    fake_model_free(fake);
}
END_TEST

static struct fake_model *watched;
static const char *watched_body;

static bool decode_watched(void)
{
    struct watch watch = watched->job.watch;
    fake_model_post(watched, watched_body);
    watched->job.watch = watch;
    watched->err = (struct percept_err){0};
    return codec_v1_decode(&watched->job, &watched->err);
}

/* Long enough for some looks at the clock. */
START_TEST(decoding_ends_when_nobody_waits)
{
    static char body[1 << 20];
    size_t n = (size_t)snprintf(body, sizeof body, "{\"inputs\":[1");
    while (n < sizeof body - 10)
        n += (size_t)snprintf(body + n, sizeof body - n, ",2");
    snprintf(body + n, sizeof body - n, "]}");
    watched = anything();
    watched_body = body;
    looks_end_it(&watched->job.watch, decode_watched, &watched->err.code);
    fake_model_free(watched);
}
END_TEST

Suite *serve_codec_v1_suite(void)
{
    Suite *suite = suite_create("serve/codec_v1");
    TCase *tests = tcase_create("codec_v1");
    tcase_add_loop_test(tests, rows_and_columns_are_the_same_tensor, 0, sizeof same / sizeof *same);
    tcase_add_test(tests, several_inputs_come_by_name_and_in_any_order);
    tcase_add_test(tests, texts_are_strings_or_base64);
    tcase_add_test(tests, long_texts_in_base64_are_read_whole);
    tcase_add_test(tests, an_input_called_b64_is_one);
    tcase_add_loop_test(tests, the_shape_is_how_lists_are_nested, 0, sizeof nested / sizeof *nested);
    tcase_add_test(tests, pictures_come_in_base64);
    tcase_add_test(tests, texts_for_an_input_of_ids_are_cut_into_tokens);
    tcase_add_loop_test(tests, what_makes_no_tensor_is_refused, 0, sizeof refused / sizeof *refused);
    tcase_add_test(tests, half_floats_are_not_in_json);
    tcase_add_test(tests, rows_are_refused_where_the_batch_is_not_in_front);
    tcase_add_test(tests, utf16_is_called_so);
    tcase_add_test(tests, decoding_ends_when_nobody_waits);
    suite_add_tcase(suite, tests);
    return suite;
}
