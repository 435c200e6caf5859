/* quant_conv.c - tests of src/op/quant_conv.c: against loops that are obviously right, and by hand. */
#include "harness.h"

#include <check.h>
#include <stdlib.h>

static struct harness h;

/* Two axes; the same stride and dilation for both, padding at all four ends. */
struct scene {
    int64_t n, channels, out, group, height, width, kernel, stride, dilation, pad;
    bool x_signed, w_signed, constant;
};

static const struct scene scenes[] = {
    {1, 1, 1, 1, 3, 3, 1, 1, 1, 0, false, false, true},
    {2, 3, 50, 1, 9, 11, 3, 1, 1, 1, false, true, true},
    {1, 8, 8, 8, 12, 7, 3, 2, 1, 1, true, true, true},
    {1, 6, 9, 3, 13, 13, 2, 3, 2, 0, false, false, true},
    {1, 64, 5, 1, 17, 19, 1, 1, 1, 0, false, true, true},
    {1, 2, 4, 1, 6, 40, 5, 1, 1, 2, true, true, false},
    {1, 4, 4, 2, 5, 5, 3, 2, 1, 2, false, false, false},
    {1, 16, 3, 1, 40, 41, 3, 1, 1, 1, false, true, true}, /* pixels of several tiles */
    {2, 8, 3, 1, 40, 41, 1, 1, 1, 0, true, true, true},
    {1, 5, 70, 1, 9, 9, 3, 2, 1, 1, true, true, true},    /* channels of several units, phases of a stride */
    {1, 2, 2, 1, 3, 1100, 3, 1, 1, 1, false, true, true}, /* rows of several tiles */
    {1, 3, 6, 3, 4, 600, 3, 1, 2, 2, true, false, true},
    {2, 5, 5, 5, 9, 17, 5, 1, 1, 2, false, true, true},
    {1, 4, 4, 4, 17, 17, 3, 3, 1, 1, false, true, true},
    {1, 4, 3, 1, 7, 7, 1, 2, 1, 0, false, true, true},
    {1, 3, 3, 3, 7, 9, 1, 1, 1, 1, true, true, true},
};

static uint8_t *some_bytes(int64_t n, uint32_t seed)
{
    uint8_t *bytes = malloc((size_t)n);
    ck_assert_ptr_nonnull(bytes);
    for (int64_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        bytes[i] = (uint8_t)(seed >> 24);
    }
    return bytes;
}

static int32_t number(uint8_t byte, bool is_signed)
{
    return is_signed ? (int8_t)byte : byte;
}

static int64_t size(const struct scene *s, int64_t in)
{
    return (in + 2 * s->pad - s->dilation * (s->kernel - 1) - 1) / s->stride + 1;
}

static int32_t sum_at(const struct scene *s, const uint8_t *x, const uint8_t *w, int64_t at)
{
    const int64_t oh = size(s, s->height), ow = size(s, s->width), in = s->channels / s->group;
    const int64_t n = at / (ow * oh * s->out), o = at / (ow * oh) % s->out;
    const int64_t first = o / (s->out / s->group) * in;
    int32_t sum = 0;
    for (int64_t i = 0; i < in * s->kernel * s->kernel; i++) {
        const int64_t c = i / s->kernel / s->kernel;
        const int64_t row = at / ow % oh * s->stride - s->pad + i / s->kernel % s->kernel * s->dilation;
        const int64_t column = at % ow * s->stride - s->pad + i % s->kernel * s->dilation;
        if (row < 0 || row >= s->height || column < 0 || column >= s->width)
            continue; /* padding is the zero point */
        const uint8_t pixel = x[((n * s->channels + first + c) * s->height + row) * s->width + column];
        sum += (number(pixel, s->x_signed) - 3) * (number(w[o * in * s->kernel * s->kernel + i], s->w_signed) - 5);
    }
    return sum;
}

