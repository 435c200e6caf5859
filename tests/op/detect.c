/* detect.c - tests of src/op/detect.c: which boxes stay, and what a region's cells hold. */
#include "heavy.h"

#include <check.h>
#include <math.h>
#include <string.h>

static struct harness h;

/* Three boxes: 0 and 1 overlap by 9/11, 2 is apart. */
static const float boxes[] = {0, 0, 1, 1, 0, 0.1f, 1, 1.1f, 0, 10, 1, 11};

static void nms(const float *scores, int64_t most, float iou, const float *threshold)
{
    harness_begin(&h, "NonMaxSuppression", 11);
    harness_floats(&h, 3, DIMS(1, 3, 4), boxes);
    harness_floats(&h, 3, DIMS(1, 1, 3), scores);
    harness_int64s(&h, 1, DIMS(1), &most);
    harness_floats(&h, 1, DIMS(1), &iou);
    if (threshold)
        harness_floats(&h, 1, DIMS(1), threshold);
}

START_TEST(boxes_that_overlap_a_better_one_go)
{
    nms((float[]){0.5f, 0.9f, 0.6f}, 9, 0.5f, NULL);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_INT64, 2, DIMS(2, 3), DIMS(0, 0, 1, 0, 0, 2));
    harness_end(&h);
    nms((float[]){0.5f, 0.9f, 0.6f}, 9, 0.9f, NULL);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_INT64, 2, DIMS(3, 3), DIMS(0, 0, 1, 0, 0, 2, 0, 0, 0));
    harness_end(&h);
}
END_TEST

START_TEST(limits_of_number_and_score_hold)
{
    nms((float[]){0.5f, 0.9f, 0.6f}, 1, 0.5f, NULL);
    harness_run(&h);
    harness_expect(&h, 0, PERCEPT_INT64, 2, DIMS(1, 3), DIMS(0, 0, 1));
    harness_end(&h);
    nms((float[]){0.5f, 0.5f, 0.4f}, 9, 0.5f, (float[]){0.4f}); /* of equals the lower index */
    harness_run(&h);
    harness_expect(&h, 0, PERCEPT_INT64, 2, DIMS(1, 3), DIMS(0, 0, 0));
    harness_end(&h);
    nms((float[]){NAN, NAN, 0.4f}, 9, 0.5f, NULL);
    harness_run(&h);
    harness_expect(&h, 0, PERCEPT_INT64, 2, DIMS(1, 3), DIMS(0, 0, 2));
    harness_end(&h);
    nms((float[]){1, 1, 1}, -5, 0.5f, NULL);
    harness_run(&h);
    harness_expect(&h, 0, PERCEPT_INT64, 2, DIMS(0, 3), NULL);
    harness_end(&h);
}
END_TEST

START_TEST(without_a_number_no_box_is_selected)
{
    harness_begin(&h, "NonMaxSuppression", 11);
    harness_floats(&h, 3, DIMS(1, 3, 4), boxes);
    harness_floats(&h, 3, DIMS(1, 1, 3), (float[]){1, 1, 1});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_INT64, 2, DIMS(0, 3), NULL);
    harness_end(&h);
}
END_TEST

START_TEST(pairs_of_item_and_class_are_apart)
{
    static const float two[] = {0, 0, 2, 2, 0, 0, 2, 2, 0, 0, 2, 2, 5, 5, 2, 2}; /* centre form */
    static const float scores[] = {1, 2, 2, 1, 3, 4, 0, 0};
    const int64_t most = 2;
    harness_begin(&h, "NonMaxSuppression", 11);
    harness_int(&h, "center_point_box", 1);
    harness_floats(&h, 3, DIMS(2, 2, 4), two);
    harness_floats(&h, 3, DIMS(2, 2, 2), scores);
    harness_int64s(&h, 0, NULL, &most);
    harness_as_known(&h);
    harness_floats(&h, 0, NULL, (float[]){0.5f});
    harness_floats(&h, 0, NULL, (float[]){0.5f});
    ck_assert_msg(harness_plan(&h), "%s", h.err.text);
    ck_assert(harness_out(&h, 0)->dynamic);
    ck_assert_int_eq(harness_out(&h, 0)->dims[0], 8);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_INT64, 2, DIMS(4, 3), DIMS(0, 0, 1, 0, 1, 0, 1, 0, 1, 1, 0, 0));
    harness_end(&h);
}
END_TEST

