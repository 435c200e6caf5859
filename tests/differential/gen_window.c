/*
 * gen_window.c - models of what slides a window over pictures: Conv, ConvTranspose, the pools, MaxUnpool,
 * Col2Im; and of the products of matrices: MatMul, Gemm; and Det.
 *
 * Tolerance: sums of K products of numbers near 1 in two orders differ by about sqrt(K) 1e-7 of the largest
 * partial sum; `absolute` grows with that.
 */
#include <math.h>
#include <string.h>

#include "differential/families.h"

struct window {
    int spatial;
    int64_t in[3], kernel[3], stride[3], dilation[3], pad[6];
    bool attr_stride, attr_dilation, attr_pads;
    const char *auto_pad;
};

static void draw_window(struct example *e, struct window *w, bool dilated, bool padded)
{
    *w = (struct window){.spatial = (int)example_int(e, 1, 3)};
    if (example_chance(e, 40))
        w->spatial = 2;
    w->attr_stride = example_chance(e, 60);
    w->attr_dilation = dilated && example_chance(e, 30);
    w->attr_pads = padded && example_chance(e, 60);
    bool same_kernel = example_chance(e, 30);
    for (int i = 0; i < w->spatial; i++) {
        w->kernel[i] = same_kernel ? 3 : example_int(e, 1, w->spatial == 3 ? 3 : 5);
        w->stride[i] = w->attr_stride ? example_int(e, 1, 3) : 1;
        w->dilation[i] = w->attr_dilation ? example_int(e, 1, 3) : 1;
        int64_t span = (w->kernel[i] - 1) * w->dilation[i] + 1;
        w->in[i] = span + example_int(e, 0, w->spatial == 3 ? 4 : 9);
        if (w->attr_pads) {
            w->pad[i] = example_int(e, 0, w->kernel[i] - 1);
            w->pad[w->spatial + i] = example_int(e, 0, w->kernel[i] - 1);
        }
    }
    if (padded && !w->attr_pads && example_chance(e, 35))
        w->auto_pad = example_word(e, 4, (const char *const[]){"SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"});
}

static void window_attrs(struct example *e, const struct window *w, bool kernel_shape)
{
    if (kernel_shape)
        example_attr_list(e, "kernel_shape", w->spatial, w->kernel);
    if (w->attr_stride)
        example_attr_list(e, "strides", w->spatial, w->stride);
    if (w->attr_dilation)
        example_attr_list(e, "dilations", w->spatial, w->dilation);
    if (w->attr_pads && !*e->domain)
        example_attr_list(e, "pads", 2 * w->spatial, w->pad);
    if (w->auto_pad)
        example_attr_text(e, "auto_pad", w->auto_pad);
}

static void picture(struct example *e, const struct window *w, int64_t channels, int64_t *dims)
{
    dims[0] = example_chance(e, 4) ? 0 : example_int(e, 1, 3);
    dims[1] = channels;
    for (int i = 0; i < w->spatial; i++)
        dims[2 + i] = w->in[i];
}

/* Groups: none, some, or one per channel (depthwise); channels in odd numbers. */
static void draw_channels(struct example *e, int64_t *groups, int64_t *in, int64_t *out)
{
    int kind = (int)example_int(e, 0, 9);
    *groups = kind < 6 ? 1 : kind < 8 ? example_int(e, 2, 4) : example_int(e, 2, 20);
    *in = *groups * (kind < 8 ? example_int(e, 1, kind < 6 ? 20 : 6) : 1);
    *out = *groups * (kind < 8 ? example_int(e, 1, kind < 6 ? 20 : 6) : example_int(e, 1, 2));
}

