/* unique.c - tests of src/op/unique.c: what is different, where it is first, and how often. */
#include "harness.h"

#include <check.h>
#include <math.h>

static struct harness h;

static void begin(int64_t sorted)
{
    harness_begin(&h, "Unique", 11);
    harness_int(&h, "sorted", sorted);
    harness_outputs(&h, 4);
}

START_TEST(elements_are_sorted_counted_and_found_again)
{
    begin(1);
    harness_floats(&h, 2, DIMS(2, 3), (float[]){2, 1, 1, 3, 4, 3});
    ck_assert_msg(harness_plan(&h), "%s", h.err.text);
    ck_assert(harness_out(&h, 0)->dynamic && !harness_out(&h, 2)->dynamic);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 1, DIMS(4), (float[]){1, 2, 3, 4}, 0);
    harness_expect(&h, 1, PERCEPT_INT64, 1, DIMS(4), DIMS(1, 0, 3, 4));
    harness_expect(&h, 2, PERCEPT_INT64, 1, DIMS(6), DIMS(1, 0, 0, 2, 3, 2));
    harness_expect(&h, 3, PERCEPT_INT64, 1, DIMS(4), DIMS(2, 1, 2, 1));
    harness_end(&h);
}
END_TEST

START_TEST(unsorted_keeps_the_order_of_the_first_ones)
{
    begin(0);
    harness_int64s(&h, 1, DIMS(6), DIMS(2, 1, 1, 3, 4, 3));
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_INT64, 1, DIMS(4), DIMS(2, 1, 3, 4));
    harness_expect(&h, 1, PERCEPT_INT64, 1, DIMS(4), DIMS(0, 1, 3, 4));
    harness_expect(&h, 2, PERCEPT_INT64, 1, DIMS(6), DIMS(0, 1, 1, 2, 3, 2));
    harness_expect(&h, 3, PERCEPT_INT64, 1, DIMS(4), DIMS(1, 2, 2, 1));
    harness_end(&h);
}
END_TEST

START_TEST(slices_along_an_axis_are_compared_whole)
{
    begin(1);
    harness_int(&h, "axis", -1);
    harness_int64s(&h, 2, DIMS(2, 4), DIMS(1, 0, 1, 0, 5, 9, 5, 8));
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_INT64, 2, DIMS(2, 3), DIMS(0, 0, 1, 8, 9, 5));
    harness_expect(&h, 1, PERCEPT_INT64, 1, DIMS(3), DIMS(3, 1, 0));
    harness_expect(&h, 2, PERCEPT_INT64, 1, DIMS(4), DIMS(2, 1, 2, 0));
    harness_expect(&h, 3, PERCEPT_INT64, 1, DIMS(3), DIMS(1, 1, 2));
    harness_end(&h);
}
END_TEST

START_TEST(nans_are_one_and_last)
{
    begin(1);
    harness_floats(&h, 1, DIMS(5), (float[]){NAN, -0.0f, INFINITY, NAN, 0});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 1, DIMS(3), (float[]){0, INFINITY, NAN}, 0);
    harness_expect(&h, 1, PERCEPT_INT64, 1, DIMS(3), DIMS(1, 2, 0));
    harness_end(&h);
}
END_TEST

START_TEST(every_type_works)
{
    static const struct percept_string words[] = {{"b", 1}, {"ab", 2}, {"b", 1}, {"a", 1}};
    begin(1);
    harness_input(&h, PERCEPT_STRING, 1, DIMS(4), words);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 1, PERCEPT_INT64, 1, DIMS(3), DIMS(3, 1, 0));
    harness_end(&h);
    begin(1);
    harness_input(&h, PERCEPT_FLOAT16, 1, DIMS(3), (uint16_t[]){0x3c00, 0xbc00, 0x3c00});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_FLOAT16, 1, DIMS(2), (uint16_t[]){0xbc00, 0x3c00});
    harness_end(&h);
    begin(1);
    harness_input(&h, PERCEPT_BOOL, 1, DIMS(3), (uint8_t[]){1, 0, 1});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_BOOL, 1, DIMS(2), (uint8_t[]){0, 1});
    harness_end(&h);
}
END_TEST

START_TEST(many_elements_agree_with_counting)
{
    int64_t x[500], want[7] = {0};
    for (int i = 0; i < 500; i++) {
        x[i] = i * i % 7;
        want[x[i]]++;
    }
    begin(1);
    harness_int64s(&h, 1, DIMS(500), x);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_INT64, 1, DIMS(4), DIMS(0, 1, 2, 4));
    harness_expect(&h, 3, PERCEPT_INT64, 1, DIMS(4), DIMS(want[0], want[1], want[2], want[4]));
    harness_end(&h);
}
END_TEST

START_TEST(nothing_in_gives_nothing)
{
    begin(0);
    harness_floats(&h, 1, DIMS(0), NULL);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 1, DIMS(0), NULL, 0);
    harness_expect(&h, 3, PERCEPT_INT64, 1, DIMS(0), NULL);
    harness_end(&h);
    begin(1); /* slices of nothing are all equal */
    harness_int(&h, "axis", 0);
    harness_floats(&h, 2, DIMS(3, 0), NULL);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 2, DIMS(1, 0), NULL, 0);
    harness_end(&h);
    begin(1); /* at once: there is nothing to compare */
    harness_int(&h, "axis", 1);
    harness_floats(&h, 3, DIMS(INT64_C(1) << 40, 3, 0), NULL);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 3, DIMS(INT64_C(1) << 40, 1, 0), NULL, 0);
    harness_end(&h);
    begin(1);
    harness_int(&h, "axis", 1);
    harness_floats(&h, 1, DIMS(1), (float[]){1});
    harness_expect_failure(&h, ERR_MODEL, "axis 1 is outside");
    harness_end(&h);
    harness_begin(&h, "Unique", 11);
    harness_floats(&h, 0, NULL, (float[]){7});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 1, DIMS(1), (float[]){7}, 0);
    harness_end(&h);
}
END_TEST

Suite *op_unique_suite(void)
{
    Suite *suite = suite_create("op/unique");
    TCase *tcase = tcase_create("unique");
    tcase_add_test(tcase, elements_are_sorted_counted_and_found_again);
    tcase_add_test(tcase, unsorted_keeps_the_order_of_the_first_ones);
    tcase_add_test(tcase, slices_along_an_axis_are_compared_whole);
    tcase_add_test(tcase, nans_are_one_and_last);
    tcase_add_test(tcase, every_type_works);
    tcase_add_test(tcase, many_elements_agree_with_counting);
    tcase_add_test(tcase, nothing_in_gives_nothing);
    suite_add_tcase(suite, tcase);
    return suite;
}
