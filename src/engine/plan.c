/*
 * plan.c - walks a graph once with known shapes and writes down what a run has to do.
 *
 * For each node: its shape verb says what comes out; a node all of whose inputs are known by now is run
 * on the spot and leaves no step (shape arithmetic ends here); an input that lies in the wrong layout
 * gets a conversion in front, once per value; everything else becomes a step.
 *
 * Scratch. Every tensor that is not known, not a constant and not a view of another needs memory from the
 * step that writes it to the last step that reads it. Buffers are placed largest first at the lowest
 * offset that is free for their whole life:
 *
 *     offset
 *       |  [ input ]
 *       |  [ conv1 out      ]
 *       |            [ conv2 out          ]
 *       |                       [ pool ][ dense out ....... output lives to the end
 *       +--- step 0 ---- 1 ---- 2 ---- 3 ---- 4 -->
 *
 * Graph inputs live from the beginning to the end, so that a caller may run again without writing them
 * again; graph outputs live to the end. A view (Reshape and its like) prolongs the life of what it looks
 * at; an operator that may write over its input does so when nobody reads that afterwards.
 *
 * Half floats. Between steps there are none: what comes as float16 or bfloat16 (inputs, a Cast's output;
 * constants were widened at load) is widened to float32 on the spot, and outputs of the model that are
 * declared half are rounded at the end.
 *
 * Where it stops. A shape verb that must know data which only a run computes says which (step->demands):
 * the plan stops before that node. A node whose output dims only its run tells (OP_DATA_DIMS,
 * OP_OWN_MEMORY) is the last of its plan. What later nodes read lives to the end of the plan then, and
 * the plan for the rest, built between two steps of a run, takes values over by pointer.
 *
 * Not here: deciding what is fused (fuse.c), how weights are packed (pack.c), running (frame.c).
 */
#include "engine/plan.h"

#include <limits.h>
#include <string.h>

#define ALIGN 64
#define MOST_KNOWN_BYTES ((size_t)64 << 20) /* larger results are computed at run time, in scratch */

static const struct node nameless; /* of steps that belong to no node */

/* Building state that nobody needs afterwards. */
struct builder {
    struct plan *plan;
    const struct percept_model *model;
    const struct graph *graph;
    int *buffer_of;              /* [n_values]: buffer index, or -1 */
    int *reads_left;             /* [n_values]: by nodes not yet planned */
    bool *kept;                  /* [n_values]: never written over: an input, or seen through a view */
    bool *feed;                  /* [n_values]: given to the graph from outside */
    struct tensor **converted;   /* [n_values]: the value in the other layout, or NULL */
    int *converted_buffer;       /* [n_values] */
    struct percept_err *err;
};

static void *grown(struct arena *arena, void *old, int n, int *cap, size_t size)
{
    if (n < *cap)
        return old;
    int cap_new = *cap ? *cap * 2 : 16;
    void *fresh = arena_grow(arena, old, (size_t)*cap * size, (size_t)cap_new * size);
    if (fresh)
        *cap = cap_new;
    return fresh;
}

static bool memory_short(struct builder *b)
{
    return err_set(b->err, ERR_MEMORY, "out of memory while planning the network");
}

static int add_buffer(struct builder *b, size_t n_bytes, int first)
{
    struct plan *plan = b->plan;
    struct buffer *buffers = grown(&plan->arena, plan->buffers, plan->n_buffers, &plan->cap_buffers,
                                   sizeof *buffers);
    if (!buffers)
        return -1;
    plan->buffers = buffers;
    /* 64 bytes of slack after each buffer: kernels may read them */
    size_t padded = (n_bytes + ALIGN + ALIGN - 1) / ALIGN * ALIGN;
    plan->buffers[plan->n_buffers] = (struct buffer){.n_bytes = padded, .first = first, .last = first};
    return plan->n_buffers++;
}

static bool place_tensor(struct builder *b, struct tensor *tensor, int buffer)
{
    struct plan *plan = b->plan;
    struct placed *placed =
        grown(&plan->arena, plan->placed, plan->n_placed, &plan->cap_placed, sizeof *placed);
    if (!placed)
        return memory_short(b);
    plan->placed = placed;
    plan->placed[plan->n_placed++] = (struct placed){.tensor = tensor, .buffer = buffer};
    return true;
}

