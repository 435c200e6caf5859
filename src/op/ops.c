/*
 * ops.c - the table of operators and the few things that most of them ask of a node or a step.
 *
 * ops.def is included three times: to declare the rules that the family files define, and to fill the tables of what is
 * there and of what is not.
 * Its rows stand sorted by domain, name and opset (a test checks it), so that finding one is a binary
 * search and nothing has to be built at start.
 *
 * Threads: the table is const. The helpers with a node_ctx run on the loader, those with a step on the
 * session's holder.
 */
#include "op/op.h"

#include <string.h>

#include "base/mode.h"

#define OP(name, since, rule) extern const struct op_rule op_##rule;
#define OP_ML(name, since, rule) extern const struct op_rule op_##rule;
#define OP_MS(name, since, rule) extern const struct op_rule op_##rule;
#define OP_ABSENT(domain, begin, advice)
#include "op/ops.def"
#undef OP
#undef OP_ML
#undef OP_MS
#undef OP_ABSENT

static const struct op table[] = {
#define OP(name, since, rule) {"", #name, since, &op_##rule},
#define OP_ML(name, since, rule) {"ai.onnx.ml", #name, since, &op_##rule},
#define OP_MS(name, since, rule) {"com.microsoft", #name, since, &op_##rule},
#define OP_ABSENT(domain, begin, advice)
#include "op/ops.def"
#undef OP
#undef OP_ML
#undef OP_MS
#undef OP_ABSENT
};

#define NO_NET "trees and support vector machines are no neural networks; linear models and perceptrons would work"
#define LAID_OUT "ONNX Runtime laid it out for one kind of processor: save it with the optimization level 'extended'"

static const struct {
    const char *domain, *begin, *advice;
} absent[] = {
#define OP(name, since, rule)
#define OP_ML(name, since, rule)
#define OP_MS(name, since, rule)
#define OP_ABSENT(domain, begin, advice) {domain, begin, advice},
#include "op/ops.def"
#undef OP
#undef OP_ML
#undef OP_MS
#undef OP_ABSENT
};

#define N_OPS ((int)(sizeof table / sizeof *table))

const struct op *op_table(int *n)
{
    *n = N_OPS;
    return table;
}

const char *op_absent(struct bytes domain, struct bytes name)
{
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
        const size_t n = strlen(absent[i].begin);
        if (bytes_is(domain, absent[i].domain) && bytes_size(name) >= n && !memcmp(name.at, absent[i].begin, n))
            return absent[i].advice;
    }
    return NULL;
}

static bool gives_nothing(const struct step *step)
{
    if (step->op->rule->flags & (OP_DATA_DIMS | OP_OWN_MEMORY))
        return false;
    for (int i = 0; i < step->n_out; i++)
        if (tensor_elements(step->out[i]) != 0)
            return false;
    return true;
}

bool op_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    if (gives_nothing(step))
        return true;
    const uint64_t before = mode_enter(step->op->rule->flags & OP_EXACT ? MODE_EXACT : MODE_FLUSHED);
    const bool good = step->op->rule->run(step, env, err);
    mode_set(before);
    return good;
}

static int compare_text(struct bytes a, const char *b)
{
    size_t n_a = bytes_size(a), n_b = strlen(b);
    size_t n = n_a < n_b ? n_a : n_b;
    int order = n ? memcmp(a.at, b, n) : 0;
    return order ? order : (n_a > n_b) - (n_a < n_b);
}

static int compare_row(struct bytes domain, struct bytes name, int opset, const struct op *row)
{
    int order = compare_text(domain, row->domain);
    if (!order)
        order = compare_text(name, row->name);
    return order ? order : (opset > row->since) - (opset < row->since);
}

const struct op *op_find(struct bytes domain, struct bytes name, int opset)
{
    if (bytes_is(domain, "ai.onnx")) /* the long name of the default domain */
        domain = bytes_of_text("");
    int from = 0, to = N_OPS; /* rows before `from` are not above what is asked for */
    while (from < to) {
        int middle = from + (to - from) / 2;
        if (compare_row(domain, name, opset, &table[middle]) >= 0)
            from = middle + 1;
        else
            to = middle;
    }
    if (from == 0)
        return NULL;
    const struct op *row = &table[from - 1];
    return compare_row(domain, name, row->since, row) == 0 ? row : NULL;
}

