/*
 * gen_reduce.c - models of operators that go along axes: Reduce*, ArgMax, ArgMin, CumSum, TopK, Softmax
 * and its relations, and the normalizations.
 *
 * Sums of n terms lose about sqrt(n) roundings against another order of summation; inputs are kept near 1,
 * and `absolute` grows where terms of both signs cancel.
 */
#include <math.h>
#include <string.h>

#include "differential/families.h"

static bool is(const struct example *e, const char *op)
{
    return strcmp(e->op, op) == 0;
}

/* Some axes of rank, in random order, some of them counted from the end. */
static int some_axes(struct example *e, int rank, int64_t *axes, bool negative)
{
    int n = (int)example_int(e, rank ? 1 : 0, rank);
    example_shuffle(e, rank, axes);
    for (int i = 0; i < n; i++)
        if (negative && example_chance(e, 30))
            axes[i] -= rank;
    return n;
}

struct reduced {
    bool axis[RANK_MAX], keep;
};

/* ReduceLogSumExp of integers, computed in double and cut at the end; ReduceMean of nothing. */
static bool reduce_oracle(const struct example *e, struct tensor *out)
{
    const struct reduced *r = e->user;
    const struct tensor *x = &e->in[0].tensor;
    int64_t dims[RANK_MAX], steps[RANK_MAX], each = 1;
    int rank = 0;
    for (int i = x->rank - 1; i >= 0; i--) {
        steps[i] = r->axis[i] ? 0 : each;
        each *= r->axis[i] ? 1 : x->dims[i];
    }
    for (int i = 0; i < x->rank; i++)
        if (!r->axis[i] || r->keep)
            dims[rank++] = r->axis[i] ? 1 : x->dims[i];
    out[0] = example_tensor(e->arena, e->type, rank, dims);
    double *sums = arena_array(e->arena, (size_t)each + 1, sizeof *sums);
    for (int64_t i = 0; i < tensor_elements(x); i++) {
        int64_t rest = i, at = 0;
        for (int d = x->rank - 1; d >= 0; d--) {
            at += rest % x->dims[d] * steps[d];
            rest /= x->dims[d];
        }
        sums[at] += exp(example_get(x, i));
    }
    for (int64_t i = 0; i < each; i++)
        if (example_is_floating(e->type))
            example_set(&out[0], i, NAN);
        else
            example_set_int(&out[0], i, is(e, "ReduceMean") ? 0 : (int64_t)log(sums[i]));
    return true;
}

void gen_reduce(struct example *e)
{
    int64_t dims[RANK_MAX], axes[RANK_MAX];
    bool order = is(e, "ReduceMax") || is(e, "ReduceMin"), product = is(e, "ReduceProd");
    bool logarithm = is(e, "ReduceLogSum");
    int rank = (int)example_int(e, 0, 5);
    example_dims(e, rank, dims, e->opset >= 18 && !order ? 6 : 0);
    example_type(e, order ? (e->opset >= 12 ? "ffffhbdcCil" : "fffdil") : e->opset >= 13 ? "ffffhbdil" : "fffdil");
    bool whole = !example_is_floating(e->type);
    if (product)
        example_input(e, e->type, rank, dims, whole ? 1 : 0.8, whole ? 2 : 1.25);
    else if (logarithm) /* of positive sums */
        example_input(e, e->type, rank, dims, whole ? 1 : 0.1, 5);
    else
        example_input(e, e->type, rank, dims, is(e, "ReduceLogSumExp") && whole ? 0 : -3, 3);
    for (int64_t i = 1; product && whole && i < tensor_elements(&e->in[0].tensor); i++)
        example_set_int(&e->in[0].tensor, i, example_chance(e, 50) ? 1 : -1); /* no overflow */
    bool as_input = e->opset >= 18 || (is(e, "ReduceSum") && e->opset >= 13), given = example_chance(e, 75);
    bool empty = tensor_elements(&e->in[0].tensor) == 0;
    int n = some_axes(e, rank, axes, e->opset >= 11 && !empty);
    struct reduced *kept = arena_alloc(e->arena, sizeof *kept);
    *kept = (struct reduced){.keep = true};
    if (whole && is(e, "ReduceLogSumExp"))
        e->explained = "logarithms in integers";
    if (empty && is(e, "ReduceMean"))
        e->explained = "mean of nothing";
    if (e->explained) {
        e->user = kept;
        e->oracle = reduce_oracle;
    }
    for (int i = 0; i < rank && !given; i++)
        kept->axis[i] = true;
    for (int i = 0; i < n && given; i++)
        kept->axis[axes[i] < 0 ? axes[i] + rank : axes[i]] = true;
    if (given && rank && as_input)
        example_int64s(e, n, axes), example_constant(e, 80);
    else if (given && rank)
        example_attr_list(e, "axes", n, axes);
    else if (as_input && example_chance(e, 60)) {
        if (example_chance(e, 50))
            example_int64s(e, 0, axes), example_constant(e, 50);
        const int64_t noop = example_int(e, 0, 1);
        example_attr(e, "noop_with_empty_axes", noop);
        for (int i = 0; i < rank && noop; i++)
            kept->axis[i] = false;
    }
    if (example_chance(e, 60))
        example_attr(e, "keepdims", kept->keep = example_chance(e, 50));
    e->absolute = 3e-5;
    e->relative = product ? 2e-4 : 1e-4;
    example_output(e, e->type);
}