/* The kernel of shape dims[2] and the window's, mostly constant, a bias and the attributes. */
static void weights(struct example *e, const struct window *w, int64_t *dims, int64_t out, int64_t groups)
{
    memcpy(dims + 2, w->kernel, sizeof w->kernel);
    example_input(e, e->type, 2 + w->spatial, dims, -1, 1);
    bool constant = example_chance(e, 75);
    example_constant(e, constant ? 100 : 0);
    if (*e->domain) { /* ConvTransposeWithDynamicPads */
        example_int64s(e, 2 * w->spatial, w->pad);
        example_constant(e, 100);
    }
    if (example_chance(e, 60)) {
        example_input(e, e->type, 1, &out, -1, 1);
        example_constant(e, constant ? 95 : 0);
    }
    window_attrs(e, w, example_chance(e, 60));
    if (groups > 1)
        example_attr(e, "group", groups);
}

void gen_conv(struct example *e)
{
    struct window w;
    int64_t groups, in, out, x[5];
    draw_window(e, &w, true, true);
    draw_channels(e, &groups, &in, &out);
    if (w.auto_pad && strncmp(w.auto_pad, "SAME", 4) == 0) /* how SAME and dilation meet is not written down */
        w.attr_dilation = false;
    for (int i = 0; i < 3 && !w.attr_dilation; i++)
        w.dilation[i] = 1;
    example_type(e, e->opset >= 22 ? "ffffffhbb" : "ffffffh");
    picture(e, &w, in, x);
    example_input(e, e->type, 2 + w.spatial, x, -1, 1);
    weights(e, &w, (int64_t[5]){out, in / groups}, out, groups);
    int64_t terms = in / groups;
    for (int i = 0; i < w.spatial; i++)
        terms *= w.kernel[i];
    e->absolute = 1e-5 + 2e-6 * sqrt((double)terms);
    example_output(e, e->type);
}

void gen_conv_transpose(struct example *e) /* ConvTranspose, ms ConvTransposeWithDynamicPads */
{
    struct window w;
    int64_t groups, in, out, x[5], extra[3];
    draw_window(e, &w, true, true);
    draw_channels(e, &groups, &in, &out);
    example_type(e, *e->domain ? "f" : e->opset >= 22 ? "ffffffhb" : "ffffffh");
    for (int i = 0; i < w.spatial; i++)
        w.in[i] = example_int(e, 1, 6);
    if (w.auto_pad && strncmp(w.auto_pad, "SAME", 4) == 0) /* a kernel below the stride has nothing to cut */
        for (int i = 0; i < w.spatial; i++)
            w.stride[i] = w.attr_stride && w.kernel[i] > 1 ? example_int(e, 1, w.kernel[i]) : 1;
    picture(e, &w, in, x);
    x[0] = x[0] ? x[0] : 1;
    example_input(e, e->type, 2 + w.spatial, x, -1, 1);
    weights(e, &w, (int64_t[5]){in, out / groups}, out, groups);
    if (!w.auto_pad && example_chance(e, 30)) {
        for (int i = 0; i < w.spatial; i++) {
            int64_t most = w.stride[i] > w.dilation[i] ? w.stride[i] : w.dilation[i];
            extra[i] = example_int(e, 0, most - 1);
        }
        example_attr_list(e, "output_padding", w.spatial, extra);
    }
    e->absolute = 1e-5 + 2e-6 * sqrt((double)(in / groups) * 25);
    example_output(e, e->type);
}

