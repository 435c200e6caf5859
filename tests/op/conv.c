/* conv.c - tests of src/op/conv.c: against loops that are obviously right, and by hand. */
#include "heavy.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct harness h;

/* One case: square-less geometry over `axes` axes, missing ones are 1. */
struct scene {
    bool transposed;
    int axes;
    int64_t n, in_channels, out_channels, group;
    int64_t in[3], kernel[3], stride[3], dilation[3], pad[3], pad_end[3];
};

static int64_t output_size(const struct scene *s, int i)
{
    const int64_t reach = s->dilation[i] * (s->kernel[i] - 1) + 1;
    return s->transposed ? (s->in[i] - 1) * s->stride[i] + reach - s->pad[i] - s->pad_end[i]
                         : (s->in[i] + s->pad[i] + s->pad_end[i] - reach) / s->stride[i] + 1;
}

static int64_t volume(const int64_t *v)
{
    return v[0] * v[1] * v[2];
}

/* Input position that output position `out` sees through tap k, or -1. */
static int64_t seen(const struct scene *s, int i, int64_t out, int64_t k)
{
    if (!s->transposed) {
        const int64_t at = out * s->stride[i] - s->pad[i] + k * s->dilation[i];
        return at >= 0 && at < s->in[i] ? at : -1;
    }
    const int64_t scaled = out + s->pad[i] - k * s->dilation[i];
    return scaled >= 0 && scaled % s->stride[i] == 0 && scaled / s->stride[i] < s->in[i] ? scaled / s->stride[i] : -1;
}

static double sum_at(const struct scene *s, const float *x, const float *w, int64_t n, int64_t o, const int64_t out[3])
{
    const int64_t in = s->in_channels / s->group, each = s->out_channels / s->group, g = o / each;
    double sum = 0;
    for (int64_t c = 0; c < in; c++) {
        for (int64_t k = 0; k < volume(s->kernel); k++) {
            const int64_t a = seen(s, 0, out[0], k / s->kernel[2] / s->kernel[1]);
            const int64_t b = seen(s, 1, out[1], k / s->kernel[2] % s->kernel[1]);
            const int64_t d = seen(s, 2, out[2], k % s->kernel[2]);
            if (a < 0 || b < 0 || d < 0)
                continue;
            const int64_t row = s->transposed ? (g * in + c) * each + o % each : o * in + c;
            sum += (double)w[row * volume(s->kernel) + k] *
                   (double)x[(((n * s->in_channels + g * in + c) * s->in[0] + a) * s->in[1] + b) * s->in[2] + d];
        }
    }
    return sum;
}

static float *expected(const struct scene *s, const float *x, const float *w, const float *bias)
{
    const int64_t out[3] = {output_size(s, 0), output_size(s, 1), output_size(s, 2)};
    float *y = malloc((size_t)(s->n * s->out_channels * volume(out)) * sizeof *y);
    ck_assert_ptr_nonnull(y);
    for (int64_t i = 0; i < s->n * s->out_channels * volume(out); i++) {
        const int64_t pixel = i % volume(out), o = i / volume(out) % s->out_channels;
        const int64_t at[3] = {pixel / out[2] / out[1], pixel / out[2] % out[1], pixel % out[2]};
        y[i] = (float)(sum_at(s, x, w, i / volume(out) / s->out_channels, o, at) + (bias ? (double)bias[o] : 0));
    }
    return y;
}

static int scene_dims(const struct scene *s, int64_t n, int64_t c, const int64_t *last, int64_t *dims)
{
    dims[0] = n;
    dims[1] = c;
    for (int i = 0; i < s->axes; i++)
        dims[2 + i] = last[3 - s->axes + i];
    return 2 + s->axes;
}

