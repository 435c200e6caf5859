/*
 * window.h - pooling: each output pixel looks through a window at one map.
 *
 * A map is a channel block (a vector per pixel) or, in plain layout, one channel (a float per pixel);
 * the walk over windows is the same code on either type. A window is cut to the map once per axis, so
 * the inner loops ask nothing. Averages: the taps in ascending order, divided by their number, which
 * with count_include_pad counts the padding but not what a ceil-mode window sees beyond it. Maxima keep
 * NaN; an empty window gives -inf, or 0/0 for averages.
 */
#ifndef KERNEL_WINDOW_H
#define KERNEL_WINDOW_H

#include "kernel/kernel.h"
#include "kernel/vec.h"

/* What one output position sees along one axis: inputs first, first + step, ... (n of them), and the
 * number that a divisor counts. */
struct sight {
    int64_t first, n, counted;
};

/* Taps k of [0, kernel) with low <= at + k step < high: [*from, *to). */
INLINED void taps_within(int64_t at, int64_t step, int64_t kernel, int64_t low, int64_t high,
                         int64_t *from, int64_t *to)
{
    int64_t a = at >= low ? 0 : (low - at + step - 1) / step;
    int64_t b = at >= high ? 0 : (high - at + step - 1) / step;
    *from = a < kernel ? a : kernel;
    *to = b < kernel ? b : kernel;
    if (*to < *from)
        *to = *from;
}

INLINED struct sight sight_of(const struct pool_shape *shape, int axis, int64_t o)
{
    const int64_t at = o * shape->stride[axis] - shape->pad[axis], step = shape->dilation[axis];
    const int64_t in = shape->in[axis], kernel = shape->kernel[axis];
    int64_t from, to, counted_from, counted_to;
    taps_within(at, step, kernel, 0, in, &from, &to);
    taps_within(at, step, kernel, -shape->pad[axis], in + shape->pad_end[axis], &counted_from,
                &counted_to);
    const bool padding = shape->count_include_pad;
    return (struct sight){.first = at + from * step,
                          .n = to - from,
                          .counted = padding ? counted_to - counted_from : to - from};
}

INLINED vec pool_window(const struct pool_shape *shape, bool average, int lanes, const float *map,
                        const struct sight at[3])
{
    const int64_t row = shape->in[2] * lanes, plane = shape->in[1] * row;
    const int64_t step = shape->dilation[2] * lanes;
    vec result = splat(average ? 0 : -INFINITY);
    for (int64_t d = 0; d < at[0].n; d++)
        for (int64_t h = 0; h < at[1].n; h++) {
            const float *x = map + (at[0].first + d * shape->dilation[0]) * plane +
                             (at[1].first + h * shape->dilation[1]) * row + at[2].first * lanes;
            for (int64_t w = 0; w < at[2].n; w++, x += step) {
                vec v = lanes == 1 ? splat(*x) : load(x);
                result = average ? result + v : maximum(result, v);
            }
        }
    const int64_t counted = at[0].counted * at[1].counted * at[2].counted;
    return average ? result / splat((float)counted) : result;
}

INLINED void pool_map(const struct pool_shape *shape, bool average, int lanes, const float *map,
                      float *output)
{
    struct sight at[3];
    for (int64_t d = 0; d < shape->out[0]; d++) {
        at[0] = sight_of(shape, 0, d);
        for (int64_t h = 0; h < shape->out[1]; h++) {
            at[1] = sight_of(shape, 1, h);
            for (int64_t w = 0; w < shape->out[2]; w++, output += lanes) {
                at[2] = sight_of(shape, 2, w);
                vec result = pool_window(shape, average, lanes, map, at);
                if (lanes == 1)
                    *output = result[0];
                else
                    store(output, result);
            }
        }
    }
}

static void pool(const struct pool_shape *shape, int lanes, const float *input, float *output,
                 int64_t from, int64_t to)
{
    const int64_t in = shape->in[0] * shape->in[1] * shape->in[2] * lanes;
    const int64_t out = shape->out[0] * shape->out[1] * shape->out[2] * lanes;
    for (int64_t i = from; i < to; i++) {
        const float *map = input + i * in;
        float *y = output + i * out;
        if (lanes == 1 && shape->average)
            pool_map(shape, true, 1, map, y);
        else if (lanes == 1)
            pool_map(shape, false, 1, map, y);
        else if (shape->average)
            pool_map(shape, true, WIDTH, map, y);
        else
            pool_map(shape, false, WIDTH, map, y);
    }
}

#endif
