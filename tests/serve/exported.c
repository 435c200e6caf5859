/* See exported.h. */
#include "serve/exported.h"

#include <check.h>
#include <stdio.h>

#include "base/file.h"
#include "graph/proto.h"
#include "serve/recognise.h"

const char *exported_folder;

struct io {
    char name[80], type[16], dims[80], through[120];
    int rank;
    int64_t at[8], fixed[8];
};

static enum percept_dtype dtype_of(const char *name)
{
    static const struct {
        const char *name;
        enum percept_dtype dtype;
    } rows[] = {
        {"float32", PERCEPT_FLOAT}, {"float16", PERCEPT_FLOAT16}, {"uint8", PERCEPT_UINT8}, {"int64", PERCEPT_INT64}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].name, name) == 0)
            return rows[i].dtype;
    ck_abort_msg("%s is no type", name);
}

/* The next of a list; where it ends. */
static const char *next_io(const char *list, struct io *io)
{
    *io = (struct io){.rank = 0};
    const size_t n = strcspn(list, " ");
    char one[300];
    ck_assert_uint_lt(n, sizeof one);
    memcpy(one, list, n);
    one[n] = '\0';
    const int n_read = sscanf(one, "%79[^|]|%15[^|]|%79[^@]@%119s", io->name, io->type, io->dims, io->through);
    ck_assert_msg(n_read >= 3, "%s", one);
    char *save;
    for (char *dim = strtok_r(io->dims, ",", &save); dim; dim = strtok_r(NULL, ",", &save)) {
        io->at[io->rank] = *dim == '?' ? -1 : atoll(dim);
        io->fixed[io->rank] = *dim == '?' ? 2 : atoll(dim);
        io->rank++;
    }
    return list + n + (list[n] == ' ');
}

/* A number of the first input, so that nothing is known before a run. */
static void add_seed(struct proto *graph, const struct io *io)
{
    struct proto node = proto_node("Cast", "", io->name, "seed_floats");
    proto_attr_int(&node, "to", PERCEPT_FLOAT);
    proto_add(graph, GRAPH_NODE, node);
    node = proto_node("ReduceMax", "", "seed_floats", "seed");
    proto_attr_int(&node, "keepdims", 0);
    proto_add(graph, GRAPH_NODE, node);
}

/* Numbers, and what they go through. */
static void add_output(struct proto *graph, const struct io *io)
{
    char shape[100], value[100], *save, through[120];
    snprintf(shape, sizeof shape, "%s_shape", io->name);
    snprintf(value, sizeof value, "%s_ones", io->name);
    const int64_t rank = io->rank;
    proto_add(graph, GRAPH_INITIALIZER,
              proto_tensor(shape, PERCEPT_INT64, 1, &rank, io->fixed, (size_t)rank * sizeof *io->fixed));
    struct proto node = proto_node("ConstantOfShape", "", shape, value);
    proto_add(graph, GRAPH_NODE, node);
    char seeds[220];
    snprintf(seeds, sizeof seeds, "%s,seed", value);
    snprintf(value, sizeof value, "%s_numbers", io->name);
    proto_add(graph, GRAPH_NODE, proto_node("Add", "", seeds, value));
    snprintf(through, sizeof through, "%s", io->through);
    int n = 0;
    for (char *op = strtok_r(through, "@", &save); op; op = strtok_r(NULL, "@", &save)) {
        char next[100];
        snprintf(next, sizeof next, "%s_%d", io->name, n++);
        proto_add(graph, GRAPH_NODE, proto_node(op, "", value, next));
        memcpy(value, next, sizeof value);
    }
    node = proto_node("Cast", "", value, io->name);
    proto_attr_int(&node, "to", (int64_t)dtype_of(io->type));
    proto_add(graph, GRAPH_NODE, node);
    proto_add(graph, GRAPH_OUTPUT, proto_value(io->name, dtype_of(io->type), io->rank, io->at));
}

static struct proto make(const char *properties, const char *inputs, const char *outputs)
{
    struct proto graph = {0};
    struct io io;
    for (int i = 0; *inputs; i++) {
        inputs = next_io(inputs, &io);
        if (!i)
            add_seed(&graph, &io);
        proto_add(&graph, GRAPH_INPUT, proto_value(io.name, dtype_of(io.type), io.rank, io.at));
    }
    while (*outputs) {
        outputs = next_io(outputs, &io);
        add_output(&graph, &io);
    }
    struct proto bytes = proto_model(graph, 13);
    while (*properties) {
        const size_t n = strcspn(properties, "\n"), n_key = strcspn(properties, "=");
        struct proto entry = {0};
        proto_bytes(&entry, ENTRY_KEY, properties, n_key);
        proto_bytes(&entry, ENTRY_VALUE, properties + n_key + 1, n - n_key - 1);
        proto_add(&bytes, MODEL_METADATA_PROPS, entry);
        properties += n + (properties[n] == '\n');
    }
    return bytes;
}

