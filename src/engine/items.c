/*
 * items.c - a proof that a network keeps the items of a batch apart, without running it.
 *
 * A walk over the nodes in order gives every value one of four words:
 *
 *     FIXED   the same whatever is put in
 *     KNOWN   follows from shapes alone, the batch among them
 *     APART   along the first axis lie the items in order, each with as many rows, and those of item k follow
 *             from item k of the inputs and what is FIXED
 *     MIXED   nothing is known
 *
 * A value is APART only if its first axis is 2 m in a trial at two items, n m in one at n, and m at one, and the
 * others are the same in all of them. With that, many
 * operators need no more than a look at which inputs are APART: a convolution sees a row at a time, and a
 * Reshape moves nothing from item to item, elements staying in order. Others are asked for an axis. What is
 * not in the table is MIXED, and then rebatch.c runs the model on two items to see; a row is worth having
 * where large networks use an operator, since that run costs as much as four inferences.
 */
#include "engine/items.h"

#include <string.h>

#include "op/attr.h"
#include "op/cast.h"

enum word { MIXED, FIXED, KNOWN, APART };

struct items {
    struct part *part;
    struct items_trials trials;
    uint8_t *words; /* [n_values] */
};

static enum word word_of(const struct items *items, const struct node *node, int input)
{
    return input < node->n_in && node->in[input] >= 0 ? items->words[node->in[input]] : FIXED;
}

static int rank_of(const struct items *items, const struct node *node, int input)
{
    return items->trials.two[node->in[input]].rank;
}

static bool items_first(const struct items *items, int value)
{
    const struct tensor *one = &items->trials.one[value], *two = &items->trials.two[value];
    const struct tensor *many = &items->trials.many[value];
    if (one->rank < 1 || two->rank != one->rank || many->rank != one->rank)
        return false;
    for (int d = 1; d < one->rank; d++)
        if (two->dims[d] != one->dims[d] || many->dims[d] != one->dims[d])
            return false;
    const int64_t rows = one->dims[0];
    return rows > 0 && two->dims[0] == 2 * rows && many->dims[0] == items->trials.n_many * rows;
}

/* --- rules: the node has an input that is APART; are its outputs, where items come first? --------------- */

/* Input 0, and the others are `others` at least. */
static bool first_input(const struct items *items, const struct node *node, enum word others)
{
    bool good = word_of(items, node, 0) == APART;
    for (int i = 1; i < node->n_in; i++) {
        const enum word word = word_of(items, node, i);
        good = good && (word == FIXED || word == others);
    }
    return good;
}

/* Each row by itself, with parameters: convolutions, pools, normalizations. */
static bool each_item(const struct items *items, struct node_ctx *ctx)
{
    return first_input(items, ctx->node, FIXED);
}

/* Indices are counted through the whole batch. */
static bool max_pool(const struct items *items, struct node_ctx *ctx)
{
    return each_item(items, ctx) && ctx->node->n_out < 2;
}

/* Elements stay in order, and the first axis as it is. */
static bool in_order(const struct items *items, struct node_ctx *ctx)
{
    return first_input(items, ctx->node, KNOWN);
}

/* Element by element: what is FIXED must not have an axis of its own where the batch is. */
static bool each_element(const struct items *items, struct node_ctx *ctx)
{
    const struct node *node = ctx->node;
    const struct tensor *out = &items->trials.two[node->out[0]];
    for (int i = 0; i < node->n_in; i++) {
        if (node->in[i] < 0)
            continue;
        const struct tensor *t = &items->trials.two[node->in[i]];
        const enum word word = word_of(items, node, i);
        if (!(word == APART && t->rank == out->rank && t->dims[0] == out->dims[0]) &&
            !(word == FIXED && (t->rank < out->rank || t->dims[0] == 1)))
            return false;
    }
    return true;
}

static bool expand(const struct items *items, struct node_ctx *ctx)
{
    const struct tensor *x = &items->trials.two[ctx->node->in[0]], *y = &items->trials.two[ctx->node->out[0]];
    return first_input(items, ctx->node, KNOWN) && x->rank == y->rank && x->dims[0] == y->dims[0];
}

/* All inputs are joined, or the first is cut, along another axis. */
static bool along_axis(const struct items *items, struct node_ctx *ctx, int64_t absent)
{
    int64_t axis;
    return attr_int(ctx, "axis", absent, &axis, NULL) && axis != 0 &&
           axis != -rank_of(items, ctx->node, 0);
}

static bool concat(const struct items *items, struct node_ctx *ctx)
{
    for (int i = 0; i < ctx->node->n_in; i++)
        if (word_of(items, ctx->node, i) != APART)
            return false;
    return along_axis(items, ctx, 0);
}

/* Along the axis that is named, which is the first by default. */
static bool split(const struct items *items, struct node_ctx *ctx)
{
    return each_item(items, ctx) && along_axis(items, ctx, 0);
}

