/* Exit statuses: one rule for all subcommands. 0 done; 1 understood, and it went wrong; 2 not
 * understood: the command line, the environment, the file of --config or the key file is wrong.
 * api.md has the table. */
#include "program.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

/* %s is the folder of the test's models. */
static const struct {
    int status;
    const char *arguments, *says;
} cases[] = {
    /* nothing where something should be */
    {1, "%s/none.onnx", "there is nothing at"},
    {1, "serve %s/none.onnx", "there is nothing at"},
    {1, "--check-config %s/none.onnx", "there is nothing at"},
    {1, "run %s/none.onnx", "none.onnx"},
    {1, "inspect %s/none.onnx", "none.onnx"},
    {1, "bench %s/none.onnx", "none.onnx"},
    {1, "run %s/relu.onnx --input x=%s/none.npy", "none.npy"},
    /* what is there is no model, or not one */
    {1, "serve %s/broken.onnx --listen 127.0.0.1:0", "broken"},
    {1, "%s/broken.onnx --check-config", "broken"},
    {1, "run %s/broken.onnx", "broken.onnx"},
    {1, "inspect %s/broken.onnx", "broken.onnx"},
    {1, "bench %s/broken.onnx", "broken.onnx"},
    {1, "inspect %s", "and one is needed"},
    /* the arrays do not fit; the outputs cannot be written */
    {1, "run %s/relu.onnx --input %s/relu.onnx", "this is no .npy file"},
    {1, "run %s/relu.onnx --input %s/x.npy --output-dir %s/relu.onnx/y", "cannot make the folder"},
    {1, "inspect %s/relu.onnx >/dev/full", "cannot write to standard output"},
    {1, "inspect %s/relu.onnx --json >/dev/full", "cannot write to standard output"},
    {1, "bench %s/relu.onnx --seconds 1ms >/dev/full", "cannot write to standard output"},
    {1, "regions >/dev/full", "cannot write to standard output"},
    {1, "--man >/dev/full", "cannot write to standard output"},
    /* the system refuses */
    {1, "serve %s/relu.onnx --listen 192.0.2.1:0", "this host has no such address"},
    /* words that mean nothing */
    {2, "", "Nothing to serve"},
    {2, "serv", "no such subcommand or file"},
    {2, "serve", "nothing to serve"},
    {2, "run", "needs a model"},
    {2, "inspect", "needs a model"},
    {2, "bench", "needs a model"},
    {2, "inspect a.onnx b.onnx", "takes one model"},
    {2, "regions x", "takes no argument"},
    {2, "serve --prot 80", "unknown option"},
    {2, "run x.onnx --batch 1", "is no option of 'perceptd run'"},
    {2, "bench x.onnx --batch", "needs a value"},
    {2, "bench x.onnx --batch no", "expected up to"},
    {2, "regions --region-prefix a/b", "expected 1 to"},
    /* options that fit no input of this model */
    {2, "run %s/relu.onnx", "is missing"},
    {2, "run %s/relu.onnx --input c=%s/x.npy", "no such input"},
    {2, "run %s/relu.onnx --input %s/x.npy --input x=%s/x.npy", "given twice"},
    {2, "bench %s/relu.onnx --dim height=3", "names no free axis"},
    {2, "bench %s/relu.onnx --shape c=3", "no such input"},
    /* a level of kernels that is not there */
    {2, "serve %s/relu.onnx --listen 127.0.0.1:0 --kernels v99", "v99"},
    {2, "run %s/relu.onnx --kernels v99", "v99"},
    {2, "inspect %s/relu.onnx --kernels v99", "v99"},
    {2, "bench %s/relu.onnx --kernels v99", "v99"},
    /* configuration, keys, addresses */
    {2, "serve %s/relu.onnx --config %s/none.conf", "none.conf"},
    {2, "serve %s/relu.onnx --config %s/relu.onnx", "relu.onnx:1"},
    {2, "serve %s/relu.onnx --listen 127.0.0.1:0 --api-key-file %s/none", "none"},
    {2, "serve %s/relu.onnx --listen 127.0.0.1:0 --api-key-file %s/relu.onnx", "an API key is one word"},
    {2, "serve %s/relu.onnx --listen nowhere:1", "nowhere:1"},
    {2, "%s/relu.onnx --check-config --listen here", "'here' is no address"},
    {2, "%s/relu.onnx --check-config --listen fd:here", "after 'fd:' comes a number"},
    {2, "%s/relu.onnx --check-config --listen 127.0.0.1:-0", "is no address"},
    {0, "%s/relu.onnx --check-config --listen 127.0.0.1:080", "configuration is good"},
    /* --health says 0 or 1, whatever is wrong */
    {1, "--health --listen 127.0.0.1:1", "nobody answers"},
    {1, "--health --listen here", "'here' is no address"},
    {1, "--health --no-such-option", "unknown option"},
    /* done */
    {0, "--version", "perceptd"},
    {0, "regions", ""},
    {0, "inspect %s/relu.onnx", "Relu"},
    {0, "run %s/relu.onnx --input %s/x.npy --output-dir %s", "y float32"},
    {0, "bench %s/relu.onnx --seconds 1ms", "items/s"},
    {0, "%s/relu.onnx --check-config", "configuration is good"},
};

START_TEST(the_status_follows_one_rule)
{
    char arguments[600] = "";
    if (!program_there)
        return;
    program_write_floats("x.npy", 2, (const int64_t[]){1, 2}, (const float[]){-1, 2});
    for (const char *at = cases[_i].arguments; *at; at++) {
        size_t n = strlen(arguments);
        if (at[0] == '%' && at[1] == 's')
            snprintf(arguments + n, sizeof arguments - n, "%s", (at++, folder_root));
        else
            snprintf(arguments + n, sizeof arguments - n, "%c", *at);
    }
    /* standard output may be a full disk: the sentence is looked for where it is written */
    struct program_result result = program_run("%s", arguments);
    ck_assert_msg(result.status == cases[_i].status, "perceptd %s: %d\n%s", arguments, result.status, result.text);
    ck_assert_msg(strstr(result.text, cases[_i].says) != NULL, "perceptd %s:\n%s", arguments, result.text);
}
END_TEST

Suite *command_status_suite(void);

Suite *command_status_suite(void)
{
    Suite *suite = suite_create("command_status");
    TCase *tests = tcase_create("status");
    tcase_add_checked_fixture(tests, program_begin, program_end);
    tcase_add_loop_test(tests, the_status_follows_one_rule, 0, (int)(sizeof cases / sizeof *cases));
    suite_add_tcase(suite, tests);
    return suite;
}
