/* label.c - tests of src/op/label.c: categories to numbers and back. */
#include "op/label.h"

#include "harness.h"

#include <check.h>
#include <math.h>

static struct harness h;

static const char *const cities[] = {"Paris", "", "K\xc3\xb6ln"};

static void begin(const char *op_type, int version)
{
    harness_begin_in(&h, "ai.onnx.ml", op_type, version);
}

START_TEST(the_first_version_goes_both_ways)
{
    begin("LabelEncoder", 1);
    harness_text_list(&h, "classes_strings", 3, cities);
    harness_texts(&h, 2, DIMS(2, 2), (const char *const[]){"K\xc3\xb6ln", "Paris", "", "Rome"});
    harness_ran(&h);
    harness_expect(&h, 0, PERCEPT_INT64, 2, DIMS(2, 2), DIMS(2, 0, 1, -1));
    harness_end(&h);
    begin("LabelEncoder", 1);
    harness_text_list(&h, "classes_strings", 3, cities);
    harness_text(&h, "default_string", "elsewhere");
    harness_int64s(&h, 1, DIMS(4), DIMS(2, 3, -1, 1));
    harness_ran(&h);
    harness_expect_texts(&h, 0, 1, DIMS(4), (const char *const[]){cities[2], "elsewhere", "elsewhere", ""});
    harness_end(&h);
    begin("CategoryMapper", 1);
    harness_text_list(&h, "cats_strings", 3, cities);
    harness_int_list(&h, "cats_int64s", 3, DIMS(75, 0, 50));
    harness_int64s(&h, 1, DIMS(2), DIMS(50, 1));
    harness_ran(&h);
    harness_expect_texts(&h, 0, 1, DIMS(2), (const char *const[]){cities[2], "_Unused"});
    harness_end(&h);
}
END_TEST

START_TEST(lists_map_every_pair_of_types)
{
    begin("LabelEncoder", 2);
    harness_text_list(&h, "keys_strings", 3, cities);
    harness_float_list(&h, "values_floats", 3, (float[]){0.5f, 1, 2});
    harness_texts(&h, 1, DIMS(2), (const char *const[]){"Paris", "Rome"});
    harness_ran(&h);
    harness_expect_floats(&h, 0, 1, DIMS(2), (float[]){0.5f, -0.0f}, 0);
    harness_end(&h);
    begin("LabelEncoder", 2);
    harness_float_list(&h, "keys_floats", 3, (float[]){0, 1.5f, 1.5f});
    harness_int_list(&h, "values_int64s", 3, DIMS(10, 11, 12));
    harness_int(&h, "default_int64", 99);
    harness_floats(&h, 1, DIMS(3), (float[]){-0.0f, 1.5f, NAN});
    harness_ran(&h);
    harness_expect(&h, 0, PERCEPT_INT64, 1, DIMS(3), DIMS(10, 11, 99)); /* of equal keys the first */
    harness_end(&h);
    begin("LabelEncoder", 2);
    harness_int_list(&h, "keys_int64s", 2, DIMS(INT64_MIN, INT64_MAX));
    harness_text_list(&h, "values_strings", 2, cities);
    harness_int64s(&h, 1, DIMS(2), DIMS(INT64_MAX, INT64_MIN));
    harness_ran(&h);
    harness_expect_texts(&h, 0, 1, DIMS(2), (const char *const[]){cities[1], cities[0]});
    harness_end(&h);
}
END_TEST

/* Not-a-number is a key since version 4 alone. */
START_TEST(nan_is_a_key_where_it_may_be)
{
    for (int version = 2; version <= 4; version += 2) {
        begin("LabelEncoder", version);
        harness_float_list(&h, "keys_floats", 2, (float[]){NAN, 1});
        harness_int_list(&h, "values_int64s", 2, DIMS(10, 11));
        harness_floats(&h, 1, DIMS(2), (float[]){1, -NAN});
        harness_ran(&h);
        harness_expect(&h, 0, PERCEPT_INT64, 1, DIMS(2), DIMS(11, version < 4 ? -1 : 10));
        harness_end(&h);
    }
}
END_TEST

START_TEST(tensors_map_as_lists_do)
{
    char file[] = "onetwo?"; /* whose bytes go once the model is open */
    const struct percept_string names[] = {{file, 3}, {file + 3, 3}}, other[] = {{file + 6, 1}};
    begin("LabelEncoder", 4);
    harness_tensor(&h, "keys_tensor",
                   &(struct tensor){.dtype = PERCEPT_DOUBLE, .rank = 1, .dims = {2}, .data = (double[]){1, 2}});
    harness_tensor(&h, "values_tensor",
                   &(struct tensor){.dtype = PERCEPT_STRING, .rank = 1, .dims = {2}, .data = (void *)(uintptr_t)names});
    harness_tensor(&h, "default_tensor",
                   &(struct tensor){.dtype = PERCEPT_STRING, .rank = 1, .dims = {1}, .data = (void *)(uintptr_t)other});
    harness_input(&h, PERCEPT_DOUBLE, 1, DIMS(3), (double[]){2, 1, 1.5});
    ck_assert_msg(harness_check(&h), "%s", h.err.text);
    memset(file, 'x', sizeof file - 1);
    harness_ran(&h);
    harness_expect_texts(&h, 0, 1, DIMS(3), (const char *const[]){"two", "one", "?"});
    harness_end(&h);
    begin("LabelEncoder", 4); /* default_tensor of another type */
    harness_int_list(&h, "keys_int64s", 1, DIMS(1));
    harness_int_list(&h, "values_int64s", 1, DIMS(1));
    harness_tensor(&h, "default_tensor",
                   &(struct tensor){.dtype = PERCEPT_STRING, .rank = 1, .dims = {1}, .data = (void *)(uintptr_t)other});
    harness_int64s(&h, 1, DIMS(1), DIMS(1));
    harness_expect_failure(&h, ERR_MODEL, "'default_tensor' has 1 elements of string; one of int64 would work");
    harness_end(&h);
}
END_TEST

