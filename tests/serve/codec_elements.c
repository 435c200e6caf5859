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

/* Lists of floats are read many at a time; an element that is none is found all the same, and told with its place. */
START_TEST(what_is_no_number_is_told_wherever_it_stands)
{
    static const struct {
        const char *instead, *says;
    } cases[] = {
        {"x", "element %d is not a value of FP32: found 'x' at byte %d"},
        {"1e39", "element %d is not a value of FP32: found '1' at byte %d"},
        {"null", "element %d is not a value of FP32: found null at byte %d"},
        {"", "element %d is not a value of FP32: found a comma without a value before it at byte %d"},
    };
    struct fake_model *fake = fake_model_new("m");
    for (int n = 1; n <= 200; n += 1 + n / 9)
        for (int bad = 0; bad < n; bad += 1 + bad / 5)
            for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                char text[4000] = "[", says[200];
                size_t used = 1;
                int place = 0;
                for (int k = 0; k < n; k++) {
                    used += (size_t)sprintf(text + used, "%s", k ? k % 7 ? "," : ", " : "");
                    place = k == bad ? (int)used : place;
                    used += k == bad ? (size_t)sprintf(text + used, "%s", cases[i].instead)
                                     : (size_t)sprintf(text + used, "%d.5", k);
                }
                memcpy(text + used, ",0]", 4);
                ck_assert(!read_as(fake, text, PERCEPT_FLOAT, n + 1));
                snprintf(says, sizeof says, cases[i].says, bad, place);
                ck_assert_msg(strstr(fake->err.text, says), "%s: %s, not %s", text, fake->err.text, says);
            }
    fake_model_free(fake);
}
END_TEST

START_TEST(floats_of_long_lists_are_all_read_and_counted)
{
    struct fake_model *fake = fake_model_new("m");
    for (int n = 1; n <= 300; n++) {
        char text[6000] = "[[";
        size_t used = 2;
        for (int k = 0; k < n; k++)
            used += (size_t)sprintf(text + used, "%s%d.25", k == 0 ? "" : k % 50 == 0 ? "] ,[" : k % 3 ? "," : ", ", k);
        memcpy(text + used, "]]", 3);
        ck_assert_msg(read_as(fake, text, PERCEPT_FLOAT, n), "%s", fake->err.text);
        for (int k = 0; k < n; k++)
            ck_assert(((float *)tensor.data)[k] == (float)k + 0.25f);
        ck_assert(!read_as(fake, text, PERCEPT_FLOAT, n + 1));
        ck_assert(!read_as(fake, text, PERCEPT_FLOAT, n - 1));
        ck_assert_msg(strstr(fake->err.text, "has more than"), "%s", fake->err.text);
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
    tcase_add_test(tests, what_is_no_number_is_told_wherever_it_stands);
    tcase_add_test(tests, floats_of_long_lists_are_all_read_and_counted);
    suite_add_tcase(suite, tests);
    return suite;
}
