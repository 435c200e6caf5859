/*
 * binary.c - operators that combine two (or, for Sum, Mean, Max, Min, any number of) tensors element by
 * element with numpy's broadcasting.
 *
 * A row of the walk over the output meets each operand at stride 1 or 0, so floats go to the row's
 * binary or binary_scalar kernel, everything else to one loop macro over types. More than two operands
 * are folded from the left into the output.
 *
 * Floats may stay in LAYOUT_BLOCKED when one operand is a blocked picture of the output's shape and the
 * others are that too, or one item of it for all, or a single number, or one number per channel (of each
 * item or of all). The last block of a plain per-channel operand is read past its end, into the 64 bytes that
 * every buffer has; what is there only reaches padding lanes.
 *
 * Integers wrap. Division by zero is the one thing the data can do wrong: divisors are looked at before
 * the loop (ERR_DATA). The least integer divided by -1 is itself. Shifts of the width or more give 0.
 * Opset 6 and before: B is placed along `axis` when `broadcast` is set.
 */
#include "op/binary.h"

#include <math.h>
#include <string.h>

#include "op/attr.h"
#include "op/batch_axis.h"
#include "op/cast.h"
#include "op/types.h"
#include "op/walk.h"

/* Further members of the family, after enum binary. */
enum { AND = BINARY_COUNT, OR, XOR, LEFT, RIGHT, EQUAL, LESS, GREATER, LESS_EQUAL, GREATER_EQUAL };

/* Which operator a rule is: `variant`. */
enum member {
    IS_ADD,
    IS_SUB,
    IS_MUL,
    IS_DIV,
    IS_POW,
    IS_MOD,
    IS_PRELU, /* numbers */
    IS_MIN,
    IS_MAX,
    IS_SUM,
    IS_MEAN, /* any number of operands */
    IS_AND,
    IS_OR,
    IS_XOR, /* bool */
    IS_BIT_AND,
    IS_BIT_OR,
    IS_BIT_XOR,
    IS_SHIFT, /* integers */
    IS_EQUAL,
    IS_LESS,
    IS_GREATER,
    IS_LESS_EQUAL,
    IS_GREATER_EQUAL,
};

struct binary_priv {
    enum member member;
    int op;         /* enum binary or one of the further members */
    bool legacy;    /* opset 6 and before */
    bool broadcast; /* legacy */
    bool has_axis;
    int64_t axis; /* legacy */
};

static const int op_of[] = {
    [IS_ADD] = BINARY_ADD,
    [IS_SUB] = BINARY_SUB,
    [IS_MUL] = BINARY_MUL,
    [IS_DIV] = BINARY_DIV,
    [IS_POW] = BINARY_POW,
    [IS_MOD] = BINARY_MOD,
    [IS_PRELU] = BINARY_PRELU,
    [IS_MIN] = BINARY_MIN,
    [IS_MAX] = BINARY_MAX,
    [IS_SUM] = BINARY_ADD,
    [IS_MEAN] = BINARY_ADD,
    [IS_AND] = AND,
    [IS_OR] = OR,
    [IS_XOR] = XOR,
    [IS_BIT_AND] = AND,
    [IS_BIT_OR] = OR,
    [IS_BIT_XOR] = XOR,
    [IS_SHIFT] = LEFT,
    [IS_EQUAL] = EQUAL,
    [IS_LESS] = LESS,
    [IS_GREATER] = GREATER,
    [IS_LESS_EQUAL] = LESS_EQUAL,
    [IS_GREATER_EQUAL] = GREATER_EQUAL,
};

static bool is_variadic(enum member member)
{
    return member >= IS_MIN && member <= IS_MEAN;
}

static bool is_comparison(enum member member)
{
    return member >= IS_EQUAL;
}

static bool read_legacy(struct node_ctx *ctx, struct binary_priv *priv, struct percept_err *err)
{
    priv->legacy = ctx->node->opset < 7 && !is_variadic(priv->member);
    if (!priv->legacy)
        return true;
    if (priv->member == IS_PRELU) { /* a slope per channel */
        priv->broadcast = priv->has_axis = true;
        priv->axis = 1;
        return true;
    }
    priv->has_axis = attr_has(ctx, "axis");
    return attr_bool(ctx, "broadcast", false, &priv->broadcast, err) && attr_int(ctx, "axis", 0, &priv->axis, err);
}

