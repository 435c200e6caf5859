/* err.c - sentences, their place, and the table of errors. */
#include "base/err.h"

#include <check.h>
#include <string.h>

START_TEST(set_fills_code_and_sentence_and_is_false)
{
    struct percept_err err = {0};
    ck_assert(!err_set(&err, ERR_NOT_FOUND, "no file '%s'", "x"));
    ck_assert_int_eq(err.code, ERR_NOT_FOUND);
    ck_assert_str_eq(err.text, "no file 'x'");
    ck_assert_ptr_null(err_null(&err, ERR_INVALID, "n = %d", 3));
    ck_assert_str_eq(err.text, "n = 3");
}
END_TEST

START_TEST(nobody_need_listen)
{
    ck_assert(!err_set(NULL, ERR_INVALID, "x"));
    ck_assert(!err_prefix(NULL, "x"));
    ck_assert(!err_memory(NULL, "x", 1));
}
END_TEST

START_TEST(a_prefix_keeps_code_and_sentence)
{
    struct percept_err err = {0};
    err_set(&err, ERR_MODEL, "it is broken");
    ck_assert(!err_prefix(&err, "node '%s': ", "n"));
    ck_assert_int_eq(err.code, ERR_MODEL);
    ck_assert_str_eq(err.text, "node 'n': it is broken");
}
END_TEST

START_TEST(long_sentences_are_cut_and_ended)
{
    struct percept_err err;
    char text[2000];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = 0;
    err_set(&err, ERR_MODEL, "%s", text);
    ck_assert_uint_eq(strlen(err.text), sizeof err.text - 1);
    err_prefix(&err, "b");
    ck_assert_uint_eq(strlen(err.text), sizeof err.text - 1);
    ck_assert_int_eq(err.text[0], 'b');
    err_prefix(&err, "%s", text);
    ck_assert_uint_eq(strlen(err.text), sizeof err.text - 1);
}
END_TEST

START_TEST(every_row_has_a_name_a_status_and_a_meaning)
{
    for (int code = ERR_NONE + 1; code < ERR_COUNT; code++) {
        ck_assert_uint_gt(strlen(err_name(code)), 0);
        ck_assert_int_ge(err_status(code), 400);
        ck_assert_int_lt(err_status(code), 600);
        ck_assert_uint_gt(strlen(err_meaning(code)), 0);
    }
    ck_assert_str_eq(err_name(ERR_NOT_FOUND), "NOT_FOUND");
    ck_assert_int_eq(err_status(ERR_NOT_FOUND), 404);
}
END_TEST

START_TEST(an_unknown_code_is_our_fault)
{
    ck_assert_str_eq(err_name(9999), "INTERNAL");
    ck_assert_int_eq(err_status(-1), 500);
}
END_TEST

START_TEST(a_fault_of_the_configuration_is_one_unless_memory_was_short)
{
    struct percept_err err;
    err_set(&err, ERR_NOT_FOUND, "no such file");
    ck_assert(!err_config(&err));
    ck_assert_int_eq(err.code, ERR_CONFIG);
    ck_assert_str_eq(err.text, "no such file");
    err_memory(&err, "keys", 7);
    ck_assert(!err_config(&err));
    ck_assert_int_eq(err.code, ERR_MEMORY);
    ck_assert(!err_config(NULL));
}
END_TEST

START_TEST(each_code_has_the_row_of_its_own)
{
    static const struct {
        const char *name;
        int status;
        const char *meaning;
    } rows[ERR_COUNT] = {
#define E(name, status, sentence) [ERR_##name] = {#name, status, sentence},
#include "base/errors.def"
#undef E
    };
    for (int code = ERR_NONE + 1; code < ERR_COUNT; code++) {
        ck_assert_str_eq(err_name(code), rows[code].name);
        ck_assert_int_eq(err_status(code), rows[code].status);
        ck_assert_str_eq(err_meaning(code), rows[code].meaning);
    }
    ck_assert_str_eq(err_name(ERR_NONE), "INTERNAL"); /* whoever asks has an error */
    ck_assert_str_eq(err_name(ERR_COUNT), "INTERNAL");
    ck_assert_str_eq(err_meaning(-1), rows[ERR_INTERNAL].meaning);
}
END_TEST

START_TEST(a_prefix_fills_the_sentence_to_its_end)
{
    struct percept_err err;
    char text[sizeof err.text], prefix[sizeof err.text + 10];
    for (size_t n = sizeof text - 20; n < sizeof text + 5; n++) {
        memset(prefix, 'p', n);
        prefix[n] = '\0';
        err_set(&err, ERR_MODEL, "0123456789");
        ck_assert(!err_prefix(&err, "%s", prefix));
        memcpy(text, prefix, n < sizeof text ? n : sizeof text - 1);
        for (size_t i = n; i < sizeof text - 1; i++)
            text[i] = i < n + 10 ? (char)('0' + i - n) : '\0';
        text[sizeof text - 1] = '\0';
        ck_assert_str_eq(err.text, text);
    }
    ck_assert(!err_memory(&err, "a thing", 12));
    ck_assert_str_eq(err.text, "out of memory: a thing needs 12 bytes");
    ck_assert_int_eq(err.code, ERR_MEMORY);
}
END_TEST

Suite *base_err_suite(void)
{
    Suite *suite = suite_create("base/err");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, set_fills_code_and_sentence_and_is_false);
    tcase_add_test(tests, nobody_need_listen);
    tcase_add_test(tests, a_prefix_keeps_code_and_sentence);
    tcase_add_test(tests, long_sentences_are_cut_and_ended);
    tcase_add_test(tests, every_row_has_a_name_a_status_and_a_meaning);
    tcase_add_test(tests, an_unknown_code_is_our_fault);
    tcase_add_test(tests, a_fault_of_the_configuration_is_one_unless_memory_was_short);
    tcase_add_test(tests, each_code_has_the_row_of_its_own);
    tcase_add_test(tests, a_prefix_fills_the_sentence_to_its_end);
    suite_add_tcase(suite, tests);
    return suite;
}
