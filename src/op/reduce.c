/*
 * reduce.c - operators that make one number of many along axes: sums, extremes, norms, ArgMax, and the
 * running sum CumSum and product CumProd.
 *
 * A reduction sees its input as [outer][n][inner]. Where the reduced axes are neighbours that is how it
 * lies; where they are not, it is first copied with the reduced axes last (inner = 1). Floats go to the
 * level's reduce kernel in units of work (sums.c); doubles and integers through one loop macro, integers
 * accumulated in 64 bits and cut to the type, their means truncated. Running sums of floats are kept in double.
 *
 * Means over the whole of each map, the usual pooling at the end of a network, take a blocked picture as
 * it is: there, inner is the width of a block.
 *
 * ArgMax and ArgMin: the first of equals, or the last with select_last_index; a NaN is the extreme, as
 * in numpy. Sums and products of nothing are the neutral element, and so are, since opset 18 says so, the
 * extremes; what has no value (the mean of nothing, the logarithm of 0 as an integer) is refused by shape. Where
 * the network itself found nothing (no box over the threshold), the extreme is the neutral element in any
 * opset and the mean NaN: exporters write such reductions, and nobody looks at what comes of them.
 */
#include <math.h>
#include <string.h>

#include "op/attr.h"
#include "op/batch_axis.h"
#include "op/sums.h"
#include "op/types.h"
#include "op/walk.h"

enum member { SUM, MEAN, MAX, MIN, PROD, L1, L2, LOG_SUM, LOG_SUM_EXP, SUM_SQUARE };

struct reduce_priv {
    enum member member;
    bool keepdims, noop;
    const int64_t *axes; /* attribute form */
    int n;
    int input_since; /* opset from which axes are an input */
};

static bool reduce_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct reduce_priv *priv = op_priv(ctx, sizeof *priv, err);
    if (!priv)
        return false;
    priv->member = (enum member)ctx->node->op->rule->variant;
    priv->input_since = priv->member == SUM ? 13 : 18;
    bool input = ctx->node->opset >= priv->input_since;
    return op_arity(ctx, 1, input ? 2 : 1, 1, err) && attr_bool(ctx, "keepdims", true, &priv->keepdims, err) &&
           attr_bool(ctx, "noop_with_empty_axes", false, &priv->noop, err) &&
           (input || attr_ints(ctx, "axes", &priv->axes, &priv->n, err));
}

/* Which axes vanish. */
static bool take_axes(const struct step *step, bool *reduced, struct percept_err *err)
{
    const struct reduce_priv *priv = step->priv;
    const int64_t *axes = priv->axes;
    int64_t n = priv->n;
    int rank = step->in[0]->rank;
    if (op_in(step, 1)) {
        if (!op_want_dtype(step, 1, PERCEPT_INT64, err))
            return false;
        n = tensor_elements(step->in[1]);
        axes = step->in[1]->data;
        if (n && !op_known(step, 1, err))
            return false;
    }
    for (int i = 0; i < rank; i++)
        reduced[i] = n == 0 && !priv->noop;
    for (int64_t i = 0; i < n; i++) {
        int axis;
        if (!op_axis(step, axes[i], rank, &axis, err))
            return false;
        reduced[axis] = true;
    }
    return true;
}

/* How the elements lie: [outer][n][inner], after a copy if `scattered`. */
struct lines {
    int64_t outer, n, inner;
    bool scattered;
};

static struct lines lines_of(const struct tensor *x, const bool *reduced)
{
    struct lines lines = {1, 1, 1, false};
    int groups = 0;
    bool inside = false;
    for (int i = 0; i < x->rank; i++) {
        if (x->dims[i] == 1)
            continue;
        if (reduced[i]) {
            groups += !inside;
            lines.n *= x->dims[i];
        } else if (groups) {
            lines.inner *= x->dims[i];
        } else {
            lines.outer *= x->dims[i];
        }
        inside = reduced[i];
    }
    if (groups > 1) {
        lines.outer *= lines.inner;
        lines.inner = 1;
        lines.scattered = true;
    }
    return lines;
}

