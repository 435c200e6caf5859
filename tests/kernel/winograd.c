/*
 * winograd.c - F(2x2, 3x3) and F(4x4, 3x3) against the definition in double, on every level that this CPU runs: the
 * error of the one beside that of a chain of multiply-adds in float, that of the other beside what `fast` allows, what
 * is not finite, what is huge, and which layers they are chosen for. shapes_precision says which of them is tested.
 */
#include "shapes.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One item, its weights, and what comes out: plain, channel by channel. */
struct layer {
    struct conv_shape shape;
    float *x, *weights, *bias, *y;
    double *sum, *size;
    const char *name; /* of the algorithm */
};

static struct layer layer_of(const struct conv_shape *shape)
{
    struct layer layer = {.shape = *shape};
    const int64_t n = shape->out_channels * volume(shape->out);
    layer.x = guarded_numbers(shape->in_channels * volume(shape->in));
    layer.weights = guarded_numbers(shape->out_channels * shape->in_channels * 9);
    layer.bias = guarded_numbers(shape->out_channels);
    layer.y = guarded(n);
    layer.sum = calloc((size_t)n, sizeof *layer.sum);
    layer.size = calloc((size_t)n, sizeof *layer.size);
    return layer;
}

static void layer_release(struct layer *layer)
{
    free(layer->sum);
    free(layer->size);
    release();
}

/* What the level makes of it, and the definition. */
static void layer_run(struct layer *layer)
{
    const struct conv_shape *shape = &layer->shape;
    const int algorithm = level->convolve->choose(shape, shapes_precision);
    const int64_t pixels = volume(shape->out), w = level->width;
    float *input = to_blocks(layer->x, shape->in_channels, volume(shape->in));
    float *output = to_blocks(NULL, shape->out_channels, pixels);
    float *packed = guarded((int64_t)(level->convolve->pack_bytes(algorithm, shape) / sizeof(float)));
    struct conv_prepared *prepared = guarded_bytes((int64_t)level->convolve->prepared_bytes(algorithm, shape));
    level->convolve->prepare(prepared, algorithm, shape);
    float *scratch = guarded((int64_t)(level->convolve->scratch_bytes(prepared) / sizeof(float)));
    const struct epilogue epilogue = {.bias = layer->bias, .act = ACT_NONE};
    layer->name = level->convolve->name(algorithm);
    level->convolve->pack(algorithm, shape, packed, layer->weights, NULL);
    level->convolve->run(prepared, input, packed, output, &epilogue, scratch, 0, level->convolve->units(prepared));
    for (int64_t i = 0; i < shape->out_channels * pixels; i++)
        layer->y[i] = output[(i / pixels / w * pixels + i % pixels) * w + i / pixels % w];
    reference_conv(shape, layer->x, (const char *)layer->weights, NULL, layer->bias, NULL, layer->sum, layer->size);
}

/* The largest error of a chain of multiply-adds in float over the nine taps of all channels. */
static double chain_error(const struct layer *layer)
{
    const struct conv_shape *s = &layer->shape;
    const int64_t height = s->out[1], width = s->out[2];
    double most = 0;
    for (int64_t i = 0; i < s->out_channels * height * width; i++) {
        const int64_t o = i / width / height, y = i / width % height, x = i % width;
        float sum = 0;
        for (int64_t c = 0; c < s->in_channels; c++)
            for (int64_t tap = 0; tap < 9; tap++) {
                const int64_t h = y + tap / 3 - s->pad[1], v = x + tap % 3 - s->pad[2];
                if (h >= 0 && h < s->in[1] && v >= 0 && v < s->in[2])
                    sum = fmaf(layer->x[(c * s->in[1] + h) * s->in[2] + v],
                               layer->weights[(o * s->in_channels + c) * 9 + tap], sum);
            }
        most = fmax(most, fabs((double)(sum + layer->bias[o]) - layer->sum[i]));
    }
    return most;
}

static bool is_fast(void)
{
    return shapes_precision == PRECISION_FAST;
}

static void expect_precise(const struct layer *layer)
{
    const int64_t n = layer->shape.out_channels * volume(layer->shape.out);
    double most = 0, error = 0;
    for (int64_t i = 0; i < n; i++) {
        most = fmax(most, fabs(layer->sum[i]));
        error = fmax(error, fabs((double)layer->y[i] - layer->sum[i]));
    }
    ck_assert_str_eq(layer->name, is_fast() ? "winograd4" : "winograd");
    FAIL_UNLESS(error <= (is_fast() ? 2e-5 * most : fmax(3e-6 * most, chain_error(layer))),
                "%ld -> %ld @ %ldx%ld: off by %g of %g", (long)layer->shape.in_channels,
                (long)layer->shape.out_channels, (long)layer->shape.in[1], (long)layer->shape.in[2], error, most);
}