static void scene_attributes(const struct scene *s)
{
    int64_t pads[6];
    for (int i = 0; i < s->axes; i++) {
        pads[i] = s->pad[3 - s->axes + i];
        pads[s->axes + i] = s->pad_end[3 - s->axes + i];
    }
    harness_int(&h, "group", s->group);
    harness_int_list(&h, "strides", s->axes, s->stride + 3 - s->axes);
    harness_int_list(&h, "dilations", s->axes, s->dilation + 3 - s->axes);
    harness_int_list(&h, "pads", 2 * s->axes, pads);
}

static void scene_check(const struct scene *s, const struct kernels *level, bool constant, bool blocked)
{
    const int64_t out[3] = {output_size(s, 0), output_size(s, 1), output_size(s, 2)};
    const int64_t pairs = s->in_channels * s->out_channels / s->group;
    float *x = heavy_numbers(1, s->n * s->in_channels * volume(s->in));
    float *w = heavy_numbers(2, pairs * volume(s->kernel));
    float *bias = heavy_numbers(3, s->out_channels);
    float *want = expected(s, x, w, bias);
    int64_t dims[RANK_MAX];
    harness_begin(&h, s->transposed ? "ConvTranspose" : "Conv", 11);
    h.ctx.kernels = level;
    scene_attributes(s);
    harness_floats(&h, scene_dims(s, s->n, s->in_channels, s->in, dims), dims, x);
    if (blocked)
        harness_as_blocked(&h);
    const int64_t first = s->transposed ? s->in_channels : s->out_channels;
    harness_floats(&h, scene_dims(s, first, pairs / first, s->kernel, dims), dims, w);
    if (constant)
        harness_as_constant(&h);
    harness_floats(&h, 1, DIMS(s->out_channels), bias);
    if (constant)
        harness_as_constant(&h);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, scene_dims(s, s->n, s->out_channels, out, dims), dims, want, 1e-5f);
    ck_assert_int_eq(h.out_layout[0], LAYOUT_BLOCKED);
    if (s->group == 1)
        ck_assert_int_eq(h.want[0],
                         s->in_channels <= 4 && s->in_channels < level->width ? LAYOUT_PLAIN : LAYOUT_BLOCKED);
    harness_end(&h);
    free(want);
}

static const struct scene scenes[] = {
    {false, 2, 1, 3, 19, 1, {1, 9, 11}, {1, 3, 3}, {1, 2, 2}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}},
    {false, 2, 2, 37, 35, 1, {1, 6, 7}, {1, 3, 2}, {1, 1, 1}, {1, 2, 1}, {0, 2, 0}, {0, 1, 1}},
    {false, 2, 1, 35, 35, 35, {1, 7, 7}, {1, 3, 3}, {1, 1, 2}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}},
    {false, 2, 1, 6, 9, 3, {1, 5, 5}, {1, 2, 2}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {0, 1, 0}},
    {false, 2, 1, 32, 64, 2, {1, 4, 5}, {1, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}},
    {false, 2, 1, 5, 10, 5, {1, 4, 5}, {1, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}},
    {false, 1, 2, 17, 16, 1, {1, 1, 23}, {1, 1, 5}, {1, 1, 3}, {1, 1, 2}, {0, 0, 4}, {0, 0, 2}},
    {false, 3, 1, 4, 18, 2, {4, 5, 6}, {2, 3, 2}, {2, 1, 1}, {1, 1, 2}, {1, 1, 1}, {0, 1, 1}},
    {false, 2, 1, 4, 9, 1, {1, 9, 8}, {1, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}},
    {false, 2, 2, 5, 9, 1, {1, 9, 8}, {1, 3, 3}, {1, 2, 1}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}},
    {false, 2, 1, 40, 24, 1, {1, 8, 8}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {0, 0, 0}},
    {true, 2, 1, 3, 19, 1, {1, 5, 4}, {1, 3, 3}, {1, 2, 2}, {1, 1, 1}, {0, 1, 0}, {0, 1, 1}},
    {true, 2, 2, 18, 33, 1, {1, 3, 4}, {1, 4, 3}, {1, 2, 3}, {1, 1, 2}, {0, 1, 1}, {0, 0, 1}},
    {true, 2, 1, 6, 8, 2, {1, 4, 4}, {1, 2, 3}, {1, 3, 1}, {1, 1, 1}, {0, 0, 1}, {0, 0, 1}},
    {true, 1, 1, 17, 5, 1, {1, 1, 9}, {1, 1, 4}, {1, 1, 2}, {1, 1, 3}, {0, 0, 2}, {0, 0, 1}},
    {true, 3, 1, 2, 3, 1, {2, 3, 3}, {2, 2, 3}, {2, 1, 2}, {1, 1, 1}, {0, 0, 1}, {1, 0, 1}},
};

