/*
 * convert.c - what operators need not know about each other.
 *
 * Layouts. An operator says in which layout it wants an input and in which it leaves its outputs; where
 * they differ, a conversion step goes in front, at most one per value: whoever asks next gets what is
 * there, and its life is prolonged.
 *
 * Half floats. Between steps there are none: what comes as float16 or bfloat16 (inputs, a Cast's output;
 * constants were widened at load) is widened to float32 on the spot, and outputs of the model that are
 * declared half are rounded at the end. So operators that compute know float32 alone, and a chain of them
 * rounds once. An operator that puts out halves writes them to a tensor beside the value; the value is what
 * later steps see, and that is float. Bodies get float and give float: only the main graph's outputs
 * are rounded.
 *
 * Not here: the arithmetic (kernel/transpose.h, graph/tensor.c), when to ask (steps.c, planner.c).
 */
#include "engine/convert.h"

#include "engine/scratch.h"

static const struct node nameless; /* of steps that no node asked for */

static bool run_layout(struct step *step, struct run_env *env, struct percept_err *err)
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
            step->kernels->layout->block(to + n * blocked_item, from + n * channels * pixels, channels, pixels);
        else
            step->kernels->layout->unblock(to + n * channels * pixels, from + n * blocked_item, channels, pixels);
    }
    return true;
}

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

static const struct op_rule layout_rule = {.run = run_layout};
static const struct op_rule widen_rule = {.run = run_widen};
static const struct op_rule narrow_rule = {.run = run_narrow};
static const struct op layout_op = {.domain = "", .name = "(layout)", .since = 1, .rule = &layout_rule};
static const struct op widen_op = {.domain = "", .name = "(widen)", .since = 1, .rule = &widen_rule};
static const struct op narrow_op = {.domain = "", .name = "(narrow)", .since = 1, .rule = &narrow_rule};

/* A step from one tensor to another whose memory is there already. */
static bool add_conversion(struct builder *b, const struct op *op, const struct node *node, struct tensor *from,
                           struct tensor *to)
{
    struct step step = {
        .op = op, .node = node ? node : &nameless, .kernels = b->model->kernels, .n_in = 1, .n_out = 1, .members = 1};
    step.in = arena_array(&b->plan->arena, 1, sizeof *step.in);
    step.out = arena_array(&b->plan->arena, 1, sizeof *step.out);
    if (!step.in || !step.out)
        return builder_short(b);
    step.in[0] = from;
    step.out[0] = to;
    return builder_step(b, &step);
}

/* A tensor of the same dims that has no memory yet. */
static struct tensor *like(struct builder *b, const struct tensor *tensor, enum percept_dtype dtype, enum layout layout)
{
    struct tensor *fresh = arena_alloc(&b->plan->arena, sizeof *fresh);
    if (!fresh) {
        builder_short(b);
        return NULL;
    }
    *fresh = *tensor;
    fresh->dtype = dtype;
    fresh->layout = layout;
    fresh->data = NULL;
    return fresh;
}

/* --- layouts ------------------------------------------------------------------------------------------------------ */

struct tensor *convert_layout(struct builder *b, const struct node *node, int value, struct tensor *tensor,
                              enum layout layout)
{
    if (tensor->layout == layout)
        return tensor;
    if (layout == LAYOUT_BLOCKED && (tensor->rank < 3 || tensor->dtype != PERCEPT_FLOAT))
        return err_null(b->err, ERR_INTERNAL,
                        OP_AT "asks for blocks of channels in a tensor that is "
                              "no picture",
                        OP_NODE(node ? node : &nameless));
    if (b->converted[value]) /* whoever reads it says so (steps.c) */
        return b->converted[value];
    int buffer;
    struct tensor *out = like(b, tensor, tensor->dtype, layout);
    if (!out || !scratch_reserve(b, out, &buffer))
        return NULL;
    scratch_used(b, b->buffer_of[value]);
    b->converted[value] = out;
    b->converted_buffer[value] = buffer;
    if (!add_conversion(b, &layout_op, node, tensor, out))
        return NULL;
    scratch_used(b, buffer); /* by the step after this one, which asked */
    return out;
}

/* --- half floats -------------------------------------------------------------------------------------------------- */

bool convert_feed(struct builder *b, int i, struct tensor *value)
{
    int half_buffer, *buffer = &b->buffer_of[b->plan->part->feeds[i]];
    struct tensor *half = like(b, value, value->dtype, value->layout);
    b->plan->feeds[i] = half;
    if (!half || !scratch_reserve(b, half, &half_buffer))
        return false;
    scratch_keep(b, half_buffer); /* like all inputs */
    value->dtype = PERCEPT_FLOAT;
    return scratch_reserve(b, value, buffer) && add_conversion(b, &widen_op, NULL, half, value);
}

bool convert_divert(struct builder *b, struct step *step)
{
    for (int i = 0; i < step->n_out; i++) {
        struct tensor *value = step->out[i];
        if (!tensor_is_half(value->dtype) || step->node->out[i] < 0)
            continue;
        step->out[i] = like(b, value, value->dtype, value->layout);
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

bool convert_widen(struct builder *b, const struct step *step)
{
    for (int i = 0; i < step->n_out; i++) {
        if (!is_diverted(b, step, i))
            continue;
        int value = step->node->out[i], buffer;
        if (!scratch_reserve(b, &b->plan->values[value], &buffer))
            return false;
        scratch_used(b, b->buffer_of[value]); /* the half's, so far */
        b->buffer_of[value] = buffer;
        if (!add_conversion(b, &widen_op, step->node, step->out[i], &b->plan->values[value]))
            return false;
    }
    return true;
}

bool convert_known(struct builder *b, const struct step *step)
{
    for (int i = 0; i < step->n_out; i++) {
        struct tensor *value = step->out[i];
        if (!tensor_is_half(value->dtype))
            continue;
        int64_t n = tensor_elements(value);
        float *data = arena_array(&b->plan->arena, (size_t)n + 1, sizeof *data);
        if (!data)
            return builder_short(b);
        tensor_widen(data, value->data, value->dtype, n);
        value->dtype = PERCEPT_FLOAT;
        value->data = data;
    }
    return true;
}

bool convert_output(struct builder *b, int i)
{
    struct plan *plan = b->plan;
    enum percept_dtype declared = b->graph->values[b->graph->outputs[i]].dtype;
    struct tensor *wide = plan->outputs[i];
    if (b->graph->parent || !tensor_is_half(declared) || wide->dtype != PERCEPT_FLOAT)
        return true;
    int buffer;
    plan->outputs[i] = like(b, wide, declared, wide->layout);
    if (!plan->outputs[i] || !scratch_reserve(b, plan->outputs[i], &buffer))
        return false;
    scratch_keep(b, buffer);
    return add_conversion(b, &narrow_op, NULL, wide, plan->outputs[i]);
}
