/*
 * gen_quant.c - models of the quantized operators, ONNX's and com.microsoft's. A result that was rounded
 * to an integer may differ by one where the float before it lies at a half; scales are powers of two or
 * the inputs such that products are exact, so that there is no such doubt.
 */
#include <math.h>
#include <string.h>

#include "differential/families.h"

static bool is(const struct example *e, const char *op)
{
    return strcmp(e->op, op) == 0;
}

/* One scale or one per channel: powers of two. */
static void scale(struct example *e, int64_t n, enum percept_dtype dtype)
{
    struct tensor *t = example_input(e, dtype, n ? 1 : 0, &n, 1, 1);
    for (int64_t i = 0; i < tensor_elements(t); i++)
        example_set(t, i, 1.0 / (double)(1 << example_int(e, 0, 4)));
    example_constant(e, 85);
}

static void zero_point(struct example *e, int64_t n, enum percept_dtype dtype, bool zero)
{
    example_input(e, dtype, n ? 1 : 0, &n,
                  zero                     ? 0
                  : dtype == PERCEPT_UINT8 ? 100
                                           : -20,
                  zero                     ? 0
                  : dtype == PERCEPT_UINT8 ? 150
                                           : 20);
    example_constant(e, 85);
}

static enum percept_dtype byte(struct example *e)
{
    return example_dtype(e, "cC");
}

void gen_quantize(struct example *e) /* QuantizeLinear */
{
    int64_t dims[RANK_MAX];
    int rank = (int)example_int(e, 1, 4), axis = (int)example_int(e, 0, rank - 1);
    bool channels = e->opset >= 13 && !*e->domain && example_chance(e, 40), zero = example_chance(e, 75);
    enum percept_dtype to = zero ? byte(e) : PERCEPT_UINT8;
    example_dims(e, rank, dims, 3);
    example_type(e, "f");
    example_input(e, PERCEPT_FLOAT, rank, dims, -40, 40);
    scale(e, channels ? dims[axis] : 0, PERCEPT_FLOAT);
    if (zero || *e->domain)
        zero_point(e, channels ? dims[axis] : 0, to, false);
    if (channels)
        example_attr(e, "axis", axis);
    example_output(e, to);
}

void gen_dequantize(struct example *e)
{
    int64_t dims[RANK_MAX];
    int rank = (int)example_int(e, 1, 4), axis = (int)example_int(e, 0, rank - 1);
    bool channels = e->opset >= 13 && !*e->domain && example_chance(e, 40), zero = example_chance(e, 75);
    enum percept_dtype from = *e->domain ? byte(e) : example_dtype(e, "cCcCi");
    example_dims(e, rank, dims, 3);
    example_type(e, "f");
    example_input(e, from, rank, dims, -200, 200);
    scale(e, channels ? dims[axis] : 0, PERCEPT_FLOAT);
    if (zero || *e->domain)
        zero_point(e, channels ? dims[axis] : 0, from, from == PERCEPT_INT32);
    if (channels)
        example_attr(e, "axis", axis);
    example_output(e, PERCEPT_FLOAT);
}

void gen_dynamic_quantize(struct example *e)
{
    int64_t dims[RANK_MAX];
    int rank = (int)example_int(e, 1, 4);
    example_dims(e, rank, dims, 0);
    example_input(e, PERCEPT_FLOAT, rank, dims, example_chance(e, 50) ? -3 : 0, 5);
    example_output(e, PERCEPT_UINT8);
    example_output(e, PERCEPT_FLOAT);
    example_output(e, PERCEPT_UINT8);
}

/* Shapes of a product: [.., m, k] and [k, n]. */
static void product(struct example *e, int64_t *a, int *rank, int64_t *b)
{
    *rank = (int)example_int(e, 2, 4);
    for (int i = 0; i < *rank; i++)
        a[i] = example_int(e, 1, 9);
    a[*rank - 1] = b[0] = example_int(e, 1, 40);
    b[1] = example_int(e, 1, 20);
}

