/*
 * fold.c - the first walk over a graph that was read: who computes each node, is each node right, and
 * which nodes can be computed here and now.
 *
 * One pass in topological order does all three, because a check may need what an earlier node computes
 * (weights behind a Cast or Transpose, pads behind a Concat) and finds it as a constant. The same run
 * verb that serves requests does the folding.
 *
 * Not folded: operators that pack (their work belongs to the region), random ones, and results that are
 * far larger than what they come from (an Expand of a scalar), which a run computes in scratch.
 */
#include "engine/fold.h"

#include <stdio.h>
#include <string.h>

#include "engine/known.h"

#define MOST_FOLDED_BYTES ((size_t)16 << 20) /* of outputs, beyond the size of the inputs */

struct missing {
    char text[320];
    size_t used;
    int n;
    const char *advice; /* op_absent's */
};

static void note_missing(struct missing *missing, const struct node *node)
{
    missing->advice = missing->advice ? missing->advice : op_absent(node->domain, node->op_type);
    char name[96];
    const char *domain = bytes_size(node->domain) ? "." : "";
    snprintf(name, sizeof name, BYTES_FMT "%s" BYTES_FMT, BYTES_ARG(node->domain), domain, BYTES_ARG(node->op_type));
    char quoted[100];
    snprintf(quoted, sizeof quoted, "'%s'", name);
    if (strstr(missing->text, quoted))
        return;
    int n = snprintf(missing->text + missing->used, sizeof missing->text - missing->used, "%s%s",
                     missing->n ? ", " : "", quoted);
    if (n > 0 && (size_t)n < sizeof missing->text - missing->used)
        missing->used += (size_t)n;
    missing->n++;
}

static void find_operators(struct graph *graph, struct missing *missing)
{
    for (int i = 0; i < graph->n_nodes; i++) {
        struct node *node = &graph->nodes[i];
        node->op = op_find(node->domain, node->op_type, node->opset);
        if (!node->op && !node->removed)
            note_missing(missing, node);
        for (int a = 0; a < node->n_attr; a++)
            if (node->attrs[a].graph)
                find_operators(node->attrs[a].graph, missing);
    }
}

static bool all_constant(const struct graph *graph, const struct node *node)
{
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] >= 0 && !graph->values[node->in[i]].constant)
            return false;
    return true;
}

/* The tensors of a step over constants; false when memory is short. */
static bool point(const struct node_ctx *ctx, struct step *step)
{
    const struct node *node = ctx->node;
    for (int i = 0; i < node->n_in; i++) {
        bool ok = true;
        if (node->in[i] >= 0)
            step->in[i] = graph_constant(ctx->graph, node->in[i], step->arena, &ok);
        if (!ok)
            return false;
    }
    for (int i = 0; i < node->n_out; i++)
        if (!(step->out[i] = arena_alloc(step->arena, sizeof(struct tensor))))
            return false;
    return true;
}

/* Are the outputs not much larger than the inputs, and is there room for the scratch? */
static bool worth_folding(const struct percept_model *model, const struct step *step)
{
    size_t in_bytes, out_bytes;
    return step->scratch_bytes <= model->memory_limit_bytes && known_bytes(step, &in_bytes, &out_bytes) &&
           (out_bytes <= in_bytes || out_bytes - in_bytes <= MOST_FOLDED_BYTES);
}

/* float16 and bfloat16 are computed in float32: what is constant is widened once. */
static bool widen(struct percept_model *model, struct value *value)
{
    struct tensor *half = value->constant;
    if (!half || !tensor_is_half(half->dtype))
        return true;
    struct tensor *wide = arena_alloc(&model->load, sizeof *wide);
    int64_t n = tensor_elements(half);
    float *data = arena_array(&model->load, (size_t)n + 1, sizeof *data);
    if (!wide || !data)
        return false;
    tensor_widen(data, half->data, half->dtype, n);
    *wide = *half;
    wide->dtype = PERCEPT_FLOAT;
    wide->data = data;
    value->constant = wide;
    value->aligned = true;
    return true;
}

/* A shape makes its tables before anybody has judged its size: they end where a session's memory ends. */
static bool shape_step(struct percept_model *model, struct step *step, struct percept_err *err)
{
    model->load.limit_bytes = model->load.used_bytes + model->memory_limit_bytes;
    const bool good = step->op->rule->shape(step, err);
    model->load.limit_bytes = 0;
    return good;
}

/* Computes the node if that can be done now. A failure of shape or run is the model's own. */
static bool fold_node(struct percept_model *model, struct node_ctx *ctx, struct percept_err *err)
{
    struct node *node = ctx->node;
    struct step step;
    if (!known_lets(node->op) || !all_constant(ctx->graph, node))
        return true;
    if (!known_step(&step, node, ctx->kernels, &model->load) || !point(ctx, &step))
        return err_set(err, ERR_MEMORY, OP_AT "out of memory", OP_NODE(node));
    if (!shape_step(model, &step, err))
        return false;
    if (!known_ready(&step) || !worth_folding(model, &step))
        return true;
    if (!known_run(&step, err))
        return false;
    for (int i = 0; i < node->n_out; i++) {
        if (node->out[i] < 0)
            continue;
        struct value *value = &ctx->graph->values[node->out[i]];
        value->constant = step.out[i];
        value->aligned = true;
        if (!widen(model, value))
            return err_set(err, ERR_MEMORY, OP_AT "out of memory", OP_NODE(node));
    }
    node->removed = true;
    model->description.n_folded += node->n_in > 0; /* a Constant is nothing that was to compute */
    return true;
}

