/* sample.c - tests of src/op/sample.c: where points are read, and what lies beyond the edge. */
#include "heavy.h"

#include <check.h>
#include <math.h>

static struct harness h;

/* A picture of 1 x n pixels, read at (x, 0). */
static void line(const char *mode, const char *padding, int64_t align, int64_t n, const float *x, int64_t points,
                 const float *grid)
{
    harness_begin(&h, "GridSample", 20);
    harness_text(&h, "mode", mode);
    harness_text(&h, "padding_mode", padding);
    harness_int(&h, "align_corners", align);
    harness_floats(&h, 4, DIMS(1, 1, 1, n), x);
    harness_floats(&h, 4, DIMS(1, 1, points, 2), grid);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
}

START_TEST(corners_are_pixels_or_their_edges)
{
    static const float x[] = {1, 2, 4, 8}, grid[] = {-1, 0, 0, 0, 1, 0};
    line("linear", "border", 1, 4, x, 3, grid);
    harness_expect_floats(&h, 0, 4, DIMS(1, 1, 1, 3), (float[]){1, 3, 8}, 1e-6f);
    harness_end(&h);
    line("linear", "zeros", 0, 4, x, 3, grid); /* half of an edge pixel lies outside */
    harness_expect_floats(&h, 0, 4, DIMS(1, 1, 1, 3), (float[]){0.5f, 3, 4}, 1e-6f);
    harness_end(&h);
}
END_TEST

START_TEST(beyond_the_edge_is_zero_or_the_edge_or_a_mirror)
{
    static const float x[] = {1, 2, 4, 8}, grid[] = {2, 0, -1.5f, 0};
    line("nearest", "zeros", 1, 4, x, 2, grid); /* pixels 4.5 and -0.75 */
    harness_expect_floats(&h, 0, 4, DIMS(1, 1, 1, 2), (float[]){0, 0}, 0);
    harness_end(&h);
    line("nearest", "border", 1, 4, x, 2, grid);
    harness_expect_floats(&h, 0, 4, DIMS(1, 1, 1, 2), (float[]){8, 1}, 0);
    harness_end(&h);
    line("linear", "reflection", 1, 4, x, 2, grid); /* 1.5 and 0.75 */
    harness_expect_floats(&h, 0, 4, DIMS(1, 1, 1, 2), (float[]){3, 1.75f}, 1e-6f);
    harness_end(&h);
}
END_TEST

START_TEST(cubic_keeps_pixels_and_straight_lines)
{
    static const float x[] = {0, 1, 2, 3, 4, 5};
    static const float grid[] = {-0.2f, 0, 0, 0}; /* pixels 2 and 2.5 */
    line("cubic", "border", 1, 6, x, 2, grid);
    harness_expect_floats(&h, 0, 4, DIMS(1, 1, 1, 2), (float[]){2, 2.5f}, 1e-5f);
    harness_end(&h);
}
END_TEST

START_TEST(a_cubic_point_outside_still_sees_the_second_pixel)
{
    static const float x[] = {0, 16, 32, 48, 64};
    static const float grid[] = {-1.25f, 0, 1.25f, 0, -2, 0}; /* pixels -0.5, 4.5 and -2 */
    /* half way the outer taps weigh -3/32: of 0 0 0 16 and of 48 64 64 64 */
    line("cubic", "border", 1, 5, x, 3, grid);
    harness_expect_floats(&h, 0, 4, DIMS(1, 1, 1, 3), (float[]){-1.5f, 65.5f, 0}, 1e-6f);
    harness_end(&h);
    line("cubic", "reflection", 1, 5, x, 2, grid); /* of 32 16 0 16 and of 48 64 48 32 */
    harness_expect_floats(&h, 0, 4, DIMS(1, 1, 1, 2), (float[]){5, 59}, 1e-6f);
    harness_end(&h);
    line("cubic", "zeros", 1, 5, x, 2, grid); /* of 0 0 0 16 and of 48 64 0 0 */
    harness_expect_floats(&h, 0, 4, DIMS(1, 1, 1, 2), (float[]){-1.5f, 33.5f}, 1e-6f);
    harness_end(&h);
}
END_TEST

