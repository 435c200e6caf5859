/*
 * entry.c - what happens to one model while it is loaded.
 *
 * On a loader's thread: its manifest, its file, a first session, made and warmed there so that the
 * first request does not pay for it. Back on the loop: a lane, or the reason why not, which clients
 * see. A reason names files as they lie in the folder of models, which is nobody else's business.
 */
#include "serve/entry.h"

#include "base/err.h"
#include "base/log.h"
#include "serve/beside.h"
#include "serve/companion.h"
#include "serve/fit.h"
#include "serve/generate.h"
#include "serve/ios.h"
#include "serve/override.h"
#include "serve/recognise.h"
#include "serve/staged_fit.h"
#include "serve/states.h"
#include "serve/warmup.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_BATCH_SIZE 32

/* --- birth and death ---------------------------------------------------------------------------------------------- */

struct entry *entry_of(struct task *task)
{
    return (struct entry *)(void *)((char *)task - offsetof(struct entry, task));
}

struct entry *entry_new(const struct found *found, const struct root *root, const struct settings *settings,
                        struct percept_err *err)
{
    struct entry *entry = arena_buffer(sizeof *entry);
    if (!entry)
        return err_null(err, ERR_MEMORY, "out of memory: model '%s'", found->name);
    struct arena *arena = &entry->served.arena;
    entry->settings = settings;
    entry->served.root = root;
    entry->served.name = arena_text(arena, found->name, strlen(found->name));
    entry->served.path = arena_text(arena, found->path, strlen(found->path));
    entry->served.version = found->version;
    entry->served.max_pixels = settings->max_pixels;
    entry->served.max_audio_seconds = settings->max_audio_seconds;
    if (found->folder)
        entry->folder = arena_text(arena, found->folder, strlen(found->folder));
    if (entry->served.name && entry->served.path && (!found->folder || entry->folder))
        return entry;
    entry_free(entry);
    return err_null(err, ERR_MEMORY, "out of memory: model '%s'", found->name);
}

struct found entry_found(const struct entry *entry)
{
    const struct served *served = &entry->served;
    return (struct found){
        .name = served->name, .version = served->version, .path = served->path, .folder = entry->folder};
}

static void take_recent(struct entry *entry, const struct stats *stats)
{
    entry->n_recent = 0;
    for (int size = 1; size <= stats->n_sizes; size++) {
        uint64_t count = stats->sizes[size - 1].count;
        int at = entry->n_recent;
        while (at > 0 && count > stats->sizes[entry->recent[at - 1] - 1].count)
            at--;
        if (!count || at == ENTRY_RECENT)
            continue;
        entry->n_recent += entry->n_recent < ENTRY_RECENT;
        memmove(&entry->recent[at + 1], &entry->recent[at], (size_t)(entry->n_recent - 1 - at) * sizeof(int));
        entry->recent[at] = size;
    }
}

void entry_note_sizes(struct entry *entry)
{
    take_recent(entry, &entry->served.stats);
}

struct entry *entry_new_beside(struct entry *stands, const struct found *found, const struct root *root,
                               struct percept_err *err)
{
    struct entry *entry = entry_new(found, root, stands->settings, err);
    if (!entry)
        return NULL;
    entry->stands = stands;
    entry->served.stats.loads = stands->served.stats.loads;
    entry->served.stats.load_failures = stands->served.stats.load_failures;
    take_recent(entry, &stands->served.stats);
    return entry;
}

static void close_model(struct entry *entry)
{
    if (entry->session)
        percept_session_free(entry->session);
    percept_close(entry->served.model);
    percept_close(entry->other_model);
    companion_close(&entry->served);
    entry->session = NULL;
    entry->served.model = entry->other_model = NULL;
}

void entry_free_parts(struct entry *entry)
{
    dispatch_free_sessions(entry->sessions);
    entry->sessions = NULL;
    percept_close(entry->other_model);
    entry->other_model = NULL;
    arena_give_back();
}

void entry_close(struct entry *entry)
{
    dispatch_lane_free(entry->served.lane);
    entry->served.lane = NULL;
    close_model(entry);
}

void entry_free(struct entry *entry)
{
    entry_close(entry);
    arena_free(&entry->served.arena);
    arena_buffer_free(entry);
}

/* --- on a loader's thread ----------------------------------------------------------------------------------------- */

