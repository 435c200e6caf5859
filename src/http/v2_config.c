/*
 * v2_config.c - the model configuration extension: GET /v2/models/NAME[/versions/N]/config.
 *
 * The reply is the JSON that Triton prints of its ModelConfig: its names, snake_case, with the defaults present and
 * 64-bit numbers as numbers. Its readers (perf_analyzer, clients that make a picture for an input) take from it the
 * inputs and outputs, max_batch_size, how requests are scheduled, the steps of an ensemble. What is said is what holds:
 * types and dims are the network's, limits those of its queue, the format of a picture the manifest's. Fields for what
 * is not here (GPUs, caches) have the value that says so, or are left out where their presence says that they are.
 *
 * max_batch_size > 0 means there that the batch comes first in every tensor, and dims are without it. A network whose
 * batch lies elsewhere has 0 and all of its dims; its requests are joined all the same, and the tensor's own
 * batch_axis is in the model's metadata. Thread: the loop.
 */
#include "http/exchange.h"
#include "http/routes.h"
#include "serve/staged.h"
#include "serve/codec.h"
#include "serve/lane.h"
#include "serve/states.h"

#include <inttypes.h>

static bool all_in_front(const struct percept_io *ios, int n)
{
    for (int i = 0; i < n; i++)
        if (ios[i].batch_axis != 0)
            return false;
    return true;
}

static bool batch_in_front(const struct served *served)
{
    int n_inputs, n_outputs;
    const struct percept_io *inputs = served_inputs(served, &n_inputs), *outputs = served_outputs(served, &n_outputs);
    return served_has_batch(served) && all_in_front(inputs, n_inputs) && all_in_front(outputs, n_outputs);
}

/* What config.pbtxt declares of an input or output; NULL: nothing. */
static const struct manifest_io *declared(const struct manifest_io *ios, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (strcmp(ios[i].name, name) == 0)
            return &ios[i];
    return NULL;
}

/* --- tensors ------------------------------------------------------------------------------------------------------ */

/* "TYPE_FP32"; texts are TYPE_STRING, and what V2 has no word for TYPE_INVALID. */
static void add_type(struct text *text, enum percept_dtype dtype)
{
    const char *name = codec_datatype(dtype);
    text_printf(text, ",\"data_type\":\"TYPE_%s\"", !name ? "INVALID" : dtype == PERCEPT_STRING ? "STRING" : name);
}

static void add_dims(struct text *text, const struct percept_io *io, bool without_batch)
{
    text_add(text, ",\"dims\":[");
    for (int i = without_batch; i < io->rank; i++)
        text_printf(text, "%s%" PRId64, i > (int)without_batch ? "," : "", io->dims[i]);
    text_add(text, "]");
}

static const char *format_of(const struct served *served, const char *name, const struct manifest_io *said)
{
    static const char *const formats[] = {[FORMAT_NHWC] = "FORMAT_NHWC", [FORMAT_NCHW] = "FORMAT_NCHW"};
    if (said && said->format != FORMAT_NONE)
        return formats[said->format];
    const struct manifest_input *input = manifest_input(served->manifest, name);
    if (!input || input->kind != MANIFEST_IMAGE || input->image.layout == IMAGE_FLAT)
        return "FORMAT_NONE";
    return input->image.layout == IMAGE_NHWC ? "FORMAT_NHWC" : "FORMAT_NCHW";
}

static void add_inputs(struct text *text, const struct served *served, bool in_front)
{
    int n;
    const struct percept_io *inputs = served_inputs(served, &n);
    const struct manifest *manifest = served->manifest;
    const char *comma = "";
    text_add(text, ",\"input\":[");
    for (int i = 0; i < n; i++) {
        if (states_keep_input(served->states, i))
            continue;
        const struct manifest_io *said =
            declared(manifest->declared_inputs, manifest->n_declared_inputs, inputs[i].name);
        text_printf(text, "%s{\"name\":", comma);
        comma = ",";
        text_json(text, inputs[i].name);
        add_type(text, inputs[i].dtype);
        text_printf(text, ",\"format\":\"%s\"", format_of(served, inputs[i].name, said));
        add_dims(text, &inputs[i], in_front);
        text_printf(text,
                    ",\"is_shape_tensor\":%s,\"allow_ragged_batch\":false,\"optional\":%s,"
                    "\"is_non_linear_format_io\":false}",
                    said && said->is_shape_tensor ? "true" : "false", said && said->optional ? "true" : "false");
    }
    text_add(text, "]");
}

