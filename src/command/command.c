/*
 * command.c - what the subcommands that work on one model share: finding and opening it, giving its
 * inputs a shape, lending it cores, and saying what went wrong.
 *
 * A model is a file or a folder, looked at as `perceptd serve` does: of versions the highest is
 * meant, and a folder of several models is refused with their names.
 *
 * The batch is the first axis of an input, where that is free. Every other free axis needs a number
 * from somebody: --dim NAME=N for an axis that has a name in the file, --dim INPUT:AXIS=N for any;
 * otherwise 24, or 224 for both sides of a picture: networks halve these five times, and what a smaller one
 * takes says little. Runs on the main thread; helpers live in percept_team_help.
 */
#include "command/command.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/file.h"
#include "base/number.h"
#include "http/text.h"
#include "serve/scan.h"

#define FREE_AXIS 24
#define FREE_SIDE 224 /* of a picture */

int command_fail(const struct percept_err *err)
{
    struct arena arena = {0};
    fprintf(stderr, "perceptd: %s\n", text_escaped(&arena, err->text));
    arena_free(&arena);
    return err->code == ERR_CONFIG ? COMMAND_MISTAKE : EXIT_FAILURE;
}

double command_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* --- finding the model ----------------------------------------------------------------------- */

#define NAMES_SHOWN 8

/* The first model's newest version; `several`: there are models of other names. */
static const struct found *newest(const struct scan *scan, bool *several)
{
    const struct found *best = scan->first;
    *several = false;
    for (const struct found *found = scan->first; found; found = found->next)
        if (strcmp(found->name, best->name) != 0)
            *several = true;
        else if (found->version > best->version)
            best = found;
    return best;
}

/* What to say instead of the folder: FOLDER/NAME, or FOLDER/NAME.onnx. */
static const char *suggestion(struct arena *arena, const char *folder, const char *name)
{
    const char *path = file_join(arena, folder, name);
    return path && !file_is_folder(path) ? arena_printf(arena, "%s.onnx", path) : path;
}

static bool refuse_several(struct scan *scan, const char *folder, struct percept_err *err)
{
    struct text names = {.arena = &scan->arena};
    const char *last = "";
    int n = 0;
    for (const struct found *found = scan->first; found; found = found->next) {
        if (strcmp(found->name, last) == 0)
            continue;
        last = found->name;
        if (n++ < NAMES_SHOWN)
            text_printf(&names, "%s%s", n > 1 ? ", " : "", last);
    }
    if (n > NAMES_SHOWN)
        text_printf(&names, " and %d more", n - NAMES_SHOWN);
    const char *first = suggestion(&scan->arena, folder, scan->first->name);
    if (names.failed || !first)
        return err_memory(err, "the list of models", (size_t)n);
    return err_set(err, ERR_INVALID,
                   "'%s' holds %d models, and one is needed: name it, as in '%s'; there are %.*s",
                   folder, n, first, (int)names.n_bytes, names.at);
}

/* The .onnx that is meant; in the scan's arena. */
static const char *model_file(struct scan *scan, const char *path, struct percept_err *err)
{
    if (!file_is_folder(path))
        return path;
    const char *plain = file_join(&scan->arena, path, "model.onnx");
    if (plain && file_exists(plain))
        return plain;
    if (!scan_path(scan, path, err))
        return NULL;
    bool several;
    const struct found *found = newest(scan, &several);
    return several && !refuse_several(scan, path, err) ? NULL : found->path;
}

struct percept_model *command_open(const struct options *options, double *ms,
                                   struct percept_err *err)
{
    const struct settings *settings = &options->settings;
    const struct percept_options how = {
        .size = sizeof how,
        .row = settings->row,
        .memory_limit_bytes = settings->memory_limit_bytes,
        .region = settings->private_regions ? PERCEPT_REGION_PRIVATE : PERCEPT_REGION_SHARED,
        .region_prefix = settings->region_prefix,
    };
    struct scan scan = {.first = NULL};
    const char *path = model_file(&scan, options->paths.at[0], err);
    double from = command_now_ms();
    struct percept_model *model = path ? percept_open(path, &how, err) : NULL;
    *ms = command_now_ms() - from;
    arena_free(&scan.arena);
    return model;
}

/* --- shapes ---------------------------------------------------------------------------------- */

int64_t command_count(int rank, const int64_t *dims)
{
    int64_t count = 1;
    for (int d = 0; d < rank; d++)
        if (dims[d] < 0 || __builtin_mul_overflow(count, dims[d], &count))
            return -1;
    return count;
}

const char *command_shape_text(int rank, const int64_t *dims, const char *const *names, char *text,
                               size_t n)
{
    size_t used = 0;
    if (rank < 0) {
        snprintf(text, n, "[...]");
        return text;
    }
    for (int d = 0; d < rank && used < n; d++) {
        const char *comma = d ? "," : "";
        int length;
        if (dims[d] >= 0)
            length = snprintf(text + used, n - used, "%c%" PRId64, d ? ',' : '[', dims[d]);
        else
            length = snprintf(text + used, n - used, "%s%s", d ? comma : "[",
                              names && names[d] ? names[d] : "?");
        used += length > 0 ? (size_t)length : 0;
    }
    if (used < n)
        snprintf(text + used, n - used, rank ? "]" : "[]");
    return text;
}

bool command_batch_is_free(const struct percept_model *model)
{
    int n;
    const struct percept_io *inputs = percept_inputs(model, &n);
    bool is_free = n > 0;
    for (int i = 0; i < n; i++)
        is_free = is_free && inputs[i].rank > 0 && inputs[i].dims[0] < 0;
    return is_free;
}