START_TEST(doubles_are_sampled_as_doubles)
{
    static const double x[] = {1, 1 + 0x1p-40, 8}, grid[] = {-0.5, 0, -1, 0};
    harness_begin(&h, "GridSample", 20);
    harness_int(&h, "align_corners", 1);
    harness_input(&h, PERCEPT_DOUBLE, 4, DIMS(1, 1, 1, 3), x);
    harness_input(&h, PERCEPT_DOUBLE, 4, DIMS(1, 1, 2, 2), grid);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_DOUBLE, 4, DIMS(1, 1, 1, 2), (double[]){1 + 0x1p-41, 1});
    harness_end(&h);
    harness_begin(&h, "GridSample", 20);
    harness_input(&h, PERCEPT_DOUBLE, 4, DIMS(1, 1, 1, 3), x);
    harness_floats(&h, 4, DIMS(1, 1, 1, 2), (float[]){0, 0});
    harness_expect_failure(&h, ERR_UNSUPPORTED, "input 1 is float32; float64 would work");
    harness_end(&h);
    harness_begin(&h, "AffineGrid", 20);
    harness_int(&h, "align_corners", 1);
    harness_input(&h, PERCEPT_DOUBLE, 3, DIMS(1, 2, 3), (double[]){1, 0, 0x1p-40, 0, 1, -0x1p-40});
    harness_int64s(&h, 1, DIMS(4), DIMS(1, 1, 2, 1));
    harness_as_known(&h);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_DOUBLE, 4, DIMS(1, 2, 1, 2), (double[]){0x1p-40, -1 - 0x1p-40, 0x1p-40, 1 - 0x1p-40});
    harness_end(&h);
}
END_TEST

START_TEST(coordinates_that_are_no_numbers_lie_outside)
{
    static const float x[] = {1, 2, 4, 8};
    static const float grid[] = {NAN, 0, INFINITY, 0, -INFINITY, 0, 1e30f, 0, 0, NAN};
    static const char *const modes[] = {"linear", "nearest", "cubic"};
    static const char *const paddings[] = {"zeros", "border", "reflection"};
    for (int mode = 0; mode < 3; mode++) {
        for (int padding = 0; padding < 3; padding++) {
            for (int align = 0; align < 2; align++) {
                line(modes[mode], paddings[padding], align, 4, x, 5, grid);
                const float *y = harness_out(&h, 0)->data;
                for (int i = 0; i < 5; i++)
                    ck_assert(padding ? isfinite(y[i]) : y[i] == 0);
                harness_end(&h);
                line(modes[mode], paddings[padding], align, 1, x, 5, grid);
                harness_end(&h);
            }
        }
    }
}
END_TEST

START_TEST(the_old_names_and_volumes_work)
{
    static const float x[] = {0, 1, 2, 3, 4, 5, 6, 7}; /* 4 z + 2 y + x */
    harness_begin(&h, "GridSample", 16);
    harness_text(&h, "mode", "bilinear");
    harness_int(&h, "align_corners", 1);
    harness_floats(&h, 5, DIMS(1, 1, 2, 2, 2), x);
    harness_floats(&h, 5, DIMS(1, 1, 1, 2, 3), (float[]){0, 0, 0, 1, -1, 0});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 5, DIMS(1, 1, 1, 1, 2), (float[]){3.5f, 3}, 1e-6f);
    harness_end(&h);
}
END_TEST

START_TEST(grids_that_do_not_fit_are_refused)
{
    static const float x[4], grid[8];
    harness_begin(&h, "GridSample", 20);
    harness_floats(&h, 4, DIMS(1, 1, 2, 2), x);
    harness_floats(&h, 4, DIMS(2, 1, 2, 2), grid);
    harness_expect_failure(&h, ERR_INVALID, "does not fit the picture");
    harness_end(&h);
    harness_begin(&h, "GridSample", 20);
    harness_floats(&h, 2, DIMS(2, 2), x);
    harness_floats(&h, 2, DIMS(2, 0), grid);
    harness_expect_failure(&h, ERR_UNSUPPORTED, "rank 2; 3, 4 and 5 work");
    harness_end(&h);
    harness_begin(&h, "GridSample", 20);
    harness_floats(&h, 4, DIMS(1, 1, 0, 2), NULL);
    harness_floats(&h, 4, DIMS(1, 2, 2, 2), grid);
    harness_expect_failure(&h, ERR_INVALID, "empty picture");
    harness_end(&h);
    harness_begin(&h, "GridSample", 20);
    harness_text(&h, "mode", "lanczos");
    harness_floats(&h, 4, DIMS(1, 1, 2, 2), x);
    harness_floats(&h, 4, DIMS(1, 1, 2, 2), grid);
    harness_expect_failure(&h, ERR_UNSUPPORTED, "mode");
    harness_end(&h);
    harness_begin(&h, "GridSample", 20);
    harness_floats(&h, 4, DIMS(0, 1, 0, 2), NULL);
    harness_floats(&h, 4, DIMS(0, 2, 2, 2), NULL);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 4, DIMS(0, 1, 2, 2), NULL, 0);
    harness_end(&h);
}
END_TEST

