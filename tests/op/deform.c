/* deform.c - tests of src/op/deform.c: offsets move what a kernel reads. */
#include "heavy.h"

#include <check.h>
#include <math.h>

static struct harness h;

static const float ramp[] = {0, 1, 2, 3, 4, 5, 6, 7, 8};

/* A kernel of one pixel over a 3 x 3 ramp: the offsets alone decide. */
static void one_pixel(const float *offset, const float *mask)
{
    harness_begin(&h, "DeformConv", 19);
    harness_floats(&h, 4, DIMS(1, 1, 3, 3), ramp);
    harness_floats(&h, 4, DIMS(1, 1, 1, 1), (float[]){2});
    harness_floats(&h, 4, DIMS(1, 2, 3, 3), offset);
    harness_floats(&h, 1, DIMS(1), (float[]){1});
    if (mask)
        harness_floats(&h, 4, DIMS(1, 1, 3, 3), mask);
}

START_TEST(an_offset_moves_a_pixel_and_a_mask_weighs_it)
{
    float offset[18] = {0}, mask[9] = {1, 1, 1, 1, 1, 1, 1, 1, 0.5f};
    offset[0] = 1;        /* pixel 0 reads one row below: 3 */
    offset[9 + 1] = 0.5f; /* pixel 1 half a column to the right: 1.5 */
    offset[2] = -1;       /* pixel 2 outside */
    offset[9 + 3] = NAN;  /* pixel 3 nowhere */
    offset[4] = 1e30f;
    offset[9 + 5] = 0.5f; /* half of pixel 5 lies outside */
    one_pixel(offset, mask);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 4, DIMS(1, 1, 3, 3), (float[]){7, 4, 1, 1, 1, 6, 13, 15, 9}, 1e-6f);
    harness_end(&h);
}
END_TEST

static const double *doubled(const float *x, int n, double *y)
{
    for (int i = 0; i < n; i++)
        y[i] = (double)x[i];
    return y;
}

START_TEST(doubles_are_convolved_as_doubles)
{
    enum { SIDE = 13, OUT = 11, PIXELS = SIDE * SIDE, POINTS = OUT * OUT }; /* a whole tile is less */
    static double x[4 * PIXELS], w[6 * 2 * 9], offset[36 * POINTS], bias[6], mask[18 * POINTS];
    const float *floats[] = {heavy_numbers(1, 4 * PIXELS), heavy_numbers(2, 6 * 2 * 9), heavy_numbers(3, 36 * POINTS),
                             heavy_numbers(4, 6), heavy_numbers(5, 18 * POINTS)};
    static float want[6 * POINTS];
    for (int wide = 0; wide < 2; wide++) {
        const enum percept_dtype t = wide ? PERCEPT_DOUBLE : PERCEPT_FLOAT;
        harness_begin(&h, "DeformConv", 19);
        harness_int(&h, "group", 2);
        harness_int(&h, "offset_group", 2);
        harness_input(&h, t, 4, DIMS(1, 4, SIDE, SIDE),
                      wide ? (const void *)doubled(floats[0], 4 * PIXELS, x) : floats[0]);
        harness_input(&h, t, 4, DIMS(6, 2, 3, 3), wide ? (const void *)doubled(floats[1], 6 * 2 * 9, w) : floats[1]);
        harness_input(&h, t, 4, DIMS(1, 36, OUT, OUT),
                      wide ? (const void *)doubled(floats[2], 36 * POINTS, offset) : floats[2]);
        harness_input(&h, t, 1, DIMS(6), wide ? (const void *)doubled(floats[3], 6, bias) : floats[3]);
        harness_input(&h, t, 4, DIMS(1, 18, OUT, OUT),
                      wide ? (const void *)doubled(floats[4], 18 * POINTS, mask) : floats[4]);
        ck_assert_msg(harness_run(&h), "%s", h.err.text);
        ck_assert(harness_out(&h, 0)->dtype == t);
        for (int i = 0; i < 6 * POINTS && !wide; i++)
            want[i] = ((const float *)harness_out(&h, 0)->data)[i];
        for (int i = 0; i < 6 * POINTS && wide; i++)
            ck_assert_double_eq_tol(((const double *)harness_out(&h, 0)->data)[i], (double)want[i], 1e-4);
        harness_end(&h);
    }
    harness_begin(&h, "DeformConv", 19); /* a difference that floats do not see */
    harness_input(&h, PERCEPT_DOUBLE, 4, DIMS(1, 1, 1, 2), (double[]){1, 2});
    harness_input(&h, PERCEPT_DOUBLE, 4, DIMS(1, 1, 1, 1), (double[]){1});
    harness_input(&h, PERCEPT_DOUBLE, 4, DIMS(1, 2, 1, 2), (double[]){0, 0, 0x1p-40, 0});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_DOUBLE, 4, DIMS(1, 1, 1, 2), (double[]){1 + 0x1p-40, 2});
    harness_end(&h);
    harness_begin(&h, "DeformConv", 19); /* no channels: the bias alone */
    harness_input(&h, PERCEPT_DOUBLE, 4, DIMS(1, 0, 1, 2), NULL);
    harness_input(&h, PERCEPT_DOUBLE, 4, DIMS(1, 0, 1, 1), NULL);
    harness_input(&h, PERCEPT_DOUBLE, 4, DIMS(1, 2, 1, 2), (double[]){0, 0, 0, 0});
    harness_input(&h, PERCEPT_DOUBLE, 1, DIMS(1), (double[]){3});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_DOUBLE, 4, DIMS(1, 1, 1, 2), (double[]){3, 3});
    harness_end(&h);
}
END_TEST

