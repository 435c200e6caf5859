/*
 * harness.c - what the engine does with a node, in as few lines as possible: no sharing of buffers, no
 * folding, each stage on request. Anything it cannot allocate is a failed test.
 */
#include "harness.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LARGEST_TEST ((size_t)1 << 30)
#define FENCE 64

/* What nodes ask for while they run lives as long as the harness. */
static void *run_memory(struct run_env *env, size_t n_bytes)
{
    struct harness *h = env->frame;
    return arena_alloc(&h->arena, n_bytes + 64);
}

void harness_begin(struct harness *h, const char *op_type, int opset)
{
    *h = (struct harness){.env = {.memory = run_memory, .lasting = run_memory, .frame = h}};
    h->node = (struct node){
        .name = bytes_of_text("n"),
        .op_type = bytes_of_text(op_type),
        .domain = bytes_of_text(""),
        .opset = opset,
        .n_out = 1,
    };
    const char *level = getenv("PERCEPTD_KERNELS");
    h->ctx.kernels = level ? pick_named(level) : pick_best();
    ck_assert_ptr_nonnull(h->ctx.kernels);
    h->ctx.arena = &h->arena;
    h->ctx.load = &h->arena;
}

void harness_domain(struct harness *h, const char *domain)
{
    h->node.domain = bytes_of_text(domain);
}

void harness_begin_in(struct harness *h, const char *domain, const char *op_type, int opset)
{
    harness_begin(h, op_type, opset);
    harness_domain(h, domain);
}

void harness_outputs(struct harness *h, int n)
{
    ck_assert_int_le(n, HARNESS_MAX);
    h->node.n_out = n;
}

void harness_end(struct harness *h)
{
    arena_free(&h->arena);
}

void harness_attr(struct harness *h, const struct attr *attr)
{
    ck_assert_int_lt(h->node.n_attr, HARNESS_MAX);
    h->attrs[h->node.n_attr++] = *attr;
}

void harness_int(struct harness *h, const char *name, int64_t value)
{
    harness_attr(h, &(struct attr){.name = bytes_of_text(name), .type = ATTR_INT, .i = value});
}

void harness_float(struct harness *h, const char *name, float value)
{
    harness_attr(h, &(struct attr){.name = bytes_of_text(name), .type = ATTR_FLOAT, .f = value});
}

void harness_text(struct harness *h, const char *name, const char *value)
{
    harness_attr(h, &(struct attr){.name = bytes_of_text(name), .type = ATTR_STRING, .s = bytes_of_text(value)});
}

void harness_text_list(struct harness *h, const char *name, int n, const char *const *values)
{
    struct bytes *texts = arena_array(&h->arena, (size_t)n + 1, sizeof *texts);
    ck_assert_ptr_nonnull(texts);
    for (int i = 0; i < n; i++)
        texts[i] = bytes_of_text(values[i]);
    harness_attr(h,
                 &(struct attr){.name = bytes_of_text(name), .type = ATTR_STRINGS, .n = (size_t)n, .strings = texts});
}

/* Behind what it takes lies a fence that nobody may write to, and that is no zero for whom reads it. */
static void *take_copy(struct harness *h, const void *data, size_t n_bytes)
{
    ck_assert_uint_le(n_bytes, LARGEST_TEST);
    char *copy = arena_alloc(&h->arena, n_bytes + FENCE);
    struct harness_fence *fence = arena_alloc(&h->arena, sizeof *fence);
    ck_assert(copy && fence);
    if (data && n_bytes)
        memcpy(copy, data, n_bytes);
    memset(copy + n_bytes, 0xA5, FENCE);
    *fence = (struct harness_fence){.at = copy + n_bytes, .next = h->fences};
    h->fences = fence;
    return copy;
}

