/*
 * steps.c - what becomes of a node when its shapes are known.
 *
 * Its shape verb says what comes out, and then one of four things happens:
 *
 *     all inputs known by now     it is run on the spot and leaves no step: shape arithmetic ends here
 *     a view (step->alias)        its output names the memory of its input; no step either
 *     shape asks for data         the plan stops before it
 *     all else                    conversions of its inputs, then the step itself; what comes out as half
 *                                 floats is widened behind it
 *
 * A step may write over an input that it named (step->inplace) when the sizes agree and nobody reads that
 * input afterwards. Never written over: what the caller gave, constants, and what is seen through a view.
 *
 * A known result that is very large is not computed here: it would live in the plan's arena for as long as
 * the plan, where a step's result shares scratch with others.
 *
 * Not here: running on the spot (known.c), conversions (convert.c), memory (scratch.c), the order of nodes (planner.c).
 */
#include "engine/steps.h"

#include "engine/convert.h"
#include "engine/known.h"
#include "engine/scratch.h"

#define MOST_KNOWN_BYTES ((size_t)16 << 20) /* larger results are computed at run time, in scratch */

static bool make_step(struct builder *b, int index, struct step *step)
{
    const struct node *node = &b->graph->nodes[index];
    struct arena *arena = &b->plan->arena;
    const bool during_run = b->plan->first_node > 0 || b->plan->part != b->model->parts;
    if (!known_step(step, node, b->model->kernels, arena))
        return builder_short(b);
    step->packed = b->plan->part->packed[index];
    step->packed_bytes = b->plan->part->packed_bytes[index];
    step->from_data = during_run && !b->plan->empty_input;
    step->demands = &b->plan->demands;
    step->members = b->model->members;
    for (int i = 0; i < node->n_in; i++)
        step->in[i] = node->in[i] >= 0 ? &b->plan->values[node->in[i]] : NULL;
    for (int i = 0; i < node->n_out; i++) {
        step->out[i] = node->out[i] >= 0 ? &b->plan->values[node->out[i]] : arena_alloc(arena, sizeof(struct tensor));
        if (!step->out[i])
            return builder_short(b);
    }
    return true;
}

/* Known inputs, no great size: may be run while planning. */
static bool may_run_now(const struct step *step)
{
    size_t in_bytes, out_bytes;
    return known_ready(step) && known_bytes(step, &in_bytes, &out_bytes) && out_bytes <= MOST_KNOWN_BYTES;
}

/* --- views -------------------------------------------------------------------------------------------------------- */

/* Output 0 is input k under other dims; no step is needed. */
static bool make_view(struct builder *b, struct step *step)
{
    int k = step->alias - 1;
    int source = step->node->in[k], value = step->node->out[0];
    struct tensor *in = convert_layout(b, step->node, source, step->in[k], step->want[k]);
    if (!in)
        return false;
    step->out[0]->data = in->data;
    if (value < 0)
        return true;
    int buffer = in == step->in[k] ? b->buffer_of[source] : b->converted_buffer[source];
    b->buffer_of[value] = buffer;
    b->kept[source] = true;
    b->kept[value] = true;
    b->plan->in_memory[value] = b->plan->in_memory[source];
    if (buffer >= 0)
        return scratch_lies(b, step->out[0], buffer);
    return !b->plan->in_memory[source] || scratch_follows(b, step->out[0], in);
}

/* --- steps -------------------------------------------------------------------------------------------------------- */

/* Bodies of the node read these while it runs. */
static void use_captured(struct builder *b, const struct node *node)
{
    for (int a = 0; a < node->n_attr; a++) {
        const struct graph *body = node->attrs[a].graph;
        for (int v = 0; body && v < body->n_values; v++)
            if (body->values[v].outer >= 0)
                scratch_used(b, b->buffer_of[body->values[v].outer]);
    }
}

