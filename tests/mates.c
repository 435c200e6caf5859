/* mates.c - see mates.h. */
#include "mates.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLAIN, COPY, ZEROS, HUGE_ONES, INFINITE, NEGATIVE, NOT_NUMBERS, LOUD, N_KINDS, MOST_ITEMS = N_KINDS };

struct run {
    const struct percept_model *model;
    const struct percept_io *inputs, *outputs;
    int n_inputs, n_outputs;
    int64_t length;
    unsigned seed;
    char *what;
    size_t n_what;
    int n_compared;
};

static int64_t item_elements(const struct run *run, int input, int64_t *dims)
{
    const struct percept_io *io = &run->inputs[input];
    int64_t n = 1;
    for (int d = 0; d < io->rank; d++)
        n *= dims[d] = d == io->batch_axis ? 1 : io->dims[d] < 0 ? run->length : io->dims[d];
    return n;
}

/* Where element k of an item lies among `items` of them. */
static size_t among(size_t k, const int64_t *dims, int rank, int axis, int64_t at, int64_t items)
{
    size_t inner = 1;
    for (int d = axis + 1; d < rank; d++)
        inner *= (size_t)dims[d];
    return (k / inner * (size_t)items + (size_t)at) * inner + k % inner;
}

static bool shaped(const struct run *run, struct percept_session *session, int64_t items)
{
    for (int i = 0; i < run->n_inputs; i++) {
        int64_t dims[PERCEPT_RANK_MAX];
        if (run->inputs[i].batch_axis < 0 || run->inputs[i].dtype == PERCEPT_STRING)
            return false;
        item_elements(run, i, dims);
        dims[run->inputs[i].batch_axis] = items;
        if (!percept_resize(session, i, run->inputs[i].rank, dims, NULL))
            return false;
    }
    return percept_prepare(session, NULL);
}

/* Element of an item: -1 to 1 in the main, and of a kind. */
static double number(int kind, unsigned random)
{
    const double plain = (double)(int)(random >> 8) / 8388608.0 - 1.0;
    static const double kinds[N_KINDS] = {
        [HUGE_ONES] = 1e30, [INFINITE] = INFINITY, [NEGATIVE] = -INFINITY, [NOT_NUMBERS] = NAN};
    if (kind == PLAIN || kind == COPY)
        return plain;
    if (kind == LOUD)
        return plain * 1e4;
    return kinds[kind] * (kind == HUGE_ONES && random & 256 ? -1 : 1);
}

static void put(enum percept_dtype dtype, void *at, int kind, unsigned random)
{
    const double x = number(kind, random);
    const float f = (float)x;
    const uint64_t small = kind == ZEROS ? 0 : kind == LOUD ? random >> 28 : random >> 31;
    uint16_t half = 0;
    if (dtype == PERCEPT_FLOAT) {
        memcpy(at, &f, sizeof f);
    } else if (dtype == PERCEPT_DOUBLE) {
        memcpy(at, &x, sizeof x);
    } else if (dtype == PERCEPT_FLOAT16 || dtype == PERCEPT_BFLOAT16) {
        const bool b = dtype == PERCEPT_BFLOAT16;
        half = isnan(x) ? 0x7fff : isinf(x) || kind == HUGE_ONES ? (b ? 0x7f80 : 0x7c00) : (uint16_t)(random >> 18);
        memcpy(at, &half, sizeof half);
    } else if (dtype == PERCEPT_BOOL) {
        *(uint8_t *)at = (uint8_t)(small & 1);
    } else {
        memcpy(at, &small, percept_dtype_bytes(dtype)); /* little-endian; an index nearly everywhere */
    }
}

static void fill(const struct run *run, struct percept_session *session, int64_t at, int64_t items, int kind, int which)
{
    for (int i = 0; i < run->n_inputs; i++) {
        int64_t dims[PERCEPT_RANK_MAX];
        const int64_t n = item_elements(run, i, dims);
        const size_t size = percept_dtype_bytes(run->inputs[i].dtype);
        unsigned random = run->seed * 2654435761u + (unsigned)which * 40503u + (unsigned)i;
        char *to = percept_input(session, i);
        const struct percept_io *io = &run->inputs[i];
        for (int64_t k = 0; k < n; k++) {
            random = random * 1664525u + 1013904223u;
            put(io->dtype, to + among((size_t)k, dims, io->rank, io->batch_axis, at, items) * size, kind, random);
        }
    }
}

static size_t elements(const struct percept_tensor *t)
{
    size_t n = 1;
    for (int d = 0; d < t->rank; d++)
        n *= (size_t)t->dims[d];
    return n;
}

