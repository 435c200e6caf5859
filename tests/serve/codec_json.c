/* codec_json.c - a V2 body is read whole, in any order, or refused in the protocol's words. */
#include "base/err.h"
#include "fake_model.h"
#include "looks.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <math.h>
#include <stdio.h>

Suite *serve_codec_json_suite(void);

#define DIMS(...) ((const int64_t[]){__VA_ARGS__})

/* Model "m": x FP32 [-1,3], batches of up to 8; y FP32 [-1,2]. */
static struct fake_model *plain(void)
{
    struct fake_model *fake = fake_model_new("m");
    fake_model_input(fake, "x", PERCEPT_FLOAT, 2, DIMS(-1, 3));
    fake_model_output(fake, "y", PERCEPT_FLOAT, 2, DIMS(-1, 2));
    fake_model_batching(fake, 8);
    return fake;
}

/* Model "two": a INT32 [-1,2], b FP32 [-1,2]; outputs y and z. */
static struct fake_model *two(void)
{
    struct fake_model *fake = fake_model_new("two");
    fake_model_input(fake, "a", PERCEPT_INT32, 2, DIMS(-1, 2));
    fake_model_input(fake, "b", PERCEPT_FLOAT, 2, DIMS(-1, 2));
    fake_model_output(fake, "y", PERCEPT_FLOAT, 2, DIMS(-1, 2));
    fake_model_output(fake, "z", PERCEPT_FLOAT16, 2, DIMS(-1, 2));
    fake_model_batching(fake, 8);
    return fake;
}

static void expect_floats(const struct fake_model *fake, int input, int n, const float *values)
{
    const float *data = fake->job.inputs[input].data;
    for (int i = 0; i < n; i++)
        ck_assert_msg(data[i] == values[i], "element %d is %g", i, (double)data[i]);
}

static void expect_read(struct fake_model *fake, const char *body)
{
    ck_assert_msg(codec_json_decode(fake_model_post(fake, body), &fake->err), "%s: %s", body, fake->err.text);
}

static void expect_refused(struct fake_model *fake, const char *body, enum err_code code, const char *part)
{
    ck_assert_msg(!codec_json_decode(fake_model_post(fake, body), &fake->err), "accepted: %s", body);
    ck_assert_msg(strstr(fake->err.text, part), "%s\nsays: %s\nnot: %s", body, fake->err.text, part);
    ck_assert_str_eq(err_name(fake->err.code), err_name((int)code));
}

START_TEST(members_may_come_in_any_order)
{
    struct fake_model *fake = plain();
    expect_read(fake, "{\"id\":\"7\",\"inputs\":[{\"name\":\"x\",\"shape\":[2,3],\"datatype\":\"FP32\","
                      "\"data\":[1,2.5,-3e2,4,5,6]}]}");
    ck_assert_int_eq(fake->job.n_items, 2);
    ck_assert(bytes_is(fake->job.id, "7"));
    expect_floats(fake, 0, 6, (float[]){1, 2.5f, -300, 4, 5, 6});
    expect_read(fake, " { \"extra\" : {\"a\":[1,{\"b\":null}]}, \"inputs\" : [ { \"data\" : [ [ 1 , 2 ,"
                      "3 ] , [4,5,6] ] , \"datatype\":\"FP32\" , \"shape\" : [ 2 , 3 ] , "
                      "\"name\" : \"x\" } ] , \"id\":\"later\" } \n");
    expect_floats(fake, 0, 6, (float[]){1, 2, 3, 4, 5, 6});
    ck_assert(fake->job.has_id && bytes_is(fake->job.id, "later"));
    fake_model_free(fake);
}
END_TEST

