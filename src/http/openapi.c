/*
 * openapi.c - GET /openapi.json: the running server in OpenAPI 3.1, for those who make clients from such a page.
 *
 * Every row of routes.def is there, with and without its optional parts (but for a slash at the end, which says
 * nothing). What a route takes and gives is a row of `operations`, by its handler; one without a row is described
 * by its method and path alone. Each version that is ready has a path of its own for infer, with schemas made of
 * its inputs and outputs: names, types and dimensions are constants there, free dimensions are not, and the batch
 * has its limit. Bodies in other forms (pictures, texts, bytes behind JSON) are listed by their media types.
 *
 * Schemas that all servers share are rows of openapi.def. Thread: the loop.
 */
#include "http/exchange.h"
#include "http/routes.h"
#include "http/slices.h"
#include "serve/codec.h"
#include "serve/states.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

#define JSON "application/json"

/* What a route takes and gives, as types of openapi.def; NULL: nothing. A reply that is no JSON has its media type. */
static const struct operation {
    void (*handle)(struct exchange *exchange);
    const char *summary, *request, *reply, *type;
} operations[] = {
    {page_root, "A sign of life; for browsers a page to try the models on", NULL, "Alive", NULL},
    {page_asset, "A file of that page", NULL, NULL, NULL},
    {metrics_get, "Metrics, as Prometheus reads them", NULL, "string", "text/plain"},
    {openapi_get, "This description", NULL, "any", NULL},
    {v2_meta_server, "Name, version and extensions of the server", NULL, "Server", NULL},
    {v2_meta_live, "Is the server alive?", NULL, "Live", NULL},
    {v2_meta_ready, "May requests be sent here?", NULL, "Ready", NULL},
    {v2_meta_models, "The names of all models", NULL, "Models", NULL},
    {v2_meta_model, "What a model takes and gives", NULL, "Model", NULL},
    {v2_meta_model_ready, "May this model be asked?", NULL, "ModelReady", NULL},
    {v2_config, "How a model is served", NULL, "any", NULL},
    {v2_stats, "What requests have taken so far", NULL, "Statistics", NULL},
    {v2_logging_get, "Which levels the log has", NULL, "Logging", NULL},
    {v2_logging_set, "Turns levels of the log on and off", "Logging", "Logging", NULL},
    {v2_trace_get, "Whether requests are traced", NULL, "Trace", NULL},
    {v2_trace_set, "Turns tracing off", "Trace", "Trace", NULL},
    {v2_cuda_status, "Regions of GPUs: there are none", NULL, "[object]", NULL},
    {v2_cuda_register, "Regions of GPUs are refused", "any", NULL, NULL},
    {v2_admin_index, "Every version of every model, with its state", "IndexRequest", "[IndexRow]", NULL},
    {v2_admin_load, "Loads a model, or loads it anew", "LoadRequest", NULL, NULL},
    {v2_admin_unload, "Unloads a model", "any", NULL, NULL},
    {v2_admin_elsewhere, "Refused: there is one repository", "any", NULL, NULL},
    {v2_generate, "A text that goes on", "GenerateRequest", "GenerateReply", NULL},
    {v2_generate_stream, "The same, told while it is made", "GenerateRequest", "string", "text/event-stream"},
    {v2_generate_completion, "A text that goes on, as OpenAI has it", "Completion", "Completed", NULL},
    {v2_video_live, "The frames of a video that is coming in, as they are computed", NULL, "string",
     "application/x-ndjson"},
    {v2_sequences_list, "Sequences that are kept", NULL, "[SequenceRow]", NULL},
    {v2_sequences_get, "The state of a sequence, to go on elsewhere", NULL, "string", "application/octet-stream"},
    {v2_sequences_put, "A sequence that was begun elsewhere goes on here", NULL, "SequencePut", NULL},
    {v2_sequences_delete, "Ends a sequence", NULL, NULL, NULL},
    {v1_status, "Versions of a model, and whether it is ready", NULL, "V1Status", NULL},
    {v1_metadata, "What a model takes and gives, as a signature", NULL, "any", NULL},
    {v1_refuse, "Not served", "any", NULL, NULL},
};

static const struct operation infer = {NULL, "Asks a model", "InferRequest", "InferReply", NULL},
                              predict = {NULL, "Asks a model", "V1Request", "V1Reply", NULL};

