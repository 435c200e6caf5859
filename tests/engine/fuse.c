/*
 * Fusing: fewer steps, the same answer. The unfused answer comes from the same network with what lies
 * between two nodes also being an output, which forbids every fusion. Tolerance 1e-5 relative to
 * 1 + |value|: a BatchNormalization folded into weights rounds elsewhere.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/small.h"

static void picture(struct small *s)
{
    small_input(s, "x", 4, DIMS(-1, 5, 9, 7));
    small_weights(s, "w", 4, DIMS(19, 5, 3, 3), 1);
    small_weights(s, "bias", 1, DIMS(19), 2);
}

static void batch_norm(struct small *s, const char *in, const char *out)
{
    small_weights(s, "scale", 1, DIMS(19), 3);
    small_weights(s, "shift", 1, DIMS(19), 4);
    small_weights(s, "mean", 1, DIMS(19), 5);
    float variance[19];
    for (int i = 0; i < 19; i++)
        variance[i] = 0.5f + 0.1f * (float)i;
    small_floats(s, "variance", 1, DIMS(19), variance);
    char inputs[80];
    snprintf(inputs, sizeof inputs, "%s,scale,shift,mean,variance", in);
    small_node(s, "BatchNormalization", inputs, out);
}

/* The nodes of a case; every name between is listed in `between`. */
struct sample {
    const char *name;
    void (*build)(struct small *s);
    const char *between[4];
    int fused_steps;
};

static void conv_relu(struct small *s)
{
    picture(s);
    small_node(s, "Conv", "x,w,bias", "a");
    small_node(s, "Relu", "a", "y");
}

static void conv_norm_relu(struct small *s)
{
    picture(s);
    small_node(s, "Conv", "x,w", "a");
    batch_norm(s, "a", "b");
    small_node(s, "Relu", "b", "y");
}

static void conv_residual(struct small *s)
{
    picture(s);
    small_weights(s, "w2", 4, DIMS(19, 5, 3, 3), 9);
    small_node(s, "Conv", "x,w,bias", "a");
    small_node(s, "Conv", "x,w2", "r");
    small_node(s, "Add", "a,r", "b");
    small_node(s, "Relu", "b", "y");
}

static void conv_silu(struct small *s)
{
    picture(s);
    small_node(s, "Conv", "x,w,bias", "a");
    small_node(s, "Sigmoid", "a", "b");
    small_node(s, "Mul", "a,b", "y");
}

static void conv_clip(struct small *s)
{
    picture(s);
    small_floats(s, "low", 0, NULL, (float[]){-0.5f});
    small_floats(s, "high", 0, NULL, (float[]){0.75f});
    small_node(s, "Conv", "x,w,bias", "a");
    small_node(s, "Clip", "a,low,high", "y");
}

/* x HardSigmoid(x); a network's own slope and offset where they are not those of HardSwish. */
static void conv_gate(struct small *s, float alpha, float beta, const char *product)
{
    struct proto gate = proto_node("HardSigmoid", "", "a", "b");
    picture(s);
    proto_attr_float(&gate, "alpha", alpha);
    proto_attr_float(&gate, "beta", beta);
    small_node(s, "Conv", "x,w,bias", "a");
    proto_add(&s->graph, GRAPH_NODE, gate);
    small_node(s, "Mul", product, "y");
}

static void conv_hardswish(struct small *s)
{
    conv_gate(s, 1.0f / 6, 0.5f, "a,b");
}

static void conv_hardswish_turned(struct small *s)
{
    conv_gate(s, 1.0f / 6, 0.5f, "b,a");
}

static void conv_gate_of_low_beta(struct small *s)
{
    conv_gate(s, 1.0f / 6, 0.4f, "a,b");
}

static void conv_gate_of_high_beta(struct small *s)
{
    conv_gate(s, 1.0f / 6, 0.6f, "a,b");
}

static void conv_gate_of_low_alpha(struct small *s)
{
    conv_gate(s, 0.1f, 0.5f, "a,b");
}

static void conv_gate_of_high_alpha(struct small *s)
{
    conv_gate(s, 0.2f, 0.5f, "a,b");
}

static void conv_gate_squared(struct small *s)
{
    conv_gate(s, 1.0f / 6, 0.5f, "b,b");
}

