/*
 * integers.c - networks in the form "QDQ", where a quantizer has put each float operator between DequantizeLinear and
 * QuantizeLinear:
 *
 *     x -> DequantizeLinear -+
 *     w -> DequantizeLinear -+-> Conv -> Relu -> QuantizeLinear -> y       becomes       QLinearConv(x, w, b) -> y
 *     b -> DequantizeLinear -+
 *
 * That is what such a network means: numbers of 8 bits are multiplied and summed exactly and rounded once. In float the
 * same sums are rounded on their way, and cost four times as much. A table says which operator becomes which; what only
 * moves numbers moves bytes. Relu and Clip before QuantizeLinear are what its saturation does, where its range ends
 * there. A product that nobody quantizes gives floats.
 *
 * Joined is only what has constant scales and zero points, one for each tensor of activations, and a value between that
 * nobody else reads. Everything else is left as it is, and computed in float. This happens to graphs of names, before
 * operators are looked up: the file's own QLinearConv and one that was made here are the same from then on. Bodies of
 * If and Loop are left alone.
 *
 * Thread: the loader.
 */
#include "engine/integers.h"

#include <math.h>
#include <string.h>

enum form {
    FORM_CONV,    /* x w [bias] -> x xs xz w ws wz ys yz [bias] */
    FORM_GEMM,    /* a b [c] -> a as az b bs bz [c] [ys yz] */
    FORM_MATMUL,  /* a b -> a as az b bs bz ys yz */
    FORM_PAIR,    /* the same, both sides activations */
    FORM_ONE,     /* x -> x xs xz ys yz */
    FORM_CONCAT,  /* x.. -> ys yz [x xs xz].. */
    FORM_MOVE,    /* the same operator, on bytes */
    FORM_SATURATE /* goes away where QuantizeLinear saturates as it does */
};

static const struct row {
    const char *name, *integer;
    enum form form;
    bool ours; /* ONNX's own, or com.microsoft's */
} rows[] = {
    {"Conv", "QLinearConv", FORM_CONV, true},
    {"Gemm", "QGemm", FORM_GEMM, false},
    {"MatMul", "QLinearMatMul", FORM_MATMUL, true},
    {"Add", "QLinearAdd", FORM_PAIR, false},
    {"Mul", "QLinearMul", FORM_PAIR, false},
    {"AveragePool", "QLinearAveragePool", FORM_ONE, false},
    {"GlobalAveragePool", "QLinearGlobalAveragePool", FORM_ONE, false},
    {"LeakyRelu", "QLinearLeakyRelu", FORM_ONE, false},
    {"Sigmoid", "QLinearSigmoid", FORM_ONE, false},
    {"Concat", "QLinearConcat", FORM_CONCAT, false},
    {"MaxPool", NULL, FORM_MOVE, true},
    {"Reshape", NULL, FORM_MOVE, true},
    {"Flatten", NULL, FORM_MOVE, true},
    {"Transpose", NULL, FORM_MOVE, true},
    {"Squeeze", NULL, FORM_MOVE, true},
    {"Unsqueeze", NULL, FORM_MOVE, true},
    {"Relu", NULL, FORM_SATURATE, true},
    {"Clip", NULL, FORM_SATURATE, true},
};

/* Numbers with what they stand for: inputs of a DequantizeLinear, parameters of a QuantizeLinear. */
struct numbers {
    int q, scale, zero; /* values */
    const struct tensor *scales, *zeros;
    int64_t axis;
};

struct joiner {
    struct graph *graph;
    struct arena *arena, *load;
    bool failed; /* memory is short, or a constant could not be read */
};

static const struct row *row_of(const struct node *node)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (bytes_size(node->domain) == 0 && bytes_is(node->op_type, rows[i].name))
            return &rows[i];
    return NULL;
}

static const struct tensor *constant(struct joiner *j, int value)
{
    bool ok = true;
    const struct tensor *t = value >= 0 ? graph_constant(j->graph, value, j->load, &ok) : NULL;
    j->failed = j->failed || !ok;
    return t;
}

/* Of what is not read here, the weights: no data. */
static const struct tensor *declared(const struct joiner *j, int value)
{
    return value >= 0 ? j->graph->values[value].constant : NULL;
}

static bool is_small(enum percept_dtype dtype)
{
    return dtype == PERCEPT_INT8 || dtype == PERCEPT_UINT8;
}

