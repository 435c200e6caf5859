/*
 * rnn.c - RNN, GRU and LSTM, and com.microsoft's DynamicQuantizeLSTM.
 *
 * The products with the input are one matrix product for all time steps and items; then the
 * recurrence walks through time, adds the product with the state to the rows of its step, in place,
 * and turns the gates into the new state: by the kernels where the activations are ONNX's defaults,
 * else element by element here.
 *
 * Packed bytes, when W, R and B are constants (the usual case; else the same is laid down in
 * scratch at every run), for each direction:
 *
 *     [bias: gates*hidden][recurrent bias: hidden][W: input x gates*hidden][R: hidden x
 * gates*hidden]
 *
 * Wb and Rb are one bias wherever they are added in one place; a GRU with linear_before_reset keeps
 * the Rb of its hidden gate apart. A GRU's R is packed as two matrices, [z r] and [h].
 *
 * DynamicQuantizeLSTM is an LSTM of the weights that its 8-bit ones stand for, widened before they are
 * packed. ONNX Runtime quantises X, and the state at every step, to the range that all items of the
 * batch have together; here an item's answer is its own, and what it misses is nearer to the float model.
 *
 * Items of different length: at time t only runs of neighbouring items that are still alive are
 * computed. Rows of our gemm do not know of each other, so an item's bits do not depend on its
 * batch mates. A backward direction walks t downwards and an item joins at its own last step.
 *
 * Work of the recurrence is split over (direction, group of items), as many groups as there are cores, a stretch of
 * time after another: between them the run looks whether it is to go on. Thread: loader, then the session's holder
 * with its team.
 */
#include "op/activation.h"
#include "op/attr.h"
#include "op/batch_axis.h"
#include "op/product.h"
#include "op/quant.h"
#include "op/weights.h"

#include <stdio.h>
#include <string.h>

#define RNN_PRODUCTS 3e7 /* multiply-adds of a stretch of time, or so */
#define RNN_UNIT 32      /* multiply-adds that the functions of one gate are worth */

enum rnn_kind { RNN_PLAIN, RNN_GRU, RNN_LSTM };
/* A rule's variant: DynamicQuantizeLSTM is an LSTM but for its weights. */
enum { RNN_QUANTISED = RNN_LSTM + 1 };
enum rnn_direction { RNN_FORWARD, RNN_REVERSE, RNN_BIDIRECTIONAL };

struct rnn {
    enum rnn_kind kind;
    int gates, n_functions; /* of one direction */
    int directions;
    enum rnn_direction direction;
    struct activation_of activations[2][3]; /* f g h */
    bool usual[2];                          /* activations are the defaults */
    float clip;                             /* 0: none */
    bool batch_first, linear_before_reset, input_forget;
    bool packed;
    enum precision precision;     /* of packed weights */
    bool quantised;               /* W and R are of 8 bits, [directions][k][gates hidden] */
    const float *wide_w, *wide_r; /* these as LSTM's, until they are packed */
    int64_t declared;             /* hidden_size, or 0 */
    int64_t input, hidden;        /* of the packed weights */
};

/* Where things lie in the bytes of one direction. */
struct rnn_blob {
    size_t recurrent_bias, w, r, r_hidden, each; /* bias: at 0 */
};

struct rnn_plan {
    int64_t seq, batch, input, hidden, gates; /* gates: floats of a row of gates */
    struct product project;                   /* the input's, an item a direction */
    int64_t stretch;                          /* time steps of one piece of the recurrence */
    bool lay;
    struct rnn_blob blob;
    size_t gates_at, state_at, wide_at; /* offsets in scratch */
};

/* --- check -------------------------------------------------------------------------------------------------------- */

static const struct activation_row *usual_function(const struct rnn *rnn, int i)
{
    return activation_row(i == 0 && rnn->kind != RNN_PLAIN ? UNARY_SIGMOID : UNARY_TANH);
}

static bool refuse_function(const struct node_ctx *ctx, struct bytes name, struct percept_err *err)
{
    char known[256] = "";
    int n;
    const struct activation_row *rows = activation_table(&n);
    for (int i = 0; i < n && rows[i].gate; i++) {
        const size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", rows[i].name);
    }
    return err_set(err, ERR_MODEL, OP_AT "activation '" BYTES_FMT "'; known are %s", OP_NODE(ctx->node),
                   BYTES_ARG(name), known);
}

static bool read_functions(const struct node_ctx *ctx, struct rnn *rnn, struct percept_err *err)
{
    const struct attr *names = graph_attr(ctx->node, "activations");
    const int wanted = rnn->directions * rnn->n_functions;
    if (names && (names->type != ATTR_STRINGS || names->n != (size_t)wanted))
        return err_set(err, ERR_MODEL, OP_AT "attribute 'activations' must be a list of %d names", OP_NODE(ctx->node),
                       wanted);
    for (int i = 0; i < wanted; i++) {
        const int d = i / rnn->n_functions, k = i % rnn->n_functions;
        const struct activation_row *row = names ? activation_named(names->strings[i], true) : usual_function(rnn, k);
        if (!row || !row->gate)
            return refuse_function(ctx, names->strings[i], err);
        rnn->activations[d][k] = (struct activation_of){.row = row, .alpha = row->alpha, .beta = row->beta};
    }
    return true;
}