static bool take_over(struct builder *b, struct tensor *tensor, const struct tensor *from)
{
    if (!place_tensor(b, tensor, -1))
        return false;
    b->plan->placed[b->plan->n_placed - 1].from = from;
    return true;
}

/* A new buffer of the tensor's size, first written by the step that comes next. */
static bool give_memory(struct builder *b, struct tensor *tensor, int *buffer)
{
    size_t n_bytes;
    if (!tensor_bytes(tensor, b->model->kernels->width, &n_bytes))
        return err_set(b->err, ERR_MEMORY, "a tensor of the network is larger than memory can be");
    *buffer = add_buffer(b, n_bytes, b->plan->n_steps);
    return *buffer >= 0 ? place_tensor(b, tensor, *buffer) : memory_short(b);
}

static void used_now(struct builder *b, int buffer)
{
    if (buffer >= 0 && b->plan->buffers[buffer].last < b->plan->n_steps)
        b->plan->buffers[buffer].last = b->plan->n_steps;
}

/* Appends a finished step. Its scratch gets a buffer that lives for this step alone. */
static bool add_step(struct builder *b, const struct step *step)
{
    struct plan *plan = b->plan;
    int cap = plan->cap_steps;
    struct step *steps = grown(&plan->arena, plan->steps, plan->n_steps, &cap, sizeof *steps);
    int old_cap = plan->cap_steps;
    int *scratch = grown(&plan->arena, plan->step_buffer, plan->n_steps, &old_cap, sizeof *scratch);
    if (!steps || !scratch)
        return memory_short(b);
    plan->steps = steps;
    plan->step_buffer = scratch;
    plan->cap_steps = cap;
    int buffer = -1;
    if (step->scratch_bytes) {
        buffer = add_buffer(b, step->scratch_bytes, plan->n_steps);
        if (buffer < 0)
            return memory_short(b);
    }
    plan->step_buffer[plan->n_steps] = buffer;
    plan->steps[plan->n_steps++] = *step;
    plan->flops += step->flops;
    return true;
}

/* --- layouts --------------------------------------------------------------------------------------- */

static bool run_convert(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)env;
    (void)err;
    const struct tensor *in = step->in[0];
    struct tensor *out = step->out[0];
    int64_t pixels = tensor_span(in, 2, in->rank);
    int64_t channels = in->dims[1];
    int width = step->kernels->width;
    int64_t blocked_item = (channels + width - 1) / width * width * pixels;
    for (int64_t n = 0; n < in->dims[0]; n++) {
        const float *from = in->data;
        float *to = out->data;
        if (out->layout == LAYOUT_BLOCKED)
            step->kernels->block(to + n * blocked_item, from + n * channels * pixels, channels, pixels);
        else
            step->kernels->unblock(to + n * channels * pixels, from + n * blocked_item, channels, pixels);
    }
    return true;
}

static const struct op_rule convert_rule = {.run = run_convert};
static const struct op convert_op = {.domain = "", .name = "(layout)", .since = 1, .rule = &convert_rule};

/* The value in the layout wanted: itself, what was converted before, or a new conversion step. */
static struct tensor *in_layout(struct builder *b, const struct node *node, int value,
                                struct tensor *tensor, enum layout layout)
{
    if (tensor->layout == layout)
        return tensor;
    if (layout == LAYOUT_BLOCKED && (tensor->rank < 3 || tensor->dtype != PERCEPT_FLOAT))
        return err_null(b->err, ERR_INTERNAL, OP_AT "asks for blocks of channels in a tensor that is "
                                                    "no picture", OP_NODE(node));
    if (value >= 0 && b->converted[value]) {
        used_now(b, b->converted_buffer[value]);
        return b->converted[value];
    }
    struct arena *arena = &b->plan->arena;
    struct step step = {.op = &convert_op, .node = node, .kernels = b->model->kernels, .n_in = 1,
                        .n_out = 1, .members = 1};
    struct tensor *out = arena_alloc(arena, sizeof *out);
    step.in = arena_array(arena, 1, sizeof *step.in);
    step.out = arena_array(arena, 1, sizeof *step.out);
    step.want = arena_array(arena, 1, sizeof *step.want);
    if (!out || !step.in || !step.out || !step.want) {
        memory_short(b);
        return NULL;
    }
    *out = *tensor;
    out->layout = layout;
    out->data = NULL;
    step.in[0] = tensor;
    step.out[0] = out;
    int buffer;
    if (!give_memory(b, out, &buffer))
        return NULL;
    if (value >= 0) {
        used_now(b, b->buffer_of[value]);
        b->converted[value] = out;
        b->converted_buffer[value] = buffer;
    }
    if (!add_step(b, &step))
        return NULL;
    used_now(b, buffer); /* by the step after this one, which asked */
    return out;
}

