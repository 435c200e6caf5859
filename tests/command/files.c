/* files.c - tests of command/files.c: what is taken from a folder, and how results are written. */
#include "command/files.h"
#include "folder.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

static struct files files;

static void begin(void)
{
    folder_begin("files");
    files = (struct files){.n = 0};
}

static void end(void)
{
    arena_free(&files.arena);
    folder_end();
}

START_TEST(a_folder_is_taken_in_order)
{
    struct percept_err err;
    static const char *const names[] = {"a", "b/c", "b/d", "z"};
    folder_files("in/z", "in/b/d", "in/a", "in/b/c", "in/.b/x", "in/.c", "in/out/e");
    ck_assert_msg(files_add(&files, folder_at("in"), folder_at("in/out"), &err), "%s", err.text);
    ck_assert(files.folder);
    ck_assert_int_eq(files.n, 4);
    for (int i = 0; i < 4; i++) {
        ck_assert_str_eq(files.at[i].name, names[i]);
        ck_assert(file_exists(files.at[i].path));
    }
}
END_TEST

START_TEST(a_file_has_its_own_name)
{
    struct percept_err err;
    ck_assert(files_add(&files, "/no/such/file", NULL, &err) && files_add(&files, "x", NULL, &err));
    ck_assert_str_eq(files.at[0].name, "file");
    ck_assert_str_eq(files.at[0].path, "/no/such/file");
    ck_assert_str_eq(files.at[1].name, "x");
    ck_assert(!files.folder);
}
END_TEST

START_TEST(folders_within_each_other_are_bounded)
{
    struct percept_err err;
    char name[2 * FILES_DEPTH_MAX + 12] = "in";
    for (int i = 0; i <= FILES_DEPTH_MAX; i++)
        strcat(name, "/d");
    strcat(name, "/f");
    folder_files(name);
    ck_assert(!files_add(&files, folder_at("in"), NULL, &err));
    ck_assert_msg(strstr(err.text, "more than 64 folders") != NULL, "%s", err.text);
    ck_assert(files_add(&files, folder_at("in/d"), NULL, &err));
}
END_TEST

START_TEST(a_result_is_written_whole)
{
    struct percept_err err;
    struct stat state;
    const struct bytes bytes = bytes_of_text("new");
    folder_text("x", "an old and longer text");
    folder_text(".x.7.part", "left by a run that was killed");
    ck_assert_msg(files_write(folder_at("x"), 7, bytes, &err), "%s", err.text);
    ck_assert_int_eq(stat(folder_at("x"), &state), 0);
    ck_assert_int_eq(state.st_size, 3);
    ck_assert(!file_exists(folder_at(".x.7.part")));
    ck_assert(files_write(folder_at("a/b/c"), 0, bytes, &err) && file_exists(folder_at("a/b/c")));
    ck_assert(!files_write(folder_at("x/y"), 0, bytes, &err) && strstr(err.text, "x"));
    ck_assert(!files_write(folder_at("a"), 0, bytes, &err) && file_is_folder(folder_at("a")));
    ck_assert_int_eq(symlink("x", folder_at("link")), 0);
    ck_assert(files_write(folder_at("link"), 0, bytes_of_text("by the link"), &err));
    ck_assert_int_eq(stat(folder_at("x"), &state), 0);
    ck_assert_int_eq(state.st_size, 11);
    ck_assert(files_write("/dev/null", 0, bytes, &err) && stat("/dev/null", &state) == 0 && S_ISCHR(state.st_mode));
}
END_TEST

START_TEST(what_is_done_is_told_from_what_is_not)
{
    const struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    folder_text("in", "x");
    folder_text("out", "y");
    folder_text("empty", "");
    ck_assert(files_is_done(folder_at("in"), folder_at("out")));
    ck_assert(!files_is_done(folder_at("in"), folder_at("empty")));
    ck_assert(!files_is_done(folder_at("in"), folder_at("none")));
    ck_assert(!files_is_done(folder_at("in"), folder_root));
    ck_assert_int_eq(utimensat(AT_FDCWD, folder_at("out"), old, 0), 0);
    ck_assert(!files_is_done(folder_at("in"), folder_at("out")));
    ck_assert(files_are_one(folder_at("in"), folder_at("in")) && !files_are_one(folder_at("in"), folder_at("out")));
    ck_assert(!files_are_one(folder_at("none"), folder_at("none")));
}
END_TEST

Suite *command_files_suite(void);

Suite *command_files_suite(void)
{
    Suite *suite = suite_create("command_files");
    TCase *tests = tcase_create("files");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, a_folder_is_taken_in_order);
    tcase_add_test(tests, a_file_has_its_own_name);
    tcase_add_test(tests, folders_within_each_other_are_bounded);
    tcase_add_test(tests, a_result_is_written_whole);
    tcase_add_test(tests, what_is_done_is_told_from_what_is_not);
    suite_add_tcase(suite, tests);
    return suite;
}