/* Both readers of `a` are what such a gate has, but the product is with something else. */
static void conv_gate_beside_a_product(struct small *s)
{
    small_weights(s, "other", 3, DIMS(19, 1, 1), 6);
    picture(s);
    small_node(s, "Conv", "x,w,bias", "a");
    small_node(s, "Sigmoid", "a", "b");
    small_node(s, "Mul", "a,other", "c");
    small_node(s, "Sub", "c,b", "y");
}

static void matmul_bias_tanh(struct small *s)
{
    small_input(s, "x", 2, DIMS(-1, 30));
    small_weights(s, "w", 2, DIMS(30, 21), 1);
    small_weights(s, "bias", 1, DIMS(21), 2);
    small_node(s, "MatMul", "x,w", "a");
    small_node(s, "Add", "bias,a", "b");
    small_node(s, "Tanh", "b", "y");
}

/* A number for each channel, and one for all. */
static void conv_arithmetic(struct small *s)
{
    picture(s);
    small_weights(s, "column", 3, DIMS(19, 1, 1), 6);
    small_weights(s, "plane", 4, DIMS(1, 19, 1, 1), 7);
    small_floats(s, "four", 0, NULL, (float[]){4});
    small_node(s, "Conv", "x,w,bias", "a");
    small_node(s, "Mul", "column,a", "b");
    small_node(s, "Sub", "b,plane", "c");
    small_node(s, "Div", "c,four", "y");
}

/* What is taken from a constant is no scale and shift that is known here. */
static void conv_turned_sub(struct small *s)
{
    picture(s);
    small_weights(s, "column", 3, DIMS(19, 1, 1), 6);
    small_node(s, "Conv", "x,w,bias", "a");
    small_node(s, "Sub", "column,a", "y");
}

static void conv_along_the_width(struct small *s)
{
    picture(s);
    small_weights(s, "line", 1, DIMS(5), 6);
    small_node(s, "Conv", "x,w,bias", "a");
    small_node(s, "Add", "a,line", "y");
}

static void conv_scaler(struct small *s)
{
    float bias[19];
    struct proto node = proto_node("ImageScaler", "", "a", "y");
    for (int i = 0; i < 19; i++)
        bias[i] = (float)i / 8 - 1;
    proto_attr_float(&node, "scale", 0.25f);
    proto_attr_floats(&node, "bias", 19, bias);
    picture(s);
    small_node(s, "Conv", "x,w,bias", "a");
    proto_add(&s->graph, GRAPH_NODE, node);
}

/* Its mean and variance are the batch's, whatever the file has as constants. */
static void conv_norm_in_training_form(struct small *s)
{
    s->opset = 15;
    picture(s);
    small_weights(s, "p", 1, DIMS(19), 3);
    small_floats(s, "v", 1, DIMS(19), (float[19]){1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1});
    small_node(s, "Conv", "x,w,bias", "a");
    small_node_int(s, "BatchNormalization", "a,p,p,p,v", "y", "training_mode", 1);
}

static const struct sample samples[] = {
    {"conv arithmetic", conv_arithmetic, {"a", "b", "c"}, 1},
    {"conv turned sub", conv_turned_sub, {"a"}, 2},
    {"conv along the width", conv_along_the_width, {"a"}, 2},
    {"conv scaler", conv_scaler, {"a"}, 1},
    {"conv norm in training form", conv_norm_in_training_form, {"a"}, 2},
    {"conv relu", conv_relu, {"a"}, 1},
    {"conv norm relu", conv_norm_relu, {"a", "b"}, 1},
    {"conv residual relu", conv_residual, {"a", "r", "b"}, 2},
    {"conv silu", conv_silu, {"a", "b"}, 1},
    {"conv clip", conv_clip, {"a"}, 1},
    {"conv hardswish", conv_hardswish, {"a", "b"}, 1},
    {"conv hardswish, turned", conv_hardswish_turned, {"a", "b"}, 1},
    {"conv gate, beta 0.4", conv_gate_of_low_beta, {"a", "b"}, 3},
    {"conv gate, beta 0.6", conv_gate_of_high_beta, {"a", "b"}, 3},
    {"conv gate, alpha 0.1", conv_gate_of_low_alpha, {"a", "b"}, 3},
    {"conv gate, alpha 0.2", conv_gate_of_high_alpha, {"a", "b"}, 3},
    {"conv gate, squared", conv_gate_squared, {"a", "b"}, 2},
    {"conv gate beside a product", conv_gate_beside_a_product, {"a", "b", "c"}, 4},
    {"matmul bias tanh", matmul_bias_tanh, {"a", "b"}, 1},
};

