/*
 * rebatch.c - models exported with a batch of 1: the batch axis is made free where the graph allows it.
 *
 * Many exporters write the batch they traced with, 1, into every shape. Most graphs do not mean it:
 * nothing in them mixes items, and the only place that knows the number is a Reshape with a constant
 * shape [1, ...]. So: the first axis of inputs and of such constants is freed (-1; or 0, "copy",
 * where a -1 is there already and what is reshaped begins with 1 too, at two lengths if other axes are free:
 * windows of as many samples as the first trial had are one alone by chance). Then axes.c tells whether items are
 * proved apart, as of any model. Where they do not, all is put back.
 *
 * At a batch of 1 the constants of the file are those that count (planner.c), so that a freed network is the file's
 * there, at all lengths. At others nothing is believed of it that is not proved at the very shapes (session.c).
 *
 * Where the batch is fixed at 1 along another axis it stays as it is, and so do states with fixed initial values.
 */
#include "engine/rebatch.h"

#include <string.h>

/* Inputs say 1; outputs need not say anything. */
bool rebatch_fits(const struct graph *graph)
{
    for (int i = 0; i < graph->n_inputs; i++) {
        const struct value *input = &graph->values[graph->inputs[i]];
        if (input->rank < 1 || input->dims[0] != 1)
            return false;
    }
    for (int i = 0; i < graph->n_outputs; i++) {
        const struct value *output = &graph->values[graph->outputs[i]];
        if (output->rank == 0 || (output->rank > 0 && output->dims[0] > 1))
            return false;
    }
    return graph->n_inputs > 0 && graph->n_outputs > 0;
}

/* Is there a -1 in the shape, which takes what is left over? */
static bool has_rest(const struct tensor *shape)
{
    const int64_t *list = shape->data;
    for (int64_t i = 0; i < tensor_elements(shape); i++)
        if (list[i] == -1)
            return true;
    return false;
}

/* A shape constant [1, ...] with another first element, its value; -1 when memory is short. */
static int freed_shape(struct percept_model *model, const struct tensor *shape, int64_t first)
{
    struct graph *graph = model->onnx.graph;
    struct tensor *copy = arena_alloc(&model->load, sizeof *copy);
    struct freed *freed = &model->freed[model->n_freed];
    size_t n = (size_t)tensor_elements(shape);
    int64_t *list = arena_array(&model->load, n + 1, sizeof *list);
    int64_t *file = arena_array(&model->arena, n + 1, sizeof *file);
    int value = copy && list && file ? graph_add_value(graph, &model->arena, bytes_of("", 0)) : -1;
    if (value < 0)
        return -1;
    memcpy(list, shape->data, n * sizeof *list);
    memcpy(file, shape->data, n * sizeof *file);
    list[0] = first;
    *copy = *shape;
    copy->data = list;
    *freed = (struct freed){.value = value, .file = *shape};
    freed->file.data = file;
    graph->values[value].constant = copy;
    graph->values[value].aligned = true;
    return value;
}

static bool begins_with_one(const struct tensor *x)
{
    return x->rank >= 1 && x->dims[0] == 1;
}

/* What a Reshape of x to [1, ...] may begin with: a copy (0) of an axis that is always 1, or what is left
 * over (-1). Where lengths are free what is left over need not be the batch. 1: neither. */
static int64_t first_of(const struct tensor *shape, const struct tensor *x, const struct tensor *longer)
{
    if (longer)
        return begins_with_one(x) && begins_with_one(longer) ? 0 : 1;
    if (has_rest(shape))
        return begins_with_one(x) ? 0 : 1;
    return -1;
}

static void first_axes(struct percept_model *model, int64_t batch)
{
    const struct graph *graph = model->onnx.graph;
    for (int i = 0; i < graph->n_inputs; i++)
        graph->values[graph->inputs[i]].dims[0] = model->inputs[i].dims[0] = batch;
}

bool rebatch_graph(struct percept_model *model, const struct tensor *dims, const struct tensor *longer)
{
    struct graph *graph = model->onnx.graph;
    model->n_freed = 0;
    model->freed = arena_array(&model->arena, (size_t)graph->n_nodes + 1, sizeof *model->freed);
    if (!model->freed)
        return false;
    for (int i = 0; i < graph->n_nodes; i++) {
        struct node *node = &graph->nodes[i];
        if (node->removed || !(node->op->rule->flags & OP_RESHAPES) || node->n_in < 2 || node->in[1] < 0)
            continue;
        bool ok;
        const struct tensor *shape = graph_constant(graph, node->in[1], &model->load, &ok);
        if (!ok)
            return false;
        if (!shape || shape->dtype != PERCEPT_INT64 || tensor_elements(shape) < 1 || *(const int64_t *)shape->data != 1)
            continue;
        const int64_t first = first_of(shape, &dims[node->in[0]], longer ? &longer[node->in[0]] : NULL);
        if (first == 1)
            continue;
        const int value = freed_shape(model, shape, first);
        if (value < 0)
            return false;
        struct freed *freed = &model->freed[model->n_freed++];
        freed->node = i;
        freed->before = graph->nodes[i].in[1];
        graph->nodes[i].in[1] = value;
    }
    first_axes(model, -1);
    return true;
}

void rebatch_undo(struct percept_model *model)
{
    struct graph *graph = model->onnx.graph;
    for (int i = 0; i < model->n_freed; i++) {
        graph->nodes[model->freed[i].node].in[1] = model->freed[i].before;
        graph->values[model->freed[i].value].constant = NULL;
    }
    model->n_freed = 0;
    first_axes(model, 1);
}
