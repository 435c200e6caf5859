/*
 * quantize.h - between 8-bit numbers and the wider ones that are computed with.
 *
 * A quantised number q with zero point z and scale s stands for (q - z) s. All roundings are to the
 * nearest, half to even; everything saturates; NaN becomes the least number. The bits are those of
 * ONNX Runtime: scale, clamp to where the zero point can still be added, round, add.
 *
 * Plain loops: there is nothing here that the compiler does not turn into vectors by itself. Rounding
 * adds 1.5 2^23 and reads the low bits; between a product and that sum there is always a clamp, so
 * that no level fuses the two. Bytes are stored as unsigned ones: the low 8 bits are the same.
 */
#ifndef KERNEL_QUANTIZE_H
#define KERNEL_QUANTIZE_H

#include "kernel/kernel.h"
#include "kernel/vec.h"

/* A float within 2^22 as the nearest whole number. */
INLINED int32_t nearest(float x)
{
    const float shifted = x + 12582912.0f;
    int32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    return bits - 0x4b400000;
}

/* x within [low, high]; NaN becomes low. */
INLINED float within(float x, float low, float high)
{
    x = x > low ? x : low;
    return x < high ? x : high;
}

struct range8 {
    float low, high; /* before the zero point is added */
};

INLINED struct range8 range8_of(bool is_signed, int32_t zero)
{
    return (struct range8){.low = (float)((is_signed ? -128 : 0) - zero),
                           .high = (float)((is_signed ? 127 : 255) - zero)};
}

static void quantize(void *y, bool is_signed, const float *x, float scale, int32_t zero, int64_t n)
{
    const struct range8 range = range8_of(is_signed, zero);
    uint8_t *to = y;
    for (int64_t i = 0; i < n; i++)
        to[i] = (uint8_t)(nearest(within(x[i] / scale, range.low, range.high)) + zero);
}

static void dequantize(float *y, const void *x, bool is_signed, float scale, int32_t zero, int64_t n)
{
    const int32_t flip = is_signed ? 0x80 : 0, shift = flip + zero;
    const uint8_t *from = x;
    for (int64_t i = 0; i < n; i++)
        y[i] = (float)((from[i] ^ flip) - shift) * scale;
}

/* The int32 sums wrap, so they are added as unsigned ones. */
INLINED int32_t wrapped(int32_t a, int32_t b)
{
    return (int32_t)((uint32_t)a + (uint32_t)b);
}

static void requantize(void *y, bool is_signed, const int32_t *x, const int32_t *bias, const float *scale,
                       bool per_element, int32_t zero, int64_t n)
{
    const struct range8 range = range8_of(is_signed, zero);
    uint8_t *to = y;
    if (per_element) {
        for (int64_t i = 0; i < n; i++) {
            const float value = (float)wrapped(x[i], bias[i]) * scale[i];
            to[i] = (uint8_t)(nearest(within(value, range.low, range.high)) + zero);
        }
        return;
    }
    const int32_t shift = *bias;
    const float factor = *scale;
    for (int64_t i = 0; i < n; i++) {
        const float value = (float)wrapped(x[i], shift) * factor;
        to[i] = (uint8_t)(nearest(within(value, range.low, range.high)) + zero);
    }
}

/* a b + c rounded once. In double the product of 8 and 24 bits is exact; of a sum that is not, the last bit is made
 * odd, so that rounding it to float sees on which side of a half it lies. */
INLINED float multiply_add(float a, float b, float c)
{
#ifdef __FP_FAST_FMAF
    return __builtin_fmaf(a, b, c);
#else
    const double product = (double)a * (double)b, addend = c;
    double sum = product + addend;
    const double back = sum - product, lost = (product - (sum - back)) + (addend - back);
    int64_t bits;
    memcpy(&bits, &sum, sizeof bits);
    if (lost != 0 && !(bits & 1))
        bits += (lost > 0) == (sum > 0) ? 1 : -1;
    memcpy(&sum, &bits, sizeof sum);
    return (float)sum;
#endif
}

static void add(void *y, bool is_signed, const void *a, const void *b, float a_ratio, float b_ratio, float fixed,
                int64_t n)
{
    const int32_t flip = is_signed ? 0x80 : 0;
    const struct range8 range = range8_of(is_signed, 0);
    const uint8_t *left = a, *right = b;
    uint8_t *to = y;
    for (int64_t i = 0; i < n; i++) {
        const float inner = multiply_add((float)((right[i] ^ flip) - flip), b_ratio, fixed);
        const float value = multiply_add((float)((left[i] ^ flip) - flip), a_ratio, inner);
        to[i] = (uint8_t)nearest(within(value, range.low, range.high));
    }
}

static void rescale(float *y, const int32_t *x, const int32_t *bias, const float *scale, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = (float)wrapped(x[i], bias[i]) * scale[i];
}

#endif
