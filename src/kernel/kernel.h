/*
 * kernel.h - arithmetic on pointers: tables of functions, by family and by instruction set.
 *
 * A "level" is an instruction set: base (whatever the compiler targets by default), v3 (AVX2 + FMA), v4 (AVX-512),
 * v4+vnni (the same with sums of 8-bit products). A
 * "family" is what belongs together in it: products, convolutions, maps. kernels.c is compiled once per family and
 * level; pick.c composes levels of families and names the best one the CPU runs. All levels have the same functions
 * and the same contracts; only `width`, the number of floats in a vector, and the private layouts of packed weights
 * differ. Who packs, runs: pack_bytes, pack and run of a kind come from the same table.
 *
 * Contracts, for all functions here:
 *   - Kernels cannot fail, allocate or block: the caller has checked everything.
 *   - Buffers have 64 readable bytes after their end (arenas and regions see to it). No kernel writes
 *     past the end. Pointers to floats are 4-byte aligned unless a parameter is said to be raw bytes.
 *   - Outputs may be the same buffer as an input only where it is said.
 *   - The bits of an output element depend on its own inputs, the weights and the level alone: never on
 *     how many rows, pixels or items are computed together or where a range [from, to) was cut. So
 *     every element has one order of summation, wherever in a tile it lies.
 *   - Long sums are made of parts, so that their error does not grow with their length. Products of
 *     matrices, convolutions: one fused multiply-add per product (where the level has one) in chains of at
 *     most 64, at most 64 of these in a chain, and what they give in double (parts.h). Sums, means,
 *     denominators, large windows: eight terms in float, and these in double (accumulate.h).
 *
 * Pictures: LAYOUT_BLOCKED stores [N][C] maps in blocks of `width` channels:
 *
 *     [N][ceil(C/width)][spatial ...][width]
 *
 * Lanes past C hold anything; no kernel lets them reach a lane below C (they are not multiplied by
 * zero weights either: anything may be NaN). LAYOUT_PLAIN is ONNX's own order.
 */
#ifndef KERNEL_KERNEL_H
#define KERNEL_KERNEL_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- epilogues: what happens to an accumulator before it is stored ------------------------------------------------ */

enum activation {
    ACT_NONE = 0,
    ACT_RELU,    /* max(x, 0) */
    ACT_CLIP,    /* min(max(x, alpha), beta) */
    ACT_LEAKY,   /* x < 0 ? alpha x : x */
    ACT_SIGMOID, /* 1 / (1 + exp(-x)) */
    ACT_TANH,
    ACT_HARDSIGMOID, /* max(0, min(1, alpha x + beta)) */
    ACT_HARDSWISH,   /* x max(0, min(1, x/6 + 1/2)) */
    ACT_SILU,        /* x sigmoid(x) */
    ACT_COUNT
};

/* out = act(sum + bias[n] + residual); for a matrix n is the column, for a picture the channel. */
struct epilogue {
    const float *bias;     /* [n] or NULL */
    const float *residual; /* laid out as the output, or NULL; may be the output itself */
    enum activation act;
    float alpha, beta;
};

/* --- element by element ------------------------------------------------------------------------------------------- */

/* alpha and beta of those that have any: LEAKY, ELU, CELU, THRESHOLDED_RELU alpha; CLIP alpha = low,
 * beta = high; SELU alpha, beta = gamma; HARDSIGMOID alpha, beta; SHRINK alpha = lambd, beta = bias.
 * RELU, CLIP, MIN and MAX keep a NaN. */
enum unary {
    UNARY_ABS,
    UNARY_NEG,
    UNARY_RELU,
    UNARY_LEAKY,
    UNARY_CLIP,
    UNARY_ELU,
    UNARY_SELU,
    UNARY_CELU,
    UNARY_EXP,
    UNARY_LOG,
    UNARY_SQRT,
    UNARY_RECIPROCAL,
    UNARY_SIGMOID,
    UNARY_TANH,
    UNARY_HARDSIGMOID,
    UNARY_HARDSWISH,
    UNARY_SILU,
    UNARY_SOFTPLUS,
    UNARY_SOFTSIGN,
    UNARY_MISH,
    UNARY_ERF,
    UNARY_GELU,
    UNARY_GELU_TANH,
    UNARY_THRESHOLDED_RELU,
    UNARY_SHRINK,
    UNARY_FLOOR,
    UNARY_CEIL,
    UNARY_ROUND,
    UNARY_SIGN,
    UNARY_SIN,
    UNARY_COS,
    UNARY_TAN,
    UNARY_ASIN,
    UNARY_ACOS,
    UNARY_ATAN,
    UNARY_SINH,
    UNARY_COSH,
    UNARY_ASINH,
    UNARY_ACOSH,
    UNARY_ATANH,
    UNARY_COPY,
    UNARY_COUNT
};

