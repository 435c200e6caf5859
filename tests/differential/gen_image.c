/*
 * gen_image.c - models of what samples pictures (Resize, Upsample, GridSample, AffineGrid, RoiAlign,
 * CropAndResize, DeformConv), scales or cuts them (ImageScaler, Crop), NonMaxSuppression and Einsum.
 *
 * Where a sampling point falls on the border between two elements, one rounding decides; scales and sizes
 * are drawn so that nearest-neighbour points keep away from it.
 */
#include <math.h>
#include <string.h>

#include "differential/families.h"

static int resized(struct example *e, int64_t *dims, bool batch_too)
{
    int rank = (int)example_int(e, 3, 5);
    dims[0] = example_int(e, 1, 2);
    dims[1] = example_int(e, 1, 5);
    for (int i = 2; i < rank; i++)
        dims[i] = example_int(e, batch_too ? 1 : 2, 7);
    return rank;
}

static struct tensor *floats(struct example *e, int64_t n, const float *values)
{
    struct tensor *t = example_input(e, PERCEPT_FLOAT, 1, &n, 0, 0);
    for (int64_t i = 0; i < n; i++)
        ((float *)t->data)[i] = values[i];
    example_constant(e, 85);
    return t;
}

/* ONNX Runtime knows what was removed up to here. */
static void early(struct example *e)
{
    if (e->opset > 9)
        e->opset = (int)example_int(e, 7, 9);
}

void gen_image_scaler(struct example *e)
{
    int64_t dims[4] = {example_int(e, 0, 3), example_int(e, 1, 20), example_int(e, 1, 9), example_int(e, 1, 9)};
    float bias[20];
    early(e);
    for (int c = 0; c < 20; c++)
        bias[c] = (float)example_real(e, -2, 2);
    example_type(e, "fffh");
    example_input(e, e->type, 4, dims, -3, 3);
    example_attr_real(e, "scale", example_real(e, -2, 2));
    proto_attr_floats(&e->attributes, "bias", (size_t)dims[1], bias);
    example_output(e, e->type);
}

void gen_crop(struct example *e)
{
    int64_t dims[4] = {example_int(e, 0, 3), example_int(e, 1, 9)}, border[4], left[2]; /* left over */
    early(e);
    for (int i = 0; i < 2; i++) {
        border[1 - i] = example_int(e, 0, 4);
        border[3 - i] = example_int(e, 0, 4);
        left[i] = example_int(e, example_chance(e, 5) ? 0 : 1, 6);
        dims[2 + i] = border[1 - i] + border[3 - i] + left[i];
    }
    example_type(e, "fffh");
    example_input(e, e->type, 4, dims, -3, 3);
    example_attr_list(e, "border", 4, border);
    if (example_chance(e, 50))
        example_attr_list(e, "scale", 2, (int64_t[]){example_int(e, 1, left[0]), example_int(e, 1, left[1])});
    example_output(e, e->type);
}

/* Scales of powers of two and halves of odd numbers: sizes come out whole or clearly not. */
static float draw_scale(struct example *e)
{
    static const float scales[] = {1, 2, 3, 0.5f, 1.5f, 2.5f, 0.75f, 4};
    return scales[example_int(e, 0, 7)];
}

/* Interpolated integers are cut, so what lies between them must be exact: weights are quarters. */
static float draw_exact_scale(struct example *e, int64_t dim)
{
    static const float scales[] = {1, 2, 4, 0.5f};
    return scales[example_int(e, 0, dim % 2 ? 2 : 3)];
}

static bool weighs_integers(const struct example *e, const char *mode)
{
    return mode[0] != 'n' && !example_is_floating(e->type);
}

