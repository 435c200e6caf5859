/*
 * gen_map.c - models of operators that work element by element: one input, two, many, Where, Clip, Cast, BitCast.
 * Domains of the inputs are chosen so that float32 is meaningful: no tangent beside its pole, no power
 * whose base is negative and whose exponent is no integer (that NaN is tested by example_special).
 */
#include <string.h>

#include "differential/families.h"

#define FLOATS "fffffhhbd"
#define STEEP "fffffhhb" /* beside a pole a double is not what its float is, and that is all ONNX Runtime takes */
#define ALL "ffffhbdcCsSiIlL"

/* --- one input ---------------------------------------------------------------------------------------------------- */

struct unary {
    const char *op, *types;
    double least, most;
    int special; /* percent of elements that are NaN, infinite or zero */
    double relative;
    struct {
        const char *name;
        double least, most;
    } attr[2];
};

static const struct unary unaries[] = {
    {"Abs", ALL, -100, 100, 5, 0, {{0}}},
    {"Acos", STEEP, -1.1, 1.1, 3, 0, {{0}}},
    {"Acosh", STEEP, 0.9, 50, 3, 0, {{0}}},
    {"Asin", STEEP, -1.1, 1.1, 3, 0, {{0}}},
    {"Asinh", FLOATS, -50, 50, 3, 0, {{0}}},
    {"Atan", FLOATS, -50, 50, 3, 0, {{0}}},
    {"Atanh", STEEP, -1.05, 1.05, 3, 0, {{0}}},
    {"Ceil", FLOATS, -20, 20, 5, 0, {{0}}},
    {"Floor", FLOATS, -20, 20, 5, 0, {{0}}},
    {"Round", FLOATS, -20, 20, 5, 0, {{0}}},
    {"Cos", FLOATS, -20, 20, 3, 0, {{0}}},
    {"Sin", FLOATS, -20, 20, 3, 0, {{0}}},
    {"Tan", STEEP, -1.5, 1.5, 3, 0, {{0}}},
    {"Cosh", FLOATS, -10, 10, 3, 0, {{0}}},
    {"Sinh", FLOATS, -10, 10, 3, 0, {{0}}},
    {"Tanh", FLOATS, -12, 12, 3, 0, {{0}}},
    {"Erf", FLOATS, -4, 4, 3, 0, {{0}}},
    {"Exp", FLOATS, -20, 20, 3, 0, {{0}}},
    {"Log", FLOATS, -0.5, 50, 3, 0, {{0}}},
    {"Neg", "ffffhbdcsil", -100, 100, 5, 0, {{0}}},
    {"Reciprocal", FLOATS, -20, 20, 3, 0, {{0}}},
    {"Sqrt", FLOATS, -1, 100, 3, 0, {{0}}},
    {"Relu", "ffffhbdcsil", -10, 10, 3, 0, {{0}}},
    {"Sigmoid", FLOATS, -100, 100, 3, 0, {{0}}},
    {"Sign", ALL, -3, 3, 5, 0, {{0}}},
    {"Softplus", FLOATS, -100, 100, 3, 0, {{0}}},
    {"Softsign", FLOATS, -100, 100, 0, 0, {{0}}},
    {"HardSwish", FLOATS, -6, 6, 0, 0, {{0}}},
    {"Mish", FLOATS, -30, 30, 0, 0, {{0}}},
    {"Celu", "f", -8, 8, 3, 0, {{"alpha", 0.2, 3}}},
    {"Elu", FLOATS, -8, 8, 3, 0, {{"alpha", 0.2, 3}}},
    {"HardSigmoid", FLOATS, -8, 8, 3, 0, {{"alpha", 0.05, 1}, {"beta", 0, 1}}},
    {"LeakyRelu", FLOATS, -8, 8, 3, 0, {{"alpha", -0.5, 1.5}}},
    {"Selu", FLOATS, -8, 8, 3, 0, {{"alpha", 0.5, 2}, {"gamma", 1, 2}}},
    {"Shrink", FLOATS "cCil", -4, 4, 0, 0, {{"lambd", 0, 2}, {"bias", 0, 1}}},
    {"ThresholdedRelu", FLOATS, -4, 4, 0, 0, {{"alpha", 0, 3}}},
    {"Swish", FLOATS, -30, 30, 0, 0, {{"alpha", 0.3, 2}}},
    {"BitwiseNot", "cCsSiIlL", -1e15, 1e15, 0, 0, {{0}}},
    {"Not", "?", 0, 1, 0, 0, {{0}}},
    {"Identity", ALL "t?", -100, 100, 5, 0, {{0}}},
};