static void check_fences(const struct harness *h)
{
    for (const struct harness_fence *fence = h->fences; fence; fence = fence->next)
        for (int i = 0; i < FENCE; i++)
            ck_assert_msg((uint8_t)fence->at[i] == 0xA5, BYTES_FMT " wrote behind an end", BYTES_ARG(h->node.op_type));
}

void harness_int_list(struct harness *h, const char *name, int n, const int64_t *values)
{
    harness_attr(h, &(struct attr){.name = bytes_of_text(name),
                                   .type = ATTR_INTS,
                                   .n = (size_t)n,
                                   .ints = take_copy(h, values, (size_t)n * sizeof *values)});
}

void harness_float_list(struct harness *h, const char *name, int n, const float *values)
{
    harness_attr(h, &(struct attr){.name = bytes_of_text(name),
                                   .type = ATTR_FLOATS,
                                   .n = (size_t)n,
                                   .floats = take_copy(h, values, (size_t)n * sizeof *values)});
}

static size_t plain_bytes(const struct tensor *t)
{
    int64_t n = 0;
    ck_assert(tensor_count(t->rank, t->dims, &n));
    return (size_t)n * (tensor_is_list(t->dtype) ? sizeof(struct sequence) : tensor_dtype_bytes(t->dtype));
}

void harness_tensor(struct harness *h, const char *name, const struct tensor *tensor)
{
    struct tensor *copy = take_copy(h, tensor, sizeof *tensor);
    copy->data = take_copy(h, tensor->data, plain_bytes(tensor));
    harness_attr(h, &(struct attr){.name = bytes_of_text(name), .type = ATTR_TENSOR, .tensor = copy});
}

int harness_value(struct harness *h, enum percept_dtype dtype, int rank, const int64_t *dims, const void *data)
{
    int i = h->n_values++;
    ck_assert_int_lt(i, HARNESS_MAX);
    struct tensor *t = &h->tensors[i];
    t->dtype = dtype;
    tensor_set_dims(t, rank, rank ? dims : DIMS(0));
    t->data = take_copy(h, data, plain_bytes(t));
    h->values[i] = (struct value){
        .name = bytes_of_text("value"), .dtype = dtype, .rank = rank, .producer = -1, .n_uses = 1, .outer = -1};
    for (int k = 0; k < rank; k++)
        h->values[i].dims[k] = dims[k];
    return i;
}

int harness_input(struct harness *h, enum percept_dtype dtype, int rank, const int64_t *dims, const void *data)
{
    int i = harness_value(h, dtype, rank, dims, data);
    h->in[h->node.n_in++] = i;
    return i;
}

int harness_floats(struct harness *h, int rank, const int64_t *dims, const float *data)
{
    return harness_input(h, PERCEPT_FLOAT, rank, dims, data);
}

int harness_int64s(struct harness *h, int rank, const int64_t *dims, const int64_t *data)
{
    return harness_input(h, PERCEPT_INT64, rank, dims, data);
}

int harness_texts(struct harness *h, int rank, const int64_t *dims, const char *const *texts)
{
    struct percept_string strings[64];
    int64_t n = 1;
    for (int d = 0; d < rank; d++)
        n *= dims[d];
    ck_assert_int_le(n, 64);
    for (int64_t i = 0; i < n; i++)
        strings[i] = (struct percept_string){.at = texts[i], .n_bytes = strlen(texts[i])};
    return harness_input(h, PERCEPT_STRING, rank, dims, strings);
}

int harness_left_out(struct harness *h)
{
    h->in[h->node.n_in++] = -1;
    return -1;
}

static int last_input(const struct harness *h)
{
    ck_assert_int_gt(h->node.n_in, 0);
    int i = h->in[h->node.n_in - 1];
    ck_assert_int_ge(i, 0);
    return i;
}

void harness_as_constant(struct harness *h)
{
    int i = last_input(h);
    h->values[i].constant = &h->tensors[i];
    h->values[i].aligned = true;
    h->known[i] = true;
}

void harness_as_known(struct harness *h)
{
    h->known[last_input(h)] = true;
}

