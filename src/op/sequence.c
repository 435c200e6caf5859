/*
 * sequence.c - lists of tensors inside a graph: SequenceConstruct, -Empty, -Insert, -Erase, -At, -Length,
 * SplitToSequence, ConcatFromSequence, SequenceMap; and optional values: Optional, OptionalHasElement,
 * OptionalGetElement, an optional being a list of one thing at most.
 *
 * A list is a value like others: a tensor of rank 0 of type DTYPE_SEQUENCE or DTYPE_OPTIONAL, whose one element
 * is a struct sequence. So it lies in scratch, is copied into bodies and carried by loops as a number would be,
 * and a plan need not know how long it is. The tensors that it names are copies in lasting memory, made once,
 * when they are put in, and never changed; they end when the model runs again.
 *
 *     struct sequence {n, dtype, items} --> | cap | used | tensor * | tensor * | ... free ... |
 *     struct sequence {n - 1, ...} ---------^  (an older one, of a turn before)
 *
 * Lists that grow at their end, which is what loops do, share one array of items: who names all that are used
 * may put the next behind them, anybody else gets an array of its own. So a loop that collects n rows copies
 * each once and moves some 2 n pointers, not n n / 2.
 *
 * Positions are judged when they are known, at run; so is the type of what is put in, and memory ends with the
 * session's limit, in a sentence. SequenceAt moves nothing: what it gives is the tensor in the list.
 *
 * Thread: the session's holder. Source: ONNX operator specification, the operators' own pages (opset 11 to 24).
 */
#include "op/attr.h"
#include "op/op.h"
#include "op/walk.h"

#include <string.h>

struct sequence_items {
    int64_t cap, used;
    const struct tensor *at[];
};

#define MOST_STREAMS 64 /* inputs or outputs of a body */

static bool short_of_memory(const struct step *step, struct percept_err *err)
{
    return err_set(err, ERR_MEMORY,
                   OP_AT "its elements need more memory than a session may have; shorter or fewer "
                         "ones, or a higher limit, would work",
                   OP_NODE(step->node));
}

static void *lasting(const struct step *step, struct run_env *env, size_t n, size_t size, struct percept_err *err)
{
    size_t n_bytes;
    void *at = __builtin_mul_overflow(n, size, &n_bytes) ? NULL : env->lasting(env, n_bytes + 1);
    if (!at)
        short_of_memory(step, err);
    return at;
}

static const struct sequence *list_of(const struct step *step, int i)
{
    return step->in[i]->data;
}

/* --- putting in --------------------------------------------------------------------------------------------------- */

/* A copy that lasts; NULL, with a sentence, when memory is short. */
static const struct tensor *keep(const struct step *step, struct run_env *env, const struct tensor *x,
                                 struct percept_err *err)
{
    const size_t n_bytes = op_plain_bytes(x);
    struct tensor *copy = lasting(step, env, 1, sizeof *copy, err);
    void *data = copy ? lasting(step, env, n_bytes, 1, err) : NULL;
    if (!data)
        return NULL;
    op_copy(env, data, x->data, n_bytes);
    *copy = (struct tensor){.dtype = x->dtype, .data = data};
    tensor_set_dims(copy, x->rank, x->dims);
    if (x->dtype != PERCEPT_STRING)
        return copy;
    char *texts = lasting(step, env, op_text_bytes(copy), 1, err); /* of those that were copied in time: others are 0 */
    if (!texts)
        return NULL;
    op_move_texts(data, tensor_elements(copy), texts);
    return copy;
}

/* list := its first n items, in an array of its own with room for more. */
static bool own_items(const struct step *step, struct run_env *env, struct sequence *list, int64_t cap,
                      struct percept_err *err)
{
    if (cap > INT64_MAX / 16)
        return short_of_memory(step, err);
    struct sequence_items *items = lasting(step, env, sizeof *items + (size_t)cap * sizeof *items->at, 1, err);
    if (!items)
        return false;
    if (list->n)
        memcpy(items->at, list->items->at, (size_t)list->n * sizeof *items->at);
    items->cap = cap;
    items->used = list->n;
    list->items = items;
    return true;
}

