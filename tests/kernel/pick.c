/*
 * pick.c - the table of levels is consistent, whatever this machine runs.
 */
#include "kernel/kernel.h"

#include <check.h>
#include <string.h>

START_TEST(best_row_is_the_first_that_runs)
{
    const struct kernels *const *level = pick_all();
    while (*level && !pick_runs(*level))
        level++;
    ck_assert_ptr_nonnull(*level);
    ck_assert_ptr_eq(pick_best(), *level);
}
END_TEST

START_TEST(base_runs_everywhere_and_stands_last)
{
    const struct kernels *last = NULL;
    for (const struct kernels *const *level = pick_all(); *level; level++)
        last = *level;
    ck_assert_ptr_eq(last, &kernels_base);
    ck_assert(pick_runs(&kernels_base));
    ck_assert_ptr_eq(pick_named("base"), &kernels_base);
}
END_TEST

START_TEST(names_are_those_of_the_rows_that_run)
{
    const char *const *name = pick_names();
    for (const struct kernels *const *level = pick_all(); *level; level++) {
        if (!pick_runs(*level)) {
            ck_assert_ptr_null(pick_named((*level)->name));
            continue;
        }
        ck_assert_ptr_nonnull(*name);
        ck_assert_str_eq(*name++, (*level)->name);
        ck_assert_ptr_eq(pick_named((*level)->name), *level);
    }
    ck_assert_ptr_null(*name);
}
END_TEST

START_TEST(unknown_names_give_nothing)
{
    ck_assert_ptr_null(pick_named("v5"));
    ck_assert_ptr_null(pick_named(""));
    ck_assert(!pick_runs(NULL));
}
END_TEST

START_TEST(rows_are_complete)
{
    for (const struct kernels *const *level = pick_all(); *level; level++) {
        const struct kernels *k = *level;
        ck_assert(k->width == 4 || k->width == 8 || k->width == 16);
        ck_assert_int_eq(k->gemm_step % k->width, 0);
        ck_assert(k->gemm_pack_bytes && k->gemm_pack && k->gemm && k->conv_choose && k->conv_name);
        ck_assert(k->conv_pack_bytes && k->conv_pack && k->conv_scratch_bytes && k->conv_units);
        ck_assert(k->conv_prepared_bytes && k->conv_prepare);
        ck_assert(k->conv_run && k->block && k->unblock && k->pool && k->unary && k->binary);
        ck_assert(k->binary_scalar && k->scalar_binary && k->binary_lanes && k->affine);
        ck_assert(k->affine_lanes && k->fill && k->reduce && k->softmax && k->moments);
        ck_assert(k->normalize != NULL);
        ck_assert(k->lstm_step && k->gru_gates && k->gru_step);
    }
}
END_TEST

Suite *kernel_pick_suite(void);

Suite *kernel_pick_suite(void)
{
    Suite *suite = suite_create("kernel/pick");
    TCase *tcase = tcase_create("pick");
    tcase_add_test(tcase, best_row_is_the_first_that_runs);
    tcase_add_test(tcase, base_runs_everywhere_and_stands_last);
    tcase_add_test(tcase, names_are_those_of_the_rows_that_run);
    tcase_add_test(tcase, unknown_names_give_nothing);
    tcase_add_test(tcase, rows_are_complete);
    suite_add_tcase(suite, tcase);
    return suite;
}
