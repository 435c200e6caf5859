/*
 * make.c - operators that make tensors from little or nothing: Constant, ConstantOfShape, Range, EyeLike,
 * RandomNormal, RandomUniform and their Like forms, Bernoulli, Multinomial.
 *
 * Constant has nothing to run at serving time, because folding runs it at load; its rule exists so that
 * it is no special case. Random numbers come from a counter hashed by splitmix64, in the plan's memory:
 * seeded by the `seed` attribute, or by the node's name where there is none, going on from run to run.
 * So a fresh session repeats the same numbers, and no state is shared between threads.
 */
#include <math.h>
#include <string.h>

#include "op/attr.h"
#include "op/batch_axis.h"
#include "op/cast.h"
#include "op/types.h"
#include "op/walk.h"

/* --- Constant ----------------------------------------------------------------------------------------------------- */

struct constant_priv {
    struct tensor tensor;
};

static bool of_numbers(struct tensor *t, enum percept_dtype dtype, int rank, size_t n, const void *data)
{
    *t = (struct tensor){.dtype = dtype, .rank = rank, .data = (void *)(uintptr_t)data};
    t->dims[0] = (int64_t)n;
    return true;
}

static bool of_strings(struct node_ctx *ctx, struct tensor *t, int rank, size_t n, const struct bytes *strings)
{
    struct percept_string *data = arena_array(ctx->arena, n + 1, sizeof *data);
    for (size_t i = 0; data && i < n; i++)
        data[i] = (struct percept_string){.at = (const char *)strings[i].at, .n_bytes = bytes_size(strings[i])};
    return of_numbers(t, PERCEPT_STRING, rank, n, data) && data;
}

/* One of the attributes that may hold the value; false when this one does not. */
static bool read_value(struct node_ctx *ctx, const struct attr *attr, struct tensor *t)
{
    if (bytes_is(attr->name, "value") && attr->type == ATTR_TENSOR) {
        *t = *attr->tensor;
        return true;
    }
    if (bytes_is(attr->name, "value_float") && attr->type == ATTR_FLOAT)
        return of_numbers(t, PERCEPT_FLOAT, 0, 1, &attr->f);
    if (bytes_is(attr->name, "value_int") && attr->type == ATTR_INT)
        return of_numbers(t, PERCEPT_INT64, 0, 1, &attr->i);
    if (bytes_is(attr->name, "value_floats") && attr->type == ATTR_FLOATS)
        return of_numbers(t, PERCEPT_FLOAT, 1, attr->n, attr->floats);
    if (bytes_is(attr->name, "value_ints") && attr->type == ATTR_INTS)
        return of_numbers(t, PERCEPT_INT64, 1, attr->n, attr->ints);
    if (bytes_is(attr->name, "value_string") && attr->type == ATTR_STRING)
        return of_strings(ctx, t, 0, 1, &attr->s);
    if (bytes_is(attr->name, "value_strings") && attr->type == ATTR_STRINGS)
        return of_strings(ctx, t, 1, attr->n, attr->strings);
    return false;
}

static bool constant_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct constant_priv *priv = op_priv(ctx, sizeof *priv, err);
    if (!priv)
        return false;
    if (!op_arity(ctx, 0, 0, 1, err))
        return false;
    for (int i = 0; i < ctx->node->n_attr; i++)
        if (read_value(ctx, &ctx->node->attrs[i], &priv->tensor))
            return true;
    return err_set(err, ERR_UNSUPPORTED,
                   OP_AT "it has no value that is known; 'value' with a dense "
                         "tensor, 'value_float(s)', 'value_int(s)' or 'value_string(s)' would work",
                   OP_NODE(ctx->node));
}

static bool constant_shape(struct step *step, struct percept_err *err)
{
    (void)err;
    const struct constant_priv *priv = step->priv;
    op_set_out(step, 0, priv->tensor.dtype, priv->tensor.rank, priv->tensor.dims);
    return true;
}

static bool constant_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct constant_priv *priv = step->priv;
    size_t n_bytes = (size_t)tensor_elements(&priv->tensor) * tensor_dtype_bytes(priv->tensor.dtype);
    if (n_bytes)
        op_copy(env, step->out[0]->data, priv->tensor.data, n_bytes);
    return true;
}

const struct op_rule op_constant_value = {.check = constant_check, .shape = constant_shape, .run = constant_run};

/* --- ConstantOfShape ---------------------------------------------------------------------------------------------- */

