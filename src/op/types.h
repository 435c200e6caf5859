/*
 * types.h - the lists behind "types once": a family writes its loop as one macro M(dtype, T) and these
 * expand it for every element type it takes. Half floats are in none of them: they are widened when a
 * model is opened and by the planner, before an operator could meet them (engine/convert.c).
 */
#ifndef OP_TYPES_H
#define OP_TYPES_H

#include "percept.h"

#define TYPES_SIGNED(M)                                                                                                \
    M(PERCEPT_INT8, int8_t)                                                                                            \
    M(PERCEPT_INT16, int16_t)                                                                                          \
    M(PERCEPT_INT32, int32_t)                                                                                          \
    M(PERCEPT_INT64, int64_t)
#define TYPES_UNSIGNED(M)                                                                                              \
    M(PERCEPT_UINT8, uint8_t)                                                                                          \
    M(PERCEPT_UINT16, uint16_t)                                                                                        \
    M(PERCEPT_UINT32, uint32_t)                                                                                        \
    M(PERCEPT_UINT64, uint64_t)
#define TYPES_INTEGER(M) TYPES_SIGNED(M) TYPES_UNSIGNED(M)
#define TYPES_REAL(M)                                                                                                  \
    M(PERCEPT_FLOAT, float)                                                                                            \
    M(PERCEPT_DOUBLE, double)
#define TYPES_NUMBER(M) TYPES_INTEGER(M) TYPES_REAL(M)
/* What ai.onnx.ml's tables of features hold. */
#define TYPES_FEATURE(M)                                                                                               \
    TYPES_REAL(M)                                                                                                      \
    M(PERCEPT_INT32, int32_t)                                                                                          \
    M(PERCEPT_INT64, int64_t)

static inline bool types_unsigned(enum percept_dtype dtype)
{
    return dtype == PERCEPT_UINT8 || dtype == PERCEPT_UINT16 || dtype == PERCEPT_UINT32 || dtype == PERCEPT_UINT64;
}

static inline bool types_integer(enum percept_dtype dtype)
{
    return types_unsigned(dtype) || dtype == PERCEPT_INT8 || dtype == PERCEPT_INT16 || dtype == PERCEPT_INT32 ||
           dtype == PERCEPT_INT64;
}

static inline bool types_real(enum percept_dtype dtype)
{
    return dtype == PERCEPT_FLOAT || dtype == PERCEPT_DOUBLE;
}

static inline bool types_feature(enum percept_dtype dtype)
{
    return types_real(dtype) || dtype == PERCEPT_INT32 || dtype == PERCEPT_INT64;
}

static inline bool types_number(enum percept_dtype dtype)
{
    return types_integer(dtype) || types_real(dtype);
}

#endif
