/*
 * run.c - `perceptd run MODEL --input FILE.npy`: one run, outputs as files. For trying a model
 * without a server, and for comparing our results with another program's. Files that are no arrays
 * (pictures, sounds, texts) are bulk.c's.
 *
 * Elements are never converted: an array of another type than the input's is refused, so that what
 * is compared is what was meant. Names of outputs come from the model and may hold anything; in
 * file names what is no letter, digit, '.', '_' or '-' becomes '_'.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/file.h"
#include "command/bulk.h"
#include "command/command.h"
#include "command/npy.h"
#include "command/profile.h"
#include "http/text.h"

/* One array from a file, and the input it is for. */
struct feed {
    const char *path;
    int input;
    struct percept_tensor tensor;
};

struct run {
    const struct options *options;
    struct arena arena;
    struct percept_model *model;
    struct percept_session *session;
    const struct percept_io *inputs;
    int n_inputs;
    struct feed *feeds; /* [n_inputs] once all are there */
    int n_feeds;
};

/* --- inputs ------------------------------------------------------------------------------------------------------- */

/* "NAME=FILE" or "FILE"; an input's name may itself hold '='. */
static bool which_input(const struct run *run, const char *text, struct feed *feed, struct percept_err *err)
{
    char names[256];
    for (int i = 0; i < run->n_inputs; i++) {
        size_t n = strlen(run->inputs[i].name);
        if (strncmp(text, run->inputs[i].name, n) == 0 && text[n] == '=') {
            *feed = (struct feed){.path = text + n + 1, .input = i};
            return true;
        }
    }
    *feed = (struct feed){.path = text};
    if (run->n_inputs == 1 && (!strchr(text, '=') || file_exists(text)))
        return true;
    if (strchr(text, '='))
        return err_set(err, ERR_CONFIG, "--input '%s': the model has no such input; it has %s", text,
                       command_input_names(run->inputs, run->n_inputs, names, sizeof names));
    return err_set(err, ERR_CONFIG, "--input '%s': the model has %d inputs, so say which: NAME=%s with one of %s", text,
                   run->n_inputs, text, command_input_names(run->inputs, run->n_inputs, names, sizeof names));
}

static bool add_feed(struct run *run, const char *text, struct percept_err *err)
{
    struct feed feed;
    if (!which_input(run, text, &feed, err))
        return false;
    const struct percept_io *io = &run->inputs[feed.input];
    for (int i = 0; i < run->n_feeds; i++)
        if (run->feeds[i].input == feed.input)
            return err_set(err, ERR_CONFIG, "input '%s' is given twice: '%s' and '%s'", io->name, run->feeds[i].path,
                           feed.path);
    if (!npy_read(feed.path, &run->arena, &feed.tensor, err))
        return false;
    if (feed.tensor.dtype != io->dtype)
        return err_set(err, ERR_INVALID, "%s: input '%s' takes %s, the file has %s%s", feed.path, io->name,
                       percept_dtype_name(io->dtype), percept_dtype_name(feed.tensor.dtype),
                       io->dtype == PERCEPT_STRING ? "" : "; convert it with numpy's astype");
    run->feeds[run->n_feeds++] = feed;
    return true;
}

static bool all_are_there(const struct run *run, struct percept_err *err)
{
    for (int i = 0; i < run->n_inputs; i++) {
        bool found = false;
        for (int k = 0; k < run->n_feeds; k++)
            found = found || run->feeds[k].input == i;
        char shape[160];
        const struct percept_io *io = &run->inputs[i];
        if (!found)
            return err_set(err, ERR_CONFIG, "input '%s' (%s %s) is missing: --input %s=FILE.npy", io->name,
                           percept_dtype_name(io->dtype),
                           command_shape_text(io->rank, io->dims, io->dim_names, shape, sizeof shape), io->name);
    }
    return true;
}

static bool read_inputs(struct run *run, struct percept_err *err)
{
    const struct options_list *lists[] = {&run->options->inputs, &run->options->paths};
    run->inputs = percept_inputs(run->model, &run->n_inputs);
    run->feeds = arena_array(&run->arena, (size_t)run->n_inputs + 1, sizeof *run->feeds);
    if (!run->feeds)
        return err_memory(err, "the inputs", sizeof *run->feeds);
    for (int k = 0; k < 2; k++)
        for (int i = k; i < lists[k]->n; i++) /* the first path is the model */
            if (!add_feed(run, lists[k]->at[i], err))
                return false;
    return all_are_there(run, err);
}