/* first and then second as one: (y s1 + t1) s2 + t2 = y (s1 s2) + (t1 s2 + t2) */
static bool merge_affine(struct fused *fused, const struct fusion *then, struct arena *arena)
{
    size_t n = (size_t)then->channels;
    float *scale = fused->scale || then->scale ? arena_array(arena, n, sizeof *scale) : NULL;
    float *shift = fused->shift || then->shift ? arena_array(arena, n, sizeof *shift) : NULL;
    if (((fused->scale || then->scale) && !scale) || ((fused->shift || then->shift) && !shift))
        return false;
    for (size_t c = 0; c < n; c++) {
        double s1 = fused->scale ? (double)fused->scale[c] : 1;
        double t1 = fused->shift ? (double)fused->shift[c] : 0;
        double s2 = then->scale ? (double)then->scale[c] : 1;
        double t2 = then->shift ? (double)then->shift[c] : 0;
        if (scale)
            scale[c] = (float)(s1 * s2);
        if (shift)
            shift[c] = (float)(t1 * s2 + t2);
    }
    fused->scale = scale;
    fused->shift = shift;
    return true;
}

bool op_fuse(struct fused *fused, const struct fusion *fusion, struct arena *arena)
{
    if (fused->act != ACT_NONE)
        return false;
    switch (fusion->kind) {
    case FUSE_AFFINE:
        return fused->residual < 0 && merge_affine(fused, fusion, arena);
    case FUSE_RESIDUAL:
        return fused->residual < 0;
    case FUSE_ACTIVATION:
        fused->act = fusion->act;
        fused->alpha = fusion->alpha;
        fused->beta = fusion->beta;
        return true;
    }
    return false;
}

int op_add_input(struct node_ctx *ctx, int value)
{
    struct node *node = ctx->node;
    size_t n = (size_t)node->n_in;
    int *in = arena_array(ctx->arena, n + 1, sizeof *in);
    if (!in)
        return -1;
    if (n)
        memcpy(in, node->in, n * sizeof *in);
    in[n] = value;
    node->in = in;
    return node->n_in++;
}

bool op_has_input(const struct node *node, int i)
{
    return i < node->n_in && node->in[i] >= 0;
}

const struct tensor *op_constant(struct node_ctx *ctx, int i)
{
    if (!op_has_input(ctx->node, i))
        return NULL;
    struct graph *graph = ctx->graph;
    int value = ctx->node->in[i];
    while (graph->values[value].outer >= 0 && graph->parent) { /* captured by a subgraph */
        value = graph->values[value].outer;
        graph = graph->parent;
    }
    bool ok;
    return graph_constant(graph, value, ctx->arena, &ok);
}

void *op_priv(struct node_ctx *ctx, size_t n_bytes, struct percept_err *err)
{
    ctx->node->priv = arena_alloc(ctx->arena, n_bytes);
    if (!ctx->node->priv)
        err_memory(err, "a node", n_bytes);
    return ctx->node->priv;
}

bool op_arity(const struct node_ctx *ctx, int least, int most, int outputs, struct percept_err *err)
{
    const struct node *node = ctx->node;
    if (node->n_in < least || node->n_in > most)
        return err_set(err, ERR_MODEL, OP_AT "it has %d inputs; between %d and %d would work", OP_NODE(node),
                       node->n_in, least, most);
    for (int i = 0; i < least; i++)
        if (node->in[i] < 0)
            return err_set(err, ERR_MODEL, OP_AT "input %d is left out and is needed", OP_NODE(node), i);
    if (node->n_out < 1 || node->n_out > outputs)
        return err_set(err, ERR_MODEL, OP_AT "it has %d outputs; between 1 and %d would work", OP_NODE(node),
                       node->n_out, outputs);
    return true;
}

void op_set_out(struct step *step, int i, enum percept_dtype dtype, int rank, const int64_t *dims)
{
    step->out[i]->dtype = dtype;
    tensor_set_dims(step->out[i], rank, rank ? dims : (const int64_t[]){0});
}

