/* triton_config.c - what is taken of a config.pbtxt, what is refused and with which words, what is only named. */
#include "serve/triton_config.h"

#include "base/err.h"
#include "base/file.h"
#include "folder.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

Suite *serve_triton_config_suite(void);

static struct arena arena;
static struct percept_err err;

static void begin(void)
{
    folder_begin("triton");
    err = (struct percept_err){0};
}

static void end(void)
{
    folder_end();
    arena_free(&arena);
}

static const struct manifest *read_bytes(const void *at, size_t n)
{
    folder_put("config.pbtxt", at, n);
    return triton_config_read(folder_at("config.pbtxt"), folder_root, &arena, &err);
}

static const struct manifest *read_text(const char *text)
{
    return read_bytes(text, strlen(text));
}

static const struct manifest *read_good(const char *text)
{
    const struct manifest *manifest = read_text(text);
    ck_assert_msg(manifest != NULL, "%s: %s", text, err.text);
    return manifest;
}

/* A whole file, as people write them. */
static const char whole[] =
    "# a model\n"
    "name: \"net\"\n"
    "platform: \"onnxruntime_onnx\" backend: 'onnxruntime'\n"
    "max_batch_size: 8\n"
    "input [\n"
    "  { name: \"x\" data_type: TYPE_FP32 format: FORMAT_NCHW dims: [ 3, -1, 224 ] },\n"
    "  { name: \"n\" data_type: TYPE_INT64 dims: [ 0x10 ] optional: true is_shape_tensor: true }\n"
    "]\n"
    "output [ { name: \"y\" data_type: TYPE_STRING dims: 2 label_filename: \"labels.txt\" } ]\n"
    "dynamic_batching {\n"
    "  preferred_batch_size: [ 4, 8 ]\n"
    "  max_queue_delay_microseconds: 500\n"
    "  preserve_ordering: true\n"
    "  priority_levels: 3 default_priority_level: 2\n"
    "  default_queue_policy { timeout_action: REJECT default_timeout_microseconds: 7000\n"
    "                         allow_timeout_override: true max_queue_size: 50 }\n"
    "}\n"
    "instance_group [ { count: 2 kind: KIND_CPU }, { count: 1 kind: KIND_GPU gpus: [ 0 ] } ]\n"
    "version_policy: { specific { versions: [ 1, 3 ] } }\n"
    "parameters { key: \"a\" value: { string_value: \"1\" } }\n"
    "parameters { key: \"b\" value { string_value: \"2\" } }\n"
    "parameters { key: \"a\" value { string_value: \"3\" } }\n"
    "default_model_filename: \"net.onnx\"\n"
    "optimization { graph { level: 1 } execution_accelerators { gpu_execution_accelerator :\n"
    "  [ { name: \"tensorrt\" parameters { key: \"precision_mode\" value: \"FP16\" } } ] } }\n"
    "response_cache { enable: true }\n"
    "model_transaction_policy { decoupled: false }\n"
    "model_warmup [ { name: \"w\" batch_size: 2 count: 3 inputs { key: \"x\" value: {\n"
    "  data_type: TYPE_FP32 dims: [ 3, 224, 224 ] random_data: true } }\n"
    "  inputs { key: \"n\" value: { data_type: TYPE_INT64 dims: 16 input_data_file: \"n.raw\" } } } ]\n";

static void expect_ios(const struct manifest *manifest)
{
    const struct manifest_io *x = &manifest->declared_inputs[0], *n = &manifest->declared_inputs[1];
    const struct manifest_io *y = &manifest->declared_outputs[0];
    const int64_t dims[] = {-1, 3, -1, 224};
    ck_assert_int_eq(manifest->n_declared_inputs, 2);
    ck_assert_int_eq(manifest->n_declared_outputs, 1);
    ck_assert(manifest->declared_batch);
    ck_assert_str_eq(x->name, "x");
    ck_assert_int_eq(x->dtype, PERCEPT_FLOAT);
    ck_assert_int_eq(x->format, FORMAT_NCHW);
    ck_assert_int_eq(x->rank, 4);
    ck_assert_mem_eq(x->dims, dims, sizeof dims);
    ck_assert(!x->optional && !x->is_shape_tensor && n->optional && n->is_shape_tensor);
    ck_assert_int_eq(n->dtype, PERCEPT_INT64);
    ck_assert_int_eq(n->rank, 2);
    ck_assert_int_eq(n->dims[1], 16);
    ck_assert_int_eq(y->dtype, PERCEPT_STRING);
    ck_assert_int_eq(y->rank, 2);
    ck_assert_str_eq(y->label_filename, "labels.txt");
    ck_assert_int_eq(y->n_labels, 2);
    ck_assert_str_eq(y->labels[1], "dog");
}

