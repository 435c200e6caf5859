/*
 * spatial.c - sliding windows: attributes and output sizes.
 *
 * Everything that comes from the file is kept below 2^30, so products of two of these numbers fit
 * in int64_t without asking; sizes of inputs are judged by whoever made the tensor.
 *
 * Output size without auto_pad: floor or ceil of (in + pads - reach) / stride, plus 1. With ceil
 * the last window must still begin inside the input or its left padding, else it would see nothing.
 * SAME_* asks for ceil(in / stride) and pads for that; what is odd goes to the end with UPPER and
 * to the beginning with LOWER.
 *
 * Thread: loader and the session's holder. Deliberately knows nothing of ConvTranspose's sizes,
 * which run the other way (conv.c).
 */
#include "op/spatial.h"

#include "op/attr.h"

#define SPATIAL_LIMIT ((int64_t)1 << 30)

static bool judge(const struct node_ctx *ctx, const char *name, const int64_t *values, int n, int64_t least,
                  struct percept_err *err)
{
    for (int i = 0; i < n; i++) {
        if (values[i] < least || values[i] >= SPATIAL_LIMIT)
            return err_set(err, ERR_MODEL, OP_AT "attribute '%s' has the value %lld; %lld to %lld work",
                           OP_NODE(ctx->node), name, (long long)values[i], (long long)least,
                           (long long)SPATIAL_LIMIT - 1);
    }
    return true;
}

static bool read_list(const struct node_ctx *ctx, const char *name, int64_t least, const int64_t **values, int *n,
                      struct percept_err *err)
{
    return attr_ints(ctx, name, values, n, err) && judge(ctx, name, *values, *n, least, err);
}

bool spatial_read(const struct node_ctx *ctx, struct spatial *spatial, struct percept_err *err)
{
    static const char *const known[] = {"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID", NULL};
    return attr_choice(ctx, "auto_pad", AUTO_PAD_NOTSET, known, &spatial->auto_pad, err) &&
           read_list(ctx, "kernel_shape", 1, &spatial->kernel, &spatial->n_kernel, err) &&
           read_list(ctx, "strides", 1, &spatial->stride, &spatial->n_stride, err) &&
           read_list(ctx, "dilations", 1, &spatial->dilation, &spatial->n_dilation, err) &&
           read_list(ctx, "pads", 0, &spatial->pad, &spatial->n_pad, err);
}

static bool fits(const struct node *node, const char *name, int n, int wanted, struct percept_err *err)
{
    if (n == 0 || n == wanted)
        return true;
    return err_set(err, ERR_MODEL, OP_AT "attribute '%s' has %d values; this picture needs %d", OP_NODE(node), name, n,
                   wanted);
}

bool spatial_settle(const struct spatial *spatial, const struct node *node, int axes, const int64_t *kernel,
                    struct geometry *g, struct percept_err *err)
{
    if (axes < 1 || axes > SPATIAL_MAX)
        return err_set(err, ERR_UNSUPPORTED, OP_AT "pictures of rank %d; 3, 4 and 5 work", OP_NODE(node), axes + 2);
    if (!kernel && spatial->n_kernel == 0)
        return err_set(err, ERR_MODEL, OP_AT "attribute 'kernel_shape' is missing", OP_NODE(node));
    if (!fits(node, "kernel_shape", spatial->n_kernel, axes, err) ||
        !fits(node, "strides", spatial->n_stride, axes, err) ||
        !fits(node, "dilations", spatial->n_dilation, axes, err) || !fits(node, "pads", spatial->n_pad, 2 * axes, err))
        return false;
    *g = (struct geometry){.axes = axes};
    for (int i = 0; i < SPATIAL_MAX; i++) {
        const int from = i - (SPATIAL_MAX - axes);
        const bool there = from >= 0;
        const bool padded = there && spatial->n_pad && spatial->auto_pad == AUTO_PAD_NOTSET;
        g->in[i] = g->out[i] = 1;
        g->kernel[i] = there ? (kernel ? kernel[from] : spatial->kernel[from]) : 1;
        g->stride[i] = there && spatial->n_stride ? spatial->stride[from] : 1;
        g->dilation[i] = there && spatial->n_dilation ? spatial->dilation[from] : 1;
        g->pad[i] = padded ? spatial->pad[from] : 0;
        g->pad_end[i] = padded ? spatial->pad[from + axes] : 0;
        if (there && spatial->n_kernel && g->kernel[i] != spatial->kernel[from])
            return err_set(err, ERR_MODEL, OP_AT "attribute 'kernel_shape' says %lld where the weights say %lld",
                           OP_NODE(node), (long long)spatial->kernel[from], (long long)g->kernel[i]);
        if (g->kernel[i] < 1 || g->kernel[i] >= SPATIAL_LIMIT)
            return err_set(err, ERR_MODEL, OP_AT "a kernel of %lld pixels; 1 and more work", OP_NODE(node),
                           (long long)g->kernel[i]);
    }
    return true;
}