static struct percept_model *open_sample(const struct sample *sample, bool apart)
{
    struct small s = small_begin();
    sample->build(&s);
    small_output(&s, "y", -1, NULL);
    for (int i = 0; apart && i < 4 && sample->between[i]; i++)
        small_output(&s, sample->between[i], -1, NULL);
    return small_open(&s);
}

START_TEST(fused_nodes_answer_what_single_ones_do)
{
    const struct sample *sample = &samples[_i];
    struct percept_model *fused = open_sample(sample, false), *apart = open_sample(sample, true);
    const struct percept_description d = small_describe(fused);
    ck_assert_msg(d.n_steps == sample->fused_steps, "%s: %d steps, expected %d", sample->name, d.n_steps,
                  sample->fused_steps);
    struct percept_session *one = small_session(fused);
    struct percept_session *other = small_session(apart);
    static float x[3 * 5 * 9 * 7];
    for (size_t i = 0; i < sizeof x / sizeof *x; i++)
        x[i] = sinf((float)i * 0.7f);
    int n;
    int rank = percept_inputs(fused, &n)->rank;
    int64_t dims[4] = {3, rank == 4 ? 5 : 30, 9, 7};
    const float *got = small_run(one, rank, dims, x);
    const float *want = small_run(other, rank, dims, x);
    struct percept_tensor y = percept_output(other, 0);
    int64_t count = 1;
    for (int d2 = 0; d2 < y.rank; d2++)
        count *= y.dims[d2];
    for (int64_t i = 0; i < count; i++)
        ck_assert_msg(fabsf(got[i] - want[i]) <= 1e-5f * (1 + fabsf(want[i])), "%s: element %d is %g, unfused %g",
                      sample->name, (int)i, (double)got[i], (double)want[i]);
    percept_session_free(one);
    percept_session_free(other);
    percept_close(fused);
    percept_close(apart);
}
END_TEST

/* An Add whose other side is broadcast over the batch is no residual. */
START_TEST(a_broadcast_addition_is_not_taken_for_a_residual)
{
    struct small s = small_begin();
    picture(&s);
    small_input(&s, "r", 4, DIMS(1, 19, 7, 5));
    small_output(&s, "y", -1, NULL);
    small_node(&s, "Conv", "x,w", "a");
    small_node(&s, "Add", "a,r", "y");
    struct percept_model *model = small_open(&s);
    struct percept_err err = {0};
    struct percept_session *session = small_session(model);
    ck_assert(percept_resize(session, 0, 4, DIMS(2, 5, 9, 7), &err));
    ck_assert_msg(percept_run(session, NULL, &err), "%s", err.text);
    ck_assert_int_eq(percept_output(session, 0).dims[0], 2);
    percept_session_free(session);
    percept_close(model);
}
END_TEST

/* Sums whose sides are of one shape at the lengths that a trial makes up, and spread at others: the sides' free axes
 * have names of their own. */
static const struct {
    const char *first, *inputs; /* the node before, and the sides of the sum */
    int rank;
    const char *names[2]; /* of the first axes of x and r */
    int64_t x[4], r[4];
} spread[] = {
    {"MatMul", "a,r", 2, {"n", "m"}, {3, 19}, {1, 19}},
    {"MatMul", "a,r", 2, {"n", "m"}, {1, 19}, {3, 19}},
    {"MatMul", "r,a", 2, {"n", "m"}, {3, 19}, {1, 19}},
    {"Gemm", "a,r", 2, {"n", "m"}, {1, 19}, {4, 19}},
    {"Conv", "a,r", 4, {"n", "m"}, {3, 19, 4, 4}, {1, 19, 4, 4}},
    {"Conv", "r,a", 4, {"n", "m"}, {2, 19, 4, 4}, {1, 19, 1, 1}},
    {"MatMul", "a,r", 2, {"n", "n"}, {3, 19}, {3, 19}},
};

