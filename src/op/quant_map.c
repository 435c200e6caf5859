/*
 * quant_map.c - com.microsoft's operators that take and give 8-bit tensors: QLinearAdd, QLinearMul,
 * QLinearSigmoid, QLinearLeakyRelu, QLinearSoftmax, QLinearConcat, QLinearWhere, QLinearAveragePool,
 * QLinearGlobalAveragePool, QLinearReduceMean.
 *
 * What maps one byte to one byte is a table of 256, made at every run from scales and zero points that
 * may have been computed. The others follow ONNX Runtime's order of float32 operations, because where
 * a half is rounded depends on it:
 *
 *     Add      round(a (as/ys) + (b (bs/ys) + (yz - (as/ys az + bs/ys bz)))), each step fused
 *     Mul      round((a - az)(b - bz) (as bs / ys) + yz)
 *     pools    AveragePool adds yz before it rounds, the global one after
 *     Softmax  a table of exponentials, scaled so that their sum does not overflow
 *     Mean     has no kernel there; its schema says: the numbers meant, their mean, quantized. The
 *              quotient is computed in double, where a half is one, and is rounded once
 *
 * The sums of pools and of Softmax are doubles here, rounded to float once: there may be millions of terms, and a
 * chain of floats would lose parts of a hundred.
 *
 * Everything is plain layout. Work is split over elements, rows or maps. Thread: loader, then the
 * session's holder with its team.
 */
#include <math.h>
#include <string.h>

#include "op/activation.h"
#include "op/attr.h"
#include "op/batch_axis.h"
#include "op/quant.h"
#include "op/softmax.h"
#include "op/spatial.h"
#include "op/walk.h"

/* y's scale and zero point, and those of one input. */
struct scales {
    bool is_signed;
    float x, y;
    int32_t x_zero, y_zero;
};

static struct scales scales_of(const struct step *step, int x, int y)
{
    return (struct scales){
        .is_signed = step->out[0]->dtype == PERCEPT_INT8,
        .x = quant_scale(step->in[x], 0),
        .y = quant_scale(step->in[y], 0),
        .x_zero = quant_zero(op_in(step, x + 1), 0),
        .y_zero = quant_zero(op_in(step, y + 1), 0),
    };
}

static float dequantized(const struct scales *s, int byte)
{
    return s->x * (float)(quant_value((uint8_t)byte, s->is_signed) - s->x_zero);
}

/* check: op_arity, but zero points may be left out. needed: bit i for each input that may not. */
static bool arity(const struct node_ctx *ctx, int least, int most, uint32_t needed, struct percept_err *err)
{
    if (ctx->node->n_in < least)
        return op_arity(ctx, least, most, 1, err); /* says so */
    for (int i = 0; needed >> i; i++) {
        if (needed >> i & 1 && !op_has_input(ctx->node, i))
            return err_set(err, ERR_MODEL, OP_AT "input %d is left out and is needed", OP_NODE(ctx->node), i);
    }
    return op_arity(ctx, 0, most, 1, err);
}

/* What all these have in common: 8-bit input 0; scales at 1 and 3, zero points behind them. */
static bool shape_parameters(const struct step *step, struct percept_err *err)
{
    const enum percept_dtype dtype = step->in[0]->dtype;
    return quant_want_8bit(step, 0, err) && quant_want_parameters(step, 1, 2, dtype, 0, err) &&
           quant_want_parameters(step, 3, 4, dtype, 0, err);
}

/* --- QLinearAdd, QLinearMul --------------------------------------------------------------------------------------- */

enum { PAIR_CHUNK = 64 };

struct pair {
    const struct step *step;
    struct walk walk;
    bool multiply;
    bool is_signed;
    int32_t a_zero, b_zero, y_zero;
    float a_ratio, b_ratio, fixed; /* Add */
    float ratio;                   /* Mul */
};

static bool pair_check(struct node_ctx *ctx, struct percept_err *err)
{
    return arity(ctx, 7, 8, 0x5b, err);
}

