/*
 * winograd.h - 3x3 convolutions with stride 1 by Winograd's F(2x2, 3x3), which multiplies 16 times for four outputs,
 * not 36 times, and by F(4x4, 3x3), 36 times for sixteen, not 144.
 *
 * Y = A^T [(G g G^T) * (B^T d B)] A for a tile of outputs and the inputs d that they see (Winograd 1980; Lavin and
 * Gray, "Fast algorithms for convolutional neural networks", 2016); the transforms are transform.h's, that of the
 * weights is computed once, in double. Sums are over channels only, so the error of F(2, 3) is smaller than that of a
 * chain of multiply-adds over all taps; that of F(4, 3) is some five times larger (PRECISION_FAST).
 *
 *     chunk of tiles (as many as the second cache holds)                      a unit: a chunk, a group of panels
 *         transform its inputs: v [point][block][tile][WIDTH]
 *         panel of two vectors of output channels
 *             point of the transform, 16 or 36 of them
 *                 up to CONV_PIXELS tiles x 2 vectors of sums in registers    winograd_multiply
 *                     channel: a broadcast input times two vectors of weights u [panel][point][channel][2 vectors]
 *                 -> m [point][vector][tile][WIDTH]
 *             transform back, bias, residual, clamp, store                    winograd_finish
 *
 * With F(2, 3) an output depends on no input but its own nine; with F(4, 3) its rounding depends on those of its tile.
 * An infinity would arrive as NaN, and what is huge may overflow in a transform: where a tile's sums are not finite
 * they are computed again, directly (tile.h), and where a weight's transform is not finite all are. So the packed
 * weights are those of the direct algorithm (convolve.h sees to them), and behind them the transformed ones:
 *
 *     [direct weights][WIDTH floats: 0 where all that follows is finite, else 1][u]
 *
 * Each output has one order of summation: that of its place in its tile, whose grid begins at the map's
 * corner. What lies beyond an edge is zero, as for direct tiles with padding.
 *
 * Where a map has few tiles for weights that no cache keeps, the transformed weights would cost more than they save
 * (winograd_pays): such a map runs directly.
 */
#ifndef KERNEL_WINOGRAD_H
#define KERNEL_WINOGRAD_H

#include "kernel/epilogue.h"
#include "kernel/geometry.h"
#include "kernel/parts.h"
#include "kernel/tile.h"
#include "kernel/transform.h"

enum {
    WINOGRAD_CHANNELS = 16,         /* fewer, and the transforms cost what is saved */
    WINOGRAD_CHUNK_BYTES = 3 << 17, /* of transformed inputs and products: a part of the L2 */
    WINOGRAD_MOST_BYTES = 3 << 18,  /* the same, so that weights are read for many tiles */
    WINOGRAD_TILES = 24,            /* of a chunk, if they fit: weights from beyond the L2 */
    WINOGRAD_LEAST_TILES = 10,      /* of a chunk: for fewer the weights come too slowly, wherever from */
    WINOGRAD_KEPT_BYTES = 1 << 22   /* of transformed weights that a cache keeps */
};

/* A prepared convolution of this algorithm. */
struct winograd {
    struct conv_prepared head;
    struct conv_shape shape;
    int out, side, points; /* outputs and inputs of a tile along an axis; side * side */
    int64_t in_blocks, panels;
    int64_t rows, columns, tiles; /* tiles along axes 1 and 2, and of all slices */
    int64_t chunks, most;         /* of tiles; tiles of the largest */
    int64_t groups;               /* of panels */
    int64_t direct_floats;        /* of packed weights that lie before the transformed ones */
};

/* --- choice ------------------------------------------------------------------------------------------------------- */

/* Below, `out` is 2 or 4: the outputs of a tile along an axis. */
static int64_t winograd_points(int out)
{
    return (out + 2) * (out + 2);
}

static size_t winograd_u_floats(const struct conv_shape *shape, int out)
{
    return (size_t)(winograd_points(out) * shape->in_channels * vectors_of(shape->out_channels) * WIDTH);
}

static int64_t winograd_tiles(const struct conv_shape *shape, int out)
{
    return shape->out[0] * ceil_div(shape->out[1], out) * ceil_div(shape->out[2], out);
}

/* Floats of a tile's transformed inputs. */
static int64_t winograd_v_floats(const struct conv_shape *shape, int out)
{
    return winograd_points(out) * vectors_of(shape->in_channels) * WIDTH;
}