static bool both_nan(enum percept_dtype dtype, const char *a, const char *b)
{
    uint16_t p, q;
    float f, g;
    double x, y;
    switch (dtype) {
    case PERCEPT_FLOAT:
        memcpy(&f, a, sizeof f);
        memcpy(&g, b, sizeof g);
        return isnan(f) && isnan(g);
    case PERCEPT_DOUBLE:
        memcpy(&x, a, sizeof x);
        memcpy(&y, b, sizeof y);
        return isnan(x) && isnan(y);
    case PERCEPT_FLOAT16:
    case PERCEPT_BFLOAT16:
        memcpy(&p, a, sizeof p);
        memcpy(&q, b, sizeof q);
        const uint16_t most = dtype == PERCEPT_FLOAT16 ? 0x7c00 : 0x7f80;
        return (p & 0x7fff) > most && (q & 0x7fff) > most;
    default:
        return false;
    }
}

/* Item `at` of `items`, against what it is alone. */
static bool same(struct run *run, struct percept_session *together, struct percept_session *alone, int64_t at,
                 int64_t items, int beside)
{
    for (int o = 0; o < run->n_outputs; o++) {
        const struct percept_tensor all = percept_output(together, o), one = percept_output(alone, o);
        const size_t n = elements(&one), size = percept_dtype_bytes(one.dtype);
        const int axis = run->outputs[o].batch_axis;
        if (one.dtype == PERCEPT_STRING)
            continue;
        if (axis < 0 || all.rank <= axis || all.dims[axis] != items || one.rank != all.rank || one.dims[axis] != 1 ||
            elements(&all) != n * (size_t)items) {
            snprintf(run->what, run->n_what, "output %d does not follow the batch", o);
            return false;
        }
        for (size_t k = 0; k < n; k++) {
            const char *a = (const char *)one.data + k * size;
            const char *b = (const char *)all.data + among(k, one.dims, one.rank, axis, at, items) * size;
            if (memcmp(a, b, size) != 0 && !both_nan(one.dtype, a, b)) {
                snprintf(run->what, run->n_what,
                         "output %d, element %zu of item %d of %d beside kind %d has other "
                         "bits alone",
                         o, k, (int)at, (int)items, beside);
                return false;
            }
        }
    }
    run->n_compared++;
    return true;
}

/* kinds: of each item; equal numbers of `which` are equal items. */
static bool compare(struct run *run, struct percept_session *together, struct percept_session *alone, int items,
                    const int *kinds, const int *which)
{
    if (!shaped(run, together, items) || !percept_items_independent(together))
        return true;
    for (int k = 0; k < items; k++)
        fill(run, together, k, items, kinds[k], which[k]);
    if (!percept_run(together, NULL, NULL))
        return true; /* the server asks again, of each by itself */
    for (int k = 0; k < items; k++) {
        if (!shaped(run, alone, 1))
            return true;
        fill(run, alone, 0, 1, kinds[k], which[k]);
        if (percept_run(alone, NULL, NULL) && !same(run, together, alone, k, items, kinds[k ? 0 : 1]))
            return false;
    }
    return true;
}

static bool compare_all(struct run *run, struct percept_session *together, struct percept_session *alone, bool thrifty)
{
    static const int everybody[MOST_ITEMS] = {NOT_NUMBERS, PLAIN, INFINITE, HUGE_ONES, COPY, ZEROS, LOUD, NEGATIVE};
    static const int numbers[MOST_ITEMS] = {0, 1, 2, 3, 1, 5, 6, 7};
    bool good = compare(run, together, alone, MOST_ITEMS, everybody, numbers);
    for (int kind = PLAIN; good && !thrifty && kind < N_KINDS; kind++) {
        const int mate = kind == COPY ? 1 : 2;
        good = compare(run, together, alone, 3, (int[]){kind, PLAIN, PLAIN}, (int[]){mate, 1, 3}) &&
               compare(run, together, alone, 2, (int[]){PLAIN, kind}, (int[]){1, mate});
    }
    return good;
}

enum mates_found mates_compare(const struct percept_model *model, int64_t length, unsigned seed, bool thrifty,
                               char *what, size_t n_what)
{
    struct run run = {.model = model, .length = length, .seed = seed, .what = what, .n_what = n_what};
    struct percept_session *together = percept_session_new(model, NULL), *alone = percept_session_new(model, NULL);
    run.inputs = percept_inputs(model, &run.n_inputs);
    run.outputs = percept_outputs(model, &run.n_outputs);
    const bool good = !together || !alone || compare_all(&run, together, alone, thrifty);
    percept_session_free(together);
    percept_session_free(alone);
    return !good ? MATES_OTHER : run.n_compared ? MATES_SAME : MATES_UNTOLD;
}
