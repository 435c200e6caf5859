/*
 * picture.c - resizing as people who train networks know it: Pillow's way (weights per output pixel, taps.h, first
 * along rows, then along columns, rounded to 8 bits in between) and OpenCV's bilinear one. Networks are trained on such
 * pictures, down to the last level, hence the care: the tests compare with values of the libraries most of them used.
 *
 * Weights have 22 bits; a product of 16-bit numbers is what every processor has most of. So a weight is two parts of 11
 * bits, whose sums of products are exact, and so are the levels: plain loops that the compiler turns into such vectors.
 *
 * No floating point touches a pixel. Costs are bounded by the caller: width, height and pixels of pictures are limited
 * before they get here. Rows look at the watch.
 */
#include "serve/picture.h"

#include "base/err.h"

#include <string.h>

bool picture_new(struct picture *picture, int width, int height, int channels, struct arena *arena,
                 struct percept_err *err)
{
    size_t n_bytes = (size_t)width * (size_t)height * (size_t)channels;
    *picture = (struct picture){.width = width,
                                .height = height,
                                .channels = channels,
                                .pixels = arena_alloc(arena, n_bytes ? n_bytes : 1),
                                .shows = {.right = width, .bottom = height}};
    return picture->pixels || err_memory(err, "a picture", n_bytes);
}

struct picture_box picture_whole(const struct picture *picture)
{
    return (struct picture_box){.right = picture->width, .bottom = picture->height};
}

struct picture_box picture_part(const struct picture *picture, struct picture_box box)
{
    const struct picture_box all = picture->shows;
    double x = (all.right - all.left) / picture->width, y = (all.bottom - all.top) / picture->height;
    return (struct picture_box){all.left + box.left * x, all.top + box.top * y, all.left + box.right * x,
                                all.top + box.bottom * y};
}

bool picture_gray(const struct picture *from, struct picture *to, struct watch *watch, struct arena *arena,
                  struct percept_err *err)
{
    if (from->channels == 1) {
        *to = *from;
        return true;
    }
    if (!picture_new(to, from->width, from->height, 1, arena, err))
        return false;
    to->shows = from->shows;
    const uint8_t *rgb = from->pixels;
    uint8_t *at = to->pixels;
    for (int y = 0; y < from->height; y++) {
        if (!watch_spend(watch, from->width))
            return watch_refuse(watch, err);
        for (int x = 0; x < from->width; x++, rgb += 3)
            *at++ = (uint8_t)((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 0x8000u) >> 16);
    }
    return true;
}

bool picture_flatten(struct picture *picture, struct watch *watch)
{
    const uint8_t *from = picture->pixels;
    uint8_t *to = picture->pixels;
    for (int y = 0; y < picture->height; y++) {
        if (!watch_spend(watch, picture->width))
            return false;
        for (int x = 0; x < picture->width; x++, from += 4) {
            unsigned alpha = from[3];
            for (int c = 0; c < 3; c++)
                *to++ = (uint8_t)((from[c] * alpha + 255 * (255 - alpha) + 127) / 255);
        }
    }
    picture->channels = 3;
    return true;
}

/* JFIF's: full range, ITU-R 601. 16-bit fixed point. */
static void ycbcr_of(const uint8_t *rgb, size_t step, uint8_t *to)
{
    const int32_t r = rgb[0], g = rgb[step], b = rgb[2 * step], half = 0x8000, middle = 128 << 16;
    to[0] = (uint8_t)((r * 19595 + g * 38470 + b * 7471 + half) >> 16);
    to[1] = (uint8_t)((middle + half - 1 - r * 11059 - g * 21709 + b * 32768) >> 16);
    to[2] = (uint8_t)((middle + half - 1 + r * 32768 - g * 27439 - b * 5329) >> 16);
}

bool picture_ycbcr(const struct picture *from, struct picture *to, struct watch *watch, struct arena *arena,
                   struct percept_err *err)
{
    if (!picture_new(to, from->width, from->height, 3, arena, err))
        return false;
    to->shows = from->shows;
    const uint8_t *rgb = from->pixels;
    uint8_t *at = to->pixels;
    const size_t step = from->channels == 3;
    for (int y = 0; y < from->height; y++) {
        if (!watch_spend(watch, from->width))
            return watch_refuse(watch, err);
        for (int x = 0; x < from->width; x++, rgb += from->channels, at += 3)
            ycbcr_of(rgb, step, at);
    }
    return true;
}

