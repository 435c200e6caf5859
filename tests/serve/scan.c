/* scan.c - what is found on disk and how it is called. */
#include "serve/scan.h"

#include "base/err.h"
#include "base/file.h"
#include "folder.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

Suite *serve_scan_suite(void);

static struct arena arena;
static struct scan scan;
static struct percept_err err;

static void begin(void)
{
    folder_begin("scan");
    scan = (struct scan){0};
    err = (struct percept_err){0};
}

static void end(void)
{
    folder_end();
    arena_free(&scan.arena);
    arena_free(&arena);
}

static void add(const char *name)
{
    ck_assert_msg(scan_path(&scan, folder_at(name), &err), "%s", err.text);
}

static void expect_refused(const char *path, int code, const char *says)
{
    struct scan own = {0};
    ck_assert(!scan_path(&own, path, &err));
    ck_assert_int_eq(err.code, code);
    ck_assert_msg(strstr(err.text, says) != NULL, "%s", err.text);
    arena_free(&own.arena);
}

static void expect(const struct found *found, const char *name, int64_t version)
{
    ck_assert_ptr_nonnull(found);
    ck_assert_str_eq(found->name, name);
    ck_assert_int_eq(found->version, version);
    ck_assert(file_exists(found->path));
}

START_TEST(a_file_is_called_like_itself)
{
    folder_files("my-model.onnx");
    add("my-model.onnx");
    expect(scan.first, "my-model", 1);
    ck_assert_ptr_null(scan.first->next);
}
END_TEST

START_TEST(model_onnx_is_called_like_its_folder_or_that_of_its_versions)
{
    folder_files("cats/model.onnx");
    add("cats/model.onnx");
    folder_files("dogs/7/model.onnx");
    add("dogs/7/model.onnx");
    expect(scan.first, "cats", 1);
    expect(scan.first->next, "dogs", 7);
}
END_TEST

START_TEST(a_models_folder_holds_a_model_or_versions)
{
    folder_files("many/1/model.onnx", "many/12/model.onnx", "many/3/model.onnx",
                 "many/4/other.onnx", "many/05/model.onnx", "many/x6/model.onnx");
    add("many");
    folder_files("plain/model.onnx");
    add("plain");
    const struct found *found = scan.first;
    const int64_t versions[] = {1, 12, 3}; /* as the folder is read */
    for (int i = 0; i < 3; i++, found = found->next)
        expect(found, "many", versions[i]);
    expect(found, "plain", 1);
    ck_assert_ptr_null(found->next);
}
END_TEST

START_TEST(a_folder_of_models_adds_them_all)
{
    folder_files("repo/b/model.onnx", "repo/a/2/model.onnx", "repo/c.onnx",
                 "repo/.hidden/model.onnx", "repo/README.md", "repo/train/train.py");
    add("repo");
    const struct found *found = scan.first;
    expect(found, "a", 2);
    expect(found = found->next, "b", 1);
    expect(found = found->next, "c", 1);
    ck_assert_ptr_null(found->next);
}
END_TEST

START_TEST(what_is_not_there_is_said)
{
    expect_refused(folder_at("nowhere"), ERR_NOT_FOUND, "there is nothing at");
    folder_files("empty/README.md");
    expect_refused(folder_at("empty"), ERR_NOT_FOUND, "there is no model in");
    folder_files("weights.bin");
    expect_refused(folder_at("weights.bin"), ERR_INVALID, "neither an .onnx file nor a folder");
    ck_assert_ptr_null(scan.first);
}
END_TEST

START_TEST(a_name_that_cannot_stand_in_a_path_is_refused)
{
    folder_files("two words.onnx");
    expect_refused(folder_at("two words.onnx"), ERR_INVALID, "cannot be a model's name");
    folder_files("_x/model.onnx");
    expect_refused(folder_at("_x"), ERR_INVALID, "cannot be a model's name");
    char name[140];
    memset(name, 'a', sizeof name);
    strcpy(name + 129, ".onnx");
    folder_files(name);
    expect_refused(folder_at(name), ERR_INVALID, "at most 128");
}
END_TEST

static void expect_manifest(const struct found *found, const char *folder)
{
    ck_assert_ptr_nonnull(found);
    if (!folder)
        ck_assert_ptr_null(found->folder);
    else
        ck_assert_str_eq(found->folder, file_absolute(&arena, folder_at(folder)));
}

START_TEST(a_versions_own_manifest_comes_first)
{
    folder_files("m/1/model.onnx", "m/2/model.onnx");
    folder_text("m/2/manifest.json", "{}");
    add("m");
    expect_manifest(scan.first, "m");
    expect_manifest(scan.last, "m/2");
}
END_TEST

START_TEST(a_manifest_beside_several_files_belongs_to_none)
{
    folder_files("one/a.onnx", "two/a.onnx", "two/b.onnx");
    add("one/a.onnx");
    expect_manifest(scan.first, "one");
    add("two/b.onnx");
    expect_manifest(scan.last, NULL);
}
END_TEST

START_TEST(every_allocation_may_fail)
{
    folder_files("repo/a/1/model.onnx", "repo/b.onnx");
    const char *path = folder_at("repo");
    for (size_t nth = 1; nth <= 4; nth++) {
        struct scan own = {0};
        err = (struct percept_err){0};
        arena_fail_at(nth, true);
        bool ok = scan_path(&own, path, &err);
        arena_fail_at(0, false);
        ck_assert(ok ? nth > 1 : err.code == ERR_MEMORY);
        arena_free(&own.arena);
    }
}
END_TEST

START_TEST(names_are_of_the_allowed_characters)
{
    char longest[130];
    memset(longest, 'a', sizeof longest);
    longest[128] = '\0';
    ck_assert(scan_name("a"));
    ck_assert(scan_name("0_Model-1.5"));
    ck_assert(scan_name(longest));
    longest[128] = 'a';
    longest[129] = '\0';
    ck_assert(!scan_name(longest));
    static const char *const bad[] = {"",    ".",   "..",        "-a",  "_a",
                                      "a b", "a/b", "a\xc3\xa9", "a:b", "a\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!scan_name(bad[i]), "%s", bad[i]);
}
END_TEST

Suite *serve_scan_suite(void)
{
    Suite *suite = suite_create("serve/scan");
    TCase *tests = tcase_create("scan");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, names_are_of_the_allowed_characters);
    tcase_add_test(tests, a_file_is_called_like_itself);
    tcase_add_test(tests, model_onnx_is_called_like_its_folder_or_that_of_its_versions);
    tcase_add_test(tests, a_models_folder_holds_a_model_or_versions);
    tcase_add_test(tests, a_folder_of_models_adds_them_all);
    tcase_add_test(tests, what_is_not_there_is_said);
    tcase_add_test(tests, a_name_that_cannot_stand_in_a_path_is_refused);
    tcase_add_test(tests, a_versions_own_manifest_comes_first);
    tcase_add_test(tests, a_manifest_beside_several_files_belongs_to_none);
    tcase_add_test(tests, every_allocation_may_fail);
    suite_add_tcase(suite, tests);
    return suite;
}
