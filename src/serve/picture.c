/*
 * picture.c - resizing as people who train networks know it: weights per output pixel from a filter
 * that is stretched when shrinking, in 22-bit fixed point, first along rows, then along columns,
 * rounded to 8 bits in between. Networks are trained on such pictures, down to the last level,
 * hence the care: the tests compare with values of the library most of them used.
 *
 * No floating point touches a pixel; weights are computed in double, once per column and row. Costs
 * are bounded by the caller: width, height and pixels of pictures are limited before they get here.
 * Rows look at the watch.
 */
#include "serve/picture.h"

#include "base/err.h"

#include <math.h>
#include <string.h>

#define WEIGHT_BITS 22 /* 8 bits of pixel, 22 of weight, 2 for bicubic's overshoot */

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

/* For each output pixel of an axis: the first input pixel, how many, and their weights. */
struct weights {
    int n_taps; /* room per output pixel */
    int *first, *n;
    int32_t *taps;
};

static double bilinear(double x)
{
    x = fabs(x);
    return x < 1 ? 1 - x : 0;
}

static double bicubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

static double area(double x)
{
    return x > -0.5 && x <= 0.5 ? 1 : 0;
}

struct filter {
    double (*at)(double x);
    double support;
};

static struct filter filter_of(enum picture_filter kind)
{
    if (kind == PICTURE_BICUBIC)
        return (struct filter){bicubic, 2};
    if (kind == PICTURE_AREA)
        return (struct filter){area, 0.5};
    return (struct filter){bilinear, 1};
}

