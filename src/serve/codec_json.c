/*
 * codec_json.c - the body of a V2 infer request, in two passes and without a tree.
 *
 * The first pass walks the JSON once, in whatever order its members come, and notes names, shapes
 * and where each `data` lies. The second judges what was found against the model, in the protocol's
 * words, and only then reads elements, straight into tensors of the right size: no request can make
 * the server reserve memory for a tensor that the model would refuse or the body does not hold.
 *
 * A member that is null is as if left out: that is how clients' libraries write what was not set.
 *
 * Runs on any thread; touches its job alone.
 */
#include "base/base64.h"
#include "base/err.h"
#include "base/utf8.h"
#include "serve/codec_parts.h"
#include "serve/json.h"

#include <stdio.h>

#define LISTED_MAX 64 /* times as many inputs or outputs may be listed as the model has */

struct output {
    struct bytes name;
    bool binary;
    uint64_t classification;
    struct codec_place place;
};

/* A request while it is being read. */
struct request {
    struct job *job;
    struct json json;
    struct codec_input *inputs;
    int n_inputs, n_inputs_room;
    struct output *outputs;
    int n_outputs, n_outputs_room;
    bool has_inputs;
    bool binary_data_output;
    struct percept_err *err;
};

static bool refuse(struct request *request, enum err_code code, struct bytes key, const char *why)
{
    request->json.failed = true;
    return err_set(request->err, code, "parameter '" BYTES_FMT "': %s", BYTES_ARG(key), why);
}

/* Appends a zeroed entry to a list that may grow up to n_max. */
static void *append(struct request *request, void **list, int *n, int *n_room, size_t size, int n_max)
{
    if (*n >= n_max) {
        request->json.failed = true;
        return err_null(request->err, ERR_INVALID, "more than %d tensors are listed for model '%s'", n_max,
                        request->job->served->name);
    }
    if (*n == *n_room) {
        int room = *n_room ? *n_room * 2 : 4;
        void *grown = arena_grow(request->job->arena, *list, (size_t)*n_room * size, (size_t)room * size);
        if (!grown) {
            request->json.failed = true;
            err_memory(request->err, "a request's list of tensors", (size_t)room * size);
            return NULL;
        }
        *list = grown;
        *n_room = room;
    }
    return (char *)*list + (size_t)(*n)++ * size;
}

/* --- first pass --------------------------------------------------------------------------------------------------- */

static bool read_shape(struct json *json, struct codec_input *input)
{
    int64_t n = 0;
    input->rank = 0;
    if (!json_open(json, '['))
        return false;
    while (json_item(json, &n)) {
        if (n > PERCEPT_RANK_MAX)
            return json_fail(json, "'shape' has more than %d axes", PERCEPT_RANK_MAX);
        uint64_t dim;
        if (json_peek(json) == '-')
            return json_fail(json, "Unable to parse 'shape': attempt to access JSON "
                                   "non-unsigned-integer as unsigned-integer");
        if (!json_uint(json, "a whole number in 'shape'", &dim))
            return false;
        if (dim > INT64_MAX)
            return json_fail(json, "'shape' causes total element count to exceed maximum size of %lld",
                             (long long)INT64_MAX);
        input->dims[n - 1] = (int64_t)dim;
        input->rank = (int)n;
    }
    return !json->failed;
}

static bool read_place(struct request *request, struct bytes key, struct codec_place *place)
{
    if (!request->job->memory)
        return refuse(request, ERR_UNSUPPORTED, key, CLIENT_SHM_DISABLED);
    return codec_memory_parameter(&request->json, key, place);
}

/* Others than base64 say how a client's library sees the tensor, which is of no account here. */
static bool read_content_type(struct json *json, struct codec_input *input)
{
    struct bytes type;
    if (!json_text(json, "a string as 'content_type'", &type))
        return false;
    input->base64 = bytes_is(type, "base64");
    return true;
}

static bool read_input_parameters(struct request *request, struct codec_input *input)
{
    struct json *json = &request->json;
    struct json_keys keys = {0};
    struct bytes key;
    if (!json_open(json, '{'))
        return false;
    while (json_member(json, &keys, &key)) {
        if (codec_memory_is(key))
            read_place(request, key, &input->place);
        else if (bytes_is(key, "content_type") && json_peek(json) == '"')
            read_content_type(json, input);
        else if (bytes_is(key, "binary_data_size"))
            input->has_binary = json_uint(json, "a whole number of bytes", &input->binary_bytes);
        else
            json_skip(json);
    }
    return !json->failed;
}

