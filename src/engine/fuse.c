/*
 * fuse.c - small nodes become part of the large one before them: BatchNormalization and other
 * per-channel affine nodes, residual additions, activations.
 *
 * This file recognises patterns and asks: the small node's rule what it is (its affine verb, its flags), the operator
 * that would do more whether it does (its fuse verb); that one keeps what it accepted. Absorbing moves the large node
 * to the place of the small one, so that a residual that is computed in between is there in time:
 *
 *     Conv -> t -> Add(t, r) -> y        becomes        Conv(.., r) -> y   where Add stood
 *
 * A node is absorbed only if nobody else reads what lies between. Patterns that depend on shapes (is this
 * Add a residual or a broadcast?) look at a trial plan's tensors; without one they are left alone.
 */
#include "engine/fuse.h"

#include "op/activation.h"
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

static bool has(const struct node *node, enum op_flags flag)
{
    return node->op->rule->flags & (int)flag;
}

static void note_reader(struct fuser *f, int value, int node)
{
    int *two = &f->readers[2 * value];
    if (two[0] < 0 || two[0] == node)
        two[0] = node;
    else if (two[1] < 0)
        two[1] = node;
}

/* The node at `from`, with what it absorbed, goes to the place of `to` and writes to's output. Who reads what is not
 * noted anew: the walk has passed whatever makes the inputs of `from`. */
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
    moved->removed = true;
    f->model->description.n_fused++;
}

/* --- per-channel affine ------------------------------------------------------------------------------------------- */

/* The axis of the channels in what an operator that accepts fusions writes; -1: not known. */
static int channel_axis(const struct fuser *f, const struct node *node)
{
    if (has(node, OP_CHANNELS_LAST))
        return f->dims ? f->dims[node->out[0]].rank - 1 : -1;
    return 1;
}

/* y = x scale + shift, x the value between. */
static bool affine_of(struct fuser *f, int first, int second, struct fusion *fusion)
{
    const struct node *before = &f->graph->nodes[first], *node = &f->graph->nodes[second];
    const int between = before->out[0];
    const struct affine_view view = {.input = node->in[0] == between ? 0 : 1,
                                     .axis = channel_axis(f, before),
                                     .x = f->dims ? &f->dims[between] : NULL};
    *fusion = (struct fusion){.kind = FUSE_AFFINE};
    return node->op->rule->affine && node->op->rule->affine(&f->part->ctx[second], &view, fusion);
}

/* --- residual ----------------------------------------------------------------------------------------------------- */

static bool residual_of(struct fuser *f, int first, int second, struct fusion *fusion)
{
    const struct node *node = &f->graph->nodes[second];
    if (!f->dims || !has(node, OP_ADDS) || node->n_in != 2 || node->in[0] == node->in[1])
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
        if (*gate < 0 || *product < 0 || !has(&f->graph->nodes[*product], OP_MULTIPLIES) ||
            !activation_of(f, *gate, fusion))
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
    if (node->removed || !node->op->rule->fuse || node->n_out < 1 || node->out[0] < 0)
        return;
    for (int o = 1; o < node->n_out; o++)
        if (node->out[o] >= 0)
            return;
    struct fusion fusion;
    int gate, product;
    if (gated_of(f, i, &gate, &product, &fusion) && ask(f, i, &fusion)) {
        f->graph->nodes[gate].removed = true;
        f->model->description.n_fused++;
        absorb(f, i, product);
        return;
    }
    const struct value *between = &f->graph->values[node->out[0]];
    int next = f->readers[2 * node->out[0]];
    if (between->n_uses != 1 || next < 0 || f->graph->nodes[next].removed || f->graph->nodes[next].n_out != 1 ||
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
        for (int k = 0; k < graph->nodes[i].n_in && !graph->nodes[i].removed; k++)
            if (graph->nodes[i].in[k] >= 0)
                note_reader(&f, graph->nodes[i].in[k], i);
    for (int i = 0; i < graph->n_nodes; i++)
        try_node(&f, i);
    graph_count_uses(graph);
    return true;
}
