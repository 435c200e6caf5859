/* json.c - the cursor: strict, bounded, quiet after its first error. */
#include "serve/json.h"

#include "base/err.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

Suite *serve_json_suite(void);

static struct arena arena;
static struct percept_err err;

static struct json cursor(const char *text)
{
    err = (struct percept_err){0};
    return json_of(bytes_of_text(text), &arena, &err);
}

START_TEST(values_that_json_has_are_skipped)
{
    static const char *const texts[] = {"null",
                                        "true",
                                        " false ",
                                        "0",
                                        "-1.5e+3",
                                        "\"a\\u0041\"",
                                        "[]",
                                        "{}",
                                        "[1,[2,{\"a\":[]}]]",
                                        "{\"a\":1,\"b\":{\"a\":2}}",
                                        "\"\xf0\x9f\x98\x80\"",
                                        "\t\r\n[ 1 , 2 ]"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct json json = cursor(texts[i]);
        ck_assert_msg(json_skip(&json) && json_finish(&json), "%s: %s", texts[i], err.text);
    }
}
END_TEST

START_TEST(what_json_does_not_have_is_refused)
{
    static const char *const texts[] = {"",
                                        "nul",
                                        "True",
                                        "NaN",
                                        "Infinity",
                                        "-Infinity",
                                        "01",
                                        "1.",
                                        "+1",
                                        "'a'",
                                        "\"",
                                        "\"\t\"",
                                        "\"\\u12g4\"",
                                        "\"\\udc00\"",
                                        "\"\\ud800\\u0041\"",
                                        "\"\xc0\x80\"",
                                        "\"\xed\xa0\x80\"",
                                        "\"\xf4\x90\x80\x80\"",
                                        "\"\xe2\x82\"",
                                        "[1,]",
                                        "[,1]",
                                        "[1 2]",
                                        "{1:2}",
                                        "{\"a\"}",
                                        "{\"a\":}",
                                        "{\"a\":1,}",
                                        "[1}",
                                        "[",
                                        "{",
                                        "1 2",
                                        "/**/1",
                                        "\"\\u00\""};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct json json = cursor(texts[i]);
        ck_assert_msg(!(json_skip(&json) && json_finish(&json)), "%s was read", texts[i]);
        ck_assert_int_eq(err.code, ERR_INVALID);
    }
}
END_TEST

START_TEST(a_million_brackets_are_refused_at_once)
{
    enum { N = 1000000 };
    char *text = malloc(N + 1);
    memset(text, '[', N);
    text[N] = '\0';
    struct json json = cursor(text);
    ck_assert(!json_skip(&json));
    ck_assert_int_eq(json.at - json.begin, JSON_DEPTH_MAX);
    struct bytes span;
    json = cursor(text);
    ck_assert(!json_skip_data(&json, &span));
    ck_assert_int_le(json.at - json.begin, JSON_DATA_DEPTH_MAX + 1);
    free(text);
}
END_TEST

START_TEST(data_is_found_by_its_brackets)
{
    struct json json = cursor(" [[1,2,3,4,5,6,7,8,9],[\"]]\\\"]\"],nonsense 1 2] , 5");
    struct bytes span;
    ck_assert(json_skip_data(&json, &span));
    ck_assert_int_eq(span.end[-1], ']');
    ck_assert_int_eq(span.at[0], '[');
    ck_assert_int_eq(json_peek(&json), ',');
    static const char *const open[] = {"[", "[1,2,3,4,5,6,7,8", "[1,2,3,4,5,6,7,", "[\"", "[[1]",
                                       "1"};
    for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
        json = cursor(open[i]);
        ck_assert_msg(!json_skip_data(&json, &span), "%s was read", open[i]);
    }
}
END_TEST

START_TEST(an_object_has_so_many_keys_and_no_more)
{
    char text[8192] = "{";
    size_t used = 1;
    for (int i = 0; i < 257; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s\"k%d\":0", i ? "," : "", i);
    snprintf(text + used, sizeof text - used, "}");
    struct json json = cursor(text);
    struct json_keys keys = {0};
    struct bytes key;
    int n = 0;
    ck_assert(json_open(&json, '{'));
    while (json_key(&json, &keys, &key) && json_skip(&json))
        n++;
    ck_assert_int_eq(n, 256);
    ck_assert(json.failed);
    ck_assert_msg(strstr(err.text, "more than 256 keys in one object") != NULL, "%s", err.text);
}
END_TEST

START_TEST(keys_and_items_are_walked_and_a_key_may_come_once)
{
    struct json json = cursor("{\"n\":7,\"t\":\"x\\ny\",\"b\":true,\"l\":[1,2]}");
    struct json_keys keys = {0};
    struct bytes key, text;
    uint64_t n;
    bool b;
    int64_t items = 0;
    ck_assert(json_open(&json, '{'));
    ck_assert(json_key(&json, &keys, &key) && bytes_is(key, "n") && json_uint(&json, "n", &n));
    ck_assert(json_key(&json, &keys, &key) && json_text(&json, "t", &text) &&
              bytes_is(text, "x\ny"));
    ck_assert(json_key(&json, &keys, &key) && json_bool(&json, "b", &b) && b);
    ck_assert(json_key(&json, &keys, &key) && json_open(&json, '['));
    while (json_item(&json, &items))
        ck_assert(json_skip(&json));
    ck_assert_int_eq(items, 2);
    ck_assert(!json_key(&json, &keys, &key) && json_finish(&json));
    json = cursor("{\"a\":1,\"\\u0061\":2}");
    keys = (struct json_keys){0};
    ck_assert(json_open(&json, '{') && json_key(&json, &keys, &key) && json_skip(&json));
    ck_assert(!json_key(&json, &keys, &key));
    ck_assert(!json_finish(&json) && !json_skip(&json));
    ck_assert_msg(strstr(err.text, "key 'a' comes twice"), "%s", err.text);
    arena_free(&arena);
}
END_TEST

Suite *serve_json_suite(void)
{
    Suite *suite = suite_create("serve_json");
    TCase *tests = tcase_create("json");
    tcase_add_test(tests, values_that_json_has_are_skipped);
    tcase_add_test(tests, what_json_does_not_have_is_refused);
    tcase_add_test(tests, a_million_brackets_are_refused_at_once);
    tcase_add_test(tests, data_is_found_by_its_brackets);
    tcase_add_test(tests, an_object_has_so_many_keys_and_no_more);
    tcase_add_test(tests, keys_and_items_are_walked_and_a_key_may_come_once);
    suite_add_tcase(suite, tests);
    return suite;
}
