/*
 * planner.c - walks a graph once with known shapes and writes down what a run has to do.
 *
 * The walk begins with what is there: constants, and the feeds, or for a plan that goes on during a run
 * the values of the plan before. It takes node after node (steps.c), ends with the outputs in plain layout
 * and in the types that the model declares, and lays everything out in scratch by its life (scratch.c).
 *
 * Where it stops. A shape verb that must know data which only a run computes says which (step->demands):
 * the plan stops before that node. A node whose output dims only its run tells (OP_DATA_DIMS,
 * OP_OWN_MEMORY) is the last of its plan. What later nodes read lives to the end of the plan then, and
 * the plan for the rest, built between two steps of a run (chain.c), takes values over by pointer.
 *
 * The parts, in the order in which they call each other: planner.c, steps.c, convert.c, scratch.c, builder.c.
 *
 * Not here: what a plan is (plan.h), deciding what is fused (fuse.c), how weights are packed (pack.c), running
 * (frame.c).
 */
#include "engine/planner.h"

#include "engine/convert.h"
#include "engine/scratch.h"
#include "engine/steps.h"

/* --- where it begins ---------------------------------------------------------------------------------------------- */

static bool start_feed(struct builder *b, int i, const struct tensor *input)
{
    struct plan *plan = b->plan;
    int index = plan->part->feeds[i];
    struct tensor *value = &plan->values[index];
    *value = *input;
    value->data = NULL;
    value->layout = LAYOUT_PLAIN;
    plan->in_memory[index] = true;
    b->kept[index] = true;
    if (tensor_is_half(value->dtype))
        return convert_feed(b, i, value);
    plan->feeds[i] = value;
    return scratch_reserve(b, value, &b->buffer_of[index]);
}

/* A network whose batch of 1 was freed is the file's own at 1. */
static void start_freed(struct builder *b, const struct tensor *inputs)
{
    const struct percept_model *model = b->model;
    if (b->graph == model->onnx.graph && model->n_freed > 0 && inputs[0].rank > 0 && inputs[0].dims[0] == 1)
        for (int i = 0; i < model->n_freed; i++)
            b->plan->values[model->freed[i].value] = model->freed[i].file;
}

static bool start_values(struct builder *b, const struct tensor *inputs)
{
    struct plan *plan = b->plan;
    const struct graph *graph = b->graph;
    for (int i = 0; i < graph->n_values; i++)
        if (graph->values[i].constant)
            plan->values[i] = *graph->values[i].constant;
    start_freed(b, inputs);
    plan->feeds = arena_array(&plan->arena, (size_t)plan->part->n_feeds + 1, sizeof *plan->feeds);
    if (!plan->feeds)
        return builder_short(b);
    for (int i = 0; i < plan->part->n_feeds; i++)
        if (!start_feed(b, i, &inputs[i]))
            return false;
    return true;
}

/* The value's data as the plan before noted them, or NULL: they did not decide about anything. */
static const struct tensor *noted(const struct plan *before, int value)
{
    for (int i = 0; i < before->n_decided; i++)
        if (before->decided[i].by_data && before->decided[i].value == value)
            return &before->decided[i].tensor;
    return NULL;
}

/* Values of the plan before: what was computed by its run is taken over by pointer; what decided about
 * this plan is known now, and does not follow the plan before, whose memory may move. */
static bool continue_values(struct builder *b, const struct plan *before)
{
    struct plan *plan = b->plan;
    for (int v = 0; v < b->graph->n_values; v++) {
        const struct tensor *known = noted(before, v);
        plan->values[v] = known ? *known : before->values[v];
        plan->in_memory[v] = !known && before->in_memory[v];
        if (!plan->in_memory[v])
            continue;
        plan->values[v].data = NULL;
        if (!scratch_follows(b, &plan->values[v], &before->values[v]))
            return false;
    }
    return true;
}

/* --- where it ends ------------------------------------------------------------------------------------------------ */