START_TEST(sums_are_those_of_plain_loops)
{
    const struct scene *s = &scenes[_i];
    const int64_t oh = size(s, s->height), ow = size(s, s->width), n = s->n * s->out * oh * ow;
    const int64_t in = s->channels / s->group;
    uint8_t *x = some_bytes(s->n * s->channels * s->height * s->width, 5);
    uint8_t *w = some_bytes(s->out * in * s->kernel * s->kernel, 6);
    int32_t *want = calloc((size_t)n, sizeof *want);
    ck_assert_ptr_nonnull(want);
    for (int64_t i = 0; i < n; i++)
        want[i] = sum_at(s, x, w, i);
    harness_begin(&h, "ConvInteger", 10);
    harness_int(&h, "group", s->group);
    harness_int_list(&h, "strides", 2, DIMS(s->stride, s->stride));
    harness_int_list(&h, "dilations", 2, DIMS(s->dilation, s->dilation));
    harness_int_list(&h, "pads", 4, DIMS(s->pad, s->pad, s->pad, s->pad));
    const enum percept_dtype x_type = s->x_signed ? PERCEPT_INT8 : PERCEPT_UINT8;
    const enum percept_dtype w_type = s->w_signed ? PERCEPT_INT8 : PERCEPT_UINT8;
    harness_input(&h, x_type, 4, DIMS(s->n, s->channels, s->height, s->width), x);
    harness_input(&h, w_type, 4, DIMS(s->out, in, s->kernel, s->kernel), w);
    if (s->constant)
        harness_as_constant(&h);
    harness_input(&h, x_type, 0, DIMS(0), (uint8_t[]){3});
    harness_input(&h, w_type, 0, DIMS(0), (uint8_t[]){5});
    if (s->constant)
        harness_as_constant(&h);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_INT32, 4, DIMS(s->n, s->out, oh, ow), want);
    harness_end(&h);
    free(x);
    free(w);
    free(want);
}
END_TEST

/* Up to three axes, of which each has its own of everything. */
struct solid {
    int axes;
    int64_t channels, out, group;
    int64_t in[3], kernel[3], stride[3], dilation[3], pads[6];
};

static const struct solid solids[] = {
    {3, 2, 3, 1, {4, 5, 6}, {2, 3, 1}, {1, 2, 1}, {2, 1, 1}, {1, 0, 2, 0, 1, 0}},
    {3, 5, 5, 5, {5, 6, 7}, {3, 2, 4}, {1, 1, 2}, {1, 2, 1}, {0, 1, 2, 1, 2, 3}}, /* one channel per group */
    {3, 4, 4, 4, {4, 9, 5}, {1, 4, 3}, {2, 3, 1}, {1, 2, 2}, {0, 3, 1, 1, 0, 4}},
    {3, 4, 6, 2, {3, 4, 8}, {1, 2, 3}, {3, 1, 2}, {1, 3, 2}, {2, 1, 0, 0, 2, 1}},
    {2, 6, 6, 6, {9, 6}, {4, 2}, {1, 3}, {2, 1}, {3, 0, 2, 1}},
    {2, 3, 4, 1, {7, 9}, {2, 5}, {2, 1}, {3, 1}, {0, 4, 1, 2}},
    {1, 3, 3, 3, {17}, {5}, {2}, {3}, {4, 1}},
    {1, 2, 5, 1, {11}, {4}, {1}, {2}, {0, 3}},
};

/* The same with three axes, those in front of size 1. */
static struct solid widened(const struct solid *s)
{
    struct solid wide = {3, s->channels, s->out, s->group, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {0}};
    for (int i = 0, to = 3 - s->axes; i < s->axes; i++, to++) {
        wide.in[to] = s->in[i];
        wide.kernel[to] = s->kernel[i];
        wide.stride[to] = s->stride[i];
        wide.dilation[to] = s->dilation[i];
        wide.pads[to] = s->pads[i];
        wide.pads[3 + to] = s->pads[s->axes + i];
    }
    return wide;
}