/* The same function with the same alpha and beta. */
static inline enum unary unary_of(enum activation act)
{
    static const enum unary unary[ACT_COUNT] = {
        [ACT_NONE] = UNARY_COPY,
        [ACT_RELU] = UNARY_RELU,
        [ACT_CLIP] = UNARY_CLIP,
        [ACT_LEAKY] = UNARY_LEAKY,
        [ACT_SIGMOID] = UNARY_SIGMOID,
        [ACT_TANH] = UNARY_TANH,
        [ACT_HARDSIGMOID] = UNARY_HARDSIGMOID,
        [ACT_HARDSWISH] = UNARY_HARDSWISH,
        [ACT_SILU] = UNARY_SILU,
    };
    return unary[act];
}

/* PRELU: a < 0 ? a b : a. FMOD has the sign of a (C), MOD that of b (Python). */
enum binary {
    BINARY_ADD,
    BINARY_SUB,
    BINARY_MUL,
    BINARY_DIV,
    BINARY_MIN,
    BINARY_MAX,
    BINARY_POW,
    BINARY_PRELU,
    BINARY_FMOD,
    BINARY_MOD,
    BINARY_COUNT
};

enum reduce { REDUCE_SUM, REDUCE_MAX, REDUCE_MIN, REDUCE_PROD, REDUCE_SUM_SQUARE, REDUCE_L1, REDUCE_COUNT };

/* What a reduction of nothing gives. */
static inline float neutral_of(enum reduce op)
{
    return op == REDUCE_MAX ? -INFINITY : op == REDUCE_MIN ? INFINITY : op == REDUCE_PROD ? 1 : 0;
}

/* --- convolution -------------------------------------------------------------------------------------------------- */

/* What a result may cost in accuracy: part of every choice of an algorithm. */
enum precision {
    PRECISION_EXACT = 0, /* of max|y|: 3e-6, or as much as a chain of multiply-adds in float */
    PRECISION_FAST,      /* 2e-5 */
    PRECISION_BF16       /* 5e-3: weights may be rounded to bfloat16 */
};

/*
 * Geometry of a convolution over up to three spatial axes; missing ones have in = out = kernel = 1.
 * Axis 2 is the innermost (width). With `transposed`, weights run from input to output pixels
 * (ConvTranspose): out = (in - 1) stride - pad_begin - pad_end + dilation (kernel - 1) + 1 + extra.
 */
struct conv_shape {
    int64_t group;
    int64_t in_channels, out_channels;                                /* of all groups */
    int64_t in[3], out[3], kernel[3], stride[3], dilation[3], pad[3]; /* pad: at the beginning */
    bool transposed;
    bool in_plain; /* the input picture is LAYOUT_PLAIN, not LAYOUT_BLOCKED */
    bool computed; /* weights are known at run time only, and packed there */
};

/*
 * A prepared convolution: all that follows from an algorithm and a shape with its heights and widths, found
 * once (convolve->prepare) and shared by whoever runs it. Opaque, and of the level that made it. Nothing in it
 * changes afterwards, so any number of threads may use one at a time; nothing in it points anywhere, so its
 * bytes may be copied and moved. Small: a few kB, at most some dozens of bytes for each tap along an axis
 * and, transposed, for each pixel of a stride.
 */
struct conv_prepared;

/* --- pooling ------------------------------------------------------------------------------------------------------ */

struct pool_shape {
    int64_t channels; /* maps, and the rows of each, are the caller's loop: see pool() */
    int64_t in[3], out[3], kernel[3], stride[3], dilation[3], pad[3], pad_end[3];
    bool average;           /* else maximum */
    bool count_include_pad; /* average: the divisor counts padding */
};

/* --- the families ------------------------------------------------------------------------------------------------- */

/* A family is a table of functions that are compiled together. `width`, of each: the floats of the vector by which it
 * packs weights or reads blocks of channels, or 0 where nothing that it reads or writes depends on any. */

