/* unary.c - element by element: values, types, layouts, and what fuse.c is told. */
#include "op/unary.h"

#include <check.h>
#include <float.h>
#include <math.h>

#include "harness.h"

static const struct {
    const char *op;
    int opset;
    float x, y;
} points[] = {
    {"Abs", 13, -2, 2},
    {"Neg", 13, 2, -2},
    {"Relu", 13, -1, 0},
    {"LeakyRelu", 6, -1, -0.01F},
    {"Elu", 6, -1, -0.63212056F},
    {"Selu", 6, 1, 1.0507010F},
    {"Celu", 12, -1, -0.63212056F},
    {"Exp", 13, 1, 2.7182818F},
    {"Log", 13, 1, 0},
    {"Sqrt", 13, 9, 3},
    {"Reciprocal", 13, 4, 0.25F},
    {"Sigmoid", 13, 0, 0.5F},
    {"Tanh", 13, 1, 0.76159416F},
    {"HardSigmoid", 6, 1, 0.7F},
    {"HardSwish", 14, 1, 0.66666667F},
    {"Swish", 24, 1, 0.73105858F},
    {"Softplus", 1, 0, 0.69314718F},
    {"Softsign", 1, 1, 0.5F},
    {"Mish", 18, 1, 0.86509839F},
    {"Erf", 13, 0.5F, 0.52049988F},
    {"ThresholdedRelu", 10, 1, 0},
    {"Shrink", 9, 1, 1},
    {"Floor", 13, -1.5F, -2},
    {"Ceil", 13, -1.5F, -1},
    {"Round", 11, 2.5F, 2},
    {"Sign", 13, -3, -1},
    {"Sin", 7, 1, 0.84147098F},
    {"Cos", 7, 1, 0.54030231F},
    {"Tan", 7, 1, 1.5574077F},
    {"Asin", 7, 0.5F, 0.52359878F},
    {"Acos", 7, 0.5F, 1.0471976F},
    {"Atan", 7, 1, 0.78539816F},
    {"Sinh", 9, 1, 1.1752012F},
    {"Cosh", 9, 1, 1.5430806F},
    {"Asinh", 9, 1, 0.88137359F},
    {"Acosh", 9, 2, 1.3169579F},
    {"Atanh", 9, 0.5F, 0.54930614F},
    {"Gelu", 20, 1, 0.84134475F},
    {"Identity", 13, 3, 3},
};

START_TEST(one_point_of_each_in_float_and_double)
{
    struct harness h;
    harness_begin(&h, points[_i].op, points[_i].opset);
    harness_floats(&h, 1, DIMS(1), &points[_i].x);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 1, DIMS(1), &points[_i].y, 2e-6F);
    harness_end(&h);
    harness_begin(&h, points[_i].op, points[_i].opset);
    double x = (double)points[_i].x;
    harness_input(&h, PERCEPT_DOUBLE, 1, DIMS(1), &x);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    double y = *(const double *)harness_out(&h, 0)->data;
    ck_assert_msg(fabs(y - (double)points[_i].y) < 1e-6, "%s gives %.17g", points[_i].op, y);
    harness_end(&h);
}
END_TEST

START_TEST(attributes_become_parameters)
{
    static const struct {
        const char *op, *attr;
        float value, x, y;
    } cases[] = {
        {"LeakyRelu", "alpha", 0.5F, -4, -2},   {"ThresholdedRelu", "alpha", 3, 2, 0}, {"Shrink", "lambd", 2, 1.5F, 0},
        {"HardSigmoid", "beta", 0.1F, 0, 0.1F}, {"Swish", "alpha", 2, 1, 0.88079708F},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct harness h;
        harness_begin(&h, cases[i].op, 24);
        harness_float(&h, cases[i].attr, cases[i].value);
        harness_floats(&h, 1, DIMS(1), &cases[i].x);
        ck_assert_msg(harness_run(&h), "%s", h.err.text);
        harness_expect_floats(&h, 0, 1, DIMS(1), &cases[i].y, 1e-6F);
        harness_end(&h);
    }
}
END_TEST

