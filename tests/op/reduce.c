/* reduce.c - sums, extremes, norms along any axes, in float, double and integers; ArgMax; CumSum, CumProd. */
#include <check.h>
#include <math.h>

#include "harness.h"

/* [2][3][2] */
static const float cube[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

static const struct {
    const char *op;
    float middle[4]; /* over axis 1 */
    float ends[3];   /* over axes 0 and 2 */
} members[] = {
    {"ReduceSum", {9, 12, 27, 30}, {18, 26, 34}},
    {"ReduceMean", {3, 4, 9, 10}, {4.5F, 6.5F, 8.5F}},
    {"ReduceMax", {5, 6, 11, 12}, {8, 10, 12}},
    {"ReduceMin", {1, 2, 7, 8}, {1, 3, 5}},
    {"ReduceProd", {15, 48, 693, 960}, {112, 1080, 3960}},
    {"ReduceL1", {9, 12, 27, 30}, {18, 26, 34}},
    {"ReduceL2", {5.9160798F, 7.4833148F, 15.843F, 17.549929F}, {10.8627805F, 14.3527001F, 18.0554701F}},
    {"ReduceLogSum", {2.1972246F, 2.4849066F, 3.2958369F, 3.4011974F}, {2.8903718F, 3.2580965F, 3.5263605F}},
    {"ReduceLogSumExp", {5.1429316F, 6.1429316F, 11.1429316F, 12.1429316F}, {8.3157377F, 10.3157377F, 12.3157377F}},
    {"ReduceSumSquare", {35, 56, 251, 308}, {118, 206, 326}},
};

START_TEST(neighbouring_and_scattered_axes_reduce)
{
    struct harness h;
    harness_begin(&h, members[_i].op, 18);
    harness_int(&h, "keepdims", 0);
    harness_floats(&h, 3, DIMS(2, 3, 2), cube);
    harness_int64s(&h, 1, DIMS(1), DIMS(-2));
    harness_as_known(&h);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 2, DIMS(2, 2), members[_i].middle, 1e-5F);
    harness_end(&h);
    harness_begin(&h, members[_i].op, 11);
    harness_int_list(&h, "axes", 2, DIMS(0, 2));
    harness_floats(&h, 3, DIMS(2, 3, 2), cube);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 3, DIMS(1, 3, 1), members[_i].ends, 1e-5F);
    harness_end(&h);
}
END_TEST

START_TEST(doubles_agree_with_floats)
{
    double wide[12];
    for (int i = 0; i < 12; i++)
        wide[i] = (double)cube[i];
    struct harness h;
    harness_begin(&h, members[_i].op, 11);
    harness_int_list(&h, "axes", 1, DIMS(1));
    harness_input(&h, PERCEPT_DOUBLE, 3, DIMS(2, 3, 2), wide);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    const double *y = harness_out(&h, 0)->data;
    for (int i = 0; i < 4; i++)
        ck_assert(fabs(y[i] - (double)members[_i].middle[i]) < 1e-4);
    harness_end(&h);
}
END_TEST

START_TEST(no_axes_means_all_or_none)
{
    for (int noop = 0; noop < 2; noop++) {
        struct harness h;
        harness_begin(&h, "ReduceSum", 13);
        harness_int(&h, "keepdims", 0);
        harness_int(&h, "noop_with_empty_axes", noop);
        harness_floats(&h, 3, DIMS(2, 3, 2), cube);
        ck_assert(harness_run(&h));
        if (noop)
            harness_expect_floats(&h, 0, 3, DIMS(2, 3, 2), cube, 0);
        else
            harness_expect_floats(&h, 0, 0, NULL, (float[]){78}, 0);
        harness_end(&h);
    }
}
END_TEST