void gen_arg(struct example *e) /* ArgMax, ArgMin */
{
    int64_t dims[RANK_MAX];
    int rank = (int)example_int(e, 1, 5), axis = (int)example_int(e, 0, rank - 1);
    example_dims(e, rank, dims, 0);
    example_type(e, "ffffhbdcCil");
    example_input(e, e->type, rank, dims, -3, 3); /* integers: many ties */
    if (example_chance(e, 80))
        example_attr(e, "axis", e->opset >= 11 && example_chance(e, 40) ? axis - rank : axis);
    if (example_chance(e, 60))
        example_attr(e, "keepdims", example_int(e, 0, 1));
    if (e->opset >= 12 && example_chance(e, 60))
        example_attr(e, "select_last_index", example_int(e, 0, 1));
    example_output(e, PERCEPT_INT64);
    if (e->type == PERCEPT_INT64) /* T must not be what the output's type is */
        e->never_widen = true;
}

void gen_cum_sum(struct example *e) /* CumSum, CumProd */
{
    int64_t dims[RANK_MAX];
    int rank = (int)example_int(e, 1, 4), axis = (int)example_int(e, 0, rank - 1);
    example_dims(e, rank, dims, 5);
    example_type(e, "fffhbdil");
    if (strcmp(e->op, "CumProd") == 0)
        e->opset = 26;
    example_input(e, e->type, rank, dims, -3, 3);
    example_scalar(e, e->type == PERCEPT_INT32 ? PERCEPT_INT64 : example_dtype(e, "il"),
                   (double)(example_chance(e, 40) ? axis - rank : axis));
    if (e->in[1].tensor.dtype == e->type)
        e->never_widen = true;
    example_constant(e, 70);
    if (example_chance(e, 50))
        example_attr(e, "exclusive", example_int(e, 0, 1));
    if (example_chance(e, 50))
        example_attr(e, "reverse", example_int(e, 0, 1));
    e->absolute = 3e-5;
    example_output(e, e->type);
}

void gen_top_k(struct example *e)
{
    int64_t dims[RANK_MAX];
    int rank = (int)example_int(e, 1, 4), axis = (int)example_int(e, 0, rank - 1);
    example_dims(e, rank, dims, 0);
    example_type(e, e->opset >= 11 ? "fffhdcCil" : "fffd");
    bool narrow = e->type == PERCEPT_INT8 || e->type == PERCEPT_UINT8;
    if (narrow || example_chance(e, 15)) /* ties: the lower index comes first */
        example_input(e, e->type, rank, dims, -6, 6);
    else
        example_distinct(e, e->type, rank, dims);
    int64_t k = example_int(e, example_chance(e, 10) ? 0 : 1, dims[axis]);
    if (e->opset < 10)
        example_attr(e, "k", k ? k : 1);
    else
        example_int64s(e, 1, &k), example_constant(e, 70);
    if (rank - 1 != axis || example_chance(e, 50))
        example_attr(e, "axis", e->opset >= 10 && example_chance(e, 40) ? axis - rank : axis);
    if (e->opset >= 11 && example_chance(e, 60))
        example_attr(e, "largest", example_int(e, 0, 1));
    example_output(e, e->type);
    example_output(e, PERCEPT_INT64);
    e->never_widen = e->type == PERCEPT_INT64;
}