START_TEST(early_forms_scale_before_and_behind)
{
    static const struct {
        const char *op;
        float alpha, beta, y[3]; /* of -1, 0, 2 */
    } cases[] = {
        {"Affine", 2, 3, {1, 3, 7}},
        {"ScaledTanh", 2, 0.5F, {-0.92423431F, 0, 1.5231883F}},
        {"ParametricSoftplus", 2, 0.5F, {0.94815397F, 1.3862944F, 2.6265234F}},
        {"ParametricSoftplus", 1, 100, {0, 0.69314718F, 200}},
    };
    struct harness h;
    for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        const bool wide = i % 2;
        harness_begin(&h, cases[i / 2].op, wide ? 13 : 1);
        h.overwrite = true;
        harness_float(&h, "alpha", cases[i / 2].alpha);
        harness_float(&h, "beta", cases[i / 2].beta);
        harness_input(&h, wide ? PERCEPT_DOUBLE : PERCEPT_FLOAT, 1, DIMS(3),
                      wide ? (const void *)(double[]){-1, 0, 2} : (float[]){-1, 0, 2});
        struct fusion fusion;
        ck_assert(harness_check(&h) && !unary_activation(&h.ctx, &fusion)); /* no plain Tanh */
        ck_assert_msg(harness_run(&h), "%s", h.err.text);
        for (int k = 0; wide && k < 3; k++)
            ck_assert_double_eq_tol(((const double *)harness_out(&h, 0)->data)[k], (double)cases[i / 2].y[k], 1e-6);
        if (!wide)
            harness_expect_floats(&h, 0, 1, DIMS(3), cases[i / 2].y, 1e-6F);
        harness_end(&h);
    }
    harness_begin(&h, "Affine", 1); /* nothing said: nothing done */
    harness_floats(&h, 1, DIMS(2), (float[]){1, -2});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 1, DIMS(2), (float[]){1, -2}, 0);
    harness_end(&h);
    harness_begin(&h, "ScaledTanh", 1);
    harness_float(&h, "alpha", 1);
    harness_floats(&h, 1, DIMS(1), (float[]){1});
    harness_expect_failure(&h, ERR_MODEL, "attribute 'alpha' or 'beta' is missing");
    harness_end(&h);
    harness_begin(&h, "Affine", 1);
    harness_input(&h, PERCEPT_INT32, 1, DIMS(1), (int32_t[]){1});
    harness_expect_failure(&h, ERR_UNSUPPORTED, "its input is int32; float or double would work");
    harness_end(&h);
}
END_TEST

START_TEST(integers_keep_their_type_and_wrap)
{
    struct harness h;
    harness_begin(&h, "Abs", 13);
    harness_input(&h, PERCEPT_INT8, 1, DIMS(4), (int8_t[]){-128, -1, 0, 127});
    ck_assert(harness_run(&h));
    harness_expect(&h, 0, PERCEPT_INT8, 1, DIMS(4), (int8_t[]){-128, 1, 0, 127});
    harness_end(&h);
    harness_begin(&h, "Sign", 13);
    harness_input(&h, PERCEPT_UINT64, 1, DIMS(2), (uint64_t[]){UINT64_MAX, 0});
    ck_assert(harness_run(&h));
    harness_expect(&h, 0, PERCEPT_UINT64, 1, DIMS(2), (uint64_t[]){1, 0});
    harness_end(&h);
    harness_begin(&h, "Neg", 13);
    harness_int64s(&h, 1, DIMS(2), DIMS(INT64_MIN, 5));
    ck_assert(harness_run(&h));
    harness_expect(&h, 0, PERCEPT_INT64, 1, DIMS(2), DIMS(INT64_MIN, -5));
    harness_end(&h);
    harness_begin(&h, "BitwiseNot", 18);
    harness_input(&h, PERCEPT_UINT16, 1, DIMS(2), (uint16_t[]){0, 0xff00});
    ck_assert(harness_run(&h));
    harness_expect(&h, 0, PERCEPT_UINT16, 1, DIMS(2), (uint16_t[]){0xffff, 0x00ff});
    harness_end(&h);
}
END_TEST

START_TEST(shrink_of_integers_ends_where_the_type_ends)
{
    struct harness h;
    harness_begin(&h, "Shrink", 9);
    harness_float(&h, "lambd", 1);
    harness_float(&h, "bias", -100.5F);
    harness_input(&h, PERCEPT_INT8, 1, DIMS(4), (int8_t[]){-128, -2, 1, 120});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_INT8, 1, DIMS(4), (int8_t[]){-128, -102, 0, 127});
    harness_end(&h);
    harness_begin(&h, "Shrink", 9);
    harness_float(&h, "bias", -0x1p62F);
    harness_int64s(&h, 1, DIMS(2), DIMS(INT64_MAX, INT64_MIN));
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_INT64, 1, DIMS(2), DIMS(INT64_MAX, INT64_MIN));
    harness_end(&h);
}
END_TEST

START_TEST(shrink_of_many_integers_is_that_of_each)
{
    struct harness h;
    int16_t x[500], y[500];
    for (int i = 0; i < 500; i++) {
        x[i] = (int16_t)(i * 7 - 1000);
        y[i] = (int16_t)(x[i] < -90 ? x[i] + 3 : x[i] > 90 ? x[i] - 3 : 0);
    }
    harness_begin(&h, "Shrink", 9);
    harness_float(&h, "lambd", 90);
    harness_float(&h, "bias", 3);
    harness_input(&h, PERCEPT_INT16, 1, DIMS(500), x);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_INT16, 1, DIMS(500), y);
    harness_end(&h);
}
END_TEST

