/*
 * stack.h - products of stacks of matrices: shapes that MatMul, Gemm and their 8-bit kin judge alike.
 *
 * `a` and `b` are the input slots of the left and the right side.
 */
#ifndef OP_STACK_H
#define OP_STACK_H

#include "op/op.h"

struct stack {
    int64_t m, k, n;  /* of one product: m x k by k x n */
    int64_t rows;     /* of all matrices on the left */
    int64_t matrices; /* on the right */
    int64_t batch;    /* products; 1 where one matrix on the right takes all rows at once */
    int64_t *items;   /* [batch][2] index of the matrix on the left, on the right; NULL in that case */
    int rank;
    int64_t dims[RANK_MAX]; /* of the result */
};

/* shape, MatMul's rules: a side of rank 1 is a row on the left and a column on the right, and goes again
 * from the result; the axes before the last two broadcast. `stack` is in the step's arena. */
bool stack_shape(const struct step *step, int a, int b, struct stack *stack, struct percept_err *err);

/* shape: the inner dimensions, k on the left and on the right, are equal. */
bool stack_inner(const struct step *step, int a, int b, int64_t left, int64_t right, struct percept_err *err);

/* shape: C broadcasts to [m, n]; from row to row and from column to column are so many elements of it. */
bool stack_addend(const struct step *step, const struct tensor *c, int64_t m, int64_t n, int64_t *row, int64_t *column,
                  struct percept_err *err);

#endif