void gen_softmax(struct example *e) /* Softmax, LogSoftmax, Hardmax */
{
    int64_t dims[RANK_MAX];
    int rank = (int)example_int(e, 1, 5), axis = (int)example_int(e, 0, rank - 1);
    example_dims(e, rank, dims, 5);
    example_type(e, e->opset >= 13 ? "fffffhbd" : "ffffhd");
    bool large = example_chance(e, 20);
    example_input(e, e->type, rank, dims, large ? -300 : -4, large ? 300 : 4);
    if (example_chance(e, 80))
        example_attr(e, "axis", e->opset >= 11 && example_chance(e, 40) ? axis - rank : axis);
    else if (e->opset < 13 && rank == 1)
        example_attr(e, "axis", 0);
    example_output(e, e->type);
}

/* --- normalizations ----------------------------------------------------------------------------------------------- */

static void per_channel(struct example *e, int64_t channels, double least, double most, int constant)
{
    example_input(e, e->type, 1, &channels, least, most);
    example_constant(e, constant);
}

struct training {
    double epsilon, momentum;
    bool spatial;
};

/* By the batch's own mean and variance, in double; what is told besides: running ones, then the batch's. */
static bool training_oracle(const struct example *e, struct tensor *out)
{
    const struct training *t = e->user;
    const struct tensor *x = &e->in[0].tensor, *p = &e->in[1].tensor;
    const int64_t channels = tensor_elements(p), n = channels ? tensor_elements(x) / channels : 0;
    const int64_t pixels = t->spatial ? tensor_span(x, 2, x->rank) : 1;
    for (int o = 0; o < e->n_out; o++)
        out[o] = o ? example_tensor(e->arena, e->out[o], p->rank, p->dims)
                   : example_tensor(e->arena, e->out[0], x->rank, x->dims);
    for (int64_t c = 0; c < channels; c++) {
        double mean = 0, variance = 0;
        for (int turn = 0; turn < 3; turn++)
            for (int64_t i = 0; i < n; i++) {
                const int64_t at = (i / pixels * channels + c) * pixels + i % pixels;
                const double value = example_get(x, at);
                if (turn == 0)
                    mean += value / (double)n;
                else if (turn == 1)
                    variance += (value - mean) * (value - mean) / (double)n;
                else
                    example_set(&out[0], at,
                                (value - mean) / sqrt(variance + t->epsilon) * example_get(p, c) +
                                    example_get(&e->in[2].tensor, c));
            }
        const double told[] = {mean, variance}, keep = t->momentum;
        for (int o = 1; o < e->n_out; o++)
            example_set(&out[o], c,
                        o > 2 ? told[(o - 1) % 2]
                              : example_get(&e->in[2 + o].tensor, c) * keep + told[o - 1] * (1 - keep));
    }
    return true;
}

/* More outputs than one, or since opset 14 an attribute, ask for it. ONNX Runtime has it in few of its builds. */
static void draw_training(struct example *e)
{
    struct training *t = arena_alloc(e->arena, sizeof *t);
    *t = (struct training){1e-5F, 0.9F, true};
    e->user = t;
    e->oracle = training_oracle;
    e->absolute = 1e-4;
    if (e->opset >= 14)
        example_attr(e, "training_mode", 1);
    if (example_chance(e, 50))
        example_attr_real(e, "momentum", t->momentum = 0.75);
    if (example_chance(e, 50))
        example_attr_real(e, "epsilon", t->epsilon = 0.0078125);
    if (e->opset < 14)
        e->explained = "BatchNormalization 7 to 13, saved_var";
    int more = e->opset >= 14 ? 2 : 4;
    for (int i = 0; i < more; i++)
        example_output(e, e->type);
}

