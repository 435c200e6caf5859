/*
 * facts.c - see facts.h.
 *
 * Activations are found from the outputs backwards, through operators that only move numbers; layouts from the inputs
 * forwards, through operators that change each number by itself, to the first convolution. The layout follows sizes
 * where no convolution tells it, and only where one axis alone can be the channels. Each value is looked at once, so a
 * walk costs no more than the graph is long, whatever its shape.
 *
 * Not here: bodies of If, Loop and Scan. What comes out of one is not known to be activated.
 */
#include "engine/facts.h"

#include <string.h>

/* --- backwards ---------------------------------------------------------------------------------------------------- */

struct walk {
    const struct graph *graph;
    bool *seen; /* [n_values] */
    int *stack; /* [n_values] */
    int n;
};

static void push(struct walk *walk, int value)
{
    if (value < 0 || walk->seen[value])
        return;
    walk->seen[value] = true;
    walk->stack[walk->n++] = value;
}

static void begin(struct walk *walk, int value)
{
    memset(walk->seen, 0, (size_t)walk->graph->n_values * sizeof *walk->seen);
    walk->n = 0;
    push(walk, value);
}

static bool is_one_of(const struct node *node, const char *const *op_types)
{
    if (bytes_size(node->domain) && !bytes_is(node->domain, "ai.onnx"))
        return false;
    while (*op_types && !bytes_is(node->op_type, *op_types))
        op_types++;
    return *op_types != NULL;
}

static const struct node *producer_of(const struct graph *graph, int value)
{
    const int producer = graph->values[value].constant ? -1 : graph->values[value].producer;
    return producer < 0 ? NULL : &graph->nodes[producer];
}

static enum percept_activation activation_of(const struct node *node)
{
    static const struct {
        const char *op_types[2];
        enum percept_activation activation;
    } rows[] = {{{"Softmax"}, PERCEPT_ACTIVATION_SOFTMAX},
                {{"LogSoftmax"}, PERCEPT_ACTIVATION_LOG_SOFTMAX},
                {{"Sigmoid"}, PERCEPT_ACTIVATION_SIGMOID}};
    for (size_t i = 0; node && i < sizeof rows / sizeof *rows; i++)
        if (is_one_of(node, rows[i].op_types))
            return rows[i].activation;
    return PERCEPT_ACTIVATION_NONE;
}

static enum percept_activation find_activation(struct walk *walk, int output)
{
    static const char *const movers[] = {"Identity", "Cast",  "Reshape",   "Squeeze", "Unsqueeze",
                                         "Flatten",  "Split", "Transpose", "Slice",   NULL};
    enum percept_activation found = PERCEPT_ACTIVATION_UNKNOWN;
    begin(walk, output);
    while (walk->n) {
        const struct node *node = producer_of(walk->graph, walk->stack[--walk->n]);
        const bool joins = node && is_one_of(node, (const char *const[]){"Concat", NULL});
        for (int i = 0; joins && i < node->n_in; i++)
            push(walk, node->in[i]);
        if (joins)
            continue;
        if (node && node->n_in && is_one_of(node, movers)) {
            push(walk, node->in[0]);
            continue;
        }
        const enum percept_activation one = activation_of(node);
        if (found != PERCEPT_ACTIVATION_UNKNOWN && found != one)
            return PERCEPT_ACTIVATION_UNKNOWN;
        found = one;
    }
    return found;
}

static bool find_exp(struct walk *walk, int output)
{
    static const char *const weights[] = {"Conv", "ConvTranspose", "Gemm", "MatMul", NULL};
    begin(walk, output);
    while (walk->n) {
        const struct node *node = producer_of(walk->graph, walk->stack[--walk->n]);
        if (node && is_one_of(node, (const char *const[]){"Exp", NULL}))
            return true;
        for (int i = 0; node && i < node->n_in && !is_one_of(node, weights); i++)
            push(walk, node->in[i]);
    }
    return false;
}

/* --- forwards ----------------------------------------------------------------------------------------------------- */

