/* perceptd inspect: the facts about a model, for people and as JSON. */
#include "program.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *inspected(const char *arguments)
{
    struct program_result result = program_run("inspect %s/%s --json", folder_root, arguments);
    ck_assert_int_eq(result.status, 0);
    json_error_t error;
    json_t *root = json_loads(result.text, 0, &error);
    ck_assert_msg(root != NULL, "%s: %s", error.text, result.text);
    return root;
}

START_TEST(json_has_the_facts)
{
    if (!program_there)
        return;
    json_t *root = inspected("relu.onnx");
    const char *name, *datatype, *level;
    int rows, columns, nodes, relus, batch_free, parameters;
    json_error_t error;
    int unpacked =
        json_unpack_ex(root, &error, 0, "{s:[{s:s,s:s,s:[i,i!]}!],s:{s:i!},s:i,s:b,s:i,s:s}", "inputs", "name", &name,
                       "datatype", &datatype, "shape", &rows, &columns, "operators", "Relu", &relus, "nodes", &nodes,
                       "batch_free", &batch_free, "parameters", &parameters, "level", &level);
    ck_assert_msg(unpacked == 0, "%s", error.text);
    ck_assert_str_eq(name, "x");
    ck_assert_str_eq(datatype, "float32");
    ck_assert_int_eq(rows, -1);
    ck_assert_int_eq(columns, 2);
    ck_assert_int_eq(nodes, 1);
    ck_assert_int_eq(relus, 1);
    ck_assert_int_eq(parameters, 0);
    ck_assert(batch_free);
    const json_t *input = json_array_get(json_object_get(root, "inputs"), 0);
    ck_assert(json_is_integer(json_object_get(input, "batch_axis")));
    ck_assert_int_eq(json_integer_value(json_object_get(input, "batch_axis")), 0);
    ck_assert_str_eq(level, percept_kernels()[0]);
    ck_assert_uint_eq(json_array_size(json_object_get(root, "runs")), 3);
    ck_assert(json_is_array(json_object_get(root, "layers")));
    json_decref(root);
}
END_TEST

START_TEST(memory_grows_with_the_batch)
{
    if (!program_there)
        return;
    json_t *root = inspected("relu.onnx"), *runs = json_object_get(root, "runs");
    json_int_t one = json_integer_value(json_object_get(json_array_get(runs, 0), "memory_bytes"));
    json_int_t many = json_integer_value(json_object_get(json_array_get(runs, 2), "memory_bytes"));
    ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(runs, 2), "batch")), 32);
    ck_assert_int_gt(one, 0);
    ck_assert_int_gt(many, one);
    json_decref(root);
}
END_TEST

START_TEST(people_get_a_text)
{
    if (!program_there)
        return;
    struct program_result result = program_run("inspect %s/pick.onnx --dim x:1=5", folder_root);
    ck_assert_int_eq(result.status, 0);
    ck_assert_ptr_nonnull(strstr(result.text, "int64[?,?]"));
    ck_assert_ptr_nonnull(strstr(result.text, "Gather x1"));
    ck_assert_ptr_nonnull(strstr(result.text, "6 parameters"));
}
END_TEST

START_TEST(a_folder_with_a_model_will_do)
{
    if (!program_there)
        return;
    char command[300];
    snprintf(command, sizeof command, "mkdir %s/m && cp %s/relu.onnx %s/m/model.onnx", folder_root, folder_root,
             folder_root);
    ck_assert_int_eq(system(command), 0);
    ck_assert_int_eq(program_run("inspect %s/m", folder_root).status, 0);
}
END_TEST

