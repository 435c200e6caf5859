/*
 * control.c - If, Loop, Scan: nodes that run other graphs.
 *
 * What they put out is known only when they have run, so they own their outputs' memory
 * (OP_OWN_MEMORY) and shape has nothing to say. Bodies are run by the engine through run_env; a body's
 * outputs are views that the next run of the same body overwrites, therefore carried values move through
 * two buffers in turn and scan outputs are collected into one that grows by doubling.
 *
 * Loop ends when its condition is false or its trip count is reached; a run past its deadline ends it
 * too, and without a deadline MOST_TRIPS does. Sources: ONNX operator specification, Loop (1, 11, 13),
 * Scan (8, 9, 11), If (1, 11, 13). Scan of opset 8 has a batch axis: it is a Scan for each item.
 */
#include "op/attr.h"
#include "op/op.h"

#include <string.h>

#define MOST_TRIPS ((int64_t)10000000)
#define MOST_STREAMS 64 /* inputs or outputs of a body */

static bool short_of_memory(const struct step *step, struct percept_err *err)
{
    return err_set(err, ERR_MEMORY, OP_AT "out of memory for its outputs", OP_NODE(step->node));
}

/* A buffer that keeps its capacity from iteration to iteration. */
struct store {
    char *at;
    size_t cap;
};

static char *store_reserve(struct store *store, struct run_env *env, size_t n_bytes, size_t keep)
{
    if (store->at && n_bytes <= store->cap)
        return store->at;
    size_t cap = store->cap * 2 > n_bytes ? store->cap * 2 : n_bytes;
    char *fresh = env->memory(env, cap);
    if (!fresh)
        return NULL;
    if (keep)
        op_copy(env, fresh, store->at, keep);
    store->at = fresh;
    store->cap = cap;
    return fresh;
}

/* --- If ----------------------------------------------------------------------------------------------------------- */

struct if_priv {
    struct graph *then_branch, *else_branch;
};

static bool if_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct if_priv *p = op_priv(ctx, sizeof *p, err);
    if (!p)
        return false;
    if (!op_arity(ctx, 1, 1, MOST_STREAMS, err) || !attr_graph(ctx, "then_branch", &p->then_branch, err) ||
        !attr_graph(ctx, "else_branch", &p->else_branch, err))
        return false;
    if (!p->then_branch || !p->else_branch)
        return err_set(err, ERR_MODEL, OP_AT "needs both 'then_branch' and 'else_branch'", OP_NODE(ctx->node));
    if (p->then_branch->n_inputs || p->else_branch->n_inputs || p->then_branch->n_outputs != ctx->node->n_out ||
        p->else_branch->n_outputs != ctx->node->n_out)
        return err_set(err, ERR_MODEL, OP_AT "its branches must have no inputs and %d outputs, as the node",
                       OP_NODE(ctx->node), ctx->node->n_out);
    return true;
}

static bool if_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct if_priv *p = step->priv;
    const struct tensor *condition = step->in[0];
    if (condition->dtype != PERCEPT_BOOL || tensor_elements(condition) != 1)
        return err_set(err, ERR_DATA, OP_AT "the condition must be one bool", OP_NODE(step->node));
    const struct graph *branch = *(const uint8_t *)condition->data ? p->then_branch : p->else_branch;
    struct tensor outputs[MOST_STREAMS];
    if (!env->body(env, branch, NULL, outputs, err))
        return false;
    for (int i = 0; i < step->n_out; i++)
        *step->out[i] = outputs[i];
    return true;
}

const struct op_rule op_if = {.check = if_check, .run = if_run, .flags = OP_OWN_MEMORY | OP_LISTS};

/* --- collecting what each iteration puts out ---------------------------------------------------------------------- */

struct collected {
    struct tensor element; /* dims of one iteration */
    struct store store;
    size_t used;
    int64_t n;
};

