/*
 * picture.h - 8-bit pictures in memory: gray, turned upright, resized. Nothing here knows a file
 * format.
 *
 * A picture's pixels lie row by row, channels together, without padding, in the arena that was
 * given to whoever made it. Functions that make a picture fail only when memory is short, or when
 * the watch (which may be NULL) is over.
 */
#ifndef SERVE_PICTURE_H
#define SERVE_PICTURE_H

#include "base/arena.h"
#include "base/watch.h"
#include "serve/manifest.h"
#include "serve/taps.h"

/* A part of a picture; edges may lie between pixels, and beyond it. */
struct picture_box {
    double left, top, right, bottom;
};

struct picture {
    int width, height;
    int channels; /* 1: gray, 3: red, green, blue */
    uint8_t *pixels;
    struct picture_box shows; /* of the picture that was posted, upright, in its own pixels */
};

/* How a network's input lies in the picture that was posted. x of the input is at
 * shown.left + x * (shown.right - shown.left) / input_width of that, and so for y. */
struct picture_view {
    int width, height; /* of the posted picture, upright; 0: none was posted */
    int input_width, input_height;
    struct picture_box shown; /* beyond its edges where a letterbox is filled */
    /* Cb and Cr of each of the input's pixels, in planes, where the network gets Y alone; else NULL */
    const uint8_t *cb, *cr;
};

/* It shows all there is, until its maker says otherwise. */
bool picture_new(struct picture *picture, int width, int height, int channels, struct arena *arena,
                 struct percept_err *err);

struct picture_box picture_whole(const struct picture *picture);

/* What a part of it, in its pixels, shows of the picture that was posted. */
struct picture_box picture_part(const struct picture *picture, struct picture_box box);

/* Luma of ITU-R 601, as 16-bit fixed point. A gray picture is passed on as it is. */
bool picture_gray(const struct picture *from, struct picture *to, struct watch *watch, struct arena *arena,
                  struct percept_err *err);

/* Upright, from EXIF's orientation 1..8. Other values and 1 pass the picture on as it is. */
bool picture_turn(const struct picture *from, int orientation, struct picture *to, struct watch *watch,
                  struct arena *arena, struct percept_err *err);

/* Four channels, the last of them opacity, on white: three, in place. False when the watch is over. */
bool picture_flatten(struct picture *picture, struct watch *watch);

/* Y, Cb, Cr of JFIF (full range, ITU-R 601) instead of red, green, blue. */
bool picture_ycbcr(const struct picture *from, struct picture *to, struct watch *watch, struct arena *arena,
                   struct percept_err *err);

/* The part `box` of a picture as width x height pixels. */
bool picture_resize(const struct picture *from, struct picture_box box, int width, int height, enum taps_filter filter,
                    struct picture *to, struct watch *watch, struct arena *arena, struct percept_err *err);

/* foreground.c: the picture's strokes as the network expects them: light or dark by the picture's border,
 * and where the manifest has an ink_box, cut out, cleaned, fitted to that box and centred by mass
 * in the network's size. Takes and makes gray. */
bool foreground_prepare(const struct picture *gray, const struct manifest_image *image, struct picture *to,
                        struct watch *watch, struct arena *arena, struct percept_err *err);

#endif
