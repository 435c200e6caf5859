/*
 * attention.c - Attention: softmax(scale Q K' + mask) V for each head, with grouped heads, a cache of keys and
 * values, masks, and what lies in between as an output; RotaryEmbedding: positions as rotations of pairs.
 *
 * A piece of work is a block of query rows of one head of one item: scores of the block in scratch, one per
 * member, a row at a time through softcap, mask and softmax, then the weighted sum of values. So memory grows
 * with the number of keys, not with its square. Keys that no row of the block may see (behind the causal
 * frontier, beyond nonpad_kv_seqlen) are not looked at, unless the scores themselves are asked for. Blocks are
 * cut by an item's own rows alone and go to OpenBLAS one by one: bits do not depend on batch mates.
 *
 * With three axes heads lie within a row, with four they are an axis; both are read where they lie, at strides.
 * Keys and values are copied only behind a past, or where the present ones are asked for.
 *
 * Order and borders as ONNX's function bodies have them since softcap was put in front of the mask: scores,
 * softcap, mask, softmax; a row of which all is masked gives zeros. What is masked is minus infinity whatever the
 * score was. A query's position is its row behind the keys of before; windows (25) count from there.
 * softmax_precision asks for at most as much as float32 has, or for doubles, which are not made.
 *
 * Thread: the session's holder with its team. Sources: ONNX operator specification, Attention (23, 24),
 * RotaryEmbedding (23); Vaswani et al. 2017, Ainslie et al. 2023 (grouped heads), Su et al. 2021 (rotations).
 */
#include "op/attr.h"
#include "op/batch_axis.h"
#include "op/product.h"
#include "op/weights.h"

#include <math.h>
#include <string.h>

#define BLOCK_ROWS 64 /* of queries */
#define SCORE_UNITS 2 /* softcap, mask and softmax of one, in op_spend's units */

enum { Q, K, V, MASK, PAST_KEY, PAST_VALUE, NONPAD, N_INPUTS };
enum score_mode { SCORES_RAW, SCORES_CAPPED, SCORES_MASKED, SCORES_SOFTMAX };

struct attention {
    int64_t q_heads, kv_heads; /* 0: not said */
    bool causal, scaled;
    float scale, softcap;
    int64_t left, right; /* keys beside a query's own position that it may see; -1: all */
    enum score_mode mode;
};

/* Where element 0 of item b, head h, row i lies: b item + h head + i row. */
struct strides {
    int64_t item, head, row;
};

struct attention_plan {
    int64_t items, q_heads, kv_heads, rows, keys, past, size, v_size; /* keys: past and new */
    struct strides q, k, v, y;
    int64_t mask[4], mask_keys; /* strides of item, head, row, key; keys it speaks of */
    float scale;
    size_t k_at, v_at, scores_at; /* in scratch; k_at, v_at: copies that no output has */
    bool copy_k, copy_v;
};

static bool attention_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct attention *a = op_priv(ctx, sizeof *a, err);
    const int most = ctx->node->opset >= 24 ? N_INPUTS : NONPAD;
    int64_t mode, precision;
    if (!a || !op_arity(ctx, 3, most, 4, err) || !attr_int_in(ctx, "q_num_heads", 0, 0, INT32_MAX, &a->q_heads, err) ||
        !attr_int_in(ctx, "kv_num_heads", 0, 0, INT32_MAX, &a->kv_heads, err) ||
        !attr_bool(ctx, "is_causal", false, &a->causal, err) || !attr_float(ctx, "scale", 0, &a->scale, err) ||
        !attr_float(ctx, "softcap", 0, &a->softcap, err) ||
        !attr_int_in(ctx, "left_window_size", -1, -1, INT64_MAX, &a->left, err) ||
        !attr_int_in(ctx, "right_window_size", -1, -1, INT64_MAX, &a->right, err) ||
        !attr_int_in(ctx, "qk_matmul_output_mode", 0, 0, 3, &mode, err) ||
        !attr_int(ctx, "softmax_precision", PERCEPT_FLOAT, &precision, err))
        return false;
    a->scaled = attr_has(ctx, "scale");
    a->mode = (enum score_mode)mode;
    return op_has_input(ctx->node, PAST_KEY) == op_has_input(ctx->node, PAST_VALUE) ||
           err_set(err, ERR_MODEL, OP_AT "past_key and past_value come together or not at all", OP_NODE(ctx->node));
}

