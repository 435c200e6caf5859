/* make.c - constants in all their forms, filled shapes, ranges, identity matrices, random numbers. */
#include <check.h>
#include <math.h>

#include "harness.h"

START_TEST(constants_come_in_many_forms)
{
    struct harness h;
    harness_begin(&h, "Constant", 13);
    harness_tensor(&h, "value",
                   &(struct tensor){.dtype = PERCEPT_FLOAT, .rank = 1, .dims = {2}, .data = (float[]){1, 2}});
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
    harness_tensor(&h, "value",
                   &(struct tensor){.dtype = PERCEPT_INT32, .rank = 1, .dims = {1}, .data = (int32_t[]){7}});
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

/* Multinomial of two items of three classes. */
static void draw(struct harness *h, enum percept_dtype dtype, int64_t samples, const float *x)
{
    harness_begin(h, "Multinomial", 7);
    harness_int(h, "dtype", dtype);
    harness_int(h, "sample_size", samples);
    harness_float(h, "seed", 5);
    harness_floats(h, 2, DIMS(2, 3), x);
}

START_TEST(classes_are_drawn_by_their_weight)
{
    struct harness h;
    const float third = logf(3); /* 1:3:0, then 1:1:2 with a large common factor */
    draw(&h, PERCEPT_INT64, 4000, (float[]){0, third, -INFINITY, 300, 300, 300 + logf(2)});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    ck_assert(h.step.op->rule->flags & OP_RANDOM);
    static const double want[2][3] = {{0.25, 0.75, 0}, {0.25, 0.25, 0.5}};
    for (int item = 0; item < 2; item++) {
        int counts[3] = {0};
        for (int i = 0; i < 4000; i++) {
            const int64_t drawn = ((const int64_t *)harness_out(&h, 0)->data)[4000 * item + i];
            ck_assert(drawn >= 0 && drawn < 3);
            counts[drawn]++;
        }
        for (int k = 0; k < 3; k++)
            ck_assert_double_eq_tol(counts[k] / 4000.0, want[item][k], want[item][k] > 0 ? 0.03 : 1e-9);
    }
    harness_end(&h);
}
END_TEST

START_TEST(a_class_without_weight_is_never_drawn)
{
    struct harness h;
    draw(&h, PERCEPT_INT32, 3, (float[]){-INFINITY, 3e38f, -3e38f, NAN, INFINITY, -1});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_INT32, 2, DIMS(2, 3), (int32_t[]){1, 1, 1, 2, 2, 2});
    harness_end(&h);
    harness_begin(&h, "Multinomial", 22); /* int32, one sample */
    harness_input(&h, PERCEPT_DOUBLE, 2, DIMS(2, 2), (double[]){-1e308, 1e308, 0, -1e308});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_INT32, 2, DIMS(2, 1), (int32_t[]){1, 0});
    harness_end(&h);
    draw(&h, PERCEPT_INT32, 3, (float[]){1, 2, 3, -INFINITY, NAN, INFINITY});
    harness_expect_failure(&h, ERR_DATA, "item 1 has no class whose log probability is finite");
    harness_end(&h);
}
END_TEST

START_TEST(draws_repeat_by_seed_and_go_on)
{
    struct harness h;
    int32_t first[40];
    for (int i = 0; i < 2; i++) {
        draw(&h, PERCEPT_INT32, 20, (float[]){0, 0, 0, 0, 0, 0});
        ck_assert(harness_run(&h));
        const int32_t *y = harness_out(&h, 0)->data;
        ck_assert(i == 0 || memcmp(y, first, sizeof first) == 0);
        memcpy(first, y, sizeof first);
        ck_assert(harness_run(&h));
        ck_assert(memcmp(y, first, sizeof first) != 0);
        harness_end(&h);
    }
}
END_TEST

START_TEST(draws_that_cannot_be_are_refused)
{
    struct harness h;
    static const float none[1];
    draw(&h, PERCEPT_FLOAT, 1, (float[6]){0});
    harness_expect_failure(&h, ERR_MODEL, "'dtype'");
    harness_end(&h);
    draw(&h, PERCEPT_INT32, 0, (float[6]){0});
    harness_expect_failure(&h, ERR_MODEL, "'sample_size'");
    harness_end(&h);
    draw(&h, PERCEPT_INT32, INT64_MAX, (float[6]){0});
    harness_expect_failure(&h, ERR_INVALID, "the output would be too large");
    harness_end(&h);
    static const int64_t shapes[][3] = {{2, 0, 0}, {2, 2, 2}};
    for (int i = 0; i < 2; i++) {
        harness_begin(&h, "Multinomial", 7);
        harness_floats(&h, 2 + i, shapes[i], (float[8]){0});
        harness_expect_failure(&h, ERR_INVALID, "[batch,classes] with a class at least");
        harness_end(&h);
    }
    harness_begin(&h, "Multinomial", 7);
    harness_int64s(&h, 2, DIMS(1, 1), DIMS(1));
    harness_expect_failure(&h, ERR_UNSUPPORTED, "input 0 is int64");
    harness_end(&h);
    for (int64_t classes = 0; classes < 2; classes++) { /* nobody to draw for */
        harness_begin(&h, "Multinomial", 7);
        harness_floats(&h, 2, DIMS(0, classes), none);
        ck_assert_msg(harness_run(&h), "%s", h.err.text);
        ck_assert_uint_eq(h.step.scratch_bytes, 0);
        harness_expect(&h, 0, PERCEPT_INT32, 2, DIMS(0, 1), NULL);
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
    tcase_add_test(tcase, classes_are_drawn_by_their_weight);
    tcase_add_test(tcase, a_class_without_weight_is_never_drawn);
    tcase_add_test(tcase, draws_repeat_by_seed_and_go_on);
    tcase_add_test(tcase, draws_that_cannot_be_are_refused);
    suite_add_tcase(suite, tcase);
    return suite;
}
