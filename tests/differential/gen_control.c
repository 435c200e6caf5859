/*
 * gen_control.c - models with bodies (If, Loop, Scan), of random numbers (type and shape alone can be
 * compared), and of signals (windows, DFT, STFT, MelWeightMatrix).
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "differential/families.h"

static void any(struct proto *graph, uint32_t tag, const char *name, enum percept_dtype dtype)
{
    proto_add(graph, tag, proto_value(name, dtype, -1, NULL));
}

static void body_attr(struct example *e, const char *name, struct proto body)
{
    proto_text(&body, GRAPH_NAME, name);
    proto_attr_message(&e->attributes, name, ATTR_GRAPH, ATTRIBUTE_G, body);
}

static const char *const unary_ops[] = {"Neg", "Abs", "Tanh", "Sigmoid", "Relu", "Exp"};

static struct proto branch(struct example *e, const char *input)
{
    struct proto body = {0};
    const char *op = example_word(e, 6, unary_ops);
    proto_add(&body, GRAPH_NODE, proto_node(op, "b", input, "b0"));
    if (example_chance(e, 50)) {
        char both[32];
        snprintf(both, sizeof both, "b0,%s", input);
        proto_add(&body, GRAPH_NODE, proto_node(example_chance(e, 50) ? "Add" : "Mul", "c", both, "b1"));
        any(&body, GRAPH_OUTPUT, "b1", PERCEPT_FLOAT);
    } else
        any(&body, GRAPH_OUTPUT, "b0", PERCEPT_FLOAT);
    example_note(e, " %s", op);
    return body;
}

/* The condition is an input or a constant; the branches read an outer value. */
void gen_if(struct example *e)
{
    int64_t dims[RANK_MAX];
    int rank = (int)example_int(e, 0, 4);
    example_dims(e, rank, dims, 3);
    example_input(e, PERCEPT_BOOL, (int)example_int(e, 0, 1), (int64_t[]){1}, 0, 1);
    example_constant(e, 30);
    body_attr(e, "then_branch", branch(e, "outer"));
    body_attr(e, "else_branch", branch(e, "outer"));
    struct tensor outer = example_tensor(e->arena, PERCEPT_FLOAT, rank, dims);
    for (int64_t i = 0; i < tensor_elements(&outer); i++)
        example_set(&outer, i, example_real(e, -2, 2));
    proto_add(
        &e->constants, GRAPH_INITIALIZER,
        proto_tensor("outer", PERCEPT_FLOAT, rank, dims, outer.data, (size_t)tensor_elements(&outer) * sizeof(float)));
    example_output(e, PERCEPT_FLOAT);
}

/* v' = op(v) + x1's neighbour; also gathers v' of every turn; may stop early by its condition. */
void gen_loop(struct example *e)
{
    int64_t dims[RANK_MAX];
    int rank = (int)example_int(e, 0, 3);
    example_dims(e, rank, dims, 0);
    bool counted = example_chance(e, 80), scan = example_chance(e, 60);
    int64_t trips = example_int(e, 0, 6);
    if (counted)
        example_scalar(e, PERCEPT_INT64, (double)trips), example_constant(e, 50);
    else
        example_left_out(e);
    if (!counted || example_chance(e, 50))
        example_scalar(e, PERCEPT_BOOL, example_chance(e, 85)), example_constant(e, 30);
    else
        example_left_out(e);
    example_input(e, PERCEPT_FLOAT, rank, dims, -2, 2);
    struct proto body = {0};
    int64_t limit = counted ? example_int(e, 1, 8) : example_int(e, 1, 5);
    proto_add(&body, GRAPH_INITIALIZER, proto_tensor("limit", PERCEPT_INT64, 0, NULL, &limit, sizeof limit));
    const char *op = example_word(e, 5, unary_ops);
    proto_add(&body, GRAPH_NODE, proto_node("Less", "l", "i,limit", "go"));
    proto_add(&body, GRAPH_NODE, proto_node(op, "o", "v", "w"));
    proto_add(&body, GRAPH_NODE, proto_node("Add", "a", "w,v", "u"));
    proto_add(&body, GRAPH_INPUT, proto_value("i", PERCEPT_INT64, 0, NULL));
    proto_add(&body, GRAPH_INPUT, proto_value("go_in", PERCEPT_BOOL, 0, NULL));
    any(&body, GRAPH_INPUT, "v", PERCEPT_FLOAT);
    any(&body, GRAPH_OUTPUT, "go", PERCEPT_BOOL);
    any(&body, GRAPH_OUTPUT, "u", PERCEPT_FLOAT);
    if (scan) {
        proto_add(&body, GRAPH_NODE, proto_node("Identity", "s", "w", "kept"));
        any(&body, GRAPH_OUTPUT, "kept", PERCEPT_FLOAT);
    }
    body_attr(e, "body", body);
    example_note(e, " %s trips=%d limit=%d", op, counted ? (int)trips : -1, (int)limit);
    example_output(e, PERCEPT_FLOAT);
    if (scan)
        example_output(e, PERCEPT_FLOAT);
}