static bool constantofshape_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct constant_priv *priv = op_priv(ctx, sizeof *priv, err);
    const struct tensor *value;
    static float zero;
    if (!priv)
        return false;
    if (!op_arity(ctx, 1, 1, 1, err) || !attr_tensor(ctx, "value", &value, err))
        return false;
    if (!value)
        return of_numbers(&priv->tensor, PERCEPT_FLOAT, 0, 1, &zero);
    if (tensor_elements(value) != 1)
        return err_set(err, ERR_MODEL, OP_AT "attribute 'value' has %lld elements; one would work", OP_NODE(ctx->node),
                       (long long)tensor_elements(value));
    size_t size = tensor_dtype_bytes(value->dtype);
    void *element = arena_alloc(ctx->arena, size); /* the attribute's own lies in the file, which goes */
    if (!element)
        return err_memory(err, "a node", size);
    memcpy(element, value->data, size);
    priv->tensor = *value;
    priv->tensor.data = element;
    return true;
}

static bool constantofshape_shape(struct step *step, struct percept_err *err)
{
    const struct constant_priv *priv = step->priv;
    const struct tensor *shape = step->in[0];
    int64_t rank = tensor_elements(shape), n;
    if (!op_want_dtype(step, 0, PERCEPT_INT64, err))
        return false;
    if (shape->rank > 1 || rank > RANK_MAX)
        return err_set(err, ERR_UNSUPPORTED, OP_AT "the shape is no list of up to %d dimensions", OP_NODE(step->node),
                       RANK_MAX);
    if (rank && !op_known(step, 0, err))
        return false;
    if (!tensor_count((int)rank, shape->data, &n))
        return err_set(err, ERR_INVALID, OP_AT "the shape has a negative dimension or is too large",
                       OP_NODE(step->node));
    op_set_out(step, 0, priv->tensor.dtype, (int)rank, shape->data);
    return true;
}

static bool constantofshape_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct constant_priv *priv = step->priv;
    walk_fill_all(env->team, step->out[0]->data, priv->tensor.data, tensor_dtype_bytes(priv->tensor.dtype),
                  tensor_elements(step->out[0]));
    return true;
}

const struct op_rule op_constant_of_shape = {.check = constantofshape_check,
                                             .shape = constantofshape_shape,
                                             .run = constantofshape_run,
                                             .batch = batch_axis_filled};

/* --- Range -------------------------------------------------------------------------------------------------------- */

static bool range_check(struct node_ctx *ctx, struct percept_err *err)
{
    return op_arity(ctx, 3, 3, 1, err);
}

/* max(ceil((limit - start) / delta), 0) in the arithmetic of the type; -1: delta is 0 or not a number. */
static int64_t range_length(const struct tensor *const *in)
{
    if (types_integer(in[0]->dtype)) {
        int64_t v[3];
        for (int i = 0; i < 3; i++)
            cast_numbers(PERCEPT_INT64, &v[i], in[i]->dtype, in[i]->data, 1);
        if (v[2] == 0)
            return -1;
        uint64_t distance = v[2] > 0 ? (uint64_t)v[1] - (uint64_t)v[0] : (uint64_t)v[0] - (uint64_t)v[1];
        uint64_t stride = v[2] > 0 ? (uint64_t)v[2] : 0 - (uint64_t)v[2];
        bool empty = v[2] > 0 ? v[1] <= v[0] : v[1] >= v[0];
        uint64_t n = empty ? 0 : 1 + (distance - 1) / stride;
        return n > INT64_MAX / 16 ? INT64_MAX / 16 : (int64_t)n;
    }
    double v[3];
    for (int i = 0; i < 3; i++)
        cast_numbers(PERCEPT_DOUBLE, &v[i], in[i]->dtype, in[i]->data, 1);
    double n = ceil((v[1] - v[0]) / v[2]);
    if (v[2] == 0 || isnan(n))
        return -1;
    return n <= 0 ? 0 : n > 0x1p58 ? INT64_MAX / 16 : (int64_t)n;
}

static bool range_shape(struct step *step, struct percept_err *err)
{
    enum percept_dtype dtype = step->in[0]->dtype;
    if (!types_number(dtype))
        return err_set(err, ERR_UNSUPPORTED,
                       OP_AT "its input is %s; float, double or an integer type "
                             "would work",
                       OP_NODE(step->node), tensor_dtype_name(dtype));
    for (int i = 0; i < 3; i++) {
        if (!op_want_dtype(step, i, dtype, err))
            return false;
        if (tensor_elements(step->in[i]) != 1)
            return err_set(err, ERR_MODEL, OP_AT "input %d is not one number", OP_NODE(step->node), i);
    }
    bool known = true;
    for (int i = 0; i < 3; i++)
        known = op_known(step, i, err) && known; /* all that are lacking are demanded at once */
    if (!known)
        return false;
    int64_t n = range_length((const struct tensor *const *)step->in);
    if (n < 0)
        return err_set(err, ERR_DATA, OP_AT "the distance between elements is 0 or not a number", OP_NODE(step->node));
    op_set_out(step, 0, dtype, 1, &n);
    return true;
}