/* --- half floats ------------------------------------------------------------------------------------ */

static bool run_widen(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)env;
    (void)err;
    const struct tensor *in = step->in[0];
    tensor_set_dims(step->out[0], in->rank, in->dims); /* they may depend on data */
    tensor_widen(step->out[0]->data, in->data, in->dtype, tensor_elements(in));
    return true;
}

static bool run_narrow(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)env;
    (void)err;
    struct tensor *out = step->out[0];
    tensor_set_dims(out, step->in[0]->rank, step->in[0]->dims);
    tensor_narrow(out->data, out->dtype, step->in[0]->data, tensor_elements(out));
    return true;
}

static const struct op_rule widen_rule = {.run = run_widen}, narrow_rule = {.run = run_narrow};
static const struct op widen_op = {.domain = "", .name = "(widen)", .since = 1, .rule = &widen_rule};
static const struct op narrow_op = {.domain = "", .name = "(narrow)", .since = 1, .rule = &narrow_rule};

/* A step from one tensor to another whose memory is there already. */
static bool add_conversion(struct builder *b, const struct op *op, const struct node *node,
                           struct tensor *from, struct tensor *to)
{
    struct step step = {.op = op, .node = node, .kernels = b->model->kernels, .n_in = 1, .n_out = 1,
                        .members = 1};
    step.in = arena_array(&b->plan->arena, 1, sizeof *step.in);
    step.out = arena_array(&b->plan->arena, 1, sizeof *step.out);
    if (!step.in || !step.out)
        return memory_short(b);
    step.in[0] = from;
    step.out[0] = to;
    return add_step(b, &step);
}

static struct tensor *half_of(struct builder *b, const struct tensor *tensor, enum percept_dtype dtype)
{
    struct tensor *half = arena_alloc(&b->plan->arena, sizeof *half);
    if (!half) {
        memory_short(b);
        return NULL;
    }
    *half = *tensor;
    half->dtype = dtype;
    half->data = NULL;
    return half;
}

/* What the step puts out as half goes to a tensor beside the value, which becomes float. */
static bool divert_halves(struct builder *b, struct step *step)
{
    for (int i = 0; i < step->n_out; i++) {
        if (!tensor_is_half(step->out[i]->dtype) || step->node->out[i] < 0)
            continue;
        struct tensor *value = step->out[i];
        step->out[i] = half_of(b, value, value->dtype);
        if (!step->out[i])
            return false;
        value->dtype = PERCEPT_FLOAT;
    }
    return true;
}

static bool is_diverted(const struct builder *b, const struct step *step, int i)
{
    return step->node->out[i] >= 0 && step->out[i] != &b->plan->values[step->node->out[i]];
}

/* After the step: widens what was diverted. The step's own record is in the plan by now. */
static bool widen_outputs(struct builder *b, const struct step *step)
{
    for (int i = 0; i < step->n_out; i++) {
        if (!is_diverted(b, step, i))
            continue;
        int value = step->node->out[i], buffer;
        if (!give_memory(b, &b->plan->values[value], &buffer))
            return false;
        used_now(b, b->buffer_of[value]); /* the half's, so far */
        b->buffer_of[value] = buffer;
        if (!add_conversion(b, &widen_op, step->node, step->out[i], &b->plan->values[value]))
            return false;
    }
    return true;
}

/* The same for what was computed while planning. */
static bool widen_known(struct builder *b, const struct step *step)
{
    for (int i = 0; i < step->n_out; i++) {
        struct tensor *value = step->out[i];
        if (!tensor_is_half(value->dtype))
            continue;
        int64_t n = tensor_elements(value);
        float *data = arena_array(&b->plan->arena, (size_t)n + 1, sizeof *data);
        if (!data)
            return memory_short(b);
        tensor_widen(data, value->data, value->dtype, n);
        value->dtype = PERCEPT_FLOAT;
        value->data = data;
    }
    return true;
}

/* --- nodes ----------------------------------------------------------------------------------------- */