void gen_matmul_integer(struct example *e) /* MatMulInteger, ms MatMulIntegerToFloat, DynamicQuantizeMatMul */
{
    int64_t a[RANK_MAX], b[2];
    int rank;
    product(e, a, &rank, b);
    bool dynamic = is(e, "DynamicQuantizeMatMul"), to_float = is(e, "MatMulIntegerToFloat");
    enum percept_dtype ta = dynamic ? PERCEPT_FLOAT : to_float ? PERCEPT_UINT8 : byte(e), tb = byte(e);
    e->type = PERCEPT_FLOAT;
    if (ta == PERCEPT_INT8)
        tb = PERCEPT_INT8; /* ONNX Runtime has no int8 times uint8 */
    example_input(e, ta, rank, a, dynamic ? -3 : -128, dynamic ? 3 : 255);
    example_input(e, tb, 2, b, -100, 100);
    example_constant(e, 80);
    if (to_float)
        scale(e, 0, PERCEPT_FLOAT);
    if (to_float || dynamic)
        scale(e, example_chance(e, 40) ? b[1] : 0, PERCEPT_FLOAT);
    if (!dynamic && example_chance(e, 70)) {
        zero_point(e, 0, ta, false);
        if (example_chance(e, 70))
            zero_point(e, 0, tb, false);
    } else if (dynamic && example_chance(e, 60))
        zero_point(e, 0, tb, false);
    e->absolute = 1e-4;
    example_output(e, dynamic || to_float ? PERCEPT_FLOAT : PERCEPT_INT32);
}

/* x, its scale and zero point */
static void quantized(struct example *e, enum percept_dtype dtype, int rank, const int64_t *dims, int64_t n)
{
    example_input(e, dtype, rank, dims, -128, 255);
    scale(e, n, PERCEPT_FLOAT);
    zero_point(e, n, dtype, false);
}

void gen_qlinear_matmul(struct example *e)
{
    int64_t a[RANK_MAX], b[2];
    int rank;
    product(e, a, &rank, b);
    enum percept_dtype ta = byte(e), tb = ta == PERCEPT_INT8 ? PERCEPT_INT8 : byte(e);
    e->type = PERCEPT_FLOAT;
    quantized(e, ta, rank, a, 0);
    quantized(e, tb, 2, b, 0);
    struct tensor *s = example_scalar(e, PERCEPT_FLOAT, 64);
    (void)s;
    example_constant(e, 85);
    zero_point(e, 0, ta, false);
    example_output(e, ta);
}

/* dims [N][C][spatial ...] := [N][spatial ...][C] */
static void channels_last(int rank, int64_t *dims)
{
    const int64_t channels = dims[1];
    memmove(dims + 1, dims + 2, (size_t)(rank - 2) * sizeof *dims);
    dims[rank - 1] = channels;
}

static int conv_shapes(struct example *e, int64_t *x, int64_t *w, int64_t *group)
{
    *group = example_chance(e, 70) ? 1 : example_int(e, 2, 3);
    w[0] = *group * example_int(e, 1, 6);
    w[1] = example_int(e, 1, 6);
    x[0] = example_int(e, 1, 2);
    x[1] = *group * w[1];
    const int rank = example_chance(e, 60) ? 4 : (int)example_int(e, 3, 5);
    for (int i = 2; i < rank; i++) {
        w[i] = example_int(e, 1, 3);
        x[i] = w[i] + example_int(e, 0, 5);
    }
    if (*group > 1)
        example_attr(e, "group", *group);
    if (example_chance(e, 50))
        example_attr_list(e, "strides", rank - 2, (int64_t[]){example_int(e, 1, 2), example_int(e, 1, 2), 1});
    if (example_chance(e, 50))
        example_attr_list(e, "pads", 2 * (rank - 2), (int64_t[]){1, 0, 1, 1, 0, 1});
    return rank;
}

void gen_conv_integer(struct example *e)
{
    int64_t x[5], w[5], group;
    int rank = conv_shapes(e, x, w, &group);
    e->type = PERCEPT_FLOAT;
    enum percept_dtype tx = PERCEPT_UINT8, tw = byte(e);
    example_input(e, tx, rank, x, 0, 255);
    example_input(e, tw, rank, w, -100, 100);
    example_constant(e, 80);
    if (example_chance(e, 70)) {
        zero_point(e, 0, tx, false);
        if (example_chance(e, 60))
            zero_point(e, 0, tw, false);
    }
    example_output(e, PERCEPT_INT32);
}

