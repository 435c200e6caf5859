/* The table of functions: names, numbers, that floats, doubles and gates are one function, what epilogues can do. */
#include "op/activation.h"

#include <check.h>
#include <string.h>

#include "op/harness.h"

static struct activation_of of_row(const struct activation_row *row)
{
    return (struct activation_of){row, row->alpha, row->beta};
}

START_TEST(every_kernel_is_a_row_and_every_row_an_operator)
{
    int n;
    const struct activation_row *rows = activation_table(&n);
    for (int unary = 0; unary < UNARY_COUNT; unary++)
        ck_assert_msg((activation_row((enum unary)unary) != NULL) == (unary != UNARY_COPY), "kernel %d", unary);
    for (int i = 0; i < n; i++) {
        ck_assert_ptr_nonnull(op_find(bytes_of_text(""), bytes_of_text(rows[i].name), 24));
        ck_assert_ptr_nonnull(rows[i].exact);
        ck_assert_msg(i == 0 || !rows[i].gate || rows[i - 1].gate, "%s is behind those without a gate", rows[i].name);
    }
}
END_TEST

START_TEST(names_are_found_as_they_are_written)
{
    const struct activation_row *row = activation_named(bytes_of_text("LeakyRelu"), false);
    ck_assert_ptr_nonnull(row);
    ck_assert_int_eq(row->unary, UNARY_LEAKY);
    ck_assert_float_eq(row->alpha, 0.01F);
    ck_assert_ptr_null(activation_named(bytes_of_text("leakyrelu"), false));
    ck_assert_ptr_eq(activation_named(bytes_of_text("leakyrelu"), true), row);
    ck_assert_ptr_null(activation_named(bytes_of_text("LeakyRel"), true));
    ck_assert_ptr_null(activation_named(bytes_of_text("LeakyRelus"), true));
    ck_assert_ptr_null(activation_named(bytes_of_text(""), true));
}
END_TEST