static struct conv_shape rectangle(int64_t in, int64_t out, int64_t height, int64_t width, int64_t pad)
{
    struct conv_shape shape = shapes_square(in, out, height, 3, 1, pad);
    shape.in[2] = width;
    shape.out[2] = width + 2 * pad - 2;
    return shape;
}

static void check_is_as_exact_as_multiply_adds(void)
{
    static const int64_t channels[] = {16, 17, 24, 31, 32, 33, 40, 48, 58, 70};
    for (int64_t height = 1; height <= 20; height++)
        for (int64_t pad = height < 3; pad < 3; pad++) {
            const int64_t in = channels[between(0, 9)], out = channels[between(0, 9)];
            const struct conv_shape shape = rectangle(in, out, height, between(pad ? 1 : 3, 20), pad);
            struct layer layer = layer_of(&shape);
            layer_run(&layer);
            expect_precise(&layer);
            layer_release(&layer);
        }
}

START_TEST(winograd_is_as_exact_as_multiply_adds)
{
    begin(_i);
    check_is_as_exact_as_multiply_adds();
}
END_TEST

START_TEST(winograd_of_four_is_as_precise_as_is_said)
{
    begin(_i);
    shapes_precision = PRECISION_FAST;
    check_is_as_exact_as_multiply_adds();
}
END_TEST

/* Parts of sums, several chunks of tiles, several panels. */
static void check_is_exact_on_large_layers(void)
{
    const struct conv_shape shapes[] = {rectangle(300, 40, 20, 17, 1), rectangle(24, 100, 41, 38, 1),
                                        rectangle(512, 33, 14, 14, 1), rectangle(128, 128, 9, 7, 1)};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct layer layer = layer_of(&shapes[i]);
        for (int64_t k = 0; i == 0 && k < 300 * 340; k++) /* as behind a Relu */
            layer.x[k] = layer.x[k] < 0 ? 0 : layer.x[k];
        layer_run(&layer);
        expect_precise(&layer);
        layer_release(&layer);
    }
}

START_TEST(winograd_is_exact_on_large_layers)
{
    begin(_i);
    check_is_exact_on_large_layers();
}
END_TEST

START_TEST(winograd_of_four_is_precise_on_large_layers)
{
    begin(_i);
    shapes_precision = PRECISION_FAST;
    check_is_exact_on_large_layers();
}
END_TEST

/* Everything that shapes_check looks at: layouts, activations, residuals, units in any order. */
static void check_computes_all_sizes(void)
{
    for (int64_t size = 1; size <= 20; size++) {
        const struct conv_shape shape = rectangle(between(16, 40), between(16, 70), size, between(1, 20), 1);
        shapes_check(&shape);
    }
    struct conv_shape slices = rectangle(17, 18, 7, 6, 1); /* of a volume, with padding among them */
    slices.in[0] = 3;
    slices.out[0] = 6;
    slices.pad[0] = 1;
    shapes_check(&slices);
    shapes_check_moved(&slices);
    shapes_check_shared(&slices);
}

START_TEST(winograd_computes_all_sizes)
{
    begin(_i);
    check_computes_all_sizes();
}
END_TEST

START_TEST(winograd_of_four_computes_all_sizes)
{
    begin(_i);
    shapes_precision = PRECISION_FAST;
    check_computes_all_sizes();
}
END_TEST

/* --- what is not finite, and what is huge ------------------------------------------------------------------------- */

static bool is_plain_number(float x)
{
    return fabsf(x) <= 2;
}

/* Does an output see a planted input? */
static bool sees_planted(const struct layer *layer, int64_t pixel)
{
    const struct conv_shape *s = &layer->shape;
    for (int64_t tap = 0; tap < 9; tap++) {
        const int64_t h = pixel / s->out[2] + tap / 3 - s->pad[1], v = pixel % s->out[2] + tap % 3 - s->pad[2];
        for (int64_t c = 0; h >= 0 && h < s->in[1] && v >= 0 && v < s->in[2] && c < s->in_channels; c++)
            if (!is_plain_number(layer->x[(c * s->in[1] + h) * s->in[2] + v]))
                return true;
    }
    return false;
}

