/*
 * override.c - see override.h. A ModelConfig has many fields, most of which say what a file or a manifest says here, or
 * what is without effect on a processor; clients send back what GET .../config gave them. What is done with each stands
 * in the one table of them, triton_config.def. One that is not Triton's is refused, since nobody would notice that it
 * does nothing; and so is one that would change what is answered, unless it is empty.
 */
#include "serve/override.h"

#include "base/base64.h"
#include "base/err.h"
#include "serve/json.h"
#include "serve/triton_config.h"

#include <inttypes.h>
#include <string.h>

#define BATCH_SIZE_MAX 4096
#define QUEUE_DELAY_MAX_US 60000000
#define VERSION_DIGITS 18
#define MODEL_FILE "/model.onnx"
#define FILE_PREFIX "file:"

/* --- numbers and bytes -------------------------------------------------------------------------------------------- */

/* As a number or, as protobuf's JSON has it, in a string. */
static bool read_number(struct json *json, const char *what, uint64_t most, uint64_t *value)
{
    struct bytes text;
    if (json_peek(json) != '"') {
        if (!json_uint(json, what, value))
            return false;
    } else {
        if (!json_text(json, what, &text))
            return false;
        *value = 0;
        for (size_t i = 0; i < bytes_size(text); i++) {
            if (text.at[i] < '0' || text.at[i] > '9' || i == VERSION_DIGITS)
                return json_fail(json, "%s: expected a whole number", what);
            *value = *value * 10 + (uint64_t)(text.at[i] - '0');
        }
        if (!bytes_size(text))
            return json_fail(json, "%s: expected a whole number", what);
    }
    return *value <= most || json_fail(json, "%s: expected at most %" PRIu64, what, most);
}

/* NULL `at` when memory is short or it is no base64. */
static struct bytes decode(struct bytes text, struct arena *arena)
{
    uint8_t *bytes = arena_alloc(arena, BASE64_READ_MAX(bytes_size(text)));
    size_t n_bytes;
    return bytes && base64_read(text, bytes, &n_bytes) ? bytes_of(bytes, n_bytes) : (struct bytes){0};
}

/* --- files -------------------------------------------------------------------------------------------------------- */

/* "3/model.onnx" -> 3; 0: it is not so. */
static int64_t version_of(struct bytes path)
{
    const size_t n_end = strlen(MODEL_FILE), n = bytes_size(path);
    int64_t version = 0;
    if (n <= n_end || n - n_end > VERSION_DIGITS || memcmp(path.at + n - n_end, MODEL_FILE, n_end) != 0 ||
        *path.at == '0')
        return 0;
    for (size_t i = 0; i < n - n_end; i++) {
        if (path.at[i] < '0' || path.at[i] > '9')
            return 0;
        version = version * 10 + (path.at[i] - '0');
    }
    return version;
}

static bool read_file(struct override *override, struct json *json, struct bytes path)
{
    struct bytes text;
    struct override_file *file = arena_alloc(&override->arena, sizeof *file);
    int64_t version = version_of(path);
    if (!file)
        return err_memory(json->err, "a file", sizeof *file);
    if (!version)
        return json_fail(json, "file:" BYTES_FMT ": what can be given is file:VERSION/model.onnx", BYTES_ARG(path));
    if (!json_text(json, "a file", &text))
        return false;
    *file = (struct override_file){.next = override->files, .version = version};
    file->bytes = decode(text, &override->arena);
    override->files = file;
    return file->bytes.at ||
           json_fail(json, "file:" BYTES_FMT ": it is not base64, or memory is short", BYTES_ARG(path));
}

/* --- the configuration -------------------------------------------------------------------------------------------- */

static bool look_up(struct json *json, const char *message, struct bytes field, enum triton_sent *sent)
{
    return triton_config_sent(message, field, sent) ||
           json_fail(json, "config: '" BYTES_FMT "' is no field of a %s", BYTES_ARG(field), message);
}

/* Unless it says nothing. */
static bool refuse(struct json *json, struct bytes field)
{
    struct json look = *json;
    int64_t n = 0;
    struct json_keys keys = {0};
    struct bytes key;
    uint8_t first = json_peek(&look);
    bool empty = (first == '[' && json_open(&look, '[') && !json_item(&look, &n)) ||
                 (first == '{' && json_open(&look, '{') && !json_key(&look, &keys, &key));
    if (empty && !look.failed) {
        *json = look;
        return true;
    }
    return json_fail(json, "config: " BYTES_FMT " is not served", BYTES_ARG(field));
}

