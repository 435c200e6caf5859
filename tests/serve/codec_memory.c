/*
 * codec_memory.c - inputs and outputs in a client's shared memory: through the JSON codec and V2's writer, with tables
 * of our own.
 */
#include "base/err.h"
#include "fake_model.h"
#include "serve/codec_parts.h"
#include "serve/encoder.h"
#include "shm_object.h"

#include <check.h>
#include <stdio.h>

Suite *serve_codec_memory_suite(void);

static struct fake_model *fake;
static struct client_shm *shm;
static struct shm_object object;
static const float numbers[8] = {1, 2, 3, 4, 5, 6, 7, 8};

/* x -> y, rows of two floats; the region "r" is all of an object of eight. */
static struct job *start(const char *text)
{
    fake = fake_model_new("m");
    fake_model_input(fake, "x", PERCEPT_FLOAT, 2, (int64_t[]){-1, 2});
    fake_model_output(fake, "y", PERCEPT_FLOAT, 2, (int64_t[]){-1, 2});
    fake_model_batching(fake, 8);
    object = shm_object_new('a', numbers, sizeof numbers);
    shm = client_shm_new(SHM_OBJECT_PREFIX, "perceptd", &fake->err);
    ck_assert(client_shm_register(shm, "r", bytes_of_text(object.key), 0, sizeof numbers, &fake->err));
    struct job *job = fake_model_post(fake, text);
    job->memory = client_shm_hold(shm);
    job->most_body_bytes = 1000;
    return job;
}

static void end(void)
{
    client_shm_release(fake->job.memory);
    client_shm_free(shm);
    shm_object_free(&object);
    fake_model_free(fake);
}

#define X(parameters) "{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[2,2],\"parameters\":{" parameters "}}"
#define MEMORY(offset, size)                                                                                           \
    "\"shared_memory_region\":\"r\",\"shared_memory_offset\":" offset ",\"shared_memory_byte_size\":" size
#define Y(parameters) ",\"outputs\":[{\"name\":\"y\",\"parameters\":{" parameters "}}]"
#define PLAIN "{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[2,2],\"data\":[1,2,3,4]}"

START_TEST(an_input_is_copied_out_of_memory)
{
    struct job *job = start("{\"inputs\":[" X(MEMORY("8", "16")) "]}");
    ck_assert_msg(codec_json_decode(job, &fake->err), "%s", fake->err.text);
    const float *x = job->inputs[0].data;
    shm_object_resize(&object, 0);
    ck_assert_float_eq(x[0], 3);
    ck_assert_float_eq(x[3], 6);
    ck_assert_uint_eq(job->held_bytes, 16);
    end();
}
END_TEST

static const struct {
    const char *body;
    int code;
    const char *says;
} refused[] = {
    {"{\"inputs\":[" X(MEMORY("0", "12")) "]}", ERR_INVALID,
     "input byte size mismatch for input 'x' for model 'm'. Expected 16, got 12"},
    {"{\"inputs\":[" X(MEMORY("20", "16")) "]}", ERR_INVALID,
     "Invalid offset + byte size for shared memory region: 'r'"},
    {"{\"inputs\":[" X(MEMORY("33", "16")) "]}", ERR_INVALID, "Invalid offset for shared memory region: 'r'"},
    {"{\"inputs\":[" X(MEMORY("18446744073709551615", "16")) "]}", ERR_INVALID, "Invalid offset for shared"},
    {"{\"inputs\":[" X(MEMORY("16", "18446744073709551615")) "]}", ERR_INVALID, "Invalid offset + byte size"},
    {"{\"inputs\":[" X(MEMORY("-1", "16")) "]}", ERR_INVALID, "shared_memory_offset"},
    {"{\"inputs\":[" X("\"shared_memory_region\":\"r\"") "]}", ERR_INVALID, "needs a 'shared_memory_byte_size'"},
    {"{\"inputs\":[" X("\"shared_memory_region\":7") "]}", ERR_INVALID, "shared_memory_region"},
    {"{\"inputs\":[" X("\"shared_memory_region\":\"q\",\"shared_memory_byte_size\":16") "]}", ERR_NOT_FOUND,
     "Unable to find system shared memory region: 'q'"},
    {"{\"inputs\":[" X("\"shared_memory_byte_size\":16") "]}", ERR_INVALID, "But no field is set"},
    {"{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[2,2],\"data\":[1,2,3,4],\"parameters\":{" MEMORY(
         "0", "16") "}}]}",
     ERR_INVALID, "But set 'data' 'shared_memory_region'"},
    {"{\"inputs\":[" X("\"binary_data_size\":16," MEMORY("0", "16")) "]}", ERR_INVALID,
     "But set 'binary_data_size' 'shared_memory_region'"},
    {"{\"inputs\":[" PLAIN "]" Y("\"binary_data\":true," MEMORY("0", "16")) "}", ERR_INVALID,
     "goes neither with 'binary_data' nor with 'classification'"},
    {"{\"inputs\":[" PLAIN "]" Y("\"classification\":1," MEMORY("0", "16")) "}", ERR_INVALID,
     "nor with 'classification'"},
    {"{\"inputs\":[" PLAIN "]" Y(MEMORY("30", "16")) "}", ERR_INVALID, "Invalid offset + byte size"},
    {"{\"inputs\":[" PLAIN "]" Y("\"shared_memory_region\":\"q\",\"shared_memory_byte_size\":16") "}", ERR_NOT_FOUND,
     "Unable to find system shared memory region: 'q'"},
};