START_TEST(functions_take_as_many_numbers_as_onnx_gives_them)
{
    static const struct {
        const char *name;
        int n;
    } rows[] = {{"Relu", 0}, {"Elu", 1}, {"ThresholdedRelu", 1}, {"Selu", 2}, {"HardSigmoid", 2}, {"Clip", 2}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        ck_assert_int_eq(activation_numbers(activation_named(bytes_of_text(rows[i].name), false)), rows[i].n);
}
END_TEST

START_TEST(attributes_stand_for_alpha_and_beta)
{
    struct harness h;
    struct activation_of of;
    harness_begin(&h, "Selu", 13);
    h.ctx.node = &h.node;
    h.node.attrs = h.attrs;
    harness_float(&h, "gamma", 3);
    ck_assert(activation_read(&h.ctx, activation_row(UNARY_SELU), &of, &h.err));
    ck_assert_float_eq(of.alpha, 1.67326319F);
    ck_assert_float_eq(of.beta, 3);
    harness_end(&h);
    harness_begin(&h, "Relu", 13);
    h.ctx.node = &h.node;
    h.node.attrs = h.attrs;
    harness_float(&h, "alpha", 3); /* not Relu's */
    ck_assert(activation_read(&h.ctx, activation_row(UNARY_RELU), &of, &h.err));
    ck_assert_float_eq(of.alpha, 0);
    harness_end(&h);
}
END_TEST

/* 1e-5: tan and asin near their poles. Ends where tanh, cosh and asin are defined at once. */
START_TEST(floats_doubles_and_gates_are_one_function)
{
    static const float at[] = {-3, -1.5F, -0.75F, -0.5F, -0.01F, 0, 0.25F, 0.5F, 0.875F, 1, 1.5F, 2.5F, 25};
    enum { N = sizeof at / sizeof *at };
    int n;
    const struct activation_row *rows = activation_table(&n);
    for (const struct kernels *const *kernels = pick_all(); *kernels; kernels++) {
        for (int i = 0; i < n && pick_runs(*kernels); i++) {
            struct activation_of of = of_row(&rows[i]);
            for (int k = 0; k < 2; k++, of.alpha = 0.75F, of.beta = 1.25F) {
                float y[N];
                double x[N], exact[N];
                activation_floats(&of, *kernels, y, at, N);
                for (int j = 0; j < N; j++)
                    x[j] = (double)at[j];
                activation_doubles(&of, exact, x, N);
                for (int j = 0; j < N; j++) {
                    const double bound = 1e-5 * (1 + fabs(exact[j]));
                    const bool none = isnan(exact[j]) || isinf(exact[j]);
                    ck_assert_msg(none ? !isfinite(y[j]) : fabs((double)y[j] - exact[j]) <= bound,
                                  "%s %s(%g) with %g and %g is %g, not %g", (*kernels)->name, rows[i].name, x[j],
                                  (double)of.alpha, (double)of.beta, (double)y[j], exact[j]);
                    const double gate = rows[i].gate ? (double)rows[i].gate(at[j], of.alpha, of.beta) : exact[j];
                    ck_assert_msg(none || fabs(gate - exact[j]) <= bound, "gate %s(%g) is %g, not %g", rows[i].name,
                                  x[j], gate, exact[j]);
                }
            }
        }
    }
}
END_TEST

START_TEST(an_epilogue_does_what_a_kernel_does)
{
    struct fusion fusion;
    int n, n_fused = 0;
    const struct activation_row *rows = activation_table(&n);
    for (int i = 0; i < n; i++) {
        const struct activation_of of = of_row(&rows[i]);
        if (!activation_fusion(&of, &fusion))
            continue;
        n_fused++;
        ck_assert_int_eq(fusion.kind, FUSE_ACTIVATION);
        ck_assert_int_eq(unary_of(fusion.act), rows[i].unary);
        ck_assert_float_eq(fusion.alpha, of.alpha);
        const struct fused fused = {.act = fusion.act, .alpha = fusion.alpha, .beta = fusion.beta};
        ck_assert_ptr_eq(activation_fused(&fused).row, &rows[i]);
    }
    ck_assert_int_eq(n_fused, ACT_COUNT - 1);
    const struct activation_of scaled = of_row(activation_named(bytes_of_text("ScaledTanh"), false));
    ck_assert(!activation_fusion(&scaled, &fusion));
    ck_assert_ptr_null(activation_fused(&(struct fused){.act = ACT_NONE}).row);
}
END_TEST

/* x sigmoid(2 x) reads x again when y is written. */
START_TEST(a_swish_of_another_slope_is_no_epilogue_and_not_in_place)
{
    struct fusion fusion;
    struct activation_of swish = of_row(activation_row(UNARY_SILU));
    ck_assert(activation_in_place(&swish) && activation_fusion(&swish, &fusion));
    ck_assert_int_eq(fusion.act, ACT_SILU);
    swish.alpha = 2;
    ck_assert(!activation_in_place(&swish) && !activation_fusion(&swish, &fusion));
}
END_TEST

START_TEST(a_gate_times_its_input_is_one_activation)
{
    struct fusion fusion = {.act = ACT_SIGMOID};
    ck_assert(activation_gated(&fusion));
    ck_assert_int_eq(fusion.act, ACT_SILU);
    fusion = (struct fusion){.act = ACT_HARDSIGMOID, .alpha = 1 / 6.0F, .beta = 0.5F};
    ck_assert(activation_gated(&fusion));
    ck_assert_int_eq(fusion.act, ACT_HARDSWISH);
    fusion = (struct fusion){.act = ACT_HARDSIGMOID, .alpha = 0.2F, .beta = 0.5F};
    ck_assert(!activation_gated(&fusion));
    fusion = (struct fusion){.act = ACT_TANH};
    ck_assert(!activation_gated(&fusion));
    ck_assert_int_eq(fusion.act, ACT_TANH);
}
END_TEST

Suite *op_activation_suite(void);
Suite *op_activation_suite(void)
{
    Suite *suite = suite_create("op_activation");
    TCase *tests = tcase_create("activation");
    tcase_add_test(tests, every_kernel_is_a_row_and_every_row_an_operator);
    tcase_add_test(tests, names_are_found_as_they_are_written);
    tcase_add_test(tests, functions_take_as_many_numbers_as_onnx_gives_them);
    tcase_add_test(tests, attributes_stand_for_alpha_and_beta);
    tcase_add_test(tests, floats_doubles_and_gates_are_one_function);
    tcase_add_test(tests, an_epilogue_does_what_a_kernel_does);
    tcase_add_test(tests, a_swish_of_another_slope_is_no_epilogue_and_not_in_place);
    tcase_add_test(tests, a_gate_times_its_input_is_one_activation);
    suite_add_tcase(suite, tests);
    return suite;
}
