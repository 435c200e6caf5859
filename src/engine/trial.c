/*
 * trial.c - plans the network at made-up shapes, while it is opened.
 *
 * A trial tells what the file does not: shapes that fusing wants to know, types and ranks of outputs, nodes
 * whose types or shapes cannot work. Its batch is what the caller says (two, so that an axis of the batch
 * is not taken for one that is fixed at 1), other free axes get a guess, which is smaller where many axes
 * are free: what is computed from shapes alone (a ConstantOfShape) is as large as they are. Where a guess may
 * be to blame for a failure it is not held against the model: it is opened, and the real shapes will tell.
 *
 * The first axis is the batch where all inputs have it free, under one name as far as they have names, and
 * all outputs follow it from two to many. What the file says about its outputs is not asked: the plan knows.
 *
 * Plans of trials are never run: data of inputs are not known, and none are made up (rebatch.c does that).
 */
#include "engine/trial.h"

#include <string.h>

#include "engine/items.h"

#define MOST_ELEMENTS 1e5 /* of an item of an input whose axes are guessed */

enum { MANY = 131, FEW = 3 }; /* items; a Slice of the first so many is seen when there are more */

/* Elements of an item when free axes are `guess` long. */
static double item_elements(const struct percept_io *io, int64_t guess)
{
    double n = 1;
    for (int d = 1; d < io->rank; d++)
        n *= (double)(io->dims[d] < 0 ? guess : io->dims[d]);
    return n;
}

int64_t trial_guess(const struct percept_model *model)
{
    static const int64_t guesses[] = {24, 12, 8, 6, 4, 3}; /* divisible by much; 24 exceeds most kernels */
    for (size_t k = 0; k < sizeof guesses / sizeof *guesses; k++) {
        double most = 0;
        for (int i = 0; i < model->n_inputs; i++) {
            double n = item_elements(&model->inputs[i], guesses[k]);
            most = n > most ? n : most;
        }
        if (most <= MOST_ELEMENTS)
            return guesses[k];
    }
    return 2; /* 1 would be broadcast */
}

/* Dims for a trial: what the model says, `batch` for a free first axis, a guess for other free ones. */
static bool trial_inputs(const struct percept_model *model, int64_t batch, struct tensor *inputs,
                         bool *guessed)
{
    const struct graph *graph = model->onnx.graph;
    const int64_t guess = trial_guess(model);
    bool free_first = false, fixed_first = false;
    *guessed = false;
    for (int i = 0; i < graph->n_inputs; i++) {
        const struct value *value = &graph->values[graph->inputs[i]];
        if (value->rank < 0)
            return false;
        free_first |= value->rank > 0 && value->dims[0] < 0;
        fixed_first |= value->rank > 0 && value->dims[0] >= 0;
        inputs[i] = (struct tensor){.dtype = value->dtype, .rank = value->rank};
        for (int d = 0; d < value->rank; d++) {
            bool fixed = value->dims[d] >= 0;
            inputs[i].dims[d] = fixed ? value->dims[d] : d == 0 ? batch : guess;
            *guessed |= !fixed && (d > 0 || value->rank == 1); /* a vector's length is no batch */
        }
    }
    *guessed |= free_first && fixed_first; /* what is free in one input alone is no batch either */
    return true;
}

bool trial_plan(struct percept_model *model, int64_t batch, struct plan *plan, struct percept_err *err)
{
    *plan = (struct plan){0};
    const struct graph *graph = model->onnx.graph;
    struct tensor *inputs = arena_array(&model->load, (size_t)graph->n_inputs + 1, sizeof *inputs);
    if (!inputs)
        return err_set(err, ERR_MEMORY, "out of memory while planning the network");
    bool guessed;
    if (!trial_inputs(model, batch, inputs, &guessed))
        return true;
    struct percept_err why = {0};
    if (plan_build(plan, model, model->parts, inputs, &why))
        return true;
    if (guessed || why.code == ERR_MEMORY)
        return true;
    if (err)
        *err = why;
    return false;
}

/* First axes that are free everywhere, under one name as far as they have names. */
static bool names_agree(const struct percept_io *io, int n, const char **name)
{
    for (int i = 0; i < n; i++) {
        if (io[i].rank < 1 || io[i].dims[0] != -1)
            return false;
        const char *mine = io[i].dim_names[0];
        if (mine && *name && strcmp(mine, *name) != 0)
            return false;
        if (mine)
            *name = mine;
    }
    return n > 0;
}

/* Do all outputs have `n` items, where they have two in the plan at two? */
static bool outputs_follow(const struct percept_model *model, const struct plan *two,
                           const struct plan *many, int64_t n)
{
    for (int i = 0; i < model->n_outputs; i++)
        if (two->outputs[i]->rank < 1 || two->outputs[i]->dims[0] != 2 ||
            many->outputs[i]->rank != two->outputs[i]->rank || many->outputs[i]->dims[0] != n)
            return false;
    return true;
}

bool trial_batch_free(struct percept_model *model, const struct plan *two)
{
    const char *name = NULL;
    if (!names_agree(model->inputs, model->n_inputs, &name) || !two->outputs)
        return false;
    struct plan plan;
    int64_t many = MANY;
    if (!trial_plan(model, many, &plan, NULL))
        return false;
    if (!plan.outputs) { /* the larger batch may be to blame */
        many = FEW;
        if (!trial_plan(model, many, &plan, NULL))
            return false;
    }
    const bool follows = plan.outputs && outputs_follow(model, two, &plan, many);
    model->items_apart = follows && items_apart(model, two->values, plan.values, many);
    plan_free(&plan);
    return follows;
}