void gen_unary(struct example *e)
{
    const struct unary *u = unaries;
    while (strcmp(u->op, e->op) != 0)
        u++;
    int64_t dims[RANK_MAX];
    int rank = (int)example_int(e, 0, 6);
    example_dims(e, rank, dims, 6);
    example_type(e, u->types);
    struct tensor *x = example_input(e, e->type, rank, dims, u->least, u->most);
    if (example_chance(e, 40))
        example_special(e, x, u->special);
    for (int i = 0; i < 2; i++)
        if (u->attr[i].name && example_chance(e, 70))
            example_attr_real(e, u->attr[i].name, example_real(e, u->attr[i].least, u->attr[i].most));
    e->float_inside = strcmp(e->op, "Shrink") == 0 || strcmp(e->op, "HardSwish") == 0;
    example_output(e, e->type);
}

void gen_scaled(struct example *e) /* Affine, ScaledTanh, ParametricSoftplus */
{
    int64_t dims[RANK_MAX];
    int rank = (int)example_int(e, 0, 5), given = strcmp(e->op, "Affine") == 0 ? 70 : 100;
    example_dims(e, rank, dims, 6);
    if (e->opset > 9) /* where ONNX Runtime stops to know them */
        e->opset = (int)example_int(e, 7, 9);
    example_type(e, "ffffhd");
    example_input(e, e->type, rank, dims, -8, 8);
    if (example_chance(e, given))
        example_attr_real(e, "alpha", example_real(e, -2, 2));
    if (example_chance(e, given))
        example_attr_real(e, "beta", example_real(e, -3, 3));
    example_output(e, e->type);
}

void gen_gelu(struct example *e)
{
    int64_t dims[RANK_MAX];
    int rank = (int)example_int(e, 1, 5);
    example_dims(e, rank, dims, 6);
    example_type(e, *e->domain ? "f" : FLOATS);
    example_input(e, e->type, rank, dims, -8, 8);
    if (!*e->domain && example_chance(e, 66))
        example_attr_text(e, "approximate", example_chance(e, 50) ? "tanh" : "none");
    e->float_inside = true;
    example_output(e, e->type);
}

void gen_is(struct example *e) /* IsNaN, IsInf */
{
    int64_t dims[RANK_MAX];
    int rank = (int)example_int(e, 0, 5);
    example_dims(e, rank, dims, 6);
    example_type(e, strcmp(e->op, "IsInf") == 0 && e->opset < 20 ? "fffd" : FLOATS);
    example_special(e, example_input(e, e->type, rank, dims, -5, 5), 40);
    if (strcmp(e->op, "IsInf") == 0) {
        if (example_chance(e, 50))
            example_attr(e, "detect_negative", example_int(e, 0, 1));
        if (example_chance(e, 50))
            example_attr(e, "detect_positive", example_int(e, 0, 1));
    }
    example_output(e, PERCEPT_BOOL);
}

/* --- two inputs and more ------------------------------------------------------------------------------------------ */

/* A shape that broadcasts into dims: leading ones dropped, some made 1. */
static int narrowed(struct example *e, int rank, const int64_t *dims, int64_t *out)
{
    int drop = (int)example_int(e, 0, example_chance(e, 40) ? rank : 0);
    for (int i = drop; i < rank; i++)
        out[i - drop] = example_chance(e, 25) ? 1 : dims[i];
    return rank - drop;
}