static bool pair_shape(struct step *step, struct percept_err *err)
{
    const enum percept_dtype dtype = step->in[0]->dtype;
    int64_t dims[RANK_MAX];
    int rank;
    if (!quant_want_8bit(step, 0, err) || !op_want_dtype(step, 3, dtype, err) ||
        !quant_want_parameters(step, 1, 2, dtype, 0, err) || !quant_want_parameters(step, 4, 5, dtype, 0, err) ||
        !quant_want_parameters(step, 6, 7, dtype, 0, err))
        return false;
    if (!tensor_broadcast(step->in[0], step->in[3], &rank, dims, err))
        return err_prefix(err, OP_AT, OP_NODE(step->node));
    op_set_out(step, 0, dtype, rank, dims);
    struct pair *pair = arena_alloc(step->arena, sizeof *pair);
    if (!pair)
        return err_memory(err, "a plan", sizeof *pair);
    *pair = (struct pair){.multiply = step->op->rule->variant, .is_signed = dtype == PERCEPT_INT8};
    const struct tensor *const sides[] = {step->in[0], step->in[3]};
    walk_make(&pair->walk, rank, dims, 2, sides);
    step->state = pair;
    step->flops = 4.0 * (double)pair->walk.elements;
    return true;
}

/* To a whole number near 0, which is all that saturation needs to see; NaN becomes the least. */
static int32_t whole(float x)
{
    x = x > -1024 ? x : -1024;
    x = x < 1024 ? x : 1024;
    const float shifted = x + 12582912.0F; /* 1.5 2^23: its low bits count units */
    int32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    return bits - 0x4b400000;
}

static uint8_t saturated(int32_t x, int32_t low, int32_t high)
{
    x = x < low ? low : x;
    return (uint8_t)(x > high ? high : x);
}

/* PAIR_CHUNK elements: counts that the compiler knows become vectors. */
static void chunk_multiply(const struct pair *pair, const float *a, const float *b, float *y)
{
    const float a_zero = (float)pair->a_zero, b_zero = (float)pair->b_zero, ratio = pair->ratio;
    const float y_zero = (float)pair->y_zero;
    for (int i = 0; i < PAIR_CHUNK; i++) {
        const float product = (a[i] - a_zero) * (b[i] - b_zero); /* whole, exact */
        const double scaled = (double)(product * ratio);         /* two roundings on every machine */
        y[i] = (float)(scaled + (double)y_zero);
    }
}

static void chunk_load(float *to, const uint8_t *from, int64_t stride, int64_t n, bool is_signed)
{
    const int32_t flip = is_signed ? 0x80 : 0;
    for (int64_t i = 0; i < n; i++)
        to[i] = (float)((from[i * stride] ^ flip) - flip);
}

/* Bytes that follow each other: the tensor's own, or PAIR_CHUNK at most that were collected. */
static const uint8_t *chunk_bytes(uint8_t *chunk, const uint8_t *from, int64_t stride, int64_t n)
{
    if (stride == 1)
        return from;
    for (int64_t i = 0; i < n; i++)
        chunk[i] = from[i * stride];
    return chunk;
}

static void visit_add(const struct pair *pair, uint8_t *y, const uint8_t *a, int64_t a_step, const uint8_t *b,
                      int64_t b_step, int64_t n)
{
    uint8_t left[PAIR_CHUNK], right[PAIR_CHUNK];
    const int64_t most = a_step == 1 && b_step == 1 ? n : PAIR_CHUNK;
    for (int64_t i = 0; i < n; i += most) {
        const int64_t some = n - i < most ? n - i : most;
        pair->step->kernels->quantize->add(y + i, pair->is_signed, chunk_bytes(left, a + i * a_step, a_step, some),
                                           chunk_bytes(right, b + i * b_step, b_step, some), pair->a_ratio,
                                           pair->b_ratio, pair->fixed, some);
    }
}

static void pair_visit(void *arg, int64_t out, const int64_t *at, int64_t n)
{
    const struct pair *pair = arg;
    const struct step *step = pair->step;
    const int64_t a_step = walk_inner(&pair->walk, 0), b_step = walk_inner(&pair->walk, 1);
    const uint8_t *a = (const uint8_t *)step->in[0]->data + at[0];
    const uint8_t *b = (const uint8_t *)step->in[3]->data + at[1];
    uint8_t *y = (uint8_t *)step->out[0]->data + out;
    const int32_t low = pair->is_signed ? -128 : 0, high = low + 255;
    float left[PAIR_CHUNK] = {0}, right[PAIR_CHUNK] = {0}, result[PAIR_CHUNK];
    if (!pair->multiply) {
        visit_add(pair, y, a, a_step, b, b_step, n);
        return;
    }
    for (int64_t i = 0; i < n; i += PAIR_CHUNK) {
        const int64_t some = n - i < PAIR_CHUNK ? n - i : PAIR_CHUNK;
        chunk_load(left, a + i * a_step, a_step, some, pair->is_signed);
        chunk_load(right, b + i * b_step, b_step, some, pair->is_signed);
        chunk_multiply(pair, left, right, result);
        for (int64_t j = 0; j < some; j++)
            y[i + j] = saturated(whole(result[j]), low, high);
    }
}