static bool read_input(struct request *request)
{
    struct json *json = &request->json;
    int n_model;
    served_own_inputs(request->job->served, &n_model);
    struct codec_input *input = append(request, (void **)&request->inputs, &request->n_inputs, &request->n_inputs_room,
                                       sizeof *input, n_model * LISTED_MAX);
    if (!input || !json_open(json, '{'))
        return false;
    *input = (struct codec_input){.rank = -1, .index = -1};
    struct json_keys keys = {0};
    struct bytes key;
    while (json_member(json, &keys, &key)) {
        if (bytes_is(key, "name"))
            json_text(json, "a string as an input's 'name'", &input->name);
        else if (bytes_is(key, "datatype"))
            json_text(json, "a string as an input's 'datatype'", &input->datatype);
        else if (bytes_is(key, "shape"))
            read_shape(json, input);
        else if (bytes_is(key, "data"))
            input->has_data = json_skip_data(json, &input->data);
        else if (bytes_is(key, "parameters"))
            read_input_parameters(request, input);
        else
            json_skip(json);
    }
    if (!json->failed && !bytes_size(input->name))
        return json_fail(json, "an input without a 'name'");
    return !json->failed;
}

static bool read_output_parameters(struct request *request, struct output *output)
{
    struct json *json = &request->json;
    struct json_keys keys = {0};
    struct bytes key;
    if (!json_open(json, '{'))
        return false;
    while (json_member(json, &keys, &key)) {
        if (codec_memory_is(key))
            read_place(request, key, &output->place);
        else if (bytes_is(key, "binary_data"))
            json_bool(json, "true or false as 'binary_data'", &output->binary);
        else if (bytes_is(key, "classification"))
            json_uint(json, "a whole number as 'classification'", &output->classification);
        else
            json_skip(json);
    }
    return !json->failed;
}

static bool read_output(struct request *request)
{
    struct json *json = &request->json;
    int n_model;
    served_own_outputs(request->job->served, &n_model);
    struct output *output = append(request, (void **)&request->outputs, &request->n_outputs, &request->n_outputs_room,
                                   sizeof *output, n_model * LISTED_MAX);
    if (!output || !json_open(json, '{'))
        return false;
    *output = (struct output){0};
    struct json_keys keys = {0};
    struct bytes key;
    while (json_member(json, &keys, &key)) {
        if (bytes_is(key, "name"))
            json_text(json, "a string as an output's 'name'", &output->name);
        else if (bytes_is(key, "parameters"))
            read_output_parameters(request, output);
        else
            json_skip(json);
    }
    if (!json->failed && !bytes_size(output->name))
        return json_fail(json, "an output without a 'name'");
    return !json->failed;
}

static bool read_list(struct request *request, bool (*read)(struct request *request))
{
    int64_t n = 0;
    if (!json_open(&request->json, '['))
        return false;
    while (json_item(&request->json, &n))
        if (!read(request))
            return false;
    return !request->json.failed;
}

/* A number or a text; 0 and "" mean that there is no sequence. */
static bool read_sequence_id(struct request *request)
{
    struct job_sequence *sequence = &request->job->sequence;
    if (json_peek(&request->json) == '"') {
        if (!json_text(&request->json, "an id", &sequence->text))
            return false;
    } else if (!json_uint(&request->json, "a whole number or a string as 'sequence_id'", &sequence->number)) {
        return false;
    }
    sequence->asked = sequence->number || bytes_size(sequence->text);
    return true;
}

/* Levels that are not there are the default one. */
static bool read_priority(struct request *request)
{
    uint64_t priority;
    if (!json_uint(&request->json, "a whole number as 'priority'", &priority))
        return false;
    request->job->priority = priority <= JOB_PRIORITIES ? (int)priority : 0;
    return true;
}

static bool read_masks(struct request *request, struct bytes key)
{
    struct bytes word;
    if (!json_text(&request->json, "\"rle\" or \"polygon\" as 'masks'", &word))
        return false;
    return job_read_masks(word, &request->job->masks) ||
           refuse(request, ERR_INVALID, key, "it is \"rle\" or \"polygon\"");
}