void gen_resize(struct example *e)
{
    int64_t dims[RANK_MAX], sizes[RANK_MAX];
    float scales[RANK_MAX] = {1, 1, 1, 1, 1, 1, 1, 1};
    int rank = resized(e, dims, false);
    const char *mode = example_word(e, 3, (const char *const[]){"nearest", "linear", "cubic"});
    if (mode[0] == 'c' && e->opset < 11)
        mode = "linear";
    if (mode[0] == 'c')
        rank = 4;
    else if (mode[0] == 'l' && rank == 5 && e->opset < 13)
        rank = 4;
    dims[3] = rank > 3 ? (dims[3] > 0 && dims[3] < 8 ? dims[3] : 3) : 0;
    const bool antialias = e->opset >= 18 && mode[0] == 'l' && example_chance(e, 20);
    example_type(e, mode[0] == 'n'   ? "fffhC"
                    : mode[0] == 'c' ? "fffffhd"
                    : antialias      ? "fffhdCi" /* int8: ONNX Runtime cuts it to uint8's range */
                                     : "fffffhdCCci");
    example_input(e, e->type, rank, dims, -50, 50);
    bool by_size = e->opset >= 11 && example_chance(e, 50);
    for (int i = 2; i < rank; i++) {
        scales[i] = !weighs_integers(e, mode)   ? draw_scale(e)
                    : antialias && i < rank - 1 ? 1 /* ONNX Runtime rounds after each axis */
                                                : draw_exact_scale(e, dims[i]);
        sizes[i] = (int64_t)((float)dims[i] * scales[i]);
        sizes[i] = sizes[i] ? sizes[i] : 1;
        if ((float)dims[i] * scales[i] < 1)
            scales[i] = 1;
        if (by_size && mode[0] == 'n' && (float)dims[i] * scales[i] != (float)sizes[i])
            sizes[i] = dims[i]; /* 3 of 7: a point would lie on an element, but for rounding */
    }
    sizes[0] = dims[0], sizes[1] = dims[1];
    if (e->opset >= 11)
        example_left_out(e);
    else if (mode[0] == 'n')
        e->explained = "Resize-10 and nearest";
    if (by_size) {
        example_left_out(e);
        example_int64s(e, rank, sizes);
        example_constant(e, 85);
    } else
        floats(e, rank, scales);
    example_attr_text(e, "mode", mode);
    if (e->opset >= 11) {
        bool nearest = mode[0] == 'n';
        static const char *const coordinates[] = {"half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel",
                                                  "half_pixel_symmetric"};
        const char *how = coordinates[example_int(e, 0, e->opset >= 19 ? 4 : 3)];
        if ((nearest || weighs_integers(e, mode)) && strcmp(how, "align_corners") == 0)
            how = "asymmetric"; /* ties of (n-1)/(m-1) are a matter of rounding */
        for (int i = 2; i < rank && strcmp(how, "align_corners") == 0 && !by_size; i++)
            if ((float)dims[i] * scales[i] != (float)sizes[i])
                e->explained = "align_corners and a length that is not whole";
        if (example_chance(e, 80))
            example_attr_text(e, "coordinate_transformation_mode", how);
        else
            how = "half_pixel";
        if (nearest && example_chance(e, 70))
            example_attr_text(
                e, "nearest_mode",
                example_word(e, 4, (const char *const[]){"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"}));
        if (mode[0] == 'c' && example_chance(e, 50))
            example_attr_real(e, "cubic_coeff_a", example_chance(e, 50) ? -0.5 : -0.75);
        if (mode[0] == 'c' && example_chance(e, 40))
            example_attr(e, "exclude_outside", example_int(e, 0, 1));
        if (antialias)
            example_attr(e, "antialias", 1);
    }
    e->absolute = 1e-3; /* of elements to 50: the weights are differences of coordinates */
    example_output(e, e->type);
}