START_TEST(convolutions_agree_with_plain_loops)
{
    for (const struct kernels *const *level = pick_all(); *level; level++) {
        for (int how = 0; pick_runs(*level) && how < 3; how++)
            scene_check(&scenes[_i], *level, how != 1, how == 2);
    }
}
END_TEST

/* --- what is asked once ------------------------------------------------------------------------------------------- */

static const struct kernels *asked;
static int n_chosen, n_prepared;

static int count_choose(const struct conv_shape *shape, enum precision precision)
{
    n_chosen++;
    return asked->convolve->choose(shape, precision);
}

static void count_prepare(struct conv_prepared *prepared, int algorithm, const struct conv_shape *shape)
{
    n_prepared++;
    asked->convolve->prepare(prepared, algorithm, shape);
}

/* Two plans of one node, each run three times. */
static void count_questions(const char *op, bool constant)
{
    struct kernels counting;
    struct convolve_kernels convolve;
    harness_begin(&h, op, 13);
    asked = h.ctx.kernels;
    counting = *asked;
    convolve = *asked->convolve;
    convolve.choose = count_choose;
    convolve.prepare = count_prepare;
    counting.convolve = &convolve;
    h.ctx.kernels = &counting;
    n_chosen = n_prepared = 0;
    harness_int_list(&h, "strides", 2, DIMS(2, 2));
    harness_floats(&h, 4, DIMS(2, 3, 8, 8), heavy_numbers(1, 384));
    harness_floats(&h, 4, DIMS(3, 3, 3, 3), heavy_numbers(2, 81));
    if (constant)
        harness_as_constant(&h);
    ck_assert_msg(harness_load(&h), "%s", h.err.text);
    ck_assert_int_eq(n_chosen, constant);
    ck_assert_int_eq(n_prepared, 0);
    for (int plan = 1; plan <= 2; plan++) {
        h.stage = HARNESS_LOADED;
        ck_assert_msg(harness_plan(&h), "%s", h.err.text);
        for (int run = 0; run < 3; run++)
            ck_assert_msg(op_run(&h.step, &h.env, &h.err), "%s", h.err.text);
        ck_assert_int_eq(n_chosen, constant ? 1 : plan);
        ck_assert_int_eq(n_prepared, plan);
    }
    harness_end(&h);
}

START_TEST(an_algorithm_is_chosen_once_per_node_and_prepared_once_per_plan)
{
    count_questions("Conv", true);
    count_questions("ConvTranspose", true);
}
END_TEST

START_TEST(weights_of_run_time_are_chosen_for_once_per_plan)
{
    count_questions("Conv", false);
    count_questions("ConvTranspose", false);
}
END_TEST

/* --- fusions: y = act(conv scale + shift + residual) -------------------------------------------------------------- */

static void fuse_all(int64_t channels, const float *scale, const float *shift, int residual)
{
    ck_assert(
        harness_fuse(&h, &(struct fusion){.kind = FUSE_AFFINE, .channels = channels, .scale = scale, .shift = shift}));
    ck_assert(harness_fuse(&h, &(struct fusion){.kind = FUSE_RESIDUAL, .value = residual}));
    ck_assert(harness_fuse(&h, &(struct fusion){.kind = FUSE_ACTIVATION, .act = ACT_RELU}));
    ck_assert(!harness_fuse(&h, &(struct fusion){.kind = FUSE_ACTIVATION, .act = ACT_RELU}));
}

