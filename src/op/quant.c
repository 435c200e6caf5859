/*
 * quant.c - QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear.
 *
 * Scale and zero point are one for the tensor, one for each index along an axis, or (block_size) one
 * for each block of indices along the axis at every place of the other axes. So the input is seen as
 * rows: [outer][axis][inner], a row being `inner` elements. Per axis a row has one scale, in blocks each
 * of its elements has its own.
 *
 * The arithmetic is float32 whatever the types, as in ONNX Runtime: y = saturate(round(x / scale) + zero),
 * half to even, and (x - zero) scale. Half floats are widened, and rounded at the end. NaN, about which
 * ONNX says nothing, becomes the least number. 8 bits to and from float32 are the level's kernels; every
 * other pair of types is a plain loop.
 *
 * DynamicQuantizeLinear looks at the whole tensor, a batch of strangers included: that is its meaning.
 *
 * Float8 and 4-bit types are refused by name: nothing else here computes with them. Thread: loader, then
 * the session's holder with its team.
 */
#include "op/quant.h"

#include <math.h>

#include "op/attr.h"
#include "op/batch_axis.h"
#include "op/walk.h"

/* --- shared ------------------------------------------------------------------------------------------------------- */

float quant_scale(const struct tensor *scale, int64_t i)
{
    if (scale->dtype == PERCEPT_FLOAT16)
        return tensor_half_to_float(((const uint16_t *)scale->data)[i]);
    if (scale->dtype == PERCEPT_BFLOAT16)
        return tensor_bfloat_to_float(((const uint16_t *)scale->data)[i]);
    return ((const float *)scale->data)[i];
}

int32_t quant_zero(const struct tensor *zero, int64_t i)
{
    if (!zero)
        return 0;
    switch (zero->dtype) {
    case PERCEPT_INT8:
        return ((const int8_t *)zero->data)[i];
    case PERCEPT_UINT8:
        return ((const uint8_t *)zero->data)[i];
    case PERCEPT_INT16:
        return ((const int16_t *)zero->data)[i];
    case PERCEPT_UINT16:
        return ((const uint16_t *)zero->data)[i];
    default:
        return ((const int32_t *)zero->data)[i];
    }
}

bool quant_want_8bit(const struct step *step, int i, struct percept_err *err)
{
    if (quant_is_8bit(step->in[i]->dtype))
        return true;
    return err_set(err, ERR_UNSUPPORTED, OP_AT "input %d is %s; int8 and uint8 work", OP_NODE(step->node), i,
                   tensor_dtype_name(step->in[i]->dtype));
}

static bool want_count(const struct step *step, int i, int64_t channels, struct percept_err *err)
{
    const int64_t n = tensor_elements(step->in[i]);
    if (n == 1 || (channels && n == channels))
        return true;
    if (!channels)
        return err_set(err, ERR_UNSUPPORTED, OP_AT "input %d has %lld elements; one works", OP_NODE(step->node), i,
                       (long long)n);
    return err_set(err, ERR_INVALID, OP_AT "input %d has %lld elements; one or %lld work", OP_NODE(step->node), i,
                   (long long)n, (long long)channels);
}

bool quant_want_parameters(const struct step *step, int scale, int zero, enum percept_dtype dtype, int64_t channels,
                           struct percept_err *err)
{
    if (op_in(step, scale) &&
        (!op_want_dtype(step, scale, PERCEPT_FLOAT, err) || !want_count(step, scale, channels, err)))
        return false;
    return !op_in(step, zero) || (op_want_dtype(step, zero, dtype, err) && want_count(step, zero, channels, err));
}

void quant_fit(const struct kernels *kernels, struct watch *watch, const float *x, int64_t n, float *scale,
               int32_t *zero)
{
    float low = 0, high = 0;
    for (int64_t at = 0; at < n && watch_spend(watch, OP_BLOCK); at += OP_BLOCK) {
        const int64_t part = n - at < OP_BLOCK ? n - at : OP_BLOCK;
        float least = 0, most = 0;
        kernels->reduce->run(REDUCE_MIN, &least, x + at, part, 1, 1);
        kernels->reduce->run(REDUCE_MAX, &most, x + at, part, 1, 1);
        low = least < low || isnan(least) ? least : low; /* a NaN stays */
        high = most > high || isnan(most) ? most : high;
    }
    low = low < 0 ? low : 0; /* NaN becomes 0 as well */
    high = high > 0 ? high : 0;
    *scale = high == low ? 1 : (high - low) / 255.0F;
    *zero = quant_round(0 - low / *scale, false, 0);
}

/* --- QuantizeLinear and DequantizeLinear -------------------------------------------------------------------------- */