/* --- shape -------------------------------------------------------------------------------------------------------- */

static bool refuse_shapes(const struct step *step, int i, int k, struct percept_err *err)
{
    char a[128], b[128];
    return err_set(err, ERR_INVALID, OP_AT "inputs %d and %d of shapes %s and %s do not go together",
                   OP_NODE(step->node), i, k, tensor_shape_text(step->in[i]->rank, step->in[i]->dims, a, sizeof a),
                   tensor_shape_text(step->in[k]->rank, step->in[k]->dims, b, sizeof b));
}

/* Heads, rows and elements of a head of one of Q, K, V; `heads` as the attribute says. */
static bool take_side(const struct step *step, int i, int64_t heads, int64_t *n_heads, int64_t *rows, int64_t *size,
                      struct strides *strides, struct percept_err *err)
{
    const struct tensor *x = step->in[i];
    const bool flat = x->rank == 3;
    if (!op_want_dtype(step, i, PERCEPT_FLOAT, err))
        return false;
    if ((x->rank != 3 && x->rank != 4) || x->rank != step->in[Q]->rank)
        return err_set(err, ERR_INVALID, OP_AT "input %d has rank %d; 3 or 4, as the others have, would work",
                       OP_NODE(step->node), i, x->rank);
    if (flat && (heads == 0 || x->dims[2] % heads))
        return err_set(err, ERR_MODEL,
                       OP_AT "%lld heads of input %d's %lld elements; q_num_heads and kv_num_heads "
                             "that divide them would work",
                       OP_NODE(step->node), (long long)heads, i, (long long)x->dims[2]);
    *n_heads = flat ? heads : x->dims[1];
    *rows = x->dims[flat ? 1 : 2];
    *size = flat ? x->dims[2] / heads : x->dims[3];
    if (x->dims[0] != step->in[Q]->dims[0])
        return refuse_shapes(step, Q, i, err);
    if (*size == 0 || *n_heads == 0)
        return err_set(err, ERR_INVALID, OP_AT "input %d has heads of no elements, or no heads", OP_NODE(step->node),
                       i);
    *strides = flat ? (struct strides){*rows * x->dims[2], *size, x->dims[2]}
                    : (struct strides){*n_heads * *rows * *size, *rows * *size, *size};
    return true;
}

static bool take_past(const struct step *step, struct attention_plan *plan, struct percept_err *err)
{
    const struct tensor *key = op_in(step, PAST_KEY), *value = op_in(step, PAST_VALUE);
    if (!key)
        return true;
    if (!op_want_dtype(step, PAST_KEY, PERCEPT_FLOAT, err) || !op_want_dtype(step, PAST_VALUE, PERCEPT_FLOAT, err))
        return false;
    plan->past = key->rank == 4 ? key->dims[2] : 0;
    const int64_t want[] = {plan->items, plan->kv_heads, plan->past, plan->size};
    struct tensor like;
    tensor_set_dims(&like, 4, want);
    if (!tensor_same_dims(key, &like))
        return refuse_shapes(step, K, PAST_KEY, err);
    like.dims[3] = plan->v_size;
    if (!tensor_same_dims(value, &like))
        return refuse_shapes(step, V, PAST_VALUE, err);
    return !__builtin_add_overflow(plan->keys, plan->past, &plan->keys) ||
           err_set(err, ERR_MEMORY, OP_AT "more keys than memory could hold", OP_NODE(step->node));
}

/* Since opset 24 a mask may speak of fewer keys, and the others are masked; before, one stands for all. */
static bool take_mask(const struct step *step, struct attention_plan *plan, struct percept_err *err)
{
    const struct tensor *mask = op_in(step, MASK);
    const int64_t full[] = {plan->items, plan->q_heads, plan->rows, plan->keys};
    plan->mask_keys = plan->keys;
    if (!mask)
        return true;
    if (mask->dtype != PERCEPT_BOOL && !op_want_dtype(step, MASK, PERCEPT_FLOAT, err))
        return false;
    bool fits = mask->rank >= 1 && mask->rank <= 4;
    int64_t stride = 1;
    for (int d = 3, own = mask->rank - 1; fits && own >= 0; d--, own--) {
        const int64_t n = mask->dims[own];
        const bool shorter = d == 3 && n < full[d] && step->node->opset >= 24;
        fits = n == full[d] || n == 1 || shorter;
        if (shorter)
            plan->mask_keys = n;
        plan->mask[d] = n == 1 && !shorter ? 0 : stride;
        stride *= n;
    }
    if (fits)
        return true;
    char want[128], got[128];
    return err_set(err, ERR_INVALID, OP_AT "a mask of shape %s does not spread over scores of %s", OP_NODE(step->node),
                   tensor_shape_text(mask->rank, mask->dims, got, sizeof got),
                   tensor_shape_text(4, full, want, sizeof want));
}