static bool read_special(struct node_ctx *ctx, struct binary_priv *priv, struct percept_err *err)
{
    static const char *const directions[] = {"LEFT", "RIGHT", NULL};
    if (priv->member == IS_SHIFT) {
        int direction;
        if (!attr_choice(ctx, "direction", 0, directions, &direction, err))
            return false;
        if (!attr_has(ctx, "direction"))
            return err_set(err, ERR_MODEL,
                           OP_AT "attribute 'direction' is missing; known are LEFT, "
                                 "RIGHT",
                           OP_NODE(ctx->node));
        priv->op = direction ? RIGHT : LEFT;
    }
    if (priv->member == IS_MOD) {
        bool fmod_set;
        if (!attr_bool(ctx, "fmod", false, &fmod_set, err))
            return false;
        priv->op = fmod_set ? BINARY_FMOD : BINARY_MOD;
    }
    return true;
}

static bool binary_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct binary_priv *priv = op_priv(ctx, sizeof *priv, err);
    if (!priv)
        return false;
    priv->member = (enum member)ctx->node->op->rule->variant;
    priv->op = op_of[priv->member];
    bool variadic = is_variadic(priv->member);
    if (!op_arity(ctx, variadic ? 1 : 2, variadic ? INT32_MAX : 2, 1, err))
        return false;
    for (int i = 0; i < ctx->node->n_in; i++)
        if (!op_has_input(ctx->node, i))
            return err_set(err, ERR_MODEL, OP_AT "input %d is left out", OP_NODE(ctx->node), i);
    return read_legacy(ctx, priv, err) && read_special(ctx, priv, err);
}

/* --- shape -------------------------------------------------------------------------------------------------------- */

static bool judge_dtype(const struct step *step, const struct binary_priv *priv, struct percept_err *err)
{
    enum percept_dtype dtype = step->in[0]->dtype;
    bool fits;
    const char *wanted;
    if (priv->member == IS_EQUAL) {
        fits = types_number(dtype) || dtype == PERCEPT_BOOL || dtype == PERCEPT_STRING;
        wanted = "a number, bool or string";
    } else if (priv->member >= IS_AND && priv->member <= IS_XOR) {
        fits = dtype == PERCEPT_BOOL;
        wanted = "bool";
    } else if (priv->member >= IS_BIT_AND && priv->member <= IS_BIT_XOR) {
        fits = types_integer(dtype);
        wanted = "an integer type";
    } else if (priv->member == IS_SHIFT) {
        fits = types_unsigned(dtype);
        wanted = "an unsigned integer type";
    } else if (priv->member == IS_MEAN || priv->member == IS_SUM) {
        fits = types_real(dtype);
        wanted = "float or double";
    } else {
        fits = types_number(dtype);
        wanted = "float, double or an integer type";
    }
    if (fits)
        return true;
    return err_set(err, ERR_UNSUPPORTED, OP_AT "its input is %s; %s would work", OP_NODE(step->node),
                   tensor_dtype_name(dtype), wanted);
}

/* B of opset 6 as today's broadcasting wants it: 1s appended behind its place. */
static bool place_legacy(const struct step *step, const struct binary_priv *priv, struct tensor *b,
                         struct percept_err *err)
{
    const struct tensor *a = step->in[0];
    if (!priv->broadcast && !tensor_same_dims(a, b))
        return err_set(err, ERR_MODEL, OP_AT "shapes differ and 'broadcast' is not set", OP_NODE(step->node));
    if (!priv->broadcast || !priv->has_axis || tensor_elements(b) == 1)
        return true;
    int64_t axis = priv->axis < 0 ? priv->axis + a->rank : priv->axis;
    if (axis < 0 || axis + b->rank > a->rank)
        return err_set(err, ERR_MODEL, OP_AT "axis %lld does not fit shapes of rank %d and %d", OP_NODE(step->node),
                       (long long)priv->axis, a->rank, b->rank);
    int rank = a->rank - (int)axis;
    for (int i = b->rank; i < rank; i++)
        b->dims[i] = 1;
    b->rank = rank;
    return true;
}

/* Input i as it takes part. Never fails after shape has accepted it. */
static bool operand(const struct step *step, int i, struct tensor *t, struct percept_err *err)
{
    const struct binary_priv *priv = step->priv;
    *t = *step->in[i];
    return !priv->legacy || i == 0 || place_legacy(step, priv, t, err);
}

enum part { PART_FULL, PART_ITEM, PART_SCALAR, PART_CHANNEL, PART_OTHER };