START_TEST(many_boxes_are_taken_in_order_of_score)
{
    float grid[64 * 4], scores[64];
    for (int i = 0; i < 64; i++) {
        const float at[] = {0, (float)(2 * i), 1, (float)(2 * i + 1)};
        for (int k = 0; k < 4; k++)
            grid[4 * i + k] = at[k];
        scores[i] = (float)(i * 37 % 64);
    }
    harness_begin(&h, "NonMaxSuppression", 11);
    harness_floats(&h, 3, DIMS(1, 64, 4), grid);
    harness_floats(&h, 3, DIMS(1, 1, 64), scores);
    harness_int64s(&h, 0, NULL, DIMS(64));
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    const int64_t *y = harness_out(&h, 0)->data;
    ck_assert_int_eq(harness_out(&h, 0)->dims[0], 64);
    for (int i = 0; i < 64; i++)
        ck_assert(scores[y[3 * i + 2]] == (float)(63 - i));
    harness_end(&h);
}
END_TEST

START_TEST(boxes_and_scores_must_fit)
{
    harness_begin(&h, "NonMaxSuppression", 11);
    harness_floats(&h, 3, DIMS(1, 3, 4), boxes);
    harness_floats(&h, 3, DIMS(1, 1, 2), boxes);
    harness_expect_failure(&h, ERR_INVALID, "boxes must be");
    harness_end(&h);
    harness_begin(&h, "NonMaxSuppression", 11);
    harness_floats(&h, 3, DIMS(1, 3, 4), boxes);
    harness_floats(&h, 3, DIMS(1, 1, 3), boxes);
    harness_int64s(&h, 1, DIMS(0), NULL);
    harness_expect_failure(&h, ERR_MODEL, "input 2 is not one number");
    harness_end(&h);
    harness_begin(&h, "NonMaxSuppression", 11);
    harness_floats(&h, 3, DIMS(0, 3, 4), NULL);
    harness_floats(&h, 3, DIMS(0, 7, 3), NULL);
    harness_int64s(&h, 1, DIMS(1), DIMS(5));
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_INT64, 2, DIMS(0, 3), NULL);
    harness_end(&h);
}
END_TEST

/* One region of a 4 x 4 ramp 4 y + x. */
static void align(const char *mode, const char *coordinates, int64_t ratio, int64_t out, const float *region)
{
    static float ramp[16];
    for (int i = 0; i < 16; i++)
        ramp[i] = (float)i;
    harness_begin(&h, "RoiAlign", 16);
    harness_text(&h, "mode", mode);
    harness_text(&h, "coordinate_transformation_mode", coordinates);
    harness_int(&h, "sampling_ratio", ratio);
    harness_int(&h, "output_height", out);
    harness_int(&h, "output_width", out);
    harness_floats(&h, 4, DIMS(1, 1, 4, 4), ramp);
    harness_floats(&h, 2, DIMS(1, 4), region);
    harness_int64s(&h, 1, DIMS(1), DIMS(0));
}

START_TEST(cells_average_their_samples)
{
    align("avg", "output_half_pixel", 1, 1, (float[]){0, 0, 2, 2}); /* one sample at 1, 1 */
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 4, DIMS(1, 1, 1, 1), (float[]){5}, 1e-6f);
    harness_end(&h);
    align("avg", "half_pixel", 0, 2, (float[]){0.5f, 0.5f, 2.5f, 2.5f}); /* at 0.5 and 1.5 */
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 4, DIMS(1, 1, 2, 2), (float[]){2.5f, 3.5f, 6.5f, 7.5f}, 1e-6f);
    harness_end(&h);
    align("max", "half_pixel", 1, 1, (float[]){0.5f, 0.5f, 2.5f, 2.5f}); /* at 1, 1 */
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 4, DIMS(1, 1, 1, 1), (float[]){5}, 1e-6f);
    harness_end(&h);
}
END_TEST

