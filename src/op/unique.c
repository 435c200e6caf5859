/*
 * unique.c - Unique: the different elements of a tensor, or its different slices along an axis.
 *
 * Items (elements or slices) are put in order by a stable merge sort of their indices, so equal
 * ones are neighbours and the first of a group is the one with the lowest index. The groups are
 * numbered in that order, or (sorted = 0) in the order in which they occur first. NaNs are equal
 * to each other and greater than all numbers, -0 equals 0, strings compare byte by byte.
 *
 * How many there are is found out by the run (OP_DATA_DIMS): shape gives the most there can be.
 * Runs on one thread; the indices lie in the step's scratch.
 */
#include "op/attr.h"
#include "op/types.h"

#include <string.h>

struct unique {
    bool sorted, flat; /* flat: no axis */
    int64_t axis;
};

struct unique_plan {
    int axis; /* of the output that gets shorter */
    int64_t outer, n, inner;
};

static bool unique_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct unique *unique = op_priv(ctx, sizeof *unique, err);
    if (!unique)
        return false;
    unique->flat = !attr_has(ctx, "axis");
    return op_arity(ctx, 1, 1, 4, err) && attr_bool(ctx, "sorted", true, &unique->sorted, err) &&
           attr_int(ctx, "axis", 0, &unique->axis, err);
}

static bool unique_shape(struct step *step, struct percept_err *err)
{
    const struct unique *unique = step->priv;
    const struct tensor *x = step->in[0];
    struct unique_plan *plan = arena_alloc(step->arena, sizeof *plan);
    if (!plan)
        return err_memory(err, "a node's plan", sizeof *plan);
    *plan = (struct unique_plan){.outer = 1, .n = tensor_elements(x), .inner = 1};
    if (!unique->flat) {
        if (!op_axis(step, unique->axis, x->rank, &plan->axis, err))
            return false;
        plan->outer = tensor_elements(x) ? tensor_span(x, 0, plan->axis) : 0;
        plan->n = x->dims[plan->axis];
        plan->inner = tensor_span(x, plan->axis + 1, x->rank);
    }
    if (plan->n > INT64_MAX / 64)
        return err_set(err, ERR_INVALID, OP_AT "its input is too large", OP_NODE(step->node));
    op_set_out(step, 0, x->dtype, unique->flat ? 1 : x->rank, unique->flat ? &plan->n : x->dims);
    step->out[0]->dynamic = true;
    for (int i = 1; i < step->n_out; i++) {
        op_set_out(step, i, PERCEPT_INT64, 1, &plan->n);
        step->out[i]->dynamic = i != 2;
    }
    step->scratch_bytes = ((size_t)plan->n * 3 + 1) * sizeof(int64_t);
    step->state = plan;
    return true;
}

/* --- comparing ---------------------------------------------------------------------------------------------------- */

static int compare_strings(const struct percept_string *a, const struct percept_string *b)
{
    const size_t n = a->n_bytes < b->n_bytes ? a->n_bytes : b->n_bytes;
    const int order = n ? memcmp(a->at, b->at, n) : 0;
    return order ? order : (a->n_bytes > b->n_bytes) - (a->n_bytes < b->n_bytes);
}

static int compare_floats(float a, float b)
{
    if (a != a || b != b)
        return (a != a) - (b != b);
    return (a > b) - (a < b);
}

/* Elements i and j: negative, zero, positive. */
static int compare(const struct tensor *x, int64_t i, int64_t j)
{
    switch (x->dtype) {
#define CASE(dtype, T)                                                                                                 \
    case dtype: {                                                                                                      \
        const T a = ((const T *)x->data)[i], b = ((const T *)x->data)[j];                                              \
        if (a != a || b != b)                                                                                          \
            return (a != a) - (b != b);                                                                                \
        return (a > b) - (a < b);                                                                                      \
    }
        TYPES_NUMBER(CASE)
        CASE(PERCEPT_BOOL, uint8_t)
#undef CASE
    case PERCEPT_FLOAT16:
        return compare_floats(tensor_half_to_float(((const uint16_t *)x->data)[i]),
                              tensor_half_to_float(((const uint16_t *)x->data)[j]));
    case PERCEPT_BFLOAT16:
        return compare_floats(tensor_bfloat_to_float(((const uint16_t *)x->data)[i]),
                              tensor_bfloat_to_float(((const uint16_t *)x->data)[j]));
    default:
        return compare_strings((const struct percept_string *)x->data + i, (const struct percept_string *)x->data + j);
    }
}

static int compare_items(const struct step *step, int64_t a, int64_t b)
{
    const struct unique_plan *plan = step->state;
    int order = 0;
    for (int64_t o = 0; order == 0 && o < plan->outer; o++) {
        const int64_t left = (o * plan->n + a) * plan->inner;
        const int64_t right = (o * plan->n + b) * plan->inner;
        for (int64_t i = 0; order == 0 && i < plan->inner; i++)
            order = compare(step->in[0], left + i, right + i);
    }
    return order;
}

