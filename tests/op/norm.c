/* norm.c - tests of src/op/norm.c. */
#include "heavy.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct harness h;

/* (x - mean) / sqrt(variance + epsilon) of n numbers, in double */
static void normalize(const float *x, int64_t n, double epsilon, float *y)
{
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < n; i++)
        mean += (double)x[i] / (double)n;
    for (int64_t i = 0; i < n; i++)
        variance += ((double)x[i] - mean) * ((double)x[i] - mean) / (double)n;
    for (int64_t i = 0; i < n; i++)
        y[i] = (float)(((double)x[i] - mean) / sqrt(variance + epsilon));
}

static void vector(int64_t n, const float *data, bool constant)
{
    harness_floats(&h, 1, &n, data);
    if (constant)
        harness_as_constant(&h);
}

/* --- BatchNormalization ------------------------------------------------------------------------------------------- */

struct parameters {
    float *scale, *b, *mean, *variance;
};

static struct parameters make_parameters(int64_t n)
{
    struct parameters p = {heavy_numbers(2, n), heavy_numbers(3, n), heavy_numbers(4, n), heavy_numbers(5, n)};
    for (int64_t i = 0; i < n; i++)
        p.variance[i] = fabsf(p.variance[i]) + 0.1f;
    return p;
}

static void batch_begin(const struct kernels *level, int rank, const int64_t *dims, const float *x)
{
    harness_begin(&h, "BatchNormalization", 15);
    h.ctx.kernels = level;
    harness_floats(&h, rank, dims, x);
}

static void batch_vectors(const struct parameters *p, int64_t n, bool constant)
{
    vector(n, p->scale, constant);
    vector(n, p->b, constant);
    vector(n, p->mean, constant);
    vector(n, p->variance, constant);
}

START_TEST(batch_normalization_is_an_affine_map_per_channel)
{
    enum { C = 19, PIXELS = 6 };
    const struct parameters p = make_parameters(C);
    float *x = heavy_numbers(1, 2 * C * PIXELS), want[2 * C * PIXELS];
    for (int i = 0; i < 2 * C * PIXELS; i++) {
        const int c = i / PIXELS % C;
        want[i] = fmaxf(0, (x[i] - p.mean[c]) / sqrtf(p.variance[c] + 1e-5f) * p.scale[c] + p.b[c]);
    }
    for (const struct kernels *const *level = pick_all(); *level; level++) {
        for (int how = 0; pick_runs(*level) && how < 4; how++) {
            batch_begin(*level, 4, DIMS(2, C, 2, 3), x);
            if (how & 2)
                harness_as_blocked(&h);
            batch_vectors(&p, C, how & 1);
            h.overwrite = true;
            ck_assert(harness_fuse(&h, &(struct fusion){.kind = FUSE_ACTIVATION, .act = ACT_RELU}));
            ck_assert_msg(harness_run(&h), "%s", h.err.text);
            harness_expect_floats(&h, 0, 4, DIMS(2, C, 2, 3), want, 1e-5f);
            ck_assert_int_eq(h.out_layout[0], how & 2 ? LAYOUT_BLOCKED : LAYOUT_PLAIN);
            harness_end(&h);
        }
    }
}
END_TEST

START_TEST(batch_normalization_takes_rows)
{
    const struct parameters p = {(float[]){2, 1}, (float[]){1, 0}, (float[]){1, 0}, (float[]){1, 4}};
    batch_begin(pick_best(), 2, DIMS(2, 2), (float[]){1, 2, 3, 4});
    batch_vectors(&p, 2, true);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 2, DIMS(2, 2), (float[]){1, 1, 5, 2}, 1e-4f);
    harness_end(&h);
}
END_TEST