static bool convert_inputs(struct builder *b, struct step *step)
{
    const struct node *node = step->node;
    for (int i = 0; i < node->n_in; i++) {
        if (!step->in[i])
            continue;
        step->in[i] = convert_layout(b, node, node->in[i], step->in[i], step->want[i]);
        if (!step->in[i])
            return false;
    }
    for (int i = 0; i < node->n_in; i++) { /* after conversions, which are steps of their own */
        if (!step->in[i])
            continue;
        bool itself = step->in[i] == &b->plan->values[node->in[i]];
        scratch_used(b, itself ? b->buffer_of[node->in[i]] : b->converted_buffer[node->in[i]]);
    }
    use_captured(b, node);
    return true;
}

/* Can output 0 be written over input k: same size, ours, and read by nobody later? */
static bool may_overwrite(const struct builder *b, const struct step *step, int k)
{
    const struct node *node = step->node;
    int value = node->in[k];
    if (value < 0 || b->kept[value] || b->reads_left[value] > 0 || b->buffer_of[value] < 0 ||
        step->in[k] != &b->plan->values[value])
        return false;
    size_t in_bytes, out_bytes;
    int width = b->model->kernels->width;
    return tensor_bytes(step->in[k], width, &in_bytes) && tensor_bytes(step->out[0], width, &out_bytes) &&
           in_bytes == out_bytes && b->plan->buffers[b->buffer_of[value]].last <= b->plan->n_steps;
}

/* Memory for what the step writes: a dying input's, or its own. */
static bool reserve_outputs(struct builder *b, struct step *step)
{
    const struct node *node = step->node;
    if (step->op->rule->flags & OP_OWN_MEMORY)
        return true;
    for (int i = 0; i < step->n_out; i++) {
        int buffer = -1;
        if (i == 0 && step->inplace && may_overwrite(b, step, step->inplace - 1)) {
            buffer = b->buffer_of[node->in[step->inplace - 1]];
            if (!scratch_lies(b, step->out[0], buffer))
                return false;
        } else if (!scratch_reserve(b, step->out[i], &buffer)) {
            return false;
        }
        scratch_used(b, buffer);
        if (node->out[i] >= 0)
            b->buffer_of[node->out[i]] = buffer;
    }
    return true;
}

static bool add_steps(struct builder *b, struct step *step)
{
    for (int i = 0; i < step->n_out; i++)
        if (step->node->out[i] >= 0)
            b->plan->in_memory[step->node->out[i]] = true;
    return convert_inputs(b, step) && convert_divert(b, step) && reserve_outputs(b, step) && builder_step(b, step) &&
           convert_widen(b, step);
}

/* Most operators take tensors alone. What a body or a node before gives is known only here. */
static bool takes_lists(const struct builder *b, const struct step *step)
{
    for (int i = 0; i < step->n_in && !(step->op->rule->flags & OP_LISTS); i++)
        if (step->in[i] && tensor_is_list(step->in[i]->dtype))
            return err_set(b->err, ERR_MODEL, OP_AT "input %d is %s; a tensor would work, as %s", OP_NODE(step->node),
                           i, step->in[i]->dtype == DTYPE_SEQUENCE ? "a sequence" : "an optional",
                           step->in[i]->dtype == DTYPE_SEQUENCE ? "SequenceAt or ConcatFromSequence give one"
                                                                : "OptionalGetElement gives one");
    return true;
}

static enum steps_outcome outcome_of(bool good, enum steps_outcome outcome)
{
    return good ? outcome : STEPS_FAILED;
}

enum steps_outcome steps_of_node(struct builder *b, int index)
{
    const struct node *node = &b->graph->nodes[index];
    const struct op_rule *rule = node->op->rule;
    struct step step;
    if (!make_step(b, index, &step) || !takes_lists(b, &step))
        return STEPS_FAILED;
    if (rule->shape && !rule->shape(&step, b->err))
        return b->plan->demands ? STEPS_STOPPED_BEFORE : STEPS_FAILED;
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] >= 0)
            b->reads_left[node->in[i]]--;
    if (may_run_now(&step))
        return outcome_of(known_run(&step, b->err) && convert_known(b, &step), STEPS_WENT_ON);
    if (step.alias)
        return outcome_of(make_view(b, &step), STEPS_WENT_ON);
    bool run_tells = rule->flags & (OP_DATA_DIMS | OP_OWN_MEMORY);
    return outcome_of(add_steps(b, &step), run_tells ? STEPS_STOPPED_AFTER : STEPS_WENT_ON);
}
