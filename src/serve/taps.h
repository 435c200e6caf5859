/*
 * taps.h - which pixels along an axis make one of a resized picture's, and what each of them counts: the filters of
 * Pillow and OpenCV, as tables.
 *
 * Sources: the filters and their widening as in Pillow's documentation of Image.resize (triangle, Keys' cubic with
 * a = -0.5, Lanczos with three lobes, box); Keys, "Cubic convolution interpolation for digital image processing"
 * (1981); OpenCV's documentation of resize (INTER_LINEAR, INTER_CUBIC with a = -0.75, INTER_AREA).
 */
#ifndef SERVE_TAPS_H
#define SERVE_TAPS_H

#include "base/arena.h"
#include "base/watch.h"

enum taps_filter {
    TAPS_BILINEAR, /* Pillow's: they widen when they shrink, so that every pixel counts */
    TAPS_BICUBIC,
    TAPS_NEAREST, /* the pixel at the centre; needs no weights */
    TAPS_LANCZOS,
    TAPS_BOX,
    TAPS_AREA,   /* OpenCV's INTER_AREA where it shrinks: a pixel counts by how much of it is covered */
    TAPS_LINEAR, /* OpenCV's, which do not widen; what lies beyond an edge is the edge */
    TAPS_CUBIC,
    TAPS_GROW, /* OpenCV's INTER_AREA where it enlarges */
};

#define TAPS_BITS 22 /* 8 bits of pixel, 22 of weight, 2 for overshoot */
#define TAPS_GROUP 8 /* `room` is a multiple: what is behind the last weight is 0 */

/* For each of `size` pixels: the first of the original's, how many, and what they count: 1 << TAPS_BITS together. */
struct taps {
    int size;
    int room; /* weights per pixel */
    int *first, *n;
    int32_t *weights; /* [size][room] */
};

/* For filters up to TAPS_AREA. `size` pixels out of the part from..to (in pixels, edges may lie between them) of a row
 * of from_size. Everything lies in the arena. Fails when memory is short or the watch (which may be NULL) is over. */
bool taps_make(struct taps *taps, int from_size, double from, double to, int size, enum taps_filter filter,
               struct watch *watch, struct arena *arena, struct percept_err *err);

#define TAPS_NEAR_BITS 11

/* The pixels around a place, in order, at an edge the edge's again, and what they count: of a cubic four, else two. */
struct taps_near {
    int at[4];
    int weight[4]; /* of 1 << TAPS_NEAR_BITS */
};

/* The same for TAPS_LINEAR, TAPS_CUBIC and TAPS_GROW, as OpenCV rounds it. `size` of them, in the arena; NULL when
 * memory is short. */
struct taps_near *taps_near(int from_size, double from, double to, int size, enum taps_filter filter,
                            struct arena *arena, struct percept_err *err);

#endif