static bool place_inputs(struct run *run, struct percept_err *err)
{
    for (int i = 0; i < run->n_feeds; i++) {
        const struct percept_tensor *tensor = &run->feeds[i].tensor;
        if (!percept_resize(run->session, run->feeds[i].input, tensor->rank, tensor->dims, err))
            return err_prefix(err, "%s: ", run->feeds[i].path);
    }
    if (!percept_prepare(run->session, err))
        return false;
    for (int i = 0; i < run->n_feeds; i++) {
        const struct percept_tensor *tensor = &run->feeds[i].tensor;
        void *to = percept_input(run->session, run->feeds[i].input);
        size_t n = (size_t)command_count(tensor->rank, tensor->dims) * percept_dtype_bytes(tensor->dtype);
        if (!to)
            return err_memory(err, "an input", n);
        memcpy(to, tensor->data, n);
    }
    return true;
}

/* --- outputs ------------------------------------------------------------------------------------------------------ */

/* A file name for output i that no earlier output has. */
static char *file_of(struct run *run, const struct percept_io *outputs, int i)
{
    char *name = arena_printf(&run->arena, "%s", outputs[i].name);
    for (char *at = name; at && *at; at++)
        if (!isalnum((unsigned char)*at) && !strchr("._-", *at))
            *at = '_';
    if (name && (*name == '.' || !*name || strlen(name) > 200))
        name = arena_printf(&run->arena, "output_%d", i);
    return name;
}

static bool write_output(struct run *run, const struct percept_io *outputs, char **names, int i,
                         struct percept_err *err)
{
    struct percept_tensor tensor = percept_output(run->session, i);
    names[i] = file_of(run, outputs, i);
    for (int k = 0; k < i && names[i]; k++)
        if (strcmp(names[k], names[i]) == 0)
            names[i] = arena_printf(&run->arena, "%.200s_%d", names[i], i);
    const char *file = names[i] ? arena_printf(&run->arena, "%s.npy", names[i]) : NULL;
    const char *path = file ? file_join(&run->arena, run->options->output_dir, file) : NULL;
    if (!path)
        return err_memory(err, "a path", 0);
    if (!npy_write(path, &tensor, err))
        return err_prefix(err, "output '%s': ", outputs[i].name);
    char shape[160];
    printf("%s %s %s %s\n", text_escaped(&run->arena, outputs[i].name), percept_dtype_name(tensor.dtype),
           command_shape_text(tensor.rank, tensor.dims, NULL, shape, sizeof shape), path);
    return true;
}

static bool write_outputs(struct run *run, struct percept_err *err)
{
    const char *folder = run->options->output_dir;
    int n;
    const struct percept_io *outputs = percept_outputs(run->model, &n);
    char **names = arena_array(&run->arena, (size_t)n + 1, sizeof *names);
    if (!names)
        return err_memory(err, "the outputs", 0);
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return err_set(err, ERR_SYSTEM, "cannot make the folder '%s': %s", folder, strerror(errno));
    for (int i = 0; i < n; i++)
        if (!write_output(run, outputs, names, i, err))
            return false;
    return true;
}

static bool print_profile(struct run *run, struct percept_err *err)
{
    struct profile profile = {.n = 0};
    struct percept_machine machine;
    struct text text = {.arena = &run->arena};
    if (!profile_add(&profile, run->session, &run->arena, err) || !percept_measure(run->model, &machine, err))
        return false;
    profile_text(&text, &profile, &machine, run->options->cores);
    return command_print(&text, err);
}

/* --- the run ------------------------------------------------------------------------------------------------------ */

/* The first run warms caches and is not what the profile should tell. */
static bool run_session(struct run *run, struct percept_err *err)
{
    struct command_team team;
    if (!command_team_start(&team, run->options->cores, err))
        return false;
    const struct percept_run_context context = {.team = team.team};
    percept_set_profiling(run->session, run->options->profile);
    bool good = percept_run(run->session, &context, err);
    if (good && run->options->profile)
        good = place_inputs(run, err) && percept_run(run->session, &context, err);
    command_team_end(&team);
    return good;
}

static bool run_whole(struct run *run, struct percept_err *err)
{
    double ms;
    run->model = command_open(run->options, &ms, err);
    run->session = run->model ? percept_session_new(run->model, err) : NULL;
    if (!run->session || !read_inputs(run, err) || !place_inputs(run, err) || !run_session(run, err) ||
        !write_outputs(run, err))
        return false;
    return !run->options->profile || print_profile(run, err);
}

static bool is_array(const char *path)
{
    const size_t n = strlen(path);
    return n >= 4 && strcasecmp(path + n - 4, ".npy") == 0;
}

/* Are there files that are to be read as clients' are? One array makes all of them arrays. */
static bool takes_files(const struct options *options)
{
    bool files = options->paths.n > 1 || options->output || options->json || options->csv;
    for (int i = 1; i < options->paths.n; i++)
        files = files && !is_array(options->paths.at[i]);
    return files && !options->inputs.n;
}

int run_command(const struct options *options)
{
    struct percept_err err;
    if (takes_files(options))
        return bulk_run(options);
    struct run run = {.options = options};
    bool good = run_whole(&run, &err);
    percept_session_free(run.session);
    percept_close(run.model);
    arena_free(&run.arena);
    return good ? EXIT_SUCCESS : command_fail(&err);
}
