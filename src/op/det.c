/*
 * det.c - Det: the determinants of square matrices, one number each.
 *
 * Gaussian elimination with partial pivoting, in double also where the matrix is of floats, on a copy in
 * scratch: each member of the team has its own. A column whose rest is zero adds its zero to the product
 * and is passed over, so that a NaN further on is not lost. A matrix without elements has determinant 1.
 *
 * Thread: loader, then the session's holder with its team.
 */
#include "op/batch_axis.h"
#include "op/cast.h"
#include "op/op.h"

#include <math.h>

#define DET_MISS_UNITS 4 /* an element of another row, in watch_spend's units */

static bool det_check(struct node_ctx *ctx, struct percept_err *err)
{
    return op_arity(ctx, 1, 1, 1, err);
}

static bool det_shape(struct step *step, struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    const int64_t n = x->rank > 1 ? x->dims[x->rank - 1] : 0;
    int64_t n_bytes = 0;
    char text[128];
    if (!op_want_real(step, 0, err))
        return false;
    if (x->rank < 2 || x->dims[x->rank - 2] != n)
        return err_set(err, ERR_INVALID, OP_AT "shape %s is no list of square matrices", OP_NODE(step->node),
                       tensor_shape_text(x->rank, x->dims, text, sizeof text));
    op_set_out(step, 0, x->dtype, x->rank - 2, x->dims);
    if (tensor_elements(x) > 0 && (__builtin_mul_overflow(n * n, (int64_t)sizeof(double), &n_bytes) ||
                                   __builtin_mul_overflow(n_bytes, step->members > 0 ? step->members : 1, &n_bytes)))
        return err_set(err, ERR_INVALID, OP_AT "the matrices are too large", OP_NODE(step->node));
    step->scratch_bytes = (size_t)n_bytes;
    step->flops = (double)tensor_elements(x) * (double)n * 2 / 3;
    return true;
}

/* a: [n][n], overwritten. Anything once the watch is over. */
static double determinant(double *a, int64_t n, struct op_share *share)
{
    double product = 1;
    for (int64_t k = 0; k < n && op_share_spend(share, n * DET_MISS_UNITS); k++) {
        double *top = a + k * n, *best = top;
        for (double *row = top + n; row < a + n * n; row += n)
            best = fabs(row[k]) > fabs(best[k]) ? row : best;
        for (int64_t j = k; best != top && j < n; j++) { /* one sign instead of a swap's */
            const double held = top[j];
            top[j] = best[j];
            best[j] = -held;
        }
        product *= top[k];
        for (double *row = top + n; top[k] != 0 && row < a + n * n && op_share_spend(share, n - k); row += n) {
            const double factor = row[k] / top[k];
            for (int64_t j = k + 1; j < n; j++)
                row[j] -= factor * top[j];
        }
    }
    return product;
}

static void det_matrices(void *arg, int64_t from, int64_t to, int member)
{
    struct op_share share = *(const struct op_share *)arg;
    const struct step *step = share.step;
    const struct tensor *x = step->in[0], *out = step->out[0];
    const int64_t n = x->dims[x->rank - 1];
    const size_t size = tensor_dtype_bytes(x->dtype);
    double *copy = n > 0 ? (double *)step->scratch + member * n * n : NULL;
    for (int64_t i = from; i < to; i++) {
        for (int64_t row = 0; row < n && op_share_spend(&share, n); row++)
            cast_numbers(PERCEPT_DOUBLE, copy + row * n, x->dtype,
                         (const char *)x->data + (size_t)((i * n + row) * n) * size, n);
        const double product = n > 0 ? determinant(copy, n, &share) : 1;
        cast_numbers(x->dtype, (char *)out->data + (size_t)i * size, PERCEPT_DOUBLE, &product, 1);
    }
}

static bool det_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    struct op_share share = op_share(step, env);
    team_split(env->team, tensor_elements(step->out[0]), 1, det_matrices, &share);
    return true;
}

const struct op_rule op_det = {.check = det_check, .shape = det_shape, .run = det_run, .batch = batch_axis_matrices};