static bool take_nonpad(const struct step *step, const struct attention_plan *plan, struct percept_err *err)
{
    const struct tensor *n = op_in(step, NONPAD);
    return !n || (n->dtype == PERCEPT_INT64 && n->rank == 1 && n->dims[0] == plan->items) ||
           err_set(err, ERR_INVALID, OP_AT "nonpad_kv_seqlen must be an int64 for each of %lld items",
                   OP_NODE(step->node), (long long)plan->items);
}

/* Scratch for copies that no output has, and for a block of scores per member. */
static bool take_scratch(struct step *step, struct attention_plan *plan, struct percept_err *err)
{
    const int64_t heads = plan->items * plan->kv_heads;
    const int64_t each[] = {plan->copy_k && step->n_out < 2 ? plan->size : 0,
                            plan->copy_v && step->n_out < 3 ? plan->v_size : 0};
    size_t bytes[3];
    for (int i = 0; i < 3; i++) {
        struct tensor t = {.dtype = PERCEPT_FLOAT, .rank = 3};
        tensor_set_dims(&t, 3,
                        i < 2 ? (const int64_t[]){heads, plan->keys, each[i]}
                              : (const int64_t[]){step->members, BLOCK_ROWS, plan->keys});
        if (!tensor_bytes(&t, 1, &bytes[i]))
            return err_set(err, ERR_MEMORY, OP_AT "more keys than memory could hold", OP_NODE(step->node));
    }
    plan->k_at = 0;
    plan->v_at = weights_round(bytes[0]);
    plan->scores_at = plan->v_at + weights_round(bytes[1]);
    step->scratch_bytes = plan->scores_at + bytes[2];
    return true;
}

static bool set_outputs(struct step *step, struct attention_plan *plan, struct percept_err *err)
{
    const int64_t b = plan->items;
    size_t n_bytes;
    op_set_out(step, 0, PERCEPT_FLOAT, 4, (const int64_t[]){b, plan->q_heads, plan->rows, plan->v_size});
    if (!tensor_bytes(step->out[0], 1, &n_bytes)) /* the products below fit then */
        return err_set(err, ERR_MEMORY, OP_AT "an output larger than memory could be", OP_NODE(step->node));
    plan->y = (struct strides){plan->q_heads * plan->rows * plan->v_size, plan->rows * plan->v_size, plan->v_size};
    if (step->in[Q]->rank == 3) {
        const int64_t row = plan->q_heads * plan->v_size;
        op_set_out(step, 0, PERCEPT_FLOAT, 3, (const int64_t[]){b, plan->rows, row});
        plan->y = (struct strides){plan->rows * row, plan->v_size, row};
    }
    if (step->n_out > 1)
        op_set_out(step, 1, PERCEPT_FLOAT, 4, (const int64_t[]){b, plan->kv_heads, plan->keys, plan->size});
    if (step->n_out > 2)
        op_set_out(step, 2, PERCEPT_FLOAT, 4, (const int64_t[]){b, plan->kv_heads, plan->keys, plan->v_size});
    if (step->n_out > 3)
        op_set_out(step, 3, PERCEPT_FLOAT, 4, (const int64_t[]){b, plan->q_heads, plan->rows, plan->keys});
    return true;
}