START_TEST(the_affine_vectors_can_be_had_when_parameters_are_constant)
{
    const struct parameters p = {(float[]){2, 1}, (float[]){1, 0}, (float[]){1, 0}, (float[]){1, 4}};
    for (int constant = 0; constant < 2; constant++) {
        struct fusion f = {.kind = FUSE_AFFINE};
        batch_begin(pick_best(), 2, DIMS(1, 2), (float[]){1, 2});
        harness_float(&h, "epsilon", 0);
        batch_vectors(&p, 2, constant);
        ck_assert(harness_check(&h));
        const struct op_rule *rule = h.node.op->rule;
        ck_assert_int_eq(rule->affine(&h.ctx, &(struct affine_view){.input = 0, .axis = 1}, &f), constant);
        if (constant)
            ck_assert(f.channels == 2 && f.scale[0] == 2 && f.scale[1] == 0.5f && f.shift[0] == -1 && f.shift[1] == 0);
        ck_assert(!rule->affine(&h.ctx, &(struct affine_view){.input = 0, .axis = 2}, &f));
        ck_assert(!rule->affine(&h.ctx, &(struct affine_view){.input = 1, .axis = 1}, &f));
        harness_end(&h);
    }
    for (int other = 0; other < 4; other++) { /* one of them is no vector, or of another length */
        struct fusion f = {.kind = FUSE_AFFINE};
        for (int longer = 0; longer < 2; longer++) {
            batch_begin(pick_best(), 2, DIMS(1, 2), (float[]){1, 2});
            for (int i = 0; i < 4; i++) {
                if (i == other)
                    harness_floats(&h, longer ? 1 : 2, longer ? DIMS(3) : DIMS(2, 1), (float[]){1, 1, 1});
                else
                    harness_floats(&h, 1, DIMS(2), (float[]){1, 1});
                harness_as_constant(&h);
            }
            ck_assert(harness_check(&h));
            ck_assert(!h.node.op->rule->affine(&h.ctx, &(struct affine_view){.input = 0, .axis = 1}, &f));
            harness_end(&h);
        }
    }
}
END_TEST

static void scaler(int n_bias, const float *bias)
{
    harness_begin(&h, "ImageScaler", 1);
    harness_float(&h, "scale", 2);
    if (n_bias)
        harness_float_list(&h, "bias", n_bias, bias);
}

START_TEST(an_image_scaler_is_an_affine_map_of_attributes)
{
    enum { C = 19, PIXELS = 6 };
    float *x = heavy_numbers(1, 2 * C * PIXELS), *bias = heavy_numbers(2, C), want[2 * C * PIXELS];
    for (int i = 0; i < 2 * C * PIXELS; i++)
        want[i] = fmaxf(0, 2 * x[i] + bias[i / PIXELS % C]);
    for (int blocked = 0; blocked < 2; blocked++) {
        scaler(C, bias);
        harness_floats(&h, 4, DIMS(2, C, 2, 3), x);
        if (blocked)
            harness_as_blocked(&h);
        h.overwrite = true;
        ck_assert(harness_fuse(&h, &(struct fusion){.kind = FUSE_ACTIVATION, .act = ACT_RELU}));
        ck_assert_msg(harness_run(&h), "%s", h.err.text);
        harness_expect_floats(&h, 0, 4, DIMS(2, C, 2, 3), want, 1e-6f);
        ck_assert_int_eq(h.out_layout[0], blocked ? LAYOUT_BLOCKED : LAYOUT_PLAIN);
        harness_end(&h);
    }
    scaler(2, bias);
    harness_floats(&h, 4, DIMS(1, 2, 1, 1), (float[]){1, -1}); /* maps of one pixel */
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 4, DIMS(1, 2, 1, 1), (float[]){2 + bias[0], -2 + bias[1]}, 1e-6f);
    harness_end(&h);
    scaler(2, bias);
    harness_floats(&h, 4, DIMS(1, 3, 1, 1), x);
    harness_expect_failure(&h, ERR_INVALID, "a bias of 2 numbers for 3 channels");
    harness_end(&h);
    scaler(0, NULL);
    harness_floats(&h, 4, DIMS(1, 3, 1, 1), x);
    harness_expect_failure(&h, ERR_MODEL, "attribute 'bias' is missing");
    harness_end(&h);
    scaler(1, bias);
    harness_input(&h, PERCEPT_DOUBLE, 4, DIMS(1, 1, 1, 1), (double[]){1});
    harness_expect_failure(&h, ERR_UNSUPPORTED, "input 0 is float64; float32 would work");
    harness_end(&h);
    scaler(1, bias);
    harness_floats(&h, 2, DIMS(1, 1), x);
    harness_expect_failure(&h, ERR_INVALID, "an input of rank 2; 3 to");
    harness_end(&h);
}
END_TEST