START_TEST(scale_shift_residual_and_activation_are_absorbed)
{
    const struct scene s = {false, 2, 2, 17, 19, 1, {1, 4, 5}, {1, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}};
    float *x = heavy_numbers(1, 2 * 17 * 20), *w = heavy_numbers(2, 17 * 19 * 9);
    float *bias = heavy_numbers(3, 19), *scale = heavy_numbers(4, 19), *shift = heavy_numbers(5, 19);
    float *more = heavy_numbers(6, 2 * 19 * 20);
    for (int with_bias = 0; with_bias < 2; with_bias++) {
        float *want = expected(&s, x, w, with_bias ? bias : NULL);
        for (int64_t i = 0; i < 2 * 19 * 20; i++) {
            const int64_t c = i / 20 % 19;
            want[i] = fmaxf(0, want[i] * scale[c] + shift[c] + more[i]);
        }
        harness_begin(&h, "Conv", 13);
        scene_attributes(&s);
        harness_floats(&h, 4, DIMS(2, 17, 4, 5), x);
        harness_floats(&h, 4, DIMS(19, 17, 3, 3), w);
        harness_as_constant(&h);
        if (with_bias) {
            harness_floats(&h, 1, DIMS(19), bias);
            harness_as_constant(&h);
        }
        const int residual = harness_value(&h, PERCEPT_FLOAT, 4, DIMS(2, 19, 4, 5), more);
        fuse_all(19, scale, shift, residual);
        h.overwrite = true;
        ck_assert_msg(harness_run(&h), "%s", h.err.text);
        harness_expect_floats(&h, 0, 4, DIMS(2, 19, 4, 5), want, 1e-5f);
        harness_end(&h);
        free(want);
    }
}
END_TEST

START_TEST(a_scale_is_not_absorbed_by_weights_of_run_time)
{
    harness_begin(&h, "Conv", 13);
    harness_floats(&h, 4, DIMS(1, 1, 2, 2), (float[]){1, 2, 3, 4});
    harness_floats(&h, 4, DIMS(1, 1, 1, 1), (float[]){1});
    ck_assert(!harness_fuse(&h, &(struct fusion){.kind = FUSE_AFFINE, .channels = 1, .shift = (float[]){1}}));
    harness_end(&h);
}
END_TEST

/* --- padding rules ------------------------------------------------------------------------------------------------ */

static void padded(const char *op_type, const char *auto_pad, int64_t in, int64_t kernel, int64_t stride)
{
    float *ones = heavy_numbers(1, in * kernel);
    for (int64_t i = 0; i < in * kernel; i++)
        ones[i] = 1;
    harness_begin(&h, op_type, 11);
    harness_text(&h, "auto_pad", auto_pad);
    harness_int_list(&h, "strides", 1, DIMS(stride));
    harness_floats(&h, 3, DIMS(1, 1, in), ones);
    harness_floats(&h, 3, DIMS(1, 1, kernel), ones);
    harness_as_constant(&h);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
}

START_TEST(odd_padding_goes_to_the_end_with_upper_and_to_the_beginning_with_lower)
{
    padded("Conv", "SAME_UPPER", 4, 2, 1);
    harness_expect_floats(&h, 0, 3, DIMS(1, 1, 4), (float[]){2, 2, 2, 1}, 0);
    harness_end(&h);
    padded("Conv", "SAME_LOWER", 4, 2, 1);
    harness_expect_floats(&h, 0, 3, DIMS(1, 1, 4), (float[]){1, 2, 2, 2}, 0);
    harness_end(&h);
    padded("Conv", "VALID", 4, 2, 1);
    harness_expect_floats(&h, 0, 3, DIMS(1, 1, 3), (float[]){2, 2, 2}, 0);
    harness_end(&h);
    padded("Conv", "SAME_UPPER", 5, 3, 2);
    harness_expect_floats(&h, 0, 3, DIMS(1, 1, 3), (float[]){2, 3, 2}, 0);
    harness_end(&h);
}
END_TEST