static void pair_range(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    struct pair *pair = arg;
    walk_range(&pair->walk, from, to, pair_visit, pair);
}

static bool pair_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    struct pair *pair = step->state;
    pair->step = step; /* the plan's own only now */
    const float a = quant_scale(step->in[1], 0), b = quant_scale(step->in[4], 0);
    const float y = quant_scale(step->in[6], 0);
    pair->a_zero = quant_zero(op_in(step, 2), 0);
    pair->b_zero = quant_zero(op_in(step, 5), 0);
    pair->y_zero = quant_zero(op_in(step, 7), 0);
    pair->a_ratio = a / y;
    pair->b_ratio = b / y;
    const float zeros = pair->a_ratio * (float)pair->a_zero + pair->b_ratio * (float)pair->b_zero;
    pair->fixed = (float)pair->y_zero - zeros;
    pair->ratio = a * b / y;
    team_split(env->team, pair->walk.elements, WALK_GRAIN, pair_range, pair);
    return true;
}

const struct op_rule op_qlinear_add = {
    .check = pair_check, .shape = pair_shape, .run = pair_run, .batch = batch_axis_elements, .variant = 0};
const struct op_rule op_qlinear_mul = {
    .check = pair_check, .shape = pair_shape, .run = pair_run, .batch = batch_axis_elements, .variant = 1};

/* --- tables: QLinearSigmoid, QLinearLeakyRelu --------------------------------------------------------------------- */

struct look_up {
    const uint8_t *x;
    uint8_t *y;
    uint8_t table[256];
};

static void look_up_range(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct look_up *look_up = arg;
    for (int64_t i = from; i < to; i++)
        look_up->y[i] = look_up->table[look_up->x[i]];
}

/* The rule's variant is the kernel. */
static bool map_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct activation_of *of = op_priv(ctx, sizeof *of, err);
    const struct activation_row *row = activation_row((enum unary)ctx->node->op->rule->variant);
    return of && arity(ctx, 4, 5, 0xb, err) && activation_read(ctx, row, of, err);
}

static bool map_shape(struct step *step, struct percept_err *err)
{
    if (!shape_parameters(step, err))
        return false;
    op_set_out(step, 0, step->in[0]->dtype, step->in[0]->rank, step->in[0]->dims);
    step->inplace = 1;
    return true;
}

static bool map_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct scales s = scales_of(step, 1, 3);
    struct look_up look_up = {.x = step->in[0]->data, .y = step->out[0]->data};
    float values[256];
    for (int i = 0; i < 256; i++)
        values[i] = dequantized(&s, i);
    activation_floats(step->priv, step->kernels, values, values, 256);
    step->kernels->quantize->quantize(look_up.table, s.is_signed, values, s.y, s.y_zero, 256);
    team_split(env->team, tensor_elements(step->in[0]), WALK_GRAIN, look_up_range, &look_up);
    return true;
}

const struct op_rule op_qlinear_sigmoid = {
    .check = map_check, .shape = map_shape, .run = map_run, .batch = batch_axis_each, .variant = UNARY_SIGMOID};
const struct op_rule op_qlinear_leaky_relu = {
    .check = map_check, .shape = map_shape, .run = map_run, .batch = batch_axis_each, .variant = UNARY_LEAKY};

/* From one scale to another. */
static void rescale(const struct step *step, const struct scales *s, uint8_t *table)
{
    float values[256];
    for (int i = 0; i < 256; i++)
        values[i] = dequantized(s, i);
    step->kernels->quantize->quantize(table, s->is_signed, values, s->y, s->y_zero, 256);
}

/* --- QLinearConcat: scale, zero point, then (tensor, scale, zero point) over and over ----------------------------- */

static bool concat_check(struct node_ctx *ctx, struct percept_err *err)
{
    int64_t *axis = op_priv(ctx, sizeof *axis, err);
    const int n = ctx->node->n_in;
    if (!axis)
        return false;
    if (!arity(ctx, 5, INT32_MAX, 0xd, err))
        return false;
    if ((n - 2) % 3 != 0)
        return err_set(err, ERR_MODEL, OP_AT "it has %d inputs; 2 and 3 for each tensor would work", OP_NODE(ctx->node),
                       n);
    for (int i = 2; i < n; i++) {
        if (i % 3 != 1 && !op_has_input(ctx->node, i))
            return err_set(err, ERR_MODEL, OP_AT "input %d is left out and is needed", OP_NODE(ctx->node), i);
    }
    if (!attr_has(ctx, "axis"))
        return err_set(err, ERR_MODEL, OP_AT "attribute 'axis' is missing", OP_NODE(ctx->node));
    return attr_int(ctx, "axis", 0, axis, err);
}