/* Up to opset 8 with spatial 0; the training form is in training.c. */
START_TEST(every_element_of_an_item_may_have_parameters_of_its_own)
{
    harness_begin(&h, "BatchNormalization", 7);
    harness_int(&h, "spatial", 0);
    harness_float(&h, "epsilon", 0);
    harness_floats(&h, 3, DIMS(2, 1, 2), (float[]){1, 2, 3, 4});
    harness_floats(&h, 2, DIMS(1, 2), (float[]){1, 10});
    harness_floats(&h, 2, DIMS(1, 2), (float[]){0, 100});
    harness_floats(&h, 2, DIMS(1, 2), (float[]){1, 2});
    harness_floats(&h, 2, DIMS(1, 2), (float[]){1, 4});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 3, DIMS(2, 1, 2), (float[]){0, 100, 2, 110}, 1e-6F);
    harness_end(&h);
    harness_begin(&h, "BatchNormalization", 7);
    harness_int(&h, "spatial", 0);
    harness_floats(&h, 3, DIMS(2, 1, 2), (float[]){1, 2, 3, 4});
    for (int k = 0; k < 4; k++)
        harness_floats(&h, 1, DIMS(1), (float[]){1});
    harness_expect_failure(&h, ERR_INVALID, "input 1 has 1 elements; 2, as an item has, work");
    harness_end(&h);
}
END_TEST

/* --- pictures ----------------------------------------------------------------------------------------------------- */

START_TEST(instance_normalization_measures_each_channel_of_each_item)
{
    enum { C = 19, PIXELS = 12 };
    float *x = heavy_numbers(1, 2 * C * PIXELS), *scale = heavy_numbers(2, C), *b = heavy_numbers(3, C);
    float want[2 * C * PIXELS];
    for (int i = 0; i < 2 * C; i++)
        x[i * PIXELS] += 100; /* means far from zero */
    for (int i = 0; i < 2 * C; i++)
        normalize(x + i * PIXELS, PIXELS, 1e-5, want + i * PIXELS);
    for (int i = 0; i < 2 * C * PIXELS; i++)
        want[i] = want[i] * scale[i / PIXELS % C] + b[i / PIXELS % C];
    for (const struct kernels *const *level = pick_all(); *level; level++) {
        for (int blocked = 0; pick_runs(*level) && blocked < 2; blocked++) {
            harness_begin(&h, "InstanceNormalization", 6);
            h.ctx.kernels = *level;
            harness_floats(&h, 4, DIMS(2, C, 3, 4), x);
            if (blocked)
                harness_as_blocked(&h);
            vector(C, scale, true);
            vector(C, b, true);
            h.overwrite = true;
            ck_assert_msg(harness_run(&h), "%s", h.err.text);
            harness_expect_floats(&h, 0, 4, DIMS(2, C, 3, 4), want, 1e-5f);
            harness_end(&h);
        }
    }
}
END_TEST

static void group(int opset, int64_t parameters, const float *scale, const float *want)
{
    harness_begin(&h, "GroupNormalization", opset);
    harness_int(&h, "num_groups", 2);
    harness_float(&h, "epsilon", 0);
    harness_floats(&h, 3, DIMS(1, 4, 1), (float[]){1, 3, 10, 30});
    vector(parameters, scale, true);
    vector(parameters, (float[]){0, 1, 2, 3}, true);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 3, DIMS(1, 4, 1), want, 1e-5f);
    harness_end(&h);
}

START_TEST(group_normalization_scales_groups_and_since_21_channels)
{
    group(18, 2, (float[]){1, 2}, (float[]){-1, 1, -1, 3});
    group(21, 4, (float[]){1, 2, 3, 4}, (float[]){-1, 3, -1, 7});
}
END_TEST

/* --- rows --------------------------------------------------------------------------------------------------------- */

