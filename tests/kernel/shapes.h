/* shapes.h - convolutions for the tests of all algorithms: drawn, known, and checked against the definition. */
#ifndef SHAPES_H
#define SHAPES_H

#include "fixture.h"

/* What algorithms are chosen for, here: exact unless a test says otherwise (tests are processes of their own). */
extern enum precision shapes_precision;

/* Any geometry; `depthwise`: one channel in and one out per group. */
struct conv_shape shapes_draw(bool depthwise);
/* One group, a square map and kernel. */
struct conv_shape shapes_square(int64_t in, int64_t out, int64_t size, int64_t kernel, int64_t stride, int64_t pad);
/* All of an item and its units in pieces, with weights, epilogue and layout drawn. */
void shapes_check(const struct conv_shape *shape);
/* The output of an item, input and weights as the kernel takes them, without bias and activation. It lasts until
 * release(). */
float *shapes_run(const struct conv_shape *shape, const float *input, const float *weights);
/* What was prepared runs from a copy as well, when the first is gone, and no run changes a byte of it. */
void shapes_check_moved(const struct conv_shape *shape);
/* Two threads that run one prepared convolution at a time, each some of the units, give what one gives. */
void shapes_check_shared(const struct conv_shape *shape);

#endif