START_TEST(types_without_arithmetic_are_refused)
{
    struct harness h;
    harness_begin(&h, "Exp", 13);
    harness_int64s(&h, 1, DIMS(1), DIMS(1));
    harness_expect_failure(&h, ERR_UNSUPPORTED, "its input is int64; float or double would work");
    harness_end(&h);
    harness_begin(&h, "Not", 1);
    harness_int64s(&h, 1, DIMS(1), DIMS(1));
    harness_expect_failure(&h, ERR_UNSUPPORTED, "bool would work");
    harness_end(&h);
}
END_TEST

START_TEST(blocked_pictures_stay_blocked)
{
    float x[2 * 19 * 3], y[2 * 19 * 3];
    for (int i = 0; i < 2 * 19 * 3; i++) {
        x[i] = (float)(i % 7 - 3);
        y[i] = x[i] < 0 ? 0 : x[i];
    }
    struct harness h;
    harness_begin(&h, "Relu", 13);
    h.overwrite = true;
    harness_floats(&h, 4, DIMS(2, 19, 1, 3), x);
    harness_as_blocked(&h);
    ck_assert(harness_run(&h));
    ck_assert_int_eq(h.out_layout[0], LAYOUT_BLOCKED);
    ck_assert_int_eq(h.step.inplace, 1);
    harness_expect_floats(&h, 0, 4, DIMS(2, 19, 1, 3), y, 0);
    harness_end(&h);
}
END_TEST

START_TEST(shapes_of_zero_elements_and_of_rank_zero_pass)
{
    struct harness h;
    harness_begin(&h, "Sigmoid", 13);
    harness_floats(&h, 3, DIMS(2, 0, 3), NULL);
    ck_assert(harness_run(&h));
    harness_expect_floats(&h, 0, 3, DIMS(2, 0, 3), NULL, 0);
    harness_end(&h);
    harness_begin(&h, "Neg", 13);
    harness_floats(&h, 0, NULL, (float[]){2});
    ck_assert(harness_run(&h));
    harness_expect_floats(&h, 0, 0, NULL, (float[]){-2}, 0);
    harness_end(&h);
}
END_TEST

START_TEST(clip_takes_bounds_from_attributes_or_inputs)
{
    const float x[] = {-5, 0.5F, 5, NAN};
    struct harness h;
    harness_begin(&h, "Clip", 6);
    harness_float(&h, "min", -1);
    harness_float(&h, "max", 1);
    harness_floats(&h, 1, DIMS(4), x);
    ck_assert(harness_run(&h));
    harness_expect_floats(&h, 0, 1, DIMS(4), (float[]){-1, 0.5F, 1, NAN}, 0);
    harness_end(&h);
}
END_TEST

START_TEST(clip_of_an_input_without_one_bound)
{
    struct harness h;
    harness_begin(&h, "Clip", 13);
    harness_floats(&h, 1, DIMS(3), (float[]){-5, 0.5F, 5});
    harness_left_out(&h);
    harness_floats(&h, 0, NULL, (float[]){1});
    ck_assert(harness_run(&h));
    harness_expect_floats(&h, 0, 1, DIMS(3), (float[]){-5, 0.5F, 1}, 0);
    harness_end(&h);
    harness_begin(&h, "Clip", 13);
    harness_input(&h, PERCEPT_UINT8, 1, DIMS(3), (uint8_t[]){0, 100, 255});
    harness_input(&h, PERCEPT_UINT8, 0, NULL, (uint8_t[]){10});
    harness_input(&h, PERCEPT_UINT8, 0, NULL, (uint8_t[]){200});
    ck_assert(harness_run(&h));
    harness_expect(&h, 0, PERCEPT_UINT8, 1, DIMS(3), (uint8_t[]){10, 100, 200});
    harness_end(&h);
    harness_begin(&h, "Clip", 13);
    harness_floats(&h, 1, DIMS(1), (float[]){1});
    harness_floats(&h, 1, DIMS(2), (float[]){1, 2});
    harness_expect_failure(&h, ERR_MODEL, "bound 1 has 2 elements");
    harness_end(&h);
}
END_TEST