static bool fold_subgraphs(struct percept_model *model, struct graph *graph, const struct node *node,
                           struct percept_err *err);

static bool widen_constants(struct percept_model *model, struct graph *graph, struct percept_err *err)
{
    for (int v = 0; v < graph->n_values; v++)
        if (!widen(model, &graph->values[v]))
            return err_set(err, ERR_MEMORY, "out of memory while widening constants");
    return true;
}

static bool fold_part(struct percept_model *model, struct graph *graph, struct percept_err *err)
{
    struct part *part = model_add_part(model, graph);
    if (!part)
        return err_set(err, ERR_MEMORY, "out of memory while checking the network");
    if (!widen_constants(model, graph, err))
        return false;
    for (int i = 0; i < graph->n_nodes; i++) {
        struct node_ctx *ctx = &part->ctx[i];
        if (ctx->node->removed)
            continue;
        if (!fold_subgraphs(model, graph, ctx->node, err) || !ctx->node->op->rule->check(ctx, err) ||
            !fold_node(model, ctx, err))
            return false;
    }
    return true;
}

/* Bodies see the constants of the graph around them. */
static bool fold_subgraphs(struct percept_model *model, struct graph *graph, const struct node *node,
                           struct percept_err *err)
{
    for (int a = 0; a < node->n_attr; a++) {
        struct graph *body = node->attrs[a].graph;
        if (!body)
            continue;
        for (int v = 0; v < body->n_values; v++) {
            int outer = body->values[v].outer;
            if (outer >= 0) {
                body->values[v].constant = graph->values[outer].constant;
                body->values[v].aligned = graph->values[outer].aligned;
            }
        }
        if (!fold_part(model, body, err))
            return false;
    }
    return true;
}

/* Trial plans read constants before packing gives each its place, and a file's bytes lie anywhere. What
 * packing alone reads is spared. */
static bool align_inputs(struct percept_model *model, const struct part *part, struct percept_err *err)
{
    for (int i = 0; i < part->graph->n_nodes; i++) {
        const struct node_ctx *ctx = &part->ctx[i];
        for (int k = 0; !ctx->node->removed && k < ctx->node->n_in; k++) {
            bool packed = k < 32 && ctx->packed_inputs >> k & 1, ok = true;
            if (ctx->node->in[k] >= 0 && !packed)
                graph_constant(part->graph, ctx->node->in[k], &model->load, &ok);
            if (!ok)
                return err_set(err, ERR_MEMORY, OP_AT "out of memory", OP_NODE(ctx->node));
        }
    }
    return true;
}

bool fold_graph(struct percept_model *model, struct graph *graph, struct percept_err *err)
{
    struct missing missing = {.n = 0};
    find_operators(graph, &missing);
    if (missing.n)
        return err_set(err, ERR_UNSUPPORTED, "the model needs %s that this version does not have: %s (%s)",
                       missing.n == 1 ? "an operator" : "operators", missing.text,
                       missing.advice ? missing.advice : "see `perceptd --operators` for those it has");
    if (!fold_part(model, graph, err))
        return false;
    for (const struct part *part = model->parts; part; part = part->next)
        if (!align_inputs(model, part, err))
            return false;
    return true;
}

static bool passes_through(const struct graph *graph, const struct node *node)
{
    if (node->removed || !(node->op->rule->flags & OP_PASSES) || node->n_in != 1 || node->out[0] < 0)
        return false;
    for (int o = 1; o < node->n_out; o++)
        if (node->out[o] >= 0)
            return false;
    for (int o = 0; o < graph->n_outputs; o++)
        if (graph->outputs[o] == node->out[0])
            return false;
    return true;
}

/* Values that bodies read keep their producers. */
static void mark_captured(const struct graph *graph, bool *captured)
{
    for (int i = 0; i < graph->n_nodes; i++)
        for (int a = 0; a < graph->nodes[i].n_attr; a++) {
            const struct graph *body = graph->nodes[i].attrs[a].graph;
            for (int v = 0; body && v < body->n_values; v++)
                if (body->values[v].outer >= 0)
                    captured[body->values[v].outer] = true;
        }
}

bool fold_identities(struct graph *graph, struct arena *arena, struct percept_err *err)
{
    int *source = arena_array(arena, (size_t)graph->n_values + 1, sizeof *source);
    bool *captured = arena_array(arena, (size_t)graph->n_values + 1, sizeof *captured);
    if (!source || !captured)
        return err_set(err, ERR_MEMORY, "out of memory while folding the network");
    mark_captured(graph, captured);
    for (int v = 0; v < graph->n_values; v++)
        source[v] = v;
    for (int i = 0; i < graph->n_nodes; i++) { /* topological order: chains resolve by themselves */
        struct node *node = &graph->nodes[i];
        for (int k = 0; k < node->n_in; k++)
            if (node->in[k] >= 0)
                node->in[k] = source[node->in[k]];
        if (passes_through(graph, node) && !captured[node->out[0]]) {
            source[node->out[0]] = node->in[0];
            node->removed = true;
        }
    }
    return true;
}

void fold_unused(struct graph *graph)
{
    graph_count_uses(graph);
    for (int i = graph->n_nodes - 1; i >= 0; i--) {
        struct node *node = &graph->nodes[i];
        bool read = node->removed;
        for (int o = 0; o < node->n_out && !read; o++)
            read = node->out[o] >= 0 && graph->values[node->out[o]].n_uses > 0;
        if (read)
            continue;
        node->removed = true;
        for (int k = 0; k < node->n_in; k++)
            if (node->in[k] >= 0)
                graph->values[node->in[k]].n_uses--;
    }
}
