/*
 * drawing.c - see drawing.h. Lines and letters are as large as the picture asks for: on a photo of 640 x 480 the points
 * of letters are two pixels wide, on one of 4,000 x 3,000 twelve. The best come last, so that they lie on top. The
 * picture is decoded again, at its full size: the network had a smaller one.
 */
#include "serve/drawing.h"

#include "base/err.h"
#include "serve/canvas.h"
#include "serve/codec.h"
#include "serve/font.h"

#include <math.h>
#include <stdio.h>

#define UNIT 240 /* a point of a letter is one pixel for so many of the shorter side */

static const struct colour black = {0, 0, 0}, white = {255, 255, 255};

static int unit_of(int width, int height)
{
    const int shorter = width < height ? width : height;
    return shorter / UNIT < 1 ? 1 : shorter / UNIT;
}

/* Corners of a box, turned about its centre. */
static void corners_of(const struct detection *one, float x[4], float y[4])
{
    const float cx = (one->left + one->right) / 2, cy = (one->top + one->bottom) / 2;
    const float w = (one->right - one->left) / 2, h = (one->bottom - one->top) / 2;
    const float c = cosf(one->angle), s = sinf(one->angle);
    for (int i = 0; i < 4; i++) {
        const float dx = i == 1 || i == 2 ? w : -w, dy = i >= 2 ? h : -h;
        x[i] = cx + dx * c - dy * s;
        y[i] = cy + dx * s + dy * c;
    }
}

/* "dog 0.83" */
static void name_of(const struct detection *one, char *text, size_t n_bytes)
{
    if (one->label)
        snprintf(text, n_bytes, "%.40s %.2f", one->label, (double)one->score);
    else
        snprintf(text, n_bytes, "%d %.2f", (int)one->index, (double)one->score);
}

/* Is a colour so light that black stands out from it? */
static bool is_light(struct colour colour)
{
    return colour.red * 3 + colour.green * 6 + colour.blue > 1280;
}

static void draw_name(const struct canvas *canvas, const struct detection *one, float x, float y, int unit)
{
    char text[64];
    name_of(one, text, sizeof text);
    const struct colour colour = canvas_colour(one->index);
    const int height = (FONT_HEIGHT + 2) * unit, width = canvas_text_width(text, unit) + 4 * unit;
    int left = (int)x, top = (int)y - height;
    if (left + width > canvas->picture->width)
        left = canvas->picture->width - width;
    left = left < 0 ? 0 : left;
    top = top < 0 ? 0 : top;
    canvas_fill(canvas, (float)left, (float)top, (float)(left + width), (float)(top + height), colour, 1);
    canvas_text(canvas, left + 2 * unit, top + 2 * unit, unit, text, is_light(colour) ? black : white);
}

#define SHARE 0.5f /* of a class's colour, the rest is the picture's */

/* Its pixels in its class's colour. */
static void draw_mask(const struct canvas *canvas, const struct detection *one)
{
    const struct picture *p = canvas->picture;
    const struct mask *mask = &one->mask;
    const struct colour colour = canvas_colour(one->index);
    int64_t at = 0;
    for (size_t run = 0; run < mask->n_counts; at += mask->counts[run++]) {
        if (!watch_spend(canvas->watch, run & 1 ? mask->counts[run] : 1))
            return;
        for (int64_t i = at; run & 1 && i < at + mask->counts[run]; i++)
            canvas_blend(p->pixels + (i % p->height * p->width + i / p->height) * 3, colour, SHARE);
    }
}

static void draw_one(const struct canvas *canvas, const struct detected *detected, const struct detection *one,
                     int unit)
{
    const struct colour colour = canvas_colour(one->index);
    float x[4], y[4];
    corners_of(one, x, y);
    draw_mask(canvas, one);
    for (int i = 0; i < 4 && !detected->bare; i++)
        canvas_line(canvas, x[i], y[i], x[(i + 1) % 4], y[(i + 1) % 4], (float)unit * 1.25f, colour);
    for (int i = 0; i < detected->n_points; i++) {
        const float *point = one->points + i * detected->point_size;
        if (isfinite(point[0] + point[1]) && (detected->point_size < 3 || point[2] > detected->least_point)) {
            canvas_line(canvas, point[0], point[1], point[0], point[1], (float)unit * 5, black);
            canvas_line(canvas, point[0], point[1], point[0], point[1], (float)unit * 3, white);
        }
    }
    if (!detected->bare)
        draw_name(canvas, one, x[0], y[0], unit);
}

static bool in_colour(struct picture *picture, struct job *job, struct percept_err *err)
{
    const struct picture gray = *picture;
    if (gray.channels == 3)
        return true;
    if (!picture_new(picture, gray.width, gray.height, 3, job->arena, err))
        return false;
    const size_t n = (size_t)gray.width * (size_t)gray.height;
    for (size_t i = 0; i < n * 3; i++)
        picture->pixels[i] = gray.pixels[i / 3];
    return watch_spend(&job->watch, (int64_t)n) || watch_refuse(&job->watch, err);
}

