/* perceptd bench: the shape of its answers. How fast anything is, no test here judges. */
#include "program.h"

#include <check.h>
#include <jansson.h>
#include <string.h>

START_TEST(json_has_exactly_its_keys)
{
    if (!program_there)
        return;
    struct program_result result =
        program_run("bench %s/relu.onnx --batch 1,8 --cores 2 --json --seconds 1ms", folder_root);
    ck_assert_int_eq(result.status, 0);
    json_error_t error;
    json_t *root = json_loads(result.text, 0, &error);
    ck_assert_msg(root != NULL, "%s: %s", error.text, result.text);
    ck_assert_uint_eq(json_array_size(root), 2);
    for (size_t i = 0; i < 2; i++) {
        const char *model, *precision;
        int batch, cores, rows, columns;
        double median_ms, min_ms, items_per_s;
        int unpacked =
            json_unpack_ex(json_array_get(root, i), &error, 0, "{s:s,s:i,s:{s:[i,i!]!},s:i,s:s,s:F,s:F,s:F!}", "model",
                           &model, "batch", &batch, "inputs", "x", &rows, &columns, "cores", &cores, "precision",
                           &precision, "median_ms", &median_ms, "min_ms", &min_ms, "items_per_s", &items_per_s);
        ck_assert_msg(unpacked == 0, "%s", error.text);
        ck_assert_int_eq(batch, i ? 8 : 1);
        ck_assert_int_eq(rows, batch);
        ck_assert_int_eq(columns, 2);
        ck_assert_int_eq(cores, 2);
        ck_assert_str_eq(precision, "exact");
        ck_assert_double_gt(min_ms, 0);
        ck_assert_double_ge(median_ms, min_ms);
        ck_assert_double_gt(items_per_s, 0);
    }
    json_decref(root);
}
END_TEST

START_TEST(a_profile_is_a_table_of_steps_and_sums)
{
    if (!program_there)
        return;
    struct program_result result = program_run("bench %s/relu.onnx --batch 1,8 --seconds 1ms --profile", folder_root);
    ck_assert_msg(result.status == 0, "%s", result.text);
    static const char *const words[] = {"a core of this machine: ", "\nbatch 8\n", "peak%", "roof ms", "Relu",
                                        " steps\n\nby algorithm\n"};
    const char *at = result.text;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        at = strstr(i == 1 ? result.text : at, words[i]);
        ck_assert_msg(at != NULL, "%s: %s", words[i], result.text);
    }
}
END_TEST

START_TEST(a_profile_in_json_has_exactly_its_keys)
{
    if (!program_there)
        return;
    struct program_result result = program_run("bench %s/relu.onnx --seconds 1ms --profile --json", folder_root);
    ck_assert_int_eq(result.status, 0);
    json_error_t error;
    json_t *root = json_loads(result.text, 0, &error);
    ck_assert_msg(root != NULL, "%s: %s", error.text, result.text);
    const json_t *steps = json_object_get(json_array_get(root, 0), "steps");
    ck_assert_uint_ge(json_array_size(steps), 1);
    const char *node, *operator, * algorithm;
    double ms, flops, done, share, bytes, roofline;
    ck_assert_msg(json_unpack_ex(json_array_get(steps, 0), &error, 0, "{s:s,s:s,s:s,s:F,s:F,s:F,s:F,s:F,s:F!}", "node",
                                 &node, "operator", &operator, "algorithm", &algorithm, "ms", &ms, "flops", &flops,
                                 "done_flops", &done, "peak_share", &share, "bytes", &bytes, "roofline_ms",
                                 &roofline) == 0,
                  "%s", error.text);
    ck_assert_str_eq(operator, "Relu");
    ck_assert_double_ge(ms, 0);
    ck_assert_double_eq(flops, 2);
    ck_assert_double_eq(done, 2);
    ck_assert_double_eq(bytes, 16); /* two floats read, two written */
    ck_assert(share >= 0 && roofline > 0);
    json_decref(root);
}
END_TEST

