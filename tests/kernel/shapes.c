/* shapes.c - see shapes.h */
#include "prepared.h"
#include "shapes.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum precision shapes_precision = PRECISION_EXACT;

static void describe(const struct conv_shape *s, char *text, size_t size)
{
    snprintf(text, size,
             "group %ld channels %ld -> %ld in %ldx%ldx%ld out %ldx%ldx%ld kernel %ldx%ldx%ld stride "
             "%ldx%ldx%ld dilation %ldx%ldx%ld pad %ldx%ldx%ld%s%s",
             (long)s->group, (long)s->in_channels, (long)s->out_channels, (long)s->in[0], (long)s->in[1],
             (long)s->in[2], (long)s->out[0], (long)s->out[1], (long)s->out[2], (long)s->kernel[0], (long)s->kernel[1],
             (long)s->kernel[2], (long)s->stride[0], (long)s->stride[1], (long)s->stride[2], (long)s->dilation[0],
             (long)s->dilation[1], (long)s->dilation[2], (long)s->pad[0], (long)s->pad[1], (long)s->pad[2],
             s->transposed ? " transposed" : "", s->in_plain ? " plain" : "");
}

/* Output size of an axis, with an end padding that differs from the beginning's; false: none. */
static bool draw_axis(struct conv_shape *s, int axis, int64_t most_in, int64_t most_kernel)
{
    s->in[axis] = between(1, most_in);
    s->kernel[axis] = between(1, most_kernel);
    s->stride[axis] = chance(2) ? 1 : between(1, 4);
    s->dilation[axis] = chance(2) ? 1 : between(1, 3);
    s->pad[axis] = chance(2) ? s->kernel[axis] / 2 : between(0, s->kernel[axis] + 1);
    const int64_t pad_end = chance(2) ? s->pad[axis] : between(0, s->kernel[axis]);
    const int64_t span = s->dilation[axis] * (s->kernel[axis] - 1) + 1;
    if (s->transposed) {
        const int64_t extra = between(0, s->stride[axis] - 1);
        s->out[axis] = (s->in[axis] - 1) * s->stride[axis] - s->pad[axis] - pad_end + span + extra;
        return s->out[axis] >= 1;
    }
    const int64_t room = s->in[axis] + s->pad[axis] + pad_end - span;
    s->out[axis] = room / s->stride[axis] + 1;
    return room >= 0;
}

struct conv_shape shapes_draw(bool depthwise)
{
    static const int64_t channels[] = {1, 2, 3, 4, 7, 8, 15, 16, 17, 24, 31, 32, 33, 48, 58, 70};
    for (;;) {
        struct conv_shape s = {.group = 1, .transposed = chance(4), .in_plain = chance(3)};
        const int64_t in = channels[between(0, 15)], out = channels[between(0, 15)];
        s.in_channels = in;
        s.out_channels = out;
        if (depthwise || chance(4)) { /* perhaps with a multiplier */
            s.group = in;
            s.out_channels = in * (!depthwise && chance(3) ? between(2, 3) : 1);
        } else if (chance(4)) {
            s.group = between(2, 4);
            s.in_channels = s.group * (chance(2) ? level->width : between(1, 20));
            s.out_channels = s.group * (chance(2) ? level->width : between(1, 20));
        }
        const int axes = (int)between(1, 3);
        bool fits = true;
        for (int axis = 0; axis < 3; axis++) {
            s.in[axis] = s.out[axis] = s.kernel[axis] = s.stride[axis] = s.dilation[axis] = 1;
            if (axis >= 3 - axes)
                fits = draw_axis(&s, axis, axes == 1 ? 90 : axes == 2 ? 20 : 7, axes == 3 ? 3 : 5) && fits;
        }
        const double work = (double)volume(s.out) * (double)volume(s.kernel) * (double)s.out_channels *
                            (double)s.in_channels / (double)s.group;
        if (fits && work < 4e6)
            return s;
    }
}

struct conv_case {
    struct conv_shape shape;
    int algorithm;
    struct conv_prepared *prepared; /* between guards */
    float *plain, *input, *bias, *scale, *residual_plain, *residual;
    char *weights;
    float *packed, *scratch;
    struct epilogue epilogue;
};

