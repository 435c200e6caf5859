/*
 * spatial.h - windows that slide over up to three spatial axes: the attributes that Conv,
 * ConvTranspose and the pools share, and the arithmetic of their output sizes.
 *
 * Arrays of three are filled from the right: axis 2 is the innermost (width); axes that a picture
 * does not have are 1 long, with a kernel, stride and dilation of 1 and no padding.
 */
#ifndef OP_SPATIAL_H
#define OP_SPATIAL_H

#include "op/op.h"

#define SPATIAL_MAX 3

enum auto_pad { AUTO_PAD_NOTSET, AUTO_PAD_SAME_UPPER, AUTO_PAD_SAME_LOWER, AUTO_PAD_VALID };

/* As the attributes say; how many axes there are may not be known yet. */
struct spatial {
    int auto_pad;
    int n_kernel, n_stride, n_dilation, n_pad; /* 0: absent */
    const int64_t *kernel, *stride, *dilation, *pad;
};

/* One picture's geometry. */
struct geometry {
    int axes;
    int64_t in[3], out[3], kernel[3], stride[3], dilation[3], pad[3], pad_end[3];
};

/* check: reads kernel_shape, strides, dilations, pads, auto_pad and judges what can be judged. */
bool spatial_read(const struct node_ctx *ctx, struct spatial *spatial, struct percept_err *err);

/* Everything but in and out, for a picture with so many axes; kernel: [axes] or NULL, then the
 * attribute is needed. The counts of all attributes must fit. */
bool spatial_settle(const struct spatial *spatial, const struct node *node, int axes, const int64_t *kernel,
                    struct geometry *g, struct percept_err *err);

/* in[] from dims [N][C][spatial ...]. */
void spatial_input(struct geometry *g, const struct tensor *picture);

/* [N][spatial ...][C] as [N][C][spatial ...], and dims the other way: no data move. */
struct tensor spatial_channels_second(const struct tensor *picture);
void spatial_channels_last(int rank, int64_t *dims);

/* out, pad and pad_end of a sliding window. */
bool spatial_slide(struct geometry *g, const struct spatial *spatial, bool ceil, const struct node *node,
                   struct percept_err *err);

/* The same for a pool, none of whose windows may lie in the padding alone: it would have nothing to pool. */
bool spatial_pool(struct geometry *g, const struct spatial *spatial, bool ceil, const struct node *node,
                  struct percept_err *err);

/* dims := [n][c][out ...]; the rank. */
int spatial_dims(const struct geometry *g, int64_t n, int64_t c, int64_t *dims);

static inline int64_t spatial_volume(const int64_t axes[3])
{
    return axes[0] * axes[1] * axes[2];
}

/* Pixels that a window covers, dilated. */
static inline int64_t spatial_reach(const struct geometry *g, int axis)
{
    return g->dilation[axis] * (g->kernel[axis] - 1) + 1;
}

#endif