void gen_upsample(struct example *e)
{
    int64_t dims[RANK_MAX];
    float scales[RANK_MAX] = {1, 1, 1, 1, 1, 1, 1, 1};
    if (e->opset > 9)
        e->opset = (int)example_int(e, 7, 9);
    bool linear = example_chance(e, 50);
    int rank = resized(e, dims, true);
    if (linear)
        rank = 4, dims[3] = example_int(e, 2, 7);
    for (int i = 2; i < rank; i++) {
        scales[i] = linear ? draw_exact_scale(e, 1) : draw_scale(e);
        scales[i] = scales[i] < 1 ? 1 : scales[i];
    }
    example_type(e, linear ? "fffCi" : e->opset >= 9 ? "fffC" : "f");
    example_input(e, e->type, rank, dims, -50, 50);
    if (e->opset < 9)
        proto_attr_floats(&e->attributes, "scales", (size_t)rank, scales);
    else
        floats(e, rank, scales);
    example_attr_text(e, "mode", linear ? "linear" : "nearest");
    e->absolute = 1e-3;
    example_output(e, e->type);
}

void gen_grid_sample(struct example *e)
{
    const bool named = e->opset >= 20 && !*e->domain;
    int spatial = named ? (int)example_int(e, 2, 3) : 2;
    int64_t x[5] = {example_int(e, 1, 3), example_int(e, 1, 5)}, grid[5] = {x[0]};
    for (int i = 0; i < spatial; i++) {
        x[2 + i] = example_int(e, 2, 7);
        grid[1 + i] = example_int(e, 1, 6);
    }
    grid[1 + spatial] = spatial;
    example_type(e, "fffffhd");
    example_input(e, e->type, 2 + spatial, x, -3, 3);
    example_input(e, e->type, 2 + spatial, grid, -1.3, 1.3);
    const char *modes[2][3] = {{"bilinear", "nearest", "bicubic"}, {"linear", "nearest", "cubic"}};
    int mode = (int)example_int(e, 0, spatial == 2 ? 2 : 1);
    if (mode || example_chance(e, 50))
        example_attr_text(e, "mode", modes[named][mode]);
    if (example_chance(e, 75))
        example_attr_text(e, "padding_mode",
                          example_word(e, 3, (const char *const[]){"zeros", "border", "reflection"}));
    if (example_chance(e, 60))
        example_attr(e, "align_corners", example_int(e, 0, 1));
    e->absolute = 2e-4;
    example_output(e, e->type);
}

void gen_affine_grid(struct example *e)
{
    int spatial = (int)example_int(e, 2, 3);
    int64_t n = example_int(e, 1, 3), size[5] = {n, example_int(e, 1, 3)};
    for (int i = 0; i < spatial; i++)
        size[2 + i] = example_int(e, 2, 7);
    example_type(e, "fffffhd");
    example_input(e, e->type, 3, (int64_t[]){n, spatial, spatial + 1}, -1, 1);
    example_int64s(e, 2 + spatial, size);
    example_constant(e, 70);
    if (example_chance(e, 70))
        example_attr(e, "align_corners", example_int(e, 0, 1));
    example_output(e, e->type);
}

void gen_roi_align(struct example *e)
{
    int64_t x[4] = {example_int(e, 1, 3), example_int(e, 1, 4), example_int(e, 4, 12), example_int(e, 4, 12)};
    int64_t n = example_int(e, 0, 4);
    example_type(e, e->opset >= 16 ? "fffd" : "f"); /* ONNX Runtime has doubles from opset 16 on */
    example_input(e, e->type, 4, x, -3, 3);
    struct tensor *rois = example_input(e, e->type, 2, (int64_t[]){n, 4}, 0, 6);
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < 2; k++)
            example_set(rois, 4 * i + 2 + k, example_get(rois, 4 * i + k) + example_real(e, 0.5, 8));
    example_input(e, PERCEPT_INT64, 1, &n, 0, (double)(x[0] - 1));
    if (example_chance(e, 80)) {
        example_attr(e, "output_height", example_int(e, 1, 4));
        example_attr(e, "output_width", example_int(e, 1, 4));
    }
    if (example_chance(e, 70))
        example_attr(e, "sampling_ratio", example_int(e, 0, 3));
    if (example_chance(e, 50))
        example_attr_real(e, "spatial_scale", example_real(e, 0.4, 1.2));
    if (example_chance(e, 40))
        example_attr_text(e, "mode", example_chance(e, 70) ? "avg" : "max");
    if (e->opset >= 16 && example_chance(e, 60))
        example_attr_text(e, "coordinate_transformation_mode",
                          example_chance(e, 50) ? "half_pixel" : "output_half_pixel");
    e->absolute = 1e-4;
    example_output(e, e->type);
}

