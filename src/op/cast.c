/*
 * cast.c - Cast and CastLike: every pair of element types; BitCast: the same bytes under another.
 *
 * Numbers of C's own types convert in one loop per pair, made by a macro over a macro. What C leaves
 * undefined is defined here: a float outside an integer's range becomes the nearest end of it, NaN
 * becomes 0. Integers wrap, as in C. Anything not zero is true, NaN too. Half floats go through float,
 * rounded once to nearest even: a double is first made a float rounded to odd, which keeps the last
 * rounding right.
 *
 * Strings become numbers as far as the text is one (else ERR_DATA); numbers become the shortest text
 * that reads back, as numpy prints them: whole floats without a fraction. Such text lives in the plan's
 * arena, 32 bytes an element, until the next run.
 *
 * BitCast is refused for half floats, which are widened before an operator could see their bits; it may make
 * them. A bool that it makes may be any byte.
 */
#include "op/cast.h"

#include <math.h>
#include <string.h>

#include "base/number.h"
#include "op/attr.h"
#include "op/batch_axis.h"
#include "op/types.h"
#include "op/walk.h"

/* Ends of the integer types as doubles: `most` is the first value that does not fit any more. */
#define FITTED(T, x, least, beyond, largest)                                                                           \
    ((x) >= (beyond) ? (T)(largest) : (x) < (least) ? (T)(least) : isnan(x) ? (T)0 : (T)(x))

#define TO_float(x, real) (float)(x)
#define TO_double(x, real) (double)(x)
#define TO_int8_t(x, real) real(int8_t, x, -128, 128, INT8_MAX)
#define TO_int16_t(x, real) real(int16_t, x, -32768, 32768, INT16_MAX)
#define TO_int32_t(x, real) real(int32_t, x, -0x1p31, 0x1p31, INT32_MAX)
#define TO_int64_t(x, real) real(int64_t, x, -0x1p63, 0x1p63, INT64_MAX)
#define TO_uint8_t(x, real) real(uint8_t, x, 0, 256, UINT8_MAX)
#define TO_uint16_t(x, real) real(uint16_t, x, 0, 65536, UINT16_MAX)
#define TO_uint32_t(x, real) real(uint32_t, x, 0, 0x1p32, UINT32_MAX)
#define TO_uint64_t(x, real) real(uint64_t, x, 0, 0x1p64, UINT64_MAX)
#define OF_REAL(T, x, least, beyond, largest) FITTED(T, (double)(x), least, beyond, largest)
#define OF_INTEGER(T, x, least, beyond, largest) (T)(x)

#define PAIR(dtype, S, T, kind)                                                                                        \
    case dtype: {                                                                                                      \
        T *to = y;                                                                                                     \
        for (int64_t i = 0; i < n; i++)                                                                                \
            to[i] = TO_##T(x[i], kind);                                                                                \
        break;                                                                                                         \
    }

/* From one type to all others. */
#define FROM(S, kind)                                                                                                  \
    static void from_##S(enum percept_dtype dtype, void *y, const S *x, int64_t n)                                     \
    {                                                                                                                  \
        switch (dtype) {                                                                                               \
            PAIR(PERCEPT_FLOAT, S, float, kind)                                                                        \
            PAIR(PERCEPT_DOUBLE, S, double, kind)                                                                      \
            PAIR(PERCEPT_INT8, S, int8_t, kind)                                                                        \
            PAIR(PERCEPT_INT16, S, int16_t, kind)                                                                      \
            PAIR(PERCEPT_INT32, S, int32_t, kind)                                                                      \
            PAIR(PERCEPT_INT64, S, int64_t, kind)                                                                      \
            PAIR(PERCEPT_UINT8, S, uint8_t, kind)                                                                      \
            PAIR(PERCEPT_UINT16, S, uint16_t, kind)                                                                    \
            PAIR(PERCEPT_UINT32, S, uint32_t, kind)                                                                    \
            PAIR(PERCEPT_UINT64, S, uint64_t, kind)                                                                    \
        case PERCEPT_BOOL:                                                                                             \
            for (int64_t i = 0; i < n; i++)                                                                            \
                ((uint8_t *)y)[i] = x[i] != 0;                                                                         \
            break;                                                                                                     \
        default:                                                                                                       \
            break;                                                                                                     \
        }                                                                                                              \
    }

FROM(float, OF_REAL)
FROM(double, OF_REAL)
FROM(int8_t, OF_INTEGER)
FROM(int16_t, OF_INTEGER)
FROM(int32_t, OF_INTEGER)
FROM(int64_t, OF_INTEGER)
FROM(uint8_t, OF_INTEGER)
FROM(uint16_t, OF_INTEGER)
FROM(uint32_t, OF_INTEGER)
FROM(uint64_t, OF_INTEGER)

