/*
 * accumulate.h - sums, extremes, moments and softmax along an axis.
 *
 * x is [n][inner]. With inner = 1 a run of n numbers is folded a vector at a time, lane by lane, and the lanes
 * at the end in a fixed order; with inner > 1 each column is a lane of its own. Either way a sum is made of
 * parts: FOLDED terms are added in a tree of floats, and what that gives is added up in doubles. So an error
 * is three or four roundings of the sum of the absolute terms, however long the sum (pairwise summation: Higham,
 * "Accuracy and Stability of Numerical Algorithms", 4.2), where a chain of floats would be off by as many as
 * there are terms. Products go on in double from the first factor on.
 *
 *     inner = 1                                      inner > 1
 *       vector of the run, FOLDED at a time            vector of columns
 *         a tree of floats      fold_terms               FOLDED rows at a time: a tree of floats
 *         + a pair of doubles   folding_add              + a pair of doubles
 *       lanes to one number     folded                 store
 *
 * The order depends on n, and on whether inner is 1, alone. The last columns are loaded with the neighbours that
 * the buffer's slack guarantees to be readable, and stored in part.
 */
#ifndef KERNEL_ACCUMULATE_H
#define KERNEL_ACCUMULATE_H

#include "kernel/kernel.h"
#include "kernel/vec.h"

enum {
    FOLDED = 8,            /* terms of a tree */
    MOMENTS_PART = 1 << 12 /* numbers whose moments are taken while they are in the first cache */
};

/* --- reduce ------------------------------------------------------------------------------------------------------- */

INLINED vec term_of(enum reduce op, vec x)
{
    return op == REDUCE_SUM_SQUARE ? x * x : op == REDUCE_L1 ? absolute(x) : x;
}

/* Two partial results into one. */
INLINED vec fold_partial(enum reduce op, vec a, vec b)
{
    return op == REDUCE_MAX ? maximum(a, b) : op == REDUCE_MIN ? minimum(a, b) : a + b;
}

/* FOLDED terms at a distance, in a tree. */
INLINED vec fold_terms(enum reduce op, const float *x, int64_t step)
{
    vec terms[FOLDED];
    UNROLL
    for (int i = 0; i < FOLDED; i++)
        terms[i] = term_of(op, load(x + i * step));
    UNROLL
    for (int width = 1; width < FOLDED; width *= 2)
        UNROLL
    for (int i = 0; i < FOLDED; i += 2 * width)
        terms[i] = fold_partial(op, terms[i], terms[i + width]);
    return terms[0];
}

/* A result that is not complete: of sums and products the wide one, of extremes the other. */
struct folding {
    struct wide wide;
    vec extreme;
};

INLINED struct folding folding_of(enum reduce op)
{
    const vec start = splat(neutral_of(op));
    return (struct folding){.wide = wide_of(start), .extreme = start};
}

INLINED void folding_add(enum reduce op, struct folding *so_far, vec part)
{
    if (op == REDUCE_MAX || op == REDUCE_MIN)
        so_far->extreme = fold_partial(op, so_far->extreme, part);
    else if (op == REDUCE_PROD)
        so_far->wide = wide_product(so_far->wide, wide_of(part));
    else
        wide_add(&so_far->wide, part);
}

/* `n` vectors at a distance; products do not meet in a tree, which might overflow. */
INLINED struct folding fold_vectors(enum reduce op, const float *x, int64_t n, int64_t step)
{
    struct folding so_far = folding_of(op);
    int64_t i = 0;
    for (; op != REDUCE_PROD && i + FOLDED <= n; i += FOLDED, x += FOLDED * step)
        folding_add(op, &so_far, fold_terms(op, x, step));
    if (op == REDUCE_PROD || i == n) {
        for (; i < n; i++, x += step)
            folding_add(op, &so_far, load(x));
        return so_far;
    }
    vec rest = term_of(op, load(x));
    for (i++; i < n; i++) {
        x += step;
        rest = fold_partial(op, rest, term_of(op, load(x)));
    }
    folding_add(op, &so_far, rest);
    return so_far;
}

