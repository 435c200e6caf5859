/* pool.c - tests of src/op/pool.c. */
#include "heavy.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct harness h;

/* 2-D windows, the slow way. p: 0 maximum, -1 average, else Lp. */
struct scene {
    int64_t channels, in[2], kernel[2], stride[2], dilation[2], pad[4];
    int p;
    bool include_pad;
};

static int64_t output_size(const struct scene *s, int i)
{
    return (s->in[i] + s->pad[i] + s->pad[2 + i] - s->dilation[i] * (s->kernel[i] - 1) - 1) / s->stride[i] + 1;
}

static float window(const struct scene *s, const float *x, int64_t row, int64_t column)
{
    double max = -INFINITY, sum = 0;
    int64_t inside = 0;
    for (int64_t i = 0; i < s->kernel[0]; i++) {
        for (int64_t j = 0; j < s->kernel[1]; j++) {
            const int64_t a = row * s->stride[0] - s->pad[0] + i * s->dilation[0];
            const int64_t b = column * s->stride[1] - s->pad[1] + j * s->dilation[1];
            if (a < 0 || a >= s->in[0] || b < 0 || b >= s->in[1])
                continue;
            const double v = (double)x[a * s->in[1] + b];
            max = fmax(max, v);
            sum += s->p > 0 ? pow(fabs(v), s->p) : v;
            inside++;
        }
    }
    if (s->p == 0)
        return (float)max;
    if (s->p > 0)
        return (float)pow(sum, 1.0 / s->p);
    return (float)(sum / (double)(s->include_pad ? s->kernel[0] * s->kernel[1] : inside));
}

static const struct scene scenes[] = {
    {19, {7, 8}, {2, 2}, {2, 2}, {1, 1}, {0, 0, 0, 0}, 0, false},
    {35, {7, 8}, {3, 3}, {1, 2}, {1, 1}, {1, 1, 1, 1}, 0, false},
    {3, {7, 9}, {2, 3}, {1, 1}, {2, 3}, {1, 0, 0, 2}, 0, false},
    {19, {7, 8}, {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, -1, false},
    {19, {7, 8}, {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, -1, true},
    {2, {6, 5}, {2, 2}, {1, 1}, {2, 1}, {0, 1, 0, 0}, -1, false},
    {19, {7, 8}, {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, 2, false},
    {3, {7, 8}, {3, 2}, {1, 2}, {1, 2}, {1, 0, 1, 1}, 1, false},
    {3, {7, 8}, {3, 2}, {1, 2}, {1, 1}, {1, 0, 1, 1}, 3, false},
};

static void scene_begin(const struct scene *s, const struct kernels *level, const float *x, bool blocked)
{
    harness_begin(&h, s->p == 0 ? "MaxPool" : s->p < 0 ? "AveragePool" : "LpPool", 19);
    h.ctx.kernels = level;
    if (s->p > 0)
        harness_int(&h, "p", s->p);
    harness_int_list(&h, "kernel_shape", 2, s->kernel);
    harness_int_list(&h, "strides", 2, s->stride);
    harness_int_list(&h, "dilations", 2, s->dilation);
    harness_int_list(&h, "pads", 4, s->pad);
    if (s->p < 0)
        harness_int(&h, "count_include_pad", s->include_pad);
    harness_floats(&h, 4, DIMS(2, s->channels, s->in[0], s->in[1]), x);
    if (blocked)
        harness_as_blocked(&h);
}

START_TEST(windows_agree_with_plain_loops)
{
    const struct scene *s = &scenes[_i];
    const int64_t out[2] = {output_size(s, 0), output_size(s, 1)}, map = s->in[0] * s->in[1];
    float *x = heavy_numbers(1, 2 * s->channels * map);
    float *want = malloc((size_t)(2 * s->channels * out[0] * out[1]) * sizeof *want);
    ck_assert_ptr_nonnull(want);
    for (int64_t i = 0; i < 2 * s->channels * out[0] * out[1]; i++)
        want[i] = window(s, x + i / out[1] / out[0] * map, i / out[1] % out[0], i % out[1]);
    for (const struct kernels *const *level = pick_all(); *level; level++) {
        for (int blocked = 0; pick_runs(*level) && blocked < 2; blocked++) {
            scene_begin(s, *level, x, blocked);
            ck_assert_msg(harness_run(&h), "%s", h.err.text);
            harness_expect_floats(&h, 0, 4, DIMS(2, s->channels, out[0], out[1]), want, 1e-5f);
            harness_end(&h);
        }
    }
    free(want);
}
END_TEST

START_TEST(a_blocked_picture_stays_blocked)
{
    float *x = heavy_numbers(1, 3 * 16);
    harness_begin(&h, "GlobalAveragePool", 1);
    harness_floats(&h, 4, DIMS(1, 3, 4, 4), x);
    harness_as_blocked(&h);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    ck_assert_int_eq(h.out_layout[0], LAYOUT_BLOCKED);
    harness_end(&h);
}
END_TEST

static void indexed(int64_t storage_order, const float *data, const int64_t *want)
{
    harness_begin(&h, "MaxPool", 12);
    harness_int_list(&h, "kernel_shape", 2, DIMS(2, 2));
    harness_int_list(&h, "strides", 2, DIMS(1, 1));
    harness_int(&h, "storage_order", storage_order);
    harness_floats(&h, 4, DIMS(1, 2, 2, 3), data);
    harness_outputs(&h, 2);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 4, DIMS(1, 2, 1, 2), (float[]){5, 6, 9, 9}, 0);
    harness_expect(&h, 1, PERCEPT_INT64, 4, DIMS(1, 2, 1, 2), want);
    harness_end(&h);
}

START_TEST(indices_count_over_the_whole_input_and_the_first_wins)
{
    const float data[] = {1, 2, 3, 4, 5, 6, 0, 9, 0, 0, 9, 0};
    indexed(0, data, (int64_t[]){4, 5, 7, 7});
    indexed(1, data, (int64_t[]){3, 5, 8, 8});
}
END_TEST

START_TEST(bytes_have_maxima)
{
    harness_begin(&h, "MaxPool", 12);
    harness_int_list(&h, "kernel_shape", 1, DIMS(2));
    harness_int_list(&h, "pads", 2, DIMS(1, 0));
    harness_input(&h, PERCEPT_INT8, 3, DIMS(1, 1, 3), (int8_t[]){-5, -7, 100});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_INT8, 3, DIMS(1, 1, 3), (int8_t[]){-5, -5, 100});
    harness_end(&h);
}
END_TEST

static void ceiled(const char *op_type, int64_t in, int64_t stride, int64_t pad, int64_t outputs, const float *want)
{
    const float x[] = {1, 2, 3, 4, 5, 6};
    harness_begin(&h, op_type, 19);
    harness_int(&h, "ceil_mode", 1);
    harness_int_list(&h, "kernel_shape", 1, DIMS(2));
    harness_int_list(&h, "strides", 1, &stride);
    harness_int_list(&h, "pads", 2, DIMS(pad, pad));
    harness_floats(&h, 3, DIMS(1, 1, in), x);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 3, DIMS(1, 1, outputs), want, 1e-6f);
    harness_end(&h);
}

