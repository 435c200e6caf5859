/* perceptd manifest: a manifest.json of what a model says of itself. */
#include "program.h"

#include <check.h>
#include <jansson.h>
#include <string.h>

START_TEST(what_is_not_certain_names_its_inputs)
{
    if (!program_there)
        return;
    struct program_result result = program_run("manifest %s/relu.onnx", folder_root);
    json_error_t error;
    ck_assert_int_eq(result.status, 0);
    json_t *root = json_loads(result.text, 0, &error);
    ck_assert_msg(root != NULL, "%s: %s", error.text, result.text);
    ck_assert_int_eq(json_integer_value(json_object_get(root, "manifest")), 1);
    ck_assert_ptr_nonnull(strstr(json_string_value(json_object_get(root, "$comment")), "not recognised"));
    const json_t *input = json_object_get(json_object_get(root, "inputs"), "x");
    ck_assert_str_eq(json_string_value(json_object_get(input, "kind")), "tensor");
    json_decref(root);
    ck_assert_int_ne(program_run("manifest %s/broken.onnx", folder_root).status, 0);
}
END_TEST

START_TEST(what_was_recognised_is_a_manifest_to_keep)
{
    if (!program_there)
        return;
    folder_text("labelled/labels.txt", "left\nright\n");
    struct program_result result =
        program_run("manifest %s/relu.onnx > /dev/null; cp %s/relu.onnx %s/labelled/model.onnx", folder_root,
                    folder_root, folder_root);
    ck_assert_int_eq(result.status, 0);
    result = program_run("manifest %s/labelled", folder_root);
    ck_assert_int_eq(result.status, 0);
    ck_assert_ptr_nonnull(strstr(result.text, "recognised as labels: labels.txt is the only file of labels"));
    ck_assert_ptr_nonnull(strstr(result.text, "\"labels\": [\"left\", \"right\"]"));
    folder_text("labelled/manifest.json", result.text);
    result = program_run("inspect %s/labelled", folder_root);
    ck_assert_ptr_nonnull(strstr(result.text, "recognised as labels\n  because labels.txt"));
    result = program_run("inspect %s/labelled --no-recognise", folder_root);
    ck_assert_ptr_null(strstr(result.text, "recognised"));
    ck_assert_ptr_nonnull(strstr(program_run("inspect %s/labelled --json", folder_root).text, "\"by\": \"labels\""));
    ck_assert_int_eq(program_run("serve %s/labelled --check-config", folder_root).status, 0);
}
END_TEST

Suite *command_draft_suite(void);
Suite *command_draft_suite(void)
{
    Suite *suite = suite_create("command_draft");
    TCase *tests = tcase_create("draft");
    tcase_add_checked_fixture(tests, program_begin, program_end);
    tcase_add_test(tests, what_is_not_certain_names_its_inputs);
    tcase_add_test(tests, what_was_recognised_is_a_manifest_to_keep);
    suite_add_tcase(suite, tests);
    return suite;
}