START_TEST(what_does_not_fit_is_refused_with_the_protocols_words)
{
    struct job *job = start(refused[_i].body);
    ck_assert(!codec_json_decode(job, &fake->err));
    ck_assert_msg(strstr(fake->err.text, refused[_i].says) != NULL, "%s", fake->err.text);
    ck_assert_int_eq(fake->err.code, refused[_i].code);
    end();
}
END_TEST

START_TEST(memory_that_was_made_smaller_is_an_error)
{
    struct job *job = start("{\"inputs\":[" X(MEMORY("8", "16")) "]}");
    shm_object_resize(&object, 20);
    ck_assert(!codec_json_decode(job, &fake->err));
    ck_assert_int_eq(fake->err.code, ERR_INVALID);
    ck_assert_msg(strstr(fake->err.text, "region 'r': shared memory ends at byte 20") != NULL, "%s", fake->err.text);
    end();
}
END_TEST

START_TEST(what_comes_from_memory_counts_as_a_body)
{
    struct job *job = start("{\"inputs\":[" X(MEMORY("8", "16")) "]}");
    job->most_body_bytes = 15;
    ck_assert(!codec_json_decode(job, &fake->err));
    ck_assert_int_eq(fake->err.code, ERR_TOO_LARGE);
    end();
}
END_TEST

START_TEST(without_the_option_it_is_501_and_names_it)
{
    struct job *job =
        start(_i ? "{\"inputs\":[" PLAIN "]" Y(MEMORY("0", "16")) "}" : "{\"inputs\":[" X(MEMORY("0", "16")) "]}");
    client_shm_release(job->memory);
    job->memory = NULL;
    ck_assert(!codec_json_decode(job, &fake->err));
    ck_assert_int_eq(fake->err.code, ERR_UNSUPPORTED);
    ck_assert_msg(strstr(fake->err.text, CLIENT_SHM_DISABLED) != NULL, "%s", fake->err.text);
    end();
}
END_TEST

static int64_t tick(void)
{
    return 0;
}

static void answer(struct job *job, struct percept_tensor *result)
{
    ck_assert_msg(codec_json_decode(job, &fake->err), "%s", fake->err.text);
    ck_assert(!encoder_is_long(job, result));
    encoder_write(job, result, tick);
}

START_TEST(an_output_goes_to_memory_and_not_into_the_reply)
{
    float y[4] = {-1, -2, -3, -4}, got[8];
    struct percept_tensor result = {.dtype = PERCEPT_FLOAT, .rank = 2, .dims = {2, 2}, .data = y};
    struct job *job = start("{\"inputs\":[" PLAIN "]" Y(MEMORY("4", "20")) "}");
    answer(job, &result);
    ck_assert_msg(job->err.code == ERR_NONE, "%s", job->err.text);
    ck_assert(bytes_is(job->reply,
                       "{\"model_name\":\"m\",\"model_version\":\"1\",\"outputs\":[{\"name\":\"y\",\"datatype\":"
                       "\"FP32\",\"shape\":[2,2]}]}\n"));
    shm_object_read(&object, 0, got, sizeof got);
    ck_assert_float_eq(got[0], 1);
    ck_assert(memcmp(got + 1, y, sizeof y) == 0);
    ck_assert_float_eq(got[5], 6);
    end();
}
END_TEST

START_TEST(an_output_that_is_larger_than_its_place_is_refused)
{
    float y[4] = {0}, got[8];
    struct percept_tensor result = {.dtype = PERCEPT_FLOAT, .rank = 2, .dims = {2, 2}, .data = y};
    struct job *job = start("{\"inputs\":[" PLAIN "]" Y(MEMORY("4", "12")) "}");
    answer(job, &result);
    ck_assert_str_eq(job->err.text,
                     "shared memory size specified with the request for output 'y' (12 bytes) should be at "
                     "least 16 bytes to hold the results");
    shm_object_read(&object, 0, got, sizeof got);
    ck_assert(memcmp(got, numbers, sizeof got) == 0);
    end();
}
END_TEST

START_TEST(texts_have_their_lengths_in_memory)
{
    struct percept_string texts[] = {{"ab", 2}, {"", 0}};
    struct percept_tensor result = {.dtype = PERCEPT_STRING, .rank = 1, .dims = {2}, .data = texts};
    char got[10];
    struct job *job = start("{\"inputs\":[" PLAIN "]" Y(MEMORY("0", "32")) "}");
    answer(job, &result);
    ck_assert_msg(job->err.code == ERR_NONE, "%s", job->err.text);
    shm_object_read(&object, 0, got, sizeof got);
    ck_assert(memcmp(got, "\2\0\0\0ab\0\0\0\0", sizeof got) == 0);
    end();
}
END_TEST

Suite *serve_codec_memory_suite(void)
{
    Suite *suite = suite_create("serve/codec_memory");
    TCase *tcase = tcase_create("codec_memory");
    tcase_add_test(tcase, an_input_is_copied_out_of_memory);
    tcase_add_loop_test(tcase, what_does_not_fit_is_refused_with_the_protocols_words, 0,
                        sizeof refused / sizeof *refused);
    tcase_add_test(tcase, memory_that_was_made_smaller_is_an_error);
    tcase_add_test(tcase, what_comes_from_memory_counts_as_a_body);
    tcase_add_loop_test(tcase, without_the_option_it_is_501_and_names_it, 0, 2);
    tcase_add_test(tcase, an_output_goes_to_memory_and_not_into_the_reply);
    tcase_add_test(tcase, an_output_that_is_larger_than_its_place_is_refused);
    tcase_add_test(tcase, texts_have_their_lengths_in_memory);
    suite_add_tcase(suite, tcase);
    return suite;
}
