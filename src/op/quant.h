/*
 * quant.h - what the operators on quantised numbers have in common. A number q of a tensor with scale s
 * and zero point z stands for (q - z) s; scale and zero point are inputs of the node, one for the whole
 * tensor or one per channel, and a zero point may be left out.
 */
#ifndef OP_QUANT_H
#define OP_QUANT_H

#include "op/op.h"

static inline bool quant_is_8bit(enum percept_dtype dtype)
{
    return dtype == PERCEPT_INT8 || dtype == PERCEPT_UINT8;
}

/* Element i of a scale (float, half, bfloat) and of a zero point (any integer; NULL: 0). */
float quant_scale(const struct tensor *scale, int64_t i);
int32_t quant_zero(const struct tensor *zero, int64_t i);

/* shape: input i is int8 or uint8. */
bool quant_want_8bit(const struct step *step, int i, struct percept_err *err);

/* shape: input `scale` is float32 and input `zero`, if there, of this dtype; both have one element, or
 * `channels` of them where that is not 0. */
bool quant_want_parameters(const struct step *step, int scale, int zero, enum percept_dtype dtype, int64_t channels,
                           struct percept_err *err);

/* Scale and zero point with which uint8 holds all of x and 0. */
void quant_fit(const struct kernels *kernels, struct watch *watch, const float *x, int64_t n, float *scale,
               int32_t *zero);

/* x to the nearest, half to even, plus zero, saturated to int8 or uint8; NaN becomes the least. */
static inline int32_t quant_round(float x, bool is_signed, int32_t zero)
{
    const float low = (float)((is_signed ? -128 : 0) - zero);
    const float high = (float)((is_signed ? 127 : 255) - zero);
    x = x > low ? x : low;
    x = x < high ? x : high;
    return (int32_t)__builtin_nearbyintf(x) + zero;
}

/* An element as a signed number. */
static inline int32_t quant_value(uint8_t byte, bool is_signed)
{
    return is_signed ? (int8_t)byte : byte;
}

#endif
