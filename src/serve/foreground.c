/*
 * foreground.c - a photo or drawing of something written -> strokes as a network trained on scans knows
 * them.
 *
 * A picture that has the network's size already is taken as a scan: at most its tones are turned
 * round, when its border shows that paper and ink are the other way. Everything else, where the
 * manifest has an ink_box, goes the way that MNIST's makers went, with what a camera needs put
 * before it:
 *
 *     smaller -> ink light -> paper levelled -> threshold -> specks dropped -> strokes cut out
 *             -> thickened if hair-thin -> fitted to the box -> centred by mass
 *
 * Paper is levelled by a plane through the paper of 12 x 12 tiles, found by reweighting so that
 * tiles with ink in them do not count; this takes shadows away. The threshold is Otsu's. Where no
 * ink can be told from paper the picture is handed on as it is, to be resized like any other.
 *
 * Works on gray pictures in arenas; allocates there only. Pure otherwise. What is done at the
 * picture's own size looks at the watch by rows; what is done at WORK_SIDE takes some milliseconds
 * a step and looks between steps, the widening of strokes by lines.
 */
#include "base/err.h"
#include "serve/picture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WORK_SIDE 512     /* strokes are looked for in pictures of at most this */
#define TILES 12          /* along a side */
#define CONTRAST_MIN 24.0 /* levels between ink and paper, or there is no ink */
#define SPECK_SHARE 0.04  /* of the largest stroke's pixels: less is a speck */
#define STROKE_SHARE 0.09 /* of the ink's larger side: thinner strokes vanish in the box */

static int compare_levels(const void *a, const void *b)
{
    return *(const uint8_t *)a - *(const uint8_t *)b;
}

/* The level of the outermost 2 pixels. */
static int border_level(const struct picture *p)
{
    int counts[256] = {0}, n = 0;
    for (int y = 0; y < p->height; y++) {
        bool inner_row = y >= 2 && y < p->height - 2;
        for (int x = 0; x < p->width; x++) {
            if (inner_row && x == 2 && p->width > 4)
                x = p->width - 2;
            counts[p->pixels[(size_t)y * (size_t)p->width + (size_t)x]]++;
            n++;
        }
    }
    int level = 0;
    for (int below = counts[0]; below * 2 < n; below += counts[level])
        level++;
    return level;
}

static bool invert(const struct picture *from, struct picture *to, struct watch *watch, struct arena *arena,
                   struct percept_err *err)
{
    struct picture result;
    if (!picture_new(&result, from->width, from->height, 1, arena, err))
        return false;
    result.shows = from->shows;
    const uint8_t *at = from->pixels;
    uint8_t *out = result.pixels;
    for (int y = 0; y < from->height; y++) {
        if (!watch_spend(watch, from->width))
            return watch_refuse(watch, err);
        for (int x = 0; x < from->width; x++)
            *out++ = (uint8_t)(255 - *at++);
    }
    *to = result;
    return true;
}

/* --- paper -------------------------------------------------------------------------------------------------------- */

/* paper = at + x * across + y * down */
struct plane {
    double at, across, down;
};

struct tile {
    double x, y, level, weight;
};

/* The level that a quarter of a tile's pixels are below: paper, unless ink covers most of it. */
static double quartile(const struct picture *p, int column, int row)
{
    uint8_t levels[256];
    int left = column * p->width / TILES, right = (column + 1) * p->width / TILES;
    int top = row * p->height / TILES, bottom = (row + 1) * p->height / TILES;
    size_t n = 0;
    for (int i = 0; i < 16; i++)
        for (int k = 0; k < 16; k++) {
            int y = top + (bottom - top) * i / 16, x = left + (right - left) * k / 16;
            levels[n++] = p->pixels[(size_t)y * (size_t)p->width + (size_t)x];
        }
    qsort(levels, n, 1, compare_levels);
    return levels[n / 4];
}

/* Weighted least squares; false when the tiles do not span a plane. */
static bool fit(const struct tile *tiles, int n, struct plane *plane)
{
    double w = 0, x = 0, y = 0, v = 0, xx = 0, xy = 0, yy = 0, xv = 0, yv = 0;
    for (int i = 0; i < n; i++) {
        w += tiles[i].weight;
        x += tiles[i].weight * tiles[i].x;
        y += tiles[i].weight * tiles[i].y;
        v += tiles[i].weight * tiles[i].level;
    }
    x /= w;
    y /= w;
    v /= w;
    for (int i = 0; i < n; i++) {
        double dx = tiles[i].x - x, dy = tiles[i].y - y, dv = tiles[i].level - v;
        xx += tiles[i].weight * dx * dx;
        xy += tiles[i].weight * dx * dy;
        yy += tiles[i].weight * dy * dy;
        xv += tiles[i].weight * dx * dv;
        yv += tiles[i].weight * dy * dv;
    }
    double determinant = xx * yy - xy * xy;
    if (!(determinant > 1e-9))
        return false;
    plane->across = (xv * yy - yv * xy) / determinant;
    plane->down = (yv * xx - xv * xy) / determinant;
    plane->at = v - plane->across * x - plane->down * y;
    return true;
}

