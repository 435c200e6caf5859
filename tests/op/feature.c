/* feature.c - tests of src/op/feature.c: tables of features, scaled, filled, cut and joined. */
#include "harness.h"

#include <check.h>
#include <math.h>

static struct harness h;

static void begin(const char *op_type)
{
    harness_begin_in(&h, "ai.onnx.ml", op_type, 1);
}

START_TEST(a_scaler_has_a_value_for_each_column_or_one_for_all)
{
    begin("Scaler");
    harness_float_list(&h, "offset", 3, (float[]){1, 2, 3});
    harness_float_list(&h, "scale", 3, (float[]){1, 10, -1});
    harness_floats(&h, 2, DIMS(2, 3), (float[]){1, 2, 3, 4, 5, 6});
    harness_ran(&h);
    harness_expect_floats(&h, 0, 2, DIMS(2, 3), (float[]){0, 0, 0, 3, 30, -3}, 0);
    harness_end(&h);
    begin("Scaler"); /* left out: nothing is taken off */
    harness_float_list(&h, "scale", 1, (float[]){2});
    harness_int64s(&h, 3, DIMS(1, 2, 2), DIMS(1, 2, 3, -4));
    harness_ran(&h);
    harness_expect_floats(&h, 0, 3, DIMS(1, 2, 2), (float[]){2, 4, 6, -8}, 0);
    harness_end(&h);
    begin("Scaler");
    harness_float_list(&h, "offset", 2, (float[]){1, 2});
    harness_floats(&h, 2, DIMS(1, 3), (float[]){1, 2, 3});
    harness_expect_failure(&h, ERR_INVALID, "'offset' has 2 values for an input of shape [1,3]");
    harness_end(&h);
}
END_TEST

/* A float holds neither the time in milliseconds nor its change. */
START_TEST(whole_numbers_lose_nothing_before_they_are_scaled)
{
    begin("Scaler");
    harness_float_list(&h, "offset", 1, (float[]){0x1p40f});
    harness_int64s(&h, 2, DIMS(2, 1), DIMS((INT64_C(1) << 40) + 3, (INT64_C(1) << 40) - 5));
    harness_ran(&h);
    harness_expect_floats(&h, 0, 2, DIMS(2, 1), (float[]){3, -5}, 0);
    harness_end(&h);
}
END_TEST

START_TEST(an_imputer_fills_what_is_missing)
{
    begin("Imputer");
    harness_float_list(&h, "imputed_value_floats", 2, (float[]){7, 8});
    harness_float(&h, "replaced_value_float", NAN);
    harness_floats(&h, 2, DIMS(2, 2), (float[]){NAN, 1, 0, NAN});
    harness_ran(&h);
    harness_expect_floats(&h, 0, 2, DIMS(2, 2), (float[]){7, 1, 0, 8}, 0);
    harness_end(&h);
    begin("Imputer");
    harness_int_list(&h, "imputed_value_int64s", 1, DIMS(5));
    harness_int(&h, "replaced_value_int64", -1);
    harness_int64s(&h, 1, DIMS(3), DIMS(-1, 0, -1));
    harness_ran(&h);
    harness_expect(&h, 0, PERCEPT_INT64, 1, DIMS(3), DIMS(5, 0, 5));
    harness_end(&h);
    begin("Imputer"); /* only the other list is there */
    harness_float_list(&h, "imputed_value_floats", 1, (float[]){7});
    harness_int64s(&h, 1, DIMS(1), DIMS(0));
    harness_expect_failure(&h, ERR_INVALID, "'imputed_value_int64s' has 0 values");
    harness_end(&h);
}
END_TEST

START_TEST(a_binarizer_keeps_the_type)
{
    begin("Binarizer");
    harness_float(&h, "threshold", 0.5f);
    harness_floats(&h, 1, DIMS(4), (float[]){0.5f, 0.6f, -1, NAN});
    harness_ran(&h);
    harness_expect_floats(&h, 0, 1, DIMS(4), (float[]){0, 1, 0, 0}, 0);
    harness_end(&h);
    begin("Binarizer");
    harness_input(&h, PERCEPT_INT32, 2, DIMS(1, 2), (int32_t[]){0, 3});
    harness_ran(&h);
    harness_expect(&h, 0, PERCEPT_INT32, 2, DIMS(1, 2), (int32_t[]){0, 1});
    harness_end(&h);
}
END_TEST

