/*
 * feature.c - ai.onnx.ml's operators on tables of features, as scikit-learn's preprocessing becomes
 * ONNX: Scaler, Imputer, Binarizer, Normalizer, FeatureVectorizer, ArrayFeatureExtractor.
 *
 * A table is [N,F], a row for each sample; [F] alone is one sample. Where a parameter comes once
 * per feature the input must be such a table; where it comes once for all, any shape does.
 * Arithmetic is done in double and rounded once, so that integers and doubles lose nothing before
 * they become float.
 *
 * What ONNX leaves open is as ONNX Runtime has it, which scikit-learn's converters are tested with:
 * L1 sums absolute values, MAX does not, and a row whose divisor is 0 stays as it is.
 *
 * Threads: loader, then the session's holder with its team, which takes rows or ranges of elements.
 */
#include <math.h>
#include <string.h>

#include "op/attr.h"
#include "op/batch_axis.h"
#include "op/cast.h"
#include "op/types.h"
#include "op/walk.h"

static bool want_feature(const struct step *step, int i, struct percept_err *err)
{
    const enum percept_dtype dtype = step->in[i]->dtype;
    return types_feature(dtype) ||
           err_set(err, ERR_UNSUPPORTED, OP_AT "input %d is %s; float32, float64, int32 and int64 would work",
                   OP_NODE(step->node), i, tensor_dtype_name(dtype));
}

/* Columns of [N,F] or [F]; 0 for other shapes. */
static int64_t columns_of(const struct tensor *x)
{
    return x->rank == 1 || x->rank == 2 ? x->dims[x->rank - 1] : 0;
}

/* `n` values of an attribute: one for all elements, or one for each column. */
static bool fits_columns(const struct step *step, const char *name, int n, struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    char text[128];
    if (n == 1 || ((x->rank == 1 || x->rank == 2) && n == columns_of(x)))
        return true;
    return err_set(err, ERR_INVALID,
                   OP_AT "attribute '%s' has %d values for an input of shape %s; one for all, or one "
                         "for each column of [N,F] would work",
                   OP_NODE(step->node), name, n, tensor_shape_text(x->rank, x->dims, text, sizeof text));
}

/* A table whose rows are looked at whole. */
static bool want_table(const struct step *step, int i, struct percept_err *err)
{
    const struct tensor *x = step->in[i];
    if (x->rank == 1 || x->rank == 2)
        return true;
    char text[128];
    return err_set(err, ERR_INVALID, OP_AT "input %d has shape %s; [N,F] and [F] would work", OP_NODE(step->node), i,
                   tensor_shape_text(x->rank, x->dims, text, sizeof text));
}

static int64_t rows_of(const struct tensor *x)
{
    return x->rank == 1 ? 1 : x->dims[0];
}

/* Rows that are worth a member of the team. */
static int64_t row_grain(int64_t columns)
{
    return columns > 0 && columns < WALK_GRAIN ? WALK_GRAIN / columns : 1;
}

/* --- Scaler ------------------------------------------------------------------------------------------------------- */

struct scaler {
    const float *offset, *scale;
    int n_offset, n_scale; /* 1: for all columns */
};

static bool scaler_check(struct node_ctx *ctx, struct percept_err *err)
{
    static const float zero = 0, one = 1;
    struct scaler *priv = op_priv(ctx, sizeof *priv, err);
    if (!priv || !op_arity(ctx, 1, 1, 1, err) || !attr_floats(ctx, "offset", &priv->offset, &priv->n_offset, err) ||
        !attr_floats(ctx, "scale", &priv->scale, &priv->n_scale, err))
        return false;
    if (!priv->n_offset) {
        priv->offset = &zero;
        priv->n_offset = 1;
    }
    if (!priv->n_scale) {
        priv->scale = &one;
        priv->n_scale = 1;
    }
    return true;
}

