/* perceptd run: arrays from files, outputs to files, and a sentence for whatever does not fit. */
#include "program.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "command/npy.h"

static const int64_t one_by_two[] = {1, 2}, two_by_three[] = {2, 3};

static void expect_refused(struct program_result result, const char *part)
{
    ck_assert(result.status == 1 || result.status == 2); /* which of them: status.c */
    ck_assert_msg(strncmp(result.text, "perceptd: ", 10) == 0 && strstr(result.text, part), "%s", result.text);
}

START_TEST(a_sole_input_needs_no_name)
{
    if (!program_there)
        return;
    program_write_floats("x.npy", 2, one_by_two, (float[]){-1, 2});
    struct program_result result =
        program_run("run %s/relu.onnx --input %s/x.npy --output-dir %s/out", folder_root, folder_root, folder_root);
    char line[200];
    snprintf(line, sizeof line, "y float32 [1,2] %s/out/y.npy\n", folder_root);
    ck_assert_str_eq(result.text, line);
    ck_assert_int_eq(result.status, 0);
    struct arena arena = {0};
    struct percept_err err;
    struct percept_tensor y;
    ck_assert_msg(npy_read(folder_at("out/y.npy"), &arena, &y, &err), "%s", err.text);
    ck_assert_float_eq(((float *)y.data)[0], 0);
    ck_assert_float_eq(((float *)y.data)[1], 2);
    arena_free(&arena);
}
END_TEST

START_TEST(inputs_by_name_and_odd_output_names_work)
{
    if (!program_there)
        return;
    program_write_floats("a.npy", 2, two_by_three, (float[]){1, 2, 3, 4, 5, 6});
    program_write_floats("b.npy", 2, two_by_three, (float[]){1, 1, 1, 1, 1, 1});
    struct program_result result =
        program_run("run %s/add.onnx --input b=%s/b.npy --input a=%s/a.npy --output-dir %s --cores 2 --profile",
                    folder_root, folder_root, folder_root, folder_root);
    ck_assert_int_eq(result.status, 0);
    char line[200];
    snprintf(line, sizeof line, "out/put:0 float32 [2,3] %s/out_put_0.npy\n", folder_root);
    ck_assert_msg(strncmp(result.text, line, strlen(line)) == 0, "%s", result.text);
    ck_assert_ptr_nonnull(strstr(result.text, "the_add"));
}
END_TEST

START_TEST(what_does_not_fit_is_told)
{
    if (!program_there)
        return;
    const char *at = folder_root;
    program_write_floats("x.npy", 2, one_by_two, (float[]){-1, 2});
    expect_refused(program_run("run %s/add.onnx --input %s/x.npy", at, at), "say which: NAME=");
    expect_refused(program_run("run %s/add.onnx --input c=%s/x.npy", at, at), "no such input; it has a, b");
    expect_refused(program_run("run %s/add.onnx --input a=%s/x.npy", at, at), "input 'b' (float32 [?,3]) is missing");
    expect_refused(program_run("run %s/add.onnx --input a=%s/x.npy --input b=%s/x.npy", at, at, at),
                   "input 'a' has shape");
    expect_refused(program_run("run %s/relu.onnx", at), "input 'x' (float32 [?,2]) is missing: --input x=FILE.npy");
    expect_refused(program_run("run %s/relu.onnx --input %s/x.npy --input x=%s/x.npy", at, at, at), "given twice");
    expect_refused(program_run("run %s/pick.onnx --input %s/x.npy", at, at), "takes int64, the file has float32");
    expect_refused(program_run("run %s/relu.onnx --input %s/none.npy", at, at), "none.npy");
    expect_refused(program_run("run %s/relu.onnx --input %s/relu.onnx", at, at), "this is no .npy file");
    expect_refused(program_run("run %s/broken.onnx", at), "broken.onnx");
    ck_assert_int_eq(program_run("run").status, 2);
}
END_TEST

Suite *command_run_suite(void);

Suite *command_run_suite(void)
{
    Suite *suite = suite_create("command_run");
    TCase *tests = tcase_create("run");
    tcase_add_checked_fixture(tests, program_begin, program_end);
    tcase_add_test(tests, a_sole_input_needs_no_name);
    tcase_add_test(tests, inputs_by_name_and_odd_output_names_work);
    tcase_add_test(tests, what_does_not_fit_is_told);
    suite_add_tcase(suite, tests);
    return suite;
}