/* Where a pixel of the upright picture lies in the original: start + x * right + y * down. */
struct walk {
    ptrdiff_t start, right, down;
};

static struct walk walk_of(const struct picture *p, int orientation)
{
    ptrdiff_t w = p->width, h = p->height, last = w * h - 1;
    switch (orientation) {
    case 2:
        return (struct walk){w - 1, -1, w};
    case 3:
        return (struct walk){last, -1, -w};
    case 4:
        return (struct walk){w * (h - 1), 1, -w};
    case 5:
        return (struct walk){0, w, 1};
    case 6:
        return (struct walk){w * (h - 1), -w, 1};
    case 7:
        return (struct walk){last, -w, -1};
    case 8:
        return (struct walk){w - 1, w, -1};
    default:
        return (struct walk){0, 1, w};
    }
}

bool picture_turn(const struct picture *from, int orientation, struct picture *to, struct watch *watch,
                  struct arena *arena, struct percept_err *err)
{
    if (orientation < 2 || orientation > 8) {
        *to = *from;
        return true;
    }
    bool aside = orientation >= 5;
    if (!picture_new(to, aside ? from->height : from->width, aside ? from->width : from->height, from->channels, arena,
                     err))
        return false;
    const struct picture_box shows = from->shows; /* all of it: nothing was cut yet */
    to->shows = aside ? (struct picture_box){shows.top, shows.left, shows.bottom, shows.right} : shows;
    struct walk walk = walk_of(from, orientation);
    size_t size = (size_t)from->channels;
    uint8_t *at = to->pixels;
    for (ptrdiff_t y = 0; y < to->height; y++) {
        if (!watch_spend(watch, to->width))
            return watch_refuse(watch, err);
        for (ptrdiff_t x = 0; x < to->width; x++, at += size) {
            ptrdiff_t pixel = walk.start + x * walk.right + y * walk.down;
            memcpy(at, from->pixels + (size_t)pixel * size, size);
        }
    }
    return true;
}

/* --- resizing ----------------------------------------------------------------------------------------------------- */