static bool same_type(const struct step *step, struct sequence *list, enum percept_dtype dtype, struct percept_err *err)
{
    if (list->dtype == PERCEPT_UNDEFINED)
        list->dtype = dtype;
    return list->dtype == dtype ||
           err_set(err, ERR_DATA, OP_AT "a tensor of %s does not go into a sequence of %s", OP_NODE(step->node),
                   tensor_dtype_name(dtype), tensor_dtype_name(list->dtype));
}

/* `one` lasts already. */
static bool append(const struct step *step, struct run_env *env, struct sequence *list, const struct tensor *one,
                   struct percept_err *err)
{
    if (!same_type(step, list, one->dtype, err))
        return false;
    const struct sequence_items *items = list->items;
    if ((!items || items->used != list->n || items->used == items->cap) &&
        !own_items(step, env, list, list->n < 4 ? 8 : 2 * list->n, err))
        return false;
    list->items->at[list->n++] = one;
    list->items->used = list->n;
    return true;
}

static bool put(const struct step *step, struct run_env *env, struct sequence *list, const struct tensor *x,
                struct percept_err *err)
{
    const struct tensor *one = same_type(step, list, x->dtype, err) ? keep(step, env, x, err) : NULL;
    return one && append(step, env, list, one, err);
}

/* --- what check and shape have in common -------------------------------------------------------------------------- */

struct sequence_priv {
    int64_t axis;
    bool flag; /* keepdims, new_axis */
    enum percept_dtype dtype;
    struct graph *body;
};

static bool want_list(const struct step *step, int i, enum percept_dtype dtype, struct percept_err *err)
{
    const enum percept_dtype got = step->in[i]->dtype;
    return got == dtype || err_set(err, ERR_MODEL, OP_AT "input %d is %s; %s would work", OP_NODE(step->node), i,
                                   tensor_is_list(got) ? tensor_dtype_name(got) : "a tensor",
                                   dtype == DTYPE_SEQUENCE ? "a sequence" : "an optional");
}

static bool want_tensor(const struct step *step, int i, struct percept_err *err)
{
    return !tensor_is_list(step->in[i]->dtype) ||
           err_set(err, ERR_MODEL, OP_AT "input %d is %s; a tensor would work", OP_NODE(step->node), i,
                   tensor_dtype_name(step->in[i]->dtype));
}

static bool want_position(const struct step *step, int i, struct percept_err *err)
{
    if (i >= step->n_in || !step->in[i])
        return true;
    const struct tensor *t = step->in[i];
    return ((t->dtype == PERCEPT_INT32 || t->dtype == PERCEPT_INT64) && tensor_elements(t) == 1) ||
           err_set(err, ERR_MODEL, OP_AT "input %d must be one int32 or int64, a position", OP_NODE(step->node), i);
}

/* Input i in [-n, last], counted from the end when negative; `absent` when it is left out. */
static bool position(const struct step *step, int i, int64_t n, int64_t last, int64_t absent, int64_t *at,
                     struct percept_err *err)
{
    *at = absent;
    if (op_in(step, i)) {
        const void *data = step->in[i]->data;
        *at = step->in[i]->dtype == PERCEPT_INT64 ? *(const int64_t *)data : *(const int32_t *)data;
    }
    if (*at < -n || *at > last)
        return err_set(err, ERR_DATA, OP_AT "position %lld is outside [%lld, %lld] of a sequence of %lld",
                       OP_NODE(step->node), (long long)*at, (long long)-n, (long long)last, (long long)n);
    *at += *at < 0 ? n : 0;
    return true;
}

static bool gives_list(struct step *step, struct percept_err *err)
{
    (void)err;
    op_set_out(step, 0, DTYPE_SEQUENCE, 0, NULL);
    return true;
}

/* --- SequenceConstruct, SequenceEmpty ----------------------------------------------------------------------------- */

static bool construct_check(struct node_ctx *ctx, struct percept_err *err)
{
    if (!op_arity(ctx, 1, INT32_MAX, 1, err))
        return false;
    for (int i = 0; i < ctx->node->n_in; i++)
        if (!op_has_input(ctx->node, i))
            return err_set(err, ERR_MODEL, OP_AT "input %d is left out and is needed", OP_NODE(ctx->node), i);
    return true;
}