/* --- run ---------------------------------------------------------------------------------------------------------- */

/* Runs of `width` are in order in `from`; twice as long ones in `to`. */
static bool merge(const struct step *step, struct run_env *env, const int64_t *from, int64_t *to, int64_t n,
                  int64_t width)
{
    const struct unique_plan *plan = step->state;
    const int64_t units = 8 + plan->outer * plan->inner; /* most that comparing two items takes */
    for (int64_t start = 0; start < n; start += 2 * width) {
        const int64_t middle = start + width < n ? start + width : n;
        const int64_t end = start + 2 * width < n ? start + 2 * width : n;
        int64_t a = start, b = middle;
        for (int64_t i = start; i < end; i++) {
            if (!op_spend(env, units))
                return false;
            const bool left = a < middle && (b == end || compare_items(step, from[a], from[b]) <= 0);
            to[i] = left ? from[a++] : from[b++];
        }
    }
    return true;
}

/* Indices of all items in order, in one of the two arrays; NULL when nobody waits any more. */
static int64_t *sort(const struct step *step, struct run_env *env, int64_t *order, int64_t *spare, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        order[i] = i;
    for (int64_t width = 1; width < n; width *= 2) {
        if (!merge(step, env, order, spare, n, width))
            return NULL;
        int64_t *merged = spare;
        spare = order;
        order = merged;
    }
    return order;
}

/* group[item], and first[group]: its lowest item, over the order's own memory. The groups. */
static int64_t number_groups(const struct step *step, struct run_env *env, int64_t *order, int64_t n, int64_t *group)
{
    int64_t groups = 0, before = 0;
    for (int64_t i = 0; i < n && op_spend(env, 4); i++) {
        const int64_t item = order[i];
        if (i == 0 || compare_items(step, before, item) != 0)
            order[groups++] = item;
        group[item] = groups - 1;
        before = item;
    }
    return groups;
}

/* The same with groups in the order of their first items; `renamed` is spare memory. */
static bool rename_groups(struct run_env *env, int64_t *first, int64_t n, int64_t *group, int64_t *renamed)
{
    int64_t next = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!op_spend(env, 1))
            return false;
        if (first[group[i]] == i)
            renamed[group[i]] = next++;
    }
    for (int64_t i = 0; i < n; i++) {
        if (!op_spend(env, 1))
            return false;
        group[i] = renamed[group[i]];
    }
    for (int64_t i = n; i-- > 0;) { /* the lowest stays */
        if (!op_spend(env, 1))
            return false;
        first[group[i]] = i;
    }
    return true;
}

static void copy_items(const struct step *step, struct run_env *env, const int64_t *first, int64_t groups)
{
    const struct unique_plan *plan = step->state;
    const size_t n_bytes = (size_t)plan->inner * tensor_dtype_bytes(step->in[0]->dtype);
    const char *x = step->in[0]->data;
    char *y = step->out[0]->data;
    for (int64_t o = 0; n_bytes && o < plan->outer; o++) {
        for (int64_t g = 0; g < groups && op_spend(env, 1 + (int64_t)n_bytes / 64); g++, y += n_bytes)
            op_copy(env, y, x + (size_t)(o * plan->n + first[g]) * n_bytes, n_bytes);
    }
}

static bool unique_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct unique *unique = step->priv;
    const struct unique_plan *plan = step->state;
    const int64_t n = plan->n;
    int64_t *area = step->scratch, *group = area + 2 * n;
    (void)err;
    int64_t *first = sort(step, env, area, area + n, n);
    if (!first)
        return true;
    int64_t *spare = first == area ? area + n : area;
    const int64_t groups = number_groups(step, env, first, n, group);
    if (watch_over(env->watch) || (!unique->sorted && !rename_groups(env, first, n, group, spare)))
        return true;
    copy_items(step, env, first, groups);
    step->out[0]->dims[plan->axis] = groups;
    const size_t n_bytes = sizeof(int64_t);
    for (int i = 1; i < step->n_out; i++) {
        const int64_t length = i == 2 ? n : groups;
        step->out[i]->dims[0] = length;
        if (length > 0)
            op_copy(env, step->out[i]->data, i == 2 ? group : first, (size_t)length * n_bytes);
    }
    if (step->n_out < 4)
        return true;
    int64_t *counts = step->out[3]->data;
    op_clear(env, counts, (size_t)groups * sizeof *counts);
    for (op_blocks(env, n, from, to))
        for (int64_t i = from; i < to; i++)
            counts[group[i]]++;
    return true;
}

const struct op_rule op_unique = {
    .check = unique_check, .shape = unique_shape, .run = unique_run, .flags = OP_DATA_DIMS | OP_EXACT};
