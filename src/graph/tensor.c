/*
 * tensor.c - arithmetic on shapes and on the formats of single numbers. Nothing here allocates, keeps
 * state or looks at more than its arguments; any thread.
 *
 * What comes from a file goes through tensor_count and tensor_bytes once, which refuse what overflows;
 * after that tensor_elements and tensor_span multiply without asking.
 */
#include "graph/tensor.h"

#include <stdio.h>
#include <string.h>

/* Product of the dims that are not 0, and whether one is: a zero makes a shape empty however large the
 * others are, and loops still multiply those. */
static bool nonzero_product(int rank, const int64_t *dims, int64_t *product, bool *empty)
{
    *product = 1;
    *empty = false;
    for (int i = 0; i < rank; i++) {
        if (dims[i] < 0)
            return false;
        if (dims[i] == 0)
            *empty = true;
        else if (__builtin_mul_overflow(*product, dims[i], product))
            return false;
    }
    return true;
}

bool tensor_count(int rank, const int64_t *dims, int64_t *n)
{
    int64_t product;
    bool empty;
    if (!nonzero_product(rank, dims, &product, &empty))
        return false;
    *n = empty ? 0 : product;
    return true;
}

int64_t tensor_elements(const struct tensor *t)
{
    return tensor_span(t, 0, t->rank);
}

/* No process holds more, and sums of many still fit in size_t. */
#define MOST_BYTES ((size_t)1 << 47)

bool tensor_bytes(const struct tensor *t, int width, size_t *n_bytes)
{
    int64_t dims[RANK_MAX];
    memcpy(dims, t->dims, sizeof dims);
    if (t->layout == LAYOUT_BLOCKED) {
        int64_t padded;
        if (t->rank < 3 || width < 1 || __builtin_add_overflow(dims[1], width - 1, &padded))
            return false;
        dims[1] = padded / width * width;
    }
    int64_t n;
    bool empty;
    const size_t size = tensor_is_list(t->dtype) ? sizeof(struct sequence) : tensor_dtype_bytes(t->dtype);
    if (size == 0 || !nonzero_product(t->rank, dims, &n, &empty) || (uint64_t)n > MOST_BYTES / size)
        return false;
    *n_bytes = empty ? 0 : (size_t)n * size;
    return true;
}

int64_t tensor_span(const struct tensor *t, int from, int to)
{
    int64_t product = 1;
    for (int i = from; i < to; i++)
        if (__builtin_mul_overflow(product, t->dims[i], &product))
            product = INT64_MAX;
    return product;
}

void tensor_set_dims(struct tensor *t, int rank, const int64_t *dims)
{
    t->rank = rank;
    memmove(t->dims, dims, (size_t)rank * sizeof *dims);
}

bool tensor_same_dims(const struct tensor *a, const struct tensor *b)
{
    return a->rank == b->rank && memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims) == 0;
}

/* dims[axis], counted from the last of `rank` axes; missing ones are 1. */
static int64_t padded_dim(const struct tensor *t, int axis, int rank)
{
    int own = axis - (rank - t->rank);
    return own < 0 ? 1 : t->dims[own];
}

bool tensor_broadcast(const struct tensor *a, const struct tensor *b, int *rank, int64_t *dims, struct percept_err *err)
{
    int64_t joined[RANK_MAX];
    int longer = a->rank > b->rank ? a->rank : b->rank;
    for (int i = 0; i < longer; i++) {
        int64_t left = padded_dim(a, i, longer), right = padded_dim(b, i, longer);
        if (left != right && left != 1 && right != 1) {
            char one[128], other[128];
            return err_set(err, ERR_INVALID, "shapes %s and %s do not broadcast: %lld against %lld",
                           tensor_shape_text(a->rank, a->dims, one, sizeof one),
                           tensor_shape_text(b->rank, b->dims, other, sizeof other), (long long)left, (long long)right);
        }
        joined[i] = left == 1 ? right : left;
    }
    *rank = longer;
    memcpy(dims, joined, (size_t)longer * sizeof *dims);
    return true;
}

void tensor_strides(int rank, const int64_t *dims, int64_t *strides)
{
    int64_t stride = 1;
    for (int i = rank; i-- > 0;) {
        strides[i] = stride;
        if (__builtin_mul_overflow(stride, dims[i], &stride))
            stride = INT64_MAX;
    }
}

const char *tensor_shape_text(int rank, const int64_t *dims, char *buffer, size_t n)
{
    size_t used = 0;
    for (int i = 0; i < rank && used < n; i++)
        used += (size_t)snprintf(buffer + used, n - used, "%c%lld", i ? ',' : '[', (long long)dims[i]);
    if (used < n)
        snprintf(buffer + used, n - used, "%s", rank > 0 ? "]" : "[]");
    return buffer;
}

