/*
 * describe.c - what percept_inputs, percept_outputs and percept_describe will say.
 *
 * In four moments of opening a model, because what they tell is there no longer, or not before: names, dims and
 * operators as the file has them, before anything is folded or fused; types and ranks of outputs that the file leaves
 * open, from the trial; the labels of their columns, from checked nodes; the region and the number of steps, once the
 * weights are packed.
 *
 * All texts are copied into the model's arena: the file's bytes go when the model is open.
 *
 * Not here: what the model computes (batch_rewritten and fusions are set where they are found).
 */
#include "engine/describe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "engine/facts.h"
#include "op/label.h"

static bool describe_io(struct percept_model *model, const int *values, int n, struct percept_io **list)
{
    const struct graph *graph = model->onnx.graph;
    *list = arena_array(&model->arena, (size_t)n + 1, sizeof **list);
    for (int i = 0; *list && i < n; i++) {
        const struct value *value = &graph->values[values[i]];
        struct percept_io *io = &(*list)[i];
        io->name = arena_text(&model->arena, value->name.at, bytes_size(value->name));
        io->dtype = value->dtype;
        io->rank = value->rank;
        io->batch_axis = list == &model->inputs ? 0 : -1;
        if (!io->name)
            return false;
        for (int d = 0; d < value->rank; d++) {
            io->dims[d] = value->dims[d];
            struct bytes dim = value->dim_names[d];
            if (bytes_size(dim))
                io->dim_names[d] = arena_text(&model->arena, dim.at, bytes_size(dim));
        }
    }
    return *list != NULL;
}

static int by_op_type(const void *a, const void *b)
{
    const struct percept_operator_count *x = a, *y = b;
    return strcmp(x->op_type, y->op_type);
}

static bool count_operators(struct percept_model *model)
{
    const struct graph *graph = model->onnx.graph;
    struct percept_description *description = &model->description;
    struct percept_operator_count *counts = arena_array(&model->arena, (size_t)graph->n_nodes + 1, sizeof *counts);
    if (!counts)
        return false;
    int n = 0;
    for (int i = 0; i < graph->n_nodes; i++) {
        struct bytes op_type = graph->nodes[i].op_type;
        int k = 0;
        while (k < n && !bytes_is(op_type, counts[k].op_type))
            k++;
        if (k == n) {
            counts[n].op_type = arena_text(&model->arena, op_type.at, bytes_size(op_type));
            if (!counts[n++].op_type)
                return false;
        }
        counts[k].count++;
    }
    qsort(counts, (size_t)n, sizeof *counts, by_op_type);
    description->operators = counts;
    description->n_operators = n;
    description->n_nodes = graph->n_nodes;
    return true;
}

#define PROPERTIES_MAX 256
#define PROPERTY_KEY_MAX_BYTES 256
#define PROPERTY_MAX_BYTES ((size_t)1 << 20)
#define PROPERTIES_MAX_BYTES ((size_t)4 << 20)

/* UTF-8 without NUL. */
static bool is_text(struct bytes text)
{
    for (const uint8_t *at = text.at; at < text.end;) {
        uint32_t code;
        at = utf8_read(at, text.end, &code);
        if (!at || !code)
            return false;
    }
    return true;
}

static bool describe_properties(struct percept_model *model)
{
    struct percept_description *description = &model->description;
    const struct onnx_model *onnx = &model->onnx;
    const int room = onnx->n_properties < PROPERTIES_MAX ? onnx->n_properties : PROPERTIES_MAX;
    struct percept_property *properties = arena_array(&model->arena, (size_t)room + 1, sizeof *properties);
    size_t used_bytes = 0;
    int n = 0;
    if (!properties)
        return false;
    for (int i = 0; i < onnx->n_properties && n < room; i++) {
        const struct bytes key = onnx->properties[i].key, value = onnx->properties[i].value;
        if (bytes_size(key) > PROPERTY_KEY_MAX_BYTES || bytes_size(value) > PROPERTY_MAX_BYTES ||
            used_bytes + bytes_size(value) > PROPERTIES_MAX_BYTES || !is_text(key) || !is_text(value))
            continue;
        used_bytes += bytes_size(value);
        properties[n].key = arena_text(&model->arena, key.at, bytes_size(key));
        properties[n].value = arena_text(&model->arena, value.at, bytes_size(value));
        if (!properties[n].key || !properties[n].value)
            return false;
        n++;
    }
    description->properties = properties;
    description->n_properties = n;
    description->n_properties_left_out = onnx->n_properties - n;
    return true;
}

bool describe_model(struct percept_model *model, size_t file_bytes)
{
    struct percept_description *description = &model->description;
    const struct onnx_model *onnx = &model->onnx;
    description->producer = arena_text(&model->arena, onnx->producer.at, bytes_size(onnx->producer));
    description->ir_version = onnx->ir_version;
    description->opset = onnx->opset;
    description->n_parameters = onnx->n_parameters;
    description->file_bytes = file_bytes;
    model->n_inputs = onnx->graph->n_inputs;
    model->n_outputs = onnx->graph->n_outputs;
    return description->producer && describe_io(model, onnx->graph->inputs, model->n_inputs, &model->inputs) &&
           describe_io(model, onnx->graph->outputs, model->n_outputs, &model->outputs) && count_operators(model) &&
           describe_properties(model) && facts_find(model);
}