static bool construct_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    struct sequence list = {.dtype = step->in[0]->dtype};
    if (!own_items(step, env, &list, step->n_in, err))
        return false;
    for (int i = 0; i < step->n_in; i++)
        if (!put(step, env, &list, step->in[i], err))
            return false;
    *(struct sequence *)step->out[0]->data = list;
    return true;
}

static bool empty_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct sequence_priv *priv = op_priv(ctx, sizeof *priv, err);
    int64_t dtype;
    if (!priv || !op_arity(ctx, 0, 0, 1, err) || !attr_int(ctx, "dtype", PERCEPT_FLOAT, &dtype, err))
        return false;
    priv->dtype = dtype < 0 || dtype > INT32_MAX ? PERCEPT_UNDEFINED : (enum percept_dtype)dtype;
    if (!tensor_dtype_bytes(priv->dtype))
        return err_set(err, ERR_UNSUPPORTED, OP_AT "attribute 'dtype' is %lld, a type that is not supported",
                       OP_NODE(ctx->node), (long long)dtype);
    if (tensor_is_half(priv->dtype)) /* halves are widened on their way */
        priv->dtype = PERCEPT_FLOAT;
    return true;
}

static bool empty_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)env;
    (void)err;
    const struct sequence_priv *priv = step->priv;
    *(struct sequence *)step->out[0]->data = (struct sequence){.dtype = priv->dtype};
    return true;
}

const struct op_rule op_sequence_construct = {
    .check = construct_check, .shape = gives_list, .run = construct_run, .flags = OP_LASTING};
const struct op_rule op_sequence_empty = {
    .check = empty_check, .shape = gives_list, .run = empty_run, .flags = OP_LASTING};

/* --- SequenceInsert, SequenceErase, SequenceAt, SequenceLength ---------------------------------------------------- */

static bool insert_check(struct node_ctx *ctx, struct percept_err *err)
{
    return op_arity(ctx, 2, 3, 1, err);
}

static bool insert_shape(struct step *step, struct percept_err *err)
{
    return want_list(step, 0, DTYPE_SEQUENCE, err) && want_tensor(step, 1, err) && want_position(step, 2, err) &&
           gives_list(step, err);
}

static bool insert_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    struct sequence list = *list_of(step, 0);
    int64_t at;
    if (!position(step, 2, list.n, list.n, list.n, &at, err))
        return false;
    const struct tensor *one =
        same_type(step, &list, step->in[1]->dtype, err) ? keep(step, env, step->in[1], err) : NULL;
    if (!one)
        return false;
    if (at == list.n) {
        if (!append(step, env, &list, one, err))
            return false;
    } else {
        if (!own_items(step, env, &list, list.n + 1, err))
            return false;
        const struct tensor **items = list.items->at;
        memmove(items + at + 1, items + at, (size_t)(list.n - at) * sizeof *items);
        items[at] = one;
        list.items->used = ++list.n;
    }
    *(struct sequence *)step->out[0]->data = list;
    return true;
}

static bool place_check(struct node_ctx *ctx, struct percept_err *err)
{
    return op_arity(ctx, ctx->node->op->rule->variant, 2, 1, err); /* is a position needed? */
}

static bool erase_shape(struct step *step, struct percept_err *err)
{
    return want_list(step, 0, DTYPE_SEQUENCE, err) && want_position(step, 1, err) && gives_list(step, err);
}

static bool erase_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    struct sequence list = *list_of(step, 0);
    int64_t at;
    if (!position(step, 1, list.n, list.n - 1, list.n - 1, &at, err))
        return false;
    if (at < list.n - 1) {
        if (!own_items(step, env, &list, list.n, err))
            return false;
        const struct tensor **items = list.items->at;
        memmove(items + at, items + at + 1, (size_t)(list.n - 1 - at) * sizeof *items);
        list.items->used--;
    }
    list.n--;
    *(struct sequence *)step->out[0]->data = list;
    return true;
}

static bool at_shape(struct step *step, struct percept_err *err)
{
    return want_list(step, 0, DTYPE_SEQUENCE, err) && want_position(step, 1, err);
}

