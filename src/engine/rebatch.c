/*
 * rebatch.c - models exported with a batch of 1: the batch axis is made free where the graph allows it.
 *
 * Many exporters write the batch they traced with, 1, into every shape. Most graphs do not mean it:
 * nothing in them mixes items, and the only place that knows the number is a Reshape with a constant
 * shape [1, ...]. So: the first axis of inputs, outputs and of such constants is freed (-1; or 0, "copy",
 * where a -1 is there already and what is reshaped begins with 1 too, at two lengths if other axes are free:
 * windows of as many samples as the first trial had are one alone by chance), the trial plans of model.c tell
 * whether shapes follow, and where items.c finds no proof two made-up items are run apart and together after
 * packing. Our kernels do
 * not let batch mates touch each other, so the answers must be the same bits; where they are not, the
 * graph itself mixes items (a scale taken over the whole batch, say), and its batch is not free. The same
 * run judges models whose batch is free in the file.
 *
 * Sequences whose batch is another axis, states with fixed initial values and models with strings stay
 * as they are.
 */
#include "engine/rebatch.h"

#include <string.h>

#include "engine/trial.h"

/* Of an item. Beyond that a batch that is free in the file is believed, and one that is not stays 1. */
#define MOST_FLOPS 2e9
#define MOST_BYTES ((size_t)64 << 20)
#define MOST_FLOPS_FREED 1e10

