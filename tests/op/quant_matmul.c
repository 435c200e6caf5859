/* quant_matmul.c - tests of src/op/quant_matmul.c: against three loops, and by hand. */
#include "harness.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct harness h;

static uint8_t *some_bytes(int64_t n, uint32_t seed)
{
    uint8_t *bytes = malloc((size_t)n);
    ck_assert_ptr_nonnull(bytes);
    for (int64_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        bytes[i] = (uint8_t)(seed >> 24);
    }
    return bytes;
}

static int32_t number(uint8_t byte, bool is_signed)
{
    return is_signed ? (int8_t)byte : byte;
}

static const struct {
    int64_t m, k, n;
    bool a_signed, b_signed, constant;
} products[] = {
    {1, 1, 1, false, false, true},    {1, 33, 70, true, true, true},   {5, 64, 33, false, true, true},
    {7, 300, 5, false, false, false}, {50, 17, 300, true, true, true}, {97, 40, 64, false, false, true},
    {49, 8, 600, false, true, false},
};

START_TEST(sums_are_those_of_three_loops)
{
    const int64_t m = products[_i].m, k = products[_i].k, n = products[_i].n;
    const bool a_signed = products[_i].a_signed, b_signed = products[_i].b_signed;
    uint8_t *a = some_bytes(m * k, 1), *b = some_bytes(k * n, 2), *zero = some_bytes(n, 3);
    int32_t *want = calloc((size_t)(m * n), sizeof *want);
    const uint8_t a_zero = 77;
    for (int64_t i = 0; i < m * n; i++) {
        for (int64_t l = 0; l < k; l++)
            want[i] += (number(a[i / n * k + l], a_signed) - a_zero) *
                       (number(b[l * n + i % n], b_signed) - number(zero[i % n], b_signed));
    }
    const enum percept_dtype a_type = a_signed ? PERCEPT_INT8 : PERCEPT_UINT8;
    const enum percept_dtype b_type = b_signed ? PERCEPT_INT8 : PERCEPT_UINT8;
    harness_begin(&h, "MatMulInteger", 10);
    harness_input(&h, a_type, 2, DIMS(m, k), a);
    harness_input(&h, b_type, 2, DIMS(k, n), b);
    if (products[_i].constant)
        harness_as_constant(&h);
    harness_input(&h, a_type, 0, DIMS(0), &a_zero);
    harness_input(&h, b_type, 1, DIMS(n), zero);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_INT32, 2, DIMS(m, n), want);
    harness_end(&h);
    free(a);
    free(b);
    free(zero);
    free(want);
}
END_TEST

START_TEST(rows_may_have_zero_points_of_their_own)
{
    harness_begin(&h, "MatMulInteger", 10);
    harness_input(&h, PERCEPT_UINT8, 2, DIMS(2, 2), (uint8_t[]){1, 2, 3, 4});
    harness_input(&h, PERCEPT_UINT8, 2, DIMS(2, 1), (uint8_t[]){1, 10});
    harness_input(&h, PERCEPT_UINT8, 1, DIMS(2), (uint8_t[]){1, 3});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_INT32, 2, DIMS(2, 1), (int32_t[]){10, 10});
    harness_end(&h);
}
END_TEST

START_TEST(stacks_broadcast_and_vectors_lose_their_axis)
{
    harness_begin(&h, "MatMulInteger", 10);
    harness_input(&h, PERCEPT_INT8, 3, DIMS(2, 1, 2), (int8_t[]){1, 2, 3, 4});
    harness_input(&h, PERCEPT_INT8, 4, DIMS(2, 1, 2, 1), (int8_t[]){1, 1, 10, -10});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_INT32, 4, DIMS(2, 2, 1, 1), (int32_t[]){3, 7, -10, -10});
    harness_end(&h);

    harness_begin(&h, "MatMulInteger", 10);
    harness_input(&h, PERCEPT_INT8, 1, DIMS(3), (int8_t[]){1, 2, 3});
    harness_input(&h, PERCEPT_INT8, 2, DIMS(3, 2), (int8_t[]){1, 2, 3, 4, 5, 6});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_INT32, 1, DIMS(2), (int32_t[]){22, 28});
    harness_end(&h);
}
END_TEST