static bool concat_shape(struct step *step, struct percept_err *err)
{
    const struct tensor *first = step->in[2];
    int64_t dims[RANK_MAX];
    int axis;
    if (!quant_want_8bit(step, 2, err) || !quant_want_parameters(step, 0, 1, first->dtype, 0, err) ||
        !op_axis(step, *(const int64_t *)step->priv, first->rank, &axis, err))
        return false;
    memcpy(dims, first->dims, sizeof dims);
    dims[axis] = 0;
    for (int k = 2; k < step->n_in; k += 3) {
        const struct tensor *t = step->in[k];
        if (!op_want_dtype(step, k, first->dtype, err) ||
            !quant_want_parameters(step, k + 1, k + 2, first->dtype, 0, err))
            return false;
        bool fits = t->rank == first->rank;
        for (int i = 0; fits && i < t->rank; i++)
            fits = i == axis || t->dims[i] == dims[i];
        if (!fits || __builtin_add_overflow(dims[axis], t->dims[axis], &dims[axis])) {
            char a[128], b[128];
            return err_set(err, ERR_INVALID, OP_AT "shapes %s and %s do not join on axis %d", OP_NODE(step->node),
                           tensor_shape_text(first->rank, first->dims, a, sizeof a),
                           tensor_shape_text(t->rank, t->dims, b, sizeof b), axis);
        }
    }
    op_set_out(step, 0, first->dtype, first->rank, dims);
    return true;
}

/* Rows of one input: a row is what lies together from `axis` on. */
struct join {
    struct look_up look_up;
    int64_t x_row, y_row;
    bool same;
};

static void join_rows(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct join *join = arg;
    for (int64_t row = from; row < to; row++) {
        const uint8_t *x = join->look_up.x + row * join->x_row;
        uint8_t *y = join->look_up.y + row * join->y_row;
        if (join->same) {
            memcpy(y, x, (size_t)join->x_row);
            continue;
        }
        for (int64_t i = 0; i < join->x_row; i++)
            y[i] = join->look_up.table[x[i]];
    }
}

static bool concat_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct tensor *y = step->out[0];
    int axis;
    if (!op_axis(step, *(const int64_t *)step->priv, y->rank, &axis, err))
        return false;
    const int64_t rows = tensor_span(y, 0, axis), y_row = tensor_span(y, axis, y->rank);
    uint8_t *to = y->data;
    for (int k = 2; k < step->n_in && tensor_elements(y) > 0; k += 3) {
        const struct scales s = scales_of(step, k + 1, 0);
        struct join join = {.look_up = {.x = step->in[k]->data, .y = to},
                            .x_row = tensor_span(step->in[k], axis, y->rank),
                            .y_row = y_row,
                            .same = s.x == s.y && s.x_zero == s.y_zero};
        rescale(step, &s, join.look_up.table);
        team_split(env->team, join.x_row ? rows : 0, WALK_GRAIN / (join.x_row + 1) + 1, join_rows, &join);
        to += join.x_row;
    }
    return true;
}

static void concat_batch(struct batch_view *view)
{
    batch_axis_joined(view, 2, 3, *(const int64_t *)view->many->priv);
}

const struct op_rule op_qlinear_concat = {
    .check = concat_check, .shape = concat_shape, .run = concat_run, .batch = concat_batch};

/* --- QLinearWhere: condition, then (tensor, scale, zero point) twice, scale, zero point --------------------------- */

struct choice {
    const struct step *step;
    struct walk walk;
    uint8_t tables[2][256];
};

static bool choice_check(struct node_ctx *ctx, struct percept_err *err)
{
    return arity(ctx, 8, 9, 0xb7, err);
}

static bool choice_shape(struct step *step, struct percept_err *err)
{
    const enum percept_dtype dtype = step->in[1]->dtype;
    if (!op_want_dtype(step, 0, PERCEPT_BOOL, err) || !quant_want_8bit(step, 1, err) ||
        !op_want_dtype(step, 4, dtype, err) || !quant_want_parameters(step, 2, 3, dtype, 0, err) ||
        !quant_want_parameters(step, 5, 6, dtype, 0, err) || !quant_want_parameters(step, 7, 8, dtype, 0, err))
        return false;
    struct tensor all = *step->in[0];
    for (int i = 1; i < 5; i += 3) {
        int64_t dims[RANK_MAX];
        int rank;
        if (!tensor_broadcast(&all, step->in[i], &rank, dims, err))
            return err_prefix(err, OP_AT, OP_NODE(step->node));
        tensor_set_dims(&all, rank, dims);
    }
    op_set_out(step, 0, dtype, all.rank, all.dims);
    return true;
}

