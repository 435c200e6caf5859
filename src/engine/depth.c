/*
 * depth.c - see depth.h. One item is run by a frame of its own; inputs and outputs of the batch lie in one stretch of
 * memory, each item's beside the next, and are copied in and out: little, beside layers that outgrow a cache.
 */
#include "engine/depth.h"

#include <string.h>

#include "engine/items.h"

#define CACHE_BYTES ((size_t)1 << 20) /* maps of an item that are smaller stay in the second cache, with the weights */
#define MOST_SHARE 4                  /* of the maps' bytes that may be inputs and outputs, which are copied: 1 / 4 */

struct depth {
    const struct percept_model *model;
    struct frame *item;
    int64_t n; /* items of the batch that was prepared last; 0: none */
    struct arena arena;
    struct tensor *feeds, *outputs; /* [n_inputs], [n_outputs] of the whole batch; data in rows */
    char *rows;
    size_t rows_bytes, needed_bytes; /* held; of them those that the batch needs */
    bool ran;
};

struct depth *depth_new(const struct percept_model *model, struct percept_err *err)
{
    struct depth *depth = arena_buffer(sizeof *depth);
    if (!depth) {
        err_memory(err, "a session", sizeof *depth);
        return NULL;
    }
    depth->model = model;
    depth->feeds = arena_array(&depth->arena, (size_t)model->n_inputs + 1, sizeof *depth->feeds);
    depth->outputs = arena_array(&depth->arena, (size_t)model->n_outputs + 1, sizeof *depth->outputs);
    depth->item = frame_new(model, model->parts, err);
    if (depth->item && depth->feeds && depth->outputs)
        return depth;
    if (depth->item)
        err_memory(err, "a session", sizeof *depth);
    depth_free(depth);
    return NULL;
}

void depth_free(struct depth *depth)
{
    if (!depth)
        return;
    frame_free(depth->item);
    arena_buffer_free(depth->rows);
    arena_free(&depth->arena);
    arena_buffer_free(depth);
}

/* --- does it pay? ------------------------------------------------------------------------------------------------- */

static bool holds_items(const struct tensor *tensor, const struct percept_io *io, int64_t n)
{
    return io->batch_axis == 0 && tensor->rank > 0 && tensor->dims[0] == n && tensor->dtype != PERCEPT_STRING;
}

/* Items of the batch; 0 when they do not lie along the first axis of all inputs and outputs. */
static int64_t items_of(const struct percept_model *model, const struct plan *plan)
{
    if (!plan->outputs || !model->n_inputs || model->n_inputs != plan->part->n_feeds || plan->feeds[0]->rank < 1)
        return 0;
    const int64_t n = plan->feeds[0]->dims[0];
    bool all = true;
    for (int i = 0; i < model->n_inputs; i++)
        all = all && holds_items(plan->feeds[i], &model->inputs[i], n);
    for (int i = 0; i < model->n_outputs; i++)
        all = all && holds_items(plan->outputs[i], &model->outputs[i], n);
    return all ? n : 0;
}

static size_t size_of(const struct percept_model *model, const struct tensor *tensor)
{
    size_t n_bytes;
    return tensor_bytes(tensor, model->kernels->width, &n_bytes) ? n_bytes : 0;
}

/* What steps write, and of it what goes in and out. */
static bool maps_outgrow(const struct percept_model *model, const struct plan *plan, int64_t n)
{
    size_t maps = 0, ends = 0;
    for (int i = 0; i < plan->n_steps; i++)
        for (int o = 0; o < plan->steps[i].n_out; o++)
            maps += plan->steps[i].alias ? 0 : size_of(model, plan->steps[i].out[o]);
    for (int i = 0; i < model->n_inputs; i++)
        ends += size_of(model, plan->feeds[i]);
    for (int i = 0; i < model->n_outputs; i++)
        ends += size_of(model, plan->outputs[i]);
    const size_t weights = model->region ? region_bytes(model->region) : 0, item = maps / (size_t)n;
    return item > CACHE_BYTES && item > weights && ends < maps / MOST_SHARE;
}