static void one_float(float value)
{
    harness_floats(&h, 0, DIMS(0), &value);
}

static void one_byte(uint8_t value)
{
    harness_input(&h, PERCEPT_UINT8, 0, DIMS(0), &value);
}

START_TEST(qlinear_matmul_rounds_to_even_by_column)
{
    harness_begin(&h, "QLinearMatMul", 10);
    harness_input(&h, PERCEPT_UINT8, 2, DIMS(1, 2), (uint8_t[]){3, 4});
    one_float(0.5f);
    one_byte(2);
    harness_input(&h, PERCEPT_INT8, 2, DIMS(2, 3), (int8_t[]){1, 2, 100, 2, 4, 100});
    harness_as_constant(&h);
    harness_floats(&h, 1, DIMS(3), (float[]){1, 0.5f, 4});
    harness_input(&h, PERCEPT_INT8, 1, DIMS(3), (int8_t[]){0, 0, 0});
    one_float(1);
    one_byte(10);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    /* sums 5, 10, 300; factors 1/2, 1/4, 2: 2.5 twice, and too much */
    harness_expect(&h, 0, PERCEPT_UINT8, 2, DIMS(1, 3), (uint8_t[]){12, 12, 255});
    harness_end(&h);
}
END_TEST

START_TEST(qgemm_adds_c_and_turns_its_sides)
{
    const bool quantised = _i;
    harness_begin_in(&h, "com.microsoft", "QGemm", 1);
    harness_int(&h, "transA", 1);
    harness_int(&h, "transB", 1);
    harness_float(&h, "alpha", 2);
    harness_input(&h, PERCEPT_UINT8, 2, DIMS(2, 1), (uint8_t[]){1, 2});
    one_float(0.5f);
    one_byte(0);
    harness_input(&h, PERCEPT_UINT8, 2, DIMS(3, 2), (uint8_t[]){1, 2, 3, 4, 5, 6});
    harness_as_constant(&h);
    one_float(0.25f);
    one_byte(1);
    harness_input(&h, PERCEPT_INT32, 1, DIMS(3), (int32_t[]){0, 1, 2});
    if (quantised) {
        one_float(0.5f);
        one_byte(100);
    }
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    /* 2, 8, 14 and C: 2, 9, 16, times 1/4 */
    if (quantised)
        harness_expect(&h, 0, PERCEPT_UINT8, 2, DIMS(1, 3), (uint8_t[]){101, 104, 108});
    else
        harness_expect_floats(&h, 0, 2, DIMS(1, 3), (float[]){0.5f, 2.25f, 4}, 0);
    harness_end(&h);
}
END_TEST

START_TEST(c_may_be_a_column)
{
    harness_begin_in(&h, "com.microsoft", "QGemm", 1);
    harness_input(&h, PERCEPT_UINT8, 2, DIMS(2, 1), (uint8_t[]){1, 2});
    one_float(1);
    one_byte(0);
    harness_input(&h, PERCEPT_UINT8, 2, DIMS(1, 2), (uint8_t[]){1, 2});
    one_float(1);
    one_byte(0);
    harness_input(&h, PERCEPT_INT32, 2, DIMS(2, 1), (int32_t[]){10, 20});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 2, DIMS(2, 2), (float[]){11, 12, 22, 24}, 0);
    harness_end(&h);
}
END_TEST

START_TEST(floats_are_quantised_on_the_way)
{
    harness_begin_in(&h, "com.microsoft", "DynamicQuantizeMatMul", 1);
    harness_floats(&h, 2, DIMS(2, 2), (float[]){0, 255, 1, 2});
    harness_input(&h, PERCEPT_INT8, 2, DIMS(2, 1), (int8_t[]){1, 2});
    harness_as_constant(&h);
    one_float(0.5f);
    harness_left_out(&h);
    harness_floats(&h, 1, DIMS(1), (float[]){100});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 2, DIMS(2, 1), (float[]){355, 102.5f}, 0);
    harness_end(&h);
}
END_TEST