/* Neither side a half float. */
static void cast_native(enum percept_dtype to, void *y, enum percept_dtype from, const void *x, int64_t n)
{
    switch (from) {
#define CASE(dtype, S)                                                                                                 \
    case dtype:                                                                                                        \
        from_##S(to, y, x, n);                                                                                         \
        break;
        TYPES_NUMBER(CASE)
#undef CASE
    case PERCEPT_BOOL:
        from_uint8_t(to, y, x, n);
        break;
    default:
        break;
    }
}

/* Inexact results get an odd last bit, so that a second rounding cannot meet a false tie. */
static float to_odd(double x)
{
    float f = (float)x;
    uint32_t bits;
    if ((double)f == x || isnan(x) || isinf(f))
        return f;
    memcpy(&bits, &f, sizeof bits);
    if (bits & 1)
        return f;
    bool away = fabs((double)f) < fabs(x); /* f was rounded towards zero */
    bits = away ? bits + 1 : bits - 1;
    memcpy(&f, &bits, sizeof f);
    return f;
}

#define CHUNK 256

static void cast_half(enum percept_dtype to, void *y, enum percept_dtype from, const void *x, int64_t n)
{
    double wide[CHUNK];
    for (int64_t at = 0; at < n; at += CHUNK) {
        int64_t count = n - at < CHUNK ? n - at : CHUNK;
        const char *source = (const char *)x + at * (int64_t)tensor_dtype_bytes(from);
        char *target = (char *)y + at * (int64_t)tensor_dtype_bytes(to);
        if (tensor_is_half(from))
            for (int64_t i = 0; i < count; i++) {
                uint16_t half = ((const uint16_t *)source)[i];
                wide[i] = (double)(from == PERCEPT_FLOAT16 ? tensor_half_to_float(half) : tensor_bfloat_to_float(half));
            }
        else
            cast_native(PERCEPT_DOUBLE, wide, from, source, count);
        if (tensor_is_half(to))
            for (int64_t i = 0; i < count; i++) {
                float f = to_odd(wide[i]);
                ((uint16_t *)target)[i] = to == PERCEPT_FLOAT16 ? tensor_float_to_half(f) : tensor_float_to_bfloat(f);
            }
        else
            cast_native(to, target, PERCEPT_DOUBLE, wide, count);
    }
}

void cast_numbers(enum percept_dtype to, void *y, enum percept_dtype from, const void *x, int64_t n)
{
    if (n <= 0)
        return;
    if (to == from)
        memcpy(y, x, (size_t)n * tensor_dtype_bytes(to));
    else if (tensor_is_half(to) || tensor_is_half(from))
        cast_half(to, y, from, x, n);
    else
        cast_native(to, y, from, x, n);
}

/* --- text --------------------------------------------------------------------------------------------------------- */

/* "+1", "INF", "nan" and the like, which JSON does not know. */
static bool odd_number(struct bytes text, double *value)
{
    static const struct {
        const char *text;
        double value;
    } words[] = {{"inf", INFINITY}, {"infinity", INFINITY}, {"nan", NAN}};
    bool negative = bytes_size(text) && *text.at == '-';
    if (bytes_size(text) && (*text.at == '-' || *text.at == '+'))
        text.at++;
    for (size_t k = 0; k < sizeof words / sizeof *words; k++) {
        bool same = strlen(words[k].text) == bytes_size(text);
        for (size_t i = 0; same && i < bytes_size(text); i++)
            same = (text.at[i] | 0x20) == words[k].text[i];
        if (same) {
            *value = negative ? -words[k].value : words[k].value;
            return true;
        }
    }
    return false;
}

/* Without the signs and zeros that JSON refuses; buffer has room for the text and one more. */
static struct bytes json_like(struct bytes text, uint8_t *buffer)
{
    size_t n = 0;
    if (bytes_size(text) && *text.at == '+')
        text.at++;
    else if (bytes_size(text) && *text.at == '-')
        buffer[n++] = *text.at++;
    while (bytes_size(text) > 1 && text.at[0] == '0' && text.at[1] >= '0' && text.at[1] <= '9')
        text.at++;
    if (bytes_size(text) && *text.at == '.')
        buffer[n++] = '0';
    memcpy(buffer + n, text.at, bytes_size(text));
    return bytes_of(buffer, n + bytes_size(text));
}

