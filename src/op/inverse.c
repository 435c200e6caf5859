/*
 * inverse.c - com.microsoft's Inverse: matrices turned round.
 *
 * Gauss-Jordan elimination with partial pivoting on [a | 1], in double also where the matrix is of floats, on a
 * copy in scratch: each member of the team has its own. A matrix that has no inverse gives infinities and NaN,
 * which is what dividing by its zero pivot makes.
 *
 * Thread: the session's holder with its team. Source: com.microsoft's operator documentation, Inverse (1); Golub
 * and Van Loan, Matrix Computations, 3.4.
 */
#include "op/batch_axis.h"
#include "op/cast.h"
#include "op/op.h"

#include <math.h>
#include <string.h>

#define INVERSE_MISS_UNITS 4 /* an element of another row, in watch_spend's units */

static bool inverse_check(struct node_ctx *ctx, struct percept_err *err)
{
    return op_arity(ctx, 1, 1, 1, err);
}

static bool inverse_shape(struct step *step, struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    const int64_t n = x->rank > 1 ? x->dims[x->rank - 1] : 0;
    const struct tensor work = {.dtype = PERCEPT_DOUBLE, .rank = 3, .dims = {step->members, n, 2 * n}};
    char text[128];
    if (!op_want_real(step, 0, err))
        return false;
    if (x->rank < 2 || x->dims[x->rank - 2] != n)
        return err_set(err, ERR_INVALID, OP_AT "shape %s is no list of square matrices", OP_NODE(step->node),
                       tensor_shape_text(x->rank, x->dims, text, sizeof text));
    op_set_out(step, 0, x->dtype, x->rank, x->dims);
    if (tensor_elements(x) > 0 && !tensor_bytes(&work, 1, &step->scratch_bytes))
        return err_set(err, ERR_INVALID, OP_AT "the matrices are too large", OP_NODE(step->node));
    step->flops = 2.0 * (double)tensor_elements(x) * (double)n;
    return true;
}

static void swap_rows(double *a, double *b, int64_t n)
{
    for (int64_t j = 0; a != b && j < n; j++) {
        const double held = a[j];
        a[j] = b[j];
        b[j] = held;
    }
}

/* a: [n][2 n], the right half the unit matrix: becomes the inverse there, or anything once the watch is over. */
static void turn_round(double *a, int64_t n, struct op_share *share)
{
    const int64_t row_step = 2 * n;
    for (int64_t k = 0; k < n && op_share_spend(share, n * INVERSE_MISS_UNITS); k++) {
        double *top = a + k * row_step, *best = top;
        for (double *row = top; row < a + n * row_step; row += row_step)
            best = fabs(row[k]) > fabs(best[k]) ? row : best;
        swap_rows(top, best, row_step);
        const double pivot = top[k];
        for (int64_t j = k; j < row_step; j++)
            top[j] /= pivot;
        for (double *row = a; row < a + n * row_step && op_share_spend(share, row_step - k); row += row_step) {
            const double factor = row[k];
            for (int64_t j = k; row != top && j < row_step; j++)
                row[j] -= factor * top[j];
        }
    }
}

static void inverse_matrices(void *arg, int64_t from, int64_t to, int member)
{
    struct op_share share = *(const struct op_share *)arg;
    const struct step *step = share.step;
    const struct tensor *x = step->in[0];
    const int64_t n = x->dims[x->rank - 1];
    const size_t row_bytes = (size_t)n * tensor_dtype_bytes(x->dtype);
    double *a = (double *)step->scratch + member * n * 2 * n;
    for (int64_t i = from; i < to; i++) {
        for (int64_t r = 0; r < n && op_share_spend(&share, 2 * n); r++) {
            memset(a + r * 2 * n, 0, (size_t)(2 * n) * sizeof *a);
            cast_numbers(PERCEPT_DOUBLE, a + r * 2 * n, x->dtype,
                         (const char *)x->data + (size_t)(i * n + r) * row_bytes, n);
            a[r * 2 * n + n + r] = 1;
        }
        turn_round(a, n, &share);
        for (int64_t r = 0; r < n && op_share_spend(&share, n); r++)
            cast_numbers(x->dtype, (char *)step->out[0]->data + (size_t)(i * n + r) * row_bytes, PERCEPT_DOUBLE,
                         a + r * 2 * n + n, n);
    }
}

static bool inverse_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct tensor *x = step->in[0];
    struct op_share share = op_share(step, env);
    team_split(env->team, tensor_span(x, 0, x->rank - 2), 1, inverse_matrices, &share);
    return true;
}

const struct op_rule op_inverse = {
    .check = inverse_check, .shape = inverse_shape, .run = inverse_run, .batch = batch_axis_matrices};