START_TEST(integers_become_floats)
{
    harness_begin_in(&h, "com.microsoft", "MatMulIntegerToFloat", 1);
    harness_input(&h, PERCEPT_UINT8, 2, DIMS(1, 2), (uint8_t[]){10, 20});
    harness_input(&h, PERCEPT_UINT8, 2, DIMS(2, 2), (uint8_t[]){1, 2, 3, 4});
    one_float(0.5f);
    harness_floats(&h, 1, DIMS(2), (float[]){1, 10});
    one_byte(10);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 2, DIMS(1, 2), (float[]){15, 200}, 0);
    harness_end(&h);
}
END_TEST

START_TEST(what_does_not_fit_is_refused_in_a_sentence)
{
    harness_begin(&h, "MatMulInteger", 10);
    harness_input(&h, PERCEPT_UINT8, 2, DIMS(1, 2), (uint8_t[]){1, 2});
    harness_input(&h, PERCEPT_UINT8, 2, DIMS(3, 1), (uint8_t[]){1, 2, 3});
    harness_expect_failure(&h, ERR_INVALID, "inner dimensions");
    harness_end(&h);

    harness_begin(&h, "MatMulInteger", 10);
    harness_floats(&h, 1, DIMS(1), (float[]){1});
    harness_input(&h, PERCEPT_UINT8, 1, DIMS(1), (uint8_t[]){1});
    harness_expect_failure(&h, ERR_UNSUPPORTED, "input 0 is float32; int8 and uint8 work");
    harness_end(&h);

    harness_begin(&h, "MatMulInteger", 10);
    harness_input(&h, PERCEPT_UINT8, 2, DIMS(1, 1), (uint8_t[]){1});
    harness_input(&h, PERCEPT_UINT8, 2, DIMS(1, 1), (uint8_t[]){1});
    harness_left_out(&h);
    harness_input(&h, PERCEPT_UINT8, 1, DIMS(2), (uint8_t[]){1, 2});
    harness_expect_failure(&h, ERR_INVALID, "input 3 has 2 elements; 1");
    harness_end(&h);

    harness_begin_in(&h, "com.microsoft", "QGemm", 1);
    harness_input(&h, PERCEPT_UINT8, 2, DIMS(1, 1), (uint8_t[]){1});
    one_float(1);
    one_byte(0);
    harness_input(&h, PERCEPT_UINT8, 2, DIMS(1, 1), (uint8_t[]){1});
    one_float(1);
    one_byte(0);
    harness_input(&h, PERCEPT_INT32, 1, DIMS(2), (int32_t[]){1, 2});
    harness_expect_failure(&h, ERR_INVALID, "C does not broadcast to [1,1]");
    harness_end(&h);
}
END_TEST

Suite *op_quant_matmul_suite(void);
Suite *op_quant_matmul_suite(void)
{
    Suite *suite = suite_create("op/quant_matmul");
    TCase *tests = tcase_create("quant_matmul");
    tcase_add_loop_test(tests, sums_are_those_of_three_loops, 0, (int)(sizeof products / sizeof *products));
    tcase_add_test(tests, rows_may_have_zero_points_of_their_own);
    tcase_add_test(tests, stacks_broadcast_and_vectors_lose_their_axis);
    tcase_add_test(tests, qlinear_matmul_rounds_to_even_by_column);
    tcase_add_loop_test(tests, qgemm_adds_c_and_turns_its_sides, 0, 2);
    tcase_add_test(tests, c_may_be_a_column);
    tcase_add_test(tests, floats_are_quantised_on_the_way);
    tcase_add_test(tests, integers_become_floats);
    tcase_add_test(tests, what_does_not_fit_is_refused_in_a_sentence);
    suite_add_tcase(suite, tests);
    return suite;
}