START_TEST(all_outputs_as_json_unless_asked_otherwise)
{
    struct fake_model *fake = two();
#define AB                                                                                                             \
    "\"inputs\":[{\"name\":\"b\",\"shape\":[1,2],\"datatype\":\"FP32\",\"data\":[1,2]},"                               \
    "{\"name\":\"a\",\"shape\":[1,2],\"datatype\":\"INT32\",\"data\":[3,4]}]"
    expect_read(fake, "{" AB "}");
    ck_assert_int_eq(fake->job.n_outputs, 2);
    ck_assert(!fake->job.outputs[0].binary && fake->job.predictions && !fake->job.has_id);
    ck_assert_int_eq(((int32_t *)fake->job.inputs[0].data)[1], 4);
    expect_read(fake, "{" AB ",\"parameters\":{\"binary_data_output\":true,\"timeout\":250,\"masks\":\"rle\","
                      "\"predictions\":false,\"priority\":3,\"mine\":[1,\"x\"],\"sequence_id\":0,"
                      "\"sequence_start\":false}}");
    ck_assert(fake->job.outputs[0].binary && fake->job.outputs[1].binary && !fake->job.predictions);
    ck_assert_int_eq(fake->job.timeout_us, 250);
    ck_assert_int_eq(fake->job.masks, JOB_MASKS_RLE);
    ck_assert_int_eq(fake->job.priority, 3);
    expect_read(fake, "{" AB ",\"parameters\":{\"binary_data_output\":true},\"outputs\":["
                      "{\"name\":\"z\",\"parameters\":{\"binary_data\":true}},"
                      "{\"name\":\"y\",\"parameters\":{\"classification\":3}}]}");
    ck_assert_int_eq(fake->job.n_outputs, 2);
    ck_assert_int_eq(fake->job.outputs[0].index, 1);
    ck_assert(fake->job.outputs[0].binary && !fake->job.outputs[1].binary);
    ck_assert_int_eq(fake->job.outputs[1].classification, 3);
    fake_model_free(fake);
}
END_TEST

