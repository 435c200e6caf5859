/*
 * pack.c - from constants that view the file to one region of packed weights.
 *
 *     | node 0's packed bytes | node 3's ... | constant 17 | constant 21 | ...      each 64-byte aligned
 *
 * The order is that of the nodes, then of the values, so the layout is a pure function of the graph, the
 * level and the precision: an adopted region is used by laying the same offsets over it without packing.
 *
 * The digest covers every byte that weights come from (the file, external data as they are read), the
 * level, the precision, whether the batch was freed, each node's algorithm, and the build: another build may pack
 * otherwise. XXH3 runs at memory speed.
 *
 * Small constants that operators read while shapes are planned lie in the region like all others.
 * Strings hold pointers and stay in the model's arena.
 */
#include "engine/pack.h"

#include <string.h>
#include <xxhash.h>

#ifndef PERCEPT_BUILD
#define PERCEPT_BUILD "unversioned"
#endif

#define SLACK 64

struct pack_digest {
    XXH3_state_t *state;
};

struct pack_digest *pack_digest_new(void)
{
    struct pack_digest *digest = arena_buffer(sizeof *digest);
    if (!digest)
        return NULL;
    digest->state = XXH3_createState();
    if (!digest->state) {
        arena_buffer_free(digest);
        return NULL;
    }
    XXH3_128bits_reset(digest->state);
    return digest;
}

void pack_digest_content(struct pack_digest *digest, struct bytes piece)
{
    if (bytes_size(piece))
        XXH3_128bits_update(digest->state, piece.at, bytes_size(piece));
}

void pack_digest_take(const struct pack_digest *digest, uint8_t result[16])
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(digest->state));
    memcpy(result, canonical.digest, 16);
}

void pack_digest_add(struct pack_digest *digest, struct bytes bytes)
{
    uint64_t n = bytes_size(bytes);
    XXH3_128bits_update(digest->state, &n, sizeof n);
    if (n)
        XXH3_128bits_update(digest->state, bytes.at, (size_t)n);
}

void pack_digest_free(struct pack_digest *digest)
{
    if (!digest)
        return;
    XXH3_freeState(digest->state);
    arena_buffer_free(digest);
}

static void finish_digest(struct pack_digest *digest, const struct percept_model *model, uint8_t result[16])
{
    pack_digest_add(digest, bytes_of_text(model->kernels->name));
    pack_digest_add(digest, bytes_of_text(model->description.precision));
    pack_digest_add(digest, bytes_of_text(PERCEPT_BUILD));
    pack_digest_add(digest, bytes_of_text(model->description.batch_rewritten ? "batch freed" : ""));
    for (const struct part *part = model->parts; part; part = part->next)
        for (int i = 0; i < part->graph->n_nodes; i++)
            if (!part->graph->nodes[i].removed && part->graph->nodes[i].algorithm)
                pack_digest_add(digest, bytes_of_text(part->graph->nodes[i].algorithm));
    pack_digest_take(digest, result);
}

/* --- where everything lies ---------------------------------------------------------------------------------------- */

struct layout_walk {
    struct percept_model *model;
    size_t used;
    char *data;       /* NULL: only sizes */
    const char *base; /* set: point at what lies there */
    bool overflow;
};

static size_t take(struct layout_walk *walk, size_t n_bytes)
{
    size_t at = walk->used;
    size_t padded;
    if (__builtin_add_overflow(n_bytes, SLACK + 63, &padded) ||
        __builtin_add_overflow(walk->used, padded / 64 * 64, &walk->used))
        walk->overflow = true;
    return at;
}

static void walk_nodes(struct layout_walk *walk, struct part *part)
{
    for (int i = 0; i < part->graph->n_nodes; i++) {
        const struct node *node = &part->graph->nodes[i];
        if (node->removed || !node->op->rule->pack_bytes)
            continue;
        size_t n_bytes = node->op->rule->pack_bytes(&part->ctx[i]);
        if (!n_bytes)
            continue;
        size_t at = take(walk, n_bytes);
        if (walk->data)
            node->op->rule->pack(&part->ctx[i], walk->data + at);
        if (walk->base)
            part->packed[i] = walk->base + at;
        part->packed_bytes[i] = n_bytes;
    }
}

/* Is the constant read by a live node other than through its packed bytes, or an output? */
static void mark_needed(const struct part *part, bool *needed)
{
    const struct graph *graph = part->graph;
    for (int i = 0; i < graph->n_nodes; i++) {
        const struct node *node = &graph->nodes[i];
        for (int k = 0; k < node->n_in && !node->removed; k++)
            if (node->in[k] >= 0 && !(k < 32 && (part->ctx[i].packed_inputs >> k & 1)))
                needed[node->in[k]] = true;
    }
    for (int i = 0; i < graph->n_outputs; i++)
        needed[graph->outputs[i]] = true;
}

static void walk_constant(struct layout_walk *walk, struct value *value)
{
    struct tensor *tensor = value->constant;
    size_t n_bytes = 0;
    tensor_bytes(tensor, 1, &n_bytes);
    size_t at = take(walk, n_bytes);
    if (walk->data && n_bytes)
        memcpy(walk->data + at, tensor->data, n_bytes);
    if (walk->base) {
        tensor->data = (void *)(uintptr_t)(walk->base + at);
        value->aligned = true;
    }
}

/* Strings: the element array and its characters move to the model's arena. */
static bool keep_strings(struct percept_model *model, struct tensor *tensor)
{
    int64_t n = tensor_elements(tensor);
    const struct percept_string *from = tensor->data;
    struct percept_string *to = arena_array(&model->arena, (size_t)n + 1, sizeof *to);
    if (!to)
        return false;
    for (int64_t i = 0; i < n; i++) {
        to[i].n_bytes = from[i].n_bytes;
        to[i].at = arena_text(&model->arena, from[i].at, from[i].n_bytes);
        if (!to[i].at)
            return false;
    }
    tensor->data = to;
    return true;
}

