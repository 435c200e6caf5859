/* gather.c - indices that name places: values, negative ones, ones outside, reductions. */
#include <check.h>

#include "harness.h"

static const float counted[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};

static void begin(struct harness *h, const char *op, int64_t axis, int rank, const int64_t *dims)
{
    harness_begin(h, op, 18);
    harness_int(h, "axis", axis);
    harness_floats(h, rank, dims, counted);
}

START_TEST(gather_takes_slices)
{
    struct harness h;
    begin(&h, "Gather", 1, 3, DIMS(2, 3, 2));
    harness_input(&h, PERCEPT_INT32, 2, DIMS(1, 2), (int32_t[]){-1, 0});
    ck_assert(harness_run(&h));
    harness_expect_floats(&h, 0, 4, DIMS(2, 1, 2, 2), (float[]){4, 5, 0, 1, 10, 11, 6, 7}, 0);
    harness_end(&h);
    begin(&h, "Gather", 0, 1, DIMS(3));
    harness_int64s(&h, 0, NULL, DIMS(2));
    ck_assert(harness_run(&h));
    harness_expect_floats(&h, 0, 0, NULL, (float[]){2}, 0);
    harness_end(&h);
}
END_TEST

START_TEST(an_index_outside_is_an_error_of_the_data)
{
    static const int64_t bad[] = {5, -6, INT64_MAX, INT64_MIN};
    static const char *const ops[] = {"Gather", "GatherElements", "GatherND"};
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 3; k++) {
            struct harness h;
            begin(&h, ops[k], 0, 1, DIMS(5));
            harness_int64s(&h, 1, DIMS(1), &bad[i]);
            harness_expect_failure(&h, ERR_DATA, "is outside [-5, 4] of axis 0");
            harness_end(&h);
        }
    struct harness h;
    begin(&h, "Gather", 0, 2, DIMS(0, 2));
    harness_int64s(&h, 1, DIMS(1), DIMS(0));
    harness_expect_failure(&h, ERR_DATA, "index 0 is outside");
    harness_end(&h);
}
END_TEST

START_TEST(nothing_gathered_is_nothing)
{
    struct harness h;
    begin(&h, "Gather", 0, 2, DIMS(3, 2));
    harness_int64s(&h, 1, DIMS(0), NULL);
    ck_assert(harness_run(&h));
    harness_expect_floats(&h, 0, 2, DIMS(0, 2), NULL, 0);
    harness_end(&h);
    begin(&h, "Gather", 0, 5, DIMS(1, 1, 1, 1, 1));
    harness_int64s(&h, 5, DIMS(1, 1, 1, 1, 1), DIMS(0));
    harness_expect_failure(&h, ERR_UNSUPPORTED, "the result has 9 axes");
    harness_end(&h);
}
END_TEST

START_TEST(elements_are_gathered_and_scattered_one_by_one)
{
    struct harness h;
    begin(&h, "GatherElements", 1, 2, DIMS(2, 3));
    harness_int64s(&h, 2, DIMS(2, 2), DIMS(2, 0, -3, 1));
    ck_assert(harness_run(&h));
    harness_expect_floats(&h, 0, 2, DIMS(2, 2), (float[]){2, 0, 3, 4}, 0);
    harness_end(&h);
    begin(&h, "ScatterElements", 0, 2, DIMS(3, 2));
    h.overwrite = true;
    harness_int64s(&h, 2, DIMS(1, 2), DIMS(2, -3));
    harness_floats(&h, 2, DIMS(1, 2), (float[]){70, 80});
    ck_assert(harness_run(&h));
    harness_expect_floats(&h, 0, 2, DIMS(3, 2), (float[]){0, 80, 2, 3, 70, 5}, 0);
    harness_end(&h);
    begin(&h, "GatherElements", 0, 2, DIMS(2, 3));
    harness_int64s(&h, 2, DIMS(1, 4), DIMS(0, 0, 0, 0));
    harness_expect_failure(&h, ERR_INVALID, "indices of shape [1,4] do not lie within [2,3]");
    harness_end(&h);
}
END_TEST