static struct plane paper_of(const struct picture *p)
{
    struct tile tiles[TILES * TILES];
    const int n = TILES * TILES;
    for (int i = 0; i < n; i++)
        tiles[i] = (struct tile){.x = (i % TILES + 0.5) * p->width / TILES,
                                 .y = ((double)(i / TILES) + 0.5) * p->height / TILES,
                                 .level = quartile(p, i % TILES, i / TILES),
                                 .weight = 1};
    struct plane plane = {0};
    for (int round = 0; round < 8; round++) {
        if (!fit(tiles, n, &plane))
            return (struct plane){0};
        for (int i = 0; i < n; i++) {
            double over = tiles[i].level - (plane.at + plane.across * tiles[i].x + plane.down * tiles[i].y);
            double ink = over > 0 ? over / 8 : over / 24;
            tiles[i].weight = 1 / (1 + ink * ink);
        }
    }
    return plane;
}

static void level_paper(struct picture *p)
{
    struct plane paper = paper_of(p);
    uint8_t *at = p->pixels;
    for (int y = 0; y < p->height; y++)
        for (int x = 0; x < p->width; x++, at++) {
            double over = *at - (paper.at + paper.across * x + paper.down * y);
            *at = (uint8_t)(over < 0 ? 0 : over > 255 ? 255 : over + 0.5);
        }
}

/* --- ink ---------------------------------------------------------------------------------------------------------- */

/* What divides the levels in two, and the two groups' means. */
struct split {
    int threshold; /* levels over it are ink */
    double paper, ink;
};

static struct split otsu(const struct picture *p)
{
    double counts[256] = {0}, n = 0, sum = 0;
    for (size_t i = 0; i < (size_t)p->width * (size_t)p->height; i++)
        counts[p->pixels[i]]++;
    for (int i = 0; i < 256; i++) {
        n += counts[i];
        sum += i * counts[i];
    }
    struct split best = {0};
    double best_spread = -1, below = 0, below_sum = 0;
    for (int i = 0; i < 255; i++) {
        below += counts[i];
        below_sum += i * counts[i];
        if (below == 0 || below == n)
            continue;
        double paper = below_sum / below, ink = (sum - below_sum) / (n - below);
        double spread = below * (n - below) * (ink - paper) * (ink - paper);
        if (spread > best_spread) {
            best_spread = spread;
            best = (struct split){i, paper, ink};
        }
    }
    return best;
}

/* Strokes found: `labels` has each pixel's stroke, 0 for paper. */
struct strokes {
    int *labels;
    int *sizes; /* by label */
    int n;
    int *pending; /* pixels to be visited */
};

static void flood(const struct picture *p, int threshold, int start, struct strokes *s)
{
    int n_pending = 0, size = 0, label = s->n;
    s->pending[n_pending++] = start;
    s->labels[start] = label;
    while (n_pending) {
        int at = s->pending[--n_pending];
        size++;
        int x = at % p->width, y = at / p->width;
        for (int dy = -1; dy <= 1; dy++)
            for (int dx = -1; dx <= 1; dx++) {
                if (x + dx < 0 || x + dx >= p->width || y + dy < 0 || y + dy >= p->height)
                    continue;
                int next = at + dy * p->width + dx;
                if (s->labels[next] || p->pixels[next] <= threshold)
                    continue;
                s->labels[next] = label;
                s->pending[n_pending++] = next;
            }
    }
    s->sizes[label] = size;
}

static bool find_strokes(const struct picture *p, int threshold, struct strokes *s, struct arena *arena,
                         struct percept_err *err)
{
    int n = p->width * p->height;
    size_t room = (size_t)n + 1;
    *s = (struct strokes){.labels = arena_array(arena, room, sizeof(int)),
                          .sizes = arena_array(arena, room, sizeof(int)),
                          .pending = arena_array(arena, room, sizeof(int))};
    if (!s->labels || !s->sizes || !s->pending)
        return err_memory(err, "a picture's strokes", room * 3 * sizeof(int));
    for (int i = 0; i < n; i++)
        if (!s->labels[i] && p->pixels[i] > threshold) {
            s->n++;
            flood(p, threshold, i, s);
        }
    return true;
}

