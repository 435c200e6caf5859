/*
 * staged_fit.c - what is judged when a chain is loaded. How it runs is staged.c's.
 *
 * A value is named once and has one type. What makes it and what takes it must agree in type, in rank, and in each dim
 * that both fix; dims are those of whole tensors, the batch among them. What a chain takes is what the first stage that
 * takes it does, unless it is declared (config.pbtxt); what it gives is what its stage gives. Each input of a stage's
 * model is linked, or the model's own manifest knows it. What the chain's manifest makes of its inputs and of an output
 * is judged as that of any model (fit.c).
 */
#include "serve/staged_fit.h"

#include "base/err.h"
#include "serve/staged.h"
#include "serve/codec.h"
#include "serve/fit.h"
#include "serve/ios.h"

#include <stdio.h>

static int find_io(const struct percept_io *ios, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (strcmp(ios[i].name, name) == 0)
            return i;
    return -1;
}

/* --- links -------------------------------------------------------------------------------------------------------- */

static int *fill(int n, struct arena *arena)
{
    int *list = arena_array(arena, (size_t)n + 1, sizeof *list);
    for (int i = 0; list && i < n; i++)
        list[i] = -1;
    return list;
}

static bool link_ios(const struct stage *stage, const struct stage_link *links, int n_links, const int *values,
                     const struct percept_io *ios, int n, const char *what, int *to, struct percept_err *err)
{
    for (int i = 0; i < n_links; i++) {
        const int at = find_io(ios, n, links[i].io);
        if (at < 0)
            return err_set(err, ERR_CONFIG, "stage '%s': model '%s' has no %s '%s'", stage_name(stage), stage->model,
                           what, links[i].io);
        to[at] = values[i];
    }
    return true;
}

static bool has_all(const struct staged_step *at, const struct served *part, struct percept_err *err)
{
    int n;
    const struct percept_io *ios = served_inputs(part, &n);
    for (int i = 0; i < n; i++)
        if (at->inputs[i] < 0 && !served_is_constant(part, i))
            return err_set(err, ERR_CONFIG, "stage '%s': nothing is given to input '%s' of model '%s'",
                           stage_name(at->stage), ios[i].name, part->name);
    return true;
}

static bool link_stage(const struct staged *staged, int i, const struct served *part, struct staged_step *at,
                       struct arena *arena, struct percept_err *err)
{
    const struct stage *stage = at->stage = &staged->stages->at[i];
    const struct percept_io *inputs = served_inputs(part, &at->n_inputs);
    const struct percept_io *outputs = served_outputs(part, &at->n_outputs);
    at->inputs = fill(at->n_inputs, arena);
    at->outputs = fill(at->n_outputs, arena);
    if (!at->inputs || !at->outputs)
        return err_memory(err, "a stage", (size_t)(at->n_inputs + at->n_outputs) * sizeof(int));
    return link_ios(stage, stage->inputs, stage->n_inputs, staged->plan.inputs[i], inputs, at->n_inputs, "input",
                    at->inputs, err) &&
           link_ios(stage, stage->outputs, stage->n_outputs, staged->plan.outputs[i], outputs, at->n_outputs, "output",
                    at->outputs, err) &&
           has_all(at, part, err);
}

/* --- types -------------------------------------------------------------------------------------------------------- */

/* What is known of each value: the io of whoever was asked first, and who that was. */
struct known {
    const struct percept_io *io;
    const char *whose, *name; /* the model; what it calls it */
};

static void print_io(const struct percept_io *io, char *text, size_t n_bytes)
{
    const char *type = codec_datatype(io->dtype);
    size_t used = (size_t)snprintf(text, n_bytes, "%s", type ? type : percept_dtype_name(io->dtype));
    for (int i = 0; i < io->rank && used < n_bytes; i++)
        used += (size_t)snprintf(text + used, n_bytes - used, "%s%lld", i ? "," : " [", (long long)io->dims[i]);
    if (io->rank > 0 && used < n_bytes)
        snprintf(text + used, n_bytes - used, "]");
}

static bool agree(const struct percept_io *a, const struct percept_io *b)
{
    if (a->dtype != b->dtype)
        return false;
    if (a->rank < 0 || b->rank < 0)
        return true;
    for (int i = 0; i < a->rank && a->rank == b->rank; i++)
        if (a->dims[i] >= 0 && b->dims[i] >= 0 && a->dims[i] != b->dims[i])
            return false;
    return a->rank == b->rank;
}

static bool learn(struct known *known, const char *value, const struct percept_io *io, const char *whose,
                  struct percept_err *err)
{
    char first[96], second[96];
    if (!known->io)
        *known = (struct known){.io = io, .whose = whose, .name = io->name};
    if (agree(known->io, io))
        return true;
    print_io(known->io, first, sizeof first);
    print_io(io, second, sizeof second);
    return err_set(err, ERR_CONFIG, "'%s' is %s as '%s' of '%s', and %s as '%s' of '%s'", value, first, known->name,
                   known->whose, second, io->name, whose);
}