/* ONNX's TensorProto.DataType, all of it; a size of 0 means that we only know the name. */
static const struct {
    const char *name;
    size_t n_bytes;
} types[] = {
    [PERCEPT_UNDEFINED] = {"undefined", 0},
    [PERCEPT_FLOAT] = {"float32", 4},
    [PERCEPT_UINT8] = {"uint8", 1},
    [PERCEPT_INT8] = {"int8", 1},
    [PERCEPT_UINT16] = {"uint16", 2},
    [PERCEPT_INT16] = {"int16", 2},
    [PERCEPT_INT32] = {"int32", 4},
    [PERCEPT_INT64] = {"int64", 8},
    [PERCEPT_STRING] = {"string", sizeof(struct percept_string)},
    [PERCEPT_BOOL] = {"bool", 1},
    [PERCEPT_FLOAT16] = {"float16", 2},
    [PERCEPT_DOUBLE] = {"float64", 8},
    [PERCEPT_UINT32] = {"uint32", 4},
    [PERCEPT_UINT64] = {"uint64", 8},
    [14] = {"complex64", 0},
    [15] = {"complex128", 0},
    [PERCEPT_BFLOAT16] = {"bfloat16", 2},
    [17] = {"float8e4m3fn", 0},
    [18] = {"float8e4m3fnuz", 0},
    [19] = {"float8e5m2", 0},
    [20] = {"float8e5m2fnuz", 0},
    [21] = {"uint4", 0},
    [22] = {"int4", 0},
    [23] = {"float4e2m1", 0},
    [24] = {"float8e8m0", 0},
    [25] = {"uint2", 0},
    [26] = {"int2", 0},
};

static size_t known(enum percept_dtype dtype)
{
    return (size_t)dtype < sizeof types / sizeof *types ? (size_t)dtype : PERCEPT_UNDEFINED;
}

size_t tensor_dtype_bytes(enum percept_dtype dtype)
{
    return types[known(dtype)].n_bytes;
}

const char *tensor_dtype_name(enum percept_dtype dtype)
{
    if (tensor_is_list(dtype))
        return dtype == DTYPE_SEQUENCE ? "sequence" : "optional";
    return types[known(dtype)].name;
}

const char *tensor_list_advice(enum percept_dtype dtype, bool output)
{
    if (dtype == DTYPE_SEQUENCE)
        return output ? "a sequence; only tensors can go in and out of a model: one with ConcatFromSequence or "
                        "SequenceAt in front of its outputs would work"
                      : "a sequence; only tensors can go in and out of a model: one that takes them one by one and "
                        "joins them with SequenceConstruct would work";
    return output ? "an optional; only tensors can go in and out of a model: one with OptionalGetElement in front of "
                    "its outputs would work"
                  : "an optional; only tensors can go in and out of a model: one that takes the tensor itself would "
                    "work";
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

float tensor_half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    uint32_t exponent = half >> 10 & 0x1fu, mantissa = half & 0x3ffu;
    if (exponent == 0) /* 2^-24 units; exact, and normal as a float */
        return float_of(sign | bits_of((float)mantissa * 0x1p-24f));
    if (exponent == 0x1f)
        return float_of(sign | 0x7f800000u | mantissa << 13);
    return float_of(sign | (exponent + 112) << 23 | mantissa << 13);
}

/* Below 2^-14 the result counts units of 2^-24: shift the 24-bit mantissa, round to even by hand. */
static uint32_t small_half(uint32_t magnitude)
{
    uint32_t exponent = magnitude >> 23, shift = 126 - exponent;
    if (exponent < 102)
        return 0;
    uint32_t mantissa = (magnitude & 0x7fffffu) | 0x800000u;
    uint32_t units = mantissa >> shift, rest = mantissa & ((1u << shift) - 1);
    uint32_t middle = 1u << (shift - 1);
    return units + (rest > middle || (rest == middle && (units & 1u)));
}

uint16_t tensor_float_to_half(float value)
{
    uint32_t bits = bits_of(value), magnitude = bits & 0x7fffffffu;
    uint32_t sign = bits >> 16 & 0x8000u;
    if (magnitude > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x1ffu));
    if (magnitude >= 0x47800000u) /* 65536 and more, infinity too */
        return (uint16_t)(sign | 0x7c00u);
    if (magnitude < 0x38800000u)
        return (uint16_t)(sign | small_half(magnitude));
    uint32_t rebased = magnitude - 0x38000000u;
    rebased += 0xfffu + (rebased >> 13 & 1u);
    return (uint16_t)(sign | rebased >> 13);
}

float tensor_bfloat_to_float(uint16_t b)
{
    return float_of((uint32_t)b << 16);
}

uint16_t tensor_float_to_bfloat(float value)
{
    uint32_t bits = bits_of(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

bool tensor_is_half(enum percept_dtype dtype)
{
    return dtype == PERCEPT_FLOAT16 || dtype == PERCEPT_BFLOAT16;
}

void tensor_widen(float *to, const void *halves, enum percept_dtype dtype, int64_t n)
{
    const char *from = halves;
    for (int64_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, from + 2 * i, sizeof half);
        to[i] = dtype == PERCEPT_FLOAT16 ? tensor_half_to_float(half) : tensor_bfloat_to_float(half);
    }
}

void tensor_narrow(void *halves, enum percept_dtype dtype, const float *from, int64_t n)
{
    uint16_t *to = halves;
    for (int64_t i = 0; i < n; i++)
        to[i] = dtype == PERCEPT_FLOAT16 ? tensor_float_to_half(from[i]) : tensor_float_to_bfloat(from[i]);
}
