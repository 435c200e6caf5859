/*
 * activation.h - every function of one number that ONNX names: what it is called, what its two numbers mean, which
 * kernel it is, and what it is worth in double.
 *
 * Operators (unary.c), attributes that name one (FusedGemm, FusedConv, RNN and its kin) and nodes that the engine fuses
 * ask here; a new function is a row of activation.c.
 */
#ifndef OP_ACTIVATION_H
#define OP_ACTIVATION_H

#include "op/op.h"

/* f of the row, or, where it is scaled, alpha f(beta x); of Affine alpha x + beta. */
struct activation_row {
    char name[20];    /* of the operator and in attributes */
    char first[6];    /* the operator's attribute that is alpha, "": it has none */
    char second[6];   /* the same of beta */
    enum unary unary; /* f */
    bool scaled;
    float alpha, beta; /* where the attributes are absent */
    double (*exact)(double x, double alpha, double beta);
    float (*gate)(float x, float alpha, float beta); /* as recurrences compute it; NULL: they do not know it */
};

/* A function with its two numbers. */
struct activation_of {
    const struct activation_row *row;
    float alpha, beta;
};

/* All rows; first those that recurrences know. */
const struct activation_row *activation_table(int *n);

/* The row of this name, as it is written (attributes of RNN, GRU and LSTM may write it in any case), or NULL. */
const struct activation_row *activation_named(struct bytes name, bool any_case);

/* The row of a kernel's function by itself. */
const struct activation_row *activation_row(enum unary unary);

/* How many numbers it takes: 0, 1 or 2. */
int activation_numbers(const struct activation_row *row);

/* check: the attributes of an operator of this name. */
bool activation_read(const struct node_ctx *ctx, const struct activation_row *row, struct activation_of *of,
                     struct percept_err *err);

/* n floats. May y be x? Then y = x is allowed, else it must not be. */
bool activation_in_place(const struct activation_of *of);
void activation_floats(const struct activation_of *of, const struct kernels *kernels, float *y, const float *x,
                       int64_t n);
void activation_doubles(const struct activation_of *of, double *y, const double *x, int64_t n);

/* What an epilogue has to do to compute it; false where none can. Fills act, alpha, beta and the kind. */
bool activation_fusion(const struct activation_of *of, struct fusion *fusion);

/* x act(x) as one activation: becomes that. False where there is none. */
bool activation_gated(struct fusion *fusion);

/* An epilogue's activation by itself; its row is NULL where it has none. */
struct activation_of activation_fused(const struct fused *fused);

#endif