static int64_t solid_out(const struct solid *s, int i)
{
    return (s->in[i] + s->pads[i] + s->pads[s->axes + i] - s->dilation[i] * (s->kernel[i] - 1) - 1) / s->stride[i] + 1;
}

/* What output channel o is at this place. */
static int32_t solid_sum(const struct solid *s, const uint8_t *x, const uint8_t *w, int64_t o, const int64_t *place)
{
    const int64_t in = s->channels / s->group, taps = s->kernel[0] * s->kernel[1] * s->kernel[2];
    int32_t sum = 0;
    for (int64_t i = 0; i < in * taps; i++) {
        const int64_t tap[] = {i / s->kernel[2] / s->kernel[1] % s->kernel[0], i / s->kernel[2] % s->kernel[1],
                               i % s->kernel[2]};
        int64_t at = o / (s->out / s->group) * in + i / taps;
        bool inside = true;
        for (int d = 0; d < 3; d++) {
            const int64_t from = place[d] * s->stride[d] - s->pads[d] + tap[d] * s->dilation[d];
            inside = inside && from >= 0 && from < s->in[d];
            at = at * s->in[d] + from;
        }
        if (inside)
            sum += ((int32_t)x[at] - 3) * ((int32_t)w[o * in * taps + i] - 5);
    }
    return sum;
}

START_TEST(every_axis_has_sizes_of_its_own)
{
    const struct solid *s = &solids[_i], wide = widened(s);
    const int64_t in = s->channels / s->group, out[] = {solid_out(&wide, 0), solid_out(&wide, 1), solid_out(&wide, 2)};
    const int64_t cells = out[0] * out[1] * out[2];
    int64_t x_dims[5] = {1, s->channels}, w_dims[5] = {s->out, in}, y_dims[5] = {1, s->out};
    for (int i = 0; i < s->axes; i++) {
        x_dims[2 + i] = s->in[i];
        w_dims[2 + i] = s->kernel[i];
        y_dims[2 + i] = solid_out(s, i);
    }
    uint8_t *x = some_bytes(s->channels * wide.in[0] * wide.in[1] * wide.in[2], 15);
    uint8_t *w = some_bytes(s->out * in * wide.kernel[0] * wide.kernel[1] * wide.kernel[2], 16);
    int32_t *want = calloc((size_t)(s->out * cells), sizeof *want);
    ck_assert_ptr_nonnull(want);
    for (int64_t i = 0; i < s->out * cells; i++) {
        const int64_t place[] = {i / out[2] / out[1] % out[0], i / out[2] % out[1], i % out[2]};
        want[i] = solid_sum(&wide, x, w, i / cells, place);
    }
    for (int constant = 0; constant < 2; constant++) {
        harness_begin(&h, "ConvInteger", 10);
        harness_int(&h, "group", s->group);
        harness_int_list(&h, "strides", s->axes, s->stride);
        harness_int_list(&h, "dilations", s->axes, s->dilation);
        harness_int_list(&h, "pads", 2 * s->axes, s->pads);
        harness_input(&h, PERCEPT_UINT8, 2 + s->axes, x_dims, x);
        harness_input(&h, PERCEPT_UINT8, 2 + s->axes, w_dims, w);
        if (constant)
            harness_as_constant(&h);
        harness_input(&h, PERCEPT_UINT8, 0, DIMS(0), (uint8_t[]){3});
        harness_input(&h, PERCEPT_UINT8, 0, DIMS(0), (uint8_t[]){5});
        harness_ran(&h);
        harness_expect(&h, 0, PERCEPT_INT32, 2 + s->axes, y_dims, want);
        harness_end(&h);
    }
    free(x);
    free(w);
    free(want);
}
END_TEST

static void one_float(float value)
{
    harness_floats(&h, 0, DIMS(0), &value);
}

