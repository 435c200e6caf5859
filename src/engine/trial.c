/*
 * trial.c - plans the network at made-up shapes, while it is opened.
 *
 * A trial tells what the file does not: shapes that fusing wants to know, types and ranks of outputs, nodes
 * whose types or shapes cannot work. Its batch, along the axes that are being tried (the inputs' batch_axis; first the
 * first ones), is what the caller says (two, so that an axis of the batch is not taken for one that is fixed at 1),
 * other free axes get a guess, which is smaller where many axes are free: what is computed from shapes alone (a
 * ConstantOfShape) is as large as they are.
 *
 * What free axes mean is not said anywhere. The first may be time, of which a network wants more than two
 * steps, or a batch that a Reshape behind it has fixed at 1; another may be a recording, of which windows need
 * hundreds of samples. So where a network does not work at the usual lengths others are tried, and it is
 * refused if none will do. Where a guess may be to blame even then it is not held against the model: it is
 * opened, and the real shapes will tell.
 *
 * Plans of trials are never run: data of inputs are not known, and none are made up.
 */
#include "engine/trial.h"

#include <string.h>

#include "engine/planner.h"

#define MOST_ELEMENTS 1e5 /* of an item of an input whose axes are guessed */

/* Elements of an item when free axes are so long. */
static double item_elements(const struct percept_io *io, int64_t length)
{
    double n = 1;
    for (int d = 0; d < io->rank; d++)
        n *= d == io->batch_axis ? 1 : (double)(io->dims[d] < 0 ? length : io->dims[d]);
    return n;
}

/* Divisible by much; 24 exceeds most kernels. */
static int64_t usual_length(const struct percept_model *model)
{
    static const int64_t lengths[] = {24, 12, 8, 6, 4, 3};
    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
        double most = 0;
        for (int i = 0; i < model->n_inputs; i++) {
            double n = item_elements(&model->inputs[i], lengths[k]);
            most = n > most ? n : most;
        }
        if (most <= MOST_ELEMENTS)
            return lengths[k];
    }
    return 2; /* 1 would be broadcast */
}

int64_t trial_length(const struct percept_model *model)
{
    return model->trial_length ? model->trial_length : usual_length(model);
}

/* Axis k of all inputs' in order is free: does this one follow it, being the same or having its name? */
static bool follows_axis(const struct percept_model *model, int k, int input, int axis)
{
    for (int i = 0; i < model->n_inputs; k -= model->inputs[i++].rank) {
        if (k >= model->inputs[i].rank)
            continue;
        const char *name = model->inputs[i].dim_names[k], *mine = model->inputs[input].dim_names[axis];
        return (i == input && k == axis) || (name && mine && strcmp(name, mine) == 0);
    }
    return false;
}

/* Dims for a trial: what the model says, `batch` for a free batch axis, a length for other free ones, and 1 for those
 * that follow axis `one` of all inputs' in order (-1: none). */
static bool trial_inputs(const struct percept_model *model, int64_t batch, int one, struct tensor *inputs,
                         bool *guessed)
{
    const struct graph *graph = model->onnx.graph;
    const int64_t length = trial_length(model);
    bool any_free = false, any_fixed = false; /* batch axes */
    *guessed = false;
    for (int i = 0; i < graph->n_inputs; i++) {
        const struct value *value = &graph->values[graph->inputs[i]];
        if (value->rank < 0)
            return false;
        *guessed |= value->rank == 0; /* exporters write it where they know nothing of the shape */
        const int axis = model->inputs[i].batch_axis;
        const bool has = axis >= 0 && axis < value->rank;
        any_free |= has && value->dims[axis] < 0;
        any_fixed |= has && value->dims[axis] >= 0;
        inputs[i] = (struct tensor){.dtype = value->dtype, .rank = value->rank};
        for (int d = 0; d < value->rank; d++) {
            bool fixed = value->dims[d] >= 0;
            inputs[i].dims[d] = fixed ? value->dims[d] : d == axis ? batch : length;
            if (!fixed && one >= 0 && follows_axis(model, one, i, d))
                inputs[i].dims[d] = 1;
            *guessed |= !fixed && (d != axis || value->rank == 1); /* a vector's length is no batch */
        }
    }
    *guessed |= any_free && any_fixed; /* what is free in one input alone is no batch either */
    return true;
}

