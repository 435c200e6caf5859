/*
 * tracks.h - which box of a frame shows what one of the frame before showed.
 *
 *     struct tracks tracks = {0};
 *     tracks_follow(&tracks, boxes, n, numbers);       for each frame in order; numbers[i] is 1, 2, ...
 *
 * By overlap alone, as Bochinski, Eiselein and Sikora do it ("High-speed tracking-by-detection without using image
 * information", 2017), and with a memory of some frames: boxes come best first, and each takes the track of its class
 * that it overlaps most, from TRACKS_OVERLAP on, or begins one. A track that was not seen for TRACKS_REST frames ends;
 * where there are too many, the one that was not seen longest does. The numbers of a video are never used again.
 *
 * A struct without pointers: a frame costs at most TRACKS_BOXES * TRACKS_MAX overlaps, tens of microseconds.
 */
#ifndef SERVE_TRACKS_H
#define SERVE_TRACKS_H

#include "serve/boxes.h"

#define TRACKS_BOXES 64 /* of a frame that are followed, the best ones */
#define TRACKS_MAX 256
#define TRACKS_REST 30
#define TRACKS_OVERLAP 0.3F

struct track {
    struct box box; /* where it was seen last */
    int64_t number, seen;
};

struct tracks {
    int64_t frame, n_begun;
    int n;
    struct track at[TRACKS_MAX];
};

/* Where the numbers go into a frame's reply that is written before they are known, and the boxes that they are of: the
 * best of the frame. */
struct tracks_marks {
    int n;
    size_t at[TRACKS_BOXES]; /* bytes of the reply before each */
    struct box boxes[TRACKS_BOXES];
};

/* n <= TRACKS_BOXES */
void tracks_follow(struct tracks *tracks, const struct box *boxes, int n, int64_t *numbers);

#endif