static void choice_visit(void *arg, int64_t out, const int64_t *at, int64_t n)
{
    const struct choice *choice = arg;
    const struct walk *walk = &choice->walk;
    const uint8_t *condition = (const uint8_t *)choice->step->in[0]->data + at[0];
    const uint8_t *a = (const uint8_t *)choice->step->in[1]->data + at[1];
    const uint8_t *b = (const uint8_t *)choice->step->in[4]->data + at[2];
    uint8_t *y = (uint8_t *)choice->step->out[0]->data + out;
    for (int64_t i = 0; i < n; i++)
        y[i] = condition[i * walk_inner(walk, 0)] ? choice->tables[0][a[i * walk_inner(walk, 1)]]
                                                  : choice->tables[1][b[i * walk_inner(walk, 2)]];
}

static void choice_range(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    struct choice *choice = arg;
    walk_range(&choice->walk, from, to, choice_visit, choice);
}

static bool choice_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct tensor *const operands[] = {step->in[0], step->in[1], step->in[4]};
    struct choice choice = {.step = step};
    for (int i = 0; i < 2; i++) {
        const struct scales s = scales_of(step, 2 + 3 * i, 7);
        rescale(step, &s, choice.tables[i]);
    }
    walk_make(&choice.walk, step->out[0]->rank, step->out[0]->dims, 3, operands);
    team_split(env->team, choice.walk.elements, WALK_GRAIN, choice_range, &choice);
    return true;
}

const struct op_rule op_qlinear_where = {
    .check = choice_check, .shape = choice_shape, .run = choice_run, .batch = batch_axis_elements};

/* --- QLinearSoftmax ----------------------------------------------------------------------------------------------- */

struct softmax {
    int64_t axis;
    bool flat; /* before opset 13: the axes from `axis` on are one row */
};

struct softmax_plan {
    struct softmax_lines lines;
    struct scales scales;
    float exponentials[256]; /* by the distance to the maximum: [255] is the maximum's own */
};

static bool softmax_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct softmax *softmax = op_priv(ctx, sizeof *softmax, err);
    int64_t opset;
    if (!softmax)
        return false;
    if (!arity(ctx, 4, 5, 0xb, err) || !attr_int(ctx, "opset", 13, &opset, err))
        return false;
    softmax->flat = opset < 13;
    return attr_int(ctx, "axis", softmax->flat ? 1 : -1, &softmax->axis, err);
}

static bool softmax_shape(struct step *step, struct percept_err *err)
{
    const struct softmax *softmax = step->priv;
    const struct tensor *x = step->in[0];
    struct softmax_plan *plan = arena_alloc(step->arena, sizeof *plan);
    if (!plan)
        return err_memory(err, "a softmax's plan", sizeof *plan);
    if (!shape_parameters(step, err) || !softmax_lines(step, softmax->axis, softmax->flat, &plan->lines, err))
        return false;
    op_set_out(step, 0, x->dtype, x->rank, x->dims);
    step->inplace = 1;
    step->state = plan;
    step->flops = 4.0 * (double)tensor_elements(x);
    return true;
}

#define SOFTMAX_PART 1024 /* exponentials in a chain of floats */

/* One row: n numbers at distance `stride`. */
static void softmax_row(const struct softmax_plan *plan, const uint8_t *x, uint8_t *y, int64_t stride)
{
    const struct scales *s = &plan->scales;
    int32_t most = INT32_MIN;
    for (int64_t i = 0; i < plan->lines.n; i++) {
        const int32_t value = quant_value(x[i * stride], s->is_signed);
        most = value > most ? value : most;
    }
    double total = 0; /* of parts in float, so that a usual line is added up as everybody does */
    for (int64_t from = 0; from < plan->lines.n; from += SOFTMAX_PART) {
        const int64_t to = from + SOFTMAX_PART < plan->lines.n ? from + SOFTMAX_PART : plan->lines.n;
        float part = 0;
        for (int64_t i = from; i < to; i++)
            part += plan->exponentials[255 + quant_value(x[i * stride], s->is_signed) - most];
        total += (double)part;
    }
    const float sum = (float)total, scale = floorf(1.0F / s->y);
    const int32_t low = s->is_signed ? -128 : 0;
    for (int64_t i = 0; i < plan->lines.n; i++) {
        const int32_t distance = most - quant_value(x[i * stride], s->is_signed);
        const float e = plan->exponentials[255 - distance];
        y[i * stride] = saturated(whole(e * scale / sum) + s->y_zero, low, low + 255);
    }
}