static bool make_step(struct builder *b, int index, struct step *step)
{
    const struct node *node = &b->graph->nodes[index];
    struct arena *arena = &b->plan->arena;
    *step = (struct step){.op = node->op, .node = node, .priv = node->priv,
                          .packed = b->plan->part->packed[index], .kernels = b->model->kernels,
                          .n_in = node->n_in, .n_out = node->n_out, .arena = arena,
                          .members = b->model->members};
    step->in = arena_array(arena, (size_t)node->n_in + 1, sizeof *step->in);
    step->out = arena_array(arena, (size_t)node->n_out + 1, sizeof *step->out);
    step->want = arena_array(arena, (size_t)node->n_in + 1, sizeof *step->want);
    if (!step->in || !step->out || !step->want)
        return memory_short(b);
    for (int i = 0; i < node->n_in; i++)
        step->in[i] = node->in[i] >= 0 ? &b->plan->values[node->in[i]] : NULL;
    for (int i = 0; i < node->n_out; i++) {
        step->out[i] = node->out[i] >= 0 ? &b->plan->values[node->out[i]]
                                         : arena_alloc(arena, sizeof(struct tensor));
        if (!step->out[i])
            return memory_short(b);
    }
    return true;
}

static bool all_known(const struct step *step)
{
    if (step->op->rule->flags & OP_RANDOM)
        return false;
    if (step->op->rule->flags & OP_SHAPE_ONLY)
        return true;
    for (int i = 0; i < step->n_in; i++)
        if (step->in[i] && !step->in[i]->data)
            return false;
    return true;
}

/* Known inputs, plain layouts, no great size: may be run while planning. */
static bool may_run_now(const struct builder *b, const struct step *step)
{
    if (!all_known(step) || step->packed || step->op->rule->pack_bytes)
        return false;
    size_t total = 0;
    for (int i = 0; i < step->n_in; i++)
        if (step->in[i] && step->want[i] != step->in[i]->layout)
            return false;
    for (int i = 0; i < step->n_out; i++) {
        size_t n_bytes;
        if (step->out[i]->layout != LAYOUT_PLAIN ||
            !tensor_bytes(step->out[i], b->model->kernels->width, &n_bytes) ||
            __builtin_add_overflow(total, n_bytes, &total) || total > MOST_KNOWN_BYTES)
            return false;
    }
    return true;
}

static bool run_now(struct builder *b, struct step *step)
{
    struct arena *arena = &b->plan->arena;
    for (int i = 0; i < step->n_out; i++) {
        size_t n_bytes;
        tensor_bytes(step->out[i], b->model->kernels->width, &n_bytes);
        void *data = i == 0 && step->alias ? step->in[step->alias - 1]->data
                                           : arena_alloc(arena, n_bytes + 1);
        if (!data)
            return memory_short(b);
        step->out[i]->data = data;
    }
    if (step->alias)
        return true;
    if (step->scratch_bytes && !(step->scratch = arena_alloc(arena, step->scratch_bytes + ALIGN)))
        return memory_short(b);
    struct run_env env = {0};
    return step->op->rule->run(step, &env, b->err);
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
    return tensor_bytes(step->in[k], width, &in_bytes) &&
           tensor_bytes(step->out[0], width, &out_bytes) && in_bytes == out_bytes &&
           b->plan->buffers[b->buffer_of[value]].last <= b->plan->n_steps;
}

/* Memory for what the step writes: a view, a dying input's, or its own. */
static bool give_outputs(struct builder *b, struct step *step)
{
    const struct node *node = step->node;
    for (int i = 0; i < step->n_out; i++) {
        int buffer = -1;
        if (i == 0 && step->inplace && may_overwrite(b, step, step->inplace - 1)) {
            buffer = b->buffer_of[node->in[step->inplace - 1]];
            if (!place_tensor(b, step->out[0], buffer))
                return false;
        } else if (!give_memory(b, step->out[i], &buffer)) {
            return false;
        }
        used_now(b, buffer);
        if (node->out[i] >= 0)
            b->buffer_of[node->out[i]] = buffer;
    }
    return true;
}

/* Bodies of the node read these while it runs. */
static void use_captured(struct builder *b, const struct node *node)
{
    for (int a = 0; a < node->n_attr; a++) {
        const struct graph *body = node->attrs[a].graph;
        for (int v = 0; body && v < body->n_values; v++)
            if (body->values[v].outer >= 0)
                used_now(b, b->buffer_of[body->values[v].outer]);
    }
}

