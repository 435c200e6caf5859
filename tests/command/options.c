/* Options: what comes before what, what each wrong value is told, and what help and manual say. */
#include "options.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/log.h"

#define MOST_ARGUMENTS 16

static struct arena arena;
static struct options options;
static struct percept_err err;

static void teardown(void)
{
    arena_free(&arena);
}

/* `line` and `variables` have blanks between their words. */
static char **split(const char *line)
{
    char **words = arena_array(&arena, MOST_ARGUMENTS, sizeof *words);
    char *copy = arena_text(&arena, line, strlen(line));
    int n = 0;
    for (char *at = strtok(copy, " "); at; at = strtok(NULL, " "))
        words[n++] = at;
    return words;
}

static bool read_with(const char *line, const char *variables)
{
    char **argv = split(line);
    int argc = 0;
    while (argv[argc])
        argc++;
    err.text[0] = '\0';
    return options_read(argc, argv, split(variables), &arena, &options, &err);
}

static void expect_good(const char *line)
{
    ck_assert_msg(read_with(line, ""), "%s: %s", line, err.text);
}

static void expect_refused(const char *line, const char *sentence)
{
    ck_assert_msg(!read_with(line, ""), "'%s' was taken", line);
    ck_assert_str_eq(err.text, sentence);
}

START_TEST(defaults_are_there)
{
    expect_good("perceptd serve models");
    ck_assert_int_eq(options.command, OPTIONS_SERVE);
    ck_assert_int_eq(options.listen.n, 1);
    ck_assert_str_eq(options.listen.at[0], "127.0.0.1:8080");
    ck_assert_int_eq(options.settings.workers, 0);
    ck_assert_ptr_null(options.settings.level);
    ck_assert_int_eq(options.settings.max_batch_size, 32);
    ck_assert_uint_eq(options.settings.max_body_bytes, 64u << 20);
    ck_assert_uint_eq(options.settings.memory_limit_bytes, (size_t)4 << 30);
    ck_assert_int_eq(options.settings.header_timeout_ms, 10000);
    ck_assert_int_eq(options.settings.drain_delay_ms, 0);
    ck_assert_int_eq(options.settings.default_timeout_us, 0);
    ck_assert(!options.settings.admin && !options.settings.strict_readiness);
    ck_assert_str_eq(options.settings.server_id, "perceptd");
    ck_assert_str_eq(options.settings.region_prefix, "perceptd");
    ck_assert_int_eq(options.log_level, LOG_INFO_LEVEL);
    ck_assert_int_eq(options.log_format, 0);
    ck_assert_int_eq(options.paths.n, 1);
}
END_TEST

static void expect_places(int n, const char *first, const char *last)
{
    ck_assert_int_eq(options.listen.n, n);
    ck_assert_str_eq(options.listen.at[0], first);
    ck_assert_str_eq(options.listen.at[n - 1], last);
}

START_TEST(places_add_up_within_a_source_and_not_across)
{
    expect_good("perceptd serve m --listen 1 --listen=2,unix:/s --listen 4");
    expect_places(4, "1", "4");
    ck_assert_str_eq(options.listen.at[2], "unix:/s");
    ck_assert_msg(read_with("perceptd serve m", "PERCEPTD_LISTEN=5,6,7"), "%s", err.text);
    expect_places(3, "5", "7");
    ck_assert_msg(read_with("perceptd serve m --listen 8", "PERCEPTD_LISTEN=5,6,7"), "%s", err.text);
    expect_places(1, "8", "8");
    expect_refused("perceptd serve m --listen 1,,2",
                   "--listen '1,,2': expected 1 to 120 characters, or several with commas between");
    expect_refused("perceptd serve m --listen ,",
                   "--listen ',': expected 1 to 120 characters, or several with commas between");
}
END_TEST

START_TEST(a_file_alone_is_served)
{
    expect_good("perceptd /dev/null --workers 3");
    ck_assert_int_eq(options.command, OPTIONS_SERVE);
    ck_assert_str_eq(options.paths.at[0], "/dev/null");
    ck_assert_int_eq(options.settings.workers, 3);
}
END_TEST