/* Floats of its products with one panel. */
static int64_t winograd_m_floats(int out)
{
    return winograd_points(out) * 2 * WIDTH;
}

/* Tiles that a chunk may have. */
static int64_t winograd_fit(const struct conv_shape *shape, int out)
{
    const int64_t tile_bytes = (winograd_v_floats(shape, out) + winograd_m_floats(out)) * (int64_t)sizeof(float);
    const int64_t fit = WINOGRAD_CHUNK_BYTES / tile_bytes,
                  many = least(WINOGRAD_MOST_BYTES / tile_bytes, WINOGRAD_TILES);
    return fit > many ? fit : many;
}

static bool winograd_kept(const struct conv_shape *shape, int out)
{
    return winograd_u_floats(shape, out) * sizeof(float) <= WINOGRAD_KEPT_BYTES;
}

/* Where the map is known: do as many tiles share the weights, or does a cache keep those? */
static bool winograd_pays(const struct conv_shape *shape, int out)
{
    return winograd_kept(shape, out) || winograd_tiles(shape, out) >= WINOGRAD_TILES;
}

static bool winograd_may(const struct conv_shape *shape, int out)
{
    const int64_t *kernel = shape->kernel, *stride = shape->stride, *dilation = shape->dilation;
    const bool known = shape->out[0] > 0 && shape->out[1] > 0 && shape->out[2] > 0;
    return shape->group == 1 && !shape->transposed && !shape->in_plain && !shape->computed && kernel[0] == 1 &&
           kernel[1] == 3 && kernel[2] == 3 && stride[0] == 1 && stride[1] == 1 && stride[2] == 1 && dilation[1] == 1 &&
           dilation[2] == 1 && shape->in_channels >= WINOGRAD_CHANNELS && shape->out_channels >= WINOGRAD_CHANNELS &&
           winograd_fit(shape, out) >= WINOGRAD_LEAST_TILES &&
           (known ? winograd_pays(shape, out) : out == 2 || winograd_kept(shape, out));
}

/* --- packing ------------------------------------------------------------------------------------------------------ */

static size_t winograd_u_bytes(const struct conv_shape *shape, int out)
{
    return (WIDTH + winograd_u_floats(shape, out)) * sizeof(float);
}

/* G g G^T of an input channel and some outputs from o on: u [points][lanes], `step` apart, of which `wanted` are there
 * (the others are zero). False: some are not finite. */
static bool winograd_weights(const struct weights *weights, int out, int64_t o, int64_t wanted, int64_t i, int lanes,
                             float *u, int64_t step)
{
    const double(*g)[3] = out == 2 ? transform_g2 : transform_g4;
    double taps[3][3][2 * WIDTH] = {{{0}}}, rows[3][2 * WIDTH];
    bool finite = true;
    for (int64_t lane = 0; lane < wanted; lane++)
        for (int tap = 0; tap < 9; tap++)
            taps[tap / 3][tap % 3][lane] = (double)weight_at(weights, 0, o + lane, i, tap);
    for (int r = 0; r < out + 2; r++) {
        for (int j = 0; j < 3; j++)
            for (int lane = 0; lane < lanes; lane++)
                rows[j][lane] = g[r][0] * taps[0][j][lane] + g[r][1] * taps[1][j][lane] + g[r][2] * taps[2][j][lane];
        for (int c = 0; c < out + 2; c++, u += step)
            for (int lane = 0; lane < lanes; lane++) {
                u[lane] = (float)(g[c][0] * rows[0][lane] + g[c][1] * rows[1][lane] + g[c][2] * rows[2][lane]);
                finite = finite && u[lane] * 0 == 0;
            }
    }
    return finite;
}

/* What follows the direct weights. */
static void winograd_u_pack(const struct conv_shape *shape, int out, float *flag, const void *raw, const float *scale)
{
    const struct weights weights = {
        .shape = shape, .raw = raw, .scale = scale, .in = shape->in_channels, .out = shape->out_channels};
    float *u = flag + WIDTH;
    bool finite = true;
    for (int64_t o = 0; o < weights.out; o += 2 * WIDTH) {
        const int lanes = weights.out - o > WIDTH ? 2 * WIDTH : WIDTH;
        const int64_t step = weights.in * lanes;
        for (int64_t i = 0; i < weights.in; i++)
            finite = winograd_weights(&weights, out, o, least(lanes, weights.out - o), i, lanes, u + i * lanes, step) &&
                     finite;
        u += winograd_points(out) * step;
    }
    for (int i = 0; i < WIDTH; i++)
        flag[i] = finite ? 0 : 1;
}