/* Item 0 of the output, for all of them. */
static bool is_item(const struct tensor *t, const struct tensor *out)
{
    struct tensor item = *out;
    item.dims[0] = 1;
    return tensor_same_dims(t, &item);
}

/* How an operand lies over a blocked picture of the output's shape. */
static enum part part_of(const struct tensor *t, const struct tensor *out)
{
    if (tensor_same_dims(t, out))
        return PART_FULL;
    if (tensor_elements(t) == 1)
        return PART_SCALAR;
    int before = out->rank - t->rank;
    if (before > 1 || t->dims[1 - before] != out->dims[1])
        return PART_OTHER;
    for (int i = 2 - before; i < t->rank; i++)
        if (t->dims[i] != 1)
            return is_item(t, out) ? PART_ITEM : PART_OTHER;
    return PART_CHANNEL;
}

/* Does it have a number for each one of a block? */
static bool is_whole(enum part part)
{
    return part == PART_FULL || part == PART_ITEM;
}

/* Blocked in, blocked out, where the operands allow it: of one item as of many, since sums of what comes out are
 * taken in the order in which it lies. */
static void choose_layout(struct step *step, const struct binary_priv *priv)
{
    struct tensor *out = step->out[0];
    bool any = false;
    if (out->dtype != PERCEPT_FLOAT || out->rank < 3 || step->in[0]->dtype != PERCEPT_FLOAT ||
        is_comparison(priv->member))
        return;
    for (int i = 0; i < step->n_in; i++) {
        struct tensor t;
        if (!operand(step, i, &t, NULL))
            return;
        enum part part = part_of(&t, out);
        if (part == PART_OTHER || (i == 0 && step->n_in > 2 && part != PART_FULL))
            return;
        any = any || (is_whole(part) && t.layout == LAYOUT_BLOCKED);
    }
    if (!any)
        return;
    for (int i = 0; i < step->n_in; i++) {
        bool whole = is_whole(part_of(step->in[i], out));
        step->want[i] = whole ? LAYOUT_BLOCKED : step->in[i]->layout;
    }
    out->layout = LAYOUT_BLOCKED;
}

/* The operand that the output may replace: one of its shape that is no constant. */
static void choose_inplace(struct step *step)
{
    const struct tensor *out = step->out[0];
    int n = step->n_in > 2 ? 1 : step->n_in; /* folding writes the output before it reads the third */
    for (int i = n - 1; i >= 0; i--) {
        const struct tensor *t = step->in[i];
        if (t->dtype == out->dtype && tensor_same_dims(t, out) && !t->data)
            step->inplace = i + 1;
    }
}

static bool binary_shape(struct step *step, struct percept_err *err)
{
    const struct binary_priv *priv = step->priv;
    if (!judge_dtype(step, priv, err))
        return false;
    struct tensor all = *step->in[0];
    for (int i = 1; i < step->n_in; i++) {
        struct tensor t;
        if (!operand(step, i, &t, err))
            return false;
        bool mixed = priv->member == IS_POW && types_number(t.dtype);
        if (!mixed && !op_want_dtype(step, i, all.dtype, err))
            return false;
        int rank;
        int64_t dims[RANK_MAX];
        if (!tensor_broadcast(&all, &t, &rank, dims, err))
            return err_prefix(err, OP_AT, OP_NODE(step->node));
        if (priv->member == IS_PRELU && (rank != all.rank || memcmp(dims, all.dims, (size_t)rank * sizeof *dims)))
            return err_set(err, ERR_MODEL, OP_AT "the slope does not broadcast to the input", OP_NODE(step->node));
        tensor_set_dims(&all, rank, dims);
    }
    op_set_out(step, 0, is_comparison(priv->member) ? PERCEPT_BOOL : all.dtype, all.rank, all.dims);
    step->flops = (double)tensor_elements(&all) * (step->n_in > 1 ? step->n_in - 1 : 1);
    choose_layout(step, priv);
    choose_inplace(step);
    return true;
}

/* --- loops -------------------------------------------------------------------------------------------------------- */

/* Powers of integers: exact, wrapping; negative exponents truncate as a quotient would. */
static uint64_t integer_power(uint64_t base, int64_t exponent, bool exponent_negative)
{
    if (exponent_negative) {
        if (base == 1)
            return 1;
        return base == UINT64_MAX ? (exponent & 1 ? base : 1) : 0;
    }
    uint64_t power = 1;
    for (uint64_t left = (uint64_t)exponent; left; left >>= 1) {
        if (left & 1)
            power *= base;
        base *= base;
    }
    return power;
}

