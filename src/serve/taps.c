/*
 * taps.c - see taps.h. Weights are computed in double, once per row and column, normalized, and rounded to 22 bits;
 * what they are multiplied with is picture.c's. Costs are bounded by the caller, who limits sizes. Any thread.
 */
#include "serve/taps.h"

#include "base/err.h"

#include <math.h>

static double bilinear(double x)
{
    x = fabs(x);
    return x < 1 ? 1 - x : 0;
}

static double keys(double x, double a)
{
    x = fabs(x);
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

static double bicubic(double x)
{
    return keys(x, -0.5);
}

static double sinc(double x)
{
    return x == 0 ? 1 : sin(M_PI * x) / (M_PI * x);
}

static double lanczos(double x)
{
    return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0;
}

static double box(double x)
{
    return x > -0.5 && x <= 0.5 ? 1 : 0;
}

struct shape {
    double (*at)(double x);
    double support;
};

static struct shape shape_of(enum taps_filter filter)
{
    switch (filter) {
    case TAPS_BICUBIC:
        return (struct shape){bicubic, 2};
    case TAPS_LANCZOS:
        return (struct shape){lanczos, 3};
    case TAPS_BOX:
    case TAPS_AREA:
        return (struct shape){box, 0.5};
    default:
        return (struct shape){bilinear, 1};
    }
}

static int32_t fixed(double weight)
{
    double scaled = weight * (1 << TAPS_BITS);
    return (int32_t)(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
}

/* One axis while its table is made. */
struct axis {
    int from_size;
    double from, scale; /* pixel i of the result is at from + (i + 0.5) * scale */
    struct shape shape;
    double stretch;
    double *real; /* room for the weights of one pixel */
};

/* Those that lie within; what is beyond an edge does not count. */
static void weigh_within(const struct axis *axis, struct taps *taps, int i)
{
    double centre = axis->from + (i + 0.5) * axis->scale, reach = axis->shape.support * axis->stretch;
    int first = (int)(centre - reach + 0.5), last = (int)(centre + reach + 0.5);
    first = first < 0 ? 0 : first;
    taps->first[i] = first;
    taps->n[i] = (last > axis->from_size ? axis->from_size : last) - first;
    for (int k = 0; k < taps->n[i]; k++)
        axis->real[k] = axis->shape.at((k + first - centre + 0.5) / axis->stretch);
}

/* Each by how much of it the result's pixel covers. */
static void weigh_covered(const struct axis *axis, struct taps *taps, int i)
{
    double from = axis->from + i * axis->scale, to = from + axis->scale;
    from = from < 0 ? 0 : from;
    to = to > axis->from_size ? axis->from_size : to;
    int first = (int)floor(from + 1e-3), last = (int)ceil(to - 1e-3);
    last = last > first ? last : first + 1;
    taps->first[i] = first;
    taps->n[i] = last - first;
    for (int k = first; k < last; k++) {
        double left = k > from ? k : from, right = k + 1 < to ? k + 1 : to;
        axis->real[k - first] = right - left;
    }
}

static void store(const struct axis *axis, struct taps *taps, int i)
{
    int32_t *weights = taps->weights + (size_t)i * (size_t)taps->room;
    double sum = 0;
    for (int k = 0; k < taps->n[i]; k++)
        sum += axis->real[k];
    for (int k = 0; k < taps->room; k++)
        weights[k] = k < taps->n[i] && sum != 0 ? fixed(axis->real[k] / sum) : 0;
}

bool taps_make(struct taps *taps, int from_size, double from, double to, int size, enum taps_filter filter,
               struct watch *watch, struct arena *arena, struct percept_err *err)
{
    struct axis axis = {.from_size = from_size, .from = from, .scale = (to - from) / size, .shape = shape_of(filter)};
    axis.stretch = axis.scale > 1 ? axis.scale : 1;
    int most = (int)ceil(axis.shape.support * axis.stretch) * 2 + 1;
    *taps = (struct taps){.size = size, .room = (most + TAPS_GROUP - 1) / TAPS_GROUP * TAPS_GROUP};
    taps->first = arena_array(arena, (size_t)size, sizeof *taps->first);
    taps->n = arena_array(arena, (size_t)size, sizeof *taps->n);
    taps->weights = arena_array(arena, (size_t)size * (size_t)taps->room, sizeof *taps->weights);
    axis.real = arena_array(arena, (size_t)taps->room, sizeof *axis.real);
    if (!taps->first || !taps->n || !taps->weights || !axis.real)
        return err_memory(err, "a picture's filter", (size_t)size * (size_t)taps->room * sizeof *taps->weights);
    for (int i = 0; i < size; i++) {
        if (!watch_spend(watch, taps->room))
            return watch_refuse(watch, err);
        if (filter == TAPS_AREA)
            weigh_covered(&axis, taps, i);
        else
            weigh_within(&axis, taps, i);
        store(&axis, taps, i);
    }
    return true;
}

static int clamp(int at, int size)
{
    return at < 0 ? 0 : at >= size ? size - 1 : at;
}

/* Behind which pixel, and how far; of an enlarged area the edges are sharp. */
static float place(double from, double scale, int i, enum taps_filter filter, int *first)
{
    if (filter == TAPS_GROW) {
        *first = (int)floor(from + i * scale);
        float part = (float)((i + 1) - (*first + 1 - from) / scale);
        return part <= 0 ? 0 : part - floorf(part);
    }
    float at = (float)(from + (i + 0.5) * scale - 0.5);
    *first = (int)floorf(at);
    return at - (float)*first;
}

static int rounded(double weight)
{
    return (int)lrint(weight * (1 << TAPS_NEAR_BITS));
}

/* The weights add up to 1: the last one is what is left. */
static struct taps_near near(int first, float part, int from_size, enum taps_filter filter)
{
    struct taps_near near = {.weight = {(1 << TAPS_NEAR_BITS) - rounded((double)part), rounded((double)part)}};
    const bool four = filter == TAPS_CUBIC;
    for (int k = 0; k < (four ? 3 : 0); k++)
        near.weight[k] = rounded(keys((double)part + 1 - k, -0.75));
    if (four)
        near.weight[3] = (1 << TAPS_NEAR_BITS) - near.weight[0] - near.weight[1] - near.weight[2];
    for (int k = 0; k < (four ? 4 : 2); k++)
        near.at[k] = clamp(first - four + k, from_size);
    return near;
}

struct taps_near *taps_near(int from_size, double from, double to, int size, enum taps_filter filter,
                            struct arena *arena, struct percept_err *err)
{
    struct taps_near *nears = arena_array(arena, (size_t)size, sizeof *nears);
    if (!nears) {
        err_memory(err, "a picture's filter", (size_t)size * sizeof *nears);
        return NULL;
    }
    for (int i = 0; i < size; i++) {
        int first;
        float part = place(from, (to - from) / size, i, filter, &first);
        nears[i] = near(first, part, from_size, filter);
    }
    return nears;
}
