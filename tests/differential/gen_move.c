/*
 * gen_move.c - models of operators that move elements: views, cuts, joins, gathers, scatters, and those
 * that make tensors from nothing or count them. Nothing is computed, so every element must be equal.
 */
#include <string.h>

#include "differential/families.h"

#define ALL "ffffhbdcCsSiIlL?t"
#define BASIC "ffffhdcCil?"

static bool is(const struct example *e, const char *op)
{
    return strcmp(e->op, op) == 0;
}

/* The operator's data input. */
static int data(struct example *e, const char *types, int least, int most, int64_t *dims, int zero)
{
    int rank = (int)example_int(e, least, most);
    example_dims(e, rank, dims, zero);
    example_type(e, types);
    example_input(e, e->type, rank, dims, -100, 100);
    return rank;
}

/* A list that came as an attribute before `since` and as an input after. */
static void list(struct example *e, const char *name, int since, int n, const int64_t *values)
{
    if (e->opset >= since) {
        example_int64s(e, n, values);
        example_constant(e, 80);
    } else
        example_attr_list(e, name, n, values);
}

static int64_t signed_axis(struct example *e, int64_t axis, int rank, bool negative)
{
    return negative && example_chance(e, 40) ? axis - rank : axis;
}

static void keep_int64(struct example *e)
{
    if (e->type == PERCEPT_INT64)
        e->never_widen = true;
}

void gen_reshape(struct example *e)
{
    int64_t dims[RANK_MAX], to[RANK_MAX];
    int rank = data(e, ALL, 0, 5, dims, 5), n = 0;
    int64_t count = tensor_elements(&e->in[0].tensor), left = count;
    if (count == 0) { /* zeros copied from the input, in place */
        memcpy(to, dims, sizeof dims);
        for (n = 0; n < rank; n++)
            to[n] = dims[n] && example_chance(e, 50) ? 0 : dims[n];
    } else {
        while (n < 5 && (left > 1 || example_chance(e, 30))) {
            int64_t d = example_int(e, 1, 8);
            while (left % d)
                d--;
            to[n++] = d;
            left /= d;
        }
        if (left > 1 && n < RANK_MAX)
            to[n++] = left;
        for (int i = 0; i < n && i < rank; i++)
            if (to[i] == dims[i] && example_chance(e, 40))
                to[i] = 0;
        if (n && example_chance(e, 50))
            to[example_int(e, 0, n - 1)] = -1;
    }
    list(e, "shape", 5, n, to);
    if (e->opset >= 14 && example_chance(e, 10) && count)
        example_attr(e, "allowzero", 0);
    keep_int64(e);
    example_output(e, e->type);
}

void gen_flatten(struct example *e)
{
    int64_t dims[RANK_MAX];
    int rank = data(e, e->opset >= 9 ? ALL : "fffd", 1, 5, dims, 5);
    if (example_chance(e, 80))
        example_attr(e, "axis", signed_axis(e, example_int(e, 0, rank), rank, e->opset >= 11));
    example_output(e, e->type);
}

void gen_squeeze(struct example *e)
{
    int64_t dims[RANK_MAX], axes[RANK_MAX];
    int rank = (int)example_int(e, 0, 6), n = 0;
    example_dims(e, rank, dims, 4);
    for (int i = 0; i < rank; i++)
        if (example_chance(e, 40))
            dims[i] = 1;
    example_type(e, ALL);
    example_input(e, e->type, rank, dims, -100, 100);
    for (int i = 0; i < rank; i++)
        if (dims[i] == 1 && example_chance(e, 60))
            axes[n++] = signed_axis(e, i, rank, e->opset >= 11);
    if (n)
        list(e, "axes", 13, n, axes);
    keep_int64(e);
    example_output(e, e->type);
}

void gen_unsqueeze(struct example *e)
{
    int64_t dims[RANK_MAX], axes[RANK_MAX];
    int rank = data(e, ALL, 0, 4, dims, 4), n = (int)example_int(e, 1, 3);
    example_shuffle(e, rank + n, axes);
    for (int i = 0; e->opset < 11 && i < n; i++) /* ascending, as was the custom */
        for (int j = i; j > 0 && axes[j] < axes[j - 1]; j--) {
            int64_t held = axes[j];
            axes[j] = axes[j - 1];
            axes[j - 1] = held;
        }
    for (int i = 0; i < n; i++)
        axes[i] = signed_axis(e, axes[i], rank + n, e->opset >= 11);
    list(e, "axes", 13, n, axes);
    keep_int64(e);
    example_output(e, e->type);
}

