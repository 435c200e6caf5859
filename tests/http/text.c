/* text.c - tests of http/text.c: growing, quoting, and memory that is short. */
#include "http/text.h"

#include <check.h>
#include <jansson.h>
#include <string.h>

static struct arena arena;
static struct text text;

static void start(void)
{
    text = (struct text){.arena = &arena};
}

static const char *done(void)
{
    text_bytes(&text, "", 1);
    ck_assert(!text.failed);
    return text.at;
}

START_TEST(pieces_are_joined_however_many)
{
    start();
    for (int i = 0; i < 10000; i++)
        text_printf(&text, "%04d", i);
    const char *all = done();
    ck_assert_uint_eq(text.n_bytes, 40001);
    ck_assert(memcmp(all, "000000010002", 12) == 0);
    ck_assert(memcmp(all + 39996, "9999", 5) == 0);
    arena_free(&arena);
}
END_TEST

START_TEST(json_strings_read_back)
{
    char value[300];
    for (int i = 1; i < 128; i++)
        value[i - 1] = (char)i;
    strcpy(value + 127, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    start();
    text_json(&text, value);
    json_error_t error;
    json_t *read = json_loads(done(), JSON_DECODE_ANY, &error);
    ck_assert_msg(read != NULL, "%s", error.text);
    ck_assert_str_eq(json_string_value(read), value);
    json_decref(read);
    arena_free(&arena);
}
END_TEST

static const struct {
    const char *value, *json;
} broken[] = {
    {"a\xff"
     "b",
     "\"a\xef\xbf\xbd"
     "b\""},
    {"\xc3", "\"\xef\xbf\xbd\""},
    {"\xc0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\""},
    {"\xe2\x82", "\"\xef\xbf\xbd\xef\xbf\xbd\""},
    {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
    {"\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
    {"\xf5\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\""},
    {"\x80", "\"\xef\xbf\xbd\""},
    {"\xe0\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
    {"\xf0\x8f\xbf\xbf", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
};

START_TEST(bytes_that_are_not_utf8_are_replaced)
{
    start();
    text_json(&text, broken[_i].value);
    ck_assert_str_eq(done(), broken[_i].json);
    arena_free(&arena);
}
END_TEST

START_TEST(bytes_with_a_nul_are_quoted_whole)
{
    text = (struct text){.arena = &arena};
    text_json_bytes(&text, bytes_of("a\0\"b", 4));
    ck_assert(bytes_is(bytes_of(text.at, text.n_bytes), "\"a\\u0000\\\"b\""));
    arena_free(&arena);
}
END_TEST

START_TEST(control_characters_are_escaped_for_terminals)
{
    ck_assert_str_eq(text_escaped(&arena, "a\x1b[2J\n\t\x7f\xc2\x80\xc2\x9f\xff"),
                     "a\\u001b[2J\\n\\u0009\\u007f\\u0080\\u009f\xef\xbf\xbd");
    ck_assert_str_eq(text_escaped(&arena, "\"it's\" \\ \xc2\xa0\xc3\xa9"), "\"it's\" \\ \xc2\xa0\xc3\xa9");
    ck_assert_str_eq(text_escaped(&arena, ""), "");
    struct arena none = {.limit_bytes = 1};
    ck_assert_str_eq(text_escaped(&none, "name"), "(out of memory)");
    ck_assert_str_eq(text_escaped(&arena, NULL), "(out of memory)");
    arena_free(&arena);
}
END_TEST

START_TEST(html_and_labels_are_quoted)
{
    start();
    text_html(&text, "<a href=\"x\">'&'</a>\n\001");
    ck_assert_str_eq(done(), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;\n\xef\xbf\xbd");
    start();
    text_label(&text, "a\"b\\c\nd{}");
    ck_assert_str_eq(done(), "\"a\\\"b\\\\c\\nd{}\"");
    arena_free(&arena);
}
END_TEST

START_TEST(short_memory_and_null_fail_and_stay_failed)
{
    start();
    arena_fail_at(1, false);
    text_add(&text, "a");
    ck_assert(text.failed);
    text_add(&text, "b");
    ck_assert_uint_eq(text.n_bytes, 0);
    start();
    text_json(&text, NULL);
    ck_assert(text.failed);
    arena_free(&arena);
}
END_TEST

Suite *http_text_suite(void)
{
    Suite *suite = suite_create("http/text");
    TCase *tcase = tcase_create("text");
    tcase_add_test(tcase, pieces_are_joined_however_many);
    tcase_add_test(tcase, json_strings_read_back);
    tcase_add_loop_test(tcase, bytes_that_are_not_utf8_are_replaced, 0, sizeof broken / sizeof broken[0]);
    tcase_add_test(tcase, bytes_with_a_nul_are_quoted_whole);
    tcase_add_test(tcase, control_characters_are_escaped_for_terminals);
    tcase_add_test(tcase, html_and_labels_are_quoted);
    tcase_add_test(tcase, short_memory_and_null_fail_and_stay_failed);
    suite_add_tcase(suite, tcase);
    return suite;
}
