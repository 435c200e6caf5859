/* quant.c - tests of src/op/quant.c, by hand. */
#include "harness.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

static struct harness h;

static void scalar_float(float value)
{
    harness_floats(&h, 0, DIMS(0), &value);
}

START_TEST(halves_round_to_even_and_everything_saturates)
{
    harness_begin(&h, "QuantizeLinear", 13);
    harness_floats(&h, 1, DIMS(10), (float[]){1, 3, 5, -1, -3, 1000, -1000, INFINITY, -INFINITY, NAN});
    scalar_float(2);
    harness_input(&h, PERCEPT_INT8, 0, DIMS(0), (int8_t[]){1});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_INT8, 1, DIMS(10), (int8_t[]){1, 3, 3, 1, -1, 127, -128, 127, -128, -128});
    harness_end(&h);
}
END_TEST

START_TEST(uint8_is_what_comes_out_without_a_zero_point)
{
    harness_begin(&h, "QuantizeLinear", 10);
    harness_floats(&h, 1, DIMS(4), (float[]){-1, 0.5f, 1.5f, 300});
    scalar_float(1);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_UINT8, 1, DIMS(4), (uint8_t[]){0, 0, 2, 255});
    harness_end(&h);
}
END_TEST

START_TEST(output_dtype_and_the_zero_point_choose_sixteen_bits)
{
    harness_begin(&h, "QuantizeLinear", 21);
    harness_int(&h, "output_dtype", PERCEPT_INT16);
    harness_floats(&h, 1, DIMS(3), (float[]){-40000, 2.5f, 40000});
    scalar_float(1);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_INT16, 1, DIMS(3), (int16_t[]){-32768, 2, 32767});
    harness_end(&h);

    harness_begin(&h, "QuantizeLinear", 21);
    harness_floats(&h, 1, DIMS(3), (float[]){-1, 3.5f, 70000});
    scalar_float(1);
    harness_input(&h, PERCEPT_UINT16, 0, DIMS(0), (uint16_t[]){0});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_UINT16, 1, DIMS(3), (uint16_t[]){0, 4, 65535});
    harness_end(&h);
}
END_TEST

START_TEST(a_scale_per_axis_goes_with_its_index)
{
    const float x[12] = {2, 4, 6, 2, 4, 6, 2, 4, 6, 2, 4, 6};
    harness_begin(&h, "QuantizeLinear", 13);
    harness_floats(&h, 3, DIMS(2, 2, 3), x); /* axis 1 by default */
    harness_floats(&h, 1, DIMS(2), (float[]){1, 2});
    harness_input(&h, PERCEPT_UINT8, 1, DIMS(2), (uint8_t[]){0, 100});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_UINT8, 3, DIMS(2, 2, 3), (uint8_t[]){2, 4, 6, 101, 102, 103, 2, 4, 6, 101, 102, 103});
    harness_end(&h);

    harness_begin(&h, "DequantizeLinear", 13);
    harness_int(&h, "axis", -1);
    harness_input(&h, PERCEPT_INT8, 2, DIMS(2, 2), (int8_t[]){1, 2, 3, -4});
    harness_floats(&h, 1, DIMS(2), (float[]){0.5f, 10});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 2, DIMS(2, 2), (float[]){0.5f, 20, 1.5f, -40}, 0);
    harness_end(&h);
}
END_TEST

START_TEST(a_block_has_a_scale_and_the_last_one_may_be_short)
{
    harness_begin(&h, "DequantizeLinear", 21);
    harness_int(&h, "axis", 1);
    harness_int(&h, "block_size", 2);
    harness_input(&h, PERCEPT_UINT8, 2, DIMS(2, 3), (uint8_t[]){1, 2, 3, 4, 5, 6});
    harness_floats(&h, 2, DIMS(2, 2), (float[]){1, 10, 100, 1000});
    harness_input(&h, PERCEPT_UINT8, 2, DIMS(2, 2), (uint8_t[]){0, 1, 2, 3});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 2, DIMS(2, 3), (float[]){1, 2, 20, 200, 300, 3000}, 0);
    harness_end(&h);

    harness_begin(&h, "QuantizeLinear", 21);
    harness_int(&h, "axis", 0);
    harness_int(&h, "block_size", 2);
    harness_floats(&h, 2, DIMS(2, 2), (float[]){10, 10, 20, 20});
    harness_floats(&h, 2, DIMS(1, 2), (float[]){1, 10});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_UINT8, 2, DIMS(2, 2), (uint8_t[]){10, 1, 20, 2});
    harness_end(&h);
}
END_TEST

START_TEST(wide_integers_and_half_floats_are_dequantised)
{
    harness_begin(&h, "DequantizeLinear", 13);
    harness_input(&h, PERCEPT_INT32, 1, DIMS(3), (int32_t[]){-2000000, 0, 7});
    scalar_float(0.5f);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 1, DIMS(3), (float[]){-1000000, 0, 3.5f}, 0);
    harness_end(&h);

    harness_begin(&h, "DequantizeLinear", 21);
    harness_input(&h, PERCEPT_UINT16, 1, DIMS(2), (uint16_t[]){65535, 1});
    harness_input(&h, PERCEPT_FLOAT16, 0, DIMS(0), (uint16_t[]){tensor_float_to_half(0.5f)});
    harness_input(&h, PERCEPT_UINT16, 0, DIMS(0), (uint16_t[]){65533});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_FLOAT16, 1, DIMS(2),
                   (uint16_t[]){tensor_float_to_half(1), tensor_float_to_half(-32766)});
    harness_end(&h);
}
END_TEST

