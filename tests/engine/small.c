#include "engine/small.h"

#include <check.h>

#include "engine/planner.h"

struct small small_begin(void)
{
    return (struct small){.opset = 13};
}

struct small small_xy(int rank, const int64_t *dims)
{
    struct small s = small_begin();
    small_input(&s, "x", rank, dims);
    small_output(&s, "y", -1, NULL);
    return s;
}

void small_input(struct small *s, const char *name, int rank, const int64_t *dims)
{
    proto_add(&s->graph, GRAPH_INPUT, proto_value(name, PERCEPT_FLOAT, rank, dims));
}

void small_input_named(struct small *s, const char *name, int rank, const int64_t *dims, const char *names)
{
    proto_add(&s->graph, GRAPH_INPUT, proto_value_named(name, PERCEPT_FLOAT, rank, dims, names));
}

void small_output(struct small *s, const char *name, int rank, const int64_t *dims)
{
    proto_add(&s->graph, GRAPH_OUTPUT, proto_value(name, PERCEPT_FLOAT, rank, dims));
}

static size_t count(int rank, const int64_t *dims)
{
    size_t n = 1;
    for (int d = 0; d < rank; d++)
        n *= (size_t)dims[d];
    return n;
}

void small_floats(struct small *s, const char *name, int rank, const int64_t *dims, const float *data)
{
    proto_add(&s->graph, GRAPH_INITIALIZER,
              proto_tensor(name, PERCEPT_FLOAT, rank, dims, data, count(rank, dims) * sizeof *data));
}

void small_weights(struct small *s, const char *name, int rank, const int64_t *dims, unsigned seed)
{
    size_t n = count(rank, dims);
    float *data = malloc((n + 1) * sizeof *data);
    uint32_t state = seed * 2654435761u + 1;
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        data[i] = (float)(state >> 8) / 8388608.0f - 1.0f;
    }
    small_floats(s, name, rank, dims, data);
    free(data);
}

void small_ints(struct small *s, const char *name, int64_t n, const int64_t *data)
{
    proto_add(&s->graph, GRAPH_INITIALIZER, proto_tensor(name, PERCEPT_INT64, 1, &n, data, (size_t)n * sizeof *data));
}

void small_node(struct small *s, const char *op_type, const char *inputs, const char *outputs)
{
    proto_add(&s->graph, GRAPH_NODE, proto_node(op_type, "", inputs, outputs));
}

void small_node_int(struct small *s, const char *op_type, const char *inputs, const char *outputs, const char *name,
                    int64_t value)
{
    struct proto node = proto_node(op_type, "", inputs, outputs);
    proto_attr_int(&node, name, value);
    proto_add(&s->graph, GRAPH_NODE, node);
}

static void add_attr(struct proto *node, const char *name, char *value)
{
    int64_t list[4];
    size_t n = 0;
    char *at = value;
    for (; n < 4 && (*at == '-' || (*at >= '0' && *at <= '9')); at += *at == ',')
        list[n++] = strtoll(at, &at, 10);
    static const char *const lists[] = {"axes", "perm", "kernel_shape", "pads", "strides"};
    bool several = false;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        several = several || strcmp(name, lists[i]) == 0;
    if (n == 0 || *at)
        proto_attr_text(node, name, value);
    else if (several)
        proto_attr_ints(node, name, n, list);
    else
        proto_attr_int(node, name, list[0]);
}

static struct proto read_node(char *text)
{
    char *save, *op_type = strtok_r(text, " ", &save), *inputs = strtok_r(NULL, " ", &save);
    strtok_r(NULL, " ", &save); /* > */
    struct proto node = proto_node(op_type, "", inputs, strtok_r(NULL, " ", &save));
    for (char *attr = strtok_r(NULL, " ", &save); attr; attr = strtok_r(NULL, " ", &save)) {
        char *value = strchr(attr, '=');
        *value++ = 0;
        add_attr(&node, attr, value);
    }
    return node;
}

void small_nodes(struct small *s, const char *text)
{
    char copy[640], *save;
    ck_assert(strlen(text) < sizeof copy);
    strcpy(copy, text);
    for (char *node = strtok_r(copy, ";", &save); node; node = strtok_r(NULL, ";", &save))
        proto_add(&s->graph, GRAPH_NODE, read_node(node));
}

struct proto small_end(struct small *s)
{
    return proto_model(s->graph, s->opset);
}

struct percept_model *small_open(struct small *s)
{
    struct proto file = small_end(s);
    struct percept_options options = {
        .size = sizeof options, .level = getenv("PERCEPTD_KERNELS"), .region = PERCEPT_REGION_PRIVATE};
    struct percept_err err = {0};
    struct percept_model *model = percept_open_memory(file.at, file.n, &options, &err);
    proto_free(&file);
    ck_assert_msg(model != NULL, "%s", err.text);
    return model;
}

