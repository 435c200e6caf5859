/* make.c - constants in all their forms, filled shapes, ranges, identity matrices, random numbers. */
#include <check.h>
#include <math.h>

#include "harness.h"

START_TEST(constants_come_in_many_forms)
{
    struct harness h;
    harness_begin(&h, "Constant", 13);
    harness_tensor(&h, "value", &(struct tensor){.dtype = PERCEPT_FLOAT, .rank = 1, .dims = {2},
                                                 .data = (float[]){1, 2}});
    ck_assert(harness_run(&h));
    harness_expect_floats(&h, 0, 1, DIMS(2), (float[]){1, 2}, 0);
    harness_end(&h);
    harness_begin(&h, "Constant", 13);
    harness_float(&h, "value_float", 3);
    ck_assert(harness_run(&h));
    harness_expect_floats(&h, 0, 0, NULL, (float[]){3}, 0);
    harness_end(&h);
    harness_begin(&h, "Constant", 13);
    harness_int_list(&h, "value_ints", 2, DIMS(4, 5));
    ck_assert(harness_run(&h));
    harness_expect(&h, 0, PERCEPT_INT64, 1, DIMS(2), DIMS(4, 5));
    harness_end(&h);
    harness_begin(&h, "Constant", 13);
    harness_text(&h, "value_string", "hello");
    ck_assert(harness_run(&h));
    const struct percept_string *y = harness_out(&h, 0)->data;
    ck_assert(y->n_bytes == 5 && !memcmp(y->at, "hello", 5));
    harness_end(&h);
}
END_TEST

START_TEST(a_constant_without_a_value_is_refused)
{
    struct harness h;
    harness_begin(&h, "Constant", 13);
    harness_float(&h, "value_int", 3);
    harness_expect_failure(&h, ERR_UNSUPPORTED, "it has no value that is known");
    harness_end(&h);
}
END_TEST

START_TEST(shapes_are_filled)
{
    struct harness h;
    harness_begin(&h, "ConstantOfShape", 9);
    harness_tensor(&h, "value", &(struct tensor){.dtype = PERCEPT_INT32, .rank = 1, .dims = {1},
                                                 .data = (int32_t[]){7}});
    harness_int64s(&h, 1, DIMS(2), DIMS(2, 2));
    harness_as_known(&h);
    ck_assert(harness_run(&h));
    harness_expect(&h, 0, PERCEPT_INT32, 2, DIMS(2, 2), (int32_t[]){7, 7, 7, 7});
    harness_end(&h);
    harness_begin(&h, "ConstantOfShape", 9);
    harness_int64s(&h, 1, DIMS(0), NULL);
    harness_as_known(&h);
    ck_assert(harness_run(&h));
    harness_expect_floats(&h, 0, 0, NULL, (float[]){0}, 0);
    harness_end(&h);
    static const int64_t bad[][2] = {{-1, 2}, {INT64_MAX, 2}};
    for (int i = 0; i < 2; i++) {
        harness_begin(&h, "ConstantOfShape", 9);
        harness_int64s(&h, 1, DIMS(2), bad[i]);
        harness_as_known(&h);
        harness_expect_failure(&h, ERR_INVALID, "negative dimension or is too large");
        harness_end(&h);
    }
    harness_begin(&h, "ConstantOfShape", 9);
    harness_int64s(&h, 1, DIMS(2), DIMS(2, 2));
    harness_expect_failure(&h, ERR_UNSUPPORTED, "input 0 depends on data");
    harness_end(&h);
}
END_TEST