START_TEST(doubles_are_averaged_as_doubles)
{
    for (int maximum = 0; maximum < 2; maximum++) {
        double ramp[16];
        for (int i = 0; i < 16; i++)
            ramp[i] = i + 0x1p-40;
        harness_begin(&h, "RoiAlign", 16);
        harness_text(&h, "mode", maximum ? "max" : "avg");
        harness_int(&h, "sampling_ratio", 1);
        harness_input(&h, PERCEPT_DOUBLE, 4, DIMS(1, 1, 4, 4), ramp);
        harness_input(&h, PERCEPT_DOUBLE, 2, DIMS(1, 4), (double[]){0.5, 0.5, 2.5, 2.5 + 0x1p-39});
        harness_int64s(&h, 1, DIMS(1), DIMS(0));
        ck_assert_msg(harness_run(&h), "%s", h.err.text); /* at 1, 1 + 2^-40 */
        const double *y = harness_out(&h, 0)->data;
        ck_assert(harness_out(&h, 0)->dtype == PERCEPT_DOUBLE);
        ck_assert_double_eq_tol(*y, maximum ? (1 - 0x1p-40) * (5 + 0x1p-40) : 5 + 5 * 0x1p-40, 1e-14);
        harness_end(&h);
    }
}
END_TEST

START_TEST(regions_of_any_size_end)
{
    static const float regions[][4] = {
        {-1e30f, -1e30f, 1e30f, 1e30f}, {0, 0, INFINITY, 1},      {NAN, 0, 1, 1},           {3, 3, -3, -3},
        {-1e6f, -1e6f, 1e6f, 1e6f},     {1e9f, 1e9f, 2e9f, 2e9f}, {-3e38f, 0, 3e38f, 3e38f}};
    for (int mode = 0; mode < 2; mode++) {
        for (int i = 0; i < 14; i++) {
            align(mode ? "max" : "avg", i & 1 ? "half_pixel" : "output_half_pixel", 0, 2, regions[i / 2]);
            ck_assert_msg(harness_run(&h), "%s", h.err.text);
            const float *y = harness_out(&h, 0)->data;
            for (int k = 0; k < 4; k++)
                ck_assert(isfinite(y[k]));
            harness_end(&h);
        }
    }
}
END_TEST

START_TEST(samples_outside_count_as_zero)
{
    /* 2000 samples a side, of which 5 in [-1, 4]: those below 0 read the edge */
    align("avg", "output_half_pixel", 0, 1, (float[]){-1000, -1000, 1000, 1000});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    /* at -0.5 (as 0), 0.5, 1.5, 2.5, 3.5 (as 3): sum of positions 7.5, five a side */
    const float sum = 5 * 7.5f * 4 + 5 * 7.5f;
    harness_expect_floats(&h, 0, 4, DIMS(1, 1, 1, 1), (float[]){sum / 4e6f}, 1e-6f);
    harness_end(&h);
}
END_TEST

START_TEST(batch_indices_are_judged_when_run)
{
    static const float picture[4], region[4];
    harness_begin(&h, "RoiAlign", 10);
    harness_floats(&h, 4, DIMS(1, 1, 2, 2), picture);
    harness_floats(&h, 2, DIMS(1, 4), region);
    harness_int64s(&h, 1, DIMS(1), DIMS(1));
    harness_expect_failure(&h, ERR_DATA, "batch index 1 of region 0");
    harness_end(&h);
    harness_begin(&h, "RoiAlign", 10);
    harness_floats(&h, 4, DIMS(1, 1, 0, 2), NULL);
    harness_floats(&h, 2, DIMS(1, 4), region);
    harness_int64s(&h, 1, DIMS(1), DIMS(0));
    harness_expect_failure(&h, ERR_INVALID, "the picture is empty");
    harness_end(&h);
    harness_begin(&h, "RoiAlign", 10);
    harness_floats(&h, 4, DIMS(1, 1, 2, 2), picture);
    harness_floats(&h, 2, DIMS(0, 4), NULL);
    harness_int64s(&h, 1, DIMS(0), NULL);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 4, DIMS(0, 1, 1, 1), NULL, 0);
    harness_end(&h);
    harness_begin(&h, "RoiAlign", 10);
    harness_floats(&h, 4, DIMS(1, 1, 2, 2), picture);
    harness_floats(&h, 2, DIMS(1, 3), region);
    harness_int64s(&h, 1, DIMS(1), DIMS(0));
    harness_expect_failure(&h, ERR_INVALID, "regions [n,4]");
    harness_end(&h);
}
END_TEST