START_TEST(what_does_not_fit_the_model_is_refused_in_the_protocols_words)
{
    struct fake_model *fake = two();
#define A(rest) "{\"name\":\"a\"," rest "}"
#define B "{\"name\":\"b\",\"shape\":[1,2],\"datatype\":\"FP32\",\"data\":[1,2]}"
#define IN(list) "{\"id\":\"i\",\"inputs\":[" list "]}"
#define INTS(shape, data) A("\"shape\":" shape ",\"datatype\":\"INT32\",\"data\":" data)
    static const struct {
        const char *body, *part;
    } cases[] = {
        {IN(B), "[request id: i] expected 2 inputs but got 1 inputs for model 'two'. Got input(s) "
                "['b'], but missing required input(s) ['a']. Please provide all required input(s)."},
        {"{\"inputs\":[]}", "[request id: <id_unknown>] expected 2 inputs but got 0"},
        {IN(B "," INTS("[1,2]", "[1,2]") ",{\"name\":\"c\"}"), "unexpected inference input 'c' for model 'two'"},
        {IN(B "," B "," INTS("[1,2]", "[1,2]")), "input 'b' already exists in request"},
        {IN(B "," A("\"shape\":[1,2],\"datatype\":\"FP32\",\"data\":[1,2]")),
         "inference input 'a' data-type is 'FP32', but model 'two' expects 'INT32'"},
        {IN(B "," A("\"shape\":[1,2],\"datatype\":\"float\",\"data\":[1,2]")), "datatype 'float' is not one of V2's"},
        {IN(B "," A("\"shape\":[1,2],\"data\":[1,2]")), "input 'a': no 'datatype'"},
        {IN(B "," A("\"datatype\":\"INT32\",\"data\":[1,2]")), "input 'a': no 'shape'"},
        {IN(B "," INTS("[1,3]", "[1,2,3]")), "unexpected shape for input 'a' for model 'two'. "
                                             "Expected [-1,2], got [1,3]. NOTE: Setting a "
                                             "non-zero max_batch_size "},
        {IN(B "," INTS("[2]", "[1,2]")), "Expected [-1,2], got [2]"},
        {IN(B "," INTS("[9,2]", "[1,2]")), "inference request batch-size must be <= 8 for 'two'"},
        {IN(B "," INTS("[0,2]", "[]")), "batch-size must be >= 1"},
        {IN(B "," INTS("[2,2]", "[1,2,3,4]")), "input 'a' batch size does not match other inputs for 'two'"},
        {IN(B "," INTS("[1,2]", "[1]")),
         "Failed to parse 'data' field: shape does not match true shape of 'data' field"},
        {IN(B "," INTS("[1,2]", "[1,2,3]")), "Unable to parse 'data': Shape does not match true shape of 'data' field"},
        {IN(B "," INTS("[1,2]", "[1,3000000000]")), "input 'a': element 1 is not a value of INT32"},
        {IN(B "," INTS("[-1,2]", "[1,2]")), "Unable to parse 'shape': attempt to access JSON "
                                            "non-unsigned-integer as unsigned-integer"},
        {IN(B "," INTS("[4294967296,4294967296,4]", "[1]")),
         "causes total element count to exceed maximum size of 9223372036854775807"},
        {IN(B "," INTS("[18446744073709551615]", "[1]")), "to exceed maximum size of"},
        {IN(B "," A("\"shape\":[1,2],\"datatype\":\"INT32\"")),
         "Input must set only one of the following fields: 'data', 'binary_data_size' in "
         "'parameters', "
         "'shared_memory_region' in 'parameters'. But no field is set"},
        {IN(B "," A("\"shape\":[1,2],\"datatype\":\"INT32\",\"data\":[1,2],"
                    "\"parameters\":{\"binary_data_size\":8}")),
         "But set 'data' 'binary_data_size'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_refused(fake, cases[i].body, ERR_INVALID, cases[i].part);
    expect_refused(fake, "{" AB ",\"outputs\":[{\"name\":\"o\"}]}", ERR_INVALID,
                   "unexpected inference output 'o' for model 'two'");
    expect_refused(fake, "{" AB ",\"outputs\":[{\"name\":\"y\"},{\"name\":\"y\"}]}", ERR_INVALID,
                   "output 'y' already requested");
    fake_model_free(fake);
}
END_TEST

START_TEST(what_is_not_served_is_refused_by_name)
{
    struct fake_model *fake = two();
    static const struct {
        const char *body, *part;
    } cases[] = {
        {IN(B "," A("\"shape\":[1,2],\"datatype\":\"INT32\",\"parameters\":{"
                    "\"shared_memory_region\":\"r\"}")),
         "'shared_memory_region'"},
        {"{" AB ",\"outputs\":[{\"name\":\"y\",\"parameters\":{\"shared_memory_offset\":0}}]}",
         "'shared_memory_offset'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_refused(fake, cases[i].body, ERR_UNSUPPORTED, cases[i].part);
    expect_refused(fake, "{" AB ",\"parameters\":{\"triton_x\":1}}", ERR_INVALID, "'triton_x'");
    expect_refused(fake, "{" AB ",\"parameters\":{\"masks\":\"all\"}}", ERR_INVALID, "'masks'");
    expect_refused(fake, "{" AB ",\"parameters\":{\"masks\":true}}", ERR_INVALID, "'masks'");
    expect_refused(fake, "{" AB ",\"parameters\":{\"priority\":-1}}", ERR_INVALID, "a whole number as 'priority'");
    expect_refused(fake, "{" AB ",\"parameters\":{\"priority\":\"high\"}}", ERR_INVALID,
                   "a whole number as 'priority'");
    expect_read(fake, "{" AB ",\"parameters\":{\"priority\":18446744073709551615}}");
    ck_assert_int_eq(fake->job.priority, 0);
    expect_read(fake, "{" AB ",\"parameters\":{\"priority\":9}}");
    ck_assert_int_eq(fake->job.priority, 9);
    fake_model_free(fake);
}
END_TEST

START_TEST(names_that_would_work_are_told)
{
    struct fake_model *fake = two();
    const char *const stranger = "{\"name\":\"s\",\"shape\":[1,2],\"datatype\":\"FP32\",\"data\":[1,2]}";
    char body[600];
    snprintf(body, sizeof body, IN(B ",%s"), stranger);
    expect_refused(fake, body, ERR_INVALID, "input 's' for model 'two'; it has a, b");
    expect_refused(fake, "{" AB ",\"outputs\":[{\"name\":\"s\"}]}", ERR_INVALID,
                   "output 's' for model 'two'; it has y, z");
    fake_model_free(fake);
}
END_TEST

/* A file that was posted without a word about what it is: what would work depends on what the model takes. */
START_TEST(a_posted_file_is_told_its_header)
{
    static const struct {
        enum manifest_kind kind;
        bool image, text;
    } rows[] = {{MANIFEST_IMAGE, true, false}, {MANIFEST_TEXT, false, true}, {MANIFEST_TENSOR, false, false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fake_model *fake = plain();
        fake_model_describe(fake, rows[i].kind);
        expect_refused(fake, "hello", ERR_INVALID, "failed to parse");
        ck_assert(!strstr(fake->err.text, "image/png or image/jpeg") == !rows[i].image);
        ck_assert(!strstr(fake->err.text, "text/plain") == !rows[i].text);
        expect_refused(fake, " \n{hello", ERR_INVALID, "failed to parse"); /* meant as JSON */
        ck_assert_ptr_null(strstr(fake->err.text, "Content-Type"));
        fake_model_free(fake);
    }
}
END_TEST

START_TEST(what_is_not_json_is_refused_with_its_place)
{
    struct fake_model *fake = plain();
    static const struct {
        const char *body, *part;
    } cases[] = {
        {"", "expected an object, found the end at byte 0"},
        {"[]", "expected an object, found '[' at byte 0"},
        {"{}", "no 'inputs'"},
        {"{\"id\":1,\"inputs\":[]}", "expected a string as 'id', found '1' at byte 6"},
        {"{\"id\":\"a\",\"id\":\"b\"}", "key 'id' comes twice"},
        {"{\"inputs\":[{\"name\":\"x\",\"name\":\"x\"}]}", "key 'name' comes twice"},
        {"{\"inputs\":[],}", "expected a value after ','"},
        {"{\"inputs\":[]} x", "expected nothing after the value, found 'x'"},
        {"{\"a\":NaN}", "expected a value"},
        {"{\"a\":01}", "expected ',' or '}', found a number with a zero in front"},
        {"{\"a\":\"\x01\"}", "control character 0x01"},
        {"{\"a\":\"\xff\"}", "malformed UTF-8"},
        {"{\"a\":\"\\ud800\"}", "half a surrogate pair"},
        {"{\"a\":\"\\x\"}", "escape that JSON does not have"},
        {"{\"a\":\"abc", "without its closing quote"},
        {"{\"a\":[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]}", "nested deeper than 16 levels"},
        {"{\"inputs\":[{\"name\":\"x\",\"data\":[1,2}", "without its closing bracket"},
        {"{\"inputs\":[{\"name\":\"x\",\"data\":5}]}", "expected an array of 'data'"},
        {"{\"inputs\":[{\"data\":[]}]}", "an input without a 'name'"},
        {"{\"inputs\":[{\"name\":\"x\",\"shape\":[1,1,1,1,1,1,1,1,1]}]}", "more than 8 axes"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_refused(fake, cases[i].body, ERR_INVALID, cases[i].part);
    fake_model_free(fake);
}
END_TEST

START_TEST(every_prefix_of_a_body_is_refused)
{
    struct fake_model *fake = two();
    static const char body[] =
        "{\"id\":\"\\u00e9\\ud83d\\ude00\",\"outputs\":[{\"name\":\"y\"}]," AB ",\"parameters\":{\"timeout\":1}}";
    expect_read(fake, body);
    ck_assert(bytes_is(fake->job.id, "\xc3\xa9\xf0\x9f\x98\x80"));
    for (size_t n = 0; n < sizeof body - 1; n++)
        ck_assert_msg(!codec_json_decode(fake_model_post_bytes(fake, body, n), &fake->err), "%zu bytes were accepted",
                      n);
    fake_model_free(fake);
}
END_TEST

START_TEST(binary_inputs_follow_the_json)
{
    struct fake_model *fake = two();
    static const char json[] = "{\"inputs\":[{\"name\":\"b\",\"shape\":[2,2],\"datatype\":\"FP32\",\"parameters\":{"
                               "\"binary_data_size\":16}},{\"name\":\"a\",\"shape\":[2,2],\"datatype\":\"INT32\","
                               "\"data\":[1,2,3,4]}]}";
    const float floats[] = {0.5f, 1.5f, (float)NAN, 3};
    char body[sizeof json - 1 + sizeof floats + 1];
    memcpy(body, json, sizeof json - 1);
    memcpy(body + sizeof json - 1, floats, sizeof floats);
    struct job *job = fake_model_post_bytes(fake, body, sizeof body - 1);
    job->json_bytes = sizeof json - 1;
    ck_assert_msg(codec_json_decode(job, &fake->err), "%s", fake->err.text);
    ck_assert(memcmp(job->inputs[1].data, floats, sizeof floats) == 0);
    static const struct {
        int more;
        const char *part;
    } cases[] = {{-2, "unexpected size for input 'b', expecting 1 additional bytes for model 'two'"},
                 {0, "unexpected additional input data for model 'two'"}};
    for (int i = 0; i < 2; i++) {
        job = fake_model_post_bytes(fake, body, sizeof body + (size_t)cases[i].more);
        job->json_bytes = sizeof json - 1;
        ck_assert(!codec_json_decode(job, &fake->err));
        ck_assert_msg(strstr(fake->err.text, cases[i].part), "%s", fake->err.text);
    }
    job = fake_model_post_bytes(fake, body, 10);
    job->json_bytes = 11;
    ck_assert(!codec_json_decode(job, &fake->err));
    ck_assert_str_eq(fake->err.text, "inference header size should be in range (0, 10), got: 11");
    fake_model_free(fake);
}
END_TEST

START_TEST(a_huge_shape_takes_no_memory)
{
    struct fake_model *fake = fake_model_new("free");
    fake_model_input(fake, "x", PERCEPT_DOUBLE, 2, DIMS(-1, -1));
    expect_refused(fake,
                   "{\"inputs\":[{\"name\":\"x\",\"shape\":[1000000,1000000],"
                   "\"datatype\":\"FP64\",\"data\":[1]}]}",
                   ERR_INVALID, "shape does not match true shape");
    ck_assert_uint_lt(fake->arena.used_bytes, 4096);
    expect_read(fake, "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,0],\"datatype\":\"FP64\",\"data\":[]}]}");
    ck_assert_int_eq(fake->job.n_items, 1);
    fake_model_free(fake);
}
END_TEST

START_TEST(many_listed_outputs_are_refused_early)
{
    struct fake_model *fake = plain();
    static char body[40000] = "{\"outputs\":[";
    size_t n = strlen(body);
    for (int i = 0; i < 1000; i++)
        n += (size_t)snprintf(body + n, sizeof body - n, "{\"name\":\"y%d\"},", i);
    snprintf(body + n - 1, sizeof body - n, "]}");
    expect_refused(fake, body, ERR_INVALID, "more than 64 tensors are listed for model 'm'");
    fake_model_free(fake);
}
END_TEST

START_TEST(texts_may_be_sent_to_a_model_that_takes_ids)
{
    static const char *const tokens[] = {"a", "b", "c"};
    static const int sorted[] = {0, 1, 2};
    struct fake_model *fake = fake_model_new("t");
    fake_model_input(fake, "ids", PERCEPT_INT64, 2, DIMS(-1, -1));
    fake_model_batching(fake, 4);
    struct manifest_text *text = &fake_model_describe(fake, MANIFEST_TEXT)->text;
    text->tokenizer = TOKENIZER_CHARACTERS;
    text->n_tokens = 3;
    text->tokens = tokens;
    text->sorted = sorted;
    expect_read(fake, "{\"inputs\":[{\"name\":\"ids\",\"shape\":[2],\"datatype\":\"BYTES\","
                      "\"data\":[\"abc\",\"cba\"]}]}");
    ck_assert_int_eq(fake->job.n_items, 2);
    ck_assert_int_eq(((int64_t *)fake->job.inputs[0].data)[3], 2);
    expect_refused(fake,
                   "{\"inputs\":[{\"name\":\"ids\",\"shape\":[2],\"datatype\":\"BYTES\","
                   "\"data\":[\"abc\",\"cb\"]}]}",
                   ERR_INVALID, "must have equal length");
    fake_model_free(fake);
}
END_TEST

/* A gray PNG of 2x1: 10, 200. */
#define TINY "iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAAAAADRSSBWAAAAC0lEQVR4nGPgOgEAAN8A00shpUkAAAAASUVORK5CYII="

static struct fake_model *pictures(void)
{
    struct fake_model *fake = fake_model_new("p");
    fake_model_input(fake, "image", PERCEPT_FLOAT, 4, DIMS(-1, 1, 1, 2));
    struct manifest_image *image = &fake_model_describe(fake, MANIFEST_IMAGE)->image;
    image->width = 2;
    image->height = 1;
    fake_model_batching(fake, 4);
    return fake;
}

#define PICTURES(shape, more, data)                                                                                    \
    "{\"inputs\":[{\"name\":\"image\",\"shape\":" shape ",\"datatype\":\"BYTES\"" more ",\"data\":" data "}]}"
#define BASE64 ",\"parameters\":{\"content_type\":\"base64\"}"

START_TEST(pictures_may_be_sent_as_base64)
{
    struct fake_model *fake = pictures();
    expect_read(fake, PICTURES("[1]", BASE64, "[\"" TINY "\"]"));
    expect_floats(fake, 0, 2, (float[]){10, 200});
    expect_read(fake, PICTURES("[2,1]", BASE64, "[[\"" TINY "\"],[\"" TINY "\"]]"));
    ck_assert_int_eq(fake->job.n_items, 2);
    expect_floats(fake, 0, 4, (float[]){10, 200, 10, 200});
    ck_assert_int_eq(job_view(&fake->job, 1)->width, 2);
    expect_refused(fake, PICTURES("[1]", BASE64, "[\"a\"]"), ERR_INVALID, "element 0 is not base64, which its");
    expect_refused(fake, PICTURES("[1]", BASE64, "[\"\"]"), ERR_INVALID, "input 'image': it is empty");
    expect_refused(fake, PICTURES("[0]", BASE64, "[]"), ERR_INVALID, "input 'image' has no pictures");
    expect_refused(fake, PICTURES("[2]", BASE64, "[\"" TINY "\",\"R0lGODlh\"]"), ERR_MEDIA_TYPE,
                   "picture 2 of 2: it is a GIF; send a PNG");
    expect_refused(fake, PICTURES("[1]", "", "[\"" TINY "\"]"), ERR_MEDIA_TYPE, "in JSON a picture is base64");
    expect_refused(fake, PICTURES("[1]", ",\"parameters\":{\"content_type\":\"str\"}", "[\"" TINY "\"]"),
                   ERR_MEDIA_TYPE, "in JSON a picture is base64");
    expect_refused(fake, PICTURES("[5]", BASE64, "[\"" TINY "\",\"" TINY "\",\"" TINY "\",\"" TINY "\",\"" TINY "\"]"),
                   ERR_INVALID, "batch-size must be <= 4");
    /* numbers are numbers, whatever a client's library says of them */
    expect_read(fake, "{\"inputs\":[{\"name\":\"image\",\"shape\":[1,1,1,2],\"datatype\":\"FP32\",\"data\":[1,2],"
                      "\"parameters\":{\"content_type\":\"np\"}}]}");
    expect_floats(fake, 0, 2, (float[]){1, 2});
    expect_read(fake, "{\"inputs\":[{\"name\":\"image\",\"shape\":[1,1,1,2],\"datatype\":\"FP32\",\"data\":[1,2],"
                      "\"parameters\":{\"content_type\":7}}]}");
    fake_model_free(fake);
}
END_TEST

START_TEST(members_that_are_null_are_as_if_left_out)
{
    struct fake_model *fake = plain();
#define X(more) "{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[1,2,3]" more "}"
    static const char *const bodies[] = {
        "{\"id\":null,\"inputs\":[" X("") "]}",
        "{\"parameters\":null,\"outputs\":null,\"inputs\":[" X("") "]}",
        "{\"inputs\":[" X(",\"parameters\":null") "]}",
        "{\"inputs\":[" X(",\"parameters\":{\"binary_data_size\":null,\"shared_memory_region\":null}") "]}",
        "{\"inputs\":[" X("") "],\"outputs\":[{\"name\":\"y\",\"parameters\":null}]}",
        "{\"inputs\":[" X("") "],\"outputs\":[{\"name\":\"y\",\"parameters\":{\"classification\":null,"
                              "\"binary_data\":null}}]}",
        "{\"inputs\":[" X("") "],\"parameters\":{\"timeout\":null,\"sequence_id\":null,\"predictions\":null,"
                              "\"binary_data_output\":null,\"triton_x\":null}}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        expect_read(fake, bodies[i]);
        ck_assert(!fake->job.has_id && fake->job.predictions && !fake->job.timeout_us);
        ck_assert(!fake->job.outputs[0].binary && !fake->job.outputs[0].classification);
        expect_floats(fake, 0, 3, (float[]){1, 2, 3});
    }
    expect_refused(fake, "{\"inputs\":null}", ERR_INVALID, "no 'inputs'");
    expect_refused(fake, "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":null,\"data\":[1]}]}",
                   ERR_INVALID, "input 'x': no 'shape'");
    expect_refused(fake, "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":null}]}",
                   ERR_INVALID, "no field is set");
    expect_refused(fake,
                   "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,3],"
                   "\"data\":[1,null,3]}]}",
                   ERR_INVALID, "element 1 is not a value of FP32: found null");
    fake_model_free(fake);
}
END_TEST

START_TEST(a_byte_order_mark_is_no_part_of_a_body)
{
    struct fake_model *fake = plain();
    expect_read(fake, "\xef\xbb\xbf{\"inputs\":[" X("") "]}");
    static const char *const wide[] = {"\xff\xfe{\0\"\0", "\xfe\xff\0{\0\"", "{\0\"\0}\0", "\0{\0\"\0}", "\0\0\0{\0\0"};
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) {
        ck_assert(!codec_json_decode(fake_model_post_bytes(fake, wide[i], 6), &fake->err));
        ck_assert_msg(strstr(fake->err.text, "UTF-16 or UTF-32; JSON is sent as UTF-8"), "%s", fake->err.text);
        ck_assert_int_eq(fake->err.code, ERR_INVALID);
    }
    fake_model_free(fake);
}
END_TEST

/* In a tensor's data, where the shape says three: none of these is a matter of shape. */
START_TEST(faults_in_data_are_called_by_their_names)
{
    static const struct {
        const char *data, *part;
    } cases[] = {
        {"[1,2,3,]", "element 3 is not a value of FP32: found a trailing comma before ']'"},
        {"[1,2,]", "element 2 is not a value of FP32: found a trailing comma before ']'"},
        {"[[1,2,3,],]", "a trailing comma before ']'"},
        {"[1,,3]", "element 1 is not a value of FP32: found a comma without a value before it"},
        {"[1 2 3]", "expected ',' or ']' in 'data', found '2'"},
        {"[1,2,// three\n3]", "found a comment, which JSON does not have,"},
        {"['1',2,3]", "found a single quote"},
        {"[1,2,nan]", "it is written NaN"},
        {"[1,2,-inf]", "it is written -Infinity"},
        {"[1,2,null]", "found null"},
        {"[1,2,+3]", "found a plus sign"},
        {"[1,2,03]", "in 'data', found a number with a zero in front"},
        {"[1,2,0x3]", "found a hexadecimal number"},
        {"[1,2,.3]", "found a decimal point without a digit"},
    };
    struct fake_model *fake = plain();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[256];
        snprintf(body, sizeof body, "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":%s}]}",
                 cases[i].data);
        expect_refused(fake, body, ERR_INVALID, cases[i].part);
        ck_assert_msg(!strstr(fake->err.text, "hape") && strstr(fake->err.text, "at byte"), "%s", fake->err.text);
    }
    fake_model_free(fake);
}
END_TEST