void gen_qlinear_conv(struct example *e) /* ONNX's, and ms with channels_last */
{
    int64_t x[5], w[5], group;
    int rank = conv_shapes(e, x, w, &group);
    enum percept_dtype tx = byte(e), tw = tx == PERCEPT_INT8 ? PERCEPT_INT8 : byte(e);
    bool channels = example_chance(e, 40);
    e->type = PERCEPT_FLOAT;
    if (*e->domain && example_chance(e, 80)) {
        example_attr(e, "channels_last", 1);
        channels_last(rank, x);
    }
    quantized(e, tx, rank, x, 0);
    example_input(e, tw, rank, w, -100, 100);
    e->in[e->n_in - 1].constant = true;
    scale(e, channels ? w[0] : 0, PERCEPT_FLOAT);
    zero_point(e, channels ? w[0] : 0, tw, tw == PERCEPT_INT8);
    example_scalar(e, PERCEPT_FLOAT, 32), example_constant(e, 100);
    zero_point(e, 0, tx, false);
    if (example_chance(e, 50))
        example_input(e, PERCEPT_INT32, 1, &w[0], -500, 500), example_constant(e, 100);
    example_output(e, tx);
}

void gen_qlinear_binary(struct example *e) /* ms QLinearAdd, QLinearMul */
{
    int64_t dims[RANK_MAX];
    int rank = (int)example_int(e, 1, 4);
    example_dims(e, rank, dims, 0);
    enum percept_dtype t = byte(e);
    quantized(e, t, rank, dims, 0);
    int drop = (int)example_int(e, 0, rank - 1);
    quantized(e, t, rank - drop, dims + drop, 0);
    example_scalar(e, PERCEPT_FLOAT, 1), example_constant(e, 85);
    zero_point(e, 0, t, false);
    example_output(e, t);
}

struct quantized_mean {
    int axis;
    bool keep;
    bool doubtful; /* a mean lies so near a half that the order of the sum decides */
};

/* The schema's words: "Dequantize(Input) -> ReduceMean on fp32 data -> Quantize(output)". */
static bool mean_oracle(const struct example *e, struct tensor *out)
{
    struct quantized_mean *mean = e->user;
    const struct tensor *x = &e->in[0].tensor;
    const double x_scale = example_get(&e->in[1].tensor, 0), y_scale = example_get(&e->in[3].tensor, 0);
    const double x_zero = example_get(&e->in[2].tensor, 0), y_zero = example_get(&e->in[4].tensor, 0);
    const double least = x->dtype == PERCEPT_INT8 ? -128 : 0, most = x->dtype == PERCEPT_INT8 ? 127 : 255;
    const int64_t n = x->dims[mean->axis], inner = tensor_span(x, mean->axis + 1, x->rank);
    int64_t dims[RANK_MAX];
    int rank = 0;
    for (int i = 0; i < x->rank; i++)
        if (i != mean->axis || mean->keep)
            dims[rank++] = i == mean->axis ? 1 : x->dims[i];
    out[0] = example_tensor(e->arena, x->dtype, rank, dims);
    for (int64_t i = 0; i < tensor_elements(&out[0]); i++) {
        double sum = 0;
        for (int64_t k = 0; k < n; k++)
            sum += example_get(x, (i / inner * n + k) * inner + i % inner) - x_zero;
        const double number = sum * x_scale / ((double)n * y_scale), part = number - floor(number);
        mean->doubtful |= part != 0.5 && fabs(part - 0.5) < 1e-4;
        example_set_int(&out[0], i, (int64_t)fmax(least, fmin(most, nearbyint(number) + y_zero)));
    }
    return true;
}

/* ONNX Runtime knows the schema and has no kernel; it is asked for the three steps. */
static void ask_in_steps(struct example *e, int64_t axis, bool keep)
{
    struct proto mean = proto_node("ReduceMean", "", "d", "m");
    proto_attr_ints(&mean, "axes", 1, &axis);
    proto_attr_int(&mean, "keepdims", keep);
    proto_add(&e->instead, GRAPH_NODE, proto_node("DequantizeLinear", "", "x0,x1,x2", "d"));
    proto_add(&e->instead, GRAPH_NODE, mean);
    proto_add(&e->instead, GRAPH_NODE, proto_node("QuantizeLinear", "", "m,x3,x4", "y0"));
}