void gen_pool(struct example *e) /* MaxPool, AveragePool, LpPool */
{
    struct window w;
    int64_t x[5];
    bool max = strcmp(e->op, "MaxPool") == 0, average = strcmp(e->op, "AveragePool") == 0;
    draw_window(e, &w, max ? e->opset >= 10 : average ? e->opset >= 19 : e->opset >= 18, true);
    if (w.auto_pad && strncmp(w.auto_pad, "SAME", 4) == 0) { /* below the stride, padding would be negative */
        w.attr_dilation = false;
        for (int i = 0; i < w.spatial; i++)
            w.stride[i] = w.stride[i] > w.kernel[i] ? w.kernel[i] : w.stride[i];
    }
    example_type(e, max && e->opset >= 12 ? "fffffhdcC" : max ? "fffffh" : "ffffffh");
    picture(e, &w, example_int(e, 1, 20), x);
    example_input(e, e->type, 2 + w.spatial, x, -3, 3);
    window_attrs(e, &w, true);
    bool has_ceil = max || average ? e->opset >= 10 : e->opset >= 18;
    if (has_ceil && !w.auto_pad && example_chance(e, 40))
        example_attr(e, "ceil_mode", example_int(e, 0, 1));
    if (average && example_chance(e, 50))
        example_attr(e, "count_include_pad", example_int(e, 0, 1));
    if (!max && !average && example_chance(e, 70))
        example_attr(e, "p", example_int(e, 1, 3));
    if (max && e->opset >= 10 && example_chance(e, 15))
        example_attr(e, "storage_order", example_int(e, 0, 1));
    example_output(e, e->type);
    if (max && e->opset >= 8 && e->type == PERCEPT_FLOAT && example_chance(e, 25))
        example_output(e, PERCEPT_INT64);
}

void gen_nhwc_max_pool(struct example *e)
{
    struct window w;
    int64_t x[5];
    draw_window(e, &w, true, true);
    w.auto_pad = NULL;
    enum percept_dtype t = example_dtype(e, "cC");
    picture(e, &w, example_int(e, 1, 20), x);
    int64_t channels = x[1];
    memmove(x + 1, x + 2, (size_t)w.spatial * sizeof *x);
    x[1 + w.spatial] = channels;
    example_input(e, t, 2 + w.spatial, x, -128, 255);
    window_attrs(e, &w, true);
    if (example_chance(e, 40))
        example_attr(e, "ceil_mode", example_int(e, 0, 1));
    example_output(e, t);
}

void gen_global_pool(struct example *e)
{
    int64_t dims[RANK_MAX];
    int rank = (int)example_int(e, 3, 5);
    example_dims(e, rank, dims, 0);
    example_type(e, e->opset >= 22 ? "fffffhb" : "fffffh");
    example_input(e, e->type, rank, dims, -3, 3);
    if (strcmp(e->op, "GlobalLpPool") == 0 && example_chance(e, 70))
        example_attr(e, "p", example_int(e, 1, 3));
    example_output(e, e->type);
}

void gen_max_unpool(struct example *e)
{
    int spatial = (int)example_int(e, 1, 3);
    int64_t x[5] = {example_int(e, 1, 2), example_int(e, 1, 3), 1, 1, 1}, kernel[3], stride[3], pads[6] = {0};
    int64_t plane = 1;
    for (int i = 0; i < spatial; i++) {
        kernel[i] = example_int(e, 2, 3);
        stride[i] = kernel[i];
        x[2 + i] = example_int(e, 1, 4);
        plane *= x[2 + i] * kernel[i];
    }
    example_type(e, "f");
    struct tensor *t = example_input(e, e->type, 2 + spatial, x, 0.5, 3);
    int64_t n = tensor_elements(t), whole = plane * x[0] * x[1];
    struct tensor *at = example_input(e, PERCEPT_INT64, 2 + spatial, x, 0, 0);
    int64_t *order = arena_array(e->arena, (size_t)whole, sizeof *order);
    example_shuffle(e, (int)whole, order); /* no place twice */
    for (int64_t i = 0; i < n; i++)
        ((int64_t *)at->data)[i] = order[i];
    example_attr_list(e, "kernel_shape", spatial, kernel);
    example_attr_list(e, "strides", spatial, stride);
    if (example_chance(e, 30))
        example_attr_list(e, "pads", 2 * spatial, pads);
    if (example_chance(e, 30)) {
        int64_t shape[5] = {x[0], x[1], 0, 0, 0};
        for (int i = 0; i < spatial; i++)
            shape[2 + i] = x[2 + i] * kernel[i];
        example_int64s(e, 2 + spatial, shape);
        example_constant(e, 70);
    }
    example_output(e, e->type);
}

