/*
 * grow.c - see grow.h.
 *
 * What is drawn is what couples items, or nearly does: reductions, orders, counts and looks-up along any axis,
 * reshapes that move items, transposes there and back, sizes of the batch that enter as numbers, what is fixed and
 * lies where the batch does. So axes are drawn from all there are, and constants have the sizes of values, of which
 * a dimension may be a multiple of the batch by chance.
 */
#include "grow.h"

#include <stdio.h>

#include "drive.h"

enum { MOST_VALUES = 24, ITEMS = 3, OPSET = 17 };

struct grown {
    char name[8];
    enum percept_dtype dtype;
    int rank;
    int64_t dims[PERCEPT_RANK_MAX]; /* of ITEMS items */
};

struct grow {
    struct draw *draw;
    struct proto graph; /* what is kept */
    struct proto more;  /* what is tried */
    struct grown values[MOST_VALUES];
    int n_values, n_inputs, n_names, n_new;
    int64_t item;                         /* the first axis of inputs in the file: -1 or 1 */
    int64_t lengths[2][PERCEPT_RANK_MAX]; /* the others, in the file */
    char fresh[3][8];                     /* what the new node gives */
};

static int64_t below(struct grow *g, int64_t n)
{
    return n > 0 ? (int64_t)draw_below(g->draw, (uint64_t)n) : 0;
}

static const char *fresh_name(struct grow *g, char *name)
{
    snprintf(name, 8, "t%d", g->n_names++);
    return name;
}

/* --- constants ---------------------------------------------------------------------------------------------------- */

static const char *floats(struct grow *g, int rank, const int64_t *dims, char *name)
{
    float data[4096];
    int64_t n = 1;
    for (int d = 0; d < rank; d++)
        n *= dims[d];
    n = n > 4096 ? 0 : n;
    for (int64_t i = 0; i < n; i++)
        data[i] = draw_chance(g->draw, 4) ? draw_float(g->draw) : (float)((i * 37 + 11) % 23) / 16.0f - 0.7f;
    proto_add(&g->more, GRAPH_INITIALIZER,
              proto_tensor(fresh_name(g, name), PERCEPT_FLOAT, rank, dims, data, (size_t)n * sizeof *data));
    return name;
}

static const char *ints(struct grow *g, int64_t n, const int64_t *list, char *name)
{
    proto_add(&g->more, GRAPH_INITIALIZER,
              proto_tensor(fresh_name(g, name), PERCEPT_INT64, 1, &n, list, (size_t)n * sizeof *list));
    return name;
}

static const char *number(struct grow *g, int64_t value, char *name)
{
    proto_add(&g->more, GRAPH_INITIALIZER,
              proto_tensor(fresh_name(g, name), PERCEPT_INT64, 0, NULL, &value, sizeof value));
    return name;
}

/* --- nodes -------------------------------------------------------------------------------------------------------- */

static const struct grown *any_value(struct grow *g, enum percept_dtype dtype)
{
    for (int tries = 0; tries < 12; tries++) {
        const int64_t late = below(g, 2) ? below(g, g->n_values) : g->n_values - 1 - below(g, 3);
        const struct grown *v = &g->values[late < 0 ? 0 : late];
        if (v->dtype == dtype)
            return v;
    }
    return dtype == PERCEPT_FLOAT ? &g->values[0] : NULL;
}

/* A node of `inputs` with so many outputs; attributes are for the caller, who adds it. */
static struct proto node(struct grow *g, const char *op_type, const char *inputs, int outputs)
{
    char list[32] = "";
    g->n_new = outputs;
    for (int i = 0; i < outputs; i++) {
        strcat(strcat(list, i ? "," : ""), fresh_name(g, g->fresh[i]));
    }
    return proto_node(op_type, "", inputs, list);
}

static void add(struct grow *g, struct proto made)
{
    proto_add(&g->more, GRAPH_NODE, made);
}

static int64_t any_axis(struct grow *g, const struct grown *v)
{
    return below(g, 2) ? below(g, v->rank) : below(g, v->rank) - v->rank;
}

static const char *word(struct grow *g, const char *words, char *to)
{
    draw_word(g->draw, words, to, 32);
    return to;
}

