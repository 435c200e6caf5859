/* json.c - the cursor: strict, bounded, quiet after its first error. */
#include "serve/json.h"

#include "base/err.h"
#include "looks.h"

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
    static const char *const open[] = {"[", "[1,2,3,4,5,6,7,8", "[1,2,3,4,5,6,7,", "[\"", "[[1]", "1"};
    for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
        json = cursor(open[i]);
        ck_assert_msg(!json_skip_data(&json, &span), "%s was read", open[i]);
    }
}
END_TEST

START_TEST(data_ends_at_its_bracket_wherever_that_lies)
{
    static char text[70000];
    struct bytes span;
    for (size_t n = 2; n < sizeof text - 4; n += n < 300 || n > 65500 ? 1 : 5000) {
        for (int quoted = 0; quoted < 2 && n > 4; quoted++) {
            memset(text, '!', sizeof text);
            text[0] = '[';
            memcpy(text + n - (quoted ? 4 : 1), quoted ? "\"]\"]" : "]", quoted ? 4 : 1);
            memcpy(text + n, ",]", 3);
            struct json json = cursor(text);
            ck_assert(json_skip_data(&json, &span));
            ck_assert_uint_eq(bytes_size(span), n);
            json = cursor(text);
            json.end = json.begin + n - 1; /* its bracket is not there */
            ck_assert(!json_skip_data(&json, &span));
            ck_assert_ptr_eq(json.at, json.end);
        }
        if (n > 66000)
            break;
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

START_TEST(a_real_is_a_number_that_json_has)
{
    static const char *const wrong[] = {"NaN", "Infinity", "-Infinity", "1e999", "\"1\"", "true", "", "-", "[1]", "+1"};
    double value;
    struct json json = cursor(" -1.5e2,");
    ck_assert(json_real(&json, "a number", &value) && *json.at == ',');
    ck_assert_double_eq(value, -150);
    json = cursor("7");
    ck_assert(json_real(&json, "a number", &value) && json_finish(&json));
    ck_assert_double_eq(value, 7);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        json = cursor(wrong[i]);
        ck_assert_msg(!json_real(&json, "a number", &value) && json.failed, "%s", wrong[i]);
    }
    arena_free(&arena);
}
END_TEST

/* A comment is the fault; what stands behind it would do. */
START_TEST(behind_a_fault_every_reader_says_no)
{
    struct json_keys keys = {0};
    struct bytes text;
    bool flag;
    uint64_t number;
    double real;
    int64_t n = 0;
    struct json json = cursor("# true");
    ck_assert(!json_bool(&json, "a flag", &flag) && json.failed);
    char said[sizeof err.text];
    strcpy(said, err.text);
    ck_assert(strstr(said, "comment") != NULL);
    for (const char *left = "true 7 1.5 [ { } ] \"a\""; *left; left++) {
        json.at = (const uint8_t *)left;
        json.end = json.at + strlen(left);
        ck_assert(!json_bool(&json, "a flag", &flag) && !json_uint(&json, "a number", &number));
        ck_assert(!json_real(&json, "a number", &real) && !json_text(&json, "a text", &text));
        ck_assert(!json_open(&json, '[') && !json_open(&json, '{') && !json_item(&json, &n));
        ck_assert(!json_key(&json, &keys, &text) && !json_member(&json, &keys, &text) && !json_skip(&json));
        ck_assert(!json_skip_data(&json, &text) && !json_finish(&json));
    }
    ck_assert_str_eq(err.text, said);
}
END_TEST

START_TEST(what_is_skipped_lies_no_deeper_than_the_rest)
{
    static const char *const inner[] = {"[]", "{}"};
    for (int i = 0; i < 2; i++) {
        char text[2 * JSON_DEPTH_MAX + 4] = "";
        for (int depth = 0; depth < JSON_DEPTH_MAX; depth++)
            strcat(text, "[");
        strcat(text, inner[i]);
        struct json json = cursor(text);
        for (int depth = 0; depth < JSON_DEPTH_MAX - 1; depth++)
            ck_assert(json_open(&json, '['));
        ck_assert(json_open(&json, '[') && !json_skip(&json) && json.failed);
        json = cursor(text + 1);
        for (int depth = 0; depth < JSON_DEPTH_MAX - 1; depth++)
            ck_assert(json_open(&json, '['));
        ck_assert(json_skip(&json));
    }
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
    ck_assert(json_key(&json, &keys, &key) && json_text(&json, "t", &text) && bytes_is(text, "x\ny"));
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

/* What people write who take JSON for JavaScript or Python. */
START_TEST(faults_are_called_by_their_names)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"[1,2,]", "expected a value after ',', found a trailing comma before ']' at byte 5"},
        {"{\"a\":1 ,\n}", "found a trailing comma before '}' at byte 9"},
        {"[1,,2]", "found a comma without a value before it at byte 3"},
        {"[,1]", "a comma without a value before it at byte 1"},
        {"[1 2]", "expected ',' or ']', found '2' at byte 3"},
        {"{\"a\":1 \"b\":2}", "expected ',' or '}', found '\"' at byte 7"},
        {"[1, // one\n2]", "a comment, which JSON does not have, at byte 4"},
        {"/* c */ [1]", "a comment, which JSON does not have, at byte 0"},
        {"[1] # c", "a comment, which JSON does not have, at byte 4"},
        {"['a']", "found a single quote; JSON has strings and keys in double quotes at byte 1"},
        {"{'a':1}", "a single quote"},
        {"{a:1}", "expected a key in quotes, found 'a' at byte 1"},
        {"{info:1}", "expected a key in quotes, found 'i' at byte 1"},
        {"{nanobots:1}", "found 'n' at byte 1"},
        {"{\"a\":Nonesuch}", "expected a value, found 'N' at byte 5"},
        {"{\"a\":-inferior}", "expected a value, found '-' at byte 5"},
        {"[nan]", "it is written NaN, elsewhere not at all at byte 1"},
        {"[NaN]", "in tensors' data it is written NaN"},
        {"[-Infinity]", "in tensors' data it is written -Infinity"},
        {"[inf]", "a word for infinity"},
        {"[Infinity]", "a word for infinity"},
        {"[-inf]", "a word for infinity"},
        {"[True]", "a capital letter in true at byte 1"},
        {"[FALSE]", "a capital letter in false"},
        {"[None]", "Python's None; JSON has null"},
        {"[undefined]", "JavaScript's undefined"},
        {"[+1]", "a plus sign"},
        {"[01]", "a number with a zero in front"},
        {"[0x1f]", "a hexadecimal number"},
        {"[1_000]", "an underscore in a number"},
        {"[.5]", "a decimal point without a digit on both sides at byte 1"},
        {"[5.]", "a decimal point without a digit on both sides"},
        {"[1}", "expected ',' or ']', found '}' at byte 2"},
        {"{1:2}", "expected a key in quotes, found '1' at byte 1"},
        {"{\"a\" 1}", "expected ':' after a key, found '1' at byte 5"},
        {"{\"a\":1 \"b\":2}", "expected ',' or '}', found '\"' at byte 7"},
        {"{\"a\":[{2}]}", "expected a key in quotes, found '2' at byte 7"},
        {"\xef\xbb\xbf[1,]", "a trailing comma before ']' at byte 6"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json json = cursor(cases[i].text);
        ck_assert_msg(!(json_skip(&json) && json_finish(&json)), "%s was read", cases[i].text);
        ck_assert_msg(strstr(err.text, cases[i].part), "%s\nsays: %s\nnot: %s", cases[i].text, err.text, cases[i].part);
    }
}
END_TEST