START_TEST(no_argument_is_a_hint)
{
    expect_good("perceptd");
    ck_assert_int_eq(options.action, OPTIONS_HINT);
}
END_TEST

START_TEST(values_of_each_kind_are_read)
{
    expect_good("perceptd serve m --max-body=1.5K --drain-delay 1.5 --default-timeout 200us --admin "
                "--log-level debug --log-format json --strict-readiness=no");
    ck_assert_uint_eq(options.settings.max_body_bytes, 1536);
    ck_assert_int_eq(options.settings.drain_delay_ms, 1500);
    ck_assert_int_eq(options.settings.default_timeout_us, 200);
    ck_assert(options.settings.admin && !options.settings.strict_readiness);
    ck_assert_int_eq(options.log_level, LOG_DEBUG_LEVEL);
    ck_assert_int_eq(options.log_format, 1);
    expect_good("perceptd bench m --batch 1,8,32 --seconds 2m --dim a=1 --dim b=2 --json");
    ck_assert_int_eq(options.batches.n, 3);
    ck_assert_int_eq(options.batches.at[2], 32);
    ck_assert_int_eq(options.bench_ms, 120000);
    ck_assert_int_eq(options.dims.n, 2);
    ck_assert_str_eq(options.dims.at[1], "b=2");
    ck_assert(options.json);
}
END_TEST

START_TEST(after_two_dashes_all_are_paths)
{
    expect_good("perceptd serve -- --workers");
    ck_assert_str_eq(options.paths.at[0], "--workers");
}
END_TEST

static const struct {
    const char *line, *sentence;
} refused[] = {
    {"perceptd serve m --workers x", "--workers 'x': expected a whole number from 1 to 1024"},
    {"perceptd serve m --workers=", "--workers '': expected a whole number from 1 to 1024"},
    {"perceptd serve m --workers 0", "--workers '0': expected a whole number from 1 to 1024"},
    {"perceptd serve m --max-queue-delay-us -1",
     "--max-queue-delay-us '-1': expected a whole number from 0 to 10000000"},
    {"perceptd serve m --max-body 1T",
     "--max-body '1T': expected bytes from 1K to 1T, such as 65536, 64K, 64M or 1.5G"},
    {"perceptd serve m --header-timeout 0",
     "--header-timeout '0': expected a time from 0.001s to 86400s, such as 500ms, 10s or 2m"},
    {"perceptd serve m --idle-timeout 10days",
     "--idle-timeout '10days': expected a time from 0.001s to 86400s, such as 500ms, 10s or 2m"},
    {"perceptd serve m --idle-timeout nan",
     "--idle-timeout 'nan': expected a time from 0.001s to 86400s, such as 500ms, 10s or 2m"},
    {"perceptd serve m --log-level loud", "--log-level 'loud': expected one of error|warn|info|debug"},
    {"perceptd serve m --log-level inf", "--log-level 'inf': expected one of error|warn|info|debug"},
    {"perceptd serve m --admin=perhaps", "--admin 'perhaps': expected yes or no"},
    {"perceptd serve m --region-prefix a/b",
     "--region-prefix 'a/b': expected 1 to 24 of: letters, digits, '.', '_', '-'"},
    {"perceptd serve m --kernels a-very-long-level-name",
     "--kernels 'a-very-long-level-name': expected 1 to 15 characters"},
    {"perceptd bench m --batch 1,,2",
     "--batch '1,,2': expected up to 16 whole numbers from 1 to 4096 with commas between"},
    {"perceptd bench m --batch 1,", "--batch '1,': expected up to 16 whole numbers from 1 to 4096 with commas between"},
    {"perceptd serve m --workers", "--workers needs a value: N"},
    {"perceptd serve --help=me", "--help takes no value"},
    {"perceptd serve m --worker 3", "unknown option '--worker'; did you mean '--workers'?"},
    {"perceptd serve m --zzzzzzzzzz", "unknown option '--zzzzzzzzzz'; perceptd --help lists those there are"},
    {"perceptd serve m -w 3", "unknown option '-w'; options have long names: perceptd --help"},
    {"perceptd serve m --batch 3", "--batch is no option of 'perceptd serve'; it belongs to: bench"},
    {"perceptd run", "'perceptd run' needs a model: perceptd run MODEL [FILE|FOLDER]... [-o FILE|FOLDER] | "
                     "MODEL [--input [NAME=]FILE.npy]... [--output-dir FOLDER]"},
    {"perceptd inspect a b", "'perceptd inspect' takes one model, got 'b' as well"},
    {"perceptd regions a", "'perceptd regions' takes no argument, got 'a'"},
    {"perceptd no-such.onnx", "there is nothing at 'no-such.onnx'"},
    {"perceptd no-such-thing", "no such subcommand or file 'no-such-thing'; subcommands are serve, "
                               "run, inspect, manifest, bench, regions"},
};