/* The lists hold numbers for those functions alone that take one, in their order. */
static bool read_numbers(const struct node_ctx *ctx, struct rnn *rnn, struct percept_err *err)
{
    const float *alphas, *betas;
    int n_alphas, n_betas, alpha = 0, beta = 0;
    if (!attr_floats(ctx, "activation_alpha", &alphas, &n_alphas, err) ||
        !attr_floats(ctx, "activation_beta", &betas, &n_betas, err))
        return false;
    for (int d = 0; d < rnn->directions; d++) {
        rnn->usual[d] = true;
        for (int k = 0; k < rnn->n_functions; k++) {
            struct activation_of *a = &rnn->activations[d][k];
            if (*a->row->first && alpha < n_alphas)
                a->alpha = alphas[alpha++];
            if (*a->row->second && beta < n_betas)
                a->beta = betas[beta++];
            rnn->usual[d] = rnn->usual[d] && a->row == usual_function(rnn, k);
        }
    }
    return true;
}

static bool read_attributes(const struct node_ctx *ctx, struct rnn *rnn, struct percept_err *err)
{
    static const char *const known[] = {"forward", "reverse", "bidirectional", NULL};
    int direction;
    bool clipped = attr_has(ctx, "clip");
    if (!attr_choice(ctx, "direction", RNN_FORWARD, known, &direction, err) ||
        !attr_float(ctx, "clip", 0, &rnn->clip, err) || !attr_bool(ctx, "layout", false, &rnn->batch_first, err) ||
        !attr_bool(ctx, "linear_before_reset", false, &rnn->linear_before_reset, err) ||
        !attr_bool(ctx, "input_forget", false, &rnn->input_forget, err) ||
        !attr_int_in(ctx, "hidden_size", 0, 1, (int64_t)1 << 30, &rnn->declared, err))
        return false;
    if (clipped && !(rnn->clip > 0))
        return err_set(err, ERR_UNSUPPORTED, OP_AT "attribute 'clip' is %g; numbers above 0 work", OP_NODE(ctx->node),
                       (double)rnn->clip);
    rnn->direction = (enum rnn_direction)direction;
    rnn->directions = direction == RNN_BIDIRECTIONAL ? 2 : 1;
    return read_functions(ctx, rnn, err) && read_numbers(ctx, rnn, err);
}

/* W or R as they would be an LSTM's. */
static struct tensor seen(const struct rnn *rnn, const struct tensor *given)
{
    struct tensor seen = *given;
    if (rnn->quantised && given->rank == 3) {
        seen.dtype = quant_is_8bit(given->dtype) ? PERCEPT_FLOAT : PERCEPT_UNDEFINED;
        seen.dims[1] = given->dims[2];
        seen.dims[2] = given->dims[1];
    }
    return seen;
}

static bool refuse_weights(const struct rnn *rnn, const struct node *node, struct percept_err *err)
{
    if (rnn->quantised)
        return err_set(err, ERR_MODEL,
                       OP_AT "W and R must be int8 or uint8 [%d,input,4*hidden] and "
                             "[%d,hidden,4*hidden], hidden as in 'hidden_size'",
                       OP_NODE(node), rnn->directions, rnn->directions);
    return err_set(err, ERR_MODEL,
                   OP_AT "W and R must be float32 [%d,%d*hidden,input] and [%d,%d*hidden,hidden], "
                         "hidden as in 'hidden_size'",
                   OP_NODE(node), rnn->directions, rnn->gates, rnn->directions, rnn->gates);
}

/* W [directions][gates hidden][input], R [directions][gates hidden][hidden], B [directions][2 gates
 * hidden] */
static bool weights_fit(const struct rnn *rnn, const struct node *node, const struct tensor *const *given,
                        struct percept_err *err)
{
    const struct tensor w = seen(rnn, given[1]), r = seen(rnn, given[2]), *b = given[3];
    const bool sized = w.rank == 3 && r.rank == 3 && w.dims[2] > 0 && r.dims[2] > 0 && r.dims[2] < (int64_t)1 << 30;
    const int64_t rows = sized ? rnn->gates * r.dims[2] : 0;
    if (!sized || w.dims[0] != rnn->directions || r.dims[0] != rnn->directions || w.dims[1] != rows ||
        r.dims[1] != rows || w.dtype != PERCEPT_FLOAT || r.dtype != PERCEPT_FLOAT ||
        (rnn->declared && rnn->declared != r.dims[2]))
        return refuse_weights(rnn, node, err);
    if (b && (b->rank != 2 || b->dims[0] != rnn->directions || b->dims[1] != 2 * rows || b->dtype != PERCEPT_FLOAT))
        return err_set(err, ERR_MODEL, OP_AT "B must be float32 [%d,%lld]", OP_NODE(node), rnn->directions,
                       (long long)(2 * rows));
    for (int i = 8; i < 12 && rnn->quantised; i++) {
        const struct tensor *t = given[i];
        const enum percept_dtype dtype = i % 2 == 0 ? PERCEPT_FLOAT : given[i / 10 + 1]->dtype;
        if (t->dtype != dtype || t->rank < 1 || t->rank > 2 || t->dims[0] != rnn->directions ||
            (t->rank == 2 && t->dims[1] != rows))
            return err_set(err, ERR_MODEL, OP_AT "input %d must be %s [%d] or [%d,%lld]", OP_NODE(node), i,
                           tensor_dtype_name(dtype), rnn->directions, rnn->directions, (long long)rows);
    }
    return true;
}

