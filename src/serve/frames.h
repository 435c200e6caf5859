/*
 * frames.h - where each picture of a video ends, while the video arrives in pieces of any size.
 *
 *     struct frames frames;
 *     frames_start(&frames, content_type, most_bytes, &err);
 *     frames_next(&frames, &arena);                          where the first picture goes
 *     while (frames_take(&frames, &bytes, &err))             advances bytes to behind the picture
 *         ... frames.at, frames.n_bytes, frames.lost; then frames_next with an arena for the next
 *
 * A video is pictures of JPEG behind each other (video/x-motion-jpeg, as `ffmpeg -f mjpeg` makes it), or the parts of
 * a multipart/x-mixed-replace, as network cameras send it; there a picture may be of any format. What lies between
 * pictures is passed over. A picture that is longer than it may be, for which there is no memory, or that another one
 * interrupts is told as `lost`, and the video goes on behind it: each has some bytes, so that a hostile body makes few.
 *
 * Memory is the caller's arena, one per picture. Threads: one at a time.
 */
#ifndef SERVE_FRAMES_H
#define SERVE_FRAMES_H

#include "base/arena.h"
#include "base/bytes.h"
#include "percept.h"
#include "serve/parameters.h"

#define FRAMES_LINE 256 /* bytes of a line of a part's head that count */

enum frames_state {
    FRAMES_BETWEEN, /* JPEG: no picture has begun */
    FRAMES_MARKERS, /* in one, looking for the next marker */
    FRAMES_HIGH,    /* the two bytes of a segment's length */
    FRAMES_LOW,
    FRAMES_SEGMENT, /* its rest */
    FRAMES_LINES,   /* parts: before a boundary */
    FRAMES_HEAD,    /* behind one */
    FRAMES_COUNTED, /* the picture, whose length is known */
    FRAMES_SOUGHT,  /* or not: up to the next boundary */
    FRAMES_OVER,    /* behind the last boundary */
};

struct frames {
    uint8_t *at; /* the picture that comes, or the one that is whole */
    size_t n_bytes;
    const char *lost; /* why it cannot be shown, as a sentence; or NULL */
    bool has_time;    /* of X-Timestamp, in seconds */
    double time;

    /* frames.c's own */
    struct arena *arena;
    size_t room, most_bytes;
    enum frames_state state;
    bool mark;    /* the byte before was 0xFF */
    bool pending; /* the beginning of a picture interrupted the one before */
    size_t left;  /* bytes of the segment, or of the part */
    size_t matched;
    char delimiter[4 + PARAMETERS_BOUNDARY_MAX + 1]; /* CR LF -- BOUNDARY */
    size_t n_delimiter;
    int n_lines;
    bool counted; /* the part's head says how long it is */
    size_t n_line;
    uint8_t line[FRAMES_LINE];
};

/* Is this the type of a video that is read here? */
bool frames_is_video(struct bytes content_type);

/* `content_type` decides the form; any but a multipart's is JPEGs. */
bool frames_start(struct frames *frames, struct bytes content_type, size_t most_bytes, struct percept_err *err);

/* The next picture goes into this arena, whose budget counts. */
void frames_next(struct frames *frames, struct arena *arena);

/* True: a picture is whole. False: all bytes are taken, or err says why the video cannot be read on. */
bool frames_take(struct frames *frames, struct bytes *bytes, struct percept_err *err);

/* No more bytes come. True: there is one more picture. */
bool frames_end(struct frames *frames);

#endif