static void expect_warmup(const struct manifest *manifest)
{
    const struct manifest_warmup *warmup = &manifest->warmup_requests[0];
    ck_assert_int_eq(manifest->n_warmup_requests, 1);
    ck_assert_str_eq(warmup->name, "w");
    ck_assert_int_eq(warmup->batch_size, 2);
    ck_assert_int_eq(warmup->count, 3);
    ck_assert_int_eq(warmup->n_inputs, 2);
    ck_assert_str_eq(warmup->inputs[0].name, "x");
    ck_assert_int_eq(warmup->inputs[0].dtype, PERCEPT_FLOAT);
    ck_assert_int_eq(warmup->inputs[0].rank, 3);
    ck_assert_int_eq(warmup->inputs[0].dims[2], 224);
    ck_assert_int_eq(warmup->inputs[0].data, WARMUP_RANDOM);
    ck_assert_int_eq(warmup->inputs[1].data, WARMUP_FILE);
    ck_assert_str_eq(warmup->inputs[1].file, "n.raw");
    ck_assert_int_eq(manifest->n_warmup, 3);
    ck_assert_int_eq(manifest->warmup[0], 4);
    ck_assert_int_eq(manifest->warmup[1], 8);
    ck_assert_int_eq(manifest->warmup[2], 2);
}

START_TEST(a_whole_file_is_read)
{
    folder_text("labels.txt", "cat\ndog\n");
    const struct manifest *manifest = read_good(whole);
    ck_assert_str_eq(manifest->config_path, folder_at("config.pbtxt"));
    ck_assert_str_eq(manifest->path, "");
    ck_assert_str_eq(manifest->model_name, "net");
    ck_assert_str_eq(manifest->model_file, "net.onnx");
    ck_assert_int_eq(manifest->max_batch_size, 8);
    ck_assert_int_eq(manifest->max_queue_delay_us, 500);
    ck_assert_int_eq(manifest->max_queue_size, 50);
    ck_assert_int_eq(manifest->default_timeout_us, 7000);
    ck_assert_int_eq(manifest->priority_levels, 3);
    ck_assert_int_eq(manifest->default_priority_level, 2);
    ck_assert_int_eq(manifest->n_preferred_batch_sizes, 2);
    ck_assert_int_eq(manifest->preferred_batch_sizes[1], 8);
    ck_assert_int_eq(manifest->n_instances, 3);
    ck_assert_int_eq(manifest->version_policy.kind, VERSIONS_SPECIFIC);
    ck_assert_int_eq(manifest->version_policy.n_versions, 2);
    ck_assert_int_eq(manifest->version_policy.versions[1], 3);
    ck_assert_int_eq(manifest->n_parameters, 2);
    ck_assert_str_eq(manifest->parameters[0].key, "a");
    ck_assert_str_eq(manifest->parameters[0].value, "3");
    ck_assert_str_eq(manifest->parameters[1].value, "2");
    ck_assert_str_eq(manifest->ignored, "dynamic_batching.preserve_ordering, instance_group.kind: KIND_GPU, "
                                        "instance_group.gpus, optimization, response_cache");
    expect_ios(manifest);
    expect_warmup(manifest);
}
END_TEST

START_TEST(an_empty_file_leaves_it_to_the_network)
{
    const struct manifest *manifest = read_good("");
    ck_assert_int_eq(manifest->max_batch_size, -1);
    ck_assert_int_eq(manifest->max_queue_size, -1);
    ck_assert_int_eq(manifest->default_timeout_us, 0);
    ck_assert_int_eq(manifest->n_declared_inputs, 0);
    ck_assert_int_eq(manifest->version_policy.kind, VERSIONS_LATEST);
    ck_assert_int_eq(manifest->version_policy.n_latest, 1);
    ck_assert_ptr_null(manifest->ignored);
    ck_assert_ptr_null(manifest->model_name);
    ck_assert_int_eq(read_good("max_batch_size: 0")->max_batch_size, 0);
    ck_assert_int_eq(read_good("input { name: 'x' data_type: TYPE_INT8 }")->max_batch_size, -1);
}
END_TEST