/* A node of this kind with constant parameters: (x, scale, zero). */
static bool numbers_of(struct joiner *j, const struct node *node, const char *kind, struct numbers *n)
{
    if (node->removed || !bytes_is(node->op_type, kind) || node->n_in < 2 || node->n_out != 1 || node->out[0] < 0)
        return false;
    const struct attr *axis = graph_attr(node, "axis"), *block = graph_attr(node, "block_size");
    *n = (struct numbers){.q = node->in[0],
                          .scale = node->in[1],
                          .zero = node->n_in > 2 ? node->in[2] : -1,
                          .scales = constant(j, node->in[1]),
                          .zeros = node->n_in > 2 ? constant(j, node->in[2]) : NULL,
                          .axis = axis ? axis->i : 1};
    return n->q >= 0 && n->scales && n->scales->dtype == PERCEPT_FLOAT && n->scales->rank <= 1 &&
           (n->zero < 0 || n->zeros) && !(block && block->i != 0);
}

/* What stands behind a float value: 8-bit numbers with a zero point, one for all. */
static bool activation(struct joiner *j, int value, struct numbers *n)
{
    const int producer = value >= 0 ? j->graph->values[value].producer : -1;
    return producer >= 0 && numbers_of(j, &j->graph->nodes[producer], "DequantizeLinear", n) &&
           tensor_elements(n->scales) == 1 && n->zeros && tensor_elements(n->zeros) == 1 && is_small(n->zeros->dtype);
}

/* The same of constant weights, whose channels lie along this axis. */
static bool weights(struct joiner *j, int value, int64_t axis, struct numbers *n)
{
    const int producer = value >= 0 ? j->graph->values[value].producer : -1;
    if (producer < 0 || !numbers_of(j, &j->graph->nodes[producer], "DequantizeLinear", n))
        return false;
    const struct tensor *w = declared(j, n->q);
    if (!w || !n->zeros || n->zeros->dtype != w->dtype || !is_small(w->dtype) || w->rank < 2)
        return false;
    const int64_t given = n->axis < 0 ? n->axis + w->rank : n->axis, count = tensor_elements(n->scales);
    return tensor_elements(n->zeros) == count && (count == 1 || (given == axis && count == w->dims[axis]));
}

/* A constant bias in units of the products. */
static bool bias(struct joiner *j, int value, const struct numbers *x, const struct numbers *w, int64_t channels,
                 int *q)
{
    struct numbers n;
    const int producer = j->graph->values[value].producer;
    if (producer < 0 || !numbers_of(j, &j->graph->nodes[producer], "DequantizeLinear", &n))
        return false;
    const struct tensor *b = declared(j, n.q);
    if (!b || b->dtype != PERCEPT_INT32 || b->rank != 1 || b->dims[0] != channels)
        return false;
    const int64_t n_scales = tensor_elements(n.scales), n_w = tensor_elements(w->scales);
    const float *own = n.scales->data, *of_w = w->scales->data, of_x = *(const float *)x->scales->data;
    if (n_scales != 1 && n_scales != channels)
        return false;
    for (int64_t i = 0; i < channels; i++) {
        const float unit = of_x * of_w[n_w > 1 ? i : 0];
        if (!(fabsf(own[n_scales > 1 ? i : 0] - unit) <= 1e-5f * fabsf(unit)))
            return false;
    }
    for (int64_t i = 0; n.zeros && i < tensor_elements(n.zeros); i++)
        if (n.zeros->dtype != PERCEPT_INT32 || ((const int32_t *)n.zeros->data)[i] != 0)
            return false;
    *q = n.q;
    return true;
}

/* --- making the node ---------------------------------------------------------------------------------------------- */

struct made {
    int n, *in;
};

static bool make(struct joiner *j, struct made *made, int n)
{
    made->n = 0;
    made->in = arena_array(j->arena, (size_t)n + 1, sizeof *made->in);
    j->failed = j->failed || !made->in;
    return made->in;
}

static void put(struct made *made, const struct numbers *n)
{
    made->in[made->n++] = n->q;
    made->in[made->n++] = n->scale;
    made->in[made->n++] = n->zero;
}

static void put_scale(struct made *made, const struct numbers *y)
{
    made->in[made->n++] = y->scale;
    made->in[made->n++] = y->zero;
}

static bool same_type(const struct numbers *y, const struct numbers *x)
{
    return y->zeros->dtype == x->zeros->dtype;
}

static float float_attr(const struct node *node, const char *name, float absent)
{
    const struct attr *attr = graph_attr(node, name);
    return attr ? attr->f : absent;
}

static bool int_attr(const struct node *node, const char *name)
{
    const struct attr *attr = graph_attr(node, name);
    return attr && attr->i != 0;
}