/* Matrices: c[m][n] = epilogue(a[m][k] b[k][n]), b constant and packed. */
struct gemm_kernels {
    int width;
    size_t (*pack_bytes)(int64_t k, int64_t n);
    /* b is raw bytes (no alignment): element (k, n) at b + 4 * (k * stride_k + n * stride_n).
     * scale: [n] or NULL, multiplied into column n. Columns from a multiple j of step on lie at byte
     * pack_bytes(k, j), so ranges of columns may be packed apart. */
    void (*pack)(void *packed, const void *b, int64_t k, int64_t n, int64_t stride_k, int64_t stride_n,
                 const float *scale);
    /* Rows of c at distance ldc, of a at lda; the residual is laid out as c. Splits by rows of a and
     * by step columns: computes rows [0, m) and columns [n_from, n_to) of the n packed ones;
     * n_from is a multiple of step, n_to too or n. */
    int64_t step;
    void (*run)(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const void *packed, float *c, int64_t ldc,
                const struct epilogue *epilogue, int64_t n_from, int64_t n_to);

    /* Multiplies and adds in registers alone, `rounds` times some; returns how many operations that were (a
     * multiply-add is two). For measuring what the processor can do. */
    int64_t (*spin)(int64_t rounds);

    /* Weights of 4 or 8 bits in blocks along k (a power of two, 16 at least) with a scale and a zero each,
     * (q - zero) scale, packed as narrow as they are. q: raw bytes, [n][blocks][block * bits / 8], low halves
     * first; scales: raw bytes, floats [n][blocks]; zeros [n][blocks]. */
    size_t (*narrow_pack_bytes)(int bits, int64_t block, int64_t k, int64_t n);
    void (*narrow_pack)(void *packed, int bits, int64_t block, int64_t k, int64_t n, const void *q, const void *scales,
                        const float *zeros);
    /* Rows [k_from, k_to) and columns [n_from, n_to) of them, as pack would have packed just these. k_from
     * and k_to are multiples of block, or k_to is k; n_from and n_to as run's. */
    void (*narrow_widen)(float *to, const void *packed, int bits, int64_t block, int64_t k, int64_t k_from,
                         int64_t k_to, int64_t n_from, int64_t n_to);

    /* The same of weights rounded to bfloat16 when they are packed: half the bytes. Sums are floats as ever. */
    const struct gemm_kernels *bf16;
};

/* Pictures. */
struct convolve_kernels {
    int width;
    /* Which algorithm runs this shape: an index into this level's table, a pure function of the shape's channels,
     * window and layout, and of height and width where they are known by then (else `out` is 0), never of the batch. It
     * is asked once, when weights are known; packing and preparing are told. settle is asked when height and width are
     * known: the same, or another that reads the same packed weights and is better for such a map. name tells it,
     * for profiles. */
    int (*choose)(const struct conv_shape *shape, enum precision precision);
    int (*settle)(int algorithm, const struct conv_shape *shape);
    const char *(*name)(int algorithm);
    size_t (*pack_bytes)(int algorithm, const struct conv_shape *shape);
    /* weights: raw bytes, [out][in/group][kernel ...] (transposed: [in][out/group][kernel ...]);
     * scale: [out_channels] or NULL, multiplied into each output channel (a folded BatchNorm). */
    void (*pack)(int algorithm, const struct conv_shape *shape, void *packed, const void *weights, const float *scale);
    /* Memory for a prepared convolution, 8-byte aligned, and what is written there. */
    size_t (*prepared_bytes)(int algorithm, const struct conv_shape *shape);
    void (*prepare)(struct conv_prepared *prepared, int algorithm, const struct conv_shape *shape);
    /* Scratch that one caller of run needs. */
    size_t (*scratch_bytes)(const struct conv_prepared *prepared);
    /* Number of independent units of work in one item; run computes units [from, to) of one item.
     * input: one item, layout as shape->in_plain says; output and residual: one item, LAYOUT_BLOCKED.
     * epilogue->bias: [out_channels]. */
    int64_t (*units)(const struct conv_prepared *prepared);
    /* Floating-point operations of its products for an item, where they are fewer than the definition's; else 0. */
    double (*done_flops)(const struct conv_prepared *prepared);
    void (*run)(const struct conv_prepared *prepared, const float *input, const void *packed, float *output,
                const struct epilogue *epilogue, void *scratch, int64_t from, int64_t to);
};

/* Element by element: y may be x (and a or b). */
struct map_kernels {
    int width;
    void (*unary)(enum unary op, float *y, const float *x, int64_t n, float alpha, float beta);
    void (*binary)(enum binary op, float *y, const float *a, const float *b, int64_t n);
    /* one side is a single number */
    void (*binary_scalar)(enum binary op, float *y, const float *a, float b, int64_t n);
    void (*scalar_binary)(enum binary op, float *y, float a, const float *b, int64_t n);
    /* y[i][j] = a[i][j] op b[j], j the lane of a block: pixels x width with a [width] operand */
    void (*binary_lanes)(enum binary op, float *y, const float *a, const float *b, int64_t pixels);
    /* y = x scale + shift */
    void (*affine)(float *y, const float *x, float scale, float shift, int64_t n);
    void (*affine_lanes)(float *y, const float *x, const float *scale, const float *shift, int64_t pixels);
    void (*fill)(float *y, float value, int64_t n);
};

