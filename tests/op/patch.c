/* patch.c - tests of src/op/patch.c: pieces in their places, and nothing elsewhere. */
#include "harness.h"

#include <check.h>

static struct harness h;

static void columns(const int64_t *dims, const float *x, int n, const int64_t *image, const int64_t *block)
{
    harness_begin(&h, "Col2Im", 18);
    harness_floats(&h, 3, dims, x);
    harness_int64s(&h, 1, DIMS(n), image);
    harness_as_known(&h);
    harness_int64s(&h, 1, DIMS(n), block);
    harness_as_known(&h);
}

START_TEST(columns_that_overlap_are_added)
{
    columns(DIMS(1, 2, 3), (float[]){1, 2, 3, 10, 20, 30}, 1, DIMS(4), DIMS(2));
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 3, DIMS(1, 1, 4), (float[]){1, 12, 23, 30}, 0);
    harness_end(&h);
    columns(DIMS(1, 4, 1), (float[]){1, 2, 3, 4}, 2, DIMS(3, 3), DIMS(2, 2));
    harness_int_list(&h, "dilations", 2, DIMS(2, 2));
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 4, DIMS(1, 1, 3, 3), (float[]){1, 0, 2, 0, 0, 0, 3, 0, 4}, 0);
    harness_end(&h);
}
END_TEST

START_TEST(what_falls_into_padding_is_lost)
{
    columns(DIMS(2, 2, 2), (float[]){1, 2, 3, 4, 5, 6, 7, 8}, 1, DIMS(2), DIMS(2));
    harness_int_list(&h, "pads", 2, DIMS(1, 1));
    harness_int_list(&h, "strides", 1, DIMS(2));
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 3, DIMS(2, 1, 2), (float[]){3, 2, 7, 6}, 0);
    harness_end(&h);
}
END_TEST

START_TEST(columns_that_do_not_fit_are_refused)
{
    static const float x[8];
    columns(DIMS(1, 2, 2), x, 1, DIMS(4), DIMS(2));
    harness_expect_failure(&h, ERR_INVALID, "[items, channels x 2, 3]");
    harness_end(&h);
    columns(DIMS(1, 2, 2), x, 1, DIMS(0), DIMS(2));
    harness_expect_failure(&h, ERR_INVALID, "an image of 0");
    harness_end(&h);
    columns(DIMS(1, 2, 2), x, 1, DIMS((int64_t)1 << 40), DIMS(2));
    harness_expect_failure(&h, ERR_INVALID, "an image of 1099511627776");
    harness_end(&h);
    columns(DIMS(1, 2, 2), x, 1, DIMS(3), DIMS(2));
    harness_int_list(&h, "strides", 2, DIMS(1, 1));
    harness_expect_failure(&h, ERR_INVALID, "must agree about 1 to 6 axes");
    harness_end(&h);
    columns(DIMS(1, 2, 2), x, 1, DIMS(3), DIMS(2));
    harness_int_list(&h, "dilations", 1, DIMS(0));
    harness_expect_failure(&h, ERR_MODEL, "'dilations' has the value 0");
    harness_end(&h);
    columns(DIMS(0, 2, 2), NULL, 1, DIMS(3), DIMS(2));
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 3, DIMS(0, 1, 3), NULL, 0);
    harness_end(&h);
}
END_TEST

static void unpool(const int64_t *indices)
{
    harness_begin(&h, "MaxUnpool", 11);
    harness_int_list(&h, "kernel_shape", 2, DIMS(2, 2));
    harness_int_list(&h, "strides", 2, DIMS(2, 2));
    harness_floats(&h, 4, DIMS(1, 1, 1, 2), (float[]){5, 6});
    harness_int64s(&h, 4, DIMS(1, 1, 1, 2), indices);
}

START_TEST(elements_go_back_where_they_came_from)
{
    unpool(DIMS(5, 2));
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 4, DIMS(1, 1, 2, 4), (float[]){0, 0, 6, 0, 0, 5, 0, 0}, 0);
    harness_end(&h);
    unpool(DIMS(5, 2));
    harness_int64s(&h, 1, DIMS(4), DIMS(1, 1, 2, 5));
    harness_as_known(&h);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 4, DIMS(1, 1, 2, 5), (float[]){0, 0, 6, 0, 0, 0, 5, 0, 0, 0}, 0);
    harness_end(&h);
}
END_TEST