static bool join_conv(struct joiner *j, const struct node *node, const struct numbers *y, struct made *made)
{
    struct numbers x, w;
    int b = -1;
    const bool has = node->n_in > 2 && node->in[2] >= 0;
    if (!activation(j, node->in[0], &x) || !weights(j, node->in[1], 0, &w) ||
        (has && !bias(j, node->in[2], &x, &w, declared(j, w.q)->dims[0], &b)) || !make(j, made, 9))
        return false;
    put(made, &x);
    put(made, &w);
    put_scale(made, y);
    if (has)
        made->in[made->n++] = b;
    return true;
}

/* y NULL: the result stays float. */
static bool join_gemm(struct joiner *j, const struct node *node, const struct numbers *y, struct made *made)
{
    struct numbers x, w;
    int b = -1;
    const int64_t axis = int_attr(node, "transB") ? 0 : 1;
    const bool has = node->n_in > 2 && node->in[2] >= 0;
    if (!activation(j, node->in[0], &x) || !weights(j, node->in[1], axis, &w) || declared(j, w.q)->rank != 2 ||
        (has && (float_attr(node, "alpha", 1) != 1 || float_attr(node, "beta", 1) != 1 ||
                 !bias(j, node->in[2], &x, &w, declared(j, w.q)->dims[axis], &b))) ||
        !make(j, made, 9))
        return false;
    put(made, &x);
    put(made, &w);
    made->in[made->n++] = b;
    if (y)
        put_scale(made, y);
    else if (!has)
        made->n--;
    return true;
}

static bool join_matmul(struct joiner *j, const struct node *node, const struct numbers *y, struct made *made)
{
    struct numbers a, b;
    if (!activation(j, node->in[0], &a) || (!activation(j, node->in[1], &b) && !weights(j, node->in[1], 1, &b)) ||
        (tensor_elements(b.scales) > 1 && declared(j, b.q)->rank != 2) || !make(j, made, 8))
        return false;
    put(made, &a);
    put(made, &b);
    put_scale(made, y);
    return true;
}

/* One to all inputs, activations of y's type. */
static bool join_activations(struct joiner *j, const struct node *node, const struct numbers *y, bool behind,
                             struct made *made)
{
    struct numbers x;
    if (!make(j, made, 3 * node->n_in + 2))
        return false;
    if (!behind)
        put_scale(made, y);
    for (int i = 0; i < node->n_in; i++) {
        if (!activation(j, node->in[i], &x) || !same_type(y, &x))
            return false;
        put(made, &x);
    }
    if (behind)
        put_scale(made, y);
    return true;
}

/* Bytes are moved as they are: x and y are quantized alike. */
static bool join_move(struct joiner *j, const struct node *node, const struct numbers *y, struct made *made)
{
    struct numbers x;
    if (!activation(j, node->in[0], &x) || !same_type(y, &x) ||
        *(const float *)x.scales->data != *(const float *)y->scales->data ||
        *(const uint8_t *)x.zeros->data != *(const uint8_t *)y->zeros->data || !make(j, made, node->n_in))
        return false;
    made->n = node->n_in;
    memcpy(made->in, node->in, (size_t)node->n_in * sizeof *made->in);
    made->in[0] = x.q;
    return true;
}

static bool join(struct joiner *j, const struct node *node, const struct row *row, const struct numbers *y,
                 struct made *made)
{
    if (node->n_in < 1 || node->n_out != 1)
        return false;
    switch (row->form) {
    case FORM_CONV:
        return node->n_in >= 2 && join_conv(j, node, y, made);
    case FORM_GEMM:
        return node->n_in >= 2 && join_gemm(j, node, y, made);
    case FORM_MATMUL:
        return node->n_in == 2 && join_matmul(j, node, y, made);
    case FORM_PAIR:
        return node->n_in == 2 && join_activations(j, node, y, true, made);
    case FORM_ONE:
        return node->n_in == 1 && join_activations(j, node, y, true, made);
    case FORM_CONCAT:
        return join_activations(j, node, y, false, made);
    case FORM_MOVE:
        return join_move(j, node, y, made);
    case FORM_SATURATE:
        break;
    }
    return false;
}

/* --- the walk ----------------------------------------------------------------------------------------------------- */

/* What an end of QuantizeLinear's range stands for. */
static float limit_of(const struct numbers *y, bool most)
{
    const bool is_signed = y->zeros->dtype == PERCEPT_INT8;
    const int zero = is_signed ? *(const int8_t *)y->zeros->data : *(const uint8_t *)y->zeros->data;
    return (float)((is_signed ? -128 : 0) + (most ? 255 : 0) - zero) * *(const float *)y->scales->data;
}