/* A blocked picture, all of each map and nothing else reduced. */
static bool takes_blocked(const struct step *step, const bool *reduced)
{
    const struct tensor *x = step->in[0], *out = step->out[0];
    const struct reduce_priv *priv = step->priv;
    if (x->layout != LAYOUT_BLOCKED || priv->member == LOG_SUM_EXP || reduced[0] || reduced[1])
        return false;
    for (int i = 2; i < x->rank; i++)
        if (!reduced[i])
            return false;
    return priv->keepdims || out->dims[1] % step->kernels->width == 0;
}

static enum reduce kernel_of(enum member member)
{
    switch (member) {
    case MAX:
        return REDUCE_MAX;
    case MIN:
        return REDUCE_MIN;
    case PROD:
        return REDUCE_PROD;
    case L1:
        return REDUCE_L1;
    case L2:
    case SUM_SQUARE:
        return REDUCE_SUM_SQUARE;
    default:
        return REDUCE_SUM;
    }
}

/* A float reduction but LOG_SUM_EXP. */
static struct sums sums_of(enum member member, struct lines lines)
{
    return (struct sums){.op = kernel_of(member),
                         .finish = member == MEAN      ? SUMS_MEAN
                                   : member == L2      ? SUMS_ROOT
                                   : member == LOG_SUM ? SUMS_LOGARITHM
                                                       : SUMS_AS_IT_IS,
                         .outer = lines.outer,
                         .n = lines.n,
                         .inner = lines.inner};
}

/* A blocked picture whose maps are reduced: a line per block, its inner the width. */
static struct lines blocked_lines(const struct step *step)
{
    const struct tensor *x = step->in[0];
    const int64_t width = step->kernels->width;
    return (struct lines){
        .outer = x->dims[0] * ((x->dims[1] + width - 1) / width), .n = tensor_span(x, 2, x->rank), .inner = width};
}

static bool judge_dtype(const struct step *step, struct percept_err *err)
{
    const struct reduce_priv *priv = step->priv;
    enum percept_dtype dtype = step->in[0]->dtype;
    bool extreme = priv->member == MAX || priv->member == MIN;
    if (types_number(dtype) || (extreme && dtype == PERCEPT_BOOL))
        return true;
    return err_set(err, ERR_UNSUPPORTED,
                   OP_AT "its input is %s; float, double or an integer type "
                         "would work",
                   OP_NODE(step->node), tensor_dtype_name(dtype));
}

/* Has the reduction of no elements a value? As the operators' texts say. */
static bool defined_empty(const struct step *step, enum member member)
{
    switch (member) {
    case MEAN:
        return false;
    case MAX:
    case MIN:
        return step->node->opset >= 18;
    case LOG_SUM:
    case LOG_SUM_EXP: /* minus infinity */
        return types_real(step->in[0]->dtype);
    default:
        return true;
    }
}

static bool judge_empty(const struct step *step, const bool *reduced, struct percept_err *err)
{
    static const char *const names[] = {[MEAN] = "mean",
                                        [MAX] = "maximum",
                                        [MIN] = "minimum",
                                        [LOG_SUM] = "logarithm of the sum",
                                        [LOG_SUM_EXP] = "logarithm of the sum"};
    const struct reduce_priv *priv = step->priv;
    const struct tensor *x = step->in[0];
    if (tensor_elements(step->out[0]) == 0 || step->from_data || defined_empty(step, priv->member))
        return true;
    for (int i = 0; i < x->rank; i++)
        if (reduced[i] && x->dims[i] == 0)
            return op_refuse_empty(step, names[priv->member], i, err);
    return true;
}

static bool reduce_shape(struct step *step, struct percept_err *err)
{
    const struct reduce_priv *priv = step->priv;
    const struct tensor *x = step->in[0];
    bool reduced[RANK_MAX];
    int64_t dims[RANK_MAX];
    int rank = 0;
    if (!judge_dtype(step, err) || !take_axes(step, reduced, err))
        return false;
    for (int i = 0; i < x->rank; i++)
        if (!reduced[i] || priv->keepdims)
            dims[rank++] = reduced[i] ? 1 : x->dims[i];
    op_set_out(step, 0, x->dtype, rank, dims);
    if (!judge_empty(step, reduced, err))
        return false;
    step->flops = (double)tensor_elements(x);
    const bool blocked = takes_blocked(step, reduced);
    struct lines lines = blocked ? blocked_lines(step) : lines_of(x, reduced);
    if (blocked) {
        step->want[0] = LAYOUT_BLOCKED;
        step->out[0]->layout = priv->keepdims ? LAYOUT_BLOCKED : LAYOUT_PLAIN;
    }
    if (lines.scattered)
        step->scratch_bytes = (size_t)tensor_elements(x) * tensor_dtype_bytes(x->dtype);
    if (x->dtype == PERCEPT_FLOAT && priv->member != LOG_SUM_EXP) {
        const struct sums sums = sums_of(priv->member, lines);
        step->scratch_bytes += sums_scratch_bytes(&sums);
    }
    return true;
}

