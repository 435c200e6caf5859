/*
 * open.c - percept_open is the story of loading, top to bottom:
 *
 *     read the file -> ONNX to graph -> QDQ to integers -> check every node, fold constants -> free a batch of 1
 *     -> trial plan -> which axes are the batch -> fuse -> pack into a region (or adopt one)
 *     -> let go of the file -> describe
 *
 * What can be refused is refused here, with a sentence; afterwards the model is immutable and runs trust
 * it. Each word of the story is a file: source.c, graph/onnx.c, fold.c, rebatch.c, trial.c, axes.c, fuse.c, pack.c,
 * describe.c; here is their order. What an open model is, says model.h.
 *
 * Threads: percept_open runs wherever it is called; nothing is shared between two opens.
 */
#include <string.h>

#include "base/mode.h"
#include "engine/axes.h"
#include "engine/describe.h"
#include "engine/fold.h"
#include "engine/fuse.h"
#include "engine/integers.h"
#include "engine/pack.h"
#include "engine/rebatch.h"
#include "engine/source.h"
#include "engine/trial.h"

#define DEFAULT_MEMORY_LIMIT ((size_t)4 << 30)

/* --- how it will be computed -------------------------------------------------------------------------------------- */

static bool choose_level(struct percept_model *model, const struct percept_options *options, struct percept_err *err)
{
    model->kernels = options->level ? pick_named(options->level) : pick_best();
    if (!model->kernels) {
        char names[64] = "";
        for (const char *const *name = pick_names(); *name; name++) {
            if (*names)
                strncat(names, ", ", sizeof names - strlen(names) - 1);
            strncat(names, *name, sizeof names - strlen(names) - 1);
        }
        return err_set(err, ERR_CONFIG, "this processor has no level of kernels '%s'; it has %s", options->level,
                       names);
    }
    static const char *const precisions[] = {
        [PRECISION_EXACT] = "exact", [PRECISION_FAST] = "fast", [PRECISION_BF16] = "bf16"};
    enum precision precision = PRECISION_EXACT;
    while (options->precision && precision <= PRECISION_BF16 && strcmp(options->precision, precisions[precision]) != 0)
        precision++;
    if (precision > PRECISION_BF16)
        return err_set(err, ERR_UNSUPPORTED, "precision '%s' is not served; exact, fast and bf16 are",
                       options->precision);
    model->precision = precision;
    model->independent = options->batch_independent;
    model->description.batch_reason = "it works with one item alone, or at lengths that were not tried";
    model->description.precision = precisions[precision];
    model->description.level = model->kernels->name;
    model->budget = options->budget;
    model->members = team_most();
    model->memory_limit_bytes = options->memory_limit_bytes ? options->memory_limit_bytes : DEFAULT_MEMORY_LIMIT;
    return true;
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

/* Frees a batch of 1 where that works and items are proved apart, or said to be: then `two` is a trial of it. */
static bool free_batch(struct percept_model *model, struct plan *two, struct percept_err *err)
{
    struct plan one, longer = {0};
    int64_t batch;
    if (!trial_first(model, &one, &batch, err))
        return false;
    const bool fits = one.outputs && trial_longer(model, &longer);
    const bool good = !fits || rebatch_graph(model, one.values, longer.values) ||
                      err_set(err, ERR_MEMORY, "out of memory while freeing the batch");
    plan_free(&one);
    plan_free(&longer);
    if (!good || !fits)
        return good;
    const int64_t length = model->trial_length;
    struct percept_err why = {0};
    describe_batch(model, &(struct items_proof){.why = "with a batch of 2 it does not work"}, false);
    if (trial_first(model, two, &batch, &why) && batch == 2 && two->values)
        model->description.batch_rewritten = axes_first(model, two);
    if (model->description.batch_rewritten)
        return true;
    plan_free(two);
    model->trial_length = length;
    rebatch_undo(model);
    return why.code != ERR_MEMORY || err_set(err, why.code, "%s", why.text);
}

/* Is there an operator that by its meaning joins the items of a batch, so that nobody's word can part them? */
static bool mixes(const struct percept_model *model)
{
    for (const struct part *part = model->parts; part; part = part->next)
        for (int i = 0; i < part->graph->n_nodes; i++)
            if (!part->graph->nodes[i].removed && (part->graph->nodes[i].op->rule->flags & OP_MIXES))
                return true;
    return false;
}

static bool fuse(struct percept_model *model, const struct plan *trial, int64_t batch, struct percept_err *err)
{
    struct plan ones[TRIAL_ONES];
    const int n = trial->values ? trial_ones(model, batch, ones) : 0;
    bool good = fuse_part(model, model->parts, trial->values, ones, n, err);
    for (struct part *part = model->parts->next; good && part; part = part->next)
        good = fuse_part(model, part, NULL, NULL, 0, err);
    for (int i = 0; i < n; i++)
        plan_free(&ones[i]);
    return good;
}

/* Is nothing but the batch free, so that a trial's shapes are those of every run? */
static bool all_fixed(const struct percept_model *model)
{
    for (int i = 0; i < model->n_inputs; i++) {
        const struct percept_io *io = &model->inputs[i];
        for (int d = 0; d < io->rank; d++)
            if (io->dims[d] < 0 && d != io->batch_axis)
                return false;
        if (io->rank < 0)
            return false;
    }
    return true;
}

/* What operators choose by shapes, where these are known before weights are packed. */
static void settle(struct percept_model *model, const struct plan *trial)
{
    const struct part *part = model->parts;
    if (!trial->values || !all_fixed(model))
        return;
    for (int i = 0; i < part->graph->n_nodes; i++) {
        const struct node *node = &part->graph->nodes[i];
        if (!node->removed && node->op->rule->settle && node->n_in > 0 && node->in[0] >= 0)
            node->op->rule->settle(&part->ctx[i], &trial->values[node->in[0]]);
    }
}

/* After the graph is checked: trial, fuse. */
static bool improve(struct percept_model *model, struct percept_err *err)
{
    struct plan trial = {0};
    int64_t batch = 2;
    if (!fold_identities(model->onnx.graph, &model->load, err))
        return false;
    fold_unused(model->onnx.graph);
    model->independent = model->independent && !mixes(model);
    if (!model_find_feeds(model))
        return err_set(err, ERR_MEMORY, "out of memory while planning the network");
    const bool one = rebatch_fits(model->onnx.graph);
    if (one && !free_batch(model, &trial, err))
        return false;
    if (!trial.values && !trial_first(model, &trial, &batch, err))
        return false;
    if (!model->description.batch_rewritten)
        axes_find(model, &trial, &batch, one);
    describe_outputs(model, &trial);
    const bool good = fuse(model, &trial, batch, err);
    settle(model, &trial);
    plan_free(&trial);
    fold_unused(model->onnx.graph);
    return good && (model_find_feeds(model) || err_set(err, ERR_MEMORY, "out of memory"));
}

static bool open_graph(struct percept_model *model, struct source *source, const struct percept_options *options,
                       struct percept_err *err)
{
    return choose_level(model, options, err) &&
           onnx_read(source->bytes, source->path ? &source->external : NULL, &model->arena, &model->onnx, err) &&
           source_mark(source, model->onnx.graph, err) &&
           (integers_join(model->onnx.graph, &model->arena, &model->load) ||
            err_set(err, ERR_MEMORY, "out of memory while joining operators on 8-bit numbers")) &&
           fold_graph(model, model->onnx.graph, err) &&
           ((describe_model(model, bytes_size(source->bytes)) && describe_labels(model)) ||
            err_set(err, ERR_MEMORY, "out of memory")) &&
           improve(model, err) &&
           pack_model(model, source->digest, source->path ? source->path : "(memory)", options, err) &&
           source_settle(source, model->onnx.graph, model->region, err);
}

static struct percept_model *open_source(struct source *source, const struct percept_options *options,
                                         struct percept_err *err)
{
    struct percept_model *model = arena_buffer(sizeof *model);
    const uint64_t mode = mode_enter(MODE_EXACT); /* weights are packed to the same bits whoever asks */
    const bool good = model ? open_graph(model, source, options, err) : err_memory(err, "a model", sizeof *model);
    mode_set(mode);
    if (good && (describe_packed(model) || err_set(err, ERR_MEMORY, "out of memory"))) {
        arena_free(&model->load);
        return model;
    }
    percept_close(model);
    return NULL;
}

static bool take_options(const struct percept_options *given, struct percept_options *options, struct percept_err *err)
{
    *options = (struct percept_options){.size = sizeof *options};
    if (given && given->size > sizeof *options)
        return err_set(err, ERR_CONFIG, "struct percept_options is newer than this library");
    if (given)
        memcpy(options, given, given->size ? given->size : sizeof *options);
    return true;
}

/* `recalled`: weights were left out. */
static struct percept_model *open_file(const char *path, bool recall, const struct percept_options *options,
                                       bool *recalled, struct percept_err *err)
{
    struct source source;
    struct percept_model *model = NULL;
    if (source_open(&source, path, recall, options->region_prefix, err)) {
        model = open_source(&source, options, err);
        if (!model)
            err_prefix(err, "%s: ", path);
    }
    *recalled = source.payload.n_holes > 0;
    source_close(&source);
    return model;
}

struct percept_model *percept_open(const char *path, const struct percept_options *given, struct percept_err *err)
{
    struct percept_options options;
    struct percept_err why = {0};
    bool recalled = false;
    if (!take_options(given, &options, err)) {
        err_prefix(err, "%s: ", path);
        return NULL;
    }
    struct percept_model *model = open_file(path, options.region == PERCEPT_REGION_SHARED, &options, &recalled, &why);
    if (!model && recalled) { /* whatever it was, it is told of the whole file */
        why = (struct percept_err){0};
        model = open_file(path, false, &options, &recalled, &why);
    }
    return model ? model : err_null(err, why.code, "%s", why.text);
}

struct percept_model *percept_open_memory(const void *data, size_t n_bytes, const struct percept_options *given,
                                          struct percept_err *err)
{
    struct percept_options options;
    struct source source;
    if (!take_options(given, &options, err))
        return NULL;
    struct percept_model *model = NULL;
    if (source_of_memory(&source, bytes_of(data, n_bytes), err))
        model = open_source(&source, &options, err);
    source_close(&source);
    return model;
}