/* Plans at `batch`, and 1 as trial_inputs has it; `guessed`: lengths that the model does not say may be to blame
 * where that fails. */
static bool attempt(struct percept_model *model, int64_t batch, int one, struct plan *plan, bool *guessed,
                    struct percept_err *why)
{
    *plan = (struct plan){0};
    struct tensor *inputs = arena_array(&model->load, (size_t)model->n_inputs + 1, sizeof *inputs);
    if (!inputs)
        return err_set(why, ERR_MEMORY, "out of memory while planning the network");
    if (trial_inputs(model, batch, one, inputs, guessed))
        return planner_build(plan, model, model->parts, inputs, why);
    *guessed = true; /* how many axes there are is not even said */
    return false;
}

bool trial_plan(struct percept_model *model, int64_t batch, struct plan *plan, struct percept_err *err)
{
    bool guessed = false;
    struct percept_err why = {0};
    if (attempt(model, batch, -1, plan, &guessed, &why) || guessed || why.code == ERR_MEMORY)
        return true;
    if (err)
        *err = why;
    return false;
}

/* A batch axis, or another. */
static bool has_free_axis(const struct percept_model *model, bool batch)
{
    for (int i = 0; i < model->n_inputs; i++)
        for (int d = 0; d < model->inputs[i].rank; d++)
            if (batch == (d == model->inputs[i].batch_axis) && model->inputs[i].dims[d] < 0)
                return true;
    return false;
}

bool trial_first(struct percept_model *model, struct plan *plan, int64_t *batch, struct percept_err *err)
{
    /* the batch, and the length of other axes; 0: the usual one. 131 is a prime, 240 divisible by much. */
    static const struct {
        int64_t batch, length;
    } tries[] = {{2, 0}, {2, 96}, {2, 512}, {2, 16000}, {131, 0}, {24, 0}, {240, 0}, {1, 0}};
    struct percept_err first = {0}, why = {0};
    bool guessed = false;
    for (size_t i = 0; i < sizeof tries / sizeof *tries && why.code != ERR_MEMORY; i++) {
        if (i > 0 && !has_free_axis(model, tries[i].length == 0))
            continue;
        why = (struct percept_err){0};
        model->trial_length = tries[i].length;
        *batch = tries[i].batch;
        if (attempt(model, *batch, -1, plan, &guessed, &why)) {
            if (*batch == 1)
                plan_free(plan); /* what is 1 long for now would be taken for fixed */
            return true;
        }
        first = i == 0 ? why : first;
    }
    model->trial_length = 0;
    if (guessed || why.code == ERR_MEMORY)
        return true;
    if (err)
        *err = first;
    return false;
}

bool trial_longer(struct percept_model *model, struct plan *plan)
{
    const int64_t length = model->trial_length;
    bool guessed;
    *plan = (struct plan){0};
    if (!has_free_axis(model, false))
        return true;
    model->trial_length = 2 * trial_length(model);
    const bool good = attempt(model, 1, -1, plan, &guessed, NULL) && plan->outputs;
    model->trial_length = length;
    if (!good)
        plan_free(plan);
    return good;
}

/* Is axis k of all inputs' free by itself, and the first that has its name? Those of the batch are
 * one, and others that have no name most often are what they look like. */
static bool leads(const struct percept_model *model, int k)
{
    for (int i = 0, at = 0; i < model->n_inputs; i++)
        for (int d = 0; d < model->inputs[i].rank; d++, at++) {
            const struct percept_io *io = &model->inputs[i];
            if (at == k || follows_axis(model, k, i, d))
                return at == k && io->dims[d] < 0 && (d == 0 || io->dim_names[d]) &&
                       !(model->description.batch_free && d == io->batch_axis);
        }
    return false;
}

int trial_ones(struct percept_model *model, int64_t batch, struct plan *plans)
{
    int axes[TRIAL_ONES + 1], n_axes = 0, n = 0, all = 0;
    bool guessed;
    for (int i = 0; i < model->n_inputs; i++)
        all += model->inputs[i].rank > 0 ? model->inputs[i].rank : 0;
    for (int k = 0; k < all && n_axes < TRIAL_ONES && model->n_inputs > 1; k++)
        if (leads(model, k))
            axes[n_axes++] = k;
    for (int a = 0; a < n_axes && n_axes > 1; a++)
        n += attempt(model, batch, axes[a], &plans[n], &guessed, NULL) && plans[n].values;
    return n;
}