/* An operation on integers: y[i] = expression of p and q, at strides 0 or 1. */
#define EACH(T, expression)                                                                                            \
    for (int64_t i = 0; i < n; i++) {                                                                                  \
        T p = a[i * step_a], q = b[i * step_b];                                                                        \
        y[i] = (T)(expression);                                                                                        \
    }                                                                                                                  \
    break;
#define WRAP(operator) ((uint64_t)p operator(uint64_t) q)
#define MINUS_ONE(T) ((T)-1 < 1 && q == (T)-1) /* never true for unsigned types */

#define INTEGER_LOOP(dtype, T)                                                                                         \
    static T floor_mod_##T(T p, T q)                                                                                   \
    {                                                                                                                  \
        if (MINUS_ONE(T))                                                                                              \
            return 0;                                                                                                  \
        T r = (T)(p % q);                                                                                              \
        return r != 0 && (r < 1) != (q < 1) ? (T)(r + q) : r;                                                          \
    }                                                                                                                  \
    static void loop_##T(int op, T *y, const T *a, const T *b, int64_t n, int64_t step_a, int64_t step_b)              \
    {                                                                                                                  \
        switch (op) {                                                                                                  \
        case BINARY_ADD:                                                                                               \
            EACH(T, WRAP(+))                                                                                           \
        case BINARY_SUB:                                                                                               \
            EACH(T, WRAP(-))                                                                                           \
        case BINARY_MUL:                                                                                               \
            EACH(T, WRAP(*))                                                                                           \
        case BINARY_DIV:                                                                                               \
            EACH(T, MINUS_ONE(T) ? (T)(0 - (uint64_t)p) : p / q)                                                       \
        case BINARY_FMOD:                                                                                              \
            EACH(T, MINUS_ONE(T) ? 0 : p % q)                                                                          \
        case BINARY_MOD:                                                                                               \
            EACH(T, floor_mod_##T(p, q))                                                                               \
        case BINARY_MIN:                                                                                               \
            EACH(T, p < q ? p : q)                                                                                     \
        case BINARY_MAX:                                                                                               \
            EACH(T, p > q ? p : q)                                                                                     \
        case BINARY_PRELU:                                                                                             \
            EACH(T, p < 1 && p != 0 ? (T)WRAP(*) : p)                                                                  \
        case BINARY_POW:                                                                                               \
            EACH(T, integer_power((uint64_t)p, (int64_t)q, (T)-1 < 1 && q < 1 && q != 0))                              \
        case AND:                                                                                                      \
            EACH(T, p &q)                                                                                              \
        case OR:                                                                                                       \
            EACH(T, p | q)                                                                                             \
        case XOR:                                                                                                      \
            EACH(T, p ^ q)                                                                                             \
        case LEFT:                                                                                                     \
            EACH(T, (uint64_t)q >= 8 * sizeof(T) ? 0 : (uint64_t)p << q)                                               \
        case RIGHT:                                                                                                    \
            EACH(T, (uint64_t)q >= 8 * sizeof(T) ? 0 : (uint64_t)p >> q)                                               \
        default:                                                                                                       \
            break;                                                                                                     \
        }                                                                                                              \
    }
TYPES_INTEGER(INTEGER_LOOP)

/* The same comparison of q with p. */
static int turned(int op)
{
    switch (op) {
    case LESS:
        return GREATER;
    case GREATER:
        return LESS;
    case LESS_EQUAL:
        return GREATER_EQUAL;
    case GREATER_EQUAL:
        return LESS_EQUAL;
    default:
        return op;
    }
}

/* Each of both, or one p with all of b: loops of their own, which a compiler can turn into vectors. */
#define COMPARED(T, expression)                                                                                        \
    if (step_a)                                                                                                        \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            const T p = a[i], q = b[i];                                                                                \
            y[i] = expression;                                                                                         \
        }                                                                                                              \
    else                                                                                                               \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            const T p = first, q = b[i];                                                                               \
            y[i] = expression;                                                                                         \
        }                                                                                                              \
    break;

