/* linear.c - tests of src/op/linear.c: linear classifiers and regressors. */
#include "harness.h"

#include <check.h>
#include <math.h>

static struct harness h;

static void begin(const char *op_type)
{
    harness_begin_in(&h, "ai.onnx.ml", op_type, 1);
}

/* Scores x, -x + 1, y. */
static void three_classes(const char *transform)
{
    begin("LinearClassifier");
    harness_outputs(&h, 2);
    harness_float_list(&h, "coefficients", 6, (float[]){1, 0, -1, 0, 0, 1});
    harness_float_list(&h, "intercepts", 3, (float[]){0, 1, 0});
    harness_text(&h, "post_transform", transform);
}

static const char *const names[] = {"red", "gr\xc3\xbcn", ""};

START_TEST(the_first_of_the_largest_scores_is_the_label)
{
    three_classes("NONE");
    harness_text_list(&h, "classlabels_strings", 3, names);
    harness_floats(&h, 2, DIMS(4, 2), (float[]){2, 0, -3, 0, 0, 5, 0.5f, 0.5f});
    harness_ran(&h);
    harness_expect_texts(&h, 0, 1, DIMS(4), (const char *const[]){names[0], names[1], names[2], names[0]});
    harness_expect_floats(&h, 1, 2, DIMS(4, 3), (float[]){2, -1, 0, -3, 4, 0, 0, 1, 5, 0.5f, 0.5f, 0.5f}, 0);
    harness_end(&h);
    three_classes("NONE"); /* a vector is one sample; other types become floats; scores that nobody wants */
    harness_outputs(&h, 1);
    harness_int_list(&h, "classlabels_ints", 3, DIMS(7, 8, 9));
    harness_int64s(&h, 1, DIMS(2), DIMS(-4, 1));
    harness_ran(&h);
    harness_expect(&h, 0, PERCEPT_INT64, 1, DIMS(1), DIMS(8));
    harness_end(&h);
}
END_TEST

START_TEST(scores_are_transformed)
{
    const float e = (float)M_E, one = 1 / (1 + 1 / e);
    static const char *const transforms[] = {"SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO"};
    const float sum = e + 1 + 1;
    const float want[][3] = {{e / sum, 1 / sum, 1 / sum}, {one, 0.5f, 0.5f}, {1, 0, 0}};
    for (int i = 0; i < 3; i++) {
        three_classes(transforms[i]);
        harness_int_list(&h, "classlabels_ints", 3, DIMS(7, 8, 9));
        harness_floats(&h, 2, DIMS(1, 2), (float[]){1, 0});
        harness_ran(&h);
        harness_expect(&h, 0, PERCEPT_INT64, 1, DIMS(1), DIMS(7));
        harness_expect_floats(&h, 1, 2, DIMS(1, 3), want[i], 2e-7f); /* exp and two roundings */
        harness_end(&h);
    }
}
END_TEST

START_TEST(probit_is_the_inverse_of_the_normal_distribution)
{
    begin("LinearRegressor");
    harness_float_list(&h, "coefficients", 1, (float[]){1});
    harness_text(&h, "post_transform", "PROBIT");
    harness_floats(&h, 2, DIMS(6, 1), (float[]){0.5f, 0.975f, 0.001f, 0, 1, 2});
    harness_ran(&h);
    harness_expect_floats(&h, 0, 2, DIMS(6, 1), (float[]){0, 1.9599640f, -3.0902323f, -INFINITY, INFINITY, NAN}, 1e-6f);
    harness_end(&h);
}
END_TEST

/* One row of coefficients, two labels. */
START_TEST(the_sign_of_one_score_decides_between_two_labels)
{
    static const struct {
        const char *transform;
        float want[4];
    } rows[] = {{"NONE", {-1, 2, 2, -1}},
                {"LOGISTIC", {0.11920292f, 0.88079708f, 0.73105858f, 0.26894142f}},
                {"SOFTMAX", {-1, 2, 2, -1}}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin("LinearClassifier");
        harness_outputs(&h, 2);
        harness_float_list(&h, "coefficients", 1, (float[]){1});
        harness_float_list(&h, "intercepts", 1, (float[]){0});
        harness_text(&h, "post_transform", rows[i].transform);
        harness_text_list(&h, "classlabels_strings", 2, (const char *const[]){"no", "yes"});
        harness_floats(&h, 2, DIMS(2, 1), (float[]){2, -1});
        harness_ran(&h);
        harness_expect_texts(&h, 0, 1, DIMS(2), (const char *const[]){"yes", "no"});
        harness_expect_floats(&h, 1, 2, DIMS(2, 2), rows[i].want, 2e-7f);
        harness_end(&h);
    }
}
END_TEST