struct binary {
    const char *op, *types;
    double least, most, least2, most2;
    bool truth; /* the output is bool */
};

static const struct binary binaries[] = {
    {"Add", ALL, -50, 50, -50, 50, false},
    {"Sub", ALL, -50, 50, -50, 50, false},
    {"Mul", ALL, -50, 50, -50, 50, false},
    {"Div", ALL, -50, 50, 1, 20, false},
    {"PRelu", FLOATS "il", -10, 10, -2, 2, false},
    {"And", "?", 0, 1, 0, 1, true},
    {"Or", "?", 0, 1, 0, 1, true},
    {"Xor", "?", 0, 1, 0, 1, true},
    {"BitwiseAnd", "cCsSiIlL", -1e15, 1e15, -1e15, 1e15, false},
    {"BitwiseOr", "cCsSiIlL", -1e15, 1e15, -1e15, 1e15, false},
    {"BitwiseXor", "cCsSiIlL", -1e15, 1e15, -1e15, 1e15, false},
    {"BitShift", "CSIL", 0, 1e6, 0, 7, false},
    {"Equal", ALL "??tt", -2, 2, -2, 2, true},
    {"Greater", ALL, -3, 3, -3, 3, true},
    {"GreaterOrEqual", ALL, -3, 3, -3, 3, true},
    {"Less", ALL, -3, 3, -3, 3, true},
    {"LessOrEqual", ALL, -3, 3, -3, 3, true},
};

static void round_elements(struct example *e, struct tensor *t)
{
    if (example_is_floating(t->dtype) && example_chance(e, 60))
        for (int64_t i = 0; i < tensor_elements(t); i++)
            example_set(t, i, (double)(int64_t)example_get(t, i));
}

void gen_binary(struct example *e)
{
    const struct binary *b = binaries;
    while (strcmp(b->op, e->op) != 0)
        b++;
    int64_t dims[RANK_MAX], one[RANK_MAX], two[RANK_MAX];
    int rank = (int)example_int(e, 0, 5), rank1 = rank, rank2 = rank;
    example_dims(e, rank, dims, 6);
    memcpy(one, dims, sizeof one);
    memcpy(two, dims, sizeof two);
    if (strcmp(e->op, "PRelu") == 0 || example_chance(e, 40))
        rank2 = narrowed(e, rank, dims, two);
    else if (example_chance(e, 40)) {
        rank1 = narrowed(e, rank, dims, one);
        rank2 = narrowed(e, rank, dims, two);
    }
    bool old = e->opset < 7;
    if (old) { /* opsets before 7 have an axis instead of numpy's rules: equal shapes, or a scalar */
        rank1 = rank2 = rank;
        memcpy(one, dims, sizeof one);
        memcpy(two, dims, sizeof two);
    }
    example_type(e, old ? "f" : b->types);
    bool unsigned_sub = strcmp(e->op, "Sub") == 0 && !example_is_floating(e->type);
    struct tensor *x = example_input(e, e->type, rank1, one, b->least, b->most);
    example_constant(e, 15);
    struct tensor *y = example_input(e, e->type, rank2, two, unsigned_sub ? 0 : b->least2, b->most2);
    example_constant(e, e->in[0].constant ? 0 : 25);
    if (b->truth)
        round_elements(e, x), round_elements(e, y);
    if (e->type == PERCEPT_FLOAT && !b->truth && strcmp(e->op, "PRelu") != 0 && example_chance(e, 20))
        example_special(e, x, 10), example_special(e, y, 10);
    if (strcmp(e->op, "BitShift") == 0)
        example_attr_text(e, "direction", example_chance(e, 50) ? "LEFT" : "RIGHT");
    example_output(e, b->truth ? PERCEPT_BOOL : e->type);
}

