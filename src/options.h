/*
 * options.h - what the user asked for: a subcommand, its arguments, and every setting.
 *
 *     struct options options;
 *     if (!options_read(argc, argv, environ, &arena, &options, &err)) ...
 *
 * A setting comes from the command line, else from PERCEPTD_NAME in the environment, else from the
 * file that --config names, else from options.def. Texts live in the arena or in argv and environ.
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdio.h>

#include "base/arena.h"
#include "serve/settings.h"
#include "percept.h"

enum options_command {
#define COMMAND(id, name, arguments, sentence) OPTIONS_##id,
#include "options.def"
    OPTIONS_COMMANDS
};

/* Instead of the subcommand. */
enum options_action {
    OPTIONS_NONE,
    OPTIONS_HINT, /* nothing was asked */
    OPTIONS_HELP,
    OPTIONS_VERSION,
    OPTIONS_MAN,
    OPTIONS_CHECK,
    OPTIONS_HEALTH,
    OPTIONS_KERNELS,
    OPTIONS_OPERATORS,
    OPTIONS_ROUTES,
    OPTIONS_ERRORS,
    OPTIONS_SCHEMA,
};

struct options_list {
    int n;
    const char **at;
    bool earlier; /* options.c's: the next source has not said anything yet */
};

#define OPTIONS_NUMBERS_MAX 16

struct options_numbers {
    int n;
    int at[OPTIONS_NUMBERS_MAX];
};

struct options {
    enum options_command command;
    bool command_named;        /* "serve" was said, not meant */
    int action;                /* enum options_action */
    struct options_list paths; /* arguments that are not options */

    struct settings settings;   /* workers 0: not given */
    struct options_list listen; /* one at least */
    struct options_list load;   /* "all", "none", or names */
    bool watch;
    int64_t watch_interval_ms;
    struct options_list trusted_proxies, cors_origins;
    const char *config;
    int log_format; /* 0 text, 1 JSON */
    int log_level;  /* enum log_level */

    struct options_list inputs, dims, shapes;
    const char *output_dir, *output;
    bool profile, json, csv, clean;
    int cores;
    struct options_numbers batches;
    int64_t bench_ms;
};

bool options_read(int argc, char *const *argv, char *const *environment, struct arena *arena, struct options *options,
                  struct percept_err *err);

/* OPTIONS_COMMANDS: of the program as a whole. */
void options_print_help(FILE *out, enum options_command command);
void options_print_man(FILE *out);

#endif
