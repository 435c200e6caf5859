/*
 * codec_v1.c - the body of a V1 predict request, as TensorFlow Serving and KServe have it.
 *
 *     {"instances": [VALUE, ...]}                  rows, of the only input
 *     {"instances": [{"a": VALUE, "b": VALUE}]}    rows, by input
 *     {"inputs": VALUE}                            columns: a whole tensor, of the only input
 *     {"inputs": {"a": VALUE, "b": VALUE}}         columns, by input
 *
 * A VALUE is a number, a truth value, a text, {"b64": "..."}, or a list of VALUEs. Nobody says what shape or type it
 * has: the type is the model's, and the shape is how lists are nested, which must be even. Texts in base64 are BYTES.
 *
 * As in codec_json.c there is no tree. The first walk notes where each input's values lie, the second measures their
 * nesting, by which the input is judged as any other, and then the elements are read straight into tensors: no more
 * memory is taken than the body has elements.
 *
 * Rows are stacked along the first axis, so a network that has its batch elsewhere takes columns alone. What a row
 * form asks for is a reply in rows (job->n_rows). Runs on any thread; touches its job alone.
 */
#include "base/base64.h"
#include "base/err.h"
#include "base/utf8.h"
#include "serve/codec_parts.h"
#include "serve/json.h"

#include <stdio.h>

#define ROWS_MAX 65536 /* instances that are objects, for a model without a batch */

/* Where the values of one input lie: its rows, or the whole. */
struct values {
    struct bytes *spans;
    int64_t n, n_room;
};

struct request {
    struct job *job;
    const char *model;
    const struct percept_io *io;
    int n_io, n_body; /* the model's inputs; those that the body feeds */
    struct values *values;
    bool has_signature, has_instances, has_inputs, by_rows;
    struct bytes signature, instances, inputs;
    struct percept_err *err;
};

/* How lists are nested. */
struct nest {
    int rank; /* -1: not known yet */
    int64_t dims[PERCEPT_RANK_MAX];
};

static struct json cursor(const struct request *request, struct bytes span)
{
    struct json json = json_of(span, request->job->arena, request->err);
    json.begin = request->job->body.at;
    json.watch = &request->job->watch;
    return json;
}

/* --- finding values ----------------------------------------------------------------------------------------------- */

static bool is_of_word(uint8_t c)
{
    uint8_t letter = c | 0x20;
    return (c >= '0' && c <= '9') || (letter >= 'a' && letter <= 'z') || c == '.' || c == '-' || c == '+';
}

/* Numbers are read later, by whoever knows their type; here they end where something else begins. */
static bool skip_word(struct json *json)
{
    const uint8_t *from = json->at;
    while (json->at < json->end && is_of_word(*json->at))
        json->at++;
    if (json->at > from)
        return json_spend(json, json->at - from);
    char text[24];
    return json_fail(json, "expected a value, found %s", json_found(json, text));
}

static bool skip_value(struct json *json, struct bytes *span);

static bool skip_members(struct json *json)
{
    struct json_keys keys = {0};
    struct bytes key, span;
    if (!json_open(json, '{'))
        return false;
    while (json_key(json, &keys, &key))
        if (!skip_value(json, &span))
            return false;
    return !json->failed;
}

/* Any value, in which numbers may be NaN and lists nested as data are. */
static bool skip_value(struct json *json, struct bytes *span)
{
    uint8_t c = json_peek(json);
    const uint8_t *from = json->at;
    if (json->failed)
        return false;
    if (c == '[')
        return json_skip_data(json, span);
    bool ok = c == '{' ? skip_members(json) : c == '"' ? json_skip(json) : skip_word(json);
    *span = (struct bytes){from, json->at};
    return ok;
}