START_TEST(dims_without_max_batch_size_are_the_whole_shape)
{
    const struct manifest *manifest = read_good("input { name: 'x' data_type: TYPE_INT8 dims: [ -1, 4 ] }");
    ck_assert_int_eq(manifest->max_batch_size, 0);
    ck_assert(!manifest->declared_batch);
    ck_assert_int_eq(manifest->declared_inputs[0].rank, 2);
    ck_assert_int_eq(manifest->declared_inputs[0].dims[1], 4);
}
END_TEST

START_TEST(the_manifest_beside_it_wins)
{
    folder_text("manifest.json",
                "{\"manifest\":1,\"batching\":{\"max_batch_size\":3},\"warmup\":{\"batch_sizes\":[2]}}");
    const struct manifest *manifest =
        read_good("max_batch_size: 8 dynamic_batching { preferred_batch_size: 4 max_queue_delay_microseconds: 9 }");
    ck_assert_int_eq(manifest->max_batch_size, 3);
    ck_assert_int_eq(manifest->max_queue_delay_us, 9);
    ck_assert_int_eq(manifest->n_warmup, 1);
    ck_assert_int_eq(manifest->warmup[0], 2);
    ck_assert_str_eq(manifest->path, folder_at("manifest.json"));
    folder_text("manifest.json", "{\"manifest\":2}");
    ck_assert_ptr_null(read_text(""));
    ck_assert_ptr_nonnull(strstr(err.text, "manifest.json: manifest: expected 1"));
}
END_TEST

static const struct {
    const char *text;
    int action, n;
    const char *ignored;
} mild[] = {
    /* where it has no bearing, and what of it is named */
    {"version_policy { latest { num_versions: 2 } }", VERSIONS_LATEST, 2, NULL},
    {"version_policy: { all { } }", VERSIONS_ALL, 1, NULL},
    {"version_policy { }", VERSIONS_LATEST, 1, NULL},
    {"platform: '' backend: 'onnxruntime'", VERSIONS_LATEST, 1, NULL},
    {"model_operations { } batch_input [ ] response_cache { }", VERSIONS_LATEST, 1, "response_cache"},
    {"model_repository_agents { }", VERSIONS_LATEST, 1, NULL},
    {"max_batch_size: 100000", VERSIONS_LATEST, 1, "max_batch_size above 4096"},
    {"metric_tags { key: 'a' value: 'b' } metric_tags { key: 'c' value: 'd' }", VERSIONS_LATEST, 1, "metric_tags"},
    {"input { name: 'x' allow_ragged_batch: false is_non_linear_format_io: false }", VERSIONS_LATEST, 1, NULL},
    {"dynamic_batching { priority_queue_policy { key: 1 value { max_queue_size: 4 } } }", VERSIONS_LATEST, 1,
     "dynamic_batching.priority_queue_policy"},
    {"instance_group { rate_limiter { resources [ { name: 'r' global: true count: 4 } ] priority: 2 } }",
     VERSIONS_LATEST, 1, "instance_group.rate_limiter"},
    {"instance_group [ { kind: KIND_GPU }, { kind: 1 } ]", VERSIONS_LATEST, 1, "instance_group.kind: KIND_GPU"},
    {"optimization { cuda { graphs: true graph_spec { batch_size: 1 input { key: 'x' value { dim: 1 } } } } }",
     VERSIONS_LATEST, 1, "optimization"},
    {"model_metrics { metric_control { metric_identifier { family: 'f' } histogram_options { buckets: [ 1, .5 ] } } }",
     VERSIONS_LATEST, 1, "model_metrics"},
    {"dynamic_batching { default_queue_policy { timeout_action: DELAY default_timeout_microseconds: 5 } }",
     VERSIONS_LATEST, 1, "dynamic_batching.default_queue_policy.timeout_action: DELAY"},
    {"dynamic_batching { max_queue_delay_microseconds: 18446744073709551615 }", VERSIONS_LATEST, 1, NULL},
};

