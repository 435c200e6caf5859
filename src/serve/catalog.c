/*
 * catalog.c - loading models one by one, and telling the world how it stands.
 *
 *     catalog_add -> scan.c -> an entry each, LOADING
 *                  -> loader's thread: manifest, open, first session
 *                  -> back on the loop: a lane, READY; or FAILED with the reason, which is kept
 *
 * An entry belongs to the loop, except that the loader has its arena and its `load` between
 * loop_load and done. A failed model is no reason to stop: the others serve, /ready names it.
 * Whoever wants the opposite has strict readiness.
 *
 * Which version is meant by "none in particular": the highest that is ready, so that a broken new
 * version does not take the model away. All versions in a folder are loaded.
 *
 * Draining: jobs end, queued loads are skipped by a flag, the load under way is waited for.
 */
#include "serve/catalog.h"

#include "base/err.h"
#include "base/log.h"
#include "serve/dispatch.h"
#include "serve/scan.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_BATCH_SIZE 32
#define OMITTED_MAX 100 /* told one by one in every answer about readiness */

/* A served model with what its loading needs. */
struct entry {
    struct served served; /* first: a served model is its entry */
    struct catalog *catalog;
    struct task task;
    const char *folder; /* of the manifest, or NULL */

    /* the loader's */
    bool loaded;
    struct percept_err err;
    struct percept_session *session;
    int64_t load_ns;
};

struct catalog {
    struct loop *loop;
    const struct settings *settings;
    struct dispatch *dispatch;
    struct served *first;
    struct arena arena; /* of what is left out */
    struct omitted *first_omitted, *last_omitted;
    struct omitted more; /* stands for all beyond OMITTED_MAX */
    char more_why[64];
    int n_omitted;
    int n_loading;
    int stop_loading; /* a flag */
    bool leaving;
    bool private_told;
    void (*changed)(void *user, struct served *served);
    void *changed_user;
    void (*drained)(void *user);
    void *drained_user;
    bool jobs_drained;
};

const char *catalog_state_name(enum served_state state)
{
    switch (state) {
    case SERVED_LOADING:
        return "LOADING";
    case SERVED_READY:
        return "READY";
    case SERVED_FAILED:
        return "UNAVAILABLE";
    case SERVED_UNLOADING:
        return "UNLOADING";
    }
    return "UNKNOWN";
}

struct catalog *catalog_new(struct loop *loop, const struct settings *settings, struct percept_err *err)
{
    struct catalog *catalog = arena_buffer(sizeof *catalog);
    if (!catalog)
        return err_null(err, ERR_MEMORY, "out of memory: the catalog");
    catalog->loop = loop;
    catalog->settings = settings;
    catalog->dispatch = dispatch_new_on(loop, &batch_percept, err);
    if (catalog->dispatch)
        return catalog;
    arena_buffer_free(catalog);
    return NULL;
}

static void entry_free(struct entry *entry)
{
    dispatch_lane_free(entry->served.lane);
    if (entry->session)
        percept_session_free(entry->session);
    percept_close(entry->served.model);
    arena_free(&entry->served.arena);
    arena_buffer_free(entry);
}

void catalog_free(struct catalog *catalog)
{
    if (!catalog)
        return;
    assert(!catalog->n_loading);
    for (struct served *served = catalog->first; served;) {
        struct served *next = served->next;
        entry_free((struct entry *)served);
        served = next;
    }
    dispatch_free(catalog->dispatch);
    arena_free(&catalog->arena);
    arena_buffer_free(catalog);
}

static void report(struct catalog *catalog, struct served *served)
{
    if (catalog->changed)
        catalog->changed(catalog->changed_user, served);
}

static void maybe_drained(struct catalog *catalog)
{
    if (!catalog->drained || !catalog->jobs_drained || catalog->n_loading)
        return;
    void (*drained)(void *user) = catalog->drained;
    catalog->drained = NULL;
    drained(catalog->drained_user);
}

/* Loading: on the loader's thread */

static bool open_model(struct entry *entry, struct percept_err *err)
{
    const struct settings *settings = entry->catalog->settings;
    struct served *served = &entry->served;
    served->manifest = manifest_read(entry->folder, &served->arena, err);
    if (!served->manifest)
        return false;
    const struct percept_options options = {.size = sizeof options,
                                            .level = settings->level,
                                            .precision = served->manifest->precision,
                                            .memory_limit_bytes = settings->memory_limit_bytes,
                                            .region = settings->private_regions ? PERCEPT_REGION_PRIVATE
                                                                                : PERCEPT_REGION_SHARED,
                                            .region_prefix = settings->region_prefix,
                                            .batch_independent = served->manifest->independent};
    served->model = percept_open(served->path, &options, err);
    return served->model && manifest_fits(served->manifest, served->model, err);
}