static void softmax_rows(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const struct softmax_plan *plan = step->state;
    const struct softmax_lines *lines = &plan->lines;
    for (int64_t row = from; row < to; row++) {
        const int64_t at = row / lines->inner * lines->n * lines->inner + row % lines->inner;
        softmax_row(plan, (const uint8_t *)step->in[0]->data + at, (uint8_t *)step->out[0]->data + at, lines->inner);
    }
}

static bool softmax_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    struct softmax_plan *plan = step->state;
    if (tensor_elements(step->in[0]) == 0)
        return true;
    plan->scales = scales_of(step, 1, 3);
    /* as large as their sum allows, with some room, so that small ones do not vanish */
    const double scale = (double)plan->scales.x;
    const double room = (double)logf(3.402823466e38F / (float)plan->lines.n) - 5;
    const double shift = (room > 0 ? room : 0) / scale;
    for (int i = 0; i < 256; i++)
        plan->exponentials[i] = (float)exp((i - 255 + shift) * scale);
    const struct softmax_lines *lines = &plan->lines;
    team_split(env->team, lines->outer * lines->inner, WALK_GRAIN / (lines->n + 1) + 1, softmax_rows, step);
    return true;
}

static void softmax_batch(struct batch_view *view)
{
    const struct softmax *softmax = view->many->priv;
    softmax_apart(view, softmax->axis, softmax->flat);
}

const struct op_rule op_qlinear_softmax = {
    .check = softmax_check, .shape = softmax_shape, .run = softmax_run, .batch = softmax_batch};

/* --- QLinearAveragePool, QLinearGlobalAveragePool ----------------------------------------------------------------- */

struct pool {
    bool global, ceil, include_pad, channels_last;
    struct spatial spatial;
};

struct pool_plan {
    struct geometry g;
    int64_t channels, maps, pixels_in, pixels;
    struct scales scales;
    float values[256];
};

static bool pool_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct pool *pool = op_priv(ctx, sizeof *pool, err);
    if (!pool)
        return false;
    *pool = (struct pool){.global = ctx->node->op->rule->variant};
    return arity(ctx, 4, 5, 0xb, err) && attr_bool(ctx, "channels_last", false, &pool->channels_last, err) &&
           (pool->global ||
            (spatial_read(ctx, &pool->spatial, err) && attr_bool(ctx, "ceil_mode", false, &pool->ceil, err) &&
             attr_bool(ctx, "count_include_pad", false, &pool->include_pad, err)));
}

static bool pool_geometry(struct step *step, const struct pool *pool, const struct tensor *x, struct geometry *g,
                          struct percept_err *err)
{
    if (!spatial_settle(&pool->spatial, step->node, x->rank - 2, NULL, g, err))
        return false;
    spatial_input(g, x);
    return spatial_pool(g, &pool->spatial, pool->ceil, step->node, err);
}

static bool pool_shape(struct step *step, struct percept_err *err)
{
    const struct pool *pool = step->priv;
    struct pool_plan *plan = arena_alloc(step->arena, sizeof *plan);
    if (!plan)
        return err_memory(err, "a pool's plan", sizeof *plan);
    if (!shape_parameters(step, err))
        return false;
    if (step->in[0]->rank < 3)
        return err_set(err, ERR_INVALID, OP_AT "a picture of rank %d; 3 to %d work", OP_NODE(step->node),
                       step->in[0]->rank, RANK_MAX);
    const struct tensor x = pool->channels_last ? spatial_channels_second(step->in[0]) : *step->in[0];
    if (!pool->global && !pool_geometry(step, pool, &x, &plan->g, err))
        return false;
    int64_t dims[RANK_MAX] = {x.dims[0], x.dims[1]};
    for (int i = 0; i < x.rank - 2; i++)
        dims[2 + i] = pool->global ? 1 : plan->g.out[SPATIAL_MAX - plan->g.axes + i];
    if (pool->channels_last)
        spatial_channels_last(x.rank, dims);
    op_set_out(step, 0, x.dtype, x.rank, dims);
    if (pool->global && tensor_elements(&x) == 0 && tensor_elements(step->out[0]) > 0)
        return op_refuse_empty(step, "mean", pool->channels_last ? 1 : 2, err);
    plan->channels = x.dims[1];
    plan->maps = x.dims[0] * x.dims[1];
    plan->pixels_in = tensor_span(&x, 2, x.rank);
    plan->pixels = pool->global ? 1 : spatial_volume(plan->g.out);
    step->state = plan;
    step->flops = (double)tensor_elements(&x);
    return true;
}