void gen_max_roi_pool(struct example *e)
{
    int64_t x[4] = {example_int(e, 1, 3), example_int(e, 1, 4), example_int(e, 1, 12), example_int(e, 1, 12)};
    int64_t n = example_int(e, 0, 4);
    bool scaled = example_chance(e, 50);
    example_type(e, "f");
    example_input(e, e->type, 4, x, -3, 3);
    struct tensor *rois = example_input(e, e->type, 2, (int64_t[]){n, 5}, -2, 14);
    for (int64_t i = 0; i < n; i++)
        example_set(rois, 5 * i, (double)example_int(e, 0, x[0] - 1));
    example_attr_list(e, "pooled_shape", 2, (int64_t[]){example_int(e, 1, 5), example_int(e, 1, 5)});
    if (scaled)
        example_attr_real(e, "spatial_scale", example_real(e, 0.2, 1.5));
    example_output(e, e->type);
}

void gen_crop_and_resize(struct example *e)
{
    int64_t x[4] = {example_int(e, 1, 3), example_int(e, 1, 4), example_int(e, 1, 12), example_int(e, 1, 12)};
    int64_t n = example_int(e, 0, 4), two = 2;
    example_type(e, "ffffhd");
    example_input(e, e->type, 4, x, -3, 3);
    struct tensor *rois = example_input(e, e->type, 2, (int64_t[]){n, 4}, -0.2, 1.2);
    for (int64_t i = 0; i < 4 * n; i++)
        if (example_chance(e, 25)) /* the picture's edges */
            example_set(rois, i, (double)example_int(e, 0, 1));
    example_input(e, PERCEPT_INT32, 1, &n, 0, (double)(x[0] - 1));
    example_input(e, PERCEPT_INT32, 1, &two, 1, 6);
    example_constant(e, 80);
    if (example_chance(e, 60))
        example_attr_text(e, "mode", example_chance(e, 50) ? "nearest" : "bilinear");
    if (example_chance(e, 50))
        example_attr_real(e, "extrapolation_value", example_real(e, -2, 2));
    e->absolute = 1e-4;
    example_output(e, e->type);
}

void gen_deform_conv(struct example *e)
{
    int64_t k[2], stride[2], dilation[2], pads[4], size[2], out[2];
    int64_t group = example_int(e, 1, 2), offsets = example_int(e, 1, 2), n = example_int(e, 1, 2);
    int64_t channels = group * offsets * example_int(e, 1, 2), filters = group * example_int(e, 1, 3);
    for (int i = 0; i < 2; i++) {
        k[i] = example_int(e, 1, 3);
        stride[i] = example_int(e, 1, 2);
        dilation[i] = example_int(e, 1, 2);
        pads[i] = example_int(e, 0, 1), pads[2 + i] = example_int(e, 0, 1);
        size[i] = (k[i] - 1) * dilation[i] + 1 + example_int(e, 0, 5);
        out[i] = (size[i] + pads[i] + pads[2 + i] - ((k[i] - 1) * dilation[i] + 1)) / stride[i] + 1;
    }
    example_type(e, "fffd");
    example_input(e, e->type, 4, (int64_t[]){n, channels, size[0], size[1]}, -1, 1);
    example_input(e, e->type, 4, (int64_t[]){filters, channels / group, k[0], k[1]}, -1, 1);
    example_constant(e, 80);
    example_input(e, e->type, 4, (int64_t[]){n, offsets * k[0] * k[1] * 2, out[0], out[1]}, -1.5, 1.5);
    bool bias = example_chance(e, 50), mask = example_chance(e, 50);
    if (bias)
        example_input(e, e->type, 1, &filters, -1, 1), example_constant(e, 90);
    else if (mask)
        example_left_out(e);
    if (mask)
        example_input(e, e->type, 4, (int64_t[]){n, offsets * k[0] * k[1], out[0], out[1]}, 0, 1);
    example_attr_list(e, "strides", 2, stride);
    example_attr_list(e, "dilations", 2, dilation);
    example_attr_list(e, "pads", 4, pads);
    example_attr(e, "group", group);
    example_attr(e, "offset_group", offsets);
    if (example_chance(e, 50))
        example_attr_list(e, "kernel_shape", 2, k);
    e->absolute = 1e-4;
    example_output(e, e->type);
}