START_TEST(layer_normalization_tells_mean_and_inverse_deviation)
{
    harness_begin(&h, "LayerNormalization", 17);
    harness_float(&h, "epsilon", 0);
    harness_int(&h, "axis", 1);
    harness_floats(&h, 3, DIMS(2, 1, 2), (float[]){1, 3, 10, 30});
    vector(2, (float[]){1, 2}, true);
    vector(2, (float[]){5, 6}, true);
    harness_outputs(&h, 3);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 3, DIMS(2, 1, 2), (float[]){4, 8, 4, 8}, 1e-5f);
    harness_expect_floats(&h, 1, 3, DIMS(2, 1, 1), (float[]){2, 20}, 1e-6f);
    harness_expect_floats(&h, 2, 3, DIMS(2, 1, 1), (float[]){1, 0.1f}, 1e-6f);
    harness_end(&h);
}
END_TEST

START_TEST(rows_of_nothing_are_normalized_to_nothing)
{
    harness_begin(&h, "LayerNormalization", 17);
    harness_floats(&h, 2, DIMS(3, 0), NULL);
    harness_floats(&h, 1, DIMS(0), NULL);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 2, DIMS(3, 0), NULL, 0);
    harness_end(&h);
}
END_TEST

START_TEST(rms_normalization_does_not_subtract_the_mean)
{
    harness_begin(&h, "RMSNormalization", 23);
    harness_float(&h, "epsilon", 0);
    harness_floats(&h, 2, DIMS(1, 2), (float[]){3, -3});
    vector(2, (float[]){1, 2}, true);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 2, DIMS(1, 2), (float[]){1, -2}, 1e-6f);
    harness_end(&h);
}
END_TEST

START_TEST(optimisers_write_newer_normalizations_into_older_models)
{
    harness_begin(&h, "LayerNormalization", 9);
    harness_float(&h, "epsilon", 0);
    harness_floats(&h, 2, DIMS(1, 2), (float[]){3, 1});
    vector(2, (float[]){2, 4}, true);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 2, DIMS(1, 2), (float[]){2, -4}, 1e-6f);
    harness_end(&h);
    for (int wide = 0; wide < 2; wide++) { /* from axis 1 on, both of its axes */
        static const double x[] = {3, -3, 4, 4}, scale[] = {1, 2, 1, 2};
        static const float xs[] = {3, -3, 4, 4}, scales[] = {1, 2, 1, 2};
        harness_begin(&h, "SimplifiedLayerNormalization", wide ? 23 : 1);
        harness_float(&h, "epsilon", 0);
        harness_int(&h, "axis", 1);
        harness_outputs(&h, 2);
        harness_input(&h, wide ? PERCEPT_DOUBLE : PERCEPT_FLOAT, 3, DIMS(2, 1, 2), wide ? (const void *)x : xs);
        harness_input(&h, wide ? PERCEPT_DOUBLE : PERCEPT_FLOAT, 2, DIMS(1, 2), wide ? (const void *)scale : scales);
        ck_assert_msg(harness_run(&h), "%s", h.err.text);
        harness_expect_floats(&h, 1, 3, DIMS(2, 1, 1), (float[]){1 / 3.0f, 0.25f}, 1e-6f);
        if (wide)
            harness_expect(&h, 0, PERCEPT_DOUBLE, 3, DIMS(2, 1, 2), (double[]){1, -2, 1, 2});
        else
            harness_expect_floats(&h, 0, 3, DIMS(2, 1, 2), (float[]){1, -2, 1, 2}, 1e-6f);
        harness_end(&h);
    }
    harness_begin(&h, "RMSNormalization", 23);
    harness_outputs(&h, 2);
    harness_floats(&h, 1, DIMS(1), (float[]){1});
    harness_floats(&h, 1, DIMS(1), (float[]){1});
    harness_expect_failure(&h, ERR_MODEL, "it has 2 outputs; between 1 and 1 would work");
    harness_end(&h);
    harness_begin(&h, "SimplifiedLayerNormalization", 1);
    harness_floats(&h, 1, DIMS(2), (float[]){1, 2});
    harness_floats(&h, 1, DIMS(3), (float[]){1, 2, 3});
    harness_expect_failure(&h, ERR_UNSUPPORTED, "input 1 has 3 elements; 2 (a row) and 1 work");
    harness_end(&h);
}
END_TEST