struct reduction {
    const struct step *step;
    enum member member;
    const void *x;
    struct lines lines;
};

enum {
    EXPONENTS = 2048,      /* that are made at a time */
    EXPONENT_COLUMNS = 64, /* of which they are */
    NEIGHBOURS = 16        /* floats that kernels may read past the end */
};

/* Columns [column, column + columns) of a line: log(sum(exp(x))) with the largest exponent taken out, so
 * that nothing overflows. The exponentials of some rows are made aside, of how many does not depend on columns;
 * their sums are added up in double. */
static void log_sum_exp(const struct kernels *kernels, const struct lines *lines, const float *x, float *y,
                        int64_t columns)
{
    float powers[EXPONENTS + NEIGHBOURS], part[EXPONENT_COLUMNS], largest[EXPONENT_COLUMNS + NEIGHBOURS];
    double sums[EXPONENT_COLUMNS] = {0};
    const int64_t inner = lines->inner, most = inner == 1 ? EXPONENTS : EXPONENTS / EXPONENT_COLUMNS;
    kernels->reduce->run(REDUCE_MAX, largest, x, lines->n, inner, columns);
    for (int64_t k = 0; k < columns; k++)
        largest[k] = isinf(largest[k]) ? 0 : largest[k];
    for (int64_t i = 0; i < lines->n; i += most) {
        const int64_t rows = lines->n - i < most ? lines->n - i : most;
        if (inner == 1)
            kernels->map->binary_scalar(BINARY_SUB, powers, x + i, largest[0], rows);
        for (int64_t k = 0; k < rows && inner > 1; k++)
            kernels->map->binary(BINARY_SUB, powers + k * columns, x + (i + k) * inner, largest, columns);
        kernels->map->unary(UNARY_EXP, powers, powers, rows * columns, 0, 0);
        kernels->reduce->run(REDUCE_SUM, part, powers, rows, inner == 1 ? 1 : columns, columns);
        for (int64_t k = 0; k < columns; k++)
            sums[k] += (double)part[k];
    }
    for (int64_t k = 0; k < columns; k++)
        y[k] = (float)(log(sums[k]) + (double)largest[k]);
}

/* Pieces: some columns of a line. */
static void log_sum_exp_pieces(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct reduction *r = arg;
    const struct lines *lines = &r->lines;
    const struct kernels *kernels = r->step->kernels;
    const int64_t pieces = (lines->inner + EXPONENT_COLUMNS - 1) / EXPONENT_COLUMNS;
    for (int64_t i = from; i < to; i++) {
        const int64_t column = i % pieces * EXPONENT_COLUMNS, left = lines->inner - column;
        const int64_t columns = left < EXPONENT_COLUMNS ? left : EXPONENT_COLUMNS;
        const float *x = (const float *)r->x + i / pieces * lines->n * lines->inner + column;
        float *y = (float *)r->step->out[0]->data + i / pieces * lines->inner + column;
        if (lines->n)
            log_sum_exp(kernels, lines, x, y, columns);
        else
            kernels->map->fill(y, -INFINITY, columns);
    }
}

#define SATURATED(value, T, least, largest)                                                                            \
    (!((value) > (double)(least)) ? (least) : (value) >= (double)(largest) ? (largest) : (T)(value))