static struct operation operation_of(const struct route *route)
{
    if (route->handle == v2_infer)
        return route->flags & ROUTE_V1 ? predict : infer;
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        if (operations[i].handle == route->handle)
            return operations[i];
    return (struct operation){.summary = route->pattern, .reply = "any"};
}

/* --- schemas ------------------------------------------------------------------------------------------------------ */

static const struct {
    const char *name, *members;
} schemas[] = {
#define S(name, members) {#name, members},
#include "http/openapi.def"
#undef S
};

#define TEXT_ARG(bytes) (int)bytes_size(bytes), (const char *)(bytes).at

static void add_type(struct text *text, struct bytes type)
{
    if (bytes_begin_text(type, "[")) {
        text_add(text, "{\"type\":\"array\",\"items\":");
        add_type(text, (struct bytes){type.at + 1, type.end - 1});
        text_add(text, "}");
    } else if (isupper(*type.at))
        text_printf(text, "{\"$ref\":\"#/components/schemas/%.*s\"}", TEXT_ARG(type));
    else if (bytes_is(type, "any"))
        text_add(text, "{}");
    else
        text_printf(text, "{\"type\":\"%.*s\"}", TEXT_ARG(type));
}

/* The next of "name! type, name type": moves behind it. */
static bool next_member(const char **members, struct bytes *name, struct bytes *type, bool *always)
{
    const char *at = *members;
    size_t n_name = strcspn(at, "! "), n_type;
    if (!*at)
        return false;
    *name = bytes_of(at, n_name);
    *always = at[n_name] == '!';
    at += n_name + 1 + (size_t)*always;
    n_type = strcspn(at, ",");
    *type = bytes_of(at, n_type);
    *members = at + n_type + strspn(at + n_type, ", ");
    return true;
}

static void add_schema(struct text *text, const char *name, const char *members)
{
    const char *at = members, *comma = "";
    struct bytes member, type;
    bool always;
    text_printf(text, "\"%s\":{\"type\":\"object\",\"properties\":{", name);
    while (next_member(&at, &member, &type, &always)) {
        text_printf(text, "%s\"%.*s\":", comma, TEXT_ARG(member));
        add_type(text, type);
        comma = ",";
    }
    text_add(text, "},\"required\":[");
    comma = "";
    while (next_member(&members, &member, &type, &always)) {
        if (!always)
            continue;
        text_printf(text, "%s\"%.*s\"", comma, TEXT_ARG(member));
        comma = ",";
    }
    text_add(text, "]}");
}

static void add_schemas(struct text *text)
{
    for (size_t i = 0; i < sizeof schemas / sizeof *schemas; i++) {
        text_add(text, i ? "," : "");
        add_schema(text, schemas[i].name, schemas[i].members);
    }
}

/* --- paths -------------------------------------------------------------------------------------------------------- */

#define PATH_MAX_BYTES 160
#define PATHS_MAX 256

struct path {
    char text[PATH_MAX_BYTES]; /* as OpenAPI writes it */
    const struct route *route;
};

struct paths {
    struct path *list;
    int n;
};

static void expand(struct paths *paths, const struct route *route, const char *pattern, struct path path, size_t n);

/* Without the part in brackets, then with it, or with each of those that '|' parts. */
static void expand_option(struct paths *paths, const struct route *route, const char *pattern, struct path path,
                          size_t n)
{
    const char *behind = strchr(pattern, ']') + 1;
    expand(paths, route, behind, path, n);
    for (const char *at = pattern; *at != ']' && strncmp(pattern, "[/]", 3) != 0; at += strcspn(at, "|]"))
        expand(paths, route, ++at, path, n);
}