static bool read_parameter(struct request *request, struct bytes key)
{
    struct json *json = &request->json;
    uint64_t timeout;
    if (bytes_begin_text(key, "triton_"))
        return refuse(request, ERR_INVALID, key, "names that start with 'triton_' are reserved");
    if (bytes_is(key, "sequence_id"))
        return read_sequence_id(request);
    if (bytes_is(key, "sequence_start"))
        return json_bool(json, "true or false as 'sequence_start'", &request->job->sequence.start);
    if (bytes_is(key, "sequence_end"))
        return json_bool(json, "true or false as 'sequence_end'", &request->job->sequence.end);
    if (bytes_is(key, "binary_data_output"))
        return json_bool(json, "true or false as 'binary_data_output'", &request->binary_data_output);
    if (bytes_is(key, "predictions"))
        return json_bool(json, "true or false as 'predictions'", &request->job->predictions);
    if (bytes_is(key, "masks"))
        return read_masks(request, key);
    if (bytes_is(key, "priority"))
        return read_priority(request);
    if (!bytes_is(key, "timeout"))
        return json_skip(json);
    if (!json_uint(json, "a whole number of microseconds as 'timeout'", &timeout))
        return false;
    const int64_t most = INT64_MAX / 4000; /* still fits when counted in ns and added to a clock */
    request->job->timeout_us = timeout > (uint64_t)most ? most : (int64_t)timeout;
    if (request->job->watch.cancel) /* a worker's: the rest of the decoding keeps to it as well */
        job_set_deadline(request->job);
    return true;
}

static bool read_parameters(struct request *request)
{
    struct json_keys keys = {0};
    struct bytes key;
    if (!json_open(&request->json, '{'))
        return false;
    while (json_member(&request->json, &keys, &key))
        if (!read_parameter(request, key))
            return false;
    return !request->json.failed;
}

static bool read_body(struct request *request)
{
    struct json *json = &request->json;
    struct job *job = request->job;
    struct json_keys keys = {0};
    struct bytes key;
    if (!json_open(json, '{'))
        return false;
    while (json_member(json, &keys, &key)) {
        if (bytes_is(key, "id"))
            job->has_id = json_text(json, "a string as 'id'", &job->id);
        else if (bytes_is(key, "parameters"))
            read_parameters(request);
        else if (bytes_is(key, "inputs"))
            request->has_inputs = read_list(request, read_input);
        else if (bytes_is(key, "outputs"))
            read_list(request, read_output);
        else
            json_skip(json);
    }
    if (!json->failed && !request->has_inputs)
        return json_fail(json, "no 'inputs', the list of input tensors,");
    return json_finish(json);
}

/* --- second pass -------------------------------------------------------------------------------------------------- */

static int find_io(const struct percept_io *ios, int n, struct bytes name)
{
    for (int i = 0; i < n; i++)
        if (bytes_is(name, ios[i].name))
            return i;
    return -1;
}

/* "a, b": what the model has, as many as there is room for. */
struct known {
    char text[160];
};

static struct known known_names(const struct percept_io *io, int n)
{
    struct known known = {""};
    size_t used = 0;
    for (int i = 0; i < n && used < sizeof known.text; i++)
        used += (size_t)snprintf(known.text + used, sizeof known.text - used, "%s%s", i ? ", " : "", io[i].name);
    return known;
}

/* "'a','b'" of the inputs listed, or of the model's that are not. */
static void list_names(const struct request *request, bool missing, char *to, size_t n_bytes)
{
    int n_model;
    const struct percept_io *io = served_own_inputs(request->job->served, &n_model);
    int n = missing ? n_model : request->n_inputs;
    size_t used = 0;
    *to = '\0';
    for (int i = 0; i < n && used < n_bytes; i++) {
        bool listed = false;
        for (int k = 0; k < request->n_inputs; k++)
            listed |= request->inputs[k].index == i;
        if (missing && (listed || !codec_is_needed(request->job, i)))
            continue;
        struct bytes name = missing ? bytes_of_text(io[i].name) : request->inputs[i].name;
        used += (size_t)snprintf(to + used, n_bytes - used, "%s'" BYTES_FMT "'", used ? "," : "", BYTES_ARG(name));
    }
}