static bool learn_stage(const struct staged *staged, const struct staged_step *at, const struct served *part,
                        struct known *known, struct percept_err *err)
{
    int n;
    const struct percept_io *inputs = served_inputs(part, &n), *outputs = served_outputs(part, &n);
    for (int i = 0; i < at->n_outputs; i++)
        if (at->outputs[i] >= 0 &&
            !learn(&known[at->outputs[i]], staged->plan.values[at->outputs[i]].name, &outputs[i], part->name, err))
            return false;
    for (int i = 0; i < at->n_inputs; i++)
        if (at->inputs[i] >= 0 &&
            !learn(&known[at->inputs[i]], staged->plan.values[at->inputs[i]].name, &inputs[i], part->name, err))
            return false;
    return true;
}

/* --- what the chain takes and gives ------------------------------------------------------------------------------- */

struct side {
    const struct manifest_io *declared;
    int n_declared;
    bool outputs;
    const char *what;
};

static bool declare(const struct served *served, const struct manifest_io *said, struct percept_io *io,
                    struct percept_err *err)
{
    if (said->dtype == PERCEPT_UNDEFINED || said->rank < 0)
        return err_set(err, ERR_CONFIG, "'%s' has no data_type or no dims, which a chain declares", said->name);
    *io = (struct percept_io){.name = said->name,
                              .dtype = said->dtype,
                              .rank = said->rank,
                              .n_labels = said->n_labels,
                              .labels = said->labels};
    memcpy(io->dims, said->dims, sizeof io->dims);
    (void)served;
    return true;
}

/* An input is made by no stage; whoever is not taken by one, or declared, is an output. */
static bool is_of(const struct stage_value *value, const struct side *side)
{
    return side->outputs ? value->maker >= 0 : value->maker < 0;
}

static bool declare_all(struct served *served, const struct side *side, struct known *known, struct percept_io *ios,
                        int *values, struct percept_err *err)
{
    const struct stages_plan *plan = &served->staged->plan;
    for (int i = 0; i < side->n_declared; i++) {
        const struct manifest_io *said = &side->declared[i];
        const int value = stages_value(plan, said->name);
        if (value < 0 || !is_of(&plan->values[value], side))
            return err_set(err, ERR_CONFIG,
                           side->outputs ? "output '%s' is made by no stage" : "input '%s' is used by no stage",
                           said->name);
        if (!declare(served, said, &ios[i], err) || !learn(&known[value], said->name, &ios[i], served->name, err))
            return false;
        values[i] = value;
    }
    return true;
}

/* All inputs must be declared, where one is. */
static bool is_declared(const struct stages_plan *plan, const int *values, int n, struct percept_err *err)
{
    for (int value = 0; value < plan->n_values; value++) {
        int i = 0;
        while (i < n && values[i] != value)
            i++;
        if (i == n && plan->values[value].maker < 0)
            return err_set(err, ERR_CONFIG, "'%s' is made by no stage, and no input of the chain",
                           plan->values[value].name);
    }
    return true;
}

static int find_all(const struct stages_plan *plan, const struct side *side, const struct known *known,
                    struct percept_io *ios, int *values)
{
    int n = 0;
    for (int value = 0; value < plan->n_values; value++) {
        if (!is_of(&plan->values[value], side) || (side->outputs && plan->values[value].n_uses))
            continue;
        ios[n] = *known[value].io;
        ios[n].name = plan->values[value].name;
        ios[n].batch_axis = 0;
        values[n++] = value;
    }
    return n;
}

static bool make_side(struct served *served, const struct side *side, struct known *known,
                      const struct percept_io **list, int *n, int **values, struct percept_err *err)
{
    struct arena *arena = &served->arena;
    const struct stages_plan *plan = &served->staged->plan;
    const size_t room = (size_t)plan->n_values + (size_t)side->n_declared + 1;
    struct percept_io *ios = arena_array(arena, room, sizeof *ios);
    *values = arena_array(arena, room, sizeof **values);
    if (!ios || !*values)
        return err_memory(err, "what a chain takes and gives", room * sizeof *ios);
    *n = side->n_declared;
    if (side->n_declared && (!declare_all(served, side, known, ios, *values, err) ||
                             (!side->outputs && !is_declared(plan, *values, *n, err))))
        return false;
    if (!side->n_declared)
        *n = find_all(plan, side, known, ios, *values);
    *list = ios_keep(ios, *n, arena);
    if (!*list)
        return err_memory(err, "what a chain takes and gives", room * sizeof *ios);
    return *n > 0 || err_set(err, ERR_CONFIG, "the chain has no %ss", side->what);
}

