/*
 * linear.c - ai.onnx.ml's LinearClassifier and LinearRegressor: scikit-learn's logistic
 * regressions, perceptrons, linear support vector machines and least squares.
 *
 * Both are a product with a constant matrix, which lies in attributes, [rows,F], and is packed as
 * Gemm's is: [intercepts][matrix]. Then the scores of a row are transformed, and a classifier says
 * which label is first among the largest, before they are.
 *
 * A classifier of one row of coefficients and two labels decides between them by the score's sign,
 * and gives both a column: 1 - s and s, after LOGISTIC; softmaxes leave a score alone that has
 * nothing beside it. ONNX does not say so, ONNX Runtime does it, and files rely on that. PROBIT is
 * what its name says, the inverse of the normal distribution: of a probability, NaN elsewhere.
 *
 * Rows are split over the team; a row's bits depend on nothing but it. Thread: loader, then the
 * session's holder.
 */
#include <math.h>
#include <string.h>

#include "op/attr.h"
#include "op/batch_axis.h"
#include "op/cast.h"
#include "op/types.h"
#include "op/weights.h"

#define LINEAR_ROWS 24 /* of one piece of work */

enum transform { TRANSFORM_NONE, TRANSFORM_SOFTMAX, TRANSFORM_LOGISTIC, TRANSFORM_SOFTMAX_ZERO, TRANSFORM_PROBIT };

struct linear {
    const float *coefficients; /* [rows][features] */
    const float *intercepts;   /* [rows] or NULL */
    int64_t rows, features;
    int transform;
    bool classifies;
    bool two; /* of one row's score: columns for both labels */
    enum percept_dtype label_dtype;
    const void *labels; /* [rows], or two of one row */
};

/* --- check -------------------------------------------------------------------------------------------------------- */

static bool read_weights(struct node_ctx *ctx, struct linear *linear, int64_t rows, struct percept_err *err)
{
    static const char *const transforms[] = {"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT", NULL};
    int n, n_intercepts;
    if (!op_arity(ctx, 1, 1, linear->classifies ? 2 : 1, err) ||
        !attr_floats(ctx, "coefficients", &linear->coefficients, &n, err) ||
        !attr_floats(ctx, "intercepts", &linear->intercepts, &n_intercepts, err) ||
        !attr_choice(ctx, "post_transform", TRANSFORM_NONE, transforms, &linear->transform, err))
        return false;
    linear->rows = linear->classifies && n_intercepts ? n_intercepts : rows;
    if (n == 0 || linear->rows < 1 || n % linear->rows != 0)
        return err_set(err, ERR_MODEL,
                       OP_AT "attribute 'coefficients' has %d values for %lld rows of scores; as many "
                             "for each would work",
                       OP_NODE(ctx->node), n, (long long)linear->rows);
    if (n_intercepts && n_intercepts != linear->rows)
        return err_set(err, ERR_MODEL, OP_AT "attribute 'intercepts' has %d values for %lld rows of scores",
                       OP_NODE(ctx->node), n_intercepts, (long long)linear->rows);
    linear->features = n / linear->rows;
    linear->intercepts = n_intercepts ? linear->intercepts : NULL;
    return true;
}

static bool regressor_check(struct node_ctx *ctx, struct percept_err *err)
{
    int64_t targets;
    struct linear *linear = op_priv(ctx, sizeof *linear, err);
    return linear && attr_int_in(ctx, "targets", 1, 1, INT32_MAX, &targets, err) &&
           read_weights(ctx, linear, targets, err);
}

/* Labels are as many as rows, or two of one row. */
static bool classifier_check(struct node_ctx *ctx, struct percept_err *err)
{
    const struct percept_string *texts;
    const int64_t *ints;
    int n_texts, n_ints;
    struct linear *linear = op_priv(ctx, sizeof *linear, err);
    if (!linear || !attr_texts(ctx, "classlabels_strings", &texts, &n_texts, err) ||
        !attr_ints(ctx, "classlabels_ints", &ints, &n_ints, err))
        return false;
    const int n = n_texts ? n_texts : n_ints;
    linear->classifies = true;
    linear->label_dtype = n_texts ? PERCEPT_STRING : PERCEPT_INT64;
    linear->labels = n_texts ? (const void *)texts : ints;
    if (!read_weights(ctx, linear, n, err))
        return false;
    linear->two = linear->rows == 1 && n == 2;
    if (linear->two || n == linear->rows)
        return true;
    return err_set(err, ERR_MODEL,
                   OP_AT "it has %d labels for %lld rows of scores; as many, or two for one, would work",
                   OP_NODE(ctx->node), n, (long long)linear->rows);
}