#define COMPARE_LOOP(dtype, T)                                                                                         \
    static void compare_##T(int op, uint8_t *restrict y, const T *a, const T *b, int64_t n, int64_t step_a,            \
                            int64_t step_b)                                                                            \
    {                                                                                                                  \
        if (n > 0 && step_a == step_b && step_a == 0) { /* both repeat */                                              \
            compare_##T(op, y, a, b, 1, 1, 1);                                                                         \
            memset(y, y[0], (size_t)n);                                                                                \
            return;                                                                                                    \
        }                                                                                                              \
        if (step_b == 0) {                                                                                             \
            compare_##T(turned(op), y, b, a, n, 0, 1);                                                                 \
            return;                                                                                                    \
        }                                                                                                              \
        const T first = n > 0 ? *a : 0;                                                                                \
        switch (op) {                                                                                                  \
        case EQUAL:                                                                                                    \
            COMPARED(T, p == q)                                                                                        \
        case LESS:                                                                                                     \
            COMPARED(T, p < q)                                                                                         \
        case GREATER:                                                                                                  \
            COMPARED(T, p > q)                                                                                         \
        case LESS_EQUAL:                                                                                               \
            COMPARED(T, p <= q)                                                                                        \
        default:                                                                                                       \
            COMPARED(T, p >= q)                                                                                        \
        }                                                                                                              \
    }
TYPES_NUMBER(COMPARE_LOOP)

static double double_of(int op, double p, double q)
{
    switch (op) {
    case BINARY_ADD:
        return p + q;
    case BINARY_SUB:
        return p - q;
    case BINARY_MUL:
        return p * q;
    case BINARY_DIV:
        return p / q;
    case BINARY_POW:
        return pow(p, q);
    case BINARY_PRELU:
        return p < 0 ? p * q : p;
    case BINARY_MIN:
        return p < q || isnan(p) ? p : q;
    case BINARY_MAX:
        return p > q || isnan(p) ? p : q;
    case BINARY_FMOD:
        return fmod(p, q);
    default: { /* BINARY_MOD: the divisor's sign */
        double r = fmod(p, q);
        return r != 0 && (r < 0) != (q < 0) ? r + q : r;
    }
    }
}

static void loop_floats(const struct kernels *kernels, enum binary op, float *y, const float *a, const float *b,
                        int64_t n, int64_t step_a, int64_t step_b)
{
    if (step_a && step_b) {
        kernels->map->binary(op, y, a, b, n);
    } else if (step_a) {
        kernels->map->binary_scalar(op, y, a, *b, n);
    } else if (step_b) {
        kernels->map->scalar_binary(op, y, *a, b, n);
    } else if (n > 0) { /* both repeat: a further operand is wider */
        kernels->map->binary(op, y, a, b, 1);
        kernels->map->fill(y, y[0], n);
    }
}

static void loop_doubles(int op, double *y, const double *a, const double *b, int64_t n, int64_t step_a, int64_t step_b)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = double_of(op, a[i * step_a], b[i * step_b]);
}

static bool same_text(const struct percept_string *a, const struct percept_string *b)
{
    return a->n_bytes == b->n_bytes && (!a->n_bytes || !memcmp(a->at, b->at, a->n_bytes));
}

static void loop_compare(int op, enum percept_dtype dtype, uint8_t *y, const void *a, const void *b, int64_t n,
                         int64_t step_a, int64_t step_b)
{
    switch (dtype) {
#define CASE(type, T)                                                                                                  \
    case type:                                                                                                         \
        compare_##T(op, y, a, b, n, step_a, step_b);                                                                   \
        break;
        TYPES_NUMBER(CASE)
#undef CASE
    case PERCEPT_BOOL:
        compare_uint8_t(op, y, a, b, n, step_a, step_b);
        break;
    case PERCEPT_STRING:
        for (int64_t i = 0; i < n; i++)
            y[i] =
                same_text((const struct percept_string *)a + i * step_a, (const struct percept_string *)b + i * step_b);
        break;
    default:
        break;
    }
}

static void loop_any(const struct kernels *kernels, int op, enum percept_dtype dtype, void *y, const void *a,
                     const void *b, int64_t n, int64_t step_a, int64_t step_b)
{
    if (op >= EQUAL) {
        loop_compare(op, dtype, y, a, b, n, step_a, step_b);
        return;
    }
    switch (dtype) {
    case PERCEPT_FLOAT:
        loop_floats(kernels, (enum binary)op, y, a, b, n, step_a, step_b);
        break;
    case PERCEPT_DOUBLE:
        loop_doubles(op, y, a, b, n, step_a, step_b);
        break;
    case PERCEPT_BOOL:
        loop_uint8_t(op, y, a, b, n, step_a, step_b);
        break;
#define CASE(type, T)                                                                                                  \
    case type:                                                                                                         \
        loop_##T(op, y, a, b, n, step_a, step_b);                                                                      \
        break;
        TYPES_INTEGER(CASE)
#undef CASE
    default:
        break;
    }
}

