/*
 * mask.h - which pixels of the posted picture a detection is: coefficients of prototypes that the network gives besides
 * its boxes, as in YOLACT (Bolya et al., "YOLACT: Real-time Instance Segmentation", 2019) and Ultralytics' segment.
 *
 *     struct masking masking;
 *     mask_begin(&masking, &decoding, view, width, height, form, arena, watch, &n_pixels, &err)    once an item
 *     mask_make(&masking, &box, &mask, &err)                                                       for each box
 *
 * A mask is sigmoid(coefficients x prototypes) within the box, 0 outside, brought to the picture's size (bilinear,
 * half-pixel centres, the filling of a letterbox left out), and what is above 0.5 of that.
 *
 * Threads: any, for the job it has. Masks and all that is needed for them lie in the arena.
 */
#ifndef SERVE_MASK_H
#define SERVE_MASK_H

#include "serve/decoder.h"
#include "serve/job.h"
#include "serve/outline.h"

/* Pixels of the picture that the masks of a request may be looked for in, over all its detections. */
#define MASK_MOST_PIXELS ((int64_t)1 << 28)

/* In the form that was asked for; the other one is empty. */
struct mask {
    size_t n_counts;
    const uint32_t *counts; /* pixels outside, inside, outside ... column by column from the left: COCO's run lengths */
    size_t n_outlines;
    const uint32_t *outlines; /* as outline.h has them, of the value 1 */
};

/* What the masks of one item share. */
struct masking {
    const struct decoding *decoding;
    int width, height; /* of the picture */
    enum job_masks form;
    struct picture_box part;        /* the picture, in pixels of the prototypes */
    double left, top, across, down; /* a box's x of the prototypes: left + x * across */
    float *map;                     /* [prototype_height, prototype_width], 0 between two masks */
    float *scores;                  /* a part of the picture */
    uint8_t *inside;                /* the same, 0 or 1 */
    uint8_t *been;                  /* and room to trace them */
    size_t room;                    /* elements of each */
    int64_t *n_pixels;              /* spent so far, of MASK_MOST_PIXELS */
    struct arena *arena;
    struct watch *watch;
};

/* The decoding has been opened and has prototypes; width and height (of the posted picture, or of the input where
 * tensors were posted) and those of the input are known. *n_pixels is 0 before the first item of a request. */
bool mask_begin(struct masking *masking, const struct decoding *decoding, const struct picture_view *view, int width,
                int height, enum job_masks form, struct arena *arena, struct watch *watch, int64_t *n_pixels,
                struct percept_err *err);

/* Of a box that the decoder gave. TOO_LARGE when the request's masks are more than MASK_MOST_PIXELS. */
bool mask_make(struct masking *masking, const struct box *box, struct mask *mask, struct percept_err *err);

#endif
