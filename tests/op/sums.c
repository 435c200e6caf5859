/* sums.c - reductions that are cut into slabs and columns, against double. */
#include "op/sums.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

static float value(int64_t i)
{
    return 1700 + (float)(((uint32_t)i * 2654435761u) >> 8) / 8388608.0f - 1;
}

/* At most 1e-6 of the sum of the absolute terms, which here is the sum (kernel.h promises 4 roundings, and there are
 * two levels). */
static void check_sums(enum reduce op, enum sums_finish finish, int64_t outer, int64_t n, int64_t inner)
{
    const struct kernels *kernels = pick_best();
    const struct sums sums = {op, finish, outer, n, inner};
    float *x = calloc((size_t)(outer * n * inner) + 16, sizeof *x),
          *y = calloc((size_t)(outer * inner) + 16, sizeof *y);
    float *scratch = calloc(1, sums_scratch_bytes(&sums) + 64);
    ck_assert(x && y && scratch);
    for (int64_t i = 0; i < outer * n * inner; i++)
        x[i] = value(i);
    sums_run(&sums, kernels, NULL, x, y, scratch);
    for (int64_t at = 0; at < outer * inner; at += 1 + inner / 7) {
        const float *first = x + at / inner * n * inner + at % inner;
        double want = op == REDUCE_MAX ? -INFINITY : 0;
        for (int64_t i = 0; i < n; i++) {
            const double v = (double)first[i * inner];
            want = op == REDUCE_MAX ? fmax(want, v) : want + (op == REDUCE_SUM_SQUARE ? v * v : v);
        }
        want = finish == SUMS_MEAN        ? want / (double)n
               : finish == SUMS_ROOT      ? sqrt(want)
               : finish == SUMS_LOGARITHM ? log(want)
                                          : want;
        ck_assert_msg(fabs((double)y[at] - want) <= (op == REDUCE_MAX ? 0 : 1e-6 * want),
                      "%d of [%ld][%ld][%ld]: %.9g, want %.9g", (int)op, (long)outer, (long)n, (long)inner,
                      (double)y[at], want);
    }
    free(x);
    free(y);
    free(scratch);
}

START_TEST(long_and_wide_reductions)
{
    check_sums(REDUCE_SUM, SUMS_MEAN, 1, 10000003, 1); /* one line in slabs */
    check_sums(REDUCE_SUM_SQUARE, SUMS_ROOT, 2, 3000001, 1);
    check_sums(REDUCE_SUM, SUMS_MEAN, 1, 200001, 16);     /* lanes of a block */
    check_sums(REDUCE_L1, SUMS_AS_IT_IS, 1, 2500, 1999);  /* slabs and columns */
    check_sums(REDUCE_SUM, SUMS_LOGARITHM, 3, 7, 400001); /* columns */
    check_sums(REDUCE_MAX, SUMS_AS_IT_IS, 2, 1500000, 2);
    check_sums(REDUCE_SUM, SUMS_AS_IT_IS, 5, 3, 1);
}
END_TEST

/* A reduction of nothing is the neutral element. */
START_TEST(nothing_is_neutral)
{
    const struct sums sums = {REDUCE_MAX, SUMS_AS_IT_IS, 2, 0, 3};
    float y[6];
    ck_assert_uint_eq(sums_scratch_bytes(&sums), 0);
    sums_run(&sums, pick_best(), NULL, NULL, y, NULL);
    for (int i = 0; i < 6; i++)
        ck_assert(isinf(y[i]) && y[i] < 0);
}
END_TEST

Suite *op_sums_suite(void);

Suite *op_sums_suite(void)
{
    Suite *suite = suite_create("op/sums");
    TCase *tests = tcase_create("sums");
    tcase_add_test(tests, long_and_wide_reductions);
    tcase_add_test(tests, nothing_is_neutral);
    suite_add_tcase(suite, tests);
    return suite;
}