void harness_as_blocked(struct harness *h)
{
    h->blocked[last_input(h)] = true;
}

/* Outputs become the graph's last values; after this nothing can be added by hand. */
static void connect(struct harness *h)
{
    for (int i = 0; i < h->node.n_out; i++) {
        int v = h->n_values++;
        h->values[v] = (struct value){.name = bytes_of_text("out"), .rank = -1, .n_uses = 1, .outer = -1};
        h->out[i] = v;
    }
    h->node.in = h->in;
    h->node.out = h->out;
    h->node.attrs = h->attrs;
    h->graph = (struct graph){
        .name = bytes_of_text("g"),
        .n_values = h->n_values,
        .cap_values = 2 * HARNESS_MAX,
        .values = h->values,
        .n_nodes = 1,
        .cap_nodes = 1,
        .nodes = &h->node,
    };
    h->ctx.graph = &h->graph;
    h->ctx.node = &h->node;
}

/* Who says yes has no objection, and who says no has one. */
static bool agreed(const struct harness *h, bool yes)
{
    ck_assert_msg(yes == !h->err.text[0], BYTES_FMT " says %s and \"%s\"", BYTES_ARG(h->node.op_type),
                  yes ? "yes" : "no", h->err.text);
    return yes;
}

bool harness_check(struct harness *h)
{
    if (h->stage >= HARNESS_CHECKED)
        return true;
    connect(h);
    h->node.op = op_find(h->node.domain, h->node.op_type, h->node.opset);
    if (!h->node.op)
        return err_set(&h->err, ERR_UNSUPPORTED, "no operator " BYTES_FMT " in opset %d", BYTES_ARG(h->node.op_type),
                       h->node.opset);
    h->stage = HARNESS_CHECKED;
    return agreed(h, !h->node.op->rule->check || h->node.op->rule->check(&h->ctx, &h->err));
}

bool harness_fuse(struct harness *h, const struct fusion *fusion)
{
    if (!harness_check(h))
        return false;
    const struct op_rule *rule = h->node.op->rule;
    return rule->fuse && rule->fuse(&h->ctx, fusion);
}

bool harness_load(struct harness *h)
{
    if (h->stage >= HARNESS_LOADED)
        return true;
    if (!harness_check(h))
        return false;
    const struct op_rule *rule = h->node.op->rule;
    if (rule->pack_bytes) {
        size_t n_bytes = rule->pack_bytes(&h->ctx);
        void *packed = take_copy(h, NULL, n_bytes);
        if (n_bytes)
            rule->pack(&h->ctx, packed);
        h->step.packed = packed;
    }
    h->stage = HARNESS_LOADED;
    return true;
}

static void *take_filled(struct harness *h, const struct tensor *t)
{
    size_t n_bytes = 0;
    ck_assert(tensor_bytes(t, h->ctx.kernels->width, &n_bytes));
    void *data = take_copy(h, NULL, n_bytes);
    memset(data, 0xA5, n_bytes);
    return data;
}

/* The same elements in the other layout, in memory of its own; padding lanes stay 0xA5 (not NaN, but odd). */
static void *turn(struct harness *h, const struct tensor *t, enum layout to)
{
    struct tensor result = *t;
    result.layout = to;
    float *data = take_filled(h, &result);
    if (tensor_elements(t) == 0)
        return data;
    int64_t pixels = tensor_span(t, 2, t->rank), channels = t->dims[1];
    int64_t width = h->ctx.kernels->width;
    int64_t padded = (channels + width - 1) / width * width;
    for (int64_t n = 0; n < t->dims[0]; n++) {
        const float *from = t->data;
        if (to == LAYOUT_BLOCKED)
            h->ctx.kernels->layout->block(data + n * padded * pixels, from + n * channels * pixels, channels, pixels);
        else
            h->ctx.kernels->layout->unblock(data + n * channels * pixels, from + n * padded * pixels, channels, pixels);
    }
    return data;
}