/* --- preparing ---------------------------------------------------------------------------------------------------- */

static void winograd_cut(struct winograd *w, const struct conv_shape *shape, int out, size_t direct_bytes)
{
    *w = (struct winograd){.shape = *shape, .direct_floats = (int64_t)(direct_bytes / sizeof(float))};
    w->out = out;
    w->side = out + 2;
    w->points = w->side * w->side;
    w->in_blocks = vectors_of(shape->in_channels);
    w->panels = ceil_div(shape->out_channels, 2 * WIDTH);
    w->rows = ceil_div(shape->out[1], out);
    w->columns = ceil_div(shape->out[2], out);
    w->tiles = winograd_tiles(shape, out);
    w->chunks = ceil_div(w->tiles, winograd_fit(shape, out));
    w->most = ceil_div(w->tiles, w->chunks);
    w->groups = least(w->panels, ceil_div(CONV_UNITS, w->chunks));
    w->head.units = w->chunks * w->groups;
    w->head.done_flops =
        2.0 * (double)(w->tiles * w->points) * (double)shape->in_channels * (double)shape->out_channels;
    const int64_t floats = (w->most + 1) * winograd_v_floats(shape, out) + w->most * winograd_m_floats(out);
    w->head.scratch_bytes = (size_t)floats * sizeof(float);
}

/* --- inputs ------------------------------------------------------------------------------------------------------- */

/* Where a tile lies: outputs from row, column on. */
struct winograd_spot {
    int64_t slice, row, column;
};

INLINED struct winograd_spot winograd_spot(const struct winograd *w, int64_t tile)
{
    const int64_t line = tile / w->columns;
    return (struct winograd_spot){
        .slice = line / w->rows, .row = line % w->rows * w->out, .column = tile % w->columns * w->out};
}

/* One block of a tile's inputs with zeros where it reaches beyond the map: [side][side][WIDTH]. */
static void winograd_patch(const struct winograd *w, const struct winograd_spot *spot, const float *map, float *to)
{
    const int64_t *in = w->shape.in;
    const int64_t slice = spot->slice - w->shape.pad[0];
    for (int64_t r = 0; r < w->side; r++)
        for (int64_t c = 0; c < w->side; c++, to += WIDTH) {
            const int64_t y = spot->row - w->shape.pad[1] + r, x = spot->column - w->shape.pad[2] + c;
            if (slice >= 0 && slice < in[0] && y >= 0 && y < in[1] && x >= 0 && x < in[2])
                store(to, load(map + ((slice * in[1] + y) * in[2] + x) * WIDTH));
            else
                store(to, splat(0));
        }
}

static bool winograd_inside(const struct winograd *w, const struct winograd_spot *spot)
{
    const int64_t slice = spot->slice - w->shape.pad[0];
    const int64_t y = spot->row - w->shape.pad[1], x = spot->column - w->shape.pad[2];
    return slice >= 0 && slice < w->shape.in[0] && y >= 0 && y + w->side <= w->shape.in[1] && x >= 0 &&
           x + w->side <= w->shape.in[2];
}

/* The inputs of n tiles, all blocks. */
static void winograd_inputs(const struct winograd *w, const float *input, int64_t first, int64_t n, float *v)
{
    const int64_t *in = w->shape.in, map = in[0] * in[1] * in[2] * WIDTH, row_step = in[2] * WIDTH;
    const int64_t step = w->in_blocks * n * WIDTH;
    float patch[36 * WIDTH];
    for (int64_t i = 0; i < n; i++) {
        const struct winograd_spot spot = winograd_spot(w, first + i);
        const int64_t y = spot.row - w->shape.pad[1], x = spot.column - w->shape.pad[2];
        const int64_t at = (((spot.slice - w->shape.pad[0]) * in[1] + y) * in[2] + x) * WIDTH;
        const bool inside = winograd_inside(w, &spot);
        for (int64_t block = 0; block < w->in_blocks; block++) {
            float *to = v + (block * n + i) * WIDTH;
            const float *from = inside ? input + block * map + at : patch;
            if (!inside)
                winograd_patch(w, &spot, input + block * map, patch);
            if (w->out == 2)
                transform_inputs_2(from, inside ? row_step : w->side * WIDTH, to, step);
            else
                transform_inputs_4(from, inside ? row_step : w->side * WIDTH, to, step);
        }
    }
}

/* --- products ----------------------------------------------------------------------------------------------------- */