/* The largest finite output of those that see something planted, or of the others. */
static double most_of(const struct layer *layer, bool planted)
{
    const int64_t pixels = volume(layer->shape.out);
    double most = 0;
    for (int64_t i = 0; i < layer->shape.out_channels * pixels; i++)
        if (isfinite(layer->sum[i]) && sees_planted(layer, i % pixels) == planted)
            most = fmax(most, fabs(layer->sum[i]));
    return most;
}

/* What is planted reaches the outputs that it reaches by definition, as what it is there, and no other. The rounding of
 * what is huge reaches its whole tile where that is 4x4. */
static void expect_planted(const struct layer *layer, float planted)
{
    const int64_t pixels = volume(layer->shape.out);
    const double share = is_fast() ? 2e-5 : 3e-6;
    double most[2] = {most_of(layer, false), most_of(layer, true)};
    ck_assert_str_eq(layer->name, is_fast() ? "winograd4" : "winograd");
    if (is_fast())
        most[0] = most[1] = fmax(most[0], most[1]);
    for (int64_t i = 0; i < layer->shape.out_channels * pixels; i++) {
        const float want = (float)layer->sum[i];
        if (isinf(want) && !isinf(layer->sum[i]))
            continue; /* around the largest number: an order of summation may say so or not */
        FAIL_UNLESS(near((double)layer->y[i], (double)want, share * most[sees_planted(layer, i % pixels)]),
                    "%g at pixel %ld of map %ld: %g, want %g", (double)planted, (long)(i % pixels), (long)(i / pixels),
                    (double)layer->y[i], (double)want);
    }
}

static void check_keeps_what_is_not_finite_to_itself(void)
{
    static const float planted[] = {INFINITY, -INFINITY, NAN, 1e30f, -1e30f, 3e38f, 1e-40f, FLT_MIN};
    for (size_t k = 0; k < sizeof planted / sizeof *planted; k++)
        for (int64_t place = 0; place < 49; place++) {
            const struct conv_shape shape = rectangle(18, 35, 7, 7, 1);
            struct layer layer = layer_of(&shape);
            layer.x[between(0, 17) * 49 + place] = planted[k];
            if (chance(2))
                layer.x[between(0, 17 * 49)] = planted[between(0, 5)];
            layer_run(&layer);
            expect_planted(&layer, planted[k]);
            layer_release(&layer);
        }
}

START_TEST(winograd_keeps_what_is_not_finite_to_itself)
{
    begin(_i);
    check_keeps_what_is_not_finite_to_itself();
}
END_TEST

START_TEST(winograd_of_four_keeps_what_is_not_finite_to_itself)
{
    begin(_i);
    shapes_precision = PRECISION_FAST;
    check_keeps_what_is_not_finite_to_itself();
}
END_TEST

/* Where inputs are larger than a transform can add, but their products are not. */
static void check_survives_overflow_in_a_transform(void)
{
    const struct conv_shape shape = rectangle(16, 16, 6, 6, 1);
    struct layer layer = layer_of(&shape);
    for (int64_t i = 0; i < 16 * 36; i++)
        layer.x[i] = 3e38f;
    for (int64_t i = 0; i < 16 * 16 * 9; i++)
        layer.weights[i] *= 1e-3f;
    layer_run(&layer);
    expect_planted(&layer, 3e38f);
    layer_release(&layer);
}

START_TEST(winograd_survives_overflow_in_a_transform)
{
    begin(_i);
    check_survives_overflow_in_a_transform();
}
END_TEST

START_TEST(winograd_of_four_survives_overflow_in_a_transform)
{
    begin(_i);
    shapes_precision = PRECISION_FAST;
    check_survives_overflow_in_a_transform();
}
END_TEST

/* Weights whose transform is not finite, though they may be. Without padding, of which an infinite one makes NaN. */
static void check_survives_any_weights(void)
{
    static const float planted[] = {INFINITY, -INFINITY, NAN, 3.4e38f, 1e30f, 1e-40f};
    for (size_t k = 0; k < sizeof planted / sizeof *planted; k++) {
        const struct conv_shape shape = rectangle(20, 40, 9, 8, 0);
        struct layer layer = layer_of(&shape);
        const int64_t at = between(0, 40 * 20 - 1) * 9;
        for (int64_t i = 0; i < 9; i++) /* all nine: their sum is more than a float has */
            layer.weights[at + i] = planted[k];
        for (int64_t i = 0; i < 20 * 72; i++)
            layer.x[i] *= 0.01f;
        layer_run(&layer);
        for (int64_t i = 0; i < 40 * 42; i++)
            FAIL_UNLESS(
                near((double)layer.y[i], (double)(float)layer.sum[i], (is_fast() ? 2e-5 : 3e-6) * layer.size[i]),
                "weight %g: output %ld is %g, want %g", (double)planted[k], (long)i, (double)layer.y[i], layer.sum[i]);
        layer_release(&layer);
    }
}