bool op_want_dtype(const struct step *step, int i, enum percept_dtype dtype, struct percept_err *err)
{
    if (step->in[i]->dtype == dtype)
        return true;
    return err_set(err, ERR_UNSUPPORTED, OP_AT "input %d is %s; %s would work", OP_NODE(step->node), i,
                   tensor_dtype_name(step->in[i]->dtype), tensor_dtype_name(dtype));
}

void op_copy(struct run_env *env, void *to, const void *from, size_t n_bytes)
{
    if (n_bytes <= OP_BLOCK)
        memcpy(to, from, n_bytes);
    else
        watch_copy(env->watch, to, from, n_bytes);
}

void op_clear(struct run_env *env, void *to, size_t n_bytes)
{
    for (op_blocks(env, (int64_t)n_bytes, from, end))
        memset((char *)to + from, 0, (size_t)(end - from));
}

size_t op_plain_bytes(const struct tensor *t)
{
    size_t n_bytes = 0;
    tensor_bytes(t, 1, &n_bytes);
    return n_bytes;
}

size_t op_text_bytes(const struct tensor *t)
{
    size_t n_bytes = 0;
    for (int64_t i = 0, n = t->dtype == PERCEPT_STRING ? tensor_elements(t) : 0; i < n; i++)
        n_bytes += ((const struct percept_string *)t->data)[i].n_bytes;
    return n_bytes;
}

void op_move_texts(void *strings, int64_t n, char *to)
{
    struct percept_string *string = strings;
    for (int64_t i = 0; i < n; i++, string++) {
        if (string->n_bytes)
            memcpy(to, string->at, string->n_bytes);
        string->at = to;
        to += string->n_bytes;
    }
}

bool op_refuse_empty(const struct step *step, const char *what, int axis, struct percept_err *err)
{
    return err_set(err, ERR_INVALID,
                   OP_AT "axis %d has no elements, and the %s of nothing is not defined; one "
                         "element or more would work",
                   OP_NODE(step->node), axis, what);
}

bool op_want_real(const struct step *step, int i, struct percept_err *err)
{
    const enum percept_dtype dtype = step->in[i]->dtype;
    if (dtype == PERCEPT_FLOAT || dtype == PERCEPT_DOUBLE)
        return true;
    return err_set(err, ERR_UNSUPPORTED, OP_AT "input %d is %s; float32 and float64 would work", OP_NODE(step->node), i,
                   tensor_dtype_name(dtype));
}

bool op_axis(const struct step *step, int64_t axis, int rank, int *out, struct percept_err *err)
{
    if (axis < -rank || axis >= rank)
        return err_set(err, ERR_MODEL, OP_AT "axis %lld is outside [%d, %d]", OP_NODE(step->node), (long long)axis,
                       -rank, rank - 1);
    *out = (int)(axis < 0 ? axis + rank : axis);
    return true;
}

bool op_known(const struct step *step, int i, struct percept_err *err)
{
    if (i >= step->n_in || !step->in[i] || step->in[i]->data)
        return true;
    if (step->demands)
        *step->demands |= 1u << i;
    return err_set(err, ERR_UNSUPPORTED, OP_AT "input %d depends on data", OP_NODE(step->node), i);
}

bool op_ints(const struct step *step, int i, int most, int64_t *to, int *n, struct percept_err *err)
{
    const struct tensor *t = step->in[i];
    if (t->dtype != PERCEPT_INT64 && t->dtype != PERCEPT_INT32)
        return err_set(err, ERR_MODEL, OP_AT "input %d is %s; int64 would work", OP_NODE(step->node), i,
                       tensor_dtype_name(t->dtype));
    int64_t count = tensor_elements(t);
    if (t->rank > 1 || count > most)
        return err_set(err, ERR_UNSUPPORTED,
                       OP_AT "input %d has rank %d and %lld elements; a list of "
                             "up to %d would work",
                       OP_NODE(step->node), i, t->rank, (long long)count, most);
    if (count && !op_known(step, i, err))
        return false;
    for (int64_t k = 0; k < count; k++)
        to[k] = t->dtype == PERCEPT_INT64 ? ((const int64_t *)t->data)[k] : ((const int32_t *)t->data)[k];
    *n = (int)count;
    return true;
}