void gen_transpose(struct example *e)
{
    int64_t dims[RANK_MAX], perm[RANK_MAX];
    int rank = data(e, ALL, 0, 6, dims, 4);
    example_shuffle(e, rank, perm);
    if (rank && example_chance(e, 85))
        example_attr_list(e, "perm", rank, perm);
    example_output(e, e->type);
}

void gen_concat(struct example *e)
{
    int64_t dims[RANK_MAX];
    int rank = (int)example_int(e, 1, 5), n = (int)example_int(e, 1, 6);
    int axis = (int)example_int(e, 0, rank - 1);
    example_dims(e, rank, dims, 3);
    example_type(e, e->opset >= 8 ? ALL : "f");
    for (int i = 0; i < n; i++) {
        dims[axis] = example_dim(e, 8);
        example_input(e, e->type, rank, dims, -100, 100);
        example_constant(e, 20);
    }
    example_attr(e, "axis", signed_axis(e, axis, rank, e->opset >= 11));
    example_output(e, e->type);
}

void gen_split(struct example *e)
{
    int64_t dims[RANK_MAX], parts[8];
    int rank = (int)example_int(e, 1, 5), axis = (int)example_int(e, 0, rank - 1);
    int n = (int)example_int(e, 1, 6);
    bool given = example_chance(e, 60), by_number = !given && e->opset >= 18;
    example_dims(e, rank, dims, 3);
    dims[axis] = 0;
    for (int i = 0; i < n; i++)
        dims[axis] += parts[i] = given ? example_dim(e, 8) : 3;
    if (by_number && n > 1) { /* the last one may be smaller */
        int64_t each = example_int(e, 2, 4);
        dims[axis] = each * n - example_int(e, 0, each - 1);
        if ((dims[axis] + n - 1) / n * (n - 1) >= dims[axis])
            dims[axis] = each * n;
    }
    example_type(e, ALL);
    example_input(e, e->type, rank, dims, -100, 100);
    if (given)
        list(e, "split", 13, n, parts);
    if (by_number)
        example_attr(e, "num_outputs", n);
    if (axis != 0 || example_chance(e, 50))
        example_attr(e, "axis", signed_axis(e, axis, rank, e->opset >= 11));
    keep_int64(e);
    for (int i = 0; i < n; i++)
        example_output(e, e->type);
}

void gen_slice(struct example *e)
{
    int64_t dims[RANK_MAX], axes[RANK_MAX], starts[RANK_MAX], ends[RANK_MAX], steps[RANK_MAX];
    int rank = data(e, ALL, 1, 5, dims, 3);
    bool as_inputs = e->opset >= 10;
    int n = (int)example_int(e, 1, rank);
    bool all = example_chance(e, 25);
    example_shuffle(e, rank, axes);
    for (int i = 0; i < n; i++) {
        int64_t d = dims[all ? i : axes[i]];
        steps[i] = as_inputs && example_chance(e, 50) ? example_int(e, 1, 3) : 1;
        if (as_inputs && example_chance(e, 25))
            steps[i] = -steps[i];
        starts[i] = example_int(e, -d - 2, d + 2);
        ends[i] = example_chance(e, 20) ? (steps[i] > 0 ? INT64_MAX : INT64_MIN) : example_int(e, -d - 2, d + 2);
        if (!all)
            axes[i] = signed_axis(e, axes[i], rank, as_inputs);
    }
    if (as_inputs) {
        bool step = example_chance(e, 70);
        list(e, "starts", 10, n, starts);
        list(e, "ends", 10, n, ends);
        if (!all)
            list(e, "axes", 10, n, axes);
        else if (step)
            example_left_out(e);
        if (step)
            list(e, "steps", 10, n, steps);
    } else {
        example_attr_list(e, "starts", n, starts);
        example_attr_list(e, "ends", n, ends);
        if (!all)
            example_attr_list(e, "axes", n, axes);
    }
    keep_int64(e);
    example_output(e, e->type);
}