START_TEST(what_may_be_spread_is_no_residual)
{
    struct small s = small_begin();
    const int rank = spread[_i].rank;
    const char *const inputs[] = {"x", "r"};
    for (int i = 0; i < 2; i++) {
        const int64_t dims[] = {-1, 19, -1, -1};
        proto_add(&s.graph, GRAPH_INPUT, proto_value_named(inputs[i], PERCEPT_FLOAT, rank, dims, spread[_i].names[i]));
    }
    small_output(&s, "y", -1, NULL);
    small_weights(&s, "w", rank, rank == 2 ? DIMS(19, 19) : DIMS(19, 19, 1, 1), 1);
    small_node(&s, spread[_i].first, "x,w", "a");
    small_node(&s, "Add", spread[_i].inputs, "y");
    struct percept_model *model = small_open(&s);
    struct percept_session *session = small_session(model);
    struct percept_err err = {0};
    ck_assert(percept_resize(session, 0, rank, spread[_i].x, &err));
    ck_assert(percept_resize(session, 1, rank, spread[_i].r, &err));
    ck_assert_msg(percept_run(session, NULL, &err), "%s", err.text);
    for (int d = 0; d < rank; d++) {
        const int64_t x = spread[_i].x[d], r = spread[_i].r[d];
        ck_assert_int_eq(percept_output(session, 0).dims[d], x > r ? x : r);
    }
    const bool alike = memcmp(spread[_i].x, spread[_i].r, sizeof spread[_i].x) == 0;
    ck_assert_int_eq(small_describe(model).n_steps, alike ? 1 : 2); /* with one name it is a residual */
    percept_session_free(session);
    percept_close(model);
}
END_TEST

/* Before opset 7 an axis says where the second operand lies: here along the rows. */
START_TEST(a_vector_along_another_axis_is_no_bias)
{
    for (int64_t axis = 0; axis < 2; axis++) {
        struct small s = small_begin();
        s.opset = 6;
        small_input(&s, "x", 2, DIMS(3, 3));
        small_output(&s, "y", -1, NULL);
        small_floats(&s, "w", 2, DIMS(3, 3), (float[]){1, 0, 0, 0, 1, 0, 0, 0, 1});
        small_floats(&s, "v", 1, DIMS(3), (float[]){1, 2, 3});
        small_node(&s, "MatMul", "x,w", "a");
        struct proto add = proto_node("Add", "", "a,v", "y");
        proto_attr_int(&add, "broadcast", 1);
        proto_attr_int(&add, "axis", axis);
        proto_add(&s.graph, GRAPH_NODE, add);
        struct percept_model *model = small_open(&s);
        struct percept_session *session = small_session(model);
        const float *y = small_run(session, 2, DIMS(3, 3), (float[9]){0});
        ck_assert_int_eq(small_describe(model).n_steps, axis ? 1 : 2);
        for (int i = 0; i < 9; i++)
            ck_assert_float_eq(y[i], (float)(axis ? i % 3 : i / 3) + 1);
        percept_session_free(session);
        percept_close(model);
    }
}
END_TEST

START_TEST(bodies_are_fused_as_well)
{
    struct small s = small_xy(2, DIMS(1, 3));
    struct proto choice = proto_node("If", "", "yes", "y");
    static const char *const branches[] = {"then_branch", "else_branch"};
    small_weights(&s, "w", 2, DIMS(3, 4), 1);
    small_floats(&s, "limit", 0, NULL, (float[]){0});
    small_nodes(&s, "ReduceSum x > sum; Squeeze sum > one; Less one,limit > yes");
    for (int i = 0; i < 2; i++) {
        struct proto body = {0};
        proto_add(&body, GRAPH_NODE, proto_node("MatMul", "", "x,w", "product"));
        proto_add(&body, GRAPH_NODE, proto_node("Relu", "", "product", "out"));
        proto_add(&body, GRAPH_OUTPUT, proto_value("out", PERCEPT_FLOAT, -1, NULL));
        proto_attr_message(&choice, branches[i], ATTR_GRAPH, ATTRIBUTE_G, body);
    }
    proto_add(&s.graph, GRAPH_NODE, choice);
    struct percept_model *model = small_open(&s);
    ck_assert_int_eq(small_describe(model).n_fused, 2);
    percept_close(model);
}
END_TEST

Suite *engine_fuse_suite(void);
Suite *engine_fuse_suite(void)
{
    Suite *suite = suite_create("engine_fuse");
    TCase *tests = tcase_create("fuse");
    tcase_add_loop_test(tests, fused_nodes_answer_what_single_ones_do, 0, (int)(sizeof samples / sizeof *samples));
    tcase_add_test(tests, a_broadcast_addition_is_not_taken_for_a_residual);
    tcase_add_test(tests, a_vector_along_another_axis_is_no_bias);
    tcase_add_loop_test(tests, what_may_be_spread_is_no_residual, 0, (int)(sizeof spread / sizeof *spread));
    tcase_add_test(tests, bodies_are_fused_as_well);
    suite_add_tcase(suite, tests);
    return suite;
}