bool drawing_make(struct job *job, const struct detected *detected, struct picture *picture, struct percept_err *err)
{
    if (!codec_image_posted(job, picture, err) || !in_colour(picture, job, err))
        return false;
    if (detected->masks && (detected->items->width != picture->width || detected->items->height != picture->height))
        return err_set(err, ERR_INTERNAL, "the masks have another size than the picture");
    const struct canvas canvas = {.picture = picture, .watch = &job->watch};
    const struct detections *found = &detected->items[0];
    const int unit = unit_of(picture->width, picture->height);
    for (int i = found->n; i-- > 0 && !watch_over(&job->watch);)
        draw_one(&canvas, detected, &found->at[i], unit);
    return !watch_over(&job->watch) || watch_refuse(&job->watch, err);
}

/* The network's classes, or how much of a pixel is cut out, in colour. */
static bool tint(struct job *job, const struct segments *segments, struct picture *picture, struct percept_err *err)
{
    const int offset = job->served->manifest->class_offset;
    for (int64_t i = 0; i < (int64_t)picture->width * picture->height; i++) {
        const int value = segments->map.pixels[i];
        if (!watch_spend(&job->watch, 1))
            return watch_refuse(&job->watch, err);
        if (!segments->is_alpha && value < offset)
            continue;
        const float share = segments->is_alpha ? SHARE * (float)value / 255 : SHARE;
        canvas_blend(picture->pixels + i * 3, canvas_colour(segments->is_alpha ? 0 : value - offset), share);
    }
    return true;
}

bool drawing_make_segments(struct job *job, const struct segmented *segmented, struct picture *picture,
                           struct percept_err *err)
{
    const struct segments *segments = &segmented->items[0];
    if (!codec_image_posted(job, picture, err) || !in_colour(picture, job, err))
        return false;
    if (segments->map.width != picture->width || segments->map.height != picture->height)
        return err_set(err, ERR_INTERNAL, "the map has another size than the picture");
    if (!tint(job, segments, picture, err))
        return false;
    const struct canvas canvas = {.picture = picture, .watch = &job->watch};
    const int unit = unit_of(picture->width, picture->height);
    for (int i = 0; i < segments->n; i++) {
        const struct detection name = {
            .label = segments->at[i].label, .index = segments->at[i].index, .score = segments->at[i].share};
        draw_name(&canvas, &name, 0, (float)((i + 1) * (FONT_HEIGHT + 2) * unit), unit);
    }
    return !watch_over(&job->watch) || watch_refuse(&job->watch, err);
}

/* --- SVG ---------------------------------------------------------------------------------------------------------- */

/* Text of an element: what is markup is escaped, control characters are not there. */
static void put_text(struct writer *w, const char *text)
{
    for (const char *at = text; *at; at++) {
        const unsigned char c = (unsigned char)*at;
        if (c == '<' || c == '>' || c == '&' || c == '"')
            writer_put(w, c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : "&quot;");
        else if (c >= ' ')
            writer_bytes(w, at, 1);
    }
}

static void put_points(struct writer *w, const struct detected *detected, const struct detection *one, int unit)
{
    char text[128];
    for (int i = 0; i < detected->n_points; i++) {
        const float *point = one->points + i * detected->point_size;
        snprintf(text, sizeof text, "<circle cx=\"%.2f\" cy=\"%.2f\" r=\"%d\"/>\n", (double)point[0], (double)point[1],
                 unit * 2);
        if (isfinite(point[0] + point[1]) &&
            (!detected->bare || detected->point_size < 3 || point[2] > detected->least_point))
            writer_put(w, text);
    }
}

static void put_bare(struct writer *w, const struct detected *detected, const struct detection *one, int unit)
{
    char text[80];
    snprintf(text, sizeof text, "<g stroke=\"#000000\" fill=\"#ffd400\" stroke-width=\"%.2f\">\n", unit * 0.5);
    writer_put(w, text);
    put_points(w, detected, one, unit);
    writer_put(w, "</g>\n");
}

/* All that has the value, half-transparent. */
static void put_path(struct writer *w, struct colour colour, const uint32_t *outlines, size_t n, uint32_t value)
{
    char text[64];
    snprintf(text, sizeof text, "<path fill=\"#%02x%02x%02x\" ", colour.red, colour.green, colour.blue);
    writer_put(w, text);
    writer_put(w, "fill-opacity=\"0.5\" fill-rule=\"evenodd\" stroke=\"none\" d=\"");
    for (size_t at = 0; at < n && writer_spend(w, 1); at = outline_next(outlines, at)) {
        const uint32_t *points = outlines + at + 2;
        if (outlines[at] != value)
            continue;
        for (size_t i = 0; i < outlines[at + 1] && writer_spend(w, 16); i++) {
            snprintf(text, sizeof text, "%c%u %u", i ? 'L' : 'M', points[i * 2], points[i * 2 + 1]);
            writer_put(w, text);
        }
        writer_put(w, "Z");
    }
    writer_put(w, "\"/>\n");
}