START_TEST(scattered_elements_combine_in_order)
{
    static const struct {
        const char *how;
        float y;
    } cases[] = {{"none", 5}, {"add", 9}, {"mul", 15}, {"min", 1}, {"max", 5}};
    static const char *const ops[] = {"ScatterElements", "ScatterND"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int k = 0; k < 2; k++) {
            struct harness h;
            begin(&h, ops[k], 0, 1, DIMS(2));
            harness_text(&h, "reduction", cases[i].how);
            harness_int64s(&h, k + 1, DIMS(2, 1), DIMS(1, -1)); /* both mean element 1, which is 1 */
            harness_floats(&h, 1, DIMS(2), (float[]){3, 5});
            ck_assert_msg(harness_run(&h), "%s", h.err.text);
            harness_expect_floats(&h, 0, 1, DIMS(2), (float[]){0, cases[i].y}, 0);
            harness_end(&h);
        }
}
END_TEST

START_TEST(tuples_name_elements_or_slices_of_a_batch)
{
    struct harness h;
    begin(&h, "GatherND", 0, 3, DIMS(2, 2, 2));
    harness_int64s(&h, 2, DIMS(2, 2), DIMS(0, 1, -1, 0));
    ck_assert(harness_run(&h));
    harness_expect_floats(&h, 0, 2, DIMS(2, 2), (float[]){2, 3, 4, 5}, 0);
    harness_end(&h);
    begin(&h, "GatherND", 0, 3, DIMS(2, 2, 2));
    harness_int(&h, "batch_dims", 1);
    harness_int64s(&h, 2, DIMS(2, 1), DIMS(1, 0));
    ck_assert(harness_run(&h));
    harness_expect_floats(&h, 0, 2, DIMS(2, 2), (float[]){2, 3, 4, 5}, 0);
    harness_end(&h);
    begin(&h, "GatherND", 0, 1, DIMS(2));
    harness_int64s(&h, 2, DIMS(1, 2), DIMS(0, 0));
    harness_expect_failure(&h, ERR_INVALID, "index tuples of 2 do not fit an input of rank 1");
    harness_end(&h);
}
END_TEST

START_TEST(slices_are_scattered_and_updates_must_fit)
{
    struct harness h;
    begin(&h, "ScatterND", 0, 2, DIMS(3, 2));
    harness_int64s(&h, 2, DIMS(1, 1), DIMS(1));
    harness_floats(&h, 2, DIMS(1, 2), (float[]){70, 80});
    ck_assert(harness_run(&h));
    harness_expect_floats(&h, 0, 2, DIMS(3, 2), (float[]){0, 1, 70, 80, 4, 5}, 0);
    harness_end(&h);
    begin(&h, "ScatterND", 0, 2, DIMS(3, 2));
    harness_int64s(&h, 2, DIMS(1, 1), DIMS(1));
    harness_floats(&h, 1, DIMS(2), (float[]){70, 80});
    harness_expect_failure(&h, ERR_INVALID, "the updates' shape");
    harness_end(&h);
}
END_TEST

/* Indices that have as many bytes as what they scatter over: they are not what is written over (the harness looks). */
START_TEST(indices_are_not_written_over)
{
    static const char *const ops[] = {"ScatterND", "ScatterElements"};
    for (int i = 0; i < 2; i++) {
        struct harness h;
        begin(&h, ops[i], 0, 1, DIMS(4));
        harness_int64s(&h, i ? 1 : 2, i ? DIMS(2) : DIMS(2, 1), DIMS(3, 1));
        harness_floats(&h, 1, DIMS(2), (float[]){70, 80});
        harness_ran(&h);
        ck_assert_int_eq(h.step.inplace, 1);
        harness_expect_floats(&h, 0, 1, DIMS(4), (float[]){0, 80, 2, 70}, 0);
        harness_end(&h);
    }
}
END_TEST

Suite *op_gather_suite(void)
{
    Suite *suite = suite_create("op/gather");
    TCase *tcase = tcase_create("gather");
    tcase_add_test(tcase, gather_takes_slices);
    tcase_add_test(tcase, an_index_outside_is_an_error_of_the_data);
    tcase_add_test(tcase, nothing_gathered_is_nothing);
    tcase_add_test(tcase, elements_are_gathered_and_scattered_one_by_one);
    tcase_add_test(tcase, scattered_elements_combine_in_order);
    tcase_add_test(tcase, tuples_name_elements_or_slices_of_a_batch);
    tcase_add_test(tcase, slices_are_scattered_and_updates_must_fit);
    tcase_add_test(tcase, indices_are_not_written_over);
    suite_add_tcase(suite, tcase);
    return suite;
}