static bool scaler_shape(struct step *step, struct percept_err *err)
{
    const struct scaler *priv = step->priv;
    const struct tensor *x = step->in[0];
    if (!want_feature(step, 0, err) || !fits_columns(step, "offset", priv->n_offset, err) ||
        !fits_columns(step, "scale", priv->n_scale, err))
        return false;
    op_set_out(step, 0, PERCEPT_FLOAT, x->rank, x->dims);
    step->flops = 2 * (double)tensor_elements(x);
    return true;
}

#define SCALE(type, T)                                                                                                 \
    case type: {                                                                                                       \
        const T *x = step->in[0]->data;                                                                                \
        for (int64_t i = from; i < to; i++, c = c + 1 == columns ? 0 : c + 1)                                          \
            y[i] = (float)(((double)x[i] - (double)priv->offset[each_offset ? c : 0]) *                                \
                           (double)priv->scale[each_scale ? c : 0]);                                                   \
        break;                                                                                                         \
    }

static void scaler_range(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const struct scaler *priv = step->priv;
    const bool each_offset = priv->n_offset > 1, each_scale = priv->n_scale > 1;
    const int64_t columns = columns_of(step->in[0]);
    int64_t c = columns ? from % columns : 0;
    float *y = step->out[0]->data;
    switch (step->in[0]->dtype) {
        TYPES_FEATURE(SCALE)
    default:
        break;
    }
}

static bool scaler_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    team_split(env->team, tensor_elements(step->in[0]), WALK_GRAIN, scaler_range, step);
    return true;
}

const struct op_rule op_scaler = {
    .check = scaler_check, .shape = scaler_shape, .run = scaler_run, .batch = batch_axis_elements};

/* --- Imputer ------------------------------------------------------------------------------------------------------ */

struct imputer {
    const float *floats; /* what is put in: of floats and doubles, of integers */
    const int64_t *ints;
    int n_floats, n_ints;
    float replaced_float; /* what is replaced; NaN is itself */
    int64_t replaced_int;
};

static bool imputer_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct imputer *priv = op_priv(ctx, sizeof *priv, err);
    return priv && op_arity(ctx, 1, 1, 1, err) &&
           attr_floats(ctx, "imputed_value_floats", &priv->floats, &priv->n_floats, err) &&
           attr_ints(ctx, "imputed_value_int64s", &priv->ints, &priv->n_ints, err) &&
           attr_float(ctx, "replaced_value_float", 0, &priv->replaced_float, err) &&
           attr_int(ctx, "replaced_value_int64", 0, &priv->replaced_int, err);
}

static bool imputer_shape(struct step *step, struct percept_err *err)
{
    const struct imputer *priv = step->priv;
    const struct tensor *x = step->in[0];
    if (!want_feature(step, 0, err))
        return false;
    const bool real = types_real(x->dtype);
    if (!fits_columns(step, real ? "imputed_value_floats" : "imputed_value_int64s",
                      real ? priv->n_floats : priv->n_ints, err))
        return false;
    op_set_out(step, 0, x->dtype, x->rank, x->dims);
    step->inplace = 1;
    return true;
}

#define IMPUTE(type, T, is_missing, values, n)                                                                         \
    case type: {                                                                                                       \
        const T *x = step->in[0]->data;                                                                                \
        T *y = step->out[0]->data;                                                                                     \
        for (int64_t i = from; i < to; i++, c = c + 1 == columns ? 0 : c + 1)                                          \
            y[i] = is_missing ? (T)(values)[(n) > 1 ? c : 0] : x[i];                                                   \
        break;                                                                                                         \
    }

static void imputer_range(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const struct imputer *priv = step->priv;
    const float real = priv->replaced_float;
    const int64_t whole = priv->replaced_int, columns = columns_of(step->in[0]);
    const bool nans = isnan(real);
    int64_t c = columns ? from % columns : 0;
    switch (step->in[0]->dtype) {
        IMPUTE(PERCEPT_FLOAT, float, (x[i] == real || (nans && isnan(x[i]))), priv->floats, priv->n_floats)
        IMPUTE(PERCEPT_DOUBLE, double, (x[i] == (double)real || (nans && isnan(x[i]))), priv->floats, priv->n_floats)
        IMPUTE(PERCEPT_INT32, int32_t, (x[i] == whole), priv->ints, priv->n_ints)
        IMPUTE(PERCEPT_INT64, int64_t, (x[i] == whole), priv->ints, priv->n_ints)
    default:
        break;
    }
}