START_TEST(a_byte_order_mark_is_stepped_over_once)
{
    struct json json = cursor("\xef\xbb\xbf {}");
    ck_assert(json_skip(&json) && json_finish(&json));
    json = cursor("\xef\xbb\xbf\xef\xbb\xbf{}");
    ck_assert(!json_skip(&json));
    json = cursor("{}\xef\xbb\xbf");
    ck_assert(!(json_skip(&json) && json_finish(&json)));
}
END_TEST

START_TEST(members_that_are_null_are_as_left_out)
{
    struct json json = cursor("{\"a\":null,\"b\" : null , \"c\":1,\"a\":2}");
    struct json_keys keys = {0};
    struct bytes key;
    ck_assert(json_open(&json, '{') && json_member(&json, &keys, &key) && bytes_is(key, "c"));
    ck_assert(json_skip(&json) && !json_member(&json, &keys, &key));
    ck_assert_msg(strstr(err.text, "key 'a' comes twice"), "%s", err.text);
    json = cursor("{\"a\":null}");
    keys = (struct json_keys){0};
    ck_assert(json_open(&json, '{') && !json_member(&json, &keys, &key) && json_finish(&json));
}
END_TEST

/* Numbers, strings, white space, brackets: each kind alone is long enough for several looks. */
START_TEST(nobody_reads_on_for_nobody)
{
    static const char *const parts[] = {"1.5,", "\"abcdefghijklmnop\",", "               \n   ", "[[],{}],",
                                        "\"\\n\\u0041\","};
    enum { N = 3000000 };
    char *text = malloc(N + 32);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        size_t n = strlen(parts[i]), used = 1;
        text[0] = '[';
        for (; used + n < N; used += n)
            memcpy(text + used, parts[i], n);
        strcpy(text + used, "0]");
        struct watch watch = looks_until(3);
        struct json json = cursor(text);
        json.watch = &watch;
        ck_assert_msg(!json_skip(&json), "%s", parts[i]);
        ck_assert_str_eq(err_name(err.code), "TIMEOUT");
        ck_assert_int_eq(looks_seen(), 4);
        struct bytes span;
        json = cursor(text);
        watch = looks_until(0);
        json.watch = &watch;
        ck_assert_msg(!json_skip_data(&json, &span), "%s", parts[i]);
        ck_assert_str_eq(err_name(err.code), "TIMEOUT");
    }
    free(text);
}
END_TEST

Suite *serve_json_suite(void)
{
    Suite *suite = suite_create("serve_json");
    TCase *tests = tcase_create("json");
    tcase_set_timeout(tests, 60); /* megabytes, also under sanitizers */
    tcase_add_test(tests, values_that_json_has_are_skipped);
    tcase_add_test(tests, what_json_does_not_have_is_refused);
    tcase_add_test(tests, a_million_brackets_are_refused_at_once);
    tcase_add_test(tests, data_is_found_by_its_brackets);
    tcase_add_test(tests, data_ends_at_its_bracket_wherever_that_lies);
    tcase_add_test(tests, an_object_has_so_many_keys_and_no_more);
    tcase_add_test(tests, a_real_is_a_number_that_json_has);
    tcase_add_test(tests, behind_a_fault_every_reader_says_no);
    tcase_add_test(tests, what_is_skipped_lies_no_deeper_than_the_rest);
    tcase_add_test(tests, keys_and_items_are_walked_and_a_key_may_come_once);
    tcase_add_test(tests, faults_are_called_by_their_names);
    tcase_add_test(tests, a_byte_order_mark_is_stepped_over_once);
    tcase_add_test(tests, members_that_are_null_are_as_left_out);
    tcase_add_test(tests, nobody_reads_on_for_nobody);
    suite_add_tcase(suite, tests);
    return suite;
}