/* CropAndResize of a 4 x 4 ramp 4 y + x. */
static void crop(const char *mode, int64_t n, const float *regions, int32_t height, int32_t width)
{
    float ramp[16];
    for (int i = 0; i < 16; i++)
        ramp[i] = (float)i;
    harness_begin_in(&h, "com.microsoft", "CropAndResize", 1);
    harness_text(&h, "mode", mode);
    harness_float(&h, "extrapolation_value", -1);
    harness_floats(&h, 4, DIMS(1, 1, 4, 4), ramp);
    harness_floats(&h, 2, DIMS(n, 4), regions);
    harness_input(&h, PERCEPT_INT32, 1, &n, (int32_t[8]){0});
    harness_input(&h, PERCEPT_INT32, 1, DIMS(2), (int32_t[]){height, width});
    harness_as_known(&h);
}

static void expect_crop(const char *mode, const float *region, int32_t height, int32_t width, const float *want)
{
    crop(mode, 1, region, height, width);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 4, DIMS(1, 1, height, width), want, 1e-6f);
    harness_end(&h);
}

START_TEST(crops_reach_from_edge_to_edge)
{
    static const float all[] = {0, 0, 1, 1};
    expect_crop("bilinear", all, 2, 2, (float[]){0, 3, 12, 15});
    expect_crop("bilinear", all, 1, 1, (float[]){7.5f});
    expect_crop("nearest", all, 1, 1, (float[]){10}); /* halves away from 0 */
    expect_crop("bilinear", (float[]){0.5f, 0, 0.5f, 0.5f}, 1, 4, (float[]){6, 6.5f, 7, 7.5f});
    expect_crop("bilinear", (float[]){0, 1, 0, 0}, 1, 3, (float[]){3, 1.5f, 0}); /* backwards */
    expect_crop("bilinear", (float[]){0, 0, 0, 2}, 1, 3, (float[]){0, 3, -1});   /* past the picture */
    expect_crop("nearest", (float[]){-0.1f, 0, 1, 1}, 2, 2, (float[]){-1, -1, 12, 15});
    expect_crop("nearest", (float[]){NAN, 0, 1, INFINITY}, 2, 2, (float[]){-1, -1, -1, -1});
    expect_crop("nearest", all, 0, 2, NULL);
    crop("nearest", 0, NULL, 2, 2);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 4, DIMS(0, 1, 2, 2), NULL, 0);
    harness_end(&h);
}
END_TEST

START_TEST(crops_of_doubles_choose_their_item)
{
    harness_begin_in(&h, "com.microsoft", "CropAndResize", 1);
    harness_text(&h, "mode", "nearest");
    harness_input(&h, PERCEPT_DOUBLE, 4, DIMS(2, 2, 1, 1), (double[]){1, 2, (double)INFINITY, 4 + 0x1p-40});
    harness_input(&h, PERCEPT_DOUBLE, 2, DIMS(3, 4), (double[12]){0, 0, 1, 1, 0, 0, 1, 1, 1, -1, 2, 1});
    harness_input(&h, PERCEPT_INT32, 1, DIMS(3), (int32_t[]){1, 0, 0});
    harness_input(&h, PERCEPT_INT32, 1, DIMS(2), (int32_t[]){1, 1});
    harness_as_known(&h);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_DOUBLE, 4, DIMS(3, 2, 1, 1), (double[]){(double)INFINITY, 4 + 0x1p-40, 1, 2, 1, 2});
    harness_end(&h);
}
END_TEST