static bool imputer_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    team_split(env->team, tensor_elements(step->in[0]), WALK_GRAIN, imputer_range, step);
    return true;
}

const struct op_rule op_imputer = {.check = imputer_check,
                                   .shape = imputer_shape,
                                   .run = imputer_run,
                                   .batch = batch_axis_elements,
                                   .flags = OP_EXACT};

/* --- Binarizer ---------------------------------------------------------------------------------------------------- */

struct binarizer {
    float threshold;
};

static bool binarizer_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct binarizer *priv = op_priv(ctx, sizeof *priv, err);
    return priv && op_arity(ctx, 1, 1, 1, err) && attr_float(ctx, "threshold", 0, &priv->threshold, err);
}

static bool binarizer_shape(struct step *step, struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    if (!want_feature(step, 0, err))
        return false;
    op_set_out(step, 0, x->dtype, x->rank, x->dims);
    step->inplace = 1;
    return true;
}

#define BINARIZE(type, T)                                                                                              \
    case type:                                                                                                         \
        for (int64_t i = from; i < to; i++)                                                                            \
            ((T *)step->out[0]->data)[i] = (double)((const T *)step->in[0]->data)[i] > threshold;                      \
        break;

static void binarizer_range(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const struct binarizer *binarizer = step->priv;
    const double threshold = (double)binarizer->threshold;
    switch (step->in[0]->dtype) {
        TYPES_FEATURE(BINARIZE)
    default:
        break;
    }
}

static bool binarizer_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    team_split(env->team, tensor_elements(step->in[0]), WALK_GRAIN, binarizer_range, step);
    return true;
}

const struct op_rule op_binarizer = {.check = binarizer_check,
                                     .shape = binarizer_shape,
                                     .run = binarizer_run,
                                     .batch = batch_axis_elements,
                                     .flags = OP_EXACT};

/* --- Normalizer --------------------------------------------------------------------------------------------------- */

#define ROW_UNITS 2 /* an element of a row, in op_spend's units */

enum norm { NORM_MAX, NORM_L1, NORM_L2 };

struct normalizer {
    int norm;
};

static bool normalizer_check(struct node_ctx *ctx, struct percept_err *err)
{
    static const char *const norms[] = {"MAX", "L1", "L2", NULL};
    struct normalizer *priv = op_priv(ctx, sizeof *priv, err);
    return priv && op_arity(ctx, 1, 1, 1, err) && attr_choice(ctx, "norm", NORM_MAX, norms, &priv->norm, err);
}

static bool normalizer_shape(struct step *step, struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    if (!want_feature(step, 0, err) || !want_table(step, 0, err))
        return false;
    op_set_out(step, 0, PERCEPT_FLOAT, x->rank, x->dims);
    step->flops = 3 * (double)tensor_elements(x);
    return true;
}

/* The divisor of a row. */
#define MEASURE(type, T)                                                                                               \
    case type: {                                                                                                       \
        const T *x = (const T *)step->in[0]->data + at;                                                                \
        for (op_share_blocks(share, n, ROW_UNITS, from, to)) {                                                         \
            for (int64_t i = from; i < to; i++) {                                                                      \
                const double v = (double)x[i];                                                                         \
                sum += norm == NORM_L2 ? v * v : fabs(v);                                                              \
                most = v > most ? v : most;                                                                            \
            }                                                                                                          \
        }                                                                                                              \
        break;                                                                                                         \
    }

static double measured(struct op_share *share, enum norm norm, int64_t at, int64_t n)
{
    const struct step *step = share->step;
    double sum = 0, most = -INFINITY;
    switch (step->in[0]->dtype) {
        TYPES_FEATURE(MEASURE)
    default:
        break;
    }
    return norm == NORM_MAX ? most : norm == NORM_L2 ? sqrt(sum) : sum;
}