struct extent {
    int left, top, right, bottom; /* right and bottom are one past */
    int n_pixels, n_edge;         /* ink, and ink beside paper */
};

static bool is_edge(const struct picture *p, const struct strokes *s, int at)
{
    int x = at % p->width, y = at / p->width;
    return x == 0 || y == 0 || x == p->width - 1 || y == p->height - 1 || !s->labels[at - 1] || !s->labels[at + 1] ||
           !s->labels[at - p->width] || !s->labels[at + p->width];
}

/* Wipes specks away and measures what stays. */
static struct extent clean(struct picture *p, struct strokes *s)
{
    int largest = 0;
    for (int i = 1; i <= s->n; i++)
        largest = s->sizes[i] > largest ? s->sizes[i] : largest;
    struct extent e = {.left = p->width, .top = p->height};
    for (int at = 0; at < p->width * p->height; at++) {
        if (!s->labels[at])
            continue;
        if (s->sizes[s->labels[at]] < SPECK_SHARE * largest) {
            p->pixels[at] = 0;
            s->labels[at] = 0;
            continue;
        }
        int x = at % p->width, y = at / p->width;
        e.left = x < e.left ? x : e.left;
        e.right = x + 1 > e.right ? x + 1 : e.right;
        e.top = y < e.top ? y : e.top;
        e.bottom = y + 1 > e.bottom ? y + 1 : e.bottom;
        e.n_pixels++;
    }
    for (int at = 0; at < p->width * p->height; at++)
        e.n_edge += s->labels[at] && is_edge(p, s, at);
    return e;
}

/* Paper to 0 and ink to 255, with what lies between them in proportion. */
static void stretch(struct picture *p, const struct split *split)
{
    double low = (split->paper + split->threshold) / 2, high = split->ink;
    double scale = high - low > 1 ? 255 / (high - low) : 255;
    for (size_t i = 0; i < (size_t)p->width * (size_t)p->height; i++) {
        double value = (p->pixels[i] - low) * scale;
        p->pixels[i] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value + 0.5);
    }
}

/* The largest value within `radius` along a line of n pixels, `step` apart. */
static void widen_line(uint8_t *at, int n, size_t step, int radius, uint8_t *copy)
{
    for (int i = 0; i < n; i++)
        copy[i] = at[(size_t)i * step];
    for (int i = 0; i < n; i++) {
        int from = i < radius ? 0 : i - radius, to = i + radius >= n ? n - 1 : i + radius;
        uint8_t most = 0;
        for (int k = from; k <= to; k++)
            most = copy[k] > most ? copy[k] : most;
        at[(size_t)i * step] = most;
    }
}

/* Strokes that would be less than a pixel wide in the box are made thicker first. */
static bool thicken(struct picture *p, struct extent *e, struct watch *watch)
{
    uint8_t copy[WORK_SIDE];
    int width = e->right - e->left, height = e->bottom - e->top;
    int side = width > height ? width : height;
    double stroke = e->n_edge ? 2.0 * e->n_pixels / e->n_edge : side;
    int radius = (int)((STROKE_SHARE * side - stroke) / 2 + 0.5);
    if (radius < 1)
        return true;
    for (int y = 0; y < p->height; y++) {
        if (!watch_spend(watch, (int64_t)p->width * radius / 4))
            return false;
        widen_line(p->pixels + (size_t)y * (size_t)p->width, p->width, 1, radius, copy);
    }
    for (int x = 0; x < p->width; x++) {
        if (!watch_spend(watch, (int64_t)p->height * radius / 4))
            return false;
        widen_line(p->pixels + x, p->height, (size_t)p->width, radius, copy);
    }
    e->left = e->left < radius ? 0 : e->left - radius;
    e->top = e->top < radius ? 0 : e->top - radius;
    e->right = e->right + radius > p->width ? p->width : e->right + radius;
    e->bottom = e->bottom + radius > p->height ? p->height : e->bottom + radius;
    return true;
}

/* Where a side of n pixels starts so that its mass lies in the middle of `room`, inside if it can
 * be. */
static int centred(double mass, int n, int room)
{
    int at = (int)floor(room / 2.0 - mass + 0.5);
    if (n >= room)
        return (room - n) / 2;
    return at < 0 ? 0 : at + n > room ? room - n : at;
}

