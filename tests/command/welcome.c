/* The first screen: what it says about an empty server, and that its examples stand on their own.
 */
#include "command/welcome.h"
#include "serve/repository.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "program.h"

struct stage {
    struct loop *loop;
    struct catalog *catalog;
    struct repository *repository;
    struct settings settings;
};

static void stop_when_loaded(void *user)
{
    struct stage *stage = user;
    if (!catalog_loading(stage->catalog))
        loop_stop(stage->loop);
}

static void stop(void *user)
{
    struct stage *stage = user;
    loop_stop(stage->loop);
}

/* The text for a server of these models. */
static char *welcome_of(const char *const *names, int n, const char *api_key_file, bool no_page, const char *url)
{
    struct percept_err err;
    struct stage stage = {.settings = {.workers = 1,
                                       .max_batch_size = 8,
                                       .max_queue_size = 8,
                                       .private_regions = true,
                                       .no_page = no_page,
                                       .api_key_file = api_key_file}};
    setenv("UV_THREADPOOL_SIZE", "1", 1);
    stage.loop = loop_new(1, &err);
    ck_assert_msg(stage.loop != NULL, "%s", err.text);
    stage.catalog = catalog_new(stage.loop, &stage.settings, &err);
    ck_assert_msg(stage.catalog != NULL, "%s", err.text);
    stage.repository = repository_new(stage.loop, stage.catalog, &stage.settings, &err);
    ck_assert_msg(stage.repository != NULL, "%s", err.text);
    for (int i = 0; i < n; i++) {
        ck_assert_msg(repository_add(stage.repository, folder_at(names[i]), &err), "%s", err.text);
    }
    loop_on_turn(stage.loop, stop_when_loaded, &stage);
    loop_wake(stage.loop);
    loop_run(stage.loop);
    struct arena arena = {0};
    struct text text = {.arena = &arena};
    welcome_add(&text, stage.catalog, &stage.settings, "http://127.0.0.1:1", url);
    char *copy = strndup(text.at, text.n_bytes);
    arena_free(&arena);
    loop_off_turn(stage.loop, &stage);
    catalog_drain(stage.catalog, stop, &stage);
    loop_wake(stage.loop);
    loop_run(stage.loop);
    catalog_free(stage.catalog);
    repository_free(stage.repository);
    loop_free(stage.loop);
    return copy;
}

static char *welcome(const char *const *names, int n, const char *api_key_file)
{
    return welcome_of(names, n, api_key_file, false, "http://127.0.0.1:1");
}

START_TEST(the_page_is_named_where_a_browser_gets_it)
{
    if (!program_there)
        return;
    const struct {
        bool no_page, named;
        const char *url;
    } rows[] = {{false, true, "http://127.0.0.1:1"},
                {false, true, "https://127.0.0.1:1"},
                {true, false, "http://127.0.0.1:1"},
                {false, false, "--unix-socket '/a' http://localhost"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char line[100], *text = welcome_of(NULL, 0, NULL, rows[i].no_page, rows[i].url);
        snprintf(line, sizeof line, "\nIn a browser: %s/\n", rows[i].url);
        ck_assert_msg((strstr(text, line) != NULL) == rows[i].named, "%s", text);
        ck_assert((strstr(text, "browser") != NULL) == rows[i].named);
        free(text);
    }
}
END_TEST

START_TEST(an_empty_server_says_so)
{
    if (!program_there)
        return;
    char *text = welcome(NULL, 0, NULL);
    ck_assert_ptr_nonnull(strstr(text, "serves at http://127.0.0.1:1  (1 worker, kernels "));
    ck_assert_ptr_nonnull(strstr(text, "no model yet"));
    ck_assert_ptr_null(strstr(text, "Try:"));
    free(text);
}
END_TEST

START_TEST(models_and_failures_are_listed)
{
    if (!program_there)
        return;
    char *text = welcome((const char *const[]){"relu.onnx", "broken.onnx"}, 2, "/etc/keys");
    ck_assert_ptr_nonnull(strstr(text, "relu                 x float32[?,2]"));
    ck_assert_ptr_nonnull(strstr(text, "broken               FAILED: "));
    ck_assert_ptr_nonnull(strstr(text, "-H \"X-API-Key: $(grep -vm1 '^#' '/etc/keys')\""));
    free(text);
}
END_TEST

START_TEST(what_is_left_out_is_listed_and_cannot_speak_to_the_terminal)
{
    if (!program_there)
        return;
    static const char *const names[] = {"models"};
    folder_files("models/a\x1b[2J.onnx", "models/two/a.onnx", "models/two/b.onnx", "models/good.onnx");
    char *text = welcome(names, 1, NULL);
    ck_assert_msg(strstr(text, "a\\u001b[2J.onnx") != NULL, "%s", text);
    ck_assert_ptr_nonnull(strstr(text, "LEFT OUT: 'a\\u001b[2J' cannot be a model's name"));
    ck_assert_ptr_nonnull(strstr(text, "two/                 LEFT OUT: it holds 2 .onnx files"));
    ck_assert_ptr_null(strchr(text, '\x1b'));
    free(text);
}
END_TEST

START_TEST(names_cannot_speak_to_the_terminal)
{
    if (!program_there)
        return;
    program_write_rude();
    char *text = welcome((const char *const[]){"rude.onnx"}, 1, NULL);
    ck_assert_msg(strstr(text, " in\\u001b[2J float32[?,2]") != NULL, "%s", text);
    ck_assert_ptr_null(strchr(text, 0x1b));
    ck_assert_ptr_null(strstr(text, "Try:"));
    free(text);
}
END_TEST

/* The example's left side, run by a shell, is the body it would post. */
START_TEST(an_example_makes_the_body_it_promises)
{
    if (!program_there)
        return;
    char *text = welcome((const char *const[]){"relu.onnx"}, 1, NULL);
    char *from = strstr(text, "{ printf"), *to = strstr(text, " | curl");
    ck_assert(from && to && from < to);
    *to = '\0';
    FILE *out = popen(from, "r");
    char body[512] = "";
    size_t n = fread(body, 1, sizeof body - 1, out);
    body[n] = '\0';
    ck_assert_int_eq(pclose(out), 0);
    ck_assert_str_eq(body, "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,2],\"data\":[0,0\n]}]}");
    free(text);
}
END_TEST

Suite *command_welcome_suite(void);

Suite *command_welcome_suite(void)
{
    Suite *suite = suite_create("command_welcome");
    TCase *tests = tcase_create("welcome");
    tcase_add_checked_fixture(tests, program_begin, program_end);
    tcase_add_test(tests, the_page_is_named_where_a_browser_gets_it);
    tcase_add_test(tests, an_empty_server_says_so);
    tcase_add_test(tests, models_and_failures_are_listed);
    tcase_add_test(tests, what_is_left_out_is_listed_and_cannot_speak_to_the_terminal);
    tcase_add_test(tests, names_cannot_speak_to_the_terminal);
    tcase_add_test(tests, an_example_makes_the_body_it_promises);
    suite_add_tcase(suite, tests);
    return suite;
}
