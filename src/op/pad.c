/*
 * pad.c - Pad: elements put around others, or, where a pad is negative, taken away.
 *
 * For every axis a table says which input element stands at each output index, or that none does and it is
 * the constant. So the four modes differ in one small function, and a run is a copy by table, row by row;
 * what lies inside along the last axis goes in one piece. The tables are in scratch and made at every run:
 * they are as long as the axes, not as the tensor.
 *
 * Elements are 1, 2, 4, 8 or 16 bytes, in plain layout.
 */
#include <string.h>

#include "op/attr.h"
#include "op/batch_axis.h"
#include "op/walk.h"

enum pad_mode { PAD_CONSTANT, PAD_REFLECT, PAD_EDGE, PAD_WRAP };

struct pad_priv {
    int mode;
    bool attributes;
    const int64_t *pads;
    int n;
    float value;
};

struct pads {
    int64_t begin[RANK_MAX], end[RANK_MAX];
};

static bool pad_check(struct node_ctx *ctx, struct percept_err *err)
{
    static const char *const modes[] = {"constant", "reflect", "edge", "wrap", NULL};
    struct pad_priv *priv = op_priv(ctx, sizeof *priv, err);
    if (!priv || !attr_choice(ctx, "mode", PAD_CONSTANT, modes, &priv->mode, err))
        return false;
    priv->attributes = ctx->node->opset < 11;
    if (!priv->attributes)
        return op_arity(ctx, 2, 4, 1, err);
    const char *name = attr_has(ctx, "paddings") ? "paddings" : "pads"; /* opset 1's name */
    return op_arity(ctx, 1, 1, 1, err) && attr_ints(ctx, name, &priv->pads, &priv->n, err) &&
           attr_float(ctx, "value", 0, &priv->value, err);
}

static bool pad_axes(const struct step *step, int64_t *axes, int *n, struct percept_err *err)
{
    *n = step->in[0]->rank;
    for (int i = 0; i < *n; i++)
        axes[i] = i;
    return !op_in(step, 3) || op_ints(step, 3, RANK_MAX, axes, n, err);
}

static bool take_pads(const struct step *step, struct pads *pads, struct percept_err *err)
{
    const struct pad_priv *priv = step->priv;
    const struct tensor *x = step->in[0];
    int64_t list[2 * RANK_MAX], axes[RANK_MAX];
    const int64_t *from = priv->attributes ? priv->pads : list;
    int n = priv->n, n_axes;
    *pads = (struct pads){{0}, {0}};
    if (!pad_axes(step, axes, &n_axes, err) || (!priv->attributes && !op_ints(step, 1, 2 * RANK_MAX, list, &n, err)))
        return false;
    if (n != 2 * n_axes)
        return err_set(err, ERR_MODEL, OP_AT "%d pads for %d axes; two for each would work", OP_NODE(step->node), n,
                       n_axes);
    for (int i = 0; i < n_axes; i++) {
        int axis;
        if (!op_axis(step, axes[i], x->rank, &axis, err))
            return false;
        pads->begin[axis] = from[i];
        pads->end[axis] = from[i + n_axes];
    }
    return true;
}

static bool pad_shape(struct step *step, struct percept_err *err)
{
    const struct pad_priv *priv = step->priv;
    const struct tensor *x = step->in[0];
    struct pads pads;
    int64_t dims[RANK_MAX], maps = 0;
    if (!take_pads(step, &pads, err))
        return false;
    if (op_in(step, 2) && (!op_want_dtype(step, 2, x->dtype, err) || tensor_elements(step->in[2]) != 1))
        return err_set(err, ERR_MODEL, OP_AT "the value is not one element of the input's type", OP_NODE(step->node));
    for (int i = 0; i < x->rank; i++) {
        int64_t dim = x->dims[i];
        bool fits = !__builtin_add_overflow(dim, pads.begin[i], &dim) &&
                    !__builtin_add_overflow(dim, pads.end[i], &dim) && dim >= 0 && dim < INT32_MAX;
        if (fits && priv->mode != PAD_CONSTANT && dim > 0)
            fits = x->dims[i] > 0;
        if (!fits)
            return err_set(err, ERR_INVALID,
                           OP_AT "axis %d of %lld elements cannot be padded by %lld "
                                 "and %lld",
                           OP_NODE(step->node), i, (long long)x->dims[i], (long long)pads.begin[i],
                           (long long)pads.end[i]);
        dims[i] = dim;
        maps += dim;
    }
    op_set_out(step, 0, x->dtype, x->rank, dims);
    step->scratch_bytes = (size_t)maps * sizeof(int64_t);
    return true;
}

static int64_t wrapped(int64_t at, int64_t period)
{
    int64_t rest = at % period;
    return rest < 0 ? rest + period : rest;
}

