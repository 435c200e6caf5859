/*
 * trial.c - plans the network at made-up shapes, while it is opened.
 *
 * A trial tells what the file does not: shapes that fusing wants to know, types and ranks of outputs, nodes
 * whose types or shapes cannot work. Its batch is what the caller says (two, so that an axis of the batch
 * is not taken for one that is fixed at 1), other free axes get a guess. Where a guess may be to blame for
 * a failure it is not held against the model: it is opened, and the real shapes will tell.
 *
 * The first axis is the batch where all inputs have it free, under one name as far as they have names, and
 * all outputs follow it from two to three. What the file says about its outputs is not asked: the plan knows.
 *
 * Plans of trials are never run: data of inputs are not known, and none are made up (rebatch.c does that).
 */
#include "engine/trial.h"

#include <string.h>

#define GUESS 24 /* for free axes other than the first: divisible by much, larger than most kernels */

/* Dims for a trial: what the model says, `batch` for a free first axis, a guess for other free ones. */
static bool trial_inputs(const struct graph *graph, int64_t batch, struct tensor *inputs, bool *guessed)
{
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
            inputs[i].dims[d] = fixed ? value->dims[d] : d == 0 ? batch : GUESS;
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
    if (!trial_inputs(graph, batch, inputs, &guessed))
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

bool trial_batch_free(struct percept_model *model, const struct plan *two)
{
    const char *name = NULL;
    if (!names_agree(model->inputs, model->n_inputs, &name))
        return false;
    struct plan three;
    if (!two->outputs || !trial_plan(model, 3, &three, NULL))
        return false;
    bool follows = three.outputs != NULL;
    for (int i = 0; follows && i < model->n_outputs; i++)
        follows = two->outputs[i]->rank >= 1 && two->outputs[i]->dims[0] == 2 &&
                  three.outputs[i]->rank == two->outputs[i]->rank && three.outputs[i]->dims[0] == 3;
    plan_free(&three);
    return follows;
}
