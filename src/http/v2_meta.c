/*
 * v2_meta.c - health, server metadata, the list of models, model metadata and model readiness.
 *
 * Where clients of the protocol disagree, the bodies here satisfy all: Triton's look at the status,
 * KServe's at members "live" and "ready". Not ready is 503, which every balancer understands, and
 * says why. Models that failed are named with their reason even when the server is ready.
 *
 * JSON is written straight into the exchange's arena: these bodies are small and the texts in them
 * (names, reasons, descriptions) are quoted by text_json. Thread: the loop. Nothing here waits.
 */
#include "http/v2_meta.h"

#include "http/exchange.h"
#include "http/routes.h"
#include "serve/codec.h"
#include "serve/scan.h"
#include "serve/states.h"

#include <inttypes.h>

#define JSON "application/json"

const char *v2_meta_datatype(enum percept_dtype dtype)
{
    const char *name = codec_datatype(dtype);
    return name ? name : "UNKNOWN";
}

/* Of the protocol's extensions, those that are served, by its names. */
static const char *const extensions[] = {
    "classification",   "sequence",   "binary_tensor_data",  "parameters",
    "model_repository", "statistics", "model_configuration", "logging",
};

void v2_meta_server(struct exchange *exchange)
{
    struct text text = {.arena = &exchange->arena};
    const char *id = exchange->site->settings->server_id;
    text_add(&text, "{\"name\":");
    text_json(&text, id ? id : "perceptd");
    text_add(&text, ",\"version\":");
    text_json(&text, percept_version());
    text_add(&text, ",\"extensions\":[");
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++) {
        text_add(&text, i ? "," : "");
        text_json(&text, extensions[i]);
    }
    text_add(&text, exchange->site->client_shm ? ",\"system_shared_memory\"]}" : "]}");
    exchange_reply_text(exchange, 200, JSON, &text);
}

void v2_meta_live(struct exchange *exchange)
{
    exchange_reply(exchange, 200, JSON, bytes_of_text("{\"live\":true}\n"));
}

/* The best state that any version of this model is in; served is its first version. */
static const struct served *best_version(const struct served *served)
{
    static const int rank[] = {[SERVED_READY] = 3, [SERVED_LOADING] = 2, [SERVED_UNLOADING] = 1, [SERVED_FAILED] = 0};
    const struct served *best = served;
    for (const struct served *at = served; at && strcmp(at->name, served->name) == 0; at = at->next)
        if (rank[at->state] >= rank[best->state])
            best = at;
    return best;
}

static const struct served *next_model(const struct served *served)
{
    const struct served *at = served;
    while (at && strcmp(at->name, served->name) == 0)
        at = at->next;
    return at;
}

/* "models":{"a":"LOADING"}: those that are not READY. */
static void add_states(struct text *text, struct catalog *catalog)
{
    const char *comma = "";
    text_add(text, ",\"models\":{");
    for (const struct served *at = catalog_first(catalog); at; at = next_model(at)) {
        enum served_state state = best_version(at)->state;
        if (state == SERVED_READY)
            continue;
        text_add(text, comma);
        text_json(text, at->name);
        text_add(text, ":");
        text_json(text, catalog_state_name(state));
        comma = ",";
    }
    text_add(text, "}");
}

/* A key of JSON comes once: from two folders things of one name may have been left out. */
static bool named_before(struct catalog *catalog, const struct omitted *omitted)
{
    const struct omitted *at = catalog_omitted(catalog);
    while (at != omitted && strcmp(at->name, omitted->name) != 0)
        at = at->next;
    return at != omitted;
}

/* "reasons":{"a":"version 3: why","b (1).onnx":"why"}: of each model the newest version that
 * failed, and what was left out. */