struct quant {
    int64_t axis, block, dtype; /* dtype: attribute output_dtype, 0: none */
};

enum quant_grain { GRAIN_TENSOR, GRAIN_AXIS, GRAIN_BLOCK };

struct quant_plan {
    enum quant_grain grain;
    int64_t axis, blocks, block, inner;
};

static bool is_floating(enum percept_dtype dtype)
{
    return dtype == PERCEPT_FLOAT || tensor_is_half(dtype);
}

/* What numbers are quantised to. */
static bool is_quantised(enum percept_dtype dtype)
{
    return quant_is_8bit(dtype) || dtype == PERCEPT_INT16 || dtype == PERCEPT_UINT16;
}

static bool quant_check(struct node_ctx *ctx, struct percept_err *err)
{
    const bool back = ctx->node->op->rule->variant;
    struct quant *quant = op_priv(ctx, sizeof *quant, err);
    int64_t precision;
    if (!quant)
        return false;
    if (!op_arity(ctx, 2, 3, 1, err) || !attr_int(ctx, "axis", 1, &quant->axis, err) ||
        !attr_int_in(ctx, "block_size", 0, 0, INT64_MAX, &quant->block, err) ||
        !attr_int_in(ctx, "output_dtype", 0, 0, 100, &quant->dtype, err) ||
        !attr_int_in(ctx, "precision", 0, 0, 100, &precision, err))
        return false;
    if (precision != 0 && precision != PERCEPT_FLOAT)
        return err_set(err, ERR_UNSUPPORTED, OP_AT "attribute 'precision' is %s; float32 works", OP_NODE(ctx->node),
                       tensor_dtype_name((enum percept_dtype)precision));
    const enum percept_dtype dtype = (enum percept_dtype)quant->dtype;
    if (dtype != 0 && !(back ? is_floating(dtype) : is_quantised(dtype)))
        return err_set(err, ERR_UNSUPPORTED, OP_AT "attribute 'output_dtype' is %s; %s work", OP_NODE(ctx->node),
                       tensor_dtype_name(dtype),
                       back ? "float32, float16 and bfloat16" : "int8, uint8, int16 and uint16");
    return true;
}

static bool refuse(const struct step *step, int i, const char *works, struct percept_err *err)
{
    return err_set(err, ERR_UNSUPPORTED, OP_AT "input %d is %s; %s work", OP_NODE(step->node), i,
                   tensor_dtype_name(step->in[i]->dtype), works);
}

/* The scale's shape says which grain is meant. */
static bool quant_grain(struct step *step, const struct quant *quant, struct quant_plan *plan, struct percept_err *err)
{
    const struct tensor *x = step->in[0], *scale = step->in[1];
    const struct tensor *zero = op_in(step, 2);
    int axis;
    char text[128], other[128];
    if (zero && tensor_elements(zero) != tensor_elements(scale))
        return err_set(err, ERR_INVALID,
                       OP_AT "scale has %lld elements and zero point %lld; as "
                             "many work",
                       OP_NODE(step->node), (long long)tensor_elements(scale), (long long)tensor_elements(zero));
    if (quant->block == 0 && scale->rank <= 1 && tensor_elements(scale) == 1)
        return true;
    if (!op_axis(step, quant->axis, x->rank, &axis, err))
        return false;
    plan->axis = x->dims[axis];
    plan->inner = tensor_span(x, axis + 1, x->rank);
    plan->grain = quant->block ? GRAIN_BLOCK : GRAIN_AXIS;
    bool fits = quant->block ? scale->rank == x->rank : scale->rank == 1 && scale->dims[0] == plan->axis;
    if (quant->block) {
        plan->block = quant->block;
        plan->blocks = plan->axis / quant->block + (plan->axis % quant->block != 0);
        for (int i = 0; fits && i < x->rank; i++)
            fits = scale->dims[i] == (i == axis ? plan->blocks : x->dims[i]);
    }
    if (!fits)
        return err_set(err, ERR_INVALID, OP_AT "a scale of shape %s does not fit %s at axis %d with block_size %lld",
                       OP_NODE(step->node), tensor_shape_text(scale->rank, scale->dims, text, sizeof text),
                       tensor_shape_text(x->rank, x->dims, other, sizeof other), axis, (long long)quant->block);
    return true;
}

static bool quant_out(struct step *step, enum percept_dtype dtype, struct percept_err *err)
{
    struct quant_plan *plan = arena_alloc(step->arena, sizeof *plan);
    if (!plan)
        return err_memory(err, "a plan", sizeof *plan);
    if (!quant_grain(step, step->priv, plan, err))
        return false;
    op_set_out(step, 0, dtype, step->in[0]->rank, step->in[0]->dims);
    step->state = plan;
    step->flops = 2.0 * (double)tensor_elements(step->in[0]);
    return true;
}