static bool softmax(const struct items *items, struct node_ctx *ctx)
{
    return each_item(items, ctx) && along_axis(items, ctx, ctx->node->opset < 13 ? 1 : -1);
}

/* Rows of a table by indices that are APART, or the same places of each item. */
static bool gather(const struct items *items, struct node_ctx *ctx)
{
    int64_t axis;
    if (word_of(items, ctx->node, 0) == APART)
        return each_item(items, ctx) && along_axis(items, ctx, 0);
    return word_of(items, ctx->node, 0) == FIXED && attr_int(ctx, "axis", 0, &axis, NULL) && axis == 0;
}

static bool transpose(const struct items *items, struct node_ctx *ctx)
{
    const int64_t *perm;
    int n;
    return each_item(items, ctx) && attr_ints(ctx, "perm", &perm, &n, NULL) && n > 0 && perm[0] == 0;
}

/* Numbers from the constant input 1, or from the attribute where there is no such input; NULL: neither. */
static const int64_t *listed(struct node_ctx *ctx, const char *name, int *n)
{
    const struct tensor *input = op_constant(ctx, 1);
    const int64_t *list = NULL;
    if (!op_has_input(ctx->node, 1))
        return attr_ints(ctx, name, &list, n, NULL) ? list : NULL;
    if (!input || input->dtype != PERCEPT_INT64)
        return NULL;
    *n = (int)tensor_elements(input);
    return input->data;
}

/* At least one axis, and the first is not among them. */
static bool reduce(const struct items *items, struct node_ctx *ctx)
{
    int n = 0;
    const int64_t *axes = listed(ctx, "axes", &n);
    if (!each_item(items, ctx) || !axes)
        return false;
    for (int i = 0; i < n; i++)
        if (axes[i] == 0 || axes[i] == -rank_of(items, ctx->node, 0))
            return false;
    return n > 0;
}

static int64_t element(const struct tensor *t, int64_t i)
{
    int64_t value;
    const size_t at = (size_t)i * tensor_dtype_bytes(t->dtype);
    cast_numbers(PERCEPT_INT64, &value, t->dtype, (const char *)t->data + at, 1);
    return value;
}

/* With steps forward, as many rows as before are the same rows. */
static bool slice(const struct items *items, struct node_ctx *ctx)
{
    const struct node *node = ctx->node;
    const struct tensor *steps = op_constant(ctx, 4);
    if (op_has_input(node, 4) && !steps)
        return false;
    for (int64_t i = 0; steps && i < tensor_elements(steps); i++)
        if (element(steps, i) < 0)
            return false;
    return each_item(items, ctx) &&
           items->trials.two[node->in[0]].dims[0] == items->trials.two[node->out[0]].dims[0];
}

static bool pad(const struct items *items, struct node_ctx *ctx)
{
    int n = 0;
    const int64_t *pads = listed(ctx, "pads", &n);
    return pads && each_item(items, ctx) && !op_has_input(ctx->node, 3) &&
           n == 2 * rank_of(items, ctx->node, 0) && pads[0] == 0 && pads[n / 2] == 0;
}

/* To sizes that leave the batch as it is, or by constant scales, 1 for the batch; without a region of interest. */
static bool resize(const struct items *items, struct node_ctx *ctx)
{
    const struct node *node = ctx->node;
    const bool first_form = node->n_in < 3;
    const bool sized = op_has_input(node, 3) && tensor_elements(&items->trials.two[node->in[3]]) > 0;
    const struct tensor *roi = op_constant(ctx, 1), *scales = first_form ? roi : op_constant(ctx, 2);
    if (!first_form && op_has_input(node, 1) && !(roi && tensor_elements(roi) == 0))
        return false;
    if (sized) /* an aspect that is kept changes scales, not sizes alone */
        return !attr_has(ctx, "keep_aspect_ratio_policy") && first_input(items, node, KNOWN) &&
               items->trials.two[node->in[0]].dims[0] == items->trials.two[node->out[0]].dims[0];
    return each_item(items, ctx) && !attr_has(ctx, "axes") && scales &&
           scales->dtype == PERCEPT_FLOAT && tensor_elements(scales) > 0 &&
           *(const float *)scales->data == 1;
}

/* Along another axis than the first, which is the last where none is named. */
static bool along_last(const struct items *items, struct node_ctx *ctx)
{
    return each_item(items, ctx) && along_axis(items, ctx, -1);
}

/* How many there are may follow from shapes: were it from the batch, the output's would tell. */
static bool top_k(const struct items *items, struct node_ctx *ctx)
{
    return in_order(items, ctx) && along_axis(items, ctx, -1);
}

/* By one scale, or by those of another axis than the first. */
static bool quantize(const struct items *items, struct node_ctx *ctx)
{
    return each_item(items, ctx) && (rank_of(items, ctx->node, 1) == 0 || along_axis(items, ctx, 1));
}