static bool at_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)env;
    const struct sequence *list = list_of(step, 0);
    int64_t at;
    if (!position(step, 1, list->n, list->n - 1, 0, &at, err))
        return false;
    *step->out[0] = *list->items->at[at];
    return true;
}

static bool length_check(struct node_ctx *ctx, struct percept_err *err)
{
    return op_arity(ctx, 1, 1, 1, err);
}

static bool length_shape(struct step *step, struct percept_err *err)
{
    op_set_out(step, 0, PERCEPT_INT64, 0, NULL);
    return want_list(step, 0, DTYPE_SEQUENCE, err);
}

static bool length_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)env;
    (void)err;
    *(int64_t *)step->out[0]->data = list_of(step, 0)->n;
    return true;
}

const struct op_rule op_sequence_insert = {
    .check = insert_check, .shape = insert_shape, .run = insert_run, .flags = OP_LISTS | OP_LASTING};
const struct op_rule op_sequence_erase = {
    .check = place_check, .shape = erase_shape, .run = erase_run, .flags = OP_LISTS | OP_LASTING, .variant = 1};
const struct op_rule op_sequence_at = {
    .check = place_check, .shape = at_shape, .run = at_run, .flags = OP_LISTS | OP_OWN_MEMORY, .variant = 2};
const struct op_rule op_sequence_length = {
    .check = length_check, .shape = length_shape, .run = length_run, .flags = OP_LISTS};

/* --- SplitToSequence ---------------------------------------------------------------------------------------------- */

static bool split_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct sequence_priv *priv = op_priv(ctx, sizeof *priv, err);
    return priv && op_arity(ctx, 1, 2, 1, err) && attr_int(ctx, "axis", 0, &priv->axis, err) &&
           attr_bool(ctx, "keepdims", true, &priv->flag, err);
}

static bool split_shape(struct step *step, struct percept_err *err)
{
    const struct sequence_priv *priv = step->priv;
    const struct tensor *split = op_in(step, 1);
    int axis;
    if (split && ((split->dtype != PERCEPT_INT64 && split->dtype != PERCEPT_INT32) || split->rank > 1))
        return err_set(err, ERR_MODEL, OP_AT "input 1 must be an int64 or int32, or a list of them",
                       OP_NODE(step->node));
    return op_axis(step, priv->axis, step->in[0]->rank, &axis, err) && gives_list(step, err);
}

static int64_t number_at(const struct tensor *t, int64_t i)
{
    return t->dtype == PERCEPT_INT64 ? ((const int64_t *)t->data)[i] : ((const int32_t *)t->data)[i];
}

/* How many parts; *each: their length, or 0 when a list says so. */
static bool split_parts(const struct step *step, int64_t whole, int64_t *n, int64_t *each, struct percept_err *err)
{
    const struct tensor *split = op_in(step, 1);
    *each = split && split->rank == 1 ? 0 : split ? number_at(split, 0) : 1;
    if (*each < 0 || (*each == 0 && split->rank == 0))
        return err_set(err, ERR_DATA, OP_AT "parts of %lld elements; 1 and more would work", OP_NODE(step->node),
                       (long long)*each);
    if (*each) {
        *n = whole / *each + (whole % *each > 0);
        return true;
    }
    *n = tensor_elements(split);
    int64_t left = whole;
    for (int64_t i = 0; i < *n; i++) {
        const int64_t length = number_at(split, i);
        if (length < 0 || length > left)
            return err_set(err, ERR_DATA, OP_AT "part %lld of %lld elements does not fit an axis of %lld",
                           OP_NODE(step->node), (long long)i, (long long)length, (long long)whole);
        left -= length;
    }
    return left == 0 || err_set(err, ERR_DATA, OP_AT "the parts leave %lld of the axis' %lld elements over",
                                OP_NODE(step->node), (long long)left, (long long)whole);
}