static bool collect(struct collected *c, const struct tensor *one, const struct step *step, struct run_env *env,
                    struct percept_err *err)
{
    size_t n_bytes = op_plain_bytes(one);
    if (tensor_is_list(one->dtype))
        return err_set(err, ERR_MODEL,
                       OP_AT "an output that is collected is a %s; a tensor would work, or the list as "
                             "a carried value",
                       OP_NODE(step->node), tensor_dtype_name(one->dtype));
    if (c->n && (c->element.dtype != one->dtype || !tensor_same_dims(&c->element, one)))
        return err_set(err, ERR_DATA, OP_AT "an output that is collected changes its shape in iteration %lld",
                       OP_NODE(step->node), (long long)c->n);
    c->element = *one;
    char *texts = one->dtype == PERCEPT_STRING ? env->memory(env, op_text_bytes(one) + 1) : NULL;
    if (!store_reserve(&c->store, env, c->used + n_bytes + 1, c->used) || (!texts && one->dtype == PERCEPT_STRING))
        return short_of_memory(step, err);
    if (n_bytes)
        op_copy(env, c->store.at + c->used, one->data, n_bytes);
    if (texts && !watch_over(env->watch)) /* all of them are there */
        op_move_texts(c->store.at + c->used, tensor_elements(one), texts);
    c->used += n_bytes;
    c->n++;
    return true;
}

/* Without any iteration the body's declaration has to say what one would have put out. */
static void declared(const struct graph *body, int output, struct tensor *element)
{
    const struct value *value = &body->values[body->outputs[output]];
    element->dtype = value->dtype ? value->dtype : PERCEPT_FLOAT;
    element->rank = value->rank < 0 ? 0 : value->rank;
    for (int d = 0; d < element->rank; d++)
        element->dims[d] = value->dims[d] < 0 ? 0 : value->dims[d];
}

/* [n][element] with the new axis at the front. */
static bool finish_collected(struct collected *c, const struct graph *body, int output, struct tensor *out,
                             const struct step *step, struct run_env *env, struct percept_err *err)
{
    if (!c->n)
        declared(body, output, &c->element);
    if (c->element.rank >= RANK_MAX)
        return err_set(err, ERR_UNSUPPORTED, OP_AT "an output would have more than %d dimensions", OP_NODE(step->node),
                       RANK_MAX);
    if (!store_reserve(&c->store, env, 1, 0))
        return short_of_memory(step, err);
    *out = (struct tensor){.dtype = c->element.dtype, .rank = c->element.rank + 1, .data = c->store.at};
    out->dims[0] = c->n;
    memcpy(out->dims + 1, c->element.dims, (size_t)c->element.rank * sizeof *out->dims);
    return true;
}

/* Zeros for the iterations that are missing from n. */
static bool pad_collected(struct collected *c, const struct graph *body, int output, int64_t n, const struct step *step,
                          struct run_env *env, struct percept_err *err)
{
    if (!c->n)
        declared(body, output, &c->element);
    size_t each, missing, whole;
    if (!tensor_bytes(&c->element, 1, &each) || __builtin_mul_overflow(each, (size_t)(n - c->n), &missing) ||
        __builtin_add_overflow(missing, c->used, &whole) || whole == SIZE_MAX ||
        !store_reserve(&c->store, env, whole + 1, c->used))
        return short_of_memory(step, err);
    op_clear(env, c->store.at + c->used, missing);
    c->used = whole;
    c->n = n;
    return true;
}

/* --- Loop --------------------------------------------------------------------------------------------------------- */

struct loop_priv {
    struct graph *body;
    int n_carried, n_collected;
};

static bool loop_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct loop_priv *p = op_priv(ctx, sizeof *p, err);
    if (!p)
        return false;
    if (!op_arity(ctx, 0, MOST_STREAMS, MOST_STREAMS, err) || !attr_graph(ctx, "body", &p->body, err))
        return false;
    p->n_carried = ctx->node->n_in > 2 ? ctx->node->n_in - 2 : 0;
    if (!p->body || p->body->n_inputs != p->n_carried + 2 || p->body->n_outputs < p->n_carried + 1 ||
        p->body->n_outputs > MOST_STREAMS)
        return err_set(err, ERR_MODEL,
                       OP_AT "its body must take the iteration, the condition and %d carried values and give "
                             "the condition, those values and what is collected",
                       OP_NODE(ctx->node), p->n_carried);
    p->n_collected = p->body->n_outputs - 1 - p->n_carried;
    if (ctx->node->n_out > p->n_carried + p->n_collected)
        return err_set(err, ERR_MODEL, OP_AT "has more outputs than its body gives", OP_NODE(ctx->node));
    return true;
}

struct carried {
    struct tensor tensor;
    struct store stores[2], texts[2];
};

