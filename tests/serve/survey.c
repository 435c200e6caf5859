/* survey.c - what is seen on disk, and that a change of any file that a model is made of shows. */
#include "serve/survey.h"

#include "base/err.h"
#include "folder.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

Suite *serve_survey_suite(void);

static struct survey survey;
static struct root root;
static struct percept_err err;

static void begin(void)
{
    folder_begin("survey");
    survey = (struct survey){.first = NULL};
    err = (struct percept_err){0};
}

static void end(void)
{
    survey_free(&survey);
    folder_end();
}

static bool look(const char *path)
{
    root = (struct root){.path = folder_at(path)};
    return survey_root(&survey, &root, &err);
}

/* Of the model "net", after a fresh look. */
static uint64_t stamp_of(const char *path)
{
    survey_free(&survey);
    ck_assert_msg(look(path), "%s", err.text);
    const struct sighting *net = survey.first;
    while (net && strcmp(net->found.name, "net") != 0)
        net = net->next;
    ck_assert_ptr_nonnull(net);
    ck_assert_uint_ne(net->stamp, 0);
    return net->stamp;
}

START_TEST(what_lies_there_is_seen_with_its_path)
{
    folder_files("repo/a/1/model.onnx", "repo/a/3/model.onnx", "repo/b.onnx", "repo/c/readme");
    ck_assert(look("repo"));
    ck_assert_ptr_nonnull(survey_find(&survey, "a", 1));
    ck_assert_ptr_nonnull(survey_find(&survey, "a", 3));
    ck_assert_ptr_null(survey_find(&survey, "a", 2));
    const struct sighting *b = survey_find(&survey, "b", 1);
    ck_assert_ptr_nonnull(b);
    ck_assert_ptr_eq(b->root, &root);
    ck_assert_str_eq(survey.scan.first_omitted->name, "c/");
    ck_assert(survey_saw(&survey, &root));
}
END_TEST

static const struct {
    const char *path, *file; /* what is looked at; what is written */
    bool shows;
} changes[] = {
    {"repo", "repo/net/model.onnx", true},
    {"repo", "repo/net/manifest.json", true},
    {"repo", "repo/net/labels.txt", true},
    {"repo", "repo/net/weights.data", true},
    {"repo", "repo/net/.hidden", false},
    {"repo", "repo/net/sub/labels.txt", false},
    {"repo", "repo/notes.txt", false},
    {"versions", "versions/net/2/model.onnx", true},
    {"versions", "versions/net/2/labels.txt", true},
    {"versions", "versions/net/manifest.json", true},
    {"bare", "bare/net.onnx", true},
    {"bare", "bare/net.data", true},
    {"bare", "bare/net_weights.bin", true},
    {"bare", "bare/net_2.onnx", false},
    {"bare", "bare/network.bin", false},
    {"bare", "bare/other.bin", false},
};

static void make_folders(void)
{
    folder_files("repo/net/model.onnx", "repo/net/manifest.json", "repo/net/labels.txt", "repo/net/sub/labels.txt");
    folder_files("versions/net/2/model.onnx", "versions/net/manifest.json");
    folder_files("bare/net.onnx", "bare/net.data", "bare/net_2.onnx");
}

START_TEST(a_change_of_what_it_is_made_of_shows)
{
    make_folders();
    uint64_t before = stamp_of(changes[_i].path);
    ck_assert_uint_eq(stamp_of(changes[_i].path), before);
    folder_text(changes[_i].file, "now it is longer");
    ck_assert_int_eq(stamp_of(changes[_i].path) != before, changes[_i].shows);
}
END_TEST

START_TEST(a_file_that_takes_anothers_place_shows)
{
    struct stat st;
    make_folders();
    folder_files("other");
    const char *model = folder_at("repo/net/model.onnx"), *other = folder_at("other");
    uint64_t before = stamp_of("repo");
    ck_assert_int_eq(stat(model, &st), 0);
    ck_assert_int_eq(utimensat(AT_FDCWD, other, (struct timespec[]){st.st_atim, st.st_mtim}, 0), 0);
    ck_assert_int_eq(rename(other, model), 0); /* the same size and time */
    ck_assert_uint_ne(stamp_of("repo"), before);
}
END_TEST

/* As Kubernetes mounts volumes: net -> ..data/net, and ..data -> a folder that is swapped. */
START_TEST(a_link_that_leads_elsewhere_shows)
{
    folder_text("repo/..1/net/model.onnx", "a");
    folder_text("repo/..2/net/model.onnx", "a");
    ck_assert_int_eq(symlink("..1", folder_at("repo/..data")), 0);
    ck_assert_int_eq(symlink("..data/net", folder_at("repo/net")), 0);
    uint64_t before = stamp_of("repo");
    ck_assert_int_eq(symlink("..2", folder_at("repo/..data_tmp")), 0);
    ck_assert_int_eq(rename(folder_at("repo/..data_tmp"), folder_at("repo/..data")), 0);
    ck_assert_uint_ne(stamp_of("repo"), before);
}
END_TEST