/* Does "NAME=N" mean this axis? */
static bool means(const char *dim, const struct percept_io *io, int axis)
{
    const char *equals = strrchr(dim, '=');
    size_t n = (size_t)(equals - dim);
    const char *name = io->dim_names[axis];
    if (name && strlen(name) == n && memcmp(name, dim, n) == 0)
        return true;
    char place[200];
    int length = snprintf(place, sizeof place, "%s:%d", io->name, axis);
    return length >= 0 && (size_t)length == n && (size_t)length < sizeof place &&
           memcmp(place, dim, n) == 0;
}

static bool read_dim(const char *dim, int64_t *value, struct percept_err *err)
{
    const char *equals = strrchr(dim, '=');
    struct bytes digits = bytes_of_text(equals ? equals + 1 : "");
    if (equals && number_read_int64(digits, value) == digits.end && *value >= 0)
        return true;
    return err_set(err, ERR_CONFIG, "--dim '%s': expected NAME=N or INPUT:AXIS=N", dim);
}

/* Is the axis a side of a picture, channels second or last, whose sides are both free? */
static bool is_side(const struct percept_io *io, int axis)
{
    const int64_t *dims = io->dims;
    if (io->rank != 4)
        return false;
    return (axis >= 2 && dims[2] < 0 && dims[3] < 0) ||
           ((axis == 1 || axis == 2) && dims[1] < 0 && dims[2] < 0 && dims[3] >= 0 && dims[3] <= 4);
}

/* The last one that fits counts, as with other options. */
static bool free_axis(const struct percept_io *io, int axis, const struct options_list *dims,
                      int64_t *value, struct percept_err *err)
{
    *value = is_side(io, axis) ? FREE_SIDE : FREE_AXIS;
    for (int i = 0; i < dims->n; i++) {
        int64_t given;
        if (!read_dim(dims->at[i], &given, err))
            return false;
        if (means(dims->at[i], io, axis))
            *value = given;
    }
    return true;
}

bool command_shape(const struct percept_io *io, int batch, const struct options_list *dims,
                   int64_t *shape, struct percept_err *err)
{
    if (io->rank < 0)
        return err_set(
            err, ERR_UNSUPPORTED,
            "the model does not say how many axes input '%s' has: try 'perceptd run' with an array",
            io->name);
    for (int d = 0; d < io->rank; d++) {
        int64_t value;
        if (!free_axis(io, d, dims, &value, err))
            return false;
        shape[d] = io->dims[d] >= 0 ? io->dims[d] : value;
        if (d == 0 && io->dims[d] < 0)
            shape[d] = batch;
    }
    return true;
}

/* A --dim that means nothing is a typing error. */
static bool dims_are_used(const struct percept_io *inputs, int n, const struct options_list *dims,
                          struct percept_err *err)
{
    for (int k = 0; k < dims->n; k++) {
        bool used = false;
        int64_t value;
        if (!read_dim(dims->at[k], &value, err))
            return false;
        for (int i = 0; i < n; i++)
            for (int d = 0; d < inputs[i].rank; d++)
                used = used || (inputs[i].dims[d] < 0 && means(dims->at[k], &inputs[i], d));
        if (!used)
            return err_set(err, ERR_CONFIG, "--dim '%s' names no free axis of the model's inputs",
                           dims->at[k]);
    }
    return true;
}

bool command_resize(struct percept_session *session, const struct percept_model *model, int batch,
                    const struct options_list *dims, struct percept_err *err)
{
    int n;
    const struct percept_io *inputs = percept_inputs(model, &n);
    if (batch != 1 && !command_batch_is_free(model))
        return err_set(err, ERR_UNSUPPORTED,
                       "the model has a fixed batch, %d items cannot be run at a time", batch);
    if (!dims_are_used(inputs, n, dims, err))
        return false;
    for (int i = 0; i < n; i++) {
        int64_t shape[PERCEPT_RANK_MAX];
        if (!command_shape(&inputs[i], batch, dims, shape, err) ||
            !percept_resize(session, i, inputs[i].rank, shape, err))
            return false;
    }
    return true;
}

/* --- cores ----------------------------------------------------------------------------------- */

struct command_helper {
    pthread_t thread;
};

static void *help(void *team)
{
    percept_team_help(team);
    return NULL;
}

bool command_team_start(struct command_team *team, int cores, struct percept_err *err)
{
    *team = (struct command_team){.n = 0};
    if (cores <= 1)
        return true;
    team->team = percept_team_new(err);
    if (!team->team)
        return false;
    team->helpers = arena_buffer((size_t)(cores - 1) * sizeof *team->helpers);
    if (!team->helpers) {
        command_team_end(team);
        return err_memory(err, "the helpers", (size_t)(cores - 1) * sizeof *team->helpers);
    }
    for (; team->n < cores - 1; team->n++) {
        if (pthread_create(&team->helpers[team->n].thread, NULL, help, team->team) != 0) {
            int core = team->n + 2;
            command_team_end(team);
            return err_set(err, ERR_SYSTEM, "cannot start a thread for core %d", core);
        }
    }
    return true;
}

void command_team_end(struct command_team *team)
{
    if (!team->team)
        return;
    percept_team_close(team->team);
    for (int i = 0; i < team->n; i++)
        pthread_join(team->helpers[i].thread, NULL);
    percept_team_free(team->team);
    arena_buffer_free(team->helpers);
    *team = (struct command_team){.n = 0};
}