static uint8_t level(int32_t sum)
{
    int32_t value = sum >> TAPS_BITS;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* A tap takes about a tenth of watch_spend's unit. */
static int64_t row_units(int64_t n_taps, const struct picture *to)
{
    return (n_taps + 10) * to->width * to->channels / 10;
}

/* Along rows: channels apart, so that the weights of a pixel and what they count lie side by side. */

typedef uint8_t bytes16 __attribute__((vector_size(16)));
typedef uint64_t halves __attribute__((vector_size(16)));

/* The first halves of two, byte by byte in turn. */
static inline bytes16 zip(bytes16 a, bytes16 b)
{
    return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

static inline bytes16 second_half(bytes16 a)
{
    return (bytes16)__builtin_shufflevector((halves)a, (halves)a, 1, 1);
}

struct three {
    bytes16 a, b, c;
};

/* Halves the distance between bytes of one channel. */
static inline struct three nearer(struct three t)
{
    return (struct three){zip(t.a, second_half(t.b)), zip(second_half(t.a), t.c), zip(t.b, second_half(t.c))};
}

static inline void widen(bytes16 bytes, int16_t *to)
{
    const bytes16 low = zip(bytes, (bytes16){0}), high = zip(second_half(bytes), (bytes16){0});
    memcpy(to, &low, sizeof low);
    memcpy(to + 8, &high, sizeof high);
}

/* 16 pixels of three channels: four halvings bring 16 bytes of one together. */
static inline void split_sixteen(const uint8_t *rgb, int16_t *planes, size_t plane)
{
    struct three t;
    memcpy(&t.a, rgb, 16);
    memcpy(&t.b, rgb + 16, 16);
    memcpy(&t.c, rgb + 32, 16);
    t = nearer(nearer(nearer(nearer(t))));
    widen(t.a, planes);
    widen(t.b, planes + plane);
    widen(t.c, planes + 2 * plane);
}

/* Bytes of a row as 16-bit numbers, a plane per channel. */
static void split_row(const uint8_t *row, size_t width, size_t channels, int16_t *planes, size_t plane)
{
    size_t x = 0;
    for (; channels == 3 && x + 16 <= width; x += 16)
        split_sixteen(row + 3 * x, planes + x, plane);
    for (size_t c = 0; c < channels; c++)
        for (size_t i = x; i < width; i++)
            planes[c * plane + i] = row[i * channels + c];
}

#define LOW_BITS 11 /* of a weight, so that both parts of it fit in 16 bits */
#define PIECE 2048  /* products of a part, which are added up in 31 bits */

/* Weights in two parts, low and high, `room` each, for each output pixel; room is a multiple of TAPS_GROUP. */
static int16_t *split_weights(const struct taps *taps, struct arena *arena, struct percept_err *err)
{
    const size_t room = (size_t)taps->room, n = (size_t)taps->size * room;
    int16_t *parts = arena_array(arena, 2 * n, sizeof *parts);
    if (!parts) {
        err_memory(err, "a picture's filter", 2 * n * sizeof *parts);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        int16_t *to = parts + i / room * 2 * room + i % room;
        to[0] = (int16_t)(taps->weights[i] & ((1 << LOW_BITS) - 1));
        to[room] = (int16_t)(taps->weights[i] >> LOW_BITS);
    }
    return parts;
}

/* n products, both parts, to be added up modulo 2^32: the whole fits in 31 bits. */
static inline uint32_t products(const int16_t *at, const int16_t *low, const int16_t *high, size_t n)
{
    int32_t low_sum = 0, high_sum = 0;
    for (size_t k = 0; k < n; k++)
        low_sum += at[k] * low[k];
    for (size_t k = 0; k < n; k++)
        high_sum += at[k] * high[k];
    return (uint32_t)low_sum + ((uint32_t)high_sum << LOW_BITS);
}

/* One output pixel of one channel out of its plane. */
static inline uint8_t weighted(const int16_t *at, const int16_t *parts, size_t groups)
{
    const size_t n = groups * TAPS_GROUP;
    uint32_t sum = 1u << (TAPS_BITS - 1);
    if (__builtin_expect(n > PIECE, 0)) {
        for (size_t k = 0; k < n; k += PIECE)
            sum += products(at + k, parts + k, parts + n + k, n - k < PIECE ? n - k : PIECE);
        return level((int32_t)sum);
    }
    return level((int32_t)(sum + products(at, parts, parts + n, groups * TAPS_GROUP)));
}

static bool resize_rows(const struct picture *from, const struct taps *taps, int first_row, struct picture *to,
                        struct watch *watch, struct arena *arena, struct percept_err *err)
{
    const size_t c = (size_t)from->channels, width = (size_t)from->width, room = (size_t)taps->room;
    const size_t plane = width + room; /* groups of weights reach beyond the last pixel */
    const int16_t *parts = split_weights(taps, arena, err);
    int16_t *planes = parts ? arena_array(arena, c * plane, sizeof *planes) : NULL;
    if (!parts)
        return false;
    if (!planes)
        return err_memory(err, "a picture's row", c * plane * sizeof *planes);
    uint8_t *out = to->pixels;
    for (int y = 0; y < to->height; y++) {
        if (!watch_spend(watch, row_units(taps->room, to) + from->width / 4))
            return watch_refuse(watch, err);
        split_row(from->pixels + (size_t)(first_row + y) * width * c, width, c, planes, plane);
        const int16_t *weights = parts;
        for (int x = 0; x < to->width; x++, weights += 2 * room) {
            const int16_t *at = planes + taps->first[x];
            for (size_t k = 0; k < c; k++, at += plane)
                *out++ = weighted(at, weights, room / TAPS_GROUP);
        }
    }
    return true;
}

/* Columns side by side, so that a row of the original is read in one go. `sums` has room for a row. */
static bool resize_columns(const struct picture *from, const struct taps *taps, int first_row, struct picture *to,
                           int32_t *sums, struct watch *watch)
{
    size_t pitch = (size_t)to->width * (size_t)to->channels;
    for (int y = 0; y < to->height; y++) {
        if (!watch_spend(watch, row_units(taps->n[y], to)))
            return false;
        const int32_t *weights = taps->weights + (size_t)y * (size_t)taps->room;
        for (size_t i = 0; i < pitch; i++)
            sums[i] = 1 << (TAPS_BITS - 1);
        for (int k = 0; k < taps->n[y]; k++) {
            const uint8_t *row = from->pixels + (size_t)(taps->first[y] + k - first_row) * pitch;
            for (size_t i = 0; i < pitch; i++)
                sums[i] += row[i] * weights[k];
        }
        uint8_t *out = to->pixels + (size_t)y * pitch;
        for (size_t i = 0; i < pitch; i++)
            out[i] = level(sums[i]);
    }
    return true;
}

static int clamp(double at, int size)
{
    return at < 0 ? 0 : at >= size ? size - 1 : (int)at;
}

/* Places are added up, as Pillow does it: what lies on an edge falls to the same side. */
static bool resize_nearest(const struct picture *from, struct picture_box box, struct picture *to, struct watch *watch)
{
    double x_scale = (box.right - box.left) / to->width, y_scale = (box.bottom - box.top) / to->height;
    double y_at = box.top + 0.5 * y_scale;
    size_t c = (size_t)from->channels;
    uint8_t *out = to->pixels;
    for (int y = 0; y < to->height; y++, y_at += y_scale) {
        if (!watch_spend(watch, to->width))
            return false;
        size_t row = (size_t)clamp(y_at, from->height) * (size_t)from->width;
        double x_at = box.left + 0.5 * x_scale;
        for (int x = 0; x < to->width; x++, out += c, x_at += x_scale)
            memcpy(out, from->pixels + (row + (size_t)clamp(x_at, from->width)) * c, c);
    }
    return true;
}

/* A row of the original at the places of the result's columns, 11 bits finer. */
static void sample_row(const struct picture *from, int row, const struct taps_near *across, int n, int width,
                       int32_t *to)
{
    const size_t c = (size_t)from->channels;
    const uint8_t *pixels = from->pixels + (size_t)row * (size_t)from->width * c;
    for (int x = 0; x < width; x++)
        for (size_t k = 0; k < c; k++) {
            int32_t sum = 0;
            for (int i = 0; i < n; i++)
                sum += pixels[(size_t)across[x].at[i] * c + k] * across[x].weight[i];
            *to++ = sum;
        }
}

/* As OpenCV rounds it: of 11 bits along a row 4 are dropped, then of 11 along the column 16, and the rest. */
static void join_two(const int32_t *const rows[4], const int *weights, size_t n, uint8_t *to)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (uint8_t)(((weights[0] * (rows[0][i] >> 4) >> 16) + (weights[1] * (rows[1][i] >> 4) >> 16) + 2) >> 2);
}

static void join_four(const int32_t *const rows[4], const int *weights, size_t n, uint8_t *to)
{
    const int32_t half = 1 << (2 * TAPS_NEAR_BITS - 1);
    for (size_t i = 0; i < n; i++) {
        int32_t value = rows[0][i] * weights[0] + rows[1][i] * weights[1] + rows[2][i] * weights[2] +
                        rows[3][i] * weights[3] + half;
        value >>= 2 * TAPS_NEAR_BITS;
        to[i] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
    }
}

/* n is 2 or 4. Rows of the result share rows of the original, of which `held` has room for four. */
static bool resize_near(const struct picture *from, const struct taps_near *across, const struct taps_near *down, int n,
                        struct picture *to, int32_t *held, struct watch *watch)
{
    const size_t pitch = (size_t)to->width * (size_t)to->channels;
    int which[4] = {-1, -1, -1, -1};
    for (int y = 0; y < to->height; y++) {
        const int32_t *rows[4];
        if (!watch_spend(watch, row_units(4 * n, to)))
            return false;
        for (int k = 0; k < n; k++) {
            const int row = down[y].at[k], slot = row % 4;
            int32_t *at = held + (size_t)slot * pitch;
            if (which[slot] != row)
                sample_row(from, row, across, n, to->width, at);
            which[slot] = row;
            rows[k] = at;
        }
        (n == 2 ? join_two : join_four)(rows, down[y].weight, pitch, to->pixels + (size_t)y * pitch);
    }
    return true;
}

static bool is_same(double from, double to, int size, int from_size)
{
    return from <= 0 && to >= from_size && size == from_size;
}

static bool resize_sampled(const struct picture *from, struct picture_box box, enum taps_filter filter,
                           struct picture *to, struct watch *watch, struct arena *arena, struct percept_err *err)
{
    const struct taps_near *across = taps_near(from->width, box.left, box.right, to->width, filter, arena, err);
    const struct taps_near *down =
        across ? taps_near(from->height, box.top, box.bottom, to->height, filter, arena, err) : NULL;
    size_t n = 4 * (size_t)to->width * (size_t)to->channels;
    int32_t *rows = down ? arena_array(arena, n, sizeof *rows) : NULL;
    if (!down)
        return false;
    if (!rows)
        return err_memory(err, "a picture's rows", n * sizeof *rows);
    return resize_near(from, across, down, filter == TAPS_CUBIC ? 4 : 2, to, rows, watch) || watch_refuse(watch, err);
}

/* Along rows, then along columns; an axis that stays as it is is left out. `to` has its size. */
static bool resize_weighted(const struct picture *from, struct picture_box box, enum taps_filter filter,
                            struct picture *to, struct watch *watch, struct arena *arena, struct percept_err *err)
{
    bool same_columns = is_same(box.left, box.right, to->width, from->width);
    bool same_rows = is_same(box.top, box.bottom, to->height, from->height);
    struct taps across, down;
    struct picture narrow = *from;
    int first_row = 0, rows = to->height;
    if (!taps_make(&across, from->width, box.left, box.right, to->width, filter, watch, arena, err) ||
        !taps_make(&down, from->height, box.top, box.bottom, to->height, filter, watch, arena, err))
        return false;
    if (!same_rows && !same_columns) {
        first_row = down.first[0];
        rows = down.first[to->height - 1] + down.n[to->height - 1] - first_row;
    }
    if (!same_columns) {
        if (same_rows)
            narrow = *to;
        else if (!picture_new(&narrow, to->width, rows, from->channels, arena, err))
            return false;
        if (!resize_rows(from, &across, first_row, &narrow, watch, arena, err))
            return false;
    }
    if (same_rows)
        return true;
    int32_t *sums = arena_array(arena, (size_t)to->width * (size_t)from->channels, sizeof *sums);
    if (!sums)
        return err_memory(err, "a picture's row", (size_t)to->width * sizeof *sums);
    return resize_columns(&narrow, &down, first_row, to, sums, watch) || watch_refuse(watch, err);
}

/* OpenCV's way with areas depends on both axes. */
static enum taps_filter true_filter(enum taps_filter filter, struct picture_box box, const struct picture *to)
{
    bool shrinks = box.right - box.left >= to->width && box.bottom - box.top >= to->height;
    return filter == TAPS_AREA && !shrinks ? TAPS_GROW : filter;
}

bool picture_resize(const struct picture *from, struct picture_box box, int width, int height, enum taps_filter filter,
                    struct picture *to, struct watch *watch, struct arena *arena, struct percept_err *err)
{
    struct picture result;
    if (is_same(box.left, box.right, width, from->width) && is_same(box.top, box.bottom, height, from->height)) {
        *to = *from;
        return true;
    }
    if (!picture_new(&result, width, height, from->channels, arena, err))
        return false;
    result.shows = picture_part(from, box);
    filter = true_filter(filter, box, &result);
    bool ok;
    if (filter == TAPS_NEAREST)
        ok = resize_nearest(from, box, &result, watch) || watch_refuse(watch, err);
    else if (filter > TAPS_AREA)
        ok = resize_sampled(from, box, filter, &result, watch, arena, err);
    else
        ok = resize_weighted(from, box, filter, &result, watch, arena, err);
    if (ok)
        *to = result;
    return ok;
}
