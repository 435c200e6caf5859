/*
 * v2_logging.c - the logging extension: /v2/logging tells which levels the log has, and changes them where --admin
 * allows it.
 *
 * A request is judged whole before anything changes. What cannot be changed while the daemon runs (where the log goes,
 * and how its times are written) may be named with the value that it has. Thread: the loop.
 */
#include "base/log.h"
#include "http/exchange.h"
#include "http/routes.h"
#include "serve/json.h"

#define FORMAT "ISO8601"

static const struct {
    const char *name;
    enum log_level level;
} switches[] = {{"log_info", LOG_INFO_LEVEL}, {"log_warning", LOG_WARN_LEVEL}, {"log_error", LOG_ERROR_LEVEL}};

#define N_SWITCHES (sizeof switches / sizeof *switches)

static unsigned bit(enum log_level level)
{
    return 1U << level;
}

void v2_logging_get(struct exchange *exchange)
{
    struct text text = {.arena = &exchange->arena};
    unsigned levels = log_levels();
    text_add(&text, "{\"log_file\":\"\"");
    for (size_t i = 0; i < N_SWITCHES; i++)
        text_printf(&text, ",\"%s\":%s", switches[i].name, levels & bit(switches[i].level) ? "true" : "false");
    text_printf(&text, ",\"log_verbose_level\":%d,\"log_format\":\"" FORMAT "\"}",
                levels & bit(LOG_DEBUG_LEVEL) ? 1 : 0);
    exchange_reply_text(exchange, 200, "application/json", &text);
}

static void turn(unsigned *levels, enum log_level level, bool on)
{
    *levels = on ? *levels | bit(level) : *levels & ~bit(level);
}

static bool read_fixed(struct json *json, struct bytes key)
{
    bool file = bytes_is(key, "log_file");
    struct bytes value;
    if (!json_text(json, "a string", &value) || bytes_is(value, file ? "" : FORMAT))
        return !json->failed;
    json->failed = true;
    if (file)
        return err_set(json->err, ERR_UNSUPPORTED, "log file location can not be updated through network protocol");
    return err_set(json->err, bytes_is(value, "default") ? ERR_UNSUPPORTED : ERR_INVALID,
                   "'log_format' is " FORMAT " and stays so");
}

static bool read_setting(struct json *json, struct bytes key, unsigned *levels)
{
    uint64_t verbose;
    bool on;
    for (size_t i = 0; i < N_SWITCHES; i++)
        if (bytes_is(key, switches[i].name)) {
            if (json_bool(json, "true or false", &on))
                turn(levels, switches[i].level, on);
            return !json->failed;
        }
    if (bytes_is(key, "log_verbose_level")) {
        if (json_uint(json, "a whole number as 'log_verbose_level'", &verbose))
            turn(levels, LOG_DEBUG_LEVEL, verbose > 0);
        return !json->failed;
    }
    if (bytes_is(key, "log_file") || bytes_is(key, "log_format"))
        return read_fixed(json, key);
    return json_fail(json, "unknown log setting '" BYTES_FMT "'", BYTES_ARG(key));
}

static bool read(struct exchange *exchange, unsigned *levels, struct percept_err *err)
{
    struct json json = json_of(bytes_of(exchange->body, exchange->body_bytes), &exchange->arena, err);
    struct json_keys keys = {0};
    struct bytes key;
    if (!json_open(&json, '{'))
        return false;
    while (json_member(&json, &keys, &key))
        if (!read_setting(&json, key, levels))
            return false;
    return json_finish(&json);
}

void v2_logging_set(struct exchange *exchange)
{
    struct percept_err err = {0};
    unsigned levels = log_levels();
    if (!read(exchange, &levels, &err)) {
        exchange_error(exchange, &err);
        return;
    }
    log_set_levels(levels);
    v2_logging_get(exchange);
}
