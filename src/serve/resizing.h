/*
 * resizing.h - a picture brought to the size that a network takes, as its manifest says: stretched, letterboxed, or cut
 * out of the middle.
 */
#ifndef SERVE_RESIZING_H
#define SERVE_RESIZING_H

#include "serve/picture.h"

/* A picture in a frame of the network's size: what is around it is filled. */
struct resizing {
    struct picture picture;
    int left, top;     /* of the picture in the frame */
    int width, height; /* of the frame */
};

/* Fails when memory is short, when the watch is over, or when a size that the picture decides has more than most_pixels
 * (ERR_TOO_LARGE). Everything lies in the arena. */
bool resizing_frame(const struct picture *from, const struct manifest_image *image, int64_t most_pixels,
                    struct resizing *resizing, struct watch *watch, struct arena *arena, struct percept_err *err);

/* What the frame shows of the picture that was posted: beyond its edges where it is filled. */
struct picture_box resizing_shown(const struct resizing *resizing);

/* Pixels along both sides that are enough for the network: twice what it takes; 0: all of them. */
unsigned resizing_enough(const struct manifest_image *image);

#endif