/* By the definition: element (block, k) of a column is added where its window puts it. */
static bool col2im_oracle(const struct example *e, struct tensor *out)
{
    const struct window *w = e->user;
    const struct tensor *x = &e->in[0].tensor;
    int64_t dims[5] = {x->dims[0]}, area = 1;
    for (int i = 0; i < w->spatial; i++) {
        area *= w->kernel[i];
        dims[2 + i] = w->in[i];
    }
    dims[1] = x->dims[1] / area;
    struct tensor sum = example_tensor(e->arena, PERCEPT_DOUBLE, 2 + w->spatial, dims);
    for (int64_t i = 0; i < tensor_elements(&sum); i++)
        example_set(&sum, i, 0);
    for (int64_t i = 0; i < tensor_elements(x); i++) {
        int64_t window = i % x->dims[2], cell = i / x->dims[2] % area, at = 0, stride = 1;
        int64_t map = i / x->dims[2] / area;
        bool inside = true;
        for (int d = w->spatial - 1; d >= 0; d--) {
            int64_t room = w->in[d] + w->pad[d] + w->pad[w->spatial + d] - (w->kernel[d] - 1) * w->dilation[d] - 1;
            int64_t windows = room / w->stride[d] + 1;
            int64_t place = window % windows * w->stride[d] - w->pad[d] + cell % w->kernel[d] * w->dilation[d];
            inside = inside && place >= 0 && place < w->in[d];
            at += place * stride;
            stride *= w->in[d];
            window /= windows;
            cell /= w->kernel[d];
        }
        if (inside)
            ((double *)sum.data)[map * stride + at] += example_get(x, i);
    }
    out[0] = example_tensor(e->arena, e->type, sum.rank, dims);
    for (int64_t i = 0; i < tensor_elements(&sum); i++)
        example_set(&out[0], i, example_get(&sum, i));
    return true;
}

void gen_col2im(struct example *e)
{
    struct window *kept = arena_alloc(e->arena, sizeof *kept), w;
    draw_window(e, &w, true, true);
    *kept = w;
    e->user = kept;
    e->oracle = col2im_oracle;
    w.auto_pad = NULL;
    int64_t blocks = 1, area = 1;
    for (int i = 0; i < w.spatial; i++) {
        int64_t room = w.in[i] + w.pad[i] + w.pad[w.spatial + i] - ((w.kernel[i] - 1) * w.dilation[i] + 1);
        blocks *= room / w.stride[i] + 1;
        area *= w.kernel[i];
    }
    int64_t x[3] = {example_int(e, 1, 2), example_int(e, 1, 3) * area, blocks};
    example_type(e, "ffffhb");
    example_input(e, e->type, 3, x, -1, 1);
    if (w.spatial != 2 && w.attr_dilation)
        e->explained = "Col2Im with dilations over one or three axes";
    example_int64s(e, w.spatial, w.in);
    example_constant(e, 80);
    example_int64s(e, w.spatial, w.kernel);
    example_constant(e, 80);
    window_attrs(e, &w, false);
    example_output(e, e->type);
}

/* --- products ----------------------------------------------------------------------------------------------------- */