/* Elements [from, from + length) of the axis, out of x, which lasts: a view where they lie in one piece. */
static bool split_part(const struct step *step, struct run_env *env, const struct tensor *x, int axis, int64_t from,
                       struct tensor *part, struct percept_err *err)
{
    const int64_t outer = tensor_span(x, 0, axis);
    const size_t row = (size_t)tensor_span(x, axis + 1, x->rank) * tensor_dtype_bytes(x->dtype);
    const size_t step_bytes = (size_t)x->dims[axis] * row, n_bytes = (size_t)part->dims[axis] * row;
    const char *at = (const char *)x->data + (size_t)from * row;
    if (outer == 1 || op_plain_bytes(part) == 0) {
        part->data = op_plain_bytes(part) ? (void *)(uintptr_t)at : x->data;
        return true;
    }
    char *to = lasting(step, env, (size_t)outer, n_bytes, err);
    if (!to)
        return false;
    part->data = to;
    for (int64_t o = 0; o < outer && op_spend(env, 1); o++)
        op_copy(env, to + (size_t)o * n_bytes, at + (size_t)o * step_bytes, n_bytes);
    return true;
}

static void drop_axis(struct tensor *t, int axis)
{
    for (int d = axis; d + 1 < t->rank; d++)
        t->dims[d] = t->dims[d + 1];
    t->rank--;
}

static bool split_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct sequence_priv *priv = step->priv;
    const struct tensor *split = op_in(step, 1);
    int axis;
    int64_t n = 0, each = 0;
    struct sequence list = {.dtype = step->in[0]->dtype};
    if (!op_axis(step, priv->axis, step->in[0]->rank, &axis, err) ||
        !split_parts(step, step->in[0]->dims[axis], &n, &each, err))
        return false;
    const struct tensor *x = keep(step, env, step->in[0], err);
    struct tensor *parts = x ? lasting(step, env, (size_t)n, sizeof *parts, err) : NULL;
    if (!parts || !own_items(step, env, &list, n, err))
        return false;
    int64_t from = 0;
    for (int64_t i = 0; i < n && op_spend(env, 16); i++) {
        parts[i] = *x;
        parts[i].dims[axis] = !each ? number_at(split, i) : x->dims[axis] - from < each ? x->dims[axis] - from : each;
        if (!split_part(step, env, x, axis, from, &parts[i], err))
            return false;
        from += parts[i].dims[axis];
        if (!split && !priv->flag)
            drop_axis(&parts[i], axis);
        if (!append(step, env, &list, &parts[i], err))
            return false;
    }
    *(struct sequence *)step->out[0]->data = list;
    return true;
}

const struct op_rule op_split_to_sequence = {
    .check = split_check, .shape = split_shape, .run = split_run, .flags = OP_LASTING};

/* --- ConcatFromSequence ------------------------------------------------------------------------------------------- */

static bool concat_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct sequence_priv *priv = op_priv(ctx, sizeof *priv, err);
    if (!priv || !op_arity(ctx, 1, 1, 1, err) || !attr_int(ctx, "axis", 0, &priv->axis, err) ||
        !attr_bool(ctx, "new_axis", false, &priv->flag, err))
        return false;
    return attr_has(ctx, "axis") || err_set(err, ERR_MODEL, OP_AT "attribute 'axis' is missing", OP_NODE(ctx->node));
}

static bool concat_shape(struct step *step, struct percept_err *err)
{
    return want_list(step, 0, DTYPE_SEQUENCE, err);
}

/* Dims of the whole; the axis. */
static bool concat_dims(const struct step *step, const struct sequence *list, struct tensor *y, int *axis,
                        struct percept_err *err)
{
    const struct sequence_priv *priv = step->priv;
    const struct tensor *first = list->items->at[0];
    if (first->rank + priv->flag > RANK_MAX)
        return err_set(err, ERR_UNSUPPORTED, OP_AT "the result has %d axes; up to %d would work", OP_NODE(step->node),
                       first->rank + 1, RANK_MAX);
    if (!op_axis(step, priv->axis, first->rank + priv->flag, axis, err))
        return false;
    *y = (struct tensor){.dtype = first->dtype, .rank = first->rank + priv->flag};
    for (int d = 0; d < y->rank; d++)
        y->dims[d] = !priv->flag ? first->dims[d] : d == *axis ? 0 : first->dims[d < *axis ? d : d - 1];
    y->dims[*axis] = 0;
    for (int64_t i = 0; i < list->n; i++) {
        const struct tensor *one = list->items->at[i];
        bool fits = one->rank == first->rank;
        for (int d = 0; fits && d < one->rank; d++)
            fits = one->dims[d] == first->dims[d] || (!priv->flag && d == *axis);
        if (!fits) {
            char a[128], b[128];
            return err_set(err, ERR_DATA, OP_AT "shapes %s and %s do not join along axis %d", OP_NODE(step->node),
                           tensor_shape_text(first->rank, first->dims, a, sizeof a),
                           tensor_shape_text(one->rank, one->dims, b, sizeof b), *axis);
        }
        if (__builtin_add_overflow(y->dims[*axis], priv->flag ? 1 : one->dims[*axis], &y->dims[*axis]))
            return short_of_memory(step, err);
    }
    return true;
}