/* One line of n elements at distance `inner`, for every type but float. */
#define LINE_INTEGER(dtype, T, wide, least, largest)                                                                   \
    static T line_##T(enum member member, const T *x, int64_t n, int64_t inner)                                        \
    {                                                                                                                  \
        uint64_t sum = 0, squares = 0, product = 1, absolute = 0;                                                      \
        T low = largest, high = least;                                                                                 \
        double exponents = 0;                                                                                          \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            T v = x[i * inner];                                                                                        \
            uint64_t u = (uint64_t)v;                                                                                  \
            sum += u;                                                                                                  \
            squares += u * u;                                                                                          \
            product *= u;                                                                                              \
            absolute += v < 1 && v != 0 ? 0 - u : u;                                                                   \
            low = v < low ? v : low;                                                                                   \
            high = v > high ? v : high;                                                                                \
        }                                                                                                              \
        for (int64_t i = 0; member == LOG_SUM_EXP && i < n; i++)                                                       \
            exponents += exp((double)x[i * inner] - (double)high);                                                     \
        const wide mean = n ? (wide)sum / (wide)n : 0;                                                                 \
        switch (member) {                                                                                              \
        case SUM:                                                                                                      \
            return (T)sum;                                                                                             \
        case MEAN:                                                                                                     \
            return (T)mean;                                                                                            \
        case MAX:                                                                                                      \
            return high;                                                                                               \
        case MIN:                                                                                                      \
            return low;                                                                                                \
        case PROD:                                                                                                     \
            return (T)product;                                                                                         \
        case L1:                                                                                                       \
            return (T)absolute;                                                                                        \
        case L2:                                                                                                       \
            return SATURATED(sqrt((double)squares), T, least, largest);                                                \
        case LOG_SUM:                                                                                                  \
            return (wide)sum < 1 ? least : SATURATED(log((double)sum), T, least, largest);                             \
        case LOG_SUM_EXP:                                                                                              \
            return n ? SATURATED(log(exponents) + (double)high, T, least, largest) : least;                            \
        default:                                                                                                       \
            return (T)squares;                                                                                         \
        }                                                                                                              \
    }
LINE_INTEGER(PERCEPT_INT8, int8_t, int64_t, INT8_MIN, INT8_MAX)
LINE_INTEGER(PERCEPT_INT16, int16_t, int64_t, INT16_MIN, INT16_MAX)
LINE_INTEGER(PERCEPT_INT32, int32_t, int64_t, INT32_MIN, INT32_MAX)
LINE_INTEGER(PERCEPT_INT64, int64_t, int64_t, INT64_MIN, INT64_MAX)
LINE_INTEGER(PERCEPT_UINT8, uint8_t, uint64_t, 0, UINT8_MAX)
LINE_INTEGER(PERCEPT_UINT16, uint16_t, uint64_t, 0, UINT16_MAX)
LINE_INTEGER(PERCEPT_UINT32, uint32_t, uint64_t, 0, UINT32_MAX)
LINE_INTEGER(PERCEPT_UINT64, uint64_t, uint64_t, 0, UINT64_MAX)

static double line_double(enum member member, const double *x, int64_t n, int64_t inner)
{
    double sum = 0, squares = 0, product = 1, absolute = 0, low = INFINITY, high = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        double v = x[i * inner];
        sum += v;
        squares += v * v;
        product *= v;
        absolute += fabs(v);
        low = v < low || isnan(v) ? v : low;
        high = v > high || isnan(v) ? v : high;
    }
    switch (member) {
    case SUM:
        return sum;
    case MEAN:
        return sum / (double)n;
    case MAX:
        return high;
    case MIN:
        return low;
    case PROD:
        return product;
    case L1:
        return absolute;
    case L2:
        return sqrt(squares);
    case LOG_SUM:
        return log(sum);
    case LOG_SUM_EXP: {
        double shift = isinf(high) ? 0 : high, exponents = 0;
        for (int64_t i = 0; i < n; i++)
            exponents += exp(x[i * inner] - shift);
        return log(exponents) + shift;
    }
    default:
        return squares;
    }
}

static void reduce_others(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct reduction *r = arg;
    const struct lines *lines = &r->lines;
    for (int64_t i = from; i < to; i++) {
        for (int64_t k = 0; k < lines->inner; k++) {
            int64_t at = i * lines->n * lines->inner + k, to_at = i * lines->inner + k;
            void *y = r->step->out[0]->data;
            switch (r->step->in[0]->dtype) {
#define CASE(dtype, T)                                                                                                 \
    case dtype:                                                                                                        \
        ((T *)y)[to_at] = line_##T(r->member, (const T *)r->x + at, lines->n, lines->inner);                           \
        break;
                TYPES_INTEGER(CASE)
                CASE(PERCEPT_DOUBLE, double)
#undef CASE
            case PERCEPT_BOOL: /* the least of nothing is true */
                ((uint8_t *)y)[to_at] =
                    line_uint8_t(r->member, (const uint8_t *)r->x + at, lines->n, lines->inner) != 0;
                break;
            default:
                break;
            }
        }
    }
}