static void rest_crop(struct harness *with)
{
    const int64_t n = with->tensors[0].dims[0];
    float regions[32][4];
    int32_t items[32];
    for (int32_t i = 0; i < n; i++) {
        items[i] = i;
        memcpy(regions[i], (float[]){0.1f, -0.2f, 0.9f, 0.8f}, sizeof regions[i]);
    }
    harness_domain(with, "com.microsoft");
    harness_floats(with, 2, DIMS(n, 4), &regions[0][0]);
    harness_input(with, PERCEPT_INT32, 1, &n, items);
    harness_input(with, PERCEPT_INT32, 1, DIMS(2), (int32_t[]){3, 4});
    harness_as_known(with);
}

START_TEST(crops_do_not_depend_on_others)
{
    heavy_expect_same_bits("CropAndResize", 1, 1, 4, DIMS(1, 3, 7, 9), false, rest_crop);
}
END_TEST

START_TEST(crops_that_do_not_fit_are_refused)
{
    static const float all[] = {0, 0, 1, 1};
    crop("cubic", 1, all, 1, 1);
    harness_expect_failure(&h, ERR_UNSUPPORTED, "'mode'");
    harness_end(&h);
    crop("nearest", 1, all, -1, 1);
    harness_expect_failure(&h, ERR_INVALID, "the size is negative or too large");
    harness_end(&h);
    for (int i = 0; i < 3; i++) {
        harness_begin_in(&h, "com.microsoft", "CropAndResize", 1);
        harness_floats(&h, 4, DIMS(1, 1, 1, 1), (float[]){1});
        harness_floats(&h, 2, DIMS(1, 4), all);
        harness_input(&h, i == 0 ? PERCEPT_INT64 : PERCEPT_INT32, 1, DIMS(1), (int64_t[]){i == 2});
        harness_input(&h, PERCEPT_INT32, 1, DIMS(i == 1 ? 1 : 2), (int32_t[]){1, 1});
        harness_as_known(&h);
        harness_expect_failure(&h,
                               i == 0   ? ERR_UNSUPPORTED
                               : i == 1 ? ERR_MODEL
                                        : ERR_DATA,
                               i == 0   ? "input 2 is int64; int32 would work"
                               : i == 1 ? "the size has 1 numbers"
                                        : "batch index 1 of region 0 is outside [0, 1)");
        harness_end(&h);
    }
}
END_TEST

/* MaxRoiPool of one region of a 4 x 4 ramp 4 y + x, minus 100: all below 0. */
static void pool(int64_t height, int64_t width, float scale, const float *region)
{
    static float ramp[16];
    for (int i = 0; i < 16; i++)
        ramp[i] = (float)(i - 100);
    harness_begin(&h, "MaxRoiPool", 1);
    harness_int_list(&h, "pooled_shape", 2, DIMS(height, width));
    harness_float(&h, "spatial_scale", scale);
    harness_floats(&h, 4, DIMS(1, 1, 4, 4), ramp);
    harness_floats(&h, 2, DIMS(1, 5), region);
}

static void expect_pool(int64_t height, int64_t width, float scale, const float *region, const float *want)
{
    pool(height, width, scale, region);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 4, DIMS(1, 1, height, width), want, 0);
    harness_end(&h);
}

START_TEST(cells_of_whole_pixels_give_their_maximum)
{
    expect_pool(2, 2, 1, (float[]){0, 0, 0, 3, 3}, (float[]){-95, -93, -87, -85});
    /* three pixels for two cells: both see the middle one */
    expect_pool(1, 2, 1, (float[]){0, 1, 1, 3, 1}, (float[]){-94, -93});
    /* 0.5 is rounded to 1, away from 0 as -0.5 is */
    expect_pool(1, 1, 0.5f, (float[]){0, 1, 1, 3, 1}, (float[]){-94});
    expect_pool(1, 3, 1, (float[]){0, -0.5f, 0, 1, 0}, (float[]){0, -100, -99});
    /* the second corner before the first: one pixel */
    expect_pool(1, 1, 1, (float[]){0.9f, 2, 2, 0, 0}, (float[]){-90});
    /* more cells than pixels see them again */
    expect_pool(1, 3, 1, (float[]){-0.9f, 3, 0, 3, 0}, (float[]){-97, -97, -97});
}
END_TEST