START_TEST(rows_are_normalized_and_rows_of_nothing_stay)
{
    static const struct {
        const char *norm;
        float y[6];
    } rows[] = {{"L1", {0.6f, -0.4f, 0, 0, 0.5f, 0.5f}},
                {"L2", {0.8320503f, -0.5547002f, 0, 0, 0.70710678f, 0.70710678f}},
                {"MAX", {1, -2.0f / 3, 0, 0, 1, 1}}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin("Normalizer");
        harness_text(&h, "norm", rows[i].norm);
        harness_floats(&h, 2, DIMS(3, 2), (float[]){3, -2, 0, 0, 4, 4});
        harness_ran(&h);
        harness_expect_floats(&h, 0, 2, DIMS(3, 2), rows[i].y, 1e-7f); /* one rounding */
        harness_end(&h);
    }
    begin("Normalizer"); /* squares of int32 overflow */
    harness_text(&h, "norm", "L2");
    harness_input(&h, PERCEPT_INT32, 1, DIMS(2), (int32_t[]){300000, -400000});
    harness_ran(&h);
    harness_expect_floats(&h, 0, 1, DIMS(2), (float[]){0.6f, -0.8f}, 1e-7f);
    harness_end(&h);
    begin("Normalizer");
    harness_floats(&h, 3, DIMS(1, 1, 1), (float[]){1});
    harness_expect_failure(&h, ERR_INVALID, "[N,F] and [F] would work");
    harness_end(&h);
}
END_TEST

START_TEST(features_of_several_inputs_are_joined_cut_and_filled)
{
    begin("FeatureVectorizer");
    harness_int_list(&h, "inputdimensions", 3, DIMS(2, 1, 2));
    harness_floats(&h, 2, DIMS(2, 2), (float[]){1, 2, 3, 4});
    harness_int64s(&h, 2, DIMS(2, 2), DIMS(5, 99, 6, 99));
    harness_input(&h, PERCEPT_DOUBLE, 2, DIMS(2, 1), (double[]){7, 8});
    harness_ran(&h);
    harness_expect_floats(&h, 0, 2, DIMS(2, 5), (float[]){1, 2, 5, 7, 0, 3, 4, 6, 8, 0}, 0);
    harness_end(&h);
    begin("FeatureVectorizer");
    harness_int_list(&h, "inputdimensions", 2, DIMS(1, 1));
    harness_floats(&h, 2, DIMS(2, 1), (float[]){1, 2});
    harness_floats(&h, 2, DIMS(3, 1), (float[]){1, 2, 3});
    harness_expect_failure(&h, ERR_INVALID, "input 1 has not as many rows");
    harness_end(&h);
    begin("FeatureVectorizer");
    harness_int_list(&h, "inputdimensions", 1, DIMS(1));
    harness_floats(&h, 2, DIMS(2, 1), (float[]){1, 2});
    harness_floats(&h, 2, DIMS(2, 1), (float[]){1, 2});
    harness_expect_failure(&h, ERR_MODEL, "has 1 values for 2 inputs");
    harness_end(&h);
}
END_TEST

START_TEST(columns_are_extracted_of_every_type)
{
    static const char *const words[] = {"a", "b", "c", "d"}, *const chosen[] = {"b", "a", "d", "c"};
    begin("ArrayFeatureExtractor");
    harness_texts(&h, 2, DIMS(2, 2), words);
    harness_int64s(&h, 1, DIMS(2), DIMS(1, 0));
    harness_ran(&h);
    harness_expect_texts(&h, 0, 2, DIMS(2, 2), chosen);
    harness_end(&h);
    begin("ArrayFeatureExtractor"); /* a vector becomes a row, as labels are looked up */
    harness_input(&h, PERCEPT_INT32, 1, DIMS(3), (int32_t[]){7, 8, 9});
    harness_int64s(&h, 2, DIMS(2, 2), DIMS(2, 2, 0, 1));
    harness_ran(&h);
    harness_expect(&h, 0, PERCEPT_INT32, 2, DIMS(1, 4), (int32_t[]){9, 9, 7, 8});
    harness_end(&h);
}
END_TEST

START_TEST(indices_outside_are_told)
{
    static const int64_t indices[] = {3, -1, INT64_MIN};
    for (size_t i = 0; i < 3; i++) {
        begin("ArrayFeatureExtractor");
        harness_floats(&h, 2, DIMS(1, 3), (float[]){1, 2, 3});
        harness_int64s(&h, 1, DIMS(1), &indices[i]);
        harness_expect_failure(&h, ERR_DATA, "is outside [0, 2]");
        harness_end(&h);
    }
}
END_TEST

Suite *op_feature_suite(void)
{
    Suite *suite = suite_create("op/feature");
    TCase *tcase = tcase_create("feature");
    tcase_add_test(tcase, a_scaler_has_a_value_for_each_column_or_one_for_all);
    tcase_add_test(tcase, whole_numbers_lose_nothing_before_they_are_scaled);
    tcase_add_test(tcase, an_imputer_fills_what_is_missing);
    tcase_add_test(tcase, a_binarizer_keeps_the_type);
    tcase_add_test(tcase, rows_are_normalized_and_rows_of_nothing_stay);
    tcase_add_test(tcase, features_of_several_inputs_are_joined_cut_and_filled);
    tcase_add_test(tcase, columns_are_extracted_of_every_type);
    tcase_add_test(tcase, indices_outside_are_told);
    suite_add_tcase(suite, tcase);
    return suite;
}
