/*
 * softmax.h - what Softmax and its 8-bit kin are computed along.
 */
#ifndef OP_SOFTMAX_H
#define OP_SOFTMAX_H

#include "op/op.h"

/* The input seen as [outer][n][inner]: sums go over n. */
struct softmax_lines {
    int64_t outer, n, inner;
};

/* shape: along `axis` alone, or, where `flat`, over all axes from it on. */
bool softmax_lines(const struct step *step, int64_t axis, bool flat, struct softmax_lines *lines,
                   struct percept_err *err);

/* The verb `batch` of what works on such lines. */
void softmax_apart(struct batch_view *view, int64_t axis, bool flat);

#endif