static void add_reasons(struct text *text, struct catalog *catalog)
{
    const char *comma = "";
    text_add(text, ",\"reasons\":{");
    for (const struct served *model = catalog_first(catalog); model; model = next_model(model)) {
        const struct served *failed = NULL;
        for (const struct served *at = model; at && at != next_model(model); at = at->next)
            failed = at->state == SERVED_FAILED ? at : failed;
        if (!failed)
            continue;
        text_add(text, comma);
        text_json(text, model->name);
        text_add(text, ":");
        text_json(text, arena_printf(text->arena, "version %" PRId64 ": %s", failed->version, failed->reason));
        comma = ",";
    }
    for (const struct omitted *at = catalog_omitted(catalog); at; at = at->next) {
        if (named_before(catalog, at))
            continue;
        text_add(text, comma);
        text_json(text, at->name);
        text_add(text, ":");
        text_json(text, at->why);
        comma = ",";
    }
    text_add(text, "}");
}

static bool any_unready(struct catalog *catalog)
{
    for (const struct served *at = catalog_first(catalog); at; at = at->next)
        if (at->state != SERVED_READY)
            return true;
    return catalog_omitted(catalog) != NULL;
}

void v2_meta_ready(struct exchange *exchange)
{
    struct catalog *catalog = exchange->site->catalog;
    struct percept_err err = {0};
    struct text text = {.arena = &exchange->arena};
    bool ready = catalog_ready(catalog, &err);
    if (exchange->site->draining || catalog_draining(catalog))
        ready = err_set(&err, ERR_UNAVAILABLE, "Server exiting");
    text_printf(&text, "{\"live\":true,\"ready\":%s", ready ? "true" : "false");
    if (!ready) {
        text_add(&text, ",\"error\":");
        text_json(&text, err.text);
    }
    if (!ready || any_unready(catalog)) {
        add_states(&text, catalog);
        add_reasons(&text, catalog);
    }
    text_add(&text, "}");
    exchange_reply_text(exchange, ready ? 200 : 503, JSON, &text);
}

void v2_meta_models(struct exchange *exchange)
{
    struct text text = {.arena = &exchange->arena};
    const char *comma = "";
    text_add(&text, "{\"models\":[");
    for (const struct served *at = catalog_first(exchange->site->catalog); at; at = next_model(at)) {
        text_add(&text, comma);
        text_json(&text, at->name);
        comma = ",";
    }
    text_add(&text, "]}");
    exchange_reply_text(exchange, 200, JSON, &text);
}

/* READY versions of the model; only the one that was asked for when the path has a version. */
static void add_versions(struct text *text, struct catalog *catalog, const struct served *served, bool only_this)
{
    const char *comma = "";
    text_add(text, ",\"versions\":[");
    for (const struct served *at = catalog_first(catalog); at; at = at->next) {
        if (only_this ? at != served : at->state != SERVED_READY || strcmp(at->name, served->name) != 0)
            continue;
        text_printf(text, "%s\"%" PRId64 "\"", comma, at->version);
        comma = ",";
    }
    text_add(text, "]");
}

static void add_shape(struct text *text, const struct percept_io *io)
{
    text_add(text, ",\"shape\":[");
    for (int i = 0; i < io->rank; i++)
        text_printf(text, "%s%" PRId64, i ? "," : "", io->dims[i]);
    text_add(text, "]");
}

/* Where the batch lies is told where clients would not think so. */
static void add_io(struct text *text, const struct percept_io *io, bool batching)
{
    text_add(text, "{\"name\":");
    text_json(text, io->name);
    text_printf(text, ",\"datatype\":\"%s\"", v2_meta_datatype(io->dtype));
    add_shape(text, io);
    if (batching && io->batch_axis > 0)
        text_printf(text, ",\"parameters\":{\"batch_axis\":%d}", io->batch_axis);
    text_add(text, "}");
}

/* What clients send and get; not what a sequence keeps. */
static void add_ios(struct text *text, const struct served *served)
{
    int n;
    const char *comma = "";
    const struct percept_io *ios = served_inputs(served, &n);
    text_add(text, ",\"inputs\":[");
    for (int i = 0; i < n; i++) {
        if (states_keep_input(served->states, i))
            continue;
        text_add(text, comma);
        add_io(text, &ios[i], served->batching);
        comma = ",";
    }
    text_add(text, "],\"outputs\":[");
    ios = served_outputs(served, &n);
    comma = "";
    for (int i = 0; i < n; i++) {
        if (states_keep_output(served->states, i))
            continue;
        text_add(text, comma);
        add_io(text, &ios[i], served->batching);
        comma = ",";
    }
    text_add(text, "]");
}