void gen_batch_norm(struct example *e)
{
    const bool training = example_chance(e, 35);
    int64_t dims[RANK_MAX];
    int rank = (int)example_int(e, 2, 5);
    example_dims(e, rank, dims, 3);
    if (training)
        dims[0] += !dims[0]; /* statistics of nothing are no numbers */
    for (int d = 2; training && d < rank; d++)
        dims[d] += !dims[d];
    int64_t channels = dims[1] = dims[1] ? dims[1] : 1;
    example_type(e, training ? "fd" : e->opset >= 15 ? "ffffhbd" : "fffffhd");
    int constant = example_chance(e, 70) ? 100 : 0;
    example_input(e, e->type, rank, dims, -3, 3);
    per_channel(e, channels, -2, 2, constant);
    per_channel(e, channels, -2, 2, constant);
    per_channel(e, channels, -1, 1, constant);
    per_channel(e, channels, 0.1, 3, constant);
    example_output(e, e->type);
    if (training) {
        draw_training(e);
        return;
    }
    if (example_chance(e, 50))
        example_attr_real(e, "epsilon", example_real(e, 1e-6, 1e-2));
    if (e->opset < 9 && example_chance(e, 20))
        example_attr(e, "spatial", 1);
    if (e->opset < 7)
        example_attr(e, "is_test", 1);
    if (e->opset >= 14 && example_chance(e, 20))
        example_attr(e, "training_mode", 0);
}

void gen_instance_norm(struct example *e)
{
    int64_t dims[RANK_MAX];
    int rank = (int)example_int(e, 3, 5);
    example_dims(e, rank, dims, 0);
    example_type(e, e->opset >= 22 ? "ffffhbd" : "fffffhd");
    int constant = example_chance(e, 70) ? 100 : 0;
    example_input(e, e->type, rank, dims, -3, 3);
    per_channel(e, dims[1], -2, 2, constant);
    per_channel(e, dims[1], -2, 2, constant);
    example_attr_real(e, "epsilon", example_real(e, 1e-5, 1e-2));
    e->relative = 3e-4; /* where all elements of a channel are near each other, differences cancel */
    e->absolute = 1e-4;
    example_output(e, e->type);
}

void gen_group_norm(struct example *e)
{
    int64_t dims[RANK_MAX], groups = example_int(e, 1, 4);
    int rank = (int)example_int(e, 3, 5);
    example_dims(e, rank, dims, 0);
    dims[1] = groups * example_int(e, 1, 4);
    example_type(e, "ffffhbd");
    e->float_inside = true; /* stash_type */
    int constant = example_chance(e, 70) ? 100 : 0;
    int64_t n = e->opset >= 21 ? dims[1] : groups;
    example_input(e, e->type, rank, dims, -3, 3);
    per_channel(e, n, -2, 2, constant);
    per_channel(e, n, -2, 2, constant);
    example_attr(e, "num_groups", groups);
    if (example_chance(e, 60))
        example_attr_real(e, "epsilon", example_real(e, 1e-5, 1e-2));
    e->relative = 3e-4;
    e->absolute = 1e-4;
    example_output(e, e->type);
}

void gen_layer_norm(struct example *e) /* LayerNormalization, RMSNormalization, Simplified- */
{
    int64_t dims[RANK_MAX];
    int rank = (int)example_int(e, 1, 5), axis = (int)example_int(e, 0, rank - 1);
    example_dims(e, rank, dims, 0);
    bool given = axis != rank - 1 || example_chance(e, 50), layer = is(e, "LayerNormalization");
    example_type(e, "ffffhbd");
    int constant = example_chance(e, 70) ? 100 : 0;
    example_input(e, e->type, rank, dims, -3, 3);
    example_input(e, e->type, rank - axis, dims + axis, -2, 2);
    example_constant(e, constant);
    if (layer && example_chance(e, 60)) {
        example_input(e, e->type, rank - axis, dims + axis, -2, 2);
        example_constant(e, constant);
    }
    if (given)
        example_attr(e, "axis", example_chance(e, 50) ? axis - rank : axis);
    example_attr_real(e, "epsilon", example_real(e, 1e-5, 1e-2));
    e->relative = 3e-4;
    e->absolute = 1e-4;
    example_output(e, e->type);
    if (e->type == PERCEPT_FLOAT && !is(e, "RMSNormalization") && example_chance(e, 30)) {
        example_output(e, PERCEPT_FLOAT);
        if (layer)
            example_output(e, PERCEPT_FLOAT);
    }
}