/* Names known, and each once; the first that is not of the body's is in *unexpected. */
static bool find_inputs(struct request *request, const struct percept_io *io, int n_model,
                        const struct codec_input **unexpected)
{
    for (int i = 0; i < request->n_inputs; i++) {
        struct codec_input *input = &request->inputs[i];
        input->index = find_io(io, n_model, input->name);
        if (!*unexpected && (input->index < 0 || !codec_may_bring(request->job, input->index)))
            *unexpected = input;
        if (!json_spend(&request->json, i + n_model))
            return false;
        for (int k = 0; k < i; k++)
            if (bytes_equal(request->inputs[k].name, input->name))
                return err_set(request->err, ERR_INVALID, "input '" BYTES_FMT "' already exists in request",
                               BYTES_ARG(input->name));
    }
    return true;
}

static bool refuse_missing(struct request *request, int n_body)
{
    char got[160], missing[160];
    list_names(request, false, got, sizeof got);
    list_names(request, true, missing, sizeof missing);
    return err_set(request->err, ERR_INVALID,
                   "expected %d inputs but got %d inputs for model '%s'. Got input(s) [%s], but "
                   "missing required input(s) [%s]. Please provide all required input(s).",
                   n_body, request->n_inputs, request->job->served->name, got, missing);
}

static bool match_inputs(struct request *request)
{
    int n_model, n_body = 0, n_brought = 0;
    const struct percept_io *io = served_own_inputs(request->job->served, &n_model);
    const struct codec_input *unexpected = NULL;
    if (!find_inputs(request, io, n_model, &unexpected))
        return false;
    for (int i = 0; i < n_model; i++)
        n_body += codec_is_needed(request->job, i);
    for (int i = 0; i < request->n_inputs; i++)
        n_brought += request->inputs[i].index >= 0 && codec_is_needed(request->job, request->inputs[i].index);
    if (request->n_inputs < n_body || (n_brought < n_body && !unexpected))
        return refuse_missing(request, n_body);
    if (unexpected)
        return err_set(request->err, ERR_INVALID,
                       "unexpected inference input '" BYTES_FMT "' for model '%s'; it has %s",
                       BYTES_ARG(unexpected->name), request->job->served->name, known_names(io, n_model).text);
    return true;
}

static bool check_source(struct request *request, struct codec_input *input, struct bytes tail)
{
    const bool in_memory = input->place.named;
    if (!input->has_data && !input->has_binary && !in_memory && request->n_inputs == 1 && bytes_size(tail)) {
        input->has_binary = true; /* the rest of the body can only be this input's */
        input->binary_bytes = bytes_size(tail);
    }
    if (input->has_data + input->has_binary + in_memory == 1)
        return true;
    return err_set(request->err, ERR_INVALID,
                   "Input must set only one of the following fields: 'data', 'binary_data_size' in "
                   "'parameters', 'shared_memory_region' in 'parameters'. But %s%s%s%s",
                   input->has_data || input->has_binary ? "set" : "no field is set", input->has_data ? " 'data'" : "",
                   input->has_binary ? " 'binary_data_size'" : "", in_memory ? " 'shared_memory_region'" : "");
}

/* The description of an input that was sent as strings, where the network takes numbers; else NULL. */
static const struct manifest_input *described(const struct request *request, const struct codec_input *input)
{
    return bytes_is(input->datatype, "BYTES") ? codec_parts_described(request->job, input->index) : NULL;
}

/* Datatype and shape, as a tensor without elements yet. */
static bool accept(struct request *request, const struct codec_input *input, int64_t *n)
{
    int n_model;
    const char *name = served_own_inputs(request->job->served, &n_model)[input->index].name;
    struct percept_tensor tensor = {.dtype = codec_dtype(input->datatype), .rank = input->rank};
    if (tensor.dtype == PERCEPT_UNDEFINED)
        return err_set(request->err, ERR_INVALID,
                       bytes_size(input->datatype) ? "input '%s': datatype '" BYTES_FMT
                                                     "' is not one of V2's, such as FP32"
                                                   : "input '%s': no 'datatype'" BYTES_FMT,
                       name, BYTES_ARG(input->datatype));
    if (input->rank < 0)
        return err_set(request->err, ERR_INVALID, "input '%s': no 'shape'", name);
    for (int i = 0; i < input->rank; i++)
        tensor.dims[i] = input->dims[i];
    if (!codec_count(tensor.rank, tensor.dims, n))
        return err_set(request->err, ERR_INVALID,
                       "shape of input '%s' causes total element count to exceed maximum size of %lld", name,
                       (long long)INT64_MAX);
    /* Texts and pictures are judged once they are numbers. */
    return described(request, input) || codec_accept(request->job, input->index, &tensor, request->err);
}