/* Outputs in plain layout, alive to the end. A constant one keeps its own memory. */
static bool finish_outputs(struct builder *b)
{
    struct plan *plan = b->plan;
    const struct graph *graph = b->graph;
    plan->outputs = arena_array(&plan->arena, (size_t)graph->n_outputs + 1, sizeof *plan->outputs);
    if (!plan->outputs)
        return builder_short(b);
    for (int i = 0; i < graph->n_outputs; i++) {
        int value = graph->outputs[i];
        if (!graph->parent && tensor_is_list(plan->values[value].dtype))
            return err_set(b->err, ERR_UNSUPPORTED, "output '" BYTES_FMT "' is %s",
                           BYTES_ARG(graph->values[value].name), tensor_list_advice(plan->values[value].dtype, true));
        plan->outputs[i] = convert_layout(b, NULL, value, &plan->values[value], LAYOUT_PLAIN);
        if (!plan->outputs[i])
            return false;
    }
    for (int i = 0; i < graph->n_outputs; i++) {
        int value = graph->outputs[i];
        bool itself = plan->outputs[i] == &plan->values[value];
        scratch_keep(b, itself ? b->buffer_of[value] : b->converted_buffer[value]);
    }
    for (int i = 0; i < graph->n_outputs; i++)
        if (!convert_output(b, i))
            return false;
    return true;
}

/* What lives to the end whatever happens: the feeds; and where the plan stops early, what is still to be
 * read. */
static void keep_to_end(struct builder *b)
{
    for (int v = 0; v < b->graph->n_values; v++) {
        bool wanted = !plan_complete(b->plan) && b->graph->values[v].n_uses > 0 && b->reads_left[v] > 0;
        if (wanted || (b->kept[v] && b->feed[v]))
            scratch_keep(b, b->buffer_of[v]);
    }
}

/* --- the whole ---------------------------------------------------------------------------------------------------- */

/* Plans nodes from plan->first_node on, as far as that goes. */
static bool plan_nodes(struct builder *b)
{
    struct plan *plan = b->plan;
    enum steps_outcome outcome = STEPS_WENT_ON;
    int i = plan->first_node;
    for (; i < b->graph->n_nodes && outcome == STEPS_WENT_ON; i++)
        if (!b->graph->nodes[i].removed)
            outcome = steps_of_node(b, i);
    plan->end_node = outcome == STEPS_STOPPED_BEFORE ? i - 1 : i;
    if (outcome == STEPS_STOPPED_BEFORE && b->err)
        *b->err = (struct percept_err){0};
    return outcome != STEPS_FAILED && (!plan_complete(plan) || finish_outputs(b));
}

/* From the values of the plan before, or without one from the inputs. */
static bool build(struct plan *plan, const struct percept_model *model, const struct tensor *inputs,
                  const struct plan *before, struct percept_err *err)
{
    struct builder b = {.plan = plan, .model = model, .graph = plan->part->graph, .err = err};
    size_t n = (size_t)b.graph->n_values + 1;
    plan->arena.limit_bytes = model->memory_limit_bytes;
    plan->values = arena_array(&plan->arena, n, sizeof *plan->values);
    plan->in_memory = arena_array(&plan->arena, n, sizeof *plan->in_memory);
    bool good = builder_begin(&b) && ((plan->values && plan->in_memory) || builder_short(&b)) &&
                (before ? continue_values(&b, before) : start_values(&b, inputs)) && plan_nodes(&b);
    if (good)
        keep_to_end(&b);
    good = good && scratch_place_all(&b);
    builder_end(&b);
    return good;
}

bool planner_build_body(struct plan *plan, const struct percept_model *model, const struct part *part,
                        const struct tensor *inputs, bool empty_input, struct percept_err *err)
{
    *plan = (struct plan){.part = part, .empty_input = empty_input};
    bool good = build(plan, model, inputs, NULL, err);
    if (!good)
        plan_free(plan);
    return good;
}

bool planner_build(struct plan *plan, const struct percept_model *model, const struct part *part,
                   const struct tensor *inputs, struct percept_err *err)
{
    bool empty = false;
    for (int i = 0; i < part->n_feeds; i++)
        for (int d = 0; d < inputs[i].rank; d++)
            empty |= inputs[i].dims[d] == 0;
    return planner_build_body(plan, model, part, inputs, empty, err);
}

bool planner_continue(struct plan *plan, const struct percept_model *model, const struct plan *before,
                      struct percept_err *err)
{
    return build(plan, model, NULL, before, err);
}