static bool concat_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct sequence *list = list_of(step, 0);
    struct tensor y;
    int axis;
    size_t n_bytes;
    if (list->n == 0)
        return err_set(err, ERR_DATA, OP_AT "the sequence is empty; one tensor and more would work",
                       OP_NODE(step->node));
    if (!concat_dims(step, list, &y, &axis, err))
        return false;
    if (!tensor_bytes(&y, 1, &n_bytes) || !(y.data = env->memory(env, n_bytes + 1)))
        return short_of_memory(step, err);
    const int64_t outer = tensor_span(&y, 0, axis);
    const size_t row = n_bytes ? n_bytes / (size_t)outer : 0;
    char *to = y.data;
    for (int64_t i = 0; n_bytes && i < list->n; i++) {
        const struct tensor *one = list->items->at[i];
        const size_t own = op_plain_bytes(one) / (size_t)outer;
        for (int64_t o = 0; own && o < outer && op_spend(env, 1); o++)
            op_copy(env, to + (size_t)o * row, (const char *)one->data + (size_t)o * own, own);
        to += own;
    }
    *step->out[0] = y;
    return true;
}

const struct op_rule op_concat_from_sequence = {
    .check = concat_check, .shape = concat_shape, .run = concat_run, .flags = OP_LISTS | OP_OWN_MEMORY};

/* --- SequenceMap -------------------------------------------------------------------------------------------------- */

static bool map_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct sequence_priv *priv = op_priv(ctx, sizeof *priv, err);
    const struct node *node = ctx->node;
    if (!priv || !op_arity(ctx, 1, MOST_STREAMS, MOST_STREAMS, err) || !attr_graph(ctx, "body", &priv->body, err))
        return false;
    for (int i = 0; i < node->n_in; i++)
        if (!op_has_input(node, i))
            return err_set(err, ERR_MODEL, OP_AT "input %d is left out and is needed", OP_NODE(node), i);
    if (!priv->body || priv->body->n_inputs != node->n_in || priv->body->n_outputs != node->n_out)
        return err_set(err, ERR_MODEL, OP_AT "its body must have %d inputs and %d outputs, as the node", OP_NODE(node),
                       node->n_in, node->n_out);
    return true;
}

static bool map_shape(struct step *step, struct percept_err *err)
{
    for (int i = 0; i < step->n_in; i++)
        if (step->in[i]->dtype == DTYPE_OPTIONAL || i == 0)
            if (!want_list(step, i, DTYPE_SEQUENCE, err))
                return false;
    for (int i = 0; i < step->n_out; i++)
        op_set_out(step, i, DTYPE_SEQUENCE, 0, NULL);
    return true;
}

/* The type of what the body would give, for no turns at all. */
static enum percept_dtype declared_type(const struct graph *body, int output)
{
    const enum percept_dtype dtype = body->values[body->outputs[output]].dtype;
    return tensor_is_half(dtype) ? PERCEPT_FLOAT : dtype;
}