/* Kept axes first, reduced axes last. */
static void gather_lines(const struct step *step, const bool *reduced, struct percept_team *team)
{
    const struct tensor *x = step->in[0];
    int64_t strides[RANK_MAX];
    struct walk_view view = {0};
    tensor_strides(x->rank, x->dims, strides);
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < x->rank; i++)
            if (reduced[i] == (pass == 1))
                walk_axis(&view, x->dims[i], strides[i]);
    walk_copy(team, step->scratch, x->data, tensor_dtype_bytes(x->dtype), &view);
}

static bool reduce_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct reduce_priv *priv = step->priv;
    const struct tensor *x = step->in[0];
    bool reduced[RANK_MAX];
    if (!take_axes(step, reduced, err))
        return false;
    struct reduction r = {.step = step, .member = priv->member, .x = x->data};
    char *scratch = step->scratch;
    r.lines = x->layout == LAYOUT_BLOCKED ? blocked_lines(step) : lines_of(x, reduced);
    if (r.lines.scattered && scratch) { /* for no elements there is no scratch */
        gather_lines(step, reduced, env->team);
        r.x = scratch;
        scratch += (size_t)tensor_elements(x) * tensor_dtype_bytes(x->dtype);
    }
    if (tensor_elements(step->out[0]) == 0)
        return true;
    const int64_t line = r.lines.n * r.lines.inner, grain = 1 + WALK_GRAIN / (line ? line : 1);
    if (x->dtype != PERCEPT_FLOAT) {
        team_split(env->team, r.lines.outer, grain, reduce_others, &r);
    } else if (priv->member == LOG_SUM_EXP) {
        const int64_t pieces = (r.lines.inner + EXPONENT_COLUMNS - 1) / EXPONENT_COLUMNS;
        team_split(env->team, r.lines.outer * pieces, grain, log_sum_exp_pieces, &r);
    } else {
        const struct sums sums = sums_of(priv->member, r.lines);
        sums_run(&sums, step->kernels, env->team, r.x, step->out[0]->data, (float *)(void *)scratch);
    }
    return true;
}

/* Floats are summed in another order where nothing lies behind what is reduced (kernel/accumulate.h). */
static void reduce_batch(struct batch_view *view)
{
    const struct reduce_priv *priv = view->many->priv;
    struct batch_place place;
    bool reduced[RANK_MAX];
    if (!batch_axis_first(view, &place) || !take_axes(view->many, reduced, NULL))
        return;
    const struct lines one = lines_of(view->one->in[0], reduced), many = lines_of(view->many->in[0], reduced);
    if (reduced[place.axis])
        batch_axis_mixes(view, "reduces over the batch");
    else if (view->many->in[0]->dtype == PERCEPT_FLOAT && (one.inner == 1) != (many.inner == 1))
        batch_axis_mixes(view, BATCH_AXIS_ORDER);
    else
        batch_axis_reduced(view, reduced, priv->keepdims);
}

#define RULE(name, member)                                                                                             \
    const struct op_rule op_reduce_##name = {                                                                          \
        .check = reduce_check, .shape = reduce_shape, .run = reduce_run, .batch = reduce_batch, .variant = member};

RULE(sum, SUM)
RULE(mean, MEAN)
RULE(max, MAX)
RULE(min, MIN)
RULE(prod, PROD)
RULE(l1, L1)
RULE(l2, L2)
RULE(log_sum, LOG_SUM)
RULE(log_sum_exp, LOG_SUM_EXP)
RULE(sum_square, SUM_SQUARE)

/* --- ArgMax and ArgMin -------------------------------------------------------------------------------------------- */

struct arg_priv {
    int64_t axis;
    bool keepdims, last, least;
};

