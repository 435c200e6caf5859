/* choose.c - which elements are chosen, in which order, and how many of them there are. */
#include <check.h>
#include <math.h>

#include "harness.h"

START_TEST(where_broadcasts_all_three)
{
    struct harness h;
    harness_begin(&h, "Where", 16);
    harness_input(&h, PERCEPT_BOOL, 2, DIMS(2, 1), (uint8_t[]){1, 0});
    harness_int64s(&h, 1, DIMS(3), DIMS(1, 2, 3));
    harness_int64s(&h, 0, NULL, DIMS(9));
    ck_assert(harness_run(&h));
    harness_expect(&h, 0, PERCEPT_INT64, 2, DIMS(2, 3), DIMS(1, 2, 3, 9, 9, 9));
    harness_end(&h);
    harness_begin(&h, "Where", 16);
    harness_input(&h, PERCEPT_BOOL, 1, DIMS(2), (uint8_t[]){1, 0});
    harness_floats(&h, 1, DIMS(2), (float[]){1, 2});
    harness_int64s(&h, 1, DIMS(2), DIMS(1, 2));
    harness_expect_failure(&h, ERR_UNSUPPORTED, "input 2 is int64; float32 would work");
    harness_end(&h);
}
END_TEST

static void top(struct harness *h, int64_t largest, int64_t k, int n, const float *x)
{
    const int64_t dims[] = {n};
    harness_begin(h, "TopK", 11);
    harness_int(h, "largest", largest);
    harness_outputs(h, 2);
    harness_floats(h, 1, dims, x);
    harness_int64s(h, 1, DIMS(1), &k);
    harness_as_known(h);
}

START_TEST(of_equals_the_lower_index_comes_first)
{
    const float x[] = {3, 1, 3, 2, 1};
    struct harness h;
    top(&h, 1, 3, 5, x);
    ck_assert(harness_run(&h));
    harness_expect_floats(&h, 0, 1, DIMS(3), (float[]){3, 3, 2}, 0);
    harness_expect(&h, 1, PERCEPT_INT64, 1, DIMS(3), DIMS(0, 2, 3));
    harness_end(&h);
    top(&h, 0, 5, 5, x);
    ck_assert(harness_run(&h));
    harness_expect(&h, 1, PERCEPT_INT64, 1, DIMS(5), DIMS(1, 4, 3, 0, 2));
    harness_end(&h);
}
END_TEST

START_TEST(nan_is_the_greatest)
{
    const float x[] = {1, NAN, INFINITY, NAN};
    struct harness h;
    top(&h, 1, 3, 4, x);
    ck_assert(harness_run(&h));
    harness_expect(&h, 1, PERCEPT_INT64, 1, DIMS(3), DIMS(1, 3, 2));
    harness_end(&h);
    top(&h, 0, 3, 4, x);
    ck_assert(harness_run(&h));
    harness_expect(&h, 1, PERCEPT_INT64, 1, DIMS(3), DIMS(0, 2, 1));
    harness_end(&h);
}
END_TEST

START_TEST(top_agrees_with_sorting_for_every_k)
{
    float x[40];
    for (int i = 0; i < 40; i++)
        x[i] = (float)(i * 17 % 23);
    for (int64_t k = 0; k <= 40; k++) {
        struct harness h;
        top(&h, 1, k, 40, x);
        ck_assert(harness_run(&h));
        const float *y = harness_out(&h, 0)->data;
        const int64_t *at = harness_out(&h, 1)->data;
        for (int64_t i = 0; i < k; i++) {
            int64_t before = 0; /* elements that come before this one */
            for (int j = 0; j < 40; j++)
                before += x[j] > y[i] || (x[j] == y[i] && j < at[i]);
            ck_assert(x[at[i]] == y[i] && before == i);
        }
        harness_end(&h);
    }
}
END_TEST

START_TEST(k_must_be_known_and_fit)
{
    struct harness h;
    top(&h, 1, 3, 2, (float[]){1, 2});
    harness_expect_failure(&h, ERR_INVALID, "k is 3, axis 0 has 2 elements");
    harness_end(&h);
    harness_begin(&h, "TopK", 11);
    harness_floats(&h, 1, DIMS(2), (float[]){1, 2});
    harness_int64s(&h, 1, DIMS(1), DIMS(1));
    harness_expect_failure(&h, ERR_UNSUPPORTED, "input 1 depends on data");
    harness_end(&h);
}
END_TEST