/* The body's output becomes the next iteration's input, in the buffer that is not in use. */
static bool carry(struct carried *c, const struct tensor *next, int64_t trip, const struct step *step,
                  struct run_env *env, struct percept_err *err)
{
    struct store *store = &c->stores[trip & 1], *texts = &c->texts[trip & 1];
    const bool strings = next->dtype == PERCEPT_STRING;
    size_t n_bytes = op_plain_bytes(next);
    if (!store_reserve(store, env, n_bytes + 1, 0) ||
        (strings && !store_reserve(texts, env, op_text_bytes(next) + 1, 0)))
        return short_of_memory(step, err);
    if (n_bytes)
        op_copy(env, store->at, next->data, n_bytes);
    if (strings && !watch_over(env->watch)) /* all of them are there */
        op_move_texts(store->at, tensor_elements(next), texts->at);
    c->tensor = *next;
    c->tensor.data = store->at;
    return true;
}

static bool scalar_of(const struct step *step, int i, enum percept_dtype dtype, const void **data,
                      struct percept_err *err)
{
    *data = NULL;
    if (i >= step->n_in || !step->in[i])
        return true;
    if (step->in[i]->dtype != dtype || tensor_elements(step->in[i]) != 1)
        return err_set(err, ERR_DATA, OP_AT "input %d must be one %s", OP_NODE(step->node), i,
                       tensor_dtype_name(dtype));
    *data = step->in[i]->data;
    return true;
}

static bool loop_once(struct step *step, struct run_env *env, int64_t trip, uint8_t *condition, struct carried *carried,
                      struct collected *collected, struct percept_err *err)
{
    const struct loop_priv *p = step->priv;
    struct tensor in[MOST_STREAMS + 2], out[MOST_STREAMS];
    in[0] = (struct tensor){.dtype = PERCEPT_INT64, .data = &trip};
    in[1] = (struct tensor){.dtype = PERCEPT_BOOL, .data = condition};
    for (int i = 0; i < p->n_carried; i++)
        in[2 + i] = carried[i].tensor;
    if (!env->go_on(env, err) || !env->body(env, p->body, in, out, err))
        return false;
    if (out[0].dtype != PERCEPT_BOOL || tensor_elements(&out[0]) != 1)
        return err_set(err, ERR_DATA, OP_AT "its body's condition is not one bool", OP_NODE(step->node));
    *condition = *(const uint8_t *)out[0].data;
    for (int i = 0; i < p->n_carried; i++)
        if (!carry(&carried[i], &out[1 + i], trip, step, env, err))
            return false;
    for (int i = 0; i < p->n_collected; i++)
        if (!collect(&collected[i], &out[1 + p->n_carried + i], step, env, err))
            return false;
    return true;
}

static bool loop_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct loop_priv *p = step->priv;
    const void *limit, *start;
    if (!scalar_of(step, 0, PERCEPT_INT64, &limit, err) || !scalar_of(step, 1, PERCEPT_BOOL, &start, err))
        return false;
    int64_t trips = limit ? *(const int64_t *)limit : INT64_MAX;
    uint8_t condition = start ? *(const uint8_t *)start : 1;
    struct carried carried[MOST_STREAMS] = {0};
    struct collected collected[MOST_STREAMS] = {0};
    for (int i = 0; i < p->n_carried; i++) {
        if (!step->in[2 + i])
            return err_set(err, ERR_MODEL, OP_AT "carried value %d is left out", OP_NODE(step->node), i);
        carried[i].tensor = *step->in[2 + i];
    }
    for (int64_t trip = 0; trip < trips && condition; trip++) {
        if (trip == MOST_TRIPS)
            return err_set(err, ERR_DATA, OP_AT "does not end within %lld iterations", OP_NODE(step->node),
                           (long long)MOST_TRIPS);
        if (!loop_once(step, env, trip, &condition, carried, collected, err))
            return false;
    }
    for (int i = 0; i < step->n_out; i++) {
        if (i < p->n_carried)
            *step->out[i] = carried[i].tensor;
        else if (!finish_collected(&collected[i - p->n_carried], p->body, 1 + i, step->out[i], step, env, err))
            return false;
    }
    return true;
}

const struct op_rule op_loop = {.check = loop_check, .run = loop_run, .flags = OP_OWN_MEMORY | OP_LISTS};

/* --- Scan --------------------------------------------------------------------------------------------------------- */

struct scan_priv {
    struct graph *body;
    int n_states, n_scanned, n_collected;
    bool batched; /* opset 8: a batch axis, and lengths as first input */
    const int64_t *in_axes, *in_directions, *out_axes, *out_directions; /* NULL: zeros */
};