static bool read_text(const struct percept_string *string, enum percept_dtype to, void *y)
{
    uint8_t buffer[128];
    struct bytes text = bytes_of(string->at, string->n_bytes);
    if (bytes_size(text) == 0 || bytes_size(text) >= sizeof buffer)
        return false;
    double d;
    if (odd_number(text, &d)) {
        cast_numbers(to, y, PERCEPT_DOUBLE, &d, 1);
        return true;
    }
    text = json_like(text, buffer);
    int64_t i;
    uint64_t u;
    float f;
    if (types_integer(to) && number_read_int64(text, &i) == text.end)
        cast_numbers(to, y, PERCEPT_INT64, &i, 1);
    else if (types_integer(to) && number_read_uint64(text, &u) == text.end)
        cast_numbers(to, y, PERCEPT_UINT64, &u, 1);
    else if (to == PERCEPT_FLOAT && number_read_float(text, &f) == text.end)
        memcpy(y, &f, sizeof f);
    else if (number_read_double(text, &d) == text.end)
        cast_numbers(to, y, PERCEPT_DOUBLE, &d, 1);
    else
        return false;
    return true;
}

#define TEXT_BYTES NUMBER_TEXT_MAX

/* numpy's words: "NaN", "INF", "-INF"; whole numbers without ".0" */
static size_t write_real(char *to, double value, bool narrow)
{
    if (isnan(value)) {
        memcpy(to, "NaN", 3);
        return 3;
    }
    if (isinf(value)) {
        memcpy(to, value < 0 ? "-INF" : "INF", value < 0 ? 4 : 3);
        return value < 0 ? 4 : 3;
    }
    size_t n = narrow ? number_write_float(to, (float)value) : number_write_double(to, value);
    return n > 2 && to[n - 1] == '0' && to[n - 2] == '.' ? n - 2 : n;
}

static size_t write_text(char *to, enum percept_dtype from, const void *x)
{
    double d;
    int64_t i;
    if (types_integer(from) && from != PERCEPT_UINT64) {
        cast_numbers(PERCEPT_INT64, &i, from, x, 1);
        return number_write_int64(to, i);
    }
    if (from == PERCEPT_UINT64)
        return number_write_uint64(to, *(const uint64_t *)x);
    if (from == PERCEPT_BOOL) {
        bool yes = *(const uint8_t *)x;
        memcpy(to, yes ? "True" : "False", yes ? 4 : 5);
        return yes ? 4 : 5;
    }
    cast_numbers(PERCEPT_DOUBLE, &d, from, x, 1);
    return write_real(to, d, from != PERCEPT_DOUBLE);
}

/* --- the operators ------------------------------------------------------------------------------------------------ */

/* A rule's variant. */
enum { CAST, CAST_LIKE, BIT_CAST };

struct cast_priv {
    enum percept_dtype to; /* UNDEFINED: that of input 1 */
    bool bits;             /* BitCast */
};

/* Opset 1 wrote the type's name. */
static bool named_type(const struct node_ctx *ctx, int64_t *to, struct percept_err *err)
{
    static const char *const names[] = {"UNDEFINED", "FLOAT", "UINT8",   "INT8",   "UINT16", "INT16",  "INT32", "INT64",
                                        "STRING",    "BOOL",  "FLOAT16", "DOUBLE", "UINT32", "UINT64", NULL};
    int choice;
    if (!attr_choice(ctx, "to", 0, names, &choice, err))
        return false;
    *to = choice;
    return true;
}

static bool cast_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct cast_priv *priv = op_priv(ctx, sizeof *priv, err);
    if (!priv)
        return false;
    priv->bits = ctx->node->op->rule->variant == BIT_CAST;
    if (ctx->node->op->rule->variant == CAST_LIKE)
        return op_arity(ctx, 2, 2, 1, err);
    int64_t to;
    if (!op_arity(ctx, 1, 1, 1, err) ||
        !(ctx->node->opset < 6 ? named_type(ctx, &to, err) : attr_int(ctx, "to", 0, &to, err)))
        return false;
    priv->to = to > 0 && to <= PERCEPT_BFLOAT16 ? (enum percept_dtype)to : PERCEPT_UNDEFINED;
    if (tensor_dtype_bytes(priv->to) == 0)
        return err_set(err, ERR_UNSUPPORTED,
                       OP_AT "attribute 'to' is type %lld; float, double, "
                             "float16, bfloat16, integers, bool and string would work",
                       OP_NODE(ctx->node), (long long)to);
    if (priv->bits && tensor_is_half(ctx->graph->values[ctx->node->in[0]].dtype))
        return err_set(err, ERR_UNSUPPORTED,
                       OP_AT "the bits of a half float, which is widened on its way here; "
                             "other types would work",
                       OP_NODE(ctx->node));
    return true;
}