/* The products at one point of the transform, of some tiles and one panel. */
struct winograd_product {
    const float *v; /* the first tile's: [block][tiles of the chunk][WIDTH] */
    const float *u; /* [channel][1 or 2 vectors] */
    float *m;       /* [vector][tiles of the chunk][WIDTH] */
    int64_t in_blocks, last_lanes, block_step;
    uintptr_t ahead; /* the address of what is read next, to be fetched meanwhile; perhaps behind all weights */
    uintptr_t ahead_step;
};

/* tiles and vectors are constants where this is inlined. */
INLINED void winograd_multiply(const struct winograd_product *product, int tiles, int vectors, struct parts *parts)
{
    const int n_sums = tiles * vectors;
    const uintptr_t ahead_step = product->ahead_step;
    uintptr_t ahead = product->ahead;
    const float *u = product->u, *v = product->v;
    int64_t left = PART / WIDTH;
    vec sums[2 * CONV_PIXELS];
    UNROLL
    for (int i = 0; i < n_sums; i++)
        sums[i] = splat(0);
    for (int64_t block = 0; block < product->in_blocks; block++, v += product->block_step) {
        const int64_t lanes = block + 1 < product->in_blocks ? WIDTH : product->last_lanes;
        if (left == 0) {
            parts_add(parts, n_sums, sums);
            left = PART / WIDTH;
        }
        left--;
        for (int64_t lane = 0; lane < lanes; lane++, u += vectors * WIDTH, ahead += ahead_step) {
            vec weights[2];
            __builtin_prefetch((const void *)ahead, 0, 2);
            UNROLL
            for (int k = 0; k < vectors; k++)
                weights[k] = load(u + k * WIDTH);
            UNROLL
            for (int t = 0; t < tiles; t++) {
                const vec in = splat(v[t * WIDTH + lane]);
                UNROLL
                for (int k = 0; k < vectors; k++)
                    sums[t * vectors + k] = in * weights[k] + sums[t * vectors + k];
            }
        }
    }
    parts_end(parts, n_sums, sums);
    UNROLL
    for (int t = 0; t < tiles; t++)
        UNROLL
    for (int k = 0; k < vectors; k++)
        store(product->m + k * product->block_step + t * WIDTH, sums[t * vectors + k]);
}

/* clang-format off */
#if MANY_REGISTERS
#define WINOGRAD_HEIGHTS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#else
#define WINOGRAD_HEIGHTS(X) X(1) X(2) X(3) X(4) X(5) X(6)
#endif
/* clang-format on */

#define WINOGRAD_MULTIPLY(TILES)                                                                                       \
    static __attribute__((noinline)) void winograd_multiply_##TILES(const struct winograd_product *product,            \
                                                                    int vectors, struct parts *parts)                  \
    {                                                                                                                  \
        if (vectors == 2)                                                                                              \
            winograd_multiply(product, TILES, 2, parts);                                                               \
        else                                                                                                           \
            winograd_multiply(product, TILES, 1, parts);                                                               \
    }
WINOGRAD_HEIGHTS(WINOGRAD_MULTIPLY)

static void winograd_multiply_any(const struct winograd_product *product, int64_t tiles, int vectors)
{
    struct parts parts;
    parts_begin(&parts);
    switch (tiles) {
#define CASE(TILES)                                                                                                    \
    case TILES:                                                                                                        \
        winograd_multiply_##TILES(product, vectors, &parts);                                                           \
        break;
        WINOGRAD_HEIGHTS(CASE)
#undef CASE
    default:
        break;
    }
}

/* All points of n tiles: blocks of nearly equal height; each fetches its share of the next point's weights. */
static void winograd_products(const struct winograd *w, int64_t n, const float *v, const float *u, float *m,
                              int vectors)
{
    const int64_t channels = w->shape.in_channels, u_step = channels * vectors * WIDTH;
    const int64_t blocks = ceil_div(n, CONV_PIXELS);
    struct winograd_product product = {.in_blocks = w->in_blocks,
                                       .last_lanes = channels - (w->in_blocks - 1) * WIDTH,
                                       .block_step = n * WIDTH,
                                       .ahead_step =
                                           (uintptr_t)ceil_div(vectors * WIDTH * (int64_t)sizeof(float), blocks)};
    for (int point = 0; point < w->points; point++, u += u_step) {
        for (int64_t i = 0; i < blocks; i++) {
            const int64_t from = n * i / blocks;
            product.u = u;
            product.v = v + (point * w->in_blocks * n + from) * WIDTH;
            product.m = m + (point * vectors * n + from) * WIDTH;
            product.ahead = (uintptr_t)(u + u_step) + (uintptr_t)(i * channels) * product.ahead_step;
            winograd_multiply_any(&product, n * (i + 1) / blocks - from, vectors);
        }
    }
}