INLINED float folded(enum reduce op, struct folding so_far)
{
    float lanes[WIDTH], result;
    if (op != REDUCE_MAX && op != REDUCE_MIN && op != REDUCE_PROD)
        return (float)wide_lanes(so_far.wide);
    if (op == REDUCE_PROD) {
        const double_vec both = so_far.wide.low * so_far.wide.high;
        double product = 1;
        for (int i = 0; i < WIDTH / 2; i++)
            product *= both[i];
        return (float)product;
    }
    store(lanes, so_far.extreme);
    result = lanes[0];
    for (int i = 1; i < WIDTH; i++) {
        const bool wins = op == REDUCE_MAX ? lanes[i] > result : lanes[i] < result;
        result = wins || lanes[i] != lanes[i] ? lanes[i] : result;
    }
    return result;
}

/* The last numbers of a run, fewer than a vector. */
INLINED vec load_rest(const float *x, int64_t n, float neutral)
{
    float lanes[WIDTH];
    store(lanes, splat(neutral));
    memcpy(lanes, x, (size_t)n * sizeof *lanes);
    return load(lanes);
}

INLINED float reduce_run(enum reduce op, const float *x, int64_t n)
{
    const int64_t vectors = n / WIDTH, rest = n % WIDTH;
    struct folding so_far = fold_vectors(op, x, vectors, WIDTH);
    if (rest)
        folding_add(op, &so_far, term_of(op, load_rest(x + vectors * WIDTH, rest, neutral_of(op))));
    return folded(op, so_far);
}

INLINED void reduce_by(enum reduce op, float *y, const float *x, int64_t n, int64_t inner, int64_t columns)
{
    if (inner == 1) {
        *y = reduce_run(op, x, n);
        return;
    }
    for (int64_t j = 0; j < columns; j += WIDTH) {
        const struct folding so_far = fold_vectors(op, x + j, n, inner);
        const bool extreme = op == REDUCE_MAX || op == REDUCE_MIN;
        store_some(y + j, extreme ? so_far.extreme : narrowed(so_far.wide), columns - j);
    }
}

static void reduce(enum reduce op, float *y, const float *x, int64_t n, int64_t inner, int64_t columns)
{
    switch (op) {
#define CASE(OP)                                                                                                       \
    case OP:                                                                                                           \
        reduce_by(OP, y, x, n, inner, columns);                                                                        \
        break;
        CASE(REDUCE_SUM)
        CASE(REDUCE_MAX)
        CASE(REDUCE_MIN)
        CASE(REDUCE_PROD)
        CASE(REDUCE_SUM_SQUARE)
        CASE(REDUCE_L1)
#undef CASE
    case REDUCE_COUNT:
        break;
    }
}

/* --- softmax ------------------------------------------------------------------------------------------------------ */

/* A sum of what comes one vector after another: chains of FOLDED, and these in double. */
struct tally {
    struct wide total;
    vec part;
    int n;
};

INLINED void tally_add(struct tally *tally, vec x)
{
    tally->part += x;
    if (++tally->n == FOLDED) {
        wide_add(&tally->total, tally->part);
        tally->part = splat(0);
        tally->n = 0;
    }
}

INLINED struct wide tally_sum(struct tally *tally)
{
    wide_add(&tally->total, tally->part);
    return tally->total;
}

/*
 * A run: exp(x - max) is stored and summed, then scaled. The logarithm stores x - max first and needs
 * no second look at x, which y may have replaced.
 */
