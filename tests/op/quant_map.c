/* quant_map.c - tests of src/op/quant_map.c, by hand. */
#include "harness.h"

#include <check.h>
#include <string.h>

static struct harness h;

static void begin(const char *op_type)
{
    harness_begin_in(&h, "com.microsoft", op_type, 1);
}

/* A scale and a zero point. */
static void parameters(enum percept_dtype dtype, float scale, int zero)
{
    harness_floats(&h, 0, DIMS(0), &scale);
    harness_input(&h, dtype, 0, DIMS(0), (uint8_t[]){(uint8_t)zero});
}

static void run(void)
{
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
}

START_TEST(sums_broadcast_and_saturate)
{
    begin("QLinearAdd");
    harness_input(&h, PERCEPT_UINT8, 2, DIMS(2, 2), (uint8_t[]){10, 20, 30, 255});
    parameters(PERCEPT_UINT8, 1, 10);
    harness_input(&h, PERCEPT_UINT8, 1, DIMS(2), (uint8_t[]){1, 255});
    parameters(PERCEPT_UINT8, 0.5f, 0);
    parameters(PERCEPT_UINT8, 1, 100);
    run(); /* 0 + 0.5, 10 + 127.5, 20 + 0.5, 245 + 127.5; 100.5 and 120.5 to even */
    harness_expect(&h, 0, PERCEPT_UINT8, 2, DIMS(2, 2), (uint8_t[]){100, 238, 120, 255});
    harness_end(&h);
}
END_TEST

START_TEST(products_have_signs)
{
    begin("QLinearMul");
    harness_input(&h, PERCEPT_INT8, 1, DIMS(4), (int8_t[]){-10, 10, 127, -128});
    parameters(PERCEPT_INT8, 0.5f, 0);
    harness_input(&h, PERCEPT_INT8, 0, DIMS(0), (int8_t[]){3});
    parameters(PERCEPT_INT8, 1, 1);
    parameters(PERCEPT_INT8, 1, -5);
    run();
    harness_expect(&h, 0, PERCEPT_INT8, 1, DIMS(4), (int8_t[]){-15, 5, 122, -128});
    harness_end(&h);
}
END_TEST

START_TEST(tables_know_every_byte)
{
    begin("QLinearLeakyRelu");
    harness_float(&h, "alpha", 0.5f);
    harness_input(&h, PERCEPT_INT8, 1, DIMS(4), (int8_t[]){-128, -3, 0, 127});
    parameters(PERCEPT_INT8, 1, 0);
    parameters(PERCEPT_INT8, 1, 1);
    run(); /* -64, -1.5, 0, 127 */
    harness_expect(&h, 0, PERCEPT_INT8, 1, DIMS(4), (int8_t[]){-63, -1, 1, 127});
    harness_end(&h);

    begin("QLinearSigmoid");
    harness_input(&h, PERCEPT_UINT8, 1, DIMS(3), (uint8_t[]){0, 128, 255});
    parameters(PERCEPT_UINT8, 1, 128);
    parameters(PERCEPT_UINT8, 1.0f / 256, 0);
    run();
    harness_expect(&h, 0, PERCEPT_UINT8, 1, DIMS(3), (uint8_t[]){0, 128, 255});
    harness_end(&h);
}
END_TEST

START_TEST(parts_are_brought_to_one_scale)
{
    begin("QLinearConcat");
    harness_int(&h, "axis", -1);
    parameters(PERCEPT_UINT8, 1, 10);
    harness_input(&h, PERCEPT_UINT8, 2, DIMS(2, 1), (uint8_t[]){1, 2});
    parameters(PERCEPT_UINT8, 1, 10);
    harness_input(&h, PERCEPT_UINT8, 2, DIMS(2, 2), (uint8_t[]){0, 1, 2, 200});
    parameters(PERCEPT_UINT8, 2, 1);
    run();
    harness_expect(&h, 0, PERCEPT_UINT8, 2, DIMS(2, 3), (uint8_t[]){1, 8, 10, 2, 12, 255});
    harness_end(&h);
}
END_TEST

