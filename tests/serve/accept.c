/* accept.c - tests of serve/accept.c: entries of a list, and their weights. */
#include "serve/accept.h"

#include <check.h>
#include <stdio.h>

Suite *serve_accept_suite(void);

static const struct {
    const char *list, *entries; /* NAME=WEIGHT, each behind a blank */
} lists[] = {
    {"", ""},
    {"gzip", " gzip=1000"},
    {"gzip,deflate", " gzip=1000 deflate=1000"},
    {" gzip ; q=0.5 ,\tdeflate;q=0", " gzip=500 deflate=0"},
    {"a;x=1;q=0.125;y=2", " a=125"},
    {"a;Q=1.000, *;q=0.001", " a=1000 *=1"},
    {"a;q=7", " a=1000"},
    {"a;q=-1, b;q=nonsense, c;q=", " a=1000 b=1000 c=1000"},
    {",, ;q=0.5,", " =1000 =1000 =500"},
};

START_TEST(entries_have_names_and_weights)
{
    char text[200] = "";
    struct bytes list = bytes_of_text(lists[_i].list);
    struct accept_range range;
    for (size_t n = 0; accept_next(&list, &range);)
        n += (size_t)snprintf(text + n, sizeof text - n, " " BYTES_FMT "=%d", BYTES_ARG(range.name), range.weight);
    ck_assert_str_eq(text, lists[_i].entries);
}
END_TEST

START_TEST(no_header_has_no_entries)
{
    struct bytes none = {0};
    struct accept_range range;
    ck_assert(!accept_next(&none, &range));
}
END_TEST

Suite *serve_accept_suite(void)
{
    Suite *suite = suite_create("serve/accept");
    TCase *tcase = tcase_create("accept");
    tcase_add_loop_test(tcase, entries_have_names_and_weights, 0, sizeof lists / sizeof *lists);
    tcase_add_test(tcase, no_header_has_no_entries);
    suite_add_tcase(suite, tcase);
    return suite;
}