static bool attention_shape(struct step *step, struct percept_err *err)
{
    const struct attention *a = step->priv;
    struct attention_plan *plan = arena_alloc(step->arena, sizeof *plan);
    int64_t k_size, v_heads, v_rows;
    if (!plan)
        return err_memory(err, "a plan", sizeof *plan);
    step->state = plan;
    plan->items = step->in[Q]->rank ? step->in[Q]->dims[0] : 0;
    if (!take_side(step, Q, a->q_heads, &plan->q_heads, &plan->rows, &plan->size, &plan->q, err) ||
        !take_side(step, K, a->kv_heads, &plan->kv_heads, &plan->keys, &k_size, &plan->k, err) ||
        !take_side(step, V, a->kv_heads, &v_heads, &v_rows, &plan->v_size, &plan->v, err))
        return false;
    if (plan->size != k_size)
        return refuse_shapes(step, Q, K, err);
    if (v_heads != plan->kv_heads || v_rows != plan->keys)
        return refuse_shapes(step, K, V, err);
    if (plan->q_heads % plan->kv_heads)
        return err_set(err, ERR_INVALID, OP_AT "%lld heads of queries do not share %lld heads of keys evenly",
                       OP_NODE(step->node), (long long)plan->q_heads, (long long)plan->kv_heads);
    if (!take_past(step, plan, err) || !take_mask(step, plan, err) || !take_nonpad(step, plan, err))
        return false;
    plan->copy_k = op_in(step, PAST_KEY) || step->n_out > 1;
    plan->copy_v = op_in(step, PAST_VALUE) || step->n_out > 2;
    plan->scale = a->scaled ? a->scale : (float)(1 / sqrt((double)plan->size));
    step->flops = 2.0 * (double)(plan->items * plan->q_heads) * (double)plan->rows * (double)plan->keys *
                  (double)(plan->size + plan->v_size);
    return set_outputs(step, plan, err) && take_scratch(step, plan, err);
}

/* --- run ---------------------------------------------------------------------------------------------------------- */

/* [past][new] of every head, one head behind the other. */
struct gather {
    float *to;
    const float *past, *fresh;
    struct strides from;
    int64_t heads, n_past, n_new, size;
};

static void gather_heads(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct gather *g = arg;
    for (int64_t i = from; i < to; i++) {
        float *at = g->to + i * (g->n_past + g->n_new) * g->size;
        const float *fresh = g->fresh + i / g->heads * g->from.item + i % g->heads * g->from.head;
        if (g->n_past)
            memcpy(at, g->past + i * g->n_past * g->size, (size_t)(g->n_past * g->size) * sizeof *at);
        at += g->n_past * g->size;
        for (int64_t row = 0; row < g->n_new; row++)
            memcpy(at + row * g->size, fresh + row * g->from.row, (size_t)g->size * sizeof *at);
    }
}

struct attention_work {
    struct op_share share;
    const struct attention *a;
    const struct attention_plan *plan;
    const float *k, *v;
    struct strides k_strides, v_strides;
};

/* Copies K or V, as side i, if that is due; where it lies then, and how. */
static const float *settle(struct step *step, const struct run_env *env, int i, struct strides *strides)
{
    const struct attention_plan *plan = step->state;
    const struct tensor *past = op_in(step, i == K ? PAST_KEY : PAST_VALUE);
    const int64_t size = i == K ? plan->size : plan->v_size;
    *strides = i == K ? plan->k : plan->v;
    if (!(i == K ? plan->copy_k : plan->copy_v))
        return step->in[i]->data;
    struct gather g = {.to = step->n_out > i ? step->out[i]->data
                                             : (void *)((char *)step->scratch + (i == K ? plan->k_at : plan->v_at)),
                       .past = past ? past->data : NULL,
                       .fresh = step->in[i]->data,
                       .from = *strides,
                       .heads = plan->kv_heads,
                       .n_past = plan->past,
                       .n_new = plan->keys - plan->past,
                       .size = size};
    if (plan->keys)
        team_split(env->team, plan->items * plan->kv_heads, 1, gather_heads, &g);
    *strides = (struct strides){plan->kv_heads * plan->keys * size, plan->keys * size, size};
    return g.to;
}

/* Keys that row i of an item may look at: [*first, this). */
static int64_t keys_seen(const struct attention_work *w, int64_t item, int64_t i, int64_t *first)
{
    const struct attention *a = w->a;
    const struct attention_plan *plan = w->plan;
    const struct tensor *nonpad = op_in(w->share.step, NONPAD);
    int64_t n = plan->mask_keys, offset = plan->past;
    if (nonpad) {
        const int64_t given = ((const int64_t *)nonpad->data)[item];
        n = op_clamp(given, 0, n);
        if (!op_in(w->share.step, PAST_KEY))
            offset = op_clamp(given, 0, INT64_MAX / 2) - plan->rows;
    }
    const int64_t own = i + offset; /* the position of the query itself */
    if (a->causal)
        n = op_clamp(own + 1, 0, n);
    if (a->right >= 0 && a->right < plan->keys)
        n = op_clamp(own + a->right + 1, 0, n);
    *first = a->left >= 0 && a->left < own ? op_clamp(own - a->left, 0, n) : 0;
    return n;
}

