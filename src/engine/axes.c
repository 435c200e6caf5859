/*
 * axes.c - along which axis of each input and output the items of a batch lie: found by trial, allowed by proof.
 *
 * A file does not say it. So ways to choose an axis of each input are tried in turn, and the first whose items are
 * proved apart (items.c) is it:
 *
 *     the axes that are called a batch ("batch_size")                            [time,batch,40] [2,batch,64]
 *     the first axes (rebatch.c has freed them where the file says 1)            [-1,40] [-1,3]
 *     the axes that are called as a batch may be, as other things may ("N")      [T,N,40]
 *     the axes that have the one name which several inputs share                 [s1,s0,40] [2,s0,64]
 *     of a network with an operator that reads [time, batch, features]:
 *         first axes where they are free, else second ones                       [-1,-1,40] [2,-1,64]
 *         second ones, but of what has none that is free
 *
 * The last four not where all inputs have an axis called a batch; what an input calls so is its own. Axes that are
 * chosen are free, and have one name as far as they have names. Those of outputs are not chosen: the proof tells where
 * items lie in them. What the file says about outputs is not asked: the plan knows.
 *
 * The proof is made for two items and for many, beside one alone: a Squeeze that names no axes takes an axis away
 * there. Its lengths are those of the trial; it is made again at every set of shapes that is run (session.c).
 *
 * The owner's word is about first axes alone, where outputs follow them too.
 *
 * An input without such an axis (what all items share) leaves the model without a batch.
 */
#include "engine/axes.h"

#include <string.h>
#include <strings.h>

#include "engine/describe.h"
#include "engine/items.h"
#include "engine/trial.h"

enum { MANY = 131, FEW = 3 }; /* items; a Slice of the first so many is seen when there are more */

/* --- which axes it may be ----------------------------------------------------------------------------------------- */

enum way { CALLED_BATCH, FIRST, CALLED_N, SHARED_NAME, FIRST_FREE, SECOND, N_WAYS };

static bool is_free(const struct percept_io *io, int axis)
{
    return axis < io->rank && io->dims[axis] < 0;
}

/* The first free axis with this name; -1: there is none. */
static int named(const struct percept_io *io, const char *name)
{
    for (int d = 0; d < io->rank; d++)
        if (io->dims[d] < 0 && io->dim_names[d] && strcmp(io->dim_names[d], name) == 0)
            return d;
    return -1;
}

/* "batch", "batch_size", "n_batch". */
static bool names_a_batch(const char *name)
{
    return strcasestr(name, "batch") != NULL;
}

/* "N", "b", "BS". */
static bool is_a_letter_of_it(const char *name)
{
    return strcasecmp(name, "n") == 0 || strcasecmp(name, "b") == 0 || strcasecmp(name, "bs") == 0;
}

static int called(const struct percept_io *io, bool (*so)(const char *name))
{
    for (int d = 0; d < io->rank; d++)
        if (io->dims[d] < 0 && io->dim_names[d] && so(io->dim_names[d]))
            return d;
    return -1;
}

static int called_batch(const struct percept_io *io)
{
    return called(io, names_a_batch);
}

/* A batch, or else a letter of it. */
static int called_n(const struct percept_io *io)
{
    const int batch = called_batch(io);
    return batch >= 0 ? batch : called(io, is_a_letter_of_it);
}

/* The one name that free axes of all inputs have; NULL where there is none, or are several. */
static const char *shared_name(const struct percept_model *model)
{
    const char *found = NULL;
    for (int d = 0; model->n_inputs > 1 && d < model->inputs[0].rank; d++) {
        const char *name = model->inputs[0].dims[d] < 0 ? model->inputs[0].dim_names[d] : NULL;
        bool all = name && (!found || strcmp(name, found) != 0);
        for (int i = 1; all && i < model->n_inputs; i++)
            all = named(&model->inputs[i], name) >= 0;
        if (all && found)
            return NULL;
        found = all ? name : found;
    }
    return found;
}