static bool map_once(struct step *step, struct run_env *env, int64_t turn, struct sequence *lists,
                     struct percept_err *err)
{
    const struct sequence_priv *priv = step->priv;
    struct tensor in[MOST_STREAMS], out[MOST_STREAMS];
    for (int i = 0; i < step->n_in; i++)
        in[i] = step->in[i]->dtype == DTYPE_SEQUENCE ? *list_of(step, i)->items->at[turn] : *step->in[i];
    if (!env->go_on(env, err) || !env->body(env, priv->body, in, out, err))
        return false;
    for (int i = 0; i < step->n_out; i++) {
        if (tensor_is_list(out[i].dtype))
            return err_set(err, ERR_MODEL, OP_AT "output %d of its body is a %s; a tensor would work",
                           OP_NODE(step->node), i, tensor_dtype_name(out[i].dtype));
        if (!put(step, env, &lists[i], &out[i], err))
            return false;
    }
    return true;
}

static bool map_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct sequence_priv *priv = step->priv;
    const int64_t n = list_of(step, 0)->n;
    struct sequence lists[MOST_STREAMS] = {0};
    for (int i = 1; i < step->n_in; i++)
        if (step->in[i]->dtype == DTYPE_SEQUENCE && list_of(step, i)->n != n)
            return err_set(err, ERR_DATA, OP_AT "its sequences have %lld and %lld elements; as many would work",
                           OP_NODE(step->node), (long long)n, (long long)list_of(step, i)->n);
    for (int64_t turn = 0; turn < n; turn++)
        if (!map_once(step, env, turn, lists, err))
            return false;
    for (int i = 0; i < step->n_out; i++) {
        if (!n)
            lists[i].dtype = declared_type(priv->body, i);
        *(struct sequence *)step->out[i]->data = lists[i];
    }
    return true;
}

const struct op_rule op_sequence_map = {
    .check = map_check, .shape = map_shape, .run = map_run, .flags = OP_LISTS | OP_LASTING};

/* --- Optional, OptionalHasElement, OptionalGetElement ------------------------------------------------------------- */

static bool optional_check(struct node_ctx *ctx, struct percept_err *err)
{
    return op_arity(ctx, ctx->node->op->rule->variant, 1, 1, err);
}

static bool optional_shape(struct step *step, struct percept_err *err)
{
    if (step->n_in && step->in[0] && step->in[0]->dtype == DTYPE_OPTIONAL)
        return err_set(err, ERR_MODEL, OP_AT "its input is an optional; a tensor or a sequence would work",
                       OP_NODE(step->node));
    op_set_out(step, 0, DTYPE_OPTIONAL, 0, NULL);
    return true;
}

static bool optional_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    struct sequence list = {0};
    if (step->n_in && step->in[0] && !put(step, env, &list, step->in[0], err))
        return false;
    *(struct sequence *)step->out[0]->data = list;
    return true;
}

static bool has_shape(struct step *step, struct percept_err *err)
{
    (void)err;
    op_set_out(step, 0, PERCEPT_BOOL, 0, NULL);
    return true;
}

/* Since opset 18 what is no optional may come as well: a tensor or sequence is there, what is left out is not. */
static bool has_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)env;
    (void)err;
    const struct tensor *x = op_in(step, 0);
    *(uint8_t *)step->out[0]->data = x && (x->dtype != DTYPE_OPTIONAL || list_of(step, 0)->n > 0);
    return true;
}

/* What is no optional is what it holds. */
static bool get_shape(struct step *step, struct percept_err *err)
{
    (void)err;
    const struct tensor *x = step->in[0];
    if (x->dtype == DTYPE_OPTIONAL)
        return true;
    op_set_out(step, 0, x->dtype, x->rank, x->dims);
    step->want[0] = step->out[0]->layout = x->layout;
    step->alias = 1;
    return true;
}

static bool get_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)env;
    if (list_of(step, 0)->n == 0)
        return err_set(err, ERR_DATA, OP_AT "the optional is empty; OptionalHasElement in front tells",
                       OP_NODE(step->node));
    *step->out[0] = *list_of(step, 0)->items->at[0];
    return true;
}

const struct op_rule op_optional = {
    .check = optional_check, .shape = optional_shape, .run = optional_run, .flags = OP_LISTS | OP_LASTING};
const struct op_rule op_optional_has_element = {
    .check = optional_check, .shape = has_shape, .run = has_run, .flags = OP_LISTS};
const struct op_rule op_optional_get_element = {
    .check = optional_check, .shape = get_shape, .run = get_run, .flags = OP_LISTS | OP_OWN_MEMORY, .variant = 1};