/* What an element is copied as; strings as views. */
static size_t element_bytes(enum percept_dtype dtype)
{
    return dtype == PERCEPT_STRING ? sizeof(struct percept_string) : percept_dtype_bytes(dtype);
}

static void copy_element(struct tensor *to, int64_t i, const struct tensor *from, int64_t k)
{
    const size_t size = element_bytes(to->dtype);
    memcpy((char *)to->data + (size_t)i * size, (const char *)from->data + (size_t)k * size, size);
}

/* "wrap": an axis goes on with its first element behind its last, as often as it takes. */
static bool wrap_oracle(const struct example *e, struct tensor *out)
{
    const struct tensor *x = &e->in[0].tensor;
    const int64_t *pads = e->user;
    int64_t dims[RANK_MAX];
    for (int i = 0; i < x->rank; i++)
        dims[i] = x->dims[i] + pads[i] + pads[x->rank + i];
    out[0] = example_tensor(e->arena, x->dtype, x->rank, dims);
    for (int64_t i = 0; i < tensor_elements(&out[0]); i++) {
        int64_t rest = i, from = 0, stride = 1;
        for (int d = x->rank - 1; d >= 0; d--) {
            const int64_t at = (rest % dims[d] - pads[d]) % x->dims[d];
            from += (at < 0 ? at + x->dims[d] : at) * stride;
            stride *= x->dims[d];
            rest /= dims[d];
        }
        copy_element(&out[0], i, x, from);
    }
    return true;
}

void gen_pad(struct example *e)
{
    int64_t dims[RANK_MAX], pads[2 * RANK_MAX];
    int rank = (int)example_int(e, 1, 5);
    const char *mode = example_word(e, 4, (const char *const[]){"constant", "edge", "reflect", "wrap"});
    if (mode[0] == 'w' && e->opset < 19)
        mode = "constant";
    bool constant = mode[0] == 'c', reflect = mode[0] == 'r';
    example_dims(e, rank, dims, constant ? 4 : 0);
    example_type(e, e->opset >= 13 ? "ffffhdcCil?" : e->opset >= 11 ? "ffffhdcCil" : "ffffd");
    example_input(e, e->type, rank, dims, -100, 100);
    for (int i = 0; i < 2 * rank; i++) {
        int64_t d = dims[i % rank];
        pads[i] = example_chance(e, 40) ? 0 : example_int(e, 0, reflect ? d - 1 : 3);
        if (constant && d > 4 && example_chance(e, 15))
            pads[i] = -example_int(e, 1, 2);
    }
    for (int i = 0; mode[0] == 'w' && i < 2 * rank; i++)
        if (pads[i] > dims[i % rank])
            e->explained = "wrap further than the axis is long";
    if (mode[0] == 'w') {
        int64_t *kept = arena_array(e->arena, 2 * RANK_MAX, sizeof *kept);
        memcpy(kept, pads, sizeof pads);
        e->user = kept;
        e->oracle = wrap_oracle;
    }
    list(e, "pads", 11, 2 * rank, pads);
    if (constant && e->opset >= 11 && example_chance(e, 60))
        example_scalar(e, e->type, 7), example_constant(e, 70);
    else if (constant && e->opset < 11 && example_chance(e, 60))
        example_attr_real(e, "value", 2.5);
    if (!constant || example_chance(e, 40))
        example_attr_text(e, "mode", mode);
    keep_int64(e);
    example_output(e, e->type);
}

/* Opset 1's form, which ONNX Runtime has no kernel for: it joins as many. */
static void tile_along(struct example *e, int rank)
{
    const int64_t times = example_int(e, 1, 4), axis = example_int(e, 0, rank - 1);
    struct proto joined = proto_node("Concat", "", &"x0,x0,x0,x0"[3 * (4 - times)], "y0");
    proto_attr_int(&joined, "axis", axis);
    proto_add(&e->instead, GRAPH_NODE, joined);
    example_scalar(e, e->type, (double)times), example_constant(e, 70);
    example_scalar(e, e->type, (double)axis), example_constant(e, 70);
    example_output(e, e->type);
}