/* Bodies' captured constants are their outer graph's: they share its tensor. */
static bool own_constant(const struct value *value)
{
    return value->constant && value->outer < 0;
}

static void walk_constants(struct layout_walk *walk, struct part *part, const bool *needed)
{
    for (int v = 0; v < part->graph->n_values; v++) {
        struct value *value = &part->graph->values[v];
        if (own_constant(value) && needed[v] && value->constant->dtype != PERCEPT_STRING)
            walk_constant(walk, value);
    }
}

static void walk_model(struct layout_walk *walk, bool *const *needed)
{
    for (struct part *part = walk->model->parts; part; part = part->next)
        walk_nodes(walk, part);
    int i = 0;
    for (struct part *part = walk->model->parts; part; part = part->next)
        walk_constants(walk, part, needed[i++]);
}

/* What is needed in a body is needed in the graph around it too. */
static void mark_outer(const struct percept_model *model, bool *const *needed)
{
    int i = 0;
    for (struct part *part = model->parts; part; part = part->next, i++) {
        int p = 0;
        for (struct part *outer = model->parts; outer; outer = outer->next, p++) {
            if (outer->graph != part->graph->parent)
                continue;
            for (int v = 0; v < part->graph->n_values; v++)
                if (part->graph->values[v].outer >= 0 && part->graph->values[v].constant && needed[i][v])
                    needed[p][part->graph->values[v].outer] = true;
        }
    }
}

/* Constants that nobody reads any more must not point into memory that goes away. */
static bool settle_rest(struct percept_model *model, bool *const *needed)
{
    int i = 0;
    for (struct part *part = model->parts; part; part = part->next, i++)
        for (int v = 0; v < part->graph->n_values; v++) {
            struct value *value = &part->graph->values[v];
            if (!own_constant(value))
                continue;
            if (!needed[i][v])
                value->constant->data = NULL; /* its dims and type may still be asked for */
            else if (value->constant->dtype == PERCEPT_STRING && !keep_strings(model, value->constant))
                return false;
        }
    return true;
}

/* Bodies read the constants of the graph around them, wherever those lie by now. */
static void relink(struct percept_model *model)
{
    for (struct part *part = model->parts; part; part = part->next)
        for (struct part *outer = model->parts; outer; outer = outer->next)
            for (int v = 0; outer->graph == part->graph->parent && v < part->graph->n_values; v++) {
                struct value *value = &part->graph->values[v];
                if (value->outer >= 0)
                    value->constant = outer->graph->values[value->outer].constant;
            }
}

/* The struct itself may lie in the load arena: move it. */
static bool keep_tensors(struct percept_model *model)
{
    for (struct part *part = model->parts; part; part = part->next)
        for (int v = 0; v < part->graph->n_values; v++) {
            struct value *value = &part->graph->values[v];
            if (!value->constant)
                continue;
            struct tensor *copy = arena_alloc(&model->arena, sizeof *copy);
            if (!copy)
                return false;
            *copy = *value->constant;
            value->constant = copy;
        }
    return true;
}

static bool **needed_constants(struct percept_model *model)
{
    size_t n_parts = 0;
    for (struct part *part = model->parts; part; part = part->next)
        n_parts++;
    bool **needed = arena_array(&model->load, n_parts + 1, sizeof *needed);
    int i = 0;
    for (struct part *part = model->parts; part && needed; part = part->next, i++) {
        needed[i] = arena_array(&model->load, (size_t)part->graph->n_values + 1, sizeof **needed);
        if (!needed[i])
            return NULL;
        mark_needed(part, needed[i]);
    }
    if (needed)
        for (size_t round = 0; round < n_parts; round++) /* bodies may nest */
            mark_outer(model, needed);
    return needed;
}

/* What packing reads must be there by now. */
static bool read_rest(struct percept_model *model)
{
    for (struct part *part = model->parts; part; part = part->next)
        for (int v = 0; v < part->graph->n_values; v++)
            if (!graph_read(part->graph, v))
                return false;
    return true;
}

bool pack_model(struct percept_model *model, struct pack_digest *digest, const char *path,
                const struct percept_options *options, struct percept_err *err)
{
    bool **needed = needed_constants(model);
    if (!needed || !keep_tensors(model))
        return err_set(err, ERR_MEMORY, "out of memory while packing weights");
    struct layout_walk walk = {.model = model};
    walk_model(&walk, needed);
    if (walk.overflow)
        return err_set(err, ERR_MEMORY, "the weights are larger than memory can be");
    struct region_key key = {
        .prefix = options->region_prefix, .level = model->kernels->name, .model = path, .build = PERCEPT_BUILD};
    finish_digest(digest, model, key.digest);
    bool named = options->region == PERCEPT_REGION_SHARED;
    if (walk.used && named)
        model->region = region_find(&key, walk.used);
    model->description.region_adopted = model->region != NULL;
    if (walk.used && !model->region) {
        struct region_draft draft;
        if (!read_rest(model))
            return err_set(err, ERR_SYSTEM, "the weights could not be read");
        if (!region_begin(&draft, walk.used, named ? &key : NULL, err))
            return false;
        struct layout_walk fill = {.model = model, .data = draft.data};
        walk_model(&fill, needed);
        model->region = region_publish(&draft, &key, err);
        if (!model->region)
            return false;
    }
    if (model->region) {
        struct layout_walk point = {.model = model, .base = region_data(model->region)};
        walk_model(&point, needed);
    }
    if (!settle_rest(model, needed))
        return err_set(err, ERR_MEMORY, "out of memory while packing weights");
    relink(model);
    return true;
}