START_TEST(nothing_reduces_to_the_neutral_element)
{
    static const struct {
        const char *op;
        float y;
    } cases[] = {{"ReduceSum", 0},
                 {"ReduceProd", 1},
                 {"ReduceMax", -INFINITY},
                 {"ReduceMin", INFINITY},
                 {"ReduceLogSum", -INFINITY},
                 {"ReduceL1", 0},
                 {"ReduceLogSumExp", -INFINITY},
                 {"ReduceL2", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct harness h;
        harness_begin(&h, cases[i].op, 18);
        harness_floats(&h, 2, DIMS(2, 0), NULL);
        harness_int64s(&h, 1, DIMS(1), DIMS(1));
        harness_as_known(&h);
        ck_assert_msg(harness_run(&h), "%s", h.err.text);
        harness_expect_floats(&h, 0, 2, DIMS(2, 1), (float[]){cases[i].y, cases[i].y}, 0);
        harness_end(&h);
    }
}
END_TEST

/* What the operators' texts give no value to; a result without elements is none of these. */
START_TEST(what_nothing_reduces_to_is_refused_unless_it_is_defined)
{
    static const struct {
        const char *op;
        int opset;
        enum percept_dtype dtype;
        const char *part;
    } cases[] = {{"ReduceMean", 13, PERCEPT_FLOAT, "axis 1 has no elements, and the mean of nothing"},
                 {"ReduceMean", 18, PERCEPT_INT32, "the mean of nothing is not defined"},
                 {"ReduceMax", 13, PERCEPT_FLOAT, "the maximum of nothing"},
                 {"ReduceMin", 12, PERCEPT_DOUBLE, "the minimum of nothing"},
                 {"ReduceLogSum", 18, PERCEPT_INT64, "the logarithm of the sum of nothing"},
                 {"ReduceLogSumExp", 13, PERCEPT_INT32, "the logarithm of the sum of nothing"},
                 {"ArgMax", 13, PERCEPT_FLOAT, "the place of the maximum of nothing"},
                 {"ArgMin", 13, PERCEPT_DOUBLE, "one element or more would work"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int64_t rows = 0; rows < 2; rows++) {
            struct harness h;
            harness_begin(&h, cases[i].op, cases[i].opset);
            const bool arg = cases[i].op[0] == 'A';
            if (arg)
                harness_int(&h, "axis", 1);
            else if (cases[i].opset < 18)
                harness_int_list(&h, "axes", 1, DIMS(1));
            harness_input(&h, cases[i].dtype, 2, DIMS(rows, 0), NULL);
            if (!arg && cases[i].opset >= 18) {
                harness_int64s(&h, 1, DIMS(1), DIMS(1));
                harness_as_known(&h);
            }
            if (rows)
                harness_expect_failure(&h, ERR_INVALID, cases[i].part);
            else
                ck_assert_msg(harness_run(&h), "%s: %s", cases[i].op, h.err.text);
            harness_end(&h);
        }
}
END_TEST

START_TEST(the_least_bool_of_none_is_true)
{
    for (int least = 0; least < 2; least++) {
        struct harness h;
        harness_begin(&h, least ? "ReduceMin" : "ReduceMax", 20);
        harness_input(&h, PERCEPT_BOOL, 2, DIMS(2, 0), NULL);
        harness_int64s(&h, 1, DIMS(1), DIMS(1));
        harness_as_known(&h);
        ck_assert_msg(harness_run(&h), "%s", h.err.text);
        const uint8_t y = (uint8_t)least;
        harness_expect(&h, 0, PERCEPT_BOOL, 2, DIMS(2, 1), (uint8_t[]){y, y});
        harness_end(&h);
    }
}
END_TEST

START_TEST(large_exponents_do_not_overflow)
{
    struct harness h;
    harness_begin(&h, "ReduceLogSumExp", 13);
    harness_floats(&h, 1, DIMS(3), (float[]){1000, 1000, -INFINITY});
    ck_assert(harness_run(&h));
    harness_expect_floats(&h, 0, 1, DIMS(1), (float[]){1000.69315F}, 1e-6F);
    harness_end(&h);
}
END_TEST

START_TEST(integers_wrap_and_means_truncate)
{
    struct harness h;
    harness_begin(&h, "ReduceSum", 11);
    harness_input(&h, PERCEPT_INT32, 1, DIMS(2), (int32_t[]){INT32_MAX, 1});
    ck_assert(harness_run(&h));
    harness_expect(&h, 0, PERCEPT_INT32, 1, DIMS(1), (int32_t[]){INT32_MIN});
    harness_end(&h);
    harness_begin(&h, "ReduceMean", 11);
    harness_int64s(&h, 1, DIMS(3), DIMS(-3, -4, -4));
    ck_assert(harness_run(&h));
    harness_expect(&h, 0, PERCEPT_INT64, 1, DIMS(1), DIMS(-3));
    harness_end(&h);
    harness_begin(&h, "ReduceMin", 18);
    harness_input(&h, PERCEPT_UINT8, 1, DIMS(3), (uint8_t[]){9, 3, 200});
    ck_assert(harness_run(&h));
    harness_expect(&h, 0, PERCEPT_UINT8, 1, DIMS(1), (uint8_t[]){3});
    harness_end(&h);
}
END_TEST

START_TEST(maps_of_a_blocked_picture_are_averaged_as_they_lie)
{
    float x[2 * 21 * 6], y[2 * 21];
    for (int i = 0; i < 2 * 21; i++) {
        y[i] = (float)i;
        for (int k = 0; k < 6; k++)
            x[i * 6 + k] = (float)i + (float)(k % 2 ? 1 : -1);
    }
    struct harness h;
    harness_begin(&h, "ReduceMean", 11);
    harness_int_list(&h, "axes", 2, DIMS(2, 3));
    harness_floats(&h, 4, DIMS(2, 21, 2, 3), x);
    harness_as_blocked(&h);
    ck_assert(harness_run(&h));
    ck_assert_int_eq(h.out_layout[0], LAYOUT_BLOCKED);
    harness_expect_floats(&h, 0, 4, DIMS(2, 21, 1, 1), y, 1e-6F);
    harness_end(&h);
    harness_begin(&h, "ReduceMean", 11);
    harness_int(&h, "keepdims", 0);
    harness_int_list(&h, "axes", 2, DIMS(2, 3));
    harness_floats(&h, 4, DIMS(2, 16, 2, 3), x);
    harness_as_blocked(&h);
    ck_assert(harness_run(&h));
    ck_assert_int_eq(h.want[0], LAYOUT_BLOCKED);
    harness_expect_floats(&h, 0, 2, DIMS(2, 16), y, 1e-6F);
    harness_end(&h);
}
END_TEST

START_TEST(axes_that_depend_on_data_are_refused)
{
    struct harness h;
    harness_begin(&h, "ReduceSum", 13);
    harness_floats(&h, 3, DIMS(2, 3, 2), cube);
    harness_int64s(&h, 1, DIMS(1), DIMS(1));
    harness_expect_failure(&h, ERR_UNSUPPORTED, "input 1 depends on data");
    harness_end(&h);
}
END_TEST

START_TEST(the_first_or_the_last_of_equals_is_the_extreme)
{
    static const struct {
        const char *op;
        int last;
        int64_t y;
    } cases[] = {{"ArgMax", 0, 1}, {"ArgMax", 1, 3}, {"ArgMin", 0, 0}, {"ArgMin", 1, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct harness h;
        harness_begin(&h, cases[i].op, 13);
        harness_int(&h, "select_last_index", cases[i].last);
        harness_int(&h, "keepdims", 0);
        harness_floats(&h, 1, DIMS(4), (float[]){1, 9, 1, 9});
        ck_assert(harness_run(&h));
        harness_expect(&h, 0, PERCEPT_INT64, 0, NULL, &cases[i].y);
        harness_end(&h);
    }
}
END_TEST

START_TEST(a_nan_is_the_extreme)
{
    struct harness h;
    harness_begin(&h, "ArgMax", 13);
    harness_int(&h, "axis", -1);
    harness_floats(&h, 2, DIMS(2, 3), (float[]){1, NAN, NAN, 3, 2, 1});
    ck_assert(harness_run(&h));
    harness_expect(&h, 0, PERCEPT_INT64, 2, DIMS(2, 1), DIMS(1, 0));
    harness_end(&h);
    harness_begin(&h, "ArgMin", 13);
    harness_int(&h, "axis", 1);
    harness_floats(&h, 2, DIMS(2, 0), NULL);
    harness_expect_failure(&h, ERR_INVALID, "axis 1 has no elements");
    harness_end(&h);
}
END_TEST

START_TEST(running_sums_go_both_ways)
{
    static const struct {
        int exclusive, reverse;
        float y[3];
    } cases[] = {{0, 0, {1, 3, 6}}, {1, 0, {0, 1, 3}}, {0, 1, {6, 5, 3}}, {1, 1, {5, 3, 0}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct harness h;
        harness_begin(&h, "CumSum", 14);
        harness_int(&h, "exclusive", cases[i].exclusive);
        harness_int(&h, "reverse", cases[i].reverse);
        harness_floats(&h, 2, DIMS(3, 1), (float[]){1, 2, 3});
        harness_input(&h, PERCEPT_INT32, 0, NULL, (int32_t[]){-2}); /* known only when run */
        ck_assert(harness_run(&h));
        harness_expect_floats(&h, 0, 2, DIMS(3, 1), cases[i].y, 0);
        harness_end(&h);
    }
    static const struct {
        int exclusive, reverse;
        float y[3];
    } products[] = {{0, 0, {2, 6, 24}}, {1, 0, {1, 2, 6}}, {0, 1, {24, 12, 4}}, {1, 1, {12, 4, 1}}};
    for (size_t i = 0; i < sizeof products / sizeof *products; i++) {
        struct harness h;
        harness_begin(&h, "CumProd", 26);
        harness_int(&h, "exclusive", products[i].exclusive);
        harness_int(&h, "reverse", products[i].reverse);
        harness_floats(&h, 1, DIMS(3), (float[]){2, 3, 4});
        harness_int64s(&h, 0, NULL, DIMS(0));
        ck_assert(harness_run(&h));
        harness_expect_floats(&h, 0, 1, DIMS(3), products[i].y, 0);
        harness_end(&h);
    }
    struct harness h;
    harness_begin(&h, "CumSum", 14);
    harness_floats(&h, 1, DIMS(1), (float[]){1});
    harness_int64s(&h, 0, NULL, DIMS(1));
    harness_expect_failure(&h, ERR_DATA, "axis 1 is outside [-1, 0]");
    harness_end(&h);
}
END_TEST

START_TEST(what_an_integer_cannot_hold_becomes_its_edge)
{
    const uint16_t large[] = {65535, 65535}, edge = UINT16_MAX;
    const int8_t small[] = {-128, -128, -128}, least = INT8_MAX;
    struct harness h;
    harness_begin(&h, "ReduceL2", 18);
    harness_input(&h, PERCEPT_UINT16, 1, DIMS(2), large);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_UINT16, 1, DIMS(1), &edge);
    harness_end(&h);
    harness_begin(&h, "ReduceL2", 18);
    harness_input(&h, PERCEPT_INT8, 1, DIMS(3), small);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_INT8, 1, DIMS(1), &least);
    harness_end(&h);
}
END_TEST

START_TEST(scattered_axes_of_nothing_need_no_scratch)
{
    struct harness h;
    harness_begin(&h, "ReduceSum", 11);
    harness_int_list(&h, "axes", 2, DIMS(0, 2));
    harness_input(&h, PERCEPT_INT32, 3, DIMS(2, 3, 0), NULL);
    ck_assert_msg(harness_plan(&h), "%s", h.err.text);
    h.step.scratch = NULL;
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_INT32, 3, DIMS(1, 3, 1), (int32_t[]){0, 0, 0});
    harness_end(&h);
}
END_TEST

/* Long lines of what hurts, against double: at most 1e-6 of the sum of the absolute terms (all are positive here);
 * of running sums the last one, which is that of all. */
START_TEST(long_lines_keep_their_digits)
{
    static const char *const ops[] = {"ReduceSum", "CumSum",          "ReduceMean",   "ReduceL1",
                                      "ReduceL2",  "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"};
    enum { N = 400003 };
    static float x[2 * N];
    for (int64_t i = 0; i < 2 * N; i++)
        x[i] = 0.1F;
    const double each = (double)x[0], sum = N * each, squares = N * each * each;
    const double want[] = {sum, sum, each, sum, sqrt(squares), squares, log(sum), log(N * exp(each))};
    for (int op = 0; op < 8; op++)
        for (int axis = 0; axis < 2; axis++) {
            const int64_t reduced = axis;
            struct harness h;
            harness_begin(&h, ops[op], 13);
            harness_floats(&h, 2, axis ? DIMS(2, N) : DIMS(N, 2), x);
            if (op < 2) {
                harness_int64s(&h, 1, DIMS(1), &reduced);
                harness_as_constant(&h);
            } else {
                harness_int_list(&h, "axes", 1, &reduced);
            }
            ck_assert_msg(harness_run(&h), "%s", h.err.text);
            const float *y = harness_out(&h, 0)->data;
            for (int line = 0; line < 2; line++) {
                const int64_t last = axis ? line * N + N - 1 : 2 * (N - 1) + line;
                const double got = (double)y[op == 1 ? last : line];
                ck_assert_msg(fabs(got - want[op]) <= 1e-6 * (1 + fabs(want[op])), "%s along %d: %.9g, want %.9g",
                              ops[op], axis, got, want[op]);
            }
            harness_end(&h);
        }
}
END_TEST

Suite *op_reduce_suite(void)
{
    Suite *suite = suite_create("op/reduce");
    TCase *tcase = tcase_create("reduce");
    const int n = (int)(sizeof members / sizeof *members);
    tcase_add_loop_test(tcase, neighbouring_and_scattered_axes_reduce, 0, n);
    tcase_add_loop_test(tcase, doubles_agree_with_floats, 0, n);
    tcase_add_test(tcase, no_axes_means_all_or_none);
    tcase_add_test(tcase, nothing_reduces_to_the_neutral_element);
    tcase_add_test(tcase, what_nothing_reduces_to_is_refused_unless_it_is_defined);
    tcase_add_test(tcase, the_least_bool_of_none_is_true);
    tcase_add_test(tcase, large_exponents_do_not_overflow);
    tcase_add_test(tcase, integers_wrap_and_means_truncate);
    tcase_add_test(tcase, maps_of_a_blocked_picture_are_averaged_as_they_lie);
    tcase_add_test(tcase, axes_that_depend_on_data_are_refused);
    tcase_add_test(tcase, the_first_or_the_last_of_equals_is_the_extreme);
    tcase_add_test(tcase, a_nan_is_the_extreme);
    tcase_add_test(tcase, running_sums_go_both_ways);
    tcase_add_test(tcase, what_an_integer_cannot_hold_becomes_its_edge);
    tcase_add_test(tcase, scattered_axes_of_nothing_need_no_scratch);
    tcase_add_test(tcase, long_lines_keep_their_digits);
    suite_add_tcase(suite, tcase);
    return suite;
}