static const struct attr *attr_of(const struct node *node, const char *name)
{
    for (int i = 0; i < node->n_attr; i++)
        if (bytes_is(node->attrs[i].name, name))
            return &node->attrs[i];
    return NULL;
}

static bool brings_channels_forward(const struct node *node)
{
    static const int64_t perm[] = {0, 3, 1, 2};
    const struct attr *attr = attr_of(node, "perm");
    return attr && attr->ints && attr->n == 4 && memcmp(attr->ints, perm, sizeof perm) == 0;
}

/* Can a convolution read so many channels? True where its weights are no constant. */
static bool reads_channels(const struct graph *graph, const struct node *node, int64_t channels)
{
    const struct tensor *weights = node->n_in > 1 && node->in[1] >= 0 ? graph->values[node->in[1]].constant : NULL;
    const struct attr *group = attr_of(node, "group");
    return !weights || channels < 0 ||
           (weights->rank == 4 && weights->dims[1] * (group && group->i > 0 ? group->i : 1) == channels);
}

/* One is 1 or 3 where the other is not. */
static enum percept_layout layout_by_sizes(const int64_t *dims)
{
    const bool first = dims[1] == 1 || dims[1] == 3, last = dims[3] == 1 || dims[3] == 3;
    if (first == last || dims[1] < 0 || dims[3] < 0)
        return PERCEPT_LAYOUT_UNKNOWN;
    return first ? PERCEPT_LAYOUT_NCHW : PERCEPT_LAYOUT_NHWC;
}

/* The input that a node reads in the marked order: the first marked. */
static uint8_t mark_of(const struct node *node, const uint8_t *marks)
{
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] >= 0 && marks[node->in[i]])
            return marks[node->in[i]];
    return 0;
}

/* Marks what an input's numbers are in, in their order or with the channels brought forward, up to a convolution. */
static enum percept_layout find_layout(const struct graph *graph, int input, uint8_t *marks)
{
    static const char *const each[] = {"Identity", "Cast", "Sub", "Div", "Mul", "Add",    "BatchNormalization",
                                       "Clip",     "Pad",  "Neg", "Sum", "Pow", "Resize", NULL};
    const int64_t *dims = graph->values[input].dims;
    memset(marks, 0, (size_t)graph->n_values);
    marks[input] = PERCEPT_LAYOUT_NCHW;
    for (int i = 0; i < graph->n_nodes; i++) {
        const struct node *node = &graph->nodes[i];
        uint8_t mark = node->removed ? 0 : mark_of(node, marks);
        if (!mark || !node->n_out || node->out[0] < 0)
            continue;
        if (is_one_of(node, (const char *const[]){"Conv", NULL}))
            return reads_channels(graph, node, dims[mark == PERCEPT_LAYOUT_NCHW ? 1 : 3]) ? mark
                                                                                          : PERCEPT_LAYOUT_UNKNOWN;
        if (is_one_of(node, (const char *const[]){"Transpose", NULL}))
            mark = mark == PERCEPT_LAYOUT_NCHW && brings_channels_forward(node) ? PERCEPT_LAYOUT_NHWC : 0;
        else if (!is_one_of(node, each))
            mark = 0;
        marks[node->out[0]] = mark;
    }
    return layout_by_sizes(dims);
}

bool facts_find(struct percept_model *model)
{
    const struct graph *graph = model->onnx.graph;
    const size_t n = (size_t)graph->n_values + 1;
    struct walk walk = {.graph = graph,
                        .seen = arena_array(&model->load, n, sizeof *walk.seen),
                        .stack = arena_array(&model->load, n, sizeof *walk.stack)};
    uint8_t *marks = arena_array(&model->load, n, sizeof *marks);
    if (!walk.seen || !walk.stack || !marks)
        return false;
    for (int i = 0; i < model->n_outputs; i++) {
        model->outputs[i].activation = find_activation(&walk, graph->outputs[i]);
        model->outputs[i].has_exp = find_exp(&walk, graph->outputs[i]);
    }
    for (int i = 0; i < model->n_inputs; i++)
        if (graph->values[graph->inputs[i]].rank == 4)
            model->inputs[i].layout = find_layout(graph, graph->inputs[i], marks);
    return true;
}