START_TEST(what_has_no_effect_is_named_once)
{
    const struct manifest *manifest = read_good(mild[_i].text);
    ck_assert_int_eq(manifest->version_policy.kind, mild[_i].action);
    if (manifest->version_policy.kind == VERSIONS_LATEST)
        ck_assert_int_eq(manifest->version_policy.n_latest, mild[_i].n);
    ck_assert_msg((manifest->ignored == NULL) == (mild[_i].ignored == NULL), "%s: %s", mild[_i].text,
                  manifest->ignored ? manifest->ignored : "nothing");
    if (mild[_i].ignored)
        ck_assert_str_eq(manifest->ignored, mild[_i].ignored);
}
END_TEST

START_TEST(what_is_delayed_is_not_refused_when_late)
{
    ck_assert_int_eq(read_good(mild[14].text)->default_timeout_us, -1);
    ck_assert_int_eq(read_good(mild[15].text)->max_queue_delay_us, 60000000);
}
END_TEST

#define LACK ERR_UNSUPPORTED
#define X(fields) "input { name: 'x' " fields " }"

static const struct {
    const char *text;
    enum err_code code;
    const char *says;
} refused[] = {
    /* what would change answers */
    {"sequence_batching { iterative_sequence: true }", LACK, "column 21: sequence_batching.iterative_sequence: "},
    {"sequence_batching { state { input_name: 'h' output_name: 'n' use_growable_memory: true } }", LACK,
     "use_growable_memory: a state has one shape here"},
    {"sequence_batching { state { input_name: 'h' } }", ERR_CONFIG, "state: it needs an input_name and an output_name"},
    {"sequence_batching { state { output_name: 'n' } }", ERR_CONFIG,
     "state: it needs an input_name and an output_name"},
    {"sequence_batching { state { input_name: 'h' output_name: 'n' initial_state { } initial_state { } } }", ERR_CONFIG,
     "there is more than one initial_state"},
    {"sequence_batching { state { input_name: 'h' output_name: 'n' initial_state { zero_data: true data_file: 'f' } } "
     "}",
     ERR_CONFIG, "zero_data and data_file exclude each other"},
    {"sequence_batching { control_input { name: 'S' control { kind: CONTROL_SEQUENCE_START int32_false_true: 1 } } }",
     ERR_CONFIG, "with two values"},
    {"sequence_batching { control_input { name: 'S' control { kind: CONTROL_SEQUENCE_START } control { } } }", LACK,
     "an input with one control is served; it has 2"},
    {"sequence_batching { control_input { name: 'S' } }", LACK, "an input with one control is served; it has 0"},
    {"ensemble_scheduling { }", ERR_CONFIG, "ensemble_scheduling: it must have a 'step'"},
    {"ensemble_scheduling { step [ { } ] }", ERR_CONFIG, "ensemble_scheduling.step: it has no 'model_name'"},
    {"ensemble_scheduling { step [ { model_name: 'a' model_version: 0 } ] }", ERR_CONFIG,
     "step.model_version: a version is at least 1, or -1"},
    {"ensemble_scheduling { step [ { model_name: 'a' input_map { key: 'x' } } ] }", ERR_CONFIG,
     "step.input_map: expected a 'key'"},
    {"ensemble_scheduling { step [ { model_name: 'a' } ] }", ERR_CONFIG, "an ensemble declares its 'input' and"},
    {"ensemble_scheduling { step { model_name: 'a' } } sequence_batching { } " X("") " output { name: 'y' }", LACK,
     "ensemble_scheduling and sequence_batching exclude each other"},
    {"model_transaction_policy { decoupled: true }", LACK,
     "model_transaction_policy.decoupled: a request has one reply"},
    {"batch_input [ { kind: BATCH_ELEMENT_COUNT } ]", LACK, "batch_input: "},
    {"batch_output { }", LACK, "batch_output: "},
    {X("reshape { shape: [ ] }"), LACK, "input.reshape: other shapes than the network's"},
    {"output { name: 'y' reshape { shape: [ 1 ] } }", LACK, "output.reshape: "},
    {X("allow_ragged_batch: true"), LACK, "input.allow_ragged_batch: requests of different lengths"},
    {X("is_non_linear_format_io: true"), LACK, "is_non_linear_format_io"},
    {"platform: 'tensorrt_plan'", LACK, "platform: 'tensorrt_plan' is not served"},
    {"\nbackend: \"python\"", LACK, "line 2, column 1: backend: 'python' is not served"},
    {"platform: 'ensemble'", ERR_CONFIG, "platform is 'ensemble': ensemble_scheduling is missing"},
    {"model_operations { op_library_filename: 'x.so' }", LACK, "model_operations.op_library_filename: "},
    {"model_repository_agents { agents [ { name: 'checksum' } ] }", LACK, "model_repository_agents.agents: "},
    /* what is no ModelConfig */
    {"nmae: 'x'", ERR_CONFIG, "line 1, column 1: nmae: ModelConfig has no such field"},
    {X("dtype: TYPE_FP32"), ERR_CONFIG, "input.dtype: ModelInput has no such field"},
    {"optimization { cuda { graphs: true speed: 1 } }", ERR_CONFIG, "optimization.cuda.speed: Cuda has no such field"},
    {"name: 'a' name: 'b'", ERR_CONFIG, "line 1, column 11: name: it is specified multiple times"},
    {"name: 'a' max_batch_size: 1 dynamic_batching { } dynamic_batching { }", ERR_CONFIG, "multiple times"},
    {"name: [ 'a', 'b' ]", ERR_CONFIG, "multiple times"},
    {"name: net", ERR_CONFIG, "name: expected a string in quotes"},
    {"name { }", ERR_CONFIG, "name: expected a value, not a message"},
    {"input: 'x'", ERR_CONFIG, "input: expected a message: { ... }"},
    {"max_batch_size: '8'", ERR_CONFIG, "max_batch_size: expected a whole number from -2147483648 to 2147483647"},
    {"max_batch_size: 2147483648", ERR_CONFIG, "expected a whole number"},
    {"max_batch_size: -1", ERR_CONFIG, "max_batch_size: it must not be negative"},
    {"max_batch_size: 1.5", ERR_CONFIG, "expected a whole number"},
    {X("data_type: FP32"), ERR_CONFIG, "input.data_type: expected one of TYPE_INVALID|TYPE_BOOL|"},
    {X("data_type: 15"), ERR_CONFIG, "input.data_type: expected one of"},
    {X("data_type: -1"), ERR_CONFIG, "input.data_type: expected one of"},
    {X("data_type: 'TYPE_FP32'"), ERR_CONFIG, "input.data_type: expected one of"},
    {X("optional: yes"), ERR_CONFIG, "input.optional: expected true or false"},
    {X("dims: [ 9223372036854775808 ]"), ERR_CONFIG, "input.dims: expected a whole number from"},
    {X("dims: [ 0 ]"), ERR_CONFIG, "input.dims: dimension must be integer >= 1, or -1"},
    {X("dims: [ -2 ]"), ERR_CONFIG, "input.dims: dimension must be integer >= 1, or -1"},
    {X("dims: [ 1, 1, 1, 1, 1, 1, 1, 1, 1 ]"), ERR_CONFIG, "input.dims: there are more than 8 dimensions"},
    {"max_batch_size: 2 " X("dims: [ 1, 1, 1, 1, 1, 1, 1, 1 ]"), ERR_CONFIG, "8 dims and a batch in front"},
    {X("dims: [ 1 ] format: FORMAT_NHWC"), ERR_CONFIG, "a format needs three dims, it has 1"},
    {"input { data_type: TYPE_FP32 }", ERR_CONFIG, "input: it has no 'name'"},
    {"input { name: '' }", ERR_CONFIG, "input: it has no 'name'"},
    {"input [ { name: 'x' }, { name: 'x' } ]", ERR_CONFIG, "input: 'x' is there twice"},
    {"output [ { name: 'x' }, { name: 'x' } ]", ERR_CONFIG, "output: 'x' is there twice"},
    {"version_policy { all { } latest { } }", ERR_CONFIG, "version_policy: 'all' and 'latest' exclude each other"},
    {"version_policy { specific { versions: [ 1, 0 ] } }", ERR_CONFIG, "versions count from 1"},
    {"version_policy { latest { num_versions: -1 } }", ERR_CONFIG, "expected a whole number from 0"},
    {"dynamic_batching { preferred_batch_size: 0 }", ERR_CONFIG, "a preferred_batch_size is at least 1"},
    {"dynamic_batching { max_queue_delay_microseconds: -1 }", ERR_CONFIG, "expected a whole number from 0"},
    {"dynamic_batching { default_queue_policy { timeout_action: WAIT } }", ERR_CONFIG, "expected one of REJECT|DELAY"},
    {"instance_group { count: -1 }", ERR_CONFIG, "instance_group: 'count' must not be negative"},
    {"instance_group [ { count: 2147483647 }, { count: 1 } ]", ERR_CONFIG, "too many instances"},
    {"instance_group { kind: KIND_TPU }", ERR_CONFIG, "expected one of KIND_AUTO|KIND_GPU|KIND_CPU|KIND_MODEL"},
    {"default_model_filename: '../x.onnx'", ERR_CONFIG, "expected the name of a file in the version's folder"},
    {"default_model_filename: '..'", ERR_CONFIG, "expected the name of a file"},
    {"model_warmup { inputs { key: 'x' value { zero_data: true random_data: true } } }", ERR_CONFIG,
     "zero_data, random_data and input_data_file exclude each other"},
    {"model_warmup { inputs { key: 'x' value { dims: -1 } } }", ERR_CONFIG, "dims of a warm-up request are at least 1"},
    {"parameters { key: 'a' value: 'b' }", ERR_CONFIG, "parameters.value: expected a message"},
    {"input {", ERR_CONFIG, "config.pbtxt: line 1, column 8: expected '}', found the end"},
    {"name: '\xff'", ERR_CONFIG, "not UTF-8"},
    {"output { name: 'y' label_filename: 'none.txt' }", ERR_NOT_FOUND, "output 'y', label_filename: "},
    {"output { name: 'y' label_filename: '../labels.txt' }", ERR_INVALID, "output 'y', label_filename: "},
    {"output { name: 'y' label_filename: '/etc/hostname' }", ERR_INVALID, "label_filename: "},
    {"output { name: 'y' label_filename: 'out.txt' }", ERR_INVALID, "label_filename: "},
    {"output { name: 'y' label_filename: 'crlf.txt' }", ERR_CONFIG, "carriage return"},
};