static void softmax_run(float *y, const float *x, int64_t n, bool logarithmic)
{
    const vec most = splat(reduce_run(REDUCE_MAX, x, n));
    struct tally sum = {.n = 0};
    int64_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH) {
        vec moved = load(x + i) - most;
        vec e = exponential(moved);
        tally_add(&sum, e);
        store(y + i, logarithmic ? moved : e);
    }
    if (i < n) {
        float lanes[WIDTH];
        vec moved = load_part(x + i, n - i) - most;
        vec e = exponential(moved);
        store(lanes, splat(0));
        store_part(lanes, e, n - i);
        tally_add(&sum, load(lanes));
        store_part(y + i, logarithmic ? moved : e, n - i);
    }
    const vec total = splat((float)wide_lanes(tally_sum(&sum)));
    const vec shift = logarithmic ? logarithm(total) : total;
    for (i = 0; i < n; i += WIDTH) {
        vec v = n - i < WIDTH ? load_part(y + i, n - i) : load(y + i);
        store_some(y + i, logarithmic ? v - shift : v / shift, n - i);
    }
}

static void softmax_columns(float *y, const float *x, int64_t n, int64_t inner, int64_t columns, bool logarithmic)
{
    for (int64_t j = 0; j < columns; j += WIDTH) {
        vec most = splat(-INFINITY);
        for (int64_t i = 0; i < n; i++)
            most = maximum(most, load(x + i * inner + j));
        struct tally sum = {.n = 0};
        for (int64_t i = 0; i < n; i++) {
            vec moved = load(x + i * inner + j) - most;
            vec e = exponential(moved);
            tally_add(&sum, e);
            store_some(y + i * inner + j, logarithmic ? moved : e, columns - j);
        }
        const vec total = narrowed(tally_sum(&sum));
        const vec shift = logarithmic ? logarithm(total) : total;
        for (int64_t i = 0; i < n; i++) {
            vec v = load(y + i * inner + j);
            store_some(y + i * inner + j, logarithmic ? v - shift : v / shift, columns - j);
        }
    }
}

static void softmax(float *y, const float *x, int64_t n, int64_t inner, int64_t columns, bool logarithmic)
{
    if (inner == 1)
        softmax_run(y, x, n, logarithmic);
    else
        softmax_columns(y, x, n, inner, columns, logarithmic);
}

/* --- moments ------------------------------------------------------------------------------------------------------ */

/* A double as two floats: x - high is exact for an x near it, so a large mean costs no digits. */
struct split {
    vec high, low;
};

INLINED struct split split_of(struct wide mean)
{
    const vec high = narrowed(mean);
    const struct wide wide = wide_of(high);
    const struct wide rest = {mean.low - wide.low, mean.high - wide.high};
    return (struct split){.high = high, .low = narrowed(rest)};
}

INLINED vec away(struct split mean, vec x)
{
    return (x - mean.high) - mean.low;
}

/* `n` vectors one after another, in double from the first on: a tree of floats would cost a large mean its digits. */
INLINED struct wide wide_total(const float *x, int64_t n)
{
    struct wide even = wide_of(splat(0)), odd = even;
    int64_t i = 0;
    for (; i + 2 <= n; i += 2) {
        wide_add(&even, load(x + i * WIDTH));
        wide_add(&odd, load(x + (i + 1) * WIDTH));
    }
    if (i < n)
        wide_add(&even, load(x + i * WIDTH));
    return wide_sum(even, odd);
}

/* Squares of the distances from a mean, of `n` vectors one after another. */
INLINED struct wide squares_around(const float *x, int64_t n, struct split mean)
{
    struct wide total = wide_of(splat(0));
    int64_t i = 0;
    for (; i + FOLDED <= n; i += FOLDED) {
        vec terms[FOLDED];
        UNROLL
        for (int k = 0; k < FOLDED; k++) {
            const vec d = away(mean, load(x + (i + k) * WIDTH));
            terms[k] = d * d;
        }
        wide_add(&total,
                 ((terms[0] + terms[1]) + (terms[2] + terms[3])) + ((terms[4] + terms[5]) + (terms[6] + terms[7])));
    }
    vec rest = splat(0);
    for (; i < n; i++) {
        const vec d = away(mean, load(x + i * WIDTH));
        rest += d * d;
    }
    wide_add(&total, rest);
    return total;
}

/* How many numbers are known, their mean, and the sum of the squares of their distances from it. */
struct spread {
    double n;
    struct wide mean, squares;
};

INLINED struct wide wide_by(struct wide x, double factor)
{
    return (struct wide){x.low * factor, x.high * factor};
}

