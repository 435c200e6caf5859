/*
 * fuse.c - small nodes become part of the large one before them: BatchNormalization and other
 * per-channel affine nodes, residual additions, activations.
 *
 * This file recognises patterns and asks; the operator that would do more decides (its fuse verb) and
 * keeps what it accepted. Absorbing moves the large node to the place of the small one, so that a
 * residual that is computed in between is there in time:
 *
 *     Conv -> t -> Add(t, r) -> y        becomes        Conv(.., r) -> y   where Add stood
 *
 * A node is absorbed only if nobody else reads what lies between. Patterns that depend on shapes (is this
 * Add a residual or a broadcast?) look at a trial plan's tensors; without one they are left alone.
 */
#include "engine/fuse.h"

#include "op/activation.h"
#include "op/norm.h"
#include "op/unary.h"

struct fuser {
    struct percept_model *model;
    struct part *part;
    struct graph *graph;
    const struct tensor *dims;
    const struct plan *others; /* [n_others] */
    int n_others;
    int *readers; /* [n_values][2]: the first two nodes that read it, or -1 */
};

static bool is_op(const struct node *node, const char *op_type)
{
    return bytes_size(node->domain) == 0 && bytes_is(node->op_type, op_type);
}

static void note_reader(struct fuser *f, int value, int node)
{
    int *two = &f->readers[2 * value];
    if (two[0] < 0 || two[0] == node)
        two[0] = node;
    else if (two[1] < 0)
        two[1] = node;
}

static void replace_reader(struct fuser *f, int value, int old, int now)
{
    int *two = &f->readers[2 * value];
    for (int i = 0; i < 2; i++)
        if (two[i] == old)
            two[i] = now;
}

/* The node at `from`, with what it absorbed, goes to the place of `to` and writes to's output. */
static void absorb(struct fuser *f, int from, int to)
{
    struct node *moved = &f->graph->nodes[from];
    struct node *place = &f->graph->nodes[to];
    int output = place->out[0];
    *place = *moved;
    f->part->ctx[to] = f->part->ctx[from];
    f->part->ctx[to].node = place;
    f->graph->values[moved->out[0]].n_uses = 0;
    place->out[0] = output;
    f->graph->values[output].producer = to;
    moved->dead = true;
    for (int i = 0; i < place->n_in; i++)
        if (place->in[i] >= 0)
            replace_reader(f, place->in[i], from, to);
    f->model->description.n_fused++;
}

/* --- per-channel affine ------------------------------------------------------------------------------------------- */

/* The axis of the channels in what an operator that accepts fusions writes; -1: not known. */
static int channel_axis(const struct fuser *f, const struct node *node)
{
    if (is_op(node, "MatMul") || is_op(node, "Gemm"))
        return f->dims ? f->dims[node->out[0]].rank - 1 : is_op(node, "Gemm") ? 1 : -1;
    return 1;
}

/* A constant whose only axis longer than 1 lies on `axis` of a tensor of this rank. */
static bool per_channel(const struct tensor *constant, const struct tensor *full, int axis)
{
    if (constant->dtype != PERCEPT_FLOAT || constant->rank > full->rank)
        return false;
    for (int i = 0; i < constant->rank; i++) {
        int at = i + full->rank - constant->rank;
        if (constant->dims[i] != 1 && (at != axis || constant->dims[i] != full->dims[axis]))
            return false;
    }
    return true;
}

static const float *spread(struct fuser *f, const struct tensor *constant, int64_t channels, bool negate, bool invert)
{
    float *vector = arena_array(&f->model->arena, (size_t)channels + 16, sizeof *vector);
    if (!vector)
        return NULL;
    const float *from = constant->data;
    bool scalar = tensor_elements(constant) == 1;
    for (int64_t c = 0; c < channels; c++) {
        float x = from[scalar ? 0 : c];
        vector[c] = negate ? -x : invert ? 1.0f / x : x;
    }
    return vector;
}

/* y = x op constant, x the value between. */
static bool arithmetic_affine(struct fuser *f, int first, int second, struct fusion *fusion)
{
    struct node *node = &f->graph->nodes[second];
    bool add = is_op(node, "Add"), sub = is_op(node, "Sub"), mul = is_op(node, "Mul"), divide = is_op(node, "Div");
    if (!f->dims || node->n_in != 2 || !(add || sub || mul || divide))
        return false;
    int between = f->graph->nodes[first].out[0];
    int side = node->in[0] == between ? 1 : 0;
    const struct tensor *constant = op_constant(&f->part->ctx[second], side);
    const struct tensor *full = &f->dims[between];
    int axis = channel_axis(f, &f->graph->nodes[first]);
    if (!constant || (side == 0 && (sub || divide)) || axis < 0 || axis >= full->rank || full->dtype != PERCEPT_FLOAT ||
        !per_channel(constant, full, axis))
        return false;
    fusion->channels = full->dims[axis];
    const float *vector = spread(f, constant, fusion->channels, sub, divide);
    fusion->scale = mul || divide ? vector : NULL;
    fusion->shift = add || sub ? vector : NULL;
    return vector != NULL;
}