/* Output 0 is input k under other dims; no step is needed. */
static bool make_view(struct builder *b, struct step *step)
{
    int k = step->alias - 1;
    int source = step->node->in[k], value = step->node->out[0];
    struct tensor *in = in_layout(b, step->node, source, step->in[k], step->want[k]);
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
        return place_tensor(b, step->out[0], buffer);
    return !b->plan->in_memory[source] || take_over(b, step->out[0], in);
}

/* Does the run verb alone know what comes out? */
static bool ends_plan(const struct step *step)
{
    return step->op->rule->flags & (OP_DATA_DIMS | OP_OWN_MEMORY);
}

static bool convert_inputs(struct builder *b, struct step *step)
{
    const struct node *node = step->node;
    for (int i = 0; i < node->n_in; i++) {
        if (!step->in[i])
            continue;
        step->in[i] = in_layout(b, node, node->in[i], step->in[i], step->want[i]);
        if (!step->in[i])
            return false;
    }
    for (int i = 0; i < node->n_in; i++) { /* after conversions, which are steps of their own */
        if (!step->in[i])
            continue;
        bool itself = step->in[i] == &b->plan->values[node->in[i]];
        used_now(b, itself ? b->buffer_of[node->in[i]] : b->converted_buffer[node->in[i]]);
    }
    use_captured(b, node);
    return true;
}

enum outcome { PLAN_FAILED, PLAN_WENT_ON, PLAN_STOPPED_BEFORE, PLAN_STOPPED_AFTER };

static enum outcome plan_node(struct builder *b, int index)
{
    const struct node *node = &b->graph->nodes[index];
    const struct op_rule *rule = node->op->rule;
    struct step step;
    if (!make_step(b, index, &step))
        return PLAN_FAILED;
    step.demands = &b->plan->demands;
    if (rule->shape && !rule->shape(&step, b->err))
        return b->plan->demands ? PLAN_STOPPED_BEFORE : PLAN_FAILED;
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] >= 0)
            b->reads_left[node->in[i]]--;
    if (!(rule->flags & OP_OWN_MEMORY) && may_run_now(b, &step))
        return run_now(b, &step) && widen_known(b, &step) ? PLAN_WENT_ON : PLAN_FAILED;
    if (step.alias)
        return make_view(b, &step) ? PLAN_WENT_ON : PLAN_FAILED;
    for (int i = 0; i < node->n_out; i++)
        if (node->out[i] >= 0)
            b->plan->in_memory[node->out[i]] = true;
    if (!convert_inputs(b, &step) || !divert_halves(b, &step) ||
        (!(rule->flags & OP_OWN_MEMORY) && !give_outputs(b, &step)) || !add_step(b, &step) ||
        !widen_outputs(b, &step))
        return PLAN_FAILED;
    return ends_plan(&step) ? PLAN_STOPPED_AFTER : PLAN_WENT_ON;
}

/* --- the whole graph ------------------------------------------------------------------------------- */

/* A half input has memory of its own, alive throughout like that of all inputs. */
static bool start_half(struct builder *b, int i, struct tensor *value)
{
    struct plan *plan = b->plan;
    int buffer;
    plan->feeds[i] = half_of(b, value, value->dtype);
    if (!plan->feeds[i] || !give_memory(b, plan->feeds[i], &buffer))
        return false;
    plan->buffers[buffer].last = INT_MAX;
    value->dtype = PERCEPT_FLOAT;
    return give_memory(b, value, &b->buffer_of[plan->part->feeds[i]]) &&
           add_conversion(b, &widen_op, &nameless, plan->feeds[i], value);
}

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
        return start_half(b, i, value);
    plan->feeds[i] = value;
    return give_memory(b, value, &b->buffer_of[index]);
}

static bool start_values(struct builder *b, const struct tensor *inputs)
{
    struct plan *plan = b->plan;
    const struct graph *graph = b->graph;
    for (int i = 0; i < graph->n_values; i++)
        if (graph->values[i].constant)
            plan->values[i] = *graph->values[i].constant;
    plan->feeds = arena_array(&plan->arena, (size_t)plan->part->n_feeds + 1, sizeof *plan->feeds);
    if (!plan->feeds)
        return memory_short(b);
    for (int i = 0; i < plan->part->n_feeds; i++)
        if (!start_feed(b, i, &inputs[i]))
            return false;
    return true;
}

/* Values of the plan before: what was computed by its run is taken over by pointer, what decided about
 * this plan is known now. */
