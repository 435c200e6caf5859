/*
 * canvas.h - lines, dots and letters on a picture of three channels, clipped to it.
 *
 * Lines have soft edges: a pixel is covered by how near its centre is (half a pixel more than half the width: not at
 * all). Coordinates may be anything finite. Costs are the area that is touched, which the picture bounds; the watch (or
 * NULL) is looked at.
 *
 * Threads: whoever has the picture.
 */
#ifndef SERVE_CANVAS_H
#define SERVE_CANVAS_H

#include "serve/picture.h"

struct canvas {
    struct picture *picture; /* 3 channels */
    struct watch *watch;
};

struct colour {
    uint8_t red, green, blue;
};

/* Colours that are easy to tell from each other, one for each number. */
struct colour canvas_colour(int64_t number);

/* A pixel with `share` of the colour, 0..1. */
void canvas_blend(uint8_t *pixel, struct colour colour, float share);

/* From one point to another, round at the ends; to the same: a dot. */
void canvas_line(const struct canvas *canvas, float from_x, float from_y, float to_x, float to_y, float width,
                 struct colour colour);

/* All pixels of [left, right) x [top, bottom). `share` of the colour, 0..1. */
void canvas_fill(const struct canvas *canvas, float left, float top, float right, float bottom, struct colour colour,
                 float share);

/* UTF-8, each point of a letter `size` pixels wide, its upper left corner at (x, y). */
void canvas_text(const struct canvas *canvas, int x, int y, int size, const char *text, struct colour colour);

/* Pixels that a text is wide. */
int canvas_text_width(const char *text, int size);

#endif
