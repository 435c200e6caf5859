/*
 * v2_admin.c - the model repository extension: what there is, and models that come and go.
 *
 * Load and unload are Triton's requests: they are answered when it is done, or has failed. The gate (403 without
 * --admin) is the route's flag, judged before this is called. The client may leave meanwhile; what it asked for is done
 * all the same. A load's body may hold whole files, so a loader reads it; an unload's says nothing that matters here,
 * and is small or refused.
 *
 * The index lists three things: what is served or failed, each version of it; what lies on disk and is not loaded,
 * since somebody wanted it so; and what cannot be served as it lies there. Members without a value are left out, as
 * Triton does it.
 *
 * Thread: the loop.
 */
#include "http/exchange.h"
#include "http/routes.h"
#include "serve/json.h"

#include <inttypes.h>

#define JSON "application/json"
#define BODY_MAX_BYTES ((size_t)16 << 10) /* of what is read here, on the loop */

/* --- load and unload ---------------------------------------------------------------------------------------------- */

static void on_told(void *user, const struct percept_err *why)
{
    struct exchange *exchange = user;
    exchange->control = NULL;
    if (!why)
        exchange_reply(exchange, 200, JSON, (struct bytes){0});
    else if (why->code == ERR_CANCELLED && exchange->site->abandoning)
        exchange_refuse(exchange, ERR_UNAVAILABLE, "Server exiting");
    else
        exchange_error(exchange, why);
}

static void wait_for(struct exchange *exchange, struct control *control, const struct percept_err *err)
{
    exchange->control = control;
    if (control)
        exchange_wait(exchange);
    else
        exchange_error(exchange, err);
}

void v2_admin_load(struct exchange *exchange)
{
    struct percept_err err = {0};
    struct bytes body;
    struct arena arena = exchange_give_body(exchange, &body);
    wait_for(exchange,
             repository_load(exchange->site->repository, exchange->name, &arena, body, on_told, exchange, &err), &err);
    arena_free(&arena);
}

/* Small JSON, or nothing; what is in it is the caller's to read. */
static bool body_is_small(const struct exchange *exchange, struct percept_err *err)
{
    return exchange->body_bytes <= BODY_MAX_BYTES ||
           err_set(err, ERR_TOO_LARGE, "the body of this request is at most %zu bytes", BODY_MAX_BYTES);
}

void v2_admin_unload(struct exchange *exchange)
{
    struct percept_err err = {0};
    struct json json = json_of(bytes_of(exchange->body, exchange->body_bytes), &exchange->arena, &err);
    if (!body_is_small(exchange, &err) || (exchange->body_bytes && !(json_skip(&json) && json_finish(&json))))
        exchange_error(exchange, &err);
    else
        wait_for(exchange, repository_unload(exchange->site->repository, exchange->name, on_told, exchange, &err),
                 &err);
}

void v2_admin_elsewhere(struct exchange *exchange)
{
    exchange_refuse(exchange, ERR_UNSUPPORTED, "'repository_name' specification is not supported");
}

/* --- the index ---------------------------------------------------------------------------------------------------- */

struct row {
    const char *name;
    size_t n_name;
    int64_t version; /* 0: none */
    const char *state, *reason;
    bool away;
};

static void add_row(struct text *text, const struct row *row)
{
    char *name = arena_text(text->arena, row->name, row->n_name);
    text_add(text, text->n_bytes > 1 ? ",{\"name\":" : "{\"name\":");
    text_json(text, name);
    if (row->version)
        text_printf(text, ",\"version\":\"%" PRId64 "\"", row->version);
    if (row->state)
        text_printf(text, ",\"state\":\"%s\"", row->state);
    if (row->reason && *row->reason) {
        text_add(text, ",\"reason\":");
        text_json(text, row->reason);
    }
    if (row->away)
        text_add(text, ",\"parameters\":{\"resident\":false}");
    text_add(text, "}");
}