START_TEST(transposed_same_gives_input_times_stride)
{
    padded("ConvTranspose", "SAME_UPPER", 3, 3, 2); /* full: 1 1 2 1 2 1 1 */
    harness_expect_floats(&h, 0, 3, DIMS(1, 1, 6), (float[]){1, 1, 2, 1, 2, 1}, 0);
    harness_end(&h);
    padded("ConvTranspose", "SAME_LOWER", 3, 3, 2);
    harness_expect_floats(&h, 0, 3, DIMS(1, 1, 6), (float[]){1, 2, 1, 2, 1, 1}, 0);
    harness_end(&h);
}
END_TEST

START_TEST(transposed_output_shape_and_output_padding_are_kept)
{
    for (int with_shape = 0; with_shape < 2; with_shape++) {
        harness_begin(&h, "ConvTranspose", 11);
        harness_int_list(&h, "strides", 1, DIMS(2));
        if (with_shape)
            harness_int_list(&h, "output_shape", 1, DIMS(6));
        else
            harness_int_list(&h, "output_padding", 1, DIMS(1));
        harness_floats(&h, 3, DIMS(1, 1, 3), (float[]){1, 1, 1});
        harness_floats(&h, 3, DIMS(1, 1, 2), (float[]){1, 2});
        harness_as_constant(&h);
        ck_assert_msg(harness_run(&h), "%s", h.err.text);
        if (with_shape)
            harness_expect_floats(&h, 0, 3, DIMS(1, 1, 6), (float[]){1, 2, 1, 2, 1, 2}, 0);
        else
            harness_expect_floats(&h, 0, 3, DIMS(1, 1, 7), (float[]){1, 2, 1, 2, 1, 2, 0}, 0);
        harness_end(&h);
    }
}
END_TEST

START_TEST(the_algorithm_is_told_once_the_weights_are_known)
{
    static const float x[36], weights[18];
    for (int constant = 0; constant < 2; constant++) {
        harness_begin(&h, "Conv", 11);
        harness_floats(&h, 4, DIMS(1, 1, 6, 6), x);
        harness_floats(&h, 4, DIMS(2, 1, 3, 3), weights);
        if (constant)
            harness_as_constant(&h);
        ck_assert_msg(harness_check(&h), "%s", h.err.text);
        ck_assert_str_eq(h.node.algorithm ? h.node.algorithm : "", constant ? "direct" : "");
        harness_end(&h);
    }
}
END_TEST

/* x is 1 1 1, the weights 1 2; pads of -1: without an input */
static void padded_by_input(int64_t first, int64_t last, bool bias)
{
    harness_begin_in(&h, "com.microsoft", "ConvTransposeWithDynamicPads", 1);
    harness_int_list(&h, "strides", 1, DIMS(2));
    harness_floats(&h, 3, DIMS(1, 1, 3), (float[]){1, 1, 1});
    harness_floats(&h, 3, DIMS(1, 1, 2), (float[]){1, 2});
    harness_as_constant(&h);
    if (first < 0)
        harness_left_out(&h);
    else
        harness_int64s(&h, 1, DIMS(2), DIMS(first, last));
    if (first >= 0)
        harness_as_constant(&h);
    if (!bias)
        return;
    harness_floats(&h, 1, DIMS(1), (float[]){10});
    harness_as_constant(&h);
}