/* Which input element stands at `at` of an axis (which may lie outside); -1: the constant. */
static int64_t pad_source(int mode, int64_t at, int64_t dim)
{
    if (at >= 0 && at < dim)
        return at;
    if (mode == PAD_CONSTANT)
        return -1;
    if (mode == PAD_EDGE)
        return at < 0 ? 0 : dim - 1;
    if (mode == PAD_WRAP)
        return wrapped(at, dim);
    if (dim == 1)
        return 0;
    int64_t bounced = wrapped(at, 2 * (dim - 1));
    return bounced < dim ? bounced : 2 * (dim - 1) - bounced;
}

struct padding {
    const struct tensor *x, *out;
    const int64_t *maps[RANK_MAX]; /* input index of each output index, per axis */
    int64_t strides[RANK_MAX];
    char value[16];
    size_t size;
    int64_t inside_from, inside_to; /* of the last axis: copied as they stand */
    bool constant;                  /* `value` stands outside */
};

/* Elements [from, to) of a row that lie outside its input. */
static void pad_margin(const struct padding *p, char *y, const char *x, int64_t from, int64_t to)
{
    const int64_t *map = p->maps[p->out->rank - 1];
    if (p->constant) {
        walk_fill(y + from * (int64_t)p->size, p->value, p->size, to - from);
        return;
    }
    for (int64_t j = from; j < to; j++)
        memcpy(y + j * (int64_t)p->size, x + map[j] * (int64_t)p->size, p->size);
}

static void pad_row(const struct padding *p, char *y, const char *x)
{
    const int last = p->out->rank - 1;
    const int64_t size = (int64_t)p->size, from = p->inside_from, to = p->inside_to;
    pad_margin(p, y, x, 0, from);
    if (to > from)
        memcpy(y + from * size, x + p->maps[last][from] * size, (size_t)((to - from) * size));
    pad_margin(p, y, x, to, p->out->dims[last]);
}

static void pad_rows(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct padding *p = arg;
    int last = p->out->rank - 1;
    int64_t row_bytes = p->out->dims[last] * (int64_t)p->size;
    for (int64_t row = from; row < to; row++) {
        int64_t rest = row, at = 0;
        bool outside = false;
        for (int axis = last - 1; axis >= 0; axis--) {
            int64_t index = p->maps[axis][rest % p->out->dims[axis]];
            rest /= p->out->dims[axis];
            outside = outside || index < 0;
            at += index * p->strides[axis];
        }
        char *y = (char *)p->out->data + row * row_bytes;
        if (outside)
            walk_fill(y, p->value, p->size, p->out->dims[last]);
        else
            pad_row(p, y, (const char *)p->x->data + at * (int64_t)p->size);
    }
}

static void pad_value(const struct step *step, struct padding *p)
{
    const struct pad_priv *priv = step->priv;
    double wide = (double)priv->value;
    if (op_in(step, 2))
        memcpy(p->value, step->in[2]->data, p->size);
    else if (p->x->dtype == PERCEPT_DOUBLE)
        memcpy(p->value, &wide, sizeof wide);
    else if (p->x->dtype == PERCEPT_FLOAT)
        memcpy(p->value, &priv->value, sizeof priv->value);
}

static bool pad_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct pad_priv *priv = step->priv;
    struct padding p = {.x = step->in[0], .out = step->out[0], .constant = priv->mode == PAD_CONSTANT};
    struct pads pads;
    p.size = tensor_dtype_bytes(p.x->dtype);
    if (!take_pads(step, &pads, err))
        return false;
    if (p.out->rank == 0) {
        memcpy(p.out->data, p.x->data, p.size);
        return true;
    }
    int64_t n = tensor_elements(p.out);
    if (n == 0)
        return true;
    int64_t *map = step->scratch;
    for (int i = 0; i < p.out->rank; i++) {
        p.maps[i] = map;
        for (int64_t k = 0; k < p.out->dims[i]; k++)
            *map++ = pad_source(priv->mode, k - pads.begin[i], p.x->dims[i]);
    }
    int last = p.out->rank - 1;
    tensor_strides(p.x->rank, p.x->dims, p.strides);
    p.inside_from = op_clamp(pads.begin[last], 0, p.out->dims[last]);
    p.inside_to = op_clamp(pads.begin[last] + p.x->dims[last], p.inside_from, p.out->dims[last]);
    pad_value(step, &p);
    int64_t row = p.out->dims[last];
    team_split(env->team, n / row, 1 + WALK_GRAIN / row, pad_rows, &p);
    return true;
}

static void pad_batch(struct batch_view *view)
{
    const struct batch_place place = view->in[0];
    struct pads one, many;
    if (place.word != BATCH_INDEPENDENT || !batch_axis_others_known(view, 1, 1) || !take_pads(view->one, &one, NULL) ||
        !take_pads(view->many, &many, NULL))
        return;
    for (int d = 0; d < view->many->in[0]->rank; d++) {
        if (d == place.axis ? one.begin[d] || one.end[d] || many.begin[d] || many.end[d]
                            : many.begin[d] != one.begin[d] || many.end[d] != one.end[d]) {
            batch_axis_mixes(view, "pads along the batch, or by its size");
            return;
        }
    }
    batch_axis_all(view, place);
}

const struct op_rule op_pad = {.check = pad_check, .shape = pad_shape, .run = pad_run, .batch = pad_batch};