void gen_tile(struct example *e)
{
    int64_t dims[RANK_MAX], times[RANK_MAX];
    const bool one_axis = e->opset < 6;
    int rank = data(e, one_axis ? "fffhd" : "fffffhdcCil?", 1, 5, dims, 3);
    if (one_axis) {
        tile_along(e, rank);
        return;
    }
    for (int i = 0; i < rank; i++)
        times[i] = example_chance(e, 4) ? 0 : example_int(e, 1, 3);
    example_int64s(e, rank, times);
    example_constant(e, 70);
    keep_int64(e);
    example_output(e, e->type);
}

void gen_expand(struct example *e)
{
    int64_t dims[RANK_MAX], to[RANK_MAX];
    int rank = (int)example_int(e, 0, 4), more = (int)example_int(e, 0, 2);
    example_dims(e, rank, dims, 3);
    for (int i = 0; i < more; i++)
        to[i] = example_dim(e, 3);
    for (int i = 0; i < rank; i++) {
        to[more + i] = example_chance(e, 30) ? 1 : dims[i];
        if (example_chance(e, 40)) {
            dims[i] = 1;
            to[more + i] = example_int(e, 1, 5);
        }
    }
    example_type(e, ALL);
    example_input(e, e->type, rank, dims, -100, 100);
    int drop = more == 0 && rank ? (int)example_int(e, 0, 1) : 0;
    example_int64s(e, rank + more - drop, to + drop);
    example_constant(e, 70);
    keep_int64(e);
    example_output(e, e->type);
}

/* --- by index ----------------------------------------------------------------------------------------------------- */

static struct tensor *indices(struct example *e, int rank, const int64_t *dims, int64_t size, bool negative)
{
    enum percept_dtype dtype = e->type == PERCEPT_INT32 ? PERCEPT_INT64 : example_dtype(e, "lli");
    if (dtype == e->type)
        e->never_widen = true;
    struct tensor *t = example_input(e, dtype, rank, dims, negative ? (double)-size : 0, (double)(size - 1));
    example_constant(e, 30);
    return t;
}

/* Element (outer, i, inner) is (outer, index i, inner). */
static bool gather_oracle(const struct example *e, struct tensor *out)
{
    const struct tensor *x = &e->in[0].tensor, *index = &e->in[1].tensor;
    const int64_t *axis = e->user;
    int64_t dims[RANK_MAX];
    int rank = 0;
    for (int i = 0; i < *axis; i++)
        dims[rank++] = x->dims[i];
    for (int i = 0; i < index->rank; i++)
        dims[rank++] = index->dims[i];
    for (int i = (int)*axis + 1; i < x->rank; i++)
        dims[rank++] = x->dims[i];
    out[0] = example_tensor(e->arena, x->dtype, rank, dims);
    const int64_t n = tensor_elements(index), inner = tensor_span(x, (int)*axis + 1, x->rank);
    for (int64_t i = 0; i < tensor_elements(&out[0]); i++) {
        const int64_t at = example_get_int(index, i / inner % n), size = x->dims[*axis];
        copy_element(&out[0], i, x, (i / inner / n * size + (at < 0 ? at + size : at)) * inner + i % inner);
    }
    return true;
}

void gen_gather(struct example *e)
{
    int64_t dims[RANK_MAX], shape[RANK_MAX];
    int rank = data(e, ALL, 1, 4, dims, 0), axis = (int)example_int(e, 0, rank - 1);
    int n = (int)example_int(e, 0, 3);
    example_dims(e, n, shape, 5);
    indices(e, n, shape, dims[axis], e->opset >= 11);
    if (e->type == PERCEPT_STRING && axis < rank - 1)
        e->explained = "strings in blocks";
    int64_t *kept = arena_array(e->arena, 1, sizeof *kept);
    *kept = axis;
    e->user = kept;
    e->oracle = gather_oracle;
    if (axis != 0 || example_chance(e, 50))
        example_attr(e, "axis", signed_axis(e, axis, rank, e->opset >= 11));
    example_output(e, e->type);
}