/* Strings in base64 become what they stand for, in place. */
static bool decode_texts(struct request *request, const char *name, const struct percept_tensor *texts, int64_t n)
{
    struct percept_string *text = texts->data;
    for (int64_t i = 0; i < n; i++, text++) {
        uint8_t *plain = arena_alloc(request->job->arena, BASE64_READ_MAX(text->n_bytes));
        if (!plain)
            return err_memory(request->err, "a text in base64", text->n_bytes);
        struct watch *watch = &request->job->watch;
        size_t n_bytes;
        if (!codec_parts_base64(bytes_of(text->at, text->n_bytes), plain, &n_bytes, watch))
            return watch_over(watch) ? watch_refuse(watch, request->err)
                                     : err_set(request->err, ERR_INVALID,
                                               "input '%s': element %lld is not base64, which its 'content_type' says",
                                               name, (long long)i);
        *text = (struct percept_string){.at = (const char *)plain, .n_bytes = n_bytes};
    }
    return true;
}

static bool read_texts(struct request *request, const struct codec_input *input, const char *name,
                       struct percept_tensor *texts, int64_t n)
{
    bool ok = input->has_binary ? codec_binary_read(request->job, input->binary, name, texts, n, request->err)
                                : codec_elements_read(request->job, input->data, name, texts, n, request->err);
    return ok && (!input->base64 || decode_texts(request, name, texts, n));
}

static bool fill_described(struct request *request, const struct codec_input *input, const struct manifest_input *what,
                           const char *name, int64_t n)
{
    struct percept_tensor texts = {.dtype = PERCEPT_STRING};
    if (!read_texts(request, input, name, &texts, n))
        return false;
    if (codec_parts_fill(request->job, input->index, what, texts.data, n, request->err))
        return true;
    size_t used = strlen(request->err->text);
    if (request->err->code == ERR_MEDIA_TYPE && !input->has_binary && !input->base64)
        snprintf(request->err->text + used, sizeof request->err->text - used,
                 "; in JSON a picture is base64, which \"parameters\":{\"content_type\":\"base64\"} of the input says");
    return false;
}

static bool fill(struct request *request, struct codec_input *input, int64_t n)
{
    struct job *job = request->job;
    struct percept_tensor *tensor = &job->inputs[input->index];
    int n_model;
    const char *name = served_own_inputs(job->served, &n_model)[input->index].name;
    const struct manifest_input *what = described(request, input);
    if (input->place.named) {
        if (!codec_memory_read(job, &input->place, name, &input->binary, request->err))
            return false;
        input->has_binary = true;
    }
    if (what)
        return fill_described(request, input, what, name, n);
    if (tensor->dtype == PERCEPT_STRING)
        return read_texts(request, input, name, tensor, n);
    if (input->has_binary)
        return codec_binary_read(job, input->binary, name, tensor, n, request->err);
    if (tensor->dtype == PERCEPT_FLOAT16 || tensor->dtype == PERCEPT_BFLOAT16)
        return err_set(request->err, ERR_INVALID,
                       "receiving %s data via JSON is not supported. Please use the binary data format "
                       "for input %s",
                       codec_datatype(tensor->dtype), name);
    return codec_elements_read(job, input->data, name, tensor, n, request->err);
}

static bool place_output(struct request *request, const struct output *output, const char *name,
                         struct job_output *taken)
{
    if (output->binary || output->classification)
        return err_set(request->err, ERR_INVALID,
                       "output '%s': 'shared_memory_region' goes neither with 'binary_data' nor with 'classification'",
                       name);
    taken->memory = codec_memory_find(request->job, &output->place, name, request->err);
    taken->memory_offset = output->place.offset;
    taken->memory_bytes = output->place.n_bytes;
    return taken->memory != NULL;
}

