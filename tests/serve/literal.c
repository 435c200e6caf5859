/* Literals of Python and JSON: what is read, and hostile ones. */
#include "serve/literal.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static const struct literal *python(const char *text, struct arena *arena)
{
    struct percept_err err;
    return literal_python(bytes_of_text(text), arena, &err);
}

START_TEST(texts_are_those_of_repr)
{
    static const struct {
        const char *text, *wanted;
    } rows[] = {
        {"'cat'", "cat"},
        {"\"dog's\"", "dog's"},
        {"'a\\\\b\\'c\\\"d\\n\\r\\t'", "a\\b'c\"d\n\r\t"},
        {"'\\xe9\\u20ac\\U0001f600'", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"'\xc3\xa9'", "\xc3\xa9"},
        {"''", ""},
        {" ('x') ", "x"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena arena = {0};
        const struct literal *literal = python(rows[i].text, &arena);
        ck_assert_msg(literal && literal->kind == LITERAL_TEXT, "%s", rows[i].text);
        ck_assert_str_eq(literal->text, rows[i].wanted);
        arena_free(&arena);
    }
}
END_TEST

/* What stands behind the end is not read, space least of all. */
START_TEST(a_text_ends_where_it_is_said_to_end)
{
    static const char *const rows[] = {"1 ", "1\n", "1\t", "12", "1,"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena arena = {0};
        struct percept_err err = {0};
        int64_t whole;
        const struct literal *literal = literal_python(bytes_of(rows[i], 1), &arena, &err);
        ck_assert_msg(literal && literal_whole(literal, 0, 9, &whole) && whole == 1, "row %zu: %s", i, err.text);
        arena_free(&arena);
    }
}
END_TEST

START_TEST(lists_and_dicts_nest)
{
    struct arena arena = {0};
    int64_t whole;
    const struct literal *dict = python("{'a': [1, -2.5, (3,)], 'b': {0: None, 1: True}, 'c': 1e-05, }", &arena);
    ck_assert_ptr_nonnull(dict);
    const struct literal *list = literal_get(dict, "a");
    ck_assert_int_eq(list->n, 3);
    ck_assert(literal_whole(list->first, 0, 9, &whole) && whole == 1);
    ck_assert(!literal_whole(list->first->next, -9, 9, &whole));
    ck_assert_double_eq(list->first->next->number, -2.5);
    ck_assert_int_eq(list->first->next->next->kind, LITERAL_LIST);
    ck_assert_int_eq(literal_get(literal_get(dict, "b"), "0")->kind, LITERAL_NOTHING);
    ck_assert(literal_get(literal_get(dict, "b"), "1")->truth);
    ck_assert(literal_get(literal_get(dict, "b"), "1")->key_is_number);
    ck_assert_double_eq(literal_get(dict, "c")->number, 1e-05);
    ck_assert_ptr_null(literal_get(dict, "d"));
    ck_assert_ptr_null(literal_get(list, "a"));
    ck_assert_ptr_null(literal_get(NULL, "a"));
    arena_free(&arena);
}
END_TEST

START_TEST(texts_by_number_are_complete)
{
    static const struct {
        const char *text;
        int n; /* -1: none */
    } rows[] = {{"{1: 'b', 0: 'a'}", 2},
                {"['a', 'b', 'c']", 3},
                {"{0: 'a', 2: 'c'}", -1},
                {"{0: 'a', 1: 1}", -1},
                {"{-1: 'a'}", -1},
                {"{'01': 'a', '0': 'b'}", -1},
                {"'abc'", -1},
                {"[]", 0},
                {"{'0': 'a', '1': 'b'}", 2},
                {"{0.5: 'a'}", -1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena arena = {0};
        int n = -1;
        const char *const *texts = literal_texts(python(rows[i].text, &arena), &arena, &n);
        ck_assert_msg((texts ? n : -1) == rows[i].n, "%s", rows[i].text);
        if (rows[i].n > 1)
            ck_assert_str_eq(texts[1], "b");
        arena_free(&arena);
    }
}
END_TEST

START_TEST(what_is_no_literal_is_refused)
{
    static const char *const rows[] = {
        "",
        "nan",
        "inf",
        "-inf",
        "1e999",
        "__import__('os')",
        "{1, 2}",
        "{'a' 1}",
        "{'a': 1 'b': 2}",
        "[1 2]",
        "[1,,2]",
        "'a",
        "'a\nb'",
        "'\\q'",
        "'\\x0'",
        "'\\x00'",
        "'\\ud800'",
        "'\\U00110000'",
        "'a' 'b'",
        "b'a'",
        "[1]]",
        "{'a': 1, 'a': 2}",
        "{0: 1, 0: 2}",
        "{[1]: 2}",
        "{1e10: 2}",
        "lambda: 1",
        "PosixPath('x')",
        "'\xff'",
        "-",
        "+1",
        "'\\",
        "{'a':",
        "(",
        "{None: 1}",
        "Truer",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena arena = {0};
        ck_assert_msg(python(rows[i], &arena) == NULL, "%s", rows[i]);
        arena_free(&arena);
    }
}
END_TEST

/* So many of a byte, then the end. */
static const struct literal *many(const char *unit, size_t n, struct arena *arena)
{
    const size_t length = strlen(unit);
    char *text = malloc(n * length + 1);
    ck_assert_ptr_nonnull(text);
    for (size_t i = 0; i < n; i++)
        memcpy(text + i * length, unit, length);
    text[n * length] = '\0';
    const struct literal *literal = python(text, arena);
    free(text);
    return literal;
}

START_TEST(depth_and_length_are_bounded)
{
    struct arena arena = {0};
    ck_assert_ptr_null(many("[", 1000000, &arena));
    ck_assert_ptr_null(many("{0:", 100000, &arena));
    ck_assert_ptr_null(many("(", 17, &arena));
    ck_assert_ptr_null(many("9", 5000000, &arena));
    arena_free(&arena);
    ck_assert_ptr_nonnull(python("[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]", &arena));
    ck_assert_ptr_null(python("[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]", &arena));
    char *list = malloc(2 * (LITERAL_MAX_ELEMENTS + 1) + 3);
    ck_assert_ptr_nonnull(list);
    char *at = list;
    *at++ = '[';
    for (int i = 0; i <= LITERAL_MAX_ELEMENTS; i++) {
        *at++ = '1';
        *at++ = ',';
    }
    strcpy(at, "]");
    ck_assert_ptr_null(python(list, &arena));
    strcpy(at - 2, "]");
    ck_assert_ptr_nonnull(python(list, &arena));
    free(list);
    arena_free(&arena);
}
END_TEST

START_TEST(every_cut_and_flip_is_survived)
{
    static const char text[] = "{0: 'person', 1: \"dog's\", 2: 'caf\\xe9', 'k': [1, 2.5, (True, None)], 'e': {}}";
    static const char json[] = "{\"a\": [1, 2.5, {\"b\": null}], \"c\": \"\\u00e9\", \"d\": true}";
    for (int kind = 0; kind < 2; kind++) {
        const char *whole = kind ? json : text;
        const size_t n = strlen(whole);
        for (size_t i = 0; i < n * 9; i++) {
            struct arena arena = {0};
            struct percept_err err;
            const size_t length = i < n ? i : n;
            uint8_t *copy = malloc(length + 1);
            ck_assert_ptr_nonnull(copy);
            memcpy(copy, whole, length);
            if (i >= n)
                copy[i % n] ^= (uint8_t)(1u << (i / n - 1));
            const struct literal *literal =
                (kind ? literal_json : literal_python)(bytes_of(copy, length), &arena, &err);
            ck_assert(i >= n || literal == NULL);
            free(copy);
            arena_free(&arena);
        }
    }
}
END_TEST

START_TEST(json_becomes_the_same_tree)
{
    struct arena arena = {0};
    struct percept_err err;
    const struct literal *map =
        literal_json(bytes_of_text("{\"0\": \"a\", \"n\": null, \"t\": true, \"x\": [1, -2e1]}"), &arena, &err);
    ck_assert_ptr_nonnull(map);
    ck_assert_str_eq(literal_get(map, "0")->text, "a");
    ck_assert(!literal_get(map, "0")->key_is_number);
    ck_assert_int_eq(literal_get(map, "n")->kind, LITERAL_NOTHING);
    ck_assert(literal_get(map, "t")->truth);
    ck_assert_double_eq(literal_get(map, "x")->first->next->number, -20);
    static const char *const wrong[] = {"",    "{\"a\": 1, \"a\": 2}",
                                        "NaN", "{\"a\": \"\\u0000\"}",
                                        "[1",  "1 2",
                                        "{",   "{\"a\"}",
                                        "'a'", "[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_msg(literal_json(bytes_of_text(wrong[i]), &arena, &err) == NULL, "%s", wrong[i]);
    arena_free(&arena);
}
END_TEST

/* All of it or nothing, whichever piece it is that memory is short for. */
START_TEST(what_memory_is_short_for_is_not_read)
{
    static const char text[] = "{\"a\": {\"b\": [[1], \"two\", {}, []]}, \"c\": \"d\"}";
    for (int kind = 0; kind < 2; kind++) {
        const struct literal *map = NULL;
        for (size_t limit = 1; !map; limit += 7) {
            struct arena arena = {.limit_bytes = limit};
            struct percept_err err = {0};
            ck_assert_uint_lt(limit, 10000);
            map = (kind ? literal_json : literal_python)(bytes_of_text(text), &arena, &err);
            ck_assert((map == NULL) == (err.code != 0));
            if (map) {
                const struct literal *list = literal_get(literal_get(map, "a"), "b");
                ck_assert(list && list->n == 4 && list->first->n == 1 && literal_get(map, "c"));
                ck_assert_str_eq(list->first->next->text, "two");
            }
            arena_free(&arena);
        }
    }
}
END_TEST

Suite *serve_literal_suite(void);
Suite *serve_literal_suite(void)
{
    Suite *suite = suite_create("serve_literal");
    TCase *tests = tcase_create("literal");
    tcase_add_test(tests, texts_are_those_of_repr);
    tcase_add_test(tests, a_text_ends_where_it_is_said_to_end);
    tcase_add_test(tests, lists_and_dicts_nest);
    tcase_add_test(tests, texts_by_number_are_complete);
    tcase_add_test(tests, what_is_no_literal_is_refused);
    tcase_add_test(tests, depth_and_length_are_bounded);
    tcase_add_test(tests, every_cut_and_flip_is_survived);
    tcase_add_test(tests, what_memory_is_short_for_is_not_read);
    tcase_add_test(tests, json_becomes_the_same_tree);
    suite_add_tcase(suite, tests);
    return suite;
}