START_TEST(indices_and_sizes_are_judged)
{
    unpool(DIMS(5, 8));
    harness_expect_failure(&h, ERR_DATA, "index 8 is outside [0, 8)");
    harness_end(&h);
    unpool(DIMS(5, -1));
    harness_expect_failure(&h, ERR_DATA, "index -1 is outside");
    harness_end(&h);
    unpool(DIMS(5, 2));
    harness_int64s(&h, 1, DIMS(4), DIMS(1, 1, 1, 4));
    harness_as_known(&h);
    harness_expect_failure(&h, ERR_INVALID, "none smaller");
    harness_end(&h);
    harness_begin(&h, "MaxUnpool", 11);
    harness_int_list(&h, "kernel_shape", 1, DIMS(2));
    harness_floats(&h, 3, DIMS(1, 1, 0), NULL);
    harness_int64s(&h, 3, DIMS(1, 1, 0), NULL);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 3, DIMS(1, 1, 1), (float[]){0}, 0);
    harness_end(&h);
    harness_begin(&h, "MaxUnpool", 11);
    harness_floats(&h, 2, DIMS(1, 1), (float[]){1});
    harness_int64s(&h, 2, DIMS(1, 1), DIMS(0));
    harness_expect_failure(&h, ERR_UNSUPPORTED, "rank 2");
    harness_end(&h);
}
END_TEST

static void crop(int n, const int64_t *size)
{
    harness_begin(&h, "CenterCropPad", 18);
    harness_int64s(&h, 2, DIMS(2, 5), DIMS(1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
    harness_int64s(&h, 1, DIMS(n), size);
    harness_as_known(&h);
}

START_TEST(the_middle_stays_and_what_is_odd_is_at_the_end)
{
    crop(2, DIMS(3, 2));
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_INT64, 2, DIMS(3, 2), DIMS(2, 3, 7, 8, 0, 0));
    harness_end(&h);
    crop(1, DIMS(7));
    harness_int_list(&h, "axes", 1, DIMS(-1));
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_INT64, 2, DIMS(2, 7), DIMS(0, 1, 2, 3, 4, 5, 0, 0, 6, 7, 8, 9, 10, 0));
    harness_end(&h);
    crop(2, DIMS(1, 0));
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_INT64, 2, DIMS(1, 0), NULL);
    harness_end(&h);
    harness_begin(&h, "CenterCropPad", 18);
    harness_floats(&h, 2, DIMS(0, 3), NULL);
    harness_int64s(&h, 1, DIMS(2), DIMS(2, 1));
    harness_as_known(&h);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 2, DIMS(2, 1), (float[]){0, 0}, 0);
    harness_end(&h);
}
END_TEST

START_TEST(sizes_are_judged)
{
    crop(2, DIMS(-1, 2));
    harness_expect_failure(&h, ERR_INVALID, "negative or too large");
    harness_end(&h);
    crop(1, DIMS(3));
    harness_expect_failure(&h, ERR_INVALID, "1 sizes for 2 axes");
    harness_end(&h);
    crop(1, DIMS(3));
    harness_int_list(&h, "axes", 1, DIMS(2));
    harness_expect_failure(&h, ERR_MODEL, "axis 2 is outside");
    harness_end(&h);
    harness_begin(&h, "CenterCropPad", 18);
    harness_floats(&h, 1, DIMS(1), (float[]){1});
    harness_int64s(&h, 1, DIMS(1), DIMS(1));
    harness_expect_failure(&h, ERR_UNSUPPORTED, "input 1 depends on data");
    harness_end(&h);
}
END_TEST

Suite *op_patch_suite(void)
{
    Suite *suite = suite_create("op/patch");
    TCase *tcase = tcase_create("patch");
    tcase_add_test(tcase, columns_that_overlap_are_added);
    tcase_add_test(tcase, what_falls_into_padding_is_lost);
    tcase_add_test(tcase, columns_that_do_not_fit_are_refused);
    tcase_add_test(tcase, elements_go_back_where_they_came_from);
    tcase_add_test(tcase, indices_and_sizes_are_judged);
    tcase_add_test(tcase, the_middle_stays_and_what_is_odd_is_at_the_end);
    tcase_add_test(tcase, sizes_are_judged);
    suite_add_tcase(suite, tcase);
    return suite;
}