static bool scan_list(struct node_ctx *ctx, const char *name, int n, const int64_t **values, struct percept_err *err)
{
    int count;
    if (!attr_ints(ctx, name, values, &count, err))
        return false;
    if (*values && count != n)
        return err_set(err, ERR_MODEL, OP_AT "attribute '%s' has %d elements, expected %d", OP_NODE(ctx->node), name,
                       count, n);
    return true;
}

static bool scan_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct scan_priv *p = op_priv(ctx, sizeof *p, err);
    int64_t n_scanned;
    if (!p)
        return false;
    p->batched = ctx->node->opset < 9;
    int n_in = ctx->node->n_in - (p->batched ? 1 : 0);
    if (!op_arity(ctx, p->batched ? 0 : 1, MOST_STREAMS, MOST_STREAMS, err) ||
        !attr_graph(ctx, "body", &p->body, err) ||
        !attr_int_in(ctx, "num_scan_inputs", 0, 1, n_in < 1 ? 1 : n_in, &n_scanned, err))
        return false;
    p->n_scanned = (int)n_scanned;
    p->n_states = n_in - p->n_scanned;
    if (!p->body || p->body->n_inputs != n_in || p->body->n_outputs < p->n_states ||
        ctx->node->n_out > p->body->n_outputs || p->body->n_outputs > MOST_STREAMS)
        return err_set(err, ERR_MODEL,
                       OP_AT "its body must take %d states and %d slices and give those states "
                             "and what is collected",
                       OP_NODE(ctx->node), p->n_states, p->n_scanned);
    p->n_collected = p->body->n_outputs - p->n_states;
    return scan_list(ctx, "scan_input_axes", p->n_scanned, &p->in_axes, err) &&
           scan_list(ctx, p->batched ? "directions" : "scan_input_directions", p->n_scanned, &p->in_directions, err) &&
           scan_list(ctx, "scan_output_axes", p->n_collected, &p->out_axes, err) &&
           scan_list(ctx, "scan_output_directions", p->n_collected, &p->out_directions, err);
}

/* Copies between [outer][n][inner] at position t and [outer][inner]. */
static void copy_slice(struct run_env *env, char *slice, char *whole, bool into_whole, int64_t outer, int64_t n,
                       int64_t t, size_t inner)
{
    for (int64_t o = 0; o < outer && op_spend(env, 1 + (int64_t)inner / 64); o++) {
        char *at = whole + (size_t)(o * n + t) * inner;
        op_copy(env, into_whole ? at : slice + (size_t)o * inner, into_whole ? slice + (size_t)o * inner : at, inner);
    }
}

/* One sequence: states and scanned inputs are given, outputs are states then collected. */
struct scan_job {
    struct carried states[MOST_STREAMS];
    struct tensor scanned[MOST_STREAMS];
    int axes[MOST_STREAMS];
    struct store slices[MOST_STREAMS];
    struct collected collected[MOST_STREAMS];
    int64_t length;
};

static bool scan_slice(struct scan_job *job, const struct scan_priv *p, int i, int64_t t, struct tensor *slice,
                       const struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct tensor *whole = &job->scanned[i];
    int axis = job->axes[i];
    int64_t n = whole->dims[axis], outer = tensor_span(whole, 0, axis);
    size_t inner = (size_t)tensor_span(whole, axis + 1, whole->rank) * tensor_dtype_bytes(whole->dtype);
    *slice = (struct tensor){.dtype = whole->dtype};
    for (int d = 0; d < whole->rank; d++)
        if (d != axis)
            slice->dims[slice->rank++] = whole->dims[d];
    slice->data = store_reserve(&job->slices[i], env, (size_t)outer * inner + 1, 0);
    if (!slice->data)
        return short_of_memory(step, err);
    bool reversed = p->in_directions && p->in_directions[i] == 1;
    copy_slice(env, slice->data, whole->data, false, outer, n, reversed ? job->length - 1 - t : t, inner);
    return true;
}

static bool scan_once(struct scan_job *job, int64_t t, struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct scan_priv *p = step->priv;
    struct tensor in[MOST_STREAMS], out[MOST_STREAMS];
    for (int i = 0; i < p->n_states; i++)
        in[i] = job->states[i].tensor;
    for (int i = 0; i < p->n_scanned; i++)
        if (!scan_slice(job, p, i, t, &in[p->n_states + i], step, env, err))
            return false;
    if (!env->go_on(env, err) || !env->body(env, p->body, in, out, err))
        return false;
    for (int i = 0; i < p->n_states; i++)
        if (!carry(&job->states[i], &out[i], t, step, env, err))
            return false;
    for (int i = 0; i < p->n_collected; i++)
        if (!collect(&job->collected[i], &out[p->n_states + i], step, env, err))
            return false;
    return true;
}