START_TEST(pads_may_come_as_an_input)
{
    padded_by_input(1, 2, false);
    ck_assert_msg(harness_check(&h), "%s", h.err.text);
    ((int64_t *)h.tensors[2].data)[0] = 0; /* not read again */
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 3, DIMS(1, 1, 3), (float[]){2, 1, 2}, 0);
    harness_end(&h);
    padded_by_input(0, 1, true);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 3, DIMS(1, 1, 5), (float[]){11, 12, 11, 12, 11}, 0);
    harness_end(&h);
    padded_by_input(-1, 0, true);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 3, DIMS(1, 1, 6), (float[]){11, 12, 11, 12, 11, 12}, 0);
    harness_end(&h);
    padded_by_input(0, -1, true);
    harness_expect_failure(&h, ERR_UNSUPPORTED, "input 2 is no list of pads");
    harness_end(&h);
    padded_by_input(-1, 0, false);
    h.n_values--, h.node.n_in--;
    harness_int64s(&h, 1, DIMS(2), DIMS(0, 0));
    harness_expect_failure(&h, ERR_UNSUPPORTED, "a constant of int64");
    harness_end(&h);
}
END_TEST

START_TEST(pads_that_are_none_are_refused)
{
    static const int64_t zeros[8], far[] = {0, (int64_t)1 << 30};
    static const struct {
        int rank;
        int64_t dims[2];
        const int64_t *pads;
    } rows[] = {{1, {8}, zeros}, {1, {7}, zeros}, {2, {1, 2}, zeros}, {0, {0}, zeros}, {1, {2}, far}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        padded_by_input(-1, 0, false);
        h.n_values--, h.node.n_in--;
        harness_int64s(&h, rows[i].rank, rows[i].dims, rows[i].pads);
        harness_as_constant(&h);
        harness_expect_failure(&h, ERR_UNSUPPORTED, "input 2 is no list of pads");
        harness_end(&h);
    }
}
END_TEST

/* --- refusals ----------------------------------------------------------------------------------------------------- */

static void small_conv(int64_t channels)
{
    harness_begin(&h, "Conv", 11);
    harness_floats(&h, 4, DIMS(1, channels, 3, 3), heavy_numbers(1, channels * 9));
    harness_floats(&h, 4, DIMS(4, 2, 2, 2), heavy_numbers(1, 32));
    harness_as_constant(&h);
}

START_TEST(what_does_not_fit_is_refused_when_opened)
{
    small_conv(2);
    harness_int(&h, "group", 3);
    ck_assert(!harness_check(&h));
    ck_assert_ptr_nonnull(strstr(h.err.text, "group"));
    harness_end(&h);
    small_conv(2);
    harness_int_list(&h, "strides", 2, DIMS(1, 0));
    ck_assert(!harness_check(&h));
    ck_assert_ptr_nonnull(strstr(h.err.text, "strides"));
    harness_end(&h);
    small_conv(2);
    harness_int_list(&h, "pads", 3, DIMS(1, 1, 1));
    ck_assert(!harness_check(&h));
    ck_assert_ptr_nonnull(strstr(h.err.text, "pads"));
    harness_end(&h);
    small_conv(2);
    harness_int_list(&h, "kernel_shape", 2, DIMS(3, 2));
    ck_assert(!harness_check(&h));
    ck_assert_ptr_nonnull(strstr(h.err.text, "kernel_shape"));
    harness_end(&h);
    small_conv(2);
    harness_text(&h, "auto_pad", "SAME_LOWRE");
    ck_assert(!harness_check(&h));
    ck_assert_ptr_nonnull(strstr(h.err.text, "SAME_LOWER"));
    harness_end(&h);
}
END_TEST

START_TEST(strides_that_mean_billions_of_convolutions_are_refused)
{
    harness_begin(&h, "ConvTranspose", 11);
    harness_int_list(&h, "strides", 2, DIMS(1000003, 3));
    harness_floats(&h, 4, DIMS(1, 1, 1, 1), (float[]){1});
    harness_floats(&h, 4, DIMS(1, 1, 1, 1), (float[]){1});
    harness_expect_failure(&h, ERR_UNSUPPORTED, "attribute 'strides' multiplies to more than 4096");
    harness_end(&h);
}
END_TEST

