/*
 * main.c - picks what to do. Exit status: 0 done, 1 it went wrong, 2 the command line or the
 * configuration is wrong; which of the two is the error's code to say (command_fail). With --health
 * never 2, whatever is wrong: to Docker it has no meaning.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "command/command.h"
#include "command/limits.h"
#include "http/routes.h"
#include "serve/manifest.h"

extern char **environ;

static void print_line(void *user, const char *text)
{
    fprintf(user, "%s\n", text);
}

static void print_kernels(void)
{
    for (const char *const *name = percept_kernels(); *name; name++)
        printf("%s%s", *name, name[1] ? " " : "\n");
}

/* docs/operators.md, whole. */
static void print_operators(void)
{
    puts("# The operators\n\n"
         "The ONNX operators that are served, as `perceptd --operators` prints them, and the oldest "
         "version of the\noperator set in which each is. Names that begin with `ai.onnx.ml.` are "
         "those of "
         "scikit-learn's converters,\nwith `com.microsoft.` ONNX Runtime's own.\n\n"
         "| operator | since opset |\n"
         "|---|---|");
    percept_list_operators(print_line, stdout);
}

static void print_errors(void)
{
    for (int code = ERR_NONE + 1; code < ERR_COUNT; code++)
        printf("%-13s %d  %s\n", err_name(code), err_status(code), err_meaning(code));
}

/* True when the action was to print something. */
static bool print_something(const struct options *options)
{
    switch (options->action) {
    case OPTIONS_HELP:
        options_print_help(stdout, options->command_named ? options->command : OPTIONS_COMMANDS);
        return true;
    case OPTIONS_VERSION:
        printf("perceptd %s\n", percept_version());
        return true;
    case OPTIONS_MAN:
        options_print_man(stdout);
        return true;
    case OPTIONS_KERNELS:
        print_kernels();
        return true;
    case OPTIONS_OPERATORS:
        print_operators();
        return true;
    case OPTIONS_ROUTES:
        routes_print(print_line, stdout);
        return true;
    case OPTIONS_ERRORS:
        print_errors();
        return true;
    case OPTIONS_SCHEMA:
        puts(manifest_schema());
        return true;
    default:
        return false;
    }
}

static int hint(void)
{
    options_print_help(stderr, OPTIONS_COMMANDS);
    fputs("\nNothing to serve: name a model, as in  perceptd model.onnx\n", stderr);
    return COMMAND_MISTAKE;
}

static int act(const struct options *options)
{
    static int (*const commands[OPTIONS_COMMANDS])(const struct options *) = {
        [OPTIONS_SERVE] = serve_command,    [OPTIONS_RUN] = run_command,     [OPTIONS_INSPECT] = inspect_command,
        [OPTIONS_MANIFEST] = draft_command, [OPTIONS_BENCH] = bench_command, [OPTIONS_REGIONS] = regions_command,
    };
    if (options->action == OPTIONS_HINT)
        return hint();
    if (options->action == OPTIONS_HEALTH)
        return health_command(options);
    if (options->action == OPTIONS_CHECK)
        return serve_check(options);
    if (print_something(options))
        return EXIT_SUCCESS;
    return commands[options->command](options);
}

static bool asks_for_health(int argc, char **argv)
{
    bool asks = false;
    for (int i = 1; i < argc; i++)
        asks = asks || strcmp(argv[i], "--health") == 0;
    return asks;
}

int main(int argc, char **argv)
{
    struct arena arena = {0};
    struct options options;
    struct percept_err err;
    bool good = limits_stack(&err) && options_read(argc, argv, environ, &arena, &options, &err);
    int status = good ? act(&options) : command_fail(&err);
    if (status == COMMAND_MISTAKE && asks_for_health(argc, argv))
        status = EXIT_FAILURE;
    arena_free(&arena);
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == EXIT_SUCCESS) {
        err_set(&err, ERR_SYSTEM, "cannot write to standard output: %s", strerror(errno));
        status = command_fail(&err);
    }
    return status;
}