START_TEST(nonzero_tells_its_size_when_run)
{
    struct harness h;
    harness_begin(&h, "NonZero", 13);
    harness_floats(&h, 2, DIMS(2, 2), (float[]){1, -0.0F, 0, NAN});
    ck_assert(harness_plan(&h));
    ck_assert(h.step.op->rule->flags & OP_DATA_DIMS);
    ck_assert(harness_out(&h, 0)->dynamic && harness_out(&h, 0)->dims[1] == 4);
    ck_assert(harness_run(&h));
    harness_expect(&h, 0, PERCEPT_INT64, 2, DIMS(2, 2), DIMS(0, 1, 0, 1));
    harness_end(&h);
    harness_begin(&h, "NonZero", 13);
    harness_floats(&h, 2, DIMS(0, 2), NULL);
    ck_assert(harness_run(&h));
    harness_expect(&h, 0, PERCEPT_INT64, 2, DIMS(2, 0), NULL);
    harness_end(&h);
}
END_TEST

START_TEST(compress_keeps_what_the_condition_says)
{
    static const uint8_t condition[] = {0, 1, 1};
    struct harness h;
    harness_begin(&h, "Compress", 11);
    harness_int(&h, "axis", 1);
    harness_floats(&h, 2, DIMS(2, 4), (float[]){1, 2, 3, 4, 5, 6, 7, 8});
    harness_input(&h, PERCEPT_BOOL, 1, DIMS(3), condition);
    ck_assert(harness_run(&h));
    harness_expect_floats(&h, 0, 2, DIMS(2, 2), (float[]){2, 3, 6, 7}, 0);
    harness_end(&h);
    harness_begin(&h, "Compress", 11);
    harness_floats(&h, 2, DIMS(2, 2), (float[]){1, 2, 3, 4});
    harness_input(&h, PERCEPT_BOOL, 1, DIMS(3), condition);
    ck_assert(harness_run(&h));
    harness_expect_floats(&h, 0, 1, DIMS(2), (float[]){2, 3}, 0);
    harness_end(&h);
    harness_begin(&h, "Compress", 11);
    harness_floats(&h, 1, DIMS(2), (float[]){1, 2});
    harness_input(&h, PERCEPT_BOOL, 1, DIMS(3), condition);
    harness_expect_failure(&h, ERR_INVALID, "no list of up to 2 elements");
    harness_end(&h);
    harness_begin(&h, "Compress", 11); /* of many rows nothing, at once */
    harness_int(&h, "axis", 1);
    harness_floats(&h, 2, DIMS(INT64_C(1) << 40, 0), NULL);
    harness_input(&h, PERCEPT_BOOL, 1, DIMS(0), condition);
    ck_assert(harness_run(&h));
    harness_expect_floats(&h, 0, 2, DIMS(INT64_C(1) << 40, 0), NULL, 0);
    harness_end(&h);
}
END_TEST

START_TEST(one_hot_places_on_along_an_axis)
{
    for (int64_t axis = 0; axis < 2; axis++) {
        struct harness h;
        harness_begin(&h, "OneHot", 11);
        harness_int(&h, "axis", axis);
        harness_int64s(&h, 1, DIMS(3), DIMS(1, -1, 7)); /* 7 is outside: all off */
        harness_floats(&h, 0, NULL, (float[]){2});
        harness_as_constant(&h);
        harness_floats(&h, 1, DIMS(2), (float[]){-1, 5});
        ck_assert(harness_run(&h));
        if (axis)
            harness_expect_floats(&h, 0, 2, DIMS(3, 2), (float[]){-1, 5, -1, 5, -1, -1}, 0);
        else
            harness_expect_floats(&h, 0, 2, DIMS(2, 3), (float[]){-1, -1, -1, 5, 5, -1}, 0);
        harness_end(&h);
    }
    struct harness h;
    harness_begin(&h, "OneHot", 11);
    harness_int64s(&h, 1, DIMS(1), DIMS(1));
    harness_int64s(&h, 0, NULL, DIMS(-2));
    harness_as_constant(&h);
    harness_floats(&h, 1, DIMS(2), (float[]){0, 1});
    harness_expect_failure(&h, ERR_INVALID, "a depth of -2");
    harness_end(&h);
}
END_TEST

Suite *op_choose_suite(void)
{
    Suite *suite = suite_create("op/choose");
    TCase *tcase = tcase_create("choose");
    tcase_add_test(tcase, where_broadcasts_all_three);
    tcase_add_test(tcase, of_equals_the_lower_index_comes_first);
    tcase_add_test(tcase, nan_is_the_greatest);
    tcase_add_test(tcase, top_agrees_with_sorting_for_every_k);
    tcase_add_test(tcase, k_must_be_known_and_fit);
    tcase_add_test(tcase, nonzero_tells_its_size_when_run);
    tcase_add_test(tcase, compress_keeps_what_the_condition_says);
    tcase_add_test(tcase, one_hot_places_on_along_an_axis);
    suite_add_tcase(suite, tcase);
    return suite;
}