START_TEST(wrong_values_are_told_what_would_work)
{
    expect_refused(refused[_i].line, refused[_i].sentence);
}
END_TEST

START_TEST(printing_needs_no_valid_settings)
{
    ck_assert(read_with("perceptd serve --help --workers x", "PERCEPTD_MAX_BODY=x"));
    ck_assert_int_eq(options.action, OPTIONS_HELP);
    ck_assert(read_with("perceptd --version", "PERCEPTD_WORKERS=x"));
    ck_assert_int_eq(options.action, OPTIONS_VERSION);
}
END_TEST

START_TEST(the_environment_sets_what_the_line_does_not)
{
    ck_assert(read_with("perceptd serve m --workers 2", "PERCEPTD_WORKERS=5 PERCEPTD_MAX_BATCH_SIZE=7"));
    ck_assert_int_eq(options.settings.workers, 2);
    ck_assert_int_eq(options.settings.max_batch_size, 7);
}
END_TEST

START_TEST(the_environment_is_judged_by_its_name)
{
    ck_assert(!read_with("perceptd serve m", "PERCEPTD_WORKERS=many"));
    ck_assert_str_eq(err.text, "PERCEPTD_WORKERS 'many': expected a whole number from 1 to 1024");
}
END_TEST

START_TEST(other_variables_are_nobodys_mistake)
{
    ck_assert(read_with("perceptd serve m", "PERCEPTD_PORT=tcp://10.0.0.1:80 PERCEPTD_WORKERS= PERCEPTD_BATCH=x"));
    ck_assert_int_eq(options.settings.workers, 0);
}
END_TEST

/* A configuration file with this text; its path is in the arena. */
static const char *config(const char *text)
{
    char path[] = "/tmp/perceptd-options-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    return arena_text(&arena, path, strlen(path));
}

START_TEST(line_before_environment_before_file_before_default)
{
    const char *path = config("# a comment\n\n  max-batch-size =  3\nworkers=4\nmax-queue-size = 5\r\n"
                              "admin = yes\nserver-id = two words");
    ck_assert_msg(read_with(arena_printf(&arena, "perceptd serve m --config %s --workers 9", path),
                            "PERCEPTD_WORKERS=8 PERCEPTD_MAX_BATCH_SIZE=7"),
                  "%s", err.text);
    unlink(path);
    ck_assert_int_eq(options.settings.workers, 9);
    ck_assert_int_eq(options.settings.max_batch_size, 7);
    ck_assert_int_eq(options.settings.max_queue_size, 5);
    ck_assert_int_eq(options.settings.max_connections, 1024);
    ck_assert(options.settings.admin);
    ck_assert_str_eq(options.settings.server_id, "two words");
    ck_assert_str_eq(options.config, path);
}
END_TEST

START_TEST(the_file_may_be_named_by_the_environment)
{
    const char *path = config("workers = 4");
    ck_assert(read_with("perceptd serve m", arena_printf(&arena, "PERCEPTD_CONFIG=%s", path)));
    unlink(path);
    ck_assert_int_eq(options.settings.workers, 4);
}
END_TEST

