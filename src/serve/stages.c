/*
 * stages.c - see stages.h. Circles: stages whose inputs are all there are taken out, again and again; what is left
 * waits for itself.
 */
#include "serve/stages.h"

#include "base/err.h"

#include <string.h>

int stages_value(const struct stages_plan *plan, const char *name)
{
    for (int i = 0; i < plan->n_values; i++)
        if (strcmp(plan->values[i].name, name) == 0)
            return i;
    return -1;
}

static int value_of(struct stages_plan *plan, const char *name)
{
    int at = stages_value(plan, name);
    if (at >= 0)
        return at;
    plan->values[plan->n_values] = (struct stage_value){.name = name, .maker = -1};
    return plan->n_values++;
}

static bool is_linked_before(const struct stage_link *links, int at)
{
    for (int i = 0; i < at; i++)
        if (strcmp(links[i].io, links[at].io) == 0)
            return true;
    return false;
}

static bool take_inputs(struct stages_plan *plan, const struct stage *stage, int *values, struct percept_err *err)
{
    for (int i = 0; i < stage->n_inputs; i++) {
        if (is_linked_before(stage->inputs, i))
            return err_set(err, ERR_CONFIG, "stage '%s': input '%s' is given twice", stage_name(stage),
                           stage->inputs[i].io);
        values[i] = value_of(plan, stage->inputs[i].value);
        plan->values[values[i]].n_uses++;
    }
    return true;
}

static bool take_outputs(struct stages_plan *plan, const struct stages *stages, int at, int *values,
                         struct percept_err *err)
{
    const struct stage *stage = &stages->at[at];
    for (int i = 0; i < stage->n_outputs; i++) {
        const struct stage_link *link = &stage->outputs[i];
        values[i] = value_of(plan, link->value);
        struct stage_value *value = &plan->values[values[i]];
        if (value->maker >= 0)
            return err_set(err, ERR_CONFIG, "'%s' is made twice, by stage '%s' and by '%s'", link->value,
                           stage_name(&stages->at[value->maker]), stage_name(stage));
        value->maker = at;
    }
    return true;
}

static bool make_room(const struct stages *stages, struct arena *arena, struct stages_plan *plan,
                      struct percept_err *err)
{
    size_t n = 1;
    for (int i = 0; i < stages->n; i++)
        n += (size_t)(stages->at[i].n_inputs + stages->at[i].n_outputs);
    int **inputs = arena_array(arena, (size_t)stages->n, sizeof *inputs);
    int **outputs = arena_array(arena, (size_t)stages->n, sizeof *outputs);
    int *all = arena_array(arena, n, sizeof *all);
    plan->values = arena_array(arena, n, sizeof *plan->values);
    if (!inputs || !outputs || !all || !plan->values)
        return err_memory(err, "stages", n * sizeof *plan->values);
    for (int i = 0; i < stages->n; i++) {
        inputs[i] = all;
        outputs[i] = all += stages->at[i].n_inputs;
        all += stages->at[i].n_outputs;
    }
    plan->inputs = inputs;
    plan->outputs = outputs;
    return true;
}

/* --- circles ------------------------------------------------------------------------------------------------------ */

static bool is_there(const struct stages_plan *plan, const bool *done, int value)
{
    const int maker = plan->values[value].maker;
    return maker < 0 || done[maker];
}

static bool can_run(const struct stages *stages, const struct stages_plan *plan, const bool *done, int stage)
{
    for (int i = 0; i < stages->at[stage].n_inputs; i++)
        if (!is_there(plan, done, plan->inputs[stage][i]))
            return false;
    return true;
}

/* An input that it waits for. */
static const struct stage_value *missing(const struct stages_plan *plan, const bool *done, int stage)
{
    int i = 0;
    while (is_there(plan, done, plan->inputs[stage][i]))
        i++;
    return &plan->values[plan->inputs[stage][i]];
}

/* Whoever goes from one that waits to what it waits for comes into a circle. */
static bool say_circle(const struct stages *stages, const struct stages_plan *plan, const bool *done,
                       struct percept_err *err)
{
    int at = 0;
    while (done[at])
        at++;
    for (int i = 0; i < stages->n; i++)
        at = missing(plan, done, at)->maker;
    const struct stage_value *value = missing(plan, done, at);
    if (value->maker == at)
        return err_set(err, ERR_CONFIG, "stage '%s' needs '%s', which it makes itself: a circle",
                       stage_name(&stages->at[at]), value->name);
    return err_set(err, ERR_CONFIG, "stage '%s' needs '%s' of stage '%s', which waits for it in turn: a circle",
                   stage_name(&stages->at[at]), value->name, stage_name(&stages->at[value->maker]));
}

static bool has_no_circle(const struct stages *stages, const struct stages_plan *plan, struct percept_err *err)
{
    bool done[STAGES_MAX] = {false};
    int n_done = 0;
    for (bool more = true; more;) {
        more = false;
        for (int i = 0; i < stages->n; i++)
            if (!done[i] && can_run(stages, plan, done, i)) {
                done[i] = more = true;
                n_done++;
            }
    }
    return n_done == stages->n || say_circle(stages, plan, done, err);
}

/* --- all ---------------------------------------------------------------------------------------------------------- */

static bool take(const struct stages *stages, struct stages_plan *plan, struct percept_err *err)
{
    for (int i = 0; i < stages->n; i++) {
        const struct stage *stage = &stages->at[i];
        if (!stage->n_inputs || !stage->n_outputs)
            return err_set(err, ERR_CONFIG, "stage '%s' has no %s", stage_name(stage),
                           stage->n_inputs ? "outputs" : "inputs");
        if (!take_inputs(plan, stage, plan->inputs[i], err) || !take_outputs(plan, stages, i, plan->outputs[i], err))
            return false;
    }
    return true;
}

bool stages_plan(const struct stages *stages, struct arena *arena, struct stages_plan *plan, struct percept_err *err)
{
    *plan = (struct stages_plan){.n_values = 0};
    if (stages->n < 1)
        return err_set(err, ERR_CONFIG, "there is no stage");
    if (stages->n > STAGES_MAX)
        return err_set(err, ERR_CONFIG, "there are %d stages; at most %d are served", stages->n, STAGES_MAX);
    return make_room(stages, arena, plan, err) && take(stages, plan, err) && has_no_circle(stages, plan, err);
}