/* Adds the mask to a row's scores [first, seen); is one of them not masked? */
static bool add_mask(const struct attention_work *w, int64_t item, int64_t head, int64_t i, float *s, int64_t first,
                     int64_t seen)
{
    const struct attention_plan *plan = w->plan;
    const struct tensor *mask = op_in(w->share.step, MASK);
    if (!mask)
        return seen > first;
    const int64_t at = item * plan->mask[0] + head * plan->mask[1] + i * plan->mask[2];
    bool any = false;
    for (int64_t j = first; j < seen; j++) {
        float bias;
        if (mask->dtype == PERCEPT_BOOL)
            bias = ((const uint8_t *)mask->data)[at + j * plan->mask[3]] ? 0 : -INFINITY;
        else
            bias = ((const float *)mask->data)[at + j * plan->mask[3]];
        s[j] = bias == -INFINITY ? -INFINITY : s[j] + bias;
        any = any || bias != -INFINITY;
    }
    return any;
}

static void show(const struct attention_work *w, enum score_mode mode, int64_t row, const float *s)
{
    const struct attention_plan *plan = w->plan;
    if (w->share.step->n_out > 3 && w->a->mode == mode && plan->keys)
        memcpy((float *)w->share.step->out[3]->data + row * plan->keys, s, (size_t)plan->keys * sizeof *s);
}

/* One row's scores to weights: [0, n) are there, of which [0, seen) count. */
static void weigh_row(const struct attention_work *w, int64_t item, int64_t head, int64_t i, float *s, int64_t n)
{
    const struct kernels *kernels = w->share.step->kernels;
    const float cap = w->a->softcap;
    const int64_t row = (item * w->plan->q_heads + head) * w->plan->rows + i;
    int64_t first;
    const int64_t seen = keys_seen(w, item, i, &first);
    show(w, SCORES_RAW, row, s);
    if (cap > 0) {
        kernels->map->binary_scalar(BINARY_DIV, s, s, cap, n);
        kernels->map->unary(UNARY_TANH, s, s, n, 0, 0);
        kernels->map->binary_scalar(BINARY_MUL, s, s, cap, n);
    }
    show(w, SCORES_CAPPED, row, s);
    const bool any = add_mask(w, item, head, i, s, first, seen);
    kernels->map->fill(s, -INFINITY, first < seen ? first : seen);
    kernels->map->fill(s + seen, -INFINITY, n - seen);
    show(w, SCORES_MASKED, row, s);
    if (any)
        kernels->reduce->softmax(s, s, n, 1, 1, false);
    else if (n)
        kernels->map->fill(s, 0, n);
    show(w, SCORES_SOFTMAX, row, s);
}

static void attend_block(struct attention_work *w, const struct product_part *part, float *scores)
{
    const struct attention_plan *plan = w->plan;
    const int64_t item = part->item / plan->q_heads, head = part->item % plan->q_heads;
    const int64_t first = part->row, m = part->rows;
    const int64_t kv_head = head / (plan->q_heads / plan->kv_heads);
    const float *q =
        (const float *)w->share.step->in[Q]->data + item * plan->q.item + head * plan->q.head + first * plan->q.row;
    const float *k = w->k + item * w->k_strides.item + kv_head * w->k_strides.head;
    const float *v = w->v + item * w->v_strides.item + kv_head * w->v_strides.head;
    float *y = (float *)w->share.step->out[0]->data + item * plan->y.item + head * plan->y.head + first * plan->y.row;
    int64_t unseen;
    const int64_t n = w->share.step->n_out > 3 ? plan->keys : keys_seen(w, item, first + m - 1, &unseen);
    if (n)
        blas_gemm(false, true, m, n, plan->size, plan->scale, q, plan->q.row, k, w->k_strides.row, 0, scores, n);
    for (int64_t i = 0; i < m && op_share_spend(&w->share, n * SCORE_UNITS); i++)
        weigh_row(w, item, head, first + i, scores + i * n, n);
    if (n)
        blas_gemm(false, false, m, plan->v_size, n, 1, scores, n, v, w->v_strides.row, 0, y, plan->y.row);
    for (int64_t i = 0; !n && i < m; i++)
        w->share.step->kernels->map->fill(y + i * plan->y.row, 0, plan->v_size);
}