/* A running sum with a function in it. Opset 8 has a batch axis and lengths; 9 has axes. */
void gen_scan(struct example *e)
{
    int64_t dims[RANK_MAX], state[RANK_MAX];
    if (example_chance(e, 20))
        e->opset = 8;
    bool old = e->opset < 9, backwards = example_chance(e, 35), out_back = example_chance(e, 35);
    int rank = (int)example_int(e, 1, 3), axis = old ? 0 : (int)example_int(e, 0, rank - 1), n = 0;
    int64_t batch = example_int(e, 1, 2);
    example_dims(e, rank, dims, 0);
    if (old) {
        if (example_chance(e, 40))
            example_left_out(e);
        else
            example_input(e, PERCEPT_INT64, 1, &batch, 1, (double)dims[0]);
        state[n++] = batch;
    }
    for (int i = 0; i < rank; i++)
        if (i != axis)
            state[n++] = dims[i];
    example_input(e, PERCEPT_FLOAT, n, state, -2, 2);
    if (old) {
        int64_t with[RANK_MAX] = {batch};
        memcpy(with + 1, dims, (size_t)rank * sizeof *dims);
        example_input(e, PERCEPT_FLOAT, rank + 1, with, -2, 2);
    } else
        example_input(e, PERCEPT_FLOAT, rank, dims, -2, 2);
    struct proto body = {0};
    proto_add(&body, GRAPH_NODE, proto_node(example_word(e, 5, unary_ops), "o", "v", "w"));
    proto_add(&body, GRAPH_NODE, proto_node("Add", "a", "w,x", "u"));
    proto_add(&body, GRAPH_NODE, proto_node("Mul", "m", "w,x", "k"));
    any(&body, GRAPH_INPUT, "v", PERCEPT_FLOAT);
    any(&body, GRAPH_INPUT, "x", PERCEPT_FLOAT);
    any(&body, GRAPH_OUTPUT, "u", PERCEPT_FLOAT);
    any(&body, GRAPH_OUTPUT, "k", PERCEPT_FLOAT);
    body_attr(e, "body", body);
    example_attr(e, "num_scan_inputs", 1);
    if (old && backwards)
        example_attr_list(e, "directions", 1, (int64_t[]){1});
    if (!old) {
        if (axis)
            example_attr_list(e, "scan_input_axes", 1, (int64_t[]){axis});
        if (backwards)
            example_attr_list(e, "scan_input_directions", 1, (int64_t[]){1});
        if (out_back)
            example_attr_list(e, "scan_output_directions", 1, (int64_t[]){1});
        if (example_chance(e, 30) && rank > 1)
            example_attr_list(e, "scan_output_axes", 1, (int64_t[]){rank - 1});
    }
    e->absolute = 1e-4;
    example_output(e, PERCEPT_FLOAT);
    example_output(e, PERCEPT_FLOAT);
}

/* --- random numbers ----------------------------------------------------------------------------------------------- */