/* What was said with the request to load it comes before what the manifest says. */
static bool override_manifest(struct entry *entry, struct percept_err *err)
{
    const struct override *override = entry->override;
    if (!override)
        return true;
    struct manifest *manifest = arena_alloc(&entry->served.arena, sizeof *manifest);
    if (!manifest)
        return err_memory(err, "a manifest", sizeof *manifest);
    *manifest = *entry->served.manifest;
    if (override->max_batch_size >= 0)
        manifest->max_batch_size = override->max_batch_size ? override->max_batch_size : 1;
    if (override->max_queue_delay_us >= 0)
        manifest->max_queue_delay_us = override->max_queue_delay_us;
    entry->served.manifest = manifest;
    return true;
}

static struct percept_model *open_file(const struct entry *entry, const char *path,
                                       const struct percept_options *options, struct percept_err *err)
{
    const struct served *served = &entry->served;
    for (const struct override_file *at = entry->override ? entry->override->files : NULL; at; at = at->next)
        if (at->version == served->version)
            return percept_open_memory(at->bytes.at, bytes_size(at->bytes), options, err);
    return percept_open(path, options, err);
}

static struct percept_options options_of(const struct entry *entry)
{
    const struct settings *settings = entry->settings;
    const struct manifest *manifest = entry->served.manifest;
    const int precision = manifest->precision < 0 ? settings->precision : manifest->precision;
    return (struct percept_options){.size = sizeof(struct percept_options),
                                    .level = settings->level,
                                    .precision = settings_precision(precision),
                                    .memory_limit_bytes = settings->memory_limit_bytes,
                                    .region =
                                        settings->private_regions ? PERCEPT_REGION_PRIVATE : PERCEPT_REGION_SHARED,
                                    .region_prefix = settings->region_prefix,
                                    .batch_independent = manifest->independent,
                                    .budget = settings->budget};
}

static struct percept_model *open_as_configured(const struct entry *entry, struct percept_err *err)
{
    const struct percept_options options = options_of(entry);
    return open_file(entry, entry->file, &options, err);
}

static bool keep(const struct percept_io **ios, int n, struct arena *arena, struct percept_err *err)
{
    if (*ios)
        *ios = ios_keep(*ios, n, arena);
    return *ios || err_memory(err, "a list of inputs and outputs", (size_t)n * sizeof **ios);
}

/* What the model takes and gives can be told when it is away. */
static bool keep_ios(struct served *served, struct percept_err *err)
{
    struct arena *arena = &served->arena;
    const struct percept_io *inputs = percept_inputs(served->model, &served->n_own_inputs);
    const struct percept_io *outputs = percept_outputs(served->model, &served->n_own_outputs);
    if (!keep(&inputs, served->n_own_inputs, arena, err) || !keep(&outputs, served->n_own_outputs, arena, err))
        return false;
    served->own_inputs = inputs;
    served->own_outputs = outputs;
    return !served->declared_inputs || (keep(&served->declared_inputs, served->n_own_inputs, arena, err) &&
                                        keep(&served->declared_outputs, served->n_own_outputs, arena, err));
}

/* What nobody has described may say itself what it is. */
static bool recognise_own(struct entry *entry, struct percept_err *err)
{
    struct served *served = &entry->served;
    struct recognise recognise = {.model = served->model,
                                  .path = entry->file,
                                  .folder = entry->sent ? NULL : entry->folder,
                                  .arena = &served->arena};
    if (entry->settings->no_recognise || *served->manifest->path)
        return true;
    const struct manifest *manifest =
        recognise_model(&recognise, err) ? recognise_over(&recognise, served->manifest, err) : NULL;
    served->manifest = manifest ? manifest : served->manifest;
    return manifest != NULL;
}

static bool open_model(struct entry *entry, struct percept_err *err)
{
    struct served *served = &entry->served;
    struct beside beside = {.name = served->name,
                            .path = served->path,
                            .folder = entry->folder,
                            .named = served->root ? served->root->path : NULL,
                            .overridden = entry->override && entry->override->has_config};
    const bool read = beside_read(&beside, &served->arena, err);
    served->manifest = beside.manifest;
    entry->configured = beside.config != NULL;
    if (!read || !override_manifest(entry, err))
        return false;
    entry->file = beside.file;
    entry->sent = entry->override && entry->override->files;
    if (served->manifest->stages)
        return staged_fit_open(served, err);
    served->model = open_as_configured(entry, err);
    return served->model && recognise_own(entry, err) && fit_model(served->manifest, served->model, err) &&
           fit_declare(served->manifest, served->model, &served->arena, &served->declared_inputs,
                       &served->declared_outputs, err) &&
           keep_ios(served, err);
}