START_TEST(what_makes_no_sense_or_is_not_served_is_refused_by_name)
{
    folder_text("crlf.txt", "a\r\nb\r\n");
    ck_assert_int_eq(symlink("/etc/hostname", folder_at("out.txt")), 0);
    ck_assert_msg(!read_text(refused[_i].text), "%s: it is taken", refused[_i].text);
    ck_assert_msg(strstr(err.text, refused[_i].says) != NULL, "%s: %s", refused[_i].text, err.text);
    ck_assert_msg(strstr(err.text, folder_at("config.pbtxt")) == err.text, "%s", err.text);
    if (refused[_i].code != ERR_NOT_FOUND)
        ck_assert_msg(err.code == (int)refused[_i].code, "%s: %s: %s", refused[_i].text, err_name(err.code), err.text);
}
END_TEST

START_TEST(a_nul_is_refused)
{
    static const char text[] = "name: 'a'\0name: 'b'";
    ck_assert_ptr_null(read_bytes(text, sizeof text - 1));
    ck_assert_ptr_nonnull(strstr(err.text, "found the byte 0x00"));
}
END_TEST

/* Taken before memory is: a sparse file of 64 MB, deep nesting, long lists. */
START_TEST(what_is_too_large_is_refused)
{
    char *text = malloc(1 << 20);
    size_t n = 0;
    folder_text("config.pbtxt", "");
    ck_assert_int_eq(truncate(folder_at("config.pbtxt"), 64 << 20), 0);
    ck_assert_ptr_null(triton_config_read(folder_at("config.pbtxt"), NULL, &arena, &err));
    ck_assert_uint_lt(arena.used_bytes, 1 << 20);
    for (int i = 0; i < 10000; i++)
        n += (size_t)sprintf(text + n, "input{");
    ck_assert_ptr_null(read_bytes(text, n));
    ck_assert_ptr_nonnull(strstr(err.text, "deep"));
    n = 0;
    for (int i = 0; i < 1025; i++)
        n += (size_t)sprintf(text + n, "input { name: 'x%d' } ", i);
    ck_assert_ptr_null(read_bytes(text, n));
    ck_assert_ptr_nonnull(strstr(err.text, "there are 1025 of 'input'; at most 1024 are read"));
    ck_assert_uint_lt(arena.used_bytes, 1 << 20);
    free(text);
}
END_TEST

