/*
 * integers.c - tests of src/engine/integers.c: networks in the form QDQ become integer ones and answer as they did in
 * float. The float answer comes from the same network with what lies before QuantizeLinear also being an output, which
 * somebody else then reads. A number may fall on the other side of a half: one step of the scale, in few places.
 */
#include <check.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "engine/plan.h"
#include "engine/small.h"

/* Scale `NAME`s, zero point `NAME`z, one each. */
static void parameters(struct small *s, const char *name, float scale, int zero, bool is_signed)
{
    char text[16];
    snprintf(text, sizeof text, "%ss", name);
    small_floats(s, text, 0, NULL, &scale);
    snprintf(text, sizeof text, "%sz", name);
    proto_add(&s->graph, GRAPH_INITIALIZER,
              proto_tensor(text, is_signed ? PERCEPT_INT8 : PERCEPT_UINT8, 0, NULL, &(uint8_t){(uint8_t)zero}, 1));
}

/* int8 weights `w` with scales `ws` and zero points `wz` for each of n channels, an int32 bias `b` with `bs`. */
static void weights(struct small *s, int rank, const int64_t *dims, int64_t n, float x_scale, float error)
{
    enum { MOST = 4096 };
    int8_t w[MOST], zeros[MOST] = {0};
    int32_t b[MOST];
    float scales[MOST], bias_scales[MOST];
    size_t count = 1;
    for (int d = 0; d < rank; d++)
        count *= (size_t)dims[d];
    ck_assert_uint_le(count, MOST);
    for (size_t i = 0; i < count; i++)
        w[i] = (int8_t)((i * 2654435761u) >> 24);
    for (int64_t i = 0; i < n; i++) {
        scales[i] = 0.001f * (float)(i % 5 + 1);
        bias_scales[i] = scales[i] * x_scale * (1 + error);
        b[i] = (int32_t)(i * 37 % 200 - 100) * 20;
    }
    proto_add(&s->graph, GRAPH_INITIALIZER, proto_tensor("w", PERCEPT_INT8, rank, dims, w, count));
    proto_add(&s->graph, GRAPH_INITIALIZER, proto_tensor("wz", PERCEPT_INT8, 1, &n, zeros, (size_t)n));
    proto_add(&s->graph, GRAPH_INITIALIZER, proto_tensor("b", PERCEPT_INT32, 1, &n, b, (size_t)n * 4));
    small_floats(s, "ws", 1, &n, scales);
    small_floats(s, "bs", 1, &n, bias_scales);
}

struct sample {
    const char *nodes; /* from q (x quantized) to f, what the last QuantizeLinear reads */
    const char *op;    /* what it becomes; NULL: it stays float */
    int rank;          /* of weights: 4, 2 or 0 */
    float y_scale;
    int y_zero;
    bool is_signed;
    float bias_error;
};

#define DQ "DequantizeLinear q,xs,xz > a;"
#define DW "DequantizeLinear w,ws,wz > c axis=0;"
#define DB "DequantizeLinear b,bs > d axis=0;"

static const struct sample samples[] = {
    {DQ DW DB "Conv a,c,d > f pads=1,1,1,1", "QLinearConv", 4, 0.05f, 3, true, 0},
    {DQ DW "Conv a,c > f pads=1,1,1,1", "QLinearConv", 4, 0.05f, 130, false, 0},
    {DQ DW DB "Conv a,c,d > e pads=1,1,1,1; Relu e > f", "QLinearConv", 4, 0.03f, -128, true, 0},
    {DQ DW DB "Conv a,c,d > e pads=1,1,1,1; Relu e > f", NULL, 4, 0.03f, -120, true, 0}, /* would not be cut there */
    {DQ DW DB "Conv a,c,d > e pads=1,1,1,1; Clip e,low,high > f", "QLinearConv", 4, 6 / 255.0f, 0, false, 0},
    {DQ DW DB "Conv a,c,d > e pads=1,1,1,1; Clip e,low,high > f", NULL, 4, 0.05f, 0, false, 0},
    {DQ DW DB "Conv a,c,d > f pads=1,1,1,1", NULL, 4, 0.05f, 3, true, 0.01f}, /* the bias is in other units */
    {DQ "Add a,a > f", "QLinearAdd", 0, 0.1f, 3, true, 0},
    {DQ "Mul a,a > f", "QLinearMul", 0, 0.1f, 3, true, 0},
    {DQ "Add a,a > f", NULL, 0, 0.1f, 3, false, 0}, /* types differ */
    {DQ "Sigmoid a > f", "QLinearSigmoid", 0, 1 / 256.0f, -128, true, 0},
    {DQ "GlobalAveragePool a > f", "QLinearGlobalAveragePool", 0, 0.0237f, 0, true, 0}, /* no average lies half-way */
    {DQ "Concat a,a > f axis=1", "QLinearConcat", 0, 0.06f, 1, true, 0},
    {DQ "MaxPool a > f kernel_shape=2,2", "MaxPool", 0, 0.04f, 5, true, 0},
    {DQ "MaxPool a > f kernel_shape=2,2", NULL, 0, 0.04f, 6, true, 0}, /* numbers change */
    {DQ "Flatten a > e; Identity e > f", NULL, 0, 0.04f, 5, true, 0},
    {DQ DW DB "Flatten a > g; QuantizeLinear g,xs,xz > h; DequantizeLinear h,xs,xz > i; Gemm i,c,d > f transB=1",
     "QGemm", 2, 0.2f, 3, true, 0},
};