START_TEST(a_deadline_ends_the_reading_of_elements)
{
    enum { N = 400000 };
    struct fake_model *fake = fake_model_new("m");
    fake_model_input(fake, "x", PERCEPT_FLOAT, 1, DIMS(-1));
    fake_model_output(fake, "y", PERCEPT_FLOAT, 1, DIMS(-1));
    char *body = malloc(2 * N + 200);
    int used = sprintf(body, "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[%d],\"data\":[", N);
    for (int i = 0; i < N; i++)
        used += sprintf(body + used, i ? ",7" : "7");
    strcpy(body + used, "]}]}");
    for (int over = 3; over >= 0; over--) {
        struct job *job = fake_model_post(fake, body);
        job->watch = looks_until(over);
        ck_assert(!codec_json_decode(job, &fake->err));
        ck_assert_str_eq(err_name(fake->err.code), "TIMEOUT");
        ck_assert_int_eq(looks_seen(), over + 1);
    }
    free(body);
    fake_model_free(fake);
}
END_TEST

Suite *serve_codec_json_suite(void)
{
    Suite *suite = suite_create("serve_codec_json");
    TCase *tests = tcase_create("codec_json");
    tcase_set_timeout(tests, 60); /* megabytes, also under sanitizers */
    tcase_add_test(tests, members_may_come_in_any_order);
    tcase_add_test(tests, all_outputs_as_json_unless_asked_otherwise);
    tcase_add_test(tests, what_does_not_fit_the_model_is_refused_in_the_protocols_words);
    tcase_add_test(tests, what_is_not_served_is_refused_by_name);
    tcase_add_test(tests, names_that_would_work_are_told);
    tcase_add_test(tests, a_posted_file_is_told_its_header);
    tcase_add_test(tests, what_is_not_json_is_refused_with_its_place);
    tcase_add_test(tests, every_prefix_of_a_body_is_refused);
    tcase_add_test(tests, binary_inputs_follow_the_json);
    tcase_add_test(tests, a_huge_shape_takes_no_memory);
    tcase_add_test(tests, many_listed_outputs_are_refused_early);
    tcase_add_test(tests, texts_may_be_sent_to_a_model_that_takes_ids);
    tcase_add_test(tests, pictures_may_be_sent_as_base64);
    tcase_add_test(tests, members_that_are_null_are_as_if_left_out);
    tcase_add_test(tests, a_byte_order_mark_is_no_part_of_a_body);
    tcase_add_test(tests, faults_in_data_are_called_by_their_names);
    tcase_add_test(tests, a_deadline_ends_the_reading_of_elements);
    suite_add_tcase(suite, tests);
    return suite;
}
