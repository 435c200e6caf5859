/*
 * drawing.h - what was found, drawn: on the posted picture (boxes, names, points), or by itself as SVG.
 *
 * Threads: any, for the job it has.
 */
#ifndef SERVE_DRAWING_H
#define SERVE_DRAWING_H

#include "serve/answer_detect.h"
#include "serve/answer_segment.h"

/* The posted picture, upright, with what was found on it; in the job's arena. */
bool drawing_make(struct job *job, const struct detected *detected, struct picture *picture, struct percept_err *err);

/* With the classes' colours over their pixels, and their names. */
bool drawing_make_segments(struct job *job, const struct segmented *segmented, struct picture *picture,
                           struct percept_err *err);

/* The same of what was found without the picture: its size is the SVG's. */
void drawing_write_svg(struct writer *w, const struct detected *detected);

/* The classes of pixels as paths, and their names. */
bool drawing_write_svg_segments(struct job *job, struct writer *w, const struct segmented *segmented,
                                struct percept_err *err);

#endif