START_TEST(a_softmax_of_equals_is_even)
{
    const bool flat = _i; /* all of it is one row */
    begin("QLinearSoftmax");
    harness_int(&h, "opset", flat ? 12 : 13);
    harness_int(&h, "axis", 1);
    harness_input(&h, PERCEPT_UINT8, 3, DIMS(1, 2, 2), (uint8_t[]){200, 0, 200, 200});
    parameters(PERCEPT_UINT8, 1, 3);
    parameters(PERCEPT_UINT8, 1.0f / 256, 0);
    run();
    if (flat)
        harness_expect(&h, 0, PERCEPT_UINT8, 3, DIMS(1, 2, 2), (uint8_t[]){85, 0, 85, 85});
    else
        harness_expect(&h, 0, PERCEPT_UINT8, 3, DIMS(1, 2, 2), (uint8_t[]){128, 0, 128, 255});
    harness_end(&h);
}
END_TEST

/* Shares are counted in whole steps of y's scale: 90 of 1/0.011 = 90.9, none rounded up; 64 of 1/0.0156. */
START_TEST(a_softmax_has_whole_steps)
{
    static const struct {
        float scale;
        uint8_t one, half; /* of 1 and of 1/2, above the zero point of 5 */
    } rows[] = {{0.011f, 90, 45}, {0.0156f, 64, 32}, {0.00999f, 100, 50}, {0.3f, 3, 2}, {0.6f, 1, 0}, {1.5f, 0, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const uint8_t one = (uint8_t)(5 + rows[i].one), half = (uint8_t)(5 + rows[i].half);
        begin("QLinearSoftmax");
        harness_int(&h, "opset", 13);
        harness_int(&h, "axis", 1);
        harness_input(&h, PERCEPT_UINT8, 2, DIMS(2, 2), (uint8_t[]){200, 0, 200, 200});
        parameters(PERCEPT_UINT8, 1, 3);
        parameters(PERCEPT_UINT8, rows[i].scale, 5);
        run();
        harness_expect(&h, 0, PERCEPT_UINT8, 2, DIMS(2, 2), (uint8_t[]){one, 5, half, half});
        harness_end(&h);
    }
}
END_TEST

START_TEST(windows_are_averaged)
{
    const bool last = _i;
    const uint8_t first[8] = {1, 2, 3, 4, 10, 20, 30, 40};
    const uint8_t mixed[8] = {1, 10, 2, 20, 3, 30, 4, 40};
    begin("QLinearAveragePool");
    harness_int(&h, "channels_last", last);
    harness_int_list(&h, "kernel_shape", 1, DIMS(2));
    harness_int_list(&h, "strides", 1, DIMS(2));
    harness_int_list(&h, "pads", 2, DIMS(1, 1));
    if (last)
        harness_input(&h, PERCEPT_UINT8, 3, DIMS(1, 4, 2), mixed);
    else
        harness_input(&h, PERCEPT_UINT8, 3, DIMS(1, 2, 4), first);
    parameters(PERCEPT_UINT8, 1, 0);
    parameters(PERCEPT_UINT8, 1, 100);
    run(); /* 1, 2.5, 4 and 10, 25, 40 */
    if (last)
        harness_expect(&h, 0, PERCEPT_UINT8, 3, DIMS(1, 3, 2), (uint8_t[]){101, 110, 102, 125, 104, 140});
    else
        harness_expect(&h, 0, PERCEPT_UINT8, 3, DIMS(1, 2, 3), (uint8_t[]){101, 102, 104, 110, 125, 140});
    harness_end(&h);
}
END_TEST

/* A chain of floats would be off by some hundredths. */
START_TEST(sums_of_many_bytes_carry_no_roundings_on)
{
    enum { N = 1 << 22 };
    static const char *const ops[] = {"QLinearSoftmax", "QLinearAveragePool", "QLinearGlobalAveragePool"};
    static uint8_t x[N];
    memset(x, 201, sizeof x);
    for (int i = 0; i < 3; i++) {
        begin(ops[i]);
        if (i == 0) {
            harness_int(&h, "opset", 13);
            harness_int(&h, "axis", 2);
        } else if (i == 1) {
            harness_int_list(&h, "kernel_shape", 1, DIMS(N));
        }
        harness_input(&h, PERCEPT_UINT8, 3, DIMS(1, 1, N), x);
        parameters(PERCEPT_UINT8, 0.1f, 0);
        parameters(PERCEPT_UINT8, i == 0 ? 1.0f / (100.0f * N) : 0.1f, 0);
        run();
        ck_assert_int_eq(((const uint8_t *)harness_out(&h, 0)->data)[0], i == 0 ? 100 : 201);
        harness_end(&h);
    }
}
END_TEST

START_TEST(whole_maps_are_averaged)
{
    begin("QLinearGlobalAveragePool");
    harness_int(&h, "channels_last", 1);
    harness_input(&h, PERCEPT_INT8, 4, DIMS(2, 1, 2, 2), (int8_t[]){1, -100, 2, -128, 3, 5, 4, 6});
    parameters(PERCEPT_INT8, 1, 1);
    parameters(PERCEPT_INT8, 0.5f, 10);
    run(); /* 0.5, -115 and 2.5, 4.5, doubled */
    harness_expect(&h, 0, PERCEPT_INT8, 4, DIMS(2, 1, 1, 2), (int8_t[]){11, -128, 15, 19});
    harness_end(&h);
    begin("QLinearGlobalAveragePool");
    harness_input(&h, PERCEPT_INT8, 4, DIMS(1, 2, 1, 2), (int8_t[]){1, 2, -100, -128});
    parameters(PERCEPT_INT8, 1, 1);
    parameters(PERCEPT_INT8, 1, 10);
    run(); /* 0.5 to even, -115 */
    harness_expect(&h, 0, PERCEPT_INT8, 4, DIMS(1, 2, 1, 1), (int8_t[]){10, -105});
    harness_end(&h);
}
END_TEST

START_TEST(means_go_over_the_axes_asked_for)
{
    begin("QLinearReduceMean");
    harness_int_list(&h, "axes", 1, DIMS(-2));
    harness_int(&h, "keepdims", 0);
    harness_input(&h, PERCEPT_UINT8, 2, DIMS(2, 3), (uint8_t[]){1, 2, 3, 5, 8, 255});
    parameters(PERCEPT_UINT8, 2, 1);
    parameters(PERCEPT_UINT8, 1, 3);
    run(); /* sums of x - 1: 4, 8, 256 */
    harness_expect(&h, 0, PERCEPT_UINT8, 1, DIMS(3), (uint8_t[]){7, 11, 255});
    harness_end(&h);
}
END_TEST

/* "Dequantize(Input) -> ReduceMean on fp32 data -> Quantize(output)" */
START_TEST(a_mean_between_two_numbers_becomes_the_even_one)
{
    for (int n = 2; n <= 30; n += 4) { /* halves: the sum is n / 2 times an odd number */
        uint8_t x[30];
        for (int odd = 1; odd < 16; odd += 2) {
            for (int i = 0; i < n; i++)
                x[i] = (uint8_t)(i < n / 2 ? odd : 0);
            begin("QLinearReduceMean");
            harness_input(&h, PERCEPT_UINT8, 1, DIMS(n), x);
            parameters(PERCEPT_UINT8, 0.1F, 0);
            parameters(PERCEPT_UINT8, 0.1F, 0);
            run();
            const uint8_t even = (uint8_t)(odd / 2 + odd / 2 % 2);
            harness_expect(&h, 0, PERCEPT_UINT8, 1, DIMS(1), &even);
            harness_end(&h);
        }
    }
}
END_TEST

START_TEST(what_is_chosen_is_brought_to_one_scale)
{
    begin("QLinearWhere");
    harness_input(&h, PERCEPT_BOOL, 2, DIMS(2, 1), (uint8_t[]){1, 0});
    harness_input(&h, PERCEPT_INT8, 1, DIMS(3), (int8_t[]){-128, 0, 5});
    parameters(PERCEPT_INT8, 1, 0);
    harness_input(&h, PERCEPT_INT8, 0, DIMS(0), (int8_t[]){13});
    parameters(PERCEPT_INT8, 0.5f, 10);
    parameters(PERCEPT_INT8, 1, -1);
    run(); /* -128, 0, 5; 1.5 to even */
    harness_expect(&h, 0, PERCEPT_INT8, 2, DIMS(2, 3), (int8_t[]){-128, -1, 4, 1, 1, 1});
    harness_end(&h);

    begin("QLinearWhere"); /* a zero point may be left out, the last one */
    harness_input(&h, PERCEPT_BOOL, 0, DIMS(0), (uint8_t[]){1});
    harness_input(&h, PERCEPT_UINT8, 1, DIMS(2), (uint8_t[]){7, 200});
    parameters(PERCEPT_UINT8, 2, 5);
    harness_input(&h, PERCEPT_UINT8, 0, DIMS(0), (uint8_t[]){0});
    parameters(PERCEPT_UINT8, 1, 0);
    harness_floats(&h, 0, DIMS(0), (float[]){1});
    run();
    harness_expect(&h, 0, PERCEPT_UINT8, 1, DIMS(2), (uint8_t[]){4, 255});
    harness_end(&h);

    begin("QLinearWhere");
    harness_input(&h, PERCEPT_UINT8, 0, DIMS(0), (uint8_t[]){1});
    harness_input(&h, PERCEPT_UINT8, 0, DIMS(0), (uint8_t[]){1});
    parameters(PERCEPT_UINT8, 1, 0);
    harness_input(&h, PERCEPT_UINT8, 0, DIMS(0), (uint8_t[]){1});
    parameters(PERCEPT_UINT8, 1, 0);
    parameters(PERCEPT_UINT8, 1, 0);
    harness_expect_failure(&h, ERR_UNSUPPORTED, "bool");
    harness_end(&h);
}
END_TEST

START_TEST(what_does_not_fit_is_refused_in_a_sentence)
{
    begin("QLinearAdd");
    harness_input(&h, PERCEPT_UINT8, 1, DIMS(2), (uint8_t[]){1, 2});
    parameters(PERCEPT_UINT8, 1, 0);
    harness_input(&h, PERCEPT_UINT8, 1, DIMS(3), (uint8_t[]){1, 2, 3});
    parameters(PERCEPT_UINT8, 1, 0);
    parameters(PERCEPT_UINT8, 1, 0);
    harness_expect_failure(&h, ERR_INVALID, "do not broadcast");
    harness_end(&h);

    begin("QLinearMul");
    harness_input(&h, PERCEPT_UINT8, 0, DIMS(0), (uint8_t[]){1});
    harness_floats(&h, 1, DIMS(2), (float[]){1, 2});
    harness_left_out(&h);
    harness_input(&h, PERCEPT_UINT8, 0, DIMS(0), (uint8_t[]){1});
    parameters(PERCEPT_UINT8, 1, 0);
    parameters(PERCEPT_UINT8, 1, 0);
    harness_expect_failure(&h, ERR_UNSUPPORTED, "input 1 has 2 elements; one works");
    harness_end(&h);

    begin("QLinearConcat");
    harness_int(&h, "axis", 0);
    parameters(PERCEPT_UINT8, 1, 10);
    harness_input(&h, PERCEPT_UINT8, 1, DIMS(1), (uint8_t[]){1});
    parameters(PERCEPT_UINT8, 1, 10);
    harness_input(&h, PERCEPT_UINT8, 1, DIMS(1), (uint8_t[]){1});
    harness_expect_failure(&h, ERR_MODEL, "it has 6 inputs; 2 and 3 for each tensor");
    harness_end(&h);
}
END_TEST

Suite *op_quant_map_suite(void);
Suite *op_quant_map_suite(void)
{
    Suite *suite = suite_create("op/quant_map");
    TCase *tests = tcase_create("quant_map");
    tcase_add_test(tests, sums_broadcast_and_saturate);
    tcase_add_test(tests, products_have_signs);
    tcase_add_test(tests, tables_know_every_byte);
    tcase_add_test(tests, parts_are_brought_to_one_scale);
    tcase_add_loop_test(tests, a_softmax_of_equals_is_even, 0, 2);
    tcase_add_test(tests, a_softmax_has_whole_steps);
    tcase_add_loop_test(tests, windows_are_averaged, 0, 2);
    tcase_add_test(tests, sums_of_many_bytes_carry_no_roundings_on);
    tcase_add_test(tests, whole_maps_are_averaged);
    tcase_add_test(tests, means_go_over_the_axes_asked_for);
    tcase_add_test(tests, a_mean_between_two_numbers_becomes_the_even_one);
    tcase_add_test(tests, what_is_chosen_is_brought_to_one_scale);
    tcase_add_test(tests, what_does_not_fit_is_refused_in_a_sentence);
    suite_add_tcase(suite, tests);
    return suite;
}