/* Broadcasts against v: its last axes, some of them 1. */
static const char *like(struct grow *g, const struct grown *v, char *name)
{
    int64_t dims[PERCEPT_RANK_MAX];
    const int skip = (int)below(g, v->rank + 1);
    for (int d = skip; d < v->rank; d++)
        dims[d - skip] = below(g, 3) == 0 ? 1 : v->dims[d] == ITEMS && below(g, 4) ? 1 : v->dims[d];
    return floats(g, v->rank - skip, dims, name);
}

static void elementwise(struct grow *g)
{
    char w[32], list[64], c[8], d[8];
    const struct grown *v = any_value(g, PERCEPT_FLOAT);
    switch (below(g, 4)) {
    case 0:
        add(g,
            node(g, word(g, "Relu|Abs|Sigmoid|Tanh|Exp|Neg|Sqrt|Floor|Sign|Erf|HardSigmoid|Softplus|Reciprocal|Log", w),
                 v->name, 1));
        return;
    case 1:
        snprintf(list, sizeof list, "%s,%s", v->name, like(g, v, c));
        break;
    case 2:
        snprintf(list, sizeof list, "%s,%s", like(g, v, c), v->name);
        break;
    default:
        snprintf(list, sizeof list, "%s,%s", v->name, any_value(g, PERCEPT_FLOAT)->name);
    }
    (void)d;
    add(g, node(g, word(g, "Add|Sub|Mul|Div|Max|Min|Add|Mul|PRelu|Pow", w), list, 1));
}

static void choose(struct grow *g)
{
    char w[32], list[64], c[8];
    const struct grown *v = any_value(g, PERCEPT_FLOAT), *b = any_value(g, PERCEPT_BOOL);
    struct proto made;
    if (!b || below(g, 3) == 0) {
        snprintf(list, sizeof list, "%s,%s", v->name, below(g, 2) ? like(g, v, c) : any_value(g, PERCEPT_FLOAT)->name);
        add(g, node(g, word(g, "Greater|Less|Equal|GreaterOrEqual", w), list, 1));
    } else if (below(g, 4) == 0) {
        made = node(g, "Cast", b->name, 1);
        proto_attr_int(&made, "to", PERCEPT_FLOAT);
        add(g, made);
    } else {
        snprintf(list, sizeof list, "%s,%s,%s", b->name, v->name,
                 below(g, 2) ? like(g, v, c) : any_value(g, PERCEPT_FLOAT)->name);
        add(g, node(g, "Where", list, 1));
    }
}

static void reduce(struct grow *g)
{
    char w[32], list[64], c[8];
    const struct grown *v = any_value(g, PERCEPT_FLOAT);
    int64_t axes[3] = {any_axis(g, v), any_axis(g, v), any_axis(g, v)};
    const size_t n = (size_t)(1 + below(g, v->rank > 2 ? 3 : 2));
    struct proto made;
    word(g, "ReduceSum|ReduceMean|ReduceMax|ReduceMin|ReduceProd|ReduceL1|ReduceL2|ReduceLogSumExp|ReduceSumSquare", w);
    if (strcmp(w, "ReduceSum") == 0) {
        snprintf(list, sizeof list, "%s,%s", v->name, ints(g, (int64_t)n, axes, c));
        made = node(g, w, list, 1);
    } else {
        made = node(g, w, v->name, 1);
        if (below(g, 8))
            proto_attr_ints(&made, "axes", n, axes);
    }
    proto_attr_int(&made, "keepdims", below(g, 2));
    add(g, made);
}

