/*
 * companion.c - see companion.h. What feeds what is found at load, by name: the manifest's `feeds` first, then an
 * output of the same name, then an input of the same name, such as a mask that both networks read.
 */
#include "serve/companion.h"

#include "base/err.h"
#include "base/file.h"
#include "serve/fit.h"
#include "serve/states.h"

/* What is being loaded. */
struct loading {
    struct served *model;
    struct companion *made;
    const struct manifest_encoder *said;
    const struct percept_io *own, *inputs, *outputs; /* of the model; of the companion */
    int n_own, n_inputs, n_outputs;
    struct companion_feed *feeds;
    struct percept_err *err;
};

static int index_of(const struct percept_io *ios, int n, const char *name)
{
    for (int i = 0; i < n && name; i++)
        if (strcmp(ios[i].name, name) == 0)
            return i;
    return -1;
}

/* --- what it is given --------------------------------------------------------------------------------------------- */

static bool is_whole(enum percept_dtype dtype)
{
    return dtype == PERCEPT_INT64 || dtype == PERCEPT_INT32;
}

static bool is_flag(enum percept_dtype dtype)
{
    return is_whole(dtype) || dtype == PERCEPT_FLOAT || dtype == PERCEPT_BOOL;
}

/* An input that is named, or -1 where none is. */
static bool find_input(const struct loading *loading, const char *key, const char *name, bool good(enum percept_dtype),
                       int *at)
{
    *at = index_of(loading->inputs, loading->n_inputs, name);
    if (*at < 0)
        return !name ||
               err_set(loading->err, ERR_CONFIG, "generate.encoder.%s: the encoder has no input '%s'", key, name);
    const struct percept_io *io = &loading->inputs[*at];
    return (good(io->dtype) && io->rank >= 0 && *at != loading->made->text) ||
           err_set(loading->err, ERR_CONFIG, "generate.encoder.%s: '%s' takes %s, which can be none", key, name,
                   percept_dtype_name(io->dtype));
}

static const struct manifest_input *described(const struct loading *loading, int input)
{
    return manifest_input(loading->made->served.manifest, loading->inputs[input].name);
}

static bool find_text(const struct loading *loading)
{
    loading->made->text = -1;
    for (int i = 0; i < loading->n_inputs; i++) {
        const struct manifest_input *input = described(loading, i);
        if (!input || input->kind != MANIFEST_TEXT)
            continue;
        if (loading->made->text >= 0)
            return err_set(loading->err, ERR_CONFIG, "generate.encoder.inputs: there are two texts; one is read");
        loading->made->text = i;
    }
    return loading->made->text >= 0 ||
           err_set(loading->err, ERR_CONFIG, "generate.encoder.inputs: one of them must be described as a text");
}

static bool inputs_are_known(const struct loading *loading)
{
    struct companion *made = loading->made;
    if (!find_text(loading) || !find_input(loading, "lengths", loading->said->lengths, is_whole, &made->lengths) ||
        !find_input(loading, "mask", loading->said->mask, is_flag, &made->mask))
        return false;
    for (int i = 0; i < loading->n_inputs; i++) {
        const struct manifest_input *input = described(loading, i);
        if (i == made->text || i == made->lengths || i == made->mask || (input && input->kind == MANIFEST_CONSTANT))
            continue;
        return err_set(loading->err, ERR_CONFIG,
                       "generate.encoder: its input '%s' is neither the text nor named as 'lengths' or 'mask', nor a "
                       "constant",
                       loading->inputs[i].name);
    }
    return true;
}

/* --- what it feeds ------------------------------------------------------------------------------------------------ */

static bool same_shape(const struct percept_io *a, const struct percept_io *b)
{
    bool same = a->dtype == b->dtype && (a->rank < 0 || b->rank < 0 || a->rank == b->rank);
    for (int i = 0; same && i < a->rank && i < b->rank; i++)
        same = a->dims[i] < 0 || b->dims[i] < 0 || a->dims[i] == b->dims[i];
    return same;
}

static bool feed(const struct loading *loading, int input, const char *from, bool needed)
{
    struct companion_feed *made = &loading->feeds[input];
    made->output = index_of(loading->outputs, loading->n_outputs, from);
    made->input = made->output < 0 ? index_of(loading->inputs, loading->n_inputs, from) : -1;
    if (made->output < 0 && made->input < 0)
        return !needed ||
               err_set(loading->err, ERR_CONFIG, "generate.encoder.feeds.%s: the encoder has no output or input '%s'",
                       loading->own[input].name, from);
    const struct percept_io *io = made->output >= 0 ? &loading->outputs[made->output] : &loading->inputs[made->input];
    return same_shape(&loading->own[input], io) ||
           err_set(loading->err, ERR_CONFIG,
                   "generate.encoder.feeds: the encoder's '%s' has another type or shape than input '%s'", from,
                   loading->own[input].name);
}

static const char *said_of(const struct loading *loading, const char *input)
{
    for (int i = 0; i < loading->said->n_feeds; i++)
        if (strcmp(loading->said->feeds[i].input, input) == 0)
            return loading->said->feeds[i].from;
    return NULL;
}