static void one_byte(uint8_t value)
{
    harness_input(&h, PERCEPT_UINT8, 0, DIMS(0), &value);
}

/* x [1,1,2], weights [2,1,1]: up to the weights' scale. */
static void small_picture(void)
{
    harness_begin(&h, "QLinearConv", 10);
    harness_input(&h, PERCEPT_UINT8, 3, DIMS(1, 1, 2), (uint8_t[]){3, 200});
    one_float(0.5f);
    one_byte(2);
    harness_input(&h, PERCEPT_INT8, 3, DIMS(2, 1, 1), (int8_t[]){5, -3});
    harness_as_constant(&h);
}

START_TEST(channels_have_scales_and_biases)
{
    small_picture();
    harness_floats(&h, 1, DIMS(2), (float[]){1, 2});
    harness_input(&h, PERCEPT_INT8, 1, DIMS(2), (int8_t[]){0, 0});
    harness_as_constant(&h);
    one_float(1);
    one_byte(128);
    harness_input(&h, PERCEPT_INT32, 1, DIMS(2), (int32_t[]){0, 10});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    /* sums 5, 990; -3 + 10, -594 + 10; factors 1/2, 1 */
    harness_expect(&h, 0, PERCEPT_UINT8, 3, DIMS(1, 2, 2), (uint8_t[]){130, 255, 135, 0});
    harness_end(&h);
}
END_TEST

/* QLinearConv of a scene, ONNX's or com.microsoft's with the channels last. */
static void convolve(const struct scene *s, const uint8_t *x, const uint8_t *w, bool last)
{
    const int64_t in = s->channels / s->group;
    const enum percept_dtype x_type = s->x_signed ? PERCEPT_INT8 : PERCEPT_UINT8;
    const enum percept_dtype w_type = s->w_signed ? PERCEPT_INT8 : PERCEPT_UINT8;
    harness_begin(&h, "QLinearConv", last ? 1 : 10);
    if (last) {
        harness_domain(&h, "com.microsoft");
        harness_int(&h, "channels_last", 1);
    }
    harness_int(&h, "group", s->group);
    harness_int_list(&h, "strides", 2, DIMS(s->stride, s->stride));
    harness_int_list(&h, "dilations", 2, DIMS(s->dilation, s->dilation));
    harness_int_list(&h, "pads", 4, DIMS(s->pad, s->pad, s->pad, s->pad));
    if (last)
        harness_input(&h, x_type, 4, DIMS(s->n, s->height, s->width, s->channels), x);
    else
        harness_input(&h, x_type, 4, DIMS(s->n, s->channels, s->height, s->width), x);
    one_float(0.25f);
    harness_input(&h, x_type, 0, DIMS(0), (uint8_t[]){3});
    harness_input(&h, w_type, 4, DIMS(s->out, in, s->kernel, s->kernel), w);
    if (s->constant)
        harness_as_constant(&h);
    one_float(0.125f);
    harness_input(&h, w_type, 0, DIMS(0), (uint8_t[]){5});
    if (s->constant)
        harness_as_constant(&h);
    one_float(16);
    harness_input(&h, x_type, 0, DIMS(0), (uint8_t[]){7});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
}

