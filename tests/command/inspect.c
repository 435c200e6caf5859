/* perceptd inspect: the facts about a model, for people and as JSON. */
#include "program.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool there;

static void setup(void)
{
    there = program_is_there();
    if (there)
        program_begin();
}

static void teardown(void)
{
    if (there)
        program_end();
}

static json_t *inspected(const char *arguments)
{
    struct program_result result = program_run("inspect %s/%s --json", program_folder, arguments);
    ck_assert_int_eq(result.status, 0);
    json_error_t error;
    json_t *root = json_loads(result.text, 0, &error);
    ck_assert_msg(root != NULL, "%s: %s", error.text, result.text);
    return root;
}

START_TEST(json_has_the_facts)
{
    if (!there)
        return;
    json_t *root = inspected("relu.onnx");
    const char *name, *datatype, *row;
    int rows, columns, nodes, relus, batch_free, parameters;
    json_error_t error;
    int unpacked = json_unpack_ex(
        root, &error, 0, "{s:[{s:s,s:s,s:[i,i!]}!],s:{s:i!},s:i,s:b,s:i,s:s}", "inputs", "name",
        &name, "datatype", &datatype, "shape", &rows, &columns, "operators", "Relu", &relus,
        "nodes", &nodes, "batch_free", &batch_free, "parameters", &parameters, "row", &row);
    ck_assert_msg(unpacked == 0, "%s", error.text);
    ck_assert_str_eq(name, "x");
    ck_assert_str_eq(datatype, "float32");
    ck_assert_int_eq(rows, -1);
    ck_assert_int_eq(columns, 2);
    ck_assert_int_eq(nodes, 1);
    ck_assert_int_eq(relus, 1);
    ck_assert_int_eq(parameters, 0);
    ck_assert(batch_free);
    ck_assert_str_eq(row, percept_kernels()[0]);
    ck_assert_uint_eq(json_array_size(json_object_get(root, "runs")), 3);
    json_decref(root);
}
END_TEST

START_TEST(memory_grows_with_the_batch)
{
    if (!there)
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
    if (!there)
        return;
    struct program_result result = program_run("inspect %s/pick.onnx --dim x:1=5", program_folder);
    ck_assert_int_eq(result.status, 0);
    ck_assert_ptr_nonnull(strstr(result.text, "int64[?,?]"));
    ck_assert_ptr_nonnull(strstr(result.text, "Gather x1"));
    ck_assert_ptr_nonnull(strstr(result.text, "6 parameters"));
}
END_TEST

START_TEST(a_folder_with_a_model_will_do)
{
    if (!there)
        return;
    char command[300];
    snprintf(command, sizeof command, "mkdir %s/m && cp %s/relu.onnx %s/m/model.onnx",
             program_folder, program_folder, program_folder);
    ck_assert_int_eq(system(command), 0);
    ck_assert_int_eq(program_run("inspect %s/m", program_folder).status, 0);
}
END_TEST

START_TEST(a_broken_model_is_a_sentence_and_1)
{
    if (!there)
        return;
    struct program_result result = program_run("inspect %s/broken.onnx", program_folder);
    ck_assert_int_eq(result.status, 1);
    ck_assert_ptr_nonnull(strstr(result.text, "broken.onnx: "));
}
END_TEST

Suite *command_inspect_suite(void);

Suite *command_inspect_suite(void)
{
    Suite *suite = suite_create("command_inspect");
    TCase *tests = tcase_create("inspect");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, json_has_the_facts);
    tcase_add_test(tests, memory_grows_with_the_batch);
    tcase_add_test(tests, people_get_a_text);
    tcase_add_test(tests, a_folder_with_a_model_will_do);
    tcase_add_test(tests, a_broken_model_is_a_sentence_and_1);
    suite_add_tcase(suite, tests);
    return suite;
}