void gen_gather_elements(struct example *e)
{
    int64_t dims[RANK_MAX], shape[RANK_MAX];
    int rank = data(e, ALL, 1, 4, dims, 0), axis = (int)example_int(e, 0, rank - 1);
    for (int i = 0; i < rank; i++)
        shape[i] = i == axis ? example_dim(e, 5) : example_int(e, 1, dims[i]);
    indices(e, rank, shape, dims[axis], true);
    if (axis != 0 || example_chance(e, 50))
        example_attr(e, "axis", signed_axis(e, axis, rank, true));
    example_output(e, e->type);
}

/* Index tuples for GatherND and ScatterND: [shape, last]. */
static void tuples(struct example *e, int n, const int64_t *shape, int last, const int64_t *sizes)
{
    int64_t dims[RANK_MAX];
    memcpy(dims, shape, sizeof dims);
    dims[n] = last;
    struct tensor *t = example_input(e, PERCEPT_INT64, n + 1, dims, 0, 0);
    for (int64_t i = 0; i < tensor_elements(t); i++) {
        int64_t size = sizes[i % last];
        ((int64_t *)t->data)[i] = example_int(e, example_chance(e, 30) ? -size : 0, size - 1);
    }
    example_constant(e, 40);
    keep_int64(e);
}

void gen_gather_nd(struct example *e)
{
    int64_t dims[RANK_MAX], shape[RANK_MAX];
    int rank = data(e, ALL, 1, 4, dims, 0), batch = 0;
    if (e->opset >= 12 && rank > 1 && example_chance(e, 40))
        batch = (int)example_int(e, 1, rank - 1);
    int n = batch + (int)example_int(e, 0, 2), last = (int)example_int(e, 1, rank - batch);
    for (int i = 0; i < n; i++)
        shape[i] = i < batch ? dims[i] : example_int(e, 1, 4);
    tuples(e, n, shape, last, dims + batch);
    if (batch)
        example_attr(e, "batch_dims", batch);
    example_output(e, e->type);
}

static void draw_reduction(struct example *e, int since_add, int since_order, bool *repeats)
{
    bool numbers = e->type != PERCEPT_BOOL && e->type != PERCEPT_STRING;
    *repeats = false;
    if (e->opset < since_add || !numbers || example_chance(e, 40))
        return;
    *repeats = true;
    example_attr_text(
        e, "reduction",
        example_word(e, e->opset >= since_order ? 4 : 2, (const char *const[]){"add", "mul", "max", "min"}));
}

void gen_scatter_elements(struct example *e) /* Scatter too */
{
    int64_t dims[RANK_MAX], shape[RANK_MAX];
    bool repeats, old = is(e, "Scatter");
    if (old && e->opset > 10) /* deprecated afterwards */
        e->opset = 9 + (int)example_int(e, 0, 1);
    int rank = (int)example_int(e, 1, 4), axis = (int)example_int(e, 0, rank - 1);
    example_dims(e, rank, dims, 0);
    example_type(e, BASIC);
    example_input(e, e->type, rank, dims, -2, 2);
    draw_reduction(e, old ? 99 : 16, 18, &repeats);
    for (int i = 0; i < rank; i++)
        shape[i] = example_int(e, 1, dims[i]);
    struct tensor *t = indices(e, rank, shape, dims[axis], !old && e->opset >= 11);
    if (!repeats) { /* no place twice: every line takes the same indices, each once */
        int64_t inner = tensor_span(t, axis + 1, rank);
        int64_t *order = arena_array(e->arena, (size_t)dims[axis] + 1, sizeof *order);
        example_shuffle(e, (int)dims[axis], order);
        for (int64_t i = 0; i < tensor_elements(t); i++)
            example_set_int(t, i, order[i / inner % shape[axis]]);
    }
    example_input(e, e->type, rank, shape, -2, 2);
    if (axis != 0 || example_chance(e, 50))
        example_attr(e, "axis", signed_axis(e, axis, rank, !old));
    example_output(e, e->type);
}

