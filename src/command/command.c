/*
 * command.c - what the subcommands that work on one model share: finding and opening it, lending it
 * cores, and saying what went wrong.
 *
 * A model is a file or a folder, looked at as `perceptd serve` does: of versions the highest is
 * meant, and a folder of several models is refused with their names.
 *
 * Runs on the main thread; helpers live in percept_team_help.
 */
#include "command/command.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/watch.h"
#include "http/text.h"
#include "serve/beside.h"
#include "serve/scan.h"

int command_fail(const struct percept_err *err)
{
    char room[sizeof err->text * 6]; /* a control character becomes six; memory may be what is short */
    struct text text = {.at = room, .capacity = sizeof room};
    text_visible(&text, err->text);
    fflush(stdout); /* what was found before comes before what went wrong */
    fprintf(stderr, "perceptd: %.*s\n", (int)text.n_bytes, text.at);
    return err->code == ERR_CONFIG ? COMMAND_MISTAKE : EXIT_FAILURE;
}

bool command_print(const struct text *text, struct percept_err *err)
{
    if (text->failed)
        return err_memory(err, "a text", text->capacity);
    return fwrite(text->at, 1, text->n_bytes, stdout) == text->n_bytes ||
           err_set(err, ERR_SYSTEM, "cannot write to standard output: %s", strerror(errno));
}

double command_now_ms(void)
{
    return (double)watch_now_ns() / 1e6;
}

/* --- finding the model -------------------------------------------------------------------------------------------- */

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
    return err_set(err, ERR_INVALID, "'%s' holds %d models, and one is needed: name it, as in '%s'; there are %.*s",
                   folder, n, first, (int)names.n_bytes, names.at);
}

const struct found *command_find(struct scan *scan, const char *path, struct percept_err *err)
{
    bool several;
    if (!scan_path(scan, path, err))
        return NULL;
    const struct found *found = newest(scan, &several);
    return several && !refuse_several(scan, path, err) ? NULL : found;
}

/* The .onnx that is meant, and the folder of what is its own beside it, or NULL; in the scan's arena. */
static const char *model_file(struct scan *scan, const char *path, const char **folder, struct percept_err *err)
{
    *folder = NULL;
    if (!file_is_folder(path)) {
        *folder = scan_is_only(path) ? file_dirname(&scan->arena, path) : NULL;
        return path;
    }
    const char *plain = file_join(&scan->arena, path, "model.onnx");
    *folder = path;
    if (plain && file_exists(plain))
        return beside_file(plain, path, &scan->arena, err);
    const struct found *found = command_find(scan, path, err);
    if (!found)
        return NULL;
    *folder = found->folder;
    return beside_file(found->path, found->folder, &scan->arena, err);
}

struct percept_model *command_open(const struct options *options, double *ms, struct percept_err *err)
{
    struct arena arena = {0};
    struct command_place place;
    struct percept_model *model = command_open_at(options, &arena, &place, ms, err);
    arena_free(&arena);
    return model;
}

static const char *keep(struct arena *arena, const char *text)
{
    return text ? arena_text(arena, text, strlen(text)) : NULL;
}

struct percept_model *command_open_at(const struct options *options, struct arena *arena, struct command_place *place,
                                      double *ms, struct percept_err *err)
{
    const struct settings *settings = &options->settings;
    const struct percept_options how = {
        .size = sizeof how,
        .level = settings->level,
        .precision = settings_precision(settings->precision),
        .memory_limit_bytes = settings->memory_limit_bytes,
        .region = settings->private_regions ? PERCEPT_REGION_PRIVATE : PERCEPT_REGION_SHARED,
        .region_prefix = settings->region_prefix,
    };
    struct scan scan = {.first = NULL};
    const char *folder;
    const char *path = model_file(&scan, options->paths.at[0], &folder, err);
    double from = command_now_ms();
    struct percept_model *model = path ? percept_open(path, &how, err) : NULL;
    *ms = command_now_ms() - from;
    *place = (struct command_place){keep(arena, path), keep(arena, folder)};
    if (model && (!place->path || (folder && !place->folder))) {
        err_memory(err, "a path", strlen(path));
        percept_close(model);
        model = NULL;
    }
    if (!model)
        arena_free(arena);
    arena_free(&scan.arena);
    return model;
}

/* --- shapes ------------------------------------------------------------------------------------------------------- */

int64_t command_count(int rank, const int64_t *dims)
{
    int64_t count = 1;
    for (int d = 0; d < rank; d++)
        if (dims[d] < 0 || __builtin_mul_overflow(count, dims[d], &count))
            return -1;
    return count;
}

const char *command_shape_text(int rank, const int64_t *dims, const char *const *names, char *text, size_t n)
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
            length = snprintf(text + used, n - used, "%s%s", d ? comma : "[", names && names[d] ? names[d] : "?");
        used += length > 0 ? (size_t)length : 0;
    }
    if (used < n)
        snprintf(text + used, n - used, rank ? "]" : "[]");
    return text;
}

const char *command_input_names(const struct percept_io *inputs, int n_inputs, char *text, size_t n)
{
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < n_inputs && used < n; i++) {
        int length = snprintf(text + used, n - used, "%s%s", i ? ", " : "", inputs[i].name);
        used += length > 0 ? (size_t)length : 0;
    }
    return text;
}

/* --- cores -------------------------------------------------------------------------------------------------------- */

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
