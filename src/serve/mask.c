/*
 * mask.c - see mask.h.
 *
 *     coefficients x prototypes, in the box alone -> sigmoid -> the part of the picture that this reaches -> > 0.5
 *     -> run lengths, or the outlines of what is inside (outline.h)
 *
 * Only what a box covers is computed, of prototypes and picture alike: a mask costs what its box is large. Beyond that
 * and a pixel of the prototypes around it the map is 0.
 */
#include "serve/mask.h"

#include "base/err.h"
#include "serve/resample.h"

#include <math.h>
#include <string.h>

/* Pixels [left, right) x [top, bottom). */
struct area {
    int64_t left, top, right, bottom;
};

bool mask_begin(struct masking *masking, const struct decoding *decoding, const struct picture_view *view, int width,
                int height, enum job_masks form, struct arena *arena, struct watch *watch, int64_t *n_pixels,
                struct percept_err *err)
{
    const double map_width = (double)decoding->prototype_width, map_height = (double)decoding->prototype_height;
    const size_t n = (size_t)decoding->prototype_width * (size_t)decoding->prototype_height;
    const struct picture_box part = resample_shown(view, decoding->prototype_width, decoding->prototype_height);
    *masking = (struct masking){.decoding = decoding,
                                .width = width,
                                .height = height,
                                .form = form,
                                .part = part,
                                .across = map_width / decoding->width,
                                .down = map_height / decoding->height,
                                .map = arena_array(arena, n + 1, sizeof *masking->map),
                                .n_pixels = n_pixels,
                                .arena = arena,
                                .watch = watch};
    if (decoding->manifest->detect.units == UNITS_PICTURE) {
        masking->left = part.left;
        masking->top = part.top;
        masking->across = (part.right - part.left) / width;
        masking->down = (part.bottom - part.top) / height;
    }
    if (!masking->map)
        return err_memory(err, "masks", n * sizeof *masking->map);
    memset(masking->map, 0, (n + 1) * sizeof *masking->map);
    return true;
}

/* The first whole number from `at` on, within 0..most. */
static int64_t first_from(double at, int64_t most)
{
    return (int64_t)ceil(fmin(fmax(at, 0), (double)most));
}

/* Where a box lies among the prototypes: pixels whose number is from its edge on, and less than the other one. */
static struct area area_of(const struct masking *m, const struct box *box)
{
    const int64_t width = m->decoding->prototype_width, height = m->decoding->prototype_height;
    return (struct area){first_from(m->left + (double)box->left * m->across, width),
                         first_from(m->top + (double)box->top * m->down, height),
                         first_from(m->left + (double)box->right * m->across, width),
                         first_from(m->top + (double)box->bottom * m->down, height)};
}

/* Pixels of the picture whose centres lie less than a pixel of the map from the centres of those of `area`. */
static struct area reach_of(const struct masking *m, const struct area *area)
{
    const double across = (m->part.right - m->part.left) / m->width;
    const double down = (m->part.bottom - m->part.top) / m->height;
    if (!(across > 0) || !(down > 0) || area->right <= area->left || area->bottom <= area->top)
        return (struct area){0};
    return (struct area){first_from(floor(((double)area->left - 0.5 - m->part.left) / across - 0.5), m->width),
                         first_from(floor(((double)area->top - 0.5 - m->part.top) / down - 0.5), m->height),
                         first_from(((double)area->right + 0.5 - m->part.left) / across + 0.5, m->width),
                         first_from(((double)area->bottom + 0.5 - m->part.top) / down + 0.5, m->height)};
}

static bool put_map(struct masking *m, const struct box *box, const struct area *area)
{
    const struct decoding *d = m->decoding;
    const int64_t width = d->prototype_width, n = area->right - area->left;
    for (int64_t y = area->top; y < area->bottom; y++) {
        float *row = m->map + y * width + area->left;
        if (!watch_spend(m->watch, n * (d->n_coefficients / 8 + 4)))
            return false;
        for (int64_t k = 0; k < d->n_coefficients; k++) {
            const float *from = d->prototypes + (k * d->prototype_height + y) * width + area->left;
            const float share = plane_get(&d->planes[ROLE_BOXES][0], box->row, d->first_extra + k);
            for (int64_t x = 0; x < n; x++)
                row[x] += share * from[x];
        }
        for (int64_t x = 0; x < n; x++)
            row[x] = 1 / (1 + expf(-row[x]));
    }
    return true;
}

static void clear_map(struct masking *m, const struct area *area)
{
    for (int64_t y = area->top; y < area->bottom && area->right > area->left; y++)
        memset(m->map + y * m->decoding->prototype_width + area->left, 0,
               (size_t)(area->right - area->left) * sizeof *m->map);
}