static const struct {
    const char *text, *sentence;
} bad_files[] = {
    {"workers = 1\nworkers = x", ":2: workers 'x': expected a whole number from 1 to 1024"},
    {"worker = 1", ":1: unknown option 'worker'; did you mean 'workers'?"},
    {"json = yes", ":1: unknown option 'json'; perceptd --help lists those there are"},
    {"help = yes", ":1: unknown option 'help'; perceptd --help lists those there are"},
    {"workers 3", ":1: 'workers 3': expected NAME = VALUE"},
};

START_TEST(wrong_lines_of_a_file_are_named)
{
    const char *path = config(bad_files[_i].text);
    ck_assert(!read_with(arena_printf(&arena, "perceptd serve m --config %s", path), ""));
    unlink(path);
    ck_assert_str_eq(err.text, arena_printf(&arena, "%s%s", path, bad_files[_i].sentence));
}
END_TEST

START_TEST(a_missing_file_is_an_error)
{
    ck_assert(!read_with("perceptd serve m --config /no/such/file", ""));
    ck_assert_ptr_nonnull(strstr(err.text, "/no/such/file"));
}
END_TEST

static char *printed(void (*print)(FILE *out))
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    print(out);
    fclose(out);
    return text;
}

static void print_serve_help(FILE *out)
{
    options_print_help(out, OPTIONS_SERVE);
}

START_TEST(help_tells_options_and_defaults)
{
    char *text = printed(print_serve_help);
    ck_assert_ptr_nonnull(strstr(text, "--max-body BYTES"));
    ck_assert_ptr_nonnull(strstr(text, "largest request body [64M]"));
    ck_assert_ptr_null(strstr(text, "--batch "));
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        ck_assert_msg(strlen(line) <= 100, "too long: %s", line);
    free(text);
}
END_TEST

START_TEST(the_manual_names_each_option_and_variable)
{
    char *text = printed(options_print_man);
    ck_assert(strncmp(text, ".TH PERCEPTD 1", 14) == 0);
    ck_assert_ptr_nonnull(strstr(text, ".B \\-\\-max\\-body \\fIBYTES\\fR\n"));
    ck_assert_ptr_nonnull(strstr(text, ".B PERCEPTD_MAX_BODY\n"));
    ck_assert_ptr_nonnull(strstr(text, "Default: \\fB64M\\fR\n"));
    ck_assert_ptr_nonnull(strstr(text, "Default: \\fB\\&.\\fR\n")); /* of --output-dir */
    ck_assert_ptr_null(strstr(text, "PERCEPTD_HELP"));
    free(text);
}
END_TEST

Suite *command_options_suite(void);

Suite *command_options_suite(void)
{
    Suite *suite = suite_create("command_options");
    TCase *tests = tcase_create("options");
    tcase_add_checked_fixture(tests, NULL, teardown);
    tcase_add_test(tests, defaults_are_there);
    tcase_add_test(tests, places_add_up_within_a_source_and_not_across);
    tcase_add_test(tests, a_file_alone_is_served);
    tcase_add_test(tests, no_argument_is_a_hint);
    tcase_add_test(tests, values_of_each_kind_are_read);
    tcase_add_test(tests, after_two_dashes_all_are_paths);
    tcase_add_loop_test(tests, wrong_values_are_told_what_would_work, 0, (int)(sizeof refused / sizeof *refused));
    tcase_add_test(tests, printing_needs_no_valid_settings);
    tcase_add_test(tests, the_environment_sets_what_the_line_does_not);
    tcase_add_test(tests, the_environment_is_judged_by_its_name);
    tcase_add_test(tests, other_variables_are_nobodys_mistake);
    tcase_add_test(tests, line_before_environment_before_file_before_default);
    tcase_add_test(tests, the_file_may_be_named_by_the_environment);
    tcase_add_loop_test(tests, wrong_lines_of_a_file_are_named, 0, (int)(sizeof bad_files / sizeof *bad_files));
    tcase_add_test(tests, a_missing_file_is_an_error);
    tcase_add_test(tests, help_tells_options_and_defaults);
    tcase_add_test(tests, the_manual_names_each_option_and_variable);
    suite_add_tcase(suite, tests);
    return suite;
}