struct percept_err small_refused_bytes(const void *data, size_t n, const struct percept_options *options,
                                       const char *part)
{
    struct percept_err err = {0};
    ck_assert_ptr_null(percept_open_memory(data, n, options, &err));
    ck_assert_msg(strlen(err.text) > 10, "no sentence");
    ck_assert_msg(strstr(err.text, part) != NULL, "%s", err.text);
    return err;
}

struct percept_err small_refused(struct small *s, const struct percept_options *options, const char *part)
{
    struct proto file = small_end(s);
    struct percept_err err = small_refused_bytes(file.at, file.n, options, part);
    proto_free(&file);
    return err;
}

struct percept_model *small_open_reshaped(void)
{
    struct small s = small_begin();
    proto_add(&s.graph, GRAPH_INPUT, proto_value("to", PERCEPT_INT64, 1, DIMS(2)));
    small_output(&s, "y", -1, NULL);
    small_floats(&s, "c", 1, DIMS(6), (float[]){1, 2, 3, 4, 5, 6});
    small_node(&s, "Reshape", "c,to", "r");
    small_node(&s, "Sin", "r", "y");
    return small_open(&s);
}

struct percept_description small_describe(const struct percept_model *model)
{
    struct percept_description d;
    percept_describe(model, &d);
    return d;
}

struct percept_session *small_session(struct percept_model *model)
{
    struct percept_err err = {0};
    struct percept_session *session = percept_session_new(model, &err);
    ck_assert_msg(session != NULL, "%s", err.text);
    return session;
}

const float *small_run(struct percept_session *session, int rank, const int64_t *dims, const float *data)
{
    struct percept_err err = {0};
    ck_assert_msg(percept_resize(session, 0, rank, dims, &err), "%s", err.text);
    ck_assert_msg(percept_prepare(session, &err), "%s", err.text);
    memcpy(percept_input(session, 0), data, count(rank, dims) * sizeof *data);
    ck_assert_msg(percept_run(session, NULL, &err), "%s", err.text);
    return percept_output(session, 0).data;
}

/* In which buffer a tensor lies, or -1. */
static int buffer_of(const struct plan *plan, const struct tensor *tensor)
{
    for (int i = 0; i < plan->n_placed; i++)
        if (plan->placed[i].tensor == tensor)
            return plan->placed[i].buffer;
    return -1;
}

static void expect_alive(const struct plan *plan, int buffer, int step, const char *what)
{
    if (buffer < 0)
        return;
    const struct buffer *b = &plan->buffers[buffer];
    ck_assert_msg(b->first <= step && step <= b->last, "%s of step %d (%s) lies where nothing is kept from %d to %d",
                  what, step, plan->steps[step].op->name, b->first, b->last);
}

/* Whatever a step reads or writes is kept while it runs, and what is kept at one time lies apart. */
static void expect_sound(const struct plan *plan)
{
    for (int i = 0; i < plan->n_steps; i++) {
        const struct step *step = &plan->steps[i];
        for (int k = 0; k < step->n_in; k++)
            expect_alive(plan, step->in[k] ? buffer_of(plan, step->in[k]) : -1, i, "an input");
        for (int k = 0; k < step->n_out; k++)
            expect_alive(plan, buffer_of(plan, step->out[k]), i, "an output");
        expect_alive(plan, plan->step_buffer[i], i, "the scratch");
    }
    for (int i = 0; i < plan->n_buffers; i++)
        for (int k = 0; k < i; k++) {
            const struct buffer *a = &plan->buffers[i], *b = &plan->buffers[k];
            const bool apart = a->offset + a->n_bytes <= b->offset || b->offset + b->n_bytes <= a->offset;
            ck_assert_msg(apart || a->last < b->first || b->last < a->first, "buffers %d and %d share memory", i, k);
        }
}

void small_plan(struct plan *plan, const struct percept_model *model, int rank, const int64_t *dims)
{
    struct tensor input = {.dtype = model->inputs[0].dtype};
    tensor_set_dims(&input, rank, dims);
    struct percept_err err = {0};
    ck_assert_msg(planner_build(plan, model, model->parts, &input, &err), "%s", err.text);
    expect_sound(plan);
}

const struct step *small_step(const struct plan *plan, const char *op_type)
{
    for (int i = 0; i < plan->n_steps; i++)
        if (strcmp(plan->steps[i].op->name, op_type) == 0)
            return &plan->steps[i];
    return NULL;
}
