/* codec_binary.c - tensors as bytes: odd addresses, strings with lengths, bodies that are one
 * tensor. */
#include "base/err.h"
#include "fake_model.h"
#include "serve/codec_parts.h"

#include <check.h>

Suite *serve_codec_binary_suite(void);

#define DIMS(...) ((const int64_t[]){__VA_ARGS__})

START_TEST(strings_are_lengths_and_bytes)
{
    struct fake_model *fake = fake_model_new("m");
    static const char raw[] = "\3\0\0\0abc\0\0\0\0\1\0\0\0\0";
    struct job *job = fake_model_post_bytes(fake, raw, sizeof raw - 1);
    struct percept_tensor tensor = {.dtype = PERCEPT_STRING};
    ck_assert_msg(codec_binary_read(job, job->body, "s", &tensor, 3, &fake->err), "%s", fake->err.text);
    const struct percept_string *strings = tensor.data;
    ck_assert_uint_eq(strings[0].n_bytes, 3);
    ck_assert(memcmp(strings[0].at, "abc", 3) == 0);
    ck_assert_uint_eq(strings[1].n_bytes, 0);
    ck_assert_uint_eq(strings[2].n_bytes, 1);
    ck_assert(!codec_binary_read(job, job->body, "s", &tensor, 4, &fake->err));
    ck_assert(!codec_binary_read(job, job->body, "s", &tensor, 2, &fake->err));
    ck_assert_msg(strstr(fake->err.text, "5 bytes follow its 2"), "%s", fake->err.text);
    job = fake_model_post_bytes(fake, "\xff\xff\xff\xff", 4);
    ck_assert(!codec_binary_read(job, job->body, "s", &tensor, 1, &fake->err));
    ck_assert_msg(strstr(fake->err.text, "element 0 of 1 ends past"), "%s", fake->err.text);
    fake_model_free(fake);
}
END_TEST

START_TEST(what_is_written_is_read_back)
{
    struct fake_model *fake = fake_model_new("m");
    struct percept_string strings[] = {{"hello", 5}, {"", 0}};
    struct percept_tensor out = {.dtype = PERCEPT_STRING, .rank = 1, .dims = {2}, .data = strings};
    uint8_t bytes[32];
    size_t n;
    ck_assert(codec_binary_size(&out, &n));
    ck_assert_uint_eq(n, 13);
    ck_assert(codec_binary_write(bytes, &out, NULL));
    struct job *job = fake_model_post_bytes(fake, bytes, n);
    struct percept_tensor in = {.dtype = PERCEPT_STRING};
    ck_assert(codec_binary_read(job, job->body, "s", &in, 2, &fake->err));
    ck_assert(memcmp(((struct percept_string *)in.data)[0].at, "hello", 5) == 0);
    fake_model_free(fake);
}
END_TEST

START_TEST(sizes_are_compared_before_memory_is_taken)
{
    struct fake_model *fake = fake_model_new("m");
    struct job *job = fake_model_post(fake, "123456789");
    struct percept_tensor tensor = {.dtype = PERCEPT_FLOAT};
    ck_assert(!codec_binary_read(job, job->body, "x", &tensor, INT64_MAX / 4, &fake->err));
    ck_assert(!codec_binary_read(job, job->body, "x", &tensor, 2, &fake->err));
    ck_assert_str_eq(fake->err.text, "input byte size mismatch for input 'x' for model 'm'. Expected 8, got 9");
    tensor.dtype = PERCEPT_STRING;
    ck_assert(!codec_binary_read(job, job->body, "x", &tensor, (int64_t)1 << 40, &fake->err));
    ck_assert_uint_eq(fake->arena.used_bytes, 0);
    tensor.dtype = PERCEPT_BOOL;
    ck_assert(!codec_binary_read(job, job->body, "x", &tensor, 9, &fake->err));
    ck_assert_msg(strstr(fake->err.text, "element 0 of BOOL is 49"), "%s", fake->err.text);
    fake_model_free(fake);
}
END_TEST