/* --- pack --------------------------------------------------------------------------------------------------------- */

static size_t intercept_bytes(const struct linear *linear)
{
    return linear->intercepts ? weights_round((size_t)linear->rows * sizeof(float)) : 0;
}

static size_t linear_pack_bytes(const struct node_ctx *ctx)
{
    const struct linear *linear = ctx->node->priv;
    return intercept_bytes(linear) + ctx->kernels->gemm->pack_bytes(linear->features, linear->rows);
}

static void linear_pack(const struct node_ctx *ctx, void *packed)
{
    const struct linear *linear = ctx->node->priv;
    if (linear->intercepts)
        memcpy(packed, linear->intercepts, (size_t)linear->rows * sizeof(float));
    ctx->kernels->gemm->pack((char *)packed + intercept_bytes(linear), linear->coefficients, linear->features,
                             linear->rows, 1, linear->features, NULL);
}

/* --- shape -------------------------------------------------------------------------------------------------------- */

struct linear_plan {
    int64_t samples, columns;
    size_t scores_at; /* in scratch, of a classifier whose scores nobody wants */
};

static bool linear_shape(struct step *step, struct percept_err *err)
{
    const struct linear *linear = step->priv;
    const struct tensor *x = step->in[0];
    const enum percept_dtype dtype = x->dtype;
    struct linear_plan *plan = arena_alloc(step->arena, sizeof *plan);
    if (!plan)
        return err_memory(err, "a linear model's plan", sizeof *plan);
    if (!types_feature(dtype))
        return err_set(err, ERR_UNSUPPORTED, OP_AT "the input is %s; float32, float64, int32 and int64 would work",
                       OP_NODE(step->node), tensor_dtype_name(dtype));
    char text[128];
    if (x->rank < 1 || x->rank > 2 || x->dims[x->rank - 1] != linear->features)
        return err_set(err, ERR_INVALID, OP_AT "the input has shape %s; its coefficients take [N,%lld]",
                       OP_NODE(step->node), tensor_shape_text(x->rank, x->dims, text, sizeof text),
                       (long long)linear->features);
    *plan = (struct linear_plan){.samples = x->rank == 1 ? 1 : x->dims[0], .columns = linear->two ? 2 : linear->rows};
    step->state = plan;
    size_t floats = dtype == PERCEPT_FLOAT ? 0 : (size_t)tensor_elements(x);
    plan->scores_at = weights_round(floats * sizeof(float));
    if (linear->classifies)
        op_set_out(step, 0, linear->label_dtype, 1, &plan->samples);
    const int scores = linear->classifies ? 1 : 0;
    if (step->n_out > scores)
        op_set_out(step, scores, PERCEPT_FLOAT, 2, (int64_t[]){plan->samples, plan->columns});
    struct tensor unwanted = {.dtype = PERCEPT_FLOAT, .rank = 2, .dims = {plan->samples, plan->columns}};
    size_t n_bytes = 0;
    if (step->n_out <= scores && !tensor_bytes(&unwanted, 1, &n_bytes))
        return err_set(err, ERR_INVALID, OP_AT "its scores are larger than memory can be", OP_NODE(step->node));
    step->scratch_bytes = plan->scores_at + n_bytes;
    step->flops = 2 * (double)plan->samples * (double)linear->features * (double)linear->rows;
    return true;
}

/* --- run ---------------------------------------------------------------------------------------------------------- */

static float logistic(float x)
{
    return (float)(1 / (1 + exp(-(double)x)));
}

/* sqrt(2) erf^-1(2 p - 1): Winitzki's approximation (2008) as the start of Newton's iteration. */
static float probit(float p)
{
    const double y = 2 * (double)p - 1;
    if (!(y > -1 && y < 1))
        return y == 1 ? INFINITY : y == -1 ? -INFINITY : NAN;
    const double log_term = log((1 - y) * (1 + y)), half = 2 / (M_PI * 0.147) + log_term / 2;
    double x = copysign(sqrt(sqrt(half * half - log_term / 0.147) - half), y);
    for (int i = 0; i < 3; i++)
        x -= (erf(x) - y) * sqrt(M_PI) / 2 * exp(x * x);
    return (float)(M_SQRT2 * x);
}