START_TEST(ceil_mode_adds_a_window_only_if_it_begins_inside)
{
    ceiled("MaxPool", 5, 2, 0, 3, (float[]){2, 4, 5});
    ceiled("AveragePool", 5, 2, 0, 3, (float[]){1.5f, 3.5f, 5});
    ceiled("MaxPool", 1, 2, 0, 1, (float[]){1}); /* the only window begins inside and is cut */
    ceiled("MaxPool", 2, 3, 1, 1, (float[]){1}); /* a second one would begin in the right padding */
}
END_TEST

START_TEST(same_padding_gives_a_window_per_stride)
{
    harness_begin(&h, "AveragePool", 11);
    harness_text(&h, "auto_pad", "SAME_LOWER");
    harness_int_list(&h, "kernel_shape", 1, DIMS(2));
    harness_floats(&h, 3, DIMS(1, 1, 3), (float[]){1, 2, 3});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 3, DIMS(1, 1, 3), (float[]){1, 1.5f, 2.5f}, 1e-6f);
    harness_end(&h);
}
END_TEST

static void global(const char *op_type, bool blocked, int64_t p, const float *want)
{
    harness_begin(&h, op_type, 2);
    if (p)
        harness_int(&h, "p", p);
    harness_floats(&h, 4, DIMS(1, 2, 2, 2), (float[]){1, 2, 3, -6, 4, 0, 0, 3});
    if (blocked)
        harness_as_blocked(&h);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 4, DIMS(1, 2, 1, 1), want, 1e-6f);
    harness_end(&h);
}