static int32_t fixed(double weight)
{
    double scaled = weight * (1 << WEIGHT_BITS);
    return (int32_t)(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
}

/* Weights of one output pixel, normalized to a sum of 1. `real` has room for all taps. */
static void weigh(const struct weights *w, int i, const struct filter *filter, double centre, double stretch,
                  double *real)
{
    double sum = 0;
    for (int k = 0; k < w->n[i]; k++) {
        real[k] = filter->at((k + w->first[i] - centre + 0.5) / stretch);
        sum += real[k];
    }
    for (int k = 0; k < w->n[i]; k++)
        w->taps[(size_t)i * (size_t)w->n_taps + (size_t)k] = fixed(sum != 0 ? real[k] / sum : 0);
}

static bool weights_make(struct weights *w, int from_size, double from, double to, int size, enum picture_filter kind,
                         struct watch *watch, struct arena *arena, struct percept_err *err)
{
    struct filter filter = filter_of(kind);
    double scale = (to - from) / size;
    double stretch = scale < 1 ? 1 : scale;
    double support = filter.support * stretch;
    w->n_taps = (int)ceil(support) * 2 + 1;
    w->first = arena_array(arena, (size_t)size, sizeof *w->first);
    w->n = arena_array(arena, (size_t)size, sizeof *w->n);
    w->taps = arena_array(arena, (size_t)size * (size_t)w->n_taps, sizeof *w->taps);
    double *real = arena_array(arena, (size_t)w->n_taps, sizeof *real);
    if (!w->first || !w->n || !w->taps || !real)
        return err_memory(err, "a picture's filter", (size_t)size * (size_t)w->n_taps * sizeof *w->taps);
    for (int i = 0; i < size; i++) {
        double centre = from + (i + 0.5) * scale;
        if (!watch_spend(watch, w->n_taps))
            return watch_refuse(watch, err);
        int first = (int)(centre - support + 0.5), last = (int)(centre + support + 0.5);
        w->first[i] = first < 0 ? 0 : first;
        w->n[i] = (last > from_size ? from_size : last) - w->first[i];
        weigh(w, i, &filter, centre, stretch, real);
    }
    return true;
}

static uint8_t level(int32_t sum)
{
    int32_t value = sum >> WEIGHT_BITS;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* One output pixel of one channel: `step` bytes lie between the pixels that count. */
static inline uint8_t weighted(const uint8_t *at, size_t step, const int32_t *taps, int n)
{
    int32_t sum = 1 << (WEIGHT_BITS - 1);
    for (int k = 0; k < n; k++, at += step)
        sum += *at * taps[k];
    return level(sum);
}

/* A tap takes about a tenth of watch_spend's unit. */
static int64_t row_units(int64_t n_taps, const struct picture *to)
{
    return (n_taps + 10) * to->width * to->channels / 10;
}

static bool resize_rows(const struct picture *from, const struct weights *w, int first_row, struct picture *to,
                        struct watch *watch)
{
    size_t c = (size_t)from->channels, pitch = (size_t)from->width * c;
    uint8_t *out = to->pixels;
    for (int y = 0; y < to->height; y++) {
        if (!watch_spend(watch, row_units(w->n_taps, to)))
            return false;
        const uint8_t *row = from->pixels + (size_t)(first_row + y) * pitch;
        for (int x = 0; x < to->width; x++) {
            const uint8_t *at = row + (size_t)w->first[x] * c;
            const int32_t *taps = w->taps + (size_t)x * (size_t)w->n_taps;
            for (size_t k = 0; k < c; k++)
                *out++ = weighted(at + k, c, taps, w->n[x]);
        }
    }
    return true;
}

/* Columns side by side, so that a row of the original is read in one go. `sums` has room for a row.
 */
static bool resize_columns(const struct picture *from, const struct weights *w, int first_row, struct picture *to,
                           int32_t *sums, struct watch *watch)
{
    size_t pitch = (size_t)to->width * (size_t)to->channels;
    for (int y = 0; y < to->height; y++) {
        if (!watch_spend(watch, row_units(w->n[y], to)))
            return false;
        const int32_t *taps = w->taps + (size_t)y * (size_t)w->n_taps;
        for (size_t i = 0; i < pitch; i++)
            sums[i] = 1 << (WEIGHT_BITS - 1);
        for (int k = 0; k < w->n[y]; k++) {
            const uint8_t *row = from->pixels + (size_t)(w->first[y] + k - first_row) * pitch;
            for (size_t i = 0; i < pitch; i++)
                sums[i] += row[i] * taps[k];
        }
        uint8_t *out = to->pixels + (size_t)y * pitch;
        for (size_t i = 0; i < pitch; i++)
            out[i] = level(sums[i]);
    }
    return true;
}

static bool resize_nearest(const struct picture *from, struct picture_box box, struct picture *to, struct watch *watch)
{
    double x_scale = (box.right - box.left) / to->width, y_scale = (box.bottom - box.top) / to->height;
    size_t c = (size_t)from->channels;
    uint8_t *out = to->pixels;
    for (int y = 0; y < to->height; y++) {
        if (!watch_spend(watch, to->width))
            return false;
        int row = (int)(box.top + (y + 0.5) * y_scale);
        row = row < from->height ? row : from->height - 1;
        for (int x = 0; x < to->width; x++, out += c) {
            int column = (int)(box.left + (x + 0.5) * x_scale);
            column = column < from->width ? column : from->width - 1;
            memcpy(out, from->pixels + ((size_t)row * (size_t)from->width + (size_t)column) * c, c);
        }
    }
    return true;
}

static bool is_same(double from, double to, int size, int from_size)
{
    return from <= 0 && to >= from_size && size == from_size;
}

bool picture_resize(const struct picture *from, struct picture_box box, int width, int height,
                    enum picture_filter filter, struct picture *to, struct watch *watch, struct arena *arena,
                    struct percept_err *err)
{
    bool same_columns = is_same(box.left, box.right, width, from->width);
    bool same_rows = is_same(box.top, box.bottom, height, from->height);
    if (same_columns && same_rows) {
        *to = *from;
        return true;
    }
    struct weights across, down;
    struct picture narrow = *from, result;
    if (!picture_new(&result, width, height, from->channels, arena, err))
        return false;
    result.shows = picture_part(from, box);
    if (filter == PICTURE_NEAREST) {
        if (!resize_nearest(from, box, &result, watch))
            return watch_refuse(watch, err);
        *to = result;
        return true;
    }
    if (!weights_make(&across, from->width, box.left, box.right, width, filter, watch, arena, err) ||
        !weights_make(&down, from->height, box.top, box.bottom, height, filter, watch, arena, err))
        return false;
    int first_row = 0;
    if (!same_columns) {
        first_row = same_rows ? 0 : down.first[0];
        int rows = same_rows ? height : down.first[height - 1] + down.n[height - 1] - first_row;
        if (!picture_new(&narrow, width, rows, from->channels, arena, err))
            return false;
        if (!resize_rows(from, &across, first_row, &narrow, watch))
            return watch_refuse(watch, err);
    }
    if (same_rows) {
        *to = narrow;
        to->shows = result.shows;
        return true;
    }
    int32_t *sums = arena_array(arena, (size_t)width * (size_t)from->channels, sizeof *sums);
    if (!sums)
        return err_memory(err, "a picture's row", (size_t)width * sizeof *sums);
    if (!resize_columns(&narrow, &down, first_row, &result, sums, watch))
        return watch_refuse(watch, err);
    *to = result;
    return true;
}