static bool take_outputs(struct request *request)
{
    struct job *job = request->job;
    int n_model;
    const struct percept_io *io = served_own_outputs(job->served, &n_model);
    if (request->n_outputs == 0)
        return true;
    job->n_outputs = 0;
    for (int i = 0; i < request->n_outputs; i++) {
        const struct output *output = &request->outputs[i];
        int index = find_io(io, n_model, output->name);
        if (index < 0)
            return err_set(request->err, ERR_INVALID,
                           "unexpected inference output '" BYTES_FMT "' for model '%s'; it has %s",
                           BYTES_ARG(output->name), job->served->name, known_names(io, n_model).text);
        for (int k = 0; k < job->n_outputs; k++)
            if (job->outputs[k].index == index)
                return err_set(request->err, ERR_INVALID, "output '%s' already requested", io[index].name);
        int most = output->classification > INT32_MAX ? INT32_MAX : (int)output->classification;
        struct job_output *taken = &job->outputs[job->n_outputs++];
        *taken = (struct job_output){.index = index, .binary = output->binary, .classification = most};
        if (output->place.named && !place_output(request, output, io[index].name, taken))
            return false;
    }
    return true;
}

static bool judge(struct request *request, struct bytes tail)
{
    if (!codec_begin(request->job, request->binary_data_output, request->err) || !match_inputs(request))
        return false;
    int64_t n;
    for (int i = 0; i < request->n_inputs; i++)
        if (!check_source(request, &request->inputs[i], tail) || !accept(request, &request->inputs[i], &n))
            return false;
    if (!take_outputs(request) ||
        !codec_binary_slice(request->job, request->inputs, request->n_inputs, tail, request->err))
        return false;
    for (int i = 0; i < request->n_inputs; i++) {
        struct codec_input *input = &request->inputs[i];
        if (!codec_count(input->rank, input->dims, &n) || !fill(request, input, n))
            return false;
    }
    return true;
}

/* Posting a file without saying what it is is the commonest mistake: tell what would work. */
static bool hint(const struct job *job, struct bytes body, struct percept_err *err)
{
    enum manifest_kind kind = codec_kind(job->served);
    while (body.at < body.end && (*body.at == ' ' || (*body.at >= '\t' && *body.at <= '\r')))
        body.at++;
    if (body.at == body.end || *body.at == '{' || err->code != ERR_INVALID)
        return false;
    size_t used = strlen(err->text);
    if (kind == MANIFEST_IMAGE)
        snprintf(err->text + used, sizeof err->text - used,
                 "; a picture is sent with the header Content-Type: image/png or image/jpeg");
    if (kind == MANIFEST_AUDIO)
        snprintf(err->text + used, sizeof err->text - used,
                 "; a sound is sent with the header Content-Type: audio/wav or that of another format");
    if (kind == MANIFEST_TEXT)
        snprintf(err->text + used, sizeof err->text - used,
                 "; a text is sent with the header Content-Type: text/plain");
    return false;
}

bool codec_json_decode(struct job *job, struct percept_err *err)
{
    job->predictions = true;
    if (job->json_bytes == 0)
        return codec_binary_raw(job, err);
    size_t size = bytes_size(job->body);
    if (job->json_bytes < -1 || job->json_bytes > (int64_t)size)
        return err_set(err, ERR_INVALID, "inference header size should be in range (0, %zu), got: %lld", size,
                       (long long)job->json_bytes);
    struct bytes body = job->body, tail = {body.end, body.end};
    if (job->json_bytes > 0)
        body.end = tail.at = body.at + job->json_bytes;
    if (utf8_is_wide(body) || (bytes_size(body) > 1 && (!body.at[0] || !body.at[1])))
        return err_set(err, ERR_INVALID,
                       "failed to parse the request JSON: it is UTF-16 or UTF-32; JSON is sent as UTF-8");
    struct request request = {.job = job, .json = json_of(body, job->arena, err), .err = err};
    request.json.watch = &job->watch;
    if (!read_body(&request))
        return hint(job, body, err);
    if (judge(&request, tail))
        return true;
    struct bytes id = job->has_id ? job->id : bytes_of_text("<id_unknown>");
    return err_prefix(err, "[request id: " BYTES_FMT "] ", BYTES_ARG(id));
}
