/* notice.c - what is followed tells of changes, and nothing else does. */
#include "serve/notice.h"

#include "folder.h"

#include <check.h>
#include <stdio.h>
#include <unistd.h>

Suite *serve_notice_suite(void);

static int fd;
static struct root root;

static void begin(void)
{
    struct percept_err err;
    struct survey survey = {0};
    folder_begin("notice");
    folder_files("repo/a/model.onnx", "repo/b/1/model.onnx", "repo/c/manifest.json", "repo/c/1/model.onnx");
    folder_files("repo/empty/readme", "other/x");
    folder_files("..1/model.onnx");
    ck_assert_int_eq(symlink("../..1", folder_at("repo/linked")), 0);
    root = (struct root){.path = folder_at("repo")};
    fd = notice_open();
    ck_assert_int_ge(fd, 0);
    ck_assert(survey_root(&survey, &root, &err));
    notice_follow(fd, &survey, &root);
    survey_free(&survey);
    ck_assert(!notice_heard(fd));
}

static void end(void)
{
    close(fd);
    folder_end();
}

static const struct {
    const char *path;
    bool heard;
} rows[] = {
    {"repo/a/model.onnx", true},
    {"repo/a/manifest.json", true},
    {"repo/b/1/model.onnx", true},
    {"repo/b/2/model.onnx", true},
    {"repo/c/labels.txt", true},
    {"repo/new.onnx", true},
    {"repo/new/model.onnx", true},
    {"repo/empty/x.onnx", true},
    {"..1/model.onnx", true},
    {"other/x", false},
    {"beside", false},
};

START_TEST(a_written_file_is_heard_where_models_are)
{
    folder_text(rows[_i].path, "x");
    ck_assert_int_eq(notice_heard(fd), rows[_i].heard);
    ck_assert(!notice_heard(fd)); /* all was taken */
}
END_TEST

START_TEST(what_comes_goes_and_moves_is_heard)
{
    ck_assert_int_eq(unlink(folder_at("repo/a/model.onnx")), 0);
    ck_assert(notice_heard(fd));
    ck_assert_int_eq(rename(folder_at("other/x"), folder_at("repo/x.onnx")), 0);
    ck_assert(notice_heard(fd));
    ck_assert_int_eq(rename(folder_at("repo/x.onnx"), folder_at("other/x")), 0);
    ck_assert(notice_heard(fd));
    ck_assert_int_eq(symlink("a", folder_at("repo/link")), 0);
    ck_assert(notice_heard(fd));
    ck_assert_int_eq(symlink("c", folder_at("repo/link_tmp")), 0);
    ck_assert(notice_heard(fd));
    ck_assert_int_eq(rename(folder_at("repo/link_tmp"), folder_at("repo/link")), 0);
    ck_assert(notice_heard(fd));
}
END_TEST

Suite *serve_notice_suite(void)
{
    Suite *suite = suite_create("serve/notice");
    TCase *tests = tcase_create("notice");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_loop_test(tests, a_written_file_is_heard_where_models_are, 0, sizeof rows / sizeof *rows);
    tcase_add_test(tests, what_comes_goes_and_moves_is_heard);
    suite_add_tcase(suite, tests);
    return suite;
}
