/*
 * heavy.h - what the tests of the heavy operators share: numbers to feed them, and the promise that
 * an item's bits depend neither on its batch mates nor on the threads that helped.
 */
#ifndef TESTS_OP_HEAVY_H
#define TESTS_OP_HEAVY_H

#include "harness.h"

/* n numbers in [-1, 1), the same for the same seed; they live until the test's process ends. */
float *heavy_numbers(unsigned seed, int64_t n);

/* Adds attributes and every input after the first. */
typedef void heavy_rest(struct harness *h);

/* A begun harness with these kernels: X (which may lie blocked) and the rest. */
void heavy_begin(struct harness *h, const struct kernels *level, const char *op_type, int opset, int rank,
                 const int64_t *dims, const float *x, bool blocked, heavy_rest *rest);

/*
 * Runs the operator on 1, 2, 7, 8 and 32 items (dims[0] is replaced by that), alone and with a
 * team, on every level of kernels this CPU runs, or in PERCEPTD_KERNELS alone; every output's item i must
 * have the bits it has in a batch of its own. Every output's first axis must be the batch.
 */
void heavy_expect_same_bits(const char *op_type, int opset, int outputs, int rank, const int64_t *dims, bool blocked,
                            heavy_rest *rest);

#endif