static bool quantize_shape(struct step *step, struct percept_err *err)
{
    const struct quant *quant = step->priv;
    const struct tensor *zero = op_in(step, 2);
    const enum percept_dtype x = step->in[0]->dtype;
    enum percept_dtype dtype = quant->dtype ? (enum percept_dtype)quant->dtype : PERCEPT_UINT8;
    if (!is_floating(x) && x != PERCEPT_INT32)
        return refuse(step, 0, "float32, float16, bfloat16 and int32", err);
    if (!is_floating(step->in[1]->dtype))
        return refuse(step, 1, "float32, float16 and bfloat16", err);
    if (zero && !is_quantised(zero->dtype))
        return refuse(step, 2, "int8, uint8, int16 and uint16", err);
    if (zero && quant->dtype && zero->dtype != dtype)
        return err_set(err, ERR_MODEL, OP_AT "output_dtype is %s and the zero point %s", OP_NODE(step->node),
                       tensor_dtype_name(dtype), tensor_dtype_name(zero->dtype));
    return quant_out(step, zero ? zero->dtype : dtype, err);
}

static bool dequantize_shape(struct step *step, struct percept_err *err)
{
    const struct quant *quant = step->priv;
    const enum percept_dtype x = step->in[0]->dtype, scale = step->in[1]->dtype;
    if (!is_quantised(x) && x != PERCEPT_INT32)
        return refuse(step, 0, "int8, uint8, int16, uint16 and int32", err);
    if (!is_floating(scale))
        return refuse(step, 1, "float32, float16 and bfloat16", err);
    if (op_in(step, 2) && !op_want_dtype(step, 2, x, err))
        return false;
    return quant_out(step, quant->dtype ? (enum percept_dtype)quant->dtype : scale, err);
}

/* --- runs of elements with one scale ------------------------------------------------------------------------------ */

struct quant_work {
    const struct step *step;
    const struct quant_plan *plan;
    void (*run)(const struct step *step, int64_t at, int64_t n, float scale, int32_t zero);
};

static float float_at(const struct tensor *x, int64_t i)
{
    return x->dtype == PERCEPT_INT32 ? (float)((const int32_t *)x->data)[i] : quant_scale(x, i);
}

#define QUANTIZE_LOOP(type, least, most)                                                                               \
    for (int64_t i = at; i < at + n; i++) {                                                                            \
        float value = float_at(x, i) / scale;                                                                          \
        value = value > (float)((least)-zero) ? value : (float)((least)-zero);                                         \
        value = value < (float)((most)-zero) ? value : (float)((most)-zero);                                           \
        ((type *)y->data)[i] = (type)((int32_t)nearbyintf(value) + zero);                                              \
    }

static void quantize_elements(const struct step *step, int64_t at, int64_t n, float scale, int32_t zero)
{
    const struct tensor *x = step->in[0], *y = step->out[0];
    if (x->dtype == PERCEPT_FLOAT && quant_is_8bit(y->dtype)) {
        step->kernels->quantize->quantize((uint8_t *)y->data + at, y->dtype == PERCEPT_INT8,
                                          (const float *)x->data + at, scale, zero, n);
        return;
    }
    switch (y->dtype) {
    case PERCEPT_INT8:
        QUANTIZE_LOOP(int8_t, INT8_MIN, INT8_MAX)
        break;
    case PERCEPT_UINT8:
        QUANTIZE_LOOP(uint8_t, 0, UINT8_MAX)
        break;
    case PERCEPT_INT16:
        QUANTIZE_LOOP(int16_t, INT16_MIN, INT16_MAX)
        break;
    default:
        QUANTIZE_LOOP(uint16_t, 0, UINT16_MAX)
        break;
    }
}

static void put_float(const struct tensor *y, int64_t i, float value)
{
    if (y->dtype == PERCEPT_FLOAT16)
        ((uint16_t *)y->data)[i] = tensor_float_to_half(value);
    else if (y->dtype == PERCEPT_BFLOAT16)
        ((uint16_t *)y->data)[i] = tensor_float_to_bfloat(value);
    else
        ((float *)y->data)[i] = value;
}

static void dequantize_elements(const struct step *step, int64_t at, int64_t n, float scale, int32_t zero)
{
    const struct tensor *x = step->in[0], *y = step->out[0];
    if (quant_is_8bit(x->dtype) && y->dtype == PERCEPT_FLOAT) {
        step->kernels->quantize->dequantize((float *)y->data + at, (const uint8_t *)x->data + at,
                                            x->dtype == PERCEPT_INT8, scale, zero, n);
        return;
    }
    for (int64_t i = at; i < at + n; i++)
        put_float(y, i, (float)((int64_t)quant_zero(x, i) - zero) * scale);
}