/* "They default to numeric_limits::lowest() and numeric_limits::max()" */
START_TEST(clip_without_bounds_leaves_no_infinity)
{
    struct harness h;
    const float x[] = {-INFINITY, 1, INFINITY, NAN};
    for (int opset = 6; opset <= 13; opset += 7) {
        harness_begin(&h, "Clip", opset);
        harness_floats(&h, 1, DIMS(4), x);
        ck_assert(harness_run(&h));
        harness_expect_floats(&h, 0, 1, DIMS(4), (float[]){-FLT_MAX, 1, FLT_MAX, NAN}, 0);
        harness_end(&h);
    }
    harness_begin(&h, "Clip", 13);
    harness_input(&h, PERCEPT_DOUBLE, 1, DIMS(3), (double[]){-INFINITY, 0x1p1000, INFINITY});
    harness_input(&h, PERCEPT_DOUBLE, 0, NULL, (double[]){-1});
    ck_assert(harness_run(&h));
    harness_expect(&h, 0, PERCEPT_DOUBLE, 1, DIMS(3), (double[]){-1, 0x1p1000, DBL_MAX});
    harness_end(&h);
    struct fusion fusion = {0};
    harness_begin(&h, "Clip", 13); /* the same when a node before takes it over */
    harness_floats(&h, 1, DIMS(4), x);
    ck_assert(harness_check(&h) && unary_activation(&h.ctx, &fusion));
    ck_assert(fusion.act == ACT_CLIP && fusion.alpha == -FLT_MAX && fusion.beta == FLT_MAX);
    harness_end(&h);
}
END_TEST

START_TEST(nan_and_infinity_are_told_apart)
{
    const float x[] = {1, NAN, INFINITY, -INFINITY};
    struct harness h;
    harness_begin(&h, "IsNaN", 13);
    harness_floats(&h, 1, DIMS(4), x);
    ck_assert(harness_run(&h));
    harness_expect(&h, 0, PERCEPT_BOOL, 1, DIMS(4), (uint8_t[]){0, 1, 0, 0});
    harness_end(&h);
    harness_begin(&h, "IsInf", 10);
    harness_int(&h, "detect_negative", 0);
    harness_floats(&h, 1, DIMS(4), x);
    ck_assert(harness_run(&h));
    harness_expect(&h, 0, PERCEPT_BOOL, 1, DIMS(4), (uint8_t[]){0, 0, 1, 0});
    harness_end(&h);
}
END_TEST

START_TEST(activations_are_told_to_the_fuser)
{
    struct harness h;
    struct fusion fusion;
    harness_begin(&h, "LeakyRelu", 13);
    harness_float(&h, "alpha", 0.2F);
    harness_floats(&h, 1, DIMS(1), (float[]){1});
    ck_assert(harness_check(&h) && unary_activation(&h.ctx, &fusion));
    ck_assert(fusion.act == ACT_LEAKY && fusion.alpha == 0.2F && fusion.kind == FUSE_ACTIVATION);
    harness_end(&h);
    harness_begin(&h, "Clip", 13);
    harness_floats(&h, 1, DIMS(1), (float[]){1});
    harness_floats(&h, 0, NULL, (float[]){0});
    harness_as_constant(&h);
    harness_floats(&h, 0, NULL, (float[]){6});
    harness_as_constant(&h);
    ck_assert(harness_check(&h) && unary_activation(&h.ctx, &fusion));
    ck_assert(fusion.act == ACT_CLIP && fusion.alpha == 0 && fusion.beta == 6);
    harness_end(&h);
    harness_begin(&h, "Clip", 13);
    harness_floats(&h, 1, DIMS(1), (float[]){1});
    harness_floats(&h, 0, NULL, (float[]){0}); /* not constant */
    ck_assert(harness_check(&h) && !unary_activation(&h.ctx, &fusion));
    harness_end(&h);
    harness_begin(&h, "Exp", 13);
    harness_floats(&h, 1, DIMS(1), (float[]){1});
    ck_assert(harness_check(&h) && !unary_activation(&h.ctx, &fusion));
    harness_end(&h);
}
END_TEST

Suite *op_unary_suite(void)
{
    Suite *suite = suite_create("op/unary");
    TCase *tcase = tcase_create("unary");
    tcase_add_loop_test(tcase, one_point_of_each_in_float_and_double, 0, (int)(sizeof points / sizeof *points));
    tcase_add_test(tcase, attributes_become_parameters);
    tcase_add_test(tcase, early_forms_scale_before_and_behind);
    tcase_add_test(tcase, integers_keep_their_type_and_wrap);
    tcase_add_test(tcase, shrink_of_integers_ends_where_the_type_ends);
    tcase_add_test(tcase, shrink_of_many_integers_is_that_of_each);
    tcase_add_test(tcase, types_without_arithmetic_are_refused);
    tcase_add_test(tcase, blocked_pictures_stay_blocked);
    tcase_add_test(tcase, shapes_of_zero_elements_and_of_rank_zero_pass);
    tcase_add_test(tcase, clip_takes_bounds_from_attributes_or_inputs);
    tcase_add_test(tcase, clip_of_an_input_without_one_bound);
    tcase_add_test(tcase, clip_without_bounds_leaves_no_infinity);
    tcase_add_test(tcase, nan_and_infinity_are_told_apart);
    tcase_add_test(tcase, activations_are_told_to_the_fuser);
    suite_add_tcase(suite, tcase);
    return suite;
}