static bool cast_shape(struct step *step, struct percept_err *err)
{
    const struct cast_priv *priv = step->priv;
    const struct tensor *x = step->in[0];
    enum percept_dtype to = priv->to ? priv->to : step->in[1]->dtype;
    const bool text = to == PERCEPT_STRING || x->dtype == PERCEPT_STRING;
    if (priv->bits && (text || tensor_dtype_bytes(to) != tensor_dtype_bytes(x->dtype)))
        return err_set(err, ERR_UNSUPPORTED, OP_AT "the bits of %s cannot be those of %s; a type as wide would work",
                       OP_NODE(step->node), tensor_dtype_name(x->dtype), tensor_dtype_name(to));
    op_set_out(step, 0, to, x->rank, x->dims);
    if (step->n_in > 1)
        step->want[1] = step->in[1]->layout; /* only its type matters */
    if (to == x->dtype) {
        step->alias = 1;
        step->want[0] = step->out[0]->layout = x->layout;
    }
    if (to == PERCEPT_STRING && x->dtype != PERCEPT_STRING) {
        step->state = arena_array(step->arena, (size_t)tensor_elements(x) + 1, TEXT_BYTES);
        if (!step->state)
            return err_memory(err, "text of numbers", (size_t)tensor_elements(x) * TEXT_BYTES);
    }
    return true;
}

static bool cast_strings(const struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct tensor *x = step->in[0], *out = step->out[0];
    const struct percept_string *strings = x->data;
    size_t size = tensor_dtype_bytes(out->dtype);
    for (int64_t i = 0, n = tensor_elements(x); i < n && op_spend(env, 8); i++)
        if (!read_text(&strings[i], out->dtype, (char *)out->data + (size_t)i * size))
            return err_set(err, ERR_DATA, OP_AT "element %lld, '" BYTES_FMT "', is no number", OP_NODE(step->node),
                           (long long)i, BYTES_ARG(bytes_of(strings[i].at, strings[i].n_bytes)));
    return true;
}

static void cast_to_strings(const struct step *step, struct run_env *env)
{
    const struct tensor *x = step->in[0];
    struct percept_string *y = step->out[0]->data;
    size_t size = tensor_dtype_bytes(x->dtype);
    for (int64_t i = 0, n = tensor_elements(x); i < n && op_spend(env, 8); i++) {
        char *text = (char *)step->state + i * TEXT_BYTES;
        size_t n_bytes = write_text(text, x->dtype, (const char *)x->data + (size_t)i * size);
        y[i] = (struct percept_string){.at = text, .n_bytes = n_bytes};
    }
}

static void cast_range(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const struct tensor *x = step->in[0], *out = step->out[0];
    cast_numbers(out->dtype, (char *)out->data + from * (int64_t)tensor_dtype_bytes(out->dtype), x->dtype,
                 (const char *)x->data + from * (int64_t)tensor_dtype_bytes(x->dtype), to - from);
}

static bool cast_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct cast_priv *priv = step->priv;
    const struct tensor *x = step->in[0], *out = step->out[0];
    if (out->dtype == x->dtype || priv->bits) {
        size_t n_bytes = 0;
        tensor_bytes(x, step->kernels->width, &n_bytes);
        if (out->data != x->data && n_bytes)
            op_copy(env, out->data, x->data, n_bytes);
        return true;
    }
    if (x->dtype == PERCEPT_STRING)
        return cast_strings(step, env, err);
    if (out->dtype == PERCEPT_STRING)
        cast_to_strings(step, env);
    else
        team_split(env->team, tensor_elements(x), WALK_GRAIN, cast_range, step);
    return true;
}

/* Element by element; of input 1 the type alone is read. */
static void cast_batch(struct batch_view *view)
{
    if (view->in[0].word != BATCH_SHAPED)
        batch_axis_all(view, view->in[0]);
}

const struct op_rule op_cast = {
    .check = cast_check, .shape = cast_shape, .run = cast_run, .batch = cast_batch, .flags = OP_EXACT};
const struct op_rule op_cast_like = {.check = cast_check,
                                     .shape = cast_shape,
                                     .run = cast_run,
                                     .batch = cast_batch,
                                     .flags = OP_EXACT,
                                     .variant = CAST_LIKE};
const struct op_rule op_bit_cast = {.check = cast_check,
                                    .shape = cast_shape,
                                    .run = cast_run,
                                    .batch = cast_batch,
                                    .flags = OP_EXACT,
                                    .variant = BIT_CAST};
