/*
 * outline.h - the outlines of what a map shows, pixel by pixel: polygons of masks, paths of an SVG.
 *
 * Threads: any. Memory is the arena's.
 */
#ifndef SERVE_OUTLINE_H
#define SERVE_OUTLINE_H

#include "base/arena.h"
#include "base/watch.h"

/* Numbers as they come. */
struct outline_numbers {
    uint32_t *at;
    size_t n, room;
    struct arena *arena;
    bool failed; /* memory was short */
};

/* One more, 0 to 2^32 - 1. */
void outline_push(struct outline_numbers *numbers, int64_t number);

/* [height, width] of one byte each. */
struct outline_map {
    const uint8_t *at;
    int64_t width, height;
    int64_t left, top; /* where the whole of which it is a part has its first pixel */
};

/* Every closed line around pixels of one value, of those from `first` on: the value, how many points, then x and y of
 * each. Lines run along the edges of pixels, clockwise around what is inside, the other way around its holes; filled by
 * the even-odd rule, the lines of a value give its pixels again. Pixels that touch at a corner are apart. `been` has a
 * byte for each pixel. False when the watch is over; numbers->failed when memory was short. */
bool outline_trace(const struct outline_map *map, int first, uint8_t *been, struct outline_numbers *numbers,
                   struct watch *watch);

/* Where the next line begins, behind one that begins at `at`. */
static inline size_t outline_next(const uint32_t *numbers, size_t at)
{
    return at + 2 + (size_t)numbers[at + 1] * 2;
}

#endif