static bool read_body(struct request *request)
{
    struct json json = cursor(request, request->job->body);
    struct json_keys keys = {0};
    struct bytes key, other;
    if (!json_open(&json, '{'))
        return false;
    while (json_member(&json, &keys, &key)) {
        if (bytes_is(key, "signature_name"))
            request->has_signature = json_text(&json, "a string as 'signature_name'", &request->signature);
        else if (bytes_is(key, "instances"))
            request->has_instances = skip_value(&json, &request->instances);
        else if (bytes_is(key, "inputs"))
            request->has_inputs = skip_value(&json, &request->inputs);
        else
            skip_value(&json, &other);
    }
    if (!json_finish(&json))
        return false;
    if (!request->has_instances && !request->has_inputs)
        return json_fail(&json, "Missing 'inputs' or 'instances' key");
    if (request->has_instances && request->has_inputs)
        return json_fail(&json, "Not formatted correctly expecting only one of 'instances' and 'inputs'");
    return true;
}

static bool has_signature(const struct request *request)
{
    struct bytes name = request->signature;
    if (!request->has_signature || !bytes_size(name) || bytes_is(name, "serving_default"))
        return true;
    return err_set(request->err, ERR_INVALID,
                   "Serving signature name: \"" BYTES_FMT "\" not found in signature def; leave it out, or send "
                   "\"serving_default\"",
                   BYTES_ARG(name));
}

static int find_input(const struct request *request, struct bytes name)
{
    for (int i = 0; i < request->n_io; i++)
        if (codec_is_body(request->job, i) && bytes_is(name, request->io[i].name))
            return i;
    return -1;
}

/* {"b64": "..."} is a text, unless the model has an input of that name. */
static bool is_base64(const struct request *request, const struct json *at)
{
    struct percept_err err = {0};
    struct json json = *at;
    struct json_keys keys = {0};
    struct bytes key;
    json.err = &err;
    return json_open(&json, '{') && json_key(&json, &keys, &key) && bytes_is(key, "b64") &&
           find_input(request, key) < 0;
}

static bool add_span(struct request *request, int input, struct bytes span)
{
    struct values *values = &request->values[input];
    if (values->n == values->n_room) {
        int64_t room = values->n_room ? values->n_room * 2 : 4;
        struct bytes *grown = arena_grow(request->job->arena, values->spans, (size_t)values->n_room * sizeof *grown,
                                         (size_t)room * sizeof *grown);
        if (!grown)
            return err_memory(request->err, "a request's list of values", (size_t)room * sizeof *grown);
        values->spans = grown;
        values->n_room = room;
    }
    values->spans[values->n++] = span;
    return true;
}

static bool refuse_input(const struct request *request, struct bytes name)
{
    return err_set(request->err, ERR_INVALID, "unexpected inference input '" BYTES_FMT "' for model '%s'",
                   BYTES_ARG(name), request->model);
}

/* Each input so often as there are rows by now. */
static bool all_given(const struct request *request, int64_t n)
{
    for (int i = 0; i < request->n_io; i++)
        if (codec_is_body(request->job, i) && request->values[i].n != n &&
            (request->values[i].n || codec_is_needed(request->job, i)))
            return err_set(request->err, ERR_INVALID, "input '%s' of model '%s' is missing%s", request->io[i].name,
                           request->model, request->by_rows ? " in an instance" : "");
    return true;
}

static bool read_named(struct request *request, struct json *json, int64_t n)
{
    struct json_keys keys = {0};
    struct bytes key, span;
    if (!json_open(json, '{'))
        return false;
    while (json_key(json, &keys, &key)) {
        int input = find_input(request, key);
        if (input < 0)
            return refuse_input(request, key);
        if (!json_spend(json, request->n_io) || !skip_value(json, &span) || !add_span(request, input, span))
            return false;
    }
    return !json->failed && all_given(request, n);
}

/* A value by itself is the only input's. */
static bool read_only(struct request *request, struct bytes span)
{
    int input = codec_body_input(request->job);
    if (input >= 0)
        return add_span(request, input, span);
    return err_set(request->err, ERR_INVALID, "model '%s' has %d inputs: values are sent by name, as in {\"%s\": ...}",
                   request->model, request->n_body, request->n_io ? request->io[0].name : "");
}