START_TEST(of_two_of_a_name_the_first_counts)
{
    struct root second = {.path = folder_at("second")};
    folder_files("repo/net.onnx", "second/net.onnx", "second/more.onnx");
    ck_assert(look("repo"));
    ck_assert(survey_root(&survey, &second, &err));
    ck_assert_ptr_eq(survey_find(&survey, "net", 1)->root, &root);
    ck_assert_ptr_eq(survey_find(&survey, "more", 1)->root, &second);
    ck_assert_ptr_nonnull(strstr(survey.scan.first_omitted->why, "two models are called 'net' version 1: 'net.onnx'"));
    ck_assert_ptr_null(survey.scan.first_omitted->next);
}
END_TEST

static const struct {
    const char *policy, *versions; /* that are served of 1, 2, 3 and 5 */
} policies[] = {
    {"", "1235"},
    {",\"version_policy\":{\"all\":{}}", "1235"},
    {",\"version_policy\":{\"latest\":{}}", "5"},
    {",\"version_policy\":{\"latest\":{\"num_versions\":2}}", "35"},
    {",\"version_policy\":{\"latest\":{\"num_versions\":9}}", "1235"},
    {",\"version_policy\":{\"specific\":{\"versions\":[2,4,5]}}", "25"},
    {",\"version_policy\":{\"specific\":{\"versions\":[4]}}", ""},
    {",\"version_policy\":{\"latest\":7}", "1235"}, /* each fails with the manifest's sentence */
};

START_TEST(a_policy_chooses_versions)
{
    char manifest[200], seen[8] = "";
    folder_files("repo/a/1/model.onnx", "repo/a/2/model.onnx", "repo/a/3/model.onnx", "repo/a/5/model.onnx");
    folder_files("repo/b/1/model.onnx", "repo/b/2/model.onnx");
    snprintf(manifest, sizeof manifest, "{\"manifest\":1%s}", policies[_i].policy);
    folder_text("repo/a/manifest.json", manifest);
    look("repo");
    for (int version = 1, n = 0; version < 6; version++)
        if (survey_find(&survey, "a", version))
            seen[n++] = (char)('0' + version);
    ck_assert_str_eq(seen, policies[_i].versions);
    ck_assert_ptr_nonnull(survey_find(&survey, "b", 1));
    ck_assert_ptr_nonnull(survey_find(&survey, "b", 2));
    int n_spared = 0;
    for (const struct sighting *at = survey.spared; at; at = at->next)
        n_spared++;
    ck_assert_int_eq(n_spared, 4 - (int)strlen(seen));
    ck_assert_int_eq(survey.scan.first_omitted != NULL, !*seen);
}
END_TEST

START_TEST(labels_are_read_from_the_manifest_around_the_versions)
{
    folder_files("repo/a/1/model.onnx", "repo/a/2/model.onnx", "repo/b/1/model.onnx");
    folder_text("repo/a/manifest.json", "{\"manifest\":1,\"version_labels\":{\"stable\":1,\"canary\":2}}");
    ck_assert(look("repo"));
    int n = 0;
    for (const struct survey_label *at = survey.labels; at; at = at->next, n++) {
        ck_assert_str_eq(at->model, "a");
        ck_assert_int_eq(at->version, strcmp(at->name, "stable") == 0 ? 1 : 2);
    }
    ck_assert_int_eq(n, 2);
}
END_TEST

START_TEST(what_is_not_there_was_not_seen)
{
    ck_assert(!look("repo"));
    ck_assert_int_eq(err.code, ERR_NOT_FOUND);
    ck_assert(!survey_saw(&survey, &root));
    survey_free(&survey);
    folder_files("repo/readme");
    ck_assert(!look("repo"));
    ck_assert(survey_saw(&survey, &root));
}
END_TEST

START_TEST(memory_that_is_short_is_told)
{
    make_folders();
    const char *path = folder_at("repo");
    bool good = false;
    for (size_t nth = 1; !good; nth++) {
        struct root here = {.path = path};
        ck_assert_uint_lt(nth, 200);
        err = (struct percept_err){0};
        arena_fail_at(nth, false);
        good = survey_root(&survey, &here, &err);
        arena_fail_at(0, false);
        ck_assert(good || err.code == ERR_MEMORY);
        survey_free(&survey);
    }
}
END_TEST

Suite *serve_survey_suite(void)
{
    Suite *suite = suite_create("serve/survey");
    TCase *tests = tcase_create("survey");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, what_lies_there_is_seen_with_its_path);
    tcase_add_loop_test(tests, a_change_of_what_it_is_made_of_shows, 0, sizeof changes / sizeof *changes);
    tcase_add_test(tests, a_file_that_takes_anothers_place_shows);
    tcase_add_test(tests, a_link_that_leads_elsewhere_shows);
    tcase_add_test(tests, of_two_of_a_name_the_first_counts);
    tcase_add_loop_test(tests, a_policy_chooses_versions, 0, sizeof policies / sizeof *policies);
    tcase_add_test(tests, labels_are_read_from_the_manifest_around_the_versions);
    tcase_add_test(tests, what_is_not_there_was_not_seen);
    tcase_add_test(tests, memory_that_is_short_is_told);
    suite_add_tcase(suite, tests);
    return suite;
}