START_TEST(skip_forms_normalize_a_sum)
{
    const float x[] = {1, 2, 3, 6}; /* the sums: 2 4, 4 8 */
    for (int simplified = 0; simplified < 2; simplified++) {
        const float layer[] = {-1, 3, -1, 3}, rms[] = {2 / sqrtf(10), 8 / sqrtf(10), 4 / sqrtf(40), 16 / sqrtf(40)};
        harness_begin_in(&h, "com.microsoft",
                         simplified ? "SkipSimplifiedLayerNormalization" : "SkipLayerNormalization", 1);
        harness_floats(&h, 3, DIMS(2, 1, 2), x);
        harness_floats(&h, 2, DIMS(1, 2), (float[]){1, 1});
        harness_floats(&h, 1, DIMS(2), (float[]){1, 2});
        if (!simplified)
            harness_floats(&h, 1, DIMS(2), (float[]){0, 1});
        harness_floats(&h, 1, DIMS(2), (float[]){0, 1});
        harness_outputs(&h, 4);
        ck_assert(harness_check(&h));
        h.out[1] = h.out[2] = -1;
        ck_assert_msg(harness_run(&h), "%s", h.err.text);
        harness_expect_floats(&h, 0, 3, DIMS(2, 1, 2), simplified ? rms : layer, 1e-6f);
        harness_expect_floats(&h, 3, 3, DIMS(2, 1, 2), (float[]){2, 4, 4, 8}, 0);
        harness_end(&h);
    }
    harness_begin_in(&h, "com.microsoft", "SkipSimplifiedLayerNormalization", 1);
    for (int i = 0; i < 3; i++)
        harness_floats(&h, 1, DIMS(2), x);
    harness_outputs(&h, 2);
    harness_expect_failure(&h, ERR_UNSUPPORTED, "output 1 is asked for; 0 and 3 work");
    harness_end(&h);

    harness_begin_in(&h, "com.microsoft", "SkipLayerNormalization", 1);
    harness_floats(&h, 2, DIMS(2, 2), x);
    harness_floats(&h, 2, DIMS(2, 1), x);
    harness_floats(&h, 1, DIMS(2), x);
    harness_expect_failure(&h, ERR_INVALID, "what is added has shape [2,1]; its input has [2,2]");
    harness_end(&h);
}
END_TEST

START_TEST(missing_attributes_are_refused)
{
    harness_begin(&h, "GroupNormalization", 21);
    harness_floats(&h, 3, DIMS(1, 1, 1), (float[]){1});
    vector(1, (float[]){1}, true);
    vector(1, (float[]){1}, true);
    ck_assert(!harness_check(&h));
    ck_assert_ptr_nonnull(strstr(h.err.text, "num_groups"));
    harness_end(&h);
}
END_TEST

/* --- doubles ------------------------------------------------------------------------------------------------------ */

static void expect_doubles(const double *want, int64_t n)
{
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    ck_assert_int_eq(harness_out(&h, 0)->dtype, PERCEPT_DOUBLE);
    for (int64_t i = 0; i < n; i++)
        ck_assert_double_eq_tol(((const double *)harness_out(&h, 0)->data)[i], want[i], 1e-9);
    harness_end(&h);
}

static void doubles(const char *op_type, int rank, const int64_t *dims, const double *x, int64_t parameters,
                    int n_parameters)
{
    static const double two[] = {2, 4, 1, 3};
    harness_begin(&h, op_type, 23);
    harness_float(&h, "epsilon", 0);
    harness_input(&h, PERCEPT_DOUBLE, rank, dims, x);
    for (int i = 0; i < n_parameters; i++)
        harness_input(&h, PERCEPT_DOUBLE, 1, &parameters, two);
}