/* Does it have an operator that reads [time, batch, features]? */
static bool takes_time_first(const struct percept_model *model)
{
    const struct graph *graph = model->onnx.graph;
    for (int i = 0; i < graph->n_nodes; i++)
        if (!graph->nodes[i].removed && (graph->nodes[i].op->rule->flags & OP_TIME_FIRST))
            return true;
    return false;
}

/* The axis of an input that it would be; -1: none. */
static int chosen(const struct percept_model *model, enum way way, int input)
{
    const struct percept_io *io = &model->inputs[input];
    const int first = is_free(io, 0) ? 0 : -1, second = io->rank == 3 && is_free(io, 1) ? 1 : -1;
    const char *name = way == SHARED_NAME ? shared_name(model) : NULL;
    switch (way) {
    case CALLED_BATCH:
        return called_batch(io);
    case FIRST:
        return first;
    case SHARED_NAME:
        return name ? named(io, name) : -1;
    default:
        if (way == CALLED_N || called_n(io) >= 0)
            return called_n(io);
        return (way == FIRST_FREE && first >= 0) || second < 0 ? first : second;
    }
}

/* Has every input such an axis, under one name as far as they have names? */
static bool may_be(const struct percept_model *model, enum way way)
{
    const char *name = NULL;
    if ((way > FIRST && may_be(model, CALLED_BATCH)) || (way > SHARED_NAME && !takes_time_first(model)))
        return false;
    for (int i = 0; i < model->n_inputs; i++) {
        const int axis = chosen(model, way, i);
        const char *mine = axis >= 0 ? model->inputs[i].dim_names[axis] : NULL;
        if (axis < 0 || (mine && name && strcmp(mine, name) != 0))
            return false;
        name = mine ? mine : name;
    }
    return model->n_inputs > 0;
}

static bool same_axes(const struct percept_model *model, enum way a, enum way b)
{
    for (int i = 0; i < model->n_inputs; i++)
        if (chosen(model, a, i) != chosen(model, b, i))
            return false;
    return true;
}

/* Was it refused already? */
static bool was_tried(const struct percept_model *model, enum way way)
{
    for (enum way before = 0; before < way; before++)
        if (may_be(model, before) && same_axes(model, before, way))
            return true;
    return false;
}

/* --- one way ------------------------------------------------------------------------------------------------------ */

/* Is an output at `n` items what it is at two, but for its first axis? */
static bool follows(const struct tensor *two, const struct tensor *other, int64_t n)
{
    if (two->rank < 1 || two->dims[0] != 2 || other->rank != two->rank || other->dims[0] != n)
        return false;
    for (int d = 1; d < two->rank; d++)
        if (other->dims[d] != two->dims[d])
            return false;
    return true;
}

static bool outputs_follow(const struct percept_model *model, const struct plan *two, const struct plan *other,
                           int64_t n)
{
    for (int i = 0; i < model->n_outputs; i++)
        if (!follows(two->outputs[i], other->outputs[i], n))
            return false;
    return true;
}

/* What was found out about the axes that are tried. */
struct finding {
    struct items_proof proof;
    bool follow; /* outputs have as many first rows as there are items */
};

static void set_outputs(struct percept_model *model, const int *axes)
{
    for (int i = 0; i < model->n_outputs; i++)
        model->outputs[i].batch_axis = axes ? axes[i] : -1;
}

/* Do items stay apart from one to two, and to many, along the same axes of outputs? */
static void prove(struct percept_model *model, const struct plan *two, const struct plan *one, const struct plan *many,
                  int64_t n_many, struct finding *finding)
{
    int *axes = arena_array(&model->load, (size_t)model->n_outputs + 1, sizeof *axes);
    const bool complete = two->outputs && one->outputs && many->outputs;
    set_outputs(model, NULL);
    if (!axes) {
        finding->proof.why = "memory is short";
        return;
    }
    finding->follow = complete && outputs_follow(model, two, one, 1) && outputs_follow(model, two, many, n_many);
    finding->proof = items_prove(model, one, two, 2, axes);
    if (!finding->proof.independent)
        return;
    set_outputs(model, axes);
    finding->proof = items_prove(model, one, many, n_many, NULL);
}