static void along(struct grow *g)
{
    char w[32], list[64], c[8], d[8];
    const struct grown *v = any_value(g, PERCEPT_FLOAT);
    const int64_t axis = any_axis(g, v), last[] = {v->rank ? v->dims[v->rank - 1] : 1};
    struct proto made;
    word(g,
         "Softmax|LogSoftmax|Hardmax|LpNormalization|ArgMax|ArgMin|CumSum|TopK|LayerNormalization|"
         "MeanVarianceNormalization",
         w);
    if (strcmp(w, "CumSum") == 0) {
        snprintf(list, sizeof list, "%s,%s", v->name, number(g, axis, c));
        made = node(g, w, list, 1);
        proto_attr_int(&made, "reverse", below(g, 2));
    } else if (strcmp(w, "TopK") == 0) {
        snprintf(list, sizeof list, "%s,%s", v->name, ints(g, 1, (int64_t[]){1 + below(g, 3)}, c));
        made = node(g, w, list, 2);
        proto_attr_int(&made, "axis", axis);
    } else if (w[0] == 'M') {
        made = node(g, w, v->name, 1);
        proto_attr_ints(&made, "axes", (size_t)(1 + below(g, 2)), (int64_t[]){axis, any_axis(g, v)});
    } else if (w[0] == 'L' && w[1] == 'a') {
        snprintf(list, sizeof list, "%s,%s,%s", v->name, floats(g, 1, last, c), floats(g, 1, last, d));
        made = node(g, w, list, 1);
    } else {
        made = node(g, w, v->name, 1);
        proto_attr_int(&made, "axis", axis);
    }
    add(g, made);
}

static void turn(struct grow *g)
{
    const struct grown *v = any_value(g, PERCEPT_FLOAT);
    int64_t perm[PERCEPT_RANK_MAX];
    for (int d = 0; d < v->rank; d++)
        perm[d] = d;
    for (int swaps = 0; swaps < 2 && v->rank > 0; swaps++) {
        const int64_t i = below(g, v->rank), k = below(g, v->rank), kept = perm[i];
        perm[i] = perm[k];
        perm[k] = kept;
    }
    struct proto made = node(g, "Transpose", v->name, 1);
    proto_attr_ints(&made, "perm", (size_t)v->rank, perm);
    add(g, made);
}

static void reshape(struct grow *g)
{
    char list[64], c[8];
    const struct grown *v = any_value(g, PERCEPT_FLOAT);
    int64_t to[5] = {-1, v->rank ? v->dims[v->rank - 1] : 1, 1, 1, 1};
    int64_t n = 2;
    struct proto made;
    switch (below(g, 9)) {
    case 0:
        to[0] = 0;
        to[1] = -1;
        break;
    case 1:
        to[0] = to[1];
        to[1] = -1;
        break;
    case 2:
        to[0] = to[1] = 0;
        to[2] = -1;
        n = 3;
        break;
    case 3:
        to[2] = below(g, 2) ? 2 : 1;
        n = 3;
        break;
    case 4:
        made = node(g, "Flatten", v->name, 1);
        proto_attr_int(&made, "axis", below(g, v->rank + 1));
        add(g, made);
        return;
    case 5:
        snprintf(list, sizeof list, "%s,%s", v->name, ints(g, 1, (int64_t[]){below(g, v->rank + 1)}, c));
        add(g, node(g, below(g, 2) ? "Unsqueeze" : "Squeeze", list, 1));
        return;
    case 6: /* dims of any value, one of them left over */
        v = any_value(g, PERCEPT_FLOAT);
        n = v->rank > 4 ? 4 : v->rank;
        for (int d = 0; d < n; d++)
            to[d] = v->dims[d];
        to[below(g, n)] = -1;
        v = any_value(g, PERCEPT_FLOAT);
        break;
    case 7:
        to[0] = 1 + below(g, 6);
        to[1] = -1;
        to[2] = 1 + below(g, 3);
        n = 3;
        break;
    default:
        break;
    }
    snprintf(list, sizeof list, "%s,%s", v->name, ints(g, n, to, c));
    add(g, node(g, "Reshape", list, 1));
}

