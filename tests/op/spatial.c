/* spatial.c - tests of src/op/spatial.c: sizes of sliding windows. */
#include "op/spatial.h"

#include <check.h>
#include <string.h>

static const struct node node = {.name = {(const uint8_t *)"n", (const uint8_t *)"n" + 1},
                                 .op_type = {(const uint8_t *)"Conv", (const uint8_t *)"Conv" + 4}};

/* One axis: the size of the output, or -1 when it is refused. */
static int64_t outputs(int auto_pad, int64_t in, int64_t kernel, int64_t stride, int64_t pad, bool ceil,
                       struct geometry *g)
{
    const int64_t pads[2] = {pad, pad};
    const struct spatial spatial = {.auto_pad = auto_pad, .n_stride = 1, .stride = &stride, .n_pad = 2, .pad = pads};
    struct percept_err err;
    if (!spatial_settle(&spatial, &node, 1, &kernel, g, &err))
        return -1;
    spatial_input(g, &(const struct tensor){.rank = 3, .dims = {1, 1, in}});
    return spatial_slide(g, &spatial, ceil, &node, &err) ? g->out[2] : -1;
}

START_TEST(missing_axes_are_one_long)
{
    struct geometry g;
    ck_assert_int_eq(outputs(AUTO_PAD_NOTSET, 5, 3, 1, 0, false, &g), 3);
    ck_assert(g.in[0] == 1 && g.kernel[1] == 1 && g.out[0] == 1 && g.pad[0] == 0);
    int64_t dims[RANK_MAX];
    ck_assert_int_eq(spatial_dims(&g, 7, 9, dims), 3);
    ck_assert(dims[0] == 7 && dims[1] == 9 && dims[2] == 3);
}
END_TEST

START_TEST(sizes_are_rounded_down_or_up_as_asked)
{
    struct geometry g;
    ck_assert_int_eq(outputs(AUTO_PAD_NOTSET, 6, 3, 2, 0, false, &g), 2);
    ck_assert_int_eq(outputs(AUTO_PAD_NOTSET, 6, 3, 2, 0, true, &g), 3);
    ck_assert_int_eq(outputs(AUTO_PAD_NOTSET, 2, 2, 3, 1, true, &g), 1);
}
END_TEST

START_TEST(same_depends_on_the_stride_alone)
{
    struct geometry g;
    ck_assert_int_eq(outputs(AUTO_PAD_SAME_UPPER, 5, 4, 2, 9, false, &g), 3);
    ck_assert(g.pad[2] == 1 && g.pad_end[2] == 2);
    ck_assert_int_eq(outputs(AUTO_PAD_SAME_LOWER, 5, 4, 2, 9, false, &g), 3);
    ck_assert(g.pad[2] == 2 && g.pad_end[2] == 1);
}
END_TEST

START_TEST(valid_ignores_pads)
{
    struct geometry g;
    ck_assert_int_eq(outputs(AUTO_PAD_VALID, 5, 3, 1, 4, false, &g), 3);
}
END_TEST

START_TEST(windows_larger_than_the_picture_are_refused)
{
    struct geometry g;
    ck_assert_int_eq(outputs(AUTO_PAD_NOTSET, 2, 5, 1, 1, false, &g), -1);
    ck_assert_int_eq(outputs(AUTO_PAD_NOTSET, 1, 5, 2, 1, true, &g), -1);
    ck_assert_int_eq(outputs(AUTO_PAD_NOTSET, 2, 5, 2, 1, true, &g), 1); /* ceil((2 + 2 - 5) / 2 + 1) */
    ck_assert_int_eq(outputs(AUTO_PAD_NOTSET, 2, 0, 1, 1, false, &g), -1);
}
END_TEST

START_TEST(a_pool_of_padding_alone_is_refused)
{
    struct geometry g = {.axes = 1,
                         .in = {1, 1, 9},
                         .kernel = {1, 1, 3},
                         .stride = {1, 1, 1},
                         .dilation = {1, 1, 2},
                         .pad = {0, 0, 4},
                         .pad_end = {0, 0, 1}};
    const struct spatial spatial = {0};
    struct percept_err err;
    ck_assert(spatial_pool(&g, &spatial, false, &node, &err));
    g.pad_end[2] = 5;
    ck_assert(!spatial_pool(&g, &spatial, false, &node, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "padding of 5 pixels beside a window of 5"));
}
END_TEST

Suite *op_spatial_suite(void);
Suite *op_spatial_suite(void)
{
    Suite *suite = suite_create("op/spatial");
    TCase *tests = tcase_create("spatial");
    tcase_add_test(tests, missing_axes_are_one_long);
    tcase_add_test(tests, sizes_are_rounded_down_or_up_as_asked);
    tcase_add_test(tests, same_depends_on_the_stride_alone);
    tcase_add_test(tests, valid_ignores_pads);
    tcase_add_test(tests, windows_larger_than_the_picture_are_refused);
    tcase_add_test(tests, a_pool_of_padding_alone_is_refused);
    suite_add_tcase(suite, tests);
    return suite;
}
