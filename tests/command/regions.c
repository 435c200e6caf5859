/* perceptd regions: none, one that this process holds, and one that is kept and cleaned. */
#include "program.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

START_TEST(no_region_is_told)
{
    if (!program_there)
        return;
    struct program_result result = program_run("regions");
    ck_assert_int_eq(result.status, 0);
    ck_assert_str_eq(result.text, "none\n");
    ck_assert_str_eq(program_run("regions --json").text, "[]\n");
}
END_TEST

START_TEST(a_region_is_listed_with_its_holder)
{
    if (!program_there)
        return;
    char prefix[40];
    struct percept_err err;
    snprintf(prefix, sizeof prefix, "percept-test-%d", (int)getpid());
    const struct percept_options options = {.size = sizeof options, .region_prefix = prefix};
    struct percept_model *model = percept_open(folder_at("pick.onnx"), &options, &err);
    ck_assert_msg(model != NULL, "%s", err.text);
    struct percept_description description;
    percept_describe(model, &description);
    struct program_result result = program_run("regions --json");
    json_t *root = json_loads(result.text, 0, NULL);
    char expected[80];
    snprintf(expected, sizeof expected, "%s", description.region_name);
    percept_close(model);
    ck_assert_msg(root != NULL, "%s", result.text);
    if (*expected) { /* nothing was packed, or /dev/shm is too small: then there is none */
        const char *name;
        int n_holders, holder;
        ck_assert_int_eq(json_unpack(root, "[{s:s,s:i,s:[i!],s:n}!]", "name", &name, "n_holders", &n_holders, "holders",
                                     &holder, "kept_since"),
                         0);
        ck_assert_str_eq(name, expected);
        ck_assert_int_eq(n_holders, 1);
        ck_assert_int_eq(holder, (int)getpid());
    } else {
        ck_assert_uint_eq(json_array_size(root), 0);
    }
    json_decref(root);
}
END_TEST

START_TEST(a_kept_region_is_shown_with_its_time_and_cleaned)
{
    if (!program_there)
        return;
    char prefix[40];
    struct percept_err err;
    struct percept_description description;
    snprintf(prefix, sizeof prefix, "percept-test-%d", (int)getpid());
    const struct percept_options options = {.size = sizeof options, .region_prefix = prefix};
    struct percept_model *model = percept_open(folder_at("pick.onnx"), &options, &err);
    ck_assert_msg(model != NULL, "%s", err.text);
    percept_describe(model, &description);
    bool named = *description.region_name;
    percept_keep_region(model);
    ck_assert_str_eq(program_run("regions --clean").text, "removed 0\n"); /* it is held */
    percept_close(model);
    if (!named)
        return;
    struct program_result result = program_run("regions");
    ck_assert_msg(strstr(result.text, "held by nobody  kept since 20") != NULL, "%s", result.text);
    ck_assert_msg(strstr(result.text, "Z\n") != NULL, "%s", result.text);
    result = program_run("inspect %s/pick.onnx", folder_root); /* its start and exit respect the mark */
    ck_assert_int_eq(result.status, 0);
    result = program_run("regions --json");
    ck_assert_msg(strstr(result.text, "\"kept_since\": \"20") != NULL, "%s", result.text);
    ck_assert_str_eq(program_run("regions --clean --json").text, "{\"removed\": 1}\n");
    ck_assert_str_eq(program_run("regions").text, "none\n");
}
END_TEST

Suite *command_regions_suite(void);

Suite *command_regions_suite(void)
{
    Suite *suite = suite_create("command_regions");
    TCase *tests = tcase_create("regions");
    tcase_add_checked_fixture(tests, program_begin, program_end);
    tcase_add_test(tests, no_region_is_told);
    tcase_add_test(tests, a_region_is_listed_with_its_holder);
    tcase_add_test(tests, a_kept_region_is_shown_with_its_time_and_cleaned);
    suite_add_tcase(suite, tests);
    return suite;
}