/* Along an axis, and through a window. */
struct reduce_kernels {
    int width;
    /* x is [n][inner], y[i] = reduction over n of column i of the first `columns`; inner = 1 is the contiguous
     * case. The order of summation is fixed by n, and by whether inner is 1, alone. A sum is off by no more than
     * 4 roundings (2^-24) of the sum of its absolute terms, whatever n. */
    void (*run)(enum reduce op, float *y, const float *x, int64_t n, int64_t inner, int64_t columns);
    /* Softmax or its logarithm of the first `columns` of [n][inner] over n; y, of the same strides, may be x. */
    void (*softmax)(float *y, const float *x, int64_t n, int64_t inner, int64_t columns, bool logarithm);
    /* Of [n][inner], where inner is 1 or `width`: the mean of each column and the sum of the squares of the
     * distances from it. Means are good to double, the squares to 5 roundings of float. */
    void (*moments)(const float *x, int64_t n, int64_t inner, double *mean, double *squares);
    /* y = (x - mean) scale + shift for each column of the same: no digit is lost to a large mean. y may be x. */
    void (*normalize)(float *y, const float *x, int64_t n, int64_t inner, const double *mean, const float *scale,
                      const float *shift);

    /* Pools rows [from, to) of the output, of which a map has out[0]*out[1]: a map is one channel block
     * (blocked: `lanes` = width) or one channel (plain: lanes = 1) of in[0]*in[1]*in[2] pixels. Maxima
     * propagate NaN; empty windows give -inf, or 0/0 for an average. */
    void (*pool)(const struct pool_shape *shape, int lanes, const float *input, float *output, int64_t from,
                 int64_t to);
};

/* Recurrent steps: `rows` items of `hidden` units. gates: pre-activations, rows at distance ld: LSTM [i o f c][hidden],
 * GRU [z r h][hidden], ONNX's order, biases already added. Only the default activations; others are the op's loop. */
struct recur_kernels {
    int width;
    /* c and h are [rows][hidden], updated in place; peephole [i o f][hidden] or NULL; clip <= 0: none */
    void (*lstm_step)(int64_t rows, int64_t hidden, const float *gates, int64_t ld, float *h, float *c,
                      const float *peephole, float clip, bool input_forget);
    /* GRU, first half: z and r in place (sigmoid), and reset_h = r * h [rows][hidden] */
    void (*gru_gates)(int64_t rows, int64_t hidden, float *gates, int64_t ld, const float *h, float *reset_h,
                      float clip);
    /* GRU, second half: n = tanh(gates h part); h = (1 - z) n + z h */
    void (*gru_step)(int64_t rows, int64_t hidden, const float *gates, int64_t ld, float *h, float clip);
};