/* The batch that was proved is an axis that is free in what is declared, and where dims are without it the first. */
static bool free_as_declared(const struct served *served)
{
    int n[2];
    const struct percept_io *shown[] = {served_inputs(served, &n[0]), served_outputs(served, &n[1])};
    const struct percept_io *proved[] = {served_own_inputs(served, &n[0]), served_own_outputs(served, &n[1])};
    if (served->manifest->max_batch_size == 0)
        return false;
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < n[k]; i++) {
            const int axis = proved[k][i].batch_axis;
            if (shown[k][i].rank > axis && (shown[k][i].dims[axis] >= 0 || (served->manifest->declared_batch && axis)))
                return false;
        }
    return true;
}

static int batch_axis_of(const struct percept_io *ios, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (!name || strcmp(ios[i].name, name) == 0)
            return ios[i].batch_axis;
    return 0;
}

/* Pictures are made with the batch in front, and tasks read it there. */
static bool described_in_front(const struct manifest *manifest, const struct percept_model *model)
{
    int n_in, n_out;
    const struct percept_io *in = percept_inputs(model, &n_in), *out = percept_outputs(model, &n_out);
    for (int i = 0; i < manifest->n_inputs; i++)
        if (manifest->inputs[i].kind == MANIFEST_IMAGE && batch_axis_of(in, n_in, manifest->inputs[i].name) != 0)
            return false;
    return manifest->task == TASK_NONE || batch_axis_of(out, n_out, manifest->task_output) == 0;
}

/* Where the manifest does not say. */
static int most_items(const struct settings *settings)
{
    return settings->max_batch_size > 0 ? settings->max_batch_size : DEFAULT_BATCH_SIZE;
}

static void set_batching(struct entry *entry)
{
    struct served *served = &entry->served;
    struct percept_description description = {0};
    if (served->model)
        percept_describe(served->model, &description);
    const int said = served->manifest->max_batch_size, limit = said > 0 ? said : most_items(entry->settings);
    served->batching =
        description.batch_free && described_in_front(served->manifest, served->model) && free_as_declared(served);
    served->max_batch_size = served_has_batch(served) ? limit : 1;
}

static bool warm_sizes(struct entry *entry, const int *sizes, int n, struct percept_err *err)
{
    int n_inputs;
    const struct percept_io *inputs = served_inputs(&entry->served, &n_inputs);
    for (int i = 0; i < n; i++)
        if (sizes[i] <= entry->served.max_batch_size &&
            !batch_warm(&batch_percept, entry->session, inputs, n_inputs, sizes[i], err))
            return false;
    return true;
}

/* The first session: made and warmed here, so that the first request does not pay for it. What config.pbtxt wants run
 * is run when the model is loaded, and only planned when it comes back: requests wait for it. */
static bool warm(struct entry *entry, const struct percept_model *model, bool runs, struct percept_err *err)
{
    const struct served *served = &entry->served;
    int n_inputs;
    const struct percept_io *inputs = served_inputs(served, &n_inputs);
    entry->session = percept_session_new(model, err);
    const struct warmup warmup = {.served = served,
                                  .session = entry->session,
                                  .cancel = &entry->given_up,
                                  .memory_limit_bytes = entry->settings->memory_limit_bytes,
                                  .runs = runs};
    if (!entry->session || !warmup_all(&warmup, err))
        return false;
    if (!served->batching)
        return batch_warm(&batch_percept, entry->session, inputs, n_inputs, served_has_batch(served) ? 1 : -1, err);
    return warm_sizes(entry, served->manifest->warmup, served->manifest->n_warmup, err) &&
           warm_sizes(entry, entry->recent, entry->n_recent, err) && warm_sizes(entry, &(int){1}, 1, err);
}

static bool load_companion(struct entry *entry, struct percept_err *err)
{
    const struct percept_options options = options_of(entry);
    struct served *served = &entry->served;
    if (served->manifest->generate.encoder && entry->sent)
        return err_set(err, ERR_CONFIG,
                       "%s: generate.encoder: a model that was sent with the request to load it is one network alone",
                       served->manifest->path);
    return companion_load(served, entry->file, &options, most_items(entry->settings), err);
}