static bool continue_values(struct builder *b, const struct plan *before)
{
    struct plan *plan = b->plan;
    for (int v = 0; v < b->graph->n_values; v++) {
        plan->values[v] = before->values[v];
        plan->in_memory[v] = before->in_memory[v];
        if (!plan->in_memory[v])
            continue;
        plan->values[v].data = NULL;
        if (!take_over(b, &plan->values[v], &before->values[v]))
            return false;
    }
    for (int i = 0; i < before->n_decided; i++) {
        const struct decided *decided = &before->decided[i];
        if (!decided->by_data)
            continue;
        plan->in_memory[decided->value] = false;
        plan->values[decided->value] = decided->tensor;
    }
    return true;
}

/* The model's own outputs keep the type that it declares; bodies go on with float. */
static bool narrow_output(struct builder *b, int i)
{
    struct plan *plan = b->plan;
    enum percept_dtype declared = b->graph->values[b->graph->outputs[i]].dtype;
    struct tensor *wide = plan->outputs[i];
    if (b->graph->parent || !tensor_is_half(declared) || wide->dtype != PERCEPT_FLOAT)
        return true;
    int buffer;
    plan->outputs[i] = half_of(b, wide, declared);
    if (!plan->outputs[i] || !give_memory(b, plan->outputs[i], &buffer))
        return false;
    plan->buffers[buffer].last = INT_MAX;
    return add_conversion(b, &narrow_op, &nameless, wide, plan->outputs[i]);
}

/* Outputs in plain layout, alive to the end. A constant one keeps its own memory. */
static bool finish_outputs(struct builder *b)
{
    struct plan *plan = b->plan;
    plan->outputs = arena_array(&plan->arena, (size_t)b->graph->n_outputs + 1, sizeof *plan->outputs);
    if (!plan->outputs)
        return memory_short(b);
    for (int i = 0; i < b->graph->n_outputs; i++) {
        int value = b->graph->outputs[i];
        plan->outputs[i] = in_layout(b, &nameless, value, &plan->values[value], LAYOUT_PLAIN);
        if (!plan->outputs[i])
            return false;
    }
    for (int i = 0; i < b->graph->n_outputs; i++) {
        int value = b->graph->outputs[i];
        bool itself = plan->outputs[i] == &plan->values[value];
        int buffer = itself ? b->buffer_of[value] : b->converted_buffer[value];
        if (buffer >= 0)
            plan->buffers[buffer].last = INT_MAX;
    }
    for (int i = 0; i < b->graph->n_outputs; i++)
        if (!narrow_output(b, i))
            return false;
    return true;
}

/* What lives to the end whatever happens: the feeds; and where the plan stops early, what is still to be
 * read. */
static void keep_to_end(struct builder *b)
{
    struct plan *plan = b->plan;
    for (int v = 0; v < b->graph->n_values; v++) {
        bool wanted = !plan_complete(plan) && b->graph->values[v].n_uses > 0 && b->reads_left[v] > 0;
        if (b->buffer_of[v] >= 0 && (wanted || (b->kept[v] && b->feed[v])))
            plan->buffers[b->buffer_of[v]].last = plan->n_steps;
    }
}