START_TEST(cells_that_see_nothing_are_zero)
{
    expect_pool(1, 2, 1, (float[]){0, 2, 0, 5, 0}, (float[]){-97, 0});
    expect_pool(1, 1, 1, (float[]){0, 9, 9, 12, 12}, (float[]){0});
    expect_pool(1, 1, 1, (float[]){0, NAN, 0, 1, 1}, (float[]){0});
    expect_pool(1, 1, 1, (float[]){0, 0, 0, INFINITY, 1}, (float[]){0});
    expect_pool(2, 2, 1, (float[]){0, -3e38f, -3e38f, 3e38f, 3e38f}, (float[]){0, 0, 0, -85});
    harness_begin(&h, "MaxRoiPool", 22);
    harness_int_list(&h, "pooled_shape", 2, DIMS(1, 2));
    harness_floats(&h, 4, DIMS(1, 1, 0, 3), NULL);
    harness_floats(&h, 2, DIMS(1, 5), (float[]){0, 0, 0, 1, 1});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 4, DIMS(1, 1, 1, 2), (float[]){0, 0}, 0);
    harness_end(&h);
    for (int i = 0; i < 2; i++) { /* no region, no channel */
        harness_begin(&h, "MaxRoiPool", 22);
        harness_int_list(&h, "pooled_shape", 2, DIMS(1, 2));
        harness_floats(&h, 4, DIMS(1, 1 - i, 1, 1), (float[]){1});
        harness_floats(&h, 2, DIMS(i, 5), (float[5]){0});
        ck_assert_msg(harness_run(&h), "%s", h.err.text);
        harness_expect_floats(&h, 0, 4, DIMS(i, 1 - i, 1, 2), NULL, 0);
        harness_end(&h);
    }
}
END_TEST

START_TEST(regions_choose_their_item)
{
    double x[8], regions[] = {1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 1, 0, 1, 0};
    for (int i = 0; i < 8; i++)
        x[i] = i + 0x1p-40;
    x[6] = (double)NAN; /* item 1, channel 1 */
    harness_begin(&h, "MaxRoiPool", 1);
    harness_int_list(&h, "pooled_shape", 2, DIMS(1, 1));
    harness_input(&h, PERCEPT_DOUBLE, 4, DIMS(2, 2, 1, 2), x);
    harness_input(&h, PERCEPT_DOUBLE, 2, DIMS(3, 5), regions);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    const double *y = harness_out(&h, 0)->data;
    ck_assert(y[0] == x[5] && isnan(y[1]) && y[2] == x[0] && y[3] == x[2] && y[4] == x[5] && y[5] == x[7]);
    harness_end(&h);
}
END_TEST

/* A region for every item, the same within each. */
static void rest_pool(struct harness *with)
{
    const int64_t n = with->tensors[0].dims[0];
    float regions[32][5];
    for (int64_t i = 0; i < n; i++)
        memcpy(regions[i], (float[]){(float)i, 1.3f, -2, 9.2f, 11}, sizeof regions[i]);
    harness_int_list(with, "pooled_shape", 2, DIMS(3, 4));
    harness_float(with, "spatial_scale", 0.7f);
    harness_floats(with, 2, DIMS(n, 5), &regions[0][0]);
}

START_TEST(pooled_regions_do_not_depend_on_others)
{
    heavy_expect_same_bits("MaxRoiPool", 1, 1, 4, DIMS(1, 3, 7, 9), false, rest_pool);
}
END_TEST