static void put_one(struct writer *w, const struct detected *detected, const struct detection *one, int unit)
{
    char text[320], name[64];
    const struct colour colour = canvas_colour(one->index);
    float x[4], y[4];
    corners_of(one, x, y);
    name_of(one, name, sizeof name);
    snprintf(text, sizeof text,
             "<g stroke=\"#%02x%02x%02x\" fill=\"none\" stroke-width=\"%.2f\">\n"
             "<polygon points=\"%.2f,%.2f %.2f,%.2f %.2f,%.2f %.2f,%.2f\"/>\n",
             colour.red, colour.green, colour.blue, unit * 1.25, (double)x[0], (double)y[0], (double)x[1], (double)y[1],
             (double)x[2], (double)y[2], (double)x[3], (double)y[3]);
    writer_put(w, text);
    if (one->mask.n_outlines)
        put_path(w, colour, one->mask.outlines, one->mask.n_outlines, 1);
    put_points(w, detected, one, unit);
    snprintf(text, sizeof text,
             "<text x=\"%.2f\" y=\"%.2f\" font-family=\"sans-serif\" font-size=\"%d\" stroke=\"none\" "
             "fill=\"#%02x%02x%02x\">",
             (double)x[0], (double)fmaxf(y[0] - (float)unit * 2, (float)unit * 10), unit * 10, colour.red, colour.green,
             colour.blue);
    writer_put(w, text);
    put_text(w, name);
    writer_put(w, "</text>\n</g>\n");
}

static void put_head(struct writer *w, int width, int height)
{
    char head[160];
    snprintf(head, sizeof head,
             "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n", width,
             height, width, height);
    writer_put(w, head);
}

void drawing_write_svg(struct writer *w, const struct detected *detected)
{
    const struct detections *found = &detected->items[0];
    const int unit = unit_of(found->width, found->height);
    put_head(w, found->width, found->height);
    for (int i = found->n; i-- > 0 && writer_spend(w, 256);)
        (detected->bare ? put_bare : put_one)(w, detected, &found->at[i], unit);
    writer_put(w, "</svg>\n");
}

/* Names above each other, in the upper left corner. */
static void put_names(struct writer *w, const struct segments *segments)
{
    const int unit = unit_of(segments->map.width, segments->map.height);
    char text[160], name[64];
    for (int i = 0; i < segments->n; i++) {
        const struct segment *one = &segments->at[i];
        const struct colour colour = canvas_colour(one->index);
        name_of(&(struct detection){.label = one->label, .index = one->index, .score = one->share}, name, sizeof name);
        snprintf(text, sizeof text,
                 "<text x=\"%d\" y=\"%d\" font-family=\"sans-serif\" font-size=\"%d\" fill=\"#%02x%02x%02x\">",
                 unit * 2, (i + 1) * unit * 11, unit * 10, colour.red, colour.green, colour.blue);
        writer_put(w, text);
        put_text(w, name);
        writer_put(w, "</text>\n");
    }
}

bool drawing_write_svg_segments(struct job *job, struct writer *w, const struct segmented *segmented,
                                struct percept_err *err)
{
    const struct segments *segments = &segmented->items[0];
    const struct picture *map = &segments->map;
    const int offset = segments->is_alpha ? 1 : job->served->manifest->class_offset;
    const size_t n = (size_t)map->width * (size_t)map->height;
    struct outline_numbers lines = {.arena = job->arena};
    uint8_t *been = arena_array(job->arena, n, 1), *cut = arena_array(job->arena, segments->is_alpha ? n : 1, 1);
    if (!been || !cut)
        return err_memory(err, "an SVG", n * 2);
    for (size_t i = 0; segments->is_alpha && i < n; i++)
        cut[i] = (float)map->pixels[i] > segments->least;
    const struct outline_map from = {
        .at = segments->is_alpha ? cut : map->pixels, .width = map->width, .height = map->height};
    if (!watch_spend(&job->watch, (int64_t)n) || !outline_trace(&from, offset, been, &lines, &job->watch))
        return watch_refuse(&job->watch, err);
    if (lines.failed)
        return err_memory(err, "an SVG", lines.room * 2 * sizeof *lines.at);
    put_head(w, map->width, map->height);
    for (int i = 0; i < segments->n; i++)
        put_path(w, canvas_colour(segments->at[i].index), lines.at, lines.n,
                 (uint32_t)(segments->at[i].index + offset));
    put_names(w, segments);
    writer_put(w, "</svg>\n");
    return true;
}