static void cut(struct grow *g)
{
    char w[32], list[96], c[4][8];
    const struct grown *v = any_value(g, PERCEPT_FLOAT);
    const int64_t axis = any_axis(g, v);
    int64_t pads[16] = {0};
    struct proto made;
    switch (below(g, 6)) {
    case 0:
        snprintf(list, sizeof list, "%s,%s,%s,%s,%s", v->name, ints(g, 1, (int64_t[]){below(g, 5) - 2}, c[0]),
                 ints(g, 1, (int64_t[]){below(g, 2) ? 1000 : below(g, 7) - 3}, c[1]), ints(g, 1, &axis, c[2]),
                 ints(g, 1, (int64_t[]){below(g, 4) ? 1 : -1}, c[3]));
        add(g, node(g, "Slice", list, 1));
        return;
    case 1:
        snprintf(list, sizeof list, "%s,%s", v->name, any_value(g, PERCEPT_FLOAT)->name);
        made = node(g, "Concat", list, 1);
        proto_attr_int(&made, "axis", axis);
        break;
    case 2:
        made = node(g, "Split", v->name, 2);
        proto_attr_int(&made, "axis", axis);
        break;
    case 3:
        if (v->rank)
            pads[below(g, 2 * v->rank)] = below(g, 4) - 1;
        snprintf(list, sizeof list, "%s,%s", v->name, ints(g, 2 * v->rank, pads, c[0]));
        made = node(g, "Pad", list, 1);
        proto_attr_text(&made, "mode", word(g, "constant|reflect|edge", w));
        break;
    case 4:
        for (int d = 0; d < v->rank; d++)
            pads[d] = 1 + (below(g, 3) == 0);
        snprintf(list, sizeof list, "%s,%s", v->name, ints(g, v->rank, pads, c[0]));
        made = node(g, below(g, 2) ? "Tile" : "Expand", list, 1);
        break;
    default:
        made = node(g, "Trilu", v->name, 1);
        proto_attr_int(&made, "upper", below(g, 2));
    }
    add(g, made);
}

static void look_up(struct grow *g)
{
    char list[96], c[2][8];
    const struct grown *v = any_value(g, PERCEPT_FLOAT), *i = any_value(g, PERCEPT_INT64);
    const int64_t axis = any_axis(g, v), places[3] = {0, below(g, 3) - 1, 1};
    struct proto made;
    switch (below(g, 5)) {
    case 0:
        snprintf(list, sizeof list, "%s,%s", v->name, ints(g, 1 + below(g, 3), places, c[0]));
        made = node(g, "Gather", list, 1);
        break;
    case 1:
        snprintf(list, sizeof list, "%s,%s", floats(g, 2, (int64_t[]){40, 3}, c[0]), i ? i->name : v->name);
        made = node(g, "Gather", list, 1);
        proto_attr_int(&made, "axis", 0);
        add(g, made);
        return;
    case 2:
        snprintf(list, sizeof list, "%s,%s", v->name, i ? i->name : v->name);
        made = node(g, below(g, 2) ? "Gather" : "GatherElements", list, 1);
        break;
    case 3:
        snprintf(list, sizeof list, "%s,%s,%s", v->name, i ? i->name : v->name, any_value(g, PERCEPT_FLOAT)->name);
        made = node(g, "ScatterElements", list, 1);
        break;
    default:
        snprintf(list, sizeof list, "%s,%s,%s", i ? i->name : v->name, number(g, 4, c[0]),
                 floats(g, 1, (int64_t[]){2}, c[1]));
        made = node(g, "OneHot", list, 1);
    }
    proto_attr_int(&made, "axis", axis);
    add(g, made);
}

static void product(struct grow *g)
{
    char w[32], list[96], c[2][8];
    const struct grown *v = any_value(g, PERCEPT_FLOAT), *u = any_value(g, PERCEPT_FLOAT);
    const int64_t last = v->rank ? v->dims[v->rank - 1] : 1, wide[] = {last, 1 + below(g, 20)};
    const int64_t stack[] = {v->rank > 2 ? v->dims[v->rank - 3] : 2, last, 1 + below(g, 5)};
    struct proto made;
    switch (below(g, 6)) {
    case 0:
        snprintf(list, sizeof list, "%s,%s", v->name, u->name);
        add(g, node(g, "MatMul", list, 1));
        return;
    case 1:
        snprintf(list, sizeof list, "%s,%s", v->name, floats(g, 3, stack, c[0]));
        add(g, node(g, "MatMul", list, 1));
        return;
    case 2:
        snprintf(list, sizeof list, "%s,%s", floats(g, 2, (int64_t[]){3, v->rank > 1 ? v->dims[v->rank - 2] : 1}, c[0]),
                 v->name);
        add(g, node(g, "MatMul", list, 1));
        return;
    case 3:
        snprintf(list, sizeof list, "%s,%s,%s", v->name, floats(g, 2, wide, c[0]),
                 below(g, 2) ? floats(g, 1, wide + 1, c[1]) : u->name);
        made = node(g, "Gemm", list, 1);
        if (below(g, 3) == 0)
            proto_attr_int(&made, "transA", 1);
        break;
    case 4:
        snprintf(list, sizeof list, "%s,%s", v->name, u->name);
        made = node(g, "Einsum", list, 1);
        proto_attr_text(&made, "equation",
                        word(g,
                             "bi,bi->b|bi,bj->bij|ij,kj->ik|bij,bjk->bik|bi,ci->bc|bij,bij->bj|"
                             "bij,bkj->bik|ij,ij->ij|ji,jk->ik|bij,cij->bc",
                             w));
        break;
    default:
        snprintf(list, sizeof list, "%s,%s", v->name, floats(g, 2, wide, c[0]));
        add(g, node(g, "MatMul", list, 1));
        return;
    }
    add(g, made);
}

