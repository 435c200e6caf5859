/*
 * tensor.h - element types, shapes, views. A tensor is a view: its data belong to an arena, a region
 * or a caller. Passed around by pointer inside the engine, by value where small.
 */
#ifndef GRAPH_TENSOR_H
#define GRAPH_TENSOR_H

#include "base/bytes.h"
#include "base/err.h"
#include "percept.h"

#define RANK_MAX PERCEPT_RANK_MAX

/* How elements lie in memory. BLOCKED (float pictures only, rank >= 3): kernel/kernel.h. */
enum layout { LAYOUT_PLAIN = 0, LAYOUT_BLOCKED };

/* Of values inside a graph that are no tensors: their tensor has rank 0, and its one element is a struct
 * sequence. Above INT_MAX, where no file's number is: nobody can declare one. */
#define DTYPE_SEQUENCE ((enum percept_dtype)0x80000001u)
#define DTYPE_OPTIONAL ((enum percept_dtype)0x80000002u)

struct tensor {
    enum percept_dtype dtype;
    enum layout layout;
    int rank;
    int64_t dims[RANK_MAX];
    void *data;   /* NULL: not known yet (planning) */
    bool dynamic; /* dims are an upper bound; the run tells the real ones */
};

/* A list of tensors of one type, or an optional: a list of at most one tensor or sequence. What it holds
 * is never changed, so that copies of this struct may share it. op/sequence.c fills and reads them. */
struct sequence {
    int64_t n;
    enum percept_dtype dtype; /* of the tensors */
    struct sequence_items *items;
};

/* Is it a sequence or an optional, of which operators on tensors know nothing? */
static inline bool tensor_is_list(enum percept_dtype dtype)
{
    return dtype == DTYPE_SEQUENCE || dtype == DTYPE_OPTIONAL;
}

/* Elements in a shape; false (and *n untouched) when a dimension is negative or the product does not
 * fit in int64_t. Rank 0 has one element. */
bool tensor_count(int rank, const int64_t *dims, int64_t *n);

/* Elements of a tensor; INT64_MAX where the product is larger, which tensor_count refuses. */
int64_t tensor_elements(const struct tensor *t);

/* Bytes that the data take in the tensor's layout with blocks of `width`; false when no process could hold
 * them, or those of a row of an empty tensor. */
bool tensor_bytes(const struct tensor *t, int width, size_t *n_bytes);

/* Product of dims[from .. to), INT64_MAX at most. */
int64_t tensor_span(const struct tensor *t, int from, int to);

/* dims := given; keeps dtype and data. */
void tensor_set_dims(struct tensor *t, int rank, const int64_t *dims);

bool tensor_same_dims(const struct tensor *a, const struct tensor *b);

/* Numpy broadcasting of two shapes into out; false with a sentence when they do not fit. */
bool tensor_broadcast(const struct tensor *a, const struct tensor *b, int *rank, int64_t *dims,
                      struct percept_err *err);

/* Row-major strides in elements; a dimension of 1 keeps its natural stride. */
void tensor_strides(int rank, const int64_t *dims, int64_t *strides);

/* "[1,3,224,224]" into buffer; returns buffer. -1 is printed as is. */
const char *tensor_shape_text(int rank, const int64_t *dims, char *buffer, size_t n);

/* Size of an element; 0 for types that are not supported. Names are known for all of ONNX's types, so
 * that what is refused can be named: "float32", "float8e4m3fn", and "sequence" and "optional" for what is no
 * tensor; "undefined" for the rest. */
size_t tensor_dtype_bytes(enum percept_dtype dtype);
const char *tensor_dtype_name(enum percept_dtype dtype);

/* Why a sequence or an optional cannot go in or out of a model, and what can: the end of a sentence. */
const char *tensor_list_advice(enum percept_dtype dtype, bool output);

/* IEEE half and bfloat16 <-> float, exact, round to nearest even; NaN stays NaN. */
float tensor_half_to_float(uint16_t half);
uint16_t tensor_float_to_half(float value);
float tensor_bfloat_to_float(uint16_t b);
uint16_t tensor_float_to_bfloat(float value);

/* float16 or bfloat16? */
bool tensor_is_half(enum percept_dtype dtype);
/* n elements of a half type (data need no alignment) to floats, and back. */
void tensor_widen(float *to, const void *halves, enum percept_dtype dtype, int64_t n);
void tensor_narrow(void *halves, enum percept_dtype dtype, const float *from, int64_t n);

#endif