void binary_combine(const struct kernels *kernels, enum binary op, enum percept_dtype dtype, void *y, const void *a,
                    const void *b, int64_t n)
{
    loop_any(kernels, (int)op, dtype, y, a, b, n, 1, 1);
}

/* --- run ---------------------------------------------------------------------------------------------------------- */

/* One pair of operands on its way to the output. */
struct pair {
    const struct step *step;
    int op;
    struct tensor a, b;
    void *y;
    struct walk walk;
    enum part part_a, part_b;     /* blocked */
    int64_t block_floats, blocks; /* blocked: in one block of one item; of one item */
};

static const char *element(const struct tensor *t, int64_t i)
{
    return (const char *)t->data + i * (int64_t)tensor_dtype_bytes(t->dtype);
}

#define POW_CHUNK 64

/* Powers whose exponent has another type: integers stay integers, all else is a double. */
static void mixed_powers(const struct pair *pair, int64_t out, const int64_t *at, int64_t n)
{
    enum percept_dtype base = pair->a.dtype, exponent = pair->b.dtype;
    bool integers = types_integer(base) && types_integer(exponent);
    enum percept_dtype common = integers ? PERCEPT_INT64 : PERCEPT_DOUBLE;
    int64_t step_a = walk_inner(&pair->walk, 0), step_b = walk_inner(&pair->walk, 1);
    uint64_t p[POW_CHUNK], q[POW_CHUNK], r[POW_CHUNK]; /* room for either of the two */
    for (int64_t from = 0; from < n; from += POW_CHUNK) {
        int64_t count = n - from < POW_CHUNK ? n - from : POW_CHUNK;
        cast_numbers(common, p, base, element(&pair->a, at[0] + from * step_a), step_a ? count : 1);
        cast_numbers(common, q, exponent, element(&pair->b, at[1] + from * step_b), step_b ? count : 1);
        loop_any(NULL, BINARY_POW, common, r, p, q, count, step_a, step_b);
        struct tensor y = {.dtype = base, .data = pair->y};
        cast_numbers(base, (char *)pair->y + (element(&y, out + from) - (const char *)y.data), common, r, count);
    }
}

static void visit(void *arg, int64_t out, const int64_t *at, int64_t n)
{
    const struct pair *pair = arg;
    if (pair->a.dtype != pair->b.dtype) {
        mixed_powers(pair, out, at, n);
        return;
    }
    size_t size = tensor_dtype_bytes(pair->step->out[0]->dtype);
    loop_any(pair->step->kernels, pair->op, pair->a.dtype, (char *)pair->y + out * (int64_t)size,
             element(&pair->a, at[0]), element(&pair->b, at[1]), n, walk_inner(&pair->walk, 0),
             walk_inner(&pair->walk, 1));
}

static void run_plain(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    struct pair *pair = arg;
    walk_range(&pair->walk, from, to, visit, pair);
}

/* Where an operand's numbers for block `block` of item `item` begin. */
static const float *block_of(const struct pair *pair, const struct tensor *t, enum part part, int64_t item,
                             int64_t block)
{
    const float *data = t->data;
    int64_t width = pair->step->kernels->width;
    if (part == PART_FULL)
        return data + (item * pair->blocks + block) * pair->block_floats;
    if (part == PART_ITEM)
        return data + block * pair->block_floats;
    if (part == PART_SCALAR)
        return data;
    const struct tensor *out = pair->step->out[0];
    bool per_item = t->rank == out->rank && t->dims[0] != 1;
    int64_t channels = t->layout == LAYOUT_BLOCKED ? pair->blocks * width : out->dims[1];
    return data + (per_item ? item * channels : 0) + block * width;
}

/* To the bit: of 0 and -0 it is the place that tells which is the lesser. */
static bool commutes(enum binary op)
{
    return op == BINARY_ADD || op == BINARY_MUL;
}