static void picture(struct grow *g)
{
    char w[32], list[96], c[4][8];
    const struct grown *v = any_value(g, PERCEPT_FLOAT);
    const int64_t channels[] = {v->rank > 1 ? v->dims[1] : 1};
    int64_t kernel[PERCEPT_RANK_MAX] = {1 + below(g, 4), channels[0], 1 + below(g, 2), 1 + below(g, 2), 1};
    struct proto made;
    word(g,
         "Conv|Conv|MaxPool|AveragePool|GlobalAveragePool|GlobalMaxPool|InstanceNormalization|LRN|DepthToSpace|"
         "DynamicQuantizeLinear|BatchNormalization|Resize",
         w);
    if (strcmp(w, "Conv") == 0) {
        snprintf(list, sizeof list, "%s,%s", v->name, floats(g, v->rank, kernel, c[0]));
        made = node(g, w, list, 1);
    } else if (w[0] == 'B') {
        snprintf(list, sizeof list, "%s,%s,%s,%s,%s", v->name, floats(g, 1, channels, c[0]),
                 floats(g, 1, channels, c[1]), floats(g, 1, channels, c[2]), floats(g, 1, channels, c[3]));
        made = node(g, w, list, 1);
    } else if (w[0] == 'R') {
        for (int d = 0; d < v->rank; d++)
            kernel[d] = v->dims[d];
        kernel[below(g, v->rank)] = 2 + below(g, 9);
        if (v->rank && below(g, 2)) /* however many items there are */
            kernel[below(g, v->rank)] = ITEMS;
        snprintf(list, sizeof list, "%s,,,%s", v->name, ints(g, v->rank, kernel, c[0]));
        made = node(g, w, list, 1);
        proto_attr_text(&made, "mode", below(g, 2) ? "linear" : "nearest");
    } else if (w[0] == 'I') {
        snprintf(list, sizeof list, "%s,%s,%s", v->name, floats(g, 1, channels, c[0]), floats(g, 1, channels, c[1]));
        made = node(g, w, list, 1);
    } else {
        made = node(g, w, v->name, w[0] == 'M' && below(g, 2) ? 2 : w[0] == 'D' && w[1] == 'y' ? 3 : 1);
        if (strcmp(w, "MaxPool") == 0 || w[0] == 'A')
            proto_attr_ints(&made, "kernel_shape", (size_t)(v->rank > 2 ? v->rank - 2 : 1),
                            (int64_t[]){2, 1, 1, 1, 1, 1});
        if (w[0] == 'L')
            proto_attr_int(&made, "size", 3);
        if (strcmp(w, "DepthToSpace") == 0)
            proto_attr_int(&made, "blocksize", 2);
    }
    add(g, made);
}

static void recur(struct grow *g)
{
    char w[32], list[96], c[2][8];
    const struct grown *v = any_value(g, PERCEPT_FLOAT), *h = any_value(g, PERCEPT_FLOAT);
    const int64_t in = v->rank > 2 ? v->dims[2] : 1, hidden = 2;
    word(g, "LSTM|GRU|RNN", w);
    const int64_t gates = w[0] == 'L' ? 4 : w[0] == 'G' ? 3 : 1;
    snprintf(list, sizeof list, "%s,%s,%s,,,%s", v->name, floats(g, 3, (int64_t[]){1, gates * hidden, in}, c[0]),
             floats(g, 3, (int64_t[]){1, gates * hidden, hidden}, c[1]), below(g, 4) ? "" : h->name);
    struct proto made = node(g, w, list, 2);
    proto_attr_int(&made, "hidden_size", hidden);
    if (below(g, 3) == 0)
        proto_attr_int(&made, "layout", 1);
    add(g, made);
}