void spatial_input(struct geometry *g, const struct tensor *picture)
{
    for (int i = 0; i < g->axes; i++)
        g->in[SPATIAL_MAX - g->axes + i] = picture->dims[2 + i];
}

struct tensor spatial_channels_second(const struct tensor *picture)
{
    struct tensor seen = *picture;
    const int last = picture->rank - 1;
    for (int i = 1; i <= last; i++)
        seen.dims[i] = picture->dims[i == 1 ? last : i - 1];
    return seen;
}

void spatial_channels_last(int rank, int64_t *dims)
{
    const int64_t channels = dims[1];
    for (int i = 1; i < rank - 1; i++)
        dims[i] = dims[i + 1];
    dims[rank - 1] = channels;
}

static void slide_same(struct geometry *g, int i, bool upper)
{
    const int64_t out = (g->in[i] + g->stride[i] - 1) / g->stride[i];
    const int64_t need = (out - 1) * g->stride[i] + spatial_reach(g, i) - g->in[i];
    const int64_t total = need > 0 ? need : 0;
    g->out[i] = out;
    g->pad[i] = upper ? total / 2 : total - total / 2;
    g->pad_end[i] = total - g->pad[i];
}

static int64_t slide_free(const struct geometry *g, int i, bool ceil)
{
    const int64_t room = g->in[i] + g->pad[i] + g->pad_end[i] - spatial_reach(g, i) + (ceil ? g->stride[i] - 1 : 0);
    if (room < 0)
        return 0;
    const int64_t out = room / g->stride[i] + 1;
    return ceil && (out - 1) * g->stride[i] >= g->in[i] + g->pad[i] ? out - 1 : out;
}

bool spatial_slide(struct geometry *g, const struct spatial *spatial, bool ceil, const struct node *node,
                   struct percept_err *err)
{
    const int auto_pad = spatial->auto_pad;
    for (int i = SPATIAL_MAX - g->axes; i < SPATIAL_MAX; i++) {
        if (auto_pad == AUTO_PAD_SAME_UPPER || auto_pad == AUTO_PAD_SAME_LOWER)
            slide_same(g, i, auto_pad == AUTO_PAD_SAME_UPPER);
        else
            g->out[i] = slide_free(g, i, ceil && auto_pad == AUTO_PAD_NOTSET);
        if (g->out[i] < 1)
            return err_set(err, ERR_INVALID,
                           OP_AT "a window of %lld pixels does not fit in %lld pixels with %lld of "
                                 "padding; a larger picture would",
                           OP_NODE(node), (long long)spatial_reach(g, i), (long long)g->in[i],
                           (long long)(g->pad[i] + g->pad_end[i]));
    }
    return true;
}

bool spatial_pool(struct geometry *g, const struct spatial *spatial, bool ceil, const struct node *node,
                  struct percept_err *err)
{
    for (int i = SPATIAL_MAX - g->axes; i < SPATIAL_MAX; i++) {
        const int64_t most = g->pad[i] > g->pad_end[i] ? g->pad[i] : g->pad_end[i];
        if (most >= spatial_reach(g, i))
            return err_set(err, ERR_MODEL,
                           OP_AT "padding of %lld pixels beside a window of %lld; less than the window works",
                           OP_NODE(node), (long long)most, (long long)spatial_reach(g, i));
    }
    if (!spatial_slide(g, spatial, ceil, node, err))
        return false;
    for (int i = SPATIAL_MAX - g->axes; i < SPATIAL_MAX; i++)
        if (g->in[i] == 0 && g->out[i] > 0)
            return err_set(err, ERR_INVALID,
                           OP_AT "axis %d has no elements, and a window of padding alone has "
                                 "nothing to pool; one element or more would work",
                           OP_NODE(node), i - SPATIAL_MAX + g->axes + 2);
    return true;
}

int spatial_dims(const struct geometry *g, int64_t n, int64_t c, int64_t *dims)
{
    dims[0] = n;
    dims[1] = c;
    for (int i = 0; i < g->axes; i++)
        dims[2 + i] = g->out[SPATIAL_MAX - g->axes + i];
    return 2 + g->axes;
}