void gen_matmul(struct example *e)
{
    int64_t batch[3], a[5], b[5];
    int n = (int)example_int(e, 0, 3), na = n, nb = n;
    int64_t m = example_dim(e, 3), k = example_dim(e, 2), p = example_dim(e, 3);
    if (example_chance(e, 30))
        k *= 9;
    for (int i = 0; i < n; i++)
        batch[i] = example_int(e, 1, 3);
    if (example_chance(e, 40))
        na = (int)example_int(e, 0, n);
    else if (example_chance(e, 60))
        nb = (int)example_int(e, 0, n);
    for (int i = 0; i < na; i++)
        a[i] = example_chance(e, 20) ? 1 : batch[n - na + i];
    for (int i = 0; i < nb; i++)
        b[i] = example_chance(e, 20) ? 1 : batch[n - nb + i];
    int ra = na, rb = nb;
    if (na > 0 || !example_chance(e, 25))
        a[ra++] = m;
    a[ra++] = k;
    b[rb++] = k;
    if (nb > 0 || !example_chance(e, 25))
        b[rb++] = p;
    example_type(e, e->opset >= 13 ? "fffffhbdil" : e->opset >= 9 ? "ffffhdil" : "fffffh");
    example_input(e, e->type, ra, a, -2, 2);
    example_constant(e, 15);
    example_input(e, e->type, rb, b, -2, 2);
    example_constant(e, e->in[0].constant ? 0 : 50);
    e->absolute = 1e-5 + 4e-6 * sqrt((double)k);
    example_output(e, e->type);
}

void gen_fused_matmul(struct example *e) /* ms FusedMatMul, TransposeMatMul */
{
    int64_t a[5], b[5];
    int rank = (int)example_int(e, 2, 4);
    const int64_t m = example_int(e, 1, 30), k = example_int(e, 1, 40), n = example_int(e, 1, 30);
    const char *const names[] = {"transA", "transB", "transBatchA", "transBatchB"};
    const bool flat = rank > 2 && example_chance(e, 25);  /* one matrix on the right */
    const bool fused = strcmp(e->op, "FusedMatMul") == 0; /* else TransposeMatMul, which knows the first two */
    int64_t turn[4];
    for (int i = 0; i < 4; i++)
        turn[i] = example_chance(e, 40) && (i < 2 || (fused && rank > 2 && !flat)); /* the last two: ranks are equal */
    for (int i = 0; i < rank - 2; i++)
        a[i] = b[i] = example_int(e, 1, 3);
    a[rank - 2] = m, a[rank - 1] = b[rank - 2] = k, b[rank - 1] = n;
    for (int i = 0; i < 2; i++) {
        int64_t *dims = i ? b : a, last = dims[rank - 1];
        if (turn[i])
            dims[rank - 1] = dims[rank - 2], dims[rank - 2] = last;
        if (!turn[2 + i])
            continue;
        const int64_t moved = dims[rank - 2]; /* it stands first */
        memmove(dims + 1, dims, (size_t)(rank - 2) * sizeof *dims);
        dims[0] = moved;
    }
    example_type(e, "ffffd");
    example_input(e, e->type, rank, a, -2, 2);
    example_constant(e, 15);
    example_input(e, e->type, flat ? 2 : rank, flat ? b + rank - 2 : b, -2, 2);
    example_constant(e, e->in[0].constant ? 0 : 50);
    for (int i = 0; i < (fused ? 4 : 2); i++)
        if (turn[i] || example_chance(e, 20))
            example_attr(e, names[i], turn[i]);
    if (example_chance(e, 60))
        example_attr_real(e, "alpha", example_real(e, -2, 2));
    e->absolute = 2e-5 + 8e-6 * sqrt((double)k);
    example_output(e, e->type);
}

struct gemm {
    int64_t m, n;
    double beta;
};

/* Of no terms: beta C, spread to [m][n]. */
static bool gemm_oracle(const struct example *e, struct tensor *out)
{
    const struct gemm *g = e->user;
    out[0] = example_tensor(e->arena, e->type, 2, (int64_t[]){g->m, g->n});
    const struct tensor *c = e->n_in > 2 ? &e->in[2].tensor : NULL;
    for (int64_t i = 0; i < g->m * g->n; i++) {
        const bool columns = c && c->rank > 0 && c->dims[c->rank - 1] > 1;
        const bool rows = c && c->rank > 1 && c->dims[0] > 1;
        const int64_t at = (rows ? i / g->n * (columns ? g->n : 1) : 0) + (columns ? i % g->n : 0);
        example_set(&out[0], i, c ? g->beta * example_get(c, at) : 0);
    }
    return true;
}