/* Softmax of one element: 1, quantized. */
static bool one_oracle(const struct example *e, struct tensor *out)
{
    const struct tensor *x = &e->in[0].tensor;
    const double least = x->dtype == PERCEPT_INT8 ? -128 : 0;
    const double one = nearbyint(1 / example_get(&e->in[3].tensor, 0)) + example_get(&e->in[4].tensor, 0);
    out[0] = example_tensor(e->arena, x->dtype, x->rank, x->dims);
    for (int64_t i = 0; i < tensor_elements(x); i++)
        example_set_int(&out[0], i, (int64_t)fmax(least, fmin(least + 255, one)));
    return true;
}

static void average_window(struct example *e)
{
    example_attr_list(e, "kernel_shape", 2, (int64_t[]){2, 2});
    if (example_chance(e, 40))
        example_attr_list(e, "strides", 2, (int64_t[]){example_int(e, 1, 2), example_int(e, 1, 2)});
    if (example_chance(e, 40))
        example_attr_list(e, "pads", 4, (int64_t[]){example_int(e, 0, 1), example_int(e, 0, 1), 1, 0});
    if (example_chance(e, 40))
        example_attr(e, "count_include_pad", example_int(e, 0, 1));
    if (example_chance(e, 30))
        example_attr(e, "ceil_mode", example_int(e, 0, 1));
}

void gen_qlinear_unary(struct example *e) /* ms QLinearSigmoid, QLinearLeakyRelu, pools, softmax, mean */
{
    int64_t dims[RANK_MAX];
    enum percept_dtype t = byte(e);
    int rank = 4;
    example_dims(e, rank, dims, 0);
    for (int i = 2; i < 4; i++)
        dims[i] += 2;
    struct quantized_mean *mean = arena_alloc(e->arena, sizeof *mean);
    *mean = (struct quantized_mean){(int)example_int(e, 0, 3), example_chance(e, 50), false};
    if (is(e, "QLinearReduceMean"))
        dims[mean->axis] = example_int(e, 1, 20);
    const bool pool = is(e, "QLinearGlobalAveragePool") || is(e, "QLinearAveragePool");
    const bool last = pool && example_chance(e, 60);
    if (last)
        channels_last(rank, dims);
    quantized(e, t, rank, dims, 0);
    if (is(e, "QLinearReduceMean")) {
        example_attr_list(e, "axes", 1, (int64_t[]){mean->axis});
        e->user = mean;
        e->oracle = mean_oracle;
    }
    example_scalar(e, PERCEPT_FLOAT, is(e, "QLinearSoftmax") || is(e, "QLinearSigmoid") ? 1.0 / 256 : 1);
    example_constant(e, 85);
    zero_point(e, 0, t, false);
    if (is(e, "QLinearLeakyRelu"))
        example_attr_real(e, "alpha", 0.25);
    if (is(e, "QLinearAveragePool"))
        average_window(e);
    if (is(e, "QLinearSoftmax")) {
        int64_t axis = example_int(e, 0, 3);
        example_attr(e, "opset", 13);
        example_attr(e, "axis", axis);
        if (dims[axis] == 1)
            e->explained = "QLinearSoftmax of one element", e->oracle = one_oracle;
    }
    if (is(e, "QLinearReduceMean")) {
        struct tensor ours;
        for (int i = 1; i < 4 && example_chance(e, 30); i += 2) /* any scale, not only a power of two */
            example_set(&e->in[i].tensor, 0, example_real(e, 0.02, 1));
        example_attr(e, "keepdims", mean->keep);
        e->opset = e->opset > 17 ? (int)example_int(e, 13, 17) : e->opset;
        ask_in_steps(e, mean->axis, mean->keep);
        if (mean_oracle(e, &ours) && mean->doubtful)
            e->explained = "QLinearReduceMean beside a half";
    }
    if (pool)
        example_attr(e, "channels_last", last);
    example_output(e, t);
}