START_TEST(doubles_are_normalized_as_well)
{
    static const double x[] = {1e9 + 1, 1e9 + 3, 3, 1};
    doubles("LayerNormalization", 2, DIMS(2, 2), x, 2, 2);
    expect_doubles((const double[]){0, 8, 4, 0}, 4);
    doubles("RMSNormalization", 2, DIMS(1, 2), x + 2, 1, 1);
    expect_doubles((const double[]){6 / sqrt(5), 2 / sqrt(5)}, 2);
    doubles("InstanceNormalization", 3, DIMS(1, 2, 2), x, 2, 2);
    expect_doubles((const double[]){0, 4, 8, 0}, 4);
    doubles("GroupNormalization", 3, DIMS(1, 2, 2), x, 2, 2);
    harness_int(&h, "num_groups", 2);
    expect_doubles((const double[]){0, 4, 8, 0}, 4);
    doubles("BatchNormalization", 2, DIMS(1, 2), x + 2, 2, 4);
    expect_doubles((const double[]){2 / sqrt(2) + 2, 4 * -3 / 2.0 + 4}, 2);
    doubles("BatchNormalization", 2, DIMS(0, 2), NULL, 2, 4);
    expect_doubles(NULL, 0);
}
END_TEST

START_TEST(doubles_take_every_fused_activation)
{
    for (int act = ACT_RELU; act < ACT_COUNT; act++) {
        static const float x[] = {-2, 1}, one[] = {1}, zero[] = {0};
        float want[2];
        harness_begin(&h, "BatchNormalization", 15);
        const struct fusion fusion = {
            .kind = FUSE_ACTIVATION, .act = (enum activation)act, .alpha = 0.25f, .beta = 0.5f};
        harness_floats(&h, 2, DIMS(2, 1), x);
        for (int i = 0; i < 4; i++)
            harness_floats(&h, 1, DIMS(1), i == 1 || i == 2 ? zero : one);
        ck_assert(harness_fuse(&h, &fusion));
        ck_assert_msg(harness_run(&h), "%s", h.err.text);
        memcpy(want, harness_out(&h, 0)->data, sizeof want);
        harness_end(&h);
        harness_begin(&h, "BatchNormalization", 15);
        harness_input(&h, PERCEPT_DOUBLE, 2, DIMS(2, 1), (double[]){-2, 1});
        for (int i = 0; i < 4; i++)
            harness_input(&h, PERCEPT_DOUBLE, 1, DIMS(1), &(double){i == 1 || i == 2 ? 0 : 1});
        ck_assert(harness_fuse(&h, &fusion));
        ck_assert_msg(harness_run(&h), "%s", h.err.text);
        for (int i = 0; i < 2; i++) /* epsilon and floats */
            ck_assert_double_eq_tol(((const double *)harness_out(&h, 0)->data)[i], (double)want[i], 1e-4);
        harness_end(&h);
    }
}
END_TEST

/* --- bits --------------------------------------------------------------------------------------------------------- */

static void rest_two(struct harness *harness)
{
    harness_floats(harness, 1, DIMS(19), heavy_numbers(2, 19));
    harness_as_constant(harness);
    harness_floats(harness, 1, DIMS(19), heavy_numbers(3, 19));
    harness_as_constant(harness);
}

static void rest_group(struct harness *harness)
{
    harness_int(harness, "num_groups", 19);
    rest_two(harness);
}

static void rest_skip(struct harness *harness)
{
    harness_domain(harness, "com.microsoft");
    harness_floats(harness, 2, DIMS(5, 19), heavy_numbers(4, 5 * 19));
    rest_two(harness);
}

START_TEST(an_items_bits_depend_on_nobody)
{
    heavy_expect_same_bits("InstanceNormalization", 6, 1, 4, DIMS(0, 19, 5, 7), true, rest_two);
    heavy_expect_same_bits("InstanceNormalization", 6, 1, 4, DIMS(0, 19, 5, 7), false, rest_two);
    heavy_expect_same_bits("LayerNormalization", 17, 1, 3, DIMS(0, 5, 19), false, rest_two);
    heavy_expect_same_bits("GroupNormalization", 18, 1, 3, DIMS(0, 38, 7), false, rest_group);
    heavy_expect_same_bits("SkipLayerNormalization", 1, 1, 3, DIMS(0, 5, 19), false, rest_skip);
    heavy_expect_same_bits("SkipSimplifiedLayerNormalization", 1, 1, 3, DIMS(0, 5, 19), false, rest_skip);
}
END_TEST