static struct conv_case prepare(const struct conv_shape *shape)
{
    struct conv_case c = {.shape = *shape, .algorithm = level->convolve->choose(shape, shapes_precision)};
    const int64_t in = volume(shape->in), out = volume(shape->out);
    const int64_t terms = shape->in_channels / shape->group * volume(shape->kernel);
    const int64_t n_weights = shape->out_channels * terms;
    /* Some sums, not all. The weights stay tame: where they meet padding, nothing is said of an infinite one. */
    const int hostile = chance(3) ? (int)(4 * terms + 4) : INT_MAX;
    c.plain = guarded_hostile(shape->in_channels * in, hostile);
    c.input = shape->in_plain ? c.plain : to_blocks(c.plain, shape->in_channels, in);
    const float *weights = guarded_numbers(n_weights);
    c.weights = (char *)guarded_bytes(n_weights * 4 + 3) + 3;
    memcpy(c.weights, weights, (size_t)n_weights * sizeof *weights);
    c.bias = guarded_hostile(shape->out_channels, hostile);
    c.scale = chance(2) ? guarded_numbers(shape->out_channels) : NULL;
    c.residual_plain = guarded_hostile(shape->out_channels * out, hostile);
    c.residual = to_blocks(c.residual_plain, shape->out_channels, out);
    c.epilogue = draw_epilogue(c.bias, c.residual);
    c.prepared = guarded_bytes((int64_t)level->convolve->prepared_bytes(c.algorithm, shape));
    level->convolve->prepare(c.prepared, c.algorithm, shape);
    c.packed = guarded((int64_t)(level->convolve->pack_bytes(c.algorithm, shape) / sizeof(float)));
    c.scratch = guarded((int64_t)(level->convolve->scratch_bytes(c.prepared) / sizeof(float)));
    level->convolve->pack(c.algorithm, shape, c.packed, c.weights, c.scale);
    return c;
}

static void compute(const struct conv_case *c, float *output, int64_t from, int64_t to)
{
    level->convolve->run(c->prepared, c->input, c->packed, output, &c->epilogue, c->scratch, from, to);
}

void shapes_check(const struct conv_shape *shape)
{
    const struct conv_case c = prepare(shape);
    const int64_t pixels = volume(shape->out), n = shape->out_channels * pixels, w = level->width;
    float *output = to_blocks(NULL, shape->out_channels, pixels);
    compute(&c, output, 0, level->convolve->units(c.prepared));
    double *sum = calloc((size_t)n, sizeof *sum), *size = calloc((size_t)n, sizeof *size);
    reference_conv(shape, c.plain, c.weights, c.scale, c.epilogue.bias, c.epilogue.residual ? c.residual_plain : NULL,
                   sum, size);
    char text[400];
    describe(shape, text, sizeof text);
    const double terms = (double)(shape->in_channels / shape->group * volume(shape->kernel));
    for (int64_t i = 0; i < n; i++) {
        const int64_t channel = i / pixels, p = i % pixels;
        const double got = (double)output[(channel / w * pixels + p) * w + channel % w];
        const double want = activated(&c.epilogue, sum[i]);
        FAIL_UNLESS(near(got, want, activated_slack(want, terms, size[i])),
                    "%s %s act %d: channel %ld pixel %ld is %.9g, want %.9g", level->convolve->name(c.algorithm), text,
                    (int)c.epilogue.act, (long)channel, (long)p, got, want);
    }
    /* units in pieces and backwards */
    float *parts = to_blocks(NULL, shape->out_channels, pixels);
    for (int64_t to = level->convolve->units(c.prepared), from; to > 0; to = from) {
        from = to - between(1, 3);
        from = from > 0 ? from : 0;
        compute(&c, parts, from, to);
    }
    for (int64_t channel = 0; channel < shape->out_channels; channel++)
        for (int64_t p = 0; p < pixels; p++) {
            const int64_t at = (channel / w * pixels + p) * w + channel % w;
            FAIL_UNLESS(same_number(output[at], parts[at]), "%s depends on the cut into units", text);
        }
    free(sum);
    free(size);
    release();
}