START_TEST(channels_may_come_last)
{
    const struct scene *s = &scenes[_i];
    const int64_t oh = size(s, s->height), ow = size(s, s->width), in = s->height * s->width;
    uint8_t *x = some_bytes(s->n * s->channels * in, 5), *turned = some_bytes(s->n * s->channels * in, 0);
    uint8_t *w = some_bytes(s->out * s->channels / s->group * s->kernel * s->kernel, 6);
    for (int64_t i = 0; i < s->n * s->channels * in; i++)
        turned[(i / in / s->channels * in + i % in) * s->channels + i / in % s->channels] = x[i];
    convolve(s, x, w, false);
    const int64_t n = tensor_elements(harness_out(&h, 0));
    uint8_t *want = some_bytes(n, 0);
    for (int64_t i = 0; i < n; i++)
        want[(i / (oh * ow) / s->out * oh * ow + i % (oh * ow)) * s->out + i / (oh * ow) % s->out] =
            ((const uint8_t *)harness_out(&h, 0)->data)[i];
    harness_end(&h);
    convolve(s, turned, w, true);
    harness_expect(&h, 0, s->x_signed ? PERCEPT_INT8 : PERCEPT_UINT8, 4, DIMS(s->n, oh, ow, s->out), want);
    harness_end(&h);
    free(x);
    free(turned);
    free(w);
    free(want);
}
END_TEST

START_TEST(channels_lie_together_in_the_answer)
{
    for (int items = 0; items < 3; items++) {
        harness_begin_in(&h, "com.microsoft", "QLinearConv", 1);
        harness_int(&h, "channels_last", 1);
        harness_input(&h, PERCEPT_UINT8, 3, DIMS(items, 3, 2), (uint8_t[]){1, 10, 2, 20, 3, 30, 4, 40, 5, 50, 6, 60});
        one_float(1);
        one_byte(0);
        harness_input(&h, PERCEPT_INT8, 3, DIMS(3, 2, 1), (int8_t[]){1, 0, 0, 1, 1, 1});
        harness_as_constant(&h);
        one_float(1);
        harness_input(&h, PERCEPT_INT8, 0, DIMS(0), (int8_t[]){0});
        harness_as_constant(&h);
        one_float(1);
        one_byte(100);
        ck_assert_msg(harness_run(&h), "%s", h.err.text);
        harness_expect(
            &h, 0, PERCEPT_UINT8, 3, DIMS(items, 3, 3),
            (uint8_t[]){101, 110, 111, 102, 120, 122, 103, 130, 133, 104, 140, 144, 105, 150, 155, 106, 160, 166});
        harness_end(&h);
    }
}
END_TEST

/* A 1x1x1 picture under a 2x1x1 kernel, and steps of so many. */
static void far_steps(int64_t pad, int64_t stride)
{
    harness_begin(&h, "ConvInteger", 10);
    harness_int_list(&h, "pads", 6, DIMS(pad, pad, pad, pad, pad, pad));
    harness_int_list(&h, "strides", 3, DIMS(stride, stride, stride));
    harness_input(&h, PERCEPT_UINT8, 5, DIMS(1, 1, 1, 1, 1), (uint8_t[]){1});
    harness_input(&h, PERCEPT_UINT8, 5, DIMS(1, 1, 2, 1, 1), (uint8_t[]){1, 1});
    harness_as_constant(&h);
}

START_TEST(padding_beyond_all_memory_is_refused)
{
    const int64_t most = ((int64_t)1 << 30) - 1;
    far_steps(most, 1);
    harness_expect_failure(&h, ERR_INVALID, "the output would be too large");
    harness_end(&h);
    far_steps(most, most);
    harness_expect_failure(&h, ERR_INVALID, "a padded picture of 1073741825 by 2147483647 by 2147483647 is too");
    harness_end(&h);
}
END_TEST

START_TEST(padding_at_the_end_keeps_the_size)
{
    harness_begin(&h, "ConvInteger", 10);
    harness_text(&h, "auto_pad", "SAME_UPPER");
    harness_input(&h, PERCEPT_UINT8, 3, DIMS(1, 1, 3), (uint8_t[]){1, 2, 3});
    harness_input(&h, PERCEPT_UINT8, 3, DIMS(1, 1, 2), (uint8_t[]){1, 10});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_INT32, 3, DIMS(1, 1, 3), (int32_t[]){21, 32, 3});
    harness_end(&h);
}
END_TEST