static void run_block(const struct pair *pair, float *y, const float *a, const float *b)
{
    const struct kernels *kernels = pair->step->kernels;
    enum binary op = (enum binary)pair->op;
    int64_t width = kernels->width, pixels = pair->block_floats / width;
    if (pair->part_b == PART_CHANNEL) {
        kernels->map->binary_lanes(op, y, a, b, pixels);
    } else if (pair->part_a == PART_CHANNEL && commutes(op)) {
        kernels->map->binary_lanes(op, y, b, a, pixels);
    } else if (pair->part_a == PART_CHANNEL) {
        for (int64_t i = 0; i < pixels; i++)
            kernels->map->binary(op, y + i * width, a, b + i * width, width);
    } else {
        loop_floats(kernels, op, y, a, b, pair->block_floats, is_whole(pair->part_a), is_whole(pair->part_b));
    }
}

static void run_blocked(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct pair *pair = arg;
    for (int64_t i = from; i < to; i++) {
        int64_t item = i / pair->blocks, block = i % pair->blocks;
        run_block(pair, (float *)pair->y + i * pair->block_floats, block_of(pair, &pair->a, pair->part_a, item, block),
                  block_of(pair, &pair->b, pair->part_b, item, block));
    }
}

static void run_pair(struct pair *pair, struct run_env *env)
{
    const struct tensor *out = pair->step->out[0];
    if (out->layout == LAYOUT_BLOCKED) {
        int64_t width = pair->step->kernels->width;
        pair->part_a = part_of(&pair->a, out);
        pair->part_b = part_of(&pair->b, out);
        pair->blocks = (out->dims[1] + width - 1) / width;
        pair->block_floats = tensor_span(out, 2, out->rank) * width;
        if (pair->block_floats)
            team_split(env->team, out->dims[0] * pair->blocks, 1 + WALK_GRAIN / pair->block_floats, run_blocked, pair);
        return;
    }
    const struct tensor *operands[] = {&pair->a, &pair->b};
    walk_make(&pair->walk, out->rank, out->dims, 2, operands);
    team_split(env->team, pair->walk.elements, WALK_GRAIN, run_plain, pair);
}

static bool divisors_fit(const struct step *step, struct run_env *env, int op, const struct tensor *b,
                         struct percept_err *err)
{
    if ((op != BINARY_DIV && op != BINARY_MOD && op != BINARY_FMOD) || !types_integer(b->dtype) ||
        tensor_elements(step->out[0]) == 0)
        return true;
    size_t size = tensor_dtype_bytes(b->dtype);
    for (int64_t i = 0, n = tensor_elements(b); i < n; i++) {
        static const uint64_t zero;
        if (i % OP_BLOCK == 0 && !op_spend(env, OP_BLOCK))
            return true;
        if (!memcmp(element(b, i), &zero, size))
            return err_set(err, ERR_DATA, OP_AT "element %lld of the divisor is 0", OP_NODE(step->node), (long long)i);
    }
    return true;
}

static void divide(const struct step *step, struct run_env *env, int n)
{
    const struct tensor *out = step->out[0];
    size_t n_bytes = 0;
    tensor_bytes(out, step->kernels->width, &n_bytes);
    if (out->dtype == PERCEPT_FLOAT) {
        float *y = out->data;
        for (op_blocks(env, (int64_t)(n_bytes / sizeof *y), from, to))
            step->kernels->map->binary_scalar(BINARY_DIV, y + from, y + from, (float)n, to - from);
        return;
    }
    double *y = out->data;
    for (op_blocks(env, tensor_elements(out), from, to))
        for (int64_t i = from; i < to; i++)
            y[i] /= n;
}

static bool binary_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct binary_priv *priv = step->priv;
    struct tensor *out = step->out[0];
    if (step->n_in == 1) {
        size_t n_bytes = 0;
        tensor_bytes(out, step->kernels->width, &n_bytes);
        if (out->data != step->in[0]->data && n_bytes)
            op_copy(env, out->data, step->in[0]->data, n_bytes);
        return true;
    }
    struct pair pair = {.step = step, .op = priv->op, .y = out->data, .a = *step->in[0]};
    for (int i = 1; i < step->n_in; i++) {
        if (!operand(step, i, &pair.b, err) || !divisors_fit(step, env, priv->op, &pair.b, err))
            return false;
        run_pair(&pair, env);
        pair.a = *out;
    }
    if (priv->member == IS_MEAN)
        divide(step, env, step->n_in);
    return true;
}

