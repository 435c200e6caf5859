/* font.c - every printable character has a letter of its own. */
#include "serve/font.h"

#include <check.h>
#include <string.h>

Suite *serve_font_suite(void);

START_TEST(letters_differ)
{
    for (uint32_t a = 32; a <= 127; a++)
        for (uint32_t b = 32; b < a; b++)
            ck_assert_msg(memcmp(font_letter(a), font_letter(b), FONT_HEIGHT) != 0, "%c and %c", (int)a, (int)b);
}
END_TEST

START_TEST(they_keep_to_their_grid)
{
    for (uint32_t code = 32; code <= 127; code++)
        for (int row = 0; row < FONT_HEIGHT; row++)
            ck_assert_int_lt(font_letter(code)[row], 1 << FONT_WIDTH);
    for (int row = 0; row < FONT_HEIGHT; row++)
        ck_assert_int_eq(font_letter(' ')[row], 0);
    ck_assert_int_eq(font_letter('T')[0], 31);
    ck_assert_int_eq(font_letter('T')[6], 4);
}
END_TEST

START_TEST(what_is_not_ascii_is_a_frame)
{
    ck_assert_ptr_eq(font_letter(0), font_letter(0x1f600));
    ck_assert_ptr_eq(font_letter(31), font_letter(127));
    ck_assert_ptr_eq(font_letter(UINT32_MAX), font_letter(127));
}
END_TEST

Suite *serve_font_suite(void)
{
    Suite *suite = suite_create("serve_font");
    TCase *tests = tcase_create("font");
    tcase_add_test(tests, letters_differ);
    tcase_add_test(tests, they_keep_to_their_grid);
    tcase_add_test(tests, what_is_not_ascii_is_a_frame);
    suite_add_tcase(suite, tests);
    return suite;
}