static void set_batching(struct entry *entry)
{
    struct served *served = &entry->served;
    struct percept_description description = {0};
    percept_describe(served->model, &description);
    int limit = served->manifest->max_batch_size > 0 ? served->manifest->max_batch_size
                                                     : entry->catalog->settings->max_batch_size;
    if (limit <= 0)
        limit = DEFAULT_BATCH_SIZE;
    served->batching = description.batch_free;
    served->max_batch_size = served->batching ? limit : 1;
}

/* The first session: made and warmed here, so that the first request does not pay for it. */
static bool warm(struct entry *entry, struct percept_err *err)
{
    const struct served *served = &entry->served;
    int n_inputs;
    const struct percept_io *inputs = percept_inputs(served->model, &n_inputs);
    entry->session = percept_session_new(served->model, err);
    if (!entry->session)
        return false;
    if (!served->batching)
        return batch_warm(&batch_percept, entry->session, inputs, n_inputs, -1, err);
    for (int i = 0; i < served->manifest->n_warmup; i++)
        if (served->manifest->warmup[i] <= served->max_batch_size &&
            !batch_warm(&batch_percept, entry->session, inputs, n_inputs, served->manifest->warmup[i], err))
            return false;
    return batch_warm(&batch_percept, entry->session, inputs, n_inputs, 1, err);
}

static struct entry *entry_of(struct task *task)
{
    return (struct entry *)(void *)((char *)task - offsetof(struct entry, task));
}

static void load_work(struct task *task)
{
    struct entry *entry = entry_of(task);
    if (loop_flag_raised(&entry->catalog->stop_loading)) {
        err_set(&entry->err, ERR_UNAVAILABLE, "Server exiting");
        return;
    }
    int64_t from_ns = loop_now_ns();
    entry->loaded = open_model(entry, &entry->err);
    if (entry->loaded) {
        set_batching(entry);
        entry->loaded = warm(entry, &entry->err);
    }
    if (entry->loaded && entry->catalog->settings->keep_regions)
        percept_keep_region(entry->served.model);
    entry->load_ns = loop_now_ns() - from_ns;
}

/* Loading: back on the loop */

static bool open_lane(struct entry *entry, struct percept_err *err)
{
    struct served *served = &entry->served;
    int n_inputs, n_outputs;
    percept_inputs(served->model, &n_inputs);
    percept_outputs(served->model, &n_outputs);
    if (!stats_sizes(&served->stats, served->max_batch_size, &served->arena))
        return err_memory(err, "the statistics", (size_t)served->max_batch_size);
    served->lane = dispatch_lane_new(entry->catalog->dispatch, served, n_inputs, n_outputs, entry->catalog->settings,
                                     entry->session, err);
    if (!served->lane)
        return false;
    entry->session = NULL; /* the lane's now */
    return true;
}

/* Shared was asked for: said once, and of each model in its line. */
static void log_private(struct catalog *catalog, const struct served *served, const char *region_bytes)
{
    if (catalog->private_told || catalog->settings->private_regions)
        return;
    catalog->private_told = true;
    log_warn("packed weights do not fit into /dev/shm, or it is missing: each process has its own, and "
             "every start packs them anew",
             "model", served->name, "#region_bytes", region_bytes, "weights", "private", NULL);
}

static void log_ready(struct catalog *catalog, const struct served *served)
{
    struct percept_description description = {0};
    percept_describe(served->model, &description);
    char version[24], ms[32], parameters[24], region_bytes[24];
    snprintf(version, sizeof version, "%" PRId64, served->version);
    snprintf(ms, sizeof ms, "%.1f", served->load_ms);
    snprintf(parameters, sizeof parameters, "%" PRId64, description.n_parameters);
    snprintf(region_bytes, sizeof region_bytes, "%zu", description.region_bytes);
    bool private = description.region_bytes && !*description.region_name;
    if (private)
        log_private(catalog, served, region_bytes);
    log_info("model ready", "model", served->name, "#version", version, "#ms", ms, "kernels",
             description.level ? description.level : "", "weights",
             private                      ? "private"
             : description.region_adopted ? "adopted"
                                          : "packed",
             "#parameters", parameters, "#region_bytes", region_bytes, NULL);
    if (description.batch_asserted)
        log_info("requests are joined on the owner's word that items are independent", "model", served->name,
                 "#version", version, "not_proved", description.batch_reason, NULL);
    for (int i = 0; i < description.n_notes; i++)
        log_warn("model note", "model", served->name, "#version", version, "note", description.notes[i], NULL);
}

