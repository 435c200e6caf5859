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
 * Not here: deciding what is fused (fuse.c) and how weights are packed (pack.c).
 */
#include "engine/plan.h"

#define ALIGN 64
#define MOST_KNOWN_BYTES ((size_t)64 << 20) /* larger results are computed at run time, in scratch */

/* Building state that nobody needs afterwards. */
struct builder {
    struct plan *plan;
    const struct percept_model *model;
    const struct graph *graph;
    int *buffer_of;              /* [n_values]: buffer index, or -1 */
    int *reads_left;             /* [n_values]: by nodes not yet planned */
    bool *kept;                  /* [n_values]: never written over: an input, or seen through a view */
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
    return buffer < 0 || place_tensor(b, step->out[0], buffer);
}

static bool plan_node(struct builder *b, int index)
{
    const struct node *node = &b->graph->nodes[index];
    struct step step;
    if (!make_step(b, index, &step) || !node->op->rule->shape(&step, b->err))
        return false;
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] >= 0)
            b->reads_left[node->in[i]]--;
    if (may_run_now(b, &step))
        return run_now(b, &step);
    if (step.alias)
        return make_view(b, &step);
    for (int i = 0; i < node->n_in; i++) {
        if (!step.in[i])
            continue;
        step.in[i] = in_layout(b, node, node->in[i], step.in[i], step.want[i]);
        if (!step.in[i])
            return false;
    }
    for (int i = 0; i < node->n_in; i++) { /* after conversions, which are steps of their own */
        if (!step.in[i])
            continue;
        bool itself = step.in[i] == &b->plan->values[node->in[i]];
        used_now(b, itself ? b->buffer_of[node->in[i]] : b->converted_buffer[node->in[i]]);
    }
    return give_outputs(b, &step) && add_step(b, &step);
}

/* --- the whole graph ------------------------------------------------------------------------------- */

static bool start_values(struct builder *b, const struct tensor *inputs)
{
    struct plan *plan = b->plan;
    const struct graph *graph = b->graph;
    for (int i = 0; i < graph->n_values; i++) {
        b->buffer_of[i] = -1;
        b->converted_buffer[i] = -1;
        b->reads_left[i] = graph->values[i].n_uses;
        if (graph->values[i].constant)
            plan->values[i] = *graph->values[i].constant;
    }
    for (int i = 0; i < graph->n_inputs; i++) {
        int value = graph->inputs[i];
        plan->values[value] = inputs[i];
        plan->values[value].data = NULL;
        b->kept[value] = true;
        if (!give_memory(b, &plan->values[value], &b->buffer_of[value]))
            return false;
    }
    return true;
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
        static const struct node nameless;
        plan->outputs[i] = in_layout(b, &nameless, value, &plan->values[value], LAYOUT_PLAIN);
        if (!plan->outputs[i])
            return false;
    }
    for (int i = 0; i < b->graph->n_outputs; i++) {
        int value = b->graph->outputs[i];
        bool itself = plan->outputs[i] == &plan->values[value];
        int buffer = itself ? b->buffer_of[value] : b->converted_buffer[value];
        if (buffer >= 0)
            plan->buffers[buffer].last = plan->n_steps;
    }
    for (int i = 0; i < b->graph->n_inputs; i++)
        plan->buffers[b->buffer_of[b->graph->inputs[i]]].last = plan->n_steps;
    return true;
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

bool plan_build(struct plan *plan, const struct percept_model *model, const struct part *part,
                const struct tensor *inputs, struct percept_err *err)
{
    *plan = (struct plan){.part = part};
    plan->arena.limit_bytes = model->memory_limit_bytes;
    struct builder b = {.plan = plan, .model = model, .graph = part->graph, .err = err};
    struct arena temporary = {0};
    size_t n = (size_t)part->graph->n_values + 1;
    plan->values = arena_array(&plan->arena, n, sizeof *plan->values);
    b.buffer_of = arena_array(&temporary, n, sizeof *b.buffer_of);
    b.reads_left = arena_array(&temporary, n, sizeof *b.reads_left);
    b.kept = arena_array(&temporary, n, sizeof *b.kept);
    b.converted = arena_array(&temporary, n, sizeof *b.converted);
    b.converted_buffer = arena_array(&temporary, n, sizeof *b.converted_buffer);
    bool good = plan->values && b.buffer_of && b.reads_left && b.kept && b.converted &&
                        b.converted_buffer
                    ? start_values(&b, inputs)
                    : memory_short(&b);
    for (int i = 0; good && i < part->graph->n_nodes; i++)
        if (!part->graph->nodes[i].dead)
            good = plan_node(&b, i);
    good = good && finish_outputs(&b) && lay_out(&b);
    arena_free(&temporary);
    if (!good)
        plan_free(plan);
    return good;
}

void plan_place(struct plan *plan, char *base)
{
    for (int i = 0; i < plan->n_placed; i++)
        plan->placed[i].tensor->data = base + plan->buffers[plan->placed[i].buffer].offset;
    for (int i = 0; i < plan->n_steps; i++)
        if (plan->step_buffer[i] >= 0)
            plan->steps[i].scratch = base + plan->buffers[plan->step_buffer[i]].offset;
    plan->base = base;
}

void plan_free(struct plan *plan)
{
    arena_free(&plan->arena);
    *plan = (struct plan){0};
}