void gen_scatter_nd(struct example *e)
{
    int64_t dims[RANK_MAX], shape[RANK_MAX], updates[RANK_MAX];
    bool repeats;
    int rank = (int)example_int(e, 1, 4), last = (int)example_int(e, 1, rank), n = (int)example_int(e, 0, 2);
    example_dims(e, rank, dims, 0);
    example_type(e, BASIC);
    example_input(e, e->type, rank, dims, -2, 2);
    draw_reduction(e, 16, 18, &repeats);
    if (!repeats)
        n = n ? 1 : 0;
    for (int i = 0; i < n; i++)
        shape[i] = repeats ? example_int(e, 1, 4) : example_int(e, 1, dims[0]);
    tuples(e, n, shape, last, dims);
    if (!repeats && n) { /* first coordinates all different */
        int64_t *order = arena_array(e->arena, (size_t)dims[0] + 1, sizeof *order);
        example_shuffle(e, (int)dims[0], order);
        for (int64_t i = 0; i < shape[0]; i++)
            ((int64_t *)e->in[1].tensor.data)[i * last] = order[i];
    }
    for (int i = 0; i < n; i++)
        updates[i] = shape[i];
    for (int i = last; i < rank; i++)
        updates[n + i - last] = dims[i];
    example_input(e, e->type, n + rank - last, updates, -2, 2);
    example_output(e, e->type);
}

void gen_compress(struct example *e)
{
    int64_t dims[RANK_MAX];
    int rank = data(e, ALL, 1, 4, dims, 0);
    bool flat = example_chance(e, 30);
    int axis = (int)example_int(e, 0, rank - 1);
    int64_t most = flat ? tensor_elements(&e->in[0].tensor) : dims[axis], n = example_int(e, 1, most);
    example_input(e, PERCEPT_BOOL, 1, &n, 0, 1);
    if (e->type == PERCEPT_BOOL)
        e->never_widen = true;
    if (!flat)
        example_attr(e, "axis", signed_axis(e, axis, rank, e->opset >= 11));
    example_output(e, e->type);
}

void gen_non_zero(struct example *e)
{
    int64_t dims[RANK_MAX];
    int rank = (int)example_int(e, 1, 4);
    example_dims(e, rank, dims, 4);
    example_type(e, "ffil?C");
    example_input(e, e->type, rank, dims, 0, 1);
    for (int64_t i = 0; i < tensor_elements(&e->in[0].tensor); i++)
        if (example_chance(e, 40))
            example_set(&e->in[0].tensor, i, 0);
    keep_int64(e);
    example_output(e, PERCEPT_INT64);
}

void gen_unique(struct example *e)
{
    int64_t dims[RANK_MAX];
    int rank = (int)example_int(e, 1, 3);
    example_dims(e, rank, dims, 0);
    example_type(e, "fffdclt");
    struct tensor *x = example_input(e, e->type, rank, dims, -3, 3);
    for (int64_t i = 0; example_is_floating(e->type) && i < tensor_elements(x); i++)
        example_set(x, i, (double)(int64_t)example_get(x, i) + 0.0);
    if (example_chance(e, 50))
        example_attr(e, "axis", signed_axis(e, example_int(e, 0, rank - 1), rank, true));
    if (example_chance(e, 70))
        example_attr(e, "sorted", example_int(e, 0, 1));
    keep_int64(e);
    example_output(e, e->type);
    for (int i = 0; i < 3; i++)
        example_output(e, PERCEPT_INT64);
}

void gen_one_hot(struct example *e)
{
    int64_t dims[RANK_MAX];
    int rank = (int)example_int(e, 0, 3);
    example_dims(e, rank, dims, 3);
    int64_t depth = example_int(e, 1, 9);
    enum percept_dtype index = example_dtype(e, "lli");
    example_type(e, "ffl");
    example_input(e, index, rank, dims, e->opset >= 11 ? (double)-depth - 1 : 0, (double)depth);
    example_scalar(e, PERCEPT_INT64, (double)depth);
    if (e->opset < 11 || example_chance(e, 50))
        tensor_set_dims(&e->in[1].tensor, 1, (int64_t[]){1});
    example_constant(e, 70);
    example_input(e, e->type, 1, (int64_t[]){2}, -5, 5);
    example_constant(e, 70);
    if (example_chance(e, 60))
        example_attr(e, "axis", signed_axis(e, example_int(e, 0, rank), rank + 1, true));
    e->never_widen = true;
    example_output(e, e->type);
}