void gen_non_max_suppression(struct example *e)
{
    int64_t batches = example_int(e, 1, 2), boxes = example_int(e, 1, 12), classes = example_int(e, 1, 3);
    bool center = example_chance(e, 40);
    e->type = PERCEPT_FLOAT;
    struct tensor *b = example_input(e, PERCEPT_FLOAT, 3, (int64_t[]){batches, boxes, 4}, 0, 5);
    for (int64_t i = 0; i < batches * boxes; i++)
        for (int k = 2; k < 4; k++)
            ((float *)b->data)[4 * i + k] =
                (float)example_real(e, 0.5, 4) + (center ? 0 : ((float *)b->data)[4 * i + k - 2]);
    example_distinct(e, PERCEPT_FLOAT, 3, (int64_t[]){batches, classes, boxes});
    bool limit = example_chance(e, 90), overlap = example_chance(e, 70), least = example_chance(e, 50);
    if (limit)
        example_scalar(e, PERCEPT_INT64, (double)example_int(e, 0, 8));
    else if (overlap || least)
        example_left_out(e);
    if (overlap)
        example_scalar(e, PERCEPT_FLOAT, example_real(e, 0, 1));
    else if (least)
        example_left_out(e);
    if (least)
        example_scalar(e, PERCEPT_FLOAT, example_real(e, -2, 2));
    if (center || example_chance(e, 20))
        example_attr(e, "center_point_box", center);
    example_output(e, PERCEPT_INT64);
}

void gen_einsum(struct example *e)
{
    static const struct {
        const char *equation;
        const char *in[3]; /* the letters of each input */
    } kinds[] = {{"ij,jk->ik", {"ij", "jk"}},
                 {"ij,jk", {"ij", "jk"}},
                 {"bij,bjk->bik", {"bij", "bjk"}},
                 {"bij,bkj->bik", {"bij", "bkj"}},
                 {"ij->ji", {"ij"}},
                 {"ij->", {"ij"}},
                 {"ij->j", {"ij"}},
                 {"ii->i", {"ii"}},
                 {"i,j->ij", {"i", "j"}},
                 {"i,i->", {"i", "i"}},
                 {"...ij,...jk->...ik", {"xyij", "xyjk"}},
                 {"bhid,bhjd->bhij", {"bhid", "bhjd"}},
                 {"ij,jk,kl->il", {"ij", "jk", "kl"}},
                 {"bi,bj->bij", {"bi", "bj"}},
                 {"abc,cd->abd", {"abc", "cd"}},
                 {"a b c -> c a b", {"abc"}},
                 {"ij,ij->i", {"ij", "ij"}},
                 {"i...->...", {"ixy"}}};
    int64_t sizes[26];
    int k = (int)example_int(e, 0, 17);
    for (int i = 0; i < 26; i++)
        sizes[i] = example_int(e, 1, 7);
    example_type(e, "fffffhd");
    for (int i = 0; i < 3 && kinds[k].in[i]; i++) {
        int64_t dims[RANK_MAX];
        int rank = (int)strlen(kinds[k].in[i]);
        for (int d = 0; d < rank; d++)
            dims[d] = sizes[kinds[k].in[i][d] - 'a'];
        example_input(e, e->type, rank, dims, -2, 2);
        example_constant(e, i ? 40 : 0);
    }
    example_attr_text(e, "equation", kinds[k].equation);
    e->absolute = 1e-4;
    example_output(e, e->type);
}
