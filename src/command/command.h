/*
 * command.h - the subcommands, and what they share. Each takes the options and returns an exit
 * status; they know the engine by percept.h alone, as any program would.
 */
#ifndef COMMAND_COMMAND_H
#define COMMAND_COMMAND_H

#include "options.h"

int serve_command(const struct options *options);
int serve_check(const struct options *options);
int run_command(const struct options *options);
int inspect_command(const struct options *options);
int draft_command(const struct options *options);
int bench_command(const struct options *options);
int regions_command(const struct options *options);
int health_command(const struct options *options);

#define COMMAND_MISTAKE 2 /* exit status: what was asked for is wrong, trying again does not help */

/* Says the sentence on standard error; returns COMMAND_MISTAKE or EXIT_FAILURE. */
int command_fail(const struct percept_err *err);

/* Writes a text to standard output. */
struct text;
bool command_print(const struct text *text, struct percept_err *err);

/* The one model at a path, the newest of its versions, in the scan's arena. A folder of several is refused with their
 * names. */
struct found;
struct scan;
const struct found *command_find(struct scan *scan, const char *path, struct percept_err *err);

/* Opens the model (a file, or a folder with one model, the newest of its versions) as the options
 * say; ms: how long that took. */
struct percept_model *command_open(const struct options *options, double *ms, struct percept_err *err);

/* Where it lies, in the arena. */
struct command_place {
    const char *path;   /* of the .onnx */
    const char *folder; /* of what is its own beside it, or NULL */
};

/* The same, telling where; the texts are in the arena, which is empty where nothing was opened. */
struct arena;
struct percept_model *command_open_at(const struct options *options, struct arena *arena, struct command_place *place,
                                      double *ms, struct percept_err *err);

/* "[N,3,224,224]"; names NULL or of free axes. */
const char *command_shape_text(int rank, const int64_t *dims, const char *const *names, char *text, size_t n);

/* "x, h": for messages about an input that there is not. */
const char *command_input_names(const struct percept_io *inputs, int n_inputs, char *text, size_t n);

/* Elements of an array; -1 when an axis is free or the number does not fit. */
int64_t command_count(int rank, const int64_t *dims);

double command_now_ms(void);

/* Helpers for one run at a time: cores - 1 threads inside percept_team_help. */
struct command_team {
    struct percept_team *team; /* NULL: no helpers */
    int n;
    struct command_helper *helpers; /* [n] */
};

bool command_team_start(struct command_team *team, int cores, struct percept_err *err);
void command_team_end(struct command_team *team);

#endif