static void range_part(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const void *start = step->in[0]->data, *delta = step->in[2]->data;
    void *y = step->out[0]->data;
    switch (step->out[0]->dtype) {
#define INTEGER(dtype, T)                                                                                              \
    case dtype:                                                                                                        \
        for (int64_t i = from; i < to; i++)                                                                            \
            ((T *)y)[i] = (T)((uint64_t) * (const T *)start + (uint64_t)i * (uint64_t) * (const T *)delta);            \
        break;
#define REAL(dtype, T)                                                                                                 \
    case dtype:                                                                                                        \
        for (int64_t i = from; i < to; i++)                                                                            \
            ((T *)y)[i] = *(const T *)start + (T)i * *(const T *)delta;                                                \
        break;
        TYPES_INTEGER(INTEGER)
        TYPES_REAL(REAL)
#undef INTEGER
#undef REAL
    default:
        break;
    }
}

static bool range_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    team_split(env->team, tensor_elements(step->out[0]), WALK_GRAIN, range_part, step);
    return true;
}

const struct op_rule op_range = {.check = range_check, .shape = range_shape, .run = range_run, .flags = OP_EXACT};

/* --- EyeLike ------------------------------------------------------------------------------------------------------ */

struct eye_priv {
    enum percept_dtype dtype; /* UNDEFINED: the input's */
    int64_t k;
};

static bool read_dtype(struct node_ctx *ctx, enum percept_dtype absent, enum percept_dtype *dtype,
                       struct percept_err *err)
{
    int64_t value;
    if (!attr_int_in(ctx, "dtype", (int64_t)absent, PERCEPT_FLOAT, PERCEPT_BFLOAT16, &value, err))
        return false;
    *dtype = (enum percept_dtype)value;
    if (!value || (tensor_dtype_bytes(*dtype) && *dtype != PERCEPT_STRING))
        return true;
    return err_set(err, ERR_UNSUPPORTED, OP_AT "attribute 'dtype' is %lld, which is no type of numbers",
                   OP_NODE(ctx->node), (long long)value);
}

static bool eye_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct eye_priv *priv = op_priv(ctx, sizeof *priv, err);
    if (!priv)
        return false;
    return op_arity(ctx, 1, 1, 1, err) && attr_int(ctx, "k", 0, &priv->k, err) &&
           read_dtype(ctx, PERCEPT_UNDEFINED, &priv->dtype, err);
}

static bool eye_shape(struct step *step, struct percept_err *err)
{
    const struct eye_priv *priv = step->priv;
    const struct tensor *x = step->in[0];
    enum percept_dtype dtype = priv->dtype ? priv->dtype : x->dtype;
    if (x->rank != 2 || dtype == PERCEPT_STRING)
        return err_set(err, ERR_INVALID, OP_AT "the input is no matrix of numbers", OP_NODE(step->node));
    op_set_out(step, 0, dtype, 2, x->dims);
    return true;
}

static bool eye_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct eye_priv *priv = step->priv;
    const struct tensor *out = step->out[0];
    size_t size = tensor_dtype_bytes(out->dtype), n_bytes = (size_t)tensor_elements(out) * size;
    op_clear(env, out->data, n_bytes);
    for (int64_t i = 0; i < out->dims[0] && op_spend(env, 1); i++) {
        int64_t j;
        double one = 1;
        if (!__builtin_add_overflow(i, priv->k, &j) && j >= 0 && j < out->dims[1])
            cast_numbers(out->dtype, (char *)out->data + (size_t)(i * out->dims[1] + j) * size, PERCEPT_DOUBLE, &one,
                         1);
    }
    return true;
}

const struct op_rule op_eye_like = {.check = eye_check, .shape = eye_shape, .run = eye_run};

/* --- Random ------------------------------------------------------------------------------------------------------- */

enum member { NORMAL, NORMAL_LIKE, UNIFORM, UNIFORM_LIKE, BERNOULLI };

