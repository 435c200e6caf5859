/*
 * main.c - picks what to do. Exit status: 0 done, 1 it went wrong, 2 the command line or the
 * configuration is wrong.
 */
#include <stdlib.h>

#include "base/err.h"
#include "command/command.h"
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
    puts(
        "# The operators\n\n"
        "The ONNX operators that are served, as `perceptd --operators` prints them, and the oldest "
        "version of the\noperator set in which each is. Names that begin with `ai.onnx.ml.` are those of "
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
        [OPTIONS_SERVE] = serve_command,     [OPTIONS_RUN] = run_command,
        [OPTIONS_INSPECT] = inspect_command, [OPTIONS_BENCH] = bench_command,
        [OPTIONS_REGIONS] = regions_command,
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

int main(int argc, char **argv)
{
    struct arena arena = {0};
    struct options options;
    struct percept_err err;
    int status = COMMAND_MISTAKE;
    if (options_read(argc, argv, environ, &arena, &options, &err))
        status = act(&options);
    else
        command_fail(&err);
    arena_free(&arena);
    if (fflush(stdout) != 0 && status == EXIT_SUCCESS)
        status = EXIT_FAILURE;
    return status;
}