static void show_inputs(struct harness *h)
{
    for (int i = 0; i < h->node.n_in; i++) {
        int v = h->node.in[i];
        h->in_ptr[i] = v < 0 ? NULL : &h->step_in[i];
        h->want[i] = LAYOUT_PLAIN;
        if (v < 0)
            continue;
        h->step_in[i] = h->tensors[v];
        h->step_in[i].layout = h->blocked[v] ? LAYOUT_BLOCKED : LAYOUT_PLAIN;
        bool packed = i < 32 && (h->ctx.packed_inputs >> i & 1);
        if (!h->known[v] || packed)
            h->step_in[i].data = NULL;
    }
}

static void give_memory(struct harness *h)
{
    for (int i = 0; i < h->node.n_in; i++) {
        struct tensor *t = h->in_ptr[i];
        if (!t || (i < 32 && (h->ctx.packed_inputs >> i & 1)))
            continue;
        t->layout = LAYOUT_PLAIN;
        t->data = h->tensors[h->node.in[i]].data;
        if (h->want[i] == LAYOUT_BLOCKED) {
            t->data = turn(h, t, LAYOUT_BLOCKED);
            t->layout = LAYOUT_BLOCKED;
        }
    }
    for (int i = 0; i < h->node.n_out; i++) {
        h->out_layout[i] = h->step_out[i].layout;
        if (!(h->node.op->rule->flags & OP_OWN_MEMORY))
            h->step_out[i].data = take_filled(h, &h->step_out[i]);
    }
    if (h->step.alias)
        h->step_out[0].data = h->in_ptr[h->step.alias - 1]->data;
    if (h->step.inplace && h->overwrite)
        h->step_out[0].data = h->in_ptr[h->step.inplace - 1]->data;
    h->step.scratch = take_copy(h, NULL, h->step.scratch_bytes);
    if (h->step.scratch_bytes)
        memset(h->step.scratch, 0xA5, h->step.scratch_bytes);
}

bool harness_plan(struct harness *h)
{
    if (h->stage >= HARNESS_PLANNED)
        return true;
    if (!harness_load(h))
        return false;
    struct step *step = &h->step;
    step->op = h->node.op;
    step->node = &h->node;
    step->priv = h->node.priv;
    step->kernels = h->ctx.kernels;
    step->arena = &h->arena;
    step->n_in = h->node.n_in;
    step->n_out = h->node.n_out;
    step->in = h->in_ptr;
    step->out = h->out_ptr;
    step->want = h->want;
    if (step->members == 0) /* a test may have asked for more */
        step->members = 1;
    for (int i = 0; i < h->node.n_out; i++)
        h->out_ptr[i] = &h->step_out[i];
    show_inputs(h);
    if (!agreed(h, !step->op->rule->shape || step->op->rule->shape(step, &h->err)))
        return false;
    give_memory(h);
    h->stage = HARNESS_PLANNED;
    return true;
}

/* Once more over a copy of the input that the output may be written over: the same bytes. */
static void run_over_input(struct harness *h)
{
    struct step *step = &h->step;
    size_t in_bytes, out_bytes;
    const int k = step->inplace - 1;
    struct tensor *in = k >= 0 && k < step->n_in ? h->in_ptr[k] : NULL, *out = &h->step_out[0];
    const int width = h->ctx.kernels->width;
    ck_assert_msg(k < step->n_in, BYTES_FMT " writes over an input that it has not", BYTES_ARG(h->node.op_type));
    if (!in || in->data == out->data || !tensor_bytes(in, width, &in_bytes) || !tensor_bytes(out, width, &out_bytes) ||
        in_bytes != out_bytes)
        return;
    void *given = in->data, *made = out->data;
    in->data = out->data = take_copy(h, given, in_bytes);
    ck_assert_msg(op_run(step, &h->env, &h->err), "%s", h->err.text);
    ck_assert_msg(memcmp(out->data, made, out_bytes) == 0, BYTES_FMT " has other bytes over its input %d",
                  BYTES_ARG(h->node.op_type), k);
    in->data = given;
    out->data = made;
}