/* Where a map's pixels lie in memory. */
struct map_view {
    const uint8_t *x;
    uint8_t *y;
    int64_t stride;
};

static struct map_view view_of(const struct step *step, int64_t map)
{
    const struct pool *pool = step->priv;
    const struct pool_plan *plan = step->state;
    const int64_t item = map / plan->channels, channel = map % plan->channels;
    const bool last = pool->channels_last;
    const int64_t from = last ? item * plan->channels * plan->pixels_in + channel : map * plan->pixels_in;
    const int64_t to = last ? item * plan->channels * plan->pixels + channel : map * plan->pixels;
    return (struct map_view){.x = (const uint8_t *)step->in[0]->data + from,
                             .y = (uint8_t *)step->out[0]->data + to,
                             .stride = last ? plan->channels : 1};
}

static void pool_global(const struct step *step, const struct map_view *view)
{
    const struct pool_plan *plan = step->state;
    const struct scales *s = &plan->scales;
    int64_t sum = 0;
    for (int64_t i = 0; i < plan->pixels_in; i++)
        sum += quant_value(view->x[i * view->stride], s->is_signed) - s->x_zero;
    const float scale = s->x / (s->y * (float)plan->pixels_in);
    view->y[0] = (uint8_t)quant_round((float)sum * scale, s->is_signed, s->y_zero);
}

/* Sum of a window; *n becomes how many pixels of the picture it sees. */
static float window_sum(const struct pool_plan *plan, const struct map_view *view, int64_t at, int64_t *n)
{
    const struct geometry *g = &plan->g;
    const int64_t out[3] = {at / g->out[2] / g->out[1], at / g->out[2] % g->out[1], at % g->out[2]};
    int64_t from[3], to[3];
    for (int i = 0; i < SPATIAL_MAX; i++) {
        const int64_t d = g->dilation[i], begin = out[i] * g->stride[i] - g->pad[i];
        const int64_t end = begin + spatial_reach(g, i);
        from[i] = begin < 0 ? begin + (-begin + d - 1) / d * d : begin;
        to[i] = end < g->in[i] ? end : g->in[i];
    }
    double sum = 0; /* of any number of pixels */
    *n = 0;
    for (int64_t i = from[0]; i < to[0]; i += g->dilation[0]) {
        for (int64_t j = from[1]; j < to[1]; j += g->dilation[1]) {
            const uint8_t *x = view->x + (i * g->in[1] + j) * g->in[2] * view->stride;
            for (int64_t k = from[2]; k < to[2]; k += g->dilation[2], ++*n)
                sum += (double)plan->values[x[k * view->stride]];
        }
    }
    return (float)sum;
}

static void pool_maps(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const struct pool *pool = step->priv;
    const struct pool_plan *plan = step->state;
    const struct scales *s = &plan->scales;
    const int32_t low = s->is_signed ? -128 : 0;
    for (int64_t map = from; map < to; map++) {
        const struct map_view view = view_of(step, map);
        if (pool->global) {
            pool_global(step, &view);
            continue;
        }
        for (int64_t i = 0; i < plan->pixels; i++) {
            int64_t n;
            const float sum = window_sum(plan, &view, i, &n);
            const float mean = sum / (float)(pool->include_pad ? spatial_volume(plan->g.kernel) : n);
            view.y[i * view.stride] = saturated(whole(mean / s->y + (float)s->y_zero), low, low + 255);
        }
    }
}

static bool pool_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    struct pool_plan *plan = step->state;
    plan->scales = scales_of(step, 1, 3);
    for (int i = 0; i < 256; i++)
        plan->values[i] = dequantized(&plan->scales, i);
    team_split(env->team, plan->maps, WALK_GRAIN / (plan->pixels_in + 1) + 1, pool_maps, step);
    return true;
}

const struct op_rule op_qlinear_average_pool = {
    .check = pool_check, .shape = pool_shape, .run = pool_run, .batch = batch_axis_items, .variant = 0};