static size_t folder_bytes(const char *path, size_t n)
{
    while (n && path[n - 1] != '/')
        n--;
    return n;
}

/* Bytes of a model's path that are the folder of models, with its slash: what is before the name.
 */
static size_t root_bytes(const struct served *served)
{
    const char *path = served->path;
    size_t name_bytes = strlen(served->name), n = folder_bytes(path, strlen(path));
    bool called_like_itself =
        strncmp(path + n, served->name, name_bytes) == 0 && strcasecmp(path + n + name_bytes, ".onnx") == 0;
    if (called_like_itself && strcasecmp(served->name, "model") != 0)
        return n;
    for (int ups = 0; ups < 2 && n > 1; ups++) {
        size_t outer = folder_bytes(path, n - 1);
        if (n - 1 - outer == name_bytes && memcmp(path + outer, served->name, name_bytes) == 0)
            return outer;
        n = outer;
    }
    return n;
}

/* Clients see the reason: files are named as they lie in the folder of models, which is nobody
 * else's business. */
static void set_reason(struct served *served, const char *text)
{
    size_t root = root_bytes(served), used = 0;
    while (*text && used + 1 < sizeof served->reason) {
        if (root > 1 && strncmp(text, served->path, root) == 0)
            text += root;
        else
            served->reason[used++] = *text++;
    }
    served->reason[used] = '\0';
}

/* A failed model holds no memory but its name and reason. */
static void set_failed(struct entry *entry)
{
    struct served *served = &entry->served;
    served->state = SERVED_FAILED;
    set_reason(served, entry->err.text);
    if (entry->session)
        percept_session_free(entry->session);
    percept_close(served->model);
    entry->session = NULL;
    served->model = NULL;
    if (loop_flag_raised(&entry->catalog->stop_loading))
        return; /* skipped, not broken */
    char version[24];
    snprintf(version, sizeof version, "%" PRId64, served->version);
    log_error("model failed to load", "model", served->name, "#version", version, "why", entry->err.text, "path",
              served->path, NULL);
}

static void load_done(struct task *task)
{
    struct entry *entry = entry_of(task);
    struct catalog *catalog = entry->catalog;
    struct served *served = &entry->served;
    catalog->n_loading--;
    served->load_ms = (double)entry->load_ns / 1e6;
    if (entry->loaded && open_lane(entry, &entry->err)) {
        served->state = SERVED_READY;
        loop_load_gently(catalog->loop);
        log_ready(catalog, served);
    } else
        set_failed(entry);
    report(catalog, served);
    maybe_drained(catalog);
}

/* Adding */

static struct served *exact(const struct catalog *catalog, const char *name, int64_t version)
{
    for (struct served *served = catalog->first; served; served = served->next)
        if (served->version == version && strcmp(served->name, name) == 0)
            return served;
    return NULL;
}

static void append_omitted(struct catalog *catalog, struct omitted *omitted)
{
    if (catalog->first_omitted)
        catalog->last_omitted->next = omitted;
    else
        catalog->first_omitted = omitted;
    catalog->last_omitted = omitted;
}

/* Somebody's whole disk may be full of what is no model. */
static void count_more(struct catalog *catalog)
{
    int n = catalog->n_omitted - OMITTED_MAX;
    snprintf(catalog->more_why, sizeof catalog->more_why, "%d more %s left out; the log names %s", n,
             n == 1 ? "is" : "are", n == 1 ? "it" : "them");
    if (n > 1)
        return;
    catalog->more = (struct omitted){.name = "...", .path = "", .why = catalog->more_why};
    append_omitted(catalog, &catalog->more);
}