static bool arg_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct arg_priv *priv = op_priv(ctx, sizeof *priv, err);
    if (!priv)
        return false;
    priv->least = ctx->node->op->rule->variant;
    return op_arity(ctx, 1, 1, 1, err) && attr_int(ctx, "axis", 0, &priv->axis, err) &&
           attr_bool(ctx, "keepdims", true, &priv->keepdims, err) &&
           attr_bool(ctx, "select_last_index", false, &priv->last, err);
}

static bool arg_shape(struct step *step, struct percept_err *err)
{
    const struct arg_priv *priv = step->priv;
    const struct tensor *x = step->in[0];
    int axis, rank = 0;
    int64_t dims[RANK_MAX];
    if (!op_axis(step, priv->axis, x->rank, &axis, err))
        return false;
    if (!types_number(x->dtype))
        return err_set(err, ERR_UNSUPPORTED,
                       OP_AT "its input is %s; float, double or an integer type "
                             "would work",
                       OP_NODE(step->node), tensor_dtype_name(x->dtype));
    for (int i = 0; i < x->rank; i++)
        if (i != axis || priv->keepdims)
            dims[rank++] = i == axis ? 1 : x->dims[i];
    op_set_out(step, 0, PERCEPT_INT64, rank, dims);
    if (x->dims[axis] == 0 && tensor_elements(step->out[0]) > 0)
        return op_refuse_empty(step, priv->least ? "place of the minimum" : "place of the maximum", axis, err);
    return true;
}

/* v != v is NaN, which wins over all numbers; comparing it with anything else is false. */
#define EXTREME(dtype, T)                                                                                              \
    static int64_t extreme_##T(const T *x, int64_t n, int64_t inner, bool least, bool last)                            \
    {                                                                                                                  \
        int64_t best = 0;                                                                                              \
        for (int64_t i = 1; i < n; i++) {                                                                              \
            T v = x[i * inner], champion = x[best * inner];                                                            \
            bool wins = (least ? v < champion : v > champion) || (v != v && champion == champion);                     \
            bool ties = v == champion || (v != v && champion != champion);                                             \
            best = wins || (last && ties) ? i : best;                                                                  \
        }                                                                                                              \
        return best;                                                                                                   \
    }
TYPES_NUMBER(EXTREME)

struct arg_job {
    const struct step *step;
    int64_t n, inner;
};

static void arg_lines(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct arg_job *job = arg;
    const struct arg_priv *priv = job->step->priv;
    const void *x = job->step->in[0]->data;
    int64_t *y = job->step->out[0]->data;
    for (int64_t i = from; i < to; i++) {
        int64_t at = i / job->inner * job->n * job->inner + i % job->inner;
        switch (job->step->in[0]->dtype) {
#define CASE(dtype, T)                                                                                                 \
    case dtype:                                                                                                        \
        y[i] = extreme_##T((const T *)x + at, job->n, job->inner, priv->least, priv->last);                            \
        break;
            TYPES_NUMBER(CASE)
#undef CASE
        default:
            break;
        }
    }
}

static bool arg_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct arg_priv *priv = step->priv;
    const struct tensor *x = step->in[0];
    int axis;
    if (!op_axis(step, priv->axis, x->rank, &axis, err))
        return false;
    struct arg_job job = {.step = step, .n = x->dims[axis], .inner = tensor_span(x, axis + 1, x->rank)};
    team_split(env->team, tensor_elements(step->out[0]), 1 + WALK_GRAIN / (job.n ? job.n : 1), arg_lines, &job);
    return true;
}

static void arg_batch(struct batch_view *view)
{
    const struct arg_priv *priv = view->many->priv;
    bool reduced[RANK_MAX] = {false};
    int axis;
    if (!op_axis(view->many, priv->axis, view->many->in[0]->rank, &axis, NULL))
        return;
    reduced[axis] = true;
    batch_axis_reduced(view, reduced, priv->keepdims);
}

const struct op_rule op_arg_max = {
    .check = arg_check, .shape = arg_shape, .run = arg_run, .batch = arg_batch, .flags = OP_EXACT};
const struct op_rule op_arg_min = {
    .check = arg_check, .shape = arg_shape, .run = arg_run, .batch = arg_batch, .flags = OP_EXACT, .variant = 1};

/* --- CumSum, CumProd ---------------------------------------------------------------------------------------------- */

struct cumsum_priv {
    bool exclusive, reverse, product;
};