void entry_load(struct entry *entry)
{
    int64_t from_ns = loop_now_ns();
    entry->loaded = open_model(entry, &entry->err);
    if (entry->loaded)
        set_batching(entry);
    if (entry->loaded && !entry->served.staged) {
        entry->loaded = states_new(&entry->served, &entry->served.arena, &entry->served.states, &entry->err) &&
                        load_companion(entry, &entry->err) && generate_fits(&entry->served, &entry->err) &&
                        warm(entry, entry->served.model, true, &entry->err);
    }
    if (entry->loaded && entry->served.model && entry->settings->keep_regions)
        percept_keep_region(entry->served.model);
    if (entry->loaded && entry->settings->keep_regions && entry->served.companion)
        percept_keep_region(entry->served.companion->served.model);
    entry->load_ns = loop_now_ns() - from_ns;
}

/* Requests that wait were read by what it was. */
static bool is_as_before(const struct entry *entry, struct percept_err *err)
{
    const struct served *served = &entry->served;
    struct percept_description description = {0};
    int n_in, n_out;
    const struct percept_io *in = percept_inputs(entry->other_model, &n_in);
    const struct percept_io *out = percept_outputs(entry->other_model, &n_out);
    percept_describe(entry->other_model, &description);
    if (ios_equal(in, n_in, served->own_inputs, served->n_own_inputs) &&
        ios_equal(out, n_out, served->own_outputs, served->n_own_outputs) &&
        (description.batch_free || !served->batching))
        return true;
    return err_set(err, ERR_MODEL, "%s has changed in what it takes or gives while the model was away: load it anew",
                   entry->file);
}

void entry_open_again(struct entry *entry)
{
    const int64_t from_ns = loop_now_ns();
    const size_t refusals = arena_refusals();
    entry->err = (struct percept_err){0};
    entry->other_model = open_as_configured(entry, &entry->err);
    entry->loaded =
        entry->other_model && is_as_before(entry, &entry->err) && warm(entry, entry->other_model, false, &entry->err);
    if (!entry->loaded && arena_refusals() != refusals)
        entry->err.code = ERR_MEMORY; /* whatever that led to: proofs that were given up make another batch */
    if (entry->loaded && entry->settings->keep_regions)
        percept_keep_region(entry->other_model);
    entry->load_ns = loop_now_ns() - from_ns;
}

/* --- back on the loop --------------------------------------------------------------------------------------------- */

bool entry_open(struct entry *entry, struct dispatch *dispatch, struct percept_err *err)
{
    struct served *served = &entry->served;
    struct lane_ios ios;
    ios.inputs = served_inputs(served, &ios.n_inputs);
    ios.outputs = served_outputs(served, &ios.n_outputs);
    if (!stats_sizes(&served->stats, served->max_batch_size, &served->arena))
        return err_memory(err, "the statistics", (size_t)served->max_batch_size);
    if (!companion_open(served, dispatch, entry->settings, err))
        return false;
    served->lane = dispatch_lane_new(dispatch, served, &ios, entry->settings, entry->session, err);
    if (!served->lane)
        return false;
    entry->session = NULL; /* the lane's now */
    served->state = SERVED_READY;
    return true;
}

static size_t folder_bytes(const char *path, size_t n)
{
    while (n && path[n - 1] != '/')
        n--;
    return n;
}

size_t entry_root_bytes(const char *name, const char *path)
{
    size_t name_bytes = strlen(name), n = folder_bytes(path, strlen(path));
    bool called_like_itself =
        strncmp(path + n, name, name_bytes) == 0 && strcasecmp(path + n + name_bytes, ".onnx") == 0;
    if (called_like_itself && strcasecmp(name, "model") != 0)
        return n;
    for (int ups = 0; ups < 2 && n > 1; ups++) {
        size_t outer = folder_bytes(path, n - 1);
        if (n - 1 - outer == name_bytes && memcmp(path + outer, name, name_bytes) == 0)
            return outer;
        n = outer;
    }
    return n;
}

static void set_reason(struct served *served, const char *text)
{
    size_t root = entry_root_bytes(served->name, served->path), used = 0;
    while (*text && used + 1 < sizeof served->reason) {
        if (root > 1 && strncmp(text, served->path, root) == 0)
            text += root;
        else
            served->reason[used++] = *text++;
    }
    served->reason[used] = '\0';
}