static bool overlap(const struct buffer *a, const struct buffer *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* Moves buffer `at` up past those already placed that live at the same time, until it fits. */
static size_t lowest_offset(const struct plan *plan, const int *order, int n, int at)
{
    const struct buffer *buffer = &plan->buffers[at];
    size_t offset = 0;
    for (int i = 0; i < n; i++) { /* `order[0 .. n)` is sorted by offset */
        const struct buffer *other = &plan->buffers[order[i]];
        if (!overlap(buffer, other) || other->offset + other->n_bytes <= offset)
            continue;
        if (offset + buffer->n_bytes <= other->offset)
            break;
        offset = other->offset + other->n_bytes;
    }
    return offset;
}

static void sort_by_size(const struct plan *plan, int *order, int n)
{
    for (int gap = n / 2; gap > 0; gap /= 2) /* shell sort; stable order for equal sizes by index */
        for (int i = gap; i < n; i++) {
            int moving = order[i], j = i;
            const struct buffer *m = &plan->buffers[moving];
            for (; j >= gap; j -= gap) {
                const struct buffer *o = &plan->buffers[order[j - gap]];
                if (o->n_bytes > m->n_bytes || (o->n_bytes == m->n_bytes && order[j - gap] < moving))
                    break;
                order[j] = order[j - gap];
            }
            order[j] = moving;
        }
}

static bool lay_out(struct builder *b)
{
    struct plan *plan = b->plan;
    size_t n = (size_t)plan->n_buffers;
    int *by_size = arena_array(&plan->arena, n + 1, sizeof *by_size);
    int *by_offset = arena_array(&plan->arena, n + 1, sizeof *by_offset);
    if (!by_size || !by_offset)
        return memory_short(b);
    for (int i = 0; i < plan->n_buffers; i++)
        by_size[i] = i;
    sort_by_size(plan, by_size, plan->n_buffers);
    for (int i = 0; i < plan->n_buffers; i++) {
        struct buffer *buffer = &plan->buffers[by_size[i]];
        buffer->offset = lowest_offset(plan, by_offset, i, by_size[i]);
        if (buffer->offset + buffer->n_bytes > plan->scratch_bytes)
            plan->scratch_bytes = buffer->offset + buffer->n_bytes;
        int j = i;
        for (; j > 0 && plan->buffers[by_offset[j - 1]].offset > buffer->offset; j--)
            by_offset[j] = by_offset[j - 1];
        by_offset[j] = by_size[i];
    }
    if (plan->scratch_bytes > b->model->memory_limit_bytes)
        return err_set(b->err, ERR_MEMORY,
                       "these shapes need %zu MB of memory, over the limit of %zu MB; send smaller or "
                       "fewer items, or raise the limit",
                       plan->scratch_bytes >> 20, b->model->memory_limit_bytes >> 20);
    return true;
}

/* Plans nodes from plan->first_node on, as far as that goes. */
static bool plan_nodes(struct builder *b)
{
    struct plan *plan = b->plan;
    enum outcome outcome = PLAN_WENT_ON;
    int i = plan->first_node;
    for (; i < b->graph->n_nodes && outcome == PLAN_WENT_ON; i++)
        if (!b->graph->nodes[i].dead)
            outcome = plan_node(b, i);
    plan->end_node = outcome == PLAN_STOPPED_BEFORE ? i - 1 : i;
    if (outcome == PLAN_STOPPED_BEFORE && b->err)
        *b->err = (struct percept_err){0};
    return outcome != PLAN_FAILED && (!plan_complete(plan) || finish_outputs(b));
}

static bool build(struct builder *b, const struct tensor *inputs, const struct plan *before)
{
    struct plan *plan = b->plan;
    struct arena temporary = {0};
    const struct graph *graph = b->graph;
    size_t n = (size_t)graph->n_values + 1;
    plan->arena.limit_bytes = b->model->memory_limit_bytes;
    plan->values = arena_array(&plan->arena, n, sizeof *plan->values);
    plan->in_memory = arena_array(&plan->arena, n, sizeof *plan->in_memory);
    b->buffer_of = arena_array(&temporary, n, sizeof *b->buffer_of);
    b->reads_left = arena_array(&temporary, n, sizeof *b->reads_left);
    b->kept = arena_array(&temporary, n, sizeof *b->kept);
    b->feed = arena_array(&temporary, n, sizeof *b->feed);
    b->converted = arena_array(&temporary, n, sizeof *b->converted);
    b->converted_buffer = arena_array(&temporary, n, sizeof *b->converted_buffer);
    bool good = plan->values && plan->in_memory && b->buffer_of && b->reads_left && b->kept && b->feed &&
                b->converted && b->converted_buffer;
    for (int v = 0; good && v < graph->n_values; v++) {
        b->buffer_of[v] = -1;
        b->converted_buffer[v] = -1;
        b->reads_left[v] = graph->values[v].n_uses;
    }
    for (int i = 0; good && i < plan->part->n_feeds; i++)
        b->feed[plan->part->feeds[i]] = true;
    good = good ? (before ? continue_values(b, before) : start_values(b, inputs)) : memory_short(b);
    good = good && plan_nodes(b);
    if (good)
        keep_to_end(b);
    good = good && lay_out(b);
    arena_free(&temporary);
    return good;
}

bool plan_build(struct plan *plan, const struct percept_model *model, const struct part *part,
                const struct tensor *inputs, struct percept_err *err)
{
    *plan = (struct plan){.part = part};
    struct builder b = {.plan = plan, .model = model, .graph = part->graph, .err = err};
    bool good = build(&b, inputs, NULL);
    if (!good)
        plan_free(plan);
    return good;
}

bool plan_complete(const struct plan *plan)
{
    return plan->end_node >= plan->part->graph->n_nodes;
}

/* --- the rest, during a run -------------------------------------------------------------------------- */

static bool same_decision(const struct plan *plan, const struct decided *decided, int width)
{
    const struct tensor *now = &plan->values[decided->value];
    size_t n_bytes;
    if (now->dtype != decided->tensor.dtype || !tensor_same_dims(now, &decided->tensor))
        return false;
    return !decided->by_data || !tensor_bytes(now, width, &n_bytes) ||
           memcmp(now->data, decided->tensor.data, n_bytes) == 0;
}

static bool note_decision(struct plan *plan, struct plan *next, int value, bool by_data, int width)
{
    struct decided *decided = &plan->decided[plan->n_decided];
    decided->value = value;
    decided->by_data = by_data;
    decided->tensor = plan->values[value];
    size_t n_bytes;
    if (by_data) {
        if (!tensor_bytes(&decided->tensor, width, &n_bytes))
            return false;
        void *copy = arena_alloc(&next->arena, n_bytes + 1);
        if (!copy)
            return false;
        memcpy(copy, decided->tensor.data, n_bytes);
        decided->tensor.data = copy;
    }
    plan->n_decided++;
    return true;
}

/* Data that the node where the plan stopped demands; dims of what the last step put out. */
static bool note_decisions(struct plan *plan, struct plan *next, int width)
{
    const struct graph *graph = plan->part->graph;
    const struct node *node = &graph->nodes[plan->demands ? plan->end_node : plan->end_node - 1];
    plan->n_decided = 0;
    plan->decided = arena_array(&next->arena, (size_t)(node->n_in + node->n_out) + 1, sizeof *plan->decided);
    if (!plan->decided)
        return false;
    for (int i = 0; plan->demands && i < node->n_in && i < 32; i++)
        if ((plan->demands >> i & 1) && !note_decision(plan, next, node->in[i], true, width))
            return false;
    for (int i = 0; !plan->demands && i < node->n_out; i++)
        if (node->out[i] >= 0 && !note_decision(plan, next, node->out[i], false, width))
            return false;
    return true;
}

static void free_next(struct plan *plan)
{
    if (!plan->next)
        return;
    struct plan *next = plan->next;
    plan->next = NULL;
    plan->n_decided = 0;
    plan_free(next);
    arena_buffer_free(next);
}

struct plan *plan_next(struct plan *plan, const struct percept_model *model, struct percept_err *err)
{
    int width = model->kernels->width;
    bool same = plan->next != NULL;
    for (int i = 0; same && i < plan->n_decided; i++)
        same = same_decision(plan, &plan->decided[i], width);
    if (same) {
        plan_place(plan->next, plan->next->own_scratch);
        return plan->next;
    }
    free_next(plan);
    struct plan *next = arena_buffer(sizeof *next);
    if (!next)
        return err_null(err, ERR_MEMORY, "out of memory while planning the rest of the network");
    *next = (struct plan){.part = plan->part, .first_node = plan->end_node};
    plan->next = next;
    struct builder b = {.plan = next, .model = model, .graph = plan->part->graph, .err = err};
    bool good = note_decisions(plan, next, width) || memory_short(&b);
    good = good && build(&b, NULL, plan);
    if (good) {
        next->own_scratch = arena_buffer(next->scratch_bytes);
        good = next->own_scratch || err_memory(err, "the network's tensors", next->scratch_bytes);
    }
    if (!good) {
        free_next(plan);
        return NULL;
    }
    plan_place(next, next->own_scratch);
    return next;
}

void plan_place(struct plan *plan, char *base)
{
    for (int i = 0; i < plan->n_placed; i++) {
        const struct placed *placed = &plan->placed[i];
        placed->tensor->data =
            placed->buffer >= 0 ? base + plan->buffers[placed->buffer].offset : placed->from->data;
    }
    for (int i = 0; i < plan->n_steps; i++)
        if (plan->step_buffer[i] >= 0)
            plan->steps[i].scratch = base + plan->buffers[plan->step_buffer[i]].offset;
    plan->base = base;
}

void plan_free(struct plan *plan)
{
    free_next(plan);
    arena_buffer_free(plan->own_scratch);
    arena_free(&plan->arena);
    *plan = (struct plan){0};
}