static bool affine_of(struct fuser *f, int first, int second, struct fusion *fusion)
{
    const struct node *node = &f->graph->nodes[second];
    *fusion = (struct fusion){.kind = FUSE_AFFINE};
    if (is_op(node, "BatchNormalization"))
        return channel_axis(f, &f->graph->nodes[first]) == 1 &&
               norm_affine(&f->part->ctx[second], &fusion->channels, &fusion->scale, &fusion->shift);
    return arithmetic_affine(f, first, second, fusion);
}

/* --- residual ----------------------------------------------------------------------------------------------------- */

static bool residual_of(struct fuser *f, int first, int second, struct fusion *fusion)
{
    const struct node *node = &f->graph->nodes[second];
    if (!f->dims || !is_op(node, "Add") || node->n_in != 2 || node->in[0] == node->in[1])
        return false;
    int between = f->graph->nodes[first].out[0];
    int other = node->in[0] == between ? node->in[1] : node->in[0];
    if (other < 0 || f->graph->values[other].constant || f->dims[other].dtype != PERCEPT_FLOAT ||
        f->dims[between].dtype != PERCEPT_FLOAT || !tensor_same_dims(&f->dims[other], &f->dims[between]))
        return false;
    for (int i = 0; i < f->n_others; i++)
        if (!tensor_same_dims(&f->others[i].values[other], &f->others[i].values[between]))
            return false;
    *fusion = (struct fusion){.kind = FUSE_RESIDUAL, .value = other};
    return true;
}

/* --- activations -------------------------------------------------------------------------------------------------- */

static bool activation_of(struct fuser *f, int index, struct fusion *fusion)
{
    *fusion = (struct fusion){.kind = FUSE_ACTIVATION};
    return unary_activation(&f->part->ctx[index], fusion);
}

/* x gate(x): both readers of the value are the gate and a Mul of the two. The gate's node is given back. */
static bool gated_of(struct fuser *f, int first, int *gate, int *product, struct fusion *fusion)
{
    int between = f->graph->nodes[first].out[0];
    if (f->graph->values[between].n_uses != 2)
        return false;
    for (int i = 0; i < 2; i++) {
        *gate = f->readers[2 * between + i];
        *product = f->readers[2 * between + 1 - i];
        if (*gate < 0 || *product < 0 || !is_op(&f->graph->nodes[*product], "Mul") || !activation_of(f, *gate, fusion))
            continue;
        int gated = f->graph->nodes[*gate].out[0];
        const struct node *mul = &f->graph->nodes[*product];
        bool both = (mul->in[0] == gated && mul->in[1] == between) || (mul->in[1] == gated && mul->in[0] == between);
        if (!both || f->graph->values[gated].n_uses != 1)
            continue;
        if (activation_gated(fusion))
            return true;
    }
    return false;
}

/* --- the walk ----------------------------------------------------------------------------------------------------- */

static bool ask(struct fuser *f, int node, const struct fusion *fusion)
{
    return f->graph->nodes[node].op->rule->fuse(&f->part->ctx[node], fusion);
}

/* One fusion of node i with what follows, if there is one. */
static void try_node(struct fuser *f, int i)
{
    struct node *node = &f->graph->nodes[i];
    if (node->dead || !node->op->rule->fuse || node->n_out < 1 || node->out[0] < 0)
        return;
    for (int o = 1; o < node->n_out; o++)
        if (node->out[o] >= 0)
            return;
    struct fusion fusion;
    int gate, product;
    if (gated_of(f, i, &gate, &product, &fusion) && ask(f, i, &fusion)) {
        f->graph->nodes[gate].dead = true;
        f->model->description.n_fused++;
        absorb(f, i, product);
        return;
    }
    const struct value *between = &f->graph->values[node->out[0]];
    int next = f->readers[2 * node->out[0]];
    if (between->n_uses != 1 || next < 0 || f->graph->nodes[next].dead || f->graph->nodes[next].n_out != 1 ||
        f->graph->nodes[next].out[0] < 0)
        return;
    if ((affine_of(f, i, next, &fusion) && ask(f, i, &fusion)) ||
        (residual_of(f, i, next, &fusion) && ask(f, i, &fusion)) ||
        (activation_of(f, next, &fusion) && f->graph->nodes[next].in[0] == node->out[0] && ask(f, i, &fusion)))
        absorb(f, i, next);
}

bool fuse_part(struct percept_model *model, struct part *part, const struct tensor *dims, const struct plan *others,
               int n_others, struct percept_err *err)
{
    struct graph *graph = part->graph;
    struct fuser f = {
        .model = model, .part = part, .graph = graph, .dims = dims, .others = others, .n_others = n_others};
    f.readers = arena_array(&model->load, 2 * (size_t)graph->n_values + 1, sizeof *f.readers);
    if (!f.readers)
        return err_set(err, ERR_MEMORY, "out of memory while fusing nodes");
    for (int i = 0; i < 2 * graph->n_values; i++)
        f.readers[i] = -1;
    graph_count_uses(graph);
    for (int i = 0; i < graph->n_nodes; i++)
        for (int k = 0; k < graph->nodes[i].n_in && !graph->nodes[i].dead; k++)
            if (graph->nodes[i].in[k] >= 0)
                note_reader(&f, graph->nodes[i].in[k], i);
    for (int i = 0; i < graph->n_nodes; i++)
        try_node(&f, i);
    graph_count_uses(graph);
    return true;
}