static float float_at(const void *raw, int64_t i)
{
    float x;
    memcpy(&x, (const char *)raw + (size_t)i * sizeof x, sizeof x);
    return x;
}

/* What W or R stand for, laid out as LSTM's; one scale and one zero point per direction or per row. */
static void widen(const struct tensor *given, const struct tensor *scale, const struct tensor *zero, float *to)
{
    const int64_t k = given->dims[1], rows = given->dims[2];
    const uint8_t *from = given->data;
    for (int64_t at = 0; at < given->dims[0] * rows; at++) {
        const float factor = float_at(scale->data, scale->rank == 2 ? at : at / rows);
        const int32_t none = quant_zero(zero, zero->rank == 2 ? at : at / rows);
        const uint8_t *column = from + at / rows * k * rows + at % rows;
        for (int64_t i = 0; i < k; i++)
            to[at * k + i] = (float)(quant_value(column[i * rows], given->dtype == PERCEPT_INT8) - none) * factor;
    }
}

static bool widen_constants(struct node_ctx *ctx, struct rnn *rnn, const struct tensor *const *given,
                            struct percept_err *err)
{
    const int64_t n_w = tensor_elements(given[1]), n_r = tensor_elements(given[2]);
    float *w = arena_array(ctx->load, (size_t)n_w, sizeof *w);
    float *r = arena_array(ctx->load, (size_t)n_r, sizeof *r);
    if (!w || !r)
        return err_memory(err, "a recurrent layer's weights", (size_t)(n_w + n_r) * sizeof *w);
    widen(given[1], given[8], given[9], w);
    widen(given[2], given[10], given[11], r);
    rnn->wide_w = w;
    rnn->wide_r = r;
    return true;
}

static bool check_arity(const struct node_ctx *ctx, const struct rnn *rnn, struct percept_err *err)
{
    const bool lstm = rnn->kind == RNN_LSTM;
    const int most = rnn->quantised ? 12 : lstm ? 8 : 6;
    if (!op_arity(ctx, 3, most, lstm ? 3 : 2, err))
        return false;
    for (int i = 8; i < most; i++) {
        if (!op_has_input(ctx->node, i))
            return err_set(err, ERR_MODEL, OP_AT "input %d is left out and is needed", OP_NODE(ctx->node), i);
    }
    return true;
}

static bool rnn_check(struct node_ctx *ctx, struct percept_err *err)
{
    static const int gates[] = {1, 3, 4}, n_functions[] = {1, 2, 3};
    struct rnn *rnn = op_priv(ctx, sizeof *rnn, err);
    if (!rnn)
        return false;
    const int variant = ctx->node->op->rule->variant;
    const int kind = variant == RNN_QUANTISED ? RNN_LSTM : variant;
    *rnn = (struct rnn){.kind = (enum rnn_kind)kind,
                        .gates = gates[kind],
                        .n_functions = n_functions[kind],
                        .quantised = variant == RNN_QUANTISED};
    if (!check_arity(ctx, rnn, err) || !read_attributes(ctx, rnn, err))
        return false;
    const struct tensor *given[12] = {NULL};
    uint32_t constants = 0;
    for (int i = 1; i < 12; i = i == 3 ? 8 : i + 1) {
        given[i] = weights_view(ctx, i);
        constants |= given[i] ? 1u << i : 0;
        if (op_has_input(ctx->node, i) && !given[i])
            return true;
    }
    if (!weights_fit(rnn, ctx->node, given, err) || (rnn->quantised && !widen_constants(ctx, rnn, given, err)))
        return false;
    rnn->packed = true;
    rnn->precision = ctx->precision;
    rnn->input = seen(rnn, given[1]).dims[2];
    rnn->hidden = seen(rnn, given[2]).dims[2];
    ctx->packed_inputs |= constants;
    return true;
}

/* --- pack --------------------------------------------------------------------------------------------------------- */

/* Constant weights may be narrower than what a run computes. */
static const struct gemm_kernels *gemm_of(const struct rnn *rnn, const struct kernels *kernels)
{
    return rnn->packed ? weights_gemm(kernels, rnn->precision) : kernels->gemm;
}

static struct rnn_blob blob_of(const struct rnn *rnn, const struct gemm_kernels *gemm, int64_t input, int64_t hidden)
{
    const int64_t rows = rnn->gates * hidden, first = rnn->kind == RNN_GRU ? 2 * hidden : rows;
    struct rnn_blob blob;
    blob.recurrent_bias = weights_round((size_t)rows * sizeof(float));
    blob.w = blob.recurrent_bias + weights_round((size_t)hidden * sizeof(float));
    blob.r = blob.w + weights_round(gemm->pack_bytes(input, rows));
    blob.r_hidden = blob.r + weights_round(gemm->pack_bytes(hidden, first));
    blob.each = blob.r_hidden;
    if (rnn->kind == RNN_GRU)
        blob.each += weights_round(gemm->pack_bytes(hidden, hidden));
    return blob;
}

static size_t rnn_pack_bytes(const struct node_ctx *ctx)
{
    const struct rnn *rnn = ctx->node->priv;
    return rnn->packed
               ? blob_of(rnn, gemm_of(rnn, ctx->kernels), rnn->input, rnn->hidden).each * (size_t)rnn->directions
               : 0;
}