/* Leaves something out: the others are served, the log and readiness name it. */
static bool leave_out(struct catalog *catalog, const char *name, const char *path, const char *why,
                      struct percept_err *err)
{
    struct arena *arena = &catalog->arena;
    if (name && why && catalog->n_omitted >= OMITTED_MAX) {
        catalog->n_omitted++;
        count_more(catalog);
        log_warn("left out", "name", name, "why", why, "path", path, NULL);
        return true;
    }
    struct omitted *omitted = arena_alloc(arena, sizeof *omitted);
    const char *own_name = name ? arena_text(arena, name, strlen(name)) : NULL;
    const char *own_path = arena_text(arena, path, strlen(path));
    const char *own_why = why ? arena_text(arena, why, strlen(why)) : NULL;
    if (!omitted || !own_name || !own_path || !own_why)
        return err_memory(err, "the list of what is left out", sizeof *omitted);
    *omitted = (struct omitted){.name = own_name, .path = own_path, .why = own_why};
    append_omitted(catalog, omitted);
    catalog->n_omitted++;
    log_warn("left out", "name", own_name, "why", own_why, "path", own_path, NULL);
    return true;
}

/* A name is another's: the one that came first is served. */
static bool leave_out_twin(struct catalog *catalog, const struct found *found, const struct served *first,
                           struct percept_err *err)
{
    const struct served twin = {.name = found->name, .path = found->path};
    const char *name = found->path + root_bytes(&twin);
    if (strcmp(found->path, first->path) == 0)
        return leave_out(catalog, name, found->path, "it is named twice, and served once", err);
    return leave_out(catalog, name, found->path,
                     arena_printf(&catalog->arena,
                                  "two models are called '%s' version %" PRId64 ": '%s' is served; rename one",
                                  found->name, found->version, first->path + root_bytes(first)),
                     err);
}

static struct entry *entry_new(struct catalog *catalog, const struct found *found, struct percept_err *err)
{
    struct entry *entry = arena_buffer(sizeof *entry);
    if (!entry)
        return err_null(err, ERR_MEMORY, "out of memory: model '%s'", found->name);
    struct arena *arena = &entry->served.arena;
    entry->catalog = catalog;
    entry->served.name = arena_text(arena, found->name, strlen(found->name));
    entry->served.path = arena_text(arena, found->path, strlen(found->path));
    entry->served.version = found->version;
    entry->served.max_pixels = catalog->settings->max_pixels;
    entry->task = (struct task){.work = load_work, .done = load_done};
    if (found->folder)
        entry->folder = arena_text(arena, found->folder, strlen(found->folder));
    if (entry->served.name && entry->served.path && (!found->folder || entry->folder))
        return entry;
    entry_free(entry);
    return err_null(err, ERR_MEMORY, "out of memory: model '%s'", found->name);
}

static void insert(struct catalog *catalog, struct served *served)
{
    struct served **at = &catalog->first;
    for (; *at; at = &(*at)->next) {
        int order = strcmp((*at)->name, served->name);
        if (order > 0 || (order == 0 && (*at)->version > served->version))
            break;
    }
    served->next = *at;
    *at = served;
}

static bool begin_loads(struct catalog *catalog, const struct scan *scan, struct percept_err *err)
{
    for (const struct found *found = scan->first; found; found = found->next) {
        const struct served *first = exact(catalog, found->name, found->version);
        struct entry *entry = first ? NULL : entry_new(catalog, found, err);
        if (first ? !leave_out_twin(catalog, found, first, err) : !entry)
            return false;
        if (!entry)
            continue;
        insert(catalog, &entry->served);
        catalog->n_loading++;
        report(catalog, &entry->served);
        loop_load(catalog->loop, &entry->task);
    }
    return true;
}

static bool leave_out_omitted(struct catalog *catalog, const struct scan *scan, struct percept_err *err)
{
    for (const struct omitted *omitted = scan->first_omitted; omitted; omitted = omitted->next)
        if (!leave_out(catalog, omitted->name, omitted->path, omitted->why, err))
            return false;
    return true;
}

bool catalog_add(struct catalog *catalog, const char *path, struct percept_err *err)
{
    struct scan scan = {0};
    bool found = scan_path(&scan, path, err);
    bool told = leave_out_omitted(catalog, &scan, found ? err : NULL);
    bool ok = found && told && begin_loads(catalog, &scan, err);
    arena_free(&scan.arena);
    return ok;
}

/* Asking */

struct served *catalog_first(struct catalog *catalog)
{
    return catalog->first;
}

const struct omitted *catalog_omitted(const struct catalog *catalog)
{
    return catalog->first_omitted;
}

int catalog_n_omitted(const struct catalog *catalog)
{
    return catalog->n_omitted;
}