static void attend(void *arg, const struct product_part *part, int member)
{
    struct attention_work w = *(const struct attention_work *)arg;
    attend_block(&w, part,
                 (float *)(void *)((char *)w.share.step->scratch + w.plan->scores_at) +
                     member * BLOCK_ROWS * w.plan->keys);
}

static bool attention_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct attention_plan *plan = step->state;
    struct attention_work work = {.share = op_share(step, env), .a = step->priv, .plan = plan};
    work.k = settle(step, env, K, &work.k_strides);
    work.v = settle(step, env, V, &work.v_strides);
    const struct product rows =
        product_bands(plan->items * plan->q_heads, plan->rows, 1, BLOCK_ROWS, 1); /* whole ones */
    product_run(&rows, env->team, attend, &work);
    return true;
}

/* Inputs [0, n_whole) lie along axis 0, the others so or the same for every item; a mask's axis 0 is that of items
 * when it has four. */
static bool items_first(struct batch_view *view, int n_whole)
{
    const struct batch_place first = batch_axis_at(0, 1);
    bool good = true;
    for (int i = 0; good && i < view->many->n_in; i++) {
        const struct batch_place *place = &view->in[i];
        good = batch_axis_same_place(*place, first) || (i >= n_whole && place->word == BATCH_SAME);
    }
    if (!good)
        batch_axis_mixes(view, "has items that do not lie along the first axis");
    return good;
}

static void attention_batch(struct batch_view *view)
{
    const struct tensor *mask = op_in(view->many, MASK);
    if (!items_first(view, MASK))
        return;
    if (mask && view->in[MASK].word == BATCH_INDEPENDENT && mask->rank != 4)
        batch_axis_mixes(view, "has a mask whose first axis is not that of the items");
    else
        batch_axis_all(view, batch_axis_at(0, 1));
}

const struct op_rule op_attention = {
    .check = attention_check, .shape = attention_shape, .run = attention_run, .batch = attention_batch};

/* --- RotaryEmbedding ---------------------------------------------------------------------------------------------- */

struct rotary {
    bool interleaved;
    int64_t heads, size; /* 0: not said; size: elements of a head that turn */
};

struct rotary_plan {
    int64_t items, heads, rows, size, half; /* half: pairs that turn */
    int64_t columns;                        /* of the tables */
    int64_t positions;                      /* rows of a table that positions name; 0: one row for each x row */
    struct strides x;
};

enum { X, COS, SIN, POSITIONS };

static bool rotary_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct rotary *r = op_priv(ctx, sizeof *r, err);
    return r && op_arity(ctx, 3, 4, 1, err) && attr_bool(ctx, "interleaved", false, &r->interleaved, err) &&
           attr_int_in(ctx, "num_heads", 0, 0, INT32_MAX, &r->heads, err) &&
           attr_int_in(ctx, "rotary_embedding_dim", 0, 0, INT32_MAX, &r->size, err);
}

/* cos and sin: [positions][columns], or a row for each row of x. */
static bool take_tables(const struct step *step, struct rotary_plan *plan, struct percept_err *err)
{
    const struct tensor *c = step->in[COS], *positions = op_in(step, POSITIONS);
    if (!op_want_dtype(step, COS, PERCEPT_FLOAT, err) || !op_want_dtype(step, SIN, PERCEPT_FLOAT, err))
        return false;
    if (!tensor_same_dims(c, step->in[SIN]))
        return refuse_shapes(step, COS, SIN, err);
    const int64_t rows[] = {plan->items, plan->rows};
    bool fits = c->rank == (positions ? 2 : 3) && c->dims[c->rank - 1] >= plan->half;
    if (positions)
        fits = fits && positions->rank == 2 && memcmp(positions->dims, rows, sizeof rows) == 0;
    else
        fits = fits && memcmp(c->dims, rows, sizeof rows) == 0;
    if (!fits)
        return refuse_shapes(step, X, positions && c->rank == 2 && c->dims[1] >= plan->half ? POSITIONS : COS, err);
    plan->positions = positions ? c->dims[0] : 0;
    plan->columns = c->dims[c->rank - 1];
    return !positions || op_want_dtype(step, POSITIONS, PERCEPT_INT64, err);
}