/* --- outputs ------------------------------------------------------------------------------------------------------ */

/* What becomes of one panel's outputs. */
struct winograd_panel {
    const struct winograd *w;
    const float *input, *direct; /* weights of the panel */
    const struct epilogue *epilogue;
    struct bounds bounds;
    float *output;         /* the panel's first map, all of it */
    const float *residual; /* or NULL */
    int64_t channel, wanted;
    int vectors;
    float *patches; /* scratch for a tile's inputs */
};

/* A tile whose transform is not finite, computed directly: all vectors of the panel. */
static __attribute__((noinline)) void winograd_direct(const struct winograd_panel *panel,
                                                      const struct winograd_spot *spot)
{
    const struct winograd *w = panel->w;
    const int64_t *in = w->shape.in, *out = w->shape.out;
    const int64_t map = in[0] * in[1] * in[2] * WIDTH, patch = w->points * WIDTH;
    for (int64_t block = 0; block < w->in_blocks; block++)
        winograd_patch(w, spot, panel->input + block * map, panel->patches + block * patch);
    for (int64_t r = 0; r < least(w->out, out[1] - spot->row); r++) {
        const int64_t at = ((spot->slice * out[1] + spot->row + r) * out[2] + spot->column) * WIDTH;
        struct tile tile = {
            .input = panel->patches + r * w->side * WIDTH,
            .weights = panel->direct,
            .n_blocks = w->in_blocks,
            .lanes = WIDTH,
            .last_lanes = w->shape.in_channels - (w->in_blocks - 1) * WIDTH,
            .taps = {1, 3, 3},
            .tap_step = {0, w->side * WIDTH, WIDTH},
            .part = PART / WIDTH,
            .block_step = patch,
            .lane_step = 1,
            .pixel_step = WIDTH,
            .row_step = w->side * WIDTH,
            .output = panel->output + at,
            .residual = panel->residual ? panel->residual + at : NULL,
            .bias = panel->epilogue->bias ? panel->epilogue->bias + panel->channel : NULL,
            .out_pixel = WIDTH,
            .out_row = out[2] * WIDTH,
            .out_vector = out[0] * out[1] * out[2] * WIDTH,
            .wanted = panel->wanted,
            .epilogue = panel->epilogue,
            .bounds = panel->bounds,
        };
        tile.bounds.later = false; /* winograd_activate's */
        tile_any(&tile, 1, least(w->out, out[2] - spot->column), panel->vectors);
    }
}

/* All n sums of all lanes. */
INLINED bool winograd_finite(const vec *y, int n)
{
    vec zero = splat(0); /* NaN where one is not finite */
    UNROLL
    for (int i = 0; i < n; i++)
        zero = y[i] * 0.0f + zero;
    const ivec bad = is_nan(zero);
    int32_t lanes[WIDTH], any = 0;
    memcpy(lanes, &bad, sizeof lanes);
    for (int i = 0; i < WIDTH; i++)
        any |= lanes[i];
    return any == 0;
}

/* Bias, residual, clamp of the outputs of a tile that lie in the map; y: [side][side]. */
INLINED void winograd_store(const struct winograd_panel *panel, const struct winograd_spot *spot, int vector,
                            const vec *y, int side)
{
    const int64_t *out = panel->w->shape.out;
    const vec low = splat(panel->bounds.low), high = splat(panel->bounds.high);
    /* x + -0 is x, for every x */
    const vec bias = panel->epilogue->bias ? load_some(panel->epilogue->bias + panel->channel + vector * WIDTH,
                                                       panel->wanted - vector * WIDTH)
                                           : splat(-0.0f);
    const int64_t rows = least(side, out[1] - spot->row), columns = least(side, out[2] - spot->column);
    const int64_t first = ((vector * out[0] + spot->slice) * out[1] + spot->row) * out[2] + spot->column;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++) {
            const int64_t at = (first + r * out[2] + c) * WIDTH;
            vec x = y[side * r + c] + bias;
            if (panel->residual)
                x += load(panel->residual + at);
            if (panel->bounds.used)
                x = clamp(x, low, high);
            store(panel->output + at, x);
        }
}