/* Puts the collected axis where scan_output_axes wants it, in the direction that is wanted. */
static bool scan_output(struct scan_job *job, int i, struct tensor *out, struct step *step, struct run_env *env,
                        struct percept_err *err)
{
    const struct scan_priv *p = step->priv;
    struct tensor front;
    if (!finish_collected(&job->collected[i], p->body, p->n_states + i, &front, step, env, err))
        return false;
    bool reversed = p->out_directions && p->out_directions[i] == 1;
    int axis;
    if (!op_axis(step, p->out_axes ? p->out_axes[i] : 0, front.rank, &axis, err))
        return false;
    if (axis == 0 && !reversed) {
        *out = front;
        return true;
    }
    size_t inner = tensor_dtype_bytes(front.dtype);
    int64_t outer = 1;
    *out = (struct tensor){.dtype = front.dtype, .rank = front.rank};
    for (int d = 0; d < front.rank; d++) {
        out->dims[d] = d == axis ? front.dims[0] : front.dims[d < axis ? d + 1 : d];
        if (d < axis)
            outer *= out->dims[d];
        else if (d > axis)
            inner *= (size_t)out->dims[d];
    }
    out->data = env->memory(env, op_plain_bytes(&front) + 1);
    if (!out->data)
        return short_of_memory(step, err);
    int64_t n = front.dims[0];
    size_t element = (size_t)outer * inner;
    for (int64_t t = 0; t < n; t++)
        copy_slice(env, (char *)front.data + (size_t)t * element, out->data, true, outer, n, reversed ? n - 1 - t : t,
                   inner);
    return true;
}

static bool scan_all(struct scan_job *job, struct step *step, struct run_env *env, struct percept_err *err)
{
    for (int64_t t = 0; t < job->length; t++)
        if (!scan_once(job, t, step, env, err))
            return false;
    return true;
}

static bool scan_plain(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct scan_priv *p = step->priv;
    struct scan_job job = {.length = -1};
    for (int i = 0; i < p->n_states; i++)
        job.states[i].tensor = *step->in[i];
    for (int i = 0; i < p->n_scanned; i++) {
        job.scanned[i] = *step->in[p->n_states + i];
        if (!op_axis(step, p->in_axes ? p->in_axes[i] : 0, job.scanned[i].rank, &job.axes[i], err))
            return false;
        int64_t n = job.scanned[i].dims[job.axes[i]];
        if (job.length >= 0 && n != job.length)
            return err_set(err, ERR_DATA, OP_AT "its sequences have different lengths", OP_NODE(step->node));
        job.length = n;
    }
    if (!scan_all(&job, step, env, err))
        return false;
    for (int i = 0; i < step->n_out; i++) {
        if (i < p->n_states)
            *step->out[i] = job.states[i].tensor;
        else if (!scan_output(&job, i - p->n_states, step->out[i], step, env, err))
            return false;
    }
    return true;
}

/* Item n of a tensor with a batch axis. */
static struct tensor item_of(const struct tensor *batch, int64_t n)
{
    struct tensor item = {.dtype = batch->dtype, .rank = batch->rank - 1};
    memcpy(item.dims, batch->dims + 1, (size_t)item.rank * sizeof *item.dims);
    item.data = (char *)batch->data + (size_t)n * op_plain_bytes(&item);
    return item;
}

static bool scan_item(struct scan_job *job, int64_t n, struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct scan_priv *p = step->priv;
    *job = (struct scan_job){.length = 0};
    for (int i = 0; i < p->n_states; i++)
        job->states[i].tensor = item_of(step->in[1 + i], n);
    for (int i = 0; i < p->n_scanned; i++) {
        job->scanned[i] = item_of(step->in[1 + p->n_states + i], n);
        job->length = job->scanned[0].dims[0];
        if (job->scanned[i].dims[0] != job->length)
            return err_set(err, ERR_DATA, OP_AT "its sequences have different lengths", OP_NODE(step->node));
    }
    const int64_t longest = job->length;
    if (step->in[0]) {
        int64_t given = ((const int64_t *)step->in[0]->data)[n];
        if (given < 0 || given > job->length)
            return err_set(err, ERR_DATA, OP_AT "a sequence is %lld long, outside [0, %lld]", OP_NODE(step->node),
                           (long long)given, (long long)job->length);
        job->length = given;
    }
    if (!scan_all(job, step, env, err))
        return false;
    for (int i = 0; i < p->n_collected && job->length > 0 && job->length < longest; i++)
        if (!pad_collected(&job->collected[i], p->body, p->n_states + i, longest, step, env, err))
            return false;
    return true;
}