START_TEST(encoders_that_make_no_sense_are_refused)
{
    begin("LabelEncoder", 2);
    harness_text_list(&h, "keys_strings", 3, cities);
    harness_int_list(&h, "values_int64s", 2, DIMS(1, 2));
    harness_texts(&h, 1, DIMS(1), cities);
    harness_expect_failure(&h, ERR_MODEL, "3 keys of string and 2 values of int64");
    harness_end(&h);
    begin("LabelEncoder", 2);
    harness_texts(&h, 1, DIMS(1), cities);
    harness_expect_failure(&h, ERR_MODEL, "0 keys");
    harness_end(&h);
    begin("LabelEncoder", 2);
    harness_text_list(&h, "keys_strings", 3, cities);
    harness_int_list(&h, "keys_int64s", 1, DIMS(1));
    harness_texts(&h, 1, DIMS(1), cities);
    harness_expect_failure(&h, ERR_MODEL, "more than one of the attributes");
    harness_end(&h);
    begin("LabelEncoder", 2);
    harness_text_list(&h, "keys_strings", 1, cities);
    harness_int_list(&h, "values_int64s", 1, DIMS(1));
    harness_floats(&h, 1, DIMS(1), (float[]){1});
    harness_expect_failure(&h, ERR_MODEL, "the input is float32; the type of its keys would work");
    harness_end(&h);
}
END_TEST

START_TEST(categories_become_columns)
{
    begin("OneHotEncoder", 1);
    harness_text_list(&h, "cats_strings", 3, cities);
    harness_texts(&h, 2, DIMS(2, 1), (const char *const[]){"", "Rome"});
    harness_ran(&h);
    harness_expect_floats(&h, 0, 3, DIMS(2, 1, 3), (float[]){0, 1, 0, 0, 0, 0}, 0);
    harness_end(&h);
    begin("OneHotEncoder", 1); /* fractions are cut; what is no whole number is no category, 0 neither */
    harness_int_list(&h, "cats_int64s", 2, DIMS(0, 1));
    harness_floats(&h, 1, DIMS(5), (float[]){1.9f, NAN, INFINITY, -0.5f, -1e30f});
    harness_ran(&h);
    harness_expect_floats(&h, 0, 2, DIMS(5, 2), (float[]){0, 1, 0, 0, 0, 0, 1, 0, 0, 0}, 0);
    harness_end(&h);
    begin("OneHotEncoder", 1);
    harness_text_list(&h, "cats_strings", 3, cities);
    harness_int(&h, "zeros", 0);
    harness_texts(&h, 1, DIMS(2), (const char *const[]){"Paris", "Rome"});
    harness_expect_failure(&h, ERR_DATA, "element 1 is none of its 3 categories");
    harness_end(&h);
    begin("OneHotEncoder", 1);
    harness_text_list(&h, "cats_strings", 3, cities);
    harness_int64s(&h, 1, DIMS(1), DIMS(0));
    harness_expect_failure(&h, ERR_MODEL, "the input is int64, its categories are strings");
    harness_end(&h);
}
END_TEST

START_TEST(a_zip_map_is_its_table)
{
    begin("ZipMap", 1);
    harness_text_list(&h, "classlabels_strings", 3, cities);
    harness_floats(&h, 2, DIMS(1, 3), (float[]){0.1f, 0.2f, 0.7f});
    harness_ran(&h);
    harness_expect_floats(&h, 0, 2, DIMS(1, 3), (float[]){0.1f, 0.2f, 0.7f}, 0);
    ck_assert_int_eq(label_count(&h.node), 3);
    ck_assert_str_eq(label_text(&h.node, 2, &h.arena), cities[2]);
    harness_end(&h);
    begin("ZipMap", 1);
    harness_int_list(&h, "classlabels_int64s", 2, DIMS(-7, 40));
    harness_floats(&h, 2, DIMS(1, 3), (float[]){0.1f, 0.2f, 0.7f});
    harness_expect_failure(&h, ERR_INVALID, "scores of shape [1,3] for 2 labels");
    ck_assert_str_eq(label_text(&h.node, 0, &h.arena), "-7");
    harness_end(&h);
    begin("ZipMap", 1);
    harness_floats(&h, 2, DIMS(1, 1), (float[]){1});
    harness_expect_failure(&h, ERR_MODEL, "it has no labels");
    harness_end(&h);
}
END_TEST

Suite *op_label_suite(void)
{
    Suite *suite = suite_create("op/label");
    TCase *tcase = tcase_create("label");
    tcase_add_test(tcase, the_first_version_goes_both_ways);
    tcase_add_test(tcase, lists_map_every_pair_of_types);
    tcase_add_test(tcase, nan_is_a_key_where_it_may_be);
    tcase_add_test(tcase, tensors_map_as_lists_do);
    tcase_add_test(tcase, encoders_that_make_no_sense_are_refused);
    tcase_add_test(tcase, categories_become_columns);
    tcase_add_test(tcase, a_zip_map_is_its_table);
    suite_add_tcase(suite, tcase);
    return suite;
}
