/*
 * codec_elements.c - the elements of a tensor out of a JSON array, nested or flat, straight into
 * place.
 *
 * One walk over the brackets, compiled once per kind of element. Floats, which are most of what is
 * sent, come as lists: what of one is plain is read by one call; what is not ends that call and is
 * read, or refused, by itself. Only the number of elements matters, not how they are nested.
 * NaN, Infinity and -Infinity are floats here; null is not. A float whose digits are beyond its
 * type's range is refused: it would silently become infinite.
 */
#include "base/err.h"
#include "base/number.h"
#include "serve/codec_parts.h"
#include "serve/json.h"

#include <math.h>

#define SPEND_EACH 64 /* elements: a look at the watch is not due for each */

struct sink {
    void *data;
    int64_t i, n;
    size_t size; /* of an element */
    const char *name;
    enum percept_dtype dtype;
};

static bool wrong(struct json *json, const struct sink *sink)
{
    char text[24];
    return json_fail(json, "input '%s': element %lld is not %s of %s: found %s", sink->name, (long long)sink->i,
                     sink->dtype == PERCEPT_STRING ? "a string" : "a value", codec_datatype(sink->dtype),
                     json_found(json, text));
}

/* Digits that rounded to infinity, as opposed to the word. */
static bool is_beyond(double value, const uint8_t *end)
{
    return isinf(value) && end[-1] != 'y';
}

/* What comes of a list of plain floats, up to the next look at the watch, is read at once. */
static inline bool float_element(struct json *json, struct sink *sink)
{
    float *to = (float *)sink->data + sink->i;
    struct bytes list = {json->at, json->end};
    int64_t n = sink->n - sink->i, room = SPEND_EACH - sink->i % SPEND_EACH;
    n = number_read_floats(&list, to, n < room ? n : room);
    if (n) {
        json->at = list.at;
        sink->i += n - 1;
        return true;
    }
    const uint8_t *end = number_read_float((struct bytes){json->at, json->end}, to);
    if (!end || is_beyond((double)*to, end))
        return wrong(json, sink);
    json->at = end;
    return true;
}

static inline bool double_element(struct json *json, struct sink *sink)
{
    double *to = (double *)sink->data + sink->i;
    const uint8_t *end = number_read_double((struct bytes){json->at, json->end}, to);
    if (!end || is_beyond(*to, end))
        return wrong(json, sink);
    json->at = end;
    return true;
}

static inline bool signed_element(struct json *json, struct sink *sink)
{
    int64_t value;
    const uint8_t *end = number_read_int64((struct bytes){json->at, json->end}, &value);
    int64_t most = INT64_MAX >> (64 - 8 * sink->size);
    if (!end || value > most || value < -most - 1)
        return wrong(json, sink);
    memcpy((char *)sink->data + (size_t)sink->i * sink->size, &value, sink->size); /* little-endian */
    json->at = end;
    return true;
}

static inline bool unsigned_element(struct json *json, struct sink *sink)
{
    uint64_t value;
    const uint8_t *end = number_read_uint64((struct bytes){json->at, json->end}, &value);
    if (!end || value > UINT64_MAX >> (64 - 8 * sink->size))
        return wrong(json, sink);
    memcpy((char *)sink->data + (size_t)sink->i * sink->size, &value, sink->size);
    json->at = end;
    return true;
}

static inline bool bool_element(struct json *json, struct sink *sink)
{
    uint8_t *to = (uint8_t *)sink->data + sink->i;
    uint64_t value;
    bool truth;
    if (*json->at == 't' || *json->at == 'f') {
        if (!json_bool(json, "true or false", &truth))
            return false;
        *to = truth;
        return true;
    }
    const uint8_t *end = number_read_uint64((struct bytes){json->at, json->end}, &value);
    if (!end || value > 1)
        return wrong(json, sink);
    *to = value == 1;
    json->at = end;
    return true;
}

static inline bool string_element(struct json *json, struct sink *sink)
{
    struct bytes text;
    if (*json->at != '"')
        return wrong(json, sink);
    if (!json_text(json, "a string", &text))
        return false;
    ((struct percept_string *)sink->data)[sink->i] =
        (struct percept_string){.at = (const char *)text.at, .n_bytes = bytes_size(text)};
    return true;
}