static bool read_name(struct json *json, const char *model)
{
    struct bytes name;
    if (!json_text(json, "config: name", &name))
        return false;
    return !bytes_size(name) || bytes_is(name, model) ||
           json_fail(json, "config: its name is '" BYTES_FMT "'", BYTES_ARG(name));
}

static bool read_batching(struct override *override, struct json *json)
{
    struct json_keys keys = {0};
    struct bytes key;
    enum triton_sent sent;
    uint64_t value;
    if (!json_open(json, '{'))
        return false;
    while (json_member(json, &keys, &key)) {
        if (!look_up(json, "ModelDynamicBatching", key, &sent))
            return false;
        if (sent != SENT_QUEUE_DELAY) {
            if (!json_skip(json))
                return false;
            continue;
        }
        if (!read_number(json, "config: max_queue_delay_microseconds", QUEUE_DELAY_MAX_US, &value))
            return false;
        override->max_queue_delay_us = (int64_t)value;
    }
    return !json->failed;
}

static bool read_field(struct override *override, struct json *json, const char *model, struct bytes key)
{
    enum triton_sent sent;
    uint64_t value;
    if (!look_up(json, "ModelConfig", key, &sent))
        return false;
    switch (sent) {
    case SENT_NAME:
        return read_name(json, model);
    case SENT_BATCH_SIZE:
        if (!read_number(json, "config: max_batch_size", BATCH_SIZE_MAX, &value))
            return false;
        override->max_batch_size = (int)value;
        return true;
    case SENT_BATCHING:
        return read_batching(override, json);
    case SENT_REFUSED:
        return refuse(json, key);
    case SENT_QUEUE_DELAY:
    case SENT_NOTHING:
        break;
    }
    return json_skip(json);
}

static bool read_config(struct override *override, const char *model, struct bytes text, struct percept_err *err)
{
    struct json json = json_of(text, &override->arena, err);
    struct json_keys keys = {0};
    struct bytes key;
    override->has_config = true;
    if (!json_open(&json, '{'))
        return err_prefix(err, "config: ");
    while (json_member(&json, &keys, &key))
        if (!read_field(override, &json, model, key))
            return false;
    return json_finish(&json);
}

/* --- the body ----------------------------------------------------------------------------------------------------- */

static bool read_parameter(struct override *override, struct json *json, const char *model, struct bytes key)
{
    const size_t n = strlen(FILE_PREFIX);
    struct bytes text;
    if (bytes_is(key, "config"))
        return json_text(json, "config", &text) && read_config(override, model, text, json->err);
    if (bytes_size(key) > n && memcmp(key.at, FILE_PREFIX, n) == 0)
        return read_file(override, json, bytes_of(key.at + n, bytes_size(key) - n));
    return json_fail(json, "unknown parameter '" BYTES_FMT "': config and file:VERSION/model.onnx are known",
                     BYTES_ARG(key));
}

static bool read_parameters(struct override *override, struct json *json, const char *model)
{
    struct json_keys keys = {0};
    struct bytes key;
    if (!json_open(json, '{'))
        return false;
    while (json_member(json, &keys, &key))
        if (!read_parameter(override, json, model, key))
            return false;
    return !json->failed;
}

static bool read_body(struct override *override, struct json *json, const char *model)
{
    struct json_keys keys = {0};
    struct bytes key;
    if (!json_open(json, '{'))
        return false;
    while (json_member(json, &keys, &key))
        if (!(bytes_is(key, "parameters") ? read_parameters(override, json, model) : json_skip(json)))
            return false;
    return json_finish(json);
}

bool override_read(struct override *override, const char *model, struct bytes body, struct percept_err *err)
{
    *override = (struct override){.max_batch_size = -1, .max_queue_delay_us = -1};
    if (!bytes_size(body))
        return true;
    struct json json = json_of(body, &override->arena, err);
    if (!read_body(override, &json, model))
        return false;
    return !override->files || override->has_config ||
           err_set(err, ERR_INVALID, "files are given without 'config': a ModelConfig goes with them, '{}' will do");
}

void override_free(struct override *override)
{
    arena_free(&override->arena);
    *override = (struct override){.max_batch_size = -1};
}