START_TEST(global_pools_see_the_whole_map)
{
    const bool blocked = _i;
    global("GlobalAveragePool", blocked, 0, (float[]){0, 1.75f});
    global("GlobalMaxPool", blocked, 0, (float[]){3, 4});
    global("GlobalLpPool", blocked, 1, (float[]){12, 7});
    global("GlobalLpPool", blocked, 2, (float[]){sqrtf(50), 5});
    global("GlobalLpPool", blocked, 3, (float[]){cbrtf(252), cbrtf(91)});
}
END_TEST

START_TEST(bytes_have_maxima_where_channels_lie_together)
{
    const int8_t x[] = {-128, 1, -5, 2, 3, -128, -7, 4, 100, -1, -6, 0}; /* [1][2][3][2] */
    for (int is_signed = 0; is_signed < 2; is_signed++) {
        uint8_t bytes[12], y[4] = {100, 4, 100, 2};
        for (int i = 0; i < 12; i++)
            bytes[i] = (uint8_t)(x[i] ^ (is_signed ? 0 : 0x80));
        for (int i = 0; i < 4; i++)
            y[i] ^= is_signed ? 0 : 0x80;
        harness_begin_in(&h, "com.microsoft", "NhwcMaxPool", 1);
        harness_int_list(&h, "kernel_shape", 2, DIMS(2, 2));
        harness_input(&h, is_signed ? PERCEPT_INT8 : PERCEPT_UINT8, 4, DIMS(1, 2, 3, 2), bytes);
        ck_assert_msg(harness_run(&h), "%s", h.err.text);
        harness_expect(&h, 0, is_signed ? PERCEPT_INT8 : PERCEPT_UINT8, 4, DIMS(1, 1, 2, 2), y);
        harness_end(&h);
    }
    harness_begin_in(&h, "com.microsoft", "NhwcMaxPool", 1);
    harness_int_list(&h, "kernel_shape", 1, DIMS(1));
    harness_floats(&h, 3, DIMS(1, 1, 1), (float[]){1});
    harness_expect_failure(&h, ERR_UNSUPPORTED, "a picture of float32; int8 and uint8 work");
    harness_end(&h);
}
END_TEST

START_TEST(a_missing_kernel_shape_is_refused)
{
    harness_begin(&h, "MaxPool", 12);
    harness_floats(&h, 3, DIMS(1, 1, 1), (float[]){1});
    ck_assert(!harness_check(&h));
    ck_assert_ptr_nonnull(strstr(h.err.text, "kernel_shape"));
    harness_end(&h);
}
END_TEST

static void rest_window(struct harness *harness)
{
    harness_int_list(harness, "kernel_shape", 2, DIMS(3, 3));
    harness_int_list(harness, "pads", 4, DIMS(1, 1, 1, 1));
}

static void rest_nothing(struct harness *harness)
{
    (void)harness;
}

START_TEST(an_items_bits_depend_on_nobody)
{
    heavy_expect_same_bits("AveragePool", 19, 1, 4, DIMS(0, 19, 5, 6), true, rest_window);
    heavy_expect_same_bits("LpPool", 18, 1, 4, DIMS(0, 3, 5, 6), false, rest_window);
    heavy_expect_same_bits("GlobalAveragePool", 1, 1, 4, DIMS(0, 19, 5, 7), true, rest_nothing);
    heavy_expect_same_bits("GlobalAveragePool", 1, 1, 4, DIMS(0, 19, 5, 7), false, rest_nothing);
}
END_TEST

Suite *op_pool_suite(void);
Suite *op_pool_suite(void)
{
    Suite *suite = suite_create("op/pool");
    TCase *tests = tcase_create("pool");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, windows_agree_with_plain_loops, 0, (int)(sizeof scenes / sizeof *scenes));
    tcase_add_test(tests, a_blocked_picture_stays_blocked);
    tcase_add_test(tests, indices_count_over_the_whole_input_and_the_first_wins);
    tcase_add_test(tests, bytes_have_maxima);
    tcase_add_test(tests, ceil_mode_adds_a_window_only_if_it_begins_inside);
    tcase_add_test(tests, same_padding_gives_a_window_per_stride);
    tcase_add_loop_test(tests, global_pools_see_the_whole_map, 0, 2);
    tcase_add_test(tests, bytes_have_maxima_where_channels_lie_together);
    tcase_add_test(tests, a_missing_kernel_shape_is_refused);
    tcase_add_test(tests, an_items_bits_depend_on_nobody);
    suite_add_tcase(suite, tests);
    return suite;
}