static void add_outputs(struct text *text, const struct served *served, bool in_front)
{
    int n;
    const struct percept_io *outputs = served_outputs(served, &n);
    const struct manifest *manifest = served->manifest;
    const char *comma = "";
    text_add(text, ",\"output\":[");
    for (int i = 0; i < n; i++) {
        if (states_keep_output(served->states, i))
            continue;
        const struct manifest_io *said =
            declared(manifest->declared_outputs, manifest->n_declared_outputs, outputs[i].name);
        text_printf(text, "%s{\"name\":", comma);
        comma = ",";
        text_json(text, outputs[i].name);
        add_type(text, outputs[i].dtype);
        add_dims(text, &outputs[i], in_front);
        text_add(text, ",\"label_filename\":");
        text_json(text, said && said->label_filename ? said->label_filename : "");
        text_printf(text, ",\"is_shape_tensor\":%s,\"is_non_linear_format_io\":false}",
                    said && said->is_shape_tensor ? "true" : "false");
    }
    text_add(text, "],\"batch_input\":[],\"batch_output\":[]");
}

/* --- how it is served --------------------------------------------------------------------------------------------- */

static void add_batching(struct text *text, const struct lane *lane)
{
    text_printf(text,
                ",\"dynamic_batching\":{\"preferred_batch_size\":[],\"max_queue_delay_microseconds\":%" PRId64
                ",\"preserve_ordering\":false,\"priority_levels\":0,\"default_priority_level\":0,"
                "\"default_queue_policy\":{\"timeout_action\":\"REJECT\",\"default_timeout_microseconds\":%" PRId64
                ",\"allow_timeout_override\":true,\"max_queue_size\":%d},\"priority_queue_policy\":{}}",
                lane->max_queue_delay_ns / 1000, lane->default_timeout_ns / 1000, lane->max_queue_size);
}

static void add_controls(struct text *text, const struct served *served)
{
    static const char *const kinds[] = {
        [CONTROL_START] = "CONTROL_SEQUENCE_START",
        [CONTROL_END] = "CONTROL_SEQUENCE_END",
        [CONTROL_READY] = "CONTROL_SEQUENCE_READY",
        [CONTROL_CORRELATION_ID] = "CONTROL_SEQUENCE_CORRID",
    };
    int n;
    const struct percept_io *inputs = served_inputs(served, &n);
    const struct manifest_sequence *said = &served->manifest->sequence;
    for (int i = 0; i < served->states->n_controls; i++) {
        const struct control *control = &served->states->controls[i];
        const enum percept_dtype dtype = control->on.dtype;
        const bool real = dtype == PERCEPT_FLOAT || dtype == PERCEPT_DOUBLE, flag = dtype == PERCEPT_BOOL;
        text_add(text, i ? ",{\"name\":" : "{\"name\":");
        text_json(text, inputs[control->input].name);
        text_printf(text, ",\"control\":[{\"kind\":\"%s\"", kinds[control->kind]);
        if (control->kind == CONTROL_CORRELATION_ID)
            add_type(text, dtype);
        else if (flag)
            text_printf(text, ",\"bool_false_true\":[%s,%s]", said->controls[i].off != 0 ? "true" : "false",
                        said->controls[i].on != 0 ? "true" : "false");
        else
            text_printf(text, ",\"%s_false_true\":[%g,%g]", real ? "fp32" : "int32", said->controls[i].off,
                        said->controls[i].on);
        text_add(text, "}]}");
    }
}

static void add_sequence(struct text *text, const struct served *served)
{
    int n;
    const struct percept_io *inputs = served_inputs(served, &n), *outputs = served_outputs(served, &n);
    text_printf(text,
                ",\"sequence_batching\":{\"oldest\":{\"max_candidate_sequences\":%d,\"preferred_batch_size\":[],"
                "\"max_queue_delay_microseconds\":%" PRId64
                ",\"preserve_ordering\":false},\"max_sequence_idle_microseconds\":%" PRId64 ",\"control_input\":[",
                served->states->max_sequences, served->lane->max_queue_delay_ns / 1000,
                served->states->max_idle_ns / 1000);
    add_controls(text, served);
    text_add(text, "],\"state\":[");
    for (int i = 0; i < served->states->n_states; i++) {
        const struct state *state = &served->states->states[i];
        text_add(text, i ? ",{\"input_name\":" : "{\"input_name\":");
        text_json(text, inputs[state->input].name);
        text_add(text, ",\"output_name\":");
        text_json(text, outputs[state->output].name);
        add_type(text, state->shape.dtype);
        add_dims(text, &inputs[state->input], batch_in_front(served));
        text_add(text, ",\"initial_state\":[]}");
    }
    text_add(text, "],\"iterative_sequence\":false}");
}

static void add_map(struct text *text, const char *key, const struct stage_link *links, int n)
{
    text_printf(text, ",\"%s\":{", key);
    for (int i = 0; i < n; i++) {
        text_add(text, i ? "," : "");
        text_json(text, links[i].io);
        text_add(text, ":");
        text_json(text, links[i].value);
    }
    text_add(text, "}");
}