START_TEST(com_microsofts_has_the_old_names)
{
    harness_begin_in(&h, "com.microsoft", "GridSample", 1);
    harness_text(&h, "mode", "nearest");
    harness_text(&h, "padding_mode", "border");
    harness_int(&h, "align_corners", 1);
    harness_floats(&h, 4, DIMS(1, 1, 1, 2), (float[]){1, 2});
    harness_floats(&h, 4, DIMS(1, 1, 2, 2), (float[]){0.9f, 0, -3, 0});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 4, DIMS(1, 1, 1, 2), (float[]){2, 1}, 0);
    harness_end(&h);
}
END_TEST

/* Every item has the same grid. */
static void rest(struct harness *at)
{
    enum { EACH = 9 * 17 * 2 };
    const int64_t n = at->tensors[0].dims[0];
    static float grid[32 * EACH];
    const float *numbers = heavy_numbers(4, EACH);
    for (int64_t i = 0; i < n * EACH; i++)
        grid[i] = numbers[i % EACH];
    harness_text(at, "mode", "bicubic");
    harness_text(at, "padding_mode", "reflection");
    harness_floats(at, 4, DIMS(n, 9, 17, 2), grid);
}

START_TEST(an_items_bits_depend_on_nobody)
{
    heavy_expect_same_bits("GridSample", 16, 1, 4, DIMS(0, 3, 5, 7), false, rest);
}
END_TEST

static void affine(int64_t align, int n, const int64_t *size, const float *theta)
{
    harness_begin(&h, "AffineGrid", 20);
    harness_int(&h, "align_corners", align);
    harness_floats(&h, 3, DIMS(1, n - 2, n - 1), theta);
    harness_int64s(&h, 1, DIMS(n), size);
    harness_as_known(&h);
}

START_TEST(affine_grids_name_the_innermost_axis_first)
{
    static const float identity[] = {1, 0, 0, 0, 1, 0};
    affine(1, 4, DIMS(1, 9, 2, 3), identity);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 4, DIMS(1, 2, 3, 2), (float[]){-1, -1, 0, -1, 1, -1, -1, 1, 0, 1, 1, 1}, 1e-6f);
    harness_end(&h);
    affine(0, 4, DIMS(1, 9, 1, 2), (float[]){2, 0, 1, 0, 1, 3});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 4, DIMS(1, 1, 2, 2), (float[]){0, 3, 2, 3}, 1e-6f);
    harness_end(&h);
    affine(1, 5, DIMS(1, 1, 1, 1, 2), (float[]){1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 5});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 5, DIMS(1, 1, 1, 2, 3), (float[]){-1, 0, 5, 1, 0, 5}, 1e-6f);
    harness_end(&h);
}
END_TEST

START_TEST(affine_sizes_are_judged)
{
    static const float identity[] = {1, 0, 0, 0, 1, 0};
    affine(1, 4, DIMS(1, 1, -2, 3), identity);
    harness_expect_failure(&h, ERR_INVALID, "negative or too large");
    harness_end(&h);
    affine(1, 4, DIMS(2, 1, 2, 3), identity);
    harness_expect_failure(&h, ERR_INVALID, "theta must have the shape [2,2,3]");
    harness_end(&h);
    affine(1, 4, DIMS(1, 1, INT64_MAX, 3), identity);
    harness_expect_failure(&h, ERR_INVALID, "too large");
    harness_end(&h);
    harness_begin(&h, "AffineGrid", 20);
    harness_floats(&h, 3, DIMS(1, 2, 3), identity);
    harness_int64s(&h, 1, DIMS(3), DIMS(1, 2, 3));
    harness_expect_failure(&h, ERR_INVALID, "a list of 4 or 5 numbers");
    harness_end(&h);
}
END_TEST

Suite *op_sample_suite(void)
{
    Suite *suite = suite_create("op/sample");
    TCase *tcase = tcase_create("sample");
    tcase_add_test(tcase, corners_are_pixels_or_their_edges);
    tcase_add_test(tcase, beyond_the_edge_is_zero_or_the_edge_or_a_mirror);
    tcase_add_test(tcase, cubic_keeps_pixels_and_straight_lines);
    tcase_add_test(tcase, a_cubic_point_outside_still_sees_the_second_pixel);
    tcase_add_test(tcase, doubles_are_sampled_as_doubles);
    tcase_add_test(tcase, coordinates_that_are_no_numbers_lie_outside);
    tcase_add_test(tcase, the_old_names_and_volumes_work);
    tcase_add_test(tcase, com_microsofts_has_the_old_names);
    tcase_add_test(tcase, grids_that_do_not_fit_are_refused);
    tcase_add_test(tcase, affine_grids_name_the_innermost_axis_first);
    tcase_add_test(tcase, affine_sizes_are_judged);
    tcase_add_test(tcase, an_items_bits_depend_on_nobody);
    suite_add_tcase(suite, tcase);
    return suite;
}
