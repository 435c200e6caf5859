/* unicode.c - kinds of code points, and normal forms, also of texts that are made to be slow. */
#include "pieces.h"

#include <stdio.h>
#include <stdlib.h>

#include <check.h>

Suite *serve_unicode_suite(void);

static void expect(enum unicode_form form, const char *from, const char *to)
{
    struct arena arena = {0};
    struct unicode_text text = {.arena = &arena};
    ck_assert(unicode_open(&pieces_err) && unicode_normalize(form, bytes_of_text(from), &text, NULL, &pieces_err));
    ck_assert_msg(bytes_is(unicode_bytes(&text), to), "%d of '%s': '%.*s', not '%s'", (int)form, from, (int)text.n,
                  (const char *)text.at, to);
    arena_free(&arena);
}

START_TEST(code_points_have_kinds)
{
    ck_assert(unicode_open(&pieces_err));
    ck_assert(unicode_is_letter('a') && unicode_is_letter(0x4e2d) && !unicode_is_letter('1') &&
              !unicode_is_letter(0x300));
    ck_assert(unicode_is_number('1') && unicode_is_number(0xbd) && !unicode_is_number('a'));
    ck_assert(unicode_is_mark(0x300) && unicode_is_mark(0x903) && !unicode_is_mark('a'));
    ck_assert(unicode_is_nonspacing(0x300) && !unicode_is_nonspacing(0x903));
    ck_assert(unicode_is_punctuation('!') && unicode_is_punctuation(0xbf) && !unicode_is_punctuation('$'));
    ck_assert(unicode_is_other(0) && unicode_is_other(0x200b) && unicode_is_other(0xe000) && !unicode_is_other('a'));
    ck_assert(!unicode_is_other(0x378)); /* not assigned */
    ck_assert(unicode_is_space(' ') && unicode_is_space(0x3000) && unicode_is_space(0x85) && !unicode_is_space(0x200b));
    ck_assert(!unicode_is_space(0x1c));
    ck_assert(unicode_is_word('_') && unicode_is_word(0x24d0) && unicode_is_word(0x200d) && unicode_is_word(0x903));
    ck_assert(!unicode_is_word('-') && !unicode_is_word(0xbd) && !unicode_is_word(0x1f600));
}
END_TEST

START_TEST(normal_forms_are_unicodes)
{
    expect(UNICODE_AS_IS, "e\u0301\ufb01", "e\u0301\ufb01");
    expect(UNICODE_NFC, "e\u0301\ufb01\u1100\u1161\u11a8", "\u00e9\ufb01\uac01");
    expect(UNICODE_NFD, "\u00e9\ufb01\uac01", "e\u0301\ufb01\u1100\u1161\u11a8");
    expect(UNICODE_NFKC, "e\u0301\ufb01\uff21", "\u00e9fiA");
    expect(UNICODE_NFKD, "\u00e9\ufb01", "e\u0301fi");
    expect(UNICODE_NFKC_CASEFOLD, "\u00c9Stra\u00dfe\u00ad\u03a3", "\u00e9strasse\u03c3");
    expect(UNICODE_NFC, "a\u0315\u0300\u05ae\u0300b", "\u00e0\u05ae\u0300\u0315b"); /* the test file of UAX 15 */
    expect(UNICODE_NFC, "\u0958", "\u0915\u093c"); /* composed forms that are excluded */
    expect(UNICODE_NFC, "\u09c7\u09be", "\u09cb"); /* a mark whose class is 0 */
    expect(UNICODE_NFC, "", "");
}
END_TEST

START_TEST(chunks_do_not_part_what_composes)
{
    enum { N = 5000 };
    static const char *const pairs[][2] = {
        {"a\u0301", "\u00e1"}, {"\u1100\u1161", "\uac00"}, {"\u09c7\u09be", "\u09cb"}, {"\u4e2d", "\u4e2d"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char *from = malloc(N * 8 + 1), *to = malloc(N * 8 + 1);
        size_t n = 0, m = 0;
        for (int k = 0; k < N; k++) {
            n += (size_t)sprintf(from + n, "%s", pairs[i][0]);
            m += (size_t)sprintf(to + m, "%s", pairs[i][1]);
        }
        expect(UNICODE_NFC, from, to);
        free(from);
        free(to);
    }
}
END_TEST

START_TEST(a_megabyte_of_marks_is_sorted_soon)
{
    const size_t n = 1 << 20;
    char *marks = malloc(n + 1);
    struct arena arena = {0};
    struct unicode_text text = {.arena = &arena};
    for (size_t i = 0; i < n; i += 4)
        memcpy(marks + i, "\u0301\u0323", 4);
    ck_assert(unicode_open(&pieces_err));
    ck_assert(unicode_normalize(UNICODE_NFD, bytes_of(marks, n), &text, NULL, &pieces_err));
    ck_assert(text.n == n && memcmp(text.at, "\u0323\u0323", 4) == 0 &&
              memcmp(text.at + n - 4, "\u0301\u0301", 4) == 0);
    free(marks);
    arena_free(&arena);
}
END_TEST

START_TEST(nobody_waits_for_what_is_over)
{
    const int cancel = 1;
    struct watch watch = {.cancel = &cancel};
    struct arena arena = {0};
    struct unicode_text text = {.arena = &arena};
    ck_assert(unicode_open(&pieces_err));
    ck_assert(!unicode_normalize(UNICODE_NFC, bytes_of_text("a"), &text, &watch, &pieces_err));
    ck_assert_int_eq(pieces_err.code, ERR_CANCELLED);
    arena_free(&arena);
}
END_TEST

Suite *serve_unicode_suite(void)
{
    Suite *suite = suite_create("serve_unicode");
    TCase *tests = tcase_create("unicode");
    tcase_add_checked_fixture(tests, NULL, pieces_free);
    tcase_add_test(tests, code_points_have_kinds);
    tcase_add_test(tests, normal_forms_are_unicodes);
    tcase_add_test(tests, chunks_do_not_part_what_composes);
    tcase_add_test(tests, a_megabyte_of_marks_is_sorted_soon);
    tcase_add_test(tests, nobody_waits_for_what_is_over);
    suite_add_tcase(suite, tests);
    return suite;
}