static void shell(const char *format)
{
    char command[400];
    snprintf(command, sizeof command, format, folder_root);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(nodes_in_training_form_are_named)
{
    if (!program_there)
        return;
    program_write_training();
    struct program_result result = program_run("inspect %s/training.onnx", folder_root);
    ck_assert_int_eq(result.status, 0);
    ck_assert_msg(strstr(result.text, "note: node 'bn' (BatchNormalization) is in training form") != NULL, "%s",
                  result.text);
    json_t *root = inspected("training.onnx"), *notes = json_object_get(root, "notes");
    ck_assert_uint_eq(json_array_size(notes), 1);
    ck_assert_ptr_nonnull(strstr(json_string_value(json_array_get(notes, 0)), "node 'bn'"));
    json_decref(root);
    root = inspected("relu.onnx");
    ck_assert_uint_eq(json_array_size(json_object_get(root, "notes")), 0);
    json_decref(root);
}
END_TEST

START_TEST(names_cannot_speak_to_the_terminal)
{
    if (!program_there)
        return;
    program_write_rude();
    struct program_result result = program_run("inspect %s/rude.onnx", folder_root);
    ck_assert_int_eq(result.status, 0);
    ck_assert_msg(strstr(result.text, "  in\\u001b[2J ") != NULL, "%s", result.text);
    ck_assert_ptr_nonnull(strstr(result.text, "  out\\n\\u009b "));
    ck_assert_ptr_null(strchr(result.text, 0x1b));
    ck_assert_ptr_null(strstr(result.text, "\xc2\x9b"));
    result = program_run("inspect %s/rude.onnx --dim 'in\033:1=x'", folder_root);
    ck_assert_ptr_null(strchr(result.text, 0x1b));
}
END_TEST

START_TEST(a_folder_of_versions_is_its_newest)
{
    if (!program_there)
        return;
    shell("cd %s && mkdir -p m/2 m/10 && cp add.onnx m/2/model.onnx && cp relu.onnx m/10/model.onnx");
    struct program_result result = program_run("inspect %s/m", folder_root);
    ck_assert_msg(result.status == 0, "%s", result.text);
    ck_assert_ptr_nonnull(strstr(result.text, "Relu x1"));
    shell("cd %s && mkdir outer && mv m outer/");
    ck_assert_ptr_nonnull(strstr(program_run("inspect %s/outer", folder_root).text, "Relu x1"));
}
END_TEST

START_TEST(a_folder_of_models_tells_which)
{
    if (!program_there)
        return;
    static const char *const commands[] = {"inspect", "run", "bench"};
    char example[120];
    shell("cd %s && mkdir relu && mv relu.onnx relu/model.onnx");
    snprintf(example, sizeof example, "as in '%s/add.onnx'; there are add, broken, pick, relu\n", folder_root);
    for (int i = 0; i < 3; i++) {
        struct program_result result = program_run("%s %s", commands[i], folder_root);
        ck_assert_int_eq(result.status, 1);
        ck_assert_msg(strstr(result.text, "' holds 4 models, and one is needed: ") != NULL, "%s", result.text);
        ck_assert_msg(strstr(result.text, example) != NULL, "%s", result.text);
    }
    shell("cd %s && mv relu a && rm add.onnx");
    snprintf(example, sizeof example, "as in '%s/a'; there are a, broken, pick\n", folder_root);
    struct program_result result = program_run("inspect %s", folder_root);
    ck_assert_msg(strstr(result.text, example) != NULL, "%s", result.text);
    shell("mkdir %s/empty");
    result = program_run("inspect %s/empty", folder_root);
    ck_assert_int_eq(result.status, 1);
    ck_assert_ptr_nonnull(strstr(result.text, "there is no model in"));
}
END_TEST

START_TEST(a_broken_model_is_a_sentence_and_1)
{
    if (!program_there)
        return;
    struct program_result result = program_run("inspect %s/broken.onnx", folder_root);
    ck_assert_int_eq(result.status, 1);
    ck_assert_ptr_nonnull(strstr(result.text, "broken.onnx: "));
}
END_TEST

Suite *command_inspect_suite(void);

Suite *command_inspect_suite(void)
{
    Suite *suite = suite_create("command_inspect");
    TCase *tests = tcase_create("inspect");
    tcase_add_checked_fixture(tests, program_begin, program_end);
    tcase_add_test(tests, json_has_the_facts);
    tcase_add_test(tests, memory_grows_with_the_batch);
    tcase_add_test(tests, people_get_a_text);
    tcase_add_test(tests, a_folder_with_a_model_will_do);
    tcase_add_test(tests, names_cannot_speak_to_the_terminal);
    tcase_add_test(tests, nodes_in_training_form_are_named);
    tcase_add_test(tests, a_folder_of_versions_is_its_newest);
    tcase_add_test(tests, a_folder_of_models_tells_which);
    tcase_add_test(tests, a_broken_model_is_a_sentence_and_1);
    suite_add_tcase(suite, tests);
    return suite;
}