void gen_random(struct example *e) /* RandomNormal, RandomUniform, their Like, Bernoulli */
{
    int64_t dims[RANK_MAX];
    int rank = (int)example_int(e, 0, 4);
    bool like = strstr(e->op, "Like"), bernoulli = strcmp(e->op, "Bernoulli") == 0, normal = strstr(e->op, "Normal");
    example_dims(e, rank, dims, 3);
    enum percept_dtype out = PERCEPT_FLOAT;
    e->type = PERCEPT_FLOAT;
    if (like || bernoulli)
        example_input(e, out = example_dtype(e, "fffd"), rank, dims, 0, 1);
    else
        example_attr_list(e, "shape", rank, dims);
    if (example_chance(e, 40))
        example_attr(e, "dtype", out = example_dtype(e, bernoulli ? "fdil?" : "fd"));
    if (example_chance(e, 50))
        example_attr_real(e, "seed", 3);
    if (!bernoulli && example_chance(e, 50)) {
        example_attr_real(e, normal ? "mean" : "low", -2);
        example_attr_real(e, normal ? "scale" : "high", 3);
    }
    e->never_widen = true;
    e->shapes_only = true;
    example_output(e, out);
}

/* Numbers are compared where one class has all the weight. */
void gen_multinomial(struct example *e)
{
    const int64_t dims[] = {example_int(e, 1, 4), example_int(e, 1, 9)}, n = example_int(e, 1, 12);
    const bool sure = example_chance(e, 50);
    e->type = PERCEPT_FLOAT;
    e->never_widen = true;
    struct tensor *x = example_input(e, PERCEPT_FLOAT, 2, dims, -3, 3);
    for (int64_t i = 0; sure && i < dims[0]; i++)
        for (int64_t k = 0, only = example_int(e, 0, dims[1] - 1); k < dims[1]; k++)
            example_set(x, i * dims[1] + k,
                        k == only               ? example_real(e, -900, 900)
                        : example_chance(e, 50) ? (double)-INFINITY
                                                : -3000);
    if (n > 1 || example_chance(e, 50))
        example_attr(e, "sample_size", n);
    if (example_chance(e, 50))
        example_attr_real(e, "seed", 3);
    enum percept_dtype out = PERCEPT_INT32;
    if (example_chance(e, 60))
        example_attr(e, "dtype", out = example_dtype(e, "il"));
    e->shapes_only = !sure;
    example_output(e, out);
}

/* --- signals ------------------------------------------------------------------------------------------------------ */

void gen_window_function(struct example *e) /* HannWindow, HammingWindow, BlackmanWindow */
{
    e->type = PERCEPT_UNDEFINED;
    e->never_widen = true;
    example_scalar(e, example_dtype(e, "il"), (double)example_int(e, 2, 40));
    example_constant(e, 70);
    if (example_chance(e, 60))
        example_attr(e, "periodic", example_int(e, 0, 1));
    enum percept_dtype out = PERCEPT_FLOAT;
    if (example_chance(e, 30))
        example_attr(e, "output_datatype", out = example_dtype(e, "fd"));
    e->float_inside = true; /* the functions' constants */
    example_output(e, out);
}

void gen_dft(struct example *e)
{
    int64_t dims[RANK_MAX];
    int rank = (int)example_int(e, 2, 4), axis = (int)example_int(e, 0, rank - 2);
    bool as_input = e->opset >= 20, inverse = example_chance(e, 30), onesided = example_chance(e, 40);
    example_dims(e, rank, dims, 0);
    dims[rank - 1] = (onesided || example_chance(e, 50)) && !inverse ? 1 : 2;
    example_type(e, "fffd");
    e->float_inside = inverse; /* the factor 1 / n */
    example_input(e, e->type, rank, dims, -2, 2);
    /* One side has as many bins as the length: README, where the texts leave room. */
    const bool side = inverse && onesided;
    if (example_chance(e, 40) || (side && dims[axis] < 2))
        example_scalar(e, PERCEPT_INT64,
                       (double)(side && dims[axis] > 1 ? 2 * dims[axis] - example_int(e, 1, 2)
                                                       : example_int(e, 1, side ? 1 : 20))),
            example_constant(e, 80);
    else if (as_input)
        example_left_out(e);
    if (as_input)
        example_scalar(e, PERCEPT_INT64, (double)axis), example_constant(e, 80);
    else
        example_attr(e, "axis", axis);
    if (inverse)
        example_attr(e, "inverse", 1);
    if (onesided)
        example_attr(e, "onesided", 1);
    e->absolute = 1e-4;
    example_output(e, e->type);
}