/* Lanes beyond the channels hold anything. */
static void expect_same(const struct conv_shape *shape, const float *a, const float *b, const char *what)
{
    const int64_t pixels = volume(shape->out), w = level->width;
    char text[400];
    describe(shape, text, sizeof text);
    for (int64_t i = 0; i < shape->out_channels * pixels; i++) {
        const int64_t channel = i / pixels, at = (channel / w * pixels + i % pixels) * w + channel % w;
        FAIL_UNLESS(same_number(a[at], b[at]), "%s %s", text, what);
    }
}

void shapes_check_moved(const struct conv_shape *shape)
{
    struct conv_case c = prepare(shape);
    const size_t n_bytes = level->convolve->prepared_bytes(c.algorithm, shape);
    const int64_t pixels = volume(shape->out), units = level->convolve->units(c.prepared);
    float *before = to_blocks(NULL, shape->out_channels, pixels), *after = to_blocks(NULL, shape->out_channels, pixels);
    struct conv_prepared *moved = guarded_bytes((int64_t)n_bytes), *kept = guarded_bytes((int64_t)n_bytes);
    memcpy(moved, c.prepared, n_bytes);
    memcpy(kept, c.prepared, n_bytes);
    compute(&c, before, 0, units);
    FAIL_UNLESS(memcmp(c.prepared, kept, n_bytes) == 0, "%s", "a run wrote to what was prepared");
    memset(c.prepared, 0xa5, n_bytes);
    c.prepared = moved;
    ck_assert_int_eq(level->convolve->units(moved), units);
    compute(&c, after, 0, units);
    expect_same(shape, before, after, "depends on where it was prepared");
    release();
}

struct half {
    const struct conv_case *c;
    float *output, *scratch;
    int64_t from, to;
};

/* Unit by unit, so that the two meet in all of it. */
static void *compute_half(void *arg)
{
    const struct half *half = arg;
    struct conv_case own = *half->c;
    own.scratch = half->scratch;
    for (int64_t unit = half->from; unit < half->to; unit++)
        compute(&own, half->output, unit, unit + 1);
    return NULL;
}

void shapes_check_shared(const struct conv_shape *shape)
{
    const struct conv_case c = prepare(shape);
    const int64_t pixels = volume(shape->out), units = level->convolve->units(c.prepared);
    float *alone = to_blocks(NULL, shape->out_channels, pixels), *both = to_blocks(NULL, shape->out_channels, pixels);
    float *scratch = guarded((int64_t)(level->convolve->scratch_bytes(c.prepared) / sizeof(float)));
    compute(&c, alone, 0, units);
    struct half first = {.c = &c, .output = both, .scratch = c.scratch, .to = units / 2};
    struct half second = {.c = &c, .output = both, .scratch = scratch, .from = units / 2, .to = units};
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, compute_half, &second), 0);
    compute_half(&first);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    expect_same(shape, alone, both, "depends on who computes it");
    release();
}

struct conv_shape shapes_square(int64_t in, int64_t out, int64_t size, int64_t kernel, int64_t stride, int64_t pad)
{
    const int64_t out_size = (size + 2 * pad - kernel) / stride + 1;
    return (struct conv_shape){.group = 1,
                               .in_channels = in,
                               .out_channels = out,
                               .in = {1, size, size},
                               .out = {1, out_size, out_size},
                               .kernel = {1, kernel, kernel},
                               .stride = {1, stride, stride},
                               .dilation = {1, 1, 1},
                               .pad = {0, pad, pad}};
}

float *shapes_run(const struct conv_shape *shape, const float *input, const float *weights)
{
    const int algorithm = level->convolve->choose(shape, PRECISION_EXACT);
    float *packed = guarded((int64_t)(level->convolve->pack_bytes(algorithm, shape) / sizeof(float)));
    struct conv_prepared *prepared = prepared_for(level, shape);
    float *scratch = guarded((int64_t)(level->convolve->scratch_bytes(prepared) / sizeof(float)));
    float *output = to_blocks(NULL, shape->out_channels, volume(shape->out));
    level->convolve->pack(algorithm, shape, packed, weights, NULL);
    level->convolve->run(prepared, input, packed, output, &(struct epilogue){.act = ACT_NONE}, scratch, 0,
                         level->convolve->units(prepared));
    free(prepared);
    return output;
}
