/* training.c - tests of src/op/training.c: BatchNormalization by the batch's own statistics, against sums in double. */
#include "op/training.h"

#include <check.h>
#include <math.h>
#include <string.h>

#include "harness.h"

static struct harness h;
static float x[120], scale[40], shift[40], mean[40], variance[40];

static void draw_all(void)
{
    uint32_t seed = 5;
    float *const lists[] = {x, scale, shift, mean, variance};
    const int lengths[] = {120, 40, 40, 40, 40};
    for (int k = 0; k < 5; k++)
        for (int i = 0; i < lengths[k]; i++) {
            seed = seed * 1664525U + 1013904223U;
            lists[k][i] = (float)(seed >> 8) / 8388608.0F + (k == 4 ? 1 : k == 0 ? 100 : 0); /* a large mean */
        }
}

/* x [3, 2, ...] of 120 elements; parameters of `channels` elements under these dims. */
static void begin(int opset, int outputs, int rank, const int64_t *dims, int p_rank, const int64_t *p_dims)
{
    draw_all();
    harness_begin(&h, "BatchNormalization", opset);
    harness_outputs(&h, outputs);
    if (opset >= 14)
        harness_int(&h, "training_mode", 1);
    harness_float(&h, "momentum", 0.75F);
    harness_floats(&h, rank, dims, x);
    const float *const lists[] = {scale, shift, mean, variance};
    for (int k = 0; k < 4; k++)
        harness_floats(&h, p_rank, p_dims, lists[k]);
}

static void expect(int64_t items, int64_t channels, int64_t pixels, int p_rank, const int64_t *p_dims, int outputs)
{
    float y[120], told[4][40];
    for (int64_t c = 0; c < channels; c++) {
        double m = 0, v = 0;
        const double n = (double)(items * pixels);
        for (int64_t i = 0; i < items * pixels; i++)
            m += (double)x[(i / pixels * channels + c) * pixels + i % pixels] / n;
        for (int64_t i = 0; i < items * pixels; i++)
            v += pow((double)x[(i / pixels * channels + c) * pixels + i % pixels] - m, 2) / n;
        for (int64_t i = 0; i < items * pixels; i++) {
            const int64_t at = (i / pixels * channels + c) * pixels + i % pixels;
            y[at] = (float)(((double)x[at] - m) / sqrt(v + 1e-5) * (double)scale[c] + (double)shift[c]);
        }
        told[0][c] = (float)((double)mean[c] * 0.75 + m * 0.25);
        told[1][c] = (float)((double)variance[c] * 0.75 + v * 0.25);
        told[2][c] = (float)m;
        told[3][c] = (float)v;
    }
    const struct tensor *got = harness_out(&h, 0);
    harness_expect_floats(&h, 0, got->rank, got->dims, y, 1e-5F); /* x near 100: one part in 2^17 of x - mean */
    for (int o = 1; o < outputs; o++)
        harness_expect_floats(&h, o, p_rank, p_dims, told[o - 1], 1e-6F);
}

START_TEST(statistics_are_the_batchs_own_in_every_opset)
{
    static const struct {
        int opset, outputs;
    } forms[] = {{15, 3}, {14, 1}, {9, 5}, {7, 5}, {6, 5}, {1, 3}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        begin(forms[i].opset, forms[i].outputs, 4, DIMS(3, 4, 5, 2), 1, DIMS(4));
        ck_assert_msg(harness_run(&h), "%s", h.err.text);
        expect(3, 4, 10, 1, DIMS(4), forms[i].outputs);
        ck_assert_ptr_nonnull(strstr(h.node.note, "training form"));
        ck_assert(h.node.op->rule->flags & OP_MIXES);
        harness_end(&h);
    }
    begin(15, 3, 2, DIMS(12, 10), 1, DIMS(10));
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    expect(12, 10, 1, 1, DIMS(10), 3);
    harness_end(&h);
}
END_TEST

START_TEST(before_opset_9_every_element_may_be_a_channel)
{
    begin(7, 5, 3, DIMS(3, 8, 5), 2, DIMS(8, 5));
    harness_int(&h, "spatial", 0);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    expect(3, 40, 1, 2, DIMS(8, 5), 5);
    harness_end(&h);
}
END_TEST

START_TEST(doubles_are_normalized_as_doubles)
{
    harness_begin(&h, "BatchNormalization", 15);
    harness_int(&h, "training_mode", 1);
    harness_input(&h, PERCEPT_DOUBLE, 2, DIMS(2, 1), (double[]){1 + 0x1p-40, 1 - 0x1p-40});
    harness_float(&h, "epsilon", 0);
    for (int k = 0; k < 4; k++)
        harness_input(&h, PERCEPT_DOUBLE, 1, DIMS(1), (double[]){1});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_DOUBLE, 2, DIMS(2, 1), (double[]){2, 0});
    harness_end(&h);
}
END_TEST

START_TEST(statistics_of_nothing_are_refused)
{
    begin(15, 3, 4, DIMS(0, 2, 3, 5), 1, DIMS(2));
    harness_expect_failure(&h, ERR_INVALID, "axis 0 has no elements, and the mean of nothing is not defined");
    harness_end(&h);
    begin(9, 5, 4, DIMS(3, 2, 5, 0), 1, DIMS(2));
    harness_expect_failure(&h, ERR_INVALID, "axis 3 has no elements");
    harness_end(&h);
    begin(15, 3, 1, DIMS(0), 1, DIMS(1));
    harness_expect_failure(&h, ERR_INVALID, "axis 0 has no elements");
    harness_end(&h);
    begin(15, 1, 4, DIMS(0, 2, 3, 5), 1, DIMS(2)); /* nobody asks */
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_end(&h);
    begin(15, 3, 2, DIMS(3, 0), 1, DIMS(0)); /* of no channels */
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_end(&h);
}
END_TEST

START_TEST(what_does_not_fit_is_refused)
{
    begin(15, 3, 4, DIMS(3, 4, 5, 2), 1, DIMS(3));
    harness_expect_failure(&h, ERR_INVALID, "input 1 has 3 elements; 4, as there are channels, work");
    harness_end(&h);
    harness_begin(&h, "BatchNormalization", 15); /* not in training form */
    harness_outputs(&h, 3);
    for (int k = 0; k < 5; k++)
        harness_floats(&h, 1, DIMS(1), x);
    harness_expect_failure(&h, ERR_MODEL, "which only its training form gives");
    harness_end(&h);
    begin(6, 5, 2, DIMS(12, 10), 1, DIMS(10));
    harness_int(&h, "is_test", 1);
    harness_expect_failure(&h, ERR_MODEL, "which only its training form gives");
    harness_end(&h);
}
END_TEST

Suite *op_training_suite(void);
Suite *op_training_suite(void)
{
    Suite *suite = suite_create("op_training");
    TCase *tests = tcase_create("training");
    tcase_add_test(tests, statistics_are_the_batchs_own_in_every_opset);
    tcase_add_test(tests, before_opset_9_every_element_may_be_a_channel);
    tcase_add_test(tests, doubles_are_normalized_as_doubles);
    tcase_add_test(tests, statistics_of_nothing_are_refused);
    tcase_add_test(tests, what_does_not_fit_is_refused);
    suite_add_tcase(suite, tests);
    return suite;
}