/* Inputs say 1; outputs need not say anything. */
bool rebatch_fits(const struct graph *graph)
{
    for (int i = 0; i < graph->n_inputs; i++) {
        const struct value *input = &graph->values[graph->inputs[i]];
        if (input->rank < 1 || input->dims[0] != 1 || input->dtype == PERCEPT_STRING)
            return false;
    }
    for (int i = 0; i < graph->n_outputs; i++) {
        const struct value *output = &graph->values[graph->outputs[i]];
        if (output->rank == 0 || (output->rank > 0 && output->dims[0] > 1) || output->dtype == PERCEPT_STRING)
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

/* A shape constant [1, ...] with another first element; -1 when memory is short. */
static int freed_shape(struct percept_model *model, const struct tensor *shape, int64_t first)
{
    struct graph *graph = model->onnx.graph;
    struct tensor *copy = arena_alloc(&model->load, sizeof *copy);
    size_t n = (size_t)tensor_elements(shape);
    int64_t *list = arena_array(&model->load, n + 1, sizeof *list);
    int value = copy && list ? graph_add_value(graph, &model->arena, bytes_of("", 0)) : -1;
    if (value < 0)
        return -1;
    memcpy(list, shape->data, n * sizeof *list);
    list[0] = first;
    *copy = *shape;
    copy->data = list;
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

bool rebatch_graph(struct percept_model *model, const struct tensor *dims, const struct tensor *longer)
{
    struct graph *graph = model->onnx.graph;
    for (int i = 0; i < graph->n_nodes; i++) {
        struct node *node = &graph->nodes[i];
        if (node->dead || !bytes_is(node->op_type, "Reshape") || node->n_in < 2 || node->in[1] < 0)
            continue;
        bool ok;
        const struct tensor *shape = graph_constant(graph, node->in[1], &model->load, &ok);
        if (!ok)
            return false;
        if (!shape || shape->dtype != PERCEPT_INT64 || tensor_elements(shape) < 1 ||
            *(const int64_t *)shape->data != 1)
            continue;
        const int64_t first = first_of(shape, &dims[node->in[0]], longer ? &longer[node->in[0]] : NULL);
        if (first == 1)
            continue;
        int value = freed_shape(model, shape, first);
        if (value < 0)
            return false;
        graph->nodes[i].in[1] = value;
    }
    for (int i = 0; i < graph->n_inputs; i++) {
        graph->values[graph->inputs[i]].dims[0] = -1;
        model->inputs[i].dims[0] = -1;
    }
    for (int i = 0; i < graph->n_outputs; i++) {
        struct percept_io *output = &model->outputs[i];
        if (output->rank > 0)
            graph->values[graph->outputs[i]].dims[0] = output->dims[0] = -1;
    }
    return true;
}

/* --- verifying ---------------------------------------------------------------------------------------- */

/* Item `which`: floats around zero, small numbers that are indices almost everywhere. */
static void make_up(void *data, const struct percept_io *io, size_t n, int which)
{
    uint32_t state = 77u + (uint32_t)which;
    size_t size = percept_dtype_bytes(io->dtype);
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        float f = (float)(state >> 8) / 8388608.0f - 1.0f;
        double d = (double)f;
        uint64_t small = state >> 31;
        const void *from = io->dtype == PERCEPT_FLOAT ? (const void *)&f
                           : io->dtype == PERCEPT_DOUBLE ? (const void *)&d : (const void *)&small;
        memcpy((char *)data + i * size, from, size);
    }
}

/* A free axis besides the batch is guessed. */
static void made_up_dims(const struct percept_model *model, int input, int batch, int64_t *dims)
{
    const struct percept_io *io = &model->inputs[input];
    const int64_t length = trial_length(model);
    for (int d = 0; d < io->rank; d++)
        dims[d] = d == 0 ? batch : io->dims[d] < 0 ? length : io->dims[d];
}

/* Runs items [first, first + batch). */
static bool run_items(struct percept_session *session, const struct percept_model *model, int first,
                      int batch)
{
    int64_t dims[RANK_MAX];
    for (int i = 0; i < model->n_inputs; i++) {
        made_up_dims(model, i, batch, dims);
        if (model->inputs[i].rank < 1 || model->inputs[i].dtype == PERCEPT_STRING ||
            !percept_resize(session, i, model->inputs[i].rank, dims, NULL))
            return false;
    }
    const bool freed = model->description.batch_rewritten;
    if (!percept_prepare(session, NULL) ||
        percept_session_flops(session) > (freed ? MOST_FLOPS_FREED : MOST_FLOPS) * batch ||
        (!freed && percept_session_bytes(session) > MOST_BYTES * (size_t)batch))
        return false;
    for (int i = 0; i < model->n_inputs; i++) {
        const struct percept_io *io = &model->inputs[i];
        made_up_dims(model, i, 1, dims);
        int64_t n;
        if (!tensor_count(io->rank, dims, &n))
            return false;
        size_t item = (size_t)n * percept_dtype_bytes(io->dtype);
        for (int k = 0; k < batch; k++)
            make_up((char *)percept_input(session, i) + (size_t)k * item, io, (size_t)n, first + k);
    }
    return percept_run(session, NULL, NULL);
}

/* Bytes of one item of an output when `batch` items ran. */
static size_t item_bytes(const struct percept_tensor *output, int batch)
{
    size_t n = percept_dtype_bytes(output->dtype);
    for (int d = 0; d < output->rank; d++)
        n *= (size_t)output->dims[d];
    return n / (size_t)batch;
}

/* Is item k of the pair what the single run gave? */
static bool same_item(struct percept_session *pair, struct percept_session *single,
                      const struct percept_model *model, int k)
{
    for (int i = 0; i < model->n_outputs; i++) {
        struct percept_tensor two = percept_output(pair, i), one = percept_output(single, i);
        size_t n = item_bytes(&one, 1);
        if (two.dtype == PERCEPT_STRING)
            continue;
        if (two.rank != one.rank || one.dims[0] != 1 || two.dims[0] != 2 || item_bytes(&two, 2) != n ||
            memcmp((const char *)two.data + (size_t)k * n, one.data, n) != 0)
            return false;
    }
    return true;
}

enum rebatch_verdict rebatch_verify(const struct percept_model *model)
{
    if (model->items_apart)
        return REBATCH_APART;
    struct percept_session *pair = percept_session_new(model, NULL);
    struct percept_session *single = percept_session_new(model, NULL);
    enum rebatch_verdict verdict =
        pair && single && run_items(pair, model, 0, 2) ? REBATCH_APART : REBATCH_UNKNOWN;
    for (int k = 0; verdict == REBATCH_APART && k < 2; k++) {
        if (!run_items(single, model, k, 1))
            verdict = REBATCH_UNKNOWN;
        else if (!same_item(pair, single, model, k))
            verdict = REBATCH_MIXED;
    }
    percept_session_free(pair);
    percept_session_free(single);
    return verdict;
}