/* The left side's rows by a matrix that is FIXED, or each item's matrices by its own. */
static bool matmul(const struct items *items, struct node_ctx *ctx)
{
    const struct node *node = ctx->node;
    const int a = rank_of(items, node, 0), b = rank_of(items, node, 1);
    if (word_of(items, node, 0) != APART)
        return false;
    return word_of(items, node, 1) == FIXED ? a >= 2 && b <= 2
                                            : word_of(items, node, 1) == APART && a == b && a > 2;
}

static bool gemm(const struct items *items, struct node_ctx *ctx)
{
    const struct node *node = ctx->node;
    bool turned;
    return each_item(items, ctx) && attr_bool(ctx, "transA", false, &turned, NULL) && !turned &&
           (!op_has_input(node, 2) || rank_of(items, node, 2) < 2 || items->trials.two[node->in[2]].dims[0] == 1);
}

static const struct rule {
    bool (*holds)(const struct items *items, struct node_ctx *ctx);
    const char *op_types; /* a space before and behind each */
} rules[] = {
    {each_element, " Abs Add Affine And Cast Ceil Clip Cos Div Elu Equal Erf Exp Floor Greater GreaterOrEqual "
                   "HardSigmoid HardSwish Identity LeakyRelu Less LessOrEqual Log Max Min Mish Mul Neg Not "
                   "Or PRelu ParametricSoftplus Pow Reciprocal Relu Round ScaledTanh Selu Sigmoid Sign Sin "
                   "Softplus Softsign Sqrt Sub Sum Tanh Where "},
    {each_item, " AveragePool BatchNormalization Conv ConvTranspose DepthToSpace GlobalAveragePool "
                "GlobalMaxPool ImageScaler InstanceNormalization LRN SpaceToDepth "},
    {max_pool, " MaxPool "},
    {in_order, " Flatten Reshape Squeeze Unsqueeze "},
    {reduce, " ReduceL1 ReduceL2 ReduceMax ReduceMean ReduceMin ReduceSum ReduceSumSquare "},
    {softmax, " LogSoftmax Softmax "},
    {concat, " Concat "},
    {expand, " Expand "},
    {gather, " Gather "},
    {split, " ArgMax ArgMin Split "},
    {transpose, " Transpose "},
    {slice, " Slice "},
    {along_last, " LayerNormalization RMSNormalization "},
    {top_k, " TopK "},
    {quantize, " DequantizeLinear QuantizeLinear "},
    {pad, " Pad "},
    {resize, " Resize Upsample "},
    {matmul, " MatMul "},
    {gemm, " Gemm "},
};

static const struct rule *rule_of(const struct node *node)
{
    char word[40];
    const size_t n = bytes_size(node->op_type);
    if (bytes_size(node->domain) != 0 || n + 3 > sizeof word)
        return NULL;
    word[0] = ' ';
    memcpy(word + 1, node->op_type.at, n);
    memcpy(word + 1 + n, " ", 2);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (strstr(rules[i].op_types, word))
            return &rules[i];
    return NULL;
}

/* --- the walk ------------------------------------------------------------------------------------------- */

static bool is_shape(const struct node *node)
{
    return bytes_is(node->op_type, "Shape") || bytes_is(node->op_type, "Size");
}

/* What a node computes from what its inputs are. */
static enum word judge(const struct items *items, struct node_ctx *ctx)
{
    const struct node *node = ctx->node;
    const struct rule *rule = rule_of(node);
    enum word most = FIXED;
    for (int i = 0; i < node->n_in; i++) {
        const enum word word = word_of(items, node, i);
        if (word == MIXED)
            return MIXED;
        most = word > most ? word : most;
    }
    if (is_shape(node))
        return KNOWN;
    if (most == APART) /* its outputs' first axes are looked at by the caller */
        return rule && rule->holds(items, ctx) ? APART : MIXED;
    return rule || most == KNOWN ? most : MIXED;
}

bool items_apart(struct percept_model *model, const struct items_trials *trials)
{
    const struct graph *graph = model->onnx.graph;
    struct items items = {.part = model->parts, .trials = *trials};
    items.words = arena_alloc(&model->load, (size_t)graph->n_values + 1);
    if (!items.words)
        return false;
    for (int v = 0; v < graph->n_values; v++)
        items.words[v] = graph->values[v].constant ? FIXED : MIXED;
    for (int i = 0; i < graph->n_inputs; i++)
        items.words[graph->inputs[i]] = items_first(&items, graph->inputs[i]) ? APART : MIXED;
    for (int i = 0; i < graph->n_nodes; i++) {
        struct node_ctx *ctx = &items.part->ctx[i];
        if (ctx->node->dead)
            continue;
        const enum word word = judge(&items, ctx);
        for (int o = 0; o < ctx->node->n_out; o++) {
            const int value = ctx->node->out[o];
            if (value >= 0)
                items.words[value] = word == APART && !items_first(&items, value) ? (uint8_t)MIXED
                                                                                  : (uint8_t)word;
        }
    }
    for (int i = 0; i < graph->n_outputs; i++)
        if (items.words[graph->outputs[i]] != APART)
            return false;
    return true;
}