const struct op_rule op_qlinear_global_average_pool = {
    .check = pool_check, .shape = pool_shape, .run = pool_run, .batch = batch_axis_items, .variant = 1};

/* --- QLinearReduceMean -------------------------------------------------------------------------------------------- */

struct mean {
    const int64_t *axes;
    int n_axes;
    bool keep;
};

struct mean_plan {
    int64_t step[RANK_MAX]; /* of the output, for each axis of the input; 0 when it is reduced */
    int64_t each;           /* numbers that become one */
};

static bool mean_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct mean *mean = op_priv(ctx, sizeof *mean, err);
    if (!mean)
        return false;
    return arity(ctx, 4, 5, 0xb, err) && attr_ints(ctx, "axes", &mean->axes, &mean->n_axes, err) &&
           attr_bool(ctx, "keepdims", true, &mean->keep, err);
}

static bool mean_shape(struct step *step, struct percept_err *err)
{
    const struct mean *mean = step->priv;
    const struct tensor *x = step->in[0];
    struct mean_plan *plan = arena_alloc(step->arena, sizeof *plan);
    bool reduced[RANK_MAX] = {0};
    int64_t dims[RANK_MAX];
    int rank = 0, axis;
    if (!plan)
        return err_memory(err, "a plan", sizeof *plan);
    if (!shape_parameters(step, err))
        return false;
    for (int i = 0; i < mean->n_axes; i++) {
        if (!op_axis(step, mean->axes[i], x->rank, &axis, err))
            return false;
        reduced[axis] = true;
    }
    *plan = (struct mean_plan){.each = 1};
    int64_t each = 1;
    for (int i = x->rank - 1; i >= 0; i--) {
        const bool gone = reduced[i] || mean->n_axes == 0;
        plan->step[i] = gone ? 0 : each;
        *(gone ? &plan->each : &each) *= x->dims[i];
    }
    for (int i = 0; i < x->rank; i++) {
        const bool gone = reduced[i] || mean->n_axes == 0;
        if (!gone || mean->keep)
            dims[rank++] = gone ? 1 : x->dims[i];
    }
    op_set_out(step, 0, x->dtype, rank, dims);
    for (int i = 0; plan->each == 0 && each > 0 && i < x->rank; i++)
        if (x->dims[i] == 0)
            return op_refuse_empty(step, "mean", i, err);
    step->scratch_bytes = (size_t)each * sizeof(int64_t);
    step->state = plan;
    return true;
}

static bool mean_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct mean_plan *plan = step->state;
    const struct tensor *x = step->in[0];
    const struct scales s = scales_of(step, 1, 3);
    const int64_t n = tensor_elements(step->out[0]);
    int64_t *sums = step->scratch;
    op_clear(env, sums, (size_t)n * sizeof *sums);
    const uint8_t *from = x->data;
    const int64_t line = x->rank ? x->dims[x->rank - 1] : 1, step_in_line = x->rank ? plan->step[x->rank - 1] : 0;
    for (int64_t i = 0; i < tensor_elements(x); i += line, from += line) {
        if (!op_spend(env, 1 + line / 4))
            return true;
        int64_t left = i / line, at = 0;
        for (int d = x->rank - 2; d >= 0; d--) {
            at += left % x->dims[d] * plan->step[d];
            left /= x->dims[d];
        }
        for (int64_t k = 0; k < line; k++)
            sums[at + k * step_in_line] += quant_value(from[k], s.is_signed) - s.x_zero;
    }
    uint8_t *y = step->out[0]->data;
    for (int64_t i = 0; i < n && op_spend(env, 4); i++) {
        const double mean = (double)sums[i] * (double)s.x;
        const double exact = nearbyint(mean / ((double)plan->each * (double)s.y));
        y[i] = (uint8_t)quant_round((float)exact, s.is_signed, s.y_zero);
    }
    return true;
}

/* Sums of whole numbers are exact. */
static void mean_batch(struct batch_view *view)
{
    const struct mean *mean = view->many->priv;
    bool reduced[RANK_MAX];
    for (int d = 0; d < RANK_MAX; d++)
        reduced[d] = mean->n_axes == 0;
    for (int i = 0; i < mean->n_axes; i++) {
        int axis;
        if (!op_axis(view->many, mean->axes[i], view->many->in[0]->rank, &axis, NULL))
            return;
        reduced[axis] = true;
    }
    batch_axis_reduced(view, reduced, mean->keep);
}

const struct op_rule op_qlinear_reduce_mean = {
    .check = mean_check, .shape = mean_shape, .run = mean_run, .batch = mean_batch};