static bool make_sides(struct served *served, struct staged *staged, struct known *known, struct percept_err *err)
{
    const struct manifest *manifest = served->manifest;
    const struct side inputs = {
        .declared = manifest->declared_inputs, .n_declared = manifest->n_declared_inputs, .what = "input"};
    const struct side outputs = {.declared = manifest->declared_outputs,
                                 .n_declared = manifest->n_declared_outputs,
                                 .outputs = true,
                                 .what = "output"};
    return make_side(served, &outputs, known, &served->own_outputs, &served->n_own_outputs, &staged->outputs, err) &&
           make_side(served, &inputs, known, &served->own_inputs, &served->n_own_inputs, &staged->inputs, err);
}

/* --- limits ------------------------------------------------------------------------------------------------------- */

static bool is_shallow(struct staged *staged, const struct depends *parts, struct percept_err *err)
{
    staged->depth = 1;
    for (int i = 0; i < parts->n; i++) {
        const struct staged *inner = parts->at[i].served->staged;
        if (inner && inner->depth >= staged->depth)
            staged->depth = inner->depth + 1;
        if (staged->depth > STAGED_DEPTH_MAX)
            return err_set(err, ERR_CONFIG,
                           "its stage '%s' is a chain %d deep; chains of chains are served %d deep at most",
                           parts->at[i].name, inner->depth, STAGED_DEPTH_MAX);
    }
    return true;
}

/* Who takes more at once than a stage does would be refused half-way. */
static bool batches_fit(const struct served *served, const struct served *part, struct percept_err *err)
{
    if (!served_has_batch(served) || !served_has_batch(part) || part->max_batch_size >= served->max_batch_size)
        return true;
    return err_set(err, ERR_CONFIG,
                   "max_batch_size is %d, but model '%s' of its stages takes %d at most: it can be no larger",
                   served->max_batch_size, part->name, part->max_batch_size);
}

static bool fit(struct served *served, struct percept_err *err)
{
    struct staged *staged = (struct staged *)(uintptr_t)served->staged;
    const struct depends *parts = served->depends;
    struct known *known = arena_array(&served->arena, (size_t)staged->plan.n_values, sizeof *known);
    bool good = known || err_memory(err, "values", (size_t)staged->plan.n_values * sizeof *known);
    good = good && is_shallow(staged, parts, err);
    for (int i = 0; good && i < staged->stages->n; i++) {
        const struct served *part = parts->at[staged->at[i].part].served;
        good = batches_fit(served, part, err) && link_stage(staged, i, part, &staged->at[i], &served->arena, err) &&
               learn_stage(staged, &staged->at[i], part, known, err);
    }
    const char *path = served->manifest->config_path ? served->manifest->config_path : served->manifest->path;
    good = good && make_sides(served, staged, known, err) &&
           fit_chain(served->manifest, served->own_inputs, served->n_own_inputs, served->own_outputs,
                     served->n_own_outputs, err);
    return good || err_prefix(err, "%s: ", path);
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

static bool add_parts(struct staged *staged, struct depends *parts, struct arena *arena, struct percept_err *err)
{
    for (int i = 0; i < staged->stages->n; i++) {
        const struct stage *stage = &staged->stages->at[i];
        staged->at[i].part = depends_add(parts, stage->model, stage->version, arena, err);
        if (staged->at[i].part < 0)
            return false;
    }
    return true;
}

/* What a network can have and a chain has not. */
static bool is_chain_alone(const struct served *served, struct percept_err *err)
{
    const struct manifest *manifest = served->manifest;
    const char *path = manifest->config_path ? manifest->config_path : manifest->path;
    const size_t n = strlen(served->path);
    if (n > 5 && strcasecmp(served->path + n - 5, ".onnx") == 0)
        return err_set(
            err, ERR_CONFIG,
            "%s: a chain has no model of its own, and there is one: move it to another folder, and name it in "
            "a stage",
            path);
    if (manifest->sequence.given || manifest->generate.given)
        return err_set(err, ERR_CONFIG, "%s: a chain has stages, and no '%s'", path,
                       manifest->generate.given ? "generate" : "sequence");
    return true;
}

bool staged_fit_open(struct served *served, struct percept_err *err)
{
    const struct manifest *manifest = served->manifest;
    if (!is_chain_alone(served, err))
        return false;
    struct arena *arena = &served->arena;
    struct staged *staged = arena_alloc(arena, sizeof *staged);
    struct depends *parts = arena_alloc(arena, sizeof *parts);
    if (!staged || !parts)
        return err_memory(err, "a chain", sizeof *staged + sizeof *parts);
    staged->stages = manifest->stages;
    if (!stages_plan(staged->stages, arena, &staged->plan, err))
        return err_prefix(err, "%s: ", manifest->config_path ? manifest->config_path : manifest->path);
    staged->at = arena_array(arena, (size_t)staged->stages->n, sizeof *staged->at);
    if (!staged->at)
        return err_memory(err, "stages", (size_t)staged->stages->n * sizeof *staged->at);
    if (!add_parts(staged, parts, arena, err))
        return false;
    parts->fit = fit;
    served->depends = parts;
    served->staged = staged;
    served->begin = staged_begin;
    served->end = staged_end;
    return true;
}