/* b: [W's biases][R's biases], or NULL */
static void pack_bias(const struct rnn *rnn, const char *b, int64_t hidden, float *bias, float *recurrent)
{
    const int64_t rows = rnn->gates * hidden,
                  folded = rnn->linear_before_reset && rnn->kind == RNN_GRU ? 2 * hidden : rows;
    for (int64_t i = 0; i < rows; i++)
        bias[i] = b ? float_at(b, i) + (i < folded ? float_at(b, rows + i) : 0) : 0;
    for (int64_t i = 0; i < hidden; i++)
        recurrent[i] = b && folded < rows ? float_at(b, rows + folded + i) : 0;
}

/* The weights lie transposed in the file: [rows][k]. */
static void rnn_pack_into(const struct rnn *rnn, const struct gemm_kernels *gemm, const struct rnn_blob *blob,
                          int64_t input, int64_t hidden, const char *w, const char *r, const char *b, char *to)
{
    const int64_t rows = rnn->gates * hidden, first = rnn->kind == RNN_GRU ? 2 * hidden : rows;
    for (int64_t d = 0; d < rnn->directions; d++, to += blob->each) {
        const char *own_w = w + (size_t)(d * rows * input) * sizeof(float);
        const char *own_r = r + (size_t)(d * rows * hidden) * sizeof(float);
        pack_bias(rnn, b ? b + (size_t)(d * 2 * rows) * sizeof(float) : NULL, hidden, (float *)(void *)to,
                  (float *)(void *)(to + blob->recurrent_bias));
        gemm->pack(to + blob->w, own_w, input, rows, 1, input, NULL);
        gemm->pack(to + blob->r, own_r, hidden, first, 1, hidden, NULL);
        if (first < rows)
            gemm->pack(to + blob->r_hidden, own_r + (size_t)(first * hidden) * sizeof(float), hidden, hidden, 1, hidden,
                       NULL);
    }
}

static void rnn_pack(const struct node_ctx *ctx, void *packed)
{
    const struct rnn *rnn = ctx->node->priv;
    if (!rnn->packed)
        return;
    const struct tensor *b = weights_view(ctx, 3);
    const struct rnn_blob blob = blob_of(rnn, gemm_of(rnn, ctx->kernels), rnn->input, rnn->hidden);
    const void *w = rnn->quantised ? rnn->wide_w : weights_view(ctx, 1)->data;
    const void *r = rnn->quantised ? rnn->wide_r : weights_view(ctx, 2)->data;
    rnn_pack_into(rnn, gemm_of(rnn, ctx->kernels), &blob, rnn->input, rnn->hidden, w, r, b ? b->data : NULL, packed);
}

/* --- shape -------------------------------------------------------------------------------------------------------- */

static bool state_fits(const struct step *step, const struct rnn *rnn, const struct rnn_plan *plan, int i,
                       struct percept_err *err)
{
    const struct tensor *t = op_in(step, i);
    const int64_t first = rnn->batch_first ? plan->batch : rnn->directions;
    const int64_t second = rnn->batch_first ? rnn->directions : plan->batch;
    if (!t || (t->dtype == PERCEPT_FLOAT && t->rank == 3 && t->dims[0] == first && t->dims[1] == second &&
               t->dims[2] == plan->hidden))
        return true;
    return err_set(err, ERR_INVALID, OP_AT "input %d must be float32 [%lld,%lld,%lld]", OP_NODE(step->node), i,
                   (long long)first, (long long)second, (long long)plan->hidden);
}

static bool optional_fit(const struct step *step, const struct rnn *rnn, const struct rnn_plan *plan,
                         struct percept_err *err)
{
    const struct tensor *lengths = op_in(step, 4), *peephole = op_in(step, 7);
    if (lengths && (lengths->dtype != PERCEPT_INT32 || lengths->rank != 1 || lengths->dims[0] != plan->batch))
        return err_set(err, ERR_INVALID, OP_AT "sequence_lens must be int32 [%lld]", OP_NODE(step->node),
                       (long long)plan->batch);
    if (peephole && (peephole->dtype != PERCEPT_FLOAT || peephole->rank != 2 || peephole->dims[0] != rnn->directions ||
                     peephole->dims[1] != 3 * plan->hidden))
        return err_set(err, ERR_INVALID, OP_AT "P must be float32 [%d,%lld]", OP_NODE(step->node), rnn->directions,
                       (long long)(3 * plan->hidden));
    return state_fits(step, rnn, plan, 5, err) && state_fits(step, rnn, plan, 6, err);
}

static bool shape_inputs(const struct step *step, const struct rnn *rnn, struct rnn_plan *plan, struct percept_err *err)
{
    const struct tensor *x = step->in[0], *given[12];
    for (int i = 0; i < 12; i++)
        given[i] = op_in(step, i);
    if (!op_want_dtype(step, 0, PERCEPT_FLOAT, err) || !weights_fit(rnn, step->node, given, err))
        return false;
    plan->input = seen(rnn, given[1]).dims[2];
    plan->hidden = seen(rnn, given[2]).dims[2];
    if (x->rank != 3 || x->dims[2] != plan->input)
        return err_set(err, ERR_INVALID, OP_AT "X must have the shape [%s,%lld]", OP_NODE(step->node),
                       rnn->batch_first ? "batch,seq" : "seq,batch", (long long)plan->input);
    plan->seq = x->dims[rnn->batch_first ? 1 : 0];
    plan->batch = x->dims[rnn->batch_first ? 0 : 1];
    plan->gates = rnn->gates * plan->hidden;
    return optional_fit(step, rnn, plan, err);
}