void entry_fail(struct entry *entry)
{
    entry->served.state = SERVED_FAILED;
    set_reason(&entry->served, entry->err.text);
    close_model(entry);
}

void entry_lack(struct entry *entry, bool coming)
{
    entry->lacking = true;
    entry->served.state = coming ? SERVED_LOADING : SERVED_FAILED;
    set_reason(&entry->served, coming ? "" : entry->err.text);
}

bool entry_is_left(const struct entry *entry)
{
    const struct served *served = &entry->served;
    const bool moves = entry->idle.state == IDLE_GOING || entry->idle.state == IDLE_COMING;
    return served->state == SERVED_UNLOADING && !entry->loading && !moves && !served->n_holders &&
           (!served->lane || dispatch_lane_rests(served->lane)) && companion_rests(served);
}

/* --- the log ------------------------------------------------------------------------------------------------------ */

/* Shared was asked for: said once, and of each model in its line. */
static void log_private(const struct entry *entry, const char *region_bytes, bool *told)
{
    if (*told || entry->settings->private_regions)
        return;
    *told = true;
    log_warn("packed weights do not fit into /dev/shm, or it is missing: each process has its own, and "
             "every start packs them anew",
             "model", entry->served.name, "#region_bytes", region_bytes, "weights", "private", NULL);
}

void entry_log_ready(const struct entry *entry, bool *private_told)
{
    const struct served *served = &entry->served;
    struct percept_description description = {0};
    char version[24], ms[32], parameters[24], region_bytes[24];
    snprintf(version, sizeof version, "%" PRId64, served->version);
    if (served->staged) {
        log_info("chain ready", "model", served->name, "#version", version, "found",
                 scan_form(served->name, served->path, entry->configured), NULL);
        return;
    }
    percept_describe(served->model, &description);
    snprintf(ms, sizeof ms, "%.1f", served->load_ms);
    snprintf(parameters, sizeof parameters, "%" PRId64, description.n_parameters);
    snprintf(region_bytes, sizeof region_bytes, "%zu", description.region_bytes);
    bool private = description.region_bytes && !*description.region_name;
    if (private)
        log_private(entry, region_bytes, private_told);
    log_info("model ready", "model", served->name, "#version", version, "#ms", ms, "kernels",
             description.level ? description.level : "", "weights",
             private                      ? "private"
             : description.region_adopted ? "adopted"
                                          : "packed",
             "#parameters", parameters, "#region_bytes", region_bytes, "found",
             scan_form(served->name, served->path, entry->configured), NULL);
    if (served->manifest->recognised_by)
        log_info("model recognised", "model", served->name, "#version", version, "as", served->manifest->recognised_by,
                 "because", served->manifest->recognised_because, NULL);
    else if (served->manifest->likely && *served->manifest->likely)
        log_info(
            "model served as tensors: what it means is not certain. `perceptd manifest` prints a manifest to begin "
            "with",
            "model", served->name, "#version", version, "likely", served->manifest->likely, NULL);
    if (served->manifest->ignored)
        log_info("fields of config.pbtxt without effect here", "model", served->name, "#version", version, "fields",
                 served->manifest->ignored, NULL);
    if (description.batch_asserted)
        log_info("requests are joined on the owner's word that items are independent", "model", served->name,
                 "#version", version, "not_proved", description.batch_reason, NULL);
    for (int i = 0; i < description.n_notes; i++)
        log_warn("model note", "model", served->name, "#version", version, "note", description.notes[i], NULL);
}

void entry_log_failed(const struct entry *entry)
{
    const struct served *served = &entry->served;
    char version[24];
    snprintf(version, sizeof version, "%" PRId64, served->version);
    log_error("model failed to load", "model", served->name, "#version", version, "why", entry->err.text, "found",
              scan_form(served->name, served->path, entry->configured), "path", served->path, NULL);
}

void entry_log_stands(const struct entry *entry)
{
    char version[24];
    snprintf(version, sizeof version, "%" PRId64, entry->served.version);
    log_warn("the model that was to be replaced stays", "model", entry->served.name, "#version", version, NULL);
}

void entry_log_unloaded(const struct entry *entry)
{
    char version[24];
    snprintf(version, sizeof version, "%" PRId64, entry->served.version);
    log_info("model unloaded", "model", entry->served.name, "#version", version, NULL);
}
