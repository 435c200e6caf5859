/*
 * v2_shm.c - Triton's system shared memory extension: registering, unregistering, status. What may be registered, and
 * how it is used, is serve/client_shm.h's matter. Off without --client-shm: 501 with a sentence that names the option.
 *
 * Thread: the loop.
 */
#include "http/exchange.h"
#include "http/routes.h"
#include "serve/client_shm.h"
#include "serve/json.h"

#include <inttypes.h>

/* NULL: it was refused. */
static struct client_shm *enabled(struct exchange *exchange)
{
    struct client_shm *shm = exchange->site->client_shm;
    if (!shm)
        exchange_refuse(exchange, ERR_UNSUPPORTED, CLIENT_SHM_DISABLED);
    return shm;
}

/* What a client asks for. */
struct wish {
    bool has_key, has_size;
    struct bytes key;
    uint64_t offset, n_bytes;
};

static bool read_wish(struct exchange *exchange, struct wish *wish, struct percept_err *err)
{
    static const uint8_t nothing[1];
    struct bytes body = bytes_of(exchange->body ? exchange->body : nothing, exchange->body_bytes);
    struct json json = json_of(body, &exchange->arena, err);
    struct json_keys keys = {0};
    struct bytes key;
    *wish = (struct wish){0};
    if (!json_open(&json, '{'))
        return false;
    while (json_member(&json, &keys, &key)) {
        if (bytes_is(key, "key"))
            wish->has_key = json_text(&json, "a string as 'key'", &wish->key);
        else if (bytes_is(key, "offset"))
            json_uint(&json, "a whole number as 'offset'", &wish->offset);
        else if (bytes_is(key, "byte_size"))
            wish->has_size = json_uint(&json, "a whole number as 'byte_size'", &wish->n_bytes);
        else
            json_skip(&json);
    }
    if (!json.failed && !(wish->has_key && wish->has_size))
        return json_fail(&json, "no '%s'", wish->has_key ? "byte_size" : "key");
    return json_finish(&json);
}

static void finish(struct exchange *exchange, bool good, const struct percept_err *err)
{
    if (good)
        exchange_reply(exchange, 200, "application/json", (struct bytes){0});
    else
        exchange_error(exchange, err);
}

void v2_shm_register(struct exchange *exchange)
{
    struct client_shm *shm = enabled(exchange);
    struct percept_err err = {0};
    struct wish wish;
    if (!shm)
        return;
    bool good = read_wish(exchange, &wish, &err) &&
                client_shm_register(shm, exchange->name, wish.key, wish.offset, wish.n_bytes, &err);
    finish(exchange, good, &err);
}

void v2_shm_unregister(struct exchange *exchange)
{
    struct client_shm *shm = enabled(exchange);
    struct percept_err err = {0};
    if (shm)
        finish(exchange, client_shm_unregister(shm, *exchange->name ? exchange->name : NULL, &err), &err);
}

static void add_region(struct text *text, const struct client_shm_region *region)
{
    text_add(text, "{\"name\":");
    text_json(text, region->name);
    text_add(text, ",\"key\":");
    text_json(text, region->key);
    text_printf(text, ",\"offset\":%" PRIu64 ",\"byte_size\":%" PRIu64 "}", region->offset, region->n_bytes);
}

void v2_shm_status(struct exchange *exchange)
{
    struct client_shm *shm = enabled(exchange);
    struct percept_err err = {0};
    struct text text = {.arena = &exchange->arena};
    if (!shm)
        return;
    struct client_shm_table *table = client_shm_hold(shm);
    const struct client_shm_region *one = NULL;
    if (*exchange->name && !(one = client_shm_find(table, bytes_of_text(exchange->name), &err)))
        exchange_error(exchange, &err);
    else {
        text_add(&text, "[");
        for (int i = 0; i < table->n && !one; i++) {
            text_add(&text, i ? "," : "");
            add_region(&text, table->regions[i]);
        }
        if (one)
            add_region(&text, one);
        text_add(&text, "]");
        exchange_reply_text(exchange, 200, "application/json", &text);
    }
    client_shm_release(table);
}