static bool too_many(struct json *json, const struct sink *sink)
{
    return json_fail(json,
                     "Unable to parse 'data': Shape does not match true shape of 'data' field: input "
                     "'%s' has more than %lld elements",
                     sink->name, (long long)sink->n);
}

static bool broken(struct json *json, const char *what)
{
    char text[24];
    return json_fail(json, "expected %s in 'data', found %s", what, json_found(json, text));
}

/* Whether the walk goes on with another element: passes ',' and closing brackets behind one. */
static inline bool more(struct json *json, int *depth)
{
    while (*depth > 0) {
        json_space(json);
        if (json->at == json->end)
            return broken(json, "',' or ']'");
        uint8_t c = *json->at;
        if (c != ',' && c != ']')
            return broken(json, "',' or ']'");
        json->at++;
        if (c == ',')
            return true;
        --*depth;
    }
    return false;
}

static inline __attribute__((always_inline)) bool walk(struct json *json, struct sink *sink,
                                                       bool (*element)(struct json *json, struct sink *sink))
{
    int depth = 0;
    bool opened = false; /* a bracket is the last thing seen: it may be closed at once */
    do {
        json_space(json);
        if (json->at == json->end)
            return broken(json, "an element");
        if (*json->at == '[') {
            if (!json_spend(json, 1))
                return false;
            if (++depth > JSON_DATA_DEPTH_MAX)
                return broken(json, "fewer brackets");
            json->at++;
            opened = true;
            continue;
        }
        if (*json->at == ']' && opened) {
            opened = false;
        } else {
            if (sink->i == sink->n && *json->at != ']' && *json->at != ',')
                return too_many(json, sink);
            if (sink->i == sink->n || !element(json, sink))
                return wrong(json, sink);
            sink->i++;
            if (sink->i % SPEND_EACH == 0 && !json_spend(json, SPEND_EACH))
                return false;
            opened = false;
        }
        if (!more(json, &depth))
            return !json->failed;
    } while (true);
}

static bool walk_type(struct json *json, struct sink *sink)
{
    switch (sink->dtype) {
    case PERCEPT_FLOAT:
        return walk(json, sink, float_element);
    case PERCEPT_DOUBLE:
        return walk(json, sink, double_element);
    case PERCEPT_INT8:
    case PERCEPT_INT16:
    case PERCEPT_INT32:
    case PERCEPT_INT64:
        return walk(json, sink, signed_element);
    case PERCEPT_UINT8:
    case PERCEPT_UINT16:
    case PERCEPT_UINT32:
    case PERCEPT_UINT64:
        return walk(json, sink, unsigned_element);
    case PERCEPT_BOOL:
        return walk(json, sink, bool_element);
    default:
        return walk(json, sink, string_element);
    }
}

static bool too_few(const char *name, int64_t n_found, int64_t n, struct percept_err *err)
{
    return err_set(err, ERR_INVALID,
                   "Failed to parse 'data' field: shape does not match true shape of 'data' field: "
                   "input '%s' has at most %lld elements of %lld",
                   name, (long long)n_found, (long long)n);
}

bool codec_elements_read(struct job *job, struct bytes data, const char *name, struct percept_tensor *tensor, int64_t n,
                         struct percept_err *err)
{
    /* An element takes two bytes at least, so a short body cannot ask for much memory. */
    if ((uint64_t)n > bytes_size(data) / 2)
        return too_few(name, (int64_t)bytes_size(data) / 2, n, err);
    if (!codec_parts_reserve(job, name, tensor, n, err))
        return false;
    struct json json = json_of(data, job->arena, err);
    json.begin = job->body.at;
    json.watch = &job->watch;
    struct sink sink = {
        .data = tensor->data, .n = n, .size = percept_dtype_bytes(tensor->dtype), .name = name, .dtype = tensor->dtype};
    if (!walk_type(&json, &sink))
        return false;
    return sink.i == n || too_few(name, sink.i, n, err);
}