static void convolution(const char *op_type, int64_t n, const float *x, const float *w)
{
    harness_begin(&h, op_type, 19);
    harness_int(&h, "group", 2);
    harness_int_list(&h, "pads", 4, DIMS(1, 0, 1, 2));
    harness_int_list(&h, "strides", 2, DIMS(2, 1));
    harness_int_list(&h, "dilations", 2, DIMS(1, 2));
    harness_floats(&h, 4, DIMS(n, 4, 11, 20), x);
    harness_floats(&h, 4, DIMS(6, 2, 3, 3), w);
}

START_TEST(without_offsets_it_is_a_convolution)
{
    static const float zeros[2 * 36 * 6 * 18];
    const float *x = heavy_numbers(1, 2 * 4 * 11 * 20), *w = heavy_numbers(2, 6 * 2 * 9);
    const float *bias = heavy_numbers(3, 6);
    float want[2 * 6 * 6 * 18];
    convolution("Conv", 2, x, w);
    harness_floats(&h, 1, DIMS(6), bias);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    ck_assert_int_eq(tensor_elements(harness_out(&h, 0)), 2 * 6 * 6 * 18);
    for (int i = 0; i < 2 * 6 * 6 * 18; i++)
        want[i] = ((const float *)harness_out(&h, 0)->data)[i];
    harness_end(&h);
    convolution("DeformConv", 2, x, w);
    harness_int(&h, "offset_group", 2);
    harness_floats(&h, 4, DIMS(2, 36, 6, 18), zeros);
    harness_floats(&h, 1, DIMS(6), bias);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 4, DIMS(2, 6, 6, 18), want, 1e-5f); /* another order of sums */
    harness_end(&h);
}
END_TEST

START_TEST(shapes_that_do_not_fit_are_refused)
{
    static const float zeros[36];
    one_pixel(zeros, NULL);
    harness_int(&h, "offset_group", 2);
    harness_expect_failure(&h, ERR_INVALID, "2 offset groups do not fit");
    harness_end(&h);
    one_pixel(zeros, NULL);
    harness_int_list(&h, "strides", 2, DIMS(2, 1));
    harness_expect_failure(&h, ERR_INVALID, "input 2 has the shape [1,2,3,3]; [1,2,2,3] would work");
    harness_end(&h);
    one_pixel(zeros, NULL);
    harness_int(&h, "group", 0);
    harness_expect_failure(&h, ERR_MODEL, "'group' is 0");
    harness_end(&h);
    harness_begin(&h, "DeformConv", 19);
    harness_floats(&h, 3, DIMS(1, 1, 3), zeros);
    harness_floats(&h, 4, DIMS(1, 1, 1, 1), zeros);
    harness_floats(&h, 4, DIMS(1, 2, 3, 3), zeros);
    harness_expect_failure(&h, ERR_UNSUPPORTED, "4 and 4 work");
    harness_end(&h);
}
END_TEST

START_TEST(nothing_in_gives_the_bias_or_nothing)
{
    harness_begin(&h, "DeformConv", 19);
    harness_floats(&h, 4, DIMS(1, 0, 1, 2), NULL);
    harness_floats(&h, 4, DIMS(2, 0, 1, 1), NULL);
    harness_floats(&h, 4, DIMS(1, 2, 1, 2), (float[]){0, 0, 0, 0});
    harness_floats(&h, 1, DIMS(2), (float[]){1, 2});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 4, DIMS(1, 2, 1, 2), (float[]){1, 1, 2, 2}, 0);
    harness_end(&h);
    harness_begin(&h, "DeformConv", 19);
    harness_floats(&h, 4, DIMS(0, 1, 1, 2), NULL);
    harness_floats(&h, 4, DIMS(1, 1, 1, 1), (float[]){1});
    harness_floats(&h, 4, DIMS(0, 2, 1, 2), NULL);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_end(&h);
}
END_TEST

/* Every item has the same offsets. */
static void rest(struct harness *at)
{
    enum { EACH = 2 * 9 * 13 * 11 };
    const int64_t n = at->tensors[0].dims[0];
    static float offsets[32 * EACH];
    const float *numbers = heavy_numbers(4, EACH);
    for (int64_t i = 0; i < n * EACH; i++)
        offsets[i] = numbers[i % EACH];
    harness_floats(at, 4, DIMS(5, 3, 3, 3), heavy_numbers(5, 5 * 3 * 9));
    harness_floats(at, 4, DIMS(n, 18, 13, 11), offsets);
}

START_TEST(an_items_bits_depend_on_nobody)
{
    heavy_expect_same_bits("DeformConv", 19, 1, 4, DIMS(0, 3, 15, 13), false, rest);
}
END_TEST

Suite *op_deform_suite(void)
{
    Suite *suite = suite_create("op/deform");
    TCase *tcase = tcase_create("deform");
    tcase_add_test(tcase, an_offset_moves_a_pixel_and_a_mask_weighs_it);
    tcase_add_test(tcase, doubles_are_convolved_as_doubles);
    tcase_add_test(tcase, without_offsets_it_is_a_convolution);
    tcase_add_test(tcase, shapes_that_do_not_fit_are_refused);
    tcase_add_test(tcase, nothing_in_gives_the_bias_or_nothing);
    tcase_add_test(tcase, an_items_bits_depend_on_nobody);
    suite_add_tcase(suite, tcase);
    return suite;
}