bool depth_wanted(const struct percept_model *model, struct plan *plan)
{
    if (!plan->depth_asked) {
        const int64_t n = items_of(model, plan);
        plan->depth_asked = true;
        plan->depth_first = n > 1 && maps_outgrow(model, plan, n) && items_prove_plan(model, plan).independent;
    }
    return plan->depth_first;
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

static size_t padded(size_t n_bytes)
{
    return (n_bytes + 127) / 64 * 64; /* kernels may read a vector past the end */
}

/* Gives the tensor its place among the rows; where `rows` is NULL its size alone counts. */
static size_t place(const struct depth *depth, struct tensor *to, const struct tensor *from, size_t at)
{
    *to = *from;
    to->data = depth->rows ? depth->rows + at : NULL;
    return at + padded(size_of(depth->model, from));
}

static size_t place_all(struct depth *depth, const struct plan *plan)
{
    size_t at = 0;
    for (int i = 0; i < depth->model->n_inputs; i++)
        at = place(depth, &depth->feeds[i], plan->feeds[i], at);
    for (int i = 0; i < depth->model->n_outputs; i++)
        at = place(depth, &depth->outputs[i], plan->outputs[i], at);
    return at;
}

static bool reserve_rows(struct depth *depth, const struct plan *plan, struct percept_err *err)
{
    const size_t n_bytes = place_all(depth, plan);
    if (!depth->rows || n_bytes > depth->rows_bytes) {
        arena_buffer_free(depth->rows);
        depth->rows = arena_buffer_from(depth->model->budget, n_bytes);
        depth->rows_bytes = depth->rows ? n_bytes : 0;
        if (!depth->rows)
            return err_memory(err, "the network's tensors", n_bytes);
        place_all(depth, plan);
    }
    depth->needed_bytes = n_bytes;
    return true;
}

static bool prepare_item(struct depth *depth, const struct plan *plan, struct percept_err *err)
{
    struct tensor *feeds = frame_feeds(depth->item);
    for (int i = 0; i < depth->model->n_inputs; i++) {
        struct tensor one = {.dtype = plan->feeds[i]->dtype};
        tensor_set_dims(&one, plan->feeds[i]->rank, plan->feeds[i]->dims);
        one.dims[0] = 1;
        if (!tensor_same_dims(&one, &feeds[i])) {
            feeds[i] = one;
            frame_changed(depth->item);
        }
    }
    return frame_prepare(depth->item, err);
}

static bool is_prepared(const struct depth *depth, const struct plan *plan)
{
    bool same = depth->n > 0;
    for (int i = 0; same && i < depth->model->n_inputs; i++)
        same = tensor_same_dims(&depth->feeds[i], plan->feeds[i]);
    return same;
}

bool depth_prepare(struct depth *depth, const struct plan *plan, struct percept_err *err)
{
    if (is_prepared(depth, plan))
        return true;
    depth->n = 0;
    depth->ran = false;
    if (!prepare_item(depth, plan, err) || !reserve_rows(depth, plan, err))
        return false;
    depth->n = plan->feeds[0]->dims[0];
    return true;
}

void *depth_feed(struct depth *depth, int i)
{
    return depth->feeds[i].data;
}

size_t depth_bytes(const struct depth *depth)
{
    return depth->rows_bytes + frame_bytes(depth->item);
}

size_t depth_needs(const struct depth *depth)
{
    return depth->n ? depth->needed_bytes + frame_needs(depth->item) : 0;
}

void depth_trim(struct depth *depth, bool all)
{
    frame_trim(depth->item, all || !depth->n);
    arena_buffer_free(depth->rows);
    depth->rows = NULL;
    depth->rows_bytes = 0;
    depth->n = 0;
    depth->ran = false;
}

/* --- running ------------------------------------------------------------------------------------------------------ */

/* Item `index` of a tensor that holds all; its bytes. */
static char *row_of(const struct depth *depth, const struct tensor *all, int64_t index, size_t *n_bytes)
{
    *n_bytes = size_of(depth->model, all) / (size_t)depth->n;
    return (char *)all->data + (size_t)index * *n_bytes;
}

static bool run_item(struct depth *depth, int64_t index, const struct percept_run_context *context,
                     const struct frame_observer *observer, struct percept_err *err)
{
    size_t n_bytes;
    for (int i = 0; i < depth->model->n_inputs; i++) {
        const char *row = row_of(depth, &depth->feeds[i], index, &n_bytes);
        memcpy(frame_feed_data(depth->item, i), row, n_bytes);
    }
    if (!frame_run(depth->item, context, observer, err))
        return false;
    for (int i = 0; i < depth->model->n_outputs; i++) {
        char *row = row_of(depth, &depth->outputs[i], index, &n_bytes);
        memcpy(row, frame_output(depth->item, i)->data, n_bytes);
    }
    return true;
}

bool depth_run(struct depth *depth, const struct percept_run_context *context, const struct frame_observer *observer,
               struct percept_err *err)
{
    depth->ran = false;
    for (int64_t i = 0; i < depth->n; i++)
        if (!run_item(depth, i, context, observer, err))
            return false;
    depth->ran = true;
    return true;
}

const struct tensor *depth_output(const struct depth *depth, int i)
{
    return depth->ran ? &depth->outputs[i] : NULL;
}