/* Planes of 1700 +- 1, small ones and such as are measured in slabs (2^18 numbers of a channel, or of a block): the
 * mean is a thousand deviations from zero. 1e-5 (1 + |y|) is what a distance rounded to float, a scale and their
 * product leave; a mean in float alone would cost 1e-4. */
static void check_flat(const char *op, int opset, int64_t groups, int64_t channels, int64_t pixels, bool blocked)
{
    const int64_t n = channels * pixels, rows = groups ? groups : channels;
    float *x = heavy_numbers(7, n), *scale = heavy_numbers(8, channels), *want = calloc((size_t)n, sizeof *want);
    for (int64_t i = 0; i < n; i++)
        x[i] += 1700;
    for (int64_t row = 0; row < rows; row++)
        normalize(x + row * (n / rows), (int)(n / rows), 1e-5, want + row * (n / rows));
    for (int64_t i = 0; i < n; i++)
        want[i] = want[i] * scale[i / pixels] + scale[i / pixels];
    for (const struct kernels *const *level = pick_all(); *level; level++) {
        if (!pick_runs(*level))
            continue;
        harness_begin(&h, op, opset);
        h.ctx.kernels = *level;
        if (groups)
            harness_int(&h, "num_groups", groups);
        harness_floats(&h, 3, DIMS(1, channels, pixels), x);
        if (blocked)
            harness_as_blocked(&h);
        vector(channels, scale, true);
        vector(channels, scale, true);
        ck_assert_msg(harness_run(&h), "%s", h.err.text);
        harness_expect_floats(&h, 0, 3, DIMS(1, channels, pixels), want, 1e-5f);
        harness_end(&h);
    }
    free(want);
}

START_TEST(flat_planes_keep_their_digits_in_any_layout)
{
    check_flat("InstanceNormalization", 6, 0, 3, 90001, false);
    check_flat("InstanceNormalization", 6, 0, 3, 300007, false);
    check_flat("InstanceNormalization", 6, 0, 3, 9001, true);
    check_flat("InstanceNormalization", 6, 0, 5, 140003, true);
    check_flat("GroupNormalization", 21, 2, 4, 10007, false);
    check_flat("GroupNormalization", 21, 2, 4, 170003, false);
}
END_TEST

/* Rows of the same. */
START_TEST(flat_rows_keep_their_digits)
{
    const int64_t lengths[] = {10, 768, 100003};
    for (int i = 0; i < 3; i++) {
        const int64_t n = lengths[i];
        float *x = heavy_numbers(9, n), *want = calloc((size_t)n, sizeof *want),
              *ones = calloc((size_t)n, sizeof *ones);
        for (int64_t k = 0; k < n; k++) {
            x[k] += 1700;
            ones[k] = 1;
        }
        normalize(x, (int)n, 1e-5, want);
        for (const struct kernels *const *level = pick_all(); *level; level++) {
            if (!pick_runs(*level))
                continue;
            harness_begin(&h, "LayerNormalization", 17);
            h.ctx.kernels = *level;
            harness_floats(&h, 2, DIMS(1, n), x);
            vector(n, ones, true);
            ck_assert_msg(harness_run(&h), "%s", h.err.text);
            harness_expect_floats(&h, 0, 2, DIMS(1, n), want, 1e-5f);
            harness_end(&h);
        }
        free(want);
        free(ones);
    }
}
END_TEST