void gen_pow(struct example *e)
{
    int64_t dims[RANK_MAX], two[RANK_MAX];
    int rank = (int)example_int(e, 0, 4);
    example_dims(e, rank, dims, 6);
    example_type(e, e->opset < 12 ? "ffffhd" : "fffffhbdil");
    enum percept_dtype other = e->opset < 12 || example_chance(e, 60) ? e->type : example_dtype(e, "fil");
    bool whole = !example_is_floating(e->type);
    example_input(e, e->type, rank, dims, whole ? -4 : 0.05, 5);
    int rank2 = narrowed(e, rank, dims, two);
    example_input(e, other, rank2, two, whole ? 0 : -3, whole ? 6 : 3);
    example_constant(e, 50);
    if (whole && example_is_floating(other)) /* the way back to an integer is not defined near one */
        for (int64_t i = 0; i < tensor_elements(&e->in[1].tensor); i++)
            example_set(&e->in[1].tensor, i, (double)example_int(e, 0, 5));
    if (other != e->type)
        e->never_widen = !example_is_floating(e->type);
    example_output(e, e->type);
}

void gen_mod(struct example *e)
{
    int64_t dims[RANK_MAX], two[RANK_MAX];
    int rank = (int)example_int(e, 0, 4);
    example_dims(e, rank, dims, 6);
    example_type(e, "ffhbdcCsSiIlL");
    bool floating = example_is_floating(e->type);
    example_input(e, e->type, rank, dims, -50, 50);
    int rank2 = narrowed(e, rank, dims, two);
    struct tensor *y = example_input(e, e->type, rank2, two, 1, 9);
    if (!floating)
        for (int64_t i = 0; i < tensor_elements(y); i++) {
            int64_t v = example_int(e, 1, 9);
            bool is_signed = e->type == PERCEPT_INT8 || e->type == PERCEPT_INT16 || e->type == PERCEPT_INT32 ||
                             e->type == PERCEPT_INT64;
            example_set_int(y, i, is_signed && example_chance(e, 50) ? -v : v);
        }
    else
        for (int side = 0; side < 2; side++) /* quarters: exact, so that no quotient lies beside a whole number */
            for (int64_t i = 0; i < tensor_elements(&e->in[side].tensor); i++)
                example_set(&e->in[side].tensor, i, (double)example_int(e, side ? 1 : -200, side ? 40 : 200) * 0.25);
    if (floating || example_chance(e, 40))
        example_attr(e, "fmod", 1);
    example_output(e, e->type);
}

void gen_variadic(struct example *e) /* Max, Min, Mean, Sum */
{
    int64_t dims[RANK_MAX], one[RANK_MAX];
    int rank = (int)example_int(e, 0, 4), n = (int)example_int(e, 1, 5);
    bool order = strcmp(e->op, "Max") == 0 || strcmp(e->op, "Min") == 0;
    example_dims(e, rank, dims, 6);
    example_type(e, order && e->opset >= 12 ? "ffffhbdcCsSiIlL" : e->opset >= 13 ? "fffhbd" : "ffd");
    for (int i = 0; i < n; i++) {
        int r = rank;
        memcpy(one, dims, sizeof one);
        if (e->opset >= 8 && i > 0)
            r = narrowed(e, rank, dims, one);
        struct tensor *x = example_input(e, e->type, r, one, -50, 50);
        example_constant(e, i ? 20 : 0);
        if (example_chance(e, 15))
            example_special(e, x, 10);
    }
    example_output(e, e->type);
}

void gen_where(struct example *e)
{
    int64_t dims[RANK_MAX], one[RANK_MAX];
    int rank = (int)example_int(e, 0, 5);
    example_dims(e, rank, dims, 6);
    example_type(e, ALL "?tt");
    int r = narrowed(e, rank, dims, one);
    example_input(e, PERCEPT_BOOL, r, one, 0, 1);
    r = narrowed(e, rank, dims, one);
    example_input(e, e->type, r, one, -50, 50);
    example_constant(e, 20);
    r = narrowed(e, rank, dims, one);
    example_input(e, e->type, r, one, -50, 50);
    example_output(e, e->type);
}