START_TEST(what_does_not_fit_is_refused_in_a_sentence)
{
    small_picture();
    harness_floats(&h, 1, DIMS(3), (float[]){1, 2, 3});
    harness_input(&h, PERCEPT_INT8, 0, DIMS(0), (int8_t[]){0});
    one_float(1);
    one_byte(128);
    harness_expect_failure(&h, ERR_INVALID, "input 4 has 3 elements; one or 2 work");
    harness_end(&h);

    small_picture();
    one_float(1);
    harness_input(&h, PERCEPT_INT8, 0, DIMS(0), (int8_t[]){0});
    one_float(1);
    one_byte(128);
    harness_input(&h, PERCEPT_INT32, 1, DIMS(1), (int32_t[]){0});
    harness_expect_failure(&h, ERR_MODEL, "the bias must be int32 [2]");
    harness_end(&h);

    harness_begin(&h, "ConvInteger", 10);
    harness_input(&h, PERCEPT_UINT8, 3, DIMS(1, 2, 3), (uint8_t[]){1, 2, 3, 4, 5, 6});
    harness_input(&h, PERCEPT_UINT8, 3, DIMS(1, 1, 2), (uint8_t[]){1, 10});
    harness_as_constant(&h);
    harness_expect_failure(&h, ERR_INVALID, "a picture with 2 channels; the weights need 1");
    harness_end(&h);

    harness_begin_in(&h, "com.microsoft", "QLinearConv", 1);
    harness_int(&h, "channels_last", 1);
    harness_input(&h, PERCEPT_UINT8, 3, DIMS(1, 2, 3), (uint8_t[]){1, 2, 3, 4, 5, 6});
    one_float(1);
    one_byte(0);
    harness_input(&h, PERCEPT_UINT8, 3, DIMS(1, 2, 1), (uint8_t[]){1, 10});
    one_float(1);
    one_byte(0);
    one_float(1);
    one_byte(0);
    harness_expect_failure(&h, ERR_INVALID, "a picture with 3 channels; the weights need 2");
    harness_end(&h);

    harness_begin_in(&h, "com.microsoft", "QLinearConv", 1);
    harness_text(&h, "channels_last", "yes");
    for (int i = 0; i < 8; i++)
        one_byte(0);
    harness_expect_failure(&h, ERR_MODEL, "attribute 'channels_last'");
    harness_end(&h);

    harness_begin(&h, "ConvInteger", 10);
    harness_int(&h, "group", 3);
    harness_input(&h, PERCEPT_UINT8, 3, DIMS(1, 3, 3), (uint8_t[]){1, 2, 3, 4, 5, 6, 7, 8, 9});
    harness_input(&h, PERCEPT_UINT8, 3, DIMS(2, 1, 1), (uint8_t[]){1, 10});
    harness_as_constant(&h);
    harness_expect_failure(&h, ERR_MODEL, "'group' is 3 and does not divide 2 channels");
    harness_end(&h);
}
END_TEST

Suite *op_quant_conv_suite(void);
Suite *op_quant_conv_suite(void)
{
    Suite *suite = suite_create("op/quant_conv");
    TCase *tests = tcase_create("quant_conv");
    tcase_add_loop_test(tests, sums_are_those_of_plain_loops, 0, (int)(sizeof scenes / sizeof *scenes));
    tcase_add_loop_test(tests, every_axis_has_sizes_of_its_own, 0, sizeof solids / sizeof *solids);
    tcase_add_test(tests, channels_have_scales_and_biases);
    tcase_add_loop_test(tests, channels_may_come_last, 0, (int)(sizeof scenes / sizeof *scenes));
    tcase_add_test(tests, channels_lie_together_in_the_answer);
    tcase_add_test(tests, padding_beyond_all_memory_is_refused);
    tcase_add_test(tests, padding_at_the_end_keeps_the_size);
    tcase_add_test(tests, what_does_not_fit_is_refused_in_a_sentence);
    suite_add_tcase(suite, tests);
    return suite;
}
