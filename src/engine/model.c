/*
 * model.c - an open model: its parts, what is asked of it, its end. And what the library says of itself without one:
 * version, levels of kernels, element types, operators.
 *
 * A model is made by open.c, whose helpers (fold.c, fuse.c, pack.c, ...) fill it, and is immutable from then on: so
 * nothing here knows how it came about, and everything in the engine may include this file.
 *
 * Threads: the parts are the loader's; the rest may be asked by anybody.
 */
#include "engine/model.h"

#include <stdio.h>

#ifndef PERCEPT_VERSION
#define PERCEPT_VERSION "0.0.0"
#endif

/* --- the library -------------------------------------------------------------------------------------------------- */

const char *percept_version(void)
{
    return PERCEPT_VERSION;
}

const char *const *percept_kernels(void)
{
    return pick_names();
}

size_t percept_dtype_bytes(enum percept_dtype dtype)
{
    return tensor_dtype_bytes(dtype);
}

const char *percept_dtype_name(enum percept_dtype dtype)
{
    return tensor_dtype_name(dtype);
}

void percept_list_operators(void (*line)(void *user, const char *text), void *user)
{
    int n;
    const struct op *rows = op_table(&n);
    for (int i = 0; i < n; i++) {
        char text[160];
        snprintf(text, sizeof text, "| %s%s%s | %d |", rows[i].domain, *rows[i].domain ? "." : "", rows[i].name,
                 rows[i].since);
        line(user, text);
    }
}

/* --- parts -------------------------------------------------------------------------------------------------------- */

struct part *model_add_part(struct percept_model *model, struct graph *graph)
{
    struct part *part = arena_alloc(&model->arena, sizeof *part);
    if (!part)
        return NULL;
    size_t n = (size_t)graph->n_nodes + 1;
    part->graph = graph;
    part->ctx = arena_array(&model->arena, n, sizeof *part->ctx);
    part->packed = arena_array(&model->arena, n, sizeof *part->packed);
    part->packed_bytes = arena_array(&model->arena, n, sizeof *part->packed_bytes);
    if (!part->ctx || !part->packed || !part->packed_bytes)
        return NULL;
    for (int i = 0; i < graph->n_nodes; i++)
        part->ctx[i] = (struct node_ctx){.graph = graph,
                                         .node = &graph->nodes[i],
                                         .arena = &model->arena,
                                         .load = &model->load,
                                         .kernels = model->kernels,
                                         .precision = model->precision};
    struct part **end = &model->parts;
    while (*end)
        end = &(*end)->next;
    *end = part;
    return part;
}

static bool find_feeds(struct percept_model *model, struct part *part)
{
    const struct graph *graph = part->graph;
    int n = graph->n_inputs;
    for (int v = 0; v < graph->n_values; v++)
        n += graph->values[v].outer >= 0 && !graph->values[v].constant;
    part->feeds = arena_array(&model->arena, (size_t)n + 1, sizeof *part->feeds);
    if (!part->feeds)
        return false;
    part->n_feeds = 0;
    for (int i = 0; i < graph->n_inputs; i++)
        part->feeds[part->n_feeds++] = graph->inputs[i];
    for (int v = 0; v < graph->n_values; v++)
        if (graph->values[v].outer >= 0 && !graph->values[v].constant)
            part->feeds[part->n_feeds++] = v;
    return true;
}

bool model_find_feeds(struct percept_model *model)
{
    for (struct part *part = model->parts; part; part = part->next)
        if (!find_feeds(model, part))
            return false;
    return true;
}

const struct part *model_part(const struct percept_model *model, const struct graph *graph)
{
    const struct part *part = model->parts;
    while (part && part->graph != graph)
        part = part->next;
    return part;
}

/* --- what is asked of an open model ------------------------------------------------------------------------------- */

const struct percept_io *percept_inputs(const struct percept_model *model, int *n)
{
    *n = model->n_inputs;
    return model->inputs;
}

const struct percept_io *percept_outputs(const struct percept_model *model, int *n)
{
    *n = model->n_outputs;
    return model->outputs;
}

void percept_describe(const struct percept_model *model, struct percept_description *description)
{
    *description = model->description;
}

void percept_keep_region(const struct percept_model *model)
{
    region_keep(model->region);
}

void percept_close(struct percept_model *model)
{
    if (!model)
        return;
    region_release(model->region);
    arena_free(&model->load);
    arena_free(&model->arena);
    arena_buffer_free(model);
}