/* The words of a manifest. */
static const char *const tasks[] = {
#define T(id, word, ...) [TASK_##id] = word,
#include "serve/tasks.def"
#undef T
};

static const char *const kinds[] = {[MANIFEST_IMAGE] = "image", [MANIFEST_TEXT] = "text", [MANIFEST_AUDIO] = "audio"};
static const char *const inks[] = {[INK_LIGHT] = "light", [INK_DARK] = "dark"};

/* The only input of a model that takes a medium; NULL: it takes tensors. */
static const struct manifest_input *medium_of(const struct served *served)
{
    enum manifest_kind kind = codec_kind(served);
    for (int i = 0; kind != MANIFEST_TENSOR && i < served->manifest->n_inputs; i++)
        if (served->manifest->inputs[i].kind == kind)
            return &served->manifest->inputs[i];
    return NULL;
}

/* What the manifest says, where clients that do not know us do not look. */
static void add_parameters(struct text *text, const struct served *served)
{
    const struct manifest *manifest = served->manifest;
    const struct manifest_input *medium = medium_of(served);
    const char *comma = "";
    const struct {
        const char *name;
        const char *value;
    } rows[] = {{"description", manifest->description},
                {"license", manifest->license},
                {"task", manifest->task == TASK_NONE ? NULL : tasks[manifest->task]},
                {"input_kind", medium ? kinds[medium->kind] : NULL},
                {"ink", medium && medium->kind == MANIFEST_IMAGE ? inks[medium->image.ink] : NULL}};
    text_add(text, ",\"parameters\":{");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!rows[i].value || !rows[i].value[0])
            continue;
        text_printf(text, "%s\"%s\":", comma, rows[i].name);
        text_json(text, rows[i].value);
        comma = ",";
    }
    if (manifest->recognised_by) {
        text_printf(text, "%s\"recognised\":{\"by\":", comma);
        text_json(text, manifest->recognised_by);
        text_add(text, ",\"because\":");
        text_json(text, manifest->recognised_because);
        text_add(text, "}");
        comma = ",";
    }
    if (served->away) {
        text_printf(text, "%s\"resident\":false", comma);
        comma = ",";
    }
    if (manifest->n_labels) {
        text_printf(text, "%s\"labels\":%d", comma, manifest->n_labels);
        comma = ",";
    }
    if (manifest->generate.given)
        text_printf(text, "%s\"generate\":true%s", comma, manifest->generate.encoder ? ",\"encoder\":true" : "");
    text_add(text, "}");
}

void v2_meta_model(struct exchange *exchange)
{
    struct percept_err err = {0};
    struct catalog *catalog = exchange->site->catalog;
    const struct served *served = catalog_find_ready(catalog, exchange->name, exchange->version, &err);
    if (!served) {
        exchange_error(exchange, &err);
        return;
    }
    struct text text = {.arena = &exchange->arena};
    text_add(&text, "{\"name\":");
    text_json(&text, served->name);
    add_versions(&text, catalog, served, exchange->version != 0);
    text_printf(&text, ",\"platform\":\"%s\"", served->staged ? "ensemble" : "onnx_onnxv1");
    add_ios(&text, served);
    add_parameters(&text, served);
    text_add(&text, "}");
    exchange_reply_text(exchange, 200, JSON, &text);
}

void v2_meta_model_ready(struct exchange *exchange)
{
    struct percept_err err = {0};
    struct catalog *catalog = exchange->site->catalog;
    bool ready = catalog_find_ready(catalog, exchange->name, exchange->version, &err) != NULL;
    if (!ready && err.code != ERR_UNAVAILABLE) {
        exchange_error(exchange, &err);
        return;
    }
    struct text text = {.arena = &exchange->arena};
    text_add(&text, "{\"name\":");
    text_json(&text, exchange->name);
    text_printf(&text, ",\"ready\":%s", ready ? "true" : "false");
    if (!ready) {
        text_add(&text, ",\"error\":");
        text_json(&text, err.text);
    }
    text_add(&text, "}");
    exchange_reply_text(exchange, ready ? 200 : 503, JSON, &text);
}
