/*
 * geometry.h - convolutions and transposed convolutions over one, two or three axes, reduced to one form.
 *
 * Along each axis a convolution is a set of phases; a phase computes the outputs first, first + step, ...
 * and each of its outputs j sees, through tap t, the input at j * in_step + offset + t * tap_step:
 *
 *     convolution             one phase, all taps; in_step = stride, tap_step = dilation
 *     transposed convolution  `stride` phases; the taps k with k dilation = phase (mod stride);
 *                             in_step = 1, tap_step <= 0, so a phase is a plain stride-1 convolution
 *
 * So whoever convolves (convolve.h, depthwise.h) knows nothing of transposing. Where a weight lies in
 * ONNX's order does depend on it, and is said here too.
 *
 * Phases are found when a shape is prepared (phase_of) and kept in what was prepared; no run asks again.
 */
#ifndef KERNEL_GEOMETRY_H
#define KERNEL_GEOMETRY_H

#include "kernel/kernel.h"
#include "kernel/vec.h"

enum { CONV_UNITS = 16 }; /* units wanted, so that many threads can share one item */

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t vectors_of(int64_t channels)
{
    return ceil_div(channels, WIDTH);
}

/* Taps of one residue class along an axis: kernel positions first, first + step, ... */
struct taps {
    int64_t first, step, n;
};

static int64_t greatest_divisor(int64_t a, int64_t b)
{
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static int64_t classes_of(const struct conv_shape *shape, int axis)
{
    return shape->transposed ? shape->stride[axis] : 1;
}

/* Which taps belong to a class; depends on kernel, stride and dilation alone. */
static struct taps taps_of(const struct conv_shape *shape, int axis, int64_t residue)
{
    const int64_t kernel = shape->kernel[axis];
    if (!shape->transposed)
        return (struct taps){.first = 0, .step = 1, .n = kernel};
    const int64_t stride = shape->stride[axis], dilation = shape->dilation[axis];
    const int64_t step = stride / greatest_divisor(stride, dilation);
    for (int64_t k = 0; k < least(step, kernel); k++)
        if (k * dilation % stride == residue)
            return (struct taps){.first = k, .step = step, .n = (kernel - k - 1) / step + 1};
    return (struct taps){.first = 0, .step = 1, .n = 0};
}

/* One phase along one axis. */
struct phase {
    struct taps taps;
    int64_t taps_before;      /* of the axis' earlier phases; set by phases_find alone */
    int64_t n;                /* outputs */
    int64_t first, step;      /* output positions */
    int64_t in_step;          /* inputs per output */
    int64_t offset, tap_step; /* input position of tap t of output 0: offset + t * tap_step */
};

static struct phase phase_of(const struct conv_shape *shape, int axis, int64_t residue)
{
    struct phase phase = {.taps = taps_of(shape, axis, residue)};
    const int64_t stride = shape->stride[axis], dilation = shape->dilation[axis];
    const int64_t out = shape->out[axis], pad = shape->pad[axis];
    if (!shape->transposed) {
        phase.n = out;
        phase.step = 1;
        phase.in_step = stride;
        phase.offset = -pad;
        phase.tap_step = dilation;
        return phase;
    }
    /* outputs p with p + pad = class (mod stride); tap k of p reads input (p + pad - k dilation) / stride */
    phase.first = ((residue - pad) % stride + stride) % stride;
    phase.n = out > phase.first ? (out - phase.first - 1) / stride + 1 : 0;
    phase.step = stride;
    phase.in_step = 1;
    phase.offset = (phase.first + pad - phase.taps.first * dilation) / stride;
    phase.tap_step = -(phase.taps.step * dilation / stride);
    return phase;
}

/* All phases, axis by axis: those of `axis` are phases_before(shape, axis) ... */
static int64_t phases_before(const struct conv_shape *shape, int axis)
{
    int64_t n = 0;
    for (int i = 0; i < axis; i++)
        n += classes_of(shape, i);
    return n;
}

static void phases_find(const struct conv_shape *shape, struct phase *phases)
{
    for (int axis = 0; axis < 3; axis++) {
        int64_t taps_before = 0;
        for (int64_t residue = 0; residue < classes_of(shape, axis); residue++, phases++) {
            *phases = phase_of(shape, axis, residue);
            phases->taps_before = taps_before;
            taps_before += phases->taps.n;
        }
    }
}

/* The input positions that outputs [from, to) of a phase see: low and high, inclusive. */
struct extent {
    int64_t low, high;
};

static struct extent extent_of(const struct phase *phase, int64_t from, int64_t to)
{
    const int64_t reach = phase->taps.n ? (phase->taps.n - 1) * phase->tap_step : 0;
    return (struct extent){
        .low = from * phase->in_step + phase->offset + (reach < 0 ? reach : 0),
        .high = (to - 1) * phase->in_step + phase->offset + (reach > 0 ? reach : 0),
    };
}

static int64_t all_taps(const struct conv_shape *shape)
{
    return shape->kernel[0] * shape->kernel[1] * shape->kernel[2];
}

/* What every prepared convolution begins with (kernel.h); the algorithm's own follows it. */
struct conv_prepared {
    int algorithm;
    int64_t units;
    size_t scratch_bytes;
    double done_flops; /* kernel.h */
};

/* Weight (o, i, tap) of a group, scaled. */
struct weights {
    const struct conv_shape *shape;
    const char *raw;
    const float *scale;
    int64_t in, out; /* channels of a group */
};

static float weight_at(const struct weights *weights, int64_t group, int64_t o, int64_t i, int64_t tap)
{
    const int64_t channel = group * weights->out + o;
    const int64_t row =
        weights->shape->transposed ? (group * weights->in + i) * weights->out + o : channel * weights->in + i;
    float x;
    memcpy(&x, weights->raw + (row * all_taps(weights->shape) + tap) * (int64_t)sizeof x, sizeof x);
    return weights->scale ? x * weights->scale[channel] : x;
}

#endif