START_TEST(a_raw_body_is_the_only_input)
{
    struct fake_model *fake = fake_model_new("m");
    fake_model_input(fake, "x", PERCEPT_INT16, 2, DIMS(-1, -1));
    fake_model_output(fake, "y", PERCEPT_FLOAT, 1, DIMS(-1));
    fake_model_batching(fake, 4);
    struct job *job = fake_model_post(fake, "abcdef");
    job->json_bytes = 0;
    ck_assert_msg(codec_json_decode(job, &fake->err), "%s", fake->err.text);
    ck_assert_int_eq(job->inputs[0].dims[0], 1);
    ck_assert_int_eq(job->inputs[0].dims[1], 3);
    ck_assert(job->outputs[0].binary);
    job = fake_model_post(fake, "abc");
    job->json_bytes = 0;
    ck_assert(!codec_json_decode(job, &fake->err));
    ck_assert_msg(strstr(fake->err.text, "input byte size mismatch"), "%s", fake->err.text);
    fake->served.batching = false;
    ck_assert(!codec_json_decode(job, &fake->err));
    ck_assert_msg(strstr(fake->err.text, "more than one variable-sized dimension"), "%s", fake->err.text);
    fake_model_input(fake, "z", PERCEPT_FLOAT, 1, DIMS(1));
    ck_assert(!codec_json_decode(job, &fake->err));
    ck_assert_msg(strstr(fake->err.text, "got 2 inputs in 'm' model configuration"), "%s", fake->err.text);
    fake_model_free(fake);
}
END_TEST

START_TEST(an_empty_body_is_no_tensor)
{
    struct fake_model *fake = fake_model_new("m");
    fake_model_input(fake, "x", PERCEPT_INT64, 2, DIMS(-1, 3));
    fake_model_output(fake, "y", PERCEPT_FLOAT, 1, DIMS(-1));
    struct job *job = fake_model_post(fake, "");
    job->json_bytes = 0;
    ck_assert(!codec_json_decode(job, &fake->err));
    ck_assert_int_eq(fake->err.code, ERR_INVALID);
    ck_assert_str_eq(fake->err.text, "the body is empty: expected the elements of input 'x' for "
                                     "model 'm', a multiple of 24 bytes");
    fake->inputs[0].dims[1] = 0; /* a model that needs no elements */
    ck_assert_msg(codec_json_decode(job, &fake->err), "%s", fake->err.text);
    fake_model_free(fake);
}
END_TEST

START_TEST(a_raw_body_may_be_one_string)
{
    struct fake_model *fake = fake_model_new("m");
    fake_model_input(fake, "s", PERCEPT_STRING, 1, DIMS(1));
    struct job *job = fake_model_post(fake, "picture");
    job->json_bytes = 0;
    ck_assert_msg(codec_json_decode(job, &fake->err), "%s", fake->err.text);
    ck_assert_uint_eq(((struct percept_string *)job->inputs[0].data)->n_bytes, 7);
    fake->inputs[0].dims[0] = 2;
    ck_assert(!codec_json_decode(job, &fake->err));
    ck_assert_msg(strstr(fake->err.text, "the model must have input shape [1]"), "%s", fake->err.text);
    fake_model_free(fake);
}
END_TEST

Suite *serve_codec_binary_suite(void)
{
    Suite *suite = suite_create("serve_codec_binary");
    TCase *tests = tcase_create("codec_binary");
    tcase_add_test(tests, strings_are_lengths_and_bytes);
    tcase_add_test(tests, what_is_written_is_read_back);
    tcase_add_test(tests, sizes_are_compared_before_memory_is_taken);
    tcase_add_test(tests, a_raw_body_is_the_only_input);
    tcase_add_test(tests, an_empty_body_is_no_tensor);
    tcase_add_test(tests, a_raw_body_may_be_one_string);
    suite_add_tcase(suite, tests);
    return suite;
}