/* The definition: every frame times the window, then sum over n of x_n e^(-2 pi i k n / N). */
static bool stft_oracle(const struct example *e, struct tensor *out)
{
    const struct tensor *x = &e->in[0].tensor, *window = e->in[2].left_out ? NULL : &e->in[2].tensor;
    const int64_t step = example_get_int(&e->in[1].tensor, 0), parts = x->rank == 2 ? 1 : x->dims[2];
    const int64_t n = window ? window->dims[0] : example_get_int(&e->in[3].tensor, 0);
    const int64_t frames = (x->dims[1] - n) / step + 1, *onesided = e->user;
    const int64_t bins = *onesided ? n / 2 + 1 : n;
    out[0] = example_tensor(e->arena, e->type, 4, (int64_t[]){x->dims[0], frames, bins, 2});
    for (int64_t at = 0; at < x->dims[0] * frames * bins; at++) {
        const int64_t k = at % bins, from = at / bins / frames * x->dims[1] + at / bins % frames * step;
        double real = 0, imaginary = 0;
        for (int64_t i = 0; i < n; i++) {
            const double w = window ? example_get(window, i) : 1;
            const double a = -6.283185307179586 * (double)(k * i % n) / (double)n;
            const double re = w * example_get(x, (from + i) * parts);
            const double im = parts == 2 ? w * example_get(x, (from + i) * parts + 1) : 0;
            real += re * cos(a) - im * sin(a);
            imaginary += re * sin(a) + im * cos(a);
        }
        example_set(&out[0], 2 * at, real);
        example_set(&out[0], 2 * at + 1, imaginary);
    }
    return true;
}

void gen_stft(struct example *e)
{
    int64_t *onesided = arena_array(e->arena, 1, sizeof *onesided);
    int64_t batch = example_int(e, 1, 3), length = example_int(e, 8, 40), frame = example_int(e, 2, 8);
    bool window = example_chance(e, 60), complex = example_chance(e, 25);
    example_type(e, "fffd");
    const int rank = !complex && example_chance(e, 30) ? 2 : 3; /* 2: as PyTorch's exporter has it */
    example_input(e, e->type, rank, (int64_t[]){batch, length, complex ? 2 : 1}, -2, 2);
    example_scalar(e, PERCEPT_INT64, (double)example_int(e, 1, 5)), example_constant(e, 80);
    if (window)
        example_input(e, e->type, 1, &frame, 0, 1), example_constant(e, 70);
    else
        example_left_out(e);
    if (!window || example_chance(e, 60))
        example_scalar(e, PERCEPT_INT64, (double)frame), example_constant(e, 80);
    *onesided = complex ? 0 : example_int(e, 0, 1);
    example_attr(e, "onesided", *onesided);
    e->user = onesided;
    e->oracle = stft_oracle;
    if (complex && window)
        e->explained = "STFT of complex numbers with a window";
    e->absolute = 1e-4;
    example_output(e, e->type);
}

void gen_mel(struct example *e)
{
    e->type = PERCEPT_UNDEFINED;
    e->never_widen = true;
    bool constant = example_chance(e, 70);
    double values[] = {(double)example_int(e, 2, 12), (double)(2 * example_int(e, 8, 64)), 8000};
    for (int i = 0; i < 3; i++)
        example_scalar(e, PERCEPT_INT64, values[i]), example_constant(e, constant ? 100 : 0);
    example_scalar(e, PERCEPT_FLOAT, example_real(e, 0, 300)), example_constant(e, constant ? 100 : 0);
    example_scalar(e, PERCEPT_FLOAT, example_real(e, 2000, 4000)), example_constant(e, constant ? 100 : 0);
    example_output(e, PERCEPT_FLOAT);
}