#define DIVIDE(type, T)                                                                                                \
    case type: {                                                                                                       \
        const T *x = (const T *)step->in[0]->data + at;                                                                \
        for (op_share_blocks(&share, n, ROW_UNITS, first, end)) {                                                      \
            for (int64_t i = first; i < end; i++)                                                                      \
                y[i] = (float)((double)x[i] / by);                                                                     \
        }                                                                                                              \
        break;                                                                                                         \
    }

static void normalizer_rows(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    struct op_share share = *(const struct op_share *)arg;
    const struct step *step = share.step;
    const struct normalizer *priv = step->priv;
    const int64_t n = columns_of(step->in[0]);
    for (int64_t at = from * n; at < to * n; at += n) {
        float *y = (float *)step->out[0]->data + at;
        double by = measured(&share, (enum norm)priv->norm, at, n);
        by = by == 0 ? 1 : by;
        switch (step->in[0]->dtype) {
            TYPES_FEATURE(DIVIDE)
        default:
            break;
        }
    }
}

static bool normalizer_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct tensor *x = step->in[0];
    struct op_share share = op_share(step, env);
    team_split(env->team, rows_of(x), row_grain(columns_of(x)), normalizer_rows, &share);
    return true;
}

static void normalizer_batch(struct batch_view *view)
{
    batch_axis_but(view, view->many->in[0]->rank - 1);
}

const struct op_rule op_normalizer = {
    .check = normalizer_check, .shape = normalizer_shape, .run = normalizer_run, .batch = normalizer_batch};

/* --- FeatureVectorizer -------------------------------------------------------------------------------------------- */

struct vectorizer {
    const int64_t *sizes; /* of each input's part of a row */
    int64_t total;
};

static bool vectorizer_check(struct node_ctx *ctx, struct percept_err *err)
{
    int n;
    struct vectorizer *priv = op_priv(ctx, sizeof *priv, err);
    if (!priv || !op_arity(ctx, 1, INT16_MAX, 1, err) || !attr_ints(ctx, "inputdimensions", &priv->sizes, &n, err))
        return false;
    if (n != ctx->node->n_in)
        return err_set(err, ERR_MODEL, OP_AT "attribute 'inputdimensions' has %d values for %d inputs",
                       OP_NODE(ctx->node), n, ctx->node->n_in);
    for (int i = 0; i < n; i++)
        if (ctx->node->in[i] < 0 || priv->sizes[i] < 0 || priv->sizes[i] > INT32_MAX)
            return err_set(err, ERR_MODEL, OP_AT "input %d is left out, or its size in 'inputdimensions' is %lld",
                           OP_NODE(ctx->node), i, (long long)priv->sizes[i]);
        else
            priv->total += priv->sizes[i];
    return true;
}

static bool vectorizer_shape(struct step *step, struct percept_err *err)
{
    const struct vectorizer *priv = step->priv;
    for (int i = 0; i < step->n_in; i++) {
        if (!want_feature(step, i, err))
            return false;
        if (step->in[i]->rank < 1 || rows_of(step->in[i]) != rows_of(step->in[0]))
            return err_set(err, ERR_INVALID, OP_AT "input %d has not as many rows as input 0", OP_NODE(step->node), i);
    }
    op_set_out(step, 0, PERCEPT_FLOAT, 2, (int64_t[]){rows_of(step->in[0]), priv->total});
    return true;
}

/* A longer input is cut, a shorter one is followed by zeros. */
static void vectorizer_rows(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const struct vectorizer *priv = step->priv;
    for (int64_t row = from; row < to; row++) {
        float *y = (float *)step->out[0]->data + row * priv->total;
        for (int i = 0; i < step->n_in; i++) {
            const struct tensor *x = step->in[i];
            const int64_t own = x->rank == 1 ? x->dims[0] : tensor_span(x, 1, x->rank), size = priv->sizes[i];
            const int64_t n = own < size ? own : size;
            cast_numbers(PERCEPT_FLOAT, y, x->dtype,
                         (const char *)x->data + row * own * (int64_t)tensor_dtype_bytes(x->dtype), n);
            step->kernels->map->fill(y + n, 0, size - n);
            y += size;
        }
    }
}