/* Room for `n` pixels, of which the request may have so many. */
static bool make_room(struct masking *m, int64_t n, struct percept_err *err)
{
    *m->n_pixels += n;
    if (*m->n_pixels > MASK_MOST_PIXELS)
        return err_set(err, ERR_TOO_LARGE,
                       "the masks of this request cover more than %lld pixels; send a smaller picture, or ask without "
                       "masks",
                       (long long)MASK_MOST_PIXELS);
    if ((size_t)n <= m->room)
        return true;
    m->room = (size_t)n;
    m->scores = arena_array(m->arena, m->room, sizeof *m->scores);
    m->inside = arena_array(m->arena, m->room, 2);
    m->been = m->inside ? m->inside + m->room : NULL;
    return (m->scores && m->inside) || err_memory(err, "masks", m->room * (sizeof *m->scores + 2));
}

/* A part of the picture: m->inside [height, width] of `reach`. */
static bool put_inside(struct masking *m, const struct area *reach)
{
    const int width = (int)(reach->right - reach->left), height = (int)(reach->bottom - reach->top);
    const double across = (m->part.right - m->part.left) / m->width;
    const double down = (m->part.bottom - m->part.top) / m->height;
    const struct picture_box part = {
        m->part.left + (double)reach->left * across, m->part.top + (double)reach->top * down,
        m->part.left + (double)reach->right * across, m->part.top + (double)reach->bottom * down};
    if (!resample_plane(m->map, m->decoding->prototype_width, m->decoding->prototype_height, part, width, height,
                        m->scores, m->watch))
        return false;
    for (int64_t i = 0; i < (int64_t)width * height; i++)
        m->inside[i] = m->scores[i] > 0.5f;
    return watch_spend(m->watch, (int64_t)width * height / 4);
}

/* --- run lengths -------------------------------------------------------------------------------------------------- */

struct runs {
    struct outline_numbers *counts;
    int64_t begun; /* the run that goes on, of pixels that are `inside` */
    uint8_t inside;
};

/* From pixel `at` on it is inside or not. */
static void run_on(struct runs *runs, int64_t at, uint8_t inside)
{
    if (inside == runs->inside)
        return;
    outline_push(runs->counts, at - runs->begun);
    runs->begun = at;
    runs->inside = inside;
}

static bool put_counts(const struct masking *m, const struct area *reach, struct outline_numbers *counts)
{
    const int64_t width = reach->right - reach->left, height = reach->bottom - reach->top;
    const int64_t n = (int64_t)m->width * m->height;
    struct runs runs = {.counts = counts};
    for (int64_t x = 0; x < width; x++) {
        const int64_t column = (reach->left + x) * m->height;
        if (!watch_spend(m->watch, height))
            return false;
        for (int64_t y = 0; y < height; y++)
            run_on(&runs, column + reach->top + y, m->inside[y * width + x]);
        if (reach->bottom - reach->top < m->height) /* the rest of this column, and the next one's begin */
            run_on(&runs, column + reach->bottom, 0);
    }
    if (reach->right * m->height < n)
        run_on(&runs, reach->right * m->height, 0);
    if (runs.begun < n)
        outline_push(counts, n - runs.begun);
    return true;
}

bool mask_make(struct masking *m, const struct box *box, struct mask *mask, struct percept_err *err)
{
    const struct area area = area_of(m, box), reach = reach_of(m, &area);
    const int64_t width = reach.right - reach.left, height = reach.bottom - reach.top;
    struct outline_numbers list = {.arena = m->arena};
    const bool some = width > 0 && height > 0;
    if (!make_room(m, some ? width * height : 0, err))
        return false;
    bool there = true;
    if (some) {
        there = put_map(m, box, &area) && put_inside(m, &reach);
        clear_map(m, &area);
    }
    if (there && m->form == JOB_MASKS_POLYGON)
        there = !some || outline_trace(&(struct outline_map){m->inside, width, height, reach.left, reach.top}, 1,
                                       m->been, &list, m->watch);
    else if (there)
        there = put_counts(m, some ? &reach : &(struct area){0}, &list);
    if (!there)
        return watch_refuse(m->watch, err);
    if (list.failed)
        return err_memory(err, "masks", list.room * 2 * sizeof *list.at);
    if (m->form == JOB_MASKS_POLYGON)
        *mask = (struct mask){.n_outlines = list.n, .outlines = list.at};
    else
        *mask = (struct mask){.n_counts = list.n, .counts = list.at};
    return true;
}