typedef int64_t long_vec __attribute__((vector_size(sizeof(double) * WIDTH / 2)));

/* a moved towards b; an infinite a stays, though b lies infinitely far the other way. */
INLINED double_vec mean_joined(double_vec a, double_vec b, double share)
{
    const long_vec finite = (long_vec)(a - a == 0);
    return (double_vec)((finite & (long_vec)(a + (b - a) * share)) | (~finite & (long_vec)(a + b)));
}

/* Two spreads into one: Chan, Golub, LeVeque, "Algorithms for Computing the Sample Variance" (1983). */
INLINED void spread_join(struct spread *all, const struct spread *part)
{
    const double n = all->n + part->n;
    const struct wide distance = {part->mean.low - all->mean.low, part->mean.high - all->mean.high};
    if (all->n == 0) {
        *all = *part;
        return;
    }
    all->squares = wide_sum(all->squares, part->squares);
    all->squares = wide_sum(all->squares, wide_by(wide_product(distance, distance), all->n * part->n / n));
    all->mean = (struct wide){mean_joined(all->mean.low, part->mean.low, part->n / n),
                              mean_joined(all->mean.high, part->mean.high, part->n / n)};
    all->n = n;
}

/* Each lane of `n` vectors by itself. */
INLINED struct spread spread_lanes(const float *x, int64_t n)
{
    struct spread part = {.n = (double)n};
    part.mean = wide_by(wide_total(x, n), 1 / part.n);
    part.squares = squares_around(x, n, split_of(part.mean));
    return part;
}

/* All of n numbers, in lane 0 (and in every other). */
INLINED struct spread spread_run(const float *x, int64_t n)
{
    const int64_t vectors = n / WIDTH, rest = n % WIDTH;
    const vec last = load_rest(x + vectors * WIDTH, rest, 0);
    struct wide sum = wide_total(x, vectors);
    wide_add(&sum, last);
    const double middle = wide_lanes(sum) / (double)n;
    struct spread part = {.n = (double)n, .mean = {middle - (double_vec){0}, middle - (double_vec){0}}};
    const struct split mean = split_of(part.mean);
    struct wide squares = squares_around(x, vectors, mean);
    float lanes[WIDTH];
    const vec d = away(mean, last);
    store(lanes, d * d);
    wide_add(&squares, load_part(lanes, rest));
    const double all = wide_lanes(squares);
    part.squares = (struct wide){all - (double_vec){0}, all - (double_vec){0}};
    return part;
}

static void moments(const float *x, int64_t n, int64_t inner, double *mean, double *squares)
{
    const int64_t most = inner == 1 ? MOMENTS_PART : MOMENTS_PART / WIDTH;
    struct spread all = {.n = 0};
    for (int64_t i = 0; i < n; i += most) {
        const int64_t some = n - i < most ? n - i : most;
        const struct spread part = inner == 1 ? spread_run(x + i, some) : spread_lanes(x + i * WIDTH, some);
        spread_join(&all, &part);
    }
    for (int64_t j = 0; j < inner; j++) {
        mean[j] = j < WIDTH / 2 ? all.mean.low[j] : all.mean.high[j - WIDTH / 2];
        squares[j] = j < WIDTH / 2 ? all.squares.low[j] : all.squares.high[j - WIDTH / 2];
    }
}

static void normalize(float *y, const float *x, int64_t n, int64_t inner, const double *mean, const float *scale,
                      const float *shift)
{
    const bool one = inner == 1;
    double means[WIDTH];
    for (int j = 0; j < WIDTH; j++)
        means[j] = mean[one ? 0 : j];
    struct wide middle;
    memcpy(&middle, means, sizeof middle);
    const struct split split = split_of(middle);
    const vec a = one ? splat(*scale) : load(scale), b = one ? splat(*shift) : load(shift);
    const int64_t all = n * inner;
    for (int64_t i = 0; i < all; i += WIDTH)
        store_some(y + i, away(split, load(x + i)) * a + b, all - i);
}

#endif