static bool vectorizer_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct vectorizer *priv = step->priv;
    team_split(env->team, step->out[0]->dims[0], row_grain(priv->total), vectorizer_rows, step);
    return true;
}

/* Rows of all inputs follow the batch. */
static void vectorizer_batch(struct batch_view *view)
{
    for (int i = 0; i < view->many->n_in; i++)
        if (view->many->in[i]->rank < 2 || view->in[i].word != BATCH_INDEPENDENT || view->in[i].axis != 0 ||
            !batch_axis_same_place(view->in[i], view->in[0]))
            return;
    batch_axis_all(view, view->in[0]);
}

const struct op_rule op_feature_vectorizer = {
    .check = vectorizer_check, .shape = vectorizer_shape, .run = vectorizer_run, .batch = vectorizer_batch};

/* --- ArrayFeatureExtractor ---------------------------------------------------------------------------------------- */

static bool extractor_check(struct node_ctx *ctx, struct percept_err *err)
{
    return op_arity(ctx, 2, 2, 1, err);
}

/* Columns of the last axis; a vector becomes [1,n]. */
static bool extractor_shape(struct step *step, struct percept_err *err)
{
    const struct tensor *x = step->in[0], *indices = step->in[1];
    int64_t dims[RANK_MAX] = {1};
    if (!op_want_dtype(step, 1, PERCEPT_INT64, err))
        return false;
    if (x->rank < 1)
        return err_set(err, ERR_INVALID, OP_AT "input 0 is a scalar; [F] and [N,F] would work", OP_NODE(step->node));
    const int rank = x->rank == 1 ? 2 : x->rank;
    if (x->rank > 1)
        memcpy(dims, x->dims, sizeof dims);
    dims[rank - 1] = tensor_elements(indices);
    op_set_out(step, 0, x->dtype, rank, dims);
    return true;
}

static void extractor_rows(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const struct tensor *x = step->in[0];
    const int64_t *indices = step->in[1]->data, n = tensor_elements(step->in[1]);
    const size_t size = tensor_dtype_bytes(x->dtype);
    const size_t row_bytes = (size_t)x->dims[x->rank - 1] * size;
    char *y = (char *)step->out[0]->data + (size_t)(from * n) * size;
    for (int64_t row = from; row < to; row++)
        for (int64_t i = 0; i < n; i++, y += size)
            memcpy(y, (const char *)x->data + (size_t)row * row_bytes + (size_t)indices[i] * size, size);
}

static bool extractor_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    const int64_t *indices = step->in[1]->data, n = tensor_elements(step->in[1]), columns = x->dims[x->rank - 1];
    for (int64_t i = 0; i < n; i++) {
        if (i % OP_BLOCK == 0 && !op_spend(env, OP_BLOCK))
            return true;
        if (indices[i] < 0 || indices[i] >= columns)
            return err_set(err, ERR_DATA, OP_AT "index %lld is outside [0, %lld]", OP_NODE(step->node),
                           (long long)indices[i], (long long)columns - 1);
    }
    team_split(env->team, tensor_span(x, 0, x->rank - 1), row_grain(n), extractor_rows, step);
    return true;
}

/* The same columns of each item, or columns of a table that each item names, which lie in a row. */
static void extractor_batch(struct batch_view *view)
{
    const struct tensor *x = view->many->in[0], *indices = view->many->in[1];
    const struct batch_place table = view->in[0], columns = view->in[1];
    if (table.word == BATCH_SAME && columns.word == BATCH_INDEPENDENT)
        batch_axis_all(view, batch_axis_at(x->rank == 1 ? 1 : x->rank - 1,
                                           columns.before * tensor_span(indices, 0, columns.axis)));
    else if (table.word == BATCH_INDEPENDENT && columns.word == BATCH_SAME && table.axis < x->rank - 1)
        batch_axis_all(view, table);
    else
        batch_axis_mixes(view, "takes some of the batch");
}

const struct op_rule op_array_feature_extractor = {
    .check = extractor_check, .shape = extractor_shape, .run = extractor_run, .batch = extractor_batch};