struct served *catalog_find(struct catalog *catalog, const char *name, int64_t version, struct percept_err *err)
{
    struct served *best = NULL;
    bool known = false;
    for (struct served *served = catalog->first; served; served = served->next) {
        if (strcmp(served->name, name) != 0)
            continue;
        known = true;
        if (version ? served->version == version
                    : !best || served->state == SERVED_READY || best->state != SERVED_READY)
            best = served;
    }
    if (best)
        return best;
    if (known)
        return err_null(err, ERR_NOT_FOUND, "Request for unknown model: '%s' version %" PRId64 " is not found", name,
                        version);
    return err_null(err, ERR_NOT_FOUND, "Request for unknown model: '%s' is not found", name);
}

struct served *catalog_find_ready(struct catalog *catalog, const char *name, int64_t version, struct percept_err *err)
{
    if (catalog_draining(catalog))
        return err_null(err, ERR_UNAVAILABLE, "Server exiting");
    struct served *served = catalog_find(catalog, name, version, err);
    if (!served || served->state == SERVED_READY)
        return served;
    const char *why = served->state == SERVED_FAILED ? served->reason : "it is loading";
    return err_null(err, ERR_UNAVAILABLE,
                    "Request for unknown model: '%s' version %" PRId64 " is not at ready state: %s", name,
                    served->version, why);
}

bool catalog_loading(const struct catalog *catalog)
{
    return catalog->n_loading > 0;
}

static bool say_loading(const struct catalog *catalog, struct percept_err *err)
{
    char names[400] = "";
    size_t used = 0;
    for (const struct served *served = catalog->first; served; served = served->next) {
        if (served->state != SERVED_LOADING)
            continue;
        int n = snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", served->name);
        if (n < 0 || (size_t)n >= sizeof names - used)
            break;
        used += (size_t)n;
    }
    return err_set(err, ERR_UNAVAILABLE, "loading: %s", names);
}

/* Nothing is ready: why, by what is left out or failed first. */
static bool say_nothing_served(const struct catalog *catalog, struct percept_err *err)
{
    const struct omitted *omitted = catalog->first_omitted;
    const struct served *served = catalog->first;
    if (served)
        return err_set(err, ERR_UNAVAILABLE, "no model is served: '%s' version %" PRId64 " failed to load: %s",
                       served->name, served->version, served->reason);
    return err_set(err, ERR_UNAVAILABLE, omitted ? "no model is served: %s: %s" : "no model is served",
                   omitted ? omitted->name : "", omitted ? omitted->why : "");
}

static bool say_not_whole(const struct catalog *catalog, struct percept_err *err)
{
    for (const struct served *served = catalog->first; served; served = served->next)
        if (served->state == SERVED_FAILED)
            return err_set(err, ERR_UNAVAILABLE, "model '%s' version %" PRId64 " failed to load: %s", served->name,
                           served->version, served->reason);
    const struct omitted *omitted = catalog->first_omitted;
    return !omitted || err_set(err, ERR_UNAVAILABLE, "'%s' is left out: %s", omitted->name, omitted->why);
}

bool catalog_ready(const struct catalog *catalog, struct percept_err *err)
{
    if (catalog->leaving)
        return err_set(err, ERR_UNAVAILABLE, "Server exiting");
    if (catalog->n_loading)
        return say_loading(catalog, err);
    bool any = catalog->settings->ready_when_empty;
    for (const struct served *served = catalog->first; served && !any; served = served->next)
        any = served->state == SERVED_READY;
    if (!any)
        return say_nothing_served(catalog, err);
    return !catalog->settings->strict_readiness || say_not_whole(catalog, err);
}

void catalog_on_change(struct catalog *catalog, void (*changed)(void *user, struct served *served), void *user)
{
    catalog->changed = changed;
    catalog->changed_user = user;
}

/* Leaving */

static void on_jobs_drained(void *user)
{
    struct catalog *catalog = user;
    catalog->jobs_drained = true;
    maybe_drained(catalog);
}

void catalog_leave(struct catalog *catalog)
{
    catalog->leaving = true;
}

void catalog_hurry(struct catalog *catalog)
{
    dispatch_hurry(catalog->dispatch);
}

void catalog_drain(struct catalog *catalog, void (*drained)(void *user), void *user)
{
    catalog->leaving = true;
    catalog->drained = drained;
    catalog->drained_user = user;
    loop_flag_raise(&catalog->stop_loading);
    dispatch_drain(catalog->dispatch, on_jobs_drained, catalog);
}

bool catalog_draining(const struct catalog *catalog)
{
    return dispatch_draining(catalog->dispatch);
}

int catalog_in_flight(const struct catalog *catalog)
{
    return dispatch_in_flight(catalog->dispatch);
}
