/*
 * accumulate.h - sums, maxima, moments and softmax along an axis.
 *
 * x is [n][inner]. With inner = 1 a run of n numbers is folded into four vectors, and those and then
 * their lanes in a fixed tree: 4 WIDTH partial sums keep the error of long sums small. With inner > 1
 * each column is folded into four partial results (rows i, i+1, i+2, i+3), a vector of columns at once.
 * Either way the order depends on n and inner alone. The last columns are loaded with the neighbours
 * that the buffer's slack guarantees to be readable, and stored in part.
 */
#ifndef KERNEL_ACCUMULATE_H
#define KERNEL_ACCUMULATE_H

#include "kernel/kernel.h"
#include "kernel/vec.h"

/* --- reduce ---------------------------------------------------------------------------------------- */

/* One more value into a partial result. */
INLINED vec fold_value(enum reduce op, vec so_far, vec x)
{
    switch (op) {
    case REDUCE_MAX:
        return maximum(so_far, x);
    case REDUCE_MIN:
        return minimum(so_far, x);
    case REDUCE_PROD:
        return so_far * x;
    case REDUCE_SUM_SQUARE:
        return so_far + x * x;
    case REDUCE_L1:
        return so_far + absolute(x);
    default:
        return so_far + x;
    }
}

/* Two partial results into one. */
INLINED vec fold_partial(enum reduce op, vec a, vec b)
{
    switch (op) {
    case REDUCE_MAX:
        return maximum(a, b);
    case REDUCE_MIN:
        return minimum(a, b);
    case REDUCE_PROD:
        return a * b;
    default:
        return a + b;
    }
}

INLINED vec fold_four(enum reduce op, const vec part[4])
{
    return fold_partial(op, fold_partial(op, part[0], part[1]), fold_partial(op, part[2], part[3]));
}

INLINED float fold_lanes(enum reduce op, vec x)
{
    for (int step = WIDTH / 2; step > 0; step /= 2) {
        vec moved = x;
        float lanes[2 * WIDTH];
        store(lanes, x);
        store(lanes + WIDTH, x);
        moved = load(lanes + step);
        x = fold_partial(op, x, moved);
    }
    return x[0];
}

INLINED float reduce_run(enum reduce op, const float *x, int64_t n)
{
    const vec start = splat(neutral_of(op));
    vec part[4] = {start, start, start, start};
    int64_t i = 0;
    for (; i + 4 * WIDTH <= n; i += 4 * WIDTH) {
        part[0] = fold_value(op, part[0], load(x + i));
        part[1] = fold_value(op, part[1], load(x + i + WIDTH));
        part[2] = fold_value(op, part[2], load(x + i + 2 * WIDTH));
        part[3] = fold_value(op, part[3], load(x + i + 3 * WIDTH));
    }
    for (; i + WIDTH <= n; i += WIDTH)
        part[0] = fold_value(op, part[0], load(x + i));
    if (i < n) {
        float lanes[WIDTH];
        store(lanes, start);
        memcpy(lanes, x + i, (size_t)(n - i) * sizeof *lanes);
        part[1] = fold_value(op, part[1], load(lanes));
    }
    return fold_lanes(op, fold_four(op, part));
}

INLINED void reduce_columns(enum reduce op, float *y, const float *x, int64_t n, int64_t inner)
{
    const vec start = splat(neutral_of(op));
    for (int64_t j = 0; j < inner; j += WIDTH) {
        vec part[4] = {start, start, start, start};
        const float *at = x + j;
        int64_t i = 0;
        for (; i + 4 <= n; i += 4, at += 4 * inner) {
            part[0] = fold_value(op, part[0], load(at));
            part[1] = fold_value(op, part[1], load(at + inner));
            part[2] = fold_value(op, part[2], load(at + 2 * inner));
            part[3] = fold_value(op, part[3], load(at + 3 * inner));
        }
        for (; i < n; i++, at += inner)
            part[0] = fold_value(op, part[0], load(at));
        store_some(y + j, fold_four(op, part), inner - j);
    }
}

INLINED void reduce_by(enum reduce op, float *y, const float *x, int64_t n, int64_t inner)
{
    if (inner == 1)
        *y = reduce_run(op, x, n);
    else
        reduce_columns(op, y, x, n, inner);
}