static void shape_outputs(struct step *step, const struct rnn *rnn, const struct rnn_plan *plan)
{
    const int64_t d = rnn->directions, b = plan->batch, s = plan->seq, h = plan->hidden;
    const bool first = rnn->batch_first;
    if (first)
        op_set_out(step, 0, PERCEPT_FLOAT, 4, (const int64_t[]){b, s, d, h});
    else
        op_set_out(step, 0, PERCEPT_FLOAT, 4, (const int64_t[]){s, d, b, h});
    for (int i = 1; i < step->n_out; i++)
        op_set_out(step, i, PERCEPT_FLOAT, 3, first ? (const int64_t[]){b, d, h} : (const int64_t[]){d, b, h});
}

/* Scratch: [weights, when they are laid at run time][gates of all steps][h, c and two more of a
 * state][those weights widened] */
static bool shape_scratch(struct step *step, const struct rnn *rnn, struct rnn_plan *plan, struct percept_err *err)
{
    int64_t gates, states, wide = 0;
    const bool widened = plan->lay && rnn->quantised;
    if (!tensor_count(5, (const int64_t[]){rnn->directions, plan->seq, plan->batch, plan->gates, 4}, &gates) ||
        !tensor_count(5, (const int64_t[]){rnn->directions, 4, plan->batch, plan->hidden, 4}, &states) ||
        (widened &&
         !tensor_count(4, (const int64_t[]){rnn->directions, plan->input + plan->hidden, plan->gates, 4}, &wide)) ||
        gates > INT64_MAX / 4 || states > INT64_MAX / 4 || wide > INT64_MAX / 4)
        return err_set(err, ERR_INVALID, OP_AT "the sequences are too long to be held in memory", OP_NODE(step->node));
    plan->blob = blob_of(rnn, gemm_of(rnn, step->kernels), plan->input, plan->hidden);
    plan->gates_at = plan->lay ? plan->blob.each * (size_t)rnn->directions : 0;
    plan->state_at = plan->gates_at + weights_round((size_t)gates) + 64;
    plan->wide_at = plan->state_at + weights_round((size_t)states) + 64;
    step->scratch_bytes = plan->wide_at + (size_t)wide;
    return true;
}

static bool rnn_shape(struct step *step, struct percept_err *err)
{
    const struct rnn *rnn = step->priv;
    struct rnn_plan *plan = arena_alloc(step->arena, sizeof *plan);
    if (!plan)
        return err_memory(err, "a recurrent layer's plan", sizeof *plan);
    *plan = (struct rnn_plan){.lay = !rnn->packed || !step->packed};
    if (!shape_inputs(step, rnn, plan, err) || !shape_scratch(step, rnn, plan, err))
        return false;
    shape_outputs(step, rnn, plan);
    const int64_t rows = plan->seq * plan->batch;
    plan->project = product_packed(step->kernels, rnn->directions, rows, plan->gates, plan->input);
    const double each = (double)plan->batch * (double)plan->gates * (double)(plan->hidden + RNN_UNIT);
    plan->stretch = each < RNN_PRODUCTS ? (int64_t)(RNN_PRODUCTS / (each > 1 ? each : 1)) + 1 : 1;
    step->state = plan;
    step->algorithm = rnn->usual[0] && rnn->usual[rnn->directions - 1] ? "fused" : "loops";
    step->flops = 2.0 * rnn->directions * (double)rows * (double)plan->gates * (double)(plan->input + plan->hidden);
    return true;
}

/* --- run: activations that are not the defaults ------------------------------------------------------------------- */

static float bounded(const struct rnn *rnn, float x)
{
    if (!(rnn->clip > 0))
        return x;
    return x > rnn->clip ? rnn->clip : x < -rnn->clip ? -rnn->clip : x;
}

static float gate(const struct rnn *rnn, const struct activation_of *a, float x)
{
    return a->row->gate(bounded(rnn, x), a->alpha, a->beta);
}

/* One item. gates: [i o f c][hidden]; p: [i o f][hidden] or NULL */
static void lstm_item(const struct rnn *rnn, const struct activation_of *a, int64_t hidden, const float *gates,
                      const float *p, float *h, float *c)
{
    for (int64_t j = 0; j < hidden; j++) {
        const float old = c[j];
        const float in = gate(rnn, &a[0], gates[j] + (p ? p[j] * old : 0));
        const float forget =
            rnn->input_forget ? 1 - in : gate(rnn, &a[0], gates[2 * hidden + j] + (p ? p[2 * hidden + j] * old : 0));
        const float fresh = gate(rnn, &a[1], gates[3 * hidden + j]);
        c[j] = forget * old + in * fresh;
        const float out = gate(rnn, &a[0], gates[hidden + j] + (p ? p[hidden + j] * c[j] : 0));
        h[j] = out * gate(rnn, &a[2], c[j]);
    }
}

static void gru_item_gates(const struct rnn *rnn, const struct activation_of *a, int64_t hidden, float *gates,
                           const float *h, float *reset_h)
{
    for (int64_t j = 0; j < hidden; j++) {
        gates[j] = gate(rnn, &a[0], gates[j]);
        gates[hidden + j] = gate(rnn, &a[0], gates[hidden + j]);
        reset_h[j] = gates[hidden + j] * h[j];
    }
}