START_TEST(a_picture_that_does_not_fit_is_refused_when_planned)
{
    small_conv(3);
    ck_assert(!harness_plan(&h));
    ck_assert_ptr_nonnull(strstr(h.err.text, "3 channels"));
    harness_end(&h);
    small_conv(2);
    harness_int_list(&h, "dilations", 2, DIMS(3, 3));
    ck_assert(!harness_plan(&h));
    ck_assert_ptr_nonnull(strstr(h.err.text, "window"));
    harness_end(&h);
}
END_TEST

/* --- bits --------------------------------------------------------------------------------------------------------- */

static void rest_stem(struct harness *harness)
{
    harness_int_list(harness, "pads", 4, DIMS(1, 1, 1, 1));
    harness_floats(harness, 4, DIMS(19, 3, 3, 3), heavy_numbers(2, 19 * 27));
    harness_as_constant(harness);
}

static void rest_wide(struct harness *harness)
{
    harness_int_list(harness, "pads", 4, DIMS(1, 1, 1, 1));
    harness_floats(harness, 4, DIMS(37, 35, 3, 3), heavy_numbers(2, 37 * 35 * 9));
    harness_as_constant(harness);
}

static void rest_depthwise(struct harness *harness)
{
    harness_int(harness, "group", 35);
    harness_int_list(harness, "pads", 4, DIMS(1, 1, 1, 1));
    harness_floats(harness, 4, DIMS(35, 1, 3, 3), heavy_numbers(2, 35 * 9));
    harness_as_constant(harness);
}

START_TEST(an_items_bits_depend_on_nobody)
{
    heavy_expect_same_bits("Conv", 11, 1, 4, DIMS(0, 3, 7, 9), false, rest_stem);
    heavy_expect_same_bits("Conv", 11, 1, 4, DIMS(0, 35, 5, 6), true, rest_wide);
    heavy_expect_same_bits("Conv", 11, 1, 4, DIMS(0, 35, 5, 6), true, rest_depthwise);
    heavy_expect_same_bits("ConvTranspose", 11, 1, 4, DIMS(0, 37, 4, 3), true, rest_wide);
}
END_TEST

Suite *op_conv_suite(void);
Suite *op_conv_suite(void)
{
    Suite *suite = suite_create("op/conv");
    TCase *tests = tcase_create("conv");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, convolutions_agree_with_plain_loops, 0, (int)(sizeof scenes / sizeof *scenes));
    tcase_add_test(tests, an_algorithm_is_chosen_once_per_node_and_prepared_once_per_plan);
    tcase_add_test(tests, weights_of_run_time_are_chosen_for_once_per_plan);
    tcase_add_test(tests, scale_shift_residual_and_activation_are_absorbed);
    tcase_add_test(tests, a_scale_is_not_absorbed_by_weights_of_run_time);
    tcase_add_test(tests, odd_padding_goes_to_the_end_with_upper_and_to_the_beginning_with_lower);
    tcase_add_test(tests, transposed_same_gives_input_times_stride);
    tcase_add_test(tests, transposed_output_shape_and_output_padding_are_kept);
    tcase_add_test(tests, the_algorithm_is_told_once_the_weights_are_known);
    tcase_add_test(tests, pads_may_come_as_an_input);
    tcase_add_test(tests, pads_that_are_none_are_refused);
    tcase_add_test(tests, what_does_not_fit_is_refused_when_opened);
    tcase_add_test(tests, strides_that_mean_billions_of_convolutions_are_refused);
    tcase_add_test(tests, a_picture_that_does_not_fit_is_refused_when_planned);
    tcase_add_test(tests, an_items_bits_depend_on_nobody);
    suite_add_tcase(suite, tests);
    return suite;
}