START_TEST(what_is_no_file_is_not_waited_for)
{
    const char *path = folder_at("config.pbtxt");
    for (int i = 0; i < 3; i++) {
        if (i == 0)
            ck_assert_int_eq(mkfifo(path, 0600), 0);
        else if (i == 1)
            ck_assert_int_eq(mkdir(path, 0700), 0);
        else
            folder_text("config.pbtxt", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n");
        err = (struct percept_err){0};
        ck_assert_ptr_null(triton_config_read(path, NULL, &arena, &err));
        ck_assert_msg(strstr(err.text, "config.pbtxt") != NULL, "%s", err.text);
        remove(path);
    }
    ck_assert_ptr_nonnull(strstr(err.text, "git lfs pull"));
}
END_TEST

START_TEST(a_label_file_is_read_beneath_the_folder_only)
{
    static const char text[] = "output { name: 'y' label_filename: 'a/labels.txt' }";
    folder_text("a/real.txt", "one\ntwo\n");
    ck_assert_int_eq(symlink("real.txt", folder_at("a/labels.txt")), 0);
    ck_assert_int_eq(read_good(text)->declared_outputs[0].n_labels, 2);
    ck_assert_int_eq(unlink(folder_at("a/labels.txt")), 0);
    ck_assert_int_eq(symlink("../../../etc/passwd", folder_at("a/labels.txt")), 0);
    ck_assert_ptr_null(read_text(text));
    ck_assert_int_eq(unlink(folder_at("a/labels.txt")), 0);
    ck_assert_int_eq(link(folder_at("a/real.txt"), folder_at("a/labels.txt")), 0);
    ck_assert_ptr_null(read_text(text));
    ck_assert_msg(strstr(err.text, "output 'y', label_filename: "), "%s", err.text);
}
END_TEST

START_TEST(each_row_is_a_field_of_a_message_once)
{
    const char *message, *field, *other_message, *other_field;
    bool served, ragged = true;
    int n = 0;
    for (; triton_config_row(n, &message, &field, &served); n++) {
        for (int i = 0; i < n && triton_config_row(i, &other_message, &other_field, &served); i++)
            ck_assert_msg(strcmp(message, other_message) != 0 || strcmp(field, other_field) != 0,
                          "%s.%s is there twice", message, field);
        triton_config_row(n, &message, &field, &served);
        if (strcmp(field, "allow_ragged_batch") == 0)
            ragged = served;
    }
    ck_assert_int_gt(n, 100);
    ck_assert(!ragged);
}
END_TEST

START_TEST(short_memory_is_told)
{
    folder_text("labels.txt", "cat\ndog\n");
    folder_text("config.pbtxt", whole);
    size_t nth = 1;
    for (bool failed = true; failed; nth++) {
        struct arena own = {0};
        err = (struct percept_err){0};
        arena_fail_at(nth, true);
        const struct manifest *manifest = triton_config_read(folder_at("config.pbtxt"), NULL, &own, &err);
        arena_fail_at(0, false);
        failed = !manifest;
        ck_assert_msg(manifest || err.code == ERR_MEMORY, "%zu: %s", nth, err.text);
        arena_free(&own);
    }
    ck_assert_uint_gt(nth, 3);
}
END_TEST

Suite *serve_triton_config_suite(void)
{
    Suite *suite = suite_create("serve/triton_config");
    TCase *tests = tcase_create("triton_config");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, a_whole_file_is_read);
    tcase_add_test(tests, an_empty_file_leaves_it_to_the_network);
    tcase_add_test(tests, dims_without_max_batch_size_are_the_whole_shape);
    tcase_add_test(tests, the_manifest_beside_it_wins);
    tcase_add_loop_test(tests, what_has_no_effect_is_named_once, 0, sizeof mild / sizeof *mild);
    tcase_add_test(tests, what_is_delayed_is_not_refused_when_late);
    tcase_add_loop_test(tests, what_makes_no_sense_or_is_not_served_is_refused_by_name, 0,
                        sizeof refused / sizeof *refused);
    tcase_add_test(tests, a_nul_is_refused);
    tcase_add_test(tests, what_is_too_large_is_refused);
    tcase_add_test(tests, what_is_no_file_is_not_waited_for);
    tcase_add_test(tests, a_label_file_is_read_beneath_the_folder_only);
    tcase_add_test(tests, each_row_is_a_field_of_a_message_once);
    tcase_add_test(tests, short_memory_is_told);
    suite_add_tcase(suite, tests);
    return suite;
}
