/*
 * canvas.c - see canvas.h. One primitive draws all that is not straight with the grid: the distance from a pixel to a
 * segment says how much of the colour it gets. Only the segment's own rectangle is walked.
 */
#include "serve/canvas.h"

#include "base/utf8.h"
#include "serve/font.h"

#include <math.h>
#include <string.h>

/* A side of a rectangle as a pixel of 0..most. */
static int bounded(float at, int most)
{
    return at >= (float)most ? most : at > 0 ? (int)at : 0;
}

void canvas_blend(uint8_t *pixel, struct colour colour, float share)
{
    pixel[0] = (uint8_t)((float)pixel[0] + ((float)colour.red - (float)pixel[0]) * share + 0.5f);
    pixel[1] = (uint8_t)((float)pixel[1] + ((float)colour.green - (float)pixel[1]) * share + 0.5f);
    pixel[2] = (uint8_t)((float)pixel[2] + ((float)colour.blue - (float)pixel[2]) * share + 0.5f);
}

/* Hues of the golden angle: neighbours are far from each other. */
struct colour canvas_colour(int64_t number)
{
    const double hue = fmod((double)(number & 0xffff) * 0.618033988749895 + 0.33, 1) * 6;
    const double part = hue - floor(hue), low = 40, high = 255;
    const uint8_t up = (uint8_t)(low + (high - low) * part), down = (uint8_t)(high - (high - low) * part);
    const uint8_t most = (uint8_t)high, least = (uint8_t)low;
    const struct colour wheel[] = {{most, up, least},   {down, most, least}, {least, most, up},
                                   {least, down, most}, {up, least, most},   {most, least, down}};
    return wheel[(int)hue % 6];
}

void canvas_line(const struct canvas *canvas, float from_x, float from_y, float to_x, float to_y, float width,
                 struct colour colour)
{
    const struct picture *p = canvas->picture;
    const float half = width / 2, dx = to_x - from_x, dy = to_y - from_y, length = dx * dx + dy * dy;
    const int left = bounded(fminf(from_x, to_x) - half - 1, p->width);
    const int right = bounded(fmaxf(from_x, to_x) + half + 2, p->width);
    const int top = bounded(fminf(from_y, to_y) - half - 1, p->height);
    const int bottom = bounded(fmaxf(from_y, to_y) + half + 2, p->height);
    for (int y = top; y < bottom; y++) {
        if (!watch_spend(canvas->watch, right - left))
            return;
        for (int x = left; x < right; x++) {
            const float px = (float)x + 0.5f - from_x, py = (float)y + 0.5f - from_y;
            const float along = length > 0 ? fminf(fmaxf((px * dx + py * dy) / length, 0), 1) : 0;
            const float share = half + 0.5f - hypotf(px - along * dx, py - along * dy);
            if (share > 0)
                canvas_blend(p->pixels + ((size_t)y * (size_t)p->width + (size_t)x) * 3, colour, fminf(share, 1));
        }
    }
}

void canvas_fill(const struct canvas *canvas, float left, float top, float right, float bottom, struct colour colour,
                 float share)
{
    const struct picture *p = canvas->picture;
    const int x0 = bounded(left, p->width), x1 = bounded(right, p->width);
    const int y0 = bounded(top, p->height), y1 = bounded(bottom, p->height);
    for (int y = y0; y < y1; y++) {
        if (!watch_spend(canvas->watch, x1 - x0))
            return;
        for (int x = x0; x < x1; x++)
            canvas_blend(p->pixels + ((size_t)y * (size_t)p->width + (size_t)x) * 3, colour, share);
    }
}

static void put_letter(const struct canvas *canvas, int x, int y, int size, const uint8_t *rows, struct colour colour)
{
    for (int r = 0; r < FONT_HEIGHT; r++)
        for (int c = 0; c < FONT_WIDTH; c++)
            if (rows[r] >> (FONT_WIDTH - 1 - c) & 1)
                canvas_fill(canvas, (float)(x + c * size), (float)(y + r * size), (float)(x + (c + 1) * size),
                            (float)(y + (r + 1) * size), colour, 1);
}

/* The next character; at an end NULL. What is no UTF-8 is one character a byte. */
static const uint8_t *next(const uint8_t *at, const uint8_t *end, uint32_t *code)
{
    const uint8_t *after = at < end ? utf8_read(at, end, code) : NULL;
    if (at >= end)
        return NULL;
    if (!after)
        *code = 0xfffd;
    return after ? after : at + 1;
}

void canvas_text(const struct canvas *canvas, int x, int y, int size, const char *text, struct colour colour)
{
    const uint8_t *at = (const uint8_t *)text, *end = at + strlen(text);
    for (uint32_t code; (at = next(at, end, &code)) && x < canvas->picture->width; x += FONT_STEP * size)
        put_letter(canvas, x, y, size, font_letter(code), colour);
}

int canvas_text_width(const char *text, int size)
{
    const uint8_t *at = (const uint8_t *)text, *end = at + strlen(text);
    int n = 0;
    for (uint32_t code; n < 10000 && (at = next(at, end, &code));)
        n++;
    return n ? (n * FONT_STEP - 1) * size : 0;
}