struct random_priv {
    enum member member;
    enum percept_dtype dtype; /* UNDEFINED: the input's */
    float low, high;          /* or mean and scale */
    uint64_t seed;
    const int64_t *shape;
    int rank;
};

/* FNV-1a of the node's name. */
static uint64_t name_seed(const struct node *node)
{
    uint64_t hash = 0xcbf29ce484222325U;
    for (const uint8_t *at = node->name.at; at < node->name.end; at++)
        hash = (hash ^ *at) * 0x100000001b3U;
    return hash;
}

static bool read_seed(struct node_ctx *ctx, uint64_t *value, struct percept_err *err)
{
    float seed;
    uint32_t bits;
    if (!attr_float(ctx, "seed", 0, &seed, err))
        return false;
    memcpy(&bits, &seed, sizeof bits);
    *value = attr_has(ctx, "seed") ? bits : name_seed(ctx->node);
    return true;
}

static bool random_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct random_priv *priv = op_priv(ctx, sizeof *priv, err);
    if (!priv)
        return false;
    priv->member = (enum member)ctx->node->op->rule->variant;
    bool like = priv->member == NORMAL_LIKE || priv->member == UNIFORM_LIKE || priv->member == BERNOULLI;
    bool normal = priv->member == NORMAL || priv->member == NORMAL_LIKE;
    if (!op_arity(ctx, like, like, 1, err) || !read_seed(ctx, &priv->seed, err) ||
        !read_dtype(ctx, like ? PERCEPT_UNDEFINED : PERCEPT_FLOAT, &priv->dtype, err))
        return false;
    if (!like && !attr_ints(ctx, "shape", &priv->shape, &priv->rank, err))
        return false;
    int64_t n;
    if (!like && (priv->rank > RANK_MAX || !tensor_count(priv->rank, priv->shape, &n)))
        return err_set(err, ERR_MODEL, OP_AT "attribute 'shape' is no shape of up to %d axes", OP_NODE(ctx->node),
                       RANK_MAX);
    return attr_float(ctx, normal ? "mean" : "low", 0, &priv->low, err) &&
           attr_float(ctx, normal ? "scale" : "high", 1, &priv->high, err);
}

static bool random_state(struct step *step, uint64_t seed, struct percept_err *err)
{
    uint64_t *state = arena_alloc(step->arena, sizeof *state);
    if (!state)
        return err_memory(err, "a random state", sizeof *state);
    *state = seed;
    step->state = state;
    return true;
}

static bool random_shape(struct step *step, struct percept_err *err)
{
    const struct random_priv *priv = step->priv;
    const struct tensor *like = op_in(step, 0);
    enum percept_dtype dtype = priv->dtype ? priv->dtype : like->dtype;
    if (dtype == PERCEPT_STRING || (priv->member == BERNOULLI && !types_real(like->dtype)))
        return err_set(err, ERR_UNSUPPORTED, OP_AT "its type is %s; float or double would work", OP_NODE(step->node),
                       tensor_dtype_name(like->dtype));
    if (like)
        op_set_out(step, 0, dtype, like->rank, like->dims);
    else
        op_set_out(step, 0, dtype, priv->rank, priv->shape);
    return random_state(step, priv->seed, err);
}

/* In [0, 1), 53 bits of splitmix64. */
static double random_unit(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15U;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
    z = (z ^ z >> 27) * 0x94d049bb133111ebU;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

/* Box and Muller's, one of the pair. */
static double random_normal(uint64_t *state)
{
    double radius = sqrt(-2 * log(1 - random_unit(state)));
    return radius * cos(2 * M_PI * random_unit(state));
}

static double random_one(const struct random_priv *priv, uint64_t *state, const struct tensor *x, int64_t i)
{
    double low = (double)priv->low, high = (double)priv->high, chance;
    switch (priv->member) {
    case NORMAL:
    case NORMAL_LIKE:
        return low + high * random_normal(state);
    case BERNOULLI:
        cast_numbers(PERCEPT_DOUBLE, &chance, x->dtype,
                     (const char *)x->data + i * (int64_t)tensor_dtype_bytes(x->dtype), 1);
        return random_unit(state) < chance;
    default:
        return low + (high - low) * random_unit(state);
    }
}

static bool random_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct tensor *x = op_in(step, 0), *out = step->out[0];
    int64_t size = (int64_t)tensor_dtype_bytes(out->dtype);
    for (int64_t i = 0, n = tensor_elements(out); i < n && op_spend(env, 4); i++) {
        double value = random_one(step->priv, step->state, x, i);
        cast_numbers(out->dtype, (char *)out->data + i * size, PERCEPT_DOUBLE, &value, 1);
    }
    return true;
}