bool harness_run(struct harness *h)
{
    if (!harness_plan(h))
        return false;
    if (!agreed(h, h->step.alias || op_run(&h->step, &h->env, &h->err)))
        return false;
    if (h->step.inplace && !h->step.alias && !watch_over(h->env.watch))
        run_over_input(h);
    for (int i = 0; i < h->node.n_out; i++) {
        struct tensor *t = &h->step_out[i];
        if (t->layout == LAYOUT_BLOCKED)
            t->data = turn(h, t, LAYOUT_PLAIN);
        t->layout = LAYOUT_PLAIN;
    }
    h->stage = HARNESS_RAN;
    check_fences(h);
    return true;
}

void harness_ran(struct harness *h)
{
    ck_assert_msg(harness_run(h), "%s", h->err.text);
}

const struct tensor *harness_out(const struct harness *h, int i)
{
    ck_assert_int_lt(i, h->node.n_out);
    return &h->step_out[i];
}

static void expect_shape(const struct tensor *t, enum percept_dtype dtype, int rank, const int64_t *dims)
{
    char got[128], want[128];
    ck_assert_str_eq(tensor_dtype_name(t->dtype), tensor_dtype_name(dtype));
    ck_assert_str_eq(tensor_shape_text(t->rank, t->dims, got, sizeof got),
                     tensor_shape_text(rank, dims, want, sizeof want));
}

static bool close_enough(float got, float want, float tolerance)
{
    if (isnan(want) || isnan(got))
        return isnan(want) && isnan(got);
    if (isinf(want) || isinf(got))
        return got == want;
    return fabsf(got - want) <= tolerance * (1 + fabsf(want));
}

void harness_expect_floats(const struct harness *h, int i, int rank, const int64_t *dims, const float *want,
                           float tolerance)
{
    const struct tensor *t = harness_out(h, i);
    expect_shape(t, PERCEPT_FLOAT, rank, dims);
    const float *got = t->data;
    for (int64_t k = 0; k < tensor_elements(t); k++)
        if (!close_enough(got[k], want[k], tolerance)) /* check writes a message even if it holds */
            ck_abort_msg("element %lld is %.9g, not %.9g", (long long)k, (double)got[k], (double)want[k]);
}

void harness_expect_texts(const struct harness *h, int i, int rank, const int64_t *dims, const char *const *want)
{
    const struct tensor *t = harness_out(h, i);
    expect_shape(t, PERCEPT_STRING, rank, dims);
    const struct percept_string *got = t->data;
    for (int64_t k = 0; k < tensor_elements(t); k++)
        if (!bytes_is(bytes_of(got[k].at, got[k].n_bytes), want[k]))
            ck_abort_msg("element %lld is '%.*s', not '%s'", (long long)k, (int)got[k].n_bytes, got[k].at, want[k]);
}

void harness_expect(const struct harness *h, int i, enum percept_dtype dtype, int rank, const int64_t *dims,
                    const void *want)
{
    const struct tensor *t = harness_out(h, i);
    expect_shape(t, dtype, rank, dims);
    size_t size = tensor_dtype_bytes(dtype);
    for (int64_t k = 0; k < tensor_elements(t); k++)
        if (memcmp((const char *)t->data + (size_t)k * size, (const char *)want + (size_t)k * size, size) != 0)
            ck_abort_msg("element %lld differs", (long long)k);
}

void harness_expect_failure(struct harness *h, enum err_code code, const char *words)
{
    ck_assert(!harness_run(h));
    ck_assert_str_eq(err_name(h->err.code), err_name((int)code));
    ck_assert_msg(strstr(h->err.text, words) != NULL, "'%s' is not in: %s", words, h->err.text);
}