static struct percept_model *open_sample(const struct sample *sample, bool apart)
{
    struct small s = small_xy(4, DIMS(-1, 6, 5, 4));
    if (apart)
        small_output(&s, "f", -1, NULL);
    parameters(&s, "x", 0.04f, 5, true);
    parameters(&s, "y", sample->y_scale, sample->y_zero, sample->is_signed);
    small_floats(&s, "low", 0, NULL, &(float){0});
    small_floats(&s, "high", 0, NULL, &(float){6});
    if (sample->rank == 4)
        weights(&s, 4, DIMS(7, 6, 3, 3), 7, 0.04f, sample->bias_error);
    if (sample->rank == 2)
        weights(&s, 2, DIMS(9, 120), 9, 0.04f, sample->bias_error);
    small_nodes(&s, "QuantizeLinear x,xs,xz > q");
    small_nodes(&s, sample->nodes);
    small_nodes(&s, "QuantizeLinear f,ys,yz > r; DequantizeLinear r,ys,yz > y");
    return small_open(&s);
}

static void check_answers(struct percept_model *integer, struct percept_model *plain, float step)
{
    float x[2 * 6 * 5 * 4];
    for (int i = 0; i < 240; i++)
        x[i] = (float)((i * 7919) % 241 - 120) / 24.0f;
    struct percept_session *ours = small_session(integer), *theirs = small_session(plain);
    const float *got = small_run(ours, 4, DIMS(2, 6, 5, 4), x), *want = small_run(theirs, 4, DIMS(2, 6, 5, 4), x);
    const struct percept_tensor y = percept_output(ours, 0);
    size_t n = 1, n_off = 0;
    for (int d = 0; d < y.rank; d++)
        n *= (size_t)y.dims[d];
    for (size_t i = 0; i < n; i++) {
        ck_assert_msg(fabsf(got[i] - want[i]) < 1.5f * step, "at %zu: %g, want %g", i, (double)got[i], (double)want[i]);
        n_off += fabsf(got[i] - want[i]) > 0.5f * step;
    }
    ck_assert_uint_le(n_off, n / 50);
    percept_session_free(ours);
    percept_session_free(theirs);
}

START_TEST(operators_between_become_integer_ones)
{
    const struct sample *sample = &samples[_i];
    struct percept_model *integer = open_sample(sample, false), *plain = open_sample(sample, true);
    struct plan plan;
    small_plan(&plan, integer, 4, DIMS(2, 6, 5, 4));
    if (sample->op)
        ck_assert_msg(small_step(&plan, sample->op) != NULL, "%s: no %s", sample->nodes, sample->op);
    else
        ck_assert_msg(small_step(&plan, "QLinearConv") == NULL && small_step(&plan, "QLinearAdd") == NULL &&
                          small_step(&plan, "QGemm") == NULL,
                      "%s", sample->nodes);
    plan_free(&plan);
    check_answers(integer, plain, sample->y_scale);
    percept_close(integer);
    percept_close(plain);
}
END_TEST

Suite *engine_integers_suite(void);

Suite *engine_integers_suite(void)
{
    Suite *suite = suite_create("engine_integers");
    TCase *tcase = tcase_create("integers");
    tcase_add_loop_test(tcase, operators_between_become_integer_ones, 0, sizeof samples / sizeof *samples);
    suite_add_tcase(suite, tcase);
    return suite;
}