START_TEST(whole_numbers_are_valid_indices)
{
    if (!program_there)
        return;
    struct program_result result = program_run("bench %s/pick.onnx --batch 4 --seconds 1ms --dim x:1=3", folder_root);
    ck_assert_msg(result.status == 0, "%s", result.text);
    ck_assert_ptr_nonnull(strstr(result.text, "median ms"));
}
END_TEST

START_TEST(a_dimension_that_means_nothing_is_told)
{
    if (!program_there)
        return;
    struct program_result result = program_run("bench %s/relu.onnx --dim height=3", folder_root);
    ck_assert_int_eq(result.status, 2);
    ck_assert_ptr_nonnull(strstr(result.text, "--dim 'height=3' names no free axis"));
    result = program_run("bench %s/relu.onnx --dim height", folder_root);
    ck_assert_ptr_nonnull(strstr(result.text, "expected NAME=N or INPUT:AXIS=N"));
}
END_TEST

START_TEST(a_shape_is_taken_and_told)
{
    if (!program_there)
        return;
    struct program_result result = program_run("bench %s/pick.onnx --shape 3x5 --seconds 1ms", folder_root);
    ck_assert_msg(result.status == 0, "%s", result.text);
    ck_assert_ptr_nonnull(strstr(result.text, "x [3,5]\n"));
    result = program_run("bench %s/add.onnx --shape a=7x3 --shape b=7x3 --seconds 1ms", folder_root);
    ck_assert_ptr_nonnull(strstr(result.text, "a [7,3] b [7,3]\n"));
}
END_TEST

static const struct {
    const char *arguments, *sentence;
} wrong_shapes[] = {
    {"add.onnx --shape c=2x3", "--shape 'c=2x3': the model has no such input; it has a, b"},
    {"add.onnx --shape 2x3", "--shape '2x3': say which input: NAME=2x3 with one of a, b"},
    {"relu.onnx --shape x=2x3", "the model fixes other dimensions of 'x'"},
    {"relu.onnx --shape x=2", "the model fixes other dimensions of 'x'"},
    {"relu.onnx --shape x=2x", "expected INPUT=NxNxN, as in x=1x24x40"},
    {"relu.onnx --shape x=-1x2", "expected INPUT=NxNxN"},
    {"relu.onnx --shape x=ax2", "expected INPUT=NxNxN"},
    {"relu.onnx --shape x=1x1x1x1x1x1x1x1x1x1", "expected INPUT=NxNxN"},
};

START_TEST(a_shape_that_means_nothing_is_told)
{
    if (!program_there)
        return;
    struct program_result result = program_run("bench %s/%s --seconds 1ms", folder_root, wrong_shapes[_i].arguments);
    ck_assert_int_eq(result.status, 2);
    ck_assert_msg(strstr(result.text, wrong_shapes[_i].sentence) != NULL, "%s", result.text);
}
END_TEST

Suite *command_bench_suite(void);

Suite *command_bench_suite(void)
{
    Suite *suite = suite_create("command_bench");
    TCase *tests = tcase_create("bench");
    tcase_add_checked_fixture(tests, program_begin, program_end);
    tcase_add_test(tests, json_has_exactly_its_keys);
    tcase_add_test(tests, a_profile_is_a_table_of_steps_and_sums);
    tcase_add_test(tests, a_profile_in_json_has_exactly_its_keys);
    tcase_add_test(tests, whole_numbers_are_valid_indices);
    tcase_add_test(tests, a_dimension_that_means_nothing_is_told);
    tcase_add_test(tests, a_shape_is_taken_and_told);
    tcase_add_loop_test(tests, a_shape_that_means_nothing_is_told, 0,
                        (int)(sizeof wrong_shapes / sizeof *wrong_shapes));
    suite_add_tcase(suite, tests);
    return suite;
}