START_TEST(ranges_run_both_ways)
{
    static const struct {
        int64_t start, limit, delta, n;
    } cases[] = {{0, 5, 2, 3}, {5, 0, -2, 3}, {0, 5, -1, 0}, {3, 3, 1, 0}, {INT64_MIN, INT64_MAX, INT64_MAX, 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct harness h;
        harness_begin(&h, "Range", 11);
        const int64_t *const values[] = {&cases[i].start, &cases[i].limit, &cases[i].delta};
        for (int k = 0; k < 3; k++) {
            harness_int64s(&h, 0, NULL, values[k]);
            harness_as_known(&h);
        }
        ck_assert_msg(harness_run(&h), "%s", h.err.text);
        const struct tensor *y = harness_out(&h, 0);
        ck_assert_int_eq(y->dims[0], cases[i].n);
        for (int64_t k = 0; k < cases[i].n; k++)
            ck_assert_uint_eq(((const uint64_t *)y->data)[k],
                              (uint64_t)cases[i].start + (uint64_t)k * (uint64_t)cases[i].delta);
        harness_end(&h);
    }
}
END_TEST

START_TEST(ranges_that_never_end_are_refused)
{
    static const float values[][3] = {{0, 1, 0}, {0, NAN, 1}, {NAN, 1, 1}};
    for (int i = 0; i < 3; i++) {
        struct harness h;
        harness_begin(&h, "Range", 11);
        for (int k = 0; k < 3; k++) {
            harness_floats(&h, 0, NULL, &values[i][k]);
            harness_as_known(&h);
        }
        harness_expect_failure(&h, ERR_DATA, "0 or not a number");
        harness_end(&h);
    }
}
END_TEST

START_TEST(ones_stand_on_a_diagonal)
{
    static const struct {
        int64_t k;
        float y[6];
    } cases[] = {{0, {1, 0, 0, 0, 1, 0}}, {2, {0, 0, 1, 0, 0, 0}}, {-1, {0, 0, 0, 1, 0, 0}}, {INT64_MAX, {0}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct harness h;
        harness_begin(&h, "EyeLike", 9);
        harness_int(&h, "k", cases[i].k);
        harness_int(&h, "dtype", PERCEPT_FLOAT);
        harness_int64s(&h, 2, DIMS(2, 3), DIMS(9, 9, 9, 9, 9, 9));
        ck_assert(harness_run(&h));
        harness_expect_floats(&h, 0, 2, DIMS(2, 3), cases[i].y, 0);
        harness_end(&h);
    }
}
END_TEST

/* Mean and variance of 4000 numbers. */
static void moments(struct harness *h, double *mean, double *variance)
{
    const float *y = harness_out(h, 0)->data;
    double sum = 0, squares = 0;
    for (int i = 0; i < 4000; i++) {
        sum += (double)y[i];
        squares += (double)y[i] * (double)y[i];
    }
    *mean = sum / 4000;
    *variance = squares / 4000 - *mean * *mean;
}

START_TEST(random_numbers_have_their_distribution)
{
    static float chances[4000];
    for (int i = 0; i < 4000; i++)
        chances[i] = 0.25F;
    static const struct {
        const char *op;
        double mean, variance;
    } cases[] = {{"RandomUniform", 0.5, 1.0 / 12},
                 {"RandomNormal", 0, 1},
                 {"RandomUniformLike", 0.5, 1.0 / 12},
                 {"RandomNormalLike", 0, 1},
                 {"Bernoulli", 0.25, 0.1875}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct harness h;
        harness_begin(&h, cases[i].op, 15);
        harness_float(&h, "seed", 3);
        if (i < 2)
            harness_int_list(&h, "shape", 2, DIMS(40, 100));
        else
            harness_floats(&h, 2, DIMS(40, 100), chances);
        ck_assert_msg(harness_run(&h), "%s", h.err.text);
        ck_assert(h.step.op->rule->flags & OP_RANDOM);
        double mean, variance;
        moments(&h, &mean, &variance);
        ck_assert_msg(fabs(mean - cases[i].mean) < 0.06, "%s: mean %g", cases[i].op, mean);
        ck_assert_msg(fabs(variance - cases[i].variance) < 0.08, "%s: variance %g", cases[i].op, variance);
        harness_end(&h);
    }
}
END_TEST

START_TEST(a_seed_repeats_and_a_run_goes_on)
{
    float first = 0;
    for (int i = 0; i < 2; i++) {
        struct harness h;
        harness_begin(&h, "RandomNormal", 1);
        harness_float(&h, "seed", 42);
        harness_int_list(&h, "shape", 1, DIMS(1));
        ck_assert(harness_run(&h));
        float y = *(const float *)harness_out(&h, 0)->data;
        if (i)
            ck_assert(y == first);
        first = y;
        ck_assert(harness_run(&h));
        ck_assert(*(const float *)harness_out(&h, 0)->data != first);
        harness_end(&h);
    }
}
END_TEST

Suite *op_make_suite(void)
{
    Suite *suite = suite_create("op/make");
    TCase *tcase = tcase_create("make");
    tcase_add_test(tcase, constants_come_in_many_forms);
    tcase_add_test(tcase, a_constant_without_a_value_is_refused);
    tcase_add_test(tcase, shapes_are_filled);
    tcase_add_test(tcase, ranges_run_both_ways);
    tcase_add_test(tcase, ranges_that_never_end_are_refused);
    tcase_add_test(tcase, ones_stand_on_a_diagonal);
    tcase_add_test(tcase, random_numbers_have_their_distribution);
    tcase_add_test(tcase, a_seed_repeats_and_a_run_goes_on);
    suite_add_tcase(suite, tcase);
    return suite;
}