/* Rows [from, to), or elements where the tensor has one scale. */
static void quant_rows(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct quant_work *work = arg;
    const struct quant_plan *plan = work->plan;
    const struct tensor *scale = work->step->in[1], *zero = op_in(work->step, 2);
    if (plan->grain == GRAIN_TENSOR) {
        work->run(work->step, from, to - from, quant_scale(scale, 0), quant_zero(zero, 0));
        return;
    }
    for (int64_t row = from; row < to; row++) {
        const int64_t outer = row / plan->axis, index = row % plan->axis, at = row * plan->inner;
        if (plan->grain == GRAIN_AXIS) {
            work->run(work->step, at, plan->inner, quant_scale(scale, index), quant_zero(zero, index));
            continue;
        }
        const int64_t first = (outer * plan->blocks + index / plan->block) * plan->inner;
        for (int64_t i = 0; i < plan->inner; i++)
            work->run(work->step, at + i, 1, quant_scale(scale, first + i), quant_zero(zero, first + i));
    }
}

static bool quant_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct quant_plan *plan = step->state;
    struct quant_work work = {
        .step = step, .plan = plan, .run = step->op->rule->variant ? dequantize_elements : quantize_elements};
    const int64_t elements = tensor_elements(step->in[0]);
    if (elements == 0)
        return true;
    if (plan->grain == GRAIN_TENSOR)
        team_split(env->team, elements, WALK_GRAIN, quant_rows, &work);
    else
        team_split(env->team, elements / plan->inner, WALK_GRAIN / plan->inner + 1, quant_rows, &work);
    return true;
}

/* --- DynamicQuantizeLinear ---------------------------------------------------------------------------------------- */

static bool dynamic_check(struct node_ctx *ctx, struct percept_err *err)
{
    return op_arity(ctx, 1, 1, 3, err);
}

static bool dynamic_shape(struct step *step, struct percept_err *err)
{
    if (!op_want_dtype(step, 0, PERCEPT_FLOAT, err))
        return false;
    op_set_out(step, 0, PERCEPT_UINT8, step->in[0]->rank, step->in[0]->dims);
    if (step->n_out > 1)
        op_set_out(step, 1, PERCEPT_FLOAT, 0, NULL);
    if (step->n_out > 2)
        op_set_out(step, 2, PERCEPT_UINT8, 0, NULL);
    step->flops = 4.0 * (double)tensor_elements(step->in[0]);
    return true;
}

static bool dynamic_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const int64_t n = tensor_elements(step->in[0]);
    const float *x = step->in[0]->data;
    float scale;
    int32_t zero;
    quant_fit(step->kernels, env->watch, x, n, &scale, &zero);
    for (op_blocks(env, n, from, to))
        step->kernels->quantize->quantize((uint8_t *)step->out[0]->data + from, false, x + from, scale, zero,
                                          to - from);
    if (step->n_out > 1)
        *(float *)step->out[1]->data = scale;
    if (step->n_out > 2)
        *(uint8_t *)step->out[2]->data = (uint8_t)zero;
    return true;
}

/* By one scale, by those of another axis, or in blocks by those of each item. */
static void quant_batch(struct batch_view *view)
{
    const struct quant *quant = view->many->priv;
    const struct tensor *x = view->many->in[0], *scale = view->many->in[1];
    const struct batch_place place = view->in[0];
    const int64_t axis = quant->axis < 0 ? quant->axis + x->rank : quant->axis;
    bool together[RANK_MAX] = {false};
    if (scale->rank > 1 && place.word == BATCH_INDEPENDENT && place.axis != axis &&
        batch_axis_same_place(view->in[1], place) &&
        (!op_in(view->many, 2) || batch_axis_same_place(view->in[2], place))) {
        batch_axis_all(view, place);
        return;
    }
    for (int d = 0; d < x->rank && tensor_elements(scale) != 1; d++)
        together[d] = d == axis || scale->rank > 1;
    batch_axis_keep(view, together);
}

const struct op_rule op_quantize_linear = {
    .check = quant_check, .shape = quantize_shape, .run = quant_run, .batch = quant_batch, .variant = 0};

const struct op_rule op_dequantize_linear = {
    .check = quant_check, .shape = dequantize_shape, .run = quant_run, .batch = quant_batch, .variant = 1};

const struct op_rule op_dynamic_quantize_linear = {.check = dynamic_check, .shape = dynamic_shape, .run = dynamic_run};