/* Rows of more than one slab, plain and with a skip; against sums in double. */
START_TEST(long_rows_are_measured_in_slabs)
{
    static const char *const ops[] = {"LayerNormalization", "RMSNormalization", "SkipLayerNormalization"};
    const int64_t n = ((int64_t)1 << 18) + 77;
    float *x = heavy_numbers(5, 2 * n), *scale = heavy_numbers(6, n);
    for (int k = 0; k < 3; k++) {
        struct harness one;
        harness_begin(&one, ops[k], k == 1 ? 23 : 17);
        if (k == 2)
            harness_domain(&one, "com.microsoft");
        harness_floats(&one, 2, DIMS(2, n), x);
        if (k == 2)
            harness_floats(&one, 2, DIMS(2, n), x);
        harness_floats(&one, 1, DIMS(n), scale);
        ck_assert_msg(harness_run(&one), "%s", one.err.text);
        const float *y = harness_out(&one, 0)->data;
        for (int row = 0; row < 2; row++) {
            const double times = k == 2 ? 2 : 1, epsilon = k == 2 ? 1e-12 : 1e-5;
            double mean = 0, squares = 0;
            for (int64_t i = 0; i < n; i++)
                mean += k == 1 ? 0 : times * (double)x[row * n + i] / (double)n;
            for (int64_t i = 0; i < n; i++)
                squares += pow(times * (double)x[row * n + i] - mean, 2) / (double)n;
            for (int64_t i = 0; i < n; i++) {
                const double want =
                    (times * (double)x[row * n + i] - mean) / sqrt(squares + epsilon) * (double)scale[i];
                ck_assert_double_le(fabs((double)y[row * n + i] - want), 1e-6); /* a few roundings of at most 2 */
            }
        }
        harness_end(&one);
    }
}
END_TEST

/* What is infinitely far away stays so, in whichever slab it lies. */
START_TEST(an_infinite_mean_is_told_in_slabs_too)
{
    const int64_t n = ((int64_t)1 << 18) + 77, places[] = {0, n - 1};
    float *x = heavy_numbers(5, n), *scale = heavy_numbers(6, n);
    for (int k = 0; k < 2; k++) {
        const float before = x[places[k]];
        struct harness one;
        x[places[k]] = INFINITY;
        harness_begin(&one, "LayerNormalization", 17);
        harness_floats(&one, 2, DIMS(1, n), x);
        harness_floats(&one, 1, DIMS(n), scale);
        harness_outputs(&one, 2);
        ck_assert_msg(harness_run(&one), "%s", one.err.text);
        ck_assert(*(const float *)harness_out(&one, 1)->data == INFINITY);
        harness_end(&one);
        x[places[k]] = before;
    }
}
END_TEST

Suite *op_norm_suite(void);
Suite *op_norm_suite(void)
{
    Suite *suite = suite_create("op/norm");
    TCase *tests = tcase_create("norm");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, rows_of_nothing_are_normalized_to_nothing);
    tcase_add_test(tests, batch_normalization_is_an_affine_map_per_channel);
    tcase_add_test(tests, batch_normalization_takes_rows);
    tcase_add_test(tests, the_affine_vectors_can_be_had_when_parameters_are_constant);
    tcase_add_test(tests, an_image_scaler_is_an_affine_map_of_attributes);
    tcase_add_test(tests, every_element_of_an_item_may_have_parameters_of_its_own);
    tcase_add_test(tests, instance_normalization_measures_each_channel_of_each_item);
    tcase_add_test(tests, group_normalization_scales_groups_and_since_21_channels);
    tcase_add_test(tests, layer_normalization_tells_mean_and_inverse_deviation);
    tcase_add_test(tests, rms_normalization_does_not_subtract_the_mean);
    tcase_add_test(tests, optimisers_write_newer_normalizations_into_older_models);
    tcase_add_test(tests, skip_forms_normalize_a_sum);
    tcase_add_test(tests, missing_attributes_are_refused);
    tcase_add_test(tests, an_items_bits_depend_on_nobody);
    tcase_add_test(tests, flat_planes_keep_their_digits_in_any_layout);
    tcase_add_test(tests, flat_rows_keep_their_digits);
    tcase_add_test(tests, doubles_are_normalized_as_well);
    tcase_add_test(tests, doubles_take_every_fused_activation);
    tcase_add_test(tests, long_rows_are_measured_in_slabs);
    tcase_add_test(tests, an_infinite_mean_is_told_in_slabs_too);
    suite_add_tcase(suite, tests);
    return suite;
}
