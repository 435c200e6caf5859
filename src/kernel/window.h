/*
 * window.h - pooling: each output pixel looks through a window at one map.
 *
 * A map is a channel block (a vector per pixel) or, in plain layout, one channel (a float per pixel);
 * the walk over windows is the same code on either type. A window is cut to the map once per axis, if it
 * leaves it at all, so the inner loops ask nothing. Of a block, pixels side by side whose windows lie within their row
 * are computed together. Averages: the taps in ascending order, of a large window in tallies
 * (accumulate.h), divided by their number, which with count_include_pad counts the padding but not what a
 * ceil-mode window sees beyond it. Maxima keep NaN; an empty window gives -inf, or 0/0 for averages.
 *
 *     map: a block of channels, or one channel                            pool_rows
 *       output row
 *         up to POOL_PIXELS pixels side by side                           pool_window
 *           tap d, tap h, tap w: a load for each pixel, an addition or a maximum
 */
#ifndef KERNEL_WINDOW_H
#define KERNEL_WINDOW_H

#include "kernel/accumulate.h"
#include "kernel/kernel.h"
#include "kernel/vec.h"

/* What one output position sees along one axis: inputs first, first + step, ... (n of them), and the
 * number that a divisor counts. */
struct sight {
    int64_t first, n, counted;
};

/* Taps k of [0, kernel) with low <= at + k step < high: [*from, *to). */
INLINED void taps_within(int64_t at, int64_t step, int64_t kernel, int64_t low, int64_t high, int64_t *from,
                         int64_t *to)
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
    if (at >= 0 && at + (kernel - 1) * step < in) /* nearly all of them, and divisions are slow */
        return (struct sight){.first = at, .n = kernel, .counted = kernel};
    int64_t from, to, counted_from, counted_to;
    taps_within(at, step, kernel, 0, in, &from, &to);
    taps_within(at, step, kernel, -shape->pad[axis], in + shape->pad_end[axis], &counted_from, &counted_to);
    const bool padding = shape->count_include_pad;
    return (struct sight){
        .first = at + from * step, .n = to - from, .counted = padding ? counted_to - counted_from : to - from};
}

enum { POOL_PIXELS = 4 };

enum window_kind { WINDOW_MAX, WINDOW_AVERAGE, WINDOW_LONG /* an average of many */ };

/* Some pixels side by side, their number a constant; `at` is the first one's, and the others see as many. They share
 * no tap, but none waits for another's. */
INLINED void pool_window(const struct pool_shape *shape, enum window_kind kind, int lanes, int pixels, const float *map,
                         const struct sight at[3], vec *results)
{
    const int64_t row = shape->in[2] * lanes, plane = shape->in[1] * row;
    const int64_t step = shape->dilation[2] * lanes, pixel_step = shape->stride[2] * lanes;
    vec result[POOL_PIXELS];
    struct tally sum = {.n = 0};
    UNROLL
    for (int p = 0; p < pixels; p++)
        result[p] = splat(kind == WINDOW_MAX ? -INFINITY : 0);
    for (int64_t d = 0; d < at[0].n; d++)
        for (int64_t h = 0; h < at[1].n; h++) {
            const float *x = map + (at[0].first + d * shape->dilation[0]) * plane +
                             (at[1].first + h * shape->dilation[1]) * row + at[2].first * lanes;
            for (int64_t w = 0; w < at[2].n; w++, x += step) {
                UNROLL
                for (int p = 0; p < pixels; p++) {
                    const float *tap = x + p * pixel_step;
                    const vec v = lanes == 1 ? splat(*tap) : load(tap);
                    if (kind == WINDOW_LONG)
                        tally_add(&sum, v);
                    else
                        result[p] = kind == WINDOW_AVERAGE ? result[p] + v : maximum(v, result[p]);
                }
            }
        }
    if (kind == WINDOW_LONG)
        result[0] = narrowed(tally_sum(&sum));
    const vec counted = splat((float)(at[0].counted * at[1].counted * at[2].counted));
    UNROLL
    for (int p = 0; p < pixels; p++)
        results[p] = kind == WINDOW_MAX ? result[p] : result[p] / counted;
}

/* Does the window of pixel w lie within its row? */
INLINED bool sees_all(const struct pool_shape *shape, int64_t w)
{
    const int64_t at = w * shape->stride[2] - shape->pad[2];
    return at >= 0 && at + (shape->kernel[2] - 1) * shape->dilation[2] < shape->in[2];
}

/* Output rows [from, to) of all maps. */
INLINED void pool_rows(const struct pool_shape *shape, enum window_kind kind, int lanes, const float *input,
                       float *output, int64_t from, int64_t to)
{
    const int64_t in = shape->in[0] * shape->in[1] * shape->in[2] * lanes;
    const int64_t width = shape->out[2];
    int64_t h = from % shape->out[1], d = from / shape->out[1] % shape->out[0];
    const float *map = input + from / shape->out[1] / shape->out[0] * in;
    float *y = output + from * width * lanes;
    for (int64_t row = from; row < to; row++) {
        struct sight at[3] = {sight_of(shape, 0, d), sight_of(shape, 1, h)};
        for (int64_t w = 0, n; w < width; w += n) {
            const int64_t last = w + POOL_PIXELS - 1;
            const bool many =
                lanes > 1 && kind != WINDOW_LONG && last < width && sees_all(shape, w) && sees_all(shape, last);
            vec results[POOL_PIXELS];
            at[2] = sight_of(shape, 2, w);
            n = many ? POOL_PIXELS : 1;
            if (many)
                pool_window(shape, kind, lanes, POOL_PIXELS, map, at, results);
            else
                pool_window(shape, kind, lanes, 1, map, at, results);
            for (int64_t p = 0; p < n; p++, y += lanes) {
                if (lanes == 1)
                    *y = results[p][0];
                else
                    store(y, results[p]);
            }
        }
        if (++h < shape->out[1])
            continue;
        h = 0;
        d = d + 1 < shape->out[0] ? d + 1 : 0;
        map += d ? 0 : in;
    }
}

static void pool(const struct pool_shape *shape, int lanes, const float *input, float *output, int64_t from, int64_t to)
{
    const bool many = shape->kernel[0] * shape->kernel[1] * shape->kernel[2] > 2 * FOLDED;
    switch (!shape->average ? WINDOW_MAX : many ? WINDOW_LONG : WINDOW_AVERAGE) {
#define CASE(KIND)                                                                                                     \
    case KIND:                                                                                                         \
        if (lanes == 1)                                                                                                \
            pool_rows(shape, KIND, 1, input, output, from, to);                                                        \
        else                                                                                                           \
            pool_rows(shape, KIND, WIDTH, input, output, from, to);                                                    \
        break;
        CASE(WINDOW_MAX)
        CASE(WINDOW_AVERAGE)
        CASE(WINDOW_LONG)
#undef CASE
    }
}

#endif