/* A bound of a Clip, an input or an attribute; false where it is not known. */
static bool bound_of(struct joiner *j, const struct node *node, int input, const char *name, float absent, float *bound)
{
    *bound = float_attr(node, name, absent);
    if (input >= node->n_in || node->in[input] < 0)
        return true;
    const struct tensor *t = constant(j, node->in[input]);
    if (!t || t->dtype != PERCEPT_FLOAT || tensor_elements(t) != 1)
        return false;
    *bound = *(const float *)t->data;
    return true;
}

/* Is what this Relu or Clip cuts off beyond QuantizeLinear's range, or nearer to its end than half a step? */
static bool saturates(struct joiner *j, const struct node *node, const struct numbers *y)
{
    const float step = *(const float *)y->scales->data / 2, low = limit_of(y, false), high = limit_of(y, true);
    float least = 0, most = INFINITY;
    if (bytes_is(node->op_type, "Clip") &&
        (!bound_of(j, node, 1, "min", -INFINITY, &least) || !bound_of(j, node, 2, "max", INFINITY, &most)))
        return false;
    return least < low + step && most > high - step;
}

/* The node whose result QuantizeLinear `last` takes, nobody else; its index or -1. What lies between goes away. */
static int before(struct joiner *j, int last, const struct numbers *y, int *between)
{
    const struct graph *graph = j->graph;
    int value = graph->nodes[last].in[0];
    *between = -1;
    for (int n = 0; n < 2; n++) {
        const int producer = graph->values[value].producer;
        if (producer < 0 || graph->values[value].n_uses != 1 || graph->nodes[producer].removed)
            return -1;
        const struct row *row = row_of(&graph->nodes[producer]);
        if (!row || row->form != FORM_SATURATE || n > 0)
            return row ? producer : -1;
        if (graph->nodes[producer].n_in < 1 || graph->nodes[producer].in[0] < 0 ||
            !saturates(j, &graph->nodes[producer], y))
            return -1;
        *between = producer;
        value = graph->nodes[producer].in[0];
    }
    return -1;
}

/* The integer operator stands where `place` stood, and gives what that gave. */
static void replace(struct joiner *j, int index, int place, const struct row *row, const struct made *made)
{
    struct node *node = &j->graph->nodes[index], *at = &j->graph->nodes[place];
    int *out = at->out;
    node->removed = index != place;
    *at = *node;
    at->removed = false;
    at->out = out;
    at->in = made->in;
    at->n_in = made->n;
    if (!row->integer)
        return;
    at->op_type = bytes_of_text(row->integer);
    at->domain = bytes_of_text(row->ours ? "" : "com.microsoft");
    at->opset = row->ours ? at->opset : 1;
}

static void join_before(struct joiner *j, int last)
{
    struct numbers y;
    struct made made;
    int between;
    if (!numbers_of(j, &j->graph->nodes[last], "QuantizeLinear", &y) || tensor_elements(y.scales) != 1 || !y.zeros ||
        tensor_elements(y.zeros) != 1 || !is_small(y.zeros->dtype))
        return;
    const int index = before(j, last, &y, &between);
    if (index < 0)
        return;
    const struct row *row = row_of(&j->graph->nodes[index]);
    if (!join(j, &j->graph->nodes[index], row, &y, &made))
        return;
    if (between >= 0)
        j->graph->nodes[between].removed = true;
    replace(j, index, last, row, &made);
}

/* A product whose result stays float. */
static void join_float(struct joiner *j, int index)
{
    const struct node *node = &j->graph->nodes[index];
    const struct row *row = row_of(node);
    struct made made;
    if (row && row->form == FORM_GEMM && node->n_in >= 2 && node->n_out == 1 && join_gemm(j, node, NULL, &made))
        replace(j, index, index, row, &made);
}

/* What nobody dequantizes for any more: weights need not be made float. */
static void drop_unread(struct graph *graph)
{
    graph_count_uses(graph);
    for (int i = 0; i < graph->n_nodes; i++) {
        struct node *node = &graph->nodes[i];
        if (bytes_is(node->op_type, "DequantizeLinear") && node->n_out == 1 && node->out[0] >= 0 &&
            graph->values[node->out[0]].n_uses == 0)
            node->removed = true;
    }
}

bool integers_join(struct graph *graph, struct arena *arena, struct arena *load)
{
    struct joiner j = {.graph = graph, .arena = arena, .load = load};
    graph_count_uses(graph);
    for (int i = 0; i < graph->n_nodes && !j.failed; i++)
        if (!graph->nodes[i].removed)
            join_before(&j, i);
    for (int i = 0; i < graph->n_nodes && !j.failed; i++)
        if (!graph->nodes[i].removed)
            join_float(&j, i);
    drop_unread(graph);
    return !j.failed;
}