/* The stages of a chain as those of an ensemble; version -1 is the highest. */
static void add_steps(struct text *text, const struct stages *stages)
{
    text_add(text, ",\"ensemble_scheduling\":{\"step\":[");
    for (int i = 0; i < stages->n; i++) {
        const struct stage *stage = &stages->at[i];
        text_add(text, i ? ",{\"model_name\":" : "{\"model_name\":");
        text_json(text, stage->model);
        text_printf(text, ",\"model_version\":%" PRId64, stage->version ? stage->version : -1);
        add_map(text, "input_map", stage->inputs, stage->n_inputs);
        add_map(text, "output_map", stage->outputs, stage->n_outputs);
        text_add(text, ",\"model_namespace\":\"\"}");
    }
    text_add(text, "]}");
}

/* As many runs at a time as there are workers. */
static void add_instances(struct text *text, const struct served *served, int workers)
{
    text_add(text, ",\"instance_group\":[{\"name\":");
    text_json(text, served->name);
    text_printf(text,
                ",\"kind\":\"KIND_CPU\",\"count\":%d,\"gpus\":[],\"secondary_devices\":[],\"profile\":[],"
                "\"passive\":false,\"host_policy\":\"\"}]",
                workers);
}

static void add_warmup(struct text *text, const struct manifest *manifest)
{
    text_add(text, ",\"model_warmup\":[");
    for (int i = 0; i < manifest->n_warmup; i++)
        text_printf(text, "%s{\"name\":\"batch of %d\",\"batch_size\":%d,\"inputs\":{},\"count\":1}", i ? "," : "",
                    manifest->warmup[i], manifest->warmup[i]);
    text_add(text, "]");
}

/* All, where nothing was said. */
static void add_versions(struct text *text, const struct manifest_version_policy *policy)
{
    if (policy->kind == VERSIONS_LATEST) {
        text_printf(text, ",\"version_policy\":{\"latest\":{\"num_versions\":%" PRId64 "}}", policy->n_latest);
        return;
    }
    if (policy->kind != VERSIONS_SPECIFIC) {
        text_add(text, ",\"version_policy\":{\"all\":{}}");
        return;
    }
    text_add(text, ",\"version_policy\":{\"specific\":{\"versions\":[");
    for (int i = 0; i < policy->n_versions; i++)
        text_printf(text, "%s%" PRId64, i ? "," : "", policy->versions[i]);
    text_add(text, "]}}");
}

static void add_parameters(struct text *text, const struct manifest *manifest)
{
    text_add(text, ",\"parameters\":{");
    for (int i = 0; i < manifest->n_parameters; i++) {
        text_add(text, i ? "," : "");
        text_json(text, manifest->parameters[i].key);
        text_add(text, ":{\"string_value\":");
        text_json(text, manifest->parameters[i].value);
        text_add(text, "}");
    }
    text_add(text, "}");
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void add_config(struct text *text, const struct served *served, const struct settings *settings)
{
    bool in_front = batch_in_front(served);
    text_add(text, "{\"name\":");
    text_json(text, served->name);
    text_add(text, served->staged ? ",\"platform\":\"ensemble\",\"backend\":\"\",\"runtime\":\"\""
                                  : ",\"platform\":\"onnx_onnxv1\",\"backend\":\"perceptd\",\"runtime\":\"\"");
    add_versions(text, &served->manifest->version_policy);
    text_printf(text, ",\"max_batch_size\":%d", in_front ? served->max_batch_size : 0);
    add_inputs(text, served, in_front);
    add_outputs(text, served, in_front);
    text_add(text, ",\"optimization\":{\"priority\":\"PRIORITY_DEFAULT\",\"input_pinned_memory\":{\"enable\":false},"
                   "\"output_pinned_memory\":{\"enable\":false},\"gather_kernel_buffer_threshold\":0,"
                   "\"eager_batching\":false}");
    if (served->staged)
        add_steps(text, served->staged->stages);
    else if (served->states)
        add_sequence(text, served);
    else if (served->batching && in_front)
        add_batching(text, served->lane);
    if (!served->staged)
        add_instances(text, served, settings->workers);
    else
        text_add(text, ",\"instance_group\":[]");
    text_add(text, ",\"default_model_filename\":");
    text_json(text, served->staged ? "" : file_name(served->path));
    text_add(text, ",\"cc_model_filenames\":{},\"metric_tags\":{}");
    add_parameters(text, served->manifest);
    add_warmup(text, served->manifest);
    text_add(text, ",\"model_transaction_policy\":{\"decoupled\":false}}");
}

void v2_config(struct exchange *exchange)
{
    struct percept_err err = {0};
    struct text text = {.arena = &exchange->arena};
    const struct served *served = catalog_find_ready(exchange->site->catalog, exchange->name, exchange->version, &err);
    if (!served) {
        exchange_error(exchange, &err);
        return;
    }
    add_config(&text, served, exchange->site->settings);
    exchange_reply_text(exchange, 200, "application/json", &text);
}