static bool read_inputs(struct request *request)
{
    struct json json = cursor(request, request->inputs);
    if (json_peek(&json) == '{' && !is_base64(request, &json))
        return read_named(request, &json, 1);
    return read_only(request, request->inputs);
}

static int64_t rows_max(const struct job *job)
{
    return served_has_batch(job->served) ? job->served->max_batch_size : ROWS_MAX;
}

static bool read_instances(struct request *request)
{
    struct json json = cursor(request, request->instances);
    int64_t n = 0;
    if (json_peek(&json) != '[')
        return json_fail(&json, "expected a list as 'instances'");
    json.at++;
    if (json_peek(&json) == ']')
        return json_fail(&json, "no value in 'instances'");
    if (json_peek(&json) != '{' || is_base64(request, &json))
        return read_only(request, request->instances);
    request->by_rows = true;
    json.at = request->instances.at;
    if (!json_open(&json, '['))
        return false;
    while (json_item(&json, &n)) {
        if (n > rows_max(request->job))
            return err_set(request->err, ERR_INVALID, "inference request batch-size must be <= %lld for '%s'",
                           (long long)rows_max(request->job), request->model);
        if (!read_named(request, &json, n))
            return false;
    }
    request->job->n_rows = n;
    return !json.failed;
}

/* --- shapes ------------------------------------------------------------------------------------------------------- */

static bool uneven(struct json *json)
{
    return json_fail(json, "lists of one level differ in length or depth");
}

static bool end_at(struct json *json, struct nest *nest, int depth)
{
    if (nest->rank < 0)
        nest->rank = depth;
    return nest->rank == depth || uneven(json);
}

static bool measure(struct json *json, struct nest *nest, int depth);

/* What stands between the brackets; the first of them is passed. */
static bool measure_list(struct json *json, struct nest *nest, int depth, int64_t *n)
{
    char text[24];
    *n = 0;
    if (json_peek(json) == ']') {
        json->at++;
        return end_at(json, nest, depth + 1);
    }
    for (;;) {
        if (!measure(json, nest, depth + 1) || !json_spend(json, 1))
            return false;
        ++*n;
        uint8_t c = json_peek(json);
        if (c != ',' && c != ']')
            return json_fail(json, "expected ',' or ']', found %s", json_found(json, text));
        json->at++;
        if (c == ']')
            return true;
    }
}

static bool measure(struct json *json, struct nest *nest, int depth)
{
    uint8_t c = json_peek(json);
    int64_t n;
    if (c != '[')
        return (c == '"' || c == '{' ? json_skip(json) : skip_word(json)) && end_at(json, nest, depth);
    if (depth == PERCEPT_RANK_MAX)
        return json_fail(json, "lists nested deeper than %d", PERCEPT_RANK_MAX);
    json->at++;
    if (!measure_list(json, nest, depth, &n))
        return false;
    if (nest->dims[depth] < 0)
        nest->dims[depth] = n;
    return nest->dims[depth] == n || uneven(json);
}

/* All values of an input: their nesting is one. */
static bool measure_all(const struct request *request, const struct values *values, struct nest *nest)
{
    *nest = (struct nest){.rank = -1};
    for (int i = 0; i < PERCEPT_RANK_MAX; i++)
        nest->dims[i] = -1;
    for (int64_t i = 0; i < values->n; i++) {
        struct json json = cursor(request, values->spans[i]);
        if (!measure(&json, nest, 0))
            return false;
    }
    return true;
}

/* With the rows in front. */
static bool shape_of(const struct request *request, const struct values *values, const char *name,
                     struct percept_tensor *tensor)
{
    struct nest nest;
    if (!measure_all(request, values, &nest))
        return err_prefix(request->err, "input '%s': ", name);
    int more = request->by_rows;
    if (nest.rank + more > PERCEPT_RANK_MAX)
        return err_set(request->err, ERR_INVALID, "input '%s': lists nested deeper than %d", name, PERCEPT_RANK_MAX);
    tensor->rank = nest.rank + more;
    tensor->dims[0] = values->n;
    for (int i = 0; i < nest.rank; i++)
        tensor->dims[i + more] = nest.dims[i];
    return true;
}

