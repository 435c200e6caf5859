/* codec_elements.c - elements of every type out of JSON, with their ranges. */
#include "base/err.h"
#include "fake_model.h"
#include "serve/codec_parts.h"

#include <check.h>
#include <math.h>
#include <stdio.h>

Suite *serve_codec_elements_suite(void);

static struct percept_tensor tensor;

static bool read_as(struct fake_model *fake, const char *data, enum percept_dtype dtype, int64_t n)
{
    struct job *job = fake_model_post(fake, data);
    tensor = (struct percept_tensor){.dtype = dtype};
    return codec_elements_read(job, job->body, "x", &tensor, n, &fake->err);
}

START_TEST(integers_keep_to_the_range_of_their_type)
{
    static const struct {
        enum percept_dtype dtype;
        const char *fits, *below, *above;
    } cases[] = {
        {PERCEPT_INT8, "[-128,127]", "[-129]", "[128]"},
        {PERCEPT_INT16, "[-32768,32767]", "[-32769]", "[32768]"},
        {PERCEPT_INT32, "[-2147483648,2147483647]", "[-2147483649]", "[2147483648]"},
        {PERCEPT_INT64, "[-9223372036854775808,9223372036854775807]", "[-9223372036854775809]",
         "[9223372036854775808]"},
        {PERCEPT_UINT8, "[0,255]", "[-1]", "[256]"},
        {PERCEPT_UINT16, "[0,65535]", "[-1]", "[65536]"},
        {PERCEPT_UINT32, "[0,4294967295]", "[-1]", "[4294967296]"},
        {PERCEPT_UINT64, "[0,18446744073709551615]", "[-1]", "[18446744073709551616]"},
        {PERCEPT_BOOL, "[false,true]", "[-1]", "[2]"},
        {PERCEPT_BOOL, "[0,1]", "[null]", "[\"true\"]"},
    };
    struct fake_model *fake = fake_model_new("m");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_msg(read_as(fake, cases[i].fits, cases[i].dtype, 2), "%s", fake->err.text);
        ck_assert(!read_as(fake, cases[i].below, cases[i].dtype, 1));
        ck_assert_msg(strstr(fake->err.text, "input 'x': element 0 is not a value of"), "%s", fake->err.text);
        ck_assert(!read_as(fake, cases[i].above, cases[i].dtype, 1));
    }
    ck_assert(read_as(fake, "[-128,127]", PERCEPT_INT8, 2));
    ck_assert_int_eq(((int8_t *)tensor.data)[0], -128);
    ck_assert(read_as(fake, "[18446744073709551615]", PERCEPT_UINT64, 1));
    ck_assert_uint_eq(*(uint64_t *)tensor.data, UINT64_MAX);
    ck_assert(!read_as(fake, "[1.5]", PERCEPT_INT32, 1));
    ck_assert(read_as(fake, "[1e2]", PERCEPT_INT32, 1));
    fake_model_free(fake);
}
END_TEST

START_TEST(floats_may_be_nan_or_infinite_by_name_only)
{
    struct fake_model *fake = fake_model_new("m");
    ck_assert(read_as(fake, "[NaN, Infinity,-Infinity ,0.1]", PERCEPT_FLOAT, 4));
    const float *floats = tensor.data;
    ck_assert(isnan(floats[0]) && isinf(floats[1]) && floats[2] < 0 && floats[3] == 0.1f);
    ck_assert(read_as(fake, "[NaN,1e300]", PERCEPT_DOUBLE, 2));
    ck_assert(((double *)tensor.data)[1] == 1e300);
    static const char *const wrong[] = {"[1e39]", "[-1e999]", "[null]", "[nan]", "[\"1\"]",
                                        "[true]", "[+1]",     "[1 2]",  "[01]",  "[.5]"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_msg(!read_as(fake, wrong[i], PERCEPT_FLOAT, 1), "%s was read", wrong[i]);
    ck_assert(!read_as(fake, "[1e309]", PERCEPT_DOUBLE, 1));
    fake_model_free(fake);
}
END_TEST

START_TEST(strings_are_unescaped)
{
    struct fake_model *fake = fake_model_new("m");
    ck_assert(
        read_as(fake, "[\"plain\", [\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00]\", \"\"]]", PERCEPT_STRING, 3));
    const struct percept_string *strings = tensor.data;
    static const char decoded[] = "\"\\/\b\f\n\r\t\xc3\xa9\xf0\x9f\x98\x80]";
    ck_assert_uint_eq(strings[0].n_bytes, 5);
    ck_assert_uint_eq(strings[1].n_bytes, sizeof decoded - 1);
    ck_assert(memcmp(strings[1].at, decoded, sizeof decoded - 1) == 0);
    ck_assert_uint_eq(strings[2].n_bytes, 0);
    ck_assert(!read_as(fake, "[1]", PERCEPT_STRING, 1));
    ck_assert(!read_as(fake, "[\"\\udc00\"]", PERCEPT_STRING, 1));
    fake_model_free(fake);
}
END_TEST

START_TEST(only_the_number_of_elements_matters_not_their_nesting)
{
    struct fake_model *fake = fake_model_new("m");
    static const char *const right[] = {"[1,2,3,4]", "[[1,2],[3,4]]", "[[[1],[2]],[],[3,[4]]]",
                                        " [ [ ] , 1 , 2 , 3 , 4 ] "};
    for (size_t i = 0; i < sizeof right / sizeof *right; i++)
        ck_assert_msg(read_as(fake, right[i], PERCEPT_FLOAT, 4), "%s: %s", right[i], fake->err.text);
    static const char *const wrong[] = {"[1,2,3]",    "[1,2,3,4,5]", "[1,2,3,4,]", "[,1,2,3,4]",
                                        "[1,2,[3,4]", "[1,,2,3,4]",  "[1,2 3,4]",  "[[1,2],[3,4],]"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_msg(!read_as(fake, wrong[i], PERCEPT_FLOAT, 4), "%s was read", wrong[i]);
    char deep[260];
    for (int depth = 100; depth <= 101; depth++) {
        memset(deep, '[', (size_t)depth);
        deep[depth] = '1';
        memset(deep + depth + 1, ']', (size_t)depth);
        deep[2 * depth + 1] = '\0';
        ck_assert_int_eq(read_as(fake, deep, PERCEPT_FLOAT, 1), depth == 100);
    }
    fake_model_free(fake);
}
END_TEST

Suite *serve_codec_elements_suite(void)
{
    Suite *suite = suite_create("serve_codec_elements");
    TCase *tests = tcase_create("codec_elements");
    tcase_add_test(tests, integers_keep_to_the_range_of_their_type);
    tcase_add_test(tests, floats_may_be_nan_or_infinite_by_name_only);
    tcase_add_test(tests, strings_are_unescaped);
    tcase_add_test(tests, only_the_number_of_elements_matters_not_their_nesting);
    suite_add_tcase(suite, tests);
    return suite;
}