static bool cumsum_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct cumsum_priv *priv = op_priv(ctx, sizeof *priv, err);
    if (!priv)
        return false;
    priv->product = ctx->node->op->rule->variant;
    return op_arity(ctx, 2, 2, 1, err) && attr_bool(ctx, "exclusive", false, &priv->exclusive, err) &&
           attr_bool(ctx, "reverse", false, &priv->reverse, err);
}

static bool cumsum_axis(const struct step *step, int *axis, struct percept_err *err)
{
    const struct tensor *given = step->in[1];
    return op_axis(step, given->dtype == PERCEPT_INT64 ? *(const int64_t *)given->data : *(const int32_t *)given->data,
                   step->in[0]->rank, axis, err);
}

static bool cumsum_shape(struct step *step, struct percept_err *err)
{
    const struct tensor *x = step->in[0], *axis = step->in[1];
    int known;
    if (!types_number(x->dtype))
        return err_set(err, ERR_UNSUPPORTED,
                       OP_AT "its input is %s; float, double or an integer type "
                             "would work",
                       OP_NODE(step->node), tensor_dtype_name(x->dtype));
    bool fits = axis->dtype == PERCEPT_INT64 || axis->dtype == PERCEPT_INT32;
    if (!fits || tensor_elements(axis) != 1)
        return err_set(err, ERR_MODEL, OP_AT "the axis is not one int32 or int64", OP_NODE(step->node));
    if (axis->data && !cumsum_axis(step, &known, err))
        return false;
    op_set_out(step, 0, x->dtype, x->rank, x->dims);
    step->flops = (double)tensor_elements(x);
    return true;
}

/* Integers wrap: WIDE is uint64_t for them. */
#define RUNNING(T, WIDE)                                                                                               \
    static void running_##T(struct run_env *env, T *y, const T *x, int64_t n, int64_t inner,                           \
                            const struct cumsum_priv *how)                                                             \
    {                                                                                                                  \
        WIDE sum = how->product;                                                                                       \
        for (op_blocks(env, n, from, to)) {                                                                            \
            for (int64_t i = from; i < to; i++) {                                                                      \
                int64_t at = (how->reverse ? n - 1 - i : i) * inner;                                                   \
                WIDE before = sum;                                                                                     \
                sum = how->product ? sum * (WIDE)x[at] : sum + (WIDE)x[at];                                            \
                y[at] = (T)(how->exclusive ? before : sum);                                                            \
            }                                                                                                          \
        }                                                                                                              \
    }
#define RUNNING_INTEGER(dtype, T) RUNNING(T, uint64_t)
TYPES_INTEGER(RUNNING_INTEGER)
RUNNING(float, double)
RUNNING(double, double)

static bool cumsum_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct cumsum_priv *priv = step->priv;
    const struct tensor *x = step->in[0];
    int axis;
    if (!cumsum_axis(step, &axis, err)) {
        if (err)
            err->code = ERR_DATA; /* of an axis that was not known before */
        return false;
    }
    int64_t n = x->dims[axis], inner = tensor_span(x, axis + 1, x->rank);
    int64_t lines = tensor_span(x, 0, axis) * inner;
    for (int64_t i = 0; i < lines && op_spend(env, 1); i++) {
        int64_t at = i / inner * n * inner + i % inner;
        switch (x->dtype) {
#define CASE(dtype, T)                                                                                                 \
    case dtype:                                                                                                        \
        running_##T(env, (T *)step->out[0]->data + at, (const T *)x->data + at, n, inner, priv);                       \
        break;
            TYPES_NUMBER(CASE)
#undef CASE
        default:
            break;
        }
    }
    return true;
}

static void cumsum_batch(struct batch_view *view)
{
    int axis;
    if (view->many->in[1]->data && cumsum_axis(view->many, &axis, NULL))
        batch_axis_but(view, axis);
    else
        batch_axis_mixes(view, "adds along an axis that is not known");
}

const struct op_rule op_cum_sum = {
    .check = cumsum_check, .shape = cumsum_shape, .run = cumsum_run, .batch = cumsum_batch};
const struct op_rule op_cum_prod = {
    .check = cumsum_check, .shape = cumsum_shape, .run = cumsum_run, .batch = cumsum_batch, .variant = 1};
