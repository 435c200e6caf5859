/*
 * decoder.h - a detector's outputs -> boxes, by the decoder that the manifest names (decoders.def).
 *
 *     decoder_bind      which outputs it reads; at load, and again for each job
 *     decoder_fits      do their dims suit it? Asked of the network's at load, of a run's own before it is decoded
 *     decoder_open      the outputs of one item as planes of floats
 *     decoder_run       boxes above the threshold, in the pixels of the input (manifest units `picture`: as they are)
 *     decoder_points    what the network says besides of one that was kept
 *
 * decoder_grid.c has those whose cells lie on grids, decoder_lists.c those that list detections. The layouts are those
 * of their authors' exporters: Ultralytics, Megvii's YOLOX, RangiLyu's NanoDet, TensorFlow's Object Detection API,
 * Hugging Face's DETR and RT-DETR, Roboflow's RF-DETR, D-FINE, UltraFace, OpenCV's YuNet, InsightFace's SCRFD,
 * PaddleDetection.
 *
 * Threads: any, for the job it has; memory is the arena's.
 */
#ifndef SERVE_DECODER_H
#define SERVE_DECODER_H

#include "serve/boxes.h"
#include "serve/manifest.h"

/* Indices of the model's outputs; -1: none. */
struct decoder_outputs {
    int n_levels; /* of the roles that have several */
    int at[MANIFEST_ROLES][MANIFEST_LEVELS];
    int prototypes;
};

bool decoder_bind(const struct manifest *manifest, const struct percept_io *ios, int n, struct decoder_outputs *outputs,
                  struct percept_err *err);

/* What is free or unknown passes. */
bool decoder_fits(const struct manifest *manifest, const struct percept_io *ios, const struct decoder_outputs *outputs,
                  struct percept_err *err);

/* Element (row, column) is at[row * row_step + column * column_step]. */
struct plane {
    const float *at; /* NULL: there is none */
    int64_t n_rows, n_columns, row_step, column_step;
};

/* A grid whose cells have boxes. */
struct decoder_grid {
    int stride;      /* of its cells, in pixels of the input; 0: there is no grid */
    int64_t width;   /* cells in a row */
    int64_t first;   /* row of its first cell, where grids follow each other in one plane */
    int64_t n_cells; /* times `anchors` are its rows */
    int64_t anchors; /* boxes of a cell */
};

struct decoding {
    const struct manifest *manifest;
    int width, height; /* of the input, pixels; 0: unknown */
    int n_levels;
    struct plane planes[MANIFEST_ROLES][MANIFEST_LEVELS];
    int64_t n_coefficients;  /* of masks */
    const float *prototypes; /* [n_coefficients, prototype_height, prototype_width] */
    int64_t prototype_width, prototype_height;
    int64_t first_extra; /* column of coefficients, points or angle in the plane of boxes; 0: none */
    int n_grids;
    struct decoder_grid grids[MANIFEST_LEVELS]; /* found by decoders on grids */
    struct boxes *boxes;
    struct watch *watch;
};

/* Item `item` of `n_items`; results are the model's. */
bool decoder_open(struct decoding *decoding, const struct manifest *manifest, const struct percept_tensor *results,
                  const struct decoder_outputs *outputs, int64_t item, int64_t n_items, struct arena *arena,
                  struct watch *watch, struct percept_err *err);

/* decoding->boxes has been begun. */
bool decoder_run(struct decoding *decoding, struct percept_err *err);

/* How many points a detection has, and how many numbers each. */
int decoder_n_points(const struct decoding *decoding, int *size);

/* The n_points * size numbers of a box, in the pixels of the input. */
void decoder_points(const struct decoding *decoding, const struct box *box, float *points);

/* --- for the decoders --------------------------------------------------------------------------------------------- */

static inline float plane_get(const struct plane *plane, int64_t row, int64_t column)
{
    return plane->at[row * plane->row_step + column * plane->column_step];
}

/* Four numbers in the manifest's layout and units -> the box's edges. */
void decoder_place(const struct decoding *decoding, const float numbers[4], struct box *box);

/* The best of a row's n classes that begin in column `first`, with the box's level and row, where it is above the
 * threshold. `object` is the box's objectness. */
void decoder_add_best(struct decoding *decoding, struct box *box, const struct plane *scores, int64_t first, int64_t n,
                      float object);

/* With the class as the network counts it, and its score. */
void decoder_add(struct decoding *decoding, struct box *box, float class, float score);

bool decoder_grid_yolov8(struct decoding *decoding, struct percept_err *err);
bool decoder_grid_yolov5(struct decoding *decoding, struct percept_err *err);
bool decoder_grid_yolox(struct decoding *decoding, struct percept_err *err);
bool decoder_grid_nanodet(struct decoding *decoding, struct percept_err *err);
bool decoder_grid_nanodet_plus(struct decoding *decoding, struct percept_err *err);
bool decoder_grid_yunet(struct decoding *decoding, struct percept_err *err);
bool decoder_grid_scrfd(struct decoding *decoding, struct percept_err *err);

bool decoder_lists(struct decoding *decoding, struct percept_err *err);
bool decoder_lists_scored(struct decoding *decoding, struct percept_err *err);
bool decoder_lists_detr(struct decoding *decoding, struct percept_err *err);
bool decoder_lists_rtdetr(struct decoding *decoding, struct percept_err *err);
bool decoder_lists_rows(struct decoding *decoding, struct percept_err *err);
bool decoder_lists_paddle(struct decoding *decoding, struct percept_err *err);

#endif
