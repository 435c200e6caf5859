/* cors.c - tests of http/cors.c: which origins are in a list, and what may stand in it. */
#include "http/cors.h"

#include "base/err.h"

#include <check.h>
#include <string.h>

Suite *http_cors_suite(void);

static const struct {
    const char *origin, *allowed;
} rows[] = {
    {"https://app.example", "https://app.example"},
    {"http://localhost:3000", "http://localhost:3000"},
    {"https://app.example:443", NULL},
    {"http://app.example", NULL},
    {"https://app.example.evil", NULL},
    {"https://APP.example", NULL},
    {"null", NULL},
    {"", NULL},
    {"*", NULL},
};

START_TEST(origins_are_compared_whole)
{
    static const char *const list[] = {"https://app.example", "http://localhost:3000"}, *const all[] = {"*"};
    struct cors cors = {0};
    struct percept_err err;
    struct bytes origin = bytes_of_text(rows[_i].origin);
    ck_assert_ptr_null(cors_allowed(&cors, origin));
    ck_assert(cors_read(list, 2, &cors, &err));
    const char *allowed = cors_allowed(&cors, origin);
    ck_assert_int_eq(allowed != NULL, rows[_i].allowed != NULL);
    if (allowed)
        ck_assert_str_eq(allowed, rows[_i].allowed);
    ck_assert_ptr_null(cors_allowed(&cors, (struct bytes){0}));
    ck_assert(cors_read(all, 1, &cors, &err));
    ck_assert_str_eq(cors_allowed(&cors, origin), "*");
    ck_assert_ptr_null(cors_allowed(&cors, (struct bytes){0}));
}
END_TEST

static const char *const bad[] = {"",           "app.example", "https://", "https://a/",  "https://a/b",
                                  "https://A",  "://",         "null",     "https://a b", "https://a\r\nX: y",
                                  "Https://a",  "1http://a",   "**",       "https://*.a", "https://a?b=c",
                                  "https://u@a"};

START_TEST(what_is_no_origin_is_named)
{
    struct cors cors;
    struct percept_err err;
    ck_assert(!cors_read(&bad[_i], 1, &cors, &err));
    ck_assert_int_eq(err.code, ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.text, "--cors-origin"));
}
END_TEST

Suite *http_cors_suite(void)
{
    Suite *suite = suite_create("http/cors");
    TCase *tcase = tcase_create("cors");
    tcase_add_loop_test(tcase, origins_are_compared_whole, 0, sizeof rows / sizeof *rows);
    tcase_add_loop_test(tcase, what_is_no_origin_is_named, 0, sizeof bad / sizeof *bad);
    suite_add_tcase(suite, tcase);
    return suite;
}