struct percept_model *exported_open(const char *properties, const char *inputs, const char *outputs)
{
    struct proto bytes = make(properties, inputs, outputs);
    struct percept_options options = {.size = sizeof options, .region = PERCEPT_REGION_PRIVATE};
    struct percept_err err;
    struct percept_model *model = percept_open_memory(bytes.at, bytes.n, &options, &err);
    ck_assert_msg(model != NULL, "%s -> %s: %s", inputs, outputs, err.text);
    proto_free(&bytes);
    return model;
}

void exported_write(const char *path, const char *properties, const char *inputs, const char *outputs)
{
    struct proto bytes = make(properties, inputs, outputs);
    struct percept_err err;
    ck_assert_msg(file_write(path, bytes.at, bytes.n, &err), "%s", err.text);
    proto_free(&bytes);
}

const char *exported_but(const char *properties, const char *key, const char *value)
{
    static char made[8192];
    size_t used = 0;
    bool found = false;
    made[0] = '\0';
    while (*properties) {
        const size_t n = strcspn(properties, "\n"), n_key = strcspn(properties, "=");
        const bool it_is = n_key == strlen(key) && memcmp(properties, key, n_key) == 0;
        found |= it_is;
        if (it_is && value)
            used += (size_t)snprintf(made + used, sizeof made - used, "%s=%s\n", key, value);
        else if (!it_is)
            used += (size_t)snprintf(made + used, sizeof made - used, "%.*s\n", (int)n, properties);
        properties += n + (properties[n] == '\n');
    }
    if (!found && value)
        used += (size_t)snprintf(made + used, sizeof made - used, "%s=%s\n", key, value);
    ck_assert_uint_lt(used, sizeof made);
    return made;
}

struct outcome {
    char by[80], text[4000], likely[600];
    enum manifest_task task;
};

static struct outcome outcome_of(const char *properties, const char *inputs, const char *outputs)
{
    struct outcome outcome = {.by = ""};
    struct arena arena = {0};
    struct percept_err err = {0};
    char path[4200];
    snprintf(path, sizeof path, "%s/best.onnx", exported_folder ? exported_folder : ".");
    struct percept_model *model = exported_open(properties, inputs, outputs);
    struct recognise recognise = {.model = model, .path = path, .folder = exported_folder, .arena = &arena};
    const struct manifest *own = manifest_new(&arena, &err);
    ck_assert_msg(recognise_model(&recognise, &err), "%s", err.text);
    own = recognise_over(&recognise, own, &err);
    ck_assert_msg(own != NULL, "%s", err.text);
    snprintf(outcome.by, sizeof outcome.by, "%s", own->recognised_by ? own->recognised_by : "");
    snprintf(outcome.text, sizeof outcome.text, "%s", recognise.text);
    snprintf(outcome.likely, sizeof outcome.likely, "%s", own->likely ? own->likely : "");
    outcome.task = own->task;
    arena_free(&arena);
    percept_close(model);
    return outcome;
}

void exported_claimed(const char *by, const char *properties, const char *inputs, const char *outputs, const char *part)
{
    const struct outcome outcome = outcome_of(properties, inputs, outputs);
    ck_assert_msg(strcmp(outcome.by, by) == 0, "%s: '%s' %s\n%s", outputs, outcome.by, outcome.likely, outcome.text);
    ck_assert_msg(strstr(outcome.text, part) != NULL, "%s\n%s", part, outcome.text);
}

void exported_refused(const char *properties, const char *inputs, const char *outputs, const char *part)
{
    const struct outcome outcome = outcome_of(properties, inputs, outputs);
    ck_assert_msg(!*outcome.by, "%s %s %s: %s\n%s", properties, inputs, outputs, outcome.by, outcome.text);
    ck_assert_msg(strstr(outcome.likely, part) != NULL, "%s %s %s: '%s'", properties, inputs, outputs, outcome.likely);
    ck_assert_int_eq(outcome.task, TASK_NONE);
}
