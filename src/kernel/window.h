/*
 * window.h - pooling: each output pixel looks through a window at one map.
 *
 * A map is a channel block (a vector per pixel) or, in plain layout, one channel (a float per pixel);
 * the walk over windows is the same code on either type. A window is cut to the map once per axis, if it
 * leaves it at all, so the inner loops ask nothing. Averages: the taps in ascending order, of a large window in tallies
 * (accumulate.h), divided by their number, which with count_include_pad counts the padding but not what a
 * ceil-mode window sees beyond it. Maxima keep NaN; an empty window gives -inf, or 0/0 for averages.
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

enum window_kind { WINDOW_MAX, WINDOW_AVERAGE, WINDOW_LONG /* an average of many */ };

INLINED vec pool_window(const struct pool_shape *shape, enum window_kind kind, int lanes, const float *map,
                        const struct sight at[3])
{
    const int64_t row = shape->in[2] * lanes, plane = shape->in[1] * row;
    const int64_t step = shape->dilation[2] * lanes;
    vec result = splat(kind == WINDOW_MAX ? -INFINITY : 0);
    struct tally sum = {.n = 0};
    for (int64_t d = 0; d < at[0].n; d++)
        for (int64_t h = 0; h < at[1].n; h++) {
            const float *x = map + (at[0].first + d * shape->dilation[0]) * plane +
                             (at[1].first + h * shape->dilation[1]) * row + at[2].first * lanes;
            for (int64_t w = 0; w < at[2].n; w++, x += step) {
                vec v = lanes == 1 ? splat(*x) : load(x);
                if (kind == WINDOW_LONG)
                    tally_add(&sum, v);
                else
                    result = kind == WINDOW_AVERAGE ? result + v : maximum(result, v);
            }
        }
    if (kind == WINDOW_MAX)
        return result;
    if (kind == WINDOW_LONG)
        result = narrowed(tally_sum(&sum));
    const int64_t counted = at[0].counted * at[1].counted * at[2].counted;
    return result / splat((float)counted);
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
        for (int64_t w = 0; w < width; w++, y += lanes) {
            at[2] = sight_of(shape, 2, w);
            vec result = pool_window(shape, kind, lanes, map, at);
            if (lanes == 1)
                *y = result[0];
            else
                store(y, result);
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
