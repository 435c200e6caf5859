/* letter.c - tests of base/letter.c: capital and small letters. */
#include "base/letter.h"
#include "base/utf8.h"

#include <check.h>

START_TEST(letters_have_their_counterparts)
{
    static const struct {
        uint32_t capital, small;
    } pairs[] = {{'A', 'a'},       {'Z', 'z'},         {0xc4, 0xe4},       {0x178, 0xff},
                 {0x100, 0x101},   {0x147, 0x148},     {0x3a9, 0x3c9},     {0x42f, 0x44f},
                 {0x10a0, 0x2d00}, {0x1c90, 0x10d0},   {0x13a0, 0xab70},   {0x24b6, 0x24d0},
                 {0xff21, 0xff41}, {0x10400, 0x10428}, {0x1e921, 0x1e943}, {0x23a, 0x2c65}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        ck_assert_uint_eq(letter_lower(pairs[i].capital), pairs[i].small);
        ck_assert_uint_eq(letter_upper(pairs[i].small), pairs[i].capital);
        ck_assert_uint_eq(letter_lower(pairs[i].small), pairs[i].small);
        ck_assert_uint_eq(letter_upper(pairs[i].capital), pairs[i].capital);
    }
}
END_TEST

/* Those with a counterpart in one direction, and letters of title case, which have both. */
START_TEST(odd_letters_are_as_unicode_has_them)
{
    ck_assert_uint_eq(letter_lower(0x130), 'i');
    ck_assert_uint_eq(letter_upper(0x131), 'I');
    ck_assert_uint_eq(letter_lower(0x212a), 'k');
    ck_assert_uint_eq(letter_upper(0x3c2), 0x3a3);
    ck_assert_uint_eq(letter_lower(0x1c5), 0x1c6);
    ck_assert_uint_eq(letter_upper(0x1c5), 0x1c4);
    ck_assert_uint_eq(letter_upper(0xdf), 0xdf);
    ck_assert_uint_eq(letter_lower(0x1e9e), 0xdf);
    static const uint32_t others[] = {0, '0', '@', '[', '`', '{', 0xd7, 0xf7, 0x4e00, 0x1f600, 0x10ffff, UINT32_MAX};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        ck_assert_uint_eq(letter_lower(others[i]), others[i]);
        ck_assert_uint_eq(letter_upper(others[i]), others[i]);
    }
}
END_TEST

START_TEST(all_of_them_are_there_and_grow_by_a_byte_at_most)
{
    int n_lower = 0, n_upper = 0;
    char text[UTF8_MAX];
    for (uint32_t code = 0; code < 0x110000; code++) {
        const uint32_t lower = letter_lower(code), upper = letter_upper(code);
        n_lower += lower != code;
        n_upper += upper != code;
        if (lower == code && upper == code)
            continue;
        const size_t n = utf8_write(text, code);
        if (utf8_write(text, lower) > n + 1 || utf8_write(text, upper) > n + 1 || letter_lower(lower) != lower)
            ck_abort_msg("U+%04X", code);
    }
    ck_assert_int_eq(n_lower, 26 + 1407); /* Unicode 14 */
    ck_assert_int_eq(n_upper, 26 + 1424);
}
END_TEST

Suite *base_letter_suite(void)
{
    Suite *suite = suite_create("base/letter");
    TCase *tcase = tcase_create("letter");
    tcase_add_test(tcase, letters_have_their_counterparts);
    tcase_add_test(tcase, odd_letters_are_as_unicode_has_them);
    tcase_add_test(tcase, all_of_them_are_there_and_grow_by_a_byte_at_most);
    suite_add_tcase(suite, tcase);
    return suite;
}
