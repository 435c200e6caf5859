/* utf8.c - tests of base/utf8.h: every code point goes both ways, and nothing else is read. */
#include "base/utf8.h"

#include <check.h>

#include "edge.h"

Suite *base_utf8_suite(void);

static bool is_code_point(uint32_t code)
{
    return code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
}

/* Read from memory that ends with it; 0 and *code as it was where it is refused. */
static size_t read_of(const void *at, size_t n, uint32_t *code)
{
    const uint8_t *start = at, *next = utf8_read(start, start + n, code);
    return next ? (size_t)(next - start) : 0;
}

START_TEST(every_code_point_goes_both_ways)
{
    for (uint32_t code = 0; code <= 0x110000; code++) {
        uint8_t text[UTF8_MAX + 1] = {0};
        uint32_t read = 0xabcdef;
        const size_t n = utf8_write(text, code), expected = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
        if (n != expected)
            ck_abort_msg("U+%04X is written in %zu bytes", code, n);
        const size_t n_read = read_of(text, n, &read);
        if (n_read != (is_code_point(code) ? n : 0) || read != (is_code_point(code) ? code : 0xabcdef))
            ck_abort_msg("U+%04X is read as U+%04X, %zu bytes", code, read, n_read);
    }
}
END_TEST

START_TEST(what_is_cut_is_refused)
{
    static const char *const texts[] = {"\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    struct edge edge = edge_new();
    for (size_t i = 0; i < 3; i++) {
        uint32_t code = 7;
        for (size_t n = 1; n < i + 2; n++)
            ck_assert_uint_eq(read_of(edge_bytes(&edge, texts[i], n).at, n, &code), 0);
        ck_assert_uint_eq(code, 7);
        ck_assert_uint_eq(read_of(edge_bytes(&edge, texts[i], i + 2).at, i + 2, &code), i + 2);
    }
    for (size_t n = 0; n <= 3; n++)
        ck_assert_uint_eq(bytes_size(utf8_past_mark(edge_bytes(&edge, "\xef\xbb\xbf", n))), n % 3);
    for (size_t n = 0; n <= 2; n++)
        ck_assert(utf8_is_wide(edge_bytes(&edge, "\xfe\xff", n)) == (n == 2));
    edge_free(&edge);
}
END_TEST

/* By Unicode's table 3-7, which names the second bytes of each lead. */
static size_t length_by_table(const uint8_t *at)
{
    const uint8_t lead = at[0];
    const size_t n = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
    const uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    const uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (n > 1 && (at[1] < low || at[1] > high))
        return 0;
    for (size_t i = 2; i < n; i++)
        if (at[i] < 0x80 || at[i] > 0xbf)
            return 0;
    return n;
}

START_TEST(all_pairs_of_bytes_are_read_as_unicode_tells)
{
    static const uint8_t ends[] = {0x00, 0x7f, 0x80, 0xbf, 0xc0, 0xff};
    for (unsigned pair = 0; pair < 0x10000; pair++)
        for (size_t i = 0; i < sizeof ends * sizeof ends; i++) {
            const uint8_t text[] = {(uint8_t)(pair >> 8), (uint8_t)pair, ends[i / sizeof ends], ends[i % sizeof ends]};
            uint32_t code;
            const size_t n = read_of(text, sizeof text, &code);
            if (n != length_by_table(text))
                ck_abort_msg("%02x %02x %02x %02x: %zu bytes", text[0], text[1], text[2], text[3], n);
        }
}
END_TEST

START_TEST(a_mark_at_the_beginning_is_passed_by)
{
    ck_assert(bytes_is(utf8_past_mark(bytes_of_text("\xef\xbb\xbfhi")), "hi"));
    ck_assert(bytes_is(utf8_past_mark(bytes_of_text("\xef\xbb\xbf")), ""));
    static const char *const others[] = {"", "hi", "\xef\xbb", "\xef\xbbxhi", "\xefxx\xbf", "x\xbb\xbf", "\xefx\xbf"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        ck_assert(bytes_is(utf8_past_mark(bytes_of_text(others[i])), others[i]));
}
END_TEST

START_TEST(two_byte_letters_are_told_by_their_mark)
{
    ck_assert(utf8_is_wide(bytes_of_text("\xfe\xff")));
    ck_assert(utf8_is_wide(bytes_of_text("\xff\xfe")));
    static const char *const others[] = {"",      "\xfe",  "\xff",  "\xfe\xfe", "\xff\xff",
                                         "x\xff", "\xfex", "\xffx", "x\xfe"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        ck_assert(!utf8_is_wide(bytes_of_text(others[i])));
}
END_TEST

Suite *base_utf8_suite(void)
{
    Suite *suite = suite_create("base/utf8");
    TCase *tests = tcase_create("utf8");
    tcase_add_test(tests, every_code_point_goes_both_ways);
    tcase_add_test(tests, what_is_cut_is_refused);
    tcase_add_test(tests, all_pairs_of_bytes_are_read_as_unicode_tells);
    tcase_add_test(tests, a_mark_at_the_beginning_is_passed_by);
    tcase_add_test(tests, two_byte_letters_are_told_by_their_mark);
    suite_add_tcase(suite, tests);
    return suite;
}
