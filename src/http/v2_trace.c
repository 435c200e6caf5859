/*
 * v2_trace.c - the trace extension, as far as clients ask whether anything is traced: nothing is. /v2/trace/setting
 * says so, takes a request that turns tracing off, and refuses any other. Thread: the loop.
 */
#include "http/exchange.h"
#include "http/routes.h"
#include "serve/json.h"

static const struct {
    const char *name, *value;
} settings[] = {{"trace_rate", "1000"},
                {"trace_count", "-1"},
                {"log_frequency", "0"},
                {"trace_file", ""},
                {"trace_mode", "triton"}};

#define N_SETTINGS (sizeof settings / sizeof *settings)

static bool model_known(struct exchange *exchange)
{
    struct percept_err err = {0};
    if (!*exchange->name || catalog_find(exchange->site->catalog, exchange->name, 0, &err))
        return true;
    exchange_error(exchange, &err);
    return false;
}

static void reply(struct exchange *exchange)
{
    struct text text = {.arena = &exchange->arena};
    text_add(&text, "{\"trace_level\":[\"OFF\"]");
    for (size_t i = 0; i < N_SETTINGS; i++)
        text_printf(&text, ",\"%s\":\"%s\"", settings[i].name, settings[i].value);
    text_add(&text, "}");
    exchange_reply_text(exchange, 200, "application/json", &text);
}

void v2_trace_get(struct exchange *exchange)
{
    if (model_known(exchange))
        reply(exchange);
}

static bool refuse(struct json *json)
{
    json->failed = true;
    return err_set(json->err, ERR_UNSUPPORTED,
                   "requests are not traced by this version; the settings can only be those that "
                   "GET /v2/trace/setting tells");
}

static bool read_level(struct json *json)
{
    struct bytes level;
    return json_text(json, "a string as 'trace_level'", &level) && (bytes_is(level, "OFF") || refuse(json));
}

/* A list of levels, or one. */
static bool read_levels(struct json *json)
{
    int64_t n = 0;
    if (json_peek(json) != '[')
        return read_level(json);
    json_open(json, '[');
    while (json_item(json, &n))
        if (!read_level(json))
            return false;
    return !json->failed;
}

static bool read_setting(struct json *json, struct bytes key)
{
    struct bytes value;
    if (bytes_is(key, "trace_level"))
        return read_levels(json);
    for (size_t i = 0; i < N_SETTINGS; i++)
        if (bytes_is(key, settings[i].name))
            return json_text(json, "a string", &value) && (bytes_is(value, settings[i].value) || refuse(json));
    return json_fail(json, "unknown trace setting '" BYTES_FMT "'", BYTES_ARG(key));
}

/* A member that is null goes back to what holds for all models: as it is. */
static bool read(struct exchange *exchange, struct percept_err *err)
{
    struct json json = json_of(bytes_of(exchange->body, exchange->body_bytes), &exchange->arena, err);
    struct json_keys keys = {0};
    struct bytes key;
    if (!json_open(&json, '{'))
        return false;
    while (json_member(&json, &keys, &key))
        if (!read_setting(&json, key))
            return false;
    return json_finish(&json);
}

void v2_trace_set(struct exchange *exchange)
{
    struct percept_err err = {0};
    if (!model_known(exchange))
        return;
    if (read(exchange, &err))
        reply(exchange);
    else
        exchange_error(exchange, &err);
}