/* A word of capitals is a parameter: NAME is {name}, and N {version}. */
static void expand(struct paths *paths, const struct route *route, const char *pattern, struct path path, size_t n)
{
    while (*pattern && n + 16 < PATH_MAX_BYTES) {
        size_t word = strspn(pattern, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
        if (*pattern == '[') {
            expand_option(paths, route, pattern, path, n);
            return;
        }
        if (*pattern == '|')
            pattern = strchr(pattern, ']');
        if (*pattern == ']')
            pattern++;
        else if (!word)
            path.text[n++] = *pattern++;
        else if (word == 1) {
            n += (size_t)snprintf(path.text + n, PATH_MAX_BYTES - n, "{version}");
            pattern++;
        } else {
            path.text[n++] = '{';
            for (; word && n + 2 < PATH_MAX_BYTES; word--)
                path.text[n++] = (char)tolower(*pattern++);
            path.text[n++] = '}';
        }
    }
    path.text[n] = '\0';
    path.route = route;
    if (paths->n < PATHS_MAX)
        paths->list[paths->n++] = path;
}

/* --- operations --------------------------------------------------------------------------------------------------- */

static void add_content(struct text *text, const char *type, const char *schema)
{
    text_printf(text, "\"content\":{\"%s\":{\"schema\":", type);
    add_type(text, bytes_of_text(schema));
    text_add(text, "}");
}

static void add_parameters(struct text *text, const char *path)
{
    const char *comma = "";
    text_add(text, ",\"parameters\":[");
    while ((path = strchr(path, '{'))) {
        size_t n = strcspn(++path, "}");
        text_printf(text, "%s{\"name\":\"%.*s\",\"in\":\"path\",\"required\":true,\"schema\":{\"type\":\"%s\"}}", comma,
                    (int)n, path, strncmp(path, "version}", 8) == 0 ? "integer" : "string");
        comma = ",";
    }
    text_add(text, "]");
}

static void add_replies(struct text *text, const struct operation *operation)
{
    text_add(text, ",\"responses\":{\"200\":{\"description\":\"The answer\"");
    if (operation->reply) {
        text_add(text, ",");
        add_content(text, operation->type ? operation->type : JSON, operation->reply);
        text_add(text, "}");
    }
    text_add(text, "},\"default\":{\"description\":\"What is wrong, in a sentence\",");
    add_content(text, JSON, "Error");
    text_add(text, "}}}");
}

/* As OpenAPI writes it: in small letters. */
static const char *method_name(const char *method)
{
    static const char *const names[] = {"get", "post", "put", "delete"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(names[i], method) == 0)
            return names[i];
    return "get";
}

static void add_operation(struct text *text, const struct path *path)
{
    const struct operation operation = operation_of(path->route);
    text_printf(text, "\"%s\":{\"summary\":", method_name(path->route->method));
    text_json(text, operation.summary);
    add_parameters(text, path->text);
    if (!path->route->scope)
        text_add(text, ",\"security\":[]");
    if (operation.request) {
        text_add(text, ",\"requestBody\":{");
        add_content(text, JSON, operation.request);
        text_add(text, "}}");
    }
    add_replies(text, &operation);
    text_add(text, "}");
}

/* All methods of a path together, where it is met first. */
static void add_path(struct text *text, const struct paths *paths, int first)
{
    const char *path = paths->list[first].text, *comma = "";
    for (int i = 0; i < first; i++)
        if (strcmp(paths->list[i].text, path) == 0)
            return;
    text_printf(text, "%s\"%s\":{", first ? "," : "", path);
    for (int i = first; i < paths->n; i++) {
        if (strcmp(paths->list[i].text, path) != 0)
            continue;
        text_add(text, comma);
        add_operation(text, &paths->list[i]);
        comma = ",";
    }
    text_add(text, "}");
}

static void add_routes(struct text *text)
{
    struct paths paths = {.list = arena_array(text->arena, PATHS_MAX, sizeof *paths.list)};
    if (!paths.list) {
        text->failed = true;
        return;
    }
    for (int i = 0; routes_row(i); i++)
        expand(&paths, routes_row(i), routes_row(i)->pattern, (struct path){.text = ""}, 0);
    for (int i = 0; i < paths.n; i++)
        add_path(text, &paths, i);
}

/* --- models ------------------------------------------------------------------------------------------------------- */

static const char *const picture_types[] = {
#define F(name, magic, then, type, others, decoder) type,
#include "serve/formats.def"
#undef F
};

/* Media types of sounds. */
static const char *const sound_types[] = {
#define S(name, test, type, others, decoder) type,
#include "serve/sounds.def"
#undef S
};

static void add_model_path(struct text *text, const struct served *served, bool with_version)
{
    text_printf(text, ",\"/v2/models/%s", served->name);
    if (with_version)
        text_printf(text, "/versions/%" PRId64, served->version);
    text_printf(text,
                "/infer\":{\"post\":{\"summary\":\"Asks %s\",\"requestBody\":{\"required\":true,\"content\":{\"" JSON
                "\":{\"schema\":{\"$ref\":\"#/components/schemas/%s.%" PRId64 ".request\"}}"
                ",\"application/octet-stream\":{}",
                served->name, served->name, served->version);
    enum manifest_kind kind = codec_kind(served);
    for (size_t i = 0; kind == MANIFEST_IMAGE && i < sizeof picture_types / sizeof *picture_types; i++)
        text_printf(text, ",\"%s\":{}", picture_types[i]);
    for (size_t i = 0; kind == MANIFEST_AUDIO && i < sizeof sound_types / sizeof *sound_types; i++)
        text_printf(text, ",\"%s\":{}", sound_types[i]);
    if (kind == MANIFEST_IMAGE || kind == MANIFEST_TEXT)
        text_add(text, ",\"multipart/form-data\":{}");
    if (kind == MANIFEST_TEXT)
        text_add(text, ",\"text/plain\":{\"schema\":{\"type\":\"string\"}}");
    text_printf(text,
                "}},\"responses\":{\"200\":{\"description\":\"Its outputs\",\"content\":{\"" JSON
                "\":{\"schema\":{\"$ref\":\"#/components/schemas/%s.%" PRId64 ".reply\"}},"
                "\"application/octet-stream\":{}}},\"default\":{\"description\":\"What is wrong, in a sentence\",",
                served->name, served->version);
    add_content(text, JSON, "Error");
    text_add(text, "}}}}}");
}

/* The version that answers where none is asked for. */
static bool is_newest(const struct served *served)
{
    for (const struct served *at = served->next; at && strcmp(at->name, served->name) == 0; at = at->next)
        if (at->state == SERVED_READY)
            return false;
    return true;
}

static void add_shape(struct text *text, const struct served *served, const struct percept_io *io)
{
    text_add(text, "{\"type\":\"array\"");
    if (io->rank > 0) {
        text_printf(text, ",\"minItems\":%d,\"maxItems\":%d,\"prefixItems\":[", io->rank, io->rank);
        for (int i = 0; i < io->rank; i++) {
            text_add(text, i ? "," : "");
            if (io->dims[i] >= 0)
                text_printf(text, "{\"const\":%" PRId64 "}", io->dims[i]);
            else if (served_has_batch(served) && i == io->batch_axis)
                text_printf(text, "{\"type\":\"integer\",\"minimum\":1,\"maximum\":%d}", served->max_batch_size);
            else
                text_add(text, "{\"type\":\"integer\",\"minimum\":0}");
        }
        text_add(text, "]");
    }
    text_add(text, ",\"items\":{\"type\":\"integer\",\"minimum\":0}}");
}

/* Of one input, or output. An input that texts describe takes them instead of their ids. */
static void add_tensor(struct text *text, const struct served *served, const struct percept_io *io, bool texts)
{
    const char *datatype = codec_datatype(io->dtype);
    text_add(text, "{\"type\":\"object\",\"required\":[\"name\",\"datatype\",\"shape\"],\"properties\":{\"name\":"
                   "{\"const\":");
    text_json(text, io->name);
    text_add(text, "},\"datatype\":{\"enum\":[");
    text_json(text, datatype ? datatype : "");
    text_add(text, texts ? ",\"BYTES\"]},\"shape\":" : "]},\"shape\":");
    if (texts)
        text_add(text, "{\"type\":\"array\",\"items\":{\"type\":\"integer\",\"minimum\":0}}");
    else
        add_shape(text, served, io);
    text_add(text, ",\"data\":{\"type\":\"array\"},\"parameters\":{\"type\":\"object\"}}}");
}

static void add_tensors(struct text *text, const struct served *served, const struct percept_io *ios, int n,
                        bool inputs)
{
    text_add(text, "{\"type\":\"array\"");
    int n_kept = 0; /* states and controls of a sequence may be left out */
    for (int i = 0; i < n && inputs; i++)
        n_kept += states_keep_input(served->states, i);
    if (inputs)
        text_printf(text, ",\"minItems\":%d", n - n_kept);
    text_printf(text, ",\"maxItems\":%d,\"items\":", n);
    if (n)
        text_add(text, "{\"oneOf\":[");
    for (int i = 0; i < n; i++) {
        const struct manifest_input *described = inputs ? manifest_input(served->manifest, ios[i].name) : NULL;
        text_add(text, i ? "," : "");
        add_tensor(text, served, &ios[i], described && described->kind == MANIFEST_TEXT);
    }
    text_add(text, n ? "]}}" : "{}}");
}

/* Which outputs may be asked for. */
static void add_wanted(struct text *text, const struct percept_io *ios, int n)
{
    text_add(text, "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"name\"],\"properties\":"
                   "{\"name\":{\"enum\":[");
    for (int i = 0; i < n; i++) {
        text_add(text, i ? "," : "");
        text_json(text, ios[i].name);
    }
    text_add(text, "]},\"parameters\":{\"type\":\"object\"}}}}");
}

static void add_model_schemas(struct text *text, const struct served *served)
{
    int n_inputs, n_outputs;
    const struct percept_io *inputs = served_inputs(served, &n_inputs);
    const struct percept_io *outputs = served_outputs(served, &n_outputs);
    text_printf(text, ",\"%s.%" PRId64 ".request\":{\"type\":\"object\",\"required\":[\"inputs\"],\"properties\":{",
                served->name, served->version);
    text_add(text, "\"id\":{\"type\":\"string\"},\"parameters\":{\"$ref\":\"#/components/schemas/Parameters\"},"
                   "\"inputs\":");
    add_tensors(text, served, inputs, n_inputs, true);
    text_add(text, ",\"outputs\":");
    add_wanted(text, outputs, n_outputs);
    text_printf(text,
                "}},\"%s.%" PRId64 ".reply\":{\"type\":\"object\",\"required\":[\"model_name\",\"model_version\","
                "\"outputs\"],\"properties\":{\"id\":{\"type\":\"string\"},\"model_name\":{\"const\":\"%s\"},"
                "\"model_version\":{\"const\":\"%" PRId64 "\"},\"outputs\":",
                served->name, served->version, served->name, served->version);
    add_tensors(text, served, outputs, n_outputs, false);
    text_add(text, ",\"predictions\":{\"type\":\"array\"}}}");
}

/* --- the page ----------------------------------------------------------------------------------------------------- */

static void add_security(struct text *text, const struct site *site)
{
    if (!site->keys.n)
        return;
    text_add(text, ",\"securitySchemes\":{\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\"},"
                   "\"key\":{\"type\":\"apiKey\",\"in\":\"header\",\"name\":\"X-API-Key\"}}");
}

static void add_model_paths(struct text *text, const struct served *served)
{
    if (is_newest(served))
        add_model_path(text, served, false);
    add_model_path(text, served, true);
}

static void add_head(struct text *text, const struct site *site)
{
    const char *id = site->settings->server_id;
    text_add(text, "{\"openapi\":\"3.1.0\",\"info\":{\"title\":");
    text_json(text, id ? id : "perceptd");
    text_add(text, ",\"version\":");
    text_json(text, percept_version());
    text_add(text, "},\"servers\":[{\"url\":\"/\"}]");
    if (site->keys.n)
        text_add(text, ",\"security\":[{\"bearer\":[]},{\"key\":[]}]");
    text_add(text, ",\"paths\":{");
}

/* Two rows: what all servers have of paths and then each model's, and the same of schemas. */
static bool write_row(struct slices *slices, const struct served *served)
{
    struct text *text = &slices->text;
    if (served && served->state == SERVED_READY)
        (slices->row ? add_model_schemas : add_model_paths)(text, served);
    if (served)
        return true;
    if (slices->row) {
        text_add(text, "},\"components\":{\"schemas\":{");
        add_schemas(text);
    } else {
        add_head(text, slices->exchange->site);
        add_routes(text);
    }
    return true;
}

static void end(struct slices *slices)
{
    text_add(&slices->text, "}");
    add_security(&slices->text, slices->exchange->site);
    text_add(&slices->text, "}}");
    exchange_reply_text(slices->exchange, 200, JSON, &slices->text);
}

void openapi_get(struct exchange *exchange)
{
    slices_start(exchange, &(struct slices){.n_rows = 2, .write = write_row, .end = end});
}