/* --- elements ----------------------------------------------------------------------------------------------------- */

struct sink {
    struct percept_string *to;
    int64_t i, n;
};

static bool read_base64(struct json *json, struct percept_string *to)
{
    struct json_keys keys = {0};
    struct bytes key, text;
    if (!json_open(json, '{') || !json_key(json, &keys, &key))
        return json_fail(json, "an object that is not {\"b64\": ...}");
    if (!bytes_is(key, "b64") || !json_text(json, "a string as 'b64'", &text) || json_key(json, &keys, &key))
        return json_fail(json, "an object that is not {\"b64\": ...}");
    uint8_t *plain = arena_alloc(json->arena, BASE64_READ_MAX(bytes_size(text)));
    size_t n_bytes;
    if (!plain)
        return err_memory(json->err, "a text in base64", bytes_size(text));
    if (!codec_parts_base64(text, plain, &n_bytes, json->watch))
        return watch_over(json->watch) ? watch_refuse(json->watch, json->err)
                                       : json_fail(json, "a string as 'b64' that is not base64");
    *to = (struct percept_string){.at = (const char *)plain, .n_bytes = n_bytes};
    return !json->failed;
}

static bool read_texts(struct json *json, struct sink *sink)
{
    uint8_t c = json_peek(json);
    int64_t n = 0;
    struct bytes text;
    if (c == '[') {
        json_open(json, '[');
        while (json_item(json, &n))
            if (!read_texts(json, sink))
                return false;
        return !json->failed;
    }
    if (sink->i == sink->n)
        return json_fail(json, "more texts than were counted");
    struct percept_string *to = &sink->to[sink->i++];
    if (c == '{')
        return read_base64(json, to);
    if (!json_text(json, "a string or {\"b64\": ...}", &text))
        return false;
    *to = (struct percept_string){.at = (const char *)text.at, .n_bytes = bytes_size(text)};
    return true;
}

static bool fill_texts(struct request *request, const struct values *values, const char *name,
                       struct percept_tensor *tensor, int64_t n)
{
    if (!codec_parts_reserve(request->job, name, tensor, n, request->err))
        return false;
    struct sink sink = {.to = tensor->data, .n = n};
    for (int64_t i = 0; i < values->n; i++) {
        struct json json = cursor(request, values->spans[i]);
        if (!read_texts(&json, &sink))
            return err_prefix(request->err, "input '%s': ", name);
    }
    return true;
}

/* A scalar is read up to what ends it, which is in the body: a value stands between brackets. */
static struct bytes readable(struct bytes span)
{
    if (*span.at != '[')
        span.end++;
    return span;
}

static bool fill_numbers(struct request *request, const struct values *values, const char *name,
                         struct percept_tensor *tensor, int64_t n)
{
    struct job *job = request->job;
    if (values->n == 1)
        return codec_elements_read(job, readable(values->spans[0]), name, tensor, n, request->err);
    if (!codec_parts_reserve(job, name, tensor, n, request->err))
        return false;
    size_t row_bytes = (size_t)(n / values->n) * percept_dtype_bytes(tensor->dtype);
    for (int64_t i = 0; i < values->n; i++) {
        struct percept_tensor row = {.dtype = tensor->dtype};
        if (!codec_elements_read(job, readable(values->spans[i]), name, &row, n / values->n, request->err))
            return false;
        if (!watch_copy(&job->watch, (char *)tensor->data + (size_t)i * row_bytes, row.data, row_bytes))
            return watch_refuse(&job->watch, request->err);
    }
    return true;
}