START_TEST(winograd_survives_any_weights)
{
    begin(_i);
    check_survives_any_weights();
}
END_TEST

START_TEST(winograd_of_four_survives_any_weights)
{
    begin(_i);
    shapes_precision = PRECISION_FAST;
    check_survives_any_weights();
}
END_TEST

/* What an output does not see does not count: not a bit. */
START_TEST(winograd_bits_depend_on_what_is_seen)
{
    begin(_i);
    for (int round = 0; round < 20; round++) {
        const struct conv_shape shape = rectangle(20, 40, 9, 9, 1);
        struct layer layer = layer_of(&shape);
        float *before = guarded(40 * 81);
        layer_run(&layer);
        memcpy(before, layer.y, 40 * 81 * sizeof *before);
        const int64_t place = between(0, 80);
        layer.x[between(0, 19) * 81 + place] = 2 * number();
        layer_run(&layer);
        for (int64_t i = 0; i < 40 * 81; i++) {
            const int64_t down = i % 81 / 9 - place / 9, right = i % 9 - place % 9;
            if (down < -1 || down > 1 || right < -1 || right > 1)
                FAIL_UNLESS(same_bits(&before[i], &layer.y[i], 1), "pixel %ld changes with %ld", (long)(i % 81),
                            (long)place);
        }
        layer_release(&layer);
    }
}
END_TEST

/* --- choice ------------------------------------------------------------------------------------------------------- */

static const char *chosen(struct conv_shape shape, bool settled)
{
    const int algorithm = level->convolve->choose(&shape, shapes_precision);
    return level->convolve->name(settled ? level->convolve->settle(algorithm, &shape) : algorithm);
}

START_TEST(winograd_is_chosen_by_what_is_known)
{
    begin(_i);
    struct conv_shape shape = rectangle(64, 64, 56, 56, 1), other;
    ck_assert_str_eq(chosen(shape, false), "winograd");
    other = shape;
    other.stride[2] = 2;
    ck_assert_str_eq(chosen(other, false), "direct");
    other = shape;
    other.dilation[1] = 2;
    ck_assert_str_eq(chosen(other, false), "direct");
    other = shape;
    other.computed = true;
    ck_assert_str_eq(chosen(other, false), "direct");
    other = shape;
    other.transposed = true;
    ck_assert_str_eq(chosen(other, false), "direct");
    other = shape;
    other.in_plain = true;
    ck_assert_str_eq(chosen(other, false), "direct");
    other = shape;
    other.group = 2;
    ck_assert_str_ne(chosen(other, false), "winograd");
    ck_assert_str_eq(chosen(rectangle(15, 64, 56, 56, 1), false), "direct");
    ck_assert_str_eq(chosen(rectangle(64, 15, 56, 56, 1), false), "direct");
    ck_assert_str_eq(chosen(rectangle(2048, 64, 56, 56, 1), false), "direct");
}
END_TEST

/* Weights that no cache keeps want many tiles. Where height and width come later the answer does as well. */
START_TEST(winograd_is_not_chosen_for_few_tiles_and_many_weights)
{
    begin(_i);
    struct conv_shape small = rectangle(512, 512, 7, 7, 1), large = rectangle(512, 512, 14, 14, 1), unknown = small;
    for (int axis = 1; axis < 3; axis++)
        unknown.in[axis] = unknown.out[axis] = 0;
    ck_assert_str_eq(chosen(small, false), "direct");
    ck_assert_str_eq(chosen(large, false), "winograd");
    ck_assert_str_eq(chosen(unknown, false), "winograd");
    const int algorithm = level->convolve->choose(&unknown, PRECISION_EXACT);
    ck_assert_str_eq(level->convolve->name(level->convolve->settle(algorithm, &small)), "direct");
    ck_assert_str_eq(level->convolve->name(level->convolve->settle(algorithm, &large)), "winograd");
    ck_assert_str_eq(chosen(rectangle(32, 32, 7, 7, 1), true), "winograd");
}
END_TEST

/* 14 pixels are 7 tiles of 2: 16 products each, where the definition has 9 for each of 4 outputs. What runs directly
 * has no number of its own. */