static void gru_item(const struct rnn *rnn, const struct activation_of *a, int64_t hidden, const float *gates, float *h)
{
    for (int64_t j = 0; j < hidden; j++) {
        const float fresh = gate(rnn, &a[1], gates[2 * hidden + j]);
        h[j] = (1 - gates[j]) * fresh + gates[j] * h[j];
    }
}

/* --- run: one step of neighbouring items -------------------------------------------------------------------------- */

struct rnn_work {
    const struct step *step;
    const struct rnn *rnn;
    const struct rnn_plan *plan;
    const char *blob;
    float *gates;           /* [directions][rows][gates], rows as in X */
    float *h, *c;           /* [directions][batch][hidden] */
    float *extra[2];        /* the same: what is between gates and state */
    const int32_t *lengths; /* [batch] or NULL */
    int64_t groups;         /* of items, in the recurrence: each group reads all weights again */
    int64_t begin, end;     /* the stretch of time at hand */
};

/* What one direction sees of it. */
struct rnn_lane {
    int direction;
    const char *blob;
    const float *peephole; /* or NULL */
    float *gates;
    int64_t ld; /* from an item's gates to the next one's, of the same time */
};

static void lane_times(const struct rnn_work *work, const struct rnn_lane *lane, int64_t rows, const float *state,
                       size_t r_at, int64_t n, float *to, const struct epilogue *epilogue)
{
    gemm_of(work->rnn, work->step->kernels)
        ->run(rows, n, work->plan->hidden, state, work->plan->hidden, lane->blob + r_at, to, lane->ld, epilogue, 0, n);
}

static void step_lstm(const struct rnn_work *work, const struct rnn_lane *lane, int64_t rows, float *gates, int64_t at)
{
    const struct rnn *rnn = work->rnn;
    const int64_t hidden = work->plan->hidden;
    float *h = work->h + at, *c = work->c + at;
    lane_times(work, lane, rows, h, work->plan->blob.r, 4 * hidden, gates, &(struct epilogue){.residual = gates});
    if (rnn->usual[lane->direction]) {
        work->step->kernels->recur->lstm_step(rows, hidden, gates, lane->ld, h, c, lane->peephole, rnn->clip,
                                              rnn->input_forget);
        return;
    }
    for (int64_t i = 0; i < rows; i++)
        lstm_item(rnn, rnn->activations[lane->direction], hidden, gates + i * lane->ld, lane->peephole, h + i * hidden,
                  c + i * hidden);
}

/* With linear_before_reset: gate h += r (h Rh + Rbh). */
static void gru_linear(const struct rnn_work *work, const struct rnn_lane *lane, int64_t rows, float *gates,
                       const float *h, float *product)
{
    const struct kernels *kernels = work->step->kernels;
    const struct rnn_blob *blob = &work->plan->blob;
    const int64_t hidden = work->plan->hidden;
    const struct epilogue epilogue = {.bias = (const float *)(const void *)(lane->blob + blob->recurrent_bias)};
    gemm_of(work->rnn, kernels)
        ->run(rows, hidden, hidden, h, hidden, lane->blob + blob->r_hidden, product, hidden, &epilogue, 0, hidden);
    for (int64_t i = 0; i < rows; i++) {
        float *own = gates + i * lane->ld, *p = product + i * hidden;
        kernels->map->binary(BINARY_MUL, p, p, own + hidden, hidden);
        kernels->map->binary(BINARY_ADD, own + 2 * hidden, own + 2 * hidden, p, hidden);
    }
}

static void step_gru(const struct rnn_work *work, const struct rnn_lane *lane, int64_t rows, float *gates, int64_t at)
{
    const struct rnn *rnn = work->rnn;
    const struct kernels *kernels = work->step->kernels;
    const struct activation_of *a = rnn->activations[lane->direction];
    const int64_t hidden = work->plan->hidden, ld = lane->ld;
    const bool usual = rnn->usual[lane->direction];
    float *h = work->h + at, *reset_h = work->extra[0] + at;
    lane_times(work, lane, rows, h, work->plan->blob.r, 2 * hidden, gates, &(struct epilogue){.residual = gates});
    if (usual)
        kernels->recur->gru_gates(rows, hidden, gates, ld, h, reset_h, rnn->clip);
    for (int64_t i = 0; i < rows && !usual; i++)
        gru_item_gates(rnn, a, hidden, gates + i * ld, h + i * hidden, reset_h + i * hidden);
    if (rnn->linear_before_reset)
        gru_linear(work, lane, rows, gates, h, work->extra[1] + at);
    else
        lane_times(work, lane, rows, reset_h, work->plan->blob.r_hidden, hidden, gates + 2 * hidden,
                   &(struct epilogue){.residual = gates + 2 * hidden});
    if (usual)
        kernels->recur->gru_step(rows, hidden, gates, ld, h, rnn->clip);
    for (int64_t i = 0; i < rows && !usual; i++)
        gru_item(rnn, a, hidden, gates + i * ld, h + i * hidden);
}

static void step_plain(const struct rnn_work *work, const struct rnn_lane *lane, int64_t rows, float *gates, int64_t at)
{
    const struct rnn *rnn = work->rnn;
    const int64_t hidden = work->plan->hidden;
    const struct activation_of *a = rnn->activations[lane->direction];
    struct fusion fusion = {.act = ACT_NONE};
    const bool fused =
        !(rnn->clip > 0) && activation_fusion(a, &fusion) && (fusion.act == ACT_TANH || fusion.act == ACT_RELU);
    const struct epilogue epilogue = {.residual = gates, .act = fused ? fusion.act : ACT_NONE};
    lane_times(work, lane, rows, work->h + at, work->plan->blob.r, hidden, gates, &epilogue);
    for (int64_t i = 0; i < rows; i++) {
        const float *own = gates + i * lane->ld;
        float *h = work->h + at + i * hidden;
        for (int64_t j = 0; j < hidden; j++)
            h[j] = fused ? own[j] : gate(rnn, a, own[j]);
    }
}