/* Sizes as numbers, as shapes and as contents. */
static void sizes(struct grow *g)
{
    char list[96], a[8], b[8], n[8], c[8], d[8];
    const struct grown *v = any_value(g, PERCEPT_FLOAT), *i = any_value(g, PERCEPT_INT64);
    struct proto made;
    switch (below(g, 5)) {
    case 0:
        add(g, node(g, "Shape", v->name, 1));
        return;
    case 1: /* x times the number of items, or divided by it */
        add(g, node(g, "Shape", v->name, 1));
        snprintf(a, sizeof a, "%s", g->fresh[0]);
        snprintf(list, sizeof list, "%s,%s", a, ints(g, 1, (int64_t[]){below(g, v->rank)}, c));
        add(g, node(g, "Gather", list, 1));
        snprintf(n, sizeof n, "%s", g->fresh[0]);
        made = node(g, "Cast", n, 1);
        proto_attr_int(&made, "to", PERCEPT_FLOAT);
        add(g, made);
        snprintf(list, sizeof list, "%s,%s", v->name, g->fresh[0]);
        add(g, node(g, below(g, 2) ? "Div" : "Mul", list, 1));
        return;
    case 2: /* to the number of items and what is left over, by its size */
        add(g, node(g, "Shape", v->name, 1));
        snprintf(a, sizeof a, "%s", g->fresh[0]);
        snprintf(list, sizeof list, "%s,%s", a, ints(g, 1, (int64_t[]){below(g, 3) ? 0 : below(g, v->rank)}, c));
        add(g, node(g, "Gather", list, 1));
        snprintf(b, sizeof b, "%s", g->fresh[0]);
        if (below(g, 3))
            snprintf(list, sizeof list, "%s,%s", b, ints(g, 1, (int64_t[]){-1}, d));
        else
            snprintf(list, sizeof list, "%s,%s", ints(g, 1, (int64_t[]){-1}, d), b);
        made = node(g, "Concat", list, 1);
        proto_attr_int(&made, "axis", 0);
        add(g, made);
        snprintf(list, sizeof list, "%s,%s", any_value(g, PERCEPT_FLOAT)->name, g->fresh[0]);
        add(g, node(g, "Reshape", list, 1));
        return;
    case 3:
        add(g, node(g, "Shape", v->name, 1));
        snprintf(a, sizeof a, "%s", g->fresh[0]);
        if (below(g, 2)) {
            add(g, node(g, "ConstantOfShape", a, 1));
            return;
        }
        snprintf(list, sizeof list, "%s,%s", like(g, v, c), a);
        add(g, node(g, "Expand", list, 1));
        return;
    default:
        made = node(g, "Cast", i ? i->name : v->name, 1);
        proto_attr_int(&made, "to", i ? PERCEPT_FLOAT : PERCEPT_INT64);
        add(g, made);
    }
}

/* --- the whole ---------------------------------------------------------------------------------------------------- */

static struct proto with_outputs(const struct grow *g, int n, const char names[][8])
{
    struct proto graph = {0};
    for (int i = 0; i < g->n_inputs; i++) {
        int64_t dims[PERCEPT_RANK_MAX];
        memcpy(dims, g->lengths[i], sizeof dims);
        dims[0] = g->item;
        proto_add(&graph, GRAPH_INPUT, proto_value(g->values[i].name, PERCEPT_FLOAT, g->values[i].rank, dims));
    }
    if (g->graph.n)
        proto_raw(&graph, g->graph.at, g->graph.n);
    if (g->more.n)
        proto_raw(&graph, g->more.at, g->more.n);
    for (int i = 0; i < n; i++)
        proto_add(&graph, GRAPH_OUTPUT, proto_value(names[i], PERCEPT_UNDEFINED, -1, NULL));
    return proto_model(graph, OPSET);
}

static struct percept_model *opens(struct proto *file)
{
    const struct percept_options options = {
        .size = sizeof options, .memory_limit_bytes = DRIVE_LITTLE_BYTES, .region = PERCEPT_REGION_PRIVATE};
    return percept_open_memory(file->at, file->n, &options, NULL);
}