/* ms FusedGemm */
static void activation(struct example *e)
{
    static const char *const names[] = {"Relu",      "Tanh", "Sigmoid",         "Softplus",    "Softsign",
                                        "LeakyRelu", "Elu",  "ThresholdedRelu", "HardSigmoid", "Selu"};
    const char *name = example_word(e, 10, names);
    const bool two = strcmp(name, "HardSigmoid") == 0, selu = strcmp(name, "Selu") == 0;
    example_attr_text(e, "activation", name);
    if (two || selu || strstr("LeakyRelu Elu ThresholdedRelu", name))
        example_attr_real(e, "activation_alpha", example_real(e, 0.1, 0.9));
    if (two || selu)
        example_attr_real(e, selu ? "activation_gamma" : "activation_beta", example_real(e, 0.1, 0.9));
}

void gen_gemm(struct example *e) /* Gemm, ms FusedGemm */
{
    int64_t m = example_dim(e, 3), k = example_dim(e, 2), n = example_dim(e, 3);
    int ta = (int)example_int(e, 0, 1), tb = (int)example_int(e, 0, 1);
    double beta = 1;
    if (*e->domain && k == 0)
        k = 1;
    if (example_chance(e, 30))
        k *= 9;
    example_type(e, *e->domain ? "f" : e->opset >= 13 ? "fffffhbdil" : e->opset >= 9 ? "ffffhdil" : "fffffh");
    bool whole = !example_is_floating(e->type);
    example_input(e, e->type, 2, ta ? (int64_t[]){k, m} : (int64_t[]){m, k}, -2, 2);
    example_constant(e, 10);
    example_input(e, e->type, 2, tb ? (int64_t[]){n, k} : (int64_t[]){k, n}, -2, 2);
    example_constant(e, e->in[0].constant ? 0 : 60);
    if (e->opset < 11 || example_chance(e, 75)) {
        int64_t c[2] = {example_chance(e, 60) ? m : 1, example_chance(e, 75) ? n : 1};
        int rank = e->opset < 7 ? 2 : (int)example_int(e, 0, 2);
        if (e->opset < 7)
            c[0] = m, c[1] = n;
        example_input(e, e->type, rank, c + 2 - rank, -2, 2);
        example_constant(e, 60);
    }
    if (example_chance(e, 40))
        example_attr_real(e, "alpha", whole ? (double)example_int(e, 1, 3) : example_real(e, -2, 2));
    if (example_chance(e, 40))
        example_attr_real(e, "beta", beta = whole ? (double)example_int(e, 0, 3) : example_real(e, -2, 2));
    if (ta || example_chance(e, 20))
        example_attr(e, "transA", ta);
    if (tb || example_chance(e, 20))
        example_attr(e, "transB", tb);
    if (*e->domain)
        activation(e);
    if (k == 0) {
        struct gemm *kept = arena_alloc(e->arena, sizeof *kept);
        *kept = (struct gemm){m, n, beta};
        e->explained = "Gemm of no terms";
        e->user = kept;
        e->oracle = gemm_oracle;
    }
    e->absolute = 2e-5 + 8e-6 * sqrt((double)k);
    example_output(e, e->type);
}

void gen_det(struct example *e)
{
    int64_t dims[4];
    int rank = (int)example_int(e, 2, 4);
    example_type(e, "ffffhd");
    for (int i = 0; i < rank - 2; i++)
        dims[i] = example_int(e, example_chance(e, 5) ? 0 : 1, 3);
    dims[rank - 2] = dims[rank - 1] = example_int(e, 1, 7);
    struct tensor *x = example_input(e, e->type, rank, dims, -2, 2);
    for (int64_t i = dims[rank - 1]; i < tensor_elements(x) && example_chance(e, 3); i++) /* a row again */
        example_set(x, i, example_get(x, i - dims[rank - 1]));
    e->absolute = 1e-3;
    e->relative = 1e-4;
    example_output(e, e->type);
}