static void binary_batch(struct batch_view *view)
{
    const struct binary_priv *priv = view->many->priv;
    struct tensor second;
    if (!priv->legacy) {
        batch_axis_elements(view);
        return;
    }
    if (operand(view->many, 1, &second, NULL)) /* where opset 6 puts it */
        batch_axis_elements_of(view, (const struct tensor *[]){view->many->in[0], &second});
}

/* --- per channel -------------------------------------------------------------------------------------------------- */

/* Does only axis `axis` of x meet more than one number of it? No, too, where opset 6 has placed it elsewhere than numpy
 * would. */
static bool per_channel(const struct binary_priv *priv, const struct tensor *constant, const struct tensor *x, int axis)
{
    const bool scalar = tensor_elements(constant) == 1;
    if (constant->dtype != PERCEPT_FLOAT || constant->rank > x->rank)
        return false;
    if (priv->legacy && priv->has_axis && !scalar && priv->axis != x->rank - constant->rank &&
        priv->axis != -constant->rank)
        return false;
    for (int i = 0; i < constant->rank; i++) {
        const int at = i + x->rank - constant->rank;
        if (constant->dims[i] != 1 && (at != axis || constant->dims[i] != x->dims[axis]))
            return false;
    }
    return true;
}

/* One number for each channel. */
static const float *spread(struct node_ctx *ctx, const struct tensor *constant, int64_t channels)
{
    const enum member member = (enum member)ctx->node->op->rule->variant;
    float *vector = arena_array(ctx->arena, (size_t)channels + 16, sizeof *vector);
    const float *from = constant->data;
    const bool scalar = tensor_elements(constant) == 1;
    for (int64_t c = 0; vector && c < channels; c++) {
        const float x = from[scalar ? 0 : c];
        vector[c] = member == IS_SUB ? -x : member == IS_DIV ? 1.0f / x : x;
    }
    return vector;
}

static bool binary_affine(struct node_ctx *ctx, const struct affine_view *view, struct fusion *fusion)
{
    const struct binary_priv *priv = ctx->node->priv;
    const enum member member = priv->member;
    if (!view->x || ctx->node->n_in != 2 || view->axis < 0 || view->axis >= view->x->rank ||
        view->x->dtype != PERCEPT_FLOAT || (view->input == 1 && (member == IS_SUB || member == IS_DIV)))
        return false;
    const struct tensor *constant = op_constant(ctx, 1 - view->input);
    if (!constant || !per_channel(priv, constant, view->x, view->axis))
        return false;
    fusion->channels = view->x->dims[view->axis];
    const float *vector = spread(ctx, constant, fusion->channels);
    fusion->scale = member == IS_MUL || member == IS_DIV ? vector : NULL;
    fusion->shift = member == IS_ADD || member == IS_SUB ? vector : NULL;
    return vector != NULL;
}

#define RULE(name, member, ...)                                                                                        \
    const struct op_rule op_##name = {.check = binary_check,                                                           \
                                      .shape = binary_shape,                                                           \
                                      .run = binary_run,                                                               \
                                      .batch = binary_batch,                                                           \
                                      .variant = member,                                                               \
                                      __VA_ARGS__};

RULE(add, IS_ADD, .affine = binary_affine, .flags = OP_ADDS)
RULE(sub, IS_SUB, .affine = binary_affine)
RULE(mul, IS_MUL, .affine = binary_affine, .flags = OP_MULTIPLIES)
RULE(div, IS_DIV, .affine = binary_affine, .flags = OP_EXACT)
RULE(pow, IS_POW, .flags = OP_EXACT)
RULE(mod, IS_MOD, .flags = OP_EXACT)
RULE(prelu, IS_PRELU)
RULE(min, IS_MIN)
RULE(max, IS_MAX)
RULE(sum, IS_SUM)
RULE(mean, IS_MEAN)
RULE(and, IS_AND)
RULE(or, IS_OR)
RULE(xor, IS_XOR)
RULE(bitwise_and, IS_BIT_AND)
RULE(bitwise_or, IS_BIT_OR)
RULE(bitwise_xor, IS_BIT_XOR)
RULE(bit_shift, IS_SHIFT)
RULE(equal, IS_EQUAL, .flags = OP_EXACT)
RULE(less, IS_LESS, .flags = OP_EXACT)
RULE(greater, IS_GREATER, .flags = OP_EXACT)
RULE(less_or_equal, IS_LESS_EQUAL, .flags = OP_EXACT)
RULE(greater_or_equal, IS_GREATER_EQUAL, .flags = OP_EXACT)