#define RULE(name, member)                                                                                             \
    const struct op_rule op_##name = {                                                                                 \
        .check = random_check, .shape = random_shape, .run = random_run, .flags = OP_RANDOM, .variant = member};

RULE(random_normal, NORMAL)
RULE(random_normal_like, NORMAL_LIKE)
RULE(random_uniform, UNIFORM)
RULE(random_uniform_like, UNIFORM_LIKE)
RULE(bernoulli, BERNOULLI)

/* --- Multinomial -------------------------------------------------------------------------------------------------- */

struct multinomial_priv {
    enum percept_dtype dtype;
    int64_t samples;
    uint64_t seed;
};

static bool multinomial_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct multinomial_priv *priv = op_priv(ctx, sizeof *priv, err);
    int64_t dtype;
    if (!priv || !op_arity(ctx, 1, 1, 1, err) || !read_seed(ctx, &priv->seed, err) ||
        !attr_int_in(ctx, "sample_size", 1, 1, INT64_MAX, &priv->samples, err) ||
        !attr_int_in(ctx, "dtype", PERCEPT_INT32, PERCEPT_INT32, PERCEPT_INT64, &dtype, err))
        return false;
    priv->dtype = (enum percept_dtype)dtype;
    return true;
}

static bool multinomial_shape(struct step *step, struct percept_err *err)
{
    const struct multinomial_priv *priv = step->priv;
    const struct tensor *x = step->in[0];
    int64_t count;
    if (!op_want_real(step, 0, err))
        return false;
    if (x->rank != 2 || (x->dims[1] == 0 && x->dims[0] > 0))
        return err_set(err, ERR_INVALID, OP_AT "its input must be [batch,classes] with a class at least",
                       OP_NODE(step->node));
    const int64_t dims[] = {x->dims[0], priv->samples};
    if (!tensor_count(2, dims, &count))
        return err_set(err, ERR_INVALID, OP_AT "the output would be too large", OP_NODE(step->node));
    op_set_out(step, 0, priv->dtype, 2, dims);
    step->scratch_bytes = x->dims[0] > 0 ? (size_t)x->dims[1] * sizeof(double) : 0;
    return random_state(step, priv->seed, err);
}

/* x[i] := what classes [0, i] weigh, relative to the heaviest; how many classes to look at: up to the last
 * that weighs anything. What is not finite weighs nothing, as ONNX Runtime has it; 0: all are so. */
static int64_t class_sums(double *x, int64_t n)
{
    double most = -HUGE_VAL, sum = 0;
    int64_t looked = 0;
    for (int64_t i = 0; i < n; i++)
        most = isfinite(x[i]) && x[i] > most ? x[i] : most;
    for (int64_t i = 0; i < n; i++) {
        const double weight = isfinite(x[i]) ? exp(x[i] - most) : 0;
        x[i] = sum += weight;
        looked = weight > 0 ? i + 1 : looked;
    }
    return looked;
}

/* The first class whose sum lies above `at`; the last where rounding leaves none. */
static int64_t class_of(const double *sums, int64_t n, double at)
{
    int64_t low = 0, high = n - 1;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (sums[middle] > at)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static bool multinomial_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct tensor *x = step->in[0], *out = step->out[0];
    const int64_t classes = x->dims[1], samples = out->dims[1];
    const size_t size = tensor_dtype_bytes(x->dtype);
    double *sums = step->scratch;
    for (int64_t item = 0; item < x->dims[0]; item++) {
        if (!op_spend(env, classes))
            return true;
        cast_numbers(PERCEPT_DOUBLE, sums, x->dtype, (const char *)x->data + (size_t)(item * classes) * size, classes);
        const int64_t n = class_sums(sums, classes);
        if (n == 0)
            return err_set(err, ERR_DATA, OP_AT "item %lld has no class whose log probability is finite",
                           OP_NODE(step->node), (long long)item);
        for (int64_t i = item * samples; i < (item + 1) * samples; i++) {
            if (!op_spend(env, 4))
                return true;
            const int64_t drawn = class_of(sums, n, random_unit(step->state) * sums[n - 1]);
            if (out->dtype == PERCEPT_INT32)
                ((int32_t *)out->data)[i] = (int32_t)drawn;
            else
                ((int64_t *)out->data)[i] = drawn;
        }
    }
    return true;
}

const struct op_rule op_multinomial = {
    .check = multinomial_check, .shape = multinomial_shape, .run = multinomial_run, .flags = OP_RANDOM};