/* 8-bit numbers: is_signed says int8, else uint8. A number q stands for (q - zero) scale. */
struct quantize_kernels {
    int width;
    /* c[m][n] = sum of a[m][k] b[k][n], wrapping at 32 bits. a is unsigned, b signed: signed a is laid as a + 128,
     * unsigned b packed as b - 128. b is constant; element (k, n) at byte k * stride_k + n * stride_n. sums: [n], of
     * the packed numbers of each column. Columns from a multiple j of dot_step on lie at byte dot_pack_bytes(k, j). */
    size_t (*dot_pack_bytes)(int64_t k, int64_t n);
    void (*dot_pack)(void *packed, int32_t *sums, const void *b, int64_t k, int64_t n, int64_t stride_k,
                     int64_t stride_n, bool is_signed);
    /* A row of a in the form that is multiplied, 4-byte aligned; rows follow each other at this distance. Returns the
     * sum of what was laid. */
    size_t (*dot_row_bytes)(int64_t k);
    int32_t (*dot_pack_row)(void *row, const void *a, bool is_signed, int64_t k);
    /* Splits as gemm->run does, in units of dot_step columns. */
    int64_t dot_step;
    void (*dot)(int64_t m, int64_t n, int64_t k, const void *a, const void *packed, int32_t *c, int64_t ldc,
                int64_t n_from, int64_t n_to);
    /* Convolutions. Pixels lie in quads, four bytes of each together: to[4 i + r] = rows[r][i step] ^ flip. */
    void (*slide_pixels)(void *to, const void *const rows[4], int64_t step, uint8_t flip, int64_t n);
    /* Weights of `rows` output channels, `quads` quads each; [from, from + n) of one row: w is [n][4]. */
    size_t (*slide_pack_bytes)(int64_t rows, int64_t quads);
    void (*slide_pack)(void *packed, int64_t quads, int64_t row, int64_t from, int64_t n, const int8_t *w);
    /* c[r][i] = sum over q of the four products of quad offsets[q] + i of x, unsigned, and quad q of row r, wrapping at
     * 32 bits. Written are whole steps of rows and whole vectors of pixels: ldc is at least n rounded up to `width`,
     * rows to slide_step. Those from a multiple r of slide_step on lie at byte slide_pack_bytes(r, quads). */
    int64_t slide_step;
    void (*slide)(int64_t rows, int64_t n, int64_t quads, const void *x, const int64_t *offsets, const void *packed,
                  int32_t *c, int64_t ldc);
    /* The same of one channel, whose bytes are not in quads: c[i] = sum over q of the products of the four bytes from
     * x[offsets[q] + i step] on and w[q][4]. Bytes whose weight is 0 need not be there. */
    void (*slide_one)(int32_t *c, const void *x, int64_t step, const int64_t *offsets, const int8_t *w, int64_t quads,
                      int64_t n);
    /* y = saturate(round((x + bias) scale) + zero); bias and scale are [n] or, not per_element, one */
    void (*requantize)(void *y, bool is_signed, const int32_t *x, const int32_t *bias, const float *scale,
                       bool per_element, int32_t zero, int64_t n);
    /* y = saturate(round(a a_ratio + (b b_ratio + fixed))), each product and sum rounded once */
    void (*add)(void *y, bool is_signed, const void *a, const void *b, float a_ratio, float b_ratio, float fixed,
                int64_t n);
    /* y = (x + bias) scale */
    void (*rescale)(float *y, const int32_t *x, const int32_t *bias, const float *scale, int64_t n);
    /* y = saturate(round(x / scale) + zero) */
    void (*quantize)(void *y, bool is_signed, const float *x, float scale, int32_t zero, int64_t n);
    void (*dequantize)(float *y, const void *x, bool is_signed, float scale, int32_t zero, int64_t n);
};

/* Plain <-> blocked. */
struct layout_kernels {
    int width;
    /* One item (or several as more channels): [channels][pixels] <-> blocks of width channels. */
    void (*block)(float *blocked, const float *plain, int64_t channels, int64_t pixels);
    void (*unblock)(float *plain, const float *blocked, int64_t channels, int64_t pixels);
};

/* Each family's name: X(gemm) ... */
#define KERNELS_FAMILIES(X) X(gemm) X(convolve) X(map) X(reduce) X(recur) X(quantize) X(layout)

/* The table of a family that a level compiled for itself. */
#define KERNELS_TABLE(FAMILY, LEVEL) kernels_##FAMILY##_##LEVEL

/* A level: a set of families, its own and those that it borrows from the level below. */
struct kernels {
    char name[16]; /* "base", "v3", "v4", "v4+vnni": a level, and behind each '+' a feature */
    int width;     /* floats in a vector; channels in a block */
    const struct gemm_kernels *gemm;
    const struct convolve_kernels *convolve;
    const struct map_kernels *map;
    const struct reduce_kernels *reduce;
    const struct recur_kernels *recur;
    const struct quantize_kernels *quantize;
    const struct layout_kernels *layout;
};

/* Makes a level of its name and its own families. What it lacks is borrowed from `below` (or NULL), and a name that
 * begins with '+' is put behind that one's. False where the set is illegal: a family is missing everywhere, packs or
 * reads blocks by another width than the level's blocks have, or the name is too long. */
bool pick_compose(struct kernels *level, const struct kernels *below);
/* The best level this CPU and system run. */
const struct kernels *pick_best(void);
/* The level of this name if it exists and this CPU runs it, else NULL. */
const struct kernels *pick_named(const char *name);
/* Names of the levels this CPU runs, best first, NULL-ended. */
const char *const *pick_names(void);
/* All levels that were compiled in, best first, NULL-ended. */
const struct kernels *const *pick_all(void);
bool pick_runs(const struct kernels *level);
/* Of a core's second cache; 1 MiB where the system does not say. Decides about the order and the fetching of memory
 * alone: nothing that is packed, and no bit of a result, depends on it. */
int64_t pick_l2_bytes(void);

/* blas.c: c[m][n] = alpha a b + beta c, both sides known only at run time, row-major; one call per
 * item, never with a batch folded into m (the library's bits differ with m). */
void blas_gemm(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
               const float *b, int64_t ldb, float beta, float *c, int64_t ldc);

#endif
