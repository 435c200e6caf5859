/*
 * v2_config.c - the model configuration extension: GET /v2/models/NAME[/versions/N]/config.
 *
 * The reply is the JSON that Triton prints of its ModelConfig: its names, snake_case, with the defaults present and
 * 64-bit numbers as numbers. Its readers (perf_analyzer, clients that make a picture for an input) take from it the
 * inputs and outputs, max_batch_size and how requests are scheduled. What is said is what holds: types and dims are
 * the network's, limits those of its queue, the format of a picture the manifest's. Fields for what is not here (GPUs,
 * caches, ensembles, sequences) have the value that says so, or are left out where their presence says that they are.
 *
 * max_batch_size > 0 means there that the batch comes first in every tensor, and dims are without it. A network whose
 * batch lies elsewhere has 0 and all of its dims; its requests are joined all the same, and the tensor's own
 * batch_axis is in the model's metadata. Thread: the loop.
 */
#include "http/exchange.h"
#include "http/routes.h"
#include "serve/codec.h"
#include "serve/lane.h"

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
    const struct lane_ios *ios = &served->lane->ios;
    return served->batching && all_in_front(ios->inputs, ios->n_inputs) && all_in_front(ios->outputs, ios->n_outputs);
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

static const char *format_of(const struct served *served, const char *name)
{
    const struct manifest_input *input = manifest_input(served->manifest, name);
    if (!input || input->kind != MANIFEST_IMAGE || input->image.layout == IMAGE_FLAT)
        return "FORMAT_NONE";
    return input->image.layout == IMAGE_NHWC ? "FORMAT_NHWC" : "FORMAT_NCHW";
}

static void add_inputs(struct text *text, const struct served *served, bool in_front)
{
    const struct lane_ios *ios = &served->lane->ios;
    text_add(text, ",\"input\":[");
    for (int i = 0; i < ios->n_inputs; i++) {
        text_add(text, i ? ",{\"name\":" : "{\"name\":");
        text_json(text, ios->inputs[i].name);
        add_type(text, ios->inputs[i].dtype);
        text_printf(text, ",\"format\":\"%s\"", format_of(served, ios->inputs[i].name));
        add_dims(text, &ios->inputs[i], in_front);
        text_add(text, ",\"is_shape_tensor\":false,\"allow_ragged_batch\":false,\"optional\":false,"
                       "\"is_non_linear_format_io\":false}");
    }
    text_add(text, "]");
}

static void add_outputs(struct text *text, const struct served *served, bool in_front)
{
    const struct lane_ios *ios = &served->lane->ios;
    text_add(text, ",\"output\":[");
    for (int i = 0; i < ios->n_outputs; i++) {
        text_add(text, i ? ",{\"name\":" : "{\"name\":");
        text_json(text, ios->outputs[i].name);
        add_type(text, ios->outputs[i].dtype);
        add_dims(text, &ios->outputs[i], in_front);
        text_add(text, ",\"label_filename\":\"\",\"is_shape_tensor\":false,\"is_non_linear_format_io\":false}");
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
    text_printf(text,
                ",\"platform\":\"onnx_onnxv1\",\"backend\":\"perceptd\",\"runtime\":\"\","
                "\"version_policy\":{\"all\":{}},\"max_batch_size\":%d",
                in_front ? served->max_batch_size : 0);
    add_inputs(text, served, in_front);
    add_outputs(text, served, in_front);
    text_add(text, ",\"optimization\":{\"priority\":\"PRIORITY_DEFAULT\",\"input_pinned_memory\":{\"enable\":false},"
                   "\"output_pinned_memory\":{\"enable\":false},\"gather_kernel_buffer_threshold\":0,"
                   "\"eager_batching\":false}");
    if (in_front)
        add_batching(text, served->lane);
    add_instances(text, served, settings->workers);
    text_add(text, ",\"default_model_filename\":");
    text_json(text, file_name(served->path));
    text_add(text, ",\"cc_model_filenames\":{},\"metric_tags\":{},\"parameters\":{}");
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