static void describe_output(struct percept_io *io, const struct tensor *got, bool scalars)
{
    io->dtype = got->dtype;
    if ((io->rank >= 0 && io->rank == got->rank) || (scalars && got->rank == 0))
        return;
    io->rank = got->rank;
    for (int d = 0; d < got->rank; d++) {
        io->dims[d] = -1;
        io->dim_names[d] = NULL;
    }
}

void describe_outputs(struct percept_model *model, const struct plan *trial)
{
    bool scalars = !trial->outputs; /* no promise: with others in, others come out */
    for (int i = 0; i < model->n_inputs; i++)
        scalars = scalars || model->inputs[i].rank == 0;
    for (int i = 0; i < model->n_outputs; i++) {
        struct percept_io *io = &model->outputs[i];
        io->rank = scalars && io->rank == 0 ? -1 : io->rank;
        if (trial->outputs)
            describe_output(io, trial->outputs[i], scalars);
        if (io->batch_axis >= 0 && io->batch_axis < io->rank)
            io->dims[io->batch_axis] = -1;
    }
}

bool describe_batch(struct percept_model *model, const struct items_proof *proof, bool word)
{
    struct percept_description *description = &model->description;
    char text[320];
    if (proof->node)
        snprintf(text, sizeof text, OP_AT "%s", OP_NODE(proof->node), proof->why);
    else
        snprintf(text, sizeof text, "%s", proof->independent ? "" : proof->why);
    const char *reason = arena_text(&model->arena, text, strlen(text));
    description->batch_reason = reason ? reason : "";
    description->batch_free = proof->independent || word;
    description->batch_asserted = description->batch_free && !proof->independent;
    return description->batch_free;
}

bool describe_labels(struct percept_model *model)
{
    const struct graph *graph = model->onnx.graph;
    for (int i = 0; i < model->n_outputs; i++) {
        const int producer = graph->values[graph->outputs[i]].producer;
        const int n = producer < 0 ? 0 : label_count(&graph->nodes[producer]);
        const char **labels = arena_array(&model->arena, (size_t)n + 1, sizeof *labels);
        if (!labels)
            return false;
        for (int k = 0; k < n; k++)
            if (!(labels[k] = label_text(&graph->nodes[producer], k, &model->arena)))
                return false;
        model->outputs[i].n_labels = n;
        model->outputs[i].labels = labels;
    }
    return true;
}

/* Nodes say them, bodies' too; of many alike the first is named. */
static bool collect_notes(struct percept_model *model)
{
    enum { MOST_NOTES = 16 };
    const char *texts[MOST_NOTES];
    const struct node *nodes[MOST_NOTES];
    int counts[MOST_NOTES], n = 0;
    for (const struct part *part = model->parts; part; part = part->next)
        for (int i = 0; i < part->graph->n_nodes; i++) {
            const struct node *node = &part->graph->nodes[i];
            int k = 0;
            if (node->removed || !node->note)
                continue;
            while (k < n && strcmp(texts[k], node->note) != 0)
                k++;
            if (k == MOST_NOTES)
                continue;
            if (k == n) {
                texts[k] = node->note;
                nodes[k] = node;
                counts[n++] = 0;
            }
            counts[k]++;
        }
    const char **notes = arena_array(&model->arena, (size_t)n + 1, sizeof *notes);
    bool good = notes != NULL;
    for (int k = 0; good && k < n; k++) {
        char more[48] = "";
        if (counts[k] > 1)
            snprintf(more, sizeof more, " (%d more like it)", counts[k] - 1);
        notes[k] =
            arena_printf(&model->arena, "node '" BYTES_FMT "' (" BYTES_FMT ") %s%s", OP_NODE(nodes[k]), texts[k], more);
        good = notes[k] != NULL;
    }
    model->description.notes = notes;
    model->description.n_notes = good ? n : 0;
    return good;
}

static bool collect_layers(struct percept_model *model)
{
    int n = 0;
    for (const struct part *part = model->parts; part; part = part->next)
        for (int i = 0; i < part->graph->n_nodes; i++)
            n += !part->graph->nodes[i].removed && part->graph->nodes[i].algorithm;
    struct percept_layer *layers = arena_array(&model->arena, (size_t)n + 1, sizeof *layers);
    bool good = layers != NULL;
    model->description.layers = layers;
    model->description.n_layers = good ? n : 0;
    for (const struct part *part = model->parts; good && part; part = part->next)
        for (int i = 0; good && i < part->graph->n_nodes; i++) {
            const struct node *node = &part->graph->nodes[i];
            if (node->removed || !node->algorithm)
                continue;
            *layers = (struct percept_layer){.node = arena_text(&model->arena, node->name.at, bytes_size(node->name)),
                                             .op_type =
                                                 arena_text(&model->arena, node->op_type.at, bytes_size(node->op_type)),
                                             .algorithm = node->algorithm};
            good = layers->node && layers->op_type;
            layers++;
        }
    return good;
}

bool describe_packed(struct percept_model *model)
{
    struct percept_description *description = &model->description;
    for (int i = 0; i < model->n_inputs && !description->batch_free; i++)
        model->inputs[i].batch_axis = -1;
    description->region_bytes = model->region ? region_bytes(model->region) : 0;
    description->region_name = model->region ? region_name(model->region) : "";
    for (int i = 0; i < model->onnx.graph->n_nodes; i++)
        description->n_steps += !model->onnx.graph->nodes[i].removed;
    return collect_layers(model) && collect_notes(model);
}