/* Runs ITEMS items and notes what came out. */
static bool runs(struct grow *g, const struct percept_model *model)
{
    struct percept_session *session = percept_session_new(model, NULL);
    int n, n_outputs;
    const struct percept_io *inputs = percept_inputs(model, &n);
    bool good = session != NULL;
    percept_outputs(model, &n_outputs);
    for (int i = 0; good && i < n; i++) {
        int64_t dims[PERCEPT_RANK_MAX];
        for (int d = 0; d < inputs[i].rank; d++)
            dims[d] = inputs[i].dims[d] < 0 ? d ? 4 : ITEMS : inputs[i].dims[d];
        good = percept_resize(session, i, inputs[i].rank, dims, NULL);
    }
    good = good && percept_prepare(session, NULL);
    for (int i = 0; good && i < n; i++)
        memset(percept_input(session, i), 0, 4);
    good = good && g->n_values + g->n_new <= MOST_VALUES && percept_run(session, NULL, NULL);
    for (int i = 0; good && i < g->n_new; i++) {
        const struct percept_tensor t = percept_output(session, i);
        struct grown *v = &g->values[g->n_values++];
        *v = (struct grown){.dtype = t.dtype, .rank = t.rank};
        memcpy(v->name, g->fresh[i], sizeof v->name);
        memcpy(v->dims, t.dims, sizeof v->dims);
    }
    percept_session_free(session);
    return good;
}

static void try_node(struct grow *g)
{
    static void (*const kinds[])(struct grow * g) = {elementwise, elementwise, choose,  reduce, along,   turn,
                                                     turn,        reshape,     reshape, cut,    look_up, product,
                                                     picture,     recur,       sizes,   sizes};
    kinds[below(g, sizeof kinds / sizeof *kinds)](g);
    struct proto file = with_outputs(g, g->n_new, (const char(*)[8])g->fresh);
    struct percept_model *model = opens(&file);
    if (model && runs(g, model))
        proto_raw(&g->graph, g->more.at, g->more.n);
    percept_close(model);
    proto_free(&file);
    proto_free(&g->more);
}

static void begin(struct grow *g)
{
    static const int64_t sizes_of_items[] = {1, 2, 3, 4, 5, 6, 8, 17};
    g->n_inputs = 1 + (int)(below(g, 4) == 0);
    g->item = -1;
    for (int i = 0; i < g->n_inputs; i++) {
        struct grown *v = &g->values[g->n_values++];
        *v = (struct grown){.dtype = PERCEPT_FLOAT, .rank = 1 + (int)below(g, 4)};
        int64_t *dims = g->lengths[i];
        v->dims[0] = ITEMS;
        for (int d = 1; d < v->rank; d++) {
            dims[d] = v->dims[d] = sizes_of_items[below(g, 8)];
            if (below(g, 8) == 0) {
                dims[d] = -1;
                v->dims[d] = 4;
            }
        }
        v->name[0] = 'x';
        v->name[1] = (char)('0' + i);
    }
}

/* Late values that begin with as many as there are items; one or two of them. Now and then the file says 1. */
static struct proto finish(struct grow *g)
{
    char names[2][8];
    int n = 0;
    for (int tries = 0; tries < 24 && n < 2; tries++) {
        const struct grown *v =
            &g->values[g->n_values - 1 - (tries < 12 ? below(g, 4) : below(g, g->n_values)) % g->n_values];
        if (v->rank < 1 || v->dims[0] != ITEMS || v->name[0] == 'x' || (n && strcmp(names[0], v->name) == 0))
            continue;
        memcpy(names[n++], v->name, sizeof names[0]);
        if (below(g, 3))
            break;
    }
    g->item = below(g, 3) ? -1 : 1;
    return n ? with_outputs(g, n, (const char(*)[8])names) : (struct proto){0};
}

struct proto grow_model(struct draw *draw)
{
    struct grow g = {.draw = draw};
    begin(&g);
    for (int64_t tries = 4 + below(&g, 24); tries > 0 && g.n_values < MOST_VALUES; tries--)
        try_node(&g);
    struct proto model = finish(&g);
    proto_free(&g.graph);
    return model;
}