static bool fill_described(struct request *request, int input, const struct manifest_input *described,
                           const struct values *values, int64_t n)
{
    struct percept_tensor texts = {.dtype = PERCEPT_STRING};
    return fill_texts(request, values, request->io[input].name, &texts, n) &&
           codec_parts_fill(request->job, input, described, texts.data, n, request->err);
}

/* Texts or files where numbers are meant: the first element is a string. */
static bool is_text(const struct request *request, const struct values *values)
{
    struct json json = cursor(request, values->spans[0]);
    while (json_peek(&json) == '[')
        json.at++;
    uint8_t c = json_peek(&json);
    return c == '"' || c == '{';
}

static bool fill(struct request *request, int input)
{
    struct job *job = request->job;
    const struct values *values = &request->values[input];
    const struct percept_io *io = &request->io[input];
    struct percept_tensor tensor = {.dtype = io->dtype};
    int64_t n;
    if (!shape_of(request, values, io->name, &tensor))
        return false;
    if (!codec_count(tensor.rank, tensor.dims, &n))
        return err_set(request->err, ERR_INVALID, "input '%s' has too many elements", io->name);
    if (request->has_instances && !request->by_rows)
        job->n_rows = tensor.dims[0];
    const struct manifest_input *described = codec_parts_described(job, input);
    if (described && is_text(request, values))
        return fill_described(request, input, described, values, n);
    if (tensor.dtype == PERCEPT_FLOAT16 || tensor.dtype == PERCEPT_BFLOAT16)
        return err_set(request->err, ERR_INVALID,
                       "receiving %s data via JSON is not supported. Please use the binary data format of V2 for "
                       "input %s",
                       codec_datatype(tensor.dtype), io->name);
    if (!codec_accept(job, input, &tensor, request->err))
        return false;
    return tensor.dtype == PERCEPT_STRING ? fill_texts(request, values, io->name, &job->inputs[input], n)
                                          : fill_numbers(request, values, io->name, &job->inputs[input], n);
}

/* --- the whole ---------------------------------------------------------------------------------------------------- */

static bool lies_in_front(const struct percept_io *ios, int n)
{
    for (int i = 0; i < n; i++)
        if (ios[i].batch_axis != 0)
            return false;
    return true;
}

/* Rows are items, which must come first everywhere. */
static bool takes_rows(const struct request *request)
{
    const struct served *served = request->job->served;
    int n;
    const struct percept_io *outputs = served_outputs(served, &n);
    if (!request->has_instances || !served_has_batch(served) ||
        (lies_in_front(request->io, request->n_io) && lies_in_front(outputs, n)))
        return true;
    return err_set(request->err, ERR_INVALID,
                   "the batch of model '%s' is not its first axis, so it takes no 'instances'; send whole tensors as "
                   "'inputs'",
                   request->model);
}

static bool begin(struct request *request)
{
    struct job *job = request->job;
    request->model = job->served->name;
    request->io = served_inputs(job->served, &request->n_io);
    request->values = arena_array(job->arena, (size_t)request->n_io + 1, sizeof *request->values);
    if (!request->values)
        return err_memory(request->err, "a request's list of inputs", (size_t)request->n_io);
    for (int i = 0; i < request->n_io; i++)
        request->n_body += codec_is_needed(job, i);
    return true;
}

bool codec_v1_decode(struct job *job, struct percept_err *err)
{
    struct request request = {.job = job, .err = err};
    if (utf8_is_wide(job->body))
        return err_set(err, ERR_INVALID,
                       "failed to parse the request JSON: it is UTF-16 or UTF-32; JSON is sent as UTF-8");
    if (!begin(&request) || !read_body(&request) || !has_signature(&request) || !takes_rows(&request) ||
        !(request.has_instances ? read_instances(&request) : read_inputs(&request)) || !codec_begin(job, false, err))
        return false;
    for (int i = 0; i < request.n_io; i++)
        if (request.values[i].n && !fill(&request, i))
            return false;
    return true;
}