START_TEST(what_is_multiplied_is_told)
{
    begin(_i);
    const struct conv_shape shapes[] = {rectangle(32, 48, 14, 14, 1), rectangle(512, 512, 7, 7, 1)};
    const double wanted[] = {2.0 * 7 * 7 * 16 * 32 * 48, 0};
    for (int i = 0; i < 2; i++) {
        const struct conv_shape *shape = &shapes[i];
        const int algorithm = level->convolve->settle(level->convolve->choose(shape, PRECISION_EXACT), shape);
        struct conv_prepared *prepared = guarded_bytes((int64_t)level->convolve->prepared_bytes(algorithm, shape));
        level->convolve->prepare(prepared, algorithm, shape);
        ck_assert_double_eq(level->convolve->done_flops(prepared), wanted[i]);
    }
}
END_TEST

/* Four times the weights want more tiles, or few channels where nothing is known. */
START_TEST(winograd_of_four_is_chosen_where_it_pays)
{
    begin(_i);
    struct conv_shape small = rectangle(256, 256, 14, 14, 1), large = rectangle(256, 256, 28, 28, 1), unknown = small;
    for (int axis = 1; axis < 3; axis++)
        unknown.in[axis] = unknown.out[axis] = 0;
    ck_assert_str_eq(chosen(large, false), "winograd");
    shapes_precision = PRECISION_FAST;
    ck_assert_str_eq(chosen(small, false), "winograd");
    ck_assert_str_eq(chosen(large, false), "winograd4");
    ck_assert_str_eq(chosen(unknown, false), "winograd");
    ck_assert_str_eq(chosen(rectangle(64, 64, 7, 7, 1), true), "winograd4");
    ck_assert_str_eq(chosen(rectangle(512, 512, 7, 7, 1), false), "direct");
}
END_TEST

/* The direct weights, and sixteen for nine. */
START_TEST(winograd_packs_no_more_than_both)
{
    begin(_i);
    const struct conv_shape shape = rectangle(64, 128, 28, 28, 1);
    const int algorithm = level->convolve->choose(&shape, PRECISION_EXACT);
    ck_assert_str_eq(level->convolve->name(algorithm), "winograd");
    ck_assert_uint_le(level->convolve->pack_bytes(algorithm, &shape), 64 * 128 * (9 + 16) * sizeof(float) + 64);
}
END_TEST

Suite *kernel_winograd_suite(void);

Suite *kernel_winograd_suite(void)
{
    Suite *suite = suite_create("kernel/winograd");
    fixture_add(suite, "winograd_is_as_exact_as_multiply_adds", winograd_is_as_exact_as_multiply_adds);
    fixture_add(suite, "winograd_of_four_is_as_precise_as_is_said", winograd_of_four_is_as_precise_as_is_said);
    fixture_add(suite, "winograd_is_exact_on_large_layers", winograd_is_exact_on_large_layers);
    fixture_add(suite, "winograd_of_four_is_precise_on_large_layers", winograd_of_four_is_precise_on_large_layers);
    fixture_add(suite, "winograd_computes_all_sizes", winograd_computes_all_sizes);
    fixture_add(suite, "winograd_of_four_computes_all_sizes", winograd_of_four_computes_all_sizes);
    fixture_add(suite, "winograd_keeps_what_is_not_finite_to_itself", winograd_keeps_what_is_not_finite_to_itself);
    fixture_add(suite, "winograd_of_four_keeps_what_is_not_finite_to_itself",
                winograd_of_four_keeps_what_is_not_finite_to_itself);
    fixture_add(suite, "winograd_survives_overflow_in_a_transform", winograd_survives_overflow_in_a_transform);
    fixture_add(suite, "winograd_of_four_survives_overflow_in_a_transform",
                winograd_of_four_survives_overflow_in_a_transform);
    fixture_add(suite, "winograd_survives_any_weights", winograd_survives_any_weights);
    fixture_add(suite, "winograd_of_four_survives_any_weights", winograd_of_four_survives_any_weights);
    fixture_add(suite, "winograd_bits_depend_on_what_is_seen", winograd_bits_depend_on_what_is_seen);
    fixture_add(suite, "winograd_is_chosen_by_what_is_known", winograd_is_chosen_by_what_is_known);
    fixture_add(suite, "winograd_is_not_chosen_for_few_tiles_and_many_weights",
                winograd_is_not_chosen_for_few_tiles_and_many_weights);
    fixture_add(suite, "winograd_of_four_is_chosen_where_it_pays", winograd_of_four_is_chosen_where_it_pays);
    fixture_add(suite, "what_is_multiplied_is_told", what_is_multiplied_is_told);
    fixture_add(suite, "winograd_packs_no_more_than_both", winograd_packs_no_more_than_both);
    return suite;
}