/* --- run: through time -------------------------------------------------------------------------------------------- */

/* Output Y of one item at one time. */
static float *y_row(const struct rnn_work *work, int direction, int64_t t, int64_t item)
{
    const struct rnn_plan *plan = work->plan;
    const int64_t directions = work->rnn->directions;
    float *y = work->step->out[0]->data;
    const int64_t row = work->rnn->batch_first ? (item * plan->seq + t) * directions + direction
                                               : (t * directions + direction) * plan->batch + item;
    return y + row * plan->hidden;
}

static bool wanted(const struct step *step, int i)
{
    return i < step->n_out && step->node->out[i] >= 0;
}

static bool alive(const struct rnn_work *work, int64_t item, int64_t t)
{
    return !work->lengths || t < work->lengths[item];
}

static void step_items(const struct rnn_work *work, const struct rnn_lane *lane, int64_t t, int64_t from, int64_t to)
{
    const struct rnn_plan *plan = work->plan;
    const int64_t row = work->rnn->batch_first ? from * plan->seq + t : t * plan->batch + from;
    const int64_t at = (lane->direction * plan->batch + from) * plan->hidden;
    float *gates = lane->gates + row * plan->gates;
    if (work->rnn->kind == RNN_LSTM)
        step_lstm(work, lane, to - from, gates, at);
    else if (work->rnn->kind == RNN_GRU)
        step_gru(work, lane, to - from, gates, at);
    else
        step_plain(work, lane, to - from, gates, at);
    for (int64_t i = from; i < to && wanted(work->step, 0); i++)
        memcpy(y_row(work, lane->direction, t, i), work->h + at + (i - from) * plan->hidden,
               (size_t)plan->hidden * sizeof(float));
}

/* One direction's items [from, to), a stretch of time. */
static void walk_time(const struct rnn_work *work, const struct rnn_lane *lane, int64_t from, int64_t to)
{
    const struct rnn_plan *plan = work->plan;
    const bool backward = lane->direction == 1 || work->rnn->direction == RNN_REVERSE;
    for (int64_t s = work->begin; s < work->end; s++) {
        const int64_t t = backward ? plan->seq - 1 - s : s;
        int64_t i = from;
        while (i < to) {
            int64_t end = i + 1;
            const bool run = alive(work, i, t);
            while (end < to && alive(work, end, t) == run)
                end++;
            if (run)
                step_items(work, lane, t, i, end);
            for (int64_t k = i; k < end && !run && wanted(work->step, 0); k++)
                work->step->kernels->map->fill(y_row(work, lane->direction, t, k), 0, plan->hidden);
            i = end;
        }
    }
}

/* Copies between a state [direction][batch] of ours and ONNX's, which is [batch][direction] with
 * layout 1. */
static void move_states(const struct rnn_work *work, int direction, int64_t from, int64_t to, float *own, float *theirs,
                        bool out)
{
    const struct rnn_plan *plan = work->plan;
    const size_t n_bytes = (size_t)plan->hidden * sizeof(float);
    for (int64_t i = from; i < to; i++) {
        float *a = own + (direction * plan->batch + i) * plan->hidden;
        float *b =
            theirs + (work->rnn->batch_first ? i * work->rnn->directions + direction : direction * plan->batch + i) *
                         plan->hidden;
        memcpy(out ? b : a, out ? a : b, n_bytes);
    }
}

static void begin_states(const struct rnn_work *work, int direction, int64_t from, int64_t to, int slot, float *own)
{
    const struct tensor *t = op_in(work->step, slot);
    const int64_t hidden = work->plan->hidden;
    if (t)
        move_states(work, direction, from, to, own, t->data, false);
    else
        work->step->kernels->map->fill(own + (direction * work->plan->batch + from) * hidden, 0, (to - from) * hidden);
}

static void walk_pieces(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct rnn_work *work = arg;
    const struct rnn_plan *plan = work->plan;
    const struct tensor *peephole = op_in(work->step, 7);
    for (int64_t piece = from; piece < to; piece++) {
        const int d = (int)(piece / work->groups);
        const int64_t group = piece % work->groups;
        const int64_t first = plan->batch * group / work->groups;
        const int64_t last = plan->batch * (group + 1) / work->groups;
        const struct rnn_lane lane = {
            .direction = d,
            .blob = work->blob + plan->blob.each * (size_t)d,
            .peephole = peephole ? (const float *)peephole->data + d * 3 * plan->hidden : NULL,
            .gates = work->gates + d * plan->seq * plan->batch * plan->gates,
            .ld = plan->gates * (work->rnn->batch_first ? plan->seq : 1),
        };
        if (work->begin == 0) {
            begin_states(work, d, first, last, 5, work->h);
            begin_states(work, d, first, last, 6, work->c);
        }
        walk_time(work, &lane, first, last);
        if (work->end < plan->seq)
            continue;
        if (wanted(work->step, 1))
            move_states(work, d, first, last, work->h, work->step->out[1]->data, true);
        if (wanted(work->step, 2))
            move_states(work, d, first, last, work->c, work->step->out[2]->data, true);
    }
}