START_TEST(a_regressor_has_targets)
{
    begin("LinearRegressor");
    harness_int(&h, "targets", 2);
    harness_float_list(&h, "coefficients", 4, (float[]){1, 2, 3, 4});
    harness_float_list(&h, "intercepts", 2, (float[]){10, 20});
    harness_input(&h, PERCEPT_DOUBLE, 2, DIMS(2, 2), (double[]){1, 1, 0, -1});
    harness_ran(&h);
    harness_expect_floats(&h, 0, 2, DIMS(2, 2), (float[]){13, 27, 8, 16}, 0);
    harness_end(&h);
}
END_TEST

/* A row's bits do not depend on how many there are: 100 rows are cut into pieces. */
START_TEST(many_rows_are_what_each_is_alone)
{
    enum { N = 100, K = 37, ROWS = 5 };
    float x[N * K], w[ROWS * K], alone[ROWS];
    for (int i = 0; i < N * K; i++)
        x[i] = (float)(i * 7919 % 1000) / 999 - 0.5f;
    for (int i = 0; i < ROWS * K; i++)
        w[i] = (float)(i * 104729 % 1000) / 999 - 0.5f;
    for (int row = 0; row < N; row += 33) {
        begin("LinearRegressor");
        harness_int(&h, "targets", ROWS);
        harness_float_list(&h, "coefficients", ROWS * K, w);
        harness_floats(&h, 2, DIMS(1, K), x + row * K);
        harness_ran(&h);
        memcpy(alone, harness_out(&h, 0)->data, sizeof alone);
        harness_end(&h);
        begin("LinearRegressor");
        harness_int(&h, "targets", ROWS);
        harness_float_list(&h, "coefficients", ROWS * K, w);
        harness_floats(&h, 2, DIMS(N, K), x);
        harness_ran(&h);
        ck_assert_mem_eq((const float *)harness_out(&h, 0)->data + row * ROWS, alone, sizeof alone);
        harness_end(&h);
    }
}
END_TEST

START_TEST(what_does_not_fit_is_refused)
{
    begin("LinearRegressor");
    harness_int(&h, "targets", 2);
    harness_float_list(&h, "coefficients", 3, (float[]){1, 2, 3});
    harness_floats(&h, 2, DIMS(1, 1), (float[]){1});
    harness_expect_failure(&h, ERR_MODEL, "'coefficients' has 3 values for 2 rows of scores");
    harness_end(&h);
    begin("LinearRegressor");
    harness_float_list(&h, "coefficients", 3, (float[]){1, 2, 3});
    harness_float_list(&h, "intercepts", 2, (float[]){1, 2});
    harness_floats(&h, 2, DIMS(1, 3), (float[]){1, 2, 3});
    harness_expect_failure(&h, ERR_MODEL, "'intercepts' has 2 values for 1 rows");
    harness_end(&h);
    three_classes("NONE");
    harness_int_list(&h, "classlabels_ints", 2, DIMS(7, 8));
    harness_floats(&h, 2, DIMS(1, 2), (float[]){1, 2});
    harness_expect_failure(&h, ERR_MODEL, "2 labels for 3 rows of scores");
    harness_end(&h);
    three_classes("NONE");
    harness_int_list(&h, "classlabels_ints", 3, DIMS(7, 8, 9));
    harness_floats(&h, 2, DIMS(1, 3), (float[]){1, 2, 3});
    harness_expect_failure(&h, ERR_INVALID, "shape [1,3]; its coefficients take [N,2]");
    harness_end(&h);
    begin("LinearRegressor");
    harness_floats(&h, 2, DIMS(1, 1), (float[]){1});
    harness_expect_failure(&h, ERR_MODEL, "'coefficients' has 0 values");
    harness_end(&h);
}
END_TEST

Suite *op_linear_suite(void)
{
    Suite *suite = suite_create("op/linear");
    TCase *tcase = tcase_create("linear");
    tcase_add_test(tcase, the_first_of_the_largest_scores_is_the_label);
    tcase_add_test(tcase, scores_are_transformed);
    tcase_add_test(tcase, probit_is_the_inverse_of_the_normal_distribution);
    tcase_add_test(tcase, the_sign_of_one_score_decides_between_two_labels);
    tcase_add_test(tcase, a_regressor_has_targets);
    tcase_add_test(tcase, many_rows_are_what_each_is_alone);
    tcase_add_test(tcase, what_does_not_fit_is_refused);
    suite_add_tcase(suite, tcase);
    return suite;
}