/* What the items of a batch put out. Of an item of length 0 nothing is known but that its outputs are zeros:
 * how many, the next longer item tells, or the last one before; the body's declaration when all have length 0. */
struct scan_batch {
    struct collected all[MOST_STREAMS];
    int64_t unknown[MOST_STREAMS]; /* items of length 0 since the last longer one */
};

static bool collect_zeros(struct collected *c, const struct tensor *like, int64_t n, const struct step *step,
                          struct run_env *env, struct percept_err *err)
{
    size_t n_bytes, whole;
    if (__builtin_mul_overflow(op_plain_bytes(like), (size_t)n, &n_bytes) ||
        __builtin_add_overflow(c->used, n_bytes, &whole) || whole == SIZE_MAX ||
        !store_reserve(&c->store, env, whole + 1, c->used))
        return short_of_memory(step, err);
    op_clear(env, c->store.at + c->used, n_bytes);
    if (!c->n)
        c->element = *like;
    c->used = whole;
    c->n += n;
    return true;
}

static bool collect_item(struct scan_batch *batch, struct scan_job *job, int i, struct step *step, struct run_env *env,
                         struct percept_err *err)
{
    const struct scan_priv *p = step->priv;
    struct tensor one;
    if (i >= p->n_states && job->length == 0) {
        batch->unknown[i]++;
        return true;
    }
    if (i < p->n_states)
        one = job->states[i].tensor;
    else if (!scan_output(job, i - p->n_states, &one, step, env, err))
        return false;
    struct collected *all = &batch->all[i];
    const int64_t unknown = batch->unknown[i];
    batch->unknown[i] = 0;
    return (!unknown || collect_zeros(all, all->n ? &all->element : &one, unknown, step, env, err)) &&
           collect(all, &one, step, env, err);
}

/* After the last item. */
static bool finish_batch(struct scan_batch *batch, int i, int64_t longest, struct step *step, struct run_env *env,
                         struct percept_err *err)
{
    const struct scan_priv *p = step->priv;
    struct collected *all = &batch->all[i];
    struct tensor one = all->element;
    if (batch->unknown[i] && !all->n) {
        struct scan_job job = {.length = 0};
        if (!pad_collected(&job.collected[i - p->n_states], p->body, i, longest, step, env, err) ||
            !scan_output(&job, i - p->n_states, &one, step, env, err))
            return false;
    }
    return (!batch->unknown[i] || collect_zeros(all, &one, batch->unknown[i], step, env, err)) &&
           finish_collected(all, p->body, i, step->out[i], step, env, err);
}

static bool scan_batched(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct scan_priv *p = step->priv;
    for (int i = 1; i < step->n_in; i++)
        if (!step->in[i] || step->in[i]->rank < (i > p->n_states ? 2 : 1) ||
            step->in[i]->dims[0] != step->in[1]->dims[0])
            return err_set(err, ERR_DATA, OP_AT "input %d has no batch axis like the others", OP_NODE(step->node), i);
    struct scan_batch batch = {0};
    for (int64_t n = 0; n < step->in[1]->dims[0]; n++) {
        struct scan_job job;
        if (!scan_item(&job, n, step, env, err))
            return false;
        for (int i = 0; i < step->n_out; i++)
            if (!collect_item(&batch, &job, i, step, env, err))
                return false;
    }
    const int64_t longest = step->in[1 + p->n_states]->dims[1];
    for (int i = 0; i < step->n_out; i++)
        if (!finish_batch(&batch, i, longest, step, env, err))
            return false;
    return true;
}

static bool scan_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct scan_priv *p = step->priv;
    for (int i = p->batched ? 1 : 0; i < step->n_in; i++)
        if (!step->in[i])
            return err_set(err, ERR_MODEL, OP_AT "input %d is left out", OP_NODE(step->node), i);
    return p->batched ? scan_batched(step, env, err) : scan_plain(step, env, err);
}

const struct op_rule op_scan = {.check = scan_check, .run = scan_run, .flags = OP_OWN_MEMORY};