START_TEST(microsofts_names_mean_the_same)
{
    harness_begin_in(&h, "com.microsoft", "QuantizeLinear", 1);
    harness_floats(&h, 1, DIMS(2), (float[]){0.5f, 3});
    scalar_float(1);
    harness_input(&h, PERCEPT_UINT8, 0, DIMS(0), (uint8_t[]){10});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_UINT8, 1, DIMS(2), (uint8_t[]){10, 13});
    harness_end(&h);
}
END_TEST

START_TEST(a_range_is_fitted_and_holds_zero)
{
    harness_begin(&h, "DynamicQuantizeLinear", 11);
    harness_outputs(&h, 3);
    harness_floats(&h, 1, DIMS(4), (float[]){1, 2.55f, 0.005f, 0.015f});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 1, 0, DIMS(0), (float[]){2.55f / 255}, 0);
    harness_expect(&h, 2, PERCEPT_UINT8, 0, DIMS(0), (uint8_t[]){0});
    ck_assert_uint_eq(((const uint8_t *)harness_out(&h, 0)->data)[1], 255);
    ck_assert_uint_eq(((const uint8_t *)harness_out(&h, 0)->data)[0], 100);
    harness_end(&h);

    harness_begin(&h, "DynamicQuantizeLinear", 11);
    harness_outputs(&h, 3);
    harness_floats(&h, 1, DIMS(2), (float[]){0, 0});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_UINT8, 1, DIMS(2), (uint8_t[]){0, 0});
    harness_expect_floats(&h, 1, 0, DIMS(0), (float[]){1}, 0);
    harness_end(&h);
}
END_TEST

START_TEST(long_tensors_are_the_same_as_their_parts)
{
    enum { N = 50003 };
    float *x = calloc(N, sizeof *x);
    uint8_t *want = calloc(N, 1);
    ck_assert(x && want);
    for (int i = 0; i < N; i++) {
        x[i] = (float)(i % 700) * 0.25f - 60;
        const float y = nearbyintf(x[i] / 0.5f) + 7;
        want[i] = (uint8_t)(y < 0 ? 0 : y > 255 ? 255 : y);
    }
    harness_begin(&h, "QuantizeLinear", 13);
    harness_floats(&h, 1, DIMS(N), x);
    scalar_float(0.5f);
    harness_input(&h, PERCEPT_UINT8, 0, DIMS(0), (uint8_t[]){7});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_UINT8, 1, DIMS(N), want);
    harness_end(&h);
    free(x);
    free(want);
}
END_TEST

START_TEST(what_does_not_fit_is_refused_in_a_sentence)
{
    harness_begin(&h, "QuantizeLinear", 19);
    harness_int(&h, "output_dtype", 17);
    harness_floats(&h, 1, DIMS(1), (float[]){1});
    scalar_float(1);
    harness_expect_failure(&h, ERR_UNSUPPORTED, "float8e4m3fn; int8, uint8");
    harness_end(&h);

    harness_begin(&h, "QuantizeLinear", 23);
    harness_int(&h, "precision", PERCEPT_FLOAT16);
    harness_floats(&h, 1, DIMS(1), (float[]){1});
    scalar_float(1);
    harness_expect_failure(&h, ERR_UNSUPPORTED, "'precision' is float16; float32 works");
    harness_end(&h);

    harness_begin(&h, "DequantizeLinear", 13);
    harness_floats(&h, 1, DIMS(1), (float[]){1});
    scalar_float(1);
    harness_expect_failure(&h, ERR_UNSUPPORTED, "input 0 is float32; int8");
    harness_end(&h);

    harness_begin(&h, "QuantizeLinear", 13);
    harness_floats(&h, 2, DIMS(2, 2), (float[]){1, 2, 3, 4});
    harness_floats(&h, 1, DIMS(3), (float[]){1, 2, 3});
    harness_expect_failure(&h, ERR_INVALID, "a scale of shape [3] does not fit [2,2] at axis 1");
    harness_end(&h);

    harness_begin(&h, "DequantizeLinear", 13);
    harness_input(&h, PERCEPT_UINT8, 1, DIMS(1), (uint8_t[]){1});
    scalar_float(1);
    harness_input(&h, PERCEPT_INT8, 0, DIMS(0), (int8_t[]){0});
    harness_expect_failure(&h, ERR_UNSUPPORTED, "input 2 is int8; uint8");
    harness_end(&h);

    harness_begin(&h, "QuantizeLinear", 13);
    harness_floats(&h, 2, DIMS(2, 2), (float[]){1, 2, 3, 4});
    harness_floats(&h, 1, DIMS(2), (float[]){1, 2});
    harness_input(&h, PERCEPT_INT8, 0, DIMS(0), (int8_t[]){0});
    harness_expect_failure(&h, ERR_INVALID, "scale has 2 elements and zero point 1");
    harness_end(&h);
}
END_TEST

Suite *op_quant_suite(void);
Suite *op_quant_suite(void)
{
    Suite *suite = suite_create("op/quant");
    TCase *tests = tcase_create("quant");
    tcase_add_test(tests, halves_round_to_even_and_everything_saturates);
    tcase_add_test(tests, uint8_is_what_comes_out_without_a_zero_point);
    tcase_add_test(tests, output_dtype_and_the_zero_point_choose_sixteen_bits);
    tcase_add_test(tests, a_scale_per_axis_goes_with_its_index);
    tcase_add_test(tests, a_block_has_a_scale_and_the_last_one_may_be_short);
    tcase_add_test(tests, wide_integers_and_half_floats_are_dequantised);
    tcase_add_test(tests, microsofts_names_mean_the_same);
    tcase_add_test(tests, a_range_is_fitted_and_holds_zero);
    tcase_add_test(tests, long_tensors_are_the_same_as_their_parts);
    tcase_add_test(tests, what_does_not_fit_is_refused_in_a_sentence);
    suite_add_tcase(suite, tests);
    return suite;
}