void gen_qlinear_concat(struct example *e)
{
    int64_t dims[RANK_MAX];
    enum percept_dtype t = byte(e);
    int rank = (int)example_int(e, 1, 4), n = (int)example_int(e, 1, 4), axis = (int)example_int(e, 0, rank - 1);
    example_dims(e, rank, dims, 0);
    example_scalar(e, PERCEPT_FLOAT, 1), example_constant(e, 100);
    zero_point(e, 0, t, false);
    e->in[e->n_in - 1].constant = true;
    for (int i = 0; i < n; i++) {
        dims[axis] = example_dim(e, 0);
        example_input(e, t, rank, dims, -128, 255);
        scale(e, 0, PERCEPT_FLOAT);
        e->in[e->n_in - 1].constant = true;
        zero_point(e, 0, t, false);
        e->in[e->n_in - 1].constant = true;
    }
    example_attr(e, "axis", axis);
    example_output(e, t);
}

void gen_qlinear_where(struct example *e)
{
    int64_t dims[RANK_MAX], side[RANK_MAX];
    enum percept_dtype t = byte(e);
    int rank = (int)example_int(e, 1, 4);
    example_dims(e, rank, dims, 0);
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < rank; k++)
            side[k] = example_chance(e, 15) ? 1 : dims[k];
        if (i == 0)
            example_input(e, PERCEPT_BOOL, rank, side, 0, 1);
        else
            quantized(e, t, rank, side, 0);
    }
    example_scalar(e, PERCEPT_FLOAT, example_chance(e, 50) ? 1 : 0.25);
    zero_point(e, 0, t, false);
    const bool constant = example_chance(e, 85); /* ONNX Runtime ends over parameters of which some are */
    for (int i = 2; i < e->n_in; i++)
        e->in[i].constant = i == 4 ? e->in[i].constant : constant;
    example_output(e, t);
}

void gen_qgemm(struct example *e)
{
    int64_t m = example_int(e, 1, 9), k = example_int(e, 1, 30), n = example_int(e, 1, 12);
    int tb = (int)example_int(e, 0, 1);
    enum percept_dtype t = byte(e);
    bool bias = example_chance(e, 50), quant = example_chance(e, 70);
    quantized(e, t, 2, (int64_t[]){m, k}, 0);
    quantized(e, t, 2, tb ? (int64_t[]){n, k} : (int64_t[]){k, n}, 0);
    if (bias)
        example_input(e, PERCEPT_INT32, 1, &n, -500, 500);
    else if (quant)
        example_left_out(e);
    if (quant) {
        example_scalar(e, PERCEPT_FLOAT, 64), example_constant(e, 85);
        zero_point(e, 0, t, false);
    }
    example_attr(e, "transB", tb);
    e->absolute = 1e-3;
    example_output(e, quant ? t : PERCEPT_FLOAT);
}

void gen_bias_gelu(struct example *e) /* ms BiasGelu, FastGelu, QuickGelu */
{
    int64_t dims[RANK_MAX];
    int rank = (int)example_int(e, 1, 4);
    example_dims(e, rank, dims, 0);
    example_input(e, PERCEPT_FLOAT, rank, dims, -6, 6);
    if (is(e, "BiasGelu") || (is(e, "FastGelu") && example_chance(e, 60)))
        example_input(e, PERCEPT_FLOAT, 1, &dims[rank - 1], -2, 2);
    if (is(e, "QuickGelu") && example_chance(e, 60))
        example_attr_real(e, "alpha", example_real(e, 0.5, 2));
    example_output(e, PERCEPT_FLOAT);
}

void gen_fused_conv(struct example *e)
{
    int64_t x[4], w[4], group;
    int rank = conv_shapes(e, x, w, &group);
    example_input(e, PERCEPT_FLOAT, rank, x, -1, 1);
    example_input(e, PERCEPT_FLOAT, rank, w, -1, 1);
    example_constant(e, 100);
    if (example_chance(e, 60))
        example_input(e, PERCEPT_FLOAT, 1, &w[0], -1, 1), example_constant(e, 100);
    if (example_chance(e, 80))
        example_attr_text(e, "activation", example_word(e, 3, (const char *const[]){"Relu", "Sigmoid", "Tanh"}));
    example_output(e, PERCEPT_FLOAT);
}
