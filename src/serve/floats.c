/*
 * floats.c - see floats.h. Whole numbers beyond 2^24 are rounded: they are classes and levels here, which are small.
 */
#include "serve/floats.h"

#include "base/err.h"

#include <string.h>

#define PIECE 4096 /* elements between two looks at the watch */

/* IEEE binary16 -> binary32. */
static float from_half(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, mantissa = half & 1023u;
    if (exponent == 0) {
        float small = (float)mantissa * 0x1p-24f;
        return sign ? -small : small;
    }
    uint32_t bits = sign | (exponent == 31 ? 255u : exponent + 112) << 23 | mantissa << 13;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float from_bfloat(uint16_t narrow)
{
    uint32_t bits = (uint32_t)narrow << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Each type with what makes a float of one. */
#define TYPES(T)                                                                                                       \
    T(DOUBLE, double, (float))                                                                                         \
    T(UINT8, uint8_t, (float))                                                                                         \
    T(INT8, int8_t, (float))                                                                                           \
    T(UINT16, uint16_t, (float))                                                                                       \
    T(INT16, int16_t, (float))                                                                                         \
    T(UINT32, uint32_t, (float))                                                                                       \
    T(INT32, int32_t, (float))                                                                                         \
    T(UINT64, uint64_t, (float))                                                                                       \
    T(INT64, int64_t, (float))                                                                                         \
    T(FLOAT16, uint16_t, from_half)                                                                                    \
    T(BFLOAT16, uint16_t, from_bfloat)

bool floats_can(enum percept_dtype dtype)
{
    switch (dtype) {
#define T(id, type, convert) case PERCEPT_##id:
        TYPES(T)
#undef T
    case PERCEPT_FLOAT:
        return true;
    default:
        return false;
    }
}

static void convert(const struct percept_tensor *tensor, int64_t from, int64_t n, float *to)
{
    switch (tensor->dtype) {
#define T(id, type, convert_one)                                                                                       \
    case PERCEPT_##id:                                                                                                 \
        for (int64_t i = 0; i < n; i++)                                                                                \
            to[i] = convert_one(((const type *)tensor->data)[from + i]);                                               \
        break;
        TYPES(T)
#undef T
    default:
        break;
    }
}

const float *floats_of(const struct percept_tensor *tensor, int64_t from, int64_t n, struct arena *arena,
                       struct watch *watch, struct percept_err *err)
{
    if (tensor->dtype == PERCEPT_FLOAT)
        return (const float *)tensor->data + from;
    float *floats = arena_array(arena, (size_t)n + 1, sizeof *floats);
    if (!floats)
        return err_null(err, ERR_MEMORY, "out of memory: an output's numbers");
    for (int64_t i = 0; i < n; i += PIECE) {
        int64_t piece = n - i < PIECE ? n - i : PIECE;
        if (!watch_spend(watch, piece)) {
            watch_refuse(watch, err);
            return NULL;
        }
        convert(tensor, from + i, piece, floats + i);
    }
    return floats;
}