/* `two` is the trial of two items along the axes that are tried. */
static struct finding judge(struct percept_model *model, const struct plan *two)
{
    struct finding finding = {.proof.why = "no shapes were found at which it works for one item and for more"};
    struct plan one = {0}, many = {0};
    int64_t n_many = MANY;
    if (two->outputs && trial_plan(model, n_many, &many, NULL) && !many.outputs) {
        plan_free(&many);
        trial_plan(model, n_many = FEW, &many, NULL); /* the larger batch may be to blame */
    }
    if (two->part && trial_plan(model, 1, &one, NULL) && one.part)
        prove(model, two, &one, many.part ? &many : two, n_many, &finding);
    plan_free(&one);
    plan_free(&many);
    return finding;
}

/* --- the whole ---------------------------------------------------------------------------------------------------- */

/* Tries other axes than the first: where they are it, `trial` is one of theirs, else all is as it was. */
static struct finding try_others(struct percept_model *model, enum way way, struct plan *trial, int64_t *batch)
{
    struct finding finding = {.proof.why = "no shapes were found at which it works for one item and for more"};
    const int64_t length = model->trial_length;
    int64_t items = 0;
    struct plan two = {0};
    for (int i = 0; i < model->n_inputs; i++)
        model->inputs[i].batch_axis = chosen(model, way, i);
    if (trial_first(model, &two, &items, NULL) && items == 2)
        finding = judge(model, &two);
    struct plan *old = finding.proof.independent ? trial : &two;
    plan_free(old);
    if (finding.proof.independent) {
        *trial = two;
        *batch = items;
        model->independent = false; /* that word was about first axes */
        return finding;
    }
    model->trial_length = length;
    for (int i = 0; i < model->n_inputs; i++)
        model->inputs[i].batch_axis = 0;
    return finding;
}

static bool all_first(const struct percept_model *model, enum way way)
{
    for (int i = 0; i < model->n_inputs; i++)
        if (chosen(model, way, i) != 0)
            return false;
    return true;
}

/* By proof, else by the owner's word, which is about first axes. */
static bool describe(struct percept_model *model, const struct finding *finding, bool told)
{
    const bool word = !finding->proof.independent && finding->follow && model->independent;
    if (!finding->proof.independent)
        set_outputs(model, NULL);
    for (int i = 0; word && i < model->n_outputs; i++)
        model->outputs[i].batch_axis = 0;
    return finding->proof.independent || word || !told ? describe_batch(model, &finding->proof, word) : false;
}

bool axes_first(struct percept_model *model, const struct plan *two)
{
    const struct finding finding = judge(model, two);
    return describe(model, &finding, false);
}

bool axes_find(struct percept_model *model, struct plan *trial, int64_t *batch, bool told)
{
    struct finding first = {.proof.why = "no axis that all inputs have free, under one name, may be the batch"};
    const char *works_for_one = model->description.batch_reason;
    bool any = false, follow = false;
    for (enum way way = 0; way < N_WAYS; way++) {
        if (!may_be(model, way) || was_tried(model, way))
            continue;
        struct finding finding = {.proof.why = works_for_one};
        if (!all_first(model, way))
            finding = try_others(model, way, trial, batch);
        else if (*batch == 2)
            finding = judge(model, trial);
        if (finding.proof.independent)
            return describe(model, &finding, told);
        follow |= all_first(model, way) && finding.follow;
        first = any ? first : finding;
        any = true;
    }
    first.follow = follow;
    return describe(model, &first, told);
}