/* Pastes the fitted strokes on empty paper, centred by mass. */
static bool paste(const struct picture *ink, int width, int height, struct picture *to, struct arena *arena,
                  struct percept_err *err)
{
    struct picture page;
    if (!picture_new(&page, width, height, 1, arena, err))
        return false;
    double mass = 0, x_mass = 0, y_mass = 0;
    for (int y = 0; y < ink->height; y++)
        for (int x = 0; x < ink->width; x++) {
            double value = ink->pixels[y * ink->width + x];
            mass += value;
            x_mass += value * (x + 0.5);
            y_mass += value * (y + 0.5);
        }
    int left = centred(mass > 0 ? x_mass / mass : ink->width / 2.0, ink->width, width);
    int top = centred(mass > 0 ? y_mass / mass : ink->height / 2.0, ink->height, height);
    page.shows = picture_part(ink, (struct picture_box){-left, -top, width - left, height - top});
    for (int y = 0; y < ink->height; y++)
        for (int x = 0; x < ink->width; x++)
            if (left + x >= 0 && left + x < width && top + y >= 0 && top + y < height)
                page.pixels[(top + y) * width + left + x] = ink->pixels[y * ink->width + x];
    *to = page;
    return true;
}

static bool fit_box(const struct picture *p, const struct extent *e, const struct manifest_image *image,
                    struct picture *to, struct watch *watch, struct arena *arena, struct percept_err *err)
{
    int width = e->right - e->left, height = e->bottom - e->top;
    double scale = (double)image->ink_box / (width > height ? width : height);
    int w = (int)floor(width * scale + 0.5), h = (int)floor(height * scale + 0.5);
    struct picture_box box = {e->left, e->top, e->right, e->bottom};
    struct picture ink;
    return picture_resize(p, box, w < 1 ? 1 : w, h < 1 ? 1 : h, scale < 1 ? TAPS_BOX : TAPS_BILINEAR, &ink, watch,
                          arena, err) &&
           paste(&ink, image->width, image->height, to, arena, err);
}

/* A copy whose longer side is WORK_SIDE at most. */
static bool shrink(const struct picture *from, struct picture *to, struct watch *watch, struct arena *arena,
                   struct percept_err *err)
{
    int side = from->width > from->height ? from->width : from->height;
    double scale = side > WORK_SIDE ? (double)WORK_SIDE / side : 1;
    int width = (int)(from->width * scale + 0.5), height = (int)(from->height * scale + 0.5);
    struct picture small;
    if (!picture_resize(from, picture_whole(from), width < 1 ? 1 : width, height < 1 ? 1 : height, TAPS_BOX, &small,
                        watch, arena, err) ||
        !picture_new(to, small.width, small.height, 1, arena, err))
        return false;
    to->shows = small.shows;
    memcpy(to->pixels, small.pixels, (size_t)small.width * (size_t)small.height);
    return true;
}

/* Light strokes cut out of a picture; *found tells whether there were any. */
static bool cut_out(const struct picture *light, const struct manifest_image *image, struct picture *to, bool *found,
                    struct watch *watch, struct arena *arena, struct percept_err *err)
{
    struct picture work;
    struct strokes strokes;
    *found = false;
    if (!shrink(light, &work, watch, arena, err))
        return false;
    level_paper(&work);
    struct split split = otsu(&work);
    if (split.ink - split.paper < CONTRAST_MIN)
        return true;
    if (!watch_look(watch))
        return watch_refuse(watch, err);
    if (!find_strokes(&work, split.threshold, &strokes, arena, err))
        return false;
    if (!watch_look(watch))
        return watch_refuse(watch, err);
    struct extent extent = clean(&work, &strokes);
    stretch(&work, &split);
    if (!thicken(&work, &extent, watch))
        return watch_refuse(watch, err);
    *found = true;
    return fit_box(&work, &extent, image, to, watch, arena, err);
}

bool foreground_prepare(const struct picture *gray, const struct manifest_image *image, struct picture *to,
                        struct watch *watch, struct arena *arena, struct percept_err *err)
{
    struct picture light = *gray;
    bool sized = gray->width == image->width && gray->height == image->height;
    bool boxed = image->ink_box > 0 && image->width > 0 && image->height > 0 && !sized;
    if (image->ink == INK_AS_IS) {
        *to = *gray;
        return true;
    }
    bool paper_light = border_level(gray) > 127;
    if (!boxed) {
        *to = *gray;
        return paper_light != (image->ink == INK_LIGHT) || invert(gray, to, watch, arena, err);
    }
    if (paper_light && !invert(gray, &light, watch, arena, err))
        return false;
    struct picture cut = light;
    bool found;
    if (!cut_out(&light, image, &cut, &found, watch, arena, err))
        return false;
    *to = cut;
    return image->ink == INK_LIGHT || invert(&cut, to, watch, arena, err);
}
