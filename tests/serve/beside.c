/* beside.c - config.pbtxt and manifest.json beside a model: which counts, whose they are, which file is meant. */
#include "serve/beside.h"

#include "base/err.h"
#include "folder.h"

#include <check.h>
#include <string.h>

Suite *serve_beside_suite(void);

static struct arena arena;
static struct percept_err err;

static void begin(void)
{
    folder_begin("beside");
    err = (struct percept_err){0};
}

static void end(void)
{
    folder_end();
    arena_free(&arena);
}

#define MANIFEST(size) "{\"manifest\":1,\"batching\":{\"max_batch_size\":" #size "}}"

static const struct {
    const char *config, *manifest; /* where they lie and what they say; NULL: nothing there */
    const char *file;              /* that is meant, or NULL with */
    const char *says;
    const char *files[3]; /* besides that in 1/ */
    const char *named;    /* on the command line */
    int max_batch_size;
    bool is_among_others;
} rows[] = {
    {NULL, NULL, "m/1/model.onnx", NULL, {NULL}, "", -1, false},
    {"", NULL, "m/1/model.onnx", NULL, {NULL}, "", -1, false},
    {"max_batch_size: 4", NULL, "m/1/model.onnx", NULL, {NULL}, "", 4, false},
    {"max_batch_size: 4", MANIFEST(5), "m/1/model.onnx", NULL, {NULL}, "", 5, false},
    {"max_batch_size: 4", NULL, "m/1/model.onnx", NULL, {NULL}, "", -1, true},
    {"name: 'm'", NULL, "m/1/model.onnx", NULL, {NULL}, "", -1, false},
    {"name: 'n'",
     NULL,
     NULL,
     "m/config.pbtxt: unexpected directory name 'm' for model 'n', directory",
     {NULL},
     "",
     -1,
     false},
    {"name: 'n'", NULL, "m/1/model.onnx", NULL, {NULL}, "m", -1, false},
    {"name: 'n'", NULL, "m/1/model.onnx", NULL, {NULL}, "m/1/model.onnx", -1, false},
    {"name: 'n'", NULL, "m/1/model.onnx", NULL, {NULL}, "m=", -1, false},
    {"nmae: 'n'", NULL, NULL, "m/config.pbtxt: line 1, column 1: nmae: ", {NULL}, "", -1, false},
    {"", "{}", NULL, "m/manifest.json: manifest: expected 1", {NULL}, "", -1, false},
    {"default_model_filename: 'net.onnx'", NULL, "m/1/net.onnx", NULL, {"m/1/net.onnx"}, "", -1, false},
    {"default_model_filename: 'gone.onnx'", NULL, "m/1/gone.onnx", NULL, {NULL}, "", -1, false},
    {"default_model_filename: ''", NULL, "m/1/model.onnx", NULL, {NULL}, "", -1, false},
};

START_TEST(what_lies_beside_a_model_says_how_it_is_served)
{
    folder_files("m/1/model.onnx");
    folder_put_all(rows[_i].files);
    if (rows[_i].config)
        folder_text("m/config.pbtxt", rows[_i].config);
    if (rows[_i].manifest)
        folder_text("m/manifest.json", rows[_i].manifest);
    struct beside beside = {.name = "m",
                            .path = folder_at("m/1/model.onnx"),
                            .folder = rows[_i].is_among_others ? NULL : folder_at("m"),
                            .named = *rows[_i].named ? folder_at(rows[_i].named) : folder_root};
    if (rows[_i].named[0] && rows[_i].named[strlen(rows[_i].named) - 1] == '=')
        beside.named = arena_printf(&arena, "m=%s", folder_root);
    const bool read = beside_read(&beside, &arena, &err);
    ck_assert_msg(read == !rows[_i].says, "%s", err.text);
    if (!read) {
        ck_assert_msg(strstr(err.text, rows[_i].says) && err.text[0] == '/', "%s", err.text);
        ck_assert_str_eq(beside.config, folder_at("m/config.pbtxt"));
        return;
    }
    ck_assert_str_eq(beside.file, folder_at(rows[_i].file));
    ck_assert_int_eq(beside.manifest->max_batch_size, rows[_i].max_batch_size);
    ck_assert_int_eq(beside.config != NULL, rows[_i].config && !rows[_i].is_among_others);
}
END_TEST

START_TEST(of_several_files_config_says_which)
{
    folder_files("m/1/a.onnx", "m/1/b.onnx");
    folder_text("m/config.pbtxt", "");
    struct beside beside = {.name = "m", .path = folder_at("m/1/a.onnx"), .folder = folder_at("m")};
    ck_assert(!beside_read(&beside, &arena, &err));
    ck_assert_msg(strstr(err.text, "say which by default_model_filename"), "%s", err.text);
    folder_text("m/config.pbtxt", "default_model_filename: 'b.onnx'");
    ck_assert(beside_read(&beside, &arena, &err));
    ck_assert_str_eq(beside.file, folder_at("m/1/b.onnx"));
}
END_TEST

START_TEST(a_configuration_that_was_given_is_instead_of_the_file)
{
    folder_files("m/1/model.onnx");
    folder_text("m/config.pbtxt", "model_transaction_policy { decoupled: true } max_batch_size: 4");
    folder_text("m/manifest.json", "{\"manifest\":1,\"description\":\"d\"}");
    struct beside beside = {
        .name = "m", .path = folder_at("m/1/model.onnx"), .folder = folder_at("m"), .overridden = true};
    ck_assert_msg(beside_read(&beside, &arena, &err), "%s", err.text);
    ck_assert_ptr_null(beside.config);
    ck_assert_int_eq(beside.manifest->max_batch_size, -1);
    ck_assert_str_eq(beside.manifest->description, "d");
}
END_TEST

START_TEST(which_file_is_meant_is_known_though_the_rest_is_refused)
{
    folder_files("m/1/a.onnx", "n/model.onnx");
    const char *a = folder_at("m/1/a.onnx");
    ck_assert_str_eq(beside_file(a, folder_at("m"), &arena, &err), a);
    folder_text("m/config.pbtxt", "default_model_filename: 'b.onnx'");
    ck_assert_str_eq(beside_file(a, folder_at("m"), &arena, &err), folder_at("m/1/b.onnx"));
    ck_assert_str_eq(beside_file(a, NULL, &arena, &err), a);
    folder_text("m/config.pbtxt", "model_transaction_policy { decoupled: true }");
    ck_assert_str_eq(beside_file(a, folder_at("m"), &arena, &err), a);
    folder_files("m/1/b.onnx");
    ck_assert_ptr_null(beside_file(a, folder_at("m"), &arena, &err));
    ck_assert_msg(strstr(err.text, "decoupled"), "%s", err.text);
}
END_TEST

Suite *serve_beside_suite(void)
{
    Suite *suite = suite_create("serve/beside");
    TCase *tests = tcase_create("beside");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_loop_test(tests, what_lies_beside_a_model_says_how_it_is_served, 0, sizeof rows / sizeof *rows);
    tcase_add_test(tests, of_several_files_config_says_which);
    tcase_add_test(tests, a_configuration_that_was_given_is_instead_of_the_file);
    tcase_add_test(tests, which_file_is_meant_is_known_though_the_rest_is_refused);
    suite_add_tcase(suite, tests);
    return suite;
}
