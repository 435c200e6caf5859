/*
 * compare.c - two tensors side by side. Floating: |got - want| <= absolute + relative |want|, NaN equals
 * NaN, infinities must be the same. Doubles that both sides computed as doubles may differ by a millionth
 * of that. Halves: `want` is rounded to the half type first, and the relative tolerance is that of a
 * half's rounding. Integers, booleans, strings: equal; what stood for a narrower integer is taken modulo.
 */
#include <math.h>
#include <stdio.h>

#include "differential/answer.h"

static bool same_string(const struct tensor *a, const struct tensor *b, int64_t i)
{
    const struct percept_string *x = &((const struct percept_string *)a->data)[i];
    const struct percept_string *y = &((const struct percept_string *)b->data)[i];
    return x->n_bytes == y->n_bytes && memcmp(x->at, y->at, x->n_bytes) == 0;
}

static double rounded_to(enum percept_dtype dtype, double value)
{
    uint16_t half;
    struct tensor t = {.dtype = dtype, .data = &half};
    if (dtype != PERCEPT_FLOAT16 && dtype != PERCEPT_BFLOAT16)
        return value;
    example_set(&t, 0, value);
    return example_get(&t, 0);
}

static bool close_enough(double got, double want, enum percept_dtype dtype, bool doubles, struct tolerance tolerance)
{
    want = rounded_to(dtype, want);
    if ((isnan(got) && isnan(want)) || got == want)
        return true;
    double relative = dtype == PERCEPT_FLOAT16 ? 0x1p-9 : dtype == PERCEPT_BFLOAT16 ? 0x1p-7 : 0;
    if (isinf(want) && relative > 0 && fabs(got) > (dtype == PERCEPT_FLOAT16 ? 6.5e4 : 3.3e38))
        return signbit(got) == signbit(want); /* the last step before infinity */
    const double allowed = tolerance.absolute + fmax(tolerance.relative, relative) * fabs(want);
    return fabs(got - want) <= (doubles && !tolerance.float_inside ? 1e-6 * allowed : allowed);
}

static bool same_integer(const struct tensor *got, const struct tensor *want, int64_t i)
{
    uint64_t narrow = 0;
    struct tensor t = {.dtype = got->dtype, .data = &narrow};
    example_set_int(&t, 0, example_get_int(want, i));
    return example_get_int(&t, 0) == example_get_int(got, i);
}

static bool say(char *why, size_t n, const struct tensor *got, const struct tensor *want, int64_t i)
{
    if (got->dtype == PERCEPT_STRING)
        snprintf(why, n, "string %lld differs", (long long)i);
    else
        snprintf(why, n, "element %lld of %lld is %.9g, expected %.9g", (long long)i, (long long)tensor_elements(got),
                 example_get(got, i), example_get(want, i));
    return false;
}

bool compare_tensors(const struct tensor *got, const struct tensor *want, enum percept_dtype type,
                     enum percept_dtype wide, struct tolerance tolerance, char *why, size_t n)
{
    char shape_got[120], shape_want[120];
    bool same_type = got->dtype == want->dtype || (got->dtype == type && want->dtype == wide);
    if (!same_type || !tensor_same_dims(got, want)) {
        snprintf(why, n, "got %s%s, expected %s%s", percept_dtype_name(got->dtype),
                 tensor_shape_text(got->rank, got->dims, shape_got, sizeof shape_got), percept_dtype_name(want->dtype),
                 tensor_shape_text(want->rank, want->dims, shape_want, sizeof shape_want));
        return false;
    }
    for (int64_t i = 0; i < tensor_elements(got) && !tolerance.shapes_only; i++) {
        bool same = got->dtype == PERCEPT_STRING ? same_string(got, want, i)
                    : example_is_floating(got->dtype)
                        ? close_enough(example_get(got, i), example_get(want, i), got->dtype,
                                       got->dtype == PERCEPT_DOUBLE && want->dtype == PERCEPT_DOUBLE, tolerance)
                        : same_integer(got, want, i);
        if (!same)
            return say(why, n, got, want, i);
    }
    return true;
}
