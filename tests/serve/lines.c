/* lines.c - files of one entry a line. */
#include "serve/lines.h"

#include "base/err.h"
#include "base/file.h"
#include "folder.h"

#include <check.h>
#include <string.h>

Suite *serve_lines_suite(void);

static struct file_place place;
static struct arena arena;
static struct percept_err err;
static const char *const *list;

static void begin(void)
{
    folder_begin("lines");
    folder_text("manifest.json", "{}");
    ck_assert(file_place_open(&place, folder_at("manifest.json"), NULL, &err));
    err = (struct percept_err){0};
}

static void end(void)
{
    file_place_close(&place);
    folder_end();
    arena_free(&arena);
}

static int read_text(const char *text, size_t n)
{
    folder_put("lines.txt", text, n);
    return lines_read(&place, "lines.txt", &arena, &list, &err);
}

START_TEST(a_newline_ends_a_line_and_the_last_may_lack_it)
{
    ck_assert_int_eq(read_text("one\ntwo\n", 8), 2);
    ck_assert_str_eq(list[1], "two");
    ck_assert_int_eq(read_text("one\ntwo", 7), 2);
    ck_assert_str_eq(list[1], "two");
    ck_assert_int_eq(read_text("", 0), 0);
    ck_assert_int_eq(read_text("\n", 1), 1);
    ck_assert_str_eq(list[0], "");
}
END_TEST

START_TEST(nothing_is_trimmed)
{
    ck_assert_int_eq(read_text(" \n\n a \n\xc3\xa9", 9), 4);
    ck_assert_str_eq(list[0], " ");
    ck_assert_str_eq(list[1], "");
    ck_assert_str_eq(list[2], " a ");
    ck_assert_str_eq(list[3], "\xc3\xa9");
}
END_TEST

START_TEST(a_carriage_return_before_a_newline_is_refused)
{
    ck_assert_int_eq(read_text("one\ntwo\r\n", 9), -1);
    ck_assert_int_eq(err.code, ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.text, "'lines.txt': line 2 ends in a carriage return"));
    ck_assert_int_eq(read_text("one\n\rtwo\n", 9), 2);
}
END_TEST

START_TEST(text_is_utf8_without_nul)
{
    ck_assert_int_eq(read_text("caf\xe9\n", 5), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "not UTF-8"));
    ck_assert_int_eq(read_text("a\0b\n", 4), -1);
    ck_assert_int_eq(read_text("\xed\xa0\x80", 3), -1); /* a surrogate */
    ck_assert_int_eq(read_text("\xf0\x9f\x98", 3), -1); /* cut short */
}
END_TEST

START_TEST(a_file_outside_the_folder_is_not_read)
{
    ck_assert_int_eq(lines_read(&place, "../lines.txt", &arena, &list, &err), -1);
    ck_assert_int_eq(lines_read(&place, "/etc/passwd", &arena, &list, &err), -1);
    ck_assert_int_eq(lines_read(&place, "none.txt", &arena, &list, &err), -1);
    ck_assert_int_ne(err.code, ERR_NONE);
}
END_TEST

START_TEST(a_byte_order_mark_is_no_part_of_a_line)
{
    ck_assert_int_eq(read_text("\xef\xbb\xbf"
                               "a\nb\n",
                               7),
                     2);
    ck_assert_str_eq(list[0], "a");
    ck_assert_int_eq(read_text("\xff\xfe"
                               "a\0\n\0",
                               6),
                     -1);
    ck_assert_ptr_nonnull(strstr(err.text, "is UTF-16 or UTF-32; store it as UTF-8"));
    ck_assert_int_eq(read_text("\xfe\xff\0a", 4), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "store it as UTF-8"));
}
END_TEST

Suite *serve_lines_suite(void)
{
    Suite *suite = suite_create("serve/lines");
    TCase *tests = tcase_create("lines");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, a_newline_ends_a_line_and_the_last_may_lack_it);
    tcase_add_test(tests, nothing_is_trimmed);
    tcase_add_test(tests, a_carriage_return_before_a_newline_is_refused);
    tcase_add_test(tests, text_is_utf8_without_nul);
    tcase_add_test(tests, a_file_outside_the_folder_is_not_read);
    tcase_add_test(tests, a_byte_order_mark_is_no_part_of_a_line);
    suite_add_tcase(suite, tests);
    return suite;
}