void gen_clip(struct example *e)
{
    int64_t dims[RANK_MAX];
    int rank = (int)example_int(e, 0, 5);
    example_dims(e, rank, dims, 6);
    example_type(e, e->opset < 12 ? "f" : ALL);
    struct tensor *x = example_input(e, e->type, rank, dims, -50, 50);
    if (example_chance(e, 20))
        example_special(e, x, 10);
    bool low = example_chance(e, 70), high = example_chance(e, 70);
    double a = (double)example_int(e, 0, 20), b = a + (double)example_int(e, 0, 20);
    if (example_is_floating(e->type))
        a -= 20;
    if (e->opset < 11) {
        if (low)
            example_attr_real(e, "min", a);
        if (high)
            example_attr_real(e, "max", b);
    } else {
        if (low)
            example_scalar(e, e->type, a), example_constant(e, 60);
        else if (high)
            example_left_out(e);
        if (high)
            example_scalar(e, e->type, b), example_constant(e, 60);
    }
    example_output(e, e->type);
}

/* --- types -------------------------------------------------------------------------------------------------------- */

static double cast_bound(enum percept_dtype to)
{
    return to == PERCEPT_INT8 || to == PERCEPT_UINT8 ? 100 : 30000;
}

/* What the specification says of casting an element that the target can hold. */
static bool cast_oracle(const struct example *e, struct tensor *out)
{
    const struct tensor *x = &e->in[0].tensor;
    out[0] = example_tensor(e->arena, e->out[0], x->rank, x->dims);
    for (int64_t i = 0; i < tensor_elements(x); i++)
        if (e->out[0] == PERCEPT_BOOL)
            example_set_int(&out[0], i, example_get(x, i) != 0);
        else
            example_set(&out[0], i, example_get(x, i));
    return true;
}

void gen_cast(struct example *e) /* Cast, CastLike */
{
    int64_t dims[RANK_MAX];
    int rank = (int)example_int(e, 0, 5);
    bool like = strcmp(e->op, "CastLike") == 0;
    const char *types = e->opset >= 13 ? "fhbdcCsSiIlL?" : "fhdcCsSiIlL?";
    example_dims(e, rank, dims, 6);
    enum percept_dtype to = example_dtype(e, types);
    example_type(e, types);
    bool is_unsigned =
        strchr((const char[]){PERCEPT_UINT8, PERCEPT_UINT16, PERCEPT_UINT32, PERCEPT_UINT64, PERCEPT_BOOL, 0},
               (int)to) != NULL;
    double bound = cast_bound(to);
    struct tensor *x = example_input(e, e->type, rank, dims, is_unsigned ? 0 : -bound, bound);
    if (example_is_floating(e->type) && example_is_floating(to) && example_chance(e, 30))
        example_special(e, x, 10);
    if (like)
        example_input(e, to, 1, (const int64_t[]){example_int(e, 0, 3)}, 0, 1);
    else
        example_attr(e, "to", to);
    e->never_widen = true;
    e->oracle = cast_oracle;
    example_output(e, to);
}

static bool bit_cast_oracle(const struct example *e, struct tensor *out)
{
    const struct tensor *x = &e->in[0].tensor;
    out[0] = example_tensor(e->arena, e->out[0], x->rank, x->dims);
    memcpy(out[0].data, x->data, (size_t)tensor_elements(x) * tensor_dtype_bytes(x->dtype));
    return true;
}

void gen_bit_cast(struct example *e)
{
    static const char *const widths[][2] = {{"cC?", "cC?"}, {"sS", "sShb"}, {"fiI", "fiI"}, {"dlL", "dlL"}};
    int64_t dims[RANK_MAX];
    int rank = (int)example_int(e, 0, 5), width = (int)example_int(e, 0, 3);
    example_dims(e, rank, dims, 6);
    e->opset = 26;
    example_input(e, example_type(e, widths[width][0]), rank, dims, width ? -1000 : 0, width ? 30000 : 1);
    const enum percept_dtype to = example_dtype(e, widths[width][1]);
    example_attr(e, "to", to);
    e->never_widen = true;
    e->oracle = bit_cast_oracle;
    example_output(e, to);
}