/* SOFTMAX_ZERO leaves out what is 0: it stays 0. */
static void softmax_row(float *row, int64_t n, bool zero)
{
    double most = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++)
        most = (double)row[i] > most ? (double)row[i] : most;
    for (int64_t i = 0; i < n; i++)
        if (!zero || fabsf(row[i]) > 1e-7f)
            sum += exp((double)row[i] - most);
    for (int64_t i = 0; i < n; i++)
        if (!zero || fabsf(row[i]) > 1e-7f)
            row[i] = (float)(exp((double)row[i] - most) / sum);
        else
            row[i] = 0;
}

static void transform_row(float *row, int64_t n, enum transform transform)
{
    switch (transform) {
    case TRANSFORM_SOFTMAX:
    case TRANSFORM_SOFTMAX_ZERO:
        if (n > 1)
            softmax_row(row, n, transform == TRANSFORM_SOFTMAX_ZERO);
        break;
    case TRANSFORM_LOGISTIC:
        for (int64_t i = 0; i < n; i++)
            row[i] = logistic(row[i]);
        break;
    case TRANSFORM_PROBIT:
        for (int64_t i = 0; i < n; i++)
            row[i] = probit(row[i]);
        break;
    case TRANSFORM_NONE:
        break;
    }
}

/* The first of the largest; of one score its sign. */
static int64_t label_index(const struct linear *linear, const float *scores)
{
    if (linear->rows == 1)
        return linear->two && scores[0] > 0;
    int64_t best = 0;
    for (int64_t i = 1; i < linear->rows; i++)
        if (scores[i] > scores[best])
            best = i;
    return best;
}

static float *scores_of(const struct step *step)
{
    const struct linear_plan *plan = step->state;
    const struct linear *linear = step->priv;
    const int scores = linear->classifies ? 1 : 0;
    return step->n_out > scores ? step->out[scores]->data : (float *)(void *)((char *)step->scratch + plan->scores_at);
}

static void linear_rows(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const struct linear *linear = step->priv;
    const struct linear_plan *plan = step->state;
    const struct tensor *x = step->in[0];
    const float *a = x->data;
    if (x->dtype != PERCEPT_FLOAT) {
        a = step->scratch;
        cast_numbers(PERCEPT_FLOAT, (float *)step->scratch + from * linear->features, x->dtype,
                     (const char *)x->data + (size_t)(from * linear->features) * tensor_dtype_bytes(x->dtype),
                     (to - from) * linear->features);
    }
    const struct epilogue epilogue = {.bias = linear->intercepts ? step->packed : NULL};
    float *row = scores_of(step) + from * plan->columns;
    step->kernels->gemm->run(to - from, linear->rows, linear->features, a + from * linear->features, linear->features,
                             (const char *)step->packed + intercept_bytes(linear), row + (linear->two ? 1 : 0),
                             plan->columns, &epilogue, 0, linear->rows);
    for (int64_t i = from; i < to; i++, row += plan->columns) {
        float *scores = row + (linear->two ? 1 : 0);
        if (linear->classifies) {
            const size_t size = tensor_dtype_bytes(linear->label_dtype);
            memcpy((char *)step->out[0]->data + (size_t)i * size,
                   (const char *)linear->labels + (size_t)label_index(linear, scores) * size, size);
        }
        transform_row(scores, linear->rows, (enum transform)linear->transform);
        if (linear->two)
            row[0] = 1 - row[1];
    }
}

static bool linear_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct linear_plan *plan = step->state;
    team_split(env->team, plan->samples, LINEAR_ROWS, linear_rows, step);
    return true;
}

static void linear_batch(struct batch_view *view)
{
    struct batch_place place;
    if (batch_axis_first(view, &place) && view->many->in[0]->rank == 2 && place.axis == 0)
        batch_axis_all(view, place);
}

const struct op_rule op_linear_classifier = {.check = classifier_check,
                                             .pack_bytes = linear_pack_bytes,
                                             .pack = linear_pack,
                                             .shape = linear_shape,
                                             .run = linear_run,
                                             .batch = linear_batch};
const struct op_rule op_linear_regressor = {.check = regressor_check,
                                            .pack_bytes = linear_pack_bytes,
                                            .pack = linear_pack,
                                            .shape = linear_shape,
                                            .run = linear_run,
                                            .batch = linear_batch};