void gen_reverse_sequence(struct example *e)
{
    int64_t dims[RANK_MAX];
    int rank = data(e, "ffffhdcCil?t", 2, 4, dims, 0);
    int time = (int)example_int(e, 0, 1), batch = 1 - time;
    example_input(e, PERCEPT_INT64, 1, &dims[batch], 1, (double)dims[time]);
    if (time != 0 || example_chance(e, 50)) {
        example_attr(e, "time_axis", time);
        example_attr(e, "batch_axis", batch);
    }
    keep_int64(e);
    (void)rank;
    example_output(e, e->type);
}

/* --- blocks, triangles, cuts -------------------------------------------------------------------------------------- */

void gen_depth_to_space(struct example *e) /* SpaceToDepth too */
{
    int64_t dims[4], block = example_int(e, 1, 3);
    bool depth = is(e, "DepthToSpace");
    example_dims(e, 4, dims, 0);
    for (int i = 1; i < 4; i++)
        dims[i] = example_int(e, 1, 4);
    if (depth)
        dims[1] *= block * block;
    else
        dims[2] *= block, dims[3] *= block;
    example_type(e, e->opset >= 13 ? "ffffhbdC" : "fffd");
    example_input(e, e->type, 4, dims, -100, 100);
    example_attr(e, "blocksize", block);
    if (depth && e->opset >= 11 && example_chance(e, 60))
        example_attr_text(e, "mode", example_chance(e, 50) ? "DCR" : "CRD");
    example_output(e, e->type);
}

void gen_trilu(struct example *e)
{
    int64_t dims[RANK_MAX];
    int rank = data(e, "fffhdcCil?", 2, 5, dims, 3);
    int64_t most = dims[rank - 1] + 2;
    if (example_chance(e, 60))
        example_scalar(e, PERCEPT_INT64, (double)example_int(e, -most, most)), example_constant(e, 50);
    if (example_chance(e, 70))
        example_attr(e, "upper", example_int(e, 0, 1));
    keep_int64(e);
    example_output(e, e->type);
}

void gen_center_crop_pad(struct example *e)
{
    int64_t dims[RANK_MAX], axes[RANK_MAX], to[RANK_MAX];
    int rank = data(e, "fffhdcCil", 1, 4, dims, 0), n = rank;
    bool some = example_chance(e, 50);
    example_shuffle(e, rank, axes);
    if (some)
        n = (int)example_int(e, 1, rank);
    for (int i = 0; i < n; i++) {
        to[i] = example_int(e, 1, dims[some ? axes[i] : i] + 4);
        axes[i] = signed_axis(e, axes[i], rank, true);
    }
    example_int64s(e, n, to);
    example_constant(e, 80);
    if (some)
        example_attr_list(e, "axes", n, axes);
    keep_int64(e);
    example_output(e, e->type);
}

/* --- from nothing ------------------------------------------------------------------------------------------------- */

void gen_range(struct example *e)
{
    example_type(e, "ffdsil");
    double start = (double)example_int(e, -20, 20), step = (double)example_int(e, 1, 5);
    if (example_chance(e, 40))
        step = -step;
    double end = example_chance(e, 5) ? start : start + step * (double)example_int(e, -1, 20);
    if (example_is_floating(e->type))
        start += 0.25, step += 0.5;
    if (step == 0)
        step = 1;
    bool constant = example_chance(e, 50);
    example_scalar(e, e->type, start), example_constant(e, constant ? 100 : 30);
    example_scalar(e, e->type, end), example_constant(e, constant ? 100 : 30);
    example_scalar(e, e->type, step), example_constant(e, constant ? 100 : 30);
    example_output(e, e->type);
}

void gen_eye_like(struct example *e)
{
    int64_t dims[2];
    example_dims(e, 2, dims, 3);
    example_type(e, "fdil");
    enum percept_dtype out = e->type;
    example_input(e, e->type, 2, dims, -5, 5);
    if (example_chance(e, 50))
        example_attr(e, "dtype", out = example_dtype(e, "fdilL"));
    if (example_chance(e, 60))
        example_attr(e, "k", example_int(e, -9, 9));
    e->never_widen = true;
    example_output(e, out);
}