/* Tile by tile; whatever is not finite in one vector is computed again in all of the panel. */
INLINED void winograd_finish_sized(const struct winograd_panel *panel, int64_t first, int64_t n, const float *m,
                                   int side)
{
    const int64_t step = panel->vectors * n * WIDTH;
    for (int64_t i = 0; i < n; i++) {
        const struct winograd_spot spot = winograd_spot(panel->w, first + i);
        vec y[2][16];
        bool finite = true;
        for (int k = 0; k < panel->vectors; k++) {
            if (side == 2)
                transform_outputs_2(m + (k * n + i) * WIDTH, step, y[k]);
            else
                transform_outputs_4(m + (k * n + i) * WIDTH, step, y[k]);
            finite = winograd_finite(y[k], side * side) && finite;
        }
        for (int k = 0; k < panel->vectors && finite; k++)
            winograd_store(panel, &spot, k, y[k], side);
        if (!finite)
            winograd_direct(panel, &spot);
    }
}

static void winograd_finish(const struct winograd_panel *panel, int64_t first, int64_t n, const float *m)
{
    if (panel->w->out == 2)
        winograd_finish_sized(panel, first, n, m, 2);
    else
        winograd_finish_sized(panel, first, n, m, 4);
}

/* The activation of n tiles' outputs, in rows as long as they can be. */
static void winograd_activate(const struct winograd_panel *panel, int64_t first, int64_t n)
{
    const struct winograd *w = panel->w;
    const int64_t *out = w->shape.out;
    for (int64_t i = 0, tiles; i < n; i += tiles) {
        const struct winograd_spot spot = winograd_spot(w, first + i);
        tiles = least(n - i, w->columns - spot.column / w->out);
        const int64_t pixels = least(w->out * tiles, out[2] - spot.column);
        for (int k = 0; k < panel->vectors; k++)
            for (int64_t r = 0; r < least(w->out, out[1] - spot.row); r++) {
                const int64_t at = ((k * out[0] + spot.slice) * out[1] + spot.row + r) * out[2] + spot.column;
                activate(panel->epilogue, panel->output + at * WIDTH, pixels * WIDTH);
            }
    }
}

/* --- running ------------------------------------------------------------------------------------------------------ */

/* One panel of a chunk. */
static void winograd_run_panel(const struct winograd_panel *panel, int64_t first, int64_t n, const float *v,
                               const float *u, float *m, bool usable)
{
    if (usable) {
        winograd_products(panel->w, n, v, u, m, panel->vectors);
        winograd_finish(panel, first, n, m);
    }
    for (int64_t i = 0; i < n && !usable; i++) {
        const struct winograd_spot spot = winograd_spot(panel->w, first + i);
        winograd_direct(panel, &spot);
    }
    if (panel->bounds.later)
        winograd_activate(panel, first, n);
}

static void winograd_run(const struct conv_prepared *prepared, const float *input, const float *packed, float *output,
                         const struct epilogue *epilogue, float *scratch, int64_t from, int64_t to)
{
    const struct winograd *w = (const struct winograd *)prepared;
    const int64_t *out = w->shape.out, map = out[0] * out[1] * out[2] * WIDTH, channels = w->shape.in_channels;
    const float *flag = packed + w->direct_floats;
    float *m = scratch + w->most * winograd_v_floats(&w->shape, w->out);
    struct winograd_panel panel = {.w = w, .input = input, .epilogue = epilogue, .bounds = bounds_of(epilogue)};
    panel.patches = m + w->most * winograd_m_floats(w->out);
    int64_t ready = -1;
    for (int64_t unit = from; unit < to; unit++) {
        const int64_t chunk = unit / w->groups, group = unit % w->groups;
        const int64_t first = w->tiles * chunk / w->chunks, n = w->tiles * (chunk + 1) / w->chunks - first;
        if (chunk != ready && flag[0] == 0)
            winograd_inputs(w, input, first, n, scratch);
        ready = chunk;
        for (int64_t p = w->panels * group / w->groups; p < w->panels * (group + 1) / w->groups; p++) {
            panel.channel = p * 2 * WIDTH;
            panel.wanted = w->shape.out_channels - panel.channel;
            panel.vectors = panel.wanted > WIDTH ? 2 : 1;
            panel.direct = packed + panel.channel * channels * 9;
            panel.output = output + panel.channel / WIDTH * map;
            panel.residual = epilogue->residual ? epilogue->residual + panel.channel / WIDTH * map : NULL;
            winograd_run_panel(&panel, first, n, scratch, flag + WIDTH + panel.channel * channels * w->points, m,
                               flag[0] == 0);
        }
    }
}

#endif