static bool rotary_shape(struct step *step, struct percept_err *err)
{
    const struct rotary *r = step->priv;
    const struct tensor *x = step->in[X];
    struct rotary_plan *plan = arena_alloc(step->arena, sizeof *plan);
    if (!plan)
        return err_memory(err, "a plan", sizeof *plan);
    step->state = plan;
    plan->items = x->rank ? x->dims[0] : 0;
    if (!take_side(step, X, r->heads, &plan->heads, &plan->rows, &plan->size, &plan->x, err))
        return false;
    const int64_t turning = r->size ? r->size : plan->size;
    if (turning > plan->size || turning % 2)
        return err_set(err, ERR_MODEL, OP_AT "%lld elements of a head of %lld turn; an even number of them would work",
                       OP_NODE(step->node), (long long)turning, (long long)plan->size);
    plan->half = turning / 2;
    op_set_out(step, 0, PERCEPT_FLOAT, x->rank, x->dims);
    step->flops = 3.0 * (double)tensor_elements(x);
    return take_tables(step, plan, err);
}

/* Pairs (a, b) turn by the angle of their column: (a cos - b sin, a sin + b cos). */
static void turn_head(const struct rotary *r, const struct rotary_plan *plan, float *y, const float *x, const float *c,
                      const float *s)
{
    const int64_t half = plan->half, next = r->interleaved ? 2 : 1, mate = r->interleaved ? 1 : half;
    for (int64_t i = 0; i < half; i++) {
        const float a = x[i * next], b = x[i * next + mate];
        y[i * next] = c[i] * a - s[i] * b;
        y[i * next + mate] = s[i] * a + c[i] * b;
    }
    memcpy(y + 2 * half, x + 2 * half, (size_t)(plan->size - 2 * half) * sizeof *y);
}

static void turn_rows(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const struct rotary_plan *plan = step->state;
    const struct tensor *positions = op_in(step, POSITIONS);
    for (int64_t row = from; row < to; row++) {
        const int64_t line = positions ? ((const int64_t *)positions->data)[row] : row;
        const float *c = (const float *)step->in[COS]->data + line * plan->columns;
        const float *s = (const float *)step->in[SIN]->data + line * plan->columns;
        const int64_t at = row / plan->rows * plan->x.item + row % plan->rows * plan->x.row;
        for (int64_t head = 0; head < plan->heads; head++)
            turn_head(step->priv, plan, (float *)step->out[0]->data + at + head * plan->x.head,
                      (const float *)step->in[X]->data + at + head * plan->x.head, c, s);
    }
}

static bool rotary_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct rotary_plan *plan = step->state;
    const struct tensor *positions = op_in(step, POSITIONS);
    const int64_t rows = plan->items * plan->rows;
    for (int64_t i = 0; positions && i < rows; i++) {
        if (!op_spend(env, 1))
            return true;
        const int64_t line = ((const int64_t *)positions->data)[i];
        if (line < 0 || line >= plan->positions)
            return err_set(err, ERR_DATA, OP_AT "position %lld is outside [0, %lld], which the tables have",
                           OP_NODE(step->node), (long long)line, (long long)plan->positions - 1);
    }
    team_split(env->team, rows, 1 + 16384 / (plan->heads * plan->size), turn_rows, step);
    return true;
}

/* Tables that positions point into are the same for all, others may be each item's own. */
static void rotary_batch(struct batch_view *view)
{
    if (!items_first(view, COS))
        return;
    if (op_in(view->many, POSITIONS) &&
        (view->in[COS].word == BATCH_INDEPENDENT || view->in[SIN].word == BATCH_INDEPENDENT))
        batch_axis_mixes(view, "looks positions up in a table that grows with the batch");
    else
        batch_axis_all(view, batch_axis_at(0, 1));
}

const struct op_rule op_rotary_embedding = {
    .check = rotary_check, .shape = rotary_shape, .run = rotary_run, .batch = rotary_batch};