static bool find_feeds(struct loading *loading)
{
    const char *tokens = loading->model->manifest->generate.input;
    loading->feeds = arena_array(&loading->model->arena, (size_t)loading->n_own + 1, sizeof *loading->feeds);
    if (!loading->feeds)
        return err_memory(loading->err, "what feeds a model", sizeof *loading->feeds);
    for (int i = 0; i < loading->said->n_feeds; i++) {
        const char *input = loading->said->feeds[i].input;
        if (index_of(loading->own, loading->n_own, input) < 0 || (tokens && strcmp(tokens, input) == 0))
            return err_set(loading->err, ERR_CONFIG,
                           "generate.encoder.feeds: the model has no input '%s' that could be fed", input);
    }
    for (int i = 0; i < loading->n_own; i++) {
        const char *name = loading->own[i].name, *from = said_of(loading, name);
        loading->feeds[i] = (struct companion_feed){-1, -1};
        if (tokens && strcmp(tokens, name) == 0)
            continue;
        if (!feed(loading, i, from ? from : name, from != NULL))
            return false;
    }
    loading->made->feeds = loading->feeds;
    return true;
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

/* Of its own the inputs; what is said of the model's runs is said of both. */
static const struct manifest *manifest_of(struct served *model, struct percept_err *err)
{
    const struct manifest *outer = model->manifest;
    struct manifest *own = arena_alloc(&model->arena, sizeof *own);
    if (!own) {
        err_memory(err, "a manifest", sizeof *own);
        return NULL;
    }
    *own = *outer->generate.encoder->manifest;
    own->path = outer->path;
    own->precision = outer->precision;
    own->max_batch_size = outer->max_batch_size > 0 ? outer->max_batch_size : -1;
    own->max_queue_delay_us = outer->max_queue_delay_us;
    own->max_queue_size = outer->max_queue_size;
    own->independent = outer->independent;
    return own;
}

static bool open_file(struct served *model, struct served *served, const char *file,
                      const struct percept_options *options, struct percept_err *err)
{
    const char *folder = file_dirname(&model->arena, file);
    served->path = folder ? file_join(&model->arena, folder, model->manifest->generate.encoder->file) : NULL;
    served->manifest = manifest_of(model, err);
    if (!served->path || !served->manifest)
        return err_memory(err, "a path", strlen(file));
    served->model = percept_open(served->path, options, err);
    return served->model && fit_model(served->manifest, served->model, err);
}

static void set_batching(struct served *served, int max_batch_size)
{
    struct percept_description description = {0};
    percept_describe(served->model, &description);
    const int limit = served->manifest->max_batch_size > 0 ? served->manifest->max_batch_size : max_batch_size;
    served->batching = description.batch_free;
    served->max_batch_size = served->batching ? limit : 1;
}

static bool load(struct loading *loading, const char *file, const struct percept_options *options, int max_batch_size)
{
    struct served *served = &loading->made->served;
    if (!open_file(loading->model, served, file, options, loading->err))
        return false;
    set_batching(served, max_batch_size);
    loading->own = served_inputs(loading->model, &loading->n_own);
    loading->inputs = served_own_inputs(served, &loading->n_inputs);
    loading->outputs = served_own_outputs(served, &loading->n_outputs);
    loading->made->session = percept_session_new(served->model, loading->err);
    return loading->made->session && inputs_are_known(loading) && find_feeds(loading) &&
           batch_warm(&batch_percept, loading->made->session, loading->inputs, loading->n_inputs, 1, loading->err);
}

bool companion_load(struct served *served, const char *file, const struct percept_options *options, int max_batch_size,
                    struct percept_err *err)
{
    struct loading loading = {.model = served, .said = served->manifest->generate.encoder, .err = err};
    if (!loading.said)
        return true;
    loading.made = served->companion = arena_alloc(&served->arena, sizeof *loading.made);
    if (!loading.made)
        return err_memory(err, "an encoder", sizeof *loading.made);
    loading.made->served = (struct served){.name = served->name, .version = served->version, .root = served->root};
    return load(&loading, file, options, max_batch_size) ||
           (err->code == ERR_CONFIG && err_prefix(err, "%s: ", served->manifest->path)) || false;
}

bool companion_open(struct served *served, struct dispatch *dispatch, const struct settings *settings,
                    struct percept_err *err)
{
    struct companion *companion = served->companion;
    struct lane_ios ios;
    if (!companion)
        return true;
    struct served *own = &companion->served;
    ios.inputs = served_own_inputs(own, &ios.n_inputs);
    ios.outputs = served_own_outputs(own, &ios.n_outputs);
    if (!stats_sizes(&own->stats, own->max_batch_size, &served->arena))
        return err_memory(err, "the statistics", (size_t)own->max_batch_size);
    own->lane = dispatch_lane_new(dispatch, own, &ios, settings, companion->session, err);
    if (!own->lane)
        return false;
    companion->session = NULL;
    own->state = SERVED_READY;
    return true;
}

/* --- leaving ------------------------------------------------------------------------------------------------------ */

bool companion_rests(const struct served *served)
{
    const struct companion *companion = served->companion;
    return !companion || !companion->served.lane ||
           (!companion->served.n_holders && dispatch_lane_rests(companion->served.lane));
}

void companion_part(struct served *served)
{
    if (served->companion)
        dispatch_lane_part(served->companion->served.lane);
}

void companion_close(struct served *served)
{
    struct companion *companion = served->companion;
    if (!companion)
        return;
    dispatch_lane_free(companion->served.lane);
    if (companion->session)
        percept_session_free(companion->session);
    percept_close(companion->served.model);
    served->companion = NULL;
}

size_t companion_bytes(const struct served *served)
{
    const struct companion *companion = served->companion;
    struct percept_description description = {0};
    if (!companion || !companion->served.model)
        return 0;
    percept_describe(companion->served.model, &description);
    return description.region_bytes + (size_t)companion->served.stats.session_bytes;
}