void gen_skip_norm(struct example *e) /* ms SkipLayerNormalization, SkipSimplifiedLayerNormalization */
{
    int64_t dims[RANK_MAX];
    const int rank = (int)example_int(e, 2, 3);
    const bool layer = is(e, "SkipLayerNormalization"), shift = layer && example_chance(e, 60);
    const bool bias = example_chance(e, 50), sum = example_chance(e, 50);
    example_dims(e, rank, dims, 0);
    dims[rank - 1] += 3; /* the variance of one or two is noise */
    const int64_t skip[] = {1, dims[1], dims[rank - 1]};
    const int form = rank == 3 ? (int)example_int(e, 0, 2) : 0;
    example_input(e, PERCEPT_FLOAT, rank, dims, -3, 3);
    example_input(e, PERCEPT_FLOAT, form == 2 ? 2 : rank, form == 0 ? dims : skip + form - 1, -3, 3);
    for (int i = 0; i < (layer ? 3 : 2); i++) { /* scale, shift, bias */
        if (i == 0 || (layer && i == 1 ? shift : bias))
            example_input(e, PERCEPT_FLOAT, 1, dims + rank - 1, -2, 2);
        else
            example_left_out(e);
    }
    example_attr_real(e, "epsilon", example_real(e, 1e-5, 1e-2));
    e->relative = 3e-4;
    e->absolute = 1e-4;
    example_output(e, PERCEPT_FLOAT);
    for (int i = 1; i < 4 && sum; i++)
        example_output(e, i == 3 ? PERCEPT_FLOAT : PERCEPT_UNDEFINED);
}

void gen_lrn(struct example *e)
{
    int64_t dims[RANK_MAX];
    int rank = 4;
    example_dims(e, rank, dims, 0);
    example_type(e, "fffffhb");
    example_input(e, e->type, rank, dims, -3, 3);
    example_attr(e, "size", example_int(e, 0, 3) * 2 + 1);
    if (example_chance(e, 60))
        example_attr_real(e, "alpha", example_real(e, 1e-4, 0.5));
    if (example_chance(e, 60))
        example_attr_real(e, "beta", example_real(e, 0.3, 1.2));
    if (example_chance(e, 60))
        example_attr_real(e, "bias", example_real(e, 0.5, 2));
    example_output(e, e->type);
}

void gen_lp_norm(struct example *e)
{
    int64_t dims[RANK_MAX];
    int rank = (int)example_int(e, 1, 5), axis = (int)example_int(e, 0, rank - 1);
    example_dims(e, rank, dims, 0);
    example_type(e, "fffffhdd");
    example_input(e, e->type, rank, dims, -3, 3);
    if (example_chance(e, 70))
        example_attr(e, "axis", example_chance(e, 40) ? axis - rank : axis);
    if (example_chance(e, 70))
        example_attr(e, "p", example_int(e, 1, 2));
    example_output(e, e->type);
}

void gen_mvn(struct example *e)
{
    int64_t dims[RANK_MAX], axes[RANK_MAX];
    int rank = 4;
    example_dims(e, rank, dims, 0);
    if (dims[0] * dims[2] * dims[3] < 4) /* the deviation of too few elements is noise */
        dims[3] += 5;
    example_type(e, "fffffhb");
    example_input(e, e->type, rank, dims, -3, 3);
    if (example_chance(e, 60)) {
        int n = (int)example_int(e, 2, 4);
        example_shuffle(e, rank, axes);
        for (int i = 0, j; i < n; i++) /* ascending */
            for (j = i; j > 0 && axes[j] < axes[j - 1]; j--) {
                int64_t held = axes[j];
                axes[j] = axes[j - 1];
                axes[j - 1] = held;
            }
        int64_t elements = 1;
        for (int i = 0; i < n; i++)
            elements *= dims[axes[i]];
        if (elements >= 4)
            example_attr_list(e, "axes", n, axes);
    }
    e->relative = 3e-4;
    e->absolute = 1e-4;
    example_output(e, e->type);
}