/* The input's product: gates = X W + bias. */
static void project_part(void *arg, const struct product_part *part, int member)
{
    (void)member;
    const struct rnn_work *work = arg;
    const struct rnn_plan *plan = work->plan;
    const int64_t rows = plan->seq * plan->batch;
    const char *blob = work->blob + plan->blob.each * (size_t)part->item;
    const struct epilogue epilogue = {.bias = (const float *)(const void *)blob};
    gemm_of(work->rnn, work->step->kernels)
        ->run(part->rows, plan->gates, plan->input, (const float *)work->step->in[0]->data + part->row * plan->input,
              plan->input, blob + plan->blob.w, work->gates + (part->item * rows + part->row) * plan->gates,
              plan->gates, &epilogue, part->column, part->column_end);
}

static bool lengths_fit(const struct step *step, const struct rnn_plan *plan, const int32_t *lengths,
                        struct percept_err *err)
{
    for (int64_t i = 0; lengths && i < plan->batch; i++) {
        if (lengths[i] < 0 || lengths[i] > plan->seq)
            return err_set(err, ERR_DATA, OP_AT "sequence_lens has %d for item %lld; 0 to %lld work",
                           OP_NODE(step->node), (int)lengths[i], (long long)i, (long long)plan->seq);
    }
    return true;
}

static const char *run_blob(const struct step *step, const struct rnn *rnn, const struct rnn_plan *plan)
{
    if (!plan->lay)
        return step->packed;
    const struct tensor *b = op_in(step, 3);
    const void *w = step->in[1]->data, *r = step->in[2]->data;
    if (rnn->quantised) {
        float *wide = (float *)(void *)((char *)step->scratch + plan->wide_at);
        float *behind = wide + rnn->directions * plan->gates * plan->input;
        widen(step->in[1], step->in[8], step->in[9], wide);
        widen(step->in[2], step->in[10], step->in[11], behind);
        w = wide;
        r = behind;
    }
    rnn_pack_into(rnn, gemm_of(rnn, step->kernels), &plan->blob, plan->input, plan->hidden, w, r, b ? b->data : NULL,
                  step->scratch);
    return step->scratch;
}

static bool rnn_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct rnn *rnn = step->priv;
    const struct rnn_plan *plan = step->state;
    const struct tensor *lengths = op_in(step, 4);
    if (!lengths_fit(step, plan, lengths ? lengths->data : NULL, err))
        return false;
    const int64_t states = rnn->directions * plan->batch * plan->hidden;
    const int64_t cores = team_size(env->team);
    float *state = (float *)(void *)((char *)step->scratch + plan->state_at);
    struct rnn_work work = {
        .step = step,
        .rnn = rnn,
        .plan = plan,
        .blob = run_blob(step, rnn, plan),
        .gates = (float *)(void *)((char *)step->scratch + plan->gates_at),
        .h = state,
        .c = state + states,
        .extra = {state + 2 * states, state + 3 * states},
        .lengths = lengths ? lengths->data : NULL,
        .groups = cores < plan->batch ? cores : plan->batch,
    };
    if (plan->seq > 0 && plan->batch > 0)
        product_run(&plan->project, env->team, project_part, &work);
    do {
        const int64_t left = plan->seq - work.begin;
        work.end = work.begin + (left < plan->stretch ? left : plan->stretch);
        team_split(env->team, rnn->directions * work.groups, 1, walk_pieces, &work);
        work.begin = work.end;
        if (work.end < plan->seq && env->go_on && !env->go_on(env, err))
            return false;
    } while (work.end < plan->seq);
    return true;
}

/* A sequence at a time: with its states (inputs 5 and 6) and its length (4), which lie along their own axes. */
static void rnn_batch(struct batch_view *view)
{
    const struct rnn *rnn = view->many->priv;
    const int states = rnn->batch_first ? 0 : 1;
    const struct batch_place place = view->in[0];
    if (place.word != BATCH_INDEPENDENT || place.axis != states) {
        batch_axis_mixes(view, "runs along the batch as time");
        return;
    }
    for (int i = 1; i < view->many->n_in; i++) {
        const bool own = i >= 4 && i <= 6 && view->many->in[i];
        if (own ? !batch_axis_same_place(view->in[i], batch_axis_at(i == 4 ? 0 : states, place.before))
                : view->in[i].word != BATCH_SAME) {
            batch_axis_mixes(view, "its states, lengths or weights do not follow the batch");
            return;
        }
    }
    batch_axis_all(view, batch_axis_at(states, place.before));
    view->out[0].axis = rnn->batch_first ? 0 : 2;
}

#define RNN_RULE(name, kind_)                                                                                          \
    const struct op_rule op_##name = {.check = rnn_check,                                                              \
                                      .pack_bytes = rnn_pack_bytes,                                                    \
                                      .pack = rnn_pack,                                                                \
                                      .shape = rnn_shape,                                                              \
                                      .run = rnn_run,                                                                  \
                                      .batch = rnn_batch,                                                              \
                                      .flags = OP_TIME_FIRST,                                                          \
                                      .variant = kind_}

RNN_RULE(rnn, RNN_PLAIN);
RNN_RULE(gru, RNN_GRU);
RNN_RULE(lstm, RNN_LSTM);
RNN_RULE(dynamic_quantize_lstm, RNN_QUANTISED);
