/* base64.c - tests of base/base64.c: RFC 4648's vectors, and what is none. */
#include "base/base64.h"

#include <check.h>

Suite *base_base64_suite(void);

static const struct {
    const char *plain, *text;
} rows[] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
    {"\xfb\xff\xfe", "+//+"},
};

START_TEST(texts_and_bytes_stand_for_each_other)
{
    char text[20];
    uint8_t plain[20];
    size_t n = base64_write(text, bytes_of_text(rows[_i].plain)), n_plain;
    ck_assert(bytes_is(bytes_of(text, n), rows[_i].text));
    ck_assert_uint_le(n, BASE64_WRITE_MAX(strlen(rows[_i].plain)));
    ck_assert(base64_read(bytes_of(text, n), plain, &n_plain));
    ck_assert(bytes_is(bytes_of(plain, n_plain), rows[_i].plain));
    ck_assert_uint_le(n_plain, BASE64_READ_MAX(n));
}
END_TEST

static const char *const none[] = {"Z",       "Zm9vY",    "Zg=",  "Zg===",    "Z===",  "====",
                                   "Zm9v=",   "Zh==",     "Zm9=", "Zg==Zg==", " Zg==", "Zg==\n",
                                   "Zm9\xc3", "Zm9v*g==", "Zm8",  "-__-",     "Zg=A"};

START_TEST(other_texts_are_none)
{
    uint8_t plain[20];
    size_t n;
    ck_assert_msg(!base64_read(bytes_of_text(none[_i]), plain, &n), "%s", none[_i]);
}
END_TEST

Suite *base_base64_suite(void)
{
    Suite *suite = suite_create("base/base64");
    TCase *tests = tcase_create("base64");
    tcase_add_loop_test(tests, texts_and_bytes_stand_for_each_other, 0, sizeof rows / sizeof *rows);
    tcase_add_loop_test(tests, other_texts_are_none, 0, sizeof none / sizeof *none);
    suite_add_tcase(suite, tests);
    return suite;
}