static void reduce(enum reduce op, float *y, const float *x, int64_t n, int64_t inner)
{
    switch (op) {
    case REDUCE_SUM:
        reduce_by(REDUCE_SUM, y, x, n, inner);
        break;
    case REDUCE_MAX:
        reduce_by(REDUCE_MAX, y, x, n, inner);
        break;
    case REDUCE_MIN:
        reduce_by(REDUCE_MIN, y, x, n, inner);
        break;
    case REDUCE_PROD:
        reduce_by(REDUCE_PROD, y, x, n, inner);
        break;
    case REDUCE_SUM_SQUARE:
        reduce_by(REDUCE_SUM_SQUARE, y, x, n, inner);
        break;
    case REDUCE_L1:
        reduce_by(REDUCE_L1, y, x, n, inner);
        break;
    case REDUCE_COUNT:
        break;
    }
}

/* --- softmax --------------------------------------------------------------------------------------- */

/*
 * A run: exp(x - max) is stored and summed, then scaled. The logarithm stores x - max first and needs
 * no second look at x, which y may have replaced.
 */
static void softmax_run(float *y, const float *x, int64_t n, bool logarithmic)
{
    const vec most = splat(reduce_run(REDUCE_MAX, x, n));
    vec sum = splat(0);
    int64_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH) {
        vec moved = load(x + i) - most;
        vec e = exponential(moved);
        sum += e;
        store(y + i, logarithmic ? moved : e);
    }
    if (i < n) {
        float lanes[WIDTH];
        store(lanes, splat(-INFINITY));
        vec moved = load_part(x + i, n - i) - most;
        vec e = exponential(moved);
        store_part(lanes, e, n - i);
        for (int64_t k = n - i; k < WIDTH; k++)
            lanes[k] = 0;
        sum += load(lanes);
        store_part(y + i, logarithmic ? moved : e, n - i);
    }
    const vec total = splat(sum_lanes(sum));
    const vec shift = logarithmic ? logarithm(total) : total;
    for (i = 0; i < n; i += WIDTH) {
        vec v = n - i < WIDTH ? load_part(y + i, n - i) : load(y + i);
        store_some(y + i, logarithmic ? v - shift : v / shift, n - i);
    }
}

static void softmax_columns(float *y, const float *x, int64_t n, int64_t inner, bool logarithmic)
{
    for (int64_t j = 0; j < inner; j += WIDTH) {
        vec most = splat(-INFINITY);
        for (int64_t i = 0; i < n; i++)
            most = maximum(most, load(x + i * inner + j));
        vec sum = splat(0);
        for (int64_t i = 0; i < n; i++) {
            vec moved = load(x + i * inner + j) - most;
            vec e = exponential(moved);
            sum += e;
            store_some(y + i * inner + j, logarithmic ? moved : e, inner - j);
        }
        const vec shift = logarithmic ? logarithm(sum) : sum;
        for (int64_t i = 0; i < n; i++) {
            vec v = load(y + i * inner + j);
            store_some(y + i * inner + j, logarithmic ? v - shift : v / shift, inner - j);
        }
    }
}

static void softmax(float *y, const float *x, int64_t n, int64_t inner, bool logarithmic)
{
    if (inner == 1)
        softmax_run(y, x, n, logarithmic);
    else
        softmax_columns(y, x, n, inner, logarithmic);
}

/* --- moments --------------------------------------------------------------------------------------- */

static void moments(const float *x, int64_t n, float epsilon, float *mean, float *inverse)
{
    const float middle = reduce_run(REDUCE_SUM, x, n) / (float)n;
    vec part[2] = {splat(0), splat(0)};
    int64_t i = 0;
    for (; i + 2 * WIDTH <= n; i += 2 * WIDTH) {
        vec a = load(x + i) - middle, b = load(x + i + WIDTH) - middle;
        part[0] += a * a;
        part[1] += b * b;
    }
    for (; i < n; i += WIDTH) {
        float lanes[WIDTH];
        store(lanes, splat(middle));
        memcpy(lanes, x + i, (size_t)(n - i < WIDTH ? n - i : WIDTH) * sizeof *lanes);
        vec a = load(lanes) - middle;
        part[0] += a * a;
    }
    *mean = middle;
    *inverse = 1.0f / sqrtf(sum_lanes(part[0] + part[1]) / (float)n + epsilon);
}

#endif
