/* parameters.c - what stands behind a header's value. */
#include "serve/parameters.h"

#include <check.h>

Suite *serve_parameters_suite(void);

static const struct {
    const char *field, *wanted, *value; /* NULL: there is none */
} found[] = {
    {"a/b; boundary=x", "boundary", "x"},
    {"a/b;boundary=x;c=d", "boundary", "x"},
    {"a/b; BOUNDARY = \"x;y\" ; c=d", "boundary", "x;y"},
    {"a/b; n=\"a\\\"b\\\\\"", "n", "a\"b\\"},
    {"a/b; n=\"open", "n", "\"open"},
    {"a/b; n=\"", "n", "\""},
    {"a/b; n=", "n", ""},
    {"a/b; n", "n", ""},
    {"a/b; n=\t1\t; n=2", "n", "1"},
    {"a/b; x=\"; n=1\"; n=2", "n", "2"},
    {"n=1", "n", NULL},
    {"", "n", NULL},
    {";", "n", NULL},
    {"a; n=12345678", "n", "12345678"},
    {"a; n=123456789", "n", NULL},
};

START_TEST(the_first_parameter_of_a_name_is_found)
{
    char value[8];
    const int n = parameters_find(bytes_of_text(found[_i].field), found[_i].wanted, value, sizeof value);
    ck_assert_int_eq(n, found[_i].value ? (int)strlen(found[_i].value) : -1);
    ck_assert(n < 1 || memcmp(value, found[_i].value, (size_t)n) == 0);
}
END_TEST

START_TEST(words_are_compared_without_case_and_blanks)
{
    ck_assert(parameters_same(bytes_of_text("aBc"), "AbC"));
    ck_assert(!parameters_same(bytes_of_text("ab"), "abc"));
    ck_assert(!parameters_same(bytes_of_text("abcd"), "abc"));
    ck_assert(bytes_is(parameters_trim(bytes_of_text(" \ta b\t ")), "a b"));
    ck_assert(bytes_is(parameters_trim(bytes_of_text(" \t ")), ""));
    ck_assert(parameters_blank(' ') && parameters_blank('\t') && !parameters_blank('\r'));
}
END_TEST

Suite *serve_parameters_suite(void)
{
    Suite *suite = suite_create("serve_parameters");
    TCase *tcase = tcase_create("parameters");
    tcase_add_loop_test(tcase, the_first_parameter_of_a_name_is_found, 0, (int)(sizeof found / sizeof *found));
    tcase_add_test(tcase, words_are_compared_without_case_and_blanks);
    suite_add_tcase(suite, tcase);
    return suite;
}