static struct proto value_tensor(struct example *e, enum percept_dtype dtype, int rank, const int64_t *dims)
{
    example_input(e, dtype, rank, dims, -100, 100);
    struct tensor t = e->in[--e->n_in].tensor;
    size_t n_bytes = (size_t)tensor_elements(&t) * tensor_dtype_bytes(dtype);
    return proto_tensor("v", dtype, rank, dims, t.data, n_bytes);
}

void gen_constant_of_shape(struct example *e)
{
    int64_t dims[RANK_MAX], one = 1;
    int rank = (int)example_int(e, 0, 5);
    example_dims(e, rank, dims, 6);
    example_type(e, "fhdcCsSiIlL?");
    bool given = example_chance(e, 85);
    enum percept_dtype out = given ? e->type : PERCEPT_FLOAT;
    if (given)
        proto_attr_message(&e->attributes, "value", ATTR_TENSOR, ATTRIBUTE_T, value_tensor(e, e->type, 1, &one));
    example_int64s(e, rank, dims);
    example_constant(e, 50);
    e->never_widen = true;
    e->type = PERCEPT_UNDEFINED;
    example_output(e, out);
}

void gen_constant(struct example *e)
{
    int64_t dims[RANK_MAX];
    int rank = (int)example_int(e, 0, 5), kind = (int)example_int(e, 0, e->opset >= 12 ? 3 : 0);
    example_dims(e, rank, dims, 5);
    example_type(e, "fhdcCsSiIlL?");
    enum percept_dtype out = kind == 0 ? e->type : kind == 3 ? PERCEPT_INT64 : PERCEPT_FLOAT;
    if (kind == 0)
        proto_attr_message(&e->attributes, "value", ATTR_TENSOR, ATTRIBUTE_T, value_tensor(e, e->type, rank, dims));
    else if (kind == 1)
        example_attr_real(e, "value_float", example_real(e, -5, 5));
    else if (kind == 2)
        proto_attr_floats(&e->attributes, "value_floats", 3, (const float[]){1.5f, -2, 3});
    else
        example_attr_list(e, "value_ints", 4, (const int64_t[]){1, -2, 3, INT64_MAX});
    e->never_widen = true;
    e->type = PERCEPT_UNDEFINED;
    example_output(e, out);
}

void gen_shape(struct example *e) /* Shape, Size */
{
    int64_t dims[RANK_MAX];
    int rank = data(e, "fffhdcCil?t", 0, 6, dims, 5);
    if (is(e, "Shape") && e->opset >= 15) {
        if (example_chance(e, 50))
            example_attr(e, "start", example_int(e, -rank - 1, rank + 1));
        if (example_chance(e, 50))
            example_attr(e, "end", example_int(e, -rank - 1, rank + 1));
    }
    e->never_widen = true;
    example_output(e, PERCEPT_INT64);
}

/* Nothing is dropped: the output is the input, and the mask says so. */
static bool dropout_oracle(const struct example *e, struct tensor *out)
{
    const struct tensor *x = &e->in[0].tensor;
    out[0] = *x;
    out[1] = example_tensor(e->arena, PERCEPT_BOOL, x->rank, x->dims);
    for (int64_t i = 0; i < tensor_elements(x); i++)
        ((uint8_t *)out[1].data)[i] = 1;
    return true;
}

void gen_dropout(struct example *e)
{
    int64_t dims[RANK_MAX];
    data(e, e->opset >= 12 ? "ffffhbd" : "fffhd", 1, 5, dims, 3);
    if (e->opset < 12 && example_chance(e, 60))
        example_attr_real(e, "ratio", example_real(e, 0, 0.9));
    if (e->opset < 7)
        example_attr(e, "is_test", 1);
    if (e->opset >= 12 && example_chance(e, 60)) {
        example_scalar(e, PERCEPT_FLOAT, example_real(e, 0, 0.9)), example_constant(e, 80);
        if (example_chance(e, 50))
            example_scalar(e, PERCEPT_BOOL, 0), example_constant(e, 80);
    }
    example_output(e, e->type);
    if (e->opset >= 10 && example_chance(e, 30)) {
        example_output(e, PERCEPT_BOOL);
        if (e->opset < 12)
            e->explained = "mask before opset 12";
        e->oracle = dropout_oracle;
    }
}