static void add_served(struct text *text, struct catalog *catalog, bool ready)
{
    for (const struct served *at = catalog_first(catalog); at; at = at->next)
        if (!ready || at->state == SERVED_READY)
            add_row(text, &(struct row){.name = at->name,
                                        .n_name = strlen(at->name),
                                        .version = at->version,
                                        .state = catalog_state_name(at->state),
                                        .reason = at->reason,
                                        .away = at->away});
}

static bool is_served(struct catalog *catalog, const struct found *found)
{
    const struct served *at = catalog_first(catalog);
    while (at && (at->version != found->version || strcmp(at->name, found->name) != 0))
        at = at->next;
    return at != NULL;
}

/* Of what was never loaded only the name is told, once. */
static bool named_before(const struct sighting *first, const struct sighting *sighting)
{
    const struct sighting *at = first;
    while (at != sighting && strcmp(at->found.name, sighting->found.name) != 0)
        at = at->next;
    return at != sighting;
}

static void add_unloaded(struct text *text, const struct site *site)
{
    const struct sighting *first = repository_seen(site->repository)->first;
    for (const struct sighting *at = first; at; at = at->next) {
        const struct found *found = &at->found;
        if (repository_wants(site->repository, found->name) || is_served(site->catalog, found))
            continue;
        struct row row = {.name = found->name, .n_name = strlen(found->name)};
        if (!repository_had(site->repository, found->name)) {
            if (!named_before(first, at))
                add_row(text, &row);
            continue;
        }
        row.version = found->version;
        row.state = catalog_state_name(SERVED_FAILED);
        row.reason = "unloaded";
        add_row(text, &row);
    }
}

static void add_spared(struct text *text, const struct site *site)
{
    for (const struct sighting *at = repository_seen(site->repository)->spared; at; at = at->next)
        if (repository_wants(site->repository, at->found.name) && !is_served(site->catalog, &at->found))
            add_row(text, &(struct row){.name = at->found.name,
                                        .n_name = strlen(at->found.name),
                                        .version = at->found.version,
                                        .state = catalog_state_name(SERVED_FAILED),
                                        .reason = "its model's version_policy leaves it out"});
}

/* A folder's name is told without its slash. */
static void add_omitted(struct text *text, const struct catalog *catalog)
{
    for (const struct omitted *at = catalog_omitted(catalog); at; at = at->next) {
        size_t n = strlen(at->name);
        add_row(text, &(struct row){.name = at->name,
                                    .n_name = n > 1 && at->name[n - 1] == '/' ? n - 1 : n,
                                    .state = catalog_state_name(SERVED_FAILED),
                                    .reason = at->why});
    }
}

static bool read_ready(struct exchange *exchange, bool *ready, struct percept_err *err)
{
    struct json_keys keys = {0};
    struct bytes key;
    *ready = false;
    if (!exchange->body_bytes)
        return true;
    struct json json = json_of(bytes_of(exchange->body, exchange->body_bytes), &exchange->arena, err);
    if (!body_is_small(exchange, err) || !json_open(&json, '{'))
        return false;
    while (json_member(&json, &keys, &key))
        if (!(bytes_is(key, "ready") ? json_bool(&json, "ready", ready) : json_skip(&json)))
            return false;
    return json_finish(&json);
}

void v2_admin_index(struct exchange *exchange)
{
    struct percept_err err = {0};
    struct text text = {.arena = &exchange->arena};
    const struct site *site = exchange->site;
    bool ready;
    if (!read_ready(exchange, &ready, &err)) {
        exchange_error(exchange, &err);
        return;
    }
    text_add(&text, "[");
    add_served(&text, site->catalog, ready);
    if (!ready) {
        add_unloaded(&text, site);
        add_spared(&text, site);
        add_omitted(&text, site->catalog);
    }
    text_add(&text, "]");
    exchange_reply_text(exchange, 200, JSON, &text);
}
