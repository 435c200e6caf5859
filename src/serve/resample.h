/*
 * resample.h - planes of floats brought to another size: maps that a network makes, back to the posted picture. Levels
 * of pictures are resized in picture.c, with the filters that networks were trained with.
 *
 * Threads: any. Memory is the caller's.
 */
#ifndef SERVE_RESAMPLE_H
#define SERVE_RESAMPLE_H

#include "base/watch.h"
#include "serve/picture.h"

/* The part `box` of a plane [from_height, from_width], which may reach beyond it (edges are repeated), as
 * [height, width], bilinear with half-pixel centres (ONNX Resize: linear, half_pixel). False when the watch is over. */
bool resample_plane(const float *from, int64_t from_width, int64_t from_height, struct picture_box box, int width,
                    int height, float *to, struct watch *watch);

/* Where the posted picture lies in a map of the whole input, in the map's pixels, as far as the input shows it; the
 * whole map where none was posted. */
struct picture_box resample_shown(const struct picture_view *view, int64_t map_width, int64_t map_height);

#endif