START_TEST(regions_that_cannot_be_pooled_are_refused)
{
    static const float bad[] = {1, -1, NAN};
    for (int i = 0; i < 3; i++) {
        pool(1, 1, 1, (float[]){bad[i], 0, 0, 1, 1});
        harness_expect_failure(&h, ERR_DATA, "of region 0 is outside [0, 1)");
        harness_end(&h);
    }
    for (int i = 0; i < 2; i++) { /* of no item at all */
        harness_begin(&h, "MaxRoiPool", 1);
        harness_int_list(&h, "pooled_shape", 2, DIMS(1, 1));
        harness_floats(&h, 4, DIMS(0, 1, 2, 2), NULL);
        harness_floats(&h, 2, DIMS(1, 5), (float[]){i ? 0 : -0.5f, 0, 0, 1, 1});
        harness_expect_failure(&h, ERR_DATA, "of region 0 is outside [0, 0)");
        harness_end(&h);
    }
    static const float scales[] = {0, -1, NAN, INFINITY};
    for (int i = 0; i < 4; i++) {
        pool(1, 1, scales[i], (float[5]){0});
        harness_expect_failure(&h, ERR_MODEL, "'spatial_scale'");
        harness_end(&h);
    }
    pool(0, 1, 1, (float[5]){0});
    harness_expect_failure(&h, ERR_MODEL, "'pooled_shape' must be a height and a width");
    harness_end(&h);
    pool(INT64_MAX, INT64_MAX, 1, (float[5]){0});
    harness_expect_failure(&h, ERR_INVALID, "the output would be too large");
    harness_end(&h);
    harness_begin(&h, "MaxRoiPool", 1);
    harness_floats(&h, 4, DIMS(1, 1, 1, 1), (float[]){1});
    harness_floats(&h, 2, DIMS(1, 5), (float[5]){0});
    harness_expect_failure(&h, ERR_MODEL, "'pooled_shape'");
    harness_end(&h);
    harness_begin(&h, "MaxRoiPool", 1);
    harness_int_list(&h, "pooled_shape", 2, DIMS(1, 1));
    harness_floats(&h, 4, DIMS(1, 1, 1, 1), (float[]){1});
    harness_floats(&h, 2, DIMS(1, 4), (float[4]){0});
    harness_expect_failure(&h, ERR_INVALID, "regions [n,5] would work");
    harness_end(&h);
    harness_begin(&h, "MaxRoiPool", 1);
    harness_int_list(&h, "pooled_shape", 2, DIMS(1, 1));
    harness_input(&h, PERCEPT_UINT8, 4, DIMS(1, 1, 1, 1), (uint8_t[]){1});
    harness_floats(&h, 2, DIMS(1, 5), (float[5]){0});
    harness_expect_failure(&h, ERR_UNSUPPORTED, "input 0 is uint8");
    harness_end(&h);
}
END_TEST

Suite *op_detect_suite(void)
{
    Suite *suite = suite_create("op/detect");
    TCase *tcase = tcase_create("detect");
    tcase_add_test(tcase, boxes_that_overlap_a_better_one_go);
    tcase_add_test(tcase, limits_of_number_and_score_hold);
    tcase_add_test(tcase, without_a_number_no_box_is_selected);
    tcase_add_test(tcase, pairs_of_item_and_class_are_apart);
    tcase_add_test(tcase, many_boxes_are_taken_in_order_of_score);
    tcase_add_test(tcase, boxes_and_scores_must_fit);
    tcase_add_test(tcase, cells_average_their_samples);
    tcase_add_test(tcase, doubles_are_averaged_as_doubles);
    tcase_add_test(tcase, regions_of_any_size_end);
    tcase_add_test(tcase, samples_outside_count_as_zero);
    tcase_add_test(tcase, batch_indices_are_judged_when_run);
    tcase_add_test(tcase, crops_reach_from_edge_to_edge);
    tcase_add_test(tcase, crops_of_doubles_choose_their_item);
    tcase_add_test(tcase, crops_do_not_depend_on_others);
    tcase_add_test(tcase, crops_that_do_not_fit_are_refused);
    tcase_add_test(tcase, cells_of_whole_pixels_give_their_maximum);
    tcase_add_test(tcase, cells_that_see_nothing_are_zero);
    tcase_add_test(tcase, regions_choose_their_item);
    tcase_add_test(tcase, pooled_regions_do_not_depend_on_others);
    tcase_add_test(tcase, regions_that_cannot_be_pooled_are_refused);
    suite_add_tcase(suite, tcase);
    return suite;
}
